//! Orders for open sessions, by hand.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use isp_core::convergence::{Worker, nas_only, reapply};
use isp_core::order::{Cause, CoaOrder, LiveSession, NewOrder, OrderItem, OrderKind, OrderState};
use isp_core::store::{LiveFilter, OrderFilter, Store, StoreError};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::serve;
use crate::context::Context;
use crate::error::{Error, Result};

/// Which open sessions are meant.
#[derive(Debug, clap::Args)]
#[group(id = "which", required = true, multiple = true)]
pub(crate) struct Which {
    /// User-Name as the NAS sent it, or the subscriber's username
    #[arg(long, value_name = "NAME", group = "which")]
    username: Option<String>,
    /// Acct-Session-Id
    #[arg(long, value_name = "ID", group = "which")]
    session_id: Option<String>,
    /// NAS-IP-Address
    #[arg(long, value_name = "ADDRESS", group = "which")]
    nas: Option<IpAddr>,
    /// The session's id, as "session list" shows it
    #[arg(long, value_name = "ID", group = "which")]
    id: Option<i64>,
}

/// What becomes of the orders.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// All sessions that match, not just the only one
    #[arg(long)]
    all: bool,
    /// Wait for what comes of it
    #[arg(long)]
    wait: bool,
    /// Tell the NAS from here, instead of leaving it to "ispctl serve"; waits
    #[arg(long)]
    direct: bool,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DisconnectArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    /// What to set: "Name = value", "Name:1 = value" with a tag [default: what the sessions are to have by now]
    #[arg(value_name = "ATTRIBUTE")]
    attributes: Vec<OrderItem>,
}

/// What came of an order, as the original system told it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderResult)]
pub(crate) struct Told {
    success: bool,
    message: String,
    username: Option<String>,
    details: Details,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderDetails)]
struct Details {
    order: i64,
    session_id: String,
    #[schema(value_type = String)]
    nas_ip_address: IpAddr,
    #[schema(value_type = String)]
    kind: OrderKind,
    #[schema(value_type = String)]
    state: OrderState,
    result: Option<String>,
    error_cause: Option<u32>,
    attempts: u32,
    /// Microseconds.
    rtt: Option<u64>,
}

pub(super) async fn disconnect(context: &Context, args: DisconnectArgs) -> Result<()> {
    let store = context.store().await?;
    let sessions = find(context, store, &args.which, args.how.all).await?;
    let orders = sessions
        .iter()
        .map(|session| order(context, session, OrderKind::Disconnect, &[]));
    place(context, store, orders.collect(), &args.how).await
}

pub(super) async fn change(context: &Context, args: ChangeArgs) -> Result<()> {
    let store = context.store().await?;
    let sessions = find(context, store, &args.which, args.how.all).await?;
    for session in &sessions {
        refuse_waiting(store, session).await?;
    }
    let orders = if args.attributes.is_empty() {
        let vendors = Arc::new(context.vendors()?);
        let orders = reapply(store, vendors, &sessions, context.operator()).await?;
        if orders.len() < sessions.len() {
            return Err(Error::Refused(
                "a session is of no known subscriber, or its subscriber's decision cannot be made: see ispctl subscriber explain"
                    .to_owned(),
            ));
        }
        orders
    } else {
        let change = |session| order(context, session, OrderKind::Change, &args.attributes);
        sessions.iter().map(change).collect()
    };
    place(context, store, orders, &args.how).await
}

fn order(context: &Context, session: &LiveSession, kind: OrderKind, set: &[OrderItem]) -> NewOrder {
    NewOrder {
        session_id: session.session_id,
        kind,
        cause: Cause::Manual,
        actor: context.operator().map(str::to_owned),
        plan_id: None,
        set: set.to_vec(),
        unset: Vec::new(),
        wanted: None,
    }
}

/// A change by hand must not take the place of what the policy wants.
async fn refuse_waiting(store: &Store, session: &LiveSession) -> Result<()> {
    let filter = OrderFilter {
        acct_session_id: Some(session.acct_session_id.clone()),
        nas: Some(session.nas_ip_address),
        state: Some(OrderState::Pending),
        ..OrderFilter::default()
    };
    let waiting = store.order_list(&filter).await?;
    match waiting.iter().find(|order| order.session_id == session.session_id) {
        Some(order) => Err(Error::Conflict(format!(
            "order {} of session {} waits (cause {}): wait for it, or cancel it with ispctl coa cancel {}",
            order.id, session.acct_session_id, order.cause, order.id
        ))),
        None => Ok(()),
    }
}

/// The session that is meant, or all; what matches otherwise is listed.
async fn find(context: &Context, store: &Store, which: &Which, all: bool) -> Result<Vec<LiveSession>> {
    let filter = LiveFilter {
        tenant_id: context.named_tenant(store).await?.map(|tenant| tenant.id),
        username: which.username.clone(),
        acct_session_id: which.session_id.clone(),
        nas: which.nas.map(|nas| nas.to_canonical()),
        session_id: which.id,
    };
    let sessions = store.live_sessions(&filter).await?;
    match sessions.len() {
        0 => Err(Error::NotFound {
            kind: "open session",
            name: which.told(),
            place: "the accounting".to_owned(),
        }),
        1 => Ok(sessions),
        _ if all => Ok(sessions),
        several => {
            context.output.list(
                &sessions,
                &[
                    "session_id",
                    "acct_session_id",
                    "username",
                    "nas_ip_address",
                    "framed_ip_address",
                ],
            )?;
            Err(Error::Conflict(format!(
                "{several} open sessions match: name one more closely (--id), or all with --all"
            )))
        }
    }
}

impl Which {
    fn told(&self) -> String {
        let nas = self.nas.map(|nas| nas.to_string());
        let id = self.id.map(|id| id.to_string());
        let told = [
            self.username.as_deref(),
            self.session_id.as_deref(),
            nas.as_deref(),
            id.as_deref(),
        ];
        told.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

async fn place(context: &Context, store: &Store, orders: Vec<NewOrder>, how: &How) -> Result<()> {
    let wanted = orders.len();
    let placed: Vec<i64> = store
        .place_orders(&orders)
        .await?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    if placed.is_empty() {
        return Err(Error::Conflict("the session ended meanwhile".to_owned()));
    }
    let told = follow(context, store, &placed, how).await?;
    let failed = told.iter().filter(|told| !told.success).count() + wanted.saturating_sub(placed.len());
    if context.output.json {
        context.output.list(&told, &[])?;
    } else {
        for told in &told {
            let username = told.username.as_deref().unwrap_or("-");
            context
                .output
                .line(&format!("{username} {}: {}", told.details.session_id, told.message))?;
        }
    }
    if failed > 0 && (how.wait || how.direct) {
        return Err(Error::Orders { failed, all: wanted });
    }
    Ok(())
}

/// How the orders stand, when they are over or the time is up.
async fn follow(context: &Context, store: &Store, orders: &[i64], how: &How) -> Result<Vec<Told>> {
    let patience = if how.wait || how.direct { how.timeout } else { 0 };
    let (stop, stopped) = watch::channel(false);
    let working = if how.direct {
        let snapshot = nas_only(store, Arc::new(context.vendors()?)).await?;
        let keys = context.keys()?.map(Arc::new);
        let worker = Worker::new(store.clone(), snapshot, keys, serve::worker(context)?).only(orders.to_vec());
        Some(tokio::spawn(worker.run(Arc::new(Notify::new()), stopped)))
    } else {
        None
    };
    let told = watch(store, orders, Duration::from_secs(patience)).await;
    stop.send_replace(true);
    if let Some(working) = working {
        working.await.map_err(|_| Error::Thread("worker"))?;
    }
    Ok(told?)
}

/// How the orders stand, when they are over or `patience` is.
pub(crate) async fn watch(
    store: &Store,
    orders: &[i64],
    patience: Duration,
) -> std::result::Result<Vec<Told>, StoreError> {
    let end = Instant::now() + patience;
    let mut told = Vec::with_capacity(orders.len());
    for &id in orders {
        loop {
            let filter = OrderFilter {
                id: Some(id),
                ..OrderFilter::default()
            };
            let Some(order) = store.order_list(&filter).await?.pop() else {
                break;
            };
            if order.is_over() || Instant::now() >= end {
                told.push(Told::from(order));
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(told)
}

impl Told {
    pub(crate) const fn success(&self) -> bool {
        self.success
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// Acct-Session-Id.
    pub(crate) fn session_id(&self) -> &str {
        &self.details.session_id
    }
}

impl From<CoaOrder> for Told {
    fn from(order: CoaOrder) -> Self {
        let done = match (order.kind, order.result.as_deref()) {
            (_, Some("disconnected")) => "the session was ended, its change was refused",
            (_, Some("gone")) => "the NAS has no such session",
            (_, Some("ended")) => "the session was over before it was sent",
            (OrderKind::Disconnect, _) => "the session was ended",
            (OrderKind::Change, _) => "the session was changed",
        };
        let reason = order.reason.as_deref().unwrap_or_default();
        let message = match order.state {
            OrderState::Done => done.to_owned(),
            OrderState::Pending if order.attempts == 0 => format!("order {} is placed", order.id),
            OrderState::Pending => format!("order {} is tried again: {reason}", order.id),
            OrderState::Sending => format!("order {} is on its way", order.id),
            OrderState::Failed => reason.to_owned(),
            OrderState::Cancelled | OrderState::Superseded => format!("{}: {reason}", order.state),
        };
        Self {
            success: order.state == OrderState::Done,
            message,
            username: order.username,
            details: Details {
                order: order.id,
                session_id: order.acct_session_id,
                nas_ip_address: order.nas_ip_address,
                kind: order.kind,
                state: order.state,
                result: order.result,
                error_cause: order.error_cause,
                attempts: order.attempts,
                rtt: order.rtt,
            },
        }
    }
}
