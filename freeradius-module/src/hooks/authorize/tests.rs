use isp_core::policy::Withheld;
use isp_core::policy::mark::Mark;
use isp_core::policy::vendor::{Vendor, VendorSet};
use isp_core::subscriber::AttributeRow;

use super::*;
use crate::hooks::fake::Fake;

const CHECK: RawRow<'_> = RawRow {
    id: 1,
    attribute: "NAS-Port",
    op: "==",
    value: "1",
};
const REPLY: RawRow<'_> = RawRow {
    id: 2,
    attribute: "Class",
    op: "+=",
    value: "a",
};
const BROKEN: RawRow<'_> = RawRow { op: "", ..REPLY };

fn authorization<'a>(checks: &'a [RawRow<'a>], replies: &'a [RawRow<'a>]) -> Authorization<'a> {
    Authorization {
        tenant_id: "t",
        credential: Credential::None,
        restricted: None,
        notes: &[],
        reply: &[],
        ends: None,
        lowered: false,
        withheld: Withheld::default(),
        vendor: Vendor::none(),
        checks,
        replies,
        groups: &[],
        mark: Mark {
            restricted: false,
            hash: 1,
        },
    }
}

fn group(check: &str, reply: &str) -> Group {
    let row = |id, attribute: &str, op: &str, value: &str| AttributeRow {
        id,
        attribute: attribute.to_owned(),
        op: op.to_owned(),
        value: value.to_owned(),
    };
    let rows = |text: &str, op| match text {
        "" => Vec::new(),
        "broken" => vec![row(1, "Class", "", "")],
        text => vec![row(1, text, op, "x")],
    };
    Group {
        checks: rows(check, "=="),
        replies: rows(reply, ":="),
        fault: None,
    }
}

/// What is merged, of groups whose checks hold if their attribute says so.
#[track_caller]
fn merged(own: FallThrough, groups: &[Group], expected: &[&str]) {
    let mut request = Fake {
        holds: true,
        ..Fake::default()
    };
    let reply = RawRow {
        attribute: match own {
            FallThrough::No => "no",
            FallThrough::Yes => "yes",
            FallThrough::Unsaid => "own",
        },
        ..REPLY
    };
    let groups: Vec<&Group> = groups.iter().collect();
    let authorization = Authorization {
        groups: &groups,
        ..authorization(&[], std::slice::from_ref(&reply))
    };
    grant(&mut request, &authorization).unwrap();
    assert_eq!(request.done[3..], *expected, "{:?}", request.done);
}

#[test]
fn the_first_group_that_holds_is_the_last_unless_it_says_otherwise() {
    let (control, reply) = ("merge Control", "merge Reply");
    let (plain, yes, no) = (group("holds", "x"), group("holds", "yes"), group("holds", "no"));
    let passed_over = group("fails", "yes");
    let (bare, given) = (group("", ""), group("", "x"));
    let of = |groups: &[&Group]| groups.iter().map(|&group| group.clone()).collect::<Vec<_>>();
    merged(FallThrough::No, &of(&[&plain]), &[]);
    merged(FallThrough::Unsaid, &of(&[&plain, &plain]), &[control, reply]);
    merged(FallThrough::Yes, &of(&[&passed_over, &no, &plain]), &[control, reply]);
    merged(
        FallThrough::Unsaid,
        &of(&[&yes, &passed_over, &given, &plain]),
        &[control, reply, reply],
    );
    merged(FallThrough::Unsaid, &of(&[&bare, &plain]), &[]);
    merged(FallThrough::Unsaid, &of(&[&passed_over]), &[]);
}

#[test]
fn no_row_replaces_the_terms_of_a_restriction() {
    let why = Refusal::new(Reason::Suspended, "the subscriber is suspended");
    let group = group("", "Class");
    let authorization = Authorization {
        restricted: Some(&why),
        lowered: true,
        withheld: Withheld {
            routes: true,
            ipv4: true,
            ..Withheld::default()
        },
        groups: &[&group],
        ..authorization(&[], &[REPLY])
    };
    let mut request = Fake::default();
    grant(&mut request, &authorization).unwrap();
    assert_eq!(
        request.done,
        [
            "give",
            "reply 0",
            "merge Reply",
            "merge Reply",
            "take away Framed-Route",
            "take away Framed-IPv6-Route",
            "take away Framed-IP-Address",
            "reply 0"
        ]
    );
}

#[test]
fn nothing_that_is_withheld_has_a_way_around() {
    let shipped = VendorSet::shipped().unwrap();
    let all = Withheld {
        routes: true,
        ipv4: true,
        ipv6: true,
        delegated_ipv6: true,
    };
    let names: Vec<&str> = WITHHELD.into_iter().map(Name::as_str).collect();
    assert!(all.standard().eq(names.iter().copied()), "each can be taken away");
    for (vendor, expected) in [
        ("mikrotik", vec!["Framed-Pool", "Mikrotik-Delegated-IPv6-Pool"]),
        ("cisco", vec![]),
    ] {
        let mut request = Fake::default();
        let authorization = Authorization {
            lowered: true,
            withheld: all,
            vendor: shipped.get(vendor).unwrap(),
            ..authorization(&[], &[REPLY])
        };
        grant(&mut request, &authorization).unwrap();
        let taken = request.done.iter().filter_map(|done| done.strip_prefix("take away "));
        let of_vendor: Vec<&str> = taken.filter(|name| !names.contains(name)).collect();
        assert_eq!(of_vendor, expected, "{vendor}");
    }
}

#[test]
fn how_a_password_is_verified_is_for_a_row_to_say_first() {
    let group = group("holds", "");
    for (credential, expected) in [
        (
            Credential::VerifyHere,
            ["reply 0", "merge Control", "merge Control", "give"],
        ),
        (
            Credential::NotNeeded,
            ["reply 0", "merge Control", "merge Control", "give"],
        ),
        (Credential::None, ["give", "reply 0", "merge Control", "merge Control"]),
    ] {
        let authorization = Authorization {
            credential,
            groups: &[&group],
            ..authorization(&[CHECK], &[])
        };
        let mut request = Fake {
            holds: true,
            ..Fake::default()
        };
        grant(&mut request, &authorization).unwrap();
        assert_eq!(request.done, expected);
    }
}

#[test]
fn a_malformed_row_of_a_group_refuses_and_is_named() {
    for (check, reply, table) in [("broken", "", "radgroupcheck"), ("", "broken", "radgroupreply")] {
        let group = group(check, reply);
        let authorization = Authorization {
            groups: &[&group],
            ..authorization(&[], &[])
        };
        let refusal = grant(&mut Fake::default(), &authorization).unwrap_err();
        assert_eq!(refusal.reason, Reason::BadAttribute);
        assert!(refusal.message.starts_with(table), "{refusal}");
    }
}

#[test]
fn a_reply_that_cannot_be_sent_whole_is_refused() {
    let mut request = Fake {
        too_long: true,
        ..Fake::default()
    };
    let refusal = grant(&mut request, &authorization(&[], &[REPLY])).unwrap_err();
    assert_eq!(refusal.reason, Reason::ReplyTooLong);
}

#[test]
fn raw_rows_come_after_the_policy() {
    let mut request = Fake {
        holds: true,
        ..Fake::default()
    };
    grant(&mut request, &authorization(&[CHECK], &[REPLY])).unwrap();
    assert_eq!(request.done, ["give", "reply 0", "merge Control", "merge Reply"]);
}

#[test]
fn what_is_expanded_to_no_value_is_refused() {
    let groups = [group("", "unfit")];
    let mut request = Fake {
        holds: true,
        ..Fake::default()
    };
    let authorization = Authorization {
        groups: &[&groups[0]],
        ..authorization(&[], &[])
    };
    let refusal = grant(&mut request, &authorization).unwrap_err();
    assert_eq!(refusal.reason, Reason::BadAttribute);
    assert!(
        refusal.message.contains("radgroupreply: what Class is expanded to"),
        "{refusal}"
    );
}

#[test]
fn a_group_that_holds_lets_in_whose_own_checks_do_not() {
    let groups = [group("", "Class")];
    let mut request = Fake::default();
    let authorization = Authorization {
        groups: &[&groups[0]],
        ..authorization(&[CHECK], &[REPLY])
    };
    grant(&mut request, &authorization).unwrap();
    assert_eq!(
        request.done,
        ["reply 0", "merge Reply", "check_mismatch of the request"],
        "neither the password nor a row of its own"
    );
}

#[test]
fn nothing_is_set_where_a_row_is_malformed_or_does_not_hold() {
    for (checks, replies, reason) in [
        (&[CHECK][..], &[REPLY][..], Reason::CheckMismatch),
        (&[BROKEN], &[], Reason::BadAttribute),
        (&[], &[BROKEN], Reason::BadAttribute),
    ] {
        let mut request = Fake::default();
        let refusal = grant(&mut request, &authorization(checks, replies)).unwrap_err();
        assert_eq!(refusal.reason, reason);
        assert!(request.done.is_empty(), "{:?}", request.done);
    }
}

#[test]
fn a_hash_that_nobody_would_verify_is_refused_with_what_to_do() {
    let mut request = Fake {
        given: Some(PutError::NoAuthType),
        ..Fake::default()
    };
    let refusal = grant(&mut request, &authorization(&[], &[])).unwrap_err();
    assert_eq!(refusal.reason, Reason::MethodUnsupported);
    assert!(refusal.message.contains("Auth-Type rust { rust }"), "{refusal}");
}
