//! Quotas of subscribers about whom something is wrong.

use isp_core::accounting::period::Period;
use isp_core::accounting::quota::{Effect, Metric};

use crate::accounting::{interim, start, write};
use crate::harness::{Database, subscriber};
use crate::hazards::unchecked;
use crate::quotas::{effect, now, prepare, quota};

on_both_databases!(
    use_past_what_a_number_holds_is_past_every_threshold,
    one_of_whom_no_tier_can_be_told_costs_only_itself,
    a_tier_that_is_over_ends_though_no_other_can_be_told,
    a_fault_of_the_database_is_nobodys,
);

async fn use_past_what_a_number_holds_is_past_every_threshold(db: &Database) {
    prepare(db).await;
    let (day, hour) = if db.is_sqlite() {
        ("date('now')", "strftime('%Y-%m-%d %H:00:00', 'now')")
    } else {
        ("(now() AT TIME ZONE 'UTC')::date", "date_trunc('hour', now())")
    };
    for (table, column, period) in [("usage_daily", "day", day), ("usage_hourly", "hour", hour)] {
        db.raw(&format!(
            "INSERT INTO {table} (subscriber_id, {column}, tenant_id, upload_octets, download_octets, seconds)
             VALUES ('ada', {period}, 't1', {most}, {most}, 0)",
            most = i64::MAX
        ))
        .await;
    }
    let most = u64::try_from(i64::MAX).unwrap();
    for period in [Period::Month, Period::Rolling { hours: 24 }] {
        let quota = quota("q1", Metric::Total, period, &[(most, "refuse")]);
        db.store.quota_add(&quota).await.unwrap();
        assert_eq!(effect(db).await, "refuse", "{period:?}");
        db.store.quota_delete("t1", "q1").await.unwrap();
        assert_eq!(effect(db).await, "none", "{period:?}");
    }
}

/// `bob` has the plan of `ada`, whose top-up no program of ours writes.
async fn prepare_with_a_fault(db: &Database) {
    prepare(db).await;
    let mut bob = subscriber("bob", "t1");
    bob.bandwidth_profile_id = Some("gold".to_owned());
    db.store.subscriber_add(&bob).await.unwrap();
    let quota = quota("q1", Metric::Total, Period::Month, &[(1, "slow")]);
    db.store.quota_add(&quota).await.unwrap();
}

async fn spoil(db: &Database) {
    let (from, until) = if db.is_sqlite() {
        ("datetime('now', '-1 minute')", "datetime('now', '+1 year')")
    } else {
        ("now() - interval '1 minute'", "now() + interval '1 year'")
    };
    let topup = format!(
        "INSERT INTO quota_topups (id, subscriber_id, metric, period, amount, valid_from, valid_until)
         VALUES ('u1', 'ada', 'total', 'month', -1, {from}, {until})"
    );
    unchecked(db, "quota_topups", "amount", &topup).await;
}

/// Both have used something.
async fn use_some(db: &Database) {
    let mut records = Vec::new();
    for (subscriber, session) in [("ada", "1"), ("bob", "2")] {
        for mut record in [start(session, 0), interim(session, 0, 0, 5, 5)] {
            record.subscriber_id = Some(subscriber.to_owned());
            record.event_time = now();
            records.push(record);
        }
    }
    write(db, &records).await;
}

async fn slow(db: &Database) -> Vec<String> {
    let base = db.load().await;
    let mut slow: Vec<String> = base
        .subscribers
        .iter()
        .filter(|one| {
            one.tier
                .as_ref()
                .is_some_and(|tier| tier.effect == Effect::Plan("slow".to_owned()))
        })
        .map(|one| one.id.clone())
        .collect();
    slow.sort();
    slow
}

async fn one_of_whom_no_tier_can_be_told_costs_only_itself(db: &Database) {
    prepare_with_a_fault(db).await;
    spoil(db).await;
    use_some(db).await;
    assert_eq!(slow(db).await, ["bob"], "as records are applied");
    db.raw("DELETE FROM subscriber_tiers").await;
    db.raw("UPDATE plan_quotas SET metric = 'download'").await;
    db.store.quota_roll(now()).await.unwrap();
    assert_eq!(slow(db).await, ["bob"], "as quotas are rolled over");
    assert_eq!(db.store.quota_roll(now()).await.unwrap(), 0, "it is not tried for ever");
    db.raw("DELETE FROM quota_topups").await;
    db.store.quota_roll(now()).await.unwrap();
    assert_eq!(slow(db).await, ["ada", "bob"], "once it is mended");
}

async fn a_tier_that_is_over_ends_though_no_other_can_be_told(db: &Database) {
    prepare_with_a_fault(db).await;
    use_some(db).await;
    assert_eq!(slow(db).await, ["ada", "bob"]);
    spoil(db).await;
    let until = db.load().await.subscriber_of("ada").tier.as_ref().unwrap().until;
    assert!(db.store.quota_roll(until).await.unwrap() >= 2);
    assert_eq!(db.store.quota_roll(until).await.unwrap(), 0);
    assert!(slow(db).await.is_empty());
}

async fn a_fault_of_the_database_is_nobodys(db: &Database) {
    prepare_with_a_fault(db).await;
    for number in 0..20 {
        let mut one = subscriber(&format!("s{number}"), "t1");
        one.bandwidth_profile_id = Some("gold".to_owned());
        db.store.subscriber_add(&one).await.unwrap();
    }
    use_some(db).await;
    db.raw("UPDATE plan_quotas SET metric = 'download'").await;
    db.raw("ALTER TABLE usage_daily RENAME TO elsewhere").await;
    assert!(db.store.quota_roll(now()).await.is_err());
    db.raw("ALTER TABLE elsewhere RENAME TO usage_daily").await;
    assert!(db.store.quota_roll(now()).await.unwrap() > 0, "the mark is still there");
}
