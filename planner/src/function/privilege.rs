//! has_*_privilege and pg_has_role. There is one role, which may do everything: the answer is true for whatever exists. A name that nothing
//! has is an error, an OID that nothing has is NULL.

use super::kernel::nulls;
use super::{CallTypes, FuncId, Registry, ScalarKernel, reg};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, BooleanArray};
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};
use std::sync::Arc;

/// Does the object exist? An error for a name, None for an OID that nothing has.
type Exists = fn(&EvalContext, &Datum) -> Result<Option<()>>;

fn by_name_or_oid(cx: &EvalContext, d: &Datum, ty: Oid, known: impl Fn(u32) -> bool) -> Result<Option<()>> {
    match d {
        Datum::Text(name) => reg::parse(name, PgType::new(ty), cx).map(|_| Some(())),
        Datum::Oid(o) => Ok(known(*o).then_some(())),
        _ => Ok(Some(())),
    }
}

fn relation(cx: &EvalContext, d: &Datum) -> Result<Option<()>> {
    by_name_or_oid(cx, d, oid::REGCLASS, |o| reg::class_parts(o, cx).is_some())
}

fn schema(cx: &EvalContext, d: &Datum) -> Result<Option<()>> {
    match d {
        Datum::Text(name) => match reg::schema(name, cx) {
            Some(_) => Ok(Some(())),
            None => Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))),
        },
        Datum::Oid(o) => Ok((*o == reg::PG_CATALOG || cx.catalog.schema_by_oid(Oid(*o)).is_some()).then_some(())),
        _ => Ok(Some(())),
    }
}

fn database(cx: &EvalContext, d: &Datum) -> Result<Option<()>> {
    match d {
        Datum::Text(name) if cx.catalog.database(name).is_none() => {
            Err(Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist")))
        }
        Datum::Oid(o) => Ok(cx.catalog.database_by_oid(Oid(*o)).map(|_| ())),
        _ => Ok(Some(())),
    }
}

fn function(cx: &EvalContext, d: &Datum) -> Result<Option<()>> {
    let bare = match d {
        Datum::Text(name) => Datum::text(name.split('(').next().unwrap_or(name)),
        d => d.clone(),
    };
    by_name_or_oid(cx, &bare, oid::REGPROC, |o| super::by_id(FuncId(o)).is_some()).or_else(|e| {
        // A name shared by several functions is not resolved further: all of them may be called.
        if e.code() == SqlState::AMBIGUOUS_FUNCTION { Ok(Some(())) } else { Err(e) }
    })
}

fn data_type(cx: &EvalContext, d: &Datum) -> Result<Option<()>> {
    by_name_or_oid(cx, d, oid::REGTYPE, |o| heddle_types::TypeInfo::by_oid(Oid(o)).is_some())
}

fn anything(_: &EvalContext, _: &Datum) -> Result<Option<()>> {
    Ok(Some(()))
}

/// Which argument names the object: the first, or the second when a user comes first.
fn answer(
    cx: &EvalContext,
    ty: &CallTypes<'_>,
    args: &[ArrayRef],
    n: usize,
    at: usize,
    exists: Exists,
) -> Result<ArrayRef> {
    if args.len() <= at {
        return Ok(nulls(ty.ret, n));
    }
    let one = |i: usize| -> Result<Option<bool>> {
        if args.iter().any(|a| a.is_null(i)) {
            return Ok(None);
        }
        Ok(exists(cx, &datum_at(&args[at], ty.args[at], i))?.map(|()| true))
    };
    Ok(Arc::new((0..n).map(one).collect::<Result<BooleanArray>>()?))
}

macro_rules! answers {
    ($at:literal $exists:path) => {
        (|cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize| answer(cx, ty, args, n, $at, $exists))
            as ScalarKernel
    };
}

pub(super) fn register(r: &mut Registry) {
    for (name, own, named) in [
        ("has_table_privilege", answers!(0 relation), answers!(1 relation)),
        ("has_any_column_privilege", answers!(0 relation), answers!(1 relation)),
        ("has_sequence_privilege", answers!(0 relation), answers!(1 relation)),
        ("has_schema_privilege", answers!(0 schema), answers!(1 schema)),
        ("has_database_privilege", answers!(0 database), answers!(1 database)),
        ("has_function_privilege", answers!(0 function), answers!(1 function)),
        ("has_type_privilege", answers!(0 data_type), answers!(1 data_type)),
        ("has_tablespace_privilege", answers!(0 anything), answers!(1 anything)),
        ("has_language_privilege", answers!(0 anything), answers!(1 anything)),
    ] {
        r.every(name, 2, own);
        r.every(name, 3, named);
    }
    r.every("has_column_privilege", 3, answers!(0 relation));
    r.every("has_column_privilege", 4, answers!(1 relation));
    r.every("pg_has_role", 2, answers!(0 anything));
    r.every("pg_has_role", 3, answers!(0 anything));
}
