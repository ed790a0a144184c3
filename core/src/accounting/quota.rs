//! Quotas: what a plan allows in a period, and the tiers that use beyond it leads to.

use std::cmp::Reverse;

use serde::Serialize;

use super::period::{Period, PeriodKind};
use super::usage::Used;

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Octets from the subscriber.
    Upload,
    /// Octets towards the subscriber.
    Download,
    /// Octets both ways.
    Total,
    /// Seconds online, those of sessions at the same time added up.
    Time,
}

impl Metric {
    pub const ALL: [Self; 4] = [Self::Upload, Self::Download, Self::Total, Self::Time];

    /// The word the database uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Total => "total",
            Self::Time => "time",
        }
    }

    /// The part of `used` that it counts.
    #[must_use]
    pub const fn of(self, used: Used) -> u64 {
        match self {
            Self::Upload => used.upload_octets,
            Self::Download => used.download_octets,
            Self::Total => used.upload_octets.saturating_add(used.download_octets),
            Self::Time => used.seconds,
        }
    }
}

/// A word that is no [`Metric`].
#[derive(Debug, thiserror::Error)]
#[error("unknown metric {0:?}: expected upload, download, total or time")]
pub struct UnknownMetric(String);

impl std::str::FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(word: &str) -> Result<Self, UnknownMetric> {
        Self::ALL
            .into_iter()
            .find(|metric| metric.as_str() == word)
            .ok_or_else(|| UnknownMetric(word.to_owned()))
    }
}

/// What a tier does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The plan with this id takes the place of the subscriber's own.
    Plan(String),
    /// The subscriber is refused.
    Refuse,
}

impl Effect {
    /// The word of the database for a refusal.
    pub const REFUSE: &'static str = "refuse";
}

/// From `threshold` (octets or seconds used) on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub threshold: u64,
    pub effect: Effect,
}

/// A row of `plan_quotas` with its tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub id: String,
    pub tenant_id: String,
    pub plan_id: String,
    pub metric: Metric,
    pub period: Period,
    /// In order of their thresholds.
    pub tiers: Vec<Tier>,
}

/// A row of `quota_topups`: raises the thresholds of the quotas of its metric and period. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUp {
    pub id: String,
    pub subscriber_id: String,
    pub metric: Metric,
    pub period: PeriodKind,
    /// Octets or seconds.
    pub amount: u64,
    pub valid_from: i64,
    pub valid_until: i64,
    pub note: Option<String>,
    pub created_at: i64,
    pub created_by: Option<String>,
}

impl Quota {
    /// Whether a top-up of this metric and period is for it.
    #[must_use]
    pub fn takes(&self, metric: Metric, period: PeriodKind) -> bool {
        self.metric == metric && self.period.kind() == period
    }

    /// The tier that so much leads to.
    #[must_use]
    pub fn tier(&self, used: u64, topped_up: u64) -> Option<&Tier> {
        self.tiers
            .iter()
            .rev()
            .find(|tier| used >= tier.threshold.saturating_add(topped_up))
    }

    /// Where the next tier begins, with what was topped up.
    #[must_use]
    pub fn limit(&self, used: u64, topped_up: u64) -> Option<u64> {
        self.tiers
            .iter()
            .map(|tier| tier.threshold.saturating_add(topped_up))
            .find(|threshold| used < *threshold)
    }
}

/// A tier that a subscriber is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    pub quota_id: String,
    pub metric: Metric,
    pub tier: Tier,
    pub used: u64,
    /// When it ends, Unix seconds.
    pub until: i64,
}

/// The one that counts where several quotas have led to a tier: a refusal before any plan, the slower plan before the
/// faster, what lasts longer before what ends sooner. `rate` of a plan is in kbit/s.
pub fn governing(reached: impl IntoIterator<Item = Reached>, rate: impl Fn(&str) -> u64) -> Option<Reached> {
    reached.into_iter().min_by_key(|reached| {
        let speed = match &reached.tier.effect {
            Effect::Refuse => None,
            Effect::Plan(id) => Some(rate(id)),
        };
        (speed, Reverse(reached.until))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn quota(thresholds: &[u64]) -> Quota {
        Quota {
            id: "q".to_owned(),
            tenant_id: "t".to_owned(),
            plan_id: "p".to_owned(),
            metric: Metric::Total,
            period: Period::Month,
            tiers: thresholds
                .iter()
                .map(|threshold| Tier {
                    threshold: *threshold,
                    effect: Effect::Plan(format!("after {threshold}")),
                })
                .collect(),
        }
    }

    #[test]
    fn a_tier_begins_at_its_threshold() {
        let quota = quota(&[5 * GIB, 50 * GIB]);
        let at = |used, topped_up| quota.tier(used, topped_up).map(|tier| tier.threshold);
        assert_eq!(at(5 * GIB - 1, 0), None);
        assert_eq!(at(5 * GIB, 0), Some(5 * GIB));
        assert_eq!(at(50 * GIB, 0), Some(50 * GIB));
        assert_eq!(at(50 * GIB, 1), Some(5 * GIB));
        assert_eq!(at(50 * GIB, 46 * GIB), None);
        assert_eq!(quota.limit(0, GIB), Some(6 * GIB));
        assert_eq!(quota.limit(6 * GIB, GIB), Some(51 * GIB));
        assert_eq!(quota.limit(51 * GIB, GIB), None);
    }

    #[test]
    fn metrics_count_their_part() {
        let used = Used {
            upload_octets: 5 * GIB,
            download_octets: u64::MAX,
            seconds: 3,
        };
        let counted = Metric::ALL.map(|metric| metric.of(used));
        assert_eq!(counted, [5 * GIB, u64::MAX, u64::MAX, 3]);
    }

    #[test]
    fn the_strictest_tier_counts() {
        let reached = |effect: &str, until| Reached {
            quota_id: format!("{effect} {until}"),
            metric: Metric::Total,
            tier: Tier {
                threshold: 1,
                effect: match effect {
                    Effect::REFUSE => Effect::Refuse,
                    plan => Effect::Plan(plan.to_owned()),
                },
            },
            used: 1,
            until,
        };
        let rate = |plan: &str| if plan == "slow" { 64 } else { 512 };
        let strictest = |all: &[(&str, i64)]| {
            governing(all.iter().map(|(effect, until)| reached(effect, *until)), rate).map(|reached| reached.quota_id)
        };
        assert_eq!(strictest(&[]), None);
        assert_eq!(strictest(&[("fast", 9), ("slow", 5)]).unwrap(), "slow 5");
        assert_eq!(strictest(&[("slow", 9), ("refuse", 5)]).unwrap(), "refuse 5");
        assert_eq!(strictest(&[("slow", 5), ("slow", 9)]).unwrap(), "slow 9");
    }

    proptest! {
        #[test]
        fn more_use_never_leads_to_a_lower_tier(
            thresholds in prop::collection::btree_set(1..1_u64 << 50, 1..5),
            used in 0..1_u64 << 51,
            more in 0..1_u64 << 51,
            topped_up in 0..1_u64 << 50,
        ) {
            let quota = quota(&thresholds.into_iter().collect::<Vec<_>>());
            let threshold = |used, topped_up| quota.tier(used, topped_up).map_or(0, |tier| tier.threshold);
            prop_assert!(threshold(used + more, topped_up) >= threshold(used, topped_up));
            prop_assert!(threshold(used, topped_up) <= threshold(used, 0));
            prop_assert_eq!(threshold(used + topped_up, topped_up), threshold(used, 0));
            if let Some(limit) = quota.limit(used, topped_up) {
                prop_assert!(limit > used);
                prop_assert!(threshold(limit, topped_up) > threshold(limit - 1, topped_up));
            }
        }
    }
}
