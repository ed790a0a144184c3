//! What the last run left: where the journal ends, and where its reader stood.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, FsWord, flock, fstatfs};
use rustix::io::Errno;
use tracing::{error, warn};

use super::checkpoint::{self, Stored};
use super::commit::{Crowd, Pending};
use super::segment::{self, Scan, Step};
use super::{Extent, JournalError, Mark, State, Totals};

/// tmpfs and ramfs (statfs(2)).
const IN_MEMORY: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// Make the directory if need be, and keep other processes out of it for as long as the file is open.
pub(super) fn lock(directory: &Path) -> Result<File, JournalError> {
    make(directory).map_err(|error| JournalError::io("make the directory", directory, error))?;
    let file = File::open(directory).map_err(|error| JournalError::io("open", directory, error))?;
    if fstatfs(&file).is_ok_and(|found| IN_MEMORY.contains(&found.f_type)) {
        warn!(
            "the journal {} is in memory: what is acknowledged is lost with the power",
            directory.display()
        );
    }
    for _ in 0..LOOKS {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOOK),
            Err(error) => return Err(JournalError::io("lock", directory, error)),
        }
    }
    Err(JournalError::InUse {
        directory: directory.to_owned(),
    })
}

/// Who only looks into a journal holds its lock for a moment.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 5;

/// Make the directory and those above it, so that their names, too, survive a loss of power. Returns where a name is new.
fn make(directory: &Path) -> io::Result<Vec<&Path>> {
    let named = directory
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let parents: Vec<_> = named.filter_map(Path::parent).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    for parent in &parents {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        if let Err(error) = segment::sync_directory(parent) {
            // One that may be entered and not read.
            warn!("{} cannot be synchronized: {error}", parent.display());
        }
    }
    Ok(parents)
}

/// How the last segment ends.
struct Tail {
    next: u64,
    end: u64,
    /// So many records behind the end are none any more.
    torn: u64,
    /// Time of the first record that is not applied, if it is in this segment.
    oldest: Option<i64>,
}

pub(super) fn recover(directory: &Path) -> Result<State, JournalError> {
    let failed = |error| JournalError::io("read", directory, error);
    let firsts = segment::list(directory).map_err(failed)?;
    let checkpoint = match checkpoint::read(directory).map_err(failed)? {
        Stored::At(next) => Some(next),
        Stored::None => None,
        Stored::Damaged => {
            warn!(
                "the checkpoint of the journal {} is damaged: all records that are left in it are applied once more",
                directory.display()
            );
            None
        }
    };
    let oldest_first = firsts.first().copied();
    let mut applied = checkpoint.or(oldest_first).unwrap_or(1);
    if let Some(first) = oldest_first.filter(|&first| first > applied) {
        error!(
            "records {applied} to {} of accounting are not in the journal {} any more",
            first - 1,
            directory.display()
        );
        applied = first;
    }
    let mut files = VecDeque::with_capacity(firsts.len());
    let mut stale = 0;
    for (index, &first) in firsts.iter().enumerate() {
        let path = segment::path(directory, first);
        let end = match firsts.get(index + 1) {
            Some(&next) if next <= applied => {
                fs::remove_file(&path).map_err(|error| JournalError::io("delete", &path, error))?;
                stale += 1;
                continue;
            }
            Some(_) => {
                let found = fs::metadata(&path).map_err(|error| JournalError::io("read", &path, error))?;
                found.len()
            }
            None => segment::HEADER,
        };
        files.push_back(Extent { first, end });
    }
    if stale > 0 {
        warn!(
            "{stale} files of the journal {} are deleted unread: the checkpoint says that all of them is applied",
            directory.display()
        );
    }
    let mut durable = Mark {
        next: applied,
        offset: segment::HEADER,
    };
    let (mut oldest, mut torn) = (None, 0);
    if let Some(last) = files.back_mut() {
        let tail = tail(directory, last.first, applied)?;
        last.end = tail.end;
        // Not before the checkpoint: no number is given twice.
        durable = Mark {
            next: tail.next.max(applied),
            offset: tail.end,
        };
        (oldest, torn) = (tail.oldest, tail.torn);
        if tail.next == last.first || tail.next <= applied {
            let path = segment::path(directory, last.first);
            fs::remove_file(&path).map_err(|error| JournalError::io("delete", &path, error))?;
            files.pop_back();
        } else if torn == 0 {
            // Nothing is appended to it any more, and room kept for more would count against the journal's limit.
            let path = segment::path(directory, last.first);
            let cut = OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(tail.end));
            cut.map_err(|error| JournalError::io("cut", &path, error))?;
        }
    }
    let unapplied = files.iter().map(|file| file.end.saturating_sub(segment::HEADER));
    Ok(State {
        pending: Pending::default(),
        crowd: Crowd::default(),
        writing: false,
        in_flight: VecDeque::new(),
        syncing: 0,
        segment: None,
        written: durable,
        durable,
        unapplied_bytes: unapplied.sum(),
        files,
        applied,
        oldest,
        stats: Totals {
            lost: torn,
            ..Totals::default()
        },
        waiting: None,
        trouble: None,
        closed: false,
        committers: 0,
    })
}

/// Find the end of the last segment, and say what of it is no record.
fn tail(directory: &Path, first: u64, applied: u64) -> Result<Tail, JournalError> {
    let path = segment::path(directory, first);
    let mut scan = Scan::open(directory, first)?;
    let mut salvaging = false;
    let mut tail = Tail {
        next: first,
        end: segment::HEADER,
        torn: 0,
        oldest: None,
    };
    loop {
        let step = match scan.next() {
            // What is written next does not go there, and what can be read is wanted.
            Err(error) if !salvaging => {
                error!("{} cannot be read as a whole: {error}", path.display());
                scan.salvage();
                salvaging = true;
                continue;
            }
            step => step.map_err(|error| JournalError::io("read", &path, error))?,
        };
        match step {
            Step::Frame { frame, offset, .. } => {
                if frame.sequence >= applied {
                    tail.oldest.get_or_insert(frame.time);
                }
                tail.next = tail.next.max(frame.sequence + 1);
                tail.end = offset + frame.len() as u64;
            }
            Step::End { skipped } => {
                if let Some(torn) = skipped.filter(|skipped| !skipped.blank) {
                    tail.torn = torn.begun.max(1);
                    let aside = segment::preserve(&path).map_err(|error| JournalError::io("keep", &path, error))?;
                    error!(
                        "{}: {} bytes at the end, from offset {}, are no whole record and are cut off: {} accounting \
                         records, of which nothing tells whether they were acknowledged; the file is kept as {}",
                        path.display(),
                        torn.to - torn.from,
                        torn.from,
                        tail.torn,
                        aside.display()
                    );
                }
                return Ok(tail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_that_are_new_are_synchronized() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        let directory = root.join("a/b");
        assert_eq!(make(&directory).unwrap(), [root.join("a"), root.to_owned()]);
        assert!(make(&directory).unwrap().is_empty());
    }
}
