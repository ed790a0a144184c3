//! Connections and transactions of either database behind one face.

use futures_util::TryStreamExt as _;
use serde::Serialize;
#[cfg(feature = "postgres")]
use sqlx::{PgConnection, Postgres};
#[cfg(feature = "sqlite")]
use sqlx::{Sqlite, SqliteConnection};
use sqlx::{Transaction, pool::PoolConnection};

use super::sql::{Param, Row, Sql, statements};

statements! {
    PING { both: "SELECT 1" }
    SAVEPOINT { both: "SAVEPOINT batch" }
    RELEASE_SAVEPOINT { both: "RELEASE SAVEPOINT batch" }
    ROLLBACK_TO_SAVEPOINT { both: "ROLLBACK TO SAVEPOINT batch" }
}

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A pooled connection.
pub(super) enum Conn {
    #[cfg(feature = "sqlite")]
    Sqlite(PoolConnection<Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(PoolConnection<Postgres>),
}

/// A transaction; rolled back when dropped.
pub(super) enum Tx {
    #[cfg(feature = "sqlite")]
    Sqlite(Transaction<'static, Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(Transaction<'static, Postgres>),
}

/// Something that runs statements.
pub(super) enum Link<'c> {
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(&'c mut PgConnection),
}

impl Conn {
    pub(super) fn link(&mut self) -> Link<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => Link::Sqlite(connection),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => Link::Postgres(connection),
        }
    }
}

impl Tx {
    pub(super) fn link(&mut self) -> Link<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => Link::Sqlite(transaction),
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => Link::Postgres(transaction),
        }
    }

    pub(super) async fn savepoint(&mut self) -> Result<()> {
        self.link().execute(SAVEPOINT, &[]).await.map(drop)
    }

    pub(super) async fn release_savepoint(&mut self) -> Result<()> {
        self.link().execute(RELEASE_SAVEPOINT, &[]).await.map(drop)
    }

    /// Undo what came after the savepoint, and leave it.
    pub(super) async fn rollback_to_savepoint(&mut self) -> Result<()> {
        self.link().execute(ROLLBACK_TO_SAVEPOINT, &[]).await?;
        self.release_savepoint().await
    }

    pub(super) async fn commit(self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.commit().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => bounded(transaction.commit()).await,
        }
    }
}

/// Binds [`Param`]s to a query of either driver.
macro_rules! query {
    ($text:expr, $params:expr) => {{
        let mut query = sqlx::query($text);
        for param in $params {
            query = match param {
                Param::Text(text) => query.bind(text.as_deref()),
                Param::Int(number) => query.bind(*number),
                Param::Bool(flag) => query.bind(*flag),
            };
        }
        query
    }};
}

/// Rows to write with one statement: SQLite takes them as one JSON array of objects, PostgreSQL as an array for each column.
pub(super) trait Rows: Serialize + Sized {
    /// In the order of the statement's parameters.
    fn columns(rows: &[Self]) -> Vec<Column<'_>>;
}

/// One column of [`Rows`].
pub(super) enum Column<'a> {
    Text(Vec<Option<&'a str>>),
    Int(Vec<Option<i64>>),
    Flag(Vec<bool>),
}

impl Link<'_> {
    /// Write rows; `last`, if any, is the parameter after theirs. Returns the number of rows affected.
    pub(super) async fn write<T: Rows>(self, sql: Sql, rows: &[T], last: Option<i64>) -> Result<u64> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                let json = serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
                let mut query = sqlx::query(sql.sqlite).bind(json);
                if let Some(last) = last {
                    query = query.bind(last);
                }
                query.execute(connection).await?.rows_affected()
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                let mut query = sqlx::query(sql.postgres);
                for column in T::columns(rows) {
                    query = match column {
                        Column::Text(column) => query.bind(column),
                        Column::Int(column) => query.bind(column),
                        Column::Flag(column) => query.bind(column),
                    };
                }
                if let Some(last) = last {
                    query = query.bind(last);
                }
                bounded(query.execute(connection)).await?.rows_affected()
            }
        })
    }

    pub(super) async fn all(self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                let rows = query!(sql.sqlite, params).fetch(connection);
                rows.map_ok(Row::Sqlite).try_collect().await
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                let rows = query!(sql.postgres, params).fetch(connection);
                bounded(rows.map_ok(Row::Postgres).try_collect()).await
            }
        }
    }

    pub(super) async fn optional(self, sql: Sql, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => query!(sql.sqlite, params)
                .fetch_optional(connection)
                .await?
                .map(Row::Sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => bounded(query!(sql.postgres, params).fetch_optional(connection))
                .await?
                .map(Row::Postgres),
        })
    }

    pub(super) async fn one(self, sql: Sql, params: &[Param<'_>]) -> Result<Row> {
        self.optional(sql, params).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Returns the number of rows affected.
    pub(super) async fn execute(self, sql: Sql, params: &[Param<'_>]) -> Result<u64> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => query!(sql.sqlite, params).execute(connection).await?.rows_affected(),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => bounded(query!(sql.postgres, params).execute(connection))
                .await?
                .rows_affected(),
        })
    }

    /// Runs a statement that was put together: of names the database itself gave and quoted, never of values.
    pub(super) async fn execute_made(self, sql: String) -> Result<()> {
        let sql = sqlx::AssertSqlSafe(sql);
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => sqlx::query(sql).execute(connection).await.map(drop),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => bounded(sqlx::query(sql).execute(connection)).await.map(drop),
        }
    }

    /// Hands every row to `take`, without collecting them.
    pub(super) async fn each(
        self,
        sql: Sql,
        params: &[Param<'_>],
        mut take: impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                let mut rows = query!(sql.sqlite, params).fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    take(&Row::Sqlite(row))?;
                }
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                let mut rows = query!(sql.postgres, params).fetch(connection);
                while let Some(row) = stalled(rows.try_next()).await? {
                    take(&Row::Postgres(row))?;
                }
            }
        }
        Ok(())
    }
}

/// A server that vanished without closing the connection never answers, and its statement_timeout cannot help.
#[cfg(feature = "postgres")]
pub(super) async fn bounded<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    limit(super::postgres::ANSWER_TIMEOUT, future).await
}

/// The same for one row of a long answer.
#[cfg(feature = "postgres")]
async fn stalled<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    limit(super::postgres::STALL_TIMEOUT, future).await
}

#[cfg(feature = "postgres")]
async fn limit<T>(limit: std::time::Duration, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {limit:?}"),
        )))
    })
}
