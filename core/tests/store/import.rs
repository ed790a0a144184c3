//! Subscribers in bulk: all or none, and a refused row is named.

use isp_core::store::{Feed, ImportError, SubscriberFilter};
use isp_core::subscriber::Subscriber;

use crate::harness::{Base, Database, plan, subscriber, tenant};

on_both_databases!(
    an_import_arrives_whole,
    what_few_rows_have_arrives_with_them,
    an_import_not_committed_leaves_nothing,
    the_refused_row_is_named,
    a_failed_import_leaves_nothing,
    an_import_is_followed,
    an_empty_import_is_one,
);

/// More than any one statement takes, and not a multiple of it.
const ROWS: usize = 1_000;

fn batch(rows: std::ops::Range<usize>) -> Vec<Subscriber> {
    rows.map(|number| subscriber(&format!("s{number}"), "t1")).collect()
}

async fn count(db: &Database) -> usize {
    db.store
        .subscriber_list(&SubscriberFilter::default())
        .await
        .unwrap()
        .len()
}

async fn an_import_arrives_whole(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut import = db.store.subscriber_import().await.unwrap();
    import.push(&batch(0..ROWS)).await.unwrap();
    import.push(&[]).await.unwrap();
    import.push(&batch(ROWS..ROWS + 1)).await.unwrap();
    assert_eq!(import.commit().await.unwrap(), ROWS as u64 + 1);
    assert_eq!(count(db).await, ROWS + 1);
    for number in [0, 255, 256, ROWS - 1, ROWS] {
        let id = format!("s{number}");
        let back = db.store.subscriber_get("t1", &id).await.unwrap().unwrap();
        assert_eq!(back, subscriber(&id, "t1"));
    }
}

/// Columns that are empty at first, in some statements only, or in all rows but one.
async fn what_few_rows_have_arrives_with_them(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut rows = batch(0..ROWS);
    for (number, row) in rows.iter_mut().enumerate() {
        row.vlan_id = (number == 300).then_some(7);
        row.notes = (number % 2 == 1).then(|| format!("note {number}"));
        row.expiration_date = (number >= 512).then_some(1_900_000_000);
    }
    let mut import = db.store.subscriber_import().await.unwrap();
    import.push(&rows).await.unwrap();
    import.commit().await.unwrap();
    let mut back = db.store.subscriber_list(&SubscriberFilter::default()).await.unwrap();
    back.sort_by_key(|row| row.id[1..].parse::<usize>().unwrap());
    assert_eq!(back, rows);
}

async fn an_import_not_committed_leaves_nothing(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut import = db.store.subscriber_import().await.unwrap();
    import.push(&batch(0..ROWS)).await.unwrap();
    drop(import);
    // Waits for the rollback, where there is one writer only.
    db.store.subscriber_add(&subscriber("s0", "t1")).await.unwrap();
    assert_eq!(count(db).await, 1);
}

async fn the_refused_row_is_named(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.store.plan_add(&plan("theirs", "t2")).await.unwrap();
    db.store.subscriber_add(&subscriber("there", "t1")).await.unwrap();
    type Break = fn(&mut Subscriber);
    let cases: [(usize, Break, &str); 9] = [
        (
            0,
            |s| s.username = "there".to_owned(),
            "the username \"there\" is taken already",
        ),
        (
            64,
            |s| s.username = "s3".to_owned(),
            "the username \"s3\" is taken already",
        ),
        (
            99,
            |s| s.subscriber_number = "N-there".to_owned(),
            "the subscriber number \"N-there\" is taken already",
        ),
        (5, |s| s.id = "there".to_owned(), "the subscriber id is taken already"),
        (70, |s| s.tenant_id = "t9".to_owned(), "no such tenant \"t9\""),
        (
            71,
            |s| s.bandwidth_profile_id = Some("theirs".to_owned()),
            "no such plan of this tenant: \"theirs\"",
        ),
        (72, |s| s.customer_id = Some("c9".to_owned()), "no such customer \"c9\""),
        (33, |s| s.vlan_id = Some(5000), "vlan_id"),
        (34, |s| s.username = String::new(), "username"),
    ];
    for (index, spoil, expected) in cases {
        let mut rows = batch(0..100);
        spoil(&mut rows[index]);
        let mut import = db.store.subscriber_import().await.unwrap();
        // A second fault, further on: the first is the one to hear of.
        rows.push(subscriber("there", "t1"));
        match import.push(&rows).await.unwrap_err() {
            ImportError::Row { index: found, reason } => {
                assert_eq!(found, index, "{reason}");
                assert!(reason.contains(expected), "{reason}");
            }
            error @ ImportError::Store(_) => panic!("{error:?}"),
        }
    }
    assert_eq!(count(db).await, 1);
}

async fn a_failed_import_leaves_nothing(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut import = db.store.subscriber_import().await.unwrap();
    import.push(&batch(0..ROWS)).await.unwrap();
    import.push(&batch(ROWS - 1..ROWS + 10)).await.unwrap_err();
    // Not even for a caller that overlooks the error.
    import.commit().await.unwrap_err();
    assert_eq!(count(db).await, 0);
}

async fn an_import_is_followed(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let position = db.store.load_snapshot(&mut Base::default()).await.unwrap();
    let poll = std::time::Duration::from_millis(50);
    let mut feed = db.store.follow(position, poll).await.unwrap();
    let mut import = db.store.subscriber_import().await.unwrap();
    import.push(&batch(0..ROWS)).await.unwrap();
    import.commit().await.unwrap();
    let Feed::Changes { changes, .. } = feed.next(10_000).await.unwrap() else {
        panic!("lost");
    };
    assert_eq!(changes.len(), ROWS);
}

async fn an_empty_import_is_one(db: &Database) {
    let import = db.store.subscriber_import().await.unwrap();
    assert_eq!(import.commit().await.unwrap(), 0);
}
