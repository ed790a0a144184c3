//! Answers of the REST API.
//!
//! Unknown keys are skipped: releases add some. Keys that an answer may lack (`?fields=`, `?omit=`, older releases) have
//! defaults; those that make an answer one about an address or a prefix do not.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Page<T> {
    /// All there are; `None` where pages are asked for by `start`, which does not count.
    pub count: Option<u64>,
    /// URL of the next page, `None` on the last one. Its host is what NetBox takes itself for: use the query alone.
    pub next: Option<String>,
    pub previous: Option<String>,
    pub results: Vec<T>,
}

impl<T> Page<T> {
    /// The query of the next page's URL, without the question mark.
    #[must_use]
    pub fn next_query(&self) -> Option<&str> {
        self.next.as_deref()?.split_once('?').map(|(_, query)| query)
    }
}

/// A value of a list of choices. Written as the bare value, read with its label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Choice<T> {
    pub value: T,
    pub label: String,
}

/// Another object, in short.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reference {
    pub id: u64,
    pub display: String,
    #[serde(default)]
    pub name: Option<String>,
    /// Of what has one. A tenant's is unique within its group only: compare ids.
    #[serde(default)]
    pub slug: Option<String>,
}

/// By name; a field without a value is null, or missing.
pub type CustomFields = Map<String, Value>;

/// `/api/ipam/ip-addresses/`, and what `available-ips` of a prefix allocates.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IpAddress {
    pub id: u64,
    /// With the mask of the prefix it came from.
    pub address: IpNet,
    pub status: Choice<AddressStatus>,
    /// `loopback`, `secondary`, `anycast`, `vip` ...
    #[serde(default)]
    pub role: Option<Choice<String>>,
    #[serde(default)]
    pub vrf: Option<Reference>,
    #[serde(default)]
    pub tenant: Option<Reference>,
    /// In lower case.
    #[serde(default)]
    pub dns_name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<Reference>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub custom_fields: CustomFields,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub created: Option<String>,
    #[serde(default)]
    pub last_updated: Option<String>,
}

/// `/api/ipam/prefixes/`, and what `available-prefixes` of a prefix allocates.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Prefix {
    pub id: u64,
    pub prefix: IpNet,
    pub status: Choice<PrefixStatus>,
    #[serde(default)]
    pub role: Option<Reference>,
    #[serde(default)]
    pub vrf: Option<Reference>,
    #[serde(default)]
    pub tenant: Option<Reference>,
    #[serde(default)]
    pub vlan: Option<Reference>,
    /// What `scope_id` is the id of: `dcim.site`, `dcim.location`, `dcim.region` or `dcim.sitegroup`.
    #[serde(default)]
    pub scope_type: Option<String>,
    #[serde(default)]
    pub scope_id: Option<u64>,
    /// The first and the last address may be given out too.
    #[serde(default)]
    pub is_pool: bool,
    /// Said to be full. NetBox itself goes on allocating from it.
    #[serde(default)]
    pub mark_utilized: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<Reference>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub custom_fields: CustomFields,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub created: Option<String>,
    #[serde(default)]
    pub last_updated: Option<String>,
}

impl Prefix {
    /// May addresses be taken from it? NetBox does not ask: it allocates from containers, and from what is said to be
    /// full.
    #[must_use]
    pub fn allows_allocation(&self) -> bool {
        self.status.value == PrefixStatus::Active && !self.mark_utilized
    }

    #[must_use]
    pub fn site_id(&self) -> Option<u64> {
        self.scope_id
            .filter(|_| self.scope_type.as_deref() == Some("dcim.site"))
    }
}

/// Entity tag of an object last updated at this time, for If-Match. Lists and allocations answer without one.
fn etag(last_updated: Option<&str>) -> Option<String> {
    let time = last_updated?;
    Some(format!("W/\"{}\"", time.replace('Z', "+00:00")))
}

impl IpAddress {
    /// For the If-Match of a change that must not overwrite another.
    #[must_use]
    pub fn etag(&self) -> Option<String> {
        etag(self.last_updated.as_deref())
    }
}

impl Prefix {
    /// For the If-Match of a change that must not overwrite another.
    #[must_use]
    pub fn etag(&self) -> Option<String> {
        etag(self.last_updated.as_deref())
    }
}

/// Declares a set of words that an installation may extend.
macro_rules! open_words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(from = "String")]
        pub enum $name {
            $($variant,)+
            /// Of the installation's own (`FIELD_CHOICES`).
            Other(String),
        }

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }
    };
}

open_words! {
    /// Status of an address. Every one of them makes the address count as used, `deprecated` included.
    AddressStatus {
        Active = "active",
        Reserved = "reserved",
        Deprecated = "deprecated",
        Dhcp = "dhcp",
        Slaac = "slaac",
    }
}

open_words! {
    PrefixStatus {
        Container = "container",
        Active = "active",
        Reserved = "reserved",
        Deprecated = "deprecated",
    }
}

/// Text of a custom field: of a text, a number, or the value of a choice. Empty is nothing.
pub(super) fn text(fields: &CustomFields, name: &str) -> Option<String> {
    let value = match fields.get(name)? {
        Value::Object(choice) => choice.get("value")?,
        value => value,
    };
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
    .filter(|text| !text.is_empty())
}

fn null_as_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CustomFields, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
