//! Packets to a real server with `rlm_rust` in it, and its answers.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounting;
mod api;
mod change;
mod configuration;
mod durability;
mod fault;
mod groups;
mod import;
mod install;
mod ipoe;
mod life;
mod live;
mod lockout;
mod login;
mod matrix;
mod mschap;
mod nas;
mod netbox;
mod outage;
mod parity;
mod policy;
mod post_auth;
mod quota;
mod realm;
mod reply;
mod row_limits;
#[path = "../../../core/tests/convergence/nas.rs"]
mod simulated;
mod simultaneous;
mod username;
mod vendors;

use std::time::Duration;

use e2e::database::Database;
use e2e::radiusd::{self, Builder};

/// A server on this database, with its keys. Tests look at replies as a whole: it adds no Class to them.
fn server_on(database: &Database) -> Builder {
    radiusd::configure(database.url())
        .key_file(database.key_file())
        .key("sessions.class", "no")
}

/// Reasons of the rows of `radpostauth` for this name, oldest first; an accept is `accepted`, or `restricted: ...`.
fn recorded(database: &Database, user_name: &str) -> Vec<String> {
    let name = user_name.replace('\'', "''");
    database
        .query(&format!(
            "SELECT reply, reason FROM radpostauth WHERE username = '{name}' ORDER BY id"
        ))
        .into_iter()
        .map(|row| match (row[0].as_deref(), row[1].clone()) {
            (Some("Access-Accept"), None) => "accepted".to_owned(),
            (Some("Access-Accept"), Some(reason)) => format!("restricted: {reason}"),
            (Some("Access-Reject"), Some(reason)) => reason,
            other => panic!("a row of radpostauth that makes no sense: {other:?}"),
        })
        .collect()
}

/// The rows are written in the background: wait until the latest one has this reason.
#[track_caller]
fn assert_recorded(database: &Database, user_name: &str, reason: &str) {
    let what = format!("the latest row of radpostauth for {user_name} says {reason}");
    e2e::wait_for(&what, Duration::from_secs(10), || {
        recorded(database, user_name)
            .last()
            .is_some_and(|latest| latest == reason)
    });
}
