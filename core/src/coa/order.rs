//! What a NAS is told to do.

use crate::radius::dictionary::{PairError, TextError};
use crate::radius::{AttributeType, Attributes, Code, Dictionary, EncodeError, PacketWriter, Pair};

/// A Disconnect-Request or CoA-Request before it is bound to a NAS, a secret and a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    code: Code,
    items: Vec<Item>,
}

#[derive(Clone, PartialEq, Eq)]
struct Item {
    kind: AttributeType,
    /// Enterprise number and type, inside a Vendor-Specific.
    vendor: Option<(u32, u8)>,
    value: Vec<u8>,
}

/// Why an order cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOrder {
    #[error(
        "no attribute says which session is meant: give User-Name, Acct-Session-Id or another of RFC 5176 section 3"
    )]
    NoSession,
    #[error("{0} is added when the order is sent")]
    Added(AttributeType),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Pair(#[from] PairError),
}

impl Order {
    /// End the session.
    #[must_use]
    pub const fn disconnect() -> Self {
        Self::new(Code::DISCONNECT_REQUEST)
    }

    /// Change the session as the attributes say.
    #[must_use]
    pub const fn change() -> Self {
        Self::new(Code::COA_REQUEST)
    }

    const fn new(code: Code) -> Self {
        Self {
            code,
            items: Vec::new(),
        }
    }

    /// Add an attribute; the value as it goes over the wire (text, or an integer's four bytes).
    #[must_use]
    pub fn with(self, kind: AttributeType, value: impl AsRef<[u8]>) -> Self {
        self.push(kind, None, value.as_ref())
    }

    /// Add a vendor's attribute (RFC 2865 section 5.26).
    #[must_use]
    pub fn with_vendor(self, vendor: u32, kind: u8, value: impl AsRef<[u8]>) -> Self {
        self.push(AttributeType::VENDOR_SPECIFIC, Some((vendor, kind)), value.as_ref())
    }

    fn push(mut self, kind: AttributeType, vendor: Option<(u32, u8)>, value: &[u8]) -> Self {
        self.items.push(Item {
            kind,
            vendor,
            value: value.to_vec(),
        });
        self
    }

    pub(super) const fn code(&self) -> Code {
        self.code
    }

    /// The first of a kind, as text.
    pub(super) fn text(&self, kind: AttributeType) -> Option<String> {
        let item = self.items.iter().find(|item| item.kind == kind)?;
        Some(String::from_utf8_lossy(&item.value).into_owned())
    }

    /// Add what a text says of an attribute, as `Mikrotik-Rate-Limit = "1M/1M"`; see [`Dictionary::parse`].
    ///
    /// # Errors
    /// The dictionary has no such attribute, or it cannot have the value.
    pub fn with_text(self, dictionary: &Dictionary, text: &str) -> Result<Self, InvalidOrder> {
        let pair = dictionary.parse(text)?;
        self.with_pairs(dictionary, &[pair])
    }

    /// Add pairs. What is hidden under the shared secret cannot be in an order.
    ///
    /// # Errors
    /// A pair does not fit its attribute.
    pub fn with_pairs(mut self, dictionary: &Dictionary, pairs: &[Pair]) -> Result<Self, InvalidOrder> {
        let mut attributes = Vec::new();
        dictionary.encode(pairs, None, &mut attributes)?;
        for attribute in Attributes::new(&attributes) {
            self = self.push(attribute.kind, None, attribute.value);
        }
        Ok(self)
    }

    /// What is in it, for people: a dictionary prints each.
    #[must_use]
    pub fn pairs(&self, dictionary: &Dictionary) -> Vec<Pair> {
        let mut attributes = Vec::new();
        for item in &self.items {
            let vendor = item.vendor.map(|(vendor, kind)| {
                let length = u8::try_from(item.value.len() + 2).unwrap_or(u8::MAX);
                [vendor.to_be_bytes().as_slice(), &[kind, length]].concat()
            });
            let value = [vendor.as_deref().unwrap_or_default(), &item.value].concat();
            // What is too long is refused before it is sent.
            let Ok(length) = u8::try_from(value.len() + 2) else {
                continue;
            };
            attributes.extend([item.kind.0, length]);
            attributes.extend(value);
        }
        dictionary.decode(&attributes, None)
    }

    /// Does it name a session, and leave out what is added?
    pub(super) fn check(&self) -> Result<(), InvalidOrder> {
        if !self.items.iter().any(|item| names_session(item.kind)) {
            return Err(InvalidOrder::NoSession);
        }
        let added = |kind| {
            matches!(
                kind,
                AttributeType::EVENT_TIMESTAMP | AttributeType::MESSAGE_AUTHENTICATOR
            )
        };
        match self.items.iter().find(|item| added(item.kind)) {
            Some(item) => Err(InvalidOrder::Added(item.kind)),
            None => Ok(()),
        }
    }

    /// Write the attributes. `now` is Unix seconds.
    pub(super) fn write(&self, now: u32, packet: &mut PacketWriter<'_>) -> Result<(), InvalidOrder> {
        self.check()?;
        // The one against forgery, the other against replay (RFC 5176 section 6.3); a NAS may insist on both.
        packet.message_authenticator()?;
        packet.integer(AttributeType::EVENT_TIMESTAMP, now)?;
        for Item { kind, vendor, value } in &self.items {
            match (vendor, *kind) {
                (Some((vendor, kind)), _) => packet.vendor(*vendor, *kind, value)?,
                (None, kind) => packet.attribute(kind, value)?,
            };
        }
        Ok(())
    }
}

/// Session identification (RFC 5176 section 3). An order without it would be for whatever the NAS takes it for.
/// Vendor-Specific does not count, though the RFC lists it: it is the change itself far more often.
const fn names_session(kind: AttributeType) -> bool {
    matches!(
        kind,
        AttributeType::USER_NAME
            | AttributeType::NAS_PORT
            | AttributeType::FRAMED_IP_ADDRESS
            | AttributeType::CALLED_STATION_ID
            | AttributeType::CALLING_STATION_ID
            | AttributeType::ACCT_SESSION_ID
            | AttributeType::ACCT_MULTI_SESSION_ID
            | AttributeType::NAS_PORT_ID
            | AttributeType::CHARGEABLE_USER_IDENTITY
            | AttributeType::FRAMED_INTERFACE_ID
            | AttributeType::FRAMED_IPV6_PREFIX
    )
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some((vendor, kind)) = self.vendor {
            write!(f, " {vendor}:{kind}")?;
        }
        write!(f, " = \"{}\"", self.value.escape_ascii())
    }
}
