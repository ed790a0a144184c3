//! Looks at the sessions that may have to change, and places the orders.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::base::News;
use super::outlook::{Outlook, outlook};
use super::review::{gone, review};
use crate::clock::unix_now;
use crate::order::LiveSession;
use crate::snapshot::Snapshot;
use crate::store::{ChangeKind, Review, ReviewOf, ReviewedSession, Store, StoreError};

/// Sessions looked at by one statement.
const PAGE: u32 = 1_000;
/// How often new sessions and those whose time has come are looked for.
const TICK: Duration = Duration::from_millis(500);
/// Who leads does so for this long at a time: what others wait when it dies.
const TERM: Duration = Duration::from_secs(5);
const RENEW: Duration = Duration::from_secs(1);
/// How often what is known of ended sessions is forgotten, and sessions are looked for that became known late.
const TIDY: Duration = Duration::from_secs(60);

pub(super) struct Reconciler {
    store: Store,
    snapshot: Arc<ArcSwap<Snapshot>>,
    owner: String,
    /// Told when there are orders.
    due: Arc<Notify>,
    work: Work,
    leading: bool,
    led: Option<Instant>,
    tidied: Option<Instant>,
    /// Sessions up to this id were looked at.
    seen: i64,
}

/// What is to be looked at.
#[derive(Debug, Default)]
struct Work {
    all: bool,
    tenants: HashSet<String>,
    plans: HashSet<String>,
    subscribers: HashSet<String>,
}

impl Work {
    fn add(&mut self, news: News) {
        let News::Changes(changes) = news else {
            self.all = true;
            return;
        };
        for change in changes {
            match change.kind {
                ChangeKind::Subscriber => self.subscribers.insert(change.id),
                ChangeKind::Plan => self.plans.insert(change.id),
                // Which sessions a NAS holds is told by its address, and that may be what changed.
                ChangeKind::Tenant | ChangeKind::Nas => self.tenants.insert(change.tenant_id),
            };
        }
    }
}

impl Reconciler {
    pub(super) fn new(store: Store, snapshot: Arc<ArcSwap<Snapshot>>, owner: String, due: Arc<Notify>) -> Self {
        Self {
            store,
            snapshot,
            owner,
            due,
            work: Work::default(),
            leading: false,
            led: None,
            tidied: None,
            seen: 0,
        }
    }

    /// Work until `stopped` changes.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<News>, mut stopped: watch::Receiver<bool>) {
        let mut away = false;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.changed() => break,
                heard = news.recv() => match heard {
                    Some(heard) => self.work.add(heard),
                    None => break,
                },
                _ = tick.tick() => {}
            }
            while let Ok(heard) = news.try_recv() {
                self.work.add(heard);
            }
            match self.turn().await {
                Ok(()) if away => {
                    away = false;
                    info!("live sessions: the database is back");
                }
                Ok(()) => {}
                Err(why) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!("live sessions wait for the database: {why}");
                    }
                }
            }
        }
        if self.leading
            && let Err(why) = self.store.resign(&self.owner).await
        {
            warn!("live sessions: {why}");
        }
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        if !self.lead().await? {
            // Whoever leads sees the same changes.
            self.work = Work::default();
            return Ok(());
        }
        self.changed().await?;
        self.new_and_due().await?;
        if self.tidied.is_none_or(|at| at.elapsed() > TIDY) {
            self.tidied = Some(Instant::now());
            self.store.forget_ended_sessions().await?;
            self.seen = 0;
        }
        Ok(())
    }

    /// Keep the lead, or take it; who takes it looks at everything.
    async fn lead(&mut self) -> Result<bool, StoreError> {
        if self.leading && self.led.is_some_and(|at| at.elapsed() < RENEW) {
            return Ok(true);
        }
        let asked = Instant::now();
        let leads = self.store.lead(&self.owner, TERM).await?;
        if leads && !self.leading {
            info!("this process decides about live sessions");
            self.work.all = true;
        }
        if !leads && self.leading {
            warn!("another process decides about live sessions");
        }
        self.leading = leads;
        self.led = Some(asked);
        Ok(leads)
    }

    /// Look at what changed. What is left when the database fails is looked at again.
    async fn changed(&mut self) -> Result<(), StoreError> {
        if self.work.all {
            self.pages(ReviewOf::All).await?;
            self.work = Work::default();
        }
        // A single subscriber does not wait for a plan with many.
        let subscribers: Vec<String> = self.work.subscribers.iter().cloned().collect();
        for some in subscribers.chunks(PAGE as usize) {
            let sessions = self.store.sessions_of(some).await?;
            self.write(&sessions).await?;
            for id in some {
                self.work.subscribers.remove(id);
            }
        }
        while let Some(plan) = self.work.plans.iter().next().cloned() {
            self.pages(ReviewOf::Plan(&plan)).await?;
            self.work.plans.remove(&plan);
        }
        while let Some(tenant) = self.work.tenants.iter().next().cloned() {
            self.pages(ReviewOf::Tenant(&tenant)).await?;
            self.work.tenants.remove(&tenant);
        }
        Ok(())
    }

    async fn new_and_due(&mut self) -> Result<(), StoreError> {
        loop {
            let sessions = self.store.sessions_to_review(ReviewOf::New, self.seen, PAGE).await?;
            self.write(&sessions).await?;
            let Some(last) = sessions.last() else { break };
            self.seen = last.live.session_id;
        }
        loop {
            let sessions = self.store.sessions_due(PAGE).await?;
            self.write(&sessions).await?;
            if sessions.len() < PAGE as usize {
                return Ok(());
            }
            self.keep_leading().await?;
        }
    }

    async fn pages(&mut self, of: ReviewOf<'_>) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let sessions = self.store.sessions_to_review(of, after, PAGE).await?;
            self.write(&sessions).await?;
            match sessions.last() {
                Some(last) if sessions.len() == PAGE as usize => after = last.live.session_id,
                _ => return Ok(()),
            }
            self.keep_leading().await?;
        }
    }

    async fn keep_leading(&mut self) -> Result<(), StoreError> {
        if self.led.is_none_or(|at| at.elapsed() > RENEW) {
            self.led = Some(Instant::now());
            self.store.lead(&self.owner, TERM).await?;
        }
        Ok(())
    }

    async fn write(&mut self, sessions: &[ReviewedSession]) -> Result<(), StoreError> {
        let now = unix_now();
        let snapshot = self.snapshot.load_full();
        let reviews: Vec<Review> = sessions
            .iter()
            .filter_map(|session| review(session, stands(&snapshot, session, now).as_ref(), now))
            .collect();
        if reviews.is_empty() {
            return Ok(());
        }
        let ordered = reviews.iter().any(|review| review.order.is_some());
        if !self.store.write_reviews(&self.owner, &reviews).await? {
            // Whoever leads now looks at everything.
            self.leading = false;
            return Ok(());
        }
        if ordered {
            self.due.notify_one();
        }
        Ok(())
    }
}

/// How a session stands by the snapshot.
pub(super) fn stands(snapshot: &Snapshot, session: &ReviewedSession, now: i64) -> Option<Outlook> {
    if session.gone {
        return Some(gone());
    }
    let LiveSession {
        tenant_id,
        subscriber_id,
        nas_ip_address,
        ..
    } = &session.live;
    let view = snapshot.view();
    let found = view.find_in(tenant_id.as_deref()?, *nas_ip_address, session.username.as_deref()?)?;
    let same = found.entry().ok().map(|entry| entry.id()) == *subscriber_id;
    outlook(&found, &session.live, now).filter(|_| same)
}
