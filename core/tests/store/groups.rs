//! Groups: rows and memberships, whoever writes them.

use isp_core::dictionary::RowList::{Check, Reply};
use isp_core::group::GroupSize;
use isp_core::store::ChangeKind;

use crate::feed::{changes, follow};
use crate::harness::{Database, subscriber, tenant};

on_both_databases!(
    rows_and_memberships_come_with_a_load,
    a_membership_by_username_finds_its_subscriber,
    rows_without_a_tenant_get_the_only_one,
    every_write_is_noted,
    groups_are_administered,
);

async fn rows_and_memberships_come_with_a_load(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    for id in ["s1", "s2"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    db.raw(
        "INSERT INTO radgroupreply (tenant_id, groupname, attribute, op, value) VALUES
            ('t1', 'gold', 'Class', ':=', 'a'), ('t2', 'gold', 'Class', ':=', 'other'), ('t1', 'gold', 'Class', '+=', 'b')",
    )
    .await;
    db.raw("INSERT INTO radgroupcheck (tenant_id, groupname, attribute, op, value) VALUES ('t1', 'gold', 'NAS-Port', '<', '9')")
        .await;
    db.raw(
        "INSERT INTO radusergroup (tenant_id, username, groupname, priority) VALUES
            ('t1', 's1', 'last', 9), ('t1', 's1', 'gold', 1), ('t1', 's1', 'first', -1), ('t1', 's1', 'second', 1)",
    )
    .await;
    let base = db.load().await;
    assert_eq!(base.subscriber_of("s1").groups, ["first", "gold", "second", "last"]);
    assert_eq!(base.subscriber_of("s2").groups, [""; 0]);
    let rows: Vec<_> = base
        .group_rows
        .iter()
        .map(|r| (r.tenant_id.as_str(), r.list, r.row.op.as_str(), r.row.value.as_str()))
        .collect();
    assert_eq!(
        rows,
        [
            ("t1", Check, "<", "9"),
            ("t1", Reply, ":=", "a"),
            ("t2", Reply, ":=", "other"),
            ("t1", Reply, "+=", "b")
        ]
    );
}

async fn groups_of(db: &Database, id: &str) -> Vec<String> {
    db.load().await.subscriber_of(id).groups.clone()
}

async fn a_membership_by_username_finds_its_subscriber(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.raw("INSERT INTO radusergroup (username, groupname) VALUES ('s1', 'early')")
        .await;
    let mut s1 = subscriber("s1", "t1");
    db.store.subscriber_add(&s1).await.unwrap();
    db.store.subscriber_add(&subscriber("s2", "t1")).await.unwrap();
    assert_eq!(groups_of(db, "s1").await, ["early"], "there before the subscriber");
    db.raw("INSERT INTO radusergroup (username, groupname) VALUES ('s1', 'late')")
        .await;
    assert_eq!(groups_of(db, "s1").await, ["early", "late"]);

    "renamed".clone_into(&mut s1.username);
    db.store.subscriber_set(&s1).await.unwrap();
    assert_eq!(groups_of(db, "s1").await, ["early", "late"], "they go along");
    let named = db
        .value("SELECT min(username) FROM radusergroup WHERE groupname = 'early'")
        .await;
    assert_eq!(named.as_deref(), Some("renamed"));

    db.raw("UPDATE radusergroup SET username = 's2' WHERE groupname = 'late'")
        .await;
    assert_eq!(groups_of(db, "s1").await, ["early"]);
    assert_eq!(groups_of(db, "s2").await, ["late"]);
}

async fn rows_without_a_tenant_get_the_only_one(db: &Database) {
    let writes = [
        "INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('g', 'NAS-Port', '==', '1')",
        "INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('g', 'Class', '=', 'x')",
        "INSERT INTO radusergroup (username, groupname) VALUES ('s1', 'g')",
    ];
    for write in writes {
        db.execute(write).await.unwrap_err();
    }
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    for write in writes {
        db.execute(write).await.unwrap();
    }
    let base = db.load().await;
    assert!(base.group_rows.iter().all(|row| row.tenant_id == "t1"));
    assert_eq!(base.group_rows.len(), 2);
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    for write in writes {
        let error = db.execute(write).await.unwrap_err().to_string();
        assert!(error.contains("there is not exactly one tenant"), "{error}");
    }
}

async fn every_write_is_noted(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    for id in ["s1", "s2"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    let (tenants, people) = (ChangeKind::Tenant, ChangeKind::Subscriber);
    let row = |table: &str| {
        format!(
            "INSERT INTO {table} (tenant_id, groupname, attribute, op, value) VALUES ('t1', 'g', 'Class', '=', 'x')"
        )
    };
    let mut feed = follow(db).await;
    for (write, expected) in [
        (row("radgroupcheck"), vec![(tenants, "t1")]),
        (row("radgroupreply"), vec![(tenants, "t1")]),
        ("UPDATE radgroupreply SET value = 'y'".to_owned(), vec![(tenants, "t1")]),
        ("UPDATE radgroupcheck SET op = '+='".to_owned(), vec![(tenants, "t1")]),
        (
            "UPDATE radgroupcheck SET tenant_id = 't2'".to_owned(),
            vec![(tenants, "t1"), (tenants, "t2")],
        ),
        ("DELETE FROM radgroupcheck".to_owned(), vec![(tenants, "t2")]),
        ("DELETE FROM radgroupreply".to_owned(), vec![(tenants, "t1")]),
        (
            "INSERT INTO radusergroup (tenant_id, username, groupname) VALUES ('t1', 's1', 'g')".to_owned(),
            vec![(people, "s1")],
        ),
        ("UPDATE radusergroup SET priority = 7".to_owned(), vec![(people, "s1")]),
        (
            "UPDATE radusergroup SET username = 's2'".to_owned(),
            vec![(people, "s1"), (people, "s2")],
        ),
        ("DELETE FROM radusergroup".to_owned(), vec![(people, "s2")]),
        (
            "INSERT INTO radusergroup (tenant_id, username, groupname) VALUES ('t1', 'nobody', 'g')".to_owned(),
            vec![],
        ),
    ] {
        db.raw(&write).await;
        let mut seen: Vec<_> = changes(&mut feed)
            .await
            .into_iter()
            .map(|change| (change.kind, change.id))
            .collect();
        seen.sort_by(|a, b| a.1.cmp(&b.1));
        seen.dedup();
        let expected: Vec<_> = expected.into_iter().map(|(kind, id)| (kind, id.to_owned())).collect();
        assert_eq!(seen, expected, "{write}");
    }
}

async fn groups_are_administered(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    let s1 = subscriber("s1", "t1");
    db.store.subscriber_add(&s1).await.unwrap();
    let store = &db.store;
    let check = store
        .group_row_add(Check, "t1", "gold", "NAS-Port", "==", "1")
        .await
        .unwrap();
    store
        .group_row_add(Reply, "t1", "gold", "Class", ":=", "x")
        .await
        .unwrap();
    store
        .group_row_add(Reply, "t2", "gold", "Class", ":=", "other's")
        .await
        .unwrap();
    store.group_join(&s1, "gold", 5).await.unwrap();
    store.group_join(&s1, "bare", 1).await.unwrap();
    let size = |group: &str, checks, replies, members| GroupSize {
        group: group.to_owned(),
        checks,
        replies,
        members,
    };
    assert_eq!(
        store.groups("t1").await.unwrap(),
        [size("bare", 0, 0, 1), size("gold", 1, 1, 1)]
    );
    let gold = store.group("t1", "gold").await.unwrap();
    assert_eq!((gold.checks.len(), gold.replies.len()), (1, 1));
    assert_eq!(gold.replies[0].value, "x");
    let names = |memberships: Vec<isp_core::group::Membership>| {
        memberships
            .into_iter()
            .map(|m| (m.group, m.priority))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(store.memberships("t1", "s1").await.unwrap()),
        [("bare".to_owned(), 1), ("gold".to_owned(), 5)]
    );
    assert_eq!(
        store.group_members("t1", "gold", 10).await.unwrap(),
        [("s1".to_owned(), 5)]
    );
    store.group_row_delete(Check, "t2", "gold", check).await.unwrap_err();
    store.group_row_delete(Check, "t1", "gold", check).await.unwrap();
    store.group_leave(&s1, "gold").await.unwrap();
    store.group_leave(&s1, "gold").await.unwrap_err();
    assert_eq!(
        store.groups("t1").await.unwrap(),
        [size("bare", 0, 0, 1), size("gold", 0, 1, 0)]
    );
}
