//! A panic in any hook: the server keeps serving, and logs the place and the hook.

use std::time::Duration;

use e2e::artifact::Module;
use e2e::database::Database;
use e2e::radclient::{Answer, Method, Packet, accounting, login};
use e2e::radiusd::{Builder, Radiusd};
use e2e::seed::PASSWORD;
use isp_core::password::Scheme;

use crate::server_on;

fn faulty(database: &Database) -> Option<Builder> {
    if Module::FaultInjection.directory().is_none() {
        e2e::skip("the module is not built with fault-injection");
        return None;
    }
    Some(server_on(database).module(Module::FaultInjection))
}

/// The log has a line with this hook and a place in the sources.
#[track_caller]
fn assert_panic_logged(server: &Radiusd, hook: &str) {
    e2e::wait_for(
        &format!("the panic in {hook} is logged"),
        Duration::from_secs(5),
        || {
            server
                .log()
                .lines()
                .any(|line| line.contains("panic") && line.contains(hook) && line.contains(".rs:"))
        },
    );
}

#[track_caller]
fn serves(server: &mut Radiusd) {
    assert!(login(Method::Pap, "alice", PASSWORD).ask(server).accepted());
    assert!(accounting("Start", "alice", "after").send(server).is_some());
    assert!(server.alive());
}

#[test]
fn panics_in_request_hooks_cost_one_request_each() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    for hook in ["authorize", "authenticate", "accounting", "post-auth"] {
        let scheme = if hook == "authenticate" {
            Scheme::Sha256
        } else {
            Scheme::Cleartext
        };
        database.add_with(&format!("panic-{hook}@fault"), scheme, |_| {});
    }
    let Some(configuration) = faulty(&database) else { return };
    let mut server = configuration.start();
    let attempt = |server: &Radiusd, hook: &str| -> Option<Answer> {
        let name = format!("panic-{hook}@fault");
        let packet: Packet = if hook == "accounting" {
            accounting("Start", &name, "faulty")
        } else {
            login(Method::Pap, &name, PASSWORD)
        };
        packet.impatient().send(server)
    };
    for round in 0..3 {
        // rust_or_silence: a fault of ours is no refusal.
        assert_eq!(attempt(&server, "authorize"), None, "round {round}");
        assert_panic_logged(&server, "authorize");
        serves(&mut server);
        assert!(!attempt(&server, "authenticate").is_some_and(|answer| answer.accepted()));
        assert_panic_logged(&server, "authenticate");
        serves(&mut server);
        assert_eq!(
            attempt(&server, "accounting"),
            None,
            "what is not stored is not acknowledged"
        );
        assert_panic_logged(&server, "accounting");
        serves(&mut server);
        let _ = attempt(&server, "post-auth");
        assert_panic_logged(&server, "post-auth");
        serves(&mut server);
    }
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
}

#[test]
fn panics_while_starting_and_stopping_are_contained() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    let Some(configuration) = faulty(&database) else { return };
    let log = configuration
        .environment("RLM_RUST_FAULT", "instantiate")
        .try_start()
        .expect_err("instantiate failed");
    assert!(
        log.contains("panic") && log.contains("instantiate") && log.contains(".rs:"),
        "{log}"
    );

    let mut server = faulty(&database)
        .unwrap()
        .environment("RLM_RUST_FAULT", "detach")
        .start();
    serves(&mut server);
    let (status, configuration) = server.stop();
    assert!(status.success(), "{status}");
    let log = std::fs::read_to_string(configuration.directory().join("log")).unwrap();
    assert!(log.contains("panic") && log.contains("detach"), "{log}");
}
