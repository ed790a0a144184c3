//! What this process counts of its own work, for Prometheus. One set for the process: whoever serves it registers it.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

/// Seconds. A NAS on the same continent answers within the first few, one that had to be asked again within the last.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Counters and histograms.
#[derive(Debug)]
pub struct Instruments {
    orders: Family<Labels, Counter>,
    round_trips: Family<Labels, Histogram, fn() -> Histogram>,
    netbox: Family<Labels, Counter>,
    netbox_seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

fn seconds() -> Histogram {
    Histogram::new(BUCKETS)
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| Instruments {
    orders: Family::default(),
    round_trips: Family::new_with_constructor(seconds),
    netbox: Family::default(),
    netbox_seconds: Family::new_with_constructor(seconds),
});

/// Those of this process.
#[must_use]
pub fn instruments() -> &'static Instruments {
    &INSTRUMENTS
}

impl Instruments {
    /// Have a registry encode them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "isp_coa_orders",
            "Orders sent to NAS, by vendor, kind and what came of them",
            self.orders.clone(),
        );
        registry.register(
            "isp_coa_rtt_seconds",
            "Between an order and its answer, by vendor",
            self.round_trips.clone(),
        );
        registry.register(
            "isp_netbox_requests",
            "Requests to NetBox, by what came of them",
            self.netbox.clone(),
        );
        registry.register(
            "isp_netbox_request_seconds",
            "Until NetBox answered, by what came of it",
            self.netbox_seconds.clone(),
        );
    }

    /// An order was sent, and `result` came of it; `round_trip` where an answer came.
    pub fn order(&self, vendor: &str, kind: &'static str, result: &'static str, round_trip: Option<Duration>) {
        let of = |name, value: &str| (name, value.to_owned());
        let labels = vec![of("vendor", vendor), of("kind", kind), of("result", result)];
        self.orders.get_or_create(&labels).inc();
        if let Some(elapsed) = round_trip {
            let labels = vec![of("vendor", vendor)];
            self.round_trips.get_or_create(&labels).observe(elapsed.as_secs_f64());
        }
    }

    /// NetBox was asked.
    pub fn netbox_request(&self, result: &'static str, elapsed: Duration) {
        let labels = vec![("result", result.to_owned())];
        self.netbox.get_or_create(&labels).inc();
        self.netbox_seconds
            .get_or_create(&labels)
            .observe(elapsed.as_secs_f64());
    }
}
