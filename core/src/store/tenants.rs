//! Tenants.

use super::error::{Attempt as _, StoreError};
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store, must_hit};
use crate::tenant::{ConditionAction, LookupBy, Tenant, TenantCondition, UsernameCase, UsernameRealm};

/// Shared with the snapshot load.
macro_rules! tenant_columns {
    () => {
        "id, name, enabled, username_case, username_realm, timezone, interim_jitter_percent, lookup_by"
    };
}
pub(super) use tenant_columns;

/// Shared with the snapshot load.
macro_rules! condition_columns {
    () => {
        "tenant_id, condition, action, plan_id"
    };
}
pub(super) use condition_columns;

statements! {
    ADD {
        both: concat!("INSERT INTO tenants (", tenant_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"),
    }
    LIST {
        sqlite: concat!("SELECT ", tenant_columns!(), " FROM tenants ORDER BY name"),
        postgres: concat!("SELECT ", tenant_columns!(), " FROM tenants ORDER BY name COLLATE \"C\""),
    }
    GET {
        both: concat!("SELECT ", tenant_columns!(), " FROM tenants WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1"),
    }
    SET {
        sqlite: "UPDATE tenants SET name = $2, enabled = $3, username_case = $4, username_realm = $5, timezone = $6,
            interim_jitter_percent = $7, lookup_by = $8, updated_at = datetime('now') WHERE id = $1",
        postgres: "UPDATE tenants SET name = $2, enabled = $3, username_case = $4, username_realm = $5, timezone = $6,
            interim_jitter_percent = $7, lookup_by = $8, updated_at = now() WHERE id = $1",
    }
    /// Deleted subscribers are kept for their accounting only; they do not keep the tenant.
    PURGE {
        both: "DELETE FROM subscribers WHERE tenant_id = $1 AND deleted_at IS NOT NULL",
    }
    DELETE {
        both: "DELETE FROM tenants WHERE id = $1",
    }
    CONDITIONS {
        sqlite: concat!("SELECT ", condition_columns!(), " FROM tenant_conditions WHERE tenant_id = $1 ORDER BY condition"),
        postgres: concat!(
            "SELECT ", condition_columns!(), " FROM tenant_conditions WHERE tenant_id = $1
                ORDER BY condition COLLATE \"C\""),
    }
    SET_CONDITION {
        both: "INSERT INTO tenant_conditions (tenant_id, condition, action, plan_id) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, condition) DO UPDATE SET action = excluded.action, plan_id = excluded.plan_id",
    }
}

const fn case_word(case: UsernameCase) -> &'static str {
    match case {
        UsernameCase::Preserve => "preserve",
        UsernameCase::Lower => "lower",
    }
}

const fn realm_word(realm: UsernameRealm) -> &'static str {
    match realm {
        UsernameRealm::Keep => "keep",
        UsernameRealm::Strip => "strip",
    }
}

pub(super) fn tenant(row: &Row) -> std::result::Result<Tenant, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Tenant {
        id: columns.text()?,
        name: columns.text()?,
        enabled: columns.flag()?,
        // The schema admits no other word.
        username_case: match columns.text()?.as_str() {
            "lower" => UsernameCase::Lower,
            _ => UsernameCase::Preserve,
        },
        username_realm: match columns.text()?.as_str() {
            "strip" => UsernameRealm::Strip,
            _ => UsernameRealm::Keep,
        },
        timezone: columns.text()?,
        interim_jitter_percent: columns.number()?,
        lookup_by: match columns.text()?.as_str() {
            "mac" => LookupBy::Mac,
            "circuit_id" => LookupBy::CircuitId,
            _ => LookupBy::Username,
        },
    })
}

pub(super) fn condition(row: &Row) -> std::result::Result<TenantCondition, sqlx::Error> {
    let mut columns = Columns::of(row);
    let (tenant_id, condition) = (columns.text()?, columns.parsed()?);
    let (action, plan) = (columns.text()?, columns.opt_text()?);
    Ok(TenantCondition {
        tenant_id,
        condition,
        // The schema admits a plan with "restrict" only, and no fourth word.
        action: match (action.as_str(), plan) {
            (_, Some(plan)) => ConditionAction::Restrict(plan),
            ("accept", None) => ConditionAction::Accept,
            _ => ConditionAction::Reject,
        },
    })
}

impl Store {
    /// What a tenant does with those who are in a condition, where it has said so.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tenant_conditions(&self, tenant_id: &str) -> Result<Vec<TenantCondition>> {
        let attempt = || "list what a tenant does in which condition".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection
            .link()
            .all(CONDITIONS, params![tenant_id])
            .await
            .attempt(attempt)?;
        rows.iter()
            .map(condition)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Say what a tenant does with those who are in a condition.
    ///
    /// # Errors
    /// There is no such tenant, or it has no such plan.
    pub async fn tenant_condition_set(&self, condition: &TenantCondition) -> Result<()> {
        let attempt = || format!("set what becomes of those who are {}", condition.condition);
        let (action, plan) = match &condition.action {
            ConditionAction::Reject => ("reject", None),
            ConditionAction::Accept => ("accept", None),
            ConditionAction::Restrict(plan) => ("restrict", Some(plan.as_str())),
        };
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![&condition.tenant_id, condition.condition.as_str(), action, plan];
        connection
            .link()
            .execute(SET_CONDITION, params)
            .await
            .attempt(attempt)
            .map(drop)
    }

    /// # Errors
    /// The id or the name is taken.
    pub async fn tenant_add(&self, tenant: &Tenant) -> Result<()> {
        let attempt = || format!("add tenant {:?}", tenant.name);
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            &tenant.id,
            &tenant.name,
            tenant.enabled,
            case_word(tenant.username_case),
            realm_word(tenant.username_realm),
            &tenant.timezone,
            tenant.interim_jitter_percent,
            tenant.lookup_by.as_str(),
        ];
        connection.link().execute(ADD, params).await.attempt(attempt).map(drop)
    }

    /// All tenants, by name.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tenant_list(&self) -> Result<Vec<Tenant>> {
        let attempt = || "list tenants".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(LIST, &[]).await.attempt(attempt)?;
        rows.iter()
            .map(tenant)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// By id or by name.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tenant_get(&self, id_or_name: &str) -> Result<Option<Tenant>> {
        let attempt = || format!("look up tenant {id_or_name:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let row = connection
            .link()
            .optional(GET, params![id_or_name])
            .await
            .attempt(attempt)?;
        row.as_ref().map(tenant).transpose().attempt(attempt)
    }

    /// Write all columns of the tenant with this id.
    ///
    /// # Errors
    /// There is no such tenant, or its new name is taken.
    pub async fn tenant_set(&self, tenant: &Tenant) -> Result<()> {
        let attempt = || format!("change tenant {:?}", tenant.name);
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            &tenant.id,
            &tenant.name,
            tenant.enabled,
            case_word(tenant.username_case),
            realm_word(tenant.username_realm),
            &tenant.timezone,
            tenant.interim_jitter_percent,
            tenant.lookup_by.as_str(),
        ];
        let hit = connection.link().execute(SET, params).await.attempt(attempt)?;
        must_hit(hit, attempt)
    }

    /// Delete a tenant that has no subscribers (but deleted ones), plans, NAS or customers any more.
    ///
    /// # Errors
    /// There is no such tenant, or it still has some.
    pub async fn tenant_delete(&self, id: &str) -> Result<()> {
        let attempt = || format!("delete tenant {id:?}");
        let mut tx = self.begin().await.attempt(attempt)?;
        tx.link().execute(PURGE, params![id]).await.attempt(attempt)?;
        let hit = match tx.link().execute(DELETE, params![id]).await.attempt(attempt) {
            Err(StoreError::MissingReference { attempt, .. }) => {
                let by = "subscribers, plans, NAS, pools, customers or users of the tenant, or realms of others that lead to it";
                return Err(StoreError::InUse { attempt, by });
            }
            outcome => outcome?,
        };
        must_hit(hit, attempt)?;
        tx.commit().await.attempt(attempt)
    }
}
