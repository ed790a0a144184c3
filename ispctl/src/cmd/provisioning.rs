//! `subscriber provision` and `subscriber deprovision`: a subscriber made and ended as one operation.

use isp_core::dictionary::RowList;
use isp_core::netbox::{Kind, Released, Sync, Synced};
use isp_core::provisioning::{self, Order};
use isp_core::store::Store;
use isp_core::subscriber::Subscriber;
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::plan::find_plan;
use super::subscriber::{self, PasswordArgs};
use super::{new_id, row};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::{self, FieldArgs, Record as _};
use crate::netbox;
use crate::secret_input::{PASSWORD, Source};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A step that fails takes back those before it, and is named. The same command again, after it was cut off \
                        or after it was done, does what is left to do. The password is never an argument: see \"subscriber add\"."
)]
pub(crate) struct ProvisionArgs {
    /// User-Name, unique within the tenant
    #[arg(value_name = "USER", value_parser = field::key::<Subscriber>)]
    user: String,
    /// Its id, where another system gives it [default: a new UUID]
    #[arg(long, value_parser = field::id)]
    id: Option<String>,
    /// Plan, by name or id
    #[arg(long)]
    plan: Option<String>,
    /// Addresses to give: ipv4, ipv6, ipv6_prefix, with commas between; empty for none [default: the tenant's setting
    /// "kinds", and what plan and service ask for]
    #[arg(long, value_name = "KINDS")]
    kinds: Option<String>,
    /// A row of radreply: ATTRIBUTE OP VALUE in one argument, "Filter-Id := gold"
    #[arg(long = "reply", value_name = "ROW")]
    replies: Vec<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    fields: FieldArgs<Subscriber>,
}

/// What NetBox is for a tenant, where it has one.
struct Netbox<'a> {
    sync: Option<Sync<'a>>,
    kinds: Vec<Kind>,
}

async fn netbox_of<'a>(context: &Context, store: &'a Store, tenant: &Tenant) -> Result<Netbox<'a>> {
    let (own, sealed) = netbox::own(store, tenant).await?;
    let table = own.over_usual(&context.settings.netbox);
    if !table.is_set_up(sealed.is_some()) {
        return Ok(Netbox {
            sync: None,
            kinds: Vec::new(),
        });
    }
    let (allocator, table) = netbox::allocator(context, store, tenant).await?;
    let by = context.operator().map(str::to_owned);
    Ok(Netbox {
        sync: Some(Sync::new(store, allocator, &tenant.id, by)),
        kinds: table.kinds(),
    })
}

#[derive(Serialize)]
struct Made<'a> {
    id: &'a str,
    username: &'a str,
    status: String,
    already: bool,
    addresses: &'a [Synced],
}

#[derive(Serialize)]
struct Ended<'a> {
    id: &'a str,
    username: &'a str,
    status: String,
    already: bool,
    /// Orders to disconnect its sessions, for "ispctl serve".
    orders: &'a [i64],
    released: Vec<GivenBack>,
}

#[derive(Serialize)]
struct GivenBack {
    kind: Kind,
    outcome: Released,
}

pub(super) async fn provision(context: &Context, args: ProvisionArgs) -> Result<()> {
    context.output.refuse_json_for(args.password.generates())?;
    let (store, tenant) = context.store_and_tenant().await?;
    let username = subscriber::normalized(&tenant, &args.user)?;
    let id = match args.id {
        Some(id) => id,
        // An order that was cut off is gone on with.
        None => store
            .subscriber_get(&tenant.id, &username)
            .await?
            .filter(|found| found.username == username)
            .map_or_else(new_id, |found| found.id),
    };
    let mut order = Order {
        subscriber: Subscriber {
            id,
            tenant_id: tenant.id.clone(),
            username,
            created_by: context.operator().map(str::to_owned),
            updated_by: context.operator().map(str::to_owned),
            ..Subscriber::blank()
        },
        replies: replies(&args.replies)?,
        kinds: args.kinds.as_deref().map(kinds).transpose()?,
    };
    args.fields.apply(&mut order.subscriber).map_err(Error::Refused)?;
    if let Some(plan) = &args.plan {
        order.subscriber.bandwidth_profile_id = Some(find_plan(store, &tenant, plan).await?.id);
    }
    let source = args
        .password
        .source()
        .or_else(|| Source::in_environment(PASSWORD).then_some(Source::Environment));
    let password = match &source {
        Some(source) => Some(args.password.store_into(&mut order.subscriber, source, context)?),
        None => None,
    };
    let netbox = netbox_of(context, store, &tenant).await?;
    let made = provisioning::provision(store, netbox.sync.as_ref(), &netbox.kinds, &order).await?;
    if made.already {
        context
            .output
            .done(&format!("subscriber {:?} was there already", made.subscriber.username));
    }
    match password {
        Some(password) if args.password.generates() && !made.already => {
            subscriber::tell_password(context, &made.subscriber, &password)
        }
        _ => context.output.record(&Made {
            id: &made.subscriber.id,
            username: &made.subscriber.username,
            status: made.subscriber.status.to_string(),
            already: made.already,
            addresses: &made.addresses,
        }),
    }
}

pub(super) async fn deprovision(context: &Context, user: &str) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    let found = subscriber::find(store, &tenant, user).await?;
    let netbox = netbox_of(context, store, &tenant).await?;
    let by = context.operator();
    let ended = provisioning::deprovision(store, netbox.sync.as_ref(), &tenant.id, &found.id, by).await?;
    let released = ended.released.iter();
    context.output.record(&Ended {
        id: &ended.subscriber.id,
        username: &ended.subscriber.username,
        status: ended.subscriber.status.to_string(),
        already: ended.already,
        orders: &ended.orders,
        released: released
            .map(|(kind, outcome)| GivenBack {
                kind: *kind,
                outcome: *outcome,
            })
            .collect(),
    })
}

fn kinds(text: &str) -> Result<Vec<Kind>> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().map_err(|e| Error::Usage(format!("--kinds: {e}"))))
        .collect()
}

fn replies(texts: &[String]) -> Result<Vec<(String, String, String)>> {
    let rows = texts.iter().map(|text| row::of_text(RowList::Reply, text));
    rows.collect()
}
