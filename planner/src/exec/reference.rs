//! Foreign keys and deferrable unique keys: what a statement's rows owe to them is noted while they are written and settled when all are.
//!
//! Called by [`super::write::TableWriter`], which notes, and by INSERT, UPDATE, DELETE and COPY, which settle. Rows that
//! actions change owe in their turn, so that settling goes on until nothing is left.
//!
//! Invariants
//! 1. A referencing row is stored only while its transaction holds KEY SHARE on the referenced row.
//! 2. A referenced key is taken away only under UPDATE on its row, and then the newest state is searched for references: one
//!    of two transactions waits for the other and sees what it did.

use super::write::{Current, Fate, TableWriter, lock_newest};
use crate::bound::Expr;
use crate::context::EvalContext;
use crate::eval::eval_constant;
use bytes::Bytes;
use heddle_catalog::{Action, ConstraintDef, ForeignKey, IndexDef, Initially, Rule, TableDef};
use heddle_engines::{KeyRange, RowReader};
use heddle_txn::{RelationLock, RowLock, Wait};
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, key, oid};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Rows read at once while references are searched.
const BATCH_ROWS: usize = 1024;

/// What a written row owes, to every foreign key or to `only` one constraint.
#[derive(Clone)]
pub(crate) enum Debt {
    /// A row that refers to others was stored under `key`.
    Referencing { table: Oid, key: Bytes, values: Vec<Datum>, only: Option<Oid> },
    /// A row that others may refer to is gone or has another key now.
    Referenced { table: Oid, old: Vec<Datum>, new: Option<Vec<Datum>>, only: Option<Oid> },
    /// A row has a key now that a deferrable unique index may have twice.
    Key { table: Oid, index: Oid, values: Vec<Datum> },
}

impl Debt {
    /// The same to one constraint alone.
    fn to_one(&self, constraint: Oid) -> Self {
        let mut one = self.clone();
        match &mut one {
            Self::Referencing { only, .. } | Self::Referenced { only, .. } => *only = Some(constraint),
            Self::Key { .. } => {}
        }
        one
    }
}

/// The foreign keys that concern one table.
pub(crate) struct References {
    /// Its own: constraint and key
    pub own: Vec<(String, ForeignKey)>,
    /// Columns of it that others refer to
    pub referenced: Vec<i16>,
}

impl References {
    /// Those of `table` by the newest catalog: a key that was made after our snapshot counts too.
    pub fn of(table: &TableDef, writer_catalog: &heddle_catalog::CatalogSnapshot) -> Self {
        let own = foreign_keys(table).map(|(c, f)| (c.name.clone(), f.clone())).collect();
        let mut referenced = Vec::new();
        for other in writer_catalog.referencing(table.oid) {
            for (_, f) in foreign_keys(&other).filter(|(_, f)| f.table == table.oid) {
                referenced.extend_from_slice(&f.referenced);
            }
        }
        Self { own, referenced }
    }

    /// What a stored row owes; `old` is the row it replaces.
    pub fn stored(&self, table: Oid, key: &Bytes, values: &[Datum], old: Option<&[Datum]>) -> Vec<Debt> {
        let mut debts = Vec::new();
        let changed = |n: &i16| old.is_none_or(|old| old[*n as usize - 1] != values[*n as usize - 1]);
        if self.own.iter().any(|(_, f)| f.columns.iter().any(changed)) {
            debts.push(Debt::Referencing { table, key: key.clone(), values: values.to_vec(), only: None });
        }
        if let Some(old) = old
            && self.referenced.iter().any(changed)
        {
            debts.push(Debt::Referenced { table, old: old.to_vec(), new: Some(values.to_vec()), only: None });
        }
        debts
    }

    /// What a removed row owes.
    pub fn removed(&self, table: Oid, old: &[Datum]) -> Option<Debt> {
        (!self.referenced.is_empty()).then(|| Debt::Referenced { table, old: old.to_vec(), new: None, only: None })
    }
}

fn foreign_keys(table: &TableDef) -> impl Iterator<Item = (&ConstraintDef, &ForeignKey)> {
    table.constraints.iter().filter_map(|c| match &c.rule {
        Rule::References(f) => Some((c, f)),
        Rule::Check(_) => None,
    })
}

/// Settles what the rows of one statement owe.
///
/// # Errors
/// `23503`; whatever an action's own changes raise.
pub(crate) async fn settle(writer: &TableWriter) -> Result<()> {
    let debts = writer.take_debts();
    if debts.is_empty() {
        return Ok(());
    }
    let catalog = Arc::clone(writer.txn.newest().catalog());
    let mut work = Settling::over(writer);
    (work.ctx, work.debts, work.mode) = (Arc::new(writer.ctx.at(catalog)), debts.into(), Mode::Statement);
    work.pay_all().await
}

/// When debts are paid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// After a statement: those of deferred constraints wait.
    Statement,
    /// Before COMMIT: all.
    End,
    /// Rows that are there already are looked at; referenced rows need no lock, since their tables have one or their
    /// constraint holds for whoever removes them.
    Verify,
}

/// Debts being settled, or rows that are there being verified.
pub(crate) struct Settling {
    ctx: Arc<EvalContext>,
    writers: BTreeMap<Oid, Arc<TableWriter>>,
    debts: VecDeque<Debt>,
    mode: Mode,
}

impl Settling {
    /// For rows of `writer`'s table that are there already; the referenced tables are locked against writers.
    pub fn over(writer: &TableWriter) -> Self {
        Self { ctx: Arc::clone(&writer.ctx), writers: BTreeMap::new(), debts: VecDeque::new(), mode: Mode::Verify }
    }

    /// What was put off until now.
    pub fn at_end(ctx: Arc<EvalContext>, debts: Vec<Debt>) -> Self {
        Self { ctx, writers: BTreeMap::new(), debts: debts.into(), mode: Mode::End }
    }

    /// Pays until nothing is owed.
    ///
    /// # Errors
    /// `23503`; whatever an action's own changes raise.
    pub async fn pay_all(&mut self) -> Result<()> {
        while let Some(debt) = self.debts.pop_front() {
            self.pay(debt).await?;
        }
        Ok(())
    }

    /// Does this constraint wait for the end of the transaction?
    fn waits(&self, constraint: Oid, deferrable: Option<Initially>) -> bool {
        self.mode == Mode::Statement && self.ctx.session.deferred.lock().waits(constraint, deferrable)
    }

    fn put_off(&self, debt: Debt) {
        self.ctx.session.deferred.lock().put_off(debt);
    }

    /// Does a row refer to one that is there (ADD FOREIGN KEY, VALIDATE)?
    ///
    /// # Errors
    /// `23503`
    pub async fn verify(&mut self, table: &TableDef, name: &str, f: &ForeignKey, values: &[Datum]) -> Result<()> {
        self.check_referencing(table, name, f, values).await
    }

    /// The writer of a table that holds at least `mode` on it.
    async fn writer(&mut self, table: Oid, mode: RelationLock) -> Result<Option<Arc<TableWriter>>> {
        let txn = self.ctx.txn.clone().ok_or_else(|| Error::internal("a write needs a transaction"))?;
        txn.lock_relation(table, mode, Wait::Block).await?;
        if let Some(writer) = self.writers.get(&table) {
            return Ok(Some(Arc::clone(writer)));
        }
        let Some(def) = txn.newest().catalog().table(table) else { return Ok(None) };
        let writer = Arc::new(TableWriter::new(def, Arc::clone(&self.ctx))?);
        self.writers.insert(table, Arc::clone(&writer));
        Ok(Some(writer))
    }

    async fn pay(&mut self, debt: Debt) -> Result<()> {
        match &debt {
            Debt::Referencing { table, key, values, only } => {
                let Some(writer) = self.writer(*table, RelationLock::RowExclusive).await? else { return Ok(()) };
                let Some(now) = writer.current(key)? else { return Ok(()) };
                let table = Arc::clone(&writer.table);
                for (c, f) in foreign_keys(&table).filter(|(c, _)| only.is_none_or(|o| o == c.oid)) {
                    if picked(&now.values, &f.columns) != picked(values, &f.columns) {
                        // A row that changed again owes again.
                    } else if self.waits(c.oid, f.initially()) {
                        self.put_off(debt.to_one(c.oid));
                    } else {
                        self.check_referencing(&table, &c.name, f, values).await?;
                    }
                }
            }
            Debt::Referenced { table, old, new, only } => {
                for other in self.ctx.catalog.referencing(*table) {
                    let keys =
                        foreign_keys(&other).filter(|(c, f)| f.table == *table && only.is_none_or(|o| o == c.oid));
                    for (c, f) in keys {
                        let rule = if new.is_some() { f.on_update } else { f.on_delete };
                        // Actions never wait, nor does RESTRICT.
                        if rule == Action::NoAction && self.waits(c.oid, f.initially()) {
                            self.put_off(debt.to_one(c.oid));
                        } else {
                            self.act(&other, &c.name, f, old, new.as_deref()).await?;
                        }
                    }
                }
            }
            Debt::Key { table, index, values } => {
                let Some(writer) = self.writer(*table, RelationLock::RowExclusive).await? else { return Ok(()) };
                let Some(index) = writer.table.indexes.iter().find(|i| i.oid == *index) else { return Ok(()) };
                if self.waits(index.constraint.unwrap_or_default(), index.deferrable) {
                    self.put_off(debt);
                } else {
                    writer.check_key(index, values).await?;
                }
            }
        }
        Ok(())
    }

    /// Is the row that `values` refer to there? If so, it stays until our transaction ends.
    async fn check_referencing(
        &mut self,
        table: &TableDef,
        name: &str,
        f: &ForeignKey,
        values: &[Datum],
    ) -> Result<()> {
        let own = picked(values, &f.columns);
        let nulls = own.iter().filter(|v| v.is_null()).count();
        if nulls > 0 && (!f.full || nulls == own.len()) {
            return Ok(());
        }
        let text = format!("insert or update on table \"{}\" violates foreign key constraint \"{name}\"", table.name);
        let schema = self.schema(table);
        let violation = |detail: String| {
            Error::new(SqlState::FOREIGN_KEY_VIOLATION, text.clone())
                .detail(detail)
                .relation(&schema, &table.name)
                .constraint(name)
        };
        if nulls > 0 {
            return Err(violation("MATCH FULL does not allow mixing of null and nonnull key values.".to_owned()));
        }
        let target = self.writer(f.table, RelationLock::RowShare).await?;
        let missing = |target: &str| {
            let columns: Vec<&str> = f.columns.iter().map(|n| table.columns[*n as usize - 1].name.as_str()).collect();
            let texts: Vec<String> = f
                .columns
                .iter()
                .map(|n| {
                    heddle_types::text::to_string(
                        &values[*n as usize - 1],
                        table.columns[*n as usize - 1].ty,
                        &self.ctx.text,
                    )
                })
                .collect();
            violation(format!(
                "Key ({})=({}) is not present in table \"{target}\".",
                columns.join(", "),
                texts.join(", ")
            ))
        };
        let Some(target) = target else { return Err(missing("?")) };
        let mut row = vec![Datum::Null; target.table.columns.len()];
        for (value, n) in own.into_iter().zip(&f.referenced) {
            let ty = target.table.columns[*n as usize - 1].ty;
            match converted(value, ty) {
                Some(value) => row[*n as usize - 1] = value,
                None => return Err(missing(&target.table.name)),
            }
        }
        if target.holds_key(f.index, &row, self.mode != Mode::Verify).await? {
            Ok(())
        } else {
            Err(missing(&target.table.name))
        }
    }

    fn schema(&self, table: &TableDef) -> String {
        self.ctx.catalog.schema_by_oid(table.schema).map_or_else(String::new, |s| s.name.clone())
    }

    /// What a foreign key of `other` does about a referenced row that is gone or has another key.
    async fn act(
        &mut self,
        other: &Arc<TableDef>,
        name: &str,
        f: &ForeignKey,
        old: &[Datum],
        new: Option<&[Datum]>,
    ) -> Result<()> {
        let key = picked(old, &f.referenced);
        let kept = new.is_some_and(|new| picked(new, &f.referenced) == key);
        if kept || key.iter().any(Datum::is_null) {
            return Ok(());
        }
        let rule = if new.is_some() { f.on_update } else { f.on_delete };
        let changes = !matches!(rule, Action::NoAction | Action::Restrict);
        let mode = if changes { RelationLock::RowExclusive } else { RelationLock::RowShare };
        let Some(writer) = self.writer(other.oid, mode).await? else { return Ok(()) };
        if rule == Action::NoAction && self.replaced(f, old).await? {
            return Ok(());
        }
        let mut wanted = vec![Datum::Null; other.columns.len()];
        for (value, n) in key.into_iter().zip(&f.columns) {
            match converted(value, other.columns[*n as usize - 1].ty) {
                Some(value) => wanted[*n as usize - 1] = value,
                // A value the other column cannot have is referred to by nobody.
                None => return Ok(()),
            }
        }
        for row in referring(&writer, f, &wanted).await? {
            if !changes {
                return Err(self.still_referenced(other, name, f, old));
            }
            self.change(&writer, f, rule, &row, &wanted, new).await?;
        }
        // The default may be the very key that is gone.
        let again = rule == Action::SetDefault && !referring(&writer, f, &wanted).await?.is_empty();
        if again && !self.replaced(f, old).await? {
            return Err(self.still_referenced(other, name, f, old));
        }
        Ok(())
    }

    /// Has another row the key by now? Then nobody misses the old one.
    async fn replaced(&mut self, f: &ForeignKey, old: &[Datum]) -> Result<bool> {
        let Some(target) = self.writer(f.table, RelationLock::RowShare).await? else { return Ok(false) };
        target.holds_key(f.index, old, true).await
    }

    fn still_referenced(&self, other: &TableDef, name: &str, f: &ForeignKey, old: &[Datum]) -> Error {
        let target = self.ctx.catalog.table(f.table);
        let target_name = target.as_ref().map_or("?", |t| t.name.as_str());
        let part = |n: &i16| target.as_ref().map(|t| &t.columns[*n as usize - 1]);
        let columns: Vec<&str> = f.referenced.iter().filter_map(|n| part(n).map(|c| c.name.as_str())).collect();
        let value =
            |n: &i16| part(n).map(|c| heddle_types::text::to_string(&old[*n as usize - 1], c.ty, &self.ctx.text));
        let texts: Vec<String> = f.referenced.iter().filter_map(value).collect();
        let text = format!(
            "update or delete on table \"{target_name}\" violates foreign key constraint \"{name}\" on table \"{}\"",
            other.name
        );
        Error::new(SqlState::FOREIGN_KEY_VIOLATION, text)
            .detail(format!(
                "Key ({})=({}) is still referenced from table \"{}\".",
                columns.join(", "),
                texts.join(", "),
                other.name
            ))
            .relation(self.schema(other), &other.name)
            .constraint(name)
    }

    /// CASCADE, SET NULL or SET DEFAULT of one row.
    async fn change(
        &mut self,
        writer: &Arc<TableWriter>,
        f: &ForeignKey,
        rule: Action,
        row: &Current,
        wanted: &[Datum],
        new: Option<&[Datum]>,
    ) -> Result<()> {
        let newest = writer.txn.newest();
        let fate = lock_newest(writer, &row.key, row.index, &newest, RowLock::Update, Wait::Block).await?;
        let current = match fate {
            Fate::Gone => return Ok(()),
            Fate::Same(current) | Fate::Newer(current) => current,
        };
        if picked(&current.values, &f.columns) != picked(wanted, &f.columns) {
            return Ok(());
        }
        let table = &writer.table;
        let mut values = current.values.clone();
        for (at, n) in f.columns.iter().enumerate() {
            let column = &table.columns[*n as usize - 1];
            values[*n as usize - 1] = match (rule, new) {
                (Action::Cascade, Some(new)) => converted(new[f.referenced[at] as usize - 1].clone(), column.ty)
                    .ok_or_else(|| {
                        let text = format!("{} out of range", PgType::new(column.ty.oid).sql_name());
                        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text)
                    })?,
                (Action::SetDefault, _) => match &column.default {
                    Some(stored) => self.default(&crate::bind::stored_expr(stored)?)?,
                    None => Datum::Null,
                },
                _ => Datum::Null,
            };
        }
        match (rule, new) {
            (Action::Cascade, None) => writer.delete(&current)?,
            _ => {
                writer.update(&current, &mut values).await?;
            }
        }
        self.debts.extend(writer.take_debts());
        Ok(())
    }

    fn default(&self, expr: &Expr) -> Result<Datum> {
        eval_constant(expr, &self.ctx)
    }
}

fn picked(values: &[Datum], columns: &[i16]) -> Vec<Datum> {
    columns.iter().map(|n| values[*n as usize - 1].clone()).collect()
}

/// An integer as another integer type has it; None when it cannot. Everything else is as it is.
fn converted(value: Datum, ty: PgType) -> Option<Datum> {
    let n = match value {
        Datum::Int2(n) => i64::from(n),
        Datum::Int4(n) => i64::from(n),
        Datum::Int8(n) => n,
        other => return Some(other),
    };
    match ty.oid {
        oid::INT2 => n.try_into().ok().map(Datum::Int2),
        oid::INT4 => n.try_into().ok().map(Datum::Int4),
        _ => Some(Datum::Int8(n)),
    }
}

/// The rows of `writer`'s table that have these values in the referencing columns, in the newest state.
async fn referring(writer: &TableWriter, f: &ForeignKey, wanted: &[Datum]) -> Result<Vec<Current>> {
    // Rows that refer to ours are committed, but perhaps not visible: their locks on ours are gone.
    writer.txn.everything_visible().await?;
    let newest = writer.txn.newest();
    let (mut found, mut rows) = (Vec::new(), Vec::new());
    let same = |values: &[Datum]| picked(values, &f.columns) == picked(wanted, &f.columns);
    let (storage, range, secondary) = access(&writer.table, f, wanted);
    let mut cursor = newest.scan(storage, range, false)?;
    loop {
        let more = cursor.next_batch(BATCH_ROWS, &mut rows)?;
        for row in rows.drain(..) {
            let row = if secondary { newest.get(writer.table.storage, &row.row)? } else { Some(row) };
            let Some(row) = row else { continue };
            let values = writer.layout.decode(&row.row)?;
            if same(&values) {
                found.push(Current { key: row.key, index: row.index.0, values, state: newest.index() });
            }
        }
        if !more {
            return Ok(found);
        }
        if let Some(e) = writer.ctx.interrupted() {
            return Err(e);
        }
    }
}

/// Where to look: an index that begins with the referencing columns, or the whole table.
fn access(table: &TableDef, f: &ForeignKey, wanted: &[Datum]) -> (heddle_types::StorageId, KeyRange, bool) {
    let leads = |i: &&IndexDef| {
        let n = f.columns.len();
        i.columns.len() >= n && i.columns[..n].iter().all(|c| f.columns.contains(&c.attnum))
    };
    let Some(index) = table.indexes.iter().find(leads) else { return (table.storage, KeyRange::all(), false) };
    let mut prefix = Vec::new();
    for column in &index.columns[..f.columns.len()] {
        key::encode(&mut prefix, &wanted[column.attnum as usize - 1], column.order);
    }
    (index.storage.unwrap_or(table.storage), KeyRange::prefix(&prefix), index.storage.is_some())
}
