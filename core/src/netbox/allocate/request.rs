//! What is asked of NetBox for one subscriber.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use crate::addressing::Kind;
use crate::netbox::owner::OwnerFields;
use crate::netbox::settings::{Rules, Site};

/// Longest description and name NetBox takes.
const LONGEST: usize = 200;

/// An address or prefix that a subscriber is to have.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub subscriber_id: &'a str,
    pub username: &'a str,
    pub service_address: Option<&'a str>,
    pub kind: Kind,
    /// Where; `None` takes of any site's prefixes.
    pub site: Option<Site>,
    /// Slug of a further tag (`ftth`), which must exist.
    pub connection_type: Option<&'a str>,
    /// Of a delegated prefix, where it is not the tenant's usual one.
    pub prefix_length: Option<u8>,
}

impl Wanted<'_> {
    /// What the key's custom field holds: this subscriber's and this kind's alone.
    pub(super) fn key(&self) -> String {
        format!("{}:{}", self.subscriber_id, self.kind)
    }

    pub(super) fn length(&self, rules: &Rules) -> u8 {
        self.prefix_length.unwrap_or(rules.prefix_length)
    }
}

#[derive(Serialize)]
struct Slug<'a> {
    slug: &'a str,
}

/// What `available-ips` and `available-prefixes` take.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    tenant: u64,
    status: &'static str,
    description: String,
    /// Of addresses only, and only of user names that can be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    dns_name: Option<String>,
    tags: Vec<Slug<'a>>,
    custom_fields: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_length: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_id: Option<u64>,
}

impl<'a> Request<'a> {
    pub(super) fn of(rules: &'a Rules, wanted: &'a Wanted<'a>) -> Self {
        let delegated = wanted.kind == Kind::Ipv6Prefix;
        let site = match (&wanted.site, delegated) {
            (Some(Site::Id(id)), true) => Some(*id),
            _ => None,
        };
        Self {
            tenant: rules.tenant,
            status: "active",
            description: OwnerFields::description(wanted.subscriber_id),
            dns_name: (!delegated).then(|| dns_name(wanted.username)).flatten(),
            tags: rules
                .tags
                .iter()
                .map(String::as_str)
                .chain(wanted.connection_type)
                .map(|slug| Slug { slug })
                .collect(),
            custom_fields: custom_fields(rules, wanted),
            prefix_length: delegated.then(|| wanted.length(rules)),
            scope_type: site.map(|_| "dcim.site"),
            scope_id: site,
        }
    }
}

/// What the lists of addresses and of prefixes take.
#[derive(Serialize)]
pub(super) struct Registration<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<IpNet>,
    #[serde(flatten)]
    request: Request<'a>,
}

impl<'a> Registration<'a> {
    pub(super) fn of(rules: &'a Rules, wanted: &'a Wanted<'a>, net: IpNet) -> Self {
        let delegated = wanted.kind == Kind::Ipv6Prefix;
        let mut request = Request::of(rules, wanted);
        request.prefix_length = None;
        Self {
            address: (!delegated).then_some(net),
            prefix: delegated.then_some(net),
            request,
        }
    }
}

fn custom_fields<'a>(rules: &'a Rules, wanted: &Wanted<'_>) -> BTreeMap<&'a str, String> {
    let mut fields = BTreeMap::from([
        ("subscriber_id", wanted.subscriber_id.to_owned()),
        ("subscriber_username", wanted.username.to_owned()),
    ]);
    if let Some(address) = wanted.service_address {
        fields.insert("service_address", address.to_owned());
    }
    if let Some(field) = rules.key_field.as_deref() {
        fields.insert(field, wanted.key());
    }
    fields
}

/// The user name as a name in the DNS, where it is one; `alice@example.net` is not.
fn dns_name(username: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (!username.is_empty() && username.len() <= LONGEST && username.bytes().all(legal))
        .then(|| username.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn wanted(kind: Kind) -> Wanted<'static> {
        Wanted {
            subscriber_id: "1001",
            username: "Alice-1",
            service_address: Some("Main St 1"),
            kind,
            site: Some(Site::Id(3)),
            connection_type: Some("ftth"),
            prefix_length: None,
        }
    }

    #[test]
    fn an_address_is_asked_for_with_its_owner() {
        let rules = Rules {
            tenant: 7,
            ..Rules::default()
        };
        let wanted = wanted(Kind::Ipv4);
        assert_eq!(
            serde_json::to_value(Request::of(&rules, &wanted)).unwrap(),
            serde_json::json!({
                "tenant": 7,
                "status": "active",
                "description": "Subscriber:1001",
                "dns_name": "alice-1",
                "tags": [{"slug": "subscriber"}, {"slug": "auto-assigned"}, {"slug": "ftth"}],
                "custom_fields": {
                    "subscriber_id": "1001",
                    "subscriber_username": "Alice-1",
                    "service_address": "Main St 1",
                    "lease_key": "1001:ipv4",
                },
            })
        );
    }

    #[test]
    fn a_prefix_is_asked_for_with_its_length_and_place() {
        let rules = Rules::default();
        let wanted = wanted(Kind::Ipv6Prefix);
        let body = serde_json::to_value(Request::of(&rules, &wanted)).unwrap();
        assert_eq!(body["prefix_length"], 56);
        assert_eq!(
            (&body["scope_type"], &body["scope_id"]),
            (&"dcim.site".into(), &3.into())
        );
        assert!(body.get("dns_name").is_none());
    }

    #[test]
    fn a_user_name_that_is_no_name_is_left_out() {
        for (username, name) in [
            ("Alice", Some("alice")),
            ("a.b-c_d", Some("a.b-c_d")),
            ("alice@example.net", None),
            ("al ice", None),
            ("", None),
        ] {
            assert_eq!(dns_name(username).as_deref(), name, "{username:?}");
        }
        assert_eq!(dns_name(&"a".repeat(201)), None);
    }
}
