//! `ispctl serve` follows a real NetBox by its webhooks and by its change log.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::netbox::{TOKEN, set_up, tenant_and_net, url};

crate::on_both_databases!(
    what_a_person_changes_is_here_at_once,
    what_no_webhook_told_is_read_from_the_log
);

const SECRET: &str = "between-netbox-and-us";

/// Status and body of a request's answer.
fn request(host: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head}\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// As a person with the administrator's token.
fn api(url: &str, method: &str, path: &str, body: &Value) -> Value {
    let host = url.strip_prefix("http://").unwrap();
    let head = format!("{method} /api/{path} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}");
    let (status, answer) = request(host, &head, &body.to_string());
    assert!(status < 300, "{method} {path}: {status} {answer}");
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

/// The side service, until it is dropped.
struct Service {
    child: Child,
    /// Where webhooks go.
    host: String,
}

impl Service {
    fn start(lab: &Lab) -> Self {
        lab.write("ispctl.toml", "[netbox]\nlisten = \"127.0.0.1:0\"\n");
        let mut child = lab.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let host = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("webhooks are taken at http://")?.1.trim().to_owned()))
            .unwrap();
        // Nobody else reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, host }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").arg(&id).status();
        let _ = self.child.wait();
    }
}

/// NetBox's id of alice's address, and the address that a person is to give her instead.
fn with_an_address(lab: &Lab, url: &str) -> (Value, String) {
    set_up(lab, url);
    let (name, net) = tenant_and_net();
    let made = ["--make-tenant", &name, "--make-prefix", &net, "--yes"];
    lab.ctl(&[&["netbox", "bootstrap"], &made[..]].concat()).ok();
    let synced = lab.ctl(&["netbox", "sync", "alice", "--json"]).json();
    (synced[0]["netbox_id"].clone(), net.replace(".0/29", ".6"))
}

fn wait_for(lab: &Lab, address: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let address_of = || lab.ctl(&["subscriber", "show", "alice", "--json"]).json()["static_ipv4"].clone();
    while address_of() != address {
        assert!(Instant::now() < deadline, "alice has {}, not {address}", address_of());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn what_a_person_changes_is_here_at_once(lab: &Lab) {
    let Some(url) = url() else { return };
    let (id, address) = with_an_address(lab, &url);
    let word = lab.write("word", &format!("{SECRET}\n"));
    lab.ctl(&[
        "netbox",
        "set",
        "--webhook-secret-file",
        word.to_str().unwrap(),
        "--poll-seconds",
        "0",
    ])
    .ok();
    let shown = lab.ctl(&["netbox", "show", "--json"]).json();
    assert_eq!(shown["webhook_configured"], true);
    let tenant = lab.ctl(&["tenant", "list", "--json"]).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let service = Service::start(lab);
    let path = format!("/api/v1/netbox/webhook/{tenant}");

    // Nobody who has not the secret is heard.
    let forged = format!("POST {path} HTTP/1.0\r\nX-Hook-Signature: {}", "0".repeat(128));
    assert_eq!(request(&service.host, &forged, "{}").0, 401);
    assert_eq!(request(&service.host, &format!("POST {path} HTTP/1.0"), "{}").0, 401);
    assert_eq!(
        request(&service.host, "POST /api/v1/netbox/webhook/nobody HTTP/1.0", "{}").0,
        401
    );
    assert_eq!(request(&service.host, &forged, &" ".repeat(300 << 10)).0, 413);

    let name = format!("push-{:08x}", fastrand::u32(..));
    let payload_url = format!("http://{}{path}", service.host);
    let hook = json!({ "name": name, "payload_url": payload_url, "http_method": "POST", "secret": SECRET,
        "http_content_type": "application/json", "ssl_verification": false });
    let hook = api(&url, "POST", "extras/webhooks/", &hook)["id"].clone();
    let rule = json!({ "name": name, "object_types": ["ipam.ipaddress", "ipam.prefix"], "enabled": true,
        "event_types": ["object_created", "object_updated", "object_deleted"], "action_type": "webhook",
        "action_object_type": "extras.webhook", "action_object_id": hook });
    let rule = api(&url, "POST", "extras/event-rules/", &rule)["id"].clone();
    api(
        &url,
        "PATCH",
        &format!("ipam/ip-addresses/{id}/"),
        &json!({ "address": format!("{address}/29") }),
    );
    wait_for(lab, &address);
    api(&url, "DELETE", &format!("extras/event-rules/{rule}/"), &json!({}));
    api(&url, "DELETE", &format!("extras/webhooks/{hook}/"), &json!({}));
    lab.never_printed(&[SECRET]);
}

fn what_no_webhook_told_is_read_from_the_log(lab: &Lab) {
    let Some(url) = url() else { return };
    let (id, address) = with_an_address(lab, &url);
    lab.ctl(&["netbox", "set", "--poll-seconds", "1"]).ok();
    // The first process has seen the log up to here, and is gone when it goes on.
    let service = Service::start(lab);
    let deadline = Instant::now() + Duration::from_secs(30);
    while lab
        .query("SELECT service FROM tenant_services WHERE service = 'netbox_changes'")
        .is_empty()
    {
        assert!(Instant::now() < deadline, "no place in the log is remembered");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(service);
    api(
        &url,
        "PATCH",
        &format!("ipam/ip-addresses/{id}/"),
        &json!({ "address": format!("{address}/29") }),
    );
    let _service = Service::start(lab);
    wait_for(lab, &address);
}
