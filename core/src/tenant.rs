//! A tenant: one provider (or brand) whose subscribers, plans and NAS no other tenant sees.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// How the case of a User-Name is treated when a subscriber is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsernameCase {
    /// `Alice` and `alice` are two subscribers.
    #[default]
    Preserve,
    /// Both are `alice`.
    Lower,
}

/// What happens to a realm (`user@realm`) when a subscriber is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsernameRealm {
    /// The User-Name is looked up as it came.
    #[default]
    Keep,
    /// Everything from the last `@` on is dropped first.
    Strip,
}

/// By what the subscriber is found whose packet brings no credentials of its own, as that of an IPoE line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookupBy {
    /// By User-Name, as everybody.
    #[default]
    Username,
    /// By the MAC address in Calling-Station-Id.
    Mac,
    /// By Agent Circuit ID, with Agent Remote ID where the subscriber has one (RFC 3046).
    CircuitId,
}

impl LookupBy {
    pub const ALL: [Self; 3] = [Self::Username, Self::Mac, Self::CircuitId];

    /// The word the database uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Mac => "mac",
            Self::CircuitId => "circuit_id",
        }
    }
}

/// A row of `tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub id: String,
    pub name: String,
    /// A disabled tenant's subscribers are all refused.
    pub enabled: bool,
    pub username_case: UsernameCase,
    pub username_realm: UsernameRealm,
    /// Name in the tz database: where its days, weeks and months begin.
    pub timezone: String,
    /// By how much, at most, Acct-Interim-Interval of a subscriber is more or less than its plan's, in percent: 0 to 50.
    pub interim_jitter_percent: u8,
    pub lookup_by: LookupBy,
}

/// A condition other than active that a subscriber can be in; a tenant says what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Pending,
    Suspended,
    Disconnected,
    Terminated,
    Quarantined,
    /// The expiration date has passed.
    Expired,
    /// Outside the hours it may be online at.
    OutsideHours,
    /// A quota has led to a tier that refuses.
    QuotaExhausted,
}

impl Condition {
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Suspended,
        Self::Disconnected,
        Self::Terminated,
        Self::Quarantined,
        Self::Expired,
        Self::OutsideHours,
        Self::QuotaExhausted,
    ];

    /// The word the database uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Suspended => "suspended",
            Self::Disconnected => "disconnected",
            Self::Terminated => "terminated",
            Self::Quarantined => "quarantined",
            Self::Expired => "expired",
            Self::OutsideHours => "outside_hours",
            Self::QuotaExhausted => "quota_exhausted",
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Condition`].
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown condition {0:?}: expected pending, suspended, disconnected, terminated, quarantined, expired, \
     outside_hours or quota_exhausted"
)]
pub struct UnknownCondition(String);

impl std::str::FromStr for Condition {
    type Err = UnknownCondition;

    fn from_str(word: &str) -> Result<Self, UnknownCondition> {
        Self::ALL
            .into_iter()
            .find(|condition| condition.as_str() == word)
            .ok_or_else(|| UnknownCondition(word.to_owned()))
    }
}

/// What a tenant does with a subscriber in a [`Condition`]. Where it says nothing, it rejects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionAction {
    Reject,
    /// As if it were active.
    Accept,
    /// Let in under the terms of the plan with this id, and never with more than it would get if it were active.
    Restrict(String),
}

/// A row of `tenant_conditions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantCondition {
    pub tenant_id: String,
    pub condition: Condition,
    pub action: ConditionAction,
}

/// What becomes of a User-Name with a certain realm.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RealmAction {
    /// It is looked up by the tenant's rules, as if there were none for its realm.
    Accept,
    /// It is looked up without its realm.
    Strip,
    Refuse,
    /// It is a subscriber of the tenant with this id, and looked up by that one's rules.
    Tenant(String),
}

/// A row of `tenant_realms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRealm {
    /// Whose NAS it comes by.
    pub tenant_id: String,
    /// In small letters, without `@`; or [`TenantRealm::NONE`], or [`TenantRealm::OTHER`].
    pub realm: String,
    pub action: RealmAction,
}

impl TenantRealm {
    /// A User-Name without a realm. It can be refused, nothing else.
    pub const NONE: &'static str = "";
    /// Any realm that no other rule is for.
    pub const OTHER: &'static str = "*";
}

/// `user` and `realm` of `user@realm`; a realm of no letters is none.
#[must_use]
pub fn split_realm(user_name: &str) -> (&str, Option<&str>) {
    match user_name.rsplit_once('@') {
        Some((user, realm)) => (user, Some(realm).filter(|realm| !realm.is_empty())),
        None => (user_name, None),
    }
}

/// The time zone of a tenant that names none.
pub const UTC: &str = "UTC";

/// A name that the tz database does not have.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no time zone of the tz database (Europe/Berlin, America/New_York, UTC)")]
pub struct UnknownTimezone(pub String);

/// The name of a time zone as the tz database spells it.
///
/// # Errors
/// There is none of this name.
pub fn timezone(name: &str) -> Result<String, UnknownTimezone> {
    let unknown = || UnknownTimezone(name.to_owned());
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    zone.iana_name().map(str::to_owned).ok_or_else(unknown)
}

impl Tenant {
    /// The form of `user_name` under which this tenant's subscribers are kept and looked up.
    #[must_use]
    pub fn normalize<'a>(&self, user_name: &'a str) -> Cow<'a, str> {
        let stripped = match self.username_realm {
            UsernameRealm::Keep => user_name,
            UsernameRealm::Strip => split_realm(user_name).0,
        };
        match self.username_case {
            UsernameCase::Lower if stripped.chars().any(char::is_uppercase) => Cow::Owned(stripped.to_lowercase()),
            UsernameCase::Preserve | UsernameCase::Lower => Cow::Borrowed(stripped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_has_the_name_of_the_database() {
        for (name, spelt) in [
            ("UTC", Some("UTC")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("Asia/Kathmandu", Some("Asia/Kathmandu")),
            ("Berlin", None),
            ("", None),
            ("+02:00", None),
        ] {
            assert_eq!(timezone(name).ok().as_deref(), spelt, "{name:?}");
        }
    }
}
