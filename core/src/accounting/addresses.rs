//! Who has which address, in memory, as far as accounting tells this node: what keeps a static address from being handed out
//! while another session has it.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::presence::OpenSession;
use super::silence::Silence;
use super::{AccountingRecord, AcctStatusType};

/// As many as keep the threads of a server out of each other's way.
const SHARDS: usize = 32;

/// The addresses of the sessions that this node has heard of. Of each tenant its own: others may use the same ones.
#[derive(Debug)]
pub struct Addresses {
    silence: Silence,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Key, Held, RandomState>>>,
}

/// Tenant (hashed) and address.
type Key = (u64, Ipv4Addr);

#[derive(Debug)]
struct Held {
    session: u64,
    subscriber: u64,
    nas: IpAddr,
    user_name: Box<str>,
    /// By our clock, Unix seconds.
    heard: i64,
    interval: Option<i64>,
    /// When the NAS says that it ended: a report that is late does not bring it back.
    ended: Option<i64>,
}

impl Addresses {
    #[must_use]
    pub fn new(silence: Silence) -> Self {
        let hasher = RandomState::default();
        let shard = || Mutex::new(HashMap::with_hasher(hasher.clone()));
        Self {
            silence,
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher,
        }
    }

    /// Take in what a record says.
    pub fn hear(&self, record: &AccountingRecord) {
        let tenant = self.hasher.hash_one(record.tenant_id.as_deref());
        let ended = match record.status {
            AcctStatusType::Start | AcctStatusType::InterimUpdate => None,
            AcctStatusType::Stop => Some(record.event_time),
            AcctStatusType::AccountingOn | AcctStatusType::AccountingOff => {
                return self.forget(tenant, record.nas_ip_address);
            }
        };
        let Some(address) = record.framed_ip_address else {
            return;
        };
        let session = self.hasher.hash_one(record.acct_unique_id.as_str());
        let key = (tenant, address);
        let mut shard = self.shard(&key).lock();
        let known = shard.get_mut(&key);
        if let Some(known) = known.filter(|known| known.session == session && known.ended.is_none() && ended.is_none())
        {
            known.heard = known.heard.max(record.received);
            return;
        }
        let held = Held {
            session,
            subscriber: self.hasher.hash_one(record.subscriber_id.as_deref()),
            nas: record.nas_ip_address,
            user_name: record.user_name.as_str().into(),
            heard: record.received,
            interval: record.interim_interval.map(i64::from),
            ended,
        };
        let known = shard.get(&key);
        let outdated = known.is_some_and(|known| match known.ended {
            // Of the session that ended, only what is from after its end counts.
            Some(at) if known.session == session => ended.is_none() && record.event_time <= at,
            Some(_) => false,
            // The end of another session leaves the one that has the address now.
            None => known.session != session && ended.is_some(),
        });
        if !outdated {
            shard.insert(key, held);
        }
    }

    /// Take in sessions that began before this node did.
    pub fn learn(&self, sessions: &[OpenSession]) {
        for session in sessions {
            let Some(address) = session.framed_ip_address else {
                continue;
            };
            let held = Held {
                session: self.hasher.hash_one(session.acct_unique_id.as_str()),
                subscriber: self.hasher.hash_one(Some(session.subscriber_id.as_str())),
                nas: session.nas_ip_address,
                user_name: session.user_name.as_str().into(),
                heard: session.heard,
                interval: session.interval,
                ended: None,
            };
            let key = (self.hasher.hash_one(session.tenant_id.as_deref()), address);
            self.shard(&key).lock().entry(key).or_insert(held);
        }
    }

    /// The User-Name of another subscriber's live session that has the address.
    #[must_use]
    pub fn other_holder(&self, tenant_id: &str, subscriber_id: &str, address: Ipv4Addr, now: i64) -> Option<String> {
        let key = (self.hasher.hash_one(Some(tenant_id)), address);
        let shard = self.shard(&key).lock();
        let held = shard.get(&key)?;
        let other = held.subscriber != self.hasher.hash_one(Some(subscriber_id));
        (other && self.lives(held, now)).then(|| held.user_name.to_string())
    }

    /// Forget what has been silent for too long.
    pub fn prune(&self, now: i64) {
        for shard in &self.shards {
            shard
                .lock()
                .retain(|_, held| now - held.heard <= self.silence.patience(held.interval));
        }
    }

    fn forget(&self, tenant: u64, nas: IpAddr) {
        for shard in &self.shards {
            shard.lock().retain(|key, held| key.0 != tenant || held.nas != nas);
        }
    }

    fn lives(&self, held: &Held, now: i64) -> bool {
        held.ended.is_none() && now - held.heard <= self.silence.patience(held.interval)
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Held, RandomState>> {
        let index = self.hasher.hash_one(key) % SHARDS as u64;
        &self.shards[index as usize]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const T: i64 = 1_800_000_000;
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    fn record(status: AcctStatusType, subscriber: &str, session: &str, at: i64) -> AccountingRecord {
        AccountingRecord {
            status,
            tenant_id: Some("t".to_owned()),
            subscriber_id: Some(subscriber.to_owned()),
            acct_session_id: session.to_owned(),
            acct_unique_id: session.to_owned(),
            user_name: format!("{subscriber}@isp"),
            realm: String::new(),
            nas_ip_address: [192, 0, 2, 1].into(),
            nas_port_id: None,
            nas_port_type: None,
            event_time: at,
            session_time: None,
            authentic: None,
            connect_info: None,
            input_octets: None,
            output_octets: None,
            called_station_id: None,
            calling_station_id: None,
            terminate_cause: None,
            service_type: None,
            framed_protocol: None,
            framed_ip_address: Some(ADDRESS),
            framed_ipv6_address: None,
            framed_ipv6_prefix: None,
            framed_interface_id: None,
            delegated_ipv6_prefix: None,
            class: None,
            multi_session_id: None,
            gigawords: false,
            received: at,
            interim_interval: None,
        }
    }

    fn holder(addresses: &Addresses, subscriber: &str, now: i64) -> Option<String> {
        addresses.other_holder("t", subscriber, ADDRESS, now)
    }

    #[test]
    fn an_address_is_held_until_the_session_ends_or_falls_silent() {
        use AcctStatusType::{InterimUpdate, Start, Stop};
        let addresses = Addresses::new(Silence::default());
        assert_eq!(holder(&addresses, "ada", T), None);
        addresses.hear(&record(Start, "bob", "s1", T));
        assert_eq!(holder(&addresses, "ada", T + 1).as_deref(), Some("bob@isp"));
        assert_eq!(holder(&addresses, "bob", T + 1), None, "its own");
        assert_eq!(
            addresses.other_holder("t2", "ada", ADDRESS, T + 1),
            None,
            "of another tenant"
        );
        assert_eq!(holder(&addresses, "ada", T + 1_801), None, "silent");
        addresses.hear(&record(InterimUpdate, "bob", "s1", T + 1_700));
        assert!(holder(&addresses, "ada", T + 1_801).is_some());
        addresses.hear(&record(Stop, "bob", "s1", T + 1_900));
        assert_eq!(holder(&addresses, "ada", T + 1_900), None);
        addresses.hear(&record(InterimUpdate, "bob", "s1", T + 1_850));
        assert_eq!(holder(&addresses, "ada", T + 1_900), None, "a late report");
        addresses.hear(&record(Start, "eve", "s2", T + 1_950));
        addresses.hear(&record(Stop, "bob", "s1", T + 1_900));
        assert_eq!(
            holder(&addresses, "ada", T + 1_960).as_deref(),
            Some("eve@isp"),
            "a Stop sent again"
        );
        addresses.prune(T + 10_000);
        assert!(addresses.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn a_nas_that_restarts_gives_its_addresses_back_and_no_others() {
        let addresses = Addresses::new(Silence::default());
        addresses.hear(&record(AcctStatusType::Start, "bob", "s1", T));
        let mut restart = record(AcctStatusType::AccountingOn, "", "", T + 5);
        restart.nas_ip_address = [192, 0, 2, 99].into();
        addresses.hear(&restart);
        assert!(holder(&addresses, "ada", T + 6).is_some());
        restart.nas_ip_address = record(AcctStatusType::Start, "bob", "s1", T).nas_ip_address;
        addresses.hear(&restart);
        assert_eq!(holder(&addresses, "ada", T + 6), None);
    }
}
