//! The server's process.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use super::{LOG_FILE, PATIENCE, READY};

/// A running server program; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) running: Running,
    pub(super) directory: PathBuf,
}

#[derive(Debug)]
pub(super) enum Running {
    Child(Child),
    /// How the parent left, and the daemon's id where there is one.
    Daemon {
        status: ExitStatus,
        pid: Option<u32>,
    },
}

impl Process {
    pub(super) fn log(&self) -> String {
        let read = |name| std::fs::read(self.directory.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("output"), read("log"), read(LOG_FILE)].concat()).into_owned()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Child(child) => Some(child.id()),
            Running::Daemon { pid, .. } => *pid,
        }
    }

    /// How it ended, if it did; of a daemon only that is known.
    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        match &mut self.running {
            Running::Child(child) => child.try_wait().unwrap(),
            Running::Daemon { status, pid } => pid.is_none_or(gone).then_some(*status),
        }
    }

    pub(super) fn became_ready(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.exited().is_none() {
            if self.log().contains(READY) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

/// Is there no such process any more, or only what its parent has not looked at yet?
fn gone(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- server log ----\n{}", self.log());
        }
        match &mut self.running {
            Running::Child(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            // A panic here, while a failed test unwinds, would abort the run and leave all its servers behind.
            Running::Daemon { pid: Some(pid), .. } if !gone(*pid) => {
                if let Err(why) = try_signal(*pid, "KILL") {
                    eprintln!("the server {pid} is left running: {why}");
                }
            }
            Running::Daemon { .. } => {}
        }
    }
}

/// Send a signal by name to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    try_signal(pid, name).unwrap();
}

fn try_signal(pid: u32, name: &str) -> io::Result<()> {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("kill -{name} {pid}: {status}")))
    }
}
