//! Quotas of plans, and top-ups of subscribers.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use isp_core::accounting::period::{Period, PeriodKind};
use isp_core::accounting::quota::{Effect, Metric, Quota, Tier, TopUp};
use isp_core::store::{QuotaState, Standing, Store};
use isp_core::subscriber::Subscriber;
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::plan::find_plan;
use super::{DeleteArgs, new_id, subscriber};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::{self, parse};

const HOUR: u64 = 3_600;

/// A rolling period has a year at most.
const HOURS_MAX: u64 = 366 * 24;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a quota: what may be used in a period, and what comes after
    #[command(
        after_help = "Octets: 500G = 500,000,000,000; 500Gi = 500 * 2^30. Time: 90m, 10h, 2d, or seconds.\n\
                            Usage is counted by the tenant's time zone; in a tier, the subscriber gets what the tier's plan \
                            says, and the rest from its own."
    )]
    Add {
        /// Plan, by name or id
        plan: String,
        /// What is counted: upload, download, total (octets) or time
        #[arg(long)]
        metric: Metric,
        /// day, week (from Monday), month, billing_day (of the subscriber) or rolling
        #[arg(long)]
        period: PeriodKind,
        /// Length of a rolling period, in whole hours: 24h, 30d
        #[arg(long, value_name = "TIME", value_parser = hours)]
        length: Option<u16>,
        /// From this use on, this plan (name or id), or refuse; several times
        #[arg(long = "tier", value_name = "AMOUNT=PLAN|AMOUNT=refuse", required = true)]
        tiers: Vec<String>,
        /// Its id, where another system gives it [default: a new UUID]
        #[arg(long, value_parser = field::id)]
        id: Option<String>,
    },
    /// List the quotas of a plan
    List {
        /// Plan, by name or id
        plan: String,
    },
    /// Delete a quota; who is in one of its tiers gets the plan as it is
    Delete {
        /// Plan, by name or id
        plan: String,
        /// The quota's id, as list shows it
        id: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopUpCommand {
    /// Let a subscriber use more, once
    Add(TopUpArgs),
    /// List the subscriber's top-ups, those of the past too
    List {
        /// Username or id
        user: String,
    },
    /// Take a top-up back
    Delete {
        /// Username or id
        user: String,
        /// The top-up's id, as list shows it
        id: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct TopUpArgs {
    /// Username or id
    user: String,
    /// Octets (10G, 500Mi) or, for a quota of time, time (10h)
    amount: String,
    /// Which quota of the plan, where it has several: upload, download, total or time
    #[arg(long)]
    metric: Option<Metric>,
    /// Which quota of the plan, where it has several: day, week, month, billing_day or rolling
    #[arg(long)]
    period: Option<PeriodKind>,
    /// Valid from then on [default: now]
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    from: Option<i64>,
    /// Valid until then, in every period up to then [default: the end of the one that runs]
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    until: Option<i64>,
    /// What it was given for
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// A quota as it is shown.
#[derive(Serialize)]
struct View {
    id: String,
    metric: Metric,
    period: PeriodKind,
    period_hours: Option<u16>,
    tiers: Vec<TierView>,
}

#[derive(Serialize)]
struct TierView {
    threshold: u64,
    /// The plan's name, or `refuse`.
    tier: String,
}

/// A tier in a table, with its quota.
#[derive(Serialize)]
struct TableRow<'a> {
    id: &'a str,
    metric: Metric,
    period: PeriodKind,
    period_hours: Option<u16>,
    #[serde(flatten)]
    tier: &'a TierView,
}

/// What a subscriber has used of its quotas, as it is shown.
#[derive(Serialize)]
pub(super) struct StateView {
    /// The plan's name, or `refuse`.
    tier: Option<String>,
    tier_since: Option<i64>,
    tier_until: Option<i64>,
    quotas: Vec<StandingView>,
}

#[derive(Serialize)]
struct StandingView {
    metric: Metric,
    period: PeriodKind,
    used: u64,
    topped_up: u64,
    /// Where the next tier begins.
    limit: Option<u64>,
    left: Option<u64>,
    from: i64,
    until: i64,
    tier: Option<String>,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        Command::Add {
            plan,
            metric,
            period,
            length,
            tiers,
            id,
        } => {
            if (period == PeriodKind::Rolling) != length.is_some() {
                return Err(Error::Usage(
                    "--length goes with --period rolling, and only with it".to_owned(),
                ));
            }
            let plan = find_plan(store, &tenant, &plan).await?;
            let mut quota = Quota {
                id: id.unwrap_or_else(new_id),
                tenant_id: tenant.id.clone(),
                plan_id: plan.id,
                metric,
                period: Period::new(period, length),
                tiers: Vec::new(),
            };
            for tier in &tiers {
                quota.tiers.push(read_tier(store, &tenant, metric, tier).await?);
            }
            quota.tiers.sort_by_key(|tier| tier.threshold);
            store.quota_add(&quota).await?;
            context.output.record(&view(store, quota).await?)
        }
        Command::List { plan } => {
            let plan = find_plan(store, &tenant, &plan).await?;
            let mut views = Vec::new();
            for quota in store.quota_list(&tenant.id, &plan.id).await? {
                views.push(view(store, quota).await?);
            }
            if context.output.json {
                return context.output.list(&views, &[]);
            }
            let rows: Vec<TableRow<'_>> = views.iter().flat_map(View::rows).collect();
            let columns = ["id", "metric", "period", "period_hours", "threshold", "tier"];
            context.output.list(&rows, &columns)
        }
        Command::Delete { plan, id, how } => {
            let plan = find_plan(store, &tenant, &plan).await?;
            let quotas = store.quota_list(&tenant.id, &plan.id).await?;
            if !quotas.iter().any(|quota| quota.id == id) {
                return Err(not_of("quota", id, format!("plan {:?}", plan.name)));
            }
            if !how.dry_run {
                store.quota_delete(&tenant.id, &id).await?;
            }
            context.output.done(&how.told("quota", &id));
            Ok(())
        }
    }
}

pub(super) async fn run_topup(context: &Context, command: TopUpCommand) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        TopUpCommand::Add(args) => {
            let subscriber = subscriber::find(store, &tenant, &args.user).await?;
            let topup = read_topup(context, store, &subscriber, args).await?;
            store.topup_add(&tenant.id, &topup).await?;
            context.output.record(&topup)
        }
        TopUpCommand::List { user } => {
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            let topups = store.topup_list(&tenant.id, &subscriber.id).await?;
            let columns = ["id", "metric", "period", "amount", "valid_from", "valid_until", "note"];
            context.output.list(&topups, &columns)
        }
        TopUpCommand::Delete { user, id, how } => {
            let subscriber = subscriber::find(store, &tenant, &user).await?;
            let topups = store.topup_list(&tenant.id, &subscriber.id).await?;
            if !topups.iter().any(|topup| topup.id == id) {
                return Err(not_of("top-up", id, format!("subscriber {:?}", subscriber.username)));
            }
            if !how.dry_run {
                store.topup_delete(&tenant.id, &subscriber.id, &id).await?;
            }
            context.output.done(&how.told("top-up", &id));
            Ok(())
        }
    }
}

/// Where the subscriber stands now.
pub(super) async fn state(store: &Store, subscriber: &Subscriber) -> Result<StateView> {
    let QuotaState { standings, tier } = store.quota_state(&subscriber.id, now()).await?;
    let mut quotas = Vec::new();
    for standing in standings {
        let Standing {
            quota,
            used,
            topped_up,
            from,
            until,
            tier,
        } = &standing;
        quotas.push(StandingView {
            metric: quota.metric,
            period: quota.period.kind(),
            used: *used,
            topped_up: *topped_up,
            limit: quota.limit(*used, *topped_up),
            left: standing.left(),
            from: *from,
            until: *until,
            tier: match tier {
                Some(tier) => Some(name(store, &quota.tenant_id, &tier.effect).await?),
                None => None,
            },
        });
    }
    Ok(StateView {
        tier: match &tier {
            Some(held) => Some(name(store, &subscriber.tenant_id, &held.reached.tier.effect).await?),
            None => None,
        },
        tier_since: tier.as_ref().map(|held| held.since),
        tier_until: tier.as_ref().map(|held| held.reached.until),
        quotas,
    })
}

async fn view(store: &Store, quota: Quota) -> Result<View> {
    let mut tiers = Vec::new();
    for tier in &quota.tiers {
        tiers.push(TierView {
            threshold: tier.threshold,
            tier: name(store, &quota.tenant_id, &tier.effect).await?,
        });
    }
    Ok(View {
        id: quota.id,
        metric: quota.metric,
        period: quota.period.kind(),
        period_hours: quota.period.hours(),
        tiers,
    })
}

impl View {
    fn rows(&self) -> impl Iterator<Item = TableRow<'_>> {
        self.tiers.iter().map(|tier| TableRow {
            id: &self.id,
            metric: self.metric,
            period: self.period,
            period_hours: self.period_hours,
            tier,
        })
    }
}

async fn name(store: &Store, tenant_id: &str, effect: &Effect) -> Result<String> {
    Ok(match effect {
        Effect::Refuse => Effect::REFUSE.to_owned(),
        Effect::Plan(id) => {
            let plan = store.plan_get(tenant_id, id).await?;
            plan.map_or_else(|| id.clone(), |plan| plan.name)
        }
    })
}

async fn read_tier(store: &Store, tenant: &Tenant, metric: Metric, text: &str) -> Result<Tier> {
    let (threshold, effect) = text
        .split_once('=')
        .ok_or_else(|| Error::Usage(format!("--tier {text:?} is not AMOUNT=PLAN or AMOUNT=refuse")))?;
    Ok(Tier {
        threshold: amount(metric, threshold).map_err(|e| Error::Usage(format!("--tier {e}")))?,
        effect: match effect {
            Effect::REFUSE => Effect::Refuse,
            plan => Effect::Plan(find_plan(store, tenant, plan).await?.id),
        },
    })
}

async fn read_topup(context: &Context, store: &Store, subscriber: &Subscriber, args: TopUpArgs) -> Result<TopUp> {
    let now = now();
    let mut standings = store.quota_state(&subscriber.id, now).await?.standings;
    standings.retain(|standing| {
        args.metric.is_none_or(|metric| metric == standing.quota.metric)
            && args.period.is_none_or(|period| period == standing.quota.period.kind())
    });
    let kind = |standing: &Standing| (standing.quota.metric, standing.quota.period.kind());
    let Some((metric, period)) = standings.first().map(kind) else {
        return Err(Error::Conflict(format!(
            "the plan of subscriber {:?} has no such quota",
            subscriber.username
        )));
    };
    if standings.iter().any(|standing| kind(standing) != (metric, period)) {
        return Err(Error::Usage(format!(
            "the plan of subscriber {:?} has several quotas: say which by --metric and --period",
            subscriber.username
        )));
    }
    let from = args.from.unwrap_or(now);
    let ends = standings.iter().map(|standing| match standing.quota.period.hours() {
        Some(hours) => from.saturating_add(i64::from(hours) * 3_600),
        None => standing.until,
    });
    let until = args.until.or_else(|| ends.max()).unwrap_or(from);
    if until <= from {
        return Err(Error::Usage(
            "the top-up would end before it begins: name --until".to_owned(),
        ));
    }
    Ok(TopUp {
        id: new_id(),
        subscriber_id: subscriber.id.clone(),
        metric,
        period,
        amount: amount(metric, &args.amount).map_err(Error::Usage)?,
        valid_from: from,
        valid_until: until,
        note: args.note,
        created_at: now,
        created_by: context.operator().map(str::to_owned),
    })
}

fn amount(metric: Metric, text: &str) -> std::result::Result<u64, String> {
    match metric {
        Metric::Time => parse::seconds(text),
        Metric::Upload | Metric::Download | Metric::Total => parse::octets(text),
    }
}

fn hours(text: &str) -> std::result::Result<u16, String> {
    let seconds = parse::seconds(text)?;
    u16::try_from(seconds / HOUR)
        .ok()
        .filter(|hours| seconds % HOUR == 0 && u64::from(*hours) <= HOURS_MAX)
        .ok_or_else(|| format!("{text:?} is not in whole hours, 1h to 366d"))
}

fn not_of(kind: &'static str, name: String, place: String) -> Error {
    Error::NotFound { kind, name, place }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
