//! Simultaneous use: whether a login that is right otherwise finds a place.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::warn;

use super::NodeConfig;
use super::link::Link;
use super::stall::{Stall, Waited};
use crate::accounting::AccountingRecord;
use crate::accounting::journal::Journal;
use crate::accounting::presence::{Claimant, Crowded, Device, Patience, Presence};
use crate::policy::{Reason, Refusal};
use crate::snapshot::Sender;
use crate::store::{SessionClaim, StoreError};

/// How a subscriber's sessions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimultaneousUse {
    /// They are not.
    Off,
    /// Those this node knows of.
    Node,
    /// Those of all nodes on one database, which is asked at every login.
    Strict,
}

/// What becomes of a login in [`SimultaneousUse::Strict`] while the database does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseDown {
    /// What this node knows of decides.
    Allow,
    Refuse,
}

/// A login that is accepted but for the number of sessions.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// Source address of the packet.
    pub source: Option<IpAddr>,
    pub sender: Sender<'a>,
    pub calling_station_id: Option<&'a str>,
    pub nas_ip_address: Option<IpAddr>,
    pub nas_port_id: Option<&'a str>,
    /// What a check row says of Simultaneous-Use: it counts in place of the subscriber's own, and 0 lets nobody in.
    pub limit: Option<u32>,
    /// Unix seconds.
    pub now: i64,
}

#[derive(Debug)]
pub(super) struct Admission {
    mode: SimultaneousUse,
    down: DatabaseDown,
    timeout: Duration,
    patience: Patience,
    presence: Arc<Presence>,
    journal: Option<Arc<Journal>>,
    link: Arc<Link>,
    runtime: Handle,
    stall: Stall,
}

impl Admission {
    pub(super) fn new(config: &NodeConfig, runtime: &Handle, link: &Arc<Link>, journal: Option<&Arc<Journal>>) -> Self {
        let patience = Patience {
            silence: config.silence,
            claim: config.claim_lifetime,
        };
        Self {
            mode: config.simultaneous_use,
            down: config.database_down,
            timeout: config.claim_timeout,
            patience,
            presence: Arc::new(Presence::new(patience)),
            journal: journal.cloned(),
            link: Arc::clone(link),
            runtime: runtime.clone(),
            stall: Stall::default(),
        }
    }

    /// Who is online, for upkeep to fill and to tidy; `None` = nobody counts.
    pub(super) fn presence(&self) -> Option<&Arc<Presence>> {
        (self.mode != SimultaneousUse::Off).then_some(&self.presence)
    }

    pub(super) fn hear(&self, record: &AccountingRecord) {
        if let Some(presence) = self.presence() {
            presence.hear(record);
        }
    }

    /// Take a place for the login.
    pub(super) fn admit(
        &self,
        tenant_id: &str,
        subscriber_id: &str,
        own_limit: u32,
        login: &Login<'_>,
    ) -> Result<(), Refusal> {
        if self.mode == SimultaneousUse::Off {
            return Ok(());
        }
        let limit = login.limit.unwrap_or(own_limit);
        if limit == 0 {
            return match login.limit {
                Some(_) => Err(Refusal::new(
                    Reason::TooManySessions,
                    "a check row allows no session at all (Simultaneous-Use 0)",
                )),
                None => Ok(()),
            };
        }
        let now = login.now;
        let device = Device::new(login.calling_station_id, login.nas_ip_address, login.nas_port_id);
        let claimant = Claimant {
            tenant_id,
            subscriber_id,
            device: &device,
        };
        let admitted = match self.mode {
            SimultaneousUse::Strict => self.admit_strictly(claimant, limit, now)?,
            SimultaneousUse::Node | SimultaneousUse::Off => self.presence.claim(claimant, limit, now),
        };
        admitted.map_err(|crowded| too_many(crowded, limit, now))
    }

    fn admit_strictly(&self, claimant: Claimant<'_>, limit: u32, now: i64) -> Result<Result<(), Crowded>, Refusal> {
        let applied_until = self.applied_until(now);
        // What waits in the journal for so long, the database will not know of when the claims run out.
        let backlog = u64::try_from(now - applied_until).is_ok_and(|age| age > self.patience.claim.as_secs() / 2);
        if backlog && let Err(crowded) = self.presence.look(claimant, limit, now) {
            return Ok(Err(crowded));
        }
        match (self.ask(claimant, limit, now, applied_until), self.down) {
            (Ok(Ok(())), _) => {
                self.presence.hold(claimant, now);
                Ok(Ok(()))
            }
            (Ok(Err(crowded)), _) => Ok(Err(crowded)),
            (Err(_), DatabaseDown::Allow) => Ok(self.presence.claim(claimant, limit, now)),
            (Err(why), DatabaseDown::Refuse) => Err(Refusal::new(
                Reason::SessionsUnknown,
                format!("the sessions of the subscriber cannot be counted: {why}"),
            )),
        }
    }

    /// When the oldest record came that is not in the database yet.
    fn applied_until(&self, now: i64) -> i64 {
        let oldest = self.journal.as_ref().and_then(|journal| journal.stats().oldest);
        oldest.map_or(now, |oldest| oldest.min(now))
    }

    /// Count and claim in the database.
    fn ask(
        &self,
        claimant: Claimant<'_>,
        limit: u32,
        now: i64,
        applied_until: i64,
    ) -> Result<Result<(), Crowded>, String> {
        let asked = self.stall.guard(|| {
            let (done, answer) = blocking::sync_channel(1);
            let (link, patience) = (Arc::clone(&self.link), self.patience);
            let subscriber_id = claimant.subscriber_id.to_owned();
            let device = claimant.device.clone();
            self.runtime.spawn(async move {
                let claim = SessionClaim {
                    subscriber_id: &subscriber_id,
                    device: &device,
                    limit,
                    now,
                    applied_until,
                };
                let claimed = async { link.store().await?.claim_session(claim, &patience).await };
                // The hook may have stopped waiting: then the claim expires.
                let _ = done.send(claimed.await);
            });
            match answer.recv_timeout(self.timeout) {
                Ok(claimed) => (claimed.map_err(|why: StoreError| why.to_string()), Waited::Answered),
                Err(blocking::RecvTimeoutError::Timeout) => {
                    let message = format!("no answer within {:?}", self.timeout);
                    warn!("simultaneous use: the database gave {message}");
                    (Err(message), Waited::TooLong)
                }
                Err(blocking::RecvTimeoutError::Disconnected) => {
                    (Err("the node is shutting down".to_owned()), Waited::Neither)
                }
            }
        });
        asked.unwrap_or_else(|| Err("the database does not answer".to_owned()))
    }
}

fn too_many(crowded: Crowded, limit: u32, now: i64) -> Refusal {
    let Crowded { sessions, oldest } = crowded;
    let silent = (now - oldest).max(0);
    let message = format!(
        "{sessions} of {limit} sessions are in use; the one that was silent for longest was heard of {silent} s ago"
    );
    Refusal::new(Reason::TooManySessions, message)
}
