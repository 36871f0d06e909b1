//! Conjuncts that compare a field of a time-series table with one value for the whole scan: the engine tests them, before it
//! reads anything else where it can, so they are not applied again above.

use super::name;
use super::range::Operand;
use super::row_filter::{comparison, integer, value};
use super::udf::as_sort_key;
use crate::bound::TableScan;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::Expr as Df;
use datafusion::physical_expr::PhysicalExpr;
use heddle_catalog::SeriesColumn;
use heddle_engines::condition::{Comparison, FieldCondition, FieldTest};
use heddle_types::{Class, Datum, Error, PgType, Result};
use std::sync::Arc;

/// Such a conjunct, made ready.
#[derive(Clone, Debug)]
pub(super) struct FieldFilter {
    /// Place in `table.columns`
    pub column: usize,
    field: usize,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Null,
    NotNull,
    Compare(Comparison, Operand),
}

/// What a conjunct says about a field.
enum Written<'a> {
    Null,
    NotNull,
    Compare { comparison: Comparison, value: &'a Df, keyed: bool, ty: PgType },
}

/// Is it such a conjunct?
pub(super) fn is_field_filter(scan: &TableScan, filter: &Df) -> bool {
    parse(scan, filter).is_some()
}

impl FieldFilter {
    /// The conjunct, if it is one; `physical` makes expressions over no columns.
    pub fn new(
        scan: &TableScan,
        filter: &Df,
        physical: &dyn Fn(&Df) -> DfResult<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Option<Self>> {
        let Some((column, field, written)) = parse(scan, filter) else { return Ok(None) };
        let test = match written {
            Written::Null => Test::Null,
            Written::NotNull => Test::NotNull,
            Written::Compare { comparison, value, keyed, ty } => {
                Test::Compare(comparison, Operand { expr: physical(value)?, keyed, ty })
            }
        };
        Ok(Some(Self { column, field, test }))
    }

    /// What the engine tests; None when no value can pass, because it is compared with NULL.
    pub fn condition(&self) -> Result<Option<FieldCondition>> {
        let test = match &self.test {
            Test::Null => FieldTest::Null,
            Test::NotNull => FieldTest::NotNull,
            Test::Compare(comparison, operand) => match value(operand)? {
                Datum::Null => return Ok(None),
                Datum::Float4(v) => FieldTest::Float(*comparison, v.into()),
                Datum::Float8(v) => FieldTest::Float(*comparison, v),
                other => {
                    let int = other.as_i64().ok_or_else(|| Error::internal("a field is compared with no number"))?;
                    FieldTest::Int(*comparison, int)
                }
            },
        };
        Ok(Some(FieldCondition { field: self.field, test }))
    }
}

/// (place in `table.columns`, field, what is said about it)
fn parse<'a>(scan: &TableScan, filter: &'a Df) -> Option<(usize, usize, Written<'a>)> {
    match filter {
        Df::IsNull(e) => plain(scan, e).map(|(column, field)| (column, field, Written::Null)),
        Df::IsNotNull(e) => plain(scan, e).map(|(column, field)| (column, field, Written::NotNull)),
        Df::Not(e) => match &**e {
            Df::IsNull(e) => plain(scan, e).map(|(column, field)| (column, field, Written::NotNull)),
            _ => None,
        },
        Df::BinaryExpr(b) => {
            let comparison = comparison(b.op)?;
            compare(scan, &b.left, comparison, &b.right)
                .or_else(|| compare(scan, &b.right, comparison.swapped(), &b.left))
        }
        _ => None,
    }
}

fn compare<'a>(
    scan: &TableScan,
    tested: &Df,
    comparison: Comparison,
    value: &'a Df,
) -> Option<(usize, usize, Written<'a>)> {
    if !value.column_refs().is_empty() {
        return None;
    }
    let (inner, keyed) = match as_sort_key(tested) {
        Some(inner) => (inner, true),
        None => (tested, false),
    };
    let (inner, wide) = match inner {
        Df::Cast(cast) => (&*cast.expr, Some(integer(cast.field.data_type())?)),
        other => (other, None),
    };
    let (column, field) = plain(scan, inner)?;
    let own = scan.table.columns[column].ty;
    let suits = match (own.class(), keyed) {
        (Class::Int2 | Class::Int4 | Class::Int8, false) => true,
        // Floats compare by their sort keys.
        (Class::Float4 | Class::Float8, true) => wide.is_none(),
        _ => false,
    };
    let ty = wide.unwrap_or(own);
    suits.then_some((column, field, Written::Compare { comparison, value, keyed, ty }))
}

/// A field: its place in `table.columns` and in the layout.
fn plain(scan: &TableScan, e: &Df) -> Option<(usize, usize)> {
    let Df::Column(c) = e else { return None };
    let (_, column) = scan.columns.iter().find(|(id, _)| name(*id) == c.name)?;
    match scan.table.series_column(*column)? {
        SeriesColumn::Field(field) => Some((*column, field)),
        _ => None,
    }
}
