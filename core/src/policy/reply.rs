//! Reply items: ordered, typed, several values of one attribute allowed.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

/// Attributes the policy itself writes. A server resolves all of [`Attribute::ALL`] when it starts, so that none can be unknown later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    FramedIpAddress,
    FramedIpv6Address,
    FramedIpv6Prefix,
    DelegatedIpv6Prefix,
    SessionTimeout,
    IdleTimeout,
    AcctInterimInterval,
    TunnelType,
    TunnelMediumType,
    TunnelPrivateGroupId,
    MikrotikRateLimit,
}

impl Attribute {
    pub const ALL: [Self; 11] = [
        Self::FramedIpAddress,
        Self::FramedIpv6Address,
        Self::FramedIpv6Prefix,
        Self::DelegatedIpv6Prefix,
        Self::SessionTimeout,
        Self::IdleTimeout,
        Self::AcctInterimInterval,
        Self::TunnelType,
        Self::TunnelMediumType,
        Self::TunnelPrivateGroupId,
        Self::MikrotikRateLimit,
    ];

    /// The dictionary's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FramedIpAddress => "Framed-IP-Address",
            Self::FramedIpv6Address => "Framed-IPv6-Address",
            Self::FramedIpv6Prefix => "Framed-IPv6-Prefix",
            Self::DelegatedIpv6Prefix => "Delegated-IPv6-Prefix",
            Self::SessionTimeout => "Session-Timeout",
            Self::IdleTimeout => "Idle-Timeout",
            Self::AcctInterimInterval => "Acct-Interim-Interval",
            Self::TunnelType => "Tunnel-Type",
            Self::TunnelMediumType => "Tunnel-Medium-Type",
            Self::TunnelPrivateGroupId => "Tunnel-Private-Group-Id",
            Self::MikrotikRateLimit => "Mikrotik-Rate-Limit",
        }
    }
}

/// A typed attribute value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(u32),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Ipv6Prefix(Ipv6Net),
}

/// One attribute of a reply. `tag` 0 = untagged (RFC 2868 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyItem<'a> {
    pub attribute: Attribute,
    pub tag: u8,
    pub value: Value<'a>,
}
