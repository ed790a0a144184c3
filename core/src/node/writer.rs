//! Outcomes of logins on their way to the database: queued, and written in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use super::NodeConfig;
use super::link::Link;
use super::logins::Logins;
use crate::accounting::PostAuthRecord;
use crate::store::StoreError;

/// Records per transaction. Those that arrive while one is being written make up the next.
const BATCH: usize = 512;
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Outcomes {
    queue: mpsc::Sender<PostAuthRecord>,
    dropped: AtomicU64,
    logins: Arc<Logins>,
    task: JoinHandle<()>,
}

impl Outcomes {
    pub(super) fn spawn(runtime: &tokio::runtime::Handle, config: &NodeConfig, link: &Arc<Link>) -> Self {
        let (queue, queued) = mpsc::channel(config.post_auth_queue);
        Self {
            queue,
            dropped: AtomicU64::new(0),
            logins: Arc::default(),
            task: runtime.spawn(write_outcomes(Arc::clone(link), queued)),
        }
    }

    pub(super) fn post_auth(&self, record: PostAuthRecord) {
        self.logins.count(&record);
        if self.queue.try_send(record).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                warn!("{dropped} rows of radpostauth dropped so far: the database does not keep up or is away");
            }
        }
    }

    /// How they ended, for the report.
    pub(super) fn logins(&self) -> Arc<Logins> {
        Arc::clone(&self.logins)
    }

    /// Write what is queued, then stop.
    pub(super) async fn finish(self) {
        let Self { queue, task, .. } = self;
        drop(queue);
        if let Err(why) = task.await {
            error!("the writer of radpostauth ended badly: {why}");
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
