//! Quotas, and the tier a subscriber is in, as records are applied and as time goes by.

use isp_core::accounting::AccountingRecord;
use isp_core::accounting::period::Period;
use isp_core::accounting::quota::{Effect, Metric, Quota, Tier};
use isp_core::store::{ChangeFeed, QuotaState, StoreError};
use isp_core::subscriber::SubscriberTier;
use jiff::Timestamp;

use crate::accounting::{interim, start, write};
use crate::feed::{follow, words};
use crate::harness::{Database, plan, subscriber, tenant};
use crate::topups::topup;

on_both_databases!(
    records_lead_to_a_tier,
    a_tier_ends_with_its_period,
    a_rolling_period_forgets,
    the_strictest_of_several_quotas_counts,
    time_and_billing_days_count,
    a_changed_quota_counts_at_once,
    another_plan_ends_the_tier,
    days_are_counted_in_the_tenants_zone,
    changes_by_raw_sql_count_with_the_next_roll,
    all_subscribers_of_a_large_plan_are_looked_at,
    what_refers_to_what,
    tenants_do_not_reach_each_others_quotas,
    a_plan_without_quotas_is_left_alone,
    use_is_recorded_whatever_becomes_of_the_tier,
);

pub(crate) const GIB: u64 = 1 << 30;

/// Of the clock: what is recorded counts for the period that runs.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

pub(crate) fn quota(id: &str, metric: Metric, period: Period, tiers: &[(u64, &str)]) -> Quota {
    Quota {
        id: id.to_owned(),
        tenant_id: "t1".to_owned(),
        plan_id: "gold".to_owned(),
        metric,
        period,
        tiers: tiers
            .iter()
            .map(|(threshold, effect)| Tier {
                threshold: *threshold,
                effect: match *effect {
                    "refuse" => Effect::Refuse,
                    plan => Effect::Plan(plan.to_owned()),
                },
            })
            .collect(),
    }
}

/// Tenants `t1` and `t2`; plans `gold`, `slow` and `slower` of `t1`; `ada` has `gold`.
pub(crate) async fn prepare(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    for (id, kbps) in [("gold", 100_000), ("slow", 512), ("slower", 64)] {
        let mut plan = plan(id, "t1");
        (plan.download_rate_kbps, plan.upload_rate_kbps) = (kbps, kbps);
        db.store.plan_add(&plan).await.unwrap();
    }
    let mut ada = subscriber("ada", "t1");
    ada.bandwidth_profile_id = Some("gold".to_owned());
    db.store.subscriber_add(&ada).await.unwrap();
}

/// 5 GiB a month, then `slow`; 50 GiB, then no more.
pub(crate) async fn prepare_with_quota(db: &Database) {
    prepare(db).await;
    let tiers = [(5 * GIB, "slow"), (50 * GIB, "refuse")];
    let quota = quota("q1", Metric::Total, Period::Month, &tiers);
    db.store.quota_add(&quota).await.unwrap();
    assert_eq!(db.store.quota_list("t1", "gold").await.unwrap(), [quota]);
}

/// A session of this moment that has moved so much by now.
pub(crate) fn moved(upload: u64, download: u64) -> Vec<AccountingRecord> {
    [start("1", 0), interim("1", 0, 0, upload, download)]
        .map(|record| AccountingRecord {
            event_time: now(),
            gigawords: true,
            ..record
        })
        .to_vec()
}

/// The tier a node would load: `effect metric`.
pub(crate) async fn tier(db: &Database) -> Option<SubscriberTier> {
    db.load().await.subscriber_of("ada").tier.clone()
}

pub(crate) async fn effect(db: &Database) -> String {
    match tier(db).await.map(|tier| tier.effect) {
        None => "none".to_owned(),
        Some(Effect::Refuse) => "refuse".to_owned(),
        Some(Effect::Plan(plan)) => plan,
    }
}

pub(crate) async fn state(db: &Database) -> QuotaState {
    db.store.quota_state("ada", now()).await.unwrap()
}

/// Usage of today and this hour, put there without a record.
async fn used(db: &Database, octets: u64, seconds: u64) {
    let (day, hour) = if db.is_sqlite() {
        ("date('now')", "strftime('%Y-%m-%d %H:00:00', 'now')")
    } else {
        ("(now() AT TIME ZONE 'UTC')::date", "date_trunc('hour', now())")
    };
    for (table, column, period) in [("usage_daily", "day", day), ("usage_hourly", "hour", hour)] {
        db.raw(&format!("DELETE FROM {table}")).await;
        db.raw(&format!(
            "INSERT INTO {table} (subscriber_id, {column}, tenant_id, upload_octets, download_octets, seconds)
             SELECT id, {period}, tenant_id, 0, {octets}, {seconds} FROM subscribers"
        ))
        .await;
    }
}

const QUIET: [&str; 0] = [];
pub(crate) const ADA: [&str; 1] = ["Subscriber t1/ada"];

async fn records_lead_to_a_tier(db: &Database) {
    prepare_with_quota(db).await;
    let mut feed: ChangeFeed = follow(db).await;
    write(db, &moved(2 * GIB, 3 * GIB - 1)).await;
    assert_eq!(effect(db).await, "none");
    assert_eq!(words(&mut feed).await, QUIET);
    let standing = state(db).await.standings.remove(0);
    assert_eq!((standing.used, standing.left()), (5 * GIB - 1, Some(1)));

    write(db, &moved(2 * GIB, 3 * GIB)).await;
    let slow = tier(db).await.unwrap();
    assert_eq!(
        (&slow.effect, slow.metric),
        (&Effect::Plan("slow".to_owned()), Metric::Total)
    );
    assert_eq!(words(&mut feed).await, ADA);
    let QuotaState { standings, tier: held } = state(db).await;
    assert_eq!((standings[0].until, standings[0].left()), (slow.until, Some(45 * GIB)));
    let held = held.unwrap();
    assert_eq!((held.reached.used, held.reached.until), (5 * GIB, slow.until));
    assert!((now() - 60..=now()).contains(&held.since));

    // More use in the same tier is nobody's business, nor is a record that comes twice.
    write(db, &moved(2 * GIB, 40 * GIB)).await;
    write(db, &moved(2 * GIB, 40 * GIB)).await;
    assert_eq!(words(&mut feed).await, QUIET);
    assert_eq!(state(db).await.tier.unwrap(), held);

    write(db, &moved(10 * GIB, 40 * GIB)).await;
    assert_eq!(effect(db).await, "refuse");
    assert_eq!(words(&mut feed).await, ADA);
    assert_eq!(state(db).await.standings[0].left(), None);
    assert_eq!(db.store.quota_roll(now()).await.unwrap(), 0, "nothing is left to do");
}

async fn a_tier_ends_with_its_period(db: &Database) {
    prepare_with_quota(db).await;
    write(db, &moved(0, 60 * GIB)).await;
    let until = tier(db).await.unwrap().until;
    let mut feed = follow(db).await;
    assert_eq!(db.store.quota_roll(until - 1).await.unwrap(), 0);
    assert_eq!(db.store.quota_roll(until).await.unwrap(), 1);
    assert_eq!(effect(db).await, "none");
    assert_eq!(words(&mut feed).await, ADA);
    assert_eq!(db.store.quota_roll(until).await.unwrap(), 0);
}

async fn a_rolling_period_forgets(db: &Database) {
    prepare(db).await;
    let tiers = [(10, "slow"), (20, "refuse")];
    let day = quota("q1", Metric::Download, Period::Rolling { hours: 24 }, &tiers);
    db.store.quota_add(&day).await.unwrap();
    let hour = now().div_euclid(3_600) * 3_600;
    for (ago, octets) in [(30, 100), (20, 15), (5, 6)] {
        let at = hour - ago * 3_600;
        let at = if db.is_sqlite() {
            format!("datetime({at}, 'unixepoch')")
        } else {
            format!("to_timestamp({at})")
        };
        db.raw(&format!(
            "INSERT INTO usage_hourly (subscriber_id, hour, tenant_id, upload_octets, download_octets, seconds)
             VALUES ('ada', {at}, 't1', 0, {octets}, 0)"
        ))
        .await;
    }
    write(db, &moved(7, 1)).await;
    let refused = tier(db).await.unwrap();
    let fifteen_age_out = hour + 4 * 3_600;
    assert_eq!((refused.effect, refused.until), (Effect::Refuse, fifteen_age_out));
    assert_eq!(state(db).await.standings[0].used, 22);
    db.store.quota_roll(fifteen_age_out).await.unwrap();
    assert_eq!(effect(db).await, "none", "7 are left");
}

async fn the_strictest_of_several_quotas_counts(db: &Database) {
    prepare(db).await;
    for quota in [
        quota("q1", Metric::Total, Period::Month, &[(10, "slow")]),
        quota("q2", Metric::Upload, Period::Month, &[(20, "slower")]),
        quota("q3", Metric::Download, Period::Day, &[(30, "refuse")]),
    ] {
        db.store.quota_add(&quota).await.unwrap();
    }
    for (upload, download, expected) in [(5, 5, "slow"), (20, 5, "slower"), (20, 30, "refuse")] {
        write(db, &moved(upload, download)).await;
        assert_eq!(effect(db).await, expected);
    }
    // The day ends first: of what is left the stricter counts.
    let until = tier(db).await.unwrap().until;
    if state(db).await.standings.iter().all(|standing| standing.until >= until) {
        db.store.quota_delete("t1", "q3").await.unwrap();
        assert_eq!(effect(db).await, "slower");
    }
}

async fn time_and_billing_days_count(db: &Database) {
    prepare(db).await;
    used(db, 0, 36_000).await;
    let quota = quota("q1", Metric::Time, Period::BillingDay, &[(36_000, "refuse")]);
    db.store.quota_add(&quota).await.unwrap();
    let refused = tier(db).await.unwrap();
    assert_eq!((&refused.effect, refused.metric), (&Effect::Refuse, Metric::Time));
    // Its billing day is the 29th. Tomorrow's would start the period in a month at most, today's now.
    let today = Timestamp::from_second(now()).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    let mut ada = db.store.subscriber_get("t1", "ada").await.unwrap().unwrap();
    ada.billing_day = u8::try_from(today.day()).ok();
    db.store.subscriber_set(&ada).await.unwrap();
    db.store.quota_roll(now()).await.unwrap();
    let standing = state(db).await.standings.remove(0);
    assert_eq!(standing.from, today.start_of_day().unwrap().timestamp().as_second());
    assert_eq!(tier(db).await.unwrap().until, standing.until);
}

async fn a_changed_quota_counts_at_once(db: &Database) {
    prepare(db).await;
    write(db, &moved(0, 5 * GIB)).await;
    let mut feed = follow(db).await;
    let mut monthly = quota("q1", Metric::Total, Period::Month, &[(5 * GIB, "slow")]);
    db.store.quota_add(&monthly).await.unwrap();
    assert_eq!(effect(db).await, "slow");
    let mut seen = words(&mut feed).await;
    seen.dedup();
    assert_eq!(seen, ["Plan t1/gold", "Subscriber t1/ada"]);
    db.store.quota_delete("t1", "q1").await.unwrap();
    assert_eq!(effect(db).await, "none");
    monthly.tiers[0].threshold += 1;
    db.store.quota_add(&monthly).await.unwrap();
    assert_eq!(effect(db).await, "none");
}

async fn another_plan_ends_the_tier(db: &Database) {
    prepare_with_quota(db).await;
    let strict = Quota {
        plan_id: "slow".to_owned(),
        ..quota("q2", Metric::Total, Period::Month, &[(GIB, "slower")])
    };
    db.store.quota_add(&strict).await.unwrap();
    write(db, &moved(0, 5 * GIB)).await;
    assert_eq!(effect(db).await, "slow");
    let mut ada = db.store.subscriber_get("t1", "ada").await.unwrap().unwrap();
    for (plan, before, after) in [("slow", "none", "slower"), ("slower", "none", "none")] {
        ada.bandwidth_profile_id = Some(plan.to_owned());
        db.store.subscriber_set(&ada).await.unwrap();
        assert_eq!(effect(db).await, before, "{plan}");
        db.store.quota_roll(now()).await.unwrap();
        assert_eq!(effect(db).await, after, "{plan}");
    }
    db.store.plan_delete("t1", "gold").await.unwrap();
    assert_eq!(db.store.quota_list("t1", "gold").await.unwrap(), []);
}

async fn days_are_counted_in_the_tenants_zone(db: &Database) {
    prepare(db).await;
    db.store
        .quota_add(&quota("q1", Metric::Total, Period::Day, &[(1, "slow")]))
        .await
        .unwrap();
    write(db, &moved(0, 1)).await;
    let midnight = tier(db).await.unwrap().until;
    assert_eq!(midnight % 86_400, 0);
    let mut feed = follow(db).await;
    let mut t1 = db.store.tenant_get("t1").await.unwrap().unwrap();
    t1.timezone = "Asia/Kathmandu".to_owned();
    db.store.tenant_set(&t1).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Tenant t1/t1"]);
    // Day by day the roll-ups were made by the days of UTC, so that the day there may be another one.
    db.store.quota_roll(now()).await.unwrap();
    let standing = state(db).await.standings.remove(0);
    assert_eq!(standing.until % 86_400, 86_400 - (5 * 3_600 + 45 * 60));
    assert!(tier(db).await.is_none_or(|tier| tier.until == standing.until));
}

async fn changes_by_raw_sql_count_with_the_next_roll(db: &Database) {
    prepare(db).await;
    used(db, 5 * GIB, 0).await;
    let until = if db.is_sqlite() {
        "datetime('now', '+1 hour')"
    } else {
        "now() + interval '1 hour'"
    };
    let topup = format!(
        "INSERT INTO quota_topups (id, subscriber_id, metric, period, amount, valid_until)
         VALUES ('u1', 'ada', 'total', 'month', 5000000000, {until})"
    );
    for (sql, expected) in [
        (
            "INSERT INTO plan_quotas (id, tenant_id, plan_id, metric, period) VALUES ('q1', 't1', 'gold', 'total', 'month')",
            "none",
        ),
        (
            "INSERT INTO plan_quota_tiers (quota_id, tenant_id, threshold, override_plan_id)
             VALUES ('q1', 't1', 5000000000, 'slow')",
            "slow",
        ),
        ("UPDATE plan_quota_tiers SET threshold = 9000000000", "none"),
        (
            "UPDATE plan_quota_tiers SET threshold = 5000000001, override_plan_id = NULL, restriction = 'refuse'",
            "refuse",
        ),
        (&topup, "none"),
        ("UPDATE quota_topups SET amount = 1", "refuse"),
        ("UPDATE plan_quotas SET metric = 'upload'", "none"),
        ("UPDATE plan_quotas SET metric = 'download'", "refuse"),
        ("DELETE FROM plan_quota_tiers", "none"),
        (
            "INSERT INTO plan_quota_tiers (quota_id, tenant_id, threshold, restriction) VALUES ('q1', 't1', 1, 'refuse')",
            "refuse",
        ),
        ("DELETE FROM plan_quotas", "none"),
    ] {
        db.raw(sql).await;
        db.store.quota_roll(now() + 5).await.unwrap();
        assert_eq!(effect(db).await, expected, "{sql}");
    }
}

async fn all_subscribers_of_a_large_plan_are_looked_at(db: &Database) {
    prepare(db).await;
    let mut import = db.store.subscriber_import().await.unwrap();
    let many: Vec<_> = (0..1_100)
        .map(|n| {
            let mut one = subscriber(&format!("s{n}"), "t1");
            one.bandwidth_profile_id = Some("gold".to_owned());
            one
        })
        .collect();
    import.push(&many).await.unwrap();
    import.commit().await.unwrap();
    used(db, 5 * GIB, 0).await;
    db.store
        .quota_add(&quota(
            "q1",
            Metric::Total,
            Period::Month,
            &[(GIB, "slow"), (2 * GIB, "slower")],
        ))
        .await
        .unwrap();
    let base = db.load().await;
    let slowed = base.subscribers.iter().filter(|one| {
        one.tier
            .as_ref()
            .is_some_and(|tier| tier.effect == Effect::Plan("slower".to_owned()))
    });
    assert_eq!(slowed.count(), 1_101);
    let until = base.subscriber_of("ada").tier.as_ref().unwrap().until;
    assert_eq!(db.store.quota_roll(until).await.unwrap(), 1_101);
    assert!(db.load().await.subscribers.iter().all(|one| one.tier.is_none()));
}

async fn what_refers_to_what(db: &Database) {
    prepare_with_quota(db).await;
    let error = db.store.plan_delete("t1", "slow").await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("tiers of quotas"), "{error}");

    let twice = quota("q2", Metric::Total, Period::Month, &[(1, "slow")]);
    let error = db.store.quota_add(&twice).await.unwrap_err();
    assert!(error.to_string().contains("quota of this metric and period"), "{error}");
    for bad in [
        quota("q3", Metric::Time, Period::Day, &[(1, "platinum")]),
        quota("q3", Metric::Time, Period::Day, &[(1, "slow"), (1, "refuse")]),
        quota("q3", Metric::Time, Period::Day, &[(0, "slow")]),
        quota("q3", Metric::Time, Period::Rolling { hours: 9_000 }, &[(1, "slow")]),
    ] {
        assert!(db.store.quota_add(&bad).await.is_err(), "{bad:?}");
    }
    assert_eq!(
        db.store.quota_list("t1", "gold").await.unwrap().len(),
        1,
        "all or nothing"
    );
    // Two rolling periods of one metric are two quotas.
    for hours in [24, 168] {
        let rolling = quota(
            &format!("r{hours}"),
            Metric::Total,
            Period::Rolling { hours },
            &[(1, "slow")],
        );
        db.store.quota_add(&rolling).await.unwrap();
    }

    for bad in [topup("u1", 0, now() + 60), topup("u1", 1, now() - 3_600)] {
        assert!(db.store.topup_add("t1", &bad).await.is_err(), "{bad:?}");
    }
    write(db, &moved(0, 6 * GIB)).await;
    db.store.topup_add("t1", &topup("u1", 1, now() + 3_600)).await.unwrap();
    db.raw("DELETE FROM subscribers WHERE id = 'ada'").await;
    db.store.quota_roll(now() + 7_200).await.unwrap();
    for table in ["subscriber_tiers", "quota_topups", "quota_reviews"] {
        let none = db.query(&format!("SELECT 'a row' FROM {table}")).await;
        assert!(none.is_empty(), "{table}");
    }
    // Usage of who is gone is written all the same.
    write(db, &moved(0, 7 * GIB)).await;
}

async fn tenants_do_not_reach_each_others_quotas(db: &Database) {
    prepare_with_quota(db).await;
    db.store.topup_add("t1", &topup("u1", 1, now() + 3_600)).await.unwrap();
    for error in [
        db.store.quota_delete("t2", "q1").await,
        db.store.topup_add("t2", &topup("u2", 1, now() + 3_600)).await,
        db.store.topup_delete("t2", "ada", "u1").await,
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    }
    assert_eq!(db.store.quota_list("t2", "gold").await.unwrap(), []);
    assert_eq!(db.store.topup_list("t2", "ada").await.unwrap(), []);
    let foreign = Quota {
        tenant_id: "t2".to_owned(),
        ..quota("q9", Metric::Time, Period::Day, &[(1, "refuse")])
    };
    assert!(db.store.quota_add(&foreign).await.is_err());
}

async fn a_plan_without_quotas_is_left_alone(db: &Database) {
    prepare(db).await;
    let mut feed = follow(db).await;
    write(db, &moved(0, 500 * GIB)).await;
    assert_eq!(effect(db).await, "none");
    assert_eq!(state(db).await, QuotaState::default());
    assert_eq!(words(&mut feed).await, QUIET);
    assert_eq!(db.store.quota_roll(i64::from(u32::MAX)).await.unwrap(), 0);
}

async fn use_is_recorded_whatever_becomes_of_the_tier(db: &Database) {
    prepare_with_quota(db).await;
    db.raw("ALTER TABLE subscriber_tiers RENAME TO elsewhere").await;
    write(db, &moved(0, 6 * GIB)).await;
    db.raw("ALTER TABLE elsewhere RENAME TO subscriber_tiers").await;
    assert_eq!(state(db).await.standings[0].used, 6 * GIB);
    assert_eq!(effect(db).await, "none");
    write(db, &moved(1, 6 * GIB)).await;
    assert_eq!(effect(db).await, "slow");
}
