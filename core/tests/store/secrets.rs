//! Stored secrets read and replaced in bulk, and the overview.

use isp_core::store::{Overview, Replacement};
use isp_core::subscriber::Status;

use crate::harness::{Database, nas, plan, subscriber, tenant};

on_both_databases!(
    passwords_are_read_in_pages_deleted_ones_too,
    only_what_was_read_is_replaced,
    the_overview_counts,
);

async fn fill(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    for id in ["a", "B", "c-1", "c_1", "d"] {
        let mut subscriber = subscriber(id, "t1");
        subscriber.status = Status::Active;
        subscriber.subscriber_number = String::new();
        subscriber.bandwidth_profile_id = None;
        subscriber.password = (id != "d").then(|| format!("password of {id}"));
        subscriber.password_hash_method = None;
        db.store.subscriber_add(&subscriber).await.unwrap();
    }
    db.store.subscriber_delete("t1", "c_1", None).await.unwrap();
}

async fn passwords_are_read_in_pages_deleted_ones_too(db: &Database) {
    fill(db).await;
    for limit in [1, 2, 100] {
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let page = db.store.stored_passwords(&after, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit as usize);
            after.clone_from(&last.id);
            seen.extend(page.into_iter().map(|stored| (stored.id, stored.password)));
        }
        let expected = ["B", "a", "c-1", "c_1"].map(|id| (id.to_owned(), format!("password of {id}")));
        assert_eq!(seen, expected, "by id, byte by byte");
    }
}

async fn only_what_was_read_is_replaced(db: &Database) {
    fill(db).await;
    let replacement = |id: &str, old: &str| Replacement {
        id: id.to_owned(),
        old: old.to_owned(),
        new: "new".to_owned(),
        method: Some("cleartext"),
    };
    let replaced = db
        .store
        .replace_passwords(&[replacement("a", "password of a"), replacement("B", "changed meanwhile")])
        .await
        .unwrap();
    assert_eq!(replaced, 1);
    let a = db.store.subscriber_get("t1", "a").await.unwrap().unwrap();
    assert_eq!(
        (a.password.as_deref(), a.password_hash_method.as_deref()),
        (Some("new"), Some("cleartext"))
    );
    let b = db.store.subscriber_get("t1", "B").await.unwrap().unwrap();
    assert_eq!(b.password.as_deref(), Some("password of B"));
    assert_eq!(db.store.replace_passwords(&[]).await.unwrap(), 0);

    let first = nas("t1", "192.0.2.1");
    let id = db.store.nas_add(&first).await.unwrap().to_string();
    let change = |old: &str| Replacement {
        method: None,
        ..replacement(&id, old)
    };
    assert_eq!(db.store.replace_nas_secrets(&[change("another")]).await.unwrap(), 0);
    assert_eq!(db.store.replace_nas_secrets(&[change(&first.secret)]).await.unwrap(), 1);
    assert_eq!(db.store.nas_get("t1", &id).await.unwrap().unwrap().secret, "new");
}

async fn the_overview_counts(db: &Database) {
    fill(db).await;
    db.store.nas_add(&nas("t1", "192.0.2.1")).await.unwrap();
    db.raw("UPDATE subscribers SET status = 'suspended' WHERE id = 'a'")
        .await;
    let overview = db.store.overview().await.unwrap();
    let expected = Overview {
        schema_version: overview.schema_version,
        tenants: 1,
        plans: 1,
        nas: 1,
        subscribers: 4,
        subscribers_active: 3,
        subscribers_without_password: 1,
        subscribers_deleted: 1,
        sessions_open: 0,
        change_feed_rows: overview.change_feed_rows,
    };
    assert_eq!(overview, expected);
    assert!(overview.schema_version >= 6 && overview.change_feed_rows > 0);
}
