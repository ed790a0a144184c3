//! What a node reads: the whole base in one consistent view, or the parts that changed.

use std::fmt::Display;
use std::str::FromStr;

#[cfg(feature = "sqlite")]
use serde::Deserialize as _;
use serde::de::DeserializeOwned;

use super::error::Attempt as _;
use super::link::Tx;
use super::sql::{Columns, Row, Sql, params, statements};
use super::{FeedPosition, Result, SnapshotSink, Store, feed, groups, nas, plans, realms, tenants};
use crate::accounting::quota::Effect;
use crate::nas::NasRecord;
use crate::network_profile::NetworkFacts;
use crate::policy::binding::Enforcement;
use crate::policy::schedule::{Change, Scheduled};
use crate::subscriber::{AttributeRow, Status, SubscriberRecord, SubscriberTier};

/// The fields of [`Loaded`], in its order.
///
/// SQLite: as JSON, some hundred subscribers to a row. The driver hands over each row to another thread and copies each
/// value on its own, which would take longer than reading them.
macro_rules! sqlite_subscribers {
    ($where:literal) => {
        concat!(
            "SELECT json_group_array(json_array(s.id, s.tenant_id, s.username, s.status, s.password,
                s.password_hash_method, s.bandwidth_profile_id, s.download_speed_kbps, s.upload_speed_kbps,
                coalesce(s.static_ipv4, p.static_ipv4), p.static_ipv6, s.ipv6_prefix, p.delegated_ipv6_prefix,
                coalesce(s.vlan_id, p.service_vlan), CASE WHEN p.qinq_enabled THEN p.inner_vlan END,
                s.session_timeout, s.idle_timeout, s.simultaneous_use, unixepoch(s.activation_date),
                unixepoch(s.expiration_date), s.cpe_mac_address, t.metric, t.plan_id, unixepoch(t.until),
                json(CASE WHEN p.id IS NULL THEN 'null' ELSE json_array(p.circuit_id, p.remote_id, p.option82_policy,
                    s.nas_identifier, p.nas_policy, p.nas_port_id, p.port_policy,
                    coalesce(p.mac_addresses, s.cpe_mac_address), p.mac_policy, p.vlan_policy, p.login_time) END),
                json((SELECT json_group_array(json_array(unixepoch(h.at), h.status, h.plan_id) ORDER BY h.at, h.id)
                    FROM subscriber_schedule h WHERE h.subscriber_id = s.id AND h.applied_at IS NULL)), ",
            sqlite_rows!("radcheck"),
            ", ",
            sqlite_rows!("radreply"),
            ", ",
            sqlite_groups!(),
            ")) ",
            from!(),
            " WHERE s.deleted_at IS NULL AND ",
            $where
        )
    };
}
macro_rules! postgres_columns {
    () => {
        "s.id, s.tenant_id, s.username, s.status, s.password, s.password_hash_method, s.bandwidth_profile_id, \
         s.download_speed_kbps, s.upload_speed_kbps, host(coalesce(s.static_ipv4, p.static_ipv4)), \
         host(p.static_ipv6), s.ipv6_prefix::text, p.delegated_ipv6_prefix::text, \
         coalesce(s.vlan_id, p.service_vlan)::bigint, (CASE WHEN p.qinq_enabled THEN p.inner_vlan END)::bigint, \
         s.session_timeout, s.idle_timeout, s.simultaneous_use, extract(epoch FROM s.activation_date)::bigint, \
         extract(epoch FROM s.expiration_date)::bigint, s.cpe_mac_address, t.metric, t.plan_id, extract(epoch FROM t.until)::bigint, \
         CASE WHEN p.id IS NOT NULL THEN json_build_array(p.circuit_id, p.remote_id, p.option82_policy, \
         s.nas_identifier, p.nas_policy, p.nas_port_id, p.port_policy, coalesce(p.mac_addresses, s.cpe_mac_address), \
         p.mac_policy, p.vlan_policy, p.login_time)::text END, \
         (SELECT json_agg(json_build_array(extract(epoch FROM h.at)::bigint, h.status, h.plan_id) ORDER BY h.at, h.id) \
         FROM subscriber_schedule h WHERE h.subscriber_id = s.id AND h.applied_at IS NULL)::text"
    };
}

macro_rules! from {
    () => {
        "FROM subscribers s
            LEFT JOIN subscriber_network_profiles p ON p.subscriber_id = s.id AND p.tenant_id = s.tenant_id
            LEFT JOIN subscriber_tiers t ON t.subscriber_id = s.id"
    };
}

/// The raw rows of one subscriber as JSON, looked up by index. json(): a sub-query hands its value on as mere text.
macro_rules! sqlite_rows {
    ($table:literal) => {
        concat!(
            "json((SELECT json_group_array(json_array(r.id, r.attribute, r.op, r.value) ORDER BY r.id) FROM ",
            $table,
            " r WHERE r.subscriber_id = s.id))"
        )
    };
}
macro_rules! postgres_rows {
    ($table:literal) => {
        concat!(
            "(SELECT json_agg(json_build_array(r.id, r.attribute, r.op, r.value) ORDER BY r.id) FROM ",
            $table,
            " r WHERE r.subscriber_id = s.id)::text"
        )
    };
}
/// Names of the groups of one subscriber, in the order they are looked at.
macro_rules! sqlite_groups {
    () => {
        "json((SELECT json_group_array(g.groupname ORDER BY g.priority, g.id) FROM radusergroup g
            WHERE g.subscriber_id = s.id))"
    };
}
macro_rules! postgres_groups {
    () => {
        "(SELECT json_agg(g.groupname ORDER BY g.priority, g.id) FROM radusergroup g WHERE g.subscriber_id = s.id)::text"
    };
}
macro_rules! postgres_all_groups {
    () => {
        "(SELECT subscriber_id, json_agg(groupname ORDER BY priority, id)::text AS list FROM radusergroup
            WHERE subscriber_id IS NOT NULL GROUP BY subscriber_id)"
    };
}
/// The raw rows of all subscribers, to be joined: a million look-ups would take longer than the rest.
macro_rules! postgres_all_rows {
    ($table:literal) => {
        concat!(
            "(SELECT subscriber_id, json_agg(json_build_array(id, attribute, op, value) ORDER BY id)::text AS list FROM ",
            $table,
            " WHERE subscriber_id IS NOT NULL GROUP BY subscriber_id)"
        )
    };
}

statements! {
    NAS {
        both: concat!("SELECT id, tenant_id, nasname, shortname, vendor, type, server, secret,
                require_message_authenticator, ", nas::coa_columns!(), " FROM nas ORDER BY id"),
    }
    TENANTS {
        both: concat!("SELECT ", tenants::tenant_columns!(), " FROM tenants"),
    }
    CONDITIONS {
        both: concat!("SELECT ", tenants::condition_columns!(), " FROM tenant_conditions"),
    }
    REALMS {
        both: concat!("SELECT ", realms::realm_columns!(), " FROM tenant_realms"),
    }
    PLANS {
        both: concat!("SELECT ", plans::plan_columns!(), " FROM radius_bandwidth_profiles"),
    }
    ALL_SUBSCRIBERS {
        sqlite: concat!("
            WITH RECURSIVE chunk (low, high) AS (
                SELECT low, (SELECT max(k) FROM (
                        SELECT rowid AS k FROM subscribers WHERE rowid > low ORDER BY rowid LIMIT 256))
                    FROM (SELECT min(rowid) - 1 AS low FROM subscribers)
                UNION ALL
                SELECT high, (SELECT max(k) FROM (
                        SELECT rowid AS k FROM subscribers WHERE rowid > high ORDER BY rowid LIMIT 256))
                    FROM chunk WHERE high IS NOT NULL)
            SELECT (", sqlite_subscribers!("s.rowid > low AND s.rowid <= high"), ") FROM chunk WHERE high IS NOT NULL"),
        postgres: concat!(
            "SELECT ", postgres_columns!(), ", c.list, a.list, g.list ", from!(),
            " LEFT JOIN ", postgres_all_rows!("radcheck"), " c ON c.subscriber_id = s.id",
            " LEFT JOIN ", postgres_all_rows!("radreply"), " a ON a.subscriber_id = s.id",
            " LEFT JOIN ", postgres_all_groups!(), " g ON g.subscriber_id = s.id",
            " WHERE s.deleted_at IS NULL"),
    }
    SOME_SUBSCRIBERS {
        sqlite: sqlite_subscribers!("s.id IN (SELECT value FROM json_each($1))"),
        postgres: concat!(
            "SELECT ", postgres_columns!(), ", ", postgres_rows!("radcheck"), ", ", postgres_rows!("radreply"), ", ",
            postgres_groups!(), " ",
            from!(), " WHERE s.deleted_at IS NULL AND s.id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))"),
    }
}

impl Store {
    /// Read tenants, plans, NAS, rows of groups and every subscriber that is not deleted, as of one instant, and return where the
    /// change feed stood then.
    ///
    /// # Errors
    /// The database does not answer; the sink has seen part of the base then.
    pub async fn load_snapshot(&self, sink: &mut dyn SnapshotSink) -> Result<FeedPosition> {
        let attempt = || "load the subscriber base".to_owned();
        let mut tx = self.begin_load().await.attempt(attempt)?;
        let position = feed::position(self, &mut tx).await.attempt(attempt)?;
        catalog(&mut tx, sink).await.attempt(attempt)?;
        subscribers(&mut tx, ALL_SUBSCRIBERS, None, sink)
            .await
            .attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(position)
    }

    /// Read tenants, plans, NAS and rows of groups.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn load_catalog(&self, sink: &mut dyn SnapshotSink) -> Result<()> {
        let attempt = || "load tenants, plans and NAS".to_owned();
        let mut tx = self.begin_snapshot().await.attempt(attempt)?;
        catalog(&mut tx, sink).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)
    }

    /// Read those of the subscribers that exist and are not deleted.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn load_subscribers(&self, ids: &[String], sink: &mut dyn SnapshotSink) -> Result<()> {
        let attempt = || "load changed subscribers".to_owned();
        let ids = serde_json::Value::from(ids).to_string();
        let mut tx = self.begin_snapshot().await.attempt(attempt)?;
        subscribers(&mut tx, SOME_SUBSCRIBERS, Some(&ids), sink)
            .await
            .attempt(attempt)?;
        tx.commit().await.attempt(attempt)
    }
}

pub(super) type Driver<T> = std::result::Result<T, sqlx::Error>;

async fn catalog(tx: &mut Tx, sink: &mut dyn SnapshotSink) -> Driver<()> {
    for row in tx.link().all(TENANTS, &[]).await? {
        if let Some(tenant) = readable("tenants", &row, tenants::tenant)? {
            sink.tenant(tenant);
        }
    }
    for row in tx.link().all(PLANS, &[]).await? {
        if let Some(plan) = readable("radius_bandwidth_profiles", &row, plans::plan)? {
            sink.plan(plan);
        }
    }
    for row in tx.link().all(CONDITIONS, &[]).await? {
        if let Some(condition) = readable("tenant_conditions", &row, tenants::condition)? {
            sink.condition(condition);
        }
    }
    for row in tx.link().all(REALMS, &[]).await? {
        if let Some(realm) = readable("tenant_realms", &row, realms::realm)? {
            sink.realm(realm);
        }
    }
    for row in tx.link().all(NAS, &[]).await? {
        if let Some(nas) = readable("nas", &row, nas_record)?.flatten() {
            sink.nas(nas);
        }
    }
    groups::load(tx, sink).await
}

async fn subscribers(tx: &mut Tx, sql: Sql, ids: Option<&str>, sink: &mut dyn SnapshotSink) -> Driver<()> {
    let all = params![];
    let some = params![ids];
    let params: &[_] = if ids.is_some() { some } else { all };
    let each = tx.link().each(sql, params, |row| {
        match row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(_) => chunk(row)?
                .into_iter()
                .for_each(|loaded| sink.subscriber(loaded.into())),
            #[cfg(feature = "postgres")]
            Row::Postgres(_) => {
                if let Some(loaded) = readable("subscribers", row, loaded)? {
                    sink.subscriber(loaded.into());
                }
            }
        }
        Ok(())
    });
    each.await
}

/// `None`, and a word about it, for a row that another tool wrote past the schema's checks: it must cost only itself,
/// not the load of all others. What is not handed on is not served.
pub(super) fn readable<T>(table: &str, row: &Row, read: impl FnOnce(&Row) -> Driver<T>) -> Driver<Option<T>> {
    let (column, reason) = match read(row) {
        Ok(value) => return Ok(Some(value)),
        Err(sqlx::Error::ColumnDecode { index, source }) => (index, source),
        Err(sqlx::Error::Decode(source)) => ("radcheck or radreply".to_owned(), source),
        Err(error) => return Err(error),
    };
    let id = Columns::of(row).id();
    tracing::error!(table, id, column, "row left out, it cannot be read: {reason}");
    Ok(None)
}

/// `None` for a NAS known by host name only (another tool's row): no packet can be told to come from it.
fn nas_record(row: &Row) -> Driver<Option<NasRecord>> {
    let mut columns = Columns::of(row);
    let (id, tenant_id, nasname) = (columns.number()?, columns.text()?, columns.text()?);
    let Some(network) = nas::network(&nasname) else {
        tracing::warn!(
            id,
            nasname,
            "NAS left out: its nasname is neither an address nor a network"
        );
        return Ok(None);
    };
    Ok(Some(NasRecord {
        id,
        tenant_id,
        nasname,
        network,
        shortname: columns.text()?,
        vendor: columns.text()?,
        kind: columns.text()?,
        server: columns.opt_text()?,
        secret: columns.text()?.into(),
        require_message_authenticator: columns.flag()?,
        coa: nas::coa(&mut columns)?,
    }))
}

/// A subscriber as the database gives it: addresses still text.
#[cfg_attr(feature = "sqlite", derive(serde::Deserialize))]
struct Loaded {
    id: String,
    tenant_id: String,
    username: String,
    status: Status,
    password: Option<String>,
    password_hash_method: Option<String>,
    plan_id: Option<String>,
    download_kbps: Option<u32>,
    upload_kbps: Option<u32>,
    static_ipv4: Option<String>,
    static_ipv6: Option<String>,
    ipv6_prefix: Option<String>,
    delegated_ipv6_prefix: Option<String>,
    vlan_id: Option<u16>,
    inner_vlan_id: Option<u16>,
    session_timeout: Option<u32>,
    idle_timeout: Option<u32>,
    simultaneous_use: u32,
    activation_date: Option<i64>,
    expiration_date: Option<i64>,
    cpe_mac_address: Option<String>,
    tier_metric: Option<String>,
    tier_plan_id: Option<String>,
    tier_until: Option<i64>,
    network: Option<Network>,
    schedule: Vec<Planned>,
    checks: RawRows,
    replies: RawRows,
    groups: Vec<String>,
}

/// A network profile, its fields in the order of the statements above.
#[derive(serde::Deserialize)]
struct Network {
    circuit_id: Option<String>,
    remote_id: Option<String>,
    option82_policy: Enforcement,
    nas_identifier: Option<String>,
    nas_policy: Enforcement,
    nas_port_id: Option<String>,
    port_policy: Enforcement,
    mac_addresses: Option<String>,
    mac_policy: Enforcement,
    vlan_policy: Enforcement,
    login_time: Option<String>,
}

/// When, and the status or the plan.
type Planned = (i64, Option<Status>, Option<String>);

/// Id, attribute, operator, value.
type RawRows = Vec<(i64, String, String, String)>;

/// Some hundred subscribers; on the same terms as [`readable`].
#[cfg(feature = "sqlite")]
fn chunk(row: &Row) -> Driver<Vec<Loaded>> {
    let text = Columns::of(row).lossy()?;
    if let Ok(all) = serde_json::from_str(&text) {
        return Ok(all);
    }
    let each: Vec<serde_json::Value> = json(Some(&text))?;
    let readable = each.into_iter().filter_map(|fields| {
        let id = fields[0].as_str().unwrap_or_default().to_owned();
        Loaded::deserialize(fields)
            .inspect_err(|error| {
                tracing::error!(table = "subscribers", id, "row left out, it cannot be read: {error}");
            })
            .ok()
    });
    Ok(readable.collect())
}

fn json<T: DeserializeOwned + Default>(text: Option<&str>) -> Driver<T> {
    text.map_or_else(
        || Ok(T::default()),
        |text| serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into())),
    )
}

#[cfg(feature = "postgres")]
fn loaded(row: &Row) -> Driver<Loaded> {
    let mut columns = Columns::of(row);
    Ok(Loaded {
        id: columns.text()?,
        tenant_id: columns.text()?,
        username: columns.text()?,
        status: columns.parsed()?,
        password: columns.opt_text()?,
        password_hash_method: columns.opt_text()?,
        plan_id: columns.opt_text()?,
        download_kbps: columns.opt_number()?,
        upload_kbps: columns.opt_number()?,
        static_ipv4: columns.opt_text()?,
        static_ipv6: columns.opt_text()?,
        ipv6_prefix: columns.opt_text()?,
        delegated_ipv6_prefix: columns.opt_text()?,
        vlan_id: columns.opt_number()?,
        inner_vlan_id: columns.opt_number()?,
        session_timeout: columns.opt_number()?,
        idle_timeout: columns.opt_number()?,
        simultaneous_use: columns.number()?,
        activation_date: columns.opt_number()?,
        expiration_date: columns.opt_number()?,
        cpe_mac_address: columns.opt_text()?,
        tier_metric: columns.opt_text()?,
        tier_plan_id: columns.opt_text()?,
        tier_until: columns.opt_number()?,
        network: json(columns.opt_str()?)?,
        schedule: json(columns.opt_str()?)?,
        checks: json(columns.opt_str()?)?,
        replies: json(columns.opt_str()?)?,
        groups: json(columns.opt_str()?)?,
    })
}

impl From<Loaded> for SubscriberRecord {
    fn from(s: Loaded) -> Self {
        Self {
            static_ipv4: address(&s.id, "static_ipv4", s.static_ipv4.as_deref()),
            static_ipv6: address(&s.id, "static_ipv6", s.static_ipv6.as_deref()),
            ipv6_prefix: address(&s.id, "ipv6_prefix", s.ipv6_prefix.as_deref()),
            delegated_ipv6_prefix: address(&s.id, "delegated_ipv6_prefix", s.delegated_ipv6_prefix.as_deref()),
            id: s.id,
            tenant_id: s.tenant_id,
            username: s.username,
            status: s.status,
            password: s.password,
            password_hash_method: s.password_hash_method,
            plan_id: s.plan_id,
            download_kbps: s.download_kbps,
            upload_kbps: s.upload_kbps,
            vlan_id: s.vlan_id,
            inner_vlan_id: s.inner_vlan_id,
            session_timeout: s.session_timeout,
            idle_timeout: s.idle_timeout,
            simultaneous_use: s.simultaneous_use,
            activation_date: s.activation_date,
            expiration_date: s.expiration_date,
            cpe_mac_address: s.cpe_mac_address,
            tier: tier(s.tier_metric.as_deref(), s.tier_plan_id, s.tier_until),
            network: s.network.map(Into::into),
            schedule: s.schedule.into_iter().filter_map(planned).collect(),
            checks: attribute_rows(s.checks),
            replies: attribute_rows(s.replies),
            groups: s.groups,
        }
    }
}

impl From<Network> for NetworkFacts {
    fn from(n: Network) -> Self {
        Self {
            circuit_id: n.circuit_id,
            remote_id: n.remote_id,
            option82_policy: n.option82_policy,
            nas_identifier: n.nas_identifier,
            nas_policy: n.nas_policy,
            nas_port_id: n.nas_port_id,
            port_policy: n.port_policy,
            mac_addresses: n.mac_addresses,
            mac_policy: n.mac_policy,
            vlan_policy: n.vlan_policy,
            login_time: n.login_time,
        }
    }
}

/// The schema admits no change of neither.
fn planned((at, status, plan): Planned) -> Option<Scheduled<String>> {
    let change = status.map(Change::Status).or(plan.map(Change::Plan))?;
    Some(Scheduled { at, change })
}

/// The schema admits no metric that is unknown.
fn tier(metric: Option<&str>, plan_id: Option<String>, until: Option<i64>) -> Option<SubscriberTier> {
    Some(SubscriberTier {
        metric: metric?.parse().ok()?,
        effect: plan_id.map_or(Effect::Refuse, Effect::Plan),
        until: until?,
    })
}

/// SQLite takes any text for an address. A bad one, which another tool wrote, must not keep the whole base from
/// loading: it is reported and left out.
fn address<T: FromStr<Err: Display>>(subscriber: &str, column: &str, text: Option<&str>) -> Option<T> {
    let text = text?;
    text.parse()
        .inspect_err(|error| tracing::warn!(subscriber, column, text, "address left out: {error}"))
        .ok()
}

fn attribute_rows(rows: RawRows) -> Vec<AttributeRow> {
    let rows = rows.into_iter().map(|(id, attribute, op, value)| AttributeRow {
        id,
        attribute,
        op,
        value,
    });
    rows.collect()
}
