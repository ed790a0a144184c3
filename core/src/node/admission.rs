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
use crate::accounting::presence::{Crowded, Device, Patience, Presence};
use crate::policy::{Reason, Refusal};
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
    pub user_name: &'a [u8],
    pub calling_station_id: Option<&'a str>,
    pub nas_ip_address: Option<IpAddr>,
    pub nas_port_id: Option<&'a str>,
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
    link: Arc<Link>,
    runtime: Handle,
    stall: Stall,
}

impl Admission {
    pub(super) fn new(config: &NodeConfig, runtime: &Handle, link: &Arc<Link>) -> Self {
        let patience = Patience {
            session: config.silence.patience(),
            claim: config.claim_lifetime,
        };
        Self {
            mode: config.simultaneous_use,
            down: config.database_down,
            timeout: config.claim_timeout,
            patience,
            presence: Arc::new(Presence::new(patience)),
            link: Arc::clone(link),
            runtime: runtime.clone(),
            stall: Stall::default(),
        }
    }

    /// Who is online, for upkeep to fill and to tidy; `None` = nobody counts.
    pub(super) fn presence(&self) -> Option<&Arc<Presence>> {
        (self.mode != SimultaneousUse::Off).then_some(&self.presence)
    }

    pub(super) fn hear(&self, record: &AccountingRecord, now: i64) {
        if let Some(presence) = self.presence() {
            presence.hear(record, now);
        }
    }

    /// Take a place for the login.
    pub(super) fn admit(&self, subscriber_id: &str, limit: u32, login: &Login<'_>) -> Result<(), Refusal> {
        if limit == 0 || self.mode == SimultaneousUse::Off {
            return Ok(());
        }
        let device = Device::new(login.calling_station_id, login.nas_ip_address, login.nas_port_id);
        let here = self.presence.claim(subscriber_id, &device, limit, login.now);
        let counted = match self.mode {
            SimultaneousUse::Strict => match self.ask(subscriber_id, device, limit, login.now) {
                Ok(counted) => counted,
                Err(why) => return self.without_database(here, limit, login.now, &why),
            },
            SimultaneousUse::Node | SimultaneousUse::Off => here,
        };
        counted.map_err(|crowded| too_many(crowded, limit, login.now))
    }

    fn without_database(&self, here: Result<(), Crowded>, limit: u32, now: i64, why: &str) -> Result<(), Refusal> {
        match self.down {
            DatabaseDown::Allow => here.map_err(|crowded| too_many(crowded, limit, now)),
            DatabaseDown::Refuse => Err(Refusal::new(
                Reason::SessionsUnknown,
                format!("the sessions of the subscriber cannot be counted: {why}"),
            )),
        }
    }

    /// Count and claim in the database.
    fn ask(&self, subscriber_id: &str, device: Device, limit: u32, now: i64) -> Result<Result<(), Crowded>, String> {
        let asked = self.stall.guard(|| {
            let (done, answer) = blocking::sync_channel(1);
            let (link, patience) = (Arc::clone(&self.link), self.patience);
            let subscriber_id = subscriber_id.to_owned();
            self.runtime.spawn(async move {
                let claim = SessionClaim {
                    subscriber_id: &subscriber_id,
                    device: &device,
                    limit,
                    now,
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
