//! Many rows of a relational table at once, as columns: what COPY, INSERT … SELECT and long VALUES write.
//!
//! The columns are checked as a whole, keys and tuples are encoded into blocks in key order, unique keys are claimed together
//! and the blocks handed to the transaction. Only what is plainly right goes this way: a batch with a fault, a key that is taken
//! or awaited, or anything doubtful is left to [`TableWriter`], which goes row by row, waits where it must and finds the very
//! row to blame. Nothing of a batch is written or locked before all of it is found right.

use super::write::TableWriter;
use crate::bound::ColId;
use crate::eval::{self, Columns};
use crate::function::error::arrow_error;
use arrow::array::{Array, ArrayRef};
use heddle_catalog::IndexDef;
use heddle_engines::rows::{RowBlock, RowBlockBuilder};
use heddle_engines::run::prefix;
use heddle_types::arrow::{data_type, datum_at, is_null_at};
use heddle_types::key::{self, KEY_BYTES_MAX, KeyOrder};
use heddle_types::{Oid, PgType, Result, StorageId};

/// Keys of the rows of a batch, one after another.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn with_capacity(rows: usize) -> Self {
        Self { bytes: Vec::with_capacity(rows * 10), ends: Vec::with_capacity(rows) }
    }

    /// What was appended to `bytes` is a key.
    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn begin_of_next(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    fn get(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[i]]
    }

    /// The rows in the order of their keys; None when two are equal.
    fn order(&self) -> Option<Vec<usize>> {
        let rows = self.ends.len();
        if (1..rows).all(|i| self.get(i - 1) < self.get(i)) {
            return Some((0..rows).collect());
        }
        let mut order: Vec<(u64, usize)> = (0..rows).map(|i| (prefix(self.get(i)), i)).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.get(a.1).cmp(self.get(b.1))));
        let distinct = order.windows(2).all(|pair| self.get(pair[0].1) != self.get(pair[1].1));
        distinct.then(|| order.into_iter().map(|(_, i)| i).collect())
    }
}

/// What goes into one storage.
struct Entries {
    storage: StorageId,
    block: RowBlock,
    /// The index whose keys must be free, and the places of these keys in the block.
    unique: Option<(Oid, Vec<usize>)>,
}

impl Entries {
    /// The keys to be claimed, ascending.
    fn claimed(&self) -> Option<(Oid, Vec<&[u8]>)> {
        let (index, places) = self.unique.as_ref()?;
        Some((*index, places.iter().map(|i| self.block.key(*i)).collect()))
    }
}

/// Stores new rows given as one column for each of the table's. False: nothing was done, they have to be looked at one by one.
pub(super) async fn insert(w: &TableWriter, columns: &[ArrayRef], rows: usize) -> Result<bool> {
    let Some((columns, keys)) = store(w, columns, rows).await? else { return Ok(false) };
    if w.has_references() {
        for i in 0..rows {
            let values: Vec<_> = w.table.columns.iter().zip(&columns).map(|(c, a)| datum_at(a, c.ty, i)).collect();
            w.owe_for(keys.get(i).to_vec().into(), &values);
        }
    }
    Ok(true)
}

/// Stores rows that are there already, in a new form: they owe nothing.
pub(super) async fn rebuild(w: &TableWriter, columns: &[ArrayRef], rows: usize) -> Result<bool> {
    Ok(store(w, columns, rows).await?.is_some())
}

/// The columns and keys of what was stored.
async fn store(w: &TableWriter, columns: &[ArrayRef], rows: usize) -> Result<Option<(Vec<ArrayRef>, Keys)>> {
    let columns = columns.iter().zip(w.table.columns.iter()).map(|(array, c)| in_own_form(array, c.ty));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    // Keys that two rows may have for a while are debts of single rows.
    let has_deferrable = w.table.indexes.iter().any(|i| i.unique && !i.immediate());
    if has_deferrable || !is_right(w, &columns, rows) {
        return Ok(None);
    }
    let Some(keys) = table_keys(w, &columns, rows).await? else { return Ok(None) };
    let Some(entries) = all_entries(w, &columns, &keys) else { return Ok(None) };
    if !claim(w, &entries)? {
        return Ok(None);
    }
    for Entries { storage, block, .. } in entries {
        w.txn.put_rows(storage, block)?;
    }
    Ok(Some((columns, keys)))
}

/// Plans may bring a column in another form: NULL throughout, strings as views.
fn in_own_form(array: &ArrayRef, ty: PgType) -> Result<ArrayRef> {
    let wanted = data_type(ty);
    if *array.data_type() == wanted {
        return Ok(array.clone());
    }
    arrow::compute::cast(array, &wanted).map_err(arrow_error)
}

/// NOT NULL and CHECK. An error is found again where the row it is about is known.
fn is_right(w: &TableWriter, columns: &[ArrayRef], rows: usize) -> bool {
    let table = &w.table.columns;
    if table.iter().zip(columns).any(|(c, a)| c.not_null && !c.dropped && a.null_count() > 0) {
        return false;
    }
    let get = |id: ColId| columns.get((id.0 as usize).checked_sub(1)?).cloned();
    w.checks().all(|expr| {
        let holds = eval::eval(expr, &Columns { rows, get: &get }, &w.ctx).and_then(|a| {
            let holds = eval::boolean(&a)?;
            Ok((0..rows).all(|i| holds.is_null(i) || holds.value(i)))
        });
        holds.unwrap_or(false)
    })
}

/// The storage keys; None when one is too long.
async fn table_keys(w: &TableWriter, columns: &[ArrayRef], rows: usize) -> Result<Option<Keys>> {
    if let Some(primary) = w.table.primary_key() {
        return Ok(index_keys(w, primary, columns, rows, |_, _| {}));
    }
    let mut keys = Keys::with_capacity(rows);
    w.reserve(rows).await?;
    for _ in 0..rows {
        keys.bytes.extend_from_slice(&w.next_row_id().await?);
        keys.end();
    }
    Ok(Some(keys))
}

/// The keys of an index; `then` may lengthen each, knowing whether a column is NULL. None when one is too long.
fn index_keys(
    w: &TableWriter,
    index: &IndexDef,
    columns: &[ArrayRef],
    rows: usize,
    mut then: impl FnMut(&mut Vec<u8>, (usize, bool)),
) -> Option<Keys> {
    let parts: Vec<(&ArrayRef, PgType, KeyOrder)> = (index.columns.iter())
        .map(|c| (&columns[c.attnum as usize - 1], w.table.columns[c.attnum as usize - 1].ty, c.order))
        .collect();
    let mut keys = Keys::with_capacity(rows);
    for i in 0..rows {
        let mut null = false;
        for (column, ty, order) in &parts {
            null |= is_null_at(column, i);
            key::encode_at(&mut keys.bytes, column, *ty, i, *order);
        }
        if keys.bytes.len() - keys.begin_of_next() > KEY_BYTES_MAX {
            return None;
        }
        then(&mut keys.bytes, (i, null));
        keys.end();
    }
    Some(keys)
}

/// Blocks for the table and its indexes; None when a key comes twice or is too long, or the batch is too large.
fn all_entries(w: &TableWriter, columns: &[ArrayRef], keys: &Keys) -> Option<Vec<Entries>> {
    let rows = keys.ends.len();
    let order = keys.order()?;
    let mut all = Vec::new();
    for index in &w.table.indexes {
        let Some(storage) = index.storage else { continue };
        let mut free = vec![false; rows];
        let entries = index_keys(w, index, columns, rows, |key, (i, null)| {
            free[i] = null || !index.unique;
            if free[i] {
                key.extend_from_slice(keys.get(i));
            }
        })?;
        let order = entries.order()?;
        let mut block = RowBlockBuilder::with_capacity(rows, entries.bytes.len() + keys.bytes.len());
        if !order.iter().all(|i| block.push(entries.get(*i), keys.get(*i))) {
            return None;
        }
        let places = || order.iter().enumerate().filter(|(_, i)| !free[**i]).map(|(place, _)| place).collect();
        all.push(Entries { storage, block: block.finish(), unique: index.unique.then(|| (index.oid, places())) });
    }
    let mut block = RowBlockBuilder::with_capacity(rows, keys.bytes.len() + rows * 32);
    let mut tuple = Vec::new();
    for i in &order {
        tuple.clear();
        w.layout.encode_at(&mut tuple, columns, *i);
        if !block.push(keys.get(*i), &tuple) {
            return None;
        }
    }
    let primary = w.table.primary_key().map(|pk| (pk.oid, (0..rows).collect()));
    all.push(Entries { storage: w.table.storage, block: block.finish(), unique: primary });
    Some(all)
}

/// Claims the keys of all unique indexes; of none when one is taken.
fn claim(w: &TableWriter, entries: &[Entries]) -> Result<bool> {
    for (n, one) in entries.iter().enumerate() {
        let Some((index, keys)) = one.claimed() else { continue };
        if !w.txn.claim_keys(index, one.storage, &keys)? {
            for (index, keys) in entries[..n].iter().filter_map(Entries::claimed) {
                w.txn.unclaim_keys(index, &keys);
            }
            return Ok(false);
        }
    }
    Ok(true)
}
