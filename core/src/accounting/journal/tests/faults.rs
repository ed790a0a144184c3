//! Disks that are full or fail.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::accounting::journal::JournalError;
use crate::accounting::journal::commit::Segment;

/// From now on the segment that is written to is this device.
fn replace_disk(journal: &Journal, device: &str) {
    let mut state = journal.shared.state.lock();
    let file = || File::options().write(true).open(device).unwrap();
    let path = state.segment.as_ref().unwrap().path.clone();
    state.segment = Some(Arc::new(Segment {
        path,
        files: [file(), file()],
    }));
}

/// After a fault the next record is written elsewhere, and whoever was acknowledged is there.
fn survives(device: &str, attempt: &str) {
    let scratch = Scratch::new();
    let (journal, mut reader) = scratch.open(JournalConfig::default());
    append(&journal, 1..=3);
    for round in 0..3 {
        replace_disk(&journal, device);
        let refused = std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| journal.append(&record(99), PATIENCE)))
                .collect();
            waiters
                .into_iter()
                .filter_map(|waiter| waiter.join().unwrap().err())
                .collect::<Vec<_>>()
        });
        assert!(!refused.is_empty());
        for error in &refused {
            let message = error.to_string();
            assert!(
                message.contains(attempt) && message.contains(scratch.journal().to_str().unwrap()),
                "{message}"
            );
        }
        append(&journal, [4 + round]);
    }
    let read: Vec<_> = drain(&mut reader).into_iter().filter(|&number| number != 99).collect();
    assert_eq!(read, [1, 2, 3, 4, 5, 6]);
    assert_eq!(journal.stats().lost, 0);
    let crashed = scratch.crashed();
    drop((journal, reader));
    // What is left of the attempts that failed is not taken for records, nor for damage.
    fs::remove_file(crashed.journal().join("checkpoint")).unwrap_or_default();
    let (journal, mut reader) = crashed.open(JournalConfig::default());
    let read = drain(&mut reader);
    assert!(read.ends_with(&[6]), "{read:?}");
    assert_eq!((journal.stats().lost, crashed.damaged()), (0, 0));
}

#[test]
fn a_write_that_fails_is_answered_with_an_error() {
    survives("/dev/full", "write to");
}

/// A device that takes data and cannot synchronize it.
#[test]
fn a_synchronization_that_fails_is_answered_with_an_error() {
    survives("/dev/null", "synchronize");
}

/// A file system of its own; needs root.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(directory)),
            other => {
                eprintln!("SKIP: no file system can be mounted here: {other:?}");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0.path())
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_records_and_takes_them_again_when_there_is_room() {
    let Some(disk) = Tmpfs::mount("size=64k") else { return };
    let directory = disk.0.path().join("journal");
    let config = JournalConfig {
        segment_size: 16 << 10,
        ..JournalConfig::default()
    };
    let (journal, mut reader) = Journal::open(&directory, config).unwrap();
    let mut taken = 0;
    let refused = loop {
        match journal.append(&record(taken + 1), PATIENCE) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(taken > 50, "{taken}");
    assert!(
        matches!(&refused, JournalError::Io { source, .. } if source.raw_os_error() == Some(28)),
        "{refused}"
    );
    assert!(refused.to_string().contains(directory.to_str().unwrap()), "{refused}");
    for _ in 0..3 {
        journal.append(&record(taken + 1), PATIENCE).unwrap_err();
    }
    // Applying makes room, though not even the checkpoint can be written.
    let mut read = Vec::new();
    while read.len() < 100 {
        let batch = reader.read(10).unwrap().unwrap();
        read.extend(batch.records.iter().map(number));
        reader.applied(&batch);
    }
    append(&journal, [taken + 1]);
    disk.remount("size=1m");
    append(&journal, taken + 2..=taken + 100);
    read.extend(drain(&mut reader));
    assert_eq!(read, (1..=taken + 100).collect::<Vec<_>>());
    assert_eq!(journal.stats().lost, 0);
}
