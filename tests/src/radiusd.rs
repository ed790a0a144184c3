//! A real server: free ports, its own directory, gone when the test is over.

mod process;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub use process::signal;
use process::{Process, Running};

use crate::artifact::{self, Module};
use crate::radclient::SECRET;

/// How long a server may take to start or to stop before a test calls it hung.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// As `radiusd.conf` says.
const PID_FILE: &str = "radiusd.pid";
/// As `radiusd.conf` says, where `-l` does not say otherwise.
const LOG_FILE: &str = "radius.log";
/// Where [`Builder::vendors`] puts its text, below the server's directory.
pub const VENDORS_FILE: &str = "vendors-local.toml";
const READY: &str = "Ready to process requests";

/// How the program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Foreground,
    Daemon,
    Valgrind,
}

/// A server that is not started yet.
#[derive(Debug)]
pub struct Builder {
    directory: TempDir,
    module: Module,
    mode: Mode,
    verbosity: &'static [&'static str],
    /// `(dotted key, value)` of the section `rust`.
    keys: Vec<(String, String)>,
    /// `(address, secret, virtual server)`.
    clients: Vec<(Ipv4Addr, String, Option<&'static str>)>,
    /// `(path below raddb, content)`.
    files: Vec<(&'static str, String)>,
    environment: Vec<(String, String)>,
    /// Log where `radiusd.conf` says instead of where `-l` does.
    log_as_configured: bool,
    /// Take NAS out of the database, each for a second.
    dynamic_clients: bool,
    /// `(file below raddb, text, its replacement)`.
    edits: Vec<(&'static str, &'static str, &'static str)>,
}

/// A configuration that authorizes from this database.
#[must_use]
pub fn configure(database_url: &str) -> Builder {
    let directory = TempDir::with_prefix("radiusd-").unwrap();
    Builder {
        directory,
        module: Module::Plain,
        mode: Mode::Foreground,
        verbosity: &["-xx"],
        keys: Vec::new(),
        clients: vec![(Ipv4Addr::LOCALHOST, SECRET.to_owned(), None)],
        files: Vec::new(),
        environment: Vec::new(),
        log_as_configured: false,
        dynamic_clients: false,
        edits: Vec::new(),
    }
    .key("database.url", database_url)
}

impl Builder {
    /// Set a key of the module, by its dotted name (`snapshot.max_age`).
    #[must_use]
    pub fn key(mut self, name: &str, value: &str) -> Self {
        self.keys.retain(|(known, _)| known != name);
        self.keys.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Seal and open passwords with this key file.
    #[must_use]
    pub fn key_file(self, path: &Path) -> Self {
        self.key("key_file", path.to_str().unwrap())
    }

    /// Keep the snapshot's copy in the server's directory, rewritten every second.
    #[must_use]
    pub fn snapshot(self) -> Self {
        let file = self.directory.path().join("snapshot").to_str().unwrap().to_owned();
        self.key("snapshot.file", &file).key("snapshot.interval", "1")
    }

    /// A further NAS that the server itself accepts packets from.
    #[must_use]
    pub fn client(mut self, address: Ipv4Addr) -> Self {
        self.clients.push((address, SECRET.to_owned(), None));
        self
    }

    /// A NAS whose packets another virtual server answers than the one that listens.
    #[must_use]
    pub fn client_of(mut self, server: &'static str, address: Ipv4Addr) -> Self {
        self.clients.push((address, SECRET.to_owned(), Some(server)));
        self
    }

    /// A further file of the configuration.
    #[must_use]
    pub fn file(mut self, path: &'static str, content: String) -> Self {
        self.files.push((path, content));
        self
    }

    /// Know no NAS but those of the database, and those for a second.
    #[must_use]
    pub fn dynamic_clients(mut self) -> Self {
        self.dynamic_clients = true;
        self.clients.clear();
        self
    }

    /// Vendors of NAS beside the shipped ones, as a file of the provider's own has them.
    #[must_use]
    pub fn vendors(self, text: &str) -> Self {
        let file = self.directory.path().join(VENDORS_FILE);
        std::fs::write(&file, text).unwrap();
        self.key("vendors_local", file.to_str().unwrap())
    }

    #[must_use]
    pub fn module(mut self, module: Module) -> Self {
        self.module = module;
        self
    }

    /// Log as in service: no debug output.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.verbosity = &[];
        self
    }

    /// Start as a service does: the program forks, and its parent leaves once the server is ready.
    #[must_use]
    pub fn daemon(mut self) -> Self {
        self.mode = Mode::Daemon;
        self
    }

    /// Run under valgrind, which reports into the file `valgrind` in the server's directory.
    #[must_use]
    pub fn under_valgrind(mut self) -> Self {
        self.mode = Mode::Valgrind;
        self
    }

    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Start without `-l` and without debug output: the log is where `radiusd.conf` has it.
    #[must_use]
    pub fn log_as_configured(mut self) -> Self {
        self.log_as_configured = true;
        self.quiet()
    }

    /// Change a file of the configuration; the text must be in it.
    #[must_use]
    pub fn edit(mut self, file: &'static str, text: &'static str, replacement: &'static str) -> Self {
        self.edits.push((file, text, replacement));
        self
    }

    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    #[must_use]
    pub fn raddb(&self) -> PathBuf {
        self.directory.path().join("raddb")
    }

    /// Write the configuration directory, listening on these ports.
    pub fn write(&self, auth_port: u16, acct_port: u16) {
        let made = Command::new(artifact::repository("scripts/standalone"))
            .arg(self.directory.path())
            .args([auth_port.to_string(), acct_port.to_string()])
            .env("ISP_CERTS", artifact::certificates())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "scripts/standalone: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut clients = String::new();
        for (address, secret, server) in &self.clients {
            let server = server.map_or_else(String::new, |server| format!("\tvirtual_server = {server}\n"));
            writeln!(
                clients,
                "client nas-{address} {{\n\tipaddr = {address}\n\tsecret = {secret}\n{server}}}"
            )
            .unwrap();
        }
        for (path, content) in &self.files {
            std::fs::write(self.raddb().join(path), content).unwrap();
        }
        std::fs::write(self.raddb().join("clients.conf"), clients).unwrap();
        std::fs::write(self.raddb().join("mods-enabled/rust"), module_section(&self.keys)).unwrap();
        if self.dynamic_clients {
            let site =
                std::fs::read_to_string(artifact::repository("raddb/sites-available/isp-dynamic-clients")).unwrap();
            let site = site.replace("lifetime = 60", "lifetime = 1");
            std::fs::write(self.raddb().join("sites-enabled/isp-dynamic-clients"), site).unwrap();
        }
        for (file, text, replacement) in &self.edits {
            let path = self.raddb().join(file);
            let before = std::fs::read_to_string(&path).unwrap();
            assert!(before.contains(text), "{file} has no {text:?}");
            std::fs::write(path, before.replace(text, replacement)).unwrap();
        }
    }

    /// The server program with the environment to find this build of the module.
    #[must_use]
    pub fn command(&self) -> Command {
        let module = self
            .module
            .directory()
            .expect("this build of the module was made by scripts/test");
        let server = artifact::server();
        let mut command = if self.mode == Mode::Valgrind {
            let mut valgrind = Command::new("valgrind");
            valgrind
                .args([
                    "--leak-check=full",
                    "--errors-for-leak-kinds=definite",
                    "--num-callers=40",
                    "--fullpath-after=",
                ])
                .arg(format!("--log-file={}", self.directory().join("valgrind").display()))
                .arg(server.program);
            valgrind
        } else {
            Command::new(server.program)
        };
        command
            .arg("-d")
            .arg(self.raddb())
            .env(
                "FR_LIBRARY_PATH",
                format!("{}:{}", module.display(), server.modules.display()),
            )
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Check the configuration (`radiusd -XC`) and return what was printed.
    #[must_use]
    pub fn check(&self) -> Output {
        self.write(free_port(), free_port());
        self.command().arg("-XC").output().expect("freeradius can be started")
    }

    /// Start, and wait until packets are served. Panics with the log if it does not come to that.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Radiusd {
        match self.try_start() {
            Ok(server) => server,
            Err(log) => panic!("the server did not start\n{log}"),
        }
    }

    /// As [`Builder::start`], for a server that may refuse to start.
    ///
    /// # Errors
    /// Its log.
    pub fn try_start(self) -> Result<Radiusd, String> {
        let mut log = String::new();
        // Another process may take a port between the choice and the start: try again with others.
        for _ in 0..5 {
            let (auth_port, acct_port) = (free_port(), free_port());
            self.write(auth_port, acct_port);
            let mut process = self.spawn();
            if process.became_ready() {
                return Ok(Radiusd {
                    process,
                    configuration: self,
                    auth_port,
                    acct_port,
                });
            }
            log = process.log();
            if !log.contains("Address already in use") {
                break;
            }
        }
        Err(log)
    }

    fn spawn(&self) -> Process {
        let directory = self.directory().to_owned();
        let log = directory.join("log");
        let _ = std::fs::remove_file(&log);
        let _ = std::fs::remove_file(directory.join(LOG_FILE));
        let _ = std::fs::remove_file(directory.join(PID_FILE));
        let output = std::fs::File::create(directory.join("output")).unwrap();
        let mut command = self.command();
        command
            .args(self.verbosity)
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        if !self.log_as_configured {
            command.arg("-l").arg(&log);
        }
        if self.mode == Mode::Daemon {
            let status = command.status().expect("freeradius can be started");
            let pid = std::fs::read_to_string(directory.join(PID_FILE))
                .ok()
                .and_then(|pid| pid.trim().parse().ok());
            return Process {
                running: Running::Daemon { status, pid },
                directory,
            };
        }
        let child = command.arg("-f").spawn().expect("freeradius can be started");
        Process {
            running: Running::Child(child),
            directory,
        }
    }
}

/// The section `rust`, from dotted keys.
fn module_section(keys: &[(String, String)]) -> String {
    let mut text = String::from("rust {\n");
    for (name, value) in keys.iter().filter(|(name, _)| !name.contains('.')) {
        writeln!(text, "\t{name} = \"{value}\"").unwrap();
    }
    let mut sections: Vec<&str> = keys
        .iter()
        .filter_map(|(name, _)| name.split_once('.'))
        .map(|(s, _)| s)
        .collect();
    sections.sort_unstable();
    sections.dedup();
    for section in sections {
        writeln!(text, "\t{section} {{").unwrap();
        for (name, value) in keys {
            if let Some((of, name)) = name.split_once('.')
                && of == section
            {
                writeln!(text, "\t\t{name} = \"{value}\"").unwrap();
            }
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
    text
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A server that serves.
#[derive(Debug)]
pub struct Radiusd {
    // Before the configuration: the process ends first, then its directory goes.
    process: Process,
    configuration: Builder,
    auth_port: u16,
    acct_port: u16,
}

impl Radiusd {
    #[must_use]
    pub fn auth_port(&self) -> u16 {
        self.auth_port
    }

    #[must_use]
    pub fn acct_port(&self) -> u16 {
        self.acct_port
    }

    #[must_use]
    pub fn raddb(&self) -> PathBuf {
        self.configuration.raddb()
    }

    /// The server's own directory: configuration, log, snapshot.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.configuration.directory()
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid().expect("the server runs")
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Is it still there?
    pub fn alive(&mut self) -> bool {
        self.process.exited().is_none()
    }

    /// Send a signal by name (`HUP`, `TERM`).
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// SIGTERM, and wait for the end. Panics if it hangs.
    #[track_caller]
    pub fn stop(self) -> (ExitStatus, Builder) {
        self.signal("TERM");
        self.wait()
    }

    /// Wait for the end of a server that was told to stop. Panics if it hangs.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, Builder) {
        let mut status = None;
        crate::wait_for("the server stops on SIGTERM", PATIENCE, || {
            status = self.process.exited();
            status.is_some()
        });
        (status.unwrap(), self.configuration)
    }

    /// SIGKILL: what a crash looks like.
    #[must_use]
    pub fn kill(self) -> Builder {
        drop(self.process);
        self.configuration
    }
}
