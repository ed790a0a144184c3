//! A client of EAP-TTLS (RFC 5281) that puts into the tunnel whatever it is told to: eapol_test sends credentials only.

use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use isp_core::radius::{AttributeType, Code, MAX_PACKET, PacketWriter, SharedSecret};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::artifact;
use crate::radclient::SECRET;
use crate::radiusd::Radiusd;

const TTLS: u8 = 21;
/// EAP packets are cut into attributes of this size, TLS into EAP packets of the other.
const ATTRIBUTE: usize = 253;
const FRAGMENT: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// An attribute inside the tunnel.
#[derive(Debug, Clone)]
pub struct Avp {
    code: u32,
    vendor: Option<u32>,
    value: Vec<u8>,
}

impl Avp {
    #[must_use]
    pub fn new(code: u32, value: impl AsRef<[u8]>) -> Self {
        Self {
            code,
            vendor: None,
            value: value.as_ref().to_owned(),
        }
    }

    #[must_use]
    pub const fn of_vendor(mut self, vendor: u32) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// RFC 5281 section 10.1. Mandatory, as a client of RADIUS attributes sends them.
    fn encode(&self) -> Vec<u8> {
        let header = if self.vendor.is_some() { 12 } else { 8 };
        let length = u32::try_from(header + self.value.len()).unwrap();
        let flags: u32 = if self.vendor.is_some() {
            0xc000_0000
        } else {
            0x4000_0000
        };
        let mut bytes = self.code.to_be_bytes().to_vec();
        bytes.extend((flags | length).to_be_bytes());
        bytes.extend(self.vendor.into_iter().flat_map(u32::to_be_bytes));
        bytes.extend(&self.value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// What the NAS says, outside.
pub type Outside<'a> = &'a [(AttributeType, &'a [u8])];

/// Log in as `user_name` with PAP inside a tunnel, and `further` attributes beside it. Is it accepted?
#[must_use]
pub fn login(server: &Radiusd, outside: Outside<'_>, user_name: &str, password: &str, further: &[Avp]) -> bool {
    let mut client = Client::new(server, outside);
    let mut eap = client.begin();
    let mut tls = connection();
    // The handshake: each side's flights in turn.
    loop {
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight).unwrap();
        }
        if !tls.is_handshaking() && flight.is_empty() {
            break;
        }
        let done = !tls.is_handshaking();
        eap = match client.send(eap, &flight) {
            Turn::Challenge(eap, data) => {
                tls.read_tls(&mut data.as_slice()).unwrap();
                tls.process_new_packets().unwrap();
                eap
            }
            Turn::End(accepted) => return accepted,
        };
        if done {
            break;
        }
    }
    let mut avps = Avp::new(1, user_name).encode();
    avps.extend(Avp::new(2, password).encode());
    avps.extend(further.iter().flat_map(Avp::encode));
    tls.writer().write_all(&avps).unwrap();
    let mut flight = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut flight).unwrap();
    }
    match client.send(eap, &flight) {
        Turn::End(accepted) => accepted,
        Turn::Challenge(_, data) => {
            tls.read_tls(&mut data.as_slice()).unwrap();
            tls.process_new_packets().unwrap();
            let mut answer = Vec::new();
            let _ = tls.reader().read_to_end(&mut answer);
            panic!("another round inside the tunnel: {answer:?}")
        }
    }
}

fn connection() -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(artifact::certificates().join("ca.pem")).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // FreeRADIUS 3.2.1 offers no more to EAP as Debian ships it.
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("radius.test").unwrap()).unwrap()
}

/// Identifier of the EAP request that is to be answered.
type Identifier = u8;

enum Turn {
    /// The server's flight.
    Challenge(Identifier, Vec<u8>),
    End(bool),
}

/// The NAS, and the supplicant behind it.
struct Client<'a> {
    socket: UdpSocket,
    secret: SharedSecret,
    outside: Outside<'a>,
    state: Option<Vec<u8>>,
    identifier: u8,
}

impl<'a> Client<'a> {
    fn new(server: &Radiusd, outside: Outside<'a>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", server.auth_port())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            secret: SharedSecret::new(SECRET.as_bytes()).unwrap(),
            outside,
            state: None,
            identifier: 0,
        }
    }

    /// Identity, and another method than the server begins with.
    fn begin(&mut self) -> Identifier {
        let identity = [&[2, 1, 0, 14, 1][..], b"anonymous"].concat();
        let (code, eap) = self.exchange(&identity);
        assert_eq!(code, Code::ACCESS_CHALLENGE);
        if eap[4] == TTLS {
            return eap[1];
        }
        let (_, eap) = self.exchange(&[2, eap[1], 0, 6, 3, TTLS]);
        assert_eq!(eap[4], TTLS, "the server does not do TTLS");
        eap[1]
    }

    /// Send a flight of TLS, fragment by fragment, and take in the server's.
    fn send(&mut self, mut identifier: Identifier, flight: &[u8]) -> Turn {
        let fragments: Vec<&[u8]> = if flight.is_empty() {
            vec![&[]]
        } else {
            flight.chunks(FRAGMENT).collect()
        };
        let mut last = None;
        for (number, fragment) in fragments.iter().enumerate() {
            let more = number + 1 < fragments.len();
            let long = number == 0 && more;
            let mut body = vec![TTLS, u8::from(long) << 7 | u8::from(more) << 6];
            if long {
                body.extend(u32::try_from(flight.len()).unwrap().to_be_bytes());
            }
            body.extend(*fragment);
            let (code, eap) = self.respond(identifier, &body);
            if code != Code::ACCESS_CHALLENGE {
                return Turn::End(code == Code::ACCESS_ACCEPT);
            }
            identifier = eap[1];
            last = Some(eap);
        }
        let mut eap = last.unwrap();
        let mut data = Vec::new();
        loop {
            let flags = eap[5];
            data.extend(&eap[if flags & 0x80 == 0 { 6 } else { 10 }..]);
            if flags & 0x40 == 0 {
                return Turn::Challenge(identifier, data);
            }
            let (code, next) = self.respond(identifier, &[TTLS, 0]);
            assert_eq!(code, Code::ACCESS_CHALLENGE);
            identifier = next[1];
            eap = next;
        }
    }

    fn respond(&mut self, identifier: Identifier, body: &[u8]) -> (Code, Vec<u8>) {
        let length = u16::try_from(4 + body.len()).unwrap().to_be_bytes();
        self.exchange(&[&[2, identifier, length[0], length[1]], body].concat())
    }

    /// One packet and its answer, with the EAP in it.
    fn exchange(&mut self, eap: &[u8]) -> (Code, Vec<u8>) {
        self.identifier = self.identifier.wrapping_add(1);
        let mut buffer = Vec::with_capacity(MAX_PACKET);
        let mut packet =
            PacketWriter::request(Code::ACCESS_REQUEST, self.identifier, &self.secret, &mut buffer).unwrap();
        packet.message_authenticator().unwrap();
        packet.attribute(AttributeType::USER_NAME, b"anonymous").unwrap();
        for (kind, value) in self.outside {
            packet.attribute(*kind, value).unwrap();
        }
        if let Some(state) = &self.state {
            packet.attribute(AttributeType::STATE, state).unwrap();
        }
        for part in eap.chunks(ATTRIBUTE) {
            packet.attribute(AttributeType::EAP_MESSAGE, part).unwrap();
        }
        let request = packet.finish();
        self.socket.send(&buffer).unwrap();
        let mut answer = [0; MAX_PACKET];
        let length = self.socket.recv(&mut answer).expect("the server answers");
        let answer = request.verify(&self.secret, &answer[..length]).unwrap();
        self.state = answer.get(AttributeType::STATE).map(|state| state.value.to_owned());
        let eap = answer
            .all(AttributeType::EAP_MESSAGE)
            .flat_map(|part| part.value.to_owned())
            .collect();
        (answer.code(), eap)
    }
}
