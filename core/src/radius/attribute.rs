//! Attributes: numbers, names, and the list in a packet.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The number of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u8);

macro_rules! attribute_types {
    ($($number:literal $constant:ident $name:literal)*) => {
        impl AttributeType {
            $(#[doc = $name] pub const $constant: Self = Self($number);)*

            /// The name in its RFC, for the numbers named here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

attribute_types! {
    1 USER_NAME "User-Name"
    2 USER_PASSWORD "User-Password"
    3 CHAP_PASSWORD "CHAP-Password"
    4 NAS_IP_ADDRESS "NAS-IP-Address"
    5 NAS_PORT "NAS-Port"
    6 SERVICE_TYPE "Service-Type"
    7 FRAMED_PROTOCOL "Framed-Protocol"
    8 FRAMED_IP_ADDRESS "Framed-IP-Address"
    9 FRAMED_IP_NETMASK "Framed-IP-Netmask"
    11 FILTER_ID "Filter-Id"
    12 FRAMED_MTU "Framed-MTU"
    18 REPLY_MESSAGE "Reply-Message"
    22 FRAMED_ROUTE "Framed-Route"
    24 STATE "State"
    25 CLASS "Class"
    26 VENDOR_SPECIFIC "Vendor-Specific"
    27 SESSION_TIMEOUT "Session-Timeout"
    28 IDLE_TIMEOUT "Idle-Timeout"
    30 CALLED_STATION_ID "Called-Station-Id"
    31 CALLING_STATION_ID "Calling-Station-Id"
    32 NAS_IDENTIFIER "NAS-Identifier"
    33 PROXY_STATE "Proxy-State"
    40 ACCT_STATUS_TYPE "Acct-Status-Type"
    41 ACCT_DELAY_TIME "Acct-Delay-Time"
    42 ACCT_INPUT_OCTETS "Acct-Input-Octets"
    43 ACCT_OUTPUT_OCTETS "Acct-Output-Octets"
    44 ACCT_SESSION_ID "Acct-Session-Id"
    45 ACCT_AUTHENTIC "Acct-Authentic"
    46 ACCT_SESSION_TIME "Acct-Session-Time"
    47 ACCT_INPUT_PACKETS "Acct-Input-Packets"
    48 ACCT_OUTPUT_PACKETS "Acct-Output-Packets"
    49 ACCT_TERMINATE_CAUSE "Acct-Terminate-Cause"
    50 ACCT_MULTI_SESSION_ID "Acct-Multi-Session-Id"
    51 ACCT_LINK_COUNT "Acct-Link-Count"
    52 ACCT_INPUT_GIGAWORDS "Acct-Input-Gigawords"
    53 ACCT_OUTPUT_GIGAWORDS "Acct-Output-Gigawords"
    55 EVENT_TIMESTAMP "Event-Timestamp"
    60 CHAP_CHALLENGE "CHAP-Challenge"
    61 NAS_PORT_TYPE "NAS-Port-Type"
    64 TUNNEL_TYPE "Tunnel-Type"
    65 TUNNEL_MEDIUM_TYPE "Tunnel-Medium-Type"
    77 CONNECT_INFO "Connect-Info"
    79 EAP_MESSAGE "EAP-Message"
    80 MESSAGE_AUTHENTICATOR "Message-Authenticator"
    81 TUNNEL_PRIVATE_GROUP_ID "Tunnel-Private-Group-ID"
    85 ACCT_INTERIM_INTERVAL "Acct-Interim-Interval"
    87 NAS_PORT_ID "NAS-Port-Id"
    88 FRAMED_POOL "Framed-Pool"
    89 CHARGEABLE_USER_IDENTITY "Chargeable-User-Identity"
    95 NAS_IPV6_ADDRESS "NAS-IPv6-Address"
    96 FRAMED_INTERFACE_ID "Framed-Interface-Id"
    97 FRAMED_IPV6_PREFIX "Framed-IPv6-Prefix"
    99 FRAMED_IPV6_ROUTE "Framed-IPv6-Route"
    100 FRAMED_IPV6_POOL "Framed-IPv6-Pool"
    101 ERROR_CAUSE "Error-Cause"
    123 DELEGATED_IPV6_PREFIX "Delegated-IPv6-Prefix"
    168 FRAMED_IPV6_ADDRESS "Framed-IPv6-Address"
}

impl std::fmt::Display for AttributeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}

impl std::fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// One attribute of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    pub kind: AttributeType,
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as an integer or a time.
    #[must_use]
    pub fn integer(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.integer().map(Ipv4Addr::from_bits)
    }

    #[must_use]
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        <[u8; 16]>::try_from(self.value).ok().map(Ipv6Addr::from)
    }

    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }

    /// The attributes inside, where this is a Vendor-Specific of `vendor` that follows the recommended format
    /// (RFC 2865 section 5.26). What does not follow it ends the list.
    pub fn vendor(&self, vendor: u32) -> impl Iterator<Item = VendorAttribute<'a>> + use<'a> {
        let inside = match self.value.split_first_chunk::<4>() {
            Some((id, rest)) if self.kind == AttributeType::VENDOR_SPECIFIC && u32::from_be_bytes(*id) == vendor => {
                rest
            }
            _ => &[],
        };
        Attributes::new(inside).map(move |Attribute { kind, value }| VendorAttribute {
            vendor,
            kind: kind.0,
            value,
        })
    }
}

/// The number and the length: a value may be a password.
impl std::fmt::Debug for Attribute<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.kind, self.value.len())
    }
}

/// One attribute inside a Vendor-Specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorAttribute<'a> {
    /// SMI Private Enterprise number.
    pub vendor: u32,
    pub kind: u8,
    pub value: &'a [u8],
}

/// The attributes of a packet, in order. Ends at the first that is malformed; a decoded packet has none such.
#[derive(Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Of what stands behind the header of a packet.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let [kind, length, ..] = *self.rest else {
            return None;
        };
        // The length counts the two octets it stands in.
        let value = self.rest.get(2..usize::from(length))?;
        self.rest = self.rest.get(usize::from(length)..)?;
        Some(Attribute {
            kind: AttributeType(kind),
            value,
        })
    }
}
