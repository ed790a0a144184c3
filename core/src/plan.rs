//! A plan: the bandwidth profile a subscriber buys.

use serde::{Deserialize, Serialize};

/// A row of `radius_bandwidth_profiles`. Rates and bursts are in kbit/s, intervals in seconds.
///
/// What of it a NAS is told, and how, is its vendor's ([`crate::policy::vendor`]).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    pub id: String,
    pub tenant_id: String,
    pub name: String,
    pub description: Option<String>,
    /// Towards the subscriber.
    pub download_rate_kbps: u32,
    /// From the subscriber.
    pub upload_rate_kbps: u32,
    pub download_burst_kbps: Option<u32>,
    pub upload_burst_kbps: Option<u32>,
    /// The average rate up to which bursts are allowed.
    pub download_burst_threshold_kbps: Option<u32>,
    pub upload_burst_threshold_kbps: Option<u32>,
    /// The time that average is taken over.
    pub download_burst_seconds: Option<u32>,
    pub upload_burst_seconds: Option<u32>,
    /// 1 is the highest, 8 the lowest.
    pub priority: Option<u8>,
    /// Guaranteed.
    pub download_min_kbps: Option<u32>,
    pub upload_min_kbps: Option<u32>,
    /// Names of what the NAS holds.
    pub address_list: Option<String>,
    pub ipv4_pool: Option<String>,
    pub ipv6_pool: Option<String>,
    pub delegated_ipv6_pool: Option<String>,
    pub qos_profile_download: Option<String>,
    pub qos_profile_upload: Option<String>,
    pub filter_id: Option<String>,
    /// Where the subscriber's browser is sent.
    pub redirect_url: Option<String>,
    pub session_timeout: Option<u32>,
    pub idle_timeout: Option<u32>,
    pub acct_interim_interval: Option<u32>,
    /// When those who have it may be online, unless they have hours of their own; see [`crate::policy::hours`].
    pub login_time: Option<String>,
    /// Length of the prefixes delegated to those who have it, where their network profile says nothing.
    pub ipv6_pd_size: Option<u8>,
}
