#![allow(clippy::unwrap_used)]

mod restrictions;
mod rules;

use std::sync::LazyLock;

use super::vendor::VendorSet;
use super::*;
use crate::plan::Plan;
use crate::tenant::{LookupBy, UsernameCase, UsernameRealm};

const NOW: i64 = 1_700_000_000;

static VENDORS: LazyLock<VendorSet> = LazyLock::new(|| VendorSet::shipped().unwrap());

fn vendor(name: &str) -> &'static Vendor {
    VENDORS.get(name).unwrap()
}

fn compiled(plan: Plan) -> PlanReply {
    PlanReply::new(plan, &VENDORS)
}

fn tenant() -> Tenant {
    Tenant {
        id: "t".into(),
        name: "Example".into(),
        enabled: true,
        username_case: UsernameCase::Preserve,
        username_realm: UsernameRealm::Keep,
        timezone: "UTC".to_owned(),
        interim_jitter_percent: 0,
        lookup_by: LookupBy::Username,
    }
}

fn active() -> SubscriberFacts {
    SubscriberFacts {
        status: Status::Active,
        password: PasswordFact::Stored(Scheme::Cleartext),
        ..SubscriberFacts::default()
    }
}

fn plan() -> PlanReply {
    compiled(Plan {
        download_rate_kbps: 100_000,
        upload_rate_kbps: 20_000,
        session_timeout: Some(86_400),
        idle_timeout: Some(900),
        acct_interim_interval: Some(300),
        ..Plan::default()
    })
}

fn decide_with(
    subscriber: &SubscriberFacts,
    plan: Option<&PlanReply>,
    method: AuthMethod,
) -> Result<Vec<String>, Reason> {
    let tenant = tenant();
    let facts = Facts {
        vendor: vendor("mikrotik"),
        plan,
        ..Facts::new(&tenant, subscriber, method, NOW)
    };
    decide(&facts)
        .map_err(|r| r.reason)
        .map(|decision| decision.reply.iter().map(show).collect())
}

fn show(item: &ReplyItem<'_>) -> String {
    let value = &item.value;
    match item.tag {
        0 => format!("{} = {value}", item.attribute.name()),
        tag => format!("{}:{tag} = {value}", item.attribute.name()),
    }
}

#[test]
fn only_the_active_status_is_let_in() {
    for status in Status::ALL {
        let got = decide_with(&SubscriberFacts { status, ..active() }, None, AuthMethod::Pap).map(|_| ());
        match status {
            Status::Active => assert_eq!(got, Ok(())),
            other => assert_eq!(got.unwrap_err().code(), other.as_str()),
        }
    }
}

#[test]
fn the_reply_is_complete_and_in_order() {
    let subscriber = SubscriberFacts {
        static_ipv4: Some("192.0.2.7".parse().unwrap()),
        static_ipv6: Some("2001:db8::7".parse().unwrap()),
        ipv6_prefix: Some("2001:db8:1::/64".parse().unwrap()),
        delegated_ipv6_prefix: Some("2001:db8:100::/56".parse().unwrap()),
        vlan_id: Some(100),
        inner_vlan_id: Some(42),
        ..active()
    };
    assert_eq!(
        decide_with(&subscriber, Some(&plan()), AuthMethod::Chap).unwrap(),
        [
            "Mikrotik-Rate-Limit = 20000k/100000k",
            "Framed-IP-Address = 192.0.2.7",
            "Framed-IPv6-Address = 2001:db8::7",
            "Framed-IPv6-Prefix = 2001:db8:1::/64",
            "Delegated-IPv6-Prefix = 2001:db8:100::/56",
            "Session-Timeout = 86400",
            "Idle-Timeout = 900",
            "Acct-Interim-Interval = 300",
            "Tunnel-Type:1 = 13",
            "Tunnel-Medium-Type:1 = 6",
            "Tunnel-Private-Group-Id:1 = 100",
            "Tunnel-Type:2 = 13",
            "Tunnel-Medium-Type:2 = 6",
            "Tunnel-Private-Group-Id:2 = 42",
        ]
    );
}

#[test]
fn a_single_vlan_is_untagged() {
    let items = decide_with(
        &SubscriberFacts {
            vlan_id: Some(100),
            ..active()
        },
        None,
        AuthMethod::Pap,
    )
    .unwrap();
    assert_eq!(
        items,
        [
            "Tunnel-Type = 13",
            "Tunnel-Medium-Type = 6",
            "Tunnel-Private-Group-Id = 100"
        ]
    );
}

#[test]
fn rates_are_upload_then_download_and_bursts_follow_their_rates() {
    let bursting = compiled(Plan {
        download_rate_kbps: 100_000,
        upload_rate_kbps: 20_000,
        download_burst_kbps: Some(150_000),
        ..Plan::default()
    });
    let rate = |subscriber: &SubscriberFacts| {
        decide_with(subscriber, Some(&bursting), AuthMethod::Pap)
            .unwrap()
            .remove(0)
    };
    assert_eq!(rate(&active()), "Mikrotik-Rate-Limit = 20000k/100000k 20000k/150000k");
    assert_eq!(
        rate(&SubscriberFacts {
            download_kbps: Some(50_000),
            ..active()
        }),
        "Mikrotik-Rate-Limit = 20000k/50000k"
    );
}

#[test]
fn another_vendor_gets_no_mikrotik_attribute() {
    let (tenant, plan, subscriber) = (tenant(), plan(), active());
    let facts = Facts {
        vendor: vendor("cisco"),
        plan: Some(&plan),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    let items = decide(&facts).unwrap().reply;
    assert!(items.iter().all(|item| item.attribute.name() != "Mikrotik-Rate-Limit"));
}

#[test]
fn dates_bound_the_service() {
    let at = |activation_date, expiration_date| {
        let subscriber = SubscriberFacts {
            activation_date,
            expiration_date,
            ..active()
        };
        decide_with(&subscriber, Some(&plan()), AuthMethod::Pap)
    };
    assert_eq!(at(Some(NOW + 1), None), Err(Reason::NotYetActive));
    assert!(at(Some(NOW), None).is_ok());
    assert_eq!(at(None, Some(NOW)), Err(Reason::Expired));
    assert!(
        at(None, Some(NOW + 60))
            .unwrap()
            .contains(&"Session-Timeout = 60".to_owned())
    );
    assert!(
        at(None, Some(NOW + 1_000_000))
            .unwrap()
            .contains(&"Session-Timeout = 86400".to_owned())
    );
}

/// The subscriber has rates and limits of its own, and is in this tier.
fn decide_in_tier(tier: Tier<'_>) -> Result<Vec<String>, Refusal> {
    let (tenant, plan) = (tenant(), plan());
    let subscriber = SubscriberFacts {
        download_kbps: Some(50_000),
        session_timeout: Some(7_200),
        idle_timeout: Some(600),
        ..active()
    };
    let facts = Facts {
        vendor: vendor("mikrotik"),
        plan: Some(&plan),
        tier: Some(tier),
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    decide(&facts).map(|decision| decision.reply.iter().map(show).collect())
}

#[test]
fn the_plan_of_a_tier_goes_first_and_leaves_the_rest() {
    let slow = compiled(Plan {
        download_rate_kbps: 512,
        upload_rate_kbps: 64,
        idle_timeout: Some(60),
        ..Plan::default()
    });
    let tier = Tier {
        effect: TierEffect::Plan(&slow),
        of_time: false,
        until: NOW + 600,
    };
    let own = [
        "Mikrotik-Rate-Limit = 20000k/50000k",
        "Session-Timeout = 7200",
        "Idle-Timeout = 600",
        "Acct-Interim-Interval = 300",
    ];
    let slowed = ["Mikrotik-Rate-Limit = 64k/512k", own[1], "Idle-Timeout = 60", own[3]];
    assert_eq!(decide_in_tier(tier).unwrap(), slowed);
    let of_time = Tier { of_time: true, ..tier };
    assert_eq!(decide_in_tier(of_time).unwrap()[1], "Session-Timeout = 600");
    let over = Tier { until: NOW, ..of_time };
    assert_eq!(
        decide_in_tier(over).unwrap(),
        own,
        "over, whether or not anybody noted it"
    );
}

#[test]
fn a_tier_may_refuse_until_it_ends() {
    let tier = Tier {
        effect: TierEffect::Refuse,
        of_time: false,
        until: NOW + 1,
    };
    let refusal = decide_in_tier(tier).unwrap_err();
    assert_eq!(refusal.reason, Reason::QuotaExhausted);
    assert!(refusal.message.contains("2023-11-14T22:13:21Z"), "{refusal}");
    assert!(decide_in_tier(Tier { until: NOW, ..tier }).is_ok());
}

#[test]
fn a_disabled_tenant_refuses_all() {
    let (tenant, subscriber) = (
        Tenant {
            enabled: false,
            ..tenant()
        },
        active(),
    );
    let facts = Facts {
        ..Facts::new(&tenant, &subscriber, AuthMethod::Pap, NOW)
    };
    assert_eq!(decide(&facts).unwrap_err().reason, Reason::TenantDisabled);
}

#[test]
fn a_method_the_stored_form_cannot_serve_is_refused_naming_both() {
    let tenant = tenant();
    let subscriber = SubscriberFacts {
        password: PasswordFact::Stored(Scheme::Bcrypt),
        ..active()
    };
    let facts = Facts {
        ..Facts::new(&tenant, &subscriber, AuthMethod::MsChap, NOW)
    };
    let refusal = decide(&facts).unwrap_err();
    assert_eq!(refusal.reason, Reason::MethodUnsupported);
    assert!(
        refusal.message.contains("MS-CHAP") && refusal.message.contains("bcrypt"),
        "{refusal}"
    );
}

#[test]
fn without_a_password_only_check_rows_may_bring_one() {
    let bare = SubscriberFacts {
        password: PasswordFact::None,
        ..active()
    };
    assert_eq!(decide_with(&bare, None, AuthMethod::Pap), Err(Reason::NoPassword));
    assert!(
        decide_with(
            &SubscriberFacts {
                has_checks: true,
                ..bare
            },
            None,
            AuthMethod::Pap
        )
        .is_ok()
    );
}

#[test]
fn a_password_in_no_known_form_is_not_taken_for_none() {
    let damaged = SubscriberFacts {
        password: PasswordFact::Unreadable,
        ..active()
    };
    assert_eq!(
        decide_with(&damaged, None, AuthMethod::Pap),
        Err(Reason::PasswordUnreadable)
    );
}

#[test]
fn every_reason_has_a_code_of_its_own() {
    for reason in Reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), Some(reason));
    }
}
