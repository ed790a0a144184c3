//! Other programs write the stock tables by their stock columns alone.

use isp_core::dictionary::RowList;

use crate::harness::{Database, nas, subscriber, tenant};

on_both_databases!(
    a_stock_row_finds_its_subscriber,
    a_stock_row_waits_for_its_subscriber,
    rows_follow_a_renamed_subscriber,
    rows_go_with_a_removed_subscriber,
    a_row_without_tenant_is_refused_where_there_are_several,
    a_given_subscriber_decides,
    a_stock_nas_goes_to_the_only_tenant,
    no_password_can_be_written_down,
);

const INSERT: &str = "INSERT INTO radreply (username, attribute, op, value) VALUES";

async fn values(db: &Database, subscriber_id: &str) -> Vec<String> {
    let rows = db.store.rows(RowList::Reply, "t1", subscriber_id).await.unwrap();
    rows.into_iter().map(|r| r.value).collect()
}

async fn a_stock_row_finds_its_subscriber(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("bob", "t1")).await.unwrap();
    db.raw(&format!(
        "{INSERT} ('ada', 'Class', '=', 'a'), ('bob', 'Class', '=', 'b')"
    ))
    .await;
    assert_eq!(values(db, "ada").await, ["a"]);
    assert_eq!(db.load().await.subscriber_of("bob").replies[0].value, "b");
    db.raw("UPDATE radreply SET username = 'ada' WHERE username = 'bob'")
        .await;
    assert_eq!(values(db, "ada").await, ["a", "b"]);
    assert_eq!(values(db, "bob").await, [""; 0]);
    db.raw("UPDATE radreply SET username = 'nobody'").await;
    assert_eq!(values(db, "ada").await, [""; 0]);
}

async fn a_stock_row_waits_for_its_subscriber(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut ada = subscriber("s1", "t1");
    ada.username = "ada".to_owned();
    db.store.subscriber_add(&ada).await.unwrap();
    db.store.subscriber_delete("t1", "s1", None).await.unwrap();
    db.raw(&format!(
        "{INSERT} ('ada', 'Class', '=', 'a'), ('bob', 'Class', '=', 'b')"
    ))
    .await;
    assert_eq!(values(db, "s1").await, [""; 0], "the deleted take nothing");
    ada.id = "s2".to_owned();
    db.store.subscriber_add(&ada).await.unwrap();
    assert_eq!(values(db, "s2").await, ["a"]);
    let mut bob = subscriber("s3", "t1");
    bob.username = "robert".to_owned();
    db.store.subscriber_add(&bob).await.unwrap();
    bob.username = "bob".to_owned();
    db.store.subscriber_set(&bob).await.unwrap();
    assert_eq!(values(db, "s3").await, ["b"], "renamed to the name the row waits for");
}

async fn rows_follow_a_renamed_subscriber(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    let mut ada = subscriber("ada", "t1");
    db.store.subscriber_add(&ada).await.unwrap();
    db.store
        .row_add(RowList::Check, &ada, "NAS-Port-Id", "==", "ge-0/0/1")
        .await
        .unwrap();
    db.store.row_add(RowList::Reply, &ada, "Class", "=", "a").await.unwrap();
    ada.username = "lovelace".to_owned();
    db.store.subscriber_set(&ada).await.unwrap();
    db.raw("UPDATE subscribers SET tenant_id = 't2'").await;
    for table in ["radcheck", "radreply"] {
        let owner = db
            .query(&format!("SELECT username, tenant_id, subscriber_id FROM {table}"))
            .await;
        let words: Vec<_> = owner[0].iter().map(|w| w.as_deref().unwrap()).collect();
        assert_eq!(words, ["lovelace", "t2", "ada"], "{table}");
    }
}

async fn rows_go_with_a_removed_subscriber(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let ada = subscriber("ada", "t1");
    db.store.subscriber_add(&ada).await.unwrap();
    db.store
        .row_add(RowList::Check, &ada, "Class", "==", "a")
        .await
        .unwrap();
    db.store.row_add(RowList::Reply, &ada, "Class", "=", "a").await.unwrap();
    db.raw("DELETE FROM subscribers").await;
    for table in ["radcheck", "radreply"] {
        assert_eq!(
            db.query(&format!("SELECT username FROM {table}")).await.len(),
            0,
            "{table}"
        );
    }
}

async fn a_row_without_tenant_is_refused_where_there_are_several(db: &Database) {
    let row = format!("{INSERT} ('ada', 'Class', '=', 'a')");
    db.execute(&row).await.unwrap_err();
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    let error = db.execute(&row).await.unwrap_err();
    assert!(error.to_string().contains("not exactly one tenant"), "{error}");
    for id in ["t1", "t2"] {
        let mut ada = subscriber(&format!("ada-{id}"), id);
        ada.username = "ada".to_owned();
        db.store.subscriber_add(&ada).await.unwrap();
    }
    db.raw("INSERT INTO radreply (tenant_id, username, attribute, value) VALUES ('t2', 'ada', 'Class', 'x')")
        .await;
    let base = db.load().await;
    assert_eq!(base.subscriber_of("ada-t1").replies.len(), 0);
    assert_eq!(base.subscriber_of("ada-t2").replies.len(), 1);
}

async fn a_given_subscriber_decides(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
    db.raw(
        "INSERT INTO radcheck (tenant_id, username, subscriber_id, attribute, value)
         VALUES ('t2', 'someone', 'ada', 'Class', 'x')",
    )
    .await;
    let owner = db.query("SELECT tenant_id, username FROM radcheck").await;
    let words: Vec<_> = owner[0].iter().map(|w| w.as_deref().unwrap()).collect();
    assert_eq!(words, ["t1", "ada"]);
}

async fn a_stock_nas_goes_to_the_only_tenant(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.raw("INSERT INTO nas (nasname, shortname, type, secret) VALUES ('192.0.2.1', 'bras', 'other', 'x')")
        .await;
    db.raw("INSERT INTO nas (nasname, shortname, secret) VALUES ('bras.example.org', 'by name', 'x')")
        .await;
    let listed = db.store.nas_list(Some("t1")).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].vendor, "mikrotik");
    let base = db.load().await;
    assert_eq!(base.nas.len(), 1, "a host name cannot be told from a packet's source");
    assert_eq!(base.nas[0].network.to_string(), "192.0.2.1/32");
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.execute("INSERT INTO nas (nasname, secret) VALUES ('192.0.2.2', 'x')")
        .await
        .unwrap_err();
    db.store.nas_add(&nas("t2", "192.0.2.2")).await.unwrap();
}

async fn no_password_can_be_written_down(db: &Database) {
    let insert =
        "INSERT INTO radpostauth (username, pass, reply, authdate) VALUES ('ada', 'hunter2', 'x', CURRENT_TIMESTAMP)";
    db.execute(insert).await.unwrap_err();
    db.raw(&insert.replace("hunter2", "")).await;
}
