//! What NAS are told of live sessions: an outbox whose rows stay as audit, and what each open session was told last.
//!
//! Times in these tables are the database's own: several processes on several hosts work on them, each with its clock.

mod reviews;
mod rows;
mod statements;
mod types;

use std::time::Duration;

use serde::Serialize;

#[cfg(test)]
pub(super) use statements::STATEMENTS;

use super::error::{Attempt as _, StoreError};
use super::link::Tx;
use super::sql::{Columns, Param, Row, Sql, params};
use super::{Result, Store};
use crate::order::{Cause, CoaOrder, NewOrder, OrderKind, OrderState, Verdict};
pub use types::{
    Applied, ClaimedOrder, LiveFilter, LiveOrder, OrderClaim, OrderFilter, OrderOutcome, OrderProgress, Review,
    ReviewOf, ReviewedSession,
};

use statements as sql;

type Read<T> = std::result::Result<T, sqlx::Error>;

/// How often a statement is tried that another process may have come before.
const TRIES: u32 = 5;

impl OrderFilter {
    fn params(&self) -> Vec<Param<'_>> {
        vec![
            Param::from(&self.tenant_id),
            Param::from(self.id),
            Param::from(self.state.map(OrderState::as_str)),
            Param::from(self.nas),
            Param::from(&self.username),
            Param::from(&self.acct_session_id),
            Param::from(&self.plan_id),
            Param::from(self.cause.map(Cause::as_str)),
        ]
    }
}

/// A value as JSON text.
fn json<T: Serialize + ?Sized>(value: &T) -> Read<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// An order as the statements read it.
#[derive(Serialize)]
struct Placed<'a> {
    session_id: i64,
    kind: OrderKind,
    cause: Cause,
    actor: Option<&'a str>,
    plan_id: Option<&'a str>,
    set: String,
    unset: String,
    wanted: Option<&'a str>,
    wanted_items: Option<String>,
    verdict: Option<Verdict>,
}

impl<'a> Placed<'a> {
    fn new(order: &'a NewOrder) -> Read<Self> {
        let wanted = order.wanted.as_ref();
        Ok(Self {
            session_id: order.session_id,
            kind: order.kind,
            cause: order.cause,
            actor: order.actor.as_deref(),
            plan_id: order.plan_id.as_deref(),
            set: json(&order.set)?,
            unset: json(&order.unset)?,
            wanted: wanted.map(|wanted| wanted.fingerprint.as_str()),
            wanted_items: wanted.map(|wanted| json(&wanted.items)).transpose()?,
            verdict: wanted.map(|wanted| wanted.verdict),
        })
    }
}

async fn ids(tx: &mut Tx, sql: Sql, params: &[Param<'_>]) -> Read<Vec<i64>> {
    let rows = tx.link().all(sql, params).await?;
    rows.iter().map(|row| Columns::of(row).number()).collect()
}

/// Put orders in the place of those that wait. Gives the id of each with its session; a session that has ended gets none.
async fn place(tx: &mut Tx, orders: &[NewOrder]) -> Read<Vec<(i64, i64)>> {
    let mut left: Vec<Placed<'_>> = orders.iter().map(Placed::new).collect::<Read<_>>()?;
    let mut placed = Vec::with_capacity(left.len());
    // Another process may place one between the two statements; that is what waits then.
    for _ in 0..TRIES {
        if left.is_empty() {
            break;
        }
        let sessions: Vec<i64> = left.iter().map(|order| order.session_id).collect();
        let superseded = json(&sessions)?;
        tx.link().execute(sql::SUPERSEDE, params![&superseded]).await?;
        let text = json(&left)?;
        for row in tx.link().all(sql::PLACE, params![&text]).await? {
            let mut columns = Columns::of(&row);
            placed.push((columns.number()?, columns.number()?));
        }
        left.retain(|order| !placed.iter().any(|(_, session)| *session == order.session_id));
    }
    Ok(placed)
}

impl Store {
    /// Place orders, each in the place of the one of its session that waits. Gives the id of each with its session, in no
    /// order; a session that is over gets none.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn place_orders(&self, orders: &[NewOrder]) -> Result<Vec<(i64, i64)>> {
        let attempt = || "place orders for live sessions".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        let placed = place(&mut tx, orders).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(placed)
    }

    /// Take orders that are due in hand. What a process had in hand for longer than its lease comes first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn claim_orders(&self, claim: &OrderClaim<'_>) -> Result<Vec<ClaimedOrder>> {
        let attempt = || "take orders in hand".to_owned();
        let &OrderClaim { owner, limit, only, .. } = claim;
        let busy = json(claim.busy).attempt(attempt)?;
        let lost_but = claim.lost_but.map(json).transpose().attempt(attempt)?;
        let listed = only.map(json).transpose().attempt(attempt)?;
        let lease = claim.lease.as_secs().max(1);
        for _ in 0..TRIES {
            let mut tx = self.begin().await.attempt(attempt)?;
            let mut taken = Vec::new();
            if let (None, Some(but)) = (only, &lost_but) {
                taken = ids(&mut tx, sql::RECLAIM, params![owner, lease, limit, but])
                    .await
                    .attempt(attempt)?;
            }
            let room = i64::from(limit) - i64::try_from(taken.len()).unwrap_or(i64::MAX);
            if room > 0 {
                let claim = params![owner, lease, room, &busy, listed.as_deref()];
                match ids(&mut tx, sql::CLAIM, claim).await.attempt(attempt) {
                    Ok(more) => taken.extend(more),
                    // Another process took the session's earlier order in hand meanwhile.
                    Err(StoreError::Duplicate { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
            if taken.is_empty() {
                return Ok(Vec::new());
            }
            let list = json(&taken).attempt(attempt)?;
            let found = tx.link().all(sql::CLAIMED, params![&list]).await.attempt(attempt)?;
            let orders: Vec<ClaimedOrder> = found.iter().map(rows::claimed).collect::<Read<_>>().attempt(attempt)?;
            // Retention has taken the session: nobody is to be told anything.
            let orphans: Vec<OrderOutcome> = taken
                .iter()
                .filter(|id| !orders.iter().any(|order| order.id == **id))
                .map(|&id| OrderOutcome::ended(id))
                .collect();
            if !orphans.is_empty() {
                let orphans = json(&orphans).attempt(attempt)?;
                ids(&mut tx, sql::FINISH, params![&orphans, owner])
                    .await
                    .attempt(attempt)?;
            }
            tx.commit().await.attempt(attempt)?;
            return Ok(orders);
        }
        Ok(Vec::new())
    }

    /// Keep these orders, which `owner` has in hand, for another `lease`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn renew_orders(&self, owner: &str, lease: Duration, orders: &[i64]) -> Result<()> {
        let attempt = || "keep orders in hand".to_owned();
        let list = json(orders).attempt(attempt)?;
        let params = params![owner, lease.as_secs().max(1), &list];
        let mut connection = self.writer().await.attempt(attempt)?;
        connection
            .link()
            .execute(sql::RENEW, params)
            .await
            .attempt(attempt)
            .map(drop)
    }

    /// Write what came of orders that `owner` has in hand, and what their sessions were told with it. Gives the ids of those
    /// it had in hand still: of the others, whoever took them over writes the outcome.
    ///
    /// # Errors
    /// The database does not answer; nothing was written then.
    pub async fn finish_orders(&self, owner: &str, outcomes: &[OrderOutcome]) -> Result<Vec<i64>> {
        let attempt = || "write what came of orders".to_owned();
        let text = json(outcomes).attempt(attempt)?;
        for tried in 1..=TRIES {
            let mut tx = self.begin().await.attempt(attempt)?;
            let written = match ids(&mut tx, sql::FINISH, params![&text, owner]).await.attempt(attempt) {
                Ok(written) => written,
                // A later order of a session that is to be tried again was placed meanwhile.
                Err(StoreError::Duplicate { .. }) if tried < TRIES => continue,
                Err(error) => return Err(error),
            };
            let list = json(&written).attempt(attempt)?;
            tx.link().execute(sql::REACHED, params![&list]).await.attempt(attempt)?;
            tx.link().execute(sql::SETTLE, params![&list]).await.attempt(attempt)?;
            tx.commit().await.attempt(attempt)?;
            return Ok(written);
        }
        Ok(Vec::new())
    }

    /// Orders, the latest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn order_list(&self, filter: &OrderFilter) -> Result<Vec<CoaOrder>> {
        let attempt = || "list orders".to_owned();
        let mut params = filter.params();
        params.extend([Param::from(filter.after), Param::from(filter.limit)]);
        let mut connection = self.reader().await.attempt(attempt)?;
        let listed = connection.link().all(sql::LIST, &params).await.attempt(attempt)?;
        listed.iter().map(rows::order).collect::<Read<_>>().attempt(attempt)
    }

    /// How far orders have come, by NAS and cause.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn order_progress(&self, filter: &OrderFilter) -> Result<Vec<OrderProgress>> {
        let attempt = || "sum orders up".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection
            .link()
            .all(sql::SUMMARY, &filter.params())
            .await
            .attempt(attempt)?;
        let progress = |row: &Row| {
            let mut columns = Columns::of(row);
            Ok(OrderProgress {
                nas_ip_address: columns.parsed()?,
                cause: columns.parsed()?,
                pending: columns.number()?,
                sending: columns.number()?,
                done: columns.number()?,
                failed: columns.number()?,
                cancelled: columns.number()?,
                superseded: columns.number()?,
            })
        };
        rows.iter().map(progress).collect::<Read<_>>().attempt(attempt)
    }

    /// Cancel orders that wait; returns how many. What they wanted is not ordered again by itself.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn order_cancel(&self, filter: &OrderFilter, actor: Option<&str>) -> Result<u64> {
        let attempt = || "cancel orders".to_owned();
        let reason = actor.map_or_else(|| "cancelled".to_owned(), |actor| format!("cancelled by {actor}"));
        let mut params = filter.params();
        params.push(Param::from(reason));
        let mut tx = self.begin().await.attempt(attempt)?;
        let cancelled = ids(&mut tx, sql::CANCEL, &params).await.attempt(attempt)?;
        let list = json(&cancelled).attempt(attempt)?;
        tx.link().execute(sql::SETTLE, params![&list]).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(u64::try_from(cancelled.len()).unwrap_or(u64::MAX))
    }

    /// Place orders that failed or were cancelled once more, where the session is open and was ordered nothing since; gives
    /// the ids of the new ones.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn order_retry(&self, filter: &OrderFilter, actor: Option<&str>) -> Result<Vec<i64>> {
        let attempt = || "place orders once more".to_owned();
        let mut params = filter.params();
        params.push(Param::from(actor));
        let mut tx = self.begin().await.attempt(attempt)?;
        let placed = ids(&mut tx, sql::RETRY, &params).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(placed)
    }
}
