//! The database and NetBox together, on both databases.

use isp_core::netbox::{AllocationError, Drift, DriftKind, Kind, NetboxError, Origin, Released, Sync, SyncError};
use isp_core::store::StoreError;
use isp_core::subscriber::Status;
use serde_json::json;

use crate::bench::{Bench, on_both};
use crate::lab::{octets, settings};
use crate::proxy::{Fault, Proxy};

on_both!(
    what_is_taken_is_what_the_next_login_gives,
    what_was_set_here_is_registered_there,
    what_was_taken_and_not_written_down_is_found,
    an_address_of_another_subscriber_is_refused,
    all_of_a_tenant_are_given_theirs,
    a_release_takes_it_back_here_first,
    every_kind_of_drift_is_found_and_repaired,
    a_healthy_installation_has_no_drift,
);

async fn what_is_taken_is_what_the_next_login_gives(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    bench.lab.pool(Kind::Ipv6, &format!("fd{a:02x}:{b:x}:a::/64")).await;
    bench
        .lab
        .pool(Kind::Ipv6Prefix, &format!("fd{a:02x}:{b:x}:b000::/48"))
        .await;
    let id = bench.subscriber(1).await;
    let synced = bench.sync().subscriber(&id, &Kind::ALL).await.unwrap();
    assert!(synced.iter().all(|one| one.origin == Origin::Allocated));
    let subscriber = bench.get(&id).await;
    assert_eq!(subscriber.static_ipv4, Some([10, a, b, 1].into()));
    assert_eq!(
        subscriber.netbox_ip_id,
        Some(i64::try_from(synced[0].netbox_id).unwrap())
    );
    assert_eq!(subscriber.updated_by.as_deref(), Some("test"));
    let profile = bench.store.network_profile_get("t1", &id).await.unwrap().unwrap();
    assert_eq!(
        profile.static_ipv6.unwrap().to_string(),
        format!("fd{a:02x}:{b:x}:a::1")
    );
    let delegated = profile.delegated_ipv6_prefix.unwrap();
    assert_eq!(delegated.to_string(), format!("fd{a:02x}:{b:x}:b000::/56"));

    // Again, by another process: nothing is asked for, nothing changes.
    let again = bench.sync().subscriber(&id, &Kind::ALL).await.unwrap();
    assert!(
        again
            .iter()
            .zip(&synced)
            .all(|(again, first)| again.net == first.net && again.origin == Origin::Kept)
    );
    assert_eq!(bench.get(&id).await, subscriber);
}

async fn what_was_set_here_is_registered_there(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let id = bench
        .subscriber_with(1, |one| one.static_ipv4 = Some([10, a, b, 5].into()))
        .await;
    let synced = bench.sync().subscriber(&id, &[Kind::Ipv4]).await.unwrap();
    assert_eq!(synced[0].origin, Origin::Registered);
    assert_eq!(bench.lab.addresses().await, [(format!("10.{a}.{b}.5/28"), id.clone())]);
    assert_eq!(
        bench.get(&id).await.netbox_ip_id,
        Some(i64::try_from(synced[0].netbox_id).unwrap())
    );
}

/// The process ends between NetBox's commit and the database's.
async fn what_was_taken_and_not_written_down_is_found(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let id = bench.subscriber(1).await;
    let taken = bench
        .lab
        .allocator()
        .allocate(&bench.lab.wanted(&id, Kind::Ipv4))
        .await
        .unwrap();
    assert_eq!(bench.get(&id).await.static_ipv4, None);
    let synced = bench.sync().subscriber(&id, &[Kind::Ipv4]).await.unwrap();
    assert_eq!((synced[0].netbox_id, synced[0].net), (taken.id, taken.net));
    assert_eq!(bench.lab.addresses().await.len(), 1);
}

async fn an_address_of_another_subscriber_is_refused(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let (one, two) = (bench.subscriber(1).await, bench.subscriber(2).await);
    bench.sync().subscriber(&one, &[Kind::Ipv4]).await.unwrap();
    // In NetBox somebody deletes it, and it is given to the next.
    let given = bench.store.assignments("t1", &[&one]).await.unwrap();
    bench
        .lab
        .api
        .delete(&format!("ipam/ip-addresses/{}/", given[0].netbox_id.unwrap()))
        .await;
    let error = bench.sync().subscriber(&two, &[Kind::Ipv4]).await.unwrap_err();
    assert!(
        matches!(error, SyncError::Store(StoreError::Duplicate { .. })),
        "{error}"
    );
    assert_eq!(bench.get(&two).await.static_ipv4, None);
}

async fn all_of_a_tenant_are_given_theirs(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    for number in 0..16 {
        bench.subscriber(number).await;
    }
    bench.subscriber_with(16, |one| one.status = Status::Terminated).await;
    let mut failures = Vec::new();
    let progress = bench
        .sync()
        .all(None, &[Kind::Ipv4], |_, failed| {
            failures.extend(failed.iter().map(|(name, error)| format!("{name}: {error}")))
        })
        .await
        .unwrap();
    // A /28 has fourteen.
    assert_eq!((progress.seen, progress.allocated, progress.failed), (16, 14, 2));
    assert_eq!(failures.len(), 2);
    assert!(
        failures[0].contains(&format!("nothing left of ipv4 in 10.{a}.{b}.0/28")),
        "{failures:?}"
    );

    // A prefix more, and it goes on.
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.16/28")).await;
    let progress = bench.sync().all(None, &[Kind::Ipv4], |_, _| {}).await.unwrap();
    assert_eq!(
        (progress.seen, progress.kept, progress.allocated, progress.failed),
        (16, 14, 2, 0)
    );
    assert_eq!(bench.lab.addresses().await.len(), 16);
    // Nothing is left to be done, and nothing is asked.
    let proxy = Proxy::start(&bench.lab.api.url, |_| Some(Fault::FailureInstead(500))).await;
    let idle = bench.lab.allocator_with(&settings(&proxy.url), bench.lab.rules.clone());
    let progress = Sync::new(&bench.store, idle, "t1", None)
        .all(None, &[Kind::Ipv4], |_, _| {})
        .await
        .unwrap();
    assert_eq!(progress.kept, 16);
    assert_eq!(proxy.posts.load(std::sync::atomic::Ordering::SeqCst), 0);
}

async fn a_release_takes_it_back_here_first(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let id = bench.subscriber(1).await;
    let synced = bench.sync().subscriber(&id, &[Kind::Ipv4]).await.unwrap();
    // NetBox does not do it: here it is taken back already.
    let mut hasty = settings("http://127.0.0.1:9");
    hasty.retries = 0;
    let away = bench.lab.allocator_with(&hasty, bench.lab.rules.clone());
    let error = Sync::new(&bench.store, away, "t1", None)
        .release(&id)
        .await
        .unwrap_err();
    let unreachable = matches!(
        error,
        SyncError::Allocation(AllocationError::Netbox(NetboxError::Unreachable { .. }))
    );
    assert!(unreachable, "{error}");
    assert_eq!(bench.get(&id).await.static_ipv4, None);

    // The next call finds it by its key.
    let released = bench.sync().release(&id).await.unwrap();
    assert_eq!(released, [(Kind::Ipv4, Released::Deprecated)]);
    assert_eq!(bench.sync().release(&id).await.unwrap(), []);
    let row = bench
        .lab
        .api
        .get(&format!("ipam/ip-addresses/{}/", synced[0].netbox_id))
        .await;
    assert_eq!(row["status"]["value"], "deprecated");
    // Another, until the quarantine ends.
    let again = bench.sync().subscriber(&id, &[Kind::Ipv4]).await.unwrap();
    assert_ne!(again[0].net, synced[0].net);
}

fn kinds(drift: &[Drift]) -> Vec<DriftKind> {
    drift.iter().map(|one| one.kind).collect()
}

async fn every_kind_of_drift_is_found_and_repaired(bench: &Bench) {
    use DriftKind::*;
    let (a, b) = octets();
    let lab = &bench.lab;
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/26")).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(bench.subscriber(number).await);
    }
    bench.sync().all(None, &[Kind::Ipv4], |_, _| {}).await.unwrap();
    assert_eq!(bench.sync().reconcile(&[Kind::Ipv4], false).await.unwrap().drift, []);
    let borrowed: Vec<&str> = ids.iter().map(String::as_str).collect();
    let given = bench.store.assignments("t1", &borrowed).await.unwrap();
    let path = |number: usize| {
        let given = given.iter().find(|one| one.subscriber_id == ids[number]).unwrap();
        format!("ipam/ip-addresses/{}/", given.netbox_id.unwrap())
    };

    // 0: deleted in NetBox. 1: terminated here without a release. 2: a second one. 3: another address there.
    lab.api.delete(&path(0)).await;
    bench
        .sql(&format!(
            "UPDATE subscribers SET status = 'terminated' WHERE id = '{}'",
            ids[1]
        ))
        .await;
    let second = json!({ "address": format!("10.{a}.{b}.40/26"), "tenant": lab.rules.tenant,
        "description": format!("Subscriber:{}", ids[2]) });
    lab.api.post("ipam/ip-addresses/", second).await;
    lab.api
        .patch(&path(3), json!({ "address": format!("10.{a}.{b}.41/26") }))
        .await;
    // 4: labels by hand. 5: status by hand. 6: forgotten here. 7: another tenant's there.
    lab.api
        .patch(
            &path(4),
            json!({ "description": "whose?", "custom_fields": { "lease_key": null } }),
        )
        .await;
    lab.api.patch(&path(5), json!({ "status": "reserved" })).await;
    bench
        .sql(&format!(
            "DELETE FROM ip_reservations WHERE subscriber_id = '{}'",
            ids[6]
        ))
        .await;
    bench
        .sql(&format!(
            "UPDATE subscribers SET static_ipv4 = NULL, netbox_ip_id = NULL WHERE id = '{}'",
            ids[6]
        ))
        .await;
    let other = json!({ "name": format!("{}-o", lab.name), "slug": format!("{}-o", lab.name) });
    let other = lab.api.post("tenancy/tenants/", other).await;
    lab.api.patch(&path(7), json!({ "tenant": other["id"] })).await;
    // 8: given to somebody else there. A new one without any. A live session on a free address.
    lab.api
        .patch(
            &path(8),
            json!({ "description": "Subscriber:x", "custom_fields": { "subscriber_id": "x", "lease_key": null } }),
        )
        .await;
    let fresh = bench.subscriber(11).await;
    bench
        .sql(&format!(
            "INSERT INTO radacct (tenant_id, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, framedipaddress)
             VALUES ('t1', 's1', 'u1', 'x', '192.0.2.1', '2026-11-23 10:00:00+00', '10.{a}.{b}.60')"
        ))
        .await;

    let found = bench.sync().reconcile(&[Kind::Ipv4], false).await.unwrap();
    let expected = [
        (Missing, Some(&ids[0])),
        (Orphaned, Some(&ids[1])),
        (Orphaned, Some(&ids[6])),
        (Duplicated, Some(&ids[2])),
        (Changed, Some(&ids[3])),
        (Mislabelled, Some(&ids[4])),
        (WrongStatus, Some(&ids[5])),
        (WrongTenant, Some(&ids[7])),
        (Conflicting, Some(&ids[8])),
        (Unaddressed, Some(&fresh)),
        (InUse, None),
    ];
    // The row of subscriber x is nobody's of ours: it has no key, and is left alone.
    let mut seen: Vec<_> = found
        .drift
        .iter()
        .map(|one| (one.kind, one.subscriber_id.clone()))
        .collect();
    let stranger = seen
        .iter()
        .position(|one| *one == (Orphaned, Some("x".to_owned())))
        .unwrap();
    seen.remove(stranger);
    assert_eq!(seen, expected.map(|(kind, id)| (kind, id.cloned())));
    assert!(found.drift.iter().all(|one| one.repaired.is_none()));

    let repaired = bench.sync().reconcile(&[Kind::Ipv4], true).await.unwrap();
    let failed: Vec<_> = repaired.drift.iter().filter(|one| one.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(bench.get(&ids[3]).await.static_ipv4, Some([10, a, b, 41].into()));
    assert!(bench.get(&ids[6]).await.static_ipv4.is_some());
    assert!(bench.get(&fresh).await.static_ipv4.is_some());
    // Who is gone keeps no reservation: NetBox may give the address to the next.
    assert_eq!(bench.store.assignments("t1", &[&ids[1]]).await.unwrap(), []);
    assert_eq!(bench.get(&ids[1]).await.static_ipv4, None);

    // What is left is for a person.
    let rest = bench.sync().reconcile(&[Kind::Ipv4], true).await.unwrap();
    assert_eq!(
        kinds(&rest.drift),
        [Orphaned, WrongTenant, Conflicting, InUse],
        "{:#?}",
        rest.drift
    );
    assert!(rest.drift.iter().all(|one| one.repaired.is_none()));
    // Nothing that was not made here is deleted.
    let row = lab.api.get(&path(8)).await;
    assert_eq!(row["status"]["value"], "active");
}

async fn a_healthy_installation_has_no_drift(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    bench
        .lab
        .pool(Kind::Ipv6Prefix, &format!("fd{a:02x}:{b:x}:c000::/48"))
        .await;
    for number in 0..3 {
        bench.subscriber(number).await;
    }
    let kinds = [Kind::Ipv4, Kind::Ipv6Prefix];
    bench.sync().all(None, &kinds, |_, _| {}).await.unwrap();
    for repair in [false, true, false] {
        let report = bench.sync().reconcile(&kinds, repair).await.unwrap();
        assert_eq!(report.drift, []);
        assert_eq!((report.objects, report.subscribers), (6, 3));
    }
}
