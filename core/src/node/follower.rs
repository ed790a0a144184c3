//! Keeps the snapshot as the database has it: a full load, then the change feed, and the copy on disk beside it.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::link::Link;
use super::state::State;
use super::{NodeConfig, NodeError};
use crate::dictionary::Dictionary;
use crate::nas::NasRecord;
use crate::plan::Plan;
use crate::snapshot::{Catalog, Snapshot, SnapshotBuilder, Stored, pack, warn_of_twins};
use crate::store::{Change, ChangeKind, Feed, FeedPosition, SnapshotSink, Store, StoreError};
use crate::subscriber::SubscriberRecord;
use crate::tenant::Tenant;

/// More changes than this at once are cheaper to take in by a full load.
const MOST_CHANGES: u32 = 100_000;
/// Subscribers read per statement when changes are taken in.
const CHUNK: usize = 1_000;
/// A feed that does not answer for this long is as good as gone.
const FEED_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(2);
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// A node that was away for longer loads everything anew.
const FEED_KEPT: Duration = Duration::from_secs(24 * 3_600);

pub(super) struct Follower {
    config: NodeConfig,
    dictionary: Arc<dyn Dictionary>,
    link: Arc<Link>,
    state: Arc<State>,
    position: Option<FeedPosition>,
    origin: &'static str,
    /// There are changes the copy on disk does not have.
    dirty: bool,
    saved: Instant,
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
    let (snapshot, position, confirmed_at, origin) = match load_whole(&link, &dictionary).await {
        Ok((snapshot, position)) => (snapshot, position, unix_now(), "the database"),
        Err(database) => {
            let stored = load_copy(config.snapshot_file.as_deref()).map_err(|disk| NodeError::NoSubscribers {
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
            (snapshot, FeedPosition::from(position), confirmed_at, "the copy on disk")
        }
    };
    let state = Arc::new(State::new(snapshot, confirmed_at));
    let follower = Follower {
        config: config.clone(),
        dictionary,
        link,
        state: Arc::clone(&state),
        position: Some(position),
        origin,
        dirty: origin == "the database",
        // The first copy is due at once: a crash right after the start must find one.
        saved: Instant::now()
            .checked_sub(config.snapshot_interval)
            .unwrap_or_else(Instant::now),
        pruned: None,
    };
    Ok((state, follower))
}

async fn load_whole(link: &Link, dictionary: &Arc<dyn Dictionary>) -> Result<(Snapshot, FeedPosition), StoreError> {
    let store = link.store().await?;
    let mut builder = SnapshotBuilder::new(Arc::clone(dictionary));
    let position = store.load_snapshot(&mut builder).await?;
    Ok((builder.finish(), position))
}

fn load_copy(path: Option<&Path>) -> Result<Stored, String> {
    let path = path.ok_or("snapshot.file is not set")?;
    Snapshot::load(path).map_err(|why| format!("{}: {why}", path.display()))
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
            if retry == RETRY_FIRST {
                warn!(
                    "the database is lost ({fault}): serving {} subscribers from memory",
                    self.state.snapshot().len()
                );
            }
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
                    let taken_in = changes.is_empty() || self.take_in(&store, &changes).await?;
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
            if self.dirty && self.saved.elapsed() >= self.config.snapshot_interval {
                self.save().await;
            }
            self.prune(&store).await?;
            feed.wait().await?;
        }
    }

    /// Load everything anew and swap it in.
    async fn reload(&mut self) -> Result<FeedPosition, StoreError> {
        // Until the load is whole, what is in memory keeps serving.
        self.position = None;
        let (snapshot, position) = load_whole(&self.link, &self.dictionary).await?;
        info!(subscribers = snapshot.len(), "all subscribers loaded anew");
        self.state.replace(snapshot);
        self.position = Some(position.clone());
        self.dirty = true;
        Ok(position)
    }

    /// Apply changes in place. `false` = only a full load can take them in.
    async fn take_in(&self, store: &Store, changes: &[Change]) -> Result<bool, StoreError> {
        let snapshot = self.state.snapshot();
        if changes.iter().any(|change| change.kind != ChangeKind::Subscriber) {
            let before = snapshot.catalog();
            let mut catalog = before.successor();
            store.load_catalog(&mut catalog).await?;
            if catalog.rules_differ(&before) {
                return Ok(false);
            }
            snapshot.replace_catalog(catalog);
        }
        let subscribers: Vec<&Change> = changes.iter().filter(|c| c.kind == ChangeKind::Subscriber).collect();
        let ids: HashSet<&str> = subscribers.iter().map(|change| change.id.as_str()).collect();
        let keys = self.insert_changed(store, &snapshot, &ids).await?;
        // Old names go last, so that a renamed or changed subscriber is never absent in between.
        let catalog = snapshot.catalog();
        for change in subscribers {
            let Some(old) = &change.old_username else { continue };
            let Some(tenant) = catalog.tenant_index(&change.tenant_id) else {
                continue;
            };
            let Some(rules) = catalog.tenant(tenant) else { continue };
            let old = rules.normalize(old);
            if keys
                .get(&change.id)
                .is_none_or(|(at, name)| (*at, name.as_str()) != (tenant, &*old))
            {
                snapshot.remove(tenant, &old, &change.id);
            }
        }
        Ok(true)
    }

    /// Read the changed subscribers and put them in; gives the key each now stands under.
    async fn insert_changed(
        &self,
        store: &Store,
        snapshot: &Snapshot,
        ids: &HashSet<&str>,
    ) -> Result<HashMap<String, (u32, String)>, StoreError> {
        let catalog = snapshot.catalog();
        let wanted: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        let mut keys = HashMap::with_capacity(wanted.len());
        for chunk in wanted.chunks(CHUNK) {
            let mut loaded = Collected::default();
            store.load_subscribers(chunk, &mut loaded).await?;
            for subscriber in loaded.0 {
                let Some((record, tenant, name)) = pack(&catalog, &*self.dictionary, &subscriber) else {
                    continue;
                };
                if let Some(other) = snapshot.get(tenant, &name) {
                    let other_id = other.entry().map(|entry| entry.id()).unwrap_or_default();
                    // One that is changing too may be giving up its name right now.
                    if other_id != subscriber.id && !ids.contains(other_id.as_str()) {
                        warn_of_twins(&other, &subscriber);
                        continue;
                    }
                }
                snapshot.insert(record);
                keys.insert(subscriber.id, (tenant, name));
            }
        }
        Ok(keys)
    }

    /// Write the copy on disk. A failure is logged; serving goes on.
    async fn save(&mut self) {
        let (Some(path), Some(position)) = (self.config.snapshot_file.clone(), self.position.clone()) else {
            return;
        };
        if !self.dirty {
            return;
        }
        let snapshot = Arc::clone(&self.state.snapshot());
        let confirmed_at = self.state.confirmed_at();
        let shown = path.display().to_string();
        let written = tokio::task::spawn_blocking(move || snapshot.save(&path, position.as_str(), confirmed_at)).await;
        self.saved = Instant::now();
        match written {
            Ok(Ok(())) => self.dirty = false,
            Ok(Err(why)) => error!("the copy of the subscribers on disk cannot be written to {shown}: {why}"),
            Err(panic) => error!("the copy of the subscribers on disk was not written: {panic}"),
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

/// Collects subscribers read one by one.
#[derive(Default)]
struct Collected(Vec<SubscriberRecord>);

impl SnapshotSink for Collected {
    fn tenant(&mut self, _: Tenant) {}
    fn plan(&mut self, _: Plan) {}
    fn nas(&mut self, _: NasRecord) {}
    fn subscriber(&mut self, subscriber: SubscriberRecord) {
        self.0.push(subscriber);
    }
}

impl SnapshotSink for Catalog {
    fn tenant(&mut self, tenant: Tenant) {
        self.add_tenant(tenant);
    }
    fn plan(&mut self, plan: Plan) {
        self.add_plan(plan);
    }
    fn nas(&mut self, nas: NasRecord) {
        self.add_nas(nas);
    }
    fn subscriber(&mut self, _: SubscriberRecord) {}
}

impl SnapshotSink for SnapshotBuilder {
    fn tenant(&mut self, tenant: Tenant) {
        Self::tenant(self, tenant);
    }
    fn plan(&mut self, plan: Plan) {
        Self::plan(self, plan);
    }
    fn nas(&mut self, nas: NasRecord) {
        Self::nas(self, nas);
    }
    fn subscriber(&mut self, subscriber: SubscriberRecord) {
        Self::subscriber(self, &subscriber);
    }
}

fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
