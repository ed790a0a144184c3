//! What a restriction leaves of the service, on NAS that can be told of it in one way or another.

use proptest::prelude::*;

use super::rules::{garden, on, outcome, ready};
use super::*;

fn suspended() -> SubscriberFacts {
    SubscriberFacts {
        status: Status::Suspended,
        ..active()
    }
}

/// The reply of a suspended subscriber of `plan`, restricted to `garden`.
fn restricted(vendor_name: &str, plan: &PlanReply, garden: &PlanReply) -> Result<Vec<String>, Refusal> {
    let (tenant, subscriber) = (tenant(), suspended());
    let facts = Facts {
        vendor: vendor(vendor_name),
        plan: Some(plan),
        actions: on(Condition::Suspended, Action::Restrict(garden)),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    decide(&facts).map(|decision| decision.reply.iter().map(show).collect())
}

/// The reply of a subscriber of `plan` that a quota has led to the plan `tier`.
fn in_tier(vendor_name: &str, plan: &PlanReply, tier: &PlanReply) -> Vec<String> {
    let (tenant, subscriber) = (tenant(), active());
    let facts = Facts {
        vendor: vendor(vendor_name),
        plan: Some(plan),
        tier: Some(Tier {
            effect: TierEffect::Plan(tier),
            of_time: false,
            until: NOW + 1_000,
        }),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    decide(&facts).unwrap().reply.iter().map(show).collect()
}

fn rates(name: &str, download_kbps: u32, upload_kbps: u32) -> Plan {
    Plan {
        name: name.to_owned(),
        download_rate_kbps: download_kbps,
        upload_rate_kbps: upload_kbps,
        ..Plan::default()
    }
}

fn gold() -> PlanReply {
    ready(Plan {
        qos_profile_upload: Some("GOLD-UP".to_owned()),
        qos_profile_download: Some("GOLD-DOWN".to_owned()),
        ..rates("gold", 100_000, 20_000)
    })
}

#[test]
fn of_several_restrictions_the_lowest_of_each_holds() {
    let (tenant, plan) = (tenant(), plan());
    let garden = garden();
    let slower = ready(Plan {
        session_timeout: Some(60),
        idle_timeout: Some(30),
        ..rates("slower", 64, 512)
    });
    let subscriber = SubscriberFacts {
        expiration_date: Some(NOW - 1),
        ..suspended()
    };
    let mut actions = on(Condition::Suspended, Action::Restrict(&garden));
    actions[Condition::Expired as usize] = Action::Restrict(&slower);
    let facts = Facts {
        vendor: vendor("mikrotik"),
        plan: Some(&plan),
        actions,
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    let (why, reply) = outcome(&facts).unwrap();
    assert_eq!(why, Some(Reason::Suspended));
    for expected in [
        "Mikrotik-Rate-Limit = 128k/64k",
        "Session-Timeout = 60",
        "Idle-Timeout = 30",
    ] {
        assert!(reply.contains(&expected.to_owned()), "{expected}: {reply:?}");
    }
}

#[test]
fn a_restriction_goes_no_sooner_than_the_plan() {
    let first = |name: &str, priority| {
        ready(Plan {
            priority,
            ..rates(name, 1_000, 1_000)
        })
    };
    for (own, of_garden, expected) in [
        (Some(5), Some(1), "1000k/1000k 1000k/1000k 1000k/1000k 1/1 5"),
        (Some(5), Some(7), "1000k/1000k 1000k/1000k 1000k/1000k 1/1 7"),
        (None, Some(1), "1000k/1000k"),
    ] {
        let reply = restricted("mikrotik", &first("own", own), &first("garden", of_garden)).unwrap();
        let expected = format!("Mikrotik-Rate-Limit = {expected}");
        assert!(reply.contains(&expected), "{own:?} {of_garden:?}: {reply:?}");
    }
}

/// A NAS that knows limits by name alone would have none where nothing is named.
#[test]
fn where_a_name_is_the_only_limit_it_stays() {
    let slow = ready(rates("slow", 1_000, 500));
    for (name, expected) in [
        (
            "cisco",
            &[
                "Cisco-AVPair = ip:sub-qos-policy-in=GOLD-UP",
                "Cisco-AVPair = ip:sub-qos-policy-out=GOLD-DOWN",
            ][..],
        ),
        (
            "juniper-e",
            &["ERX-Ingress-Policy-Name = GOLD-UP", "ERX-Qos-Profile-Name = GOLD-DOWN"],
        ),
        // The rate of the download is said, that of the upload is not.
        (
            "juniper",
            &[
                "ERX-Service-Activate:2 = GOLD-UP",
                "ERX-CoS-Shaping-Pmt-Type = T02 1000000",
            ],
        ),
    ] {
        let reply = in_tier(name, &gold(), &slow);
        for expected in expected {
            assert!(reply.contains(&(*expected).to_owned()), "{name} {expected}: {reply:?}");
        }
        let names = reply.iter().filter(|item| item.contains("GOLD")).count();
        assert_eq!(
            names,
            expected.iter().filter(|item| item.contains("GOLD")).count(),
            "{reply:?}"
        );
    }
    let reply = in_tier("huawei", &gold(), &slow);
    assert!(
        !reply.iter().any(|item| item.contains("GOLD")),
        "its rates say it: {reply:?}"
    );
    let pooled = ready(Plan {
        ipv4_pool: Some("garden".to_owned()),
        ..slow.plan.clone()
    });
    let reply = restricted("cisco", &gold(), &pooled).unwrap();
    assert!(
        reply.contains(&"Cisco-AVPair = ip:sub-qos-policy-out=GOLD-DOWN".to_owned()),
        "{reply:?}"
    );
}

#[test]
fn a_restriction_that_a_nas_cannot_be_told_refuses() {
    let slow = ready(rates("slow", 1_000, 500));
    for name in ["cisco", "generic", "juniper-e"] {
        let refusal = restricted(name, &gold(), &slow).unwrap_err();
        assert_eq!(refusal.reason, Reason::Suspended);
        let expected =
            format!("plan slow cannot restrict it there, since nothing of the plan is said to a NAS of vendor {name}");
        assert!(refusal.message.contains(&expected), "{refusal}");
    }
    let filtered = ready(Plan {
        filter_id: Some("garden".to_owned()),
        ..slow.plan
    });
    assert!(restricted("generic", &gold(), &filtered).is_ok());
}

#[test]
fn a_garden_of_ipv4_gives_no_ipv6() {
    let (tenant, plan) = (
        tenant(),
        ready(Plan {
            ipv6_pool: Some("v6".to_owned()),
            delegated_ipv6_pool: Some("pd".to_owned()),
            ..rates("own", 1_000, 1_000)
        }),
    );
    let subscriber = SubscriberFacts {
        static_ipv4: Some(Ipv4Addr::new(192, 0, 2, 7)),
        static_ipv6: "2001:db8::7".parse().ok(),
        ipv6_prefix: "2001:db8:7::/64".parse().ok(),
        delegated_ipv6_prefix: "2001:db8:700::/56".parse().ok(),
        ..suspended()
    };
    let base = rates("garden", 256, 128);
    let name = |name: &str| Some(name.to_owned());
    for (garden, ipv4, ipv6) in [
        (
            Plan {
                address_list: name("walled"),
                ..base.clone()
            },
            true,
            false,
        ),
        (
            Plan {
                redirect_url: name("http://portal.example.net"),
                ..base.clone()
            },
            true,
            false,
        ),
        (
            Plan {
                ipv4_pool: name("walled"),
                ..base.clone()
            },
            false,
            false,
        ),
        (
            Plan {
                ipv4_pool: name("walled"),
                ipv6_pool: name("walled6"),
                ..base.clone()
            },
            false,
            false,
        ),
        (
            Plan {
                delegated_ipv6_pool: name("walled-pd"),
                ..base.clone()
            },
            true,
            false,
        ),
        (
            Plan {
                filter_id: name("walled"),
                ..base.clone()
            },
            true,
            false,
        ),
        // Slower, and the same otherwise.
        (base.clone(), true, true),
    ] {
        let garden = ready(garden);
        let facts = Facts {
            vendor: vendor("mikrotik"),
            plan: Some(&plan),
            actions: on(Condition::Suspended, Action::Restrict(&garden)),
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        let decision = decide(&facts).unwrap();
        let reply: Vec<String> = decision.reply.iter().map(show).collect();
        let gives = |name: &str| reply.iter().any(|item| item.starts_with(name));
        assert_eq!(gives("Framed-IP-Address"), ipv4, "{reply:?}");
        assert_eq!(
            (gives("Framed-IPv6-Prefix"), gives("Framed-IPv6-Address")),
            (ipv6, ipv6),
            "{reply:?}"
        );
        assert_eq!(gives("Delegated-IPv6-Prefix ="), ipv6, "{reply:?}");
        assert_eq!(decision.withheld.ipv4, !ipv4);
        assert_eq!((decision.withheld.ipv6, decision.withheld.routes), (!ipv6, !ipv6));
        let pools: Vec<_> = reply.iter().filter(|item| item.contains("-Pool")).collect();
        let plan = &garden.plan;
        let own = [&plan.ipv4_pool, &plan.ipv6_pool, &plan.delegated_ipv6_pool]
            .into_iter()
            .flatten()
            .count();
        assert_eq!(pools.len(), own, "no pool but the garden's: {reply:?}");
    }
}

/// Wherever it stands: what another source says of the time holds.
#[test]
fn a_time_of_zero_hides_no_other() {
    let plan = compiled(Plan {
        session_timeout: Some(3_600),
        idle_timeout: Some(900),
        acct_interim_interval: Some(300),
        ..Plan::default()
    });
    let nothing = Plan {
        session_timeout: Some(0),
        idle_timeout: Some(0),
        acct_interim_interval: Some(0),
        ..Plan::default()
    };
    let times = |subscriber: &SubscriberFacts, tier: Option<&PlanReply>, plan: &PlanReply| {
        let tenant = tenant();
        let facts = Facts {
            vendor: vendor("generic"),
            plan: Some(plan),
            tier: tier.map(|plan| Tier {
                effect: TierEffect::Plan(plan),
                of_time: false,
                until: NOW + 86_400,
            }),
            ..Facts::new(&tenant, subscriber, AuthMethod::Pap, NOW)
        };
        let reply: Vec<String> = decide(&facts).unwrap().reply.iter().map(show).collect();
        reply
    };
    let own = SubscriberFacts {
        session_timeout: Some(0),
        idle_timeout: Some(0),
        ..active()
    };
    let all = [
        "Session-Timeout = 3600",
        "Idle-Timeout = 900",
        "Acct-Interim-Interval = 300",
    ];
    assert_eq!(times(&own, None, &plan), all);
    let tier = compiled(nothing.clone());
    let under = times(&own, Some(&tier), &plan);
    assert!(
        all[1..].iter().all(|time| under.contains(&(*time).to_owned())),
        "{under:?}"
    );
    assert_eq!(times(&own, None, &compiled(nothing)), Vec::<String>::new());
}

/// Whatever else restricts: its rates are no walls.
#[test]
fn no_restriction_takes_down_the_walls_of_another() {
    let (tenant, plan) = (tenant(), plan());
    let slower = ready(rates("slower", 64, 64));
    let walled = ready(Plan {
        address_list: Some("walled".to_owned()),
        ..rates("garden", 256, 128)
    });
    let subscriber = SubscriberFacts {
        expiration_date: Some(NOW - 1),
        ..suspended()
    };
    let reply = |vendor_name: &str, suspended, expired| {
        let mut actions = on(Condition::Suspended, Action::Restrict(suspended));
        actions[Condition::Expired as usize] = Action::Restrict(expired);
        let facts = Facts {
            vendor: vendor(vendor_name),
            plan: Some(&plan),
            actions,
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        decide(&facts).map(|decision| decision.reply.iter().map(show).collect::<Vec<_>>())
    };
    for (first, second) in [(&slower, &walled), (&walled, &slower)] {
        let reply = reply("mikrotik", first, second).unwrap();
        for expected in ["Mikrotik-Rate-Limit = 64k/64k", "Mikrotik-Address-List = walled"] {
            assert!(reply.contains(&expected.to_owned()), "{expected}: {reply:?}");
        }
    }
    // Each of them must be one that the NAS hears of.
    let pooled = ready(Plan {
        ipv4_pool: Some("garden".to_owned()),
        ..rates("pooled", 256, 128)
    });
    for (first, second) in [(&pooled, &slower), (&slower, &pooled)] {
        let refusal = reply("cisco", first, second).unwrap_err();
        assert!(
            refusal.message.contains("plan slower cannot restrict it there"),
            "{refusal}"
        );
    }
}

/// A rate that is said leaves the whole network open.
#[test]
fn a_garden_without_a_word_for_its_walls_refuses() {
    let listed = ready(Plan {
        address_list: Some("walled".to_owned()),
        ..rates("garden", 256, 128)
    });
    for name in ["huawei", "zte", "h3c", "juniper", "nokia-sr", "wispr", "accel-ppp"] {
        let refusal = restricted(name, &gold(), &listed).unwrap_err();
        assert_eq!(refusal.reason, Reason::Suspended);
        let expected = "none of its pools, lists, filters and portals is said";
        assert!(refusal.message.contains(expected), "{name}: {refusal}");
    }
    assert!(restricted("mikrotik", &gold(), &listed).is_ok());
}

fn kbps() -> impl Strategy<Value = Option<u32>> {
    prop::option::of(1..2_000_000_u32)
}

fn seconds() -> impl Strategy<Value = Option<u32>> {
    prop::option::of(60..100_000_u32)
}

prop_compose! {
    fn any_plan()(down in 1..2_000_000_u32, up in 1..2_000_000_u32, burst in kbps(), timeout in seconds(),
        idle in seconds()) -> PlanReply
    {
        ready(Plan {
            download_rate_kbps: down,
            upload_rate_kbps: up,
            download_burst_kbps: burst,
            session_timeout: timeout,
            idle_timeout: idle,
            ..Plan::default()
        })
    }
}

/// `upload`, `download` of Mikrotik-Rate-Limit: what it lets through for any time, and at most, bursts included.
fn most(reply: &[String]) -> Option<[u64; 4]> {
    let limit = reply
        .iter()
        .find_map(|item| item.strip_prefix("Mikrotik-Rate-Limit = "))?;
    let mut best = (0, 0);
    let mut lasting = None;
    for pair in limit.split(' ').filter(|pair| pair.contains('/')) {
        let (up, down) = pair.split_once('/').unwrap();
        let kbps = |text: &str| match text.trim_end_matches('k').parse::<u64>().unwrap() {
            0 => u64::MAX,
            kbps => kbps,
        };
        let pair = (kbps(up), kbps(down));
        lasting.get_or_insert(pair);
        best = (best.0.max(pair.0), best.1.max(pair.1));
    }
    let lasting = lasting?;
    Some([lasting.0, lasting.1, best.0, best.1])
}

fn value(reply: &[String], name: &str) -> u64 {
    let item = reply
        .iter()
        .find_map(|item| item.strip_prefix(name)?.strip_prefix(" = "));
    item.map_or(u64::MAX, |seconds| seconds.parse().unwrap())
}

proptest! {
    /// Whatever the plans, the subscriber's own values and the tier: a restriction never gives more than there was.
    #[test]
    fn restricted_is_never_more_than_active(
        plan in any_plan(), tier in prop::option::of(any_plan()), garden in any_plan(),
        download_kbps in kbps(), upload_kbps in kbps(), session_timeout in seconds(), idle_timeout in seconds(),
    ) {
        let tenant = tenant();
        let subscriber = SubscriberFacts { download_kbps, upload_kbps, session_timeout, idle_timeout, ..active() };
        let facts = Facts {
            vendor: vendor("mikrotik"),
            plan: Some(&plan),
            tier: tier.as_ref().map(|tier| Tier { effect: TierEffect::Plan(tier), of_time: false, until: NOW + 60 }),
            ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
        };
        let (_, full) = outcome(&facts).unwrap();
        let suspended = SubscriberFacts { status: Status::Suspended, ..subscriber };
        let facts = Facts {
            subscriber: &suspended,
            actions: on(Condition::Suspended, Action::Restrict(&garden)),
            ..facts
        };
        let (_, walled) = outcome(&facts).unwrap();
        let (full_rate, walled_rate) = (most(&full).unwrap(), most(&walled).unwrap());
        let no_more = walled_rate.iter().zip(full_rate).all(|(walled, full)| *walled <= full);
        prop_assert!(no_more, "{full:?} {walled:?}");
        for name in ["Session-Timeout", "Idle-Timeout"] {
            prop_assert!(value(&walled, name) <= value(&full, name), "{name}: {full:?} {walled:?}");
        }
        prop_assert_eq!(outcome(&facts), outcome(&facts), "the same facts, the same decision");
    }
}
