//! From database rows to packed records.

use std::sync::Arc;

use tracing::{error, warn};

use super::line::Line;
use super::record::{Entry, PackedId, PackedTier, Record, StoredSecret};
use super::rows::first_fault;
use super::{Catalog, Snapshot};
use crate::accounting::quota::{Effect, Metric};
use crate::dictionary::{Dictionary, RowList};
use crate::group::GroupRow;
use crate::nas::NasRecord;
use crate::network_profile::NetworkFacts;
use crate::password::StoredPassword;
use crate::plan::Plan;
use crate::policy::binding::{Binding, Bound};
use crate::policy::hours::Hours;
use crate::policy::schedule::{Change, Scheduled};
use crate::policy::vendor::VendorSet;
use crate::policy::{PasswordFact, SubscriberFacts};
use crate::subscriber::{RawRow, SubscriberRecord, SubscriberTier};
use crate::tenant::{Tenant, TenantCondition, TenantRealm};

/// Builds a whole snapshot, or packs single subscribers against an existing catalog.
pub struct SnapshotBuilder {
    catalog: Catalog,
    snapshot: Snapshot,
    dictionary: Arc<dyn Dictionary>,
    left_out: Vec<LeftOut>,
}

/// A subscriber that is not served because another one has its normalized name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Index of the tenant in the catalog.
    pub tenant: u32,
    /// The normalized name.
    pub name: String,
    /// The subscriber's id.
    pub id: String,
}

impl std::fmt::Debug for SnapshotBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotBuilder")
            .field("subscribers", &self.snapshot.len())
            .finish_non_exhaustive()
    }
}

impl SnapshotBuilder {
    /// Start empty. `dictionary` judges raw rows; `vendors` says what plans are to a NAS.
    pub fn new(dictionary: Arc<dyn Dictionary>, vendors: Arc<VendorSet>) -> Self {
        Self {
            catalog: Catalog::new(vendors),
            snapshot: Snapshot::default(),
            dictionary,
            left_out: Vec::new(),
        }
    }

    pub fn tenant(&mut self, tenant: Tenant) {
        self.catalog.add_tenant(tenant);
    }

    pub fn condition(&mut self, condition: TenantCondition) {
        self.catalog.add_condition(condition);
    }

    pub fn realm(&mut self, realm: TenantRealm) {
        self.catalog.add_realm(realm);
    }

    pub fn plan(&mut self, plan: Plan) {
        self.catalog.add_plan(plan);
    }

    pub fn nas(&mut self, nas: NasRecord) {
        self.catalog.add_nas(nas);
    }

    pub fn group_row(&mut self, row: GroupRow) {
        self.catalog.add_group_row(row);
    }

    /// Add a subscriber; its tenant must have come before. The first of two with one normalized name stays.
    pub fn subscriber(&mut self, subscriber: &SubscriberRecord) {
        if let Some(plan) = &subscriber.plan_id {
            self.catalog.plan_index(plan);
        }
        for group in &subscriber.groups {
            self.catalog.group_index(&subscriber.tenant_id, group);
        }
        if let Some(SubscriberTier {
            effect: Effect::Plan(plan),
            ..
        }) = &subscriber.tier
        {
            self.catalog.plan_index(plan);
        }
        for planned in &subscriber.schedule {
            if let Change::Plan(plan) = &planned.change {
                self.catalog.plan_index(plan);
            }
        }
        let Some((record, tenant, name)) = pack(&self.catalog, &*self.dictionary, subscriber) else {
            return;
        };
        let Some(earlier) = self.snapshot.insert(record) else {
            return;
        };
        // Whichever order a database reads them in, every server is to serve the same one.
        let earlier_id = earlier.entry().map(|entry| entry.id()).unwrap_or_default();
        let (served, id) = if subscriber.id < earlier_id {
            (subscriber.id.clone(), earlier_id)
        } else {
            self.snapshot.insert(earlier);
            (earlier_id, subscriber.id.clone())
        };
        warn_of_twins(&subscriber.tenant_id, &name, &served, &id);
        self.left_out.push(LeftOut { tenant, name, id });
    }

    /// The finished snapshot, and who did not get into it.
    #[must_use]
    pub fn finish(mut self) -> (Snapshot, Vec<LeftOut>) {
        self.catalog.judge_groups(&*self.dictionary, &Catalog::default());
        self.snapshot.replace_catalog(self.catalog);
        (self.snapshot, self.left_out)
    }
}

/// Two subscribers of one tenant whose names the tenant's rules make equal: only one can be served.
pub(crate) fn warn_of_twins(tenant: &str, username: &str, served: &str, left_out: &str) {
    warn!(
        tenant,
        username,
        served,
        id = left_out,
        "another subscriber has the same name under the tenant's username rules; this one is not served: rename it",
    );
}

/// Pack a subscriber; gives the record with the key it stands under. `None` where it cannot be served at all.
pub(crate) fn pack(
    catalog: &Catalog,
    dictionary: &dyn Dictionary,
    subscriber: &SubscriberRecord,
) -> Option<(Record, u32, String)> {
    let tenant = catalog.tenant_index(&subscriber.tenant_id)?;
    let rules = catalog.tenant(tenant)?;
    let name = rules.normalize(&subscriber.username).into_owned();

    let (hours, bad_hours) = hours(subscriber);
    let fault = bad_hours.or_else(|| {
        let tables = [
            (RowList::Check, "radcheck", subscriber.checks.as_slice()),
            (RowList::Reply, "radreply", &subscriber.replies),
        ];
        first_fault(dictionary, tables, &subscriber.username)
    });
    if let Some(fault) = &fault {
        error!(
            tenant = subscriber.tenant_id,
            username = subscriber.username,
            "subscriber is refused: {fault}"
        );
    }
    let unreadable;
    let (secret, password) = match subscriber.password.as_deref().filter(|password| !password.is_empty()) {
        None => (StoredSecret::None, PasswordFact::None),
        Some(password) => match StoredPassword::parse(subscriber.password_hash_method.as_deref(), password) {
            Ok(parsed) => {
                let scheme = parsed.scheme();
                (StoredSecret::Password(parsed), PasswordFact::Stored(scheme))
            }
            Err(problem) => {
                unreadable = problem.to_string();
                error!(
                    tenant = subscriber.tenant_id,
                    username = subscriber.username,
                    "stored password: {unreadable}"
                );
                (StoredSecret::Unreadable(&unreadable), PasswordFact::Unreadable)
            }
        },
    };
    let entry = Entry {
        lines: Line::all_of(rules.lookup_by, subscriber),
        id: PackedId::new(&subscriber.id),
        secret,
        plan: subscriber
            .plan_id
            .as_deref()
            .and_then(|id| catalog.known_plan_index(id)),
        facts: SubscriberFacts {
            status: subscriber.status,
            password,
            has_checks: !subscriber.checks.is_empty() || !subscriber.groups.is_empty(),
            download_kbps: subscriber.download_kbps,
            upload_kbps: subscriber.upload_kbps,
            static_ipv4: subscriber.static_ipv4,
            static_ipv6: subscriber.static_ipv6,
            ipv6_prefix: subscriber.ipv6_prefix,
            delegated_ipv6_prefix: subscriber.delegated_ipv6_prefix,
            vlan_id: subscriber.vlan_id,
            inner_vlan_id: subscriber.inner_vlan_id,
            session_timeout: subscriber.session_timeout,
            idle_timeout: subscriber.idle_timeout,
            simultaneous_use: subscriber.simultaneous_use,
            activation_date: subscriber.activation_date,
            expiration_date: subscriber.expiration_date,
        },
        tier: subscriber.tier.as_ref().and_then(|tier| pack_tier(catalog, tier)),
        binding: subscriber
            .network
            .as_ref()
            .map(|network| bind(network, subscriber))
            .filter(|binding| !binding.is_empty()),
        hours,
        schedule: subscriber
            .schedule
            .iter()
            .filter_map(|planned| pack_planned(catalog, planned))
            .collect(),
        checks: subscriber.checks.iter().map(RawRow::from).collect(),
        replies: subscriber.replies.iter().map(RawRow::from).collect(),
        groups: subscriber
            .groups
            .iter()
            .filter_map(|group| catalog.known_group_index(&subscriber.tenant_id, group))
            .collect(),
        fault: fault.as_deref(),
    };
    let Some(record) = Record::pack(tenant, &name, &entry) else {
        error!(
            tenant = subscriber.tenant_id,
            id = subscriber.id,
            "username of {} bytes is longer than a User-Name can be: the subscriber cannot log in",
            name.len()
        );
        return None;
    };
    Some((record, tenant, name))
}

fn pack_tier(catalog: &Catalog, tier: &SubscriberTier) -> Option<PackedTier> {
    Some(PackedTier {
        plan: match &tier.effect {
            Effect::Refuse => None,
            Effect::Plan(id) => Some(catalog.known_plan_index(id)?),
        },
        of_time: tier.metric == Metric::Time,
        until: tier.until,
    })
}

/// When it may be online, or what is wrong with the text that should say so.
fn hours(subscriber: &SubscriberRecord) -> (Option<Hours>, Option<String>) {
    let text = subscriber
        .network
        .as_ref()
        .and_then(|network| network.login_time.as_deref());
    match text.map(Hours::parse).transpose() {
        Ok(hours) => (hours, None),
        Err(why) => (None, Some(format!("subscriber_network_profiles, login_time: {why}"))),
    }
}

fn bind<'a>(network: &'a NetworkFacts, subscriber: &SubscriberRecord) -> Binding<'a> {
    Binding {
        nas: Bound::new(network.nas_identifier.as_deref(), network.nas_policy),
        port: Bound::new(network.nas_port_id.as_deref(), network.port_policy),
        mac: Bound::new(network.mac_addresses.as_deref(), network.mac_policy),
        vlan: Bound::new(
            subscriber.vlan_id.map(|outer| (outer, subscriber.inner_vlan_id)),
            network.vlan_policy,
        ),
        circuit_id: Bound::new(network.circuit_id.as_deref(), network.option82_policy),
        remote_id: Bound::new(network.remote_id.as_deref(), network.option82_policy),
    }
}

fn pack_planned(catalog: &Catalog, planned: &Scheduled<String>) -> Option<Scheduled<u32>> {
    Some(Scheduled {
        at: planned.at,
        change: match &planned.change {
            Change::Status(status) => Change::Status(*status),
            Change::Plan(id) => Change::Plan(catalog.known_plan_index(id)?),
        },
    })
}
