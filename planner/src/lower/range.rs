//! Which keys a scan has to read: from the conjuncts DataFusion pushed down to it.
//!
//! Only narrows: the plan filters again above the scan. Bounds are expressions without columns, evaluated when the scan starts,
//! so that outer references and constants are treated alike.

use super::cell::is_steady;
use super::udf::as_sort_key;
use crate::bound::TableScan;
use bytes::Bytes;
use datafusion::common::DFSchema;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr as Df, Operator};
use datafusion::physical_expr::PhysicalExpr;
use heddle_catalog::{IndexDef, IndexState};
use heddle_engines::KeyRange;
use heddle_types::{Datum, PgType, key};
use std::ops::Bound;
use std::sync::Arc;

/// More points than this are read as a scan of the prefix.
pub(super) const POINTS_MAX: usize = 1024;

/// `column op value`, where value has no columns.
#[derive(Clone)]
pub(super) struct Condition {
    /// Place in `table.columns`
    pub column: usize,
    pub op: Operator,
    /// One value, or several of an IN list (with Eq).
    pub values: Vec<Df>,
    /// The values are sort keys of the column's type.
    pub keyed: bool,
}

/// A bound that is evaluated when the scan starts.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub expr: Arc<dyn PhysicalExpr>,
    pub keyed: bool,
    pub ty: PgType,
}

/// How a scan reads its table.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// Place of the index in `table.indexes`; None = the table's own order without a primary key.
    pub index: Option<usize>,
    /// Values per leading key column.
    equal: Vec<Vec<Operand>>,
    lower: Option<(Operand, bool)>,
    upper: Option<(Operand, bool)>,
    /// Order of the key columns used.
    orders: Vec<key::KeyOrder>,
}

/// Can this conjunct narrow a scan?
pub(super) fn is_usable(scan: &TableScan, filter: &Df) -> bool {
    let key_column = |c: &Condition| {
        let attnum = scan.table.columns[c.column].attnum;
        scan.table.indexes.iter().any(|i| i.columns.iter().any(|k| k.attnum == attnum))
    };
    conditions(scan, filter).iter().any(key_column)
}

/// What a conjunct says about single columns.
pub(super) fn conditions(scan: &TableScan, filter: &Df) -> Vec<Condition> {
    match filter {
        Df::BinaryExpr(b) if b.op == Operator::And => {
            let mut out = conditions(scan, &b.left);
            out.extend(conditions(scan, &b.right));
            out
        }
        Df::BinaryExpr(b) if b.op == Operator::Or => points(scan, filter).into_iter().collect(),
        Df::BinaryExpr(b) => compare(scan, &b.left, b.op, &b.right)
            .or_else(|| compare(scan, &b.right, b.op.swap()?, &b.left))
            .into_iter()
            .collect(),
        Df::InList(list) if !list.negated && list.list.iter().all(is_free) => target(scan, &list.expr)
            .map(|(column, keyed)| Condition { column, op: Operator::Eq, values: list.list.clone(), keyed })
            .into_iter()
            .collect(),
        _ => vec![],
    }
}

/// `a = 1 OR a = 2 …`, which is what short IN lists become.
fn points(scan: &TableScan, filter: &Df) -> Option<Condition> {
    match filter {
        Df::BinaryExpr(b) if b.op == Operator::Or => {
            let (mut l, r) = (points(scan, &b.left)?, points(scan, &b.right)?);
            if l.column != r.column || l.keyed != r.keyed {
                return None;
            }
            l.values.extend(r.values);
            Some(l)
        }
        other => {
            let mut all = conditions(scan, other);
            match (all.pop(), all.is_empty()) {
                (Some(c), true) if c.op == Operator::Eq => Some(c),
                _ => None,
            }
        }
    }
}

fn compare(scan: &TableScan, column: &Df, op: Operator, value: &Df) -> Option<Condition> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq};
    if !matches!(op, Eq | Lt | LtEq | Gt | GtEq) || !is_free(value) {
        return None;
    }
    let (column, keyed) = target(scan, column)?;
    Some(Condition { column, op, values: vec![value.clone()], keyed })
}

/// Has no columns and is not volatile, so that it is one value for the whole scan.
fn is_free(e: &Df) -> bool {
    e.column_refs().is_empty() && is_steady(e)
}

fn target(scan: &TableScan, e: &Df) -> Option<(usize, bool)> {
    let (e, keyed) = match as_sort_key(e) {
        Some(inner) => (inner, true),
        None => (e, false),
    };
    let Df::Column(c) = e else { return None };
    let id: u32 = c.name.strip_prefix('c')?.parse().ok()?;
    let (_, i) = scan.columns.iter().find(|(col, _)| col.0 == id)?;
    // jsonb's sort key is not its storage key.
    let usable = scan.table.columns[*i].ty.oid != heddle_types::oid::JSONB;
    usable.then_some((*i, keyed))
}

/// The best way to read the table under these conjuncts.
pub(super) fn choose(
    scan: &TableScan,
    filters: &[Df],
    physical: &dyn Fn(&Df) -> DfResult<Arc<dyn PhysicalExpr>>,
) -> DfResult<Access> {
    let conditions: Vec<Condition> = filters.iter().flat_map(|f| conditions(scan, f)).collect();
    let usable = |i: &&IndexDef| i.state == IndexState::Valid;
    let mut best = Access { index: None, equal: vec![], lower: None, upper: None, orders: vec![] };
    let mut best_score = 0;
    for (at, index) in scan.table.indexes.iter().enumerate().filter(|(_, i)| usable(i)) {
        let access = with_index(scan, at, index, &conditions, physical)?;
        let score = access.score(index);
        if score > best_score {
            (best, best_score) = (access, score);
        }
    }
    Ok(best)
}

fn with_index(
    scan: &TableScan,
    at: usize,
    index: &IndexDef,
    conditions: &[Condition],
    physical: &dyn Fn(&Df) -> DfResult<Arc<dyn PhysicalExpr>>,
) -> DfResult<Access> {
    let mut access = Access { index: Some(at), equal: vec![], lower: None, upper: None, orders: vec![] };
    let mut points = 1;
    for column in &index.columns {
        let i = column.attnum as usize - 1;
        let ty = scan.table.columns[i].ty;
        let operand = |e: &Df, keyed: bool| {
            Ok::<_, datafusion::error::DataFusionError>(Operand { expr: physical(e)?, keyed, ty })
        };
        let mine: Vec<&Condition> = conditions.iter().filter(|c| c.column == i).collect();
        access.orders.push(column.order);
        let equal = mine.iter().filter(|c| c.op == Operator::Eq).min_by_key(|c| c.values.len());
        if let Some(c) = equal.filter(|c| points * c.values.len() <= POINTS_MAX) {
            points *= c.values.len();
            access.equal.push(c.values.iter().map(|e| operand(e, c.keyed)).collect::<DfResult<_>>()?);
            continue;
        }
        for c in mine {
            let value = operand(&c.values[0], c.keyed)?;
            // A descending column's bytes run the other way.
            match (c.op, column.order.desc) {
                (Operator::Gt | Operator::GtEq, false) | (Operator::Lt | Operator::LtEq, true) => {
                    access.lower = Some((value, matches!(c.op, Operator::GtEq | Operator::LtEq)));
                }
                (Operator::Lt | Operator::LtEq, false) | (Operator::Gt | Operator::GtEq, true) => {
                    access.upper = Some((value, matches!(c.op, Operator::GtEq | Operator::LtEq)));
                }
                _ => {}
            }
        }
        break;
    }
    Ok(access)
}

impl Access {
    fn score(&self, index: &IndexDef) -> usize {
        let complete = index.immediate() && self.equal.len() == index.columns.len();
        let used = self.equal.len() * 4 + usize::from(self.lower.is_some()) + usize::from(self.upper.is_some());
        match used {
            0 => 0,
            n => n * 2 + usize::from(index.primary) + if complete { 100 } else { 0 },
        }
    }

    /// Does it read less than everything?
    pub fn narrows(&self) -> bool {
        !self.equal.is_empty() || self.lower.is_some() || self.upper.is_some()
    }

    /// The ranges to read, ascending and disjoint; none when no row can match.
    pub fn ranges(&self) -> DfResult<Vec<KeyRange>> {
        let mut prefixes: Vec<Vec<u8>> = vec![vec![]];
        for (values, order) in self.equal.iter().zip(&self.orders) {
            let mut encoded = vec![];
            for v in values {
                encoded.extend(v.bytes(*order)?);
            }
            encoded.sort();
            encoded.dedup();
            prefixes = prefixes
                .iter()
                .flat_map(|p| encoded.iter().map(move |e| [p.as_slice(), e.as_slice()].concat()))
                .collect();
        }
        let mut out = vec![];
        for prefix in prefixes {
            out.extend(self.bounded(&prefix)?);
        }
        Ok(out)
    }

    fn bounded(&self, prefix: &[u8]) -> DfResult<Option<KeyRange>> {
        let mut range = KeyRange::prefix(prefix);
        if prefix.is_empty() {
            range = KeyRange::all();
        }
        let order = self.orders.get(self.equal.len()).copied().unwrap_or_default();
        if let Some((value, inclusive)) = &self.lower {
            let Some(bytes) = value.bytes(order)? else { return Ok(None) };
            let from = [prefix, &bytes].concat();
            range.lower = match inclusive {
                true => Bound::Included(from.into()),
                false => {
                    key::prefix_end(&from).map_or(Bound::Excluded(Bytes::from(from)), |e| Bound::Included(e.into()))
                }
            };
        }
        if let Some((value, inclusive)) = &self.upper {
            let Some(bytes) = value.bytes(order)? else { return Ok(None) };
            let to = [prefix, &bytes].concat();
            range.upper = match inclusive {
                true => key::prefix_end(&to).map_or(Bound::Unbounded, |e| Bound::Excluded(e.into())),
                false => Bound::Excluded(to.into()),
            };
        }
        Ok((!range.is_empty()).then_some(range))
    }
}

impl Operand {
    /// The value as a key column; None for NULL, which nothing equals.
    pub fn bytes(&self, order: key::KeyOrder) -> DfResult<Option<Vec<u8>>> {
        let array = self.evaluate()?;
        if heddle_types::arrow::is_null_at(&array, 0) {
            return Ok(None);
        }
        let mut out = vec![];
        if self.keyed {
            // The marker of a value, as `key::encode` writes it, then the sort key.
            key::encode(&mut out, &Datum::Bool(false), key::KeyOrder::default());
            out.truncate(1);
            let bytes = heddle_types::arrow::bytes_at(&array, 0);
            out.extend(bytes.iter().map(|b| if order.desc { !*b } else { *b }));
        } else {
            key::encode(&mut out, &heddle_types::arrow::datum_at(&array, self.ty, 0), order);
        }
        Ok(Some(out))
    }

    /// The value, of which this is not a sort key.
    pub fn value(&self) -> DfResult<Datum> {
        Ok(heddle_types::arrow::datum_at(&self.evaluate()?, self.ty, 0))
    }

    fn evaluate(&self) -> DfResult<arrow::array::ArrayRef> {
        let one = arrow::record_batch::RecordBatch::try_new_with_options(
            Arc::new(arrow::datatypes::Schema::empty()),
            vec![],
            &arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(1)),
        )?;
        self.expr.evaluate(&one)?.into_array(1)
    }
}

/// For [`choose`]: makes physical expressions over no columns.
pub(super) fn physical_free(
    session: &dyn datafusion::catalog::Session,
) -> impl Fn(&Df) -> DfResult<Arc<dyn PhysicalExpr>> + '_ {
    move |e| session.create_physical_expr(e.clone(), &DFSchema::empty())
}
