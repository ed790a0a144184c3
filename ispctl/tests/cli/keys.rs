//! Keys: made, rotated, everything sealed anew.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::lab::{Lab, chmod};

crate::on_both_databases!(
    keys_are_made_and_rotated,
    everything_reversible_is_sealed_anew,
    what_cannot_be_opened_stays_and_is_told
);

fn keys_are_made_and_rotated(lab: &Lab) {
    let made = lab.ctl(&["key", "create", "--json"]).json();
    let file = lab.path("keys");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read_to_string(&file).unwrap();
    lab.ctl(&["key", "create"]).fails(4);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        before,
        "a key file is never overwritten"
    );
    let rotated = lab.ctl(&["key", "rotate", "--json"]).json();
    assert_ne!(rotated["primary_key"], made["primary_key"]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    chmod(&file, 0o644);
    lab.ctl(&["migrate"]).ok();
    let error = lab.ctl(&["key", "reseal"]).fails(1);
    assert!(error.contains("keys"), "{error}");
}

fn everything_reversible_is_sealed_anew(lab: &Lab) {
    lab.set_up();
    lab.write("ispctl.toml", "reseal_batch = 3\n");
    for n in 0..8 {
        lab.ctl_with(
            &["subscriber", "add", &format!("sealed{n}"), "--password-file", "-"],
            "sealed-pw",
            &[],
        )
        .ok();
    }
    lab.ctl(&["subscriber", "delete", "sealed7"]).ok();
    lab.ctl_with(
        &["subscriber", "add", "nt", "--password-file", "-", "--scheme", "nt"],
        "nt-pw",
        &[],
    )
    .ok();
    lab.ctl_with(
        &[
            "subscriber",
            "add",
            "oneway",
            "--password-file",
            "-",
            "--scheme",
            "sha256",
        ],
        "oneway-pw",
        &[],
    )
    .ok();
    lab.ctl(&["subscriber", "add", "clear"]).ok();
    lab.ctl(&["subscriber", "add", "clear_nt"]).ok();
    lab.ctl(&["subscriber", "add", "none"]).ok();
    // As another program leaves them.
    lab.execute("UPDATE subscribers SET password = 'legacy-clear-pw' WHERE username = 'clear'");
    lab.execute("UPDATE subscribers SET password = 'nt:8846f7eaee8fb117ad06bdd830b7586c' WHERE username = 'clear_nt'");
    lab.ctl_with(&["nas", "add", "192.0.2.1"], "a-secret-of-the-first-nas", &[])
        .ok();
    lab.ctl_with(&["nas", "add", "192.0.2.2"], "a-secret-of-the-second-nas", &[])
        .ok();
    lab.execute("UPDATE nas SET secret = 'legacy-clear-secret' WHERE nasname = '192.0.2.2'");
    lab.ctl(&["key", "rotate"]).ok();

    let everything = "SELECT coalesce(password, '') FROM subscribers UNION ALL SELECT secret FROM nas";
    let before = lab.query(everything);
    let counts =
        |resealed, unchanged| json!({"resealed": resealed, "unchanged": unchanged, "overtaken": 0, "unreadable": 0});
    let dry = lab.ctl(&["key", "reseal", "--dry-run", "--json"]).json();
    assert_eq!(
        (&dry["passwords"], &dry["nas_secrets"]),
        (&counts(11, 1), &counts(2, 0))
    );
    assert_eq!(lab.query(everything), before, "a dry run changes nothing");
    let done = lab.ctl(&["key", "reseal", "--json"]).json();
    assert_eq!(
        (&done["passwords"], &done["nas_secrets"]),
        (&counts(11, 1), &counts(2, 0))
    );
    let primary = format!("sealed:{}:", done["primary_key"]);
    for stored in lab.query(everything) {
        assert!(
            stored.is_empty() || stored.contains(&primary) || stored.starts_with("sha256:"),
            "{stored}"
        );
    }
    let again = lab.ctl(&["key", "reseal"]).ok();
    assert!(
        again.contains("passwords: 0 sealed") && again.contains("NAS secrets: 0 sealed"),
        "{again}"
    );

    // What was sealed anew opens: moving a NAS opens its secret, and another rotation opens everything.
    lab.ctl(&["nas", "set", "192.0.2.2", "--rename", "192.0.2.3"]).ok();
    lab.ctl(&["key", "rotate"]).ok();
    let third = lab.ctl(&["key", "reseal", "--json"]).json();
    assert_eq!(
        (&third["passwords"], &third["nas_secrets"]),
        (&counts(11, 1), &counts(2, 0))
    );
    lab.never_printed(&[
        "sealed-pw",
        "nt-pw",
        "oneway-pw",
        "legacy-clear",
        "a-secret-of",
        "8846f7ea",
        "sealed:",
    ]);
}

fn what_cannot_be_opened_stays_and_is_told(lab: &Lab) {
    lab.set_up();
    for name in ["alice", "bob"] {
        lab.ctl_with(&["subscriber", "add", name, "--password-file", "-"], "some-pw", &[])
            .ok();
    }
    // A sealed password is bound to its subscriber: copied to another one it does not open.
    lab.execute(
        "UPDATE subscribers SET password = (SELECT password FROM subscribers WHERE username = 'alice') WHERE username = 'bob'",
    );
    lab.ctl(&["key", "rotate"]).ok();
    let run = lab.ctl(&["key", "reseal"]);
    assert!(
        run.out.contains("1 sealed") && run.out.contains("1 unreadable"),
        "{}",
        run.out
    );
    let error = run.fails(1);
    assert!(error.contains("bob") && !error.contains("alice"), "{error}");
    lab.never_printed(&["some-pw", "sealed:"]);
}
