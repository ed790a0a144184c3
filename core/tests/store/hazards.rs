//! What must stay one row's, one tenant's or one session's trouble.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use isp_core::accounting::{AccountingRecord, AcctStatusType};
use isp_core::store::{Change, Feed, Store, StoreError};

use crate::harness::{Base, Database, block_on, nas, plan, subscriber, tenant};

on_both_databases!(
    numbers_no_reply_can_carry_are_refused,
    an_unreadable_row_costs_only_itself,
    an_unreadable_change_takes_a_subscriber_away,
    sessions_of_two_tenants_never_merge,
    a_restart_in_the_future_is_taken_as_now,
    a_session_heard_of_after_a_restart_goes_on,
    a_reported_stop_is_never_reopened,
    absurd_counters_are_ignored,
);

const T: i64 = 1_700_000_000;

fn record(status: AcctStatusType, unique: &str, at: i64, seconds: u32, octets: u64) -> AccountingRecord {
    AccountingRecord {
        status,
        tenant_id: Some("t1".to_owned()),
        subscriber_id: None,
        acct_session_id: unique.to_owned(),
        acct_unique_id: unique.to_owned(),
        user_name: "ada".to_owned(),
        realm: String::new(),
        nas_ip_address: "192.0.2.1".parse().unwrap(),
        nas_port_id: None,
        nas_port_type: None,
        event_time: at,
        session_time: Some(seconds),
        authentic: None,
        connect_info: None,
        input_octets: Some(octets),
        output_octets: Some(octets),
        called_station_id: None,
        calling_station_id: None,
        terminate_cause: None,
        service_type: None,
        framed_protocol: None,
        framed_ip_address: None,
        framed_ipv6_address: None,
        framed_ipv6_prefix: None,
        framed_interface_id: None,
        delegated_ipv6_prefix: None,
        class: None,
        multi_session_id: None,
        gigawords: false,
        received: at,
        interim_interval: None,
    }
}

fn start(unique: &str, at: i64) -> AccountingRecord {
    record(AcctStatusType::Start, unique, at, 0, 0)
}

fn interim(unique: &str, at: i64, seconds: u32) -> AccountingRecord {
    record(AcctStatusType::InterimUpdate, unique, at, seconds, 1)
}

fn on(at: i64) -> AccountingRecord {
    record(AcctStatusType::AccountingOn, "", at, 0, 0)
}

async fn write(db: &Database, records: &[AccountingRecord]) {
    db.store.record_accounting(records).await.unwrap();
}

/// `stop cause` of each session, by its id; the stop in seconds after `T`.
async fn stops(db: &Database) -> Vec<String> {
    let stop = if db.is_sqlite() {
        format!("CAST(unixepoch(acctstoptime) - {T} AS TEXT)")
    } else {
        format!("(extract(epoch FROM acctstoptime)::bigint - {T})::text")
    };
    let rows = db
        .query(&format!(
            "SELECT coalesce({stop}, '-') || ' ' || coalesce(acctterminatecause, '-') FROM radacct
             ORDER BY acctuniqueid, tenant_id"
        ))
        .await;
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

async fn numbers_no_reply_can_carry_are_refused(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
    for (table, columns) in [
        (
            "subscribers",
            "session_timeout idle_timeout simultaneous_use download_speed_kbps upload_speed_kbps",
        ),
        (
            "radius_bandwidth_profiles",
            "download_rate_kbps upload_rate_kbps download_burst_kbps upload_burst_kbps session_timeout idle_timeout
             acct_interim_interval",
        ),
    ] {
        for column in columns.split_whitespace() {
            db.raw(&format!("UPDATE {table} SET {column} = 4294967295")).await;
            let refused = db.execute(&format!("UPDATE {table} SET {column} = 4294967296")).await;
            assert!(refused.is_err(), "{table}.{column}");
        }
    }
    let base = db.load().await;
    assert_eq!(base.subscriber_of("ada").session_timeout, Some(u32::MAX));
    assert_eq!(base.plans[0].download_rate_kbps, u32::MAX);
    for column in ["activation_date", "expiration_date", "created_at", "updated_at"] {
        let refused = db
            .execute(&format!("UPDATE subscribers SET {column} = 'infinity'"))
            .await;
        assert!(refused.is_err(), "{column}");
    }
}

/// Past the checks of the schema, as a tool can that switches them off.
pub(crate) async fn unchecked(db: &Database, table: &str, column: &str, update: &str) {
    if db.is_sqlite() {
        db.raw(&format!("PRAGMA ignore_check_constraints = ON; {update}")).await;
    } else {
        db.raw(&format!("ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_check"))
            .await;
        db.raw(update).await;
    }
}

async fn an_unreadable_row_costs_only_itself(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    for id in ["p1", "p2"] {
        db.store.plan_add(&plan(id, "t1")).await.unwrap();
    }
    db.store.nas_add(&nas("t1", "192.0.2.1")).await.unwrap();
    for id in ["ada", "bob", "eve"] {
        let mut subscriber = subscriber(id, "t1");
        subscriber.static_ipv4 = None;
        db.store.subscriber_add(&subscriber).await.unwrap();
    }
    let update = "UPDATE subscribers SET session_timeout = 5000000000 WHERE id = 'ada'";
    unchecked(db, "subscribers", "session_timeout", update).await;
    let update = "UPDATE subscribers SET status = 'paused' WHERE id = 'bob'";
    unchecked(db, "subscribers", "status", update).await;
    let update = "UPDATE radius_bandwidth_profiles SET upload_rate_kbps = -1 WHERE id = 'p1'";
    unchecked(db, "radius_bandwidth_profiles", "upload_rate_kbps", update).await;
    let base = db.load().await;
    let ids: Vec<_> = base.subscribers.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["eve"]);
    let plans: Vec<_> = base.plans.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(plans, ["p2"]);
    assert_eq!((base.tenants.len(), base.nas.len()), (1, 1));
}

async fn changes(db: &Database, from: &isp_core::store::FeedPosition) -> Vec<Change> {
    let mut feed = db
        .store
        .follow(from.clone(), std::time::Duration::from_millis(10))
        .await
        .unwrap();
    match feed.next(100).await.unwrap() {
        Feed::Changes { changes, .. } => changes,
        Feed::Lost => panic!("lost"),
    }
}

async fn an_unreadable_change_takes_a_subscriber_away(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
    let mut base = Base::default();
    let position = db.store.load_snapshot(&mut base).await.unwrap();
    let update = "UPDATE subscribers SET idle_timeout = 5000000000";
    unchecked(db, "subscribers", "idle_timeout", update).await;
    let changes = changes(db, &position).await;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].old_username.as_deref(), Some("ada"));
    let mut now = Base::default();
    let ids = [changes[0].id.clone()];
    db.store.load_subscribers(&ids, &mut now).await.unwrap();
    assert_eq!(now.subscribers.len(), 0, "what cannot be read is not there");
}

async fn sessions_of_two_tenants_never_merge(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    let mut of_other = start("1", T + 5);
    of_other.tenant_id = Some("t2".to_owned());
    let mut of_nobody = start("1", T + 6);
    of_nobody.tenant_id = None;
    write(db, &[start("1", T), of_other.clone(), of_nobody]).await;
    let mut stop = record(AcctStatusType::Stop, "1", T + 60, 55, 9);
    stop.tenant_id = Some("t2".to_owned());
    write(db, &[stop]).await;
    // Reported late: the restart ends what t1 had open, and only that.
    write(db, &[on(T + 100), start("1", T)]).await;
    let mut stops = stops(db).await;
    stops.sort();
    assert_eq!(stops, ["- -", "100 NAS-Reboot", "60 -"]);
}

async fn a_restart_in_the_future_is_taken_as_now(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let year = 365 * 86_400;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    write(db, &[start("1", now - 60), on(now + 10 * year)]).await;
    let (open, reload) = if db.is_sqlite() {
        ("acctstoptime IS NULL", "CAST(unixepoch(reloadtime) AS TEXT)")
    } else {
        ("acctstoptime IS NULL", "extract(epoch FROM reloadtime)::bigint::text")
    };
    let reload = db.value(&format!("SELECT {reload} FROM nasreload")).await.unwrap();
    assert!(
        (reload.parse::<i64>().unwrap() - now).abs() < 60,
        "{reload} is not {now}"
    );
    write(db, &[start("2", now + 120)]).await;
    let open = db
        .query(&format!("SELECT acctuniqueid FROM radacct WHERE {open}"))
        .await;
    assert_eq!(open, [[Some("2".to_owned())]], "what began after it is open");
}

async fn a_session_heard_of_after_a_restart_goes_on(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let packets = [start("1", T), on(T + 500), interim("1", T + 600, 600)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        db.raw("DELETE FROM radacct").await;
        db.raw("DELETE FROM nasreload").await;
        for index in order {
            write(db, &packets[index..=index]).await;
        }
        assert_eq!(stops(db).await, ["- -"], "{order:?}");
        write(db, &packets).await;
        assert_eq!(stops(db).await, ["- -"], "{order:?} and once more");
    }
    let mut stop = record(AcctStatusType::Stop, "1", T + 700, 700, 2);
    stop.terminate_cause = Some("User-Request".to_owned());
    write(db, &[on(T + 650), stop]).await;
    assert_eq!(stops(db).await, ["700 User-Request"]);
}

async fn a_reported_stop_is_never_reopened(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut stop = record(AcctStatusType::Stop, "1", T + 400, 400, 2);
    stop.terminate_cause = Some("NAS-Reboot".to_owned());
    write(db, &[start("1", T), stop, on(T + 500)]).await;
    write(db, &[interim("1", T + 450, 450)]).await;
    assert_eq!(stops(db).await, ["400 NAS-Reboot"]);
}

async fn absurd_counters_are_ignored(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let count = |at, octets| record(AcctStatusType::InterimUpdate, "1", T + at, 10, octets);
    write(db, &[count(10, 1_000), count(20, u64::MAX), count(30, (1 << 62) + 1)]).await;
    let octets = "SELECT CAST(acctinputoctets + acctoutputoctets AS TEXT) FROM radacct";
    assert_eq!(db.value(octets).await.as_deref(), Some("2000"));
    write(db, &[count(40, 3_000)]).await;
    assert_eq!(db.value(octets).await.as_deref(), Some("6000"), "counting goes on");
}

/// SQLite has statements that put a row in the place of another and run no delete trigger.
#[test]
fn a_replaced_subscriber_reaches_the_feed() {
    crate::harness::on_sqlite(|db| Box::pin(replace_subscribers(db)));
}

async fn replace_subscribers(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    for id in ["ada", "bob", "eve", "dan", "gil"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    let insert = "INSERT OR REPLACE INTO subscribers (id, tenant_id, username, subscriber_number) VALUES";
    for (statement, replaced) in [
        (format!("{insert} ('ada', 't1', 'lovelace', 'N-1')"), "ada"),
        (format!("{insert} ('new1', 't1', 'bob', 'N-2')"), "bob"),
        (format!("{insert} ('new2', 't1', 'other', 'N-eve')"), "eve"),
        (
            "UPDATE OR REPLACE subscribers SET username = 'dan' WHERE id = 'gil'".to_owned(),
            "dan",
        ),
    ] {
        let position = db.store.load_snapshot(&mut Base::default()).await.unwrap();
        db.raw(&statement).await;
        let changes = changes(db, &position).await;
        let told = changes
            .iter()
            .any(|c| c.id == replaced && c.old_username.as_deref() == Some(replaced));
        assert!(told, "{statement}: {changes:?}");
    }
    let mut ids: Vec<_> = db.load().await.subscribers.into_iter().map(|s| s.id).collect();
    ids.sort();
    assert_eq!(ids, ["ada", "gil", "new1", "new2"]);
}

/// Whoever had the row before must be read again, too.
#[test]
fn a_replaced_row_reaches_the_feed_of_who_had_it() {
    crate::harness::on_sqlite(|db| Box::pin(replace_rows(db)));
}

async fn replace_rows(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    for id in ["ada", "bob"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    for statement in [
        "INSERT INTO radcheck (id, tenant_id, username, attribute, op, value) VALUES (7, 't1', 'ada', 'Class', '==', 'a')",
        "INSERT INTO radreply (id, tenant_id, username, attribute, op, value) VALUES (7, 't1', 'ada', 'Class', '=', 'a')",
        "INSERT INTO radusergroup (id, tenant_id, username, groupname) VALUES (7, 't1', 'ada', 'gold')",
        "INSERT INTO radgroupcheck (id, tenant_id, groupname, attribute, op, value) VALUES (7, 't1', 'g', 'Class', '==', 'a')",
        "INSERT INTO radgroupreply (id, tenant_id, groupname, attribute, op, value) VALUES (7, 't1', 'g', 'Class', '=', 'a')",
        "INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id) VALUES ('n', 't1', 'ada')",
        "INSERT INTO subscriber_schedule (id, tenant_id, subscriber_id, at, status)
            VALUES ('s', 't1', 'ada', '2030-01-01 00:00:00', 'active')",
        "INSERT INTO nas (id, tenant_id, nasname, secret) VALUES (7, 't1', '192.0.2.1', 'x'), (8, 't1', '192.0.2.2', 'x'),
            (9, 't1', '192.0.2.3', 'x')",
        "INSERT INTO radcheck (id, tenant_id, username, attribute, op, value) VALUES (8, 't1', 'ada', 'Class', '==', 'a')",
        "INSERT INTO radreply (id, tenant_id, username, attribute, op, value) VALUES (8, 't1', 'ada', 'Class', '=', 'a')",
        "INSERT INTO radusergroup (id, tenant_id, username, groupname) VALUES (8, 't1', 'ada', 'gold')",
        "INSERT INTO radgroupcheck (id, tenant_id, groupname, attribute, op, value) VALUES (8, 't1', 'g', 'Class', '==', 'a')",
        "INSERT INTO radgroupreply (id, tenant_id, groupname, attribute, op, value) VALUES (8, 't1', 'g', 'Class', '=', 'a')",
    ] {
        db.raw(statement).await;
    }
    for (statement, tenant, replaced) in [
        (
            "REPLACE INTO radcheck (id, tenant_id, username, attribute, op, value) VALUES (7, 't1', 'bob', 'Class', '==', 'a')",
            "t1",
            "ada",
        ),
        (
            "REPLACE INTO radreply (id, tenant_id, username, attribute, op, value) VALUES (7, 't1', 'bob', 'Class', '=', 'a')",
            "t1",
            "ada",
        ),
        (
            "REPLACE INTO radusergroup (id, tenant_id, username, groupname) VALUES (7, 't1', 'bob', 'gold')",
            "t1",
            "ada",
        ),
        (
            "REPLACE INTO radgroupcheck (id, tenant_id, groupname, attribute, op, value) VALUES (7, 't2', 'g', 'Class', '==', 'a')",
            "t1",
            "t1",
        ),
        (
            "REPLACE INTO radgroupreply (id, tenant_id, groupname, attribute, op, value) VALUES (7, 't2', 'g', 'Class', '=', 'a')",
            "t1",
            "t1",
        ),
        (
            "REPLACE INTO subscriber_network_profiles (id, tenant_id, subscriber_id) VALUES ('n', 't1', 'bob')",
            "t1",
            "ada",
        ),
        (
            "REPLACE INTO subscriber_schedule (id, tenant_id, subscriber_id, at, status)
                VALUES ('s', 't1', 'bob', '2030-01-01 00:00:00', 'active')",
            "t1",
            "ada",
        ),
        (
            "REPLACE INTO nas (id, tenant_id, nasname, secret) VALUES (7, 't2', '192.0.2.9', 'x')",
            "t1",
            "7",
        ),
        (
            "REPLACE INTO nas (tenant_id, nasname, secret) VALUES ('t2', '192.0.2.2', 'x')",
            "t1",
            "8",
        ),
        (
            "UPDATE OR REPLACE nas SET nasname = '192.0.2.3' WHERE id = 7",
            "t1",
            "9",
        ),
        ("UPDATE OR REPLACE radcheck SET id = 7 WHERE id = 8", "t1", "bob"),
        ("UPDATE OR REPLACE radreply SET id = 7 WHERE id = 8", "t1", "bob"),
        ("UPDATE OR REPLACE radusergroup SET id = 7 WHERE id = 8", "t1", "bob"),
        ("UPDATE OR REPLACE radgroupcheck SET id = 7 WHERE id = 8", "t2", "t2"),
        ("UPDATE OR REPLACE radgroupreply SET id = 7 WHERE id = 8", "t2", "t2"),
        (
            "UPDATE OR REPLACE subscriber_network_profiles SET id = 'm' WHERE id = 'n'",
            "t1",
            "bob",
        ),
        (
            "UPDATE OR REPLACE subscriber_schedule SET id = 'r' WHERE id = 's'",
            "t1",
            "bob",
        ),
    ] {
        let position = db.store.load_snapshot(&mut Base::default()).await.unwrap();
        db.raw(statement).await;
        let changes = changes(db, &position).await;
        let told = changes.iter().any(|c| c.tenant_id == tenant && c.id == replaced);
        assert!(told, "{statement}: {changes:?}");
    }
}

/// The program of the system may be older than the library in this build.
#[test]
fn the_systems_sqlite3_can_write() {
    if Command::new("sqlite3").arg("-version").output().is_err() {
        eprintln!("SKIP: writing by the sqlite3 program is not tested, it is not installed");
        return;
    }
    crate::harness::on_sqlite(|db| Box::pin(write_by_sqlite3(db)));
}

async fn write_by_sqlite3(db: &Database) {
    let file = db.url.strip_prefix("sqlite://").unwrap();
    let script = "PRAGMA foreign_keys = ON;
        INSERT INTO tenants (id, name) VALUES ('t1', 'One');
        INSERT INTO radius_bandwidth_profiles (id, tenant_id, name, download_rate_kbps, upload_rate_kbps)
            VALUES ('p1', 't1', 'Plan', 1000, 1000);
        INSERT INTO nas (nasname, secret) VALUES ('192.0.2.1', 'x');
        INSERT INTO subscribers (id, tenant_id, username) VALUES ('s1', 't1', 'ada');
        INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id) VALUES ('n1', 't1', 's1');
        INSERT INTO radcheck (username, attribute, op, value) VALUES ('ada', 'Class', '==', 'a');
        UPDATE subscribers SET status = 'active' WHERE id = 's1';";
    let done = Command::new("sqlite3").args(["-bail", file, script]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let base = db.load().await;
    assert_eq!(base.subscriber_of("s1").checks.len(), 1);
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("isp.db");
    let store = block_on(Store::connect(&format!("sqlite://{}", path.display()), 1, true)).unwrap();
    block_on(store.migrate()).unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
    block_on(store.close());
}

#[test]
fn a_mistyped_url_does_not_show_its_password() {
    for url in [
        "postgres:/isp:hunter2@192.0.2.1/isp",
        "postgres:isp:hunter2@192.0.2.1/isp",
        "postgres:///isp:hunter2@192.0.2.1/isp",
        "postgres://isp/hunter2@192.0.2.1/isp",
        "postgres://isp:pass/hunter2@192.0.2.1/isp",
    ] {
        let error = block_on(Store::connect(url, 1, false)).unwrap_err();
        assert!(matches!(error, StoreError::Url(_)), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error:?}");
    }
}
