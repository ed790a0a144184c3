//! Sessions whose NAS fell silent.

use std::time::Duration;

use isp_core::accounting::AccountingRecord;
use isp_core::accounting::silence::Silence;

use crate::accounting::{interim, prepare, session, start, stop, write};
use crate::harness::Database;

on_both_databases!(
    a_silent_session_ends_when_it_was_last_heard_of,
    a_session_is_as_silent_as_its_nas,
    a_session_that_turns_out_alive_opens_again,
    what_waits_in_a_journal_is_not_silence,
    many_are_closed,
    the_clock_of_the_nas_does_not_say_when_it_was_heard_of,
    nobody_is_silent_while_nobody_listens,
    a_session_is_given_the_interval_of_its_plan,
);

/// The moment the records count from.
const T: i64 = 1_700_000_000;

const SILENCE: Silence = Silence {
    interim: Duration::from_secs(300),
    intervals: 3,
};

async fn close(db: &Database, at: i64) -> u64 {
    db.store.close_silent(&SILENCE, T, T + at).await.unwrap()
}

async fn a_silent_session_ends_when_it_was_last_heard_of(db: &Database) {
    prepare(db).await;
    write(
        db,
        &[
            start("1", 0),
            interim("1", 100, 100, 7, 8),
            start("2", 500),
            stop("3", 50, 50, 1, 1),
        ],
    )
    .await;
    assert_eq!(close(db, 1_000).await, 0, "three intervals are not over");
    assert_eq!(close(db, 1_001).await, 1);
    assert_eq!(session(db, "1").await, "0 100 100 100 7 8 Stale-Session");
    assert_eq!(session(db, "2").await, "500 500 - 0 0 0 -");
    assert_eq!(session(db, "3").await, "0 50 50 50 1 1 User-Request");
    assert_eq!(close(db, 1_001).await, 0);
}

async fn a_session_is_as_silent_as_its_nas(db: &Database) {
    prepare(db).await;
    // Reports every 1,000 seconds; and one that was away for a week reports no slower for that.
    let week = 604_800;
    write(
        db,
        &[
            start("1", 0),
            interim("1", 1_000, 1_000, 7, 8),
            start("2", 0),
            interim("2", week, 604_800, 1, 1),
        ],
    )
    .await;
    assert_eq!(close(db, 4_000).await, 0);
    assert_eq!(close(db, 4_001).await, 1);
    assert_eq!(close(db, week + 3 * 21_600).await, 0);
    assert_eq!(close(db, week + 3 * 21_600 + 1).await, 1);
}

async fn a_session_that_turns_out_alive_opens_again(db: &Database) {
    prepare(db).await;
    write(db, &[start("1", 0), interim("1", 100, 100, 7, 8)]).await;
    assert_eq!(close(db, 100_000).await, 1);
    write(db, &[interim("1", 50, 50, 3, 3)]).await;
    assert_eq!(
        session(db, "1").await,
        "0 100 100 100 7 8 Stale-Session",
        "that is late, not alive"
    );
    write(db, &[interim("1", 100_000, 100_000, 9, 9)]).await;
    assert_eq!(session(db, "1").await, "0 100000 - 100000 9 9 -");
    write(db, &[stop("1", 100_100, 100_100, 10, 10)]).await;
    assert_eq!(session(db, "1").await, "0 100100 100100 100100 10 10 User-Request");
}

async fn what_waits_in_a_journal_is_not_silence(db: &Database) {
    prepare(db).await;
    write(db, &[start("1", 0)]).await;
    let at = |seconds: i64| {
        if db.is_sqlite() {
            format!("datetime({}, 'unixepoch')", T + seconds)
        } else {
            format!("to_timestamp({})", T + seconds)
        }
    };
    db.raw(&format!(
        "INSERT INTO node_status (node_id, host, version, reported_at, journal_records, journal_oldest)
         VALUES ('a', 'aaa1', '0', {now}, 0, NULL), ('b', 'aaa2', '0', {now}, 5, {oldest}),
                ('c', 'aaa3', '0', {gone}, 5, {oldest})",
        now = at(9_990),
        oldest = at(600),
        gone = at(-90_000),
    ))
    .await;
    assert_eq!(close(db, 10_000).await, 0, "what node b has not applied may be of it");
    db.raw("UPDATE node_status SET journal_records = 0, journal_oldest = NULL WHERE node_id = 'b'")
        .await;
    assert_eq!(close(db, 10_000).await, 1);
}

async fn many_are_closed(db: &Database) {
    prepare(db).await;
    let starts: Vec<_> = (0..4_500).map(|n| start(&n.to_string(), n % 60 * 86_400)).collect();
    write(db, &starts).await;
    assert_eq!(close(db, 100 * 86_400).await, 4_500, "over three months");
}

async fn the_clock_of_the_nas_does_not_say_when_it_was_heard_of(db: &Database) {
    prepare(db).await;
    for (at, wrong) in [(0, -3_600), (10_000, 250)] {
        let unique = at.to_string();
        let off = |mut record: AccountingRecord| {
            record.event_time += wrong;
            record
        };
        write(
            db,
            &[off(start(&unique, at)), off(interim(&unique, at + 300, 300, 1, 1))],
        )
        .await;
        assert_eq!(close(db, at + 1_200).await, 0, "{wrong}");
        assert_eq!(close(db, at + 1_201).await, 1, "{wrong}");
    }
    assert_eq!(session(db, "0").await, "-3600 -3300 -3300 300 1 1 Stale-Session");
}

async fn nobody_is_silent_while_nobody_listens(db: &Database) {
    prepare(db).await;
    write(db, &[start("1", 0)]).await;
    let back = 50_000;
    let closed = |now| db.store.close_silent(&SILENCE, T + back, T + now);
    assert_eq!(closed(back + 900).await.unwrap(), 0);
    assert_eq!(closed(back + 901).await.unwrap(), 1);
    assert_eq!(session(db, "1").await, "0 0 0 0 0 0 Stale-Session");
}

async fn a_session_is_given_the_interval_of_its_plan(db: &Database) {
    prepare(db).await;
    let asked = AccountingRecord {
        interim_interval: Some(3_600),
        ..start("1", 0)
    };
    write(db, &[asked]).await;
    assert_eq!(close(db, 10_800).await, 0);
    assert_eq!(close(db, 10_801).await, 1);
}
