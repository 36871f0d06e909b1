//! Is an aggregation one over series? Its groups, its calls and what is gathered for them.

use super::SeriesAggregate;
use super::access::Access;
use super::bucket::{Bucketing, is_bucket_type};
use super::cells::Need;
use crate::bound::{AggregateCall, Expr, Rel, SortKey, TableScan};
use crate::exec::direct::Stage;
use crate::function;
use heddle_catalog::SeriesColumn;
use heddle_types::arrow::native_order;
use heddle_types::{Class, PgType};

/// A group column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// Start of the piece of time.
    Bucket,
    /// The n-th of the grouped tags.
    Tag(usize),
}

/// What a call computes; fields are places in [`SeriesAggregate::fields`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    Rows,
    FirstTime,
    LastTime,
    Count(usize),
    Sum(usize),
    Avg(usize),
    Min(usize),
    Max(usize),
    First(usize),
    Last(usize),
}

/// A field that calls are about.
#[derive(Debug)]
pub(super) struct Field {
    /// Place in the layout's fields.
    pub place: usize,
    pub ty: PgType,
    pub need: Need,
}

impl SeriesAggregate {
    /// The plan of `rel`, if it is a plain aggregation over one time-series table whose WHERE selects series and times.
    pub fn compile(rel: &Rel) -> Option<Self> {
        let Rel::Aggregate { input, groups, sets, aggregates, grouping } = rel else { return None };
        let plain = sets.is_empty() || (sets.len() == 1 && sets[0].len() == groups.len());
        if !plain || !grouping.is_empty() {
            return None;
        }
        let (scan, predicate) = scan_of(input)?;
        scan.table.series.as_ref()?;
        let access = Access::compile(scan, predicate)?;
        let mut plan =
            Self { access, bucket: None, tags: vec![], keys: vec![], calls: vec![], fields: vec![], newest: None };
        for (id, expr) in groups {
            let key = plan.key(expr)?;
            plan.keys.push((*id, expr.ty(), key));
        }
        for (id, call) in aggregates {
            let measure = plan.measure(call)?;
            plan.calls.push((*id, call.ty, measure));
        }
        plan.order_fields();
        Some(plan)
    }

    /// Learns of a LIMIT above the `stages`. When the newest pieces of time come first, older ones need not be read.
    pub(in crate::exec) fn note_limit(&mut self, stages: &[Stage], limit: &Expr, offset: Option<&Expr>) {
        if self.is_newest_first(stages).is_some() {
            self.newest = Some((limit.clone(), offset.cloned()));
        }
    }

    fn is_newest_first(&self, stages: &[Stage]) -> Option<()> {
        let (Stage::Sort(keys), below) = stages.split_last()? else { return None };
        let SortKey { expr: Expr::Column { id, .. }, desc: true, .. } = keys.first()? else { return None };
        let mut id = *id;
        for stage in below.iter().rev() {
            let Stage::Project(exprs) = stage else { return None };
            let (_, Expr::Column { id: below, .. }) = exprs.iter().find(|(to, _)| *to == id)? else { return None };
            id = *below;
        }
        self.keys.iter().any(|(key, _, kind)| *key == id && matches!(kind, Key::Bucket)).then_some(())
    }

    /// Does it ask for no more than what is known of blocks?
    pub(super) fn asks_of_blocks(&self) -> bool {
        self.fields.iter().all(|f| f.need.of_blocks())
    }

    fn is_time(&self, e: &Expr) -> bool {
        let Expr::Column { id, ty } = e else { return false };
        let time = self.access.kind(*id).filter(|(kind, _)| *kind == SeriesColumn::Time);
        time.is_some_and(|(_, at)| self.access.scan.table.columns[at].ty.oid == ty.oid)
    }

    fn key(&mut self, expr: &Expr) -> Option<Key> {
        match expr {
            Expr::Call(call) if self.bucket.is_none() && is_bucket_type(call.ty) => {
                self.bucket = Some(Bucketing::compile(call, |e| self.is_time(e))?);
                Some(Key::Bucket)
            }
            Expr::Column { id, ty } => {
                let (SeriesColumn::PrimaryTag(_) | SeriesColumn::Tag(_), at) = self.access.kind(*id)? else {
                    return None;
                };
                // Of values that are equal but differ in form, one would have to stand for all.
                let same = native_order(*ty) && self.access.scan.table.columns[at].ty.oid == ty.oid;
                same.then(|| {
                    self.tags.push(at);
                    Key::Tag(self.tags.len() - 1)
                })
            }
            _ => None,
        }
    }

    fn measure(&mut self, call: &AggregateCall) -> Option<Measure> {
        if call.distinct || call.filter.is_some() || !call.order.is_empty() {
            return None;
        }
        let name = function::by_id(call.func)?.name;
        let wanted = match (name, &call.args[..]) {
            ("count", []) => return Some(Measure::Rows),
            ("count", [time]) if self.is_time(time) => return Some(Measure::Rows),
            ("min", [time]) if self.is_time(time) => return Some(Measure::FirstTime),
            ("max", [time]) if self.is_time(time) => return Some(Measure::LastTime),
            ("count", [field]) => return self.field(field, false).map(Measure::Count),
            ("sum" | "avg" | "min" | "max", [field]) => field,
            ("first" | "last", [field, time]) if self.is_time(time) => field,
            _ => return None,
        };
        let at = self.field(wanted, true)?;
        let need = &mut self.fields[at].need;
        Some(match name {
            "sum" => {
                need.sum = true;
                Measure::Sum(at)
            }
            "avg" => {
                need.sum = true;
                Measure::Avg(at)
            }
            "min" => {
                need.min = true;
                Measure::Min(at)
            }
            "max" => {
                need.max = true;
                Measure::Max(at)
            }
            "first" => {
                need.first = true;
                Measure::First(at)
            }
            _ => {
                need.last = true;
                Measure::Last(at)
            }
        })
    }

    /// The place of a field's column in [`Self::fields`].
    fn field(&mut self, expr: &Expr, number: bool) -> Option<usize> {
        let Expr::Column { id, ty } = expr else { return None };
        let (SeriesColumn::Field(place), at) = self.access.kind(*id)? else { return None };
        let is_number = matches!(ty.class(), Class::Int2 | Class::Int4 | Class::Int8 | Class::Float4 | Class::Float8);
        if self.access.scan.table.columns[at].ty.oid != ty.oid || number && !is_number {
            return None;
        }
        if let Some(known) = self.fields.iter().position(|f| f.place == place) {
            return Some(known);
        }
        self.fields.push(Field { place, ty: *ty, need: Need::default() });
        Some(self.fields.len() - 1)
    }

    /// A scan wants its fields ascending.
    fn order_fields(&mut self) {
        let before: Vec<usize> = self.fields.iter().map(|f| f.place).collect();
        self.fields.sort_by_key(|f| f.place);
        let now = |at: &mut usize| {
            let place = self.fields.iter().position(|f| f.place == before[*at]);
            *at = place.expect("it was only moved");
        };
        for (_, _, measure) in &mut self.calls {
            match measure {
                Measure::Rows | Measure::FirstTime | Measure::LastTime => {}
                Measure::Count(at) | Measure::Sum(at) | Measure::Avg(at) => now(at),
                Measure::Min(at) | Measure::Max(at) | Measure::First(at) | Measure::Last(at) => now(at),
            }
        }
    }
}

fn scan_of(input: &Rel) -> Option<(&TableScan, Option<&Expr>)> {
    match input {
        Rel::Table(scan) => Some((scan, None)),
        Rel::Filter { input, predicate } => match &**input {
            Rel::Table(scan) => Some((scan, Some(predicate))),
            _ => None,
        },
        _ => None,
    }
}
