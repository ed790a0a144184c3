//! One thread of the generator: its sockets, the requests it has outstanding, and its share of the pace.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use isp_core::radius::{Code, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::{LoadConfig, Outcome, Pace, Schedule, Traffic, Verdict};
use crate::error::{Error, Result};

/// How often overdue requests are looked for.
const SCAN: Duration = Duration::from_millis(20);
/// At saturation answers are fetched in batches this far apart: a wake-up for each one would cost the server,
/// which shares the processors, more than the request itself.
const BATCH: Duration = Duration::from_micros(500);
/// Requests sent before the first answer.
const FIRST_WINDOW: u32 = 32;
/// Wrong answers described in words.
const EXAMPLES: usize = 5;
/// Asked for, so that answers wait for the generator rather than get lost.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A request, or room for one: one Identifier of one socket.
struct Slot<About> {
    /// What it is about, while it is outstanding.
    about: Option<About>,
    request: Request,
    /// Latency counts from here.
    due: Instant,
    last_sent: Instant,
    sent_again: u32,
    packet: Vec<u8>,
}

pub(super) struct Worker<T: Traffic> {
    traffic: T,
    sockets: Vec<UdpSocket>,
    slots: Vec<Slot<T::About>>,
    /// Oldest first: an Identifier rests as long as possible before it is used again, so that the server has forgotten it.
    free: VecDeque<usize>,
    /// Slots of retransmitted requests, whose second answer may still come, until the instant given.
    resting: VecDeque<(Instant, usize)>,
    outstanding: u32,
    answered: u32,
    pace: Pace,
    /// Open loop: when the next request is due.
    next_due: Instant,
    next_scan: Instant,
    schedule: Schedule,
    timeout: Duration,
    retries: u32,
    random: fastrand::Rng,
    outcome: Outcome,
}

impl<T: Traffic> Worker<T> {
    /// Thread `index` of `threads`, with that share of the configured window or rate.
    pub(super) fn new(traffic: T, config: &LoadConfig, schedule: Schedule, index: u32, threads: u32) -> Result<Self> {
        let sockets = (0..config.sockets.max(1))
            .map(|_| connect(config.server))
            .collect::<Result<Vec<_>>>()?;
        let slots: Vec<Slot<T::About>> = (0..sockets.len() * 256)
            .map(|_| Slot {
                about: None,
                request: Request {
                    code: Code::ACCESS_REQUEST,
                    identifier: 0,
                    authenticator: [0; 16],
                },
                due: schedule.start,
                last_sent: schedule.start,
                sent_again: 0,
                packet: Vec::with_capacity(256),
            })
            .collect();
        Ok(Self {
            traffic,
            free: (0..slots.len()).collect(),
            resting: VecDeque::new(),
            sockets,
            slots,
            outstanding: 0,
            answered: 0,
            pace: match config.pace {
                Pace::Saturate { window } => Pace::Saturate {
                    window: (window / threads).max(1),
                },
                Pace::Rate(rate) => Pace::Rate(rate / f64::from(threads)),
            },
            next_due: schedule.start,
            next_scan: schedule.start + SCAN,
            schedule,
            timeout: config.timeout,
            retries: config.retries,
            random: fastrand::Rng::with_seed(config.seed.wrapping_mul(1_000).wrapping_add(index.into())),
            outcome: Outcome::default(),
        })
    }

    /// The traffic comes back, for what it knows of the answers.
    pub(super) fn run(mut self) -> Result<(Outcome, T)> {
        loop {
            self.receive()?;
            let now = Instant::now();
            if now >= self.next_scan {
                self.next_scan = now + SCAN;
                self.scan(now)?;
            }
            if now < self.schedule.end {
                self.send_due(now)?;
            } else if self.outstanding == 0 {
                return Ok((self.outcome, self.traffic));
            }
            self.wait(now)?;
        }
    }

    /// Take every answer that has arrived.
    fn receive(&mut self) -> Result<()> {
        let mut buffer = [0_u8; 4096];
        for socket in 0..self.sockets.len() {
            loop {
                match self.sockets[socket].recv(&mut buffer) {
                    Ok(length) => self.take(socket, &buffer[..length]),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    // An ICMP error for something sent earlier; that request will time out.
                    Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
                    Err(e) => return Err(Error::io("receive from the server", e)),
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, socket: usize, answer: &[u8]) {
        let id = answer.get(1).copied().unwrap_or_default();
        let index = usize::from(id) * self.sockets.len() + socket;
        let slot = &mut self.slots[index];
        let Some(about) = slot.about else {
            self.outcome.duplicates += 1;
            return;
        };
        match self.traffic.judge(&slot.request, answer, about) {
            Err(wrong) => {
                self.outcome.wrong += 1;
                if self.outcome.wrong_examples.len() < EXAMPLES {
                    self.outcome.wrong_examples.push(wrong);
                }
            }
            Ok(verdict) => {
                self.outcome.answered += 1;
                let now = Instant::now();
                if (self.schedule.counted..self.schedule.end).contains(&now) {
                    match verdict {
                        Verdict::Accept => self.outcome.accepts += 1,
                        Verdict::Reject => self.outcome.rejects += 1,
                    }
                    let micros = now.saturating_duration_since(slot.due).as_micros();
                    self.outcome.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
                }
            }
        }
        self.release(index);
    }

    /// The slot's request is over.
    fn release(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.about = None;
        self.outstanding -= 1;
        if slot.sent_again == 0 {
            self.free.push_back(index);
        } else {
            self.resting.push_back((slot.last_sent + self.timeout * 2, index));
        }
    }

    /// Retransmit or give up what is overdue; wake rested slots.
    fn scan(&mut self, now: Instant) -> Result<()> {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.about.is_none() || now.saturating_duration_since(slot.last_sent) < self.timeout {
                continue;
            }
            if slot.sent_again >= self.retries {
                self.outcome.lost += 1;
                // Even a request sent once may be answered late: its Identifier rests too.
                slot.sent_again = slot.sent_again.max(1);
                self.release(index);
            } else {
                slot.sent_again += 1;
                slot.last_sent = now;
                self.outcome.retransmits += 1;
                self.send(index)?;
            }
        }
        while let Some((_, index)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            self.free.push_back(index);
        }
        Ok(())
    }

    fn send_due(&mut self, now: Instant) -> Result<()> {
        match self.pace {
            Pace::Saturate { window } => {
                // The window opens with the answers, so that the first burst does not overrun the server's socket.
                let open = window.min(FIRST_WINDOW.saturating_add(self.answered));
                while self.outstanding < open && self.start(now, now)? {}
            }
            Pace::Rate(rate) => {
                while self.next_due <= now && self.start(self.next_due, now)? {
                    self.next_due += Duration::from_secs_f64(1.0 / rate);
                }
            }
        }
        Ok(())
    }

    /// Send a new request; false when every Identifier is taken, or there is nothing to say.
    fn start(&mut self, due: Instant, now: Instant) -> Result<bool> {
        let Some(index) = self.free.pop_front() else {
            return Ok(false);
        };
        let slot = &mut self.slots[index];
        let identifier = (index / self.sockets.len()) as u8;
        let asked = self
            .traffic
            .ask(identifier, &mut self.random, &mut slot.packet)
            .map_err(|e| Error::Setup(format!("a request cannot be made: {e}")))?;
        let Some((request, about)) = asked else {
            self.free.push_front(index);
            return Ok(false);
        };
        slot.request = request;
        slot.about = Some(about);
        slot.due = due;
        slot.last_sent = now;
        slot.sent_again = 0;
        self.outstanding += 1;
        self.send(index)?;
        Ok(true)
    }

    fn send(&self, index: usize) -> Result<()> {
        match self.sockets[index % self.sockets.len()].send(&self.slots[index].packet) {
            Ok(_) => Ok(()),
            // Not sent is as good as lost on the way: the retransmission covers it.
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => Ok(()),
            Err(e) => Err(Error::io("send to the server", e)),
        }
    }

    /// Rest until there may be something to do.
    fn wait(&mut self, now: Instant) -> Result<()> {
        let until = match self.pace {
            Pace::Rate(_) if now < self.schedule.end => self.next_due.min(self.next_scan),
            Pace::Rate(_) => self.next_scan,
            Pace::Saturate { .. } => {
                std::thread::sleep(BATCH);
                self.next_scan
            }
        };
        let rest = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(rest).map_err(|_| Error::Setup("a rest too long to wait".to_owned()))?;
        let mut ready: Vec<_> = self
            .sockets
            .iter()
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        match poll(&mut ready, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(Error::io("wait for the server", e.into())),
        }
    }
}

fn connect(server: SocketAddr) -> Result<UdpSocket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let open = || {
        let socket = UdpSocket::bind(any)?;
        set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        Ok(socket)
    };
    open().map_err(|e| Error::io(format!("open a socket to {server}"), e))
}
