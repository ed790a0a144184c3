//! Reading a packet.

use super::{Attribute, AttributeType, Attributes, Authenticator, Code, MAX_PACKET, MIN_PACKET};

/// A packet, well formed but not verified. Borrows the datagram.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    pub(super) head: [u8; 4],
    authenticator: Authenticator,
    attributes: &'a [u8],
}

/// Why a datagram is no packet. It is to be dropped silently (RFC 2865 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the datagram has {0} bytes, fewer than a header")]
    NoHeader(usize),
    #[error("the length field says {0}, which is not between 20 and 4096")]
    Length(usize),
    #[error("the length field says {length}, but only {received} bytes came")]
    CutShort { length: usize, received: usize },
    #[error("the attribute at offset {offset} has an impossible length")]
    Attribute { offset: usize },
}

impl<'a> Packet<'a> {
    /// Read a datagram. Octets past the length field are padding.
    ///
    /// # Errors
    /// It is malformed.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let received = datagram.len();
        let (header, _) = datagram
            .split_first_chunk::<MIN_PACKET>()
            .ok_or(DecodeError::NoHeader(received))?;
        let [code, identifier, high, low, authenticator @ ..] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(MIN_PACKET..=MAX_PACKET).contains(&length) {
            return Err(DecodeError::Length(length));
        }
        let attributes = datagram
            .get(MIN_PACKET..length)
            .ok_or(DecodeError::CutShort { length, received })?;
        let mut walk = Attributes::new(attributes);
        walk.by_ref().for_each(drop);
        if !walk.rest().is_empty() {
            let offset = length - walk.rest().len();
            return Err(DecodeError::Attribute { offset });
        }
        Ok(Self {
            head: [code, identifier, high, low],
            authenticator,
            attributes,
        })
    }

    #[must_use]
    pub const fn code(&self) -> Code {
        Code(self.head[0])
    }

    #[must_use]
    pub const fn identifier(&self) -> u8 {
        self.head[1]
    }

    #[must_use]
    pub const fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// All attributes, in order.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.attributes)
    }

    /// All attributes of one kind, in order.
    pub fn all(&self, kind: AttributeType) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.attributes().filter(move |attribute| attribute.kind == kind)
    }

    /// The first attribute of a kind.
    #[must_use]
    pub fn get(&self, kind: AttributeType) -> Option<Attribute<'a>> {
        self.all(kind).next()
    }

    /// The values of one attribute of one vendor, in order.
    pub fn vendor(&self, vendor: u32, kind: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.all(AttributeType::VENDOR_SPECIFIC)
            .flat_map(move |attribute| attribute.vendor(vendor))
            .filter(move |attribute| attribute.kind == kind)
            .map(|attribute| attribute.value)
    }

    /// The attributes as they came.
    pub(super) const fn raw_attributes(&self) -> &'a [u8] {
        self.attributes
    }
}

impl std::fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ", self.code(), self.identifier())?;
        f.debug_list().entries(self.attributes()).finish()
    }
}
