//! How long a session may go without a report.

use std::time::Duration;

/// A longer interval between two reports was an outage (seconds).
pub const LONGEST_INTERVAL: i64 = 21_600;

/// When a session counts as ended though nobody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// How often a NAS reports, where neither its own reports nor the subscriber's plan say otherwise.
    pub interim: Duration,
    /// So many times that without a report; 0 = no silence is too long.
    pub intervals: u32,
}

impl Silence {
    /// Seconds after which a session that reports every `interval` seconds, as far as known, counts as over; a day
    /// where no silence is too long.
    #[must_use]
    pub fn patience(&self, interval: Option<i64>) -> i64 {
        if self.intervals == 0 {
            return 86_400;
        }
        let interim = i64::try_from(self.interim.as_secs()).unwrap_or(i64::MAX);
        let interval = interval.unwrap_or_default().min(LONGEST_INTERVAL).max(interim);
        interval.saturating_mul(i64::from(self.intervals))
    }

    /// The longest patience there is with any session, in seconds.
    #[must_use]
    pub fn longest_patience(&self) -> i64 {
        self.patience(Some(LONGEST_INTERVAL))
    }
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            interim: Duration::from_secs(600),
            intervals: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_given_its_own_interval_if_that_is_longer_and_no_outage() {
        let silence = Silence::default();
        for (interval, patience) in [
            (None, 1_800),
            (Some(5), 1_800),
            (Some(3_600), 10_800),
            (Some(604_800), 64_800),
        ] {
            assert_eq!(silence.patience(interval), patience, "{interval:?}");
        }
        assert_eq!(silence.longest_patience(), 64_800);
        let never = Silence {
            intervals: 0,
            ..silence
        };
        assert_eq!(never.patience(Some(3_600)), 86_400);
    }
}
