//! How many logins were answered, and how: counted in memory, told with the node's report.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::store::NodeReport;

/// What was refused by another module than this one has no reason.
const OTHER: &str = "other";

/// Since the node started.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<BTreeMap<&'static str, u64>>);

impl Logins {
    pub(super) fn count(&self, reply: &str, reason: Option<&'static str>) {
        let name = match reply {
            "Access-Accept" => NodeReport::ACCEPTED,
            _ => reason.unwrap_or(OTHER),
        };
        *self.0.lock().entry(name).or_default() += 1;
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock();
        counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }
}
