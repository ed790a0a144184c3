//! A stored password, as the columns and the snapshot hold it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::one_way::{self, Hash};
use super::{Encoded, PasswordError, Scheme, nt_hash};
use crate::secret::{KeyRing, Sealed, Secret};

/// A stored password, parsed once when the subscriber is loaded. Compact: a snapshot holds a million of them (serde, borrowed).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredPassword<'a> {
    /// Sealed value of a reversible scheme ([`Scheme::Cleartext`] or [`Scheme::Nt`]).
    Sealed {
        scheme: Scheme,
        #[serde(borrow)]
        sealed: Sealed<'a>,
    },
    /// Written in clear by another tool.
    Cleartext(#[serde(borrow)] Cow<'a, str>),
    Nt([u8; 16]),
    /// One-way hash in its usual text form, without our scheme prefix.
    OneWay {
        scheme: Scheme,
        #[serde(borrow)]
        hash: Cow<'a, str>,
    },
}

/// What opening a stored password gives.
#[derive(Debug)]
pub enum Known {
    Cleartext(Secret<Vec<u8>>),
    NtHash(Secret<[u8; 16]>),
    /// Only [`StoredPassword::verify`] can tell.
    OneWay,
}

impl StoredPassword<'static> {
    /// Parse the columns. `scheme:value` in `password` wins over the method column; no prefix and no method = legacy cleartext.
    ///
    /// # Errors
    /// The method is unknown, or the value is not what the scheme calls for: damaged, of a kind that is not supported,
    /// or so costly that one login would hold up the server.
    pub fn parse(method: Option<&str>, password: &str) -> Result<Self, PasswordError> {
        let (scheme, value) = match prefix(password) {
            Some(prefixed) => prefixed,
            None => match method.map(str::trim).filter(|method| !method.is_empty()) {
                Some(method) => (method.parse()?, password),
                None => (Scheme::Cleartext, password),
            },
        };
        if value.is_empty() {
            return Err(unreadable(scheme, "it is empty"));
        }
        match scheme {
            Scheme::Cleartext | Scheme::Nt => {
                if let Some(sealed) = Sealed::parse(value)? {
                    return Ok(Self::Sealed { scheme, sealed });
                }
                if scheme == Scheme::Cleartext {
                    return Ok(Self::Cleartext(Cow::Owned(value.to_owned())));
                }
                one_way::hex(value.strip_prefix("0x").unwrap_or(value))
                    .map(Self::Nt)
                    .ok_or_else(|| unreadable(scheme, "it is neither 32 hex digits nor sealed"))
            }
            _ => {
                let (scheme, hash) = one_way::normalize(scheme, value);
                Hash::parse(scheme, hash)?;
                Ok(Self::OneWay {
                    scheme,
                    hash: Cow::Owned(hash.to_owned()),
                })
            }
        }
    }
}

impl StoredPassword<'_> {
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Sealed { scheme, .. } | Self::OneWay { scheme, .. } => *scheme,
            Self::Cleartext(_) => Scheme::Cleartext,
            Self::Nt(_) => Scheme::Nt,
        }
    }

    /// The columns for this password: as it is where one-way, else sealed (anew) under the primary key of `keys`
    /// for `context`, the subscriber's id. A sealed one must have been sealed for the same context.
    ///
    /// # Errors
    /// A reversible scheme has no keys, or the sealed value does not open.
    pub fn encode(&self, keys: Option<&KeyRing>, context: &str) -> Result<Encoded, PasswordError> {
        if let Self::OneWay { scheme, hash } = self {
            return Ok(Encoded {
                password: format!("{scheme}:{hash}"),
                method: scheme.as_str(),
            });
        }
        match self.reveal(keys, context)? {
            Known::Cleartext(text) => seal(Scheme::Cleartext, text.expose(), keys, context),
            Known::NtHash(hash) => seal(Scheme::Nt, hash.expose(), keys, context),
            Known::OneWay => Err(unreadable(self.scheme(), "a one-way hash cannot be sealed")),
        }
    }

    /// What the password is, as far as the stored form tells.
    ///
    /// # Errors
    /// It is sealed, and there are no keys or it does not open for `context`.
    pub fn reveal(&self, keys: Option<&KeyRing>, context: &str) -> Result<Known, PasswordError> {
        match self {
            Self::Sealed { scheme, sealed } => {
                let keys = keys.ok_or(PasswordError::NoKeys(*scheme))?;
                let plain = keys.open(context, sealed)?;
                if *scheme == Scheme::Cleartext {
                    return Ok(Known::Cleartext(plain));
                }
                let hash = plain.expose().as_slice().try_into();
                hash.map(|hash| Known::NtHash(Secret::new(hash)))
                    .map_err(|_| unreadable(*scheme, "what is sealed is not an NT hash"))
            }
            Self::Cleartext(text) => Ok(Known::Cleartext(Secret::new(text.as_bytes().to_vec()))),
            Self::Nt(hash) => Ok(Known::NtHash(Secret::new(*hash))),
            Self::OneWay { .. } => Ok(Known::OneWay),
        }
    }

    /// Is it `candidate`? Takes the same time whichever bytes differ, and for a slow scheme as long as the hash asks for.
    ///
    /// # Errors
    /// A sealed form needs [`Self::reveal`]; a hash may be damaged where it did not come from [`Self::parse`].
    pub fn verify(&self, candidate: &[u8]) -> Result<bool, PasswordError> {
        match self {
            Self::Sealed { scheme, .. } => Err(unreadable(*scheme, "it is sealed and must be opened first")),
            Self::Cleartext(text) => Ok(text.as_bytes().ct_eq(candidate).into()),
            Self::Nt(hash) => {
                Ok(std::str::from_utf8(candidate)
                    .is_ok_and(|candidate| nt_hash(candidate).ct_eq(hash.as_slice()).into()))
            }
            Self::OneWay { scheme, hash } => Hash::parse(*scheme, hash)?.matches(candidate),
        }
    }
}

/// The scheme, no more: the rest is a secret, or as good as one.
impl std::fmt::Debug for StoredPassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sealed = if matches!(self, Self::Sealed { .. }) {
            ", sealed"
        } else {
            ""
        };
        write!(f, "StoredPassword({}{sealed})", self.scheme())
    }
}

/// The scheme in front of a value. Written by programs, so there is one spelling of it: a password may well start with `MD5:`.
fn prefix(password: &str) -> Option<(Scheme, &str)> {
    let (word, value) = password.split_once(':')?;
    let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.as_str() == word)?;
    Some((scheme, value))
}

pub(super) fn seal(
    scheme: Scheme,
    plain: &[u8],
    keys: Option<&KeyRing>,
    context: &str,
) -> Result<Encoded, PasswordError> {
    let keys = keys.ok_or(PasswordError::NoKeys(scheme))?;
    Ok(Encoded {
        password: format!("{scheme}:{}", keys.seal(context, plain)?),
        method: scheme.as_str(),
    })
}

pub(super) fn unreadable(scheme: Scheme, problem: impl Into<String>) -> PasswordError {
    PasswordError::Unreadable {
        scheme,
        problem: problem.into(),
    }
}
