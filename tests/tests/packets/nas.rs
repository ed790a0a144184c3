//! NAS as clients of the server, out of the database; and what is asked of their packets.

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, Packet, SECRET, accounting, login};
use e2e::radiusd::Radiusd;
use e2e::seed::{PASSWORD, TENANT};
use isp_core::password::Scheme;

use crate::{assert_recorded, server_on};

const ANOTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn alice() -> Packet {
    login(Method::Pap, "alice", PASSWORD).impatient()
}

/// Whether the packet is let in; no answer is none.
fn accepted(packet: &Packet, server: &Radiusd) -> Option<bool> {
    packet.send(server).map(|answer| answer.accepted())
}

#[track_caller]
fn comes_to(server: &Radiusd, packet: &Packet, expected: Option<bool>) {
    e2e::wait_for(&format!("{expected:?}"), Duration::from_secs(20), || {
        accepted(packet, server) == expected
    });
}

/// A shared secret as `ispctl` seals it.
fn sealed(database: &Database, nasname: &str, secret: &str) -> String {
    database
        .keys()
        .seal(&format!("nas:{TENANT}:{nasname}"), secret.as_bytes())
        .unwrap()
}

on_both_databases! {
    fn a_nas_is_served_changed_and_removed_without_a_restart(database) {
        let database = database.seeded();
        database.add_with("alice", Scheme::Cleartext, |alice| alice.simultaneous_use = 0);
        let server = server_on(&database).dynamic_clients().quiet().start();
        assert_eq!(accepted(&alice(), &server), Some(true), "one that was there at the start");
        let other = alice().from(ANOTHER);
        assert_eq!(accepted(&other, &server), None, "an unknown source is not answered");

        let secret = sealed(&database, "127.0.0.2", "a secret that is sealed");
        database.execute(&format!(
            "INSERT INTO nas (nasname, shortname, secret, tenant_id) VALUES ('127.0.0.2', 'new', '{secret}', '{TENANT}')"
        ));
        let other = other.secret("a secret that is sealed");
        comes_to(&server, &other, Some(true));
        let start = accounting("Start", "alice", "s1").from(ANOTHER).secret("a secret that is sealed");
        assert_eq!(start.ask(&server).code, "Accounting-Response");

        database.execute("UPDATE nas SET secret = 'another in clear' WHERE nasname = '127.0.0.2'");
        let changed = alice().from(ANOTHER).secret("another in clear");
        comes_to(&server, &changed, Some(true));
        comes_to(&server, &other, None);

        database.execute("DELETE FROM nas WHERE nasname = '127.0.0.2'");
        comes_to(&server, &changed, None);
        database.execute(&format!(
            "INSERT INTO nas (nasname, secret, tenant_id) VALUES ('127.0.0.0/29', '{SECRET}', '{TENANT}')"
        ));
        comes_to(&server, &alice().from(ANOTHER), Some(true));
        assert!(!server.log().contains("a secret that is sealed"), "no secret in the log");
    }

    fn a_nas_whose_secret_cannot_be_opened_is_not_served_and_the_log_says_why(database) {
        let database = database.seeded();
        database.add("alice");
        let secret = sealed(&database, "192.0.2.99", "moved from another row");
        database.execute(&format!("UPDATE nas SET secret = '{secret}'"));
        let server = server_on(&database).dynamic_clients().start();
        assert_eq!(accepted(&alice(), &server), None);
        let log = server.log();
        assert!(log.contains("shared secret cannot be opened"), "{log}");
    }

    fn message_authenticator_is_demanded_of_a_nas_that_is_to_send_it(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).start();
        assert_eq!(accepted(&alice(), &server), Some(true));
        let yes = if database.is_sqlite() { "1" } else { "true" };
        database.execute(&format!("UPDATE nas SET require_message_authenticator = {yes}"));
        comes_to(&server, &alice(), Some(false));
        assert_recorded(&database, "alice", "no_message_authenticator");
        let signed = alice().line("Message-Authenticator = 0x00");
        assert_eq!(accepted(&signed, &server), Some(true));
    }
}
