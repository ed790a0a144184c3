//! The comparison as a table, and the figures it is held to.

use std::fmt;
use std::path::Path;

use super::{KEPT_UP_WITHIN, Kind, Report, SUSTAINED, Series, rate};
use crate::compare::median;
use crate::error::{Error, Result};

/// A figure that is wanted.
struct Target {
    name: &'static str,
    got: f64,
    wanted: String,
    met: bool,
}

impl Report {
    fn targets(&self) -> Vec<Target> {
        if !self.held_to_figures {
            return Vec::new();
        }
        let of = |kind| rate(&self.series, kind);
        let (rust, sqlite) = (of(Kind::RustPostgres), of(Kind::RustSqlite));
        let ratio = |name, ours: f64, theirs: f64, least: f64| {
            let got = ours / theirs;
            // Nothing is said of what was not measured.
            (ours > 0.0 && theirs > 0.0).then(|| Target {
                name,
                got,
                wanted: format!(">= {least}"),
                met: got >= least,
            })
        };
        let mut targets: Vec<Target> = [
            ratio("rust / ok with nothing stored", rust, of(Kind::Nothing), 0.8),
            ratio("rust / sql, PostgreSQL", rust, of(Kind::SqlPostgres), 7.0),
            ratio("rust / sql, SQLite", sqlite, of(Kind::SqlSqlite), 20.0),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(sustained) = &self.sustained {
            let after = sustained.settled_seconds.unwrap_or(f64::INFINITY);
            let kept_up = after <= KEPT_UP_WITHIN.as_secs_f64();
            let share = sustained.per_second / self.sustained_rate;
            targets.push(Target {
                name: "sustained / sql, PostgreSQL",
                got: if kept_up { share * SUSTAINED } else { 0.0 },
                wanted: format!(">= {SUSTAINED}"),
                met: kept_up && share > 0.99,
            });
        }
        if let Some(series) = self.series.iter().find(|series| series.kind == Kind::RustPostgres) {
            let p99 = series.paced.p99_us as f64 / 1e3;
            targets.push(Target {
                name: "p99 at half speed, ms",
                got: p99,
                wanted: "<= 5".to_owned(),
                met: p99 <= 5.0,
            });
        }
        targets
    }

    /// Answers that were wrong, and runs of ours after which the tables did not hold what was acknowledged.
    pub(crate) fn faults(&self) -> u64 {
        let wrong: u64 = self.series.iter().flat_map(Series::runs).map(|run| run.wrong).sum();
        let ours = |series: &&Series| matches!(series.kind, Kind::RustPostgres | Kind::RustSqlite);
        let missing = self
            .series
            .iter()
            .filter(ours)
            .flat_map(Series::runs)
            .filter(|run| run.settled_seconds.is_none());
        wrong + missing.count() as u64
    }

    pub(crate) fn missed(&self) -> bool {
        self.targets().iter().any(|target| !target.met)
    }

    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).map_err(|e| Error::io(format!("make {}", directory.display()), e))?;
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::Setup(e.to_string()))?;
        let path = directory.join("accounting.json");
        std::fs::write(&path, json).map_err(|e| Error::io(format!("write {}", path.display()), e))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (closed, open) = self.history;
        writeln!(
            f,
            "\naccounting: {} lines, Start, 3 Interim-Updates, Stop; {closed} closed and {open} open sessions before; medians of rounds\n",
            self.lines
        )?;
        let header = "module              acknowledged/s   CPU us  | at half speed:  p50 ms   p99 ms  | in the tables after | lost  wrong";
        writeln!(f, "{header}\n{}", "-".repeat(header.len()))?;
        for series in &self.series {
            let millis = |micros: u64| micros as f64 / 1e3;
            let settled = series.rounds.iter().map(|run| run.settled_seconds);
            let settled = settled
                .collect::<Option<Vec<_>>>()
                .map_or("never complete".to_owned(), |seconds| {
                    format!("{:.1} s", seconds.into_iter().fold(0.0, f64::max))
                });
            writeln!(
                f,
                "{:<18}  {:>14.0}  {:>7.1}  | {:>22.2} {:>8.2}  | {:>19} | {:>4}  {:>5}",
                series.kind.name(),
                series.per_second(),
                median(series.rounds.iter().map(|run| run.server_cpu_us)),
                millis(series.paced.p50_us),
                millis(series.paced.p99_us),
                settled,
                series.runs().map(|run| run.lost).sum::<u64>(),
                series.runs().map(|run| run.wrong).sum::<u64>(),
            )?;
        }
        if let Some(run) = &self.sustained {
            let settled = run
                .settled_seconds
                .map_or("never".to_owned(), |seconds| format!("{seconds:.2} s"));
            writeln!(
                f,
                "\nsustained: rust, PostgreSQL at {:.0} packets/s: {:.0} acknowledged/s, all in the tables {settled} after the last",
                self.sustained_rate, run.per_second
            )?;
        }
        writeln!(f)?;
        for target in self.targets() {
            let verdict = if target.met { "met" } else { "MISSED" };
            writeln!(
                f,
                "{:<30} {:>8.2}   wanted {:<8} {verdict}",
                target.name, target.got, target.wanted
            )?;
        }
        for example in self
            .series
            .iter()
            .flat_map(Series::runs)
            .flat_map(|run| &run.wrong_examples)
        {
            writeln!(f, "wrong answer: {example}")?;
        }
        Ok(())
    }
}
