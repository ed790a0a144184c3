//! Takes changes of the database into a snapshot that is being served.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::dictionary::Dictionary;
use crate::group::GroupRow;
use crate::nas::NasRecord;
use crate::plan::Plan;
use crate::policy::vendor::VendorSet;
use crate::snapshot::{Catalog, LeftOut, Snapshot, SnapshotBuilder, pack, warn_of_twins};
use crate::store::{Change, ChangeKind, SnapshotSink, Store, StoreError};
use crate::subscriber::SubscriberRecord;
use crate::tenant::{Tenant, TenantCondition, TenantRealm};

/// Subscribers read per statement.
const CHUNK: usize = 1_000;

/// Where a subscriber stands in the snapshot: tenant and normalized name.
type Key = (u32, String);

pub(crate) struct Intake {
    dictionary: Arc<dyn Dictionary>,
    vendors: Arc<VendorSet>,
    /// Subscribers that are not served because another has their normalized name: due when it gives the name up.
    left_out: HashMap<Key, HashSet<String>>,
}

impl Intake {
    pub(crate) fn new(dictionary: Arc<dyn Dictionary>, vendors: Arc<VendorSet>) -> Self {
        Self {
            dictionary,
            vendors,
            left_out: HashMap::new(),
        }
    }

    /// A builder for a full load.
    pub(crate) fn builder(&self) -> SnapshotBuilder {
        SnapshotBuilder::new(Arc::clone(&self.dictionary), Arc::clone(&self.vendors))
    }

    /// Take over what a full load left out.
    pub(crate) fn remember(&mut self, left_out: Vec<LeftOut>) {
        self.left_out.clear();
        for LeftOut { tenant, name, id } in left_out {
            self.left_out.entry((tenant, name)).or_default().insert(id);
        }
    }

    /// Apply changes in place. `false` = only a full load can take them in.
    pub(crate) async fn take_in(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
        changes: &[Change],
    ) -> Result<bool, StoreError> {
        if changes.iter().any(|change| change.kind != ChangeKind::Subscriber) {
            let before = snapshot.catalog();
            let mut catalog = before.successor();
            store.load_catalog(&mut catalog).await?;
            catalog.judge_groups(&*self.dictionary, &before);
            if catalog.rules_differ(&before) {
                return Ok(false);
            }
            snapshot.replace_catalog(catalog);
        }
        let catalog = snapshot.catalog();
        let subscribers = changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Subscriber)
            .collect::<Vec<_>>();
        let mut wanted: HashSet<String> = subscribers.iter().map(|change| change.id.clone()).collect();
        let mut placed = HashMap::with_capacity(wanted.len());
        // Each round may free names that others wait for; nobody waits for ever, since a name is freed once.
        while !wanted.is_empty() {
            self.place(store, snapshot, &wanted, &mut placed).await?;
            wanted = self.vacate(snapshot, &catalog, &subscribers, &placed);
        }
        Ok(true)
    }

    /// Read subscribers and put them in, each under the key it has now.
    async fn place(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
        ids: &HashSet<String>,
        placed: &mut HashMap<String, Key>,
    ) -> Result<(), StoreError> {
        let ids: Vec<String> = ids.iter().cloned().collect();
        for chunk in ids.chunks(CHUNK) {
            let read = read(store, chunk).await?;
            let catalog = &*with_groups(snapshot, &read);
            for subscriber in read {
                let Some((record, tenant, name)) = pack(catalog, &*self.dictionary, &subscriber) else {
                    continue;
                };
                let key = (tenant, name);
                if let Some(other) = snapshot.get(key.0, &key.1) {
                    let other_id = other.entry().map(|entry| entry.id()).unwrap_or_default();
                    if other_id != subscriber.id && self.claims(store, catalog, &other_id, &key).await? {
                        warn_of_twins(&subscriber.tenant_id, &key.1, &other_id, &subscriber.id);
                        self.left_out.entry(key).or_default().insert(subscriber.id);
                        continue;
                    }
                }
                snapshot.insert(record);
                placed.insert(subscriber.id, key);
            }
        }
        Ok(())
    }

    /// Whether the database still gives that subscriber this key. It may have been replaced without a trace in the feed.
    async fn claims(&self, store: &Store, catalog: &Catalog, id: &str, key: &Key) -> Result<bool, StoreError> {
        let read = read(store, &[id.to_owned()]).await?;
        Ok(read.iter().any(|subscriber| {
            pack(catalog, &*self.dictionary, subscriber)
                .is_some_and(|(_, tenant, name)| (tenant, &name) == (key.0, &key.1))
        }))
    }

    /// Take out the names that changed subscribers no longer have; gives those who waited for one of them.
    ///
    /// This comes after [`Intake::place`], so that a renamed or changed subscriber is never absent in between.
    fn vacate(
        &mut self,
        snapshot: &Snapshot,
        catalog: &Catalog,
        changes: &[&Change],
        placed: &HashMap<String, Key>,
    ) -> HashSet<String> {
        let mut waiting = HashSet::new();
        for change in changes {
            let Some(old) = &change.old_username else { continue };
            let Some(tenant) = catalog.tenant_index(&change.tenant_id) else {
                continue;
            };
            let Some(rules) = catalog.tenant(tenant) else { continue };
            let key = (tenant, rules.normalize(old).into_owned());
            if placed.get(&change.id) != Some(&key) && snapshot.remove(key.0, &key.1, &change.id) {
                waiting.extend(self.left_out.remove(&key).unwrap_or_default());
            }
        }
        waiting
    }
}

/// The catalog, in which all groups of these subscribers have an index: rows may be given to a group later on.
fn with_groups(snapshot: &Snapshot, subscribers: &[SubscriberRecord]) -> Arc<Catalog> {
    let mut catalog = snapshot.catalog();
    let groups = subscribers
        .iter()
        .flat_map(|s| s.groups.iter().map(|group| (s.tenant_id.as_str(), group)));
    let mut unknown = groups
        .filter(|(tenant, group)| catalog.known_group_index(tenant, group).is_none())
        .peekable();
    if unknown.peek().is_some() {
        let mut extended = Catalog::clone(&catalog);
        for (tenant, group) in unknown {
            extended.group_index(tenant, group);
        }
        snapshot.replace_catalog(extended);
        catalog = snapshot.catalog();
    }
    catalog
}

async fn read(store: &Store, ids: &[String]) -> Result<Vec<SubscriberRecord>, StoreError> {
    let mut collected = Collected::default();
    store.load_subscribers(ids, &mut collected).await?;
    Ok(collected.0)
}

/// Collects subscribers read one by one.
#[derive(Default)]
struct Collected(Vec<SubscriberRecord>);

impl SnapshotSink for Collected {
    fn tenant(&mut self, _: Tenant) {}
    fn plan(&mut self, _: Plan) {}
    fn nas(&mut self, _: NasRecord) {}
    fn condition(&mut self, _: TenantCondition) {}
    fn realm(&mut self, _: TenantRealm) {}
    fn group_row(&mut self, _: GroupRow) {}
    fn subscriber(&mut self, subscriber: SubscriberRecord) {
        self.0.push(subscriber);
    }
}

impl SnapshotSink for Catalog {
    fn tenant(&mut self, tenant: Tenant) {
        self.add_tenant(tenant);
    }
    fn plan(&mut self, plan: Plan) {
        self.add_plan(plan);
    }
    fn nas(&mut self, nas: NasRecord) {
        self.add_nas(nas);
    }
    fn condition(&mut self, condition: TenantCondition) {
        self.add_condition(condition);
    }
    fn realm(&mut self, realm: TenantRealm) {
        self.add_realm(realm);
    }
    fn group_row(&mut self, row: GroupRow) {
        self.add_group_row(row);
    }
    fn subscriber(&mut self, _: SubscriberRecord) {}
}

impl SnapshotSink for SnapshotBuilder {
    fn tenant(&mut self, tenant: Tenant) {
        Self::tenant(self, tenant);
    }
    fn plan(&mut self, plan: Plan) {
        Self::plan(self, plan);
    }
    fn nas(&mut self, nas: NasRecord) {
        Self::nas(self, nas);
    }
    fn condition(&mut self, condition: TenantCondition) {
        Self::condition(self, condition);
    }
    fn realm(&mut self, realm: TenantRealm) {
        Self::realm(self, realm);
    }
    fn group_row(&mut self, row: GroupRow) {
        Self::group_row(self, row);
    }
    fn subscriber(&mut self, subscriber: SubscriberRecord) {
        Self::subscriber(self, &subscriber);
    }
}
