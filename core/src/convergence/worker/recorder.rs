//! Writes what came of orders, many at a time, while others are on their way.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::store::{OrderOutcome, Store};

/// Outcomes written by one transaction, at most.
const MOST: usize = 2_048;
/// How long the first outcome of a transaction waits for others. What a commit costs is nearly the same for one and for
/// hundreds; nobody waits for a result as closely as this.
const LINGER: Duration = Duration::from_millis(5);

/// Takes outcomes from one channel, and gives the ids of those that are on disk to another.
pub(super) struct Recorder {
    pub(super) store: Store,
    pub(super) owner: String,
    pub(super) outcomes: mpsc::UnboundedReceiver<OrderOutcome>,
    pub(super) written: mpsc::UnboundedSender<Vec<i64>>,
    /// Wait before a database that is away is tried again.
    pub(super) pause: Duration,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Recorder {
    /// Work until there are no more outcomes to come. What cannot be written once `stopped` is set is left: it is sent again
    /// by whoever takes it over.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(MOST);
        while self.outcomes.recv_many(&mut batch, MOST).await > 0 {
            let until = Instant::now() + LINGER;
            while batch.len() < MOST {
                let room = MOST - batch.len();
                match timeout_at(until, self.outcomes.recv_many(&mut batch, room)).await {
                    Ok(more) if more > 0 => {}
                    _ => break,
                }
            }
            self.write(&batch).await;
            batch.clear();
        }
    }

    /// As often as it takes.
    async fn write(&mut self, batch: &[OrderOutcome]) {
        let mut away = false;
        loop {
            match self.store.finish_orders(&self.owner, batch).await {
                Ok(written) => {
                    if away {
                        info!("orders for NAS: the database is back");
                    }
                    let lost = batch.len().saturating_sub(written.len());
                    if lost > 0 {
                        warn!("{lost} orders were taken over by another process before their outcome was written");
                    }
                    break;
                }
                Err(why) if *self.stopped.borrow() => {
                    warn!("what came of the last orders for NAS is not written, they will be sent again: {why}");
                    break;
                }
                Err(why) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!("what came of orders for NAS waits for the database: {why}");
                    }
                    let _ = tokio::time::timeout(self.pause, self.stopped.changed()).await;
                }
            }
        }
        // Whoever had them in hand may be gone.
        let _ = self.written.send(batch.iter().map(|outcome| outcome.id).collect());
    }
}
