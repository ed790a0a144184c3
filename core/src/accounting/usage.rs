//! What subscribers used, by hour and by day, so that the sums are those of the sessions' counters.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const HOUR: i64 = 3_600;

/// No report is of more than a month. A session that claims to have run for a century fills no century of hours.
const MOST: i64 = 31 * 24 * HOUR;

/// Upload, download and time online.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub upload_octets: u64,
    pub download_octets: u64,
    pub seconds: u64,
}

impl Used {
    fn add(&mut self, other: Self) {
        self.upload_octets = self.upload_octets.saturating_add(other.upload_octets);
        self.download_octets = self.download_octets.saturating_add(other.download_octets);
        self.seconds = self.seconds.saturating_add(other.seconds);
    }

    /// What falls to the first `part` of `whole` equal pieces. Successive shares add up to all of it.
    fn share(self, part: i64, whole: i64) -> Self {
        let of = |amount: u64| {
            let share = i128::from(amount) * i128::from(part) / i128::from(whole);
            u64::try_from(share).unwrap_or(amount)
        };
        Self {
            upload_octets: of(self.upload_octets),
            download_octets: of(self.download_octets),
            seconds: of(self.seconds),
        }
    }

    fn less(self, other: Self) -> Self {
        Self {
            upload_octets: self.upload_octets - other.upload_octets,
            download_octets: self.download_octets - other.download_octets,
            seconds: self.seconds - other.seconds,
        }
    }
}

/// What one record added to one subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub subscriber_id: String,
    pub tenant_id: Option<String>,
    pub used: Used,
    /// The time it was used in, Unix seconds.
    pub from: i64,
    pub to: i64,
    /// Sessions that became the subscriber's with this record.
    pub sessions: u32,
}

/// Of one subscriber, since the book was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    pub tenant_id: Option<String>,
    pub used: Used,
    pub sessions: u32,
    /// Unix seconds.
    pub last_online: i64,
}

/// Additions to the roll-ups, gathered over a batch.
#[derive(Debug, Default)]
pub struct Book {
    /// By subscriber and start of the hour (UTC), Unix seconds.
    pub hourly: BTreeMap<(String, i64), Used>,
    /// By subscriber and calendar day of the tenant (`2026-11-23`).
    pub daily: BTreeMap<(String, String), Used>,
    pub totals: BTreeMap<String, Total>,
}

impl Book {
    /// Forget the hours before this one (Unix seconds); the days stay.
    pub fn forget_hours_before(&mut self, first: i64) {
        self.hourly.retain(|(_, hour), _| *hour >= first);
    }

    /// Enter a delta. What was used over several hours or days is spread evenly over them.
    pub fn enter(&mut self, delta: Delta, zone: &TimeZone) {
        let Delta {
            subscriber_id,
            used,
            from,
            to,
            ..
        } = delta;
        let total = self.totals.entry(subscriber_id.clone()).or_default();
        total.tenant_id = delta.tenant_id.or(total.tenant_id.take());
        total.used.add(used);
        total.sessions += delta.sessions;
        total.last_online = total.last_online.max(to);
        if used == Used::default() {
            return;
        }
        let hour = |at: i64| (at.div_euclid(HOUR) * HOUR, at.div_euclid(HOUR) * HOUR + HOUR);
        for (start, share) in spread(used, from, to, hour) {
            self.hourly
                .entry((subscriber_id.clone(), start))
                .or_default()
                .add(share);
        }
        for (start, share) in spread(used, from, to, |at| day(at, zone)) {
            let name = date(start, zone);
            self.daily.entry((subscriber_id.clone(), name)).or_default().add(share);
        }
    }
}

/// Split `used` over the periods between `from` and `to`; `period` gives start and end of the one a moment is in.
fn spread(used: Used, from: i64, to: i64, period: impl Fn(i64) -> (i64, i64)) -> Vec<(i64, Used)> {
    let from = from.clamp(to - MOST, to);
    let (first, end) = period(from);
    if to <= end {
        // The last moment of a period belongs to it: nothing was used in the next one yet.
        return vec![(first, used)];
    }
    let mut shares = Vec::new();
    let (mut start, mut end, mut given) = (first, end, Used::default());
    loop {
        let share = used.share(end.min(to) - from, to - from);
        shares.push((start, share.less(given)));
        given = share;
        if end >= to {
            return shares;
        }
        (start, end) = period(end);
    }
}

/// Start and end of the tenant's calendar day.
fn day(at: i64, zone: &TimeZone) -> (i64, i64) {
    let whole = (
        at.div_euclid(24 * HOUR) * 24 * HOUR,
        at.div_euclid(24 * HOUR) * 24 * HOUR + 24 * HOUR,
    );
    if *zone == TimeZone::UTC {
        return whole;
    }
    let bounds = || {
        let start = moment(at).to_zoned(zone.clone()).start_of_day().ok()?;
        let end = start.tomorrow().ok()?.start_of_day().ok()?;
        Some((start.timestamp().as_second(), end.timestamp().as_second()))
    };
    bounds()
        .filter(|(start, end)| (*start..*end).contains(&at))
        .unwrap_or(whole)
}

fn date(at: i64, zone: &TimeZone) -> String {
    moment(at).to_zoned(zone.clone()).date().to_string()
}

pub(super) fn moment(at: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_secs(at))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// 2026-11-23T00:00:00Z.
    const MIDNIGHT: i64 = 1_795_392_000;

    fn delta(from: i64, to: i64, upload: u64) -> Delta {
        Delta {
            subscriber_id: "ada".to_owned(),
            tenant_id: Some("t1".to_owned()),
            used: Used {
                upload_octets: upload,
                download_octets: 2 * upload,
                seconds: u64::try_from(to - from).unwrap(),
            },
            from,
            to,
            sessions: 0,
        }
    }

    fn entered(deltas: &[Delta], zone: &str) -> Book {
        let zone = TimeZone::get(zone).unwrap();
        let mut book = Book::default();
        for delta in deltas {
            book.enter(delta.clone(), &zone);
        }
        book
    }

    #[test]
    fn what_falls_into_one_hour_is_its() {
        let book = entered(&[delta(MIDNIGHT + 10, MIDNIGHT + HOUR, 7)], "UTC");
        assert_eq!(
            book.hourly.keys().map(|(_, hour)| *hour).collect::<Vec<_>>(),
            [MIDNIGHT]
        );
        assert_eq!(
            book.daily.keys().map(|(_, day)| day.as_str()).collect::<Vec<_>>(),
            ["2026-11-23"]
        );
    }

    #[test]
    fn what_crosses_hours_is_spread() {
        let book = entered(&[delta(MIDNIGHT - HOUR / 2, MIDNIGHT + HOUR, 30)], "UTC");
        let hours: Vec<_> = book
            .hourly
            .iter()
            .map(|((_, hour), used)| (hour - MIDNIGHT, used.upload_octets))
            .collect();
        assert_eq!(hours, [(-HOUR, 10), (0, 20)]);
        let days: Vec<_> = book
            .daily
            .iter()
            .map(|((_, day), used)| (day.as_str(), used.seconds))
            .collect();
        assert_eq!(days, [("2026-11-22", 1_800), ("2026-11-23", 3_600)]);
    }

    #[test]
    fn days_are_the_tenants_own() {
        let late = delta(MIDNIGHT - HOUR, MIDNIGHT - HOUR / 2, 5);
        let book = entered(std::slice::from_ref(&late), "Europe/Berlin");
        assert_eq!(book.daily.keys().next().unwrap().1, "2026-11-23");
        let book = entered(&[late], "America/New_York");
        assert_eq!(book.daily.keys().next().unwrap().1, "2026-11-22");
    }

    #[test]
    fn a_day_may_have_23_or_25_hours() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // 2026-03-29 and 2026-10-25, noon UTC.
        for (noon, hours) in [(1_774_785_600, 23), (1_792_929_600, 25)] {
            let (start, end) = day(noon, &zone);
            assert_eq!(end - start, hours * HOUR);
        }
    }

    proptest! {
        #[test]
        fn sums_are_exact(from in 0..10_000_000_i64, length in 0..5_000_000_i64, amount in 0..1_u64 << 60) {
            let used = Used { upload_octets: amount, download_octets: amount / 3, seconds: 77 };
            let delta = Delta { used, ..delta(from, from + length, 0) };
            for zone in ["UTC", "Asia/Kathmandu", "America/St_Johns"] {
                let book = entered(std::slice::from_ref(&delta), zone);
                let mut by_hour = Used::default();
                book.hourly.values().for_each(|share| by_hour.add(*share));
                let mut by_day = Used::default();
                book.daily.values().for_each(|share| by_day.add(*share));
                prop_assert_eq!((by_hour, by_day), (used, used));
            }
        }
    }
}
