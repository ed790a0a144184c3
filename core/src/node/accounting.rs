//! When an accounting packet may be answered: once its record is in the journal, or in the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::error;

use super::link::Link;
use super::stall::{Stall, Waited};
use crate::accounting::AccountingRecord;
use crate::accounting::journal::{Journal, JournalError};
use crate::store::StoreError;

/// Records per transaction. Those that arrive while one is being written make up the next.
const BATCH: usize = 512;
/// Accounting packets that may wait; more than the server has threads.
const QUEUE: usize = 4_096;
/// How long the disk may take to write what waits when the node stops.
const CLOSE: Duration = Duration::from_secs(2);

/// An accounting packet was not stored; the NAS must not get an answer.
#[derive(Debug, thiserror::Error)]
pub enum AccountingError {
    #[error("the database did not take the record within {0:?}")]
    Timeout(Duration),
    #[error("the database did not take the record: {0}")]
    Store(String),
    #[error("what keeps accounting records, disk or database, does not keep up")]
    Busy,
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the node is shutting down")]
    ShuttingDown,
}

type Waiting = (AccountingRecord, blocking::SyncSender<Result<(), String>>);

#[derive(Debug)]
pub(super) struct Accounting {
    keeper: Keeper,
    stall: Stall,
    unanswered: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Keeper {
    Journal(Arc<Journal>),
    Database {
        queue: mpsc::Sender<Waiting>,
        task: JoinHandle<()>,
    },
}

impl Accounting {
    pub(super) fn in_journal(journal: Arc<Journal>) -> Self {
        Self {
            keeper: Keeper::Journal(journal),
            stall: Stall::default(),
            unanswered: Arc::default(),
        }
    }

    pub(super) fn in_database(runtime: &tokio::runtime::Handle, link: &Arc<Link>) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let task = runtime.spawn(write_accounting(Arc::clone(link), queued));
        Self {
            keeper: Keeper::Database { queue, task },
            stall: Stall::default(),
            unanswered: Arc::default(),
        }
    }

    pub(super) fn journal(&self) -> Option<&Arc<Journal>> {
        match &self.keeper {
            Keeper::Journal(journal) => Some(journal),
            Keeper::Database { .. } => None,
        }
    }

    /// How many records were not kept so far.
    pub(super) fn unanswered(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.unanswered)
    }

    /// Keep a record; returns once it is safe.
    pub(super) fn keep(&self, record: AccountingRecord, limit: Duration) -> Result<(), AccountingError> {
        let kept = self.stall.guard(|| {
            let outcome = match &self.keeper {
                Keeper::Journal(journal) => journal.append(&record, limit).map_err(AccountingError::from),
                Keeper::Database { queue, .. } => wait_for_database(queue, record, limit),
            };
            let waited = match &outcome {
                Ok(()) => Waited::Answered,
                Err(AccountingError::Timeout(_) | AccountingError::Journal(JournalError::Timeout(_))) => {
                    Waited::TooLong
                }
                Err(_) => Waited::Neither,
            };
            (outcome, waited)
        });
        let kept = kept.unwrap_or(Err(AccountingError::Busy));
        if kept.is_err() {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    /// Write what waits; nothing is kept from here on.
    pub(super) async fn finish(self) {
        let ended = match self.keeper {
            Keeper::Journal(journal) => tokio::task::spawn_blocking(move || journal.close(CLOSE)).await,
            Keeper::Database { queue, task } => {
                drop(queue);
                task.await
            }
        };
        if let Err(why) = ended {
            error!("the writer of accounting ended badly: {why}");
        }
    }
}

fn wait_for_database(
    queue: &mpsc::Sender<Waiting>,
    record: AccountingRecord,
    limit: Duration,
) -> Result<(), AccountingError> {
    let (done, outcome) = blocking::sync_channel(1);
    queue.try_send((record, done)).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => AccountingError::Busy,
        mpsc::error::TrySendError::Closed(_) => AccountingError::ShuttingDown,
    })?;
    match outcome.recv_timeout(limit) {
        Ok(stored) => stored.map_err(AccountingError::Store),
        Err(blocking::RecvTimeoutError::Timeout) => Err(AccountingError::Timeout(limit)),
        Err(blocking::RecvTimeoutError::Disconnected) => Err(AccountingError::ShuttingDown),
    }
}

async fn write_accounting(link: Arc<Link>, mut queue: mpsc::Receiver<Waiting>) {
    let mut waiting: Vec<Waiting> = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut waiting, BATCH).await > 0 {
        let (records, answers): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        match store_accounting(&link, &records).await {
            Ok(()) => answers.iter().for_each(|answer| say(answer, Ok(()))),
            Err(why) if why.is_transient() || records.len() == 1 => {
                answers.iter().for_each(|answer| say(answer, Err(why.to_string())));
            }
            // One record the database refuses must not take the others with it.
            Err(_) => {
                for (record, answer) in records.iter().zip(&answers) {
                    let stored = store_accounting(&link, std::slice::from_ref(record)).await;
                    say(answer, stored.map_err(|why| why.to_string()));
                }
            }
        }
    }
}

async fn store_accounting(link: &Link, records: &[AccountingRecord]) -> Result<(), StoreError> {
    link.store().await?.record_accounting(records).await
}

/// The hook may have stopped waiting; the record is stored all the same, and the NAS will send it again.
fn say(answer: &blocking::SyncSender<Result<(), String>>, outcome: Result<(), String>) {
    let _ = answer.send(outcome);
}
