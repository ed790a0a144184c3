//! The small part of a snapshot: tenants, plans, groups and NAS. Replaced whole when one of them changes.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use tracing::error;

use super::realm;
use super::rows::first_fault;
use crate::dictionary::{Dictionary, RowList};
use crate::group::{Group, GroupRow};
use crate::nas::NasRecord;
use crate::plan::Plan;
use crate::policy::vendor::{GENERIC, Vendor, VendorSet};
use crate::policy::{Action, Actions, PlanReply, REJECT_ALL};
use crate::tenant::{Condition, ConditionAction, LookupBy, RealmAction, Tenant, TenantCondition, TenantRealm};

static UTC: TimeZone = TimeZone::UTC;

/// What a packet's source stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NasEntry {
    pub tenant: u32,
    /// Index of the vendor in the catalog's set.
    vendor: u16,
    pub shortname: Arc<str>,
    pub require_message_authenticator: bool,
    /// Place among the catalog's NAS.
    at: usize,
}

/// What tenants do with those who are in a condition, compiled.
#[derive(Debug, Clone)]
struct TenantRules {
    zone: TimeZone,
    /// Plans are indices; in the order of [`Condition::ALL`].
    actions: [PackedAction; Condition::ALL.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PackedAction {
    Reject,
    Accept,
    Restrict(u32),
}

/// Tenants, plans, groups and NAS. Records refer to all but NAS by index; an index is never reused for another id.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tenants: Slots<Tenant>,
    /// By the tenant's index.
    rules: HashMap<u32, TenantRules, foldhash::fast::FixedState>,
    conditions: Vec<TenantCondition>,
    /// By the index of the tenant whose NAS they are for.
    realms: HashMap<u32, realm::Rules, foldhash::fast::FixedState>,
    plans: Slots<PlanReply>,
    /// By [`group_id`].
    groups: Slots<Group>,
    nas: Vec<NasRecord>,
    hosts: HashMap<IpAddr, NasEntry, foldhash::fast::FixedState>,
    /// Longest prefix first.
    networks: Vec<(IpNet, NasEntry)>,
    vendors: Arc<VendorSet>,
    finds_by_line: bool,
    /// NAS of unknown vendors that the log has been told of, by id and vendor.
    strangers: Arc<Mutex<HashSet<(i64, String)>>>,
}

/// Groups of different tenants may have one name. No database text holds a NUL.
fn group_id(tenant_id: &str, name: &str) -> String {
    format!("{tenant_id}\0{name}")
}

/// Values by index and by id. The index of an id is given once; its value may come and go.
#[derive(Debug, Clone)]
struct Slots<T> {
    values: Vec<Option<T>>,
    ids: Vec<String>,
    index: HashMap<String, u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            ids: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<T> Slots<T> {
    fn index_of(&mut self, id: &str) -> u32 {
        if let Some(&index) = self.index.get(id) {
            return index;
        }
        let index = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(None);
        self.ids.push(id.to_owned());
        self.index.insert(id.to_owned(), index);
        index
    }

    fn set(&mut self, id: &str, value: T) {
        let index = self.index_of(id);
        if let Some(slot) = self.values.get_mut(index as usize) {
            *slot = Some(value);
        }
    }

    fn get(&self, index: u32) -> Option<&T> {
        self.values.get(index as usize)?.as_ref()
    }

    /// The same indices, no values.
    fn emptied(&self) -> Self {
        let mut values = Vec::new();
        values.resize_with(self.values.len(), || None);
        Self {
            values,
            ids: self.ids.clone(),
            index: self.index.clone(),
        }
    }
}

impl Catalog {
    /// An empty catalog whose NAS are of these vendors.
    #[must_use]
    pub fn new(vendors: Arc<VendorSet>) -> Self {
        Self {
            vendors,
            ..Self::default()
        }
    }

    /// An empty catalog in which ids keep the indices they have here.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self {
            tenants: self.tenants.emptied(),
            plans: self.plans.emptied(),
            vendors: Arc::clone(&self.vendors),
            strangers: Arc::clone(&self.strangers),
            groups: self.groups.emptied(),
            ..Self::default()
        }
    }

    pub fn add_tenant(&mut self, tenant: Tenant) {
        let id = tenant.id.clone();
        let index = self.tenants.index_of(&id);
        self.finds_by_line |= tenant.lookup_by != LookupBy::Username;
        self.rules_of(index).zone = TimeZone::get(&tenant.timezone).unwrap_or_else(|why| {
            error!(
                tenant = tenant.name,
                "time zone {:?}: {why}; UTC is used", tenant.timezone
            );
            TimeZone::UTC
        });
        self.tenants.set(&id, tenant);
    }

    fn rules_of(&mut self, tenant: u32) -> &mut TenantRules {
        self.rules.entry(tenant).or_insert(TenantRules {
            zone: TimeZone::UTC,
            actions: [PackedAction::Reject; Condition::ALL.len()],
        })
    }

    pub fn add_condition(&mut self, condition: TenantCondition) {
        let tenant = self.tenants.index_of(&condition.tenant_id);
        let action = match &condition.action {
            ConditionAction::Reject => PackedAction::Reject,
            ConditionAction::Accept => PackedAction::Accept,
            ConditionAction::Restrict(plan) => PackedAction::Restrict(self.plans.index_of(plan)),
        };
        self.rules_of(tenant).actions[condition.condition as usize] = action;
        self.conditions.push(condition);
    }

    pub fn add_realm(&mut self, realm: TenantRealm) {
        let tenant = self.tenants.index_of(&realm.tenant_id);
        let to = match &realm.action {
            RealmAction::Tenant(id) => Some(self.tenants.index_of(id)),
            RealmAction::Accept | RealmAction::Strip | RealmAction::Refuse => None,
        };
        self.realms.entry(tenant).or_default().add(realm, to);
    }

    /// What becomes of which realm that comes by the tenant's NAS.
    pub(super) fn realms(&self, tenant: u32) -> Option<&realm::Rules> {
        if self.realms.is_empty() {
            return None;
        }
        self.realms.get(&tenant)
    }

    /// The tenant's time zone, and what it does with those who are in a condition.
    #[must_use]
    pub fn rules(&self, tenant: u32) -> (&TimeZone, Actions<'_>) {
        let Some(rules) = self.rules.get(&tenant) else {
            return (&UTC, REJECT_ALL);
        };
        let actions = rules.actions.map(|action| match action {
            PackedAction::Accept => Action::Accept,
            PackedAction::Restrict(plan) => self.plan(plan).map_or(Action::Reject, Action::Restrict),
            PackedAction::Reject => Action::Reject,
        });
        (&rules.zone, actions)
    }

    pub fn add_plan(&mut self, plan: Plan) {
        let id = plan.id.clone();
        self.plans.set(&id, PlanReply::new(plan, &self.vendors));
    }

    /// Add a NAS; its tenant must have come before, for what the tenant has in the place of vendors.
    pub fn add_nas(&mut self, nas: NasRecord) {
        let tenant = self.tenants.index_of(&nas.tenant_id);
        let vendor = self.vendors.get(&nas.vendor).unwrap_or_else(|| {
            self.tell_of_stranger(&nas);
            self.vendors.generic()
        });
        let entry = NasEntry {
            tenant,
            vendor: self.of_tenant(tenant, vendor).index(),
            shortname: nas.shortname.as_str().into(),
            require_message_authenticator: nas.require_message_authenticator,
            at: self.nas.len(),
        };
        let network = nas.network;
        if network.prefix_len() == network.max_prefix_len() {
            // Written twice in two spellings, which only another program can do: a later one takes nothing over.
            if self.hosts.contains_key(&network.addr()) {
                error!(
                    "NAS {} ({}) of tenant {} has the address of another NAS and is left out: delete one of them",
                    nas.id, network, nas.tenant_id
                );
                return;
            }
            self.hosts.insert(network.addr(), entry);
        } else {
            let at = self
                .networks
                .partition_point(|(other, _)| other.prefix_len() >= network.prefix_len());
            self.networks.insert(at, (network, entry));
        }
        self.nas.push(nas);
    }

    /// The NAS at this address: an exact row, else the longest network.
    #[must_use]
    pub fn nas(&self, address: IpAddr) -> Option<&NasEntry> {
        let address = address.to_canonical();
        self.hosts.get(&address).or_else(|| {
            self.networks
                .iter()
                .find(|(network, _)| network.contains(&address))
                .map(|(_, entry)| entry)
        })
    }

    /// All there is of a NAS.
    #[must_use]
    pub fn nas_record(&self, nas: &NasEntry) -> Option<&NasRecord> {
        self.nas.get(nas.at)
    }

    /// The vendor of a NAS that is one.
    #[must_use]
    pub fn vendor_of(&self, nas: &NasEntry) -> &Vendor {
        self.vendors.by_index(nas.vendor)
    }

    /// What a NAS of no known vendor is taken for.
    #[must_use]
    pub fn generic(&self) -> &Vendor {
        self.vendors.generic()
    }

    /// The vendor of a NAS; what is no NAS is generic.
    #[must_use]
    pub fn vendor(&self, nas: Option<&NasEntry>, tenant: &Tenant) -> &Vendor {
        match nas {
            Some(nas) => self.vendor_of(nas),
            None => self
                .vendors
                .for_tenant([&tenant.name, &tenant.id], self.vendors.generic()),
        }
    }

    fn of_tenant<'v>(&'v self, tenant: u32, vendor: &'v Vendor) -> &'v Vendor {
        match self.tenant(tenant) {
            Some(tenant) => self.vendors.for_tenant([&tenant.name, &tenant.id], vendor),
            None => vendor,
        }
    }

    /// Once for each NAS: the catalog is made anew whenever something in it changes.
    fn tell_of_stranger(&self, nas: &NasRecord) {
        if self.strangers.lock().insert((nas.id, nas.vendor.clone())) {
            error!(
                nas = nas.shortname,
                network = %nas.network,
                "the NAS is of vendor {:?}, which the file of vendors does not have: it is taken for {GENERIC}",
                nas.vendor
            );
        }
    }

    /// The index of a tenant that exists.
    #[must_use]
    pub fn tenant_index(&self, id: &str) -> Option<u32> {
        let index = *self.tenants.index.get(id)?;
        self.tenant(index).map(|_| index)
    }

    /// The index of a tenant that exists, by its id or its name.
    #[must_use]
    pub fn tenant_called(&self, id_or_name: &str) -> Option<u32> {
        self.tenant_index(id_or_name).or_else(|| {
            let named = |tenant: &Option<Tenant>| tenant.as_ref().is_some_and(|tenant| tenant.name == id_or_name);
            u32::try_from(self.tenants.values.iter().position(named)?).ok()
        })
    }

    #[must_use]
    pub fn tenant(&self, index: u32) -> Option<&Tenant> {
        self.tenants.get(index)
    }

    #[must_use]
    pub fn plan(&self, index: u32) -> Option<&PlanReply> {
        self.plans.get(index)
    }

    /// Whether any tenant finds subscribers by more than their usernames.
    #[must_use]
    pub fn finds_by_line(&self) -> bool {
        self.finds_by_line
    }

    /// The index a plan id has or will have.
    pub fn plan_index(&mut self, id: &str) -> u32 {
        self.plans.index_of(id)
    }

    /// The index a plan id has, if it was ever seen.
    #[must_use]
    pub fn known_plan_index(&self, id: &str) -> Option<u32> {
        self.plans.index.get(id).copied()
    }

    pub fn add_group_row(&mut self, row: GroupRow) {
        let index = self.groups.index_of(&group_id(&row.tenant_id, &row.group));
        let Some(slot) = self.groups.values.get_mut(index as usize) else {
            return;
        };
        let group = slot.get_or_insert_default();
        match row.list {
            RowList::Check => group.checks.push(row.row),
            RowList::Reply => group.replies.push(row.row),
        }
    }

    /// Find the groups with a row that the server cannot build, and log what `before` had not.
    pub fn judge_groups(&mut self, dictionary: &dyn Dictionary, before: &Self) {
        for (id, slot) in self.groups.ids.iter().zip(&mut self.groups.values) {
            let Some(group) = slot else { continue };
            let known = before.groups.index.get(id).and_then(|&index| before.group(index));
            if known.is_some_and(|known| (&known.checks, &known.replies) == (&group.checks, &group.replies)) {
                group.fault = known.and_then(|known| known.fault.clone());
                continue;
            }
            let name = id.split_once('\0').map_or("", |(_, name)| name);
            let tables = [
                (RowList::Check, "radgroupcheck", group.checks.as_slice()),
                (RowList::Reply, "radgroupreply", group.replies.as_slice()),
            ];
            group.fault = first_fault(dictionary, tables, &format_args!("group {name:?}"))
                .map(|fault| format!("group {name:?}: {fault}"));
            if let Some(fault) = &group.fault {
                let tenant = id.split_once('\0').map_or("", |(tenant, _)| tenant);
                error!(tenant, "its members are refused: {fault}");
            }
        }
    }

    /// The rows of a group, if it has any.
    #[must_use]
    pub fn group(&self, index: u32) -> Option<&Group> {
        self.groups.get(index)
    }

    /// The index a group has or will have.
    pub fn group_index(&mut self, tenant_id: &str, name: &str) -> u32 {
        self.groups.index_of(&group_id(tenant_id, name))
    }

    /// The index a group has, if it was ever seen.
    #[must_use]
    pub fn known_group_index(&self, tenant_id: &str, name: &str) -> Option<u32> {
        self.groups.index.get(&group_id(tenant_id, name)).copied()
    }

    /// Whether a tenant's rules differ by which its subscribers are found: every key of them would have to be made anew.
    #[must_use]
    pub fn rules_differ(&self, other: &Self) -> bool {
        self.tenants.values.iter().flatten().any(|tenant| {
            other
                .tenants
                .index
                .get(&tenant.id)
                .and_then(|&index| other.tenant(index))
                .is_some_and(|there| {
                    (there.username_case, there.username_realm, there.lookup_by)
                        != (tenant.username_case, tenant.username_realm, tenant.lookup_by)
                })
        })
    }

    /// What it was made of, for the copy on disk.
    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            tenants: self
                .tenants
                .ids
                .iter()
                .zip(&self.tenants.values)
                .map(|(id, v)| (id.as_str(), v.as_ref()))
                .collect(),
            plans: self
                .plans
                .ids
                .iter()
                .zip(&self.plans.values)
                .map(|(id, v)| (id.as_str(), v.as_ref().map(|p| &p.plan)))
                .collect(),
            groups: self
                .groups
                .ids
                .iter()
                .zip(&self.groups.values)
                .map(|(id, v)| (id.as_str(), v.as_ref()))
                .collect(),
            nas: &self.nas,
            conditions: &self.conditions,
            realms: self.realms.values().flat_map(realm::Rules::iter).collect(),
        }
    }

    pub(super) fn from_parts(
        tenants: Vec<(String, Option<Tenant>)>,
        plans: Vec<(String, Option<Plan>)>,
        groups: Vec<(String, Option<Group>)>,
        nas: Vec<NasRecord>,
        conditions: Vec<TenantCondition>,
        realms: Vec<TenantRealm>,
        vendors: Arc<VendorSet>,
    ) -> Self {
        let mut catalog = Self::new(vendors);
        for (id, tenant) in tenants {
            catalog.tenants.index_of(&id);
            if let Some(tenant) = tenant {
                catalog.add_tenant(tenant);
            }
        }
        for (id, plan) in plans {
            catalog.plans.index_of(&id);
            if let Some(plan) = plan {
                catalog.add_plan(plan);
            }
        }
        for (id, group) in groups {
            catalog.groups.index_of(&id);
            if let Some(group) = group {
                catalog.groups.set(&id, group);
            }
        }
        for nas in nas {
            catalog.add_nas(nas);
        }
        for condition in conditions {
            catalog.add_condition(condition);
        }
        for realm in realms {
            catalog.add_realm(realm);
        }
        catalog
    }
}

/// A catalog taken apart, in the order of its indices.
#[derive(Debug, serde::Serialize)]
pub(super) struct Parts<'a> {
    pub(super) tenants: Vec<(&'a str, Option<&'a Tenant>)>,
    pub(super) plans: Vec<(&'a str, Option<&'a Plan>)>,
    pub(super) groups: Vec<(&'a str, Option<&'a Group>)>,
    pub(super) nas: &'a [NasRecord],
    pub(super) conditions: &'a [TenantCondition],
    pub(super) realms: Vec<&'a TenantRealm>,
}
