//! How many logins were answered, and how: counted in memory, told with the node's report.

use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::accounting::PostAuthRecord;
use crate::policy::Reason;
use crate::store::NodeReport;

/// What was refused by another module than this one has no reason.
const OTHER: &str = "other";

/// Since the node started. Every login passes here, on whatever thread: there is nothing to wait for.
#[derive(Debug)]
pub(super) struct Logins {
    accepted: AtomicU64,
    other: AtomicU64,
    /// In the order of [`Reason::ALL`].
    refused: [AtomicU64; Reason::ALL.len()],
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            other: AtomicU64::new(0),
            refused: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Logins {
    pub(super) fn count(&self, record: &PostAuthRecord) {
        let counter = match (record.reply, record.reason) {
            ("Access-Accept", _) => &self.accepted,
            (_, Some(reason)) => self.refused.get(reason as usize).unwrap_or(&self.other),
            (_, None) => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted at all, by outcome.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let ends = [(NodeReport::ACCEPTED, &self.accepted), (OTHER, &self.other)];
        let reasons = Reason::ALL.iter().map(|reason| reason.code()).zip(&self.refused);
        ends.into_iter()
            .chain(reasons)
            .map(|(name, count)| (name.to_owned(), count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reply: &'static str, reason: Option<Reason>) -> PostAuthRecord {
        PostAuthRecord {
            tenant_id: None,
            subscriber_id: None,
            user_name: String::new(),
            reply,
            reason,
            nas_ip_address: None,
            called_station_id: None,
            calling_station_id: None,
            class: None,
            authdate: 0,
        }
    }

    #[test]
    fn each_reason_has_a_count_of_its_own() {
        let logins = Logins::default();
        assert_eq!(logins.counts(), BTreeMap::new());
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            for _ in 0..=n {
                logins.count(&record("Access-Reject", Some(reason)));
            }
        }
        // Let in, with less than it has: no refusal.
        logins.count(&record("Access-Accept", Some(Reason::Suspended)));
        logins.count(&record("Access-Reject", None));
        let counts = logins.counts();
        assert_eq!(counts.len(), Reason::ALL.len() + 2);
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(counts.get(reason.code()), Some(&(n as u64 + 1)), "{reason}");
        }
        assert_eq!((counts["accepted"], counts["other"]), (1, 1));
    }
}
