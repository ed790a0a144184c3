//! The subscriber base as the reconciler and the workers see it: a snapshot, kept fresh by the change feed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::dictionary::AnyAttribute;
use crate::node::intake::Intake;
use crate::policy::vendor::VendorSet;
use crate::snapshot::Snapshot;
use crate::store::{Change, Feed, FeedPosition, Store, StoreError};

/// More changes than this at once are cheaper to take in by a full load.
const MOST_CHANGES: u32 = 100_000;
/// A feed that does not answer for this long is as good as gone.
const FEED_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);

/// What the snapshot has taken in.
#[derive(Debug)]
pub(super) enum News {
    Changes(Vec<Change>),
    /// Anything may have changed.
    All,
}

/// Keeps the snapshot fresh, and says what changed once it has.
pub(super) struct Base {
    store: Store,
    snapshot: Arc<ArcSwap<Snapshot>>,
    intake: Intake,
    poll: Duration,
    news: mpsc::Sender<News>,
}

impl Base {
    pub(super) fn new(
        store: Store,
        vendors: Arc<VendorSet>,
        poll: Duration,
        news: mpsc::Sender<News>,
    ) -> (Self, Arc<ArcSwap<Snapshot>>) {
        let snapshot = Arc::new(ArcSwap::default());
        let base = Self {
            store,
            snapshot: Arc::clone(&snapshot),
            intake: Intake::new(Arc::new(AnyAttribute), vendors),
            poll,
            news,
        };
        (base, snapshot)
    }

    /// Load, and follow until `stopped` changes. `loaded` is told of the first load.
    pub(super) async fn run(mut self, loaded: watch::Sender<bool>, mut stopped: watch::Receiver<bool>) {
        let mut away = false;
        loop {
            let fault = tokio::select! {
                _ = stopped.changed() => return,
                fault = self.follow(&loaded, &mut away) => fault,
            };
            match fault {
                // Nobody listens any more.
                Ok(()) => return,
                Err(why) if !away => warn!("live sessions: the database is away: {why}"),
                Err(_) => {}
            }
            away = true;
            tokio::select! {
                _ = stopped.changed() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn follow(&mut self, loaded: &watch::Sender<bool>, away: &mut bool) -> Result<(), StoreError> {
        let position = self.load().await?;
        let mut feed = self.store.follow(position, self.poll).await?;
        loaded.send_replace(true);
        if std::mem::take(away) {
            info!("live sessions: the database is back");
        }
        if self.news.send(News::All).await.is_err() {
            return Ok(());
        }
        loop {
            feed.wait().await?;
            let news = tokio::time::timeout(FEED_TIMEOUT, feed.next(MOST_CHANGES))
                .await
                .map_err(|_| StoreError::timeout("reading the change feed", FEED_TIMEOUT))??;
            let news = match news {
                Feed::Changes { changes, .. } if changes.is_empty() => continue,
                Feed::Changes { changes, .. } => {
                    let snapshot = self.snapshot.load_full();
                    let taken_in = self.intake.take_in(&self.store, &snapshot, &changes).await?;
                    if taken_in { News::Changes(changes) } else { News::All }
                }
                Feed::Lost => News::All,
            };
            if matches!(news, News::All) {
                let position = self.load().await?;
                feed = self.store.follow(position, self.poll).await?;
            }
            if self.news.send(news).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn load(&mut self) -> Result<FeedPosition, StoreError> {
        let mut builder = self.intake.builder();
        let position = self.store.load_snapshot(&mut builder).await?;
        let (snapshot, left_out) = builder.finish();
        self.intake.remember(left_out);
        self.snapshot.store(Arc::new(snapshot));
        Ok(position)
    }
}
