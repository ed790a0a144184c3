//! The one decision: facts in, verdict and ordered reply out.
//!
//! [`decide`] is a pure function. It does no I/O and reads no clock, so the server module, a test call over an API and an
//! explanation on the command line come to the same answer from the same facts. [`explain`] is the same with every rule
//! told.

pub mod binding;
mod compose;
pub mod expiration;
pub mod hours;
pub mod mark;
pub mod reason;
pub mod reply;
pub mod rows;
mod rules;
pub mod schedule;
pub mod vendor;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::password::{AuthMethod, Scheme};
use crate::subscriber::Status;
use crate::tenant::{Condition, Tenant, TenantRealm};
use binding::{Binding, Compared, Packet};
pub use compose::Withheld;
use compose::{left, reply};
use hours::{Hours, HoursError, Now};
pub use reason::Reason;
use reply::ReplyItem;
use rules::{Finding, RULES};
pub use vendor::PlanReply;
use vendor::Vendor;

/// What is known of the subscriber, apart from its password and raw rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SubscriberFacts {
    pub status: Status,
    pub password: PasswordFact,
    /// A raw check row may bring the password instead.
    pub has_checks: bool,
    /// kbit/s; override the plan's.
    pub download_kbps: Option<u32>,
    pub upload_kbps: Option<u32>,
    pub static_ipv4: Option<Ipv4Addr>,
    pub static_ipv6: Option<Ipv6Addr>,
    pub ipv6_prefix: Option<Ipv6Net>,
    pub delegated_ipv6_prefix: Option<Ipv6Net>,
    pub vlan_id: Option<u16>,
    pub inner_vlan_id: Option<u16>,
    /// Seconds; override the plan's.
    pub session_timeout: Option<u32>,
    pub idle_timeout: Option<u32>,
    /// Sessions it may have at once; 0 = any number. Counted when the login is accepted, not decided here.
    pub simultaneous_use: u32,
    /// Unix seconds.
    pub activation_date: Option<i64>,
    pub expiration_date: Option<i64>,
}

/// What the password columns hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PasswordFact {
    #[default]
    None,
    /// A value that is none of the known forms.
    Unreadable,
    Stored(Scheme),
}

/// Everything a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub tenant: &'a Tenant,
    /// The tenant's time zone.
    pub zone: &'a TimeZone,
    /// What the tenant does with those who are in a condition other than active.
    pub actions: Actions<'a>,
    /// Vendor of the NAS the packet came from.
    pub vendor: &'a Vendor,
    /// Short name of that NAS; empty = it is none.
    pub nas: &'a str,
    /// Whether that NAS is to sign its requests with Message-Authenticator.
    pub signature_required: bool,
    pub packet: Packet<'a>,
    /// The status as of now: of a schedule, what has come.
    pub subscriber: &'a SubscriberFacts,
    pub binding: &'a Binding<'a>,
    /// When it may be online; `None` = as its plan says, always if that says nothing.
    pub hours: Option<&'a Hours>,
    /// The subscriber's plan with what it always replies, compiled once.
    pub plan: Option<&'a PlanReply>,
    /// Where use of a quota has led to; heeded until it ends.
    pub tier: Option<Tier<'a>>,
    /// When the next planned change of status comes, Unix seconds.
    pub next_status: Option<i64>,
    /// Another live session that has the subscriber's address.
    pub address_holder: Option<Holder<'a>>,
    /// The NAS vouches for where the line ends, and the subscriber was found by that: no password is asked for. Its
    /// username, by which accounting is to know it.
    pub found_by_line: Option<&'a str>,
    /// The rule for its realm, of the tenant whose NAS it came by.
    pub realm: Option<&'a TenantRealm>,
    /// So many logins have failed that this one is not looked at.
    pub lock: Option<Lock>,
    /// A number that is always the same for this subscriber and differs between subscribers.
    pub seed: u32,
    pub method: AuthMethod,
    /// Unix seconds.
    pub now: i64,
}

static UTC: TimeZone = TimeZone::UTC;
static UNBOUND: Binding<'static> = Binding {
    nas: None,
    port: None,
    mac: None,
    vlan: None,
    circuit_id: None,
    remote_id: None,
};

impl<'a> Facts<'a> {
    /// The least there is: a subscriber of a tenant that may be online at any time and from anywhere, asked about at `now`.
    #[must_use]
    pub fn new(tenant: &'a Tenant, subscriber: &'a SubscriberFacts, method: AuthMethod, now: i64) -> Self {
        Self {
            tenant,
            zone: &UTC,
            actions: REJECT_ALL,
            vendor: Vendor::none(),
            nas: "",
            signature_required: false,
            packet: Packet::default(),
            subscriber,
            binding: &UNBOUND,
            hours: None,
            plan: None,
            tier: None,
            next_status: None,
            address_holder: None,
            found_by_line: None,
            realm: None,
            lock: None,
            seed: 0,
            method,
            now,
        }
    }

    fn tier(&self) -> Option<Tier<'a>> {
        self.tier.filter(|tier| self.now < tier.until)
    }

    /// Whether its hours have it open; `None` = it has none.
    pub(crate) fn open(&self) -> Option<Now> {
        let of_plan = || self.plan?.hours.as_ref()?.as_ref().ok();
        let hours = self.hours.or_else(of_plan)?;
        Some(hours.at(self.now, self.zone))
    }

    /// What is wrong with the hours that it goes by.
    fn bad_hours(&self) -> Option<&'a HoursError> {
        let plan = self.plan.filter(|_| self.hours.is_none())?;
        plan.hours.as_ref()?.as_ref().err()
    }

    /// When the clock ends a session that begins now, Unix seconds: what a Session-Timeout is never beyond.
    pub(crate) fn ends(&self) -> Option<i64> {
        let tier_ends = self.tier().filter(|tier| tier.of_time).map(|tier| tier.until);
        let closes = match self.open() {
            Some(Now::Open { until }) => until,
            // It is let in all the same, restricted perhaps, until it opens.
            Some(Now::Closed { until }) => until,
            None => None,
        };
        let expires = self.subscriber.expiration_date.filter(|&at| self.now < at);
        [expires, tier_ends, closes, self.next_status]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the address that another session has is not given anyway.
    fn is_withheld(&self, withheld: Withheld) -> bool {
        self.address_holder.is_some_and(|holder| match holder.address {
            IpAddr::V4(_) => withheld.ipv4,
            IpAddr::V6(_) => withheld.ipv6,
        })
    }

    fn nas_compared(&self) -> Option<Compared<'a>> {
        self.binding.nas(&self.packet, self.nas)
    }

    /// What the tenant does about a condition.
    fn on(&self, condition: Condition, reason: Reason, message: impl Into<Cow<'static, str>>) -> Finding<'a> {
        let refusal = Refusal::new(reason, message);
        match self.actions[condition as usize] {
            Action::Accept => Finding::Pass,
            Action::Restrict(plan) => Finding::Restrict(plan, refusal),
            Action::Reject => Finding::Refuse(refusal),
        }
    }
}

/// What a tenant does with a subscriber in a [`Condition`].
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    Reject,
    /// As if it were active.
    Accept,
    /// It is let in under the terms of this plan, and never gets more than it would get if it were active.
    Restrict(&'a PlanReply),
}

/// One for each [`Condition`], in the order of [`Condition::ALL`].
pub type Actions<'a> = [Action<'a>; Condition::ALL.len()];

/// What a tenant that says nothing does.
pub const REJECT_ALL: Actions<'static> = [Action::Reject; Condition::ALL.len()];

/// What is locked, for how many seconds more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The subscriber's name, tried from this device.
    Account { seconds: u32 },
    /// The device, whatever name it tries.
    Device { seconds: u32 },
}

impl Lock {
    /// What becomes of a login meanwhile.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        Refusal::new(Reason::LockedOut, self.to_string())
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account { seconds } => write!(f, "too many wrong passwords from this device: {seconds} s are left"),
            Self::Device { seconds } => write!(f, "too many failed logins from this device: {seconds} s are left"),
        }
    }
}

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    pub address: IpAddr,
    /// The User-Name its session goes by.
    pub by: &'a str,
}

/// The tier that use of a quota has put a subscriber into.
#[derive(Debug, Clone, Copy)]
pub struct Tier<'a> {
    pub effect: TierEffect<'a>,
    /// Its quota counts time.
    pub of_time: bool,
    /// When it ends, Unix seconds.
    pub until: i64,
}

#[derive(Debug, Clone, Copy)]
pub enum TierEffect<'a> {
    /// The rates of this plan are given, the subscriber's own ones included, and what else it says goes first.
    Plan(&'a PlanReply),
    Refuse,
}

/// Why not, for the program (`reason`) and for a person (`message`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// What was decided of a subscriber that is let in.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// Why it is let in under the terms of another plan only.
    pub restricted: Option<Refusal>,
    /// What the log is to know, one sentence each.
    pub notes: Vec<String>,
    pub reply: Vec<ReplyItem<'a>>,
    /// Seconds until another decision is due, by an expiry, a quota, hours or a plan: no session is to last longer.
    pub ends: Option<u32>,
    /// Addresses that it does not get, whoever would give them.
    pub withheld: Withheld,
    /// Whether the reply gives less than the subscriber's own plan: a restriction, or the tier of a quota.
    pub lowered: bool,
}

/// Decide whether the subscriber is let in, and with which reply.
///
/// Who it is about was found before: by realm, User-Name or line. The rules, in order: the tenant serves; the packet is signed where its NAS must; too many logins have not failed; the status, by what the tenant does about it; the activation date has come; the
/// expiration date has not; no quota has led to a refusal; it is within its hours; it comes from the NAS, port, VLAN, MAC
/// address and circuit it is bound to; no other live session has its address; there is a password (or a raw check row that
/// may bring one) and its stored form serves the method of the packet.
///
/// # Errors
/// The refusal of the first rule that refuses, or of a plan that the NAS cannot be told of.
pub fn decide<'a>(facts: &Facts<'a>) -> Result<Decision<'a>, Refusal> {
    let mut restrictions = Vec::new();
    let mut restricted = None;
    let mut notes = Vec::new();
    for rule in &RULES {
        match (rule.judge)(facts) {
            Finding::Pass => {}
            Finding::Note(note) => notes.push(note),
            Finding::Restrict(plan, why) => {
                restrictions.push(plan);
                restricted.get_or_insert(why);
            }
            // Whoever has it: a pool takes its place.
            Finding::Refuse(refusal)
                if refusal.reason == Reason::AddressInUse && facts.is_withheld(Withheld::by(&restrictions)) => {}
            Finding::Refuse(refusal) => return Err(refusal),
        }
    }
    let unheard = restrictions.iter().find(|plan| !plan.can_be_told(facts.vendor));
    if let (Some(plan), Some(why)) = (unheard, &restricted) {
        return Err(untold(plan, facts.vendor, why));
    }
    let withheld = Withheld::by(&restrictions);
    let reply =
        reply(facts, &restrictions, withheld).map_err(|why| Refusal::new(Reason::BadAttribute, why.to_string()))?;
    Ok(Decision {
        lowered: restricted.is_some() || facts.tier().is_some(),
        restricted,
        withheld,
        notes,
        reply,
        ends: facts.ends().map(|at| left(at, facts.now)),
    })
}

/// A restriction of which the NAS hears nothing would be none.
fn untold(restriction: &PlanReply, vendor: &Vendor, why: &Refusal) -> Refusal {
    let message = format!(
        "{}; plan {} cannot restrict it there, since {} is said to a NAS of vendor {}",
        why.message,
        restriction.plan.name,
        if restriction.is_walled() {
            "none of its pools, lists, filters and portals"
        } else {
            "nothing of the plan"
        },
        vendor.name()
    );
    Refusal::new(why.reason, message)
}

/// A rule, told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    pub rule: &'static str,
    /// What it looked at.
    pub saw: String,
    /// `pass`, `log`, `restrict` or `refuse`.
    pub verdict: &'static str,
    /// Why, where it does not simply pass.
    pub why: Option<String>,
}

/// What every rule says, in order, those after a refusal included.
#[must_use]
pub fn explain(facts: &Facts<'_>) -> Vec<Told> {
    let tell = |rule: &rules::Rule| {
        let (verdict, why) = match (rule.judge)(facts) {
            Finding::Pass => ("pass", None),
            Finding::Note(note) => ("log", Some(note)),
            Finding::Restrict(plan, why) => ("restrict", Some(format!("{why}; plan {}", plan.plan.name))),
            Finding::Refuse(refusal) => ("refuse", Some(refusal.to_string())),
        };
        Told {
            rule: rule.name,
            saw: (rule.saw)(facts),
            verdict,
            why,
        }
    };
    RULES.iter().map(tell).collect()
}

fn moment(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests;
