//! What a NAS is told to do.

use crate::radius::{AttributeType, Code, EncodeError, PacketWriter};

/// A Disconnect-Request or CoA-Request before it is bound to a NAS, a secret and a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    code: Code,
    items: Vec<Item>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: AttributeType,
    /// Enterprise number and type, inside a Vendor-Specific.
    pub(super) vendor: Option<(u32, u8)>,
    pub(super) value: Vec<u8>,
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

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The first of a kind, as text.
    pub(super) fn text(&self, kind: AttributeType) -> Option<String> {
        let item = self.items.iter().find(|item| item.kind == kind)?;
        Some(String::from_utf8_lossy(&item.value).into_owned())
    }

    /// Names and values as a person reads them.
    pub(super) fn named(&self) -> impl Iterator<Item = (String, String)> {
        self.items.iter().map(|item| {
            let name = match item.vendor {
                Some((vendor, number)) => format!("Attr-26.{vendor}.{number}"),
                None => item
                    .kind
                    .name()
                    .map_or_else(|| format!("Attr-{}", item.kind.0), str::to_owned),
            };
            (name, item.value.escape_ascii().to_string())
        })
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
