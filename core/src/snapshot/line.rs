//! Subscribers by where their line ends, for tenants that find them by that.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::FixedState;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::hash::BuildHasher;

use super::record::Record;
use crate::accounting::device::station_mac;
use crate::password::AuthMethod;
use crate::policy::binding::{Packet, macs, octets_of};
use crate::subscriber::SubscriberRecord;
use crate::tenant::LookupBy;

/// What a packet says of who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    pub user_name: &'a [u8],
    /// How it proves that.
    pub method: AuthMethod,
    /// It carries a User-Password with something in it.
    pub has_password: bool,
    pub packet: Packet<'a>,
}

impl<'a> Sender<'a> {
    /// One that says no more than its name.
    #[must_use]
    pub fn named(user_name: &'a [u8]) -> Self {
        Self {
            user_name,
            method: AuthMethod::None,
            has_password: false,
            packet: Packet::default(),
        }
    }

    /// Whether it is the NAS that speaks, of a client that has proved nothing: a password, if any, is one that the NAS puts
    /// into every packet.
    pub(super) fn is_nas(&self) -> bool {
        !self.packet.by_client && matches!(self.method, AuthMethod::None | AuthMethod::Pap)
    }

    /// Whether User-Name is no name, but says once more where the line ends. What the packet does not say elsewhere it does
    /// not count for: where the client has a say in User-Name, it could be anybody's line.
    pub(super) fn names_line(&self) -> bool {
        let name = self.user_name;
        let (local, _) = split_realm(name);
        let station = self.packet.calling_station_id.and_then(station_mac);
        let ids = [self.packet.circuit_id, self.packet.remote_id];
        [name, local].into_iter().any(|name| {
            !name.is_empty()
                && (station.is_some() && station_mac(name) == station
                    || ids.into_iter().flatten().any(|id| same_octets(name, id)))
        })
    }
}

fn split_realm(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'@') {
        Some(at) => name.split_at(at),
        None => (name, &[]),
    }
}

/// As they are, or as digits.
fn same_octets(name: &[u8], octets: &[u8]) -> bool {
    name == octets || std::str::from_utf8(name).is_ok_and(|name| *octets_of(name) == *octets)
}

/// Where a line ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line<'a> {
    /// MAC address in twelve digits, or circuit.
    #[serde(borrow)]
    id: Cow<'a, [u8]>,
    /// Beside a circuit.
    #[serde(borrow)]
    remote: Option<Cow<'a, [u8]>>,
}

impl Line<'static> {
    /// The lines of a subscriber, by what its tenant finds it.
    pub(super) fn all_of(by: LookupBy, subscriber: &SubscriberRecord) -> Vec<Self> {
        let network = subscriber.network.as_ref();
        match by {
            LookupBy::Username => Vec::new(),
            LookupBy::Mac => {
                let named = network.and_then(|network| network.mac_addresses.as_deref());
                let addresses = named.or(subscriber.cpe_mac_address.as_deref()).unwrap_or_default();
                let mut addresses: Vec<String> = macs(addresses).collect();
                addresses.sort_unstable();
                addresses.dedup();
                let line = |address: String| Self {
                    id: address.into_bytes().into(),
                    remote: None,
                };
                addresses.into_iter().map(line).collect()
            }
            LookupBy::CircuitId => {
                let octets = |text: &String| Cow::Owned(octets_of(text).into_owned());
                let line = network.and_then(|network| {
                    Some(Self {
                        id: octets(network.circuit_id.as_ref().filter(|id| !id.is_empty())?),
                        remote: network.remote_id.as_ref().filter(|id| !id.is_empty()).map(octets),
                    })
                });
                line.into_iter().collect()
            }
        }
    }
}

impl<'a> Line<'a> {
    /// The line a packet comes by, as its NAS says; `None` = it does not say.
    pub(super) fn of(by: LookupBy, packet: &Packet<'a>) -> Option<Self> {
        match by {
            LookupBy::Username => None,
            LookupBy::Mac => Some(Self {
                id: station_mac(packet.calling_station_id?)?.into_bytes().into(),
                remote: None,
            }),
            LookupBy::CircuitId => Some(Self {
                id: packet.circuit_id.filter(|id| !id.is_empty())?.into(),
                remote: packet.remote_id.map(Cow::Borrowed),
            }),
        }
    }

    /// Whether a subscriber with this line is where `told` says. What it has no remote id for may be behind any.
    fn is_at(&self, told: &Line<'_>) -> bool {
        self.id == told.id && (self.remote.is_none() || self.remote == told.remote)
    }
}

/// How many subscribers are at a line.
pub(super) enum At {
    Nobody,
    One(Record),
    Several,
}

/// As many as server threads are not likely to meet in.
const SHARDS: usize = 64;

type Shard = RwLock<HashMap<Box<[u8]>, Vec<Record>, FixedState>>;

/// Records by the tenant and what tells a line.
#[derive(Debug)]
pub(super) struct Lines {
    shards: Box<[Shard]>,
    hasher: FixedState,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: FixedState::default(),
        }
    }
}

impl Lines {
    pub(super) fn find(&self, tenant: u32, told: &Line<'_>) -> At {
        let key = key(tenant, &told.id);
        let Some(shard) = self.shard(&key) else {
            return At::Nobody;
        };
        let shard = shard.read();
        let records = shard.get(&*key).map_or(&[][..], Vec::as_slice);
        let mut there = records
            .iter()
            .filter(|record| record.lines().iter().any(|line| line.is_at(told)));
        match (there.next(), there.next()) {
            (None, _) => At::Nobody,
            (Some(record), None) => At::One(record.clone()),
            (Some(_), Some(_)) => At::Several,
        }
    }

    /// Take in a record, in place of another that stood under its key. It is never absent in between.
    pub(super) fn replace(&self, new: &Record, old: Option<&Record>) {
        let lines = new.lines();
        for line in &lines {
            self.change(new.tenant(), line, |records| {
                match records.iter_mut().find(|record| record.key() == new.key()) {
                    Some(record) => *record = new.clone(),
                    None => records.push(new.clone()),
                }
            });
        }
        let Some(old) = old else { return };
        for gone in old
            .lines()
            .iter()
            .filter(|gone| !lines.iter().any(|line| line.id == gone.id))
        {
            self.change(old.tenant(), gone, |records| {
                records.retain(|record| record.key() != old.key())
            });
        }
    }

    pub(super) fn remove(&self, record: &Record) {
        for line in record.lines() {
            self.change(record.tenant(), &line, |records| {
                records.retain(|other| other.key() != record.key());
            });
        }
    }

    fn change(&self, tenant: u32, line: &Line<'_>, change: impl FnOnce(&mut Vec<Record>)) {
        let key = key(tenant, &line.id);
        let Some(shard) = self.shard(&key) else { return };
        let mut shard = shard.write();
        let records = shard.entry(key.clone()).or_default();
        change(records);
        if records.is_empty() {
            shard.remove(&key);
        }
    }

    fn shard(&self, key: &[u8]) -> Option<&Shard> {
        self.shards.get((self.hasher.hash_one(key) >> 32) as usize % SHARDS)
    }
}

fn key(tenant: u32, id: &[u8]) -> Box<[u8]> {
    [&tenant.to_le_bytes()[..], id].concat().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{builder_of, subscriber};
    use super::super::{Missing, Snapshot};
    use super::*;
    use crate::network_profile::NetworkFacts;

    const MAC: &[u8] = b"02:00:00:00:00:01";

    fn with_mac(id: &str, mac: &str) -> SubscriberRecord {
        SubscriberRecord {
            cpe_mac_address: Some(mac.to_owned()),
            ..subscriber("a", id, id)
        }
    }

    fn on_circuit(id: &str, circuit: &str, remote: Option<&str>) -> SubscriberRecord {
        SubscriberRecord {
            network: Some(NetworkFacts {
                circuit_id: Some(circuit.to_owned()),
                remote_id: remote.map(str::to_owned),
                ..NetworkFacts::default()
            }),
            ..subscriber("a", id, id)
        }
    }

    fn snapshot(by: LookupBy, subscribers: &[SubscriberRecord]) -> Snapshot {
        let mut builder = builder_of(by);
        for subscriber in subscribers {
            builder.subscriber(subscriber);
        }
        builder.finish().0
    }

    /// Who it is, and whether it was found by its line.
    fn who(snapshot: &Snapshot, sender: Sender<'_>) -> Result<(String, bool), Missing> {
        let view = snapshot.view();
        let found = view.find(None, Some("a"), &sender)?;
        Ok((found.entry().unwrap().id(), found.by_line))
    }

    fn by_line(id: &str) -> Result<(String, bool), Missing> {
        Ok((id.to_owned(), true))
    }

    fn by_name(id: &str) -> Result<(String, bool), Missing> {
        Ok((id.to_owned(), false))
    }

    fn from(station: &'static [u8], user_name: &'static [u8], password: bool) -> Sender<'static> {
        Sender {
            method: AuthMethod::Pap,
            has_password: password,
            packet: Packet {
                calling_station_id: Some(station),
                ..Packet::default()
            },
            ..Sender::named(user_name)
        }
    }

    #[test]
    fn a_mac_address_is_found_in_every_notation() {
        let snapshot = snapshot(LookupBy::Mac, &[with_mac("ada", "02-00-00-00-00-01 0200.0000.00FF")]);
        for (user_name, station) in [
            (&b"02:00:00:00:00:01"[..], MAC),
            (b"02-00-00-00-00-01", b"0200.0000.0001"),
            (b"020000000001", b"02:00:00:00:00:01"),
            (b"0200.0000.0001@ipoe", b"1:02:00:00:00:00:01"),
            (b"0200000000Ff", b"02-00-00-00-00-FF"),
        ] {
            assert_eq!(
                who(&snapshot, from(station, user_name, true)),
                by_line("ada"),
                "{user_name:?}"
            );
        }
        assert_eq!(
            who(&snapshot, from(MAC, b"dhcp", false)),
            by_line("ada"),
            "a name of nobody, and no password"
        );
    }

    #[test]
    fn nobody_is_trusted_who_could_be_another() {
        let snapshot = snapshot(
            LookupBy::Mac,
            &[with_mac("ada", "020000000001"), with_mac("bob", "020000000002")],
        );
        let unknown = Err(Missing::Subscriber);
        assert_eq!(
            who(&snapshot, from(MAC, b"bob", true)),
            by_name("bob"),
            "another's name and a password"
        );
        assert_eq!(
            who(&snapshot, from(MAC, b"bob", false)),
            by_name("bob"),
            "another's name"
        );
        assert_eq!(
            who(&snapshot, from(MAC, b"ada", true)),
            by_name("ada"),
            "its own name and a password"
        );
        assert_eq!(
            who(&snapshot, from(MAC, b"carol", true)),
            unknown,
            "a password that is somebody's"
        );
        assert_eq!(
            who(&snapshot, from(b"02:00:00:00:00:03", b"020000000001", true)),
            unknown,
            "a MAC address that the NAS does not confirm"
        );
        assert_eq!(who(&snapshot, Sender::named(b"020000000001")), unknown, "nor tell");
        for method in [AuthMethod::Chap, AuthMethod::MsChap, AuthMethod::EapOther] {
            let sender = Sender {
                method,
                ..from(MAC, MAC, false)
            };
            assert_eq!(who(&snapshot, sender), unknown, "{method:?} is the client's own");
        }
        let mut session = from(MAC, MAC, true);
        session.packet.by_client = true;
        assert_eq!(
            who(&snapshot, session),
            unknown,
            "so is what comes by PPP or in a tunnel"
        );
        assert_eq!(
            who(&super::super::tests::sample(), from(MAC, MAC, true)),
            unknown,
            "a tenant without the rule"
        );
    }

    #[test]
    fn a_name_that_looks_like_a_line_is_still_its_owners() {
        let mut named = with_mac("bob", "020000000002");
        named.username = "020000000001".to_owned();
        let snapshot = snapshot(LookupBy::Mac, &[with_mac("ada", "020000000001"), named]);
        assert_eq!(who(&snapshot, from(MAC, b"020000000001", true)), by_name("bob"));
        let own = SubscriberRecord {
            username: "02:00:00:00:00:01".to_owned(),
            ..with_mac("ada", "020000000001")
        };
        let snapshot = self::snapshot(LookupBy::Mac, &[own]);
        assert_eq!(
            who(&snapshot, from(MAC, MAC, true)),
            by_line("ada"),
            "its own, however it is spelt"
        );
    }

    #[test]
    fn several_at_a_line_are_not_told_apart_by_guessing() {
        let twins = [with_mac("ada", "020000000001"), with_mac("bob", "020000000001")];
        let snapshot = snapshot(LookupBy::Mac, &twins);
        assert_eq!(who(&snapshot, from(MAC, MAC, true)), Err(Missing::Ambiguous));
        assert!(snapshot.remove(0, "bob", "bob"));
        assert_eq!(who(&snapshot, from(MAC, MAC, true)), by_line("ada"));
    }

    #[test]
    fn a_circuit_is_compared_by_octets_with_its_remote_id() {
        let lines = [
            on_circuit("ada", "0x00060001", Some("olt1")),
            on_circuit("bob", "0x00060001", Some("olt2")),
            on_circuit("eve", "OLT1 1/1/3", None),
        ];
        let snapshot = snapshot(LookupBy::CircuitId, &lines);
        let at = |circuit: &'static [u8], remote: Option<&'static [u8]>, user_name: &'static [u8], password| Sender {
            packet: Packet {
                circuit_id: Some(circuit),
                remote_id: remote,
                calling_station_id: Some(MAC),
                ..Packet::default()
            },
            ..from(MAC, user_name, password)
        };
        let binary: &[u8] = &[0, 6, 0, 1];
        assert_eq!(who(&snapshot, at(binary, Some(b"olt1"), MAC, true)), by_line("ada"));
        assert_eq!(
            who(&snapshot, at(binary, Some(b"olt2"), b"0x00060001", true)),
            by_line("bob")
        );
        assert_eq!(
            who(&snapshot, at(binary, Some(b"olt3"), b"", false)),
            Err(Missing::Subscriber)
        );
        assert_eq!(who(&snapshot, at(binary, None, b"", false)), Err(Missing::Subscriber));
        for name in [&b"OLT1 1/1/3"[..], b"any", b"olt9", &[0xff, 0xfe]] {
            let told = name != b"any" && name != [0xff, 0xfe];
            let sender = at(b"OLT1 1/1/3", Some(b"olt9"), name, told);
            assert_eq!(who(&snapshot, sender), by_line("eve"), "behind any relay, {name:?}");
        }
        assert_eq!(
            who(&snapshot, at(b"olt1 1/1/3", None, b"", false)),
            Err(Missing::Subscriber)
        );
    }

    #[test]
    fn a_line_that_moves_is_found_where_it_is() {
        let snapshot = snapshot(LookupBy::Mac, &[with_mac("ada", "020000000001 020000000002")]);
        let catalog = snapshot.catalog();
        let put = |subscriber: &SubscriberRecord| {
            let (record, ..) = super::super::pack(&catalog, &crate::dictionary::AnyAttribute, subscriber).unwrap();
            snapshot.insert(record);
        };
        put(&with_mac("ada", "020000000002 020000000003"));
        let at = |station| who(&snapshot, from(station, station, true));
        assert_eq!(at(b"020000000001"), Err(Missing::Subscriber));
        assert_eq!(at(b"020000000002"), by_line("ada"));
        assert_eq!(at(b"020000000003"), by_line("ada"));
        put(&with_mac("bob", "020000000001"));
        assert_eq!(at(b"020000000001"), by_line("bob"));
        assert!(snapshot.remove(0, "ada", "ada"));
        assert_eq!(at(b"020000000003"), Err(Missing::Subscriber));
        assert!(
            snapshot
                .lines
                .shards
                .iter()
                .map(|shard| shard.read().len())
                .sum::<usize>()
                == 1
        );
    }
}
