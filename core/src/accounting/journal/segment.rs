//! The files of the journal: names, headers, and the search for frames in them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::JournalError;
use super::frame::{self, Frame, Look, MARKER};

const MAGIC: &[u8; 7] = b"ISPACCT";
/// Names the layout of files and records. Another one gets another number.
pub(super) const FORMAT: u8 = 2;
/// Magic, format, and room.
pub(super) const HEADER: u64 = 32;
const EXTENSION: &str = "journal";
const CHUNK: usize = 1 << 20;
/// What a disk gives or does not give.
const SECTOR: u64 = 4 << 10;

/// `0000000000000001.journal`: the number of the first record in it.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:016x}.{EXTENSION}"))
}

/// Numbers of the first records of all segments, ascending.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = PathBuf::from(entry?.file_name());
        let stem = name.file_stem().and_then(|stem| stem.to_str());
        if name.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(first) = stem.filter(|stem| stem.len() == 16)
            && let Ok(first) = u64::from_str_radix(first, 16)
        {
            found.push(first);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Make an empty segment of which the name, too, survives a loss of power. Its blocks are set aside, so that what is
/// synchronized later is data alone and not the size of a growing file.
pub(super) fn create(directory: &Path, first: u64, size: u64) -> io::Result<File> {
    let path = path(directory, first);
    // Of an attempt that failed: nothing in it was ever acknowledged, or the number would have moved on.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = fill(&path, size).and_then(|file| sync_directory(directory).map(|()| file));
    if made.is_err() {
        // A full disk gets its blocks back.
        let _ = fs::remove_file(&path);
    }
    made
}

fn fill(path: &Path, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        // Not every file system can.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let mut header = [0; HEADER as usize];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    header[MAGIC.len()] = FORMAT;
    file.write_all_at(&header, 0)?;
    file.sync_all()?;
    Ok(file)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Keep a damaged segment beside the journal, as it is, for whoever wants to look into it.
pub(super) fn preserve(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("damaged");
    match fs::hard_link(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // No links on this file system.
        Err(_) => drop(fs::copy(path, &aside)?),
        Ok(()) => {}
    }
    Ok(aside)
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Nothing but zeros: never written to.
    pub(super) blank: bool,
    /// How many frames begin there, as far as can be told.
    pub(super) begun: u64,
}

/// What comes next in a segment.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Frame {
        frame: Frame<'a>,
        offset: u64,
        skipped: Option<Skipped>,
    },
    End {
        skipped: Option<Skipped>,
    },
}

/// Reads the frames of one segment, and finds the next one where there is damage.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) first: u64,
    file: File,
    buffer: Vec<u8>,
    /// Where in `buffer` the next frame begins.
    at: usize,
    /// Where in the file `buffer` begins.
    base: u64,
    /// Nothing is read from here on.
    limit: u64,
    /// What the disk does not give is damage.
    salvage: bool,
}

impl Scan {
    /// # Errors
    /// The file cannot be opened, or another version of this program wrote it.
    pub(super) fn open(directory: &Path, first: u64) -> Result<Self, JournalError> {
        let path = path(directory, first);
        let failed = |error: io::Error| JournalError::io("read", &path, error);
        let file = File::open(&path).map_err(failed)?;
        let mut header = [0; MAGIC.len() + 1];
        // A header that is damaged or unreadable says nothing; the frames speak for themselves.
        let read = file.read_at(&mut header, 0).unwrap_or(0);
        if read == header.len() && header.starts_with(MAGIC) && header[MAGIC.len()] != FORMAT {
            return Err(JournalError::Foreign { path });
        }
        let limit = file.metadata().map_err(failed)?.len();
        Ok(Self {
            first,
            file,
            buffer: Vec::new(),
            at: 0,
            base: HEADER,
            limit,
            salvage: false,
        })
    }

    /// From now on go around what cannot be read.
    pub(super) fn salvage(&mut self) {
        self.salvage = true;
    }

    /// Read up to here, which is further than before.
    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Where the next frame is looked for.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next frame; bytes that are none are passed over.
    pub(super) fn next(&mut self) -> io::Result<Step<'_>> {
        let from = self.offset();
        let (mut blank, mut begun) = (true, 0);
        // Borrowing the frame out of the loop would borrow the buffer for good.
        let length = loop {
            match frame::look(&self.buffer[self.at..]) {
                Look::Frame(found) => break found.len(),
                Look::Short(needed) => {
                    if self.refill(needed)? {
                        continue;
                    }
                    if self.at == self.buffer.len() {
                        let to = self.offset();
                        let skipped = (to > from).then_some(Skipped { from, to, blank, begun });
                        return Ok(Step::End { skipped });
                    }
                }
                Look::Bad => {}
            }
            begun += u64::from(self.buffer[self.at..].starts_with(&MARKER));
            blank &= self.pass_over();
        };
        let offset = self.offset();
        let skipped = (offset > from).then_some(Skipped {
            from,
            to: offset,
            blank,
            begun,
        });
        let start = self.at;
        self.at += length;
        match frame::look(&self.buffer[start..self.at]) {
            Look::Frame(frame) => Ok(Step::Frame { frame, offset, skipped }),
            // It was one a moment ago, and nothing was touched.
            Look::Short(_) | Look::Bad => Err(io::Error::other("a frame changed while it was read")),
        }
    }

    /// Go on to the next place a frame may begin. Returns whether only zeros were passed.
    fn pass_over(&mut self) -> bool {
        let rest = &self.buffer[self.at..];
        // Byte by byte at the end of the buffer: a marker may continue in what is not read yet.
        let step = rest[1..]
            .iter()
            .position(|&byte| byte == MARKER[0])
            .map_or(rest.len(), |position| position + 1);
        let blank = rest[..step].iter().all(|&byte| byte == 0);
        self.at += step;
        blank
    }

    /// Have at least `needed` bytes from the next frame on, if there are as many. Returns whether there are.
    fn refill(&mut self, needed: usize) -> io::Result<bool> {
        let kept = self.buffer.len() - self.at;
        let available = self.limit.saturating_sub(self.offset());
        if (needed as u64) > available && kept as u64 == available {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let size = available.min(CHUNK.max(needed) as u64) as usize;
        self.buffer.resize(size, 0);
        let (wanted, offset) = (&mut self.buffer[kept..], self.base + kept as u64);
        match self.file.read_exact_at(wanted, offset) {
            Err(_) if self.salvage => read_around(|part, at| self.file.read_exact_at(part, at), wanted, offset),
            outcome => outcome?,
        }
        Ok(needed <= size)
    }
}

/// Read sector by sector. In place of those that cannot be read come bytes that are in no way a frame.
fn read_around(read: impl Fn(&mut [u8], u64) -> io::Result<()>, mut wanted: &mut [u8], mut offset: u64) {
    while !wanted.is_empty() {
        let length = wanted.len().min((SECTOR - offset % SECTOR) as usize);
        let (part, rest) = wanted.split_at_mut(length);
        if read(part, offset).is_err() {
            part.fill(0xff);
        }
        offset += length as u64;
        wanted = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_that_cannot_be_read_costs_that_sector_alone() {
        let disk: Vec<u8> = (0..5 * SECTOR).map(|at| (at / SECTOR) as u8).collect();
        let bad = SECTOR..2 * SECTOR;
        let read = |part: &mut [u8], at: u64| {
            let end = at + part.len() as u64;
            if at < bad.end && end > bad.start {
                return Err(io::Error::from(io::ErrorKind::Other));
            }
            part.copy_from_slice(&disk[at as usize..end as usize]);
            Ok(())
        };
        let (from, to) = (SECTOR - 100, 3 * SECTOR + 7);
        let mut found = vec![0; (to - from) as usize];
        read_around(read, &mut found, from);
        let mut expected = disk[from as usize..to as usize].to_vec();
        expected[100..100 + SECTOR as usize].fill(0xff);
        assert!(found == expected);
    }
}
