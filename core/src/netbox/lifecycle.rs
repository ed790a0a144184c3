//! The life of an address or a delegated prefix from order to return.

use std::fmt;
use std::str::FromStr;

/// Where an assigned address or prefix is in its life. Same words in `subscriber_network_profiles.ipv6_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleState {
    /// Wanted, nothing set aside yet.
    Pending,
    /// Set aside, not in service.
    Allocated,
    Active,
    /// Kept for its subscriber, out of service.
    Suspended,
    /// On its way back: routers and NetBox are being told.
    Revoking,
    /// Given back; the end.
    Revoked,
    Failed,
}

/// A step that the life of an address does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address that is {from} cannot become {to}")]
pub struct IllegalTransition {
    pub from: LifecycleState,
    pub to: LifecycleState,
}

/// A word that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of pending, allocated, active, suspended, revoking, revoked, failed")]
pub struct UnknownState(pub String);

impl LifecycleState {
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Allocated,
        Self::Active,
        Self::Suspended,
        Self::Revoking,
        Self::Revoked,
        Self::Failed,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Allocated => "allocated",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoking => "revoking",
            Self::Revoked => "revoked",
            Self::Failed => "failed",
        }
    }

    /// The states that may come next; none after [`LifecycleState::Revoked`].
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Allocated, Self::Failed],
            Self::Allocated => &[Self::Active, Self::Failed, Self::Revoking],
            Self::Active => &[Self::Suspended, Self::Revoking, Self::Failed],
            Self::Suspended => &[Self::Active, Self::Revoking, Self::Failed],
            Self::Revoking => &[Self::Revoked, Self::Failed],
            Self::Failed => &[Self::Pending],
            Self::Revoked => &[],
        }
    }

    /// `to`, where it may follow. A state does not follow itself: doing a step twice is the caller's to notice.
    ///
    /// # Errors
    /// It may not.
    pub fn step(self, to: Self) -> Result<Self, IllegalTransition> {
        if self.next().contains(&to) {
            Ok(to)
        } else {
            Err(IllegalTransition { from: self, to })
        }
    }
}

impl fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LifecycleState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownState(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::LifecycleState::*;
    use super::*;

    #[test]
    fn these_steps_and_no_others() {
        let legal = [
            (Pending, Allocated),
            (Pending, Failed),
            (Allocated, Active),
            (Allocated, Failed),
            (Allocated, Revoking),
            (Active, Suspended),
            (Active, Revoking),
            (Active, Failed),
            (Suspended, Active),
            (Suspended, Revoking),
            (Suspended, Failed),
            (Revoking, Revoked),
            (Revoking, Failed),
            (Failed, Pending),
        ];
        for from in LifecycleState::ALL {
            for to in LifecycleState::ALL {
                let expected = if legal.contains(&(from, to)) {
                    Ok(to)
                } else {
                    Err(IllegalTransition { from, to })
                };
                assert_eq!(from.step(to), expected, "{from} to {to}");
            }
        }
    }

    #[test]
    fn the_error_names_both_states() {
        let refused = Revoked.step(Active).unwrap_err();
        assert_eq!(refused.to_string(), "an address that is revoked cannot become active");
    }

    #[test]
    fn words_go_both_ways() {
        for state in LifecycleState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
        let unknown = "retired".parse::<LifecycleState>();
        assert_eq!(unknown, Err(UnknownState("retired".to_owned())));
    }
}
