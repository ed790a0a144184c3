//! Logins: what is asked and what must be answered, checked to the last attribute.

use isp_core::radius::{AttributeType, Code, EncodeError, Packet, PacketWriter, Request, SharedSecret, VerifyError};

use fastrand::Rng;

use super::{Traffic, Verdict};
use crate::population::Member;

/// Mikrotik-Rate-Limit: vendor and type (dictionary.mikrotik).
const MIKROTIK: u32 = 14988;
const RATE_LIMIT: u8 = 8;

/// Why an answer is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrongAnswer {
    #[error(transparent)]
    NotVerified(#[from] VerifyError),
    #[error("{got}, expected {expected:?}")]
    Verdict { got: Code, expected: Verdict },
    #[error("{attribute} is {got}, expected {expected}")]
    Value {
        attribute: &'static str,
        got: String,
        expected: String,
    },
    #[error("{attribute} came {times} times")]
    Occurrence { attribute: &'static str, times: u8 },
    #[error("unexpected {0}")]
    Unexpected(AttributeType),
}

/// Logins of subscribers drawn at random.
pub(super) struct Logins {
    pub(super) exchange: Exchange,
    pub(super) users: u32,
    /// Share of them that must be rejected.
    pub(super) wrong_passwords: f64,
}

impl Traffic for Logins {
    type About = (Member, Verdict);

    fn ask(
        &mut self,
        identifier: u8,
        random: &mut Rng,
        packet: &mut Vec<u8>,
    ) -> Result<Option<(Request, Self::About)>, EncodeError> {
        let member = Member(random.u32(0..self.users));
        let expected = if random.f64() < self.wrong_passwords {
            Verdict::Reject
        } else {
            Verdict::Accept
        };
        let authenticator = random.u128(..).to_ne_bytes();
        let request = self
            .exchange
            .ask(identifier, &authenticator, member, expected, packet)?;
        Ok(Some((request, (member, expected))))
    }

    fn judge(&mut self, request: &Request, answer: &[u8], (member, expected): Self::About) -> Result<Verdict, String> {
        self.exchange
            .judge(request, answer, member, expected)
            .map(|()| expected)
            .map_err(|wrong| format!("{}: {wrong}", member.username_text()))
    }
}

/// Makes requests and judges answers.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) secret: SharedSecret,
    /// Whether requests carry a Message-Authenticator. One that comes back is checked in any case.
    pub(crate) message_authenticator: bool,
}

impl Exchange {
    /// Write an Access-Request into `packet`. Unless `expected` is an accept, the password is one that the subscriber
    /// never had.
    pub(crate) fn ask(
        &self,
        identifier: u8,
        authenticator: &[u8; 16],
        member: Member,
        expected: Verdict,
        packet: &mut Vec<u8>,
    ) -> Result<Request, EncodeError> {
        let mut password = member.password();
        if expected == Verdict::Reject {
            password[0] = b'-';
        }
        let mut writer = PacketWriter::access_request(identifier, authenticator, &self.secret, packet);
        if self.message_authenticator {
            writer.message_authenticator()?;
        }
        writer
            .attribute(AttributeType::USER_NAME, &member.username())?
            .user_password(&password)?
            .attribute(AttributeType::CALLING_STATION_ID, b"02:00:5E:10:00:01")?
            .attribute(AttributeType::NAS_IDENTIFIER, b"bench")?;
        Ok(writer.finish())
    }

    /// Judge the answer to a request about `member`.
    pub(crate) fn judge(
        &self,
        request: &Request,
        answer: &[u8],
        member: Member,
        expected: Verdict,
    ) -> Result<(), WrongAnswer> {
        let answer = request.verify(&self.secret, answer)?;
        match (answer.code(), expected) {
            (Code::ACCESS_ACCEPT, Verdict::Accept) => check_reply(&answer, member),
            (Code::ACCESS_REJECT, Verdict::Reject) => Ok(()),
            (got, expected) => Err(WrongAnswer::Verdict { got, expected }),
        }
    }
}

/// Exactly the subscriber's four attributes, each once: a contender that sends less or more is not doing the same work.
fn check_reply(answer: &Packet<'_>, member: Member) -> Result<(), WrongAnswer> {
    const NAMES: [&str; 4] = [
        "Framed-IP-Address",
        "Mikrotik-Rate-Limit",
        "Session-Timeout",
        "Acct-Interim-Interval",
    ];
    let plan = member.plan();
    let mut seen = [0_u8; NAMES.len()];
    for attribute in answer.attributes() {
        let value = attribute.value;
        let which = match attribute.kind {
            AttributeType::FRAMED_IP_ADDRESS => {
                expect(NAMES[0], value, &member.framed_ip().octets())?;
                0
            }
            AttributeType::VENDOR_SPECIFIC => {
                let mut inside = attribute.vendor(MIKROTIK);
                match (inside.next(), inside.next()) {
                    (Some(rate), None) if rate.kind == RATE_LIMIT => {
                        expect(NAMES[1], rate.value, plan.rate_limit.as_bytes())?;
                    }
                    _ => return Err(WrongAnswer::Unexpected(attribute.kind)),
                }
                1
            }
            AttributeType::SESSION_TIMEOUT => {
                expect(NAMES[2], value, &plan.session_timeout.to_be_bytes())?;
                2
            }
            AttributeType::ACCT_INTERIM_INTERVAL => {
                expect(NAMES[3], value, &plan.interim_interval.to_be_bytes())?;
                3
            }
            AttributeType::MESSAGE_AUTHENTICATOR => continue,
            other => return Err(WrongAnswer::Unexpected(other)),
        };
        seen[which] += 1;
    }
    match seen.iter().zip(NAMES).find(|(times, _)| **times != 1) {
        Some((times, attribute)) => Err(WrongAnswer::Occurrence {
            attribute,
            times: *times,
        }),
        None => Ok(()),
    }
}

fn expect(attribute: &'static str, got: &[u8], expected: &[u8]) -> Result<(), WrongAnswer> {
    if got == expected {
        return Ok(());
    }
    let show = |value: &[u8]| value.escape_ascii().to_string();
    Err(WrongAnswer::Value {
        attribute,
        got: show(got),
        expected: show(expected),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MEMBER: Member = Member(41);

    fn exchange(message_authenticator: bool) -> Exchange {
        Exchange {
            secret: SharedSecret::new(b"testing123").unwrap(),
            message_authenticator,
        }
    }

    /// The verdict on what a server with `secret` says to a request about [`MEMBER`].
    fn judged(
        expected: Verdict,
        code: Code,
        secret: &[u8],
        attributes: impl FnOnce(&mut PacketWriter<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), String> {
        let ours = exchange(true);
        let mut packet = Vec::new();
        let request = ours.ask(9, &[7; 16], MEMBER, expected, &mut packet).unwrap();
        let seen = Packet::decode(&packet).unwrap().verify_request(&ours.secret).unwrap();
        let (secret, mut answer) = (SharedSecret::new(secret).unwrap(), Vec::new());
        let mut writer = PacketWriter::reply(code, &seen, &secret, &mut answer);
        attributes(&mut writer).unwrap();
        writer.finish();
        ours.judge(&request, &answer, MEMBER, expected)
            .map_err(|e| e.to_string())
    }

    fn three(writer: &mut PacketWriter<'_>, of: Member) -> Result<(), EncodeError> {
        writer
            .ipv4(AttributeType::FRAMED_IP_ADDRESS, of.framed_ip())?
            .vendor(MIKROTIK, RATE_LIMIT, of.plan().rate_limit.as_bytes())?
            .integer(AttributeType::SESSION_TIMEOUT, of.plan().session_timeout)?;
        Ok(())
    }

    fn all(writer: &mut PacketWriter<'_>, of: Member) -> Result<(), EncodeError> {
        three(writer, of)?;
        writer.integer(AttributeType::ACCT_INTERIM_INTERVAL, of.plan().interim_interval)?;
        Ok(())
    }

    #[test]
    fn a_right_answer_passes() {
        judged(Verdict::Accept, Code::ACCESS_ACCEPT, b"testing123", |w| all(w, MEMBER)).unwrap();
        judged(Verdict::Reject, Code::ACCESS_REJECT, b"testing123", |_| Ok(())).unwrap();
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let accepted = |attributes: fn(&mut PacketWriter<'_>) -> Result<(), EncodeError>| {
            judged(Verdict::Accept, Code::ACCESS_ACCEPT, b"testing123", attributes).unwrap_err()
        };
        assert!(accepted(|w| all(w, Member(42))).starts_with("Framed-IP-Address is "));
        assert_eq!(accepted(|w| three(w, MEMBER)), "Acct-Interim-Interval came 0 times");
        let doubled = accepted(|w| {
            all(w, MEMBER)?;
            three(w, MEMBER)
        });
        assert_eq!(doubled, "Framed-IP-Address came 2 times");
        let more = accepted(|w| {
            all(w, MEMBER)?;
            w.attribute(AttributeType::REPLY_MESSAGE, b"hi").map(drop)
        });
        assert_eq!(more, "unexpected Reply-Message");

        let let_in = judged(Verdict::Reject, Code::ACCESS_ACCEPT, b"testing123", |w| all(w, MEMBER));
        assert_eq!(let_in.unwrap_err(), "Access-Accept, expected Reject");
        let kept_out = judged(Verdict::Accept, Code::ACCESS_REJECT, b"testing123", |_| Ok(()));
        assert_eq!(kept_out.unwrap_err(), "Access-Reject, expected Accept");
        let forged = judged(Verdict::Accept, Code::ACCESS_ACCEPT, b"guessed", |w| all(w, MEMBER));
        assert!(forged.unwrap_err().starts_with("the authenticator does not verify"));
    }

    #[test]
    fn the_password_is_right_where_an_accept_is_expected() {
        for message_authenticator in [false, true] {
            let ours = exchange(message_authenticator);
            let asked = |expected| {
                let mut packet = Vec::new();
                ours.ask(3, &[7; 16], MEMBER, expected, &mut packet).unwrap();
                let packet = Packet::decode(&packet).unwrap();
                assert_eq!(
                    packet.get(AttributeType::MESSAGE_AUTHENTICATOR).is_some(),
                    message_authenticator
                );
                let hidden = packet.get(AttributeType::USER_PASSWORD).unwrap().value;
                ours.secret
                    .reveal_user_password(&[7; 16], hidden)
                    .unwrap()
                    .expose()
                    .clone()
            };
            assert_eq!(asked(Verdict::Accept), MEMBER.password());
            assert_ne!(asked(Verdict::Reject), MEMBER.password());
        }
    }
}
