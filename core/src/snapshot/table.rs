//! The records by key: a hash table in shards, each behind a lock that is held for one look-up or one insert.

use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::RwLock;
use std::hash::BuildHasher;

use super::record::{self, Record};

/// Many more than server threads, so that two of them rarely meet at one lock, and a shard's growth stays short.
const SHARDS: usize = 256;

#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[RwLock<HashTable<Record>>]>,
    hasher: FixedState,
    len: AtomicUsize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            // The server's clients do not choose the keys; operators do. No defence against crafted collisions is needed.
            hasher: FixedState::default(),
            len: AtomicUsize::new(0),
        }
    }
}

impl Table {
    pub(super) fn get(&self, tenant: u32, username: &str) -> Option<Record> {
        let key = Key::new(tenant, username)?;
        let hash = self.hasher.hash_one(key.as_bytes());
        self.shard(hash)?
            .read()
            .find(hash, |record| record.key() == key.as_bytes())
            .cloned()
    }

    /// Returns the record that stood under the same key.
    pub(super) fn insert(&self, record: Record) -> Option<Record> {
        let hash = self.hasher.hash_one(record.key());
        let mut shard = self.shard(hash)?.write();
        match shard.entry(
            hash,
            |other| other.key() == record.key(),
            |other| self.hasher.hash_one(other.key()),
        ) {
            Entry::Occupied(mut slot) => Some(std::mem::replace(slot.get_mut(), record)),
            Entry::Vacant(slot) => {
                slot.insert(record);
                self.len.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Returns the record it has removed.
    pub(super) fn remove_if(
        &self,
        tenant: u32,
        username: &str,
        condition: impl FnOnce(&Record) -> bool,
    ) -> Option<Record> {
        let key = Key::new(tenant, username)?;
        let hash = self.hasher.hash_one(key.as_bytes());
        let mut shard = self.shard(hash)?.write();
        match shard.find_entry(hash, |record| record.key() == key.as_bytes()) {
            Ok(slot) if condition(slot.get()) => {
                let (record, _) = slot.remove();
                self.len.fetch_sub(1, Ordering::Relaxed);
                Some(record)
            }
            Ok(_) | Err(_) => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// The records, shard by shard; no lock is held while the caller works on them.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.shards
            .iter()
            .flat_map(|shard| shard.read().iter().cloned().collect::<Vec<_>>())
    }

    fn shard(&self, hash: u64) -> Option<&RwLock<HashTable<Record>>> {
        // The table itself uses the high bits for tags and the low ones for buckets; the middle is free.
        self.shards.get((hash >> 32) as usize % SHARDS)
    }
}

/// A key on the stack.
struct Key {
    bytes: [u8; 5 + record::MOST_NAME],
    len: usize,
}

impl Key {
    fn new(tenant: u32, username: &str) -> Option<Self> {
        let mut key = Self {
            bytes: [0; 5 + record::MOST_NAME],
            len: 0,
        };
        record::write_key(&mut key, tenant, username).then_some(key)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Extend<u8> for Key {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        for (slot, byte) in self.bytes.iter_mut().skip(self.len).zip(bytes) {
            *slot = byte;
            self.len += 1;
        }
    }
}
