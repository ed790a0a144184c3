//! The identifiers of one socket towards one NAS: which are in use, and whose answers they get.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::coa::{Expected, Outcome};

/// An identifier without an answer is not used again so soon: the answer would be taken for another's.
const REST: Duration = Duration::from_secs(30);
/// So many identifiers are used before the first is used again.
const TURNS: usize = 64;
/// An identifier is one octet (RFC 2865 section 3).
const MOST: usize = 256;

/// What a datagram turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Given to the exchange that waited for it.
    Answer,
    /// The exchange has its answer already.
    Duplicate,
    /// Nobody waits any more.
    Late,
    /// It does not verify.
    Rejected,
    /// Nothing was sent under its identifier.
    Unexpected,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// By identifier.
    slots: Vec<Slot>,
    /// Answered; the longest ago first.
    free: VecDeque<u8>,
    /// Given up; the longest ago first.
    resting: VecDeque<(Instant, u8)>,
}

#[derive(Debug)]
struct Slot {
    /// `None` until the request is made.
    expected: Option<Expected>,
    waiting: Option<oneshot::Sender<Outcome>>,
    answered: bool,
    rejected: u32,
}

impl Slot {
    const EMPTY: Self = Self {
        expected: None,
        waiting: None,
        answered: false,
        rejected: 0,
    };
}

impl Lane {
    /// An identifier that no exchange has.
    pub(super) fn take(&mut self, now: Instant) -> Option<u8> {
        let rested = self
            .resting
            .pop_front_if(|(since, _)| now.saturating_duration_since(*since) >= REST);
        if let Some((_, identifier)) = rested {
            if let Some(slot) = self.slots.get_mut(usize::from(identifier)) {
                *slot = Slot::EMPTY;
            }
            return Some(identifier);
        }
        if self.slots.len() >= TURNS
            && let Some(identifier) = self.free.pop_front()
        {
            return Some(identifier);
        }
        match u8::try_from(self.slots.len()) {
            Ok(identifier) if self.slots.len() < MOST => {
                self.slots.push(Slot::EMPTY);
                Some(identifier)
            }
            _ => self.free.pop_front(),
        }
    }

    /// Wait for the answer to a request under an identifier that was taken.
    pub(super) fn expect(&mut self, expected: Expected) -> oneshot::Receiver<Outcome> {
        let (tell, told) = oneshot::channel();
        if let Some(slot) = self.slots.get_mut(usize::from(expected.identifier())) {
            *slot = Slot {
                expected: Some(expected),
                waiting: Some(tell),
                ..Slot::EMPTY
            };
        }
        told
    }

    /// Datagrams under the identifier that did not verify.
    pub(super) fn rejected(&self, identifier: u8) -> u32 {
        self.slots.get(usize::from(identifier)).map_or(0, |slot| slot.rejected)
    }

    /// The exchange ended, however.
    pub(super) fn give_back(&mut self, identifier: u8, now: Instant) {
        let Some(slot) = self.slots.get_mut(usize::from(identifier)) else {
            return;
        };
        slot.waiting = None;
        // Nothing was sent where nothing is expected.
        if slot.answered || slot.expected.is_none() {
            self.free.push_back(identifier);
        } else {
            self.resting.push_back((now, identifier));
        }
    }

    pub(super) fn receive(&mut self, datagram: &[u8]) -> Arrival {
        let slot = match datagram {
            [_, identifier, ..] => self.slots.get_mut(usize::from(*identifier)),
            _ => None,
        };
        let Some((slot, expected)) = slot.and_then(|slot| {
            let expected = slot.expected.clone()?;
            Some((slot, expected))
        }) else {
            return Arrival::Unexpected;
        };
        let Some(outcome) = expected.read(datagram) else {
            slot.rejected = slot.rejected.saturating_add(1);
            return Arrival::Rejected;
        };
        if slot.answered {
            return Arrival::Duplicate;
        }
        let told = slot.waiting.take().is_some_and(|waiting| waiting.send(outcome).is_ok());
        slot.answered = told;
        if told { Arrival::Answer } else { Arrival::Late }
    }

    /// No answer will come any more: those who wait are told.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing is on its way, and nothing can still come that is to be told apart.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let rested = |(since, _): &(Instant, u8)| now.saturating_duration_since(*since) >= REST;
        self.free.len() + self.resting.len() == self.slots.len() && self.resting.iter().all(rested)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::coa::{Exchange, Order, Retry};
    use crate::radius::{AttributeType, Code, Packet, PacketWriter, SharedSecret};

    fn secret() -> SharedSecret {
        SharedSecret::new(b"testing123").unwrap()
    }

    /// A request under the identifier, and the answer to it.
    fn exchange(identifier: u8) -> (Expected, Vec<u8>) {
        let order = Order::disconnect().with(AttributeType::USER_NAME, "alice");
        let nas = "192.0.2.1:3799".parse().unwrap();
        let secret = secret();
        let mut exchange = Exchange::new(nas, &secret, &order, Retry::default(), identifier, 7).unwrap();
        let packet = exchange.transmit(Instant::now(), 0).unwrap().to_vec();
        let request = Packet::decode(&packet).unwrap().verify_request(&secret).unwrap();
        let mut answer = Vec::new();
        PacketWriter::reply(Code::DISCONNECT_ACK, &request, &secret, &mut answer).finish();
        (exchange.expected().clone(), answer)
    }

    #[test]
    fn an_identifier_without_an_answer_rests() {
        let mut lane = Lane::default();
        let start = Instant::now();
        for expected in 0..=255 {
            assert_eq!(lane.take(start), Some(expected));
        }
        assert_eq!(lane.take(start), None);
        let (expected, answer) = exchange(9);
        let told = lane.expect(expected);
        drop(told);
        lane.give_back(9, start);
        assert_eq!(lane.receive(&answer), Arrival::Late);
        assert_eq!(lane.take(start + REST / 2), None);
        assert_eq!(lane.take(start + REST), Some(9));
        assert_eq!(lane.receive(&answer), Arrival::Unexpected, "it is forgotten by now");
    }

    #[test]
    fn answered_identifiers_are_used_in_turn() {
        let mut lane = Lane::default();
        let now = Instant::now();
        let mut used = Vec::new();
        for _ in 0..200 {
            let identifier = lane.take(now).unwrap();
            let (expected, answer) = exchange(identifier);
            let mut told = lane.expect(expected);
            assert_eq!(lane.receive(&answer), Arrival::Answer);
            assert_eq!(told.try_recv(), Ok(Outcome::Ack));
            lane.give_back(identifier, now);
            assert_eq!(lane.receive(&answer), Arrival::Duplicate);
            used.push(usize::from(identifier));
        }
        assert_eq!(used, (0..200).map(|turn| turn % TURNS).collect::<Vec<_>>());
        assert!(lane.is_idle(now));
    }

    #[test]
    fn an_order_that_was_not_sent_keeps_no_identifier() {
        let mut lane = Lane::default();
        let now = Instant::now();
        for _ in 0..10_000 {
            let identifier = lane.take(now).unwrap();
            lane.give_back(identifier, now);
        }
        assert!(lane.is_idle(now));
    }
}
