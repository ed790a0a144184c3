//! What a provider decides about how addresses are given.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::addressing::Kind;

/// Of one tenant of ours in one NetBox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// NetBox's id of the tenant, which owns both the prefixes and what is taken from them.
    pub tenant: u64,
    /// Slug of the role of the prefixes that addresses are taken from.
    pub role: String,
    /// Slug of the role of the prefixes that are cut into delegated ones.
    pub prefix_role: String,
    /// Length of a delegated prefix where the subscriber's profile has none.
    pub prefix_length: u8,
    /// Slugs of the tags that everything taken carries. They must exist.
    pub tags: Vec<String>,
    /// Custom field that NetBox keeps unique and that says what was taken for whom, or none. Without it two that ask at
    /// the same time may both be given an address, and a request that got no answer is left for a later run instead of
    /// being repeated.
    pub key_field: Option<String>,
    /// Whether to look for rows that have no such key yet, made by hand or by another system, before anything is taken.
    /// Costs a request per address; [`super::Allocator::adopt`] gives them keys, once.
    pub look_first: bool,
    /// Whether an address that is given back stays in NetBox as deprecated, or is deleted.
    pub release: Release,
    /// Days before what was given back is deleted, and so can be taken again.
    pub quarantine_days: u32,
}

/// What becomes of an address that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// Kept, out of use, until the quarantine ends.
    #[default]
    Deprecate,
    /// Deleted at once.
    Delete,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            tenant: 0,
            role: "customer-assignment".to_owned(),
            prefix_role: "customer-delegation".to_owned(),
            prefix_length: 56,
            tags: vec!["subscriber".to_owned(), "auto-assigned".to_owned()],
            key_field: Some("lease_key".to_owned()),
            look_first: true,
            release: Release::default(),
            quarantine_days: 30,
        }
    }
}

impl Rules {
    pub(super) fn role_of(&self, kind: Kind) -> &str {
        match kind {
            Kind::Ipv4 | Kind::Ipv6 => &self.role,
            Kind::Ipv6Prefix => &self.prefix_role,
        }
    }
}

/// A site as subscribers name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Site {
    Id(u64),
    Slug(String),
}

impl From<&str> for Site {
    /// Digits alone are an id; anything else is a slug.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Slug(text.to_owned()), Self::Id)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}
