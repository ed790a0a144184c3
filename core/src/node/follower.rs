//! Keeps the snapshot as the database has it: a full load, then the change feed, and the copy on disk beside it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::intake::Intake;
use super::link::Link;
use super::state::State;
use super::{NodeConfig, NodeError};
use crate::clock::unix_now;
use crate::dictionary::Dictionary;
use crate::snapshot::{Snapshot, Stored};
use crate::store::{Feed, FeedPosition, Store, StoreError};

/// More changes than this at once are cheaper to take in by a full load.
const MOST_CHANGES: u32 = 100_000;
/// A feed that does not answer for this long is as good as gone.
const FEED_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(2);
/// How often an absence of the database is said again.
const REMIND: Duration = Duration::from_secs(60);
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// A node that was away for longer loads everything anew.
const FEED_KEPT: Duration = Duration::from_secs(24 * 3_600);

pub(super) struct Follower {
    config: NodeConfig,
    intake: Intake,
    link: Arc<Link>,
    state: Arc<State>,
    position: Option<FeedPosition>,
    origin: &'static str,
    /// There are changes the copy on disk does not have.
    dirty: bool,
    saved_at: Instant,
    /// The copy being written.
    saving: Option<JoinHandle<Result<(), String>>>,
    /// Since when the database does not answer, and when that was last said.
    away: Option<(Instant, Instant)>,
    pruned: Option<Instant>,
}

/// A follower at work.
#[derive(Debug)]
pub(super) struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Load from the database or, failing that, from the copy on disk.
pub(super) async fn load(
    config: &NodeConfig,
    dictionary: Arc<dyn Dictionary>,
    link: Arc<Link>,
) -> Result<(Arc<State>, Follower), NodeError> {
    let mut intake = Intake::new(dictionary, Arc::clone(&config.vendors));
    let (snapshot, position, confirmed_at, origin) = match load_whole(&link, &mut intake).await {
        Ok((snapshot, position)) => (snapshot, position, unix_now(), "the database"),
        Err(database) => {
            let stored = load_copy(config).map_err(|disk| NodeError::NoSubscribers {
                database: database.to_string(),
                disk,
            })?;
            warn!("the database is not usable ({database}): serving the copy on disk until it is");
            link.reset().await;
            let Stored {
                snapshot,
                position,
                confirmed_at,
            } = stored;
            // A clock that was ahead when the copy was written must not make it look fresh.
            let confirmed_at = confirmed_at.min(unix_now());
            (snapshot, FeedPosition::from(position), confirmed_at, "the copy on disk")
        }
    };
    let state = Arc::new(State::new(snapshot, confirmed_at));
    let follower = Follower {
        config: config.clone(),
        intake,
        link,
        state: Arc::clone(&state),
        position: Some(position),
        origin,
        dirty: origin == "the database",
        // The first copy is due at once: a crash right after the start must find one.
        saved_at: Instant::now()
            .checked_sub(config.snapshot_interval)
            .unwrap_or_else(Instant::now),
        saving: None,
        away: None,
        pruned: None,
    };
    Ok((state, follower))
}

async fn load_whole(link: &Link, intake: &mut Intake) -> Result<(Snapshot, FeedPosition), StoreError> {
    let store = link.store().await?;
    let mut builder = intake.builder();
    let position = store.load_snapshot(&mut builder).await?;
    let (snapshot, left_out) = builder.finish();
    intake.remember(left_out);
    Ok((snapshot, position))
}

fn load_copy(config: &NodeConfig) -> Result<Stored, String> {
    let path = config.snapshot_file.as_deref().ok_or("snapshot.file is not set")?;
    Snapshot::load(path, Arc::clone(&config.vendors)).map_err(|why| format!("{}: {why}", path.display()))
}

impl Follower {
    /// Where the subscribers came from.
    pub(super) fn origin(&self) -> &'static str {
        self.origin
    }

    pub(super) fn spawn(self, runtime: &tokio::runtime::Handle) -> Handle {
        let (stop, stopped) = watch::channel(false);
        Handle {
            stop,
            task: runtime.spawn(self.run(stopped)),
        }
    }

    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut retry = RETRY_FIRST;
        loop {
            let started = Instant::now();
            let fault = tokio::select! {
                _ = stopped.changed() => break,
                Err(fault) = self.follow() => fault,
            };
            // A follower that ran for a while has lost a database that worked: say so, and begin with short waits again.
            if started.elapsed() > RETRY_MOST {
                retry = RETRY_FIRST;
            }
            self.say_away(&fault);
            self.link.reset().await;
            tokio::select! {
                _ = stopped.changed() => break,
                () = tokio::time::sleep(retry) => {}
            }
            retry = (retry * 2).min(RETRY_MOST);
        }
        self.save().await;
        self.link.reset().await;
    }

    /// Take in changes until the database fails.
    async fn follow(&mut self) -> Result<Infallible, StoreError> {
        let store = self.link.store().await?;
        let mut feed = match self.position.clone() {
            Some(position) => store.follow(position, self.config.poll_interval).await?,
            None => {
                let position = self.reload().await?;
                store.follow(position, self.config.poll_interval).await?
            }
        };
        loop {
            let news = tokio::time::timeout(FEED_TIMEOUT, feed.next(MOST_CHANGES))
                .await
                .map_err(|_| StoreError::timeout("reading the change feed", FEED_TIMEOUT))??;
            let reload = match news {
                Feed::Lost => true,
                Feed::Changes { position, changes } => {
                    let taken_in = changes.is_empty() || {
                        let snapshot = Arc::clone(&self.state.snapshot());
                        self.intake.take_in(&store, &snapshot, &changes).await?
                    };
                    self.dirty |= !changes.is_empty();
                    self.position = Some(position);
                    !taken_in
                }
            };
            if reload {
                let position = self.reload().await?;
                feed = store.follow(position, self.config.poll_interval).await?;
            }
            self.state.confirm(unix_now());
            if let Some((since, _)) = self.away.take() {
                info!("the database is back after {:.0?}", since.elapsed());
            }
            self.save_if_due().await;
            self.prune(&store).await?;
            feed.wait().await?;
        }
    }

    /// Say that the database is away, when it goes and every minute, with the age of what is served.
    fn say_away(&mut self, fault: &StoreError) {
        let now = Instant::now();
        let since = match self.away {
            Some((_, said)) if said.elapsed() < REMIND => return,
            Some((since, _)) => since,
            None => now,
        };
        self.away = Some((since, now));
        let status = self.state.status(unix_now());
        warn!(
            "the database is away ({fault}): serving {} subscribers as it had them {:?} ago",
            status.subscribers, status.age
        );
    }

    /// Load everything anew and swap it in.
    async fn reload(&mut self) -> Result<FeedPosition, StoreError> {
        // Until the load is whole, what is in memory keeps serving.
        self.position = None;
        let (snapshot, position) = load_whole(&self.link, &mut self.intake).await?;
        info!(subscribers = snapshot.len(), "all subscribers loaded anew");
        self.state.replace(snapshot);
        self.position = Some(position.clone());
        self.dirty = true;
        Ok(position)
    }

    /// Begin to write the copy on disk where one is due; the feed is followed meanwhile.
    async fn save_if_due(&mut self) {
        if self.saving.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        self.saved().await;
        if self.saved_at.elapsed() >= self.config.snapshot_interval {
            self.begin_save();
        }
    }

    /// Write the copy on disk now and wait for it.
    async fn save(&mut self) {
        self.saved().await;
        self.begin_save();
        self.saved().await;
    }

    fn begin_save(&mut self) {
        let (Some(path), Some(position)) = (self.config.snapshot_file.clone(), self.position.clone()) else {
            return;
        };
        if !self.dirty {
            return;
        }
        // Changes that come in while it is written may be in it already; they are taken in again then, to the same end.
        self.dirty = false;
        self.saved_at = Instant::now();
        let snapshot = Arc::clone(&self.state.snapshot());
        let confirmed_at = self.state.confirmed_at();
        self.saving = Some(tokio::task::spawn_blocking(move || {
            snapshot
                .save(&path, position.as_str(), confirmed_at)
                .map_err(|why| format!("{}: {why}", path.display()))
        }));
    }

    /// Wait for the copy that is being written, if one is. A failure is logged; serving goes on.
    async fn saved(&mut self) {
        let Some(task) = self.saving.take() else { return };
        let outcome = task.await.unwrap_or_else(|panic| Err(panic.to_string()));
        if let Err(why) = outcome {
            self.dirty = true;
            error!("the copy of the subscribers on disk cannot be written to {why}");
        }
    }

    async fn prune(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.pruned.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(());
        }
        self.pruned = Some(Instant::now());
        store.prune_feed(FEED_KEPT).await.map(|_| ())
    }
}

impl Handle {
    /// Save the copy on disk and stop.
    pub(super) async fn finish(self) {
        // A follower that is gone already needs no word.
        let _ = self.stop.send(true);
        if let Err(why) = self.task.await {
            error!("the change feed's follower ended badly: {why}");
        }
    }
}
