//! An exchange on a UDP socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;

use super::{Exchange, InvalidOrder, Order, Outcome, Retry};
use crate::radius::{MAX_PACKET, SharedSecret};

/// Why an order could not be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum CoaError {
    #[error(transparent)]
    Order(#[from] InvalidOrder),
    #[error("cannot send to {nas}: {source}")]
    Socket { nas: SocketAddr, source: std::io::Error },
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// Times the packet was sent.
    pub attempts: u32,
    /// From the last transmission to the answer; `None` without one.
    pub round_trip: Option<Duration>,
    /// Datagrams that came but did not verify. With [`Outcome::Timeout`] that means: another shared secret.
    pub rejected: u32,
}

/// Send one order to one NAS and wait for how it ends.
///
/// # Errors
/// The order is invalid, or there is no route to the NAS. A refusal and silence are no errors but outcomes.
pub async fn send(nas: SocketAddr, secret: &SharedSecret, order: &Order, retry: &Retry) -> Result<Report, CoaError> {
    let [identifier, random @ ..] = random::<3>()?;
    let mut exchange = Exchange::new(nas, secret, order, *retry, identifier, unix_time())?;
    let socket_error = |source| CoaError::Socket { nas, source };
    let socket = bind(nas).await.map_err(socket_error)?;
    let mut buffer = [0; MAX_PACKET];
    let mut random = u16::from_be_bytes(random);
    loop {
        if let Some(packet) = exchange.transmit(Instant::now(), random) {
            match socket.send(packet).await {
                Ok(_) => {}
                // The port unreachable of an earlier attempt, told late: the NAS may be restarting.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(socket_error(error)),
            }
            random = u16::from_be_bytes(self::random()?);
        }
        let outcome = match exchange.due() {
            Some(due) => tokio::time::timeout_at(due.into(), answer(&socket, nas, &mut exchange, &mut buffer)).await,
            None => Ok(Outcome::Timeout),
        };
        let now = Instant::now();
        match outcome {
            Ok(outcome) => return Ok(report(&exchange, outcome, exchange.since_sent(now))),
            Err(_) if exchange.expired(now) => return Ok(report(&exchange, Outcome::Timeout, None)),
            Err(_) => {}
        }
    }
}

/// Wait for the answer.
async fn answer(socket: &UdpSocket, nas: SocketAddr, exchange: &mut Exchange, buffer: &mut [u8]) -> Outcome {
    loop {
        // The socket is connected: the kernel lets in what comes from the NAS only.
        match socket.recv(buffer).await {
            Ok(length) => {
                let datagram = buffer.get(..length).unwrap_or_default();
                if let Some(outcome) = exchange.receive(nas, datagram) {
                    return outcome;
                }
            }
            // Nobody listens there, says the NAS: yet it may when asked again. An ICMP message proves nothing.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

const fn report(exchange: &Exchange, outcome: Outcome, round_trip: Option<Duration>) -> Report {
    Report {
        outcome,
        attempts: exchange.attempts(),
        round_trip,
        rejected: exchange.rejected(),
    }
}

/// A socket of its own, so that no other exchange shares its identifiers.
async fn bind(nas: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = match nas {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(nas).await?;
    Ok(socket)
}

fn unix_time() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Event-Timestamp has 32 bits, unsigned (RFC 2869 section 5.3): enough until 2106.
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
