//! Simultaneous use, counted in the database.

use std::time::Duration;

use isp_core::accounting::device::Device;
use isp_core::accounting::presence::Patience;
use isp_core::accounting::silence::Silence;
use isp_core::store::{SessionClaim, Store};

use crate::accounting::{interim, prepare, start, stop, write};
use crate::harness::Database;
use isp_core::accounting::AccountingRecord;

on_both_databases!(
    the_last_place_is_given_once,
    sessions_and_claims_of_a_device_are_one,
    what_was_not_heard_of_lately_does_not_count,
    devices_are_told_apart_by_what_both_packets_tell,
    claims_expire,
    of_many_at_once_one_gets_the_place,
    who_is_online_is_read_back,
    a_stop_leaves_the_claim_of_the_next_session,
    the_clock_of_the_nas_does_not_say_when_it_was_heard_of,
    a_session_is_given_as_long_as_it_takes_between_reports,
    devices_are_counted_as_they_are_told_apart,
    nothing_runs_out_before_what_a_journal_holds_is_applied,
    nodes_that_are_gone_are_not_waited_for,
);

/// The moment the records count from.
const T: i64 = 1_700_000_000;

const PATIENCE: Patience = Patience {
    silence: Silence {
        interim: Duration::from_secs(600),
        intervals: 3,
    },
    claim: Duration::from_secs(60),
};

async fn claim(store: &Store, station: &str, limit: u32, at: i64) -> Result<(), (u32, i64)> {
    let device = Device::new(Some(station), None, None);
    claim_by(store, &device, limit, at).await
}

async fn claim_by(store: &Store, device: &Device, limit: u32, at: i64) -> Result<(), (u32, i64)> {
    let claim = SessionClaim {
        subscriber_id: "ada",
        device,
        limit,
        now: T + at,
        applied_until: T + at,
    };
    let claimed = store.claim_session(claim, &PATIENCE).await.unwrap();
    claimed.map_err(|crowded| (crowded.sessions, crowded.oldest - T))
}

async fn the_last_place_is_given_once(db: &Database) {
    prepare(db).await;
    assert_eq!(claim(&db.store, "one", 2, 0).await, Ok(()));
    assert_eq!(claim(&db.store, "two", 2, 1).await, Ok(()));
    assert_eq!(claim(&db.store, "three", 2, 2).await, Err((2, 0)));
    assert_eq!(claim(&db.store, "one", 2, 3).await, Ok(()), "its own place");
    assert_eq!(claim(&db.store, "three", 3, 4).await, Ok(()));
}

async fn sessions_and_claims_of_a_device_are_one(db: &Database) {
    prepare(db).await;
    // The records' Calling-Station-Id is 00:11:22:33:44:55.
    assert_eq!(claim(&db.store, "0011.2233.4455", 1, 0).await, Ok(()));
    write(db, &[start("1", 1), start("2", 2)]).await;
    assert_eq!(claim(&db.store, "00-11-22-33-44-55", 1, 3).await, Ok(()));
    assert_eq!(claim(&db.store, "another", 1, 4).await, Err((1, 1)));
    write(db, &[stop("1", 100, 99, 1, 1), stop("2", 100, 98, 1, 1)]).await;
    assert_eq!(
        claim(&db.store, "third", 1, 200).await,
        Ok(()),
        "all over, and the claims expired"
    );
}

async fn what_was_not_heard_of_lately_does_not_count(db: &Database) {
    prepare(db).await;
    write(db, &[start("1", 0), interim("1", 600, 600, 1, 1)]).await;
    assert_eq!(claim(&db.store, "another", 1, 2_400).await, Err((1, 600)));
    assert_eq!(claim(&db.store, "another", 1, 2_401).await, Ok(()));
}

async fn devices_are_told_apart_by_what_both_packets_tell(db: &Database) {
    prepare(db).await;
    let (here, there) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
    let full = Device::new(Some("one"), here, Some("ether1"));
    let cases = [
        (Device::new(Some("one"), there, Some("ether2")), true),
        (Device::new(Some("two"), here, Some("ether1")), false),
        (Device::new(None, here, Some("ether1")), true),
        (Device::new(None, here, Some("ether2")), false),
        (Device::new(None, there, Some("ether1")), false),
        (Device::new(None, here, None), true),
        (Device::new(None, there, None), false),
    ];
    for (at, (other, same)) in (0..).step_by(1_000).zip(&cases) {
        assert_eq!(claim_by(&db.store, &full, 1, at).await, Ok(()));
        assert_eq!(claim_by(&db.store, other, 1, at + 1).await.is_ok(), *same, "{other:?}");
    }
    // A session of such a NAS: its claim, with more or less in it, is done with.
    let mut bare = start("9", 9_000);
    (bare.calling_station_id, bare.nas_port_id) = (None, None);
    assert_eq!(claim_by(&db.store, &full, 1, 8_999).await, Ok(()));
    write(db, &[bare]).await;
    assert_eq!(claim_by(&db.store, &full, 1, 9_001).await, Ok(()));
    let left = db.query("SELECT device FROM session_claims").await;
    assert!(left.contains(&vec![Some("one".to_owned())]), "{left:?}");
}

async fn claims_expire(db: &Database) {
    prepare(db).await;
    assert_eq!(claim(&db.store, "one", 1, 0).await, Ok(()));
    assert_eq!(claim(&db.store, "two", 1, 60).await, Err((1, 0)));
    assert_eq!(db.store.expire_claims(T + 60).await.unwrap(), 0);
    assert_eq!(claim(&db.store, "two", 1, 61).await, Ok(()));
    assert_eq!(db.store.expire_claims(T + 61).await.unwrap(), 1);
}

async fn of_many_at_once_one_gets_the_place(db: &Database) {
    prepare(db).await;
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(Store::connect(&db.url, 2, false).await.unwrap());
    }
    for round in 0..10 {
        let at = round * 100;
        let stations: Vec<String> = (0..stores.len()).map(|n| format!("device {n}")).collect();
        let claims = stores
            .iter()
            .zip(&stations)
            .map(|(store, station)| claim(store, station, 1, at));
        let let_in = futures_util::future::join_all(claims).await;
        assert_eq!(let_in.iter().filter(|claimed| claimed.is_ok()).count(), 1, "{let_in:?}");
    }
    for store in stores {
        store.close().await;
    }
}

async fn who_is_online_is_read_back(db: &Database) {
    prepare(db).await;
    let mut unknown = start("3", 10);
    unknown.subscriber_id = None;
    write(db, &[start("1", 0), start("2", 10), unknown, stop("4", 10, 5, 1, 1)]).await;
    let online = db.store.sessions_heard_since(T + 5).await.unwrap();
    assert_eq!(online.len(), 1);
    assert_eq!(online[0].subscriber_id, "ada");
    assert_eq!(online[0].device.station.as_deref(), Some("001122334455"));
    assert_eq!((online[0].began, online[0].heard), (T + 10, T + 10));
    assert_eq!((online[0].tenant_id.as_deref(), online[0].interval), (Some("t1"), None));
}

/// A record from a NAS whose clock is wrong by so many seconds.
fn off(by: i64, record: AccountingRecord) -> AccountingRecord {
    AccountingRecord {
        event_time: record.event_time + by,
        ..record
    }
}

async fn a_stop_leaves_the_claim_of_the_next_session(db: &Database) {
    prepare(db).await;
    const HERE: &str = "00:11:22:33:44:55";
    let untimed = AccountingRecord {
        session_time: None,
        ..stop("1", 100, 0, 1, 1)
    };
    for (at, last) in [
        (0, stop("1", 100, 100, 1, 1)),
        (1_000, stop("2", 1_100, 100, 1, 1)),
        (0, untimed),
    ] {
        assert_eq!(
            claim(&db.store, HERE, 1, at + 99).await,
            Ok(()),
            "it has logged in again"
        );
        write(db, &[last]).await;
        assert_eq!(claim(&db.store, "another", 1, at + 101).await, Err((1, at + 99)));
        db.raw("DELETE FROM session_claims").await;
    }
    assert_eq!(claim(&db.store, HERE, 1, 2_000).await, Ok(()));
    write(db, &[stop("3", 2_030, 29, 1, 1)]).await;
    assert_eq!(
        claim(&db.store, "another", 1, 2_031).await,
        Ok(()),
        "its Start was lost"
    );
}

async fn the_clock_of_the_nas_does_not_say_when_it_was_heard_of(db: &Database) {
    prepare(db).await;
    for (at, wrong) in [(0, -3_600), (10_000, 250)] {
        let session = format!("{at}");
        write(
            db,
            &[
                off(wrong, start(&session, at)),
                off(wrong, interim(&session, at + 600, 600, 1, 1)),
            ],
        )
        .await;
        assert_eq!(
            claim(&db.store, "another", 1, at + 2_400).await,
            Err((1, at + 600)),
            "{wrong}"
        );
        let online = db.store.sessions_heard_since(T + at + 600).await.unwrap();
        assert_eq!(online.len(), 1, "{wrong}");
        assert_eq!((online[0].began, online[0].heard), (T + at + wrong, T + at + 600));
        assert_eq!(claim(&db.store, "another", 1, at + 2_401).await, Ok(()), "{wrong}");
    }
    // Out of a journal that was found again.
    write(db, &[start("old", 0)]).await;
    assert!(db.store.sessions_heard_since(T + 10_601).await.unwrap().is_empty());
}

async fn a_session_is_given_as_long_as_it_takes_between_reports(db: &Database) {
    prepare(db).await;
    let asked = AccountingRecord {
        interim_interval: Some(3_600),
        ..start("1", 0)
    };
    write(db, &[asked]).await;
    assert_eq!(
        claim(&db.store, "another", 1, 10_800).await,
        Err((1, 0)),
        "as its plan says"
    );
    write(db, &[stop("1", 10_900, 10_900, 1, 1), start("2", 11_000)]).await;
    write(db, &[interim("2", 12_200, 1_200, 1, 1)]).await;
    assert_eq!(
        claim(&db.store, "another", 1, 15_800).await,
        Err((1, 12_200)),
        "as its reports show"
    );
    assert_eq!(claim(&db.store, "another", 1, 15_801).await, Ok(()));
}

async fn devices_are_counted_as_they_are_told_apart(db: &Database) {
    prepare(db).await;
    let here = "192.0.2.1".parse().ok();
    let full = Device::new(Some("one"), here, Some("ether1"));
    assert_eq!(claim_by(&db.store, &full, 2, 0).await, Ok(()));
    let mut bare = start("1", 1);
    (bare.calling_station_id, bare.nas_port_id) = (None, Some("ether1".to_owned()));
    bare.event_time = T - 10;
    write(db, &[bare]).await;
    assert_eq!(
        claim(&db.store, "two", 2, 2).await,
        Ok(()),
        "the session is that of the claim"
    );
    assert_eq!(claim(&db.store, "three", 2, 3).await, Err((2, 0)));
}

/// What nodes said of themselves: name, when (seconds after `T`), records in the journal, since when.
async fn nodes_say(db: &Database, nodes: &[(&str, i64, u32, i64)]) {
    let at = |seconds: i64| {
        if db.is_sqlite() {
            format!("datetime({}, 'unixepoch')", T + seconds)
        } else {
            format!("to_timestamp({})", T + seconds)
        }
    };
    db.raw("DELETE FROM node_status").await;
    for (name, reported, records, oldest) in nodes {
        db.raw(&format!(
            "INSERT INTO node_status (node_id, host, version, reported_at, journal_records, journal_oldest)
             VALUES ('{name}', 'aaa', '0', {}, {records}, {})",
            at(*reported),
            at(*oldest)
        ))
        .await;
    }
}

async fn nothing_runs_out_before_what_a_journal_holds_is_applied(db: &Database) {
    prepare(db).await;
    assert_eq!(claim(&db.store, "one", 1, 0).await, Ok(()));
    nodes_say(db, &[("a", 3_000, 0, 0), ("b", 3_000, 5, 30)]).await;
    assert_eq!(db.store.expire_claims(T + 3_000).await.unwrap(), 0);
    assert_eq!(
        claim(&db.store, "two", 1, 3_000).await,
        Err((1, 0)),
        "its Start waits there"
    );
    nodes_say(db, &[("a", 60, 0, 0), ("b", 3_000, 0, 0)]).await;
    assert_eq!(
        claim(&db.store, "two", 1, 1_000).await,
        Err((1, 0)),
        "node a has not said that nothing waits there"
    );
    let mut own = SessionClaim {
        subscriber_id: "ada",
        device: &Device::new(Some("two"), None, None),
        limit: 1,
        now: T + 3_000,
        applied_until: T + 30,
    };
    nodes_say(db, &[]).await;
    assert!(
        db.store.claim_session(own, &PATIENCE).await.unwrap().is_err(),
        "it waits here"
    );
    own.applied_until = own.now;
    assert!(db.store.claim_session(own, &PATIENCE).await.unwrap().is_ok());
    assert_eq!(db.store.expire_claims(T + 3_000).await.unwrap(), 1);
}

async fn nodes_that_are_gone_are_not_waited_for(db: &Database) {
    prepare(db).await;
    assert_eq!(claim(&db.store, "one", 1, 0).await, Ok(()));
    // Longer than any session may be silent; and one that ended as it should.
    nodes_say(db, &[("a", 100_000, 0, 0), ("b", 30, 5, 30)]).await;
    assert_eq!(claim(&db.store, "two", 1, 100_000).await, Ok(()));
    nodes_say(db, &[("a", 200_000, 0, 0), ("b", 199_000, 0, 0)]).await;
    db.raw(if db.is_sqlite() {
        "UPDATE node_status SET stopped = 1 WHERE node_id = 'b'"
    } else {
        "UPDATE node_status SET stopped = true WHERE node_id = 'b'"
    })
    .await;
    assert_eq!(claim(&db.store, "three", 1, 199_930).await, Ok(()));
    assert_eq!(claim(&db.store, "four", 1, 199_991).await, Ok(()), "not waiting for b");
}
