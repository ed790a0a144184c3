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

/// Ratios that explain the targets.
fn asides(series: &[Series]) -> Vec<(&'static str, f64)> {
    let of = |contender, workload, value: fn(&Series) -> Option<f64>| {
        series
            .iter()
            .find(|s| s.contender == contender && s.workload == workload)
            .and_then(value)
    };
    let ratio = |over: Contender, under: Contender, workload, value| {
        Some(of(over, workload, value)? / of(under, workload, value)?)
    };
    let cpu = |s: &Series| Some(s.server_cpu_us());
    let rate = |s: &Series| Some(s.per_second());
    let rows = |s: &Series| s.logged().map(|logged| logged.per_second);
    [
        // What the ratio of rates would be on a quiet machine, turned over.
        (
            "CPU of a lookup, rust / files",
            ratio(Contender::Rust, Contender::Files, Workload::Lookup, cpu),
        ),
        // A table in memory: about as far from sql as a module can get.
        (
            "files / sql, lookup",
            ratio(Contender::Files, Contender::Sql, Workload::Lookup, rate),
        ),
        (
            "rows logged, rust / sql",
            ratio(Contender::Rust, Contender::Sql, Workload::Logged, rows),
        ),
    ]
    .into_iter()
    .filter_map(|(what, ratio)| Some((what, ratio?)))
    .collect()
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
        let header = "module  workload  packets/s   CPU us  | at half speed:  p50 ms   p99 ms   max ms  | outcomes logged    | lost  wrong";
        writeln!(f, "{header}\n{}", "-".repeat(header.len()))?;
        for series in &self.series {
            let paced = &series.paced;
            let millis = |micros: u64| micros as f64 / 1e3;
            let logged = series.logged().map_or("-".to_owned(), |logged| {
                format!("{:.0}/s, {:.1} %", logged.per_second, logged.share * 100.0)
            });
            writeln!(
                f,
                "{:<6}  {:<8}  {:>9.0}  {:>7.1}  | {:>22.2} {:>8.2} {:>8.2}  | {:>18} | {:>4}  {:>5}",
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
        writeln!(f)?;
        for (what, ratio) in asides(&self.series) {
            writeln!(f, "{what:<28} {ratio:>8.2}")?;
        }
        for example in self.measurements().flat_map(|run| &run.wrong_examples) {
            writeln!(f, "wrong answer: {example}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(per_second: f64, server_cpu_us: f64) -> Measurement {
        Measurement {
            per_second,
            p50_us: 500,
            p99_us: 2_000,
            max_us: 9_000,
            server_cpu_us,
            generator_cpu_us: 3.0,
            accepts: 95,
            rejects: 5,
            retransmits: 0,
            lost: 0,
            duplicates: 0,
            wrong: 0,
            wrong_examples: Vec::new(),
            logged: None,
        }
    }

    fn series(contender: Contender, workload: Workload, rates: [f64; 3], cpu: f64) -> Series {
        Series {
            contender,
            workload,
            rounds: rates.map(|rate| measurement(rate, cpu)).to_vec(),
            paced_rate: 100.0,
            paced: measurement(100.0, cpu),
        }
    }

    fn report() -> Report {
        let series = vec![
            series(Contender::Files, Workload::Lookup, [100.0, 200.0, 50.0], 20.0),
            series(Contender::Sql, Workload::Lookup, [10.0, 10.0, 10.0], 100.0),
            series(Contender::Rust, Workload::Lookup, [110.0, 180.0, 50.0], 19.0),
        ];
        Report {
            machine: "a machine".to_owned(),
            users: 5,
            threads: 4,
            window: 256,
            targets: targets(&series, None),
            series,
            scale: None,
        }
    }

    #[test]
    fn ratios_compare_within_a_round() {
        let report = report();
        let got: Vec<_> = report.targets.iter().map(|t| (t.name.as_str(), t.got, t.met)).collect();
        // 1.1, 0.9 and 1.0 of files: the slow round was slow for both. No ratio of what was not measured.
        assert_eq!(
            got,
            [("rust / files, lookup", 1.0, true), ("rust / sql, lookup", 11.0, false)]
        );
        assert_eq!(
            asides(&report.series),
            [("CPU of a lookup, rust / files", 0.95), ("files / sql, lookup", 10.0)]
        );
    }

    #[test]
    fn wrong_answers_and_silence_show() {
        let mut report = report();
        assert_eq!((report.wrong(), report.silent()), (0, false));
        report.series[0].rounds[1].wrong = 2;
        report.series[1].paced.accepts = 0;
        assert_eq!((report.wrong(), report.silent()), (2, true));
    }

    #[test]
    fn table_and_chart_name_every_series() {
        let report = report();
        let (table, chart) = (report.to_string(), chart::svg(&report));
        for name in ["files", "sql", "rust"] {
            assert!(table.contains(name), "{table}");
            assert!(chart.contains(&format!(">{name} lookup<")), "{chart}");
        }
        assert!(table.contains("MISSED"), "{table}");
        assert_eq!(chart.matches("<rect x=").count(), 6);
        assert_eq!(chart.matches("<text").count(), chart.matches("</text>").count());
    }
}
