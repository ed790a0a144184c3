//! What NAS are told of live sessions: an outbox whose rows stay as audit, and what each open session was told last.
//!
//! Times in these tables are the database's own: several processes on several hosts work on them, each with its clock.

mod statements;

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

#[cfg(test)]
pub(super) use statements::STATEMENTS;

use super::error::{Attempt as _, StoreError};
use super::link::Tx;
use super::sql::{Columns, Param, Row, Sql, params};
use super::{Result, Store};
use crate::order::{Cause, CoaOrder, LiveSession, NewOrder, OrderItem, OrderKind, OrderState, Verdict, Wanted};
use statements as sql;

type Read<T> = std::result::Result<T, sqlx::Error>;

/// How often a statement is tried that another process may have come before.
const TRIES: u32 = 5;

/// An open session, what it was told last and what it is about to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewedSession {
    pub live: LiveSession,
    /// As the subscriber's row has it now; `None`: there is no such row.
    pub username: Option<String>,
    /// The subscriber is deleted.
    pub gone: bool,
    pub plan_id: Option<String>,
    /// Class, as accounting keeps it.
    pub class: Option<String>,
    pub applied: Option<Applied>,
    pub pending: Option<LiveOrder>,
    pub sending: Option<LiveOrder>,
}

/// What a session was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub wanted: Wanted,
    /// The fingerprint that is not to be ordered again by itself.
    pub settled: Option<String>,
    /// When the decision changes by the clock, Unix seconds.
    pub recheck_at: Option<i64>,
}

/// An order that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOrder {
    pub kind: OrderKind,
    pub cause: Cause,
    /// Fingerprint; `None`: it is no matter of the policy.
    pub wanted: Option<String>,
    pub set: Vec<OrderItem>,
    pub unset: Vec<OrderItem>,
    pub attempts: u32,
}

/// What a look at a session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub session_id: i64,
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    /// What it was told, to be written where nothing was known of that, or else if `retold`.
    pub applied: Wanted,
    pub retold: bool,
    pub recheck_at: Option<i64>,
    /// What waits is no longer right.
    pub supersede: bool,
    pub order: Option<NewOrder>,
}

/// Which open sessions to look at.
#[derive(Debug, Clone, Copy)]
pub enum ReviewOf<'a> {
    All,
    Tenant(&'a str),
    /// Whose decision may name this plan.
    Plan(&'a str),
    /// Of which nothing is known yet.
    New,
}

/// Which open sessions; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct LiveFilter {
    pub tenant_id: Option<String>,
    /// User-Name as the NAS sent it, or the subscriber's own.
    pub username: Option<String>,
    pub acct_session_id: Option<String>,
    pub nas: Option<IpAddr>,
    /// `radacctid`.
    pub session_id: Option<i64>,
}

/// An order in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedOrder {
    pub id: i64,
    pub kind: OrderKind,
    pub cause: Cause,
    pub set: Vec<OrderItem>,
    pub unset: Vec<OrderItem>,
    /// This one included.
    pub attempts: u32,
    /// Since it was placed.
    pub age: Duration,
    /// Whether the session is open still.
    pub open: bool,
    pub session: LiveSession,
}

/// What came of an order in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderOutcome {
    pub id: i64,
    /// `pending`: it is to be tried again after `wait` seconds.
    pub state: OrderState,
    pub wait: u64,
    /// Microseconds.
    pub rtt: Option<u64>,
    pub result: Option<&'static str>,
    pub error_cause: Option<u32>,
    pub reason: Option<String>,
}

/// Which orders; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    pub tenant_id: Option<String>,
    pub id: Option<i64>,
    pub state: Option<OrderState>,
    pub nas: Option<IpAddr>,
    /// User-Name as the NAS sent it.
    pub username: Option<String>,
    pub acct_session_id: Option<String>,
    pub plan_id: Option<String>,
    pub cause: Option<Cause>,
    /// Go on after the order with this id.
    pub after: Option<i64>,
    pub limit: Option<u32>,
}

/// How far the orders for a NAS and of a cause have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderProgress {
    pub nas_ip_address: IpAddr,
    pub cause: Cause,
    pub pending: u64,
    pub sending: u64,
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub superseded: u64,
}

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

fn items(columns: &mut Columns<'_>) -> Read<Vec<OrderItem>> {
    let text = columns.text()?;
    serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn opt_items(columns: &mut Columns<'_>) -> Read<Vec<OrderItem>> {
    let text = columns.opt_text()?;
    let text = text.as_deref().unwrap_or("[]");
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn live(columns: &mut Columns<'_>) -> Read<LiveSession> {
    Ok(LiveSession {
        session_id: columns.number()?,
        tenant_id: columns.opt_text()?,
        subscriber_id: columns.opt_text()?,
        acct_unique_id: columns.text()?,
        acct_session_id: columns.text()?,
        username: columns.opt_text()?,
        nas_ip_address: columns.parsed()?,
        nas_port_id: columns.opt_text()?,
        calling_station_id: columns.opt_text()?,
        called_station_id: columns.opt_text()?,
        // Another tool may have written anything there.
        framed_ip_address: columns.opt_text()?.and_then(|address| address.parse().ok()),
        framed_ipv6_address: columns.opt_text()?.and_then(|address| address.parse().ok()),
        framed_ipv6_prefix: columns.opt_text()?.and_then(|prefix| prefix.parse().ok()),
        delegated_ipv6_prefix: columns.opt_text()?.and_then(|prefix| prefix.parse().ok()),
    })
}

fn live_order(columns: &mut Columns<'_>) -> Read<Option<LiveOrder>> {
    let kind: Option<OrderKind> = columns.opt_parsed()?;
    let cause: Option<Cause> = columns.opt_parsed()?;
    let wanted = columns.opt_text()?;
    let (set, unset) = (opt_items(columns)?, opt_items(columns)?);
    let attempts: Option<u32> = columns.opt_number()?;
    Ok(kind.zip(cause).map(|(kind, cause)| LiveOrder {
        kind,
        cause,
        wanted,
        set,
        unset,
        attempts: attempts.unwrap_or_default(),
    }))
}

fn reviewed(row: &Row) -> Read<ReviewedSession> {
    let mut columns = Columns::of(row);
    let live = live(&mut columns)?;
    let (username, gone, plan_id, class) = (
        columns.opt_text()?,
        columns.flag()?,
        columns.opt_text()?,
        columns.opt_text()?,
    );
    let (fingerprint, items) = (columns.opt_text()?, opt_items(&mut columns)?);
    let verdict: Option<Verdict> = columns.opt_parsed()?;
    let (settled, recheck_at) = (columns.opt_text()?, columns.opt_number()?);
    let applied = fingerprint.zip(verdict).map(|(fingerprint, verdict)| Applied {
        wanted: Wanted {
            fingerprint,
            items,
            verdict,
        },
        settled,
        recheck_at,
    });
    Ok(ReviewedSession {
        live,
        username,
        gone,
        plan_id,
        class,
        applied,
        pending: live_order(&mut columns)?,
        sending: live_order(&mut columns)?,
    })
}

fn claimed(row: &Row) -> Read<ClaimedOrder> {
    let mut columns = Columns::of(row);
    let kind = columns.parsed()?;
    let cause = columns.parsed()?;
    let (set, unset) = (items(&mut columns)?, items(&mut columns)?);
    let (attempts, id) = (columns.number()?, columns.number()?);
    let age: i64 = columns.number()?;
    Ok(ClaimedOrder {
        id,
        kind,
        cause,
        set,
        unset,
        attempts,
        age: Duration::from_secs(u64::try_from(age).unwrap_or_default()),
        open: columns.flag()?,
        session: live(&mut columns)?,
    })
}

fn order(row: &Row) -> Read<CoaOrder> {
    let mut columns = Columns::of(row);
    Ok(CoaOrder {
        id: columns.number()?,
        tenant_id: columns.opt_text()?,
        session_id: columns.number()?,
        acct_unique_id: columns.text()?,
        acct_session_id: columns.text()?,
        username: columns.opt_text()?,
        subscriber_id: columns.opt_text()?,
        plan_id: columns.opt_text()?,
        nas_ip_address: columns.parsed()?,
        kind: columns.parsed()?,
        cause: columns.parsed()?,
        actor: columns.opt_text()?,
        set: items(&mut columns)?,
        unset: items(&mut columns)?,
        verdict: columns.opt_parsed()?,
        state: columns.parsed()?,
        attempts: columns.number()?,
        not_before: columns.number()?,
        rtt: columns.opt_number()?,
        result: columns.opt_text()?,
        error_cause: columns.opt_number()?,
        reason: columns.opt_text()?,
        created_at: columns.number()?,
        sent_at: columns.opt_number()?,
        finished_at: columns.opt_number()?,
    })
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

/// What a session was told, as the statement reads it.
#[derive(Serialize)]
struct Told<'a> {
    session_id: i64,
    tenant_id: Option<&'a str>,
    subscriber_id: Option<&'a str>,
    fingerprint: &'a str,
    items: String,
    verdict: Verdict,
    recheck_at: Option<i64>,
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
    /// Keep, or take, the lead over the decisions for `term`; says whether `owner` has it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn lead(&self, owner: &str, term: Duration) -> Result<bool> {
        let attempt = || "take the lead over live sessions".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        let hit = connection
            .link()
            .execute(sql::LEAD, params![owner, term.as_secs()])
            .await;
        Ok(hit.attempt(attempt)? > 0)
    }

    /// Let go of the lead.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn resign(&self, owner: &str) -> Result<()> {
        let attempt = || "give up the lead over live sessions".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        let done = connection.link().execute(sql::RESIGN, params![owner]).await;
        done.attempt(attempt).map(drop)
    }

    /// Open sessions of these subscribers.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sessions_of(&self, subscribers: &[String]) -> Result<Vec<ReviewedSession>> {
        let list = json(subscribers).attempt(|| "read live sessions".to_owned())?;
        self.reviewed(sql::REVIEW_SUBSCRIBERS, params![&list]).await
    }

    /// Open sessions of known subscribers by their ids, after `after`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sessions_to_review(&self, of: ReviewOf<'_>, after: i64, limit: u32) -> Result<Vec<ReviewedSession>> {
        match of {
            ReviewOf::All => self.reviewed(sql::REVIEW_ALL, params![after, limit]).await,
            ReviewOf::New => self.reviewed(sql::REVIEW_NEW, params![after, limit]).await,
            ReviewOf::Tenant(id) => self.reviewed(sql::REVIEW_TENANT, params![after, limit, id]).await,
            ReviewOf::Plan(id) => self.reviewed(sql::REVIEW_PLAN, params![after, limit, id]).await,
        }
    }

    /// Open sessions whose decision has changed by the clock.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sessions_due(&self, limit: u32) -> Result<Vec<ReviewedSession>> {
        self.reviewed(sql::REVIEW_DUE, params![limit]).await
    }

    async fn reviewed(&self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<ReviewedSession>> {
        let attempt = || "read live sessions".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let mut sessions = Vec::new();
        let read = connection.link().each(sql, params, |row| {
            sessions.push(reviewed(row)?);
            Ok(())
        });
        read.await.attempt(attempt)?;
        Ok(sessions)
    }

    /// Open sessions, in the order of their ids.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn live_sessions(&self, filter: &LiveFilter) -> Result<Vec<LiveSession>> {
        let attempt = || "look up open sessions".to_owned();
        let params = params![
            &filter.tenant_id,
            &filter.username,
            &filter.acct_session_id,
            filter.nas,
            filter.session_id,
        ];
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(sql::FIND, params).await.attempt(attempt)?;
        rows.iter()
            .map(|row| live(&mut Columns::of(row)))
            .collect::<Read<_>>()
            .attempt(attempt)
    }

    /// Write what a look at sessions came to, all or nothing, if `leader` still leads; says whether it does.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn write_reviews(&self, leader: &str, reviews: &[Review]) -> Result<bool> {
        let attempt = || "write what live sessions are to be told".to_owned();
        let mut tx = self.begin().await.attempt(attempt)?;
        if tx
            .link()
            .optional(sql::LEADS, params![leader])
            .await
            .attempt(attempt)?
            .is_none()
        {
            return Ok(false);
        }
        let told = reviews.iter().map(|review| {
            Ok(Told {
                session_id: review.session_id,
                tenant_id: review.tenant_id.as_deref(),
                subscriber_id: review.subscriber_id.as_deref(),
                fingerprint: &review.applied.fingerprint,
                items: json(&review.applied.items)?,
                verdict: review.applied.verdict,
                recheck_at: review.recheck_at,
            })
        });
        let told: Vec<Told<'_>> = told.collect::<Read<_>>().attempt(attempt)?;
        let text = json(&told).attempt(attempt)?;
        tx.link().execute(sql::APPLIED, params![&text]).await.attempt(attempt)?;
        let retold: Vec<&Told<'_>> = reviews
            .iter()
            .zip(&told)
            .filter(|(review, _)| review.retold)
            .map(|(_, told)| told)
            .collect();
        let retold = if retold.is_empty() {
            None
        } else {
            Some(json(&retold).attempt(attempt)?)
        };
        if let Some(retold) = retold {
            tx.link()
                .execute(sql::RETOLD, params![&retold])
                .await
                .attempt(attempt)?;
        }
        let stale: Vec<i64> = reviews
            .iter()
            .filter(|r| r.supersede && r.order.is_none())
            .map(|r| r.session_id)
            .collect();
        if !stale.is_empty() {
            let stale = json(&stale).attempt(attempt)?;
            tx.link()
                .execute(sql::SUPERSEDE, params![&stale])
                .await
                .attempt(attempt)?;
        }
        let orders: Vec<NewOrder> = reviews.iter().filter_map(|review| review.order.clone()).collect();
        place(&mut tx, &orders).await.attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(true)
    }

    /// Forget what sessions were told that are over; returns how many.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn forget_ended_sessions(&self) -> Result<u64> {
        let attempt = || "forget what ended sessions were told".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        connection.link().execute(sql::FORGET, &[]).await.attempt(attempt)
    }

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

    /// Take at most `limit` orders that are due in hand, each for `lease`, none for a NAS in `busy`. What another process
    /// had in hand for longer than its lease comes first. With `only`, of these orders.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn claim_orders(
        &self,
        owner: &str,
        lease: Duration,
        busy: &[IpAddr],
        limit: u32,
        only: Option<&[i64]>,
    ) -> Result<Vec<ClaimedOrder>> {
        let attempt = || "take orders in hand".to_owned();
        let busy = json(busy).attempt(attempt)?;
        let listed = only.map(json).transpose().attempt(attempt)?;
        let lease = lease.as_secs().max(1);
        for _ in 0..TRIES {
            let mut tx = self.begin().await.attempt(attempt)?;
            let mut taken = Vec::new();
            if only.is_none() {
                taken = ids(&mut tx, sql::RECLAIM, params![owner, lease, limit])
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
            let rows = tx.link().all(sql::CLAIMED, params![&list]).await.attempt(attempt)?;
            let orders: Vec<ClaimedOrder> = rows.iter().map(claimed).collect::<Read<_>>().attempt(attempt)?;
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

    /// Keep what `owner` has in hand for another `lease`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn renew_orders(&self, owner: &str, lease: Duration) -> Result<()> {
        let attempt = || "keep orders in hand".to_owned();
        let mut connection = self.writer().await.attempt(attempt)?;
        let renewed = connection
            .link()
            .execute(sql::RENEW, params![owner, lease.as_secs().max(1)])
            .await;
        renewed.attempt(attempt).map(drop)
    }

    /// Write what came of orders that `owner` has in hand, and what their sessions were told with it. Gives the ids of those
    /// it had in hand still: of the others, whoever took them over writes the outcome.
    ///
    /// # Errors
    /// The database does not answer; nothing was written then.
    pub async fn finish_orders(&self, owner: &str, outcomes: &[OrderOutcome]) -> Result<Vec<i64>> {
        let attempt = || "write what came of orders".to_owned();
        let text = json(outcomes).attempt(attempt)?;
        for _ in 0..TRIES {
            let mut tx = self.begin().await.attempt(attempt)?;
            let written = match ids(&mut tx, sql::FINISH, params![&text, owner]).await.attempt(attempt) {
                Ok(written) => written,
                // A later order of a session that is to be tried again was placed meanwhile.
                Err(StoreError::Duplicate { .. }) => continue,
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
        let rows = connection.link().all(sql::LIST, &params).await.attempt(attempt)?;
        rows.iter().map(order).collect::<Read<_>>().attempt(attempt)
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

impl OrderOutcome {
    /// The session has ended meanwhile.
    #[must_use]
    pub fn ended(id: i64) -> Self {
        Self {
            id,
            state: OrderState::Done,
            wait: 0,
            rtt: None,
            result: Some("ended"),
            error_cause: None,
            reason: Some("the session was over before it was sent".to_owned()),
        }
    }
}
