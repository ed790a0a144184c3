use std::time::Duration;

use clap::Subcommand;
use isp_core::access::{ApiToken, AuditEntry, Bearer, Role, Scope};
use isp_core::store::Store;
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::new_id;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::parse;
use crate::period;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it: it is shown this once
    Add(AddArgs),
    /// List tokens, the revoked and expired included
    List,
    /// Serve a token no more
    Revoke {
        /// Its id, as "token list" shows it
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// What it is for: the audit log names it so
    #[arg(value_parser = name)]
    name: String,
    /// All scopes of a role: tenant_admin or admin
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// A single scope, such as isp.radius.read; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required_unless_present = "role")]
    scopes: Vec<Scope>,
    /// When it ends: 2026-01-31, 2026-01-31T18:00:00Z, or after a time (90d) [default: never]
    #[arg(long, value_name = "WHEN", value_parser = end)]
    expires: Option<End>,
}

fn name(text: &str) -> std::result::Result<String, String> {
    parse::required(text, 100)
}

#[derive(Debug, Clone, Copy)]
enum End {
    At(i64),
    After(Duration),
}

fn end(text: &str) -> std::result::Result<End, String> {
    match humantime::parse_duration(text) {
        Ok(time) => Ok(End::After(time)),
        Err(_) => parse::moment(text).map(End::At),
    }
}

#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    token: &'a ApiToken,
    bearer: &'a str,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        Command::Add(args) => add(context, store, &tenant, args).await,
        Command::List => context.output.list(
            &store.token_list(&tenant.id).await?,
            &[
                "id",
                "name",
                "role",
                "scopes",
                "expires_at",
                "revoked_at",
                "last_used_at",
            ],
        ),
        Command::Revoke { id } => {
            let now = period::now();
            store.token_revoke(&tenant.id, &id, now).await?;
            audit(context, store, &tenant, "revoke", &id, None).await?;
            context.output.done(&format!("token {id} is served no more"));
            Ok(())
        }
    }
}

async fn add(context: &Context, store: &Store, tenant: &Tenant, args: AddArgs) -> Result<()> {
    let now = period::now();
    let expires_at = match args.expires {
        None => None,
        Some(End::At(at)) => Some(at),
        Some(End::After(time)) => Some(now.saturating_add(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))),
    };
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Error::Refused("--expires: that is over already".to_owned()));
    }
    let mut scopes: Vec<String> = args.scopes.iter().map(ToString::to_string).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let token = ApiToken {
        id: new_id(),
        tenant_id: tenant.id.clone(),
        name: args.name,
        role: args.role,
        scopes,
        created_at: now,
        created_by: context.operator().map(str::to_owned),
        expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    let bearer = Bearer::generate().map_err(Error::Random)?;
    store.token_add(&token, &bearer.digest()).await?;
    let shown = serde_json::to_string(&token).ok();
    audit(context, store, tenant, "create", &token.id, shown).await?;
    if context.output.json {
        return context.output.record(&Made {
            token: &token,
            bearer: bearer.expose(),
        });
    }
    context.output.done(&format!(
        "token {} of tenant {:?} is shown only now:",
        token.id, tenant.name
    ));
    context.output.line(bearer.expose())
}

async fn audit(
    context: &Context,
    store: &Store,
    tenant: &Tenant,
    action: &str,
    id: &str,
    after: Option<String>,
) -> Result<()> {
    let entry = AuditEntry {
        id: 0,
        at: period::now(),
        tenant_id: tenant.id.clone(),
        actor: context.operator().unwrap_or("ispctl").to_owned(),
        action: action.to_owned(),
        kind: "token".to_owned(),
        subject: id.to_owned(),
        before: None,
        after,
        request_id: None,
    };
    Ok(store.audit_add(&entry).await?)
}
