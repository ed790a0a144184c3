//! Who has a place, and for how long.
#![allow(clippy::unwrap_used)]

use super::*;

const NOW: i64 = 1_700_000_000;

fn presence() -> Presence {
    Presence::new(Patience {
        silence: Silence::default(),
        claim: Duration::from_secs(60),
    })
}

fn record(status: AcctStatusType, session: &str, station: &str, at: i64) -> AccountingRecord {
    AccountingRecord {
        status,
        tenant_id: Some("t".to_owned()),
        subscriber_id: Some("ada".to_owned()),
        acct_session_id: session.to_owned(),
        acct_unique_id: session.to_owned(),
        user_name: "ada".to_owned(),
        realm: String::new(),
        nas_ip_address: "192.0.2.1".parse().unwrap(),
        nas_port_id: None,
        nas_port_type: None,
        event_time: NOW + at,
        session_time: None,
        authentic: None,
        connect_info: None,
        input_octets: None,
        output_octets: None,
        called_station_id: None,
        calling_station_id: Some(station.to_owned()),
        terminate_cause: None,
        service_type: None,
        framed_protocol: None,
        framed_ip_address: None,
        framed_ipv6_address: None,
        framed_ipv6_prefix: None,
        framed_interface_id: None,
        delegated_ipv6_prefix: None,
        class: None,
        multi_session_id: None,
        gigawords: false,
        received: NOW + at,
        interim_interval: None,
    }
}

fn claim(presence: &Presence, station: &str, at: i64) -> Result<(), Crowded> {
    claim_by(presence, &Device::new(Some(station), None, None), 1, at)
}

fn look(presence: &Presence, station: &str, at: i64) -> Result<(), Crowded> {
    let claimant = Claimant {
        tenant_id: "t",
        subscriber_id: "ada",
        device: &Device::new(Some(station), None, None),
    };
    presence.look(claimant, 1, NOW + at)
}

fn claim_by(presence: &Presence, device: &Device, limit: u32, at: i64) -> Result<(), Crowded> {
    let claimant = Claimant {
        tenant_id: "t",
        subscriber_id: "ada",
        device,
    };
    presence.claim(claimant, limit, NOW + at)
}

fn hear(presence: &Presence, status: AcctStatusType, session: &str, station: &str, at: i64) {
    presence.hear(&record(status, session, station, at));
}

const ONE: &str = "00:11:22:33:44:01";
const TWO: &str = "00:11:22:33:44:02";

#[test]
fn the_last_place_is_given_once() {
    let presence = presence();
    claim(&presence, ONE, 0).unwrap();
    let crowded = claim(&presence, TWO, 1).unwrap_err();
    assert_eq!((crowded.sessions, crowded.oldest), (1, NOW));
    claim(&presence, TWO, 61).unwrap();
}

#[test]
fn a_device_takes_its_own_place_in_whatever_notation() {
    let presence = presence();
    claim(&presence, ONE, 0).unwrap();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 1);
    claim(&presence, "0011.2233.4401", 2).unwrap();
    hear(&presence, AcctStatusType::Start, "s2", "00-11-22-33-44-01", 3);
    assert_eq!(claim(&presence, TWO, 4).unwrap_err().sessions, 1);
    hear(&presence, AcctStatusType::Stop, "s2", ONE, 5);
    claim(&presence, TWO, 6).unwrap();
}

#[test]
fn a_device_with_a_session_and_a_claim_takes_one_place() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    claim(&presence, ONE, 1).unwrap();
    let other = |station| Device::new(Some(station), None, None);
    claim_by(&presence, &other(TWO), 2, 2).unwrap();
    let crowded = claim_by(&presence, &other("three"), 2, 3).unwrap_err();
    assert_eq!(crowded.sessions, 2);
}

#[test]
fn a_session_holds_its_place_while_it_is_heard_of() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    hear(&presence, AcctStatusType::InterimUpdate, "s1", ONE, 500);
    assert!(claim(&presence, TWO, 2_300).is_err());
    claim(&presence, TWO, 2_301).unwrap();
}

#[test]
fn a_stop_frees_the_place_and_a_late_report_does_not_take_it_again() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    hear(&presence, AcctStatusType::Stop, "s1", ONE, 100);
    hear(&presence, AcctStatusType::InterimUpdate, "s1", ONE, 50);
    claim(&presence, TWO, 101).unwrap();
}

#[test]
fn a_restart_of_the_nas_frees_all_its_places() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    hear(&presence, AcctStatusType::AccountingOn, "", ONE, 10);
    claim(&presence, TWO, 11).unwrap();
}

#[test]
fn no_limit_is_none() {
    let presence = presence();
    for station in [ONE, TWO, "three"] {
        let device = Device::new(Some(station), None, None);
        claim_by(&presence, &device, 0, 0).unwrap();
    }
}

#[test]
fn devices_are_told_apart_by_what_both_packets_tell() {
    let (here, there) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
    let full = Device::new(Some(ONE), here, Some("ether1"));
    for (other, same) in [
        (Device::new(Some("00-11-22-33-44-01"), there, Some("ether2")), true),
        (Device::new(Some(TWO), here, Some("ether1")), false),
        (Device::new(None, here, Some("ether1")), true),
        (Device::new(None, here, Some("ether2")), false),
        (Device::new(None, there, Some("ether1")), false),
        (Device::new(Some(""), here, None), true),
        (Device::new(None, there, None), false),
    ] {
        let presence = presence();
        claim_by(&presence, &full, 1, 0).unwrap();
        assert_eq!(claim_by(&presence, &other, 1, 0).is_ok(), same, "{other:?}");
    }
}

#[test]
fn what_is_over_is_let_go() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    presence.prune(NOW + 1_800);
    assert_eq!(presence.len(), 1);
    presence.prune(NOW + 1_801);
    assert!(presence.is_empty());
}

/// An Interim-Update or Stop that tells how long the session has been.
fn timed(status: AcctStatusType, session: &str, at: i64, seconds: u32) -> AccountingRecord {
    AccountingRecord {
        session_time: Some(seconds),
        ..record(status, session, ONE, at)
    }
}

#[test]
fn a_report_of_the_session_before_leaves_the_claim_of_the_next_one() {
    for (status, seconds) in [
        (AcctStatusType::Stop, Some(100)),
        (AcctStatusType::Stop, None),
        (AcctStatusType::InterimUpdate, Some(100)),
        (AcctStatusType::InterimUpdate, None),
    ] {
        let presence = presence();
        hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
        claim(&presence, ONE, 99).unwrap();
        let mut late = record(status, "s1", ONE, 100);
        late.session_time = seconds;
        presence.hear(&late);
        hear(&presence, AcctStatusType::Stop, "s1", ONE, 101);
        assert_eq!(
            claim(&presence, TWO, 102).unwrap_err().sessions,
            1,
            "{status:?} {seconds:?}"
        );
    }
}

#[test]
fn the_first_that_is_heard_of_a_session_uses_its_claim_up() {
    for status in [AcctStatusType::InterimUpdate, AcctStatusType::Stop] {
        let presence = presence();
        claim(&presence, ONE, 0).unwrap();
        presence.hear(&timed(status, "s1", 30, 29));
        hear(&presence, AcctStatusType::Stop, "s1", ONE, 31);
        claim(&presence, TWO, 32).unwrap();
    }
}

#[test]
fn a_late_start_does_not_end_the_session_after_it() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s2", ONE, 10);
    presence.hear(&AccountingRecord {
        received: NOW + 11,
        ..record(AcctStatusType::Start, "s1", ONE, 0)
    });
    hear(&presence, AcctStatusType::Stop, "s1", ONE, 12);
    assert!(claim(&presence, TWO, 13).is_err());
}

#[test]
fn the_clock_of_the_nas_does_not_say_when_it_was_heard_of() {
    for wrong in [-3_600, 250] {
        let presence = presence();
        let from = |status, session, at| AccountingRecord {
            event_time: NOW + at + wrong,
            ..record(status, session, ONE, at)
        };
        presence.hear(&from(AcctStatusType::Start, "s1", 0));
        assert!(claim(&presence, TWO, 1_800).is_err(), "{wrong}");
        assert!(claim(&presence, TWO, 1_801).is_ok(), "{wrong}");
        presence.hear(&from(AcctStatusType::Start, "s2", 2_000));
        presence.hear(&from(AcctStatusType::AccountingOn, "", 2_010));
        claim(&presence, "three", 2_011).unwrap();
    }
}

#[test]
fn what_is_claimed_after_a_session_began_on_a_clock_that_is_ahead_is_left() {
    let presence = presence();
    let ahead = |status, at, seconds| AccountingRecord {
        event_time: NOW + at + 200,
        ..timed(status, "s1", at, seconds)
    };
    presence.hear(&ahead(AcctStatusType::Start, 0, 0));
    claim(&presence, ONE, 50).unwrap();
    presence.hear(&ahead(AcctStatusType::InterimUpdate, 60, 60));
    presence.hear(&ahead(AcctStatusType::Stop, 61, 61));
    assert!(claim(&presence, TWO, 62).is_err());
}

#[test]
fn a_session_is_given_as_long_as_it_takes_between_reports() {
    let presence = presence();
    presence.hear(&AccountingRecord {
        interim_interval: Some(3_600),
        ..record(AcctStatusType::Start, "s1", ONE, 0)
    });
    assert!(claim(&presence, TWO, 10_800).is_err(), "as its plan says");
    let seen = self::presence();
    hear(&seen, AcctStatusType::Start, "s1", ONE, 0);
    hear(&seen, AcctStatusType::InterimUpdate, "s1", ONE, 1_200);
    assert!(claim(&seen, TWO, 4_800).is_err(), "as its reports show");
    claim(&seen, TWO, 4_801).unwrap();
    let learned = self::presence();
    let session = OpenSession {
        nas_ip_address: [192, 0, 2, 1].into(),
        user_name: "ada".to_owned(),
        framed_ip_address: None,
        tenant_id: Some("t".to_owned()),
        subscriber_id: "ada".to_owned(),
        acct_unique_id: "s1".to_owned(),
        device: Device::new(Some(ONE), None, None),
        began: NOW - 9_000,
        heard: NOW,
        interval: Some(3_000),
    };
    learned.learn([session], NOW);
    assert!(claim(&learned, TWO, 9_000).is_err(), "as the database knows");
    claim(&learned, TWO, 9_001).unwrap();
}

#[test]
fn a_session_that_a_restart_ended_is_back_with_its_next_report() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    hear(&presence, AcctStatusType::AccountingOn, "", ONE, 10);
    presence.hear(&AccountingRecord {
        event_time: NOW + 5,
        ..record(AcctStatusType::InterimUpdate, "s1", ONE, 11)
    });
    look(&presence, TWO, 12).unwrap();
    hear(&presence, AcctStatusType::InterimUpdate, "s1", ONE, 20);
    assert!(look(&presence, TWO, 21).is_err());
    hear(&presence, AcctStatusType::Stop, "s1", ONE, 30);
    hear(&presence, AcctStatusType::InterimUpdate, "s1", ONE, 40);
    look(&presence, TWO, 41).unwrap();
}

#[test]
fn an_id_that_is_used_again_counts_again() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    presence.hear(&timed(AcctStatusType::Stop, "s1", 100, 100));
    presence.hear(&timed(AcctStatusType::InterimUpdate, "s1", 101, 90));
    look(&presence, TWO, 101).unwrap();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 105);
    assert!(look(&presence, TWO, 106).is_err());
}

#[test]
fn a_restart_is_that_of_a_nas_of_its_tenant() {
    let presence = presence();
    hear(&presence, AcctStatusType::Start, "s1", ONE, 0);
    presence.hear(&AccountingRecord {
        tenant_id: Some("another".to_owned()),
        ..record(AcctStatusType::AccountingOn, "", ONE, 10)
    });
    assert!(look(&presence, TWO, 11).is_err());
}
