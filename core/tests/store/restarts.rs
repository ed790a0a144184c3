//! Accounting where packets are lost, late or out of order, and NAS restart.

use isp_core::accounting::AcctStatusType;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::accounting::{interim, on, prepare, record, session, start, stop, write};
use crate::harness::Database;

on_both_databases!(
    a_restart_closes_what_was_open,
    a_restart_closes_only_its_own_nas_and_tenant,
    a_stop_corrects_what_a_restart_closed,
    a_late_packet_cannot_reopen_what_a_restart_closed,
    a_repeated_restart_closes_nothing_new,
    the_order_of_arrival_does_not_matter,
    an_id_that_is_used_again_at_once_is_another_session,
    no_session_ends_before_it_began,
);

async fn a_restart_closes_what_was_open(db: &Database) {
    prepare(db).await;
    write(
        db,
        &[
            start("1", 0),
            interim("2", 100, 50, 7, 8),
            stop("3", 90, 90, 1, 1),
            start("4", 200),
        ],
    )
    .await;
    write(db, &[on(150)]).await;
    assert_eq!(session(db, "1").await, "0 0 150 0 0 0 NAS-Reboot");
    assert_eq!(session(db, "2").await, "50 100 150 50 7 8 NAS-Reboot");
    assert_eq!(session(db, "3").await, "0 90 90 90 1 1 User-Request");
    assert_eq!(session(db, "4").await, "200 200 - 0 0 0 -", "began after the restart");
    // In one batch, at one second: the session is the older one.
    write(
        db,
        &[
            start("5", 300),
            record(AcctStatusType::AccountingOff, "", 300),
            start("6", 300),
        ],
    )
    .await;
    assert_eq!(session(db, "5").await, "300 300 300 0 0 0 NAS-Reboot");
    assert_eq!(session(db, "6").await, "300 300 - 0 0 0 -");
}

async fn a_restart_closes_only_its_own_nas_and_tenant(db: &Database) {
    prepare(db).await;
    let mut other_nas = start("1", 0);
    other_nas.nas_ip_address = "2001:db8::1".parse().unwrap();
    let mut other_tenant = start("2", 0);
    other_tenant.tenant_id = Some("t2".to_owned());
    let mut no_tenant = start("3", 0);
    no_tenant.tenant_id = None;
    write(db, &[other_nas, other_tenant, no_tenant, start("4", 0)]).await;
    let mut of_nobody = on(100);
    of_nobody.tenant_id = None;
    write(db, &[of_nobody]).await;
    for (unique, open) in [("1", true), ("2", true), ("3", false), ("4", true)] {
        assert_eq!(session(db, unique).await.ends_with(" -"), open, "{unique}");
    }
    let mut sixth = on(100);
    sixth.nas_ip_address = "2001:db8::1".parse().unwrap();
    write(db, &[sixth]).await;
    for (unique, open) in [("1", false), ("2", true), ("4", true)] {
        assert_eq!(session(db, unique).await.ends_with(" -"), open, "{unique}");
    }
}

async fn a_stop_corrects_what_a_restart_closed(db: &Database) {
    prepare(db).await;
    write(db, &[start("1", 0), on(500), stop("1", 400, 400, 9, 9)]).await;
    assert_eq!(session(db, "1").await, "0 400 400 400 9 9 User-Request");
    write(db, &[on(500)]).await;
    assert_eq!(session(db, "1").await, "0 400 400 400 9 9 User-Request");
}

async fn a_late_packet_cannot_reopen_what_a_restart_closed(db: &Database) {
    prepare(db).await;
    write(db, &[on(500)]).await;
    write(db, &[start("1", 0), interim("2", 400, 100, 1, 1), start("3", 501)]).await;
    assert_eq!(session(db, "1").await, "0 0 500 0 0 0 NAS-Reboot");
    assert_eq!(session(db, "2").await, "300 400 500 100 1 1 NAS-Reboot");
    assert_eq!(session(db, "3").await, "501 501 - 0 0 0 -");
}

async fn a_repeated_restart_closes_nothing_new(db: &Database) {
    prepare(db).await;
    write(db, &[on(500), start("1", 500)]).await;
    write(db, &[on(500)]).await;
    assert_eq!(session(db, "1").await, "500 500 - 0 0 0 -");
}

async fn an_id_that_is_used_again_at_once_is_another_session(db: &Database) {
    prepare(db).await;
    write(db, &[start("1", 0), stop("1", 100, 100, 50, 60)]).await;
    write(db, &[start("1", 105), interim("1", 110, 5, 7, 8)]).await;
    write(db, &[start("1", 0), interim("1", 90, 90, 40, 50)]).await;
    write(db, &[stop("2", 100, 100, 50, 60), interim("2", 115, 10, 7, 8)]).await;
    // Sent again without Acct-Delay-Time they seem to be from later.
    write(db, &[stop("3", 100, 100, 50, 60), stop("3", 110, 100, 50, 60)]).await;
    let twice = interim("4", 12, 4, 2, 3);
    write(db, &[start("4", 0), stop("4", 7, 7, 5, 6), start("4", 12), twice]).await;
    assert_eq!(starts(db, "1").await, [0, 105]);
    assert_eq!(starts(db, "2").await, [0, 105]);
    assert_eq!(starts(db, "3").await, [0]);
    assert_eq!(starts(db, "4").await, [0]);
    assert_eq!(open(db).await, 2);
}

/// When the sessions of an id began, in seconds after 1,700,000,000.
async fn starts(db: &Database, unique: &str) -> Vec<i64> {
    let start = if db.is_sqlite() {
        "CAST(unixepoch(acctstarttime) - 1700000000 AS TEXT)"
    } else {
        "(extract(epoch FROM acctstarttime)::bigint - 1700000000)::text"
    };
    let rows = db
        .query(&format!(
            "SELECT {start} FROM radacct WHERE acctuniqueid = '{unique:0>32}' ORDER BY acctstarttime"
        ))
        .await;
    rows.into_iter()
        .flatten()
        .map(|start| start.unwrap().parse().unwrap())
        .collect()
}

async fn open(db: &Database) -> usize {
    db.query("SELECT acctuniqueid FROM radacct WHERE acctstoptime IS NULL")
        .await
        .len()
}

async fn no_session_ends_before_it_began(db: &Database) {
    prepare(db).await;
    // The clock of the NAS was set back by some seconds in between.
    write(db, &[start("1", 100), stop("1", 90, 2, 1, 1)]).await;
    write(db, &[stop("2", 90, 0, 1, 1), start("2", 100)]).await;
    assert_eq!(session(db, "1").await, "100 100 100 2 1 1 User-Request");
    assert_eq!(session(db, "2").await, "100 100 100 0 1 1 User-Request");
}

/// Whatever order the packets of some sessions arrive in, however often, in batches of whatever size: the same rows.
async fn the_order_of_arrival_does_not_matter(db: &Database) {
    prepare(db).await;
    let mut packets = Vec::new();
    for (unique, offset) in [("1", 0_i64), ("2", 5)] {
        packets.push(start(unique, offset));
        for step in 1..4_u32 {
            // Acct-Session-Time runs a second ahead of the clock now and then.
            let at = offset + 100 * i64::from(step);
            packets.push(interim(
                unique,
                at,
                100 * step + step % 2,
                u64::from(step) << 31,
                u64::from(step) << 33,
            ));
        }
    }
    packets.push(stop("1", 400, 400, 9 << 31, 9 << 33));
    // Its Start was lost, and so is its Stop: the restart ends it.
    packets.push(interim("3", 350, 300, 5, 6));
    packets.push(on(450));
    // After the restart.
    packets.push(start("4", 460));

    let all = async || {
        let mut rows = Vec::new();
        for unique in ["1", "2", "3", "4"] {
            rows.push(session(db, unique).await);
        }
        rows
    };
    write(db, &packets).await;
    let expected = all().await;
    assert_eq!(
        expected,
        [
            format!("0 400 400 400 {} {} User-Request", 9_u64 << 31, 9_u64 << 33),
            format!("5 305 450 301 {} {} NAS-Reboot", 3_u64 << 31, 3_u64 << 33),
            "50 350 450 300 5 6 NAS-Reboot".to_owned(),
            "460 460 - 0 0 0 -".to_owned(),
        ]
    );

    let count = packets.len();
    let arrival = (
        Just((0..count).collect::<Vec<_>>()).prop_shuffle(),
        proptest::collection::vec(0..count, 0..8),
        1..count + 8,
    );
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..24 {
        let (order, again, size) = arrival.new_tree(&mut runner).unwrap().current();
        let delivered: Vec<_> = order
            .iter()
            .chain(&again)
            .map(|&index| packets[index].clone())
            .collect();
        db.raw("DELETE FROM radacct").await;
        db.raw("DELETE FROM nasreload").await;
        for batch in delivered.chunks(size) {
            write(db, batch).await;
        }
        assert_eq!(
            all().await,
            expected,
            "order {order:?}, again {again:?}, batches of {size}"
        );
    }
}
