//! A session, and how the records of it add up: the same in whatever order they come, and however often.
//!
//! Counters take the maximum. The start is the one a Start reported, else the earliest that can be reckoned. A Stop
//! closes for good. A stop we inferred (the NAS restarted, or was silent for too long) does not: a Stop the NAS did send
//! still corrects its time and cause, and a report from after it shows that the session went on.
//!
//! A NAS may use an Acct-Session-Id again, above all after a restart. Records with one Acct-Unique-Session-Id therefore
//! belong to [`Sessions`], told apart by when the session they are of began: Event-Timestamp less Acct-Session-Time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use super::octets::Octets;
use super::usage::{Delta, Used};
use super::{AccountingRecord, AcctStatusType};

/// How far the beginning that two records of one session tell may be apart (seconds): a retransmission that does not
/// raise Acct-Delay-Time seems to be from later, and seconds are rounded.
pub const SLACK: i64 = 30;

/// Cause of a stop that was inferred because nothing more was heard of the session.
pub const STALE: &str = "Stale-Session";

/// Cause of a stop that was inferred from a restart of the NAS (RFC 2866 section 5.10).
pub const NAS_REBOOT: &str = "NAS-Reboot";

/// 9999-01-01: no database, and no calendar, writes a date much beyond.
const END_OF_TIME: i64 = 253_370_764_800;

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Unix seconds.
    pub at: i64,
    /// No Stop of the NAS said so.
    pub inferred: bool,
    pub cause: Option<String>,
}

/// What describes a session: of each, the newest value that was reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    pub user_name: Option<String>,
    pub realm: Option<String>,
    pub nas_port_id: Option<String>,
    pub nas_port_type: Option<String>,
    pub authentic: Option<String>,
    pub called_station_id: Option<String>,
    pub calling_station_id: Option<String>,
    pub service_type: Option<String>,
    pub framed_protocol: Option<String>,
    pub framed_ip_address: Option<Ipv4Addr>,
    pub framed_ipv6_address: Option<Ipv6Addr>,
    pub framed_ipv6_prefix: Option<Ipv6Net>,
    pub framed_interface_id: Option<String>,
    pub delegated_ipv6_prefix: Option<Ipv6Net>,
    pub class: Option<String>,
    pub multi_session_id: Option<String>,
}

/// One session; a row of `radacct`. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `radacctid`; `None` = not stored yet.
    pub id: Option<i64>,
    pub acct_session_id: String,
    pub acct_unique_id: String,
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    pub nas_ip_address: IpAddr,
    pub start: i64,
    /// A Start said when; otherwise it is reckoned.
    pub start_reported: bool,
    /// What the newest record is from.
    pub update: i64,
    /// When the newest record that found it open arrived, by our clock.
    pub heard: i64,
    /// Seconds between the last two reports while it was open, or what was asked of the NAS if that is more.
    pub interval: Option<i64>,
    pub stop: Option<Stop>,
    /// Acct-Session-Time.
    pub seconds: i64,
    pub octets: Octets,
    pub connect_info_start: Option<String>,
    pub connect_info_stop: Option<String>,
    pub details: Details,
}

/// When what a record reports happened, within what a database can hold.
#[must_use]
pub fn event_time(record: &AccountingRecord) -> i64 {
    record.event_time.clamp(0, END_OF_TIME)
}

/// When the record arrived, within what a database can hold.
fn received(record: &AccountingRecord) -> i64 {
    record.received.clamp(0, END_OF_TIME)
}

/// Seconds of the session that the record reports. Zero says nothing: some NAS never count.
fn session_time(record: &AccountingRecord) -> Option<i64> {
    record.session_time.filter(|time| *time > 0).map(i64::from)
}

/// When the session of the record began, as far as the record tells.
pub(crate) fn begun(record: &AccountingRecord) -> Option<i64> {
    let event = event_time(record);
    if record.status == AcctStatusType::Start {
        return Some(event);
    }
    session_time(record).map(|time| (event - time).max(0))
}

/// The latest that the login of the record's session can have been accepted, by our clock. One that was accepted later is of
/// a session to come. `None` = the record does not tell.
pub(crate) fn accepted_by(record: &AccountingRecord) -> Option<i64> {
    // What a clock that is ahead says is later than it was.
    let ahead = (event_time(record) - received(record)).max(0);
    begun(record).map(|begun| begun - ahead)
}

impl Session {
    fn new(record: &AccountingRecord) -> Self {
        let event = event_time(record);
        Self {
            id: None,
            acct_session_id: record.acct_session_id.clone(),
            acct_unique_id: record.acct_unique_id.clone(),
            tenant_id: record.tenant_id.clone(),
            subscriber_id: None,
            nas_ip_address: record.nas_ip_address,
            start: begun(record).unwrap_or(event),
            start_reported: record.status == AcctStatusType::Start,
            update: event,
            heard: received(record),
            interval: record.interim_interval.map(i64::from),
            stop: None,
            seconds: 0,
            octets: Octets::default(),
            connect_info_start: None,
            connect_info_stop: None,
            details: Details::default(),
        }
    }

    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.stop.is_none()
    }

    fn used(&self) -> Used {
        Used {
            upload_octets: self.octets.input,
            download_octets: self.octets.output,
            seconds: self.seconds.unsigned_abs(),
        }
    }

    /// What was used beyond `before`, from `since` on.
    fn delta_since(&self, before: &Used, since: i64, sessions: u32) -> Option<Delta> {
        let used = self.used();
        Some(Delta {
            subscriber_id: self.subscriber_id.clone()?,
            tenant_id: self.tenant_id.clone(),
            used: Used {
                upload_octets: used.upload_octets - before.upload_octets,
                download_octets: used.download_octets - before.download_octets,
                seconds: used.seconds - before.seconds,
            },
            from: since.min(self.update),
            to: self.update,
            sessions,
        })
    }

    /// Whether both were on at some time, but for what clocks are apart.
    fn overlaps(&self, other: &Self) -> bool {
        let end = |session: &Self| {
            session
                .stop
                .as_ref()
                .map_or(i64::MAX, |stop| stop.at.saturating_add(SLACK))
        };
        self.start <= end(other) && other.start <= end(self)
    }

    /// Its beginning is more than the time of the first record that happened to come.
    const fn start_is_known(&self) -> bool {
        self.start_reported || self.seconds > 0
    }

    /// Take in a record of this session. What it adds to its subscriber's usage, if anything.
    fn take(&mut self, record: &AccountingRecord) -> Option<Delta> {
        let event = event_time(record);
        let started = record.status == AcctStatusType::Start;
        let stopped = record.status == AcctStatusType::Stop;
        let before = self.used();
        let since = self.update;
        let newest = event >= self.update;

        let begun = begun(record).unwrap_or(event);
        match (self.start_reported, started) {
            (true, false) => {}
            (false, true) => self.start = begun,
            _ => self.start = self.start.min(begun),
        }
        self.start_reported |= started;
        if event > self.update && self.is_open() && !stopped {
            self.interval = Some(event - self.update).max(record.interim_interval.map(i64::from));
        }
        let at = session_time(record).unwrap_or(event - self.start);
        let before_at = if self.seconds > 0 {
            self.seconds
        } else {
            self.update - self.start
        };
        let (input, output) = (record.input_octets, record.output_octets);
        self.octets.report(at, before_at, input, output, record.gigawords);
        self.seconds = self.seconds.max(record.session_time.map_or(0, i64::from));
        self.update = self.update.max(event);
        self.end(record, stopped.then_some(event), event);
        if self.is_open() {
            self.heard = self.heard.max(received(record));
        }
        self.describe(record, newest);

        let subscriber_id = record.subscriber_id.as_ref().filter(|_| self.subscriber_id.is_none());
        let taken_over = subscriber_id.is_some();
        if taken_over {
            self.subscriber_id = subscriber_id.cloned();
        }
        let before = if taken_over { Used::default() } else { before };
        let used = Used {
            upload_octets: self.octets.input - before.upload_octets,
            download_octets: self.octets.output - before.download_octets,
            seconds: self.seconds.unsigned_abs() - before.seconds,
        };
        let subscriber_id = self.subscriber_id.clone()?;
        (taken_over || newest || used != Used::default()).then(|| Delta {
            subscriber_id,
            tenant_id: self.tenant_id.clone(),
            used,
            from: if taken_over { self.start } else { since }.min(event),
            to: event,
            sessions: u32::from(taken_over),
        })
    }

    fn end(&mut self, record: &AccountingRecord, stopped: Option<i64>, event: i64) {
        let reported = |at, cause: Option<String>| Stop {
            at,
            inferred: false,
            cause,
        };
        self.stop = match (self.stop.take(), stopped) {
            (Some(stop), None) if stop.inferred && event > stop.at => None,
            (stop, None) => stop,
            (Some(stop), Some(at)) if !stop.inferred && stop.at <= at => {
                let cause = stop.cause.or_else(|| record.terminate_cause.clone());
                Some(reported(stop.at, cause))
            }
            (_, Some(at)) => Some(reported(at, record.terminate_cause.clone())),
        };
        // The clock of the NAS was set back meanwhile.
        if let Some(stop) = &mut self.stop {
            stop.at = stop.at.max(self.start);
        }
    }

    fn describe(&mut self, record: &AccountingRecord, newest: bool) {
        let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        macro_rules! latest {
            ($($field:ident = $value:expr),+ $(,)?) => {
                $(let value = $value;
                if value.is_some() && (newest || self.details.$field.is_none()) {
                    self.details.$field = value;
                })+
            };
        }
        latest!(
            user_name = told(&record.user_name),
            realm = told(&record.realm),
            nas_port_id = record.nas_port_id.clone(),
            nas_port_type = record.nas_port_type.clone(),
            authentic = record.authentic.clone(),
            called_station_id = record.called_station_id.clone(),
            calling_station_id = record.calling_station_id.clone(),
            service_type = record.service_type.clone(),
            framed_protocol = record.framed_protocol.clone(),
            framed_ip_address = record.framed_ip_address,
            framed_ipv6_address = record.framed_ipv6_address,
            framed_ipv6_prefix = record.framed_ipv6_prefix,
            framed_interface_id = record.framed_interface_id.clone(),
            delegated_ipv6_prefix = record.delegated_ipv6_prefix,
            class = record.class.clone(),
            multi_session_id = record.multi_session_id.clone(),
        );
        let info = match record.status {
            AcctStatusType::Start => &mut self.connect_info_start,
            AcctStatusType::Stop => &mut self.connect_info_stop,
            _ => return,
        };
        if info.is_none() {
            info.clone_from(&record.connect_info);
        }
    }

    fn infer_stop(&mut self, at: i64, cause: &str) {
        self.stop = Some(Stop {
            at,
            inferred: true,
            cause: Some(cause.to_owned()),
        });
    }

    /// A record that comes after the restart that ended its session must not leave it open.
    fn ended_by_restart(&mut self, at: i64) {
        if self.is_open() && self.start < at && self.update <= at {
            self.infer_stop(at, NAS_REBOOT);
        }
    }
}

/// The sessions that one Acct-Unique-Session-Id of a tenant has stood for, oldest first. At most the newest is open.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Vec<Session>);

/// What became of a session that another system recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    New,
    /// It was open here, and went on, or ended, over there.
    Continued,
    /// It is here already.
    Known,
}

enum Place {
    In(usize),
    New,
}

impl Sessions {
    /// In any order.
    #[must_use]
    pub fn new(mut known: Vec<Session>) -> Self {
        known.sort_by_key(|session| session.start);
        Self(known)
    }

    #[must_use]
    pub fn into_inner(self) -> Vec<Session> {
        self.0
    }

    /// Take in a Start, Interim-Update or Stop. `restarted` is when the NAS last restarted, as far as known.
    pub fn take(&mut self, record: &AccountingRecord, restarted: Option<i64>) -> Option<Delta> {
        let place = match self.place(record) {
            Place::In(place) => place,
            Place::New => {
                self.0.push(Session::new(record));
                self.0.len() - 1
            }
        };
        let delta = self.0.get_mut(place)?.take(record);
        self.0.sort_by_key(|session| session.start);
        self.end_earlier();
        if let (Some(newest), Some(at)) = (self.0.last_mut(), restarted) {
            newest.ended_by_restart(at);
        }
        delta
    }

    /// Take over a session as another system recorded it, and what it adds to its subscriber's usage. The same again changes
    /// nothing.
    pub fn adopt(&mut self, session: Session) -> (Adopted, Option<Delta>) {
        let Some(known) = self.0.iter_mut().find(|known| known.overlaps(&session)) else {
            let delta = session.delta_since(&Used::default(), session.start, 1);
            self.0.push(session);
            self.0.sort_by_key(|session| session.start);
            self.end_earlier();
            return (Adopted::New, delta);
        };
        if !known.is_open() || (session.is_open() && session.update <= known.update) {
            return (Adopted::Known, None);
        }
        let (before, since) = (known.used(), known.update);
        known.octets.input = known.octets.input.max(session.octets.input);
        known.octets.output = known.octets.output.max(session.octets.output);
        known.octets.gigawords |= session.octets.gigawords;
        known.seconds = known.seconds.max(session.seconds);
        known.update = known.update.max(session.update);
        known.heard = known.heard.max(session.heard);
        known.stop = session.stop;
        known.connect_info_stop = session.connect_info_stop;
        if let Some(stop) = &mut known.stop {
            stop.at = stop.at.max(known.start);
        }
        let delta = known.delta_since(&before, since, 0);
        (Adopted::Continued, delta)
    }

    /// The id is in use again: the Stop of the one before is lost, or on its way.
    fn end_earlier(&mut self) {
        if let Some((_, earlier)) = self.0.split_last_mut() {
            for session in earlier.iter_mut().filter(|session| session.is_open()) {
                session.infer_stop(session.update, STALE);
            }
        }
    }

    fn place(&self, record: &AccountingRecord) -> Place {
        let event = event_time(record);
        let Some(begun) = begun(record) else {
            let last = self.0.iter().rposition(|session| session.start <= event + SLACK);
            return match last {
                Some(last) => Place::In(last),
                None if self.0.is_empty() => Place::New,
                None => Place::In(0),
            };
        };
        let Some(place) = self.0.iter().rposition(|session| session.start <= begun + SLACK) else {
            return match self.0.first() {
                // All of it was before what is known.
                Some(first) if !first.start_is_known() || event > first.start + SLACK => Place::In(0),
                _ => Place::New,
            };
        };
        match self.0.get(place) {
            Some(session) if follows(record, begun, session) => Place::New,
            _ => Place::In(place),
        }
    }
}

/// Whether the record is of a session that came after this one.
fn follows(record: &AccountingRecord, begun: i64, session: &Session) -> bool {
    match &session.stop {
        Some(stop) if !stop.inferred => {
            // A line may be back within a moment. What is sent again seems to be from later, and its counters do not go back.
            let at_once = begun > stop.at && begun > session.start + SLACK;
            let anew = record.status == AcctStatusType::Start || counts_less(record, session);
            return begun > stop.at + SLACK || (at_once && anew);
        }
        Some(stop) if stop.cause.as_deref() == Some(NAS_REBOOT) && begun > stop.at + SLACK => return true,
        _ => {}
    }
    // Its Stop is missing. What goes on counting from where it was is the same session, whatever its clock says: taken for
    // another one, it would be counted twice.
    let goes_on = record.status != AcctStatusType::Start && session.seconds > 0 && !counts_less(record, session);
    begun > session.update + SLACK && !goes_on
}

/// Whether a counter of the record is below the session's.
fn counts_less(record: &AccountingRecord, session: &Session) -> bool {
    session_time(record).is_some_and(|time| time < session.seconds)
        || record.input_octets.is_some_and(|input| input < session.octets.input)
        || record
            .output_octets
            .is_some_and(|output| output < session.octets.output)
}
