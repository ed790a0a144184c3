//! What a provider's rows of stock tables limit, by attributes that are no reply's: Expiration, Login-Time, Simultaneous-Use.

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::database::Database;
use e2e::eapol::{self, Eap};
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, login};
use e2e::radiusd::Radiusd;
use e2e::seed::PASSWORD;
use isp_core::dictionary::RowList;
use isp_core::password::Scheme;

use crate::{assert_recorded, server_on};

fn ask(server: &Radiusd, user: &str) -> Answer {
    login(Method::Pap, user, PASSWORD).ask(server)
}

fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A whole day of the week, some days from now: whichever time zone the server is in, it is not today there.
fn another_day() -> String {
    let days = ["Th", "Fr", "Sa", "Su", "Mo", "Tu", "We"];
    let index = usize::try_from(unix() / 86_400 + 3).unwrap() % days.len();
    format!("{}0000-2359", days[index])
}

fn check(database: &Database, user: &str, attribute: &str, value: &str) {
    let user = database.add(user);
    database.add_row(RowList::Check, &user, attribute, ":=", value);
}

fn seconds(answer: &Answer) -> u64 {
    answer.values("Session-Timeout")[0].parse().unwrap()
}

/// A group with one check row, and a member that has nothing of its own.
fn of_group(database: &Database, user: &str, attribute: &str, value: &str) {
    database.add(user);
    database.execute(&format!(
        "INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('g-{user}', '{attribute}', ':=', '{value}');
         INSERT INTO radusergroup (username, groupname) VALUES ('{user}', 'g-{user}')"
    ));
}

on_both_databases! {
    fn the_limits_of_rows_are_kept(database) {
        let database = database.seeded();
        check(&database, "past", "Expiration", "1 Jan 2020");
        check(&database, "soon", "Expiration", &(unix() + 1_000).to_string());
        check(&database, "another-day", "Login-Time", &another_day());
        check(&database, "any-day", "Login-Time", "Al0000-2359");
        of_group(&database, "past-group", "Expiration", "1 Jan 2020");
        of_group(&database, "another-day-group", "Login-Time", &another_day());
        database.add("alice");
        let server = server_on(&database).start();
        for (user, reason) in [
            ("past", "expired"),
            ("past-group", "expired"),
            ("another-day", "outside_hours"),
            ("another-day-group", "outside_hours"),
        ] {
            let answer = ask(&server, user);
            assert_eq!(answer.code, "Access-Reject", "{user}: {answer:?}");
            assert_recorded(&database, user, reason);
        }
        let soon = ask(&server, "soon");
        assert!(soon.accepted() && (900..=1_000).contains(&seconds(&soon)), "{soon:?}");
        assert!(ask(&server, "any-day").accepted());
        assert!(ask(&server, "alice").accepted());
        let log = server.log();
        assert!(log.contains("outside_hours: a check row of Login-Time allows"), "{log}");
    }

    fn the_limits_of_rows_are_kept_in_a_tunnel(database) {
        let database = database.seeded();
        check(&database, "past", "Expiration", "1 Jan 2020");
        database.add("alice");
        let server = server_on(&database).start();
        for eap in [Eap::PeapMsChapV2, Eap::TtlsPap] {
            assert!(!eapol::login(&server, eap, "anonymous", "past", PASSWORD).accepted, "{eap:?}");
            assert!(eapol::login(&server, eap, "anonymous", "alice", PASSWORD).accepted, "{eap:?}");
        }
        assert_recorded(&database, "past", "expired");
    }

    /// In place of what the subscriber itself has.
    fn sessions_are_counted_up_to_what_a_row_says(database) {
        let database = database.seeded();
        let devices = ["00-00-5E-00-53-01", "00-00-5E-00-53-02", "00-00-5E-00-53-03"];
        database.add_with("own-row", Scheme::Cleartext, |own| own.simultaneous_use = 1);
        check(&database, "nobody", "Simultaneous-Use", "0");
        of_group(&database, "group-row", "Simultaneous-Use", "1");
        database.execute(
            "INSERT INTO radcheck (username, attribute, op, value) VALUES ('own-row', 'Simultaneous-Use', ':=', '2');
             UPDATE subscribers SET simultaneous_use = 0 WHERE username IN ('group-row', 'nobody')",
        );
        for mode in ["node", "strict"] {
            let server = server_on(&database).key("sessions.simultaneous_use", mode).start();
            for (user, places) in [("own-row", 2), ("group-row", 1), ("nobody", 0)] {
                let accepted = devices.map(|device| {
                    let login = login(Method::Pap, user, PASSWORD).with("Calling-Station-Id", device);
                    login.ask(&server).accepted()
                });
                let expected = [0, 1, 2].map(|index| index < places);
                assert_eq!(accepted, expected, "{user}, {mode}");
                assert_recorded(&database, user, "too_many_sessions");
            }
            // The claims of one server are not to be counted by the next.
            database.execute("DELETE FROM session_claims");
        }
    }
}
