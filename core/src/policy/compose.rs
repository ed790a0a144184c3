//! The reply of a login that is let in: what the plan, the tier and restrictions leave of the service.

use std::borrow::Cow;

use super::reply::{Attribute, ReplyItem, Value};
use super::vendor::{self, Differing, TooLong, Vendor, VendorAttribute};
use super::{Facts, PlanReply, TierEffect};

/// RFC 2868 section 3.1 and RFC 3580 section 3.31: Tunnel-Type VLAN.
const TUNNEL_TYPE_VLAN: u32 = 13;
/// RFC 2868 section 3.2: Tunnel-Medium-Type IEEE-802.
const TUNNEL_MEDIUM_IEEE_802: u32 = 6;

/// What a restriction does not give, since it would lead out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withheld {
    /// Networks behind the subscriber: walls are about its own address.
    pub routes: bool,
    /// The static IPv4 address: there is a pool instead.
    pub ipv4: bool,
    /// The static IPv6 address and prefix, and pools of them that are not the restriction's.
    pub ipv6: bool,
    /// The same of delegated prefixes.
    pub delegated_ipv6: bool,
}

impl Withheld {
    /// The attributes of no vendor that would give what is withheld, whatever raw row they stand in.
    pub fn standard(self) -> impl Iterator<Item = &'static str> {
        [
            (self.routes, "Framed-Route"),
            (self.routes, "Framed-IPv6-Route"),
            (self.ipv4, "Framed-IP-Address"),
            (self.ipv6, "Framed-IPv6-Address"),
            (self.ipv6, "Framed-IPv6-Prefix"),
            (self.ipv6, "Framed-IPv6-Pool"),
            (self.delegated_ipv6, "Delegated-IPv6-Prefix"),
            (self.delegated_ipv6, "Delegated-IPv6-Prefix-Pool"),
        ]
        .into_iter()
        .filter_map(|(withheld, name)| withheld.then_some(name))
    }

    /// The same of a vendor's, as far as they are about nothing else.
    pub fn of_vendor(self, vendor: &Vendor) -> impl Iterator<Item = &VendorAttribute> {
        let terms = [
            (self.ipv4, Differing::IPV4_POOL),
            (self.ipv6, Differing::IPV6_POOL),
            (self.delegated_ipv6, Differing::DELEGATED_IPV6_POOL),
        ]
        .into_iter()
        .filter(|(withheld, _)| *withheld)
        .fold(Differing::NONE, |terms, (_, term)| terms.and(term));
        vendor.attributes_of(terms)
    }

    /// A pool takes the place of what is static. One that restricts by an IPv4 pool, a list, a filter or a portal says nothing of IPv6,
    /// over which nothing would hold the subscriber: it gets IPv6 only where a pool for it is named.
    pub(super) fn by(restrictions: &[&PlanReply]) -> Self {
        restrictions.iter().fold(Self::default(), |withheld, restriction| {
            let plan = &restriction.plan;
            let walled = restriction.is_walled();
            Self {
                routes: withheld.routes || walled,
                ipv4: withheld.ipv4 || plan.ipv4_pool.is_some(),
                ipv6: withheld.ipv6 || walled,
                delegated_ipv6: withheld.delegated_ipv6 || walled,
            }
        })
    }
}

/// At most this many items are written below the vendor's; one allocation serves them all.
const MOST_ITEMS: usize = 14;

pub(super) fn reply<'a>(
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
    let limit = said(first.and_then(|p| p.session_timeout))
        .or(said(subscriber.session_timeout))
        .or(plan.and_then(|p| p.session_timeout));
    let limit = caps().fold(limit, |limit, p| lower(limit, p.session_timeout));
    if let Some(seconds) = session_timeout(limit, facts.ends(), facts.now) {
        push(Attribute::SessionTimeout, Value::Integer(seconds));
    }
    let idle = said(first.and_then(|p| p.idle_timeout))
        .or(said(subscriber.idle_timeout))
        .or(plan.and_then(|p| p.idle_timeout));
    let idle = caps().fold(lower(idle, None), |idle, p| lower(idle, p.idle_timeout));
    if let Some(seconds) = idle {
        push(Attribute::IdleTimeout, Value::Integer(seconds));
    }
    let mut plans = caps().chain(first).chain(plan);
    if let Some(seconds) = plans.find_map(|p| said(p.acct_interim_interval)) {
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
pub(super) fn left(at: i64, now: i64) -> u32 {
    u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX).max(1)
}

/// Zero says nothing, though some NAS would take it for the shortest time.
fn said(seconds: Option<u32>) -> Option<u32> {
    seconds.filter(|seconds| *seconds > 0)
}

/// The shorter of two limits.
fn lower(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    said(one).into_iter().chain(said(other)).min()
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
