//! An empty, migrated database of the test's own, on either engine.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use isp_core::secret::KeyRing;
use isp_core::store::Store;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Names the environment variable that gives a PostgreSQL server to make databases in.
const POSTGRES: &str = "ISP_TEST_POSTGRES";

/// A database, its key file, and a store that tests seed it through.
#[derive(Debug)]
pub struct Database {
    url: String,
    key_file: PathBuf,
    keys: KeyRing,
    store: Store,
    runtime: Runtime,
    // Last: holds the files of all the above.
    directory: TempDir,
}

impl Database {
    #[must_use]
    pub fn sqlite() -> Self {
        let directory = TempDir::with_prefix("database-").unwrap();
        let url = format!("sqlite://{}", directory.path().join("isp.db").display());
        Self::create(url, directory)
    }

    /// Is there PostgreSQL here? Said loudly where there is not.
    #[must_use]
    pub fn has_postgres() -> bool {
        Self::postgres_server().is_some()
    }

    /// `None`, said loudly, where there is no server to make it in.
    #[must_use]
    pub fn postgres() -> Option<Self> {
        Self::postgres_server().map(|server| Self::on(&server))
    }

    fn postgres_server() -> Option<String> {
        let server = std::env::var(POSTGRES).ok();
        if server.is_none() {
            assert!(
                std::env::var_os("ISP_TEST_REQUIRE_POSTGRES").is_none(),
                "{POSTGRES} is not set: PostgreSQL is required here"
            );
            crate::skip(&format!("{POSTGRES} is not set"));
        }
        server
    }

    /// A new database on the PostgreSQL server of this URL, which ends without a database's name.
    #[must_use]
    pub fn on(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = server.trim_end_matches('/');
        let name = format!("e2e_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Runtime::new().unwrap().block_on(async {
            let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                .execute(&mut connection)
                .await
                .unwrap();
        });
        Self::create(format!("{server}/{name}"), TempDir::with_prefix("database-").unwrap())
    }

    fn create(url: String, directory: TempDir) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let store = runtime.block_on(async {
            let store = Store::connect(&url, 2, true).await.unwrap();
            store.migrate().await.unwrap();
            store
        });
        let key_file = directory.path().join("keys");
        let keys = KeyRing::create(&key_file).unwrap();
        Self {
            url,
            key_file,
            keys,
            store,
            runtime,
            directory,
        }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// The file of an SQLite database.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("isp.db")
    }

    #[must_use]
    pub fn key_file(&self) -> &Path {
        &self.key_file
    }

    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Wait for something that the store does.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A connection of its own: any other program that works on the database.
    #[must_use]
    pub fn session(&self) -> Session<'_> {
        let connection = self.wait(async {
            if self.is_sqlite() {
                Connection::Sqlite(SqliteConnection::connect(&self.url).await.unwrap())
            } else {
                Connection::Postgres(PgConnection::connect(&self.url).await.unwrap())
            }
        });
        Session {
            database: self,
            connection,
        }
    }

    /// Plain SQL in a session of its own. Returns the rows touched.
    #[track_caller]
    pub fn execute(&self, sql: &str) -> u64 {
        self.session().execute(sql)
    }

    /// Rows of a query whose columns are all text (cast them); NULL is `None`.
    #[must_use]
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.session().query(sql)
    }

    /// The one value that a query has.
    #[must_use]
    #[track_caller]
    pub fn value(&self, sql: &str) -> Option<String> {
        let rows = self.query(sql);
        assert!(
            rows.len() == 1 && rows[0].len() == 1,
            "{sql}: expected one value, got {rows:?}"
        );
        rows[0][0].clone()
    }
}

/// Another program's connection. What it began and did not commit is undone when it is dropped.
#[derive(Debug)]
pub struct Session<'a> {
    database: &'a Database,
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Session<'_> {
    /// Run statements. Returns the rows touched.
    #[track_caller]
    pub fn execute(&mut self, sql: &str) -> u64 {
        let text = AssertSqlSafe(sql.to_owned());
        let done = self.database.wait(async {
            match &mut self.connection {
                Connection::Sqlite(connection) => sqlx::raw_sql(text)
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected()),
                Connection::Postgres(connection) => sqlx::raw_sql(text)
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected()),
            }
        });
        done.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Rows of a query whose columns are all text.
    #[must_use]
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let text = AssertSqlSafe(sql.to_owned());
        let rows = self.database.wait(async {
            match &mut self.connection {
                Connection::Sqlite(connection) => {
                    sqlx::raw_sql(text).fetch_all(connection).await.map(|rows| texts(&rows))
                }
                Connection::Postgres(connection) => {
                    sqlx::raw_sql(text).fetch_all(connection).await.map(|rows| texts(&rows))
                }
            }
        });
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

fn texts<R>(rows: &[R]) -> Vec<Vec<Option<String>>>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> Option<String>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    rows.iter()
        .map(|row| (0..row.len()).map(|i| row.get(i)).collect())
        .collect()
}
