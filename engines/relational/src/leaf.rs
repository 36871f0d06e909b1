//! [`Leaf`]: rows of one storage whose keys follow each other, as one value of redb's. Its tree finds leaves; what is in them is ours,
//! so that a scan asks it once for some forty rows. Byte table: docs/formats/base.md.
//!
//!   | rows u16 | tag width u8 | end width u8 | lowest tag u64 | tags | ends | key, row, key, row ... |
//!
//! A row's tag is the log index of its last write, above the lowest one of the leaf. Ends are counted from where the first key begins.

use crate::backend::damaged;
use crate::base::FENCE_BYTES;
use heddle_engines::KeyRange;
use heddle_types::{Error, LogIndex, Result};
use std::cmp::Ordering;
use std::ops::{Bound, Range};

/// A leaf with more than one row and its fence take no more bytes, so that they fit into one page of redb's with what it adds.
const BYTES_MAX: usize = 4000;
/// Leaves that nothing is expected to be added to are filled as far: some rows may be updated before their tags take too much room.
const BYTES_FULL: usize = 3700;
const HEAD_BYTES: usize = 12;
/// Nearly all ends fit into so many bytes.
const SHORT_END_BYTES: usize = 2;
const LONG_END_BYTES: usize = 4;

/// A row of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafRow<'a> {
    /// Without the storage.
    pub key: &'a [u8],
    /// Of its last write.
    pub index: LogIndex,
    /// Encoded tuple.
    pub row: &'a [u8],
}

impl LeafRow<'_> {
    fn bytes(&self) -> usize {
        self.key.len() + self.row.len()
    }
}

/// See the module.
#[derive(Clone, Copy)]
pub struct Leaf<'a> {
    rows: usize,
    lowest: u64,
    /// Tags and what follows them.
    tags: &'a [u8],
    tag_width: usize,
    /// Two for each row: of its key, of itself.
    ends: &'a [u8],
    end_width: usize,
    data: &'a [u8],
}

impl<'a> Leaf<'a> {
    /// Looks at the bytes of a leaf.
    ///
    /// # Errors
    /// `XX001` when they are none.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        Self::split(bytes).ok_or_else(malformed)
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [low, high, tag_width, end_width, lowest @ ..] = *head;
        let (rows, tag_width, end_width) =
            (usize::from(u16::from_le_bytes([low, high])), tag_width.into(), end_width.into());
        if tag_width > size_of::<u64>() || !matches!(end_width, SHORT_END_BYTES | LONG_END_BYTES) {
            return None;
        }
        let (_, behind) = rest.split_at_checked(rows * tag_width)?;
        let (ends, data) = behind.split_at_checked(2 * rows * end_width)?;
        Some(Self { rows, lowest: u64::from_le_bytes(lowest), tags: rest, tag_width, ends, end_width, data })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Row `at`, which is there.
    ///
    /// # Errors
    /// `XX001` when the leaf does not hold what its ends say.
    #[inline]
    pub fn row(&self, at: usize) -> Result<LeafRow<'a>> {
        let (key_end, end) = (self.end(2 * at), self.end(2 * at + 1));
        let key = self.data.get(self.start(at)..key_end).ok_or_else(malformed)?;
        let row = self.data.get(key_end..end).ok_or_else(malformed)?;
        Ok(LeafRow { key, index: self.index(at), row })
    }

    /// The key of row `at`, which is there.
    ///
    /// # Errors
    /// As [`Self::row`].
    #[inline]
    pub fn key(&self, at: usize) -> Result<&'a [u8]> {
        self.data.get(self.start(at)..self.end(2 * at)).ok_or_else(malformed)
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.end(2 * at - 1) }
    }

    #[inline]
    fn end(&self, n: usize) -> usize {
        match self.end_width {
            SHORT_END_BYTES => u16::from_le_bytes([self.ends[2 * n], self.ends[2 * n + 1]]).into(),
            _ => {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| self.ends[LONG_END_BYTES * n + i]);
                u32::from_le_bytes([a, b, c, d]) as usize
            }
        }
    }

    #[inline]
    fn index(&self, at: usize) -> LogIndex {
        let place = &self.tags[at * self.tag_width..];
        let tag = match place.first_chunk() {
            // With what follows, which goes again: a copy of unknown length is a call.
            Some(word) => u64::from_le_bytes(*word) & mask(self.tag_width),
            None => place[..self.tag_width].iter().rev().fold(0, |tag, byte| tag << 8 | u64::from(*byte)),
        };
        LogIndex(self.lowest.wrapping_add(tag))
    }

    /// Where the row with this key is, or where it would be.
    ///
    /// # Errors
    /// As [`Self::row`].
    pub fn find(&self, key: &[u8]) -> Result<std::result::Result<usize, usize>> {
        let (mut from, mut to) = (0, self.rows);
        while from < to {
            let middle = (from + to) / 2;
            match self.key(middle)?.cmp(key) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Ok(Ok(middle)),
                Ordering::Greater => to = middle,
            }
        }
        Ok(Err(from))
    }

    /// The rows whose keys lie in `range`.
    ///
    /// # Errors
    /// As [`Self::row`].
    pub fn within(&self, range: &KeyRange) -> Result<Range<usize>> {
        let start = match &range.lower {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.find(key)?.unwrap_or_else(|at| at),
            Bound::Excluded(key) => self.find(key)?.map_or_else(|at| at, |at| at + 1),
        };
        let end = match &range.upper {
            Bound::Unbounded => self.rows,
            Bound::Included(key) => self.find(key)?.map_or_else(|at| at, |at| at + 1),
            Bound::Excluded(key) => self.find(key)?.unwrap_or_else(|at| at),
        };
        Ok(start..end.max(start))
    }
}

/// The lowest `bytes` of a word.
fn mask(bytes: usize) -> u64 {
    if bytes < size_of::<u64>() { (1 << (8 * bytes)) - 1 } else { u64::MAX }
}

#[cold]
fn malformed() -> Error {
    damaged("a leaf of the relational base is malformed")
}

/// Makes `out` the leaf of `rows`, whose keys ascend.
pub fn encode(rows: &[LeafRow<'_>], out: &mut Vec<u8>) {
    out.clear();
    let lowest = rows.iter().map(|row| row.index.0).min().unwrap_or(0);
    let (tag_width, data) = (tag_width(rows), rows.iter().map(LeafRow::bytes).sum::<usize>());
    let end_width = if data <= usize::from(u16::MAX) { SHORT_END_BYTES } else { LONG_END_BYTES };
    let count = u16::try_from(rows.len()).expect("rows of a page");
    out.reserve(HEAD_BYTES + rows.len() * (tag_width + 2 * end_width) + data);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&[tag_width as u8, end_width as u8]);
    out.extend_from_slice(&lowest.to_le_bytes());
    rows.iter().for_each(|row| out.extend_from_slice(&(row.index.0 - lowest).to_le_bytes()[..tag_width]));
    let mut end = 0usize;
    for part in rows.iter().flat_map(|row| [row.key, row.row]) {
        end += part.len();
        out.extend_from_slice(&end.to_le_bytes()[..end_width]);
    }
    rows.iter().for_each(|row| {
        out.extend_from_slice(row.key);
        out.extend_from_slice(row.row);
    });
}

/// Bytes that hold the difference of any two tags.
fn tag_width(rows: &[LeafRow<'_>]) -> usize {
    let indexes = rows.iter().map(|row| row.index.0);
    let span = indexes.clone().max().unwrap_or(0) - indexes.min().unwrap_or(0);
    (u64::BITS - span.leading_zeros()).div_ceil(8) as usize
}

/// Cuts rows into leaves of about one size; `full`: from the first one on as much as a leaf should have.
pub fn cut(rows: &[LeafRow<'_>], full: bool) -> Vec<Range<usize>> {
    let Some(first) = rows.first() else { return Vec::new() };
    let each = tag_width(rows) + 2 * SHORT_END_BYTES;
    let of_row = |row: &LeafRow<'_>| row.bytes() + each;
    let total: usize = rows.iter().map(of_row).sum();
    let room = |row: &LeafRow<'_>| BYTES_MAX.saturating_sub(HEAD_BYTES + FENCE_BYTES + row.key.len());
    let target = match full {
        _ if total <= room(first) => total,
        true => BYTES_FULL,
        false => total.div_ceil(total.div_ceil(BYTES_FULL)),
    };
    let mut leaves: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, row) in rows.iter().enumerate() {
        match leaves.last_mut() {
            Some(last) if bytes < target && bytes + of_row(row) <= room(&rows[last.start]) => last.end = at + 1,
            _ => {
                leaves.push(at..at + 1);
                bytes = 0;
            }
        }
        bytes += of_row(row);
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use heddle_types::SqlState;
    use proptest::prelude::*;

    type Owned = (Vec<u8>, u64, Vec<u8>);

    fn rows(owned: &[Owned]) -> Vec<LeafRow<'_>> {
        owned.iter().map(|(key, index, row)| LeafRow { key, index: LogIndex(*index), row }).collect()
    }

    fn encoded(rows: &[LeafRow<'_>]) -> Vec<u8> {
        let mut out = vec![7];
        encode(rows, &mut out);
        out
    }

    proptest! {
        #[test]
        fn rows_come_back_and_are_found(
            owned in prop::collection::btree_map(
                prop::collection::vec(0u8..3, 0..6),
                (prop_oneof![0u64..300, Just(u64::MAX)], prop::collection::vec(any::<u8>(), 0..40)),
                0..60,
            ),
            sought in prop::collection::vec(0u8..3, 0..6),
            long in prop::option::of(0usize..60),
        ) {
            let mut owned: Vec<Owned> = owned.into_iter().map(|(key, (index, row))| (key, index, row)).collect();
            if let Some(row) = long.and_then(|at| owned.get_mut(at)) {
                row.2 = vec![9; 70_000];
            }
            let rows = rows(&owned);
            let bytes = encoded(&rows);
            let leaf = Leaf::open(&bytes).expect("ours");
            prop_assert_eq!(leaf.len(), rows.len());
            for (at, row) in rows.iter().enumerate() {
                prop_assert_eq!(&leaf.row(at).expect("ours"), row);
                prop_assert_eq!(leaf.find(row.key).expect("ours"), Ok(at));
            }
            prop_assert_eq!(leaf.find(&sought).expect("ours"), rows.binary_search_by(|row| row.key.cmp(&sought)));
            let key = Bytes::from(sought);
            for lower in [Bound::Unbounded, Bound::Included(key.clone()), Bound::Excluded(key.clone())] {
                for upper in [Bound::Unbounded, Bound::Included(key.clone()), Bound::Excluded(key.clone())] {
                    let range = KeyRange { lower: lower.clone(), upper };
                    let found = leaf.within(&range).expect("ours");
                    let expected = (0..rows.len()).filter(|at| {
                        let key = rows[*at].key;
                        let above = match &range.lower { Bound::Unbounded => true, Bound::Included(k) => key >= &k[..], Bound::Excluded(k) => key > &k[..] };
                        let below = match &range.upper { Bound::Unbounded => true, Bound::Included(k) => key <= &k[..], Bound::Excluded(k) => key < &k[..] };
                        above && below
                    });
                    prop_assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                }
            }
        }

        #[test]
        fn any_bytes_are_a_leaf_or_none(mut bytes in prop::collection::vec(any::<u8>(), 0..60), rows in 0u8..9, tag in 0u8..3) {
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                *head = [rows, 0, tag, 2];
            }
            if let Ok(leaf) = Leaf::open(&bytes) {
                for at in 0..leaf.len() {
                    if let Err(e) = leaf.row(at) {
                        prop_assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
                    }
                }
                let _ = leaf.find(b"x");
            }
        }

        #[test]
        fn leaves_hold_all_rows_and_fit_into_pages(
            lengths in prop::collection::vec(prop_oneof![9 => 0usize..200, 1 => 0usize..6000], 0..300),
            full in any::<bool>(),
            span in prop_oneof![Just(1u64), Just(1 << 20)],
        ) {
            let owned: Vec<Owned> = lengths.iter().enumerate()
                .map(|(n, length)| ((n as u32).to_be_bytes().to_vec(), n as u64 % span, vec![1; *length]))
                .collect();
            let rows = rows(&owned);
            let leaves = cut(&rows, full);
            prop_assert_eq!(leaves.iter().cloned().flatten().collect::<Vec<_>>(), (0..rows.len()).collect::<Vec<_>>());
            for leaf in leaves {
                let bytes = encoded(&rows[leaf.clone()]).len() + FENCE_BYTES + rows[leaf.start].key.len();
                prop_assert!(leaf.len() == 1 || bytes <= BYTES_MAX, "{} rows in {bytes} bytes", leaf.len());
            }
        }
    }

    #[test]
    fn leaves_are_full_or_of_one_size() {
        let owned: Vec<Owned> = (0u32..100).map(|n| (n.to_be_bytes().to_vec(), 5, vec![1; 92])).collect();
        let rows = rows(&owned);
        let lengths = |full| cut(&rows, full).iter().map(Range::len).collect::<Vec<_>>();
        assert_eq!(lengths(true), [37, 37, 26]);
        assert_eq!(lengths(false), [34, 34, 32]);
        assert_eq!(cut(&rows[..39], false).len(), 1, "what fits stays together");
        assert!(cut(&[], false).is_empty());
    }
}
