//! What a login gets of its plan.

use proptest::prelude::*;

use super::*;
use crate::policy::SubscriberFacts;

fn written(vendor: &str, first: Option<&Plan>, plan: Option<&Plan>, subscriber: &SubscriberFacts) -> Vec<String> {
    let set = shipped();
    let compile = |plan: Option<&Plan>| plan.map(|plan| PlanReply::new(plan.clone(), &set));
    let (first, plan) = (compile(first), compile(plan));
    let mut reply = Vec::new();
    write(
        set.get(vendor).unwrap(),
        first.as_ref(),
        plan.as_ref(),
        subscriber,
        &mut reply,
    )
    .unwrap();
    lines(&reply)
}

#[test]
fn own_rates_go_before_the_plans_and_bursts_go_with_those() {
    let own = SubscriberFacts {
        download_kbps: Some(50_000),
        ..SubscriberFacts::default()
    };
    let line = |expected: &str| vec![expected.to_owned()];
    let plan = rates_alone();
    assert_eq!(
        written("mikrotik", None, Some(&plan), &own),
        line("Mikrotik-Rate-Limit = 20000k/50000k")
    );
    assert_eq!(
        written("mikrotik", None, None, &own),
        line("Mikrotik-Rate-Limit = 0k/50000k")
    );
    assert_eq!(
        written("wispr", None, None, &own),
        line("WISPr-Bandwidth-Max-Down = 50000000")
    );
    let shown = written("mikrotik", None, Some(&full()), &own);
    // The priority is the plan's whatever the rates are.
    assert_eq!(
        shown[3],
        "Mikrotik-Rate-Limit = 20000k/50000k 20000k/50000k 20000k/50000k 1/1 5"
    );
    assert_eq!(shown[4], "Mikrotik-Address-List = paying");
    assert_eq!(
        written("mikrotik", Some(&plan), None, &own),
        line("Mikrotik-Rate-Limit = 20000k/100000k")
    );
}

#[test]
fn there_is_no_pool_beside_a_static_address() {
    let subscriber = SubscriberFacts {
        static_ipv4: Some([192, 0, 2, 1].into()),
        delegated_ipv6_prefix: Some("2001:db8::/56".parse().unwrap()),
        ..SubscriberFacts::default()
    };
    assert_eq!(
        written("generic", None, Some(&full()), &subscriber),
        ["Filter-Id = customers", "Framed-IPv6-Pool = v6"]
    );
    let prefix = SubscriberFacts {
        ipv6_prefix: Some("2001:db8::/64".parse().unwrap()),
        ..SubscriberFacts::default()
    };
    assert_eq!(
        written("generic", None, Some(&full()), &prefix),
        [
            "Filter-Id = customers",
            "Framed-Pool = v4",
            "Delegated-IPv6-Prefix-Pool = pd"
        ]
    );
}

#[test]
fn a_plan_that_goes_first_leaves_the_names_it_does_not_say() {
    let slow = Plan {
        name: "slow".to_owned(),
        download_rate_kbps: 512,
        upload_rate_kbps: 64,
        address_list: Some("slow".to_owned()),
        ..Plan::default()
    };
    assert_eq!(
        written("mikrotik", Some(&slow), Some(&full()), &SubscriberFacts::default()),
        [
            "Filter-Id = customers",
            "Framed-Pool = v4",
            "Framed-IPv6-Pool = v6",
            "Mikrotik-Rate-Limit = 64k/512k",
            "Mikrotik-Address-List = slow",
            "Mikrotik-Delegated-IPv6-Pool = pd",
            "WISPr-Redirection-URL = http://pay.example/",
        ]
    );
}

proptest! {
    /// What was made when the plan was loaded is what the templates would give now.
    #[test]
    fn ready_or_not_the_reply_is_the_same(
        rates in (1_u32..=u32::MAX, 1_u32..=u32::MAX),
        burst in proptest::option::of((1_u32..=u32::MAX, 1_u32..=86_400)),
        priority in proptest::option::of(1_u8..=8),
        names in proptest::option::of("[a-z]{1,20}"),
    ) {
        let set = shipped();
        let plan = Plan {
            name: "p".to_owned(),
            upload_rate_kbps: rates.0,
            download_rate_kbps: rates.1,
            upload_burst_kbps: burst.map(|burst| burst.0),
            upload_burst_seconds: burst.map(|burst| burst.1),
            priority,
            ipv4_pool: names.clone(),
            filter_id: names,
            ..Plan::default()
        };
        let ready = PlanReply::new(plan.clone(), &set);
        for vendor in set.vendors() {
            let mut reply = Vec::new();
            write(vendor, None, Some(&ready), &SubscriberFacts::default(), &mut reply).unwrap();
            prop_assert_eq!(reply, vendor.reply(&Terms::from(&plan)).unwrap());
        }
    }
}
