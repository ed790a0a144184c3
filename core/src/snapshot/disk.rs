//! The copy on disk: a server restarts and keeps authenticating while its database is away.
//!
//! Layout: magic, header (position in the change feed, time, catalog), records, each with its length, a zero length, and
//! a CRC-32 of everything before it. Integers are little-endian. Written beside the old copy and renamed over it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::catalog::Parts;
use super::record::Record;
use super::{Catalog, Snapshot};
use crate::group::Group;
use crate::nas::NasRecord;
use crate::plan::Plan;
use crate::policy::vendor::VendorSet;
use crate::tenant::{Tenant, TenantCondition, TenantRealm};

/// Names the layout: another one gets another last byte, and an old copy is then loaded from the database instead.
const MAGIC: &[u8; 8] = b"ISPSNAP\x0c";
/// A subscriber's record is a few hundred bytes; a length past this is damage.
const MOST_RECORD: usize = 1 << 20;
const MOST_HEADER: usize = 1 << 28;

/// A copy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not a snapshot of this version")]
    Foreign,
    #[error("damaged: {0}")]
    Damaged(&'static str),
}

#[derive(Serialize)]
struct Header<'a> {
    position: &'a str,
    confirmed_at: i64,
    catalog: Parts<'a>,
}

#[derive(Deserialize)]
struct OwnedHeader {
    position: String,
    confirmed_at: i64,
    catalog: OwnedParts,
}

#[derive(Deserialize)]
struct OwnedParts {
    tenants: Vec<(String, Option<Tenant>)>,
    plans: Vec<(String, Option<Plan>)>,
    groups: Vec<(String, Option<Group>)>,
    nas: Vec<NasRecord>,
    conditions: Vec<TenantCondition>,
    realms: Vec<TenantRealm>,
}

/// A snapshot read back, with where it stood.
#[derive(Debug)]
pub struct Stored {
    pub snapshot: Snapshot,
    /// Position in the change feed.
    pub position: String,
    /// When the database last confirmed it, Unix seconds.
    pub confirmed_at: i64,
}

impl Snapshot {
    /// Write a copy to `path`, atomically, readable by the owner alone.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub fn save(&self, path: &Path, position: &str, confirmed_at: i64) -> Result<(), DiskError> {
        let temporary = path.with_extension("tmp");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let mut out = Checked::new(BufWriter::with_capacity(1 << 18, file));
        let catalog = self.catalog();
        let header = postcard::to_allocvec(&Header {
            position,
            confirmed_at,
            catalog: catalog.parts(),
        })
        .map_err(|_| DiskError::Damaged("header cannot be packed"))?;
        out.write_all(MAGIC)?;
        out.write_block(&header)?;
        for record in self.table.records() {
            out.write_block(record.as_bytes())?;
        }
        out.write_block(&[])?;
        let file = out.finish()?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// When the database last confirmed what the copy at `path` holds, Unix seconds; all of it is read, and verified.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn confirmed_at(path: &Path) -> Result<i64, DiskError> {
        Ok(Self::load(path, Arc::default())?.confirmed_at)
    }

    /// Read a copy back, to serve NAS of these vendors.
    ///
    /// # Errors
    /// There is none, it is of another version, or it is damaged anywhere.
    pub fn load(path: &Path, vendors: Arc<VendorSet>) -> Result<Stored, DiskError> {
        let mut input = Checked::new(BufReader::with_capacity(1 << 18, File::open(path)?));
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(DiskError::Foreign);
        }
        let mut block = Vec::new();
        input.read_block(&mut block, MOST_HEADER)?;
        let header: OwnedHeader = postcard::from_bytes(&block).map_err(|_| DiskError::Damaged("header"))?;
        let parts = header.catalog;
        let snapshot = Self::default();
        loop {
            input.read_block(&mut block, MOST_RECORD)?;
            if block.is_empty() {
                break;
            }
            snapshot.insert(Record::from_bytes(&block).ok_or(DiskError::Damaged("record"))?);
        }
        input.verify()?;
        snapshot.replace_catalog(Catalog::from_parts(
            parts.tenants,
            parts.plans,
            parts.groups,
            parts.nas,
            parts.conditions,
            parts.realms,
            vendors,
        ));
        Ok(Stored {
            snapshot,
            position: header.position,
            confirmed_at: header.confirmed_at,
        })
    }
}

/// A stream with a running checksum.
struct Checked<S> {
    stream: S,
    crc: crc32fast::Hasher,
}

impl<S> Checked<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            crc: crc32fast::Hasher::new(),
        }
    }
}

impl Checked<BufWriter<File>> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.stream.write_all(bytes)
    }

    fn write_block(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let len = u32::try_from(bytes.len()).map_err(|_| DiskError::Damaged("block too long"))?;
        self.write_all(&len.to_le_bytes())?;
        Ok(self.write_all(bytes)?)
    }

    fn finish(mut self) -> io::Result<File> {
        let crc = self.crc.finalize();
        self.stream.write_all(&crc.to_le_bytes())?;
        self.stream.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Checked<BufReader<File>> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(bytes)?;
        self.crc.update(bytes);
        Ok(())
    }

    fn read_block(&mut self, block: &mut Vec<u8>, most: usize) -> Result<(), DiskError> {
        let mut len = [0; 4];
        self.read_exact(&mut len)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > most {
            return Err(DiskError::Damaged("length"));
        }
        block.resize(len, 0);
        Ok(self.read_exact(block)?)
    }

    fn verify(mut self) -> Result<(), DiskError> {
        let mut stored = [0; 4];
        self.stream.read_exact(&mut stored)?;
        if self.crc.finalize() == u32::from_le_bytes(stored) {
            Ok(())
        } else {
            Err(DiskError::Damaged("checksum"))
        }
    }
}
