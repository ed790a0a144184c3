//! Verifying against slow hashes without being held up by them.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::{Condvar, Mutex};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle, GuardResult};
use sha2::Sha256;

use super::{PasswordError, StoredPassword};

/// MAC of what was verified.
type Proof = [u8; 32];
type Proofs = Cache<Proof, (), UnitWeighter, RandomState, DefaultLifecycle<Proof, ()>>;

/// How many threads slow verifications may hold, so that a flood of them leaves the others to packets that need none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyLimits {
    /// Verifications computed at once.
    pub running: NonZeroUsize,
    /// Threads that may wait for one of those; the next is told [`PasswordError::Busy`].
    pub waiting: usize,
    /// Longest wait.
    pub patience: Duration,
}

/// As many as there are processors, but at most 8, and 8 waiting for up to 2 s: half of the 32 threads a server has.
impl Default for VerifyLimits {
    fn default() -> Self {
        const MOST: NonZeroUsize = NonZeroUsize::new(8).unwrap();
        Self {
            running: std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |count| count.min(MOST)),
            waiting: 8,
            patience: Duration::from_secs(2),
        }
    }
}

/// Remembers successful verifications of slow one-way hashes, bounded, keyed by a per-process random key
/// (stores only a keyed MAC over stored form and candidate, so that a changed hash or another password never hits).
pub struct VerifyCache {
    key: Hmac<Sha256>,
    pub(super) proofs: Proofs,
    pub(super) gate: Gate,
}

impl VerifyCache {
    /// Remember about `capacity` verifications, with the default limits.
    ///
    /// # Errors
    /// The system gives no random numbers for the key.
    pub fn new(capacity: usize) -> Result<Self, getrandom::Error> {
        Self::with_limits(capacity, VerifyLimits::default())
    }

    /// Remember about `capacity` verifications.
    ///
    /// # Errors
    /// The system gives no random numbers for the key.
    pub fn with_limits(capacity: usize, limits: VerifyLimits) -> Result<Self, getrandom::Error> {
        let mut key = zeroize::Zeroizing::new([0; 64]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self {
            key: Hmac::new((&*key).into()),
            proofs: Cache::with(
                capacity,
                capacity as u64,
                UnitWeighter,
                RandomState::default(),
                DefaultLifecycle::default(),
            ),
            gate: Gate::new(limits),
        })
    }

    /// Is the password `candidate`? `context` is the subscriber's id. A slow hash is computed once for as long as it is
    /// remembered, and by one thread where several ask for the same; failures are not remembered.
    ///
    /// # Errors
    /// As [`StoredPassword::verify`]; or too many verifications are under way.
    pub fn verify(&self, context: &str, stored: &StoredPassword<'_>, candidate: &[u8]) -> Result<bool, PasswordError> {
        let StoredPassword::OneWay { scheme, hash } = stored else {
            return stored.verify(candidate);
        };
        if !scheme.is_slow() {
            return stored.verify(candidate);
        }
        let proof = self.proof(context, hash, candidate);
        if self.proofs.get(&proof).is_some() {
            return Ok(true);
        }
        let busy = || PasswordError::Busy(*scheme);
        let place = self.gate.enter().ok_or_else(busy)?;
        match self.proofs.get_value_or_guard(&proof, Some(place.time_left())) {
            GuardResult::Value(()) => Ok(true),
            GuardResult::Timeout => Err(busy()),
            GuardResult::Guard(unproven) => {
                let _turn = place.turn().ok_or_else(busy)?;
                let good = stored.verify(candidate)?;
                if good {
                    // Refused only where the entry was removed meanwhile, which nobody does.
                    let _ = unproven.insert(());
                }
                Ok(good)
            }
        }
    }

    pub(super) fn proof(&self, context: &str, hash: &str, candidate: &[u8]) -> Proof {
        let mut mac = self.key.clone();
        // Each with its length, so that no two triples read the same.
        for part in [context.as_bytes(), hash.as_bytes(), candidate] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for VerifyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyCache")
            .field("entries", &self.proofs.len())
            .field("capacity", &self.proofs.capacity())
            .field("limits", &self.gate.limits)
            .finish_non_exhaustive()
    }
}

/// Counts the threads inside: those that compute and those that wait to.
pub(super) struct Gate {
    limits: VerifyLimits,
    count: Mutex<Count>,
    turn_over: Condvar,
}

#[derive(Default)]
struct Count {
    inside: usize,
    running: usize,
}

impl Gate {
    fn new(limits: VerifyLimits) -> Self {
        Self {
            limits,
            count: Mutex::default(),
            turn_over: Condvar::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn inside(&self) -> usize {
        self.count.lock().inside
    }

    /// A place inside, if one is free.
    pub(super) fn enter(&self) -> Option<Place<'_>> {
        let mut count = self.count.lock();
        if count.inside >= self.limits.running.get().saturating_add(self.limits.waiting) {
            return None;
        }
        count.inside += 1;
        Some(Place {
            gate: self,
            deadline: Instant::now() + self.limits.patience,
        })
    }
}

pub(super) struct Place<'a> {
    gate: &'a Gate,
    deadline: Instant,
}

impl<'a> Place<'a> {
    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Wait for a turn to compute.
    pub(super) fn turn(&self) -> Option<Turn<'a>> {
        let gate = self.gate;
        let mut count = gate.count.lock();
        let full = |count: &mut Count| count.running >= gate.limits.running.get();
        let waited = gate.turn_over.wait_while_until(&mut count, full, self.deadline);
        if waited.timed_out() && full(&mut count) {
            return None;
        }
        count.running += 1;
        Some(Turn { gate })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.count.lock().inside -= 1;
    }
}

pub(super) struct Turn<'a> {
    gate: &'a Gate,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.gate.count.lock().running -= 1;
        self.gate.turn_over.notify_one();
    }
}
