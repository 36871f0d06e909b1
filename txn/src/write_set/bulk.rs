//! Blocks of rows that a transaction wrote to one storage: what COPY leaves behind for its own transaction.
//!
//! They lie as they came until somebody reads; then they become sorted runs, tagged with the numbers of their changes.

use bytes::Bytes;
use heddle_engines::KeyRange;
use heddle_engines::rows::RowBlock;
use heddle_engines::run::{Run, Runs};
use std::collections::BTreeMap;
use std::ops::Bound;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BulkRows {
    /// Not in `runs` yet, with their numbers.
    folded: Vec<(RowBlock, u64)>,
    runs: Runs,
    /// Commands that wrote blocks, ascending, each with the number of its first one.
    commands: Vec<(u32, u64)>,
}

impl BulkRows {
    pub fn push(&mut self, block: RowBlock, command: u32, number: u64) {
        self.folded.push((block, number));
        if self.commands.last().is_none_or(|(last, _)| *last < command) {
            self.commands.push((command, number));
        }
    }

    /// Must [`Self::unfold`] come before reading?
    pub fn is_folded(&self) -> bool {
        !self.folded.is_empty()
    }

    pub fn unfold(&mut self) {
        if self.is_folded() {
            self.runs.push(Run::new(std::mem::take(&mut self.folded)));
        }
    }

    /// The version of `key` that a reader of `command` sees: its number and row.
    pub fn newest(&self, key: &[u8], command: u32) -> Option<(u64, Bytes)> {
        // What its own command and later ones wrote is not seen.
        let unseen = self.commands.partition_point(|(writer, _)| *writer < command);
        let below = self.commands.get(unseen).map_or(u64::MAX, |(_, number)| *number);
        self.runs.newest(key, below.checked_sub(1)?)
    }

    /// The first keys in the range, at most `max`, in whichever block or in `others`.
    pub fn keys<T>(
        &self,
        range: &KeyRange,
        reverse: bool,
        max: usize,
        others: Option<&BTreeMap<Bytes, T>>,
    ) -> Vec<Bytes> {
        let mut keys: Vec<Bytes> = Vec::new();
        for run in self.runs.iter() {
            let places = run.places(range);
            let key = |at: usize| run.shared(at).0;
            match reverse {
                false => extend_distinct(&mut keys, places.map(key), max),
                true => extend_distinct(&mut keys, places.rev().map(key), max),
            }
        }
        let bounds: (Bound<&Bytes>, Bound<&Bytes>) = (range.lower.as_ref(), range.upper.as_ref());
        let others = others.into_iter().flat_map(|map| map.range::<Bytes, _>(bounds)).map(|(key, _)| key.clone());
        match reverse {
            false => keys.extend(others.take(max)),
            true => keys.extend(others.rev().take(max)),
        }
        keys.sort_unstable_by(|a, b| if reverse { b.cmp(a) } else { a.cmp(b) });
        keys.dedup();
        keys.truncate(max);
        keys
    }

    /// Lets go of everything from this number on. False when nothing is left.
    pub fn cut(&mut self, number: u64) -> bool {
        self.folded.retain(|(_, n)| *n < number);
        self.runs.cut(number);
        self.commands.retain(|(_, first)| *first < number);
        self.is_folded() || self.runs.iter().next().is_some()
    }
}

/// Adds up to `max` different keys from an ordered source.
fn extend_distinct(keys: &mut Vec<Bytes>, source: impl Iterator<Item = Bytes>, max: usize) {
    let first = keys.len();
    for key in source {
        if keys.len() - first == max {
            break;
        }
        if keys[first..].last() != Some(&key) {
            keys.push(key);
        }
    }
}
