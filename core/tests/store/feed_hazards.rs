//! The change feed where it is hard: late commits, long transactions, a database that goes away.

use std::time::{Duration, Instant};

use isp_core::store::Feed;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::feed::{POLL, changes, follow, survives_pruning, words};
use crate::harness::{Base, Database, subscriber, tenant};

on_both_databases!(every_concurrent_commit_is_seen_once);

/// A transaction that took its sequence number first and commits last is not skipped, and does not hold up the others.
#[test]
fn postgres_a_late_commit_is_not_skipped() {
    crate::harness::on_postgres(|db| Box::pin(late_commit(db)));
}

async fn late_commit(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut feed = follow(db).await;
    let insert = |id: &str| {
        AssertSqlSafe(format!(
            "INSERT INTO subscribers (id, tenant_id, username) VALUES ('{id}', 't1', '{id}')"
        ))
    };
    let mut early = PgConnection::connect(&db.url).await.unwrap();
    let mut early = early.begin().await.unwrap();
    early.execute(insert("early")).await.unwrap();
    let mut late = PgConnection::connect(&db.url).await.unwrap();
    late.execute(insert("late")).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Subscriber t1/late"]);
    // A load in between sees the one and not the other, and so does its feed.
    let mut base = Base::default();
    let position = db.store.load_snapshot(&mut base).await.unwrap();
    assert_eq!(base.subscribers.len(), 1);
    let mut second = db.store.follow(position, POLL).await.unwrap();
    late.execute(insert("later")).await.unwrap();
    assert_eq!(words(&mut feed).await, ["Subscriber t1/later"]);
    early.commit().await.unwrap();
    assert_eq!(words(&mut feed).await, ["Subscriber t1/early"]);
    assert_eq!(words(&mut second).await, ["Subscriber t1/early", "Subscriber t1/later"]);
    assert_eq!(words(&mut feed).await, [""; 0]);
    assert_eq!(words(&mut second).await, [""; 0]);
}

/// An unrelated transaction that stays open neither delays changes nor repeats them, nor makes pruning lose a reader.
#[test]
fn postgres_a_long_transaction_delays_nothing() {
    crate::harness::on_postgres(|db| Box::pin(long_transaction(db)));
}

async fn long_transaction(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut long = PgConnection::connect(&db.url).await.unwrap();
    let mut long = long.begin().await.unwrap();
    long.execute("CREATE TABLE unrelated (id int)").await.unwrap();
    let mut feed = follow(db).await;
    for id in ["s1", "s2"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
        assert_eq!(words(&mut feed).await, [format!("Subscriber t1/{id}")]);
        survives_pruning(db, &mut feed).await;
        assert_eq!(
            db.value("SELECT count(*)::text FROM change_feed").await.as_deref(),
            Some("0")
        );
    }
    long.commit().await.unwrap();
    assert_eq!(words(&mut feed).await, [""; 0]);
}

/// A row that was written long ago and committed just now is not pruned before anyone could see it, or its readers know.
#[test]
fn postgres_pruning_waits_for_late_commits() {
    crate::harness::on_postgres(|db| Box::pin(pruning_and_late_commits(db)));
}

async fn pruning_and_late_commits(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut early = PgConnection::connect(&db.url).await.unwrap();
    let mut early = early.begin().await.unwrap();
    early
        .execute("INSERT INTO subscribers (id, tenant_id, username) VALUES ('s1', 't1', 's1')")
        .await
        .unwrap();
    let mut feed = follow(db).await;
    survives_pruning(db, &mut feed).await;
    early.commit().await.unwrap();
    assert_eq!(words(&mut feed).await, ["Subscriber t1/s1"]);
}

/// The follower notices that the database went away; a new one continues where the old one stood.
#[test]
fn postgres_a_lost_connection_is_an_error() {
    crate::harness::on_postgres(|db| Box::pin(lost_connection(db)));
}

async fn lost_connection(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut feed = follow(db).await;
    feed.wait().await.unwrap();
    changes(&mut feed).await;
    db.store.subscriber_add(&subscriber("s1", "t1")).await.unwrap();
    db.raw("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let error = loop {
        if let Err(error) = feed.wait().await {
            break error;
        }
        if let Err(error) = feed.next(10).await {
            break error;
        }
        assert!(Instant::now() < deadline, "never noticed");
    };
    assert!(error.is_transient(), "{error:?}");
    let mut again = db.store.follow(feed.position().clone(), POLL).await.unwrap();
    let seen = words(&mut again).await;
    assert!(seen.is_empty() || seen == ["Subscriber t1/s1"], "{seen:?}");
}

/// A database file that is deleted or replaced is not the one that is open, though it can still be read and written.
#[test]
fn sqlite_a_replaced_file_is_an_error() {
    crate::harness::on_sqlite(|db| Box::pin(replaced_file(db)));
}

async fn replaced_file(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let path = db.url.strip_prefix("sqlite://").unwrap();
    // A copy made earlier, as a backup would be.
    let copy = format!("{path}.copy");
    db.raw(&format!("VACUUM INTO '{copy}'")).await;
    let mut feed = follow(db).await;
    let position = feed.position().clone();
    std::fs::remove_file(path).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while feed.wait().await.is_ok() {
        assert!(Instant::now() < deadline, "never noticed");
    }
    assert!(feed.next(10).await.unwrap_err().is_transient());
    let write = db.store.subscriber_add(&subscriber("s1", "t1")).await;
    assert!(
        write.unwrap_err().is_transient(),
        "a write to a deleted file would be lost"
    );
    std::fs::rename(&copy, path).unwrap();
    assert!(
        db.store
            .load_snapshot(&mut Base::default())
            .await
            .unwrap_err()
            .is_transient()
    );
    // The restored copy is served on opening it anew, and is known as another database.
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{path}{end}"));
    }
    let store = isp_core::store::Store::connect(&db.url, 1, false).await.unwrap();
    let mut again = store.follow(position, POLL).await.unwrap();
    assert!(matches!(again.next(10).await.unwrap(), Feed::Lost));
    store.close().await;
}

/// Many transactions at once, each with its own delay before the commit: the feed has every one of them exactly once.
async fn every_concurrent_commit_is_seen_once(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut feed = follow(db).await;
    let writers = 6;
    let each = 20;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let url = db.url.clone();
            tokio::spawn(async move {
                for number in 0..each {
                    let id = format!("w{writer}-{number}");
                    let insert =
                        format!("INSERT INTO subscribers (id, tenant_id, username) VALUES ('{id}', 't1', '{id}')");
                    if url.starts_with("sqlite:") {
                        let mut connection = SqliteConnection::connect(&url).await.unwrap();
                        connection.execute(AssertSqlSafe(insert)).await.unwrap();
                    } else {
                        // Commit order differs from the order of the sequence.
                        let pause = (writer * 7 + number * 3) % 5;
                        let mut connection = PgConnection::connect(&url).await.unwrap();
                        let text = format!("BEGIN; {insert}; SELECT pg_sleep({pause} / 1000.0); COMMIT");
                        connection.execute(AssertSqlSafe(text)).await.unwrap();
                    }
                }
            })
        })
        .collect();
    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while seen.len() < writers * each {
        assert!(Instant::now() < deadline, "only {} seen", seen.len());
        feed.wait().await.unwrap();
        seen.extend(changes(&mut feed).await.into_iter().map(|c| c.id));
    }
    for task in tasks {
        task.await.unwrap();
    }
    seen.extend(changes(&mut feed).await.into_iter().map(|c| c.id));
    seen.sort();
    let count = seen.len();
    seen.dedup();
    assert_eq!((seen.len(), count), (writers * each, writers * each));
}
