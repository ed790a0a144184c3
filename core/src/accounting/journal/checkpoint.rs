//! Where the applier stands, in a file of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::segment;

const NAME: &str = "checkpoint";
const MAGIC: &[u8; 8] = b"ISPACKP\x01";
const LENGTH: usize = MAGIC.len() + 8 + 4;

/// What there is of a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The first record that is not applied.
    At(u64),
    None,
    Damaged,
}

pub(super) fn read(directory: &Path) -> io::Result<Stored> {
    let bytes = match fs::read(directory.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::None),
        other => other?,
    };
    Ok(parse(&bytes).map_or(Stored::Damaged, Stored::At))
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
    let (signed, crc) = bytes.split_at(LENGTH - 4);
    let sequence = signed.strip_prefix(MAGIC)?;
    (crc32fast::hash(signed).to_le_bytes() == crc).then_some(u64::from_le_bytes(sequence.try_into().ok()?))
}

/// Replace the checkpoint, atomically.
pub(super) fn write(directory: &Path, next: u64) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&next.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let temporary = directory.join("checkpoint.tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(NAME))?;
    segment::sync_directory(directory)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_is_read_back_and_damage_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), Stored::None);
        write(directory.path(), 1 << 40).unwrap();
        write(directory.path(), 42).unwrap();
        assert_eq!(read(directory.path()).unwrap(), Stored::At(42));
        let whole = fs::read(directory.path().join(NAME)).unwrap();
        for cut in 0..whole.len() {
            fs::write(directory.path().join(NAME), &whole[..cut]).unwrap();
            assert_eq!(read(directory.path()).unwrap(), Stored::Damaged, "cut at {cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(directory.path().join(NAME), flipped).unwrap();
            assert_eq!(read(directory.path()).unwrap(), Stored::Damaged, "bit {bit}");
        }
    }
}
