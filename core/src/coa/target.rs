//! Where an order goes, and how.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Retry;
use crate::radius::SharedSecret;

/// A NAS, as an order gets there.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub secret: SharedSecret,
    pub retry: Retry,
    /// Whether an answer without Message-Authenticator does not count. Some NAS sign none, accel-ppp among them.
    pub strict: bool,
    pub pacing: Pacing,
    pub via: Via,
    /// What its certificate certifies, for [`Via::RadSec`]; `None` = its address.
    pub certified_name: Option<Arc<str>>,
}

impl Target {
    /// With what is usual for the rest.
    #[must_use]
    pub fn new(address: SocketAddr, secret: SharedSecret) -> Self {
        Self {
            address,
            secret,
            retry: Retry::default(),
            strict: false,
            pacing: Pacing::default(),
            via: Via::default(),
            certified_name: None,
        }
    }
}

/// How much a NAS is given at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// Orders that it has not answered yet; at least one.
    pub in_flight: usize,
    /// Orders begun in a second; `None` = as fast as it answers.
    pub per_second: Option<u32>,
}

/// 256 in flight, however fast.
impl Default for Pacing {
    fn default() -> Self {
        Self {
            in_flight: 256,
            per_second: None,
        }
    }
}

/// How orders get to a NAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Via {
    /// RADIUS over UDP.
    #[default]
    Udp,
    /// The server's own client program, one process an order.
    Radclient,
    /// A gateway that takes orders by HTTP.
    Http,
    /// RADIUS over TLS (RFC 6614).
    RadSec,
}
