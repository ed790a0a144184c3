//! NetBox: what it must have, and keeping its addresses and ours the same.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ipnet::IpNet;
use isp_core::netbox::{Kind, Released, Report, Sync};
use isp_core::store::{Store, TenantService};
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::subscriber;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::netbox::{self, SERVICE, Table};
use crate::output;
use crate::secret_input::{NETBOX_TOKEN, Source, WEBHOOK_SECRET};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what holds for the tenant: its own settings over those of the environment and the configuration file
    Show,
    /// Set what holds for this tenant alone, leaving what is not named
    Set(Box<SetArgs>),
    /// Forget the tenant's own settings
    Unset,
    /// Say what keeps addresses from being taken: what is missing, what the token may not do
    Check,
    /// Make the roles, tags and custom fields that are missing; a tenant or a prefix only with --yes
    Bootstrap(BootstrapArgs),
    /// Give keys to what other systems or people made for subscribers, so that nothing need be looked for before an
    /// address is taken
    Adopt,
    /// Give a subscriber, or all, an address; who has one keeps it
    Sync(SyncArgs),
    /// Take back what a subscriber has
    Release {
        /// Username or id
        user: String,
    },
    /// Find where NetBox and the database say different things
    Reconcile {
        /// Put right what needs no person
        #[arg(long)]
        repair: bool,
    },
    /// Delete in NetBox what was given back and whose quarantine is over
    Sweep,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    named: Table,
    /// Read the token from a file's first line; - is standard input. It is stored sealed
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Read the secret that NetBox signs its webhooks with from a file's first line; - is standard input. It is stored
    /// sealed
    #[arg(long, value_name = "FILE")]
    webhook_secret_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BootstrapArgs {
    /// Make a tag of this connection type (ftth, say), which "sync --connection-type" puts on what is taken; can be repeated
    #[arg(long, value_name = "SLUG")]
    connection_type: Vec<String>,
    /// Make a tenant of this name in NetBox, and set its id here
    #[arg(long, value_name = "NAME", requires = "yes")]
    make_tenant: Option<String>,
    /// Make this prefix, to take addresses from
    #[arg(long, value_name = "NETWORK", requires = "yes")]
    make_prefix: Vec<IpNet>,
    /// The prefixes made are cut into delegated ones
    #[arg(long, requires = "make_prefix")]
    delegated: bool,
    /// NetBox's id of the site the prefixes made are at
    #[arg(long, value_name = "ID", requires = "make_prefix")]
    site: Option<u64>,
    /// Really make what people decide about
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SyncArgs {
    /// Username or id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    user: Option<String>,
    /// Every subscriber of the tenant. Stopped and run again, it goes on
    #[arg(long)]
    all: bool,
    /// Only those of this site
    #[arg(long, requires = "all")]
    site: Option<String>,
    /// ipv4, ipv6, ipv6_prefix, with commas between [default: the setting "kinds"]
    #[arg(long, value_delimiter = ',')]
    kinds: Option<Vec<Kind>>,
    /// Slug of a further tag on what is taken, such as ftth
    #[arg(long, value_name = "SLUG")]
    connection_type: Option<String>,
}

const KEYLESS: &str = "key_field is empty: NetBox cannot tell a repeated request from a new one. Of workers that ask for the \
                       same subscriber at the same moment each may be given an address; ispctl netbox reconcile finds the others";

/// The settings as they may be shown.
#[derive(Serialize)]
struct View {
    #[serde(flatten)]
    table: Table,
    token_configured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_configured: Option<bool>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        Command::Show => show(context, store, &tenant).await,
        Command::Set(args) => {
            set(context, store, &tenant, *args).await?;
            show(context, store, &tenant).await
        }
        Command::Unset => {
            store.service_delete(&tenant.id, SERVICE).await?;
            netbox::unset_webhook_secret(store, &tenant).await?;
            context
                .output
                .done(&format!("{} has no NetBox settings of its own now", tenant.name));
            Ok(())
        }
        Command::Check => {
            let (allocator, _) = netbox::allocator(context, store, &tenant).await?;
            if allocator.rules().key_field.is_none() {
                output::warning(KEYLESS);
            }
            let findings = allocator.check().await?;
            context.output.list(&findings, &["subject", "problem", "mendable"])?;
            if findings.is_empty() {
                context.output.done("NetBox has what it must have");
                return Ok(());
            }
            Err(Error::Refused(format!("{} thing(s) missing in NetBox", findings.len())))
        }
        Command::Bootstrap(args) => bootstrap(context, store, &tenant, &args).await,
        Command::Adopt => {
            let (allocator, _) = netbox::allocator(context, store, &tenant).await?;
            let adoption = allocator.adopt().await?;
            context.output.record(&adoption)?;
            if adoption.left.is_empty() {
                context
                    .output
                    .done("everything has its key: ispctl netbox set --look-first false spares a request per address");
            }
            Ok(())
        }
        Command::Sync(args) => sync(context, store, &tenant, args).await,
        Command::Release { user } => {
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            let (allocator, _) = netbox::allocator(context, store, &tenant).await?;
            let released = Sync::new(store, allocator, &tenant.id, context.operator().map(str::to_owned))
                .release(&subscriber.id)
                .await?;
            let rows: Vec<GivenBack> = released.into_iter().map(GivenBack::from).collect();
            context.output.list(&rows, &["kind", "outcome"])
        }
        Command::Reconcile { repair } => {
            let (allocator, table) = netbox::allocator(context, store, &tenant).await?;
            let sync = Sync::new(store, allocator, &tenant.id, context.operator().map(str::to_owned));
            let report = sync.reconcile(&table.kinds(), repair).await?;
            told(context, &report)
        }
        Command::Sweep => {
            let (allocator, _) = netbox::allocator(context, store, &tenant).await?;
            let swept = allocator.sweep(netbox::quarantine_ended(allocator.rules())).await?;
            context.output.record(&serde_json::json!({ "deleted": swept }))
        }
    }
}

#[derive(Serialize)]
struct GivenBack {
    kind: Kind,
    outcome: &'static str,
}

impl From<(Kind, Released)> for GivenBack {
    fn from((kind, released): (Kind, Released)) -> Self {
        Self {
            kind,
            outcome: match released {
                Released::Deprecated => "deprecated",
                Released::Deleted => "deleted",
                Released::NotOurs => "not there any more, or another's",
            },
        }
    }
}

async fn show(context: &Context, store: &Store, tenant: &Tenant) -> Result<()> {
    let table = netbox::settings(context, store, tenant).await?;
    let token_configured = table.token.is_some();
    context.output.record(&View {
        table,
        token_configured,
        webhook_configured: netbox::webhook_sealed(store, tenant).await?.map(|_| true),
    })
}

async fn set(context: &Context, store: &Store, tenant: &Tenant, args: SetArgs) -> Result<()> {
    let (own, mut secret) = netbox::own(store, tenant).await?;
    if let Some(path) = args.token_file {
        let token = Source::file(&path).read(NETBOX_TOKEN)?;
        let sealed = context
            .required_keys()?
            .seal(&netbox::token_context(tenant), token.expose().trim().as_bytes())?;
        secret = Some(sealed);
    }
    if let Some(path) = args.webhook_secret_file {
        let word = Source::file(&path).read(WEBHOOK_SECRET)?;
        netbox::set_webhook_secret(context, store, tenant, &word).await?;
    }
    let table = args.named.over(own);
    if table.verify_tls == Some(false) {
        output::warning("the certificate is not verified: whoever is on the path to NetBox can read the token");
    }
    write(context, store, tenant, &table, secret).await
}

async fn write(context: &Context, store: &Store, tenant: &Tenant, table: &Table, secret: Option<String>) -> Result<()> {
    // Texts, numbers and lists of them: nothing in it can fail.
    let settings = serde_json::to_string(table).unwrap_or_default();
    let by = context.operator().map(str::to_owned);
    let service = TenantService { settings, secret };
    Ok(store.service_set(&tenant.id, SERVICE, &service, &by).await?)
}

async fn bootstrap(context: &Context, store: &Store, tenant: &Tenant, args: &BootstrapArgs) -> Result<()> {
    if let Some(name) = &args.make_tenant {
        let (mut own, secret) = netbox::own(store, tenant).await?;
        let table = netbox::settings(context, store, tenant).await?;
        if table.tenant.is_some() {
            return Err(Error::Conflict(
                "NetBox's id of the tenant is set already: leave out --make-tenant".to_owned(),
            ));
        }
        let id = table.client()?.make_tenant(name, &slug(name)).await?;
        own.tenant = Some(id);
        write(context, store, tenant, &own, secret).await?;
        context
            .output
            .done(&format!("made the tenant {name:?} in NetBox, id {id}"));
    }
    let (allocator, _) = netbox::allocator(context, store, tenant).await?;
    let made = allocator.bootstrap(&args.connection_type).await?;
    for net in &args.make_prefix {
        let kind = match (net, args.delegated) {
            (IpNet::V6(_), true) => Kind::Ipv6Prefix,
            (IpNet::V6(_), false) => Kind::Ipv6,
            (IpNet::V4(_), true) => {
                return Err(Error::Usage(format!(
                    "{net}: IPv4 prefixes are not delegated: leave out --delegated"
                )));
            }
            (IpNet::V4(_), false) => Kind::Ipv4,
        };
        let id = allocator.make_pool(kind, *net, args.site).await?;
        context
            .output
            .done(&format!("made the prefix {net} in NetBox, id {id}"));
    }
    context.output.list(&made, &["subject", "id"])
}

/// A name as NetBox would make a slug of it.
fn slug(name: &str) -> String {
    let dashed: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-")
}

async fn sync(context: &Context, store: &Store, tenant: &Tenant, args: SyncArgs) -> Result<()> {
    let (allocator, table) = netbox::allocator(context, store, tenant).await?;
    let kinds = args.kinds.unwrap_or_else(|| table.kinds());
    let sync = Sync::new(store, allocator, &tenant.id, context.operator().map(str::to_owned))
        .connection_type(args.connection_type);
    if let Some(user) = &args.user {
        let subscriber = subscriber::find(store, tenant, user).await?;
        let synced = sync.subscriber(&subscriber.id, &kinds).await?;
        return context.output.list(&synced, &["kind", "net", "netbox_id", "origin"]);
    }
    let bar = progress_bar(context);
    let progress = sync
        .all(args.site.as_deref(), &kinds, |progress, failures| {
            bar.set_message(format!(
                "{} looked at, {} taken, {} failed",
                progress.seen, progress.allocated, progress.failed
            ));
            bar.tick();
            for (name, error) in failures {
                bar.suspend(|| output::message("error", &format!("{name}: {error}")));
            }
        })
        .await?;
    bar.finish_and_clear();
    context.output.record(&serde_json::json!({
        "looked_at": progress.seen,
        "kept": progress.kept,
        "allocated": progress.allocated,
        "registered": progress.registered,
        "failed": progress.failed,
    }))?;
    match progress.failed {
        0 => Ok(()),
        failed => Err(Error::Refused(format!("{failed} address(es) could not be had"))),
    }
}

/// How many there are is known only at the end.
fn progress_bar(context: &Context) -> ProgressBar {
    if context.output.json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar
}

fn told(context: &Context, report: &Report) -> Result<()> {
    if context.output.json {
        context.output.record(report)?;
    } else {
        let columns = ["kind", "subscriber_id", "address", "detail", "repaired", "failure"];
        context.output.list(&report.drift, &columns)?;
        context.output.done(&format!(
            "{} objects of NetBox and {} subscribers looked at, {} difference(s)",
            report.objects,
            report.subscribers,
            report.drift.len()
        ));
    }
    let left = report.drift.iter().filter(|drift| drift.repaired != Some(true)).count();
    match left {
        0 => Ok(()),
        left => Err(Error::Refused(format!("{left} difference(s) left"))),
    }
}
