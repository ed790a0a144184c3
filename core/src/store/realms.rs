//! What becomes of the realms of user names.

use super::error::Attempt as _;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store, must_hit};
use crate::tenant::{RealmAction, TenantRealm};

/// Shared with the snapshot load.
macro_rules! realm_columns {
    () => {
        "tenant_id, realm, action, to_tenant_id"
    };
}
pub(super) use realm_columns;

statements! {
    REALMS {
        sqlite: concat!("SELECT ", realm_columns!(), " FROM tenant_realms WHERE tenant_id = $1 ORDER BY realm"),
        postgres: concat!("SELECT ", realm_columns!(), " FROM tenant_realms WHERE tenant_id = $1 ORDER BY realm COLLATE \"C\""),
    }
    SET_REALM {
        both: "INSERT INTO tenant_realms (tenant_id, realm, action, to_tenant_id) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, realm) DO UPDATE SET action = excluded.action, to_tenant_id = excluded.to_tenant_id",
    }
    DELETE_REALM {
        both: "DELETE FROM tenant_realms WHERE tenant_id = $1 AND realm = $2",
    }
}

pub(super) fn realm(row: &Row) -> std::result::Result<TenantRealm, sqlx::Error> {
    let mut columns = Columns::of(row);
    let (tenant_id, realm) = (columns.text()?, columns.text()?);
    let (action, to) = (columns.text()?, columns.opt_text()?);
    Ok(TenantRealm {
        tenant_id,
        realm,
        // The schema admits a tenant with "tenant" only, and no fifth word.
        action: match (action.as_str(), to) {
            (_, Some(to)) => RealmAction::Tenant(to),
            ("accept", None) => RealmAction::Accept,
            ("strip", None) => RealmAction::Strip,
            _ => RealmAction::Refuse,
        },
    })
}

impl Store {
    /// What becomes of which realm that comes by the tenant's NAS.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tenant_realms(&self, tenant_id: &str) -> Result<Vec<TenantRealm>> {
        let attempt = || "list the realms of a tenant".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection
            .link()
            .all(REALMS, params![tenant_id])
            .await
            .attempt(attempt)?;
        rows.iter()
            .map(realm)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Say what becomes of a realm that comes by the tenant's NAS.
    ///
    /// # Errors
    /// There is no such tenant, or the realm is none.
    pub async fn tenant_realm_set(&self, realm: &TenantRealm) -> Result<()> {
        let attempt = || format!("set what becomes of realm {:?}", realm.realm);
        let (action, to) = match &realm.action {
            RealmAction::Accept => ("accept", None),
            RealmAction::Strip => ("strip", None),
            RealmAction::Refuse => ("refuse", None),
            RealmAction::Tenant(to) => ("tenant", Some(to.as_str())),
        };
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![&realm.tenant_id, &realm.realm, action, to];
        connection
            .link()
            .execute(SET_REALM, params)
            .await
            .attempt(attempt)
            .map(drop)
    }

    /// Have no rule for a realm any more.
    ///
    /// # Errors
    /// There is none.
    pub async fn tenant_realm_delete(&self, tenant_id: &str, realm: &str) -> Result<()> {
        let attempt = || format!("delete the rule for realm {realm:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![tenant_id, realm];
        let hit = connection.link().execute(DELETE_REALM, params).await.attempt(attempt)?;
        must_hit(hit, attempt)
    }
}
