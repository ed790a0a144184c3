//! `ispctl netbox` against a real NetBox.

use serde_json::{Value, json};

use crate::lab::Lab;

crate::on_both_databases!(
    from_nothing_to_an_address,
    a_subscriber_is_made_and_ended_as_one_operation,
    settings_of_a_tenant_come_over_all_others,
    faults_are_told_with_their_remedy
);

pub(crate) const TOKEN: &str = "nbt_TestKey00001.TestSecretTestSecretTestSecretTestSecret";

/// `None`, loudly, where no server is given.
pub(crate) fn url() -> Option<String> {
    let url = std::env::var("ISP_TEST_NETBOX").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(
            std::env::var_os("ISP_TEST_REQUIRE_NETBOX").is_none(),
            "ISP_TEST_NETBOX names no server"
        );
        eprintln!("SKIP: ISP_TEST_NETBOX names no server");
    }
    url
}

pub(crate) fn set_up(lab: &Lab, url: &str) {
    lab.set_up();
    lab.write("token", &format!("{TOKEN}\n"));
    let token = lab.path("token");
    lab.ctl(&["netbox", "set", "--url", url, "--token-file", token.to_str().unwrap()])
        .ok();
    for name in ["alice", "bob"] {
        lab.ctl(&["subscriber", "add", name, "--status", "active"]).ok();
    }
}

/// Of this test alone: the server and its address space are shared.
pub(crate) fn tenant_and_net() -> (String, String) {
    let name = format!("Cli Test {:08x}", fastrand::u32(..));
    let net = format!("10.{}.{}.0/29", fastrand::u8(..), fastrand::u8(..));
    (name, net)
}

fn a_subscriber_is_made_and_ended_as_one_operation(lab: &Lab) {
    let Some(url) = url() else { return };
    set_up(lab, &url);
    let (name, net) = tenant_and_net();
    let made = ["--make-tenant", &name, "--make-prefix", &net, "--yes"];
    lab.ctl(&[&["netbox", "bootstrap"], &made[..]].concat()).ok();

    let provision = |more: &[&str]| lab.ctl(&[&["subscriber", "provision", "carol", "--json"], more].concat());
    let carol = ["--vlan-id", "100", "--reply", "Filter-Id := gold"];
    let first = provision(&carol).json();
    assert_eq!((&first["status"], &first["already"]), (&json!("active"), &json!(false)));
    assert_eq!(first["addresses"][0]["net"], net.replace(".0/29", ".1/29"));
    let again = provision(&carol).json();
    assert_eq!((&again["id"], &again["already"]), (&first["id"], &json!(true)));
    let shown = lab.ctl(&["subscriber", "show", "carol", "--json"]).json();
    assert_eq!(shown["reply"].as_array().unwrap().len(), 1);
    assert!(provision(&["--vlan-id", "200"]).fails(4).contains("step create"));

    // There is no prefix to delegate from.
    let refused = lab.ctl(&["subscriber", "provision", "dave", "--kinds", "ipv4,ipv6_prefix"]);
    let told = refused.fails(1);
    assert!(
        told.contains("step allocate") && told.contains("nothing is left of it"),
        "{told}"
    );
    lab.ctl(&["subscriber", "show", "dave"]).fails(3);
    assert!(
        lab.ctl(&["subscriber", "provision", "dave", "--reply", "Filter-Id"])
            .fails(2)
            .contains("no row")
    );

    let ended = lab.ctl(&["subscriber", "deprovision", "carol", "--json"]).json();
    assert_eq!(ended["status"], "terminated");
    assert_eq!(ended["released"], json!([{ "kind": "ipv4", "outcome": "deprecated" }]));
    let shown = lab.ctl(&["subscriber", "show", "carol", "--json"]).json();
    assert_eq!(shown["static_ipv4"], Value::Null);
}

fn from_nothing_to_an_address(lab: &Lab) {
    let Some(url) = url() else { return };
    set_up(lab, &url);
    let (name, net) = tenant_and_net();
    // What people decide about is not made without their word.
    let refused = lab.ctl(&["netbox", "bootstrap", "--make-tenant", &name, "--make-prefix", &net]);
    assert!(refused.fails(2).contains("--yes"));
    lab.ctl(&[
        "netbox",
        "bootstrap",
        "--make-tenant",
        &name,
        "--make-prefix",
        &net,
        "--yes",
    ])
    .ok();
    assert_eq!(lab.ctl(&["netbox", "check", "--json"]).json(), json!([]));
    lab.ctl(&["netbox", "set", "--key-field", ""]).ok();
    let weaker = lab.ctl(&["netbox", "check"]);
    assert!(
        weaker.code == 0 && weaker.err.contains("each may be given an address"),
        "{}",
        weaker.err
    );
    lab.ctl(&["netbox", "set", "--key-field", "lease_key"]).ok();

    let synced = lab.ctl(&["netbox", "sync", "alice", "--json"]).json();
    let address = synced[0]["net"].as_str().unwrap().to_owned();
    assert_eq!(address, net.replace(".0/29", ".1/29"));
    assert_eq!(synced[0]["origin"], "allocated");
    let alice = lab.ctl(&["subscriber", "show", "alice", "--json"]).json();
    assert_eq!(alice["static_ipv4"], address.split('/').next().unwrap());
    assert_eq!(alice["netbox_ip_id"], synced[0]["netbox_id"]);

    let all = lab.ctl(&["netbox", "sync", "--all", "--json"]).json();
    assert_eq!(
        (&all["kept"], &all["allocated"], &all["failed"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(lab.ctl(&["netbox", "reconcile", "--json"]).json()["drift"], json!([]));

    let released = lab.ctl(&["netbox", "release", "bob", "--json"]).json();
    assert_eq!(released, json!([{ "kind": "ipv4", "outcome": "deprecated" }]));
    let report = lab.ctl(&["netbox", "reconcile", "--json"]);
    assert_eq!(report.code, 5);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["drift"][0]["kind"], "unaddressed");
    let repaired = lab.ctl(&["netbox", "reconcile", "--repair", "--json"]).json();
    assert_eq!(repaired["drift"][0]["repaired"], true);
    // Nothing has waited thirty days yet.
    assert_eq!(lab.ctl(&["netbox", "sweep", "--json"]).json(), json!({ "deleted": 0 }));
    assert_eq!(lab.ctl(&["netbox", "adopt", "--json"]).json()["known"], 2);
    lab.never_printed(&["TestSecret"]);
}

fn settings_of_a_tenant_come_over_all_others(lab: &Lab) {
    lab.set_up();
    lab.write(
        "ispctl.toml",
        "[netbox]\nurl = \"https://file.example\"\ntoken = \"of-the-file\"\nrole = \"file-role\"\n",
    );
    let shown = |environment: &[(&str, &str)]| lab.ctl_with(&["netbox", "show", "--json"], "", environment).json();
    assert_eq!(
        shown(&[]),
        json!({ "url": "https://file.example", "role": "file-role", "token_configured": true })
    );
    let environment = [
        ("NETBOX_URL", "https://environment.example"),
        ("NETBOX_VERIFY_SSL", "false"),
    ];
    let seen = shown(&environment);
    assert_eq!(
        (&seen["url"], &seen["verify_tls"]),
        (&json!("https://environment.example"), &json!(false))
    );
    lab.ctl_with(
        &[
            "netbox",
            "set",
            "--url",
            "https://own.example",
            "--token-file",
            "-",
            "--kinds",
            "ipv4,ipv6_prefix",
        ],
        "secret-token-of-the-tenant\n",
        &[],
    )
    .ok();
    let seen = shown(&environment);
    assert_eq!(
        (&seen["url"], &seen["role"]),
        (&json!("https://own.example"), &json!("file-role"))
    );
    assert_eq!(seen["kinds"], json!(["ipv4", "ipv6_prefix"]));
    lab.never_printed(&["secret-token"]);
    lab.ctl(&["netbox", "unset"]).ok();
    assert_eq!(shown(&[])["url"], "https://file.example");
    lab.ctl(&["netbox", "unset"]).fails(3);
}

fn faults_are_told_with_their_remedy(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "alice"]).ok();
    let sync = |environment: &[(&str, &str)]| lab.ctl_with(&["netbox", "sync", "alice"], "", environment);
    assert!(sync(&[]).fails(2).contains("ispctl netbox set --url"));
    let url = ("NETBOX_URL", "http://127.0.0.1:9");
    assert!(sync(&[url]).fails(2).contains("NETBOX_API_TOKEN"));
    let token = ("NETBOX_API_TOKEN", "nbt_some.thing");
    assert!(sync(&[url, token]).fails(2).contains("--netbox-tenant"));
    lab.ctl(&["netbox", "set", "--netbox-tenant", "1", "--max-retries", "0"])
        .ok();
    let error = sync(&[url, token]).fails(1);
    assert!(
        error.contains("cannot reach NetBox") && !error.contains("nbt_some"),
        "{error}"
    );
    lab.write("ispctl.toml", "[netbox]\nurls = \"x\"\n");
    let error = lab.ctl(&["status"]).fails(2);
    assert!(error.contains("ispctl.toml:2") && error.contains("urls"), "{error}");
}
