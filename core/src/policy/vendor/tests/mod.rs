#![allow(clippy::unwrap_used, clippy::panic)]

mod files;
mod plans;
mod templates;

use super::coa::{Request, SessionKey, UndoBy};
use super::*;
use crate::dictionary::{Definition, Kind};
use crate::plan::Plan;

/// A dictionary in which names say what they are.
struct ByName;

impl Definitions for ByName {
    fn define(&self, attribute: &str) -> Result<Definition, String> {
        if attribute.contains("Unknown") {
            return Err(format!("no attribute {attribute}"));
        }
        let kind = match attribute {
            _ if attribute.contains("Rate-Limit") || attribute.contains("Shaping") => Kind::Text,
            _ if attribute.contains("Number") || attribute.contains("-Rate") || attribute.contains("Bandwidth") => {
                Kind::Integer
            }
            _ if attribute.contains("Host") => Kind::Ipv4,
            _ => Kind::Text,
        };
        Ok(Definition {
            kind,
            longest: 32,
            tagged: attribute.contains("Tagged") || attribute == "ERX-Service-Activate",
        })
    }

    fn word(&self, attribute: &str, word: &str) -> Result<u32, String> {
        if word == "Known-Word" {
            Ok(7)
        } else {
            Err(format!("{attribute} has no word {word}"))
        }
    }
}

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.into(),
        text: text.to_owned(),
    }
}

fn read(text: &str) -> Result<VendorSet, Vec<String>> {
    read_all(&[source("v.toml", text)])
}

fn read_all(sources: &[Source]) -> Result<VendorSet, Vec<String>> {
    VendorSet::read(sources, &ByName).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// A file with a generic vendor, and in it one template for the text attribute `A`.
fn with_template(value: &str) -> String {
    format!("[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"A\"\nvalue = {value}\n")
}

fn lines(reply: &[ReplyItem<'_>]) -> Vec<String> {
    let line = |item: &ReplyItem<'_>| {
        let value = match &item.value {
            Value::Text(text) => text.to_string(),
            Value::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        match item.tag {
            0 => format!("{} = {value}", item.attribute.name()),
            tag => format!("{}:{tag} = {value}", item.attribute.name()),
        }
    };
    reply.iter().map(line).collect()
}

fn shipped() -> VendorSet {
    VendorSet::shipped().unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// Asymmetric, with bursts, and a name for everything.
fn full() -> Plan {
    Plan {
        name: "Fibre".to_owned(),
        download_rate_kbps: 100_000,
        upload_rate_kbps: 20_000,
        download_burst_kbps: Some(150_000),
        upload_burst_kbps: Some(30_000),
        download_burst_threshold_kbps: Some(80_000),
        upload_burst_threshold_kbps: Some(16_000),
        download_burst_seconds: Some(12),
        upload_burst_seconds: Some(8),
        priority: Some(5),
        download_min_kbps: Some(10_000),
        upload_min_kbps: Some(2_000),
        address_list: Some("paying".to_owned()),
        ipv4_pool: Some("v4".to_owned()),
        ipv6_pool: Some("v6".to_owned()),
        delegated_ipv6_pool: Some("pd".to_owned()),
        qos_profile_download: Some("gold-down".to_owned()),
        qos_profile_upload: Some("gold-up".to_owned()),
        filter_id: Some("customers".to_owned()),
        redirect_url: Some("http://pay.example/".to_owned()),
        ..Plan::default()
    }
}

fn rates_alone() -> Plan {
    Plan {
        name: "Plain".to_owned(),
        download_rate_kbps: 100_000,
        upload_rate_kbps: 20_000,
        ..Plan::default()
    }
}

fn shown(vendor: &str, plan: &Plan) -> Vec<String> {
    lines(&shipped().get(vendor).unwrap().reply(&Terms::from(plan)).unwrap())
}

#[test]
fn every_shipped_vendor_says_all_of_a_plan_that_it_can() {
    let standard = ["Filter-Id = customers", "Framed-Pool = v4", "Framed-IPv6-Pool = v6"];
    let delegated = "Delegated-IPv6-Prefix-Pool = pd";
    let wispr = [
        "WISPr-Bandwidth-Max-Up = 20000000",
        "WISPr-Bandwidth-Max-Down = 100000000",
        "WISPr-Bandwidth-Min-Up = 2000000",
        "WISPr-Bandwidth-Min-Down = 10000000",
        "WISPr-Redirection-URL = http://pay.example/",
    ];
    let cisco = [
        "Cisco-AVPair = ip:sub-qos-policy-in=gold-up",
        "Cisco-AVPair = ip:sub-qos-policy-out=gold-down",
        "Cisco-AVPair = ip:addr-pool=v4",
    ];
    let all = |parts: &[&[&str]]| parts.concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let expected = [
        (
            "accel-ppp",
            all(&[&[
                "Filter-Id = 100000/20000",
                "Framed-Pool = v4",
                delegated,
                "Stateful-IPv6-Address-Pool = v6",
            ]]),
        ),
        (
            "cisco",
            all(&[&["Filter-Id = customers", "Framed-IPv6-Pool = v6", delegated], &cisco]),
        ),
        (
            "cisco-isg",
            all(&[
                &["Filter-Id = customers", "Framed-IPv6-Pool = v6", delegated],
                &cisco,
                &["Cisco-Account-Info = QU;20000000;3750000;7500000;D;100000000;18750000;37500000"],
            ]),
        ),
        ("generic", all(&[&standard, &[delegated]])),
        (
            "h3c",
            all(&[
                &standard,
                &[
                    delegated,
                    "H3C-Input-Average-Rate = 20000000",
                    "H3C-Input-Peak-Rate = 30000000",
                    "H3C-Output-Average-Rate = 100000000",
                    "H3C-Output-Peak-Rate = 150000000",
                    "H3C-Portal-URL = http://pay.example/",
                ],
            ]),
        ),
        (
            "huawei",
            all(&[
                &standard,
                &[
                    "Huawei-Input-Average-Rate = 20000000",
                    "Huawei-Input-Peak-Rate = 30000000",
                    "Huawei-Output-Average-Rate = 100000000",
                    "Huawei-Output-Peak-Rate = 150000000",
                    "Huawei-Qos-Profile-Name = gold-up",
                    "Huawei-Down-QOS-Profile-Name = gold-down",
                    "Huawei-Delegated-IPv6-Prefix-Pool = pd",
                    "Huawei-PortalURL = http://pay.example/",
                ],
            ]),
        ),
        (
            "juniper",
            all(&[
                &standard,
                &[
                    "ERX-Service-Activate:1 = gold-down",
                    "ERX-Service-Activate:2 = gold-up",
                    "ERX-CoS-Shaping-Pmt-Type = T02 100000000",
                    "ERX-CoS-Shaping-Pmt-Type = T03 10000000",
                    "ERX-IPv6-Delegated-Pool-Name = pd",
                ],
            ]),
        ),
        (
            "juniper-e",
            all(&[
                &standard,
                &[
                    delegated,
                    "ERX-Ingress-Policy-Name = gold-up",
                    "ERX-Qos-Profile-Name = gold-down",
                ],
            ]),
        ),
        (
            "mikrotik",
            all(&[
                &standard,
                &[
                    "Mikrotik-Rate-Limit = 20000k/100000k 30000k/150000k 16000k/80000k 8/12 5 2000k/10000k",
                    "Mikrotik-Address-List = paying",
                    "Mikrotik-Delegated-IPv6-Pool = pd",
                    "WISPr-Redirection-URL = http://pay.example/",
                ],
            ]),
        ),
        (
            "nokia-sr",
            all(&[
                &standard,
                &[
                    "Alc-Subsc-Prof-Str = gold-up",
                    "Alc-SLA-Prof-Str = gold-down",
                    "Alc-Subscriber-QoS-Override = i:q:1:pir=20000,cir=2000",
                    "Alc-Subscriber-QoS-Override = e:r:rate=100000",
                    "Alc-Delegated-IPv6-Pool = pd",
                ],
            ]),
        ),
        ("ubiquiti", all(&[&standard, &[delegated], &wispr])),
        ("wispr", all(&[&standard, &[delegated], &wispr])),
        (
            "zte",
            all(&[
                &standard,
                &[
                    delegated,
                    "ZTE-Rate-Ctrl-SCR-Up = 20000000",
                    "ZTE-Rate-Ctrl-SCR-Down = 100000000",
                    "ZTE-QOS-Profile-Up = gold-up",
                    "ZTE-QoS-Profile-Down = gold-down",
                    "ZTE-PPPOE-URL = http://pay.example/",
                ],
            ]),
        ),
    ];
    for (vendor, lines) in &expected {
        assert_eq!(&shown(vendor, &full()), lines, "{vendor}");
    }
    let set = shipped();
    let names: Vec<&str> = set.vendors().iter().map(Vendor::name).collect();
    assert_eq!(
        names,
        expected.each_ref().map(|(name, _)| *name),
        "one of them is untested"
    );
}

#[test]
fn what_a_plan_does_not_say_is_not_written() {
    for (vendor, lines) in [
        ("generic", &[][..]),
        ("mikrotik", &["Mikrotik-Rate-Limit = 20000k/100000k"]),
        ("cisco", &[]),
        (
            "huawei",
            &[
                "Huawei-Input-Average-Rate = 20000000",
                "Huawei-Input-Peak-Rate = 20000000",
                "Huawei-Output-Average-Rate = 100000000",
                "Huawei-Output-Peak-Rate = 100000000",
            ],
        ),
        ("juniper", &["ERX-CoS-Shaping-Pmt-Type = T02 100000000"]),
        (
            "nokia-sr",
            &[
                "Alc-Subscriber-QoS-Override = i:q:1:pir=20000",
                "Alc-Subscriber-QoS-Override = e:r:rate=100000",
            ],
        ),
        ("accel-ppp", &["Filter-Id = 100000/20000"]),
    ] {
        assert_eq!(shown(vendor, &rates_alone()), lines, "{vendor}");
    }
}

#[test]
fn a_rate_limit_has_as_many_parts_as_the_plan_asks_for() {
    type Change = fn(&mut Plan);
    let cases: [(Change, &str); 8] = [
        (|_| {}, "20000k/100000k"),
        (
            |p| p.download_burst_kbps = Some(150_000),
            "20000k/100000k 20000k/150000k",
        ),
        (|p| p.upload_burst_kbps = Some(30_000), "20000k/100000k 30000k/100000k"),
        (
            |p| p.download_burst_threshold_kbps = Some(80_000),
            "20000k/100000k 20000k/100000k 20000k/80000k",
        ),
        (
            |p| {
                p.download_burst_kbps = Some(150_000);
                p.download_burst_seconds = Some(12);
            },
            "20000k/100000k 20000k/150000k 20000k/100000k 1/12",
        ),
        (
            |p| p.priority = Some(1),
            "20000k/100000k 20000k/100000k 20000k/100000k 1/1 1",
        ),
        (
            |p| p.upload_min_kbps = Some(2_000),
            "20000k/100000k 20000k/100000k 20000k/100000k 1/1 8 2000k/0k",
        ),
        (
            |p| *p = full(),
            "20000k/100000k 30000k/150000k 16000k/80000k 8/12 5 2000k/10000k",
        ),
    ];
    for (change, expected) in cases {
        let mut plan = rates_alone();
        change(&mut plan);
        let shown = shown("mikrotik", &plan);
        assert!(
            shown.contains(&format!("Mikrotik-Rate-Limit = {expected}")),
            "{shown:?}"
        );
    }
}

#[test]
fn shipped_vendors_say_how_sessions_are_changed() {
    let set = shipped();
    for vendor in set.vendors() {
        let coa = vendor.coa();
        assert!(!coa.session.is_empty(), "{}", vendor.name());
        assert!(!vendor.description().is_empty(), "{}", vendor.name());
        // Whatever a plan says there is sent or needs a new session: nothing is in between.
        for undo in &coa.undo {
            assert!(coa.attributes.contains(&undo.attribute), "{}", vendor.name());
        }
    }
    let coa = |name: &str| set.get(name).unwrap().coa();
    assert_eq!((coa("mikrotik").port, coa("cisco").port), (3799, 1700));
    assert_eq!(coa("wispr").request, Request::Disconnect);
    assert_eq!(
        coa("nokia-sr").session[0],
        [SessionKey::NasPortId, SessionKey::FramedIpAddress]
    );
    assert!(!coa("accel-ppp").signed_answers && coa("mikrotik").signed_answers);
    assert_eq!(coa("huawei").together.len(), 2);
    let UndoBy::Send { by, value } = &coa("juniper").undo[0].how else {
        panic!("{:?}", coa("juniper"))
    };
    assert_eq!(
        (by.as_str(), value.of("gold-down")),
        ("ERX-Service-Deactivate", "gold-down".to_owned())
    );
}
