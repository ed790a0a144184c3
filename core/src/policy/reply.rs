//! Reply items: ordered, typed, several values of one attribute allowed.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use super::vendor::VendorAttribute;

macro_rules! attributes {
    ($($variant:ident = $name:literal,)*) => {
        /// An attribute of a reply. A server resolves those that the policy writes ([`Attribute::ALL`]) and those that its
        /// vendors' templates name when it starts, so that none can be unknown later.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Attribute<'a> {
            $($variant,)*
            /// One that a vendor's template names.
            Vendor(&'a VendorAttribute),
        }

        impl Attribute<'static> {
            /// Those that the policy itself writes.
            pub const ALL: [Self; [$(Attribute::$variant),*].len()] = [$(Self::$variant),*];
        }

        impl<'a> Attribute<'a> {
            /// The dictionary's name.
            #[must_use]
            pub fn name(self) -> &'a str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Vendor(attribute) => attribute.name(),
                }
            }
        }
    };
}

attributes! {
    UserName = "User-Name",
    FramedIpAddress = "Framed-IP-Address",
    FramedIpv6Address = "Framed-IPv6-Address",
    FramedIpv6Prefix = "Framed-IPv6-Prefix",
    DelegatedIpv6Prefix = "Delegated-IPv6-Prefix",
    SessionTimeout = "Session-Timeout",
    IdleTimeout = "Idle-Timeout",
    AcctInterimInterval = "Acct-Interim-Interval",
    TunnelType = "Tunnel-Type",
    TunnelMediumType = "Tunnel-Medium-Type",
    TunnelPrivateGroupId = "Tunnel-Private-Group-Id",
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

/// As the server's dictionaries print it, but for the words of enumerated values.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Ipv6Prefix(prefix) => prefix.fmt(f),
        }
    }
}

/// One attribute of a reply. `tag` 0 = untagged (RFC 2868 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyItem<'a> {
    pub attribute: Attribute<'a>,
    pub tag: u8,
    pub value: Value<'a>,
}
