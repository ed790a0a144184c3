//! Why a request is refused: a closed set, so that logs, `radpostauth` and reports can be counted by it.

/// Reason code of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The packet lacks what a decision needs, or carries it malformed.
    MalformedRequest,
    /// The packet's source is no NAS of any tenant.
    UnknownNas,
    TenantDisabled,
    /// The NAS is to send Message-Authenticator, and the packet has none.
    NoMessageAuthenticator,
    UnknownSubscriber,
    /// Several subscribers have the line the packet comes by.
    AmbiguousLine,
    /// The tenant of the NAS does not take the realm in User-Name, or a name without one.
    RealmRefused,
    /// Too many logins of this name from this device, or of this device, have failed: the password was not looked at.
    LockedOut,
    Pending,
    Suspended,
    Disconnected,
    Terminated,
    Quarantined,
    /// The activation date lies ahead.
    NotYetActive,
    Expired,
    /// Outside the hours it may be online at.
    OutsideHours,
    /// It comes from another NAS, port, VLAN, MAC address or circuit than it is bound to.
    WrongNas,
    WrongPort,
    WrongVlan,
    WrongMac,
    WrongCircuit,
    /// Another live session has its address.
    AddressInUse,
    /// Use of a quota has led to a tier that refuses, until the quota's period is over.
    QuotaExhausted,
    /// The subscriber has no password stored and no raw check row that brings one.
    NoPassword,
    BadPassword,
    /// The stored form of the password cannot serve the method of the packet.
    MethodUnsupported,
    /// The stored password cannot be opened: its key is missing or the value is damaged.
    PasswordUnreadable,
    /// A raw check row does not hold for this packet.
    CheckMismatch,
    /// A raw row names an attribute, operator or value the server cannot build.
    BadAttribute,
    /// The attributes of the reply do not fit into one packet (RFC 2865 section 3), or a value not into its attribute.
    ReplyTooLong,
    /// The snapshot is older than the configured limit.
    SnapshotStale,
    /// The subscriber has as many sessions as it may have.
    TooManySessions,
    /// How many sessions the subscriber has cannot be found out, and the setting is to refuse then.
    SessionsUnknown,
    /// Another module, or the server itself, refused.
    RejectedElsewhere,
    /// More slow verifications at once than the machine can take; no verdict on the password.
    Busy,
    /// A fault of ours.
    InternalError,
}

impl Reason {
    pub const ALL: [Self; 36] = [
        Self::MalformedRequest,
        Self::UnknownNas,
        Self::TenantDisabled,
        Self::NoMessageAuthenticator,
        Self::UnknownSubscriber,
        Self::AmbiguousLine,
        Self::RealmRefused,
        Self::LockedOut,
        Self::Pending,
        Self::Suspended,
        Self::Disconnected,
        Self::Terminated,
        Self::Quarantined,
        Self::NotYetActive,
        Self::Expired,
        Self::OutsideHours,
        Self::WrongNas,
        Self::WrongPort,
        Self::WrongVlan,
        Self::WrongMac,
        Self::WrongCircuit,
        Self::AddressInUse,
        Self::QuotaExhausted,
        Self::NoPassword,
        Self::BadPassword,
        Self::MethodUnsupported,
        Self::PasswordUnreadable,
        Self::CheckMismatch,
        Self::BadAttribute,
        Self::ReplyTooLong,
        Self::SnapshotStale,
        Self::TooManySessions,
        Self::SessionsUnknown,
        Self::RejectedElsewhere,
        Self::Busy,
        Self::InternalError,
    ];

    /// The code, as logged and stored.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::UnknownNas => "unknown_nas",
            Self::TenantDisabled => "tenant_disabled",
            Self::NoMessageAuthenticator => "no_message_authenticator",
            Self::UnknownSubscriber => "unknown_subscriber",
            Self::AmbiguousLine => "ambiguous_line",
            Self::RealmRefused => "realm_refused",
            Self::LockedOut => "locked_out",
            Self::Pending => "pending",
            Self::Suspended => "suspended",
            Self::Disconnected => "disconnected",
            Self::Terminated => "terminated",
            Self::Quarantined => "quarantined",
            Self::NotYetActive => "not_yet_active",
            Self::Expired => "expired",
            Self::OutsideHours => "outside_hours",
            Self::WrongNas => "wrong_nas",
            Self::WrongPort => "wrong_port",
            Self::WrongVlan => "wrong_vlan",
            Self::WrongMac => "wrong_mac",
            Self::WrongCircuit => "wrong_circuit",
            Self::AddressInUse => "address_in_use",
            Self::QuotaExhausted => "quota_exhausted",
            Self::NoPassword => "no_password",
            Self::BadPassword => "bad_password",
            Self::MethodUnsupported => "method_unsupported",
            Self::PasswordUnreadable => "password_unreadable",
            Self::CheckMismatch => "check_mismatch",
            Self::BadAttribute => "bad_attribute",
            Self::ReplyTooLong => "reply_too_long",
            Self::SnapshotStale => "snapshot_stale",
            Self::TooManySessions => "too_many_sessions",
            Self::SessionsUnknown => "sessions_unknown",
            Self::RejectedElsewhere => "rejected_elsewhere",
            Self::Busy => "busy",
            Self::InternalError => "internal_error",
        }
    }

    /// The reason a code stands for.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.code())
    }
}
