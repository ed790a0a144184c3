//! Periods asked about, in Unix seconds.

use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::output::date;

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Both ends are in it.
pub(crate) fn closed(from: i64, to: i64) -> Result<RangeInclusive<i64>> {
    if from <= to {
        Ok(from..=to)
    } else {
        Err(backwards(from, to))
    }
}

/// The end is not in it.
pub(crate) fn half_open(from: i64, to: i64) -> Result<()> {
    if from < to { Ok(()) } else { Err(backwards(from, to)) }
}

/// Nothing is recorded of what is to come.
pub(crate) fn begun(from: i64, now: i64) -> Result<()> {
    if from <= now {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} is in the future, it is {} now",
        date(from),
        date(now)
    )))
}

fn backwards(from: i64, to: i64) -> Error {
    Error::Usage(format!(
        "the period ends ({}) before it begins ({})",
        date(to),
        date(from)
    ))
}
