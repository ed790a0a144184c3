//! What holds for every packet.

use proptest::prelude::*;

use super::super::{AttributeType, Code, Packet, PacketWriter, Request, SharedSecret};
use super::secret;

fn attribute() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let reserved = |kind: &u8| {
        !matches!(
            AttributeType(*kind),
            AttributeType::USER_PASSWORD | AttributeType::MESSAGE_AUTHENTICATOR
        )
    };
    (
        any::<u8>().prop_filter("written by the codec", reserved),
        proptest::collection::vec(any::<u8>(), 1..=253),
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        code in prop::sample::select(vec![1u8, 4, 12, 40, 43]),
        identifier: u8,
        attributes in proptest::collection::vec(attribute(), 0..15),
        signed_at in 0usize..15,
    ) {
        let (secret, mut buffer) = (secret(), Vec::new());
        let mut packet = PacketWriter::request(Code(code), identifier, &secret, &mut buffer).unwrap();
        let signed_at = signed_at.min(attributes.len());
        for (kind, value) in &attributes[..signed_at] {
            packet.attribute(AttributeType(*kind), value).unwrap();
        }
        packet.message_authenticator().unwrap();
        for (kind, value) in &attributes[signed_at..] {
            packet.attribute(AttributeType(*kind), value).unwrap();
        }
        let request = packet.finish();
        let read = Packet::decode(&buffer).unwrap().verify_request(&secret).unwrap();
        prop_assert_eq!(read.code(), Code(code));
        prop_assert_eq!(read.identifier(), identifier);
        prop_assert_eq!(read.authenticator(), &request.authenticator);
        let list: Vec<_> = read
            .attributes()
            .filter(|attribute| attribute.kind != AttributeType::MESSAGE_AUTHENTICATOR)
            .map(|attribute| (attribute.kind.0, attribute.value.to_vec()))
            .collect();
        prop_assert_eq!(list, attributes);
        let other = SharedSecret::new(b"other").unwrap();
        prop_assert!(Packet::decode(&buffer).unwrap().verify_request(&other).is_err());
    }

    #[test]
    fn reading_never_panics(
        mut datagram in proptest::collection::vec(any::<u8>(), 0..400),
        plausible: bool,
        vendor: u32,
    ) {
        if plausible && let Ok(length) = u8::try_from(datagram.len()) && length > 4 {
            datagram[2..4].copy_from_slice(&[0, length]);
        }
        let secret = secret();
        if let Ok(packet) = Packet::decode(&datagram) {
            let total: usize = packet.attributes().map(|attribute| attribute.value.len() + 2).sum();
            prop_assert!(total + 20 <= datagram.len());
            prop_assert!(packet.verify_request(&secret).is_err());
            let _ = packet.vendor(vendor, 1).count();
            for attribute in packet.attributes() {
                let _ = attribute.vendor(u32::from_be_bytes([0; 4])).count();
                let _ = secret.reveal_user_password(packet.authenticator(), attribute.value);
            }
        }
        let request = Request { code: Code::COA_REQUEST, identifier: 1, authenticator: [0; 16] };
        prop_assert!(request.verify(&secret, &datagram).is_err());
    }
}
