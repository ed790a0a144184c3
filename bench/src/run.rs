//! The benchmark: set everything up, compare, scale, report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::compare::{self, Entry};
use crate::contender::rust::Rust;
use crate::contender::{Contender, files, sql};
use crate::error::{Error, Result};
use crate::load::{LoadConfig, Pace};
use crate::postgres::Cluster;
use crate::report::{self, Report};
use crate::scale;
use crate::server::{Module, Server};

#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The server program.
    pub(crate) freeradius: PathBuf,
    /// The built module.
    pub(crate) module: PathBuf,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) users: u32,
    /// Base of the scale part; 0 leaves it out.
    pub(crate) large: u32,
    pub(crate) rounds: u32,
    /// Worker threads of each server.
    pub(crate) threads: u32,
    pub(crate) window: u32,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    pub(crate) message_authenticator: bool,
}

const RUST_DATABASE: &str = "bench_rust";

pub(crate) fn run(options: &Options) -> Result<Report> {
    let directory = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir()
        .map_err(|e| Error::io("make a working directory", e))?;
    let start = |module: &Module| Server::start(&options.freeradius, options.threads, module);
    let cluster = Cluster::start()?;
    let rust = if options.contenders.contains(&Contender::Rust) {
        Some(Rust::new(&options.module, directory.path())?)
    } else {
        None
    };
    let load = LoadConfig {
        users: options.users,
        pace: Pace::Saturate { window: options.window },
        warm_up: options.warm_up,
        duration: options.duration,
        message_authenticator: options.message_authenticator,
        ..LoadConfig::default()
    };

    let mut entries = Vec::new();
    for &contender in &options.contenders {
        eprintln!("  preparing {} with {} subscribers", contender.name(), options.users);
        let (module, database) = prepare(options, contender, rust.as_ref(), &cluster, directory.path())?;
        entries.push(Entry {
            contender,
            server: start(&module)?,
            database,
        });
    }
    let series = compare::run(&load, options.rounds, &entries, &cluster)?;
    for entry in entries {
        entry.server.stop()?;
    }

    let scale = match &rust {
        Some(rust) if options.large > 0 => Some(scale::run(
            rust,
            &cluster,
            directory.path(),
            options.large,
            &load,
            start,
        )?),
        _ => None,
    };
    Ok(Report {
        machine: machine(&options.freeradius),
        users: options.users,
        threads: options.threads,
        window: options.window,
        targets: report::targets(&series, scale.as_ref()),
        series,
        scale,
    })
}

/// The contender's base, the module that serves it, and the database its outcomes go to.
fn prepare(
    options: &Options,
    contender: Contender,
    rust: Option<&Rust>,
    cluster: &Cluster,
    directory: &Path,
) -> Result<(Module, Option<&'static str>)> {
    match (contender, rust) {
        (Contender::Files, _) => Ok((files::prepare(directory, options.users)?, None)),
        (Contender::Sql, _) => Ok((
            sql::prepare(cluster, options.users, options.threads)?,
            Some(sql::DATABASE),
        )),
        (Contender::Rust, Some(rust)) => {
            rust.fill(cluster, RUST_DATABASE, options.users)?;
            let module = rust.module(&cluster.url(RUST_DATABASE), &directory.join("rust.snapshot"));
            Ok((module, Some(RUST_DATABASE)))
        }
        (Contender::Rust, None) => Err(Error::Setup("the module was not found".to_owned())),
    }
}

/// Processors and server, since the figures mean nothing without them.
fn machine(freeradius: &Path) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("", |(_, m)| m);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let version = std::process::Command::new(freeradius)
        .arg("-v")
        .output()
        .map(|output| output.stdout);
    let version = String::from_utf8_lossy(&version.unwrap_or_default()).into_owned();
    let version = version
        .lines()
        .next()
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or_default()
        .to_owned();
    format!("{count} x {model}; {version}")
}
