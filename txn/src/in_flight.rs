//! Early lock release: what is proposed but not visible yet, for those who hold the locks on it.
//!
//! A row that everybody changes (a counter, a branch's balance) would be changed once per fsync if its lock were kept until the
//! commit is visible. Instead the locks on rows and unique keys go as soon as the log has given the commit its place, and who gets
//! them next finds the after-images here. Holders that come later commit later, and the log is durable from its front.
//!
//! Who calls: [`crate::Transaction`]. `commit` enters a set before it gives the locks up and takes it out when it is visible;
//! `newest` reads. Not here: relation and name locks, which stay until the commit is visible.
//!
//! Invariants
//! 1. An image is entered after the log gave its index and before its locks go: whoever has the lock and finds no image newer
//!    than visible_index finds the newest version in a snapshot taken after that look.
//! 2. Snapshots never read images, only [`crate::Transaction::newest`] does: under the lock, for the row's newest version.
//! 3. Who reads an image *depends* on its index. Its own commit comes behind in the log, so nothing is to be done for that. Rows,
//!    errors and the end of a transaction that wrote nothing wait until the index is visible, so that no client learns what a
//!    crash may take back; so does the next statement that reads, which would else see half of what it depends on. Command
//!    tags inside an open transaction do not wait: it dies with the server.
//! 4. Images are of rows in the row engine, of sets that are small, were not streamed and have no DDL. The locks of others stay
//!    until they are visible.
//! 5. A commit that cannot become durable ends the process, and with it everybody who depends on it.
//!
//! Scans of the newest state (foreign keys) cannot use images: they wait for everything proposed so far.

use bytes::Bytes;
use foldhash::quality::RandomState;
use heddle_types::{LogIndex, StorageId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Changes of a set whose locks go early.
pub(crate) const CHANGES_MAX: usize = 256;

/// Storages whose empty maps are kept.
const STORAGES_MAX: usize = 64;

/// A row as the set leaves it; `None` = deleted.
type Row = Option<Bytes>;
type Images = HashMap<StorageId, HashMap<Bytes, (LogIndex, Row), RandomState>, RandomState>;

/// After-images by storage and key; of two commits of a key, that of the later one.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<Images>);

/// The images of one commit, which are there until it is dropped: not before its index is visible.
pub(crate) struct InFlightSet {
    table: Arc<InFlight>,
    index: LogIndex,
    keys: Vec<(StorageId, Bytes)>,
}

impl InFlight {
    /// Enters the images of the commit at `index`.
    pub(crate) fn enter(self: &Arc<Self>, index: LogIndex, rows: Vec<(StorageId, Bytes, Row)>) -> InFlightSet {
        let mut keys = Vec::with_capacity(rows.len());
        let mut images = self.0.lock();
        for (storage, key, row) in rows {
            keys.push((storage, key.clone()));
            images.entry(storage).or_default().insert(key, (index, row));
        }
        InFlightSet { table: Arc::clone(self), index, keys }
    }

    /// The image of a key, if one is newer than `visible`.
    pub(crate) fn get(&self, storage: StorageId, key: &[u8], visible: LogIndex) -> Option<(LogIndex, Row)> {
        let images = self.0.lock();
        let (index, row) = images.get(&storage)?.get(key)?;
        (*index > visible).then(|| (*index, row.clone()))
    }

    /// Is there an image of any of these keys?
    pub(crate) fn has_any(&self, storage: StorageId, keys: &[&[u8]]) -> bool {
        let images = self.0.lock();
        images.get(&storage).is_some_and(|rows| !rows.is_empty() && keys.iter().any(|key| rows.contains_key(*key)))
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.0.lock().values().all(HashMap::is_empty)
    }
}

impl Drop for InFlightSet {
    fn drop(&mut self) {
        let mut images = self.table.0.lock();
        let mut emptied = false;
        for (storage, key) in self.keys.drain(..) {
            let Entry::Occupied(mut rows) = images.entry(storage) else { continue };
            if rows.get().get(&key).is_some_and(|(index, _)| *index == self.index) {
                rows.get_mut().remove(&key);
            }
            emptied |= rows.get().is_empty();
        }
        // The map of a storage is needed again at once, mostly.
        if emptied && images.len() > STORAGES_MAX {
            images.retain(|_, rows| !rows.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: StorageId = StorageId(20_000);

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    fn enter(table: &Arc<InFlight>, index: u64, rows: &[(u8, Option<&'static str>)]) -> InFlightSet {
        let image = |row: Option<&'static str>| row.map(|text| Bytes::from_static(text.as_bytes()));
        table.enter(LogIndex(index), rows.iter().map(|(n, row)| (T, key(*n), image(*row))).collect())
    }

    fn get(table: &InFlight, n: u8, visible: u64) -> Option<(u64, Row)> {
        table.get(T, &key(n), LogIndex(visible)).map(|(index, row)| (index.0, row))
    }

    #[test]
    fn the_later_image_counts_and_outlives_the_earlier() {
        let table = Arc::new(InFlight::default());
        let first = enter(&table, 5, &[(1, Some("a")), (2, None)]);
        let second = enter(&table, 7, &[(1, Some("b"))]);
        assert_eq!(get(&table, 1, 4), Some((7, Some(Bytes::from_static(b"b")))));
        assert_eq!(get(&table, 2, 4), Some((5, None)));
        drop(first);
        assert_eq!(get(&table, 1, 5), Some((7, Some(Bytes::from_static(b"b")))));
        assert_eq!(get(&table, 2, 5), None);
        drop(second);
        assert!(table.is_empty());
    }

    #[test]
    fn what_is_visible_is_read_in_a_snapshot() {
        let table = Arc::new(InFlight::default());
        let _set = enter(&table, 5, &[(1, Some("a"))]);
        assert_eq!(get(&table, 1, 5), None, "a later commit that has no image may have changed it");
        assert_eq!(get(&table, 3, 0), None);
        assert_eq!(table.get(StorageId(1), &key(1), LogIndex(0)), None);
    }
}
