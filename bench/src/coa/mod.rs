//! Orders to NAS: how fast they get there, beside `radclient`, and what dead NAS cost the living.

mod outbox;

use std::fmt;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use isp_core::coa::{Client, Order, Outcome, Pacing, Retry, Target};
use isp_core::radius::{AttributeType, Code, Packet, PacketWriter, SharedSecret};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::compare::median;
use crate::error::{Error, Result};
use crate::postgres::Cluster;
use outbox::Outbox;

const SECRET: &str = "bench-shared-secret";
/// What `radclient -p` is given.
const PARALLEL: usize = 200;
/// Orders under way to each NAS of a fleet.
const AT_A_TIME: usize = 4;
/// Processes of radclient that are started one after the other.
const PROCESSES: u32 = 100;
const RETRY: Retry = Retry {
    attempts: 5,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(4),
};
/// Longest wait for a datagram before a receiver looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(50);

pub(crate) struct Options {
    pub(crate) radclient: PathBuf,
    pub(crate) orders: usize,
    pub(crate) rounds: u32,
    /// NAS of the fleet; half of them are dead.
    pub(crate) fleet: usize,
    /// To each NAS of the fleet.
    pub(crate) orders_each: usize,
    /// Through the outbox of PostgreSQL as well.
    pub(crate) postgres: bool,
    pub(crate) held_to_figures: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    orders: usize,
    /// Orders a second, round by round.
    native: Vec<f64>,
    radclient_parallel: Vec<f64>,
    radclient_process: Vec<f64>,
    /// Through the outbox, every result on disk: in all, and without placing the orders.
    sqlite: Durable,
    postgres: Durable,
    fleet: usize,
    /// Orders a second to the living, with the dead left alone and with orders for them, too.
    living_alone: Vec<f64>,
    living_with_dead: Vec<f64>,
    /// Orders that did not end as they should.
    wrong: u64,
    held_to_figures: bool,
}

#[derive(Debug, Default, Serialize)]
struct Durable {
    in_all: Vec<f64>,
    told: Vec<f64>,
}

/// Measure.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::io("start a runtime", e))?;
    let mut report = Report {
        orders: options.orders,
        native: Vec::new(),
        radclient_parallel: Vec::new(),
        radclient_process: Vec::new(),
        sqlite: Durable::default(),
        postgres: Durable::default(),
        fleet: options.fleet,
        living_alone: Vec::new(),
        living_with_dead: Vec::new(),
        wrong: 0,
        held_to_figures: options.held_to_figures,
    };
    let directory = tempfile::tempdir().map_err(|e| Error::io("make a directory", e))?;
    let url = format!("sqlite://{}", directory.path().join("isp.db").display());
    let sqlite = runtime.block_on(Outbox::open(&url, options.orders))?;
    let cluster = options.postgres.then(Cluster::start).transpose()?;
    let postgres = match &cluster {
        Some(cluster) => {
            cluster.create("coa")?;
            Some(runtime.block_on(Outbox::open(&cluster.url("coa"), options.orders))?)
        }
        None => None,
    };
    let nas = Nas::start(1)?;
    let fleet = Fleet::start(options.fleet)?;
    for _ in 0..options.rounds {
        let list = order_list(options.orders)?;
        let rate = timed(options.orders, || radclient(options, nas.addresses[0], list.path()))?;
        report.radclient_parallel.push(rate);
        let (rate, wrong) = runtime.block_on(tell_one(nas.addresses[0], options.orders))?;
        report.native.push(rate);
        report.wrong += wrong;
        for (outbox, rates) in [
            (Some(&sqlite), &mut report.sqlite),
            (postgres.as_ref(), &mut report.postgres),
        ] {
            let Some(outbox) = outbox else { continue };
            let told = runtime.block_on(outbox.tell(nas.addresses[0]))?;
            rates.in_all.push(told.in_all);
            rates.told.push(told.told);
            report.wrong += told.wrong;
        }
        let one = order_list(1)?;
        let rate = timed(PROCESSES as usize, || {
            (0..PROCESSES).try_for_each(|_| radclient(options, nas.addresses[0], one.path()))
        })?;
        report.radclient_process.push(rate);
        for (dead, rates) in [
            (&[][..], &mut report.living_alone),
            (&fleet.dead, &mut report.living_with_dead),
        ] {
            let (rate, wrong) = runtime.block_on(tell_fleet(&fleet.living.addresses, dead, options.orders_each))?;
            rates.push(rate);
            report.wrong += wrong;
        }
    }
    runtime.shutdown_background();
    Ok(report)
}

fn timed(orders: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(orders as f64 / begun.elapsed().as_secs_f64())
}

fn order(number: usize) -> Order {
    Order::disconnect()
        .with(AttributeType::USER_NAME, format!("user-{number:06}"))
        .with(AttributeType::ACCT_SESSION_ID, format!("{number:08x}"))
}

fn secret() -> Result<SharedSecret> {
    SharedSecret::new(SECRET.as_bytes()).map_err(|e| Error::Setup(e.to_string()))
}

/// As many at once as `radclient`.
async fn tell_one(nas: SocketAddr, orders: usize) -> Result<(f64, u64)> {
    let target = Target {
        retry: RETRY,
        pacing: Pacing {
            in_flight: PARALLEL,
            per_second: None,
        },
        ..Target::new(nas, secret()?)
    };
    let client = Client::new();
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..PARALLEL {
        let (client, target, next) = (client.clone(), target.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut wrong = 0;
            loop {
                let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                if number >= orders {
                    return wrong;
                }
                let report = client.deliver(&target, &order(number)).await;
                wrong += u64::from(!report.is_ok_and(|report| report.outcome == Outcome::Ack));
            }
        });
    }
    let wrong = workers.join_all().await.into_iter().sum();
    Ok((orders as f64 / begun.elapsed().as_secs_f64(), wrong))
}

/// Every NAS has some at a time; the clock stops when the living have done.
async fn tell_fleet(living: &[SocketAddr], dead: &[SocketAddr], orders_each: usize) -> Result<(f64, u64)> {
    let client = Client::new();
    let secret = secret()?;
    let begin = |address: SocketAddr| {
        let target = Target {
            retry: RETRY,
            ..Target::new(address, secret.clone())
        };
        let client = client.clone();
        async move {
            let mut workers = JoinSet::new();
            for worker in 0..AT_A_TIME {
                let (client, target) = (client.clone(), target.clone());
                workers.spawn(async move {
                    let mut wrong = 0;
                    for number in (worker..orders_each).step_by(AT_A_TIME) {
                        let report = client.deliver(&target, &order(number)).await;
                        wrong += u64::from(!report.is_ok_and(|report| report.outcome == Outcome::Ack));
                    }
                    wrong
                });
            }
            workers.join_all().await.into_iter().sum::<u64>()
        }
    };
    let mut waiting = JoinSet::new();
    for address in dead {
        waiting.spawn(begin(*address));
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for address in living {
        tasks.spawn(begin(*address));
    }
    let wrong = tasks.join_all().await.into_iter().sum();
    let rate = (living.len() * orders_each) as f64 / begun.elapsed().as_secs_f64();
    waiting.shutdown().await;
    Ok((rate, wrong))
}

/// A list of orders in the form of radclient.
fn order_list(orders: usize) -> Result<tempfile::NamedTempFile> {
    let failed = |e| Error::io("write a list of orders", e);
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    let mut text = String::new();
    for number in 0..orders {
        use fmt::Write as _;
        let _ = write!(
            text,
            "Message-Authenticator = 0x00\nEvent-Timestamp = 1700000000\nUser-Name = \"user-{number:06}\"\n\
             Acct-Session-Id = \"{number:08x}\"\n\n"
        );
    }
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(file)
}

fn radclient(options: &Options, nas: SocketAddr, list: &Path) -> Result<()> {
    let mut secret = tempfile::NamedTempFile::new().map_err(|e| Error::io("write a secret", e))?;
    writeln!(secret, "{SECRET}").map_err(|e| Error::io("write a secret", e))?;
    let status = Command::new(&options.radclient)
        .args(["-q", "-r", "5", "-t", "1", "-p", &PARALLEL.to_string(), "-S"])
        .arg(secret.path())
        .arg("-f")
        .arg(list)
        .args([&nas.to_string(), "disconnect"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| Error::io(format!("run {}", options.radclient.display()), e))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Setup(format!(
            "{} had orders that failed",
            options.radclient.display()
        ))),
    }
}

/// Sockets that acknowledge every order, after they verified it.
struct Nas {
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Nas {
    fn start(count: usize) -> Result<Self> {
        let failed = |e| Error::io("open a socket for a NAS", e);
        let stop = Arc::new(AtomicBool::new(false));
        let mut sockets = Vec::new();
        for _ in 0..count {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20);
            sockets.push(socket);
        }
        let addresses = sockets.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>();
        let addresses = addresses.map_err(failed)?;
        let secret = secret()?;
        let serve = |socket: UdpSocket| -> Result<JoinHandle<()>> {
            socket.set_read_timeout(Some(GLANCE)).map_err(failed)?;
            let (secret, stop) = (secret.clone(), Arc::clone(&stop));
            Ok(std::thread::spawn(move || acknowledge(&socket, &secret, &stop)))
        };
        let threads = sockets.into_iter().map(serve).collect::<Result<_>>()?;
        Ok(Self {
            addresses,
            stop,
            threads,
        })
    }
}

impl Drop for Nas {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn acknowledge(socket: &UdpSocket, secret: &SharedSecret, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    let mut reply = Vec::with_capacity(64);
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let packet = Packet::decode(buffer.get(..length).unwrap_or_default());
        let Some(request) = packet.ok().and_then(|packet| packet.verify_request(secret).ok()) else {
            continue;
        };
        PacketWriter::reply(Code::DISCONNECT_ACK, &request, secret, &mut reply).finish();
        let _ = socket.send_to(&reply, from);
    }
}

/// Half of the NAS answer; the others have a socket that nobody reads.
struct Fleet {
    living: Nas,
    dead: Vec<SocketAddr>,
    _silent: UdpSocket,
}

impl Fleet {
    fn start(count: usize) -> Result<Self> {
        let silent = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|e| Error::io("open a socket", e))?;
        let port = silent.local_addr().map_err(|e| Error::io("open a socket", e))?.port();
        // Each is an address of its own on the loopback.
        let dead = (0..count / 2).map(|number| {
            let host = u32::from(Ipv4Addr::new(127, 1, 0, 1)) + u32::try_from(number).unwrap_or(0);
            SocketAddr::from((Ipv4Addr::from(host), port))
        });
        Ok(Self {
            living: Nas::start(count - count / 2)?,
            dead: dead.collect(),
            _silent: silent,
        })
    }
}

impl Report {
    /// Name, figure, least.
    fn figures(&self) -> Vec<(&'static str, f64, f64)> {
        let ratio = |ours: &[f64], theirs: &[f64]| median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs));
        let mut figures = vec![
            (
                "client / radclient -p 200",
                ratio(&self.native, &self.radclient_parallel),
                1.0,
            ),
            (
                "client / one radclient each",
                ratio(&self.native, &self.radclient_process),
                100.0,
            ),
            (
                "living NAS beside dead ones / alone",
                ratio(&self.living_with_dead, &self.living_alone),
                0.9,
            ),
            (
                "outbox, SQLite / radclient -p 200",
                ratio(&self.sqlite.in_all, &self.radclient_parallel),
                1.0,
            ),
            (
                "outbox, SQLite / one radclient each",
                ratio(&self.sqlite.in_all, &self.radclient_process),
                100.0,
            ),
        ];
        if !self.postgres.in_all.is_empty() {
            figures.push((
                "outbox, PostgreSQL / radclient -p 200",
                ratio(&self.postgres.in_all, &self.radclient_parallel),
                1.0,
            ));
            figures.push((
                "outbox, PostgreSQL / one radclient each",
                ratio(&self.postgres.in_all, &self.radclient_process),
                100.0,
            ));
        }
        figures
    }

    pub(crate) const fn wrong(&self) -> u64 {
        self.wrong
    }

    pub(crate) fn missed(&self) -> bool {
        self.held_to_figures && self.figures().iter().any(|(_, got, least)| got < least)
    }

    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join("coa.json");
        let failed = |e| Error::io(format!("write {}", path.display()), e);
        std::fs::create_dir_all(directory).map_err(failed)?;
        let json = serde_json::to_vec_pretty(self).map_err(|e| failed(e.into()))?;
        std::fs::write(&path, json).map_err(failed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, rates: &[f64]| writeln!(f, "{name:<44} {:>10.0}/s", median(rates.iter().copied()));
        row(&format!("{} Disconnects, client", self.orders), &self.native)?;
        row(
            &format!("{} Disconnects, radclient -p {PARALLEL}", self.orders),
            &self.radclient_parallel,
        )?;
        row("one radclient for each", &self.radclient_process)?;
        for (name, rates) in [("SQLite", &self.sqlite), ("PostgreSQL", &self.postgres)] {
            if !rates.in_all.is_empty() {
                row(&format!("placed, told, results on disk, {name}"), &rates.in_all)?;
                row("... without placing", &rates.told)?;
            }
        }
        row(
            &format!("{} NAS that live, alone", self.fleet - self.fleet / 2),
            &self.living_alone,
        )?;
        row(
            &format!("... beside {} dead ones", self.fleet / 2),
            &self.living_with_dead,
        )?;
        for (name, got, least) in self.figures().iter().filter(|_| self.held_to_figures) {
            let verdict = if got >= least { "met" } else { "MISSED" };
            writeln!(f, "{name:<44} {got:>10.2}    wanted >= {least}, {verdict}")?;
        }
        Ok(())
    }
}
