//! Accounting that waits outside of the database: journals, and records that were refused.

use std::path::Path;
use std::time::Duration;

use isp_core::accounting::AccountingRecord;
use isp_core::accounting::aside::{self, Refused};
use isp_core::accounting::journal::{Journal, JournalConfig};
use serde_json::json;

use crate::lab::{Kind, Lab};

crate::on_both_databases!(
    refused_records_are_handed_on_again,
    a_status_is_told_while_the_database_is_away,
);

fn record(session: &str) -> AccountingRecord {
    serde_json::from_value(json!({
        "status": "Start", "tenant_id": null, "subscriber_id": null, "acct_session_id": session,
        "acct_unique_id": format!("{session:0>32}"), "user_name": "alice", "realm": "", "nas_ip_address": "192.0.2.1",
        "event_time": 1_700_000_000, "gigawords": true, "received": 1_700_000_000,
    }))
    .unwrap()
}

/// No session of this Acct-Session-Id gets in.
fn refuse(lab: &Lab, session: &str) {
    lab.execute(&match lab.kind() {
        Kind::Sqlite => format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON radacct WHEN NEW.acctsessionid = '{session}'
             BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        ),
        Kind::Postgres => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'not this one'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON radacct FOR EACH ROW
             WHEN (NEW.acctsessionid = '{session}') EXECUTE FUNCTION refuse()"
        ),
    });
}

fn put_aside(path: &Path, sessions: &[&str]) {
    let lines: Vec<_> = sessions
        .iter()
        .map(|session| Refused {
            refused_at: 1_700_000_001,
            error: "as it was then".to_owned(),
            record: record(session),
        })
        .collect();
    aside::append(path, &lines).unwrap();
}

fn refused_records_are_handed_on_again(lab: &Lab) {
    lab.set_up();
    refuse(lab, "2");
    let file = lab.path("refused.jsonl");
    let name = file.to_str().unwrap();
    lab.ctl(&["accounting", "retry", name]).fails(1);
    put_aside(&file, &["1", "2", "3"]);
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "not a record\n").unwrap();
    put_aside(&file, &["1"]);
    let before = std::fs::read(&file).unwrap();
    let planned = lab.ctl(&["accounting", "retry", name, "--dry-run", "--json"]).json();
    assert_eq!((&planned["records"], &planned["unreadable"]), (&json!(4), &json!(1)));
    assert_eq!(planned["refusals"][0]["error"], "as it was then");
    assert_eq!(std::fs::read(&file).unwrap(), before, "nothing is changed");

    for (records, stored) in [(4, 3), (1, 0)] {
        let run = lab.ctl(&["accounting", "retry", name, "--json"]);
        assert_eq!(run.code, 5, "{run:?}");
        assert!(run.err.contains("2 record(s) are refused still"), "{}", run.err);
        let told: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        let counts = ["records", "stored", "refused", "unreadable"].map(|count| told[count].as_u64().unwrap());
        assert_eq!(counts, [records, stored, 1, 1]);
        let why = told["refusals"][0]["error"].as_str().unwrap();
        assert!(
            why.contains("not this one") && told["refusals"][0]["acct_session_id"] == "2",
            "{told}"
        );
        let left = std::fs::read_to_string(&file).unwrap();
        assert_eq!(left.lines().count(), 2, "{left}");
        assert!(left.contains("not a record") && left.contains("not this one"), "{left}");
        assert_eq!(lab.query("SELECT acctsessionid FROM radacct ORDER BY 1"), ["1", "3"]);
    }

    lab.execute(match lab.kind() {
        Kind::Sqlite => "DROP TRIGGER refuse",
        Kind::Postgres => "DROP FUNCTION refuse CASCADE",
    });
    let left = std::fs::read_to_string(&file).unwrap().replace("not a record\n", "");
    std::fs::write(&file, left).unwrap();
    let done = lab.ctl(&["accounting", "retry", name]);
    assert!(done.err.contains("the file is gone"), "{}", done.err);
    done.ok();
    assert!(!file.exists());
    assert_eq!(
        lab.query("SELECT acctsessionid FROM radacct ORDER BY 1"),
        ["1", "2", "3"]
    );
}

fn a_status_is_told_while_the_database_is_away(lab: &Lab) {
    lab.set_up();
    let directory = lab.path("journal");
    let (journal, _reader) = Journal::open(&directory, JournalConfig::default()).unwrap();
    for session in ["1", "2"] {
        journal.append(&record(session), Duration::from_secs(60)).unwrap();
    }
    put_aside(&directory.join(aside::NAME), &["3"]);
    let name = directory.to_str().unwrap();
    let looked = |told: &serde_json::Value| {
        let journal = &told["journals"][0];
        assert_eq!(
            (&journal["records"], &journal["aside"]),
            (&json!(2), &json!(1)),
            "{told}"
        );
        assert_eq!(journal["in_use"], true);
    };
    let told = lab.ctl(&["status", "--journal", name, "--json"]).json();
    assert_eq!(told["subscribers"], 0);
    looked(&told);

    let away = match lab.kind() {
        Kind::Sqlite => format!("sqlite://{}", lab.path("none/isp.db").display()),
        Kind::Postgres => "postgres://isp@127.0.0.1:1/isp".to_owned(),
    };
    let run = lab.ctl_with(
        &["status", "--journal", name, "--json"],
        "",
        &[("ISP_DATABASE_URL", &away)],
    );
    let told: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert!(
        told["database_error"].as_str().unwrap().contains("cannot open"),
        "{told}"
    );
    looked(&told);
    run.fails(1);
    let nothing = lab.path("nothing");
    lab.ctl(&["status", "--journal", nothing.to_str().unwrap()]).fails(1);
}
