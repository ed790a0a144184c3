//! One AAA node: the snapshot, the follower that keeps it fresh, and the writers, as a RADIUS server embeds them.
//!
//! [`Node::authorize`] and [`Node::authenticate`] answer from memory and never wait for a database.
//! [`Node::post_auth`] queues; [`Node::accounting`] waits, bounded, until the record is in the journal (or in the database,
//! if so set), and the applier brings it from there to the database.

mod accounting;
mod admission;
mod answer;
mod applier;
mod client;
mod config;
mod follower;
pub(crate) mod intake;
mod journal;
mod link;
mod lockout;
mod logins;
mod report;
mod stall;
mod state;
mod upkeep;
mod writer;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Runtime;
use tracing::{info, warn};

pub use accounting::AccountingError;
pub use admission::{DatabaseDown, Login, SimultaneousUse};
pub use answer::{AccessRequest, Authorization, Credential, Identity};
pub use client::Client;
pub use config::{AccountingMode, ConfigFault, NodeConfig};

use crate::accounting::addresses::Addresses;
use crate::accounting::aside;
use crate::accounting::journal::JournalError;
use crate::accounting::{AccountingRecord, PostAuthRecord};
use crate::dictionary::Dictionary;
use crate::group::Group;
use crate::password::{AuthMethod, Known, PasswordError, VerifyCache};
use crate::policy::mark::Mark;
use crate::policy::rows::reply_rows;
use crate::policy::{self, Holder, Lock, Reason, Refusal, SubscriberFacts, TierEffect};
use crate::secret::{KeyRing, SecretError};
pub use crate::snapshot::Sender;
use crate::snapshot::{Asked, Entry, Found, StoredSecret};
use accounting::Accounting;
use admission::Admission;
use lockout::Lockout;
pub use lockout::{Consequence, LockoutConfig, LoginEnd};
use state::State;
pub use state::Status;
use upkeep::Upkeep;
use writer::Outcomes;

/// A node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Config(#[from] ConfigFault),
    #[error("key_file {}: {source}", path.display())]
    Keys { path: PathBuf, source: SecretError },
    #[error("accounting.journal: {0}")]
    Journal(#[from] JournalError),
    #[error("cannot start the worker threads: {0}")]
    Runtime(std::io::Error),
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("no subscribers to serve: the database is not usable ({database}) and there is no copy on disk ({disk})")]
    NoSubscribers { database: String, disk: String },
}

/// A running node. Owns its worker threads; [`Node::shutdown`] stops them within a bounded time.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    keys: Option<KeyRing>,
    verified: VerifyCache,
    state: Arc<State>,
    outcomes: Outcomes,
    accounting: Accounting,
    admission: Admission,
    lockout: Lockout,
    addresses: Arc<Addresses>,
    upkeep: Upkeep,
    applier: Option<applier::Handle>,
    reporter: report::Handle,
    follower: follower::Handle,
    runtime: Runtime,
}

impl Node {
    /// Check what can be checked of `config` without leaving a trace: no file made, no socket, no thread.
    ///
    /// # Errors
    /// Says which setting is wrong and why.
    pub fn check(config: &NodeConfig) -> Result<(), NodeError> {
        config.validate()?;
        load_keys(config)?;
        Ok(())
    }

    /// Load the snapshot (database first, copy on disk if that fails) and start following the change feed.
    ///
    /// # Errors
    /// Neither the database nor the copy on disk can serve, or a setting is wrong.
    pub fn start(config: NodeConfig, dictionary: Arc<dyn Dictionary>) -> Result<Self, NodeError> {
        config.validate()?;
        let keys = load_keys(&config)?;
        let journal = journal::open(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("rlm_rust")
            .enable_all()
            .build()
            .map_err(NodeError::Runtime)?;
        let link = Arc::new(link::Link::new(&config));
        let (state, follower) = runtime.block_on(follower::load(&config, dictionary, Arc::clone(&link)))?;
        info!(
            subscribers = state.snapshot().len(),
            "subscribers loaded from {}",
            follower.origin()
        );
        if let Some(tenant) = &config.default_tenant
            && state.snapshot().catalog().tenant_called(tenant).is_none()
        {
            warn!("default_tenant {tenant}: there is no tenant of that id or name; until there is, it serves nobody");
        }
        let follower = follower.spawn(runtime.handle());
        let outcomes = Outcomes::spawn(runtime.handle(), &config, &link);
        let refused = config.journal.join(aside::NAME);
        let (accounting, applier) = match journal {
            Some((journal, reader)) => {
                let applier = applier::spawn(runtime.handle(), reader, &link, refused.clone());
                (Accounting::in_journal(Arc::new(journal)), Some(applier))
            }
            None => {
                // What was acknowledged while records went to the journal is still owed to the database.
                let applier = journal::leftover(&config)
                    .map(|reader| applier::spawn(runtime.handle(), reader, &link, refused.clone()));
                (Accounting::in_database(runtime.handle(), &link), applier)
            }
        };
        let admission = Admission::new(&config, runtime.handle(), &link, accounting.journal());
        let addresses = Arc::new(Addresses::new(config.silence));
        let upkeep = Upkeep::spawn(
            runtime.handle(),
            &config,
            &link,
            admission.presence(),
            &addresses,
            accounting.journal(),
        );
        let lockout = Lockout::new(config.lockout.clone());
        let count = lockout.refused();
        let told = report::Counts {
            refused,
            locked_out: count,
            logins: outcomes.logins(),
        };
        let reporter = report::spawn(runtime.handle(), &config, &link, &state, &accounting, told);
        Ok(Self {
            verified: VerifyCache::new(config.verify_cache)?,
            lockout,
            config,
            keys,
            state,
            outcomes,
            accounting,
            admission,
            addresses,
            upkeep,
            applier,
            reporter,
            follower,
            runtime,
        })
    }

    /// Decide. `then` runs only where the subscriber is let in as far as this node can tell.
    ///
    /// # Errors
    /// The refusal.
    pub fn authorize<R>(
        &self,
        request: &AccessRequest<'_>,
        then: impl FnOnce(&Authorization<'_>) -> R,
    ) -> Result<R, Refusal> {
        let outcome = self.with_subscriber(request, |found, entry| {
            let standing = entry.standing(request.now);
            let subscriber = SubscriberFacts {
                status: standing.status,
                ..entry.facts
            };
            let asked = Asked {
                method: request.method,
                packet: request.packet,
                now: request.now,
            };
            let holder = self.address_holder(&found.tenant.id, entry, request.now);
            let mut facts = found.facts(entry, &subscriber, &standing, asked);
            facts.lock = self.lockout.lock(request.source, &request.packet, Some((found, entry)));
            facts.address_holder = holder.as_ref().map(|(address, by)| Holder {
                address: (*address).into(),
                by,
            });
            let decision = policy::decide(&facts)?;
            if let Some(fault) = entry.fault {
                return Err(Refusal::new(Reason::BadAttribute, fault.to_owned()));
            }
            let groups: Vec<&Group> = entry.groups.iter().map(|&index| found.group(index)).collect();
            if let Some(fault) = groups.iter().find_map(|group| group.fault.as_deref()) {
                return Err(Refusal::new(Reason::BadAttribute, fault.to_owned()));
            }
            Ok(then(&Authorization {
                tenant_id: &found.tenant.id,
                credential: match facts.found_by_line {
                    Some(_) => Credential::NotNeeded,
                    None => self.credential(entry, request.method)?,
                },
                restricted: decision.restricted.as_ref(),
                notes: &decision.notes,
                reply: &decision.reply,
                ends: decision.ends,
                lowered: decision.lowered,
                withheld: decision.withheld,
                vendor: facts.vendor,
                checks: &entry.checks,
                replies: &entry.replies,
                groups: &groups,
                mark: Mark::of(&decision, &facts, reply_rows(&entry.replies, &groups)),
            }))
        });
        outcome.map_err(|refusal| match refusal.reason {
            // Nobody learns from a locked device which names there are.
            Reason::UnknownSubscriber => {
                let lock = self.lockout.lock(request.source, &request.packet, None);
                lock.map_or(refusal, Lock::refusal)
            }
            _ => refusal,
        })
    }

    /// Which other session has the subscriber's static address, and who it is of.
    fn address_holder(&self, tenant_id: &str, entry: &Entry<'_>, now: i64) -> Option<(Ipv4Addr, String)> {
        let address = entry.facts.static_ipv4?;
        let by = self.addresses.other_holder(tenant_id, &entry.id(), address, now)?;
        Some((address, by))
    }

    fn credential(&self, entry: &Entry<'_>, method: AuthMethod) -> Result<Credential, Refusal> {
        let password = match &entry.secret {
            StoredSecret::None => return Ok(Credential::None),
            StoredSecret::Unreadable(why) => return Err(Refusal::new(Reason::PasswordUnreadable, (*why).to_owned())),
            StoredSecret::Password(password) => password,
        };
        let known = password
            .reveal(self.keys.as_ref(), &entry.id())
            .map_err(|why| Refusal::new(Reason::PasswordUnreadable, why.to_string()))?;
        Ok(match known {
            Known::Cleartext(secret) => Credential::Cleartext(secret),
            Known::NtHash(hash) => Credential::NtHash(hash),
            Known::OneWay if method == AuthMethod::Pap => Credential::VerifyHere,
            // The inner method of a tunnel is not known yet; nothing can be given to the stock modules.
            Known::OneWay => Credential::None,
        })
    }

    /// Verify User-Password against a stored one-way hash. May burn CPU for as long as the hash asks for.
    ///
    /// # Errors
    /// The refusal.
    pub fn authenticate(&self, request: &AccessRequest<'_>) -> Result<(), Refusal> {
        self.with_subscriber(request, |_, entry| {
            let Some(candidate) = request.user_password else {
                return Err(Refusal::new(
                    Reason::MalformedRequest,
                    "the packet has no User-Password",
                ));
            };
            let StoredSecret::Password(password) = &entry.secret else {
                return Err(Refusal::new(
                    Reason::NoPassword,
                    "no usable password is stored for the subscriber",
                ));
            };
            match self.verified.verify(&entry.id(), password, candidate) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Refusal::new(Reason::BadPassword, "the password is wrong")),
                Err(busy @ PasswordError::Busy(_)) => Err(Refusal::new(Reason::Busy, busy.to_string())),
                Err(why) => Err(Refusal::new(Reason::PasswordUnreadable, why.to_string())),
            }
        })
    }

    fn with_subscriber<R>(
        &self,
        request: &AccessRequest<'_>,
        then: impl FnOnce(&Found<'_>, &Entry<'_>) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        self.refuse_stale(request.now)?;
        let snapshot = self.state.snapshot();
        let view = snapshot.view();
        let found = view
            .find(request.source, self.default_tenant(), &request.sender())
            .map_err(|missing| missing.refusal(request.source))?;
        let entry = found
            .entry()
            .map_err(|_| Refusal::new(Reason::InternalError, "the subscriber's record in memory is damaged"))?;
        then(&found, &entry)
    }

    fn refuse_stale(&self, now: i64) -> Result<(), Refusal> {
        let Some(limit) = self.config.snapshot_max_age else {
            return Ok(());
        };
        let age = self.state.age(now);
        if age <= limit {
            return Ok(());
        }
        let message = format!("the database last confirmed the subscribers {age:?} ago, the limit is {limit:?}");
        Err(Refusal::new(Reason::SnapshotStale, message))
    }

    /// Whose packet it is, for the rows that post-auth and accounting write.
    #[must_use]
    pub fn identify(&self, source: Option<IpAddr>, sender: &Sender<'_>) -> Identity {
        let snapshot = self.state.snapshot();
        let view = snapshot.view();
        let Ok(found) = view.find(source, self.default_tenant(), sender) else {
            let tenant = view.tenant_of(source, self.default_tenant(), sender);
            return Identity {
                tenant_id: tenant.map(|tenant| tenant.id.clone()),
                ..Identity::default()
            };
        };
        let entry = found.entry().ok();
        Identity {
            tenant_id: Some(found.tenant.id.clone()),
            subscriber_id: entry.as_ref().map(Entry::id),
            interim_interval: entry.and_then(|entry| interim_interval(&found, &entry)),
        }
    }

    /// Whether any tenant finds subscribers by where their lines end: packets have to be asked for that then.
    #[must_use]
    pub fn finds_by_line(&self) -> bool {
        self.state.snapshot().view().finds_by_line()
    }

    /// Let a login in that is right otherwise, if the subscriber has fewer sessions than it may have. In strict mode it
    /// waits for the database, bounded; otherwise never.
    ///
    /// # Errors
    /// The refusal.
    pub fn admit(&self, login: &Login<'_>) -> Result<(), Refusal> {
        let found = {
            let snapshot = self.state.snapshot();
            let view = snapshot.view();
            view.find(login.source, self.default_tenant(), &login.sender)
                .ok()
                .and_then(|found| {
                    let entry = found.entry().ok()?;
                    Some((found.tenant.id.clone(), entry.id(), entry.facts.simultaneous_use))
                })
        };
        // Whoever is let in without being known here is let in by another module.
        found.map_or(Ok(()), |(tenant, id, limit)| {
            self.admission.admit(&tenant, &id, limit, login)
        })
    }

    /// Queue a row of `radpostauth`. Never waits; a row that finds the queue full is counted and dropped.
    pub fn post_auth(&self, record: PostAuthRecord) {
        self.outcomes.post_auth(record);
    }

    /// Keep an accounting record; returns once it is safe: on disk in the journal, or in the database.
    ///
    /// # Errors
    /// The record may be lost; the packet must not be answered.
    pub fn accounting(&self, record: AccountingRecord) -> Result<(), AccountingError> {
        self.admission.hear(&record);
        self.addresses.hear(&record);
        self.accounting.keep(record, self.config.accounting_timeout)
    }

    /// How fresh the snapshot is, how much it holds, and what accounting waits to be applied.
    #[must_use]
    pub fn status(&self, now: i64) -> Status {
        Status {
            journal: self.accounting.journal().map(|journal| journal.stats()),
            locked_out: self.lockout.refused().load(Ordering::Relaxed),
            ..self.state.status(now)
        }
    }

    /// Stop: flush what is queued and save the snapshot, all within `limit`. What the database does not take in that time
    /// stays in the journal.
    pub fn shutdown(self, limit: Duration) {
        let Self {
            runtime,
            outcomes,
            accounting,
            upkeep,
            applier,
            reporter,
            follower,
            ..
        } = self;
        let records = async {
            accounting.finish().await;
            if let Some(applier) = applier {
                applier.finish().await;
            }
            reporter.finish().await;
        };
        // Inside the runtime: the timer needs it.
        let _ = runtime.block_on(async {
            tokio::time::timeout(limit, async {
                tokio::join!(outcomes.finish(), records, upkeep.finish(), follower.finish())
            })
            .await
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }

    fn default_tenant(&self) -> Option<&str> {
        self.config.default_tenant.as_deref()
    }
}

/// A session keeps what it was given before a tier began or ended.
fn interim_interval(found: &Found<'_>, entry: &Entry<'_>) -> Option<u32> {
    let of_tier = entry
        .tier
        .and_then(|tier| found.tier(tier))
        .and_then(|tier| match tier.effect {
            TierEffect::Plan(plan) => plan.plan.acct_interim_interval,
            TierEffect::Refuse => None,
        });
    let plan = entry.plan.and_then(|index| found.plan(index));
    plan.and_then(|plan| plan.plan.acct_interim_interval).max(of_tier)
}

fn load_keys(config: &NodeConfig) -> Result<Option<KeyRing>, NodeError> {
    config
        .key_file
        .as_deref()
        .map(|path| {
            KeyRing::load(path).map_err(|source| NodeError::Keys {
                path: path.to_owned(),
                source,
            })
        })
        .transpose()
}
