#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod faults;
mod life;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Journal, JournalConfig, Reader, segment};
use crate::accounting::{AccountingRecord, AcctStatusType};

const PATIENCE: Duration = Duration::from_secs(60);

/// Segments of a few records.
fn small() -> JournalConfig {
    JournalConfig {
        segment_size: 1 << 11,
        ..JournalConfig::default()
    }
}

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    fn open(&self, config: JournalConfig) -> (Journal, Reader) {
        Journal::open(&self.journal(), config).unwrap()
    }

    /// Names of the files in the journal, sorted.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.journal())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn damaged(&self) -> usize {
        self.files().iter().filter(|name| name.ends_with(".damaged")).count()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let directory = self.journal();
        let firsts = segment::list(&directory).unwrap();
        firsts
            .into_iter()
            .map(|first| segment::path(&directory, first))
            .collect()
    }

    /// What a crash leaves, as nothing is said to anybody: the files as they are now.
    fn crashed(&self) -> Self {
        let other = Self::new();
        copy(&self.journal(), &other.journal());
        other
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // A file may go while it is looked at: the reader deletes what is applied.
        let _ = fs::copy(entry.path(), to.join(entry.file_name()));
    }
}

/// Records differ in length.
fn record(number: u64) -> AccountingRecord {
    AccountingRecord {
        status: AcctStatusType::InterimUpdate,
        tenant_id: Some("t".to_owned()),
        subscriber_id: None,
        acct_session_id: number.to_string(),
        acct_unique_id: format!("{number:032x}"),
        user_name: "x".repeat((number % 40) as usize),
        realm: String::new(),
        nas_ip_address: "192.0.2.1".parse().unwrap(),
        nas_port_id: None,
        nas_port_type: None,
        event_time: 1_700_000_000,
        session_time: Some(300),
        authentic: None,
        connect_info: None,
        input_octets: Some(number << 32),
        output_octets: None,
        called_station_id: None,
        calling_station_id: Some("02:00:5E:10:00:01".to_owned()),
        terminate_cause: None,
        service_type: None,
        framed_protocol: None,
        framed_ip_address: Some("198.51.100.7".parse().unwrap()),
        framed_ipv6_address: None,
        framed_ipv6_prefix: Some("2001:db8:7::/64".parse().unwrap()),
        framed_interface_id: None,
        delegated_ipv6_prefix: None,
        class: None,
        multi_session_id: None,
        gigawords: true,
        received: 1_700_000_000,
        interim_interval: None,
    }
}

fn number(read: &AccountingRecord) -> u64 {
    let number = read.acct_session_id.parse().unwrap();
    assert_eq!(*read, record(number), "a record came back changed");
    number
}

fn append(journal: &Journal, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        journal.append(&record(number), PATIENCE).unwrap();
    }
}

/// Read and apply everything.
fn drain(reader: &mut Reader) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(batch) = reader.read(3).unwrap() {
        numbers.extend(batch.records.iter().map(number));
        reader.applied(&batch);
    }
    numbers
}
