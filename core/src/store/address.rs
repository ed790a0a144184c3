//! What a session can be known by on the wire, and the forms the databases compare.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use serde::Serialize;

/// An address a session had, or a network one of its addresses is in.
///
/// Parses `192.0.2.1`, `2001:db8::1`, `2001:db8::/56` and MAC addresses in any usual punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAddress {
    /// Framed-IP-Address.
    Ipv4(Ipv4Addr),
    /// Framed-IPv6-Address within it, or Framed-IPv6-Prefix or Delegated-IPv6-Prefix overlapping it. A /128 is one
    /// address.
    Ipv6(Ipv6Net),
    /// Calling-Station-Id, where that is a MAC address.
    Mac([u8; 6]),
}

/// A text that is no [`SessionAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("{0:?} is no IPv4 address, IPv6 address or prefix, or MAC address")]
    Unknown(String),
    #[error("{0:?} is an IPv4 network: sessions are found by one IPv4 address")]
    Ipv4Network(String),
    #[error("{text:?} has bits set past its prefix: did you mean {network}?")]
    HostBits { text: String, network: Ipv6Net },
}

impl FromStr for SessionAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(match address.to_canonical() {
                IpAddr::V4(address) => Self::Ipv4(address),
                IpAddr::V6(address) => Self::Ipv6(address.into()),
            });
        }
        match text.parse::<IpNet>() {
            Ok(IpNet::V4(network)) if network.prefix_len() == 32 => Ok(Self::Ipv4(network.addr())),
            Ok(IpNet::V4(_)) => Err(AddressError::Ipv4Network(text.to_owned())),
            Ok(IpNet::V6(network)) if network.trunc() == network => Ok(Self::Ipv6(network)),
            Ok(IpNet::V6(network)) => Err(AddressError::HostBits {
                text: text.to_owned(),
                network: network.trunc(),
            }),
            Err(_) => mac(text)
                .map(Self::Mac)
                .ok_or_else(|| AddressError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for SessionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(network) if network.prefix_len() == 128 => network.addr().fmt(f),
            Self::Ipv6(network) => network.fmt(f),
            Self::Mac(bytes) => {
                for (index, byte) in bytes.iter().enumerate() {
                    write!(f, "{}{byte:02X}", if index > 0 { ":" } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b":-.".contains(b)).collect();
    if digits.len() != 12 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let number = u64::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
    let [_, _, bytes @ ..] = number.to_be_bytes();
    Some(bytes)
}

/// As `radacct.calling_mac` has it.
pub(super) fn mac_column(bytes: [u8; 6]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the statements for IPv6 need to know of `network`, as JSON.
#[derive(Serialize)]
struct Surroundings {
    /// First and last of what is inside, as PostgreSQL sorts networks and addresses.
    first: String,
    last: Ipv6Addr,
    /// The same of texts, without the last.
    start: String,
    end: String,
    around: Vec<Ipv6Net>,
}

pub(super) fn surroundings(network: Ipv6Net) -> String {
    let (start, end) = text_range(network);
    let first = match network.prefix_len() {
        128 => network.addr().to_string(),
        _ => network.to_string(),
    };
    let surroundings = Surroundings {
        first,
        last: network.broadcast(),
        start,
        end,
        around: enclosing(network).collect(),
    };
    // Texts and networks: nothing in it can fail.
    serde_json::to_string(&surroundings).unwrap_or_default()
}

/// The networks that hold all of `network`, itself included. One session's prefix holds an address exactly if it is
/// one of these: 129 look-ups in an index instead of a reading of the table.
fn enclosing(network: Ipv6Net) -> impl Iterator<Item = Ipv6Net> {
    (0..=network.prefix_len()).filter_map(move |length| Some(Ipv6Net::new(network.addr(), length).ok()?.trunc()))
}

/// Where the texts of all addresses and smaller networks within `network` sort: from the first, up to but not with the
/// second. Others may be in between: the text of an address leaves out a run of zeros, and sorts by digits.
fn text_range(network: Ipv6Net) -> (String, String) {
    let whole = usize::from(network.prefix_len() / 16);
    let groups = network.addr().segments();
    let written = groups.iter().take(whole).take_while(|group| **group != 0);
    let start: String = written.map(|group| format!("{group:x}:")).collect();
    let end = format!("{start}g");
    (start, end)
}

/// Whether `network` and what a session had have an address in common.
pub(super) fn overlaps(network: Ipv6Net, address: Option<Ipv6Addr>, prefixes: [Option<Ipv6Net>; 2]) -> bool {
    address.is_some_and(|address| network.contains(&address))
        || prefixes
            .iter()
            .flatten()
            .any(|prefix| network.contains(prefix) || prefix.contains(&network))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("2001:db8:1:200::/56", "2001:db8:1:200::/56"),
            ("aabb.ccdd.eeff", "AA:BB:CC:DD:EE:FF"),
            ("aa-bb-cc-dd-ee-0f", "AA:BB:CC:DD:EE:0F"),
            (" 0000ccddeeff ", "00:00:CC:DD:EE:FF"),
        ] {
            assert_eq!(text.parse::<SessionAddress>().unwrap().to_string(), shown);
        }
        for (text, reason) in [
            ("", "no IPv4 address"),
            ("192.0.2", "no IPv4 address"),
            ("router1", "no IPv4 address"),
            ("aa:bb:cc:dd:ee", "no IPv4 address"),
            ("192.0.2.0/24", "one IPv4 address"),
            ("2001:db8::1/64", "did you mean 2001:db8::/64"),
        ] {
            let error = text.parse::<SessionAddress>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn the_enclosing_networks_are_all_of_them() {
        let all: Vec<String> = enclosing("a000::/3".parse().unwrap()).map(|n| n.to_string()).collect();
        assert_eq!(all, ["::/0", "8000::/1", "8000::/2", "a000::/3"]);
        assert_eq!(enclosing("::1/128".parse().unwrap()).count(), 129);
    }

    proptest! {
        /// Groups of zeros, and few others, so that every way to leave zeros out occurs.
        #[test]
        fn what_is_inside_sorts_inside(groups in prop::array::uniform8(0_u16..3), inner in 0..=128_u8, outer in 0..=128_u8) {
            let address = Ipv6Addr::from(groups);
            let network = Ipv6Net::new(address, outer.min(inner)).unwrap().trunc();
            let (start, end) = text_range(network);
            let inside = Ipv6Net::new(address, inner).unwrap().trunc();
            for text in [inside.to_string(), inside.addr().to_string()] {
                if network.prefix_len() < 128 {
                    prop_assert!(start <= text && text < end, "{text} of {network}: {start} to {end}");
                }
            }
        }
    }
}
