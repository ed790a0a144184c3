//! Changes of subscribers that are planned.

use serde::Serialize;

use super::error::Attempt as _;
use super::link::Tx;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store, must_hit};
use crate::policy::schedule::Change;
use crate::subscriber::Status;

/// Changes written into subscribers' rows in one transaction.
const AT_A_TIME: i64 = 1_000;

/// A row of `subscriber_schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedChange {
    pub id: String,
    pub tenant_id: String,
    pub subscriber_id: String,
    /// Unix seconds.
    pub at: i64,
    /// The plan by its id.
    pub change: Change<String>,
    pub note: Option<String>,
    pub created_at: i64,
    pub created_by: Option<String>,
    /// When it was written into the subscriber's row, Unix seconds; it has effect from `at` on.
    pub applied_at: Option<i64>,
}

statements! {
    /// A subscriber that is deleted or terminated has nothing before it.
    ADD {
        sqlite: "INSERT INTO subscriber_schedule (id, tenant_id, subscriber_id, at, status, plan_id, note, created_by)
            SELECT $1, s.tenant_id, s.id, datetime($4, 'unixepoch'), $5, $6, $7, $8 FROM subscribers s
            WHERE s.id = $3 AND s.tenant_id = $2 AND s.deleted_at IS NULL AND s.status <> 'terminated'",
        postgres: "INSERT INTO subscriber_schedule (id, tenant_id, subscriber_id, at, status, plan_id, note, created_by)
            SELECT $1, s.tenant_id, s.id, to_timestamp($4), $5, $6, $7, $8 FROM subscribers s
            WHERE s.id = $3 AND s.tenant_id = $2 AND s.deleted_at IS NULL AND s.status <> 'terminated'",
    }
    LIST {
        sqlite: "SELECT id, tenant_id, subscriber_id, unixepoch(at), status, plan_id, note, unixepoch(created_at),
                created_by, unixepoch(applied_at)
            FROM subscriber_schedule WHERE tenant_id = $1 AND subscriber_id = $2 ORDER BY at, id",
        postgres: "SELECT id, tenant_id, subscriber_id, extract(epoch FROM at)::bigint, status, plan_id, note,
                extract(epoch FROM created_at)::bigint, created_by, extract(epoch FROM applied_at)::bigint
            FROM subscriber_schedule WHERE tenant_id = $1 AND subscriber_id = $2 ORDER BY at, id COLLATE \"C\"",
    }
    DELETE {
        both: "DELETE FROM subscriber_schedule WHERE tenant_id = $1 AND id = $2 AND applied_at IS NULL",
    }
    /// Locked, so that of two nodes one waits and then finds nothing left: what comes later must not be applied earlier.
    DUE {
        sqlite: "SELECT id, tenant_id, subscriber_id, unixepoch(at), status, plan_id, note, unixepoch(created_at),
                created_by, unixepoch(applied_at)
            FROM subscriber_schedule WHERE applied_at IS NULL AND at <= datetime($1, 'unixepoch') ORDER BY at, id LIMIT $2",
        postgres: "SELECT id, tenant_id, subscriber_id, extract(epoch FROM at)::bigint, status, plan_id, note,
                extract(epoch FROM created_at)::bigint, created_by, extract(epoch FROM applied_at)::bigint
            FROM subscriber_schedule WHERE applied_at IS NULL AND at <= to_timestamp($1) ORDER BY at, id COLLATE \"C\"
            LIMIT $2 FOR UPDATE",
    }
    /// Dates that go with a status are those of its beginning.
    APPLY_STATUS {
        sqlite: "UPDATE subscribers SET status = $2,
                suspension_date = CASE WHEN $2 = 'suspended' THEN datetime($3, 'unixepoch') ELSE suspension_date END,
                termination_date = CASE WHEN $2 = 'terminated' THEN datetime($3, 'unixepoch') ELSE termination_date END,
                updated_at = datetime('now'), updated_by = 'schedule'
            WHERE id = $1 AND deleted_at IS NULL AND status <> 'terminated'",
        postgres: "UPDATE subscribers SET status = $2,
                suspension_date = CASE WHEN $2 = 'suspended' THEN to_timestamp($3) ELSE suspension_date END,
                termination_date = CASE WHEN $2 = 'terminated' THEN to_timestamp($3) ELSE termination_date END,
                updated_at = now(), updated_by = 'schedule'
            WHERE id = $1 AND deleted_at IS NULL AND status <> 'terminated'",
    }
    APPLY_PLAN {
        sqlite: "UPDATE subscribers SET bandwidth_profile_id = $2, updated_at = datetime('now'), updated_by = 'schedule'
            WHERE id = $1 AND deleted_at IS NULL AND status <> 'terminated'",
        postgres: "UPDATE subscribers SET bandwidth_profile_id = $2, updated_at = now(), updated_by = 'schedule'
            WHERE id = $1 AND deleted_at IS NULL AND status <> 'terminated'",
    }
    APPLIED {
        sqlite: "UPDATE subscriber_schedule SET applied_at = datetime($2, 'unixepoch') WHERE id = $1",
        postgres: "UPDATE subscriber_schedule SET applied_at = to_timestamp($2) WHERE id = $1",
    }
}

fn planned(row: &Row) -> std::result::Result<PlannedChange, sqlx::Error> {
    let mut columns = Columns::of(row);
    let (id, tenant_id, subscriber_id) = (columns.text()?, columns.text()?, columns.text()?);
    let at = columns.number()?;
    let status: Option<Status> = columns.opt_parsed()?;
    let plan = columns.opt_text()?;
    Ok(PlannedChange {
        id,
        tenant_id,
        subscriber_id,
        at,
        // The schema admits no change of neither.
        change: status.map_or_else(|| Change::Plan(plan.unwrap_or_default()), Change::Status),
        note: columns.opt_text()?,
        created_at: columns.number()?,
        created_by: columns.opt_text()?,
        applied_at: columns.opt_number()?,
    })
}

async fn add(tx: &mut Tx, planned: &PlannedChange) -> Result<()> {
    let attempt = || format!("plan a change of subscriber {:?}", planned.subscriber_id);
    let (status, plan) = match &planned.change {
        Change::Status(status) => (Some(status.as_str()), None),
        Change::Plan(plan) => (None, Some(plan.as_str())),
    };
    let params = params![
        &planned.id,
        &planned.tenant_id,
        &planned.subscriber_id,
        planned.at,
        status,
        plan,
        &planned.note,
        &planned.created_by,
    ];
    let hit = tx.link().execute(ADD, params).await.attempt(attempt)?;
    must_hit(hit, attempt)
}

impl Store {
    /// Plan changes, all or none. Each has effect from its instant on, also where that has passed. `created_at` and
    /// `applied_at` are not looked at.
    ///
    /// # Errors
    /// The tenant has no such subscriber or plan, or the subscriber is terminated.
    pub async fn schedule_add(&self, changes: &[PlannedChange]) -> Result<()> {
        let attempt = || "plan changes of a subscriber".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        for planned in changes {
            add(&mut tx, planned).await?;
        }
        tx.commit().await.attempt(attempt)
    }

    /// What is and was planned for a subscriber, in the order of time.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn schedule_list(&self, tenant_id: &str, subscriber_id: &str) -> Result<Vec<PlannedChange>> {
        let attempt = || format!("list what is planned for subscriber {subscriber_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, subscriber_id];
        let rows = connection.link().all(LIST, params).await.attempt(attempt)?;
        rows.iter()
            .map(planned)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Take a planned change back.
    ///
    /// # Errors
    /// The tenant has none of this id that has not been applied.
    pub async fn schedule_delete(&self, tenant_id: &str, id: &str) -> Result<()> {
        let attempt = || format!("take back the planned change {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection.link().execute(DELETE, params![tenant_id, id]).await;
        must_hit(hit.attempt(attempt)?, attempt)
    }

    /// Write what has come into the rows of its subscribers; gives how many changes that were.
    ///
    /// # Errors
    /// The database does not answer. It is done with the next call.
    pub async fn schedule_apply(&self, now: i64) -> Result<u64> {
        let attempt = || "apply planned changes".to_owned();
        let mut applied = 0;
        loop {
            let mut tx = self.begin().await.attempt(attempt)?;
            let rows = tx.link().all(DUE, params![now, AT_A_TIME]).await.attempt(attempt)?;
            for row in &rows {
                let due = planned(row).attempt(attempt)?;
                // First: a termination takes away what is planned and not applied.
                tx.link()
                    .execute(APPLIED, params![&due.id, now])
                    .await
                    .attempt(attempt)?;
                let hit = match &due.change {
                    Change::Status(status) => {
                        let params = params![&due.subscriber_id, status.as_str(), due.at];
                        tx.link().execute(APPLY_STATUS, params).await
                    }
                    Change::Plan(plan) => {
                        tx.link()
                            .execute(APPLY_PLAN, params![&due.subscriber_id, plan.as_str()])
                            .await
                    }
                };
                hit.attempt(attempt)?;
            }
            tx.commit().await.attempt(attempt)?;
            let count = rows.len() as u64;
            applied += count;
            if count < AT_A_TIME.unsigned_abs() {
                return Ok(applied);
            }
        }
    }
}
