//! What tenants set of the systems beside this one, and what is remembered of them.

use ipnet::IpNet;

use super::error::Attempt as _;
use super::sql::{Columns, params, statements};
use super::{Result, Store, must_hit};
use crate::addressing::Kind;

/// A row of `tenant_services`.
#[derive(Clone, PartialEq, Eq)]
pub struct TenantService {
    /// JSON; what is in it is the service's.
    pub settings: String,
    /// Sealed.
    pub secret: Option<String>,
}

impl std::fmt::Debug for TenantService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantService")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

statements! {
    GET {
        sqlite: "SELECT settings, secret FROM tenant_services WHERE tenant_id = $1 AND service = $2",
        postgres: "SELECT settings::text, secret FROM tenant_services WHERE tenant_id = $1 AND service = $2",
    }
    SET {
        sqlite: "INSERT INTO tenant_services (tenant_id, service, settings, secret, updated_by) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (tenant_id, service) DO UPDATE SET settings = excluded.settings, secret = excluded.secret,
                updated_at = datetime('now'), updated_by = excluded.updated_by",
        postgres: "INSERT INTO tenant_services (tenant_id, service, settings, secret, updated_by)
            VALUES ($1, $2, $3::json, $4, $5)
            ON CONFLICT (tenant_id, service) DO UPDATE SET settings = excluded.settings, secret = excluded.secret,
                updated_at = now(), updated_by = excluded.updated_by",
    }
    DELETE {
        both: "DELETE FROM tenant_services WHERE tenant_id = $1 AND service = $2",
    }
    POOLS {
        sqlite: "SELECT prefix_id, network FROM netbox_pools WHERE tenant_id = $1 AND site = $2 AND kind = $3
            AND read_at >= datetime('now', '-' || $4 || ' seconds') ORDER BY position",
        postgres: "SELECT prefix_id, network::text FROM netbox_pools WHERE tenant_id = $1 AND site = $2 AND kind = $3
            AND read_at >= now() - make_interval(secs => $4) ORDER BY position",
    }
    FORGET_POOLS {
        both: "DELETE FROM netbox_pools WHERE tenant_id = $1 AND site = $2 AND kind = $3",
    }
    FORGET_ALL_POOLS {
        both: "DELETE FROM netbox_pools WHERE tenant_id = $1",
    }
    /// Two that ask at the same time write the same.
    REMEMBER_POOL {
        sqlite: "INSERT INTO netbox_pools (tenant_id, site, kind, position, prefix_id, network)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (tenant_id, site, kind, position) DO UPDATE SET prefix_id = excluded.prefix_id,
                network = excluded.network, read_at = excluded.read_at",
        postgres: "INSERT INTO netbox_pools (tenant_id, site, kind, position, prefix_id, network)
            VALUES ($1, $2, $3, $4, $5, $6::cidr)
            ON CONFLICT (tenant_id, site, kind, position) DO UPDATE SET prefix_id = excluded.prefix_id,
                network = excluded.network, read_at = excluded.read_at",
    }
}

impl Store {
    /// What a tenant set of a service.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn service_get(&self, tenant_id: &str, service: &str) -> Result<Option<TenantService>> {
        let attempt = || format!("read the settings of {service}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let row = connection.link().optional(GET, params![tenant_id, service]).await;
        let Some(row) = row.attempt(attempt)? else {
            return Ok(None);
        };
        let mut columns = Columns::of(&row);
        Ok(Some(TenantService {
            settings: columns.text().attempt(attempt)?,
            secret: columns.opt_text().attempt(attempt)?,
        }))
    }

    /// Set them, in place of what was set.
    ///
    /// # Errors
    /// There is no such tenant, or the settings are no JSON.
    pub async fn service_set(
        &self,
        tenant_id: &str,
        service: &str,
        set: &TenantService,
        by: &Option<String>,
    ) -> Result<()> {
        let attempt = || format!("write the settings of {service}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![tenant_id, service, &set.settings, &set.secret, by];
        connection.link().execute(SET, params).await.attempt(attempt)?;
        Ok(())
    }

    /// Back to the defaults.
    ///
    /// # Errors
    /// Nothing was set.
    pub async fn service_delete(&self, tenant_id: &str, service: &str) -> Result<()> {
        let attempt = || format!("delete the settings of {service}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection.link().execute(DELETE, params![tenant_id, service]).await;
        must_hit(hit.attempt(attempt)?, attempt)
    }

    /// The prefixes that give at a site, ids first, where that is not older than `seconds`; else empty.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn pools_known(
        &self,
        tenant_id: &str,
        site: &str,
        kind: Kind,
        seconds: u32,
    ) -> Result<Vec<(u64, IpNet)>> {
        let attempt = || "read which prefixes give addresses".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, site, kind.as_str(), seconds];
        let rows = connection.link().all(POOLS, params).await.attempt(attempt)?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::of(row);
                Ok((columns.number()?, columns.parsed()?))
            })
            .collect::<std::result::Result<_, sqlx::Error>>()
            .attempt(attempt)
    }

    /// Ask anew which prefixes give.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn pools_forget(&self, tenant_id: &str) -> Result<()> {
        let attempt = || "forget which prefixes give addresses".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        let done = connection.link().execute(FORGET_ALL_POOLS, params![tenant_id]).await;
        done.attempt(attempt).map(drop)
    }

    /// Remember which they are, in their order.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn pools_remember(&self, tenant_id: &str, site: &str, kind: Kind, pools: &[(u64, IpNet)]) -> Result<()> {
        let attempt = || "remember which prefixes give addresses".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        let place = params![tenant_id, site, kind.as_str()];
        tx.link().execute(FORGET_POOLS, place).await.attempt(attempt)?;
        for (position, (id, net)) in (0_i32..).zip(pools) {
            let params = params![tenant_id, site, kind.as_str(), position, *id, net.to_string()];
            tx.link().execute(REMEMBER_POOL, params).await.attempt(attempt)?;
        }
        tx.commit().await.attempt(attempt)
    }
}
