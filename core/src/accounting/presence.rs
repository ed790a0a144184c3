//! Who is online, in memory: what simultaneous use is counted from without asking a database.
//!
//! A place is taken by an accepted login (a claim, until its Accounting-Start comes or it expires) and by a session that
//! was heard of lately. A device that logs in again takes the place it has, since a line that dropped leaves a session
//! whose Stop never comes. What is kept of a subscriber is forty bytes a place: ids are hashed.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::{AccountingRecord, AcctStatusType};

/// As many as keep the threads of a server out of each other's way.
const SHARDS: usize = 64;
/// No session and no device hashes to this.
const NONE: u64 = 0;

/// How long what takes a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A session that was not heard of for longer does not count.
    pub session: Duration,
    /// An accepted login whose session does not begin within this does not count.
    pub claim: Duration,
}

/// Where a login or a session comes from, as far as its packet tells.
///
/// A NAS may put less into one kind of packet than into another. Two are the same device where what both tell is the same:
/// Calling-Station-Id, else NAS-Port-Id, else the NAS. What a NAS does not tell apart is one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Calling-Station-Id; a MAC address is the same in every notation.
    pub station: Option<String>,
    pub nas: Option<String>,
    /// Of the NAS.
    pub port: Option<String>,
}

impl Device {
    #[must_use]
    pub fn new(calling_station_id: Option<&str>, nas: Option<IpAddr>, port: Option<&str>) -> Self {
        let station = calling_station_id.filter(|station| !station.is_empty());
        Self {
            station: station.map(|station| mac(station).unwrap_or_else(|| station.to_owned())),
            nas: nas.map(|nas| nas.to_string()),
            port: port.filter(|port| !port.is_empty()).map(str::to_owned),
        }
    }

    #[must_use]
    pub fn of(record: &AccountingRecord) -> Self {
        Self::new(
            record.calling_station_id.as_deref(),
            Some(record.nas_ip_address),
            record.nas_port_id.as_deref(),
        )
    }

    /// The most that is known of it, in one text.
    #[must_use]
    pub fn name(&self) -> String {
        let nas = self.nas.as_deref().unwrap_or("unknown");
        match (&self.station, &self.port) {
            (Some(station), _) => station.clone(),
            (None, Some(port)) => format!("{nas} {port}"),
            (None, None) => nas.to_owned(),
        }
    }
}

/// Twelve lower-case hex digits of a MAC address, in whatever notation it comes.
#[must_use]
pub fn mac(station: &str) -> Option<String> {
    let digits: String = station
        .chars()
        .filter(|c| !matches!(c, ':' | '-' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    (digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(digits)
}

/// A subscriber has as many sessions as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded {
    pub sessions: u32,
    /// When the one that was silent for longest was heard of, Unix seconds.
    pub oldest: i64,
}

/// A [`Device`], hashed.
#[derive(Debug, Clone, Copy)]
struct Origin {
    station: u64,
    /// With the NAS.
    port: u64,
    nas: u64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// [`NONE`] = a claim.
    session: u64,
    origin: Origin,
    /// When it was last heard of, Unix seconds; of a claim, when it was made.
    heard: i64,
    /// Kept for a while, so that a report that is late does not bring it back.
    ended: bool,
}

/// The places of all subscribers of one node.
#[derive(Debug)]
pub struct Presence {
    patience: Patience,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<u64, Vec<Place>, RandomState>>>,
}

/// An open session, as a database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    pub subscriber_id: String,
    pub acct_unique_id: String,
    pub device: Device,
    /// Unix seconds.
    pub heard: i64,
}

impl Presence {
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        let hasher = RandomState::default();
        Self {
            patience,
            shards: (0..SHARDS)
                .map(|_| Mutex::new(HashMap::with_hasher(hasher.clone())))
                .collect(),
            hasher,
        }
    }

    /// Let a login in if there is a place for it, and hold that.
    ///
    /// # Errors
    /// `limit` others have one; a limit of zero is none.
    pub fn claim(&self, subscriber_id: &str, device: &Device, limit: u32, now: i64) -> Result<(), Crowded> {
        if limit == 0 {
            return Ok(());
        }
        let origin = self.origin(device);
        self.with(subscriber_id, |places| {
            places.retain(|place| self.matters(place, now));
            let others: Vec<&Place> = places
                .iter()
                .filter(|place| !place.ended && !place.origin.same(origin))
                .collect();
            // A device that has a session and logs in again takes one place.
            let distinct = others.iter().enumerate().filter(|(index, place)| {
                let mut before = others.iter().take(*index);
                !before.any(|before| before.origin.same(place.origin))
            });
            let sessions = u32::try_from(distinct.count()).unwrap_or(u32::MAX);
            if sessions >= limit {
                return Err(Crowded {
                    sessions,
                    oldest: others.iter().map(|place| place.heard).min().unwrap_or(now),
                });
            }
            places.retain(|place| place.session != NONE || !place.origin.same(origin));
            places.push(Place {
                session: NONE,
                origin,
                heard: now,
                ended: false,
            });
            Ok(())
        })
    }

    /// Take in what an accounting packet says.
    pub fn hear(&self, record: &AccountingRecord, now: i64) {
        let origin = self.origin(&Device::of(record));
        if matches!(
            record.status,
            AcctStatusType::AccountingOn | AcctStatusType::AccountingOff
        ) {
            return self.forget(origin.nas, record.event_time);
        }
        let Some(subscriber_id) = &record.subscriber_id else {
            return;
        };
        let place = Place {
            session: self.hash(record.acct_unique_id.as_str()),
            origin,
            heard: record.event_time.min(now),
            ended: record.status == AcctStatusType::Stop,
        };
        let started = record.status == AcctStatusType::Start;
        self.with(subscriber_id, |places| self.settle(places, place, started, now));
    }

    /// Take in sessions that this node did not hear of itself.
    pub fn learn(&self, sessions: impl IntoIterator<Item = OpenSession>, now: i64) {
        for session in sessions {
            let place = Place {
                session: self.hash(session.acct_unique_id.as_str()),
                origin: self.origin(&session.device),
                heard: session.heard.min(now),
                ended: false,
            };
            self.with(&session.subscriber_id, |places| self.settle(places, place, false, now));
        }
    }

    /// Subscribers with a place.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Let go of what does not count any more.
    pub fn prune(&self, now: i64) {
        for shard in &self.shards {
            shard.lock().retain(|_, places| {
                places.retain(|place| self.matters(place, now));
                !places.is_empty()
            });
        }
    }

    fn settle(&self, places: &mut Vec<Place>, new: Place, started: bool, now: i64) {
        if let Some(known) = places.iter_mut().find(|place| place.session == new.session) {
            // The id may be in use again: a Start from after the end.
            if !known.ended || (started && new.heard > known.heard) {
                known.ended = new.ended;
                known.origin = new.origin;
            }
            known.heard = known.heard.max(new.heard);
        } else {
            places.retain(|place| self.matters(place, now));
            places.push(new);
        }
        // The session is what was claimed, and takes the place of one that the same device had before.
        let replaces =
            |place: &Place| place.session != new.session && place.origin.same(new.origin) && place.heard <= new.heard;
        places.retain(|place| !(replaces(place) && (place.session == NONE || (started && !place.ended))));
    }

    /// The NAS restarted: its sessions are over.
    fn forget(&self, nas: u64, at: i64) {
        for shard in &self.shards {
            for places in shard.lock().values_mut() {
                for place in places
                    .iter_mut()
                    .filter(|place| place.origin.nas == nas && place.heard <= at)
                {
                    place.ended = true;
                }
            }
        }
    }

    fn matters(&self, place: &Place, now: i64) -> bool {
        let patience = if place.session == NONE {
            self.patience.claim
        } else {
            self.patience.session
        };
        u64::try_from(now - place.heard).is_ok_and(|silent| silent <= patience.as_secs()) || place.heard > now
    }

    fn with<T>(&self, subscriber_id: &str, then: impl FnOnce(&mut Vec<Place>) -> T) -> T {
        let key = self.hash(subscriber_id);
        // The low bits choose the bucket within.
        let shard = usize::try_from(key >> 58).unwrap_or_default() % SHARDS;
        let mut shard = self.shards[shard].lock();
        then(shard.entry(key).or_default())
    }

    fn origin(&self, device: &Device) -> Origin {
        let hash = |text: &Option<String>| text.as_deref().map_or(NONE, |text| self.hash(text));
        let port = device.port.as_deref().zip(device.nas.as_deref());
        Origin {
            station: hash(&device.station),
            port: port.map_or(NONE, |port| self.hash(&port)),
            nas: hash(&device.nas),
        }
    }

    fn hash<T: std::hash::Hash + ?Sized>(&self, value: &T) -> u64 {
        self.hasher.hash_one(value).max(1)
    }
}

impl Origin {
    const fn same(self, other: Self) -> bool {
        if self.station != NONE && other.station != NONE {
            return self.station == other.station;
        }
        if self.port != NONE && other.port != NONE {
            return self.port == other.port;
        }
        self.nas == other.nas
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn presence() -> Presence {
        Presence::new(Patience {
            session: Duration::from_secs(1_800),
            claim: Duration::from_secs(60),
        })
    }

    fn record(status: AcctStatusType, session: &str, station: &str, at: i64) -> AccountingRecord {
        AccountingRecord {
            status,
            tenant_id: None,
            subscriber_id: Some("ada".to_owned()),
            acct_session_id: session.to_owned(),
            acct_unique_id: session.to_owned(),
            user_name: "ada".to_owned(),
            realm: String::new(),
            nas_ip_address: "192.0.2.1".parse().unwrap(),
            nas_port_id: None,
            nas_port_type: None,
            event_time: NOW + at,
            session_time: None,
            authentic: None,
            connect_info: None,
            input_octets: None,
            output_octets: None,
            called_station_id: None,
            calling_station_id: Some(station.to_owned()),
            terminate_cause: None,
            service_type: None,
            framed_protocol: None,
            framed_ip_address: None,
            framed_ipv6_address: None,
            framed_ipv6_prefix: None,
            framed_interface_id: None,
            delegated_ipv6_prefix: None,
            class: None,
            multi_session_id: None,
            gigawords: false,
        }
    }

    fn claim(presence: &Presence, station: &str, at: i64) -> Result<(), Crowded> {
        presence.claim("ada", &Device::new(Some(station), None, None), 1, NOW + at)
    }

    fn hear(presence: &Presence, status: AcctStatusType, session: &str, station: &str, at: i64) {
        presence.hear(&record(status, session, station, at), NOW + at);
    }

    const ONE: &str = "00:11:22:33:44:01";
    const TWO: &str = "00:11:22:33:44:02";

    #[test]
    fn the_last_place_is_given_once() {
        let presence = presence();
        claim(&presence, ONE, 0).unwrap();
        let crowded = claim(&presence, TWO, 1).unwrap_err();
        assert_eq!((crowded.sessions, crowded.oldest), (1, NOW));
        claim(&presence, TWO, 61).unwrap();
    }

    #[test]
    fn a_device_takes_its_own_place_in_whatever_notation() {
        let presence = presence();
        claim(&presence, ONE, 0).unwrap();
        hear(&presence, AcctStatusType::Start, "s1", ONE, 1);
        claim(&presence, "0011.2233.4401", 2).unwrap();
        hear(&presence, AcctStatusType::Start, "s2", "00-11-22-33-44-01", 3);
        assert_eq!(claim(&presence, TWO, 4).unwrap_err().sessions, 1);
        hear(&presence, AcctStatusType::Stop, "s2", ONE, 5);
        claim(&presence, TWO, 6).unwrap();
    }

    #[test]
    fn a_device_with_a_session_and_a_claim_takes_one_place() {
        let presence = presence();
        hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
        claim(&presence, ONE, 1).unwrap();
        let other = |station| Device::new(Some(station), None, None);
        presence.claim("ada", &other(TWO), 2, NOW + 2).unwrap();
        let crowded = presence.claim("ada", &other("three"), 2, NOW + 3).unwrap_err();
        assert_eq!(crowded.sessions, 2);
    }

    #[test]
    fn a_session_holds_its_place_while_it_is_heard_of() {
        let presence = presence();
        hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
        hear(&presence, AcctStatusType::InterimUpdate, "s1", ONE, 1_700);
        assert!(claim(&presence, TWO, 3_500).is_err());
        claim(&presence, TWO, 3_501).unwrap();
    }

    #[test]
    fn a_stop_frees_the_place_and_a_late_report_does_not_take_it_again() {
        let presence = presence();
        hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
        hear(&presence, AcctStatusType::Stop, "s1", ONE, 100);
        hear(&presence, AcctStatusType::InterimUpdate, "s1", ONE, 50);
        claim(&presence, TWO, 101).unwrap();
    }

    #[test]
    fn a_restart_of_the_nas_frees_all_its_places() {
        let presence = presence();
        hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
        hear(&presence, AcctStatusType::AccountingOn, "", ONE, 10);
        claim(&presence, TWO, 11).unwrap();
    }

    #[test]
    fn no_limit_is_none() {
        let presence = presence();
        for station in [ONE, TWO, "three"] {
            let device = Device::new(Some(station), None, None);
            presence.claim("ada", &device, 0, NOW).unwrap();
        }
    }

    #[test]
    fn devices_are_told_apart_by_what_both_packets_tell() {
        let (here, there) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let full = Device::new(Some(ONE), here, Some("ether1"));
        for (other, same) in [
            (Device::new(Some("00-11-22-33-44-01"), there, Some("ether2")), true),
            (Device::new(Some(TWO), here, Some("ether1")), false),
            (Device::new(None, here, Some("ether1")), true),
            (Device::new(None, here, Some("ether2")), false),
            (Device::new(None, there, Some("ether1")), false),
            (Device::new(Some(""), here, None), true),
            (Device::new(None, there, None), false),
        ] {
            let presence = presence();
            presence.claim("ada", &full, 1, NOW).unwrap();
            assert_eq!(presence.claim("ada", &other, 1, NOW).is_ok(), same, "{other:?}");
        }
    }

    #[test]
    fn what_is_over_is_let_go() {
        let presence = presence();
        hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
        presence.prune(NOW + 1_800);
        assert_eq!(presence.len(), 1);
        presence.prune(NOW + 1_801);
        assert!(presence.is_empty());
    }
}
