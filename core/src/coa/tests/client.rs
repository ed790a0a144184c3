#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::{alice, answer, loopback, quick, secret};
use crate::coa::{Client, Order, Outcome, Pacing, Report, Target, Via};
use crate::radius::{AttributeType, Code, Packet, PacketWriter, SharedSecret};

fn target(address: SocketAddr) -> Target {
    Target {
        retry: quick(3, 2_000),
        ..Target::new(address, secret())
    }
}

/// Only what comes from this socket counts as seen.
async fn next(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 4096];
    let (length, from) = tokio::time::timeout(Duration::from_secs(20), socket.recv_from(&mut buffer))
        .await
        .expect("nothing came")
        .unwrap();
    buffer.truncate(length);
    (buffer, from)
}

/// Poll until it holds.
async fn eventually(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < deadline, "it never came to hold");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn begin(client: &Client, target: &Target, orders: usize) -> JoinSet<Report> {
    let mut tasks = JoinSet::new();
    for order in 0..orders {
        let (client, target) = (client.clone(), target.clone());
        tasks.spawn(async move {
            let order = Order::disconnect().with(AttributeType::USER_NAME, format!("user-{order}"));
            client.deliver(&target, &order).await.unwrap()
        });
    }
    tasks
}

#[tokio::test]
async fn more_than_256_are_in_flight_to_one_nas() {
    const ORDERS: usize = 600;
    let (nas, address) = loopback().await;
    let client = Client::new();
    let mut target = target(address);
    target.pacing.in_flight = ORDERS;
    target.retry = quick(10, 2_000);
    let tasks = begin(&client, &target, ORDERS);
    // Nothing is answered before all are here.
    let mut seen = std::collections::HashMap::new();
    while seen.len() < ORDERS {
        let (packet, from) = next(&nas).await;
        seen.insert((from, packet[1]), packet);
    }
    let users: HashSet<Vec<u8>> = seen.values().map(|packet| user(packet)).collect();
    assert_eq!(users.len(), ORDERS, "no identifier has two orders");
    let sockets: HashSet<SocketAddr> = seen.keys().map(|(from, _)| *from).collect();
    assert_eq!(sockets.len(), ORDERS.div_ceil(256));
    for ((from, _), packet) in seen {
        nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
            .await
            .unwrap();
    }
    let reports = tasks.join_all().await;
    assert!(reports.iter().all(|report| report.outcome == Outcome::Ack));
    assert_eq!(client.counts().answered, ORDERS as u64);
}

fn user(packet: &[u8]) -> Vec<u8> {
    let packet = Packet::decode(packet).unwrap();
    packet.get(AttributeType::USER_NAME).unwrap().value.to_vec()
}

#[tokio::test]
async fn sockets_are_shared_and_used_again() {
    let client = Client::new();
    let mut sources = HashSet::new();
    for _ in 0..3 {
        let (nas, address) = loopback().await;
        for _ in 0..100 {
            let tasks = begin(&client, &target(address), 1);
            let (packet, from) = next(&nas).await;
            sources.insert(from);
            nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
                .await
                .unwrap();
            assert_eq!(tasks.join_all().await[0].outcome, Outcome::Ack);
        }
    }
    assert_eq!(sources.len(), 1);
}

#[tokio::test]
async fn false_answers_are_counted_and_change_nothing() {
    let (nas, address) = loopback().await;
    let client = Client::new();
    let tasks = begin(&client, &target(address), 1);
    let (packet, from) = next(&nas).await;
    let good = answer(&packet, &secret(), Code::DISCONNECT_ACK, None);
    // The right answer from another port, as a spoofer would send it.
    let (spoofer, _) = loopback().await;
    spoofer.send_to(&good, from).await.unwrap();
    eventually(|| client.counts().unexpected == 1).await;
    // A refusal under another secret; the answer to something else; an identifier never used; no packet at all.
    let other = SharedSecret::new(b"other").unwrap();
    let mut elsewhere = good.clone();
    elsewhere[1] ^= 0x80;
    for false_answer in [
        answer(&packet, &other, Code::DISCONNECT_NAK, None),
        answer(&packet, &secret(), Code::COA_ACK, None),
        good[..19].to_vec(),
    ] {
        nas.send_to(&false_answer, from).await.unwrap();
    }
    nas.send_to(&elsewhere, from).await.unwrap();
    nas.send_to(&[], from).await.unwrap();
    eventually(|| client.counts().rejected == 3 && client.counts().unexpected == 3).await;
    assert_eq!(client.counts().answered, 0);
    nas.send_to(&good, from).await.unwrap();
    let report = tasks.join_all().await[0];
    assert_eq!((report.outcome, report.rejected), (Outcome::Ack, 3));
    // And once more: it is known.
    nas.send_to(&good, from).await.unwrap();
    eventually(|| client.counts().duplicate == 1).await;
    assert_eq!(client.counts().answered, 1);
}

#[tokio::test]
async fn a_late_answer_is_known_and_nobody_elses() {
    let (nas, address) = loopback().await;
    let client = Client::new();
    let impatient = Target {
        retry: quick(1, 50),
        ..target(address)
    };
    let report = client.deliver(&impatient, &alice()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Timeout);
    let (packet, from) = next(&nas).await;
    let tasks = begin(&client, &target(address), 1);
    let (second, _) = next(&nas).await;
    assert_ne!(packet[1], second[1], "the identifier rests");
    nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
        .await
        .unwrap();
    eventually(|| client.counts().late == 1).await;
    nas.send_to(&answer(&second, &secret(), Code::DISCONNECT_NAK, None), from)
        .await
        .unwrap();
    let report = tasks.join_all().await[0];
    assert_eq!((report.outcome, report.rejected), (Outcome::Nak(None), 0));
}

#[tokio::test]
async fn strict_takes_no_unsigned_answer() {
    let (nas, address) = loopback().await;
    let client = Client::new();
    let strict = Target {
        strict: true,
        ..target(address)
    };
    let tasks = begin(&client, &strict, 1);
    let (packet, from) = next(&nas).await;
    nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_NAK, None), from)
        .await
        .unwrap();
    eventually(|| client.counts().rejected == 1).await;
    let request = Packet::decode(&packet).unwrap().verify_request(&secret()).unwrap();
    let (mut reply, secret) = (Vec::new(), secret());
    let mut writer = PacketWriter::reply(Code::DISCONNECT_ACK, &request, &secret, &mut reply);
    writer.message_authenticator().unwrap();
    writer.finish();
    nas.send_to(&reply, from).await.unwrap();
    assert_eq!(tasks.join_all().await[0].outcome, Outcome::Ack);
}

#[tokio::test]
async fn pacing_holds_back() {
    let (nas, address) = loopback().await;
    let client = Client::new();
    let mut paced = target(address);
    paced.pacing = Pacing {
        in_flight: 3,
        per_second: None,
    };
    let tasks = begin(&client, &paced, 20);
    let most = Arc::new(std::sync::atomic::AtomicU64::new(0));
    for answered in 0..20 {
        let (packet, from) = next(&nas).await;
        let ahead = client.counts().sent - answered;
        most.fetch_max(ahead, std::sync::atomic::Ordering::Relaxed);
        nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
            .await
            .unwrap();
    }
    assert_eq!(tasks.join_all().await.len(), 20);
    assert!(most.load(std::sync::atomic::Ordering::Relaxed) <= 3);

    paced.pacing.per_second = Some(50);
    let start = Instant::now();
    let tasks = begin(&client, &paced, 11);
    for _ in 0..11 {
        let (packet, from) = next(&nas).await;
        nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
            .await
            .unwrap();
    }
    tasks.join_all().await;
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_order_that_is_dropped_gives_its_place_back() {
    let (nas, address) = loopback().await;
    let client = Client::new();
    let mut one = target(address);
    one.pacing.in_flight = 1;
    let mut tasks = begin(&client, &one, 1);
    let (packet, from) = next(&nas).await;
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
        .await
        .unwrap();
    eventually(|| client.counts().late == 1).await;
    let tasks = begin(&client, &one, 1);
    let (packet, from) = next(&nas).await;
    nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
        .await
        .unwrap();
    assert_eq!(tasks.join_all().await[0].outcome, Outcome::Ack);
}

#[tokio::test]
async fn dead_nas_do_not_hold_up_the_living() {
    let client = Client::new();
    let mut dead_sockets = Vec::new();
    let mut dead_tasks = Vec::new();
    for _ in 0..20 {
        let (socket, address) = loopback().await;
        let mut dead = target(address);
        dead.retry = quick(5, 60_000);
        dead_tasks.push(begin(&client, &dead, 300));
        dead_sockets.push(socket);
    }
    eventually(|| client.counts().sent >= 20 * 256).await;
    let (nas, address) = loopback().await;
    let living = tokio::spawn(async move {
        loop {
            let (packet, from) = next(&nas).await;
            let reply = answer(&packet, &secret(), Code::DISCONNECT_ACK, None);
            nas.send_to(&reply, from).await.unwrap();
        }
    });
    let reports = begin(&client, &target(address), 500).join_all().await;
    assert!(reports.iter().all(|report| report.outcome == Outcome::Ack));
    living.abort();
}

#[tokio::test]
async fn ipv6_and_mapped_addresses_work() {
    let client = Client::new();
    let Ok(nas) = UdpSocket::bind("[::1]:0").await else {
        return;
    };
    let (v4, v4_address) = loopback().await;
    let mapped = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), v4_address.port()));
    for (nas, address) in [(&nas, nas.local_addr().unwrap()), (&v4, mapped)] {
        let tasks = begin(&client, &target(address), 1);
        let (packet, from) = next(nas).await;
        nas.send_to(&answer(&packet, &secret(), Code::DISCONNECT_ACK, None), from)
            .await
            .unwrap();
        assert_eq!(tasks.join_all().await[0].outcome, Outcome::Ack);
    }
}

#[tokio::test]
async fn a_transport_that_is_not_set_up_is_told() {
    for via in [Via::Radclient, Via::Http, Via::RadSec] {
        let target = Target {
            via,
            ..target("127.0.0.1:3799".parse().unwrap())
        };
        let error = Client::new().deliver(&target, &alice()).await.unwrap_err();
        assert!(
            !error.is_temporary() && error.to_string().contains("not configured"),
            "{error}"
        );
    }
}
