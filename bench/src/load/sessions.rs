//! Sessions: each line of the base goes from Start over Interim-Updates to Stop, again and again.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use isp_core::radius::{AttributeType, Code, EncodeError, PacketWriter, Request, SharedSecret};

use super::{Traffic, Verdict};
use crate::population::Member;

/// Interim-Updates of a session.
const INTERIMS: u32 = 3;
/// Seconds between two reports, as the packets have it.
const INTERVAL: u32 = 300;
/// What passes between two reports, octets.
const UPLOAD: u64 = 150_000_000;
const DOWNLOAD: u64 = 2_100_000_000;
/// Sessions lie in the past, so that no report is from the future: seconds.
const BEFORE: u64 = 20 * 86_400;
/// NAS-Port-Type (RFC 2865 section 5.41).
const ETHERNET: u32 = 15;

/// What a line has been told to be accounted for.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    session: u32,
    /// The next thing to report: 0 = Start, ..., `INTERIMS + 1` = Stop.
    step: u32,
}

/// What must be in the database when all that was acknowledged is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) sessions: u64,
    pub(crate) closed: u64,
    pub(crate) upload: u64,
    pub(crate) download: u64,
}

/// Traffic of some lines. A line reports when its last report is acknowledged, so that none overtakes another.
#[derive(Clone)]
pub(crate) struct Sessions {
    secret: SharedSecret,
    first: u32,
    lines: Vec<Line>,
    /// In the order in which they were acknowledged.
    ready: VecDeque<u32>,
    began: u32,
}

impl Sessions {
    /// Of `count` members of the base from `first` on.
    pub(crate) fn new(secret: SharedSecret, first: u32, count: u32) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self {
            secret,
            first,
            lines: (0..count).map(|_| Line::default()).collect(),
            ready: (0..count).collect(),
            began: u32::try_from(now.saturating_sub(BEFORE)).unwrap_or(u32::MAX),
        }
    }

    /// What was acknowledged so far.
    pub(crate) fn books(&self) -> Books {
        let mut books = Books::default();
        for line in &self.lines {
            let (done, open) = (u64::from(line.session), u64::from(line.step > 0));
            let reports = done * u64::from(INTERIMS + 1) + u64::from(line.step.saturating_sub(1));
            books.sessions += done + open;
            books.closed += done;
            books.upload += reports * UPLOAD;
            books.download += reports * DOWNLOAD;
        }
        books
    }

    fn write(&self, identifier: u8, index: u32, packet: &mut Vec<u8>) -> Result<Request, EncodeError> {
        let line = self.lines.get(index as usize).copied().unwrap_or_default();
        let member = Member(self.first + index);
        let status = match line.step {
            0 => 1,
            step if step > INTERIMS => 2,
            _ => 3,
        };
        let seconds = line.step * INTERVAL;
        let started = self.began + line.session * (INTERIMS + 2) * INTERVAL;
        let id = format!("{:08x}{:08x}", member.0, line.session);
        let mac = format!(
            "02:00:5E:{:02X}:{:02X}:{:02X}",
            member.0 >> 16 & 0xff,
            member.0 >> 8 & 0xff,
            member.0 & 0xff
        );
        let mut writer = PacketWriter::request(Code::ACCOUNTING_REQUEST, identifier, &self.secret, packet)?;
        writer
            .integer(AttributeType::ACCT_STATUS_TYPE, status)?
            .attribute(AttributeType::ACCT_SESSION_ID, id.as_bytes())?
            .attribute(AttributeType::USER_NAME, &member.username())?
            .ipv4(AttributeType::NAS_IP_ADDRESS, Ipv4Addr::LOCALHOST)?
            .integer(AttributeType::NAS_PORT, member.0)?
            .attribute(AttributeType::NAS_PORT_ID, b"ether1")?
            .integer(AttributeType::NAS_PORT_TYPE, ETHERNET)?
            .attribute(AttributeType::CALLED_STATION_ID, b"bras-1")?
            .attribute(AttributeType::CALLING_STATION_ID, mac.as_bytes())?
            .ipv4(AttributeType::FRAMED_IP_ADDRESS, member.framed_ip())?
            .integer(AttributeType::EVENT_TIMESTAMP, started + seconds)?;
        if line.step > 0 {
            let reports = u64::from(line.step);
            let (upload, download) = (reports * UPLOAD, reports * DOWNLOAD);
            writer
                .integer(AttributeType::ACCT_SESSION_TIME, seconds)?
                .integer(AttributeType::ACCT_INPUT_OCTETS, upload as u32)?
                .integer(AttributeType::ACCT_INPUT_GIGAWORDS, (upload >> 32) as u32)?
                .integer(AttributeType::ACCT_OUTPUT_OCTETS, download as u32)?
                .integer(AttributeType::ACCT_OUTPUT_GIGAWORDS, (download >> 32) as u32)?;
        }
        if status == 2 {
            writer.integer(AttributeType::ACCT_TERMINATE_CAUSE, 1)?;
        }
        Ok(writer.finish())
    }
}

impl Traffic for Sessions {
    /// Index of the line.
    type About = u32;

    fn ask(
        &mut self,
        identifier: u8,
        _: &mut Rng,
        packet: &mut Vec<u8>,
    ) -> Result<Option<(Request, Self::About)>, EncodeError> {
        let Some(index) = self.ready.pop_front() else {
            return Ok(None);
        };
        Ok(Some((self.write(identifier, index, packet)?, index)))
    }

    fn judge(&mut self, request: &Request, answer: &[u8], index: Self::About) -> Result<Verdict, String> {
        let answer = request.verify(&self.secret, answer).map_err(|e| e.to_string())?;
        if answer.code() != Code::ACCOUNTING_RESPONSE {
            return Err(format!("{}, expected Accounting-Response", answer.code()));
        }
        if let Some(line) = self.lines.get_mut(index as usize) {
            if line.step > INTERIMS {
                *line = Line {
                    session: line.session + 1,
                    step: 0,
                };
            } else {
                line.step += 1;
            }
        }
        self.ready.push_back(index);
        Ok(Verdict::Accept)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use isp_core::radius::Packet;

    use super::*;

    fn acknowledge(sessions: &mut Sessions) -> Vec<u8> {
        let mut packet = Vec::new();
        let (request, index) = sessions.ask(7, &mut Rng::with_seed(1), &mut packet).unwrap().unwrap();
        let mut answer = Vec::new();
        let verified = Packet::decode(&packet)
            .unwrap()
            .verify_request(&sessions.secret)
            .unwrap();
        PacketWriter::reply(Code::ACCOUNTING_RESPONSE, &verified, &sessions.secret, &mut answer).finish();
        sessions.judge(&request, &answer, index).unwrap();
        packet
    }

    #[test]
    fn a_line_goes_from_start_to_stop_and_the_books_follow() {
        let mut sessions = Sessions::new(SharedSecret::new(b"testing123").unwrap(), 5, 1);
        let status: Vec<u32> = (0..6)
            .map(|_| {
                let packet = acknowledge(&mut sessions);
                let packet = Packet::decode(&packet).unwrap();
                packet.get(AttributeType::ACCT_STATUS_TYPE).unwrap().integer().unwrap()
            })
            .collect();
        assert_eq!(status, [1, 3, 3, 3, 2, 1]);
        let books = Books {
            sessions: 2,
            closed: 1,
            upload: 4 * UPLOAD,
            download: 4 * DOWNLOAD,
        };
        assert_eq!(sessions.books(), books);
    }

    #[test]
    fn a_line_waits_for_its_answer() {
        let mut sessions = Sessions::new(SharedSecret::new(b"testing123").unwrap(), 0, 1);
        let mut packet = Vec::new();
        assert!(sessions.ask(0, &mut Rng::with_seed(1), &mut packet).unwrap().is_some());
        assert!(sessions.ask(1, &mut Rng::with_seed(1), &mut packet).unwrap().is_none());
    }
}
