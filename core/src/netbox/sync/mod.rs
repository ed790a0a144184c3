//! One tenant's addresses in the database and in NetBox, kept the same.
//!
//! NetBox chooses; the database remembers what it chose, in the rows that the next login reads. Between the two anything
//! may fail: what was taken in NetBox and not written down is found again by its key.

mod drift;
mod follow;
mod reconcile;

use std::collections::HashMap;

use ipnet::IpNet;
use serde::Serialize;

pub use drift::{Drift, DriftKind, Report};
pub use follow::Cursor;

use super::allocate::{Allocation, AllocationError, Allocator, Released, Wanted};
use super::client::NetboxError;
use super::pool::Pool;
use super::settings::Site;
use crate::addressing::Kind;
use crate::store::{Addressed, Assignment, Store, StoreError};

/// Seconds that prefixes remembered in the database are believed. Full ones are asked for anew at once.
const POOLS_BELIEVED: u32 = 600;

/// Subscribers read from the database at a time.
const PAGE: u32 = 500;

/// Why a subscriber's addresses are not the same in both.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Allocation(#[from] AllocationError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("subscriber {subscriber} has {ours} here and {theirs} in NetBox: \"ispctl netbox reconcile\" settles it")]
    Differs {
        subscriber: String,
        ours: IpNet,
        theirs: IpNet,
    },
    #[error("subscriber {0} is deleted or terminated: it is given no address")]
    Gone(String),
}

impl From<NetboxError> for SyncError {
    fn from(error: NetboxError) -> Self {
        Self::Allocation(error.into())
    }
}

/// How a subscriber came to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It had it.
    Kept,
    /// Taken in NetBox now, or found there.
    Allocated,
    /// It had one here, which NetBox knows now, too.
    Registered,
}

/// An address that is the same in both now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Synced {
    pub kind: Kind,
    pub net: IpNet,
    pub netbox_id: u64,
    pub origin: Origin,
}

/// How far a run over many has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Addresses looked at.
    pub seen: u64,
    pub kept: u64,
    pub allocated: u64,
    pub registered: u64,
    pub failed: u64,
}

/// The addresses of one tenant.
#[derive(Debug)]
pub struct Sync<'a> {
    pub(super) store: &'a Store,
    pub(super) allocator: Allocator,
    pub(super) tenant_id: String,
    /// Who is recorded as the author of changes.
    pub(super) by: Option<String>,
    /// Slug of a further tag (`ftth`) on what is taken.
    connection_type: Option<String>,
}

/// One address that a subscriber is to have, and what it has here.
struct Need<'s> {
    subscriber: &'s Addressed,
    kind: Kind,
    have: Option<IpNet>,
}

impl<'a> Sync<'a> {
    #[must_use]
    pub fn new(store: &'a Store, allocator: Allocator, tenant_id: &str, by: Option<String>) -> Self {
        Self {
            store,
            allocator,
            tenant_id: tenant_id.to_owned(),
            by,
            connection_type: None,
        }
    }

    #[must_use]
    pub fn connection_type(mut self, slug: Option<String>) -> Self {
        self.connection_type = slug;
        self
    }

    #[must_use]
    pub const fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    /// Give a subscriber an address of each of `kinds`, or find that it has it.
    ///
    /// # Errors
    /// There is no such subscriber, it is gone, or one address could not be had; those before it are written down.
    pub async fn subscriber(&self, subscriber_id: &str, kinds: &[Kind]) -> Result<Vec<Synced>, SyncError> {
        let subscriber = self.one(subscriber_id).await?;
        if !subscriber.alive {
            return Err(SyncError::Gone(subscriber_id.to_owned()));
        }
        let needs: Vec<Need<'_>> = kinds.iter().map(|kind| need(&subscriber, *kind)).collect();
        self.meet(&needs).await?.into_iter().collect()
    }

    /// The same for every subscriber of the tenant, or of one site of it. What is done stays done: a run that was stopped
    /// goes on with the next. `heard` is told after each page, and of each failure with the subscriber's name.
    ///
    /// # Errors
    /// The database does not answer. An address that could not be had is told, and does not end the run.
    pub async fn all(
        &self,
        site: Option<&str>,
        kinds: &[Kind],
        mut heard: impl FnMut(Progress, &[(String, SyncError)]),
    ) -> Result<Progress, SyncError> {
        let mut progress = Progress::default();
        let mut after = String::new();
        loop {
            let page = self.store.addressed(&self.tenant_id, site, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(progress) };
            after.clone_from(&last.subscriber_id);
            let needs: Vec<Need<'_>> = page
                .iter()
                .filter(|subscriber| subscriber.alive)
                .flat_map(|subscriber| kinds.iter().map(move |kind| need(subscriber, *kind)))
                .collect();
            let mut failures = Vec::new();
            for (need, met) in needs.iter().zip(self.meet(&needs).await?) {
                progress.seen += 1;
                match met.map(|synced| synced.origin) {
                    Ok(Origin::Kept) => progress.kept += 1,
                    Ok(Origin::Allocated) => progress.allocated += 1,
                    Ok(Origin::Registered) => progress.registered += 1,
                    Err(error) => {
                        progress.failed += 1;
                        failures.push((need.subscriber.username.clone(), error));
                    }
                }
            }
            heard(progress, &failures);
        }
    }

    /// Take back what a subscriber has, here first: from then on no login gives it, and only then may another be given it.
    ///
    /// # Errors
    /// The database or NetBox does not answer. What is not given back in NetBox yet is so by the next call.
    pub async fn release(&self, subscriber_id: &str) -> Result<Vec<(Kind, Released)>, SyncError> {
        let given = self.store.assignments(&self.tenant_id, &[subscriber_id]).await?;
        let mut released = Vec::new();
        for kind in Kind::ALL {
            let known = given
                .iter()
                .find(|given| given.kind == kind)
                .and_then(|given| given.netbox_id);
            let id = match known {
                Some(id) => Some(id),
                // Perhaps of a call that failed between the two.
                None => {
                    let wanted = self.wanted_of(subscriber_id, kind);
                    self.allocator.find(&wanted).await?.map(|found| found.id)
                }
            };
            self.store
                .unassign(&self.tenant_id, subscriber_id, kind, &self.by)
                .await?;
            if let Some(id) = id {
                released.push((kind, self.allocator.release(kind, id, subscriber_id).await?));
            }
        }
        Ok(released)
    }

    /// Take back what a subscriber was given and never used, as if it had not been: no quarantine keeps it.
    ///
    /// # Errors
    /// The database or NetBox does not answer.
    pub(crate) async fn undo(&self, subscriber_id: &str, kinds: &[Kind]) -> Result<(), SyncError> {
        for kind in kinds {
            let wanted = self.wanted_of(subscriber_id, *kind);
            let found = self.allocator.find(&wanted).await?;
            self.store
                .unassign(&self.tenant_id, subscriber_id, *kind, &self.by)
                .await?;
            if let Some(found) = found {
                self.allocator.forgo(*kind, found.id, subscriber_id).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn one(&self, subscriber_id: &str) -> Result<Addressed, SyncError> {
        let found = self.store.addressed_of(&self.tenant_id, &[subscriber_id]).await?;
        found.into_iter().next().ok_or_else(|| {
            SyncError::Store(StoreError::NotFound {
                attempt: format!("read the addresses of subscriber {subscriber_id:?}"),
            })
        })
    }

    /// Enough to look for what a subscriber has.
    fn wanted_of<'w>(&self, subscriber_id: &'w str, kind: Kind) -> Wanted<'w> {
        Wanted {
            subscriber_id,
            username: "",
            service_address: None,
            kind,
            site: None,
            connection_type: None,
            prefix_length: None,
        }
    }

    fn wanted<'w>(&'w self, subscriber: &'w Addressed, kind: Kind) -> Wanted<'w> {
        Wanted {
            subscriber_id: &subscriber.subscriber_id,
            username: &subscriber.username,
            service_address: subscriber.service_address.as_deref(),
            kind,
            site: subscriber.site_id.as_deref().map(Site::from),
            connection_type: self.connection_type.as_deref(),
            prefix_length: subscriber.ipv6_pd_size,
        }
    }

    /// What came of each, in their order.
    async fn meet(&self, needs: &[Need<'_>]) -> Result<Vec<Result<Synced, SyncError>>, SyncError> {
        let mut met: Vec<Option<Result<Synced, SyncError>>> = needs.iter().map(|_| None).collect();
        let ids: Vec<&str> = needs
            .iter()
            .map(|need| need.subscriber.subscriber_id.as_str())
            .collect();
        let given = self.store.assignments(&self.tenant_id, &ids).await?;
        let given: HashMap<(&str, Kind), &Assignment> = given
            .iter()
            .map(|given| ((given.subscriber_id.as_str(), given.kind), given))
            .collect();
        let mut open = Vec::new();
        for ((index, need), slot) in needs.iter().enumerate().zip(&mut met) {
            let given = given.get(&(need.subscriber.subscriber_id.as_str(), need.kind));
            match (given, need.have) {
                (Some(given), Some(have)) if given.net.addr() == have.addr() && given.netbox_id.is_some() => {
                    *slot = Some(Ok(Synced {
                        kind: need.kind,
                        net: given.net,
                        netbox_id: given.netbox_id.unwrap_or_default(),
                        origin: Origin::Kept,
                    }));
                }
                (_, Some(have)) => *slot = Some(self.register(need, have).await),
                (_, None) => open.push((index, need)),
            }
        }
        let wanted: Vec<Wanted<'_>> = open
            .iter()
            .map(|(_, need)| self.wanted(need.subscriber, need.kind))
            .collect();
        let believed = self.believed_pools(&wanted).await;
        let taken = match wanted.as_slice() {
            // One alone needs no list, and spares itself the looks that lists need.
            [one] => vec![self.allocator.allocate(one).await],
            many => self.allocator.allocate_all(many).await,
        };
        self.write_pools(believed, &wanted, &taken).await;
        for ((index, need), taken) in open.into_iter().zip(taken) {
            let synced = match taken {
                Ok(allocation) => self.write_down(need, &allocation, Origin::Allocated).await,
                Err(error) => Err(error.into()),
            };
            if let Some(slot) = met.get_mut(index) {
                *slot = Some(synced);
            }
        }
        Ok(met.into_iter().flatten().collect())
    }

    /// The subscriber has an address here that NetBox may not know.
    async fn register(&self, need: &Need<'_>, have: IpNet) -> Result<Synced, SyncError> {
        let wanted = self.wanted(need.subscriber, need.kind);
        let known = self.allocator.register(&wanted, have).await?;
        if known.net.addr() != have.addr() {
            return Err(SyncError::Differs {
                subscriber: need.subscriber.subscriber_id.clone(),
                ours: have,
                theirs: known.net,
            });
        }
        self.write_down(need, &known, Origin::Registered).await
    }

    async fn write_down(&self, need: &Need<'_>, allocation: &Allocation, origin: Origin) -> Result<Synced, SyncError> {
        self.store
            .assign(&self.assignment(&need.subscriber.subscriber_id, allocation))
            .await?;
        Ok(Synced {
            kind: need.kind,
            net: allocation.net,
            netbox_id: allocation.id,
            origin,
        })
    }

    pub(super) fn assignment(&self, subscriber_id: &str, allocation: &Allocation) -> Assignment {
        Assignment {
            tenant_id: self.tenant_id.clone(),
            subscriber_id: subscriber_id.to_owned(),
            kind: allocation.kind,
            net: allocation.net,
            netbox_id: Some(allocation.id),
            pool: allocation.pool.as_ref().map(|pool| (pool.net, pool.id)),
            by: self.by.clone(),
        }
    }

    /// Tell the allocator what an earlier run was told, place by place. Only spares requests: a fault here is none.
    async fn believed_pools(&self, wanted: &[Wanted<'_>]) -> Vec<(Option<Site>, Kind, Vec<Pool>)> {
        let mut believed = Vec::new();
        for (site, kind) in places(wanted) {
            let mut pools = self.allocator.known(site.as_ref(), kind);
            if pools.is_empty() {
                let known = self
                    .store
                    .pools_known(&self.tenant_id, &named(&site), kind, POOLS_BELIEVED)
                    .await;
                pools = known
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(id, net)| Pool { id, net })
                    .collect();
                if !pools.is_empty() {
                    self.allocator.know(site.as_ref(), kind, pools.clone());
                }
            }
            believed.push((site, kind, pools));
        }
        believed
    }

    /// Write down which prefixes were asked where those are others than believed, and none where they are full.
    async fn write_pools(
        &self,
        believed: Vec<(Option<Site>, Kind, Vec<Pool>)>,
        wanted: &[Wanted<'_>],
        taken: &[Result<Allocation, AllocationError>],
    ) {
        for (site, kind, believed) in believed {
            let full = wanted.iter().zip(taken).any(|(wanted, taken)| {
                wanted.kind == kind && wanted.site == site && matches!(taken, Err(AllocationError::Full { .. }))
            });
            let pools = match full {
                true => Vec::new(),
                false => self.allocator.known(site.as_ref(), kind),
            };
            if pools == believed {
                continue;
            }
            let pools: Vec<(u64, IpNet)> = pools.iter().map(|pool| (pool.id, pool.net)).collect();
            let written = self
                .store
                .pools_remember(&self.tenant_id, &named(&site), kind, &pools)
                .await;
            if let Err(error) = written {
                tracing::debug!(%error, "not remembered");
            }
        }
    }
}

/// A place's site as the database has it: empty is any.
fn named(site: &Option<Site>) -> String {
    site.as_ref().map_or_else(String::new, ToString::to_string)
}

fn places(wanted: &[Wanted<'_>]) -> Vec<(Option<Site>, Kind)> {
    let mut places: Vec<(Option<Site>, Kind)> = Vec::new();
    for one in wanted {
        let place = (one.site.clone(), one.kind);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

fn need(subscriber: &Addressed, kind: Kind) -> Need<'_> {
    Need {
        subscriber,
        kind,
        have: held(subscriber, kind),
    }
}

/// What a login of the subscriber is given.
pub(super) fn held(subscriber: &Addressed, kind: Kind) -> Option<IpNet> {
    match kind {
        Kind::Ipv4 => subscriber.static_ipv4.map(IpNet::from),
        Kind::Ipv6 => subscriber.static_ipv6.map(IpNet::from),
        Kind::Ipv6Prefix => subscriber.delegated_ipv6_prefix,
    }
}
