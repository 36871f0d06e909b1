//! A block of rows of one storage, in key order: what bulk writes put into the log, and a piece of a memtable afterwards.
//!
//! The rows lie in the bytes as they travel; decoding only notes where each one begins, so that a huge write set is taken in
//! without looking at its rows again. Byte table: docs/formats/change.md.
//!
//! Invariant: keys are strictly ascending.

use crate::change::{malformed, put_bytes, take_varint};
use bytes::Bytes;
use heddle_types::Result;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Rows of one storage. Clones share their memory.
#[derive(Clone, PartialEq, Eq)]
pub struct RowBlock {
    bytes: Bytes,
    /// Where each row begins.
    starts: Arc<[u32]>,
}

impl RowBlock {
    /// Most bytes of a block.
    pub const BYTES_MAX: usize = u32::MAX as usize;

    /// Reads a block.
    ///
    /// # Errors
    /// `XX001` on malformed bytes.
    pub fn decode(bytes: Bytes) -> Result<Self> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(malformed("a block of rows is too large", 0));
        }
        let mut starts = Vec::with_capacity(bytes.len() / 32);
        let (mut at, mut last) = (0, None);
        while at < bytes.len() {
            starts.push(at as u32); // fits: below BYTES_MAX
            let key = take_range(&bytes, &mut at)?;
            if last.is_some_and(|last: Range<usize>| bytes[last] >= bytes[key.clone()]) {
                return Err(malformed("the rows of a block are not in order", key.start));
            }
            last = Some(key);
            take_range(&bytes, &mut at)?;
        }
        Ok(Self { bytes, starts: starts.into() })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Key and row `i`.
    pub fn row(&self, i: usize) -> (&[u8], &[u8]) {
        let (key, row) = self.place(i);
        (&self.bytes[key], &self.bytes[row])
    }

    /// The key of row `i`.
    pub fn key(&self, i: usize) -> &[u8] {
        &self.bytes[sized(&self.bytes, self.starts[i] as usize)]
    }

    /// Key and row `i`, sharing the block's memory.
    pub fn shared(&self, i: usize) -> (Bytes, Bytes) {
        let (key, row) = self.place(i);
        (self.bytes.slice(key), self.bytes.slice(row))
    }

    fn place(&self, i: usize) -> (Range<usize>, Range<usize>) {
        let key = sized(&self.bytes, self.starts[i] as usize);
        let row = sized(&self.bytes, key.end);
        (key, row)
    }
}

impl fmt::Debug for RowBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.len()).map(|i| self.row(i))).finish()
    }
}

/// Makes a block.
#[derive(Default)]
pub struct RowBlockBuilder {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl RowBlockBuilder {
    /// With room for so much.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes + 4 * rows), starts: Vec::with_capacity(rows) }
    }

    /// Adds a row, whose key is above all others. False when the block is full; nothing was added then.
    pub fn push(&mut self, key: &[u8], row: &[u8]) -> bool {
        const LENGTHS_BYTES_MAX: usize = 20;
        if self.bytes.len() + key.len() + row.len() + LENGTHS_BYTES_MAX > RowBlock::BYTES_MAX {
            return false;
        }
        self.starts.push(self.bytes.len() as u32); // fits: just compared
        put_bytes(&mut self.bytes, key);
        put_bytes(&mut self.bytes, row);
        true
    }

    /// The block.
    pub fn finish(self) -> RowBlock {
        let block = RowBlock { bytes: self.bytes.into(), starts: self.starts.into() };
        debug_assert!(
            (1..block.len()).all(|i| block.key(i - 1) < block.key(i)),
            "rows come in the order of their keys"
        );
        block
    }
}

/// What follows its length at `at`; checked.
fn take_range(bytes: &[u8], at: &mut usize) -> Result<Range<usize>> {
    let len = take_varint(bytes, at)?;
    if len > (bytes.len() - *at) as u64 {
        return Err(malformed("a block ends inside a row", *at));
    }
    let start = *at;
    *at += len as usize; // fits: just compared with a usize
    Ok(start..*at)
}

/// What follows its length at `at`, in a block that was checked when it was read or made.
fn sized(bytes: &[u8], at: usize) -> Range<usize> {
    let first = usize::from(bytes[at]);
    if first < 0x80 {
        return at + 1..at + 1 + first;
    }
    let mut at = at;
    let len = take_varint(bytes, &mut at).expect("checked before") as usize;
    at..at + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_types::SqlState;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn block(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> RowBlock {
        let mut builder = RowBlockBuilder::default();
        rows.iter().for_each(|(key, row)| assert!(builder.push(key, row)));
        builder.finish()
    }

    proptest! {
        #[test]
        fn blocks_round_trip(rows: BTreeMap<Vec<u8>, Vec<u8>>, long in 0..400usize) {
            let mut rows = rows;
            rows.insert(vec![9; long], vec![7; long * 3]);
            let made = block(&rows);
            let read = RowBlock::decode(made.bytes().clone()).unwrap();
            prop_assert_eq!(&read, &made);
            let found: BTreeMap<Vec<u8>, Vec<u8>> =
                (0..read.len()).map(|i| (read.key(i).to_vec(), read.row(i).1.to_vec())).collect();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn bytes_arbitrary_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(block) = RowBlock::decode(bytes.into()) {
                (0..block.len()).for_each(|i| drop(block.shared(i)));
            }
        }
    }

    #[test]
    fn blocks_out_of_order_or_cut_are_refused() {
        let refused = |bytes: &[u8]| RowBlock::decode(Bytes::copy_from_slice(bytes)).unwrap_err().code();
        assert_eq!(refused(b"\x01b\x01x\x01a\x01y"), SqlState::DATA_CORRUPTED);
        assert_eq!(refused(b"\x01b\x01x\x01b\x01y"), SqlState::DATA_CORRUPTED);
        assert_eq!(refused(b"\x01b\x02x"), SqlState::DATA_CORRUPTED);
    }
}
