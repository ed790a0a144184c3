//! A NAS: the access server that sends packets and holds sessions. It decides which tenant a packet belongs to.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A row of `nas`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nas {
    pub id: i64,
    pub tenant_id: String,
    /// Address or network (`192.0.2.1`, `2001:db8::/64`), as stock FreeRADIUS keeps it.
    pub nasname: String,
    pub shortname: String,
    /// Stock `type` column (`cisco`, `mikrotik`, `other`, ...).
    pub kind: String,
    /// Chooses the reply attributes (`mikrotik`, `generic`, ...).
    pub vendor: String,
    pub model: Option<String>,
    pub firmware_version: Option<String>,
    pub ports: Option<i32>,
    /// The shared secret as stored: sealed, or clear where another tool wrote it. Never shown.
    #[serde(skip_serializing, default)]
    pub secret: String,
    pub server: Option<String>,
    pub community: Option<String>,
    pub description: Option<String>,
}

impl Nas {
    /// What a sealed shared secret is bound to: moved to another row, it does not open.
    #[must_use]
    pub fn secret_context(&self) -> String {
        format!("nas:{}:{}", self.tenant_id, self.nasname)
    }
}

/// What a decision needs to know of a NAS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NasRecord {
    pub id: i64,
    pub tenant_id: String,
    pub network: IpNet,
    pub shortname: String,
    pub vendor: String,
}
