//! A subscriber: one access line with its credentials. Separate from the customer who pays for it.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::accounting::quota::{Effect, Metric};
use crate::network_profile::NetworkFacts;
use crate::policy::schedule::Scheduled;

/// Where a subscriber is in its life. Only `Active` is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Pending,
    Active,
    Suspended,
    Disconnected,
    Terminated,
    Quarantined,
}

impl Status {
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Active,
        Self::Suspended,
        Self::Disconnected,
        Self::Terminated,
        Self::Quarantined,
    ];

    /// The word the database and the configuration use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Disconnected => "disconnected",
            Self::Terminated => "terminated",
            Self::Quarantined => "quarantined",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Status`].
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown subscriber status {0:?}: expected pending, active, suspended, disconnected, terminated or quarantined"
)]
pub struct UnknownStatus(pub String);

impl std::str::FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == word)
            .ok_or_else(|| UnknownStatus(word.to_owned()))
    }
}

/// A row of `subscribers`, whole, as administration reads and writes it. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Subscriber {
    pub id: String,
    pub tenant_id: String,
    pub customer_id: Option<String>,
    pub user_id: Option<String>,
    pub username: String,
    /// As stored (`scheme:value`); see [`crate::password`]. Never shown.
    #[serde(skip_serializing, default)]
    pub password: Option<String>,
    pub password_hash_method: Option<String>,
    /// Empty = none; unique per tenant otherwise.
    pub subscriber_number: String,
    pub full_name: Option<String>,
    pub email: Option<String>,
    pub phone_number: Option<String>,
    pub status: Status,
    /// Open set; see [`SERVICE_TYPES`] for the known ones.
    pub service_type: String,
    pub bandwidth_profile_id: Option<String>,
    /// Override the plan's rates, kbit/s.
    pub download_speed_kbps: Option<u32>,
    pub upload_speed_kbps: Option<u32>,
    pub static_ipv4: Option<Ipv4Addr>,
    pub ipv6_prefix: Option<Ipv6Net>,
    pub vlan_id: Option<u16>,
    pub nas_identifier: Option<String>,
    pub onu_serial: Option<String>,
    pub cpe_mac_address: Option<String>,
    /// JSON texts, kept as they came.
    pub device_metadata: Option<String>,
    pub service_address: Option<String>,
    pub service_coordinates: Option<String>,
    pub site_id: Option<String>,
    pub activation_date: Option<i64>,
    pub suspension_date: Option<i64>,
    pub termination_date: Option<i64>,
    /// From this instant on the subscriber is refused as expired.
    pub expiration_date: Option<i64>,
    pub session_timeout: Option<u32>,
    pub idle_timeout: Option<u32>,
    pub simultaneous_use: u32,
    pub last_online: Option<i64>,
    pub total_sessions: u64,
    pub total_upload_bytes: u64,
    pub total_download_bytes: u64,
    pub netbox_ip_id: Option<i64>,
    pub voltha_onu_id: Option<String>,
    pub genieacs_device_id: Option<String>,
    pub metadata: Option<String>,
    pub notes: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
    /// Day of the month, 1 to 31, from which quotas by the billing day count; the first where there is none.
    pub billing_day: Option<u8>,
}

/// Service types the original system knew. Others are legal.
pub const SERVICE_TYPES: [&str; 18] = [
    "fiber_internet",
    "dsl_internet",
    "cable_internet",
    "wireless_internet",
    "satellite_internet",
    "voip",
    "pstn",
    "mobile",
    "iptv",
    "cable_tv",
    "static_ip",
    "email_hosting",
    "cloud_storage",
    "managed_wifi",
    "network_security",
    "triple_play",
    "double_play",
    "custom_bundle",
];

/// A row of `radcheck` or `radreply`: the server's own attribute, operator and value, in the server's own syntax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeRow {
    pub id: i64,
    pub attribute: String,
    pub op: String,
    pub value: String,
}

/// An [`AttributeRow`] borrowed from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRow<'a> {
    /// Key of the row in its table, for messages.
    pub id: i64,
    pub attribute: &'a str,
    pub op: &'a str,
    pub value: &'a str,
}

impl<'a> From<&'a AttributeRow> for RawRow<'a> {
    fn from(row: &'a AttributeRow) -> Self {
        Self {
            id: row.id,
            attribute: &row.attribute,
            op: &row.op,
            value: &row.value,
        }
    }
}

/// The tier that use of a quota has put a subscriber into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberTier {
    pub effect: Effect,
    /// What its quota counts.
    pub metric: Metric,
    /// When it ends, Unix seconds.
    pub until: i64,
}

/// What a decision needs to know of a subscriber, as read from the database (subscriber, its network profile, its rows).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriberRecord {
    pub id: String,
    pub tenant_id: String,
    /// As stored, not yet normalized by the tenant's rules.
    pub username: String,
    pub status: Status,
    pub password: Option<String>,
    pub password_hash_method: Option<String>,
    pub plan_id: Option<String>,
    pub download_kbps: Option<u32>,
    pub upload_kbps: Option<u32>,
    pub static_ipv4: Option<Ipv4Addr>,
    pub static_ipv6: Option<Ipv6Addr>,
    pub ipv6_prefix: Option<Ipv6Net>,
    pub delegated_ipv6_prefix: Option<Ipv6Net>,
    /// Outer (service) VLAN.
    pub vlan_id: Option<u16>,
    /// Customer VLAN, only where QinQ is on.
    pub inner_vlan_id: Option<u16>,
    pub session_timeout: Option<u32>,
    pub idle_timeout: Option<u32>,
    pub simultaneous_use: u32,
    pub activation_date: Option<i64>,
    pub expiration_date: Option<i64>,
    /// The line's device, where its network profile names no other.
    pub cpe_mac_address: Option<String>,
    pub tier: Option<SubscriberTier>,
    /// Where it has a network profile.
    pub network: Option<NetworkFacts>,
    /// Changes planned and not yet written into its row, in the order of time. Plans by their ids.
    pub schedule: Vec<Scheduled<String>>,
    pub checks: Vec<AttributeRow>,
    pub replies: Vec<AttributeRow>,
    /// Names of its groups, in the order they are looked at.
    pub groups: Vec<String>,
}
