//! What a decision goes by beside status and plan: network profiles, planned changes, conditions of a tenant.

use isp_core::network_profile::{NetworkFacts, NetworkProfile};
use isp_core::policy::binding::Enforcement;
use isp_core::policy::schedule::{Change, Scheduled};
use isp_core::store::PlannedChange;
use isp_core::subscriber::Status;
use isp_core::tenant::{Condition, ConditionAction, RealmAction, TenantCondition, TenantRealm};

use crate::harness::{Database, plan, subscriber, tenant};

on_both_databases!(
    a_network_profile_comes_back_whole,
    a_profile_is_of_its_own_tenant,
    conditions_are_set_and_loaded,
    realms_are_set_loaded_and_deleted,
    a_plan_that_a_condition_needs_stays,
    planned_changes_are_loaded_until_they_are_applied,
    what_has_come_is_written_in_the_order_of_time,
    a_termination_takes_what_is_planned_away,
    nothing_is_planned_for_who_is_gone,
    every_writer_is_in_the_feed,
);

const T: i64 = 1_793_491_200;

async fn base(db: &Database) {
    db.store.tenant_add(&tenant("t1")).await.unwrap();
    db.store.plan_add(&plan("p1", "t1")).await.unwrap();
    db.store.plan_add(&plan("p2", "t1")).await.unwrap();
    db.store.subscriber_add(&subscriber("ada", "t1")).await.unwrap();
}

fn profile() -> NetworkProfile {
    NetworkProfile {
        circuit_id: Some("OLT1 1/1/3".to_owned()),
        remote_id: Some("0xdead".to_owned()),
        option82_policy: Enforcement::Enforce,
        service_vlan: Some(100),
        inner_vlan: Some(200),
        qinq_enabled: true,
        vlan_policy: Enforcement::Log,
        static_ipv4: Some([192, 0, 2, 9].into()),
        static_ipv6: Some("2001:db8::9".parse().unwrap()),
        delegated_ipv6_prefix: Some("2001:db8:100::/56".parse().unwrap()),
        nas_policy: Enforcement::Enforce,
        nas_port_id: Some("eth0".to_owned()),
        port_policy: Enforcement::Log,
        mac_addresses: Some("aa:bb:cc:00:11:22".to_owned()),
        mac_policy: Enforcement::Enforce,
        login_time: Some("Wk0800-1800".to_owned()),
        ..NetworkProfile::blank("n1".to_owned(), "t1".to_owned(), "ada".to_owned())
    }
}

fn planned(id: &str, at: i64, change: Change<String>) -> PlannedChange {
    PlannedChange {
        id: id.to_owned(),
        tenant_id: "t1".to_owned(),
        subscriber_id: "ada".to_owned(),
        at,
        change,
        note: Some("as agreed".to_owned()),
        created_at: 0,
        created_by: Some("sue".to_owned()),
        applied_at: None,
    }
}

fn status(id: &str, at: i64, status: Status) -> PlannedChange {
    planned(id, at, Change::Status(status))
}

async fn a_network_profile_comes_back_whole(db: &Database) {
    base(db).await;
    assert_eq!(db.store.network_profile_get("t1", "ada").await.unwrap(), None);
    db.store.network_profile_set(&profile()).await.unwrap();
    assert_eq!(
        db.store.network_profile_get("t1", "ada").await.unwrap(),
        Some(profile())
    );
    let loaded = db.load().await;
    let ada = loaded.subscriber_of("ada");
    assert_eq!(
        ada.network,
        Some(NetworkFacts {
            circuit_id: Some("OLT1 1/1/3".to_owned()),
            remote_id: Some("0xdead".to_owned()),
            option82_policy: Enforcement::Enforce,
            nas_identifier: ada.network.as_ref().unwrap().nas_identifier.clone(),
            nas_policy: Enforcement::Enforce,
            nas_port_id: Some("eth0".to_owned()),
            port_policy: Enforcement::Log,
            mac_addresses: Some("aa:bb:cc:00:11:22".to_owned()),
            mac_policy: Enforcement::Enforce,
            vlan_policy: Enforcement::Log,
            login_time: Some("Wk0800-1800".to_owned()),
        })
    );
    db.raw("UPDATE subscribers SET nas_identifier = 'bng7', cpe_mac_address = '00:11:22:33:44:55' WHERE id = 'ada'")
        .await;
    let without = NetworkProfile {
        mac_addresses: None,
        ..profile()
    };
    db.store.network_profile_set(&without).await.unwrap();
    let network = db.load().await.subscriber_of("ada").network.clone().unwrap();
    assert_eq!(network.nas_identifier.as_deref(), Some("bng7"));
    assert_eq!(
        network.mac_addresses.as_deref(),
        Some("00:11:22:33:44:55"),
        "its CPE's, where it names none"
    );
    db.store.network_profile_delete("t1", "ada").await.unwrap();
    assert_eq!(db.load().await.subscriber_of("ada").network, None);
    db.store.network_profile_delete("t1", "ada").await.unwrap_err();
}

async fn a_profile_is_of_its_own_tenant(db: &Database) {
    base(db).await;
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    db.store.network_profile_set(&profile()).await.unwrap();
    assert_eq!(db.store.network_profile_get("t2", "ada").await.unwrap(), None);
    db.store.network_profile_delete("t2", "ada").await.unwrap_err();
    let stolen = NetworkProfile {
        id: "n2".to_owned(),
        tenant_id: "t2".to_owned(),
        ..profile()
    };
    db.store.network_profile_set(&stolen).await.unwrap_err();
}

async fn conditions_are_set_and_loaded(db: &Database) {
    base(db).await;
    let says = |condition, action| TenantCondition {
        tenant_id: "t1".to_owned(),
        condition,
        action,
    };
    let restrict = says(Condition::Suspended, ConditionAction::Restrict("p1".to_owned()));
    db.store
        .tenant_condition_set(&says(Condition::Expired, ConditionAction::Accept))
        .await
        .unwrap();
    db.store
        .tenant_condition_set(&says(Condition::Suspended, ConditionAction::Accept))
        .await
        .unwrap();
    db.store.tenant_condition_set(&restrict).await.unwrap();
    let said = db.store.tenant_conditions("t1").await.unwrap();
    assert_eq!(
        said,
        [says(Condition::Expired, ConditionAction::Accept), restrict.clone()]
    );
    let mut loaded = db.load().await.conditions;
    loaded.sort_by_key(|condition| condition.condition.as_str());
    assert_eq!(loaded, said);
    db.store
        .tenant_condition_set(&says(
            Condition::Suspended,
            ConditionAction::Restrict("none".to_owned()),
        ))
        .await
        .unwrap_err();
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    let foreign = TenantCondition {
        tenant_id: "t2".to_owned(),
        ..restrict
    };
    db.store.tenant_condition_set(&foreign).await.unwrap_err();
}

async fn realms_are_set_loaded_and_deleted(db: &Database) {
    base(db).await;
    db.store.tenant_add(&tenant("t2")).await.unwrap();
    let rule = |realm: &str, action| TenantRealm {
        tenant_id: "t1".to_owned(),
        realm: realm.to_owned(),
        action,
    };
    let to = |tenant: &str| RealmAction::Tenant(tenant.to_owned());
    let rules = [
        rule(TenantRealm::NONE, RealmAction::Refuse),
        rule(TenantRealm::OTHER, RealmAction::Accept),
        rule("a.example", RealmAction::Strip),
        rule("b.example", to("t2")),
    ];
    for rule in rules.iter().rev() {
        db.store.tenant_realm_set(rule).await.unwrap();
    }
    assert_eq!(db.store.tenant_realms("t1").await.unwrap(), rules);
    let mut loaded = db.load().await.realms;
    loaded.sort_by(|a, b| a.realm.cmp(&b.realm));
    assert_eq!(loaded, rules);
    for wrong in [
        rule("B.example", RealmAction::Strip),
        rule("a@b.example", RealmAction::Strip),
        rule("b.example", to("t3")),
        rule(TenantRealm::NONE, RealmAction::Strip),
    ] {
        db.store.tenant_realm_set(&wrong).await.unwrap_err();
    }
    let in_use = db.store.tenant_delete("t2").await.unwrap_err();
    assert!(in_use.to_string().contains("realms of others"), "{in_use}");
    db.store
        .tenant_realm_set(&rule("b.example", RealmAction::Refuse))
        .await
        .unwrap();
    db.store.tenant_delete("t2").await.unwrap();
    db.store.tenant_realm_delete("t1", "b.example").await.unwrap();
    db.store.tenant_realm_delete("t1", "b.example").await.unwrap_err();
    assert_eq!(db.store.tenant_realms("t1").await.unwrap().len(), 3);
}

async fn a_plan_that_a_condition_needs_stays(db: &Database) {
    base(db).await;
    db.store
        .tenant_condition_set(&TenantCondition {
            tenant_id: "t1".to_owned(),
            condition: Condition::Suspended,
            action: ConditionAction::Restrict("p2".to_owned()),
        })
        .await
        .unwrap();
    db.store.plan_delete("t1", "p2").await.unwrap_err();
    db.store.plan_delete("t1", "p1").await.unwrap();
}

async fn planned_changes_are_loaded_until_they_are_applied(db: &Database) {
    base(db).await;
    let changes = [
        planned("c2", T + 10, Change::Plan("p2".to_owned())),
        status("c1", T, Status::Suspended),
    ];
    db.store.schedule_add(&changes).await.unwrap();
    let listed = db.store.schedule_list("t1", "ada").await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(ids, ["c1", "c2"]);
    assert!(
        listed
            .iter()
            .all(|change| change.created_at > 0 && change.applied_at.is_none())
    );
    assert_eq!(
        listed[1],
        PlannedChange {
            created_at: listed[1].created_at,
            ..changes[0].clone()
        }
    );
    let loaded = db.load().await.subscriber_of("ada").schedule.clone();
    let expected = |at, change| Scheduled { at, change };
    assert_eq!(
        loaded,
        [
            expected(T, Change::Status(Status::Suspended)),
            expected(T + 10, Change::Plan("p2".to_owned()))
        ]
    );
    assert_eq!(db.store.schedule_apply(T).await.unwrap(), 1);
    let loaded = db.load().await;
    assert_eq!(loaded.subscriber_of("ada").schedule.len(), 1);
    assert_eq!(loaded.subscriber_of("ada").status, Status::Suspended);
    db.store.schedule_delete("t1", "c1").await.unwrap_err();
    db.store.schedule_delete("t2", "c2").await.unwrap_err();
    db.store.schedule_delete("t1", "c2").await.unwrap();
}

async fn what_has_come_is_written_in_the_order_of_time(db: &Database) {
    base(db).await;
    let changes = [
        status("c3", T + 20, Status::Active),
        status("c1", T, Status::Suspended),
        planned("c2", T + 10, Change::Plan("p2".to_owned())),
        status("c4", T + 30, Status::Quarantined),
    ];
    db.store.schedule_add(&changes).await.unwrap();
    assert_eq!(db.store.schedule_apply(T + 25).await.unwrap(), 3);
    assert_eq!(db.store.schedule_apply(T + 25).await.unwrap(), 0, "once");
    let ada = db.store.subscriber_get("t1", "ada").await.unwrap().unwrap();
    assert_eq!(
        (ada.status, ada.bandwidth_profile_id.as_deref()),
        (Status::Active, Some("p2"))
    );
    assert_eq!(ada.suspension_date, Some(T));
    assert_eq!(ada.updated_by.as_deref(), Some("schedule"));
    let applied: Vec<bool> = db
        .store
        .schedule_list("t1", "ada")
        .await
        .unwrap()
        .iter()
        .map(|change| change.applied_at == Some(T + 25))
        .collect();
    assert_eq!(applied, [true, true, true, false]);
}

async fn a_termination_takes_what_is_planned_away(db: &Database) {
    base(db).await;
    let changes = [
        status("c1", T, Status::Suspended),
        status("c2", T + 10, Status::Terminated),
        status("c3", T + 20, Status::Active),
    ];
    db.store.schedule_add(&changes).await.unwrap();
    db.store.schedule_apply(T + 30).await.unwrap();
    let ada = db.store.subscriber_get("t1", "ada").await.unwrap().unwrap();
    assert_eq!(ada.status, Status::Terminated);
    assert_eq!(ada.termination_date, Some(T + 10));
    assert_eq!(db.store.schedule_apply(T + 100).await.unwrap(), 0);
    // By hand it comes to the same.
    db.store.subscriber_add(&subscriber("bob", "t1")).await.unwrap();
    let back = PlannedChange {
        subscriber_id: "bob".to_owned(),
        ..status("b1", T, Status::Active)
    };
    db.store.schedule_add(&[back]).await.unwrap();
    db.raw("UPDATE subscribers SET status = 'terminated' WHERE id = 'bob'")
        .await;
    assert_eq!(db.store.schedule_list("t1", "bob").await.unwrap(), []);
}

async fn nothing_is_planned_for_who_is_gone(db: &Database) {
    base(db).await;
    db.store.subscriber_add(&subscriber("bob", "t1")).await.unwrap();
    let both = [
        status("c1", T, Status::Suspended),
        PlannedChange {
            subscriber_id: "nobody".to_owned(),
            ..status("c2", T, Status::Suspended)
        },
    ];
    db.store.schedule_add(&both).await.unwrap_err();
    assert_eq!(db.store.schedule_list("t1", "ada").await.unwrap(), [], "all or none");
    db.store
        .schedule_add(&[planned("c1", T, Change::Plan("none".to_owned()))])
        .await
        .unwrap_err();
    db.store.schedule_add(&both[..1]).await.unwrap();
    db.store.subscriber_delete("t1", "ada", None).await.unwrap();
    assert_eq!(db.store.schedule_apply(T + 1).await.unwrap(), 0);
    db.store.schedule_add(&both[..1]).await.unwrap_err();
}

async fn every_writer_is_in_the_feed(db: &Database) {
    base(db).await;
    db.store.network_profile_set(&profile()).await.unwrap();
    let at = crate::sessions::at(db, T);
    for (sql, kind, entity) in [
        (
            "INSERT INTO tenant_conditions (tenant_id, condition, action) VALUES ('t1', 'expired', 'accept')"
                .to_owned(),
            "tenant",
            "t1",
        ),
        (
            "UPDATE tenant_conditions SET action = 'reject'".to_owned(),
            "tenant",
            "t1",
        ),
        ("DELETE FROM tenant_conditions".to_owned(), "tenant", "t1"),
        (
            "INSERT INTO tenant_realms (tenant_id, realm, action) VALUES ('t1', '*', 'refuse')".to_owned(),
            "tenant",
            "t1",
        ),
        ("UPDATE tenant_realms SET action = 'strip'".to_owned(), "tenant", "t1"),
        ("DELETE FROM tenant_realms".to_owned(), "tenant", "t1"),
        ("UPDATE tenants SET lookup_by = 'mac'".to_owned(), "tenant", "t1"),
        (
            "UPDATE tenants SET interim_jitter_percent = 10".to_owned(),
            "tenant",
            "t1",
        ),
        (
            format!(
                "INSERT INTO subscriber_schedule (id, tenant_id, subscriber_id, at, status) VALUES ('x', 't1', 'ada', {at}, 'active')"
            ),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_schedule SET status = 'suspended'".to_owned(),
            "subscriber",
            "ada",
        ),
        ("DELETE FROM subscriber_schedule".to_owned(), "subscriber", "ada"),
        (
            "UPDATE subscriber_network_profiles SET circuit_id = 'x'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET remote_id = 'x'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET option82_policy = 'log'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET nas_policy = 'log'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET nas_port_id = 'x'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET port_policy = 'enforce'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET mac_addresses = NULL".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET mac_policy = 'log'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET vlan_policy = 'enforce'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscriber_network_profiles SET login_time = NULL".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscribers SET nas_identifier = 'another'".to_owned(),
            "subscriber",
            "ada",
        ),
        (
            "UPDATE subscribers SET cpe_mac_address = '02:00:00:00:00:01'".to_owned(),
            "subscriber",
            "ada",
        ),
    ] {
        db.raw("DELETE FROM change_feed").await;
        db.raw(&sql).await;
        let rows = db.query("SELECT DISTINCT kind, entity_id FROM change_feed").await;
        assert_eq!(rows, [[Some(kind.to_owned()), Some(entity.to_owned())]], "{sql}");
    }
}
