//! Secrets in memory and at rest.
//!
//! What the database must keep reversibly (a password CHAP needs back, a NAS's shared secret) is sealed under a key
//! that lives in a file outside the database:
//!
//! ```no_run
//! # use std::path::Path;
//! # use isp_core::secret::{KeyRing, Sealed, SecretError};
//! # fn main() -> Result<(), SecretError> {
//! let keys = KeyRing::load(Path::new("/etc/isp/keys"))?;
//! let text = keys.seal("subscriber 7", b"hunter2")?;
//! if let Some(sealed) = Sealed::parse(&text)? {
//!     let plain = keys.open("subscriber 7", &sealed)?;
//!     assert_eq!(plain.expose(), b"hunter2");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The key file is text, mode 0600, one key a line; `#` starts a comment:
//!
//! ```text
//! isp-keys 1
//! key 1 q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=
//! key 2 7xI0VniQq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq80= primary
//! ```
//!
//! The primary key seals, all of them open. Once nothing in the database is sealed under an old key, its line may go.

mod key_file;
mod sealed;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use sealed::Sealed;

/// A value that is never shown: `Debug` prints `[redacted]`, there is no `Display`, and it is wiped when dropped.
#[derive(Clone)]
pub struct Secret<T: zeroize::Zeroize>(zeroize::Zeroizing<T>);

impl<T: zeroize::Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(zeroize::Zeroizing::new(value))
    }

    /// The value. Name the reason where it leaves this library.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: zeroize::Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a sealed value could not be opened, or a key file not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot {action} the key file {}: {source}", path.display())]
    KeyFile {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not a regular file, so it is no key file", .0.display())]
    NotAFile(PathBuf),
    #[error("the key file {} can be used by others (mode {mode:04o}): chmod 600 {}", path.display(), path.display())]
    Permissions { path: PathBuf, mode: u32 },
    #[error(
        "the key file {} belongs to user id {owner}, who is neither root nor the user this runs as ({user}): \
         chown {user} {} && chmod 600 {}", path.display(), path.display(), path.display()
    )]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        problem: &'static str,
    },
    #[error("the key file {} has {count} keys marked primary, it must have exactly one", path.display())]
    Primary { path: PathBuf, count: usize },
    #[error(
        "{} is in the way: another rotation of {} is under way, or was interrupted; in the latter case remove it",
        temporary.display(), path.display()
    )]
    RotationUnderWay { path: PathBuf, temporary: PathBuf },
    #[error("the value is sealed under key {id}, which is not in the key file {}", path.display())]
    UnknownKey { id: u32, path: PathBuf },
    #[error("the sealed value is damaged: {0}")]
    Damaged(&'static str),
    #[error("key {id} does not open the value: it is damaged, or was copied from another row")]
    Rejected { id: u32 },
    #[error("the value is too long to be sealed")]
    TooLong,
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Length of a key, bytes.
const KEY: usize = 32;

/// The keys that seal secrets at rest (XChaCha20-Poly1305). One is primary: it seals; all open. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing(Arc<Ring>);

struct Ring {
    /// Where the keys came from, for messages.
    path: PathBuf,
    primary: u32,
    keys: Vec<(u32, Secret<[u8; KEY]>)>,
}

impl KeyRing {
    /// Read a key file. Refuses one that others can read.
    ///
    /// # Errors
    /// Names the file, the line where it is one, and what to do.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        key_file::read(path)?.into_ring(path)
    }

    /// Make a new key file (mode 0600) with one fresh key; never overwrites.
    ///
    /// # Errors
    /// The file exists, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, SecretError> {
        key_file::create(path)?.into_ring(path)
    }

    /// Add a fresh primary key to the file (atomically); older ones stay to open what they sealed.
    ///
    /// # Errors
    /// As [`Self::load`], or the file cannot be replaced; it is then as it was.
    pub fn rotate(path: &Path) -> Result<Self, SecretError> {
        key_file::rotate(path)?.into_ring(path)
    }

    /// Id of the primary key.
    #[must_use]
    pub fn primary(&self) -> u32 {
        self.0.primary
    }

    /// Seal `plain`, bound to `context` (the row's id). Text form: `sealed:<key id>:<base64 of nonce, ciphertext, tag>`.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String, SecretError> {
        let id = self.primary();
        Ok(sealed::seal(id, self.key(id)?, context, plain)?.to_string())
    }

    /// Open what was sealed for the same `context`.
    ///
    /// # Errors
    /// The key is not in the file, or the value was not sealed by it for this context.
    pub fn open(&self, context: &str, sealed: &Sealed<'_>) -> Result<Secret<Vec<u8>>, SecretError> {
        sealed::open(self.key(sealed.key_id)?, context, sealed)
    }

    fn key(&self, id: u32) -> Result<&Secret<[u8; KEY]>, SecretError> {
        let found = self.0.keys.iter().find(|(known, _)| *known == id);
        found.map(|(_, key)| key).ok_or_else(|| SecretError::UnknownKey {
            id,
            path: self.0.path.clone(),
        })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<u32> = self.0.keys.iter().map(|(id, _)| *id).collect();
        f.debug_struct("KeyRing")
            .field("path", &self.0.path)
            .field("primary", &self.0.primary)
            .field("ids", &ids)
            .finish_non_exhaustive()
    }
}
