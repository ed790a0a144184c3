//! The stored forms and the methods they serve.

use serde::{Deserialize, Serialize};

/// How the subscriber proves who it is in this packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// User-Password (RFC 2865 section 5.2).
    Pap,
    /// CHAP-Password (RFC 2865 section 5.3).
    Chap,
    /// MS-CHAP or MS-CHAPv2 (RFC 2548).
    MsChap,
    /// EAP type 4.
    EapMd5,
    /// EAP type 26.
    EapMsChapV2,
    /// Any other EAP packet: an identity, or a tunnel whose inner method is not known yet.
    EapOther,
    /// No credential in the packet.
    None,
}

impl AuthMethod {
    /// The name an operator knows it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pap => "PAP",
            Self::Chap => "CHAP",
            Self::MsChap => "MS-CHAP",
            Self::EapMd5 => "EAP-MD5",
            Self::EapMsChapV2 => "EAP-MSCHAPv2",
            Self::EapOther => "EAP",
            Self::None => "no credential",
        }
    }
}

/// The stored form of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    Cleartext,
    Nt,
    /// 32 hex digits, unsalted.
    Md5,
    /// 64 hex digits, unsalted.
    Sha256,
    /// Base64 of SHA-1 and its salt, as LDAP has it after `{SSHA}`.
    Ssha,
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
    /// `$argon2id$`.
    Argon2id,
    /// As in a shadow file: `$1$` (MD5), `$5$` (SHA-256), `$6$` (SHA-512), `$y$` (yescrypt).
    Crypt,
}

impl Scheme {
    pub const ALL: [Self; 8] = [
        Self::Cleartext,
        Self::Nt,
        Self::Md5,
        Self::Sha256,
        Self::Ssha,
        Self::Bcrypt,
        Self::Argon2id,
        Self::Crypt,
    ];

    /// Can this stored form serve that method? With the inner method of a tunnel still unknown, it may.
    #[must_use]
    pub const fn serves(self, method: AuthMethod) -> bool {
        match method {
            AuthMethod::Pap | AuthMethod::EapOther | AuthMethod::None => true,
            // The response is computed from the password itself (RFC 1994 section 4.1, RFC 3748 section 5.4).
            AuthMethod::Chap | AuthMethod::EapMd5 => matches!(self, Self::Cleartext),
            // The response is computed from the NT hash (RFC 2759 section 8).
            AuthMethod::MsChap | AuthMethod::EapMsChapV2 => matches!(self, Self::Cleartext | Self::Nt),
        }
    }

    /// The word the columns use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cleartext => "cleartext",
            Self::Nt => "nt",
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Ssha => "ssha",
            Self::Bcrypt => "bcrypt",
            Self::Argon2id => "argon2id",
            Self::Crypt => "crypt",
        }
    }

    /// Is it made to take long, so that a verification is worth remembering?
    #[must_use]
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Bcrypt | Self::Argon2id | Self::Crypt)
    }
}

impl std::fmt::Display for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Scheme`]. Not shown: what stands in the wrong column may be the password.
#[derive(Debug, thiserror::Error)]
#[error("not one of cleartext, nt, md5, sha256, ssha, bcrypt, argon2id, crypt")]
pub struct UnknownScheme;

/// Upper and lower case are the same.
impl std::str::FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(word: &str) -> Result<Self, UnknownScheme> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(word))
            .ok_or(UnknownScheme)
    }
}
