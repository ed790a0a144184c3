//! The life of a server with the module in it: signals, daemon, many rounds, valgrind.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::database::Database;
use e2e::eapol::{self, Eap};
use e2e::radclient::{Method, accounting, login};
use e2e::radiusd::{Builder, PATIENCE, Radiusd};
use e2e::seed::PASSWORD;
use isp_core::password::Scheme;

use crate::{recorded, server_on};

fn seeded() -> Database {
    let database = Database::sqlite().seeded();
    database.add("alice");
    database.add_with("hash", Scheme::Argon2id, |_| {});
    database
}

fn exchange(server: &Radiusd) {
    assert!(login(Method::Pap, "alice", PASSWORD).ask(server).accepted());
    assert!(!login(Method::MsChapV1, "alice", "wrong").ask(server).accepted());
    assert!(login(Method::Pap, "hash", PASSWORD).ask(server).accepted());
    assert!(accounting("Start", "alice", "s").send(server).is_some());
}

#[test]
fn hangup_changes_nothing() {
    let database = seeded();
    let mut server = server_on(&database).start();
    for _ in 0..5 {
        server.signal("HUP");
        exchange(&server);
    }
    assert!(server.alive());
    database.execute("UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'");
    e2e::wait_for("changes still arrive", Duration::from_secs(5), || {
        !login(Method::Pap, "alice", PASSWORD).ask(&server).accepted()
    });
    assert!(server.stop().0.success());
}

#[test]
fn terminated_under_load_it_stops_cleanly_and_keeps_what_it_acknowledged() {
    let database = seeded();
    let server = server_on(&database).quiet().start();
    let (over, acknowledged) = (AtomicBool::new(false), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (server, over, acknowledged) = (&server, &over, &acknowledged);
            scope.spawn(move || {
                for round in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let session = format!("load-{worker}-{round}");
                    if accounting("Start", "alice", &session)
                        .impatient()
                        .send(server)
                        .is_some()
                    {
                        acknowledged.lock().unwrap().push(session);
                    }
                    let _ = login(Method::Pap, "alice", PASSWORD).impatient().send(server);
                }
            });
        }
        e2e::wait_for("load", PATIENCE, || acknowledged.lock().unwrap().len() > 5);
        server.signal("TERM");
        over.store(true, Ordering::Relaxed);
    });
    let (status, _) = server.wait();
    assert!(status.success(), "{status}");
    for session in acknowledged.into_inner().unwrap() {
        let sql = format!("SELECT CAST(count(*) AS TEXT) FROM radacct WHERE acctsessionid = '{session}'");
        assert_eq!(database.value(&sql).as_deref(), Some("1"), "{session} was acknowledged");
    }
}

#[test]
fn as_a_daemon_it_serves_and_follows_changes() {
    let database = seeded();
    let server = server_on(&database).daemon().start();
    exchange(&server);
    database.execute("UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'");
    e2e::wait_for(
        "the follower lives in the daemon, not in its parent",
        Duration::from_secs(5),
        || !login(Method::Pap, "alice", PASSWORD).ask(&server).accepted(),
    );
    server.stop();
    assert!(
        recorded(&database, "alice").len() >= 2,
        "what was queued is written at the end"
    );
}

/// Start, exchange, stop. Returns the open files and the memory (KiB) of the server before it stopped, and how long
/// starting and stopping took.
fn round(configuration: Builder) -> (Builder, usize, Duration) {
    let begun = Instant::now();
    let server = configuration.start();
    exchange(&server);
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let (status, configuration) = server.stop();
    assert!(status.success(), "{status}");
    (configuration, files, begun.elapsed())
}

fn rounds(count: u32) {
    let database = seeded();
    let mut configuration = server_on(&database).snapshot().quiet();
    let mut files = Vec::new();
    for _ in 0..count {
        let (next, open, took) = round(configuration);
        configuration = next;
        files.push(open);
        assert!(took < PATIENCE);
    }
    let left: Vec<_> = std::fs::read_dir(configuration.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tmp") || name.contains("new"))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "files left behind");
    assert!(
        files.iter().max().unwrap() - files.iter().min().unwrap() <= 4,
        "open files per round: {files:?}"
    );
    assert_eq!(
        recorded(&database, "alice").len() as u32,
        2 * count,
        "every login of every round is recorded"
    );
}

#[test]
fn a_few_rounds_of_starting_and_stopping() {
    rounds(5);
}

#[test]
#[ignore = "long: make soak"]
fn soak_fifty_rounds_of_starting_and_stopping() {
    rounds(50);
}

#[test]
#[ignore = "long: make soak"]
fn soak_load_leaks_no_memory_and_no_files() {
    let database = seeded();
    let server = server_on(&database).quiet().start();
    let load = |seconds| {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            exchange(&server);
        }
    };
    load(20);
    let before = resident_kib(server.pid());
    load(60);
    let after = resident_kib(server.pid());
    assert!(
        after < before + before / 10 + 2048,
        "resident memory grew from {before} to {after} KiB"
    );
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn under_valgrind(exchanges: u32) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        e2e::skip("valgrind is not installed");
        return;
    }
    let database = seeded();
    let server = server_on(&database).snapshot().quiet().under_valgrind().start();
    for _ in 0..exchanges {
        exchange(&server);
    }
    assert!(eapol::login(&server, Eap::PeapMsChapV2, "anonymous", "alice", PASSWORD).accepted);
    assert!(eapol::login(&server, Eap::TtlsPap, "anonymous", "hash", PASSWORD).accepted);
    database.execute("UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'");
    e2e::wait_for("a change arrives", PATIENCE, || {
        !login(Method::Pap, "alice", PASSWORD).ask(&server).accepted()
    });
    let (status, configuration) = server.stop();
    let report = std::fs::read_to_string(configuration.directory().join("valgrind")).unwrap();
    assert!(status.success(), "{status}\n{report}");
    assert!(report.contains("ERROR SUMMARY: 0 errors"), "{report}");
}

#[test]
fn under_valgrind_a_run_with_real_packets_is_clean() {
    under_valgrind(3);
}

#[test]
#[ignore = "long: make valgrind"]
fn valgrind_finds_nothing_in_a_long_run() {
    under_valgrind(300);
}
