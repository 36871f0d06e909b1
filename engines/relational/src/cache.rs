//! Rows of the base that were read lately, by key: one probe of a hash table instead of a walk down redb's tree.
//!
//! Point reads ask it after the memtables and before the base ([`crate::versions`]), merges take from it what they change.
//! Measured with pipelined `pgbench -S` over 5 M rows: docs/internals/speed.md.
//!
//! A base is known by its *epoch*, which every merge raises. A row was read at some epoch and holds for that base and all later
//! ones until a merge writes its key. A merge therefore (1) raises the cache's epoch, from when on nobody enters a row; (2) takes
//! out the rows it wrote; (3) publishes the new base. Readers of older bases go on finding what held for theirs, too.
//!
//! Invariants
//! 1. A row that is alive is the base's row of every epoch from its own up to the cache's.
//! 2. Only readers of the base at the cache's epoch enter rows.
//!
//! Each shard is a ring of rows: the oldest goes for the newest, read or not. A row that is read all the time is soon back, so little
//! is lost against LRU, and a read changes nothing. A full cache takes in one row of [`ADMIT_ONE_OF`] that it does not have.

use crate::filter::KeyHash;
use heddle_types::{LogIndex, StorageId};
use parking_lot::{RwLock, RwLockReadGuard};
use std::cell::Cell;

const SHARDS: usize = 64;
/// Larger rows are not kept: copying them out costs what the walk does.
const ROW_BYTES_MAX: usize = 4 << 10;
const KEY_BYTES_MAX: usize = 1 << 10;
/// Before each row: lengths of key and row (2 bytes each), epoch (4), log index (8), storage (8).
const HEADER_BYTES: usize = 24;
/// The epoch of a row that a merge took out.
const DEAD: u32 = u32::MAX;
const SLOTS_MIN: usize = 64;
/// A row that is worth its place is missed more than once. Rows that come only once push out a quarter as many.
const ADMIT_ONE_OF: u32 = 4;

/// See the module.
pub struct RowCache {
    shards: Vec<RwLock<Shard>>,
    /// Of the rows of one shard.
    ring_bytes_max: usize,
}

/// What the cache knows.
pub enum Cached<'a> {
    /// The row.
    Row(CachedRow<'a>),
    /// Nothing.
    Miss {
        /// Nothing would be lost by entering more than this row.
        has_room: bool,
    },
}

/// A row in its shard, which changes nothing meanwhile.
pub struct CachedRow<'a> {
    shard: RwLockReadGuard<'a, Shard>,
    at: usize,
}

impl CachedRow<'_> {
    /// Shows log index and row.
    pub fn show<T>(&self, see: impl FnOnce(LogIndex, &[u8]) -> T) -> T {
        let entry = self.shard.entry(self.at);
        see(entry.index, entry.row)
    }
}

/// Rows one behind the other in a ring, and a table of their places.
#[derive(Default)]
struct Shard {
    epoch: u32,
    ring: Vec<u8>,
    /// Lap of the ring that is being written: `[0, tail)`. Before it was full, `tail` is the ring's length.
    tail: usize,
    /// What is left of the lap before: `[head, end)`.
    head: usize,
    end: usize,
    is_full: bool,
    slots: Slots,
}

/// (low half of the hash, place + 1) with linear probing; 0 = free.
#[derive(Default)]
struct Slots {
    slots: Vec<u64>,
    count: usize,
}

/// A row in a ring.
struct Entry<'a> {
    at: usize,
    epoch: u32,
    index: LogIndex,
    storage: StorageId,
    key: &'a [u8],
    row: &'a [u8],
}

impl RowCache {
    /// A cache of at most about `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        // Slots take up to 21 bytes a row, which is a quarter of it when rows are small.
        let ring_bytes_max = (bytes_max / SHARDS / 4 * 3).min(u32::MAX as usize);
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), ring_bytes_max }
    }

    /// The row of `key` in the base of `epoch`. Waits for nobody: a merge works on a shard at the lowest priority.
    pub fn get(&self, hash: KeyHash, storage: StorageId, key: &[u8], epoch: u32) -> Cached<'_> {
        let Some(shard) = self.shard(hash).try_read() else { return Cached::Miss { has_room: false } };
        match shard.find(hash, storage, key, epoch).map(|entry| entry.at) {
            Some(at) => Cached::Row(CachedRow { shard, at }),
            None => Cached::Miss { has_room: !shard.is_full },
        }
    }

    /// Enters a row that was read from the base of `epoch`, if the cache is still there and nobody uses the shard.
    pub fn put(&self, hash: KeyHash, storage: StorageId, key: &[u8], epoch: u32, (index, row): (LogIndex, &[u8])) {
        let entry = Entry { at: 0, epoch, index, storage, key, row };
        if key.len() > KEY_BYTES_MAX || row.len() > ROW_BYTES_MAX || entry.bytes() > self.ring_bytes_max {
            return;
        }
        let Some(mut shard) = self.shard(hash).try_write() else { return };
        if shard.is_full && !is_admitted() {
            return;
        }
        if shard.epoch == epoch && shard.find(hash, storage, key, epoch).is_none() {
            shard.push(hash, &entry, self.ring_bytes_max);
        }
    }

    /// Goes on to `epoch`, without the rows that `changed` names. Before the base of that epoch is published.
    pub fn advance(&self, epoch: u32, changed: impl Fn(StorageId, &[u8]) -> bool) {
        assert!(epoch < DEAD, "a merge a second for a hundred years");
        for shard in &self.shards {
            // Nothing is entered from here on, so what is found below stays where it is.
            shard.write().epoch = epoch;
            let found = shard.read().changed(&changed);
            if !found.is_empty() {
                let mut shard = shard.write();
                found.into_iter().for_each(|at| shard.kill(at));
            }
        }
    }

    fn shard(&self, hash: KeyHash) -> &RwLock<Shard> {
        &self.shards[(hash.0 >> 58) as usize % SHARDS]
    }
}

/// By chance: counting would never admit a row that is missed at every other count.
fn is_admitted() -> bool {
    thread_local! {
        static STATE: Cell<u32> = const { Cell::new(1) };
    }
    STATE.with(|state| {
        state.set(state.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        (state.get() >> 16).is_multiple_of(ADMIT_ONE_OF)
    })
}

impl Shard {
    fn find(&self, hash: KeyHash, storage: StorageId, key: &[u8], epoch: u32) -> Option<Entry<'_>> {
        self.slots
            .places(hash)
            .map(|at| self.entry(at))
            .find(|entry| entry.key == key && entry.storage == storage && entry.epoch <= epoch)
    }

    fn push(&mut self, hash: KeyHash, entry: &Entry<'_>, bytes_max: usize) {
        let at = self.make_room(entry.bytes(), bytes_max);
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("bounded by the caller").to_le_bytes();
        let mut to = at;
        for part in [
            &length(entry.key)[..],
            &length(entry.row),
            &entry.epoch.to_le_bytes(),
            &entry.index.0.to_le_bytes(),
            &entry.storage.0.to_le_bytes(),
            entry.key,
            entry.row,
        ] {
            self.ring[to..to + part.len()].copy_from_slice(part);
            to += part.len();
        }
        self.tail = to;
        self.slots.insert(hash, at);
    }

    /// Where `bytes` can be written now: in what was never used, else where the oldest rows were.
    fn make_room(&mut self, bytes: usize, bytes_max: usize) -> usize {
        if !self.is_full {
            if self.tail + bytes <= bytes_max {
                // All at once: what was never written takes no memory, and nothing is ever moved.
                self.ring.reserve_exact(bytes_max - self.ring.len());
                self.ring.resize(self.tail + bytes, 0);
                return self.tail;
            }
            self.ring.resize(bytes_max, 0);
            self.is_full = true;
            (self.head, self.end, self.tail) = (0, self.tail, 0);
        }
        loop {
            let free_to = if self.head < self.end { self.head } else { bytes_max };
            if self.tail + bytes <= free_to {
                return self.tail;
            }
            if self.head < self.end {
                self.drop_oldest();
            } else {
                (self.head, self.end, self.tail) = (0, self.tail, 0);
            }
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self.entry(self.head);
        let (hash, next) = (KeyHash::of(oldest.storage, oldest.key), oldest.end());
        self.slots.remove(hash, self.head);
        self.head = next;
    }

    /// Where the rows are that `changed` names.
    fn changed(&self, changed: impl Fn(StorageId, &[u8]) -> bool) -> Vec<usize> {
        let mut found = Vec::new();
        for (from, to) in [(0, self.tail), (self.head, self.end)] {
            let mut at = from;
            while at < to {
                let entry = self.entry(at);
                if entry.epoch != DEAD && changed(entry.storage, entry.key) {
                    found.push(at);
                }
                at = entry.end();
            }
        }
        found
    }

    fn kill(&mut self, at: usize) {
        self.ring[at + 4..at + 8].copy_from_slice(&DEAD.to_le_bytes());
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let header: &[u8; HEADER_BYTES] = self.ring[at..].first_chunk().expect("a place is that of a row");
        let length = |from: usize| usize::from(u16::from_le_bytes([header[from], header[from + 1]]));
        let long = |from: usize| u64::from_le_bytes(header[from..from + 8].try_into().expect("8 bytes"));
        let epoch = u32::from_le_bytes(header[4..8].try_into().expect("4 bytes"));
        let body = &self.ring[at + HEADER_BYTES..][..length(0) + length(2)];
        let (key, row) = body.split_at(length(0));
        Entry { at, epoch, index: LogIndex(long(8)), storage: StorageId(long(16)), key, row }
    }
}

impl Entry<'_> {
    fn bytes(&self) -> usize {
        HEADER_BYTES + self.key.len() + self.row.len()
    }

    fn end(&self) -> usize {
        self.at + self.bytes()
    }
}

impl Slots {
    /// Places of rows that may have this hash.
    fn places(&self, hash: KeyHash) -> impl Iterator<Item = usize> {
        let (low, mask) = (hash.0 as u32, self.slots.len().wrapping_sub(1));
        let probes = (0..self.slots.len()).map(move |n| self.slots[(low as usize + n) & mask]);
        probes.take_while(|slot| *slot != 0).filter(move |slot| (slot >> 32) as u32 == low).map(place)
    }

    fn insert(&mut self, hash: KeyHash, at: usize) {
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            let larger = vec![0; (self.slots.len() * 2).max(SLOTS_MIN)];
            for slot in std::mem::replace(&mut self.slots, larger).into_iter().filter(|slot| *slot != 0) {
                self.fill(slot);
            }
        }
        self.count += 1;
        self.fill(u64::from(hash.0 as u32) << 32 | (at as u64 + 1));
    }

    fn fill(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// Frees the slot of a row, and moves those behind it up to where they would be without it.
    fn remove(&mut self, hash: KeyHash, row: usize) {
        let mask = self.slots.len() - 1;
        let mut free = hash.0 as u32 as usize & mask;
        while place(self.slots[free]) != row {
            free = (free + 1) & mask;
        }
        self.count -= 1;
        let mut at = free;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == 0 {
                self.slots[free] = 0;
                return;
            }
            // Does its search begin at `free` or before? (Distances, since the table is a circle.)
            let begins = (slot >> 32) as usize & mask;
            if at.wrapping_sub(begins) & mask >= at.wrapping_sub(free) & mask {
                self.slots[free] = slot;
                free = at;
            }
        }
    }
}

fn place(slot: u64) -> usize {
    (slot as u32 as usize).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const STORAGE: StorageId = StorageId(9);

    fn put(cache: &RowCache, key: &[u8], epoch: u32, index: u64, row: &[u8]) {
        cache.put(KeyHash::of(STORAGE, key), STORAGE, key, epoch, (LogIndex(index), row));
    }

    fn get(cache: &RowCache, key: &[u8], epoch: u32) -> Option<(u64, Bytes)> {
        match cache.get(KeyHash::of(STORAGE, key), STORAGE, key, epoch) {
            Cached::Row(row) => Some(row.show(|index, row| (index.0, Bytes::copy_from_slice(row)))),
            Cached::Miss { .. } => None,
        }
    }

    #[test]
    fn a_row_holds_from_its_epoch_until_a_merge_writes_it() {
        let cache = RowCache::new(1 << 20);
        put(&cache, b"a", 0, 5, b"old");
        put(&cache, b"b", 0, 6, b"kept");
        cache.advance(1, |_, key| key == b"a");
        assert_eq!(get(&cache, b"a", 1), None);
        assert_eq!(get(&cache, b"a", 0), None, "a reader of the old base asks that");
        assert_eq!(get(&cache, b"b", 1), Some((6, Bytes::from_static(b"kept"))));
        assert_eq!(get(&cache, b"b", 0), Some((6, Bytes::from_static(b"kept"))));
        put(&cache, b"a", 0, 5, b"old");
        assert_eq!(get(&cache, b"a", 1), None, "a reader of the old base enters nothing");
        put(&cache, b"a", 1, 7, b"new");
        assert_eq!(get(&cache, b"a", 0), None, "nor does it see what is newer than its base");
        assert_eq!(get(&cache, b"a", 1), Some((7, Bytes::from_static(b"new"))));
    }

    #[test]
    fn other_storages_have_other_rows() {
        let cache = RowCache::new(1 << 20);
        put(&cache, b"a", 0, 5, b"row");
        let other = StorageId(10);
        assert!(matches!(cache.get(KeyHash::of(other, b"a"), other, b"a", 0), Cached::Miss { has_room: true }));
    }

    #[test]
    fn memory_is_bounded_and_what_is_read_comes_back() {
        let cache = RowCache::new(1 << 20);
        let (mut hits, key) = (0, |n: u32| n.to_be_bytes());
        for n in 0..200_000_u32 {
            put(&cache, &key(n), 0, u64::from(n), &vec![7; n as usize % 60]);
            match get(&cache, b"hot", 0) {
                Some(_) => hits += 1,
                None => put(&cache, b"hot", 0, 1, b"row"),
            }
        }
        assert!(hits > 190_000, "{hits}");
        let bytes = |s: &Shard| s.ring.capacity() + s.slots.slots.len() * 8;
        let total: usize = cache.shards.iter().map(|s| bytes(&s.read())).sum();
        assert!(total < 5 << 18, "{total}");
        let found: Vec<u32> = (0..200_000).filter(|n| get(&cache, &key(*n), 0).is_some()).collect();
        assert!(found.len() > 8_000 && found[0] > 50_000, "{} from {}", found.len(), found[0]);
        for n in found {
            let (index, row) = get(&cache, &key(n), 0).unwrap();
            assert_eq!((index, row.len()), (u64::from(n), n as usize % 60));
        }
    }

    #[test]
    fn a_merge_finds_rows_wherever_they_are_in_the_ring() {
        let cache = RowCache::new(1 << 18);
        let mut epoch = 0;
        for n in 0..40_000_u32 {
            put(&cache, &n.to_be_bytes(), epoch, u64::from(epoch), &vec![1; n as usize % 90]);
            if n % 1000 == 999 {
                epoch += 1;
                cache.advance(epoch, |_, key| key[3] % 2 == 0);
                let even =
                    (n - 999..=n).filter(|n| n % 2 == 0).find(|n| get(&cache, &n.to_be_bytes(), epoch).is_some());
                assert_eq!(even, None);
            }
        }
        assert!((0..40_000_u32).any(|n| get(&cache, &n.to_be_bytes(), epoch).is_some()));
    }

    #[test]
    fn large_rows_are_left_out() {
        let cache = RowCache::new(64 << 20);
        put(&cache, b"a", 0, 5, &[0; ROW_BYTES_MAX + 1]);
        put(&cache, b"b", 0, 5, &[0; ROW_BYTES_MAX]);
        assert!(get(&cache, b"a", 0).is_none() && get(&cache, b"b", 0).is_some());
        put(&RowCache::new(0), b"b", 0, 5, b"no room at all");
    }
}
