//! One AAA node: the snapshot, the follower that keeps it fresh, and the writers, as a RADIUS server embeds them.
//!
//! [`Node::authorize`] and [`Node::authenticate`] answer from memory and never wait for a database.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::accounting::{AccountingRecord, PostAuthRecord};
use crate::dictionary::Dictionary;
use crate::password::AuthMethod;
use crate::policy::Reason;
use crate::policy::reply::ReplyItem;
use crate::secret::Secret;
use crate::subscriber::RawRow;

/// Settings of a node. Every one is a key of the server module's configuration.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// `sqlite:///path` or `postgres://...`.
    pub database_url: Secret<String>,
    pub database_connections: u32,
    /// Key file for sealed passwords; `None` = none are sealed.
    pub key_file: Option<PathBuf>,
    /// Where the snapshot's copy on disk lives; `None` = none is kept.
    pub snapshot_file: Option<PathBuf>,
    /// How often the copy is rewritten while there are changes.
    pub snapshot_interval: Duration,
    /// Refuse to authorize from a snapshot that has not been confirmed by the database for this long; `None` = serve for ever.
    pub snapshot_max_age: Option<Duration>,
    /// How often the change feed is polled where it cannot be waited on.
    pub poll_interval: Duration,
    /// Tenant of packets whose source is in no `nas` row; `None` refuses them as [`Reason::UnknownNas`].
    pub default_tenant: Option<String>,
    /// How long an accounting packet may wait for the database.
    pub accounting_timeout: Duration,
    /// Rows of `radpostauth` that may wait to be written before further ones are dropped (and counted).
    pub post_auth_queue: usize,
    /// Successful verifications of slow hashes to remember.
    pub verify_cache: usize,
}

/// What the packet says.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// Source address of the packet (of the outermost one, where it is tunnelled).
    pub source: Option<IpAddr>,
    pub user_name: &'a [u8],
    pub method: AuthMethod,
    pub user_password: Option<&'a [u8]>,
    /// Unix seconds.
    pub now: i64,
}

/// The secret a stock authentication module needs to verify the packet.
#[derive(Debug)]
pub enum Credential {
    /// For `control:Cleartext-Password`.
    Cleartext(Secret<Vec<u8>>),
    /// For `control:NT-Password`.
    NtHash(Secret<[u8; 16]>),
    /// A one-way hash: [`Node::authenticate`] verifies it.
    VerifyHere,
    /// None is stored (a raw check row may bring one).
    None,
}

/// The outcome of [`Node::authorize`], borrowed from the snapshot for as long as the closure runs.
#[derive(Debug)]
pub struct Authorization<'a> {
    pub tenant_id: &'a str,
    pub subscriber_id: &'a str,
    pub credential: Credential,
    /// Written by the policy, in order.
    pub reply: &'a [ReplyItem<'a>],
    /// Raw rows, to be evaluated by the server itself after `reply` is in place.
    pub checks: &'a [RawRow<'a>],
    pub replies: &'a [RawRow<'a>],
}

/// A refusal, with a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub message: String,
}

/// A node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("{0}")]
    Todo(String),
}

/// An accounting packet was not stored; the NAS must not get an answer.
#[derive(Debug, thiserror::Error)]
pub enum AccountingError {
    #[error("the database did not take the record within {0:?}")]
    Timeout(Duration),
    #[error("the database refused the record: {0}")]
    Store(String),
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// A running node. Owns its runtime threads; dropping it stops them within a bounded time.
pub struct Node {}

impl Node {
    /// Check what can be checked of `config` without touching anything: no file made, no socket, no thread.
    ///
    /// # Errors
    /// Says which setting is wrong and why.
    pub fn check(config: &NodeConfig) -> Result<(), NodeError> {
        todo!()
    }

    /// Load the snapshot (database first, copy on disk if that fails) and start following the feed.
    ///
    /// # Errors
    /// Neither the database nor the copy on disk can serve, or a setting is wrong.
    pub fn start(config: NodeConfig, dictionary: Arc<dyn Dictionary>) -> Result<Self, NodeError> {
        todo!()
    }

    /// Decide. `then` runs only where the subscriber is let in as far as this node can tell.
    ///
    /// # Errors
    /// The refusal.
    pub fn authorize<R>(
        &self,
        request: &AccessRequest<'_>,
        then: impl FnOnce(&Authorization<'_>) -> R,
    ) -> Result<R, Refusal> {
        todo!()
    }

    /// Verify User-Password against a stored one-way hash. May burn CPU for as long as the hash asks for.
    ///
    /// # Errors
    /// The refusal.
    pub fn authenticate(&self, request: &AccessRequest<'_>) -> Result<(), Refusal> {
        todo!()
    }

    /// Tenant and subscriber of a packet, for the rows that post-auth and accounting write: `(tenant_id, subscriber_id)`.
    pub fn identify(&self, source: Option<IpAddr>, user_name: &[u8]) -> (Option<String>, Option<String>) {
        todo!()
    }

    /// Queue a row of `radpostauth`. Never waits.
    pub fn post_auth(&self, record: PostAuthRecord) {
        todo!()
    }

    /// Store an accounting record; returns once the database has it.
    ///
    /// # Errors
    /// The record may be lost; the packet must not be answered.
    pub fn accounting(&self, record: AccountingRecord) -> Result<(), AccountingError> {
        todo!()
    }

    /// Stop: flush what is queued, within `limit`.
    pub fn shutdown(self, limit: Duration) {
        todo!()
    }
}
