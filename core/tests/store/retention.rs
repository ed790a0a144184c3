//! Months made ahead, and what is old going.

use isp_core::store::{AccountingMonth, AgedTable};

use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::accounting::stop;
use crate::harness::Database;
use crate::sessions::{T, at, put};

on_both_databases!(
    the_coming_months_are_there,
    whole_months_go_and_no_others,
    nothing_old_is_nothing_to_do,
    old_rows_go_in_batches,
    accounting_does_not_wait_behind_upkeep,
);

const DAY: i64 = 86_400;

async fn count(db: &Database, table: &str) -> i64 {
    let count = db.value(&format!("SELECT CAST(count(*) AS text) FROM {table}")).await;
    count.unwrap().parse().unwrap()
}

async fn the_coming_months_are_there(db: &Database) {
    // 2031-01-31T23:59:59Z
    let now = 1_927_670_399;
    let made = db.store.radacct_upkeep(now).await.unwrap();
    assert_eq!(db.store.radacct_upkeep(now).await.unwrap(), [""; 0]);
    if db.is_sqlite() {
        assert_eq!(made, [""; 0]);
        return;
    }
    assert_eq!(made, ["2031-01", "2031-02", "2031-03"]);
    assert_eq!(db.store.radacct_upkeep(now + 1).await.unwrap(), ["2031-04"]);
    // 2031-04-30T23:59:59Z is within, the next second is not.
    let insert = |stop: i64| {
        format!(
            "INSERT INTO radacct (acctsessionid, acctuniqueid, nasipaddress, acctstoptime)
             VALUES ('s', 'u', '192.0.2.1', to_timestamp({stop}))"
        )
    };
    db.raw(&insert(now + (28 + 31 + 30) * DAY)).await;
    assert!(db.execute(&insert(now + (28 + 31 + 30) * DAY + 1)).await.is_err());
}

async fn whole_months_go_and_no_others(db: &Database) {
    // August, September and October 2026, and before and after.
    put(db, 1, T - 93 * DAY, Some(T - 92 * DAY - 1), &[]).await;
    put(db, 2, T - 99 * DAY, Some(T - 61 * DAY - 1), &[]).await;
    put(db, 3, T - 99 * DAY, Some(T - 61 * DAY), &[]).await;
    put(db, 4, T - 99 * DAY, Some(T - 31 * DAY - 1), &[]).await;
    put(db, 5, T - 99 * DAY, Some(T - 31 * DAY), &[]).await;
    put(db, 6, T - 999 * DAY, None, &[]).await;
    let month = |month: &str, sessions| AccountingMonth {
        month: month.to_owned(),
        sessions,
    };
    // The last second of October: it reaches past it.
    let keep_from = T - 1;
    let expected = [month("2026-07", 1), month("2026-08", 1), month("2026-09", 2)];
    assert_eq!(db.store.radacct_months_before(keep_from).await.unwrap(), expected);
    assert_eq!(count(db, "radacct").await, 6, "asking removes nothing");
    assert_eq!(db.store.radacct_retain(keep_from).await.unwrap(), expected);
    let left = db
        .query("SELECT CAST(radacctid AS text) FROM radacct ORDER BY radacctid")
        .await;
    assert_eq!(left, [[Some("5".to_owned())], [Some("6".to_owned())]]);
    assert_eq!(db.store.radacct_retain(keep_from).await.unwrap(), []);
    assert_eq!(db.store.radacct_retain(T).await.unwrap(), [month("2026-10", 1)]);
    assert_eq!(count(db, "radacct").await, 1, "the open one stays for ever");
    if !db.is_sqlite() {
        let tables = db
            .query("SELECT relname::text FROM pg_class WHERE relname LIKE 'radacct_2026_%' ORDER BY 1")
            .await;
        assert!(
            !tables.contains(&vec![Some("radacct_2026_10".to_owned())]),
            "{tables:?}"
        );
        // A month can come back.
        put(db, 7, T - 99 * DAY, Some(T - 31 * DAY), &[]).await;
        assert_eq!(db.store.radacct_retain(T).await.unwrap(), [month("2026-10", 1)]);
    }
}

async fn nothing_old_is_nothing_to_do(db: &Database) {
    put(db, 1, T, Some(T + 1), &[]).await;
    for keep_from in [i64::from(i32::MIN), 0, T] {
        assert_eq!(db.store.radacct_retain(keep_from).await.unwrap(), []);
    }
    assert_eq!(count(db, "radacct").await, 1);
}

async fn old_rows_go_in_batches(db: &Database) {
    let series = if db.is_sqlite() {
        "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 12000)"
    } else {
        "WITH g (n) AS (SELECT generate_series(1, 12000))"
    };
    db.raw(&format!(
        "{series} INSERT INTO usage_hourly (subscriber_id, hour, upload_octets, download_octets, seconds)
         SELECT 's' || n, {}, 1, 1, 1 FROM g",
        at(db, T)
    ))
    .await;
    db.raw(&format!(
        "{series} INSERT INTO radpostauth (username, authdate) SELECT 'u' || n, {} FROM g",
        at(db, T)
    ))
    .await;
    let later = at(db, T + 3_600);
    db.raw(&format!(
        "UPDATE usage_hourly SET hour = {later} WHERE subscriber_id = 's7'"
    ))
    .await;
    db.raw(&format!(
        "UPDATE radpostauth SET authdate = {later} WHERE username = 'u7'"
    ))
    .await;
    for (table, name) in [
        (AgedTable::UsageHourly, "usage_hourly"),
        (AgedTable::PostAuth, "radpostauth"),
    ] {
        assert_eq!(db.store.aged_count(table, T).await.unwrap(), 0);
        assert_eq!(db.store.aged_delete(table, T).await.unwrap(), 0);
        assert_eq!(db.store.aged_count(table, T + 3_600).await.unwrap(), 11_999);
        assert_eq!(db.store.aged_delete(table, T + 3_600).await.unwrap(), 11_999);
        assert_eq!(count(db, name).await, 1);
    }
}

/// Whoever waits for the whole table has every writer wait behind him, so neither upkeep nor retention waits for long.
async fn accounting_does_not_wait_behind_upkeep(db: &Database) {
    put(db, 1, T - 99 * DAY, Some(T - 31 * DAY), &[]).await;
    if db.is_sqlite() {
        // One file, one lock, held for a batch: there is no table to wait for.
        assert_eq!(db.store.radacct_retain(T).await.unwrap().len(), 1);
        return;
    }
    let mut reader = PgConnection::connect(&db.url).await.unwrap();
    reader.execute("BEGIN; SELECT 1 FROM radacct LIMIT 1").await.unwrap();
    let ended = stop("1", -2_000 * DAY, 60, 1, 1);
    for error in [
        db.store.radacct_upkeep(T + 999 * DAY).await.unwrap_err(),
        db.store.radacct_retain(T).await.unwrap_err(),
        db.store
            .record_accounting(std::slice::from_ref(&ended))
            .await
            .unwrap_err(),
    ] {
        assert!(error.is_transient(), "{error:?}");
    }
    reader.execute("COMMIT").await.unwrap();
    assert_eq!(db.store.radacct_retain(T).await.unwrap().len(), 1);
    assert_eq!(db.store.radacct_upkeep(T + 999 * DAY).await.unwrap().len(), 3);
    db.store.record_accounting(&[ended]).await.unwrap();
}
