use clap::ValueEnum;
use isp_core::store::{Store, Usage, UsageBy, UsageQuery};
use isp_core::tenant::Tenant;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::subscriber::find;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::parse::When;
use crate::{field, output, period};

const DAY: i64 = 86_400;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A period is whole hours (UTC), and by day whole days of the tenant's calendar; what is printed says \
                        which. Where the tenant's midnight is on no hour of UTC (India, Nepal), days are exact and hours \
                        are in two of them. Open sessions count as far as the NAS has told of them."
)]
pub(crate) struct Args {
    /// Username or id of a subscriber [default: all of the tenant together]
    user: Option<String>,
    /// From this time on: 2026-01-31 (a day of the tenant's calendar), 2026-01-31T18:00:00Z, or with an offset (+02:00)
    /// [default: 30 days ago]
    #[arg(long, value_name = "TIME", value_parser = field::parse::when)]
    from: Option<When>,
    /// Until before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = field::parse::when)]
    to: Option<When>,
    /// How finely to tell
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,
    /// The tenant's N subscribers who used most instead
    #[arg(long, value_name = "N", conflicts_with_all = ["user", "by"])]
    top: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Hour,
    Day,
    Total,
}

impl From<By> for UsageBy {
    fn from(by: By) -> Self {
        match by {
            By::Hour => Self::Hour,
            By::Day => Self::Day,
            By::Total => Self::Total,
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    tenant: &'a str,
    username: Option<&'a str>,
    #[serde(flatten)]
    usage: Usage,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let now = period::now();
    let (store, tenant) = context.store_and_tenant().await?;
    let zone = TimeZone::get(&tenant.timezone).unwrap_or(TimeZone::UTC);
    let resolve = |when: Option<When>| when.map(|when| when.resolve(&zone)).transpose().map_err(Error::Usage);
    let (from, to) = (resolve(args.from)?, resolve(args.to)?);
    let to = to.unwrap_or(now.max(from.unwrap_or(0) + 1));
    let from = from.unwrap_or((to - 30 * DAY).max(0));
    period::begun(from, now)?;
    period::half_open(from, to)?;
    if let Some(count) = args.top {
        return top(context, store, &tenant, (from, to), count).await;
    }
    let subscriber = match &args.user {
        Some(user) => Some(find(store, &tenant, user).await?),
        None => None,
    };
    let query = UsageQuery {
        tenant_id: tenant.id.clone(),
        subscriber_id: subscriber.as_ref().map(|subscriber| subscriber.id.clone()),
        from,
        to,
        by: args.by.into(),
    };
    let usage = store.usage(&query).await?;
    let by_day = query.by == UsageBy::Day;
    if !by_day && usage.from < from - from % 3_600 {
        output::warning("hours of the beginning are kept no longer: it is told by day");
    }
    context.output.record(&Report {
        tenant: &tenant.name,
        username: subscriber.as_ref().map(|subscriber| subscriber.username.as_str()),
        usage,
    })
}

async fn top(context: &Context, store: &Store, tenant: &Tenant, (from, to): (i64, i64), count: u32) -> Result<()> {
    let top = store.usage_top(&tenant.id, from, to, count).await?;
    context
        .output
        .done(&format!("from {} to {}", output::date(top.from), output::date(top.to)));
    context.output.list(
        &top.users,
        &[
            "username",
            "subscriber_number",
            "full_name",
            "upload_octets",
            "download_octets",
            "seconds",
        ],
    )
}
