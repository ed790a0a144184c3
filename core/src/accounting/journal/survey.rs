//! What a journal holds, for somebody who only looks: whoever has it open goes on.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::checkpoint::{self, Stored};
use super::segment::{self, Scan, Step};
use super::{Journal, JournalError};

/// A journal as its files show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    pub directory: PathBuf,
    /// A server has it open.
    pub in_use: bool,
    /// Not applied yet, as far as the checkpoint tells, which may be a second behind.
    pub records: u64,
    pub bytes: u64,
    /// When the first of them was appended, Unix seconds.
    pub oldest: Option<i64>,
    /// Numbers among them that no readable record has.
    pub missing: u64,
    /// Files that had something unreadable in them and are kept.
    pub damaged_files: u64,
}

impl Journal {
    /// Look into a journal without opening it.
    ///
    /// # Errors
    /// There is none, its files cannot be read, or another version wrote them.
    pub fn survey(directory: &Path) -> Result<Survey, JournalError> {
        let failed = |error| JournalError::io("read", directory, error);
        let firsts = segment::list(directory).map_err(failed)?;
        let mut next = match checkpoint::read(directory).map_err(failed)? {
            Stored::At(next) => next,
            Stored::None | Stored::Damaged => firsts.first().copied().unwrap_or(1),
        };
        let mut survey = Survey {
            directory: directory.to_owned(),
            in_use: in_use(directory)?,
            records: 0,
            bytes: 0,
            oldest: None,
            missing: 0,
            damaged_files: damaged(directory)?,
        };
        for (index, &first) in firsts.iter().enumerate() {
            let end = firsts.get(index + 1).copied().unwrap_or(u64::MAX);
            if end > next {
                next = survey.segment(directory, first, next, end)?;
            }
        }
        Ok(survey)
    }
}

impl Survey {
    /// Count what a segment holds of the numbers from `next` up to `end`. Returns the number after the last one.
    fn segment(&mut self, directory: &Path, first: u64, mut next: u64, end: u64) -> Result<u64, JournalError> {
        let path = segment::path(directory, first);
        let mut scan = match Scan::open(directory, first) {
            // Applied meanwhile.
            Err(JournalError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(next),
            scan => scan?,
        };
        scan.salvage();
        while let Step::Frame { frame, .. } = scan.next().map_err(|error| JournalError::io("read", &path, error))? {
            if frame.sequence >= end {
                break;
            }
            if frame.sequence >= next {
                self.missing += frame.sequence - next;
                self.records += 1;
                self.bytes += frame.len() as u64;
                self.oldest.get_or_insert(frame.time);
                next = frame.sequence + 1;
            }
        }
        if end < u64::MAX {
            self.missing += end - next;
            next = end;
        }
        Ok(next)
    }
}

fn in_use(directory: &Path) -> Result<bool, JournalError> {
    let file = File::open(directory).map_err(|error| JournalError::io("open", directory, error))?;
    Ok(flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

fn damaged(directory: &Path) -> Result<u64, JournalError> {
    let failed = |error| JournalError::io("read", directory, error);
    let mut count = 0;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        count += u64::from(name.extension().is_some_and(|extension| extension == "damaged"));
    }
    Ok(count)
}
