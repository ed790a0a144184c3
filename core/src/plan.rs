//! A plan: the bandwidth profile a subscriber buys.

use serde::{Deserialize, Serialize};

/// A row of `radius_bandwidth_profiles`. Rates and bursts are in kbit/s, intervals in seconds.
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
    pub session_timeout: Option<u32>,
    pub idle_timeout: Option<u32>,
    pub acct_interim_interval: Option<u32>,
}
