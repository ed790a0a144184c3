//! NAS as clients of the server: an unknown source of packets is looked up instead of being configured.

use super::{Instance, Request, refuse};
use crate::attribute::{List, Name};
use crate::fault;
use crate::guard::Hook;
use crate::rcode::{self, RCode};

/// Whether the server asks about a NAS, and not about a subscriber.
pub(super) fn is_asked_for(request: &impl Request) -> bool {
    let [asked] = request.find(List::Control, [Name::DynamicClient]);
    asked.is_some()
}

/// Give the server what it needs to talk to the NAS at the packet's source.
pub(super) fn introduce(instance: &Instance, request: &mut impl Request) -> RCode {
    fault::in_request(Hook::Authorize, b"");
    let Some(source) = request.source() else {
        return RCode::NotFound;
    };
    let client = match instance.node.client(source) {
        Ok(client) => client,
        Err(refusal) => {
            refuse(&instance.refusals, request, b"", &refusal);
            return rcode::of_refusal(refusal.reason);
        }
    };
    match request.introduce(source, &client) {
        Ok(()) => RCode::Ok,
        Err(_) => RCode::Fail,
    }
}
