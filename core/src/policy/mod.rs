//! The one decision: facts in, verdict and ordered reply out.
//!
//! [`decide`] is a pure function. It does no I/O and reads no clock, so the server module, a test call over an API and an
//! explanation on the command line come to the same answer from the same facts.

pub mod reason;
pub mod reply;
pub mod vendor;

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::password::{AuthMethod, Scheme};
use crate::subscriber::Status;
use crate::tenant::Tenant;
pub use reason::Reason;
use reply::{Attribute, ReplyItem, Value};
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
    /// Vendor of the NAS the packet came from.
    pub vendor: &'a Vendor,
    pub subscriber: &'a SubscriberFacts,
    /// The subscriber's plan with what it always replies, compiled once.
    pub plan: Option<&'a PlanReply>,
    /// Where use of a quota has led to; heeded until it ends.
    pub tier: Option<Tier<'a>>,
    pub method: AuthMethod,
    /// Unix seconds.
    pub now: i64,
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

impl<'a> Facts<'a> {
    fn tier(&self) -> Option<Tier<'a>> {
        self.tier.filter(|tier| self.now < tier.until)
    }
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

/// Decide whether the subscriber is let in, and with which reply.
///
/// Rules, in order: the tenant serves; the status is `active`; the activation date has come; the expiration date has not;
/// no quota has led to a refusal; there is a password (or a raw check row that may bring one) and its stored form serves
/// the method of the packet.
///
/// # Errors
/// The refusal of the first rule that does not hold, or of a plan that the NAS cannot be told of.
pub fn decide<'a>(facts: &Facts<'a>) -> Result<Vec<ReplyItem<'a>>, Refusal> {
    let subscriber = facts.subscriber;
    if !facts.tenant.enabled {
        return Err(Refusal::new(
            Reason::TenantDisabled,
            format!("tenant {} is disabled", facts.tenant.name),
        ));
    }
    check_status(subscriber.status)?;
    if subscriber.activation_date.is_some_and(|at| facts.now < at) {
        return Err(Refusal::new(Reason::NotYetActive, "the activation date has not come"));
    }
    if subscriber.expiration_date.is_some_and(|at| facts.now >= at) {
        return Err(Refusal::new(Reason::Expired, "the expiration date has passed"));
    }
    if let Some(Tier {
        effect: TierEffect::Refuse,
        until,
        ..
    }) = facts.tier()
    {
        return Err(Refusal::new(
            Reason::QuotaExhausted,
            format!("the quota is used up until {}", moment(until)),
        ));
    }
    check_method(subscriber, facts.method)?;
    reply(facts).map_err(|why| Refusal::new(Reason::BadAttribute, why.to_string()))
}

fn check_status(status: Status) -> Result<(), Refusal> {
    let (reason, message) = match status {
        Status::Active => return Ok(()),
        Status::Pending => (Reason::Pending, "the subscriber is not activated yet"),
        Status::Suspended => (Reason::Suspended, "the subscriber is suspended"),
        Status::Disconnected => (Reason::Disconnected, "the subscriber is disconnected"),
        Status::Terminated => (Reason::Terminated, "the subscriber is terminated"),
        Status::Quarantined => (Reason::Quarantined, "the subscriber is in quarantine"),
    };
    Err(Refusal::new(reason, message))
}

fn check_method(subscriber: &SubscriberFacts, method: AuthMethod) -> Result<(), Refusal> {
    match subscriber.password {
        PasswordFact::Stored(scheme) if !scheme.serves(method) => Err(Refusal::new(
            Reason::MethodUnsupported,
            format!(
                "{} cannot be verified against a password stored as {}: store it as cleartext{} or use PAP",
                method.as_str(),
                scheme.as_str(),
                if Scheme::Nt.serves(method) { " or nt" } else { "" },
            ),
        )),
        PasswordFact::Unreadable => Err(Refusal::new(
            Reason::PasswordUnreadable,
            "the stored password is in no known form",
        )),
        PasswordFact::None if !subscriber.has_checks && method != AuthMethod::None => Err(Refusal::new(
            Reason::NoPassword,
            "no password is stored for the subscriber",
        )),
        PasswordFact::Stored(_) | PasswordFact::None => Ok(()),
    }
}

/// At most this many items are written below the vendor's; one allocation serves them all.
const MOST_ITEMS: usize = 13;

fn reply<'a>(facts: &Facts<'a>) -> Result<Vec<ReplyItem<'a>>, TooLong> {
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
    vendor::write(facts.vendor, over, facts.plan, subscriber, &mut items)?;
    let mut push = |attribute, value| {
        items.push(ReplyItem {
            attribute,
            tag: 0,
            value,
        })
    };

    if let Some(address) = subscriber.static_ipv4 {
        push(Attribute::FramedIpAddress, Value::Ipv4(address));
    }
    if let Some(address) = subscriber.static_ipv6 {
        push(Attribute::FramedIpv6Address, Value::Ipv6(address));
    }
    if let Some(prefix) = subscriber.ipv6_prefix {
        push(Attribute::FramedIpv6Prefix, Value::Ipv6Prefix(prefix));
    }
    if let Some(prefix) = subscriber.delegated_ipv6_prefix {
        push(Attribute::DelegatedIpv6Prefix, Value::Ipv6Prefix(prefix));
    }
    let limit = first
        .and_then(|p| p.session_timeout)
        .or(subscriber.session_timeout)
        .or(plan.and_then(|p| p.session_timeout));
    let tier_ends = tier.filter(|tier| tier.of_time).map(|tier| tier.until);
    if let Some(seconds) = session_timeout(limit, [subscriber.expiration_date, tier_ends], facts.now) {
        push(Attribute::SessionTimeout, Value::Integer(seconds));
    }
    let idle = first
        .and_then(|p| p.idle_timeout)
        .or(subscriber.idle_timeout)
        .or(plan.and_then(|p| p.idle_timeout));
    if let Some(seconds) = idle {
        push(Attribute::IdleTimeout, Value::Integer(seconds));
    }
    let mut plans = first.into_iter().chain(plan);
    if let Some(seconds) = plans.find_map(|p| p.acct_interim_interval) {
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

/// `limit`, but never beyond the instants given.
fn session_timeout(limit: Option<u32>, ends: [Option<i64>; 2], now: i64) -> Option<u32> {
    let left = |at: i64| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX);
    ends.into_iter().flatten().map(left).chain(limit).min()
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
