//! The database goes away: during load, and before the server starts.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use e2e::cluster::Cluster;
use e2e::database::Database;
use e2e::link::Link;
use e2e::radclient::{Method, accounting, login};
use e2e::radiusd::{Radiusd, configure};
use e2e::seed::PASSWORD;
use isp_core::password::Scheme;
use isp_core::subscriber::Status;

use crate::accounting::settled;
use crate::server_on;

/// How long a node may take to find out that the database is back.
const RECOVERY: Duration = Duration::from_secs(15);

fn seed(database: Database) -> Database {
    let database = database.seeded();
    database.add("alice");
    database.add_with("sue", Scheme::Cleartext, |s| s.status = Status::Suspended);
    database.add_with("hash", Scheme::Sha256, |_| {});
    database
}

/// Answers that must be the same whether the database is there or not.
#[track_caller]
fn answers_are_right(server: &Radiusd) {
    for method in [Method::Pap, Method::Chap, Method::MsChapV1] {
        assert!(login(method, "alice", PASSWORD).ask(server).accepted());
        assert!(!login(method, "alice", "wrong").ask(server).accepted());
        assert!(!login(method, "sue", PASSWORD).ask(server).accepted());
    }
    assert!(login(Method::Pap, "hash", PASSWORD).ask(server).accepted());
    assert!(!login(Method::Pap, "nobody", PASSWORD).ask(server).accepted());
}

/// Log in without a pause on two threads while `outage` goes on. Returns how many answers there were; all were right.
/// `outage` can ask how many there were so far.
fn under_load(server: &Radiusd, outage: impl FnOnce(&dyn Fn() -> u32)) -> u32 {
    let over = AtomicBool::new(false);
    let answers = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        assert!(login(Method::Pap, "alice", PASSWORD).ask(server).accepted());
                        assert!(!login(Method::Chap, "alice", "wrong").ask(server).accepted());
                        assert!(!login(Method::Pap, "sue", PASSWORD).ask(server).accepted());
                        answers.fetch_add(3, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        outage(&|| answers.load(Ordering::Relaxed));
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("every answer was right");
        }
    });
    answers.into_inner()
}

#[track_caller]
fn change_arrives(server: &Radiusd) {
    e2e::wait_for("a change made during the outage arrives", RECOVERY, || {
        login(Method::Pap, "sue", PASSWORD).ask(server).accepted()
            && !login(Method::Pap, "alice", PASSWORD).ask(server).accepted()
    });
}

const SWAP: [&str; 2] = [
    "UPDATE subscribers SET status = 'active' WHERE username = 'sue'",
    "UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'",
];

#[test]
fn postgres_away_during_load() {
    let Some(database) = Database::postgres() else { return };
    let database = seed(database);
    let mut link = Link::to(database.url());
    let server = configure(link.url())
        .key_file(database.key_file())
        .key("accounting.mode", "database")
        .snapshot()
        .quiet()
        .start();
    let start = accounting("Start", "alice", "s1");
    let answered = under_load(&server, |_| {
        link.cut();
        // Acknowledged is stored: with no database there is no answer.
        for _ in 0..2 {
            assert_eq!(start.clone().impatient().send(&server), None);
        }
    });
    assert!(answered > 0);
    for sql in SWAP {
        database.execute(sql);
    }
    answers_are_right(&server);
    link.restore();
    change_arrives(&server);
    e2e::wait_for("accounting is answered again", RECOVERY, || {
        start.clone().impatient().send(&server).is_some()
    });
    assert_eq!(
        database.value("SELECT CAST(count(*) AS TEXT) FROM radacct").as_deref(),
        Some("1")
    );
}

#[test]
fn postgres_stopped_and_started_during_load() {
    if !Database::has_postgres() {
        return;
    }
    let cluster = Cluster::start();
    let database = seed(Database::on(cluster.url()));
    let server = server_on(&database).snapshot().quiet().start();
    let answered = under_load(&server, |answered| {
        let more = |what| {
            let before = answered();
            e2e::wait_for(what, RECOVERY, || answered() > before + 100);
        };
        more("logins before");
        cluster.halt();
        more("logins while it is away");
        answers_are_right(&server);
        cluster.resume();
        more("logins when it is back");
    });
    assert!(answered > 300);
    for sql in SWAP {
        database.execute(sql);
    }
    change_arrives(&server);
}

#[test]
fn sqlite_locked_during_load() {
    let database = seed(Database::sqlite());
    let server = server_on(&database).key("accounting.mode", "database").quiet().start();
    let mut other = database.session();
    let answered = under_load(&server, |_| {
        other.execute("BEGIN EXCLUSIVE");
        assert_eq!(accounting("Start", "alice", "s1").impatient().send(&server), None);
    });
    assert!(answered > 0);
    for sql in SWAP {
        other.execute(sql);
    }
    answers_are_right(&server);
    other.execute("COMMIT");
    change_arrives(&server);
    e2e::wait_for("accounting is answered again", RECOVERY, || {
        accounting("Start", "alice", "s1").impatient().send(&server).is_some()
    });
}

#[test]
fn postgres_away_when_the_server_starts() {
    let Some(database) = Database::postgres() else { return };
    let database = seed(database);
    let mut link = Link::to(database.url());
    let configuration = configure(link.url()).key_file(database.key_file()).snapshot();
    let server = configuration.start();
    answers_are_right(&server);
    let (_, configuration) = server.stop();
    link.cut();
    for sql in SWAP {
        database.execute(sql);
    }
    let server = configuration.start();
    answers_are_right(&server);
    assert!(accounting("Start", "alice", "s1").impatient().send(&server).is_some());
    link.restore();
    change_arrives(&server);
    settled(&server, &database);
    let kept = "SELECT CAST(count(*) AS TEXT) FROM radacct WHERE acctsessionid = 's1'";
    assert_eq!(database.value(kept).as_deref(), Some("1"));
}

#[test]
fn sqlite_file_gone_when_the_server_starts() {
    let database = seed(Database::sqlite());
    let configuration = server_on(&database).snapshot();
    let server = configuration.start();
    answers_are_right(&server);
    let (_, configuration) = server.stop();
    for sql in SWAP {
        database.execute(sql);
    }
    database.wait(database.store().close());
    let away = database.file().with_extension("away");
    std::fs::rename(database.file(), &away).unwrap();
    let server = configuration.start();
    answers_are_right(&server);
    assert!(!database.file().exists(), "the server made an empty database");
    std::fs::rename(&away, database.file()).unwrap();
    change_arrives(&server);
}

#[test]
fn a_crash_leaves_a_snapshot_to_start_from() {
    let database = seed(Database::sqlite());
    let server = server_on(&database).snapshot().start();
    let snapshot = server.directory().join("snapshot");
    e2e::wait_for("the snapshot is on disk", RECOVERY, || snapshot.exists());
    let configuration = server.kill();
    database.wait(database.store().close());
    std::fs::remove_file(database.file()).unwrap();
    let server = configuration.start();
    answers_are_right(&server);
}

#[test]
fn with_neither_database_nor_snapshot_the_server_does_not_start() {
    let database = seed(Database::sqlite());
    let url = database.url().replace("isp.db", "none.db");
    let log = configure(&url)
        .key_file(database.key_file())
        .try_start()
        .expect_err("nothing to serve from");
    assert!(log.contains("none.db"), "the log names the database\n{log}");
    assert!(
        !database.file().with_file_name("none.db").exists(),
        "the server made an empty database"
    );
}

#[test]
fn a_snapshot_of_no_use_is_said_to_be_so() {
    let database = seed(Database::sqlite());
    let configuration = server_on(&database).snapshot();
    let snapshot = configuration.directory().join("snapshot");
    std::fs::write(&snapshot, b"this is no snapshot").unwrap();
    // The database serves; the file is only the fallback.
    let server = configuration.start();
    answers_are_right(&server);
    let (_, configuration) = server.stop();
    let mut damaged = std::fs::read(&snapshot).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    std::fs::write(&snapshot, damaged).unwrap();
    database.wait(database.store().close());
    std::fs::remove_file(database.file()).unwrap();
    let log = configuration
        .try_start()
        .expect_err("a damaged snapshot is not served from");
    assert!(log.contains("snapshot"), "{log}");
}

#[test]
fn a_snapshot_past_its_age_is_not_served_from() {
    let Some(database) = Database::postgres() else { return };
    let database = seed(database);
    let mut link = Link::to(database.url());
    let server = configure(link.url())
        .key_file(database.key_file())
        .key("snapshot.max_age", "10")
        .quiet()
        .start();
    answers_are_right(&server);
    link.cut();
    // rust_or_silence: a fault of ours is no refusal.
    e2e::wait_for(
        "the snapshot is too old and the server silent",
        Duration::from_secs(40),
        || {
            login(Method::Pap, "alice", PASSWORD)
                .impatient()
                .send(&server)
                .is_none()
        },
    );
    link.restore();
    e2e::wait_for("it serves again", RECOVERY, || {
        login(Method::Pap, "alice", PASSWORD)
            .impatient()
            .send(&server)
            .is_some_and(|answer| answer.accepted())
    });
}
