//! Names as an attacker would choose them.

use e2e::on_both_databases;
use e2e::radclient::{Method, Packet, SECRET, login};
use e2e::seed::PASSWORD;

use crate::{assert_recorded, server_on};

const USER_NAME: u8 = 1;

on_both_databases! {
    fn hostile_names_are_looked_up_as_they_are(database) {
        let database = database.seeded();
        let longest = "x".repeat(253);
        let names = [
            longest.as_str(),
            "o'brien",
            "\"quoted\"",
            "'; DROP TABLE subscribers; --",
            "%{User-Password}%s%n",
            "${confdir}",
            "back\\slash",
            "üñï©ode-日本",
            "with space",
            "user@realm.example",
            "*",
            "%",
        ];
        for name in names {
            database.add(name);
        }
        let server = server_on(&database).start();
        for name in names {
            let request = |password: &str| {
                Packet::access_request().octets(USER_NAME, name.as_bytes()).with("User-Password", password)
            };
            assert!(request(PASSWORD).ask(&server).accepted(), "{name}");
            assert!(!request("wrong").ask(&server).accepted(), "{name}");
            assert_recorded(&database, name, "bad_password");
        }
        assert_eq!(
            database.value("SELECT CAST(count(*) AS TEXT) FROM subscribers").as_deref(),
            Some(names.len().to_string().as_str())
        );
    }

    fn names_that_are_no_text_match_nobody(database) {
        let database = database.seeded();
        database.add("alice");
        database.add("a\u{fffd}b");
        let mut server = server_on(&database).start();
        let hostile: [&[u8]; 7] = [
            b"alice\0",
            b"\0alice",
            b"ali\0ce",
            b"\xff\xfe\xfd",
            b"a\xffb",
            b"alice\xc3",
            &[0x80; 253],
        ];
        for name in hostile {
            let answer = Packet::access_request().octets(USER_NAME, name).with("User-Password", PASSWORD).ask(&server);
            assert_eq!(answer.code, "Access-Reject", "{name:02x?}");
        }
        assert!(login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
        assert!(server.alive());
        e2e::wait_for("all refusals are recorded", std::time::Duration::from_secs(10), || {
            database.value("SELECT CAST(count(*) AS TEXT) FROM radpostauth WHERE reply = 'Access-Reject'").as_deref()
                == Some("7")
        });
    }

    fn a_packet_without_a_name_or_a_credential_is_refused(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).start();
        assert!(!Packet::access_request().with("User-Password", PASSWORD).ask(&server).accepted());
        assert!(!Packet::access_request().with("User-Name", "").with("User-Password", PASSWORD).ask(&server).accepted());
        assert!(!Packet::access_request().with("User-Name", "alice").ask(&server).accepted());
    }
}

#[test]
fn neither_a_password_nor_the_shared_secret_is_logged_in_service() {
    let database = e2e::database::Database::sqlite().seeded();
    database.add("alice");
    let server = server_on(&database).quiet().start();
    for method in [Method::Pap, Method::Chap, Method::MsChapV1, Method::MsChapV2] {
        assert!(login(method, "alice", PASSWORD).ask(&server).accepted());
        assert!(
            !login(method, "alice", "an attempt nobody may see")
                .ask(&server)
                .accepted()
        );
    }
    assert_recorded(&database, "alice", "bad_password");
    let (_, configuration) = server.stop();
    let log = std::fs::read_to_string(configuration.directory().join("log")).unwrap();
    assert!(log.contains("Login OK"), "{log}");
    for secret in [PASSWORD, "an attempt nobody may see", SECRET] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
