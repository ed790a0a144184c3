//! What a node is asked about a login, and what it answers.

use std::fmt;
use std::net::IpAddr;

use crate::group::Group;
use crate::password::AuthMethod;
use crate::policy::binding::Packet;
use crate::policy::mark::Mark;
use crate::policy::reply::ReplyItem;
use crate::policy::vendor::Vendor;
use crate::policy::{Refusal, Withheld};
use crate::secret::Secret;
use crate::snapshot::Sender;
use crate::subscriber::RawRow;

/// What the packet says.
#[derive(Clone, Copy)]
pub struct AccessRequest<'a> {
    /// Source address of the packet (of the outermost one, where it is tunnelled).
    pub source: Option<IpAddr>,
    pub user_name: &'a [u8],
    pub method: AuthMethod,
    pub user_password: Option<&'a [u8]>,
    /// What the packet tells about where it comes from.
    pub packet: Packet<'a>,
    /// Unix seconds.
    pub now: i64,
}

/// Without the password.
impl fmt::Debug for AccessRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessRequest")
            .field("source", &self.source)
            .field("user_name", &self.user_name)
            .field("method", &self.method)
            .field("packet", &self.packet)
            .finish_non_exhaustive()
    }
}

impl<'a> AccessRequest<'a> {
    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> Sender<'a> {
        Sender {
            user_name: self.user_name,
            method: self.method,
            has_password: self.user_password.is_some_and(|password| !password.is_empty()),
            packet: self.packet,
        }
    }
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
    /// None is asked for: its NAS vouches for the line.
    NotNeeded,
    /// None is stored (a raw check row may bring one).
    None,
}

/// The outcome of [`Node::authorize`], borrowed from the snapshot for as long as the closure runs.
#[derive(Debug)]
pub struct Authorization<'a> {
    pub tenant_id: &'a str,
    pub credential: Credential,
    /// Why it is let in under the terms of another plan only.
    pub restricted: Option<&'a Refusal>,
    /// What the log is to know, one sentence each.
    pub notes: &'a [String],
    /// Written by the policy, in order.
    pub reply: &'a [ReplyItem<'a>],
    /// Seconds no session is to last longer than, whatever a raw row says.
    pub ends: Option<u32>,
    /// Whether `reply` gives less than the subscriber's own plan, and so goes over raw rows.
    pub lowered: bool,
    /// Addresses that no raw row gives either.
    pub withheld: Withheld,
    /// Of the NAS.
    pub vendor: &'a Vendor,
    /// Raw rows, to be evaluated by the server itself after `reply` is in place.
    pub checks: &'a [RawRow<'a>],
    pub replies: &'a [RawRow<'a>],
    /// The subscriber's groups, in the order they are looked at.
    pub groups: &'a [&'a Group],
    /// Names the decision: in Class, it tells later what the session was told.
    pub mark: Mark,
}

/// Whose packet it is, as far as known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    /// The longest Acct-Interim-Interval (seconds) that a login of the subscriber is answered with.
    pub interim_interval: Option<u32>,
}
