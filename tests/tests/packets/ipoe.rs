//! Lines that bring no credentials: found by where they end.

use std::time::Duration;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, Packet, accounting, login};
use e2e::radiusd::Radiusd;
use e2e::seed::{PASSWORD, TENANT};
use isp_core::network_profile::NetworkProfile;
use isp_core::password::Scheme;
use isp_core::store::SessionFilter;

use crate::{assert_recorded, server_on};

const MAC: &str = "02:00:5e:00:53:01";

/// Alice and bob, each with a password and a device of its own.
fn base(database: Database) -> Database {
    let database = database.seeded();
    for (name, mac) in [("alice", MAC), ("bob", "02-00-5e-00-53-02")] {
        database.add_with(name, Scheme::Cleartext, |subscriber| {
            subscriber.bandwidth_profile_id = Some(format!("{TENANT}-fibre"));
            subscriber.cpe_mac_address = Some(mac.to_owned());
            subscriber.simultaneous_use = 0;
        });
    }
    database
}

fn find_by(database: &Database, rule: &str) {
    database.execute(&format!("UPDATE tenants SET lookup_by = '{rule}'"));
}

/// What a NAS sends for a lease: the device as the name, and the same password for all.
fn lease(user_name: &str, station: &str) -> Packet {
    login(Method::Pap, user_name, "static").with("Calling-Station-Id", station)
}

fn is_alice(answer: &Answer) -> bool {
    answer.accepted()
        && answer.values("User-Name") == ["alice"]
        && answer.values("Mikrotik-Rate-Limit") == ["20000k/100000k"]
}

/// A change of the database reaches the server within a second.
#[track_caller]
fn comes_to(server: &Radiusd, packet: &Packet, what: &str, holds: impl Fn(&Answer) -> bool) {
    e2e::wait_for(what, Duration::from_secs(1), || holds(&packet.clone().ask(server)));
}

on_both_databases! {
    fn a_line_is_found_by_its_mac_address_without_a_password(database) {
        let database = base(database);
        let server = server_on(&database).start();
        assert!(!lease(MAC, MAC).ask(&server).accepted(), "no tenant does so unless it says so");
        assert_recorded(&database, MAC, "unknown_subscriber");
        find_by(&database, "mac");
        comes_to(&server, &lease(MAC, MAC), "the rule", is_alice);
        for notation in ["02:00:5e:00:53:01", "02-00-5E-00-53-01", "0200.5e00.5301", "02005E005301"] {
            let answer = lease(notation, MAC).ask(&server);
            assert!(is_alice(&answer), "{notation}: {answer:?}");
            let answer = lease(MAC, notation).ask(&server);
            assert!(is_alice(&answer), "{notation}: {answer:?}");
        }
        assert!(is_alice(&login(Method::Pap, MAC, "").with("Calling-Station-Id", MAC).ask(&server)), "an empty password");
        let bare = Packet::access_request().with("User-Name", "dhcp").with("Calling-Station-Id", MAC);
        assert!(is_alice(&bare.ask(&server)), "none, and a name of nobody");
        assert_recorded(&database, "dhcp", "accepted");

        database.execute("UPDATE subscribers SET cpe_mac_address = '02:00:5e:00:53:03' WHERE username = 'alice'");
        comes_to(&server, &lease("02:00:5e:00:53:03", "02:00:5e:00:53:03"), "another device", is_alice);
        assert!(!lease(MAC, MAC).ask(&server).accepted(), "the device before");
        database.execute("UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'");
        let other = lease("02-00-5e-00-53-03", "02:00:5e:00:53:03");
        comes_to(&server, &other, "a refusal", |answer| !answer.accepted());
        assert_recorded(&database, "02-00-5e-00-53-03", "suspended");
    }

    fn a_line_is_nobodys_password(database) {
        let database = base(database);
        find_by(&database, "mac");
        let server = server_on(&database).start();
        assert!(is_alice(&lease(MAC, MAC).ask(&server)));
        let from_alice = |packet: Packet| packet.with("Calling-Station-Id", MAC);
        for (what, packet) in [
            ("another's name and a wrong password", from_alice(login(Method::Pap, "bob", "wrong"))),
            ("its own name and a wrong password", from_alice(login(Method::Pap, "alice", "wrong"))),
            ("another's name and no password", from_alice(Packet::access_request().with("User-Name", "bob"))),
            ("a name of nobody and a password", from_alice(login(Method::Pap, "carol", "guess"))),
            ("CHAP", from_alice(login(Method::Chap, MAC, "static"))),
            ("MS-CHAP", from_alice(login(Method::MsChapV2, MAC, "static"))),
            ("PPP", lease(MAC, MAC).line("Framed-Protocol = PPP")),
            ("a device that the NAS does not tell of", login(Method::Pap, MAC, "static")),
            ("another than the NAS tells of", lease(MAC, "02:00:5e:00:53:09")),
        ] {
            let answer = packet.ask(&server);
            assert!(!answer.accepted(), "{what}: {answer:?}");
        }
        let bob = from_alice(login(Method::Pap, "bob", PASSWORD)).ask(&server);
        assert!(bob.accepted() && bob.values("User-Name").is_empty(), "a name and its password: {bob:?}");

        database.execute("UPDATE subscribers SET cpe_mac_address = '02005e005301' WHERE username = 'bob'");
        comes_to(&server, &lease(MAC, MAC), "no guess", |answer| !answer.accepted());
        assert_recorded(&database, MAC, "ambiguous_line");
        assert!(server.log().contains("ambiguous_line: several subscribers"), "{}", server.log());
    }

    fn a_line_is_found_by_its_circuit(database) {
        let database = base(database);
        let lines = [("alice", "0x0006000a00ff", Some("olt1")), ("bob", "OLT1 1/1/3", None)];
        for (name, circuit, remote) in lines {
            let subscriber = format!("{TENANT}-{name}");
            let profile = NetworkProfile {
                circuit_id: Some(circuit.to_owned()),
                remote_id: remote.map(str::to_owned),
                ..NetworkProfile::blank(format!("n-{name}"), TENANT.to_owned(), subscriber)
            };
            database.wait(database.store().network_profile_set(&profile)).unwrap();
        }
        find_by(&database, "circuit_id");
        let server = server_on(&database).start();
        let by = |circuit: &str, remote: &str| {
            lease(MAC, MAC).line(&format!("{circuit} = 0x0006000a00ff")).line(&format!("{remote} = 0x6f6c7431"))
        };
        for (circuit, remote) in [
            ("ADSL-Agent-Circuit-Id", "ADSL-Agent-Remote-Id"),
            ("Agent-Circuit-Id", "Agent-Remote-Id"),
        ] {
            let answer = by(circuit, remote).ask(&server);
            assert!(is_alice(&answer), "{circuit}: {answer:?}");
        }
        let elsewhere = lease(MAC, MAC)
            .line("ADSL-Agent-Circuit-Id = 0x0006000a00ff")
            .line("ADSL-Agent-Remote-Id = 0x6f6c7432");
        assert!(!elsewhere.ask(&server).accepted(), "the same circuit of another node");
        let named = login(Method::Pap, "OLT1 1/1/3", "static").line("ADSL-Agent-Circuit-Id = 0x4f4c543120312f312f33");
        let answer = named.ask(&server);
        assert_eq!(answer.values("User-Name"), ["bob"], "{answer:?}");
        assert!(!login(Method::Pap, "OLT1 1/1/3", "static").ask(&server).accepted(), "User-Name alone");

        database.execute("UPDATE subscriber_network_profiles SET circuit_id = '0x0006000a00fe' WHERE remote_id = 'olt1'");
        let moved = lease(MAC, MAC).line("ADSL-Agent-Circuit-Id = 0x0006000a00fe").line("ADSL-Agent-Remote-Id = 0x6f6c7431");
        comes_to(&server, &moved, "another circuit", is_alice);
    }

    fn what_a_line_uses_is_its_subscribers(database) {
        let database = base(database);
        find_by(&database, "mac");
        database.execute("UPDATE subscribers SET simultaneous_use = 1");
        let server = server_on(&database).start();
        let session = |status: &str, name: &str, id: &str| accounting(status, name, id).with("Calling-Station-Id", MAC);
        assert_eq!(session("Start", MAC, "s1").ask(&server).code, "Accounting-Response");
        assert_eq!(session("Start", "alice", "s2").ask(&server).code, "Accounting-Response");
        let filter = SessionFilter { subscriber_id: Some(format!("{TENANT}-alice")), ..SessionFilter::default() };
        e2e::wait_for("both sessions", Duration::from_secs(10), || {
            database.wait(database.store().session_list(&filter)).is_ok_and(|sessions| sessions.len() == 2)
        });
        // simultaneous_use is 1, and another device asks.
        database.execute(
            "UPDATE subscribers SET cpe_mac_address = NULL; \
             INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id, mac_addresses) \
             VALUES ('n', 'acme', 'acme-alice', '02:00:5e:00:53:01 02:00:5e:00:53:07')",
        );
        let other = lease("02:00:5e:00:53:07", "02:00:5e:00:53:07");
        e2e::wait_for("a session too many", Duration::from_secs(5), || {
            let answer = other.clone().ask(&server);
            !answer.accepted() && crate::recorded(&database, "02:00:5e:00:53:07").last().is_some_and(|r| r == "too_many_sessions")
        });
    }
}
