//! Fills an index from the rows of its table: entries are collected, sorted and written as blocks, as COPY writes rows.
//!
//! One chunk of entries is sorted on another thread while the next one is read. The engine merges the sorted chunks. A unique index
//! is checked within a chunk by neighbours, across chunks by a set of hashes; what looks like a hit there is looked up.

use super::write::TableWriter;
use heddle_catalog::IndexDef;
use heddle_engines::RowReader;
use heddle_engines::parallel;
use heddle_engines::rows::{RowBlock, RowBlockBuilder};
use heddle_engines::run::prefix;
use heddle_types::key::{self, KEY_BYTES_MAX, KeyOrder};
use heddle_types::row::Place;
use heddle_types::{Error, Result, StorageId};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use tokio::task::JoinHandle;

/// Bytes of entries that are sorted at once.
const CHUNK_BYTES: usize = 32 << 20;
/// Bytes of columns that are in an entry itself.
const PREFIX_BYTES: u32 = 16;
/// Fewer entries are sorted by one thread.
const PARALLEL_ENTRIES_MIN: usize = 64 << 10;
/// Bytes of a block that goes into the log, about.
const BLOCK_BYTES: usize = 256 << 10;

/// An index in the making.
pub(crate) struct IndexBuild<'w> {
    writer: &'w TableWriter,
    index: &'w IndexDef,
    storage: StorageId,
    /// Indexed attributes, ascending, and where the row at hand has them.
    attributes: Vec<usize>,
    places: Vec<Place>,
    /// The index's columns as places in `attributes`.
    columns: Vec<(usize, KeyOrder)>,
    chunk: Chunk,
    /// Buffers of a chunk that was written.
    spare: Chunk,
    sorting: Option<JoinHandle<Sorted>>,
    seen: Seen,
}

/// Entries as they were read.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Its key are the bytes from `start` to `end`; those from `row` on are the row's key, which may be a part of it.
struct Entry {
    /// The first [`PREFIX_BYTES`] of its columns: nearly all comparisons are decided by them, and no key is looked at.
    prefix: [u64; 2],
    start: usize,
    end: u32,
    row: Range<u32>,
    /// Its key may be there once.
    unique: bool,
}

/// Hashes of the unique keys of chunks before.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

/// A chunk in order.
struct Sorted {
    /// Its buffers.
    chunk: Chunk,
    blocks: Vec<RowBlock>,
    /// Row keys of entries whose key another one has (the first such) …
    duplicate: Option<Vec<u8>>,
    /// … or may have: key, row key.
    suspects: Vec<(Vec<u8>, Vec<u8>)>,
    seen: Seen,
}

impl<'w> IndexBuild<'w> {
    pub fn new(writer: &'w TableWriter, index: &'w IndexDef) -> Result<Self> {
        let Some(storage) = index.storage else { return Err(Error::internal("an index without storage is not built")) };
        let mut attributes: Vec<usize> = index.columns.iter().map(|c| c.attnum as usize - 1).collect();
        attributes.sort_unstable();
        attributes.dedup();
        let slot = |attnum: i16| attributes.iter().position(|a| *a == attnum as usize - 1).expect("it is in it");
        Ok(Self {
            writer,
            index,
            storage,
            columns: index.columns.iter().map(|c| (slot(c.attnum), c.order)).collect(),
            places: vec![Place::Null; attributes.len()],
            attributes,
            chunk: Chunk::default(),
            spare: Chunk::default(),
            sorting: None,
            seen: Seen::default(),
        })
    }

    /// Adds the entry of a row.
    ///
    /// # Errors
    /// `54000` when its key is too long.
    pub fn add(&mut self, row_key: &[u8], row: &[u8]) -> Result<()> {
        let layout = &self.writer.layout;
        let mut walk = layout.walk(row)?;
        for (place, attribute) in self.places.iter_mut().zip(&self.attributes) {
            *place = walk.place(*attribute)?;
        }
        let bytes = &mut self.chunk.bytes;
        let start = bytes.len();
        let mut null = false;
        for (slot, order) in &self.columns {
            let value = layout.value(row, self.attributes[*slot], self.places[*slot])?;
            null |= value.is_null();
            key::encode(bytes, &value, *order);
        }
        let columns_bytes = bytes.len() - start;
        if columns_bytes > KEY_BYTES_MAX {
            return Err(self.writer.key_too_long(self.index, columns_bytes));
        }
        let prefix = prefixes(&bytes[start..]);
        bytes.extend_from_slice(row_key);
        let (row_start, row_end) = (columns_bytes as u32, (bytes.len() - start) as u32); // fit: keys are short
        let alone = self.index.immediate() && !null;
        let end = if alone { row_start } else { row_end };
        let unique = self.index.unique && !null;
        self.chunk.entries.push(Entry { prefix, start, end, row: row_start..row_end, unique });
        Ok(())
    }

    /// Writes what has come together, if it is enough or `all` of it is here.
    ///
    /// # Errors
    /// `23505`; those of writing.
    pub async fn write(&mut self, all: bool, newest: &dyn RowReader) -> Result<()> {
        if !all && self.chunk.bytes.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.finish_sorting(newest).await?;
        let spare = std::mem::take(&mut self.spare);
        let (chunk, seen) = (std::mem::replace(&mut self.chunk, spare), std::mem::take(&mut self.seen));
        self.sorting = Some(tokio::task::spawn_blocking(move || chunk.sort(seen, all)));
        if all { self.finish_sorting(newest).await } else { Ok(()) }
    }

    /// Writes the chunk that is being sorted.
    async fn finish_sorting(&mut self, newest: &dyn RowReader) -> Result<()> {
        let Some(sorting) = self.sorting.take() else { return Ok(()) };
        let sorted = sorting.await.map_err(|e| Error::internal(format!("sorting an index failed: {e}")))?;
        if let Some(row_key) = &sorted.duplicate {
            return Err(self.not_unique(row_key, newest)?);
        }
        for (key, row_key) in &sorted.suspects {
            if super::write::taken(self.index, self.storage, key, newest)? {
                return Err(self.not_unique(row_key, newest)?);
            }
        }
        for block in sorted.blocks {
            self.writer.txn.put_rows(self.storage, block)?;
        }
        self.seen = sorted.seen;
        self.spare = sorted.chunk.emptied();
        Ok(())
    }

    fn not_unique(&self, row_key: &[u8], newest: &dyn RowReader) -> Result<Error> {
        let row = newest.get(self.writer.table.storage, row_key)?;
        let row = row.ok_or_else(|| Error::internal("a row is gone though its table is locked"))?;
        Ok(self.writer.not_unique(self.index, &self.writer.layout.decode(&row.row)?))
    }
}

/// The first [`PREFIX_BYTES`] of a key as numbers that compare as they do.
fn prefixes(key: &[u8]) -> [u64; 2] {
    [prefix(key), prefix(key.get(size_of::<u64>()..).unwrap_or_default())]
}

impl Chunk {
    fn key(&self, e: &Entry) -> &[u8] {
        &self.bytes[e.start..e.start + e.end as usize]
    }

    fn row_key(&self, e: &Entry) -> &[u8] {
        &self.bytes[e.start + e.row.start as usize..e.start + e.row.end as usize]
    }

    /// The columns alone.
    fn columns(&self, e: &Entry) -> &[u8] {
        &self.bytes[e.start..e.start + e.row.start as usize]
    }

    /// Of entries with the same columns the row that was read first comes first: rows are read in the order of their keys.
    fn order(&self, a: &Entry, b: &Entry) -> Ordering {
        let columns_are_prefix = a.row.start == b.row.start && a.row.start <= PREFIX_BYTES;
        a.prefix.cmp(&b.prefix).then_with(|| match columns_are_prefix {
            true => a.start.cmp(&b.start),
            false => self.key(a).cmp(self.key(b)),
        })
    }

    fn put_in_order(&self, entries: &mut [Entry]) {
        if entries.len() >= PARALLEL_ENTRIES_MIN {
            let (front, back) = entries.split_at_mut(entries.len() / 2);
            parallel::map(vec![front, back], |half| half.sort_unstable_by(|a, b| self.order(a, b)));
        }
        entries.sort_by(|a, b| self.order(a, b)); // two sorted sequences: one merge
    }

    fn sort(mut self, mut seen: Seen, last: bool) -> Sorted {
        let mut entries = std::mem::take(&mut self.entries);
        self.put_in_order(&mut entries);
        let same =
            |pair: &&[Entry]| pair[0].unique && pair[1].unique && self.columns(&pair[0]) == self.columns(&pair[1]);
        let duplicate = entries.windows(2).find(same).map(|pair| self.row_key(&pair[1]).to_vec());
        // The only chunk has nothing to be compared with.
        let alone = last && seen.hashes.is_empty();
        let mut suspects = vec![];
        for e in entries.iter().filter(|e| e.unique && !alone) {
            if !seen.hashes.insert(seen.hasher.hash_one(self.columns(e))) {
                suspects.push((self.columns(e).to_vec(), self.row_key(e).to_vec()));
            }
        }
        let blocks = if duplicate.is_none() { self.blocks(&entries) } else { vec![] };
        self.entries = entries;
        Sorted { chunk: self, blocks, duplicate, suspects, seen }
    }

    fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.entries.clear();
        self
    }

    fn blocks(&self, entries: &[Entry]) -> Vec<RowBlock> {
        let mut blocks = vec![];
        let mut rest = entries;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|e| {
                bytes += e.end as usize + e.row.len();
                bytes <= BLOCK_BYTES
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            let mut block = RowBlockBuilder::with_capacity(now.len(), bytes);
            for e in now {
                let fits = block.push(self.key(e), self.row_key(e));
                debug_assert!(fits, "a block of this size is far from full");
            }
            blocks.push(block.finish());
            rest = later;
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of (columns, row key); all unique.
    fn chunk(entries: &[(&str, &str)]) -> Chunk {
        let mut chunk = Chunk::default();
        for (columns, row) in entries {
            let start = chunk.bytes.len();
            chunk.bytes.extend_from_slice(columns.as_bytes());
            chunk.bytes.extend_from_slice(row.as_bytes());
            let (middle, end) = (columns.len() as u32, (columns.len() + row.len()) as u32);
            let prefix = prefixes(columns.as_bytes());
            chunk.entries.push(Entry { prefix, start, end: middle, row: middle..end, unique: true });
        }
        chunk
    }

    fn rows(sorted: &Sorted) -> Vec<(Vec<u8>, Vec<u8>)> {
        let block = |b: &RowBlock| (0..b.len()).map(|i| (b.row(i).0.to_vec(), b.row(i).1.to_vec())).collect::<Vec<_>>();
        sorted.blocks.iter().flat_map(block).collect()
    }

    #[test]
    fn chunks_are_sorted_into_blocks() {
        let sorted = chunk(&[("b\0", "2"), ("a\0", "1"), ("c\0", "0")]).sort(Seen::default(), true);
        let wanted = [("a\0", "1"), ("b\0", "2"), ("c\0", "0")].map(|(k, r)| (k.into(), r.into()));
        assert_eq!(rows(&sorted), wanted);
        assert!(sorted.duplicate.is_none() && sorted.suspects.is_empty() && sorted.seen.hashes.is_empty());
        let long = "x".repeat(BLOCK_BYTES / 2);
        let sorted = chunk(&[("b", &long), ("a", &long), ("c", &long)]).sort(Seen::default(), true);
        assert_eq!((sorted.blocks.len(), rows(&sorted).len()), (3, 3));
    }

    #[test]
    fn large_chunks_are_sorted_in_halves() {
        let n = PARALLEL_ENTRIES_MIN + 7;
        // Of many lengths, some longer than an entry's prefix, and many of them more than once.
        let columns = |i: usize| format!("{:0width$}\0", i * 7919 % 3001, width = 1 + i % 19);
        let entries: Vec<_> = (0..n).map(|i| (columns(i), format!("{i:08}"))).collect();
        let entries: Vec<_> = entries.iter().map(|(columns, row)| (&columns[..], &row[..])).collect();
        let mut chunk = chunk(&entries);
        for e in &mut chunk.entries {
            (e.end, e.unique) = (e.row.end, false);
        }
        let keys: Vec<_> = rows(&chunk.sort(Seen::default(), true)).into_iter().map(|(key, _)| key).collect();
        assert!(keys.len() == n && keys.is_sorted());
    }

    #[test]
    fn keys_that_come_twice_are_found_in_a_chunk_and_across_chunks() {
        let sorted = chunk(&[("b\0", "2"), ("a\0", "1"), ("b\0", "3")]).sort(Seen::default(), false);
        assert!(sorted.duplicate.is_some_and(|row| row == b"2" || row == b"3") && sorted.blocks.is_empty());
        let first = chunk(&[("a\0", "1"), ("b\0", "2")]).sort(Seen::default(), false);
        assert!(first.suspects.is_empty());
        let second = chunk(&[("c\0", "3"), ("b\0", "4")]).sort(first.seen, true);
        assert_eq!(second.suspects, [(b"b\0".to_vec(), b"4".to_vec())]);
    }
}
