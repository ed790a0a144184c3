//! Which hours and which days add up to a period.
//!
//! Days are a tenant's own calendar's, hours are UTC's. Where midnight is within an hour of UTC (India, Nepal), days
//! and hours do not add up, and are not mixed.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::usage::UsageBy;

/// Seconds.
pub(super) const HOUR: i64 = 3_600;

/// What the databases' calendars know: the years 1970 to 9998, so that there is a next day.
pub(super) const TIMES: (i64, i64) = (0, 253_370_764_800);

/// A tenant's calendar.
#[derive(Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    name: String,
}

impl FromStr for Calendar {
    type Err = jiff::Error;

    fn from_str(name: &str) -> Result<Self, jiff::Error> {
        Ok(Self {
            zone: TimeZone::get(name)?,
            name: name.to_owned(),
        })
    }
}

impl Calendar {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The day that a moment is on.
    pub(super) fn date(&self, at: i64) -> Date {
        let at = Timestamp::from_second(at.clamp(TIMES.0, TIMES.1)).unwrap_or(Timestamp::UNIX_EPOCH);
        self.zone.to_datetime(at).date()
    }

    /// The first moment of a day.
    pub(super) fn midnight(&self, day: Date) -> i64 {
        let start = day.to_zoned(self.zone.clone()).and_then(|start| start.start_of_day());
        start.map_or(TIMES.1, |start| start.timestamp().as_second())
    }

    pub(super) fn next(&self, day: Date) -> Date {
        day.saturating_add(1.day())
    }

    /// The first day that is not begun before a moment.
    fn day_from(&self, at: i64) -> Date {
        let day = self.date(at);
        if self.midnight(day) < at { self.next(day) } else { day }
    }
}

/// Rows of `usage_hourly` and `usage_daily`. Ends are not included; a range may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) hours: [(i64, i64); 2],
    pub(super) days: (Date, Date),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            hours: [(0, 0); 2],
            days: (Date::constant(1970, 1, 1), Date::constant(1970, 1, 1)),
        }
    }
}

impl Plan {
    /// What it covers.
    pub(super) fn bounds(&self, calendar: &Calendar) -> (i64, i64) {
        let (first, end) = self.days;
        let days = (calendar.midnight(first), calendar.midnight(end));
        let parts = [self.hours[0], days, self.hours[1]];
        let filled = parts.iter().filter(|(from, to)| from < to);
        let from = filled.clone().map(|(from, _)| *from).min().unwrap_or_default();
        (from, filled.map(|(_, to)| *to).max().unwrap_or_default())
    }
}

/// The rows that make up `[from, to)`, the period widened where need be; `from` is one of [`TIMES`]. Before `hours_since` there are no hours, after `now` there is nothing.
pub(super) fn plan(by: UsageBy, from: i64, to: i64, hours_since: Option<i64>, calendar: &Calendar, now: i64) -> Plan {
    let to = to.clamp(from + 1, TIMES.1 + 1);
    let whole_days = Plan {
        days: (calendar.date(from), calendar.day_from(to)),
        ..Plan::default()
    };
    let exact = match whole_days.bounds(calendar) {
        bounds if bounds == (from, to) => true,
        // The last day has begun, and has nothing that the period has not.
        (begin, _) => begin == from && from % HOUR != 0 && now <= to,
    };
    if by == UsageBy::Day || (by == UsageBy::Total && exact) {
        return whole_days;
    }
    let (from_hour, to_hour) = (from - from % HOUR, to + (HOUR - to % HOUR) % HOUR);
    let hours = Plan {
        hours: [(0, 0), (from_hour, to_hour)],
        ..Plan::default()
    };
    let since = hours_since.unwrap_or(TIMES.0);
    let lost = from_hour < since;
    if by == UsageBy::Hour && !lost {
        return hours;
    }
    let first = if lost {
        calendar.date(from)
    } else {
        calendar.day_from(from_hour)
    };
    let end = match by {
        UsageBy::Hour => calendar.day_from(since),
        UsageBy::Day | UsageBy::Total => calendar.date(to_hour),
    };
    let (begin_days, end_days) = (calendar.midnight(first), calendar.midnight(end));
    let fits = |midnight: i64| midnight % HOUR == 0;
    if first < end && since <= end_days && end_days <= to_hour && fits(end_days) && (lost || fits(begin_days)) {
        return Plan {
            hours: [if lost { (0, 0) } else { (from_hour, begin_days) }, (end_days, to_hour)],
            days: (first, end),
        };
    }
    if lost { whole_days } else { hours }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// 2026-10-20T00:00:00Z: clocks change within the weeks that follow.
    const T: i64 = 1_792_454_400;

    proptest! {
        #[test]
        fn a_period_is_covered_once(
            from in T..T + 20 * 24 * HOUR,
            length in 1..20 * 24 * HOUR,
            since in prop::option::of(0..30 * 24_i64),
            by in prop::sample::select(vec![UsageBy::Hour, UsageBy::Day, UsageBy::Total]),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"]),
            now in T..T + 40 * 24 * HOUR,
        ) {
            let calendar: Calendar = zone.parse().unwrap();
            let since = since.map(|hours| T + hours * HOUR);
            let plan = plan(by, from, from + length, since, &calendar, now);
            let days = (calendar.midnight(plan.days.0), calendar.midnight(plan.days.1));
            let parts = [plan.hours[0], days, plan.hours[1]];
            let parts: Vec<_> = parts.iter().filter(|(from, to)| from < to).collect();
            prop_assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0), "without a gap: {parts:?}");
            let (begin, end) = plan.bounds(&calendar);
            prop_assert!(begin <= from && from + length <= end);
            prop_assert!(from - begin < 25 * HOUR && end - from - length < 25 * HOUR);
            for (from, to) in plan.hours.into_iter().filter(|(from, to)| from < to) {
                prop_assert!(from % HOUR == 0 && to % HOUR == 0);
                prop_assert!(since.is_none_or(|since| since <= from), "hours that are gone");
            }
            if by == UsageBy::Hour && since.is_none() {
                prop_assert!(days.0 == days.1);
            }
        }
    }
}
