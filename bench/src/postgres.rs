//! The PostgreSQL cluster that `sql` and `rust` share.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// A private cluster, stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    directory: PathBuf,
    /// Without a database name: `postgres://isp@127.0.0.1:PORT`.
    url: String,
}

impl Cluster {
    pub(crate) fn start() -> Result<Self> {
        // Not a TempDir: the script removes it, and gives it to the server's own user.
        let directory = std::env::temp_dir().join(format!("bench-postgres-{}", std::process::id()));
        let mut command = Command::new(script());
        command.arg("start").arg(&directory);
        // Room for the whole base and its indexes: the stock sql module is not to be held back by a small cache.
        command.env("PGOPTIONS_EXTRA", "-c shared_buffers=512MB -c max_wal_size=4GB");
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| Error::io("run scripts/postgres", e))?;
        let url = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let cluster = Self { directory, url };
        if !output.status.success() {
            return Err(Error::Setup("scripts/postgres could not start a cluster".to_owned()));
        }
        Ok(cluster)
    }

    /// What libpq wants of [`Self::url`].
    pub(crate) fn conninfo(&self, database: &str) -> String {
        let port = self.url.rsplit_once(':').map_or("5432", |(_, port)| port);
        format!("dbname={database} host=127.0.0.1 port={port} user=isp")
    }

    /// URL of a database of this cluster.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.url)
    }

    /// Make a database anew.
    pub(crate) fn create(&self, database: &str) -> Result<()> {
        self.psql("postgres", |sql| {
            writeln!(sql, "DROP DATABASE IF EXISTS {database};")?;
            writeln!(sql, "CREATE DATABASE {database};")
        })
    }

    /// Rows in a table.
    pub(crate) fn count(&self, database: &str, table: &str) -> Result<u64> {
        let answer = self.ask(database, &format!("SELECT count(*) FROM {table}"))?;
        answer
            .parse()
            .map_err(|_| Error::Setup(format!("cannot count {table}: {answer}")))
    }

    /// The one row that answers a query, its columns divided by `|`.
    pub(crate) fn ask(&self, database: &str, query: &str) -> Result<String> {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--no-align", "--tuples-only", "--dbname"])
            .arg(self.url(database))
            .args(["--command", query])
            .output()
            .map_err(|e| Error::io("run psql", e))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Setup(format!("{query}: {why}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Run a file of SQL.
    pub(crate) fn run_file(&self, database: &str, file: &Path) -> Result<()> {
        let script = std::fs::read(file).map_err(|e| Error::io(format!("read {}", file.display()), e))?;
        self.psql(database, |sql| sql.write_all(&script))
    }

    /// Feed a script to psql; any error in it is an error.
    pub(crate) fn psql(
        &self,
        database: &str,
        script: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        let mut child = Command::new("psql")
            .args([
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                "--output=/dev/null",
                "--dbname",
            ])
            .arg(self.url(database))
            .env("PGOPTIONS", "-c client_min_messages=warning -c synchronous_commit=off")
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| Error::io("run psql", e))?;
        let written = child.stdin.take().map_or(Ok(()), |stdin| {
            let mut stdin = BufWriter::new(stdin);
            script(&mut stdin).and_then(|()| stdin.flush())
        });
        let status = child.wait().map_err(|e| Error::io("run psql", e))?;
        if !status.success() {
            return Err(Error::Setup(format!("psql could not prepare database {database}")));
        }
        written.map_err(|e| Error::io("feed psql", e))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing is left to do about a failure, and the script says what it was.
        let _ = Command::new(script()).arg("stop").arg(&self.directory).status();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres")
}
