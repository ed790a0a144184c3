//! What the database holds, in numbers.

use serde::Serialize;

use super::error::Attempt as _;
use super::sql::{Columns, Row, statements};
use super::{Result, Store};
use crate::order::OrderState;

/// How many there are of what, over all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Number of the newest migration.
    pub schema_version: i64,
    pub tenants: u64,
    pub plans: u64,
    pub nas: u64,
    /// Not deleted ones; likewise the following two.
    pub subscribers: u64,
    pub subscribers_active: u64,
    pub subscribers_without_password: u64,
    pub subscribers_deleted: u64,
    pub sessions_open: u64,
    pub change_feed_rows: u64,
}

/// Orders of a state, of all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboxState {
    pub state: OrderState,
    pub orders: u64,
    /// Seconds since the oldest was placed.
    pub oldest_age: u64,
}

statements! {
    /// By the indexes of what is not over.
    OUTBOX {
        sqlite: "SELECT 'pending', count(*), max(coalesce(unixepoch('now') - unixepoch(min(created_at)), 0), 0)
            FROM coa_orders WHERE state = 'pending'
            UNION ALL SELECT 'sending', count(*), max(coalesce(unixepoch('now') - unixepoch(min(created_at)), 0), 0)
            FROM coa_orders WHERE state = 'sending'",
        postgres: "SELECT 'pending', count(*), greatest(coalesce(extract(epoch FROM now() - min(created_at)), 0), 0)::bigint
            FROM coa_orders WHERE state = 'pending'
            UNION ALL SELECT 'sending', count(*), greatest(coalesce(extract(epoch FROM now() - min(created_at)), 0), 0)::bigint
            FROM coa_orders WHERE state = 'sending'",
    }
    OVERVIEW {
        both: "SELECT
            (SELECT count(*) FROM tenants),
            (SELECT count(*) FROM radius_bandwidth_profiles),
            (SELECT count(*) FROM nas),
            (SELECT count(*) FROM subscribers WHERE deleted_at IS NULL),
            (SELECT count(*) FROM subscribers WHERE deleted_at IS NULL AND status = 'active'),
            (SELECT count(*) FROM subscribers WHERE deleted_at IS NULL AND password IS NULL),
            (SELECT count(*) FROM subscribers WHERE deleted_at IS NOT NULL),
            (SELECT count(*) FROM radacct WHERE acctstoptime IS NULL),
            (SELECT count(*) FROM change_feed)",
    }
}

fn overview(row: &Row, schema_version: i64) -> std::result::Result<Overview, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Overview {
        schema_version,
        tenants: columns.number()?,
        plans: columns.number()?,
        nas: columns.number()?,
        subscribers: columns.number()?,
        subscribers_active: columns.number()?,
        subscribers_without_password: columns.number()?,
        subscribers_deleted: columns.number()?,
        sessions_open: columns.number()?,
        change_feed_rows: columns.number()?,
    })
}

impl Store {
    /// What waits for NAS, and is on its way to them; cheap enough to be asked every few seconds.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn outbox(&self) -> Result<Vec<OutboxState>> {
        let attempt = || "count orders that are not over".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(OUTBOX, &[]).await.attempt(attempt)?;
        let state = |row: &Row| {
            let mut columns = Columns::of(row);
            Ok(OutboxState {
                state: columns.parsed()?,
                orders: columns.number()?,
                oldest_age: columns.number()?,
            })
        };
        rows.iter()
            .map(state)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Count what the database holds. Reads whole tables: for people, not for monitoring every second.
    ///
    /// # Errors
    /// The database does not answer, or its schema is not this build's.
    pub async fn overview(&self) -> Result<Overview> {
        let attempt = || "count what the database holds".to_owned();
        let schema_version = self.schema_version().await?;
        let mut connection = self.reader().await.attempt(attempt)?;
        let row = connection.link().one(OVERVIEW, &[]).await.attempt(attempt)?;
        overview(&row, schema_version).attempt(attempt)
    }
}
