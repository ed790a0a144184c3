//! Takes orders in hand and tells the NAS.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use super::wire;
use crate::clock::unix_now;
use crate::coa::{Client, CoaError, ErrorCause, Outcome, Report, Retry, Target, Via};
use crate::nas::CoaTransport;
use crate::order::{Cause, OrderKind, OrderState};
use crate::policy::vendor::coa::Request;
use crate::policy::vendor::{Coa, GENERIC};
use crate::radius::{Dictionary, SharedSecret};
use crate::secret::{KeyRing, Secret};
use crate::snapshot::{Catalog, Snapshot};
use crate::store::{ClaimedOrder, OrderClaim, OrderOutcome, Store, StoreError};
use crate::telemetry::instruments;

/// Orders taken in hand, and outcomes written, by one statement.
const BATCH: u32 = 256;
/// What is in hand of a NAS beyond a limit waits, so that dead ones do not keep all places: of one that is not known, of
/// one that was silent last, and of one that answers, at most.
const AT_FIRST: usize = 16;
const WHILE_SILENT: usize = 4;
const MOST_PER_NAS: usize = 1_024;
/// How far ahead orders of a NAS that takes only so many in a second are taken in hand.
const AHEAD: Duration = Duration::from_secs(2);
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
#[derive(Debug)]
pub struct Worker {
    store: Store,
    snapshot: Arc<arc_swap::ArcSwap<Snapshot>>,
    keys: Option<Arc<KeyRing>>,
    config: WorkerConfig,
    nas: HashMap<IpAddr, Pace>,
    tasks: JoinSet<OrderOutcome>,
    /// Of which NAS each task is.
    of: HashMap<tokio::task::Id, (IpAddr, i64)>,
    /// Not written yet.
    outcomes: Vec<OrderOutcome>,
    only: Option<Vec<i64>>,
}

/// What is in hand of a NAS, and when it takes the next.
#[derive(Debug)]
struct Pace {
    in_hand: usize,
    limit: usize,
    next: Instant,
}

/// Where an order goes, and what it is made of there.
struct Destination {
    to: Target,
    coa: Coa,
    /// Orders in a second.
    rate: Option<u32>,
    vendor: String,
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
            config,
            nas: HashMap::new(),
            tasks: JoinSet::new(),
            of: HashMap::new(),
            outcomes: Vec::new(),
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
        let mut renewed = Instant::now();
        let mut away = false;
        loop {
            if renewed.elapsed() > self.config.lease / 3 {
                renewed = Instant::now();
                let in_hand = self.in_hand();
                let (owner, lease) = (&self.config.owner, self.config.lease);
                if !in_hand.is_empty()
                    && let Err(why) = self.store.renew_orders(owner, lease, &in_hand).await
                {
                    warn!("orders for NAS: {why}");
                }
            }
            let claimed = self.turn().await;
            match &claimed {
                Ok(_) if away => info!("orders for NAS: the database is back"),
                Err(why) if !away => warn!("orders for NAS wait for the database: {why}"),
                _ => {}
            }
            away = claimed.is_err();
            // There may be more at once.
            let wait = match claimed {
                Ok(claimed) if claimed >= BATCH as usize => Duration::ZERO,
                _ => self.config.poll,
            };
            tokio::select! {
                _ = stopped.changed() => break,
                () = due.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(finished) = self.tasks.join_next_with_id() => self.take(finished),
            }
        }
        self.finish().await;
    }

    /// Write what came of orders, and take others in hand; gives how many.
    async fn turn(&mut self) -> Result<usize, StoreError> {
        while let Some(finished) = self.tasks.try_join_next_with_id() {
            self.take(finished);
        }
        self.write().await?;
        let room = self.config.in_hand.saturating_sub(self.tasks.len());
        let room = u32::try_from(room).unwrap_or(u32::MAX).min(BATCH);
        if room == 0 {
            return Ok(0);
        }
        let now = Instant::now();
        let busy = |pace: &Pace| pace.in_hand >= pace.limit || pace.next > now + AHEAD;
        self.nas
            .retain(|_, pace| pace.in_hand > 0 || pace.next > now || pace.limit < AT_FIRST);
        let busy: Vec<IpAddr> = self
            .nas
            .iter()
            .filter(|(_, pace)| busy(pace))
            .map(|(nas, _)| *nas)
            .collect();
        let claim = OrderClaim {
            owner: &self.config.owner,
            lease: self.config.lease,
            in_hand: &self.in_hand(),
            busy: &busy,
            limit: room,
            only: self.only.as_deref(),
        };
        let orders = self.store.claim_orders(&claim).await?;
        let claimed = orders.len();
        let snapshot = self.snapshot.load_full();
        let catalog = snapshot.catalog();
        for order in orders {
            self.begin(&catalog, order, now);
        }
        Ok(claimed)
    }

    /// The orders that are on their way, or whose outcome is not written.
    fn in_hand(&self) -> Vec<i64> {
        let unwritten = self.outcomes.iter().map(|outcome| outcome.id);
        self.of.values().map(|(_, id)| *id).chain(unwritten).collect()
    }

    fn begin(&mut self, catalog: &Catalog, order: ClaimedOrder, now: Instant) {
        if !order.open {
            self.outcomes.push(OrderOutcome::ended(order.id));
            return;
        }
        let target = match self.target(catalog, &order) {
            Ok(target) => target,
            Err(why) => {
                self.outcomes.push(failed(order.id, why));
                return;
            }
        };
        let nas = order.session.nas_ip_address;
        let pace = self.nas.entry(nas).or_insert(Pace {
            in_hand: 0,
            limit: AT_FIRST,
            next: now,
        });
        let at = pace.next.max(now);
        pace.in_hand += 1;
        pace.next = at
            + target
                .rate
                .map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        let config = self.config.clone();
        let id = order.id;
        let task = self.tasks.spawn(async move {
            tokio::time::sleep_until(at).await;
            let outcome = tell(&order, &target, &config).await;
            let result = outcome.result.unwrap_or(outcome.state.as_str());
            let round_trip = outcome.rtt.map(Duration::from_micros);
            instruments().order(&target.vendor, order.kind.as_str(), result, round_trip);
            outcome
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

    fn take(&mut self, finished: Result<(tokio::task::Id, OrderOutcome), tokio::task::JoinError>) {
        let task = match &finished {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some((nas, id)) = self.of.remove(&task) else { return };
        if let Some(pace) = self.nas.get_mut(&nas) {
            pace.in_hand = pace.in_hand.saturating_sub(1);
            if let Ok((_, outcome)) = &finished {
                match (outcome.rtt, outcome.state) {
                    (Some(_), _) => pace.limit = (pace.limit * 2).min(MOST_PER_NAS),
                    (None, OrderState::Pending) => pace.limit = WHILE_SILENT,
                    (None, _) => {}
                }
            }
        }
        self.outcomes.push(match finished {
            Ok((_, outcome)) => outcome,
            Err(error) => failed(id, format!("a fault of this program: {error}")),
        });
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        while !self.outcomes.is_empty() {
            let batch = self.outcomes.len().min(BATCH as usize * 4);
            let outcomes = self.outcomes.get(..batch).unwrap_or_default();
            let written = self.store.finish_orders(&self.config.owner, outcomes).await?;
            let lost = batch - written.len();
            if lost > 0 {
                warn!("{lost} orders were taken over by another process before their outcome was written");
            }
            self.outcomes.drain(..batch);
        }
        Ok(())
    }

    /// Wait for the answers that are on their way.
    async fn finish(mut self) {
        let answers = async {
            while let Some(finished) = self.tasks.join_next_with_id().await {
                self.take(finished);
            }
        };
        // What has no answer by then is sent again by whoever takes it over.
        let _ = tokio::time::timeout(LAST_ANSWERS, answers).await;
        if let Err(why) = self.write().await {
            warn!("what came of the last orders for NAS is not written, they will be sent again: {why}");
        }
    }
}

fn failed(id: i64, reason: String) -> OrderOutcome {
    OrderOutcome {
        id,
        state: OrderState::Failed,
        wait: 0,
        rtt: None,
        result: None,
        error_cause: None,
        reason: Some(reason),
    }
}

/// Why a packet was not sent.
enum Unsent {
    /// It cannot be made.
    Packet(String),
    /// It may get there later.
    Later(String),
    /// Somebody has to change something first.
    Never(String),
}

/// One request and its answer.
async fn ask(
    kind: OrderKind,
    order: &ClaimedOrder,
    target: &Destination,
    config: &WorkerConfig,
) -> Result<Report, Unsent> {
    let items = order.set.iter().chain(&order.unset);
    let packet = wire::order(&config.dictionary, kind, &target.coa, &order.session, items, unix_now())
        .map_err(|why| Unsent::Packet(why.to_string()))?;
    config
        .client
        .deliver(&target.to, &packet)
        .await
        .map_err(|why| match why {
            CoaError::Order(why) => Unsent::Packet(why.to_string()),
            why if why.is_temporary() => Unsent::Later(why.to_string()),
            why => Unsent::Never(why.to_string()),
        })
}

/// Tell the NAS; where a change cannot be made, end the session instead.
async fn tell(order: &ClaimedOrder, target: &Destination, config: &WorkerConfig) -> OrderOutcome {
    let kind = match target.coa.request {
        Request::Disconnect if order.cause != Cause::Manual => OrderKind::Disconnect,
        _ => order.kind,
    };
    let asked = ask(kind, order, target, config).await;
    // Who orders a change by hand asked for nothing else.
    let or_end = kind == OrderKind::Change && order.cause != Cause::Manual;
    let (why, cause) = match &asked {
        Ok(report) => match report.outcome {
            Outcome::Nak(cause) if or_end && !stands(cause) => {
                (format!("the NAS refused the change ({})", told(cause)), cause)
            }
            _ => return judge(kind, order, report, config),
        },
        Err(Unsent::Packet(why)) if or_end => (why.clone(), None),
        Err(Unsent::Packet(why) | Unsent::Never(why)) => return failed(order.id, why.clone()),
        Err(Unsent::Later(why)) => return again(order, config, why.clone()),
    };
    let mut outcome = match ask(OrderKind::Disconnect, order, target, config).await {
        Ok(second) => judge(OrderKind::Disconnect, order, &second, config),
        Err(Unsent::Packet(why) | Unsent::Never(why)) => failed(order.id, why),
        Err(Unsent::Later(why)) => again(order, config, why),
    };
    if outcome.result == Some("ack") {
        outcome.result = Some("disconnected");
    }
    outcome.error_cause = outcome.error_cause.or(cause.map(|cause| cause.0));
    outcome.reason = Some(match outcome.reason {
        Some(reason) => format!("{why}; {reason}"),
        None => why,
    });
    outcome
}

/// What is to be tried again, or has been for long enough.
fn again(order: &ClaimedOrder, config: &WorkerConfig, why: String) -> OrderOutcome {
    let doubled = 2u32.saturating_pow(order.attempts.saturating_sub(1));
    let wait = config.first_wait.saturating_mul(doubled).min(config.longest_wait);
    if order.age + wait > config.give_up {
        return failed(order.id, format!("{why}; given up after {} attempts", order.attempts));
    }
    OrderOutcome {
        state: OrderState::Pending,
        wait: wait.as_secs().max(1),
        ..failed(order.id, why)
    }
}

/// Whether a refusal means that there is no such session, or that it may be asked for again later.
fn stands(cause: Option<ErrorCause>) -> bool {
    matches!(
        cause,
        Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND | ErrorCause::RESOURCES_UNAVAILABLE)
    )
}

fn told(cause: Option<ErrorCause>) -> String {
    cause.map_or_else(|| "no Error-Cause".to_owned(), |cause| format!("Error-Cause {cause}"))
}

fn judge(kind: OrderKind, order: &ClaimedOrder, report: &Report, config: &WorkerConfig) -> OrderOutcome {
    let rtt = report
        .round_trip
        .map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX));
    let answered = |state, result, cause: Option<ErrorCause>, reason: Option<String>| OrderOutcome {
        id: order.id,
        state,
        wait: 0,
        rtt,
        result: Some(result),
        error_cause: cause.map(|cause| cause.0),
        reason,
    };
    match report.outcome {
        Outcome::Ack => answered(OrderState::Done, "ack", None, None),
        Outcome::Nak(cause @ Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND)) => {
            let reason = "the NAS has no such session".to_owned();
            answered(OrderState::Done, "gone", cause, Some(reason))
        }
        Outcome::Nak(cause @ Some(ErrorCause::RESOURCES_UNAVAILABLE)) => OrderOutcome {
            rtt,
            error_cause: cause.map(|cause| cause.0),
            ..again(order, config, format!("the NAS is busy ({})", told(cause)))
        },
        Outcome::Nak(cause) => {
            let what = match kind {
                OrderKind::Change => "the change",
                OrderKind::Disconnect => "to end the session",
            };
            let reason = format!("the NAS refused {what} ({})", told(cause));
            answered(OrderState::Failed, "nak", cause, Some(reason))
        }
        Outcome::Timeout if report.rejected > 0 => {
            let why = format!(
                "{} answers did not verify: has the NAS another shared secret?",
                report.rejected
            );
            again(order, config, why)
        }
        Outcome::Timeout => again(order, config, "the NAS does not answer".to_owned()),
    }
}
