//! Accounting-Request: stored first, answered after.

use std::net::IpAddr;

use isp_core::accounting::{AccountingRecord, AcctStatusType};
use md5::{Digest as _, Md5};

use super::credentials::{Line, sender};
use super::{Instance, Request, now};
use crate::attribute::{List, Name, Value, hex, nas_address};
use crate::fault;
use crate::guard::Hook;
use crate::rcode::RCode;

/// A clock further ahead than this is wrong (seconds).
const EVENT_AHEAD: i64 = 300;
/// And so is one further behind: no NAS keeps a packet for a month, and one that has not set its clock yet says 1970.
const EVENT_BEHIND: i64 = 31 * 86_400;
/// What the `acct_unique` and `insert_acct_class` policies of the server mark their own Class with.
const CLASS_PREFIX: &[u8] = b"ai:";
const CLASS_DIGITS: usize = 32;

/// Why there is nothing to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// Not about a session: answered, so that the NAS does not send it for ever.
    NotASession,
    /// Lacks what a session is known by.
    Malformed(&'static str),
}

/// Store the record, and acknowledge it only once the database has it: without an answer the NAS sends it again.
pub fn accounting(instance: &Instance, request: &mut impl Request) -> RCode {
    let source = request.source();
    let mut record = match read(request, source, now()) {
        Ok(record) => record,
        Err(Skip::NotASession) => return RCode::Ok,
        Err(Skip::Malformed(why)) => {
            request.fail(&format!("malformed_request: {why}"), true);
            return RCode::Invalid;
        }
    };
    let [user_name] = request.find(List::Request, [Name::UserName]);
    let user_name = user_name.map_or(&b""[..], |name| name.bytes);
    fault::in_request(Hook::Accounting, user_name);
    let line = Line::if_needed(instance, request);
    let who = instance
        .node
        .identify(source, &sender(request, user_name, line.as_ref()));
    (record.tenant_id, record.subscriber_id) = (who.tenant_id, who.subscriber_id);
    record.interim_interval = who.interim_interval;
    match instance.node.accounting(record) {
        Ok(()) => RCode::Ok,
        Err(why) => {
            request.fail(&format!("the packet is not answered: {why}"), true);
            RCode::Fail
        }
    }
}

const fn status(value: u32) -> Option<AcctStatusType> {
    Some(match value {
        1 => AcctStatusType::Start,
        2 => AcctStatusType::Stop,
        3 => AcctStatusType::InterimUpdate,
        7 => AcctStatusType::AccountingOn,
        8 => AcctStatusType::AccountingOff,
        _ => return None,
    })
}

fn read(request: &impl Request, source: Option<IpAddr>, now: i64) -> Result<AccountingRecord, Skip> {
    let [kind, session, unique, user_name, realm, delay, event] = request.find(
        List::Request,
        [
            Name::AcctStatusType,
            Name::AcctSessionId,
            Name::AcctUniqueSessionId,
            Name::UserName,
            Name::Realm,
            Name::AcctDelayTime,
            Name::EventTimestamp,
        ],
    );
    let kind = kind.ok_or(Skip::Malformed("the packet has no Acct-Status-Type"))?;
    let kind = status(kind.integer).ok_or(Skip::NotASession)?;
    let of_nas = matches!(kind, AcctStatusType::AccountingOn | AcctStatusType::AccountingOff);
    if session.is_none() && !of_nas {
        return Err(Skip::Malformed("the packet has no Acct-Session-Id"));
    }
    let [nas_ipv4, nas_ipv6, nas_identifier, port, port_id, port_type] = request.find(
        List::Request,
        [
            Name::NasIpAddress,
            Name::NasIpv6Address,
            Name::NasIdentifier,
            Name::NasPort,
            Name::NasPortId,
            Name::NasPortType,
        ],
    );
    let nas_ip_address = nas_address(nas_ipv4, nas_ipv6)
        .or(source)
        .ok_or(Skip::Malformed("the packet names no NAS and its source is not known"))?;
    let [
        time,
        input,
        output,
        input_gigawords,
        output_gigawords,
        cause,
        authentic,
        class,
        multi_session,
    ] = request.find(
        List::Request,
        [
            Name::AcctSessionTime,
            Name::AcctInputOctets,
            Name::AcctOutputOctets,
            Name::AcctInputGigawords,
            Name::AcctOutputGigawords,
            Name::AcctTerminateCause,
            Name::AcctAuthentic,
            Name::Class,
            Name::AcctMultiSessionId,
        ],
    );
    let [called, calling, connect_info, service_type, protocol] = request.find(
        List::Request,
        [
            Name::CalledStationId,
            Name::CallingStationId,
            Name::ConnectInfo,
            Name::ServiceType,
            Name::FramedProtocol,
        ],
    );
    let [ipv4, ipv6, ipv6_prefix, interface_id, delegated] = request.find(
        List::Request,
        [
            Name::FramedIpAddress,
            Name::FramedIpv6Address,
            Name::FramedIpv6Prefix,
            Name::FramedInterfaceId,
            Name::DelegatedIpv6Prefix,
        ],
    );
    let word = |name: Name, value: Option<Value<'_>>| {
        let value = value?.integer;
        Some(
            request
                .word(name, value)
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    };
    let acct_unique_id = unique.map(Value::text).unwrap_or_else(|| {
        unique_id(&UniqueKey {
            class: class.map(|class| class.bytes),
            user_name: user_name.map_or(b"", |name| name.bytes),
            session_id: session.map_or(b"", |session| session.bytes),
            nas: nas_address(None, nas_ipv6).or(nas_address(nas_ipv4, None)),
            nas_identifier: nas_identifier.map_or(b"", |identifier| identifier.bytes),
            port_id: port_id.map_or(b"", |id| id.bytes),
            port: port.map(|port| port.integer),
        })
    });
    Ok(AccountingRecord {
        status: kind,
        tenant_id: None,
        subscriber_id: None,
        acct_session_id: session.map(Value::text).unwrap_or_default(),
        acct_unique_id,
        user_name: user_name.map(Value::text).unwrap_or_default(),
        realm: realm.map(Value::text).unwrap_or_default(),
        nas_ip_address,
        nas_port_id: port_id
            .map(Value::text)
            .or_else(|| port.map(|port| port.integer.to_string())),
        nas_port_type: word(Name::NasPortType, port_type),
        event_time: event_time(event.map(|event| event.integer), delay.map(|delay| delay.integer), now),
        session_time: time.map(|time| time.integer),
        authentic: word(Name::AcctAuthentic, authentic),
        connect_info: connect_info.map(Value::text),
        input_octets: octets(input, input_gigawords),
        output_octets: octets(output, output_gigawords),
        called_station_id: called.map(Value::text),
        calling_station_id: calling.map(Value::text),
        terminate_cause: word(Name::AcctTerminateCause, cause),
        service_type: word(Name::ServiceType, service_type),
        framed_protocol: word(Name::FramedProtocol, protocol),
        framed_ip_address: ipv4.and_then(Value::ipv4),
        framed_ipv6_address: ipv6.and_then(Value::ipv6),
        framed_ipv6_prefix: ipv6_prefix.and_then(Value::ipv6_prefix),
        framed_interface_id: interface_id.and_then(Value::interface_id),
        delegated_ipv6_prefix: delegated.and_then(Value::ipv6_prefix),
        class: class.map(Value::hex),
        multi_session_id: multi_session.map(Value::text),
        gigawords: input_gigawords.is_some() || output_gigawords.is_some(),
        received: now,
        interim_interval: None,
    })
}

/// RFC 2869 sections 5.1 and 5.2: the gigawords are the upper half of a 64-bit count.
fn octets(low: Option<Value<'_>>, high: Option<Value<'_>>) -> Option<u64> {
    let high = high.map(|high| u64::from(high.integer) << 32);
    let low = low.map(|low| u64::from(low.integer));
    (low.is_some() || high.is_some()).then(|| high.unwrap_or(0) | low.unwrap_or(0))
}

/// When it happened: what the NAS says (RFC 2869 section 5.3) if its clock can be right, else arrival less
/// Acct-Delay-Time (RFC 2866 section 5.2).
fn event_time(event: Option<u32>, delay: Option<u32>, now: i64) -> i64 {
    event
        .map(i64::from)
        .filter(|event| (now - EVENT_BEHIND..=now.saturating_add(EVENT_AHEAD)).contains(event))
        .unwrap_or_else(|| {
            let delay = delay.map(i64::from).filter(|delay| *delay <= EVENT_BEHIND);
            now - delay.unwrap_or(0)
        })
}

/// What Acct-Unique-Session-Id is made of.
struct UniqueKey<'a> {
    class: Option<&'a [u8]>,
    user_name: &'a [u8],
    session_id: &'a [u8],
    nas: Option<IpAddr>,
    nas_identifier: &'a [u8],
    port_id: &'a [u8],
    port: Option<u32>,
}

/// Acct-Unique-Session-Id as the server's `acct_unique` policy makes it, for a site that does not run that policy.
///
/// MD5 is the policy's; nothing secret rests on it. Where a User-Name begins with `&`, which the server takes for the name
/// of an attribute, its policy makes no key at all and this one stands alone.
fn unique_id(key: &UniqueKey<'_>) -> String {
    let nas = key.nas.map(|nas| nas.to_string()).unwrap_or_default();
    let port = key.port.map(|port| port.to_string()).unwrap_or_default();
    let parts: &[&[u8]] = match key.class.and_then(own_class) {
        Some(class) => &[class, key.session_id],
        None => &[
            key.user_name,
            key.session_id,
            nas.as_bytes(),
            key.nas_identifier,
            key.port_id,
            port.as_bytes(),
        ],
    };
    // The server never prints the last octet of a value if it is zero.
    let parts: Vec<&[u8]> = parts
        .iter()
        .map(|part| part.strip_suffix(&[0]).unwrap_or(part))
        .collect();
    hex(&Md5::digest(hashed(&parts.join(&b','))))
}

/// What the server's `%{md5:...}` hashes of a text: it skips blanks before it, and stops at a zero octet.
fn hashed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The 32 digits of a Class that this server handed out.
fn own_class(class: &[u8]) -> Option<&[u8]> {
    let digits = class.strip_prefix(CLASS_PREFIX)?.get(..CLASS_DIGITS)?;
    digits
        .iter()
        .all(|digit| matches!(digit.to_ascii_lowercase(), b'0'..=b'9' | b'a'..=b'f'))
        .then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn packet(kind: u32) -> Fake {
        Fake::with(&[
            (Name::AcctSessionId, b"81a2"),
            (Name::UserName, b"alice"),
            (Name::NasIpAddress, &[192, 0, 2, 1]),
            (Name::NasPortId, b"ether1"),
        ])
        .put_integer(List::Request, Name::AcctStatusType, kind)
        .put_integer(List::Request, Name::NasPort, 7)
    }

    #[test]
    fn input_is_upload_and_gigawords_are_joined() {
        let request = packet(3)
            .put_integer(List::Request, Name::AcctInputOctets, 5)
            .put_integer(List::Request, Name::AcctInputGigawords, 2)
            .put_integer(List::Request, Name::AcctOutputGigawords, 1)
            .put_integer(List::Request, Name::AcctSessionTime, 60);
        let record = read(&request, None, NOW).unwrap();
        assert_eq!(record.status, AcctStatusType::InterimUpdate);
        assert_eq!(record.input_octets, Some((2 << 32) + 5));
        assert_eq!(record.output_octets, Some(1 << 32));
        assert_eq!(record.session_time, Some(60));
        assert!(record.gigawords);
        assert_eq!(record.nas_ip_address.to_string(), "192.0.2.1");
        assert_eq!(record.nas_port_id.as_deref(), Some("ether1"));
        let start = read(&packet(1), None, NOW).unwrap();
        assert_eq!((start.input_octets, start.gigawords), (None, false));
    }

    #[test]
    fn the_unique_id_is_the_one_of_the_stock_policy() {
        // echo -n 'alice,81a2,192.0.2.1,,ether1,7' | md5sum
        let record = read(&packet(1), None, NOW).unwrap();
        assert_eq!(record.acct_unique_id, "41dc5a54b73eb4ec98761f16a43f77b1");
        // echo -n '0123456789abcdef0123456789abcdef,81a2' | md5sum
        let classed = packet(1).put(List::Request, Name::Class, b"ai:0123456789abcdef0123456789abcdef");
        let record = read(&classed, None, NOW).unwrap();
        assert_eq!(record.acct_unique_id, "933d22b09480aac2aa4273f476e6532c");
        let foreign = packet(1).put(List::Request, Name::Class, b"ai:not hex");
        assert_eq!(
            read(&foreign, None, NOW).unwrap().acct_unique_id,
            read(&packet(1), None, NOW).unwrap().acct_unique_id
        );
        let given = packet(1).put(List::Request, Name::AcctUniqueSessionId, b"abc");
        assert_eq!(read(&given, None, NOW).unwrap().acct_unique_id, "abc");
    }

    #[test]
    fn the_time_is_the_one_of_a_nas_with_a_sane_clock() {
        let now = NOW;
        assert_eq!(event_time(None, None, now), now);
        assert_eq!(event_time(None, Some(30), now), now - 30);
        assert_eq!(event_time(Some(1_799_999_000), Some(30), now), 1_799_999_000);
        assert_eq!(
            event_time(Some(12), Some(30), now),
            now - 30,
            "a clock that starts in 1970"
        );
        assert_eq!(event_time(Some(u32::MAX), None, now), now, "a clock far ahead");
        assert_eq!(event_time(Some(1_700_000_000), None, now), now, "a clock years behind");
        assert_eq!(event_time(None, Some(1_700_000_000), now), now, "no delay but a time");
    }

    #[test]
    fn what_is_no_session_is_answered_and_what_is_malformed_is_not() {
        assert_eq!(read(&packet(15), None, NOW), Err(Skip::NotASession));
        assert!(matches!(read(&Fake::default(), None, NOW), Err(Skip::Malformed(_))));
        let no_session = Fake::with(&[(Name::NasIpAddress, &[192, 0, 2, 1])]);
        let start = no_session.clone().put_integer(List::Request, Name::AcctStatusType, 1);
        assert!(matches!(read(&start, None, NOW), Err(Skip::Malformed(_))));
        let on = no_session.put_integer(List::Request, Name::AcctStatusType, 7);
        assert_eq!(read(&on, None, NOW).unwrap().status, AcctStatusType::AccountingOn);
        let nowhere = Fake::default().put_integer(List::Request, Name::AcctStatusType, 7);
        assert!(matches!(read(&nowhere, None, NOW), Err(Skip::Malformed(_))));
        let source: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(read(&nowhere, Some(source), NOW).unwrap().nas_ip_address, source);
    }

    #[test]
    fn enumerated_values_are_words_where_the_dictionary_has_one() {
        let request = packet(2)
            .put_integer(List::Request, Name::AcctTerminateCause, 1)
            .put_integer(List::Request, Name::NasPortType, 99)
            .word(1, "User-Request");
        let record = read(&request, None, NOW).unwrap();
        assert_eq!(record.terminate_cause.as_deref(), Some("User-Request"));
        assert_eq!(record.nas_port_type.as_deref(), Some("99"));
    }
}
