//! Who is online, in memory: what simultaneous use is counted from without asking a database.
//!
//! A place is taken by an accepted login (a claim, until its Accounting-Start comes or it expires) and by a session that
//! was heard of lately. A device that logs in again takes the place it has, since a line that dropped leaves a session
//! whose Stop never comes. What is kept of a subscriber is 56 bytes a place: ids are hashed.
//!
//! Two clocks are told apart. When a session began and ended is what the NAS says; when it was heard of, and how long that is
//! ago, is by the clock of this machine alone.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

pub use super::device::Device;
use super::session::{SLACK, accepted_by, begun, event_time};
use super::silence::Silence;
use super::{AccountingRecord, AcctStatusType};

/// As many as keep the threads of a server out of each other's way.
const SHARDS: usize = 64;

/// How long what takes a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A session that fell silent does not count.
    pub silence: Silence,
    /// An accepted login whose session does not begin within this does not count.
    pub claim: Duration,
}

/// A subscriber has as many sessions as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded {
    pub sessions: u32,
    /// When the one that was silent for longest was heard of, Unix seconds.
    pub oldest: i64,
}

impl Crowded {
    /// Whether `others`, each with when it was heard of, leave room for one of `limit`.
    ///
    /// # Errors
    /// They do not; a limit of zero is none.
    pub(crate) fn check<T: PartialEq>(others: &[(Device<T>, i64)], limit: u32, now: i64) -> Result<(), Self> {
        let sessions = Device::count(others.iter().map(|(device, _)| device));
        if limit == 0 || sessions < limit {
            return Ok(());
        }
        let oldest = others.iter().map(|(_, heard)| *heard).min().unwrap_or(now);
        Err(Self { sessions, oldest })
    }
}

/// Who asks for a place.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    pub tenant_id: &'a str,
    pub subscriber_id: &'a str,
    pub device: &'a Device,
}

/// An open session, as a database knows it. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    pub tenant_id: Option<String>,
    pub subscriber_id: String,
    pub acct_unique_id: String,
    pub device: Device,
    /// By the clock of the NAS.
    pub began: i64,
    /// By our clock.
    pub heard: i64,
    /// Seconds between its reports, as far as known.
    pub interval: Option<i64>,
    pub nas_ip_address: IpAddr,
    pub user_name: String,
    pub framed_ip_address: Option<Ipv4Addr>,
}

/// A [`Device`], hashed; the NAS and its port with the tenant: others may use the same addresses.
type Origin = Device<NonZeroU64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    /// Kept for a while, so that a report that is late does not bring it back.
    Stopped,
    /// No Stop said so, but a restart of the NAS or another session of the device: a report from after it does bring it back.
    Presumed,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// `None` = a claim.
    session: Option<NonZeroU64>,
    origin: Origin,
    /// When it began, or ended, by the clock of the NAS; of a claim, when it was made.
    since: i64,
    /// When it was last heard of, by our clock.
    heard: i64,
    /// Seconds between its reports; 0 = not known.
    interval: u32,
    state: State,
}

/// The places of all subscribers of one node.
#[derive(Debug)]
pub struct Presence {
    patience: Patience,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<u64, Vec<Place>, RandomState>>>,
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
    pub fn claim(&self, claimant: Claimant<'_>, limit: u32, now: i64) -> Result<(), Crowded> {
        let origin = self.origin(Some(claimant.tenant_id), claimant.device);
        self.with(claimant.subscriber_id, |places| {
            self.room(places, origin, limit, now)?;
            hold(places, origin, now);
            Ok(())
        })
    }

    /// Whether there is a place for a login; it is not held.
    ///
    /// # Errors
    /// As for [`Self::claim`].
    pub fn look(&self, claimant: Claimant<'_>, limit: u32, now: i64) -> Result<(), Crowded> {
        let origin = self.origin(Some(claimant.tenant_id), claimant.device);
        self.with(claimant.subscriber_id, |places| self.room(places, origin, limit, now))
    }

    /// Hold a place for a login that others have let in.
    pub fn hold(&self, claimant: Claimant<'_>, now: i64) {
        let origin = self.origin(Some(claimant.tenant_id), claimant.device);
        self.with(claimant.subscriber_id, |places| hold(places, origin, now));
    }

    /// Take in what an accounting packet says, as it comes.
    pub fn hear(&self, record: &AccountingRecord) {
        let origin = self.origin(record.tenant_id.as_deref(), &Device::of(record));
        let event = event_time(record);
        if matches!(
            record.status,
            AcctStatusType::AccountingOn | AcctStatusType::AccountingOff
        ) {
            return self.forget(origin.nas, event);
        }
        let Some(subscriber_id) = &record.subscriber_id else {
            return;
        };
        let stopped = record.status == AcctStatusType::Stop;
        let begun = begun(record);
        let report = Report {
            place: Place {
                session: Some(self.hash(record.acct_unique_id.as_str())),
                origin,
                since: if stopped { event } else { begun.unwrap_or(event) },
                heard: record.received,
                interval: record.interim_interval.unwrap_or_default(),
                state: if stopped { State::Stopped } else { State::Held },
            },
            begun,
            accepted_by: accepted_by(record),
            event,
            started: record.status == AcctStatusType::Start,
        };
        self.with(subscriber_id, |places| self.take(places, &report));
    }

    /// Take in sessions that this node did not hear of itself.
    pub fn learn(&self, sessions: impl IntoIterator<Item = OpenSession>, now: i64) {
        for session in sessions {
            let place = Place {
                session: Some(self.hash(session.acct_unique_id.as_str())),
                origin: self.origin(session.tenant_id.as_deref(), &session.device),
                since: session.began,
                heard: session.heard.min(now),
                interval: interval(session.interval.unwrap_or_default()),
                state: State::Held,
            };
            self.with(&session.subscriber_id, |places| {
                // What was heard meanwhile is newer.
                if !places.iter().any(|known| known.session == place.session) {
                    places.push(place);
                    settle(places, &place, Some(session.began));
                }
            });
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

    fn room(&self, places: &mut Vec<Place>, origin: Origin, limit: u32, now: i64) -> Result<(), Crowded> {
        places.retain(|place| self.matters(place, now));
        let others: Vec<(Origin, i64)> = places
            .iter()
            .filter(|place| place.state == State::Held && !place.origin.is_same(&origin))
            .map(|place| (place.origin, place.heard))
            .collect();
        Crowded::check(&others, limit, now)
    }

    fn take(&self, places: &mut Vec<Place>, report: &Report) {
        let place = &report.place;
        match places.iter_mut().find(|known| known.session == place.session) {
            Some(known) => known.take(report),
            None => {
                places.retain(|known| self.matters(known, place.heard));
                places.push(*place);
            }
        }
        settle(places, place, report.accepted_by);
        if report.started {
            // A device has one session: the Stop of the one before is lost, or on its way.
            let before = places.iter_mut().filter(|other| {
                other.session.is_some()
                    && other.session != place.session
                    && other.state == State::Held
                    && other.since <= report.event
                    && other.origin.is_same(&place.origin)
            });
            before.for_each(|other| other.presume(report.event));
        }
    }

    /// The NAS restarted: its sessions are over.
    fn forget(&self, nas: Option<NonZeroU64>, at: i64) {
        for shard in &self.shards {
            for places in shard.lock().values_mut() {
                let is_over = |place: &Place| place.origin.nas == nas && place.since <= at;
                places.retain(|place| place.session.is_some() || !is_over(place));
                let over = places
                    .iter_mut()
                    .filter(|place| place.state == State::Held && is_over(place));
                over.for_each(|place| place.presume(at));
            }
        }
    }

    fn matters(&self, place: &Place, now: i64) -> bool {
        let patience = match place.session {
            None => i64::try_from(self.patience.claim.as_secs()).unwrap_or(i64::MAX),
            Some(_) => self.patience.silence.patience(Some(i64::from(place.interval))),
        };
        now - place.heard <= patience
    }

    fn with<T>(&self, subscriber_id: &str, then: impl FnOnce(&mut Vec<Place>) -> T) -> T {
        let key = self.hash(subscriber_id).get();
        // The low bits choose the bucket within.
        let shard = usize::try_from(key >> 58).unwrap_or_default() % SHARDS;
        let mut shard = self.shards[shard].lock();
        then(shard.entry(key).or_default())
    }

    fn origin(&self, tenant_id: Option<&str>, device: &Device) -> Origin {
        let of_tenant = |text: &String| self.hash(&(tenant_id, text));
        Origin {
            station: device.station.as_ref().map(|station| self.hash(station)),
            nas: device.nas.as_ref().map(of_tenant),
            port: device.port.as_ref().map(of_tenant),
        }
    }

    fn hash<T: std::hash::Hash + ?Sized>(&self, value: &T) -> NonZeroU64 {
        NonZeroU64::new(self.hasher.hash_one(value)).unwrap_or(NonZeroU64::MIN)
    }
}

/// What a packet says of a session.
struct Report {
    place: Place,
    /// When the session began, as far as the packet tells; like `event`, by the clock of the NAS.
    begun: Option<i64>,
    /// [`accepted_by`].
    accepted_by: Option<i64>,
    event: i64,
    started: bool,
}

impl Place {
    /// Take in a report of this session, or of another one under the same id.
    fn take(&mut self, report: &Report) {
        let new = &report.place;
        match (self.state, new.state) {
            // Of the session before this one.
            (State::Held, State::Stopped) if report.event < self.since => {}
            (State::Held | State::Presumed, State::Stopped) => {
                (self.state, self.since) = (State::Stopped, report.event)
            }
            (State::Stopped, State::Stopped) => self.since = self.since.max(report.event),
            (State::Held, _) => {
                let silent = interval(new.heard - self.heard);
                if !report.started {
                    self.interval = silent.max(new.interval);
                }
                self.since = match report.begun {
                    Some(begun) if report.started || begun > self.since + SLACK => begun,
                    _ => self.since,
                };
                self.origin = new.origin;
            }
            (State::Presumed, _) if report.event > self.since => *self = *new,
            // The id may be in use again.
            (State::Stopped, _) if report.began_after(self.since) => *self = *new,
            (State::Stopped | State::Presumed, _) => {}
        }
        self.heard = self.heard.max(new.heard);
    }

    fn presume(&mut self, at: i64) {
        (self.state, self.since) = (State::Presumed, at);
    }
}

impl Report {
    fn began_after(&self, stop: i64) -> bool {
        let slack = if self.started { 0 } else { SLACK };
        self.begun.is_some_and(|begun| begun > stop + slack)
    }
}

/// Hold a place; a device has one claim.
fn hold(places: &mut Vec<Place>, origin: Origin, now: i64) {
    places.retain(|place| place.session.is_some() || !place.origin.is_same(&origin));
    places.push(Place {
        session: None,
        origin,
        since: now,
        heard: now,
        interval: 0,
        state: State::Held,
    });
}

/// A session that began is what was claimed; what is claimed afterwards is not.
fn settle(places: &mut Vec<Place>, session: &Place, accepted_by: Option<i64>) {
    let Some(accepted_by) = accepted_by else { return };
    places
        .retain(|claim| claim.session.is_some() || claim.since > accepted_by || !claim.origin.is_same(&session.origin));
}

fn interval(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
