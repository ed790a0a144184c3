//! Everything at trace level, with secrets that are known: none of them comes out anywhere.

use std::io::Read as _;

use crate::lab::Lab;
use crate::on_both_databases;
use crate::service::{metrics_address, scrape, serve, terminate};

on_both_databases!(no_secret_is_in_any_log_answer_argument_metric_or_row);

const PASSWORD: &str = "pw-Violet-Kestrel-41";
const NAS_SECRET: &str = "ns-Amber-Otter-72";
const NETBOX_TOKEN: &str = "nb0Crimson0Heron0930";
const AWX_TOKEN: &str = "aw-Indigo-Marten-55";
const ACS_PASSWORD: &str = "ac-Teal-Badger-18";
const ANY_NAS: &str = "rs-Ochre-Falcon-63";
const GATEWAY_KEY: &str = "gw-Coral-Lynx-27";
const PROMETHEUS_PASSWORD: &str = "pr-Jade-Ibis-84";

const SECRETS: [&str; 8] = [
    PASSWORD,
    NAS_SECRET,
    NETBOX_TOKEN,
    AWX_TOKEN,
    ACS_PASSWORD,
    ANY_NAS,
    GATEWAY_KEY,
    PROMETHEUS_PASSWORD,
];

fn no_secret_is_in_any_log_answer_argument_metric_or_row(lab: &Lab) {
    let environment = [
        ("ISP_LOG", "trace"),
        ("RUST_LOG", "trace"),
        ("RADIUS_SECRET", ANY_NAS),
        ("RADIUS_HTTP_API_KEY", GATEWAY_KEY),
        ("RADIUS_HTTP_API_URL", "http://127.0.0.1:9/coa"),
        ("PROMETHEUS_URL", "http://127.0.0.1:9"),
        ("PROMETHEUS_USERNAME", "noc"),
        ("PROMETHEUS_PASSWORD", PROMETHEUS_PASSWORD),
    ];
    lab.write("ispctl.toml", "metrics_listen = \"127.0.0.1:0\"\ncoa_timeout = 0.05\n");
    let run = |args: &[&str], stdin: &str| lab.ctl_with(args, stdin, &environment);
    // What is done with secrets, and what is shown of it.
    for (args, stdin) in [
        (&["migrate"] as &[&str], ""),
        (&["key", "create"], ""),
        (&["tenant", "add", "example"], ""),
        (&["plan", "add", "fibre", "--download", "100M", "--upload", "20M"], ""),
        (
            &["nas", "add", "127.0.0.1", "--vendor", "mikrotik", "--secret-file", "-"],
            NAS_SECRET,
        ),
        (&["nas", "secret", "127.0.0.1", "--secret-file", "-"], NAS_SECRET),
        (
            &["subscriber", "add", "alice", "--plan", "fibre", "--status", "active"],
            "",
        ),
        (&["subscriber", "password", "alice", "--password-file", "-"], PASSWORD),
        (
            &["oss", "set", "awx", "--url", "http://127.0.0.1:9", "--token-file", "-"],
            AWX_TOKEN,
        ),
        (
            &[
                "oss",
                "set",
                "genieacs",
                "--url",
                "http://127.0.0.1:9",
                "--username",
                "noc",
                "--password-file",
                "-",
            ],
            ACS_PASSWORD,
        ),
        (
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
            NETBOX_TOKEN,
        ),
        (&["key", "rotate"], ""),
        (&["key", "reseal"], ""),
        (&["nas", "show", "127.0.0.1"], ""),
        (&["--json", "nas", "list"], ""),
        (&["--json", "subscriber", "show", "alice"], ""),
        (&["subscriber", "explain", "alice", "--nas", "127.0.0.1"], ""),
        (&["--json", "oss", "show"], ""),
        (&["netbox", "show"], ""),
        (&["--json", "status"], ""),
    ] {
        run(args, &format!("{stdin}\n")).ok();
    }
    // What fails.
    for args in [
        &["oss", "test"] as &[&str],
        &["netbox", "check"],
        &["netbox", "sync", "alice"],
        &["doctor", "--probe"],
        &["--json", "doctor"],
        &["nas", "secret", "192.0.2.99", "--secret-file", "-"],
        &["subscriber", "password", "bob", "--password-file", "-"],
        &["oss", "set", "awx", "--url", "ftp://x"],
    ] {
        assert_ne!(run(args, &format!("{PASSWORD}\n")).code, 0, "{args:?}");
    }
    // A session that is to be told, over UDP and through the gateway, by a service that logs all it does.
    let now = if lab.url.starts_with("sqlite") {
        "datetime('now')"
    } else {
        "now()"
    };
    lab.execute(&format!(
        "INSERT INTO radacct (tenant_id, subscriber_id, username, acctsessionid, acctuniqueid, nasipaddress, acctstarttime, acctupdatetime)
            SELECT tenant_id, id, username, 's1', 'u1', '127.0.0.1', {now}, {now} FROM subscribers"
    ));
    run(&["session", "disconnect", "--username", "alice"], "").ok();
    let mut served = serve(lab, &environment);
    let address = metrics_address(&mut served);
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", served.id())).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let metrics = loop {
        let text = scrape(&address);
        // The order was sent, and the NAS is silent.
        if text.contains("isp_coa_orders_total{vendor=\"mikrotik\"") || std::time::Instant::now() > deadline {
            break text;
        }
        std::thread::yield_now();
    };
    assert!(
        metrics.contains("isp_coa_orders_total{vendor=\"mikrotik\""),
        "{metrics}"
    );
    terminate(&served);
    let mut log = String::new();
    served.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(served.wait().unwrap().success());
    // Far above the usual level: it was in force.
    assert!(log.contains("INFO"), "{log}");
    let audit = run(&["--json", "coa", "log"], "").ok();

    let rows: Vec<String> = [
        "SELECT CAST(settings AS text) || coalesce(secret, '') FROM tenant_services",
        "SELECT secret FROM nas",
        "SELECT password FROM subscribers",
        "SELECT set_items || unset_items || coalesce(reason, '') || coalesce(wanted_items, '') FROM coa_orders",
    ]
    .iter()
    .flat_map(|sql| lab.query(sql))
    .collect();
    assert!(rows.len() >= 6, "{rows:?}");
    for (place, text) in [
        ("the log of serve", &log),
        ("arguments", &arguments),
        ("metrics", &metrics),
        ("the audit of orders", &audit),
        ("the database", &rows.join("\n")),
    ] {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
    }
    lab.never_printed(&SECRETS);
    // And as base64, as HTTP has them.
    lab.never_printed(&["bm9jOmFjLVRlYWwtQmFkZ2VyLTE4", "bm9jOnByLUphZGUtSWJpcy04NA"]);
}
