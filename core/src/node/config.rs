//! Settings of a node, and what is a sensible value of each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::accounting::journal::JournalConfig;
use crate::accounting::silence::Silence;
use crate::policy::vendor::VendorSet;
use crate::secret::Secret;

use super::admission::{DatabaseDown, SimultaneousUse};
use super::lockout::LockoutConfig;

/// What an accounting packet waits for before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountingMode {
    /// The record is in the journal, on this machine's disk; the database gets it from there.
    Journal,
    /// The record is in the database.
    Database,
}

/// Settings of a node. Every one is a key of the server module's configuration.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// `sqlite:///path` or `postgres://...`.
    pub database_url: Secret<String>,
    pub database_connections: u32,
    /// Key file for sealed passwords; `None` = none are sealed.
    pub key_file: Option<PathBuf>,
    /// Where the snapshot's copy on disk lives; `None` = none is kept.
    pub snapshot_file: Option<PathBuf>,
    /// How often the copy is rewritten while there are changes.
    pub snapshot_interval: Duration,
    /// Refuse to authorize from a snapshot that has not been confirmed by the database for this long; `None` = serve for ever.
    pub snapshot_max_age: Option<Duration>,
    /// How often the change feed is polled where it cannot be waited on.
    pub poll_interval: Duration,
    /// Tenant, by id or name, of packets whose source is in no `nas` row; `None` refuses them as `unknown_nas`.
    pub default_tenant: Option<String>,
    pub accounting_mode: AccountingMode,
    /// How long an accounting packet may wait for the disk or the database.
    pub accounting_timeout: Duration,
    /// Directory of the journal, in that mode; no other node may use it.
    pub journal: PathBuf,
    /// Bytes of records not applied yet past which accounting packets are not answered any more.
    pub journal_max_size: u64,
    /// When a session counts as ended though nobody said so.
    pub silence: Silence,
    pub simultaneous_use: SimultaneousUse,
    /// In strict mode.
    pub database_down: DatabaseDown,
    /// How long a login may wait for the database in strict mode.
    pub claim_timeout: Duration,
    /// How long an accepted login holds a place before its session begins.
    pub claim_lifetime: Duration,
    /// What plans are to a NAS.
    pub vendors: Arc<VendorSet>,
    /// Rows of `radpostauth` that may wait to be written before further ones are dropped (and counted).
    pub post_auth_queue: usize,
    /// Successful verifications of slow hashes to remember.
    pub verify_cache: usize,
    pub lockout: LockoutConfig,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            database_url: Secret::new(String::new()),
            database_connections: 4,
            key_file: None,
            snapshot_file: None,
            snapshot_interval: Duration::from_secs(30),
            snapshot_max_age: None,
            poll_interval: Duration::from_millis(200),
            default_tenant: None,
            accounting_mode: AccountingMode::Journal,
            accounting_timeout: Duration::from_secs(2),
            journal: PathBuf::new(),
            journal_max_size: JournalConfig::default().max_size,
            silence: Silence::default(),
            simultaneous_use: SimultaneousUse::Node,
            database_down: DatabaseDown::Allow,
            claim_timeout: Duration::from_millis(500),
            claim_lifetime: Duration::from_secs(60),
            vendors: Arc::default(),
            post_auth_queue: 65_536,
            verify_cache: 100_000,
            lockout: LockoutConfig::default(),
        }
    }
}

/// A setting with a value it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {rule}")]
pub struct ConfigFault {
    /// Dotted name, as in the server module's configuration.
    pub key: &'static str,
    pub value: String,
    /// What the value must be.
    pub rule: &'static str,
}

impl NodeConfig {
    /// Check every setting by itself; touches nothing.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigFault> {
        let url = self.database_url.expose();
        if !["sqlite:", "postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            // The value may hold a password: name its scheme at most.
            let scheme = url.split_once(':').map_or("(none)", |(scheme, _)| scheme).to_owned();
            return Err(ConfigFault {
                key: "database.url",
                value: format!("{scheme}:..."),
                rule: "must begin with sqlite:, postgres:// or postgresql://",
            });
        }
        within(
            "database.connections",
            self.database_connections,
            1..=100,
            "must be from 1 to 100",
        )?;
        within_time(
            "snapshot.interval",
            self.snapshot_interval,
            1_000,
            86_400_000,
            "must be from 1 second to 1 day",
        )?;
        if let Some(age) = self.snapshot_max_age {
            within_time(
                "snapshot.max_age",
                age,
                10_000,
                u64::MAX,
                "must be 0 (no limit) or at least 10 seconds",
            )?;
        }
        within_time(
            "poll_interval",
            self.poll_interval,
            10,
            1_000,
            "must be from 10 to 1000 milliseconds",
        )?;
        within_time(
            "accounting.timeout",
            self.accounting_timeout,
            100,
            10_000,
            "must be from 0.1 to 10 seconds",
        )?;
        if self.accounting_mode == AccountingMode::Journal && self.journal.as_os_str().is_empty() {
            return Err(ConfigFault {
                key: "accounting.journal",
                value: String::new(),
                rule: "must be a directory",
            });
        }
        within(
            "accounting.journal_max_size",
            self.journal_max_size,
            64 << 20..=1 << 40,
            "must be from 64M to 1T",
        )?;
        within_time(
            "sessions.interim",
            self.silence.interim,
            60_000,
            86_400_000,
            "must be from 60 seconds to 1 day",
        )?;
        within(
            "sessions.silent_intervals",
            self.silence.intervals,
            0..=100,
            "must be from 0 (never) to 100",
        )?;
        within_time(
            "sessions.timeout",
            self.claim_timeout,
            10,
            10_000,
            "must be from 0.01 to 10 seconds",
        )?;
        within_time(
            "sessions.claim",
            self.claim_lifetime,
            1_000,
            3_600_000,
            "must be from 1 second to 1 hour",
        )?;
        within(
            "post_auth.queue",
            self.post_auth_queue,
            1..=10_000_000,
            "must be from 1 to 10000000",
        )?;
        within(
            "verify_cache",
            self.verify_cache,
            0..=10_000_000,
            "must be from 0 to 10000000",
        )?;
        let lockout = &self.lockout;
        let day = "must be from 1 second to 1 day";
        within_time("lockout.window", lockout.window, 1_000, 86_400_000, day)?;
        within_time("lockout.duration", lockout.duration, 1_000, 86_400_000, day)?;
        let delay = "must be from 0 to 10 seconds";
        within_time("lockout.delay", lockout.delay, 0, 10_000, delay)?;
        within_time("lockout.max_delay", lockout.max_delay, 0, 10_000, delay)?;
        within(
            "lockout.remembered",
            lockout.remembered,
            1_000..=10_000_000,
            "must be from 1000 to 10000000",
        )?;
        Ok(())
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: T,
    range: std::ops::RangeInclusive<T>,
    rule: &'static str,
) -> Result<(), ConfigFault> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(ConfigFault {
            key,
            value: value.to_string(),
            rule,
        })
    }
}

fn within_time(
    key: &'static str,
    value: Duration,
    least: u64,
    most: u64,
    rule: &'static str,
) -> Result<(), ConfigFault> {
    let milliseconds = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    if (least..=most).contains(&milliseconds) {
        Ok(())
    } else {
        Err(ConfigFault {
            key,
            value: format!("{value:?}"),
            rule,
        })
    }
}
