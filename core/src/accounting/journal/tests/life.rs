//! Appending, reading, restarting, and being bounded.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::accounting::journal::JournalError;
use crate::clock::unix_now;

#[test]
fn records_come_back_in_order_and_are_gone_when_applied() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    assert!(reader.read(10).unwrap().is_none());
    append(&journal, 1..=40);
    assert!(scratch.segments().len() > 3, "{:?}", scratch.files());
    let stats = journal.stats();
    assert_eq!((stats.records, stats.appended, stats.applied), (40, 40, 0));
    assert!(stats.bytes > 40 * 100 && stats.oldest.is_some());
    assert_eq!(drain(&mut reader), (1..=40).collect::<Vec<_>>());
    assert_eq!(scratch.segments().len(), 1, "{:?}", scratch.files());
    let stats = journal.stats();
    assert_eq!(
        (stats.records, stats.bytes, stats.oldest, stats.applied),
        (0, 0, None, 40)
    );
    assert_eq!(stats.lost, 0);
}

#[test]
fn the_journal_is_for_its_owner_alone() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    append(&journal, 1..=20);
    drain(&mut reader);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.journal()), 0o700);
    for file in scratch.files() {
        assert_eq!(mode(&scratch.journal().join(&file)), 0o600, "{file}");
    }
}

#[test]
fn a_second_opener_is_told_which_directory_and_what_to_do() {
    let scratch = Scratch::new();
    let (journal, reader) = scratch.open(small());
    let refused = Journal::open(&scratch.journal(), small()).unwrap_err();
    assert!(matches!(refused, JournalError::InUse { .. }), "{refused}");
    let message = refused.to_string();
    assert!(
        message.contains(scratch.journal().to_str().unwrap()) && message.contains("of its own"),
        "{message}"
    );
    drop((journal, reader));
    scratch.open(small());
}

#[test]
fn restarts_while_nothing_is_applied_take_no_room() {
    let scratch = Scratch::new();
    let roomy = JournalConfig {
        segment_size: 1 << 16,
        max_size: 1 << 18,
        ..JournalConfig::default()
    };
    for number in 1..=20 {
        let (journal, reader) = scratch.open(roomy);
        append(&journal, [number]);
        drop((journal, reader));
    }
    let (_journal, mut reader) = scratch.open(roomy);
    assert_eq!(drain(&mut reader), (1..=20).collect::<Vec<_>>());
}

#[test]
fn what_is_all_applied_leaves_no_segment_for_the_next_version_to_read() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    append(&journal, 1..=20);
    drain(&mut reader);
    drop((journal, reader));
    assert_eq!(scratch.segments(), Vec::<PathBuf>::new(), "{:?}", scratch.files());
    let (journal, mut reader) = scratch.open(small());
    append(&journal, [21]);
    assert_eq!(drain(&mut reader), [21], "numbers go on");
}

#[test]
fn a_restart_goes_on_where_the_last_run_stopped() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    append(&journal, 1..=12);
    let batch = reader.read(5).unwrap().unwrap();
    reader.applied(&batch);
    drop((journal, reader));

    let (journal, mut reader) = scratch.open(small());
    let stats = journal.stats();
    assert_eq!((stats.records, stats.appended), (7, 0));
    append(&journal, 13..=14);
    assert_eq!(drain(&mut reader), (6..=14).collect::<Vec<_>>());
    drop((journal, reader));

    let (journal, mut reader) = scratch.open(small());
    assert!(drain(&mut reader).is_empty());
    append(&journal, [15]);
    assert_eq!(drain(&mut reader), [15], "numbers are not given out twice");
}

#[test]
fn without_its_checkpoint_everything_that_is_left_comes_again() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(JournalConfig::default());
    append(&journal, 1..=5);
    drain(&mut reader);
    let crashed = scratch.crashed();
    drop((journal, reader));
    for damage in [None, Some(&b"ISPACKP\x01nonsense"[..])] {
        let crashed = crashed.crashed();
        let checkpoint = crashed.journal().join("checkpoint");
        match damage {
            None => drop(fs::remove_file(checkpoint)),
            Some(bytes) => fs::write(checkpoint, bytes).unwrap(),
        }
        let (_journal, mut reader) = crashed.open(small());
        assert_eq!(drain(&mut reader), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn past_its_bound_records_are_refused_until_some_are_applied() {
    let scratch = Scratch::new();
    let config = JournalConfig {
        max_size: 3_000,
        ..small()
    };
    let (journal, mut reader) = scratch.open(config);
    let mut taken = 0;
    let refused = loop {
        match journal.append(&record(taken + 1), PATIENCE) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(taken > 10 && journal.stats().bytes > 3_000);
    assert!(matches!(refused, JournalError::Full { limit: 3_000, .. }), "{refused}");
    assert!(refused.to_string().contains("3000"), "{refused}");
    let batch = reader.read(5).unwrap().unwrap();
    reader.applied(&batch);
    append(&journal, [taken + 1]);
    assert_eq!(drain(&mut reader), (6..=taken + 1).collect::<Vec<_>>());
}

#[test]
fn concurrent_appenders_lose_nothing_and_keep_their_order() {
    const THREADS: u64 = 16;
    const EACH: u64 = 150;
    let scratch = Scratch::new();
    let config = JournalConfig {
        segment_size: 1 << 16,
        ..JournalConfig::default()
    };
    let (journal, mut reader) = scratch.open(config);
    let over = AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut all = Vec::new();
            loop {
                let last = over.load(Ordering::Acquire);
                all.extend(drain(&mut reader));
                if last {
                    return all;
                }
                std::thread::yield_now();
            }
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let journal = &journal;
                scope.spawn(move || append(journal, (0..EACH).map(|i| thread * EACH + i)))
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, Ordering::Release);
        reading.join().unwrap()
    });
    assert_eq!(read.len() as u64, THREADS * EACH);
    for thread in 0..THREADS {
        let own: Vec<_> = read.iter().copied().filter(|number| number / EACH == thread).collect();
        assert_eq!(own, (thread * EACH..(thread + 1) * EACH).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_reader_sleeps_until_there_is_something() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    assert!(
        tokio::time::timeout(Duration::from_millis(50), reader.readable())
            .await
            .is_err()
    );
    let writer = tokio::task::spawn_blocking(move || {
        append(&journal, [1]);
        journal
    });
    tokio::time::timeout(PATIENCE, reader.readable()).await.unwrap();
    assert_eq!(drain(&mut reader), [1]);
    writer.await.unwrap();
}

#[test]
fn what_waits_is_written_before_the_journal_closes() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    append(&journal, 1..=3);
    let begun = Instant::now();
    journal.close(PATIENCE);
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(drain(&mut reader), [1, 2, 3]);
}

#[test]
fn what_is_read_ahead_is_not_the_oldest() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    append(&journal, [1]);
    let first = journal.stats().oldest.unwrap();
    while unix_now() == first {
        std::thread::yield_now();
    }
    append(&journal, [2]);
    let batches = [1, 2].map(|_| reader.read(1).unwrap().unwrap());
    assert_eq!(journal.stats().oldest, Some(first));
    reader.applied(&batches[0]);
    reader.applied(&batches[1]);
    assert_eq!(journal.stats().oldest, None);
}

/// A record of other fields, or in another order, is another format: `segment::FORMAT` must change with it.
#[test]
fn the_form_of_a_record_on_disk_is_that_of_its_format() {
    let bytes = postcard::to_allocvec(&record(5)).unwrap();
    assert_eq!(
        (segment::FORMAT, bytes.len(), crc32fast::hash(&bytes)),
        (2, 129, 4_265_424_435)
    );
}

#[test]
fn a_journal_of_another_version_is_left_alone() {
    let scratch = Scratch::new();
    let (journal, reader) = scratch.open(small());
    append(&journal, [1]);
    drop((journal, reader));
    let path = &scratch.segments()[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[7] += 1;
    fs::write(path, &bytes).unwrap();
    let refused = Journal::open(&scratch.journal(), small()).unwrap_err();
    assert!(matches!(refused, JournalError::Foreign { .. }), "{refused}");
    assert_eq!(fs::read(path).unwrap(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whenever it crashes, what was acknowledged and not applied is there; what was applied may come again.
    #[test]
    fn a_crash_at_any_point_loses_nothing(steps in prop::collection::vec((0_u8..4, 1_u64..6), 1..12)) {
        let mut scratch = Scratch::new();
        let (mut journal, mut reader) = scratch.open(small());
        let (mut appended, mut applied) = (0, 0);
        for (step, amount) in steps {
            match step {
                0 | 1 => {
                    append(&journal, appended + 1..=appended + amount);
                    appended += amount;
                }
                2 => {
                    if let Some(batch) = reader.read(amount as usize).unwrap() {
                        let numbers: Vec<_> = batch.records.iter().map(number).collect();
                        let expected: Vec<_> = (applied + 1..=applied + numbers.len() as u64).collect();
                        prop_assert_eq!(numbers, expected);
                        applied += batch.records.len() as u64;
                        reader.applied(&batch);
                    }
                }
                _ => {
                    let crashed = scratch.crashed();
                    drop((journal, reader));
                    scratch = crashed;
                    (journal, reader) = scratch.open(small());
                    // The checkpoint may be behind.
                    let unread = journal.stats().records;
                    prop_assert!(unread >= appended - applied, "{} of {}", unread, appended - applied);
                    applied = appended - unread;
                }
            }
        }
        prop_assert_eq!(drain(&mut reader), (applied + 1..=appended).collect::<Vec<_>>());
        prop_assert_eq!(journal.stats().lost, 0);
    }
}

#[test]
fn a_journal_can_be_looked_at_while_it_is_in_use_and_after() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(small());
    append(&journal, 1..=40);
    let batch = reader.read(15).unwrap().unwrap();
    reader.applied(&batch);
    reader.checkpoint();
    let stats = journal.stats();
    let survey = Journal::survey(&scratch.journal()).unwrap();
    assert!(survey.in_use);
    assert_eq!((survey.records, survey.missing, survey.damaged_files), (25, 0, 0));
    assert_eq!((survey.records, survey.oldest), (stats.records, stats.oldest));
    drop((journal, reader));
    let survey = Journal::survey(&scratch.journal()).unwrap();
    assert!(!survey.in_use);
    assert_eq!(survey.records, 25);
    let firsts = segment::list(&scratch.journal()).unwrap();
    let last = firsts.len() - 1;
    fs::remove_file(&scratch.segments()[last - 1]).unwrap();
    let survey = Journal::survey(&scratch.journal()).unwrap();
    let gone = firsts[last] - firsts[last - 1];
    assert_eq!((survey.records, survey.missing), (25 - gone, gone));
    assert!(Journal::survey(&scratch.0.path().join("none")).is_err());
}
