//! Accounting as a NAS sends it, from many sessions at once, and a log of what the server acknowledged.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use isp_core::radius::{AttributeType, Code, PacketWriter, SharedSecret};

use crate::database::Database;
use crate::radclient::SECRET;

/// A NAS waits longer; a test has rounds to go.
const PATIENCE: Duration = Duration::from_millis(800);
const REPORTS: u32 = 3;
const OCTETS: u32 = 1_000;

/// What is known of a session to whoever sent its packets.
#[derive(Debug, Default, Clone, Copy)]
struct Heard {
    /// Packets that were answered.
    acknowledged: u32,
    /// The most that was reported, answered or not.
    octets_sent: u32,
    octets_acknowledged: u32,
    stop_acknowledged: bool,
}

/// The log of all acknowledged packets.
#[derive(Debug, Default)]
pub struct Traffic {
    sessions: Mutex<BTreeMap<String, Heard>>,
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

enum Report {
    Start,
    Interim(u32),
    Stop(u32),
}

impl Traffic {
    /// Send to this port from `threads` NAS ports without a pause while `meanwhile` runs.
    pub fn drive<R>(&self, port: u16, threads: usize, meanwhile: impl FnOnce() -> R) -> R {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut line = Line::to(port);
                    while !over.load(Ordering::Relaxed) {
                        self.session(&mut line);
                    }
                });
            }
            let outcome = meanwhile();
            over.store(true, Ordering::Relaxed);
            outcome
        })
    }

    /// Packets acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// One session: whole, of which only the Start arrives, or of which only the Stop does.
    fn session(&self, line: &mut Line) {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let id = format!("traffic-{number}");
        let interims = (1..=REPORTS).map(Report::Interim);
        let reports: Vec<Report> = match number % 3 {
            0 => vec![Report::Start],
            1 => std::iter::once(Report::Start)
                .chain(interims)
                .chain([Report::Stop(REPORTS + 1)])
                .collect(),
            _ => vec![Report::Stop(1)],
        };
        let mut heard = Heard::default();
        for report in reports {
            let octets = match report {
                Report::Start => 0,
                Report::Interim(count) | Report::Stop(count) => count * OCTETS,
            };
            heard.octets_sent = octets;
            // A packet without an answer is sent again; the server may have got it all the same.
            if !line.ask(&id, &report, octets) && !line.ask(&id, &report, octets) {
                break;
            }
            heard.acknowledged += 1;
            heard.octets_acknowledged = octets;
            heard.stop_acknowledged = matches!(report, Report::Stop(_));
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.sessions.lock().unwrap().insert(id, heard);
    }

    /// Every acknowledged record is in the database, and none is in it twice. Returns how many sessions there are.
    #[track_caller]
    pub fn assert_kept(&self, database: &Database) -> usize {
        let rows = database.query(
            "SELECT acctsessionid, CAST(count(*) AS TEXT), CAST(max(coalesce(acctinputoctets, 0)) AS TEXT),
                CAST(sum(CASE WHEN acctstoptime IS NULL THEN 0 ELSE 1 END) AS TEXT)
            FROM radacct WHERE acctsessionid LIKE 'traffic-%' GROUP BY acctsessionid",
        );
        let stored: BTreeMap<String, [u32; 3]> = rows
            .into_iter()
            .map(|row| {
                let number = |index: usize| row[index].as_deref().unwrap().parse().unwrap();
                (row[0].clone().unwrap(), [number(1), number(2), number(3)])
            })
            .collect();
        let mut wrong = Vec::new();
        let sessions = self.sessions.lock().unwrap();
        for (id, heard) in sessions.iter() {
            let right = match stored.get(id) {
                None => heard.acknowledged == 0,
                Some(&[rows, octets, stopped]) => {
                    rows == 1
                        && octets >= heard.octets_acknowledged
                        && octets <= heard.octets_sent
                        && (stopped == 1 || !heard.stop_acknowledged)
                }
            };
            if !right {
                wrong.push(format!("{id}: {heard:?}, stored {:?}", stored.get(id)));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {} sessions: {wrong:#?}",
            wrong.len(),
            sessions.len()
        );
        // Counted once, too.
        let sum = |sql: &str| database.value(sql).unwrap().parse::<f64>().unwrap();
        let of_sessions = sum("SELECT CAST(sum(acctinputoctets) AS TEXT) FROM radacct");
        for table in ["usage_hourly", "usage_daily"] {
            let of_usage = sum(&format!("SELECT CAST(sum(upload_octets) AS TEXT) FROM {table}"));
            assert!(
                (of_usage - of_sessions).abs() < 0.5,
                "{table}: {of_usage}, sessions: {of_sessions}"
            );
        }
        stored.len()
    }
}

/// A socket, and the Identifier it uses next.
struct Line {
    socket: UdpSocket,
    secret: SharedSecret,
    identifier: u8,
    packet: Vec<u8>,
}

impl Line {
    fn to(port: u16) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            secret: SharedSecret::new(SECRET.as_bytes()).unwrap(),
            identifier: 0,
            packet: Vec::new(),
        }
    }

    /// Send a report. Returns whether it was acknowledged.
    fn ask(&mut self, id: &str, report: &Report, octets: u32) -> bool {
        self.identifier = self.identifier.wrapping_add(1);
        // RFC 2866 section 5.1.
        let status = match report {
            Report::Start => 1,
            Report::Stop(_) => 2,
            Report::Interim(_) => 3,
        };
        let mut writer = PacketWriter::request(
            Code::ACCOUNTING_REQUEST,
            self.identifier,
            &self.secret,
            &mut self.packet,
        )
        .unwrap();
        writer
            .integer(AttributeType::ACCT_STATUS_TYPE, status)
            .and_then(|w| w.attribute(AttributeType::ACCT_SESSION_ID, id.as_bytes()))
            .and_then(|w| w.attribute(AttributeType::USER_NAME, b"alice"))
            .and_then(|w| w.ipv4(AttributeType::NAS_IP_ADDRESS, Ipv4Addr::LOCALHOST))
            .and_then(|w| w.integer(AttributeType::ACCT_SESSION_TIME, octets / OCTETS))
            .and_then(|w| w.integer(AttributeType::ACCT_INPUT_OCTETS, octets))
            .unwrap();
        let request = writer.finish();
        if self.socket.send(&self.packet).is_err() {
            // The server is gone, and its host says so at once.
            std::thread::sleep(Duration::from_millis(1));
            return false;
        }
        let mut answer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut answer) {
            // An answer to an earlier packet is no answer to this one.
            if request.verify(&self.secret, &answer[..length]).is_ok() {
                return true;
            }
        }
        false
    }
}
