//! Which queries are such selects.

use super::{Kind, SeriesSelect};
use crate::bound::{ColId, Expr, Rel, SortKey, TableScan};
use crate::eval::visit;
use crate::exec::direct::needs_plan;
use crate::exec::series_aggregate::access::Access;
use arrow::compute::SortOptions;
use heddle_catalog::SeriesColumn;
use heddle_types::arrow::native_order;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl SeriesSelect {
    /// The select that `rel` is, if it is one.
    pub fn compile(rel: &Rel) -> Option<Arc<Self>> {
        let (limit, offset, rel) = match rel {
            Rel::Limit { input, limit, offset, with_ties: false } => (limit.clone(), offset.clone(), &**input),
            rel => (None, None, rel),
        };
        let (on, rel) = match rel {
            Rel::Distinct { input, on: Some(on) } => (Some(on), &**input),
            rel => (None, rel),
        };
        let (keys, mut rel) = match rel {
            Rel::Sort { input, keys } => (&keys[..], &**input),
            rel => (&[][..], rel),
        };
        let mut projections = vec![];
        while let Rel::Project { input, exprs } = rel {
            projections.insert(0, exprs.clone());
            rel = input;
        }
        let (predicate, rel) = match rel {
            Rel::Filter { input, predicate } => (Some(predicate), &**input),
            rel => (None, rel),
        };
        let Rel::Table(scan) = rel else { return None };
        if projections.iter().flatten().any(|(_, e)| needs_plan(e) || (on.is_some() && visit::is_volatile(e))) {
            return None;
        }
        let access = Access::compile(scan, predicate)?;
        let columns = Columns { scan, projections: &projections };
        let kind = match on {
            Some(on) => Kind::Last { order: columns.last_order(on, keys)? },
            None => Kind::Rows { descending: columns.descending(&access, keys)? },
        };
        let places = columns.read();
        Some(Arc::new(Self { access, places, projections, kind, limit, offset }))
    }
}

/// Columns under the names that projections gave them.
struct Columns<'a> {
    scan: &'a TableScan,
    projections: &'a [Vec<(ColId, Expr)>],
}

impl Columns<'_> {
    /// The scan's column behind an expression over the last projection's output: its id and place in the table's columns.
    fn behind(&self, e: &Expr) -> Option<(ColId, usize)> {
        let Expr::Column { id, .. } = e else { return None };
        let mut id = *id;
        for exprs in self.projections.iter().rev() {
            let (_, e) = exprs.iter().find(|(named, _)| *named == id)?;
            let Expr::Column { id: inner, .. } = e else { return None };
            id = *inner;
        }
        self.scan.columns.iter().find(|(known, _)| *known == id).copied()
    }

    fn kind(&self, e: &Expr) -> Option<SeriesColumn> {
        self.scan.table.series_column(self.behind(e)?.1)
    }

    fn primary_tag(&self, e: &Expr) -> Option<usize> {
        match self.kind(e)? {
            SeriesColumn::PrimaryTag(tag) => Some(tag),
            _ => None,
        }
    }

    /// The order of last points, empty for that of their keys; `None` when these are not last points.
    fn last_order(&self, on: &[Expr], keys: &[SortKey]) -> Option<Vec<(ColId, SortOptions)>> {
        let tags = self.scan.table.series.as_ref()?.primary_tags.len();
        let on: BTreeSet<usize> = on.iter().map(|e| self.primary_tag(e)).collect::<Option<_>>()?;
        let sorted: Vec<usize> = keys.iter().map_while(|key| self.primary_tag(&key.expr)).collect();
        let time = keys.get(sorted.len())?;
        let newest = time.desc && self.kind(&time.expr) == Some(SeriesColumn::Time);
        // The keys are distinct (the binder sees to that), so that many are all of them.
        if !newest || on.len() != tags || sorted.len() != tags {
            return None;
        }
        let keys = &keys[..tags];
        if sorted.is_sorted() && keys.iter().all(|key| !key.desc) {
            return Some(vec![]);
        }
        let order = |key: &SortKey| {
            let options = SortOptions { descending: key.desc, nulls_first: key.nulls_first };
            let (id, _) = self.behind(&key.expr).filter(|_| native_order(key.expr.ty()))?;
            Some((id, options))
        };
        keys.iter().map(order).collect()
    }

    /// Are the rows wanted in descending order of time? `None` when the order is another one, or series are not named.
    fn descending(&self, access: &Access, keys: &[SortKey]) -> Option<bool> {
        if !access.names_series() {
            return None;
        }
        if keys.is_empty() {
            return Some(false);
        }
        // Of one series the tags are alike, and no two points have the same time.
        let first = keys.iter().find(|key| self.primary_tag(&key.expr).is_none())?;
        let by_time = access.is_single() && self.kind(&first.expr) == Some(SeriesColumn::Time);
        by_time.then_some(first.desc)
    }

    /// Places of the scan's columns that are used.
    fn read(&self) -> Vec<usize> {
        let all = 0..self.scan.columns.len();
        let Some(first) = self.projections.first() else { return all.collect() };
        let mut used = BTreeMap::new();
        first.iter().for_each(|(_, e)| visit::columns(e, &mut used));
        all.filter(|place| used.contains_key(&self.scan.columns[*place].0)).collect()
    }
}
