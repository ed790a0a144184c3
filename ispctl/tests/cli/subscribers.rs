//! Subscribers and their raw rows.

use serde_json::{Value, json};

use crate::lab::{Lab, names};

crate::on_both_databases!(
    subscribers,
    raw_rows,
    usernames_follow_the_tenant_s_rules,
    tenants_do_not_see_each_other,
    hostile_names_are_only_names,
);

fn subscribers(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["plan", "add", "fibre", "--download", "100M", "--upload", "20M"])
        .ok();
    let made = lab.ctl(&[
        "subscriber",
        "add",
        "alice",
        "--plan",
        "fibre",
        "--status",
        "active",
        "--number",
        "C-1",
        "--full-name",
        "Alice Example",
        "--ipv4",
        "192.0.2.77",
        "--ipv6-prefix",
        "2001:db8:1::/64",
        "--vlan",
        "101",
        "--cpe-mac-address",
        "aabb.ccdd.eeff",
        "--expiration-date",
        "2030-01-01",
        "--metadata",
        "{\"a\": 1}",
        "--json",
    ]);
    let made = made.json();
    for (field, value) in [
        ("username", json!("alice")),
        ("status", json!("active")),
        ("service_type", json!("fiber_internet")),
        ("subscriber_number", json!("C-1")),
        ("plan", json!("fibre")),
        ("static_ipv4", json!("192.0.2.77")),
        ("ipv6_prefix", json!("2001:db8:1::/64")),
        ("vlan_id", json!(101)),
        ("cpe_mac_address", json!("AA:BB:CC:DD:EE:FF")),
        ("expiration_date", json!(1_893_456_000)),
        ("simultaneous_use", json!(1)),
        ("password_configured", json!(false)),
        ("created_by", json!("tester")),
        ("check", json!([])),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert!(made.get("password").is_none());
    assert!(made["created_at"].as_i64().unwrap() > 1_700_000_000);

    assert!(lab.ctl(&["subscriber", "add", "alice"]).fails(4).contains("username"));
    assert!(
        lab.ctl(&["subscriber", "add", "bob", "--number", "C-1"])
            .fails(4)
            .contains("number")
    );
    assert!(
        lab.ctl(&["subscriber", "add", "bob", "--plan", "none"])
            .fails(3)
            .contains("plan")
    );
    lab.ctl(&["subscriber", "add", "bob", "--customer-id", "nobody"])
        .fails(3);
    for (option, value) in [
        ("--status", "gone"),
        ("--vlan-id", "4095"),
        ("--ipv4", "1.2.3"),
        ("--metadata", "{"),
        ("--ipv6-prefix", "2001:db8::1/64"),
    ] {
        let error = lab.ctl(&["subscriber", "add", "bob", option, value]).fails(2);
        assert!(error.contains(value), "{error}");
    }
    let bob = lab.ctl(&["subscriber", "add", "bob", "--service-type", "fibre_internet"]);
    assert!(bob.err.contains("pending") && bob.err.contains("known"), "{}", bob.err);

    let set = lab
        .ctl(&[
            "subscriber",
            "set",
            "alice",
            "--status",
            "suspended",
            "--ipv4",
            "",
            "--rename",
            "alice2",
            "--json",
        ])
        .json();
    let mut expected = made.clone();
    for (field, value) in [
        ("status", json!("suspended")),
        ("static_ipv4", Value::Null),
        ("username", json!("alice2")),
    ] {
        expected[field] = value;
    }
    expected["updated_at"] = set["updated_at"].clone();
    assert_eq!(set, expected, "nothing else changes");
    lab.ctl(&["subscriber", "set", "alice2"]).ok();
    lab.ctl(&["subscriber", "set", "nobody", "--notes", "x"]).fails(3);

    let list = |args: &[&str]| {
        names(
            &lab.ctl(&[&["subscriber", "list", "--json"], args].concat()).json(),
            "username",
        )
    };
    assert_eq!(list(&[]), ["alice2", "bob"]);
    assert_eq!(list(&["--status", "suspended"]), ["alice2"]);
    assert_eq!(list(&["--plan", "fibre"]), ["alice2"]);
    assert_eq!(list(&["--username", "bo"]), ["bob"]);
    assert_eq!(list(&["--offset", "1", "--limit", "0"]), ["bob"]);
    let first = lab.ctl(&["subscriber", "list", "--limit", "1"]);
    assert!(first.err.contains("--offset 1"), "{}", first.err);
    assert!(first.out.contains("alice2") && !first.out.contains("bob"));
    assert!(
        lab.ctl(&["subscriber", "show", "alice2"])
            .ok()
            .contains("2030-01-01T00:00:00Z")
    );

    lab.ctl(&["subscriber", "delete", "bob", "--dry-run"]).ok();
    lab.ctl(&["subscriber", "delete", "bob"]).ok();
    assert_eq!(list(&[]), ["alice2"]);
    assert_eq!(list(&["--deleted"]), ["alice2", "bob"]);
    lab.ctl(&["subscriber", "delete", "bob"]).fails(3);
    lab.ctl(&["subscriber", "add", "bob"]).ok();
}

fn raw_rows(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "alice"]).ok();
    let row = lab
        .ctl(&[
            "subscriber",
            "reply",
            "add",
            "alice",
            "Framed-Route",
            "+=",
            "198.51.100.0/24 192.0.2.1 1",
            "--json",
        ])
        .json();
    assert_eq!((&row["attribute"], &row["op"]), (&json!("Framed-Route"), &json!("+=")));
    lab.ctl(&[
        "subscriber",
        "reply",
        "add",
        "alice",
        "Framed-Route",
        "+=",
        "203.0.113.0/24 192.0.2.1 1",
    ])
    .ok();
    lab.ctl_with(
        &["subscriber", "reply", "add", "alice", "Tunnel-Password:1", ":=", "-"],
        "tunnel-pw\n",
        &[],
    )
    .ok();
    lab.ctl(&["subscriber", "check", "add", "alice", "NAS-Port-Type", "==", "Ethernet"])
        .ok();
    let rows = lab.ctl(&["subscriber", "reply", "list", "alice", "--json"]).json();
    assert_eq!(
        names(&rows, "attribute"),
        ["Framed-Route", "Framed-Route", "Tunnel-Password:1"]
    );
    assert_eq!(names(&rows, "value")[2], "[hidden]");
    assert_eq!(
        lab.query("SELECT value FROM radreply WHERE attribute LIKE 'Tunnel%'"),
        ["tunnel-pw"]
    );
    let shown = lab.ctl(&["subscriber", "show", "alice"]).ok();
    assert!(
        shown.contains("NAS-Port-Type") && shown.contains("Framed-Route"),
        "{shown}"
    );

    // A password is never an argument, and never in clear beside the sealed one.
    assert!(
        lab.ctl(&["subscriber", "reply", "add", "alice", "Tunnel-Password", ":=", "x"])
            .fails(2)
            .contains("standard input")
    );
    for value in ["in-clear", "-"] {
        let error = lab
            .ctl_with(
                &["subscriber", "check", "add", "alice", "Cleartext-Password", ":=", value],
                "in-clear",
                &[],
            )
            .fails(5);
        assert!(error.contains("subscriber password"), "{error}");
    }
    lab.ctl(&["subscriber", "reply", "add", "alice", "Framed-Route", "==", "x"])
        .fails(2);
    lab.ctl(&["subscriber", "check", "add", "alice", "No Attribute", "==", "x"])
        .fails(2);
    lab.ctl(&[
        "subscriber",
        "check",
        "add",
        "nobody",
        "NAS-Port-Type",
        "==",
        "Ethernet",
    ])
    .fails(3);
    lab.ctl(&[
        "subscriber",
        "check",
        "add",
        "alice",
        "Filter-Id",
        "=",
        &"x".repeat(254),
    ])
    .fails(5);

    let id = row["id"].to_string();
    lab.ctl(&["subscriber", "check", "delete", "alice", "99999"]).fails(3);
    lab.ctl(&["subscriber", "reply", "delete", "alice", &id, "--dry-run"])
        .ok();
    lab.ctl(&["subscriber", "reply", "delete", "alice", &id]).ok();
    assert_eq!(
        lab.ctl(&["subscriber", "reply", "list", "alice", "--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    lab.never_printed(&["tunnel-pw", "in-clear"]);
}

fn usernames_follow_the_tenant_s_rules(lab: &Lab) {
    lab.set_up();
    lab.ctl(&[
        "tenant",
        "set",
        "example",
        "--username-case",
        "lower",
        "--username-realm",
        "strip",
    ])
    .ok();
    let made = lab.ctl(&["subscriber", "add", "Alice@Example.NET", "--json"]).json();
    assert_eq!(made["username"], json!("alice"));
    lab.ctl(&["subscriber", "add", "ALICE@other"]).fails(4);
    assert!(
        lab.ctl(&["subscriber", "show", "ALICE@anything"])
            .ok()
            .contains("alice")
    );
    lab.ctl(&["subscriber", "add", "@realm-only"]).fails(5);
}

fn tenants_do_not_see_each_other(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["tenant", "add", "other"]).ok();
    assert!(lab.ctl(&["subscriber", "add", "alice"]).fails(2).contains("--tenant"));
    for tenant in ["example", "other"] {
        lab.ctl(&["subscriber", "add", "alice", "--tenant", tenant]).ok();
        lab.ctl_with(
            &["plan", "add", "fibre", "--download", "1M", "--upload", "1M"],
            "",
            &[("ISP_TENANT", tenant)],
        )
        .ok();
    }
    let id = lab
        .ctl(&["subscriber", "show", "alice", "--tenant", "other", "--json"])
        .json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.ctl(&["subscriber", "show", &id, "--tenant", "example"]).fails(3);
    lab.ctl(&["subscriber", "set", &id, "--tenant", "example", "--notes", "x"])
        .fails(3);
    lab.ctl(&["subscriber", "delete", &id, "--tenant", "example"]).fails(3);
    assert_eq!(
        lab.ctl(&["plan", "list", "--tenant", "other", "--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(
        lab.ctl(&["plan", "list", "--tenant", "third"])
            .fails(3)
            .contains("third")
    );
}

fn hostile_names_are_only_names(lab: &Lab) {
    lab.set_up();
    let long = "é".repeat(126);
    for name in [
        "o'neil\"; DROP TABLE subscribers; --",
        "%s%n%x",
        "a b",
        "\\x00",
        "user@realm",
        long.as_str(),
        "_%",
    ] {
        lab.ctl(&["subscriber", "add", name]).ok();
        assert_eq!(
            lab.ctl(&["subscriber", "show", name, "--json"]).json()["username"],
            json!(name)
        );
        let found = names(
            &lab.ctl(&["subscriber", "list", "--username", name, "--json"]).json(),
            "username",
        );
        assert_eq!(found, [name]);
    }
    for name in ["", "a\nb", "a\u{1b}[31m", &"x".repeat(254)] {
        lab.ctl(&["subscriber", "add", name]).fails(2);
    }
    // Another program may have written what a terminal must not obey.
    lab.execute("UPDATE subscribers SET full_name = 'x\u{1b}[2Jy' WHERE username = 'a b'");
    let shown = lab.ctl(&["subscriber", "show", "a b"]).ok();
    assert!(!shown.contains('\u{1b}') && shown.contains("[2Jy"), "{shown}");
}
