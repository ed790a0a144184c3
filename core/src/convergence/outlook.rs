//! How a live session stands by today's decision.

use jiff::tz::TimeZone;

use crate::group::Group;
use crate::order::{Cause, LiveSession, OrderItem, Verdict, Wanted};
use crate::password::AuthMethod;
use crate::policy::binding::{Binding, Packet};
use crate::policy::hours::Now;
use crate::policy::mark::{Mark, until};
use crate::policy::rows::{Gate, reply_rows};
use crate::policy::vendor::{Coa, Vendor, VendorAttribute};
use crate::policy::{self, Decision, Facts, PasswordFact, Reason, SubscriberFacts, TierEffect};
use crate::snapshot::{Asked, Found};
use crate::subscriber::RawRow;

/// What a session is to be told, why, and for how long that holds.
#[derive(Debug, Clone)]
pub(super) struct Outlook {
    pub(super) wanted: Wanted,
    /// Why it is refused or restricted.
    pub(super) reason: Option<Reason>,
    /// When the decision changes by the clock, Unix seconds.
    pub(super) recheck_at: Option<i64>,
    pub(super) coa: Coa,
}

/// The notes that tell one cause from another.
const PLAN: &str = "@plan";
const TIER: &str = "@tier";
const ROWS: &str = "@rows";
const VENDOR: &str = "@vendor";

/// The fingerprint of what is refused.
const REFUSED: &str = "reject";

/// What a refusal is to a live session.
pub(super) fn refused() -> Wanted {
    Wanted {
        fingerprint: REFUSED.to_owned(),
        items: Vec::new(),
        verdict: Verdict::Reject,
    }
}

/// Decide about a live session as of `now`. `None`: nothing is to be changed, though a login would be refused (a row that
/// cannot be built, say).
pub(super) fn outlook(found: &Found<'_>, live: &LiveSession, now: i64) -> Option<Outlook> {
    let entry = found.entry().ok()?;
    let standing = entry.standing(now);
    let subscriber = SubscriberFacts {
        status: standing.status,
        // It proved who it is when it logged in.
        password: PasswordFact::None,
        ..entry.facts
    };
    let packet = Packet {
        signed: true,
        nas_addresses: [Some(live.nas_ip_address), None],
        nas_port_id: live.nas_port_id.as_deref().map(str::as_bytes),
        nas_port: live.nas_port_id.as_deref().and_then(|port| port.parse().ok()),
        calling_station_id: live.calling_station_id.as_deref().map(str::as_bytes),
        ..Packet::default()
    };
    let asked = Asked {
        method: AuthMethod::None,
        packet,
        now,
    };
    let binding = told_of(entry.binding.as_ref(), live);
    let mut facts = found.facts(&entry, &subscriber, &standing, asked);
    facts.binding = &binding;
    let groups: Vec<&Group> = entry.groups.iter().map(|&index| found.group(index)).collect();
    let vendor = found.vendor();
    let coa = vendor.coa().clone();
    let planned = entry.schedule.iter().map(|planned| planned.at);
    let gate = Gate::of(&entry.checks, &entry.replies, &groups, &TimeZone::system());
    let turns = turns(&facts).chain(planned).chain(gate.expires);
    let recheck_at = turns.filter(|&at| at > now).min();
    let (wanted, reason) = match policy::decide(&facts) {
        _ if gate.rejects => (refused(), Some(Reason::CheckMismatch)),
        _ if gate.expires.is_some_and(|at| at <= now) => (refused(), Some(Reason::Expired)),
        Ok(decision) => {
            let wanted = told(&decision, &facts, vendor, &entry.replies, &groups);
            (wanted, decision.restricted.map(|why| why.reason))
        }
        Err(refusal) if ends(refusal.reason) => (refused(), Some(refusal.reason)),
        Err(_) => return None,
    };
    Some(Outlook {
        wanted,
        reason,
        recheck_at,
        coa,
    })
}

/// What accounting does not tell of a session, it cannot be compared in.
fn told_of<'a>(binding: Option<&Binding<'a>>, live: &LiveSession) -> Binding<'a> {
    Binding {
        port: binding
            .and_then(|binding| binding.port)
            .filter(|_| live.nas_port_id.is_some()),
        mac: binding
            .and_then(|binding| binding.mac)
            .filter(|_| live.calling_station_id.is_some()),
        ..Binding::default()
    }
}

/// When what the decision goes by changes.
fn turns(facts: &Facts<'_>) -> impl Iterator<Item = i64> + use<> {
    let turn = match facts.open() {
        Some(Now::Open { until } | Now::Closed { until }) => until,
        None => None,
    };
    let tier = facts.tier.map(|tier| tier.until);
    [
        facts.subscriber.activation_date,
        facts.subscriber.expiration_date,
        tier,
        turn,
    ]
    .into_iter()
    .flatten()
}

/// Refusals that a session ends for. Others are about the login itself, or somebody's slip of the pen: no reason to put
/// everybody offline.
const fn ends(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TenantDisabled
            | Reason::Pending
            | Reason::Suspended
            | Reason::Disconnected
            | Reason::Terminated
            | Reason::Quarantined
            | Reason::NotYetActive
            | Reason::Expired
            | Reason::OutsideHours
            | Reason::QuotaExhausted
            | Reason::WrongPort
            | Reason::WrongMac
    )
}

fn told(decision: &Decision<'_>, facts: &Facts<'_>, vendor: &Vendor, own: &[RawRow<'_>], groups: &[&Group]) -> Wanted {
    let mark = Mark::of(decision, facts, reply_rows(own, groups));
    let mut items: Vec<OrderItem> = decision
        .reply
        .iter()
        .map(|item| OrderItem {
            attribute: item.attribute.name().to_owned(),
            tag: item.tag,
            value: match until(item.attribute, &item.value, facts) {
                Some(at) => format!("{}{at}", super::wire::UNTIL),
                None => item.value.to_string(),
            },
        })
        .collect();
    let of_policy: Vec<String> = items.iter().map(|item| item.attribute.to_ascii_lowercase()).collect();
    let withheld = |name: &str| {
        let is = |withheld: &str| withheld.eq_ignore_ascii_case(name);
        let mut of_vendor = decision.withheld.of_vendor(vendor).map(VendorAttribute::name);
        decision.withheld.standard().any(is) || of_vendor.any(is)
    };
    let mut rows = String::new();
    for row in reply_rows(own, groups) {
        rows.push_str(&format!("{} {} {}; ", row.attribute, row.op, row.value));
        let (name, tag) = match row.attribute.rsplit_once(':') {
            Some((name, tag)) => (name, tag.parse().unwrap_or_default()),
            None => (row.attribute, 0),
        };
        let there = |items: &[OrderItem]| items.iter().any(|item| item.attribute.eq_ignore_ascii_case(name));
        // No row takes the place of a restriction's or a tier's terms, nor leads out of them.
        if decision.lowered && (of_policy.contains(&name.to_ascii_lowercase()) || withheld(name)) {
            continue;
        }
        match row.op {
            ":=" => items.retain(|item| !item.attribute.eq_ignore_ascii_case(name)),
            "+=" => {}
            "=" if !there(&items) => {}
            _ => continue,
        }
        items.push(OrderItem {
            attribute: name.to_owned(),
            tag,
            value: row.value.to_owned(),
        });
    }
    let plan = facts.plan.map_or("", |plan| plan.plan.id.as_str());
    let tier = facts
        .tier
        .filter(|tier| facts.now < tier.until)
        .map(|tier| match tier.effect {
            TierEffect::Plan(plan) => plan.plan.id.as_str(),
            TierEffect::Refuse => REFUSED,
        });
    let notes = [
        (PLAN, plan),
        (TIER, tier.unwrap_or("")),
        (ROWS, &rows),
        (VENDOR, vendor.name()),
    ];
    let notes = notes.into_iter().filter(|(_, value)| !value.is_empty());
    items.extend(notes.map(|(name, value)| OrderItem::new(name, value)));
    Wanted {
        fingerprint: mark.to_string(),
        items,
        verdict: match decision.restricted {
            Some(_) => Verdict::Restricted,
            None => Verdict::Accept,
        },
    }
}

/// Why a session that was told one thing is to be told another.
pub(super) fn cause(had: &Wanted, outlook: &Outlook) -> Cause {
    if let Some(reason) = outlook.reason {
        return match reason {
            Reason::Expired | Reason::NotYetActive => Cause::Expiry,
            Reason::OutsideHours => Cause::Hours,
            Reason::QuotaExhausted => Cause::Tier,
            Reason::CheckMismatch => Cause::Rows,
            Reason::WrongPort | Reason::WrongMac => Cause::Address,
            _ => Cause::Status,
        };
    }
    if had.verdict != outlook.wanted.verdict {
        return Cause::Restore;
    }
    let differs = |name: &str| {
        let value = |wanted: &Wanted| -> Vec<OrderItem> {
            let named = wanted
                .items
                .iter()
                .filter(|item| item.attribute.eq_ignore_ascii_case(name));
            named.cloned().collect()
        };
        value(had) != value(&outlook.wanted)
    };
    let addresses = [
        "Framed-IP-Address",
        "Framed-IPv6-Address",
        "Framed-IPv6-Prefix",
        "Delegated-IPv6-Prefix",
        "Tunnel-Private-Group-Id",
    ];
    if differs(VENDOR) {
        Cause::Nas
    } else if differs(TIER) {
        Cause::Tier
    } else if differs(PLAN) {
        Cause::Plan
    } else if differs(ROWS) {
        Cause::Rows
    } else if addresses.iter().any(|name| differs(name)) {
        Cause::Address
    } else if differs("Session-Timeout") {
        Cause::Expiry
    } else {
        Cause::Plan
    }
}
