//! What a decision goes by beside status and plan, seen by packets.

use std::time::Duration;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, Packet, login};
use e2e::radiusd::Radiusd;
use e2e::seed::{PASSWORD, TENANT};
use e2e::ttls::{self, Avp};
use isp_core::dictionary::RowList;
use isp_core::network_profile::NetworkProfile;
use isp_core::password::Scheme;
use isp_core::policy::binding::Enforcement;
use isp_core::policy::schedule::Change;
use isp_core::radius::AttributeType;
use isp_core::store::PlannedChange;
use isp_core::subscriber::Status;
use isp_core::tenant::{Condition, ConditionAction, TenantCondition};

use crate::{assert_recorded, server_on};

fn with_alice(database: Database) -> Database {
    let database = database.seeded();
    database.add_plan(TENANT, "garden", 256, 128);
    database.add_with("alice", Scheme::Cleartext, |alice| {
        alice.bandwidth_profile_id = Some(format!("{TENANT}-fibre"));
        alice.nas_identifier = Some("bng1".to_owned());
    });
    database
}

fn bind(database: &Database, set: impl FnOnce(&mut NetworkProfile)) {
    let subscriber = format!("{TENANT}-alice");
    let mut profile = NetworkProfile::blank("n1".to_owned(), TENANT.to_owned(), subscriber);
    set(&mut profile);
    database.wait(database.store().network_profile_set(&profile)).unwrap();
}

fn says(database: &Database, condition: Condition, action: ConditionAction) {
    let condition = TenantCondition {
        tenant_id: TENANT.to_owned(),
        condition,
        action,
    };
    database
        .wait(database.store().tenant_condition_set(&condition))
        .unwrap();
}

fn alice() -> Packet {
    login(Method::Pap, "alice", PASSWORD)
}

/// A change of the database reaches the server within a second.
#[track_caller]
fn comes_to(server: &Radiusd, packet: &Packet, what: &str, holds: impl Fn(&Answer) -> bool) {
    e2e::wait_for(what, Duration::from_secs(5), || holds(&packet.clone().ask(server)));
}

fn rate(answer: &Answer) -> Option<&str> {
    answer.values("Mikrotik-Rate-Limit").first().copied()
}

on_both_databases! {
    fn the_suspended_get_into_the_walled_garden_and_back(database) {
        let database = with_alice(database);
        let server = server_on(&database).start();
        let packet = alice();
        assert_eq!(rate(&packet.clone().ask(&server)), Some("20000k/100000k"));
        database.execute("UPDATE subscribers SET status = 'suspended'");
        comes_to(&server, &packet, "a refusal", |answer| !answer.accepted());
        assert_recorded(&database, "alice", "suspended");
        says(&database, Condition::Suspended, ConditionAction::Restrict(format!("{TENANT}-garden")));
        comes_to(&server, &packet, "the garden", |answer| rate(answer) == Some("128k/256k"));
        assert_recorded(&database, "alice", "restricted: suspended");
        let wrong = login(Method::Pap, "alice", "another").ask(&server);
        assert!(!wrong.accepted(), "the password counts there too");
        database.execute("UPDATE subscribers SET status = 'active'");
        comes_to(&server, &packet, "all of it", |answer| rate(answer) == Some("20000k/100000k"));
        assert_recorded(&database, "alice", "accepted");
    }

    fn the_expired_may_get_there_too(database) {
        let database = with_alice(database);
        let past = if database.is_sqlite() { "datetime('now', '-1 day')" } else { "now() - interval '1 day'" };
        database.execute(&format!("UPDATE subscribers SET expiration_date = {past}"));
        says(&database, Condition::Expired, ConditionAction::Restrict(format!("{TENANT}-garden")));
        let server = server_on(&database).start();
        let answer = alice().ask(&server);
        assert_eq!(rate(&answer), Some("128k/256k"));
        assert!(answer.values("Session-Timeout").is_empty(), "{answer:?}");
        assert_recorded(&database, "alice", "restricted: expired");
    }

    fn a_line_is_told_by_its_circuit(database) {
        let database = with_alice(database);
        bind(&database, |profile| {
            profile.circuit_id = Some("OLT1 1/1/3".to_owned());
            profile.remote_id = Some("0x00ff".to_owned());
            profile.option82_policy = Enforcement::Enforce;
        });
        let server = server_on(&database).start();
        let from = |circuit: &str, remote: &str| {
            alice().line(&format!("ADSL-Agent-Circuit-Id = {circuit}")).line(&format!("ADSL-Agent-Remote-Id = {remote}"))
        };
        // Octets: the text as its digits.
        assert!(from("0x4f4c543120312f312f33", "0x00ff").ask(&server).accepted());
        assert!(!from("0x4f4c543120312f312f34", "0x00ff").ask(&server).accepted());
        assert_recorded(&database, "alice", "wrong_circuit");
        assert!(!from("0x4f4c543120312f312f33", "0x00fe").ask(&server).accepted());
        assert!(!alice().ask(&server).accepted(), "a packet that does not tell");
        let ericsson = alice().line("Agent-Circuit-Id = 0x4f4c543120312f312f33").line("Agent-Remote-Id = 0x00ff");
        assert!(ericsson.ask(&server).accepted());

        database.execute("UPDATE subscriber_network_profiles SET option82_policy = 'log'");
        let other = from("0x4f4c543120312f312f34", "0x00ff");
        comes_to(&server, &other, "an accept", Answer::accepted);
        let log = server.log();
        assert!(log.contains("wrong_circuit: Agent-Circuit-Id is OLT1 1/1/4"), "{log}");
        database.execute("UPDATE subscriber_network_profiles SET option82_policy = 'ignore'");
    }

    fn a_row_shortens_a_session_and_never_lengthens_one(database) {
        let database = with_alice(database);
        let subscriber = database.wait(database.store().subscriber_get(TENANT, "alice")).unwrap().unwrap();
        database.add_row(RowList::Reply, &subscriber, "Session-Timeout", ":=", "86400");
        let server = server_on(&database).start();
        let timeout = |answer: &Answer| answer.values("Session-Timeout").first().map(|v| v.parse::<u32>().unwrap());
        comes_to(&server, &alice(), "the row", |answer| timeout(answer) == Some(86_400));
        let soon = if database.is_sqlite() {
            "datetime('now', '+60 seconds')"
        } else {
            "now() + interval '60 seconds'"
        };
        database.execute(&format!("UPDATE subscribers SET expiration_date = {soon}"));
        comes_to(&server, &alice(), "the expiry", |answer| timeout(answer).is_some_and(|seconds| seconds <= 60));
        database.execute("UPDATE radreply SET value = '20' WHERE attribute = 'Session-Timeout'");
        comes_to(&server, &alice(), "a shorter one", |answer| timeout(answer) == Some(20));
        // In the walled garden, too.
        let garden = ConditionAction::Restrict(format!("{TENANT}-garden"));
        says(&database, Condition::Suspended, garden);
        database.execute("UPDATE subscribers SET status = 'suspended'");
        let walled = |answer: &Answer| rate(answer) == Some("128k/256k") && timeout(answer) == Some(20);
        comes_to(&server, &alice(), "a restriction", walled);
    }

    /// `=` does not replace, so that an Auth-Type of ours must not be there before it.
    fn a_row_that_rejects_does_so_whatever_the_form_of_the_password(database) {
        let database = database.seeded();
        for (name, scheme) in [("ssha", Scheme::Ssha), ("clear", Scheme::Cleartext)] {
            database.add_with(name, scheme, |_| {});
        }
        let server = server_on(&database).start();
        for name in ["ssha", "clear"] {
            let login = login(Method::Pap, name, PASSWORD);
            assert!(login.ask(&server).accepted(), "{name}");
            let subscriber = database.wait(database.store().subscriber_get(TENANT, name)).unwrap().unwrap();
            database.add_row(RowList::Check, &subscriber, "Auth-Type", "=", "Reject");
            comes_to(&server, &login, name, |answer| !answer.accepted());
        }
    }

    /// Whoever is inside a tunnel may send there what only a NAS can know.
    fn a_subscriber_does_not_say_where_it_is(database) {
        let database = with_alice(database);
        bind(&database, |profile| {
            profile.nas_policy = Enforcement::Enforce;
            profile.mac_addresses = Some("02:00:00:00:00:01".to_owned());
            profile.mac_policy = Enforcement::Enforce;
            profile.circuit_id = Some("olt1/1/2".to_owned());
            profile.option82_policy = Enforcement::Enforce;
        });
        let server = server_on(&database).start();
        let login = |mac: &[u8], inside: &[Avp]| {
            let outside = [
                (AttributeType::CALLING_STATION_ID, mac),
                (AttributeType::NAS_IDENTIFIER, b"bng1"),
                (AttributeType::VENDOR_SPECIFIC, b"\0\0\x0d\xe9\x01\x0aolt1/1/2"),
            ];
            ttls::login(&server, &outside, "alice", PASSWORD, inside)
        };
        let forged = [Avp::new(31, "02-00-00-00-00-01"), Avp::new(32, "bng1"), Avp::new(1, "olt1/1/2").of_vendor(3561)];
        assert!(login(b"02-00-00-00-00-01", &[]), "from her own line");
        assert!(!login(b"02-00-00-00-00-09", &[]));
        assert_recorded(&database, "alice", "wrong_mac");
        assert!(!login(b"02-00-00-00-00-09", &forged), "the device of her own choice");
        assert_recorded(&database, "alice", "wrong_mac");
        let noted = "SELECT DISTINCT callingstationid FROM radpostauth WHERE reply = 'Access-Reject'";
        assert_eq!(database.query(noted), [[Some("02-00-00-00-00-09".to_owned())]]);
        // Nor does a row that compares what she sends.
        let subscriber = database.wait(database.store().subscriber_get(TENANT, "alice")).unwrap().unwrap();
        bind(&database, |_| {});
        database.add_row(RowList::Check, &subscriber, "Calling-Station-Id", "==", "02-00-00-00-00-01");
        let own = || login(b"02-00-00-00-00-01", &[]);
        e2e::wait_for("the row", Duration::from_secs(5), || own() && !login(b"02-00-00-00-00-09", &[]));
        assert!(!login(b"02-00-00-00-00-09", &forged), "a row beaten from inside");
    }

    fn a_line_is_told_by_its_nas_port_vlan_and_device(database) {
        let database = with_alice(database);
        bind(&database, |profile| {
            profile.nas_policy = Enforcement::Enforce;
            profile.nas_port_id = Some("ge-1/0/0.7:100-200".to_owned());
            profile.port_policy = Enforcement::Enforce;
            profile.service_vlan = Some(100);
            profile.inner_vlan = Some(200);
            profile.qinq_enabled = true;
            profile.vlan_policy = Enforcement::Enforce;
            profile.mac_addresses = Some("02:00:00:00:00:01,02:00:00:00:00:02".to_owned());
            profile.mac_policy = Enforcement::Enforce;
        });
        let server = server_on(&database).start();
        let from = |nas: &str, port: &str, mac: &str| {
            alice()
                .line(&format!("NAS-Identifier = \"{nas}\""))
                .line(&format!("NAS-Port-Id = \"{port}\""))
                .line(&format!("Calling-Station-Id = \"{mac}\""))
        };
        let (nas, port, mac) = ("bng1", "ge-1/0/0.7:100-200", "0200.0000.0002");
        assert!(from(nas, port, mac).ask(&server).accepted());
        for (packet, reason) in [
            (from("bng2", port, mac), "wrong_nas"),
            (from(nas, "ge-1/0/0.8:100-200", mac), "wrong_port"),
            (from(nas, port, "02-00-00-00-00-03"), "wrong_mac"),
        ] {
            assert!(!packet.ask(&server).accepted(), "{reason}");
            assert_recorded(&database, "alice", reason);
        }
        database.execute("UPDATE subscriber_network_profiles SET port_policy = 'ignore'");
        let elsewhere = from(nas, "ge-1/0/0.8:100-200", mac);
        comes_to(&server, &elsewhere, "any port", Answer::accepted);
        assert!(!from(nas, "ge-1/0/0.8:100-201", mac).ask(&server).accepted());
        assert_recorded(&database, "alice", "wrong_vlan");
    }

    fn hours_and_planned_changes_come_by_the_clock(database) {
        let database = with_alice(database);
        bind(&database, |profile| profile.login_time = Some("Any".to_owned()));
        let server = server_on(&database).start();
        let packet = alice();
        assert!(packet.clone().ask(&server).accepted());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        // The epoch was a Thursday. Two days on is never now, also past midnight.
        let day = ["Th", "Fr", "Sa", "Su", "Mo", "Tu", "We"][usize::try_from((now / 86_400 + 2) % 7).unwrap()];
        database.execute(&format!("UPDATE subscriber_network_profiles SET login_time = '{day}'"));
        comes_to(&server, &packet, "a refusal", |answer| !answer.accepted());
        assert_recorded(&database, "alice", "outside_hours");
        says(&database, Condition::OutsideHours, ConditionAction::Restrict(format!("{TENANT}-garden")));
        comes_to(&server, &packet, "the garden", |answer| rate(answer) == Some("128k/256k"));
        let left = packet.clone().ask(&server).values("Session-Timeout")[0].parse::<u64>().unwrap();
        assert!((86_400..=2 * 86_400).contains(&left), "until they begin: {left}");

        database.execute("DELETE FROM subscriber_network_profiles");
        comes_to(&server, &packet, "no hours", |answer| rate(answer) == Some("20000k/100000k"));
        database.execute(&format!("UPDATE radius_bandwidth_profiles SET login_time = '{day}' WHERE name = 'fibre'"));
        comes_to(&server, &packet, "those of its plan", |answer| rate(answer) == Some("128k/256k"));
        assert_recorded(&database, "alice", "restricted: outside_hours");
        database.execute("UPDATE radius_bandwidth_profiles SET login_time = NULL");
        comes_to(&server, &packet, "all of it", |answer| rate(answer) == Some("20000k/100000k"));
        let at = i64::try_from(now).unwrap() + 4;
        let change = PlannedChange {
            id: "c1".to_owned(),
            tenant_id: TENANT.to_owned(),
            subscriber_id: format!("{TENANT}-alice"),
            at,
            change: Change::Status(Status::Suspended),
            note: None,
            created_at: 0,
            created_by: None,
            applied_at: None,
        };
        database.wait(database.store().schedule_add(&[change])).unwrap();
        comes_to(&server, &packet, "its instant", |answer| !answer.accepted());
        assert_recorded(&database, "alice", "suspended");
    }
}
