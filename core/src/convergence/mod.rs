//! Live sessions converge to policy: what the database says of a subscriber reaches the sessions it has open.
//!
//! - The reconciler follows the change feed with a snapshot, decides open sessions anew with the one
//!   [`crate::policy::decide`], and where the outcome is not what a session was told last, places an order with the
//!   difference. One process leads; others stand by and take over.
//! - A [`Worker`] takes orders in hand, any number of workers on any number of hosts, tells the NAS, and writes what came of
//!   it together with what the session was told.
//!
//! Both meet in the table `coa_orders`. What a crash leaves in hand is sent again, the same, once its lease has run out.

mod base;
mod diff;
mod outlook;
mod reconciler;
mod review;
mod wire;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

pub use wire::WireError;
pub use worker::{Worker, WorkerConfig};

use crate::policy::vendor::VendorSet;
use crate::secret::KeyRing;
use crate::snapshot::Snapshot;
use crate::store::Store;
use base::Base;
use reconciler::Reconciler;

/// Settings of [`Convergence`].
#[derive(Debug, Clone)]
pub struct ConvergenceConfig {
    pub worker: WorkerConfig,
    /// What plans are to a NAS; the same that the servers read.
    pub vendors: Arc<VendorSet>,
    /// Opens the shared secrets of NAS.
    pub keys: Option<Arc<KeyRing>>,
    /// How often the change feed is polled where it cannot be waited on.
    pub poll: Duration,
}

/// Reconciler and worker at work, on the runtime they were started on.
#[derive(Debug)]
pub struct Convergence {
    stop: watch::Sender<bool>,
    loaded: watch::Receiver<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Convergence {
    /// Start. A database that is away is waited for.
    #[must_use]
    pub fn start(store: &Store, config: ConvergenceConfig) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (loaded_sender, loaded) = watch::channel(false);
        let (news_sender, news) = mpsc::channel(64);
        let (base, snapshot) = Base::new(store.clone(), Arc::clone(&config.vendors), config.poll, news_sender);
        let due = Arc::new(Notify::new());
        let owner = config.worker.owner.clone();
        let reconciler = Reconciler::new(store.clone(), Arc::clone(&snapshot), owner, Arc::clone(&due));
        let worker = Worker::new(
            store.clone(),
            Arc::clone(&snapshot),
            config.keys.clone(),
            config.worker.clone(),
        );
        let tasks = vec![
            tokio::spawn(base.run(loaded_sender, stopped.clone())),
            tokio::spawn(reconciler.run(news, stopped.clone())),
            tokio::spawn(once_loaded(loaded.clone(), worker.run(Arc::clone(&due), stopped))),
        ];
        Self { stop, loaded, tasks }
    }

    /// Wait until the subscriber base is in memory.
    pub async fn loaded(&mut self) {
        // It ends only with the program.
        let _ = self.loaded.wait_for(|loaded| *loaded).await;
    }

    /// Stop; what is on its way is waited for, a few seconds at most.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(why) = task.await {
                tracing::error!("live sessions: a task ended badly: {why}");
            }
        }
    }
}

/// Without NAS no order can be sent.
async fn once_loaded(mut loaded: watch::Receiver<bool>, run: impl Future<Output = ()>) {
    if loaded.wait_for(|loaded| *loaded).await.is_ok() {
        run.await;
    }
}

/// A snapshot without subscribers, for a worker that needs no more than NAS.
///
/// # Errors
/// The database does not answer.
pub async fn nas_only(
    store: &Store,
    vendors: Arc<VendorSet>,
) -> Result<Arc<ArcSwap<Snapshot>>, crate::store::StoreError> {
    let mut catalog = crate::snapshot::Catalog::new(vendors);
    store.load_catalog(&mut catalog).await?;
    let snapshot = Snapshot::default();
    snapshot.replace_catalog(catalog);
    Ok(Arc::new(ArcSwap::from_pointee(snapshot)))
}
