//! What raw rows come to without a packet: which of them count, and which of the check rows refuse.
//!
//! The server alone compares rows with a packet, at login. Here stands what can be told of a session that is already there.

use jiff::tz::TimeZone;

use super::expiration;
use crate::group::Group;
use crate::subscriber::RawRow;

const FALL_THROUGH: &str = "Fall-Through";

/// The reply rows that count for a subscriber, in order: its own, then those of its groups. What a group's check rows
/// compare with a packet cannot be told without one; such a group is left out.
pub fn reply_rows<'a>(own: &'a [RawRow<'a>], groups: &'a [&'a Group]) -> impl Iterator<Item = RawRow<'a>> {
    let of_groups = counting(own, groups).flat_map(|group| group.replies.iter().map(RawRow::from));
    let rows = own.iter().copied().chain(of_groups);
    rows.filter(|row| !row.attribute.eq_ignore_ascii_case(FALL_THROUGH))
}

/// The groups that count for a subscriber with these reply rows of its own, in order.
fn counting<'a>(own: &[RawRow<'_>], groups: &'a [&'a Group]) -> impl Iterator<Item = &'a Group> {
    let goes_on = fall_through(own.iter().copied()) != Some(false);
    let conditional = |group: &Group| group.checks.iter().map(RawRow::from).any(|row| compares(&row));
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

fn fall_through<'a>(mut rows: impl Iterator<Item = RawRow<'a>>) -> Option<bool> {
    let row = rows.find(|row| row.attribute.eq_ignore_ascii_case(FALL_THROUGH))?;
    Some(row.value == "1" || row.value.eq_ignore_ascii_case("yes"))
}

/// Check items that the server never compares, whatever their operator (`paircompare` of 3.2).
const NEVER_COMPARED: [&str; 6] = [
    "Acct-Type",
    "Auth-Type",
    "Autz-Type",
    "Crypt-Password",
    "Session-Type",
    "Strip-User-Name",
];

/// Whether the server compares a check row with the packet. It does so even with `=`, which it takes for `==`.
#[must_use]
pub fn compares(row: &RawRow<'_>) -> bool {
    let is = |name: &&str| row.attribute.eq_ignore_ascii_case(name);
    !matches!(row.op, ":=" | "+=") && !NEVER_COMPARED.iter().any(is)
}

/// What check rows refuse without being compared with a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gate {
    /// `Auth-Type := Reject`, the stock way to suspend somebody.
    pub rejects: bool,
    /// The end of `Expiration`, Unix seconds.
    pub expires: Option<i64>,
}

impl Gate {
    /// Of a subscriber's own rows and those of its groups that count. `zone`: of the machine, as the server reads dates.
    #[must_use]
    pub fn of(checks: &[RawRow<'_>], replies: &[RawRow<'_>], groups: &[&Group], zone: &TimeZone) -> Self {
        let of_groups = counting(replies, groups).flat_map(|group| group.checks.iter().map(RawRow::from));
        let mut gate = Self::default();
        // One that sets takes the place of those before it, one that compares holds besides.
        let (mut set, mut compared) = (None, None);
        for row in checks.iter().copied().chain(of_groups) {
            let is = |name: &str| row.attribute.eq_ignore_ascii_case(name);
            gate.rejects |= is("Auth-Type") && row.op == ":=" && row.value.eq_ignore_ascii_case("Reject");
            let date = || expiration::read(row.value, zone).ok();
            match row.op {
                ":=" if is(EXPIRATION) => set = date(),
                "=" | "==" if is(EXPIRATION) => compared = [compared, date()].into_iter().flatten().min(),
                _ => {}
            }
        }
        gate.expires = [set, compared].into_iter().flatten().min();
        gate
    }
}

const EXPIRATION: &str = "Expiration";

/// Whether it is for the server to say, at login, if a check row refuses: no [`Gate`] tells.
#[must_use]
pub fn is_open(row: &RawRow<'_>) -> bool {
    let is = |name: &str| row.attribute.eq_ignore_ascii_case(name);
    (compares(row) && !is(EXPIRATION)) || is("Login-Time")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscriber::AttributeRow;

    fn row(attribute: &str, op: &str, value: &str) -> AttributeRow {
        AttributeRow {
            id: 1,
            attribute: attribute.to_owned(),
            op: op.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn groups_count_as_far_as_they_fall_through() {
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

    #[test]
    fn what_sets_is_not_compared() {
        for (attribute, op, outcome) in [
            ("NAS-Port-Type", "==", true),
            ("NAS-Port-Type", "=", true),
            ("NAS-Port-Type", ":=", false),
            ("Simultaneous-Use", "+=", false),
            ("auth-type", "=", false),
            ("Auth-Type", "==", false),
            ("Crypt-Password", "=", false),
            ("Cleartext-Password", "=", true),
        ] {
            assert_eq!(
                compares(&RawRow::from(&row(attribute, op, "x"))),
                outcome,
                "{attribute} {op}"
            );
        }
    }

    #[test]
    fn gates_are_of_the_rows_that_count() {
        let gate = |own: &[(&str, &str, &str)], groups: &[&Group]| {
            let own: Vec<AttributeRow> = own.iter().map(|(name, op, value)| row(name, op, value)).collect();
            let own: Vec<RawRow<'_>> = own.iter().map(RawRow::from).collect();
            Gate::of(&own, &[], groups, &TimeZone::UTC)
        };
        let group = |checks: &[(&str, &str, &str)]| Group {
            checks: checks.iter().map(|(name, op, value)| row(name, op, value)).collect(),
            ..Group::default()
        };
        let expires = |at| Gate {
            expires: Some(at),
            ..Gate::default()
        };
        let reject = Gate {
            rejects: true,
            ..Gate::default()
        };
        assert_eq!(gate(&[], &[]), Gate::default());
        assert_eq!(gate(&[("auth-type", ":=", "reject")], &[]), reject);
        assert_eq!(gate(&[("Auth-Type", ":=", "Accept")], &[]), Gate::default());
        assert_eq!(gate(&[], &[&group(&[("Auth-Type", ":=", "Reject")])]), reject);
        let conditional = group(&[("NAS-Port", "=", "1"), ("Auth-Type", ":=", "Reject")]);
        assert_eq!(gate(&[], &[&conditional]), Gate::default());
        let first = [("Expiration", ":=", "1000000")];
        assert_eq!(gate(&first, &[]), expires(1_000_000));
        assert_eq!(
            gate(&first, &[&group(&[("Expiration", ":=", "2000000")])]),
            expires(2_000_000)
        );
        let both = [("Expiration", "==", "1000000"), ("expiration", ":=", "2000000")];
        assert_eq!(gate(&both, &[]), expires(1_000_000));
        assert_eq!(gate(&[("Expiration", ":=", "some day")], &[]), Gate::default());
    }
}
