//! What a hook tells the server, and what each outcome is told as.

use isp_core::policy::Reason;

/// The server's `rlm_rcode_t`, as far as this module uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RCode {
    /// Access-Reject.
    Reject,
    /// Access-Reject in authorize; no answer at all in accounting, so the NAS sends it again.
    Fail,
    Ok,
    /// Malformed: Access-Reject in authorize, no answer in accounting.
    Invalid,
    /// Access-Reject; the subscriber is known and not let in.
    UserLock,
    /// Unknown here; the sections that follow go on.
    NotFound,
    Noop,
    Updated,
}

/// The rcode of authorize for a refusal.
///
/// An unknown subscriber is `notfound` and not a reject: the outer identity of a tunnel is no subscriber's name, and another
/// module may know it. Where none does, the server rejects for want of a password. Everything else makes the server send an
/// Access-Reject at once.
pub const fn of_refusal(reason: Reason) -> RCode {
    match reason {
        Reason::UnknownSubscriber | Reason::UnknownNas => RCode::NotFound,
        Reason::AmbiguousLine
        | Reason::RealmRefused
        | Reason::LockedOut
        | Reason::TenantDisabled
        | Reason::Pending
        | Reason::Suspended
        | Reason::Disconnected
        | Reason::Terminated
        | Reason::Quarantined
        | Reason::NotYetActive
        | Reason::Expired
        | Reason::OutsideHours
        | Reason::QuotaExhausted => RCode::UserLock,
        Reason::NoPassword
        | Reason::BadPassword
        | Reason::MethodUnsupported
        | Reason::PasswordUnreadable
        | Reason::CheckMismatch
        | Reason::BadAttribute
        | Reason::ReplyTooLong
        | Reason::TooManySessions
        | Reason::SessionsUnknown
        | Reason::NoMessageAuthenticator
        | Reason::WrongNas
        | Reason::WrongPort
        | Reason::WrongVlan
        | Reason::WrongMac
        | Reason::WrongCircuit
        | Reason::AddressInUse
        | Reason::RejectedElsewhere => RCode::Reject,
        Reason::MalformedRequest => RCode::Invalid,
        Reason::SnapshotStale | Reason::Busy | Reason::InternalError => RCode::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unknown_may_go_on() {
        for reason in Reason::ALL {
            let goes_on = matches!(
                of_refusal(reason),
                RCode::NotFound | RCode::Ok | RCode::Noop | RCode::Updated
            );
            let unknown = matches!(reason, Reason::UnknownSubscriber | Reason::UnknownNas);
            assert_eq!(goes_on, unknown, "{reason}");
        }
    }

    #[test]
    fn faults_of_ours_are_fail_and_nothing_else_is() {
        for reason in Reason::ALL {
            let ours = matches!(reason, Reason::SnapshotStale | Reason::Busy | Reason::InternalError);
            assert_eq!(of_refusal(reason) == RCode::Fail, ours, "{reason}");
        }
    }
}
