//! The private write set: what a transaction wrote, as its own statements see it and as it goes into the log.
//!
//! Two views of the same writes, kept in step by [`WriteSet::write`]:
//!
//! * `rows`: per key, the versions with the command that wrote each; readers of command c see the newest version of a command below c.
//! * `ops`: the writes in order, each with its change number; undone from the end by a savepoint, streamed from the
//!   front as Parts once the set is large.
//!
//! Bulk writes come as blocks: of columns (points) or of rows in key order. They are only `ops` until somebody reads their
//! storage: then [`WriteSet::unfold`] enters each point into `rows`, and sorts blocks of rows into runs ([`bulk`]).
//!
//! Invariants
//! 1. `ops` is ascending by change number; everything not yet streamed and everything a savepoint may undo is in it.
//! 2. A change number that went out in a Part and was rolled back is in `dead`; it is never used again.
//! 3. A version that a live reader or a savepoint still needs stays; others go when the key is written again.
//!
//! Who calls: [`crate::Transaction`], under its lock. Not here: locks, snapshots, proposing.

mod bulk;

use crate::payload::{Commit, DEAD_RANGES_MAX, PART_BODY_BYTES_MAX, PartBody, PartBuilder};
use bulk::BulkRows;
use bytes::Bytes;
use heddle_catalog::{CATALOG_STORAGE, CatalogEdit};
use heddle_engines::block::PointBlock;
use heddle_engines::point::SeriesLayout;
use heddle_engines::rows::RowBlock;
use heddle_engines::{KeyRange, RowChange};
use heddle_types::{Error, Oid, Result, SqlState, StorageId};
use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::sync::Arc;

/// Sees every write of the transaction.
pub(crate) const EVERY_COMMAND: u32 = u32::MAX;

/// One version of a key: `None` = deleted.
#[derive(Clone, Debug)]
struct Version {
    command: u32,
    number: u64,
    row: Option<Bytes>,
}

/// The versions of one key, oldest first; almost always one.
#[derive(Debug)]
struct Versions {
    older: Vec<Version>,
    top: Version,
}

impl Versions {
    fn visible(&self, command: u32) -> Option<&Version> {
        let sees = |v: &&Version| command == EVERY_COMMAND || v.command < command;
        Some(&self.top).filter(sees).or_else(|| self.older.iter().rev().find(sees))
    }

    /// Enters a version where its number belongs; of two with one number the later one counts.
    fn insert(&mut self, version: Version) {
        match version.number.cmp(&self.top.number) {
            Ordering::Equal => self.top = version,
            Ordering::Greater => self.older.push(std::mem::replace(&mut self.top, version)),
            Ordering::Less => {
                let at = self.older.partition_point(|v| v.number < version.number);
                match self.older.get_mut(at).filter(|v| v.number == version.number) {
                    Some(same) => *same = version,
                    None => self.older.insert(at, version),
                }
            }
        }
    }
}

/// A key moved by an UPDATE.
#[derive(Clone, Debug)]
pub(crate) struct KeyChange {
    /// The newest savepoint when it was noted.
    after_mark: u32,
    pub table: Oid,
    pub old: Bytes,
    pub new: Bytes,
}

/// A savepoint: everything at or above `number` came after it.
#[derive(Debug)]
struct Mark {
    id: u32,
    number: u64,
}

/// A write in order.
#[derive(Debug)]
struct Op {
    number: u64,
    change: RowChange,
}

/// What of the set has gone into the log.
#[derive(Debug, Default)]
pub(crate) struct Streamed {
    /// Parts so far.
    pub parts: u32,
    /// Chain over their bodies.
    pub chain: u32,
    /// Changes below this number are in Parts.
    upto: u64,
}

/// A block of points that `rows` does not have yet.
#[derive(Debug)]
struct FoldedBlock {
    command: u32,
    number: u64,
    layout: Arc<SeriesLayout>,
    block: Bytes,
}

/// The writes of one transaction.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    rows: BTreeMap<StorageId, BTreeMap<Bytes, Versions>>,
    /// Blocks in order, per storage.
    folded: BTreeMap<StorageId, Vec<FoldedBlock>>,
    /// Blocks of rows, per storage.
    bulk: BTreeMap<StorageId, BulkRows>,
    /// Number of the last block of each storage, of points or rows.
    last_block: BTreeMap<StorageId, u64>,
    ops: VecDeque<Op>,
    /// Number of the next change.
    next: u64,
    /// Encoded size of what is not streamed yet, about.
    pending_bytes: usize,
    /// Of everything ever written.
    written_bytes: usize,
    marks: Vec<Mark>,
    next_mark: u32,
    dead: Vec<Range<u64>>,
    pub(crate) streamed: Streamed,
    command: u32,
    /// Live readers per command.
    readers: BTreeMap<u32, usize>,
    /// DDL, with the newest savepoint when it was made.
    edits: Vec<(u32, CatalogEdit)>,
    /// Changes whenever `edits` does.
    edit_generation: u64,
    key_changes: Vec<KeyChange>,
}

impl WriteSet {
    /// Begins a command and registers a reader for it; give it back with [`Self::close_reader`].
    pub(crate) fn begin_command(&mut self) -> u32 {
        self.command += 1;
        *self.readers.entry(self.command).or_default() += 1;
        self.command
    }

    /// A reader of `command` is gone.
    pub(crate) fn close_reader(&mut self, command: u32) {
        if let Some(n) = self.readers.get_mut(&command) {
            *n -= 1;
            if *n == 0 {
                self.readers.remove(&command);
            }
        }
    }

    /// Does any write still count?
    pub(crate) fn has_effect(&self) -> bool {
        let dead: u64 = self.dead.iter().map(|r| r.end - r.start).sum();
        self.next > dead
    }

    /// Records one change.
    ///
    /// # Errors
    /// `54000` when the set grows beyond `bytes_max`.
    pub(crate) fn write(&mut self, change: RowChange, bytes_max: usize) -> Result<()> {
        let bytes = change_bytes(&change);
        if self.written_bytes + bytes > bytes_max {
            let message = "transaction writes too much";
            let detail = format!("A transaction may write at most {bytes_max} bytes.");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).detail(detail));
        }
        self.written_bytes += bytes;
        match &change {
            RowChange::Put { storage, key, row } => {
                if !self.write_row(*storage, key.clone(), Some(row.clone())) {
                    return Ok(());
                }
            }
            RowChange::Delete { storage, key } => {
                if !self.write_row(*storage, key.clone(), None) {
                    return Ok(());
                }
            }
            RowChange::Points { storage, .. } | RowChange::Rows { storage, .. } => {
                self.last_block.insert(*storage, self.next);
            }
            RowChange::DropStorage { .. } | RowChange::DefineSeries { .. } | RowChange::Expire { .. } => {}
        }
        self.pending_bytes += bytes;
        self.ops.push_back(Op { number: self.next, change });
        self.next += 1;
        Ok(())
    }

    /// Records a block of points.
    ///
    /// # Errors
    /// `54000` when the set grows beyond `bytes_max`.
    pub(crate) fn write_points(
        &mut self,
        storage: StorageId,
        layout: &Arc<SeriesLayout>,
        block: Bytes,
        bytes_max: usize,
    ) -> Result<()> {
        let (command, number) = (self.command, self.next);
        self.write(RowChange::Points { storage, block: block.clone() }, bytes_max)?;
        let folded = FoldedBlock { command, number, layout: Arc::clone(layout), block };
        self.folded.entry(storage).or_default().push(folded);
        Ok(())
    }

    /// Records a block of rows.
    ///
    /// # Errors
    /// `54000` when the set grows beyond `bytes_max`.
    pub(crate) fn write_rows(&mut self, storage: StorageId, block: RowBlock, bytes_max: usize) -> Result<()> {
        let (command, number) = (self.command, self.next);
        self.write(RowChange::Rows { storage, block: block.clone() }, bytes_max)?;
        self.bulk.entry(storage).or_default().push(block, command, number);
        Ok(())
    }

    /// Has it single writes, no blocks, of any of these keys?
    pub(crate) fn has_any_single(&self, storage: StorageId, keys: &[&[u8]]) -> bool {
        self.rows.get(&storage).is_some_and(|rows| !rows.is_empty() && keys.iter().any(|key| rows.contains_key(*key)))
    }

    /// Must [`Self::unfold`] come before this storage is read?
    pub(crate) fn is_folded(&self, storage: StorageId) -> bool {
        self.folded.contains_key(&storage) || self.bulk.get(&storage).is_some_and(BulkRows::is_folded)
    }

    /// Makes blocks readable: enters points into `rows`, sorts blocks of rows.
    ///
    /// # Errors
    /// `XX001` when a block cannot be read, which would be a bug.
    pub(crate) fn unfold(&mut self, storage: StorageId) -> Result<()> {
        if let Some(bulk) = self.bulk.get_mut(&storage) {
            bulk.unfold();
        }
        if !self.folded.contains_key(&storage) {
            return Ok(());
        }
        let rows = self.rows.entry(storage).or_default();
        for FoldedBlock { command, number, layout, block } in self.folded.remove(&storage).unwrap_or_default() {
            let (block, tuple) = (PointBlock::decode(&block)?, layout.row_layout());
            for i in 0..block.rows() {
                let version = Version { command, number, row: Some(block.row(i, &layout, &tuple)) };
                match rows.entry(block.key(i)) {
                    Entry::Vacant(entry) => {
                        entry.insert(Versions { older: Vec::new(), top: version });
                    }
                    Entry::Occupied(mut entry) => entry.get_mut().insert(version),
                }
            }
        }
        Ok(())
    }

    /// Records DDL: the rows and the edits the overlay catalog is made of.
    pub(crate) fn edit(&mut self, edit: CatalogEdit, bytes_max: usize) -> Result<()> {
        self.write(edit.to_change(), bytes_max)?;
        self.edits.push((self.next_mark, edit));
        self.edit_generation += 1;
        Ok(())
    }

    /// The transaction's own DDL so far.
    pub(crate) fn edits(&self) -> Vec<CatalogEdit> {
        self.edits.iter().map(|(_, edit)| edit.clone()).collect()
    }

    /// Has it any DDL?
    pub(crate) fn has_edits(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Another one whenever the DDL changed.
    pub(crate) fn edit_generation(&self) -> u64 {
        self.edit_generation
    }

    /// Remembers a moved key.
    pub(crate) fn note_key_change(&mut self, table: Oid, old: Bytes, new: Bytes) {
        self.key_changes.push(KeyChange { after_mark: self.next_mark, table, old, new });
    }

    /// Keys moved by what still counts.
    pub(crate) fn take_key_changes(&mut self) -> Vec<KeyChange> {
        std::mem::take(&mut self.key_changes)
    }

    /// What a reader of `command` sees of `key`: `None` = ask the engine, `Some(None)` = deleted here.
    pub(crate) fn get(&self, storage: StorageId, key: &[u8], command: u32) -> Option<Option<Bytes>> {
        let single = self.rows.get(&storage).and_then(|rows| rows.get(key)?.visible(command));
        let bulk = self.bulk.get(&storage).and_then(|bulk| bulk.newest(key, command));
        match (single, bulk) {
            (Some(single), Some((number, _))) if single.number > number => Some(single.row.clone()),
            (_, Some((_, row))) => Some(Some(row)),
            (single, None) => single.map(|version| version.row.clone()),
        }
    }

    /// Has the transaction written to this storage?
    pub(crate) fn touches(&self, storage: StorageId) -> bool {
        self.folded.contains_key(&storage)
            || self.bulk.contains_key(&storage)
            || self.rows.get(&storage).is_some_and(|rows| !rows.is_empty())
    }

    /// Appends what a reader of `command` sees in the range, visiting at most `max` keys. Returns the last key visited,
    /// `None` when the range is used up.
    pub(crate) fn range(
        &self,
        storage: StorageId,
        (lower, upper): (&Bound<Bytes>, &Bound<Bytes>),
        reverse: bool,
        command: u32,
        max: usize,
        out: &mut VecDeque<(Bytes, Option<Bytes>)>,
    ) -> Option<Bytes> {
        if let Some(bulk) = self.bulk.get(&storage) {
            let range = KeyRange { lower: lower.clone(), upper: upper.clone() };
            let keys = bulk.keys(&range, reverse, max, self.rows.get(&storage));
            for key in &keys {
                out.extend(self.get(storage, key, command).map(|row| (key.clone(), row)));
            }
            return if keys.len() == max { keys.last().cloned() } else { None };
        }
        let rows = self.rows.get(&storage)?;
        let mut range = rows.range::<Bytes, _>((lower.as_ref(), upper.as_ref()));
        let mut last = None;
        for _ in 0..max {
            let (key, versions) = if reverse { range.next_back()? } else { range.next()? };
            if let Some(version) = versions.visible(command) {
                out.push_back((key.clone(), version.row.clone()));
            }
            last = Some(key);
        }
        last.cloned()
    }

    /// Sets a mark.
    pub(crate) fn savepoint(&mut self) -> u32 {
        self.next_mark += 1;
        self.marks.push(Mark { id: self.next_mark, number: self.next });
        self.next_mark
    }

    /// Forgets a mark and those set after it; what was written since stays.
    pub(crate) fn release(&mut self, id: u32) {
        self.marks.retain(|m| m.id < id);
        self.trim_ops();
    }

    /// Undoes everything since the mark, which stays; later marks go. False when there is no such mark.
    pub(crate) fn rollback_to(&mut self, id: u32) -> bool {
        let Some(at) = self.marks.iter().position(|m| m.id == id) else { return false };
        self.marks.truncate(at + 1);
        let number = self.marks[at].number;
        while let Some(op) = self.ops.pop_back_if(|op| op.number >= number) {
            self.undo(&op.change, number);
            if op.number >= self.streamed.upto {
                self.pending_bytes = self.pending_bytes.saturating_sub(change_bytes(&op.change));
            }
        }
        for blocks in self.folded.values_mut() {
            blocks.retain(|block| block.number < number);
        }
        self.folded.retain(|_, blocks| !blocks.is_empty());
        self.bulk.retain(|_, bulk| bulk.cut(number));
        self.edits.retain(|(after_mark, _)| *after_mark < id);
        self.edit_generation += 1;
        self.key_changes.retain(|k| k.after_mark < id);
        if number < self.streamed.upto {
            self.bury(number);
        }
        self.next = number.max(self.streamed.upto);
        true
    }

    /// Are there Parts to stream: more than `stream_after` bytes written, at least a Part's worth pending?
    pub(crate) fn wants_streaming(&self, stream_after: usize) -> bool {
        self.pending_bytes >= PART_BODY_BYTES_MAX && (self.streamed.parts > 0 || self.pending_bytes > stream_after)
    }

    /// The pending changes as Part bodies, in order. They count as streamed from [`Self::note_streamed`] on.
    pub(crate) fn pending_parts(&self) -> Vec<PartBody> {
        let mut builder = PartBuilder::new(self.streamed.upto);
        let first = self.position(self.streamed.upto);
        self.ops.range(first..).for_each(|op| builder.push(&op.change));
        builder.finish()
    }

    /// Everything [`Self::pending_parts`] gave is in the log.
    pub(crate) fn note_streamed(&mut self) {
        self.streamed.upto = self.next;
        self.pending_bytes = 0;
        self.trim_ops();
    }

    /// The whole set in its shortest form, when nothing has been streamed: layouts, final values in key order, then the
    /// rest.
    pub(crate) fn compact_parts(&self) -> Vec<PartBody> {
        debug_assert_eq!(self.streamed.parts, 0, "what is streamed cannot be said again");
        let dropped: Vec<StorageId> = self.dropped();
        let mut builder = PartBuilder::new(0);
        // Where blocks were written, only the order of the writes says which one counts.
        let in_order = |c: &&RowChange| {
            let by_key = matches!(c, RowChange::Put { .. } | RowChange::Delete { .. });
            !by_key || (self.last_block.contains_key(&c.storage()) && !dropped.contains(&c.storage()))
        };
        let others = || self.ops.iter().map(|op| &op.change).filter(in_order);
        let is_definition = |c: &&RowChange| matches!(c, RowChange::DefineSeries { .. });
        others().filter(is_definition).for_each(|change| builder.push(change));
        // System storages come first by number, so the catalog rows lead.
        debug_assert!(!dropped.contains(&CATALOG_STORAGE), "the catalog is never dropped");
        let compact = |s: &StorageId| !dropped.contains(s) && !self.last_block.contains_key(s);
        for (&storage, rows) in self.rows.iter().filter(|(s, _)| compact(s)) {
            for (key, versions) in rows {
                let key = key.clone();
                builder.push(&match versions.top.row.clone() {
                    Some(row) => RowChange::Put { storage, key, row },
                    None => RowChange::Delete { storage, key },
                });
            }
        }
        others().filter(|c| !is_definition(c)).for_each(|change| builder.push(change));
        builder.finish()
    }

    /// The rows as the set leaves them, when it has at most `max` changes and all are of rows in the row engine and still here.
    pub(crate) fn final_rows(&self, max: usize) -> Option<Vec<(StorageId, Bytes, Option<Bytes>)>> {
        let is_row =
            |c: &RowChange| matches!(c, RowChange::Put { .. } | RowChange::Delete { .. }) && !c.storage().is_series();
        let whole = self.streamed.parts == 0 && self.edits.is_empty() && self.folded.is_empty();
        if !whole || self.ops.len() > max || !self.ops.iter().all(|op| is_row(&op.change)) {
            return None;
        }
        let mut out = Vec::with_capacity(self.ops.len());
        for (storage, rows) in &self.rows {
            out.extend(rows.iter().map(|(key, versions)| (*storage, key.clone(), versions.top.row.clone())));
        }
        Some(out)
    }

    /// The Commit for `parts` Parts with `chain`.
    ///
    /// # Errors
    /// `54000` when more savepoints were rolled back than a Commit can name.
    pub(crate) fn commit(&self, parts: u32, chain: u32) -> Result<Commit> {
        if self.dead.len() > DEAD_RANGES_MAX {
            let message = "too many savepoints rolled back in one transaction";
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        Ok(Commit { parts, chain, dead: self.dead.clone() })
    }

    /// True when the write made a change of its own; false when it replaced a pending one of the same command.
    fn write_row(&mut self, storage: StorageId, key: Bytes, row: Option<Bytes>) -> bool {
        let (command, number) = (self.command, self.next);
        let version = Version { command, number, row };
        let rows = self.rows.entry(storage).or_default();
        let Some(versions) = rows.get_mut(&key) else {
            rows.insert(key, Versions { older: Vec::new(), top: version });
            return true;
        };
        let newest_mark = self.marks.last().map_or(0, |m| m.number);
        let after_blocks = self.last_block.get(&storage).map_or(0, |number| number + 1);
        let top = &mut versions.top;
        // Only then has no reader, no savepoint and no Part seen it, and no block lies between.
        if top.command == command && top.number >= newest_mark.max(after_blocks).max(self.streamed.upto) {
            let at = self.ops.partition_point(|op| op.number < top.number);
            let op = &mut self.ops[at].change;
            self.pending_bytes = self.pending_bytes.saturating_sub(change_bytes(op));
            top.row = version.row.clone();
            *op = match version.row {
                Some(row) => RowChange::Put { storage, key, row },
                None => RowChange::Delete { storage, key },
            };
            self.pending_bytes += change_bytes(op);
            return false;
        }
        let oldest_reader = self.readers.keys().next().copied().unwrap_or(EVERY_COMMAND);
        versions.older.push(std::mem::replace(&mut versions.top, version));
        prune(versions, oldest_reader.min(command), &self.marks);
        true
    }

    fn undo(&mut self, op: &RowChange, number: u64) {
        match op {
            RowChange::Put { storage, key, .. } | RowChange::Delete { storage, key } => {
                self.undo_row(*storage, key, number);
            }
            RowChange::Points { storage, block } if self.rows.contains_key(storage) => {
                let block = PointBlock::decode(block).expect("this transaction encoded it");
                (0..block.rows()).for_each(|i| self.undo_row(*storage, &block.key(i), number));
            }
            _ => {}
        }
    }

    fn undo_row(&mut self, storage: StorageId, key: &Bytes, number: u64) {
        let Some(rows) = self.rows.get_mut(&storage) else { return };
        let Some(versions) = rows.get_mut(key) else { return };
        while versions.top.number >= number {
            match versions.older.pop() {
                Some(version) => versions.top = version,
                None => {
                    rows.remove(key);
                    return;
                }
            }
        }
    }

    /// Change numbers from `number` to the last streamed one have no effect; new changes are numbered after them.
    fn bury(&mut self, number: u64) {
        while self.dead.last().is_some_and(|range| range.start >= number) {
            self.dead.pop();
        }
        let upto = self.streamed.upto;
        // Marks are at the ends of dead ranges or outside of them, so the new range swallows or follows.
        match self.dead.last_mut() {
            Some(range) if range.end >= number => range.end = upto,
            _ => self.dead.push(number..upto),
        }
    }

    /// Lets go of ops that are streamed and that no mark can undo.
    fn trim_ops(&mut self) {
        let keep_from = self.marks.first().map_or(u64::MAX, |m| m.number).min(self.streamed.upto);
        let n = self.position(keep_from);
        self.ops.drain(..n);
    }

    /// Where the op with this number is or would be.
    fn position(&self, number: u64) -> usize {
        self.ops.partition_point(|op| op.number < number)
    }

    fn dropped(&self) -> Vec<StorageId> {
        let drops = self.ops.iter().filter_map(|op| match &op.change {
            RowChange::DropStorage { storage } => Some(*storage),
            _ => None,
        });
        drops.collect()
    }
}

/// Removes versions below `top` that neither a reader at or above `oldest_reader` nor a mark can reach.
fn prune(versions: &mut Versions, oldest_reader: u32, marks: &[Mark]) {
    let mut next = versions.top.place();
    let mut kept = Vec::new();
    for version in std::mem::take(&mut versions.older).into_iter().rev() {
        let hidden = next.0 < oldest_reader;
        let unmarked = !marks.iter().any(|m| version.number < m.number && m.number <= next.1);
        if !(hidden && unmarked) {
            next = version.place();
            kept.push(version);
        }
    }
    kept.reverse();
    versions.older = kept;
}

impl Version {
    /// Command and change number.
    fn place(&self) -> (u32, u64) {
        (self.command, self.number)
    }
}

/// About how large a change is in the log and in memory.
fn change_bytes(change: &RowChange) -> usize {
    match change {
        RowChange::Put { key, row, .. } => 16 + key.len() + row.len(),
        RowChange::Delete { key, .. } => 16 + key.len(),
        RowChange::Points { block, .. } => 16 + block.len(),
        RowChange::Rows { block, .. } => 16 + block.bytes().len(),
        RowChange::DefineSeries { layout, .. } => 16 + layout.len(),
        RowChange::DropStorage { .. } | RowChange::Expire { .. } => 16,
    }
}
