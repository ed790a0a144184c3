//! What becomes of user@realm, by the NAS it comes by.

use clap::Subcommand;
use isp_core::tenant::{RealmAction, TenantRealm};
use serde::Serialize;

use super::DeleteArgs;
use crate::context::{Context, find_tenant};
use crate::error::{Error, Result};

/// For [`TenantRealm::NONE`] and [`TenantRealm::OTHER`].
const NONE: &str = "none";
const OTHER: &str = "other";
/// RFC 2865 section 5: a User-Name has at most this many octets.
const MOST: usize = 253;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the realms there are rules for
    List {
        /// Name or id
        tenant: String,
    },
    /// Say what becomes of a realm that comes by the tenant's NAS
    #[command(after_help = "ispctl tenant realm set Wholesale isp-b.example tenant=IspB\n\
                            ispctl tenant realm set Wholesale other refuse\n\
                            ispctl tenant realm set Wholesale none refuse")]
    Set {
        /// Name or id
        tenant: String,
        /// In any case; none: a User-Name without a realm; other: any that there is no rule for
        #[arg(value_parser = realm)]
        realm: String,
        /// accept: by the tenant's own rules; strip: looked up without it; refuse; or tenant=NAME: a subscriber of that
        /// tenant, looked up by that one's rules
        #[arg(value_name = "accept|strip|refuse|tenant=NAME", value_parser = action)]
        action: RealmAction,
    },
    /// Have no rule for a realm any more
    Delete {
        /// Name or id
        tenant: String,
        #[arg(value_parser = realm)]
        realm: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

fn realm(text: &str) -> std::result::Result<String, String> {
    match text {
        NONE => Ok(TenantRealm::NONE.to_owned()),
        OTHER => Ok(TenantRealm::OTHER.to_owned()),
        "" | TenantRealm::OTHER => Err("expected a realm, none or other".to_owned()),
        _ if text.contains('@') => Err("expected what comes after the @".to_owned()),
        _ if text.len() > MOST => Err(format!("longer than {MOST} octets")),
        _ => Ok(text.to_lowercase()),
    }
}

/// The tenant by name or id yet.
fn action(text: &str) -> std::result::Result<RealmAction, String> {
    match text.split_once('=') {
        None if text == "accept" => Ok(RealmAction::Accept),
        None if text == "strip" => Ok(RealmAction::Strip),
        None if text == "refuse" => Ok(RealmAction::Refuse),
        Some(("tenant", tenant)) if !tenant.is_empty() => Ok(RealmAction::Tenant(tenant.to_owned())),
        _ => Err("expected accept, strip, refuse or tenant=NAME".to_owned()),
    }
}

const fn word(action: &RealmAction) -> &'static str {
    match action {
        RealmAction::Accept => "accept",
        RealmAction::Strip => "strip",
        RealmAction::Refuse => "refuse",
        RealmAction::Tenant(_) => "tenant",
    }
}

fn shown(realm: &str) -> &str {
    match realm {
        TenantRealm::NONE => NONE,
        TenantRealm::OTHER => OTHER,
        realm => realm,
    }
}

#[derive(Serialize)]
struct View {
    realm: String,
    action: &'static str,
    /// The tenant's name.
    tenant: Option<String>,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<()> {
    let store = context.store().await?;
    let tenant = match command {
        Command::List { tenant } => find_tenant(store, &tenant).await?,
        Command::Set { tenant, realm, action } => {
            let tenant = find_tenant(store, &tenant).await?;
            let action = match action {
                RealmAction::Tenant(name) => RealmAction::Tenant(find_tenant(store, &name).await?.id),
                action => action,
            };
            if realm == TenantRealm::NONE && matches!(action, RealmAction::Strip | RealmAction::Tenant(_)) {
                return Err(Error::Refused(
                    "a User-Name without a realm can be accepted or refused, nothing else".to_owned(),
                ));
            }
            store
                .tenant_realm_set(&TenantRealm {
                    tenant_id: tenant.id.clone(),
                    realm,
                    action,
                })
                .await?;
            tenant
        }
        Command::Delete { tenant, realm, how } => {
            let tenant = find_tenant(store, &tenant).await?;
            if !how.dry_run {
                store.tenant_realm_delete(&tenant.id, &realm).await?;
            }
            context.output.done(&how.told("the rule for realm", shown(&realm)));
            return Ok(());
        }
    };
    let tenants = store.tenant_list().await?;
    let view = |rule: TenantRealm| View {
        action: word(&rule.action),
        realm: shown(&rule.realm).to_owned(),
        tenant: match rule.action {
            RealmAction::Tenant(id) => {
                let named = tenants.iter().find(|tenant| tenant.id == id);
                Some(named.map_or(id, |tenant| tenant.name.clone()))
            }
            RealmAction::Accept | RealmAction::Strip | RealmAction::Refuse => None,
        },
    };
    let views: Vec<View> = store.tenant_realms(&tenant.id).await?.into_iter().map(view).collect();
    context.output.list(&views, &["realm", "action", "tenant"])
}
