//! What a decision tells a session, in a form that stays the same while nothing changes but the time.

use std::fmt::{self, Write as _};

use super::reply::{Attribute, Value};
use super::{Decision, Facts};
use crate::group::Group;
use crate::subscriber::{AttributeRow, RawRow};

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
    /// The mark of a decision made from these facts, with the rows of [`reply_rows`].
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

/// The reply rows that count for a subscriber, in order: its own, then those of its groups. What a group's check rows
/// compare with a packet cannot be told without one; such a group is left out.
pub fn reply_rows<'a>(own: &'a [RawRow<'a>], groups: &'a [&'a Group]) -> impl Iterator<Item = RawRow<'a>> {
    let of_groups = counting(own, groups).flat_map(|group| group.replies.iter().map(RawRow::from));
    let rows = own.iter().copied().chain(of_groups);
    rows.filter(|row| !row.attribute.eq_ignore_ascii_case(FALL_THROUGH))
}

/// The groups that count for a subscriber with these reply rows of its own, in order.
pub fn counting<'a>(own: &[RawRow<'_>], groups: &'a [&'a Group]) -> impl Iterator<Item = &'a Group> {
    let goes_on = fall_through(own.iter().copied()) != Some(false);
    let conditional = |group: &Group| group.checks.iter().any(compares);
    let counting: &[&Group] = if goes_on { groups } else { &[] };
    let mut done = false;
    counting
        .iter()
        .copied()
        .filter(move |group| !conditional(group))
        .take_while(move |group| {
            let counts = !done;
            done |= fall_through(group.replies.iter().map(RawRow::from)) != Some(true);
            counts
        })
}

const FALL_THROUGH: &str = "Fall-Through";

fn fall_through<'a>(mut rows: impl Iterator<Item = RawRow<'a>>) -> Option<bool> {
    let row = rows.find(|row| row.attribute.eq_ignore_ascii_case(FALL_THROUGH))?;
    Some(row.value == "1" || row.value.eq_ignore_ascii_case("yes"))
}

fn compares(row: &AttributeRow) -> bool {
    !matches!(row.op.as_str(), "=" | ":=" | "+=")
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

    #[test]
    fn groups_count_as_far_as_they_fall_through() {
        let row = |attribute: &str, op: &str, value: &str| AttributeRow {
            id: 1,
            attribute: attribute.to_owned(),
            op: op.to_owned(),
            value: value.to_owned(),
        };
        let group = |check: &str, reply: &str, more: &str| Group {
            checks: vec![row("NAS-Port", check, "1")],
            replies: vec![row(reply, "=", "x"), row(FALL_THROUGH, "=", more)],
            fault: None,
        };
        let (one, two, three) = (
            group(":=", "one", "Yes"),
            group("==", "two", "Yes"),
            group(":=", "three", "No"),
        );
        let groups = [&one, &two, &three, &one];
        let names = |own: &[RawRow<'_>]| -> Vec<String> {
            reply_rows(own, &groups).map(|row| row.attribute.to_owned()).collect()
        };
        assert_eq!(names(&[]), ["one", "three"]);
        let own = row("own", "=", "x");
        let stop = row(FALL_THROUGH, "=", "No");
        assert_eq!(names(&[RawRow::from(&own)]), ["own", "one", "three"]);
        assert_eq!(names(&[RawRow::from(&own), RawRow::from(&stop)]), ["own"]);
    }
}
