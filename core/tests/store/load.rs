//! What a node reads.

use isp_core::store::Store;
use isp_core::subscriber::{AttributeRow, Status, SubscriberRecord};

use crate::harness::{Base, Database, nas, plan, subscriber, tenant};

on_both_databases!(
    a_load_gives_everything_but_the_deleted,
    a_profile_fills_in_what_the_subscriber_lacks,
    raw_rows_come_with_their_subscriber,
    changed_subscribers_are_read_alone,
    a_bad_value_does_not_keep_the_base_from_loading,
    a_load_is_of_one_instant,
);

async fn a_load_gives_everything_but_the_deleted(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    db.store.nas_add(&nas("t1", "192.0.2.1")).await.unwrap();
    db.store.nas_add(&nas("t2", "2001:db8::/64")).await.unwrap();
    let mut s1 = subscriber("s1", "t1");
    s1.bandwidth_profile_id = Some("p1".to_owned());
    s1.username = "Ada@ISP".to_owned();
    db.store.subscriber_add(&s1).await.unwrap();
    db.store.subscriber_add(&subscriber("s2", "t2")).await.unwrap();
    db.store.subscriber_add(&subscriber("gone", "t2")).await.unwrap();
    db.store.subscriber_delete("t2", "gone", None).await.unwrap();

    let mut base = db.load().await;
    base.tenants.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(base.tenants, [tenant("t1"), tenant("t2")]);
    assert_eq!(base.plans, [plan("p1", "t1")]);
    let nas: Vec<_> = base
        .nas
        .iter()
        .map(|n| (n.tenant_id.as_str(), n.network.to_string()))
        .collect();
    assert_eq!(
        nas,
        [("t1", "192.0.2.1/32".to_owned()), ("t2", "2001:db8::/64".to_owned())]
    );
    assert_eq!(
        (base.nas[0].vendor.as_str(), base.nas[0].shortname.as_str()),
        ("mikrotik", "bras 192.0.2.1")
    );
    assert_eq!(base.subscribers.len(), 2);
    let expected = SubscriberRecord {
        cpe_mac_address: s1.cpe_mac_address.clone(),
        id: "s1".to_owned(),
        tenant_id: "t1".to_owned(),
        username: "Ada@ISP".to_owned(),
        status: Status::Active,
        password: s1.password.clone(),
        password_hash_method: s1.password_hash_method.clone(),
        plan_id: Some("p1".to_owned()),
        download_kbps: Some(50_000),
        upload_kbps: Some(10_000),
        static_ipv4: s1.static_ipv4,
        static_ipv6: None,
        ipv6_prefix: s1.ipv6_prefix,
        delegated_ipv6_prefix: None,
        vlan_id: Some(107),
        inner_vlan_id: None,
        session_timeout: Some(3_600),
        idle_timeout: Some(600),
        simultaneous_use: 2,
        activation_date: Some(1_600_000_000),
        expiration_date: Some(1_900_000_000),
        tier: None,
        network: None,
        schedule: Vec::new(),
        checks: Vec::new(),
        replies: Vec::new(),
        groups: Vec::new(),
    };
    assert_eq!(base.subscriber_of("s1"), &expected);

    let mut catalog = Base::default();
    db.store.load_catalog(&mut catalog).await.unwrap();
    assert_eq!(
        (catalog.tenants.len(), catalog.plans.len(), catalog.nas.len()),
        (2, 1, 2)
    );
    assert_eq!(catalog.subscribers.len(), 0);
}

async fn a_profile_fills_in_what_the_subscriber_lacks(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    let mut bare = subscriber("bare", "t1");
    (bare.static_ipv4, bare.vlan_id) = (None, None);
    db.store.subscriber_add(&bare).await.unwrap();
    db.store.subscriber_add(&subscriber("full", "t1")).await.unwrap();
    for id in ["bare", "full"] {
        db.raw(&format!(
            "INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id, service_vlan, inner_vlan,
                qinq_enabled, static_ipv4, static_ipv6, delegated_ipv6_prefix)
             VALUES ('np-{id}', 't1', '{id}', 200, 201, {}, '198.51.100.9', '2001:db8::9', '2001:db8:900::/56')",
            if db.is_sqlite() { "1" } else { "true" }
        ))
        .await;
    }
    let base = db.load().await;
    let bare = base.subscriber_of("bare");
    assert_eq!(bare.static_ipv4, Some("198.51.100.9".parse().unwrap()));
    assert_eq!(bare.static_ipv6, Some("2001:db8::9".parse().unwrap()));
    assert_eq!(bare.delegated_ipv6_prefix, Some("2001:db8:900::/56".parse().unwrap()));
    assert_eq!((bare.vlan_id, bare.inner_vlan_id), (Some(200), Some(201)));
    let full = base.subscriber_of("full");
    assert_eq!(full.static_ipv4, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(full.vlan_id, Some(107));
    let off = if db.is_sqlite() { "0" } else { "false" };
    db.raw(&format!("UPDATE subscriber_network_profiles SET qinq_enabled = {off}"))
        .await;
    assert_eq!(db.load().await.subscriber_of("bare").inner_vlan_id, None);
}

async fn raw_rows_come_with_their_subscriber(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    for id in ["s1", "s2", "s3"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    // Inserted out of turn, with characters that must survive the way.
    let hard = "a \"quoted\" \\ back\tslash, 'x' %s \u{1f980}";
    for (table, username, op, value) in [
        ("radreply", "s2", "+=", "second"),
        ("radreply", "s1", ":=", hard),
        ("radreply", "s2", "=", "third"),
        ("radcheck", "s1", "==", "only"),
    ] {
        db.raw(&format!(
            "INSERT INTO {table} (username, attribute, op, value) VALUES ('{username}', 'Reply-Message', '{op}', '{}')",
            value.replace('\'', "''")
        ))
        .await;
    }
    let words = |rows: &[AttributeRow]| -> Vec<(String, String)> {
        assert!(rows.is_sorted_by_key(|r| r.id) && rows.iter().all(|r| r.attribute == "Reply-Message"));
        rows.iter().map(|r| (r.op.clone(), r.value.clone())).collect()
    };
    let mut some = Base::default();
    db.store
        .load_subscribers(&["s1".to_owned(), "s2".to_owned(), "s3".to_owned()], &mut some)
        .await
        .unwrap();
    for base in [db.load().await, some] {
        assert_eq!(
            words(&base.subscriber_of("s1").replies),
            [(":=".to_owned(), hard.to_owned())]
        );
        assert_eq!(
            words(&base.subscriber_of("s1").checks),
            [("==".to_owned(), "only".to_owned())]
        );
        let second = [("+=", "second"), ("=", "third")].map(|(op, value)| (op.to_owned(), value.to_owned()));
        assert_eq!(words(&base.subscriber_of("s2").replies), second);
        assert_eq!(base.subscriber_of("s3").replies, []);
    }
}

async fn changed_subscribers_are_read_alone(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    for id in ["s1", "s2", "it's \"s3\"", "gone"] {
        db.store.subscriber_add(&subscriber(id, "t1")).await.unwrap();
    }
    db.store.subscriber_delete("t1", "gone", None).await.unwrap();
    let ids = ["s1", "it's \"s3\"", "gone", "never was", "s1"].map(str::to_owned);
    let mut base = Base::default();
    db.store.load_subscribers(&ids, &mut base).await.unwrap();
    let mut loaded: Vec<_> = base.subscribers.iter().map(|s| s.id.as_str()).collect();
    loaded.sort_unstable();
    assert_eq!(loaded, ["it's \"s3\"", "s1"]);
    db.store.load_subscribers(&[], &mut base).await.unwrap();
    assert_eq!(base.subscribers.len(), 2);
}

/// PostgreSQL has types for addresses; in SQLite another tool can write anything.
async fn a_bad_value_does_not_keep_the_base_from_loading(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("s1", "t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("s2", "t1")).await.unwrap();
    let written = db
        .execute("UPDATE subscribers SET static_ipv4 = '192.0.2.300' WHERE id = 's1'")
        .await;
    assert_eq!(written.is_ok(), db.is_sqlite());
    if db.is_sqlite() {
        db.raw("UPDATE subscribers SET username = CAST(x'ff41' AS TEXT) WHERE id = 's1'")
            .await;
    }
    db.execute("UPDATE subscribers SET session_timeout = 4294967296")
        .await
        .unwrap_err();
    let base = db.load().await;
    let expected = if db.is_sqlite() {
        None
    } else {
        Some("192.0.2.7".parse().unwrap())
    };
    assert_eq!(base.subscriber_of("s1").static_ipv4, expected);
    assert_eq!(base.subscriber_of("s2").static_ipv4, Some("192.0.2.7".parse().unwrap()));
}

/// A sink that changes the base while it is being read.
struct Meddler {
    url: String,
    seen: Vec<String>,
}

impl isp_core::store::SnapshotSink for Meddler {
    fn tenant(&mut self, _: isp_core::tenant::Tenant) {
        let url = self.url.clone();
        let add = async move {
            let store = Store::connect(&url, 1, false).await.unwrap();
            store.subscriber_add(&subscriber("late", "t1")).await.unwrap();
            store.close().await;
        };
        std::thread::spawn(|| crate::harness::block_on(add)).join().unwrap();
    }
    fn plan(&mut self, _: isp_core::plan::Plan) {}
    fn nas(&mut self, _: isp_core::nas::NasRecord) {}
    fn condition(&mut self, _: isp_core::tenant::TenantCondition) {}
    fn realm(&mut self, _: isp_core::tenant::TenantRealm) {}
    fn group_row(&mut self, _: isp_core::group::GroupRow) {}
    fn subscriber(&mut self, subscriber: SubscriberRecord) {
        self.seen.push(subscriber.id);
    }
}

async fn a_load_is_of_one_instant(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("early", "t1")).await.unwrap();
    let mut sink = Meddler {
        url: db.url.clone(),
        seen: Vec::new(),
    };
    db.store.load_snapshot(&mut sink).await.unwrap();
    assert_eq!(sink.seen, ["early"]);
    assert_eq!(db.load().await.subscribers.len(), 2);
}
