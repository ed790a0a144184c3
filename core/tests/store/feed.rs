//! The change feed: every change by any writer, once it is committed, and none before.

use std::time::{Duration, Instant};

use isp_core::dictionary::RowList;
use isp_core::store::{Change, ChangeFeed, Feed, FeedPosition};

use crate::harness::{Base, Database, nas, plan, subscriber, tenant};

on_both_databases!(
    every_table_is_followed,
    changes_by_raw_sql_are_followed,
    bookkeeping_is_silent,
    what_is_rolled_back_is_never_seen,
    a_load_and_the_feed_leave_no_gap,
    more_than_the_limit_is_lost,
    pruned_past_is_lost,
    pruning_keeps_what_is_recent,
    a_position_of_another_database_is_lost,
    a_waiter_wakes_on_a_change,
    a_waiter_comes_back_without_a_change,
);

pub(crate) const POLL: Duration = Duration::from_millis(50);

pub(crate) async fn follow(db: &Database) -> ChangeFeed {
    let position = db.store.load_snapshot(&mut Base::default()).await.unwrap();
    db.store.follow(position, POLL).await.unwrap()
}

pub(crate) async fn changes(feed: &mut ChangeFeed) -> Vec<Change> {
    match feed.next(1000).await.unwrap() {
        Feed::Changes { position, changes } => {
            assert_eq!(&position, feed.position());
            changes
        }
        Feed::Lost => panic!("lost"),
    }
}

/// `kind tenant/id` and, where known, `<old username`.
pub(crate) async fn words(feed: &mut ChangeFeed) -> Vec<String> {
    let word = |c: Change| {
        let old = c.old_username.map(|name| format!(" <{name}")).unwrap_or_default();
        format!("{:?} {}/{}{old}", c.kind, c.tenant_id, c.id)
    };
    changes(feed).await.into_iter().map(word).collect()
}

async fn every_table_is_followed(db: &Database) {
    let mut feed = follow(db).await;
    assert_eq!(words(&mut feed).await, [""; 0]);

    let mut t1 = tenant("t1");
    db.store.tenant_add(&t1).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Tenant t1/t1"]);
    t1.enabled = false;
    db.store.tenant_set(&t1).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Tenant t1/t1"]);

    let mut p1 = plan("p1", "t1");
    db.store.plan_add(&p1).await.unwrap();
    p1.upload_rate_kbps += 1;
    db.store.plan_set(&p1).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Plan t1/p1", "Plan t1/p1"]);

    let mut n1 = nas("t1", "192.0.2.1");
    n1.id = db.store.nas_add(&n1).await.unwrap();
    n1.vendor = "generic".to_owned();
    db.store.nas_set(&n1).await.unwrap();
    db.store.nas_delete("t1", n1.id).await.unwrap();
    let expected = format!("Nas t1/{}", n1.id);
    assert_eq!(words(&mut feed).await, [expected.as_str(); 3]);

    let mut s1 = subscriber("s1", "t1");
    s1.bandwidth_profile_id = Some("p1".to_owned());
    db.store.subscriber_add(&s1).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Subscriber t1/s1"]);
    s1.username = "ada".to_owned();
    db.store.subscriber_set(&s1).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Subscriber t1/s1 <s1"]);

    db.store.plan_delete("t1", "p1").await.unwrap();
    let mut seen = words(&mut feed).await;
    seen.sort();
    assert_eq!(
        seen,
        ["Plan t1/p1", "Subscriber t1/s1 <ada"],
        "its subscribers lose the plan"
    );

    for list in [RowList::Check, RowList::Reply] {
        let id = db.store.row_add(list, &s1, "Class", "=", "x").await.unwrap();
        assert_eq!(words(&mut feed).await, ["Subscriber t1/s1"]);
        db.store.row_delete(list, "t1", id).await.unwrap();
        assert_eq!(words(&mut feed).await, ["Subscriber t1/s1"]);
    }

    db.store.subscriber_delete("t1", "s1", None).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Subscriber t1/s1 <ada"]);
}

async fn changes_by_raw_sql_are_followed(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    let mut feed = follow(db).await;
    for (sql, expected) in [
        (
            "INSERT INTO radius_bandwidth_profiles (id, tenant_id, name, download_rate_kbps, upload_rate_kbps)
                VALUES ('p1', 't1', 'p', 1, 1)",
            vec!["Plan t1/p1"],
        ),
        (
            "INSERT INTO subscribers (id, tenant_id, username) VALUES ('s1', 't1', 'ada'), ('s2', 't1', 'bob')",
            vec!["Subscriber t1/s1", "Subscriber t1/s2"],
        ),
        (
            "UPDATE subscribers SET status = 'suspended' WHERE id = 's1'",
            vec!["Subscriber t1/s1 <ada"],
        ),
        ("UPDATE subscribers SET status = 'suspended' WHERE id = 's1'", vec![]),
        (
            "UPDATE subscribers SET tenant_id = 't2' WHERE id = 's1'",
            vec!["Subscriber t1/s1 <ada", "Subscriber t2/s1 <ada"],
        ),
        (
            "INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id) VALUES ('n1', 't2', 's1')",
            vec!["Subscriber t2/s1"],
        ),
        (
            "UPDATE subscriber_network_profiles SET service_vlan = 5",
            vec!["Subscriber t2/s1"],
        ),
        ("UPDATE subscriber_network_profiles SET vlan_pool = 'x'", vec![]),
        ("DELETE FROM subscriber_network_profiles", vec!["Subscriber t2/s1"]),
        (
            "INSERT INTO radreply (tenant_id, username, attribute, value) VALUES ('t1', 'bob', 'Class', 'a')",
            vec!["Subscriber t1/s2"],
        ),
        ("UPDATE radreply SET value = 'b'", vec!["Subscriber t1/s2"]),
        ("UPDATE radreply SET value = 'b'", vec![]),
        ("UPDATE radreply SET id = id + 100", vec!["Subscriber t1/s2"]),
        ("UPDATE radreply SET id = id", vec![]),
        (
            "UPDATE radreply SET tenant_id = 't2', username = 'ada'",
            vec!["Subscriber t1/s2", "Subscriber t2/s1"],
        ),
        ("DELETE FROM radreply", vec!["Subscriber t2/s1"]),
        ("DELETE FROM subscribers WHERE id = 's1'", vec!["Subscriber t2/s1 <ada"]),
        ("UPDATE radius_bandwidth_profiles SET description = 'x'", vec![]),
        (
            "UPDATE radius_bandwidth_profiles SET download_burst_seconds = 5",
            vec!["Plan t1/p1"],
        ),
        (
            "UPDATE radius_bandwidth_profiles SET redirect_url = 'https://pay.example/'",
            vec!["Plan t1/p1"],
        ),
        (
            "UPDATE radius_bandwidth_profiles SET redirect_url = 'https://pay.example/'",
            vec![],
        ),
        (
            "UPDATE radius_bandwidth_profiles SET login_time = 'Wk'",
            vec!["Plan t1/p1"],
        ),
        ("DELETE FROM radius_bandwidth_profiles", vec!["Plan t1/p1"]),
        ("DELETE FROM tenants WHERE id = 't2'", vec!["Tenant t2/t2"]),
    ] {
        db.raw(sql).await;
        let mut seen = words(&mut feed).await;
        seen.sort();
        seen.dedup();
        assert_eq!(seen, expected, "{sql}");
    }
    if !db.is_sqlite() {
        db.raw("TRUNCATE radreply").await;
        assert!(
            matches!(feed.next(1000).await.unwrap(), Feed::Lost),
            "TRUNCATE leaves no row to tell of"
        );
    }
}

async fn bookkeeping_is_silent(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut s1 = subscriber("s1", "t1");
    db.store.subscriber_add(&s1).await.unwrap();
    let mut feed = follow(db).await;
    db.raw(
        "UPDATE subscribers SET last_online = CURRENT_TIMESTAMP, total_sessions = 9, total_upload_bytes = 9,
         total_download_bytes = 9, updated_at = CURRENT_TIMESTAMP",
    )
    .await;
    s1.notes = Some("moved".to_owned());
    s1.email = None;
    db.store.subscriber_set(&s1).await.unwrap();
    assert_eq!(words(&mut feed).await, [""; 0]);
}

async fn what_is_rolled_back_is_never_seen(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut feed = follow(db).await;
    db.raw("BEGIN; INSERT INTO subscribers (id, tenant_id, username) VALUES ('s1', 't1', 'ada'); ROLLBACK")
        .await;
    db.raw("INSERT INTO subscribers (id, tenant_id, username) VALUES ('s2', 't1', 'bob')")
        .await;
    assert_eq!(words(&mut feed).await, ["Subscriber t1/s2"]);
}

/// Whatever instant a load falls on, each change is either in it or in the feed after it.
async fn a_load_and_the_feed_leave_no_gap(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let total = 60;
    let url = db.url.clone();
    let writer = tokio::spawn(async move {
        let store = isp_core::store::Store::connect(&url, 1, false).await.unwrap();
        for number in 0..total {
            store
                .subscriber_add(&subscriber(&format!("s{number}"), "t1"))
                .await
                .unwrap();
        }
        store.close().await;
    });
    loop {
        let finished = writer.is_finished();
        let mut base = Base::default();
        let position = db.store.load_snapshot(&mut base).await.unwrap();
        let mut feed = db.store.follow(position, POLL).await.unwrap();
        let mut ids: Vec<String> = base.subscribers.into_iter().map(|s| s.id).collect();
        let loaded = ids.len();
        while ids.len() < total {
            feed.wait().await.unwrap();
            ids.extend(changes(&mut feed).await.into_iter().map(|c| c.id));
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), total, "{loaded} were loaded");
        if finished {
            break;
        }
    }
    writer.await.unwrap();
}

async fn more_than_the_limit_is_lost(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut feed = follow(db).await;
    for id in ["s1", "s2", "s3"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    let position = feed.position().clone();
    assert!(matches!(feed.next(2).await.unwrap(), Feed::Lost));
    assert_eq!(feed.position(), &position, "a lost reader does not move");
    assert_eq!(changes(&mut feed).await.len(), 3);
}

/// A reader who has read everything is not lost by pruning. PostgreSQL knows transactions of the whole server, and one
/// of another test that ends just between the two can make such a fresh reader look behind: not time and again, though.
pub(crate) async fn survives_pruning(db: &Database, feed: &mut ChangeFeed) {
    for _ in 0..50 {
        db.store.prune_feed(Duration::ZERO).await.unwrap();
        match feed.next(10).await.unwrap() {
            Feed::Changes { changes, .. } => return assert_eq!(changes, []),
            Feed::Lost => *feed = follow(db).await,
        }
    }
    panic!("lost by every pruning");
}

async fn pruned_past_is_lost(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut behind = follow(db).await;
    for id in ["s0", "s1"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    let mut ahead = follow(db).await;
    let newest = u64::from(db.is_sqlite());
    assert_eq!(db.store.prune_feed(Duration::ZERO).await.unwrap(), 3 - newest);
    assert!(matches!(behind.next(10).await.unwrap(), Feed::Lost));
    survives_pruning(db, &mut ahead).await;
    db.store.subscriber_add(&subscriber("s2", "t1")).await.unwrap();
    assert_eq!(words(&mut ahead).await, ["Subscriber t1/s2"]);
    assert!(matches!(behind.next(10).await.unwrap(), Feed::Lost), "lost for good");
}

async fn pruning_keeps_what_is_recent(db: &Database) {
    let mut feed = follow(db).await;
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(db.store.prune_feed(Duration::from_secs(3600)).await.unwrap(), 0);
    }
    assert_eq!(words(&mut feed).await, ["Tenant t1/t1"]);
}

async fn a_position_of_another_database_is_lost(db: &Database) {
    let position = db.store.load_snapshot(&mut Base::default()).await.unwrap();
    let (identity, at) = position.as_str().split_once('/').unwrap();
    for foreign in [
        format!("x{identity}/{at}"),
        format!("/{at}"),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let mut feed = db.store.follow(FeedPosition::from(foreign), POLL).await.unwrap();
        assert!(matches!(feed.next(10).await.unwrap(), Feed::Lost));
    }
    let text = position.as_str().to_owned();
    let mut feed = db.store.follow(FeedPosition::from(text), POLL).await.unwrap();
    assert_eq!(
        words(&mut feed).await,
        [""; 0],
        "a position survives being written down"
    );
}

async fn a_waiter_wakes_on_a_change(db: &Database) {
    let position = db.store.load_snapshot(&mut Base::default()).await.unwrap();
    // PostgreSQL: only the notification can end this wait in time.
    let poll = if db.is_sqlite() { POLL } else { Duration::from_secs(60) };
    let mut feed = db.store.follow(position, poll).await.unwrap();
    // The first call reports what may have come before it listened.
    feed.wait().await.unwrap();
    assert_eq!(words(&mut feed).await, [""; 0]);
    let started = Instant::now();
    let (seen, ()) = tokio::join!(
        async {
            loop {
                feed.wait().await.unwrap();
                let seen = words(&mut feed).await;
                if !seen.is_empty() {
                    return seen;
                }
            }
        },
        async { db.store.tenant_add(&tenant("t1")).await.unwrap() }
    );
    assert_eq!(seen, ["Tenant t1/t1"]);
    assert!(started.elapsed() < Duration::from_secs(10));
}

async fn a_waiter_comes_back_without_a_change(db: &Database) {
    let mut feed = follow(db).await;
    for _ in 0..3 {
        tokio::time::timeout(Duration::from_secs(10), feed.wait())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(words(&mut feed).await, [""; 0]);
    }
}
