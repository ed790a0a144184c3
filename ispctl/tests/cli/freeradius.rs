//! `import freeradius-sql`: what stock databases hold, from each of the three kinds.

use serde_json::{Value, json};

use crate::lab::{Kind, Lab, Run};
use crate::source::{Dialect, Source};

/// One of everything.
const EXAMPLE: &str = "
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (1, 'alice', 'Cleartext-Password', ':=', 'alice-secret');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (2, 'alice', 'Expiration', ':=', '1 Jan 2030');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (3, 'alice', 'Simultaneous-Use', ':=', '2');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (4, 'bob', 'NT-Password', ':=', '8846F7EAEE8FB117AD06BDD830B7586C');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (5, 'bob', 'Calling-Station-Id', '==', '00-11-22-33-44-55');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (6, 'carol', 'Cleartext-Password', ':=', 'first-secret');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (7, 'carol', 'Crypt-Password', ':=', '$1$salt$qJH7.N4xYta3aEG/dfqo/0');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (8, 'dave', 'MD5-Password', ':=', '5f4dcc3b5aa765d61d8327deb882cf99');
INSERT INTO radcheck (id, username, attribute, op, value) VALUES (9, 'erin', 'Auth-Type', ':=', 'Reject');
INSERT INTO radreply (id, username, attribute, op, value) VALUES (1, 'alice', 'Framed-IP-Address', '=', '192.0.2.7');
INSERT INTO radreply (id, username, attribute, op, value) VALUES (2, 'alice', 'Session-Timeout', ':=', '3600');
INSERT INTO radreply (id, username, attribute, op, value) VALUES (3, 'bob', 'Framed-IP-Address', '=', '255.255.255.254');
INSERT INTO radreply (id, username, attribute, op, value) VALUES (4, 'bob', 'Reply-Message', '+=', 'hello, bob');
INSERT INTO radreply (id, username, attribute, op, value) VALUES (5, 'ghost', 'Reply-Message', '=', 'boo');
INSERT INTO radgroupcheck (id, groupname, attribute, op, value) VALUES (1, 'gold', 'Simultaneous-Use', ':=', '3');
INSERT INTO radgroupcheck (id, groupname, attribute, op, value) VALUES (2, 'dialup', 'NAS-Port-Type', '==', 'Async');
INSERT INTO radgroupcheck (id, groupname, attribute, op, value) VALUES (3, 'daloRADIUS-Disabled-Users', 'Auth-Type', ':=', 'Reject');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (1, 'gold', 'Mikrotik-Rate-Limit', '=', '10M/50M 20M/100M');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (2, 'gold', 'Acct-Interim-Interval', ':=', '300');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (3, 'gold', 'Framed-Pool', '=', 'gold-pool');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (4, 'wisp', 'WISPr-Bandwidth-Max-Down', ':=', '2000000');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (5, 'wisp', 'WISPr-Bandwidth-Max-Up', ':=', '1000000');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (6, 'wisp', 'Reply-Message', '=', 'welcome');
INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (7, 'dialup', 'Framed-Protocol', '=', 'PPP');
INSERT INTO radusergroup (username, groupname, priority) VALUES ('bob', 'wisp', 1);
INSERT INTO radusergroup (username, groupname, priority) VALUES ('carol', 'gold', 1);
INSERT INTO radusergroup (username, groupname, priority) VALUES ('carol', 'dialup', 2);
INSERT INTO radusergroup (username, groupname, priority) VALUES ('dave', 'gold', 5);
INSERT INTO radusergroup (username, groupname, priority) VALUES ('dave', 'daloRADIUS-Disabled-Users', 9);
INSERT INTO nas (id, nasname, shortname, type, ports, secret, description) VALUES (1, '192.0.2.1', 'one', 'mikrotik', 0, 'nas-secret-of-the-first-one', 'first');
INSERT INTO nas (id, nasname, shortname, type, ports, secret, description) VALUES (2, 'nas.example.org', 'two', 'other', 0, 'nas-secret-of-the-second-one', 'second');
INSERT INTO userinfo (id, username, firstname, lastname, email, mobilephone) VALUES (1, 'alice', 'Alice', 'Example', 'alice@example.org', '+49 30 123');
";

const SECRETS: [&str; 8] = [
    "alice-secret",
    "first-secret",
    "8846F7EAEE8FB117AD06BDD830B7586C",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "qJH7.N4xYta3aEG",
    "nas-secret-of-the-first-one",
    "nas-secret-of-the-second-one",
    "url-secret",
];

/// Each of the targets, from each of the sources.
macro_rules! from_each_kind {
    ($($name:ident),+ $(,)?) => {
        from_each_kind!(@ sqlite Sqlite, $($name),+);
        from_each_kind!(@ postgres Postgres, $($name),+);
        from_each_kind!(@ mariadb Mariadb, $($name),+);
    };
    (@ $module:ident $dialect:ident, $($name:ident),+) => {
        mod $module {
            use crate::lab::{Kind, Lab};
            fn from(test: fn(&Lab, &crate::source::Source), kind: Kind) {
                if let Some(source) = crate::source::Source::create(crate::source::Dialect::$dialect) {
                    source.execute(super::EXAMPLE);
                    SOURCE.with(|slot| slot.replace(Some((source, test))));
                    Lab::run_on(kind, |lab| SOURCE.with(|slot| {
                        let slot = slot.borrow();
                        let (source, test) = slot.as_ref().unwrap();
                        test(lab.set_up(), source);
                        lab.never_printed(&super::SECRETS);
                    }));
                }
            }
            type Case = (crate::source::Source, fn(&Lab, &crate::source::Source));
            std::thread_local! {
                static SOURCE: std::cell::RefCell<Option<Case>> = const { std::cell::RefCell::new(None) };
            }
            $(
                mod $name {
                    #[test] fn into_sqlite() { super::from(super::super::$name, crate::lab::Kind::Sqlite); }
                    #[test] fn into_postgres() { super::from(super::super::$name, crate::lab::Kind::Postgres); }
                }
            )+
        }
    };
}

from_each_kind!(
    nothing_is_written_without_apply,
    users_groups_and_nas_are_taken_over,
    a_second_run_adds_what_is_new,
    what_is_refused_leaves_nothing,
    sessions_are_taken_over,
);

pub(crate) fn import(lab: &Lab, source: &Source, args: &[&str]) -> Run {
    let args = [&["import", "freeradius-sql", "--json"], args].concat();
    lab.ctl_with(&args, "", &[("ISP_IMPORT_URL", &source.url)])
}

pub(crate) fn rows(list: &Value, fields: &[&str]) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list.map(|row| {
        fields
            .iter()
            .map(|field| text(&row[field]))
            .collect::<Vec<_>>()
            .join(" ")
    })
    .collect()
}

fn nothing_is_written_without_apply(lab: &Lab, source: &Source) {
    let report = import(lab, source, &[]).json();
    assert_eq!(report["applied"], json!(false));
    assert_eq!(report["subscribers_added"], json!(5));
    assert_eq!(report["plans_added"], json!(2));
    assert_eq!(report["nas_added"], json!(1));
    for table in [
        "subscribers",
        "radius_bandwidth_profiles",
        "nas",
        "radcheck",
        "radreply",
        "radusergroup",
        "radgroupreply",
    ] {
        assert_eq!(
            lab.query(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}")),
            ["0"],
            "{table}"
        );
    }
    let problems = rows(&report["problems"], &["table", "id", "name", "attribute"]);
    assert_eq!(
        problems,
        [
            "radreply 3 bob Framed-IP-Address",
            "radcheck 6 carol Cleartext-Password",
            "radcheck 7 carol Crypt-Password",
            "nas 2 nas.example.org nasname",
        ]
    );
    assert_eq!(report["problem_count"], json!(4));
    assert_eq!(report["left_out"], json!(1));
}

fn users_groups_and_nas_are_taken_over(lab: &Lab, source: &Source) {
    let report = import(lab, source, &["--apply"]).json();
    assert_eq!(report["applied"], json!(true));
    assert!(
        rows(&report["mapped"], &["table", "attribute", "op", "outcome", "rows"])
            .contains(&"radcheck Cleartext-Password := subscriber.password 1".to_owned()),
        "{report:#}"
    );
    let shown = |name: &str| lab.ctl(&["subscriber", "show", name, "--json"]).json();
    let alice = shown("alice");
    assert_eq!(alice["status"], json!("active"));
    assert_eq!(alice["expiration_date"], json!(1_893_456_000));
    assert_eq!(alice["simultaneous_use"], json!(2));
    assert_eq!(alice["static_ipv4"], json!("192.0.2.7"));
    assert_eq!(alice["session_timeout"], json!(3_600));
    assert_eq!(alice["full_name"], json!("Alice Example"));
    assert_eq!(alice["email"], json!("alice@example.org"));
    assert_eq!(alice["phone_number"], json!("+49 30 123"));
    assert_eq!(alice["password_configured"], json!(true));
    // The group's attribute is in the plan, and what is no term of a plan is still the group's.
    let bob = shown("bob");
    assert_eq!((&bob["plan"], &bob["simultaneous_use"]), (&json!("wisp"), &json!(0)));
    let dave = shown("dave");
    assert_eq!((&dave["plan"], &dave["status"]), (&json!("gold"), &json!("suspended")));
    assert_eq!(dave["simultaneous_use"], json!(3));
    // Two passwords, two groups: all of it stays rows.
    let carol = shown("carol");
    assert_eq!(
        (&carol["plan"], &carol["password_configured"]),
        (&json!(null), &json!(false))
    );
    assert_eq!(shown("erin")["status"], json!("suspended"));
    let gold = lab.ctl(&["plan", "show", "gold", "--json"]).json();
    for (field, value) in [
        ("upload_rate_kbps", json!(10_000)),
        ("download_rate_kbps", json!(50_000)),
        ("upload_burst_kbps", json!(20_000)),
        ("download_burst_kbps", json!(100_000)),
        ("acct_interim_interval", json!(300)),
        ("ipv4_pool", json!("gold-pool")),
    ] {
        assert_eq!(gold[field], value, "{field}");
    }
    for (table, name, expected) in [
        (
            "radcheck",
            "username",
            vec![
                "bob Calling-Station-Id",
                "carol Cleartext-Password",
                "carol Crypt-Password",
            ],
        ),
        (
            "radreply",
            "username",
            vec!["bob Framed-IP-Address", "bob Reply-Message", "ghost Reply-Message"],
        ),
        (
            "radgroupcheck",
            "groupname",
            vec![
                "daloRADIUS-Disabled-Users Auth-Type",
                "dialup NAS-Port-Type",
                "gold Simultaneous-Use",
            ],
        ),
        (
            "radgroupreply",
            "groupname",
            vec![
                "dialup Framed-Protocol",
                "gold Mikrotik-Rate-Limit",
                "gold Acct-Interim-Interval",
                "gold Framed-Pool",
                "wisp Reply-Message",
            ],
        ),
    ] {
        let kept = lab.query(&format!("SELECT {name} || ' ' || attribute FROM {table} ORDER BY id"));
        assert_eq!(kept, expected, "{table}");
    }
    let members = lab.query("SELECT username || ' ' || groupname || ' ' || priority FROM radusergroup ORDER BY id");
    assert_eq!(members, ["bob wisp 1", "carol gold 1", "carol dialup 2"]);
    let nas = lab.ctl(&["nas", "list", "--json"]).json();
    assert_eq!(
        rows(&nas, &["nasname", "vendor", "secret_form"]),
        ["192.0.2.1 mikrotik sealed"]
    );
}

fn a_second_run_adds_what_is_new(lab: &Lab, source: &Source) {
    import(lab, source, &["--apply"]).ok();
    let first = lab.query("SELECT username || ' ' || attribute FROM radcheck ORDER BY id");
    let again = import(lab, source, &["--apply"]).json();
    for field in [
        "subscribers_added",
        "plans_added",
        "raw_rows_added",
        "memberships_added",
        "nas_added",
    ] {
        assert_eq!(again[field], json!(0), "{field}: {again:#}");
    }
    assert_eq!(again["subscribers_there"], json!(5));
    assert_eq!((&again["plans_there"], &again["nas_there"]), (&json!(2), &json!(1)));
    assert_eq!(
        lab.query("SELECT username || ' ' || attribute FROM radcheck ORDER BY id"),
        first
    );

    lab.ctl(&["subscriber", "set", "alice", "--session-timeout", "60"]).ok();
    source.execute("INSERT INTO radcheck (id, username, attribute, op, value) VALUES (20, 'frank', 'Cleartext-Password', ':=', 'frank-secret');");
    let third = import(lab, source, &["--apply"]).json();
    assert_eq!(third["subscribers_added"], json!(1));
    let timeout = || lab.ctl(&["subscriber", "show", "alice", "--json"]).json()["session_timeout"].clone();
    assert_eq!(timeout(), json!(60));
    let updated = import(lab, source, &["--apply", "--update"]).json();
    assert_eq!(updated["subscribers_updated"], json!(6));
    assert_eq!(timeout(), json!(3_600));
    assert_eq!(
        lab.query("SELECT username || ' ' || attribute FROM radcheck ORDER BY id")
            .len(),
        first.len()
    );
    lab.never_printed(&["frank-secret"]);
}

fn what_is_refused_leaves_nothing(lab: &Lab, source: &Source) {
    if source.dialect != Dialect::Mariadb {
        // By the rules of the tenant two users would be one.
        lab.ctl(&["tenant", "set", "example", "--username-case", "lower"]).ok();
        source.execute("INSERT INTO radcheck (id, username, attribute, op, value) VALUES (21, 'ALICE', 'Cleartext-Password', ':=', 'x');");
        let refused = import(lab, source, &["--apply"]).fails(5);
        assert!(refused.contains("ALICE") && refused.contains("alice"), "{refused}");
    } else {
        // The database took both for one user, and so it stays.
        source.execute("INSERT INTO radusergroup (username, groupname, priority) VALUES ('ALICE', 'gold', 1);");
        import(lab, source, &["--apply"]).ok();
        assert_eq!(
            lab.ctl(&["subscriber", "show", "alice", "--json"]).json()["plan"],
            json!(null)
        );
        assert_eq!(
            lab.query("SELECT username FROM radusergroup WHERE username = 'alice'"),
            ["alice"]
        );
        return;
    }
    for table in ["subscribers", "radius_bandwidth_profiles", "nas", "radcheck"] {
        assert_eq!(
            lab.query(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}")),
            ["0"],
            "{table}"
        );
    }
}

#[test]
fn a_url_with_a_password_is_no_argument() {
    Lab::run_on(Kind::Sqlite, |lab| {
        lab.set_up();
        for url in [
            "mysql://radius:url-secret@127.0.0.1:1/radius",
            "postgres://radius@127.0.0.1:1/radius?password=url-secret",
            "oracle://radius:url-secret@127.0.0.1/radius",
        ] {
            lab.ctl(&["import", "freeradius-sql", "--from", url]).fails(2);
            // From a file it is taken, and shown no more than there; nobody listens.
            let file = lab.write("url", url);
            let run = lab.ctl(&["import", "freeradius-sql", "--from-file", file.to_str().unwrap()]);
            assert_ne!(run.code, 0);
        }
        lab.never_printed(&SECRETS);
    });
}

const DAY: i64 = 86_400;

/// A session of the source. Stock queries write numbers to SQLite; others write dates.
struct Session {
    id: i64,
    user: &'static str,
    start: Option<i64>,
    update: Option<i64>,
    stop: Option<i64>,
    seconds: i64,
    octets: [i64; 2],
    nas: &'static str,
    address: &'static str,
}

fn put_session(source: &Source, session: &Session) {
    let moment = |at: Option<i64>| match (at, source.dialect) {
        (None, _) => "NULL".to_owned(),
        (Some(at), Dialect::Sqlite) if session.id % 2 == 0 => at.to_string(),
        (Some(at), Dialect::Sqlite) => format!("datetime({at}, 'unixepoch')"),
        (Some(at), Dialect::Postgres) => format!("to_timestamp({at})"),
        (Some(at), Dialect::Mariadb) => format!("FROM_UNIXTIME({at})"),
    };
    // As a server elsewhere writes it: dates have no time zone there.
    let zone = match source.dialect {
        Dialect::Mariadb => "SET GLOBAL time_zone = '+05:45'; SET time_zone = '+05:45';",
        Dialect::Sqlite | Dialect::Postgres => "",
    };
    let nas = match source.dialect {
        Dialect::Postgres if session.nas.is_empty() => "NULL".to_owned(),
        _ => format!("'{}'", session.nas),
    };
    source.execute(&format!(
        "{zone} DELETE FROM radacct WHERE radacctid = {id};
         INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime,
            acctstoptime, acctsessiontime, acctinputoctets, acctoutputoctets, callingstationid, acctterminatecause,
            framedipaddress, delegatedipv6prefix)
         VALUES ({id}, 's-{id}', '{id:032x}', '{user}', {nas}, {}, {}, {}, {}, {}, {}, '02:00:5E:10:00:01', 'User-Request',
            '{}', '2001:db8:{id:x}::/56')",
        moment(session.start),
        moment(session.update),
        moment(session.stop),
        session.seconds,
        session.octets[0],
        session.octets[1],
        session.address,
        id = session.id,
        user = session.user,
    ));
}

fn sessions_are_taken_over(lab: &Lab, source: &Source) {
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let ended = Session {
        id: 1,
        user: "alice",
        start: Some(now - 100 * DAY),
        update: Some(now - 99 * DAY),
        stop: Some(now - 99 * DAY),
        seconds: DAY,
        octets: [5_000_000_000, 7],
        nas: "192.0.2.1",
        address: "10.0.0.1",
    };
    let open = |update: i64, stop: Option<i64>, octets: i64| Session {
        id: 2,
        start: Some(now - 7_200),
        update: Some(update),
        stop,
        seconds: update - (now - 7_200),
        octets: [octets, octets],
        address: "10.0.0.2",
        ..ended
    };
    put_session(source, &ended);
    put_session(source, &open(now - 3_600, None, 1_000));
    let others = [
        // Nobody's; not heard of for a month; of no NAS; from before there were hours; without a beginning.
        Session {
            id: 3,
            user: "ghost",
            ..ended
        },
        Session {
            id: 4,
            user: "bob",
            start: Some(now - 40 * DAY),
            update: Some(now - 30 * DAY),
            stop: None,
            ..ended
        },
        Session {
            id: 5,
            nas: "",
            ..ended
        },
        Session {
            id: 6,
            start: Some(now - 2_000 * DAY),
            update: None,
            stop: Some(now - 2_000 * DAY + 60),
            ..ended
        },
        Session {
            id: 10,
            start: None,
            address: "10.0.0.10",
            ..ended
        },
    ];
    others.iter().for_each(|session| put_session(source, session));
    let counts = |args: &[&str]| {
        let report = import(lab, source, args).json();
        let counts = &report["sessions"];
        [
            "read",
            "added",
            "continued",
            "there",
            "left_out",
            "of_nobody",
            "ended_silently",
        ]
        .map(|count| counts[count].as_u64().unwrap_or_else(|| panic!("{report:#}")))
    };
    let count = || lab.query("SELECT CAST(count(*) AS TEXT) FROM radacct").remove(0);
    assert_eq!(counts(&["--sessions", "all"]), [7, 6, 0, 0, 1, 1, 1]);
    assert_eq!(count(), "0", "nothing is written without --apply");
    assert_eq!(counts(&["--sessions", "open", "--apply"]), [2, 2, 0, 0, 0, 0, 1]);
    put_session(source, &open(now - 60, Some(now - 60), 3_000));
    assert_eq!(counts(&["--sessions", "all", "--apply"]), [7, 4, 1, 1, 1, 1, 1]);
    assert_eq!(counts(&["--sessions", "all", "--apply"]), [7, 0, 0, 6, 1, 1, 1]);
    assert_eq!(count(), "6");

    let holder = |address: &str, at: i64| {
        let found = lab.ctl(&["whohad", address, "--at", &at.to_string(), "--json"]).json();
        rows(&found, &["certainty", "username", "started_at", "stopped_at"])
    };
    let (from, to) = (now - 100 * DAY, now - 99 * DAY);
    let of = |user: &str| format!("reported {user} {from} {to}");
    assert_eq!(holder("10.0.0.1", from), [of("ghost"), of("alice")]);
    assert_eq!(holder("10.0.0.10", from), [of("alice")], "its beginning is reckoned");
    assert_eq!(holder("2001:db8:1::5", to), [of("alice")]);
    let open = format!("reported alice {} {}", now - 7_200, now - 60);
    assert_eq!(holder("10.0.0.2", now - 100), [open]);
    let silent = lab.ctl(&["session", "list", "--username", "bob", "--json"]).json();
    assert_eq!(
        rows(&silent, &["stopped_at", "stop_inferred", "terminate_cause"]),
        [format!("{} true Stale-Session", now - 30 * DAY)]
    );

    let shown = lab.ctl(&["subscriber", "show", "alice", "--json"]).json();
    let totals = ["total_sessions", "total_upload_bytes", "total_download_bytes"].map(|total| shown[total].as_u64());
    assert_eq!(totals, [Some(4), Some(15_000_003_000), Some(3_021)]);
    let used = |days: i64, by: &str| {
        let from = (now - days * DAY).to_string();
        let usage = lab
            .ctl(&["usage", "alice", "--from", &from, "--by", by, "--json"])
            .json();
        usage["upload_octets"].as_u64().unwrap()
    };
    assert_eq!(
        (used(3_000, "day"), used(3_000, "total")),
        (15_000_003_000, 15_000_003_000)
    );
    assert_eq!(
        (used(300, "hour"), used(300, "total")),
        (10_000_003_000, 10_000_003_000)
    );
    assert_eq!(used(10, "total"), 3_000);
}
