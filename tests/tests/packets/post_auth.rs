//! Rows of `radpostauth`.

use e2e::on_both_databases;
use e2e::radclient::{Method, login};
use e2e::seed::{PASSWORD, TENANT};

use crate::{assert_recorded, recorded, server_on};

on_both_databases! {
    fn a_row_has_the_outcome_the_nas_and_the_stations_but_no_password(database) {
        let database = database.seeded();
        let alice = database.add("alice");
        let server = server_on(&database).start();
        let stations = |password: &str| {
            let answer = login(Method::Pap, "alice", password)
                .with("Called-Station-Id", "00-11-22-33-44-55:bras1")
                .with("Calling-Station-Id", "66-77-88-99-AA-BB")
                .ask(&server);
            answer.code
        };
        assert_eq!(stations(PASSWORD), "Access-Accept");
        assert_eq!(stations("a wrong attempt"), "Access-Reject");
        assert_recorded(&database, "alice", "bad_password");
        let rows = database.query(
            "SELECT reply, reason, tenant_id, subscriber_id, CAST(nasipaddress AS TEXT), calledstationid, callingstationid
             FROM radpostauth ORDER BY id",
        );
        let row = |reply: &str, reason: Option<&str>| -> Vec<Option<String>> {
            [
                Some(reply), reason, Some(TENANT), Some(alice.id.as_str()), Some("127.0.0.1"),
                Some("00-11-22-33-44-55:bras1"), Some("66-77-88-99-AA-BB"),
            ]
            .map(|text| text.map(str::to_owned))
            .to_vec()
        };
        let rows: Vec<Vec<Option<String>>> = rows
            .into_iter()
            .map(|row| row.into_iter().map(|v| v.map(|v| v.trim_end_matches("/32").to_owned())).collect())
            .collect();
        assert_eq!(rows, [row("Access-Accept", None), row("Access-Reject", Some("bad_password"))]);
        // Whatever columns there are: neither password is in any of them.
        let everything = format!("{:?}", database.query(
            "SELECT username, CAST(pass AS TEXT), reply, reason, calledstationid, callingstationid, class FROM radpostauth",
        ));
        assert!(!everything.contains(PASSWORD) && !everything.contains("a wrong attempt"), "{everything}");
    }

    fn a_burst_of_logins_is_recorded_to_the_last_row(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).start();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert!(login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
                    }
                });
            }
        });
        // What is queued is written before the server is gone.
        let (status, _) = server.stop();
        assert!(status.success(), "{status}");
        assert_eq!(recorded(&database, "alice"), vec!["accepted"; 40]);
    }
}
