//! PostgreSQL: a pool, with bounds on every wait.

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Row as _, Transaction};

use super::error::{Attempt as _, StoreError};
use super::link::bounded;

/// The oldest server whose SQL the migrations use (ON DELETE SET NULL of one column).
const MIN_VERSION: i32 = 150_000;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the server lets a statement run, unless the transaction says otherwise.
const STATEMENT_TIMEOUT: &str = "10s";

/// What a statement may take as the client sees it: the server's own limit comes first unless the server is gone.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// What the next row of a long answer may take.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct PgStore {
    pool: PgPool,
    options: Arc<PgConnectOptions>,
}

/// The options hold the password.
impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PgStore").field(&describe(&self.options)).finish()
    }
}

impl PgStore {
    pub(super) async fn connect(url: &str, connections: u32) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Url(error.to_string()))?
            // No statement here is worth compiling, and planner settings that steer clear of sequential scans make the
            // ones that are left look as if they were.
            .options([("statement_timeout", STATEMENT_TIMEOUT), ("jit", "off")])
            .disable_statement_logging();
        // What such a URL calls the database holds the password, and every message would show it.
        if options.get_database().is_some_and(|name| name.contains(['@', ':'])) {
            return Err(StoreError::Url(
                "the database name has an '@' or ':' in it: is a '/' in the password not written as %2F?".to_owned(),
            ));
        }
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("isp-core"),
        };
        // The pool would keep trying a refused connection until its deadline and not say why.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
        let mut connection = match first {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(failed(&options, error.to_string())),
            Err(_) => return Err(failed(&options, format!("no answer within {CONNECT_TIMEOUT:?}"))),
        };
        check_version(&mut connection).await?;
        bounded(connection.close()).await.attempt(|| "connect".to_owned())?;
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            options: Arc::new(options),
        })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        bounded(self.pool.begin()).await
    }

    /// One view of the database for as long as it takes.
    pub(super) async fn begin_snapshot(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut transaction = bounded(self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
        no_time_limit(&mut transaction).await?;
        Ok(transaction)
    }

    /// A transaction that may take its time.
    pub(super) async fn begin_long(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut transaction = self.begin().await?;
        no_time_limit(&mut transaction).await?;
        Ok(transaction)
    }

    /// A connection of its own that may take its time.
    pub(super) async fn connect_long(&self) -> Result<PgConnection, sqlx::Error> {
        let connecting = self.options.as_ref().clone().options([("statement_timeout", "0")]);
        bounded(async { connecting.connect().await }).await
    }

    /// A pool of one for a listener, so that it never starves the statements of the others. Its one query must be
    /// planned for its position each time: a plan for any position would read the whole feed.
    pub(super) async fn listener_pool(&self) -> Result<PgPool, sqlx::Error> {
        let options = self.options.as_ref().clone();
        PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(options.options([("plan_cache_mode", "force_custom_plan")]))
            .await
    }
}

async fn no_time_limit(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    bounded(sqlx::query("SET LOCAL statement_timeout = 0").execute(connection))
        .await
        .map(drop)
}

async fn check_version(connection: &mut PgConnection) -> Result<(), StoreError> {
    let attempt = || "ask for the server version".to_owned();
    let row = bounded(
        sqlx::query("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
            .fetch_one(connection),
    )
    .await
    .attempt(attempt)?;
    if row.try_get::<i32, _>(0).attempt(attempt)? >= MIN_VERSION {
        return Ok(());
    }
    Err(StoreError::ServerTooOld {
        found: row.try_get(1).attempt(attempt)?,
    })
}

fn failed(options: &PgConnectOptions, reason: String) -> StoreError {
    StoreError::Connect {
        database: describe(options),
        reason,
    }
}

/// The database as an operator would name it, without the password.
fn describe(options: &PgConnectOptions) -> String {
    let host = options
        .get_socket()
        .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
    format!(
        "postgres://{}@{host}:{}/{}",
        options.get_username(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    )
}
