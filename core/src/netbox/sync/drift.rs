//! What the database and NetBox may say differently.

use ipnet::IpNet;
use serde::Serialize;

/// A way to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A subscriber has it here and NetBox does not know it. Repair: it is registered there.
    Missing,
    /// NetBox keeps it for a subscriber who is gone, or has none of the kind here. Repair: given to the subscriber who
    /// has none; given back if he is gone.
    Orphaned,
    /// NetBox keeps two of a kind for one subscriber. Repair: the one he does not have here is given back.
    Duplicated,
    /// Another address than here: changed by hand. Repair: NetBox is right, and the next login gives what it says.
    Changed,
    /// Description, name or key are not the subscriber's any more. Repair: they are written again.
    Mislabelled,
    /// Not active although the subscriber has it. Repair: made active.
    WrongStatus,
    /// It is another tenant's in NetBox. A person's to settle.
    WrongTenant,
    /// The same address is another subscriber's in NetBox. A person's to settle.
    Conflicting,
    /// A subscriber is to have one and has none. Repair: one is taken.
    Unaddressed,
    /// A live session has an address out of the tenant's prefixes that is free in NetBox, which may give it to another
    /// at any time. A person's to settle.
    InUse,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    pub kind: DriftKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netbox_id: Option<u64>,
    /// What is where.
    pub detail: String,
    /// What was done about it; `None` where nothing was asked for, or nothing could be done without a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<bool>,
    /// Why it could not be repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Objects of NetBox looked at.
    pub objects: u64,
    /// Subscribers looked at.
    pub subscribers: u64,
    pub drift: Vec<Drift>,
}
