//! `import freeradius-sql`: what a plan, a field or this database could not say is kept as it was or told.

use serde_json::json;

use crate::freeradius::{import, rows};
use crate::lab::{Kind, Lab};
use crate::source::{Dialect, Source};

/// What a plan, a field or this database could not say: it stays a row or is told, and nothing ends the import.
fn of_a_sqlite_database(into: &[Kind], statements: &str, then: impl Fn(&Lab, &Source)) {
    let source = Source::create(Dialect::Sqlite).unwrap();
    source.execute(statements);
    for kind in into {
        Lab::run_on(*kind, |lab| then(lab.set_up(), &source));
    }
}

const BOTH: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

const GROUPS_OF_RATES: &str = "
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (1, 'alice', 'Cleartext-Password', ':=', 'password'),
    (2, 'bob', 'Cleartext-Password', ':=', 'password');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (1, 'gold', 'Mikrotik-Rate-Limit', '=', '10M/50M'),
    (2, 'wisp', 'WISPr-Bandwidth-Max-Down', ':=', '2000000'), (3, 'wisp', 'WISPr-Bandwidth-Max-Up', ':=', '1000000');
INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'gold', 1), ('bob', 'wisp', 1);
";

#[test]
fn a_group_is_a_plan_where_every_nas_is_told_the_same_by_it() {
    for (nas, args, plans) in [
        (&["mikrotik"][..], &[][..], &["gold", "wisp"][..]),
        (&["other"], &[], &["gold", "wisp"]),
        (&["other"], &["--nas-vendor", "wispr"], &["wisp"]),
        (&["wispr"], &[], &["wisp"]),
        (&["mikrotik", "cisco"], &[], &[]),
        (&["juniper"], &[], &[]),
        (&[], &[], &["gold", "wisp"]),
        (&[], &["--nas-vendor", "generic"], &[]),
    ] {
        let nas = nas.iter().enumerate().map(|(index, kind)| {
            format!("INSERT INTO nas (nasname, type, secret) VALUES ('192.0.2.{index}', '{kind}', 'nas-secret');")
        });
        let nas: String = nas.collect();
        of_a_sqlite_database(&[Kind::Sqlite], &format!("{GROUPS_OF_RATES}{nas}"), |lab, source| {
            let report = import(lab, source, &[&["--apply"], args].concat()).json();
            let there = lab.ctl(&["plan", "list", "--json"]).json();
            assert_eq!(rows(&there, &["name"]), plans, "{nas} {args:?}");
            let raw = lab.query("SELECT DISTINCT groupname FROM radgroupreply ORDER BY groupname");
            let expected: Vec<&str> = ["gold", "wisp"]
                .into_iter()
                .filter(|name| !plans.contains(name))
                .collect();
            assert_eq!(raw, expected, "{nas} {args:?}");
            let problems = rows(&report["problems"], &["table", "name"]);
            assert_eq!(problems.is_empty(), plans.len() == 2, "{nas} {args:?} {problems:?}");
        });
    }
}

/// A plan would say the rates in the very attribute in which the user's own row says others.
#[test]
fn a_users_own_rate_is_not_lost_to_its_groups() {
    let statements = "
        INSERT INTO nas (nasname, type, secret) VALUES ('192.0.2.1', 'mikrotik', 'nas-secret');
        INSERT INTO radcheck (id, username, attribute, op, value) VALUES (1, 'alice', 'Cleartext-Password', ':=', 'password'),
            (2, 'bob', 'Cleartext-Password', ':=', 'password');
        INSERT INTO radreply (id, username, attribute, op, value) VALUES (1, 'alice', 'Mikrotik-Rate-Limit', '=', '50M/50M');
        INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES
            (1, 'wisp', 'WISPr-Bandwidth-Max-Down', '=', '2000000'), (2, 'wisp', 'WISPr-Bandwidth-Max-Up', '=', '1000000');
        INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'wisp', 1), ('bob', 'wisp', 1);";
    of_a_sqlite_database(&[Kind::Sqlite], statements, |lab, source| {
        import(lab, source, &["--apply"]).ok();
        let plans = "SELECT s.username || ' ' || COALESCE(p.name, 'none') FROM subscribers s
            LEFT JOIN radius_bandwidth_profiles p ON p.id = s.bandwidth_profile_id ORDER BY s.username";
        assert_eq!(lab.query(plans), ["alice none", "bob wisp"]);
        assert_eq!(
            lab.query("SELECT username || ' ' || groupname FROM radusergroup"),
            ["alice wisp"]
        );
    });
}

#[test]
fn a_vendor_that_nobody_knows_is_refused() {
    of_a_sqlite_database(&[Kind::Sqlite], GROUPS_OF_RATES, |lab, source| {
        let refused = import(lab, source, &["--nas-vendor", "mikrotick"]).fails(2);
        assert!(refused.contains("there is no vendor \"mikrotick\""), "{refused}");
    });
}

#[test]
fn a_check_row_that_nothing_here_acts_on_is_told() {
    let statements = "
        INSERT INTO radcheck (id, username, attribute, op, value) VALUES (1, 'alice', 'Cleartext-Password', ':=', 'password'),
            (2, 'alice', 'Max-Daily-Session', ':=', '3600'), (3, 'alice', 'Login-Time', ':=', 'Wk0800-1800'),
            (4, 'alice', 'Huntgroup-Name', '==', 'dialup');
        INSERT INTO radgroupcheck (id, groupname, attribute, op, value) VALUES (1, 'all', 'Pool-Name', ':=', 'main'),
            (2, 'all', 'Simultaneous-Use', ':=', '1'), (3, 'all', 'NAS-Port-Type', '==', 'Async');
        INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'all', 1);";
    of_a_sqlite_database(&BOTH, statements, |lab, source| {
        let report = import(lab, source, &["--apply"]).json();
        assert_eq!(
            rows(&report["problems"], &["table", "id", "attribute"]),
            [
                "radcheck 2 Max-Daily-Session",
                "radcheck 4 Huntgroup-Name",
                "radgroupcheck 1 Pool-Name"
            ]
        );
        assert_eq!(report["left_out"], json!(0));
    });
}

#[test]
fn names_that_cannot_be_read_are_nobodys() {
    let statements = "
        INSERT INTO radcheck (id, username, attribute, op, value) VALUES (1, 'alice', 'Cleartext-Password', ':=', 'password'),
            (2, CAST(x'636166e9' AS TEXT), 'Cleartext-Password', ':=', 'password');
        INSERT INTO radreply (id, username, attribute, op, value)
            VALUES (1, CAST(x'636166e8' AS TEXT), 'Framed-IP-Address', '=', '192.0.2.9');
        INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', CAST(x'766970e9' AS TEXT), 1);
        INSERT INTO radgroupreply (id, groupname, attribute, op, value)
            VALUES (1, CAST(x'766970e8' AS TEXT), 'Mikrotik-Rate-Limit', ':=', '1G/1G');";
    of_a_sqlite_database(&BOTH, statements, |lab, source| {
        let report = import(lab, source, &["--apply"]).json();
        assert_eq!(
            rows(&report["problems"], &["table", "id", "attribute", "why"])[..2],
            [
                "radcheck 2 username the cell is no UTF-8: nobody can tell whose row it is",
                "radreply 1 username the cell is no UTF-8: nobody can tell whose row it is",
            ]
        );
        assert_eq!(
            (
                &report["subscribers_added"],
                &report["plans_added"],
                &report["left_out"]
            ),
            (&json!(1), &json!(0), &json!(4))
        );
        assert_eq!(lab.query("SELECT username FROM subscribers"), ["alice"]);
    });
}

#[test]
fn what_cannot_be_read_ends_no_import() {
    let statements = "
        INSERT INTO radcheck (id, username, attribute, op, value) VALUES (1, 'alice', 'Cleartext-Password', ':=', 'password'),
            (2, 'bob', 'Calling-Station-Id', '==', CAST(x'6f6eff' AS TEXT)),
            (3, 'carol', 'Calling-Station-Id', '==', CAST(x'6f6e0065' AS TEXT));
        INSERT INTO nas (id, nasname, type, secret) VALUES (1, '192.0.2.1', 'mikrotik', 'nas-secret'),
            (2, '192.0.2.1/32', 'mikrotik', 'nas-secret-other');";
    of_a_sqlite_database(&BOTH, statements, |lab, source| {
        let report = import(lab, source, &["--apply"]).json();
        assert_eq!(
            rows(&report["problems"], &["table", "id", "attribute", "why"]),
            [
                "radcheck 2 value the cell is no UTF-8: U+FFFD stands for what cannot be read",
                "radcheck 3 value the cell holds a NUL: U+FFFD stands for what cannot be read",
                "nas 2 nasname row 1 is a NAS of the same address: which secret is right?",
            ]
        );
        assert_eq!(
            (&report["subscribers_added"], &report["nas_added"]),
            (&json!(3), &json!(1))
        );
        assert_eq!(
            lab.query("SELECT value FROM radcheck ORDER BY username"),
            ["on\u{fffd}", "on\u{fffd}e"],
            "what no device is called"
        );
    });
}
