//! Where a subscriber's line ends: circuit, VLANs, addresses of its own, what it is bound to, and when it may be online.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::policy::binding::Enforcement;

/// A row of `subscriber_network_profiles`: one for a subscriber at most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkProfile {
    pub id: String,
    pub tenant_id: String,
    pub subscriber_id: String,
    /// Agent Circuit ID and Agent Remote ID, as text or as `0x...`.
    pub circuit_id: Option<String>,
    pub remote_id: Option<String>,
    /// What becomes of a packet with others.
    pub option82_policy: Enforcement,
    pub service_vlan: Option<u16>,
    pub inner_vlan: Option<u16>,
    pub qinq_enabled: bool,
    pub vlan_policy: Enforcement,
    pub static_ipv4: Option<Ipv4Addr>,
    pub static_ipv6: Option<Ipv6Addr>,
    pub delegated_ipv6_prefix: Option<Ipv6Net>,
    /// What becomes of a packet from another NAS than the subscriber's `nas_identifier`.
    pub nas_policy: Enforcement,
    /// NAS-Port-Id or NAS-Port.
    pub nas_port_id: Option<String>,
    pub port_policy: Enforcement,
    /// In whatever notation, apart by spaces or commas; none = the subscriber's `cpe_mac_address`.
    pub mac_addresses: Option<String>,
    pub mac_policy: Enforcement,
    /// See [`crate::policy::hours`].
    pub login_time: Option<String>,
}

impl NetworkProfile {
    /// The profile of a subscriber that has none yet.
    #[must_use]
    pub fn blank(id: String, tenant_id: String, subscriber_id: String) -> Self {
        Self {
            id,
            tenant_id,
            subscriber_id,
            option82_policy: Enforcement::Log,
            ..Self::default()
        }
    }
}

/// What a decision needs of a profile and of the columns of `subscribers` that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkFacts {
    pub circuit_id: Option<String>,
    pub remote_id: Option<String>,
    pub option82_policy: Enforcement,
    pub nas_identifier: Option<String>,
    pub nas_policy: Enforcement,
    pub nas_port_id: Option<String>,
    pub port_policy: Enforcement,
    pub mac_addresses: Option<String>,
    pub mac_policy: Enforcement,
    pub vlan_policy: Enforcement,
    pub login_time: Option<String>,
}
