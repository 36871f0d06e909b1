//! Sorted runs: many blocks of rows as one ordered sequence, without a copy of a row.
//!
//! A memtable keeps what a bulk write brought as runs, and so does a write set that is read by its own transaction. A block has
//! a *tag* (the log index, or the number of the change): of a key that several blocks have, readers want the newest version
//! up to a tag. Runs of one storage are merged as they come, so that there are never more than some twenty.

use crate::KeyRange;
use crate::rows::RowBlock;
use bytes::Bytes;
use std::cmp::Ordering;
use std::ops::{Bound, Range};
use std::sync::Arc;

/// Where a row is.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The first bytes of the key: they decide nearly every comparison.
    prefix: u64,
    block: u32,
    row: u32,
}

/// A version of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRow<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its block's tag.
    pub tag: u64,
    /// Its tuple.
    pub row: &'a [u8],
}

/// Versions of rows by key, the highest tag of a key first.
#[derive(Debug)]
pub struct Run {
    blocks: Vec<(RowBlock, u64)>,
    entries: Vec<Entry>,
}

impl Run {
    /// What an entry takes in memory beside the bytes of its block.
    pub const ENTRY_BYTES: usize = size_of::<Entry>() + size_of::<u32>();

    /// A run of these blocks with their tags. Of two rows with one key and one tag the later block's counts.
    pub fn new(blocks: Vec<(RowBlock, u64)>) -> Self {
        let total = blocks.iter().map(|(block, _)| block.len()).sum();
        let mut entries = Vec::with_capacity(total);
        for (n, (block, _)) in (0u32..).zip(&blocks) {
            entries.extend((0..block.len()).map(|i| Entry { prefix: prefix(block.key(i)), block: n, row: i as u32 }));
        }
        let mut run = Self { blocks, entries: Vec::new() };
        // Blocks in order, as a load in the order of the keys has them, are found sorted in one walk.
        entries.sort_by(|a, b| run.compare(a, b));
        entries.dedup_by(|later, first| run.tag(later) == run.tag(first) && run.key_order(later, first).is_eq());
        run.entries = entries;
        run
    }

    /// Both together.
    fn merge(a: &Self, b: &Self) -> Self {
        let shift = a.blocks.len() as u32;
        let mut run = Self { blocks: [&a.blocks[..], &b.blocks[..]].concat(), entries: Vec::new() };
        let mut entries = Vec::with_capacity(a.len() + b.len());
        entries.extend_from_slice(&a.entries);
        entries.extend(b.entries.iter().map(|e| Entry { block: e.block + shift, ..*e }));
        entries.sort_by(|a, b| run.compare(a, b)); // two sorted sequences: one merge
        run.entries = entries;
        run
    }

    /// How many versions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Version `at`.
    pub fn at(&self, at: usize) -> RunRow<'_> {
        let entry = &self.entries[at];
        let (block, tag) = &self.blocks[entry.block as usize];
        let (key, row) = block.row(entry.row as usize);
        RunRow { key, tag: *tag, row }
    }

    /// Key and row of version `at`, sharing the block's memory.
    pub fn shared(&self, at: usize) -> (Bytes, Bytes) {
        let entry = &self.entries[at];
        self.blocks[entry.block as usize].0.shared(entry.row as usize)
    }

    /// The places of the versions whose keys are in `range`.
    pub fn places(&self, range: &KeyRange) -> Range<usize> {
        let start = match &range.lower {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.first_from(key),
            Bound::Excluded(key) => self.first_after(key),
        };
        let end = match &range.upper {
            Bound::Unbounded => self.len(),
            Bound::Included(key) => self.first_after(key),
            Bound::Excluded(key) => self.first_from(key),
        };
        start..end.max(start)
    }

    /// The place of the newest version of `key` with at most this tag.
    pub fn newest(&self, key: &[u8], tag: u64) -> Option<usize> {
        let from = self.first_from(key);
        let versions = self.entries[from..].iter().take_while(|e| self.order_to(e, prefix(key), key).is_eq());
        versions.zip(from..).find(|(e, _)| self.tag(e) <= tag).map(|(_, at)| at)
    }

    /// Where the versions of the key at `at` begin and end.
    pub fn same_key(&self, at: usize) -> Range<usize> {
        let same = |e: &Entry| self.key_order(e, &self.entries[at]).is_eq();
        let before = self.entries[..at].iter().rev().take_while(|e| same(e)).count();
        let after = self.entries[at..].iter().take_while(|e| same(e)).count();
        at - before..at + after
    }

    /// Without the blocks from this tag on; None when nothing is left.
    pub fn below(&self, tag: u64) -> Option<Self> {
        let kept = self.blocks.iter().filter(|(_, t)| *t < tag).cloned().collect::<Vec<_>>();
        (!kept.is_empty()).then(|| Self::new(kept))
    }

    /// The highest tag.
    pub fn newest_tag(&self) -> u64 {
        self.blocks.iter().map(|(_, tag)| *tag).max().unwrap_or_default()
    }

    fn first_from(&self, key: &[u8]) -> usize {
        let prefix = prefix(key);
        self.entries.partition_point(|e| self.order_to(e, prefix, key).is_lt())
    }

    fn first_after(&self, key: &[u8]) -> usize {
        let prefix = prefix(key);
        self.entries.partition_point(|e| self.order_to(e, prefix, key).is_le())
    }

    fn key(&self, e: &Entry) -> &[u8] {
        self.blocks[e.block as usize].0.key(e.row as usize)
    }

    fn tag(&self, e: &Entry) -> u64 {
        self.blocks[e.block as usize].1
    }

    fn order_to(&self, e: &Entry, prefix: u64, key: &[u8]) -> Ordering {
        e.prefix.cmp(&prefix).then_with(|| self.key(e).cmp(key))
    }

    fn key_order(&self, a: &Entry, b: &Entry) -> Ordering {
        a.prefix.cmp(&b.prefix).then_with(|| self.key(a).cmp(self.key(b)))
    }

    /// By key; then the newest first.
    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let newest_first = || self.tag(b).cmp(&self.tag(a)).then_with(|| b.block.cmp(&a.block));
        self.key_order(a, b).then_with(newest_first)
    }
}

/// The first eight bytes of a key, zeroes behind its end, as a number: what is smaller is smaller as a key.
pub fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(bytes)
        }
    }
}

/// The runs of one storage. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<Arc<Run>>);

impl Runs {
    /// Adds one, and merges those of about its size, so that each row is merged some log(n) times and few runs are left.
    pub fn push(&mut self, run: Run) {
        let mut run = run;
        while let Some(last) = self.0.pop_if(|last| last.len() <= 2 * run.len()) {
            run = Run::merge(&last, &run);
        }
        self.0.push(Arc::new(run));
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.0.iter()
    }

    /// The newest version of `key` with at most this tag, in whichever run: its tag and row.
    pub fn newest(&self, key: &[u8], tag: u64) -> Option<(u64, Bytes)> {
        let found = self.0.iter().filter_map(|run| run.newest(key, tag).map(|at| (run, at, run.at(at).tag)));
        found.max_by_key(|(_, _, tag)| *tag).map(|(run, at, tag)| (tag, run.shared(at).1))
    }

    /// Lets go of the blocks from this tag on.
    pub fn cut(&mut self, tag: u64) {
        for run in std::mem::take(&mut self.0) {
            match run.newest_tag() < tag {
                true => self.0.push(run),
                false => self.0.extend(run.below(tag).map(Arc::new)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::RowBlockBuilder;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Keys around the length of the prefix, with zeroes.
    fn key(n: u8) -> Vec<u8> {
        let mut key = vec![b'k'; 4];
        key.extend(std::iter::repeat_n(0, usize::from(n % 7)));
        key.push(n / 7);
        key
    }

    fn block(keys: &BTreeSet<u8>, tag: u64) -> RowBlock {
        let mut builder = RowBlockBuilder::default();
        let keys: BTreeSet<Vec<u8>> = keys.iter().map(|n| key(*n)).collect();
        keys.iter().for_each(|k| assert!(builder.push(k, &tag.to_le_bytes())));
        builder.finish()
    }

    proptest! {
        #[test]
        fn runs_answer_as_a_map(
            batches in proptest::collection::vec(proptest::collection::btree_set(0..60u8, 1..20), 1..12),
            ends in (0..60u8, 0..60u8),
            cut in 0..14u64,
        ) {
            let mut truth: BTreeMap<(Vec<u8>, u64), u64> = BTreeMap::new();
            let mut runs = Runs::default();
            for (tag, keys) in (1..).zip(&batches) {
                runs.push(Run::new(vec![(block(keys, tag), tag)]));
                truth.extend(keys.iter().map(|n| ((key(*n), tag), tag)));
            }
            if cut < 13 {
                runs.cut(cut);
                truth.retain(|(_, tag), _| *tag < cut);
            }
            for n in 0..60 {
                for tag in 0..=batches.len() as u64 {
                    let want = truth.range((key(n), 0)..=(key(n), tag)).next_back().map(|((_, tag), _)| *tag);
                    let got = runs.newest(&key(n), tag);
                    prop_assert_eq!(got.as_ref().map(|(tag, _)| *tag), want);
                    prop_assert!(got.is_none_or(|(tag, row)| row == tag.to_le_bytes()[..]));
                }
            }
            let (lower, upper) = (key(ends.0.min(ends.1)), key(ends.0.max(ends.1)));
            let range = KeyRange { lower: Bound::Excluded(lower.clone().into()), upper: Bound::Included(upper.clone().into()) };
            let inside = |k: &[u8]| k > &lower[..] && k <= &upper[..];
            let mut found = vec![];
            for run in runs.iter() {
                let places = run.places(&range);
                prop_assert!(places.clone().is_sorted_by_key(|at| (run.at(at).key.to_vec(), u64::MAX - run.at(at).tag)));
                found.extend(places.map(|at| (run.at(at).key.to_vec(), run.at(at).tag)));
            }
            found.sort();
            let want: Vec<(Vec<u8>, u64)> = truth.keys().filter(|(k, _)| inside(k)).cloned().collect();
            prop_assert_eq!(found, want);
        }
    }

    #[test]
    fn one_entry_writes_a_key_twice_the_later_counts() {
        let first = block(&BTreeSet::from([1, 2, 3]), 1);
        let second = block(&BTreeSet::from([2]), 2);
        let run = Run::new(vec![(first, 5), (second, 5)]);
        assert_eq!(run.len(), 3);
        assert_eq!(run.at(run.newest(&key(2), 5).unwrap()).row, 2u64.to_le_bytes());
        assert_eq!(run.same_key(1), 1..2);
    }

    #[test]
    fn runs_stay_few() {
        let mut runs = Runs::default();
        for tag in 1..=1000 {
            runs.push(Run::new(vec![(block(&BTreeSet::from([(tag % 60) as u8]), tag), tag)]));
        }
        assert!(runs.iter().count() <= 10, "{}", runs.iter().count());
    }
}
