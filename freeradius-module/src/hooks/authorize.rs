//! Access-Request: who is it, may it in, with what reply; and the verification of one-way hashes.

use isp_core::group::Group;
use isp_core::node::{Authorization, Credential};
use isp_core::policy::reply::{Attribute, ReplyItem, Value};
use isp_core::policy::{Reason, Refusal};
use isp_core::subscriber::RawRow;

use super::credentials::{Credentials, Line};
use super::{FallThrough, Instance, PutError, Request, Taken, client, fits, now, refuse};
use crate::attribute::{List, Name};
use crate::fault;
use crate::guard::Hook;
use crate::rcode::{self, RCode};

/// Decide, and set what the modules that follow need.
pub fn authorize(instance: &Instance, request: &mut impl Request) -> RCode {
    if client::is_asked_for(request) {
        return client::introduce(instance, request);
    }
    let credentials = Credentials::of(request);
    fault::in_request(Hook::Authorize, &credentials.user_name);
    let line = Line::of(request);
    let granted = credentials.ask(request, &line).and_then(|access| {
        instance
            .node
            .authorize(&access, |authorization| {
                grant(request, authorization)?;
                if instance.class {
                    request.set_class(&authorization.mark.to_string());
                }
                tell(instance, request, &credentials.user_name, authorization);
                Ok(())
            })
            .flatten()
    });
    match granted {
        Ok(()) => {
            // Whatever ends the conversation from here on, the subscriber as such was fine.
            if request.is_tunnelled() {
                request.set_reason(Reason::BadPassword, true);
            }
            RCode::Updated
        }
        Err(refusal) => {
            refuse(&instance.refusals, request, &credentials.user_name, &refusal);
            rcode::of_refusal(refusal.reason)
        }
    }
}

/// What is no refusal and yet to be known: restrictions, and what a packet should not have said.
fn tell(instance: &Instance, request: &mut impl Request, user_name: &[u8], authorization: &Authorization<'_>) {
    if let Some(why) = authorization.restricted {
        request.set_restricted(why.reason);
    }
    for note in authorization.notes {
        if instance.refusals.admit(now()) {
            let user_name = String::from_utf8_lossy(user_name);
            request.note(&format!("{note} (user \"{}\")", user_name.escape_debug()));
        }
    }
}

/// All or nothing: every row of the subscriber's own is built and compared before the first pair is set. What is compared
/// for a group may depend on what the groups before it have set, and so does whether it is looked at.
fn grant(request: &mut impl Request, authorization: &Authorization<'_>) -> Result<(), Refusal> {
    let mut checks = build(request, List::Control, "radcheck", authorization.checks.iter().copied())?;
    let replies = build(request, List::Reply, "radreply", authorization.replies.iter().copied())?;
    let holds = checks.as_mut().is_none_or(|checks| request.matches(checks));
    if !holds && authorization.groups.is_empty() {
        return Err(mismatch());
    }
    // A row may compare or replace a password, so that is there before the rows. How it is verified is for a row to say,
    // whichever operator it says it with: an Auth-Type of ours comes after them, where there is none.
    let password = !matches!(authorization.credential, Credential::VerifyHere | Credential::NotNeeded);
    if holds && password {
        request
            .give(&authorization.credential)
            .map_err(|why| put_failed(request, why))?;
    }
    request
        .reply(authorization.reply)
        .map_err(|why| put_failed(request, why))?;
    let rows = replies.is_some() || !authorization.groups.is_empty();
    if holds {
        merge_checks(request, "radcheck", checks)?;
        if merge_reply(request, "radreply", replies)? != FallThrough::No {
            join(request, authorization.groups)?;
        }
        if !password {
            request
                .give(&authorization.credential)
                .map_err(|why| put_failed(request, why))?;
        }
    } else {
        // The password was the subscriber's own, too: only a group can bring what lets it in.
        if !join(request, authorization.groups)? {
            return Err(mismatch());
        }
        request.set_reason(Reason::CheckMismatch, false);
    }
    if !rows {
        return Ok(());
    }
    let of_rows = limits(request);
    if authorization.lowered {
        // What a row would have in place of a restriction's or a tier's terms, it has no more; nor what leads out of them.
        request.take_away(withheld(authorization));
        request
            .reply(authorization.reply)
            .map_err(|why| put_failed(request, why))?;
    }
    keep_limits(request, of_rows, authorization)?;
    fits(request)
}

/// The attributes that would give what is withheld. The policy's own come after they were taken away.
fn withheld<'a>(authorization: &'a Authorization<'_>) -> impl Iterator<Item = Taken<'a>> {
    let withheld = authorization.withheld;
    let standard = withheld
        .standard()
        .filter_map(|attribute| WITHHELD.into_iter().find(|name| name.as_str() == attribute));
    let of_vendor = withheld.of_vendor(authorization.vendor);
    standard.map(Taken::Named).chain(of_vendor.map(Taken::OfVendor))
}

/// All that [`Withheld::standard`](isp_core::policy::Withheld::standard) names.
const WITHHELD: [Name; 8] = [
    Name::FramedRoute,
    Name::FramedIpv6Route,
    Name::FramedIpAddress,
    Name::FramedIpv6Address,
    Name::FramedIpv6Prefix,
    Name::FramedIpv6Pool,
    Name::DelegatedIpv6Prefix,
    Name::DelegatedIpv6PrefixPool,
];

/// Session-Timeout and Idle-Timeout of the reply.
fn limits(request: &impl Request) -> [Option<u32>; 2] {
    request
        .find(List::Reply, [Name::SessionTimeout, Name::IdleTimeout])
        .map(|limit| limit.map(|limit| limit.integer))
}

/// A row may shorten a session, and nothing lengthens it past the instant of another decision. Zero is no limit.
fn keep_limits(
    request: &mut impl Request,
    of_rows: [Option<u32>; 2],
    authorization: &Authorization<'_>,
) -> Result<(), Refusal> {
    let now = limits(request);
    let ends = [authorization.ends, None];
    for (index, attribute) in [Attribute::SessionTimeout, Attribute::IdleTimeout]
        .into_iter()
        .enumerate()
    {
        let said = [of_rows, now, ends].map(|limits| limits.get(index).copied().flatten());
        let shortest = said.into_iter().flatten().filter(|seconds| *seconds > 0).min();
        if let Some(seconds) = shortest.filter(|_| shortest != now.get(index).copied().flatten()) {
            let item = ReplyItem {
                attribute,
                tag: 0,
                value: Value::Integer(seconds),
            };
            request.reply(&[item]).map_err(|why| put_failed(request, why))?;
        }
    }
    Ok(())
}

fn mismatch() -> Refusal {
    Refusal::new(
        Reason::CheckMismatch,
        "a radcheck row of the subscriber does not hold for this packet",
    )
}

/// Stock `rlm_sql` (3.2): a group whose check rows do not hold is passed over; the first that holds is the last, unless its
/// reply rows say Fall-Through. Says whether any held.
fn join(request: &mut impl Request, groups: &[&Group]) -> Result<bool, Refusal> {
    let mut joined = false;
    for group in groups {
        let checks = group.checks.iter().map(RawRow::from);
        let replies = group.replies.iter().map(RawRow::from);
        let mut checks = build(request, List::Control, "radgroupcheck", checks)?;
        let replies = build(request, List::Reply, "radgroupreply", replies)?;
        if let Some(checks) = &mut checks
            && !request.matches(checks)
        {
            continue;
        }
        joined = true;
        merge_checks(request, "radgroupcheck", checks)?;
        if merge_reply(request, "radgroupreply", replies)? != FallThrough::Yes {
            break;
        }
    }
    Ok(joined)
}

fn merge_checks<R: Request>(request: &mut R, table: &str, checks: Option<R::Rows>) -> Result<(), Refusal> {
    let Some(mut checks) = checks else { return Ok(()) };
    request.expand(&mut checks).map_err(|name| no_value(table, &name))?;
    request.merge(List::Control, checks);
    Ok(())
}

fn merge_reply<R: Request>(request: &mut R, table: &str, replies: Option<R::Rows>) -> Result<FallThrough, Refusal> {
    let Some(mut replies) = replies else {
        return Ok(FallThrough::Unsaid);
    };
    // Before: stock sql heeds no Fall-Through that is still to be expanded.
    let fall_through = request.fall_through(&replies);
    request.expand(&mut replies).map_err(|name| no_value(table, &name))?;
    request.merge(List::Reply, replies);
    Ok(fall_through)
}

fn no_value(table: &str, attribute: &str) -> Refusal {
    Refusal::new(
        Reason::BadAttribute,
        format!("{table}: what {attribute} is expanded to is no value of it"),
    )
}

fn build<'a, R: Request>(
    request: &R,
    list: List,
    table: &str,
    rows: impl ExactSizeIterator<Item = RawRow<'a>>,
) -> Result<Option<R::Rows>, Refusal> {
    if rows.len() == 0 {
        return Ok(None);
    }
    request
        .build(list, rows)
        .map(Some)
        .map_err(|why| Refusal::new(Reason::BadAttribute, format!("{table} {why}")))
}

fn put_failed(request: &impl Request, why: PutError) -> Refusal {
    match why {
        PutError::NoAuthType => {
            let name = request.instance_name();
            let message = format!(
                "the password is stored as a one-way hash, which this module verifies itself, and the authenticate \
                 section does not call it: add \"Auth-Type {name} {{ {name} }}\""
            );
            Refusal::new(Reason::MethodUnsupported, message)
        }
        PutError::WrongType => Refusal::new(
            Reason::InternalError,
            "an attribute of the reply has another type in the server's dictionary",
        ),
    }
}

/// Verify User-Password against a one-way hash.
pub fn authenticate(instance: &Instance, request: &mut impl Request) -> RCode {
    let credentials = Credentials::of(request);
    fault::in_request(Hook::Authenticate, &credentials.user_name);
    let line = Line::if_needed(instance, request).unwrap_or_default();
    let verified = credentials
        .ask(request, &line)
        .and_then(|access| instance.node.authenticate(&access));
    match verified {
        Ok(()) => RCode::Ok,
        Err(refusal) => {
            refuse(&instance.refusals, request, &credentials.user_name, &refusal);
            match refusal.reason {
                Reason::MalformedRequest => RCode::Invalid,
                Reason::SnapshotStale | Reason::Busy | Reason::InternalError => RCode::Fail,
                _ => RCode::Reject,
            }
        }
    }
}

#[cfg(test)]
mod tests;
