use clap::Subcommand;
use isp_core::plan::Plan;
use isp_core::store::{Store, SubscriberFilter};
use isp_core::tenant::Tenant;

use super::{DeleteArgs, NOTHING_TO_SET, new_id, quota};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::{self, FieldArgs, Record as _};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a plan
    Add {
        /// Its name, unique within the tenant
        #[arg(value_parser = field::key::<Plan>)]
        name: String,
        /// Its id, where another system gives it [default: a new UUID]
        #[arg(long, value_parser = field::id)]
        id: Option<String>,
        #[command(flatten)]
        fields: FieldArgs<Plan>,
    },
    /// List the tenant's plans
    List,
    /// Show one plan
    Show {
        /// Name or id
        plan: String,
    },
    /// Change the fields named, leaving the others; an empty value clears a field
    Set {
        /// Name or id
        plan: String,
        /// New name
        #[arg(long, value_name = "NAME", value_parser = field::key::<Plan>)]
        rename: Option<String>,
        #[command(flatten)]
        fields: FieldArgs<Plan>,
    },
    /// What may be used in a period, and what comes after
    #[command(subcommand)]
    Quota(quota::Command),
    /// Delete a plan
    Delete {
        /// Name or id
        plan: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        Command::Quota(command) => quota::run(context, command).await?,
        Command::Add { name, id, fields } => {
            let mut plan = Plan {
                id: id.unwrap_or_else(new_id),
                tenant_id: tenant.id,
                ..Plan::blank()
            };
            (Plan::KEY.set)(&mut plan, &name).map_err(Error::Refused)?;
            fields.apply(&mut plan).map_err(Error::Refused)?;
            if plan.download_rate_kbps == 0 || plan.upload_rate_kbps == 0 {
                return Err(Error::Usage(
                    "a plan needs --download-rate-kbps and --upload-rate-kbps".to_owned(),
                ));
            }
            store.plan_add(&plan).await?;
            context.output.record(&plan)?;
        }
        Command::List => {
            let columns = [
                "id",
                "name",
                "download_rate_kbps",
                "upload_rate_kbps",
                "session_timeout",
                "idle_timeout",
                "acct_interim_interval",
            ];
            context.output.list(&store.plan_list(&tenant.id).await?, &columns)?;
        }
        Command::Show { plan } => context.output.record(&find_plan(store, &tenant, &plan).await?)?,
        Command::Set { plan, rename, fields } => {
            if fields.is_empty() && rename.is_none() {
                output::warning(NOTHING_TO_SET);
            }
            let before = find_plan(store, &tenant, &plan).await?;
            let mut plan = before.clone();
            fields.apply(&mut plan).map_err(Error::Refused)?;
            if let Some(name) = rename {
                (Plan::KEY.set)(&mut plan, &name).map_err(Error::Refused)?;
            }
            if plan != before {
                store.plan_set(&plan).await?;
            }
            context.output.record(&plan)?;
        }
        Command::Delete { plan, how } => {
            let plan = find_plan(store, &tenant, &plan).await?;
            refuse_if_sold(store, &tenant, &plan).await?;
            if !how.dry_run {
                store.plan_delete(&tenant.id, &plan.id).await?;
            }
            context.output.done(&how.told("plan", &plan.name));
        }
    }
    Ok(())
}

pub(super) async fn find_plan(store: &Store, tenant: &Tenant, name: &str) -> Result<Plan> {
    store
        .plan_get(&tenant.id, name)
        .await?
        .ok_or_else(|| Error::not_found("plan", name, tenant))
}

/// The database would take the plan away from its subscribers, who would then be let in without a rate.
pub(crate) async fn refuse_if_sold(store: &Store, tenant: &Tenant, plan: &Plan) -> Result<()> {
    let filter = SubscriberFilter {
        tenant_id: Some(tenant.id.clone()),
        plan_id: Some(plan.id.clone()),
        limit: Some(1),
        ..SubscriberFilter::default()
    };
    match store.subscriber_list(&filter).await?.first() {
        None => Ok(()),
        Some(subscriber) => Err(Error::Conflict(format!(
            "plan {:?} still has subscribers, {:?} among them: give them another one first",
            plan.name, subscriber.username
        ))),
    }
}
