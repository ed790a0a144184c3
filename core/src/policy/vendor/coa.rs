//! What a NAS takes in a CoA-Request (RFC 5176): data for whoever sends one.

use serde::{Deserialize, Serialize};

/// RFC 5176 section 3: the port for Disconnect and CoA.
pub const PORT: u16 = 3799;

/// How to change or end a session on NAS of a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coa {
    pub port: u16,
    pub request: Request,
    /// What may be in a CoA-Request; a change of anything else takes a new session.
    pub attributes: Vec<String>,
    /// What tells a session from others, best first: of the first set, all are sent that accounting reported.
    pub session: Vec<Vec<SessionKey>>,
    /// Attributes that are refused one without the others.
    pub together: Vec<Vec<String>>,
    /// How to take back what was sent, where sending another value does not.
    pub undo: Vec<Undo>,
    /// Whether an ACK or NAK carries Message-Authenticator.
    pub signed_answers: bool,
    /// For people.
    pub notes: Vec<String>,
}

impl Default for Coa {
    fn default() -> Self {
        Self {
            port: PORT,
            request: Request::Coa,
            attributes: Vec::new(),
            session: vec![vec![SessionKey::AcctSessionId, SessionKey::UserName]],
            together: Vec::new(),
            undo: Vec::new(),
            signed_answers: true,
            notes: Vec::new(),
        }
    }
}

/// What such a NAS acts upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    Coa,
    /// It takes Disconnect-Requests alone: a change ends the session.
    Disconnect,
}

/// An attribute that accounting stores of a session, and that can be sent back to name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionKey {
    #[serde(rename = "User-Name")]
    UserName,
    #[serde(rename = "Acct-Session-Id")]
    AcctSessionId,
    #[serde(rename = "NAS-Port-Id")]
    NasPortId,
    #[serde(rename = "Framed-IP-Address")]
    FramedIpAddress,
    #[serde(rename = "Framed-IPv6-Address")]
    FramedIpv6Address,
    #[serde(rename = "Framed-IPv6-Prefix")]
    FramedIpv6Prefix,
    #[serde(rename = "Delegated-IPv6-Prefix")]
    DelegatedIpv6Prefix,
    #[serde(rename = "Calling-Station-Id")]
    CallingStationId,
    #[serde(rename = "Called-Station-Id")]
    CalledStationId,
}

/// How to take an attribute back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    pub attribute: String,
    pub how: UndoBy,
    /// Another value comes beside the one that was sent, and does not take its place.
    pub adds: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoBy {
    /// Send this attribute.
    Send { by: String, value: UndoValue },
    /// It stays until the session ends.
    Disconnect,
}

/// A value with `{sent}` for the one that was sent before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UndoValue(pub(super) String);

/// Stands for the value that was sent.
pub(super) const SENT: &str = "{sent}";

impl UndoValue {
    /// The value that takes `sent` back.
    #[must_use]
    pub fn of(&self, sent: &str) -> String {
        self.0.replace(SENT, sent)
    }
}
