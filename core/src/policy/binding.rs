//! What a subscriber is bound to: where its line ends, as far as the packet tells.
//!
//! Octets are compared as octets: an agent puts whatever it likes into the sub-options of Option 82 (RFC 3046).

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::accounting::device::{mac, station_mac};

/// What a packet tells about where it comes from. All of it is what the NAS says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packet<'a> {
    /// It carries Message-Authenticator, or came inside a tunnel. The server has checked it.
    pub signed: bool,
    /// The client has a say in User-Name and its proof: the packet is of a PPP session, or came inside a tunnel.
    pub by_client: bool,
    /// NAS-Identifier.
    pub nas_identifier: Option<&'a [u8]>,
    /// Source of the packet, NAS-IP-Address or NAS-IPv6-Address.
    pub nas_addresses: [Option<IpAddr>; 2],
    /// NAS-Port-Id.
    pub nas_port_id: Option<&'a [u8]>,
    /// NAS-Port.
    pub nas_port: Option<u32>,
    /// Calling-Station-Id.
    pub calling_station_id: Option<&'a [u8]>,
    /// Agent Circuit ID, in whichever attribute it came.
    pub circuit_id: Option<&'a [u8]>,
    /// Agent Remote ID.
    pub remote_id: Option<&'a [u8]>,
}

/// What becomes of a packet that does not come from where it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It is refused.
    Enforce,
    /// It is let in, and the log says so.
    Log,
    #[default]
    Ignore,
}

impl Enforcement {
    pub const ALL: [Self; 3] = [Self::Enforce, Self::Log, Self::Ignore];

    /// The word the database uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Log => "log",
            Self::Ignore => "ignore",
        }
    }
}

/// A word that is no [`Enforcement`].
#[derive(Debug, thiserror::Error)]
#[error("unknown policy {0:?}: expected enforce, log or ignore")]
pub struct UnknownEnforcement(String);

impl std::str::FromStr for Enforcement {
    type Err = UnknownEnforcement;

    fn from_str(word: &str) -> Result<Self, UnknownEnforcement> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == word)
            .ok_or_else(|| UnknownEnforcement(word.to_owned()))
    }
}

impl std::fmt::Display for Enforcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a subscriber is bound to. `None` = not to this; where a packet is compared, `enforce` says whether it is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding<'a> {
    /// NAS-Identifier, short name or address of the NAS.
    #[serde(borrow)]
    pub nas: Option<Bound<&'a str>>,
    /// NAS-Port-Id or NAS-Port.
    #[serde(borrow)]
    pub port: Option<Bound<&'a str>>,
    /// MAC addresses, one of which it must be, apart by spaces or commas.
    #[serde(borrow)]
    pub mac: Option<Bound<&'a str>>,
    /// Outer and inner VLAN, as NAS-Port-Id tells them.
    pub vlan: Option<Bound<Vlans>>,
    #[serde(borrow)]
    pub circuit_id: Option<Bound<&'a str>>,
    #[serde(borrow)]
    pub remote_id: Option<Bound<&'a str>>,
}

/// Outer (service) VLAN, and inner (customer) VLAN where there are two.
pub type Vlans = (u16, Option<u16>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound<T> {
    pub to: T,
    pub enforce: bool,
}

impl<T> Bound<T> {
    /// `to`, if there is something to compare with and a policy to do so.
    pub fn new(to: Option<T>, policy: Enforcement) -> Option<Self> {
        let enforce = policy == Enforcement::Enforce;
        (policy != Enforcement::Ignore)
            .then_some(to?)
            .map(|to| Self { to, enforce })
    }
}

/// One thing a packet was compared in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compared<'a> {
    pub(super) same: bool,
    pub(super) enforce: bool,
    pub(super) expected: Cow<'a, str>,
    /// What the packet told; `None` = nothing.
    pub(super) told: Option<Cow<'a, str>>,
}

impl Binding<'_> {
    /// Whether it binds to anything at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn nas<'a>(&'a self, packet: &Packet<'a>, shortname: &str) -> Option<Compared<'a>> {
        let bound = self.nas?;
        let addresses = packet.nas_addresses.into_iter().flatten();
        let expected = bound.to.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let same = packet.nas_identifier == Some(bound.to.as_bytes())
            || (!shortname.is_empty() && bound.to == shortname)
            || addresses
                .clone()
                .any(|address| Some(address.to_canonical()) == expected);
        let told = packet.nas_identifier.map(printable);
        Some(compared(
            bound,
            same,
            told.or_else(|| addresses.map(|a| a.to_string().into()).next()),
        ))
    }

    pub(super) fn port<'a>(&'a self, packet: &Packet<'a>) -> Option<Compared<'a>> {
        let bound = self.port?;
        let number = packet.nas_port.map(|port| port.to_string());
        let same = packet.nas_port_id == Some(bound.to.as_bytes()) || number.as_deref() == Some(bound.to);
        Some(compared(
            bound,
            same,
            packet.nas_port_id.map(printable).or(number.map(Cow::Owned)),
        ))
    }

    pub(super) fn mac<'a>(&'a self, packet: &Packet<'a>) -> Option<Compared<'a>> {
        let bound = self.mac?;
        let came = packet.calling_station_id.and_then(station_mac);
        let same = came.is_some_and(|came| macs(bound.to).any(|allowed| allowed == came));
        Some(compared(bound, same, packet.calling_station_id.map(printable)))
    }

    pub(super) fn vlan<'a>(&'a self, packet: &Packet<'a>) -> Option<Compared<'a>> {
        let bound = self.vlan?;
        let came = packet.nas_port_id.and_then(vlans);
        Some(Compared {
            same: came == Some(bound.to),
            enforce: bound.enforce,
            expected: show_vlans(bound.to).into(),
            told: came.map(|came| show_vlans(came).into()),
        })
    }

    pub(super) fn circuit<'a>(&'a self, packet: &Packet<'a>) -> Option<Compared<'a>> {
        octets(self.circuit_id?, packet.circuit_id)
    }

    pub(super) fn remote<'a>(&'a self, packet: &Packet<'a>) -> Option<Compared<'a>> {
        octets(self.remote_id?, packet.remote_id)
    }
}

fn compared<'a>(bound: Bound<&'a str>, same: bool, told: Option<Cow<'a, str>>) -> Compared<'a> {
    Compared {
        same,
        enforce: bound.enforce,
        expected: bound.to.into(),
        told,
    }
}

fn octets<'a>(bound: Bound<&'a str>, came: Option<&'a [u8]>) -> Option<Compared<'a>> {
    let same = came.is_some_and(|came| came == octets_of(bound.to).as_ref());
    Some(compared(bound, same, came.map(printable)))
}

/// The octets a text stands for: those of its digits where it is written `0x...`, else its own.
#[must_use]
pub fn octets_of(text: &str) -> Cow<'_, [u8]> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hex.filter(|hex| hex.len() % 2 == 0 && !hex.is_empty()).and_then(|hex| {
        let pair = |pair: &[u8]| match pair {
            &[high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        hex.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>()
    });
    pairs.map_or(Cow::Borrowed(text.as_bytes()), Cow::Owned)
}

/// The MAC addresses of a list, each as twelve lower-case digits.
pub fn macs(list: &str) -> impl Iterator<Item = String> + '_ {
    list.split([' ', ',', ';']).filter_map(mac)
}

/// Octets as a person reads them: as text where they are printable, else as `0x...`.
pub(super) fn printable(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| !c.is_control()) => Cow::Borrowed(text),
        _ => {
            let mut hex = String::from("0x");
            for octet in octets {
                hex.push_str(&format!("{octet:02x}"));
            }
            Cow::Owned(hex)
        }
    }
}

fn show_vlans((outer, inner): Vlans) -> String {
    match inner {
        Some(inner) => format!("{outer}.{inner}"),
        None => outer.to_string(),
    }
}

/// The VLANs that a NAS-Port-Id tells, in the forms NAS write them: `...;vlanid=100;vlanid2=200` (Huawei, ZTE, H3C),
/// `ge-1/0/0.4711:100-200`, `1/1/3:100.200`, `lag-1:100.200` (Juniper, Nokia: outer and inner after the colon), and
/// `eth0.100.200`, `0/0/1/100.200` (accel-ppp, Cisco: the last two or one numbers after dots; a fourth number between
/// slashes is the outer, a third is the port).
#[must_use]
pub fn vlans(nas_port_id: &[u8]) -> Option<Vlans> {
    let text = std::str::from_utf8(nas_port_id).ok()?;
    let id = |text: &str| text.trim().parse::<u16>().ok().filter(|id| (1..=4094).contains(id));
    let named = |name: &str| {
        let mut fields = text
            .split([';', ' ', ','])
            .filter_map(|field| field.trim().split_once('='));
        fields
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| id(value))
    };
    if let Some(outer) = named("vlanid") {
        return Some((outer, named("vlanid2")));
    }
    if let Some((port, tags)) = text.rsplit_once(':') {
        // A MAC address tells no VLAN.
        if port.contains(':') {
            return None;
        }
        return match tags.split_once(['-', '.']) {
            Some((outer, inner)) => Some((id(outer)?, Some(id(inner)?))),
            None => Some((id(tags)?, None)),
        };
    }
    let (head, last) = text.rsplit_once('.')?;
    let last = id(last)?;
    let before = head.rfind(['.', '/']).and_then(|at| {
        let (port, outer) = head.split_at(at);
        let is_vlan = outer.starts_with('.') || port.matches('/').count() >= 2;
        outer.get(1..).filter(|_| is_vlan)
    });
    match before.and_then(id) {
        Some(outer) => Some((outer, Some(last))),
        None => Some((last, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_are_read_in_every_vendors_form() {
        for (text, expected) in [
            ("slot=1;subslot=0;port=3;vlanid=100;", Some((100, None))),
            (
                "slot=1;subslot=0;port=3;VLANID=100;VLANID2=200;",
                Some((100, Some(200))),
            ),
            ("ge-1/0/0.1073741824:100-200", Some((100, Some(200)))),
            ("ge-1/0/0.1073741824:100", Some((100, None))),
            ("eth0.100.200", Some((100, Some(200)))),
            ("eth0.100", Some((100, None))),
            ("0/0/1/100.200", Some((100, Some(200)))),
            ("GigabitEthernet0/0/3.100", Some((100, None))),
            ("ge-1/0/3.100", Some((100, None))),
            ("1/1/3:100.200", Some((100, Some(200)))),
            ("lag-1:100", Some((100, None))),
            ("aa:bb:cc:00:01:20", None),
            ("eth0", None),
            ("eth0.5000", None),
            ("", None),
        ] {
            assert_eq!(vlans(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(vlans(b"\xff.100"), None);
    }

    #[test]
    fn octets_are_written_as_text_or_as_digits() {
        assert_eq!(octets_of("OLT1 1/1/3").as_ref(), b"OLT1 1/1/3");
        assert_eq!(octets_of("0x00FFa1").as_ref(), [0, 0xff, 0xa1]);
        assert_eq!(octets_of("0x0").as_ref(), b"0x0");
        assert_eq!(octets_of("0xzz").as_ref(), b"0xzz");
    }

    #[test]
    fn a_packet_is_compared_in_what_it_is_bound_to_only() {
        let binding = Binding {
            nas: Bound::new(Some("bng1"), Enforcement::Enforce),
            port: Bound::new(Some("17"), Enforcement::Log),
            mac: Bound::new(Some("AA-BB-CC-00-11-22, aabb.cc00.1133"), Enforcement::Enforce),
            vlan: None,
            circuit_id: Bound::new(Some("0xdead"), Enforcement::Enforce),
            remote_id: Bound::new(Some("x"), Enforcement::Ignore),
        };
        let packet = Packet {
            nas_identifier: Some(b"other"),
            nas_addresses: ["192.0.2.1".parse().ok(), None],
            nas_port: Some(17),
            calling_station_id: Some(b"aa:bb:cc:00:11:33"),
            circuit_id: Some(&[0xde, 0xad]),
            ..Packet::default()
        };
        let same = |compared: Option<Compared<'_>>| compared.map(|compared| compared.same);
        assert_eq!(same(binding.nas(&packet, "bng1")), Some(true), "by short name");
        assert_eq!(same(binding.nas(&packet, "bng2")), Some(false));
        assert_eq!(same(binding.port(&packet)), Some(true));
        assert_eq!(same(binding.mac(&packet)), Some(true));
        assert_eq!(same(binding.vlan(&packet)), None);
        assert_eq!(same(binding.circuit(&packet)), Some(true));
        assert_eq!(same(binding.remote(&packet)), None);
        let nothing = binding.circuit(&Packet::default());
        assert_eq!(
            nothing.map(|compared| (compared.same, compared.told)),
            Some((false, None))
        );
    }
}
