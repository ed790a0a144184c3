//! From a packet to one that is known to come from a holder of the shared secret.

use super::authenticator::equal;
use super::{Attribute, AttributeType, Authenticator, Code, DecodeError, Packet, SharedSecret};

/// Something whose authenticators hold.
#[derive(Debug, Clone, Copy)]
pub struct Verified<T>(T);

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Why a packet is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("malformed packet: {0}")]
    Malformed(#[from] DecodeError),
    #[error("identifier {got}, but the request has {expected}")]
    Identifier { got: u8, expected: u8 },
    #[error("{got} does not answer {request}")]
    Code { got: Code, request: Code },
    #[error("the authenticator does not verify: the shared secret differs, or the packet was altered")]
    Authenticator,
    #[error("the Message-Authenticator does not verify: the shared secret differs, or the packet was altered")]
    MessageAuthenticator,
    #[error("the Message-Authenticator is not 16 bytes, or there are several")]
    MalformedMessageAuthenticator,
    #[error("there is no Message-Authenticator")]
    NoMessageAuthenticator,
}

/// A request that was sent: what its reply has to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub code: Code,
    pub identifier: u8,
    pub authenticator: Authenticator,
}

impl Request {
    /// Is `datagram` a reply to this request, from a holder of the secret? A Message-Authenticator is verified where
    /// there is one; see [`Verified::require_message_authenticator`].
    ///
    /// # Errors
    /// It is malformed, belongs to another request or does not verify. To be dropped silently (RFC 2865 section 3).
    pub fn verify<'a>(&self, secret: &SharedSecret, datagram: &'a [u8]) -> Result<Verified<Packet<'a>>, VerifyError> {
        let packet = Packet::decode(datagram)?;
        if packet.identifier() != self.identifier {
            return Err(VerifyError::Identifier {
                got: packet.identifier(),
                expected: self.identifier,
            });
        }
        if !self.code.is_answered_by(packet.code()) {
            return Err(VerifyError::Code {
                got: packet.code(),
                request: self.code,
            });
        }
        let digest = secret.digest(packet.head, &self.authenticator, packet.raw_attributes());
        if !equal(&digest, packet.authenticator()) {
            return Err(VerifyError::Authenticator);
        }
        packet.check_message_authenticator(secret, &self.authenticator)?;
        Ok(Verified(packet))
    }
}

impl<'a> Packet<'a> {
    /// Does this request come from a holder of the secret? Access-Request and Status-Server show it by their
    /// Message-Authenticator only, the others by the Request Authenticator (RFC 2866 section 3, RFC 5176 section 2.3).
    ///
    /// # Errors
    /// It does not verify. To be dropped silently.
    pub fn verify_request(self, secret: &SharedSecret) -> Result<Verified<Self>, VerifyError> {
        const ZEROS: Authenticator = [0; 16];
        if self.code().has_random_authenticator() {
            let verified = Verified(self);
            self.check_message_authenticator(secret, self.authenticator())?;
            return verified.require_message_authenticator();
        }
        let digest = secret.digest(self.head, &ZEROS, self.raw_attributes());
        if !equal(&digest, self.authenticator()) {
            return Err(VerifyError::Authenticator);
        }
        self.check_message_authenticator(secret, &ZEROS)?;
        Ok(Verified(self))
    }

    /// Check the Message-Authenticator, if there is one, with `authenticator` in the authenticator's place.
    fn check_message_authenticator(
        &self,
        secret: &SharedSecret,
        authenticator: &Authenticator,
    ) -> Result<(), VerifyError> {
        let mut attributes = self.attributes();
        let is_one = |attribute: &Attribute<'_>| attribute.kind == AttributeType::MESSAGE_AUTHENTICATOR;
        let Some(found) = attributes.find(is_one) else {
            return Ok(());
        };
        let after = attributes.rest();
        if found.value.len() != 16 || attributes.any(|attribute| is_one(&attribute)) {
            return Err(VerifyError::MalformedMessageAuthenticator);
        }
        let raw = self.raw_attributes();
        let before = raw
            .get(..raw.len() - after.len() - found.value.len())
            .unwrap_or_default();
        let expected = secret.message_authenticator(self.head, authenticator, before, after);
        if equal(&expected, found.value) {
            Ok(())
        } else {
            Err(VerifyError::MessageAuthenticator)
        }
    }
}

impl<'a> Verified<Packet<'a>> {
    /// Insist on a Message-Authenticator: a reply to an Access-Request over UDP without one can be forged
    /// (CVE-2024-3596), since its Response Authenticator is mere MD5.
    ///
    /// # Errors
    /// There is none.
    pub fn require_message_authenticator(self) -> Result<Self, VerifyError> {
        match self.get(AttributeType::MESSAGE_AUTHENTICATOR) {
            Some(_) => Ok(self),
            None => Err(VerifyError::NoMessageAuthenticator),
        }
    }
}
