//! Live sessions follow the database: a simulated NAS hears of every change, once, and what came of it is written.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "coa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;
mod many;
mod nas;

use std::collections::HashMap;
use std::time::Duration;

use isp_core::convergence::Convergence;
use isp_core::order::{Cause, NewOrder, OrderItem, OrderKind, OrderState, Verdict};
use isp_core::radius::Code;
use isp_core::store::{OrderClaim, OrderFilter, Store};

use lab::{CLOCK, Lab, SOON};
use nas::Answer;

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { crate::lab::run(crate::lab::Kind::Sqlite, super::$name); })*
        }
        mod postgres {
            $(#[test] fn $name() { crate::lab::run(crate::lab::Kind::Postgres, super::$name); })*
        }
    };
}

on_both!(
    a_change_by_any_writer_reaches_the_session,
    no_row_keeps_a_session_from_a_tier_or_its_end,
    a_row_of_expiry_ends_a_session,
    a_restriction_comes_and_goes,
    the_clock_ends_a_session,
    what_the_nas_refuses_ends_the_session,
    a_session_that_the_nas_does_not_have_is_done_with,
    a_nas_that_is_silent_is_given_up,
    a_session_opened_under_another_decision_is_told_of_todays,
    what_a_worker_had_in_hand_is_sent_again_the_same,
    many_sessions_are_changed_once_by_two_workers,
    what_is_cancelled_stays_so,
    another_process_takes_over,
    a_broken_row_puts_nobody_offline,
    nothing_is_lost_while_the_database_is_away,
);

async fn a_change_by_any_writer_reaches_the_session(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    assert!(lab.nas.heard().is_empty(), "it was opened under today's decision");

    let (heard, order) = lab
        .brings(
            "UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'",
            SOON,
        )
        .await;
    assert_eq!((heard.code, heard.session.as_str()), (Code::COA_REQUEST, "s1"));
    assert_eq!(
        (heard.rate.as_deref(), heard.list, heard.filter),
        (Some("1000k/2000k"), None, None)
    );
    assert_eq!(
        (order.cause, order.state, order.kind),
        (Cause::Plan, OrderState::Done, OrderKind::Change)
    );
    assert_eq!(order.set, [OrderItem::new("Mikrotik-Rate-Limit", "1000k/2000k")]);
    assert!(order.rtt.is_some() && order.attempts == 1);

    let (heard, order) = lab
        .brings(
            "UPDATE radius_bandwidth_profiles SET upload_rate_kbps = 1500 WHERE id = 'slow'",
            SOON,
        )
        .await;
    assert_eq!((heard.rate.as_deref(), order.cause), (Some("1500k/2000k"), Cause::Plan));

    let until = lab.in_seconds(3_600);
    let tier = format!(
        "INSERT INTO subscriber_tiers (subscriber_id, tenant_id, quota_id, metric, threshold, plan_id, used, since, until)
         VALUES ('alice', 't', 'q', 'total', 1, 'garden', 2, {}, {until})",
        lab.in_seconds(-60)
    );
    let (heard, order) = lab.brings(&tier, SOON).await;
    assert_eq!(
        (heard.rate.as_deref(), heard.list.as_deref(), order.cause),
        (Some("100k/100k"), Some("garden"), Cause::Tier)
    );

    let row = "INSERT INTO radreply (username, attribute, op, value, tenant_id) VALUES ('alice', 'Filter-Id', ':=', 'x', 't')";
    let (heard, order) = lab.brings(row, SOON).await;
    assert_eq!(
        (heard.filter.as_deref(), heard.rate, order.cause),
        (Some("x"), None, Cause::Rows)
    );

    let (heard, order) = lab
        .brings("UPDATE subscribers SET status = 'suspended' WHERE id = 'alice'", SOON)
        .await;
    assert_eq!(
        (heard.code, order.cause, order.kind),
        (Code::DISCONNECT_REQUEST, Cause::Status, OrderKind::Disconnect)
    );
    assert_eq!(order.verdict, Some(Verdict::Reject));
    live.stop().await;
}

async fn no_row_keeps_a_session_from_a_tier_or_its_end(lab: &Lab) {
    let row = "INSERT INTO radreply (username, attribute, op, value, tenant_id) VALUES ('alice', 'Mikrotik-Rate-Limit', ':=', '9M/9M', 't')";
    lab.execute(row).await;
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    let until = lab.in_seconds(3_600);
    let tier = format!(
        "INSERT INTO subscriber_tiers (subscriber_id, tenant_id, quota_id, metric, threshold, plan_id, used, since, until)
         VALUES ('alice', 't', 'q', 'total', 1, 'garden', 2, {}, {until})",
        lab.in_seconds(-60)
    );
    let (heard, order) = lab.brings(&tier, SOON).await;
    assert_eq!((heard.rate.as_deref(), order.cause), (Some("100k/100k"), Cause::Tier));

    // As a web interface suspends people: by a group of those who are refused.
    lab.execute("INSERT INTO radgroupcheck (groupname, attribute, op, value, tenant_id) VALUES ('disabled', 'Auth-Type', ':=', 'Reject', 't')")
        .await;
    let joined =
        "INSERT INTO radusergroup (username, groupname, priority, tenant_id) VALUES ('alice', 'disabled', 0, 't')";
    let (heard, order) = lab.brings(joined, SOON).await;
    assert_eq!(
        (heard.code, order.kind),
        (Code::DISCONNECT_REQUEST, OrderKind::Disconnect)
    );
    live.stop().await;
}

/// The server has read the date at login; nobody logs in again when it is moved.
async fn a_row_of_expiry_ends_a_session(lab: &Lab) {
    let row = "INSERT INTO radcheck (username, attribute, op, value, tenant_id) VALUES ('alice', 'Expiration', ':=', '1 Jan 2099', 't')";
    lab.execute(row).await;
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    let past = "UPDATE radcheck SET value = 'January 1 2020 12:00:00' WHERE attribute = 'Expiration'";
    let (heard, order) = lab.brings(past, SOON).await;
    assert_eq!(
        (heard.code, order.kind, order.verdict),
        (Code::DISCONNECT_REQUEST, OrderKind::Disconnect, Some(Verdict::Reject))
    );
    live.stop().await;
}

async fn a_restriction_comes_and_goes(lab: &Lab) {
    lab.execute(
        "INSERT INTO tenant_conditions (tenant_id, condition, action, plan_id) VALUES ('t', 'suspended', 'restrict', 'garden')",
    )
    .await;
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    let (heard, order) = lab
        .brings("UPDATE subscribers SET status = 'suspended' WHERE id = 'alice'", SOON)
        .await;
    assert_eq!(
        (heard.code, heard.rate.as_deref(), heard.list.as_deref()),
        (Code::COA_REQUEST, Some("100k/100k"), Some("garden"))
    );
    assert_eq!((order.cause, order.verdict), (Cause::Status, Some(Verdict::Restricted)));
    // A list is left only with the session.
    let (heard, order) = lab
        .brings("UPDATE subscribers SET status = 'active' WHERE id = 'alice'", SOON)
        .await;
    assert_eq!((heard.code, order.cause), (Code::DISCONNECT_REQUEST, Cause::Restore));

    // Where rates are all there is, it is a change both ways.
    lab.execute("UPDATE radius_bandwidth_profiles SET address_list = NULL WHERE id = 'garden'")
        .await;
    lab.execute("DELETE FROM radacct").await;
    lab.session(2, None).await;
    lab.settled(1).await;
    let (heard, _) = lab
        .brings("UPDATE subscribers SET status = 'suspended' WHERE id = 'alice'", SOON)
        .await;
    assert_eq!(
        (heard.code, heard.rate.as_deref()),
        (Code::COA_REQUEST, Some("100k/100k"))
    );
    let (heard, order) = lab
        .brings("UPDATE subscribers SET status = 'active' WHERE id = 'alice'", SOON)
        .await;
    assert_eq!(
        (heard.code, heard.rate.as_deref(), order.cause),
        (Code::COA_REQUEST, Some("10000k/20000k"), Cause::Restore)
    );
    live.stop().await;
}

async fn the_clock_ends_a_session(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    let soon = lab.in_seconds(2);
    let (heard, order) = lab
        .brings(
            &format!("UPDATE subscribers SET expiration_date = {soon} WHERE id = 'alice'"),
            SOON,
        )
        .await;
    assert_eq!(order.cause, Cause::Expiry);
    assert!(heard.timeout.is_some_and(|seconds| seconds <= 3), "{heard:?}");
    lab.nas.forget();
    lab.wait("it has expired", Duration::from_secs(2) + CLOCK, async || {
        !lab.nas.heard().is_empty()
    })
    .await;
    assert_eq!(lab.nas.heard()[0].code, Code::DISCONNECT_REQUEST);
    lab.settled(1).await;
    let order = lab.orders().await.pop().unwrap();
    assert_eq!((order.cause, order.state), (Cause::Expiry, OrderState::Done));
    live.stop().await;
}

async fn what_the_nas_refuses_ends_the_session(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    lab.nas.answers(Answer::RefuseChange(401));
    let (_, order) = lab
        .brings(
            "UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'",
            SOON,
        )
        .await;
    let codes: Vec<Code> = lab.nas.heard().iter().map(|heard| heard.code).collect();
    assert_eq!(codes, [Code::COA_REQUEST, Code::DISCONNECT_REQUEST]);
    assert_eq!(
        (order.state, order.result.as_deref(), order.error_cause),
        (OrderState::Done, Some("disconnected"), Some(401))
    );
    live.stop().await;
}

async fn a_session_that_the_nas_does_not_have_is_done_with(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    lab.nas.answers(Answer::Refuse(503));
    let (_, order) = lab
        .brings(
            "UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'",
            SOON,
        )
        .await;
    assert_eq!(lab.nas.heard().len(), 1, "what is not there need not be ended");
    assert_eq!(
        (order.state, order.result.as_deref(), order.error_cause),
        (OrderState::Done, Some("gone"), Some(503))
    );
    live.stop().await;
}

async fn a_nas_that_is_silent_is_given_up(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    lab.nas.answers(Answer::Silence);
    lab.execute("UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'")
        .await;
    lab.wait("it is given up", Duration::from_secs(10), async || {
        lab.orders().await.iter().any(|order| order.state == OrderState::Failed)
    })
    .await;
    let order = lab.orders().await.pop().unwrap();
    assert!(order.attempts >= 2, "{order:?}");
    assert!(order.reason.unwrap().contains("does not answer"));
    lab.nas.answers(Answer::Ack);
    let again = lab
        .store
        .order_retry(&OrderFilter::default(), Some("ada"))
        .await
        .unwrap();
    assert_eq!(again.len(), 1);
    lab.wait("it is done", SOON, async || {
        lab.orders().await.last().unwrap().state == OrderState::Done
    })
    .await;
    // What was given up is not tried again by itself, and what is done is what the session was told.
    assert_eq!(lab.orders().await.len(), 2);
    live.stop().await;
}

async fn a_session_opened_under_another_decision_is_told_of_todays(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, Some("isp1:a0000000000000001")).await;
    lab.wait("it is told", SOON, async || !lab.nas.heard().is_empty()).await;
    lab.settled(1).await;
    let heard = lab.nas.heard();
    assert_eq!((heard.len(), heard[0].rate.as_deref()), (1, Some("10000k/20000k")));
    let known = lab.store.sessions_of(&["alice".to_owned()]).await.unwrap();
    let today = known[0].applied.clone().unwrap().wanted.fingerprint;
    lab.nas.forget();
    lab.session(2, Some(&today)).await;
    lab.settled(2).await;
    assert!(lab.nas.heard().is_empty(), "it was opened under today's decision");
    // In a garden that only a new session leaves.
    lab.session(3, Some("isp1:r0000000000000001")).await;
    lab.wait("it is ended", SOON, async || !lab.nas.heard().is_empty())
        .await;
    assert_eq!(lab.nas.heard()[0].code, Code::DISCONNECT_REQUEST);
    live.stop().await;
}

fn by_hand(session_id: i64, filter: &str) -> NewOrder {
    NewOrder {
        session_id,
        kind: OrderKind::Change,
        cause: Cause::Manual,
        actor: Some("ada".to_owned()),
        plan_id: None,
        set: vec![OrderItem::new("Filter-Id", filter)],
        unset: Vec::new(),
        wanted: None,
    }
}

async fn what_a_worker_had_in_hand_is_sent_again_the_same(lab: &Lab) {
    lab.session(1, None).await;
    lab.store.place_orders(&[by_hand(1, "x")]).await.unwrap();
    // A worker that dies after it has sent: nobody wrote down what came of it.
    let claim = OrderClaim {
        owner: "dead",
        lease: Duration::from_secs(1),
        lost_but: Some(&[]),
        busy: &[],
        limit: 10,
        only: None,
    };
    let taken = lab.store.claim_orders(&claim).await.unwrap();
    assert_eq!(taken.len(), 1);
    let live = lab.start().await;
    lab.wait("another sends it", CLOCK, async || !lab.nas.heard().is_empty())
        .await;
    lab.settled(1).await;
    let heard = lab.nas.heard();
    assert_eq!((heard.len(), heard[0].filter.as_deref()), (1, Some("x")));
    let orders = lab.orders().await;
    assert_eq!(
        (orders.len(), orders[0].state, orders[0].attempts),
        (1, OrderState::Done, 2)
    );
    live.stop().await;
}

async fn many_sessions_are_changed_once_by_two_workers(lab: &Lab) {
    const MANY: u32 = 400;
    for id in 1..=MANY {
        lab.session(id, None).await;
    }
    let other_store = Store::connect(&lab.url, 4, false).await.unwrap();
    let one = lab.start().await;
    let mut two = Convergence::start(&other_store, lab.config("two"));
    two.loaded().await;
    lab.settled(MANY as usize).await;
    assert!(lab.nas.heard().is_empty());
    lab.execute("UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'")
        .await;
    lab.wait("all are told", Duration::from_secs(30), async || {
        let done = lab.orders().await;
        done.len() == MANY as usize && done.iter().all(|order| order.state == OrderState::Done)
    })
    .await;
    let mut told: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for heard in lab.nas.heard() {
        assert_eq!(heard.rate.as_deref(), Some("1000k/2000k"));
        told.entry(heard.session).or_default().push(heard.packet);
    }
    assert_eq!(told.len(), MANY as usize);
    // A busy machine may send a packet twice; never two.
    for packets in told.values() {
        assert!(packets.iter().all(|packet| *packet == packets[0]));
    }
    assert!(lab.orders().await.iter().all(|order| order.attempts == 1));
    two.stop().await;
    one.stop().await;
    other_store.close().await;
}

async fn what_is_cancelled_stays_so(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    lab.nas.answers(Answer::Silence);
    lab.execute("UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'")
        .await;
    lab.wait("it is cancelled", CLOCK, async || {
        lab.store
            .order_cancel(&OrderFilter::default(), Some("ada"))
            .await
            .unwrap()
            == 1
    })
    .await;
    lab.nas.answers(Answer::Ack);
    lab.nas.forget();
    // Another change of the subscriber that leads to the same.
    lab.execute("UPDATE subscribers SET simultaneous_use = 3 WHERE id = 'alice'")
        .await;
    // One that does not.
    let (heard, _) = lab
        .brings(
            "UPDATE radius_bandwidth_profiles SET upload_rate_kbps = 1600 WHERE id = 'slow'",
            SOON,
        )
        .await;
    assert_eq!(heard.rate.as_deref(), Some("1600k/2000k"));
    let states: Vec<OrderState> = lab.orders().await.iter().map(|order| order.state).collect();
    assert_eq!(states, [OrderState::Cancelled, OrderState::Done]);
    live.stop().await;
}

async fn another_process_takes_over(lab: &Lab) {
    let one = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    let other_store = Store::connect(&lab.url, 4, false).await.unwrap();
    let mut two = Convergence::start(&other_store, lab.config("two"));
    two.loaded().await;
    one.stop().await;
    let (heard, _) = lab
        .brings(
            "UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'",
            SOON,
        )
        .await;
    assert_eq!(heard.rate.as_deref(), Some("1000k/2000k"));
    two.stop().await;
    // What changed while nobody looked is found by whoever comes.
    lab.execute("UPDATE subscribers SET bandwidth_profile_id = 'fast' WHERE id = 'alice'")
        .await;
    lab.nas.forget();
    let three = lab.start().await;
    lab.wait("it is told", CLOCK, async || !lab.nas.heard().is_empty())
        .await;
    assert_eq!(lab.nas.heard()[0].rate.as_deref(), Some("10000k/20000k"));
    three.stop().await;
    other_store.close().await;
}

async fn a_broken_row_puts_nobody_offline(lab: &Lab) {
    let live = lab.start().await;
    lab.session(1, None).await;
    lab.settled(1).await;
    lab.execute("INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id, login_time) VALUES ('p', 't', 'alice', 'nonsense')")
        .await;
    let (heard, _) = lab
        .brings("DELETE FROM subscriber_network_profiles; UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'", SOON)
        .await;
    assert_eq!(heard.code, Code::COA_REQUEST);
    live.stop().await;
}

async fn nothing_is_lost_while_the_database_is_away(lab: &Lab) {
    const MANY: u32 = 300;
    for id in 1..=MANY {
        lab.session(id, None).await;
    }
    let live = lab.start().await;
    lab.settled(MANY as usize).await;
    lab.execute("UPDATE subscribers SET bandwidth_profile_id = 'slow' WHERE id = 'alice'")
        .await;
    while lab.nas.heard().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    lab.hide().await;
    // Longer than a lease.
    tokio::time::sleep(Duration::from_secs(3)).await;
    lab.show().await;
    lab.wait("all are told", Duration::from_secs(30), async || {
        let done = lab.store.order_list(&OrderFilter::default()).await.unwrap_or_default();
        done.len() == MANY as usize && done.iter().all(|order| order.state == OrderState::Done)
    })
    .await;
    let heard = lab.nas.heard();
    let told: std::collections::HashSet<&str> = heard.iter().map(|heard| heard.session.as_str()).collect();
    assert_eq!(told.len(), MANY as usize);
    assert!(heard.iter().all(|heard| heard.rate.as_deref() == Some("1000k/2000k")));
    live.stop().await;
}
