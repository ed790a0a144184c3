//! Takes orders in hand and tells the NAS.

mod pace;
mod recorder;
mod tell;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::coa::{Client, Retry, Target, Via};
use crate::nas::CoaTransport;
use crate::order::OrderState;
use crate::policy::vendor::{Coa, GENERIC};
use crate::radius::{Dictionary, SharedSecret};
use crate::secret::{KeyRing, Secret};
use crate::snapshot::{Catalog, Snapshot};
use crate::store::{ClaimedOrder, OrderClaim, OrderOutcome, Store, StoreError};
use crate::telemetry::instruments;

use pace::{Manner, Paces};
use recorder::Recorder;
use tell::{failed, tell};

/// Orders taken in hand by one statement.
const BATCH: u32 = 1_024;
/// The outbox is looked at for what NAS may be given again no sooner than this after the last look.
const APART: Duration = Duration::from_millis(20);
/// How long a stop waits for answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Settings of a [`Worker`].
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// No other process's.
    pub owner: String,
    /// What a process that died had in hand is sent again after this.
    pub lease: Duration,
    /// Orders in hand at once.
    pub in_hand: usize,
    /// How often the outbox is looked at.
    pub poll: Duration,
    /// How long a NAS that does not answer is tried.
    pub give_up: Duration,
    /// Wait before an order is tried again; doubles with each, up to `longest_wait`.
    pub first_wait: Duration,
    pub longest_wait: Duration,
    /// Where neither the NAS nor its vendor says.
    pub port: Option<u16>,
    pub retry: Retry,
    /// For a NAS that is in no row of the database.
    pub secret: Option<Secret<String>>,
    /// With the ways there are to NAS besides UDP.
    pub client: Client,
    /// How those NAS are told whose row says UDP, or nothing.
    pub via: Via,
    /// What attributes are.
    pub dictionary: Arc<Dictionary>,
}

impl WorkerConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(owner: String) -> Self {
        Self {
            owner,
            lease: Duration::from_secs(30),
            in_hand: 16_384,
            poll: Duration::from_millis(200),
            give_up: Duration::from_secs(3_600),
            first_wait: Duration::from_secs(5),
            longest_wait: Duration::from_secs(300),
            port: None,
            retry: Retry::default(),
            secret: None,
            client: Client::new(),
            via: Via::Udp,
            dictionary: Arc::new(Dictionary::builtin().clone()),
        }
    }
}

/// Takes orders in hand and tells the NAS.
///
/// Orders are claimed, sent and written side by side: while a batch of outcomes goes to disk, the next orders are on
/// their way. An order is in hand from its claim until its outcome is on disk, and of those there are so many at most.
#[derive(Debug)]
pub struct Worker {
    store: Store,
    snapshot: Arc<arc_swap::ArcSwap<Snapshot>>,
    keys: Option<Arc<KeyRing>>,
    config: Arc<WorkerConfig>,
    paces: Paces,
    tasks: JoinSet<Manner>,
    /// Which order of which NAS each task is.
    of: HashMap<tokio::task::Id, (IpAddr, i64)>,
    /// Orders whose outcome is not on disk, each as often as it was taken in hand: word of the first time may come when it is
    /// in hand again.
    in_hand: HashMap<i64, u32>,
    /// When it was last looked for orders whose lease ran out.
    looked_for_lost: Option<Instant>,
    only: Option<Vec<i64>>,
}

/// Where an order goes, and what it is made of there.
struct Destination {
    to: Target,
    coa: Coa,
    /// Orders in a second.
    rate: Option<u32>,
    vendor: String,
}

/// When the outbox is looked at next.
struct Look {
    last: Instant,
    next: Instant,
}

impl Look {
    fn sooner(&mut self, at: Instant) {
        self.next = self.next.min(at);
    }
}

impl Worker {
    #[must_use]
    pub fn new(
        store: Store,
        snapshot: Arc<arc_swap::ArcSwap<Snapshot>>,
        keys: Option<Arc<KeyRing>>,
        config: WorkerConfig,
    ) -> Self {
        Self {
            store,
            snapshot,
            keys,
            config: Arc::new(config),
            paces: Paces::default(),
            tasks: JoinSet::new(),
            of: HashMap::new(),
            in_hand: HashMap::new(),
            looked_for_lost: None,
            only: None,
        }
    }

    /// Care for these orders alone.
    #[must_use]
    pub fn only(mut self, orders: Vec<i64>) -> Self {
        self.only = Some(orders);
        self
    }

    /// Work until `stopped` changes; `due` wakes it before its time.
    pub async fn run(mut self, due: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
        // Of what waits in it there is no more than is in hand. Whoever claims never waits for a database that is slow to write:
        // leases are to be renewed.
        let (outcomes, to_write) = mpsc::unbounded_channel();
        let (now_written, mut written) = mpsc::unbounded_channel();
        let recorder = Recorder {
            store: self.store.clone(),
            owner: self.config.owner.clone(),
            outcomes: to_write,
            written: now_written,
            pause: self.config.poll,
            stopped: stopped.clone(),
        };
        let recorder = tokio::spawn(recorder.run());
        let mut renewed = Instant::now();
        let mut away = false;
        let mut look = Look {
            last: renewed,
            next: renewed,
        };
        loop {
            if renewed.elapsed() > self.config.lease / 3 {
                renewed = Instant::now();
                self.renew().await;
            }
            if look.next <= Instant::now() {
                look.last = Instant::now();
                let claimed = self.claim(&outcomes).await;
                match &claimed {
                    Ok(_) if away => info!("orders for NAS: the database is back"),
                    Err(why) if !away => warn!("orders for NAS wait for the database: {why}"),
                    _ => {}
                }
                away = claimed.is_err();
                let now = Instant::now();
                look.next = match claimed {
                    // There may be more at once; where a NAS has enough, the look for others' passes over all that waits.
                    Ok(true) if self.paces.any_busy(now) => look.last + APART,
                    Ok(true) => now,
                    _ => now + self.config.poll,
                };
            }
            tokio::select! {
                _ = stopped.changed() => break,
                () = due.notified() => look.next = Instant::now(),
                () = tokio::time::sleep_until(look.next) => {}
                Some(finished) = self.tasks.join_next_with_id() => {
                    let mut room = self.take(finished, &outcomes);
                    while let Some(finished) = self.tasks.try_join_next_with_id() {
                        room |= self.take(finished, &outcomes);
                    }
                    if room {
                        look.sooner(look.last + APART);
                    }
                }
                Some(ids) = written.recv() => {
                    let had_room = self.room() > 0;
                    self.forget(&ids);
                    if !had_room {
                        look.sooner(look.last + APART);
                    }
                }
            }
        }
        self.finish(outcomes).await;
        if let Err(why) = recorder.await {
            warn!("what came of the last orders for NAS may not be written: {why}");
        }
    }

    async fn renew(&self) {
        let in_hand: Vec<i64> = self.in_hand.keys().copied().collect();
        if in_hand.is_empty() {
            return;
        }
        let (owner, lease) = (&self.config.owner, self.config.lease);
        if let Err(why) = self.store.renew_orders(owner, lease, &in_hand).await {
            warn!("orders for NAS: {why}");
        }
    }

    /// These are on disk.
    fn forget(&mut self, written: &[i64]) {
        for id in written {
            if let Some(times) = self.in_hand.get_mut(id) {
                *times -= 1;
                if *times == 0 {
                    self.in_hand.remove(id);
                }
            }
        }
    }

    /// Orders that may be taken in hand at once.
    fn room(&self) -> u32 {
        let room = self.config.in_hand.saturating_sub(self.in_hand.len());
        u32::try_from(room).unwrap_or(u32::MAX).min(BATCH)
    }

    /// Take orders in hand; gives whether there may be more.
    async fn claim(&mut self, outcomes: &mpsc::UnboundedSender<OrderOutcome>) -> Result<bool, StoreError> {
        let room = self.room();
        if room == 0 {
            return Ok(false);
        }
        // Those whose owner is gone are looked for now and then: a lease is longer than that.
        let others = self.looked_for_lost.is_none_or(|at| at.elapsed() >= self.config.poll);
        let in_hand: Option<Vec<i64>> = others.then(|| self.in_hand.keys().copied().collect());
        let claim = OrderClaim {
            owner: &self.config.owner,
            lease: self.config.lease,
            lost_but: in_hand.as_deref(),
            busy: &self.paces.busy(Instant::now()),
            limit: room,
            only: self.only.as_deref(),
        };
        let orders = self.store.claim_orders(&claim).await?;
        if others {
            self.looked_for_lost = Some(Instant::now());
        }
        let more = orders.len() >= room as usize;
        let snapshot = self.snapshot.load_full();
        let catalog = snapshot.catalog();
        for order in &orders {
            *self.in_hand.entry(order.id).or_default() += 1;
        }
        let now = Instant::now();
        for order in orders {
            if !order.open {
                Self::end(OrderOutcome::ended(order.id), outcomes);
                continue;
            }
            match self.target(&catalog, &order) {
                Ok(target) => self.begin(order, target, now, outcomes),
                Err(why) => Self::end(failed(order.id, why), outcomes),
            }
        }
        Ok(more)
    }

    /// To be written.
    fn end(outcome: OrderOutcome, outcomes: &mpsc::UnboundedSender<OrderOutcome>) {
        // It is closed only when whoever writes has failed: the lease runs out then.
        let _ = outcomes.send(outcome);
    }

    fn begin(
        &mut self,
        order: ClaimedOrder,
        target: Destination,
        now: Instant,
        outcomes: &mpsc::UnboundedSender<OrderOutcome>,
    ) {
        let (nas, id) = (order.session.nas_ip_address, order.id);
        let at = self.paces.begin(nas, target.rate, now);
        let (config, outcomes) = (Arc::clone(&self.config), outcomes.clone());
        let task = self.tasks.spawn(async move {
            tokio::time::sleep_until(at).await;
            let outcome = tell(&order, &target, &config).await;
            let result = outcome.result.unwrap_or(outcome.state.as_str());
            let round_trip = outcome.rtt.map(Duration::from_micros);
            instruments().order(&target.vendor, order.kind.as_str(), result, round_trip);
            let manner = match (outcome.rtt, outcome.state) {
                (Some(_), _) => Manner::Answered,
                (None, OrderState::Pending) => Manner::Silent,
                (None, _) => Manner::Unknown,
            };
            let _ = outcomes.send(outcome);
            manner
        });
        self.of.insert(task.id(), (nas, id));
    }

    /// Where an order goes, or why it cannot.
    fn target(&self, catalog: &Catalog, order: &ClaimedOrder) -> Result<Destination, String> {
        let address = order.session.nas_ip_address;
        let entry = catalog.nas(address);
        let record = entry.and_then(|entry| Some((entry, catalog.nas_record(entry)?)));
        let (secret, coa, settings) = match record {
            Some((entry, record)) => {
                let secret = record
                    .open_secret(self.keys.as_deref())
                    .map_err(|why| format!("the NAS {address}: {why}"))?;
                (
                    SharedSecret::new(secret.expose()),
                    catalog.vendor_of(entry).coa(),
                    Some(&record.coa),
                )
            }
            None => {
                let secret = self
                    .config
                    .secret
                    .as_ref()
                    .ok_or_else(|| format!("there is no NAS {address}: add it with ispctl nas add"))?;
                (
                    SharedSecret::new(secret.expose().as_bytes()),
                    catalog.generic().coa(),
                    None,
                )
            }
        };
        let transport = settings.map_or(CoaTransport::Udp, |settings| settings.coa_transport);
        let via = match transport {
            CoaTransport::Udp => self.config.via,
            CoaTransport::Radclient => Via::Radclient,
            CoaTransport::Http => Via::Http,
            CoaTransport::Radsec => Via::RadSec,
            CoaTransport::None => return Err(format!("the NAS {address} takes no orders (coa_transport)")),
        };
        let secret = secret.map_err(|why| format!("the NAS {address}: {why}"))?;
        let usual = self.config.retry;
        let first_wait = settings
            .and_then(|settings| settings.coa_timeout)
            .map_or(usual.first_wait, |wait| Duration::from_millis(wait.into()));
        let retry = Retry {
            attempts: settings
                .and_then(|settings| settings.coa_attempts)
                .unwrap_or(usual.attempts),
            first_wait,
            longest_wait: usual.longest_wait.max(first_wait),
        };
        let port = settings
            .and_then(|settings| settings.coa_port)
            .or(self.config.port)
            .unwrap_or(coa.port);
        let to = Target {
            retry,
            via,
            strict: settings.is_some_and(|settings| settings.coa_strict),
            ..Target::new(SocketAddr::new(address.to_canonical(), port), secret)
        };
        Ok(Destination {
            to,
            coa: coa.clone(),
            rate: settings.and_then(|settings| settings.coa_rate),
            vendor: entry
                .map_or(GENERIC, |entry| catalog.vendor_of(entry).name())
                .to_owned(),
        })
    }

    /// A task is over; gives whether its NAS may be given more, and might not before.
    fn take(
        &mut self,
        finished: Result<(tokio::task::Id, Manner), tokio::task::JoinError>,
        outcomes: &mpsc::UnboundedSender<OrderOutcome>,
    ) -> bool {
        let task = match &finished {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some((nas, id)) = self.of.remove(&task) else {
            return false;
        };
        let manner = match finished {
            Ok((_, manner)) => manner,
            Err(error) => {
                let why = format!("a fault of this program: {error}");
                Self::end(failed(id, why), outcomes);
                Manner::Unknown
            }
        };
        self.paces.end(nas, manner, Instant::now())
    }

    /// Wait for the answers that are on their way.
    async fn finish(&mut self, outcomes: mpsc::UnboundedSender<OrderOutcome>) {
        let answers = async {
            while let Some(finished) = self.tasks.join_next_with_id().await {
                self.take(finished, &outcomes);
            }
        };
        // What has no answer by then is sent again by whoever takes it over.
        let _ = tokio::time::timeout(LAST_ANSWERS, answers).await;
        self.tasks.shutdown().await;
    }
}
