//! What a tenant does with subscribers in a condition other than active.

use clap::Subcommand;
use isp_core::tenant::{Condition, ConditionAction, TenantCondition};
use serde::Serialize;

use super::plan::find_plan;
use crate::context::{Context, find_tenant};
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List every condition with what becomes of those who are in it
    List {
        /// Name or id
        tenant: String,
    },
    /// Say what becomes of those who are in a condition
    #[command(after_help = "ispctl tenant condition set Example suspended restrict=garden\n\n\
                            Conditions: pending, suspended, disconnected, terminated, quarantined, expired, outside_hours, \
                            quota_exhausted.")]
    Set {
        /// Name or id
        tenant: String,
        condition: Condition,
        /// reject, accept, or restrict=PLAN: let in under the terms of that plan (name or id), and with no more than it
        /// would get if it were active
        #[arg(value_name = "reject|accept|restrict=PLAN", value_parser = action)]
        action: Action,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Reject,
    Accept,
    Restrict(String),
}

fn action(text: &str) -> std::result::Result<Action, String> {
    match text.split_once('=') {
        None if text == "reject" => Ok(Action::Reject),
        None if text == "accept" => Ok(Action::Accept),
        Some(("restrict", plan)) if !plan.is_empty() => Ok(Action::Restrict(plan.to_owned())),
        _ => Err("expected reject, accept or restrict=PLAN".to_owned()),
    }
}

#[derive(Serialize)]
struct View {
    condition: Condition,
    action: &'static str,
    /// The plan's name.
    plan: Option<String>,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<()> {
    let store = context.store().await?;
    let tenant = match command {
        Command::List { tenant } => find_tenant(store, &tenant).await?,
        Command::Set {
            tenant,
            condition,
            action,
        } => {
            let tenant = find_tenant(store, &tenant).await?;
            let action = match action {
                Action::Reject => ConditionAction::Reject,
                Action::Accept => ConditionAction::Accept,
                Action::Restrict(plan) => ConditionAction::Restrict(find_plan(store, &tenant, &plan).await?.id),
            };
            store
                .tenant_condition_set(&TenantCondition {
                    tenant_id: tenant.id.clone(),
                    condition,
                    action,
                })
                .await?;
            tenant
        }
    };
    let said = store.tenant_conditions(&tenant.id).await?;
    let plans = store.plan_list(&tenant.id).await?;
    let view = |condition| {
        let action = said
            .iter()
            .find(|said| said.condition == condition)
            .map(|said| &said.action);
        let (action, plan) = match action {
            None | Some(ConditionAction::Reject) => ("reject", None),
            Some(ConditionAction::Accept) => ("accept", None),
            Some(ConditionAction::Restrict(id)) => ("restrict", Some(id)),
        };
        View {
            condition,
            action,
            plan: plan.map(|id| {
                plans
                    .iter()
                    .find(|plan| plan.id == *id)
                    .map_or(id, |plan| &plan.name)
                    .clone()
            }),
        }
    };
    let views: Vec<View> = Condition::ALL.into_iter().map(view).collect();
    context.output.list(&views, &["condition", "action", "plan"])
}
