//! The outcome of an Access-Request, for `radpostauth`.

use isp_core::accounting::PostAuthRecord;
use isp_core::node::{Consequence, Login, LoginEnd};
use isp_core::password::AuthMethod;
use isp_core::policy::{Reason, Refusal};

use super::credentials::{Line, eap_method, sender};
use super::{Instance, Outcome, Request, fits, now, refuse};
use crate::attribute::{List, Name, Value, nas_address, text};
use crate::fault;
use crate::guard::Hook;
use crate::rcode::RCode;

/// Stock modules that verify a password, as Module-Failure-Message names them.
const AUTHENTICATING: [&str; 5] = ["pap", "chap", "mschap", "digest", "eap"];

/// Take a place for the session, and queue the row. Nothing is waited for but, where sessions are counted strictly, the
/// database.
pub fn post_auth(instance: &Instance, request: &mut impl Request) -> RCode {
    if request.outcome() == Outcome::Accept
        && let Err(refusal) = fits(request).and_then(|()| admit(instance, request))
    {
        let [user_name] = request.find(List::Request, [Name::UserName]);
        let user_name = user_name.map_or_else(Vec::new, |name| name.bytes.to_owned());
        refuse(&instance.refusals, request, &user_name, &refusal);
        // The server makes it an Access-Reject, and calls Post-Auth-Type REJECT: the row is written there.
        return RCode::Reject;
    }
    let [user_name] = request.find(List::Request, [Name::UserName]);
    let [nas_ipv4, nas_ipv6, called, calling, class] = request.find_outside([
        Name::NasIpAddress,
        Name::NasIpv6Address,
        Name::CalledStationId,
        Name::CallingStationId,
        Name::Class,
    ]);
    let user_name = user_name.map_or(&b""[..], |name| name.bytes);
    fault::in_request(Hook::PostAuth, user_name);
    let (reply, reason) = match request.outcome() {
        Outcome::Accept => ("Access-Accept", restriction(request)),
        Outcome::Reject => ("Access-Reject", Some(reject_reason(request))),
        Outcome::Unfinished => return RCode::Noop,
    };
    let source = request.source();
    let line = Line::if_needed(instance, request);
    let sender = sender(request, user_name, line.as_ref());
    let end = match reason.filter(|_| reply == "Access-Reject") {
        Some(reason) => LoginEnd::Refused(reason),
        None => LoginEnd::Accepted,
    };
    let consequence = instance.node.login_ended(source, &sender, end);
    let who = instance.node.identify(source, &sender);
    instance.node.post_auth(PostAuthRecord {
        tenant_id: who.tenant_id,
        subscriber_id: who.subscriber_id,
        user_name: text(user_name),
        reply,
        reason,
        nas_ip_address: nas_address(nas_ipv4, nas_ipv6).or(source),
        called_station_id: called.map(Value::text),
        calling_station_id: calling.map(Value::text),
        class: class.map(Value::hex),
        authdate: now(),
    });
    if let LoginEnd::Refused(reason) = end {
        let user_name = user_name.to_owned();
        say(instance, request, reason);
        bear(instance, request, &user_name, &consequence);
    }
    RCode::Ok
}

/// Simultaneous use. What is inside a tunnel comes here once, with the name that counts.
fn admit(instance: &Instance, request: &impl Request) -> Result<(), Refusal> {
    let [of_row] = request.find(List::Control, [Name::SimultaneousUse]);
    let [user_name] = request.find(List::Request, [Name::UserName]);
    let [nas_ipv4, nas_ipv6, calling, port_id, port] = request.find_outside([
        Name::NasIpAddress,
        Name::NasIpv6Address,
        Name::CallingStationId,
        Name::NasPortId,
        Name::NasPort,
    ]);
    let source = request.source();
    let line = Line::if_needed(instance, request);
    let calling = calling.map(Value::text);
    let port = port_id
        .map(Value::text)
        .or_else(|| port.map(|port| port.integer.to_string()));
    instance.node.admit(&Login {
        source,
        sender: sender(request, user_name.map_or(b"", |name| name.bytes), line.as_ref()),
        calling_station_id: calling.as_deref(),
        nas_ip_address: nas_address(nas_ipv4, nas_ipv6).or(source),
        nas_port_id: port.as_deref(),
        limit: of_row.map(|limit| limit.integer),
        now: now(),
    })
}

/// Others refuse in words of their own: add the reason code to them, where it has not been said in this request.
fn say(instance: &Instance, request: &mut impl Request, reason: Reason) {
    let message = match reason {
        Reason::BadPassword => "the password is wrong",
        Reason::RejectedElsewhere => "another module, or the server itself, refused",
        _ => return,
    };
    let [said] = request.find(List::Control, [Name::RejectReason]);
    if said.is_none() {
        let [user_name] = request.find(List::Request, [Name::UserName]);
        let user_name = user_name.map_or_else(Vec::new, |name| name.bytes.to_owned());
        refuse(&instance.refusals, request, &user_name, &Refusal::new(reason, message));
    }
}

/// What failing often leads to.
fn bear(instance: &Instance, request: &mut impl Request, user_name: &[u8], consequence: &Consequence) {
    if let Some(note) = &consequence.note
        && instance.refusals.admit(now())
    {
        let user_name = String::from_utf8_lossy(user_name);
        request.note(&format!("{note} (user \"{}\")", user_name.escape_debug()));
    }
    if let Some(delay) = consequence.delay
        && request.hold_back(delay).is_err()
    {
        request.fail(
            "the refusal cannot be held back: the dictionary has another type for it",
            false,
        );
    }
}

/// Why the request was let in under restrictions only, if it was.
fn restriction(request: &impl Request) -> Option<Reason> {
    let [reason] = request.find(List::Control, [Name::RestrictedReason]);
    Reason::from_code(std::str::from_utf8(reason?.bytes).ok()?)
}

/// Why the request was rejected.
///
/// What the tunnel inside this conversation came to says more than the outer identity, which need not be anybody's name.
fn reject_reason(request: &impl Request) -> Reason {
    let ours = [List::SessionState, List::Control].into_iter().find_map(|list| {
        let [reason] = request.find(list, [Name::RejectReason]);
        Reason::from_code(std::str::from_utf8(reason?.bytes).ok()?)
    });
    ours.unwrap_or_else(|| {
        if authentication_failed(request) {
            Reason::BadPassword
        } else {
            Reason::RejectedElsewhere
        }
    })
}

/// Did a module that verifies passwords complain? It is asked only where an Auth-Type was chosen.
fn authentication_failed(request: &impl Request) -> bool {
    let [auth_type] = request.find(List::Control, [Name::AuthType]);
    let Some(auth_type) = auth_type else {
        return false;
    };
    // EAP-MD5 is the one that refuses without a word.
    let [eap] = request.find(List::Request, [Name::EapMessage]);
    if eap.map(eap_method) == Some(AuthMethod::EapMd5) {
        return true;
    }
    let auth_type = request.word(Name::AuthType, auth_type.integer).unwrap_or_default();
    request.all(List::Request, Name::ModuleFailureMessage).any(|message| {
        let module = message.bytes.split(|byte| *byte == b':').next().unwrap_or_default();
        let Ok(module) = std::str::from_utf8(module) else {
            return false;
        };
        module.eq_ignore_ascii_case(auth_type) || AUTHENTICATING.iter().any(|stock| module.starts_with(stock))
    })
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    fn reason(request: &Fake) -> Reason {
        reject_reason(request)
    }

    #[test]
    fn our_own_reason_comes_first() {
        let request = Fake::default().put(List::Control, Name::RejectReason, b"suspended");
        assert_eq!(reason(&request), Reason::Suspended);
    }

    #[test]
    fn what_happened_inside_the_tunnel_beats_the_outer_identity() {
        let request = Fake::default()
            .put(List::Control, Name::RejectReason, b"unknown_subscriber")
            .put(List::SessionState, Name::RejectReason, b"expired");
        assert_eq!(reason(&request), Reason::Expired);
    }

    #[test]
    fn a_complaint_of_the_authenticating_module_is_a_bad_password() {
        let complaint = b"pap: Cleartext password does not match \"known good\" password";
        let request = Fake::default().put_integer(List::Control, Name::AuthType, 1).put(
            List::Request,
            Name::ModuleFailureMessage,
            complaint,
        );
        assert_eq!(reason(&request), Reason::BadPassword);
        let own_name = Fake::default()
            .put_integer(List::Control, Name::AuthType, 1)
            .word(1, "ldap2")
            .put(List::Request, Name::ModuleFailureMessage, b"ldap2: Bind failed");
        assert_eq!(reason(&own_name), Reason::BadPassword);
    }

    #[test]
    fn a_failed_response_to_eap_md5_is_a_bad_password_though_nobody_complains() {
        let response = |eap_type| {
            Fake::default().put_integer(List::Control, Name::AuthType, 1).put(
                List::Request,
                Name::EapMessage,
                &[2, 1, 0, 22, eap_type],
            )
        };
        assert_eq!(reason(&response(4)), Reason::BadPassword);
        assert_eq!(reason(&response(13)), Reason::RejectedElsewhere);
    }

    #[test]
    fn a_reject_of_another_module_is_no_bad_password() {
        let elsewhere = Fake::default().put_integer(List::Control, Name::AuthType, 1).put(
            List::Request,
            Name::ModuleFailureMessage,
            b"sqlcounter: quota used up",
        );
        assert_eq!(reason(&elsewhere), Reason::RejectedElsewhere);
        // chap complains of a malformed packet in authorize, before anything was verified.
        let unverified = Fake::default().put(List::Request, Name::ModuleFailureMessage, b"chap: malformed");
        assert_eq!(reason(&unverified), Reason::RejectedElsewhere);
        assert_eq!(reason(&Fake::default()), Reason::RejectedElsewhere);
    }
}
