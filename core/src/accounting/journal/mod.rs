//! The journal of accounting: a record is in it, on disk, before its packet is answered.
//!
//! An append-only log in a directory of its own. Any number of threads [`append`](Journal::append); those that come while
//! the disk is busy are written and synchronized together. One [`Reader`] hands the records on in order, and what it has
//! marked [`applied`](Reader::applied) is deleted. After a crash records past the last checkpoint come again, so that
//! whoever takes them must be able to take them twice.
//!
//! ```text
//! 0000000000000001.journal    records from number 1 on: a header, then frames, in blocks set aside beforehand
//! 0000000000009c41.journal    the next ones; only the last segment is written to
//! checkpoint                  the first record that is not applied
//! 0000000000000001.damaged    a segment that had something unreadable in it, kept for whoever wants to look
//! ```
//!
//! | module | what it holds |
//! |--------|---------------|
//! | `frame`, `segment`, `checkpoint` | what is on disk |
//! | `recovery` | what was left by the last run |
//! | `commit` | many appends, few synchronizations |
//! | `reader` | records in order, damage skipped |
//! | `survey` | a look from outside |
//!
//! After a synchronization has failed, what the file holds is unknown (the kernel may have dropped the pages), so that the
//! segment is closed behind the last record known to be on disk and another one is begun.

mod checkpoint;
mod commit;
mod frame;
mod reader;
mod recovery;
mod segment;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::{error, info};

pub use reader::{Batch, Reader};
pub use survey::Survey;

use super::AccountingRecord;
use crate::clock::unix_now;
use commit::{Crowd, InFlight, Pending, Segment};

/// Bytes that may wait for the disk: it has stopped answering long before.
const MOST_PENDING: usize = 8 << 20;

/// How large the journal's files and the journal itself may get.
#[derive(Debug, Clone, Copy)]
pub struct JournalConfig {
    /// Bytes of a file; what is applied is deleted by whole files.
    pub segment_size: u64,
    /// Bytes of records not applied yet past which appends are refused.
    pub max_size: u64,
    /// How long a file that the disk does not give is tried again before what is missing of it counts as lost.
    pub patience: Duration,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_size: 16 << 20,
            max_size: 4 << 30,
            patience: Duration::from_secs(60),
        }
    }
}

/// A journal that cannot be opened, or a record that is not in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    #[error(
        "the journal {} is in use by another process: give each server, and each instance of the module, a directory \
         of its own, or stop the other one", directory.display()
    )]
    InUse { directory: PathBuf },
    #[error("cannot {attempt} {}: {source}", path.display())]
    Io {
        attempt: &'static str,
        path: PathBuf,
        source: Arc<io::Error>,
    },
    #[error(
        "{} was written by another version of this program: let that version apply it, or move it out of the journal",
        path.display()
    )]
    Foreign { path: PathBuf },
    #[error(
        "the journal {} holds {bytes} bytes that are not applied, the limit is {limit}", directory.display()
    )]
    Full { directory: PathBuf, bytes: u64, limit: u64 },
    #[error("the disk did not take the record within {0:?}")]
    Timeout(Duration),
    #[error("the disk does not keep up with the records")]
    Busy,
    #[error("the record cannot be packed: {0}")]
    Unpackable(&'static str),
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    fn io(attempt: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            attempt,
            path: path.to_owned(),
            source: Arc::new(source.into()),
        }
    }
}

/// How a journal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalStats {
    /// Not applied yet.
    pub records: u64,
    pub bytes: u64,
    /// When the first of them was appended, Unix seconds.
    pub oldest: Option<i64>,
    /// Since the journal was opened.
    pub appended: u64,
    pub applied: u64,
    /// Records found to be unreadable or missing when the journal was opened and since.
    pub lost: u64,
}

/// An open journal. Dropping it writes what waits and closes it.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    committers: Mutex<Vec<JoinHandle<()>>>,
}

/// What the appending threads, the committers and the reader share.
#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    config: JournalConfig,
    state: Mutex<State>,
    /// There is something to write, or it is over.
    work: Condvar,
    /// A committer has left.
    left: Condvar,
    /// Holds the lock on the directory.
    _lock: File,
}

#[derive(Debug)]
struct State {
    pending: Pending,
    crowd: Crowd,
    /// A committer is putting records into the segment, which is done in turn.
    writing: bool,
    in_flight: VecDeque<InFlight>,
    /// Committers that wait for the disk.
    syncing: usize,
    /// The one that is written to; `None` until the first record, and after a fault.
    segment: Option<Arc<Segment>>,
    /// Where the next record goes.
    written: Mark,
    /// What is on disk for certain.
    durable: Mark,
    /// What there is on disk, oldest first.
    files: VecDeque<Extent>,
    /// The first record that is not applied.
    applied: u64,
    unapplied_bytes: u64,
    oldest: Option<i64>,
    stats: Totals,
    waiting: Option<Waker>,
    trouble: Option<Trouble>,
    closed: bool,
    committers: usize,
}

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// Number of the record that follows.
    next: u64,
    /// Bytes from the beginning of the segment.
    offset: u64,
}

/// A segment as far as it is known to be good.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: u64,
    end: u64,
}

#[derive(Debug, Default)]
struct Totals {
    appended: u64,
    applied: u64,
    lost: u64,
}

/// Why records are refused at the moment, as far as the operator was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Io(io::ErrorKind),
    Full,
}

impl Journal {
    /// Open a journal, making its directory (mode 0700) if there is none, with what earlier runs left in it.
    ///
    /// # Errors
    /// Another process has it open, it was written by another version, or the directory cannot be used.
    pub fn open(directory: &Path, config: JournalConfig) -> Result<(Self, Reader), JournalError> {
        let lock = recovery::lock(directory)?;
        let state = recovery::recover(directory)?;
        let start = state.applied;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            config,
            state: Mutex::new(state),
            work: Condvar::new(),
            left: Condvar::new(),
            _lock: lock,
        });
        let committers = Mutex::new(commit::start(&shared)?);
        let journal = Self {
            shared: Arc::clone(&shared),
            committers,
        };
        Ok((journal, Reader::new(shared, start)))
    }

    /// Whether there is a journal in this directory that may hold records.
    #[must_use]
    pub fn holds_records(directory: &Path) -> bool {
        segment::list(directory).is_ok_and(|segments| !segments.is_empty())
    }

    /// Put a record into the journal. Returns once it is on disk.
    ///
    /// # Errors
    /// It is not, or was not within `timeout`; in that case it may still come to be.
    pub fn append(&self, record: &AccountingRecord, timeout: Duration) -> Result<(), JournalError> {
        let deadline = Instant::now() + timeout;
        let payload = postcard::to_extend(record, Vec::with_capacity(512))
            .map_err(|_| JournalError::Unpackable("a value has no form on disk"))?;
        if payload.len() > frame::MOST_PAYLOAD {
            return Err(JournalError::Unpackable("it is longer than a packet can be"));
        }
        let now = unix_now();
        let outcome = {
            let mut state = self.shared.state.lock();
            state.admit(&self.shared)?;
            let outcome = state.pending.push(&payload, now);
            // The first one begins a group, and the one that makes it large enough ends it.
            let wake = state.pending.records() == 1 || state.enough();
            drop(state);
            if wake {
                self.shared.work.notify_one();
            }
            outcome
        };
        outcome.wait(deadline).unwrap_or(Err(JournalError::Timeout(timeout)))
    }

    #[must_use]
    pub fn stats(&self) -> JournalStats {
        let state = self.shared.state.lock();
        let records = state.durable.next - state.applied;
        JournalStats {
            records,
            bytes: state.unapplied_bytes,
            oldest: state.oldest.filter(|_| records > 0),
            appended: state.stats.appended,
            applied: state.stats.applied,
            lost: state.stats.lost,
        }
    }

    /// Take no further records, and wait until those that wait are on disk, no longer than `limit`.
    pub fn close(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        state.closed = true;
        self.shared.work.notify_all();
        while state.committers > 0 {
            if self.shared.left.wait_until(&mut state, deadline).timed_out() {
                // The disk has stopped answering; nobody waits for these any more.
                return;
            }
        }
        drop(state);
        for committer in self.committers.lock().drain(..) {
            if committer.join().is_err() {
                error!("a thread of the journal ended badly");
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.committers.lock().is_empty() {
            self.close(Duration::from_secs(5));
        }
    }
}

impl State {
    /// Whether there is room for another record.
    fn admit(&mut self, shared: &Shared) -> Result<(), JournalError> {
        if self.closed {
            return Err(JournalError::Closed);
        }
        if self.pending.bytes() > MOST_PENDING {
            return Err(JournalError::Busy);
        }
        let limit = shared.config.max_size;
        let bytes = self.unapplied_bytes + self.pending.bytes() as u64;
        if bytes <= limit {
            return Ok(());
        }
        let error = JournalError::Full {
            directory: shared.directory.clone(),
            bytes,
            limit,
        };
        self.report(Trouble::Full, &error);
        Err(error)
    }

    /// Tell the operator, once for each change.
    fn report(&mut self, trouble: Trouble, error: &JournalError) {
        if self.trouble != Some(trouble) {
            error!("accounting packets are not answered: {error}");
            self.trouble = Some(trouble);
        }
    }

    /// A record was taken.
    fn recovered(&mut self, limit: u64) {
        // A journal at its limit takes a record whenever one is applied: that is not the end of it.
        let over = match self.trouble {
            None => false,
            Some(Trouble::Full) => self.unapplied_bytes < limit / 10 * 9,
            Some(Trouble::Io(_)) => true,
        };
        if over {
            info!("the journal takes records again: accounting packets are answered");
            self.trouble = None;
        }
    }
}
