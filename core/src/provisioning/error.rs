//! Which step failed, why, and what is left.

use std::fmt;

use serde::Serialize;

use crate::netbox::SyncError;
use crate::store::StoreError;

/// A step of [`super::provision`] or [`super::deprovision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Create,
    Allocate,
    Replies,
    Activate,
    Disconnect,
    Release,
    Terminate,
}

impl Step {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Allocate => "allocate",
            Self::Replies => "replies",
            Self::Activate => "activate",
            Self::Disconnect => "disconnect",
            Self::Release => "release",
            Self::Terminate => "terminate",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How things stand after a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// As before the call.
    Nothing,
    /// What the call took back is not taken back everywhere; the same call again goes on from here.
    Trace(String),
    /// What was done stays done, and lets nobody in; the same call again does the rest.
    Rest,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing is left of it"),
            Self::Trace(what) => write!(f, "it could not all be taken back ({what}): do it again, or reconcile"),
            Self::Rest => f.write_str("the subscriber is let in no more; the same again does the rest"),
        }
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Netbox(#[from] SyncError),
    #[error("subscriber {username:?} is there already, with another {}", fields.join(", "))]
    Differs { username: String, fields: Vec<String> },
    #[error("subscriber {username:?} is there already, and {status}")]
    Status {
        username: String,
        status: crate::subscriber::Status,
    },
    #[error("NetBox is not set up for this tenant, and {0}")]
    NoNetbox(String),
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
#[error("step {step}: {cause}; {left}")]
pub struct ProvisioningError {
    pub step: Step,
    #[source]
    pub cause: Cause,
    pub left: Left,
}

impl ProvisioningError {
    /// What is asked for is at odds with what is there: asking again changes nothing.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(
            self.cause,
            Cause::Differs { .. } | Cause::Status { .. } | Cause::Store(StoreError::Duplicate { .. })
        )
    }
}

pub(super) fn failed(step: Step, left: Left) -> impl FnOnce(Cause) -> ProvisioningError {
    move |cause| ProvisioningError { step, cause, left }
}
