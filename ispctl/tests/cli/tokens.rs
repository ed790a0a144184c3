//! `ispctl token` and `ispctl audit`.

use serde_json::json;

use crate::lab::Lab;
use crate::on_both_databases;

on_both_databases!(
    a_token_is_shown_once,
    what_is_no_token_is_told,
    changes_are_read_back_and_go_with_age
);

fn a_token_is_shown_once(lab: &Lab) {
    lab.set_up();
    let args = ["token", "add", "billing", "--role", "tenant_admin", "--expires", "90d"];
    let run = lab.ctl(&args);
    let told = run.err.clone();
    let bearer = run.ok().trim_end().to_owned();
    assert!(bearer.starts_with("isp_") && bearer.len() == 47, "{}", bearer.len());
    assert!(!told.contains(&bearer) && told.contains("only now"), "{told}");

    let args = [
        "--json",
        "token",
        "add",
        "probe",
        "--scope",
        "isp.radius.read",
        "--scope",
        "isp.audit.read",
        "--scope",
        "isp.radius.read",
        "--expires",
        "2090-01-31",
    ];
    let made = lab.ctl(&args).json();
    let other = made["bearer"].as_str().unwrap().to_owned();
    assert_eq!(made["scopes"], json!(["isp.audit.read", "isp.radius.read"]));
    assert_ne!(other, bearer);

    let listing = lab.ctl(&["--json", "token", "list"]);
    for secret in [&bearer, &other] {
        assert!(!listing.out.contains(secret.as_str()));
    }
    let tokens = listing.json();
    assert_eq!(tokens[0]["name"], "billing");
    let (created, expires) = (&tokens[0]["created_at"], &tokens[0]["expires_at"]);
    assert_eq!(expires.as_i64().unwrap() - created.as_i64().unwrap(), 90 * 86_400);
    assert_eq!(tokens[1]["id"], made["id"]);
    assert_eq!(tokens[1]["expires_at"], 3_789_504_000_i64);
    let stored = lab.query("SELECT name || digest || scopes FROM api_tokens");
    assert!(stored.iter().all(|row| !row.contains("isp_")), "{stored:?}");

    lab.ctl(&["tenant", "add", "other"]).ok();
    let id = made["id"].as_str().unwrap();
    lab.ctl(&["--tenant", "other", "token", "revoke", id]).fails(3);
    lab.ctl(&["--tenant", "example", "token", "revoke", id]).ok();
    let tokens = lab.ctl(&["--json", "--tenant", "example", "token", "list"]).json();
    assert!(tokens[0]["revoked_at"].is_null() && tokens[1]["revoked_at"].is_i64());
}

fn what_is_no_token_is_told(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["token", "add", "nothing"]).fails(2);
    let err = lab.ctl(&["token", "add", "x", "--scope", "isp.radius.*"]).fails(2);
    assert!(err.contains("isp.radius.read"), "{err}");
    lab.ctl(&["token", "add", "x", "--role", "root"]).fails(2);
    lab.ctl(&["token", "add", "x", "--role", "admin", "--expires", "soon"])
        .fails(2);
    lab.ctl(&["token", "add", "", "--role", "admin"]).fails(2);
    let late = ["token", "add", "x", "--role", "admin", "--expires", "2020-01-01"];
    let err = lab.ctl(&late).fails(5);
    assert!(err.contains("--expires"), "{err}");
    lab.ctl(&["token", "revoke", "none"]).fails(3);
    assert_eq!(lab.query("SELECT count(*) || '' FROM api_tokens"), ["0"]);
    assert_eq!(lab.query("SELECT count(*) || '' FROM audit_log"), ["0"]);
}

fn changes_are_read_back_and_go_with_age(lab: &Lab) {
    lab.set_up();
    let grace = [("ISP_OPERATOR", "grace")];
    let args = ["--json", "token", "add", "billing", "--role", "admin"];
    let made = lab.ctl_with(&args, "", &grace).json();
    let id = made["id"].as_str().unwrap();
    lab.ctl_with(&["token", "revoke", id], "", &grace).ok();

    let listing = lab.ctl(&["--json", "audit", "list"]);
    assert!(!listing.out.contains(made["bearer"].as_str().unwrap()));
    let entries = listing.json();
    let actions: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["action"])
        .collect();
    assert_eq!(actions, ["revoke", "create"]);
    for entry in entries.as_array().unwrap() {
        assert_eq!((&entry["kind"], &entry["subject"]), (&json!("token"), &made["id"]));
        assert_eq!(entry["actor"], "grace");
    }
    let last = entries[0]["id"].to_string();
    for (args, count) in [
        (["--before", &last], 1),
        (["--limit", "1"], 1),
        (["--kind", "nas"], 0),
        (["--kind", "token"], 2),
        (["--subject", id], 2),
        (["--actor", "grace"], 2),
        (["--actor", "ada"], 0),
    ] {
        let all = [&["--json", "audit", "list"], &args[..]].concat();
        assert_eq!(lab.ctl(&all).json().as_array().unwrap().len(), count, "{args:?}");
    }

    lab.execute("UPDATE audit_log SET at = '2020-01-01 00:00:00' WHERE action = 'create'");
    lab.ctl(&["retention", "--yes"]).ok();
    assert_eq!(
        lab.query("SELECT action FROM audit_log ORDER BY id"),
        ["create", "revoke"]
    );
    let removed = lab.ctl(&["--json", "retention", "--yes", "--audit-days", "365"]).json();
    assert_eq!(
        (&removed[0]["table"], &removed[0]["rows"]),
        (&json!("audit_log"), &json!(1))
    );
    assert_eq!(lab.query("SELECT action FROM audit_log"), ["revoke"]);
}
