//! One database of a test's own, on SQLite or PostgreSQL, that can be taken away and given back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

pub(crate) struct Database {
    kind: Kind,
    url: String,
    /// SQLite: the directory. PostgreSQL: empty.
    directory: Option<tempfile::TempDir>,
    /// PostgreSQL: server URL and database name.
    server: Option<(String, String)>,
}

impl Database {
    /// `None` where PostgreSQL is wanted and no server is given.
    pub(crate) async fn create(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", directory.path().join("isp.db").display());
                Some(Self {
                    kind,
                    url,
                    directory: Some(directory),
                    server: None,
                })
            }
            Kind::Postgres => {
                let Ok(server) = std::env::var("ISP_TEST_POSTGRES") else {
                    assert!(
                        std::env::var_os("ISP_TEST_REQUIRE_POSTGRES").is_none(),
                        "ISP_TEST_POSTGRES must name a server"
                    );
                    eprintln!("SKIP: ISP_TEST_POSTGRES is not set, nothing is tested on PostgreSQL");
                    return None;
                };
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let name = format!("node_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
                administer(&server, &format!("CREATE DATABASE {name}")).await;
                let url = format!("{server}/{name}");
                Some(Self {
                    kind,
                    url,
                    directory: None,
                    server: Some((server, name)),
                })
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A URL of the same kind under which there is nothing.
    pub(crate) fn url_of_nothing(&self) -> String {
        match self.kind {
            Kind::Sqlite => "sqlite:///nonexistent/isp.db".to_owned(),
            Kind::Postgres => format!("{}_not_there", self.url),
        }
    }

    /// A URL under which the database can be read only.
    pub(crate) fn url_to_read(&self) -> String {
        match self.kind {
            Kind::Sqlite => format!("{}?mode=ro", self.url),
            Kind::Postgres => format!("{}?options=-c%20default_transaction_read_only%3Don", self.url),
        }
    }

    /// Write as any other program would.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
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
    }

    /// From now on no session of this Acct-Session-Id gets in.
    pub(crate) async fn refuse_session(&self, id: &str) {
        self.execute(&match self.kind {
            Kind::Sqlite => format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON radacct WHEN NEW.acctsessionid = '{id}'
                BEGIN SELECT RAISE(ABORT, 'not this one'); END"
            ),
            Kind::Postgres => format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'not this one'; END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON radacct FOR EACH ROW
                WHEN (NEW.acctsessionid = '{id}') EXECUTE FUNCTION refuse()"
            ),
        })
        .await;
    }

    /// Take the database away.
    pub(crate) async fn hide(&self) {
        self.rename("", ".hidden").await;
    }

    /// Give it back as it was.
    pub(crate) async fn show(&self) {
        self.rename(".hidden", "").await;
    }

    async fn rename(&self, from: &str, to: &str) {
        if let Some((server, name)) = &self.server {
            let kick = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}{from}'");
            administer(server, &kick).await;
            administer(
                server,
                &format!("ALTER DATABASE \"{name}{from}\" RENAME TO \"{name}{to}\""),
            )
            .await;
        }
        if let Some(directory) = &self.directory {
            for suffix in ["", "-wal", "-shm"] {
                let at = |mark: &str| -> PathBuf { directory.path().join(format!("isp.db{suffix}{mark}")) };
                if at(from).exists() {
                    std::fs::rename(at(from), at(to)).unwrap();
                }
            }
        }
    }

    pub(crate) async fn destroy(self) {
        if let Some((server, name)) = &self.server {
            administer(server, &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await;
        }
    }
}

async fn administer(server: &str, sql: &str) {
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}
