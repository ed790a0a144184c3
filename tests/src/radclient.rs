//! `radclient` as a NAS: one packet, and the answer to it.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use crate::mschap::Exchange;
use crate::radiusd::Radiusd;

/// The shared secret of every NAS in these tests, unless a test says otherwise.
pub const SECRET: &str = "shared-secret-of-the-tests";

/// How a login proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Pap,
    Chap,
    MsChapV1,
    MsChapV2,
}

/// The challenges of every login by [`Method::MsChapV2`]: the NAS's, and the peer's.
pub const MSCHAP_CHALLENGES: [[u8; 16]; 2] = [*b"challenge of NAS", *b"peer's challenge"];
/// Its identifier.
pub const MSCHAP_IDENT: u8 = 7;

/// A packet to be sent.
#[derive(Debug, Clone)]
pub struct Packet {
    kind: &'static str,
    source: Ipv4Addr,
    secret: String,
    timeout: &'static str,
    lines: Vec<String>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `Access-Accept`, `Access-Reject`, `Accounting-Response`, ...
    pub code: String,
    /// In order; values as the server's dictionary prints them, without quotes. Without Message-Authenticator, which
    /// servers from 3.2.5 on put into every answer and the client has checked.
    pub attributes: Vec<(String, String)>,
}

impl Answer {
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.code == "Access-Accept"
    }

    /// All values of `name`, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.attributes
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
            .collect()
    }
}

/// A login of `user_name`; attributes that matter to the method are set.
#[must_use]
pub fn login(method: Method, user_name: &str, password: &str) -> Packet {
    let packet = Packet::new("auth").with("User-Name", user_name);
    match method {
        Method::Pap => packet.with("User-Password", password),
        Method::Chap => packet.with("CHAP-Password", password),
        Method::MsChapV1 => packet.with("MS-CHAP-Password", password),
        Method::MsChapV2 => {
            let [authenticator_challenge, peer_challenge] = MSCHAP_CHALLENGES;
            let exchange = Exchange {
                user_name,
                authenticator_challenge,
                peer_challenge,
            };
            let response = exchange.response_attribute(MSCHAP_IDENT, password);
            packet
                .line(&format!("MS-CHAP-Challenge = {}", hex(&authenticator_challenge)))
                .line(&format!("MS-CHAP2-Response = {}", hex(&response)))
        }
    }
}

/// An Accounting-Request with `status` (Start, Interim-Update, Stop, ...).
#[must_use]
pub fn accounting(status: &str, user_name: &str, session: &str) -> Packet {
    Packet::new("acct")
        .line(&format!("Acct-Status-Type = {status}"))
        .with("User-Name", user_name)
        .with("Acct-Session-Id", session)
        .line("NAS-Port = 7")
}

impl Packet {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            source: Ipv4Addr::LOCALHOST,
            secret: SECRET.to_owned(),
            timeout: "10",
            lines: Vec::new(),
        }
    }

    /// Bare Access-Request, to be filled by [`Packet::line`].
    #[must_use]
    pub fn access_request() -> Self {
        Self::new("auth")
    }

    /// Bare Accounting-Request.
    #[must_use]
    pub fn accounting_request() -> Self {
        Self::new("acct")
    }

    /// A text attribute, whatever its characters.
    #[must_use]
    pub fn with(self, attribute: &str, value: &str) -> Self {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        self.line(&format!("{attribute} = \"{quoted}\""))
    }

    /// An attribute by number, with these octets and no others.
    #[must_use]
    pub fn octets(self, attribute: u8, value: &[u8]) -> Self {
        self.line(&format!("Attr-{attribute} = {}", hex(value)))
    }

    /// `Name = value` in the client's own syntax.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Send from this address: the NAS the packet comes from.
    #[must_use]
    pub fn from(mut self, source: Ipv4Addr) -> Self {
        self.source = source;
        self
    }

    #[must_use]
    pub fn secret(mut self, secret: &str) -> Self {
        secret.clone_into(&mut self.secret);
        self
    }

    /// For a packet that is expected to stay unanswered: do not wait long.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        self.timeout = "2.5";
        self
    }

    /// Send it once, and wait for the answer. `None`: there was none, or none with a valid authenticator.
    #[must_use]
    pub fn send(&self, server: &Radiusd) -> Option<Answer> {
        let printed = self.run(server, &self.text());
        let answer = parse_all(&printed).into_iter().next();
        assert!(
            answer.is_some() || printed.contains("No reply from server"),
            "radclient did not send {:?}:\n{printed}",
            self.lines
        );
        answer
    }

    /// Send each when the one before is answered, all in the manner of the first: one client is sooner done with many than
    /// many clients are. All must be answered.
    #[must_use]
    #[track_caller]
    pub fn ask_all(packets: &[Self], server: &Radiusd) -> Vec<Answer> {
        let Some(first) = packets.first() else {
            return Vec::new();
        };
        let text: Vec<String> = packets.iter().map(Self::text).collect();
        let printed = first.run(server, &text.join("\n"));
        let answers = parse_all(&printed);
        assert_eq!(answers.len(), packets.len(), "{printed}\n{}", server.log());
        answers
    }

    fn text(&self) -> String {
        let mut text = format!(
            "Packet-Src-IP-Address = {}\nNAS-IP-Address = {}\n",
            self.source, self.source
        );
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// What the client prints when it has sent the packets of `text`, one at a time.
    fn run(&self, server: &Radiusd, text: &str) -> String {
        let port = if self.kind == "auth" {
            server.auth_port()
        } else {
            server.acct_port()
        };
        let mut client = Command::new("radclient")
            .arg("-d")
            .arg(server.raddb())
            .args(["-x", "-r", "1", "-p", "1", "-t", self.timeout])
            .arg(format!("127.0.0.1:{port}"))
            .args([self.kind, &self.secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("radclient (package freeradius-utils) can be started");
        client.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Send it; there must be an answer.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, server: &Radiusd) -> Answer {
        match self.send(server) {
            Some(answer) => answer,
            None => panic!("no answer to {:?}\n{}", self.lines, server.log()),
        }
    }
}

/// Octets as the client reads them.
fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn parse_all(printed: &str) -> Vec<Answer> {
    let lines: Vec<&str> = printed.lines().collect();
    let received = |line: &&str| line.strip_prefix("Received ").map(str::to_owned);
    lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, received(line)?)))
        .map(|(at, head)| Answer {
            code: head.split_ascii_whitespace().next().unwrap_or_default().to_owned(),
            attributes: lines[at + 1..]
                .iter()
                .map_while(|line| line.strip_prefix('\t'))
                .filter_map(|line| line.split_once(" = "))
                .filter(|(name, _)| *name != "Message-Authenticator")
                .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
                .collect(),
        })
        .collect()
}
