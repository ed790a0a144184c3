//! Packet codes.

/// What kind of packet it is (RFC 2865 section 3, RFC 2866 section 3, RFC 5176 section 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    pub const ACCESS_REQUEST: Self = Self(1);
    pub const ACCESS_ACCEPT: Self = Self(2);
    pub const ACCESS_REJECT: Self = Self(3);
    pub const ACCOUNTING_REQUEST: Self = Self(4);
    pub const ACCOUNTING_RESPONSE: Self = Self(5);
    pub const ACCESS_CHALLENGE: Self = Self(11);
    pub const STATUS_SERVER: Self = Self(12);
    pub const DISCONNECT_REQUEST: Self = Self(40);
    pub const DISCONNECT_ACK: Self = Self(41);
    pub const DISCONNECT_NAK: Self = Self(42);
    pub const COA_REQUEST: Self = Self(43);
    pub const COA_ACK: Self = Self(44);
    pub const COA_NAK: Self = Self(45);

    /// The name in the RFC.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ACCESS_REQUEST => "Access-Request",
            Self::ACCESS_ACCEPT => "Access-Accept",
            Self::ACCESS_REJECT => "Access-Reject",
            Self::ACCOUNTING_REQUEST => "Accounting-Request",
            Self::ACCOUNTING_RESPONSE => "Accounting-Response",
            Self::ACCESS_CHALLENGE => "Access-Challenge",
            Self::STATUS_SERVER => "Status-Server",
            Self::DISCONNECT_REQUEST => "Disconnect-Request",
            Self::DISCONNECT_ACK => "Disconnect-ACK",
            Self::DISCONNECT_NAK => "Disconnect-NAK",
            Self::COA_REQUEST => "CoA-Request",
            Self::COA_ACK => "CoA-ACK",
            Self::COA_NAK => "CoA-NAK",
            _ => return None,
        })
    }

    /// May a request of this code be answered with that one?
    #[must_use]
    pub const fn is_answered_by(self, reply: Self) -> bool {
        match self {
            Self::ACCESS_REQUEST => {
                matches!(
                    reply,
                    Self::ACCESS_ACCEPT | Self::ACCESS_REJECT | Self::ACCESS_CHALLENGE
                )
            }
            Self::ACCOUNTING_REQUEST => matches!(reply, Self::ACCOUNTING_RESPONSE),
            // RFC 5997 section 3: as the port it was sent to answers.
            Self::STATUS_SERVER => matches!(reply, Self::ACCESS_ACCEPT | Self::ACCOUNTING_RESPONSE),
            Self::DISCONNECT_REQUEST => matches!(reply, Self::DISCONNECT_ACK | Self::DISCONNECT_NAK),
            Self::COA_REQUEST => matches!(reply, Self::COA_ACK | Self::COA_NAK),
            _ => false,
        }
    }

    /// Is the Request Authenticator a random number? It is a digest of the packet otherwise (RFC 2866 section 3).
    #[must_use]
    pub const fn has_random_authenticator(self) -> bool {
        matches!(self, Self::ACCESS_REQUEST | Self::STATUS_SERVER)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "code {}", self.0),
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
