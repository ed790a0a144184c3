//! What the hooks read and the follower writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::accounting::journal::JournalStats;
use crate::snapshot::Snapshot;

/// The current snapshot and when the database last confirmed it.
#[derive(Debug)]
pub(super) struct State {
    snapshot: ArcSwap<Snapshot>,
    confirmed_at: AtomicI64,
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub subscribers: usize,
    /// Time since the database last confirmed the snapshot.
    pub age: Duration,
    /// Logins refused as locked since the node started.
    pub locked_out: u64,
    /// What waits to be applied; `None` where accounting goes to the database at once.
    pub journal: Option<JournalStats>,
}

impl State {
    pub(super) fn new(snapshot: Snapshot, confirmed_at: i64) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            confirmed_at: AtomicI64::new(confirmed_at),
        }
    }

    pub(super) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub(super) fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    pub(super) fn confirm(&self, now: i64) {
        self.confirmed_at.store(now, Ordering::Relaxed);
    }

    pub(super) fn confirmed_at(&self) -> i64 {
        self.confirmed_at.load(Ordering::Relaxed)
    }

    pub(super) fn age(&self, now: i64) -> Duration {
        Duration::from_secs(u64::try_from(now - self.confirmed_at()).unwrap_or(0))
    }

    pub(super) fn status(&self, now: i64) -> Status {
        Status {
            journal: None,
            locked_out: 0,
            subscribers: self.snapshot().len(),
            age: self.age(now),
        }
    }
}
