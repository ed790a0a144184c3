//! The attributes the hooks read and write, by name, and their values as they come out of a list of the server's.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

/// The control attribute that carries why a request was refused. The module adds it to the dictionary itself.
pub const REJECT_REASON: &CStr = c"Rust-Reject-Reason";
/// The control attribute that asks about a NAS, and not about a subscriber. Added likewise.
pub const DYNAMIC_CLIENT: &CStr = c"Rust-Dynamic-Client";
/// The control attribute that carries why a subscriber is let in under restrictions. Added likewise.
pub const RESTRICTED_REASON: &CStr = c"Rust-Restricted-Reason";

macro_rules! names {
    ($($variant:ident = $name:literal,)*) => {
        /// An attribute of the server's dictionary.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Name {
            $($variant,)*
        }

        impl Name {
            /// Whether a dictionary may lack it: not every server includes every vendor's.
            pub const fn is_optional(self) -> bool {
                matches!(self, Self::AgentCircuitId | Self::AgentRemoteId | Self::DhcpAgentCircuitId | Self::DhcpAgentRemoteId)
            }

            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

names! {
    UserName = "User-Name",
    UserPassword = "User-Password",
    ChapPassword = "CHAP-Password",
    MsChapResponse = "MS-CHAP-Response",
    MsChapChallenge = "MS-CHAP-Challenge",
    MsChap2Response = "MS-CHAP2-Response",
    EapMessage = "EAP-Message",
    CleartextPassword = "Cleartext-Password",
    NtPassword = "NT-Password",
    FallThrough = "Fall-Through",
    AuthType = "Auth-Type",
    ModuleFailureMessage = "Module-Failure-Message",
    SessionTimeout = "Session-Timeout",
    IdleTimeout = "Idle-Timeout",
    SimultaneousUse = "Simultaneous-Use",
    ResponseDelay = "FreeRADIUS-Response-Delay-USec",
    RejectReason = "Rust-Reject-Reason",
    RestrictedReason = "Rust-Restricted-Reason",
    DynamicClient = "Rust-Dynamic-Client",
    ClientIpAddress = "FreeRADIUS-Client-IP-Address",
    ClientIpv6Address = "FreeRADIUS-Client-IPv6-Address",
    ClientSecret = "FreeRADIUS-Client-Secret",
    ClientShortname = "FreeRADIUS-Client-Shortname",
    ClientNasType = "FreeRADIUS-Client-NAS-Type",
    ClientVirtualServer = "FreeRADIUS-Client-Virtual-Server",
    ClientRequireMa = "FreeRADIUS-Client-Require-MA",
    MessageAuthenticator = "Message-Authenticator",
    AdslAgentCircuitId = "ADSL-Agent-Circuit-Id",
    AdslAgentRemoteId = "ADSL-Agent-Remote-Id",
    AgentCircuitId = "Agent-Circuit-Id",
    AgentRemoteId = "Agent-Remote-Id",
    DhcpAgentCircuitId = "DHCP-Agent-Circuit-Id",
    DhcpAgentRemoteId = "DHCP-Agent-Remote-Id",
    NasIpAddress = "NAS-IP-Address",
    NasIpv6Address = "NAS-IPv6-Address",
    NasIdentifier = "NAS-Identifier",
    NasPort = "NAS-Port",
    NasPortId = "NAS-Port-Id",
    NasPortType = "NAS-Port-Type",
    CalledStationId = "Called-Station-Id",
    CallingStationId = "Calling-Station-Id",
    Class = "Class",
    ConnectInfo = "Connect-Info",
    ServiceType = "Service-Type",
    FramedProtocol = "Framed-Protocol",
    FramedIpAddress = "Framed-IP-Address",
    FramedIpv6Address = "Framed-IPv6-Address",
    FramedIpv6Prefix = "Framed-IPv6-Prefix",
    FramedRoute = "Framed-Route",
    FramedIpv6Route = "Framed-IPv6-Route",
    FramedIpv6Pool = "Framed-IPv6-Pool",
    DelegatedIpv6PrefixPool = "Delegated-IPv6-Prefix-Pool",
    FramedInterfaceId = "Framed-Interface-Id",
    DelegatedIpv6Prefix = "Delegated-IPv6-Prefix",
    ProxyState = "Proxy-State",
    Realm = "Realm",
    EventTimestamp = "Event-Timestamp",
    AcctStatusType = "Acct-Status-Type",
    AcctDelayTime = "Acct-Delay-Time",
    AcctInputOctets = "Acct-Input-Octets",
    AcctOutputOctets = "Acct-Output-Octets",
    AcctInputGigawords = "Acct-Input-Gigawords",
    AcctOutputGigawords = "Acct-Output-Gigawords",
    AcctSessionId = "Acct-Session-Id",
    AcctUniqueSessionId = "Acct-Unique-Session-Id",
    AcctAuthentic = "Acct-Authentic",
    AcctSessionTime = "Acct-Session-Time",
    AcctMultiSessionId = "Acct-Multi-Session-Id",
    AcctTerminateCause = "Acct-Terminate-Cause",
}

/// A list of attributes that belongs to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Request,
    Reply,
    Control,
    /// Kept from one packet of a conversation to the next.
    SessionState,
}

/// The value of a pair. Bytes are as they came; nothing says they are UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    pub bytes: &'a [u8],
    /// Of integers and dates.
    pub integer: u32,
}

impl<'a> Value<'a> {
    #[cfg(test)]
    pub const fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { bytes, integer: 0 }
    }

    #[cfg(test)]
    pub const fn of_integer(integer: u32) -> Self {
        Self { bytes: &[], integer }
    }

    /// Text for a database: no invalid UTF-8, and no NUL, which PostgreSQL cannot store.
    pub fn text(self) -> String {
        text(self.bytes)
    }

    pub fn ipv4(self) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.bytes).ok().map(Ipv4Addr::from)
    }

    pub fn ipv6(self) -> Option<Ipv6Addr> {
        <[u8; 16]>::try_from(self.bytes).ok().map(Ipv6Addr::from)
    }

    /// RFC 3162 section 2.3: a reserved byte, the length, and as much of the prefix as was sent.
    pub fn ipv6_prefix(self) -> Option<Ipv6Net> {
        let (&[_, length], sent) = self.bytes.split_first_chunk::<2>()?;
        let mut address = [0; 16];
        address.iter_mut().zip(sent).for_each(|(to, from)| *to = *from);
        Ipv6Net::new(address.into(), length).ok().map(|prefix| prefix.trunc())
    }

    /// RFC 3162 section 2.2, in the server's notation: `0:1:2:abcd`.
    pub fn interface_id(self) -> Option<String> {
        let id = u64::from_be_bytes(self.bytes.try_into().ok()?);
        let group = |shift: u32| (id >> shift) & 0xffff;
        Some(format!(
            "{:x}:{:x}:{:x}:{:x}",
            group(48),
            group(32),
            group(16),
            group(0)
        ))
    }

    /// Octets in the server's notation: `0x...`.
    pub fn hex(self) -> String {
        format!("0x{}", hex(self.bytes))
    }
}

/// Lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Bytes of a packet as text for a database.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text.into_owned()
    }
}

/// An IPv6 prefix as a pair holds it.
pub fn ipv6_prefix_bytes(prefix: Ipv6Net) -> [u8; 18] {
    let mut bytes = [0; 18];
    let (head, address) = bytes.split_at_mut(2);
    head.copy_from_slice(&[0, prefix.prefix_len()]);
    address.copy_from_slice(&prefix.trunc().network().octets());
    bytes
}

/// The NAS by its own word, IPv4 first.
pub fn nas_address(ipv4: Option<Value<'_>>, ipv6: Option<Value<'_>>) -> Option<IpAddr> {
    let ipv4 = ipv4.and_then(Value::ipv4).map(IpAddr::V4);
    ipv4.or_else(|| ipv6.and_then(Value::ipv6).map(IpAddr::V6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_index_a_table() {
        for (index, name) in Name::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, index);
        }
        assert_eq!(Name::RejectReason.as_str(), REJECT_REASON.to_str().unwrap());
        assert_eq!(Name::DynamicClient.as_str(), DYNAMIC_CLIENT.to_str().unwrap());
        assert_eq!(Name::RestrictedReason.as_str(), RESTRICTED_REASON.to_str().unwrap());
    }

    #[test]
    fn prefixes_go_there_and_back() {
        for text in ["2001:db8::/32", "::/0", "2001:db8:1:2::/64", "2001:db8::1/128"] {
            let prefix: Ipv6Net = text.parse().unwrap();
            let bytes = ipv6_prefix_bytes(prefix);
            assert_eq!(Value::of_bytes(&bytes).ipv6_prefix(), Some(prefix), "{text}");
        }
        assert_eq!(
            Value::of_bytes(&[0, 32, 0x20, 1, 0x0d, 0xb8]).ipv6_prefix(),
            Some("2001:db8::/32".parse().unwrap())
        );
        assert_eq!(Value::of_bytes(&[0, 129]).ipv6_prefix(), None);
        assert_eq!(Value::of_bytes(&[0]).ipv6_prefix(), None);
    }

    #[test]
    fn text_is_fit_for_a_database() {
        assert_eq!(Value::of_bytes(b"a\0b\xff").text(), "a\u{fffd}b\u{fffd}");
        assert_eq!(Value::of_bytes(b"\xde\xad\x00").hex(), "0xdead00");
        assert_eq!(
            Value::of_bytes(&[0, 0, 0, 1, 0, 2, 0xab, 0xcd]).interface_id().unwrap(),
            "0:1:2:abcd"
        );
    }
}
