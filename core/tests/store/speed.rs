//! How fast the bulk operations are, for a person to read. Not part of a normal run:
//! `cargo test --release -p isp-core --test store speed -- --ignored --nocapture --test-threads 1`

use std::time::Instant;

use isp_core::accounting::period::Period;
use isp_core::accounting::quota::{Effect, Metric, Quota, Tier};
use isp_core::store::SnapshotSink;
use isp_core::subscriber::{Subscriber, SubscriberRecord};

use crate::harness::{Database, plan, tenant};

const IMPORTED: usize = 200_000;
const BATCH: usize = 4_096;

#[test]
#[ignore = "takes minutes, asserts nothing"]
fn on_sqlite() {
    crate::harness::on_sqlite(|db| Box::pin(bulk(db)));
}

#[test]
#[ignore = "takes minutes, asserts nothing"]
fn on_postgres() {
    crate::harness::on_postgres(|db| Box::pin(bulk(db)));
}

#[test]
#[ignore = "takes minutes, asserts nothing"]
fn accounting_on_sqlite() {
    crate::harness::on_sqlite(|db| Box::pin(accounting(db)));
}

#[test]
#[ignore = "takes minutes, asserts nothing"]
fn accounting_on_postgres() {
    crate::harness::on_postgres(|db| Box::pin(accounting(db)));
}

/// The same where every record is of a subscriber who has a quota.
#[test]
#[ignore = "takes minutes, asserts nothing"]
fn metered_accounting_on_sqlite() {
    crate::harness::on_sqlite(|db| Box::pin(metered_accounting(db)));
}

#[test]
#[ignore = "takes minutes, asserts nothing"]
fn metered_accounting_on_postgres() {
    crate::harness::on_postgres(|db| Box::pin(metered_accounting(db)));
}

struct Count(usize);

impl SnapshotSink for Count {
    fn tenant(&mut self, _: isp_core::tenant::Tenant) {}
    fn plan(&mut self, _: isp_core::plan::Plan) {}
    fn nas(&mut self, _: isp_core::nas::NasRecord) {}
    fn condition(&mut self, _: isp_core::tenant::TenantCondition) {}
    fn realm(&mut self, _: isp_core::tenant::TenantRealm) {}
    fn group_row(&mut self, _: isp_core::group::GroupRow) {}
    fn subscriber(&mut self, subscriber: SubscriberRecord) {
        self.0 += subscriber.replies.len() + 1;
    }
}

fn row(number: usize) -> Subscriber {
    Subscriber {
        // As ids that sort by time (UUIDv7) do, and as `ispctl` makes them: one after another.
        id: format!("0199aaaa-bbbb-7ccc-8ddd-{number:012x}"),
        tenant_id: "t1".to_owned(),
        username: format!("user{number:07}@isp.example"),
        password: Some(format!("cleartext:password-{number}")),
        password_hash_method: Some("cleartext".to_owned()),
        subscriber_number: format!("S{number:08}"),
        full_name: Some(format!("Subscriber {number}")),
        status: isp_core::subscriber::Status::Active,
        service_type: "fiber_internet".to_owned(),
        bandwidth_profile_id: Some("p1".to_owned()),
        static_ipv4: Some(std::net::Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap())),
        simultaneous_use: 1,
        ..Subscriber::default()
    }
}

/// Wall and processor time of this process, which differ on a busy machine. (PostgreSQL's own share is not in it.)
struct Clock {
    started: Instant,
    ticks: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            started: Instant::now(),
            ticks: ticks(),
        }
    }

    fn read(&self) -> (f64, f64) {
        (self.started.elapsed().as_secs_f64(), ticks() - self.ticks)
    }
}

/// User and system time in seconds: fields 14 and 15 of proc(5) stat, counted past the program's name.
fn ticks() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

async fn import(db: &Database, rows: std::ops::Range<usize>) {
    let count = rows.len();
    let rows: Vec<Subscriber> = rows.map(row).collect();
    let clock = Clock::start();
    let mut import = db.store.subscriber_import().await.unwrap();
    for batch in rows.chunks(BATCH) {
        import.push(batch).await.unwrap();
    }
    import.commit().await.unwrap();
    let (wall, cpu) = clock.read();
    let rate = count as f64 / wall;
    eprintln!("import {count} rows: {wall:.2} s ({cpu:.2} s of processor), {rate:.0} rows/s");
}

async fn load(db: &Database, what: &str) {
    let mut count = Count(0);
    let clock = Clock::start();
    db.store.load_snapshot(&mut count).await.unwrap();
    let (wall, cpu) = clock.read();
    eprintln!("load {what}: {wall:.2} s ({cpu:.2} s of processor), {} read", count.0);
}

async fn bulk(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    import(db, 0..IMPORTED).await;
    let loaded = std::env::var("ISP_SPEED_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    import(db, IMPORTED..loaded).await;
    for _ in 0..2 {
        load(db, "alone").await;
    }
    db.raw(
        "INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id, service_vlan)
         SELECT id, tenant_id, id, 100 FROM subscribers",
    )
    .await;
    load(db, "with a network profile each").await;
    db.raw(
        "INSERT INTO radreply (tenant_id, subscriber_id, username, attribute, op, value)
         SELECT tenant_id, id, username, 'Class', ':=', 'gold' FROM subscribers",
    )
    .await;
    load(db, "with a profile and a raw row each").await;
}

const SESSIONS: usize = 50_000;
const RECORDS: usize = 2_048;

/// Start, two Interim-Updates and a Stop of each of many sessions, as an applier writes them.
async fn accounting(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    import(db, 0..SESSIONS).await;
    fill(db).await;
    record(db).await;
}

async fn metered_accounting(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    import(db, 0..SESSIONS).await;
    fill(db).await;
    let clock = Clock::start();
    let quota = Quota {
        id: "q1".to_owned(),
        tenant_id: "t1".to_owned(),
        plan_id: "p1".to_owned(),
        metric: Metric::Total,
        period: Period::Month,
        tiers: vec![Tier {
            threshold: 1 << 50,
            effect: Effect::Refuse,
        }],
    };
    db.store.quota_add(&quota).await.unwrap();
    let (wall, cpu) = clock.read();
    eprintln!("quota of a plan with {SESSIONS} subscribers: {wall:.2} s ({cpu:.2} s of processor)");
    record(db).await;
}

/// A month of use.
async fn fill(db: &Database) {
    let day = if db.is_sqlite() {
        "date('now', '-' || n || ' days')"
    } else {
        "current_date - n"
    };
    let numbers = "WITH RECURSIVE r (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 29)";
    db.raw(&format!(
        "{numbers} INSERT INTO usage_daily (subscriber_id, day, tenant_id, upload_octets, download_octets, seconds)
         SELECT id, {day}, tenant_id, 1, 1, 1 FROM subscribers, r"
    ))
    .await;
}

async fn record(db: &Database) {
    for (what, seconds) in [
        ("Start", 0),
        ("Interim-Update", 300),
        ("Interim-Update", 600),
        ("Stop", 900),
    ] {
        // No two neighbours of one step are neighbours in the table.
        let records: Vec<_> = (0..SESSIONS)
            .map(|n| accounting_record(n * 7_919 % SESSIONS, what, seconds))
            .collect();
        let clock = Clock::start();
        for batch in records.chunks(RECORDS) {
            db.store.record_accounting(batch).await.unwrap();
        }
        let (wall, cpu) = clock.read();
        let rate = SESSIONS as f64 / wall;
        eprintln!("{what}: {wall:.2} s ({cpu:.2} s of processor), {rate:.0} records/s");
    }
}

fn accounting_record(number: usize, what: &str, seconds: u32) -> isp_core::accounting::AccountingRecord {
    let unique = format!("{number:x}");
    let octets = u64::from(seconds) * 1_000_000;
    let record = match what {
        "Start" => crate::accounting::start(&unique, 0),
        "Stop" => crate::accounting::stop(&unique, i64::from(seconds), seconds, octets, 8 * octets),
        _ => crate::accounting::interim(&unique, i64::from(seconds), seconds, octets, 8 * octets),
    };
    let subscriber = row(number);
    isp_core::accounting::AccountingRecord {
        subscriber_id: Some(subscriber.id),
        user_name: subscriber.username,
        framed_ip_address: subscriber.static_ipv4,
        ..record
    }
}
