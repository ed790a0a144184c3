//! The one decision: facts in, verdict and ordered reply out.
//!
//! [`decide`] is a pure function. It does no I/O and reads no clock, so the server module, a test call over an API and an
//! explanation on the command line come to the same answer from the same facts. [`explain`] is the same with every rule
//! told.

pub mod binding;
pub mod hours;
pub mod mark;
pub mod reason;
pub mod reply;
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
use hours::{Hours, HoursError, Now};
pub use reason::Reason;
use reply::{Attribute, ReplyItem, Value};
use rules::{Finding, RULES};
pub use vendor::PlanReply;
use vendor::{TooLong, Vendor};

/// RFC 2868 section 3.1 and RFC 3580 section 3.31: Tunnel-Type VLAN.
const TUNNEL_TYPE_VLAN: u32 = 13;
/// RFC 2868 section 3.2: Tunnel-Medium-Type IEEE-802.
const TUNNEL_MEDIUM_IEEE_802: u32 = 6;

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

/// What a restriction does not give, since it would lead out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withheld {
    /// The static IPv4 address: there is a pool instead.
    pub ipv4: bool,
    /// The static IPv6 address and prefix, and pools of them that are not the restriction's.
    pub ipv6: bool,
    /// The same of delegated prefixes.
    pub delegated_ipv6: bool,
}

impl Withheld {
    /// A pool takes the place of what is static. One that restricts by an IPv4 pool, a list or a portal says nothing of IPv6,
    /// over which nothing would hold the subscriber: it gets IPv6 only where a pool for it is named.
    fn by(restrictions: &[&PlanReply]) -> Self {
        restrictions.iter().fold(Self::default(), |withheld, restriction| {
            let plan = &restriction.plan;
            let speaks_ipv6 = plan.ipv6_pool.is_some() || plan.delegated_ipv6_pool.is_some();
            let of_ipv4 = plan.ipv4_pool.is_some() || plan.address_list.is_some() || plan.redirect_url.is_some();
            let no_ipv6 = of_ipv4 && !speaks_ipv6;
            Self {
                ipv4: withheld.ipv4 || plan.ipv4_pool.is_some(),
                ipv6: withheld.ipv6 || plan.ipv6_pool.is_some() || no_ipv6,
                delegated_ipv6: withheld.delegated_ipv6 || plan.delegated_ipv6_pool.is_some() || no_ipv6,
            }
        })
    }
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
    if let (Some(first), Some(why)) = (restrictions.first(), &restricted)
        && !first.can_be_told(facts.vendor)
    {
        return Err(untold(first, facts.vendor, why));
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
        "{}; plan {} cannot restrict it there, since nothing of the plan is said to a NAS of vendor {}",
        why.message,
        restriction.plan.name,
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

/// At most this many items are written below the vendor's; one allocation serves them all.
const MOST_ITEMS: usize = 14;

fn reply<'a>(
    facts: &Facts<'a>,
    restrictions: &[&'a PlanReply],
    withheld: Withheld,
) -> Result<Vec<ReplyItem<'a>>, TooLong> {
    let subscriber = facts.subscriber;
    let plan = facts.plan.map(|compiled| &compiled.plan);
    let tier = facts.tier();
    let over = tier.and_then(|tier| match tier.effect {
        TierEffect::Plan(plan) => Some(plan),
        TierEffect::Refuse => None,
    });
    // What the plan of a tier says goes before all else.
    let first = over.map(|compiled| &compiled.plan);
    let mut items = Vec::with_capacity(MOST_ITEMS + facts.vendor.items().len());
    if restrictions.is_empty() {
        vendor::write(facts.vendor, over, facts.plan, subscriber, &mut items)?;
    } else {
        let instead_of = [over, facts.plan];
        vendor::write_restricted(facts.vendor, restrictions, instead_of, withheld, subscriber, &mut items)?;
    }
    let caps = || restrictions.iter().map(|compiled| &compiled.plan);
    let mut push = |attribute, value| {
        items.push(ReplyItem {
            attribute,
            tag: 0,
            value,
        })
    };

    // RFC 2865 section 5.1: what the NAS is to put into its accounting.
    if let Some(username) = facts.found_by_line {
        push(Attribute::UserName, Value::Text(username.into()));
    }
    if let Some(address) = subscriber.static_ipv4.filter(|_| !withheld.ipv4) {
        push(Attribute::FramedIpAddress, Value::Ipv4(address));
    }
    if let Some(address) = subscriber.static_ipv6.filter(|_| !withheld.ipv6) {
        push(Attribute::FramedIpv6Address, Value::Ipv6(address));
    }
    if let Some(prefix) = subscriber.ipv6_prefix.filter(|_| !withheld.ipv6) {
        push(Attribute::FramedIpv6Prefix, Value::Ipv6Prefix(prefix));
    }
    let delegated = subscriber.delegated_ipv6_prefix;
    if let Some(prefix) = delegated.filter(|_| !withheld.delegated_ipv6) {
        push(Attribute::DelegatedIpv6Prefix, Value::Ipv6Prefix(prefix));
    }
    let limit = first
        .and_then(|p| p.session_timeout)
        .or(subscriber.session_timeout)
        .or(plan.and_then(|p| p.session_timeout));
    let limit = caps().fold(limit, |limit, p| lower(limit, p.session_timeout));
    if let Some(seconds) = session_timeout(limit, facts.ends(), facts.now) {
        push(Attribute::SessionTimeout, Value::Integer(seconds));
    }
    let idle = first
        .and_then(|p| p.idle_timeout)
        .or(subscriber.idle_timeout)
        .or(plan.and_then(|p| p.idle_timeout));
    let idle = caps().fold(lower(idle, None), |idle, p| lower(idle, p.idle_timeout));
    if let Some(seconds) = idle {
        push(Attribute::IdleTimeout, Value::Integer(seconds));
    }
    let mut plans = caps().chain(first).chain(plan);
    if let Some(seconds) = plans.find_map(|p| p.acct_interim_interval) {
        let seconds = jittered(seconds, facts.tenant.interim_jitter_percent, facts.seed);
        push(Attribute::AcctInterimInterval, Value::Integer(seconds));
    }
    match (subscriber.vlan_id, subscriber.inner_vlan_id) {
        (Some(outer), Some(inner)) => {
            push_vlan(&mut items, 1, outer);
            push_vlan(&mut items, 2, inner);
        }
        (Some(vlan), None) | (None, Some(vlan)) => push_vlan(&mut items, 0, vlan),
        (None, None) => {}
    }
    Ok(items)
}

/// `limit`, but never beyond the instant given.
fn session_timeout(limit: Option<u32>, ends: Option<i64>, now: i64) -> Option<u32> {
    lower(limit, ends.map(|at| left(at, now)))
}

/// Seconds until an instant, at least one: zero would be no limit.
fn left(at: i64, now: i64) -> u32 {
    u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX).max(1)
}

/// The shorter of two limits; zero is none, though some NAS would take it for the shortest.
fn lower(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).filter(|seconds| *seconds > 0).min()
}

/// RFC 2869 section 5.16: the interval must not be less.
const SHORTEST_INTERVAL: u32 = 60;

/// `seconds`, up to `percent` more or less, by a subscriber's own number: those who logged in together, after an outage, do
/// not go on reporting together.
fn jittered(seconds: u32, percent: u8, seed: u32) -> u32 {
    let spread = u64::from(seconds) * u64::from(percent) / 100;
    let offset = u64::from(seed) % (2 * spread + 1);
    let moved = u32::try_from(u64::from(seconds) - spread + offset).unwrap_or(u32::MAX);
    moved.max(seconds.min(SHORTEST_INTERVAL))
}

fn moment(at: i64) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// The three attributes that put a port into a VLAN (RFC 3580 section 3.31); the tag keeps the sets of QinQ apart.
fn push_vlan(items: &mut Vec<ReplyItem<'_>>, tag: u8, vlan: u16) {
    let mut push = |attribute, value| items.push(ReplyItem { attribute, tag, value });
    push(Attribute::TunnelType, Value::Integer(TUNNEL_TYPE_VLAN));
    push(Attribute::TunnelMediumType, Value::Integer(TUNNEL_MEDIUM_IEEE_802));
    push(
        Attribute::TunnelPrivateGroupId,
        Value::Text(Cow::Owned(vlan.to_string())),
    );
}

#[cfg(test)]
mod tests;
