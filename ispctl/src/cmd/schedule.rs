//! Changes of a subscriber that are planned.

use clap::Subcommand;
use isp_core::policy::schedule::Change;
use isp_core::store::{PlannedChange, Store};
use isp_core::subscriber::Status;
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::plan::find_plan;
use super::{DeleteArgs, new_id, subscriber};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::parse;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plan a change: it has effect from its instant on, to the second
    #[command(
        after_help = "ispctl subscriber schedule add alice --at 2026-12-01 --status suspended --until 2026-12-15"
    )]
    Add(AddArgs),
    /// List what is and was planned for a subscriber
    List {
        /// Username or id
        user: String,
    },
    /// Take back what is planned and has not come
    Delete {
        /// Username or id
        user: String,
        /// The change's id, as list shows it
        id: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Username or id
    user: String,
    /// When: 2026-01-31, 2026-01-31T18:00:00Z or Unix seconds
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    at: i64,
    /// The status it gets
    #[arg(long, required_unless_present = "plan", conflicts_with = "plan")]
    status: Option<Status>,
    /// The plan it gets, by name or id
    #[arg(long)]
    plan: Option<String>,
    /// When it gets the status or the plan back that it has now
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    until: Option<i64>,
    /// What for
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Serialize)]
struct View {
    id: String,
    at: i64,
    status: Option<Status>,
    /// The plan's name.
    plan: Option<String>,
    note: Option<String>,
    created_at: i64,
    created_by: Option<String>,
    applied_at: Option<i64>,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        Command::Add(args) => add(context, store, &tenant, args).await,
        Command::List { user } => {
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            list(context, store, &tenant, &subscriber.id).await
        }
        Command::Delete { user, id, how } => {
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            let planned = store.schedule_list(&tenant.id, &subscriber.id).await?;
            if !planned
                .iter()
                .any(|change| change.id == id && change.applied_at.is_none())
            {
                return Err(Error::not_found("planned change", &id, &tenant));
            }
            if !how.dry_run {
                store.schedule_delete(&tenant.id, &id).await?;
            }
            context.output.done(&how.told("planned change", &id));
            Ok(())
        }
    }
}

async fn add(context: &Context, store: &Store, tenant: &Tenant, args: AddArgs) -> Result<()> {
    let subscriber = subscriber::find(store, tenant, &args.user).await?;
    if args.until.is_some_and(|until| until <= args.at) {
        return Err(Error::Usage("--until is not after --at".to_owned()));
    }
    let (there, back) = match (args.status, &args.plan) {
        (Some(status), _) => (Change::Status(status), Some(Change::Status(subscriber.status))),
        (None, Some(plan)) => (
            Change::Plan(find_plan(store, tenant, plan).await?.id),
            subscriber.bandwidth_profile_id.clone().map(Change::Plan),
        ),
        (None, None) => return Err(Error::Usage("--status or --plan is missing".to_owned())),
    };
    let planned = |at, change| PlannedChange {
        id: new_id(),
        tenant_id: tenant.id.clone(),
        subscriber_id: subscriber.id.clone(),
        at,
        change,
        note: args.note.clone(),
        created_at: 0,
        created_by: context.operator().map(str::to_owned),
        applied_at: None,
    };
    let mut changes = vec![planned(args.at, there)];
    if let Some(until) = args.until {
        let back = back.ok_or_else(|| Error::Usage("the subscriber has no plan to go back to".to_owned()))?;
        changes.push(planned(until, back));
    }
    store.schedule_add(&changes).await?;
    list(context, store, tenant, &subscriber.id).await
}

async fn list(context: &Context, store: &Store, tenant: &Tenant, subscriber_id: &str) -> Result<()> {
    let plans = store.plan_list(&tenant.id).await?;
    let views: Vec<View> = store
        .schedule_list(&tenant.id, subscriber_id)
        .await?
        .into_iter()
        .map(|planned| {
            let (status, plan) = match planned.change {
                Change::Status(status) => (Some(status), None),
                Change::Plan(id) => {
                    let name = plans.iter().find(|plan| plan.id == id).map(|plan| plan.name.clone());
                    (None, Some(name.unwrap_or(id)))
                }
            };
            View {
                id: planned.id,
                at: planned.at,
                status,
                plan,
                note: planned.note,
                created_at: planned.created_at,
                created_by: planned.created_by,
                applied_at: planned.applied_at,
            }
        })
        .collect();
    context
        .output
        .list(&views, &["id", "at", "status", "plan", "note", "applied_at"])
}
