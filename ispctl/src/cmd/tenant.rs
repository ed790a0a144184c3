use clap::Subcommand;
use isp_core::tenant::Tenant;

use super::{DeleteArgs, NOTHING_TO_SET, condition, new_id, realm};
use crate::context::{Context, find_tenant};
use crate::error::{Error, Result};
use crate::field::{self, FieldArgs, Record as _};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a tenant
    Add {
        /// Its name, unique
        #[arg(value_parser = field::key::<Tenant>)]
        name: String,
        /// Its id, where another system gives it [default: a new UUID]
        #[arg(long, value_parser = field::id)]
        id: Option<String>,
        #[command(flatten)]
        fields: FieldArgs<Tenant>,
    },
    /// List all tenants
    List,
    /// Show one tenant
    Show {
        /// Name or id
        tenant: String,
    },
    /// Change the fields named, leaving the others
    Set {
        /// Name or id
        tenant: String,
        /// New name
        #[arg(long, value_name = "NAME", value_parser = field::key::<Tenant>)]
        rename: Option<String>,
        #[command(flatten)]
        fields: FieldArgs<Tenant>,
    },
    /// What becomes of subscribers that are suspended, expired and so on
    #[command(subcommand)]
    Condition(condition::Command),
    /// What becomes of user@realm that comes by the tenant's NAS
    #[command(subcommand)]
    Realm(realm::Command),
    /// Delete a tenant that owns nothing any more
    Delete {
        /// Name or id
        tenant: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let store = context.store().await?;
    match command {
        Command::Add { name, id, fields } => {
            let mut tenant = Tenant {
                id: id.unwrap_or_else(new_id),
                ..Tenant::blank()
            };
            (Tenant::KEY.set)(&mut tenant, &name).map_err(Error::Refused)?;
            fields.apply(&mut tenant).map_err(Error::Refused)?;
            store.tenant_add(&tenant).await?;
            context.output.record(&tenant)?;
        }
        Command::List => {
            let tenants = store.tenant_list().await?;
            context.output.list(
                &tenants,
                &[
                    "id",
                    "name",
                    "enabled",
                    "username_case",
                    "username_realm",
                    "timezone",
                    "interim_jitter_percent",
                    "lookup_by",
                ],
            )?;
        }
        Command::Show { tenant } => context.output.record(&find_tenant(store, &tenant).await?)?,
        Command::Set { tenant, rename, fields } => {
            if fields.is_empty() && rename.is_none() {
                output::warning(NOTHING_TO_SET);
            }
            let before = find_tenant(store, &tenant).await?;
            let mut tenant = before.clone();
            fields.apply(&mut tenant).map_err(Error::Refused)?;
            if let Some(name) = rename {
                (Tenant::KEY.set)(&mut tenant, &name).map_err(Error::Refused)?;
            }
            if tenant != before {
                store.tenant_set(&tenant).await?;
            }
            context.output.record(&tenant)?;
        }
        Command::Condition(command) => condition::run(context, command).await?,
        Command::Realm(command) => realm::run(context, command).await?,
        Command::Delete { tenant, how } => {
            let tenant = find_tenant(store, &tenant).await?;
            if !how.dry_run {
                store.tenant_delete(&tenant.id).await?;
            }
            context.output.done(&how.told("tenant", &tenant.name));
        }
    }
    Ok(())
}
