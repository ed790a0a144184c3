//! How fast "who had this address" is on years of accounting, for a person to read. Not part of a normal run:
//! `cargo test --release -p isp-core --test store whohad_speed -- --ignored --nocapture --test-threads 1`
//!
//! 200,000 subscribers, each with a session open and fifty closed ones over 36 months. `ISP_SPEED_SUBSCRIBERS` makes it
//! fewer.

use std::time::{Duration, Instant};

use isp_core::store::SessionAddress;

use crate::harness::Database;

#[test]
#[ignore = "takes minutes, asserts nothing"]
fn on_sqlite() {
    crate::harness::on_sqlite(|db| Box::pin(whohad(db)));
}

#[test]
#[ignore = "takes minutes, asserts nothing"]
fn on_postgres() {
    crate::harness::on_postgres(|db| Box::pin(whohad(db)));
}

/// A session lasts three weeks and a half-day less than the step to the next.
const STEP: i64 = 21 * DAY + DAY / 2;
const DAY: i64 = 86_400;
const SESSIONS: i64 = 50;

fn subscribers() -> i64 {
    std::env::var("ISP_SPEED_SUBSCRIBERS").map_or(200_000, |count| count.parse().unwrap())
}

/// Which of the addresses subscriber `s` has in its `k`th session: another one each time.
fn place(s: i64, k: i64, subscribers: i64) -> i64 {
    (s + k * 7_919) % subscribers
}

const COLUMNS: &str = "acctsessionid, acctuniqueid, username, nasipaddress, nasportid, acctstarttime, acctupdatetime, \
     acctstoptime, acctsessiontime, acctinputoctets, acctoutputoctets, callingstationid, acctterminatecause, \
     framedipaddress, framedipv6prefix, delegatedipv6prefix, tenant_id, subscriber_id, start_reported, calling_mac";

/// Indexes are made afterwards: a quarter of the time.
async fn fill(db: &Database, first: i64) {
    let listed = if db.is_sqlite() {
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'radacct'"
    } else {
        "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename = 'radacct'"
    };
    let indexes = db.query(listed).await;
    for index in &indexes {
        db.raw(&format!("DROP INDEX {}", index[0].as_ref().unwrap())).await;
    }
    if db.is_sqlite() {
        fill_sqlite(db, first).await;
    } else {
        fill_postgres(db, first).await;
    }
    for index in &indexes {
        // Of a partitioned table: its children too.
        db.raw(&index[1].as_ref().unwrap().replace(" ON ONLY ", " ON ")).await;
    }
    db.raw(if db.is_sqlite() {
        "ANALYZE"
    } else {
        "VACUUM ANALYZE radacct"
    })
    .await;
}

async fn fill_sqlite(db: &Database, first: i64) {
    let n = subscribers();
    db.raw(&format!(
        "PRAGMA cache_size = -500000; PRAGMA synchronous = OFF;
         WITH RECURSIVE s (s) AS (SELECT 0 UNION ALL SELECT s + 1 FROM s WHERE s < {n} - 1),
            k (k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM k WHERE k < {SESSIONS}),
            r AS (SELECT s, k, (s + k * 7919) % {n} AS n, {first} + k * {STEP} + s * 7 % {DAY} AS start FROM k, s)
         INSERT INTO radacct ({COLUMNS})
         SELECT 's' || s || '-' || k, printf('%032x', s * 1000 + k), 'user' || s, '10.255.0.' || (s % 200),
            'port' || (s % 4096), datetime(start, 'unixepoch'), datetime(start + {STEP} - 43200, 'unixepoch'),
            CASE WHEN k < {SESSIONS} THEN datetime(start + {STEP} - 43200, 'unixepoch') END, 1800000, 1000000000,
            20000000000, printf('%012x', s), 'User-Request', printf('10.%d.%d.%d', n >> 16, n >> 8 & 255, n & 255),
            printf('2001:db8:%x:%x::/64', 1 + (n >> 15), 1 + (n & 32767)),
            printf('2001:dc0:%x:%x00::/56', 1 + (n >> 7), 1 + (n & 127)), 't1', 'sub' || s, 1, printf('%012x', s)
         FROM r"
    ))
    .await;
}

async fn fill_postgres(db: &Database, first: i64) {
    let n = subscribers();
    db.query(&format!(
        "SELECT radacct_create_month(to_timestamp({first}) + month * interval '1 month')::text
         FROM generate_series(0, 37) AS month"
    ))
    .await;
    db.raw(&format!(
        "INSERT INTO radacct ({COLUMNS})
         SELECT 's' || s || '-' || k, md5(s || '-' || k), 'user' || s, ('10.255.0.' || s % 200)::inet, 'port' || s % 4096,
            to_timestamp(start), to_timestamp(start + {STEP} - 43200),
            CASE WHEN k < {SESSIONS} THEN to_timestamp(start + {STEP} - 43200) END, 1800000, 1000000000, 20000000000, mac,
            'User-Request', '10.0.0.0'::inet + n,
            format('2001:db8:%s:%s::/64', to_hex(1 + (n >> 15)), to_hex(1 + (n & 32767)))::inet,
            format('2001:dc0:%s:%s00::/56', to_hex(1 + (n >> 7)), to_hex(1 + (n & 127)))::inet, 't1', 'sub' || s, true, mac
         FROM generate_series(0, {n} - 1) s, generate_series(0, {SESSIONS}) k, LATERAL (SELECT (s + k * 7919) % {n} AS n,
            {first}::bigint + k * {STEP} + s * 7 % {DAY} AS start, lpad(to_hex(s), 12, '0') AS mac) r"
    ))
    .await;
}

async fn whohad(db: &Database) {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let first = i64::try_from(now).unwrap() - (SESSIONS + 1) * STEP;
    let (started, n) = (Instant::now(), subscribers());
    fill(db, first).await;
    eprintln!("{} closed, {n} open: filled in {:.0?}", n * SESSIONS, started.elapsed());
    type Ask = fn(i64, i64) -> String;
    let asked: [(&str, Ask); 4] = [
        ("IPv4 address", |_, n| {
            format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)
        }),
        ("IPv6 in framed prefix", |_, n| {
            format!("2001:db8:{:x}:{:x}::5", 1 + (n >> 15), 1 + (n & 32_767))
        }),
        ("IPv6 in delegated prefix", |_, n| {
            format!("2001:dc0:{:x}:{:x}07::5", 1 + (n >> 7), 1 + (n & 127))
        }),
        ("MAC address", |s, _| format!("{s:012x}")),
    ];
    for (age, oldest, newest) in [
        ("any time", 0, SESSIONS),
        ("36 months ago", 0, 0),
        ("now", SESSIONS, SESSIONS),
    ] {
        for (what, address) in asked {
            let mut times = Vec::new();
            for _ in 0..1_000 {
                let s = i64::try_from(below(n)).unwrap();
                let k = oldest + i64::try_from(below(newest - oldest + 1)).unwrap();
                let at = first + k * STEP + s * 7 % DAY + DAY;
                let address: SessionAddress = address(s, place(s, k, n)).parse().unwrap();
                let asked = Instant::now();
                let holders = db.store.whohad(Some("t1"), address, at..=at, Some(100)).await.unwrap();
                times.push(asked.elapsed());
                let username = format!("user{s}");
                assert!(
                    holders.iter().any(|h| h.session.username.as_deref() == Some(&username)),
                    "{address} at {at}"
                );
            }
            times.sort();
            let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
            eprintln!(
                "{what}, {age}: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
                ms(times[500]),
                ms(times[990]),
                ms(times[999])
            );
        }
    }
}

/// A number below `end`: spread, and the same in each run.
fn below(end: i64) -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static STATE: AtomicU64 = AtomicU64::new(0);
    let step = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let mixed = (step ^ (step >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)) % u64::try_from(end).unwrap()
}
