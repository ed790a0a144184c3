use std::collections::HashMap;
use std::path::PathBuf;

use clap::Subcommand;
use isp_core::dictionary::RowList;
use isp_core::group::Membership;
use isp_core::password::{self, Scheme};
use isp_core::secret::Secret;
use isp_core::store::{Store, SubscriberFilter};
use isp_core::subscriber::{SERVICE_TYPES, Status, Subscriber};
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::plan::find_plan;
use super::{DeleteArgs, NOTHING_TO_SET, explain, import, network, new_id, provisioning, quota, row, schedule};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::{self, FieldArgs, Record as _};
use crate::output;
use crate::secret_input::{PASSWORD, Source};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a subscriber
    Add(AddArgs),
    /// List subscribers in order of username
    List(ListArgs),
    /// Show one subscriber with its quotas, raw rows and groups (never its password)
    Show {
        /// Username or id
        user: String,
    },
    /// Change the fields named, leaving the others; an empty value clears a field
    Set(SetArgs),
    /// Delete a subscriber; its accounting stays
    Delete {
        /// Username or id
        user: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
    /// Make a subscriber, give it its addresses and rows, and let it in: all of it or nothing
    Provision(Box<provisioning::ProvisionArgs>),
    /// Let a subscriber in no more, disconnect its sessions, give its addresses back, and terminate it
    Deprovision {
        /// Username or id
        user: String,
    },
    /// Give a subscriber a new password, or none
    Password(NewPasswordArgs),
    /// More than the plan's quotas allow
    #[command(subcommand, name = "topup")]
    TopUp(quota::TopUpCommand),
    /// Where its line ends, what it is bound to, and when it may be online
    #[command(subcommand)]
    Network(network::Command),
    /// Changes of status or plan at an instant
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Tell every rule of the decision: what it saw, and what it decided
    Explain(explain::Args),
    /// Rows of radcheck: conditions the server evaluates itself
    #[command(subcommand)]
    Check(row::Command),
    /// Rows of radreply: attributes the server adds to the answer
    #[command(subcommand)]
    Reply(row::Command),
    /// Import subscribers from a CSV file, all or none
    Import(import::Args),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The password is never an argument. Without an option it is taken from ISP_PASSWORD where that is set; \
                        else the subscriber has none."
)]
pub(crate) struct AddArgs {
    /// User-Name, unique within the tenant; kept in the form the tenant's rules look it up by
    #[arg(value_name = "USER", value_parser = field::key::<Subscriber>)]
    user: String,
    /// Its id, where another system gives it [default: a new UUID]
    #[arg(long, value_parser = field::id)]
    id: Option<String>,
    /// Plan, by name or id
    #[arg(long)]
    plan: Option<String>,
    /// Ask for the password on the terminal
    #[arg(long, conflicts_with_all = ["password_file", "generate"])]
    prompt: bool,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    fields: FieldArgs<Subscriber>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[arg(long)]
    status: Option<Status>,
    /// Plan, by name or id
    #[arg(long)]
    plan: Option<String>,
    /// Part of the username
    #[arg(long, value_name = "TEXT")]
    username: Option<String>,
    /// Deleted ones too
    #[arg(long)]
    deleted: bool,
    /// At most so many; 0 = all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
    /// Leave out so many first
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// Username or id
    user: String,
    /// New username
    #[arg(long, value_name = "USER", value_parser = field::key::<Subscriber>)]
    rename: Option<String>,
    /// Plan, by name or id; an empty value takes it away
    #[arg(long)]
    plan: Option<String>,
    #[command(flatten)]
    fields: FieldArgs<Subscriber>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The password is never an argument. Without an option it is read from ISP_PASSWORD, else asked for on a \
                        terminal, else it is the first line of standard input."
)]
pub(crate) struct NewPasswordArgs {
    /// Username or id
    user: String,
    /// Take the password away
    #[arg(long, conflicts_with_all = ["password_file", "generate", "scheme"])]
    remove: bool,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from a file's first line; - is standard input
    #[arg(long, value_name = "FILE", visible_alias = "file", conflicts_with = "generate")]
    password_file: Option<PathBuf>,
    /// Make a random password and print it, once
    #[arg(long)]
    generate: bool,
    /// How it is stored: cleartext or nt (sealed), argon2id, bcrypt, crypt, ssha, sha256 or md5 [default: password_scheme]
    #[arg(long)]
    scheme: Option<Scheme>,
}

impl PasswordArgs {
    pub(super) const fn generates(&self) -> bool {
        self.generate
    }

    pub(super) fn source(&self) -> Option<Source> {
        match &self.password_file {
            Some(path) => Some(Source::file(path)),
            None if self.generate => Some(Source::Generate),
            None => None,
        }
    }

    /// Read the password and put its stored form into `subscriber`.
    pub(super) fn store_into(
        &self,
        subscriber: &mut Subscriber,
        source: &Source,
        context: &Context,
    ) -> Result<Secret<String>> {
        let password = source.read(PASSWORD)?;
        let scheme = self.scheme.unwrap_or(context.settings.password_scheme);
        let keys = context.keys()?;
        let encoded = password::encode(scheme, password.expose().as_bytes(), keys.as_ref(), &subscriber.id)?;
        subscriber.password = Some(encoded.password);
        subscriber.password_hash_method = Some(encoded.method.to_owned());
        Ok(password)
    }
}

/// A subscriber as it may be shown.
#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    subscriber: &'a Subscriber,
    /// The plan's name.
    plan: Option<&'a str>,
    password_configured: bool,
    #[serde(flatten)]
    quotas: Option<quota::StateView>,
    #[serde(flatten)]
    rows: Option<Rows>,
}

#[derive(Serialize)]
struct Rows {
    check: Vec<row::View>,
    reply: Vec<row::View>,
    /// In the order they are looked at.
    groups: Vec<Membership>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Add(args) => add(context, args).await,
        Command::List(args) => list(context, args).await,
        Command::Show { user } => {
            let (store, tenant) = context.store_and_tenant().await?;
            show(context, store, &tenant, &find(store, &tenant, &user).await?).await
        }
        Command::Set(args) => set(context, args).await,
        Command::Delete { user, how } => {
            let (store, tenant) = context.store_and_tenant().await?;
            let subscriber = find(store, &tenant, &user).await?;
            if !how.dry_run {
                store
                    .subscriber_delete(&tenant.id, &subscriber.id, context.operator())
                    .await?;
            }
            context.output.done(&how.told("subscriber", &subscriber.username));
            Ok(())
        }
        Command::Provision(args) => provisioning::provision(context, *args).await,
        Command::Deprovision { user } => provisioning::deprovision(context, &user).await,
        Command::Password(args) => set_password(context, args).await,
        Command::TopUp(command) => quota::run_topup(context, command).await,
        Command::Network(command) => network::run(context, command).await,
        Command::Schedule(command) => schedule::run(context, command).await,
        Command::Explain(args) => explain::run(context, args).await,
        Command::Check(command) => row::run(context, RowList::Check, command).await,
        Command::Reply(command) => row::run(context, RowList::Reply, command).await,
        Command::Import(args) => import::run(context, &args).await,
    }
}

async fn add(context: &Context, args: AddArgs) -> Result<()> {
    context.output.refuse_json_for(args.password.generate)?;
    let (store, tenant) = context.store_and_tenant().await?;
    let mut subscriber = Subscriber {
        id: args.id.unwrap_or_else(new_id),
        tenant_id: tenant.id.clone(),
        username: normalized(&tenant, &args.user)?,
        created_by: context.operator().map(str::to_owned),
        updated_by: context.operator().map(str::to_owned),
        ..Subscriber::blank()
    };
    args.fields.apply(&mut subscriber).map_err(Error::Refused)?;
    tell_unknown_service_type(&subscriber);
    if let Some(plan) = args.plan {
        subscriber.bandwidth_profile_id = Some(find_plan(store, &tenant, &plan).await?.id);
    }
    let source = args
        .password
        .source()
        .or_else(|| args.prompt.then_some(Source::Prompt))
        .or_else(|| Source::in_environment(PASSWORD).then_some(Source::Environment));
    let password = match &source {
        Some(source) => Some(args.password.store_into(&mut subscriber, source, context)?),
        None => None,
    };
    store.subscriber_add(&subscriber).await?;
    if subscriber.status != Status::Active {
        context.output.done(&format!(
            "{} is {}: only active subscribers are let in",
            subscriber.username, subscriber.status
        ));
    }
    match password {
        Some(password) if args.password.generate => tell_password(context, &subscriber, &password),
        _ => {
            // Read back: the database has its say in some fields.
            let subscriber = find(store, &tenant, &subscriber.id).await?;
            show(context, store, &tenant, &subscriber).await
        }
    }
}

async fn set(context: &Context, args: SetArgs) -> Result<()> {
    if args.fields.is_empty() && args.rename.is_none() && args.plan.is_none() {
        output::warning(NOTHING_TO_SET);
    }
    let (store, tenant) = context.store_and_tenant().await?;
    let before = find(store, &tenant, &args.user).await?;
    let mut subscriber = before.clone();
    args.fields.apply(&mut subscriber).map_err(Error::Refused)?;
    if args.fields.names("service_type") {
        tell_unknown_service_type(&subscriber);
    }
    if let Some(username) = args.rename {
        subscriber.username = normalized(&tenant, &username)?;
    }
    match args.plan.as_deref() {
        Some("") => subscriber.bandwidth_profile_id = None,
        Some(plan) => subscriber.bandwidth_profile_id = Some(find_plan(store, &tenant, plan).await?.id),
        None => {}
    }
    if subscriber != before {
        subscriber.updated_by = context.operator().map(str::to_owned);
        store.subscriber_set(&subscriber).await?;
    }
    let subscriber = find(store, &tenant, &subscriber.id).await?;
    show(context, store, &tenant, &subscriber).await
}

async fn set_password(context: &Context, args: NewPasswordArgs) -> Result<()> {
    context.output.refuse_json_for(args.password.generate)?;
    let (store, tenant) = context.store_and_tenant().await?;
    let mut subscriber = find(store, &tenant, &args.user).await?;
    subscriber.updated_by = context.operator().map(str::to_owned);
    if args.remove {
        subscriber.password = None;
        subscriber.password_hash_method = None;
        store.subscriber_set(&subscriber).await?;
        context.output.done(&format!(
            "subscriber {:?} has no password any more",
            subscriber.username
        ));
        return Ok(());
    }
    let source = args.password.source().unwrap_or_else(|| Source::unsaid(PASSWORD));
    let password = args.password.store_into(&mut subscriber, &source, context)?;
    store.subscriber_set(&subscriber).await?;
    if args.password.generate {
        return tell_password(context, &subscriber, &password);
    }
    context
        .output
        .done(&format!("subscriber {:?} has a new password", subscriber.username));
    Ok(())
}

async fn list(context: &Context, args: ListArgs) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    let plans: HashMap<String, String> = store
        .plan_list(&tenant.id)
        .await?
        .into_iter()
        .map(|plan| (plan.id, plan.name))
        .collect();
    let plan_id = match args.plan {
        Some(plan) => Some(find_plan(store, &tenant, &plan).await?.id),
        None => None,
    };
    let filter = SubscriberFilter {
        tenant_id: Some(tenant.id),
        status: args.status,
        plan_id,
        username: args.username,
        include_deleted: args.deleted,
        // One more tells whether there are more.
        limit: (args.limit > 0).then(|| args.limit.saturating_add(1)),
        offset: args.offset,
        ..SubscriberFilter::default()
    };
    let mut subscribers = store.subscriber_list(&filter).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let more = limit > 0 && subscribers.len() > limit;
    if more {
        subscribers.truncate(limit);
    }
    let views: Vec<View<'_>> = subscribers
        .iter()
        .map(|subscriber| View {
            subscriber,
            plan: subscriber
                .bandwidth_profile_id
                .as_ref()
                .and_then(|id| plans.get(id))
                .map(String::as_str),
            password_configured: subscriber.password.is_some(),
            quotas: None,
            rows: None,
        })
        .collect();
    context.output.list(
        &views,
        &[
            "username",
            "subscriber_number",
            "full_name",
            "status",
            "service_type",
            "plan",
            "static_ipv4",
            "vlan_id",
            "expiration_date",
        ],
    )?;
    if more {
        output::warning(&format!(
            "only {limit} are listed, there are more: go on with --offset {}, or --limit 0 for all",
            args.offset.saturating_add(args.limit)
        ));
    }
    Ok(())
}

/// By username, as given or as the tenant's rules write it, or by id.
pub(crate) async fn find(store: &Store, tenant: &Tenant, name: &str) -> Result<Subscriber> {
    if let Some(subscriber) = store.subscriber_get(&tenant.id, name).await? {
        return Ok(subscriber);
    }
    let username = tenant.normalize(name);
    if username != name
        && let Some(subscriber) = store.subscriber_get(&tenant.id, &username).await?
    {
        return Ok(subscriber);
    }
    Err(Error::not_found("subscriber", name, tenant))
}

/// The username as packets will look it up.
pub(crate) fn normalized(tenant: &Tenant, username: &str) -> Result<String> {
    let name = tenant.normalize(username).into_owned();
    // Stripping the realm may leave nothing.
    field::parse::username(&name)
        .map_err(|e| Error::Refused(format!("username {username:?}, as the tenant's rules write it, {e}")))?;
    Ok(name)
}

fn tell_unknown_service_type(subscriber: &Subscriber) {
    if !SERVICE_TYPES.contains(&subscriber.service_type.as_str()) {
        output::warning(&format!(
            "service type {:?} is none of the known ones ({})",
            subscriber.service_type,
            SERVICE_TYPES.join(", ")
        ));
    }
}

/// The generated password alone on standard output, so that a script can take it from there.
pub(super) fn tell_password(context: &Context, subscriber: &Subscriber, password: &Secret<String>) -> Result<()> {
    context.output.done(&format!(
        "subscriber {:?} has this new password, shown only now:",
        subscriber.username
    ));
    // The operator asked for it, to hand it to the subscriber.
    context.output.line(password.expose())
}

async fn show(context: &Context, store: &Store, tenant: &Tenant, subscriber: &Subscriber) -> Result<()> {
    let plan = match &subscriber.bandwidth_profile_id {
        Some(id) => store.plan_get(&tenant.id, id).await?,
        None => None,
    };
    let rows = Rows {
        check: row::views(store, RowList::Check, subscriber).await?,
        reply: row::views(store, RowList::Reply, subscriber).await?,
        groups: store.memberships(&tenant.id, &subscriber.id).await?,
    };
    context.output.record(&View {
        subscriber,
        plan: plan.as_ref().map(|plan| plan.name.as_str()),
        password_configured: subscriber.password.is_some(),
        quotas: Some(quota::state(store, subscriber).await?),
        rows: Some(rows),
    })
}
