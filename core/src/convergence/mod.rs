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

use crate::clock::unix_now;
use crate::dictionary::AnyAttribute;
use crate::order::{Cause, LiveSession, NewOrder, OrderKind, Verdict};
use crate::policy::vendor::VendorSet;
use crate::secret::KeyRing;
use crate::snapshot::{Snapshot, SnapshotBuilder};
use crate::store::{ReviewedSession, Store, StoreError};
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

/// Orders that tell these sessions (by `radacctid`) all that a CoA can carry of today's decision, whatever they were told
/// before; where they are refused, to end them. A session of no known subscriber, or of one whom nothing can be decided of,
/// gets none.
///
/// # Errors
/// The database does not answer.
pub async fn reapply(
    store: &Store,
    vendors: Arc<VendorSet>,
    sessions: &[LiveSession],
    actor: Option<&str>,
) -> Result<Vec<NewOrder>, StoreError> {
    let mut builder = SnapshotBuilder::new(Arc::new(AnyAttribute), vendors);
    store.load_catalog(&mut builder).await?;
    let subscribers: Vec<String> = sessions
        .iter()
        .filter_map(|session| session.subscriber_id.clone())
        .collect();
    store.load_subscribers(&subscribers, &mut builder).await?;
    let (snapshot, _) = builder.finish();
    let known = store.sessions_of(&subscribers).await?;
    let asked = |session: &&ReviewedSession| sessions.iter().any(|asked| asked.session_id == session.live.session_id);
    let orders = known.iter().filter(asked).filter_map(|session| {
        let outlook = reconciler::stands(&snapshot, session, unix_now())?;
        let refused = outlook.wanted.verdict == Verdict::Reject;
        Some(NewOrder {
            session_id: session.live.session_id,
            kind: if refused {
                OrderKind::Disconnect
            } else {
                OrderKind::Change
            },
            cause: Cause::Manual,
            actor: actor.map(str::to_owned),
            plan_id: session.plan_id.clone(),
            set: diff::all_carried(&outlook.coa, &outlook.wanted.items),
            unset: Vec::new(),
            wanted: Some(outlook.wanted),
        })
    });
    Ok(orders.collect())
}

/// A snapshot without subscribers, for a worker that needs no more than NAS.
///
/// # Errors
/// The database does not answer.
pub async fn nas_only(store: &Store, vendors: Arc<VendorSet>) -> Result<Arc<ArcSwap<Snapshot>>, StoreError> {
    let mut catalog = crate::snapshot::Catalog::new(vendors);
    store.load_catalog(&mut catalog).await?;
    let snapshot = Snapshot::default();
    snapshot.replace_catalog(catalog);
    Ok(Arc::new(ArcSwap::from_pointee(snapshot)))
}
