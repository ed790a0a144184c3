//! Group commit: what gathers while the disk is busy goes to it in one piece.
//!
//! Two threads take turns: while one waits for the disk, the other may already have put the next records behind the
//! first ones and wait as well. A synchronization covers everything written before it, whoever wrote it, so that the
//! later of two ends the waiting of both. Each has the file open for itself: the kernel reports a failed write once to
//! each open file, and neither may miss it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use rustix::io::Errno;
use rustix::thread::futex;
use tracing::warn;

use super::{Extent, JournalError, Mark, Shared, State, Trouble, frame, segment};

/// More would only make the groups smaller.
const COMMITTERS: usize = 2;
/// Threads that were just told are about to come back with the next record: a group may wait for them, so that fewer
/// synchronizations do for the same records, no longer than one takes.
const GATHER: Duration = Duration::from_micros(300);

type Outcome = Result<(), JournalError>;

/// What becomes of the records of one group.
///
/// Those who wait hold no lock, so that all of them are woken by one call and none waits for another.
#[derive(Debug, Default)]
pub(super) struct Group {
    outcome: OnceLock<Outcome>,
    known: AtomicU32,
}

impl Group {
    /// `None` past the deadline.
    pub(super) fn wait(&self, deadline: Instant) -> Option<Outcome> {
        while self.known.load(Ordering::Acquire) == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.try_into().ok()?;
            // Else it is known meanwhile, or this was woken for nothing.
            if futex::wait(&self.known, futex::Flags::PRIVATE, 0, Some(&left)) == Err(Errno::TIMEDOUT) {
                break;
            }
        }
        self.outcome.get().cloned()
    }

    fn finish(&self, outcome: Outcome) {
        // One committer has it, and tells once.
        let _ = self.outcome.set(outcome);
        self.known.store(1, Ordering::Release);
        // Fails for an address that is none of ours only.
        let _ = futex::wake(&self.known, futex::Flags::PRIVATE, i32::MAX.unsigned_abs());
    }
}

/// How many wait at the same time, lately.
#[derive(Debug, Default)]
pub(super) struct Crowd(u64);

impl Crowd {
    /// Most of them: their group is on its way to the disk while the others begin the next one.
    const fn enough(&self) -> u64 {
        self.0 / 4 * 3
    }

    fn see(&mut self, waiting: u64) {
        self.0 = waiting.max(self.0 - self.0.div_ceil(16));
    }
}

/// Records that nobody has written yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    frames: Vec<u8>,
    records: u64,
    /// Of the first one, Unix seconds.
    time: i64,
    /// Of the first one.
    since: Option<Instant>,
    group: Arc<Group>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.frames.len()
    }

    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn push(&mut self, payload: &[u8], now: i64) -> Arc<Group> {
        if self.is_empty() {
            self.time = now;
            self.since = Some(Instant::now());
        }
        frame::push(&mut self.frames, payload, now);
        self.records += 1;
        Arc::clone(&self.group)
    }
}

/// Records that are written and not known to be on disk.
#[derive(Debug)]
pub(super) struct InFlight {
    group: Arc<Group>,
    end: Mark,
    records: u64,
    bytes: u64,
    time: i64,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// One for each committer.
    pub(super) files: [File; COMMITTERS],
}

impl Segment {
    fn create(shared: &Shared, first: u64) -> Result<Self, JournalError> {
        let path = segment::path(&shared.directory, first);
        let make = || -> io::Result<[File; COMMITTERS]> {
            let file = segment::create(&shared.directory, first, shared.config.segment_size)?;
            Ok([file, OpenOptions::new().write(true).open(&path)?])
        };
        match make() {
            Ok(files) => Ok(Self { path, files }),
            Err(error) => Err(JournalError::io("make", &path, error)),
        }
    }
}

pub(super) fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, JournalError> {
    (0..COMMITTERS)
        .map(|which| {
            let committing = Arc::clone(shared);
            let thread = std::thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || run(&committing, which))
                .map_err(|error| JournalError::io("start a thread for", &shared.directory, error))?;
            shared.state.lock().committers += 1;
            Ok(thread)
        })
        .collect()
}

fn run(shared: &Shared, which: usize) {
    let mut state = shared.state.lock();
    loop {
        if state.pending.is_empty() && state.closed {
            break;
        }
        // Another segment is begun only when nothing is on its way into the old one.
        let blocked = state.writing || (state.syncing > 0 && state.must_turn(shared));
        if state.pending.is_empty() || blocked {
            shared.work.wait(&mut state);
            continue;
        }
        if let Some(until) = state.more_until() {
            shared.work.wait_until(&mut state, until);
            continue;
        }
        if let Some(segment) = write(shared, which, &mut state) {
            sync(shared, which, &mut state, &segment);
        }
    }
    state.committers -= 1;
    drop(state);
    // The other one may wait for its turn.
    shared.work.notify_all();
    shared.left.notify_all();
}

impl State {
    /// Whether those who are about to append have done so, as far as is known of them.
    pub(super) const fn enough(&self) -> bool {
        self.pending.records() >= self.crowd.enough()
    }

    /// How long to let further records join those that wait; `None` = not any longer.
    fn more_until(&self) -> Option<Instant> {
        let until = self.pending.since.map(|since| since + GATHER)?;
        (!self.closed && !self.enough() && Instant::now() < until).then_some(until)
    }

    /// Whether what waits needs another segment.
    fn must_turn(&self, shared: &Shared) -> bool {
        self.segment.is_none() || {
            let end = self.written.offset + self.pending.bytes() as u64;
            end > shared.config.segment_size && self.written.offset > segment::HEADER
        }
    }

    /// Nothing that is not known to be on disk will be: close the segment there, and have the next records try anew.
    fn give_up(&mut self, shared: &Shared, error: &JournalError) -> Vec<Arc<Group>> {
        if let JournalError::Io { source, .. } = error {
            self.report(Trouble::Io(source.kind()), error);
        }
        if let Some(segment) = self.segment.take() {
            let durable = self.durable;
            let empty = self.files.back().is_some_and(|file| file.first == durable.next);
            // Best effort: the file is read up to its last good record in any case.
            let tidied = if empty {
                self.files.pop_back();
                fs::remove_file(&segment.path)
            } else {
                segment.files[0].set_len(durable.offset)
            };
            if let Err(error) = tidied {
                warn!(
                    "cannot cut {} in {} back: {error}",
                    segment.path.display(),
                    shared.directory.display()
                );
            }
        }
        self.written = self.durable;
        self.in_flight.drain(..).map(|flight| flight.group).collect()
    }
}

/// Put what waits into the segment. `None`: that failed, and everybody concerned was told.
fn write(shared: &Shared, which: usize, state: &mut MutexGuard<'_, State>) -> Option<Arc<Segment>> {
    let turn = state.must_turn(shared);
    let Pending {
        mut frames,
        records,
        time,
        group,
        ..
    } = std::mem::take(&mut state.pending);
    let others: u64 = state.in_flight.iter().map(|flight| flight.records).sum();
    state.crowd.see(records + others);
    let next = state.written.next;
    let current = state.segment.clone().filter(|_| !turn);
    let offset = if turn { segment::HEADER } else { state.written.offset };
    let full = state.segment.clone().filter(|_| turn);
    let end = state.written.offset;
    state.writing = true;
    let written = MutexGuard::unlocked(state, || {
        if let Some(full) = full
            && let Err(error) = full.files[which].set_len(end)
        {
            warn!("cannot cut {} to its length: {error}", full.path.display());
        }
        let segment = match &current {
            Some(segment) => Arc::clone(segment),
            None => Arc::new(Segment::create(shared, next)?),
        };
        frame::seal(&mut frames, next);
        match segment.files[which].write_all_at(&frames, offset) {
            Ok(()) => Ok(segment),
            Err(error) => Err(JournalError::io("write to", &segment.path, error)),
        }
    });
    state.writing = false;
    // The other one may have given the segment up meanwhile.
    let given_up = |segment: &Arc<Segment>| current.is_some() && !state.writes_to(segment);
    match written {
        Err(error) => {
            // A segment that could not be made leaves the full one as it is: whole, and without anything on its way.
            let mut failed = state.give_up(shared, &error);
            failed.push(group);
            tell(state, failed, &Err(error));
            None
        }
        Ok(segment) if given_up(&segment) => {
            let earlier = io::Error::other("earlier records did not reach the disk");
            let error = JournalError::io("write to", &segment.path, earlier);
            tell(state, vec![group], &Err(error));
            None
        }
        Ok(segment) => {
            let bytes = frames.len() as u64;
            if current.is_none() {
                state.segment = Some(Arc::clone(&segment));
                state.files.push_back(Extent {
                    first: next,
                    end: segment::HEADER,
                });
                state.durable.offset = segment::HEADER;
            }
            state.written = Mark {
                next: next + records,
                offset: offset + bytes,
            };
            let end = state.written;
            state.in_flight.push_back(InFlight {
                group,
                end,
                records,
                bytes,
                time,
            });
            Some(segment)
        }
    }
}

/// Wait for the disk, and tell those whose records are on it.
fn sync(shared: &Shared, which: usize, state: &mut MutexGuard<'_, State>, segment: &Arc<Segment>) {
    let covered = state.written;
    state.syncing += 1;
    if !state.pending.is_empty() {
        shared.work.notify_one();
    }
    let synced = MutexGuard::unlocked(state, || segment.files[which].sync_data());
    state.syncing -= 1;
    if state.writes_to(segment) {
        let outcome = synced.map_err(|error| JournalError::io("synchronize", &segment.path, error));
        let concerned = match &outcome {
            Ok(()) => state.reached_disk(shared, covered),
            Err(error) => state.give_up(shared, error),
        };
        if outcome.is_ok()
            && let Some(waiting) = state.waiting.take()
        {
            MutexGuard::unlocked(state, || waiting.wake());
        }
        tell(state, concerned, &outcome);
    }
}

impl State {
    fn writes_to(&self, segment: &Arc<Segment>) -> bool {
        self.segment
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, segment))
    }

    fn reached_disk(&mut self, shared: &Shared, covered: Mark) -> Vec<Arc<Group>> {
        let mut reached = Vec::new();
        while let Some(flight) = self.in_flight.pop_front_if(|flight| flight.end.next <= covered.next) {
            self.durable = flight.end;
            self.unapplied_bytes += flight.bytes;
            self.stats.appended += flight.records;
            self.oldest.get_or_insert(flight.time);
            reached.push(flight.group);
        }
        let durable = self.durable;
        if let Some(file) = self.files.back_mut() {
            file.end = durable.offset;
        }
        if !reached.is_empty() {
            self.recovered(shared.config.max_size);
        }
        reached
    }
}

/// Without the lock: those who are told have packets to answer.
fn tell(state: &mut MutexGuard<'_, State>, groups: Vec<Arc<Group>>, outcome: &Outcome) {
    MutexGuard::unlocked(state, || {
        for group in groups {
            group.finish(outcome.clone());
        }
    });
}
