//! Orders for live sessions: one waits, one is on its way, nobody's is lost or done twice.

use std::collections::HashSet;
use std::time::Duration;

use isp_core::order::{Cause, NewOrder, OrderItem, OrderKind, OrderState, Verdict, Wanted};
use isp_core::store::{ClaimedOrder, LiveFilter, OrderClaim, OrderFilter, OrderOutcome, Review, Store};

use crate::harness::{Database, plan, subscriber, tenant};

on_both_databases!(
    an_order_is_placed_taken_and_done,
    a_later_order_takes_the_place_of_one_that_waits,
    a_later_order_follows_one_that_is_on_its_way,
    what_is_to_be_tried_again_gives_way,
    a_lease_that_ran_out_is_taken_over,
    two_workers_share_the_orders,
    a_busy_nas_is_left_alone,
    what_is_cancelled_or_failed_can_be_placed_once_more,
    a_session_that_is_over_gets_no_order,
    sessions_are_found_by_what_names_them,
);

pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Open sessions 1 to `count` of subscriber `alice` of tenant `t`, named `s1` and so on.
pub(crate) async fn sessions(db: &Database, count: u32) {
    db.store.tenant_add(&tenant("t")).await.unwrap();
    db.store.plan_add(&plan("p", "t")).await.unwrap();
    let mut alice = subscriber("alice", "t");
    alice.bandwidth_profile_id = Some("p".to_owned());
    db.store.subscriber_add(&alice).await.unwrap();
    db.raw(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, tenant_id, subscriber_id, class,
            callingstationid)
         SELECT i, 's' || i, 'u' || i, 'Alice', '192.0.2.1', 't', 'alice', '0x6161', '02-00-00-00-00-01' FROM n"
    ))
    .await;
}

pub(crate) fn wanted(fingerprint: &str) -> Wanted {
    Wanted {
        fingerprint: fingerprint.to_owned(),
        items: vec![OrderItem::new("Filter-Id", fingerprint)],
        verdict: Verdict::Accept,
    }
}

pub(crate) fn order(session_id: i64, fingerprint: &str) -> NewOrder {
    NewOrder {
        session_id,
        kind: OrderKind::Change,
        cause: Cause::Plan,
        actor: None,
        plan_id: Some("p".to_owned()),
        set: vec![OrderItem::new("Filter-Id", fingerprint)],
        unset: vec![],
        wanted: Some(wanted(fingerprint)),
    }
}

fn outcome(id: i64, state: OrderState) -> OrderOutcome {
    OrderOutcome {
        id,
        state,
        wait: 0,
        rtt: Some(1_500),
        result: Some("ack"),
        error_cause: None,
        reason: None,
    }
}

fn all(owner: &str) -> OrderClaim<'_> {
    OrderClaim {
        owner,
        lease: LEASE,
        lost_but: Some(&[]),
        busy: &[],
        limit: 100,
        only: None,
    }
}

async fn claim(store: &Store, owner: &str) -> Vec<ClaimedOrder> {
    store.claim_orders(&all(owner)).await.unwrap()
}

pub(crate) async fn states(db: &Database) -> Vec<(i64, OrderState)> {
    let orders = db.store.order_list(&OrderFilter::default()).await.unwrap();
    orders.iter().rev().map(|order| (order.id, order.state)).collect()
}

async fn fingerprint(db: &Database, session: i64) -> Option<String> {
    let rows = db
        .query(&format!(
            "SELECT fingerprint FROM session_applied WHERE session_id = {session}"
        ))
        .await;
    rows.first().and_then(|row| row[0].clone())
}

async fn an_order_is_placed_taken_and_done(db: &Database) {
    sessions(db, 1).await;
    let placed = db.store.place_orders(&[order(1, "a")]).await.unwrap();
    let [(id, 1)] = placed[..] else { panic!("{placed:?}") };
    let [claimed] = &claim(&db.store, "one").await[..] else {
        panic!()
    };
    assert_eq!(
        (claimed.id, claimed.attempts, claimed.open, claimed.kind),
        (id, 1, true, OrderKind::Change)
    );
    assert_eq!(claimed.set, [OrderItem::new("Filter-Id", "a")]);
    assert_eq!(
        (
            claimed.session.acct_session_id.as_str(),
            claimed.session.username.as_deref()
        ),
        ("s1", Some("Alice"))
    );
    assert!(claim(&db.store, "two").await.is_empty(), "it is in hand");
    assert_eq!(fingerprint(db, 1).await, None);
    let written = db
        .store
        .finish_orders("one", &[outcome(id, OrderState::Done)])
        .await
        .unwrap();
    assert_eq!(written, [id]);
    assert_eq!(fingerprint(db, 1).await.as_deref(), Some("a"));
    let [done] = &db.store.order_list(&OrderFilter::default()).await.unwrap()[..] else {
        panic!()
    };
    assert_eq!(
        (done.state, done.rtt, done.result.as_deref()),
        (OrderState::Done, Some(1_500), Some("ack"))
    );
    assert!(done.sent_at.is_some() && done.finished_at.is_some());
    assert!(
        db.store
            .finish_orders("one", &[outcome(id, OrderState::Failed)])
            .await
            .unwrap()
            .is_empty(),
        "what is over stays so"
    );
}

async fn a_later_order_takes_the_place_of_one_that_waits(db: &Database) {
    sessions(db, 2).await;
    db.store.place_orders(&[order(1, "a"), order(2, "a")]).await.unwrap();
    db.store.place_orders(&[order(1, "b")]).await.unwrap();
    assert_eq!(
        states(db).await.iter().map(|(_, state)| *state).collect::<Vec<_>>(),
        [OrderState::Superseded, OrderState::Pending, OrderState::Pending]
    );
    let claimed = claim(&db.store, "one").await;
    let sets: Vec<&str> = claimed.iter().map(|order| order.set[0].value.as_str()).collect();
    assert_eq!(sets, ["a", "b"]);
}

async fn a_later_order_follows_one_that_is_on_its_way(db: &Database) {
    sessions(db, 1).await;
    db.store.place_orders(&[order(1, "a")]).await.unwrap();
    let first = claim(&db.store, "one").await.remove(0);
    db.store.place_orders(&[order(1, "b")]).await.unwrap();
    assert!(claim(&db.store, "two").await.is_empty(), "the first is on its way");
    db.store
        .finish_orders("one", &[outcome(first.id, OrderState::Done)])
        .await
        .unwrap();
    let second = claim(&db.store, "two").await.remove(0);
    assert_eq!(second.set[0].value, "b");
    db.store
        .finish_orders("two", &[outcome(second.id, OrderState::Done)])
        .await
        .unwrap();
    assert_eq!(fingerprint(db, 1).await.as_deref(), Some("b"));
}

async fn what_is_to_be_tried_again_gives_way(db: &Database) {
    sessions(db, 2).await;
    db.store.place_orders(&[order(1, "a"), order(2, "a")]).await.unwrap();
    let claimed = claim(&db.store, "one").await;
    db.store.place_orders(&[order(1, "b")]).await.unwrap();
    let again: Vec<OrderOutcome> = claimed
        .iter()
        .map(|order| OrderOutcome {
            wait: 3_600,
            ..outcome(order.id, OrderState::Pending)
        })
        .collect();
    db.store.finish_orders("one", &again).await.unwrap();
    let states: Vec<OrderState> = states(db).await.iter().map(|(_, state)| *state).collect();
    assert_eq!(
        states,
        [OrderState::Superseded, OrderState::Pending, OrderState::Pending]
    );
    let due = claim(&db.store, "one").await;
    assert_eq!(due.len(), 1, "the other is to wait for an hour");
    assert_eq!(due[0].set[0].value, "b");
}

async fn a_lease_that_ran_out_is_taken_over(db: &Database) {
    sessions(db, 1).await;
    db.store.place_orders(&[order(1, "a")]).await.unwrap();
    let first = claim(&db.store, "dead").await.remove(0);
    let past = if db.is_sqlite() {
        "datetime('now', '-1 minute')"
    } else {
        "now() - interval '1 minute'"
    };
    db.raw(&format!("UPDATE coa_orders SET lease_until = {past}")).await;
    let in_hand = OrderClaim {
        lost_but: Some(&[first.id]),
        ..all("alive")
    };
    assert!(
        db.store.claim_orders(&in_hand).await.unwrap().is_empty(),
        "it has it in hand"
    );
    let second = claim(&db.store, "alive").await.remove(0);
    assert_eq!((second.id, &second.set, second.attempts), (first.id, &first.set, 2));
    assert!(
        db.store
            .finish_orders("dead", &[outcome(first.id, OrderState::Failed)])
            .await
            .unwrap()
            .is_empty(),
        "it is another's by now"
    );
    db.store.renew_orders("alive", LEASE, &[first.id]).await.unwrap();
    assert!(claim(&db.store, "dead").await.is_empty());
    db.store
        .finish_orders("alive", &[outcome(first.id, OrderState::Done)])
        .await
        .unwrap();
    assert_eq!(states(db).await, [(first.id, OrderState::Done)]);
}

async fn two_workers_share_the_orders(db: &Database) {
    const MANY: u32 = 1_000;
    sessions(db, MANY).await;
    let orders: Vec<NewOrder> = (1..=i64::from(MANY)).map(|session| order(session, "a")).collect();
    db.store.place_orders(&orders).await.unwrap();
    let claim = async |owner: &'static str, store: &Store| {
        let claim = OrderClaim {
            limit: 64,
            ..all(owner)
        };
        store.claim_orders(&claim).await.unwrap()
    };
    let work = async |owner: &'static str, store: Store, mut claimed: Vec<ClaimedOrder>| {
        let mut done = Vec::new();
        while !claimed.is_empty() {
            let outcomes: Vec<OrderOutcome> = claimed
                .iter()
                .map(|order| outcome(order.id, OrderState::Done))
                .collect();
            let written = store.finish_orders(owner, &outcomes).await.unwrap();
            assert_eq!(written.len(), claimed.len());
            done.extend(claimed.iter().map(|order| order.session.session_id));
            claimed = claim(owner, &store).await;
        }
        done
    };
    let other = Store::connect(&db.url, 2, false).await.unwrap();
    // Neither is done before the other has begun.
    let (first, second) = tokio::join!(claim("one", &db.store), claim("two", &other));
    let (one, two) = tokio::join!(work("one", db.store.clone(), first), work("two", other.clone(), second));
    other.close().await;
    let sessions: HashSet<i64> = one.iter().chain(&two).copied().collect();
    assert_eq!((sessions.len(), one.len() + two.len()), (MANY as usize, MANY as usize));
    assert!(!one.is_empty() && !two.is_empty(), "{} and {}", one.len(), two.len());
    let twice = db
        .query("SELECT 'x' FROM coa_orders WHERE attempts <> 1 OR state <> 'done'")
        .await;
    assert!(twice.is_empty());
}

async fn a_busy_nas_is_left_alone(db: &Database) {
    sessions(db, 1).await;
    db.store.place_orders(&[order(1, "a")]).await.unwrap();
    let busy = ["192.0.2.1".parse().unwrap()];
    let claimed = db
        .store
        .claim_orders(&OrderClaim {
            busy: &busy,
            ..all("one")
        })
        .await
        .unwrap();
    assert!(claimed.is_empty());
    let others = db
        .store
        .claim_orders(&OrderClaim {
            only: Some(&[99]),
            ..all("one")
        })
        .await
        .unwrap();
    assert!(others.is_empty());
    assert_eq!(claim(&db.store, "one").await.len(), 1);
}

async fn what_is_cancelled_or_failed_can_be_placed_once_more(db: &Database) {
    sessions(db, 2).await;
    assert!(db.store.lead("me", LEASE).await.unwrap());
    let reviews: Vec<Review> = [1, 2]
        .map(|session_id| Review {
            session_id,
            tenant_id: Some("t".to_owned()),
            subscriber_id: Some("alice".to_owned()),
            applied: wanted("old"),
            retold: false,
            recheck_at: None,
            supersede: false,
            order: Some(order(session_id, "new")),
        })
        .into();
    assert!(db.store.write_reviews("me", &reviews).await.unwrap());
    let of_plan = OrderFilter {
        plan_id: Some("p".to_owned()),
        acct_session_id: Some("s1".to_owned()),
        ..OrderFilter::default()
    };
    assert_eq!(db.store.order_cancel(&of_plan, Some("ada")).await.unwrap(), 1);
    let settled = async || {
        let rows = db
            .query("SELECT settled FROM session_applied ORDER BY session_id")
            .await;
        rows.into_iter().map(|row| row[0].clone()).collect::<Vec<_>>()
    };
    assert_eq!(settled().await, [Some("new".to_owned()), None]);
    let second = claim(&db.store, "one").await.remove(0);
    db.store
        .finish_orders("one", &[outcome(second.id, OrderState::Failed)])
        .await
        .unwrap();
    assert_eq!(settled().await, [Some("new".to_owned()), Some("new".to_owned())]);

    let again = db
        .store
        .order_retry(&OrderFilter::default(), Some("ada"))
        .await
        .unwrap();
    assert_eq!(again.len(), 2);
    assert!(
        db.store
            .order_retry(&OrderFilter::default(), None)
            .await
            .unwrap()
            .is_empty(),
        "they wait already"
    );
    for order in claim(&db.store, "one").await {
        db.store
            .finish_orders("one", &[outcome(order.id, OrderState::Done)])
            .await
            .unwrap();
    }
    assert_eq!(settled().await, [None, None]);
    assert_eq!(fingerprint(db, 1).await.as_deref(), Some("new"));
    let progress = db.store.order_progress(&OrderFilter::default()).await.unwrap();
    assert_eq!(
        (
            progress.len(),
            progress[0].done,
            progress[0].failed,
            progress[0].cancelled
        ),
        (1, 2, 1, 1)
    );
}

async fn a_session_that_is_over_gets_no_order(db: &Database) {
    sessions(db, 2).await;
    db.store.place_orders(&[order(1, "a"), order(2, "a")]).await.unwrap();
    let now = if db.is_sqlite() { "datetime('now')" } else { "now()" };
    db.raw(&format!("UPDATE radacct SET acctstoptime = {now} WHERE radacctid = 1"))
        .await;
    let claimed = claim(&db.store, "one").await;
    let open: Vec<(i64, bool)> = claimed
        .iter()
        .map(|order| (order.session.session_id, order.open))
        .collect();
    assert_eq!(open, [(1, false), (2, true)]);
    assert_eq!(db.store.place_orders(&[order(1, "b")]).await.unwrap(), []);
    db.raw("DELETE FROM radacct").await;
    let past = if db.is_sqlite() {
        "datetime('now', '-1 minute')"
    } else {
        "now() - interval '1 minute'"
    };
    db.raw(&format!("UPDATE coa_orders SET lease_until = {past}")).await;
    assert!(claim(&db.store, "one").await.is_empty());
    assert!(states(db).await.iter().all(|(_, state)| *state == OrderState::Done));
}

async fn sessions_are_found_by_what_names_them(db: &Database) {
    sessions(db, 2).await;
    let find = async |filter: LiveFilter| {
        let found = db.store.live_sessions(&filter).await.unwrap();
        found.iter().map(|session| session.session_id).collect::<Vec<_>>()
    };
    for username in ["Alice", "alice"] {
        let filter = LiveFilter {
            username: Some(username.to_owned()),
            ..LiveFilter::default()
        };
        assert_eq!(find(filter).await, [1, 2]);
    }
    let by_id = LiveFilter {
        acct_session_id: Some("s2".to_owned()),
        nas: Some("192.0.2.1".parse().unwrap()),
        ..LiveFilter::default()
    };
    assert_eq!(find(by_id.clone()).await, [2]);
    let of_other = LiveFilter {
        tenant_id: Some("other".to_owned()),
        ..by_id
    };
    assert_eq!(find(of_other).await, [0; 0]);
}
