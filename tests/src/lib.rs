//! Packet tests of `rlm_rust`: a real server on a configuration of its own, real clients, both databases.
//!
//! | part | what it gives a test |
//! |------|----------------------|
//! | [`radiusd`] | a server on free ports, with the shipped site and a module configuration of the test's choice |
//! | [`radclient`], [`eapol`], [`mschap`] | logins and accounting as a NAS sends them, and the answers, parsed |
//! | [`database`] | an empty, migrated database of the test's own |
//! | [`seed`] | tenants, NAS and subscribers in it |
//! | [`cluster`] | a PostgreSQL server that a test can stop |
//! | [`traffic`] | accounting under load, and a log of what was acknowledged |
//! | [`link`](mod@link) | a connection to the database that a test can cut |
//!
//! A test that cannot run here says so through [`skip`] instead of passing in silence.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness reports by panicking in the test that uses it"
)]

pub mod artifact;
pub mod cluster;
pub mod database;
pub mod eapol;
pub mod link;
pub mod mschap;
pub mod radclient;
pub mod radiusd;
pub mod seed;
pub mod traffic;
pub mod ttls;

use std::io::Write as _;
use std::time::{Duration, Instant};

/// Poll `condition` until it holds. Panics with `what` after `limit`.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Record that the calling test did not run, and why; `scripts/test` counts these apart from what passed.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Past the test runner's capture, which hides the output of tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIP {test}: {reason}");
    if let Some(path) = std::env::var_os("ISP_TEST_SKIPPED") {
        let line = format!("{test}: {reason}\n");
        let written = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("ISP_TEST_SKIPPED names a file that can be written");
    }
}

/// Run each function on both databases, as the tests `sqlite::name` and `postgres::name`.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* fn $name:ident($database:ident) $body:block)*) => {
        $(fn $name($database: $crate::database::Database) $body)*

        mod sqlite {
            $($(#[$attribute])* #[test] fn $name() { super::$name($crate::database::Database::sqlite()) })*
        }

        mod postgres {
            $($(#[$attribute])* #[test] fn $name() {
                if let Some(database) = $crate::database::Database::postgres() {
                    super::$name(database)
                }
            })*
        }
    };
}
