//! `rlm_rust` with a large base: memory for each subscriber, and how soon a restarted server serves.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::compare::{Measurement, measure};
use crate::contender::rust::Rust;
use crate::error::{Error, Result};
use crate::load::LoadConfig;
use crate::postgres::Cluster;
use crate::server::{Server, Workload};

/// The base whose memory is subtracted: the same server under the same load, with next to no subscribers.
const SMALL: u32 = 1_000;
const COPY_WITHIN: Duration = Duration::from_secs(120);

#[derive(Debug, Serialize)]
pub(crate) struct Scale {
    pub(crate) users: u32,
    pub(crate) load: Measurement,
    /// From the start of the process to "Ready to process requests".
    pub(crate) ready_from_database_seconds: f64,
    /// The database is not there; the copy on disk is.
    pub(crate) ready_from_disk_seconds: f64,
    /// After the start from disk, under load.
    pub(crate) load_from_disk: Measurement,
    /// Resident after the load, bytes.
    pub(crate) small_resident: u64,
    pub(crate) resident: u64,
    pub(crate) resident_from_disk: u64,
    /// The highest there was, while loading included.
    pub(crate) peak_resident: u64,
    pub(crate) copy_bytes: u64,
}

impl Scale {
    /// Resident bytes each subscriber costs, the worse of both ways to start.
    pub(crate) fn bytes_per_subscriber(&self) -> f64 {
        let more = self
            .resident
            .max(self.resident_from_disk)
            .saturating_sub(self.small_resident);
        more as f64 / f64::from(self.users.saturating_sub(SMALL).max(1))
    }
}

/// Measure a base of `users`; `start` starts a server with a module.
pub(crate) fn run(
    rust: &Rust,
    cluster: &Cluster,
    directory: &Path,
    users: u32,
    load: &LoadConfig,
    start: impl Fn(&crate::server::Module) -> Result<Server>,
) -> Result<Scale> {
    eprintln!("  filling a database with {users} subscribers");
    rust.fill(cluster, "bench_small", SMALL)?;
    rust.fill(cluster, "bench_large", users)?;

    let small = start(&rust.module(&cluster.url("bench_small"), &directory.join("small.snapshot")))?;
    measured(load, SMALL, &small)?;
    let (small_resident, _) = small.resident()?;
    small.stop()?;

    let copy = directory.join("large.snapshot");
    let server = start(&rust.module(&cluster.url("bench_large"), &copy))?;
    let ready_from_database_seconds = server.ready_after().as_secs_f64();
    let load_from_database = measured(load, users, &server)?;
    let (resident, peak_resident) = server.resident()?;
    server.stop()?;
    let copy_bytes = wait_for(&copy)?;

    // Nothing listens there: to the module the database is down.
    let nowhere = format!("postgres://isp@127.0.0.1:{}/bench_large", unused_port()?);
    let server = start(&rust.module(&nowhere, &copy))?;
    let ready_from_disk_seconds = server.ready_after().as_secs_f64();
    let load_from_disk = measured(load, users, &server)?;
    let (resident_from_disk, peak_from_disk) = server.resident()?;
    server.stop()?;

    Ok(Scale {
        users,
        load: load_from_database,
        ready_from_database_seconds,
        ready_from_disk_seconds,
        load_from_disk,
        small_resident,
        resident,
        resident_from_disk,
        peak_resident: peak_resident.max(peak_from_disk),
        copy_bytes,
    })
}

fn measured(load: &LoadConfig, users: u32, server: &Server) -> Result<Measurement> {
    let (_, measured) = measure(&LoadConfig { users, ..load.clone() }, server, Workload::Lookup)?;
    Ok(measured)
}

/// Size of the copy on disk, once it is there.
fn wait_for(copy: &Path) -> Result<u64> {
    let since = Instant::now();
    loop {
        match std::fs::metadata(copy) {
            Ok(file) => return Ok(file.len()),
            Err(e) if since.elapsed() > COPY_WITHIN => return Err(Error::io(format!("find {}", copy.display()), e)),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn unused_port() -> Result<u16> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| Error::io("find a free port", e))
}
