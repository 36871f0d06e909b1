//! The rows that one reader sees in one run.

use super::{CHUNK_ROWS, TableRow};
use heddle_engines::KeyRange;
use heddle_engines::run::Run;
use heddle_types::LogIndex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

pub(super) struct RunRows {
    run: Arc<Run>,
    index: LogIndex,
    dropped: LogIndex,
    reverse: bool,
    /// Versions not read yet, those of a key never in part.
    left: Range<usize>,
    pub ahead: VecDeque<TableRow>,
}

impl RunRows {
    pub fn open(run: &Arc<Run>, index: LogIndex, range: &KeyRange, reverse: bool, dropped: LogIndex) -> Self {
        Self { run: Arc::clone(run), index, dropped, reverse, left: run.places(range), ahead: VecDeque::new() }
    }

    /// Reads ahead when nothing is; false at the end.
    pub fn fill(&mut self) -> bool {
        while self.ahead.is_empty() && !self.left.is_empty() {
            for _ in 0..CHUNK_ROWS.min(self.left.len()) {
                if self.left.is_empty() {
                    break;
                }
                let versions = self.next_key();
                self.push(versions);
            }
        }
        !self.ahead.is_empty()
    }

    /// Takes the versions of the next key.
    fn next_key(&mut self) -> Range<usize> {
        let at = if self.reverse { self.left.end - 1 } else { self.left.start };
        let versions = self.run.same_key(at);
        match self.reverse {
            true => self.left.end = versions.start,
            false => self.left.start = versions.end,
        }
        versions
    }

    fn push(&mut self, mut versions: Range<usize>) {
        let Some(at) = versions.find(|at| self.run.at(*at).tag <= self.index.0) else { return };
        let (index, (key, row)) = (LogIndex(self.run.at(at).tag), self.run.shared(at));
        // Nothing older than a hidden version can be visible, so it need not hide anything either.
        if index > self.dropped {
            self.ahead.push_back(TableRow { key, index, row: Some(row) });
        }
    }
}
