//! NAS that others wrote, and what others' tools say of our packets.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use isp_core::coa::{Client, ErrorCause, Exchange, Order, Outcome, Report, Retry, Target};
use isp_core::radius::{AttributeType, Dictionary, SharedSecret};

use crate::radiusd::{SECRET, skip};
use crate::{IMPATIENT, RETRY, disconnect};

/// Ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn tell(nas: SocketAddr, secret: &str, strict: bool, retry: Retry, order: &Order) -> Report {
    let target = Target {
        retry,
        strict,
        ..Target::new(nas, SharedSecret::new(secret.as_bytes()).unwrap())
    };
    Client::new().deliver(&target, order).await.unwrap()
}

/// Skipped where `scripts/pyrad` was not asked for a Python.
fn pyrad() -> Option<(Process, SocketAddr)> {
    let Some(python) = std::env::var_os("ISP_TEST_PYRAD") else {
        skip("ISP_TEST_PYRAD names no Python with pyrad");
        return None;
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut process = Command::new(python)
        .arg(directory.join("tests/coa/nas.py"))
        .arg(directory.join("src/radius/dictionary/builtin.dictionary"))
        .env("NAS_SECRET", SECRET)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut port)
        .unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.trim().parse().unwrap()));
    Some((Process(process), address))
}

#[tokio::test]
async fn pyrad_does_as_it_is_told() {
    let Some((_nas, address)) = pyrad() else { return };
    let tell = async |order: &Order| tell(address, SECRET, false, RETRY, order).await;
    assert_eq!(tell(&disconnect("alice")).await.outcome, Outcome::Ack);
    let gone = Outcome::Nak(Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND));
    assert_eq!(tell(&disconnect("gone")).await.outcome, gone);
    let change = |limit: &str| {
        let change = Order::change()
            .with(AttributeType::USER_NAME, "alice")
            .with(AttributeType::ACCT_SESSION_ID, "81a00001");
        change
            .with_text(Dictionary::builtin(), &format!("Mikrotik-Rate-Limit = \"{limit}\""))
            .unwrap()
    };
    assert_eq!(tell(&change("10M/20M")).await.outcome, Outcome::Ack);
    assert_eq!(tell(&change("fast")).await.outcome, Outcome::Nak(Some(ErrorCause(407))));
    for (secret, user) in [(SECRET, "silent"), ("another secret", "alice")] {
        let report = self::tell(address, secret, false, IMPATIENT, &disconnect(user)).await;
        assert_eq!((report.outcome, report.attempts), (Outcome::Timeout, 2));
    }
    // It signs answers when it is asked to.
    let report = self::tell(address, SECRET, true, IMPATIENT, &disconnect("alice")).await;
    assert_eq!(report.outcome, Outcome::Timeout);
    assert!(report.rejected > 0);
    let report = self::tell(address, SECRET, true, RETRY, &disconnect("signed")).await;
    assert_eq!(report.outcome, Outcome::Ack);
}

#[tokio::test]
async fn hostapd_does_as_it_is_told() {
    let hostapd = Path::new("/usr/sbin/hostapd");
    if !hostapd.exists() {
        skip("hostapd is not installed");
        return;
    }
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("hostapd.conf");
    // No radio: the server for orders is all that runs.
    let text = format!(
        "interface=lo\ndriver=none\nieee8021x=1\nown_ip_addr=127.0.0.1\nauth_server_addr=127.0.0.1\n\
         auth_server_shared_secret={SECRET}\nradius_das_port={port}\nradius_das_client=127.0.0.1 {SECRET}\n\
         radius_das_require_event_timestamp=1\nradius_das_require_message_authenticator=1\n"
    );
    std::fs::write(&configuration, text).unwrap();
    let mut process = Process(
        Command::new(hostapd)
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Sent again until it listens.
    let deadline = Instant::now() + Duration::from_secs(20);
    let report = loop {
        let report = tell(address, SECRET, true, IMPATIENT, &disconnect("alice")).await;
        if report.outcome != Outcome::Timeout {
            break report;
        }
        if process.0.try_wait().unwrap().is_some() {
            skip("hostapd does not run without a radio here");
            return;
        }
        assert!(Instant::now() < deadline, "hostapd does not answer");
    };
    // It knows no stations, and signs that it does not.
    let gone = Outcome::Nak(Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND));
    assert_eq!(report.outcome, gone);
    assert_eq!(report.rejected, 0);
    let unknown = disconnect("alice").with(AttributeType::FILTER_ID, "x");
    let report = tell(address, SECRET, true, RETRY, &unknown).await;
    assert_eq!(
        report.outcome,
        Outcome::Nak(Some(ErrorCause(401))),
        "Unsupported-Attribute"
    );
    let report = tell(address, "another secret", true, IMPATIENT, &disconnect("alice")).await;
    assert_eq!(report.outcome, Outcome::Timeout);
}

/// One packet of each kind that is sent, with attributes of every vendor and type.
fn packets() -> Vec<Vec<u8>> {
    let dictionary = Dictionary::builtin();
    let session = [
        "User-Name = \"alice\"",
        "Acct-Session-Id = \"81a00001\"",
        "NAS-IP-Address = 192.0.2.1",
        "Framed-IP-Address = 10.0.0.7",
        "Calling-Station-Id = \"02:00:00:00:00:0a\"",
        "NAS-Port-Id = \"ether1\"",
        "Framed-IPv6-Prefix = 2001:db8:1::/64",
        "Delegated-IPv6-Prefix = 2001:db8:2::/56",
        "Framed-IPv6-Address = 2001:db8::1",
    ];
    let changes = [
        "Mikrotik-Rate-Limit = \"10M/20M\"",
        "Mikrotik-Address-List = \"restricted\"",
        "Cisco-AVPair = \"ip:sub-qos-policy-in=gold\"",
        "Cisco-Account-Info = \"QU;1000000;D;2000000\"",
        "Huawei-Input-Average-Rate = 10000000",
        "Huawei-Qos-Profile-Name = \"gold\"",
        "ERX-Service-Activate:1 = \"gold\"",
        "ERX-Qos-Profile-Name = \"gold\"",
        "Alc-SLA-Prof-Str = \"gold\"",
        "ZTE-Rate-Ctrl-SCR-Up = 10000000",
        "H3C-Input-Average-Rate = 10000000",
        "WISPr-Bandwidth-Max-Up = 10000000",
        "Filter-Id = \"20000/10000\"",
        "Session-Timeout = 3600",
    ];
    let with = |order: Order, lines: &[&str]| {
        let add = |order: Order, line: &&str| order.with_text(dictionary, line);
        lines.iter().try_fold(order, add).unwrap()
    };
    let mut orders = vec![
        with(Order::disconnect(), &session),
        with(with(Order::change(), &session), &changes),
    ];
    orders.extend(
        changes
            .iter()
            .map(|line| with(with(Order::change(), &session[..2]), &[line])),
    );
    let secret = SharedSecret::new(SECRET.as_bytes()).unwrap();
    let nas = SocketAddr::from((Ipv4Addr::LOCALHOST, 3799));
    let unix = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let packet = |(identifier, order): (usize, &Order)| {
        let identifier = u8::try_from(identifier).unwrap();
        let time = u32::try_from(unix).unwrap();
        let mut exchange = Exchange::new(nas, &secret, order, RETRY, identifier, time).unwrap();
        exchange.transmit(Instant::now(), 0).unwrap().to_vec()
    };
    orders.iter().enumerate().map(packet).collect()
}

/// As captured from an Ethernet.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, 1] {
        // The version is two numbers of 16 bits: 2, 4.
        match word {
            0x0002_0004 => file.extend([2, 0, 4, 0]),
            word => file.extend(word.to_le_bytes()),
        }
    }
    for (second, packet) in packets.iter().enumerate() {
        let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        let udp = [short(40_000), short(3799), short(packet.len() + 8), [0, 0]].concat();
        let mut ip = vec![0x45, 0];
        ip.extend(short(packet.len() + 28));
        ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        let words = ip
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum = words.sum::<u32>();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0], ip.as_slice(), &udp, packet].concat();
        let length = u32::try_from(frame.len()).unwrap();
        for word in [1_700_000_000 + u32::try_from(second).unwrap(), 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

#[test]
fn wireshark_and_radsniff_find_nothing_wrong() {
    let packets = packets();
    let directory = tempfile::tempdir().unwrap();
    let captured = |name: &str, packets: &[Vec<u8>]| {
        let file = directory.path().join(name);
        std::fs::write(&file, capture(packets)).unwrap();
        file
    };
    let good = captured("good.pcap", &packets);
    let said = |program: &str, arguments: &[&str], file: &Path| -> Option<String> {
        let output = Command::new(program).args(arguments).arg(file).output();
        let Ok(output) = output else {
            skip(&format!("{program} is not installed"));
            return None;
        };
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        // radsniff gives 1 at the end of any file.
        assert!(output.status.success() || program == "radsniff", "{program}: {error}");
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let tshark = |filter: &str, file: &Path| said("tshark", &["-n", "-Y", filter, "-r"], file);
    if let Some(decoded) = tshark("radius.code == 40 || radius.code == 43", &good) {
        assert_eq!(decoded.lines().count(), packets.len(), "{decoded}");
        let wrong = "_ws.expert || _ws.malformed || radius.Unknown_Attribute";
        assert_eq!(tshark(wrong, &good).unwrap(), "");
        // It would say so: here attributes have an impossible length.
        let mut broken = packets.clone();
        broken.iter_mut().for_each(|packet| packet[21] = 1);
        let broken = captured("broken.pcap", &broken);
        assert_eq!(tshark(wrong, &broken).unwrap().lines().count(), packets.len());
    }
    if let Some(decoded) = said("radsniff", &["-x", "-s", SECRET, "-p", "3799", "-I"], &good) {
        // Nothing of a form that its dictionaries do not know.
        assert!(!decoded.contains("Attr-"), "{decoded}");
        assert_eq!(
            decoded.matches("Acct-Session-Id = \"81a00001\"").count(),
            packets.len(),
            "{decoded}"
        );
    }
}
