//! Vendors of NAS as data: what a plan is in their attributes, and how their sessions are changed.
//!
//! A [`VendorSet`] is read once, from `mods-config/rust/vendors.toml` and a file of the provider's own. It takes part in a
//! decision without I/O: what depends on plan and vendor alone is made when a plan is loaded ([`PlanReply`]), the rest,
//! where a subscriber has rates or addresses of its own, from the templates at login.

mod build;
pub mod coa;
mod file;
mod item;
mod nearest;
mod plan;
mod template;
mod term;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;

pub use coa::Coa;
pub use item::{Item, TooLong, VendorAttribute};
pub use plan::PlanReply;
pub(super) use plan::{write, write_restricted};
pub use term::{Differing, Terms};

use super::reply::{Attribute, ReplyItem, Value};
use crate::dictionary::{AnyAttribute, Definitions};

/// The vendor of a NAS that is of no other.
pub const GENERIC: &str = "generic";

/// The vendors that come with this version.
pub const SHIPPED: &str = include_str!("../../../../raddb/mods-config/rust/vendors.toml");

/// A file of vendors, as text.
#[derive(Debug, Clone)]
pub struct Source {
    /// For messages.
    pub path: PathBuf,
    pub text: String,
}

/// What is wrong with a file of vendors, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}: {problem}", path = path.display())]
pub struct Fault {
    pub path: PathBuf,
    pub line: usize,
    pub problem: String,
}

/// All vendors, ready for use.
#[derive(Debug, Clone)]
pub struct VendorSet {
    vendors: Vec<Vendor>,
    names: HashMap<String, u16>,
    /// For what is of no other vendor; one of the above.
    generic: Vendor,
    /// By name or id of a tenant: a vendor, and the one in its place.
    tenants: HashMap<String, HashMap<u16, u16>>,
    attributes: Vec<VendorAttribute>,
}

/// One vendor of NAS.
#[derive(Debug, Clone)]
pub struct Vendor {
    name: String,
    description: String,
    extends: Option<String>,
    index: u16,
    items: Vec<Item>,
    rates: SaysRate,
    coa: Coa,
}

/// Of which directions a NAS hears the rate itself, and not only the name of a profile that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct SaysRate {
    upload: bool,
    download: bool,
}

impl SaysRate {
    fn of(items: &[Item]) -> Self {
        let reply = |upload, download| {
            let terms = Terms {
                upload_kbps: Some(upload),
                download_kbps: Some(download),
                ..Terms::default()
            };
            items.iter().map(|item| item.fill(&terms)).collect::<Vec<_>>()
        };
        // Two rates that no rounding makes one.
        let (low, high) = (1_000, 2_000);
        let both_low = reply(low, low);
        Self {
            upload: reply(high, low) != both_low,
            download: reply(low, high) != both_low,
        }
    }
}

/// One `generic` vendor that writes nothing.
impl Default for VendorSet {
    fn default() -> Self {
        let generic = Vendor {
            name: GENERIC.to_owned(),
            description: String::new(),
            extends: None,
            index: 0,
            items: Vec::new(),
            rates: SaysRate::default(),
            coa: Coa::default(),
        };
        Self {
            vendors: vec![generic.clone()],
            names: HashMap::from([(GENERIC.to_owned(), 0)]),
            generic,
            tenants: HashMap::new(),
            attributes: Vec::new(),
        }
    }
}

impl VendorSet {
    /// Make sense of the files; a vendor in a later one takes the place of its namesake, which it may extend.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the files.
    pub fn read(sources: &[Source], definitions: &dyn Definitions) -> Result<Self, Vec<Fault>> {
        build::build(sources, definitions)
    }

    /// The vendors that come with this version, no dictionary asked.
    ///
    /// # Errors
    /// None; the tests see to it.
    pub fn shipped() -> Result<Self, Vec<Fault>> {
        let shipped = Source {
            path: "vendors.toml".into(),
            text: SHIPPED.to_owned(),
        };
        Self::read(&[shipped], &AnyAttribute)
    }

    /// In the order of their names.
    #[must_use]
    pub fn vendors(&self) -> &[Vendor] {
        &self.vendors
    }

    /// The vendor of this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Vendor> {
        let index = match self.names.get(name) {
            Some(index) => index,
            None => self.names.get(&name.to_ascii_lowercase())?,
        };
        self.vendors.get(usize::from(*index))
    }

    /// What a NAS of no known vendor is taken for.
    #[must_use]
    pub fn generic(&self) -> &Vendor {
        &self.generic
    }

    /// The vendor that a tenant, known by these names, has in the place of `vendor`.
    #[must_use]
    pub fn for_tenant<'s>(&'s self, tenant: [&str; 2], vendor: &'s Vendor) -> &'s Vendor {
        if self.tenants.is_empty() {
            return vendor;
        }
        tenant
            .iter()
            .find_map(|name| self.tenants.get(*name)?.get(&vendor.index))
            .map_or(vendor, |index| self.by_index(*index))
    }

    /// Every attribute that a template writes; [`VendorAttribute::index`] is its place here.
    #[must_use]
    pub fn attributes(&self) -> &[VendorAttribute] {
        &self.attributes
    }

    /// The vendor with this [`Vendor::index`].
    pub(crate) fn by_index(&self, index: u16) -> &Vendor {
        self.vendors.get(usize::from(index)).unwrap_or(&self.generic)
    }
}

impl Vendor {
    /// The vendor of who has no vendors: it writes nothing.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: LazyLock<VendorSet> = LazyLock::new(VendorSet::default);
        NONE.generic()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The vendor it takes over what it does not say itself.
    #[must_use]
    pub fn extends(&self) -> Option<&str> {
        self.extends.as_deref()
    }

    /// Its place in the set.
    pub(crate) const fn index(&self) -> u16 {
        self.index
    }

    /// What it writes, in order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    #[must_use]
    pub fn coa(&self) -> &Coa {
        &self.coa
    }

    /// The attributes that say nothing but these terms.
    pub(in crate::policy) fn attributes_of(&self, terms: Differing) -> impl Iterator<Item = &VendorAttribute> {
        let only = move |item: &&Item| {
            let mut same = self.items.iter().filter(|other| other.attribute == item.attribute);
            !item.of.is_none() && same.all(|other| !other.of.is_none() && other.of.is_within(terms))
        };
        self.items.iter().filter(only).map(Item::attribute)
    }

    /// What these terms are in its attributes.
    ///
    /// # Errors
    /// A value that does not fit into its attribute.
    pub fn reply(&self, terms: &Terms<'_>) -> Result<Vec<ReplyItem<'_>>, TooLong> {
        let mut reply = Vec::new();
        for item in &self.items {
            if let Some(value) = item.fill(terms)? {
                reply.push(item.with(value));
            }
        }
        Ok(reply)
    }
}

impl Item {
    fn with<'a>(&'a self, value: Value<'a>) -> ReplyItem<'a> {
        ReplyItem {
            attribute: Attribute::Vendor(&self.attribute),
            tag: self.tag,
            value,
        }
    }
}

#[cfg(test)]
mod tests;
