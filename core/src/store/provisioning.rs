//! The steps of a subscriber's life that are taken as one: each is a narrow change of what it must find, so that two that
//! take it at the same time, or one that takes it twice, do no more than one.

use super::error::Attempt as _;
use super::sql::{params, statements};
use super::{Result, Store, must_hit};
use crate::subscriber::Subscriber;

statements! {
    ACTIVATE {
        sqlite: "UPDATE subscribers SET status = 'active', activation_date = coalesce(activation_date, datetime('now')),
                updated_at = datetime('now'), updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND status = 'pending'",
        postgres: "UPDATE subscribers SET status = 'active', activation_date = coalesce(activation_date, now()),
                updated_at = now(), updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND status = 'pending'",
    }
    /// What was online is more than an order that failed.
    WITHDRAW {
        both: "DELETE FROM subscribers WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND status = 'pending'
            AND NOT EXISTS (SELECT 1 FROM radacct WHERE radacct.subscriber_id = $2)",
    }
    DISCONNECT {
        sqlite: "UPDATE subscribers SET status = 'disconnected', updated_at = datetime('now'), updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND status NOT IN ('disconnected', 'terminated')",
        postgres: "UPDATE subscribers SET status = 'disconnected', updated_at = now(), updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND status NOT IN ('disconnected', 'terminated')",
    }
    TERMINATE {
        sqlite: "UPDATE subscribers SET status = 'terminated', termination_date = datetime('now'),
                updated_at = datetime('now'), updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND status <> 'terminated'",
        postgres: "UPDATE subscribers SET status = 'terminated', termination_date = now(), updated_at = now(),
                updated_by = $3
            WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND status <> 'terminated'",
    }
    ENSURE_REPLY {
        both: "INSERT INTO radreply (tenant_id, subscriber_id, username, attribute, op, value)
            SELECT $1, $2, $3, $4, CAST($5 AS text), $6 WHERE NOT EXISTS (SELECT 1 FROM radreply
                WHERE tenant_id = $1 AND subscriber_id = $2 AND attribute = $4 AND op = CAST($5 AS text) AND value = $6)",
    }
}

impl Store {
    /// Let a subscriber that is pending in. One that is active stays so.
    ///
    /// # Errors
    /// There is no such subscriber, or it is neither.
    pub async fn subscriber_activate(&self, tenant_id: &str, id: &str, by: Option<&str>) -> Result<()> {
        let attempt = || format!("activate subscriber {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection.link().execute(ACTIVATE, params![tenant_id, id, by]).await;
        if hit.attempt(attempt)? > 0 {
            return Ok(());
        }
        drop(connection);
        let active = self
            .subscriber_get(tenant_id, id)
            .await?
            .is_some_and(|found| found.id == id && found.status == crate::subscriber::Status::Active);
        must_hit(u64::from(active), attempt)
    }

    /// Take a subscriber that is pending and never was online out of the database, with its rows and addresses. Says
    /// whether there was one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn subscriber_withdraw(&self, tenant_id: &str, id: &str) -> Result<bool> {
        let attempt = || format!("withdraw subscriber {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection.link().execute(WITHDRAW, params![tenant_id, id]).await;
        Ok(hit.attempt(attempt)? > 0)
    }

    /// Let a subscriber in no more, for good where nobody thinks better of it. Says whether that changed anything.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn subscriber_disconnect(&self, tenant_id: &str, id: &str, by: Option<&str>) -> Result<bool> {
        let attempt = || format!("disconnect subscriber {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection.link().execute(DISCONNECT, params![tenant_id, id, by]).await;
        Ok(hit.attempt(attempt)? > 0)
    }

    /// End a subscriber. Says whether that changed anything.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn subscriber_terminate(&self, tenant_id: &str, id: &str, by: Option<&str>) -> Result<bool> {
        let attempt = || format!("terminate subscriber {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection.link().execute(TERMINATE, params![tenant_id, id, by]).await;
        Ok(hit.attempt(attempt)? > 0)
    }

    /// Give a subscriber these rows of radreply, attribute, operator and value of each, in their order; those it has are
    /// not doubled. All or none.
    ///
    /// # Errors
    /// There is no such subscriber, or a row is none.
    pub async fn replies_ensure(&self, subscriber: &Subscriber, rows: &[(String, String, String)]) -> Result<()> {
        // A value may be a secret: it stays out of the error.
        let attempt = || format!("write the reply rows of {:?}", subscriber.username);
        let mut tx = self.begin().await.attempt(attempt)?;
        for (attribute, op, value) in rows {
            let params = params![
                &subscriber.tenant_id,
                &subscriber.id,
                &subscriber.username,
                attribute,
                op,
                value,
            ];
            tx.link().execute(ENSURE_REPLY, params).await.attempt(attempt)?;
        }
        tx.commit().await.attempt(attempt)
    }
}
