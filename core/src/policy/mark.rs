//! What a decision tells a session, in a form that stays the same while nothing changes but the time.

use std::fmt::{self, Write as _};

use super::reply::{Attribute, Value};
use super::{Decision, Facts};
use crate::subscriber::RawRow;

/// A decision that let a subscriber in, as a number: put into Class at login, it tells later under which decision the
/// session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    pub restricted: bool,
    pub hash: u64,
}

/// What a Class that holds a mark begins with.
const PREFIX: &str = "isp1:";

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{}{:016x}",
            if self.restricted { 'r' } else { 'a' },
            self.hash
        )
    }
}

impl Mark {
    /// The mark of a decision made from these facts, with the rows of [`reply_rows`](super::rows::reply_rows).
    #[must_use]
    pub fn of<'r>(decision: &Decision<'_>, facts: &Facts<'_>, rows: impl Iterator<Item = RawRow<'r>>) -> Self {
        let mut hash = Fnv::default();
        for item in &decision.reply {
            // How often the NAS reports, and by which name, is nothing a session is changed for.
            if !matches!(item.attribute, Attribute::AcctInterimInterval | Attribute::UserName) {
                let name = item.attribute.name();
                match until(item.attribute, &item.value, facts) {
                    Some(until) => hash.add(format_args!("{name}\0until {until}\0")),
                    None => hash.add(format_args!("{name}\0{}\0{}\0", item.tag, item.value)),
                }
            }
        }
        for row in rows {
            hash.add(format_args!("{}\0{}\0{}\0", row.attribute, row.op, row.value));
        }
        Self {
            restricted: decision.restricted.is_some(),
            hash: hash.0,
        }
    }

    /// Read one out of a Class, as accounting keeps it: hex digits behind `0x`, or text.
    #[must_use]
    pub fn in_class(class: &str) -> Option<Self> {
        let decoded;
        let text = match class.strip_prefix("0x") {
            Some(digits) => {
                decoded = unhex(digits)?;
                std::str::from_utf8(&decoded).ok()?
            }
            None => class,
        };
        let (kind, digits) = text.strip_prefix(PREFIX)?.split_at_checked(1)?;
        let restricted = match kind {
            "a" => false,
            "r" => true,
            _ => return None,
        };
        let hash = (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())??;
        Some(Self { restricted, hash })
    }
}

/// The instant a Session-Timeout stands for, where it ends at one; else it is a length that does not change.
pub fn until(attribute: Attribute<'_>, value: &Value<'_>, facts: &Facts<'_>) -> Option<i64> {
    let ends = facts.ends()?;
    let &Value::Integer(seconds) = value else { return None };
    let ends_then = ends.saturating_sub(facts.now) == i64::from(seconds);
    (attribute == Attribute::SessionTimeout && ends_then).then_some(ends)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// FNV-1a: the same on every host and in every version, and nobody gains by a collision.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, text: fmt::Arguments<'_>) {
        // It cannot fail.
        let _ = self.write_fmt(text);
    }
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_out_of_a_class() {
        let mark = Mark {
            restricted: true,
            hash: 0x0123_4567_89ab_cdef,
        };
        let text = mark.to_string();
        assert_eq!(text, "isp1:r0123456789abcdef");
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Mark::in_class(&text), Some(mark));
        assert_eq!(Mark::in_class(&format!("0x{hex}")), Some(mark));
        for other in [
            "",
            "0x",
            "0x6",
            "0xzz",
            "isp1:",
            "isp1:x0123456789abcdef",
            "isp1:a12",
            "ai:00",
        ] {
            assert_eq!(Mark::in_class(other), None, "{other}");
        }
    }
}
