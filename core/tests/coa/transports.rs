//! Other ways than UDP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use isp_core::coa::{
    Client, CoaError, ErrorCause, Gateway, GatewaySettings, Order, Outcome, RadSec, RadSecSettings, Radclient, Report,
    Retry, Settings, Target, Via,
};
use isp_core::radius::{AttributeType, Code, Packet, PacketWriter, SharedSecret};
use isp_core::secret::Secret;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::radiusd::{Radiusd, SECRET, skip};
use crate::{IMPATIENT, RETRY, disconnect};

fn target(address: SocketAddr, secret: &str, via: Via, retry: Retry) -> Target {
    Target {
        retry,
        via,
        ..Target::new(address, SharedSecret::new(secret.as_bytes()).unwrap())
    }
}

#[tokio::test]
async fn radclient_tells_a_nas() {
    let Some(nas) = Radiusd::start() else { return };
    if std::process::Command::new("radclient").arg("-v").output().is_err() {
        skip("radclient is not installed");
        return;
    }
    let client = Client::builder().radclient(Radclient::default()).build();
    let tell = async |secret: &str, order: &Order, retry| {
        let target = target(nas.address(), secret, Via::Radclient, retry);
        client.deliver(&target, order).await.unwrap()
    };
    // What would break a line, a quoted string or a shell.
    let awkward = Order::change()
        .with(AttributeType::USER_NAME, "a b|c=\"d\"\n%{0}`$(id)`\\")
        .with(AttributeType::CLASS, [0, 1, 2, 0xff])
        .with_vendor(14988, 8, "10M/20M");
    let report = tell(SECRET, &awkward, RETRY).await;
    assert_eq!(report.outcome, Outcome::Ack);
    assert!(report.round_trip.is_some());
    let report = tell(SECRET, &disconnect("gone"), RETRY).await;
    assert_eq!(
        report.outcome,
        Outcome::Nak(Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND))
    );
    for (secret, user) in [(SECRET, "silent"), ("another secret", "alice")] {
        let report = tell(secret, &disconnect(user), IMPATIENT).await;
        assert_eq!((report.outcome, report.attempts), (Outcome::Timeout, 2), "{report:?}");
    }
    let extended = disconnect("alice").with(AttributeType(241), [1, 2]);
    let target = target(nas.address(), SECRET, Via::Radclient, RETRY);
    let error = client.deliver(&target, &extended).await.unwrap_err();
    assert!(!error.is_temporary(), "{error}");
    let client = Client::builder()
        .radclient(Radclient::new("/nonexistent/radclient"))
        .build();
    let error = client.deliver(&target, &disconnect("alice")).await.unwrap_err();
    assert!(
        !error.is_temporary() && error.to_string().contains("/nonexistent/radclient"),
        "{error}"
    );
}

/// Answers each request with the next of these, and gives what was asked.
async fn gateway(answers: Vec<(&'static str, &'static str)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/coa", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        for (status, body) in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).await.unwrap();
            }
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            let mut text = vec![0; length.unwrap().parse().unwrap()];
            stream.read_exact(&mut text).await.unwrap();
            seen.lock().unwrap().push(head + &String::from_utf8(text).unwrap());
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

async fn by_gateway(
    order: &Order,
    answers: Vec<(&'static str, &'static str)>,
) -> (Result<Report, CoaError>, Vec<String>) {
    let (url, asked) = gateway(answers).await;
    let gateway = Gateway::new(&GatewaySettings {
        url,
        key: Some(Secret::new("a-key".to_owned())),
        timeout: Duration::from_secs(10),
    });
    let client = Client::builder().http(gateway.unwrap()).build();
    let retry = Retry {
        attempts: 3,
        first_wait: Duration::from_millis(20),
        longest_wait: Duration::from_millis(20),
    };
    let target = target("192.0.2.7:3799".parse().unwrap(), "unused", Via::Http, retry);
    let report = client.deliver(&target, order).await;
    let asked = asked.lock().unwrap().clone();
    (report, asked)
}

#[tokio::test]
async fn a_gateway_is_asked() {
    let order = disconnect("a\"b");
    let (report, asked) = by_gateway(&order, vec![("200 OK", r#"{"success": true, "message": "done"}"#)]).await;
    let report = report.unwrap();
    assert_eq!((report.outcome, report.attempts), (Outcome::Ack, 1));
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(asked.starts_with("POST /coa/disconnect HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.to_lowercase().contains("authorization: bearer a-key\r\n"),
        "{asked}"
    );
    let body: serde_json::Value = serde_json::from_str(asked.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["action"], "disconnect");
    assert_eq!(body["username"], "a\"b");
    assert_eq!(body["session_id"], "81a00001");
    assert_eq!(body["nas_ip"], "192.0.2.7");

    let order = Order::change()
        .with(AttributeType::USER_NAME, "alice")
        .with_vendor(14988, 8, "10M/20M");
    let refused = r#"{"success": false, "error_cause": 503}"#;
    let (report, asked) = by_gateway(&order, vec![("200 OK", refused)]).await;
    assert_eq!(report.unwrap().outcome, Outcome::Nak(Some(ErrorCause(503))));
    assert!(asked[0].starts_with("POST /coa/coa "), "{asked:?}");
    let limit = r#"{"name":"Mikrotik-Rate-Limit","value":"10M/20M"}"#;
    assert!(asked[0].contains(limit), "{asked:?}");
}

#[tokio::test]
async fn a_gateway_that_fails_is_asked_again_so_often() {
    let busy = ("503 Service Unavailable", "");
    let (report, asked) = by_gateway(&disconnect("alice"), vec![busy, ("200 OK", "")]).await;
    let report = report.unwrap();
    assert_eq!((report.outcome, report.attempts, asked.len()), (Outcome::Ack, 2, 2));
    let (report, asked) = by_gateway(&disconnect("alice"), vec![busy; 4]).await;
    assert!(report.unwrap_err().is_temporary());
    assert_eq!(asked.len(), 3);
    let (report, asked) = by_gateway(&disconnect("alice"), vec![("401 Unauthorized", ""); 3]).await;
    let error = report.unwrap_err();
    assert!(!error.is_temporary() && !error.to_string().contains("a-key"), "{error}");
    assert_eq!(asked.len(), 1);
    let (report, _) = by_gateway(&disconnect("alice"), vec![("504 Gateway Timeout", "")]).await;
    assert_eq!(report.unwrap().outcome, Outcome::Timeout);
}

/// Answers packets over TLS, and hangs up without an answer to every `hang_up`th.
async fn radsec_nas(certificates: &std::path::Path, hang_up: usize) -> SocketAddr {
    let pem = certificates.join("server.pem");
    let chain = CertificateDer::pem_file_iter(&pem)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(&pem).unwrap();
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(certificates.join("ca.pem")).unwrap() {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let secret = SharedSecret::new(b"radsec").unwrap();
        let mut packets = 0;
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(socket).await else {
                continue;
            };
            loop {
                let mut packet = vec![0; 4];
                if stream.read_exact(&mut packet).await.is_err() {
                    break;
                }
                packet.resize(usize::from(u16::from_be_bytes([packet[2], packet[3]])), 0);
                stream.read_exact(&mut packet[4..]).await.unwrap();
                packets += 1;
                if packets % hang_up == 0 {
                    break;
                }
                let request = Packet::decode(&packet).unwrap().verify_request(&secret).unwrap();
                let request = request.require_message_authenticator().unwrap();
                let mut reply = Vec::new();
                PacketWriter::reply(Code::DISCONNECT_ACK, &request, &secret, &mut reply).finish();
                stream.write_all(&reply).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn radsec_multiplexes_and_connects_again() {
    let certificates = tempfile::tempdir().unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/certs");
    let made = std::process::Command::new(script)
        .arg(certificates.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| std::fs::read(certificates.path().join(name)).unwrap();
    let settings = RadSecSettings {
        certificate: file("client.pem"),
        key: Secret::new(file("client.pem")),
        authorities: file("ca.pem"),
    };
    let address = radsec_nas(certificates.path(), 100).await;
    let client = Client::builder().radsec(RadSec::new(&settings).unwrap()).build();
    let mut target = target(address, "unused", Via::RadSec, RETRY);
    target.certified_name = Some("localhost".into());
    target.pacing.in_flight = 1_000;
    // More than there are identifiers, over connections that break twice.
    let mut tasks = tokio::task::JoinSet::new();
    for order in 0..600 {
        let (client, target) = (client.clone(), target.clone());
        tasks.spawn(async move { client.deliver(&target, &disconnect(&format!("user-{order}"))).await });
    }
    for report in tasks.join_all().await {
        assert_eq!(report.unwrap().outcome, Outcome::Ack);
    }
    // A NAS with a certificate of another name is not told.
    target.certified_name = Some("nas.example.net".into());
    let other = radsec_nas(certificates.path(), usize::MAX).await;
    let error = client
        .deliver(
            &Target {
                address: other,
                retry: IMPATIENT,
                ..target
            },
            &disconnect("alice"),
        )
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let nothing = RadSecSettings {
        authorities: Vec::new(),
        ..settings
    };
    assert!(RadSec::new(&nothing).is_err());
}

#[test]
fn variables_of_the_environment_are_heeded() {
    let read = |set: &[(&str, &str)]| {
        Settings::from_variables(|name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    };
    let settings = read(&[
        ("RADIUS_COA_PORT", "1700"),
        ("RADIUS_SECRET", "testing123"),
        ("RADIUS_TIMEOUT", "5"),
        ("RADIUS_MAX_RETRIES", "2"),
        ("RADIUS_COA_USE_HTTP", "true"),
        ("RADIUS_COA_HTTP_URL", "http://radius-coa-api:8080/coa"),
        ("RADIUS_HTTP_API_KEY", "a-key"),
        ("RADIUS_DEFAULT_VENDOR", "mikrotik"),
        ("RADIUS_SERVER_HOST", ""),
    ])
    .unwrap();
    assert_eq!((settings.port, settings.via), (Some(1700), Via::Http));
    assert_eq!(
        (settings.retry.attempts, settings.retry.first_wait),
        (3, Duration::from_secs(5))
    );
    assert_eq!(
        (settings.vendor.as_deref(), settings.host.as_deref()),
        (Some("mikrotik"), None)
    );
    assert_eq!(settings.secret.as_ref().unwrap().expose(), "testing123");
    assert!(settings.client().is_ok());
    assert!(!format!("{settings:?}").contains("testing123") && !format!("{settings:?}").contains("a-key"));
    for (name, value) in [
        ("RADIUS_COA_PORT", "0"),
        ("RADIUS_TIMEOUT", "soon"),
        ("RADIUS_USE_HTTP_API", "perhaps"),
    ] {
        assert!(read(&[(name, value)]).unwrap_err().to_string().contains(name));
    }
    assert!(
        read(&[("RADIUS_COA_HTTP_URL", "gopher://x")])
            .unwrap()
            .client()
            .is_err()
    );
}
