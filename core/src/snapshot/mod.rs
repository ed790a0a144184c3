//! The whole subscriber base in memory, compact, so that a login never waits for a database.
//!
//! A record is one shared byte string: its key (tenant and normalized username), then the packed entry. A million of them
//! fit into a few hundred megabytes, and a reader that has cloned the handle holds no lock while it decides.

mod builder;
mod catalog;
mod disk;
mod record;
mod rows;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

pub use builder::{LeftOut, SnapshotBuilder};
#[cfg(feature = "store")]
pub(crate) use builder::{pack, warn_of_twins};
pub use catalog::{Catalog, NasEntry};
pub use disk::{DiskError, Stored};
pub use record::{Entry, PackedTier, Record, StoredSecret};
use table::Table;

use crate::group::{self, Group};
use crate::password::AuthMethod;
use crate::policy::binding::Packet;
use crate::policy::schedule::Standing;
use crate::policy::vendor::Vendor;
use crate::policy::{Facts, PlanReply, SubscriberFacts, Tier, TierEffect};
use crate::tenant::Tenant;

/// Subscribers, plans, tenants and NAS at one moment, kept fresh in place.
#[derive(Debug, Default)]
pub struct Snapshot {
    catalog: ArcSwap<Catalog>,
    table: Table,
}

/// A snapshot with one catalog held fast, so that what is found in it belongs together.
pub struct View<'s> {
    catalog: Guard<Arc<Catalog>>,
    table: &'s Table,
}

/// A subscriber found in a snapshot, with what it refers to.
#[derive(Debug)]
pub struct Found<'v> {
    pub tenant: &'v Tenant,
    /// The NAS the packet came from, if its source is one.
    pub nas: Option<&'v NasEntry>,
    /// The tenant's index.
    index: u32,
    catalog: &'v Catalog,
    record: Record,
}

/// What is asked, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub method: AuthMethod,
    pub packet: Packet<'a>,
    /// Unix seconds.
    pub now: i64,
}

/// Why a packet's sender could not be matched to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Nas,
    Subscriber,
}

impl Snapshot {
    /// Hold the catalog fast and look things up.
    pub fn view(&self) -> View<'_> {
        View {
            catalog: self.catalog.load(),
            table: &self.table,
        }
    }

    /// Tenants, plans and NAS as they stand.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Put another catalog in place. It must keep the indices of the one before ([`Catalog::successor`]).
    pub fn replace_catalog(&self, catalog: Catalog) {
        self.catalog.store(Arc::new(catalog));
    }

    /// Insert or replace one record.
    pub fn insert(&self, record: Record) -> Option<Record> {
        self.table.insert(record)
    }

    /// The record under a key.
    pub fn get(&self, tenant: u32, username: &str) -> Option<Record> {
        self.table.get(tenant, username)
    }

    /// Remove the record under this key if it is that subscriber's.
    pub fn remove(&self, tenant: u32, username: &str, id: &str) -> bool {
        self.table.remove_if(tenant, username, |record| {
            record.entry().is_ok_and(|entry| entry.id() == id)
        })
    }

    /// How many subscribers it holds.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl View<'_> {
    /// The subscriber a packet from `source` with this User-Name is about. `default_tenant`, by id or name, answers
    /// for sources that are no NAS.
    ///
    /// # Errors
    /// No tenant for `source`, or no such subscriber in it.
    pub fn find(
        &self,
        source: Option<IpAddr>,
        default_tenant: Option<&str>,
        user_name: &str,
    ) -> Result<Found<'_>, Missing> {
        let nas = source.and_then(|address| self.catalog.nas(address));
        let index = self.tenant_index(nas, default_tenant).ok_or(Missing::Nas)?;
        let tenant = self.catalog.tenant(index).ok_or(Missing::Nas)?;
        let record = self
            .table
            .get(index, &tenant.normalize(user_name))
            .ok_or(Missing::Subscriber)?;
        Ok(Found {
            tenant,
            nas,
            index,
            catalog: &self.catalog,
            record,
        })
    }

    /// The tenant a packet from `source` belongs to.
    pub fn tenant_of(&self, source: Option<IpAddr>, default_tenant: Option<&str>) -> Option<&Tenant> {
        let nas = source.and_then(|address| self.catalog.nas(address));
        self.catalog.tenant(self.tenant_index(nas, default_tenant)?)
    }

    fn tenant_index(&self, nas: Option<&NasEntry>, default_tenant: Option<&str>) -> Option<u32> {
        nas.map(|nas| nas.tenant)
            .or_else(|| self.catalog.tenant_called(default_tenant?))
    }
}

impl Found<'_> {
    /// The unpacked entry.
    ///
    /// # Errors
    /// The record is damaged; cannot happen to one this process packed.
    pub fn entry(&self) -> Result<Entry<'_>, postcard::Error> {
        self.record.entry()
    }

    /// The vendor of the NAS.
    pub fn vendor(&self) -> &Vendor {
        self.catalog.vendor(self.nas, self.tenant)
    }

    /// The plan with an index out of this subscriber's entry.
    pub fn plan(&self, index: u32) -> Option<&PlanReply> {
        self.catalog.plan(index)
    }

    /// What a decision about this subscriber depends on; `subscriber` and `standing` are as of the packet's instant.
    pub fn facts<'a>(
        &'a self,
        entry: &'a Entry<'_>,
        subscriber: &'a SubscriberFacts,
        standing: &Standing<u32>,
        asked: Asked<'a>,
    ) -> Facts<'a> {
        let (zone, actions) = self.catalog.rules(self.index);
        let mut facts = Facts::new(self.tenant, subscriber, asked.method, asked.now);
        facts.zone = zone;
        facts.actions = actions;
        facts.vendor = self.vendor();
        if let Some(nas) = self.nas {
            facts.nas = &nas.shortname;
            facts.signature_required = nas.require_message_authenticator;
        }
        facts.packet = asked.packet;
        if let Some(binding) = &entry.binding {
            facts.binding = binding;
        }
        facts.hours = entry.hours.as_ref();
        facts.plan = standing.plan.and_then(|index| self.plan(index));
        facts.tier = entry.tier.and_then(|tier| self.tier(tier));
        facts.next_status = standing.next_status;
        facts.seed = entry.seed();
        facts
    }

    /// The group with an index out of this subscriber's entry.
    pub fn group(&self, index: u32) -> &Group {
        self.catalog.group(index).unwrap_or(&group::EMPTY)
    }

    /// The tier in this subscriber's entry, unless the plan it puts in place is gone.
    pub fn tier(&self, tier: PackedTier) -> Option<Tier<'_>> {
        let effect = match tier.plan {
            None => TierEffect::Refuse,
            Some(index) => TierEffect::Plan(self.plan(index)?),
        };
        Some(Tier {
            effect,
            of_time: tier.of_time,
            until: tier.until,
        })
    }
}

#[cfg(test)]
mod tests;
