use isp_core::store::AuditFilter;

use crate::context::Context;
use crate::error::Result;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List changes of the tenant, the latest first
    List(Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What was changed: subscriber, nas, plan, token, session, ...
    #[arg(long)]
    kind: Option<String>,
    /// Which of them, by its id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// By whom
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// At most so many, the latest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Go on with those before the entry of this id
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
}

pub(crate) async fn run(context: &Context, Command::List(args): Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    let filter = AuditFilter {
        tenant_id: tenant.id,
        kind: args.kind,
        subject: args.subject,
        actor: args.actor,
        before: args.before,
        limit: args.limit,
    };
    let entries = store.audit_list(&filter).await?;
    let columns = ["id", "at", "actor", "action", "kind", "subject", "before", "after"];
    context.output.list(&entries, &columns)
}
