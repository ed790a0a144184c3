//! Where the database and NetBox say different things, and putting it right.
//!
//! NetBox is gone through once, page by page; for each page the database is asked about its subscribers. What is left
//! over here was not in NetBox. Memory holds a page and eight bytes for each address.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::json;

use super::drift::{Drift, DriftKind, Report};
use super::{Origin, Sync, SyncError, held, need};
use crate::addressing::Kind;
use crate::netbox::allocate::{Allocation, Object, collection};
use crate::netbox::client::{NetboxError, Query};
use crate::netbox::model::{AddressStatus, IpAddress, Prefix, PrefixStatus};
use crate::netbox::owner::OwnerFields;
use crate::netbox::pool;
use crate::store::{Addressed, Assignment};

/// An object with what is written on it.
pub(super) struct Found {
    object: Object,
    description: String,
    active: bool,
    etag: Option<String>,
}

impl Found {
    pub(super) const fn id(&self) -> u64 {
        self.object.id
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.object.subscriber_id.as_deref()
    }
}

impl From<IpAddress> for Found {
    fn from(address: IpAddress) -> Self {
        Self {
            description: address.description.clone(),
            active: address.status.value == AddressStatus::Active,
            etag: address.etag(),
            object: address.into(),
        }
    }
}

impl From<Prefix> for Found {
    fn from(prefix: Prefix) -> Self {
        Self {
            description: prefix.description.clone(),
            active: prefix.status.value == PrefixStatus::Active,
            etag: prefix.etag(),
            object: prefix.into(),
        }
    }
}

/// One run.
pub(super) struct Run<'r, 'a> {
    sync: &'r Sync<'a>,
    repair: bool,
    kinds: &'r [Kind],
    report: Report,
    /// Objects that are as the database has them, by kind of object and id.
    matched: HashSet<(bool, u64)>,
    /// Subscribers who have none here, and for whom NetBox keeps one.
    offered: HashSet<(String, Kind)>,
}

impl Sync<'_> {
    /// Look at everything; with `repair`, put right what can be without a person. `kinds` are those every subscriber is
    /// to have; what he has beside them is looked at as well.
    ///
    /// # Errors
    /// NetBox or the database does not answer. What was repaired until then is.
    pub async fn reconcile(&self, kinds: &[Kind], repair: bool) -> Result<Report, SyncError> {
        let mut run = Run::new(self, repair, kinds);
        run.netbox().await?;
        run.database().await?;
        run.sessions().await?;
        Ok(run.finish())
    }
}

impl<'r, 'a> Run<'r, 'a> {
    pub(super) fn new(sync: &'r Sync<'a>, repair: bool, kinds: &'r [Kind]) -> Self {
        Self {
            sync,
            repair,
            kinds,
            report: Report::default(),
            matched: HashSet::new(),
            offered: HashSet::new(),
        }
    }

    pub(super) fn finish(mut self) -> Report {
        self.report
            .drift
            .sort_by(|a, b| (a.kind, &a.subscriber_id).cmp(&(b.kind, &b.subscriber_id)));
        self.report
    }
}

impl Run<'_, '_> {
    async fn netbox(&mut self) -> Result<(), SyncError> {
        let client = self.sync.allocator.client.clone();
        let query = || Query::new().with("tenant_id", self.sync.allocator.rules.tenant);
        let what = "go through what subscribers have";
        let mut pages = client.all::<IpAddress>(what, collection(Kind::Ipv4), query());
        while let Some(page) = pages.next().await? {
            self.page(page.into_iter().map(Found::from).collect()).await?;
        }
        let mut pages = client.all::<Prefix>(what, collection(Kind::Ipv6Prefix), query());
        while let Some(page) = pages.next().await? {
            self.page(page.into_iter().map(Found::from).collect()).await?;
        }
        Ok(())
    }

    pub(super) async fn page(&mut self, page: Vec<Found>) -> Result<(), SyncError> {
        // What is out of use waits for the end of its quarantine; what names no subscriber is no business of ours.
        let page: Vec<Found> = page
            .into_iter()
            .filter(|found| !found.object.deprecated && found.object.kind.is_some())
            .filter(|found| found.object.subscriber_id.is_some())
            .collect();
        self.report.objects += page.len() as u64;
        let mut ids: Vec<&str> = page
            .iter()
            .filter_map(|found| found.object.subscriber_id.as_deref())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let store = self.sync.store;
        let subscribers = store.addressed_of(&self.sync.tenant_id, &ids).await?;
        let given = store.assignments(&self.sync.tenant_id, &ids).await?;
        let subscribers: HashMap<&str, &Addressed> = subscribers
            .iter()
            .map(|one| (one.subscriber_id.as_str(), one))
            .collect();
        let given: HashMap<(&str, Kind), &Assignment> = given
            .iter()
            .map(|given| ((given.subscriber_id.as_str(), given.kind), given))
            .collect();
        for found in &page {
            let (Some(id), Some(kind)) = (found.object.subscriber_id.as_deref(), found.object.kind) else {
                continue;
            };
            let subscriber = subscribers.get(id).copied().filter(|subscriber| subscriber.alive);
            let given = given.get(&(id, kind)).copied();
            self.object(found, id, kind, subscriber, given).await;
        }
        Ok(())
    }

    async fn object(
        &mut self,
        found: &Found,
        id: &str,
        kind: Kind,
        subscriber: Option<&Addressed>,
        given: Option<&Assignment>,
    ) {
        let object = &found.object;
        let Some(subscriber) = subscriber else {
            // Only what carries our key was made by us: the rest may be of a system that has subscribers of its own.
            let ours = object.key(&self.sync.allocator.rules).is_some();
            let detail = format!("NetBox keeps it for subscriber {id}, who is gone");
            let outcome = match self.repair && ours {
                true => Some(self.give_back(kind, object.id, id).await),
                false => None,
            };
            self.note(DriftKind::Orphaned, Some(id), object, detail, outcome);
            return;
        };
        let have = held(subscriber, kind);
        let other = given.is_some_and(|given| given.netbox_id.is_some_and(|known| known != object.id));
        let second = other || has_another(subscriber, kind, object, have);
        if second {
            let detail = match have {
                Some(have) => format!("subscriber {id} has {have}, and NetBox keeps this one for him too"),
                None => format!("NetBox keeps several for subscriber {id}"),
            };
            let outcome = match self.repair {
                true => Some(self.sync.allocator.release(kind, object.id, id).await.map(drop)),
                false => None,
            };
            self.note(
                DriftKind::Duplicated,
                Some(id),
                object,
                detail,
                outcome.map(|done| done.map_err(Into::into)),
            );
            return;
        }
        self.matched.insert((kind == Kind::Ipv6Prefix, object.id));
        let same = |net: IpNet| match kind {
            Kind::Ipv4 | Kind::Ipv6 => net.addr() == object.net.addr(),
            Kind::Ipv6Prefix => net.trunc() == object.net.trunc(),
        };
        match have {
            Some(have) if same(have) && given.is_some_and(|given| given.netbox_id == Some(object.id)) => {}
            Some(have) if same(have) => {
                let detail = format!("subscriber {id} has it here, without a note that it is in NetBox");
                let outcome = self.adopt(id, kind, object).await;
                self.note(DriftKind::Missing, Some(id), object, detail, outcome);
            }
            Some(have) => {
                let detail = format!("subscriber {id} has {have} here");
                let outcome = self.adopt(id, kind, object).await;
                self.note(DriftKind::Changed, Some(id), object, detail, outcome);
            }
            None => {
                self.offered.insert((id.to_owned(), kind));
                let detail = format!("NetBox keeps it for subscriber {id}, who has none here");
                let outcome = self.adopt(id, kind, object).await;
                self.note(DriftKind::Orphaned, Some(id), object, detail, outcome);
            }
        }
        self.labels(found, subscriber, kind).await;
    }

    /// What a subscriber who is gone had. Here, too: a reservation of his would keep the address from the next.
    async fn give_back(&self, kind: Kind, netbox_id: u64, id: &str) -> Result<(), SyncError> {
        let sync = self.sync;
        sync.store.unassign(&sync.tenant_id, id, kind, &sync.by).await?;
        sync.allocator.release(kind, netbox_id, id).await?;
        Ok(())
    }

    /// The database follows NetBox.
    async fn adopt(&self, id: &str, kind: Kind, object: &Object) -> Option<Result<(), SyncError>> {
        if !self.repair {
            return None;
        }
        let allocation = Allocation {
            kind,
            id: object.id,
            net: object.net,
            pool: None,
        };
        let assignment = self.sync.assignment(id, &allocation);
        Some(self.sync.store.assign(&assignment).await.map_err(Into::into))
    }

    /// What is written on an object that is where it should be.
    async fn labels(&mut self, found: &Found, subscriber: &Addressed, kind: Kind) {
        let object = &found.object;
        let rules = &self.sync.allocator.rules;
        let id = subscriber.subscriber_id.as_str();
        let mut body = serde_json::Map::new();
        let mut fields = serde_json::Map::new();
        let key = format!("{id}:{kind}");
        if let Some(field) = &rules.key_field
            && object.key(rules).as_deref() != Some(&key)
        {
            fields.insert(field.clone(), key.into());
        }
        let own = OwnerFields::from(&object.fields);
        if own.subscriber_id.as_deref() != Some(id) {
            fields.insert("subscriber_id".to_owned(), id.into());
        }
        if own.subscriber_username.as_deref() != Some(&subscriber.username) {
            fields.insert("subscriber_username".to_owned(), subscriber.username.as_str().into());
        }
        // Both spellings are right.
        let described = found.description.strip_prefix("Subscriber:").map(str::trim);
        if described != Some(id) {
            body.insert("description".to_owned(), OwnerFields::description(id).into());
        }
        let named: Vec<&str> = fields
            .keys()
            .map(String::as_str)
            .chain(body.keys().map(String::as_str))
            .collect();
        let labels = named.join(", ");
        if !fields.is_empty() {
            body.insert("custom_fields".to_owned(), fields.into());
        }
        if !body.is_empty() {
            let outcome = self.patch(object, found.etag.as_deref(), kind, &body.into()).await;
            let detail = format!("not subscriber {id}'s: {labels}");
            self.note(DriftKind::Mislabelled, Some(id), object, detail, outcome);
        }
        if !found.active {
            // Its labels may have been written a moment ago: the entity tag is of before.
            let outcome = self.patch(object, None, kind, &json!({ "status": "active" })).await;
            let detail = format!("subscriber {id} has it, and NetBox does not call it active");
            self.note(DriftKind::WrongStatus, Some(id), object, detail, outcome);
        }
    }

    async fn patch(
        &self,
        object: &Object,
        etag: Option<&str>,
        kind: Kind,
        body: &serde_json::Value,
    ) -> Option<Result<(), SyncError>> {
        if !self.repair {
            return None;
        }
        let path = format!("{}{}/", collection(kind), object.id);
        let client = &self.sync.allocator.client;
        let done = client
            .change::<serde_json::Value>("put it right", &path, etag, body)
            .await;
        Some(done.map(drop).map_err(Into::into))
    }

    /// What subscribers have here and NetBox did not show.
    async fn database(&mut self) -> Result<(), SyncError> {
        let mut after = String::new();
        loop {
            let sync = self.sync;
            let page = sync.store.addressed(&sync.tenant_id, None, &after, super::PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.subscriber_id);
            self.subscribers(&page).await?;
        }
    }

    pub(super) async fn subscribers(&mut self, page: &[Addressed]) -> Result<(), SyncError> {
        let sync = self.sync;
        let ids: Vec<&str> = page.iter().map(|one| one.subscriber_id.as_str()).collect();
        let given = sync.store.assignments(&sync.tenant_id, &ids).await?;
        let given: HashMap<(&str, Kind), &Assignment> = given
            .iter()
            .map(|given| ((given.subscriber_id.as_str(), given.kind), given))
            .collect();
        for subscriber in page.iter().filter(|subscriber| subscriber.alive) {
            self.report.subscribers += 1;
            for kind in Kind::ALL {
                let given = given.get(&(subscriber.subscriber_id.as_str(), kind)).copied();
                self.subscriber(subscriber, kind, given).await?;
            }
        }
        Ok(())
    }

    async fn subscriber(
        &mut self,
        subscriber: &Addressed,
        kind: Kind,
        given: Option<&Assignment>,
    ) -> Result<(), SyncError> {
        let id = subscriber.subscriber_id.as_str();
        let have = held(subscriber, kind);
        let known = given.and_then(|given| given.netbox_id);
        if known.is_some_and(|known| self.matched.contains(&(kind == Kind::Ipv6Prefix, known))) {
            return Ok(());
        }
        let Some(have) = have else {
            if !self.kinds.contains(&kind) || self.offered.contains(&(id.to_owned(), kind)) {
                return Ok(());
            }
            let outcome = match self.repair {
                true => Some(self.settle(subscriber, kind).await),
                false => None,
            };
            self.note_of(
                DriftKind::Unaddressed,
                Some(id),
                None,
                None,
                format!("no {kind}"),
                outcome,
            );
            return Ok(());
        };
        // Perhaps it is there and does not name the subscriber, or belongs to another.
        let there = self.at(kind, have).await?;
        let tenant = self.sync.allocator.rules.tenant;
        let (drift, detail, outcome) = match there {
            Some(object) if object.tenant != Some(tenant) => {
                let detail = format!("subscriber {id} has it here; in NetBox it is not tenant {tenant}'s");
                (DriftKind::WrongTenant, detail, None)
            }
            Some(object) if object.subscriber_id.as_deref().is_some_and(|owner| owner != id) => {
                let owner = object.subscriber_id.unwrap_or_default();
                let detail = format!("subscriber {id} has it here; in NetBox it is subscriber {owner}'s");
                (DriftKind::Conflicting, detail, None)
            }
            Some(object) if object.deprecated => {
                let detail = format!("subscriber {id} has it here; in NetBox it was given back");
                (DriftKind::Conflicting, detail, None)
            }
            // Ours but for its labels, or matched by a row without a note here: settled where NetBox was gone through.
            Some(object) if object.subscriber_id.is_some() => return Ok(()),
            Some(object) => {
                let outcome = self.adopt(id, kind, &object).await;
                let labelled = Found {
                    description: String::new(),
                    active: true,
                    etag: None,
                    object,
                };
                self.labels(&labelled, subscriber, kind).await;
                let detail = format!("subscriber {id} has it here; in NetBox it is nobody's");
                (DriftKind::Mislabelled, detail, outcome)
            }
            None => {
                let outcome = match self.repair {
                    true => Some(self.settle(subscriber, kind).await),
                    false => None,
                };
                let detail = format!("subscriber {id} has it here; NetBox does not know it");
                (DriftKind::Missing, detail, outcome)
            }
        };
        self.note_of(drift, Some(id), Some(have), known, detail, outcome);
        Ok(())
    }

    /// Take one, or make NetBox know the one there is.
    async fn settle(&self, subscriber: &Addressed, kind: Kind) -> Result<(), SyncError> {
        let met = self.sync.meet(&[need(subscriber, kind)]).await?;
        match met.into_iter().next() {
            Some(Ok(synced)) if synced.origin == Origin::Kept => {
                // Written down here as being in NetBox, where it is not any more.
                let have = held(subscriber, kind).unwrap_or(synced.net);
                self.sync.register(&need(subscriber, kind), have).await.map(drop)
            }
            Some(met) => met.map(drop),
            None => Ok(()),
        }
    }

    async fn at(&self, kind: Kind, net: IpNet) -> Result<Option<Object>, NetboxError> {
        let what = "look who has an address";
        let client = &self.sync.allocator.client;
        Ok(match kind {
            Kind::Ipv4 | Kind::Ipv6 => {
                let query = Query::new().with("address", net.addr());
                let page = client.page::<IpAddress>(what, collection(kind), query, 10).await?;
                let mut objects = page.results.into_iter().map(Object::from);
                objects.find(|object| object.net.addr() == net.addr())
            }
            Kind::Ipv6Prefix => {
                let query = Query::new().with("prefix", net.trunc());
                let page = client.page::<Prefix>(what, collection(kind), query, 10).await?;
                let mut objects = page.results.into_iter().map(Object::from);
                objects.find(|object| object.net.trunc() == net.trunc())
            }
        })
    }

    /// Addresses of live sessions that NetBox takes for free.
    async fn sessions(&mut self) -> Result<(), SyncError> {
        let sync = self.sync;
        let pools = match pool::of(&sync.allocator.client, &sync.allocator.rules, None, Kind::Ipv4).await {
            Ok(pools) => pools,
            // The role or the tenant does not exist: nothing is given out, so nothing can be given twice.
            Err(NetboxError::Rejected { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let live: Vec<IpAddr> = sync
            .store
            .live_addresses(&sync.tenant_id)
            .await?
            .into_iter()
            .filter(|address| pools.iter().any(|pool| pool.net.contains(address)))
            .collect();
        for some in live.chunks(LOOKED_UP) {
            let query = some
                .iter()
                .fold(Query::new(), |query, address| query.with("address", address));
            let page = sync
                .allocator
                .client
                .page::<IpAddress>("look who has addresses", collection(Kind::Ipv4), query, LOOKED_UP * 2)
                .await?;
            let there: HashSet<IpAddr> = page.results.iter().map(|one| one.address.addr()).collect();
            for address in some.iter().filter(|address| !there.contains(*address)) {
                let detail = "a live session has it, and NetBox may give it to another".to_owned();
                self.note_of(DriftKind::InUse, None, Some((*address).into()), None, detail, None);
            }
        }
        Ok(())
    }

    fn note(
        &mut self,
        kind: DriftKind,
        subscriber: Option<&str>,
        object: &Object,
        detail: String,
        outcome: Option<Result<(), SyncError>>,
    ) {
        self.note_of(kind, subscriber, Some(object.net), Some(object.id), detail, outcome);
    }

    fn note_of(
        &mut self,
        kind: DriftKind,
        subscriber: Option<&str>,
        address: Option<IpNet>,
        netbox_id: Option<u64>,
        detail: String,
        outcome: Option<Result<(), SyncError>>,
    ) {
        let (repaired, failure) = match outcome {
            None => (None, None),
            Some(Ok(())) => (Some(true), None),
            Some(Err(error)) => (Some(false), Some(error.to_string())),
        };
        self.report.drift.push(Drift {
            kind,
            subscriber_id: subscriber.map(str::to_owned),
            address,
            netbox_id,
            detail,
            repaired,
            failure,
        });
    }
}

/// Addresses of one look-up.
const LOOKED_UP: usize = 50;

/// Whether the subscriber has another object of the kind, by the rows of subscribers alone.
fn has_another(subscriber: &Addressed, kind: Kind, object: &Object, have: Option<IpNet>) -> bool {
    let known = match kind {
        Kind::Ipv4 => subscriber.netbox_ip_id,
        Kind::Ipv6 => None,
        Kind::Ipv6Prefix => subscriber.ipv6_netbox_prefix_id,
    };
    have.is_some() && known.is_some_and(|known| known != object.id)
}
