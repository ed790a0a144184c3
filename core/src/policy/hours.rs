//! When in the week a subscriber may be online, by the clock of its tenant.
//!
//! Written as the server's own Login-Time: days (`Mo` to `Su`, `Wk` for Monday to Friday, `Any` or `Al` for all, `Mo-We` for
//! a range), then from when to when (`0800-1800`; none = all day), several separated by commas or `|`. A range that ends
//! before it begins goes on into the next day.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

const DAY: u16 = 24 * 60;
const WEEK: u16 = 7 * DAY;
const DAYS: [&str; 7] = ["mo", "tu", "we", "th", "fr", "sa", "su"];

/// Parts of the week: minutes since Monday 00:00, the end not among them; in order, and none touches the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hours(Vec<(u16, u16)>);

/// A text that says no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    #[error("{0:?} begins with no day: expected Mo, Tu, We, Th, Fr, Sa, Su, Wk or Any")]
    Day(String),
    #[error("{0:?} is no time of the day: expected four digits, from 0000 to 2400")]
    Time(String),
    #[error("{0:?} is no range of time: expected HHMM-HHMM")]
    Range(String),
    #[error("it names no day")]
    Empty,
}

/// Whether it is open, and when that changes, Unix seconds; `None` = never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    Open { until: Option<i64> },
    Closed { until: Option<i64> },
}

impl Hours {
    /// The parts a text names.
    ///
    /// # Errors
    /// Says which part of the text names none.
    pub fn parse(text: &str) -> Result<Self, HoursError> {
        let mut parts = Vec::new();
        let texts = text.split([',', '|']).map(str::trim).filter(|part| !part.is_empty());
        for part in texts {
            let (days, rest) = days(part)?;
            let (from, until) = range(rest)?;
            let length = if until > from { until - from } else { until + DAY - from };
            for day in (0..7).filter(|day| days & (1 << day) != 0) {
                let from = day * DAY + from;
                let until = from + length;
                parts.push((from, until.min(WEEK)));
                if until > WEEK {
                    parts.push((0, until - WEEK));
                }
            }
        }
        if parts.is_empty() {
            return Err(HoursError::Empty);
        }
        Ok(Self(merged(parts)))
    }

    /// What holds at an instant, by the clocks of `zone`.
    ///
    /// The end is the instant at which those clocks show it. A change to or from summer time makes a part of the week an
    /// hour shorter or longer; an end that falls into the hour left out comes with the change, one in the hour that is
    /// there twice the first time.
    #[must_use]
    pub fn at(&self, now: i64, zone: &TimeZone) -> Now {
        let Ok(instant) = Timestamp::from_second(now) else {
            return Now::Closed { until: None };
        };
        let local = zone.to_datetime(instant);
        let minute = minute_of_week(local);
        let open = self.0.iter().any(|&(from, until)| from <= minute && minute < until);
        let until = self.turn(minute, open).and_then(|minutes| {
            let midnight = local.date().to_datetime(jiff::civil::Time::midnight());
            let today = i64::from(minute % DAY);
            let end = midnight
                .checked_add(Span::new().minutes(today + i64::from(minutes)))
                .ok()?;
            let mut at = shown(end, zone)?.as_second();
            // The clock was put back between: it shows the end a second time.
            if at <= now {
                at = zone.to_ambiguous_timestamp(end).later().ok()?.as_second();
            }
            Some(at.max(now + 1))
        });
        if open {
            Now::Open { until }
        } else {
            Now::Closed { until }
        }
    }

    /// How many minutes after `minute` it is no longer as it is then.
    fn turn(&self, minute: u16, open: bool) -> Option<u16> {
        // A part up to the end of the week and one from its beginning on are one.
        let edges = self.0.iter().filter_map(|&(from, until)| {
            if open {
                let goes_on = until == WEEK && self.0.first().is_some_and(|first| first.0 == 0);
                (!goes_on).then_some(until % WEEK)
            } else {
                Some(from)
            }
        });
        edges
            .map(|edge| (edge + WEEK - minute) % WEEK)
            .filter(|&away| away > 0)
            .min()
    }
}

/// When the clocks of `zone` first show this, or go past it.
fn shown(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    if !matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
        return ambiguous.compatible().ok();
    }
    let before = ambiguous.earlier().ok()?;
    zone.following(before).next().map(|change| change.timestamp())
}

fn minute_of_week(local: DateTime) -> u16 {
    let day = u16::from(local.date().weekday().to_monday_zero_offset().unsigned_abs());
    let [hour, minute] = [local.hour(), local.minute()].map(|part| u16::from(part.unsigned_abs()));
    day * DAY + hour * 60 + minute
}

/// The days a part begins with, a bit for each, and the rest of it.
fn days(part: &str) -> Result<(u8, &str), HoursError> {
    let unknown = || HoursError::Day(part.to_owned());
    let split = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
    let (names, rest) = part.split_at(split);
    let names = names.trim().to_ascii_lowercase();
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let days = match names.as_str() {
        "any" | "al" => 0x7f,
        "wk" => 0x1f,
        name => match name.split_once('-') {
            None => 1 << day(name).ok_or_else(unknown)?,
            Some((first, last)) => {
                let first = day(first.trim()).ok_or_else(unknown)?;
                let last = day(last.trim()).ok_or_else(unknown)?;
                let count = (last + 7 - first) % 7;
                (0..=count).fold(0, |days, next| days | 1 << ((first + next) % 7))
            }
        },
    };
    Ok((days, rest))
}

fn range(text: &str) -> Result<(u16, u16), HoursError> {
    if text.is_empty() {
        return Ok((0, DAY));
    }
    let (from, until) = text.split_once('-').ok_or_else(|| HoursError::Range(text.to_owned()))?;
    Ok((time(from)?, time(until)?))
}

fn time(text: &str) -> Result<u16, HoursError> {
    let wrong = || HoursError::Time(text.to_owned());
    let text = text.trim();
    if text.len() != 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u16 = text.parse().map_err(|_| wrong())?;
    let (hour, minute) = (number / 100, number % 100);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY).then_some(minutes).ok_or_else(wrong)
}

fn merged(mut parts: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    parts.sort_unstable();
    let mut apart: Vec<(u16, u16)> = Vec::with_capacity(parts.len());
    for (from, until) in parts {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => apart.push((from, until)),
        }
    }
    apart
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(zone: &TimeZone, local: &str) -> i64 {
        zone.to_timestamp(local.parse().unwrap()).unwrap().as_second()
    }

    /// What holds, with the end by the clocks of the zone.
    fn told(hours: &str, zone: &TimeZone, now: i64) -> String {
        let (word, until) = match Hours::parse(hours).unwrap().at(now, zone) {
            Now::Open { until } => ("open", until),
            Now::Closed { until } => ("closed", until),
        };
        match until {
            None => word.to_owned(),
            Some(until) => {
                let until = zone.to_datetime(Timestamp::from_second(until).unwrap());
                format!("{word} until {}", until.strftime("%a %H:%M"))
            }
        }
    }

    #[test]
    fn the_week_by_the_clock() {
        let berlin = zone("Europe/Berlin");
        // 2026-11-23 is a Monday.
        for (hours, local, expected) in [
            ("Wk0800-1800", "2026-11-23T07:59:59", "closed until Mon 08:00"),
            ("Wk0800-1800", "2026-11-23T08:00:00", "open until Mon 18:00"),
            ("Wk0800-1800", "2026-11-23T17:59:59", "open until Mon 18:00"),
            ("Wk0800-1800", "2026-11-23T18:00:00", "closed until Tue 08:00"),
            ("Wk0800-1800", "2026-11-27T18:00:00", "closed until Mon 08:00"),
            ("Wk0800-1800,Sa,Su", "2026-11-28T12:00:00", "open until Mon 00:00"),
            ("Any2200-0600", "2026-11-29T23:00:00", "open until Mon 06:00"),
            ("Any2200-0600", "2026-11-30T05:59:00", "open until Mon 06:00"),
            ("Any2200-0600", "2026-11-30T06:00:00", "closed until Mon 22:00"),
            ("Sa2200-0600", "2026-11-29T05:00:00", "open until Sun 06:00"),
            ("Su2200-0600", "2026-11-23T05:00:00", "open until Mon 06:00"),
            ("Fr-Mo", "2026-11-28T12:00:00", "open until Tue 00:00"),
            ("Al", "2026-11-28T12:00:00", "open"),
            ("Mo-Su", "2026-11-28T12:00:00", "open"),
            (
                "mo 0000-2400 | tu 0000-0100",
                "2026-11-23T12:00:00",
                "open until Tue 01:00",
            ),
        ] {
            assert_eq!(told(hours, &berlin, at(&berlin, local)), expected, "{hours} at {local}");
        }
    }

    #[test]
    fn summer_time_moves_the_end_with_the_clock() {
        let berlin = zone("Europe/Berlin");
        // 2026-03-29 02:00 becomes 03:00; 2026-10-25 03:00 becomes 02:00.
        let spring = at(&berlin, "2026-03-29T00:00:00");
        let left = |hours: &str, now: i64| match Hours::parse(hours).unwrap().at(now, &berlin) {
            Now::Open { until } => until.unwrap() - now,
            Now::Closed { .. } => panic!("closed"),
        };
        assert_eq!(left("Su0000-0600", spring), 5 * 3_600);
        assert_eq!(
            left("Su0000-0230", spring),
            2 * 3_600,
            "an end that is left out comes with the change"
        );
        let autumn = at(&berlin, "2026-10-25T00:00:00");
        assert_eq!(left("Su0000-0600", autumn), 7 * 3_600);
        assert_eq!(
            left("Su0000-0230", autumn),
            2 * 3_600 + 1_800,
            "an end that is there twice"
        );
        // The second time the clock shows 02:15.
        let again = autumn + 3 * 3_600 + 900;
        assert_eq!(left("Su0000-0230", again), 900);
    }

    #[test]
    fn what_says_no_hours_is_said() {
        for (text, expected) in [
            ("", HoursError::Empty),
            (" , ", HoursError::Empty),
            ("Xx0800-1800", HoursError::Day("Xx0800-1800".to_owned())),
            ("0800-1800", HoursError::Day("0800-1800".to_owned())),
            ("Mo-", HoursError::Day("Mo-".to_owned())),
            ("Mo0800", HoursError::Range("0800".to_owned())),
            ("Mo0860-0900", HoursError::Time("0860".to_owned())),
            ("Mo2401-2402", HoursError::Time("2401".to_owned())),
            ("Mo800-900", HoursError::Time("800".to_owned())),
        ] {
            assert_eq!(Hours::parse(text), Err(expected), "{text:?}");
        }
    }

    proptest! {
        /// Whatever the hours, the zone and the moment: just before the end nothing has changed, at the end it has.
        #[test]
        fn it_holds_until_the_end_and_no_longer(
            now in 1_700_000_000_i64..1_900_000_000,
            day in 0..7_usize,
            from in 0..1440_u16,
            until in 0..1440_u16,
            zone_name in prop::sample::select(vec!["UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]),
        ) {
            prop_assume!(from != until);
            let zone = zone(zone_name);
            let clock = |minutes: u16| format!("{:02}{:02}", minutes / 60, minutes % 60);
            let hours = Hours::parse(&format!("{}{}-{}", DAYS[day], clock(from), clock(until))).unwrap();
            let open = |now: Now| matches!(now, Now::Open { .. });
            let state = hours.at(now, &zone);
            let (Now::Open { until } | Now::Closed { until }) = state;
            let until = until.unwrap();
            prop_assert!(until > now);
            prop_assert!(until - now <= 8 * 86_400);
            let before = hours.at(until - 1, &zone);
            let after = hours.at(until, &zone);
            // Where clocks change, an end that is left out or there twice may come up to an hour off.
            let offset = |at: i64| zone.to_offset(Timestamp::from_second(at).unwrap());
            if offset(now) == offset(until + 7_200) && offset(until - 7_200) == offset(until + 7_200) {
                prop_assert_eq!(open(before), open(state));
                prop_assert_ne!(open(after), open(state));
            }
        }
    }
}
