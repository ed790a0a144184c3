//! The whole subscriber base in memory, compact, so that a login never waits for a database.
//!
//! A record is one shared byte string: its key (tenant and normalized username), then the packed entry. A million of them
//! fit into a few hundred megabytes, and a reader that has cloned the handle holds no lock while it decides.

mod builder;
mod catalog;
mod disk;
mod line;
mod realm;
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
pub use line::Sender;
use line::{At, Line, Lines};
pub use record::{Entry, PackedTier, Record, StoredSecret};
use table::Table;

use crate::group::{self, Group};
use crate::password::AuthMethod;
use crate::policy::binding::Packet;
use crate::policy::schedule::Standing;
use crate::policy::vendor::Vendor;
use crate::policy::{Facts, PlanReply, Reason, Refusal, SubscriberFacts, Tier, TierEffect};
use crate::tenant::{LookupBy, RealmAction, Tenant, TenantRealm};

/// Subscribers, plans, tenants and NAS at one moment, kept fresh in place.
#[derive(Debug, Default)]
pub struct Snapshot {
    catalog: ArcSwap<Catalog>,
    table: Table,
    lines: Lines,
}

/// A snapshot with one catalog held fast, so that what is found in it belongs together.
pub struct View<'s> {
    catalog: Guard<Arc<Catalog>>,
    table: &'s Table,
    lines: &'s Lines,
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
    /// It was found by where its line ends.
    by_line: bool,
    /// The rule for its realm that led to the tenant.
    realm: Option<&'v TenantRealm>,
}

/// Where a packet leads before its sender is looked up.
struct Route<'v> {
    nas: Option<&'v NasEntry>,
    /// The tenant's.
    index: u32,
    tenant: &'v Tenant,
    rule: Option<&'v realm::Rule>,
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
    /// Several subscribers have the line it comes by.
    Ambiguous,
    /// The tenant refuses a User-Name without a realm.
    NoRealm,
    /// The tenant refuses its realm.
    Realm,
}

impl Missing {
    /// What becomes of a packet from `source` then.
    #[must_use]
    pub fn refusal(self, source: Option<IpAddr>) -> Refusal {
        match self {
            Self::Nas => {
                let message = match source {
                    Some(address) => {
                        format!("{address} is no NAS of any tenant: add it to the nas table or set default_tenant")
                    }
                    None => "the packet's source address is not known".to_owned(),
                };
                Refusal::new(Reason::UnknownNas, message)
            }
            Self::Subscriber => Refusal::new(Reason::UnknownSubscriber, "no such subscriber"),
            Self::NoRealm => Refusal::new(
                Reason::RealmRefused,
                "User-Name has no realm, and the tenant of the NAS takes none without",
            ),
            Self::Realm => Refusal::new(Reason::RealmRefused, "the tenant of the NAS does not take this realm"),
            Self::Ambiguous => Refusal::new(
                Reason::AmbiguousLine,
                "several subscribers have the MAC address or the circuit that the packet comes by",
            ),
        }
    }
}

impl Snapshot {
    /// Hold the catalog fast and look things up.
    pub fn view(&self) -> View<'_> {
        View {
            catalog: self.catalog.load(),
            table: &self.table,
            lines: &self.lines,
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
        let old = self.table.insert(record.clone());
        self.lines.replace(&record, old.as_ref());
        old
    }

    /// The record under a key.
    pub fn get(&self, tenant: u32, username: &str) -> Option<Record> {
        self.table.get(tenant, username)
    }

    /// Remove the record under this key if it is that subscriber's.
    pub fn remove(&self, tenant: u32, username: &str, id: &str) -> bool {
        let removed = self.table.remove_if(tenant, username, |record| {
            record.entry().is_ok_and(|entry| entry.id() == id)
        });
        removed.inspect(|record| self.lines.remove(record)).is_some()
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
    /// The subscriber a packet from `source` is about. `default_tenant`, by id or name, answers for sources that are no NAS.
    ///
    /// # Errors
    /// No tenant for `source`, no such subscriber in it, or more than one.
    pub fn find(
        &self,
        source: Option<IpAddr>,
        default_tenant: Option<&str>,
        sender: &Sender<'_>,
    ) -> Result<Found<'_>, Missing> {
        let route = self.route(source, default_tenant, sender)?;
        let Route {
            nas,
            index,
            tenant,
            rule,
        } = route;
        let (record, by_line) = match tenant.lookup_by {
            LookupBy::Username => (self.named(&route, sender).ok_or(Missing::Subscriber)?, false),
            by => self.of_line(&route, by, sender)?,
        };
        Ok(Found {
            realm: rule.map(|rule| &rule.said),
            tenant,
            nas,
            index,
            catalog: &self.catalog,
            record,
            by_line,
        })
    }

    /// The subscriber of a tenant, by its username, at a NAS of whichever tenant.
    pub fn find_in(&self, tenant_id: &str, nas: IpAddr, username: &str) -> Option<Found<'_>> {
        let index = self.catalog.tenant_index(tenant_id)?;
        let tenant = self.catalog.tenant(index)?;
        Some(Found {
            record: self.table.get(index, &tenant.normalize(username))?,
            tenant,
            nas: self.catalog.nas(nas),
            index,
            catalog: &self.catalog,
            by_line: false,
            realm: None,
        })
    }

    /// The NAS's tenant, or the one that it hands the realm on to: once, so that no chain of rules can go in circles.
    fn route(
        &self,
        source: Option<IpAddr>,
        default_tenant: Option<&str>,
        sender: &Sender<'_>,
    ) -> Result<Route<'_>, Missing> {
        let nas = source.and_then(|address| self.catalog.nas(address));
        let index = self.tenant_index(nas, default_tenant).ok_or(Missing::Nas)?;
        let tenant = self.catalog.tenant(index).ok_or(Missing::Nas)?;
        let rules = self.catalog.realms(index);
        let rule = rules.and_then(|rules| rules.of(std::str::from_utf8(sender.user_name).ok()?));
        let mut route = Route {
            nas,
            index,
            tenant,
            rule,
        };
        let Some(rule) = rule else { return Ok(route) };
        match rule.said.action {
            RealmAction::Accept | RealmAction::Strip => {}
            // What is no name has no realm to be wanted.
            RealmAction::Refuse if rule.said.realm.is_empty() => {
                if tenant.lookup_by == LookupBy::Username || !sender.is_nas() || !sender.names_line() {
                    return Err(Missing::NoRealm);
                }
            }
            RealmAction::Refuse => return Err(Missing::Realm),
            RealmAction::Tenant(_) => {
                route.index = rule.to.ok_or(Missing::Realm)?;
                route.tenant = self.catalog.tenant(route.index).ok_or(Missing::Realm)?;
            }
        }
        Ok(route)
    }

    fn named(&self, route: &Route<'_>, sender: &Sender<'_>) -> Option<Record> {
        // No database text is other than UTF-8, so no other name can be in it.
        let name = std::str::from_utf8(sender.user_name).ok()?;
        let name = route.rule.map_or(name, |rule| rule.name(name));
        self.table.get(route.index, &route.tenant.normalize(name))
    }

    /// By its name, or by where its line ends (`true`): where it is the NAS that speaks, and User-Name is of nobody or says
    /// no more than where the line ends. A name that is another's, and a password that is somebody's, are never passed over.
    fn of_line(&self, route: &Route<'_>, by: LookupBy, sender: &Sender<'_>) -> Result<(Record, bool), Missing> {
        let named = self.named(route, sender);
        let vouched = sender.is_nas() && (sender.names_line() || (named.is_none() && !sender.has_password));
        let line = Line::of(by, &sender.packet).filter(|_| vouched);
        match (
            line.map_or(At::Nobody, |line| self.lines.find(route.index, &line)),
            named,
        ) {
            (At::One(record), None) => Ok((record, true)),
            (At::One(record), Some(named)) if record.key() == named.key() => Ok((record, true)),
            (At::One(_) | At::Several | At::Nobody, Some(named)) => Ok((named, false)),
            (At::Several, None) => Err(Missing::Ambiguous),
            (At::Nobody, None) => Err(Missing::Subscriber),
        }
    }

    /// Whether any tenant finds subscribers by more than their usernames, so that a packet has to be asked for more.
    pub fn finds_by_line(&self) -> bool {
        self.catalog.finds_by_line()
    }

    /// The tenant a packet from `source` belongs to, whether or not its sender is somebody.
    pub fn tenant_of(
        &self,
        source: Option<IpAddr>,
        default_tenant: Option<&str>,
        sender: &Sender<'_>,
    ) -> Option<&Tenant> {
        match self.route(source, default_tenant, sender) {
            Ok(route) => Some(route.tenant),
            Err(_) => {
                let nas = source.and_then(|address| self.catalog.nas(address));
                self.catalog.tenant(self.tenant_index(nas, default_tenant)?)
            }
        }
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
        facts.realm = self.realm;
        facts.found_by_line = self.by_line.then(|| self.record.username());
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
