//! Sessions whose NAS fell silent.

use super::error::Attempt as _;
use super::nodes::applied_until;
use super::sql::{Columns, params, statements};
use super::{Result, Store, accounting};
use crate::accounting::silence::Silence;

/// Sessions per transaction: the records of the others wait meanwhile.
const BATCH: i64 = 2_000;

/// A row of another program may lack the one time or the other: then it was last heard of when it began, or was written.
///
/// `$1`: how far records are applied; `$2`: seconds; `$3`: how many of them; `$4`: since when a report would have come
/// through; `$5`: at most so many sessions.
macro_rules! silent {
    ($epoch:literal, $close:literal, $min:literal, $max:literal) => {
        concat!(
            "SELECT radacctid, coalesce(acctupdatetime, acctstarttime, created_at) AS last FROM radacct
            WHERE acctstoptime IS NULL AND ",
            $max,
            "(",
            $epoch,
            "coalesce(heard_at, acctupdatetime, acctstarttime, created_at)",
            $close,
            ", $4) < $1 - $3 * ",
            $max,
            "($2, ",
            $min,
            "(coalesce(acctinterval, 0), 21600))
            LIMIT $5"
        )
    };
}

statements! {
    /// What still lies in the journal of a node is not silence. A node that reported within a day may come back.
    APPLIED_UNTIL {
        sqlite: applied_until!(sqlite: "$1", "86400"),
        postgres: applied_until!(postgres: "$1", "86400"),
    }
    /// A session ends in the month it was last heard of.
    MAKE_MONTHS {
        postgres: concat!("SELECT count(radacct_create_month(month)) FROM (
            SELECT DISTINCT date_trunc('month', last AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month
            FROM (", silent!("extract(epoch FROM ", ")::bigint", "least", "greatest"), ") AS silent) AS months"),
    }
    CLOSE {
        sqlite: concat!("UPDATE radacct
            SET acctstoptime = coalesce(acctupdatetime, acctstarttime, created_at), acctterminatecause = 'Stale-Session', stop_inferred = 1
            WHERE radacctid IN (SELECT radacctid FROM (", silent!("unixepoch(", ")", "min", "max"), "))"),
        postgres: concat!("UPDATE radacct
            SET acctstoptime = coalesce(acctupdatetime, acctstarttime, created_at), acctterminatecause = 'Stale-Session', stop_inferred = true
            WHERE acctstoptime IS NULL
                AND radacctid IN (SELECT radacctid FROM (",
                silent!("extract(epoch FROM ", ")::bigint", "least", "greatest"), ") AS silent)"),
    }
}

impl Store {
    /// Close the open sessions that were not heard of for too long, as of `now` (Unix seconds): they end with what was last
    /// heard of them, with the cause `Stale-Session`. A later report opens such a session again. Returns how many.
    ///
    /// Nobody was heard of while no node listened or the database was away, so that silence counts from `listening` (Unix
    /// seconds) on at most; and `now` is no later than the oldest record that the node has not applied.
    ///
    /// # Errors
    /// The database is not usable; some may have been closed.
    pub async fn close_silent(&self, silence: &Silence, listening: i64, now: i64) -> Result<u64> {
        let attempt = || "close sessions that fell silent".to_owned();
        let interim = i64::try_from(silence.interim.as_secs()).unwrap_or(i64::MAX >> 32);
        let intervals = i64::from(silence.intervals);
        let mut closed = 0;
        loop {
            let mut tx = self.begin().await.attempt(attempt)?;
            accounting::take_turn(&mut tx).await.attempt(attempt)?;
            let until = tx.link().one(APPLIED_UNTIL, params![now]).await.attempt(attempt)?;
            let until: i64 = Columns::of(&until).number().attempt(attempt)?;
            let bounds = params![until, interim, intervals, listening, BATCH];
            tx.link().execute(MAKE_MONTHS, bounds).await.attempt(attempt)?;
            let batch = tx.link().execute(CLOSE, bounds).await.attempt(attempt)?;
            tx.commit().await.attempt(attempt)?;
            closed += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(closed);
            }
        }
    }
}
