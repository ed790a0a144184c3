//! Stored password forms, and which authentication methods each of them can serve.
//!
//! | stored as | PAP | CHAP, EAP-MD5 | MS-CHAP, EAP-MSCHAPv2 | kept |
//! |---|---|---|---|---|
//! | cleartext | yes | yes | yes | sealed under the key file |
//! | nt | yes | no | yes | sealed under the key file |
//! | md5, sha256, ssha, bcrypt, argon2id, crypt | yes | no | no | one-way |
//!
//! The columns are `password` (`scheme:value`) and `password_hash_method`. A value without a scheme is what the method
//! column says; with neither it is a legacy cleartext password.

mod cache;
mod md5_crypt;
mod one_way;
mod scheme;
mod stored;
#[cfg(test)]
mod tests;

pub use cache::{VerifyCache, VerifyLimits};
pub use scheme::{AuthMethod, Scheme, UnknownScheme};
pub use stored::{Known, StoredPassword};

use crate::secret::{KeyRing, SecretError};

/// Longest password taken, bytes: what User-Password can carry (RFC 2865 section 5.2).
pub const MAX_PASSWORD: usize = 128;

/// Why a password cannot be stored, read or verified. Never holds the password or its hash.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("the password stored as {scheme} is unreadable: {problem}")]
    Unreadable { scheme: Scheme, problem: String },
    #[error("password_hash_method: {0}")]
    Method(#[from] UnknownScheme),
    #[error(
        "a password stored as {0} is sealed, and there is no key file: make one with `ispctl key create` and name it in key_file"
    )]
    NoKeys(Scheme),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the password {problem}")]
    Unsuitable { problem: &'static str },
    #[error("the password cannot be hashed as {scheme}: {problem}")]
    Hash { scheme: Scheme, problem: String },
    #[error("too many passwords stored as {0} are being verified at once")]
    Busy(Scheme),
}

/// What goes into the columns `password` and `password_hash_method`.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    pub password: String,
    pub method: &'static str,
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Encode a new password. Reversible schemes need `keys`; `context` is the subscriber's id.
///
/// # Errors
/// The password is empty, too long or (nt) not UTF-8; a reversible scheme has no keys.
pub fn encode(
    scheme: Scheme,
    password: &[u8],
    keys: Option<&KeyRing>,
    context: &str,
) -> Result<Encoded, PasswordError> {
    let unsuitable = |problem| Err(PasswordError::Unsuitable { problem });
    if password.is_empty() {
        return unsuitable("is empty");
    }
    if password.len() > MAX_PASSWORD {
        return unsuitable("is longer than 128 bytes, which is all that PAP can carry");
    }
    match scheme {
        Scheme::Cleartext => stored::seal(scheme, password, keys, context),
        Scheme::Nt => match std::str::from_utf8(password) {
            Ok(text) => stored::seal(scheme, &nt_hash(text), keys, context),
            Err(_) => unsuitable("is not UTF-8, so it has no NT hash"),
        },
        _ => Ok(Encoded {
            password: format!("{scheme}:{}", one_way::hash(scheme, password)?),
            method: scheme.as_str(),
        }),
    }
}

/// NtPasswordHash (RFC 2433 appendix A.3): MD4 of the UTF-16LE text.
#[must_use]
pub fn nt_hash(password: &str) -> [u8; 16] {
    use md4::Digest as _;
    let mut hash = md4::Md4::new();
    for unit in password.encode_utf16() {
        hash.update(unit.to_le_bytes());
    }
    hash.finalize().into()
}
