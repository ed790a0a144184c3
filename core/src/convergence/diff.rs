//! What is to be sent to a session that was told one thing and is to be told another.

use crate::order::{OrderItem, OrderKind};
use crate::policy::vendor::Coa;
use crate::policy::vendor::coa::{Request, UndoBy};

/// Times that a session was given: no reason to end it. What of them a CoA cannot carry is left to the next session.
const SOFT: [&str; 3] = ["Session-Timeout", "Idle-Timeout", "Acct-Interim-Interval"];

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Change { set: Vec<OrderItem>, unset: Vec<OrderItem> },
    Disconnect,
}

impl Step {
    pub(super) const fn kind(&self) -> Option<OrderKind> {
        match self {
            Self::Nothing => None,
            Self::Change { .. } => Some(OrderKind::Change),
            Self::Disconnect => Some(OrderKind::Disconnect),
        }
    }
}

/// The difference between what a session was told (`had`) and is to be told (`wanted`). What is in `maybe` it may have been
/// told besides: that is settled whatever it was.
pub(super) fn difference(coa: &Coa, had: &[OrderItem], maybe: &[OrderItem], wanted: &[OrderItem]) -> Step {
    let (mut set, mut unset): (Vec<OrderItem>, Vec<OrderItem>) = (Vec::new(), Vec::new());
    let mut seen: Vec<&str> = Vec::new();
    for item in had.iter().chain(maybe).chain(wanted) {
        let name = item.attribute.as_str();
        if is_note(name) || seen.iter().any(|seen| seen.eq_ignore_ascii_case(name)) {
            continue;
        }
        seen.push(name);
        let of = |items: &[OrderItem]| -> Vec<OrderItem> {
            let named = items.iter().filter(|item| item.attribute.eq_ignore_ascii_case(name));
            named.cloned().collect()
        };
        let (had, maybe, wanted) = (of(had), of(maybe), of(wanted));
        if maybe.is_empty() && had == wanted {
            continue;
        }
        let soft = SOFT.iter().any(|soft| soft.eq_ignore_ascii_case(name));
        let carried = carries(coa, name) && wanted.iter().all(is_literal);
        if !carried && !wanted.is_empty() {
            if soft {
                continue;
            }
            return Step::Disconnect;
        }
        for gone in had
            .iter()
            .chain(&maybe)
            .filter(|gone| !is_replaced(coa, gone, &had, &wanted))
        {
            match take_back(coa, gone) {
                Some(items) => unset.extend(
                    items
                        .into_iter()
                        .filter(|item| !unset.contains(item))
                        .collect::<Vec<_>>(),
                ),
                None if soft => {}
                None => return Step::Disconnect,
            }
        }
        set.extend(wanted);
    }
    if set.is_empty() && unset.is_empty() {
        return Step::Nothing;
    }
    if coa.request == Request::Disconnect {
        let soft = |item: &OrderItem| SOFT.iter().any(|soft| soft.eq_ignore_ascii_case(&item.attribute));
        return if set.iter().all(soft) && unset.is_empty() {
            Step::Nothing
        } else {
            Step::Disconnect
        };
    }
    complete(coa, &mut set, wanted);
    Step::Change { set, unset }
}

/// All that a CoA can carry of what is wanted.
pub(super) fn all_carried(coa: &Coa, wanted: &[OrderItem]) -> Vec<OrderItem> {
    let carried = wanted
        .iter()
        .filter(|item| carries(coa, &item.attribute) && is_literal(item));
    carried.cloned().collect()
}

/// A note is for people and for telling why; no NAS is told of it.
pub(super) fn is_note(attribute: &str) -> bool {
    attribute.starts_with('@')
}

fn carries(coa: &Coa, attribute: &str) -> bool {
    coa.attributes.iter().any(|known| known.eq_ignore_ascii_case(attribute))
}

/// The server expands other values, at login.
fn is_literal(item: &OrderItem) -> bool {
    !item.value.contains("%{") && !item.value.starts_with('`')
}

/// Whether a value that was told is still so, or one that is wanted takes its place.
fn is_replaced(coa: &Coa, gone: &OrderItem, had: &[OrderItem], wanted: &[OrderItem]) -> bool {
    if wanted.contains(gone) {
        return true;
    }
    let adds = coa
        .undo
        .iter()
        .any(|undo| undo.adds && undo.attribute.eq_ignore_ascii_case(&gone.attribute));
    if adds {
        return false;
    }
    let single = had.len() <= 1 && wanted.len() == 1;
    single
        || wanted
            .iter()
            .any(|item| (item.tag, key(&item.value)) == (gone.tag, key(&gone.value)))
}

/// What a value of an attribute with several is about: `ip:sub-qos-policy-in` of `ip:sub-qos-policy-in=gold`.
fn key(value: &str) -> &str {
    value.split(['=', ' ']).next().unwrap_or(value)
}

fn take_back(coa: &Coa, gone: &OrderItem) -> Option<Vec<OrderItem>> {
    let undo = coa
        .undo
        .iter()
        .filter(|undo| undo.attribute.eq_ignore_ascii_case(&gone.attribute));
    let items: Option<Vec<OrderItem>> = undo
        .map(|undo| match &undo.how {
            UndoBy::Send { by, value } => Some(OrderItem::new(by, value.of(&gone.value))),
            UndoBy::Disconnect => None,
        })
        .collect();
    items.filter(|items| !items.is_empty())
}

/// Add what is refused one without the other.
fn complete(coa: &Coa, set: &mut Vec<OrderItem>, wanted: &[OrderItem]) {
    let named = |items: &[OrderItem], name: &String| items.iter().any(|item| item.attribute.eq_ignore_ascii_case(name));
    for together in &coa.together {
        if together.iter().any(|name| named(set, name)) {
            let missing = together.iter().filter(|name| !named(set, name));
            let more: Vec<OrderItem> = missing
                .flat_map(|name| wanted.iter().filter(|item| item.attribute.eq_ignore_ascii_case(name)))
                .cloned()
                .collect();
            set.extend(more);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::policy::vendor::VendorSet;

    fn items(texts: &[&str]) -> Vec<OrderItem> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(vendor: &str, had: &[&str], wanted: &[&str], expected: Option<(&[&str], &[&str])>) {
        check_with(vendor, had, &[], wanted, expected);
    }

    #[track_caller]
    fn check_with(vendor: &str, had: &[&str], maybe: &[&str], wanted: &[&str], expected: Option<(&[&str], &[&str])>) {
        let vendors = VendorSet::shipped().unwrap();
        let vendor = vendors.get(vendor).unwrap();
        let step = difference(vendor.coa(), &items(had), &items(maybe), &items(wanted));
        let expected = match expected {
            None => Step::Disconnect,
            Some(([], [])) => Step::Nothing,
            Some((set, unset)) => Step::Change {
                set: items(set),
                unset: items(unset),
            },
        };
        assert_eq!(step, expected);
    }

    #[test]
    fn only_what_differs_is_sent() {
        let rate = "Mikrotik-Rate-Limit = 1M/2M";
        check(
            "mikrotik",
            &[rate, "Filter-Id = a"],
            &[rate, "Filter-Id = a"],
            Some((&[], &[])),
        );
        check(
            "mikrotik",
            &[rate, "Filter-Id = a"],
            &["Mikrotik-Rate-Limit = 5M/5M", "Filter-Id = a"],
            Some((&["Mikrotik-Rate-Limit = 5M/5M"], &[])),
        );
        check("mikrotik", &[rate], &[], Some((&[], &["Mikrotik-Rate-Limit = 0/0"])));
        check("mikrotik", &["@plan = a", rate], &["@plan = b", rate], Some((&[], &[])));
    }

    #[test]
    fn what_nothing_takes_back_ends_the_session() {
        let (gold, garden) = ("Mikrotik-Address-List = gold", "Mikrotik-Address-List = garden");
        check("mikrotik", &[], &[garden], Some((&[garden], &[])));
        check("mikrotik", &[garden], &[], None);
        check("mikrotik", &[gold], &[garden], None);
        check("mikrotik", &["Framed-Pool = a"], &["Framed-Pool = b"], None);
        check(
            "mikrotik",
            &["Framed-IP-Address = 192.0.2.1"],
            &["Framed-IP-Address = 192.0.2.2"],
            None,
        );
        check(
            "wispr",
            &["WISPr-Bandwidth-Max-Up = 1"],
            &["WISPr-Bandwidth-Max-Up = 2"],
            None,
        );
    }

    #[test]
    fn values_of_one_attribute_are_told_apart() {
        let (up, down) = (
            "Cisco-AVPair = ip:sub-qos-policy-in=a",
            "Cisco-AVPair = ip:sub-qos-policy-out=a",
        );
        let other = "Cisco-AVPair = ip:sub-qos-policy-in=b";
        check("cisco", &[up, down], &[other, down], Some((&[other, down], &[])));
        check("cisco", &[up, down], &[up], None);
        check(
            "juniper",
            &["ERX-Service-Activate:1 = gold"],
            &["ERX-Service-Activate:1 = silver"],
            Some((&["ERX-Service-Activate:1 = silver"], &["ERX-Service-Deactivate = gold"])),
        );
    }

    #[test]
    fn what_goes_together_is_sent_together() {
        let had = ["Huawei-Input-Average-Rate = 1", "Huawei-Input-Peak-Rate = 9"];
        let wanted = ["Huawei-Input-Average-Rate = 2", "Huawei-Input-Peak-Rate = 9"];
        check("huawei", &had, &wanted, Some((&wanted, &[])));
    }

    #[test]
    fn times_alone_end_no_session() {
        check(
            "juniper-e",
            &["Session-Timeout = until 5"],
            &["Session-Timeout = until 9"],
            Some((&["Session-Timeout = until 9"], &[])),
        );
        check(
            "mikrotik",
            &["Acct-Interim-Interval = 60"],
            &["Acct-Interim-Interval = 90"],
            Some((&[], &[])),
        );
        check("mikrotik", &["Session-Timeout = 60"], &[], Some((&[], &[])));
        check(
            "wispr",
            &["Session-Timeout = 60"],
            &["Session-Timeout = 90"],
            Some((&[], &[])),
        );
    }

    #[test]
    fn what_the_session_may_have_been_told_is_settled() {
        let (one, two) = ("Mikrotik-Rate-Limit = 1M/1M", "Mikrotik-Rate-Limit = 2M/2M");
        check_with("mikrotik", &[one], &[two], &[one], Some((&[one], &[])));
        check_with(
            "mikrotik",
            &[],
            &[two],
            &[],
            Some((&[], &["Mikrotik-Rate-Limit = 0/0"])),
        );
        check_with("mikrotik", &[], &["Mikrotik-Address-List = x"], &[], None);
    }

    #[test]
    fn what_only_the_server_can_expand_takes_a_new_session() {
        check("mikrotik", &["Filter-Id = a"], &["Filter-Id = %{NAS-Port}"], None);
    }
}
