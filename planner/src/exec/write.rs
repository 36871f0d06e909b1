//! Writes rows of one table under locks: encoding, NOT NULL, unique checks, index entries. INSERT, UPDATE, DELETE, ON
//! CONFLICT and COPY all end here. What is different for time-series tables is in [`super::series`].
//!
//! Invariants
//! 1. A unique key is locked before it is looked up, and looked up in the newest state, never in a snapshot.
//! 2. An index entry is put and deleted with its row, in the same write set.

use super::block;
use super::reference::{Debt, References};
use super::series::SeriesWriter;
use crate::bound::{ColId, Expr};
use crate::context::EvalContext;
use crate::eval::{self, Columns};
use arrow::array::{Array, ArrayRef};
use bytes::Bytes;
use heddle_catalog::{IndexDef, Rule, TableDef};
use heddle_engines::{KeyRange, Row, RowReader};
use heddle_txn::{Counter, Locked, ReadView, RowLock, Transaction, Wait};
use heddle_types::arrow::datum_at;
use heddle_types::key::{self, KEY_BYTES_MAX};
use heddle_types::row::RowLayout;
use heddle_types::{Datum, Error, LogIndex, Oid, Result, SqlState, StorageId};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// From so many rows on they are written as columns.
const BLOCK_ROWS_MIN: usize = 32;
/// Longest value text in a DETAIL of a failing row.
const DETAIL_VALUE_BYTES: usize = 64;

/// Writes to one table within one statement.
pub(crate) struct TableWriter {
    pub table: Arc<TableDef>,
    pub layout: RowLayout,
    pub ctx: Arc<EvalContext>,
    pub txn: Arc<Transaction>,
    schema: String,
    /// CHECK constraints by name, as PostgreSQL asks them
    checks: Vec<(String, Expr)>,
    references: References,
    debts: Mutex<Vec<Debt>>,
    row_ids: Mutex<Range<u64>>,
    series: Option<SeriesWriter>,
}

/// A row as the newest state has it.
pub(crate) struct Current {
    pub key: Bytes,
    /// Log index of its version; 0 = written by this transaction.
    pub index: u64,
    pub values: Vec<Datum>,
    /// Up to where the state goes that it was read from.
    pub state: LogIndex,
}

impl TableWriter {
    pub fn new(table: Arc<TableDef>, ctx: Arc<EvalContext>) -> Result<Self> {
        let txn = ctx.txn.clone().ok_or_else(|| Error::internal("a write needs a transaction"))?;
        let schema = ctx.catalog.schema_by_oid(table.schema).map_or_else(String::new, |s| s.name.clone());
        let series = SeriesWriter::of(&table, ctx.statement_us);
        let checks = checks(&table)?;
        let references = References::of(&table, txn.newest().catalog());
        let (layout, row_ids) = (table.layout(), Mutex::new(0..0));
        Ok(Self { layout, table, ctx, txn, schema, checks, references, debts: Mutex::default(), row_ids, series })
    }

    /// Makes ready for the next inserts, one by one.
    pub async fn prepare(&self, rows: &[Vec<Datum>]) -> Result<()> {
        match &self.series {
            Some(series) => series.prepare(self, rows).await,
            None => self.reserve(rows.len()).await,
        }
    }

    /// Is it better to insert so many rows as columns?
    pub fn takes_columns(&self, rows: usize) -> bool {
        rows >= BLOCK_ROWS_MIN
    }

    /// Inserts rows given as one column for each of the table's. An error names the row.
    pub async fn insert_columns(&self, columns: &[ArrayRef], rows: usize) -> std::result::Result<(), (usize, Error)> {
        if let Some(series) = &self.series {
            return series.insert_columns(self, columns, rows).await;
        }
        if block::insert(self, columns, rows).await.map_err(|e| (0, e))? {
            return Ok(());
        }
        self.reserve(rows).await.map_err(|e| (0, e))?;
        for row in 0..rows {
            let cells = self.table.columns.iter().zip(columns);
            let mut values: Vec<Datum> = cells.map(|(column, array)| datum_at(array, column.ty, row)).collect();
            self.insert(&mut values).await.map_err(|e| (row, e))?;
        }
        Ok(())
    }

    /// Stores rows that are there already, in a new form, given as columns.
    ///
    /// # Errors
    /// `23505` when a key comes twice.
    pub async fn rebuild_columns(&self, columns: &[ArrayRef], rows: usize, newest: &dyn RowReader) -> Result<()> {
        if rows == 0 || (self.series.is_none() && block::rebuild(self, columns, rows).await?) {
            return Ok(());
        }
        self.reserve(rows).await?;
        for row in 0..rows {
            let cells = self.table.columns.iter().zip(columns);
            let values: Vec<Datum> = cells.map(|(column, array)| datum_at(array, column.ty, row)).collect();
            self.put_rebuilt(&values, newest).await?;
        }
        Ok(())
    }

    /// The CHECK constraints.
    pub fn checks(&self) -> impl Iterator<Item = &Expr> {
        self.checks.iter().map(|(_, expr)| expr)
    }

    /// Do rows owe to foreign keys?
    pub fn has_references(&self) -> bool {
        !self.references.own.is_empty()
    }

    /// Notes what a new row owes to foreign keys.
    pub fn owe_for(&self, key: Bytes, values: &[Datum]) {
        self.owe(self.references.stored(self.table.oid, &key, values, None));
    }

    /// After the last row of a statement.
    pub fn finish(&self) {
        if let Some(series) = &self.series {
            series.finish(self);
        }
    }

    /// Makes sure that the next `rows` inserts need no further draw of hidden row ids.
    pub async fn reserve(&self, rows: usize) -> Result<()> {
        if self.table.clustered_key().is_some() || self.row_ids.lock().clone().count() >= rows {
            return Ok(());
        }
        let n = rows.max(1) as u64;
        let first = self.txn.manager().draw_many(Counter::RowId(self.table.oid), n).await?;
        *self.row_ids.lock() = first..first + n;
        Ok(())
    }

    /// Inserts a row; any conflict is an error, but a point replaces the one before. Returns its storage key; `values` become
    /// what is stored.
    pub async fn insert(&self, values: &mut [Datum]) -> Result<Bytes> {
        self.check_row(values)?;
        if let Some(series) = &self.series {
            return series.insert(self, values).await;
        }
        for index in self.immediate() {
            if let Some(key) = self.unique_key(index, values)?
                && self.occupied(index, &key, None).await?.is_some()
            {
                return Err(self.duplicate(index, values));
            }
        }
        let key = self.put_new(values).await?;
        self.owe_keys(values, None)?;
        self.owe_for(key.clone(), values);
        Ok(key)
    }

    fn owe(&self, debts: impl IntoIterator<Item = Debt>) {
        self.debts.lock().extend(debts);
    }

    /// What the rows written since the last call owe to foreign keys.
    pub fn take_debts(&self) -> Vec<Debt> {
        std::mem::take(&mut *self.debts.lock())
    }

    /// May a row refer to one that comes later in the same statement? Otherwise debts need not wait for its end.
    pub fn refers_to_itself(&self) -> bool {
        self.references.own.iter().any(|(_, f)| f.table == self.table.oid)
    }

    /// Is there a row with these values in a unique index? With `lock` it keeps them until our transaction ends.
    pub async fn holds_key(&self, index: Oid, values: &[Datum], lock: bool) -> Result<bool> {
        let found = self.table.indexes.iter().find(|i| i.oid == index);
        let index = found.ok_or_else(|| Error::internal("a foreign key refers to an index that is gone"))?;
        let Some(key) = self.unique_key(index, values)? else { return Ok(false) };
        loop {
            let Some(row) = self.holder(index, &key)? else { return Ok(false) };
            if !lock {
                return Ok(true);
            }
            self.txn.lock_row(self.table.oid, &row, RowLock::KeyShare, Wait::Block).await?;
            // Whoever had it may have changed or removed it while we waited.
            if self.holder(index, &key)?.as_ref() == Some(&row) {
                return Ok(true);
            }
        }
    }

    /// Stores a row whose unique keys are locked and free.
    pub async fn put_new(&self, values: &[Datum]) -> Result<Bytes> {
        let key = match self.table.clustered_key() {
            Some(pk) => self.index_columns(pk, values)?.0.into(),
            None => self.next_row_id().await?,
        };
        self.put(key.clone(), values)?;
        Ok(key)
    }

    /// Replaces `old` by `new`, which becomes what is stored. Returns the storage key, which differs when the primary key changed.
    pub async fn update(&self, old: &Current, new: &mut [Datum]) -> Result<Bytes> {
        self.check_row(new)?;
        if let Some(series) = &self.series {
            return series.update(self, old, new).await;
        }
        for index in self.immediate() {
            let Some(key) = self.unique_key(index, new)? else { continue };
            let unchanged = self.unique_key(index, &old.values)?.is_some_and(|k| k == key);
            if !unchanged && self.occupied(index, &key, Some(&old.key)).await?.is_some() {
                return Err(self.duplicate(index, new));
            }
        }
        let key: Bytes = match self.table.clustered_key() {
            Some(pk) => self.index_columns(pk, new)?.0.into(),
            None => old.key.clone(),
        };
        let moved = key != old.key;
        for index in &self.table.indexes {
            let Some(storage) = index.storage else { continue };
            let (before, after) = (self.entry_key(index, &old.values, &old.key)?, self.entry_key(index, new, &key)?);
            let same = before == after;
            if !same {
                self.txn.delete(storage, before)?;
            }
            if !same || moved {
                self.txn.put(storage, after, key.clone())?;
            }
        }
        if moved {
            self.txn.delete(self.table.storage, old.key.clone())?;
            self.txn.note_key_change(self.table.oid, old.key.clone(), key.clone());
        }
        self.txn.put(self.table.storage, key.clone(), self.layout.encode(new).into())?;
        self.owe_keys(new, Some(&old.values))?;
        self.owe(self.references.stored(self.table.oid, &key, new, Some(&old.values)));
        Ok(key)
    }

    /// Removes a row and its index entries.
    pub fn delete(&self, old: &Current) -> Result<()> {
        for index in &self.table.indexes {
            if let Some(storage) = index.storage {
                self.txn.delete(storage, self.entry_key(index, &old.values, &old.key)?)?;
            }
        }
        self.owe(self.references.removed(self.table.oid, &old.values));
        self.txn.delete(self.table.storage, old.key.clone())
    }

    /// The newest version of the row under `key`.
    pub fn current(&self, key: &[u8]) -> Result<Option<Current>> {
        if let Some(series) = &self.series {
            return series.current(self, key);
        }
        let newest = self.txn.newest();
        let Some(row) = newest.get(self.table.storage, key)? else { return Ok(None) };
        let values = self.layout.decode(&row.row)?;
        Ok(Some(Current { values, index: row.index.0, key: row.key, state: newest.index() }))
    }

    /// The values of a row as it was read from the newest state; None for a point that is not shown any more.
    pub fn stored(&self, row: &Row) -> Result<Option<Vec<Datum>>> {
        match &self.series {
            None => self.layout.decode(&row.row).map(Some),
            Some(series) if !series.shows(&row.key)? => Ok(None),
            Some(series) => Ok(series.current(self, &row.key)?.map(|c| c.values)),
        }
    }

    /// The storage key of the row that already has these values in a unique index; checks `arbiter` only, or all.
    pub async fn conflict(&self, arbiter: Option<heddle_types::Oid>, values: &[Datum]) -> Result<Option<Bytes>> {
        for index in self.unique().filter(|i| arbiter.is_none_or(|a| a == i.oid)) {
            if !index.immediate() {
                let text =
                    "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters";
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
            }
            if let Some(key) = self.unique_key(index, values)?
                && let Some(row) = self.occupied(index, &key, None).await?
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Is this version of a row the one that `view` sees, where it had the version index `seen`?
    fn unchanged(&self, current: &Current, seen: u64, view: &ReadView) -> Result<bool> {
        match &self.series {
            Some(series) => series.unchanged(self, current, view),
            None => Ok(current.index == seen),
        }
    }

    /// `23505` when a row lies under `key`, which is locked first.
    pub async fn refuse_occupied(&self, key: &[u8], values: &[Datum]) -> Result<()> {
        let Some(primary) = self.table.clustered_key() else { return Ok(()) };
        match self.occupied(primary, key, None).await? {
            Some(_) => Err(self.duplicate(primary, values)),
            None => Ok(()),
        }
    }

    /// Which lock an UPDATE of these columns takes: one that stops key checks only when a unique key may change.
    pub fn update_lock(&self, mut columns: impl Iterator<Item = usize> + Clone) -> RowLock {
        if let Some(series) = &self.series {
            series.will_set(columns.clone());
        }
        let is_key =
            |c: usize| self.unique().any(|i| i.columns.iter().any(|k| k.attnum == self.table.columns[c].attnum));
        if columns.any(is_key) { RowLock::Update } else { RowLock::NoKeyUpdate }
    }

    /// Unique indexes that never have a key twice.
    fn immediate(&self) -> impl Iterator<Item = &IndexDef> {
        self.table.indexes.iter().filter(|i| i.immediate())
    }

    /// Notes the keys of a stored row that a deferrable index may have twice now; `old` is the row it replaces.
    fn owe_keys(&self, values: &[Datum], old: Option<&[Datum]>) -> Result<()> {
        for index in self.unique().filter(|i| !i.immediate()) {
            let Some(key) = self.unique_key(index, values)? else { continue };
            let before = old.map(|old| self.unique_key(index, old)).transpose()?.flatten();
            if before.as_ref() != Some(&key) {
                self.owe([Debt::Key { table: self.table.oid, index: index.oid, values: values.to_vec() }]);
            }
        }
        Ok(())
    }

    /// Does a deferrable index have the key of `values` once at most? Waits for transactions that are about to remove another row.
    ///
    /// # Errors
    /// `23505`
    pub async fn check_key(&self, index: &IndexDef, values: &[Datum]) -> Result<()> {
        let Some(key) = self.unique_key(index, values)? else { return Ok(()) };
        self.txn.lock_key(index.oid, &key).await?;
        let mut waited = false;
        loop {
            // Rows with the key may be committed, but not visible yet: their locks are gone.
            self.txn.everything_visible().await?;
            let rows = entries(index, &key, &*self.txn.newest())?;
            if rows.len() < 2 {
                return Ok(());
            }
            if waited {
                return Err(self.duplicate(index, values));
            }
            for row in &rows {
                self.txn.lock_row(self.table.oid, row, RowLock::KeyShare, Wait::Block).await?;
            }
            waited = true;
        }
    }

    fn unique(&self) -> impl Iterator<Item = &IndexDef> {
        self.table.indexes.iter().filter(|i| i.unique)
    }

    /// A hidden row id as a key.
    pub async fn next_row_id(&self) -> Result<Bytes> {
        loop {
            let next = self.row_ids.lock().next();
            match next {
                Some(id) => {
                    let id = i64::try_from(id).map_err(|_| Error::internal("row ids are used up"))?;
                    return Ok(key::encode_row([&Datum::Int8(id)]).into());
                }
                None => self.reserve(1).await?,
            }
        }
    }

    fn put(&self, key: Bytes, values: &[Datum]) -> Result<()> {
        for index in &self.table.indexes {
            if let Some(storage) = index.storage {
                self.txn.put(storage, self.entry_key(index, values, &key)?, key.clone())?;
            }
        }
        self.txn.put(self.table.storage, key, self.layout.encode(values).into())
    }

    /// The encoded index columns and whether one of them is NULL.
    fn index_columns(&self, index: &IndexDef, values: &[Datum]) -> Result<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        let mut null = false;
        for column in &index.columns {
            let value = &values[column.attnum as usize - 1];
            null |= value.is_null();
            key::encode(&mut out, value, column.order);
        }
        if out.len() > KEY_BYTES_MAX {
            return Err(self.key_too_long(index, out.len()));
        }
        Ok((out, null))
    }

    /// `54000`
    pub fn key_too_long(&self, index: &IndexDef, bytes: usize) -> Error {
        let text = format!(
            "index row size {bytes} exceeds btree version 4 maximum {KEY_BYTES_MAX} for index \"{}\"",
            index.name
        );
        Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text)
            .hint("Values larger than 1/3 of a buffer page cannot be indexed.")
    }

    /// The key of an index entry: its columns, and the table key unless uniqueness makes it superfluous.
    fn entry_key(&self, index: &IndexDef, values: &[Datum], table_key: &[u8]) -> Result<Bytes> {
        let (mut key, null) = self.index_columns(index, values)?;
        if null || !index.immediate() {
            key.extend_from_slice(table_key);
        }
        Ok(key.into())
    }

    /// The key to check; None when a NULL makes the row distinct from all others.
    fn unique_key(&self, index: &IndexDef, values: &[Datum]) -> Result<Option<Vec<u8>>> {
        let (key, null) = self.index_columns(index, values)?;
        Ok((!null).then_some(key))
    }

    /// Locks a unique key and tells which row has it, if any but `mine`. Waits for a transaction that is about to remove that row.
    async fn occupied(&self, index: &IndexDef, key: &[u8], mine: Option<&[u8]>) -> Result<Option<Bytes>> {
        self.txn.lock_key(index.oid, key).await?;
        let mut locked: Option<Bytes> = None;
        loop {
            let Some(row) = self.holder(index, key)? else { return Ok(None) };
            if mine == Some(&row[..]) {
                return Ok(None);
            }
            if locked.as_ref() == Some(&row) {
                return Ok(Some(row));
            }
            self.txn.lock_row(self.table.oid, &row, RowLock::KeyShare, Wait::Block).await?;
            locked = Some(row);
        }
    }

    fn holder(&self, index: &IndexDef, key: &[u8]) -> Result<Option<Bytes>> {
        let newest = self.txn.newest();
        match index.storage {
            None => Ok(newest.get(self.table.storage, key)?.map(|r| r.key)),
            Some(storage) => Ok(newest.get(storage, key)?.map(|r| r.row)),
        }
    }

    /// NOT NULL and CHECK, for a row to be stored.
    fn check_row(&self, values: &[Datum]) -> Result<()> {
        self.check_not_null(values)?;
        match self.violated(values, |_| true)? {
            None => Ok(()),
            Some(name) => {
                let text = format!("new row for relation \"{}\" violates check constraint \"{name}\"", self.table.name);
                Err(Error::new(SqlState::CHECK_VIOLATION, text)
                    .detail(format!("Failing row contains ({}).", self.row_text(values)))
                    .relation(&self.schema, &self.table.name)
                    .constraint(name))
            }
        }
    }

    /// The first of the wanted checks that a row does not hold.
    fn violated(&self, values: &[Datum], wanted: impl Fn(&str) -> bool) -> Result<Option<&str>> {
        let column = |id: ColId| {
            let at = (id.0 as usize).checked_sub(1)?;
            heddle_types::arrow::column(&values[at..=at], self.table.columns[at].ty).ok()
        };
        for (name, expr) in self.checks.iter().filter(|(name, _)| wanted(name)) {
            let result = eval::eval(expr, &Columns { rows: 1, get: &column }, &self.ctx)?;
            let result = eval::boolean(&result)?;
            if !result.is_null(0) && !result.value(0) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Does a row that is there hold what ALTER TABLE demands from now on?
    ///
    /// # Errors
    /// `23502`, `23514`
    pub fn verify(&self, values: &[Datum], not_null: &[usize], checks: &[String]) -> Result<()> {
        if let Some(at) = not_null.iter().find(|at| values[**at].is_null()) {
            let column = &self.table.columns[*at].name;
            let text = format!("column \"{column}\" of relation \"{}\" contains null values", self.table.name);
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, text)
                .relation(&self.schema, &self.table.name)
                .column(column));
        }
        let Some(name) = self.violated(values, |n| checks.iter().any(|c| c == n))? else { return Ok(()) };
        let text = format!("check constraint \"{name}\" of relation \"{}\" is violated by some row", self.table.name);
        Err(Error::new(SqlState::CHECK_VIOLATION, text).relation(&self.schema, &self.table.name).constraint(name))
    }

    /// Stores a row of a table that is locked against everybody in a new storage. `newest` shows the rows put so far.
    ///
    /// # Errors
    /// `23505` when another row has its key.
    async fn put_rebuilt(&self, values: &[Datum], newest: &dyn RowReader) -> Result<()> {
        for index in self.unique() {
            let storage = index.storage.unwrap_or(self.table.storage);
            if let Some(key) = self.unique_key(index, values)?
                && taken(index, storage, &key, newest)?
            {
                return Err(self.not_unique(index, values));
            }
        }
        self.put_new(values).await.map(|_| ())
    }

    /// `23505`, about an index that cannot be made.
    pub fn not_unique(&self, index: &IndexDef, values: &[Datum]) -> Error {
        let text = format!("could not create unique index \"{}\"", index.name);
        self.key_error(text, index, values, "is duplicated")
    }

    /// NOT NULL.
    ///
    /// # Errors
    /// `23502`
    pub fn check_not_null(&self, values: &[Datum]) -> Result<()> {
        let Some((column, _)) =
            self.table.columns.iter().zip(values).find(|(c, v)| c.not_null && !c.dropped && v.is_null())
        else {
            return Ok(());
        };
        let text = format!(
            "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
            column.name, self.table.name
        );
        Err(Error::new(SqlState::NOT_NULL_VIOLATION, text)
            .detail(format!("Failing row contains ({}).", self.row_text(values)))
            .relation(&self.schema, &self.table.name)
            .column(&column.name))
    }

    fn row_text(&self, values: &[Datum]) -> String {
        let live = self.table.columns.iter().zip(values).filter(|(c, _)| !c.dropped);
        let texts: Vec<String> = live
            .map(|(c, v)| {
                if v.is_null() {
                    return "null".to_owned();
                }
                let mut text = heddle_types::text::to_string(v, c.ty, &self.ctx.text);
                if text.len() > DETAIL_VALUE_BYTES {
                    text.truncate(text.floor_char_boundary(DETAIL_VALUE_BYTES));
                    text.push_str("...");
                }
                text
            })
            .collect();
        texts.join(", ")
    }

    fn duplicate(&self, index: &IndexDef, values: &[Datum]) -> Error {
        let text = format!("duplicate key value violates unique constraint \"{}\"", index.name);
        self.key_error(text, index, values, "already exists")
    }

    /// `23505` about a key: `Key (a)=(1) already exists.`
    fn key_error(&self, text: String, index: &IndexDef, values: &[Datum], what: &str) -> Error {
        let columns: Vec<_> = index.columns.iter().map(|c| &self.table.columns[c.attnum as usize - 1]).collect();
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let texts: Vec<String> = columns
            .iter()
            .map(|c| heddle_types::text::to_string(&values[c.attnum as usize - 1], c.ty, &self.ctx.text))
            .collect();
        Error::new(SqlState::UNIQUE_VIOLATION, text)
            .detail(format!("Key ({})=({}) {what}.", names.join(", "), texts.join(", ")))
            .relation(&self.schema, &self.table.name)
            .constraint(&index.name)
    }
}

/// The table keys that a deferrable index has under a key; two are enough to know.
fn entries(index: &IndexDef, key: &[u8], newest: &dyn RowReader) -> Result<Vec<Bytes>> {
    let Some(storage) = index.storage else { return Err(Error::internal("a deferrable index has a storage")) };
    let mut rows = Vec::new();
    newest.scan(storage, KeyRange::prefix(key), false)?.next_batch(2, &mut rows)?;
    Ok(rows.into_iter().map(|r| r.row).collect())
}

/// Is there an entry with this key?
pub(super) fn taken(index: &IndexDef, storage: StorageId, key: &[u8], newest: &dyn RowReader) -> Result<bool> {
    if index.immediate() {
        return Ok(newest.get(storage, key)?.is_some());
    }
    Ok(!entries(index, key, newest)?.is_empty())
}

/// The table's CHECK constraints, bound, by name.
fn checks(table: &TableDef) -> Result<Vec<(String, Expr)>> {
    let mut checks = Vec::new();
    for c in &table.constraints {
        if let Rule::Check(stored) = &c.rule {
            checks.push((c.name.clone(), crate::bind::stored_expr(stored)?));
        }
    }
    checks.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(checks)
}

/// What happened to a row that we want to change.
pub(crate) enum Fate {
    /// As we saw it.
    Same(Current),
    /// Changed by a transaction that committed since; READ COMMITTED goes on with it after a re-check.
    Newer(Current),
    /// Deleted since, or skipped.
    Gone,
}

/// Locks the row under `key` of which `view` saw version `seen` and finds its newest version.
///
/// # Errors
/// `40001` at REPEATABLE READ when it changed; lock errors, `55P03` worded for NOWAIT.
pub(crate) async fn lock_newest(
    writer: &TableWriter,
    key: &Bytes,
    seen: u64,
    view: &ReadView,
    mode: RowLock,
    wait: Wait,
) -> Result<Fate> {
    let mut key = key.clone();
    let mut moved = false;
    loop {
        if lock(writer, &key, mode, wait).await? == Locked::Skipped {
            return Ok(Fate::Gone);
        }
        if let Some(series) = &writer.series {
            series.lock(writer, &key).await?;
        }
        let current = writer.current(&key)?;
        let repeatable = writer.txn.isolation() == heddle_txn::Isolation::RepeatableRead;
        match current {
            Some(c) if !moved && writer.unchanged(&c, seen, view)? => return Ok(Fate::Same(c)),
            Some(_) if repeatable => return Err(concurrent("update")),
            Some(c) => return Ok(Fate::Newer(c)),
            None => match writer.txn.moved_to(writer.table.oid, &key, view.index()) {
                Some(_) if repeatable => return Err(concurrent("update")),
                None if repeatable => return Err(concurrent("delete")),
                Some(to) => {
                    key = to;
                    moved = true;
                }
                None => return Ok(Fate::Gone),
            },
        }
    }
}

async fn lock(writer: &TableWriter, key: &[u8], mode: RowLock, wait: Wait) -> Result<Locked> {
    writer.txn.lock_row(writer.table.oid, key, mode, wait).await.map_err(|e| {
        if wait == Wait::NoWait && e.code() == SqlState::LOCK_NOT_AVAILABLE {
            let text = format!("could not obtain lock on row in relation \"{}\"", writer.table.name);
            return Error::new(SqlState::LOCK_NOT_AVAILABLE, text);
        }
        e
    })
}

pub(crate) fn concurrent(what: &str) -> Error {
    Error::new(SqlState::SERIALIZATION_FAILURE, format!("could not serialize access due to concurrent {what}"))
}
