//! From the journal to the database: batch after batch, in order, as often as it takes.
//!
//! A batch whose end is not known is sent again: the store takes every record twice without a difference.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tracing::{error, info, warn};

use super::link::Link;
use crate::accounting::AccountingRecord;
use crate::accounting::aside::{self, Refused};
use crate::accounting::journal::{Batch, Reader};
use crate::clock::unix_now;
use crate::store::StoreError;

/// Records per transaction, if there are as many. A database that does not manage so many in its time gets half.
const MOST: usize = 16_000;
const LEAST: usize = 50;
/// A checkpoint may be behind by so much while nothing happens.
const IDLE: Duration = Duration::from_secs(1);
/// Records that come one after another are gathered: a batch costs the database much the same whatever its size.
const APART: Duration = Duration::from_millis(200);
/// Answering comes first: while more records come than are applied, the database works for this node half of the time
/// and leaves the processors to packets. No longer than this, in records' age (seconds) and for a single rest.
const BEHIND: i64 = 5;
const MOST_REST: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(200);
const MOST_RETRY: Duration = Duration::from_secs(5);
/// A node that stops does not wait for a database that is away; a connection may be lost just then.
const LAST_TRIES: u32 = 5;

#[derive(Debug)]
pub(super) struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Apply what there is, unless the database is away, and stop.
    pub(super) async fn finish(self) {
        let _ = self.stop.send(true);
        if let Err(why) = self.task.await {
            error!("the applier of accounting ended badly: {why}");
        }
    }
}

struct Applier {
    reader: Reader,
    link: Arc<Link>,
    refused: PathBuf,
    stop: watch::Receiver<bool>,
    /// Records per transaction at present.
    at_once: usize,
    waiting: bool,
    last_tries: u32,
}

/// Start applying. Records that the database refuses go to the file `refused`.
pub(super) fn spawn(runtime: &tokio::runtime::Handle, reader: Reader, link: &Arc<Link>, refused: PathBuf) -> Handle {
    let (stop, stopping) = watch::channel(false);
    let applier = Applier {
        reader,
        link: Arc::clone(link),
        refused,
        stop: stopping,
        at_once: MOST,
        waiting: false,
        last_tries: LAST_TRIES,
    };
    Handle {
        stop,
        task: runtime.spawn(applier.run()),
    }
}

/// Why records are not in the database.
enum Fault {
    /// It is away, or not as it should be.
    Database(StoreError),
    /// Refused ones could not be put aside.
    Aside(io::Error),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(why) => why.fmt(f),
            Self::Aside(why) => write!(f, "records it refuses cannot be put aside: {why}"),
        }
    }
}

impl Applier {
    async fn run(mut self) {
        while let Some(batch) = self.next().await {
            let (began, appended) = (Instant::now(), self.reader.appended());
            if !self.insist(&batch).await {
                break;
            }
            block_in_place(|| self.reader.applied(&batch));
            let surge = self.reader.appended() - appended > batch.records.len() as u64;
            self.rest(began.elapsed(), surge).await;
        }
        block_in_place(|| self.reader.checkpoint());
    }

    /// Let records gather after a batch that took so long.
    async fn rest(&mut self, took: Duration, surge: bool) {
        if *self.stop.borrow() {
            return;
        }
        let behind = self.reader.oldest().is_some_and(|oldest| unix_now() - oldest > BEHIND);
        let rest = if surge && !behind {
            took.clamp(APART, MOST_REST)
        } else {
            APART.saturating_sub(took)
        };
        let _ = tokio::time::timeout(rest, self.stop.changed()).await;
    }

    /// The next records; `None` if it is over.
    async fn next(&mut self) -> Option<Batch> {
        let mut pause = RETRY;
        loop {
            match block_in_place(|| self.reader.read(MOST)) {
                Ok(Some(batch)) => return Some(batch),
                Ok(None) if *self.stop.borrow() => return None,
                Ok(None) => tokio::select! {
                    () = self.reader.readable() => {}
                    _ = self.stop.changed() => {}
                    () = tokio::time::sleep(IDLE) => block_in_place(|| self.reader.checkpoint()),
                },
                Err(why) => {
                    if pause == RETRY {
                        error!("accounting records cannot be applied: {why}");
                    }
                    if !self.pause(&mut pause).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Store a batch, however long it takes. Returns whether it is.
    async fn insist(&mut self, batch: &Batch) -> bool {
        let mut pause = RETRY;
        let mut stored = 0;
        while let Some(left) = batch.records.get(stored..).filter(|left| !left.is_empty()) {
            let part = &left[..self.at_once.min(left.len())];
            match self.apply(part).await {
                Ok(()) => {
                    stored += part.len();
                    pause = RETRY;
                    self.at_once = (self.at_once * 2).min(MOST);
                    if self.waiting {
                        info!("accounting records go to the database again");
                        self.waiting = false;
                    }
                }
                Err(why) => {
                    if !self.waiting {
                        warn!("accounting records wait in the journal for the database: {why}");
                        self.waiting = true;
                    }
                    if !self.pause(&mut pause).await {
                        return false;
                    }
                    if matches!(&why, Fault::Database(why) if why.is_transient()) {
                        self.at_once = (self.at_once / 2).max(LEAST);
                    }
                }
            }
        }
        true
    }

    /// Returns whether to go on.
    async fn pause(&mut self, pause: &mut Duration) -> bool {
        if *self.stop.borrow() {
            self.last_tries = self.last_tries.saturating_sub(1);
            tokio::time::sleep(RETRY).await;
            return self.last_tries > 0;
        }
        let _ = tokio::time::timeout(*pause, self.stop.changed()).await;
        *pause = (*pause * 2).min(MOST_RETRY);
        true
    }

    async fn apply(&self, records: &[AccountingRecord]) -> Result<(), Fault> {
        let store = self.link.store().await.map_err(Fault::Database)?;
        let refused = store.sift_accounting(records).await.map_err(Fault::Database)?;
        block_in_place(|| self.put_aside(&refused)).map_err(Fault::Aside)
    }

    fn put_aside(&self, refused: &[(&AccountingRecord, StoreError)]) -> io::Result<()> {
        let Some((_, why)) = refused.first() else { return Ok(()) };
        let lines: Vec<_> = refused
            .iter()
            .map(|(record, why)| Refused {
                refused_at: unix_now(),
                error: why.to_string(),
                record: (*record).clone(),
            })
            .collect();
        aside::append(&self.refused, &lines)?;
        error!(
            "the database refuses {} accounting records, which are kept in {} (ispctl accounting retry hands them on again); \
             the first one: {why}",
            refused.len(),
            self.refused.display()
        );
        Ok(())
    }
}
