//! A real FreeRADIUS on its own configuration directory and port, with one module under test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tempfile::TempDir;

use crate::error::{Error, Result};

/// Shared secret of every server started here; it guards nothing but a loopback port for the length of a run.
pub(crate) const SECRET: &str = "bench-shared-secret";

const READY_WITHIN: Duration = Duration::from_secs(180);
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// What differs between the servers compared: one module instance.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    /// Instance name, as authorize calls it.
    pub(crate) name: &'static str,
    /// The instance's section of the configuration.
    pub(crate) section: String,
    /// Whether it writes a row of `radpostauth` for each outcome, when post-auth calls it.
    pub(crate) logs: bool,
    /// Whether accounting calls it.
    pub(crate) accounts: bool,
    /// Searched before the server's own module directory.
    pub(crate) library_dir: Option<PathBuf>,
}

/// What a request goes through; the server has a port for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// authorize and authenticate alone.
    Lookup,
    /// post-auth too, where the outcome is written to `radpostauth`, as the server's default site has it.
    Logged,
    /// Accounting, where the module takes part in it.
    Accounting,
}

impl Workload {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Logged => "logged",
            Self::Accounting => "accounting",
        }
    }
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pid: Pid,
    directory: TempDir,
    ports: [u16; 3],
    /// From the start of the process to its line "Ready to process requests".
    ready_after: Duration,
}

impl Server {
    /// Start and wait until it is ready.
    pub(crate) fn start(program: &Path, threads: u32, module: &Module) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bench-raddb-")
            .tempdir()
            .map_err(|e| Error::io("make a configuration directory", e))?;
        let ports = [free_port()?, free_port()?, free_port()?];
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).map_err(|e| Error::io(format!("write {name}"), e))
        };
        write("radiusd.conf", &configuration(directory.path(), ports, threads, module))?;
        write("dictionary", "# Stock attributes are all the benchmark needs.\n")?;

        let mut command = Command::new(program);
        command
            .arg("-f")
            .arg("-d")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let errors = fs::File::create(directory.path().join("stderr")).map_err(|e| Error::io("make a log file", e))?;
        command.stderr(errors);
        if let Some(first) = &module.library_dir {
            command.env("FR_LIBRARY_PATH", format!("{}:/usr/lib/freeradius", first.display()));
        }
        let started = Instant::now();
        let child = command
            .spawn()
            .map_err(|e| Error::io(format!("start {}", program.display()), e))?;
        let pid = Pid::from_child(&child);
        let mut server = Self {
            child,
            pid,
            directory,
            ports,
            ready_after: Duration::ZERO,
        };
        while !server.log().contains("Ready to process requests") {
            let exited = server
                .child
                .try_wait()
                .map_err(|e| Error::io("watch the server", e))?
                .is_some();
            if exited || started.elapsed() > READY_WITHIN {
                return Err(Error::Setup(format!(
                    "{} with module {} {}:\n{}{}",
                    program.display(),
                    module.name,
                    if exited {
                        "did not start"
                    } else {
                        "was not ready in time"
                    },
                    server.log(),
                    fs::read_to_string(server.directory.path().join("stderr")).unwrap_or_default(),
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    pub(crate) fn address(&self, workload: Workload) -> SocketAddr {
        let [lookup, logged, accounting] = self.ports;
        let port = match workload {
            Workload::Lookup => lookup,
            Workload::Logged => logged,
            Workload::Accounting => accounting,
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("radius.log")).unwrap_or_default()
    }

    /// Processor time used so far, all threads, user and system.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let stat = self.proc_file("stat")?;
        // Fields 14 and 15; the second one, the name, may hold spaces but ends with the last parenthesis (proc(5)).
        let ticks: u64 = stat
            .rsplit_once(')')
            .map(|(_, rest)| {
                rest.split_whitespace()
                    .skip(11)
                    .take(2)
                    .filter_map(|n| n.parse::<u64>().ok())
                    .sum()
            })
            .unwrap_or_default();
        Ok(Duration::from_secs_f64(
            ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        ))
    }

    /// Resident memory, bytes: now, and at its highest.
    pub(crate) fn resident(&self) -> Result<(u64, u64)> {
        let status = self.proc_file("status")?;
        let kilobytes = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok())
                .ok_or_else(|| Error::Setup(format!("/proc status of the server has no {key}")))
        };
        Ok((kilobytes("VmRSS:")? * 1024, kilobytes("VmHWM:")? * 1024))
    }

    fn proc_file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.pid.as_raw_nonzero());
        fs::read_to_string(&path).map_err(|e| Error::io(format!("read {path} (is the server gone?)"), e))
    }

    /// Stop as an operator would, so that it writes what it keeps.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(self.pid, Signal::TERM).map_err(|e| Error::io("signal the server", e.into()))?;
        let asked = Instant::now();
        while self
            .child
            .try_wait()
            .map_err(|e| Error::io("watch the server", e))?
            .is_none()
        {
            if asked.elapsed() > STOPPED_WITHIN {
                return Err(Error::Setup(format!(
                    "the server did not stop within {STOPPED_WITHIN:?}"
                )));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already reaped after `stop`: then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .map_err(|e| Error::io("find a free port", e))
}

/// The same for every contender, down to the thread pool: only the module differs.
fn configuration(directory: &Path, ports: [u16; 3], threads: u32, module: &Module) -> String {
    let directory = directory.display();
    let ip = Ipv4Addr::LOCALHOST;
    let Module {
        name,
        section,
        logs,
        accounts,
        ..
    } = module;
    let lookup = virtual_server("lookup", ports[0], name, "");
    let logged = virtual_server("logged", ports[1], name, if *logs { name } else { "" });
    let accounting = accounts.then(|| accounting_server(ports[2], name)).unwrap_or_default();
    format!(
        r#"
name = radiusd
prefix = /usr
localstatedir = {directory}
logdir = {directory}
run_dir = {directory}
pidfile = {directory}/radiusd.pid
max_request_time = 30
cleanup_delay = 5
max_requests = 65536
hostname_lookups = no
log {{
	destination = files
	file = {directory}/radius.log
	auth = no
}}
security {{
	max_attributes = 200
	reject_delay = 0
	status_server = no
}}
proxy_requests = no
thread pool {{
	start_servers = {threads}
	max_servers = {threads}
	min_spare_servers = 1
	max_spare_servers = {threads}
	max_requests_per_server = 0
	auto_limit_acct = no
}}
client bench {{
	ipaddr = {ip}
	secret = {SECRET}
	nas_type = other
}}
modules {{
	pap {{
	}}
	expr {{
	}}
{section}
}}
{lookup}
{logged}
{accounting}"#
    )
}

fn virtual_server(name: &str, port: u16, module: &str, post_auth: &str) -> String {
    let ip = Ipv4Addr::LOCALHOST;
    format!(
        r#"
server {name} {{
	listen {{
		type = auth
		ipaddr = {ip}
		port = {port}
		recv_buff = 1048576
	}}
	authorize {{
		{module}
		pap
	}}
	authenticate {{
		Auth-Type PAP {{
			pap
		}}
	}}
	post-auth {{
		{post_auth}
		Post-Auth-Type REJECT {{
			{post_auth}
		}}
	}}
}}
"#
    )
}

/// Acct-Unique-Session-Id as the stock policy `acct_unique` makes it, for every contender.
fn accounting_server(port: u16, module: &str) -> String {
    let ip = Ipv4Addr::LOCALHOST;
    format!(
        r#"
server accounting {{
	listen {{
		type = acct
		ipaddr = {ip}
		port = {port}
		recv_buff = 1048576
	}}
	preacct {{
		update request {{
			&Acct-Unique-Session-Id := "%{{md5:%{{User-Name}},%{{Acct-Session-ID}},%{{%{{NAS-IPv6-Address}}:-%{{NAS-IP-Address}}}},%{{NAS-Identifier}},%{{NAS-Port-ID}},%{{NAS-Port}}}}"
		}}
	}}
	accounting {{
		{module}
	}}
}}
"#
    )
}
