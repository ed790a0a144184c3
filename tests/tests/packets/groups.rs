//! Groups of stock FreeRADIUS tables, as far as there is nothing to compare with stock `sql`: how soon a change counts, what
//! is refused, and what a packet holds.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use e2e::database::Database;
use e2e::eapol::{self, Eap};
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, login};
use e2e::radiusd::Radiusd;
use e2e::seed::PASSWORD;

use crate::{assert_recorded, server_on};

/// How soon a committed change must count.
const SOON: Duration = Duration::from_secs(1);

fn ask(server: &Radiusd) -> Answer {
    login(Method::Pap, "alice", PASSWORD).ask(server)
}

/// Commit `sql`, then log in until alice's classes are these: a second after the commit they must be. `None` = refused.
#[track_caller]
fn takes_effect(database: &Database, server: &Radiusd, sql: &str, classes: Option<&[&str]>) {
    database.execute(sql);
    let committed = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = ask(server);
        let holds = match classes {
            Some(classes) => answer.accepted() && answer.values("Filter-Id") == classes,
            None => !answer.accepted(),
        };
        if holds {
            return;
        }
        assert!(
            asked.duration_since(committed) < SOON,
            "after {SOON:?} still {answer:?}: {sql}\n{}",
            server.log()
        );
    }
}

on_both_databases! {
    /// The rows are those of a line in good standing: a walled garden is not to be left through them.
    fn rows_do_not_lift_a_restriction(database) {
        let database = database.seeded();
        database.add_plan(e2e::seed::TENANT, "garden", 256, 128);
        let alice = database.add("alice");
        database.add_row(isp_core::dictionary::RowList::Reply, &alice, "Mikrotik-Rate-Limit", "+=", "1G/1G");
        database.execute(
            "INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES
                ('gold', 'Mikrotik-Rate-Limit', ':=', '2G/2G'), ('gold', 'Filter-Id', ':=', 'gold');
             INSERT INTO radusergroup (username, groupname) VALUES ('alice', 'gold')",
        );
        database.execute(
            "INSERT INTO tenant_conditions (tenant_id, condition, action, plan_id)
                VALUES ('acme', 'suspended', 'restrict', 'acme-garden')",
        );
        let server = server_on(&database).quiet().start();
        let rates = || {
            let answer = ask(&server);
            (
                answer.values("Mikrotik-Rate-Limit").join(" "),
                answer.values("Filter-Id").join(" "),
            )
        };
        assert_eq!(rates(), ("2G/2G".to_owned(), "gold".to_owned()));
        database.execute("UPDATE subscribers SET status = 'suspended'");
        e2e::wait_for("the garden", SOON, || rates().0 == "128k/256k");
        assert_eq!(rates().1, "gold", "what the restriction says nothing of stays");
    }

    /// Nor does a row keep an address that the garden's pool replaces, or lose what the garden says nothing of.
    fn rows_do_not_lead_out_of_a_garden(database) {
        let database = database.seeded();
        let routers = Ipv4Addr::new(127, 0, 0, 3);
        database.add_nas_of(e2e::seed::TENANT, routers, "cisco");
        database.add_plan(e2e::seed::TENANT, "garden", 256, 128);
        let alice = database.add("alice");
        for (attribute, op, value) in [
            ("Framed-IP-Address", ":=", "192.0.2.7"),
            ("Framed-IPv6-Prefix", ":=", "2001:db8:7::/64"),
            ("Framed-Route", "+=", "198.51.100.0/29 192.0.2.7 1"),
            ("Cisco-AVPair", "+=", "ip:inacl#1=permit ip any any"),
            ("Cisco-AVPair", "+=", "ip:sub-qos-policy-out=GOLD"),
        ] {
            database.add_row(isp_core::dictionary::RowList::Reply, &alice, attribute, op, value);
        }
        database.execute(
            "UPDATE radius_bandwidth_profiles SET ipv4_pool = 'walled', qos_profile_download = 'SLOW'
                WHERE id = 'acme-garden';
             INSERT INTO tenant_conditions (tenant_id, condition, action, plan_id)
                VALUES ('acme', 'suspended', 'restrict', 'acme-garden')",
        );
        let server = server_on(&database).client(routers).start();
        let given = || {
            let answer = login(Method::Pap, "alice", PASSWORD).from(routers).ask(&server);
            let attributes = ["Framed-IP-Address", "Framed-IPv6-Prefix", "Framed-Route", "Cisco-AVPair"];
            attributes.map(|attribute| answer.values(attribute).join("; "))
        };
        assert_eq!(
            given(),
            [
                "192.0.2.7",
                "2001:db8:7::/64",
                "198.51.100.0/29 192.0.2.7 1",
                "ip:inacl#1=permit ip any any; ip:sub-qos-policy-out=GOLD"
            ]
        );
        database.execute("UPDATE subscribers SET status = 'suspended'");
        let walled = ["", "", "", "ip:inacl#1=permit ip any any; ip:sub-qos-policy-out=SLOW; ip:addr-pool=walled"];
        e2e::wait_for("the garden", SOON, || given() == walled);
    }

    fn every_write_to_the_group_tables_counts_within_a_second(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).quiet().start();
        let change = |sql: &str, classes: Option<&[&str]>| takes_effect(&database, &server, sql, classes);
        let row = |table: &str, group: &str, attribute: &str, op: &str, value: &str| {
            format!("INSERT INTO {table} (groupname, attribute, op, value) VALUES ('{group}', '{attribute}', '{op}', '{value}')")
        };
        assert!(ask(&server).accepted());
        change(&row("radgroupreply", "gold", "Filter-Id", "+=", "gold"), Some(&[]));
        change("INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'gold', 5)", Some(&["gold"]));
        change("UPDATE radgroupreply SET value = 'aurum'", Some(&["aurum"]));
        // A group that has no rows yet, and gets them later.
        change("INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'new', 1)", Some(&[]));
        change(&row("radgroupreply", "new", "Filter-Id", "+=", "new"), Some(&["new"]));
        change(&row("radgroupreply", "new", "Fall-Through", "=", "Yes"), Some(&["new", "aurum"]));
        change("UPDATE radusergroup SET priority = 9 WHERE groupname = 'new'", Some(&["aurum"]));
        change(&row("radgroupcheck", "gold", "NAS-Port-Type", "==", "ISDN"), Some(&["new"]));
        change("DELETE FROM radgroupcheck", Some(&["aurum"]));
        change(&row("radgroupreply", "gold", "Filter-Idd", "=", "x"), None);
        assert_recorded(&database, "alice", "bad_attribute");
        change("DELETE FROM radgroupreply WHERE attribute = 'Filter-Idd'", Some(&["aurum"]));
        change("DELETE FROM radusergroup WHERE groupname = 'gold'", Some(&["new"]));
        change("UPDATE radusergroup SET username = 'bob'", Some(&[]));
    }
}

#[test]
fn a_row_of_a_group_that_the_server_cannot_build_is_named_when_it_is_loaded() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    database.add("bob");
    database.execute(
        "INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Framed-IP-Adress', ':=', '192.0.2.1');
         INSERT INTO radusergroup (username, groupname) VALUES ('alice', 'gold')",
    );
    let server = server_on(&database).start();
    let log = server.log();
    for named in ["gold", "radgroupreply row 1", "Framed-IP-Adress", "Framed-IP-Address"] {
        assert!(log.contains(named), "{named} is not in\n{log}");
    }
    assert!(!ask(&server).accepted());
    assert_recorded(&database, "alice", "bad_attribute");
    assert!(login(Method::Pap, "bob", PASSWORD).ask(&server).accepted());
}

#[test]
fn a_row_may_not_run_anything() {
    let database = Database::sqlite().seeded();
    let marker = database.file().with_file_name("marker");
    database.add("alice");
    database.execute(&format!(
        "INSERT INTO radgroupreply (groupname, attribute, op, value)
            VALUES ('gold', 'Filter-Id', ':=', '`%{{exec:/usr/bin/touch {}}}`');
         INSERT INTO radusergroup (username, groupname) VALUES ('alice', 'gold')",
        marker.display()
    ));
    let server = server_on(&database).start();
    assert!(!ask(&server).accepted());
    assert_recorded(&database, "alice", "bad_attribute");
    assert!(server.log().contains("%{exec:...}"), "{}", server.log());
    assert!(!marker.exists());
}

/// A packet has room for 4096 bytes (RFC 2865 section 3), 20 of which are its header.
#[test]
fn a_reply_that_does_not_fit_a_packet_is_refused_and_none_is_cut() {
    let database = Database::sqlite().seeded();
    // 2 bytes of header and 98 of value each, 18 for the Message-Authenticator that a server may add.
    let rows = (4096 - 20 - 18) / 100;
    for (name, rows) in [("fits", rows), ("not", rows + 1), ("far", 200)] {
        database.add(name);
        for n in 0..rows {
            database.execute(&format!(
                "INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('{name}', 'Filter-Id', '+=', '{n:098}')"
            ));
        }
        database.execute(&format!(
            "INSERT INTO radusergroup (username, groupname) VALUES ('{name}', '{name}')"
        ));
    }
    for (name, attribute, length) in [
        ("whole", "Filter-Id", 253),
        ("cut", "Filter-Id", 254),
        ("vendor-whole", "Cisco-AVPair", 247),
        ("vendor-cut", "Cisco-AVPair", 248),
        ("sealed-whole", "Tunnel-Password:1", 239),
        ("sealed-cut", "Tunnel-Password:1", 240),
    ] {
        let subscriber = database.add(name);
        database.add_row(
            isp_core::dictionary::RowList::Reply,
            &subscriber,
            attribute,
            ":=",
            &"x".repeat(length),
        );
    }
    let server = server_on(&database).quiet().start();
    let answer = |name: &str| login(Method::Pap, name, PASSWORD).ask(&server);
    let whole = answer("fits");
    assert_eq!((whole.accepted(), whole.values("Filter-Id").len()), (true, rows));
    for (name, attribute, length) in [
        ("whole", "Filter-Id", 253),
        ("vendor-whole", "Cisco-AVPair", 247),
        ("sealed-whole", "Tunnel-Password:1", 239),
    ] {
        let values = answer(name);
        assert_eq!(
            values.values(attribute).first().map(|value| value.len()),
            Some(length),
            "{name}: {values:?}"
        );
    }
    for name in ["not", "far", "cut", "vendor-cut", "sealed-cut"] {
        assert_eq!(answer(name).code, "Access-Reject", "{name}");
        assert_recorded(&database, name, "reply_too_long");
    }
}

/// Another module that comes after ours may make the reply too long: it is looked at once more before it goes.
#[test]
fn a_reply_that_another_module_makes_too_long_is_refused() {
    let database = Database::sqlite().seeded();
    let subscriber = database.add("alice");
    for n in 0..35 {
        database.add_row(
            isp_core::dictionary::RowList::Reply,
            &subscriber,
            "Filter-Id",
            "+=",
            &format!("{n:098}"),
        );
    }
    database.add("bob");
    let added = "\n\t\tupdate reply {\n".to_owned()
        + &format!("\t\t\t&Reply-Message += \"{}\"\n", "y".repeat(200)).repeat(5)
        + "\t\t}\n";
    let server = server_on(&database)
        .edit(
            "sites-enabled/isp",
            "\tpost-auth {\n",
            Box::leak(format!("\tpost-auth {{\n{added}").into_boxed_str()),
        )
        .start();
    assert!(login(Method::Pap, "bob", PASSWORD).ask(&server).accepted());
    assert_eq!(ask(&server).code, "Access-Reject");
    assert_recorded(&database, "alice", "reply_too_long");
}

/// What is inside a tunnel is not what is sent: the answer around it takes more.
#[test]
fn a_reply_in_a_tunnel_leaves_room_for_what_is_around_it() {
    let database = Database::sqlite().seeded();
    for (name, rows) in [("fits", 34), ("cut", 40)] {
        let subscriber = database.add(name);
        for n in 0..rows {
            let (list, value) = (isp_core::dictionary::RowList::Reply, format!("{n:098}"));
            database.add_row(list, &subscriber, "Reply-Message", "+=", &value);
        }
    }
    let server = server_on(&database).start();
    for eap in [Eap::PeapMsChapV2, Eap::TtlsPap] {
        let whole = eapol::login(&server, eap, "anonymous", "fits", PASSWORD);
        assert_eq!((whole.accepted, whole.values(18).len()), (true, 34), "{}", whole.log);
        assert!(
            !eapol::login(&server, eap, "anonymous", "cut", PASSWORD).accepted,
            "{eap:?}"
        );
        assert_recorded(&database, "cut", "reply_too_long");
    }
}
