//! Any datagram as the answer to an order: only one that a holder of the secret made is taken.
#![no_main]

use std::net::SocketAddr;
use std::time::Instant;

use isp_core::coa::{Exchange, Order, Retry};
use isp_core::radius::{AttributeType, Code, Packet, PacketWriter, SharedSecret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let secret = SharedSecret::new(b"testing123").expect("it is not empty");
    let nas = SocketAddr::from(([192, 0, 2, 1], 3799));
    let order = Order::disconnect().with(AttributeType::USER_NAME, "alice");
    let [mode, data @ ..] = data else { return };
    let strict = mode & 1 != 0;
    let mut exchange = Exchange::new(nas, &secret, &order, Retry::default(), 7, 1_700_000_000)
        .expect("the order is valid")
        .strict(strict);
    let request = exchange.transmit(Instant::now(), 0).expect("it is due").to_vec();
    // As it is: nobody without the secret finds an answer.
    assert_eq!(exchange.receive(nas, data), None);
    assert_eq!(exchange.rejected(), 1);
    // By a holder of the secret, of any code and with any attributes: taken if, and only if, it is an answer.
    let [code, attributes @ ..] = data else { return };
    let request = Packet::decode(&request)
        .expect("it is a packet")
        .verify_request(&secret)
        .expect("it is ours");
    let mut reply = Vec::new();
    let mut writer = PacketWriter::reply(Code(*code), &request, &secret, &mut reply);
    if strict && writer.message_authenticator().is_err() {
        return;
    }
    for attribute in isp_core::radius::Attributes::new(attributes) {
        let _ = writer.attribute(attribute.kind, attribute.value);
    }
    writer.finish();
    let fits = matches!(Code(*code), Code::DISCONNECT_ACK | Code::DISCONNECT_NAK);
    assert_eq!(exchange.receive(nas, &reply).is_some(), fits);
    // From elsewhere, or changed in one bit, it is none.
    assert_eq!(exchange.receive(SocketAddr::from(([192, 0, 2, 2], 3799)), &reply), None);
    let bit = usize::from(*mode) * 8 % (reply.len() * 8);
    if let Some(octet) = reply.get_mut(bit / 8) {
        *octet ^= 1 << (mode >> 5);
    }
    assert_eq!(exchange.receive(nas, &reply), None);
});
