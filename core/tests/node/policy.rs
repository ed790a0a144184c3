//! What a decision goes by beside status and plan: effective within a second whoever writes it, planned changes to the
//! second.

use isp_core::policy::Reason;
use isp_core::policy::binding::Packet;

use super::*;

on_both!(
    what_a_tenant_does_with_whom_counts_within_a_second,
    a_binding_counts_within_a_second,
    a_line_is_found_within_a_second,
    a_rule_for_a_realm_counts_within_a_second,
    an_address_that_another_session_has_is_not_given,
    a_planned_change_has_effect_at_its_instant_and_is_then_written_down,
);

/// Why it is restricted, or why refused.
fn verdict(node: &Node, request: &AccessRequest<'_>) -> Result<Option<Reason>, Reason> {
    node.authorize(request, |authorization| authorization.restricted.map(|why| why.reason))
        .map_err(|refusal| refusal.reason)
}

fn what_a_tenant_does_with_whom_counts_within_a_second(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    let steps = [
        ("UPDATE subscribers SET status = 'suspended'", Err(Reason::Suspended)),
        (
            "INSERT INTO radius_bandwidth_profiles (id, tenant_id, name, download_rate_kbps, upload_rate_kbps) \
             VALUES ('garden', 't', 'garden', 256, 128); \
             INSERT INTO tenant_conditions (tenant_id, condition, action, plan_id) \
             VALUES ('t', 'suspended', 'restrict', 'garden')",
            Ok(Some(Reason::Suspended)),
        ),
        (
            "UPDATE tenant_conditions SET action = 'accept', plan_id = NULL",
            Ok(None),
        ),
        ("DELETE FROM tenant_conditions", Err(Reason::Suspended)),
    ];
    for (sql, wanted) in steps {
        runtime.block_on(database.execute(sql));
        eventually(sql, PROMISE, || verdict(&node, &pap("alice", "")) == wanted);
    }
    node.shutdown(PROMISE);

    // The copy on disk knows it too.
    runtime.block_on(database.execute(
        "INSERT INTO tenant_conditions (tenant_id, condition, action, plan_id) VALUES ('t', 'suspended', 'restrict', 'garden')",
    ));
    let node = start(config(database, directory));
    node.shutdown(PROMISE);
    let away = NodeConfig {
        database_url: Secret::new(database.url_of_nothing()),
        ..config(database, directory)
    };
    let node = start(away);
    assert_eq!(verdict(&node, &pap("alice", "")), Ok(Some(Reason::Suspended)));
    node.shutdown(PROMISE);
}

fn a_binding_counts_within_a_second(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    let from = |station: &'static [u8]| {
        let packet = Packet {
            calling_station_id: Some(station),
            ..Packet::default()
        };
        verdict(
            &node,
            &AccessRequest {
                packet,
                ..pap("alice", "")
            },
        )
    };
    assert_eq!(from(b"02-00-00-00-00-02"), Ok(None));
    runtime.block_on(database.execute(
        "INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id, mac_addresses, mac_policy) \
         VALUES ('n', 't', 'id-of-alice', '02:00:00:00:00:01', 'enforce')",
    ));
    eventually("the binding", PROMISE, || {
        from(b"02-00-00-00-00-02") == Err(Reason::WrongMac)
    });
    assert_eq!(from(b"0200.0000.0001"), Ok(None));
    runtime.block_on(database.execute("UPDATE subscriber_network_profiles SET login_time = 'Xx0800'"));
    eventually("hours that are none", PROMISE, || {
        from(b"0200.0000.0001") == Err(Reason::BadAttribute)
    });
    runtime.block_on(database.execute(
        "INSERT INTO radius_bandwidth_profiles (id, tenant_id, name, download_rate_kbps, upload_rate_kbps, login_time) \
         VALUES ('p', 't', 'night', 1, 1, 'Xx'); \
         UPDATE subscribers SET bandwidth_profile_id = 'p'; \
         UPDATE subscriber_network_profiles SET login_time = 'Any'",
    ));
    eventually("hours of its own", PROMISE, || from(b"0200.0000.0001") == Ok(None));
    runtime.block_on(database.execute("UPDATE subscriber_network_profiles SET login_time = NULL"));
    eventually("those of its plan", PROMISE, || {
        from(b"0200.0000.0001") == Err(Reason::BadAttribute)
    });
    runtime.block_on(database.execute("UPDATE radius_bandwidth_profiles SET login_time = 'Any'"));
    eventually("others of its plan", PROMISE, || from(b"0200.0000.0001") == Ok(None));
    node.shutdown(PROMISE);
}

fn a_line_is_found_within_a_second(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    let ask = |node: &Node, station: &[u8]| {
        let request = AccessRequest {
            user_name: station,
            packet: Packet {
                calling_station_id: Some(station),
                ..Packet::default()
            },
            ..pap("", "static")
        };
        let credential = node.authorize(&request, |authorization| format!("{:?}", authorization.credential));
        credential.map_err(|refusal| refusal.reason)
    };
    let (first, second) = (&b"02:00:00:00:00:01"[..], &b"0200.0000.0002"[..]);
    let vouched = Ok("NotNeeded".to_owned());
    let unknown = Err(Reason::UnknownSubscriber);
    runtime.block_on(database.execute("UPDATE subscribers SET cpe_mac_address = '02-00-00-00-00-01'"));
    assert_eq!(ask(&node, first), unknown);
    runtime.block_on(database.execute("UPDATE tenants SET lookup_by = 'mac'"));
    eventually("the rule", PROMISE, || ask(&node, first) == vouched);
    let sender = Sender {
        packet: Packet {
            calling_station_id: Some(first),
            ..Packet::default()
        },
        ..Sender::named(first)
    };
    let who = node.identify(Some(NAS), &sender);
    assert_eq!(
        who.subscriber_id.as_deref(),
        Some("id-of-alice"),
        "what accounting is of"
    );
    runtime.block_on(database.execute("UPDATE subscribers SET cpe_mac_address = '020000000002'"));
    eventually("another device", PROMISE, || ask(&node, second) == vouched);
    assert_eq!(ask(&node, first), unknown);
    runtime.block_on(database.execute(
        "INSERT INTO subscriber_network_profiles (id, tenant_id, subscriber_id, mac_addresses) \
         VALUES ('n', 't', 'id-of-alice', '02:00:00:00:00:01 02:00:00:00:00:02')",
    ));
    eventually("two devices", PROMISE, || ask(&node, first) == vouched);
    assert_eq!(ask(&node, second), vouched);
    runtime.block_on(database.execute(
        "INSERT INTO subscribers (id, tenant_id, username, status, cpe_mac_address) \
         VALUES ('id-of-bob', 't', 'bob', 'active', '020000000002')",
    ));
    eventually("two subscribers at one line", PROMISE, || {
        ask(&node, second) == Err(Reason::AmbiguousLine)
    });
    assert_eq!(decide(&node, "alice"), Ok("secret".to_owned()), "by name as ever");
    node.shutdown(PROMISE);

    // The copy on disk knows it too.
    let away = NodeConfig {
        database_url: Secret::new(database.url_of_nothing()),
        ..config(database, directory)
    };
    let node = start(away);
    assert_eq!(ask(&node, first), vouched);
    assert_eq!(ask(&node, second), Err(Reason::AmbiguousLine));
    node.shutdown(PROMISE);

    let node = start(config(database, directory));
    runtime.block_on(database.execute("UPDATE tenants SET lookup_by = 'username'"));
    eventually("no rule", PROMISE, || ask(&node, first) == unknown);
    node.shutdown(PROMISE);
}

fn a_rule_for_a_realm_counts_within_a_second(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    runtime.block_on(database.execute(
        "INSERT INTO tenants (id, name) VALUES ('o', 'Other'); \
         INSERT INTO subscribers (id, tenant_id, username, status) VALUES ('id-of-bob', 'o', 'bob@o.example', 'active')",
    ));
    let node = start(config(database, directory));
    let ask = |node: &Node, name: &str| {
        let tenant = node.authorize(&pap(name, ""), |authorization| authorization.tenant_id.to_owned());
        tenant.map_err(|refusal| refusal.reason)
    };
    let (ours, theirs) = (Ok("t".to_owned()), Err(Reason::NoPassword));
    let steps = [
        (
            "UPDATE tenants SET enabled = enabled",
            "alice@t.example",
            Err(Reason::UnknownSubscriber),
        ),
        (
            "INSERT INTO tenant_realms (tenant_id, realm, action) VALUES ('t', 't.example', 'strip')",
            "alice@T.example",
            ours.clone(),
        ),
        (
            "INSERT INTO tenant_realms (tenant_id, realm, action, to_tenant_id) VALUES ('t', 'o.example', 'tenant', 'o')",
            "bob@o.example",
            theirs.clone(),
        ),
        (
            "INSERT INTO tenant_realms (tenant_id, realm, action) VALUES ('t', '*', 'refuse')",
            "alice@x.example",
            Err(Reason::RealmRefused),
        ),
        (
            "UPDATE tenant_realms SET realm = '' WHERE realm = '*'",
            "alice",
            Err(Reason::RealmRefused),
        ),
    ];
    for (sql, name, wanted) in steps {
        runtime.block_on(database.execute(sql));
        eventually(sql, PROMISE, || ask(&node, name) == wanted);
    }
    let bob = node.identify(Some(NAS), &Sender::named(b"bob@o.example"));
    assert_eq!(
        (bob.tenant_id.as_deref(), bob.subscriber_id.as_deref()),
        (Some("o"), Some("id-of-bob"))
    );
    node.shutdown(PROMISE);

    // The copy on disk knows it too.
    let away = NodeConfig {
        database_url: Secret::new(database.url_of_nothing()),
        ..config(database, directory)
    };
    let node = start(away);
    assert_eq!(ask(&node, "alice"), Err(Reason::RealmRefused));
    assert_eq!(ask(&node, "alice@t.example"), ours);
    assert_eq!(ask(&node, "bob@o.example"), theirs);
    node.shutdown(PROMISE);
}

fn an_address_that_another_session_has_is_not_given(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    use isp_core::accounting::{AccountingRecord, AcctStatusType};

    let store = runtime.block_on(seed(database, directory));
    runtime.block_on(database.execute("UPDATE subscribers SET static_ipv4 = '192.0.2.77'"));
    let node = start(config(database, directory));
    let of_bob = |status| AccountingRecord {
        status,
        subscriber_id: None,
        user_name: "bob".to_owned(),
        framed_ip_address: Some([192, 0, 2, 77].into()),
        session_time: None,
        ..accounting::interim(1)
    };
    assert_eq!(verdict(&node, &pap("alice", "")), Ok(None));
    node.accounting(of_bob(AcctStatusType::Start)).unwrap();
    let refusal = node.authorize(&pap("alice", ""), |_| ()).unwrap_err();
    assert_eq!(refusal.reason, Reason::AddressInUse);
    assert!(
        refusal.message.contains("192.0.2.77") && refusal.message.contains("bob"),
        "{refusal}"
    );
    node.accounting(of_bob(AcctStatusType::Stop)).unwrap();
    assert_eq!(verdict(&node, &pap("alice", "")), Ok(None));

    // A node that starts later reads it.
    let of_carol = AccountingRecord {
        subscriber_id: Some("id-of-carol".to_owned()),
        user_name: "carol".to_owned(),
        acct_unique_id: "c".repeat(32),
        ..of_bob(AcctStatusType::Start)
    };
    runtime.block_on(database.execute(
        "INSERT INTO subscribers (id, tenant_id, username, status) VALUES ('id-of-carol', 't', 'carol', 'active')",
    ));
    node.accounting(of_carol).unwrap();
    node.shutdown(Duration::from_secs(15));
    let open = runtime.block_on(store.overview()).unwrap().sessions_open;
    assert_eq!(open, 1, "carol's, and not the one that bob has ended");
    let node = start(config(database, directory));
    eventually("what the node has read", Duration::from_secs(15), || {
        verdict(&node, &pap("alice", "")) == Err(Reason::AddressInUse)
    });
    node.shutdown(PROMISE);
}

fn a_planned_change_has_effect_at_its_instant_and_is_then_written_down(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    let store = runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    let soon = now() + 3;
    let at = |now| {
        verdict(
            &node,
            &AccessRequest {
                now,
                ..pap("alice", "")
            },
        )
    };
    let plan = |id: &str, at: i64, status| isp_core::store::PlannedChange {
        id: id.to_owned(),
        tenant_id: "t".to_owned(),
        subscriber_id: "id-of-alice".to_owned(),
        at,
        change: isp_core::policy::schedule::Change::Status(status),
        note: None,
        created_at: 0,
        created_by: None,
        applied_at: None,
    };
    let changes = [
        plan("a", soon, Status::Suspended),
        plan("b", soon + 86_400, Status::Active),
    ];
    runtime.block_on(store.schedule_add(&changes)).unwrap();
    eventually("the plan", PROMISE, || at(soon) == Err(Reason::Suspended));
    assert_eq!(at(soon - 1), Ok(None));
    assert_eq!(at(soon + 86_399), Err(Reason::Suspended));
    assert_eq!(at(soon + 86_400), Ok(None));
    let status = || {
        let alice = runtime.block_on(store.subscriber_get("t", "alice")).unwrap().unwrap();
        alice.status
    };
    eventually("the row", Duration::from_secs(15), || status() == Status::Suspended);
    assert_eq!(at(soon + 86_400), Ok(None), "what is still planned stays");
    node.shutdown(PROMISE);
}
