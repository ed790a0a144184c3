//! One subscriber, packed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::line::Line;
use crate::password::StoredPassword;
use crate::policy::SubscriberFacts;
use crate::policy::binding::Binding;
use crate::policy::hours::Hours;
use crate::policy::schedule::{Scheduled, Standing, standing};
use crate::subscriber::RawRow;

/// Longest username a key can hold; longer ones cannot arrive in a User-Name (RFC 2865 section 5: 253 octets).
pub(super) const MOST_NAME: usize = 253;
/// Tenant index and length of the name come before the name.
const KEY_HEAD: usize = 5;

/// A subscriber's record: key and packed [`Entry`] in one shared allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Arc<[u8]>);

/// What a decision needs of a subscriber, borrowed from its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Where its line ends, if its tenant finds it by that. Comes first, so that [`Record::lines`] need not read the rest.
    #[serde(borrow)]
    pub(super) lines: Vec<Line<'a>>,
    #[serde(borrow)]
    pub(super) id: PackedId<'a>,
    #[serde(borrow)]
    pub secret: StoredSecret<'a>,
    /// Index into the catalog.
    pub plan: Option<u32>,
    pub facts: SubscriberFacts,
    pub tier: Option<PackedTier>,
    #[serde(borrow)]
    pub binding: Option<Binding<'a>>,
    pub hours: Option<Hours>,
    /// Plans are indices into the catalog.
    pub schedule: Vec<Scheduled<u32>>,
    #[serde(borrow)]
    pub checks: Vec<RawRow<'a>>,
    #[serde(borrow)]
    pub replies: Vec<RawRow<'a>>,
    /// Indices into the catalog, in the order the groups are looked at.
    pub groups: Vec<u32>,
    /// A raw row the server cannot build: why. The subscriber is refused with it.
    #[serde(borrow)]
    pub fault: Option<&'a str>,
}

/// The tier that use of a quota has put a subscriber into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedTier {
    /// The plan that takes the place of the subscriber's own, an index into the catalog; `None` = it is refused.
    pub plan: Option<u32>,
    /// Its quota counts time.
    pub of_time: bool,
    /// When it ends, Unix seconds.
    pub until: i64,
}

/// The password columns, parsed when the record was packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredSecret<'a> {
    None,
    #[serde(borrow)]
    Password(StoredPassword<'a>),
    /// What is wrong with the stored value.
    Unreadable(&'a str),
}

/// Most ids are UUIDs: 16 bytes instead of 36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PackedId<'a> {
    Uuid([u8; 16]),
    Text(&'a str),
}

impl<'a> PackedId<'a> {
    pub(super) fn new(id: &'a str) -> Self {
        match Uuid::try_parse(id) {
            // Only the canonical spelling comes back the same.
            Ok(uuid) if uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == id => {
                Self::Uuid(uuid.into_bytes())
            }
            Ok(_) | Err(_) => Self::Text(id),
        }
    }
}

impl Entry<'_> {
    /// The subscriber's id.
    #[must_use]
    pub fn id(&self) -> String {
        match self.id {
            PackedId::Uuid(bytes) => Uuid::from_bytes(bytes).to_string(),
            PackedId::Text(text) => text.to_owned(),
        }
    }

    /// A number that is always the same for this subscriber, on every node.
    #[must_use]
    pub fn seed(&self) -> u32 {
        let bytes = match &self.id {
            PackedId::Uuid(bytes) => bytes.as_slice(),
            PackedId::Text(text) => text.as_bytes(),
        };
        crc32fast::hash(bytes)
    }

    /// Status and plan as of `now`, by what is planned.
    #[must_use]
    pub fn standing(&self, now: i64) -> Standing<u32> {
        standing(self.facts.status, self.plan, &self.schedule, now)
    }
}

impl Record {
    /// Pack a record. `None` if no User-Name can name it (longer than an attribute).
    pub fn pack(tenant: u32, username: &str, entry: &Entry<'_>) -> Option<Self> {
        let mut bytes = Vec::with_capacity(192);
        if !write_key(&mut bytes, tenant, username) {
            return None;
        }
        let bytes = postcard::to_extend(entry, bytes).ok()?;
        Some(Self(bytes.into()))
    }

    /// A record as [`Record::as_bytes`] gave it. `None` if the bytes hold none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let record = Self(bytes.into());
        (record.key_len() <= bytes.len() && record.entry().is_ok()).then_some(record)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Unpack. Borrows; allocates only for raw rows.
    ///
    /// # Errors
    /// The record is damaged.
    pub fn entry(&self) -> Result<Entry<'_>, postcard::Error> {
        postcard::from_bytes(self.0.get(self.key_len()..).unwrap_or_default())
    }

    /// Where its line ends; empty where its tenant does not find it by that.
    pub(super) fn lines(&self) -> Vec<Line<'_>> {
        let entry = self.0.get(self.key_len()..).unwrap_or_default();
        postcard::take_from_bytes(entry).map_or_else(|_| Vec::new(), |(lines, _)| lines)
    }

    /// Index of its tenant.
    pub(super) fn tenant(&self) -> u32 {
        self.0
            .first_chunk()
            .map_or(u32::MAX, |tenant| u32::from_le_bytes(*tenant))
    }

    /// Its username, by the tenant's rules.
    pub(super) fn username(&self) -> &str {
        let name = self.key().get(KEY_HEAD..).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// Tenant and name, as hashed and compared.
    pub(super) fn key(&self) -> &[u8] {
        self.0.get(..self.key_len()).unwrap_or_default()
    }

    fn key_len(&self) -> usize {
        KEY_HEAD + self.0.get(KEY_HEAD - 1).map_or(0, |&len| usize::from(len))
    }
}

/// Append the key of a subscriber; says whether the name fits.
pub(super) fn write_key(to: &mut impl Extend<u8>, tenant: u32, username: &str) -> bool {
    let Some(len) = u8::try_from(username.len())
        .ok()
        .filter(|&len| usize::from(len) <= MOST_NAME)
    else {
        return false;
    };
    to.extend(tenant.to_le_bytes());
    to.extend([len]);
    to.extend(username.bytes());
    true
}
