//! What a look at live sessions reads and writes.

use std::time::Duration;

use serde::Serialize;

use super::types::{LiveFilter, Review, ReviewOf, ReviewedSession};
use super::{Read, json, place, rows, statements as sql};
use crate::order::{LiveSession, NewOrder, Verdict};
use crate::store::error::Attempt as _;
use crate::store::sql::{Columns, Param, Sql, params};
use crate::store::{Result, Store};

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
            sessions.push(rows::reviewed(row)?);
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
        let found = connection.link().all(sql::FIND, params).await.attempt(attempt)?;
        found
            .iter()
            .map(|row| rows::live(&mut Columns::of(row)))
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
}
