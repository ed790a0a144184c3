//! Writing a packet into a caller's buffer.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::authenticator::chap_password;
use super::{AttributeType, Authenticator, Code, MAX_PACKET, MIN_PACKET, Packet, Request, SharedSecret, Verified};
use crate::password::MAX_PASSWORD;

/// Longest value of an attribute, bytes (RFC 2865 section 5).
const MAX_VALUE: usize = 253;
const NO_AUTHENTICATOR: Authenticator = [0; 16];

/// Why an attribute cannot be written. The packet is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("{kind} has {length} bytes, the longest value is {longest}")]
    ValueTooLong {
        kind: AttributeType,
        length: usize,
        longest: usize,
    },
    #[error("{0} is empty: an attribute without a value must be left out (RFC 2865 section 5)")]
    Empty(AttributeType),
    #[error("{0} does not fit: a packet has at most 4096 bytes")]
    PacketTooLong(AttributeType),
    #[error("Message-Authenticator is there already, and may be there once")]
    TwoMessageAuthenticators,
    #[error("{0} is written by a function of its own")]
    Reserved(AttributeType),
    #[error("{0} belongs into an Access-Request only")]
    Misplaced(AttributeType),
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// What the authenticator field becomes.
#[derive(Clone, Copy)]
enum Field {
    /// A random number.
    Random,
    /// The digest of the request itself.
    Digest,
    /// The digest of the reply over the request's authenticator.
    Reply(Authenticator),
}

/// Writes one packet into a buffer that may be used again for the next: no allocation once it has grown.
pub struct PacketWriter<'b> {
    buffer: &'b mut Vec<u8>,
    secret: &'b SharedSecret,
    field: Field,
    /// Where the value of the Message-Authenticator stands.
    message_authenticator: Option<usize>,
}

impl<'b> PacketWriter<'b> {
    /// Start a request; `buffer` is emptied.
    ///
    /// # Errors
    /// The code calls for a random authenticator, and the system gives none.
    pub fn request(
        code: Code,
        identifier: u8,
        secret: &'b SharedSecret,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Self, EncodeError> {
        let mut authenticator = NO_AUTHENTICATOR;
        let field = if code.has_random_authenticator() {
            getrandom::fill(&mut authenticator)?;
            Field::Random
        } else {
            Field::Digest
        };
        Ok(Self::start(code, identifier, &authenticator, field, secret, buffer))
    }

    /// Start an Access-Request with a Request Authenticator of the caller's making, which must be unpredictable and
    /// unique (RFC 2865 section 3).
    pub fn access_request(
        identifier: u8,
        authenticator: &Authenticator,
        secret: &'b SharedSecret,
        buffer: &'b mut Vec<u8>,
    ) -> Self {
        Self::start(
            Code::ACCESS_REQUEST,
            identifier,
            authenticator,
            Field::Random,
            secret,
            buffer,
        )
    }

    /// Start a reply; `buffer` is emptied.
    pub fn reply(
        code: Code,
        request: &Verified<Packet<'_>>,
        secret: &'b SharedSecret,
        buffer: &'b mut Vec<u8>,
    ) -> Self {
        let field = Field::Reply(*request.authenticator());
        Self::start(code, request.identifier(), &NO_AUTHENTICATOR, field, secret, buffer)
    }

    fn start(
        code: Code,
        identifier: u8,
        authenticator: &Authenticator,
        field: Field,
        secret: &'b SharedSecret,
        buffer: &'b mut Vec<u8>,
    ) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&[code.0, identifier, 0, 0]);
        buffer.extend_from_slice(authenticator);
        Self {
            buffer,
            secret,
            field,
            message_authenticator: None,
        }
    }

    /// Add an attribute with the value as it is.
    ///
    /// # Errors
    /// The value is empty or too long, or the packet full; or the value is not for the caller to give.
    pub fn attribute(&mut self, kind: AttributeType, value: &[u8]) -> Result<&mut Self, EncodeError> {
        match kind {
            // In clear, or not verifying.
            AttributeType::USER_PASSWORD | AttributeType::MESSAGE_AUTHENTICATOR => Err(EncodeError::Reserved(kind)),
            _ => self.concatenated(kind, &[value]),
        }
    }

    /// Add an integer, a time (Unix seconds) or an enumerated value.
    ///
    /// # Errors
    /// The packet is full.
    pub fn integer(&mut self, kind: AttributeType, value: u32) -> Result<&mut Self, EncodeError> {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// # Errors
    /// The packet is full.
    pub fn ipv4(&mut self, kind: AttributeType, address: Ipv4Addr) -> Result<&mut Self, EncodeError> {
        self.attribute(kind, &address.octets())
    }

    /// # Errors
    /// The packet is full.
    pub fn ipv6(&mut self, kind: AttributeType, address: Ipv6Addr) -> Result<&mut Self, EncodeError> {
        self.attribute(kind, &address.octets())
    }

    /// Add a Vendor-Specific with one attribute inside (RFC 2865 section 5.26).
    ///
    /// # Errors
    /// The value is empty or too long, or the packet full.
    pub fn vendor(&mut self, vendor: u32, kind: u8, value: &[u8]) -> Result<&mut Self, EncodeError> {
        // Vendor id, type and length go off what an attribute holds.
        const LONGEST: usize = MAX_VALUE - 6;
        if value.is_empty() {
            return Err(EncodeError::Empty(AttributeType::VENDOR_SPECIFIC));
        }
        let length = u8::try_from(value.len() + 2).ok().filter(|_| value.len() <= LONGEST);
        let length = length.ok_or(EncodeError::ValueTooLong {
            kind: AttributeType::VENDOR_SPECIFIC,
            length: value.len(),
            longest: LONGEST,
        })?;
        self.concatenated(
            AttributeType::VENDOR_SPECIFIC,
            &[&vendor.to_be_bytes(), &[kind, length], value],
        )
    }

    /// Add a User-Password, hidden under the secret and the Request Authenticator (RFC 2865 section 5.2).
    ///
    /// # Errors
    /// The password is longer than 128 bytes, the packet full or no Access-Request.
    pub fn user_password(&mut self, password: &[u8]) -> Result<&mut Self, EncodeError> {
        const ZEROS: [u8; 16] = [0; 16];
        self.only_in_access_request(AttributeType::USER_PASSWORD)?;
        if password.len() > MAX_PASSWORD {
            return Err(EncodeError::ValueTooLong {
                kind: AttributeType::USER_PASSWORD,
                length: password.len(),
                longest: MAX_PASSWORD,
            });
        }
        // Whole blocks, and at least one.
        let blocks = password.len().div_ceil(16).max(1);
        let padding = ZEROS.get(..blocks * 16 - password.len()).unwrap_or_default();
        let start = self.buffer.len() + 2;
        self.concatenated(AttributeType::USER_PASSWORD, &[password, padding])?;
        let authenticator = self.authenticator();
        if let Some(value) = self.buffer.get_mut(start..) {
            self.secret.hide(&authenticator, value);
        }
        Ok(self)
    }

    /// Add a CHAP-Password over `challenge`; with none given, over the Request Authenticator (RFC 2865 section 5.3),
    /// else with the CHAP-Challenge too.
    ///
    /// # Errors
    /// The challenge is empty or too long, the packet full or no Access-Request.
    pub fn chap_password(
        &mut self,
        chap_id: u8,
        password: &[u8],
        challenge: Option<&[u8]>,
    ) -> Result<&mut Self, EncodeError> {
        self.only_in_access_request(AttributeType::CHAP_PASSWORD)?;
        if let Some(challenge) = challenge {
            self.attribute(AttributeType::CHAP_CHALLENGE, challenge)?;
        }
        let authenticator = self.authenticator();
        let value = chap_password(chap_id, password, challenge.unwrap_or(&authenticator));
        self.attribute(AttributeType::CHAP_PASSWORD, &value)
    }

    /// Add a Message-Authenticator (RFC 3579 section 3.2). Best first: that is where hardened peers look for it.
    ///
    /// # Errors
    /// There is one already, or the packet is full.
    pub fn message_authenticator(&mut self) -> Result<&mut Self, EncodeError> {
        if self.message_authenticator.is_some() {
            return Err(EncodeError::TwoMessageAuthenticators);
        }
        let value = self.buffer.len() + 2;
        self.concatenated(AttributeType::MESSAGE_AUTHENTICATOR, &[&NO_AUTHENTICATOR])?;
        self.message_authenticator = Some(value);
        Ok(self)
    }

    /// Fill in length and authenticators. The buffer holds the packet then.
    pub fn finish(self) -> Request {
        // No longer than MAX_PACKET, as every attribute was checked.
        let [high, low] = u16::try_from(self.buffer.len()).unwrap_or_default().to_be_bytes();
        patch(self.buffer, 2, &[high, low]);
        let head = self.buffer.first_chunk::<4>().copied().unwrap_or_default();
        // While digests are made, the field holds what they are made over: see `start`.
        let over = match self.field {
            Field::Random => self.authenticator(),
            Field::Digest => NO_AUTHENTICATOR,
            Field::Reply(request) => request,
        };
        if let Some(at) = self.message_authenticator {
            let before = self.buffer.get(MIN_PACKET..at).unwrap_or_default();
            let after = self.buffer.get(at + 16..).unwrap_or_default();
            let value = self.secret.message_authenticator(head, &over, before, after);
            patch(self.buffer, at, &value);
        }
        let authenticator = match self.field {
            Field::Random => over,
            Field::Digest | Field::Reply(_) => {
                let attributes = self.buffer.get(MIN_PACKET..).unwrap_or_default();
                let digest = self.secret.digest(head, &over, attributes);
                patch(self.buffer, 4, &digest);
                digest
            }
        };
        Request {
            code: Code(head[0]),
            identifier: head[1],
            authenticator,
        }
    }

    /// What stands in the authenticator field now.
    fn authenticator(&self) -> Authenticator {
        let field = self.buffer.get(4..).and_then(|rest| rest.first_chunk());
        field.copied().unwrap_or_default()
    }

    /// Elsewhere the authenticator is not known yet, or no random number.
    const fn only_in_access_request(&self, kind: AttributeType) -> Result<(), EncodeError> {
        match self.field {
            Field::Random => Ok(()),
            Field::Digest | Field::Reply(_) => Err(EncodeError::Misplaced(kind)),
        }
    }

    fn concatenated(&mut self, kind: AttributeType, parts: &[&[u8]]) -> Result<&mut Self, EncodeError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            return Err(EncodeError::Empty(kind));
        }
        let octets = u8::try_from(length + 2).map_err(|_| EncodeError::ValueTooLong {
            kind,
            length,
            longest: MAX_VALUE,
        })?;
        if self.buffer.len() + usize::from(octets) > MAX_PACKET {
            return Err(EncodeError::PacketTooLong(kind));
        }
        self.buffer.extend_from_slice(&[kind.0, octets]);
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        Ok(self)
    }
}

fn patch(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    for (byte, new) in buffer.iter_mut().skip(at).zip(bytes) {
        *byte = *new;
    }
}

impl std::fmt::Debug for PacketWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketWriter")
            .field("bytes", &self.buffer.len())
            .finish_non_exhaustive()
    }
}
