//! Tenants, plans, NAS, subscribers and raw rows, as an administrator handles them.

use isp_core::dictionary::RowList;
use isp_core::store::{StoreError, SubscriberFilter};
use isp_core::subscriber::{Status, Subscriber};

use crate::harness::{Database, nas, plan, subscriber, tenant};

on_both_databases!(
    tenants_come_back_as_written,
    tenant_names_are_unique,
    a_tenant_in_use_is_not_deleted,
    plans_come_back_as_written,
    plan_names_are_unique_per_tenant,
    a_deleted_plan_leaves_its_subscribers,
    nas_come_back_as_written,
    a_nas_needs_an_address_of_its_own,
    subscribers_come_back_as_written,
    a_minimal_subscriber_gets_defaults,
    usernames_and_numbers_are_unique_among_the_living,
    a_subscriber_refers_only_to_what_is_there,
    setting_a_subscriber_keeps_what_accounting_counts,
    lists_are_filtered_and_in_order,
    values_the_schema_forbids_are_refused,
    raw_rows_keep_their_order,
    a_missing_row_is_an_error,
);

async fn tenants_come_back_as_written(db: &Database) {
    let mut one = tenant("t1");
    db.store.tenant_add(&one).await.unwrap();
    db.store.tenant_add(&tenant("t0")).await.unwrap();
    assert_eq!(db.store.tenant_list().await.unwrap(), [tenant("t0"), one.clone()]);
    assert_eq!(db.store.tenant_get("t1").await.unwrap(), Some(one.clone()));
    assert_eq!(db.store.tenant_get("Provider t1").await.unwrap(), Some(one.clone()));
    assert_eq!(db.store.tenant_get("t2").await.unwrap(), None);
    one.enabled = false;
    one.name = "Renamed".to_owned();
    one.username_case = isp_core::tenant::UsernameCase::Preserve;
    one.username_realm = isp_core::tenant::UsernameRealm::Keep;
    one.timezone = "America/New_York".to_owned();
    db.store.tenant_set(&one).await.unwrap();
    assert_eq!(db.store.tenant_get("Renamed").await.unwrap(), Some(one));
    db.store.tenant_delete("t1").await.unwrap();
    assert_eq!(db.store.tenant_list().await.unwrap(), [tenant("t0")]);
}

async fn tenant_names_are_unique(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut other = tenant("t2");
    other.name = tenant("t1").name;
    let error = db.store.tenant_add(&other).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Duplicate {
                what: "tenant name",
                ..
            }
        ),
        "{error:?}"
    );
    let mut same_id = tenant("t1");
    same_id.name = "Another".to_owned();
    let error = db.store.tenant_add(&same_id).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Duplicate { what: "tenant id", .. }),
        "{error:?}"
    );
}

async fn a_tenant_in_use_is_not_deleted(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("s1", "t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("s2", "t1")).await.unwrap();
    db.store.subscriber_delete("t1", "s2", None).await.unwrap();
    let error = db.store.tenant_delete("t1").await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    let kept = db.store.subscriber_get("t1", "s2").await.unwrap();
    assert!(kept.is_some(), "a refused deletion changes nothing");
    db.store.subscriber_delete("t1", "s1", None).await.unwrap();
    db.store.tenant_delete("t1").await.unwrap();
    assert_eq!(db.store.tenant_list().await.unwrap(), []);
}

async fn plans_come_back_as_written(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    let mut one = plan("p1", "t1");
    db.store.plan_add(&one).await.unwrap();
    db.store.plan_add(&plan("p2", "t2")).await.unwrap();
    assert_eq!(db.store.plan_list("t1").await.unwrap(), [one.clone()]);
    assert_eq!(db.store.plan_get("t1", "Plan p1").await.unwrap(), Some(one.clone()));
    assert_eq!(
        db.store.plan_get("t2", "p1").await.unwrap(),
        None,
        "another tenant's plan"
    );
    one.download_burst_kbps = None;
    one.description = None;
    one.upload_rate_kbps = u32::MAX;
    db.store.plan_set(&one).await.unwrap();
    assert_eq!(db.store.plan_get("t1", "p1").await.unwrap(), Some(one));
    db.store.plan_delete("t1", "p1").await.unwrap();
    assert_eq!(db.store.plan_list("t1").await.unwrap(), []);
}

async fn plan_names_are_unique_per_tenant(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    let mut other = plan("p2", "t1");
    other.name = plan("p1", "t1").name;
    let error = db.store.plan_add(&other).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Duplicate { what: "plan name", .. }),
        "{error:?}"
    );
    other.tenant_id = "t2".to_owned();
    db.store.plan_add(&other).await.unwrap();
    other.id = "p3".to_owned();
    other.tenant_id = "t3".to_owned();
    let error = db.store.plan_add(&other).await.unwrap_err();
    assert!(matches!(error, StoreError::MissingReference { .. }), "{error:?}");
}

async fn a_deleted_plan_leaves_its_subscribers(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    let mut s = subscriber("s1", "t1");
    s.bandwidth_profile_id = Some("p1".to_owned());
    db.store.subscriber_add(&s).await.unwrap();
    db.store.plan_delete("t1", "p1").await.unwrap();
    let left = db.store.subscriber_get("t1", "s1").await.unwrap().unwrap();
    assert_eq!((left.bandwidth_profile_id, left.tenant_id.as_str()), (None, "t1"));
}

async fn nas_come_back_as_written(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    let mut one = nas("t1", "192.0.2.1");
    one.id = db.store.nas_add(&one).await.unwrap();
    let mut two = nas("t2", "2001:db8::/64");
    two.id = db.store.nas_add(&two).await.unwrap();
    assert_eq!(db.store.nas_list(None).await.unwrap(), [one.clone(), two.clone()]);
    assert_eq!(db.store.nas_list(Some("t2")).await.unwrap(), [two.clone()]);
    for key in [one.id.to_string().as_str(), "192.0.2.1", "bras 192.0.2.1"] {
        assert_eq!(db.store.nas_get("t1", key).await.unwrap(), Some(one.clone()), "{key}");
        assert_eq!(
            db.store.nas_get("t2", key).await.unwrap(),
            None,
            "{key}: another tenant's NAS"
        );
    }
    one.secret = "changed".to_owned();
    one.ports = None;
    one.nasname = "192.0.2.0/24".to_owned();
    db.store.nas_set(&one).await.unwrap();
    assert_eq!(db.store.nas_get("t1", "192.0.2.0/24").await.unwrap(), Some(one.clone()));
    let error = db.store.nas_delete("t2", one.id).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    db.store.nas_delete("t1", one.id).await.unwrap();
    assert_eq!(db.store.nas_list(None).await.unwrap(), [two]);
}

async fn a_nas_needs_an_address_of_its_own(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.store.nas_add(&nas("t1", "192.0.2.1")).await.unwrap();
    let error = db.store.nas_add(&nas("t2", "192.0.2.1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Duplicate { .. }), "{error:?}");
    let error = db.store.nas_add(&nas("t1", "bras.example.org")).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
}

async fn subscribers_come_back_as_written(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    db.raw("INSERT INTO customers (id, tenant_id) VALUES ('c1', 't1')")
        .await;
    db.raw("INSERT INTO users (id, tenant_id) VALUES ('u1', 't1')").await;
    let mut s = subscriber("s1", "t1");
    s.customer_id = Some("c1".to_owned());
    s.user_id = Some("u1".to_owned());
    s.bandwidth_profile_id = Some("p1".to_owned());
    s.username = "Zoë O'Hara;--%s@isp".to_owned();
    db.store.subscriber_add(&s).await.unwrap();
    assert_eq!(
        db.store.subscriber_get("t1", &s.username).await.unwrap(),
        Some(s.clone())
    );
    assert_eq!(db.store.subscriber_get("t1", "s1").await.unwrap(), Some(s.clone()));
    assert_eq!(
        db.store.subscriber_get("t2", "s1").await.unwrap(),
        None,
        "another tenant's"
    );
    // A deleted customer or user takes nothing with it.
    db.raw("DELETE FROM customers").await;
    db.raw("DELETE FROM users").await;
    (s.customer_id, s.user_id) = (None, None);
    assert_eq!(db.store.subscriber_get("t1", "s1").await.unwrap(), Some(s));
}

async fn a_minimal_subscriber_gets_defaults(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let s = Subscriber {
        id: "s1".to_owned(),
        tenant_id: "t1".to_owned(),
        username: "ada".to_owned(),
        ..Subscriber::default()
    };
    db.store.subscriber_add(&s).await.unwrap();
    let mut back = db.store.subscriber_get("t1", "ada").await.unwrap().unwrap();
    assert_eq!(back.service_type, "fiber_internet");
    assert!(back.created_at > 1_700_000_000 && back.updated_at >= back.created_at);
    (back.service_type, back.created_at, back.updated_at) = (String::new(), 0, 0);
    assert_eq!(back, s);
}

async fn usernames_and_numbers_are_unique_among_the_living(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    let first = subscriber("s1", "t1");
    db.store.subscriber_add(&first).await.unwrap();
    let mut second = subscriber("s2", "t1");
    second.username = first.username.clone();
    let error = db.store.subscriber_add(&second).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Duplicate { what: "username", .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("s1"), "names the subscriber: {error}");
    second.username = "s2".to_owned();
    second.subscriber_number = first.subscriber_number.clone();
    let error = db.store.subscriber_add(&second).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Duplicate {
                what: "subscriber number",
                ..
            }
        ),
        "{error:?}"
    );
    second.id = "s1".to_owned();
    second.subscriber_number = String::new();
    let error = db.store.subscriber_add(&second).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Duplicate {
                what: "subscriber id",
                ..
            }
        ),
        "{error:?}"
    );

    // Another tenant may use both, and no number is no duplicate of no number.
    let mut elsewhere = subscriber("s3", "t2");
    elsewhere.username = first.username.clone();
    elsewhere.subscriber_number = first.subscriber_number.clone();
    db.store.subscriber_add(&elsewhere).await.unwrap();
    for id in ["s4", "s5"] {
        let mut s = subscriber(id, "t1");
        s.subscriber_number = String::new();
        db.store.subscriber_add(&s).await.unwrap();
    }

    // The deleted give both free, and are found by id only.
    db.store.subscriber_delete("t1", "s1", Some("ada")).await.unwrap();
    let mut heir = subscriber("s6", "t1");
    heir.username = first.username.clone();
    heir.subscriber_number = first.subscriber_number.clone();
    db.store.subscriber_add(&heir).await.unwrap();
    assert_eq!(
        db.store
            .subscriber_get("t1", &first.username)
            .await
            .unwrap()
            .unwrap()
            .id,
        "s6"
    );
    heir.username = "renamed".to_owned();
    db.store.subscriber_set(&heir).await.unwrap();
    let gone = db.store.subscriber_get("t1", "s1").await.unwrap().unwrap();
    assert!(gone.deleted_at.is_some());
    assert_eq!(gone.updated_by.as_deref(), Some("ada"));
    let error = db.store.subscriber_delete("t1", "s1", None).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    let error = db.store.subscriber_set(&gone).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}

async fn a_subscriber_refers_only_to_what_is_there(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.store.plan_add(&plan("theirs", "t2")).await.unwrap();
    let good = subscriber("s1", "t1");
    type Break = fn(&mut Subscriber);
    let cases: [(Break, &str); 4] = [
        (|s| s.tenant_id = "t9".to_owned(), "tenant \"t9\""),
        (
            |s| s.bandwidth_profile_id = Some("theirs".to_owned()),
            "plan of this tenant: \"theirs\"",
        ),
        (|s| s.customer_id = Some("c9".to_owned()), "customer \"c9\""),
        (|s| s.user_id = Some("u9".to_owned()), "user \"u9\""),
    ];
    for (spoil, expected) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        match db.store.subscriber_add(&bad).await.unwrap_err() {
            StoreError::MissingReference { what, .. } => assert_eq!(what, expected),
            error => panic!("{error:?}"),
        }
    }
    db.store.subscriber_add(&good).await.unwrap();
    let mut bad = good.clone();
    bad.bandwidth_profile_id = Some("theirs".to_owned());
    let error = db.store.subscriber_set(&bad).await.unwrap_err();
    assert!(matches!(error, StoreError::MissingReference { .. }), "{error:?}");
}

async fn setting_a_subscriber_keeps_what_accounting_counts(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let written = subscriber("s1", "t1");
    db.store.subscriber_add(&written).await.unwrap();
    db.raw("UPDATE subscribers SET total_sessions = 99").await;
    let mut edited = written.clone();
    edited.status = Status::Suspended;
    edited.static_ipv4 = None;
    edited.expiration_date = None;
    edited.notes = None;
    edited.total_sessions = 0;
    edited.created_at = 5;
    db.store.subscriber_set(&edited).await.unwrap();
    let mut back = db.store.subscriber_get("t1", "s1").await.unwrap().unwrap();
    assert!(back.updated_at > written.updated_at);
    assert_eq!((back.total_sessions, back.created_at), (99, written.created_at));
    (back.total_sessions, back.created_at, back.updated_at) = (0, 5, written.updated_at);
    assert_eq!(back, edited);
}

async fn lists_are_filtered_and_in_order(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    for (id, tenant_id) in [("b_c", "t1"), ("B", "t1"), ("a", "t1"), ("bxc", "t2"), ("gone", "t1")] {
        let mut s = subscriber(id, tenant_id);
        if id == "a" {
            s.bandwidth_profile_id = Some("p1".to_owned());
            s.status = Status::Suspended;
        }
        db.store.subscriber_add(&s).await.unwrap();
    }
    db.store.subscriber_delete("t1", "gone", None).await.unwrap();
    let names = async |filter: SubscriberFilter| -> Vec<String> {
        let list = db.store.subscriber_list(&filter).await.unwrap();
        list.into_iter().map(|s| s.username).collect()
    };
    let all = SubscriberFilter::default;
    assert_eq!(
        names(all()).await,
        ["B", "a", "b_c", "bxc"],
        "by code point, whatever the server's collation"
    );
    let t1 = || Some("t1".to_owned());
    assert_eq!(
        names(SubscriberFilter {
            tenant_id: t1(),
            ..all()
        })
        .await,
        ["B", "a", "b_c"]
    );
    assert_eq!(
        names(SubscriberFilter {
            include_deleted: true,
            tenant_id: t1(),
            ..all()
        })
        .await,
        ["B", "a", "b_c", "gone"]
    );
    assert_eq!(
        names(SubscriberFilter {
            status: Some(Status::Suspended),
            ..all()
        })
        .await,
        ["a"]
    );
    assert_eq!(
        names(SubscriberFilter {
            plan_id: Some("p1".to_owned()),
            ..all()
        })
        .await,
        ["a"]
    );
    let part = SubscriberFilter {
        username: Some("b_".to_owned()),
        ..all()
    };
    assert_eq!(names(part).await, ["b_c"], "a substring, not a pattern");
    assert_eq!(
        names(SubscriberFilter {
            limit: Some(2),
            offset: 1,
            ..all()
        })
        .await,
        ["a", "b_c"]
    );
    assert_eq!(names(SubscriberFilter { offset: 3, ..all() }).await, ["bxc"]);
    let next = |after: &str| SubscriberFilter {
        tenant_id: t1(),
        after: Some(after.to_owned()),
        limit: Some(1),
        ..all()
    };
    assert_eq!(names(next("B")).await, ["a"], "by code point, too");
    assert_eq!(names(next("a")).await, ["b_c"]);
    assert_eq!(
        names(next("b_c")).await,
        [""; 0],
        "neither the deleted nor another tenant's"
    );
}

async fn values_the_schema_forbids_are_refused(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    type Break = fn(&mut Subscriber);
    let cases: [Break; 6] = [
        |s| s.username = String::new(),
        |s| s.username = "x".repeat(254),
        |s| s.id = String::new(),
        |s| s.vlan_id = Some(4095),
        |s| s.download_speed_kbps = Some(0),
        |s| s.metadata = Some("{not json".to_owned()),
    ];
    for (number, spoil) in cases.into_iter().enumerate() {
        let mut bad = subscriber("s1", "t1");
        spoil(&mut bad);
        let error = db.store.subscriber_add(&bad).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "case {number}: {error:?}");
    }
    let mut longest = subscriber("s1", "t1");
    longest.username = "x".repeat(253);
    longest.service_type = "satellite_backhaul".to_owned();
    db.store.subscriber_add(&longest).await.unwrap();
    assert!(db.execute("UPDATE subscribers SET status = 'asleep'").await.is_err());
}

async fn raw_rows_keep_their_order(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let s = subscriber("s1", "t1");
    db.store.subscriber_add(&s).await.unwrap();
    for list in [RowList::Check, RowList::Reply] {
        let mut ids = Vec::new();
        for value in ["ip:a=1", "ip:b=2", "ip:a=3"] {
            ids.push(db.store.row_add(list, &s, "Cisco-AVPair", "+=", value).await.unwrap());
        }
        let rows = db.store.rows(list, "t1", "s1").await.unwrap();
        let values: Vec<_> = rows.iter().map(|r| (r.id, r.op.as_str(), r.value.as_str())).collect();
        assert_eq!(
            values,
            [
                (ids[0], "+=", "ip:a=1"),
                (ids[1], "+=", "ip:b=2"),
                (ids[2], "+=", "ip:a=3")
            ]
        );
        assert_eq!(db.store.rows(list, "t2", "s1").await.unwrap(), []);
        let error = db.store.row_delete(list, "t2", ids[1]).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
        db.store.row_delete(list, "t1", ids[1]).await.unwrap();
        assert_eq!(db.store.rows(list, "t1", "s1").await.unwrap().len(), 2);
        let error = db.store.row_add(list, &s, "Class", ":==", "x").await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
        let stranger = subscriber("nobody", "t1");
        let error = db.store.row_add(list, &stranger, "Class", "=", "x").await.unwrap_err();
        assert!(matches!(error, StoreError::MissingReference { .. }), "{error:?}");
    }
}

async fn a_missing_row_is_an_error(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let errors = [
        db.store.tenant_set(&tenant("t9")).await,
        db.store.tenant_delete("t9").await,
        db.store.plan_set(&plan("p9", "t1")).await,
        db.store.plan_delete("t1", "p9").await,
        db.store.nas_set(&nas("t1", "192.0.2.9")).await,
        db.store.nas_delete("t1", 9).await,
        db.store.subscriber_set(&subscriber("s9", "t1")).await,
        db.store.subscriber_delete("t1", "s9", None).await,
        db.store.row_delete(RowList::Check, "t1", 9).await,
    ];
    for error in errors {
        assert!(matches!(error, Err(StoreError::NotFound { .. })), "{error:?}");
    }
}
