//! AND, OR, CASE and COALESCE: three-valued, lazy by row.

use super::{Columns, boolean, eval, filter, on_rows, visit};
use crate::bound::Expr;
use crate::context::EvalContext;
use crate::function::error::arrow_error;
use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow::compute;
use heddle_types::{PgType, Result};
use std::sync::Arc;

/// AND (`stop` = false) or OR (`stop` = true): a row is done once a part gives `stop`.
pub(super) fn junction(list: &[Expr], stop: bool, columns: &Columns<'_>, ctx: &EvalContext) -> Result<ArrayRef> {
    if list.iter().all(visit::is_safe) {
        return eager(list, stop, columns, ctx);
    }
    let mut state: Vec<Option<bool>> = vec![Some(!stop); columns.rows];
    let mut open: Vec<u32> = (0..columns.rows as u32).collect();
    for part in list {
        if open.is_empty() {
            break;
        }
        let rows = UInt32Array::from(open.clone());
        let values = on_rows(columns, &rows, |c| eval(part, c, ctx))?;
        let values = boolean(&values)?;
        let mut at = 0;
        open.retain(|row| {
            let v = values.is_valid(at).then(|| values.value(at));
            at += 1;
            match v {
                Some(v) if v == stop => state[*row as usize] = Some(stop),
                None => state[*row as usize] = None,
                _ => {}
            }
            v != Some(stop)
        });
    }
    Ok(Arc::new(BooleanArray::from(state)))
}

fn eager(list: &[Expr], stop: bool, columns: &Columns<'_>, ctx: &EvalContext) -> Result<ArrayRef> {
    let mut acc: Option<BooleanArray> = None;
    for part in list {
        let next = eval(part, columns, ctx)?;
        let next = boolean(&next)?;
        acc = Some(match acc {
            None => next.clone(),
            Some(a) if stop => compute::or_kleene(&a, next).map_err(arrow_error)?,
            Some(a) => compute::and_kleene(&a, next).map_err(arrow_error)?,
        });
    }
    Ok(Arc::new(acc.unwrap_or_else(|| BooleanArray::from(vec![!stop; columns.rows]))))
}

/// Where each row's value lies: (which part, which row of it).
struct Picks {
    parts: Vec<ArrayRef>,
    of_row: Vec<(usize, usize)>,
}

impl Picks {
    fn new(rows: usize) -> Self {
        Self { parts: vec![], of_row: vec![(0, 0); rows] }
    }
    fn add(&mut self, rows: &[u32], values: ArrayRef) {
        for (at, row) in rows.iter().enumerate() {
            self.of_row[*row as usize] = (self.parts.len(), at);
        }
        self.parts.push(values);
    }
    fn finish(self, ty: PgType) -> Result<ArrayRef> {
        if self.of_row.is_empty() {
            return heddle_types::arrow::column(&[], ty);
        }
        if self.parts.len() == 1 {
            return Ok(self.parts.into_iter().next().expect("there is one"));
        }
        let parts: Vec<&dyn Array> = self.parts.iter().map(|a| a.as_ref()).collect();
        compute::interleave(&parts, &self.of_row).map_err(arrow_error)
    }
}

pub(super) fn case(
    branches: &[(Expr, Expr)],
    otherwise: &Expr,
    ty: PgType,
    columns: &Columns<'_>,
    ctx: &EvalContext,
) -> Result<ArrayRef> {
    let mut picks = Picks::new(columns.rows);
    let mut open: Vec<u32> = (0..columns.rows as u32).collect();
    for (condition, result) in branches {
        if open.is_empty() {
            break;
        }
        let rows = UInt32Array::from(open.clone());
        let hit = on_rows(columns, &rows, |c| filter(condition, c, ctx))?;
        let (taken, left): (Vec<_>, Vec<_>) = open.iter().enumerate().partition(|(at, _)| hit.value(*at));
        let taken: Vec<u32> = taken.into_iter().map(|(_, r)| *r).collect();
        open = left.into_iter().map(|(_, r)| *r).collect();
        if !taken.is_empty() {
            let rows = UInt32Array::from(taken.clone());
            picks.add(&taken, on_rows(columns, &rows, |c| eval(result, c, ctx))?);
        }
    }
    if !open.is_empty() {
        let rows = UInt32Array::from(open.clone());
        picks.add(&open, on_rows(columns, &rows, |c| eval(otherwise, c, ctx))?);
    }
    picks.finish(ty)
}

pub(super) fn coalesce(args: &[Expr], ty: PgType, columns: &Columns<'_>, ctx: &EvalContext) -> Result<ArrayRef> {
    let mut picks = Picks::new(columns.rows);
    let mut open: Vec<u32> = (0..columns.rows as u32).collect();
    for arg in args {
        if open.is_empty() {
            break;
        }
        let rows = UInt32Array::from(open.clone());
        let values = on_rows(columns, &rows, |c| eval(arg, c, ctx))?;
        picks.add(&open, Arc::clone(&values));
        let mut at = 0;
        open.retain(|_| {
            at += 1;
            values.is_null(at - 1)
        });
    }
    picks.finish(ty)
}
