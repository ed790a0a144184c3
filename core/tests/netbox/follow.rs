//! What is changed in NetBox, and comes here by a webhook or by the change log.

use std::time::Duration;

use isp_core::netbox::push::{self, Touched};
use isp_core::netbox::{Kind, Sync};
use isp_core::secret::Secret;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::bench::{Bench, on_both};
use crate::lab::octets;

on_both!(
    a_webhook_of_netbox_is_followed,
    a_lost_webhook_is_made_up_for_by_the_change_log,
    a_released_address_does_not_come_back,
);

/// Of what NetBox sends.
const SECRET: &str = "between netbox and us";

/// A hook as it came: the signature and the body.
type Hook = (Option<String>, Vec<u8>);

/// Listens as the side service does; the webhooks come out of the channel.
async fn listen() -> (String, mpsc::Receiver<Hook>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let hook = receive(&mut client).await;
                client
                    .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await
                    .unwrap();
                let _ = sender.send(hook).await;
            });
        }
    });
    (url, receiver)
}

async fn receive(client: &mut tokio::net::TcpStream) -> Hook {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        let read = client.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length: usize = header("content-length").unwrap().parse().unwrap();
        if bytes.len() >= end + 4 + length {
            return (header(push::SIGNATURE), bytes[end + 4..end + 4 + length].to_vec());
        }
    }
}

async fn a_webhook_of_netbox_is_followed(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let id = bench.subscriber(1).await;
    let synced = bench.sync().subscriber(&id, &[Kind::Ipv4]).await.unwrap();
    let (url, mut hooks) = listen().await;
    let api = &bench.lab.api;
    let name = bench.lab.name.as_str();
    let webhook = json!({ "name": name, "payload_url": url, "http_method": "POST", "secret": SECRET,
        "http_content_type": "application/json", "ssl_verification": false });
    let webhook = api.post("extras/webhooks/", webhook).await["id"].as_u64().unwrap();
    let rule = json!({ "name": name, "object_types": ["ipam.ipaddress", "ipam.prefix"], "enabled": true,
        "event_types": ["object_created", "object_updated", "object_deleted"], "action_type": "webhook",
        "action_object_type": "extras.webhook", "action_object_id": webhook });
    let rule = api.post("extras/event-rules/", rule).await["id"].as_u64().unwrap();

    // A person gives the subscriber another address.
    let path = format!("ipam/ip-addresses/{}/", synced[0].netbox_id);
    api.patch(&path, json!({ "address": format!("10.{a}.{b}.9/28") })).await;
    // Other tests write to the same server.
    let ours = async {
        loop {
            let (signature, body) = hooks.recv().await.unwrap();
            let touched = push::read_webhook(&Secret::new(SECRET.to_owned()), signature.as_deref(), &body).unwrap();
            if touched.subscribers.contains(&id) {
                return touched;
            }
        }
    };
    let touched = tokio::time::timeout(Duration::from_secs(60), ours).await.unwrap();
    api.delete(&format!("extras/event-rules/{rule}/")).await;
    api.delete(&format!("extras/webhooks/{webhook}/")).await;
    let report = bench.sync().refresh(&touched).await.unwrap();
    assert_eq!(report.drift.len(), 1, "{report:?}");
    assert_eq!(bench.get(&id).await.static_ipv4, Some([10, a, b, 9].into()));
    // The same webhook again changes nothing.
    assert_eq!(bench.sync().refresh(&touched).await.unwrap().drift, []);
}

async fn a_lost_webhook_is_made_up_for_by_the_change_log(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let id = bench.subscriber(1).await;
    let synced = bench.sync().subscriber(&id, &[Kind::Ipv4]).await.unwrap();
    let sync = bench.sync();
    let mut cursor = sync.cursor().await.unwrap();
    // What was before the first look is the reconciler's business.
    assert!(sync.changes(&mut cursor).await.unwrap().is_empty());
    sync.keep_cursor(&cursor).await.unwrap();

    let path = format!("ipam/ip-addresses/{}/", synced[0].netbox_id);
    bench
        .lab
        .api
        .patch(&path, json!({ "address": format!("10.{a}.{b}.9/28") }))
        .await;
    // Another process goes on where that one stopped.
    let sync: Sync<'_> = bench.sync();
    let mut cursor = sync.cursor().await.unwrap();
    let touched = sync.changes(&mut cursor).await.unwrap();
    assert!(touched.subscribers.contains(&id), "{touched:?}");
    let own = Touched {
        subscribers: [id.clone()].into(),
        pools: touched.pools,
    };
    sync.refresh(&own).await.unwrap();
    assert_eq!(bench.get(&id).await.static_ipv4, Some([10, a, b, 9].into()));
    let again = sync.changes(&mut cursor).await.unwrap();
    assert!(!again.subscribers.contains(&id), "read once: {again:?}");
}

async fn a_released_address_does_not_come_back(bench: &Bench) {
    let (a, b) = octets();
    bench.lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let id = bench.subscriber(1).await;
    bench.sync().subscriber(&id, &[Kind::Ipv4]).await.unwrap();
    bench.sync().release(&id).await.unwrap();
    let touched = Touched {
        subscribers: [id.clone()].into(),
        pools: true,
    };
    assert_eq!(bench.sync().refresh(&touched).await.unwrap().drift, []);
    assert_eq!(bench.get(&id).await.static_ipv4, None);
}
