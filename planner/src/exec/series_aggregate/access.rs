//! Which series and times a WHERE means, read off its bound conjuncts: `time op constant`, and conditions over tags alone.
//!
//! The short form of [`crate::lower`]'s series access: no DataFusion expression is made, constants are evaluated when the
//! statement runs. A WHERE with anything else in it has none.

use super::super::direct::{as_key, column_of, equal_as_keys, equal_to, is_equality};
use crate::bound::{Call, ColId, Expr, TableScan};
use crate::context::EvalContext;
use crate::eval::{self, Columns, eval_constant, visit};
use crate::exec::series::{SeriesCodec, series_keys, shown_from};
use crate::function::{self, Comparison, Kind};
use crate::lower::series_access::{Selection, Tags};
use arrow::array::ArrayRef;
use bytes::Bytes;
use heddle_catalog::SeriesColumn;
use heddle_txn::ReadView;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::{Datum, PgType, Result};
use std::collections::{BTreeMap, HashMap};

/// More series keys than this are not put together from values of their tags; the list of all series is looked through.
const KEYS_MAX: usize = 4096;

/// See the module.
pub(crate) struct Access {
    pub scan: TableScan,
    pub codec: SeriesCodec,
    /// `time op constant`
    times: Vec<(Comparison, Expr)>,
    /// Conditions without columns.
    constants: Vec<Expr>,
    /// Per primary tag the values it is compared with, when each has some.
    keys: Option<Vec<Values>>,
    /// Conditions over tags that `keys` does not answer.
    filters: Vec<Expr>,
    /// Those that it does.
    key_filters: Vec<Expr>,
}

/// What a primary tag may be.
#[derive(Clone)]
enum Values {
    List(Vec<Expr>),
    /// The elements of an array.
    Array(Expr),
}

impl Access {
    /// Of a scan under a WHERE; None when something in it is about more than series and time.
    pub fn compile(scan: &TableScan, predicate: Option<&Expr>) -> Option<Self> {
        let codec = SeriesCodec::of(&scan.table).filter(|_| scan.identity.is_none())?;
        let (mut times, mut constants, mut about_tags) = (vec![], vec![], vec![]);
        for part in predicate.map_or(vec![], visit::conjuncts) {
            if visit::is_constant(part) {
                constants.push(part.clone());
            } else if let Some(bound) = time_bound(scan, part) {
                times.push(bound);
            } else if is_about_tags(scan, part) {
                about_tags.push(part);
            } else {
                return None;
            }
        }
        let mut keys = Some(vec![]);
        let mut used = vec![];
        for attnum in scan.table.series.as_ref().map_or(&[][..], |s| &s.primary_tags) {
            let column = *attnum as usize - 1;
            let found = about_tags.iter().enumerate().find_map(|(i, part)| Some((i, values(scan, column, part)?)));
            let Some((i, values)) = found else {
                keys = None;
                break;
            };
            used.push(i);
            keys.as_mut()?.push(values);
        }
        let answered = |i: &usize| keys.is_some() && used.contains(i);
        let pick = |wanted: bool| {
            let parts = about_tags.iter().enumerate().filter(|(i, _)| answered(i) == wanted);
            parts.map(|(_, part)| (*part).clone()).collect()
        };
        let (key_filters, filters) = (pick(true), pick(false));
        Some(Self { scan: scan.clone(), codec, times, constants, keys, filters, key_filters })
    }

    /// Is every series named by its key?
    pub fn names_series(&self) -> bool {
        self.keys.is_some()
    }

    /// Is it about one series at most?
    pub fn is_single(&self) -> bool {
        let one = |values: &Values| matches!(values, Values::List(list) if list.len() == 1);
        self.keys.as_ref().is_some_and(|keys| keys.iter().all(one))
    }

    /// Decides what to read; None when no point can match. `list` asks for the list of series in any case.
    pub fn select(&self, ctx: &EvalContext, view: &ReadView, list: bool) -> Result<Option<Selection>> {
        for condition in &self.constants {
            if eval_constant(condition, ctx)? != Datum::Bool(true) {
                return Ok(None);
            }
        }
        let Some((from_us, to_us)) = self.bounds(ctx)? else { return Ok(None) };
        let (series, all) = match self.direct(ctx)? {
            Some(series) => (Some(self.matching(&self.filters, series, ctx, view)?), None),
            None if self.filters.is_empty() && self.key_filters.is_empty() && !list => (None, None),
            None => {
                let all = view.series(self.scan.table.storage)?;
                let series = self.matching(&self.key_filters, all.clone(), ctx, view)?;
                (Some(self.matching(&self.filters, series, ctx, view)?), Some(all))
            }
        };
        let none = series.as_ref().is_some_and(Vec::is_empty);
        Ok((!none).then_some(Selection { series, all, from_us, to_us, conditions: vec![] }))
    }

    /// First and last time, both included.
    fn bounds(&self, ctx: &EvalContext) -> Result<Option<(i64, i64)>> {
        let shown = self.scan.table.series.as_ref().and_then(|s| shown_from(s, ctx.statement_us));
        // Points are never at an infinity.
        let (mut from, mut to) = (shown.unwrap_or(i64::MIN + 1), i64::MAX - 1);
        for (op, value) in &self.times {
            let Datum::Timestamp(us) = eval_constant(value, ctx)? else { return Ok(None) };
            match op {
                Comparison::Gt => from = from.max(us.saturating_add(1)),
                Comparison::Ge => from = from.max(us),
                Comparison::Lt => to = to.min(us.saturating_sub(1)),
                Comparison::Le => to = to.min(us),
                Comparison::Eq | Comparison::Ne => (from, to) = (from.max(us), to.min(us)),
            }
        }
        Ok((from <= to).then_some((from, to)))
    }

    /// The series keys that the values of the primary tags give, ascending; None when they do not, or give too many.
    fn direct(&self, ctx: &EvalContext) -> Result<Option<Vec<Bytes>>> {
        let (Some(columns), Some(series)) = (&self.keys, &self.scan.table.series) else { return Ok(None) };
        let (mut tags, mut keys) = (Vec::with_capacity(columns.len()), 1usize);
        for (values, attnum) in columns.iter().zip(&series.primary_tags) {
            let ty = self.scan.table.columns[*attnum as usize - 1].ty;
            let values: Vec<Datum> = values.evaluate(ctx)?.into_iter().filter_map(|value| as_key(value, ty)).collect();
            keys = keys.saturating_mul(values.len());
            if keys > KEYS_MAX {
                return Ok(None);
            }
            tags.push(values);
        }
        Ok(Some(series_keys(tags)))
    }

    /// The series for which all conditions hold.
    fn matching(
        &self,
        filters: &[Expr],
        mut series: Vec<Bytes>,
        ctx: &EvalContext,
        view: &ReadView,
    ) -> Result<Vec<Bytes>> {
        if filters.is_empty() || series.is_empty() {
            return Ok(series);
        }
        let mut used = BTreeMap::new();
        filters.iter().for_each(|f| visit::columns(f, &mut used));
        let places: Vec<(ColId, usize)> =
            self.scan.columns.iter().filter(|(id, _)| used.contains_key(id)).copied().collect();
        for filter in filters {
            let columns = self.tag_columns(&places, &series, view)?;
            let get = |id: ColId| columns.get(&id).cloned();
            let keep = eval::filter(filter, &Columns { rows: series.len(), get: &get }, ctx)?;
            let mut keep = keep.values().iter();
            series.retain(|_| keep.next().unwrap_or(false));
        }
        Ok(series)
    }

    fn tag_columns(
        &self,
        places: &[(ColId, usize)],
        series: &[Bytes],
        view: &ReadView,
    ) -> Result<HashMap<ColId, ArrayRef>> {
        let attributes: Vec<usize> = places.iter().map(|(_, i)| *i).collect();
        let rows = self.tags(series, &attributes, view)?;
        let mut out = HashMap::new();
        for (at, (id, i)) in places.iter().enumerate() {
            let mut builder = ColumnBuilder::new(self.scan.table.columns[*i].ty, rows.len());
            for row in &rows {
                builder.append(&row[at])?;
            }
            out.insert(*id, builder.finish());
        }
        Ok(out)
    }

    /// The values of tags (places in `table.columns`) per series.
    pub fn tags(&self, series: &[Bytes], columns: &[usize], view: &ReadView) -> Result<Vec<Vec<Datum>>> {
        let stored = match columns.iter().any(|c| self.codec.is_tag(*c)) {
            true => Tags::read(&self.codec, view, series)?,
            false => Tags::default(),
        };
        series.iter().map(|key| self.codec.tags_at(key, stored.row(key), columns)).collect()
    }

    /// What a column of the scan is.
    pub fn kind(&self, id: ColId) -> Option<(SeriesColumn, usize)> {
        kind(&self.scan, id)
    }
}

impl Values {
    fn evaluate(&self, ctx: &EvalContext) -> Result<Vec<Datum>> {
        match self {
            Self::List(list) => list.iter().map(|e| eval_constant(e, ctx)).collect(),
            Self::Array(array) => Ok(match eval_constant(array, ctx)? {
                Datum::Array(array) => array.elements.to_vec(),
                _ => vec![],
            }),
        }
    }
}

fn kind(scan: &TableScan, id: ColId) -> Option<(SeriesColumn, usize)> {
    let (_, at) = scan.columns.iter().find(|(c, _)| *c == id)?;
    Some((scan.table.series_column(*at)?, *at))
}

/// `time op constant`, either way round.
fn time_bound(scan: &TableScan, part: &Expr) -> Option<(Comparison, Expr)> {
    let Expr::Call(Call { func, args, .. }) = part else { return None };
    let (Kind::Compare(op, _), [a, b]) = (function::by_id(*func)?.kind, &args[..]) else { return None };
    let is_time = |e: &Expr, other: &Expr| match e {
        Expr::Column { id, ty } => {
            let column = kind(scan, *id).filter(|(kind, _)| *kind == SeriesColumn::Time);
            column.is_some_and(|(_, at)| scan.table.columns[at].ty.oid == ty.oid && other.ty().oid == ty.oid)
        }
        _ => false,
    };
    if op == Comparison::Ne {
        return None;
    }
    if is_time(a, b) && visit::is_constant(b) {
        return Some((op, b.clone()));
    }
    (is_time(b, a) && visit::is_constant(a)).then(|| (op.swapped(), a.clone()))
}

/// Only about tags, and cannot fail: it is tried on series that may have no point here.
fn is_about_tags(scan: &TableScan, part: &Expr) -> bool {
    fn safe(scan: &TableScan, e: &Expr) -> bool {
        let own = match e {
            _ if visit::is_constant(e) => return true,
            Expr::Column { id, .. } => {
                matches!(kind(scan, *id), Some((SeriesColumn::PrimaryTag(_) | SeriesColumn::Tag(_), _)))
            }
            Expr::Call(c) => function::by_id(c.func).is_some_and(|f| matches!(f.kind, Kind::Compare(..))),
            Expr::AnyArray { array, .. } => visit::is_constant(array),
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::IsNull(_) | Expr::NotDistinct(..) => true,
            Expr::InList { .. } => true,
            _ => false,
        };
        let mut all = own;
        visit::children(e, &mut |child| all = all && safe(scan, child));
        all
    }
    safe(scan, part)
}

/// The values that `part` allows for a tag, if that is all it says.
fn values(scan: &TableScan, column: usize, part: &Expr) -> Option<Values> {
    let (id, _) = scan.columns.iter().find(|(_, i)| *i == column)?;
    let ty = scan.table.columns[column].ty;
    if !equal_as_keys(ty) {
        return None;
    }
    let is_tag = |e: &Expr| column_of(e).is_some_and(|(c, _)| c == *id);
    let of = |func: function::FuncId| is_equality(func);
    match part {
        Expr::InList { expr, list, equals } if is_tag(expr) && of(*equals) => {
            let fits = |e: &Expr| visit::is_constant(e) && e.ty().class() == expr.ty().class();
            list.iter().all(fits).then(|| Values::List(list.clone()))
        }
        Expr::AnyArray { expr, array, op, all: false } if is_tag(expr) && of(*op) => {
            let element = array.ty().element()?;
            let fits = visit::is_constant(array) && PgType::new(element.oid).class() == expr.ty().class();
            fits.then(|| Values::Array((**array).clone()))
        }
        part => equal_to(part, *id).map(|e| Values::List(vec![e.clone()])),
    }
}
