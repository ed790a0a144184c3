//! The contenders side by side: all servers up, one loaded at a time, in rounds, since the machine is never quiet.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::contender::Contender;
use crate::error::{Error, Result};
use crate::load::{self, LoadConfig, Outcome, Pace};
use crate::postgres::Cluster;
use crate::server::{SECRET, Server, Workload};

/// A server under test.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) contender: Contender,
    pub(crate) server: Server,
    /// Where its outcomes are logged.
    pub(crate) database: Option<&'static str>,
}

/// One run of the generator against one server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measurement {
    pub(crate) per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// Processor time for each answer, microseconds: of the server's process, and of the generator.
    /// Steadier than the rate where others use the machine.
    pub(crate) server_cpu_us: f64,
    pub(crate) generator_cpu_us: f64,
    pub(crate) accepts: u64,
    pub(crate) rejects: u64,
    pub(crate) retransmits: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) wrong: u64,
    pub(crate) wrong_examples: Vec<String>,
    /// Where outcomes are logged.
    pub(crate) logged: Option<Logged>,
}

/// What reached `radpostauth` of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Logged {
    /// Of the outcomes answered.
    pub(crate) share: f64,
    /// Rows over the time from the first request to the last row, which may come long after the last answer.
    pub(crate) per_second: f64,
}

/// What one contender did under one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) contender: Contender,
    pub(crate) workload: Workload,
    /// At saturation, one a round.
    pub(crate) rounds: Vec<Measurement>,
    /// Requests a second asked for in `paced`.
    pub(crate) paced_rate: f64,
    pub(crate) paced: Measurement,
}

impl Series {
    pub(crate) fn per_second(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.per_second))
    }

    pub(crate) fn server_cpu_us(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.server_cpu_us))
    }

    /// At saturation: the smallest share of outcomes logged in any round, and the median of the rows a second.
    pub(crate) fn logged(&self) -> Option<Logged> {
        let rounds = || self.rounds.iter().filter_map(|round| round.logged);
        Some(Logged {
            share: rounds().map(|logged| logged.share).min_by(f64::total_cmp)?,
            per_second: median(rounds().map(|logged| logged.per_second)),
        })
    }

    pub(crate) fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        self.rounds.iter().chain([&self.paced])
    }
}

/// Middle value; 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Measure the servers against each other.
pub(crate) fn run(load: &LoadConfig, rounds: u32, entries: &[Entry], cluster: &Cluster) -> Result<Vec<Series>> {
    let lineup: Vec<(&Entry, Workload)> = entries
        .iter()
        .map(|entry| (entry, Workload::Lookup))
        .chain(
            entries
                .iter()
                .filter(|e| e.database.is_some())
                .map(|entry| (entry, Workload::Logged)),
        )
        .collect();
    let mut saturated: Vec<Vec<Measurement>> = lineup.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..lineup.len()).collect();
        // There and back, so that a drift of the machine falls on all alike.
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let (entry, workload) = lineup[index];
            // All contenders of a round get the same requests.
            let load = LoadConfig {
                seed: load.seed + u64::from(round),
                ..load.clone()
            };
            let measured = measure_logged(&load, entry, workload, cluster)?;
            progress(&format!("round {}", round + 1), entry.contender, workload, &measured);
            saturated[index].push(measured);
        }
    }
    let mut all = Vec::new();
    for ((entry, workload), rounds) in lineup.into_iter().zip(saturated) {
        // Half of what it can do: enough to queue now and then, never for long.
        let paced_rate = (median(rounds.iter().map(|round| round.per_second)) / 2.0).max(1.0);
        let load = LoadConfig {
            pace: Pace::Rate(paced_rate),
            ..load.clone()
        };
        let paced = measure_logged(&load, entry, workload, cluster)?;
        progress("half speed", entry.contender, workload, &paced);
        all.push(Series {
            contender: entry.contender,
            workload,
            rounds,
            paced_rate,
            paced,
        });
    }
    Ok(all)
}

fn progress(what: &str, contender: Contender, workload: Workload, measured: &Measurement) {
    let (name, workload) = (contender.name(), workload.name());
    eprintln!(
        "  {what}: {name:<5} {workload:<6} {:>8.0} packets/s",
        measured.per_second
    );
}

/// A run, and how much of it was logged.
fn measure_logged(load: &LoadConfig, entry: &Entry, workload: Workload, cluster: &Cluster) -> Result<Measurement> {
    let table = entry.database.filter(|_| workload == Workload::Logged);
    let count = || table.map_or(Ok(0), |database| cluster.count(database, "radpostauth"));
    let before = count()?;
    let start = Instant::now();
    let (outcome, mut measured) = measure(load, &entry.server, workload)?;
    if table.is_some() {
        let (written, last_row) = settle(|| Ok(count()? - before), outcome.answered)?;
        measured.logged = Some(Logged {
            share: written as f64 / outcome.answered.max(1) as f64,
            per_second: written as f64 / (last_row - start).as_secs_f64(),
        });
    }
    Ok(measured)
}

/// Wait until `count` reaches `expected` or stops rising: what is still queued belongs to the run that queued it.
/// Returns what it reached and when.
fn settle(count: impl Fn() -> Result<u64>, expected: u64) -> Result<(u64, Instant)> {
    const STILL: Duration = Duration::from_secs(2);
    let (mut last, mut since) = (count()?, Instant::now());
    while last < expected && since.elapsed() < STILL {
        std::thread::sleep(Duration::from_millis(100));
        let now = count()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok((last, since))
}

/// One run of the generator against one port of one server.
pub(crate) fn measure(load: &LoadConfig, server: &Server, workload: Workload) -> Result<(Outcome, Measurement)> {
    let config = LoadConfig {
        server: server.address(workload),
        secret: SECRET.as_bytes().to_vec(),
        ..load.clone()
    };
    let mut used = Vec::new();
    let outcome = load::run(&config, || {
        used.push(server.cpu_time().map(|cpu| (cpu, own_cpu_time())))
    })?;
    let used = used.into_iter().collect::<Result<Vec<_>>>()?;
    let [(server_before, own_before), (server_after, own_after)] = used[..] else {
        return Err(Error::Setup("the processor time used was not sampled".to_owned()));
    };
    let each = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.answers().max(1) as f64
    };
    let micros = |share| outcome.latency(share).map_or(0, |latency| latency.as_micros() as u64);
    let measured = Measurement {
        per_second: outcome.per_second(),
        p50_us: micros(0.5),
        p99_us: micros(0.99),
        max_us: micros(1.0),
        server_cpu_us: each(server_before, server_after),
        generator_cpu_us: each(own_before, own_after),
        accepts: outcome.accepts,
        rejects: outcome.rejects,
        retransmits: outcome.retransmits,
        lost: outcome.lost,
        duplicates: outcome.duplicates,
        wrong: outcome.wrong,
        wrong_examples: outcome.wrong_examples.clone(),
        logged: None,
    };
    Ok((outcome, measured))
}

pub(crate) fn own_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(std::iter::empty()), 0.0);
    }

    #[test]
    fn settling_waits_for_the_last_row() {
        let rows = Cell::new(0);
        let written = settle(
            || {
                rows.set(rows.get() + 2);
                Ok(rows.get())
            },
            6,
        );
        assert_eq!(written.unwrap().0, 6);
    }
}
