//! A real server as the NAS: it decides by User-Name, and insists on what RFC 5176 asks of a request.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

const SERVER: &str = "/usr/sbin/freeradius";
const READY: &str = "Ready to process requests";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SECRET: &str = "a-secret-of-this-test";

pub(crate) struct Radiusd {
    process: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Radiusd {
    /// `None`, loudly, where the server is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !std::path::Path::new(SERVER).exists() {
            skip(&format!("{SERVER} is not installed"));
            return None;
        }
        // Another process may take the port between the choice and the start: try again with another.
        for _ in 0..5 {
            if let Ok(server) = Self::try_start() {
                return Some(server);
            }
        }
        Some(Self::try_start().unwrap_or_else(|log| panic!("{SERVER} does not start:\n{log}")))
    }

    fn try_start() -> Result<Self, String> {
        let address = free_address();
        let directory = tempfile::tempdir().unwrap();
        let configuration = configuration(&directory, address);
        std::fs::write(directory.path().join("radiusd.conf"), configuration).unwrap();
        let mut process = Command::new(SERVER)
            .args(["-fxx", "-l", "stdout", "-n", "radiusd", "-d"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        // Reads on until the server ends: a full pipe would stop it.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut server = Self {
            process,
            address,
            _directory: directory,
        };
        let mut log = String::new();
        loop {
            match told.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(READY) => return Ok(server),
                Ok(line) => log.extend([&line, "\n"]),
                Err(_) => {
                    server.stop();
                    return Err(log);
                }
            }
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Radiusd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn configuration(directory: &TempDir, address: SocketAddr) -> String {
    let (directory, port) = (directory.path().display(), address.port());
    format!(
        r#"
run_dir = {directory}
logdir = {directory}
pidfile = {directory}/pid
client loopback {{
	ipaddr = 127.0.0.1
	secret = {SECRET}
}}
modules {{
	always reject {{
		rcode = reject
	}}
	always handled {{
		rcode = handled
	}}
	always ok {{
		rcode = ok
	}}
}}
server nas {{
	listen {{
		type = coa
		ipaddr = 127.0.0.1
		port = {port}
	}}
	recv-coa {{
		if (!&Event-Timestamp || !&Message-Authenticator) {{
			update reply {{
				Error-Cause := Missing-Attribute
			}}
			reject
		}}
		elsif (&User-Name == "silent") {{
			handled
		}}
		elsif (&User-Name == "gone") {{
			update reply {{
				Error-Cause := Session-Context-Not-Found
			}}
			reject
		}}
		elsif (&Mikrotik-Rate-Limit && &Mikrotik-Rate-Limit != "10M/20M") {{
			update reply {{
				Error-Cause := Invalid-Attribute-Value
			}}
			reject
		}}
		else {{
			ok
		}}
	}}
}}
"#
    )
}

/// Record that the calling test did not run; `scripts/test` counts these apart from what passed.
pub(crate) fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Past the test runner's capture, which hides the output of tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIP {test}: {reason}");
    if let Some(path) = std::env::var_os("ISP_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.unwrap(), "{test}: {reason}").unwrap();
    }
}
