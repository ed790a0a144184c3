//! Sessions whose NAS fell silent.

use std::time::Duration;

use super::error::Attempt as _;
use super::sql::{Columns, params, statements};
use super::{Result, Store, accounting};

/// Sessions per transaction: the records of the others wait meanwhile.
const BATCH: i64 = 2_000;

/// When a session counts as ended though nobody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// How often a NAS reports, where its own reports do not show it.
    pub interim: Duration,
    /// So many times that without a report; 0 = no silence is too long.
    pub intervals: u32,
}

impl Silence {
    /// How long a session may go without a report, where its NAS reports as expected; a day where none is too long.
    #[must_use]
    pub fn patience(&self) -> Duration {
        if self.intervals == 0 {
            return Duration::from_secs(86_400);
        }
        self.interim.saturating_mul(self.intervals)
    }
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            interim: Duration::from_secs(600),
            intervals: 3,
        }
    }
}

/// An interval of more than six hours was an outage, not an interval. `$1`: now; `$2`: seconds; `$3`: how many of them;
/// `$4`: at most so many sessions.
macro_rules! silent {
    ($epoch:literal, $close:literal, $min:literal, $max:literal) => {
        concat!(
            "SELECT radacctid, acctupdatetime FROM radacct
            WHERE acctstoptime IS NULL AND ",
            $epoch,
            "acctupdatetime",
            $close,
            " < $1 - $3 * ",
            $max,
            "($2, ",
            $min,
            "(coalesce(acctinterval, 0), 21600))
            LIMIT $4"
        )
    };
}

statements! {
    /// How far all records are known to be applied: what still lies in the journal of a node is not silence.
    APPLIED_UNTIL {
        sqlite: "SELECT min($1, coalesce(min(unixepoch(journal_oldest)), $1)) FROM node_status
            WHERE journal_records > 0 AND unixepoch(reported_at) > $1 - 86400",
        postgres: "SELECT least($1, extract(epoch FROM min(journal_oldest))::bigint) FROM node_status
            WHERE journal_records > 0 AND reported_at > to_timestamp($1 - 86400)",
    }
    /// A session ends in the month it was last heard of.
    MAKE_MONTHS {
        postgres: concat!("SELECT count(radacct_create_month(month)) FROM (
            SELECT DISTINCT date_trunc('month', acctupdatetime AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month
            FROM (", silent!("extract(epoch FROM ", ")", "least", "greatest"), ") AS silent) AS months"),
    }
    CLOSE {
        sqlite: concat!("UPDATE radacct
            SET acctstoptime = acctupdatetime, acctterminatecause = 'Stale-Session', stop_inferred = 1
            WHERE radacctid IN (SELECT radacctid FROM (", silent!("unixepoch(", ")", "min", "max"), "))"),
        postgres: concat!("UPDATE radacct
            SET acctstoptime = acctupdatetime, acctterminatecause = 'Stale-Session', stop_inferred = true
            WHERE acctstoptime IS NULL
                AND radacctid IN (SELECT radacctid FROM (",
                silent!("extract(epoch FROM ", ")", "least", "greatest"), ") AS silent)"),
    }
}

impl Store {
    /// Close the open sessions that were not heard of for too long, as of `now` (Unix seconds): they end when they were
    /// last heard of, with the cause `Stale-Session`. A later report opens such a session again. Returns how many.
    ///
    /// # Errors
    /// The database is not usable; some may have been closed.
    pub async fn close_silent(&self, silence: &Silence, now: i64) -> Result<u64> {
        let attempt = || "close sessions that fell silent".to_owned();
        let interim = i64::try_from(silence.interim.as_secs()).unwrap_or(i64::MAX >> 32);
        let intervals = i64::from(silence.intervals);
        let mut closed = 0;
        loop {
            let mut tx = self.begin().await.attempt(attempt)?;
            accounting::take_turn(&mut tx).await.attempt(attempt)?;
            let until = tx.link().one(APPLIED_UNTIL, params![now]).await.attempt(attempt)?;
            let until: i64 = Columns::of(&until).number().attempt(attempt)?;
            let bounds = params![until, interim, intervals, BATCH];
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
