//! Addresses that subscribers were given out of pools: the reservation, and what it means for the next login, in one
//! transaction.

use std::net::IpAddr;

use ipnet::IpNet;

use super::error::{Attempt as _, StoreError};
use super::link::Tx;
use super::sql::{Columns, Param, Row, Sql, params, statements};
use super::{Result, Store};
use crate::addressing::Kind;

/// What a subscriber was given.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Assignment {
    pub tenant_id: String,
    pub subscriber_id: String,
    pub kind: Kind,
    /// An address with the mask of the prefix it is of, or the delegated prefix.
    pub net: IpNet,
    /// Of the object in the system that keeps the addresses.
    pub netbox_id: Option<u64>,
    /// The prefix it was taken from, and its id there.
    pub pool: Option<(IpNet, u64)>,
    pub by: Option<String>,
}

/// A subscriber as far as its addresses are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    pub subscriber_id: String,
    pub username: String,
    /// Whether it is to have addresses: neither deleted nor terminated.
    pub alive: bool,
    pub site_id: Option<String>,
    pub service_address: Option<String>,
    pub static_ipv4: Option<IpAddr>,
    pub netbox_ip_id: Option<u64>,
    pub static_ipv6: Option<IpAddr>,
    pub delegated_ipv6_prefix: Option<IpNet>,
    pub ipv6_netbox_prefix_id: Option<u64>,
    /// Of its network profile, or else of its plan.
    pub ipv6_pd_size: Option<u8>,
}

/// What [`addressed`] reads, in its order.
macro_rules! sqlite_addressed {
    () => {
        "SELECT s.id, s.username, s.deleted_at IS NULL AND s.status <> 'terminated', s.site_id, s.service_address, \
            s.static_ipv4, s.netbox_ip_id, n.static_ipv6, n.delegated_ipv6_prefix, n.ipv6_netbox_prefix_id, \
            coalesce(nullif(n.ipv6_pd_size, 0), p.ipv6_pd_size) \
        FROM subscribers s \
            LEFT JOIN subscriber_network_profiles n ON n.subscriber_id = s.id AND n.tenant_id = s.tenant_id \
            LEFT JOIN radius_bandwidth_profiles p ON p.id = s.bandwidth_profile_id AND p.tenant_id = s.tenant_id"
    };
}
macro_rules! postgres_addressed {
    () => {
        "SELECT s.id, s.username, s.deleted_at IS NULL AND s.status <> 'terminated', s.site_id, s.service_address, \
            host(s.static_ipv4), s.netbox_ip_id, host(n.static_ipv6), n.delegated_ipv6_prefix::text, \
            n.ipv6_netbox_prefix_id, coalesce(nullif(n.ipv6_pd_size, 0), p.ipv6_pd_size)::bigint \
        FROM subscribers s \
            LEFT JOIN subscriber_network_profiles n ON n.subscriber_id = s.id AND n.tenant_id = s.tenant_id \
            LEFT JOIN radius_bandwidth_profiles p ON p.id = s.bandwidth_profile_id AND p.tenant_id = s.tenant_id"
    };
}

statements! {
    /// Locked, so that two that give the same subscriber an address do so one after the other.
    SUBSCRIBER {
        sqlite: "SELECT id FROM subscribers WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
            AND status <> 'terminated'",
        postgres: "SELECT id FROM subscribers WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
            AND status <> 'terminated' FOR UPDATE",
    }
    POOL {
        sqlite: "INSERT INTO ip_pools (id, tenant_id, pool_name, pool_type, network_cidr, netbox_prefix_id, netbox_synced_at)
            VALUES ($1, $2, $3, $4, $3, $5, datetime('now'))
            ON CONFLICT (tenant_id, pool_name) DO UPDATE SET
                netbox_prefix_id = coalesce(excluded.netbox_prefix_id, netbox_prefix_id), netbox_synced_at = datetime('now')
            RETURNING id",
        postgres: "INSERT INTO ip_pools (id, tenant_id, pool_name, pool_type, network_cidr, netbox_prefix_id, netbox_synced_at)
            VALUES ($1, $2, $3::text, $4, $3::text::cidr, $5, now())
            ON CONFLICT (tenant_id, pool_name) DO UPDATE SET
                netbox_prefix_id = coalesce(excluded.netbox_prefix_id, ip_pools.netbox_prefix_id), netbox_synced_at = now()
            RETURNING id",
    }
    /// What the subscriber had of the kind, unless it is the same.
    REPLACED {
        sqlite: "DELETE FROM ip_reservations WHERE tenant_id = $1 AND subscriber_id = $2 AND ip_type = $3
            AND ip_address <> $4",
        postgres: "DELETE FROM ip_reservations WHERE tenant_id = $1 AND subscriber_id = $2 AND ip_type = $3
            AND ip_address <> $4::inet",
    }
    /// Nothing where it is another's: what was given back is nobody's.
    RESERVE {
        sqlite: "INSERT INTO ip_reservations (id, tenant_id, pool_id, subscriber_id, ip_address, ip_type, prefix_length,
                status, assigned_at, netbox_ip_id, netbox_synced, assigned_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 'assigned', datetime('now'), $8, $8 IS NOT NULL, $9)
            ON CONFLICT (tenant_id, ip_address) DO UPDATE SET pool_id = excluded.pool_id,
                subscriber_id = excluded.subscriber_id, ip_type = excluded.ip_type, status = 'assigned',
                assigned_at = CASE WHEN status = 'assigned' THEN assigned_at ELSE datetime('now') END, released_at = NULL,
                netbox_ip_id = excluded.netbox_ip_id, netbox_synced = excluded.netbox_synced,
                assigned_by = excluded.assigned_by, updated_at = datetime('now')
            WHERE subscriber_id = excluded.subscriber_id OR status IN ('released', 'expired')",
        postgres: "INSERT INTO ip_reservations (id, tenant_id, pool_id, subscriber_id, ip_address, ip_type, prefix_length,
                status, assigned_at, netbox_ip_id, netbox_synced, assigned_by)
            VALUES ($1, $2, $3, $4, $5::inet, $6, $7, 'assigned', now(), $8, $8::bigint IS NOT NULL, $9)
            ON CONFLICT (tenant_id, ip_address) DO UPDATE SET pool_id = excluded.pool_id,
                subscriber_id = excluded.subscriber_id, ip_type = excluded.ip_type, status = 'assigned',
                assigned_at = CASE WHEN ip_reservations.status = 'assigned' THEN ip_reservations.assigned_at ELSE now() END,
                released_at = NULL,
                netbox_ip_id = excluded.netbox_ip_id, netbox_synced = excluded.netbox_synced,
                assigned_by = excluded.assigned_by, updated_at = now()
            WHERE ip_reservations.subscriber_id = excluded.subscriber_id
                OR ip_reservations.status IN ('released', 'expired')",
    }
    /// Nothing is written where nothing changes: the change feed would tell every node.
    SET_IPV4 {
        sqlite: "UPDATE subscribers SET static_ipv4 = $3, netbox_ip_id = $4, updated_at = datetime('now'), updated_by = $5
            WHERE tenant_id = $1 AND id = $2 AND (static_ipv4 IS NOT $3 OR netbox_ip_id IS NOT $4)",
        postgres: "UPDATE subscribers SET static_ipv4 = $3::inet, netbox_ip_id = $4, updated_at = now(), updated_by = $5
            WHERE tenant_id = $1 AND id = $2
                AND (static_ipv4 IS DISTINCT FROM $3::inet OR netbox_ip_id IS DISTINCT FROM $4)",
    }
    PROFILE {
        both: "INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id) VALUES ($1, $2, $3)
            ON CONFLICT (subscriber_id, tenant_id) DO NOTHING",
    }
    SET_IPV6 {
        sqlite: "UPDATE subscriber_network_profiles SET static_ipv6 = $3, updated_at = datetime('now')
            WHERE tenant_id = $1 AND subscriber_id = $2 AND static_ipv6 IS NOT $3",
        postgres: "UPDATE subscriber_network_profiles SET static_ipv6 = $3::inet, updated_at = now()
            WHERE tenant_id = $1 AND subscriber_id = $2 AND static_ipv6 IS DISTINCT FROM $3::inet",
    }
    SET_IPV6_PREFIX {
        sqlite: "UPDATE subscriber_network_profiles SET delegated_ipv6_prefix = $3, ipv6_netbox_prefix_id = $4,
                ipv6_state = CASE WHEN $3 IS NULL THEN 'revoked' ELSE 'active' END,
                ipv6_allocated_at = CASE WHEN $3 IS NULL THEN ipv6_allocated_at ELSE datetime('now') END,
                ipv6_activated_at = CASE WHEN $3 IS NULL THEN ipv6_activated_at ELSE datetime('now') END,
                ipv6_revoked_at = CASE WHEN $3 IS NULL THEN datetime('now') END, updated_at = datetime('now')
            WHERE tenant_id = $1 AND subscriber_id = $2
                AND (delegated_ipv6_prefix IS NOT $3 OR ipv6_netbox_prefix_id IS NOT $4)",
        postgres: "UPDATE subscriber_network_profiles SET delegated_ipv6_prefix = $3::inet, ipv6_netbox_prefix_id = $4,
                ipv6_state = CASE WHEN $3::text IS NULL THEN 'revoked' ELSE 'active' END,
                ipv6_allocated_at = CASE WHEN $3::text IS NULL THEN ipv6_allocated_at ELSE now() END,
                ipv6_activated_at = CASE WHEN $3::text IS NULL THEN ipv6_activated_at ELSE now() END,
                ipv6_revoked_at = CASE WHEN $3::text IS NULL THEN now() END, updated_at = now()
            WHERE tenant_id = $1 AND subscriber_id = $2 AND (delegated_ipv6_prefix IS DISTINCT FROM $3::inet
                OR ipv6_netbox_prefix_id IS DISTINCT FROM $4)",
    }
    RELEASE {
        sqlite: "UPDATE ip_reservations SET status = 'released', released_at = datetime('now'), updated_at = datetime('now')
            WHERE tenant_id = $1 AND subscriber_id = $2 AND ip_type = $3 AND status IN ('reserved', 'assigned')",
        postgres: "UPDATE ip_reservations SET status = 'released', released_at = now(), updated_at = now()
            WHERE tenant_id = $1 AND subscriber_id = $2 AND ip_type = $3 AND status IN ('reserved', 'assigned')",
    }
    RESERVATIONS {
        sqlite: "SELECT r.tenant_id, r.subscriber_id, r.ip_type, r.ip_address || CASE WHEN r.ip_type = 'ipv6_prefix' THEN '' ELSE
                '/' || r.prefix_length END, r.netbox_ip_id, p.network_cidr, p.netbox_prefix_id, r.assigned_by
            FROM ip_reservations r JOIN ip_pools p ON p.id = r.pool_id
            WHERE r.tenant_id = $1 AND r.subscriber_id IN (SELECT value FROM json_each($2)) AND r.status = 'assigned'
            ORDER BY r.subscriber_id, r.ip_type",
        postgres: "SELECT r.tenant_id, r.subscriber_id, r.ip_type, host(r.ip_address) || '/' || r.prefix_length,
                r.netbox_ip_id, p.network_cidr::text, p.netbox_prefix_id, r.assigned_by
            FROM ip_reservations r JOIN ip_pools p ON p.id = r.pool_id
            WHERE r.tenant_id = $1 AND r.subscriber_id IN (SELECT json_array_elements_text($2::json))
                AND r.status = 'assigned'
            ORDER BY r.subscriber_id COLLATE \"C\", r.ip_type COLLATE \"C\"",
    }
    ADDRESSED {
        sqlite: concat!(sqlite_addressed!(), " WHERE s.tenant_id = $1 AND s.id > $2 AND ($3 IS NULL OR s.site_id = $3)
            ORDER BY s.id LIMIT $4"),
        postgres: concat!(postgres_addressed!(), " WHERE s.tenant_id = $1 AND s.id > $2 COLLATE \"C\"
                AND ($3::text IS NULL OR s.site_id = $3)
            ORDER BY s.id COLLATE \"C\" LIMIT $4"),
    }
    ADDRESSED_OF {
        sqlite: concat!(sqlite_addressed!(), " WHERE s.tenant_id = $1 AND s.id IN (SELECT value FROM json_each($2))"),
        postgres: concat!(postgres_addressed!(), " WHERE s.tenant_id = $1
            AND s.id IN (SELECT json_array_elements_text($2::json))"),
    }
    LIVE {
        sqlite: "SELECT DISTINCT framedipaddress FROM radacct WHERE tenant_id = $1 AND acctstoptime IS NULL
            AND framedipaddress IS NOT NULL",
        postgres: "SELECT DISTINCT host(framedipaddress) FROM radacct WHERE tenant_id = $1 AND acctstoptime IS NULL
            AND framedipaddress IS NOT NULL",
    }
}

fn addressed(row: &Row) -> std::result::Result<Addressed, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Addressed {
        subscriber_id: columns.text()?,
        username: columns.text()?,
        alive: columns.flag()?,
        site_id: columns.opt_text()?,
        service_address: columns.opt_text()?,
        static_ipv4: columns.opt_parsed()?,
        netbox_ip_id: columns.opt_number()?,
        static_ipv6: columns.opt_parsed()?,
        delegated_ipv6_prefix: columns.opt_parsed()?,
        ipv6_netbox_prefix_id: columns.opt_number()?,
        ipv6_pd_size: columns.opt_number()?,
    })
}

fn assignment(row: &Row) -> std::result::Result<Assignment, sqlx::Error> {
    let mut columns = Columns::of(row);
    let (tenant_id, subscriber_id, kind) = (columns.text()?, columns.text()?, columns.parsed()?);
    let (net, netbox_id) = (columns.parsed()?, columns.opt_number()?);
    let (pool, pool_id): (IpNet, Option<u64>) = (columns.parsed()?, columns.opt_number()?);
    Ok(Assignment {
        tenant_id,
        subscriber_id,
        kind,
        net,
        netbox_id,
        pool: pool_id.map(|id| (pool, id)),
        by: columns.opt_text()?,
    })
}

/// The text of `ip_reservations.ip_address`: an address alone, or a prefix with its length.
fn address_text(kind: Kind, net: IpNet) -> String {
    match kind {
        Kind::Ipv4 | Kind::Ipv6 => net.addr().to_string(),
        Kind::Ipv6Prefix => net.trunc().to_string(),
    }
}

/// What `ip_pools.pool_type` calls a network.
fn pool_type(kind: Kind, net: IpNet) -> &'static str {
    match (kind, net.addr()) {
        (Kind::Ipv6Prefix, _) => "ipv6_pd",
        (_, IpAddr::V4(address)) if address.is_private() => "ipv4_private",
        (_, IpAddr::V4(_)) => "ipv4_public",
        (_, IpAddr::V6(address)) if address.is_unique_local() => "ipv6_ula",
        (_, IpAddr::V6(_)) => "ipv6_global",
    }
}

impl Store {
    /// Write down what a subscriber was given, and give it at the next login: the reservation, the subscriber's or its
    /// network profile's address and the id in the other system, together. Doing it twice changes nothing.
    ///
    /// # Errors
    /// The tenant has no such subscriber, it is terminated, or the address is another subscriber's; nothing is written.
    pub async fn assign(&self, assignment: &Assignment) -> Result<()> {
        let attempt = || format!("assign {} to subscriber {:?}", assignment.net, assignment.subscriber_id);
        let mut tx = self.begin().await.attempt(attempt)?;
        let whose = params![&assignment.tenant_id, &assignment.subscriber_id];
        if tx.link().optional(SUBSCRIBER, whose).await.attempt(attempt)?.is_none() {
            return Err(StoreError::NotFound { attempt: attempt() });
        }
        let pool = pool(&mut tx, assignment).await?;
        let address = address_text(assignment.kind, assignment.net);
        let replaced = params![
            &assignment.tenant_id,
            &assignment.subscriber_id,
            assignment.kind.as_str(),
            &address,
        ];
        tx.link().execute(REPLACED, replaced).await.attempt(attempt)?;
        let id = uuid::Uuid::new_v4().to_string();
        let reserved = params![
            &id,
            &assignment.tenant_id,
            &pool,
            &assignment.subscriber_id,
            &address,
            assignment.kind.as_str(),
            assignment.net.prefix_len(),
            assignment.netbox_id.map(signed),
            &assignment.by,
        ];
        if tx.link().execute(RESERVE, reserved).await.attempt(attempt)? == 0 {
            return Err(StoreError::Duplicate {
                what: "assigned address",
                attempt: attempt(),
            });
        }
        let given = (Some(address), assignment.netbox_id);
        set(&mut tx, assignment.kind, whose, given, &assignment.by)
            .await
            .attempt(attempt)?;
        tx.commit().await.attempt(attempt)
    }

    /// Take back what a subscriber was given. Doing it twice changes nothing.
    ///
    /// # Errors
    /// The database does not answer; nothing is taken back.
    pub async fn unassign(&self, tenant_id: &str, subscriber_id: &str, kind: Kind, by: &Option<String>) -> Result<()> {
        let attempt = || format!("take back the {} of subscriber {subscriber_id:?}", kind.as_str());
        let mut tx = self.begin().await.attempt(attempt)?;
        let whose = params![tenant_id, subscriber_id];
        let released = params![tenant_id, subscriber_id, kind.as_str()];
        tx.link().execute(RELEASE, released).await.attempt(attempt)?;
        set(&mut tx, kind, whose, (None, None), by).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)
    }

    /// What these subscribers were given and have, by subscriber and kind.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn assignments(&self, tenant_id: &str, subscriber_ids: &[&str]) -> Result<Vec<Assignment>> {
        let attempt = || format!("list what subscribers of tenant {tenant_id:?} were given");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, list(subscriber_ids)];
        let rows = connection.link().all(RESERVATIONS, params).await.attempt(attempt)?;
        rows.iter()
            .map(assignment)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// At most `limit` subscribers of a tenant, or of one site of it, by their ids, beginning after `after`; those that are
    /// deleted are among them.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn addressed(
        &self,
        tenant_id: &str,
        site: Option<&str>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Addressed>> {
        let attempt = || format!("list the addresses of tenant {tenant_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, after, site, limit];
        let rows = connection.link().all(ADDRESSED, params).await.attempt(attempt)?;
        rows.iter()
            .map(addressed)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// The addresses of these subscribers; those the tenant does not have are left out.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn addressed_of(&self, tenant_id: &str, subscriber_ids: &[&str]) -> Result<Vec<Addressed>> {
        let attempt = || format!("read the addresses of subscribers of tenant {tenant_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, list(subscriber_ids)];
        let rows = connection.link().all(ADDRESSED_OF, params).await.attempt(attempt)?;
        rows.iter()
            .map(addressed)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// The IPv4 addresses that open sessions have, in any order.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn live_addresses(&self, tenant_id: &str) -> Result<Vec<IpAddr>> {
        let attempt = || format!("list the addresses of open sessions of tenant {tenant_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(LIVE, params![tenant_id]).await.attempt(attempt)?;
        rows.iter()
            .map(|row| Columns::of(row).parsed())
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }
}

/// Ids as one parameter.
pub(super) fn list(ids: &[&str]) -> String {
    // Texts alone: nothing in it can fail.
    serde_json::to_string(ids).unwrap_or_default()
}

/// The id of the pool an assignment is of, made where there is none. One that was found and not taken is of the network
/// its mask says.
async fn pool(tx: &mut Tx, assignment: &Assignment) -> Result<String> {
    let attempt = || "write down an address pool".to_owned();
    let (net, netbox_id) = match assignment.pool {
        Some((net, id)) => (net, Some(signed(id))),
        None => (assignment.net.trunc(), None),
    };
    let id = uuid::Uuid::new_v4().to_string();
    let params = params![
        &id,
        &assignment.tenant_id,
        net.to_string(),
        pool_type(assignment.kind, net),
        netbox_id,
    ];
    let row = tx.link().optional(POOL, params).await.attempt(attempt)?;
    let id = row.as_ref().map(|row| Columns::of(row).text()).transpose();
    Ok(id.attempt(attempt)?.unwrap_or_default())
}

/// Give an address, or none, at the next login.
async fn set(
    tx: &mut Tx,
    kind: Kind,
    whose: &[Param<'_>],
    (address, netbox_id): (Option<String>, Option<u64>),
    by: &Option<String>,
) -> std::result::Result<(), sqlx::Error> {
    let netbox_id = netbox_id.map(signed);
    let sql: Sql = match kind {
        Kind::Ipv4 => SET_IPV4,
        Kind::Ipv6 => SET_IPV6,
        Kind::Ipv6Prefix => SET_IPV6_PREFIX,
    };
    if kind != Kind::Ipv4 && address.is_some() {
        let id = uuid::Uuid::new_v4().to_string();
        let mut profile = params![&id].to_vec();
        profile.extend_from_slice(whose);
        tx.link().execute(PROFILE, &profile).await?;
    }
    let mut params = whose.to_vec();
    params.extend_from_slice(params![&address]);
    match kind {
        Kind::Ipv4 => params.extend_from_slice(params![netbox_id, by]),
        Kind::Ipv6 => {}
        Kind::Ipv6Prefix => params.extend_from_slice(params![netbox_id]),
    }
    tx.link().execute(sql, &params).await?;
    Ok(())
}

/// As the databases keep ids.
fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
