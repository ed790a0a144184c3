//! So many per second, and no more.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use tracing::warn;

/// Admits a number of events per second. Approximate around the turn of a second, and never a lock.
#[derive(Debug)]
pub(super) struct Throttle {
    limit: u32,
    second: AtomicI64,
    events: AtomicU32,
}

impl Throttle {
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            limit,
            second: AtomicI64::new(0),
            events: AtomicU32::new(0),
        }
    }

    /// Is there room for one more at `now` (Unix seconds)?
    pub(super) fn admit(&self, now: i64) -> bool {
        if self.second.swap(now, Ordering::Relaxed) != now {
            let events = self.events.swap(0, Ordering::Relaxed);
            let kept_back = events.saturating_sub(self.limit);
            if kept_back > 0 {
                warn!("{kept_back} further refusals were not logged; they are in radpostauth");
            }
        }
        self.events.fetch_add(1, Ordering::Relaxed) < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_its_limit_every_second() {
        let throttle = Throttle::new(3);
        for second in [10, 11, 20] {
            let admitted = (0..10).filter(|_| throttle.admit(second)).count();
            assert_eq!(admitted, 3, "second {second}");
        }
    }
}
