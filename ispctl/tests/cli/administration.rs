//! add, list, show, set and delete of every kind of record; exit codes; what is never shown.

use serde_json::{Value, json};

use crate::lab::{Lab, keys, names};

crate::on_both_databases!(a_database_is_made_ready_and_described, tenants, plans, nas,);

fn a_database_is_made_ready_and_described(lab: &Lab) {
    let error = lab.ctl(&["status"]).fails(1);
    assert!(error.starts_with("error: "), "{error}");
    let applied = lab.ctl(&["migrate", "--json"]).json();
    assert!(!applied["applied"].as_array().unwrap().is_empty());
    let again = lab.ctl(&["migrate"]);
    assert!(again.err.contains("up to date"), "{}", again.err);
    again.ok();
    assert!(lab.ctl(&["plan", "list"]).fails(2).contains("tenant add"));
    let status = lab.ctl(&["status", "--json"]);
    assert_eq!(status.code, 1, "the key file that is configured does not exist yet");
    lab.ctl(&["key", "create"]).ok();
    lab.ctl(&["tenant", "add", "example"]).ok();
    lab.ctl(&["subscriber", "add", "alice", "--status", "active"]).ok();
    let status = lab.ctl(&["status", "--json"]).json();
    assert_eq!(
        keys(&status),
        [
            "database",
            "primary_key",
            "schema_version",
            "tenants",
            "plans",
            "nas",
            "subscribers",
            "subscribers_active",
            "subscribers_without_password",
            "subscribers_deleted",
            "sessions_open",
            "change_feed_rows",
            "nodes"
        ]
    );
    assert_eq!(
        (
            &status["tenants"],
            &status["subscribers"],
            &status["subscribers_without_password"]
        ),
        (&json!(1), &json!(1), &json!(1))
    );
    assert!(status["schema_version"].as_i64().unwrap() >= 1);
    assert!(lab.ctl(&["status"]).ok().contains("subscribers_active"));
}

fn tenants(lab: &Lab) {
    lab.ctl(&["migrate"]).ok();
    let made = lab
        .ctl(&[
            "tenant",
            "add",
            "north",
            "--id",
            "t-1",
            "--username-case",
            "lower",
            "--json",
        ])
        .json();
    assert_eq!(
        made,
        json!({"id": "t-1", "name": "north", "enabled": true, "username_case": "lower", "username_realm": "keep",
            "timezone": "UTC", "interim_jitter_percent": 0, "lookup_by": "username"})
    );
    lab.ctl(&["tenant", "add", "south"]).ok();
    assert_eq!(
        names(&lab.ctl(&["tenant", "list", "--json"]).json(), "name"),
        ["north", "south"]
    );
    let table = lab.ctl(&["tenant", "list"]).ok();
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        [
            "ID",
            "NAME",
            "ENABLED",
            "USERNAME_CASE",
            "USERNAME_REALM",
            "TIMEZONE",
            "INTERIM_JITTER_PERCENT",
            "LOOKUP_BY"
        ]
    );
    assert_eq!(table.lines().count(), 3);

    assert!(lab.ctl(&["tenant", "add", "north"]).fails(4).contains("tenant name"));
    assert!(lab.ctl(&["tenant", "show", "west"]).fails(3).contains("west"));
    assert!(lab.ctl(&["tenant", "set", "north"]).err.contains("no field"));
    lab.ctl(&["tenant", "set", "north", "--username-case", "upper"])
        .fails(2);
    let refused = lab.ctl(&["tenant", "set", "north", "--timezone", "Berlin"]).fails(2);
    assert!(
        refused.contains("no time zone") && refused.contains("--timezone"),
        "{refused}"
    );
    let zone = lab
        .ctl(&["tenant", "set", "north", "--timezone", "europe/berlin", "--json"])
        .json();
    assert_eq!(zone["timezone"], "Europe/Berlin");
    let set = lab
        .ctl(&[
            "tenant",
            "set",
            "north",
            "--enabled",
            "no",
            "--rename",
            "northern",
            "--json",
        ])
        .json();
    assert_eq!(
        (&set["enabled"], &set["name"], &set["username_case"]),
        (&json!(false), &json!("northern"), &json!("lower"))
    );

    assert!(
        lab.ctl(&["tenant", "delete", "south", "--dry-run"])
            .err
            .contains("would delete")
    );
    assert!(lab.ctl(&["tenant", "show", "south"]).ok().contains("south"));
    lab.ctl(&["subscriber", "add", "alice", "--tenant", "south"]).ok();
    assert!(lab.ctl(&["tenant", "delete", "south"]).fails(4).contains("subscribers"));
    lab.ctl(&["tenant", "delete", "t-1"]).ok();
    lab.ctl(&["tenant", "show", "northern"]).fails(3);
}

fn plans(lab: &Lab) {
    lab.set_up();
    let made = lab
        .ctl(&[
            "plan",
            "add",
            "fibre-100",
            "--download",
            "100M",
            "--upload",
            "20000",
            "--idle-timeout",
            "900",
            "--json",
        ])
        .json();
    assert_eq!(
        (
            &made["download_rate_kbps"],
            &made["upload_rate_kbps"],
            &made["idle_timeout"]
        ),
        (&json!(100_000), &json!(20_000), &json!(900))
    );
    assert!(
        lab.ctl(&["plan", "add", "x", "--download", "1M"])
            .fails(2)
            .contains("--upload-rate-kbps")
    );
    lab.ctl(&["plan", "add", "x", "--download", "0", "--upload", "1"])
        .fails(2);
    assert!(
        lab.ctl(&["plan", "add", "fibre-100", "--download", "1", "--upload", "1"])
            .fails(4)
            .contains("plan name")
    );

    // Only what is named changes; an empty value clears.
    let set = lab
        .ctl(&[
            "plan",
            "set",
            "fibre-100",
            "--upload-rate-kbps",
            "50M",
            "--idle-timeout",
            "",
            "--interim",
            "300",
            "--json",
        ])
        .json();
    assert_eq!(set["upload_rate_kbps"], json!(50_000));
    assert_eq!(set["download_rate_kbps"], json!(100_000));
    assert_eq!(set["idle_timeout"], Value::Null);
    assert_eq!(set["acct_interim_interval"], json!(300));
    assert_eq!(
        lab.ctl(&["plan", "show", made["id"].as_str().unwrap(), "--json"])
            .json(),
        set
    );

    // What only some NAS make use of.
    let given = [
        (
            "download_burst_threshold_kbps",
            "--download-threshold",
            "90M",
            json!(90_000),
        ),
        (
            "upload_burst_threshold_kbps",
            "--upload-threshold",
            "15M",
            json!(15_000),
        ),
        ("download_burst_seconds", "--download-burst-seconds", "12", json!(12)),
        ("upload_burst_seconds", "--upload-burst-seconds", "8", json!(8)),
        ("priority", "--priority", "5", json!(5)),
        ("download_min_kbps", "--download-min", "10M", json!(10_000)),
        ("upload_min_kbps", "--upload-min", "2M", json!(2_000)),
        ("address_list", "--address-list", "paying", json!("paying")),
        ("ipv4_pool", "--ipv4-pool", "v4", json!("v4")),
        ("ipv6_pool", "--ipv6-pool", "v6", json!("v6")),
        ("delegated_ipv6_pool", "--delegated-ipv6-pool", "pd", json!("pd")),
        ("qos_profile_download", "--qos-profile-download", "down", json!("down")),
        ("qos_profile_upload", "--qos-profile-upload", "up", json!("up")),
        ("filter_id", "--filter-id", "in", json!("in")),
        (
            "redirect_url",
            "--redirect-url",
            "http://pay.example/",
            json!("http://pay.example/"),
        ),
        ("login_time", "--login-time", "Wk0800-1800", json!("Wk0800-1800")),
        ("ipv6_pd_size", "--ipv6-pd-size", "60", json!(60)),
    ];
    for (field, option, value, expected) in given {
        let set = lab.ctl(&["plan", "set", "fibre-100", option, value, "--json"]).json();
        assert_eq!(set[field], expected);
        assert_eq!(lab.ctl(&["plan", "show", "fibre-100", "--json"]).json(), set);
        let cleared = lab.ctl(&["plan", "set", "fibre-100", option, "", "--json"]).json();
        assert_eq!(cleared[field], Value::Null);
    }
    for (option, value) in [
        ("--priority", "9"),
        ("--redirect-url", "pay.example"),
        ("--download-min", "0"),
    ] {
        lab.ctl(&["plan", "set", "fibre-100", option, value]).fails(2);
    }

    lab.ctl(&["subscriber", "add", "alice", "--plan", "fibre-100"]).ok();
    assert!(lab.ctl(&["plan", "delete", "fibre-100"]).fails(4).contains("alice"));
    lab.ctl(&["subscriber", "set", "alice", "--plan", ""]).ok();
    lab.ctl(&["plan", "delete", "fibre-100", "--dry-run"]).ok();
    assert_eq!(
        names(&lab.ctl(&["plan", "list", "--json"]).json(), "name"),
        ["fibre-100"]
    );
    lab.ctl(&["plan", "delete", "fibre-100"]).ok();
    assert_eq!(lab.ctl(&["plan", "list", "--json"]).json(), json!([]));
    lab.ctl(&["plan", "delete", "fibre-100"]).fails(3);
}

fn nas(lab: &Lab) {
    lab.set_up();
    let secret = "a-shared-secret-of-the-nas";
    let made = lab
        .ctl_with(
            &["nas", "add", "192.0.2.1/32", "--shortname", "bras1", "--json"],
            secret,
            &[],
        )
        .json();
    assert_eq!(
        keys(&made),
        [
            "id",
            "tenant_id",
            "nasname",
            "shortname",
            "kind",
            "vendor",
            "model",
            "firmware_version",
            "ports",
            "server",
            "community",
            "description",
            "require_message_authenticator",
            "coa_port",
            "coa_timeout",
            "coa_attempts",
            "coa_rate",
            "coa_strict",
            "coa_transport",
            "secret_form"
        ]
    );
    assert_eq!(
        (&made["nasname"], &made["secret_form"], &made["vendor"]),
        (&json!("192.0.2.1"), &json!("sealed"), &json!("mikrotik"))
    );

    let file = lab.write("secret", "another-secret-from-a-file\nsecond line");
    lab.ctl(&["nas", "add", "2001:db8::/48", "--secret-file", file.to_str().unwrap()])
        .ok();
    lab.ctl_with(
        &["nas", "add", "198.51.100.0/24"],
        "",
        &[("ISP_NAS_SECRET", "secret-from-the-environment")],
    )
    .ok();
    let generated = lab.ctl(&["nas", "add", "203.0.113.9", "--shortname", "gen", "--generate"]);
    assert_eq!(generated.out.trim().len(), 32, "{}", generated.out);
    let generated = generated.ok();
    assert!(
        lab.query("SELECT secret FROM nas")
            .iter()
            .all(|stored| stored.starts_with("sealed:"))
    );

    for everywhere in ["0.0.0.0/0", "::/0"] {
        let refused = lab.ctl(&["nas", "add", everywhere, "--generate"]).fails(2);
        assert!(refused.contains("--any-source"), "{refused}");
        let refused = lab.ctl(&["nas", "set", "gen", "--rename", everywhere]).fails(2);
        assert!(refused.contains("--any-source"), "{refused}");
        lab.ctl(&["nas", "add", everywhere, "--any-source", "--generate"]).ok();
        lab.ctl(&["nas", "delete", everywhere]).ok();
    }
    assert!(lab.ctl(&["nas", "add", "--help"]).ok().contains("--any-source"));
    assert!(
        lab.ctl(&["nas", "add", "bras1.example.net", "--generate"])
            .fails(2)
            .contains("no IP address")
    );
    assert!(
        lab.ctl(&["nas", "add", "192.0.2.1/24", "--generate"])
            .fails(2)
            .contains("192.0.2.0/24")
    );
    assert!(
        lab.ctl(&["nas", "add", "192.0.2.1", "--generate"])
            .fails(4)
            .contains("NAS address")
    );
    lab.ctl(&["nas", "add", "192.0.2.7", "--generate", "--json"]).fails(2);
    lab.ctl(&["nas", "add", "192.0.2.7"]).fails(5);
    assert!(
        lab.ctl_with(&["nas", "add", "192.0.2.7"], "short", &[])
            .err
            .contains("RFC 2865")
    );

    // Another address: the secret is bound to the new one and still opens.
    lab.ctl(&["nas", "set", "bras1", "--rename", "192.0.2.2", "--description", "moved"])
        .ok();
    let moved = lab.ctl(&["nas", "show", "192.0.2.2", "--json"]).json();
    assert_eq!(
        (&moved["shortname"], &moved["description"]),
        (&json!("bras1"), &json!("moved"))
    );
    lab.ctl(&["key", "rotate"]).ok();
    let resealed = lab.ctl(&["key", "reseal", "--json"]).json();
    assert_eq!(
        resealed["nas_secrets"],
        json!({"resealed": 5, "unchanged": 0, "overtaken": 0, "unreadable": 0})
    );
    lab.ctl_with(&["nas", "secret", "bras1"], "yet-another-shared-secret", &[])
        .ok();

    assert_eq!(lab.ctl(&["nas", "list", "--json"]).json().as_array().unwrap().len(), 5);
    lab.ctl(&["nas", "delete", "gen", "--dry-run"]).ok();
    lab.ctl(&["nas", "delete", "gen"]).ok();
    lab.ctl(&["nas", "show", "gen"]).fails(3);
    lab.never_printed(&[secret, "another-secret", "secret-from-the-environment", "yet-another"]);
    let shown = lab.ctl(&["nas", "list"]).ok() + &lab.ctl(&["nas", "list", "--json", "--all-tenants"]).ok();
    assert!(!shown.contains(generated.trim()) && !shown.contains("sealed:"));
}
