//! Guessing passwords.

use isp_core::node::{LockoutConfig, LoginEnd};
use isp_core::policy::Reason;
use isp_core::policy::binding::Packet;

use super::*;

on_both!(
    a_name_is_locked_for_the_device_that_guesses,
    a_device_is_locked_whatever_names_it_tries,
    refusals_are_held_back_longer_and_longer,
);

/// A login as the server tells of it: decided, and ended.
struct Guest<'a> {
    node: &'a Node,
    station: Option<&'a str>,
}

impl Guest<'_> {
    fn tries(&self, name: &str, password: &str) -> (Result<(), Reason>, Option<Duration>) {
        let packet = Packet {
            calling_station_id: self.station.map(str::as_bytes),
            nas_addresses: [Some(NAS), None],
            ..Packet::default()
        };
        let request = AccessRequest {
            packet,
            ..pap(name, password)
        };
        let decided = self
            .node
            .authorize(&request, |authorization| match &authorization.credential {
                Credential::Cleartext(secret) if secret.expose() == password.as_bytes() => Ok(()),
                _ => Err(Reason::BadPassword),
            });
        let outcome = decided.map_err(|refusal| refusal.reason).flatten();
        let end = outcome.map_or_else(LoginEnd::Refused, |()| LoginEnd::Accepted);
        let consequence = self.node.login_ended(Some(NAS), &request.sender(), end);
        (outcome, consequence.delay)
    }

    fn guesses(&self, name: &str) -> Result<(), Reason> {
        self.tries(name, "guess").0
    }

    fn logs_in(&self, name: &str) -> Result<(), Reason> {
        self.tries(name, "secret").0
    }
}

fn guarded(database: &Database, directory: &Path, lockout: LockoutConfig) -> Node {
    start(NodeConfig {
        lockout,
        ..config(database, directory)
    })
}

fn a_name_is_locked_for_the_device_that_guesses(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    let store = runtime.block_on(seed(database, directory));
    let lockout = LockoutConfig {
        threshold: 3,
        duration: Duration::from_secs(2),
        ..LockoutConfig::default()
    };
    let node = guarded(database, directory, lockout);
    let guest = |station| Guest { node: &node, station };
    let (thief, own) = (guest(Some("02-00-00-00-00-66")), guest(Some("02:00:00:00:00:01")));
    for _ in 0..3 {
        assert_eq!(thief.guesses("alice"), Err(Reason::BadPassword));
    }
    let locked = Err(Reason::LockedOut);
    assert_eq!(thief.guesses("alice"), locked);
    assert_eq!(
        guest(Some("0200.0000.0066")).logs_in("alice"),
        locked,
        "in any notation, even if it is right"
    );
    assert_eq!(own.logs_in("alice"), Ok(()), "not the subscriber's own");
    assert_eq!(guest(None).logs_in("alice"), Ok(()));
    assert_eq!(
        thief.guesses("bob"),
        Err(Reason::UnknownSubscriber),
        "nor other names from there"
    );
    assert_eq!(node.status(now()).locked_out, 2);

    let began = Instant::now();
    eventually("the end of the lock", Duration::from_secs(5), || {
        thief.logs_in("alice") == Ok(())
    });
    assert!(began.elapsed() > Duration::from_millis(500));
    // What was accepted begins anew.
    for _ in 0..2 {
        assert_eq!(thief.guesses("alice"), Err(Reason::BadPassword));
    }
    assert_eq!(thief.logs_in("alice"), Ok(()));
    for _ in 0..3 {
        assert_eq!(thief.guesses("alice"), Err(Reason::BadPassword));
    }
    assert_eq!(thief.logs_in("alice"), locked);

    // So does a new password, at once.
    let keys = KeyRing::load(&directory.join("keys")).unwrap();
    let encoded = password::encode(Scheme::Cleartext, b"secret", Some(&keys), "id-of-alice").unwrap();
    let mut alice = runtime.block_on(store.subscriber_get("t", "alice")).unwrap().unwrap();
    alice.password = Some(encoded.password);
    runtime.block_on(store.subscriber_set(&alice)).unwrap();
    eventually("the new password", PROMISE, || thief.logs_in("alice") == Ok(()));
    node.shutdown(PROMISE);
}

fn a_device_is_locked_whatever_names_it_tries(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    let lockout = LockoutConfig {
        source_threshold: 5,
        ..LockoutConfig::default()
    };
    let node = guarded(database, directory, lockout);
    let guest = |station| Guest { node: &node, station };
    let thief = guest(Some("02:00:00:00:00:66"));
    assert_eq!(thief.guesses("alice"), Err(Reason::BadPassword));
    for n in 0..4 {
        // A login of its own does not make up for it.
        assert_eq!(thief.logs_in("alice"), Ok(()));
        assert_eq!(thief.guesses(&format!("user{n}")), Err(Reason::UnknownSubscriber));
    }
    for name in ["alice", "user0", "nobody"] {
        assert_eq!(thief.logs_in(name), Err(Reason::LockedOut), "{name}");
    }
    assert_eq!(guest(Some("02:00:00:00:00:01")).logs_in("alice"), Ok(()));
    let untold = guest(None);
    for _ in 0..20 {
        assert_eq!(
            untold.guesses("nobody"),
            Err(Reason::UnknownSubscriber),
            "a NAS is no device"
        );
    }
    runtime.block_on(
        database.execute(
            "UPDATE subscribers SET cpe_mac_address = '02:00:00:00:00:66'; UPDATE tenants SET lookup_by = 'mac'",
        ),
    );
    let line = || {
        let station = Some(&b"02:00:00:00:00:66"[..]);
        let packet = Packet {
            calling_station_id: station,
            nas_addresses: [Some(NAS), None],
            ..Packet::default()
        };
        let request = AccessRequest {
            packet,
            ..pap("02:00:00:00:00:66", "")
        };
        node.authorize(&request, |_| ()).is_ok()
    };
    eventually("the line of the device", PROMISE, line);
    node.shutdown(PROMISE);
}

fn refusals_are_held_back_longer_and_longer(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    let lockout = LockoutConfig {
        threshold: 5,
        delay: Duration::from_millis(250),
        max_delay: Duration::from_secs(3),
        ..LockoutConfig::default()
    };
    let node = guarded(database, directory, lockout);
    let guest = |station| Guest { node: &node, station };
    let thief = guest(Some("a"));
    let delays: Vec<_> = (0..7)
        .map(|_| thief.tries("alice", "guess").1.unwrap().as_millis())
        .collect();
    assert_eq!(
        delays,
        [250, 500, 1_000, 2_000, 3_000, 3_000, 3_000],
        "the last two are locked"
    );
    let other = guest(Some("b"));
    assert_eq!(other.tries("nobody", "guess").1, Some(Duration::from_millis(250)));
    assert_eq!(
        other.tries("nobody", "guess").1,
        Some(Duration::from_millis(500)),
        "as a device"
    );
    assert_eq!(
        other.tries("alice", "guess"),
        (Err(Reason::BadPassword), Some(Duration::from_secs(3))),
        "whoever guesses this name waits, and is not locked for that"
    );
    assert_eq!(guest(Some("c")).tries("alice", "secret"), (Ok(()), None));
    node.shutdown(PROMISE);

    let node = guarded(database, directory, LockoutConfig::default());
    let thief = Guest {
        node: &node,
        station: Some("a"),
    };
    assert!(!node.counts_failures());
    for _ in 0..50 {
        assert_eq!(thief.tries("alice", "guess"), (Err(Reason::BadPassword), None));
    }
    node.shutdown(PROMISE);
}
