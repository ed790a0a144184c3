//! Taking and giving back.

use std::collections::HashSet;

use isp_core::netbox::{AllocationError, Kind, Release, Released, Rules};
use serde_json::json;

use crate::lab::{Lab, octets};

#[tokio::test]
async fn an_address_is_taken_once_with_everything_on_it() {
    let Some(lab) = Lab::new("once").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/29")).await;
    lab.api
        .post("extras/tags/", json!({ "name": lab.name, "slug": lab.name }))
        .await;
    let allocator = lab.allocator();
    let id = lab.id(1);
    let mut wanted = lab.wanted(&id, Kind::Ipv4);
    wanted.service_address = Some("Main St 1");
    wanted.connection_type = Some(&lab.name);

    let first = allocator.allocate(&wanted).await.unwrap();
    assert_eq!(first.net.to_string(), format!("10.{a}.{b}.1/29"));
    // Another process, which knows nothing of the first.
    let again = lab.allocator().allocate(&wanted).await.unwrap();
    assert_eq!((again.id, again.net), (first.id, first.net));

    let row = lab.api.get(&format!("ipam/ip-addresses/{}/", first.id)).await;
    assert_eq!(row["tenant"]["id"], lab.rules.tenant);
    assert_eq!(row["status"]["value"], "active");
    assert_eq!(row["description"], format!("Subscriber:{id}"));
    assert_eq!(row["dns_name"], id);
    let fields = &row["custom_fields"];
    assert_eq!(fields["subscriber_id"], id);
    assert_eq!(fields["subscriber_username"], id);
    assert_eq!(fields["service_address"], "Main St 1");
    assert_eq!(fields["lease_key"], format!("{id}:ipv4"));
    let mut tags: Vec<_> = row["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["slug"].as_str().unwrap())
        .collect();
    tags.sort_unstable();
    let mut expected = vec!["auto-assigned", lab.name.as_str(), "subscriber"];
    expected.sort_unstable();
    assert_eq!(tags, expected);
    assert_eq!(lab.addresses().await.len(), 1);
}

#[tokio::test]
async fn the_next_prefix_comes_when_one_is_full() {
    let Some(lab) = Lab::new("full").await else { return };
    let (a, b) = octets();
    let (first, second) = (format!("10.{a}.{b}.0/30"), format!("10.{a}.{b}.8/31"));
    lab.pool(Kind::Ipv4, &first).await;
    lab.pool(Kind::Ipv4, &second).await;
    let allocator = lab.allocator();
    let mut given = Vec::new();
    for number in 0..4 {
        let id = lab.id(number);
        given.push(
            allocator
                .allocate(&lab.wanted(&id, Kind::Ipv4))
                .await
                .unwrap()
                .net
                .addr()
                .to_string(),
        );
    }
    assert_eq!(given, [1, 2, 8, 9].map(|last| format!("10.{a}.{b}.{last}")));

    let id = lab.id(5);
    let error = allocator.allocate(&lab.wanted(&id, Kind::Ipv4)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("nothing left of ipv4 in {first}, {second}"));

    // What is added while it runs is found.
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.16/31")).await;
    let late = allocator.allocate(&lab.wanted(&id, Kind::Ipv4)).await.unwrap();
    assert_eq!(late.net.addr().to_string(), format!("10.{a}.{b}.16"));
}

#[tokio::test]
async fn only_active_prefixes_of_tenant_site_and_role_give() {
    let Some(lab) = Lab::new("which").await else { return };
    let (a, b) = octets();
    let reserved = lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/30")).await;
    lab.api
        .patch(&format!("ipam/prefixes/{reserved}/"), json!({ "status": "reserved" }))
        .await;
    let full = lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.4/30")).await;
    lab.api
        .patch(&format!("ipam/prefixes/{full}/"), json!({ "mark_utilized": true }))
        .await;
    let elsewhere = lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.8/30")).await;
    let site = json!({ "name": format!("{}-x", lab.name), "slug": format!("{}-x", lab.name), "status": "active" });
    let site = lab.api.post("dcim/sites/", site).await;
    let body = json!({ "scope_type": "dcim.site", "scope_id": site["id"] });
    lab.api.patch(&format!("ipam/prefixes/{elsewhere}/"), body).await;
    let role = lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.12/30")).await;
    lab.api
        .patch(&format!("ipam/prefixes/{role}/"), json!({ "role": null }))
        .await;

    let id = lab.id(1);
    let mut wanted = lab.wanted(&id, Kind::Ipv4);
    let error = lab.allocator().allocate(&wanted).await.unwrap_err();
    assert!(matches!(error, AllocationError::NoPool { .. }), "{error}");
    assert!(error.to_string().contains(&format!("at site {}", lab.site)), "{error}");

    // By its slug, the other site gives.
    let slug = format!("{}-x", lab.name);
    wanted.site = Some(slug.as_str().into());
    let given = lab.allocator().allocate(&wanted).await.unwrap();
    assert_eq!(given.net.addr().to_string(), format!("10.{a}.{b}.9"));
}

#[tokio::test]
async fn ipv6_addresses_and_delegated_prefixes_are_taken_too() {
    let Some(lab) = Lab::new("six").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv6, &format!("fd{a:02x}:{b:x}:1::/64")).await;
    let container = lab.pool(Kind::Ipv6Prefix, &format!("fd{a:02x}:{b:x}:8000::/48")).await;
    let allocator = lab.allocator();
    let id = lab.id(1);

    let address = allocator.allocate(&lab.wanted(&id, Kind::Ipv6)).await.unwrap();
    assert_eq!(address.net.addr().to_string(), format!("fd{a:02x}:{b:x}:1::1"));
    let mut wanted = lab.wanted(&id, Kind::Ipv6Prefix);
    let usual = allocator.allocate(&wanted).await.unwrap();
    assert_eq!(usual.net.to_string(), format!("fd{a:02x}:{b:x}:8000::/56"));
    assert_eq!(usual.pool.as_ref().unwrap().id, container);
    assert_eq!(lab.allocator().allocate(&wanted).await.unwrap().id, usual.id);

    let other = lab.id(2);
    wanted.subscriber_id = &other;
    wanted.prefix_length = Some(60);
    let longer = allocator.allocate(&wanted).await.unwrap();
    assert_eq!(longer.net.to_string(), format!("fd{a:02x}:{b:x}:8000:100::/60"));
    let row = lab.api.get(&format!("ipam/prefixes/{}/", longer.id)).await;
    assert_eq!(row["scope_id"], lab.site);
    assert_eq!(row["custom_fields"]["lease_key"], format!("{other}:ipv6_prefix"));
    // What was delegated is no pool: it has no role.
    assert!(row["role"].is_null());
}

/// Ten at once, as ten processes would be: each has a client and a memory of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_at_once_take_one_address() {
    let Some(lab) = Lab::new("race").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/24")).await;
    let id = lab.id(1);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (allocator, id, site) = (lab.allocator(), id.clone(), lab.site);
        asking.spawn(async move {
            let wanted = isp_core::netbox::Wanted {
                subscriber_id: &id,
                username: &id,
                service_address: None,
                kind: Kind::Ipv4,
                site: Some(isp_core::netbox::Site::Id(site)),
                connection_type: None,
                prefix_length: None,
            };
            allocator.allocate(&wanted).await.unwrap().id
        });
    }
    let ids: HashSet<u64> = asking.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(lab.addresses().await.len(), 1);
}

#[tokio::test]
async fn many_are_taken_by_lists() {
    let Some(lab) = Lab::new("many").await else { return };
    let (a, b) = octets();
    // Fourteen, and then as many as one wants.
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.64/26")).await;
    let ids: Vec<String> = (0..40).map(|number| lab.id(number)).collect();
    let wanted: Vec<_> = ids.iter().map(|id| lab.wanted(id, Kind::Ipv4)).collect();
    // One is there already.
    let early = lab.allocator().allocate(&wanted[20]).await.unwrap();

    let given = lab.allocator().allocate_all(&wanted).await;
    let nets: HashSet<_> = given.iter().map(|one| one.as_ref().unwrap().net).collect();
    assert_eq!(nets.len(), 40);
    assert_eq!(given[20].as_ref().unwrap().id, early.id);
    let rows = lab.addresses().await;
    assert_eq!(rows.len(), 40);
    for (id, one) in ids.iter().zip(&given) {
        let net = one.as_ref().unwrap().net.to_string();
        assert!(rows.contains(&(net.clone(), id.clone())), "{id} {net}");
    }
    // And again, as after a crash: nothing more is taken.
    let again = lab.allocator().allocate_all(&wanted).await;
    assert!(
        again
            .iter()
            .zip(&given)
            .all(|(again, one)| again.as_ref().unwrap().id == one.as_ref().unwrap().id)
    );
    assert_eq!(lab.addresses().await.len(), 40);
}

#[tokio::test]
async fn one_that_cannot_be_does_not_keep_the_others_from_theirs() {
    let Some(lab) = Lab::new("bad").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let ids: Vec<String> = (0..4).map(|number| lab.id(number)).collect();
    let mut wanted: Vec<_> = ids.iter().map(|id| lab.wanted(id, Kind::Ipv4)).collect();
    wanted[2].connection_type = Some("no-such-tag");
    let given = lab.allocator().allocate_all(&wanted).await;
    let error = given[2].as_ref().unwrap_err().to_string();
    assert!(
        error.contains("tags: Related object not found") && error.contains("no-such-tag"),
        "{error}"
    );
    assert_eq!(given.iter().filter(|one| one.is_ok()).count(), 3);
    assert_eq!(lab.addresses().await.len(), 3);
}

#[tokio::test]
async fn what_another_system_made_is_found_and_adopted() {
    let Some(lab) = Lab::new("adopt").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let made = async |last: u8, description: String| {
        let body = json!({ "address": format!("10.{a}.{b}.{last}/28"), "tenant": lab.rules.tenant, "description": description });
        lab.api.post("ipam/ip-addresses/", body).await["id"].as_u64().unwrap()
    };
    let (one, two) = (lab.id(1), lab.id(2));
    let joined = made(9, format!("Subscriber:{one}")).await;
    let spaced = made(10, format!("Subscriber: {two}")).await;
    // Longer by a digit: not the same.
    made(11, format!("Subscriber:{one}0")).await;

    let looking = Rules {
        look_first: true,
        ..lab.rules.clone()
    };
    let looking = lab.allocator_with(&crate::lab::settings(&lab.api.url), looking);
    assert_eq!(
        looking.allocate(&lab.wanted(&one, Kind::Ipv4)).await.unwrap().id,
        joined
    );
    assert_eq!(
        looking.allocate_all(&[lab.wanted(&two, Kind::Ipv4)]).await[0]
            .as_ref()
            .unwrap()
            .id,
        spaced
    );

    let second = made(12, format!("Subscriber:{two}")).await;
    let error = looking.allocate(&lab.wanted(&two, Kind::Ipv4)).await.unwrap_err();
    assert!(matches!(error, AllocationError::Several { .. }), "{error}");

    let adoption = lab.allocator().adopt().await.unwrap();
    assert_eq!((adoption.adopted, adoption.known, adoption.left.len()), (3, 0, 1));
    assert!(
        adoption.left[0].starts_with(&format!("10.{a}.{b}.12/28")),
        "{:?}",
        adoption.left
    );
    lab.api.delete(&format!("ipam/ip-addresses/{second}/")).await;
    let adoption = lab.allocator().adopt().await.unwrap();
    assert_eq!((adoption.adopted, adoption.known, adoption.left.len()), (0, 3, 0));
    // Now without looking first.
    assert_eq!(
        lab.allocator()
            .allocate(&lab.wanted(&two, Kind::Ipv4))
            .await
            .unwrap()
            .id,
        spaced
    );
    assert_eq!(lab.addresses().await.len(), 3);
}

#[tokio::test]
async fn what_was_set_by_hand_is_registered() {
    let Some(lab) = Lab::new("hand").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let (one, two) = (lab.id(1), lab.id(2));
    let net = format!("10.{a}.{b}.5/28").parse().unwrap();
    let allocator = lab.allocator();
    let registered = allocator.register(&lab.wanted(&one, Kind::Ipv4), net).await.unwrap();
    assert_eq!(registered.net, net);
    assert_eq!(
        allocator.allocate(&lab.wanted(&one, Kind::Ipv4)).await.unwrap().id,
        registered.id
    );
    let error = allocator
        .register(&lab.wanted(&two, Kind::Ipv4), net)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("Duplicate IP address"), "{error}");
}

#[tokio::test]
async fn what_is_given_back_waits_and_is_then_deleted() {
    let Some(lab) = Lab::new("back").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let allocator = lab.allocator();
    let id = lab.id(1);
    let wanted = lab.wanted(&id, Kind::Ipv4);
    let first = allocator.allocate(&wanted).await.unwrap();
    // Somebody else's is not touched.
    assert_eq!(
        allocator.release(Kind::Ipv4, first.id, &lab.id(2)).await.unwrap(),
        Released::NotOurs
    );
    for _ in 0..2 {
        assert_eq!(
            allocator.release(Kind::Ipv4, first.id, &id).await.unwrap(),
            Released::Deprecated
        );
    }
    let row = lab.api.get(&format!("ipam/ip-addresses/{}/", first.id)).await;
    assert_eq!(row["status"]["value"], "deprecated");
    assert_eq!(row["description"], format!("[TERMINATED] Subscriber:{id}"));
    // He comes back: another address, and the old one still waits.
    let second = allocator.allocate(&wanted).await.unwrap();
    assert_ne!(second.net, first.net);
    // One that somebody else put out of use waits for him.
    let theirs = json!({ "address": format!("10.{a}.{b}.9/28"), "tenant": lab.rules.tenant, "status": "deprecated" });
    lab.api.post("ipam/ip-addresses/", theirs).await;
    let now = jiff::Timestamp::now();
    assert_eq!(
        allocator
            .sweep(now - jiff::SignedDuration::from_hours(1))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        allocator
            .sweep(now + jiff::SignedDuration::from_hours(1))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        allocator
            .sweep(now + jiff::SignedDuration::from_hours(1))
            .await
            .unwrap(),
        0
    );

    let deleting = Rules {
        release: Release::Delete,
        ..lab.rules.clone()
    };
    let deleting = lab.allocator_with(&crate::lab::settings(&lab.api.url), deleting);
    assert_eq!(
        deleting.release(Kind::Ipv4, second.id, &id).await.unwrap(),
        Released::Deleted
    );
    assert_eq!(
        deleting.release(Kind::Ipv4, second.id, &id).await.unwrap(),
        Released::NotOurs
    );
    assert_eq!(lab.addresses().await.len(), 1);
}
