//! Stored password forms.

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
    Md5,
    Sha256,
    Ssha,
    Bcrypt,
    Argon2id,
    Crypt,
}

/// A stored password, parsed once when the subscriber is loaded. Compact: a snapshot holds a million of them (serde, borrowed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredPassword<'a> {
    /// Sealed value of a reversible scheme ([`Scheme::Cleartext`] or [`Scheme::Nt`]).
    Sealed {
        scheme: Scheme,
        #[serde(borrow)]
        sealed: crate::secret::Sealed<'a>,
    },
    /// Written in clear by another tool.
    Cleartext(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Nt([u8; 16]),
    /// One-way hash in its usual text form, without our scheme prefix.
    OneWay {
        scheme: Scheme,
        #[serde(borrow)]
        hash: std::borrow::Cow<'a, str>,
    },
}

/// What opening a stored password gives.
#[derive(Debug)]
pub enum Known {
    Cleartext(crate::secret::Secret<Vec<u8>>),
    NtHash(crate::secret::Secret<[u8; 16]>),
    /// Only [`StoredPassword::verify`] can tell.
    OneWay,
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("{0}")]
    Todo(String),
}

/// What goes into the columns `password` and `password_hash_method`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub password: String,
    pub method: &'static str,
}

/// Encode a new password. Reversible schemes need `keys`; `context` is the subscriber's id.
pub fn encode(
    scheme: Scheme,
    password: &[u8],
    keys: Option<&crate::secret::KeyRing>,
    context: &str,
) -> Result<Encoded, PasswordError> {
    todo!()
}

impl Scheme {
    /// Can this stored form serve that method? The matrix of the README.
    pub const fn serves(self, method: AuthMethod) -> bool {
        todo!()
    }
    pub const fn as_str(self) -> &'static str {
        todo!()
    }
}

impl StoredPassword<'static> {
    /// Parse the columns. `scheme:value` in `password` wins over the method column; no prefix and no method = legacy cleartext.
    pub fn parse(method: Option<&str>, password: &str) -> Result<Self, PasswordError> {
        todo!()
    }
}

impl StoredPassword<'_> {
    pub fn scheme(&self) -> Scheme {
        todo!()
    }
    pub fn reveal(&self, keys: Option<&crate::secret::KeyRing>, context: &str) -> Result<Known, PasswordError> {
        todo!()
    }
    /// Constant-time in the candidate. For one-way forms.
    pub fn verify(&self, candidate: &[u8]) -> bool {
        todo!()
    }
}

/// Remembers successful verifications of slow one-way hashes, bounded, keyed by a per-process random key
/// (stores only a keyed MAC over stored form and candidate, so that a changed hash or another password never hits).
#[derive(Debug)]
pub struct VerifyCache {}

impl VerifyCache {
    pub fn new(capacity: usize) -> Self {
        todo!()
    }
    pub fn verify(&self, context: &str, stored: &StoredPassword<'_>, candidate: &[u8]) -> bool {
        todo!()
    }
}
