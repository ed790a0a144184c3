//! Where a subscriber's line ends, what it is bound to, and when it may be online.

use clap::Subcommand;
use isp_core::network_profile::NetworkProfile;

use super::{DeleteArgs, NOTHING_TO_SET, new_id, subscriber};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::FieldArgs;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a subscriber's network profile
    Show {
        /// Username or id
        user: String,
    },
    /// Change the fields named, leaving the others; an empty value clears a field. Makes the profile where there is none
    Set {
        /// Username or id
        user: String,
        #[command(flatten)]
        fields: FieldArgs<NetworkProfile>,
    },
    /// Take a subscriber's network profile away: it is bound to nothing then
    Delete {
        /// Username or id
        user: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        Command::Show { user } => {
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            let profile = store.network_profile_get(&tenant.id, &subscriber.id).await?;
            let profile = profile.ok_or_else(|| Error::not_found("network profile of subscriber", &user, &tenant))?;
            context.output.record(&profile)
        }
        Command::Set { user, fields } => {
            if fields.is_empty() {
                output::warning(NOTHING_TO_SET);
            }
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            let before = store.network_profile_get(&tenant.id, &subscriber.id).await?;
            let mut profile = before
                .clone()
                .unwrap_or_else(|| NetworkProfile::blank(new_id(), tenant.id.clone(), subscriber.id.clone()));
            fields.apply(&mut profile).map_err(Error::Refused)?;
            if !fields.is_empty() && before.as_ref() != Some(&profile) {
                store.network_profile_set(&profile).await?;
            }
            context.output.record(&profile)
        }
        Command::Delete { user, how } => {
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            if !how.dry_run {
                store.network_profile_delete(&tenant.id, &subscriber.id).await?;
            }
            context
                .output
                .done(&how.told("network profile of subscriber", &subscriber.username));
            Ok(())
        }
    }
}
