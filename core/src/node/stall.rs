//! A thread of the server that waits on a disk or a database must not be joined by all the others.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the last wait took longer than a packet may wait.
///
/// While it does, one thread at a time waits and sees whether it is still so. Otherwise every worker thread of the server
/// would come to wait, and logins with them.
#[derive(Debug, Default)]
pub(super) struct Stall {
    stalled: AtomicBool,
    probing: AtomicBool,
}

/// What a wait says of what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    Answered,
    TooLong,
    /// It failed at once.
    Neither,
}

impl Stall {
    /// Wait, unless another thread is seeing already whether there is any point in it (`None`).
    pub(super) fn guard<T>(&self, wait: impl FnOnce() -> (T, Waited)) -> Option<T> {
        let stalled = self.stalled.load(Ordering::Relaxed);
        if stalled && self.probing.swap(true, Ordering::AcqRel) {
            return None;
        }
        // A wait that panics must not be the last one.
        let _probe = stalled.then_some(Probe(&self.probing));
        let (outcome, waited) = wait();
        match waited {
            Waited::Answered if stalled => self.stalled.store(false, Ordering::Relaxed),
            Waited::TooLong => self.stalled.store(true, Ordering::Relaxed),
            Waited::Answered | Waited::Neither => {}
        }
        Some(outcome)
    }
}

/// Lets the next one wait when it is dropped.
struct Probe<'a>(&'a AtomicBool);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_wait_that_panics_is_not_the_last_one() {
        let stall = Stall::default();
        assert_eq!(stall.guard(|| (1, Waited::TooLong)), Some(1));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            stall.guard(|| -> ((), Waited) { panic!("on purpose") })
        }));
        assert!(panicked.is_err());
        assert_eq!(stall.guard(|| (2, Waited::Answered)), Some(2));
    }

    #[test]
    fn after_a_wait_that_was_too_long_one_waits_at_a_time() {
        let stall = Stall::default();
        assert_eq!(stall.guard(|| (1, Waited::TooLong)), Some(1));
        let inner = stall.guard(|| (stall.guard(|| (3, Waited::Answered)), Waited::TooLong));
        assert_eq!(inner, Some(None), "while one waits the others do not");
        assert_eq!(stall.guard(|| (4, Waited::Answered)), Some(4));
        let both = stall.guard(|| (stall.guard(|| (6, Waited::Answered)), Waited::Answered));
        assert_eq!(both, Some(Some(6)), "it answers again");
    }
}
