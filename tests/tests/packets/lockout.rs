//! Guessing passwords.

use std::time::{Duration, Instant};

use e2e::database::Database;
use e2e::eapol::{self, Eap};
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, Packet, login};
use e2e::radiusd::{Builder, Radiusd};
use e2e::seed::PASSWORD;
use isp_core::password::Scheme;

use crate::{assert_recorded, recorded, server_on};

const OWN: &str = "02:00:5e:00:53:01";
const THIEF: &str = "02:00:5e:00:53:66";

fn guarded(database: &Database) -> Builder {
    server_on(database)
        .key("lockout.threshold", "3")
        .key("lockout.source_threshold", "10")
        .key("lockout.duration", "3")
}

fn try_with(method: Method, name: &str, password: &str, station: &str) -> Packet {
    login(method, name, password).with("Calling-Station-Id", station)
}

fn asked(server: &Radiusd, name: &str, password: &str, station: &str) -> Answer {
    try_with(Method::Pap, name, password, station).ask(server)
}

on_both_databases! {
    fn a_name_is_locked_for_the_device_that_guesses_and_no_other(database) {
        let database = database.seeded();
        for (name, scheme) in [("pap", Scheme::Cleartext), ("hash", Scheme::Argon2id), ("ntlm", Scheme::Nt)] {
            database.add_with(name, scheme, |subscriber| subscriber.simultaneous_use = 0);
        }
        let server = guarded(&database).key("lockout.source_threshold", "0").start();
        for (name, method) in [("pap", Method::Pap), ("hash", Method::Pap), ("ntlm", Method::MsChapV2)] {
            let by = |password: &str, station: &str| try_with(method, name, password, station).ask(&server).accepted();
            assert!(by(PASSWORD, OWN), "{name}");
            for _ in 0..3 {
                assert!(!by("guess", THIEF), "{name}");
                assert_recorded(&database, name, "bad_password");
            }
            assert!(!by(PASSWORD, THIEF), "{name}: the right one is not looked at either");
            assert_recorded(&database, name, "locked_out");
            assert!(by(PASSWORD, OWN), "{name}: its own device");
            let began = Instant::now();
            e2e::wait_for("the end of the lock", Duration::from_secs(6), || by(PASSWORD, THIEF));
            assert!(began.elapsed() > Duration::from_secs(1), "{name}");
        }
        let log = server.log();
        assert!(log.contains("is locked for 3 s after 3 failed logins (user \"hash\")"), "{log}");
        assert!(log.contains("locked_out: too many wrong passwords from this device"), "{log}");
    }

    fn a_device_is_locked_whatever_names_it_tries(database) {
        let database = database.seeded();
        database.add("alice");
        let server = guarded(&database).start();
        for n in 0..10 {
            assert!(!asked(&server, &format!("user{n}"), "guess", THIEF).accepted());
        }
        assert!(!asked(&server, "alice", PASSWORD, THIEF).accepted());
        assert_recorded(&database, "alice", "locked_out");
        assert!(!asked(&server, "user0", "guess", THIEF).accepted());
        assert_recorded(&database, "user0", "locked_out");
        assert!(asked(&server, "alice", PASSWORD, OWN).accepted());
        e2e::wait_for("the end of the lock", Duration::from_secs(6), || asked(&server, "alice", PASSWORD, OWN).accepted());
        assert_eq!(recorded(&database, "user1"), ["unknown_subscriber"]);
    }
}

#[test]
fn what_is_inside_a_tunnel_is_locked_by_its_own_name() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    database.add("bob");
    let server = guarded(&database)
        .key("lockout.source_threshold", "0")
        .key("lockout.duration", "60")
        .start();
    let accepted =
        |name: &str, password: &str| eapol::login(&server, Eap::TtlsPap, "anonymous", name, password).accepted;
    for _ in 0..3 {
        assert!(!accepted("alice", "guess"));
        assert_recorded(&database, "alice", "bad_password");
    }
    assert!(!accepted("alice", PASSWORD));
    assert_recorded(&database, "alice", "locked_out");
    assert!(accepted("bob", PASSWORD), "behind the same device");
}

#[test]
fn refusals_are_held_back_longer_and_longer() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    let server = guarded(&database)
        .key("lockout.delay", "0.25")
        .key("lockout.max_delay", "1.5")
        .edit("local.conf", "reject_delay = 0", "reject_delay = 1")
        .start();
    let mut waited = Vec::new();
    for password in ["guess", "guess", "guess", PASSWORD] {
        let began = Instant::now();
        let answer = asked(&server, "alice", password, THIEF);
        assert!(!answer.accepted());
        assert!(
            answer.attributes.is_empty(),
            "nothing of it is in the packet: {answer:?}"
        );
        waited.push(began.elapsed().as_secs_f64());
    }
    for (least, waited) in [0.25, 0.5, 1.0, 1.5].into_iter().zip(&waited) {
        // The answers of a busy machine are late.
        assert!((least..least + 0.9).contains(waited), "{least} s and not {waited:?}");
    }
    assert!(waited[0] < 1.0, "shorter than for everybody: {waited:?}");
    let began = Instant::now();
    assert!(asked(&server, "alice", PASSWORD, OWN).accepted());
    assert!(began.elapsed() < Duration::from_secs(1), "an accept waits for nothing");
}
