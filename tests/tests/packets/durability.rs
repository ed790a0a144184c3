//! Acknowledged is stored: whatever is killed, away, full or damaged meanwhile.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::cluster::Cluster;
use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, accounting, login};
use e2e::radiusd::{PATIENCE, Radiusd};
use e2e::seed::PASSWORD;
use e2e::traffic::Traffic;

use crate::accounting::settled;
use crate::server_on;

const THREADS: usize = 8;
/// Environment variable: how often the server is killed in the long run.
const ROUNDS: &str = "ISP_CHAOS_ROUNDS";

fn seeded(database: Database) -> Database {
    let database = database.seeded();
    database.add("alice");
    database
}

/// Wait for so many further acknowledged packets.
#[track_caller]
fn acknowledged(traffic: &Traffic, more: u64) {
    let target = traffic.acknowledged() + more;
    e2e::wait_for("packets are acknowledged", PATIENCE, || {
        traffic.acknowledged() >= target
    });
}

/// Kill the server under load so often; all that it acknowledged, in whatever round, is in the database in the end.
fn killed_under_load(database: Database, rounds: u32) {
    let database = seeded(database);
    let traffic = Traffic::default();
    let mut random = fastrand::Rng::new();
    let begun = Instant::now();
    let mut configuration = server_on(&database).snapshot().quiet();
    for _ in 0..rounds {
        let server = configuration.start();
        configuration = traffic.drive(server.acct_port(), THREADS, || {
            acknowledged(&traffic, random.u64(1..1_500));
            server.kill()
        });
    }
    let server = configuration.start();
    settled(&server, &database);
    let sessions = traffic.assert_kept(&database);
    eprintln!(
        "{rounds} rounds in {:.0?}: {} packets acknowledged, {sessions} sessions",
        begun.elapsed(),
        traffic.acknowledged()
    );
    assert!(server.stop().0.success());
}

on_both_databases! {
    fn killed_under_load_it_keeps_what_it_acknowledged(database) {
        killed_under_load(database, 3);
    }

    #[ignore = "takes minutes: scripts/test chaos"]
    fn chaos_killed_under_load_it_keeps_what_it_acknowledged(database) {
        let rounds = std::env::var(ROUNDS).map_or(100, |text| text.parse().expect("a number of rounds"));
        killed_under_load(database, rounds);
    }
}

/// Load while the database is away, the server killed in the middle of it, and all of it there when the database is back.
fn away_for_the_whole_load(database: Database, away: impl FnOnce(), back: impl FnOnce()) {
    let traffic = Traffic::default();
    let configuration = server_on(&database).snapshot().quiet();
    let snapshot = configuration.directory().join("snapshot");
    let server = configuration.start();
    e2e::wait_for("the snapshot is on disk", PATIENCE, || snapshot.exists());
    away();
    let configuration = traffic.drive(server.acct_port(), THREADS, || {
        acknowledged(&traffic, 1_000);
        server.kill()
    });
    let server = configuration.start();
    traffic.drive(server.acct_port(), THREADS, || acknowledged(&traffic, 1_000));
    back();
    settled(&server, &database);
    traffic.assert_kept(&database);
    let log = server.log();
    assert!(log.contains("accounting records wait in the journal"), "{log}");
    assert!(log.contains("accounting records go to the database again"), "{log}");
}

#[test]
fn postgres_stopped_for_the_whole_load() {
    if !Database::has_postgres() {
        return;
    }
    let cluster = Cluster::start();
    let database = seeded(Database::on(cluster.url()));
    away_for_the_whole_load(database, || cluster.halt(), || cluster.resume());
}

#[test]
fn sqlite_gone_for_the_whole_load() {
    let database = seeded(Database::sqlite());
    let file = database.file();
    let aside = file.with_extension("away");
    let swap = |from: &Path, to: &Path| {
        for suffix in ["", "-wal", "-shm"] {
            let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            if name(from).exists() {
                fs::rename(name(from), name(to)).unwrap();
            }
        }
    };
    // Whoever has the file open could still write into it: nobody has, when the server is killed.
    database.wait(database.store().close());
    let traffic = Traffic::default();
    let configuration = server_on(&database).snapshot().quiet();
    let snapshot = configuration.directory().join("snapshot");
    let server = configuration.start();
    e2e::wait_for("the snapshot is on disk", PATIENCE, || snapshot.exists());
    let configuration = server.kill();
    swap(&file, &aside);
    let server = configuration.start();
    traffic.drive(server.acct_port(), THREADS, || acknowledged(&traffic, 1_000));
    assert!(!file.exists());
    swap(&aside, &file);
    settled(&server, &database);
    traffic.assert_kept(&database);
}

/// A file system of the test's own; needs root.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::TempDir::with_prefix("disk-").unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        e2e::skip("no file system can be mounted here");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn with_the_disk_full_there_is_no_answer_until_there_is_room() {
    let Some(disk) = Disk::mount("24m") else { return };
    let database = seeded(Database::sqlite());
    let journal = disk.0.path().join("journal");
    let server = server_on(&database)
        .key("accounting.journal", journal.to_str().unwrap())
        .quiet()
        .start();
    let filler = disk.0.path().join("filler");
    fs::write(&filler, vec![1; 20 << 20]).unwrap();
    for session in ["full-1", "full-2"] {
        assert_eq!(accounting("Start", "alice", session).impatient().send(&server), None);
    }
    assert!(
        login(Method::Pap, "alice", PASSWORD).ask(&server).accepted(),
        "logins go on"
    );
    let log = server.log();
    let told = log
        .lines()
        .filter(|line| line.contains("accounting packets are not answered"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1, "once: {log}");
    assert!(
        told[0].contains("No space left") && told[0].contains(journal.to_str().unwrap()),
        "{told:?}"
    );
    fs::remove_file(filler).unwrap();
    assert!(accounting("Start", "alice", "room").send(&server).is_some());
    assert!(server.log().contains("the journal takes records again"));
    assert!(
        log.contains("is in memory"),
        "a tmpfs does not survive a loss of power: {log}"
    );
    settled(&server, &database);
    let rows = database.query("SELECT acctsessionid FROM radacct WHERE username = 'alice'");
    assert_eq!(rows, [[Some("room".to_owned())]]);
}

/// The one segment of the server's journal that has records in it.
fn segment(server_directory: &Path) -> PathBuf {
    let entries = fs::read_dir(server_directory.join("accounting")).unwrap();
    let mut segments: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.remove(0)
}

/// Ten acknowledged records that are not applied, the server killed, the journal damaged: what is in the database then.
fn damaged(damage: impl FnOnce(&File, u64)) -> (Vec<String>, String, Radiusd) {
    let database = seeded(Database::sqlite());
    let server = server_on(&database).snapshot().quiet().start();
    let mut other = database.session();
    other.execute("BEGIN EXCLUSIVE");
    for number in 0..10 {
        let _ = accounting("Start", "alice", &format!("damaged-{number}")).ask(&server);
    }
    let configuration = server.kill();
    let path = segment(configuration.directory());
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1;
    damage(&File::options().read(true).write(true).open(&path).unwrap(), end);
    other.execute("ROLLBACK");
    let server = configuration.start();
    settled(&server, &database);
    assert!(path.with_extension("damaged").exists(), "kept aside");
    let rows = database.query("SELECT acctsessionid FROM radacct WHERE username = 'alice' ORDER BY acctsessionid");
    let kept = rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect();
    (kept, server.log(), server)
}

fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 0x04;
    file.write_all_at(&byte, at).unwrap();
}

fn all_but(missing: u32) -> Vec<String> {
    (0..10)
        .filter(|&n| n != missing)
        .map(|n| format!("damaged-{n}"))
        .collect()
}

#[test]
fn a_journal_torn_in_its_last_record_keeps_the_others() {
    let (kept, log, _server) = damaged(|file, end| file.set_len(end - 20).unwrap());
    assert_eq!(kept, all_but(9));
    assert!(log.contains("are no whole record and are cut off"), "{log}");
}

#[test]
fn a_journal_with_a_bit_changed_in_its_last_record_keeps_the_others() {
    let (kept, log, _server) = damaged(|file, end| flip(file, end - 20));
    assert_eq!(kept, all_but(9));
    assert!(log.contains("are no whole record and are cut off"), "{log}");
}

#[test]
fn a_journal_with_a_bit_changed_in_the_middle_keeps_the_others() {
    let (kept, log, _server) = damaged(|file, end| flip(file, end / 2));
    assert_eq!(kept.len(), 9, "{kept:?}");
    assert!(log.contains("1 accounting records (number"), "{log}");
}

/// A server that has much to apply when it is told to stop leaves in time, and the next one applies the rest.
#[test]
fn a_backlog_does_not_keep_the_server_from_stopping() {
    let database = seeded(Database::sqlite());
    let traffic = Traffic::default();
    let server = server_on(&database).snapshot().quiet().start();
    let mut other = database.session();
    other.execute("BEGIN EXCLUSIVE");
    traffic.drive(server.acct_port(), THREADS, || acknowledged(&traffic, 500));
    let told = Instant::now();
    let (status, configuration) = server.stop();
    assert!(status.success());
    assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
    other.execute("ROLLBACK");
    let server = configuration.start();
    settled(&server, &database);
    traffic.assert_kept(&database);
}
