#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::netbox::{Owned as _, OwnerFields};

/// What `available-ips` answers.
const ALLOCATED: &str = r##"{
    "id": 1, "url": "http://netbox.example.net/api/ipam/ip-addresses/1/",
    "display_url": "http://netbox.example.net/ipam/ip-addresses/1/", "display": "100.64.0.1/24",
    "family": {"value": 4, "label": "IPv4"}, "address": "100.64.0.1/24", "vrf": null,
    "tenant": {"id": 1, "url": "...", "display": "ISP One", "name": "ISP One", "slug": "isp-one", "description": ""},
    "status": {"value": "active", "label": "Active"}, "role": null, "assigned_object_type": null,
    "assigned_object_id": null, "assigned_object": null, "nat_inside": null, "nat_outside": [],
    "dns_name": "sub-1001.example.net", "description": "Subscriber:1001", "owner": null, "comments": "",
    "tags": [{"id": 2, "url": "...", "display": "subscriber", "name": "subscriber", "slug": "subscriber",
        "color": "9e9e9e"}],
    "custom_fields": {"lease_expiry": "2026-12-01T10:00:00Z", "nas_port": 7, "subscriber_id": "1001",
        "subscriber_username": "alice", "service_address": null},
    "created": "2026-11-23T02:14:40.798327Z", "last_updated": "2026-11-23T02:14:40.798356Z"
}"##;

const PREFIX: &str = r#"{
    "id": 1, "url": "...", "display_url": "...", "display": "100.64.0.0/24",
    "family": {"value": 4, "label": "IPv4"}, "prefix": "100.64.0.0/24", "vrf": null,
    "scope_type": "dcim.site", "scope_id": 1,
    "scope": {"id": 1, "url": "...", "display": "POP 1", "name": "POP 1", "slug": "pop-1", "description": ""},
    "tenant": {"id": 1, "url": "...", "display": "ISP One", "name": "ISP One", "slug": "isp-one", "description": ""},
    "vlan": null, "status": {"value": "active", "label": "Active"},
    "role": {"id": 1, "url": "...", "display": "Subscriber pool", "name": "Subscriber pool",
        "slug": "subscriber-pool", "description": ""},
    "is_pool": false, "mark_utilized": false, "description": "pool A", "owner": null, "comments": "", "tags": [],
    "custom_fields": {}, "created": "2026-11-23T02:13:34.648353Z", "last_updated": "2026-11-23T02:13:34.648380Z",
    "children": 0, "_depth": 0
}"#;

fn allocated() -> IpAddress {
    serde_json::from_str(ALLOCATED).unwrap()
}

fn prefix() -> Prefix {
    serde_json::from_str(PREFIX).unwrap()
}

#[test]
fn an_allocated_address() {
    let ip = allocated();
    assert_eq!(ip.address, "100.64.0.1/24".parse().unwrap());
    assert_eq!(ip.address.addr(), "100.64.0.1".parse::<std::net::IpAddr>().unwrap());
    assert_eq!(ip.status.value, AddressStatus::Active);
    assert_eq!((ip.role, ip.vrf), (None, None));
    assert_eq!(ip.tenant.unwrap().slug.as_deref(), Some("isp-one"));
    assert_eq!(ip.tags[0].name.as_deref(), Some("subscriber"));
}

#[test]
fn a_prefix_of_a_site() {
    let prefix = prefix();
    assert_eq!(prefix.prefix, "100.64.0.0/24".parse().unwrap());
    assert_eq!(prefix.site_id(), Some(1));
    assert!(prefix.allows_allocation());
    assert_eq!(prefix.role.unwrap().slug.as_deref(), Some("subscriber-pool"));
}

#[test]
fn a_location_is_no_site() {
    let mut value: Value = serde_json::from_str(PREFIX).unwrap();
    value["scope_type"] = json!("dcim.location");
    assert_eq!(serde_json::from_value::<Prefix>(value).unwrap().site_id(), None);
}

#[test]
fn what_is_no_pool_is_not_allocated_from() {
    for (key, word) in [
        ("status", json!({"value": "container", "label": "Container"})),
        ("status", json!({"value": "planned", "label": "Planned"})),
        ("mark_utilized", json!(true)),
    ] {
        let mut value: Value = serde_json::from_str(PREFIX).unwrap();
        value[key] = word;
        assert!(!serde_json::from_value::<Prefix>(value).unwrap().allows_allocation());
    }
}

#[test]
fn a_delegated_prefix() {
    let prefix: Prefix = serde_json::from_value(json!({
        "id": 9, "prefix": "2001:db8:1000:100::/56", "status": {"value": "active", "label": "Active"},
        "custom_fields": {"subscriber_id": "1001"},
    }))
    .unwrap();
    assert_eq!(prefix.prefix.prefix_len(), 56);
    assert!(prefix.is_of("1001"));
}

#[test]
fn a_page_and_the_way_to_the_next() {
    let text = format!(
        r#"{{"count": 6, "next": "http://inside:8080/api/ipam/prefixes/?limit=1&offset=1", "previous": null,
            "results": [{PREFIX}]}}"#
    );
    let page: Page<Prefix> = serde_json::from_str(&text).unwrap();
    assert_eq!(page.count, Some(6));
    assert_eq!(page.next_query(), Some("limit=1&offset=1"));
    assert_eq!(page.results, [prefix()]);

    let last: Page<Prefix> =
        serde_json::from_value(json!({"count": null, "next": null, "previous": null, "results": []})).unwrap();
    assert_eq!((last.count, last.next_query()), (None, None));
}

#[test]
fn statuses_of_the_installations_own_are_kept() {
    let status: Choice<AddressStatus> =
        serde_json::from_value(json!({"value": "quarantine", "label": "Quarantine"})).unwrap();
    assert_eq!(status.value, AddressStatus::Other("quarantine".to_owned()));
    assert_eq!(status.value.as_str(), "quarantine");
    for word in ["active", "reserved", "deprecated", "dhcp", "slaac"] {
        let known = AddressStatus::from(word.to_owned());
        assert!(!matches!(known, AddressStatus::Other(_)));
        assert_eq!(known.as_str(), word);
    }
}

#[test]
fn an_answer_about_something_else_is_refused() {
    for body in [
        json!({"detail": "No Prefix matches the given query."}),
        json!({"id": 1, "status": {"value": "active", "label": "Active"}}),
        json!({"id": 1, "address": "100.64.0.300/24", "status": {"value": "active", "label": "Active"}}),
    ] {
        assert!(serde_json::from_value::<IpAddress>(body.clone()).is_err(), "{body}");
    }
}

#[test]
fn the_owner_is_in_the_custom_fields() {
    let ip = allocated();
    assert_eq!(
        ip.owner_fields(),
        OwnerFields {
            subscriber_id: Some("1001".to_owned()),
            subscriber_username: Some("alice".to_owned()),
            service_address: None,
        }
    );
    assert!(ip.is_of("1001"));
    // The substring that a loose filter would find.
    assert!(!ip.is_of("100"));
}

#[test]
fn a_custom_field_may_be_a_number_a_choice_or_nothing() {
    for (value, expected) in [
        (json!(1001), Some("1001")),
        (json!({"value": "gold", "label": "Gold plan"}), Some("gold")),
        (json!(null), None),
        (json!(""), None),
        (json!(["1001"]), None),
    ] {
        let fields: CustomFields = serde_json::from_value(json!({"subscriber_id": value})).unwrap();
        assert_eq!(text(&fields, "subscriber_id").as_deref(), expected);
    }
}

#[test]
fn the_description_names_the_owner_where_no_field_does() {
    let mut ip = allocated();
    ip.custom_fields = CustomFields::new();
    for (description, owner) in [
        (OwnerFields::description("1001").as_str(), Some("1001")),
        ("Subscriber: 1001", Some("1001")),
        ("Subscriber:", None),
        ("[TERMINATED] Subscriber:1001", None),
        ("gateway", None),
    ] {
        description.clone_into(&mut ip.description);
        assert_eq!(ip.subscriber_id().as_deref(), owner, "{description}");
    }
    let unset: IpAddress = serde_json::from_value(json!({
        "id": 1, "address": "100.64.0.1/24", "status": {"value": "active", "label": "Active"}, "custom_fields": null,
    }))
    .unwrap();
    assert_eq!(unset.subscriber_id(), None);
}

#[test]
fn a_request_carries_the_fields_that_are_known() {
    let fields = OwnerFields {
        subscriber_id: Some("1001".to_owned()),
        ..OwnerFields::default()
    };
    assert_eq!(serde_json::to_value(fields).unwrap(), json!({"subscriber_id": "1001"}));
}

#[test]
fn the_entity_tag_is_made_of_the_last_update() {
    let tag = Some("W/\"2026-11-23T02:14:40.798356+00:00\"".to_owned());
    assert_eq!(allocated().etag(), tag);
    assert_eq!(
        prefix().etag(),
        Some("W/\"2026-11-23T02:13:34.648380+00:00\"".to_owned())
    );
}
