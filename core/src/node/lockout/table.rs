//! How often something failed, for as many keys as there is room for and no more.

use std::time::Duration;

use parking_lot::Mutex;

/// Keys that share one lock, and that make room for each other.
const WAYS: usize = 8;

/// How failures are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// This many lock; `None` = none do.
    pub(super) threshold: Option<u32>,
    /// Failures older than the first of this time do not count together.
    pub(super) window: Duration,
    /// How long it is locked.
    pub(super) duration: Duration,
}

/// The table is as large as it will ever be when it is made. A key that finds no free place takes that of the least of the
/// seven or eight it may stand in place of: of what is not locked first, of fewer failures, of the longest ago. So a flood of
/// keys that fail once displaces itself, and not who has failed often.
pub(super) struct Table {
    buckets: Box<[Mutex<[Slot; WAYS]>]>,
}

/// Seconds are those since the table was made, and one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    key: u64,
    failures: u32,
    began: u32,
    /// 0 = it is not locked.
    until: u32,
}

/// What a failure has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) failures: u32,
    /// It is locked by this one.
    pub(super) locked: bool,
}

impl Slot {
    fn is_over(&self, rules: &Rules, now: u32) -> bool {
        let ends = match self.until {
            0 => self.began.saturating_add(seconds(rules.window)),
            until => until,
        };
        self.failures == 0 || ends <= now
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl Table {
    /// Room for `keys`, and a few more.
    pub(super) fn new(keys: usize) -> Self {
        Self {
            buckets: (0..keys.div_ceil(WAYS)).map(|_| Mutex::default()).collect(),
        }
    }

    /// Until when a key is locked.
    pub(super) fn locked(&self, key: u64, now: u32) -> Option<u32> {
        let bucket = self.bucket(key)?.lock();
        let slot = bucket.iter().find(|slot| slot.key == key)?;
        (now < slot.until).then_some(slot.until)
    }

    pub(super) fn fail(&self, key: u64, rules: &Rules, now: u32) -> Failed {
        let nothing = Failed {
            failures: 1,
            locked: false,
        };
        let Some(bucket) = self.bucket(key) else { return nothing };
        let mut bucket = bucket.lock();
        let found = bucket.iter().position(|slot| slot.key == key && slot.failures > 0);
        let weight = |slot: &Slot| {
            let live = !slot.is_over(rules, now);
            (live, live && slot.until > now, slot.failures, slot.began)
        };
        let least = || (0..WAYS).min_by_key(|&at| bucket.get(at).map(weight));
        let Some(slot) = found.or_else(least).and_then(|at| bucket.get_mut(at)) else {
            return nothing;
        };
        if slot.key != key || slot.is_over(rules, now) {
            *slot = Slot {
                key,
                failures: 0,
                began: now,
                until: 0,
            };
        }
        slot.failures = slot.failures.saturating_add(1);
        let locked = slot.until == 0 && rules.threshold.is_some_and(|threshold| slot.failures >= threshold);
        if locked {
            slot.until = now.saturating_add(seconds(rules.duration));
        }
        Failed {
            failures: slot.failures,
            locked,
        }
    }

    /// Forget its failures.
    pub(super) fn forgive(&self, key: u64) {
        let Some(bucket) = self.bucket(key) else { return };
        if let Some(slot) = bucket.lock().iter_mut().find(|slot| slot.key == key) {
            *slot = Slot::default();
        }
    }

    fn bucket(&self, key: u64) -> Option<&Mutex<[Slot; WAYS]>> {
        let count = u64::try_from(self.buckets.len()).ok()?;
        self.buckets.get(usize::try_from(key.checked_rem(count)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        threshold: Some(3),
        window: Duration::from_secs(60),
        duration: Duration::from_secs(300),
    };

    /// Spread as a hash would.
    fn key(n: u64) -> u64 {
        (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn failures(table: &Table, n: u64, now: u32) -> u32 {
        table.fail(key(n), &RULES, now).failures
    }

    #[test]
    fn failures_add_up_within_the_window_and_lock() {
        let table = Table::new(100);
        assert_eq!(failures(&table, 1, 10), 1);
        assert_eq!(failures(&table, 1, 69), 2);
        assert_eq!(failures(&table, 1, 70), 1, "the first was 60 s ago");
        assert_eq!(failures(&table, 1, 71), 2);
        assert_eq!(table.locked(key(1), 71), None);
        let third = table.fail(key(1), &RULES, 72);
        assert_eq!((third.failures, third.locked), (3, true));
        assert_eq!(table.locked(key(1), 72), Some(372));
        assert_eq!(table.locked(key(2), 72), None, "nobody else");
        let more = table.fail(key(1), &RULES, 100);
        assert!(!more.locked, "what was under way goes on counting and locks no longer");
        assert_eq!(table.locked(key(1), 371), Some(372));
        assert_eq!(table.locked(key(1), 372), None);
        assert_eq!(failures(&table, 1, 372), 1, "a lock that is over leaves nothing");
    }

    #[test]
    fn who_is_forgiven_begins_anew() {
        let table = Table::new(100);
        for now in 1..3 {
            failures(&table, 1, now);
        }
        table.forgive(key(1));
        assert_eq!(failures(&table, 1, 3), 1);
        table.forgive(key(2));
    }

    #[test]
    fn without_a_threshold_nothing_locks() {
        let table = Table::new(10);
        let rules = Rules {
            threshold: None,
            ..RULES
        };
        for n in 1..100 {
            assert_eq!(
                table.fail(key(1), &rules, 1),
                Failed {
                    failures: n,
                    locked: false
                }
            );
        }
        assert_eq!(table.locked(key(1), 1), None);
    }

    #[test]
    fn a_million_keys_take_no_more_room_and_displace_no_offender() {
        let table = Table::new(10_000);
        let room = table.buckets.len() * size_of::<Mutex<[Slot; WAYS]>>();
        assert!(room <= 10_000 * 32, "{room} bytes");
        for offender in 0..100 {
            for _ in 0..3 {
                table.fail(key(offender), &RULES, 1);
            }
        }
        for flood in 1_000..1_001_000 {
            table.fail(key(flood), &RULES, 2);
        }
        for offender in 0..100 {
            assert_eq!(table.locked(key(offender), 2), Some(301), "{offender}");
        }
        let slots: usize = table.buckets.iter().map(|bucket| bucket.lock().len()).sum();
        assert_eq!(slots, 10_000, "as many as in the beginning");
        // Long after, all room is free again.
        assert_eq!(failures(&table, 77, 1_000), 1);
        assert_eq!(failures(&table, 77, 1_000), 2);
    }

    #[test]
    fn many_threads_lose_no_failure() {
        let table = Table::new(64);
        let rules = Rules {
            threshold: Some(4_000),
            ..RULES
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        table.fail(key(5), &rules, 1);
                    }
                });
            }
        });
        assert!(table.locked(key(5), 1).is_some());
    }
}
