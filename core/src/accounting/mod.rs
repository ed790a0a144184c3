//! What accounting packets and authentication outcomes say, as the database keeps it.

pub mod addresses;
#[cfg(feature = "store")]
pub mod aside;
pub mod device;
pub mod journal;
pub mod octets;
pub mod period;
pub mod presence;
pub mod quota;
pub mod session;
pub mod silence;
pub mod usage;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::policy::Reason;

/// Acct-Status-Type (RFC 2866 section 5.1), as far as sessions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcctStatusType {
    Start,
    InterimUpdate,
    Stop,
    AccountingOn,
    AccountingOff,
}

/// One accounting packet. Octets are 64-bit with the gigawords (RFC 2869 section 5.1) already joined;
/// input is from the subscriber (upload), output towards it (download).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountingRecord {
    pub status: AcctStatusType,
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    pub acct_session_id: String,
    /// 32 hex digits; one per session, the key of `radacct`.
    pub acct_unique_id: String,
    pub user_name: String,
    pub realm: String,
    pub nas_ip_address: IpAddr,
    pub nas_port_id: Option<String>,
    pub nas_port_type: Option<String>,
    /// When what the packet reports happened, Unix seconds (arrival less Acct-Delay-Time, or Event-Timestamp).
    pub event_time: i64,
    /// Acct-Session-Time, seconds.
    pub session_time: Option<u32>,
    pub authentic: Option<String>,
    pub connect_info: Option<String>,
    pub input_octets: Option<u64>,
    pub output_octets: Option<u64>,
    pub called_station_id: Option<String>,
    pub calling_station_id: Option<String>,
    pub terminate_cause: Option<String>,
    pub service_type: Option<String>,
    pub framed_protocol: Option<String>,
    pub framed_ip_address: Option<Ipv4Addr>,
    pub framed_ipv6_address: Option<Ipv6Addr>,
    pub framed_ipv6_prefix: Option<Ipv6Net>,
    pub framed_interface_id: Option<String>,
    pub delegated_ipv6_prefix: Option<Ipv6Net>,
    pub class: Option<String>,
    /// Acct-Multi-Session-Id (RFC 2866 section 5.11).
    pub multi_session_id: Option<String>,
    /// The packet has Acct-Input-Gigawords or Acct-Output-Gigawords: its NAS counts in 64 bits.
    pub gigawords: bool,
    /// When the packet arrived, Unix seconds by this machine's clock, whatever the NAS takes the time to be. A record that is
    /// applied late, or once more, was heard of then and not now.
    pub received: i64,
    /// Acct-Interim-Interval (RFC 2869 section 5.16) that the subscriber's plan asks for, seconds.
    pub interim_interval: Option<u32>,
}

/// One row of `radpostauth`. There is no field for a password, and so none can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAuthRecord {
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    pub user_name: String,
    /// `Access-Accept` or `Access-Reject`.
    pub reply: &'static str,
    /// Why it was refused, or let in with less than it has.
    pub reason: Option<Reason>,
    pub nas_ip_address: Option<IpAddr>,
    pub called_station_id: Option<String>,
    pub calling_station_id: Option<String>,
    pub class: Option<String>,
    /// Unix seconds.
    pub authdate: i64,
}
