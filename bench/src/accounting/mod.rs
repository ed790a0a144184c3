//! Accounting side by side: what a server takes, and what is in the database afterwards.
//!
//! The yardstick is the same server answering `ok` and storing nothing. Every contender is asked for the same sessions;
//! after each run its tables must hold what was acknowledged, to the octet.

mod report;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use isp_core::radius::SharedSecret;
use serde::Serialize;

use crate::compare::{median, own_cpu_time};
use crate::contender::rust::Rust;
use crate::contender::stock_sql;
use crate::error::{Error, Result};
use crate::load::sessions::{Books, Sessions};
use crate::load::{self, LoadConfig, Outcome, Pace};
use crate::postgres::Cluster;
use crate::server::{Module, SECRET, Server, Workload};

/// What is acknowledged must be in the tables within this.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// A backlog that is gone this soon after the load did not grow under it.
const KEPT_UP_WITHIN: Duration = Duration::from_secs(1);
/// Sustained load on PostgreSQL, as a multiple of what stock `sql` takes.
const SUSTAINED: f64 = 4.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Answers, stores nothing.
    Nothing,
    RustPostgres,
    SqlPostgres,
    RustSqlite,
    SqlSqlite,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Nothing,
        Self::RustPostgres,
        Self::SqlPostgres,
        Self::RustSqlite,
        Self::SqlSqlite,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "ok, nothing stored",
            Self::RustPostgres => "rust, PostgreSQL",
            Self::SqlPostgres => "sql, PostgreSQL",
            Self::RustSqlite => "rust, SQLite",
            Self::SqlSqlite => "sql, SQLite",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) freeradius: PathBuf,
    pub(crate) module: PathBuf,
    pub(crate) only: Vec<Kind>,
    /// Packets per second of the sustained run, if it is not to be a multiple of what stock `sql` takes.
    pub(crate) sustained: Option<f64>,
    /// Lines of the base that report.
    pub(crate) lines: u32,
    pub(crate) rounds: u32,
    pub(crate) threads: u32,
    pub(crate) window: u32,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// Closed and open sessions put into the tables first.
    pub(crate) history: (u64, u64),
    /// Whether the run is held to figures.
    pub(crate) targets: bool,
}

/// Where a contender keeps its sessions.
enum Tables {
    None,
    Postgres(&'static str),
    Sqlite(PathBuf),
}

struct Entry {
    kind: Kind,
    server: Server,
    tables: Tables,
    /// Rows with a higher number are of this benchmark.
    history: i64,
    sessions: Vec<Sessions>,
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    per_second: f64,
    p50_us: u64,
    p99_us: u64,
    lost: u64,
    wrong: u64,
    wrong_examples: Vec<String>,
    /// Processor time for each answer, microseconds.
    server_cpu_us: f64,
    generator_cpu_us: f64,
    /// From the end of the load until the tables held what was acknowledged; `None` = they never did.
    settled_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Series {
    kind: Kind,
    rounds: Vec<Run>,
    paced_rate: f64,
    paced: Run,
}

impl Series {
    fn per_second(&self) -> f64 {
        median(self.rounds.iter().map(|run| run.per_second))
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.rounds.iter().chain([&self.paced])
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    lines: u32,
    history: (u64, u64),
    series: Vec<Series>,
    sustained_rate: f64,
    /// `rust` on PostgreSQL at `sustained_rate`.
    sustained: Option<Run>,
    #[serde(skip)]
    held_to_figures: bool,
}

/// Set everything up, measure, report.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let directory = tempfile::Builder::new()
        .prefix("bench-acct-")
        .tempdir()
        .map_err(|e| Error::io("make a working directory", e))?;
    let cluster = Cluster::start()?;
    let mut entries = Vec::new();
    if !stock_sql::readable() {
        eprintln!("  without stock sql: the server's own configuration cannot be read by this user");
    }
    for kind in Kind::ALL.into_iter().filter(|kind| options.only.contains(kind)) {
        if matches!(kind, Kind::SqlPostgres | Kind::SqlSqlite) && !stock_sql::readable() {
            continue;
        }
        eprintln!("  preparing {}", kind.name());
        entries.push(prepare(options, kind, &cluster, directory.path())?);
    }
    let mut rounds: Vec<Vec<Run>> = entries.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        // There and back, so that a drift of the machine falls on all alike.
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let pace = Pace::Saturate { window: options.window };
            let run = measure(
                options,
                &mut entries[index],
                pace,
                &cluster,
                &format!("round {}", round + 1),
            )?;
            rounds[index].push(run);
        }
    }
    let mut series = Vec::new();
    for (entry, rounds) in entries.iter_mut().zip(rounds) {
        let paced_rate = (median(rounds.iter().map(|run| run.per_second)) / 2.0).max(1.0);
        let paced = measure(options, entry, Pace::Rate(paced_rate), &cluster, "half speed")?;
        series.push(Series {
            kind: entry.kind,
            rounds,
            paced_rate,
            paced,
        });
    }
    let stock = rate(&series, Kind::SqlPostgres);
    let sustained_rate = options.sustained.unwrap_or(SUSTAINED * stock);
    let sustained = match entries.iter_mut().find(|entry| entry.kind == Kind::RustPostgres) {
        Some(entry) if sustained_rate > 0.0 => {
            let options = Options {
                duration: options.duration * 3,
                ..options.clone()
            };
            Some(measure(
                &options,
                entry,
                Pace::Rate(sustained_rate),
                &cluster,
                "sustained",
            )?)
        }
        _ => None,
    };
    for entry in entries {
        entry.server.stop()?;
    }
    Ok(Report {
        lines: options.lines,
        history: options.history,
        series,
        sustained_rate,
        sustained,
        held_to_figures: options.targets,
    })
}

fn rate(series: &[Series], kind: Kind) -> f64 {
    series
        .iter()
        .find(|series| series.kind == kind)
        .map_or(0.0, Series::per_second)
}

fn prepare(options: &Options, kind: Kind, cluster: &Cluster, directory: &Path) -> Result<Entry> {
    let place = directory.join(match kind {
        Kind::Nothing => "ok",
        Kind::RustPostgres => "rust-postgres",
        Kind::SqlPostgres => "sql-postgres",
        Kind::RustSqlite => "rust-sqlite",
        Kind::SqlSqlite => "sql-sqlite",
    });
    std::fs::create_dir(&place).map_err(|e| Error::io(format!("make {}", place.display()), e))?;
    let file = place.join("isp.db");
    let (module, tables) = match kind {
        Kind::Nothing => (nothing(), Tables::None),
        Kind::RustPostgres => {
            const DATABASE: &str = "bench_acct_rust";
            let rust = Rust::new(&options.module, &place)?;
            rust.fill(cluster, DATABASE, options.lines)?;
            fill_history(cluster, DATABASE, options.history)?;
            let module = rust.module(&cluster.url(DATABASE), &place.join("snapshot"));
            (module, Tables::Postgres(DATABASE))
        }
        Kind::SqlPostgres => {
            const DATABASE: &str = "bench_acct_sql";
            let module = stock_sql::on_postgres(cluster, DATABASE, options.threads)?;
            (module, Tables::Postgres(DATABASE))
        }
        Kind::RustSqlite => {
            let rust = Rust::new(&options.module, &place)?;
            let url = format!("sqlite://{}", file.display());
            rust.fill_url(&url, options.lines)?;
            (rust.module(&url, &place.join("snapshot")), Tables::Sqlite(file))
        }
        Kind::SqlSqlite => (stock_sql::on_sqlite(&file, options.threads)?, Tables::Sqlite(file)),
    };
    let server = Server::start(&options.freeradius, options.threads, &module)?;
    let history = tables.newest(cluster)?;
    let secret = SharedSecret::new(SECRET.as_bytes()).map_err(|e| Error::Setup(e.to_string()))?;
    Ok(Entry {
        kind,
        server,
        tables,
        history,
        sessions: vec![Sessions::new(secret, 0, options.lines)],
    })
}

/// The yardstick.
fn nothing() -> Module {
    Module {
        name: "ok",
        section: "\talways ok {\n\t\trcode = ok\n\t}\n".to_owned(),
        logs: false,
        accounts: true,
        library_dir: None,
    }
}

/// Closed sessions over three years, and open ones, as years of service leave them.
fn fill_history(cluster: &Cluster, database: &str, (closed, open): (u64, u64)) -> Result<()> {
    if closed + open == 0 {
        return Ok(());
    }
    eprintln!("  putting {closed} closed and {open} open sessions into {database}");
    cluster.psql(database, |sql| {
        let columns = "acctsessionid, acctuniqueid, username, nasipaddress, nasportid, acctstarttime, acctupdatetime,
            acctstoptime, acctsessiontime, acctinputoctets, acctoutputoctets, callingstationid, calling_mac,
            framedipaddress, delegatedipv6prefix, tenant_id, subscriber_id, start_reported, gigawords";
        let values =
            "'h' || n, md5('h' || n), 'old' || n % 1000000, '192.0.2.1', 'ether1', start, start + interval '1 hour',
            stop, 3600, 1000000, 9000000, '02:00:5f:00:00:01', lpad(to_hex(n % 1000000), 12, '0'),
            ('100.64.0.0'::inet + n % 4000000), set_masklen('2001:db8::'::inet + (n % 1000000) * 256, 56),
            'bench', 'old-' || n % 1000000, true, true";
        writeln!(
            sql,
            "SELECT radacct_create_month(now() - make_interval(months => m)) FROM generate_series(0, 36) m;"
        )?;
        // Made again when the rows are there, which is many times faster.
        writeln!(
            sql,
            "CREATE TEMP TABLE indexes AS
                SELECT indexrelid::regclass::text AS name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS definition
                FROM pg_index WHERE indrelid = 'radacct'::regclass;
            SELECT 'DROP INDEX ' || name FROM indexes \\gexec"
        )?;
        writeln!(
            sql,
            "INSERT INTO radacct ({columns}) SELECT {values} FROM (
                SELECT n, start, start + interval '1 hour' AS stop FROM (
                    SELECT n, now() - interval '2 hours' - n * interval '1 s' * (94608000.0 / {closed}) AS start
                    FROM generate_series(1, {closed}) n) s) h;"
        )?;
        writeln!(
            sql,
            "INSERT INTO radacct ({columns}) SELECT {values} FROM (
                SELECT n + 100000000 AS n, now() - n * interval '1 s' AS start, NULL::timestamptz AS stop
                FROM generate_series(1, {open}) n) h;"
        )?;
        writeln!(sql, "SELECT definition FROM indexes \\gexec")?;
        writeln!(sql, "VACUUM ANALYZE;")
    })
}

impl Tables {
    fn ask(&self, cluster: &Cluster, query: &str) -> Result<Option<String>> {
        match self {
            Self::None => Ok(None),
            Self::Postgres(database) => cluster.ask(database, query).map(Some),
            Self::Sqlite(file) => {
                let program = "import sqlite3, sys; c = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True, timeout=60); \
                    print('|'.join(str(v) for v in c.execute(sys.argv[2]).fetchone()))";
                let output = Command::new("python3")
                    .args(["-c", program])
                    .arg(file)
                    .arg(query)
                    .output()
                    .map_err(|e| Error::io("run python3", e))?;
                if !output.status.success() {
                    return Err(Error::Setup(String::from_utf8_lossy(&output.stderr).into_owned()));
                }
                Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
            }
        }
    }

    fn newest(&self, cluster: &Cluster) -> Result<i64> {
        let newest = self.ask(cluster, "SELECT coalesce(max(radacctid), 0) FROM radacct")?;
        Ok(newest.and_then(|text| text.parse().ok()).unwrap_or_default())
    }

    /// Whether the tables hold this, and no more.
    fn hold(&self, cluster: &Cluster, history: i64, books: &Books) -> Result<bool> {
        let query = format!(
            "SELECT count(*), count(acctstoptime), coalesce(sum(acctinputoctets), 0), coalesce(sum(acctoutputoctets), 0)
             FROM radacct WHERE radacctid > {history}"
        );
        let found = self.ask(cluster, &query)?;
        let expected = format!(
            "{}|{}|{}|{}",
            books.sessions, books.closed, books.upload, books.download
        );
        Ok(found.is_none_or(|found| found == expected))
    }
}

fn measure(options: &Options, entry: &mut Entry, pace: Pace, cluster: &Cluster, what: &str) -> Result<Run> {
    let config = LoadConfig {
        server: entry.server.address(Workload::Accounting),
        pace,
        warm_up: options.warm_up,
        duration: options.duration,
        ..LoadConfig::default()
    };
    let mut used = Vec::new();
    let (outcome, sessions) = load::run_traffic(&config, std::mem::take(&mut entry.sessions), || {
        used.push(entry.server.cpu_time().map(|cpu| (cpu, own_cpu_time())));
    })?;
    let ended = Instant::now();
    entry.sessions = sessions;
    let books = entry.sessions.iter().map(Sessions::books).next().unwrap_or_default();
    let settled = loop {
        if entry.tables.hold(cluster, entry.history, &books)? {
            break Some(ended.elapsed().as_secs_f64());
        }
        if ended.elapsed() > SETTLED_WITHIN || (outcome.lost > 0 && ended.elapsed() > SETTLED_WITHIN / 8) {
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let used = used.into_iter().collect::<Result<Vec<_>>>()?;
    let run = judged(&outcome, &used, settled);
    eprintln!(
        "  {what}: {:<18} {:>8.0} packets/s, in the tables {}",
        entry.kind.name(),
        run.per_second,
        settled.map_or("never".to_owned(), |seconds| format!("{seconds:.1} s later"))
    );
    Ok(run)
}

fn judged(outcome: &Outcome, used: &[(Duration, Duration)], settled_seconds: Option<f64>) -> Run {
    let micros = |share| outcome.latency(share).map_or(0, |latency| latency.as_micros() as u64);
    let each = |of: fn(&(Duration, Duration)) -> Duration| match used {
        [before, after] => of(after).saturating_sub(of(before)).as_secs_f64() * 1e6 / outcome.answers().max(1) as f64,
        _ => 0.0,
    };
    Run {
        per_second: outcome.per_second(),
        p50_us: micros(0.5),
        p99_us: micros(0.99),
        lost: outcome.lost,
        wrong: outcome.wrong,
        wrong_examples: outcome.wrong_examples.clone(),
        server_cpu_us: each(|used| used.0),
        generator_cpu_us: each(|used| used.1),
        settled_seconds,
    }
}
