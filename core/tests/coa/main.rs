//! Disconnect and CoA against a real server in the place of the NAS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod radiusd;
mod strangers;
mod transports;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use isp_core::coa::{ErrorCause, Order, Outcome, Report, Retry, send};
use isp_core::radius::{AttributeType, SharedSecret};

use radiusd::{Radiusd, SECRET, skip};

const RETRY: Retry = Retry {
    attempts: 5,
    first_wait: Duration::from_secs(2),
    longest_wait: Duration::from_secs(2),
};

/// For answers that do not come.
const IMPATIENT: Retry = Retry {
    attempts: 2,
    first_wait: Duration::from_millis(200),
    longest_wait: Duration::from_millis(200),
};

fn disconnect(user: &str) -> Order {
    Order::disconnect()
        .with(AttributeType::USER_NAME, user)
        .with(AttributeType::ACCT_SESSION_ID, "81a00001")
}

async fn order(nas: &Radiusd, secret: &str, order: &Order, retry: &Retry) -> Report {
    let secret = SharedSecret::new(secret.as_bytes()).unwrap();
    send(nas.address(), &secret, order, retry).await.unwrap()
}

/// An order whose answer must verify.
async fn answered(nas: &Radiusd, what: &Order) -> Report {
    let report = order(nas, SECRET, what, &RETRY).await;
    assert_eq!(report.rejected, 0, "{report:?}");
    report
}

#[tokio::test]
async fn the_server_acknowledges() {
    let Some(nas) = Radiusd::start() else { return };
    let report = answered(&nas, &disconnect("alice")).await;
    assert_eq!(report.outcome, Outcome::Ack);
    assert!(report.round_trip.is_some_and(|time| time < Duration::from_secs(10)));
    // A name that breaks an order given as lines of text, and nearly all that fits a packet.
    let change = Order::change()
        .with(AttributeType::USER_NAME, "a b|c=\"d\"\0\n%s")
        .with_vendor(14988, 8, "10M/20M");
    let change = (0..15).fold(change, |order, _| order.with(AttributeType::CLASS, [7; 253]));
    let report = answered(&nas, &change).await;
    assert_eq!(report.outcome, Outcome::Ack);
}

#[tokio::test]
async fn the_server_refuses_with_a_cause() {
    let Some(nas) = Radiusd::start() else { return };
    let report = answered(&nas, &disconnect("gone")).await;
    assert_eq!(
        report.outcome,
        Outcome::Nak(Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND))
    );
    let change = Order::change()
        .with(AttributeType::USER_NAME, "alice")
        .with_vendor(14988, 8, "fast");
    let report = answered(&nas, &change).await;
    assert_eq!(report.outcome, Outcome::Nak(Some(ErrorCause(407))));
}

#[tokio::test]
async fn the_server_is_silent() {
    let Some(nas) = Radiusd::start() else { return };
    let silence = |report: Report| {
        assert_eq!((report.outcome, report.attempts), (Outcome::Timeout, 2), "{report:?}");
        assert_eq!((report.rejected, report.round_trip), (0, None), "{report:?}");
    };
    silence(order(&nas, SECRET, &disconnect("silent"), &IMPATIENT).await);
    silence(order(&nas, "another secret", &disconnect("alice"), &IMPATIENT).await);
    // It had heard nothing that it believed, and works on.
    assert_eq!(
        order(&nas, SECRET, &disconnect("alice"), &RETRY).await.outcome,
        Outcome::Ack
    );
}

#[test]
fn the_example_disconnects() {
    let Some(nas) = Radiusd::start() else { return };
    let Some(example) = example("disconnect") else { return };
    for (user, code, said) in [
        ("alice", 0, "disconnected"),
        ("gone", 1, "503 Session Context Not Found"),
    ] {
        let output = Command::new(&example)
            .arg(nas.address().to_string())
            .args(["--user", user, "--session", "81a00001"])
            .env("NAS_SECRET", SECRET)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(said), "{text}");
        assert_eq!(output.status.code(), Some(code));
    }
}

/// Built by `cargo test` beside this test, unless only this test was asked for.
fn example(name: &str) -> Option<PathBuf> {
    let this = std::env::current_exe().unwrap();
    let path = this.parent()?.parent()?.join("examples").join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("the example {name} is not built"));
    None
}
