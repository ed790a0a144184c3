//! Rows of `radacct`, and when an Accounting-Request is answered.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Packet, accounting};
use e2e::radiusd::Radiusd;
use e2e::seed::TENANT;

use crate::server_on;

#[track_caller]
fn acknowledged(server: &Radiusd, packet: &Packet) {
    assert_eq!(packet.ask(server).code, "Accounting-Response");
}

/// A session that began 1000 seconds ago: what it said when it had lasted so long, only now on its way.
fn after(seconds: u32, packet: Packet) -> Packet {
    packet
        .line(&format!("Acct-Session-Time = {seconds}"))
        .line(&format!("Acct-Delay-Time = {}", 1_000 - seconds))
}

/// Wait until what was answered is in the database. Records get there in their order: one more, and it is the last.
#[track_caller]
pub(crate) fn settled(server: &Radiusd, database: &Database) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = format!("settled-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    acknowledged(server, &accounting("Start", "nobody", &id));
    let sql = format!("SELECT CAST(count(*) AS TEXT) FROM radacct WHERE acctsessionid = '{id}'");
    e2e::wait_for("records reach the database", Duration::from_secs(20), || {
        database.value(&sql).as_deref() == Some("1")
    });
}

/// The columns of the one row of a session, as text.
#[track_caller]
fn session(server: &Radiusd, database: &Database, id: &str, columns: &str) -> Vec<Option<String>> {
    settled(server, database);
    let columns: Vec<String> = columns
        .split(' ')
        .map(|column| format!("CAST({column} AS TEXT)"))
        .collect();
    let mut rows = database.query(&format!(
        "SELECT {} FROM radacct WHERE acctsessionid = '{id}'",
        columns.join(", ")
    ));
    assert_eq!(rows.len(), 1, "rows of session {id}");
    rows.remove(0)
}

fn texts(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|&value| Some(value.to_owned())).collect()
}

on_both_databases! {
    fn a_session_is_one_row_from_start_to_stop(database) {
        let database = database.seeded();
        let alice = database.add("alice");
        let server = server_on(&database).start();
        let packet = |status| {
            accounting(status, "alice", "s1")
                .line("Framed-IP-Address = 192.0.2.7")
                .line("Framed-IPv6-Prefix = 2001:db8:1::/64")
                .line("Delegated-IPv6-Prefix = 2001:db8:9000::/56")
                .with("Calling-Station-Id", "66-77-88-99-AA-BB")
        };
        acknowledged(&server, &after(0, packet("Start")));
        let open = session(&server, &database, "s1", "username tenant_id subscriber_id callingstationid");
        assert_eq!(open, texts(&["alice", TENANT, &alice.id, "66-77-88-99-AA-BB"]));
        assert_eq!(session(&server, &database, "s1", "acctstoptime"), [None]);

        acknowledged(&server, &after(300, packet("Interim-Update"))
            .line("Acct-Input-Octets = 1000")
            .line("Acct-Output-Octets = 2000"));
        assert_eq!(
            session(&server, &database, "s1", "acctsessiontime acctinputoctets acctoutputoctets"),
            texts(&["300", "1000", "2000"])
        );

        acknowledged(&server, &after(600, packet("Stop"))
            .line("Acct-Input-Octets = 5")
            .line("Acct-Input-Gigawords = 1")
            .line("Acct-Output-Octets = 7")
            .line("Acct-Output-Gigawords = 3")
            .line("Acct-Terminate-Cause = User-Request"));
        assert_eq!(
            session(&server, &database, "s1", "acctsessiontime acctinputoctets acctoutputoctets acctterminatecause"),
            // 2^32 + 5 and 3 * 2^32 + 7: an octet counter is 64 bits wide.
            texts(&["600", "4294967301", "12884901895", "User-Request"])
        );
        let closed = session(&server, &database, "s1", "acctstarttime acctstoptime acctuniqueid");
        assert!(closed.iter().all(Option::is_some), "{closed:?}");
        assert_eq!(closed[2].as_deref().unwrap().len(), 32);
        let address = session(&server, &database, "s1", "framedipaddress delegatedipv6prefix framedipv6prefix");
        assert_eq!(address[0].as_deref().map(|a| a.trim_end_matches("/32")), Some("192.0.2.7"));
        assert_eq!(address[1..], texts(&["2001:db8:9000::/56", "2001:db8:1::/64"]));
    }

    fn retransmissions_and_late_packets_do_not_count_twice_or_backwards(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).start();
        let interim = |octets: u32, time: u32| {
            after(time, accounting("Interim-Update", "alice", "s2"))
                .line(&format!("Acct-Input-Octets = {octets}"))
        };
        acknowledged(&server, &after(0, accounting("Start", "alice", "s2")));
        acknowledged(&server, &after(0, accounting("Start", "alice", "s2")));
        acknowledged(&server, &interim(2_000, 200));
        acknowledged(&server, &interim(2_000, 200));
        acknowledged(&server, &interim(1_000, 100));
        assert_eq!(session(&server, &database, "s2", "acctinputoctets acctsessiontime"), texts(&["2000", "200"]));
        let stop = after(300, accounting("Stop", "alice", "s2")).line("Acct-Input-Octets = 3000");
        acknowledged(&server, &stop);
        let stopped = session(&server, &database, "s2", "acctstoptime");
        acknowledged(&server, &interim(2_500, 250));
        acknowledged(&server, &stop);
        assert_eq!(session(&server, &database, "s2", "acctinputoctets acctsessiontime"), texts(&["3000", "300"]));
        assert_eq!(session(&server, &database, "s2", "acctstoptime"), stopped);
    }

    fn a_session_whose_start_was_lost_is_kept_all_the_same(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).start();
        acknowledged(&server, &accounting("Interim-Update", "alice", "s3")
            .line("Acct-Session-Time = 120").line("Acct-Output-Octets = 42"));
        assert_eq!(session(&server, &database, "s3", "acctoutputoctets"), texts(&["42"]));
        acknowledged(&server, &accounting("Stop", "alice", "s4").line("Acct-Session-Time = 60"));
        assert!(session(&server, &database, "s4", "acctstoptime")[0].is_some());
    }

    fn a_nas_that_restarts_closes_its_own_sessions_only(database) {
        let database = database.seeded();
        let other = Ipv4Addr::new(127, 0, 0, 2);
        database.add_nas(TENANT, other);
        database.add("alice");
        let server = server_on(&database).client(other).start();
        acknowledged(&server, &accounting("Start", "alice", "here"));
        acknowledged(&server, &accounting("Start", "alice", "there").from(other));
        acknowledged(&server, &Packet::accounting_request().line("Acct-Status-Type = Accounting-On"));
        assert!(session(&server, &database, "here", "acctstoptime")[0].is_some());
        assert!(session(&server, &database, "there", "acctstoptime")[0].is_none());
    }

    fn a_subscriber_nobody_knows_is_accounted_for_too(database) {
        let database = database.seeded();
        let server = server_on(&database).start();
        acknowledged(&server, &accounting("Start", "ghost", "s5"));
        assert_eq!(session(&server, &database, "s5", "username subscriber_id"), [Some("ghost".to_owned()), None]);
    }

    fn a_packet_that_names_no_session_is_not_answered(database) {
        let database = database.seeded();
        let server = server_on(&database).start();
        let packet = Packet::accounting_request().line("Acct-Status-Type = Start").with("User-Name", "alice");
        assert_eq!(packet.impatient().send(&server), None);
        settled(&server, &database);
        let others = "SELECT CAST(count(*) AS TEXT) FROM radacct WHERE username <> 'nobody'";
        assert_eq!(database.value(others).as_deref(), Some("0"));
    }
}

/// A site may run the server's policy acct_unique or not, and one may replace the other while sessions last: the key of a
/// session is the same octets.
#[test]
fn a_session_has_the_same_key_with_and_without_the_policy() {
    let packets = [
        accounting("Start", "alice", "plain"),
        accounting("Start", " \tblanks", "blanks"),
        accounting("Start", "quo\"te\\back\nline", "escaped"),
        accounting("Start", "zo\u{eb}, \u{1d11e}", "utf8"),
        accounting("Start", "named", "named")
            .line("NAS-IP-Address = 192.0.2.1")
            .with("NAS-Identifier", "bras, 1")
            .with("NAS-Port-Id", "ether1/2:100"),
        accounting("Start", "both", "both")
            .line("NAS-IP-Address = 192.0.2.1")
            .line("NAS-IPv6-Address = 2001:db8::1"),
        accounting("Start", "classed", "classed").octets(25, b"ai:0123456789abcdef0123456789ABCDEF"),
        accounting("Start", "foreign", "foreign").octets(25, b"AI:0123456789abcdef0123456789abcdef"),
        Packet::accounting_request()
            .line("Acct-Status-Type = Start")
            .with("Acct-Session-Id", "zeros")
            .octets(1, b"zero\0")
            .octets(32, b"in\0side"),
        Packet::accounting_request()
            .line("Acct-Status-Type = Start")
            .with("Acct-Session-Id", "octets")
            .octets(1, b"\xff\xfe\x01"),
    ];
    let keys = |policy: bool| {
        let database = Database::sqlite().seeded();
        let mut configuration = server_on(&database);
        if !policy {
            configuration = configuration.edit("sites-enabled/isp", "\t\tacct_unique\n", "");
        }
        let server = configuration.start();
        for packet in &packets {
            acknowledged(&server, packet);
        }
        settled(&server, &database);
        database
            .query("SELECT acctsessionid, acctuniqueid FROM radacct WHERE username <> 'nobody' ORDER BY acctsessionid")
    };
    let with = keys(true);
    assert_eq!(with.len(), packets.len());
    assert_eq!(with, keys(false));
}
