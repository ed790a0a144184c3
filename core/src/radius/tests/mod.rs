#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod properties;

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    AttributeType, Code, DecodeError, EncodeError, MAX_PACKET, Packet, PacketWriter, Request, SharedSecret, VerifyError,
};

fn secret() -> SharedSecret {
    SharedSecret::new(b"testing123").unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|digit| digit.try_into().unwrap())
        .collect();
    digits.as_chunks().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// RFC 2865 section 7.1: User "Nemo" telnetting.
#[test]
fn the_rfc_2865_pap_exchange() {
    let secret = SharedSecret::new(b"xyzzy5461").unwrap();
    let wanted = bytes(
        "01000038 0f403f94 73978057 bd83d5cb 98f4227a 01066e65 6d6f0212 0dbe708d 93d413ce 3196e43f 782a0aee
         0406c0a8 01100506 00000003",
    );
    let authenticator = bytes("0f403f94 73978057 bd83d5cb 98f4227a").try_into().unwrap();
    let mut buffer = Vec::new();
    let mut packet = PacketWriter::access_request(0, &authenticator, &secret, &mut buffer);
    packet.attribute(AttributeType::USER_NAME, b"nemo").unwrap();
    packet.user_password(b"arctangent").unwrap();
    packet
        .ipv4(AttributeType::NAS_IP_ADDRESS, Ipv4Addr::new(192, 168, 1, 16))
        .unwrap();
    packet.integer(AttributeType::NAS_PORT, 3).unwrap();
    let request = packet.finish();
    assert_eq!(buffer, wanted);

    let seen = Packet::decode(&buffer).unwrap();
    let hidden = seen.get(AttributeType::USER_PASSWORD).unwrap().value;
    let password = secret.reveal_user_password(seen.authenticator(), hidden).unwrap();
    assert_eq!(password.expose(), b"arctangent");

    let reply = bytes("02000026 86fe220e 7624ba2a 1005f6bf 9b55e0b2 06060000 00010f06 00000000 0e06c0a8 0103");
    let accept = request.verify(&secret, &reply).unwrap();
    assert_eq!(accept.code(), Code::ACCESS_ACCEPT);
    assert_eq!(
        accept.get(AttributeType(14)).unwrap().ipv4(),
        Some(Ipv4Addr::new(192, 168, 1, 3))
    );
    assert_eq!(
        accept.require_message_authenticator().unwrap_err(),
        VerifyError::NoMessageAuthenticator
    );
}

/// RFC 2865 section 7.2: User "flopsy" authenticating with CHAP.
#[test]
fn the_rfc_2865_chap_exchange() {
    let secret = SharedSecret::new(b"xyzzy5461").unwrap();
    let wanted = bytes(
        "01010047 2aee86f0 8d0d5596 9ca5978e 0d3367a2 0108666c 6f707379 031316e9 7557c316 185895f2 93ff6344
         07727504 06c0a801 10050600 00001406 06000000 02070600 000001",
    );
    let authenticator = bytes("2aee86f0 8d0d5596 9ca5978e 0d3367a2").try_into().unwrap();
    let mut buffer = Vec::new();
    let mut packet = PacketWriter::access_request(1, &authenticator, &secret, &mut buffer);
    packet.attribute(AttributeType::USER_NAME, b"flopsy").unwrap();
    packet.chap_password(0x16, b"arctangent", None).unwrap();
    packet
        .ipv4(AttributeType::NAS_IP_ADDRESS, Ipv4Addr::new(192, 168, 1, 16))
        .unwrap();
    packet.integer(AttributeType::NAS_PORT, 20).unwrap();
    packet.integer(AttributeType::SERVICE_TYPE, 2).unwrap();
    packet.integer(AttributeType::FRAMED_PROTOCOL, 1).unwrap();
    let request = packet.finish();
    assert_eq!(buffer, wanted);
    let reply = bytes(
        "02010038 15efbc7d ab26cfa3 dc34d9c0 3c8601a4 06060000 00020706 00000001 0806ffff fffe0a06 00000002
         0d060000 00010c06 000005dc",
    );
    assert_eq!(request.verify(&secret, &reply).unwrap().attributes().count(), 6);
}

/// The packets below were made by hashlib and hmac of Python.
const ACCOUNTING: &str = "0409002b27b53698d126971fc607727c0a6eedfe2806000000010107616c6963652c0a3831613030303031";
const DISCONNECT: &str = "28c8003d847599f76481845820ef86e15614f5c55012b163dc1ff4fb10801e9c040a3abe948037066553f100\
                          0107616c6963652c0a3831613030303031";
const NAK: &str = "2ac8002c7aae288014525c8ec2c610c6515e5bfb6506000001f7501278a3da293a97402e4d720bc67109979f";
const ACCESS: &str = "01030033000102030405060708090a0b0c0d0e0f0107616c69636550122f6384aa36166cfb90aec059394e23b2\
                      0406c0000201";

#[test]
fn accounting_is_signed_over_zeros() {
    let (secret, mut buffer) = (secret(), Vec::new());
    let mut packet = PacketWriter::request(Code::ACCOUNTING_REQUEST, 9, &secret, &mut buffer).unwrap();
    packet.integer(AttributeType::ACCT_STATUS_TYPE, 1).unwrap();
    packet.attribute(AttributeType::USER_NAME, b"alice").unwrap();
    packet.attribute(AttributeType::ACCT_SESSION_ID, b"81a00001").unwrap();
    packet.finish();
    assert_eq!(buffer, bytes(ACCOUNTING));
}

#[test]
fn disconnect_carries_both_authenticators_and_so_does_its_answer() {
    let (secret, mut buffer) = (secret(), Vec::new());
    let mut packet = PacketWriter::request(Code::DISCONNECT_REQUEST, 200, &secret, &mut buffer).unwrap();
    packet.message_authenticator().unwrap();
    packet.integer(AttributeType::EVENT_TIMESTAMP, 1_700_000_000).unwrap();
    packet.attribute(AttributeType::USER_NAME, b"alice").unwrap();
    packet.attribute(AttributeType::ACCT_SESSION_ID, b"81a00001").unwrap();
    let request = packet.finish();
    assert_eq!(buffer, bytes(DISCONNECT));

    let nak = bytes(NAK);
    let seen = request
        .verify(&secret, &nak)
        .unwrap()
        .require_message_authenticator()
        .unwrap();
    assert_eq!(seen.get(AttributeType::ERROR_CAUSE).unwrap().integer(), Some(503));

    let mut reply = Vec::new();
    let arrived = Packet::decode(&buffer).unwrap().verify_request(&secret).unwrap();
    let mut packet = PacketWriter::reply(Code::DISCONNECT_NAK, &arrived, &secret, &mut reply);
    packet.integer(AttributeType::ERROR_CAUSE, 503).unwrap();
    packet.message_authenticator().unwrap();
    packet.finish();
    assert_eq!(reply, nak);
}

#[test]
fn an_access_request_is_known_by_its_message_authenticator() {
    let secret = secret();
    let good = bytes(ACCESS);
    let authenticator: [u8; 16] = std::array::from_fn(|i| i.try_into().unwrap());
    let mut buffer = Vec::new();
    let mut packet = PacketWriter::access_request(3, &authenticator, &secret, &mut buffer);
    packet.attribute(AttributeType::USER_NAME, b"alice").unwrap();
    packet.message_authenticator().unwrap();
    packet
        .ipv4(AttributeType::NAS_IP_ADDRESS, Ipv4Addr::new(192, 0, 2, 1))
        .unwrap();
    packet.finish();
    assert_eq!(buffer, good);
    assert!(Packet::decode(&good).unwrap().verify_request(&secret).is_ok());

    let packet = PacketWriter::access_request(3, &authenticator, &secret, &mut buffer);
    packet.finish();
    let error = Packet::decode(&buffer).unwrap().verify_request(&secret).unwrap_err();
    assert_eq!(error, VerifyError::NoMessageAuthenticator);
}

/// Any bit of what is signed, in any packet that is.
#[test]
fn a_flipped_bit_does_not_verify() {
    let secret = secret();
    for packet in [ACCOUNTING, DISCONNECT, ACCESS] {
        let good = bytes(packet);
        let verifies = |datagram: &[u8]| Packet::decode(datagram).is_ok_and(|p| p.verify_request(&secret).is_ok());
        assert!(verifies(&good));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&bad), "bit {bit} of {packet}");
        }
    }
    let authenticator = bytes(DISCONNECT)[4..20].try_into().unwrap();
    let request = Request {
        code: Code::DISCONNECT_REQUEST,
        identifier: 200,
        authenticator,
    };
    let good = bytes(NAK);
    assert!(request.verify(&secret, &good).is_ok());
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(request.verify(&secret, &bad).is_err(), "bit {bit}");
    }
}

#[test]
fn a_reply_fits_its_request() {
    let secret = secret();
    let nak = bytes(NAK);
    let right = Request {
        code: Code::DISCONNECT_REQUEST,
        identifier: 200,
        authenticator: bytes(DISCONNECT)[4..20].try_into().unwrap(),
    };
    let error = |request: Request| request.verify(&secret, &nak).unwrap_err();
    assert_eq!(
        error(Request {
            identifier: 201,
            ..right
        }),
        VerifyError::Identifier {
            got: 200,
            expected: 201
        }
    );
    assert_eq!(
        error(Request {
            code: Code::COA_REQUEST,
            ..right
        }),
        VerifyError::Code {
            got: Code::DISCONNECT_NAK,
            request: Code::COA_REQUEST
        }
    );
    assert_eq!(
        error(Request {
            authenticator: [0; 16],
            ..right
        }),
        VerifyError::Authenticator
    );
    let other = SharedSecret::new(b"testing124").unwrap();
    assert_eq!(right.verify(&other, &nak).unwrap_err(), VerifyError::Authenticator);
    for code in 0..=255 {
        assert!(!Code(code).is_answered_by(right.code));
    }
}

/// The Response Authenticator holds, the Message-Authenticator does not: it was made under another secret or twice.
#[test]
fn a_message_authenticator_is_checked_wherever_it_is() {
    let secret = secret();
    let signed = |attributes: &[u8]| {
        let length = u8::try_from(20 + attributes.len()).unwrap();
        let head = [Code::ACCOUNTING_REQUEST.0, 1, 0, length];
        let digest = secret.digest(head, &[0; 16], attributes);
        [&head[..], &digest, attributes].concat()
    };
    let error = |attributes: &[u8]| {
        let datagram = signed(attributes);
        let packet = Packet::decode(&datagram).unwrap();
        packet.verify_request(&secret).map(|_| ()).unwrap_err()
    };
    let wrong = [&[80, 18][..], &[7; 16]].concat();
    assert_eq!(error(&wrong), VerifyError::MessageAuthenticator);
    assert_eq!(error(&wrong.repeat(2)), VerifyError::MalformedMessageAuthenticator);
    assert_eq!(error(&[80, 4, 1, 2]), VerifyError::MalformedMessageAuthenticator);
    assert_eq!(error(&[80, 2]), VerifyError::MalformedMessageAuthenticator);
}

#[test]
fn malformed_datagrams_are_told_apart() {
    let packet = |length: u16, rest: &[u8]| {
        let mut datagram = vec![1, 0];
        datagram.extend(length.to_be_bytes());
        datagram.extend([0; 16]);
        datagram.extend(rest);
        datagram
    };
    let error = |datagram: &[u8]| Packet::decode(datagram).map(|_| ()).unwrap_err();
    assert_eq!(error(&[]), DecodeError::NoHeader(0));
    assert_eq!(error(&[1; 19]), DecodeError::NoHeader(19));
    assert_eq!(error(&packet(19, &[])), DecodeError::Length(19));
    assert_eq!(error(&packet(4097, &[0; 5000])), DecodeError::Length(4097));
    assert_eq!(
        error(&packet(24, &[1, 3, 0])),
        DecodeError::CutShort {
            length: 24,
            received: 23
        }
    );
    for (attributes, offset) in [
        (&[1][..], 20),
        (&[1, 0], 20),
        (&[1, 1], 20),
        (&[1, 3], 20),
        (&[1, 3, 0, 1], 23),
        (&[1, 3, 0, 1, 1], 23),
    ] {
        let length = u16::try_from(20 + attributes.len()).unwrap();
        assert_eq!(error(&packet(length, attributes)), DecodeError::Attribute { offset });
    }
    // Padding is ignored (RFC 2865 section 3).
    let padded = packet(22, &[25, 2, 0xff, 0xff]);
    let decoded = Packet::decode(&padded).unwrap();
    assert_eq!(decoded.attributes().count(), 1);
    assert_eq!(decoded.get(AttributeType::CLASS).unwrap().value, b"");
}

#[test]
fn what_cannot_be_written_leaves_the_packet_as_it_was() {
    let (secret, mut buffer) = (secret(), Vec::new());
    let mut packet = PacketWriter::request(Code::ACCOUNTING_REQUEST, 1, &secret, &mut buffer).unwrap();
    let class = AttributeType::CLASS;
    assert!(matches!(packet.attribute(class, &[]), Err(EncodeError::Empty(_))));
    assert!(matches!(packet.vendor(9, 1, &[]), Err(EncodeError::Empty(_))));
    assert!(matches!(
        packet.attribute(class, &[0; 254]),
        Err(EncodeError::ValueTooLong {
            length: 254,
            longest: 253,
            ..
        })
    ));
    assert!(matches!(
        packet.vendor(9, 1, &[0; 248]),
        Err(EncodeError::ValueTooLong {
            length: 248,
            longest: 247,
            ..
        })
    ));
    assert!(matches!(
        packet.vendor(9, 1, &[0; 300]),
        Err(EncodeError::ValueTooLong { .. })
    ));
    assert!(matches!(packet.user_password(b"x"), Err(EncodeError::Misplaced(_))));
    assert!(matches!(
        packet.chap_password(1, b"x", None),
        Err(EncodeError::Misplaced(_))
    ));
    for reserved in [AttributeType::USER_PASSWORD, AttributeType::MESSAGE_AUTHENTICATOR] {
        assert!(matches!(
            packet.attribute(reserved, &[0; 16]),
            Err(EncodeError::Reserved(_))
        ));
    }
    packet.message_authenticator().unwrap();
    assert!(matches!(
        packet.message_authenticator(),
        Err(EncodeError::TwoMessageAuthenticators)
    ));
    while packet.attribute(class, &[7; 253]).is_ok() {}
    let room = MAX_PACKET - 20 - 18 - 15 * 255;
    packet.attribute(class, &vec![7; room - 2]).unwrap();
    assert!(matches!(
        packet.attribute(class, &[7]),
        Err(EncodeError::PacketTooLong(_))
    ));
    packet.finish();
    assert_eq!(buffer.len(), MAX_PACKET);
    let packet = Packet::decode(&buffer).unwrap().verify_request(&secret).unwrap();
    assert_eq!(packet.attributes().count(), 17);
    assert!(SharedSecret::new(b"").is_err());
}

#[test]
fn user_passwords_of_every_length_are_hidden_and_revealed() {
    let (secret, mut buffer) = (secret(), Vec::new());
    for length in 0..=128 {
        let password = vec![b'p'; length];
        let mut packet = PacketWriter::request(Code::ACCESS_REQUEST, 1, &secret, &mut buffer).unwrap();
        packet.user_password(&password).unwrap();
        let request = packet.finish();
        let seen = Packet::decode(&buffer).unwrap();
        let hidden = seen.get(AttributeType::USER_PASSWORD).unwrap().value;
        assert_eq!(hidden.len(), length.div_ceil(16).max(1) * 16);
        assert!(!hidden.windows(4).any(|window| window == b"pppp"));
        let revealed = secret.reveal_user_password(&request.authenticator, hidden).unwrap();
        assert_eq!(revealed.expose(), &password);
    }
    let mut packet = PacketWriter::request(Code::ACCESS_REQUEST, 1, &secret, &mut buffer).unwrap();
    assert!(matches!(
        packet.user_password(&[1; 129]),
        Err(EncodeError::ValueTooLong { longest: 128, .. })
    ));
    for length in [0, 15, 17, 144] {
        assert!(
            secret.reveal_user_password(&[0; 16], &vec![0; length]).is_none(),
            "{length}"
        );
    }
}

#[test]
fn values_and_vendors_are_read_back() {
    let (secret, mut buffer) = (secret(), Vec::new());
    let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let mut packet = PacketWriter::request(Code::ACCOUNTING_REQUEST, 1, &secret, &mut buffer).unwrap();
    packet.vendor(14988, 8, b"10M/20M").unwrap();
    packet.vendor(9, 1, b"first").unwrap().vendor(9, 1, b"second").unwrap();
    packet
        .attribute(
            AttributeType::VENDOR_SPECIFIC,
            &[0, 0, 0, 9, 1, 4, b'i', b'n', 2, 3, b'x', 1],
        )
        .unwrap();
    packet.ipv6(AttributeType::FRAMED_IPV6_ADDRESS, address).unwrap();
    packet.finish();
    let packet = Packet::decode(&buffer).unwrap();
    assert_eq!(packet.vendor(14988, 8).collect::<Vec<_>>(), [b"10M/20M"]);
    assert_eq!(
        packet.vendor(9, 1).collect::<Vec<_>>(),
        [&b"first"[..], b"second", b"in"]
    );
    assert_eq!(packet.vendor(9, 2).collect::<Vec<_>>(), [b"x"]);
    assert_eq!(packet.vendor(10, 1).count(), 0);
    let framed = packet.get(AttributeType::FRAMED_IPV6_ADDRESS).unwrap();
    assert_eq!(
        (framed.ipv6(), framed.ipv4(), framed.integer()),
        (Some(address), None, None)
    );
}

#[test]
fn random_authenticators_differ() {
    let (secret, mut buffer) = (secret(), Vec::new());
    let mut authenticators = std::collections::HashSet::new();
    for _ in 0..100 {
        let packet = PacketWriter::request(Code::STATUS_SERVER, 1, &secret, &mut buffer).unwrap();
        assert!(authenticators.insert(packet.finish().authenticator));
    }
}

#[test]
fn nothing_shows_a_secret() {
    let (secret, mut buffer) = (secret(), Vec::new());
    let mut packet = PacketWriter::request(Code::ACCESS_REQUEST, 7, &secret, &mut buffer).unwrap();
    packet.attribute(AttributeType::USER_NAME, b"alice").unwrap();
    packet.attribute(AttributeType(200), b"hunter2").unwrap();
    let writing = format!("{packet:?}");
    packet.finish();
    let shown = format!("{secret:?} {writing} {:?}", Packet::decode(&buffer).unwrap());
    assert_eq!(
        shown,
        "[redacted] PacketWriter { bytes: 36, .. } Access-Request 7 [User-Name (5 bytes), attribute 200 (7 bytes)]"
    );
}
