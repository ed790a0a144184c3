//! RADIUS over UDP, from sockets that all NAS share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::lane::{Arrival, Lane};
use super::{Delivery, Transport};
use crate::clock::unix_now;
use crate::coa::client::Source;
use crate::coa::{CoaError, Exchange, Expected, Order, Outcome, Report, Target};
use crate::radius::MAX_PACKET;

type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// Orders on their way over one socket. Were all answered in one moment, the answers would fit its buffer, even where the
/// system grants no more than is usual (212,992 bytes, of which a short datagram takes 768).
const PER_SOCKET: usize = 256;
/// Sockets of one address family; past it they are filled beyond [`PER_SOCKET`].
const MOST_SOCKETS: usize = 128;
/// What the buffer of a socket should be; the system grants less.
const BUFFER: usize = 4 << 20;
/// Lanes of a socket that may be idle before those that are are thrown away.
const IDLE_LANES: usize = 1_024;
/// Where all identifiers towards a NAS are in use or rest.
const WAIT_FOR_IDENTIFIER: Duration = Duration::from_millis(100);

/// What came of orders and of datagrams over UDP, since the client was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets sent, retransmissions included.
    pub sent: u64,
    pub retransmitted: u64,
    pub answered: u64,
    /// Answers that came again.
    pub duplicate: u64,
    /// Answers after their order was given up.
    pub late: u64,
    /// Answers that do not verify.
    pub rejected: u64,
    /// Datagrams from where nothing was sent to, or under an identifier that was not used.
    pub unexpected: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    retransmitted: AtomicU64,
    answered: AtomicU64,
    duplicate: AtomicU64,
    late: AtomicU64,
    rejected: AtomicU64,
    unexpected: AtomicU64,
}

impl Counters {
    fn arrived(&self, arrival: Arrival) {
        add(match arrival {
            Arrival::Answer => &self.answered,
            Arrival::Duplicate => &self.duplicate,
            Arrival::Late => &self.late,
            Arrival::Rejected => &self.rejected,
            Arrival::Unexpected => &self.unexpected,
        });
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[derive(Debug)]
pub(in crate::coa) struct Udp {
    source: Source,
    ipv4: Mutex<Vec<Arc<Shared>>>,
    ipv6: Mutex<Vec<Arc<Shared>>>,
    counters: Arc<Counters>,
}

impl Udp {
    pub(in crate::coa) fn new(source: Source) -> Self {
        Self {
            source,
            ipv4: Mutex::default(),
            ipv6: Mutex::default(),
            counters: Arc::default(),
        }
    }

    pub(in crate::coa) fn counts(&self) -> Counts {
        let Counters {
            sent,
            retransmitted,
            answered,
            duplicate,
            late,
            rejected,
            unexpected,
        } = &*self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            sent: get(sent),
            retransmitted: get(retransmitted),
            answered: get(answered),
            duplicate: get(duplicate),
            late: get(late),
            rejected: get(rejected),
            unexpected: get(unexpected),
        }
    }

    /// An identifier that is not in use towards the NAS, on a socket with room.
    async fn place(&self, nas: SocketAddr) -> std::io::Result<Place> {
        loop {
            if let Some(place) = self.try_place(nas)? {
                return Ok(place);
            }
            tokio::time::sleep(WAIT_FOR_IDENTIFIER).await;
        }
    }

    fn try_place(&self, nas: SocketAddr) -> std::io::Result<Option<Place>> {
        let (sockets, source) = match nas {
            SocketAddr::V4(_) => (&self.ipv4, IpAddr::from(self.source.ipv4)),
            SocketAddr::V6(_) => (&self.ipv6, IpAddr::from(self.source.ipv6)),
        };
        let mut sockets = sockets.lock();
        let taken = |socket: &Arc<Shared>, most: usize| Shared::take(socket, nas, most);
        if let Some(place) = sockets.iter().find_map(|socket| taken(socket, PER_SOCKET)) {
            return Ok(Some(place));
        }
        if sockets.len() < MOST_SOCKETS {
            match Shared::bind(source, &self.counters) {
                Ok(socket) => {
                    let place = taken(&socket, PER_SOCKET);
                    sockets.push(socket);
                    return Ok(place);
                }
                // Out of descriptors or ports: those there are have to do.
                Err(_) if !sockets.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sockets.iter().find_map(|socket| taken(socket, usize::MAX)))
    }

    async fn exchange(&self, target: &Target, order: &Order) -> Result<Report, CoaError> {
        let nas = target.address;
        let unreachable = |source| CoaError::Socket { nas, source };
        let place = self.place(nas).await.map_err(unreachable)?;
        let time = u32::try_from(unix_now()).unwrap_or(u32::MAX);
        let exchange = Exchange::new(nas, &target.secret, order, target.retry, place.identifier, time)?;
        let mut exchange = exchange.strict(target.strict);
        let mut answer = place.expect(exchange.expected().clone());
        loop {
            if let Some(packet) = exchange.transmit(Instant::now(), random()?) {
                add(&self.counters.sent);
                place.socket.send(nas, packet).await.map_err(unreachable)?;
                if exchange.attempts() > 1 {
                    add(&self.counters.retransmitted);
                }
            }
            let outcome = match exchange.due() {
                Some(due) => tokio::time::timeout_at(due.into(), &mut answer).await.ok(),
                None => None,
            };
            let now = Instant::now();
            let (outcome, round_trip) = match outcome {
                Some(Ok(outcome)) => (outcome, exchange.since_sent(now)),
                // The receiver is gone with its runtime: nothing will come.
                Some(Err(_)) => (Outcome::Timeout, None),
                None if exchange.expired(now) => (Outcome::Timeout, None),
                None => continue,
            };
            return Ok(Report {
                outcome,
                attempts: exchange.attempts(),
                round_trip,
                rejected: place.rejected(),
            });
        }
    }
}

impl Transport for Udp {
    fn deliver<'a>(&'a self, target: &'a Target, order: &'a Order) -> Delivery<'a> {
        Box::pin(self.exchange(target, order))
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        for socket in self.ipv4.get_mut().iter().chain(self.ipv6.get_mut().iter()) {
            socket.receiver.abort();
        }
    }
}

/// Two octets that vary waits.
fn random() -> Result<u16, getrandom::Error> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

/// A socket that orders to any NAS are sent from.
#[derive(Debug)]
struct Shared {
    socket: Arc<UdpSocket>,
    lanes: Arc<Mutex<Lanes>>,
    receiver: AbortHandle,
}

#[derive(Debug, Default)]
struct Lanes {
    of: HashMap<SocketAddr, Lane>,
    on_their_way: usize,
}

impl Shared {
    fn bind(source: IpAddr, counters: &Arc<Counters>) -> std::io::Result<Arc<Self>> {
        let socket = std::net::UdpSocket::bind((source, 0))?;
        socket.set_nonblocking(true)?;
        // As much as the system grants; too little loses datagrams, which are sent again.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER);
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, BUFFER);
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let lanes = Arc::<Mutex<Lanes>>::default();
        let receiver = receive(Arc::clone(&socket), Arc::clone(&lanes), Arc::clone(counters));
        Ok(Arc::new(Self {
            socket,
            lanes,
            receiver: tokio::spawn(receiver).abort_handle(),
        }))
    }

    fn take(socket: &Arc<Self>, nas: SocketAddr, most: usize) -> Option<Place> {
        let now = Instant::now();
        let mut lanes = socket.lanes.lock();
        if lanes.on_their_way >= most {
            return None;
        }
        if lanes.of.len() >= IDLE_LANES && !lanes.of.contains_key(&nas) {
            lanes.of.retain(|_, lane| !lane.is_idle(now));
        }
        let identifier = lanes.of.entry(nas).or_default().take(now)?;
        lanes.on_their_way += 1;
        drop(lanes);
        Some(Place {
            socket: Arc::clone(socket),
            nas,
            identifier,
        })
    }

    async fn send(&self, nas: SocketAddr, packet: &[u8]) -> std::io::Result<()> {
        use std::io::ErrorKind::{ConnectionRefused, PermissionDenied};
        match self.socket.send_to(packet, nas).await {
            Ok(_) => Ok(()),
            // An ICMP message told late, or a full queue: the same as a packet that is lost.
            Err(error) if matches!(error.kind(), ConnectionRefused | PermissionDenied) => Ok(()),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Hand datagrams to those who wait for them, for as long as the client lives.
async fn receive(socket: Arc<UdpSocket>, lanes: Arc<Mutex<Lanes>>, counters: Arc<Counters>) {
    let mut buffer = [0; MAX_PACKET];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let datagram = buffer.get(..length).unwrap_or_default();
                let arrival = match lanes.lock().of.get_mut(&from) {
                    Some(lane) => lane.receive(datagram),
                    None => Arrival::Unexpected,
                };
                counters.arrived(arrival);
            }
            // Whatever it is, it proves nothing about any NAS.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// An identifier in use; given back when dropped.
#[derive(Debug)]
struct Place {
    socket: Arc<Shared>,
    nas: SocketAddr,
    identifier: u8,
}

impl Place {
    fn expect(&self, expected: Expected) -> oneshot::Receiver<Outcome> {
        self.socket
            .lanes
            .lock()
            .of
            .entry(self.nas)
            .or_default()
            .expect(expected)
    }

    fn rejected(&self) -> u32 {
        let lanes = self.socket.lanes.lock();
        lanes.of.get(&self.nas).map_or(0, |lane| lane.rejected(self.identifier))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.socket.lanes.lock();
        lanes.on_their_way -= 1;
        if let Some(lane) = lanes.of.get_mut(&self.nas) {
            lane.give_back(self.identifier, Instant::now());
        }
    }
}
