//! A database of a test's own and the program pointed at it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

pub(crate) struct Lab {
    kind: Kind,
    directory: tempfile::TempDir,
    pub(crate) url: String,
    /// Everything the program has printed.
    transcript: Mutex<String>,
}

/// What one run of the program left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Standard output of a run that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }

    /// Standard error of a run that must have ended with `code`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.err
    }
}

impl Lab {
    /// Run a test on a database of the kind; loudly not at all where there is no PostgreSQL.
    pub(crate) fn run_on(kind: Kind, test: impl FnOnce(&Self)) {
        let directory = tempfile::tempdir().unwrap();
        let (url, server) = match kind {
            Kind::Sqlite => (format!("sqlite://{}", directory.path().join("isp.db").display()), None),
            Kind::Postgres => {
                let Ok(server) = std::env::var("ISP_TEST_POSTGRES") else {
                    assert!(
                        std::env::var_os("ISP_TEST_REQUIRE_POSTGRES").is_none(),
                        "ISP_TEST_POSTGRES must name a server"
                    );
                    eprintln!("SKIP: ISP_TEST_POSTGRES is not set, nothing is tested on PostgreSQL");
                    return;
                };
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let name = format!("ctl_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
                administer(&server, &format!("CREATE DATABASE {name}"));
                (format!("{server}/{name}"), Some((server, name)))
            }
        };
        let lab = Self {
            kind,
            directory,
            url,
            transcript: Mutex::default(),
        };
        test(&lab);
        if let Some((server, name)) = server {
            administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }

    /// A migrated database, a key file and one tenant, `example`.
    pub(crate) fn set_up(&self) -> &Self {
        self.ctl(&["migrate"]).ok();
        self.ctl(&["key", "create"]).ok();
        self.ctl(&["tenant", "add", "example"]).ok();
        self
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn ctl(&self, args: &[&str]) -> Run {
        self.ctl_with(args, "", &[])
    }

    /// To be started; nothing of the caller's environment counts.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let config = self.path("ispctl.toml");
        if !config.exists() {
            std::fs::write(&config, "").unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_ispctl"));
        command
            .args(args)
            .env_clear()
            .env("ISP_CONFIG", &config)
            .env("ISP_DATABASE_URL", &self.url)
            .env("ISP_KEY_FILE", self.path("keys"))
            .env("ISP_OPERATOR", "tester");
        command
    }

    /// With standard input and further environment; nothing of the caller's environment counts.
    pub(crate) fn ctl_with(&self, args: &[&str], stdin: &str, environment: &[(&str, &str)]) -> Run {
        let mut child = self
            .command(args)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program may end without reading: no fault of the test.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let run = Run {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        let mut transcript = self.transcript.lock().unwrap();
        transcript.push_str(&run.out);
        transcript.push_str(&run.err);
        run
    }

    /// Nothing of this was printed so far, by any run.
    #[track_caller]
    pub(crate) fn never_printed(&self, secrets: &[&str]) {
        let transcript = self.transcript.lock().unwrap();
        for secret in secrets {
            assert!(!transcript.contains(secret), "{secret:?} was printed");
        }
    }

    /// Write as any other program would.
    pub(crate) fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        wait(async {
            match self.kind {
                Kind::Sqlite => {
                    let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                    connection.execute(sql).await.unwrap();
                    connection.close().await.unwrap();
                }
                Kind::Postgres => {
                    let mut connection = PgConnection::connect(&self.url).await.unwrap();
                    connection.execute(sql).await.unwrap();
                    connection.close().await.unwrap();
                }
            }
        });
    }

    /// The texts of a query's first column.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        wait(async {
            match self.kind {
                Kind::Sqlite => {
                    let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                    connection.close().await.unwrap();
                    rows.iter().map(|row| row.get(0)).collect()
                }
                Kind::Postgres => {
                    let mut connection = PgConnection::connect(&self.url).await.unwrap();
                    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                    connection.close().await.unwrap();
                    rows.iter().map(|row| row.get(0)).collect()
                }
            }
        })
    }
}

fn administer(server: &str, sql: &str) {
    wait(async {
        let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    });
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// File permissions, as `chmod` takes them.
pub(crate) fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// One text field of every record of a list.
pub(crate) fn names(list: &Value, field: &str) -> Vec<String> {
    let items = list.as_array().unwrap();
    items
        .iter()
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

/// The fields of a record, in order.
pub(crate) fn keys(record: &Value) -> Vec<&str> {
    record.as_object().unwrap().keys().map(String::as_str).collect()
}
