//! Who had an address: the question of abuse desks and court orders.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::address::SessionAddress;
use super::sessions::{Session, SessionFilter};
use super::{Result, Store};

/// How far the NAS's own records carry an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The NAS spoke of the session at or after the beginning of the period, or told when it stopped.
    Reported,
    /// The NAS was last heard of it before, and nothing says when the session ended: it was open at that time, or was closed
    /// later because the NAS stayed silent.
    Presumed,
}

/// A session that had the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    pub certainty: Certainty,
    #[serde(flatten)]
    pub session: Session,
}

impl Store {
    /// The sessions that had an address at some time of a period (Unix seconds, both ends included; an instant has the
    /// same twice), the latest start first, `limit` of them at most. At a second at which an address passed from one
    /// session to the next, both are given.
    ///
    /// `radacct` keeps the addresses a session had last: of one that was given another address on the way, the earlier
    /// one is not known.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn whohad(
        &self,
        tenant_id: Option<&str>,
        address: SessionAddress,
        period: RangeInclusive<i64>,
        limit: Option<u32>,
    ) -> Result<Vec<Holder>> {
        let begin = *period.start();
        let filter = SessionFilter {
            tenant_id: tenant_id.map(str::to_owned),
            address: Some(address),
            period: Some(period),
            presumed: true,
            limit,
            ..SessionFilter::default()
        };
        let mut sessions = self.session_list(&filter).await?;
        sessions.sort_by_key(|session| std::cmp::Reverse((session.started_at, session.id)));
        let holder = |session| Holder {
            certainty: certainty(&session, begin),
            session,
        };
        Ok(sessions.into_iter().map(holder).collect())
    }
}

/// A start that was counted back comes from a record, and so is not later than one.
fn certainty(session: &Session, begin: i64) -> Certainty {
    let stopped = session.stopped_at.filter(|_| !session.stop_inferred);
    let last_word = stopped.max(session.last_heard_at).max(session.started_at);
    if last_word.is_some_and(|last_word| begin <= last_word) {
        Certainty::Reported
    } else {
        Certainty::Presumed
    }
}
