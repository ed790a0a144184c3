//! `subscriber import`: all or nothing, errors by line.

use serde_json::{Value, json};

use crate::lab::{Lab, Run};

crate::on_both_databases!(
    rows_become_subscribers,
    every_error_is_told_by_line_and_nothing_is_imported,
    names_that_are_taken_are_all_told,
    headers_are_checked,
    passwords_are_sealed_or_taken_as_hashes,
    slow_hashes_are_made_before_anything_is_written,
    a_dry_run_asks_the_database_too,
    errors_are_bounded,
    batches_make_no_difference,
);

fn import(lab: &Lab, text: &str, args: &[&str]) -> Run {
    let file = lab.write("subscribers.csv", text);
    lab.ctl(&[&["subscriber", "import", file.to_str().unwrap()], args].concat())
}

fn subscribers(lab: &Lab) -> Vec<Value> {
    lab.ctl(&["subscriber", "list", "--limit", "0", "--json"])
        .json()
        .as_array()
        .unwrap()
        .clone()
}

fn count(lab: &Lab) -> usize {
    subscribers(lab).len()
}

fn rows_become_subscribers(lab: &Lab) {
    lab.set_up();
    lab.ctl(&[
        "plan",
        "add",
        "fibre",
        "--id",
        "p-1",
        "--download",
        "1M",
        "--upload",
        "1M",
    ])
    .ok();
    let text = "\u{feff}username,Plan ,status,full_name,static_ipv4,expiration_date,notes,total_sessions\r\n\
                alice,fibre,active,\"Example, Alice\",192.0.2.1,2030-01-01,\"two\nlines\",7\r\n\
                \r\n\
                bob,p-1,,,,,,\r\n\
                o'neil; DROP TABLE nas,,,,,,\"say \"\"hi\"\"\",\r\n";
    let run = import(lab, text, &["--service-type", "voip"]);
    assert!(run.err.contains("3 subscribers imported"), "{}", run.err);
    run.ok();
    let rows = subscribers(lab);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["full_name"], json!("Example, Alice"));
    assert_eq!(rows[0]["plan"], json!("fibre"));
    assert_eq!(rows[0]["status"], json!("active"));
    assert_eq!(rows[0]["static_ipv4"], json!("192.0.2.1"));
    assert_eq!(rows[0]["expiration_date"], json!(1_893_456_000));
    assert_eq!(rows[0]["notes"], json!("two\nlines"));
    assert_eq!(rows[0]["service_type"], json!("voip"));
    assert_eq!(rows[0]["created_by"], json!("tester"));
    assert_eq!(
        (&rows[1]["status"], &rows[1]["plan"]),
        (&json!("pending"), &json!("fibre"))
    );
    assert_eq!(rows[2]["username"], json!("o'neil; DROP TABLE nas"));
    assert_eq!(rows[2]["notes"], json!("say \"hi\""));

    let from_stdin = lab
        .ctl_with(
            &["subscriber", "import", "-", "--delimiter", ";", "--json"],
            "username;status\ncarol;active\n",
            &[],
        )
        .json();
    assert_eq!(
        (&from_stdin["imported"], &from_stdin["error_count"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(count(lab), 4);
    assert!(import(lab, "username\n", &[]).ok().is_empty());
    assert!(
        lab.ctl(&["subscriber", "import", "/nonexistent.csv"])
            .fails(1)
            .contains("/nonexistent.csv")
    );
}

fn every_error_is_told_by_line_and_nothing_is_imported(lab: &Lab) {
    lab.set_up();
    let text = "username,status,vlan_id,plan,password,notes\n\
                good1,active,1,,x,\n\
                bad1,gone,4095,,x,\n\
                good2,active,1,,x,\"a\nb\nc\"\n\
                bad2,active,1,nosuch,x,\n\
                \n\
                bad3,active,1\n\
                good1,active,1,,x,\n\
                ,active,1,,x,\n\
                bad\u{7}4,active,1,,x,\n";
    let run = import(lab, text, &[]);
    let path = lab.path("subscribers.csv").display().to_string();
    let told: Vec<String> = run
        .err
        .lines()
        .filter_map(|line| line.strip_prefix(&format!("{path}:")))
        .map(str::to_owned)
        .collect();
    let expected = [
        "3: status: unknown subscriber status \"gone\"",
        "3: vlan_id: \"4095\" is no whole number from 1 to 4094",
        "7: plan: there is no plan \"nosuch\"",
        "9: has 3 cells, the header 6",
        "10: username: \"good1\" is on line 2 already",
        "11: username: is empty",
        "12: username: holds the control character U+0007",
    ];
    assert_eq!(told.len(), expected.len(), "{}", run.err);
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told:?} is not {expected:?}");
    }
    assert!(run.fails(5).contains("7 error(s); nothing was imported"));
    assert_eq!(count(lab), 0);

    let file = lab.path("subscribers.csv");
    let run = lab.ctl(&["subscriber", "import", file.to_str().unwrap(), "--json"]);
    let summary: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(summary["imported"], json!(0));
    assert_eq!(summary["error_count"], json!(7));
    assert_eq!(summary["errors"][1]["line"], json!(3));
    assert_eq!(summary["errors"][1]["column"], json!("vlan_id"));
    run.fails(5);

    let not_utf8 = lab.path("latin1.csv");
    std::fs::write(&not_utf8, b"username,full_name\nalice,J\xf6rg\n").unwrap();
    let error = lab.ctl(&["subscriber", "import", not_utf8.to_str().unwrap()]).fails(5);
    assert!(error.contains(":2: full_name: is not UTF-8"), "{error}");
}

fn names_that_are_taken_are_all_told(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "u5", "--number", "N-1"]).ok();
    lab.ctl(&["subscriber", "add", "u900"]).ok();
    lab.ctl(&["subscriber", "add", "gone"]).ok();
    lab.ctl(&["subscriber", "delete", "gone"]).ok();
    let mut text = "username,subscriber_number\ngone,\n".to_owned();
    for n in 0..1000 {
        text += &format!("u{n},{}\n", if n == 10 { "N-1" } else { "" });
    }
    let error = import(lab, &text, &[]).fails(5);
    for expected in [
        ":8: username: \"u5\" is taken",
        ":13: subscriber_number: \"N-1\" is taken",
        ":903: username: \"u900\" is taken",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    assert!(error.contains("3 error(s)"), "{error}");
    assert_eq!(count(lab), 2);
    lab.write("ispctl.toml", "import_max_errors = 2\n");
    let error = import(lab, &text, &[]).fails(5);
    assert!(error.contains("is taken") && error.contains("and at least "), "{error}");
    lab.write("ispctl.toml", "");
    // What the database alone can know.
    let error = import(lab, "username,customer_id\nx,\ny,nobody\n", &[]).fails(5);
    assert!(error.contains(":3: ") && error.contains("customer"), "{error}");
    assert_eq!(count(lab), 2);
}

fn headers_are_checked(lab: &Lab) {
    lab.set_up();
    let error = import(lab, "usernme,status,status,tenant_id\nalice,active,active,x\n", &[]).fails(5);
    for expected in [
        ":1: unknown column \"usernme\": did you mean \"username\"?",
        ":1: column \"status\" is there twice",
        ":1: unknown column \"tenant_id\"",
        ":1: there is no column \"username\"",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    assert!(import(lab, "", &[]).fails(5).contains("empty"));
    assert_eq!(count(lab), 0);
}

fn passwords_are_sealed_or_taken_as_hashes(lab: &Lab) {
    lab.set_up();
    let methods = |name: &str| {
        lab.query(&format!(
            "SELECT password_hash_method FROM subscribers WHERE username = '{name}'"
        ))
    };
    import(
        lab,
        "username,password\nalice,clear-of-alice\nbob,bcrypt:not-a-hash\ncarol,\n",
        &[],
    )
    .ok();
    assert_eq!(methods("alice"), ["cleartext"]);
    assert_eq!(
        methods("bob"),
        ["cleartext"],
        "without a method a password is just a password"
    );
    import(lab, "username,password\ndave,clear-of-dave\n", &["--scheme", "ssha"]).ok();
    assert_eq!(methods("dave"), ["ssha"]);

    let hash = "$2b$04$abcdefghijklmnopqrstuuXNQyHaR3GpwiEkYxN.pJnWSUvbSBVFm";
    import(
        lab,
        &format!("username,password,password_hash_method\nerin,{hash},bcrypt\nfrank,clear-of-frank,\n"),
        &[],
    )
    .ok();
    assert_eq!(
        (methods("erin"), methods("frank")),
        (vec!["bcrypt".to_owned()], vec!["cleartext".to_owned()])
    );
    let sha = "sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
    import(
        lab,
        &format!("username,password\ngrace,{sha}\nheidi,clear-of-heidi\nivan,nt:8846f7eaee8fb117ad06bdd830b7586c\n"),
        &["--hashed"],
    )
    .ok();
    assert_eq!(
        (methods("grace"), methods("heidi"), methods("ivan")),
        (
            vec!["sha256".to_owned()],
            vec!["cleartext".to_owned()],
            vec!["nt".to_owned()]
        )
    );

    let error = import(
        lab,
        "username,password,password_hash_method\nx,zzz,bcrypt\ny,,bcrypt\nz,abc,rot13\n",
        &[],
    )
    .fails(5);
    for line in [":2: password: ", ":3: password: ", ":4: password: "] {
        assert!(error.contains(line), "{error}");
    }
    // Reversible ones need a key.
    let file = lab.write("unkeyed.csv", "username,password\nzoe,clear-of-zoe\n");
    let error = lab
        .ctl_with(
            &["subscriber", "import", file.to_str().unwrap()],
            "",
            &[("ISP_KEY_FILE", "")],
        )
        .fails(5);
    assert!(error.contains(":2: password: "), "{error}");

    for stored in lab.query("SELECT password FROM subscribers WHERE password IS NOT NULL") {
        assert!(
            !stored.contains("clear-of") && !stored.contains("8846f7ea"),
            "{stored} is in clear"
        );
    }
    lab.never_printed(&["clear-of-", hash, "8846f7ea"]);
}

fn slow_hashes_are_made_before_anything_is_written(lab: &Lab) {
    lab.set_up();
    let run = import(
        lab,
        "username,password\nalice,one\nbob,two\ncarol,\n",
        &["--scheme", "argon2id"],
    );
    assert!(run.err.contains("warning: hashing"), "{}", run.err);
    run.ok();
    assert_eq!(
        lab.query("SELECT password_hash_method FROM subscribers WHERE password IS NOT NULL ORDER BY username"),
        ["argon2id", "argon2id"]
    );
    let bad = import(
        lab,
        "username,password,vlan_id\ndave,one,1\nerin,two,9999\n",
        &["--scheme", "bcrypt"],
    );
    assert!(
        !bad.err.contains("warning: hashing"),
        "a bad file is refused before the work: {}",
        bad.err
    );
    bad.fails(5);
}

fn a_dry_run_asks_the_database_too(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "taken"]).ok();
    let dry = import(lab, "username,password\nalice,x\nbob,y\n", &["--dry-run"]);
    assert!(dry.err.contains("2 subscribers would be imported"), "{}", dry.err);
    dry.ok();
    assert_eq!(count(lab), 1);
    assert!(
        import(lab, "username\nalice\ntaken\n", &["--dry-run"])
            .fails(5)
            .contains(":3: ")
    );
    assert_eq!(count(lab), 1);
}

fn errors_are_bounded(lab: &Lab) {
    lab.set_up();
    lab.write("ispctl.toml", "import_max_errors = 5\n");
    let text = format!(
        "username,vlan_id\n{}",
        (0..500).map(|n| format!("u{n},0\n")).collect::<String>()
    );
    let error = import(lab, &text, &[]).fails(5);
    assert_eq!(error.lines().filter(|line| line.contains("vlan_id")).count(), 5);
    assert!(
        error.contains("and 495 more") && error.contains("500 error(s)"),
        "{error}"
    );
}

fn batches_make_no_difference(lab: &Lab) {
    lab.set_up();
    lab.write("ispctl.toml", "import_batch = 7\n");
    let text = format!(
        "username,password\n{}",
        (0..500).map(|n| format!("u{n},p\n")).collect::<String>()
    );
    import(lab, &text, &[]).ok();
    assert_eq!(count(lab), 500);
    let more = format!(
        "username\n{}u499\n",
        (0..500).map(|n| format!("v{n}\n")).collect::<String>()
    );
    assert!(
        import(lab, &more, &[])
            .fails(5)
            .contains(":502: username: \"u499\" is taken")
    );
    assert_eq!(count(lab), 500);
}
