//! Records that the database refuses for what they hold, in a file: they keep no others from the database, and are handed on
//! once more when somebody has mended the cause.
//!
//! A line is a JSON object. Whoever changes the file holds a lock on it; whoever replaces it, too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::AccountingRecord;

/// The file's name, beside the files of the journal.
pub const NAME: &str = "refused.jsonl";

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Unix seconds.
    pub refused_at: i64,
    pub error: String,
    pub record: AccountingRecord,
}

/// Put records aside: on disk when this returns.
///
/// # Errors
/// None of them is.
pub fn append(path: &Path, refused: &[Refused]) -> io::Result<()> {
    let mut lines = Vec::new();
    for line in refused {
        write_line(&mut lines, line)?;
    }
    loop {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        // Somebody may have replaced it while this waited.
        if !is_at(&file, path)? {
            continue;
        }
        let before = file.metadata()?.len();
        let written = file.write_all(&lines).and_then(|()| file.sync_all());
        if written.is_err() {
            // Half a line would take the next one with it.
            let _ = file.set_len(before);
        }
        return written;
    }
}

fn write_line(to: &mut impl Write, line: &Refused) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file of refused records that is worked on: it stays as it is until [`Self::finish`]. Whoever wants to add to it waits.
#[derive(Debug)]
pub struct Aside {
    path: PathBuf,
    lines: BufReader<File>,
    line: u64,
    /// What is to take its place.
    rest: BufWriter<File>,
    kept: bool,
}

/// What a line holds.
#[derive(Debug)]
pub enum Line {
    Refused(Box<Refused>),
    /// The line stays as it is.
    Unreadable {
        line: u64,
        error: String,
    },
}

impl Aside {
    /// # Errors
    /// There is no such file, or it cannot be used.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = loop {
            let file = File::open(path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            if is_at(&file, path)? {
                break file;
            }
        };
        let rest = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(Self::beside(path))?;
        // Whoever owns the file goes on writing to what takes its place.
        let held = file.metadata()?;
        if held.uid() != rest.metadata()?.uid() {
            std::os::unix::fs::fchown(&rest, Some(held.uid()), Some(held.gid()))?;
        }
        Ok(Self {
            path: path.to_owned(),
            lines: BufReader::new(file),
            line: 0,
            rest: BufWriter::new(rest),
            kept: false,
        })
    }

    fn beside(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        PathBuf::from(name)
    }

    /// The next line; `None` at the end. One that cannot be read is kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::new();
        loop {
            text.clear();
            if self.lines.read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !text.trim_ascii().is_empty() {
                break;
            }
        }
        match serde_json::from_slice(&text) {
            Ok(refused) => Ok(Some(Line::Refused(Box::new(refused)))),
            Err(error) => {
                self.rest.write_all(text.trim_ascii_end())?;
                self.rest.write_all(b"\n")?;
                self.kept = true;
                let (line, error) = (self.line, error.to_string());
                Ok(Some(Line::Unreadable { line, error }))
            }
        }
    }

    /// This one stays refused.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&mut self, refused: &Refused) -> io::Result<()> {
        self.kept = true;
        write_line(&mut self.rest, refused)
    }

    /// What was read and not kept is where it belongs: leave what was kept, or no file.
    ///
    /// # Errors
    /// The file stays as it was.
    pub fn finish(mut self) -> io::Result<()> {
        self.rest.flush()?;
        self.rest.get_ref().sync_all()?;
        let beside = Self::beside(&self.path);
        if self.kept {
            fs::rename(&beside, &self.path)
        } else {
            fs::remove_file(&beside)?;
            fs::remove_file(&self.path)
        }
    }

    /// Leave the file as it was.
    pub fn leave(self) {
        // It is written anew by whoever comes next.
        let _ = fs::remove_file(Self::beside(&self.path));
    }
}

/// How many records lie aside, told anew when the file has changed.
#[derive(Debug)]
pub struct Count {
    path: PathBuf,
    seen: Option<(u64, u64, i64)>,
    lines: u64,
}

impl Count {
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            seen: None,
            lines: 0,
        }
    }

    /// What was told before, where the file cannot be read.
    pub fn get(&mut self) -> u64 {
        let seen = fs::metadata(&self.path)
            .map(|found| (found.ino(), found.len(), found.mtime()))
            .ok();
        if seen != self.seen
            && let Ok(lines) = count(&self.path)
        {
            (self.seen, self.lines) = (seen, lines);
        }
        self.lines
    }
}

/// Lines in a file of refused records; none where there is no file.
///
/// # Errors
/// It cannot be read.
pub fn count(path: &Path) -> io::Result<u64> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => BufReader::with_capacity(1 << 16, file?),
    };
    let mut lines = 0;
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Ok(lines);
        }
        lines += chunk.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let length = chunk.len();
        file.consume(length);
    }
}
