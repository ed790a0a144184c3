//! What a node does now and then, whoever else does it too: writes down planned changes that have come, rolls quotas over, ends sessions that fell silent, forgets what
//! is over, makes room for the next month.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use super::NodeConfig;
use super::link::Link;
use crate::accounting::addresses::Addresses;
use crate::accounting::journal::Journal;
use crate::accounting::presence::Presence;
use crate::accounting::silence::Silence;
use crate::clock::unix_now;
use crate::store::{Store, StoreError};

/// A quota whose period ends, and a top-up, count this soon.
const EVERY: Duration = Duration::from_secs(5);
/// All else is not in a hurry.
const SLOWLY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Upkeep {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Upkeep {
    pub(super) fn spawn(
        runtime: &tokio::runtime::Handle,
        config: &NodeConfig,
        link: &Arc<Link>,
        presence: Option<&Arc<Presence>>,
        addresses: &Arc<Addresses>,
        journal: Option<&Arc<Journal>>,
    ) -> Self {
        let (stop, mut stopping) = watch::channel(false);
        let mut work = Work {
            link: Arc::clone(link),
            silence: config.silence,
            addresses: Arc::clone(addresses),
            learned: false,
            presence: presence.cloned(),
            journal: journal.cloned(),
            listening: unix_now(),
            tidied: None,
        };
        let task = runtime.spawn(async move {
            loop {
                work.round().await;
                if tokio::time::timeout(EVERY, stopping.changed()).await.is_ok() {
                    return;
                }
            }
        });
        Self { stop, task }
    }

    pub(super) async fn finish(self) {
        let _ = self.stop.send(true);
        // A statement it waits for may take long, and none of them matters now.
        self.task.abort();
        if let Err(why) = self.task.await
            && !why.is_cancelled()
        {
            error!("upkeep ended badly: {why}");
        }
    }
}

struct Work {
    link: Arc<Link>,
    silence: Silence,
    presence: Option<Arc<Presence>>,
    addresses: Arc<Addresses>,
    /// Sessions that began before this node did have been read.
    learned: bool,
    journal: Option<Arc<Journal>>,
    /// Since when reports come through to the database: no session was silent before, as far as this node can tell.
    listening: i64,
    /// When what is not in a hurry was last done.
    tidied: Option<Instant>,
}

impl Work {
    async fn round(&mut self) {
        let now = unix_now();
        let tidy = self.tidied.is_none_or(|tidied| tidied.elapsed() >= SLOWLY);
        if tidy {
            self.tidied = Some(Instant::now());
            if let Some(presence) = &self.presence {
                presence.prune(now);
            }
            self.addresses.prune(now);
        }
        // While the database is away others say so; it is tried again in the next round.
        match self.database(now, tidy).await {
            Err(why) if why.is_transient() => debug!("upkeep: {why}"),
            Err(why) if tidy => warn!("upkeep: {why}"),
            _ => {}
        }
    }

    async fn database(&mut self, now: i64, tidy: bool) -> Result<(), StoreError> {
        let store = self.reach().await?;
        if !self.learned {
            let since = now.saturating_sub(self.silence.longest_patience());
            let sessions = store.sessions_heard_since(since).await?;
            self.addresses.learn(&sessions);
            if let Some(presence) = &self.presence {
                presence.learn(sessions, now);
            }
            self.learned = true;
        }
        // One that fails must not keep the others from being done.
        let planned = store.schedule_apply(now).await;
        let rolled = store.quota_roll(now).await;
        if tidy {
            self.tidy(&store, now).await?;
        }
        planned?;
        rolled.map(drop)
    }

    /// The database, if it answers.
    async fn reach(&mut self) -> Result<Arc<Store>, StoreError> {
        let reached = async {
            let store = self.link.store().await?;
            store.ping().await.map(|()| store)
        };
        let reached = reached.await;
        if reached.is_err() {
            self.listening = unix_now();
        }
        reached
    }

    async fn tidy(&self, store: &Store, now: i64) -> Result<(), StoreError> {
        let made = store.radacct_upkeep(now).await;
        let expired = store.expire_claims(now).await;
        if self.silence.intervals > 0 {
            let oldest = self.journal.as_ref().and_then(|journal| journal.stats().oldest);
            let applied_until = oldest.map_or(now, |oldest| oldest.min(now));
            let closed = store.close_silent(&self.silence, self.listening, applied_until).await?;
            if closed > 0 {
                info!("{closed} sessions closed that were not heard of for too long");
            }
        }
        made?;
        expired?;
        Ok(())
    }
}
