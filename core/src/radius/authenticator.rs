//! The digests that tie packets to the shared secret.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Authenticator;
use crate::secret::Secret;

/// Length of a block of User-Password, bytes.
const BLOCK: usize = 16;
/// The most behind a salt: an attribute holds 253 octets, a tag and the salt among them, in whole blocks.
const MAX_SALTED: usize = 239;

/// What a NAS and the server share, with the digest states that depend on nothing else. Cheap to clone.
#[derive(Clone)]
pub struct SharedSecret(Arc<Keyed>);

struct Keyed {
    secret: Secret<Vec<u8>>,
    after_secret: Md5,
    keyed: Hmac<Md5>,
}

/// RFC 2865 section 3: the secret must not be empty, for an empty one lets anybody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared secret is empty")]
pub struct EmptySecret;

impl SharedSecret {
    /// # Errors
    /// The secret is empty.
    pub fn new(secret: &[u8]) -> Result<Self, EmptySecret> {
        if secret.is_empty() {
            return Err(EmptySecret);
        }
        Ok(Self(Arc::new(Keyed {
            secret: Secret::new(secret.to_vec()),
            after_secret: Md5::new_with_prefix(secret),
            // HMAC takes a key of any length.
            keyed: Hmac::new_from_slice(secret).map_err(|_| EmptySecret)?,
        })))
    }

    /// For programs that have to be given it.
    #[cfg(feature = "coa")]
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.secret.expose()
    }

    /// MD5 over the packet with `authenticator` in the authenticator's place, and the secret: the Response Authenticator
    /// over the request's (RFC 2865 section 3), or the Request Authenticator over zeros (RFC 2866 section 3).
    pub(super) fn digest(&self, head: [u8; 4], authenticator: &Authenticator, attributes: &[u8]) -> Authenticator {
        Md5::new()
            .chain_update(head)
            .chain_update(authenticator)
            .chain_update(attributes)
            .chain_update(self.0.secret.expose())
            .finalize()
            .into()
    }

    /// Message-Authenticator (RFC 3579 section 3.2): HMAC over the packet with the value itself taken as zeros.
    pub(super) fn message_authenticator(
        &self,
        head: [u8; 4],
        authenticator: &Authenticator,
        before: &[u8],
        after: &[u8],
    ) -> Authenticator {
        let mut mac = self.0.keyed.clone();
        mac.update(&head);
        mac.update(authenticator);
        mac.update(before);
        mac.update(&[0; 16]);
        mac.update(after);
        mac.finalize().into_bytes().into()
    }

    /// Hide a User-Password in place (RFC 2865 section 5.2); it is padded to whole blocks already.
    pub(super) fn hide(&self, authenticator: &Authenticator, password: &mut [u8]) {
        let mut previous = *authenticator;
        for block in password.chunks_mut(BLOCK) {
            self.mask(&previous, block);
            for (byte, hidden) in previous.iter_mut().zip(&*block) {
                *byte = *hidden;
            }
        }
    }

    /// The password in the value of a User-Password, without its padding. Nonsense under another secret.
    /// `None` where the value is no hidden password.
    #[must_use]
    pub fn reveal_user_password(&self, authenticator: &Authenticator, hidden: &[u8]) -> Option<Secret<Vec<u8>>> {
        if hidden.is_empty() || hidden.len() > crate::password::MAX_PASSWORD || !hidden.len().is_multiple_of(BLOCK) {
            return None;
        }
        let mut password = Zeroizing::new(hidden.to_vec());
        let mut previous = *authenticator;
        for (block, hidden) in password.chunks_mut(BLOCK).zip(hidden.as_chunks::<BLOCK>().0) {
            self.mask(&previous, block);
            previous = *hidden;
        }
        let padding = password.iter().rev().take_while(|byte| **byte == 0).count();
        let length = password.len() - padding;
        password.truncate(length);
        Some(Secret::new(std::mem::take(&mut *password)))
    }

    /// Hide a value behind a salt (RFC 2868 section 3.5, RFC 2548 section 2.4.2); `None` where it is longer than fits.
    pub(super) fn hide_salted(&self, authenticator: &Authenticator, salt: [u8; 2], value: &[u8]) -> Option<Vec<u8>> {
        // RFC 2868 section 3.5: the most significant bit is set.
        let salt = [salt[0] | 0x80, salt[1]];
        let length = u8::try_from(value.len()).ok().filter(|_| value.len() <= MAX_SALTED)?;
        let mut hidden = [&[length], value].concat();
        hidden.resize(hidden.len().next_multiple_of(BLOCK), 0);
        let mut previous = [authenticator.as_slice(), &salt].concat();
        for block in hidden.chunks_mut(BLOCK) {
            self.mask(&previous, block);
            previous = block.to_vec();
        }
        Some([&salt, hidden.as_slice()].concat())
    }

    /// The value behind a salt. `None` where there is none, which nearly always means another secret.
    #[must_use]
    pub fn reveal_salted(&self, authenticator: &Authenticator, hidden: &[u8]) -> Option<Secret<Vec<u8>>> {
        let (salt, hidden) = hidden.split_first_chunk::<2>()?;
        let (blocks, []) = hidden.as_chunks::<BLOCK>() else {
            return None;
        };
        let mut clear = Zeroizing::new(hidden.to_vec());
        let mut previous = [authenticator.as_slice(), salt].concat();
        for (block, hidden) in clear.chunks_mut(BLOCK).zip(blocks) {
            self.mask(&previous, block);
            previous = hidden.to_vec();
        }
        let (length, value) = clear.split_first()?;
        value
            .get(..usize::from(*length))
            .map(|value| Secret::new(value.to_vec()))
    }

    fn mask(&self, previous: &[u8], block: &mut [u8]) {
        let mask = self.0.after_secret.clone().chain_update(previous).finalize();
        for (byte, mask) in block.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The value of a CHAP-Password (RFC 2865 section 5.3, RFC 1994 section 4.1).
pub(super) fn chap_password(chap_id: u8, password: &[u8], challenge: &[u8]) -> [u8; 17] {
    let response = Md5::new()
        .chain_update([chap_id])
        .chain_update(password)
        .chain_update(challenge)
        .finalize();
    let mut value = [chap_id; 17];
    for (byte, response) in value.iter_mut().skip(1).zip(response) {
        *byte = response;
    }
    value
}

/// In constant time.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
