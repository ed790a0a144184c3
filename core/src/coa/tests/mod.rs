#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use super::{CoaError, ErrorCause, Exchange, InvalidOrder, Order, Outcome, Retry, send};
use crate::radius::{AttributeType, Code, Dictionary, EncodeError, Packet, PacketWriter, SharedSecret};

const NOW: u32 = 1_700_000_000;

fn secret() -> SharedSecret {
    SharedSecret::new(b"testing123").unwrap()
}

fn alice() -> Order {
    Order::disconnect().with(AttributeType::USER_NAME, "alice")
}

fn nas() -> SocketAddr {
    "192.0.2.1:3799".parse().unwrap()
}

fn quick(attempts: u32, wait: u64) -> Retry {
    Retry {
        attempts,
        first_wait: Duration::from_millis(wait),
        longest_wait: Duration::from_millis(wait),
    }
}

fn exchange(order: &Order, retry: Retry) -> Result<Exchange, InvalidOrder> {
    Exchange::new(nas(), &secret(), order, retry, 7, NOW)
}

/// What a NAS with that secret answers.
fn answer(request: &[u8], secret: &SharedSecret, code: Code, cause: Option<u32>) -> Vec<u8> {
    let mut reply = Vec::new();
    let request = Packet::decode(request)
        .unwrap()
        .verify_request(&self::secret())
        .unwrap();
    let mut packet = PacketWriter::reply(code, &request, secret, &mut reply);
    if let Some(cause) = cause {
        packet.integer(AttributeType::ERROR_CAUSE, cause).unwrap();
    }
    packet.finish();
    reply
}

#[test]
fn an_order_carries_what_rfc_5176_asks_for() {
    let order = Order::change()
        .with(AttributeType::USER_NAME, "alice")
        .with(AttributeType::SESSION_TIMEOUT, 3600u32.to_be_bytes())
        .with_vendor(14988, 8, "10M/20M");
    let mut exchange = exchange(&order, Retry::default()).unwrap();
    let packet = exchange.transmit(Instant::now(), 0).unwrap().to_vec();
    let packet = Packet::decode(&packet).unwrap().verify_request(&secret()).unwrap();
    let packet = packet.require_message_authenticator().unwrap();
    assert_eq!((packet.code(), packet.identifier()), (Code::COA_REQUEST, 7));
    let integer = |kind| packet.get(kind).unwrap().integer();
    assert_eq!(integer(AttributeType::EVENT_TIMESTAMP), Some(NOW));
    assert_eq!(integer(AttributeType::SESSION_TIMEOUT), Some(3600));
    assert_eq!(packet.get(AttributeType::USER_NAME).unwrap().text(), Some("alice"));
    assert_eq!(packet.vendor(14988, 8).collect::<Vec<_>>(), [b"10M/20M"]);
}

#[test]
fn an_order_names_a_session_and_fits_a_packet() {
    let error = |order: Order| exchange(&order, Retry::default()).unwrap_err();
    assert!(matches!(error(Order::disconnect()), InvalidOrder::NoSession));
    let rate_alone = Order::change().with_vendor(14988, 8, "10M/20M");
    assert!(matches!(error(rate_alone), InvalidOrder::NoSession));
    let stamped = alice().with(AttributeType::EVENT_TIMESTAMP, NOW.to_be_bytes());
    assert!(matches!(error(stamped), InvalidOrder::Added(_)));
    let long = alice().with(AttributeType::FILTER_ID, [b'x'; 254]);
    assert!(matches!(
        error(long),
        InvalidOrder::Encode(EncodeError::ValueTooLong { .. })
    ));
}

#[test]
fn orders_are_given_and_shown_as_text() {
    let dictionary = Dictionary::builtin();
    let lines = [
        "User-Name = \"alice\"",
        "Mikrotik-Rate-Limit = \"1M/1M\"",
        "ERX-Service-Activate:1 = \"fast\"",
        "Session-Timeout = 3600",
    ];
    let order = lines
        .iter()
        .try_fold(Order::change(), |order, line| order.with_text(dictionary, line))
        .unwrap();
    let shown: Vec<String> = order
        .pairs(dictionary)
        .iter()
        .map(|pair| dictionary.print(pair).to_string())
        .collect();
    assert_eq!(shown, lines);
    let same = Order::change()
        .with(AttributeType::USER_NAME, "alice")
        .with_vendor(14988, 8, "1M/1M")
        .with_vendor(4874, 65, "\x01fast")
        .with(AttributeType::SESSION_TIMEOUT, 3600u32.to_be_bytes());
    let bytes = |order: &Order| {
        let mut exchange = exchange(order, Retry::default()).unwrap();
        exchange.transmit(Instant::now(), 0).unwrap().to_vec()
    };
    assert_eq!(bytes(&order), bytes(&same));
    assert!(matches!(
        Order::change().with_text(dictionary, "Session-Timeout = soon"),
        Err(InvalidOrder::Text(_))
    ));
}

#[test]
fn the_same_bytes_go_out_until_patience_ends() {
    let retry = Retry {
        attempts: 4,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_secs(3),
    };
    let mut exchange = exchange(&alice(), retry).unwrap();
    let start = Instant::now();
    let mut now = start;
    let first = exchange.transmit(now, u16::MAX / 2).unwrap().to_vec();
    let mut waits = Vec::new();
    loop {
        assert!(exchange.transmit(now, 0).is_none(), "not before it is due");
        let due = exchange.due().unwrap();
        assert!(!exchange.expired(due - Duration::from_millis(1)));
        waits.push(due - now);
        now = due;
        match exchange.transmit(now, u16::MAX / 2) {
            Some(packet) => assert_eq!(packet, first),
            None => break,
        }
    }
    assert!(exchange.expired(now));
    assert_eq!(exchange.attempts(), 4);
    assert_eq!(exchange.since_sent(now), waits.last().copied());
    for (wait, expected) in waits.iter().zip([1000, 2000, 3000, 3000]) {
        assert!(wait.as_millis().abs_diff(expected) <= expected / 100, "{waits:?}");
    }
}

#[test]
fn waits_vary_by_a_tenth_and_no_attempts_is_none() {
    let wait = |random| {
        let mut exchange = exchange(&alice(), quick(1, 1000)).unwrap();
        let now = Instant::now();
        exchange.transmit(now, random).unwrap();
        (exchange.due().unwrap() - now).as_millis()
    };
    assert_eq!((wait(0), wait(u16::MAX)), (899, 1099));
    let mut never = exchange(&alice(), quick(0, 1000)).unwrap();
    assert!(never.transmit(Instant::now(), 0).is_none() && never.expired(Instant::now()));
}

#[test]
fn answers_are_read() {
    let cases = [
        (Code::DISCONNECT_ACK, None, Outcome::Ack),
        (Code::DISCONNECT_NAK, None, Outcome::Nak(None)),
        (
            Code::DISCONNECT_NAK,
            Some(503),
            Outcome::Nak(Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND)),
        ),
        (Code::DISCONNECT_NAK, Some(999), Outcome::Nak(Some(ErrorCause(999)))),
    ];
    for (code, cause, outcome) in cases {
        let mut exchange = exchange(&alice(), Retry::default()).unwrap();
        let request = exchange.transmit(Instant::now(), 0).unwrap().to_vec();
        let reply = answer(&request, &secret(), code, cause);
        assert_eq!(exchange.receive(nas(), &reply), Some(outcome));
    }
    assert_eq!(ErrorCause(503).to_string(), "503 Session Context Not Found");
    assert_eq!(ErrorCause(999).to_string(), "Error-Cause 999");
}

#[test]
fn what_is_no_answer_is_counted_and_dropped() {
    let mut exchange = exchange(&alice(), Retry::default()).unwrap();
    let request = exchange.transmit(Instant::now(), 0).unwrap().to_vec();
    let good = answer(&request, &secret(), Code::DISCONNECT_ACK, None);
    let other = SharedSecret::new(b"other").unwrap();
    let same_port: SocketAddr = "192.0.2.2:3799".parse().unwrap();
    let same_address: SocketAddr = "192.0.2.1:3798".parse().unwrap();
    let mut late = good.clone();
    late[1] = 8;
    for (from, datagram) in [
        (same_port, good.clone()),
        (same_address, good.clone()),
        (nas(), answer(&request, &other, Code::DISCONNECT_ACK, None)),
        (nas(), answer(&request, &secret(), Code::COA_ACK, None)),
        (nas(), late),
        (nas(), request.clone()),
        (nas(), Vec::new()),
    ] {
        assert_eq!(exchange.receive(from, &datagram), None);
    }
    assert_eq!(exchange.rejected(), 7);
    assert_eq!(exchange.receive(nas(), &good), Some(Outcome::Ack));
}

/// A NAS on loopback that stays silent `silent` times and then answers under `secret`.
async fn serve(socket: UdpSocket, silent: usize, secret: SharedSecret) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        seen.push(buffer[..length].to_vec());
        if seen.len() > silent {
            let reply = answer(&buffer[..length], &secret, Code::DISCONNECT_ACK, None);
            socket.send_to(&reply, from).await.unwrap();
            return seen;
        }
    }
}

async fn loopback() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn a_lost_packet_is_sent_again_unchanged() {
    let (socket, address) = loopback().await;
    let nas = tokio::spawn(serve(socket, 2, secret()));
    let report = send(address, &secret(), &alice(), &quick(50, 100)).await.unwrap();
    // More than three where the machine is too busy to answer in time.
    assert!(report.attempts >= 3, "{report:?}");
    assert_eq!((report.outcome, report.rejected), (Outcome::Ack, 0));
    assert!(report.round_trip.is_some());
    let seen = nas.await.unwrap();
    assert!(seen.iter().all(|packet| *packet == seen[0]));
}

#[tokio::test]
async fn an_answer_under_another_secret_is_silence_with_a_hint() {
    let (socket, address) = loopback().await;
    let nas = tokio::spawn(serve(socket, 0, SharedSecret::new(b"other").unwrap()));
    let report = send(address, &secret(), &alice(), &quick(1, 2000)).await.unwrap();
    assert_eq!((report.outcome, report.rejected), (Outcome::Timeout, 1));
    assert_eq!(report.round_trip, None);
    nas.await.unwrap();
}

#[tokio::test]
async fn a_closed_port_is_waited_for() {
    let (socket, address) = loopback().await;
    drop(socket);
    let report = send(address, &secret(), &alice(), &quick(3, 50)).await.unwrap();
    assert_eq!((report.outcome, report.attempts), (Outcome::Timeout, 3));
}

#[tokio::test]
async fn an_invalid_order_is_an_error() {
    let error = send(nas(), &secret(), &Order::disconnect(), &Retry::default())
        .await
        .unwrap_err();
    assert!(matches!(error, CoaError::Order(InvalidOrder::NoSession)), "{error}");
}
