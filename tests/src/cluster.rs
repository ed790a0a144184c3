//! A PostgreSQL server of the test's own, which it may stop.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::artifact;

/// Stopped and removed when dropped.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    url: String,
}

impl Cluster {
    /// Make it, and start it on a free port.
    #[must_use]
    pub fn start() -> Self {
        // Not in a directory that is closed to others: called as root, the server runs as a user of its own.
        let directory = TempDir::with_prefix("cluster-").unwrap();
        let mut permissions = directory.path().metadata().unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        std::fs::set_permissions(directory.path(), permissions).unwrap();
        let mut cluster = Self {
            directory,
            url: String::new(),
        };
        let output = cluster.run("start");
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .clone_into(&mut cluster.url);
        cluster
    }

    /// Without a database's name.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stop it as a crash does: connections break, what was not committed is gone.
    pub fn halt(&self) {
        self.run("halt");
    }

    /// Start it again on the same port, and wait until it has recovered.
    pub fn resume(&self) {
        self.run("resume");
    }

    fn run(&self, what: &str) -> Output {
        let output = self.command(what).output().unwrap();
        assert!(
            output.status.success(),
            "scripts/postgres {what}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(artifact::repository("scripts/postgres"));
        command.arg(what).arg(self.directory.path().join("server"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A panic here, while a failed test unwinds, would abort the run.
        if let Err(why) = self.command("stop").output() {
            eprintln!("a PostgreSQL server is left running: {why}");
        }
    }
}
