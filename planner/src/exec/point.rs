//! The shape of most requests of an OLTP program: plain columns of the one row under a complete unique key.
//!
//! Compiled once per plan to what the read needs and no more: parameters are the key, the tuple's values are the answer. No
//! evaluation context, no Arrow, no transaction, no allocation: the session gives it a [`RowGlance`] and memory to work in.

use super::direct::{Direct, Form, Get, Source, Stage, as_key};
use crate::bound::{ColId, Expr, OutputColumn, TableScan};
use heddle_engines::RowGlance;
use heddle_types::key::{self, KeyOrder};
use heddle_types::row::RowLayout;
use heddle_types::{Datum, Oid, PgType, Result, StorageId};

/// See the module.
pub struct PointRead {
    table: Oid,
    storage: StorageId,
    /// A secondary index's own storage: its rows are keys of the table.
    index: Option<StorageId>,
    key: Vec<Part>,
    layout: RowLayout,
    /// Attributes to show, in the client's order.
    columns: Vec<usize>,
}

/// What a read works in; kept from one to the next.
#[derive(Default)]
pub struct PointScratch {
    key: Vec<u8>,
    /// Of the table, when the read goes through another index.
    row_key: Vec<u8>,
    values: Vec<Datum>,
}

impl PointScratch {
    /// The row's values in the order of the output columns.
    pub fn values(&self) -> &[Datum] {
        &self.values
    }

    /// Lets go of them: texts may be large.
    pub fn clear(&mut self) {
        self.values.clear();
    }
}

/// One column of the key.
struct Part {
    value: Value,
    ty: PgType,
    order: KeyOrder,
}

enum Value {
    Param(usize),
    Literal(Datum),
}

impl PointRead {
    /// What `plan` comes down to, if it is no more than such a read.
    pub(super) fn compile(plan: &Direct, output: &[OutputColumn]) -> Option<Self> {
        let Source::Get(get) = &plan.source else { return None };
        let Form::Row(layout) = &get.form else { return None };
        let mut shown: Vec<(ColId, usize)> = get.scan.columns.clone();
        for stage in &plan.stages {
            let Stage::Project(exprs) = stage else { return None };
            shown = exprs.iter().map(|(id, e)| Some((*id, place(&shown, e)?))).collect::<Option<_>>()?;
        }
        // Names of reg* values are looked up in the catalog.
        if output.iter().any(|c| c.ty.element().unwrap_or(c.ty).is_reg()) {
            return None;
        }
        let columns = output.iter().map(|c| find(&shown, c.id)).collect::<Option<_>>()?;
        let TableScan { table, .. } = &get.scan;
        Some(Self {
            table: table.oid,
            storage: table.storage,
            index: table.indexes[get.index].storage,
            key: key_parts(get)?,
            layout: layout.clone(),
            columns,
        })
    }

    /// The table it reads.
    pub fn table(&self) -> Oid {
        self.table
    }

    /// Reads the row's values; false when there is no such row.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch, `58030` on read errors.
    pub fn run(&self, params: &[Datum], view: &dyn RowGlance, scratch: &mut PointScratch) -> Result<bool> {
        let PointScratch { key, row_key, values } = scratch;
        if !self.encode_key(params, key) {
            return Ok(false);
        }
        let mut key: &[u8] = key;
        if let Some(index) = self.index {
            row_key.clear();
            if !view.look(index, key, &mut |entry| row_key.extend_from_slice(entry))? {
                return Ok(false);
            }
            key = row_key;
        }
        let mut decoded = Ok(());
        let found = view.look(self.storage, key, &mut |row| {
            decoded = self.layout.decode_some_into(row, &self.columns, values);
        })?;
        decoded.map(|()| found)
    }

    /// False when no row can have such a key.
    fn encode_key(&self, params: &[Datum], key: &mut Vec<u8>) -> bool {
        key.clear();
        self.key.iter().all(|part| {
            let value = match &part.value {
                Value::Param(i) => &params[*i],
                Value::Literal(value) => value,
            };
            as_key(value.clone(), part.ty).is_some_and(|value| {
                key::encode(key, &value, part.order);
                true
            })
        })
    }
}

fn find(shown: &[(ColId, usize)], id: ColId) -> Option<usize> {
    shown.iter().find(|(c, _)| *c == id).map(|(_, i)| *i)
}

fn place(shown: &[(ColId, usize)], expr: &Expr) -> Option<usize> {
    let Expr::Column { id, .. } = expr else { return None };
    find(shown, *id)
}

fn key_parts(get: &Get) -> Option<Vec<Part>> {
    let table = &get.scan.table;
    let columns = table.indexes[get.index].columns.iter().zip(&get.key);
    columns
        .map(|(column, expr)| {
            let value = match expr {
                Expr::Param { index, .. } => Value::Param(*index),
                Expr::Literal { value, .. } => Value::Literal(value.clone()),
                _ => return None,
            };
            Some(Part { value, ty: table.columns[column.attnum as usize - 1].ty, order: column.order })
        })
        .collect()
}
