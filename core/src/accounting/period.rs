//! The periods that quotas count over.

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::usage::moment;

const HOUR: i64 = 3_600;

/// What a period goes by, without its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodKind {
    Day,
    Week,
    Month,
    BillingDay,
    Rolling,
}

/// The period a quota counts over. All but the last are of the tenant's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    Day,
    /// From Monday on (ISO 8601).
    Week,
    /// From the first on.
    Month,
    /// From the subscriber's billing day on; in a month that is too short for it, from the last day on.
    BillingDay,
    /// The hour that runs and those before it, this many in all.
    Rolling {
        hours: u16,
    },
}

/// One period in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Calendar days, `end` not among them. `from` and `until` are the same in Unix seconds.
    Days {
        first: Date,
        end: Date,
        from: i64,
        until: i64,
    },
    /// Hours of UTC; the starts of the first and of the one that runs, Unix seconds.
    Hours { first: i64, last: i64 },
}

impl PeriodKind {
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::BillingDay, Self::Rolling];

    /// The word the database uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::BillingDay => "billing_day",
            Self::Rolling => "rolling",
        }
    }
}

/// A word that is no [`PeriodKind`].
#[derive(Debug, thiserror::Error)]
#[error("unknown period {0:?}: expected day, week, month, billing_day or rolling")]
pub struct UnknownPeriod(String);

impl std::str::FromStr for PeriodKind {
    type Err = UnknownPeriod;

    fn from_str(word: &str) -> Result<Self, UnknownPeriod> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| UnknownPeriod(word.to_owned()))
    }
}

impl Period {
    /// `hours` is for [`PeriodKind::Rolling`] alone.
    #[must_use]
    pub fn new(kind: PeriodKind, hours: Option<u16>) -> Self {
        match kind {
            PeriodKind::Day => Self::Day,
            PeriodKind::Week => Self::Week,
            PeriodKind::Month => Self::Month,
            PeriodKind::BillingDay => Self::BillingDay,
            PeriodKind::Rolling => Self::Rolling {
                hours: hours.unwrap_or(1).max(1),
            },
        }
    }

    #[must_use]
    pub const fn kind(self) -> PeriodKind {
        match self {
            Self::Day => PeriodKind::Day,
            Self::Week => PeriodKind::Week,
            Self::Month => PeriodKind::Month,
            Self::BillingDay => PeriodKind::BillingDay,
            Self::Rolling { .. } => PeriodKind::Rolling,
        }
    }

    #[must_use]
    pub const fn hours(self) -> Option<u16> {
        match self {
            Self::Rolling { hours } => Some(hours),
            _ => None,
        }
    }

    /// The one that `now` (Unix seconds) is in. A subscriber without a billing day has the first.
    #[must_use]
    pub fn window(self, now: i64, zone: &TimeZone, billing_day: Option<u8>) -> Window {
        let today = moment(now).to_zoned(zone.clone()).date();
        let (first, end) = match self {
            Self::Day => (today, after(today)),
            Self::Week => {
                let since = i64::from(today.weekday().since(Weekday::Monday));
                let first = today.checked_sub(since.days()).unwrap_or(today);
                (first, first.checked_add(7.days()).unwrap_or(Date::MAX))
            }
            Self::Month => (today.first_of_month(), after(today.last_of_month())),
            Self::BillingDay => billed(today, billing_day.unwrap_or(1)),
            Self::Rolling { hours } => {
                let last = now.div_euclid(HOUR) * HOUR;
                let first = last - (i64::from(hours) - 1) * HOUR;
                return Window::Hours { first, last };
            }
        };
        Window::Days {
            first,
            end,
            from: start(first, zone),
            until: start(end, zone),
        }
    }
}

impl Window {
    /// Unix seconds.
    #[must_use]
    pub const fn from(self) -> i64 {
        match self {
            Self::Days { from, .. } => from,
            Self::Hours { first, .. } => first,
        }
    }

    /// When the next one begins, Unix seconds: a rolling period is another one every hour.
    #[must_use]
    pub const fn until(self) -> i64 {
        match self {
            Self::Days { until, .. } => until,
            Self::Hours { last, .. } => last + HOUR,
        }
    }
}

/// When a rolling period of so many hours has less than `amount` in it again, if nothing more is used. `by_hour` is
/// what was used in each hour (its start, Unix seconds). `None` if there never was so much.
#[must_use]
pub fn ages_out(mut by_hour: Vec<(i64, u64)>, amount: u64, hours: u16) -> Option<i64> {
    by_hour.sort_unstable_by_key(|(hour, _)| std::cmp::Reverse(*hour));
    let mut sum = 0_u64;
    let (oldest_needed, _) = by_hour.into_iter().find(|(_, used)| {
        sum = sum.saturating_add(*used);
        sum >= amount
    })?;
    Some(oldest_needed + i64::from(hours) * HOUR)
}

fn billed(today: Date, day: u8) -> (Date, Date) {
    let in_month = |first: Date| {
        let day = i8::try_from(day.max(1)).unwrap_or(i8::MAX).min(first.days_in_month());
        Date::new(first.year(), first.month(), day).unwrap_or(first)
    };
    let this = today.first_of_month();
    let here = in_month(this);
    if today >= here {
        let next = this.checked_add(1.month()).map_or(Date::MAX, in_month);
        (here, next)
    } else {
        let previous = this.checked_sub(1.month()).map_or(Date::MIN, in_month);
        (previous, here)
    }
}

fn after(day: Date) -> Date {
    day.tomorrow().unwrap_or(Date::MAX)
}

/// When a day begins: not at midnight where the clocks are put forward then.
fn start(day: Date, zone: &TimeZone) -> i64 {
    day.to_zoned(zone.clone())
        .and_then(|midnight| midnight.start_of_day())
        .map_or(i64::MAX, |start| start.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    /// `first end hours`.
    fn days(period: Period, now: &str, name: &str, billing_day: Option<u8>) -> String {
        match period.window(at(now), &zone(name), billing_day) {
            Window::Days {
                first,
                end,
                from,
                until,
            } => format!("{first} {end} {}", (until - from) / HOUR),
            other @ Window::Hours { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn calendar_periods_are_the_tenants_own() {
        let evening = "2026-11-22T23:30:00Z";
        for (period, name, expected) in [
            (Period::Day, "UTC", "2026-11-22 2026-11-23 24"),
            (Period::Day, "Europe/Berlin", "2026-11-23 2026-11-24 24"),
            (Period::Week, "UTC", "2026-11-16 2026-11-23 168"),
            (Period::Week, "Europe/Berlin", "2026-11-23 2026-11-30 168"),
            (Period::Month, "UTC", "2026-11-01 2026-12-01 720"),
        ] {
            assert_eq!(days(period, evening, name, None), expected, "{period:?} {name}");
        }
    }

    #[test]
    fn clocks_that_are_put_forward_or_back_make_a_period_shorter_or_longer() {
        for (period, now, name, expected) in [
            (
                Period::Day,
                "2026-03-29T12:00:00Z",
                "Europe/Berlin",
                "2026-03-29 2026-03-30 23",
            ),
            (
                Period::Day,
                "2026-10-25T12:00:00Z",
                "Europe/Berlin",
                "2026-10-25 2026-10-26 25",
            ),
            (
                Period::Month,
                "2026-03-01T12:00:00Z",
                "Europe/Berlin",
                "2026-03-01 2026-04-01 743",
            ),
            // Midnight is left out there: the day begins at one.
            (
                Period::Day,
                "2026-09-06T12:00:00Z",
                "America/Santiago",
                "2026-09-06 2026-09-07 23",
            ),
        ] {
            assert_eq!(days(period, now, name, None), expected, "{period:?} {now}");
        }
    }

    #[test]
    fn a_billing_day_that_a_month_does_not_have_is_its_last() {
        for (day, now, expected) in [
            (None, "2026-02-15T00:00:00Z", "2026-02-01 2026-03-01"),
            (Some(15), "2026-02-15T00:00:00Z", "2026-02-15 2026-03-15"),
            (Some(15), "2026-02-14T23:59:59Z", "2026-01-15 2026-02-15"),
            (Some(31), "2026-02-27T12:00:00Z", "2026-01-31 2026-02-28"),
            (Some(31), "2026-02-28T00:00:00Z", "2026-02-28 2026-03-31"),
            (Some(31), "2026-04-30T00:00:00Z", "2026-04-30 2026-05-31"),
            (Some(30), "2028-02-29T00:00:00Z", "2028-02-29 2028-03-30"),
            (Some(29), "2027-03-01T00:00:00Z", "2027-02-28 2027-03-29"),
            (Some(31), "2026-12-31T00:00:00Z", "2026-12-31 2027-01-31"),
        ] {
            let shown = days(Period::BillingDay, now, "UTC", day);
            assert_eq!(shown.rsplit_once(' ').unwrap().0, expected, "{day:?} {now}");
        }
    }

    #[test]
    fn a_rolling_period_is_of_whole_hours() {
        let now = at("2026-11-22T23:30:00Z");
        let window = Period::Rolling { hours: 24 }.window(now, &TimeZone::UTC, None);
        assert_eq!(window.from(), at("2026-11-22T00:00:00Z"));
        assert_eq!(window.until(), at("2026-11-23T00:00:00Z"));
    }

    fn calendar() -> impl Strategy<Value = Period> {
        prop::sample::select(vec![Period::Day, Period::Week, Period::Month, Period::BillingDay])
    }

    proptest! {
        /// Periods follow one another without a gap, and every moment is in one.
        #[test]
        fn periods_tile_time(
            period in calendar(),
            now in 0..4_000_000_000_i64,
            name in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Santiago", "Asia/Kathmandu", "Pacific/Apia"]),
            day in prop::option::of(1..=31_u8),
        ) {
            let zone = zone(name);
            let window = period.window(now, &zone, day);
            prop_assert!(window.from() <= now && now < window.until(), "{window:?}");
            prop_assert_eq!(period.window(window.from(), &zone, day), window);
            prop_assert_eq!(period.window(window.until() - 1, &zone, day), window);
            prop_assert_eq!(period.window(window.until(), &zone, day).from(), window.until());
        }

        /// Agrees with looking at every hour to come.
        #[test]
        fn what_was_used_ages_out(
            used in prop::collection::vec(0..1_u64 << 40, 1..40),
            amount in 1..1_u64 << 43,
            hours in 1..40_u16,
        ) {
            let by_hour: Vec<(i64, u64)> = (0..).map(|hour: i64| hour * HOUR).zip(used).collect();
            let now = by_hour.last().unwrap().0;
            let within = |now: i64| {
                let Window::Hours { first, .. } = (Period::Rolling { hours }).window(now, &TimeZone::UTC, None) else {
                    panic!("no hours");
                };
                let sum: u64 = by_hour.iter().filter(|(hour, _)| *hour >= first).map(|(_, used)| used).sum();
                sum
            };
            let Window::Hours { first, .. } = (Period::Rolling { hours }).window(now, &TimeZone::UTC, None) else {
                panic!("no hours");
            };
            let recent = by_hour.iter().copied().filter(|(hour, _)| *hour >= first).collect();
            let expected = (within(now) >= amount)
                .then(|| (1..).map(|later: i64| now + later * HOUR).find(|at| within(*at) < amount).unwrap());
            prop_assert_eq!(ages_out(recent, amount, hours), expected);
        }
    }
}
