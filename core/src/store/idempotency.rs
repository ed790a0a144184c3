//! Answers to requests that may be sent twice, by the key their sender chose.

use super::error::Attempt as _;
use super::sql::{Columns, params, statements};
use super::{Result, Store};

/// Seconds after which a request that was begun and never answered may be begun again: its process is gone.
const ABANDONED: i64 = 60;
/// Seconds after which an answer is given no more, and may be removed ([`Store::idempotency_prune`]).
pub const IDEMPOTENCY_KEPT: i64 = 24 * 60 * 60;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// Nothing: the request is begun with this.
    New,
    /// It is being served.
    Running,
    /// It was answered so.
    Done { status: u16, body: String },
    /// It came with another request.
    Different,
}

statements! {
    /// Of two at once one inserts, and the other finds what it inserted.
    BEGIN {
        sqlite: "INSERT INTO api_idempotency (tenant_id, key, fingerprint, created_at)
            VALUES ($1, $2, $3, datetime($4, 'unixepoch'))
            ON CONFLICT (tenant_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = NULL, body = NULL,
                created_at = excluded.created_at
            WHERE api_idempotency.created_at < datetime($5, 'unixepoch')
                OR api_idempotency.status IS NULL AND api_idempotency.created_at < datetime($6, 'unixepoch')",
        postgres: "INSERT INTO api_idempotency (tenant_id, key, fingerprint, created_at)
            VALUES ($1, $2, $3, to_timestamp($4))
            ON CONFLICT (tenant_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = NULL, body = NULL,
                created_at = excluded.created_at
            WHERE api_idempotency.created_at < to_timestamp($5)
                OR api_idempotency.status IS NULL AND api_idempotency.created_at < to_timestamp($6)",
    }
    FOUND {
        sqlite: "SELECT fingerprint, status, body FROM api_idempotency WHERE tenant_id = $1 AND key = $2",
        postgres: "SELECT fingerprint, status::bigint, body FROM api_idempotency WHERE tenant_id = $1 AND key = $2",
    }
    END {
        sqlite: "UPDATE api_idempotency SET status = $3, body = $4 WHERE tenant_id = $1 AND key = $2",
        postgres: "UPDATE api_idempotency SET status = $3::bigint, body = $4 WHERE tenant_id = $1 AND key = $2",
    }
    FORGET {
        both: "DELETE FROM api_idempotency WHERE tenant_id = $1 AND key = $2",
    }
    PRUNE {
        sqlite: "DELETE FROM api_idempotency WHERE created_at < datetime($1, 'unixepoch')",
        postgres: "DELETE FROM api_idempotency WHERE created_at < to_timestamp($1)",
    }
}

impl Store {
    /// Begin a request, unless its key is known. `fingerprint` tells requests apart.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn idempotency_begin(&self, tenant_id: &str, key: &str, fingerprint: &str, now: i64) -> Result<Replay> {
        let attempt = || format!("look up the key {key:?} of a request");
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            tenant_id,
            key,
            fingerprint,
            now,
            now - IDEMPOTENCY_KEPT,
            now - ABANDONED
        ];
        if connection.link().execute(BEGIN, params).await.attempt(attempt)? > 0 {
            return Ok(Replay::New);
        }
        let row = connection
            .link()
            .optional(FOUND, params![tenant_id, key])
            .await
            .attempt(attempt)?;
        let Some(row) = row else {
            // Forgotten this moment: whoever asks again finds it free.
            return Ok(Replay::Running);
        };
        let mut columns = Columns::of(&row);
        let read = |columns: &mut Columns<'_>| Ok((columns.text()?, columns.opt_number::<u16>()?, columns.opt_text()?));
        let (known, status, body): (String, Option<u16>, Option<String>) = read(&mut columns).attempt(attempt)?;
        Ok(match status {
            _ if known != fingerprint => Replay::Different,
            None => Replay::Running,
            Some(status) => Replay::Done {
                status,
                body: body.unwrap_or_default(),
            },
        })
    }

    /// Keep the answer of a request.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn idempotency_end(&self, tenant_id: &str, key: &str, status: u16, body: &str) -> Result<()> {
        let attempt = || format!("keep the answer for the key {key:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![tenant_id, key, i64::from(status), body];
        connection.link().execute(END, params).await.attempt(attempt)?;
        Ok(())
    }

    /// Forget a request that may be begun again.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn idempotency_forget(&self, tenant_id: &str, key: &str) -> Result<()> {
        let attempt = || format!("forget the key {key:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        connection
            .link()
            .execute(FORGET, params![tenant_id, key])
            .await
            .attempt(attempt)?;
        Ok(())
    }

    /// Forget requests that were begun before `before` (Unix seconds); says how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn idempotency_prune(&self, before: i64) -> Result<u64> {
        let attempt = || "forget old answers".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        connection.link().execute(PRUNE, params![before]).await.attempt(attempt)
    }
}
