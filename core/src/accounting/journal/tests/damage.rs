//! Torn ends and changed bits.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::accounting::journal::frame::{self, Look};

/// The name of a segment, its bytes, and where its frames are.
type Written = (PathBuf, Vec<u8>, Vec<Range<usize>>);

/// A segment with records 1 to `count`.
fn written(count: u64) -> Written {
    let scratch = Scratch::new();
    let (journal, reader) = scratch.open(JournalConfig {
        segment_size: 1 << 13,
        ..JournalConfig::default()
    });
    append(&journal, 1..=count);
    let crashed = scratch.crashed();
    drop((journal, reader));
    let path = crashed.segments().remove(0);
    let bytes = fs::read(&path).unwrap();
    let mut frames = Vec::new();
    let mut at = segment::HEADER as usize;
    while let Look::Frame(frame) = frame::look(&bytes[at..]) {
        frames.push(at..at + frame.len());
        at += frame.len();
    }
    assert_eq!(frames.len() as u64, count);
    (path.strip_prefix(crashed.journal()).unwrap().to_owned(), bytes, frames)
}

/// A journal whose only segment has these bytes.
fn journal_of(name: &Path, bytes: &[u8]) -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir(scratch.journal()).unwrap();
    fs::write(scratch.journal().join(name), bytes).unwrap();
    scratch
}

#[test]
fn an_end_torn_anywhere_costs_the_last_record_alone() {
    let (name, bytes, frames) = written(4);
    let last = frames.last().unwrap().clone();
    for cut in last.clone() {
        let mut blocks_set_aside = bytes.clone();
        blocks_set_aside[cut..].fill(0);
        for torn in [&bytes[..cut], &blocks_set_aside] {
            // A record that ends in zeros is whole without them.
            if *torn == *bytes {
                continue;
            }
            let scratch = journal_of(&name, torn);
            let (journal, mut reader) = scratch.open(small());
            assert_eq!(journal.stats().records, 3, "cut at {cut}");
            assert_eq!(journal.stats().lost, u64::from(cut > last.start), "cut at {cut}");
            // What was torn off is kept, unless there was nothing.
            assert_eq!(scratch.damaged(), usize::from(cut > last.start), "cut at {cut}");
            if cut % 16 == 0 {
                append(&journal, [5]);
                assert_eq!(drain(&mut reader), [1, 2, 3, 5], "cut at {cut}");
            } else {
                assert_eq!(drain(&mut reader), [1, 2, 3], "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_changed_bit_in_the_last_record_costs_that_record_alone() {
    let (name, bytes, frames) = written(3);
    for at in frames.last().unwrap().clone() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let scratch = journal_of(&name, &flipped);
        let (journal, mut reader) = scratch.open(small());
        assert_eq!((journal.stats().lost, scratch.damaged()), (1, 1), "at {at}");
        assert_eq!(drain(&mut reader), [1, 2], "at {at}");
    }
}

#[test]
fn a_record_that_makes_no_sense_is_skipped() {
    let (name, mut bytes, frames) = written(3);
    let middle = frames[1].clone();
    let mut nonsense = Vec::new();
    frame::push(&mut nonsense, &vec![0xff; middle.len() - frame::HEADER], 1);
    frame::seal(&mut nonsense, 2);
    bytes[middle].copy_from_slice(&nonsense);
    let scratch = journal_of(&name, &bytes);
    let (journal, mut reader) = scratch.open(small());
    assert_eq!(drain(&mut reader), [1, 3]);
    assert_eq!((journal.stats().lost, scratch.damaged()), (1, 1));
}

#[test]
fn a_segment_that_is_gone_is_missed() {
    let scratch = Scratch::new();
    let (journal, reader) = scratch.open(small());
    append(&journal, 1..=40);
    let crashed = scratch.crashed();
    drop((journal, reader));
    let gone = crashed.segments().remove(1);
    let firsts = segment::list(&crashed.journal()).unwrap();
    fs::remove_file(gone).unwrap();
    let (journal, mut reader) = crashed.open(small());
    let expected: Vec<_> = (1..firsts[1]).chain(firsts[2]..=40).collect();
    assert_eq!(drain(&mut reader), expected);
    assert_eq!(journal.stats().lost, firsts[2] - firsts[1]);
}

/// A file that the disk does not give: nothing is mapped where this one is read.
const UNREADABLE: &str = "/proc/self/mem";

#[test]
fn a_file_that_cannot_be_read_is_tried_for_a_while_and_then_kept() {
    for patience in [Duration::from_secs(3_600), Duration::ZERO] {
        let scratch = Scratch::new();
        let (journal, mut reader) = scratch.open(JournalConfig { patience, ..small() });
        append(&journal, 1..=40);
        let firsts = segment::list(&scratch.journal()).unwrap();
        let unreadable = &scratch.segments()[1];
        let elsewhere = scratch.0.path().join("elsewhere");
        fs::rename(unreadable, &elsewhere).unwrap();
        std::os::unix::fs::symlink(UNREADABLE, unreadable).unwrap();

        let before = reader.read(99).unwrap().unwrap();
        assert_eq!(before.records.len() as u64, firsts[1] - 1);
        reader.applied(&before);
        for _ in 0..if patience.is_zero() { 0 } else { 3 } {
            let error = reader.read(99).unwrap_err().to_string();
            assert!(error.contains(unreadable.to_str().unwrap()), "{error}");
        }
        assert_eq!((journal.stats().lost, scratch.damaged()), (0, 0));
        let (from, lost) = if patience.is_zero() {
            (firsts[2], firsts[2] - firsts[1])
        } else {
            fs::rename(&elsewhere, unreadable).unwrap();
            (firsts[1], 0)
        };
        assert_eq!(drain(&mut reader), (from..=40).collect::<Vec<_>>());
        assert_eq!(journal.stats().lost, lost);
        assert_eq!(scratch.damaged(), usize::from(lost > 0));
    }
}

#[test]
fn a_file_that_is_taken_away_is_missed() {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(JournalConfig {
        patience: Duration::ZERO,
        ..small()
    });
    append(&journal, 1..=40);
    let firsts = segment::list(&scratch.journal()).unwrap();
    fs::remove_file(&scratch.segments()[1]).unwrap();
    let before = reader.read(99).unwrap().unwrap();
    reader.applied(&before);
    assert_eq!(drain(&mut reader), (firsts[2]..=40).collect::<Vec<_>>());
    assert_eq!(journal.stats().lost, firsts[2] - firsts[1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn bits_changed_anywhere_cost_the_records_they_are_in(
        flips in prop::collection::vec((0.0_f64..1.0, 0_u8..8), 1..6),
    ) {
        static WRITTEN: std::sync::LazyLock<Written> =
            std::sync::LazyLock::new(|| written(20));
        let (name, bytes, frames) = &*WRITTEN;
        let (start, end) = (frames[0].start, frames.last().unwrap().end);
        let mut flipped = bytes.clone();
        for (place, bit) in flips {
            flipped[start + ((end - start) as f64 * place) as usize] ^= 1 << bit;
        }
        let intact: Vec<u64> = (1..)
            .zip(frames)
            .filter(|(_, frame)| flipped[(*frame).clone()] == bytes[(*frame).clone()])
            .map(|(number, _)| number)
            .collect();
        let scratch = journal_of(name, &flipped);
        let (journal, mut reader) = scratch.open(small());
        prop_assert_eq!(drain(&mut reader), intact.clone());
        let behind = 20 - intact.last().copied().unwrap_or(0);
        // Of those that were cut off, whose beginning is not changed.
        let lost = 20 - intact.len() as u64;
        prop_assert!((lost - behind + behind.min(1)..=lost).contains(&journal.stats().lost));
        if intact.len() < 20 {
            let aside = scratch.journal().join(name).with_extension("damaged");
            let kept = fs::read(aside).unwrap();
            // But for the room for more at its end, which is cut off.
            let room = flipped.get(kept.len()..).unwrap_or_default();
            prop_assert!(flipped.starts_with(&kept) && room.iter().all(|&byte| byte == 0), "the file is kept as it was");
        }
    }

    #[test]
    fn whatever_a_file_holds_opening_and_reading_it_ends(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let scratch = journal_of(Path::new("0000000000000001.journal"), &bytes);
        let (_journal, mut reader) = scratch.open(small());
        prop_assert!(drain(&mut reader).is_empty());
    }
}
