//! Types, functions, operators and casts: the tables the binder resolves over, as pg_catalog shows them.

use super::{oids, row, text, type_len, vector};
use crate::context::EvalContext;
use crate::function::{self, CastContext, Kind, Volatility};
use heddle_catalog::{BOOTSTRAP_ROLE, PG_CATALOG};
use heddle_types::{Datum, Oid, PgArray, Result, TypeInfo, oid};
use std::sync::Arc;

const OWNER: Datum = Datum::Oid(BOOTSTRAP_ROLE.0);
const CATALOG: Datum = Datum::Oid(PG_CATALOG.0);

pub(super) fn pg_type(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |t: &'static TypeInfo| {
        let (_, by_value, align, storage) = type_len(t.oid);
        let kind = if t.category == 'P' { "p" } else { "b" };
        row(
            "pg_type",
            &[
                ("oid", Datum::Oid(t.oid.0)),
                ("typname", text(t.name)),
                ("typnamespace", CATALOG),
                ("typowner", OWNER),
                ("typlen", Datum::Int2(t.len)),
                ("typbyval", Datum::Bool(by_value)),
                ("typtype", text(kind)),
                ("typcategory", text(t.category.to_string())),
                ("typispreferred", Datum::Bool(t.preferred)),
                ("typisdefined", Datum::Bool(true)),
                ("typdelim", text(",")),
                ("typelem", Datum::Oid(t.elem.0)),
                ("typarray", Datum::Oid(t.array.0)),
                ("typalign", text(align.to_string())),
                ("typstorage", text(storage.to_string())),
                ("typtypmod", Datum::Int4(-1)),
                ("typcollation", Datum::Oid(if t.category == 'S' { 100 } else { 0 })),
            ],
        )
    };
    Ok(TypeInfo::all().map(one).collect())
}

pub(super) fn pg_proc(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    Ok(function::all().iter().map(|f| proc_row(f)).collect())
}

fn proc_row(f: &function::Function) -> Vec<Datum> {
    let kind = match f.kind {
        Kind::Aggregate(_) => "a",
        Kind::Window(_) => "w",
        _ => "f",
    };
    let volatility = match f.volatility {
        Volatility::Immutable => "i",
        Volatility::Stable => "s",
        Volatility::Volatile => "v",
    };
    let args = f.args.iter().map(|o| Datum::Oid(o.0)).collect();
    let names = f.arg_names.iter().map(text).collect::<Vec<_>>();
    let names =
        if names.is_empty() { Datum::Null } else { Datum::Array(Arc::new(PgArray::from_vec(oid::TEXT, names))) };
    let mut values = vec![
        ("oid", Datum::Oid(f.id.0)),
        ("proname", text(f.name)),
        ("pronamespace", CATALOG),
        ("proowner", OWNER),
        ("prolang", Datum::Oid(12)),
        ("procost", Datum::Float4(1.0)),
        ("provariadic", Datum::Oid(f.variadic.0)),
        ("prokind", text(kind)),
        ("proisstrict", Datum::Bool(f.strict)),
        ("proretset", Datum::Bool(matches!(f.kind, Kind::Set(..)))),
        ("provolatile", text(volatility)),
        ("proparallel", text("s")),
        ("pronargs", Datum::Int2(f.args.len() as i16)),
        ("pronargdefaults", Datum::Int2(f.defaults.len() as i16)),
        ("prorettype", Datum::Oid(f.ret.0)),
        ("proargtypes", vector(oid::OID, args)),
        ("proargnames", names),
        ("prosrc", text(f.name)),
    ];
    if let Kind::Set(_, columns) = f.kind
        && !columns.is_empty()
    {
        let types = f.args.iter().copied().chain(columns.iter().map(|c| c.1));
        values.push(("proallargtypes", oids(oid::OID, types)));
    }
    row("pg_proc", &values)
}

pub(super) fn pg_operator(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |(i, o): (usize, &&'static function::Operator)| {
        let result = function::by_id(o.func).map_or(0, |f| f.ret.0);
        row(
            "pg_operator",
            &[
                ("oid", Datum::Oid(OPERATOR_OID_FIRST + i as u32)),
                ("oprname", text(o.name)),
                ("oprnamespace", CATALOG),
                ("oprowner", OWNER),
                ("oprkind", text(if o.left == Oid(0) { "l" } else { "b" })),
                ("oprleft", Datum::Oid(o.left.0)),
                ("oprright", Datum::Oid(o.right.0)),
                ("oprresult", Datum::Oid(result)),
                ("oprcode", Datum::Oid(o.func.0)),
            ],
        )
    };
    Ok(function::all_operators().iter().enumerate().map(one).collect())
}

/// The OID of an operator.
pub(super) fn operator_oid(name: &str, left: Oid, right: Oid) -> Option<u32> {
    let at = function::all_operators().iter().position(|o| o.name == name && o.left == left && o.right == right)?;
    Some(OPERATOR_OID_FIRST + at as u32)
}

/// The operator table carries no OIDs; they follow its order, in a range PostgreSQL leaves to itself.
const OPERATOR_OID_FIRST: u32 = 14_000;
const CAST_OID_FIRST: u32 = 12_000;

pub(super) fn pg_cast(_: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |(i, c): (usize, &'static function::Cast)| {
        let context = match c.context {
            CastContext::Explicit => "e",
            CastContext::Assignment => "a",
            CastContext::Implicit => "i",
        };
        // Functions of ours stand where PostgreSQL needs none.
        let func = c.func.filter(|f| !function::by_id(*f).is_some_and(|f| f.name.starts_with("heddle_")));
        row(
            "pg_cast",
            &[
                ("oid", Datum::Oid(CAST_OID_FIRST + i as u32)),
                ("castsource", Datum::Oid(c.source.0)),
                ("casttarget", Datum::Oid(c.target.0)),
                ("castfunc", Datum::Oid(func.map_or(0, |f| f.0))),
                ("castcontext", text(context)),
                ("castmethod", text(if func.is_some() { "f" } else { "b" })),
            ],
        )
    };
    Ok(function::all_casts().iter().enumerate().map(one).collect())
}
