//! Metrics for Prometheus: what this process counts, what waits in the outbox, and what every server says of itself.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use isp_core::store::{NodeReport, NodeState, NodeStatus, OutboxState, Store};
use isp_core::telemetry::instruments;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tracing::warn;

use crate::error::{Error, Result};

/// A scrape is given up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Numbers = Family<Labels, Gauge<i64>>;
type Totals = Family<Labels, Counter<u64, AtomicU64>>;

/// Serves `/metrics` until it is dropped.
pub(super) struct Endpoint {
    listener: TcpListener,
    /// Where it listens, which the system chose where the port was 0.
    pub(super) address: SocketAddr,
}

impl Endpoint {
    pub(super) async fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| Error::Refused(format!("metrics_listen {address}: {error}")))?;
        let address = listener.local_addr().map_err(Error::Runtime)?;
        Ok(Self { listener, address })
    }

    pub(super) async fn serve(self, store: Store) {
        let router = Router::new().route("/metrics", get(page)).with_state(store);
        if let Err(error) = axum::serve(self.listener, router).await {
            warn!(%error, "metrics are not served any more");
        }
    }
}

async fn page(State(store): State<Store>) -> Response {
    let asked = async { Ok::<_, isp_core::store::StoreError>((store.outbox().await?, store.nodes().await?)) };
    let known = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(known)) => Some(known),
        Ok(Err(error)) => {
            warn!(%error, "metrics lack what the database knows");
            None
        }
        Err(_) => None,
    };
    match text(
        known
            .as_ref()
            .map(|(outbox, nodes)| (outbox.as_slice(), nodes.as_slice())),
    ) {
        Ok(text) => ([(header::CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// `known`: what the database says, where it answers.
fn text(known: Option<(&[OutboxState], &[NodeStatus])>) -> std::result::Result<String, std::fmt::Error> {
    let mut registry = Registry::default();
    instruments().register(&mut registry);
    let database = Gauge::<i64>::default();
    database.set(known.is_some().into());
    registry.register("isp_database_up", "Whether the database answers this process", database);
    if let Some((outbox, nodes)) = known {
        of_outbox(&mut registry, outbox);
        of_nodes(&mut registry, nodes);
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

fn of_outbox(registry: &mut Registry, outbox: &[OutboxState]) {
    let orders = added(
        registry,
        "isp_outbox_orders",
        "Orders for NAS that are not over, by state",
        Numbers::default(),
    );
    let oldest = added(
        registry,
        "isp_outbox_oldest_seconds",
        "Since the oldest of them was placed, by state",
        Numbers::default(),
    );
    for state in outbox {
        let labels = vec![("state", state.state.as_str().to_owned())];
        orders.get_or_create(&labels).set(signed(state.orders));
        oldest.get_or_create(&labels).set(signed(state.oldest_age));
    }
}

fn of_nodes(registry: &mut Registry, nodes: &[NodeStatus]) {
    let up = added(
        registry,
        "isp_node_up",
        "Whether a RADIUS server reports, by the version it runs",
        Numbers::default(),
    );
    let numbers = NUMBERS.map(|(name, help, of)| (added(registry, name, help, Numbers::default()), of));
    let totals = TOTALS.map(|(name, help, of)| (added(registry, name, help, Totals::default()), of));
    let accepted = added(
        registry,
        "isp_node_logins_accepted",
        "Logins it accepted since it started",
        Totals::default(),
    );
    let rejected = added(
        registry,
        "isp_node_logins_rejected",
        "Logins it refused since it started, by reason",
        Totals::default(),
    );
    // One that ended for good says nothing of today.
    for node in nodes.iter().filter(|node| node.state != NodeState::Gone) {
        let report = &node.report;
        let named = |more: &[(&'static str, &str)]| -> Labels {
            let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
            std::iter::once(("node", report.node_id.clone())).chain(more).collect()
        };
        let labels = named(&[("host", &report.host), ("version", &report.version)]);
        up.get_or_create(&labels).set((node.state == NodeState::Running).into());
        for (family, of) in &numbers {
            family.get_or_create(&named(&[])).set(signed(of(node)));
        }
        for (family, of) in &totals {
            family.get_or_create(&named(&[])).inc_by(of(node));
        }
        for (outcome, count) in &report.logins {
            let counter = if outcome == NodeReport::ACCEPTED {
                accepted.get_or_create(&named(&[])).clone()
            } else {
                rejected.get_or_create(&named(&[("reason", outcome)])).clone()
            };
            counter.inc_by(*count);
        }
    }
}

type OfNode = fn(&NodeStatus) -> u64;

const NUMBERS: [(&str, &str, OfNode); 6] = [
    (
        "isp_node_journal_records",
        "Accounting records that wait in its journal",
        |node| node.report.journal_records,
    ),
    ("isp_node_journal_bytes", "Bytes that wait in its journal", |node| {
        node.report.journal_bytes
    }),
    (
        "isp_node_journal_oldest_seconds",
        "Since the first of them came, when it last reported",
        |node| {
            let age = node.report.journal_oldest.map_or(0, |oldest| node.reported_at - oldest);
            u64::try_from(age).unwrap_or(0)
        },
    ),
    (
        "isp_node_snapshot_age_seconds",
        "Since the database last confirmed its subscribers",
        |node| node.report.snapshot_age,
    ),
    ("isp_node_subscribers", "Subscribers in its memory", |node| {
        node.report.subscribers
    }),
    (
        "isp_node_records_aside",
        "Records that the database refused and that lie beside its journal",
        |node| node.report.records_aside,
    ),
];

const TOTALS: [(&str, &str, OfNode); 4] = [
    (
        "isp_node_records_applied",
        "Accounting records it handed to the database since it started",
        |node| node.report.applied_total,
    ),
    (
        "isp_node_records_lost",
        "Acknowledged records that turned out unreadable since it started",
        |node| node.report.records_lost,
    ),
    (
        "isp_node_records_unanswered",
        "Accounting packets without an answer since it started",
        |node| node.report.records_unanswered,
    ),
    (
        "isp_node_logins_locked_out",
        "Logins refused as locked since it started",
        |node| node.report.logins_locked_out,
    ),
];

fn added<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: Clone + Debug + Send + Sync + prometheus_client::encoding::EncodeMetric + 'static,
{
    registry.register(name, help, metric.clone());
    metric
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::collections::BTreeSet;

    use isp_core::order::OrderState;

    use super::*;

    fn sample() -> String {
        instruments().order("mikrotik", "change", "ack", Some(Duration::from_millis(3)));
        instruments().netbox_request("ok", Duration::from_millis(40));
        let report = NodeReport {
            node_id: "aaa1:/var/lib/radiusd/accounting".to_owned(),
            host: "aaa1".to_owned(),
            version: "1.2.3".to_owned(),
            journal_records: 7,
            journal_bytes: 1_750,
            journal_oldest: Some(940),
            applied_total: 11,
            applied_per_second: 0,
            snapshot_age: 2,
            subscribers: 5,
            records_lost: 1,
            records_unanswered: 3,
            records_aside: 4,
            logins_locked_out: 6,
            logins: [("accepted".to_owned(), 9), ("suspended".to_owned(), 2)].into(),
            stopped: false,
        };
        let node = NodeStatus {
            state: NodeState::Running,
            report,
            reported_at: 1_000,
        };
        let outbox = OutboxState {
            state: OrderState::Pending,
            orders: 12,
            oldest_age: 34,
        };
        text(Some((&[outbox], &[node]))).unwrap()
    }

    /// Names of samples, as queries have them.
    fn names(text: &str) -> BTreeSet<&str> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(['{', ' ']).next().unwrap()).collect()
    }

    #[test]
    fn what_is_known_is_told() {
        let text = sample();
        for line in [
            "isp_outbox_orders{state=\"pending\"} 12",
            "isp_outbox_oldest_seconds{state=\"pending\"} 34",
            "isp_node_journal_oldest_seconds{node=\"aaa1:/var/lib/radiusd/accounting\"} 60",
            "isp_node_logins_accepted_total{node=\"aaa1:/var/lib/radiusd/accounting\"} 9",
            "isp_node_logins_rejected_total{node=\"aaa1:/var/lib/radiusd/accounting\",reason=\"suspended\"} 2",
            "isp_node_up{node=\"aaa1:/var/lib/radiusd/accounting\",host=\"aaa1\",version=\"1.2.3\"} 1",
            "isp_database_up 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        assert!(
            text.contains("isp_coa_orders_total{vendor=\"mikrotik\",kind=\"change\",result=\"ack\"}"),
            "{text}"
        );
        let away = super::text(None).unwrap();
        assert!(
            away.contains("isp_database_up 0") && !away.contains("isp_node_up"),
            "{away}"
        );
    }

    #[test]
    fn dashboard_and_alerts_name_metrics_that_there_are() {
        let text = sample();
        let known = names(&text);
        for (file, least) in [
            (include_str!("../../../../contrib/prometheus/alerts.yml"), 8),
            (include_str!("../../../../contrib/grafana/isp.json"), 12),
        ] {
            let words = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let named: BTreeSet<&str> = words.filter(|word| word.starts_with("isp_")).collect();
            let unknown: Vec<_> = named.difference(&known).collect();
            assert!(unknown.is_empty(), "{unknown:?} are none of {known:?}");
            assert!(named.len() >= least, "{named:?}");
        }
        let dashboard = include_str!("../../../../contrib/grafana/isp.json");
        let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        assert!(dashboard["panels"].as_array().unwrap().len() >= 10);
    }
}
