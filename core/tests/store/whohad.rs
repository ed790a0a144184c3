//! Who had an address.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use isp_core::accounting::silence::Silence;
use isp_core::accounting::{AccountingRecord, AcctStatusType};
use isp_core::store::{Certainty, SessionFilter};

use crate::accounting::{prepare, record};
use crate::harness::Database;
use crate::sessions::{T, at, put};

on_both_databases!(
    an_address_goes_from_one_to_the_next,
    an_ipv6_address_is_found_in_whatever_holds_it,
    a_prefix_is_found_around_and_inside,
    odd_texts_of_addresses_are_found,
    certainty_ends_with_the_last_word,
    months_and_open_sessions_are_searched,
    a_session_closed_for_silence_may_have_gone_on,
    a_row_without_times_is_found,
);

async fn holders(db: &Database, address: &str, from: i64, to: i64) -> Vec<i64> {
    let address = address.parse().unwrap();
    let holders = db.store.whohad(None, address, from..=to, None).await.unwrap();
    holders.iter().map(|holder| holder.session.id).collect()
}

async fn an_address_goes_from_one_to_the_next(db: &Database) {
    // Known late: the id does not tell which was first.
    put(db, 2, T, Some(T + 100), &[("framedipaddress", "'10.0.0.1'")]).await;
    put(db, 1, T + 100, Some(T + 200), &[("framedipaddress", "'10.0.0.1'")]).await;
    put(db, 3, T + 300, None, &[("framedipaddress", "'10.0.0.1'")]).await;
    put(db, 4, T, None, &[("framedipaddress", "'10.0.0.11'")]).await;
    assert_eq!(holders(db, "10.0.0.1", T - 1, T - 1).await, [0; 0]);
    assert_eq!(holders(db, "10.0.0.1", T + 50, T + 50).await, [2]);
    assert_eq!(holders(db, "10.0.0.1", T + 100, T + 100).await, [1, 2]);
    assert_eq!(holders(db, "10.0.0.1", T + 250, T + 250).await, [0; 0]);
    assert_eq!(holders(db, "10.0.0.1", T + 50, T + 301).await, [3, 1, 2]);
    assert_eq!(holders(db, "10.0.0.2", T, T + 1_000).await, [0; 0]);
    let only = db
        .store
        .whohad(None, "10.0.0.1".parse().unwrap(), T..=T + 301, Some(1))
        .await;
    assert_eq!(only.unwrap().len(), 1);
    let foreign = db
        .store
        .whohad(Some("t2"), "10.0.0.1".parse().unwrap(), T..=T + 301, None)
        .await;
    assert_eq!(foreign.unwrap(), []);
}

async fn an_ipv6_address_is_found_in_whatever_holds_it(db: &Database) {
    put(db, 1, T, None, &[("framedipv6address", "'2001:db8::5'")]).await;
    put(db, 2, T, None, &[("framedipv6prefix", "'2001:db8::/64'")]).await;
    put(db, 3, T, None, &[("delegatedipv6prefix", "'2001:db8::/33'")]).await;
    put(db, 4, T, None, &[("delegatedipv6prefix", "'2001:db8::5/128'")]).await;
    put(
        db,
        5,
        T,
        None,
        &[
            ("framedipv6prefix", "'2001:db8::4/127'"),
            ("delegatedipv6prefix", "'2001:db8::/56'"),
        ],
    )
    .await;
    put(
        db,
        6,
        T,
        None,
        &[
            ("framedipv6address", "'2001:db8::6'"),
            ("framedipv6prefix", "'2001:db8:0:1::/64'"),
        ],
    )
    .await;
    put(db, 7, T, None, &[("delegatedipv6prefix", "'::/0'")]).await;
    assert_eq!(holders(db, "2001:db8::5", T, T).await, [7, 5, 4, 3, 2, 1]);
    assert_eq!(holders(db, "2001:db8::6", T, T).await, [7, 6, 5, 3, 2]);
    assert_eq!(holders(db, "2001:db8:8000::", T, T).await, [7]);
    for length in 0..=128_u8 {
        let network = Ipv6Net::new("fd12:3456:789a:bcde:f123:4567:89ab:cdef".parse().unwrap(), length).unwrap();
        db.raw("DELETE FROM radacct").await;
        put(
            db,
            1,
            T,
            None,
            &[("delegatedipv6prefix", &format!("'{}'", network.trunc()))],
        )
        .await;
        assert_eq!(
            holders(db, "fd12:3456:789a:bcde:f123:4567:89ab:cdef", T, T).await,
            [1],
            "{network}"
        );
    }
}

async fn a_prefix_is_found_around_and_inside(db: &Database) {
    put(db, 1, T, None, &[("framedipv6address", "'2001:db8:1:200::5'")]).await;
    put(db, 2, T, None, &[("framedipv6prefix", "'2001:db8:1:2ff::/64'")]).await;
    put(db, 3, T, None, &[("delegatedipv6prefix", "'2001:db8:1:200::/56'")]).await;
    put(db, 4, T, None, &[("delegatedipv6prefix", "'2001:db8:1::/48'")]).await;
    put(db, 5, T, None, &[("delegatedipv6prefix", "'2001:db8:1:300::/56'")]).await;
    put(
        db,
        6,
        T,
        None,
        &[("framedipv6address", "'2001:db8:1:1ff:ffff:ffff:ffff:ffff'")],
    )
    .await;
    put(
        db,
        7,
        T,
        None,
        &[
            ("framedipv6prefix", "'2001:db8:1:2a0::/60'"),
            ("delegatedipv6prefix", "'2001:db8:9::/56'"),
        ],
    )
    .await;
    assert_eq!(holders(db, "2001:db8:1:200::/56", T, T).await, [7, 4, 3, 2, 1]);
    assert_eq!(holders(db, "2001:db8:1:200::/57", T, T).await, [4, 3, 1]);
    assert_eq!(holders(db, "2001:db8::/32", T, T).await, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(holders(db, "::/0", T, T).await, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(holders(db, "2001:db9::/32", T, T).await, [0; 0]);
    let first = db
        .store
        .whohad(None, "2001:db8:1:200::/56".parse().unwrap(), T..=T, Some(2))
        .await
        .unwrap();
    assert_eq!(first.iter().map(|holder| holder.session.id).collect::<Vec<_>>(), [7, 4]);
}

/// The text of an address leaves out zeros wherever most of them are.
async fn odd_texts_of_addresses_are_found(db: &Database) {
    let addresses: [Ipv6Addr; 8] = [
        "::",
        "::1",
        "1::",
        "1:0:0:2::",
        "1:0:0:2::3",
        "1::2:0:0:3:4",
        "2001:0:0:1::",
        "2001::1:0:0:1",
    ]
    .map(|text| text.parse().unwrap());
    for (id, address) in (1..).zip(addresses) {
        put(db, id, T, None, &[("framedipv6address", &format!("'{address}'"))]).await;
    }
    for length in (0..=128).step_by(16) {
        for address in addresses {
            let network = Ipv6Net::new(address, length).unwrap().trunc();
            let inside = (1..).zip(addresses).filter(|(_, other)| network.contains(other));
            let mut expected: Vec<i64> = inside.map(|(id, _)| id).collect();
            expected.reverse();
            assert_eq!(holders(db, &network.to_string(), T, T).await, expected, "{network}");
        }
    }
}

async fn certainty_ends_with_the_last_word(db: &Database) {
    let heard = at(db, T + 100);
    let address = ("framedipaddress", "'10.0.0.1'");
    let ask = async |moment: i64| {
        let holders = db
            .store
            .whohad(None, "10.0.0.1".parse().unwrap(), moment..=moment, None)
            .await
            .unwrap();
        holders.iter().map(|holder| holder.certainty).collect::<Vec<_>>()
    };
    put(db, 1, T, None, &[address, ("acctupdatetime", &heard)]).await;
    assert_eq!(ask(T).await, [Certainty::Reported]);
    assert_eq!(ask(T + 100).await, [Certainty::Reported]);
    assert_eq!(ask(T + 101).await, [Certainty::Presumed], "open, and silent since");
    db.raw("DELETE FROM radacct").await;
    put(
        db,
        1,
        T,
        Some(T + 500),
        &[address, ("acctupdatetime", &heard), ("stop_inferred", "true")],
    )
    .await;
    assert_eq!(ask(T + 100).await, [Certainty::Reported]);
    assert_eq!(ask(T + 300).await, [Certainty::Presumed], "nobody said when it ended");
    db.raw("DELETE FROM radacct").await;
    put(db, 1, T, Some(T + 500), &[address]).await;
    assert_eq!(ask(T + 500).await, [Certainty::Reported], "a Stop came");
}

async fn months_and_open_sessions_are_searched(db: &Database) {
    const MONTH: i64 = 31 * 86_400;
    let columns = [
        ("calling_mac", "'0000ccddeeff'"),
        ("delegatedipv6prefix", "'2001:db8::/56'"),
    ];
    for id in 1..=6 {
        put(db, id, T - MONTH * id, Some(T - MONTH * id + 10), &columns).await;
    }
    // Three years long, and one that never ended.
    put(db, 7, T - 36 * MONTH, Some(T), &columns).await;
    put(db, 8, T - 35 * MONTH, None, &columns).await;
    for address in ["00:00:cc:dd:ee:ff", "2001:db8::1"] {
        assert_eq!(
            holders(db, address, T - MONTH * 4 + 5, T - MONTH * 4 + 5).await,
            [4, 8, 7]
        );
        assert_eq!(holders(db, address, T - MONTH * 36, T - MONTH * 36).await, [7]);
        assert_eq!(holders(db, address, T + 1, T + 1).await, [8]);
        assert_eq!(holders(db, address, T - MONTH * 3, T).await, [1, 2, 3, 8, 7]);
    }
}

async fn a_session_closed_for_silence_may_have_gone_on(db: &Database) {
    let silence = Silence::default();
    let report = |status, event_time: i64| AccountingRecord {
        framed_ip_address: Some("10.0.0.1".parse().unwrap()),
        event_time,
        received: event_time,
        session_time: Some(u32::try_from(event_time - T).unwrap()),
        ..record(status, "1", 0)
    };
    prepare(db).await;
    let write = async |record| db.store.record_accounting(&[record]).await.unwrap();
    let ask = async |moment: i64| {
        let address = "10.0.0.1".parse().unwrap();
        let holders = db.store.whohad(None, address, moment..=moment, None).await.unwrap();
        let told = holders
            .iter()
            .map(|holder| (holder.certainty, holder.session.stopped_at));
        told.collect::<Vec<_>>()
    };
    write(report(AcctStatusType::Start, T)).await;
    write(report(AcctStatusType::InterimUpdate, T + 300)).await;
    assert_eq!(db.store.close_silent(&silence, T, T + 5_000).await.unwrap(), 1);
    assert_eq!(ask(T + 300).await, [(Certainty::Reported, Some(T + 300))]);
    // It was waited for, and may have been alive.
    assert_eq!(ask(T + 2_100).await, [(Certainty::Presumed, Some(T + 300))]);
    assert_eq!(ask(T + 2_101).await, []);
    write(report(AcctStatusType::InterimUpdate, T + 7_200)).await;
    assert_eq!(ask(T + 2_101).await, [(Certainty::Reported, None)], "it was alive");
    assert_eq!(ask(T - 1).await, []);
    write(report(AcctStatusType::Stop, T + 7_300)).await;
    assert_eq!(ask(T + 7_300).await, [(Certainty::Reported, Some(T + 7_300))]);
    assert_eq!(ask(T + 7_301).await, [], "a Stop is no silence");
}

/// Another program may leave out when a session began, or when it was last heard of.
async fn a_row_without_times_is_found(db: &Database) {
    let address = ("framedipaddress", "'10.0.0.1'");
    let (no_start, no_update) = (("acctstarttime", "NULL"), ("acctupdatetime", "NULL"));
    let written = at(db, T + 200);
    let created = ("created_at", written.as_str());
    put(db, 1, T, Some(T + 100), &[address, no_start]).await;
    put(db, 2, T, None, &[address, no_start, no_update, created]).await;
    let minute = ("acctsessiontime", "60");
    put(db, 3, T, Some(T + 100), &[address, no_start, minute]).await;
    assert_eq!(holders(db, "10.0.0.1", T + 39, T + 39).await, [1]);
    assert_eq!(holders(db, "10.0.0.1", T + 40, T + 40).await, [3, 1]);
    db.raw("UPDATE radacct SET acctstarttime = NULL WHERE radacctid = 3")
        .await;
    assert_eq!(holders(db, "10.0.0.1", T + 40, T + 40).await, [3, 1]);
    assert_eq!(holders(db, "10.0.0.1", T + 199, T + 199).await, [0; 0]);
    assert_eq!(holders(db, "10.0.0.1", T + 200, T + 200).await, [2]);
    let listed = db.store.session_list(&SessionFilter::default()).await.unwrap();
    assert_eq!(listed.len(), 3);
    let silence = Silence::default();
    assert_eq!(db.store.close_silent(&silence, T, T + 2_000).await.unwrap(), 0);
    assert_eq!(db.store.close_silent(&silence, T, T + 2_001).await.unwrap(), 1);
    let listed = db.store.session_list(&SessionFilter::default()).await.unwrap();
    let second = listed.iter().find(|session| session.id == 2).unwrap();
    assert_eq!(second.stopped_at, Some(T + 200));
}
