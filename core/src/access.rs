//! Who may do what through the HTTP API: scopes, the roles that hold them, and bearer tokens.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a token may do, by the names the original system had.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Scope { $($(#[$doc])* $name,)* }

        impl Scope {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word of tokens and of the API's document.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

scopes! {
    RadiusRead = "isp.radius.read",
    RadiusWrite = "isp.radius.write",
    /// End and change live sessions.
    SessionsManage = "isp.radius.sessions.manage",
    RadiusAdmin = "isp.radius.admin",
    IpamRead = "isp.ipam.read",
    IpamWrite = "isp.ipam.write",
    PonRead = "isp.network.pon.read",
    PonWrite = "isp.network.pon.write",
    /// Network profiles and the life of addresses.
    AccessRead = "isp.network.access.read",
    AccessWrite = "isp.network.access.write",
    CpeRead = "isp.cpe.read",
    CpeWrite = "isp.cpe.write",
    AutomationRead = "isp.automation.read",
    AutomationExecute = "isp.automation.execute",
    OssRead = "isp.oss.read",
    OssConfigure = "isp.oss.configure",
    SubscribersRead = "subscribers.read",
    SubscribersCreate = "subscribers.create",
    SubscribersUpdate = "subscribers.update",
    SubscribersDelete = "subscribers.delete",
    /// Make, list and revoke tokens of the tenant.
    TokensManage = "isp.tokens.manage",
    /// Who changed what.
    AuditRead = "isp.audit.read",
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Scope`].
#[derive(Debug, thiserror::Error)]
#[error("unknown scope {0:?}: expected one of {known}", known = words(Scope::ALL))]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        let known = Self::ALL.iter().find(|scope| scope.as_str() == word);
        known.copied().ok_or_else(|| UnknownScope(word.to_owned()))
    }
}

fn words(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}

/// A bundle of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// All of a tenant's own.
    TenantAdmin,
    Admin,
}

impl Role {
    pub const ALL: [Self; 2] = [Self::TenantAdmin, Self::Admin];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantAdmin => "tenant_admin",
            Self::Admin => "admin",
        }
    }

    /// The original system gave both roles all that is a tenant's.
    #[must_use]
    pub const fn scopes(self) -> &'static [Scope] {
        Scope::ALL
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Role`].
#[derive(Debug, thiserror::Error)]
#[error("unknown role {0:?}: expected tenant_admin or admin")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == word);
        known.ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// A row of `api_tokens`: a token bound to one tenant, without the token itself. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    pub id: String,
    pub tenant_id: String,
    /// For people: what it is for.
    pub name: String,
    pub role: Option<Role>,
    /// Beside those of the role, by their words.
    pub scopes: Vec<String>,
    pub created_at: i64,
    pub created_by: Option<String>,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
    /// Within a minute or so.
    pub last_used_at: Option<i64>,
}

impl ApiToken {
    /// Whether it may do what needs `scope`. A word no version here knows gives nothing.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.role.is_some_and(|role| role.scopes().contains(&scope))
            || self.scopes.iter().any(|word| word == scope.as_str())
    }

    /// Whether it is neither revoked nor past its end.
    #[must_use]
    pub fn is_valid(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What tokens begin with, so that scanners of leaked secrets know them.
const MARK: &str = "isp_";
/// Octets of chance: what is stored of them is a plain digest, since there is nothing to guess.
const OCTETS: usize = 32;

/// A bearer token as its owner has it, shown once.
#[derive(Debug, Clone)]
pub struct Bearer(Secret<String>);

impl Bearer {
    /// A new one, from the system's source of chance.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut octets = Zeroizing::new([0; OCTETS]);
        getrandom::fill(&mut *octets)?;
        Ok(Self(Secret::new(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(*octets)))))
    }

    /// As a request brought it; `None` where no token looks so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let octets = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.strip_prefix(MARK)?).ok()?);
        (octets.len() == OCTETS).then(|| Self(Secret::new(text.to_owned())))
    }

    /// To be shown to its owner, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What the database keeps of it: SHA-256, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(self.0.expose().as_bytes());
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// A row of `audit_log`: a change that somebody made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Ascending in time; 0 before it is written.
    pub id: i64,
    /// Unix seconds.
    pub at: i64,
    pub tenant_id: String,
    /// `token NAME`, or the subject of a JWT.
    pub actor: String,
    /// A word such as `create`, `update`, `delete`, `disconnect`.
    pub action: String,
    /// What was changed (`subscriber`, `nas`, ...), and which of them.
    pub kind: String,
    pub subject: String,
    /// JSON texts without secrets; none before it was made, or after it is gone.
    pub before: Option<String>,
    pub after: Option<String>,
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_word_is_read_as_what_it_is() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>().unwrap(), *scope);
        }
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
        }
        assert!("isp.radius.*".parse::<Scope>().is_err() && "root".parse::<Role>().is_err());
    }

    #[test]
    fn a_token_is_known_by_its_digest_alone() {
        let [one, other] = [Bearer::generate().unwrap(), Bearer::generate().unwrap()];
        assert_ne!(one.digest(), other.digest());
        assert_eq!(Bearer::parse(one.expose()).unwrap().digest(), one.digest());
        assert!(!format!("{one:?}").contains(one.expose()));
        let short = &one.expose()[..one.expose().len() - 2];
        for text in [
            "",
            "isp_",
            "isp_x",
            short,
            &one.expose()[4..],
            &format!("{} ", one.expose()),
        ] {
            assert!(Bearer::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_token_does_what_its_role_and_scopes_say_until_its_end() {
        let token = ApiToken {
            id: "1".to_owned(),
            tenant_id: "t".to_owned(),
            name: "bss".to_owned(),
            role: None,
            scopes: vec!["isp.oss.read".to_owned(), "isp.of.the.future".to_owned()],
            created_at: 0,
            created_by: None,
            expires_at: Some(100),
            revoked_at: None,
            last_used_at: None,
        };
        assert!(token.allows(Scope::OssRead) && !token.allows(Scope::OssConfigure));
        assert!(token.is_valid(99) && !token.is_valid(100));
        let admin = ApiToken {
            role: Some(Role::TenantAdmin),
            revoked_at: Some(5),
            ..token
        };
        assert!(Scope::ALL.iter().all(|scope| admin.allows(*scope)) && !admin.is_valid(4));
    }
}
