//! Kinds of address that a subscriber can be given for itself.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "netbox")]
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A kind of address; a subscriber has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Framed-IP-Address.
    Ipv4,
    /// Framed-IPv6-Address.
    Ipv6,
    /// Delegated-IPv6-Prefix.
    Ipv6Prefix,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Ipv6Prefix];

    /// The word of `ip_reservations.ip_type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Ipv6Prefix => "ipv6_prefix",
        }
    }

    /// As NetBox filters by it.
    #[cfg(feature = "netbox")]
    pub(crate) const fn family(self) -> u8 {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 | Self::Ipv6Prefix => 6,
        }
    }

    #[cfg(feature = "netbox")]
    pub(crate) const fn is_of_family(self, net: &IpNet) -> bool {
        matches!(
            (self, net),
            (Self::Ipv4, IpNet::V4(_)) | (Self::Ipv6 | Self::Ipv6Prefix, IpNet::V6(_))
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of ipv4, ipv6, ipv6_prefix")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| UnknownKind(word.to_owned()))
    }
}
