//! `ispctl oss`: settings of the systems beside this one, their secrets never shown.

use serde_json::json;

use crate::lab::Lab;
use crate::on_both_databases;

on_both_databases!(
    a_tenant_sets_and_clears_what_is_its_own,
    a_service_that_does_not_answer_is_told,
    the_environment_is_the_default
);

fn a_tenant_sets_and_clears_what_is_its_own(lab: &Lab) {
    lab.set_up();
    let token = "a-token-that-nobody-sees\n";
    let args = [
        "--json",
        "oss",
        "set",
        "awx",
        "--url",
        "https://awx.example.net",
        "--timeout",
        "7",
        "--token-file",
        "-",
    ];
    let view = lab.ctl_with(&args, token, &[]).json();
    assert_eq!(view["config"]["api_token_set"], true);
    assert_eq!(
        view["overrides"],
        json!({"url": "https://awx.example.net", "timeout_seconds": 7, "api_token_set": true})
    );
    let stored = lab.query("SELECT coalesce(secret, '') || CAST(settings AS text) FROM tenant_services");
    assert!(!stored[0].contains("a-token-that"), "{stored:?}");
    assert_eq!(lab.ctl(&["--json", "oss", "show", "ansible"]).json(), view);

    let view = lab
        .ctl(&[
            "--json",
            "oss",
            "set",
            "ansible",
            "--clear",
            "api_token,timeout_seconds",
        ])
        .json();
    assert_eq!(view["overrides"], json!({"url": "https://awx.example.net"}));
    assert_eq!(view["config"]["timeout_seconds"], 30);
    lab.ctl(&["oss", "unset", "ansible"]).ok();
    lab.ctl(&["oss", "unset", "ansible"]).fails(3);
    lab.ctl(&["oss", "set", "ansible"]).fails(2);
    lab.ctl(&["oss", "set", "ansible", "--url", "ftp://x"]).fails(5);
    lab.ctl(&["oss", "test", "ansible"]).fails(2);
    lab.never_printed(&["a-token-that"]);
}

fn a_service_that_does_not_answer_is_told(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["oss", "set", "genieacs", "--url", "http://127.0.0.1:9"]).ok();
    let run = lab.ctl(&["--json", "oss", "test"]);
    assert_eq!(run.code, 5, "{run:?}");
    let reports: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 1);
    assert_eq!(
        (&reports[0]["service"], &reports[0]["reachable"]),
        (&json!("genieacs"), &json!(false))
    );
}

fn the_environment_is_the_default(lab: &Lab) {
    lab.set_up();
    let environment = [
        ("PROMETHEUS_URL", "https://prometheus.example.net"),
        ("PROMETHEUS_API_TOKEN", "hidden-token"),
    ];
    let view = lab
        .ctl_with(&["--json", "oss", "show", "prometheus"], "", &environment)
        .json();
    assert_eq!(view["config"]["url"], "https://prometheus.example.net");
    assert_eq!(
        (&view["config"]["api_token_set"], &view["overrides"]),
        (&json!(true), &json!({}))
    );
    let err = lab
        .ctl_with(&["oss", "show"], "", &[("VOLTHA_TIMEOUT_SECONDS", "0")])
        .fails(5);
    assert!(err.contains("VOLTHA_TIMEOUT_SECONDS"), "{err}");
    lab.never_printed(&["hidden-token"]);
}
