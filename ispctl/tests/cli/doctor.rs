//! `ispctl doctor`: silent about an installation that is well, and every fault planted is found.

use std::fs;

use crate::installation::{append, copy, cut, edit, install, node, other_keys, server, snapshot};
use crate::lab::{Kind, Lab, Run, chmod};
use crate::on_both_databases;

on_both_databases!(an_installation_that_is_well_has_no_findings, nas_are_probed_on_request);

/// What each planted fault is called, and how it is planted.
type Fault = (&'static str, fn(&Lab));

/// On whichever database; a file of the installation is spoilt, or a row.
const FAULTS: &[Fault] = &[
    // The server and its configuration.
    ("raddb_unreadable", |lab| {
        fs::remove_file(lab.path("raddb/radiusd.conf")).unwrap()
    }),
    ("raddb_unreadable", |lab| {
        edit(lab, "raddb/sites-enabled/isp", "server isp {", "server isp { {")
    }),
    ("module_not_enabled", |lab| {
        fs::remove_file(lab.path("raddb/mods-enabled/rust")).unwrap()
    }),
    ("no_server_listens", |lab| {
        fs::remove_file(lab.path("raddb/sites-enabled/isp")).unwrap()
    }),
    ("not_in_authorize", |lab| {
        edit(lab, "raddb/sites-enabled/isp", "\n\t\trust_or_silence\n", "\n")
    }),
    ("not_in_authenticate", |lab| {
        edit(
            lab,
            "raddb/sites-enabled/isp",
            "Auth-Type rust {",
            "Auth-Type other {\n\t\t\tpap\n\t\t}\n\t\tif (0) {",
        )
    }),
    ("not_in_post_auth", |lab| {
        cut(lab, "post-auth {", "Post-Auth-Type REJECT", "rust")
    }),
    ("not_in_reject", |lab| cut(lab, "Post-Auth-Type REJECT", "\n}", "rust")),
    ("not_in_accounting", |lab| cut(lab, "accounting {", "}", "rust")),
    ("client_secret_known", |lab| {
        append(
            lab,
            "raddb/clients.conf",
            "client far {\n\tipaddr = 198.51.100.7\n\tsecret = testing123\n\trequire_message_authenticator = yes\n}\n",
        )
    }),
    ("message_authenticator_not_required", |lab| {
        append(
            lab,
            "raddb/clients.conf",
            "client far {\n\tipaddr = 198.51.100.7\n\tsecret = 8hgq0AkqWlP2rZ\n}\n",
        )
    }),
    ("dynamic_clients_unanswered", |lab| {
        append(
            lab,
            "raddb/clients.conf",
            "client any {\n\tipaddr = 0.0.0.0/0\n\tdynamic_clients = isp-dynamic-clients\n}\n",
        )
    }),
    ("server_missing", |lab| fs::remove_file(lab.path("server")).unwrap()),
    ("module_missing", |lab| {
        fs::remove_file(lab.path("modules/rlm_rust.so")).unwrap()
    }),
    ("module_version", |lab| server(lab, "3.2.5")),
    ("module_foreign", |lab| _ = lab.write("modules/rlm_rust.so", "\x7fELF")),
    ("vendors_unreadable", |lab| {
        fs::remove_file(lab.path("raddb/mods-config/rust/vendors.toml")).unwrap()
    }),
    ("vendor_template", |lab| {
        edit(
            lab,
            "raddb/mods-config/rust/vendors.toml",
            "Mikrotik-Rate-Limit",
            "Mikrotik-Rate-Limits",
        )
    }),
    ("dictionary_unreadable", |lab| {
        _ = lab.write("ispctl.toml", "dictionary = \"/nowhere/dictionary\"\n")
    }),
    ("databases_differ", |lab| {
        edit(
            lab,
            "raddb/mods-enabled/rust",
            "url = \"",
            "url = \"sqlite:///nowhere/isp.db\"\n\t\t#",
        )
    }),
    ("server_password_exposed", |lab| {
        edit(
            lab,
            "raddb/mods-enabled/rust",
            "url = \"",
            "url = \"postgres://isp:word@db/isp\"\n\t\t#",
        );
        chmod(&lab.path("raddb/mods-enabled/rust"), 0o644);
        chmod(&lab.path(""), 0o755);
    }),
    // Keys.
    ("key_file_missing", |lab| fs::remove_file(lab.path("keys")).unwrap()),
    ("key_file_exposed", |lab| chmod(&lab.path("keys"), 0o644)),
    ("key_file_damaged", |lab| {
        lab.write("keys", "no key file\n");
    }),
    ("server_key_file_unset", |lab| {
        edit(lab, "raddb/mods-enabled/rust", "\tkey_file", "\t#key_file")
    }),
    ("server_key_file", |lab| {
        edit(lab, "raddb/mods-enabled/rust", "/keys\"", "/other-keys\"");
    }),
    ("server_key_file_differs", |lab| {
        other_keys(lab);
        edit(lab, "raddb/mods-enabled/rust", "/keys\"", "/other-keys\"");
    }),
    ("passwords_locked", |lab| {
        other_keys(lab);
        fs::rename(lab.path("other-keys"), lab.path("keys")).unwrap();
    }),
    ("nas_secret_locked", |lab| {
        other_keys(lab);
        fs::rename(lab.path("other-keys"), lab.path("keys")).unwrap();
    }),
    ("passwords_in_clear", |lab| {
        lab.execute("UPDATE subscribers SET password = 'as-it-is', password_hash_method = 'cleartext'")
    }),
    // What the server keeps on this machine.
    ("journal_damaged", |lab| _ = lab.write("accounting/000001.damaged", "x")),
    ("records_refused", |lab| {
        _ = lab.write("accounting/refused.jsonl", "{}\n")
    }),
    ("journal_no_place", |lab| {
        edit(
            lab,
            "raddb/mods-enabled/rust",
            "\tsnapshot {",
            "\taccounting {\n\t\tjournal = /nowhere/accounting\n\t}\n\tsnapshot {",
        )
    }),
    ("journal_space", |lab| {
        edit(
            lab,
            "raddb/mods-enabled/rust",
            "\tsnapshot {",
            "\taccounting {\n\t\tjournal_max_size = 900T\n\t}\n\tsnapshot {",
        )
    }),
    ("snapshot_no_place", |lab| {
        edit(
            lab,
            "raddb/mods-enabled/rust",
            "/subscribers.snapshot",
            "/nowhere/subscribers.snapshot",
        )
    }),
    ("snapshot_exposed", |lab| {
        chmod(&lab.path("subscribers.snapshot"), 0o644)
    }),
    ("snapshot_damaged", |lab| {
        lab.write("subscribers.snapshot", "no snapshot");
    }),
    ("snapshot_old", |lab| snapshot(lab, 2 * 86_400)),
    // The database.
    ("secrets_exposed", |lab| {
        chmod(&lab.path("isp.db"), 0o644);
        chmod(&lab.path(""), 0o755);
    }),
    ("database_unreachable", |lab| {
        fs::remove_file(lab.path("isp.db")).unwrap()
    }),
    ("schema", |lab| {
        lab.execute("DELETE FROM _sqlx_migrations WHERE version > 20")
    }),
    ("trigger_missing", |lab| {
        lab.execute("DROP TRIGGER subscribers_feed_update")
    }),
    ("index_missing", |lab| lab.execute("DROP INDEX subscribers_plan_idx")),
    ("table_missing", |lab| lab.execute("DROP TABLE session_claims")),
    ("no_tenant", |lab| {
        lab.execute(
            "DELETE FROM subscribers; DELETE FROM nas; DELETE FROM radius_bandwidth_profiles; DELETE FROM tenants",
        )
    }),
    // Servers, by their reports.
    ("node_silent", |lab| node(lab, "journal_records", 0, "-5 minutes")),
    ("node_version", |lab| node(lab, "version", 0, "-1 seconds")),
    ("node_stale", |lab| node(lab, "snapshot_age", 900, "-1 seconds")),
    ("node_backlog", |lab| {
        node(lab, "journal_records", 7, "-1 seconds");
        lab.execute("UPDATE node_status SET journal_oldest = datetime('now', '-1 hour')");
    }),
    ("node_records_lost", |lab| node(lab, "records_lost", 1, "-1 seconds")),
    ("node_records_aside", |lab| node(lab, "records_aside", 2, "-1 seconds")),
    ("node_unanswered", |lab| {
        node(lab, "records_unanswered", 3, "-1 seconds")
    }),
    // NAS.
    ("nas_no_secret", |lab| lab.execute("UPDATE nas SET secret = ''")),
    ("nas_secret_weak", |lab| {
        lab.execute("UPDATE nas SET secret = 'testing123'")
    }),
    ("nas_secret_in_clear", |lab| {
        lab.execute("UPDATE nas SET secret = 'Pq7-long-enough-x1'")
    }),
    ("nas_vendor_unknown", |lab| {
        lab.execute("UPDATE nas SET vendor = 'mikrotick'")
    }),
    ("nas_address", |lab| lab.execute("UPDATE nas SET nasname = 'bras1'")),
    ("nas_no_client", |lab| {
        lab.execute(
            "INSERT INTO nas (tenant_id, nasname, shortname, secret)
        SELECT id, '198.51.100.9', 'far', 'Pq7-long-enough-x1' FROM tenants",
        )
    }),
    // Services.
    ("oss_unreachable", |lab| {
        lab.ctl(&["oss", "set", "genieacs", "--url", "http://127.0.0.1:9"]).ok();
    }),
    ("oss_settings", |lab| {
        lab.ctl(&["oss", "set", "awx", "--url", "http://127.0.0.1:9"]).ok();
        lab.execute("UPDATE tenant_services SET secret = 'not-sealed'");
    }),
    ("netbox_unreachable", |lab| {
        lab.ctl_with(
            &[
                "netbox",
                "set",
                "--url",
                "http://127.0.0.1:9",
                "--netbox-tenant",
                "1",
                "--max-retries",
                "0",
                "--token-file",
                "-",
            ],
            "0123456789abcdef\n",
            &[],
        )
        .ok();
    }),
];

#[test]
fn every_planted_fault_is_found() {
    Lab::run_on(Kind::Sqlite, |lab| {
        install(lab);
        let healthy = tempfile::tempdir().unwrap();
        copy(&lab.path(""), healthy.path());
        for (code, plant) in FAULTS {
            plant(lab);
            let run = doctor(lab, &[]);
            let found: serde_json::Value =
                serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("{code}: {e}: {run:?}"));
            let found = found.as_array().unwrap();
            let ours: Vec<_> = found.iter().filter(|finding| finding["code"] == *code).collect();
            assert!(!ours.is_empty(), "{code} is not in {found:?}");
            for finding in &ours {
                for field in ["place", "problem", "remedy"] {
                    assert!(!finding[field].as_str().unwrap().is_empty(), "{code}: {finding}");
                }
            }
            let worst = if found.iter().any(|finding| finding["severity"] == "error") {
                7
            } else {
                6
            };
            assert_eq!(run.code, worst, "{code}: {run:?}");
            fs::remove_dir_all(lab.path("raddb")).unwrap();
            for file in fs::read_dir(lab.path("")).unwrap() {
                let file = file.unwrap().path();
                if file.is_dir() {
                    fs::remove_dir_all(file).unwrap()
                } else {
                    fs::remove_file(file).unwrap()
                }
            }
            copy(healthy.path(), &lab.path(""));
            chmod(&lab.path(""), 0o700);
        }
        well(lab);
        let mut codes: Vec<&str> = FAULTS.iter().map(|(code, _)| *code).collect();
        codes.dedup();
        assert!(codes.len() >= 50, "{}", codes.len());
    });
}

#[test]
fn faults_that_only_postgresql_can_have_are_found() {
    Lab::run_on(Kind::Postgres, |lab| {
        install(lab);
        for (code, plant, undo) in [
            (
                "trigger_missing",
                "ALTER TABLE subscribers DISABLE TRIGGER subscribers_feed_update",
                "ALTER TABLE subscribers ENABLE TRIGGER subscribers_feed_update",
            ),
            (
                "index_missing",
                "DROP INDEX coa_orders_due_idx",
                "CREATE INDEX coa_orders_due_idx ON coa_orders (not_before, id) WHERE state = 'pending'",
            ),
            (
                "partition_missing",
                "SELECT 1; DO $$ BEGIN EXECUTE 'DROP TABLE radacct_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'); END $$",
                "SELECT radacct_create_month(now())",
            ),
        ] {
            lab.execute(plant);
            let run = doctor(lab, &[]);
            assert_eq!(run.code, 7, "{run:?}");
            assert!(run.out.contains(&format!("\"{code}\"")), "{code}: {run:?}");
            lab.execute(undo);
        }
        well(lab);
    });
}

fn an_installation_that_is_well_has_no_findings(lab: &Lab) {
    install(lab);
    well(lab);
    let told = doctor_for_people(lab, &[]);
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{told:?}");
    assert!(told.err.contains("nothing is wrong"), "{told:?}");
    // For people, with what to do.
    lab.execute("UPDATE nas SET vendor = 'mikrotick'");
    let told = doctor_for_people(lab, &[]);
    assert!(
        told.out.contains("to do: ispctl nas set 127.0.0.1 --vendor"),
        "{told:?}"
    );
    assert!(told.err.contains("1 error(s) and 0 warning(s)"), "{told:?}");
}

fn nas_are_probed_on_request(lab: &Lab) {
    install(lab);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    // Nobody reads: to the doctor it is silent.
    lab.ctl(&["nas", "set", "127.0.0.1", "--coa-port", &port]).ok();
    lab.write("ispctl.toml", "coa_timeout = 0.05\n");
    well(lab);
    let run = doctor(lab, &["--probe"]);
    assert!(run.code == 7 && run.out.contains("coa_no_answer"), "{run:?}");
}

#[track_caller]
fn well(lab: &Lab) {
    let run = doctor(lab, &[]);
    assert_eq!((run.code, run.out.trim()), (0, "[]"), "{run:?}");
}

fn doctor(lab: &Lab, more: &[&str]) -> Run {
    let mut args = vec!["--json"];
    args.extend(more);
    doctor_for_people(lab, &args)
}

fn doctor_for_people(lab: &Lab, more: &[&str]) -> Run {
    let paths = ["raddb", "modules", "server"].map(|name| lab.path(name).display().to_string());
    let mut args = vec![
        "doctor",
        "--raddb",
        &paths[0],
        "--modules",
        &paths[1],
        "--server",
        &paths[2],
    ];
    args.extend(more);
    lab.ctl(&args)
}
