//! The load generator: many requests in flight, every answer checked.
//!
//! Closed loop ([`Pace::Saturate`]) keeps a window of requests outstanding and finds the server's throughput; open loop
//! ([`Pace::Rate`]) sends on a schedule whatever the server does and finds its latency, counted from the instant a
//! request was due, so that a stall is charged to every request it delayed.

mod login;
pub(crate) mod sessions;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use isp_core::radius::{EncodeError, Request, SharedSecret};
use login::{Exchange, Logins};
use worker::Worker;

use crate::error::{Error, Result};

/// What the server must say, and said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Or an Accounting-Response.
    Accept,
    Reject,
}

/// What is asked, and what is the right answer. Buffers are the caller's, to be used again: the generator shares the
/// machine with the server it measures.
pub(crate) trait Traffic: Send {
    /// What a request is about, until it is answered.
    type About: Copy + Send;

    /// Write the next request into `packet`; `None` = there is nothing to ask until something is answered.
    fn ask(
        &mut self,
        identifier: u8,
        random: &mut Rng,
        packet: &mut Vec<u8>,
    ) -> std::result::Result<Option<(Request, Self::About)>, EncodeError>;

    /// Judge an answer; `Err` = what is wrong with it.
    fn judge(&mut self, request: &Request, answer: &[u8], about: Self::About) -> std::result::Result<Verdict, String>;
}

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As soon as fewer than `window` are outstanding.
    Saturate { window: u32 },
    /// This many a second.
    Rate(f64),
}

#[derive(Debug, Clone)]
pub(crate) struct LoadConfig {
    pub(crate) server: SocketAddr,
    pub(crate) secret: Vec<u8>,
    /// Subscribers in the base; each request draws one of them at random.
    pub(crate) users: u32,
    pub(crate) pace: Pace,
    pub(crate) threads: u32,
    /// Per thread; 256 Identifiers each (RFC 2865 section 3).
    pub(crate) sockets: u32,
    /// Not counted.
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// Without an answer for this long a request is sent again.
    pub(crate) timeout: Duration,
    /// Times a request is sent again before it counts as lost.
    pub(crate) retries: u32,
    /// Share of requests with a wrong password, which the server must reject.
    pub(crate) wrong_passwords: f64,
    pub(crate) message_authenticator: bool,
    /// Makes the choice of users and passwords repeatable.
    pub(crate) seed: u64,
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            server: SocketAddr::from(([127, 0, 0, 1], 1812)),
            secret: Vec::new(),
            users: 100_000,
            pace: Pace::Saturate { window: 256 },
            threads: 1,
            sockets: 4,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(4),
            timeout: Duration::from_secs(2),
            retries: 2,
            wrong_passwords: 0.05,
            message_authenticator: true,
            seed: 1,
        }
    }
}

/// What happened in the counted interval (wrong answers and losses: in the whole run).
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    pub(crate) accepts: u64,
    pub(crate) rejects: u64,
    /// Right answers of the whole run, warm-up included.
    pub(crate) answered: u64,
    pub(crate) retransmits: u64,
    pub(crate) lost: u64,
    /// Answers to nothing outstanding: the second of two answers to a retransmitted request.
    pub(crate) duplicates: u64,
    pub(crate) wrong: u64,
    /// The first wrong answers, in words.
    pub(crate) wrong_examples: Vec<String>,
    /// Microseconds, ascending.
    latencies: Vec<u32>,
}

impl Outcome {
    pub(crate) fn answers(&self) -> u64 {
        self.accepts + self.rejects
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answers() as f64 / self.elapsed.as_secs_f64()
    }

    /// Latency below which `share` (0 to 1) of the answers came; `None` without answers.
    pub(crate) fn latency(&self, share: f64) -> Option<Duration> {
        let last = self.latencies.len().checked_sub(1)?;
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        let micros = self.latencies[rank.saturating_sub(1).min(last)];
        Some(Duration::from_micros(micros.into()))
    }

    fn merge(&mut self, other: Self) {
        self.accepts += other.accepts;
        self.rejects += other.rejects;
        self.answered += other.answered;
        self.retransmits += other.retransmits;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.wrong += other.wrong;
        self.wrong_examples.extend(other.wrong_examples);
        self.latencies.extend(other.latencies);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |share| self.latency(share).unwrap_or_default().as_secs_f64() * 1e3;
        writeln!(f, "packets/s    {:.0}", self.per_second())?;
        writeln!(f, "accepted     {}", self.accepts)?;
        writeln!(f, "rejected     {}", self.rejects)?;
        let (p50, p99, max) = (millis(0.5), millis(0.99), millis(1.0));
        writeln!(f, "latency      p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms")?;
        writeln!(f, "retransmits  {}", self.retransmits)?;
        writeln!(f, "duplicates   {}", self.duplicates)?;
        writeln!(f, "lost         {}", self.lost)?;
        write!(f, "wrong        {}", self.wrong)?;
        for example in &self.wrong_examples {
            write!(f, "\n  {example}")?;
        }
        Ok(())
    }
}

/// The instants a run is made of, the same for all its threads.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    /// Counting begins.
    counted: Instant,
    /// Sending and counting end; what is outstanding is still awaited.
    end: Instant,
}

/// Run a load of logins. `at_edges` is called when counting begins and when it ends, to sample what the server used
/// meanwhile.
pub(crate) fn run(config: &LoadConfig, at_edges: impl FnMut()) -> Result<Outcome> {
    let secret = SharedSecret::new(&config.secret).map_err(|e| Error::Setup(e.to_string()))?;
    let logins = (0..config.threads.max(1)).map(|_| Logins {
        exchange: Exchange {
            secret: secret.clone(),
            message_authenticator: config.message_authenticator,
        },
        users: config.users,
        wrong_passwords: config.wrong_passwords,
    });
    run_traffic(config, logins.collect(), at_edges).map(|(outcome, _)| outcome)
}

/// Run a load of any kind, a thread for each of `traffic`.
pub(crate) fn run_traffic<T: Traffic>(
    config: &LoadConfig,
    traffic: Vec<T>,
    mut at_edges: impl FnMut(),
) -> Result<(Outcome, Vec<T>)> {
    let threads = u32::try_from(traffic.len()).unwrap_or(u32::MAX);
    let start = Instant::now();
    let counted = start + config.warm_up;
    let schedule = Schedule {
        start,
        counted,
        end: counted + config.duration,
    };
    let workers = traffic
        .into_iter()
        .zip(0..)
        .map(|(traffic, n)| Worker::new(traffic, config, schedule, n, threads))
        .collect::<Result<Vec<_>>>()?;
    let mut outcome = Outcome {
        elapsed: config.duration,
        ..Outcome::default()
    };
    let mut used = Vec::new();
    std::thread::scope(|scope| {
        let running: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(move || worker.run()))
            .collect();
        for edge in [schedule.counted, schedule.end] {
            std::thread::sleep(edge.saturating_duration_since(Instant::now()));
            at_edges();
        }
        for thread in running {
            let part = thread
                .join()
                .map_err(|_| Error::Setup("a load thread died".to_owned()))?;
            let (part, traffic) = part?;
            outcome.merge(part);
            used.push(traffic);
        }
        Ok::<_, Error>(())
    })?;
    outcome.latencies.sort_unstable();
    Ok((outcome, used))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let outcome = Outcome {
            latencies: (1..=100).collect(),
            ..Outcome::default()
        };
        assert_eq!(outcome.latency(0.5), Some(Duration::from_micros(50)));
        assert_eq!(outcome.latency(0.99), Some(Duration::from_micros(99)));
        assert_eq!(outcome.latency(1.0), Some(Duration::from_micros(100)));
        assert_eq!(Outcome::default().latency(0.5), None);
    }

    /// A server that never answers costs losses, not a hang, and is never mistaken for one that does.
    #[test]
    fn silence_is_counted_as_loss() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = LoadConfig {
            server: silent.local_addr().unwrap(),
            secret: b"testing123".to_vec(),
            users: 10,
            pace: Pace::Saturate { window: 8 },
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(50),
            timeout: Duration::from_millis(20),
            retries: 1,
            ..LoadConfig::default()
        };
        let outcome = run(&config, || ()).unwrap();
        assert_eq!(outcome.answers(), 0);
        assert!(outcome.lost >= 8, "{outcome:?}");
        assert!(outcome.retransmits >= 8, "{outcome:?}");
    }

    /// Garbage and answers meant for another request are wrong answers.
    #[test]
    fn an_answer_that_does_not_verify_is_wrong() {
        let liar = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        liar.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let server = liar.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((_, from)) = liar.recv_from(&mut buffer) {
                let mut accept = [0_u8; 20];
                accept[..4].copy_from_slice(&[2, buffer[1], 0, 20]);
                liar.send_to(&accept, from).unwrap();
            }
        });
        let config = LoadConfig {
            server,
            secret: b"testing123".to_vec(),
            users: 10,
            pace: Pace::Rate(200.0),
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(100),
            timeout: Duration::from_millis(100),
            retries: 0,
            ..LoadConfig::default()
        };
        let outcome = run(&config, || ()).unwrap();
        answering.join().unwrap();
        assert!(outcome.wrong >= 10, "{outcome:?}");
        assert_eq!(outcome.answers(), 0);
        assert!(
            outcome.wrong_examples[0].contains("authenticator does not verify"),
            "{outcome:?}"
        );
    }
}
