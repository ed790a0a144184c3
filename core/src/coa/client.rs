//! Orders to many NAS at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::transport::{Counts, Transport, Udp};
use super::{CoaError, Order, Pacing, Report, Retry, Target, Via};
use crate::radius::SharedSecret;

type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// Sends orders, any number at once. Cheap to clone; clones share sockets and the pace of each NAS.
///
/// To be used on one tokio runtime: what receives answers lives there.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    udp: Udp,
    others: Others,
    paces: Mutex<HashMap<SocketAddr, Pace>>,
}

/// Transports that have to be set up.
#[derive(Debug, Default)]
struct Others {
    radclient: Option<Box<dyn Transport>>,
    http: Option<Box<dyn Transport>>,
    radsec: Option<Box<dyn Transport>>,
}

/// What one NAS is given at once.
#[derive(Debug)]
struct Pace {
    in_flight: usize,
    room: Arc<Semaphore>,
    /// When the next order may begin.
    next: Instant,
}

impl Client {
    /// UDP alone. No socket is opened before the first order.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Send an order and wait for how it ends; first for its turn, where the NAS is given only so many at once. To drop
    /// the future is to forget the order: an answer is counted as late then.
    ///
    /// # Errors
    /// The order is invalid, or there is no way to the NAS. A refusal and silence are no errors but outcomes.
    pub async fn deliver(&self, target: &Target, order: &Order) -> Result<Report, CoaError> {
        let target = &Target {
            address: canonical(target.address),
            ..target.clone()
        };
        let _turn = self.turn(target.address, target.pacing).await;
        self.transport(target)?.deliver(target, order).await
    }

    /// What came over UDP so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.udp.counts()
    }

    fn transport(&self, target: &Target) -> Result<&dyn Transport, CoaError> {
        let others = &self.0.others;
        let (transport, via, setting) = match target.via {
            Via::Udp => return Ok(&self.0.udp),
            Via::Radclient => (&others.radclient, "radclient", "its path"),
            Via::Http => (&others.http, "HTTP", "the URL of the gateway"),
            Via::RadSec => (&others.radsec, "RadSec", "certificate, key and authorities"),
        };
        transport.as_deref().ok_or(CoaError::NotConfigured {
            nas: target.address,
            via,
            setting,
        })
    }

    /// Wait until the NAS takes one more.
    async fn turn(&self, nas: SocketAddr, pacing: Pacing) -> Option<OwnedSemaphorePermit> {
        let room = {
            let mut paces = self.0.paces.lock();
            let pace = paces.entry(nas).or_insert_with(|| Pace::new(pacing));
            if pace.in_flight != pacing.in_flight {
                *pace = Pace::new(pacing);
            }
            Arc::clone(&pace.room)
        };
        // It is never closed.
        let permit = room.acquire_owned().await.ok();
        if let Some(rate) = pacing.per_second {
            let gap = Duration::from_secs(1) / rate.max(1);
            let begin = self.0.paces.lock().get_mut(&nas).map(|pace| {
                let begin = pace.next.max(Instant::now());
                pace.next = begin + gap;
                begin
            });
            if let Some(begin) = begin {
                tokio::time::sleep_until(begin).await;
            }
        }
        permit
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Pace {
    fn new(pacing: Pacing) -> Self {
        Self {
            in_flight: pacing.in_flight,
            room: Arc::new(Semaphore::new(pacing.in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            next: Instant::now(),
        }
    }
}

/// What a [`Client`] can be given.
#[derive(Debug, Default)]
pub struct ClientBuilder {
    source: Source,
    others: Others,
}

/// Where packets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            ipv4: Ipv4Addr::UNSPECIFIED,
            ipv6: Ipv6Addr::UNSPECIFIED,
        }
    }
}

impl ClientBuilder {
    /// Send from this address of the host; NAS know whom to take orders from by it.
    #[must_use]
    pub const fn source(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.source.ipv4 = address,
            IpAddr::V6(address) => self.source.ipv6 = address,
        }
        self
    }

    /// What NAS [`Via::Radclient`] are told by.
    #[must_use]
    pub fn radclient(mut self, transport: impl Transport + 'static) -> Self {
        self.others.radclient = Some(Box::new(transport));
        self
    }

    /// What NAS [`Via::Http`] are told by.
    #[must_use]
    pub fn http(mut self, transport: impl Transport + 'static) -> Self {
        self.others.http = Some(Box::new(transport));
        self
    }

    /// What NAS [`Via::RadSec`] are told by.
    #[must_use]
    pub fn radsec(mut self, transport: impl Transport + 'static) -> Self {
        self.others.radsec = Some(Box::new(transport));
        self
    }

    #[must_use]
    pub fn build(self) -> Client {
        Client(Arc::new(Inner {
            udp: Udp::new(self.source),
            others: self.others,
            paces: Mutex::default(),
        }))
    }
}

/// Send one order to one NAS, from a socket of its own, and wait for how it ends.
///
/// # Errors
/// As [`Client::deliver`].
pub async fn send(nas: SocketAddr, secret: &SharedSecret, order: &Order, retry: &Retry) -> Result<Report, CoaError> {
    let target = Target {
        retry: *retry,
        ..Target::new(nas, secret.clone())
    };
    Client::new().deliver(&target, order).await
}

/// As the kernel names it when it tells where a datagram came from.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        v4 @ SocketAddr::V4(_) => v4,
    }
}
