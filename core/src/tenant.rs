//! A tenant: one provider (or brand) whose subscribers, plans and NAS no other tenant sees.

use std::borrow::Cow;

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

/// A row of `tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub id: String,
    pub name: String,
    /// A disabled tenant's subscribers are all refused.
    pub enabled: bool,
    pub username_case: UsernameCase,
    pub username_realm: UsernameRealm,
}

impl Tenant {
    /// The form of `user_name` under which this tenant's subscribers are kept and looked up.
    #[must_use]
    pub fn normalize<'a>(&self, user_name: &'a str) -> Cow<'a, str> {
        let stripped = match self.username_realm {
            UsernameRealm::Keep => user_name,
            UsernameRealm::Strip => user_name.rsplit_once('@').map_or(user_name, |(user, _)| user),
        };
        match self.username_case {
            UsernameCase::Lower if stripped.chars().any(char::is_uppercase) => Cow::Owned(stripped.to_lowercase()),
            UsernameCase::Preserve | UsernameCase::Lower => Cow::Borrowed(stripped),
        }
    }
}
