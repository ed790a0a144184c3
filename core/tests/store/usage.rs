//! What subscribers used, from roll-ups written here.

use isp_core::store::{AgedTable, StoreError, UsageAmount, UsageBy, UsageQuery};

use isp_core::accounting::AccountingRecord;

use crate::accounting::interim;
use crate::harness::{Database, subscriber, tenant};
use crate::sessions::{T, at};

on_both_databases!(
    usage_is_told_by_hour_by_day_and_in_total,
    a_period_is_whole_hours,
    days_are_the_tenants_own,
    lost_hours_are_told_by_day,
    days_that_share_no_hours_are_not_mixed_with_them,
    a_day_begins_at_the_tenants_midnight,
    a_tenant_is_the_sum_of_its_subscribers,
    the_heaviest_come_first,
    nothing_used_is_nothing,
    an_unknown_tenant_or_timezone_is_an_error,
);

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn amount(octets: u64) -> UsageAmount {
    UsageAmount {
        upload_octets: octets,
        download_octets: 10 * octets,
        seconds: 60,
    }
}

async fn hourly(db: &Database, who: &str, hour: i64, octets: u64) {
    db.raw(&format!(
        "INSERT INTO usage_hourly (subscriber_id, hour, tenant_id, upload_octets, download_octets, seconds)
         VALUES ('{who}', {}, 't1', {octets}, 10 * {octets}, 60)",
        at(db, hour)
    ))
    .await;
}

async fn daily(db: &Database, who: &str, day: &str, octets: u64, hours: u64) {
    db.raw(&format!(
        "INSERT INTO usage_daily (subscriber_id, day, tenant_id, upload_octets, download_octets, seconds)
         VALUES ('{who}', '{day}', 't1', {octets}, 10 * {octets}, 60 * {hours})"
    ))
    .await;
}

fn of(who: &str, from: i64, to: i64, by: UsageBy) -> UsageQuery {
    UsageQuery {
        tenant_id: "t1".to_owned(),
        subscriber_id: Some(who.to_owned()),
        from,
        to,
        by,
    }
}

/// Start, length and upload of each row, in hours after T.
async fn rows(db: &Database, query: UsageQuery) -> Vec<(i64, i64, u64)> {
    let usage = db.store.usage(&query).await.unwrap();
    let sum: u64 = usage.rows.iter().map(|row| row.amount.upload_octets).sum();
    assert_eq!(sum, usage.total.upload_octets, "the rows add up to the total");
    let row = usage.rows.iter();
    row.map(|row| {
        (
            (row.from - T) / HOUR,
            (row.to - row.from) / HOUR,
            row.amount.upload_octets,
        )
    })
    .collect()
}

async fn total(db: &Database, query: UsageQuery) -> (i64, i64, u64) {
    let usage = db.store.usage(&query).await.unwrap();
    assert_eq!(usage.rows, []);
    (
        (usage.from - T) / HOUR,
        (usage.to - T) / HOUR,
        usage.total.upload_octets,
    )
}

/// Three hours on two days: the 1st of November 2026 is a Sunday without a change of the clock in UTC.
async fn fill(db: &Database, zone: &str) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.raw(&format!("UPDATE tenants SET timezone = '{zone}'")).await;
}

async fn usage_is_told_by_hour_by_day_and_in_total(db: &Database) {
    fill(db, "UTC").await;
    hourly(db, "ada", T + HOUR, 1).await;
    hourly(db, "ada", T + 23 * HOUR, 5_000_000_000).await;
    hourly(db, "ada", T + DAY, 4).await;
    daily(db, "ada", "2026-11-01", 5_000_000_001, 2).await;
    daily(db, "ada", "2026-11-02", 4, 1).await;
    hourly(db, "bob", T + HOUR, 100).await;
    daily(db, "bob", "2026-11-01", 100, 1).await;
    let whole = |by| of("ada", T, T + 2 * DAY, by);
    assert_eq!(
        rows(db, whole(UsageBy::Hour)).await,
        [(1, 1, 1), (23, 1, 5_000_000_000), (24, 1, 4)]
    );
    assert_eq!(
        rows(db, whole(UsageBy::Day)).await,
        [(0, 24, 5_000_000_001), (24, 24, 4)]
    );
    assert_eq!(total(db, whole(UsageBy::Total)).await, (0, 48, 5_000_000_005));
    let usage = db.store.usage(&whole(UsageBy::Total)).await.unwrap();
    assert_eq!(
        (usage.total.download_octets, usage.total.seconds),
        (50_000_000_050, 180)
    );
    assert_eq!(usage.timezone, "UTC");
    // Half a day before, a whole one, an hour after.
    assert_eq!(
        total(db, of("ada", T - 12 * HOUR, T + DAY + HOUR, UsageBy::Total)).await,
        (-12, 25, 5_000_000_005)
    );
    assert_eq!(
        total(db, of("ada", T + 2 * HOUR, T + DAY, UsageBy::Total)).await,
        (2, 24, 5_000_000_000)
    );
    assert_eq!(
        total(db, of("ada", T + 2 * HOUR, T + 3 * HOUR, UsageBy::Total)).await,
        (2, 3, 0)
    );
}

async fn a_period_is_whole_hours(db: &Database) {
    fill(db, "UTC").await;
    hourly(db, "ada", T, 1).await;
    hourly(db, "ada", T + HOUR, 2).await;
    hourly(db, "ada", T + 2 * HOUR, 4).await;
    daily(db, "ada", "2026-11-01", 7, 3).await;
    assert_eq!(
        total(db, of("ada", T + 1_800, T + HOUR + 1, UsageBy::Total)).await,
        (0, 2, 3)
    );
    assert_eq!(
        rows(db, of("ada", T + HOUR, T + 2 * HOUR, UsageBy::Hour)).await,
        [(1, 1, 2)]
    );
    assert_eq!(
        rows(db, of("ada", T + HOUR, T + HOUR + 1, UsageBy::Day)).await,
        [(0, 24, 7)]
    );
}

async fn days_are_the_tenants_own(db: &Database) {
    fill(db, "Europe/Berlin").await;
    // 25 October 2026 has 25 hours, from 22:00 UTC on the day before.
    let begin = T - 7 * DAY - 2 * HOUR;
    hourly(db, "ada", begin, 1).await;
    hourly(db, "ada", begin + 24 * HOUR, 2).await;
    hourly(db, "ada", begin + 25 * HOUR, 4).await;
    daily(db, "ada", "2026-10-25", 3, 2).await;
    daily(db, "ada", "2026-10-26", 4, 1).await;
    let days = rows(db, of("ada", begin, begin + 26 * HOUR, UsageBy::Day)).await;
    assert_eq!(days, [(-170, 25, 3), (-145, 24, 4)]);
    assert_eq!(
        total(db, of("ada", begin, begin + 25 * HOUR, UsageBy::Total)).await,
        (-170, -145, 3)
    );
    assert_eq!(
        total(db, of("ada", begin, begin + 26 * HOUR, UsageBy::Total)).await,
        (-170, -144, 7)
    );
    let usage = db
        .store
        .usage(&of("ada", begin, begin + 1, UsageBy::Day))
        .await
        .unwrap();
    assert_eq!(
        (usage.from, usage.to, usage.timezone.as_str()),
        (begin, begin + 25 * HOUR, "Europe/Berlin")
    );
}

async fn lost_hours_are_told_by_day(db: &Database) {
    fill(db, "UTC").await;
    for day in 0..4 {
        for hour in [1, 20] {
            hourly(db, "ada", T + day * DAY + hour * HOUR, 1).await;
        }
        daily(db, "ada", &format!("2026-11-0{}", day + 1), 2, 2).await;
    }
    let keep_from = T + DAY + 12 * HOUR;
    assert_eq!(
        db.store.aged_delete(AgedTable::UsageHourly, keep_from).await.unwrap(),
        3
    );
    let query = |by| of("ada", T + 10 * HOUR, T + 3 * DAY + 2 * HOUR, by);
    assert_eq!(
        rows(db, query(UsageBy::Hour)).await,
        [(0, 24, 2), (24, 24, 2), (49, 1, 1), (68, 1, 1), (73, 1, 1)]
    );
    assert_eq!(total(db, query(UsageBy::Total)).await, (0, 74, 7));
    // A period that ends on a day whose hours are gone is told by that day.
    assert_eq!(
        total(db, of("ada", T + 10 * HOUR, T + DAY + 2 * HOUR, UsageBy::Total)).await,
        (0, 48, 4)
    );
    assert_eq!(
        rows(db, of("ada", T, T + DAY + 2 * HOUR, UsageBy::Hour)).await,
        [(0, 24, 2), (24, 24, 2)]
    );
    // What has its hours still is told by them.
    assert_eq!(
        total(db, of("ada", T + 2 * DAY + HOUR, T + 3 * DAY, UsageBy::Total)).await,
        (49, 72, 2)
    );
    // All hours gone.
    db.raw("DELETE FROM usage_hourly").await;
    assert_eq!(
        total(db, of("ada", T + 10 * HOUR, T + 11 * HOUR, UsageBy::Total)).await,
        (0, 24, 2)
    );
}

async fn days_that_share_no_hours_are_not_mixed_with_them(db: &Database) {
    fill(db, "Asia/Kolkata").await;
    // Midnight is at 18:30 UTC: an hour is in two days.
    let midnight = T - 5 * HOUR - 1_800;
    hourly(db, "ada", midnight - 1_800, 10).await;
    hourly(db, "ada", midnight + 1_800, 1).await;
    daily(db, "ada", "2026-10-31", 5, 0).await;
    daily(db, "ada", "2026-11-01", 6, 2).await;
    let usage = async |from, to, by| {
        let usage = db.store.usage(&of("ada", from, to, by)).await.unwrap();
        (usage.from - midnight, usage.to - midnight, usage.total.upload_octets)
    };
    assert_eq!(usage(midnight, midnight + DAY, UsageBy::Total).await, (0, DAY, 6));
    // Hours only, as far as there are any.
    assert_eq!(
        usage(midnight + 1_800, midnight + 5_400, UsageBy::Total).await,
        (1_800, 5_400, 1)
    );
    let hours = usage(midnight + 5_400, midnight + 9_000, UsageBy::Hour).await;
    assert_eq!(hours, (5_400, 9_000, 0), "an hour without use is not one that is gone");
    // From midnight until now, days are exact and hours are not.
    let (from, _, octets) = usage(midnight, T + 99 * 366 * DAY, UsageBy::Total).await;
    assert_eq!((from, octets), (0, 6));
    db.raw("DELETE FROM usage_hourly").await;
    assert_eq!(
        usage(midnight + 5_400, midnight + 9_000, UsageBy::Hour).await,
        (0, DAY, 6),
        "they are gone"
    );
    assert_eq!(
        usage(midnight - DAY, midnight + 5_400, UsageBy::Day).await,
        (-DAY, DAY, 11)
    );
}

/// Octets fall to the days of the tenant, wherever its midnight is.
async fn a_day_begins_at_the_tenants_midnight(db: &Database) {
    for (zone, midnight) in [("Asia/Kolkata", 18 * HOUR + 1_800), ("Asia/Kathmandu", 18 * HOUR + 900)] {
        db.raw("DELETE FROM subscribers").await;
        for table in ["tenants", "radacct", "usage_hourly", "usage_daily"] {
            db.raw(&format!("DELETE FROM {table}")).await;
        }
        fill(db, zone).await;
        let midnight = T + midnight;
        let report = |at: i64, octets| AccountingRecord {
            tenant_id: Some("t1".to_owned()),
            subscriber_id: Some("ada".to_owned()),
            event_time: at,
            ..interim("1", 0, u32::try_from(at - T).unwrap(), octets, 10 * octets)
        };
        db.store
            .record_accounting(&[
                report(midnight - 600, 1_000),
                report(midnight, 1_030),
                report(midnight + 300, 1_130),
                report(midnight + 1_200, 2_000),
            ])
            .await
            .unwrap();
        for by in [UsageBy::Day, UsageBy::Total] {
            let octets = async |from, to| {
                let usage = db.store.usage(&of("ada", from, to, by)).await.unwrap();
                assert_eq!((usage.from, usage.to), (from, to), "{zone}");
                usage.total.upload_octets
            };
            assert_eq!(octets(midnight - DAY, midnight).await, 1_030, "{zone}");
            assert_eq!(octets(midnight, midnight + DAY).await, 970, "{zone}");
        }
    }
}

async fn a_tenant_is_the_sum_of_its_subscribers(db: &Database) {
    fill(db, "UTC").await;
    for (who, octets) in [("ada", 1), ("bob", 10)] {
        hourly(db, who, T, octets).await;
        hourly(db, who, T + HOUR, octets).await;
        daily(db, who, "2026-11-01", 2 * octets, 2).await;
    }
    hourly(db, "eve", T, 1_000).await;
    daily(db, "eve", "2026-11-01", 1_000, 1).await;
    for table in ["usage_hourly", "usage_daily"] {
        db.raw(&format!(
            "UPDATE {table} SET tenant_id = 't2' WHERE subscriber_id = 'eve'"
        ))
        .await;
    }
    let all = |by| UsageQuery {
        subscriber_id: None,
        ..of("", T, T + DAY, by)
    };
    assert_eq!(rows(db, all(UsageBy::Hour)).await, [(0, 1, 11), (1, 1, 11)]);
    assert_eq!(rows(db, all(UsageBy::Day)).await, [(0, 24, 22)]);
    assert_eq!(total(db, all(UsageBy::Total)).await, (0, 24, 22));
    assert_eq!(
        total(db, of("eve", T, T + DAY, UsageBy::Total)).await,
        (0, 24, 0),
        "another tenant's"
    );
}

async fn the_heaviest_come_first(db: &Database) {
    fill(db, "UTC").await;
    db.store.subscriber_add(&subscriber("bob", "t1")).await.unwrap();
    for (who, octets) in [("ada", 5), ("bob", 7), ("cid", 1), ("dan", 5)] {
        hourly(db, who, T, octets).await;
        daily(db, who, "2026-11-01", octets, 1).await;
    }
    let top = db.store.usage_top("t1", T, T + HOUR, 3).await.unwrap();
    assert_eq!((top.from, top.to), (T, T + HOUR));
    let top = top.users;
    let names: Vec<&str> = top.iter().map(|user| user.subscriber_id.as_str()).collect();
    assert_eq!(names, ["bob", "ada", "dan"]);
    assert_eq!(top[0].amount, amount(7));
    assert_eq!(
        (top[0].username.as_deref(), top[0].subscriber_number.as_deref()),
        (Some("bob"), Some("N-bob"))
    );
    assert_eq!(top[1].username, None);
    assert_eq!(db.store.usage_top("t1", T, T + DAY, 9).await.unwrap().users.len(), 4);
    let later = db.store.usage_top("t1", T + DAY, T + 2 * DAY, 9).await.unwrap();
    assert_eq!(later.users, []);
}

async fn nothing_used_is_nothing(db: &Database) {
    fill(db, "UTC").await;
    for by in [UsageBy::Hour, UsageBy::Day, UsageBy::Total] {
        let usage = db.store.usage(&of("ada", T, T + DAY, by)).await.unwrap();
        assert_eq!((usage.from, usage.to), (T, T + DAY));
        assert_eq!((usage.total, usage.rows), (UsageAmount::default(), vec![]));
        let outside = db.store.usage(&of("ada", i64::MIN, i64::MAX, by)).await.unwrap();
        assert_eq!(outside.total, UsageAmount::default());
    }
}

async fn an_unknown_tenant_or_timezone_is_an_error(db: &Database) {
    let query = of("ada", T, T + DAY, UsageBy::Total);
    let error = db.store.usage(&query).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    fill(db, "Mars/Olympus").await;
    let error = db.store.usage(&query).await.unwrap_err();
    assert!(error.to_string().contains("Mars/Olympus"), "{error}");
}
