//! The rules, in their order: each looks at the facts, and lets pass, restricts or refuses.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::binding::{Compared, printable};
use super::hours::Now;
use super::{Facts, PasswordFact, PlanReply, Reason, Refusal, Tier, TierEffect, moment};
use crate::password::{AuthMethod, Scheme};
use crate::subscriber::Status;
use crate::tenant::{Condition, LookupBy, RealmAction, TenantRealm};

/// What a rule found.
#[derive(Debug, Clone)]
pub(super) enum Finding<'a> {
    Pass,
    /// It passes, and the log is to know.
    Note(String),
    /// It is let in under the terms of this plan.
    Restrict(&'a PlanReply, Refusal),
    Refuse(Refusal),
}

/// One rule.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// What it looks at, for a person.
    pub(super) saw: fn(&Facts<'_>) -> String,
    pub(super) judge: for<'a> fn(&Facts<'a>) -> Finding<'a>,
}

pub(super) static RULES: [Rule; 17] = [
    Rule {
        name: "tenant",
        saw: |facts| {
            let word = if facts.tenant.enabled { "enabled" } else { "disabled" };
            format!("{} is {word}", facts.tenant.name)
        },
        judge: tenant,
    },
    // Its refusals come before there is a subscriber to decide about.
    Rule {
        name: "lookup",
        saw: lookup,
        judge: |_| Finding::Pass,
    },
    Rule {
        name: "message_authenticator",
        saw: |facts| {
            let required = if facts.signature_required {
                "required"
            } else {
                "not required"
            };
            format!("{required}, {}", if facts.packet.signed { "present" } else { "absent" })
        },
        judge: signature,
    },
    Rule {
        name: "lockout",
        saw: |facts| {
            facts
                .lock
                .map_or_else(|| "not locked".to_owned(), |lock| lock.to_string())
        },
        judge: lockout,
    },
    Rule {
        name: "status",
        saw: |facts| facts.subscriber.status.to_string(),
        judge: status,
    },
    Rule {
        name: "activation_date",
        saw: |facts| date(facts.subscriber.activation_date),
        judge: activation,
    },
    Rule {
        name: "expiration_date",
        saw: |facts| date(facts.subscriber.expiration_date),
        judge: expiration,
    },
    Rule {
        name: "quota",
        saw: |facts| match facts.tier() {
            None => "in no tier".to_owned(),
            Some(Tier { effect, until, .. }) => match effect {
                TierEffect::Plan(plan) => format!("plan {} until {}", plan.plan.name, moment(until)),
                TierEffect::Refuse => format!("refused until {}", moment(until)),
            },
        },
        judge: quota,
    },
    Rule {
        name: "hours",
        saw: open_hours,
        judge: hours,
    },
    Rule {
        name: "nas",
        saw: |facts| saw(facts.nas_compared()),
        judge: |facts| bound(facts.nas_compared(), Reason::WrongNas, "the NAS"),
    },
    Rule {
        name: "port",
        saw: |facts| saw(facts.binding.port(&facts.packet)),
        judge: |facts| {
            bound(
                facts.binding.port(&facts.packet),
                Reason::WrongPort,
                "the port of the NAS",
            )
        },
    },
    Rule {
        name: "vlan",
        saw: |facts| saw(facts.binding.vlan(&facts.packet)),
        judge: |facts| {
            bound(
                facts.binding.vlan(&facts.packet),
                Reason::WrongVlan,
                "the VLAN in NAS-Port-Id",
            )
        },
    },
    Rule {
        name: "mac",
        saw: |facts| saw(facts.binding.mac(&facts.packet)),
        judge: |facts| bound(facts.binding.mac(&facts.packet), Reason::WrongMac, "Calling-Station-Id"),
    },
    Rule {
        name: "circuit_id",
        saw: |facts| saw(facts.binding.circuit(&facts.packet)),
        judge: |facts| {
            bound(
                facts.binding.circuit(&facts.packet),
                Reason::WrongCircuit,
                "Agent-Circuit-Id",
            )
        },
    },
    Rule {
        name: "remote_id",
        saw: |facts| saw(facts.binding.remote(&facts.packet)),
        judge: |facts| {
            bound(
                facts.binding.remote(&facts.packet),
                Reason::WrongCircuit,
                "Agent-Remote-Id",
            )
        },
    },
    Rule {
        name: "address",
        saw: |facts| match &facts.address_holder {
            None => "no other live session has its address".to_owned(),
            Some(holder) => format!("{} is held by {}", holder.address, holder.by),
        },
        judge: address,
    },
    Rule {
        name: "password",
        saw: |facts| match facts.subscriber.password {
            _ if facts.found_by_line.is_some() => "none is asked for: found by where its line ends".to_owned(),
            PasswordFact::None => format!("none stored, method {}", facts.method.as_str()),
            PasswordFact::Unreadable => "unreadable".to_owned(),
            PasswordFact::Stored(scheme) => {
                format!("stored as {}, method {}", scheme.as_str(), facts.method.as_str())
            }
        },
        judge: password,
    },
];

fn lookup(facts: &Facts<'_>) -> String {
    let packet = &facts.packet;
    let told =
        |octets: Option<&[u8]>| octets.map_or_else(|| "none".to_owned(), |octets| printable(octets).into_owned());
    let mut saw = match (facts.found_by_line, facts.tenant.lookup_by) {
        (None, _) => "found by User-Name".to_owned(),
        (Some(username), LookupBy::CircuitId) => format!(
            "{username} found by Agent-Circuit-Id {}, Agent-Remote-Id {}",
            told(packet.circuit_id),
            told(packet.remote_id)
        ),
        (Some(username), _) => format!(
            "{username} found by Calling-Station-Id {}",
            told(packet.calling_station_id)
        ),
    };
    if let Some(TenantRealm { realm, action, .. }) = facts.realm {
        let realm = match realm.as_str() {
            TenantRealm::NONE => "no realm".to_owned(),
            TenantRealm::OTHER => "any other realm".to_owned(),
            realm => format!("realm {realm}"),
        };
        let _ = match action {
            RealmAction::Accept => write!(saw, "; {realm} is accepted"),
            RealmAction::Strip => write!(saw, "; {realm} is stripped"),
            RealmAction::Refuse => write!(saw, "; {realm} is refused"),
            RealmAction::Tenant(_) => write!(saw, "; {realm} is of tenant {}", facts.tenant.name),
        };
    }
    saw
}

fn tenant<'a>(facts: &Facts<'a>) -> Finding<'a> {
    if facts.tenant.enabled {
        return Finding::Pass;
    }
    refuse(
        Reason::TenantDisabled,
        format!("tenant {} is disabled", facts.tenant.name),
    )
}

/// RFC 2869 section 5.14: without it, whoever can put packets on the way can forge a request or its answer.
fn signature<'a>(facts: &Facts<'a>) -> Finding<'a> {
    if facts.signature_required && !facts.packet.signed {
        refuse(
            Reason::NoMessageAuthenticator,
            "the packet has no Message-Authenticator, which its NAS is to send",
        )
    } else {
        Finding::Pass
    }
}

/// No password is guessed where none is asked for.
fn lockout<'a>(facts: &Facts<'a>) -> Finding<'a> {
    match facts.lock {
        Some(lock) if facts.found_by_line.is_none() => Finding::Refuse(lock.refusal()),
        Some(_) | None => Finding::Pass,
    }
}

fn status<'a>(facts: &Facts<'a>) -> Finding<'a> {
    let (condition, reason, message) = match facts.subscriber.status {
        Status::Active => return Finding::Pass,
        Status::Pending => (
            Condition::Pending,
            Reason::Pending,
            "the subscriber is not activated yet",
        ),
        Status::Suspended => (Condition::Suspended, Reason::Suspended, "the subscriber is suspended"),
        Status::Disconnected => (
            Condition::Disconnected,
            Reason::Disconnected,
            "the subscriber is disconnected",
        ),
        Status::Terminated => (
            Condition::Terminated,
            Reason::Terminated,
            "the subscriber is terminated",
        ),
        Status::Quarantined => (
            Condition::Quarantined,
            Reason::Quarantined,
            "the subscriber is in quarantine",
        ),
    };
    facts.on(condition, reason, message)
}

fn activation<'a>(facts: &Facts<'a>) -> Finding<'a> {
    if facts.subscriber.activation_date.is_some_and(|at| facts.now < at) {
        refuse(Reason::NotYetActive, "the activation date has not come")
    } else {
        Finding::Pass
    }
}

fn expiration<'a>(facts: &Facts<'a>) -> Finding<'a> {
    if facts.subscriber.expiration_date.is_some_and(|at| facts.now >= at) {
        facts.on(Condition::Expired, Reason::Expired, "the expiration date has passed")
    } else {
        Finding::Pass
    }
}

fn quota<'a>(facts: &Facts<'a>) -> Finding<'a> {
    match facts.tier() {
        Some(Tier {
            effect: TierEffect::Refuse,
            until,
            ..
        }) => facts.on(
            Condition::QuotaExhausted,
            Reason::QuotaExhausted,
            format!("the quota is used up until {}", moment(until)),
        ),
        _ => Finding::Pass,
    }
}

fn open_hours(facts: &Facts<'_>) -> String {
    let state = match facts.open() {
        None if facts.bad_hours().is_some() => "unreadable".to_owned(),
        None => return "at any time".to_owned(),
        Some(Now::Open { until: None }) => "open always".to_owned(),
        Some(Now::Open { until: Some(until) }) => format!("open until {}", moment(until)),
        Some(Now::Closed { until: None }) => "closed always".to_owned(),
        Some(Now::Closed { until: Some(until) }) => format!("closed until {}", moment(until)),
    };
    let whose = if facts.hours.is_some() { "its own" } else { "its plan's" };
    format!("{state}, by {whose}")
}

fn hours<'a>(facts: &Facts<'a>) -> Finding<'a> {
    if let Some(why) = facts.bad_hours() {
        return refuse(Reason::BadAttribute, format!("login_time of the plan: {why}"));
    }
    let Some(Now::Closed { until }) = facts.open() else {
        return Finding::Pass;
    };
    let message: Cow<'static, str> = match until {
        Some(until) => format!("outside its hours, which begin at {}", moment(until)).into(),
        None => "its hours are never".into(),
    };
    facts.on(Condition::OutsideHours, Reason::OutsideHours, message)
}

fn address<'a>(facts: &Facts<'a>) -> Finding<'a> {
    match &facts.address_holder {
        None => Finding::Pass,
        Some(holder) => refuse(
            Reason::AddressInUse,
            format!(
                "its address {} is held by the live session of {}",
                holder.address, holder.by
            ),
        ),
    }
}

fn password<'a>(facts: &Facts<'a>) -> Finding<'a> {
    let (subscriber, method) = (facts.subscriber, facts.method);
    if facts.found_by_line.is_some() {
        return Finding::Pass;
    }
    match subscriber.password {
        PasswordFact::Stored(scheme) if !scheme.serves(method) => refuse(
            Reason::MethodUnsupported,
            format!(
                "{} cannot be verified against a password stored as {}: store it as cleartext{} or use PAP",
                method.as_str(),
                scheme.as_str(),
                if Scheme::Nt.serves(method) { " or nt" } else { "" },
            ),
        ),
        PasswordFact::Unreadable => refuse(Reason::PasswordUnreadable, "the stored password is in no known form"),
        PasswordFact::None if !subscriber.has_checks && method != AuthMethod::None => {
            refuse(Reason::NoPassword, "no password is stored for the subscriber")
        }
        PasswordFact::Stored(_) | PasswordFact::None => Finding::Pass,
    }
}

fn bound<'a>(compared: Option<Compared<'_>>, reason: Reason, what: &str) -> Finding<'a> {
    let Some(compared) = compared.filter(|compared| !compared.same) else {
        return Finding::Pass;
    };
    let mut message = match &compared.told {
        Some(told) => format!("{what} is {told}"),
        None => format!("the packet does not tell {what}"),
    };
    let _ = write!(message, ", and the subscriber is bound to {}", compared.expected);
    if compared.enforce {
        refuse(reason, message)
    } else {
        Finding::Note(format!("{reason}: {message}"))
    }
}

fn saw(compared: Option<Compared<'_>>) -> String {
    match compared {
        None => "not bound".to_owned(),
        Some(compared) => format!(
            "bound to {} ({}), the packet tells {}",
            compared.expected,
            if compared.enforce { "enforce" } else { "log" },
            compared.told.as_deref().unwrap_or("nothing"),
        ),
    }
}

fn date(at: Option<i64>) -> String {
    at.map_or_else(|| "none".to_owned(), moment)
}

pub(super) fn refuse<'a>(reason: Reason, message: impl Into<Cow<'static, str>>) -> Finding<'a> {
    Finding::Refuse(Refusal::new(reason, message))
}
