//! Orders through the outbox of a database: placed, claimed, told, and every result on disk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use isp_core::accounting::{AccountingRecord, AcctStatusType};
use isp_core::convergence::{Worker, WorkerConfig, nas_only};
use isp_core::order::{Cause, NewOrder, OrderKind, OrderState};
use isp_core::policy::vendor::VendorSet;
use isp_core::secret::Secret;
use isp_core::store::{OrderFilter, Store};
use tokio::sync::{Notify, watch};

use super::{RETRY, SECRET};
use crate::error::{Error, Result};

/// Orders placed by one statement, as the reconciler does.
const PLACED_AT_ONCE: usize = 1_000;
/// Rows of the history that are written at once.
const SESSIONS_AT_ONCE: usize = 2_000;
/// How often the table is asked whether all is done.
const GLANCE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(300);

/// A database with open sessions.
pub(super) struct Outbox {
    store: Store,
    sessions: Vec<i64>,
}

/// Orders a second.
pub(super) struct Rates {
    /// From the first that is placed until the last result is on disk.
    pub(super) in_all: f64,
    /// The same without placing them, which whoever decides does.
    pub(super) told: f64,
    /// Orders that did not end as they should.
    pub(super) wrong: u64,
}

fn setup(why: impl std::fmt::Display) -> Error {
    Error::Setup(why.to_string())
}

fn session(number: usize, now: i64) -> AccountingRecord {
    AccountingRecord {
        status: AcctStatusType::Start,
        tenant_id: None,
        subscriber_id: None,
        acct_session_id: format!("{number:08x}"),
        acct_unique_id: format!("{number:032x}"),
        user_name: format!("user-{number:06}"),
        realm: String::new(),
        nas_ip_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        nas_port_id: None,
        nas_port_type: None,
        event_time: now,
        session_time: None,
        authentic: None,
        connect_info: None,
        input_octets: None,
        output_octets: None,
        called_station_id: None,
        calling_station_id: None,
        terminate_cause: None,
        service_type: None,
        framed_protocol: None,
        framed_ip_address: None,
        framed_ipv6_address: None,
        framed_ipv6_prefix: None,
        framed_interface_id: None,
        delegated_ipv6_prefix: None,
        class: None,
        multi_session_id: None,
        gigawords: false,
        received: now,
        interim_interval: None,
    }
}

impl Outbox {
    /// Fill the database at `url` with this many open sessions.
    pub(super) async fn open(url: &str, sessions: usize) -> Result<Self> {
        let store = Store::connect(url, 4, true).await.map_err(setup)?;
        store.migrate().await.map_err(setup)?;
        let now = i64::try_from(UNIX_EPOCH.elapsed().map_err(setup)?.as_secs()).map_err(setup)?;
        let records: Vec<AccountingRecord> = (0..sessions).map(|number| session(number, now)).collect();
        for some in records.chunks(SESSIONS_AT_ONCE) {
            store.record_accounting(some).await.map_err(setup)?;
        }
        let live = store.live_sessions(&Default::default()).await.map_err(setup)?;
        let sessions = live.into_iter().map(|session| session.session_id).collect();
        Ok(Self { store, sessions })
    }

    /// Disconnect every session, by one worker.
    pub(super) async fn tell(&self, nas: SocketAddr) -> Result<Rates> {
        let order = |session_id: &i64| NewOrder {
            session_id: *session_id,
            kind: OrderKind::Disconnect,
            cause: Cause::Manual,
            actor: None,
            plan_id: None,
            set: Vec::new(),
            unset: Vec::new(),
            wanted: None,
        };
        let orders: Vec<NewOrder> = self.sessions.iter().map(order).collect();
        let before = self.done().await?;
        let begun = Instant::now();
        for some in orders.chunks(PLACED_AT_ONCE) {
            self.store.place_orders(some).await.map_err(setup)?;
        }
        let placed = Instant::now();
        let vendors = Arc::new(VendorSet::shipped().map_err(|faults| setup(format!("{faults:?}")))?);
        let snapshot = nas_only(&self.store, vendors).await.map_err(setup)?;
        let config = WorkerConfig {
            port: Some(nas.port()),
            retry: RETRY,
            secret: Some(Secret::new(SECRET.to_owned())),
            ..WorkerConfig::new("bench".to_owned())
        };
        let (stop, stopped) = watch::channel(false);
        let worker = Worker::new(self.store.clone(), snapshot, None, config);
        let worker = tokio::spawn(worker.run(Arc::new(Notify::new()), stopped));
        while self.any(OrderState::Pending).await? || self.any(OrderState::Sending).await? {
            if placed.elapsed() > PATIENCE {
                return Err(setup("orders are not done in five minutes"));
            }
            tokio::time::sleep(GLANCE).await;
        }
        let ended = Instant::now();
        stop.send_replace(true);
        worker.await.map_err(setup)?;
        let done = self.done().await? - before;
        let all = orders.len();
        Ok(Rates {
            in_all: all as f64 / (ended - begun).as_secs_f64(),
            told: all as f64 / (ended - placed).as_secs_f64(),
            wrong: (all as u64).saturating_sub(done),
        })
    }

    /// Whether there is one in this state.
    async fn any(&self, state: OrderState) -> Result<bool> {
        let filter = OrderFilter {
            state: Some(state),
            limit: Some(1),
            ..OrderFilter::default()
        };
        let listed = self.store.order_list(&filter).await.map_err(setup)?;
        Ok(!listed.is_empty())
    }

    async fn done(&self) -> Result<u64> {
        let progress = self.store.order_progress(&OrderFilter::default()).await;
        Ok(progress.map_err(setup)?.iter().map(|row| row.done).sum())
    }
}
