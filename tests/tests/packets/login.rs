//! Who is let in, and who is not and why.

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::database::Database;
use e2e::eapol::{self, Eap};
use e2e::on_both_databases;
use e2e::radclient::{Method, login};
use e2e::seed::{PASSWORD, TENANT};
use isp_core::password::Scheme;
use isp_core::subscriber::Status;

use crate::{assert_recorded, recorded, server_on};

const OTHER_NAS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

on_both_databases! {
    fn each_method_accepts_the_password_and_no_other(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).start();
        for method in [Method::Pap, Method::Chap, Method::MsChapV1] {
            let answer = login(method, "alice", PASSWORD).ask(&server);
            assert_eq!(answer.code, "Access-Accept", "{method:?}");
            let answer = login(method, "alice", "wrong").ask(&server);
            assert_eq!(answer.code, "Access-Reject", "{method:?}");
            assert_eq!(answer.values("Mikrotik-Rate-Limit").len(), 0, "a refusal carries no reply: {answer:?}");
        }
        assert_recorded(&database, "alice", "bad_password");
        let log = server.log();
        let said = log.lines().filter(|line| line.contains("rust: bad_password: ") && line.contains("alice")).count();
        assert!(said >= 3, "the log gives the reason code whichever module refused\n{log}");
    }

    fn eap_tunnels_decide_about_the_name_inside(database) {
        let database = database.seeded();
        database.add_with("alice", Scheme::Cleartext, |s| {
            s.static_ipv4 = Some(Ipv4Addr::new(192, 0, 2, 7));
            s.bandwidth_profile_id = Some(format!("{TENANT}-fibre"));
        });
        database.add_with("sue", Scheme::Cleartext, |s| s.status = Status::Suspended);
        let server = server_on(&database).start();
        for eap in [Eap::PeapMsChapV2, Eap::TtlsPap, Eap::TtlsMsChapV2] {
            let outcome = eapol::login(&server, eap, "anonymous", "alice", PASSWORD);
            assert!(outcome.accepted, "{eap:?}\n{}", outcome.log);
            assert_eq!(outcome.values(1), ["alice"], "{eap:?}: User-Name is the one inside");
            assert_eq!(outcome.values(8), ["192.0.2.7"], "{eap:?}: Framed-IP-Address");
            // Vendor 14988, attribute 8, "20000k/100000k".
            let rate: String = b"20000k/100000k".iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(
                outcome.values(26).contains(&format!("00003a8c0810{rate}").as_str()),
                "{eap:?}: Mikrotik-Rate-Limit\n{}", outcome.log
            );
            assert!(!eapol::login(&server, eap, "anonymous", "alice", "wrong").accepted, "{eap:?}");
            assert!(!eapol::login(&server, eap, "anonymous", "sue", PASSWORD).accepted, "{eap:?}");
            assert_recorded(&database, "sue", "suspended");
        }
        // One row for each conversation, under the name inside.
        e2e::wait_for("every conversation is recorded", Duration::from_secs(10), || {
            recorded(&database, "alice").len() == 6 && recorded(&database, "sue").len() == 3
        });
        assert_eq!(recorded(&database, "anonymous"), Vec::<String>::new());
    }

    fn every_status_but_active_is_refused_by_its_name(database) {
        let database = database.seeded();
        for status in Status::ALL {
            database.add_with(status.as_str(), Scheme::Cleartext, |s| s.status = status);
        }
        let server = server_on(&database).start();
        for status in Status::ALL {
            for method in [Method::Pap, Method::Chap, Method::MsChapV1] {
                let answer = login(method, status.as_str(), PASSWORD).ask(&server);
                assert_eq!(answer.accepted(), status == Status::Active, "{status} by {method:?}: {answer:?}");
            }
            let expected = if status == Status::Active { "accepted" } else { status.as_str() };
            assert_recorded(&database, status.as_str(), expected);
        }
    }

    fn dates_bound_a_subscription(database) {
        let database = database.seeded();
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        database.add_with("early", Scheme::Cleartext, |s| s.activation_date = Some(now + 3600));
        database.add_with("late", Scheme::Cleartext, |s| s.expiration_date = Some(now - 60));
        database.add_with("within", Scheme::Cleartext, |s| {
            s.activation_date = Some(now - 60);
            s.expiration_date = Some(now + 3600);
        });
        let server = server_on(&database).start();
        assert!(!login(Method::Pap, "early", PASSWORD).ask(&server).accepted());
        assert_recorded(&database, "early", "not_yet_active");
        assert!(!login(Method::Pap, "late", PASSWORD).ask(&server).accepted());
        assert_recorded(&database, "late", "expired");
        let answer = login(Method::Pap, "within", PASSWORD).ask(&server);
        assert!(answer.accepted());
        let left: u32 = answer.values("Session-Timeout")[0].parse().unwrap();
        assert!((3400..=3600).contains(&left), "the session ends with the subscription: {left}");
    }

    fn a_tenant_sees_only_its_own_subscribers(database) {
        let database = database.seeded();
        database.add_tenant("rival");
        database.add_nas("rival", OTHER_NAS);
        database.add_in(TENANT, "alice", "acme's password", Scheme::Cleartext, |s| s.session_timeout = Some(111));
        database.add_in("rival", "alice", "rival's password", Scheme::Bcrypt, |s| s.session_timeout = Some(222));
        database.add_in("rival", "bob", PASSWORD, Scheme::Cleartext, |_| {});
        let server = server_on(&database).client(OTHER_NAS).start();
        let timeout = |password: &str, nas| {
            let answer = login(Method::Pap, "alice", password).from(nas).ask(&server);
            answer.values("Session-Timeout").first().map(|&seconds| seconds.to_owned())
        };
        assert_eq!(timeout("acme's password", Ipv4Addr::LOCALHOST).as_deref(), Some("111"));
        assert_eq!(timeout("rival's password", OTHER_NAS).as_deref(), Some("222"));
        assert_eq!(timeout("acme's password", OTHER_NAS), None);
        assert_eq!(timeout("rival's password", Ipv4Addr::LOCALHOST), None);
        assert!(login(Method::Pap, "bob", PASSWORD).from(OTHER_NAS).ask(&server).accepted());
        assert!(!login(Method::Pap, "bob", PASSWORD).ask(&server).accepted());
        assert_recorded(&database, "bob", "unknown_subscriber");
    }

    fn a_nas_unknown_to_the_database_is_refused_and_one_unknown_to_the_server_is_not_answered(database) {
        let database = database.seeded();
        database.add("alice");
        let known_to_server = Ipv4Addr::new(127, 0, 0, 3);
        let unknown = Ipv4Addr::new(127, 0, 0, 4);
        let server = server_on(&database).client(known_to_server).start();
        assert!(!login(Method::Pap, "alice", PASSWORD).from(known_to_server).ask(&server).accepted());
        assert_recorded(&database, "alice", "unknown_nas");
        assert_eq!(login(Method::Pap, "alice", PASSWORD).from(unknown).impatient().send(&server), None);
        assert!(login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
    }

    fn a_default_tenant_takes_packets_of_unknown_nas(database) {
        let database = database.seeded();
        database.add("alice");
        let nas = Ipv4Addr::new(127, 0, 0, 3);
        let server = server_on(&database).client(nas).key("default_tenant", TENANT).start();
        assert!(login(Method::Pap, "alice", PASSWORD).from(nas).ask(&server).accepted());
    }

    fn a_wrong_shared_secret_lets_nobody_in(database) {
        let database = database.seeded();
        database.add("alice");
        let server = server_on(&database).start();
        // The server answers, if at all, with an authenticator that the NAS cannot verify.
        let packet = login(Method::Pap, "alice", PASSWORD).secret("another secret").impatient();
        assert_eq!(packet.send(&server), None);
        assert!(!server.log().contains("Sent Access-Accept"), "{}", server.log());
    }

    fn refusals_name_what_is_missing(database) {
        let database = database.seeded();
        database.add_with("bare", Scheme::Cleartext, |s| {
            s.password = None;
            s.password_hash_method = None;
        });
        let server = server_on(&database).start();
        assert!(!login(Method::Pap, "nobody", PASSWORD).ask(&server).accepted());
        assert_recorded(&database, "nobody", "unknown_subscriber");
        assert!(!login(Method::Pap, "bare", PASSWORD).ask(&server).accepted());
        assert_recorded(&database, "bare", "no_password");
    }

    fn a_disabled_tenant_is_refused(database) {
        let database = database.seeded();
        database.add("alice");
        let disabled = if database.is_sqlite() { "0" } else { "false" };
        database.execute(&format!("UPDATE tenants SET enabled = {disabled}"));
        let server = server_on(&database).start();
        assert!(!login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
        assert_recorded(&database, "alice", "tenant_disabled");
    }
}

#[test]
fn passwords_sealed_under_a_key_that_is_gone_are_refused_and_said_so() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    let other = database.key_file().with_file_name("other-keys");
    isp_core::secret::KeyRing::create(&other).unwrap();
    let server = e2e::radiusd::configure(database.url()).key_file(&other).start();
    assert!(!login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
    assert_recorded(&database, "alice", "password_unreadable");
}

/// RFC 2865 section 5.33: every Proxy-State comes back, in order, whatever the answer.
#[test]
fn a_refusal_keeps_the_proxy_state() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    let server = server_on(&database).start();
    for (password, code) in [(PASSWORD, "Access-Accept"), ("wrong", "Access-Reject")] {
        let answer = login(Method::Pap, "alice", password)
            .octets(33, b"first")
            .octets(33, b"second")
            .ask(&server);
        assert_eq!(answer.code, code);
        assert_eq!(
            answer.values("Proxy-State"),
            ["0x6669727374", "0x7365636f6e64"],
            "{answer:?}"
        );
    }
}

/// After a power cut everybody dials at once: more slow hashes than can be verified at a time. Nothing is known of those
/// passwords, so that nothing is said of them.
#[test]
fn a_burst_of_slow_hashes_refuses_nobody() {
    const MANY: usize = 24;
    let database = Database::sqlite().seeded();
    database.add_with("slow", Scheme::Bcrypt, |_| {});
    for n in 0..MANY {
        database.add(&format!("slow{n}"));
    }
    database.execute(
        "UPDATE subscribers SET (password, password_hash_method) =
             (SELECT password, password_hash_method FROM subscribers WHERE username = 'slow')",
    );
    let server = server_on(&database).start();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let logins: Vec<_> = (0..MANY)
            .map(|n| {
                let server = &server;
                scope.spawn(move || {
                    login(Method::Pap, &format!("slow{n}"), PASSWORD)
                        .impatient()
                        .send(server)
                })
            })
            .collect();
        logins.into_iter().map(|login| login.join().unwrap()).collect()
    });
    let refused = answers.iter().flatten().filter(|answer| !answer.accepted()).count();
    assert_eq!(refused, 0, "{answers:?}");
    assert!(answers.iter().flatten().any(e2e::radclient::Answer::accepted));
    // The NAS asks again, and gets its answer.
    for (n, _) in answers.iter().enumerate().filter(|(_, answer)| answer.is_none()) {
        assert!(
            login(Method::Pap, &format!("slow{n}"), PASSWORD)
                .ask(&server)
                .accepted()
        );
    }
}
