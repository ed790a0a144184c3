//! A subscriber made or ended as one operation, with its addresses and what a login of it is given.
//!
//! Until the last step of [`provision`] the subscriber is pending and not let in, so a failure can take back all that was
//! done. A process that is killed between two steps leaves a pending subscriber; the same call again, by the same id, goes
//! on with it. [`deprovision`] begins by letting the subscriber in no more, and never goes back on that.

mod error;

use serde::Serialize;

use crate::addressing::Kind;
use crate::netbox::{Origin, Released, Sync, SyncError, Synced};
use crate::order::{Cause as OrderCause, NewOrder, OrderKind};
use crate::store::{Store, StoreError};
use crate::subscriber::{Status, Subscriber};
use error::failed;

pub use error::{Cause, Left, ProvisioningError, Step};

type Result<T> = std::result::Result<T, ProvisioningError>;

/// What is to be made.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Its id is what a repetition is told by ([`id_for`]); its status is not looked at.
    pub subscriber: Subscriber,
    /// Further rows of radreply: attribute, operator, value. What the subscriber's addresses come to needs none.
    pub replies: Vec<(String, String, String)>,
    /// Exactly these addresses; `None`: those of the tenant's settings and those that plan and service ask for.
    pub kinds: Option<Vec<Kind>>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Provisioned {
    pub subscriber: Subscriber,
    pub addresses: Vec<Synced>,
    /// The subscriber was there and active: an order that was carried out before.
    pub already: bool,
}

/// What was ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deprovisioned {
    pub subscriber: Subscriber,
    /// Orders placed for its open sessions.
    pub orders: Vec<i64>,
    pub released: Vec<(Kind, Released)>,
    /// It was terminated before.
    pub already: bool,
}

/// The id that an order for `username` is to have: that of the subscriber there is, of an order that was cut off perhaps,
/// or else a new one.
///
/// # Errors
/// The database does not answer.
pub async fn id_for(store: &Store, tenant_id: &str, username: &str) -> std::result::Result<String, StoreError> {
    let found = store.subscriber_get(tenant_id, username).await?;
    Ok(found
        .filter(|found| found.username == username && found.deleted_at.is_none())
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), |found| found.id))
}

/// Make a subscriber, give it its addresses and rows, and let it in; or nothing of that. `usual` are the kinds of address
/// that every subscriber of the tenant is to have, `sync` is `None` where the tenant has no NetBox. An order that was
/// carried out, or was cut off, may be repeated; its password is then the one it had, or the new one.
///
/// # Errors
/// The step that failed, why, and whether anything is left.
pub async fn provision(store: &Store, sync: Option<&Sync<'_>>, usual: &[Kind], order: &Order) -> Result<Provisioned> {
    let (subscriber, made) = create(store, order).await?;
    let (tenant, id) = (subscriber.tenant_id.as_str(), subscriber.id.as_str());
    let mut taken = Vec::new();
    let outcome = async {
        let kinds = kinds(store, sync, usual, order).await?;
        let addresses = allocate(sync, &subscriber, &kinds, &mut taken).await?;
        let by = order.subscriber.updated_by.as_deref();
        let replies = store.replies_ensure(&subscriber, &order.replies).await;
        replies.map_err(|e| (Step::Replies, e.into()))?;
        let activated = store.subscriber_activate(tenant, id, by).await;
        activated.map_err(|e| (Step::Activate, e.into()))?;
        Ok(addresses)
    };
    let addresses = match outcome.await {
        Ok(addresses) => addresses,
        Err((step, cause)) => {
            let left = undo(store, sync, &subscriber, made, &taken).await;
            return Err(failed(step, left)(cause));
        }
    };
    let read = store.subscriber_get(tenant, id).await;
    let after = read.map_err(|e| failed(Step::Activate, Left::Trace("it is active".to_owned()))(e.into()))?;
    Ok(Provisioned {
        already: subscriber.status == Status::Active,
        subscriber: after.unwrap_or(subscriber),
        addresses,
    })
}

/// The subscriber as it is before anything is allocated, and whether this call made it.
async fn create(store: &Store, order: &Order) -> Result<(Subscriber, bool)> {
    let fail = |cause| failed(Step::Create, Left::Nothing)(cause);
    let wanted = Subscriber {
        status: Status::Pending,
        ..order.subscriber.clone()
    };
    let duplicate = match store.subscriber_add(&wanted).await {
        Ok(()) => return Ok((wanted, true)),
        Err(error @ StoreError::Duplicate { .. }) => error,
        Err(error) => return Err(fail(error.into())),
    };
    let read = store.subscriber_get(&wanted.tenant_id, &wanted.id).await;
    let found = read.map_err(|e| fail(e.into()))?;
    let Some(found) = found.filter(|found| found.id == wanted.id && found.deleted_at.is_none()) else {
        return Err(fail(duplicate.into()));
    };
    if !matches!(found.status, Status::Pending | Status::Active) {
        return Err(fail(Cause::Status {
            username: found.username,
            status: found.status,
        }));
    }
    let fields = differences(&found, &wanted);
    if !fields.is_empty() {
        return Err(fail(Cause::Differs {
            username: found.username,
            fields,
        }));
    }
    if found.status == Status::Pending && wanted.password.is_some() {
        let renewed = Subscriber {
            password: wanted.password,
            password_hash_method: wanted.password_hash_method,
            ..found.clone()
        };
        store.subscriber_set(&renewed).await.map_err(|e| fail(e.into()))?;
    }
    Ok((found, false))
}

/// Fields that an order sets and that the subscriber there is has otherwise. What the database and NetBox write is not
/// the order's.
fn differences(found: &Subscriber, wanted: &Subscriber) -> Vec<String> {
    const NOT_COMPARED: [&str; 15] = [
        "id",
        "status",
        "password_hash_method",
        "activation_date",
        "suspension_date",
        "termination_date",
        "last_online",
        "total_sessions",
        "total_upload_bytes",
        "total_download_bytes",
        "created_at",
        "updated_at",
        "deleted_at",
        "created_by",
        "updated_by",
    ];
    // What NetBox gave, where the order leaves it to it.
    const FILLED_IN: [&str; 2] = ["static_ipv4", "netbox_ip_id"];
    let fields = |subscriber: &Subscriber| match serde_json::to_value(subscriber) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let found = fields(found);
    fields(wanted)
        .into_iter()
        .filter(|(name, value)| {
            let compared = !NOT_COMPARED.contains(&name.as_str());
            let left_open = value.is_null() && FILLED_IN.contains(&name.as_str())
                || name == "service_type" && value.as_str() == Some("");
            compared && !left_open && found.get(name) != Some(value)
        })
        .map(|(name, _)| name)
        .collect()
}

type Failure = (Step, Cause);

/// Which addresses an order comes to.
async fn kinds(
    store: &Store,
    sync: Option<&Sync<'_>>,
    usual: &[Kind],
    order: &Order,
) -> std::result::Result<Vec<Kind>, Failure> {
    if let Some(kinds) = &order.kinds {
        return Ok(kinds.clone());
    }
    if sync.is_none() {
        return Ok(Vec::new());
    }
    let subscriber = &order.subscriber;
    let read = store.addressed_of(&subscriber.tenant_id, &[&subscriber.id]).await;
    let addressed = read.map_err(|e| (Step::Allocate, e.into()))?;
    let delegated = addressed.first().is_some_and(|one| one.ipv6_pd_size.is_some());
    let asked = |kind: Kind| match kind {
        Kind::Ipv4 => subscriber.service_type == "static_ip" || subscriber.static_ipv4.is_some(),
        Kind::Ipv6 => false,
        Kind::Ipv6Prefix => delegated,
    };
    Ok(Kind::ALL
        .into_iter()
        .filter(|kind| usual.contains(kind) || asked(*kind))
        .collect())
}

/// One kind after the other, so that `taken` has what this call took even where a later one fails.
async fn allocate(
    sync: Option<&Sync<'_>>,
    subscriber: &Subscriber,
    kinds: &[Kind],
    taken: &mut Vec<Kind>,
) -> std::result::Result<Vec<Synced>, Failure> {
    let fail = |cause| (Step::Allocate, cause);
    let Some(sync) = sync else {
        return match kinds.first() {
            Some(kind) => Err(fail(Cause::NoNetbox(format!("{kind} is to come from there")))),
            None => Ok(Vec::new()),
        };
    };
    let mut addresses = Vec::new();
    for kind in kinds {
        match sync.subscriber(&subscriber.id, &[*kind]).await {
            Ok(synced) => {
                if synced.iter().any(|one| one.origin != Origin::Kept) {
                    taken.push(*kind);
                }
                addresses.extend(synced);
            }
            Err(error) => {
                // Perhaps taken there, and not written down here.
                taken.push(*kind);
                return Err(fail(error.into()));
            }
        }
    }
    Ok(addresses)
}

/// Take back what a call did. The row goes first: only while nobody was let in by it may its addresses go.
async fn undo(store: &Store, sync: Option<&Sync<'_>>, subscriber: &Subscriber, made: bool, taken: &[Kind]) -> Left {
    let (tenant, id) = (subscriber.tenant_id.as_str(), subscriber.id.as_str());
    if subscriber.status == Status::Active {
        return Left::Nothing;
    }
    let gone = match made {
        true => store.subscriber_withdraw(tenant, id).await,
        // Another's order, or one that was cut off: it stays pending, without what this call gave it.
        false => store
            .subscriber_get(tenant, id)
            .await
            .map(|found| found.is_none_or(|found| found.status == Status::Pending)),
    };
    match gone {
        Ok(true) => {}
        Ok(false) => return Left::Trace("it is not pending any more".to_owned()),
        Err(error) => return Left::Trace(error.to_string()),
    }
    let Some(sync) = sync else { return Left::Nothing };
    match sync.undo(id, taken).await {
        Ok(()) => Left::Nothing,
        Err(error) => Left::Trace(error.to_string()),
    }
}

/// End a subscriber: let it in no more and disconnect its sessions (by orders that the side service carries out), give
/// its addresses back, terminate it. Doing it twice does no more than once.
///
/// # Errors
/// The step that failed and why. What was done stays done; the same call again does the rest.
pub async fn deprovision(
    store: &Store,
    sync: Option<&Sync<'_>>,
    tenant_id: &str,
    subscriber_id: &str,
    by: Option<&str>,
) -> Result<Deprovisioned> {
    let first = |error: StoreError| failed(Step::Disconnect, Left::Nothing)(error.into());
    let found = store.subscriber_get(tenant_id, subscriber_id).await.map_err(first)?;
    let found = found.filter(|found| found.id == subscriber_id && found.deleted_at.is_none());
    let Some(subscriber) = found else {
        let attempt = format!("deprovision subscriber {subscriber_id:?}");
        return Err(first(StoreError::NotFound { attempt }));
    };
    let disconnected = store.subscriber_disconnect(tenant_id, subscriber_id, by).await;
    disconnected.map_err(first)?;
    let rest = |step| move |cause: Cause| failed(step, Left::Rest)(cause);
    let orders = disconnect(store, subscriber_id, by).await;
    let orders = orders.map_err(|e| rest(Step::Disconnect)(e.into()))?;
    let released = release(store, sync, tenant_id, subscriber_id, by).await;
    let released = released.map_err(rest(Step::Release))?;
    let terminated = store.subscriber_terminate(tenant_id, subscriber_id, by).await;
    terminated.map_err(|e| rest(Step::Terminate)(e.into()))?;
    let after = store.subscriber_get(tenant_id, subscriber_id).await;
    let after = after.map_err(|e| rest(Step::Terminate)(e.into()))?;
    Ok(Deprovisioned {
        already: subscriber.status == Status::Terminated,
        subscriber: after.unwrap_or(subscriber),
        orders,
        released,
    })
}

async fn disconnect(store: &Store, subscriber_id: &str, by: Option<&str>) -> std::result::Result<Vec<i64>, StoreError> {
    let sessions = store.sessions_of(&[subscriber_id.to_owned()]).await?;
    let orders: Vec<NewOrder> = sessions
        .iter()
        // What is on its way ends it.
        .filter(|session| {
            let mut orders = session.pending.iter().chain(&session.sending);
            !orders.any(|order| order.kind == OrderKind::Disconnect)
        })
        .map(|session| NewOrder {
            session_id: session.live.session_id,
            kind: OrderKind::Disconnect,
            cause: OrderCause::Status,
            actor: by.map(str::to_owned),
            plan_id: None,
            set: Vec::new(),
            unset: Vec::new(),
            wanted: None,
        })
        .collect();
    let placed = store.place_orders(&orders).await?;
    Ok(placed.into_iter().map(|(order, _)| order).collect())
}

async fn release(
    store: &Store,
    sync: Option<&Sync<'_>>,
    tenant_id: &str,
    subscriber_id: &str,
    by: Option<&str>,
) -> std::result::Result<Vec<(Kind, Released)>, Cause> {
    if let Some(sync) = sync {
        return sync.release(subscriber_id).await.map_err(SyncError::into);
    }
    let given = store.assignments(tenant_id, &[subscriber_id]).await?;
    if let Some(theirs) = given.iter().find(|given| given.netbox_id.is_some()) {
        return Err(Cause::NoNetbox(format!("{} is to go back there", theirs.net)));
    }
    for kind in Kind::ALL {
        let by = by.map(str::to_owned);
        store.unassign(tenant_id, subscriber_id, kind, &by).await?;
    }
    Ok(Vec::new())
}
