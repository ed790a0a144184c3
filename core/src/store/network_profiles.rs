//! Network profiles.

use super::assignments::list;
use super::error::Attempt as _;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store, must_hit};
use crate::network_profile::NetworkProfile;

/// What [`profile`] reads, in its order.
macro_rules! columns {
    (sqlite) => {
        "id, tenant_id, subscriber_id, circuit_id, remote_id, option82_policy, service_vlan, inner_vlan, qinq_enabled, \
         vlan_policy, static_ipv4, static_ipv6, delegated_ipv6_prefix, nas_policy, nas_port_id, port_policy, \
         mac_addresses, mac_policy, login_time"
    };
    (postgres) => {
        "id, tenant_id, subscriber_id, circuit_id, remote_id, option82_policy, service_vlan::bigint, \
         inner_vlan::bigint, qinq_enabled, vlan_policy, host(static_ipv4), host(static_ipv6), \
         delegated_ipv6_prefix::text, nas_policy, nas_port_id, port_policy, mac_addresses, mac_policy, login_time"
    };
}

statements! {
    GET {
        sqlite: concat!(
            "SELECT ", columns!(sqlite), " FROM subscriber_network_profiles WHERE tenant_id = $1 AND subscriber_id = $2"),
        postgres: concat!(
            "SELECT ", columns!(postgres), " FROM subscriber_network_profiles WHERE tenant_id = $1 AND subscriber_id = $2"),
    }
    OF {
        sqlite: concat!("SELECT ", columns!(sqlite), " FROM subscriber_network_profiles
            WHERE tenant_id = $1 AND subscriber_id IN (SELECT value FROM json_each($2))"),
        postgres: concat!("SELECT ", columns!(postgres), " FROM subscriber_network_profiles
            WHERE tenant_id = $1 AND subscriber_id IN (SELECT json_array_elements_text($2::json))"),
    }
    SET {
        sqlite: concat!(
            "INSERT INTO subscriber_network_profiles (", columns!(sqlite), ")
                SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
                FROM subscribers s WHERE s.id = $3 AND s.tenant_id = $2 AND s.deleted_at IS NULL
                ON CONFLICT (subscriber_id, tenant_id) DO UPDATE SET circuit_id = $4, remote_id = $5,
                option82_policy = $6, service_vlan = $7, inner_vlan = $8, qinq_enabled = $9, vlan_policy = $10,
                static_ipv4 = $11, static_ipv6 = $12, delegated_ipv6_prefix = $13, nas_policy = $14, nas_port_id = $15,
                port_policy = $16, mac_addresses = $17, mac_policy = $18, login_time = $19,
                updated_at = datetime('now')"),
        postgres: concat!(
            "INSERT INTO subscriber_network_profiles (", columns!(sqlite), ")
                SELECT $1, $2, $3, $4, $5, $6, $7::bigint, $8::bigint, $9, $10, $11::inet, $12::inet, $13::inet, $14,
                $15, $16, $17, $18, $19
                FROM subscribers s WHERE s.id = $3 AND s.tenant_id = $2 AND s.deleted_at IS NULL
                ON CONFLICT (subscriber_id, tenant_id) DO UPDATE SET circuit_id = excluded.circuit_id,
                remote_id = excluded.remote_id, option82_policy = excluded.option82_policy,
                service_vlan = excluded.service_vlan, inner_vlan = excluded.inner_vlan,
                qinq_enabled = excluded.qinq_enabled, vlan_policy = excluded.vlan_policy,
                static_ipv4 = excluded.static_ipv4, static_ipv6 = excluded.static_ipv6,
                delegated_ipv6_prefix = excluded.delegated_ipv6_prefix, nas_policy = excluded.nas_policy,
                nas_port_id = excluded.nas_port_id, port_policy = excluded.port_policy,
                mac_addresses = excluded.mac_addresses, mac_policy = excluded.mac_policy,
                login_time = excluded.login_time, updated_at = now()"),
    }
    DELETE {
        both: "DELETE FROM subscriber_network_profiles WHERE tenant_id = $1 AND subscriber_id = $2",
    }
}

fn profile(row: &Row) -> std::result::Result<NetworkProfile, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(NetworkProfile {
        id: columns.text()?,
        tenant_id: columns.text()?,
        subscriber_id: columns.text()?,
        circuit_id: columns.opt_text()?,
        remote_id: columns.opt_text()?,
        option82_policy: columns.parsed()?,
        service_vlan: columns.opt_number()?,
        inner_vlan: columns.opt_number()?,
        qinq_enabled: columns.flag()?,
        vlan_policy: columns.parsed()?,
        static_ipv4: columns.opt_parsed()?,
        static_ipv6: columns.opt_parsed()?,
        delegated_ipv6_prefix: columns.opt_parsed()?,
        nas_policy: columns.parsed()?,
        nas_port_id: columns.opt_text()?,
        port_policy: columns.parsed()?,
        mac_addresses: columns.opt_text()?,
        mac_policy: columns.parsed()?,
        login_time: columns.opt_text()?,
    })
}

impl Store {
    /// The network profile of a subscriber, if it has one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn network_profile_get(&self, tenant_id: &str, subscriber_id: &str) -> Result<Option<NetworkProfile>> {
        let attempt = || format!("read the network profile of subscriber {subscriber_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, subscriber_id];
        let row = connection.link().optional(GET, params).await.attempt(attempt)?;
        row.as_ref().map(profile).transpose().attempt(attempt)
    }

    /// Those of some subscribers, in any order.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn network_profiles_of(&self, tenant_id: &str, subscriber_ids: &[&str]) -> Result<Vec<NetworkProfile>> {
        let attempt = || "read network profiles".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, list(subscriber_ids)];
        let rows = connection.link().all(OF, params).await.attempt(attempt)?;
        rows.iter()
            .map(profile)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }

    /// Give a subscriber this network profile, in place of the one it has.
    ///
    /// # Errors
    /// The tenant has no such subscriber (or it is deleted), or a value is out of its range.
    pub async fn network_profile_set(&self, profile: &NetworkProfile) -> Result<()> {
        let attempt = || format!("set the network profile of subscriber {:?}", profile.subscriber_id);
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            &profile.id,
            &profile.tenant_id,
            &profile.subscriber_id,
            &profile.circuit_id,
            &profile.remote_id,
            profile.option82_policy.as_str(),
            profile.service_vlan,
            profile.inner_vlan,
            profile.qinq_enabled,
            profile.vlan_policy.as_str(),
            profile.static_ipv4,
            profile.static_ipv6,
            profile.delegated_ipv6_prefix,
            profile.nas_policy.as_str(),
            &profile.nas_port_id,
            profile.port_policy.as_str(),
            &profile.mac_addresses,
            profile.mac_policy.as_str(),
            &profile.login_time,
        ];
        let hit = connection.link().execute(SET, params).await;
        must_hit(hit.attempt(attempt)?, attempt)
    }

    /// Take a subscriber's network profile away.
    ///
    /// # Errors
    /// It has none.
    pub async fn network_profile_delete(&self, tenant_id: &str, subscriber_id: &str) -> Result<()> {
        let attempt = || format!("delete the network profile of subscriber {subscriber_id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(DELETE, params![tenant_id, subscriber_id])
            .await;
        must_hit(hit.attempt(attempt)?, attempt)
    }
}
