//! RADIUS over TLS (RFC 6614): one connection a NAS, orders told apart by their identifiers.
//!
//! A NAS shows a certificate, and so do we. The secret is the word `radsec` (section 2.3). Nothing is sent twice over one
//! connection, for TCP does that; where it is lost, orders go out again over the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::lane::Lane;
use super::{Delivery, Transport};
use crate::clock::unix_now;
use crate::coa::{CoaError, Exchange, Order, Outcome, Report, Retry, Target};
use crate::radius::{MAX_PACKET, MIN_PACKET, SharedSecret};
use crate::secret::Secret;

const VIA: &str = "RadSec";
/// The port (RFC 6614 section 2.1).
pub const RADSEC_PORT: u16 = 2083;
/// Packets that wait to be written.
const QUEUE: usize = 256;
/// Where all identifiers of the connection are in use.
const WAIT_FOR_IDENTIFIER: Duration = Duration::from_millis(50);

type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;
type Stream = TlsStream<TcpStream>;

/// What both sides show.
#[derive(Debug, Clone)]
pub struct RadSecSettings {
    /// PEM of our certificate and those between it and the authority.
    pub certificate: Vec<u8>,
    /// PEM of its key.
    pub key: Secret<Vec<u8>>,
    /// PEM of the authorities that certify NAS.
    pub authorities: Vec<u8>,
}

/// What cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[error("RADIUS over TLS: {0}")]
pub struct RadSecError(String);

/// Tells NAS over TLS.
#[derive(Debug)]
pub struct RadSec {
    tls: Arc<ClientConfig>,
    secret: SharedSecret,
    links: Mutex<HashMap<SocketAddr, Slot>>,
}

/// Those who want the same connection wait for one another to make it.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

/// A connection at work.
#[derive(Debug)]
struct Link {
    lane: Arc<Mutex<Lane>>,
    packets: mpsc::Sender<Vec<u8>>,
    tasks: [AbortHandle; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl RadSec {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// Certificate, key or authorities are not what they should be.
    pub fn new(settings: &RadSecSettings) -> Result<Self, RadSecError> {
        let bad = |what: &str, why: &dyn std::fmt::Display| RadSecError(format!("{what}: {why}"));
        let certificates = |what: &str, pem: &[u8]| {
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            match all {
                Ok(all) if all.is_empty() => Err(bad(what, &"there is none in it")),
                all => all.map_err(|error| bad(what, &error)),
            }
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates("the authorities", &settings.authorities)? {
            roots.add(authority).map_err(|error| bad("the authorities", &error))?;
        }
        // Not why: that could show of the key.
        let key = PrivateKeyDer::from_pem_slice(settings.key.expose())
            .map_err(|_| bad("the key", &"it is not in the form of PEM"))?;
        let chain = certificates("the certificate", &settings.certificate)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad("TLS", &error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| bad("the certificate", &error))?;
        Ok(Self {
            tls: Arc::new(tls),
            secret: SharedSecret::new(b"radsec").map_err(|error| bad("the secret", &error))?,
            links: Mutex::default(),
        })
    }

    async fn run(&self, target: &Target, order: &Order) -> Result<Report, CoaError> {
        let retry = target.retry;
        let patience = retry.total();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let tried = match self.link(target).await {
                Ok(link) => self.exchange(&link, target, order, patience).await?,
                Err(error) => Err(error),
            };
            match tried {
                Ok((outcome, round_trip)) => {
                    return Ok(Report {
                        outcome,
                        attempts,
                        round_trip,
                        rejected: 0,
                    });
                }
                Err(problem) if attempts >= retry.attempts.max(1) => {
                    return Err(CoaError::Transport {
                        nas: target.address,
                        via: VIA,
                        problem,
                        temporary: true,
                    });
                }
                Err(_) => tokio::time::sleep(retry.first_wait.min(Duration::from_secs(1))).await,
            }
        }
    }

    /// Over one connection. The inner error says that it broke.
    async fn exchange(
        &self,
        link: &Link,
        target: &Target,
        order: &Order,
        patience: Duration,
    ) -> Result<Result<(Outcome, Option<Duration>), String>, CoaError> {
        let identifier = loop {
            let taken = link.lane.lock().take(Instant::now());
            match taken {
                Some(identifier) => break identifier,
                None => tokio::time::sleep(WAIT_FOR_IDENTIFIER).await,
            }
        };
        let place = Place { link, identifier };
        let once = Retry {
            attempts: 1,
            first_wait: patience,
            longest_wait: patience,
        };
        let time = u32::try_from(unix_now()).unwrap_or(u32::MAX);
        let exchange = Exchange::new(target.address, &self.secret, order, once, identifier, time)?;
        let mut exchange = exchange.strict(target.strict);
        let answer = link.lane.lock().expect(exchange.expected().clone());
        let begun = Instant::now();
        let packet = exchange.transmit(begun, 0).map(<[u8]>::to_vec).unwrap_or_default();
        if link.packets.send(packet).await.is_err() {
            return Ok(Err("the connection broke".to_owned()));
        }
        let answer = tokio::time::timeout(patience, answer).await;
        drop(place);
        Ok(match answer {
            Ok(Ok(outcome)) => Ok((outcome, Some(begun.elapsed()))),
            Ok(Err(_)) => Err("the connection broke before the answer".to_owned()),
            Err(_) => Ok((Outcome::Timeout, None)),
        })
    }

    /// The connection to the NAS, made where there is none.
    async fn link(&self, target: &Target) -> Result<Arc<Link>, String> {
        let slot = Arc::clone(self.links.lock().entry(target.address).or_default());
        let mut slot = slot.lock().await;
        if let Some(link) = slot.as_ref().filter(|link| !link.packets.is_closed()) {
            return Ok(Arc::clone(link));
        }
        *slot = None;
        let connected = tokio::time::timeout(target.retry.first_wait, self.connect(target)).await;
        let stream = connected.map_err(|_| "no connection in time".to_owned())??;
        let link = Arc::new(Link::start(stream));
        *slot = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn connect(&self, target: &Target) -> Result<Stream, String> {
        let name = match &target.certified_name {
            Some(name) => ServerName::try_from(name.to_string()).map_err(|error| format!("{name:?}: {error}"))?,
            None => ServerName::from(target.address.ip()),
        };
        let socket = TcpStream::connect(target.address)
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, socket)
            .await
            .map_err(|error| format!("TLS: {error}"))
    }
}

impl Transport for RadSec {
    fn deliver<'a>(&'a self, target: &'a Target, order: &'a Order) -> Delivery<'a> {
        Box::pin(self.run(target, order))
    }
}

impl Link {
    fn start(stream: Stream) -> Self {
        let (mut from, mut to) = tokio::io::split(stream);
        let (packets, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE);
        let lane = Arc::<Mutex<Lane>>::default();
        let writer = tokio::spawn(async move {
            while let Some(packet) = queue.recv().await {
                if to.write_all(&packet).await.is_err() || to.flush().await.is_err() {
                    break;
                }
            }
        });
        let write = writer.abort_handle();
        let received = Arc::clone(&lane);
        let stop_writing = writer.abort_handle();
        let reader = tokio::spawn(async move {
            while let Some(packet) = next(&mut from).await {
                received.lock().receive(&packet);
            }
            // Nothing more is sent on it, and those who wait are told.
            stop_writing.abort();
            received.lock().close();
        });
        Self {
            lane,
            packets,
            tasks: [write, reader.abort_handle()],
        }
    }
}

/// The next packet of the stream; `None` where it ends, or is no RADIUS.
async fn next(from: &mut ReadHalf<Stream>) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    from.read_exact(&mut head).await.ok()?;
    let [_, _, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !(MIN_PACKET..=MAX_PACKET).contains(&length) {
        return None;
    }
    let mut packet = vec![0; length];
    let (start, rest) = packet.split_at_mut_checked(head.len())?;
    start.copy_from_slice(&head);
    from.read_exact(rest).await.ok()?;
    Some(packet)
}

/// An identifier in use; given back when dropped.
struct Place<'a> {
    link: &'a Link,
    identifier: u8,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.link.lane.lock().give_back(self.identifier, Instant::now());
    }
}
