//! SQLite: one writer connection, a few readers, one file.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Sqlite, SqliteConnection, SqlitePool, Transaction, pool::PoolConnection};

use super::error::StoreError;

/// How long to wait for a connection, and for another process that writes.
const WAIT: Duration = Duration::from_secs(5);

/// PRAGMA cache_size of the writer: 64 MiB, taken as needed. The indexes that accounting touches are many, and with the
/// usual cache their pages would go to the file and come back within one transaction.
const WRITER_CACHE: &str = "-65536";

/// PRAGMA cache_size for bulk work: 256 MiB, taken as needed.
const BULK_CACHE: &str = "-262144";

#[derive(Debug, Clone)]
pub(super) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    pub(super) file: Arc<DatabaseFile>,
}

/// Which file is open. A path can come to name another file, and writes to the old one would be lost.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    options: SqliteConnectOptions,
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SqliteStore {
    pub(super) async fn connect(url: &str, connections: u32, create: bool) -> Result<Self, StoreError> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::Url(
                "an SQLite database in memory cannot be shared by connections: give a file".to_owned(),
            ));
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| StoreError::Url(error.to_string()))?
            .foreign_keys(true)
            .busy_timeout(WAIT)
            .disable_statement_logging();
        let path = options.get_filename().to_owned();
        let failed = |reason: String| StoreError::Connect {
            database: path.display().to_string(),
            reason,
        };
        if !create && !path.exists() {
            return Err(failed("no such file; `ispctl migrate` makes it".to_owned()));
        }
        if create {
            make(&path).map_err(|error| failed(error.to_string()))?;
        }
        // FULL: a commit is on disk when it returns, which is what an accounting answer promises.
        let writer_options = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", WRITER_CACHE);
        let writer = pool(1)
            .connect_with(writer_options)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let (device, inode) = identity(&path).map_err(|error| failed(error.to_string()))?;
        let readers = pool(connections.max(1)).connect_lazy_with(options.clone().pragma("query_only", "ON"));
        Ok(Self {
            writer,
            readers,
            file: Arc::new(DatabaseFile {
                options,
                path,
                device,
                inode,
            }),
        })
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(super) async fn reader(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.file.check()?;
        self.readers.acquire().await
    }

    pub(super) async fn begin_read(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.file.check()?;
        self.readers.begin().await
    }

    pub(super) async fn writer(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.file.check()?;
        self.writer.acquire().await
    }

    /// A write transaction for bulk work.
    pub(super) async fn begin_bulk(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.bulk_pool().await?.begin_with("BEGIN IMMEDIATE").await
    }

    /// A read transaction for reading everything.
    pub(super) async fn begin_load(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.bulk_pool().await?.begin().await
    }

    /// A connection of its own. Bulk work touches indexes in no order, and with the usual cache every page would come
    /// from the file, or go there, time and again. The memory goes with the connection.
    async fn bulk_pool(&self) -> Result<SqlitePool, sqlx::Error> {
        self.file.check()?;
        let options = self.file.options.clone().synchronous(SqliteSynchronous::Full);
        pool(1).connect_with(options.pragma("cache_size", BULK_CACHE)).await
    }

    /// IMMEDIATE: waits for another writer at the start, where waiting is possible, not at the first write.
    pub(super) async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.file.check()?;
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }
}

impl DatabaseFile {
    /// A connection of its own, for reading.
    pub(super) async fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.check()?;
        self.options.clone().pragma("query_only", "ON").connect().await
    }

    /// Error if the path no longer names the file that was opened.
    pub(super) fn check(&self) -> Result<(), sqlx::Error> {
        let now = identity(&self.path)?;
        if now == (self.device, self.inode) {
            return Ok(());
        }
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!(
                "{} was replaced by another file since it was opened",
                self.path.display()
            ),
        )))
    }

    /// Part of a feed position: a database restored from a copy is another file.
    pub(super) fn tag(&self) -> String {
        format!("{:x}.{:x}", self.device, self.inode)
    }
}

/// Passwords are in it: for its owner alone. SQLite gives the files beside it the same mode.
fn make(path: &Path) -> std::io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path)
        .map(|file| (file.dev(), file.ino()))
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection is a file handle and a thread: nothing is gained by retiring it.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}
