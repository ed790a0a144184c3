//! Every rule as a table: what is known, and what comes of it.

use super::*;
use crate::policy::binding::Packet;
use crate::policy::binding::{Bound, Enforcement};
use crate::subscriber::Status;

const CONDITIONS: [(Condition, Reason); 5] = [
    (Condition::Pending, Reason::Pending),
    (Condition::Suspended, Reason::Suspended),
    (Condition::Disconnected, Reason::Disconnected),
    (Condition::Terminated, Reason::Terminated),
    (Condition::Quarantined, Reason::Quarantined),
];

pub(super) fn ready(plan: Plan) -> PlanReply {
    PlanReply::new(plan, &VENDORS)
}

pub(super) fn garden() -> PlanReply {
    ready(Plan {
        name: "garden".to_owned(),
        download_rate_kbps: 256,
        upload_rate_kbps: 128,
        session_timeout: Some(600),
        ..Plan::default()
    })
}

pub(super) fn on(condition: Condition, action: Action<'_>) -> Actions<'_> {
    let mut actions = REJECT_ALL;
    actions[condition as usize] = action;
    actions
}

/// Reason and reply, or the reason of the refusal.
pub(super) fn outcome(facts: &Facts<'_>) -> Result<(Option<Reason>, Vec<String>), Reason> {
    decide(facts)
        .map(|decision| {
            let restricted = decision.restricted.map(|why| why.reason);
            (restricted, decision.reply.iter().map(show).collect())
        })
        .map_err(|refusal| refusal.reason)
}

#[test]
fn a_tenant_says_what_becomes_of_each_status() {
    let (tenant, plan, garden) = (tenant(), plan(), garden());
    let full = [
        "Mikrotik-Rate-Limit = 20000k/100000k",
        "Session-Timeout = 86400",
        "Idle-Timeout = 900",
        "Acct-Interim-Interval = 300",
    ];
    let walled = [
        "Mikrotik-Rate-Limit = 128k/256k",
        "Session-Timeout = 600",
        full[2],
        full[3],
    ];
    for (condition, reason) in CONDITIONS {
        let status: Status = condition.as_str().parse().unwrap();
        let subscriber = SubscriberFacts { status, ..active() };
        let facts = Facts {
            vendor: vendor("mikrotik"),
            plan: Some(&plan),
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        assert_eq!(outcome(&facts), Err(reason), "{condition}");
        let facts = Facts {
            actions: on(condition, Action::Accept),
            ..facts
        };
        assert_eq!(
            outcome(&facts),
            Ok((None, full.map(str::to_owned).to_vec())),
            "{condition}"
        );
        let facts = Facts {
            actions: on(condition, Action::Restrict(&garden)),
            ..facts
        };
        let expected = (Some(reason), walled.map(str::to_owned).to_vec());
        assert_eq!(outcome(&facts), Ok(expected), "{condition}");
    }
}

#[test]
fn the_expired_and_those_outside_their_hours_may_be_restricted_too() {
    let (tenant, plan, garden) = (tenant(), plan(), garden());
    let expired = SubscriberFacts {
        expiration_date: Some(NOW),
        ..active()
    };
    let facts = Facts {
        plan: Some(&plan),
        actions: on(Condition::Expired, Action::Restrict(&garden)),
        ..Facts::new(&tenant, &expired, AuthMethod::Pap, NOW)
    };
    let (restricted, reply) = outcome(&facts).unwrap();
    assert_eq!(restricted, Some(Reason::Expired));
    assert!(
        reply.contains(&"Session-Timeout = 600".to_owned()),
        "not 0 for the date that has passed: {reply:?}"
    );

    // NOW is a Tuesday, 22:13:20 UTC.
    let hours = Hours::parse("Any0800-2215").unwrap();
    let closed = Hours::parse("Any0800-2200").unwrap();
    let subscriber = active();
    let facts = Facts {
        plan: Some(&plan),
        hours: Some(&hours),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    let (_, reply) = outcome(&facts).unwrap();
    assert!(reply.contains(&"Session-Timeout = 100".to_owned()), "{reply:?}");
    let facts = Facts {
        hours: Some(&closed),
        ..facts
    };
    assert_eq!(outcome(&facts), Err(Reason::OutsideHours));
    let facts = Facts {
        actions: on(Condition::OutsideHours, Action::Restrict(&garden)),
        ..facts
    };
    assert_eq!(outcome(&facts).unwrap().0, Some(Reason::OutsideHours));
}

#[test]
fn a_session_ends_before_a_planned_change_of_status() {
    let (tenant, plan, subscriber) = (tenant(), plan(), active());
    let facts = Facts {
        plan: Some(&plan),
        next_status: Some(NOW + 42),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    assert!(outcome(&facts).unwrap().1.contains(&"Session-Timeout = 42".to_owned()));
}

#[test]
fn the_first_restriction_holds_and_a_refusal_goes_before_it() {
    let (tenant, garden) = (tenant(), garden());
    let other = ready(Plan {
        name: "other".to_owned(),
        ..garden.plan.clone()
    });
    let subscriber = SubscriberFacts {
        status: Status::Suspended,
        expiration_date: Some(NOW - 1),
        ..active()
    };
    let mut actions = on(Condition::Suspended, Action::Restrict(&garden));
    let facts = Facts {
        actions,
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    assert_eq!(outcome(&facts), Err(Reason::Expired));
    actions[Condition::Expired as usize] = Action::Restrict(&other);
    let facts = Facts { actions, ..facts };
    assert_eq!(outcome(&facts).unwrap().0, Some(Reason::Suspended));
}

#[test]
fn a_line_elsewhere_is_refused_or_only_noted() {
    let (tenant, subscriber) = (tenant(), active());
    let packet = Packet {
        nas_identifier: Some(b"bng9"),
        nas_port_id: Some(b"eth0.100.200"),
        calling_station_id: Some(b"AA:BB:CC:00:11:22"),
        circuit_id: Some(b"OLT1 1/1/3"),
        ..Packet::default()
    };
    let bound = |enforce| {
        move |what: &str| {
            let text = |to| Some(Bound { to, enforce });
            let mut binding = Binding::default();
            match what {
                "nas" => binding.nas = text("bng1"),
                "port" => binding.port = text("eth1"),
                "mac" => binding.mac = text("aabbcc001133"),
                "vlan" => {
                    binding.vlan = Some(Bound {
                        to: (100, None),
                        enforce,
                    })
                }
                "circuit" => binding.circuit_id = text("OLT1 1/1/4"),
                _ => binding.remote_id = text("anything"),
            }
            binding
        }
    };
    for (what, reason) in [
        ("nas", Reason::WrongNas),
        ("port", Reason::WrongPort),
        ("mac", Reason::WrongMac),
        ("vlan", Reason::WrongVlan),
        ("circuit", Reason::WrongCircuit),
        ("remote", Reason::WrongCircuit),
    ] {
        let (enforced, logged) = (bound(true)(what), bound(false)(what));
        let facts = Facts {
            packet,
            binding: &enforced,
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        assert_eq!(outcome(&facts), Err(reason), "{what}");
        let decision = decide(&Facts {
            binding: &logged,
            ..facts
        })
        .unwrap();
        assert_eq!(decision.notes.len(), 1, "{what}: {:?}", decision.notes);
        assert!(
            decision.notes[0].starts_with(reason.code()),
            "{what}: {:?}",
            decision.notes
        );
    }
    let same = Binding {
        nas: Bound::new(Some("bng9"), Enforcement::Enforce),
        port: Bound::new(Some("eth0.100.200"), Enforcement::Enforce),
        mac: Bound::new(Some("aa-bb-cc-00-11-22"), Enforcement::Enforce),
        vlan: Bound::new(Some((100, Some(200))), Enforcement::Enforce),
        circuit_id: Bound::new(Some("OLT1 1/1/3"), Enforcement::Enforce),
        remote_id: None,
    };
    let decision = decide(&Facts {
        packet,
        binding: &same,
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    });
    assert!(decision.unwrap().notes.is_empty());
    // DHCP's client identifier, as some NAS copy it.
    let decision = decide(&Facts {
        packet: Packet {
            calling_station_id: Some(b"1:aa:bb:cc:00:11:22"),
            ..packet
        },
        binding: &same,
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    });
    assert!(decision.unwrap().notes.is_empty());
}

#[test]
fn an_address_that_another_session_has_is_not_given() {
    let (tenant, subscriber) = (tenant(), active());
    let facts = Facts {
        address_holder: Some(Holder {
            address: [192, 0, 2, 7].into(),
            by: "bob",
        }),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    let refusal = decide(&facts).unwrap_err();
    assert_eq!(refusal.reason, Reason::AddressInUse);
    assert!(
        refusal.message.contains("192.0.2.7") && refusal.message.contains("bob"),
        "{refusal}"
    );
    // A restriction with a pool does not give it either.
    let suspended = SubscriberFacts {
        status: Status::Suspended,
        ..subscriber
    };
    let pooled = ready(Plan {
        ipv4_pool: Some("walled".to_owned()),
        ..garden().plan
    });
    for (garden, expected) in [
        (garden(), Err(Reason::AddressInUse)),
        (pooled, Ok(Some(Reason::Suspended))),
    ] {
        let facts = Facts {
            subscriber: &suspended,
            actions: on(Condition::Suspended, Action::Restrict(&garden)),
            ..facts
        };
        assert_eq!(outcome(&facts).map(|(restricted, _)| restricted), expected);
    }
}

#[test]
fn who_is_found_by_its_line_needs_no_password_and_all_else() {
    let (mut tenant, plan) = (tenant(), plan());
    tenant.lookup_by = LookupBy::Mac;
    let facts = |subscriber, line| Facts {
        found_by_line: line,
        plan: Some(&plan),
        packet: Packet {
            calling_station_id: Some(b"02-00-00-00-00-01"),
            ..Packet::default()
        },
        ..Facts::new(&tenant, subscriber, AuthMethod::Pap, NOW)
    };
    let none = SubscriberFacts {
        password: PasswordFact::None,
        ..active()
    };
    let unreadable = SubscriberFacts {
        password: PasswordFact::Unreadable,
        ..active()
    };
    for subscriber in [&none, &unreadable] {
        let (_, reply) = outcome(&facts(subscriber, Some("alice"))).unwrap();
        assert!(reply.contains(&"User-Name = alice".to_owned()), "{reply:?}");
        assert!(outcome(&facts(subscriber, None)).is_err(), "found by name");
    }
    let with_password = active();
    let (_, reply) = outcome(&facts(&with_password, None)).unwrap();
    assert!(!reply.iter().any(|item| item.starts_with("User-Name")), "{reply:?}");
    let suspended = SubscriberFacts {
        status: Status::Suspended,
        ..none
    };
    assert_eq!(outcome(&facts(&suspended, Some("alice"))), Err(Reason::Suspended));
    let told = explain(&facts(&none, Some("alice")));
    assert_eq!(told[1].saw, "alice found by Calling-Station-Id 02-00-00-00-00-01");
}

#[test]
fn hours_are_the_plans_unless_there_are_own() {
    let (tenant, subscriber) = (tenant(), active());
    let plan = |text: &str| {
        ready(Plan {
            login_time: Some(text.to_owned()),
            ..Plan::default()
        })
    };
    // NOW is a Tuesday, 22:13:20 UTC.
    let (open, closed, unreadable) = (plan("Any0800-2215"), plan("Any0800-2200"), plan("Xx"));
    let any = Hours::parse("Any").unwrap();
    let ends = Ok((None, vec!["Session-Timeout = 100".to_owned()]));
    for (plan, hours, expected) in [
        (&open, None, ends.clone()),
        (&closed, None, Err(Reason::OutsideHours)),
        (&closed, Some(&any), Ok((None, Vec::new()))),
        (&unreadable, None, Err(Reason::BadAttribute)),
        (&unreadable, Some(&any), Ok((None, Vec::new()))),
    ] {
        let facts = Facts {
            plan: Some(plan),
            hours,
            vendor: vendor("accel-ppp"),
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        let got = outcome(&facts).map(|(restricted, mut reply)| {
            reply.retain(|item| item.starts_with("Session"));
            (restricted, reply)
        });
        assert_eq!(got, expected, "{:?}", plan.plan.login_time);
    }
    // Neither a tier's plan nor that of a restriction says when.
    let garden = closed;
    let tier = Tier {
        effect: TierEffect::Plan(&garden),
        of_time: false,
        until: i64::MAX,
    };
    let facts = Facts {
        plan: Some(&open),
        tier: Some(tier),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    assert!(outcome(&facts).is_ok());
    let saw = |facts: &Facts<'_>| {
        let told = explain(facts);
        told.into_iter().find(|told| told.rule == "hours").unwrap().saw
    };
    assert!(saw(&facts).ends_with("by its plan's"), "{}", saw(&facts));
}

#[test]
fn what_is_locked_is_refused_before_anything_of_the_subscriber_is_told() {
    let tenant = tenant();
    let suspended = SubscriberFacts {
        status: Status::Suspended,
        ..active()
    };
    for lock in [Lock::Account { seconds: 17 }, Lock::Device { seconds: 17 }] {
        let facts = Facts {
            lock: Some(lock),
            ..Facts::new(&tenant, &suspended, AuthMethod::Pap, NOW)
        };
        let refusal = decide(&facts).unwrap_err();
        assert_eq!(refusal.reason, Reason::LockedOut);
        assert!(refusal.message.contains("17 s"), "{refusal}");
        let subscriber = active();
        let by_line = Facts {
            lock: Some(lock),
            found_by_line: Some("alice"),
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        assert!(decide(&by_line).is_ok(), "no password is guessed there");
        let told = explain(&facts);
        assert!(
            told.iter()
                .any(|told| told.rule == "lockout" && told.verdict == "refuse")
        );
    }
}

#[test]
fn reports_of_many_are_spread_and_each_keeps_its_own_interval() {
    let (mut tenant, plan, subscriber) = (tenant(), plan(), active());
    tenant.interim_jitter_percent = 10;
    let interval = |seed| {
        let facts = Facts {
            plan: Some(&plan),
            seed,
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        let (_, reply) = outcome(&facts).unwrap();
        let last = reply
            .last()
            .unwrap()
            .strip_prefix("Acct-Interim-Interval = ")
            .unwrap()
            .to_owned();
        last.parse::<u32>().unwrap()
    };
    let intervals: Vec<u32> = (0..1000).map(|n| interval(n * 2_654_435)).collect();
    assert!(intervals.iter().all(|seconds| (270..=330).contains(seconds)));
    let mut distinct = intervals.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 61, "every second of the spread is used");
    assert_eq!(interval(77), interval(77));
}

#[test]
fn every_rule_is_told_also_after_a_refusal() {
    let tenant = tenant();
    let subscriber = SubscriberFacts {
        status: Status::Suspended,
        password: PasswordFact::None,
        ..active()
    };
    let told = explain(&Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW));
    assert_eq!(told.len(), RULES.len());
    let of = |rule: &str| told.iter().find(|told| told.rule == rule).unwrap();
    assert_eq!((of("tenant").verdict, of("status").verdict), ("pass", "refuse"));
    assert_eq!(of("password").verdict, "refuse");
    assert!(of("status").why.as_deref().unwrap().contains("suspended"));
}

/// Some NAS take a time of zero for no limit at all.
#[test]
fn a_time_of_zero_is_no_limit_and_hides_none() {
    let plan = ready(Plan {
        session_timeout: Some(0),
        idle_timeout: Some(0),
        ..Plan::default()
    });
    let reply = |expiration_date| {
        let subscriber = SubscriberFacts {
            expiration_date,
            ..active()
        };
        let reply = decide_with(&subscriber, Some(&plan), AuthMethod::Pap).unwrap();
        reply
            .into_iter()
            .filter(|item| item.contains("Timeout"))
            .collect::<Vec<_>>()
    };
    assert_eq!(reply(Some(NOW + 60)), ["Session-Timeout = 60"]);
    assert!(reply(None).is_empty());
}
