//! What is shown and kept of a run.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::chart;
use crate::compare::{Measurement, Series, median};
use crate::contender::Contender;
use crate::error::{Error, Result};
use crate::scale::Scale;
use crate::server::Workload;

/// The results of a run; `results.json` is this.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) users: u32,
    /// Worker threads of each server.
    pub(crate) threads: u32,
    /// Requests outstanding at saturation.
    pub(crate) window: u32,
    pub(crate) series: Vec<Series>,
    pub(crate) scale: Option<Scale>,
    pub(crate) targets: Vec<Target>,
}

/// A figure that is wanted.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) wanted: String,
    pub(crate) got: f64,
    pub(crate) met: bool,
}

impl Target {
    fn at_least(name: &str, least: f64, got: f64) -> Self {
        Self {
            name: name.to_owned(),
            wanted: format!(">= {least}"),
            got,
            met: got >= least,
        }
    }

    fn at_most(name: &str, most: f64, got: f64) -> Self {
        Self {
            name: name.to_owned(),
            wanted: format!("<= {most}"),
            got,
            met: got <= most,
        }
    }
}

/// Median over the rounds of one contender's rate as a multiple of another's in the same round.
fn ratio(series: &[Series], workload: Workload, of: Contender, to: Contender) -> Option<f64> {
    let rounds = |contender| {
        series
            .iter()
            .find(|s| s.contender == contender && s.workload == workload)
            .map(|s| s.rounds.as_slice())
    };
    let pairs = rounds(of)?.iter().zip(rounds(to)?);
    Some(median(pairs.map(|(of, to)| of.per_second / to.per_second)))
}

/// What the run is held to.
pub(crate) fn targets(series: &[Series], scale: Option<&Scale>) -> Vec<Target> {
    let ratios = [
        ("rust / files, lookup", 0.95, Workload::Lookup, Contender::Files),
        ("rust / sql, lookup", 20.0, Workload::Lookup, Contender::Sql),
        ("rust / sql, logged", 20.0, Workload::Logged, Contender::Sql),
    ];
    let mut targets: Vec<Target> = ratios
        .into_iter()
        .filter_map(|(name, least, workload, to)| {
            Some(Target::at_least(
                name,
                least,
                ratio(series, workload, Contender::Rust, to)?,
            ))
        })
        .collect();
    if let Some(scale) = scale {
        targets.push(Target::at_most(
            "resident bytes / subscriber",
            400.0,
            scale.bytes_per_subscriber(),
        ));
        targets.push(Target::at_most(
            "seconds to ready, database",
            10.0,
            scale.ready_from_database_seconds,
        ));
        targets.push(Target::at_most(
            "seconds to ready, disk",
            10.0,
            scale.ready_from_disk_seconds,
        ));
    }
    targets
}

impl Report {
    fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        let compared = self.series.iter().flat_map(Series::measurements);
        compared.chain(self.scale.iter().flat_map(|scale| [&scale.load, &scale.load_from_disk]))
    }

    pub(crate) fn wrong(&self) -> u64 {
        self.measurements().map(|run| run.wrong).sum()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.measurements().map(|run| run.lost).sum()
    }

    /// A server that answered nothing was not measured.
    pub(crate) fn silent(&self) -> bool {
        self.measurements().any(|run| run.accepts == 0)
    }

    /// Write `results.json` and `chart.svg` into `directory`.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(|e| Error::io(format!("make {}", directory.display()), e))?;
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|e| Error::io(format!("write {}", path.display()), e))
        };
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::Setup(format!("results: {e}")))?;
        write("results.json", json)?;
        write("chart.svg", chart::svg(self))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{}\n{} subscribers, PAP, 4 reply attributes, {} server threads, {} requests outstanding; medians of rounds\n",
            self.machine, self.users, self.threads, self.window
        )?;
        let header =
            "module  workload  packets/s   CPU us  | at half speed:  p50 ms   p99 ms   max ms  | logged  lost  wrong";
        writeln!(f, "{header}\n{}", "-".repeat(header.len()))?;
        for series in &self.series {
            let paced = &series.paced;
            let millis = |micros: u64| micros as f64 / 1e3;
            let logged = series
                .logged()
                .map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
            writeln!(
                f,
                "{:<6}  {:<8}  {:>9.0}  {:>7.1}  | {:>22.2} {:>8.2} {:>8.2}  | {:>6}  {:>4}  {:>5}",
                series.contender.name(),
                series.workload.name(),
                series.per_second(),
                series.server_cpu_us(),
                millis(paced.p50_us),
                millis(paced.p99_us),
                millis(paced.max_us),
                logged,
                series.measurements().map(|run| run.lost).sum::<u64>(),
                series.measurements().map(|run| run.wrong).sum::<u64>(),
            )?;
        }
        if let Some(scale) = &self.scale {
            let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            writeln!(f, "\nrust with {} subscribers", scale.users)?;
            writeln!(
                f,
                "  packets/s                {:.0} (started from disk: {:.0})",
                scale.load.per_second, scale.load_from_disk.per_second
            )?;
            writeln!(
                f,
                "  resident                 {:.1} MiB (from disk {:.1}, peak {:.1}, with 1000 subscribers {:.1})",
                mebibytes(scale.resident),
                mebibytes(scale.resident_from_disk),
                mebibytes(scale.peak_resident),
                mebibytes(scale.small_resident)
            )?;
            writeln!(f, "  copy on disk             {:.1} MiB", mebibytes(scale.copy_bytes))?;
        }
        writeln!(f)?;
        for target in &self.targets {
            let verdict = if target.met { "met" } else { "MISSED" };
            writeln!(
                f,
                "{:<28} {:>8.2}   wanted {:<8} {verdict}",
                target.name, target.got, target.wanted
            )?;
        }
        for example in self.measurements().flat_map(|run| &run.wrong_examples) {
            writeln!(f, "wrong answer: {example}")?;
        }
        Ok(())
    }
}
