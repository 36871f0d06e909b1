//! The simplest correct row engine: every version of every row in one ordered map, nothing merged, nothing on disk.
//!
//! Tests of upper crates use it where the disk does not matter; the conformance suite runs against it too, so that the
//! suite itself is tested. A restart loses it: replay the whole log.

mod points;

use crate::block::PointBlock;
use crate::point::SeriesLayout;
use crate::{KeyRange, Row, RowChange, RowCursor, RowEngine, RowReader, RowVersions};
use bytes::Bytes;
use heddle_types::{LogIndex, Result, StorageId};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// A version: its row, or `None` for a tombstone.
type Version = Option<Bytes>;

#[derive(Default)]
struct State {
    /// All versions of all rows, by index.
    rows: BTreeMap<(StorageId, Bytes), BTreeMap<LogIndex, Version>>,
    /// Indexes at which a storage was dropped.
    drops: BTreeMap<StorageId, Vec<LogIndex>>,
    /// What the points of time-series storages look like.
    layouts: BTreeMap<StorageId, Arc<SeriesLayout>>,
    bytes: usize,
}

impl Default for ModelEngine {
    fn default() -> Self {
        Self::new()
    }
}

/// An engine that keeps everything in memory forever.
pub struct ModelEngine {
    state: Arc<RwLock<State>>,
    /// Always the same, since nothing is ever merged.
    versions: Arc<ModelVersions>,
}

impl ModelEngine {
    /// An empty one.
    pub fn new() -> Self {
        let state = Arc::<RwLock<State>>::default();
        Self { versions: Arc::new(ModelVersions(Arc::clone(&state))), state }
    }
}

impl RowEngine for ModelEngine {
    fn versions(&self) -> Arc<dyn RowVersions> {
        Arc::<ModelVersions>::clone(&self.versions)
    }

    fn apply(&self, index: LogIndex, changes: Vec<RowChange>) {
        let mut state = self.state.write();
        for change in changes {
            match change {
                RowChange::Put { storage, key, row } => state.insert(index, storage, key, Some(row)),
                RowChange::Delete { storage, key } => state.insert(index, storage, key, None),
                RowChange::DropStorage { storage } => state.drops.entry(storage).or_default().push(index),
                RowChange::Rows { storage, block } => {
                    for (key, row) in (0..block.len()).map(|i| block.shared(i)) {
                        state.insert(index, storage, key, Some(row));
                    }
                }
                RowChange::DefineSeries { storage, layout } => {
                    let layout = SeriesLayout::decode(&layout).expect("the log checked its bytes");
                    state.layouts.insert(storage, Arc::new(layout));
                }
                RowChange::Points { storage, block } => {
                    let block = PointBlock::decode(&block).expect("the log checked its bytes");
                    let layout = Arc::clone(state.layouts.get(&storage).expect("defined before its points"));
                    let tuple = layout.row_layout();
                    for i in 0..block.rows() {
                        state.insert(index, storage, block.key(i), Some(block.row(i, &layout, &tuple)));
                    }
                }
                // What nobody asks for any more may stay.
                RowChange::Expire { .. } => {}
            }
        }
    }

    fn unmerged_bytes(&self) -> usize {
        self.state.read().bytes
    }

    fn seal(&self, _force: bool) -> bool {
        false
    }

    fn merge(&self, _visible: LogIndex) -> Result<LogIndex> {
        Ok(LogIndex(0))
    }

    fn flushed_index(&self) -> LogIndex {
        LogIndex(0)
    }

    fn verify(&self) -> Result<()> {
        Ok(())
    }
}

impl State {
    fn insert(&mut self, index: LogIndex, storage: StorageId, key: Bytes, version: Version) {
        self.bytes += key.len() + version.as_ref().map_or(0, Bytes::len);
        self.rows.entry((storage, key)).or_default().insert(index, version);
    }

    /// Rows written at or below the answer are hidden at `index`.
    fn dropped_at(&self, storage: StorageId, index: LogIndex) -> LogIndex {
        let drops = self.drops.get(&storage).into_iter().flatten();
        drops.copied().filter(|&at| at <= index).max().unwrap_or_default()
    }

    fn visible(
        &self,
        storage: StorageId,
        key: &Bytes,
        versions: &BTreeMap<LogIndex, Version>,
        at: LogIndex,
    ) -> Option<Row> {
        let (&index, version) = versions.range(..=at).next_back()?;
        let row = version.clone()?;
        (index > self.dropped_at(storage, at)).then(|| Row { key: key.clone(), index, row })
    }
}

struct ModelVersions(Arc<RwLock<State>>);

impl RowVersions for ModelVersions {
    fn reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn RowReader> {
        Arc::new(ModelReader { state: Arc::clone(&self.0), index })
    }
}

struct ModelReader {
    state: Arc<RwLock<State>>,
    index: LogIndex,
}

impl RowReader for ModelReader {
    fn get(&self, storage: StorageId, key: &[u8]) -> Result<Option<Row>> {
        let key = Bytes::copy_from_slice(key);
        let state = self.state.read();
        let versions = state.rows.get(&(storage, key.clone()));
        Ok(versions.and_then(|versions| state.visible(storage, &key, versions, self.index)))
    }

    fn scan(&self, storage: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>> {
        let state = self.state.read();
        let mut rows: Vec<Row> = if range.is_empty() {
            Vec::new()
        } else {
            let below_all = (storage, Bytes::new());
            let lower = match range.lower {
                Bound::Included(key) => Bound::Included((storage, key)),
                Bound::Excluded(key) => Bound::Excluded((storage, key)),
                Bound::Unbounded => Bound::Included(below_all),
            };
            let upper = match range.upper {
                Bound::Included(key) => Bound::Included((storage, key)),
                Bound::Excluded(key) => Bound::Excluded((storage, key)),
                Bound::Unbounded => match storage.0.checked_add(1) {
                    Some(next) => Bound::Excluded((StorageId(next), Bytes::new())),
                    None => Bound::Unbounded,
                },
            };
            let found = state.rows.range((lower, upper));
            found.filter_map(|((_, key), versions)| state.visible(storage, key, versions, self.index)).collect()
        };
        if !reverse {
            rows.reverse();
        }
        Ok(Box::new(ModelCursor(rows)))
    }

    fn estimate_rows(&self, storage: StorageId) -> u64 {
        let state = self.state.read();
        let all = state.rows.range((storage, Bytes::new())..).take_while(|((of, _), _)| *of == storage);
        all.filter(|((_, key), versions)| state.visible(storage, key, versions, self.index).is_some()).count() as u64
    }
}

/// What is left, last row first.
struct ModelCursor(Vec<Row>);

impl RowCursor for ModelCursor {
    fn next_batch(&mut self, max: usize, out: &mut Vec<Row>) -> Result<bool> {
        let keep = self.0.len().saturating_sub(max);
        out.extend(self.0.drain(keep..).rev());
        Ok(!self.0.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use proptest::prelude::*;

    fn factory() -> impl FnMut() -> Arc<dyn RowEngine> {
        || Arc::new(ModelEngine::new())
    }

    #[test]
    fn model_passes_scenarios() {
        conformance::run_scenarios(|| Box::new(factory()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn model_passes_random_operations(ops in conformance::operations(80)) {
            conformance::check_operations(&mut factory(), &ops);
        }
    }
}
