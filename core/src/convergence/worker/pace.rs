//! How much of what is in hand is of one NAS.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// What is in hand of a NAS beyond a limit waits, so that dead ones do not keep all places: of one that is not known, of
/// one that was silent last, and of one that answers, at most.
const AT_FIRST: usize = 16;
const WHILE_SILENT: usize = 4;
const MOST_PER_NAS: usize = 1_024;
/// How far ahead orders of a NAS that takes only so many in a second are taken in hand.
const AHEAD: Duration = Duration::from_secs(2);

/// What is in hand of each NAS.
#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<IpAddr, Pace>);

/// What is in hand of a NAS, and when it takes the next.
#[derive(Debug)]
struct Pace {
    in_hand: usize,
    limit: usize,
    next: Instant,
}

/// How a NAS took an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Answered,
    Silent,
    /// It was not asked.
    Unknown,
}

impl Pace {
    fn is_busy(&self, now: Instant) -> bool {
        self.in_hand >= self.limit || self.next > now + AHEAD
    }
}

impl Paces {
    /// The NAS that are to be given no more now.
    pub(super) fn busy(&mut self, now: Instant) -> Vec<IpAddr> {
        self.0
            .retain(|_, pace| pace.in_hand > 0 || pace.next > now || pace.limit < AT_FIRST);
        let busy = self.0.iter().filter(|(_, pace)| pace.is_busy(now));
        busy.map(|(nas, _)| *nas).collect()
    }

    /// Whether one of them has as much as it is to have.
    pub(super) fn any_busy(&self, now: Instant) -> bool {
        self.0.values().any(|pace| pace.is_busy(now))
    }

    /// One more is in hand; gives when it is to be sent.
    pub(super) fn begin(&mut self, nas: IpAddr, rate: Option<u32>, now: Instant) -> Instant {
        let pace = self.0.entry(nas).or_insert(Pace {
            in_hand: 0,
            limit: AT_FIRST,
            next: now,
        });
        let at = pace.next.max(now);
        pace.in_hand += 1;
        pace.next = at + rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        at
    }

    /// One is over. Gives whether the NAS may be given more, and might not before.
    pub(super) fn end(&mut self, nas: IpAddr, manner: Manner, now: Instant) -> bool {
        let Some(pace) = self.0.get_mut(&nas) else {
            return false;
        };
        let was_busy = pace.is_busy(now);
        pace.in_hand = pace.in_hand.saturating_sub(1);
        match manner {
            Manner::Answered => pace.limit = (pace.limit * 2).min(MOST_PER_NAS),
            Manner::Silent => pace.limit = WHILE_SILENT,
            Manner::Unknown => {}
        }
        was_busy && !pace.is_busy(now)
    }
}
