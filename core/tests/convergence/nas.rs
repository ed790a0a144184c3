//! A NAS that takes orders: it verifies them, keeps them, and answers as told.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use isp_core::radius::{AttributeType, Code, Packet, PacketWriter, SharedSecret};

pub(crate) const SECRET: &str = "between-us";

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Ack,
    /// To a change, with this Error-Cause; what ends a session is acknowledged.
    RefuseChange(u32),
    Refuse(u32),
    Silence,
}

/// An order as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) code: Code,
    pub(crate) session: String,
    pub(crate) rate: Option<String>,
    pub(crate) list: Option<String>,
    pub(crate) filter: Option<String>,
    pub(crate) timeout: Option<u32>,
    pub(crate) at: Instant,
    pub(crate) packet: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Nas {
    heard: Arc<Mutex<Vec<Heard>>>,
    answer: Arc<Mutex<Answer>>,
    pub(crate) port: u16,
    _alive: Arc<()>,
}

impl Nas {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let alive = Arc::new(());
        let gone = Arc::downgrade(&alive);
        let nas = Self {
            heard: Arc::default(),
            answer: Arc::new(Mutex::new(Answer::Ack)),
            port: socket.local_addr().unwrap().port(),
            _alive: alive,
        };
        let (heard, answer) = (Arc::clone(&nas.heard), Arc::clone(&nas.answer));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while gone.strong_count() > 0 {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let answer = *answer.lock().unwrap();
                if let Some(reply) = take(&buffer[..length], answer, &heard) {
                    socket.send_to(&reply, from).unwrap();
                }
            }
        });
        nas
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }
}

fn take(datagram: &[u8], answer: Answer, heard: &Mutex<Vec<Heard>>) -> Option<Vec<u8>> {
    let secret = SharedSecret::new(SECRET.as_bytes()).unwrap();
    let packet = Packet::decode(datagram).unwrap().verify_request(&secret).unwrap();
    let packet = packet.require_message_authenticator().unwrap();
    let text = |kind| packet.get(kind).and_then(|found| found.text()).map(str::to_owned);
    let of_vendor = |kind| {
        packet
            .vendor(14988, kind)
            .next()
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
    };
    heard.lock().unwrap().push(Heard {
        code: packet.code(),
        session: text(AttributeType::ACCT_SESSION_ID).expect("it names the session"),
        rate: of_vendor(8),
        list: of_vendor(19),
        filter: text(AttributeType::FILTER_ID),
        timeout: packet
            .get(AttributeType::SESSION_TIMEOUT)
            .and_then(|found| found.integer()),
        at: Instant::now(),
        packet: datagram.to_vec(),
    });
    let change = packet.code() == Code::COA_REQUEST;
    let (ack, nak) = if change {
        (Code::COA_ACK, Code::COA_NAK)
    } else {
        (Code::DISCONNECT_ACK, Code::DISCONNECT_NAK)
    };
    let cause = match answer {
        Answer::Silence => return None,
        Answer::RefuseChange(cause) if change => Some(cause),
        Answer::Ack | Answer::RefuseChange(_) => None,
        Answer::Refuse(cause) => Some(cause),
    };
    let mut reply = Vec::new();
    let mut writer = PacketWriter::reply(if cause.is_some() { nak } else { ack }, &packet, &secret, &mut reply);
    writer.message_authenticator().unwrap();
    if let Some(cause) = cause {
        writer.integer(AttributeType::ERROR_CAUSE, cause).unwrap();
    }
    writer.finish();
    Some(reply)
}
