//! Integer arithmetic and comparisons on single values, for rows that are read and changed by key. Everything else a single
//! value meets goes through its Arrow kernel and an array of one, which costs some 300 ns more.

use super::error::out_of_range;
use super::{Comparison, Function, Kind};
use heddle_types::{Datum, Result};

/// The value of a call whose arguments are at hand and not NULL; None: only the kernel knows it.
pub(crate) fn call(function: &Function, args: &[Datum]) -> Option<Result<Datum>> {
    match (&function.kind, args) {
        (Kind::Compare(cmp, _), [a, b]) => compare(*cmp, a.as_i64()?, b.as_i64()?),
        (Kind::Scalar(_), [a, b]) => binary(function.id.0, a.as_i64()?, b.as_i64()?),
        (Kind::Scalar(_), [a]) => unary(function.id.0, a.as_i64()?),
        _ => None,
    }
}

fn compare(cmp: Comparison, a: i64, b: i64) -> Option<Result<Datum>> {
    Some(Ok(Datum::Bool(match cmp {
        Comparison::Eq => a == b,
        Comparison::Ne => a != b,
        Comparison::Lt => a < b,
        Comparison::Le => a <= b,
        Comparison::Gt => a > b,
        Comparison::Ge => a >= b,
    })))
}

/// By pg_proc's OIDs: int4pl, int4mi, int4mul, and int8's with both sides of either width.
fn binary(id: u32, a: i64, b: i64) -> Option<Result<Datum>> {
    match id {
        177 => Some(int4(a.checked_add(b))),
        181 => Some(int4(a.checked_sub(b))),
        141 => Some(int4(a.checked_mul(b))),
        463 | 1274 | 1278 => Some(int8(a.checked_add(b))),
        464 | 1275 | 1279 => Some(int8(a.checked_sub(b))),
        465 | 1276 | 1280 => Some(int8(a.checked_mul(b))),
        _ => None,
    }
}

/// int4um, int8um, and the casts between int2, int4 and int8.
fn unary(id: u32, a: i64) -> Option<Result<Datum>> {
    match id {
        212 => Some(int4(a.checked_neg())),
        462 => Some(int8(a.checked_neg())),
        313 | 480 => Some(int4(Some(a))),
        481 | 754 => Some(int8(Some(a))),
        _ => None,
    }
}

fn int4(value: Option<i64>) -> Result<Datum> {
    let value = value.and_then(|v| i32::try_from(v).ok());
    value.map(Datum::Int4).ok_or_else(|| out_of_range("integer"))
}

fn int8(value: Option<i64>) -> Result<Datum> {
    value.map(Datum::Int8).ok_or_else(|| out_of_range("bigint"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::all;

    /// Every function that is computed here says what its kernel says.
    #[test]
    fn quick_values_equal_the_kernels() {
        let ctx = crate::function::tests::context();
        let edges = [i64::MIN, i32::MIN.into(), -7, 0, 3, i32::MAX.into(), i64::MAX];
        let mut seen = 0;
        for function in all() {
            let kernel = match function.kind {
                Kind::Scalar(k) | Kind::Compare(_, k) => k,
                _ => continue,
            };
            let values = |oid| -> Vec<Datum> { edges.iter().filter_map(|v| integer(oid, *v)).collect() };
            let rows: Vec<Vec<Datum>> = match function.args {
                [a] => values(*a).into_iter().map(|a| vec![a]).collect(),
                [a, b] => {
                    let bs = values(*b);
                    values(*a).into_iter().flat_map(|a| bs.iter().map(move |b| vec![a.clone(), b.clone()])).collect()
                }
                _ => continue,
            };
            let types: Vec<_> = function.args.iter().map(|t| heddle_types::PgType::new(*t)).collect();
            let ret = heddle_types::PgType::new(function.ret);
            for row in rows {
                let Some(quick) = call(function, &row) else { continue };
                let arrays: Vec<_> =
                    row.iter().zip(&types).map(|(v, t)| heddle_types::arrow::repeat(v, *t, 1).unwrap()).collect();
                let slow = kernel(&ctx, &crate::function::CallTypes { args: &types, ret }, &arrays, 1)
                    .map(|a| heddle_types::arrow::datum_at(&a, ret, 0));
                assert_eq!(format!("{quick:?}"), format!("{slow:?}"), "{} {row:?}", function.name);
                seen += 1;
            }
        }
        assert!(seen > 500, "{seen}");
    }

    fn integer(oid: heddle_types::Oid, v: i64) -> Option<Datum> {
        match oid {
            heddle_types::oid::INT2 => i16::try_from(v).ok().map(Datum::Int2),
            heddle_types::oid::INT4 => i32::try_from(v).ok().map(Datum::Int4),
            heddle_types::oid::INT8 => Some(Datum::Int8(v)),
            _ => None,
        }
    }
}
