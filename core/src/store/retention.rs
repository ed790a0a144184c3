//! Months of `radacct` made ahead, and what is old enough to go.
//!
//! Accounting goes by whole months (UTC) of the stop, on both databases: on PostgreSQL a month is a table and goes at
//! once. All else, and accounting on SQLite, goes row by row in batches, so that no other writer waits for long.

use serde::Serialize;

use super::error::Attempt as _;
use super::sql::{Columns, Row, Sql, params, statements};
use super::{Result, Store};

/// Closed sessions that stopped in one month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountingMonth {
    /// `2026-01`.
    pub month: String,
    pub sessions: u64,
}

/// Tables that are kept by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgedTable {
    /// `usage_hourly`, by its hour. Usage by day stays.
    UsageHourly,
    /// `radpostauth`, by its date.
    PostAuth,
    /// `node_status`, by the last report.
    Nodes,
    /// `audit_log`, by its time.
    Audit,
}

/// How many rows go at once.
const BATCH: u32 = 5_000;

statements! {
    /// The month of $1 and the two after it: the names of those made now.
    CREATE_MONTHS {
        sqlite: "SELECT '' WHERE $1 IS NULL",
        postgres: "SELECT to_char(month, 'YYYY-MM')
            FROM generate_series(0, 2) AS ahead, LATERAL (SELECT
                date_trunc('month', to_timestamp($1) AT TIME ZONE 'UTC') + ahead * interval '1 month') AS m (month)
            WHERE radacct_create_month(month AT TIME ZONE 'UTC') ORDER BY month",
    }
    /// All accounting waits behind whoever waits for the whole table.
    SHORT_WAIT { postgres: "SET LOCAL lock_timeout = '2s'" }
    /// Months that were over at $1. The partition of the open sessions has no bounds, and so is none.
    MONTHS {
        sqlite: "SELECT strftime('%Y-%m', acctstoptime), NULL,
                unixepoch(strftime('%Y-%m-01 00:00:00', acctstoptime)),
                unixepoch(strftime('%Y-%m-01 00:00:00', acctstoptime), '+1 month')
            FROM radacct
            WHERE acctstoptime IS NOT NULL AND acctstoptime < strftime('%Y-%m-01 00:00:00', $1, 'unixepoch')
            GROUP BY 1 ORDER BY 1",
        postgres: "SELECT to_char(bounds[1]::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM'), c.oid::regclass::text,
                extract(epoch FROM bounds[1]::timestamptz)::bigint, extract(epoch FROM bounds[2]::timestamptz)::bigint
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
                regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''(.*)''\\) TO \\(''(.*)''\\)') AS bounds
            WHERE i.inhparent = 'radacct'::regclass AND bounds[2]::timestamptz <= to_timestamp($1) ORDER BY 1",
    }
    COUNT_SESSIONS {
        sqlite: "SELECT count(*) FROM radacct
            WHERE acctstoptime >= datetime($1, 'unixepoch') AND acctstoptime < datetime($2, 'unixepoch')",
        postgres: "SELECT count(*) FROM radacct
            WHERE acctstoptime >= to_timestamp($1) AND acctstoptime < to_timestamp($2)",
    }
    /// Not on PostgreSQL, where the table goes.
    DELETE_SESSIONS {
        sqlite: "DELETE FROM radacct WHERE radacctid IN (SELECT radacctid FROM radacct
            WHERE acctstoptime >= datetime($1, 'unixepoch') AND acctstoptime < datetime($2, 'unixepoch') LIMIT $3)",
        postgres: "",
    }
    COUNT_HOURLY {
        sqlite: "SELECT count(*) FROM usage_hourly WHERE hour < datetime($1, 'unixepoch')",
        postgres: "SELECT count(*) FROM usage_hourly WHERE hour < to_timestamp($1)",
    }
    DELETE_HOURLY {
        sqlite: "DELETE FROM usage_hourly WHERE (subscriber_id, hour) IN (
            SELECT subscriber_id, hour FROM usage_hourly WHERE hour < datetime($1, 'unixepoch') LIMIT $2)",
        postgres: "DELETE FROM usage_hourly WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM usage_hourly WHERE hour < to_timestamp($1) LIMIT $2))",
    }
    COUNT_POSTAUTH {
        sqlite: "SELECT count(*) FROM radpostauth WHERE authdate < datetime($1, 'unixepoch')",
        postgres: "SELECT count(*) FROM radpostauth WHERE authdate < to_timestamp($1)",
    }
    DELETE_POSTAUTH {
        sqlite: "DELETE FROM radpostauth WHERE id IN (
            SELECT id FROM radpostauth WHERE authdate < datetime($1, 'unixepoch') LIMIT $2)",
        postgres: "DELETE FROM radpostauth WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM radpostauth WHERE authdate < to_timestamp($1) LIMIT $2))",
    }
    COUNT_NODES {
        sqlite: "SELECT count(*) FROM node_status WHERE reported_at < datetime($1, 'unixepoch')",
        postgres: "SELECT count(*) FROM node_status WHERE reported_at < to_timestamp($1)",
    }
    DELETE_NODES {
        sqlite: "DELETE FROM node_status WHERE node_id IN (
            SELECT node_id FROM node_status WHERE reported_at < datetime($1, 'unixepoch') LIMIT $2)",
        postgres: "DELETE FROM node_status WHERE node_id IN (
            SELECT node_id FROM node_status WHERE reported_at < to_timestamp($1) LIMIT $2)",
    }
    COUNT_AUDIT {
        sqlite: "SELECT count(*) FROM audit_log WHERE at < datetime($1, 'unixepoch')",
        postgres: "SELECT count(*) FROM audit_log WHERE at < to_timestamp($1)",
    }
    DELETE_AUDIT {
        sqlite: "DELETE FROM audit_log WHERE id IN (
            SELECT id FROM audit_log WHERE at < datetime($1, 'unixepoch') LIMIT $2)",
        postgres: "DELETE FROM audit_log WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM audit_log WHERE at < to_timestamp($1) LIMIT $2))",
    }
}

/// A month that is over, and its table (quoted where need be) if it has one of its own.
struct Month {
    name: String,
    table: Option<String>,
    from: i64,
    to: i64,
}

fn month(row: &Row) -> std::result::Result<Month, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Month {
        name: columns.text()?,
        table: columns.opt_text()?,
        from: columns.number()?,
        to: columns.number()?,
    })
}

impl AgedTable {
    const fn name(self) -> &'static str {
        match self {
            Self::UsageHourly => "usage_hourly",
            Self::PostAuth => "radpostauth",
            Self::Nodes => "node_status",
            Self::Audit => "audit_log",
        }
    }
}

impl Store {
    /// Make the partitions of `radacct` for the month of `now` (Unix seconds) and the two after it. Returns the months
    /// made, as `2026-01`. Cheap where there is nothing to do, which on SQLite is always.
    ///
    /// # Errors
    /// The database does not answer, or other transactions kept the table busy: try again later.
    pub async fn radacct_upkeep(&self, now: i64) -> Result<Vec<String>> {
        let attempt = || "make the coming months of radacct".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        tx.link().execute(SHORT_WAIT, &[]).await.attempt(attempt)?;
        let rows = tx.link().all(CREATE_MONTHS, params![now]).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        rows.iter()
            .map(|row| Columns::of(row).text())
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// What [`Self::radacct_retain`] would remove.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn radacct_months_before(&self, keep_from: i64) -> Result<Vec<AccountingMonth>> {
        let attempt = || "count old accounting".to_owned();
        let mut counted = Vec::new();
        for month in self.months(keep_from).await? {
            counted.push(self.counted(month).await.attempt(attempt)?);
        }
        Ok(counted)
    }

    /// Remove the months of closed sessions that were over at `keep_from` (Unix seconds), the oldest first: never one
    /// that reaches past it, never an open session. Returns what was removed.
    ///
    /// # Errors
    /// The database does not answer, or other transactions kept the table busy. What was removed till then is logged;
    /// calling again goes on.
    pub async fn radacct_retain(&self, keep_from: i64) -> Result<Vec<AccountingMonth>> {
        let attempt = || "remove old accounting".to_owned();
        let mut removed = Vec::new();
        for month in self.months(keep_from).await? {
            let (table, bounds) = (month.table.clone(), [month.from, month.to]);
            let counted = self.counted(month).await.attempt(attempt)?;
            match table {
                Some(table) => self.drop_table(&table).await,
                None => self.delete_in_batches(DELETE_SESSIONS, &bounds).await.map(drop),
            }
            .attempt(attempt)?;
            tracing::info!(
                month = counted.month,
                sessions = counted.sessions,
                "old accounting removed"
            );
            removed.push(counted);
        }
        Ok(removed)
    }

    /// How many rows of `table` are older than `keep_from` (Unix seconds).
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn aged_count(&self, table: AgedTable, keep_from: i64) -> Result<u64> {
        let attempt = || format!("count old rows of {}", table.name());
        let statement = match table {
            AgedTable::UsageHourly => COUNT_HOURLY,
            AgedTable::PostAuth => COUNT_POSTAUTH,
            AgedTable::Nodes => COUNT_NODES,
            AgedTable::Audit => COUNT_AUDIT,
        };
        let mut tx = self.begin_snapshot().await.attempt(attempt)?;
        let row = tx.link().one(statement, params![keep_from]).await.attempt(attempt)?;
        Columns::of(&row).number().attempt(attempt)
    }

    /// Delete the rows of `table` that are older than `keep_from` (Unix seconds). Returns how many there were.
    ///
    /// # Errors
    /// The database does not answer. Calling again goes on.
    pub async fn aged_delete(&self, table: AgedTable, keep_from: i64) -> Result<u64> {
        let attempt = || format!("delete old rows of {}", table.name());
        let statement = match table {
            AgedTable::UsageHourly => DELETE_HOURLY,
            AgedTable::PostAuth => DELETE_POSTAUTH,
            AgedTable::Nodes => DELETE_NODES,
            AgedTable::Audit => DELETE_AUDIT,
        };
        self.delete_in_batches(statement, &[keep_from]).await.attempt(attempt)
    }

    async fn months(&self, keep_from: i64) -> Result<Vec<Month>> {
        let attempt = || "list the months of radacct".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(MONTHS, params![keep_from]).await;
        let months = rows
            .attempt(attempt)?
            .iter()
            .map(month)
            .collect::<std::result::Result<_, _>>();
        months.attempt(attempt)
    }

    async fn counted(&self, month: Month) -> std::result::Result<AccountingMonth, sqlx::Error> {
        let mut tx = self.begin_snapshot().await?;
        let row = tx.link().one(COUNT_SESSIONS, params![month.from, month.to]).await?;
        Ok(AccountingMonth {
            month: month.name,
            sessions: Columns::of(&row).number()?,
        })
    }

    async fn drop_table(&self, table: &str) -> std::result::Result<(), sqlx::Error> {
        let mut tx = self.begin().await?;
        tx.link().execute(SHORT_WAIT, &[]).await?;
        tx.link().execute_made(format!("DROP TABLE {table}")).await?;
        tx.commit().await
    }

    /// Each batch is a transaction of its own. The statement's last parameter is how many rows may go.
    async fn delete_in_batches(&self, statement: Sql, bounds: &[i64]) -> std::result::Result<u64, sqlx::Error> {
        let params: Vec<_> = bounds
            .iter()
            .map(|bound| (*bound).into())
            .chain([BATCH.into()])
            .collect();
        let mut deleted = 0;
        loop {
            let mut tx = self.begin().await?;
            let rows = tx.link().execute(statement, &params).await?;
            tx.commit().await?;
            deleted += rows;
            if rows < u64::from(BATCH) {
                return Ok(deleted);
            }
        }
    }
}
