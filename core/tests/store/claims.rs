//! Simultaneous use, counted in the database.

use std::time::Duration;

use isp_core::accounting::presence::{Device, Patience};
use isp_core::store::{SessionClaim, Store};

use crate::accounting::{interim, prepare, start, stop, write};
use crate::harness::Database;

on_both_databases!(
    the_last_place_is_given_once,
    sessions_and_claims_of_a_device_are_one,
    what_was_not_heard_of_lately_does_not_count,
    devices_are_told_apart_by_what_both_packets_tell,
    claims_expire,
    of_many_at_once_one_gets_the_place,
    who_is_online_is_read_back,
);

/// The moment the records count from.
const T: i64 = 1_700_000_000;

const PATIENCE: Patience = Patience {
    session: Duration::from_secs(1_800),
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
    };
    let claimed = store.claim_session(claim, &PATIENCE).await.unwrap();
    claimed.map_err(|crowded| (crowded.sessions, crowded.oldest - T))
}

async fn the_last_place_is_given_once(db: &Database) {
    prepare(db).await;
    assert_eq!(claim(&db.store, "one", 2, 0).await, Ok(()));
    assert_eq!(claim(&db.store, "two", 2, 1).await, Ok(()));
    assert_eq!(claim(&db.store, "three", 2, 2).await, Err((2, 2)));
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
    assert_eq!(claim(&db.store, "two", 1, 60).await, Err((1, 60)));
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
    assert_eq!(online[0].heard, T + 10);
}
