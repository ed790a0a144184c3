//! The sealed form of a value and its cipher.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::{KEY, Secret, SecretError};

const PREFIX: &str = "sealed:";
const NONCE: usize = 24;
const TAG: usize = 16;

/// Goes before the context in the associated data, so that no other use of the key can be taken for this one.
const PURPOSE: &[u8] = b"isp-core sealed value 1\0";

/// A sealed value, in binary: what a snapshot keeps.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sealed<'a> {
    pub key_id: u32,
    /// Nonce (24 bytes), ciphertext, tag (16 bytes).
    #[serde(borrow)]
    pub body: Cow<'a, [u8]>,
}

impl Sealed<'static> {
    /// Parse the text form; `Ok(None)` where the text is not sealed at all.
    ///
    /// # Errors
    /// The text starts as a sealed value does, but is none.
    pub fn parse(text: &str) -> Result<Option<Self>, SecretError> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let (id, body) = rest
            .split_once(':')
            .ok_or(SecretError::Damaged("it has no key id; expected sealed:KEY ID:BASE64"))?;
        let key_id = parse_id(id).ok_or(SecretError::Damaged("its key id is not a number"))?;
        let body = STANDARD
            .decode(body)
            .map_err(|_| SecretError::Damaged("it is not base64"))?;
        if body.len() < NONCE + TAG {
            return Err(SecretError::Damaged("it is cut short"));
        }
        Ok(Some(Self {
            key_id,
            body: Cow::Owned(body),
        }))
    }
}

/// The text form.
impl std::fmt::Display for Sealed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}:{}", self.key_id, STANDARD.encode(&self.body))
    }
}

/// A key id has one spelling: decimal digits, no sign, no leading zero, not 0.
pub(super) fn parse_id(text: &str) -> Option<u32> {
    let id = text.parse().ok()?;
    (id != 0 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0')).then_some(id)
}

pub(super) fn seal(
    key_id: u32,
    key: &Secret<[u8; KEY]>,
    context: &str,
    plain: &[u8],
) -> Result<Sealed<'static>, SecretError> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce)?;
    let ciphertext = cipher(key)
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: plain,
                aad: &associated_data(context),
            },
        )
        .map_err(|_| SecretError::TooLong)?;
    let mut body = Vec::with_capacity(NONCE + ciphertext.len());
    body.extend_from_slice(&nonce);
    body.extend_from_slice(&ciphertext);
    Ok(Sealed {
        key_id,
        body: Cow::Owned(body),
    })
}

pub(super) fn open(
    key: &Secret<[u8; KEY]>,
    context: &str,
    sealed: &Sealed<'_>,
) -> Result<Secret<Vec<u8>>, SecretError> {
    let (nonce, ciphertext) = sealed
        .body
        .split_first_chunk::<NONCE>()
        .ok_or(SecretError::Damaged("it is cut short"))?;
    cipher(key)
        .decrypt(
            &XNonce::from(*nonce),
            Payload {
                msg: ciphertext,
                aad: &associated_data(context),
            },
        )
        .map(Secret::new)
        .map_err(|_| SecretError::Rejected { id: sealed.key_id })
}

fn cipher(key: &Secret<[u8; KEY]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

fn associated_data(context: &str) -> Vec<u8> {
    [PURPOSE, context.as_bytes()].concat()
}
