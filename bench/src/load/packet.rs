//! The two packets of the benchmark: an Access-Request out, its answer back, checked to the last attribute.
//!
//! Encodes into a buffer that is reused, since the generator shares the machine with the server it measures.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use crate::population::Member;

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;

const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const FRAMED_IP_ADDRESS: u8 = 8;
const VENDOR_SPECIFIC: u8 = 26;
const SESSION_TIMEOUT: u8 = 27;
const CALLING_STATION_ID: u8 = 31;
const NAS_IDENTIFIER: u8 = 32;
const MESSAGE_AUTHENTICATOR: u8 = 80;
const ACCT_INTERIM_INTERVAL: u8 = 85;
/// Mikrotik-Rate-Limit: vendor 14988, type 8 (dictionary.mikrotik).
const MIKROTIK_RATE_LIMIT: [u8; 5] = [0, 0, 0x3A, 0x8C, 8];

const HEADER: usize = 20;

/// What the server must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Reject,
}

/// Why an answer is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrongAnswer {
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    #[error("Response Authenticator does not verify")]
    ResponseAuthenticator,
    #[error("Message-Authenticator does not verify")]
    MessageAuthenticator,
    #[error("code {got}, expected {expected:?}")]
    Verdict { got: u8, expected: Verdict },
    #[error("{attribute} has the wrong value {got}, expected {expected}")]
    Value {
        attribute: &'static str,
        got: String,
        expected: String,
    },
    #[error("{attribute} came {times} times")]
    Occurrence { attribute: &'static str, times: u8 },
    #[error("unexpected attribute {0}")]
    Unexpected(u8),
}

/// The shared secret with the hash states that depend on nothing else.
#[derive(Clone)]
pub(crate) struct Codec {
    secret: Vec<u8>,
    after_secret: Md5,
    keyed: Hmac<Md5>,
    message_authenticator: bool,
}

impl Codec {
    /// `message_authenticator`: whether requests carry one. One that comes back is checked in any case.
    pub(crate) fn new(secret: &[u8], message_authenticator: bool) -> Result<Self, hmac::digest::InvalidLength> {
        Ok(Self {
            secret: secret.to_vec(),
            after_secret: Md5::new_with_prefix(secret),
            keyed: Hmac::new_from_slice(secret)?,
            message_authenticator,
        })
    }

    /// Write an Access-Request into `out`. With `right_password` unset the password is one the subscriber never had.
    pub(crate) fn encode(
        &self,
        id: u8,
        authenticator: &[u8; 16],
        member: Member,
        right_password: bool,
        out: &mut Vec<u8>,
    ) {
        out.clear();
        out.extend_from_slice(&[ACCESS_REQUEST, id, 0, 0]);
        out.extend_from_slice(authenticator);
        // First, where a NAS hardened against Blast-RADIUS puts it; filled in at the end.
        if self.message_authenticator {
            out.extend_from_slice(&[MESSAGE_AUTHENTICATOR, 18]);
            out.extend_from_slice(&[0; 16]);
        }
        attribute(out, USER_NAME, |out| member.write_username(out));
        attribute(out, USER_PASSWORD, |out| {
            let start = out.len();
            member.write_password(out);
            if !right_password {
                out[start] = b'-';
            }
            out.resize(start + 16, 0);
            self.hide(authenticator, &mut out[start..]);
        });
        attribute(out, CALLING_STATION_ID, |out| {
            out.extend_from_slice(b"02:00:5E:10:00:01")
        });
        attribute(out, NAS_IDENTIFIER, |out| out.extend_from_slice(b"bench"));
        let length = (out.len() as u16).to_be_bytes();
        out[2..4].copy_from_slice(&length);
        if self.message_authenticator {
            let mac = self.keyed.clone().chain_update(&*out).finalize().into_bytes();
            out[HEADER + 2..HEADER + 18].copy_from_slice(&mac);
        }
    }

    /// User-Password hiding (RFC 2865 section 5.2) of one 16-byte block.
    fn hide(&self, authenticator: &[u8; 16], block: &mut [u8]) {
        let pad = self.after_secret.clone().chain_update(authenticator).finalize();
        for (byte, pad) in block.iter_mut().zip(pad) {
            *byte ^= pad;
        }
    }

    /// Check every part of an answer. `answer` is scratch space afterwards.
    pub(crate) fn check(
        &self,
        answer: &mut [u8],
        authenticator: &[u8; 16],
        member: Member,
        expected: Verdict,
    ) -> Result<(), WrongAnswer> {
        let Some(&[code, _, high, low]) = answer.first_chunk() else {
            return Err(WrongAnswer::Malformed("shorter than a header"));
        };
        if answer.len() < HEADER || usize::from(u16::from_be_bytes([high, low])) != answer.len() {
            return Err(WrongAnswer::Malformed("length field differs from the datagram"));
        }
        // RFC 2865 section 3: MD5(Code + ID + Length + RequestAuth + Attributes + Secret).
        let response_authenticator: [u8; 16] = answer[4..HEADER].try_into().unwrap_or_default();
        answer[4..HEADER].copy_from_slice(authenticator);
        let digest = Md5::new().chain_update(&*answer).chain_update(&self.secret).finalize();
        if digest.as_slice() != response_authenticator {
            return Err(WrongAnswer::ResponseAuthenticator);
        }
        if let Some(at) = message_authenticator_at(answer)? {
            let sent: [u8; 16] = answer[at..at + 16].try_into().unwrap_or_default();
            answer[at..at + 16].fill(0);
            if self
                .keyed
                .clone()
                .chain_update(&*answer)
                .finalize()
                .into_bytes()
                .as_slice()
                != sent
            {
                return Err(WrongAnswer::MessageAuthenticator);
            }
        }
        match (code, expected) {
            (ACCESS_ACCEPT, Verdict::Accept) => check_reply(answer, member),
            (ACCESS_REJECT, Verdict::Reject) => Ok(()),
            (got, expected) => Err(WrongAnswer::Verdict { got, expected }),
        }
    }
}

fn attribute(out: &mut Vec<u8>, kind: u8, value: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[kind, 0]);
    value(out);
    // No value written here comes near the 253 octets an attribute holds.
    out[start + 1] = (out.len() - start) as u8;
}

/// The attributes of a packet as `(type, value)`.
fn attributes(packet: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), WrongAnswer>> {
    let mut rest = packet.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = match *rest {
            [kind, length, ..] if length >= 2 => rest.split_at_checked(usize::from(length)).map(|(a, b)| (kind, a, b)),
            _ => None,
        };
        let Some((kind, whole, tail)) = split else {
            rest = &[];
            return Some(Err(WrongAnswer::Malformed("attribute runs past the packet")));
        };
        rest = tail;
        Some(Ok((kind, &whole[2..])))
    })
}

/// Where the value of a Message-Authenticator starts.
fn message_authenticator_at(packet: &[u8]) -> Result<Option<usize>, WrongAnswer> {
    let mut at = HEADER;
    for item in attributes(packet) {
        let (kind, value) = item?;
        if kind == MESSAGE_AUTHENTICATOR {
            return if value.len() == 16 {
                Ok(Some(at + 2))
            } else {
                Err(WrongAnswer::Malformed("Message-Authenticator is not 16 octets"))
            };
        }
        at += value.len() + 2;
    }
    Ok(None)
}

/// Exactly the subscriber's four attributes, each once: a contender that sends less or more is not doing the same work.
fn check_reply(packet: &[u8], member: Member) -> Result<(), WrongAnswer> {
    const NAMES: [&str; 4] = [
        "Framed-IP-Address",
        "Mikrotik-Rate-Limit",
        "Session-Timeout",
        "Acct-Interim-Interval",
    ];
    let plan = member.plan();
    let mut seen = [0_u8; NAMES.len()];
    for item in attributes(packet) {
        let (kind, value) = item?;
        let which = match kind {
            FRAMED_IP_ADDRESS => {
                expect(NAMES[0], value, &member.framed_ip().octets())?;
                0
            }
            VENDOR_SPECIFIC => {
                let rate = match value.split_first_chunk() {
                    Some((head, [length, rate @ ..]))
                        if *head == MIKROTIK_RATE_LIMIT && usize::from(*length) == rate.len() + 2 =>
                    {
                        rate
                    }
                    _ => return Err(WrongAnswer::Unexpected(kind)),
                };
                expect(NAMES[1], rate, plan.rate_limit.as_bytes())?;
                1
            }
            SESSION_TIMEOUT => {
                expect(NAMES[2], value, &plan.session_timeout.to_be_bytes())?;
                2
            }
            ACCT_INTERIM_INTERVAL => {
                expect(NAMES[3], value, &plan.interim_interval.to_be_bytes())?;
                3
            }
            MESSAGE_AUTHENTICATOR => continue,
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

    const SECRET: &[u8] = b"testing123";
    const AUTHENTICATOR: [u8; 16] = [7; 16];

    /// A correct answer for `member`, then `spoil`ed before it is signed.
    fn answer(code: u8, member: Member, with_mac: bool, spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = vec![code, 9, 0, 0];
        out.extend_from_slice(&AUTHENTICATOR);
        if with_mac {
            attribute(&mut out, MESSAGE_AUTHENTICATOR, |o| o.extend_from_slice(&[0; 16]));
        }
        if code == ACCESS_ACCEPT {
            let plan = member.plan();
            attribute(&mut out, FRAMED_IP_ADDRESS, |o| {
                o.extend_from_slice(&member.framed_ip().octets())
            });
            attribute(&mut out, VENDOR_SPECIFIC, |o| {
                o.extend_from_slice(&MIKROTIK_RATE_LIMIT);
                o.push(plan.rate_limit.len() as u8 + 2);
                o.extend_from_slice(plan.rate_limit.as_bytes());
            });
            attribute(&mut out, SESSION_TIMEOUT, |o| {
                o.extend_from_slice(&plan.session_timeout.to_be_bytes())
            });
            attribute(&mut out, ACCT_INTERIM_INTERVAL, |o| {
                o.extend_from_slice(&plan.interim_interval.to_be_bytes())
            });
        }
        spoil(&mut out);
        let length = (out.len() as u16).to_be_bytes();
        out[2..4].copy_from_slice(&length);
        if with_mac {
            let mac = Hmac::<Md5>::new_from_slice(SECRET)
                .unwrap()
                .chain_update(&out)
                .finalize()
                .into_bytes();
            out[HEADER + 2..HEADER + 18].copy_from_slice(&mac);
        }
        let digest = Md5::new().chain_update(&out).chain_update(SECRET).finalize();
        out[4..HEADER].copy_from_slice(&digest);
        out
    }

    fn verdict_of(mut packet: Vec<u8>, member: Member, expected: Verdict) -> Result<(), String> {
        let codec = Codec::new(SECRET, true).unwrap();
        codec
            .check(&mut packet, &AUTHENTICATOR, member, expected)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_right_answer_passes() {
        for with_mac in [false, true] {
            let member = Member(41);
            verdict_of(answer(ACCESS_ACCEPT, member, with_mac, |_| ()), member, Verdict::Accept).unwrap();
            verdict_of(answer(ACCESS_REJECT, member, with_mac, |_| ()), member, Verdict::Reject).unwrap();
        }
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let member = Member(41);
        let check = |packet, expected| verdict_of(packet, member, expected).unwrap_err();
        let whole = |spoil: fn(&mut Vec<u8>)| answer(ACCESS_ACCEPT, member, true, spoil);

        assert_eq!(
            check(answer(ACCESS_ACCEPT, member, true, |_| ()), Verdict::Reject),
            "code 2, expected Reject"
        );
        assert_eq!(
            check(answer(ACCESS_REJECT, member, true, |_| ()), Verdict::Accept),
            "code 3, expected Accept"
        );
        assert!(check(answer(ACCESS_ACCEPT, Member(42), true, |_| ()), Verdict::Accept).contains("Framed-IP-Address"));
        assert_eq!(
            check(whole(|o| o.truncate(o.len() - 6)), Verdict::Accept),
            "Acct-Interim-Interval came 0 times"
        );
        assert_eq!(
            check(whole(|o| o.extend_from_slice(&[18, 4, b'h', b'i'])), Verdict::Accept),
            "unexpected attribute 18"
        );

        let mut forged = answer(ACCESS_ACCEPT, member, true, |_| ());
        forged[4] ^= 1;
        assert_eq!(check(forged, Verdict::Accept), "Response Authenticator does not verify");

        let mut mac_broken = answer(ACCESS_ACCEPT, member, true, |_| ());
        mac_broken[HEADER + 2] ^= 1;
        mac_broken[4..HEADER].copy_from_slice(&AUTHENTICATOR);
        let digest = Md5::new().chain_update(&mac_broken).chain_update(SECRET).finalize();
        mac_broken[4..HEADER].copy_from_slice(&digest);
        assert_eq!(
            check(mac_broken, Verdict::Accept),
            "Message-Authenticator does not verify"
        );
    }

    #[test]
    fn a_request_hides_the_password_and_is_signed() {
        let codec = Codec::new(SECRET, true).unwrap();
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        codec.encode(3, &AUTHENTICATOR, Member(5), true, &mut right);
        codec.encode(3, &AUTHENTICATOR, Member(5), false, &mut wrong);
        assert_eq!(right.len(), wrong.len());
        assert_ne!(right, wrong);
        let reveal = |packet: &[u8]| {
            let (_, value) = attributes(packet)
                .map(Result::unwrap)
                .find(|(kind, _)| *kind == USER_PASSWORD)
                .unwrap();
            let mut clear = value.to_vec();
            codec.hide(&AUTHENTICATOR, &mut clear);
            String::from_utf8(clear).unwrap().trim_end_matches('\0').to_owned()
        };
        assert_eq!(reveal(&right), Member(5).password());
        assert_ne!(reveal(&wrong), Member(5).password());

        let at = message_authenticator_at(&right).unwrap().unwrap();
        let sent = right[at..at + 16].to_vec();
        right[at..at + 16].fill(0);
        let mac = Hmac::<Md5>::new_from_slice(SECRET)
            .unwrap()
            .chain_update(&right)
            .finalize()
            .into_bytes();
        assert_eq!(sent, mac.as_slice());
    }
}
