//! What a packet says of its sender, and of where it comes from.

use std::net::IpAddr;
use std::ops::Range;

use isp_core::node::{AccessRequest, Sender};
use isp_core::password::AuthMethod;
use isp_core::policy::binding::Packet;
use isp_core::policy::{Reason, Refusal};
use isp_core::secret::Secret;

use super::{Instance, Request, now};
use crate::attribute::{List, Name, Value, nas_address};

/// RFC 3748 section 4: code, identifier, length; in requests and responses a type follows.
const EAP_TYPE_OFFSET: usize = 4;
/// RFC 3748 section 5.4.
const EAP_MD5: u8 = 4;
/// RFC 2865 section 5.7: Framed-Protocol.
const PPP: u32 = 1;
/// draft-kamath-pppext-eap-mschapv2.
const EAP_MSCHAPV2: u8 = 26;

/// What a packet says of its sender. Copied out of it, since the request is written to while this is in use.
pub(super) struct Credentials {
    pub(super) user_name: Vec<u8>,
    user_password: Option<Secret<Vec<u8>>>,
    method: AuthMethod,
}

/// Where the packet comes from, by the NAS's words alone: nothing of it is taken from inside a tunnel. The octets of all of it in one allocation.
#[derive(Default)]
pub(super) struct Line {
    octets: Vec<u8>,
    nas_identifier: Option<Range<usize>>,
    nas_port_id: Option<Range<usize>>,
    calling_station_id: Option<Range<usize>>,
    circuit_id: Option<Range<usize>>,
    remote_id: Option<Range<usize>>,
    nas_port: Option<u32>,
    signed: bool,
    by_client: bool,
    nas_address: Option<IpAddr>,
}

impl Line {
    pub(super) fn of(request: &impl Request) -> Self {
        let [
            identifier,
            ipv4,
            ipv6,
            port_id,
            port,
            protocol,
            station,
            signature,
            adsl_circuit,
            circuit,
            dhcp_circuit,
            adsl_remote,
            remote,
            dhcp_remote,
        ] = request.find_outside([
            Name::NasIdentifier,
            Name::NasIpAddress,
            Name::NasIpv6Address,
            Name::NasPortId,
            Name::NasPort,
            Name::FramedProtocol,
            Name::CallingStationId,
            Name::MessageAuthenticator,
            Name::AdslAgentCircuitId,
            Name::AgentCircuitId,
            Name::DhcpAgentCircuitId,
            Name::AdslAgentRemoteId,
            Name::AgentRemoteId,
            Name::DhcpAgentRemoteId,
        ]);
        let mut octets = Vec::with_capacity(128);
        let mut keep = |value: Option<Value<'_>>| {
            let begin = octets.len();
            octets.extend_from_slice(value?.bytes);
            Some(begin..octets.len())
        };
        Self {
            nas_identifier: keep(identifier),
            nas_port_id: keep(port_id),
            calling_station_id: keep(station),
            circuit_id: keep(adsl_circuit.or(circuit).or(dhcp_circuit)),
            remote_id: keep(adsl_remote.or(remote).or(dhcp_remote)),
            nas_port: port.map(|port| port.integer),
            signed: signature.is_some(),
            by_client: protocol.is_some_and(|protocol| protocol.integer == PPP) || request.is_tunnelled(),
            nas_address: nas_address(ipv4, ipv6),
            octets,
        }
    }

    /// The same, where somebody may be found, or locked, by it.
    pub(super) fn if_needed(instance: &Instance, request: &impl Request) -> Option<Self> {
        let needed = instance.node.finds_by_line() || instance.node.counts_failures();
        needed.then(|| Self::of(request))
    }

    fn packet(&self, source: Option<IpAddr>) -> Packet<'_> {
        let octets = |range: &Option<Range<usize>>| self.octets.get(range.clone()?);
        Packet {
            signed: self.signed,
            by_client: self.by_client,
            nas_identifier: octets(&self.nas_identifier),
            nas_addresses: [source, self.nas_address],
            nas_port_id: octets(&self.nas_port_id),
            nas_port: self.nas_port,
            calling_station_id: octets(&self.calling_station_id),
            circuit_id: octets(&self.circuit_id),
            remote_id: octets(&self.remote_id),
        }
    }
}

impl Credentials {
    pub(super) fn of(request: &impl Request) -> Self {
        let [name] = request.find(List::Request, [Name::UserName]);
        let (method, password) = proof(request);
        Self {
            user_name: name.map(|name| name.bytes.to_vec()).unwrap_or_default(),
            user_password: password.map(|password| Secret::new(password.bytes.to_vec())),
            method,
        }
    }

    /// What the node is asked; `line` where it is to decide on that.
    pub(super) fn ask<'a>(&'a self, request: &impl Request, line: &'a Line) -> Result<AccessRequest<'a>, Refusal> {
        if self.user_name.is_empty() {
            return Err(Refusal::new(Reason::MalformedRequest, "the packet has no User-Name"));
        }
        let source = request.source();
        Ok(AccessRequest {
            source,
            packet: line.packet(source),
            user_name: &self.user_name,
            method: self.method,
            user_password: self.user_password.as_ref().map(|password| password.expose().as_slice()),
            now: now(),
        })
    }
}

/// How the sender proves who it is, and its User-Password.
fn proof(request: &impl Request) -> (AuthMethod, Option<Value<'_>>) {
    let [password, chap, mschap, challenge, mschap2, eap] = request.find(
        List::Request,
        [
            Name::UserPassword,
            Name::ChapPassword,
            Name::MsChapResponse,
            Name::MsChapChallenge,
            Name::MsChap2Response,
            Name::EapMessage,
        ],
    );
    let method = if let Some(eap) = eap {
        eap_method(eap)
    } else if password.is_some() {
        AuthMethod::Pap
    } else if chap.is_some() {
        AuthMethod::Chap
    } else if mschap.or(challenge).or(mschap2).is_some() {
        AuthMethod::MsChap
    } else {
        AuthMethod::None
    };
    (method, password)
}

/// Who sent a packet, for those who need no more of it than that. `line` as [`Line::if_needed`] gives it.
pub(super) fn sender<'a>(request: &impl Request, user_name: &'a [u8], line: Option<&'a Line>) -> Sender<'a> {
    let Some(line) = line else {
        return Sender::named(user_name);
    };
    let (method, password) = proof(request);
    Sender {
        user_name,
        method,
        has_password: password.is_some_and(|password| !password.bytes.is_empty()),
        packet: line.packet(request.source()),
    }
}

pub(super) fn eap_method(message: Value<'_>) -> AuthMethod {
    match message.bytes.get(EAP_TYPE_OFFSET) {
        Some(&EAP_MD5) => AuthMethod::EapMd5,
        Some(&EAP_MSCHAPV2) => AuthMethod::EapMsChapV2,
        _ => AuthMethod::EapOther,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    #[test]
    fn the_method_is_read_off_the_packet() {
        let eap = |kind: u8| [2, 1, 0, 10, kind, 0, 0, 0, 0, 0];
        type Case<'a> = (&'a [(Name, &'a [u8])], AuthMethod);
        let cases: [Case<'_>; 9] = [
            (&[(Name::UserPassword, b"x")], AuthMethod::Pap),
            (&[(Name::ChapPassword, b"x")], AuthMethod::Chap),
            (
                &[(Name::MsChapChallenge, b"x"), (Name::MsChapResponse, b"x")],
                AuthMethod::MsChap,
            ),
            (&[(Name::MsChap2Response, b"x")], AuthMethod::MsChap),
            (&[(Name::EapMessage, &eap(4))], AuthMethod::EapMd5),
            (&[(Name::EapMessage, &eap(26))], AuthMethod::EapMsChapV2),
            (&[(Name::EapMessage, &eap(1))], AuthMethod::EapOther),
            (&[(Name::EapMessage, &[2, 1, 0])], AuthMethod::EapOther),
            (&[], AuthMethod::None),
        ];
        for (pairs, expected) in cases {
            let request = Fake::with(pairs);
            assert_eq!(Credentials::of(&request).method, expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_packet_without_a_name_is_malformed() {
        for pairs in [&[][..], &[(Name::UserName, &b""[..])]] {
            let request = Fake::with(pairs);
            let refusal = Credentials::of(&request).ask(&request, &Line::default()).unwrap_err();
            assert_eq!(refusal.reason, Reason::MalformedRequest);
        }
    }

    /// A client of TTLS may send any attribute inside the tunnel, those of a NAS too.
    #[test]
    fn where_a_packet_comes_from_is_not_for_the_subscriber_to_say() {
        let nas =
            Fake::with(&[(Name::CallingStationId, b"02-00-00-00-00-01")]).put_integer(List::Request, Name::NasPort, 7);
        let mut inner = Fake::with(&[
            (Name::CallingStationId, b"02-00-00-00-00-99"),
            (Name::NasIdentifier, b"forged"),
            (Name::NasPortId, b"forged"),
            (Name::AdslAgentCircuitId, b"forged"),
            (Name::AdslAgentRemoteId, b"forged"),
            (Name::MessageAuthenticator, b"forged"),
        ])
        .put_integer(List::Request, Name::NasPort, 8);
        inner.tunnelled = true;
        inner.outside = Some(Box::new(nas));
        let line = Line::of(&inner);
        let packet = line.packet(None);
        assert_eq!(packet.calling_station_id, Some(&b"02-00-00-00-00-01"[..]));
        assert_eq!(packet.nas_port, Some(7));
        assert_eq!((packet.nas_identifier, packet.nas_port_id), (None, None));
        assert_eq!((packet.circuit_id, packet.remote_id), (None, None));
        assert!(!packet.signed);
        assert!(
            packet.by_client,
            "what comes through a tunnel is no lease of a NAS's own"
        );
    }
}
