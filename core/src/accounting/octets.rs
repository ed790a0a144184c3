//! Octet counters that never go back, and the wraps of those that are 32 bits wide.

use serde::{Deserialize, Serialize};

/// Acct-Input-Octets and Acct-Output-Octets are 32 bits (RFC 2866 sections 5.3 and 5.4); a NAS without
/// Acct-Input-Gigawords (RFC 2869 section 5.1) starts again at zero.
const WRAP: u64 = 1 << 32;

/// A report with less than this in both directions, and in line with the newest, is not remembered before there is one
/// that is: with less than half a wrap between two reports, one with more comes before every wrap.
const WATCHED: u64 = WRAP / 4;

/// A counter that drops by more than this has wrapped; by less, it is a glitch of the NAS. Where what follows a wrap was
/// not remembered, no more than this may be left of the drop.
const GLITCH: u64 = WRAP / 4;

/// 64 PiB: close to two years at 10 Gbit/s. A hundred of them still add up to what a database can hold.
const MOST: u64 = 1 << 56;

/// How many reports may come in between before one that is late is no longer placed right.
const TRAIL: usize = 16;

/// What a session has moved so far. Input is from the subscriber (upload).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Octets {
    pub input: u64,
    pub output: u64,
    /// The NAS has shown that it counts in 64 bits.
    pub gigawords: bool,
    pub trail: Trail,
}

/// The latest raw counts of a session whose NAS counts in 32 bits, in the order of their time, whatever order they
/// arrived in: where one is far below the one before it, the counter wrapped in between.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// Wraps before the first report.
    wraps: [u32; 2],
    /// Older reports were let go: what comes before the first is settled.
    settled: bool,
    reports: Vec<Report>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    /// Second of the session.
    at: i64,
    /// Input, output.
    raw: [u64; 2],
}

/// Counters no line can reach come from a broken gigaword. Taken, they would stay: counters never go down.
const fn believable(count: u64) -> bool {
    count <= MOST
}

impl Octets {
    /// What another system counted.
    #[must_use]
    pub fn counted(input: u64, output: u64) -> Self {
        let [input, output] = [input, output].map(|count| if believable(count) { count } else { 0 });
        Self {
            input,
            output,
            gigawords: input >= WRAP || output >= WRAP,
            trail: Trail::default(),
        }
    }

    /// Take in one report. `at` is the second of the session it is from, `before` that of the newest report
    /// so far (0 = none).
    pub fn report(&mut self, at: i64, before: i64, input: Option<u64>, output: Option<u64>, gigawords: bool) {
        let believed = input.is_none_or(believable) && output.is_none_or(believable);
        if !believed || (input.is_none() && output.is_none()) {
            return;
        }
        let known = [self.input, self.output];
        // One that is not reported has not moved.
        let raw = [input.unwrap_or(known[0] % WRAP), output.unwrap_or(known[1] % WRAP)];
        if gigawords {
            self.gigawords = true;
            self.trail = Trail::default();
        }
        let total = if self.gigawords || raw.iter().any(|count| *count >= WRAP) {
            raw
        } else {
            self.trail.take(Report { at, raw }, Report { at: before, raw: known });
            self.trail.total().unwrap_or(raw)
        };
        self.input = known[0].max(total[0]);
        self.output = known[1].max(total[1]);
    }
}

impl Trail {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    fn take(&mut self, report: Report, newest: Report) {
        if self.reports.is_empty() {
            let low = report.raw.iter().all(|count| *count < WATCHED);
            let mut counts = report.raw.iter().zip(&newest.raw);
            let in_line = if report.at < newest.at {
                counts.all(|(report, newest)| report <= newest)
            } else {
                counts.all(|(report, newest)| report >= newest)
            };
            if low && in_line {
                return;
            }
            // What was reported so far was too low to be remembered, and so had no wrap in it.
            if newest.at > 0 && newest.raw.iter().all(|count| *count < WRAP) {
                self.insert(newest);
            }
        }
        self.insert(report);
        while self.reports.len() > TRAIL {
            let first = self.reports.remove(0);
            if let Some(next) = self.reports.first() {
                for ((wraps, before), after) in self.wraps.iter_mut().zip(first.raw).zip(next.raw) {
                    *wraps += u32::from(wrapped(before, after));
                }
            }
            self.settled = true;
        }
    }

    fn insert(&mut self, report: Report) {
        match self.reports.binary_search_by_key(&report.at, |known| known.at) {
            Ok(same) => {
                if let Some(known) = self.reports.get_mut(same) {
                    for (known, raw) in known.raw.iter_mut().zip(report.raw) {
                        *known = (*known).max(raw);
                    }
                }
            }
            Err(0) if self.settled => {}
            Err(place) => self.reports.insert(place, report),
        }
    }

    /// The highest count along the trail; `None` = nothing was worth remembering.
    fn total(&self) -> Option<[u64; 2]> {
        let mut before = self.reports.first()?.raw;
        let mut wraps = self.wraps.map(u64::from);
        let mut total = [0; 2];
        for report in &self.reports {
            for direction in 0..2 {
                wraps[direction] += u64::from(wrapped(before[direction], report.raw[direction]));
                total[direction] = total[direction].max(wraps[direction] * WRAP + report.raw[direction]);
            }
            before = report.raw;
        }
        Some(total)
    }
}

const fn wrapped(before: u64, after: u64) -> bool {
    before > after && before - after > GLITCH
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn told(reports: &[(i64, u64, u64)], gigawords: bool) -> Octets {
        let mut octets = Octets::default();
        let mut newest = 0;
        for (at, input, output) in reports {
            octets.report(*at, newest, Some(*input), Some(*output), gigawords);
            newest = newest.max(*at);
        }
        octets
    }

    #[test]
    fn nothing_goes_down() {
        let octets = told(&[(600, 9_000, 9_000), (300, 10_000, 10), (900, 8_000, 9_001)], false);
        assert_eq!((octets.input, octets.output), (10_000, 9_001));
    }

    #[test]
    fn a_wrap_is_seen_in_whatever_order_it_is_told() {
        let reports = [(300, 4_000_000_000, 1), (600, 100, 2), (900, 3_000_000, 3)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let octets = told(&order.map(|i| reports[i]), false);
            assert_eq!(octets.input, WRAP + 3_000_000, "{order:?}");
            assert_eq!(octets.output, 3);
        }
    }

    #[test]
    fn a_nas_with_gigawords_does_not_wrap() {
        let octets = told(&[(300, 4_000_000_000, 0), (600, 100, 0)], true);
        assert_eq!(octets.input, 4_000_000_000);
        let mut mixed = told(&[(300, 4_000_000_000, 0)], false);
        mixed.report(600, 300, Some(WRAP + 100), Some(0), true);
        assert_eq!(
            mixed.input,
            WRAP + 100,
            "gigawords are sent only where they are not zero"
        );
    }

    #[test]
    fn a_broken_gigaword_is_not_believed() {
        let mut octets = told(&[(300, 100, 100)], true);
        octets.report(600, 300, Some(u64::MAX), Some(200), true);
        assert_eq!((octets.input, octets.output), (100, 100));
    }

    #[test]
    fn a_small_drop_is_no_wrap() {
        let octets = told(&[(300, 3_500_000_000, 0), (600, 3_400_000_000, 0)], false);
        assert_eq!(octets.input, 3_500_000_000);
    }

    proptest! {
        /// True counts, sent modulo 2^32, none more than half of it from the next, up to a trail's length out of order.
        #[test]
        fn the_true_count_comes_out(
            steps in prop::collection::vec((0..WRAP / 2, 0..WRAP / 2), 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut truth = [0; 2];
            let mut reports: Vec<(i64, u64, u64)> = steps.iter().enumerate().map(|(i, (input, output))| {
                truth = [truth[0] + input, truth[1] + output];
                (i64::try_from(i + 1).unwrap() * 60, truth[0] % WRAP, truth[1] % WRAP)
            }).collect();
            for (block, swap) in reports.chunks_mut(TRAIL / 2).zip(&order) {
                let with = swap.index(block.len());
                block.swap(0, with);
                block.reverse();
            }
            let octets = told(&reports, false);
            prop_assert_eq!([octets.input, octets.output], truth);
            let again: Vec<_> = reports.iter().rev().take(TRAIL / 2).chain(&reports).copied().collect();
            let mut repeated = octets.clone();
            for (at, input, output) in again {
                repeated.report(at, i64::try_from(reports.len()).unwrap() * 60, Some(input), Some(output), false);
            }
            prop_assert_eq!([repeated.input, repeated.output], truth);
        }
    }
}
