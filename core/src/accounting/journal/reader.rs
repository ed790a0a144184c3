//! Records in the order they were appended, for the one who applies them.

use std::fs;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::segment::{self, Scan, Skipped, Step};
use super::{AccountingRecord, JournalError, Shared, checkpoint};

/// How often the checkpoint is written while records are applied.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Records that follow each other.
#[derive(Debug)]
pub struct Batch {
    pub records: Vec<AccountingRecord>,
    /// Number of the record after the last one.
    next: u64,
    bytes: u64,
    /// Of the last one.
    time: Option<i64>,
}

impl Batch {
    /// Make one batch of this and the one read after it.
    pub fn append(&mut self, mut following: Self) {
        self.records.append(&mut following.records);
        self.next = following.next;
        self.bytes += following.bytes;
        self.time = following.time.or(self.time);
    }
}

/// Reads a journal from its checkpoint on. There is one for each journal.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    scan: Option<Scan>,
    /// Number of the record that is read next.
    next: u64,
    /// What the checkpoint on disk says, and since when.
    checkpoint: u64,
    checkpoint_at: Instant,
    checkpoint_failed: bool,
    /// The segment that cannot be read, and since when.
    failing: Option<(u64, Instant)>,
}

/// Where the next record is.
struct Place {
    first: u64,
    /// Where the segment ends, and with which record.
    limit: u64,
    end: u64,
    /// Nothing is added to it any more.
    closed: bool,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, start: u64) -> Self {
        Self {
            shared,
            scan: None,
            next: start,
            checkpoint: start,
            checkpoint_at: Instant::now(),
            checkpoint_failed: false,
            failing: None,
        }
    }

    /// Wait until there is something to read.
    pub async fn readable(&self) {
        poll_fn(|context| {
            let mut state = self.shared.state.lock();
            if state.durable.next > self.next {
                return Poll::Ready(());
            }
            state.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Records appended since the journal was opened.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.shared.state.lock().stats.appended
    }

    /// When the first record that is not applied was appended, Unix seconds.
    #[must_use]
    pub fn oldest(&self) -> Option<i64> {
        let state = self.shared.state.lock();
        state.oldest.filter(|_| state.durable.next > state.applied)
    }

    /// Up to `most` records, without waiting; `None` if there are none. What is damaged is reported and skipped.
    ///
    /// # Errors
    /// A file of the journal cannot be read. The same records are tried again by the next call; once that has failed for as
    /// long as [`JournalConfig::patience`](super::JournalConfig) says, what cannot be read is damage, if the file can be kept.
    pub fn read(&mut self, most: usize) -> Result<Option<Batch>, JournalError> {
        let from = self.next;
        let mut batch = Batch {
            records: Vec::new(),
            next: from,
            bytes: 0,
            time: None,
        };
        while batch.records.len() < most {
            let Some(place) = self.place() else { break };
            let (next, records, bytes, time) = (self.next, batch.records.len(), batch.bytes, batch.time);
            if let Err(error) = self.read_segment(&place, most, &mut batch) {
                // All of it again, from the beginning of the segment: what is behind is passed over.
                self.scan = None;
                self.next = next;
                if self.failing.is_none_or(|(first, _)| first != place.first) {
                    self.failing = Some((place.first, Instant::now()));
                }
                if next == from {
                    return Err(error);
                }
                batch.records.truncate(records);
                (batch.bytes, batch.time) = (bytes, time);
                break;
            }
            self.failing = None;
            if place.closed && self.next == place.end {
                self.scan = None;
            }
        }
        batch.next = self.next;
        Ok((self.next > from).then_some(batch))
    }

    /// Where the next record is; `None` if it does not exist yet.
    fn place(&self) -> Option<Place> {
        let state = self.shared.state.lock();
        if self.next >= state.durable.next {
            return None;
        }
        let index = state
            .files
            .partition_point(|file| file.first <= self.next)
            .checked_sub(1)?;
        let file = state.files.get(index)?;
        let following = state.files.get(index + 1).map(|file| file.first);
        Some(Place {
            first: file.first,
            limit: file.end,
            end: following.unwrap_or(state.durable.next),
            closed: following.is_some(),
        })
    }

    /// Read on in a segment, up to its end or the batch's.
    fn read_segment(&mut self, place: &Place, most: usize, batch: &mut Batch) -> Result<(), JournalError> {
        let directory = &self.shared.directory;
        let path = segment::path(directory, place.first);
        let patience = self.shared.config.patience;
        let salvage = self
            .failing
            .is_some_and(|(first, since)| first == place.first && since.elapsed() >= patience);
        if salvage && !self.can_salvage(place)? {
            self.next = place.end;
            return Ok(());
        }
        let scan = match &mut self.scan {
            Some(scan) if scan.first == place.first => scan,
            other => other.insert(Scan::open(directory, place.first)?),
        };
        scan.set_limit(place.limit);
        if salvage {
            scan.salvage();
        }
        while batch.records.len() < most && self.next < place.end {
            let step = scan.next().map_err(|error| JournalError::io("read", &path, error))?;
            match step {
                // Applied in an earlier run.
                Step::Frame { frame, .. } if frame.sequence < self.next => {}
                Step::Frame { frame, offset, skipped } if frame.sequence < place.end => {
                    if frame.sequence > self.next {
                        self.shared
                            .report_loss(place.first, self.next..frame.sequence, skipped, offset);
                    }
                    self.next = frame.sequence + 1;
                    batch.bytes += frame.len() as u64;
                    match postcard::from_bytes(frame.payload) {
                        Ok(record) => {
                            batch.records.push(record);
                            if batch.time.is_none() {
                                let mut state = self.shared.state.lock();
                                // Else what was read before is older, and not applied either.
                                if state.applied == batch.next {
                                    state.oldest = Some(frame.time);
                                }
                            }
                            batch.time = Some(frame.time);
                        }
                        Err(_) => {
                            let skipped = Some(Skipped {
                                from: offset,
                                to: offset + frame.len() as u64,
                                blank: false,
                                begun: 1,
                            });
                            let sequence = frame.sequence;
                            self.shared
                                .report_loss(place.first, sequence..sequence + 1, skipped, offset);
                        }
                    }
                }
                // Of records that were never acknowledged: the next segment begins with the same numbers.
                Step::Frame { offset, skipped, .. } => {
                    self.shared
                        .report_loss(place.first, self.next..place.end, skipped, offset);
                    self.next = place.end;
                }
                Step::End { skipped } => {
                    let offset = scan.offset();
                    self.shared
                        .report_loss(place.first, self.next..place.end, skipped, offset);
                    self.next = place.end;
                }
            }
        }
        Ok(())
    }

    /// Before what cannot be read is given up: the file is kept, for a disk that is away for a while must not cost what is on
    /// it. Returns whether there is a file at all.
    fn can_salvage(&self, place: &Place) -> Result<bool, JournalError> {
        let path = segment::path(&self.shared.directory, place.first);
        match segment::preserve(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.shared
                    .report_loss(place.first, self.next..place.end, None, segment::HEADER);
                Ok(false)
            }
            Err(error) => Err(JournalError::io("keep", &path, error)),
        }
    }

    /// The records of a batch are where they belong and are not needed any more. Batches are given back in order.
    pub fn applied(&mut self, batch: &Batch) {
        let done = {
            let mut state = self.shared.state.lock();
            state.applied = batch.next;
            state.stats.applied += batch.records.len() as u64;
            state.unapplied_bytes = if state.applied == state.durable.next {
                0
            } else {
                state.unapplied_bytes.saturating_sub(batch.bytes)
            };
            // What follows is not older.
            state.oldest = batch.time.filter(|_| state.applied < state.durable.next);
            let done = state
                .files
                .iter()
                .skip(1)
                .take_while(|file| file.first <= batch.next)
                .count();
            state.files.drain(..done).map(|file| file.first).collect::<Vec<_>>()
        };
        if !done.is_empty() || self.checkpoint_at.elapsed() >= CHECKPOINT_EVERY {
            self.checkpoint();
        }
        for first in done {
            let path = segment::path(&self.shared.directory, first);
            if let Err(error) = fs::remove_file(&path) {
                warn!("{} is applied and cannot be deleted: {error}", path.display());
            }
        }
    }

    /// Write down what is applied, if that is not done yet.
    pub fn checkpoint(&mut self) {
        let applied = self.shared.state.lock().applied;
        if applied == self.checkpoint {
            return;
        }
        self.checkpoint_at = Instant::now();
        match checkpoint::write(&self.shared.directory, applied) {
            Ok(()) => {
                self.checkpoint = applied;
                self.checkpoint_failed = false;
            }
            Err(error) => {
                if !self.checkpoint_failed {
                    warn!(
                        "cannot write the checkpoint of the journal {}, after a restart records are applied once \
                         more: {error}",
                        self.shared.directory.display()
                    );
                }
                self.checkpoint_failed = true;
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.checkpoint();
        self.clear();
    }
}

impl Reader {
    /// Leave no file behind that holds nothing but what is applied: the next version may write another format.
    fn clear(&mut self) {
        let files = {
            let mut state = self.shared.state.lock();
            let over = state.closed && state.committers == 0 && state.applied == state.durable.next;
            if !over || self.checkpoint != state.applied {
                return;
            }
            std::mem::take(&mut state.files)
        };
        for file in files {
            let path = segment::path(&self.shared.directory, file.first);
            if let Err(error) = fs::remove_file(&path) {
                warn!("{} is applied and cannot be deleted: {error}", path.display());
            }
        }
    }
}

impl Shared {
    /// Records are missing in a segment: say so, and keep the file.
    fn report_loss(&self, first: u64, records: std::ops::Range<u64>, skipped: Option<Skipped>, offset: u64) {
        let count = records.end - records.start;
        if count == 0 {
            return;
        }
        self.state.lock().stats.lost += count;
        let path = segment::path(&self.directory, first);
        let (from, to) = skipped.map_or((offset, offset), |skipped| (skipped.from, skipped.to));
        let kept = match segment::preserve(&path) {
            Ok(aside) => format!("the file is kept as {}", aside.display()),
            Err(error) => format!("the file could not be kept: {error}"),
        };
        error!(
            "{}: damaged from offset {from} to {to}; {count} accounting records (number {} to {}) are lost; {kept}",
            path.display(),
            records.start,
            records.end - 1
        );
    }
}
