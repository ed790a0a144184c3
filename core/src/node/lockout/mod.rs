//! Guessing passwords: who fails often is refused for a while without a look at the password, and waits for each refusal.
//!
//! Failures are counted for a name together with the device that tries it, so that nobody locks a subscriber's own device by
//! guessing from another, and for a device, whatever names it tries. How long a refusal is held back also goes by the name
//! alone. What is counted is only in this node's memory.

mod table;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use table::{Failed, Rules, Table};

use super::Node;
use crate::accounting::device::Device;
use crate::policy::binding::Packet;
use crate::policy::{Lock, Reason};
use crate::snapshot::{Entry, Found, Sender};

/// How failures are counted, and what they lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockoutConfig {
    /// Wrong passwords for a name from a device that lock the two; 0 = none do.
    pub threshold: u32,
    /// Wrong passwords and unknown names from a device that lock it; 0 = none do.
    pub source_threshold: u32,
    /// How long failures count together.
    pub window: Duration,
    pub duration: Duration,
    /// How long the first refusal is held back; each further one twice as long. 0 = none is.
    pub delay: Duration,
    /// At most so long.
    pub max_delay: Duration,
    /// Names and devices that are counted at once, half and half.
    pub remembered: usize,
}

impl Default for LockoutConfig {
    fn default() -> Self {
        Self {
            threshold: 0,
            source_threshold: 0,
            window: Duration::from_secs(300),
            duration: Duration::from_secs(300),
            delay: Duration::ZERO,
            max_delay: Duration::from_secs(4),
            remembered: 100_000,
        }
    }
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginEnd {
    Accepted,
    Refused(Reason),
}

/// What comes of how a login ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consequence {
    /// How long its refusal is to be held back.
    pub delay: Option<Duration>,
    /// What the log is to know.
    pub note: Option<String>,
}

/// A subscriber whose name was tried.
type Account<'a> = (&'a Found<'a>, &'a Entry<'a>);

pub(super) struct Lockout {
    config: LockoutConfig,
    /// Names with devices, and names.
    accounts: Table,
    /// Devices.
    sources: Table,
    /// Its keys are random: nobody can find two names that are one to it.
    hasher: RandomState,
    since: Instant,
    refused: Arc<AtomicU64>,
}

impl std::fmt::Debug for Lockout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lockout")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Lockout {
    pub(super) fn new(config: LockoutConfig) -> Self {
        let counts = config.threshold > 0 || !config.delay.is_zero();
        let counts_sources = config.source_threshold > 0 || !config.delay.is_zero();
        let room = |needed: bool| Table::new(if needed { config.remembered / 2 } else { 0 });
        Self {
            accounts: room(counts),
            sources: room(counts_sources),
            hasher: RandomState::new(),
            since: Instant::now(),
            refused: Arc::default(),
            config,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.config.threshold > 0 || self.config.source_threshold > 0 || !self.config.delay.is_zero()
    }

    /// Logins refused as locked since the node started.
    pub(super) fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    fn rules(&self, threshold: u32) -> Rules {
        Rules {
            threshold: Some(threshold).filter(|&threshold| threshold > 0),
            window: self.config.window,
            duration: self.config.duration,
        }
    }

    /// By a clock that nobody sets.
    fn now(&self) -> u32 {
        u32::try_from(self.since.elapsed().as_secs()).map_or(u32::MAX, |seconds| seconds.saturating_add(1))
    }

    /// The subscriber with the password it has now, tried from this device, or from any: a changed password is a new beginning.
    fn account(&self, (found, entry): Account<'_>, device: Option<&Device>) -> u64 {
        let secret = postcard::to_allocvec(&entry.secret).unwrap_or_default();
        self.hasher
            .hash_one((&found.tenant.id, entry.id(), secret, device.map(Device::name)))
    }

    /// The device; `None` where the NAS does not tell them apart.
    fn source(&self, source: Option<IpAddr>, device: &Device) -> Option<u64> {
        let station = device.station.as_deref()?;
        Some(self.hasher.hash_one((source, station)))
    }

    /// Whether a device is locked, or the subscriber it says it is.
    pub(super) fn lock(
        &self,
        source: Option<IpAddr>,
        packet: &Packet<'_>,
        account: Option<Account<'_>>,
    ) -> Option<Lock> {
        if !self.is_on() {
            return None;
        }
        let (device, now) = (device(packet), self.now());
        let left = |until: u32| until - now;
        let of_account = account
            .and_then(|account| self.accounts.locked(self.account(account, Some(&device)), now))
            .map(|until| Lock::Account { seconds: left(until) });
        let of_source = || {
            let until = self.sources.locked(self.source(source, &device)?, now)?;
            Some(Lock::Device { seconds: left(until) })
        };
        of_account.or_else(of_source)
    }

    /// Count how a login ended.
    fn ended(
        &self,
        source: Option<IpAddr>,
        packet: &Packet<'_>,
        account: Option<Account<'_>>,
        end: LoginEnd,
    ) -> Consequence {
        let (device, now) = (device(packet), self.now());
        let tried = account.map(|account| self.account(account, Some(&device)));
        let fail_account = || {
            let rules = self.rules(self.config.threshold);
            Some(self.accounts.fail(tried?, &rules, now))
        };
        // From all devices together: this never locks, since that would lock the subscriber's own.
        let fail_name = || {
            let name = self.account(account.filter(|_| !self.config.delay.is_zero())?, None);
            Some(self.accounts.fail(name, &self.rules(0), now))
        };
        let fail_source = || {
            let rules = self.rules(self.config.source_threshold);
            Some(self.sources.fail(self.source(source, &device)?, &rules, now))
        };
        let [account, name, source] = match end {
            LoginEnd::Accepted => {
                if let Some(tried) = tried {
                    self.accounts.forgive(tried);
                }
                return Consequence::default();
            }
            LoginEnd::Refused(Reason::BadPassword) => [fail_account(), fail_name(), fail_source()],
            LoginEnd::Refused(Reason::UnknownSubscriber) => [None, None, fail_source()],
            LoginEnd::Refused(Reason::LockedOut) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Consequence {
                    delay: Some(self.config.max_delay).filter(|_| !self.config.delay.is_zero()),
                    note: None,
                };
            }
            LoginEnd::Refused(_) => return Consequence::default(),
        };
        let note = |what: &str, failed: Option<Failed>| {
            let failed = failed.filter(|failed| failed.locked)?;
            let seconds = self.config.duration.as_secs();
            let failures = failed.failures;
            Some(format!(
                "{what} {} is locked for {seconds} s after {failures} failed logins",
                device.name()
            ))
        };
        Consequence {
            delay: self.delay(
                [account, name, source]
                    .into_iter()
                    .flatten()
                    .map(|failed| failed.failures)
                    .max(),
            ),
            note: note("the name from", account).or_else(|| note("the device", source)),
        }
    }

    /// Twice as long with each failure.
    fn delay(&self, failures: Option<u32>) -> Option<Duration> {
        let config = &self.config;
        let times = 1_u32.checked_shl(failures?.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = config.delay.saturating_mul(times).min(config.max_delay);
        (!delay.is_zero()).then_some(delay)
    }
}

fn device(packet: &Packet<'_>) -> Device {
    let text = |octets: Option<&[u8]>| octets.map(|octets| String::from_utf8_lossy(octets).into_owned());
    let [source, nas] = packet.nas_addresses;
    let port = text(packet.nas_port_id).or_else(|| packet.nas_port.map(|port| port.to_string()));
    Device::new(
        text(packet.calling_station_id).as_deref(),
        nas.or(source),
        port.as_deref(),
    )
}

impl Node {
    /// Whether failed logins are counted, so that [`Node::login_ended`] is to be told of them.
    #[must_use]
    pub fn counts_failures(&self) -> bool {
        self.lockout.is_on()
    }

    /// Count how a login ended. One is told of once, with what it was decided by.
    pub fn login_ended(&self, source: Option<IpAddr>, sender: &Sender<'_>, end: LoginEnd) -> Consequence {
        if !self.lockout.is_on() {
            return Consequence::default();
        }
        let snapshot = self.state.snapshot();
        let view = snapshot.view();
        let found = view.find(source, self.default_tenant(), sender).ok();
        let entry = found.as_ref().and_then(|found| found.entry().ok());
        let account = found.as_ref().zip(entry.as_ref());
        self.lockout.ended(source, &sender.packet, account, end)
    }
}
