//! What an Access-Accept carries, exactly.

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, login};
use e2e::radiusd::Radiusd;
use e2e::seed::{PASSWORD, TENANT};
use isp_core::dictionary::RowList::{Check, Reply};
use isp_core::password::Scheme;

use crate::{assert_recorded, server_on};

#[track_caller]
fn reply_of(server: &Radiusd, user_name: &str) -> Vec<(String, String)> {
    let Answer { code, attributes } = login(Method::Pap, user_name, PASSWORD).ask(server);
    assert_eq!(code, "Access-Accept", "{user_name}");
    attributes
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

on_both_databases! {
    fn a_plan_and_the_subscribers_own_columns_make_the_reply(database) {
        let database = database.seeded();
        database.execute(
            "UPDATE radius_bandwidth_profiles SET session_timeout = 86400, idle_timeout = 600, acct_interim_interval = 300",
        );
        let fibre = Some(format!("{TENANT}-fibre"));
        database.add_with("plain", Scheme::Cleartext, |s| s.bandwidth_profile_id = fibre.clone());
        database.add_with("own", Scheme::Cleartext, |s| {
            s.bandwidth_profile_id = fibre.clone();
            s.download_speed_kbps = Some(5_000);
            s.upload_speed_kbps = Some(1_000);
            s.session_timeout = Some(3_600);
            s.idle_timeout = Some(60);
            s.static_ipv4 = Some(Ipv4Addr::new(192, 0, 2, 7));
            s.ipv6_prefix = Some("2001:db8:1::/64".parse().unwrap());
            s.vlan_id = Some(120);
        });
        database.add("none");
        let server = server_on(&database).start();
        assert_eq!(
            reply_of(&server, "plain"),
            // RouterOS counts from the router: what it receives, the upload, comes first.
            pairs(&[
                ("Mikrotik-Rate-Limit", "20000k/100000k"),
                ("Session-Timeout", "86400"),
                ("Idle-Timeout", "600"),
                ("Acct-Interim-Interval", "300"),
            ])
        );
        assert_eq!(
            reply_of(&server, "own"),
            pairs(&[
                ("Mikrotik-Rate-Limit", "1000k/5000k"),
                ("Framed-IP-Address", "192.0.2.7"),
                ("Framed-IPv6-Prefix", "2001:db8:1::/64"),
                ("Session-Timeout", "3600"),
                ("Idle-Timeout", "60"),
                ("Acct-Interim-Interval", "300"),
                ("Tunnel-Type:0", "VLAN"),
                ("Tunnel-Medium-Type:0", "IEEE-802"),
                ("Tunnel-Private-Group-Id:0", "120"),
            ])
        );
        assert_eq!(reply_of(&server, "none"), []);
    }

    fn a_network_profile_adds_addresses_and_tagged_vlans(database) {
        let database = database.seeded();
        let subscriber = database.add("alice");
        let yes = if database.is_sqlite() { "1" } else { "true" };
        database.execute(&format!(
            "INSERT INTO subscriber_network_profiles
                (id, tenant_id, subscriber_id, static_ipv4, static_ipv6, delegated_ipv6_prefix, service_vlan, inner_vlan,
                 qinq_enabled)
             VALUES ('p1', '{TENANT}', '{}', '192.0.2.9', '2001:db8::9', '2001:db8:9000::/56', 100, 200, {yes})",
            subscriber.id
        ));
        let server = server_on(&database).start();
        assert_eq!(
            reply_of(&server, "alice"),
            pairs(&[
                ("Framed-IP-Address", "192.0.2.9"),
                ("Framed-IPv6-Address", "2001:db8::9"),
                ("Delegated-IPv6-Prefix", "2001:db8:9000::/56"),
                ("Tunnel-Type:1", "VLAN"),
                ("Tunnel-Medium-Type:1", "IEEE-802"),
                ("Tunnel-Private-Group-Id:1", "100"),
                ("Tunnel-Type:2", "VLAN"),
                ("Tunnel-Medium-Type:2", "IEEE-802"),
                ("Tunnel-Private-Group-Id:2", "200"),
            ])
        );
    }

    fn rows_of_radreply_keep_their_order_and_every_value(database) {
        let database = database.seeded();
        let alice = database.add_with("alice", Scheme::Cleartext, |s| s.session_timeout = Some(100));
        database.add_row(Reply, &alice, "Cisco-AVPair", "+=", "ip:dns-servers=192.0.2.53");
        database.add_row(Reply, &alice, "Framed-Route", "+=", "198.51.100.0/24 0.0.0.0 1");
        database.add_row(Reply, &alice, "Cisco-AVPair", "+=", "lcp:interface-config=ip mtu 1492");
        database.add_row(Reply, &alice, "Framed-Route", "+=", "203.0.113.0/24 0.0.0.0 1");
        let server = server_on(&database).start();
        assert_eq!(
            reply_of(&server, "alice"),
            pairs(&[
                ("Session-Timeout", "100"),
                ("Cisco-AVPair", "ip:dns-servers=192.0.2.53"),
                ("Framed-Route", "198.51.100.0/24 0.0.0.0 1"),
                ("Cisco-AVPair", "lcp:interface-config=ip mtu 1492"),
                ("Framed-Route", "203.0.113.0/24 0.0.0.0 1"),
            ])
        );
    }

    fn operators_of_radreply_mean_what_they_mean_to_the_server(database) {
        let database = database.seeded();
        for (name, op) in [("equal", "="), ("set", ":="), ("add", "+=")] {
            let subscriber = database.add_with(name, Scheme::Cleartext, |s| s.session_timeout = Some(100));
            database.add_row(Reply, &subscriber, "Session-Timeout", op, "200");
        }
        let server = server_on(&database).start();
        let timeouts = |name| {
            let answer = login(Method::Pap, name, PASSWORD).ask(&server);
            answer.values("Session-Timeout").into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(timeouts("equal"), ["100"], "= adds where there is none yet");
        assert_eq!(timeouts("set"), ["200"], ":= replaces");
        assert_eq!(timeouts("add"), ["100", "200"], "+= adds");
    }

    fn rows_of_radcheck_are_conditions(database) {
        let database = database.seeded();
        for (name, attribute, op, value) in [
            ("equal", "NAS-Port-Type", "==", "Ethernet"),
            ("unequal", "NAS-Port-Type", "!=", "Ethernet"),
            ("less", "NAS-Port", "<", "100"),
            ("pattern", "Calling-Station-Id", "=~", "^02-00-"),
        ] {
            let subscriber = database.add(name);
            database.add_row(Check, &subscriber, attribute, op, value);
        }
        let server = server_on(&database).start();
        let accepted = |name, with: &str| login(Method::Pap, name, PASSWORD).line(with).ask(&server).accepted();
        assert!(accepted("equal", "NAS-Port-Type = Ethernet"));
        assert!(!accepted("equal", "NAS-Port-Type = Virtual"));
        assert_recorded(&database, "equal", "check_mismatch");
        assert!(accepted("unequal", "NAS-Port-Type = Virtual"));
        assert!(!accepted("unequal", "NAS-Port-Type = Ethernet"));
        assert!(accepted("less", "NAS-Port = 99"));
        assert!(!accepted("less", "NAS-Port = 100"));
        assert!(accepted("pattern", "Calling-Station-Id = \"02-00-00-00-00-01\""));
        assert!(!accepted("pattern", "Calling-Station-Id = \"06-00-00-00-00-01\""));
    }

    fn a_radcheck_row_may_bring_the_password(database) {
        let database = database.seeded();
        let subscriber = database.add_with("stock", Scheme::Cleartext, |s| {
            s.password = None;
            s.password_hash_method = None;
        });
        database.add_row(Check, &subscriber, "Cleartext-Password", ":=", "as stock sql keeps it");
        let server = server_on(&database).start();
        for method in [Method::Pap, Method::Chap, Method::MsChapV1] {
            assert!(login(method, "stock", "as stock sql keeps it").ask(&server).accepted(), "{method:?}");
            assert!(!login(method, "stock", PASSWORD).ask(&server).accepted(), "{method:?}");
        }
    }
}

#[test]
fn a_row_that_the_server_cannot_build_is_refused_and_named() {
    let database = Database::sqlite().seeded();
    let alice = database.add("alice");
    database.add("bob");
    database.execute(&format!(
        "INSERT INTO radreply (tenant_id, subscriber_id, username, attribute, op, value)
         VALUES ('{TENANT}', '{}', 'alice', 'Framed-IP-Adress', ':=', '192.0.2.1')",
        alice.id
    ));
    let server = server_on(&database).start();
    assert!(!login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
    assert_recorded(&database, "alice", "bad_attribute");

    // A value in the wrong row may be a password: it is not quoted.
    let bob = database.add("bobby");
    database.add_row(Check, &bob, "Session-Timeout", ":=", "s3cret-in-the-wrong-row");
    e2e::wait_for("the row counts", Duration::from_secs(2), || {
        server.log().contains("radcheck row")
    });
    assert!(!login(Method::Pap, "bobby", PASSWORD).ask(&server).accepted());
    assert_recorded(&database, "bobby", "bad_attribute");
    assert!(!server.log().contains("s3cret-in-the-wrong-row"), "{}", server.log());
    let log = server.log();
    assert!(log.contains("Framed-IP-Adress"), "the log names the attribute\n{log}");
    assert!(
        login(Method::Pap, "bob", PASSWORD).ask(&server).accepted(),
        "others are not affected"
    );
}
