//! A plan with its reply for each vendor, and what a login makes of it.

use super::{Differing, Terms, TooLong, Vendor, VendorSet};
use crate::plan::Plan;
use crate::policy::hours::{Hours, HoursError};
use crate::policy::reply::{ReplyItem, Value};
use crate::policy::{SubscriberFacts, Withheld};

/// A plan with what it replies on NAS of each vendor, made once instead of at every login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanReply {
    pub plan: Plan,
    /// Its hours, or what is wrong with the text that should say them.
    pub(in crate::policy) hours: Option<Result<Hours, HoursError>>,
    /// By the vendor's index.
    ready: Box<[Result<Box<[Ready]>, TooLong>]>,
}

/// The value of a vendor's item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ready {
    /// Place among the vendor's items.
    item: usize,
    value: Value<'static>,
}

impl PlanReply {
    #[must_use]
    pub fn new(plan: Plan, vendors: &VendorSet) -> Self {
        let terms = Terms::from(&plan);
        let ready = vendors.vendors().iter().map(|vendor| fill(vendor, &terms)).collect();
        let hours = plan.login_time.as_deref().map(Hours::parse);
        Self { plan, hours, ready }
    }

    /// Whether it holds those who have it within walls: its rates alone would not.
    pub(in crate::policy) fn is_walled(&self) -> bool {
        let plan = &self.plan;
        let pools = [&plan.ipv4_pool, &plan.ipv6_pool, &plan.delegated_ipv6_pool];
        let walls = [&plan.address_list, &plan.filter_id, &plan.redirect_url];
        pools.into_iter().chain(walls).any(Option::is_some)
    }

    /// Whether a NAS of this vendor hears of the plan's walls, or of anything where it has none. Who has no vendors tells NAS in
    /// a way of its own.
    pub(in crate::policy) fn can_be_told(&self, vendor: &Vendor) -> bool {
        let counts = |ready: &Ready| {
            let item = vendor.items.get(ready.item);
            !self.is_walled() || item.is_some_and(|item| item.of.meets(Differing::WALLS))
        };
        vendor.items.is_empty() || self.ready(vendor).is_ok_and(|ready| ready.iter().any(counts))
    }

    /// # Errors
    /// One of them does not fit into its attribute.
    fn ready(&self, vendor: &Vendor) -> Result<&[Ready], TooLong> {
        match self.ready.get(usize::from(vendor.index)) {
            Some(Ok(ready)) => Ok(ready),
            Some(Err(why)) => Err(why.clone()),
            None => Ok(&[]),
        }
    }
}

fn fill(vendor: &Vendor, terms: &Terms<'_>) -> Result<Box<[Ready]>, TooLong> {
    let filled = vendor.items.iter().enumerate().filter_map(|(item, template)| {
        let value = template.fill(terms).transpose()?;
        Some(value.map(|value| Ready { item, value }))
    });
    filled.collect()
}

/// Write what the vendor says of a subscriber's plan, and of the plan that goes first where a tier has led to one.
///
/// A subscriber's own rates replace the plan's; a plan that goes first replaces both, and leaves what it does not name
/// (pools, lists, filter) as it was. There is no pool for what has a static address.
///
/// # Errors
/// A value that does not fit into its attribute.
pub(in crate::policy) fn write<'a>(
    vendor: &'a Vendor,
    first: Option<&'a PlanReply>,
    plan: Option<&'a PlanReply>,
    subscriber: &SubscriberFacts,
    reply: &mut Vec<ReplyItem<'a>>,
) -> Result<(), TooLong> {
    let own_rates = first.is_none() && (subscriber.upload_kbps.is_some() || subscriber.download_kbps.is_some());
    let Some(base) = first.or(plan) else {
        let mut terms = Terms::default();
        if own_rates {
            terms.set_rates(subscriber.upload_kbps, subscriber.download_kbps);
        }
        reply.append(&mut vendor.reply(&terms)?);
        return Ok(());
    };
    let mut terms = Terms::from(&base.plan);
    let mut differing = Differing::NONE;
    if own_rates {
        terms.set_rates(subscriber.upload_kbps, subscriber.download_kbps);
        differing = Differing::RATES;
    }
    if let (Some(_), Some(plan)) = (first, plan) {
        differing = differing.and(terms.fall_back_on(&plan.plan));
        differing = differing.and(terms.fall_back_on_qos(&plan.plan, vendor));
    }
    differing = differing.and(terms.leave_pools_of(subscriber));
    write_differing(vendor, base, &terms, differing, reply)
}

/// Write what the vendor says of plans that restrict: the terms of the first that has walls, or else of the first, but no
/// higher rates than any of the others gives, or than there are without them. What is without them is the plan of the tier, or else the subscriber's own with its
/// own rates (`instead_of`, in this order).
///
/// Pools come from the plan in force where the restriction names none and they are not withheld, everything else from the
/// restriction alone: a list or a filter of the plan could lead out of it.
///
/// # Errors
/// A value that does not fit into its attribute.
pub(in crate::policy) fn write_restricted<'a>(
    vendor: &'a Vendor,
    restrictions: &[&'a PlanReply],
    instead_of: [Option<&'a PlanReply>; 2],
    withheld: Withheld,
    subscriber: &SubscriberFacts,
    reply: &mut Vec<ReplyItem<'a>>,
) -> Result<(), TooLong> {
    let walled = restrictions.iter().position(|restriction| restriction.is_walled());
    let base = walled.unwrap_or_default();
    let Some(restriction) = restrictions.get(base) else {
        return Ok(());
    };
    let others = restrictions.iter().enumerate().filter(|(place, _)| *place != base);
    let [tier, plan] = instead_of;
    let mut active = tier
        .or(plan)
        .map_or_else(Terms::default, |base| Terms::from(&base.plan));
    if tier.is_none() && (subscriber.upload_kbps.is_some() || subscriber.download_kbps.is_some()) {
        active.set_rates(subscriber.upload_kbps, subscriber.download_kbps);
    }
    let own = Terms::from(&restriction.plan);
    let mut terms = own;
    let mut differing = terms.lower_to(&active);
    for (_, other) in others {
        differing = differing.and(terms.lower_to(&Terms::from(&other.plan)));
    }
    for plan in instead_of.into_iter().flatten() {
        differing = differing.and(terms.fall_back_on_pools(&plan.plan));
        differing = differing.and(terms.fall_back_on_qos(&plan.plan, vendor));
    }
    differing = differing.and(terms.leave_pools_of(subscriber));
    // A pool of the restriction itself stands: the static address it replaces is not given.
    let kept = |own: Option<&'a str>, other: Option<&'a str>, withheld: bool| own.or(other.filter(|_| !withheld));
    terms.ipv4_pool = kept(own.ipv4_pool, terms.ipv4_pool, withheld.ipv4);
    terms.ipv6_pool = kept(own.ipv6_pool, terms.ipv6_pool, withheld.ipv6);
    terms.delegated_ipv6_pool = kept(
        own.delegated_ipv6_pool,
        terms.delegated_ipv6_pool,
        withheld.delegated_ipv6,
    );
    write_differing(vendor, restriction, &terms, differing, reply)
}

/// Write the plan's items as they are ready, but for those that depend on terms that differ.
fn write_differing<'a>(
    vendor: &'a Vendor,
    base: &'a PlanReply,
    terms: &Terms<'a>,
    differing: Differing,
    reply: &mut Vec<ReplyItem<'a>>,
) -> Result<(), TooLong> {
    let mut ready = base.ready(vendor)?.iter().peekable();
    if differing.is_none() {
        reply.extend(ready.filter_map(|ready| Some(vendor.items.get(ready.item)?.with(borrowed(&ready.value)))));
        return Ok(());
    }
    for (index, item) in vendor.items.iter().enumerate() {
        let ready = ready.next_if(|ready| ready.item == index);
        if item.of.meets(differing) {
            if let Some(value) = item.fill(terms)? {
                reply.push(item.with(value));
            }
        } else if let Some(ready) = ready {
            reply.push(item.with(borrowed(&ready.value)));
        }
    }
    Ok(())
}

fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(text.as_ref().into()),
        Value::Integer(integer) => Value::Integer(*integer),
        Value::Ipv4(address) => Value::Ipv4(*address),
        Value::Ipv6(address) => Value::Ipv6(*address),
        Value::Ipv6Prefix(prefix) => Value::Ipv6Prefix(*prefix),
    }
}

impl<'a> Terms<'a> {
    /// Take no more than these terms give, lasting, in a burst and guaranteed; tells what that changes. Bursts and
    /// guarantees go where any of it is too high.
    fn lower_to(&mut self, most: &Terms<'_>) -> Differing {
        type Rates = (Option<u32>, Option<u32>, Option<u32>);
        let no_more = |(rate, burst, least): Rates, most: Rates| {
            let lasting = |rate: Option<u32>| rate.unwrap_or(u32::MAX);
            let peak = |rate: Option<u32>, burst: Option<u32>| lasting(rate).max(burst.unwrap_or(0));
            lasting(rate) <= lasting(most.0)
                && peak(rate, burst) <= peak(most.0, most.1)
                && least.unwrap_or(0) <= most.2.unwrap_or(0)
        };
        let upload = |of: &Terms<'_>| (of.upload_kbps, of.upload_burst_kbps, of.upload_min_kbps);
        let download = |of: &Terms<'_>| (of.download_kbps, of.download_burst_kbps, of.download_min_kbps);
        // 1 goes first, and what says nothing goes last.
        let sooner = self
            .priority
            .is_some_and(|own| most.priority.is_none_or(|most| own < most));
        if sooner {
            self.priority = most.priority;
        }
        let fits = no_more(upload(self), upload(most)) && no_more(download(self), download(most));
        if fits {
            return if sooner { Differing::RATES } else { Differing::NONE };
        }
        let lower = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        self.set_rates(
            lower(self.upload_kbps, most.upload_kbps),
            lower(self.download_kbps, most.download_kbps),
        );
        Differing::RATES
    }

    /// Take over the names that are missing; tells which.
    fn fall_back_on(&mut self, plan: &'a Plan) -> Differing {
        self.fall_back(plan, true)
    }

    /// Take over the pools that are missing; tells which.
    fn fall_back_on_pools(&mut self, plan: &'a Plan) -> Differing {
        self.fall_back(plan, false)
    }

    /// Take over the names of QoS profiles that are missing, for the directions in which the vendor says no rate otherwise:
    /// without a name there would be no limit. Tells whether it did.
    fn fall_back_on_qos(&mut self, plan: &'a Plan, vendor: &Vendor) -> Differing {
        let mut taken = Differing::NONE;
        for (name, other, says_rate) in [
            (
                &mut self.qos_profile_upload,
                &plan.qos_profile_upload,
                vendor.rates.upload,
            ),
            (
                &mut self.qos_profile_download,
                &plan.qos_profile_download,
                vendor.rates.download,
            ),
        ] {
            if !says_rate && name.is_none() && other.is_some() {
                *name = other.as_deref();
                taken = Differing::QOS;
            }
        }
        taken
    }

    fn fall_back(&mut self, plan: &'a Plan, all: bool) -> Differing {
        let mut taken = Differing::NONE;
        for (name, other, of) in [
            (&mut self.ipv4_pool, &plan.ipv4_pool, Differing::IPV4_POOL),
            (&mut self.ipv6_pool, &plan.ipv6_pool, Differing::IPV6_POOL),
            (
                &mut self.delegated_ipv6_pool,
                &plan.delegated_ipv6_pool,
                Differing::DELEGATED_IPV6_POOL,
            ),
            (&mut self.address_list, &plan.address_list, Differing::ADDRESS_LIST),
            (&mut self.filter_id, &plan.filter_id, Differing::FILTER_ID),
            (&mut self.redirect_url, &plan.redirect_url, Differing::REDIRECT_URL),
        ] {
            let is_pool = of.meets(Differing::POOLS);
            if (all || is_pool) && name.is_none() && other.is_some() {
                *name = other.as_deref();
                taken = taken.and(of);
            }
        }
        taken
    }

    /// Take away the pools that a static address leaves without use; tells which.
    fn leave_pools_of(&mut self, subscriber: &SubscriberFacts) -> Differing {
        let mut left = Differing::NONE;
        for (pool, is_static, of) in [
            (
                &mut self.ipv4_pool,
                subscriber.static_ipv4.is_some(),
                Differing::IPV4_POOL,
            ),
            (
                &mut self.ipv6_pool,
                subscriber.ipv6_prefix.is_some(),
                Differing::IPV6_POOL,
            ),
            (
                &mut self.delegated_ipv6_pool,
                subscriber.delegated_ipv6_prefix.is_some(),
                Differing::DELEGATED_IPV6_POOL,
            ),
        ] {
            if is_static && pool.take().is_some() {
                left = left.and(of);
            }
        }
        left
    }
}
