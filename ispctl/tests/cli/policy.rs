//! Conditions, network profiles, planned changes, and what is told of a decision.

use serde_json::{Value, json};

use crate::lab::Lab;

crate::on_both_databases!(
    a_tenant_says_what_becomes_of_whom,
    network_profiles,
    planned_changes,
    a_decision_is_told_rule_by_rule,
    check_rows_are_told,
    who_is_found_by_its_line_is_told,
    realms_have_rules,
);

fn base(lab: &Lab) {
    lab.set_up();
    for (name, rate) in [("fibre", "100M"), ("garden", "256k")] {
        lab.ctl(&["plan", "add", name, "--download", rate, "--upload", rate])
            .ok();
    }
    lab.ctl(&["subscriber", "add", "alice", "--plan", "fibre", "--status", "active"])
        .ok();
}

/// The name of the only tenant.
fn tenant(lab: &Lab) -> String {
    lab.ctl(&["tenant", "list", "--json"]).json()[0]["name"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn a_tenant_says_what_becomes_of_whom(lab: &Lab) {
    base(lab);
    let tenant = tenant(lab);
    let set =
        |condition: &str, action: &str| lab.ctl(&["tenant", "condition", "set", &tenant, condition, action, "--json"]);
    let said = set("suspended", "restrict=garden").json();
    assert_eq!(said.as_array().unwrap().len(), 8);
    assert_eq!(
        said[1],
        json!({"condition": "suspended", "action": "restrict", "plan": "garden"})
    );
    assert_eq!(
        said[0],
        json!({"condition": "pending", "action": "reject", "plan": null})
    );
    set("suspended", "accept").json();
    let list = lab.ctl(&["tenant", "condition", "list", &tenant]).ok();
    assert!(
        list.lines()
            .any(|line| line.contains("suspended") && line.contains("accept")),
        "{list}"
    );
    assert!(set("suspended", "restrict=none").fails(3).contains("none"));
    assert!(set("suspended", "restrict").fails(2).contains("restrict=PLAN"));
    assert!(set("hungry", "accept").fails(2).contains("outside_hours"));
}

fn network_profiles(lab: &Lab) {
    base(lab);
    assert!(
        lab.ctl(&["subscriber", "network", "show", "alice"])
            .fails(3)
            .contains("network profile")
    );
    let made = lab
        .ctl(&[
            "subscriber",
            "network",
            "set",
            "alice",
            "--circuit-id",
            "OLT1 1/1/3",
            "--option82-policy",
            "enforce",
            "--mac-addresses",
            "AABB.CC00.1122,02-00-00-00-00-01",
            "--mac-policy",
            "log",
            "--login-time",
            "Wk0800-1800",
            "--json",
        ])
        .json();
    assert_eq!(
        (&made["option82_policy"], &made["mac_policy"]),
        (&json!("enforce"), &json!("log"))
    );
    assert_eq!(made["mac_addresses"].as_str().unwrap().split(',').count(), 2);
    let again = lab
        .ctl(&["subscriber", "network", "set", "alice", "--circuit-id", "", "--json"])
        .json();
    assert_eq!(
        (&again["circuit_id"], &again["login_time"]),
        (&Value::Null, &json!("Wk0800-1800"))
    );
    for (field, value, says) in [
        ("--login-time", "Xx0800", "Xx0800"),
        ("--mac-policy", "always", "enforce"),
        ("--mac-addresses", "02:00", "02:00"),
        ("--service-vlan", "4095", "4094"),
    ] {
        let told = lab
            .ctl(&["subscriber", "network", "set", "alice", field, value])
            .fails(2);
        assert!(told.contains(says), "{field}: {told}");
    }
    lab.ctl(&["subscriber", "network", "delete", "alice"]).ok();
    lab.ctl(&["subscriber", "network", "delete", "alice"]).fails(3);
}

fn planned_changes(lab: &Lab) {
    base(lab);
    let made = lab
        .ctl(&[
            "subscriber",
            "schedule",
            "add",
            "alice",
            "--at",
            "2036-12-01",
            "--status",
            "suspended",
            "--until",
            "2036-12-15",
            "--note",
            "holiday",
            "--json",
        ])
        .json();
    assert_eq!(made.as_array().unwrap().len(), 2);
    assert_eq!(
        (&made[0]["status"], &made[1]["status"]),
        (&json!("suspended"), &json!("active"))
    );
    let plan = lab
        .ctl(&[
            "subscriber",
            "schedule",
            "add",
            "alice",
            "--at",
            "2036-01-01",
            "--plan",
            "garden",
            "--json",
        ])
        .json();
    assert_eq!(
        (&plan[0]["plan"], &plan[0]["at"]),
        (&json!("garden"), &json!(2_082_758_400))
    );
    let id = plan[0]["id"].as_str().unwrap();
    lab.ctl(&["subscriber", "schedule", "delete", "alice", id]).ok();
    lab.ctl(&["subscriber", "schedule", "delete", "alice", id]).fails(3);
    assert!(
        lab.ctl(&["subscriber", "schedule", "list", "alice"])
            .ok()
            .contains("holiday")
    );
    let add =
        |more: &[&str]| lab.ctl(&[&["subscriber", "schedule", "add", "alice", "--at", "2036-01-01"], more].concat());
    add(&[]).fails(2);
    add(&["--status", "suspended", "--plan", "garden"]).fails(2);
    assert!(
        add(&["--status", "suspended", "--until", "2035-01-01"])
            .fails(2)
            .contains("--until")
    );
}

fn a_decision_is_told_rule_by_rule(lab: &Lab) {
    base(lab);
    let tenant = tenant(lab);
    lab.ctl(&[
        "nas",
        "add",
        "192.0.2.1",
        "--shortname",
        "bng1",
        "--vendor",
        "mikrotik",
        "--generate",
    ])
    .ok();
    let told = |more: &[&str]| {
        lab.ctl(&[&["subscriber", "explain", "alice", "--method", "none", "--json"], more].concat())
            .json()
    };
    let rule = |told: &Value, name: &str| {
        let rules = told["rules"].as_array().unwrap().clone();
        rules.into_iter().find(|rule| rule["rule"] == name).unwrap()
    };
    let now = told(&["--nas", "bng1"]);
    assert_eq!(now["verdict"], "accept", "{now}");
    let limit = json!({"attribute": "Mikrotik-Rate-Limit", "value": "100000k/100000k"});
    assert!(now["reply"].as_array().unwrap().contains(&limit), "{now}");

    lab.ctl(&[
        "subscriber",
        "schedule",
        "add",
        "alice",
        "--at",
        "2036-12-01",
        "--status",
        "suspended",
    ])
    .ok();
    let later = told(&["--at", "2036-12-01"]);
    assert_eq!(later["verdict"], "reject");
    assert!(later["why"].as_str().unwrap().starts_with("suspended"), "{later}");
    assert_eq!(
        (&rule(&later, "tenant")["verdict"], &rule(&later, "status")["verdict"]),
        (&json!("pass"), &json!("refuse"))
    );
    lab.ctl(&["tenant", "condition", "set", &tenant, "suspended", "restrict=garden"])
        .ok();
    let walled = told(&["--at", "2036-12-01", "--nas", "192.0.2.1"]);
    assert_eq!(walled["verdict"], "restricted");
    assert!(walled["reply"].to_string().contains("256k/256k"), "{walled}");

    lab.ctl(&[
        "subscriber",
        "network",
        "set",
        "alice",
        "--circuit-id",
        "0xdead",
        "--option82-policy",
        "enforce",
    ])
    .ok();
    assert_eq!(told(&["--circuit-id", "0xdead"])["verdict"], "accept");
    let elsewhere = told(&["--circuit-id", "0xbeef"]);
    assert!(
        elsewhere["why"].as_str().unwrap().starts_with("wrong_circuit"),
        "{elsewhere}"
    );
    // What the server goes by besides, and who has the address.
    lab.execute(
        "INSERT INTO radcheck (username, attribute, op, value) VALUES ('alice', 'Cleartext-Password', ':=', 'open-secret');
         INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('closed', 'Auth-Type', ':=', 'Reject');
         INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'closed', 3);
         INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, tenant_id)
            SELECT 's1', '0123456789abcdef0123456789abcdef', 'mallory', '192.0.2.1', '192.0.2.77', CURRENT_TIMESTAMP, tenant_id
            FROM subscribers WHERE username = 'alice';
         UPDATE subscribers SET static_ipv4 = '192.0.2.77' WHERE username = 'alice'",
    );
    let besides = told(&[]);
    assert_eq!(
        besides["groups"],
        json!([{"group": "closed", "priority": 3, "reply_rows": [],
            "check_rows": [{"attribute": "Auth-Type", "op": ":=", "value": "Reject"}]}])
    );
    assert_eq!(
        besides["check_rows"],
        json!([{"attribute": "Cleartext-Password", "op": ":=", "value": "(set)"}])
    );
    assert!(
        rule(&besides, "address")["why"].as_str().unwrap().contains("mallory"),
        "{besides}"
    );
    lab.execute("UPDATE subscribers SET static_ipv4 = NULL");
    let closed = told(&["--circuit-id", "0xdead"]);
    assert_eq!(closed["verdict"], "reject");
    assert!(
        closed["why"].as_str().unwrap().contains("Auth-Type := Reject"),
        "{closed}"
    );
    let text = lab.ctl(&["subscriber", "explain", "alice"]).ok();
    assert!(text.contains("closed") && !text.contains("open-secret"), "{text}");
    assert!(text.contains("circuit_id") && text.contains("reject"), "{text}");
}

/// Those that no packet is needed for refuse here, too; of the others it is told that they are to be asked.
fn check_rows_are_told(lab: &Lab) {
    base(lab);
    let tenant = tenant(lab);
    let told = |args: &[&str]| {
        let explain = [&["subscriber", "explain", "alice", "--json"], args].concat();
        lab.ctl(&explain).json()
    };
    let tell = |vendor: &str, address: &str| lab.ctl(&["nas", "add", address, "--vendor", vendor, "--generate"]).ok();
    lab.execute(
        "INSERT INTO radcheck (username, attribute, op, value) VALUES ('alice', 'Expiration', ':=', '1 Jan 2090'),
            ('alice', 'Login-Time', ':=', 'Wk0800-1800'), ('alice', 'Simultaneous-Use', ':=', '2');
         INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('night', 'NAS-Port-Type', '=', 'Virtual');
         INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'night', 3)",
    );
    let now = told(&[]);
    assert_eq!((&now["verdict"], &now["vendor"]), (&json!("accept"), &json!("generic")));
    assert_eq!(
        now["depends_on"],
        json!(["radcheck Login-Time", "radgroupcheck NAS-Port-Type of night"])
    );
    let late = told(&["--at", "2090-01-02"]);
    assert_eq!((&late["verdict"], &late["depends_on"]), (&json!("reject"), &json!([])));
    assert!(late["why"].as_str().unwrap().starts_with("expired"), "{late}");

    // Without a NAS, it is judged for the vendor of all there are.
    lab.ctl(&["plan", "set", "garden", "--address-list", "walled"]).ok();
    lab.ctl(&["tenant", "condition", "set", &tenant, "suspended", "restrict=garden"])
        .ok();
    lab.execute("UPDATE subscribers SET status = 'suspended'");
    assert_eq!(told(&[])["verdict"], "reject");
    tell("mikrotik", "192.0.2.1");
    let walled = told(&[]);
    assert_eq!(
        (&walled["verdict"], &walled["vendor"]),
        (&json!("restricted"), &json!("mikrotik"))
    );
    tell("cisco", "192.0.2.2");
    assert_eq!(told(&[])["vendor"], "generic", "which one it is, nobody said");
}

fn who_is_found_by_its_line_is_told(lab: &Lab) {
    base(lab);
    let tenant = tenant(lab);
    let set = |field: &str, value: &str| lab.ctl(&["subscriber", "set", "alice", field, value]).ok();
    set("--cpe-mac-address", "02:00:00:00:00:01");
    let told = |user_name: &str, mac: &str| {
        lab.ctl(&[
            "subscriber",
            "explain",
            "alice",
            "--user-name",
            user_name,
            "--calling-station-id",
            mac,
            "--json",
        ])
    };
    let mac = "02:00:00:00:00:01";
    assert!(told(mac, mac).fails(5).contains("unknown_subscriber"));
    let shown = lab
        .ctl(&["tenant", "set", &tenant, "--lookup-by", "mac", "--json"])
        .json();
    assert_eq!(shown["lookup_by"], "mac");
    assert!(
        lab.ctl(&["tenant", "set", &tenant, "--lookup-by", "ip"])
            .fails(2)
            .contains("circuit_id")
    );
    let found = told("0200.0000.0001", mac).json();
    assert_eq!(found["verdict"], "accept", "{found}");
    assert_eq!(found["rules"][1]["rule"], "lookup");
    assert_eq!(
        found["rules"][1]["saw"],
        "alice found by Calling-Station-Id 02:00:00:00:00:01"
    );
    assert!(
        found["reply"]
            .as_array()
            .unwrap()
            .contains(&json!({"attribute": "User-Name", "value": "alice"}))
    );
    assert!(told(mac, "02:00:00:00:00:02").fails(5).contains("unknown_subscriber"));
    let by_name = told("alice", mac).json();
    assert!(by_name["why"].as_str().unwrap().starts_with("no_password"), "{by_name}");
    lab.ctl(&["subscriber", "add", "bob", "--cpe-mac-address", mac]).ok();
    assert!(told(mac, mac).fails(5).contains("ambiguous_line"));
    assert!(told("bob", mac).fails(5).contains("another subscriber"));
}

fn realms_have_rules(lab: &Lab) {
    base(lab);
    let tenant = tenant(lab);
    lab.ctl(&["nas", "add", "192.0.2.1", "--shortname", "bng1", "--generate"])
        .ok();
    lab.ctl(&["tenant", "add", "Retail"]).ok();
    let set = |realm: &str, action: &str| lab.ctl(&["tenant", "realm", "set", &tenant, realm, action, "--json"]);
    set("A.Example", "strip").json();
    set("none", "refuse").json();
    let said = set("b.example", "tenant=Retail").json();
    assert_eq!(
        said,
        json!([
            {"realm": "none", "action": "refuse", "tenant": null},
            {"realm": "a.example", "action": "strip", "tenant": null},
            {"realm": "b.example", "action": "tenant", "tenant": "Retail"},
        ])
    );
    assert!(set("b.example", "tenant=nobody").fails(3).contains("nobody"));
    assert!(set("b.example", "tenant").fails(2).contains("tenant=NAME"));
    assert!(set("user@b.example", "strip").fails(2).contains("after the @"));
    assert!(set("none", "strip").fails(5).contains("without a realm"));

    let told = |user: &str, tenant: &str, more: &[&str]| {
        let args = [
            "subscriber",
            "explain",
            user,
            "--tenant",
            tenant,
            "--method",
            "none",
            "--json",
        ];
        lab.ctl(&[&args, more].concat())
    };
    let stripped = told("alice", &tenant, &["--user-name", "alice@a.example"]).json();
    assert_eq!(stripped["verdict"], "accept", "{stripped}");
    assert_eq!(
        stripped["rules"][1]["saw"],
        "found by User-Name; realm a.example is stripped"
    );
    assert!(told("alice", &tenant, &[]).fails(5).contains("realm_refused"));
    lab.ctl(&[
        "subscriber",
        "add",
        "bob@b.example",
        "--tenant",
        "Retail",
        "--status",
        "active",
    ])
    .ok();
    let theirs = told("bob@b.example", "Retail", &["--nas", "bng1"]).json();
    assert_eq!(theirs["verdict"], "accept", "{theirs}");
    assert_eq!(
        theirs["rules"][1]["saw"],
        "found by User-Name; realm b.example is of tenant Retail"
    );

    lab.ctl(&["tenant", "realm", "delete", &tenant, "none"]).ok();
    lab.ctl(&["tenant", "realm", "delete", &tenant, "none"]).fails(3);
    let list = lab.ctl(&["tenant", "realm", "list", &tenant]).ok();
    assert!(list.contains("a.example") && !list.contains("none"), "{list}");
}
