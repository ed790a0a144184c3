//! Taking addresses and prefixes, once each, and giving them back.
//!
//! NetBox makes the choice and keeps allocations apart; what it cannot know is whether a request is a repetition. So each
//! carries a key in a custom field that NetBox keeps unique: a second one is refused there, and the first is looked up.

mod batch;
mod release;
mod request;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;

pub use release::Released;
pub use request::Wanted;

use super::client::{Client, NetboxError, Query, Result};
use super::model::{AddressStatus, IpAddress, Prefix, PrefixStatus};
use super::owner::Owned;
use super::pool::{self, Pool};
use super::settings::{Rules, Site};
use crate::addressing::Kind;

/// What a subscriber has in NetBox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    pub kind: Kind,
    /// NetBox's id of the address or prefix.
    pub id: u64,
    /// An address with the mask of the prefix it came from, or the delegated prefix.
    pub net: IpNet,
    /// The prefix it was taken from; `None` of one that was there.
    pub pool: Option<Pool>,
}

/// Why a subscriber has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    #[error(transparent)]
    Netbox(#[from] NetboxError),
    #[error(
        "NetBox has no active prefix of tenant {tenant} with role {role:?}{} to take {kind} from",
        site.as_ref().map_or_else(String::new, |site| format!(" at site {site}"))
    )]
    NoPool {
        tenant: u64,
        role: String,
        site: Option<Site>,
        kind: Kind,
    },
    #[error("nothing left of {kind} in {}", join(tried))]
    Full { kind: Kind, tried: Vec<IpNet> },
    #[error(
        "subscriber {subscriber} has {} of kind {kind} in NetBox: {}; \"ispctl netbox reconcile\" shows what to give back",
        found.len(), join(found)
    )]
    Several {
        subscriber: String,
        kind: Kind,
        found: Vec<IpNet>,
    },
    #[error(
        "the key {key:?} is on an object in NetBox that is not this subscriber's {kind}: another tenant's, or changed by hand"
    )]
    KeyElsewhere { key: String, kind: Kind },
}

fn join(nets: &[IpNet]) -> String {
    let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
    nets.join(", ")
}

pub type Allocated<T> = std::result::Result<T, AllocationError>;

/// Prefixes by where and what they give.
type Pools = HashMap<(Option<Site>, Kind), Arc<[Pool]>>;

/// Takes addresses for the subscribers of one tenant. Cheap to clone; clones share what they know of NetBox.
#[derive(Debug, Clone)]
pub struct Allocator {
    pub(super) client: Client,
    pub(super) rules: Arc<Rules>,
    pools: Arc<Mutex<Pools>>,
}

/// Between a request without an answer and the look whether it was done.
const SETTLE: Duration = Duration::from_millis(300);

impl Allocator {
    #[must_use]
    pub fn new(client: Client, rules: Rules) -> Self {
        Self {
            client,
            rules: Arc::new(rules),
            pools: Arc::default(),
        }
    }

    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Prefixes known from an earlier run, to spare the question.
    pub fn know(&self, site: Option<&Site>, kind: Kind, pools: Vec<Pool>) {
        self.pools.lock().insert((site.cloned(), kind), pools.into());
    }

    /// Those that are known of a place, empty where none are.
    #[must_use]
    pub fn known(&self, site: Option<&Site>, kind: Kind) -> Vec<Pool> {
        let pools = self.pools.lock();
        pools
            .get(&(site.cloned(), kind))
            .map(|pools| pools.to_vec())
            .unwrap_or_default()
    }

    /// What `wanted` has, or is given now: the same however often it is asked for.
    ///
    /// # Errors
    /// Nothing is left, NetBox does not answer, or it does not allow it. Of an answer that did not come, what was taken is
    /// found by the next call.
    pub async fn allocate(&self, wanted: &Wanted<'_>) -> Allocated<Allocation> {
        if (self.rules.look_first || self.rules.key_field.is_none())
            && let Some(found) = self.find(wanted).await?
        {
            return Ok(found);
        }
        let believed = self.pools(wanted).await?;
        if let Some(allocation) = self.take_from(wanted, &believed).await? {
            return Ok(allocation);
        }
        // A prefix may have been added since they were read.
        self.forget();
        let added: Vec<Pool> = match self.pools(wanted).await {
            Ok(pools) => pools.iter().filter(|pool| !believed.contains(pool)).cloned().collect(),
            Err(AllocationError::NoPool { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        match self.take_from(wanted, &added).await? {
            Some(allocation) => Ok(allocation),
            None => Err(AllocationError::Full {
                kind: wanted.kind,
                tried: believed.iter().chain(&added).map(|pool| pool.net).collect(),
            }),
        }
    }

    /// One address of the first of `pools` that has one left.
    async fn take_from(&self, wanted: &Wanted<'_>, pools: &[Pool]) -> Allocated<Option<Allocation>> {
        let mut repetitions = 0;
        for pool in pools {
            loop {
                match self.take(wanted, pool).await {
                    Ok(allocation) => return Ok(Some(allocation)),
                    // Full, or not there any more.
                    Err(NetboxError::Exhausted { .. } | NetboxError::NotFound { .. }) => break,
                    Err(error) if self.is_key_taken(&error) => return self.holder(wanted).await.map(Some),
                    Err(error) if !error.is_transient() && !error.is_uncertain() => return Err(error.into()),
                    Err(error) => {
                        tokio::time::sleep(SETTLE * (1 << repetitions)).await;
                        if error.is_uncertain()
                            && let Some(found) = self.find(wanted).await?
                        {
                            return Ok(Some(found));
                        }
                        repetitions += 1;
                        // What is still on its way cannot be seen: only NetBox's own check of the key makes it harmless.
                        let harmless = self.rules.key_field.is_some() || !error.is_uncertain();
                        if repetitions > REPETITIONS || !harmless {
                            return Err(error.into());
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// What `wanted` has in NetBox, if anything.
    ///
    /// # Errors
    /// NetBox does not answer, or has several.
    pub async fn find(&self, wanted: &Wanted<'_>) -> Allocated<Option<Allocation>> {
        let mut found = Vec::new();
        for query in self.queries(wanted) {
            found = self.held(wanted, query).await?;
            if !found.is_empty() {
                break;
            }
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(AllocationError::Several {
                subscriber: wanted.subscriber_id.to_owned(),
                kind: wanted.kind,
                found: found.iter().map(|allocation| allocation.net).collect(),
            }),
        }
    }

    /// Make NetBox know an address that `wanted` has already, set by hand or by another system.
    ///
    /// # Errors
    /// It is another's there, or NetBox does not answer or does not allow it.
    pub async fn register(&self, wanted: &Wanted<'_>, net: IpNet) -> Allocated<Allocation> {
        if let Some(found) = self.find(wanted).await? {
            return Ok(found);
        }
        let (net, pool) = self.home(wanted, net).await?;
        let what = format!("register {net} for subscriber {}", wanted.subscriber_id);
        let path = collection(wanted.kind);
        let body = request::Registration::of(&self.rules, wanted, net);
        let made = match wanted.kind {
            Kind::Ipv4 | Kind::Ipv6 => self
                .client
                .create::<IpAddress>(&what, path, &body)
                .await
                .map(Into::into),
            Kind::Ipv6Prefix => self.client.create::<Prefix>(&what, path, &body).await.map(Into::into),
        };
        match made {
            Ok(Object { id, net, .. }) => Ok(Allocation {
                kind: wanted.kind,
                id,
                net,
                pool,
            }),
            Err(error) if self.is_key_taken(&error) => self.holder(wanted).await,
            Err(error) if error.is_uncertain() => self.find(wanted).await?.ok_or_else(|| error.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// An address with the mask of the prefix it lies in, where that is one of ours.
    async fn home(&self, wanted: &Wanted<'_>, net: IpNet) -> Allocated<(IpNet, Option<Pool>)> {
        let pools = match self.pools(wanted).await {
            Ok(pools) => pools,
            Err(AllocationError::NoPool { .. }) => return Ok((net, None)),
            Err(error) => return Err(error),
        };
        let Some(pool) = pools.iter().find(|pool| pool.net.contains(&net)) else {
            return Ok((net, None));
        };
        let net = match wanted.kind {
            Kind::Ipv4 | Kind::Ipv6 => IpNet::new(net.addr(), pool.net.prefix_len()).unwrap_or(net),
            Kind::Ipv6Prefix => net,
        };
        Ok((net, Some(pool.clone())))
    }

    /// Whoever has the key: it is this subscriber's, so the address is.
    async fn holder(&self, wanted: &Wanted<'_>) -> Allocated<Allocation> {
        self.find(wanted).await?.ok_or_else(|| AllocationError::KeyElsewhere {
            key: wanted.key(),
            kind: wanted.kind,
        })
    }

    fn is_key_taken(&self, error: &NetboxError) -> bool {
        self.rules
            .key_field
            .as_deref()
            .is_some_and(|field| error.is_taken(field))
    }

    async fn take(&self, wanted: &Wanted<'_>, pool: &Pool) -> Result<Allocation> {
        let what = format!(
            "take {} of {} for subscriber {}",
            wanted.kind, pool.net, wanted.subscriber_id
        );
        let body = request::Request::of(&self.rules, wanted);
        let object: Object = match wanted.kind {
            Kind::Ipv4 | Kind::Ipv6 => self
                .client
                .create::<IpAddress>(&what, &source(pool, wanted.kind), &body)
                .await?
                .into(),
            Kind::Ipv6Prefix => self
                .client
                .create::<Prefix>(&what, &source(pool, wanted.kind), &body)
                .await?
                .into(),
        };
        self.accept(wanted, pool, object, &what)
    }

    /// Believe an answer only where it is what was asked for.
    fn accept(&self, wanted: &Wanted<'_>, pool: &Pool, object: Object, what: &str) -> Result<Allocation> {
        let length = wanted.length(&self.rules);
        let fits = pool.net.contains(&object.net.addr())
            && (wanted.kind != Kind::Ipv6Prefix || object.net.prefix_len() == length);
        if !fits {
            return Err(NetboxError::Unexpected {
                what: what.to_owned(),
                problem: format!("it gives {}", object.net),
            });
        }
        Ok(Allocation {
            kind: wanted.kind,
            id: object.id,
            net: object.net,
            pool: Some(pool.clone()),
        })
    }

    async fn pools(&self, wanted: &Wanted<'_>) -> Allocated<Arc<[Pool]>> {
        let place = (wanted.site.clone(), wanted.kind);
        if let Some(known) = self.pools.lock().get(&place) {
            return Ok(known.clone());
        }
        let pools: Arc<[Pool]> = pool::of(&self.client, &self.rules, wanted.site.as_ref(), wanted.kind)
            .await?
            .into();
        if pools.is_empty() {
            return Err(AllocationError::NoPool {
                tenant: self.rules.tenant,
                role: self.rules.role_of(wanted.kind).to_owned(),
                site: wanted.site.clone(),
                kind: wanted.kind,
            });
        }
        self.pools.lock().insert(place, pools.clone());
        Ok(pools)
    }

    /// Ask anew which prefixes there are.
    pub(super) fn forget(&self) {
        self.pools.lock().clear();
    }

    /// What to filter by, the surest first.
    fn queries(&self, wanted: &Wanted<'_>) -> Vec<Query> {
        let mut queries = Vec::new();
        if let Some(field) = &self.rules.key_field {
            queries.push(Query::new().with(format!("cf_{field}"), wanted.key()));
        }
        if self.rules.look_first || self.rules.key_field.is_none() {
            let own = Query::new().with("tenant_id", self.rules.tenant);
            let [joined, spaced] = descriptions(wanted.subscriber_id);
            queries.push(own.clone().with("description", joined).with("description", spaced));
            queries.push(own.with("cf_subscriber_id", wanted.subscriber_id));
        }
        queries
    }

    /// What of an answer is `wanted`'s.
    async fn held(&self, wanted: &Wanted<'_>, query: Query) -> Result<Vec<Allocation>> {
        let objects = self.objects(wanted.kind, query).await?;
        Ok(objects
            .into_iter()
            .filter(|object| object.is_of(wanted, &self.rules))
            .map(|object| Allocation {
                kind: wanted.kind,
                id: object.id,
                net: object.net,
                pool: None,
            })
            .collect())
    }

    async fn objects(&self, kind: Kind, query: Query) -> Result<Vec<Object>> {
        let what = "look for what subscribers have";
        let query = query.with("family", kind.family());
        Ok(match kind {
            Kind::Ipv4 | Kind::Ipv6 => {
                let page = self.client.page::<IpAddress>(what, collection(kind), query, LOOKED_AT);
                page.await?.results.into_iter().map(Into::into).collect()
            }
            Kind::Ipv6Prefix => {
                let page = self.client.page::<Prefix>(what, collection(kind), query, LOOKED_AT);
                page.await?.results.into_iter().map(Into::into).collect()
            }
        })
    }
}

/// Both spellings are about; a filter given twice means either.
fn descriptions(subscriber_id: &str) -> [String; 2] {
    [
        format!("Subscriber:{subscriber_id}"),
        format!("Subscriber: {subscriber_id}"),
    ]
}

/// Objects of an answer to a look-up: more than any batch asks for.
const LOOKED_AT: usize = 200;

/// Times a request that may be repeated is.
const REPETITIONS: u32 = 4;

pub(super) const fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 | Kind::Ipv6 => "ipam/ip-addresses/",
        Kind::Ipv6Prefix => "ipam/prefixes/",
    }
}

/// Where a prefix gives from.
fn source(pool: &Pool, kind: Kind) -> String {
    let of = match kind {
        Kind::Ipv4 | Kind::Ipv6 => "available-ips",
        Kind::Ipv6Prefix => "available-prefixes",
    };
    format!("ipam/prefixes/{}/{of}/", pool.id)
}

/// An address or a prefix, as far as an allocation is concerned.
pub(super) struct Object {
    /// `None` of an IPv4 prefix, which no subscriber is given.
    pub(super) kind: Option<Kind>,
    pub(super) id: u64,
    pub(super) net: IpNet,
    pub(super) tenant: Option<u64>,
    /// Out of use, kept until its quarantine ends.
    pub(super) deprecated: bool,
    pub(super) subscriber_id: Option<String>,
    pub(super) fields: super::model::CustomFields,
}

impl Object {
    pub(super) fn key(&self, rules: &Rules) -> Option<String> {
        super::model::text(&self.fields, rules.key_field.as_deref()?)
    }

    fn is_of(&self, wanted: &Wanted<'_>, rules: &Rules) -> bool {
        self.tenant == Some(rules.tenant)
            && !self.deprecated
            && self.kind == Some(wanted.kind)
            && match self.key(rules) {
                Some(key) => key == wanted.key(),
                None => self.subscriber_id.as_deref() == Some(wanted.subscriber_id),
            }
    }
}

impl From<IpAddress> for Object {
    fn from(address: IpAddress) -> Self {
        Self {
            kind: Some(match address.address {
                IpNet::V4(_) => Kind::Ipv4,
                IpNet::V6(_) => Kind::Ipv6,
            }),
            id: address.id,
            net: address.address,
            tenant: address.tenant.as_ref().map(|tenant| tenant.id),
            deprecated: address.status.value == AddressStatus::Deprecated,
            subscriber_id: address.subscriber_id(),
            fields: address.custom_fields,
        }
    }
}

impl From<Prefix> for Object {
    fn from(prefix: Prefix) -> Self {
        Self {
            kind: matches!(prefix.prefix, IpNet::V6(_)).then_some(Kind::Ipv6Prefix),
            id: prefix.id,
            net: prefix.prefix,
            tenant: prefix.tenant.as_ref().map(|tenant| tenant.id),
            deprecated: prefix.status.value == PrefixStatus::Deprecated,
            subscriber_id: prefix.subscriber_id(),
            fields: prefix.custom_fields,
        }
    }
}
