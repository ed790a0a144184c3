//! Quotas of plans, top-ups, and what is shown of them.

use serde_json::{Value, json};

use crate::lab::{Kind, Lab, keys};

crate::on_both_databases!(
    quotas_of_plans,
    top_ups_and_the_tier_of_a_subscriber,
    a_top_up_finds_its_quota
);

fn plans(lab: &Lab) {
    lab.set_up();
    for (name, rate) in [("fibre", "100M"), ("slow", "512k")] {
        lab.ctl(&["plan", "add", name, "--download", rate, "--upload", rate])
            .ok();
    }
    lab.ctl(&[
        "subscriber",
        "add",
        "alice",
        "--plan",
        "fibre",
        "--status",
        "active",
        "--billing-day",
        "31",
    ])
    .ok();
}

/// Alice has used this much today.
fn used(lab: &Lab, octets: u64) {
    let today = match lab.kind() {
        Kind::Sqlite => "date('now')",
        Kind::Postgres => "(now() AT TIME ZONE 'UTC')::date",
    };
    lab.execute("DELETE FROM usage_daily");
    lab.execute(&format!(
        "INSERT INTO usage_daily (subscriber_id, day, tenant_id, upload_octets, download_octets, seconds)
         SELECT id, {today}, tenant_id, 0, {octets}, 7200 FROM subscribers"
    ));
}

fn add<'a>(metric: &'a str, period: &'a str, tier: &'a str) -> Vec<&'a str> {
    vec![
        "plan", "quota", "add", "fibre", "--metric", metric, "--period", period, "--tier", tier,
    ]
}

fn shown(lab: &Lab) -> Value {
    lab.ctl(&["subscriber", "show", "alice", "--json"]).json()
}

fn quotas_of_plans(lab: &Lab) {
    plans(lab);
    let mut monthly = add("total", "month", "600Gi=refuse");
    monthly.extend(["--tier", "500G=slow", "--id", "q-1", "--json"]);
    let made = lab.ctl(&monthly).json();
    let expected = json!({"id": "q-1", "metric": "total", "period": "month", "period_hours": null, "tiers": [
        {"threshold": 500_000_000_000_u64, "tier": "slow"}, {"threshold": 644_245_094_400_u64, "tier": "refuse"}]});
    assert_eq!(made, expected);
    let mut twice = add("upload", "week", "1G=slow");
    twice.extend(["--tier", "1000M=refuse"]);
    let error = lab.ctl(&twice).fails(4);
    assert!(error.contains("the threshold of a tier is taken already"), "{error}");
    let mut rolling = add("time", "rolling", "10h=slow");
    assert!(lab.ctl(&rolling).fails(2).contains("--length"));
    rolling.extend(["--length", "30d", "--id", "q-2"]);
    assert!(lab.ctl(&rolling).ok().contains("720"));

    let list = lab.ctl(&["plan", "quota", "list", "fibre", "--json"]).json();
    assert_eq!(list[1], expected);
    assert_eq!(
        (&list[0]["period_hours"], &list[0]["tiers"][0]["threshold"]),
        (&json!(720), &json!(36_000))
    );
    let table = lab.ctl(&["plan", "quota", "list", "fibre"]).ok();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["ID", "METRIC", "PERIOD", "PERIOD_HOURS", "THRESHOLD", "TIER"]
    );
    assert_eq!(lines[2], ["q-1", "total", "month", "500000000000", "slow"]);

    assert!(
        lab.ctl(&add("total", "month", "1G=slow"))
            .fails(4)
            .contains("metric and period")
    );
    assert!(lab.ctl(&add("upload", "day", "1G=none")).fails(3).contains("none"));
    for bad in [
        add("octets", "day", "1G=slow"),
        add("total", "year", "1G=slow"),
        add("total", "day", "1G"),
        add("total", "day", "10h=slow"),
        add("time", "day", "0=slow"),
    ] {
        lab.ctl(&bad).fails(2);
    }
    let error = lab.ctl(&["plan", "delete", "slow"]).fails(4);
    assert!(error.contains("tiers of quotas"), "{error}");

    let delete = ["plan", "quota", "delete", "fibre", "q-1"];
    assert!(
        lab.ctl(&[&delete[..], &["--dry-run"]].concat())
            .err
            .contains("would delete")
    );
    lab.ctl(&delete).ok();
    assert!(lab.ctl(&delete).fails(3).contains("q-1"));
    lab.ctl(&["plan", "quota", "delete", "slow", "q-2"]).fails(3);
}

fn top_ups_and_the_tier_of_a_subscriber(lab: &Lab) {
    plans(lab);
    let before = shown(lab);
    assert_eq!(
        (&before["tier"], &before["quotas"], &before["billing_day"]),
        (&Value::Null, &json!([]), &json!(31))
    );
    used(lab, 6_000_000_000);
    lab.ctl(&add("total", "month", "5G=slow")).ok();
    let slowed = shown(lab);
    assert_eq!(slowed["tier"], "slow");
    assert!(slowed["tier_until"].as_i64() > slowed["tier_since"].as_i64());
    let quota = &slowed["quotas"][0];
    assert_eq!(
        keys(quota),
        [
            "metric",
            "period",
            "used",
            "topped_up",
            "limit",
            "left",
            "from",
            "until",
            "tier"
        ]
    );
    assert_eq!(
        (&quota["used"], &quota["left"]),
        (&json!(6_000_000_000_u64), &Value::Null)
    );
    assert_eq!(quota["until"], slowed["tier_until"]);

    let add = [
        "subscriber",
        "topup",
        "add",
        "alice",
        "10G",
        "--note",
        "paid in cash",
        "--json",
    ];
    let topup = lab.ctl(&add).json();
    for (field, value) in [
        ("metric", json!("total")),
        ("period", json!("month")),
        ("amount", json!(10_000_000_000_u64)),
        ("note", json!("paid in cash")),
        ("created_by", json!("tester")),
        ("valid_until", quota["until"].clone()),
    ] {
        assert_eq!(topup[field], value, "{field}");
    }
    let back = shown(lab);
    assert_eq!(back["tier"], Value::Null);
    assert_eq!(
        (&back["quotas"][0]["left"], &back["quotas"][0]["limit"]),
        (&json!(9_000_000_000_u64), &json!(15_000_000_000_u64))
    );
    let text = lab.ctl(&["subscriber", "show", "alice"]).ok();
    assert!(text.contains("9000000000") && text.contains("LEFT"), "{text}");

    let list = lab.ctl(&["subscriber", "topup", "list", "alice", "--json"]).json();
    assert_eq!(list, json!([topup]));
    assert!(
        lab.ctl(&["subscriber", "topup", "list", "alice"])
            .ok()
            .contains("paid in cash")
    );
    let delete = ["subscriber", "topup", "delete", "alice", topup["id"].as_str().unwrap()];
    assert!(
        lab.ctl(&[&delete[..], &["--dry-run"]].concat())
            .err
            .contains("would delete")
    );
    assert_eq!(shown(lab)["tier"], Value::Null);
    lab.ctl(&delete).ok();
    assert_eq!(shown(lab)["tier"], "slow");
    lab.ctl(&delete).fails(3);
}

fn a_top_up_finds_its_quota(lab: &Lab) {
    plans(lab);
    let topup = |more: &[&str]| lab.ctl(&[&["subscriber", "topup", "add", "alice", "5G", "--json"], more].concat());
    assert!(topup(&[]).fails(4).contains("no such quota"));
    lab.ctl(&add("total", "billing_day", "5G=slow")).ok();
    lab.ctl(&add("time", "day", "5h=refuse")).ok();
    assert!(topup(&[]).fails(2).contains("--metric"));
    assert_eq!(topup(&["--metric", "total"]).json()["period"], "billing_day");
    topup(&["--metric", "time"]).fails(2);
    topup(&["--metric", "total", "--until", "2020-01-01"]).fails(2);
    topup(&["--metric", "total", "--period", "week"]).fails(4);
    let later = topup(&[
        "--period",
        "billing_day",
        "--from",
        "2030-01-01",
        "--until",
        "2030-02-01",
    ])
    .json();
    assert_eq!(
        (&later["valid_from"], &later["valid_until"]),
        (&json!(1_893_456_000), &json!(1_896_134_400))
    );
}
