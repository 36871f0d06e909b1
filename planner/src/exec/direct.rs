//! Plans that need no DataFusion: a source of few rows (VALUES, one row by a complete unique key, or the groups of an aggregation
//! over series) and a line of simple stages. `SELECT 1`, point reads and the row sources of most INSERT, UPDATE and DELETE run here, on the caller's task.

use super::explain::{Names, Node};
use super::lock::lock_rows;
use super::rowset::{Column, RowSet};
use super::runtime::Engine;
use super::series::{self, SeriesCodec};
use super::series_aggregate::SeriesAggregate;
use crate::bound::{Call, Col, ColId, Expr, LockTarget, Rel, SortKey, TableScan};
use crate::context::EvalContext;
use crate::eval::{eval_constant, visit};
use crate::function::{self, Comparison, FuncId, Kind};
use heddle_engines::point::split_point_key;
use heddle_engines::{Row, RowReader};
use heddle_txn::ReadView;
use heddle_types::{Datum, Error, PgType, Result, SqlState, key};
use std::sync::Arc;

/// What EXPLAIN says of it: the table, the index, and the conditions by column.
type Described = (String, String, Vec<(String, Expr)>);

/// A direct plan.
pub(crate) struct Direct {
    pub(super) source: Source,
    pub(super) stages: Vec<Stage>,
}

pub(super) enum Source {
    Unit,
    Values { columns: Vec<Col>, rows: Vec<Vec<Expr>> },
    Get(Get),
    Series(Arc<SeriesAggregate>),
}

/// One row by all columns of a unique key.
pub(super) struct Get {
    pub scan: TableScan,
    pub form: Form,
    /// Attributes of `scan.columns`
    places: Vec<usize>,
    /// Place in `table.indexes`
    pub index: usize,
    /// A constant per key column, in its order.
    pub key: Vec<Expr>,
    /// The key says all that WHERE says.
    exact: bool,
}

/// How the row lies there.
pub(super) enum Form {
    Row(heddle_types::row::RowLayout),
    Point(Box<SeriesCodec>),
}

pub(super) enum Stage {
    Filter(Expr),
    Project(Vec<(ColId, Expr)>),
    Sort(Vec<SortKey>),
    Limit { limit: Option<Expr>, offset: Option<Expr> },
    Lock(Vec<LockTarget>),
}

impl Direct {
    /// The direct plan of `rel`, if it has one.
    pub fn compile(rel: &Rel) -> Option<Self> {
        match rel {
            Rel::Unit => Some(Self { source: Source::Unit, stages: vec![] }),
            Rel::Values { columns, rows } => {
                let simple = rows.iter().flatten().all(|e| !needs_plan(e));
                simple.then(|| Self {
                    source: Source::Values { columns: columns.clone(), rows: rows.clone() },
                    stages: vec![],
                })
            }
            Rel::Filter { input, predicate } => {
                if needs_plan(predicate) {
                    return None;
                }
                let mut plan = match &**input {
                    Rel::Table(scan) => {
                        let get = Get::find(scan, predicate)?;
                        let exact = get.exact;
                        let plan = Self { source: Source::Get(get), stages: vec![] };
                        if exact {
                            return Some(plan);
                        }
                        plan
                    }
                    other => Self::compile(other)?,
                };
                plan.stages.push(Stage::Filter(predicate.clone()));
                Some(plan)
            }
            Rel::Project { input, exprs } => {
                if exprs.iter().any(|(_, e)| needs_plan(e)) {
                    return None;
                }
                let mut plan = Self::compile(input)?;
                plan.stages.push(Stage::Project(exprs.clone()));
                Some(plan)
            }
            Rel::Aggregate { .. } => {
                let source = Source::Series(Arc::new(SeriesAggregate::compile(rel)?));
                Some(Self { source, stages: vec![] })
            }
            Rel::Sort { input, keys } if keys.iter().all(|k| !needs_plan(&k.expr)) => {
                let mut plan = Self::compile(input)?;
                match plan.source {
                    Source::Values { .. } => return None,
                    Source::Series(_) => plan.stages.push(Stage::Sort(keys.clone())),
                    // At most one row comes out, so its order is settled.
                    Source::Unit | Source::Get(_) => {}
                }
                Some(plan)
            }
            Rel::Limit { input, limit, offset, with_ties: false } => {
                if limit.iter().chain(offset).any(needs_plan) {
                    return None;
                }
                let mut plan = Self::compile(input)?;
                if let (Source::Series(series), Some(limit)) = (&mut plan.source, limit)
                    && let Some(series) = Arc::get_mut(series)
                {
                    series.note_limit(&plan.stages, limit, offset.as_ref());
                }
                plan.stages.push(Stage::Limit { limit: limit.clone(), offset: offset.clone() });
                Some(plan)
            }
            Rel::Lock { input, targets } => {
                if targets.iter().any(|t| t.recheck.as_ref().is_some_and(needs_plan)) {
                    return None;
                }
                let mut plan = Self::compile(input)?;
                plan.stages.push(Stage::Lock(targets.clone()));
                Some(plan)
            }
            _ => None,
        }
    }

    /// The index a point read uses, its table, and the value of each key column.
    pub fn describe(&self) -> Option<Described> {
        match &self.source {
            Source::Get(g) => {
                let (table, index) = (&g.scan.table, &g.scan.table.indexes[g.index]);
                let column = |attnum: i16| function::quote_ident(&table.columns[attnum as usize - 1].name);
                let key = index.columns.iter().zip(&g.key).map(|(c, e)| (column(c.attnum), e.clone())).collect();
                Some((index.name.clone(), table.name.clone(), key))
            }
            _ => None,
        }
    }

    /// Can it run with these parameters and settings? Otherwise DataFusion's plan has to.
    pub fn applies(&self, ctx: &EvalContext) -> bool {
        match &self.source {
            Source::Series(series) => series.applies(ctx),
            _ => true,
        }
    }

    /// What EXPLAIN shows, and the word for this way to run.
    pub fn explain(&self, names: &Names, ctx: &EvalContext, view: &ReadView) -> Result<(Node, &'static str)> {
        match &self.source {
            Source::Series(series) => {
                let source = series.explain(ctx, view)?;
                let node = self.stages.iter().fold(source, |below, stage| stage.explain(below, names));
                Ok((node, "series plan"))
            }
            _ => Ok((self.point_node(names), "point plan")),
        }
    }

    fn point_node(&self, names: &Names) -> Node {
        let Some((index, relation, key)) = self.describe() else { return Node::new("Result") };
        let parts: Vec<String> = key.iter().map(|(c, e)| format!("({c} = {})", names.text(e))).collect();
        let condition = if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" AND ")) };
        Node { index: Some(index), relation: Some(relation), ..Node::new("Index Scan") }
            .with("Index Cond", Some(condition))
    }

    /// Runs it.
    pub async fn run(&self, engine: &Arc<Engine>, ctx: &Arc<EvalContext>, view: &Arc<ReadView>) -> Result<RowSet> {
        let mut rows = match &self.source {
            Source::Unit => RowSet::unit(),
            Source::Values { columns, rows } => values(columns, rows, ctx)?,
            Source::Get(get) => get.run(ctx, view)?,
            Source::Series(series) => series.run(engine, ctx, view).await?,
        };
        for stage in &self.stages {
            rows = match stage {
                Stage::Filter(p) => rows.filter(p, ctx)?,
                Stage::Project(exprs) => project(&rows, exprs, ctx)?,
                Stage::Sort(keys) => rows.sort(keys, ctx)?,
                Stage::Limit { limit, offset } => {
                    let (skip, take) = limits(limit.as_ref(), offset.as_ref(), ctx)?;
                    let skip = skip.min(rows.rows);
                    rows.slice(skip, take.map_or(rows.rows - skip, |t| t.min(rows.rows - skip)))?
                }
                Stage::Lock(targets) => lock_rows(engine, targets, rows, ctx, view).await?,
            };
        }
        Ok(rows)
    }
}

impl Stage {
    /// Its node over `below`.
    fn explain(&self, below: Node, names: &Names) -> Node {
        match self {
            Self::Filter(e) => below.with("Filter", Some(names.text(e))),
            Self::Project(_) | Self::Lock(_) => below,
            Self::Sort(keys) => {
                let keys = keys.iter().map(|k| names.sort_key(k)).collect::<Vec<_>>().join(", ");
                Node { children: vec![below], ..Node::new("Sort").with("Sort Key", Some(keys)) }
            }
            Self::Limit { .. } => Node { children: vec![below], ..Node::new("Limit") },
        }
    }
}

/// Sub-queries need DataFusion; what waits must not do it on the thread that owns connections.
pub(super) fn needs_plan(expr: &Expr) -> bool {
    let waits = |e: &Expr| matches!(e, Expr::Call(c) if function::by_id(c.func).is_some_and(|f| f.waits));
    visit::any(expr, &|e| matches!(e, Expr::Outer { .. }) || waits(e) || visit::sub_query(e).is_some())
}

fn values(columns: &[Col], rows: &[Vec<Expr>], ctx: &EvalContext) -> Result<RowSet> {
    let output: Vec<(ColId, PgType)> = columns.iter().map(|c| (c.id, c.ty)).collect();
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|e| eval_constant(e, ctx)).collect::<Result<Vec<_>>>())
        .collect::<Result<Vec<_>>>()?;
    RowSet::from_rows(&output, &rows)
}

pub(crate) fn project(rows: &RowSet, exprs: &[(ColId, Expr)], ctx: &EvalContext) -> Result<RowSet> {
    let columns = exprs.iter().map(|(id, e)| Ok((*id, rows.eval(e, ctx)?))).collect::<Result<Vec<_>>>()?;
    Ok(RowSet { rows: rows.rows, columns })
}

/// (rows to skip, rows to return) of LIMIT and OFFSET.
///
/// # Errors
/// `2201W` and `2201X` for negative numbers.
pub(crate) fn limits(limit: Option<&Expr>, offset: Option<&Expr>, ctx: &EvalContext) -> Result<(usize, Option<usize>)> {
    let value = |e: Option<&Expr>| e.map_or(Ok(Datum::Null), |e| eval_constant(e, ctx));
    row_limits(&value(limit)?, &value(offset)?)
}

/// The same of values; NULL is none.
///
/// # Errors
/// `2201W` and `2201X` for negative numbers.
pub(crate) fn row_limits(limit: &Datum, offset: &Datum) -> Result<(usize, Option<usize>)> {
    let number = |d: &Datum, code: SqlState, word: &str| -> Result<Option<usize>> {
        if d.is_null() {
            return Ok(None);
        }
        let n = d.as_i64().ok_or_else(|| Error::internal(format!("{word} is not an integer")))?;
        usize::try_from(n).map(Some).map_err(|_| Error::new(code, format!("{word} must not be negative")))
    };
    let take = number(limit, SqlState::INVALID_ROW_COUNT_IN_LIMIT, "LIMIT")?;
    let skip = number(offset, SqlState::INVALID_ROW_COUNT_IN_OFFSET, "OFFSET")?;
    Ok((skip.unwrap_or(0), take))
}

impl Get {
    fn find(scan: &TableScan, predicate: &Expr) -> Option<Self> {
        let parts = visit::conjuncts(predicate);
        let usable = |i: &&heddle_catalog::IndexDef| i.immediate() && i.state == heddle_catalog::IndexState::Valid;
        let mut indexes: Vec<_> = scan.table.indexes.iter().filter(usable).collect();
        indexes.sort_by_key(|i| !i.primary);
        for index in indexes {
            let key: Option<Vec<Expr>> = index
                .columns
                .iter()
                .map(|c| {
                    let (id, _) = scan.columns.iter().find(|(_, i)| *i == c.attnum as usize - 1)?;
                    parts.iter().find_map(|p| equal_to(p, *id)).cloned()
                })
                .collect();
            if let Some(key) = key {
                let exact = parts.len() == key.len()
                    && index.columns.iter().all(|c| equal_as_keys(scan.table.columns[c.attnum as usize - 1].ty));
                let index = scan.table.indexes.iter().position(|i| i.oid == index.oid)?;
                let form = match SeriesCodec::of(&scan.table) {
                    Some(codec) => Form::Point(Box::new(codec)),
                    None => Form::Row(scan.table.layout()),
                };
                let places = scan.columns.iter().map(|(_, i)| *i).collect();
                return Some(Self { form, scan: scan.clone(), places, index, key, exact });
            }
        }
        None
    }

    fn run(&self, ctx: &EvalContext, view: &ReadView) -> Result<RowSet> {
        match self.fetch(ctx, view)? {
            Some(row) if self.shown(&row, ctx) => self.decode(&row, view),
            _ => {
                let scan = crate::eval::visit::output(&Rel::Table(self.scan.clone()));
                RowSet::empty(&scan)
            }
        }
    }

    fn fetch(&self, ctx: &EvalContext, view: &ReadView) -> Result<Option<Row>> {
        let table = &self.scan.table;
        let index = &table.indexes[self.index];
        let mut bytes = Vec::with_capacity(self.key.len() * 12);
        for (column, expr) in index.columns.iter().zip(&self.key) {
            let value = eval_constant(expr, ctx)?;
            let ty = table.columns[column.attnum as usize - 1].ty;
            let Some(value) = as_key(value, ty) else { return Ok(None) };
            key::encode(&mut bytes, &value, column.order);
        }
        match index.storage {
            None => view.get(table.storage, &bytes),
            Some(storage) => match view.get(storage, &bytes)? {
                Some(entry) => view.get(table.storage, &entry.row),
                None => Ok(None),
            },
        }
    }

    /// Has the row not outlived its table's retention?
    fn shown(&self, row: &Row, ctx: &EvalContext) -> bool {
        let Some(series) = &self.scan.table.series else { return true };
        let from = series::shown_from(series, ctx.statement_us);
        from.is_none_or(|from| split_point_key(&row.key).is_ok_and(|(_, time)| time >= from))
    }

    fn decode(&self, row: &Row, view: &ReadView) -> Result<RowSet> {
        let values = match &self.form {
            Form::Row(layout) => layout.decode_some(&row.row, &self.places)?,
            Form::Point(codec) => {
                let tags = match self.places.iter().any(|i| codec.is_tag(*i)) {
                    true => view.get(codec.tags_storage, split_point_key(&row.key)?.0)?,
                    false => None,
                };
                let values = codec.row(&row.key, &row.row, tags.as_ref().map(|t| &t.row[..]))?;
                self.places.iter().map(|i| values[*i].clone()).collect()
            }
        };
        let types = self.places.iter().map(|i| self.scan.table.columns[*i].ty);
        let one = |(((id, _), value), ty): ((&(ColId, usize), Datum), PgType)| (*id, Column::One(value, ty));
        let mut columns: Vec<_> = self.scan.columns.iter().zip(values).zip(types).map(one).collect();
        if let Some((key_id, index_id)) = self.scan.identity {
            let (bytea, int8) = (heddle_types::oid::BYTEA, heddle_types::oid::INT8);
            columns.push((key_id, Column::One(Datum::Bytea(Arc::from(&row.key[..])), PgType::new(bytea))));
            columns.push((index_id, Column::One(Datum::Int8(row.index.0 as i64), PgType::new(int8))));
        }
        Ok(RowSet { rows: 1, columns })
    }
}

/// The constant that `part` compares column `id` with, if it is `column = constant`.
pub(super) fn equal_to(part: &Expr, id: ColId) -> Option<&Expr> {
    let Expr::Call(call) = part else { return None };
    if call.args.len() != 2 || !is_equality(call.func) {
        return None;
    }
    let (a, b) = (&call.args[0], &call.args[1]);
    let constant = match (column_of(a), column_of(b)) {
        (Some((c, ty)), _) if c == id => Some((b, ty)),
        (_, Some((c, ty))) if c == id => Some((a, ty)),
        _ => None,
    };
    constant.filter(|(e, ty)| visit::is_constant(e) && comparable_forms(*ty, e.ty())).map(|(e, _)| e)
}

pub(super) fn is_equality(func: FuncId) -> bool {
    function::by_id(func).is_some_and(|f| matches!(f.kind, Kind::Compare(Comparison::Eq, _)))
}

/// A column, bare or under an implicit widening between integers; with the column's own type.
pub(super) fn column_of(expr: &Expr) -> Option<(ColId, PgType)> {
    match expr {
        Expr::Column { id, ty } => Some((*id, *ty)),
        Expr::Call(c) if c.args.len() == 1 && is_widening(c) => column_of(&c.args[0]),
        _ => None,
    }
}

fn is_widening(call: &Call) -> bool {
    let from = call.args[0].ty();
    match (integer_width(from), integer_width(call.ty)) {
        (Some(a), Some(b)) if a < b => function::cast(from.oid, call.ty.oid).is_some_and(|c| c.func == Some(call.func)),
        _ => false,
    }
}

fn integer_width(ty: PgType) -> Option<u8> {
    use heddle_types::oid;
    match ty.oid {
        oid::INT2 => Some(2),
        oid::INT4 => Some(4),
        oid::INT8 => Some(8),
        _ => None,
    }
}

/// Types whose values are equal exactly when their keys are the same bytes, whatever forms a value may have.
pub(super) fn equal_as_keys(ty: PgType) -> bool {
    use heddle_types::oid;
    matches!(ty.oid, oid::INT2 | oid::INT4 | oid::INT8 | oid::TEXT | oid::VARCHAR | oid::UUID)
}

pub(super) fn comparable_forms(column: PgType, constant: PgType) -> bool {
    if integer_width(column).is_some() {
        return integer_width(constant).is_some();
    }
    column.class() == constant.class()
        // char(n) keys carry no blanks; text constants may.
        && (column.oid == heddle_types::oid::BPCHAR) == (constant.oid == heddle_types::oid::BPCHAR)
}

/// The value in the column's own class; None when no row can be equal (NULL, or out of the column's range).
pub(crate) fn as_key(value: Datum, ty: PgType) -> Option<Datum> {
    use heddle_types::oid;
    if value.is_null() {
        return None;
    }
    let as_int = value.as_i64();
    match ty.oid {
        oid::INT2 => i16::try_from(as_int?).ok().map(Datum::Int2),
        oid::INT4 => i32::try_from(as_int?).ok().map(Datum::Int4),
        oid::INT8 => as_int.map(Datum::Int8),
        _ => Some(value),
    }
}
