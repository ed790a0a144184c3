//! Subscribers, what they used in the periods of their quotas, and the tier that comes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Database, Held, QuotaState, Standing, columns, json, quota, statements};
use crate::accounting::period::{Period, PeriodKind, Window, ages_out};
use crate::accounting::quota::{Effect, Metric, Quota, Reached, Tier, governing};
use crate::accounting::usage::Used;
use crate::store::link::Tx;
use crate::store::sql::{Columns, Row, params};

/// One subscriber to be looked at.
struct Case {
    subscriber_id: String,
    tenant_id: String,
    zone: TimeZone,
    plan_id: Option<String>,
    billing_day: Option<u8>,
    held: Option<Held>,
    topups: Vec<(Metric, PeriodKind, u64)>,
}

/// One quota of one subscriber; its place in the list tells which.
struct Account<'a> {
    case: &'a Case,
    quota: &'a Quota,
    window: Window,
    topped_up: u64,
    used: u64,
}

/// A calendar period, as asked for.
#[derive(Serialize)]
struct Days<'a> {
    place: usize,
    subscriber: &'a str,
    metric: &'static str,
    first: String,
    end: String,
}

/// A rolling period, as asked for.
#[derive(Serialize)]
struct Hours<'a> {
    place: usize,
    subscriber: &'a str,
    metric: &'static str,
    first: i64,
    last: i64,
}

/// A row of `subscriber_tiers`.
#[derive(Serialize)]
struct Entered<'a> {
    subscriber_id: &'a str,
    tenant_id: &'a str,
    quota_id: &'a str,
    metric: &'static str,
    threshold: u64,
    plan_id: Option<&'a str>,
    restriction: Option<&'static str>,
    used: u64,
    since: i64,
    until: i64,
}

/// The quotas of some plans, and how fast the plans are that their tiers put in place.
#[derive(Default)]
struct Quotas {
    of_plan: HashMap<String, Vec<Quota>>,
    rates: HashMap<String, u64>,
}

/// Look at these subscribers at `now`, and write the tier of those who come into one, into another or out of it.
pub(super) async fn assess<S: Serialize>(tx: &mut Tx, now: i64, subscribers: &[S]) -> Database<()> {
    let cases = cases(tx, now, subscribers).await?;
    if cases.is_empty() {
        return Ok(());
    }
    let quotas = Quotas::read(tx, &cases).await?;
    let accounts = accounts(tx, now, &cases, &quotas).await?;
    let mut reached = reached(tx, &accounts).await?;
    let mut entered: Vec<(&Case, Held)> = Vec::new();
    let mut left: Vec<&str> = Vec::new();
    for case in &cases {
        let tiers = reached.remove(case.subscriber_id.as_str()).unwrap_or_default();
        let governing = governing(tiers, |plan| quotas.rates.get(plan).copied().unwrap_or(u64::MAX));
        match (governing, &case.held) {
            (Some(reached), held) if !held.as_ref().is_some_and(|held| is_same(&held.reached, &reached)) => {
                let stays = held.as_ref().filter(|held| {
                    held.reached.quota_id == reached.quota_id && held.reached.tier == reached.tier && held.since <= now
                });
                let since = stays.map_or(now, |held| held.since);
                entered.push((case, Held { reached, since }));
            }
            (None, Some(_)) => left.push(&case.subscriber_id),
            _ => {}
        }
    }
    write(tx, &entered, &left).await
}

/// As [`assess`], for one subscriber, and only to be shown.
pub(super) async fn state(tx: &mut Tx, now: i64, subscriber_id: &str) -> Database<QuotaState> {
    let cases = cases(tx, now, &[subscriber_id]).await?;
    let quotas = Quotas::read(tx, &cases).await?;
    let accounts = accounts(tx, now, &cases, &quotas).await?;
    let standings = accounts.iter().map(|account| Standing {
        quota: account.quota.clone(),
        used: account.used,
        topped_up: account.topped_up,
        from: account.window.from(),
        until: account.window.until(),
        tier: account.tier().cloned(),
    });
    Ok(QuotaState {
        standings: standings.collect(),
        tier: cases
            .into_iter()
            .find_map(|case| case.held)
            .filter(|held| now < held.reached.until),
    })
}

/// Use alone is no reason to write.
fn is_same(held: &Reached, reached: &Reached) -> bool {
    let key = |reached: &Reached| {
        (
            reached.quota_id.clone(),
            reached.metric,
            reached.tier.clone(),
            reached.until,
        )
    };
    key(held) == key(reached)
}

async fn cases<S: Serialize>(tx: &mut Tx, now: i64, subscribers: &[S]) -> Database<Vec<Case>> {
    if subscribers.is_empty() {
        return Ok(Vec::new());
    }
    let params = params![json(subscribers)?, now];
    let rows = tx.link().all(statements::CASES, params).await?;
    rows.iter().map(case).collect()
}

fn case(row: &Row) -> Database<Case> {
    let mut column = Columns::of(row);
    let (subscriber_id, tenant_id) = (column.text()?, column.text()?);
    let zone = TimeZone::get(&column.text()?).unwrap_or(TimeZone::UTC);
    let (plan_id, billing_day) = (column.opt_text()?, column.opt_number()?);
    let (quota_id, metric) = (column.opt_text()?, column.opt_parsed()?);
    let (threshold, plan) = (column.opt_number()?, column.opt_text()?);
    let (used, since, until) = (column.opt_number()?, column.opt_number()?, column.opt_number()?);
    let held = || {
        Some(Held {
            reached: Reached {
                quota_id: quota_id?,
                metric: metric?,
                tier: Tier {
                    threshold: threshold?,
                    effect: plan.map_or(Effect::Refuse, Effect::Plan),
                },
                used: used?,
                until: until?,
            },
            since: since?,
        })
    };
    let topups: Vec<(String, String, u64)> = match column.opt_str()? {
        Some(text) => serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?,
        None => Vec::new(),
    };
    Ok(Case {
        subscriber_id,
        tenant_id,
        zone,
        plan_id,
        billing_day,
        held: held(),
        // The schema admits no other words.
        topups: topups
            .into_iter()
            .filter_map(|(metric, period, amount)| Some((metric.parse().ok()?, period.parse().ok()?, amount)))
            .collect(),
    })
}

impl Quotas {
    async fn read(tx: &mut Tx, cases: &[Case]) -> Database<Self> {
        let plans: BTreeSet<&str> = cases.iter().filter_map(|case| case.plan_id.as_deref()).collect();
        let mut quotas = Self::default();
        if plans.is_empty() {
            return Ok(quotas);
        }
        for row in tx.link().all(statements::OF_PLANS, params![&json(&plans)?]).await? {
            let (quota, rates) = quota(&row)?;
            for (tier, rate) in quota.tiers.iter().zip(rates) {
                if let Effect::Plan(plan) = &tier.effect {
                    quotas.rates.insert(plan.clone(), rate);
                }
            }
            quotas.of_plan.entry(quota.plan_id.clone()).or_default().push(quota);
        }
        Ok(quotas)
    }

    fn of(&self, case: &Case) -> &[Quota] {
        let quotas = case.plan_id.as_ref().and_then(|plan| self.of_plan.get(plan));
        quotas.map(Vec::as_slice).unwrap_or_default()
    }
}

impl Account<'_> {
    fn tier(&self) -> Option<&Tier> {
        self.quota.tier(self.used, self.topped_up)
    }

    fn hours(&self, place: usize) -> Option<Hours<'_>> {
        let Window::Hours { first, last } = self.window else {
            return None;
        };
        Some(Hours {
            place,
            subscriber: &self.case.subscriber_id,
            metric: self.quota.metric.as_str(),
            first,
            last,
        })
    }

    fn days(&self, place: usize) -> Option<Days<'_>> {
        let Window::Days { first, end, .. } = self.window else {
            return None;
        };
        Some(Days {
            place,
            subscriber: &self.case.subscriber_id,
            metric: self.quota.metric.as_str(),
            first: first.to_string(),
            end: end.to_string(),
        })
    }
}

/// Every quota of every case, with what was used.
async fn accounts<'a>(tx: &mut Tx, now: i64, cases: &'a [Case], quotas: &'a Quotas) -> Database<Vec<Account<'a>>> {
    let mut accounts = Vec::new();
    for case in cases {
        for quota in quotas.of(case) {
            let topups = case
                .topups
                .iter()
                .filter(|(metric, period, _)| quota.takes(*metric, *period));
            accounts.push(Account {
                case,
                quota,
                window: quota.period.window(now, &case.zone, case.billing_day),
                topped_up: topups.fold(0, |sum, (_, _, amount)| sum.saturating_add(*amount)),
                used: 0,
            });
        }
    }
    if accounts.is_empty() {
        return Ok(accounts);
    }
    let placed = || accounts.iter().enumerate();
    let days: Vec<_> = placed().filter_map(|(place, account)| account.days(place)).collect();
    let hours: Vec<_> = placed().filter_map(|(place, account)| account.hours(place)).collect();
    let params = params![json(&days)?, json(&hours)?];
    for row in tx.link().all(statements::USED, params).await? {
        let mut column = Columns::of(&row);
        let place: usize = column.number()?;
        if let Some(account) = accounts.get_mut(place) {
            account.used = column.number()?;
        }
    }
    Ok(accounts)
}

fn used(column: &mut Columns<'_>) -> Database<Used> {
    Ok(Used {
        upload_octets: column.number()?,
        download_octets: column.number()?,
        seconds: column.number()?,
    })
}

/// The tiers that each subscriber has come into, one for each quota at most.
async fn reached<'a>(tx: &mut Tx, accounts: &[Account<'a>]) -> Database<BTreeMap<&'a str, Vec<Reached>>> {
    let in_tier = || {
        accounts
            .iter()
            .enumerate()
            .filter(|(_, account)| account.tier().is_some())
    };
    let rolling: Vec<_> = in_tier().filter_map(|(place, account)| account.hours(place)).collect();
    let mut by_hour: HashMap<usize, Vec<(i64, u64)>> = HashMap::new();
    if !rolling.is_empty() {
        for row in tx.link().all(statements::BY_HOUR, params![&json(&rolling)?]).await? {
            let mut column = Columns::of(&row);
            let (place, hour) = (column.number()?, column.number()?);
            let used = used(&mut column)?;
            let account: Option<&Account<'_>> = accounts.get(place);
            let amount = account.map_or(0, |account| account.quota.metric.of(used));
            by_hour.entry(place).or_default().push((hour, amount));
        }
    }
    let mut reached: BTreeMap<&str, Vec<Reached>> = BTreeMap::new();
    for (place, account) in in_tier() {
        let Some(tier) = account.tier() else { continue };
        let until = match account.quota.period {
            Period::Rolling { hours } => {
                let needed = tier.threshold.saturating_add(account.topped_up);
                ages_out(by_hour.remove(&place).unwrap_or_default(), needed, hours)
            }
            _ => None,
        };
        reached.entry(&account.case.subscriber_id).or_default().push(Reached {
            quota_id: account.quota.id.clone(),
            metric: account.quota.metric,
            tier: tier.clone(),
            used: account.used,
            until: until.unwrap_or_else(|| account.window.until()),
        });
    }
    Ok(reached)
}

async fn write(tx: &mut Tx, entered: &[(&Case, Held)], left: &[&str]) -> Database<()> {
    let entered: Vec<_> = entered
        .iter()
        .map(|(case, Held { reached, since })| {
            let (plan_id, restriction) = columns(&reached.tier.effect);
            Entered {
                subscriber_id: &case.subscriber_id,
                tenant_id: &case.tenant_id,
                quota_id: &reached.quota_id,
                metric: reached.metric.as_str(),
                threshold: reached.tier.threshold,
                plan_id,
                restriction,
                used: reached.used,
                since: *since,
                until: reached.until,
            }
        })
        .collect();
    if !entered.is_empty() {
        let params = params![json(&entered)?];
        tx.link().execute(statements::ENTER_TIERS, params).await?;
    }
    if !left.is_empty() {
        tx.link()
            .execute(statements::LEAVE_TIERS, params![&json(left)?])
            .await?;
    }
    Ok(())
}
