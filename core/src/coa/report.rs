//! What came of an order.

use std::net::SocketAddr;
use std::time::Duration;

use super::{InvalidOrder, Outcome};

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// Times the packet was sent.
    pub attempts: u32,
    /// From the last transmission to the answer; `None` without one.
    pub round_trip: Option<Duration>,
    /// Datagrams that came but did not verify. With [`Outcome::Timeout`] that means: another shared secret.
    pub rejected: u32,
}

/// Why an order could not be sent, or its end not be known.
#[derive(Debug, thiserror::Error)]
pub enum CoaError {
    #[error(transparent)]
    Order(#[from] InvalidOrder),
    #[error("cannot send to {nas}: {source}")]
    Socket { nas: SocketAddr, source: std::io::Error },
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// A transport that nothing was set for.
    #[error("{nas} is to be told by {via}, which is not configured: set {setting}")]
    NotConfigured {
        nas: SocketAddr,
        via: &'static str,
        setting: &'static str,
    },
    #[error("telling {nas} by {via}: {problem}")]
    Transport {
        nas: SocketAddr,
        via: &'static str,
        problem: String,
        /// Whether it may go better later.
        temporary: bool,
    },
}

impl CoaError {
    /// Whether the same order may get there later without anybody changing anything.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Order(_) | Self::NotConfigured { .. } => false,
            Self::Socket { .. } | Self::Random(_) => true,
            Self::Transport { temporary, .. } => *temporary,
        }
    }
}
