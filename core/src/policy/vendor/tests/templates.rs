//! What becomes of a template.

use super::*;

#[test]
fn templates_multiply_choose_and_escape() {
    let terms = Terms {
        upload_kbps: Some(1_001),
        download_kbps: Some(4_000_000),
        download_burst_kbps: Some(8_000),
        download_burst_seconds: Some(3),
        plan: Some("gold {x}"),
        ..Terms::default()
    };
    for (template, expected) in [
        ("{upload_kbps}", Some("1001")),
        ("{upload_bps}", Some("1001000")),
        ("{upload_kbps*3/2}", Some("1501")),
        ("{upload_kbps / 2}", Some("500")),
        ("{upload_kbps*2}k", Some("2002k")),
        ("{download_bps*4000000000}", Some("16000000000000000000")),
        ("{download_bps*4000000001}", Some("16000000004000000000")),
        ("{download_burst_bytes}", Some("3000000")),
        ("{upload_burst_bytes}", None),
        ("{upload_burst_kbps|upload_kbps}", Some("1001")),
        ("{upload_burst_kbps|priority|8}", Some("8")),
        ("a {plan} b", Some("a gold {x} b")),
        ("{{{plan}}}", Some("{gold {x}}")),
        ("100%", Some("100%")),
        ("{upload_kbps}/{upload_min_kbps}", None),
    ] {
        let set = read(&with_template(&format!("{template:?}"))).unwrap();
        let shown = lines(&set.generic().reply(&terms).unwrap());
        let expected: Vec<String> = expected.map(|value| format!("A = {value}")).into_iter().collect();
        assert_eq!(shown, expected, "{template}");
    }
}

#[test]
fn the_first_alternative_that_can_be_filled_is_taken() {
    let list = "[\"{filter_id}\", { any = [\"priority\"], value = \"p{priority|9}\" }, { any = [\"plan\", \"priority\"], \
                value = 5 }, 6]";
    let set = read(&with_template(list)).unwrap();
    let shown = |terms: Terms<'_>| lines(&set.generic().reply(&terms).unwrap());
    let nothing = Terms::default();
    assert_eq!(shown(nothing), ["A = 6"]);
    let named = Terms {
        plan: Some("x"),
        ..nothing
    };
    assert_eq!(shown(named), ["A = 5"]);
    let first = Terms {
        priority: Some(3),
        ..named
    };
    assert_eq!(shown(first), ["A = p3"]);
    let filtered = Terms {
        filter_id: Some("f"),
        ..first
    };
    assert_eq!(shown(filtered), ["A = f"]);
}

#[test]
fn numbers_and_words_become_integers_and_never_wrap() {
    let text = "[vendor.generic]
        reply = [
            { attribute = \"Number-1\", value = \"{download_bps}\" },
            { attribute = \"Number-2\", value = \"Known-Word\" },
            { attribute = \"Number-3\", value = 4294967295 },
            { attribute = \"Host\", value = \"192.0.2.1\" },
        ]";
    let set = read(text).unwrap();
    let terms = Terms {
        download_kbps: Some(10_000_000),
        ..Terms::default()
    };
    let reply = set.generic().reply(&terms).unwrap();
    let values: Vec<_> = reply.iter().map(|item| item.value.clone()).collect();
    assert_eq!(
        values,
        [
            Value::Integer(u32::MAX),
            Value::Integer(7),
            Value::Integer(u32::MAX),
            Value::Ipv4([192, 0, 2, 1].into()),
        ]
    );
}

#[test]
fn a_value_that_does_not_fit_is_an_error_that_names_the_attribute() {
    let set = read(&with_template("\"{plan}\"")).unwrap();
    let name = "x".repeat(33);
    let terms = Terms {
        plan: Some(&name),
        ..Terms::default()
    };
    let why = set.generic().reply(&terms).unwrap_err().to_string();
    assert_eq!(why, "A would be 33 bytes long, and at most 32 fit");
}

#[test]
fn a_bad_template_is_told_with_what_it_should_be() {
    for (value, expected) in [
        (
            "\"{downlod_kbps}\"",
            "there is no term \"downlod_kbps\": did you mean \"download_kbps\"?",
        ),
        ("\"{zzz}\"", "there are upload_kbps, upload_bps"),
        ("\"{\"", "without its other half"),
        ("\"a}\"", "without its other half"),
        ("\"{upload_kbps*x}\"", "may come *N, /N or *N/N"),
        ("\"{upload_kbps/0}\"", "may come *N, /N or *N/N"),
        ("\"{plan*2}\"", "plan is a name, not a number"),
        ("\"\"", "A has an empty value"),
        ("[]", "an empty list gives no value"),
        ("true", "invalid type"),
        ("[{ any = [\"x\"], value = \"y\" }]", "there is no term \"x\""),
        ("[{ value = \"y\", when = 1 }]", "unknown field `when`"),
    ] {
        let faults = read(&with_template(value)).map(|_| ()).unwrap_err();
        assert!(
            faults
                .iter()
                .any(|fault| fault.starts_with("v.toml:4: ") && fault.contains(expected)),
            "{value} should say {expected:?}: {faults:#?}"
        );
    }
}
