//! Where sequences stand. Values come from blocks that are drawn through the log, each a write set of its own: a block is
//! durable before its first value is used, whatever becomes of the transaction that asked.
//!
//! Called by `planner`'s kernels, which are synchronous: a caller may wait here for the log on its own thread, and nobody
//! holds a position over anything else, so that waiting always ends.
//!
//! Key: {class u8 = 4, state OID u32 big endian} in [`COUNTER_STORAGE`]. Row: {version u8 = 1, last value i64 little endian,
//! called u8}. What is logged runs ahead of what was given out: after a crash the sequence goes on behind the block.

use crate::TxnManager;
use crate::maintenance::stopping;
use crate::payload::damaged;
use bytes::{BufMut, Bytes};
use heddle_catalog::{COUNTER_STORAGE, SequenceDef};
use heddle_engines::{RowChange, RowReader};
use heddle_types::{Oid, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

const ROW_VERSION: u8 = 1;
const CLASS: u8 = 4;
const BLOCK_MIN: u64 = 32;
const BLOCK_MAX: u64 = 8192;

/// Where a sequence stands: `last_value` and `is_called` of its relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last value given out, or the next one
    pub last: i64,
    /// Was `last` given out?
    pub called: bool,
}

/// One sequence's state in memory.
struct Standing {
    now: Position,
    /// What the log says; None: nothing yet.
    logged: Option<Position>,
    block: u64,
}

type Cell = Arc<Mutex<Option<Standing>>>;

/// All sequences in use, by state.
#[derive(Default)]
pub(crate) struct Sequences(Mutex<HashMap<Oid, Cell>>);

/// The key of a sequence's row.
pub(crate) fn key(state: Oid) -> Bytes {
    let mut key = vec![CLASS];
    key.put_u32(state.0);
    key.into()
}

fn row(p: Position) -> Bytes {
    let mut row = vec![ROW_VERSION];
    row.put_i64_le(p.last);
    row.put_u8(p.called.into());
    row.into()
}

fn decode_row(row: &[u8]) -> Result<Position> {
    match row {
        [ROW_VERSION, value @ .., called @ (0 | 1)] if value.len() == 8 => {
            Ok(Position { last: i64::from_le_bytes(value.try_into().expect("eight bytes")), called: *called == 1 })
        }
        _ => Err(damaged("a sequence's row cannot be read")),
    }
}

impl Standing {
    /// The next value; None when the sequence is used up.
    fn next(&self, s: &SequenceDef) -> Option<i64> {
        if !self.now.called {
            return Some(self.now.last);
        }
        let inside = |n: &i64| (s.min..=s.max).contains(n);
        match self.now.last.checked_add(s.increment).filter(inside) {
            Some(n) => Some(n),
            None if s.cycle => Some(if s.increment > 0 { s.min } else { s.max }),
            None => None,
        }
    }

    /// Does the log already cover values up to `n`?
    fn covers(&self, n: i64, increment: i64) -> bool {
        let Some(Position { last: logged, called: true }) = self.logged else { return false };
        // A value that was never given out counts as still ahead.
        let (now, open) = (self.now.last, !self.now.called);
        match increment > 0 {
            true => (n > now || (open && n >= now)) && n <= logged,
            false => (n < now || (open && n <= now)) && n >= logged,
        }
    }
}

/// How far `steps` steps lead from `n` without leaving the bounds.
fn ahead(n: i64, steps: u64, s: &SequenceDef) -> (i64, u64) {
    let room = if s.increment > 0 { s.max.abs_diff(n) } else { n.abs_diff(s.min) };
    let steps = steps.min(room / s.increment.unsigned_abs());
    let distance = i128::from(s.increment) * i128::from(steps);
    let end = i64::try_from(i128::from(n) + distance).expect("within the sequence's bounds");
    (end, steps)
}

impl TxnManager {
    /// Takes up to `n` consecutive values: the first and how many; None when the sequence is used up.
    ///
    /// # Errors
    /// `53100` on a full disk, `57P01` while shutting down, `XX001`.
    pub fn sequence_draw(&self, s: &SequenceDef, n: u64) -> Result<Option<(i64, u64)>> {
        self.with_standing(s, |standing| {
            let Some(first) = standing.next(s) else { return Ok(None) };
            let (last, more) = ahead(first, n.saturating_sub(1), s);
            if !standing.covers(last, s.increment) {
                standing.block = (standing.block * 2).clamp(BLOCK_MIN, BLOCK_MAX);
                let to = Position { last: ahead(last, standing.block - 1, s).0, called: true };
                self.log_position(s.state, to)?;
                standing.logged = Some(to);
            }
            standing.now = Position { last, called: true };
            Ok(Some((first, more + 1)))
        })
    }

    /// Moves a sequence, at once and for everybody.
    ///
    /// # Errors
    /// As [`Self::sequence_draw`].
    pub fn sequence_set(&self, s: &SequenceDef, to: Position) -> Result<()> {
        self.with_standing(s, |standing| {
            self.log_position(s.state, to)?;
            (standing.now, standing.logged) = (to, Some(to));
            Ok(())
        })
    }

    /// Where a sequence stands.
    ///
    /// # Errors
    /// `XX001` when its row is damaged.
    pub fn sequence_position(&self, s: &SequenceDef) -> Result<Position> {
        self.with_standing(s, |standing| Ok(standing.now))
    }

    fn with_standing<T>(&self, s: &SequenceDef, work: impl FnOnce(&mut Standing) -> Result<T>) -> Result<T> {
        let cell = Arc::clone(self.sequences.0.lock().entry(s.state).or_default());
        let mut standing = cell.lock();
        if standing.is_none() {
            let logged = match self.snapshot().reader.get(COUNTER_STORAGE, &key(s.state))? {
                Some(row) => Some(decode_row(&row.row)?),
                None => None,
            };
            let now = logged.unwrap_or(Position { last: s.first, called: false });
            *standing = Some(Standing { now, logged, block: 0 });
        }
        work(standing.as_mut().expect("just read"))
    }

    /// Writes a position to the log and waits until it is durable.
    fn log_position(&self, state: Oid, p: Position) -> Result<()> {
        let change = RowChange::Put { storage: COUNTER_STORAGE, key: key(state), row: row(p) };
        let index = self.propose(&[change])?;
        if self.applied.visible.wait_blocking(index) { Ok(()) } else { Err(stopping()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_types::oid;

    fn sequence(increment: i64, min: i64, max: i64) -> SequenceDef {
        let first = if increment > 0 { min } else { max };
        SequenceDef {
            oid: Oid(20000),
            schema: Oid(2200),
            database: Oid(5),
            name: "s".into(),
            state: Oid(20001),
            first,
            ty: oid::INT8,
            start: first,
            increment,
            min,
            max,
            cache: 1,
            cycle: false,
            owner: None,
            comments: vec![],
        }
    }

    fn at(last: i64, called: bool, logged: Option<i64>) -> Standing {
        let logged = logged.map(|last| Position { last, called: true });
        Standing { now: Position { last, called }, logged, block: 0 }
    }

    #[test]
    fn values_stay_inside_the_bounds() {
        let s = sequence(3, 1, 10);
        assert_eq!(at(1, false, None).next(&s), Some(1));
        assert_eq!(at(7, true, None).next(&s), Some(10));
        assert_eq!(at(10, true, None).next(&s), None);
        assert_eq!(at(10, true, None).next(&SequenceDef { cycle: true, ..s.clone() }), Some(1));
        assert_eq!(ahead(1, 100, &s), (10, 3));
        assert_eq!(ahead(i64::MAX - 1, 100, &sequence(1, 1, i64::MAX)), (i64::MAX, 1));
        assert_eq!(ahead(-1, 5, &sequence(-1, -4, -1)), (-4, 3));
    }

    #[test]
    fn the_log_covers_what_lies_between() {
        assert!(!at(5, true, None).covers(6, 1));
        assert!(at(5, true, Some(8)).covers(8, 1));
        assert!(!at(5, true, Some(8)).covers(9, 1));
        assert!(!at(5, true, Some(8)).covers(5, 1), "given out already");
        assert!(at(5, false, Some(8)).covers(5, 1));
        assert!(!at(5, true, Some(8)).covers(4, -1));
        assert!(at(5, true, Some(2)).covers(3, -1));
    }

    #[test]
    fn rows_round_trip() {
        for p in [Position { last: i64::MIN, called: false }, Position { last: 77, called: true }] {
            assert_eq!(decode_row(&row(p)).unwrap(), p);
        }
        assert!(decode_row(&[1, 2, 3]).is_err());
        assert!(decode_row(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
