//! The outbox: what NAS were told of live sessions, and what came of it.

use std::net::IpAddr;

use clap::Subcommand;
use isp_core::order::{Cause, OrderState};
use isp_core::store::{OrderFilter, Store};

use super::plan::find_plan;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List orders, the latest first
    Log {
        #[command(flatten)]
        which: Which,
        /// pending, sending, done, failed, cancelled or superseded
        #[arg(long)]
        state: Option<OrderState>,
        /// How far they have come, by NAS and cause
        #[arg(long)]
        summary: bool,
        /// At most so many; 0 = all
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Go on after the order with this id
        #[arg(long, value_name = "ID")]
        after: Option<i64>,
    },
    /// Show all of one order
    Show { order: i64 },
    /// Place orders that failed or were cancelled once more
    Retry(Chosen),
    /// Cancel orders that wait; what they wanted is not ordered again by itself
    Cancel(Chosen),
}

/// Which orders.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// For this NAS-IP-Address
    #[arg(long, value_name = "ADDRESS")]
    nas: Option<IpAddr>,
    /// User-Name as the NAS sent it
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Acct-Session-Id
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
    /// Whose subscriber has this plan (name or id)
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// status, plan, tier, hours, expiry, address, rows, nas, restore or manual
    #[arg(long)]
    cause: Option<Cause>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Chosen {
    /// By its id
    order: Option<i64>,
    #[command(flatten)]
    which: Which,
    /// All there are
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let store = context.store().await?;
    match command {
        Command::Log {
            which,
            state,
            summary,
            limit,
            after,
        } => {
            let mut filter = which.filter(context, store).await?;
            filter.state = state;
            filter.after = after;
            if summary {
                let progress = store.order_progress(&filter).await?;
                let columns = [
                    "nas_ip_address",
                    "cause",
                    "pending",
                    "sending",
                    "done",
                    "failed",
                    "cancelled",
                    "superseded",
                ];
                return context.output.list(&progress, &columns);
            }
            filter.limit = (limit > 0).then(|| limit.saturating_add(1));
            let mut orders = store.order_list(&filter).await?;
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let more = limit > 0 && orders.len() > limit;
            if more {
                orders.truncate(limit);
            }
            let columns = [
                "id",
                "created_at",
                "username",
                "acct_session_id",
                "nas_ip_address",
                "kind",
                "cause",
                "actor",
                "state",
                "result",
                "attempts",
                "reason",
            ];
            context.output.list(&orders, &columns)?;
            if let (true, Some(last)) = (more, orders.last()) {
                output::warning(&format!(
                    "only {limit} are listed, there are more: go on with --after {}, or --limit 0 for all",
                    last.id
                ));
            }
            Ok(())
        }
        Command::Show { order } => {
            let filter = OrderFilter {
                tenant_id: context.named_tenant(store).await?.map(|tenant| tenant.id),
                id: Some(order),
                ..OrderFilter::default()
            };
            let found = store.order_list(&filter).await?.pop();
            context.output.record(&found.ok_or_else(|| missing(order))?)
        }
        Command::Retry(chosen) => {
            let filter = chosen.filter(context, store).await?;
            let placed = store.order_retry(&filter, context.operator()).await?;
            if let (Some(order), true) = (chosen.order, placed.is_empty()) {
                return Err(Error::Conflict(format!(
                    "order {order} cannot be placed once more: it has neither failed nor been cancelled, its session is over, or \
                     the session was ordered something since"
                )));
            }
            context
                .output
                .done(&format!("{} order(s) placed once more", placed.len()));
            Ok(())
        }
        Command::Cancel(chosen) => {
            let filter = chosen.filter(context, store).await?;
            let cancelled = store.order_cancel(&filter, context.operator()).await?;
            if let (Some(order), 0) = (chosen.order, cancelled) {
                return Err(Error::Conflict(format!("order {order} does not wait any more")));
            }
            context.output.done(&format!("{cancelled} order(s) cancelled"));
            Ok(())
        }
    }
}

fn missing(order: i64) -> Error {
    Error::NotFound {
        kind: "order",
        name: order.to_string(),
        place: "the orders that are kept".to_owned(),
    }
}

impl Which {
    async fn filter(&self, context: &Context, store: &Store) -> Result<OrderFilter> {
        let plan_id = match &self.plan {
            Some(plan) => Some(find_plan(store, &context.tenant(store).await?, plan).await?.id),
            None => None,
        };
        Ok(OrderFilter {
            tenant_id: context.named_tenant(store).await?.map(|tenant| tenant.id),
            nas: self.nas.map(|nas| nas.to_canonical()),
            username: self.username.clone(),
            acct_session_id: self.session_id.clone(),
            plan_id,
            cause: self.cause,
            ..OrderFilter::default()
        })
    }
}

impl Chosen {
    async fn filter(&self, context: &Context, store: &Store) -> Result<OrderFilter> {
        let named = self.which.nas.is_some()
            || self.which.username.is_some()
            || self.which.session_id.is_some()
            || self.which.plan.is_some()
            || self.which.cause.is_some();
        if self.order.is_none() && !named && !self.all {
            return Err(Error::Usage(
                "name an order, or which (see --help), or --all".to_owned(),
            ));
        }
        let mut filter = self.which.filter(context, store).await?;
        filter.id = self.order;
        if let Some(order) = self.order
            && store.order_list(&filter).await?.is_empty()
        {
            return Err(missing(order));
        }
        Ok(filter)
    }
}
