//! Slow hashes are computed once, by few threads.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use quick_cache::sync::GuardResult;

use super::super::{PasswordError, Scheme, StoredPassword, VerifyCache, VerifyLimits, encode};

/// bcrypt at a cost that takes long enough to be told from a look-up.
fn slow(password: &str) -> StoredPassword<'static> {
    let hash = bcrypt::hash(password, 8).unwrap();
    StoredPassword::parse(Some("bcrypt"), &hash).unwrap()
}

fn hash_of<'a>(stored: &'a StoredPassword<'_>) -> &'a str {
    match stored {
        StoredPassword::OneWay { hash, .. } => hash,
        _ => panic!("not one-way"),
    }
}

fn limits(running: usize, waiting: usize, patience: Duration) -> VerifyLimits {
    VerifyLimits {
        running: NonZeroUsize::new(running).unwrap(),
        waiting,
        patience,
    }
}

const LONG: Duration = Duration::from_secs(60);

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (run(), start.elapsed())
}

#[test]
fn the_second_time_is_a_look_up() {
    let cache = VerifyCache::new(100).unwrap();
    let stored = slow("hunter2");
    let (good, first) = timed(|| cache.verify("a", &stored, b"hunter2").unwrap());
    assert!(good);
    let (good, hundred) = timed(|| (0..100).all(|_| cache.verify("a", &stored, b"hunter2").unwrap()));
    assert!(good);
    assert!(
        hundred < first * 20,
        "100 look-ups took {hundred:?}, one hash {first:?}"
    );
}

#[test]
fn only_what_was_proven_hits() {
    let cache = VerifyCache::new(100).unwrap();
    let stored = slow("hunter2");
    assert!(cache.verify("a", &stored, b"hunter2").unwrap());
    for _ in 0..2 {
        assert!(!cache.verify("a", &stored, b"hunter3").unwrap());
        assert!(!cache.verify("a", &stored, b"").unwrap());
    }
    // The password was changed.
    assert!(!cache.verify("a", &slow("new"), b"hunter2").unwrap());
    assert_eq!(cache.proofs.len(), 1);
    // Neither field can borrow a byte from its neighbour.
    assert_ne!(cache.proof("ab", "c", b"d"), cache.proof("a", "bc", b"d"));
    assert_ne!(cache.proof("a", "bc", b"d"), cache.proof("a", "b", b"cd"));
    // Another process knows nothing of this one's proofs.
    assert_ne!(
        cache.proof("a", "b", b"c"),
        VerifyCache::new(1).unwrap().proof("a", "b", b"c")
    );
}

#[test]
fn it_is_bounded_and_may_be_off() {
    let cache = VerifyCache::new(16).unwrap();
    for i in 0..2000u32 {
        cache.proofs.insert(cache.proof("a", "b", &i.to_le_bytes()), ());
    }
    assert!(cache.proofs.len() <= 64, "{}", cache.proofs.len());
    let off = VerifyCache::new(0).unwrap();
    let stored = slow("hunter2");
    for _ in 0..2 {
        assert!(off.verify("a", &stored, b"hunter2").unwrap());
        assert!(!off.verify("a", &stored, b"hunter3").unwrap());
    }
    assert_eq!(off.proofs.len(), 0);
}

#[test]
fn fast_forms_are_not_remembered() {
    let cache = VerifyCache::new(100).unwrap();
    for scheme in Scheme::ALL {
        if matches!(scheme, Scheme::Md5 | Scheme::Sha256 | Scheme::Ssha) {
            let encoded = encode(scheme, b"hunter2", None, "a").unwrap();
            let stored = StoredPassword::parse(None, &encoded.password).unwrap();
            assert!(cache.verify("a", &stored, b"hunter2").unwrap());
            assert!(!cache.verify("a", &stored, b"hunter3").unwrap());
        }
    }
    assert_eq!(cache.proofs.len(), 0);
}

/// Whoever waits takes the answer of the one that hashes: here one that no hashing of its own would give.
#[test]
fn one_thread_hashes_for_all_that_ask_the_same() {
    let cache = VerifyCache::with_limits(100, limits(16, 16, LONG)).unwrap();
    let stored = slow("hunter2");
    let proof = cache.proof("a", hash_of(&stored), b"wrong");
    let GuardResult::Guard(hashing) = cache.proofs.get_value_or_guard(&proof, None) else {
        panic!("nothing was proven yet");
    };
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(cache.verify("a", &stored, b"wrong").unwrap()));
        }
        while cache.gate.inside() < 16 {
            std::thread::yield_now();
        }
        hashing.insert(()).unwrap();
    });
    assert_eq!(cache.gate.inside(), 0);
}

#[test]
fn a_failure_is_not_passed_on() {
    let cache = VerifyCache::with_limits(100, limits(2, 2, LONG)).unwrap();
    let stored = slow("hunter2");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(!cache.verify("a", &stored, b"wrong").unwrap()));
        }
    });
    assert_eq!((cache.proofs.len(), cache.gate.inside()), (0, 0));
}

fn busy(cache: &VerifyCache, stored: &StoredPassword<'_>) -> Duration {
    let (answer, took) = timed(|| cache.verify("another", stored, b"hunter2"));
    assert!(matches!(answer, Err(PasswordError::Busy(Scheme::Bcrypt))), "{answer:?}");
    took
}

#[test]
fn a_turn_is_waited_for_as_long_as_patience_lasts() {
    let patience = Duration::from_millis(50);
    let cache = VerifyCache::with_limits(100, limits(1, 1, patience)).unwrap();
    let stored = slow("hunter2");
    let first = cache.gate.enter().unwrap();
    let turn = first.turn().unwrap();
    assert!(busy(&cache, &stored) >= patience);
    drop(turn);
    assert!(cache.verify("a", &stored, b"hunter2").unwrap());
}

#[test]
fn beyond_those_that_wait_one_is_told_at_once() {
    let cache = VerifyCache::with_limits(100, limits(1, 1, LONG)).unwrap();
    let stored = slow("hunter2");
    assert!(cache.verify("a", &stored, b"hunter2").unwrap());
    let places = [cache.gate.enter().unwrap(), cache.gate.enter().unwrap()];
    assert!(busy(&cache, &stored) < LONG / 2);
    // What is remembered needs no place.
    assert!(cache.verify("a", &stored, b"hunter2").unwrap());
    drop(places);
    assert!(cache.verify("another", &stored, b"hunter2").unwrap());
}

#[test]
fn a_waiting_thread_gets_the_turn_that_is_over() {
    let cache = VerifyCache::with_limits(100, limits(1, 4, LONG)).unwrap();
    let stored = slow("hunter2");
    let cache = &cache;
    std::thread::scope(|scope| {
        for context in ["a", "b", "c", "d", "e"] {
            let stored = &stored;
            scope.spawn(move || assert!(cache.verify(context, stored, b"hunter2").unwrap()));
        }
    });
    assert_eq!(cache.proofs.len(), 5);
}

#[test]
fn debug_shows_no_proof() {
    let cache = VerifyCache::new(100).unwrap();
    let shown = format!("{cache:?}");
    assert!(shown.starts_with("VerifyCache { entries: 0"), "{shown}");
}
