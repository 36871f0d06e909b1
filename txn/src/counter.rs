//! Counters that are drawn through the log in blocks: OIDs, storage ids, hidden row ids.
//!
//! A block is a write set of its own, independent of whoever draws: one row of [`COUNTER_STORAGE`] with the value after
//! the block. It is durable before its first value is used, so a value never comes twice; what was left of a block at a
//! stop is lost, and gaps are fine.
//!
//! Key: {class u8, id u32 big endian}. Row: {version u8 = 1, next free value u64 little endian}.

use crate::Counter;
use crate::payload::damaged;
use bytes::{BufMut, Bytes};
use heddle_catalog::{COUNTER_STORAGE, FIRST_USER_STORAGE};
use heddle_engines::{RowChange, RowReader};
use heddle_types::{Error, Oid, Result, SqlState};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

const ROW_VERSION: u8 = 1;
const ID_BLOCK: u64 = 64;
const ROW_ID_BLOCK_MIN: u64 = 4096;
const ROW_ID_BLOCK_MAX: u64 = 65536;

impl Counter {
    /// Its row's key.
    pub(crate) fn key(self) -> Bytes {
        let (class, id) = match self {
            Self::Oid => (1, 0),
            Self::Storage => (2, 0),
            Self::RowId(table) => (3, table.0),
        };
        let mut key = vec![class];
        key.put_u32(id);
        key.into()
    }

    fn first(self) -> u64 {
        match self {
            Self::Oid => u64::from(Oid::FIRST_USER.0),
            Self::Storage => FIRST_USER_STORAGE.0,
            Self::RowId(_) => 1,
        }
    }

    /// Values end here (exclusive).
    fn end(self) -> u64 {
        match self {
            Self::Oid => u64::from(u32::MAX),
            Self::Storage => u64::MAX,
            // Row ids are stored as int8.
            Self::RowId(_) => i64::MAX as u64,
        }
    }

    fn block(self, before: u64) -> u64 {
        match self {
            Self::Oid | Self::Storage => ID_BLOCK,
            Self::RowId(_) => (before * 2).clamp(ROW_ID_BLOCK_MIN, ROW_ID_BLOCK_MAX),
        }
    }
}

/// All counters in use.
#[derive(Default)]
pub(crate) struct Counters(Mutex<HashMap<Counter, Arc<Cell>>>);

/// One counter.
#[derive(Default)]
pub(crate) struct Cell {
    /// One refill at a time; held while its block becomes durable, by no one who holds anything else of a counter.
    pub(crate) refill: tokio::sync::Mutex<()>,
    values: Mutex<Values>,
}

#[derive(Default)]
struct Values {
    /// Free values.
    next: u64,
    end: u64,
    /// Below this everything was proposed once, durable or not; 0 = not read yet.
    proposed: u64,
    block: u64,
}

/// A block to be made durable.
pub(crate) struct Block {
    from: u64,
    to: u64,
}

impl Counters {
    pub(crate) fn cell(&self, counter: Counter) -> Arc<Cell> {
        Arc::clone(self.0.lock().entry(counter).or_default())
    }
}

impl Cell {
    /// `n` consecutive values, if that many are at hand.
    pub(crate) fn take(&self, n: u64) -> Option<u64> {
        let mut values = self.values.lock();
        let first = values.next;
        if values.end - first < n {
            return None;
        }
        values.next += n;
        Some(first)
    }

    /// Plans the next block and the change that makes it durable. `reader` is the newest state.
    ///
    /// # Errors
    /// `54000` when the counter is used up.
    pub(crate) fn plan(&self, counter: Counter, n: u64, reader: &dyn RowReader) -> Result<(Block, RowChange)> {
        let mut values = self.values.lock();
        if values.proposed == 0 {
            values.proposed = match reader.get(COUNTER_STORAGE, &counter.key())? {
                Some(row) => decode_row(&row.row)?.max(counter.first()),
                None => counter.first(),
            };
        }
        values.block = counter.block(values.block).max(n);
        let from = values.proposed;
        let to = from.saturating_add(values.block).min(counter.end());
        if to - from < n {
            let message = format!("the counter {counter:?} is used up");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        // Now, not when it is durable: should the caller go away meanwhile, the block is lost, never drawn twice.
        values.proposed = to;
        let mut row = vec![ROW_VERSION];
        row.put_u64_le(to);
        Ok((Block { from, to }, RowChange::Put { storage: COUNTER_STORAGE, key: counter.key(), row: row.into() }))
    }

    /// The block is durable: its values may be used.
    pub(crate) fn fill(&self, block: &Block) {
        let mut values = self.values.lock();
        if values.end != block.from {
            values.next = block.from;
        }
        values.end = block.to;
    }
}

fn decode_row(row: &[u8]) -> Result<u64> {
    match row.split_first() {
        Some((&ROW_VERSION, value)) if value.len() == 8 => {
            Ok(u64::from_le_bytes(value.try_into().expect("eight bytes")))
        }
        _ => Err(damaged("a counter's row cannot be read")),
    }
}
