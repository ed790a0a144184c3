//! One order to one NAS, without I/O and without a clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{ErrorCause, InvalidOrder, Order};
use crate::radius::{AttributeType, Code, Packet, PacketWriter, Request, SharedSecret, Verified};

/// When to send again (RFC 5176 section 2.3 leaves it to RFC 5080 section 2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Times the packet is sent, the first included.
    pub attempts: u32,
    /// Wait for an answer to the first; doubles with each.
    pub first_wait: Duration,
    /// Longest wait.
    pub longest_wait: Duration,
}

/// Three times, waiting 1, 2 and 4 s.
impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(4),
        }
    }
}

impl Retry {
    /// How long all attempts take together, without an answer.
    #[must_use]
    pub fn total(&self) -> Duration {
        // Past the longest wait all are alike.
        let growing = self.attempts.min(32);
        let waits = (1..=growing).map(|attempt| self.wait(attempt, u16::MAX / 2));
        let rest = self.longest_wait.saturating_mul(self.attempts - growing);
        waits.fold(rest, Duration::saturating_add)
    }

    /// The wait after sending for the `attempt`th time, varied by `random` so that many senders do not stay in step.
    fn wait(&self, attempt: u32, random: u16) -> Duration {
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        let wait = self.first_wait.saturating_mul(doubled).min(self.longest_wait);
        // Nine tenths to eleven tenths.
        wait.saturating_mul(65_536 * 9 / 10 + u32::from(random) / 5) / 65_536
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ack,
    /// Refused, mostly with a cause.
    Nak(Option<ErrorCause>),
    /// No answer that verifies.
    Timeout,
}

/// What an answer has to fit.
#[derive(Debug, Clone)]
pub struct Expected {
    request: Request,
    secret: SharedSecret,
    /// Whether Message-Authenticator is demanded.
    strict: bool,
}

impl Expected {
    pub(super) const fn new(request: Request, secret: SharedSecret, strict: bool) -> Self {
        Self {
            request,
            secret,
            strict,
        }
    }

    /// What the datagram says, if it is an answer to this request from a holder of the secret.
    #[must_use]
    pub fn read(&self, datagram: &[u8]) -> Option<Outcome> {
        let reply = self.request.verify(&self.secret, datagram).ok()?;
        let reply = if self.strict {
            reply.require_message_authenticator().ok()?
        } else {
            reply
        };
        Some(read(&reply))
    }

    pub(super) const fn identifier(&self) -> u8 {
        self.request.identifier
    }
}

/// A request on its way. The same bytes, so the same Identifier and authenticator, go out at each attempt: a NAS that
/// had acted on the first answers the second from memory (RFC 5176 section 2.3).
#[derive(Debug)]
pub struct Exchange {
    nas: SocketAddr,
    expected: Expected,
    retry: Retry,
    packet: Vec<u8>,
    attempts: u32,
    sent_at: Option<Instant>,
    due: Option<Instant>,
    rejected: u32,
}

impl Exchange {
    /// `identifier` must not be in use from the same port to the same NAS; `unix_time` is the time the order is given, seconds.
    ///
    /// # Errors
    /// The order names no session, or cannot be encoded.
    pub fn new(
        nas: SocketAddr,
        secret: &SharedSecret,
        order: &Order,
        retry: Retry,
        identifier: u8,
        unix_time: u32,
    ) -> Result<Self, InvalidOrder> {
        let mut packet = Vec::new();
        let mut writer = PacketWriter::request(order.code(), identifier, secret, &mut packet)?;
        order.write(unix_time, &mut writer)?;
        let request = writer.finish();
        Ok(Self {
            nas,
            expected: Expected::new(request, secret.clone(), false),
            retry,
            packet,
            attempts: 0,
            sent_at: None,
            due: None,
            rejected: 0,
        })
    }

    /// Demand Message-Authenticator of the answer.
    #[must_use]
    pub const fn strict(mut self, strict: bool) -> Self {
        self.expected.strict = strict;
        self
    }

    /// What its answer has to fit, for whoever receives for several exchanges.
    #[must_use]
    pub const fn expected(&self) -> &Expected {
        &self.expected
    }

    /// The packet, if it is to be sent now. `random` varies the wait for the answer.
    pub fn transmit(&mut self, now: Instant, random: u16) -> Option<&[u8]> {
        if self.attempts >= self.retry.attempts || self.due.is_some_and(|due| now < due) {
            return None;
        }
        self.attempts += 1;
        self.sent_at = Some(now);
        self.due = Some(now + self.retry.wait(self.attempts, random));
        Some(&self.packet)
    }

    /// When to call [`Self::transmit`] and [`Self::expired`] next; `None` before the first transmission.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Has the last attempt been waited for in vain?
    #[must_use]
    pub fn expired(&self, now: Instant) -> bool {
        self.attempts >= self.retry.attempts && self.due.is_none_or(|due| now >= due)
    }

    /// Take a datagram. `None` where it is no answer to this request from this NAS.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Outcome> {
        let outcome = (from == self.nas).then(|| self.expected.read(datagram)).flatten();
        if outcome.is_none() {
            self.rejected = self.rejected.saturating_add(1);
        }
        outcome
    }

    /// Times the packet was sent.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Datagrams dropped: from elsewhere, or not verifying. Where nothing else came, the NAS has another shared secret.
    #[must_use]
    pub const fn rejected(&self) -> u32 {
        self.rejected
    }

    /// Time since the packet was last sent. After a retransmission the answer may be to an earlier one.
    #[must_use]
    pub fn since_sent(&self, now: Instant) -> Option<Duration> {
        self.sent_at.map(|at| now.saturating_duration_since(at))
    }
}

fn read(reply: &Verified<Packet<'_>>) -> Outcome {
    match reply.code() {
        Code::DISCONNECT_ACK | Code::COA_ACK => Outcome::Ack,
        _ => Outcome::Nak(
            reply
                .get(AttributeType::ERROR_CAUSE)
                .and_then(|cause| cause.integer())
                .map(ErrorCause),
        ),
    }
}
