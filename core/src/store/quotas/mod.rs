//! Quotas of plans, top-ups, and the tiers that subscribers are in.
//!
//! What a quota leads to is [`crate::accounting::quota`]. Whoever changes something that a tier depends on leaves a mark
//! in the database; [`Store::quota_roll`] works the marks off, and looks anew at those whose period is over.

mod assess;
mod statements;

use jiff::Timestamp;
use serde::Serialize;
use tracing::error;

#[cfg(test)]
pub(super) use statements::STATEMENTS;

use assess::assess;

use super::error::{Attempt as _, StoreError, is_away};
use super::link::Tx;
use super::sql::{Columns, Row, params};
use super::{Result, Store, accounting, must_hit};
use crate::accounting::period::Period;
use crate::accounting::quota::{Effect, Quota, Reached, Tier, TopUp};

type Database<T> = std::result::Result<T, sqlx::Error>;

/// Subscribers looked at in one transaction.
const CHUNK: u32 = 500;
/// So many subscribers in a row of whom no tier can be told, and none of whom it can: the fault is not theirs.
const DOUBTS: usize = 8;

/// Where a subscriber stands with one quota. Times are Unix seconds, amounts octets or seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub quota: Quota,
    pub used: u64,
    /// What the top-ups that are valid add to each threshold.
    pub topped_up: u64,
    /// The period.
    pub from: i64,
    pub until: i64,
    /// The tier this quota has led to.
    pub tier: Option<Tier>,
}

impl Standing {
    /// What may still be used before the next tier begins. `None`: there is no next one.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let limit = self.quota.limit(self.used, self.topped_up)?;
        Some(limit - self.used)
    }
}

/// The tier that counts for a subscriber. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// `used` is what it was decided on.
    pub reached: Reached,
    pub since: i64,
}

/// How a subscriber stands with the quotas of its plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaState {
    pub standings: Vec<Standing>,
    pub tier: Option<Held>,
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

fn json<T: Serialize + ?Sized>(rows: &T) -> Database<String> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A row of `LIST` or `OF_PLANS`, with the rate of the plan of each of its tiers.
fn quota(row: &Row) -> Database<(Quota, Vec<u64>)> {
    let mut column = Columns::of(row);
    let (id, tenant_id, plan_id) = (column.text()?, column.text()?, column.text()?);
    let metric = column.parsed()?;
    let period = Period::new(column.parsed()?, column.opt_number()?);
    let tiers: Vec<(u64, Option<String>, Option<u64>)> = match column.opt_str()? {
        Some(text) => serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?,
        None => Vec::new(),
    };
    let rates = tiers.iter().map(|(_, _, rate)| rate.unwrap_or(u64::MAX)).collect();
    let tiers = tiers
        .into_iter()
        .map(|(threshold, plan, _)| Tier {
            threshold,
            effect: plan.map_or(Effect::Refuse, Effect::Plan),
        })
        .collect();
    let quota = Quota {
        id,
        tenant_id,
        plan_id,
        metric,
        period,
        tiers,
    };
    Ok((quota, rates))
}

fn top_up(row: &Row) -> Database<TopUp> {
    let mut column = Columns::of(row);
    Ok(TopUp {
        id: column.text()?,
        subscriber_id: column.text()?,
        metric: column.parsed()?,
        period: column.parsed()?,
        amount: column.number()?,
        valid_from: column.number()?,
        valid_until: column.number()?,
        note: column.opt_text()?,
        created_at: column.number()?,
        created_by: column.opt_text()?,
    })
}

impl Store {
    /// Add a quota to a plan of its tenant, and look at what the plan's subscribers have used of it.
    ///
    /// # Errors
    /// The plan has one of this metric and period, two tiers begin at one threshold or one at nothing, or there is no
    /// such plan.
    pub async fn quota_add(&self, quota: &Quota) -> Result<()> {
        let attempt = || format!("add a quota to plan {:?}", quota.plan_id);
        let mut tx = self.begin().await.attempt(attempt)?;
        let period = quota.period;
        let params = params![
            &quota.id,
            &quota.tenant_id,
            &quota.plan_id,
            quota.metric.as_str(),
            period.kind().as_str(),
            period.hours(),
        ];
        tx.link()
            .execute(statements::ADD_QUOTA, params)
            .await
            .attempt(attempt)?;
        for tier in &quota.tiers {
            let (plan, restriction) = columns(&tier.effect);
            let params = params![&quota.id, &quota.tenant_id, tier.threshold, plan, restriction];
            tx.link().execute(statements::ADD_TIER, params).await.attempt(attempt)?;
        }
        tx.commit().await.attempt(attempt)?;
        self.quota_roll(now()).await.map(drop)
    }

    /// The quotas of a plan.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn quota_list(&self, tenant_id: &str, plan_id: &str) -> Result<Vec<Quota>> {
        let attempt = || format!("list the quotas of plan {plan_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, plan_id];
        let rows = connection.link().all(statements::LIST, params).await.attempt(attempt)?;
        let quotas: Database<Vec<_>> = rows.iter().map(|row| Ok(quota(row)?.0)).collect();
        quotas.attempt(attempt)
    }

    /// How many hours the longest rolling quota of all counts over; 0 = there is none.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn quota_longest_rolling(&self) -> Result<u32> {
        let attempt = || "read the longest rolling quota".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let row = connection.link().one(statements::LONGEST_ROLLING, &[]).await;
        Columns::of(&row.attempt(attempt)?).number().attempt(attempt)
    }

    /// Delete a quota with its tiers. Who was in one of them is not any more.
    ///
    /// # Errors
    /// The tenant has no such quota.
    pub async fn quota_delete(&self, tenant_id: &str, id: &str) -> Result<()> {
        let attempt = || format!("delete quota {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![tenant_id, id];
        let hit = connection.link().execute(statements::DELETE_QUOTA, params).await;
        must_hit(hit.attempt(attempt)?, attempt)?;
        drop(connection);
        self.quota_roll(now()).await.map(drop)
    }

    /// Add a top-up and look at its subscriber anew. `created_at` 0 means now.
    ///
    /// # Errors
    /// The tenant has no such subscriber (or it is deleted), nothing is topped up, or it ends before it begins.
    pub async fn topup_add(&self, tenant_id: &str, topup: &TopUp) -> Result<()> {
        let attempt = || format!("top up subscriber {:?}", topup.subscriber_id);
        let mut connection = self.writer().await.attempt(attempt)?;
        let created_at = if topup.created_at == 0 { now() } else { topup.created_at };
        let params = params![
            &topup.id,
            tenant_id,
            &topup.subscriber_id,
            topup.metric.as_str(),
            topup.period.as_str(),
            topup.amount,
            topup.valid_from,
            topup.valid_until,
            &topup.note,
            created_at,
            &topup.created_by,
        ];
        let hit = connection.link().execute(statements::ADD_TOPUP, params).await;
        must_hit(hit.attempt(attempt)?, attempt)?;
        drop(connection);
        self.quota_roll(now()).await.map(drop)
    }

    /// All top-ups of a subscriber, those of the past too, by their beginning.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn topup_list(&self, tenant_id: &str, subscriber_id: &str) -> Result<Vec<TopUp>> {
        let attempt = || format!("list the top-ups of subscriber {subscriber_id:?}");
        let mut connection = self.reader().await.attempt(attempt)?;
        let params = params![tenant_id, subscriber_id];
        let rows = connection
            .link()
            .all(statements::TOPUPS, params)
            .await
            .attempt(attempt)?;
        rows.iter().map(top_up).collect::<Database<_>>().attempt(attempt)
    }

    /// Take a top-up back.
    ///
    /// # Errors
    /// The tenant's subscriber has no such top-up.
    pub async fn topup_delete(&self, tenant_id: &str, subscriber_id: &str, id: &str) -> Result<()> {
        let attempt = || format!("delete top-up {id:?}");
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![tenant_id, subscriber_id, id];
        let hit = connection.link().execute(statements::DELETE_TOPUP, params).await;
        must_hit(hit.attempt(attempt)?, attempt)?;
        drop(connection);
        self.quota_roll(now()).await.map(drop)
    }

    /// How a subscriber stands at `now` (Unix seconds) with the quotas of its plan.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn quota_state(&self, subscriber_id: &str, now: i64) -> Result<QuotaState> {
        let attempt = || format!("look up the quotas of subscriber {subscriber_id:?}");
        let mut tx = self.begin_snapshot().await.attempt(attempt)?;
        let state = assess::state(&mut tx, now, subscriber_id).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(state)
    }

    /// Look anew at everybody whose tier has ended by `now` (Unix seconds), or of whom something changed that a tier
    /// depends on. To be called every few seconds; cheap when there is nothing to do. Returns how many were looked at.
    ///
    /// # Errors
    /// The database does not answer. What was looked at until then stands.
    pub async fn quota_roll(&self, now: i64) -> Result<u64> {
        let attempt = || "look at quotas anew".to_owned();
        let mut looked_at = 0;
        loop {
            let mut connection = self.reader().await.attempt(attempt)?;
            let row = connection.link().one(statements::IS_DUE, params![now]).await;
            if !row.and_then(|row| Columns::of(&row).flag()).attempt(attempt)? {
                return Ok(looked_at);
            }
            drop(connection);
            let mut tx = self.begin().await.attempt(attempt)?;
            looked_at += roll(&mut tx, now).await.attempt(attempt)?;
            tx.commit().await.attempt(attempt)?;
        }
    }
}

/// Look at those who used something. Their use counts even where no tier can be told from it: that is tried again with
/// their next record.
pub(super) async fn assess_use(tx: &mut Tx, now: i64, subscribers: &[&str]) -> Database<()> {
    if subscribers.is_empty() {
        return Ok(());
    }
    match assess_each(tx, now, subscribers).await {
        Ok(failed) => {
            for (subscriber, error) in failed {
                error!("the tier of subscriber {subscriber} stays as it was: {error}");
            }
        }
        Err(error) => error!(
            "the tiers of {} subscribers stay as they were: {error}",
            subscribers.len()
        ),
    }
    Ok(())
}

/// As [`assess`], but one of whom no tier can be told does not keep the others from theirs: found by halves, and given back
/// with the reason.
///
/// # Errors
/// It is not a matter of one or the other. Nothing is left undone in the transaction but what was looked at until then.
async fn assess_each<'a, S: Serialize>(
    tx: &mut Tx,
    now: i64,
    subscribers: &'a [S],
) -> Database<Vec<(&'a S, sqlx::Error)>> {
    let mut failed = Vec::new();
    let mut succeeded = false;
    let mut left = vec![subscribers];
    while let Some(part) = left.pop() {
        tx.savepoint().await?;
        let Err(error) = assess(tx, now, part).await else {
            tx.release_savepoint().await?;
            succeeded = true;
            continue;
        };
        tx.rollback_to_savepoint().await?;
        let doubtful = !succeeded && failed.len() + 1 >= DOUBTS;
        match part {
            _ if is_away(&error) => return Err(error),
            [_] if doubtful => return Err(error),
            [one] => failed.push((one, error)),
            _ => {
                let (first, second) = part.split_at(part.len() / 2);
                left.extend([second, first]);
            }
        }
    }
    Ok(failed)
}

/// `override_plan_id` and `restriction`.
fn columns(effect: &Effect) -> (Option<&str>, Option<&'static str>) {
    match effect {
        Effect::Plan(id) => (Some(id), None),
        Effect::Refuse => (None, Some(Effect::REFUSE)),
    }
}

/// Some of those who are due.
async fn roll(tx: &mut Tx, now: i64) -> Database<u64> {
    // Usage must not move on before the tier is written that was decided on it.
    accounting::take_turn(tx).await?;
    let mut subscribers = Vec::new();
    for row in tx.link().all(statements::OVER, params![now, CHUNK]).await? {
        subscribers.push(Columns::of(&row).text()?);
    }
    let mut done: Vec<i64> = Vec::new();
    for row in tx
        .link()
        .all(statements::MARKED_SUBSCRIBERS, params![now, CHUNK])
        .await?
    {
        let mut column = Columns::of(&row);
        done.push(column.number()?);
        subscribers.push(column.text()?);
    }
    if subscribers.is_empty()
        && let Some(row) = tx.link().optional(statements::MARKED_PLAN, params![now]).await?
    {
        let mut column = Columns::of(&row);
        let (mark, plan, done_to) = (column.number::<i64>()?, column.text()?, column.text()?);
        if done_to.is_empty() {
            tx.link().execute(statements::JOIN_MARKS, params![&plan, mark]).await?;
        }
        let params = params![&plan, &done_to, CHUNK];
        for row in tx.link().all(statements::PLAN_SUBSCRIBERS, params).await? {
            subscribers.push(Columns::of(&row).text()?);
        }
        match subscribers.last() {
            Some(last) => tx
                .link()
                .execute(statements::MOVE_MARK, params![mark, last])
                .await
                .map(drop)?,
            None => done.push(mark),
        }
    }
    let failed = assess_each(tx, now, &subscribers).await?;
    if !failed.is_empty() {
        let mut unknown: Vec<&String> = Vec::new();
        for (subscriber, error) in failed {
            error!("the tier of subscriber {subscriber} cannot be told until something changes: {error}");
            unknown.push(subscriber);
        }
        // Over and over the same otherwise.
        tx.link()
            .execute(statements::LEAVE_OVER, params![&json(&unknown)?, now])
            .await?;
    }
    if !done.is_empty() {
        tx.link().execute(statements::UNMARK, params![&json(&done)?]).await?;
    }
    Ok(u64::try_from(subscribers.len()).unwrap_or(u64::MAX))
}

/// A plan that a tier puts in the place of others stays.
pub(super) fn in_use(error: StoreError) -> StoreError {
    match error {
        StoreError::MissingReference { attempt, .. } => StoreError::InUse {
            attempt,
            by: "tiers of quotas",
        },
        other => other,
    }
}
