//! What the outbox hands out and takes.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::order::{Cause, LiveSession, NewOrder, OrderItem, OrderKind, OrderState, Wanted};

/// An open session, what it was told last and what it is about to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewedSession {
    pub live: LiveSession,
    /// As the subscriber's row has it now; `None`: there is no such row.
    pub username: Option<String>,
    /// The subscriber is deleted.
    pub gone: bool,
    pub plan_id: Option<String>,
    /// Class, as accounting keeps it.
    pub class: Option<String>,
    pub applied: Option<Applied>,
    pub pending: Option<LiveOrder>,
    pub sending: Option<LiveOrder>,
}

/// What a session was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub wanted: Wanted,
    /// The fingerprint that is not to be ordered again by itself.
    pub settled: Option<String>,
    /// When the decision changes by the clock, Unix seconds.
    pub recheck_at: Option<i64>,
}

/// An order that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOrder {
    pub kind: OrderKind,
    pub cause: Cause,
    /// Fingerprint; `None`: it is no matter of the policy.
    pub wanted: Option<String>,
    pub set: Vec<OrderItem>,
    pub unset: Vec<OrderItem>,
    pub attempts: u32,
}

/// What a look at a session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub session_id: i64,
    pub tenant_id: Option<String>,
    pub subscriber_id: Option<String>,
    /// What it was told, to be written where nothing was known of that, or else if `retold`.
    pub applied: Wanted,
    pub retold: bool,
    pub recheck_at: Option<i64>,
    /// What waits is no longer right.
    pub supersede: bool,
    pub order: Option<NewOrder>,
}

/// Which open sessions to look at.
#[derive(Debug, Clone, Copy)]
pub enum ReviewOf<'a> {
    All,
    Tenant(&'a str),
    /// Whose decision may name this plan.
    Plan(&'a str),
    /// Of which nothing is known yet.
    New,
}

/// Which open sessions; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct LiveFilter {
    pub tenant_id: Option<String>,
    /// User-Name as the NAS sent it, or the subscriber's own.
    pub username: Option<String>,
    pub acct_session_id: Option<String>,
    pub nas: Option<IpAddr>,
    /// `radacctid`.
    pub session_id: Option<i64>,
}

/// Which orders to take in hand.
#[derive(Debug, Clone, Copy)]
pub struct OrderClaim<'a> {
    pub owner: &'a str,
    /// How long nobody else takes them.
    pub lease: Duration,
    /// Take over what was in hand for longer than its lease, too; but not these, which the owner has in hand itself.
    pub lost_but: Option<&'a [i64]>,
    /// None for these NAS.
    pub busy: &'a [IpAddr],
    pub limit: u32,
    /// Of these orders alone.
    pub only: Option<&'a [i64]>,
}

/// An order in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedOrder {
    pub id: i64,
    pub kind: OrderKind,
    pub cause: Cause,
    pub set: Vec<OrderItem>,
    pub unset: Vec<OrderItem>,
    /// This one included.
    pub attempts: u32,
    /// Since it was placed.
    pub age: Duration,
    /// Whether the session is open still.
    pub open: bool,
    pub session: LiveSession,
}

/// What came of an order in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderOutcome {
    pub id: i64,
    /// `pending`: it is to be tried again after `wait` seconds.
    pub state: OrderState,
    pub wait: u64,
    /// Microseconds.
    pub rtt: Option<u64>,
    pub result: Option<&'static str>,
    pub error_cause: Option<u32>,
    pub reason: Option<String>,
}

/// Which orders; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    pub tenant_id: Option<String>,
    pub id: Option<i64>,
    pub state: Option<OrderState>,
    pub nas: Option<IpAddr>,
    /// User-Name as the NAS sent it.
    pub username: Option<String>,
    pub acct_session_id: Option<String>,
    pub plan_id: Option<String>,
    pub cause: Option<Cause>,
    /// Go on after the order with this id.
    pub after: Option<i64>,
    pub limit: Option<u32>,
}

/// How far the orders for a NAS and of a cause have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderProgress {
    pub nas_ip_address: IpAddr,
    pub cause: Cause,
    pub pending: u64,
    pub sending: u64,
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub superseded: u64,
}

impl OrderOutcome {
    /// The session has ended meanwhile.
    #[must_use]
    pub fn ended(id: i64) -> Self {
        Self {
            id,
            state: OrderState::Done,
            wait: 0,
            rtt: None,
            result: Some("ended"),
            error_cause: None,
            reason: Some("the session was over before it was sent".to_owned()),
        }
    }
}
