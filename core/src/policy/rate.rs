//! Rates as the vendor's attribute wants them.

use std::borrow::Cow;

use super::SubscriberFacts;
use crate::plan::Plan;

/// A plan with what it replies, formatted once instead of at every login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanReply {
    pub plan: Plan,
    mikrotik_rate_limit: String,
}

impl From<Plan> for PlanReply {
    fn from(plan: Plan) -> Self {
        let mut limit = mikrotik_pair(plan.upload_rate_kbps, plan.download_rate_kbps);
        if plan.upload_burst_kbps.is_some() || plan.download_burst_kbps.is_some() {
            // A direction without a burst of its own bursts to its plain rate, that is, not at all.
            limit.push(' ');
            limit.push_str(&mikrotik_pair(
                plan.upload_burst_kbps.unwrap_or(plan.upload_rate_kbps),
                plan.download_burst_kbps.unwrap_or(plan.download_rate_kbps),
            ));
        }
        Self {
            plan,
            mikrotik_rate_limit: limit,
        }
    }
}

/// RouterOS counts from the router: rx is what it receives from the client (upload), tx what it sends (download).
fn mikrotik_pair(upload_kbps: u32, download_kbps: u32) -> String {
    format!("{upload_kbps}k/{download_kbps}k")
}

/// Mikrotik-Rate-Limit of a plan, on a NAS that knows the attribute.
pub(super) fn plan_rate_limit<'a>(vendor: &str, plan: &'a PlanReply) -> Option<Cow<'a, str>> {
    knows_rate_limit(vendor).then_some(Cow::Borrowed(plan.mikrotik_rate_limit.as_str()))
}

const fn knows_rate_limit(vendor: &str) -> bool {
    vendor.eq_ignore_ascii_case("mikrotik")
}

/// Mikrotik-Rate-Limit for this subscriber, on a NAS that knows the attribute.
///
/// A subscriber's own rates replace the plan's; the plan's bursts belong to its rates and go with them.
pub(super) fn rate_limit<'a>(
    vendor: &str,
    plan: Option<&'a PlanReply>,
    subscriber: &SubscriberFacts,
) -> Option<Cow<'a, str>> {
    if !knows_rate_limit(vendor) {
        return None;
    }
    if subscriber.upload_kbps.is_none() && subscriber.download_kbps.is_none() {
        return plan.map(|p| Cow::Borrowed(p.mikrotik_rate_limit.as_str()));
    }
    // RouterOS reads 0 as "no limit" in that direction.
    let upload = subscriber
        .upload_kbps
        .or(plan.map(|p| p.plan.upload_rate_kbps))
        .unwrap_or(0);
    let download = subscriber
        .download_kbps
        .or(plan.map(|p| p.plan.download_rate_kbps))
        .unwrap_or(0);
    Some(Cow::Owned(mikrotik_pair(upload, download)))
}
