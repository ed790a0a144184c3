//! Where passwords come from and where they never show.

use serde_json::json;

use crate::lab::Lab;

crate::on_both_databases!(passwords_come_from_anywhere_but_arguments);

fn passwords_come_from_anywhere_but_arguments(lab: &Lab) {
    lab.set_up();
    let stored = || {
        lab.query("SELECT password_hash_method || ' ' || password FROM subscribers WHERE username = 'alice'")
            .pop()
    };
    let file = lab.write("password", "from-a-file\r\n");
    lab.ctl(&["subscriber", "add", "alice", "--password-file", file.to_str().unwrap()])
        .ok();
    assert!(
        stored().unwrap().starts_with("cleartext cleartext:sealed:")
            || stored().unwrap().starts_with("cleartext sealed:"),
        "{:?}",
        stored()
    );

    let mut forms = vec![stored()];
    lab.ctl_with(&["subscriber", "password", "alice"], "from-standard-input\n", &[])
        .ok();
    forms.push(stored());
    lab.ctl_with(
        &["subscriber", "password", "alice"],
        "",
        &[("ISP_PASSWORD", "from-the-environment")],
    )
    .ok();
    forms.push(stored());
    lab.ctl_with(
        &["subscriber", "password", "alice", "--file", "-"],
        "from-dash",
        &[("ISP_PASSWORD", "not-this-one")],
    )
    .ok();
    forms.push(stored());
    let generated = lab.ctl(&["subscriber", "password", "alice", "--generate"]);
    assert!(generated.err.contains("only now"));
    let generated = generated.ok();
    assert_eq!(generated.trim().len(), 20);
    forms.push(stored());
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), 5, "every one was stored, each sealed anew");

    for (scheme, prefix) in [
        ("nt", "nt "),
        ("sha256", "sha256 "),
        ("ssha", "ssha "),
        ("argon2id", "argon2id "),
        ("bcrypt", "bcrypt "),
    ] {
        lab.ctl_with(
            &["subscriber", "password", "alice", "--scheme", scheme],
            "some-password",
            &[],
        )
        .ok();
        assert!(stored().unwrap().starts_with(prefix), "{:?}", stored());
    }
    assert!(
        lab.ctl_with(&["subscriber", "password", "alice", "--scheme", "rot13"], "x", &[])
            .fails(2)
            .contains("argon2id")
    );
    lab.ctl_with(&["subscriber", "password", "alice"], "", &[]).fails(5);
    lab.ctl_with(&["subscriber", "password", "alice"], &"x".repeat(129), &[])
        .fails(5);
    lab.ctl(&["subscriber", "password", "alice", "--generate", "--json"])
        .fails(2);
    lab.ctl(&["subscriber", "password", "alice", "an-argument"]).fails(2);
    // Without a key nothing reversible is stored.
    let unkeyed = lab.ctl_with(
        &["subscriber", "password", "alice", "--scheme", "cleartext"],
        "unkeyed-password",
        &[("ISP_KEY_FILE", "")],
    );
    assert!(unkeyed.fails(2).contains("key"));
    lab.ctl(&["subscriber", "show", "alice", "--json"]).ok();
    lab.ctl(&["subscriber", "password", "alice", "--remove"]).ok();
    assert_eq!(
        lab.ctl(&["subscriber", "show", "alice", "--json"]).json()["password_configured"],
        json!(false)
    );
    lab.never_printed(&[
        "from-a-file",
        "from-standard-input",
        "from-the-environment",
        "from-dash",
        "not-this-one",
        "some-password",
        "unkeyed-password",
        "sealed:",
        "$argon2id$",
        "$2b$",
    ]);
}
