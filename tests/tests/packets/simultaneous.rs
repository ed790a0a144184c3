//! Simultaneous use: how many sessions a subscriber may have at once.

use std::time::Duration;

use e2e::database::Database;
use e2e::eapol::{self, Eap};
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, accounting, login};
use e2e::radiusd::Radiusd;
use e2e::seed::PASSWORD;
use isp_core::password::Scheme;

use crate::{assert_recorded, recorded, server_on};

const ONE: &str = "00-00-5E-00-53-01";
const TWO: &str = "00-00-5E-00-53-02";
const THREE: &str = "00-00-5E-00-53-03";

fn from(server: &Radiusd, station: &str) -> Answer {
    login(Method::Pap, "alice", PASSWORD)
        .with("Calling-Station-Id", station)
        .ask(server)
}

fn told(server: &Radiusd, status: &str, session: &str, station: &str) {
    let answer = accounting(status, "alice", session)
        .with("Calling-Station-Id", station)
        .line("Acct-Session-Time = 1")
        .ask(server);
    assert_eq!(answer.code, "Accounting-Response");
}

fn limited(database: Database, sessions: u32) -> Database {
    let database = database.seeded();
    database.add_with("alice", Scheme::Cleartext, |alice| alice.simultaneous_use = sessions);
    database
}

/// Rows of sessions that are open, or not.
fn sessions(database: &Database, open: bool) -> usize {
    let stop = if open { "IS NULL" } else { "IS NOT NULL" };
    let rows = database.query(&format!("SELECT acctsessionid FROM radacct WHERE acctstoptime {stop}"));
    rows.len()
}

fn a_place_is_held_and_freed(database: Database, mode: &str) {
    let database = limited(database, 2);
    let server = server_on(&database).key("sessions.simultaneous_use", mode).start();
    assert!(from(&server, ONE).accepted());
    told(&server, "Start", "s1", ONE);
    assert!(from(&server, TWO).accepted(), "the second of two");
    told(&server, "Start", "s2", TWO);
    e2e::wait_for("the sessions are in the database", Duration::from_secs(10), || {
        sessions(&database, true) == 2
    });
    let answer = from(&server, THREE);
    assert_eq!(answer.code, "Access-Reject");
    assert_eq!(
        answer.values("Mikrotik-Rate-Limit"),
        Vec::<&str>::new(),
        "nothing of the accept is left"
    );
    assert_recorded(&database, "alice", "too_many_sessions");
    assert!(server.log().contains("2 of 2 sessions are in use"), "{}", server.log());
    assert!(
        from(&server, "0000.5e00.5301").accepted(),
        "the same device, written otherwise"
    );
    told(&server, "Stop", "s2", TWO);
    e2e::wait_for("the Stop is in the database", Duration::from_secs(10), || {
        sessions(&database, false) == 1
    });
    assert!(from(&server, THREE).accepted(), "a Stop frees the place");
    assert_eq!(
        recorded(&database, "alice")
            .iter()
            .filter(|reason| *reason == "too_many_sessions")
            .count(),
        1
    );
}

on_both_databases! {
    fn a_place_is_held_and_freed_as_the_server_knows(database) {
        a_place_is_held_and_freed(database, "node");
    }

    fn a_place_is_held_and_freed_as_the_database_knows(database) {
        a_place_is_held_and_freed(database, "strict");
    }

    fn an_accepted_login_holds_its_place_for_a_while(database) {
        let database = limited(database, 1);
        for mode in ["node", "strict"] {
            let server = server_on(&database)
                .key("sessions.simultaneous_use", mode)
                .key("sessions.claim", "1")
                .start();
            assert!(from(&server, ONE).accepted());
            assert!(!from(&server, TWO).accepted(), "{mode}");
            e2e::wait_for("the claim expires", Duration::from_secs(10), || from(&server, TWO).accepted());
            e2e::wait_for("the other, too", Duration::from_secs(10), || from(&server, THREE).accepted());
        }
    }

    fn no_limit_is_none_and_off_is_off(database) {
        let database = limited(database, 0);
        database.add("bob");
        let server = server_on(&database).start();
        for station in [ONE, TWO, THREE] {
            assert!(from(&server, station).accepted());
        }
        drop(server);
        let server = server_on(&database).key("sessions.simultaneous_use", "off").start();
        for station in [ONE, TWO, THREE] {
            let bob = login(Method::Pap, "bob", PASSWORD).with("Calling-Station-Id", station);
            assert!(bob.ask(&server).accepted());
        }
    }

    fn a_tunnel_is_one_login(database) {
        let database = limited(database, 1);
        let server = server_on(&database).start();
        for eap in [Eap::PeapMsChapV2, Eap::TtlsPap] {
            let outcome = eapol::login(&server, eap, "anonymous", "alice", PASSWORD);
            assert!(outcome.accepted, "{}", outcome.log);
        }
        assert!(!from(&server, TWO).accepted(), "the place is taken by the name inside");
        drop(server);
        // Taken when the tunnel comes: its login fails.
        let server = server_on(&database).start();
        assert!(from(&server, TWO).accepted());
        let outcome = eapol::login(&server, Eap::PeapMsChapV2, "anonymous", "alice", PASSWORD);
        assert!(!outcome.accepted, "{}", outcome.log);
        assert_recorded(&database, "alice", "too_many_sessions");
    }

    fn who_was_online_when_the_server_started_counts(database) {
        let database = limited(database, 1);
        let server = server_on(&database).start();
        told(&server, "Start", "s1", ONE);
        e2e::wait_for("the session is in the database", Duration::from_secs(10), || sessions(&database, true) == 1);
        drop(server);
        let server = server_on(&database).key("sessions.claim", "1").start();
        // Read in the background; a login before that is let in.
        e2e::wait_for("it knows", Duration::from_secs(20), || !from(&server, TWO).accepted());
        assert!(from(&server, ONE).accepted());
    }

    fn two_servers_on_one_database_never_accept_one_too_many(database) {
        rounds(database, 20);
    }

    #[ignore = "1,000 rounds take minutes: make chaos"]
    fn chaos_two_servers_on_one_database(database) {
        let rounds_wanted = std::env::var("ISP_CHAOS_LOGINS").map_or(1_000, |text| text.parse().unwrap());
        rounds(database, rounds_wanted);
    }
}

/// In each round two devices of another subscriber log in at one moment, at one server each.
fn rounds(database: Database, rounds: u32) {
    let database = database.seeded();
    for round in 0..rounds {
        database.add(&format!("sub{round}"));
    }
    let start = || {
        server_on(&database)
            .key("sessions.simultaneous_use", "strict")
            .key("sessions.timeout", "10")
            .quiet()
            .start()
    };
    let servers = [start(), start()];
    let mut accepted = 0;
    for round in 0..rounds {
        let name = format!("sub{round}");
        let answers: Vec<bool> = std::thread::scope(|scope| {
            let logins: Vec<_> = servers
                .iter()
                .zip([ONE, TWO])
                .map(|(server, station)| {
                    let packet = login(Method::Pap, &name, PASSWORD).with("Calling-Station-Id", station);
                    scope.spawn(move || packet.ask(server).accepted())
                })
                .collect();
            logins.into_iter().map(|login| login.join().unwrap()).collect()
        });
        assert_ne!(answers, [true, true], "round {round}");
        accepted += answers.iter().filter(|accepted| **accepted).count();
    }
    assert_eq!(accepted, rounds as usize, "one of each two is let in");
    eprintln!("{rounds} rounds: one of two accepted in each");
}
