//! Dates as FreeRADIUS reads them out of an Expiration row.

use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// The value of an Expiration row: a day or an instant in words ("1 Jan 2030", "January 1 2030 12:00:00"), or Unix seconds.
///
/// # Errors
/// It is neither.
pub fn read(value: &str, zone: &TimeZone) -> Result<i64, &'static str> {
    let value = value.trim();
    if value.len() > 4 && value.bytes().all(|b| b.is_ascii_digit()) {
        return value.parse().map_err(|_| "the value is no time");
    }
    let words: Vec<&str> = value.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (date, rest) = words.split_at_checked(3).ok_or("the value is no date")?;
    let instant = date_of(date)
        .and_then(|date| Some(DateTime::from_parts(date, time_of(rest)?)))
        .and_then(|at| at.to_zoned(zone.clone()).ok());
    instant
        .map(|at: Zoned| at.timestamp().as_second())
        .ok_or("the value is no date such as \"1 Jan 2030\", with a time of day or without")
}

fn date_of(words: &[&str]) -> Option<Date> {
    let [first, second, year] = words else { return None };
    let (month, day) = match month(first) {
        Some(month) => (month, second),
        None => (month(second)?, first),
    };
    Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()
}

fn time_of(words: &[&str]) -> Option<Time> {
    match words {
        [] => Some(Time::midnight()),
        [time] if time.contains(':') => {
            let parts: Vec<i8> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            match parts.as_slice() {
                [hour, minute] => Time::new(*hour, *minute, 0, 0).ok(),
                [hour, minute, second] => Time::new(*hour, *minute, *second, 0).ok(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let start = word.get(..3)?.to_ascii_lowercase();
    let index = MONTHS.iter().position(|month| *month == start)?;
    i8::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn they_are_dates_of_the_zone() {
        let utc = TimeZone::UTC;
        for (text, seconds) in [
            ("1 Jan 2030", 1_893_456_000),
            ("01 Jan 2030 00:00:01", 1_893_456_001),
            ("January 1 2030", 1_893_456_000),
            ("Jan 01, 2030 12:30", 1_893_501_000),
            ("01-Jan-2030", 1_893_456_000),
            ("1893456000", 1_893_456_000),
        ] {
            assert_eq!(read(text, &utc), Ok(seconds), "{text}");
        }
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(read("1 Jan 2030", &berlin), Ok(1_893_456_000 - 3_600));
        for text in [
            "",
            "2030",
            "1 Foo 2030",
            "32 Jan 2030",
            "1 Jan 2030 25:00",
            "1 Jan 2030 noon",
            "`date`",
        ] {
            assert!(read(text, &utc).is_err(), "{text}");
        }
    }
}
