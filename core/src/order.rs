//! Orders: what a NAS is to be told of a live session, why, and what came of it. Rows of `coa_orders`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

/// A word that the database does not have.
#[derive(Debug, thiserror::Error)]
#[error("unknown {what} {word:?}: expected one of {}", .known.join(", "))]
pub struct UnknownWord {
    what: &'static str,
    word: String,
    known: Vec<&'static str>,
}

/// Declares an enum whose variants are words of the database.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word the database uses.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == word)
                    .ok_or_else(|| UnknownWord {
                        what: $what,
                        word: word.to_owned(),
                        known: Self::ALL.iter().map(|known| known.as_str()).collect(),
                    })
            }
        }
    };
}

words! {
    OrderKind, "kind of order" {
        /// CoA-Request.
        Change = "change",
        /// Disconnect-Request.
        Disconnect = "disconnect",
    }
}

words! {
    /// Why a session is to change.
    Cause, "cause" {
        /// The subscriber's status, or what its tenant does about it.
        Status = "status",
        /// Its plan, or what the plan says.
        Plan = "plan",
        /// The tier that use of a quota led to.
        Tier = "tier",
        /// The hours it may be online at.
        Hours = "hours",
        Expiry = "expiry",
        /// Its addresses or VLANs.
        Address = "address",
        /// Raw rows of its own or of its groups.
        Rows = "rows",
        /// What its NAS is, or is told.
        Nas = "nas",
        /// What was restricted or refused is so no more.
        Restore = "restore",
        /// Somebody ordered it.
        Manual = "manual",
    }
}

words! {
    OrderState, "state of an order" {
        Pending = "pending",
        /// Somebody has it in hand.
        Sending = "sending",
        Done = "done",
        Failed = "failed",
        Cancelled = "cancelled",
        /// A later one took its place.
        Superseded = "superseded",
    }
}

words! {
    /// How a session stands by a decision.
    Verdict, "verdict" {
        Accept = "accept",
        Restricted = "restricted",
        Reject = "reject",
    }
}

/// An attribute by its dictionary name, with its value as the dictionary prints it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderItem {
    pub attribute: String,
    /// 0 = untagged (RFC 2868 section 3).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tag: u8,
    pub value: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(tag: &u8) -> bool {
    *tag == 0
}

impl OrderItem {
    #[must_use]
    pub fn new(attribute: &str, value: impl Into<String>) -> Self {
        Self {
            attribute: attribute.to_owned(),
            tag: 0,
            value: value.into(),
        }
    }
}

impl std::fmt::Display for OrderItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.tag {
            0 => write!(f, "{} = {}", self.attribute, self.value),
            tag => write!(f, "{}:{tag} = {}", self.attribute, self.value),
        }
    }
}

/// `Name = value`, `Name:1 = value` with a tag; quotes around the value go.
impl std::str::FromStr for OrderItem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is no attribute: expected \"Name = value\""))?;
        let (name, value) = (name.trim(), value.trim());
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        let (attribute, tag) = match name.rsplit_once(':') {
            Some((attribute, tag)) => match tag.parse::<u8>() {
                Ok(tag @ 1..=31) => (attribute, tag),
                _ => return Err(format!("{tag:?} is no tag: expected a number from 1 to 31")),
            },
            None => (name, 0),
        };
        if attribute.is_empty() || value.is_empty() {
            return Err(format!("{text:?} is no attribute: expected \"Name = value\""));
        }
        Ok(Self {
            attribute: attribute.to_owned(),
            tag,
            value: value.to_owned(),
        })
    }
}

/// A live session, as far as its NAS needs to be told which one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveSession {
    /// `radacctid`.
    pub session_id: i64,
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    pub acct_unique_id: String,
    pub acct_session_id: String,
    /// User-Name as the NAS sent it.
    pub username: Option<String>,
    pub nas_ip_address: IpAddr,
    pub nas_port_id: Option<String>,
    pub calling_station_id: Option<String>,
    pub called_station_id: Option<String>,
    pub framed_ip_address: Option<Ipv4Addr>,
    pub framed_ipv6_address: Option<Ipv6Addr>,
    pub framed_ipv6_prefix: Option<Ipv6Net>,
    pub delegated_ipv6_prefix: Option<Ipv6Net>,
}

/// What a session will have been told when an order is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub fingerprint: String,
    pub items: Vec<OrderItem>,
    pub verdict: Verdict,
}

/// An order to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub session_id: i64,
    pub kind: OrderKind,
    pub cause: Cause,
    pub actor: Option<String>,
    /// The plan the subscriber has.
    pub plan_id: Option<String>,
    pub set: Vec<OrderItem>,
    /// Sent as well: what takes back what was set before.
    pub unset: Vec<OrderItem>,
    /// `None`: it is no matter of the policy.
    pub wanted: Option<Wanted>,
}

/// A row of `coa_orders`. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoaOrder {
    pub id: i64,
    pub tenant_id: Option<String>,
    pub session_id: i64,
    pub acct_unique_id: String,
    pub acct_session_id: String,
    pub username: Option<String>,
    pub subscriber_id: Option<String>,
    pub plan_id: Option<String>,
    pub nas_ip_address: IpAddr,
    pub kind: OrderKind,
    pub cause: Cause,
    pub actor: Option<String>,
    pub set: Vec<OrderItem>,
    pub unset: Vec<OrderItem>,
    pub verdict: Option<Verdict>,
    pub state: OrderState,
    /// Times it was taken in hand.
    pub attempts: u32,
    pub not_before: i64,
    /// Microseconds from the last transmission to the answer.
    pub rtt: Option<u64>,
    /// `ack`, `disconnected` (where the change was refused), `gone`, `ended`.
    pub result: Option<String>,
    /// RFC 5176 section 3.5.
    pub error_cause: Option<u32>,
    /// For people.
    pub reason: Option<String>,
    pub created_at: i64,
    pub sent_at: Option<i64>,
    pub finished_at: Option<i64>,
}

impl CoaOrder {
    /// Whether nothing will come of it any more, or has.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !matches!(self.state, OrderState::Pending | OrderState::Sending)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn attributes_are_read_as_they_are_written() {
        for (text, expected) in [
            ("Filter-Id = slow", ("Filter-Id", 0, "slow")),
            ("Filter-Id=\"a = b\"", ("Filter-Id", 0, "a = b")),
            ("ERX-Service-Activate:2 = gold", ("ERX-Service-Activate", 2, "gold")),
        ] {
            let item: OrderItem = text.parse().unwrap();
            assert_eq!((item.attribute.as_str(), item.tag, item.value.as_str()), expected);
        }
        for text in ["", "Filter-Id", "= x", "Filter-Id =", "Filter-Id:40 = x"] {
            assert!(text.parse::<OrderItem>().is_err(), "{text}");
        }
    }
}
