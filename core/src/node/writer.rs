//! What the hooks hand to the database: outcomes (queued) and accounting (waited for), in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as blocking;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use super::NodeConfig;
use super::link::Link;
use crate::accounting::{AccountingRecord, PostAuthRecord};
use crate::store::StoreError;

/// Records per transaction. Those that arrive while one is being written make up the next.
const BATCH: usize = 512;
/// Accounting packets that may wait; more than the server has threads.
const ACCOUNTING_QUEUE: usize = 4_096;
const RETRY: Duration = Duration::from_secs(1);

/// An accounting packet was not stored; the NAS must not get an answer.
#[derive(Debug, thiserror::Error)]
pub enum AccountingError {
    #[error("the database did not take the record within {0:?}")]
    Timeout(Duration),
    #[error("the database did not take the record: {0}")]
    Store(String),
    #[error("the database does not keep up with accounting")]
    Busy,
    #[error("the node is shutting down")]
    ShuttingDown,
}

type Waiting = (AccountingRecord, blocking::SyncSender<Result<(), String>>);

/// Whether the database last took longer than a packet may wait.
///
/// While it does, one record at a time waits and sees whether it is still so. Otherwise every worker thread of the server
/// would come to wait here, and logins with them.
#[derive(Debug, Default)]
struct Stall {
    stalled: AtomicBool,
    probing: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Writers {
    outcomes: mpsc::Sender<PostAuthRecord>,
    dropped: AtomicU64,
    accounting: mpsc::Sender<Waiting>,
    stall: Stall,
    tasks: [JoinHandle<()>; 2],
}

impl Writers {
    pub(super) fn spawn(runtime: &tokio::runtime::Handle, config: &NodeConfig, link: &Arc<Link>) -> Self {
        let (outcomes, outcome_queue) = mpsc::channel(config.post_auth_queue);
        let (accounting, accounting_queue) = mpsc::channel(ACCOUNTING_QUEUE);
        let tasks = [
            runtime.spawn(write_outcomes(Arc::clone(link), outcome_queue)),
            runtime.spawn(write_accounting(Arc::clone(link), accounting_queue)),
        ];
        Self {
            outcomes,
            dropped: AtomicU64::new(0),
            accounting,
            stall: Stall::default(),
            tasks,
        }
    }

    pub(super) fn post_auth(&self, record: PostAuthRecord) {
        if self.outcomes.try_send(record).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                warn!("{dropped} rows of radpostauth dropped so far: the database does not keep up or is away");
            }
        }
    }

    pub(super) fn accounting(&self, record: AccountingRecord, limit: Duration) -> Result<(), AccountingError> {
        let stalled = self.stall.stalled.load(Ordering::Relaxed);
        if stalled && self.stall.probing.swap(true, Ordering::AcqRel) {
            return Err(AccountingError::Busy);
        }
        let outcome = self.wait(record, limit);
        match outcome {
            Ok(()) => self.stall.stalled.store(false, Ordering::Relaxed),
            Err(AccountingError::Timeout(_)) => self.stall.stalled.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        if stalled {
            self.stall.probing.store(false, Ordering::Release);
        }
        outcome
    }

    fn wait(&self, record: AccountingRecord, limit: Duration) -> Result<(), AccountingError> {
        let (done, outcome) = blocking::sync_channel(1);
        self.accounting
            .try_send((record, done))
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => AccountingError::Busy,
                mpsc::error::TrySendError::Closed(_) => AccountingError::ShuttingDown,
            })?;
        match outcome.recv_timeout(limit) {
            Ok(stored) => stored.map_err(AccountingError::Store),
            Err(blocking::RecvTimeoutError::Timeout) => Err(AccountingError::Timeout(limit)),
            Err(blocking::RecvTimeoutError::Disconnected) => Err(AccountingError::ShuttingDown),
        }
    }

    /// Write what is queued, then stop.
    pub(super) async fn finish(self) {
        let Self {
            outcomes,
            accounting,
            tasks,
            ..
        } = self;
        drop((outcomes, accounting));
        for task in tasks {
            if let Err(why) = task.await {
                error!("a writer to the database ended badly: {why}");
            }
        }
    }
}

async fn write_outcomes(link: Arc<Link>, mut queue: mpsc::Receiver<PostAuthRecord>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if insist(&link, &batch).await.is_err() {
            // One row the database refuses must not take the others with it.
            for row in &batch {
                if let Err(why) = insist(&link, std::slice::from_ref(row)).await {
                    error!("a row of radpostauth is lost: {why}");
                }
            }
        }
        batch.clear();
    }
}

/// Write rows of `radpostauth`, for as long as the database is merely away. `Err` = it refuses them.
async fn insist(link: &Link, rows: &[PostAuthRecord]) -> Result<(), StoreError> {
    let mut complained = false;
    while let Err(why) = store_outcomes(link, rows).await {
        if !why.is_transient() {
            return Err(why);
        }
        if !complained {
            warn!("rows of radpostauth wait for the database: {why}");
            complained = true;
        }
        tokio::time::sleep(RETRY).await;
    }
    Ok(())
}

async fn store_outcomes(link: &Link, batch: &[PostAuthRecord]) -> Result<(), StoreError> {
    link.store().await?.record_post_auth(batch).await
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
