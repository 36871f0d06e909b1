//! Comparison operators of every ordered type, and the order of [`Datum`]s they share with arrays, ranks and aggregates.
//!
//! Cross-type integer and float operators (`int4 = int8`) are left out: the binder casts to the wider type.

use super::kernel::{Date, Ts, cast_array, k, union_nulls};
use super::{Comparison::*, Registry, dt};
use crate::context::EvalContext;
use arrow::array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Float32Type, Float64Type};
use heddle_types::{Datum, Interval, Numeric, PgArray, PgType, Result, oid};
use std::cmp::Ordering;
use std::sync::Arc;

/// Arrow's own vectorised comparison: for classes whose Arrow order is PostgreSQL's.
macro_rules! arrow_cmp {
    ($op:ident) => {{
        fn kernel(_: &EvalContext, _: &super::CallTypes<'_>, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
            let out = arrow::compute::kernels::cmp::$op(&args[0], &args[1]).map_err(super::error::arrow_error)?;
            Ok(Arc::new(out))
        }
        kernel as super::ScalarKernel
    }};
}

macro_rules! float_cmp {
    ($ty:ty, $f:expr) => {{
        fn kernel(_: &EvalContext, _: &super::CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
            by_values::<$ty>(args, n, $f)
        }
        kernel as super::ScalarKernel
    }};
}

macro_rules! array_cmp {
    ($is:ident) => {
        k!(_cx, ty; |a: PgArray, b: PgArray| -> bool {
            let elem = ty.args[0].element().unwrap_or(PgType::new(a.elem));
            Ok(array_order(&a, &b, elem).$is())
        })
    };
}

/// Compares the raw values, then masks: vectorises, and garbage under NULLs is harmless.
fn by_values<T: ArrowPrimitiveType>(
    args: &[ArrayRef],
    n: usize,
    f: fn(T::Native, T::Native) -> bool,
) -> Result<ArrayRef> {
    let a = cast_array::<PrimitiveArray<T>>(&args[0])?.values();
    let b = cast_array::<PrimitiveArray<T>>(&args[1])?.values();
    let bits = BooleanBuffer::collect_bool(n, |i| f(a[i], b[i]));
    Ok(Arc::new(BooleanArray::new(bits, union_nulls(args))))
}

/// NaN is greatest and equals itself; -0 = 0.
macro_rules! float_order {
    ($t:ty, $eq:ident, $ne:ident, $lt:ident, $le:ident, $gt:ident, $ge:ident, $ord:ident) => {
        #[inline]
        fn $eq(a: $t, b: $t) -> bool {
            a == b || (a.is_nan() && b.is_nan())
        }
        #[inline]
        fn $ne(a: $t, b: $t) -> bool {
            !$eq(a, b)
        }
        #[inline]
        fn $lt(a: $t, b: $t) -> bool {
            a < b || (b.is_nan() && !a.is_nan())
        }
        #[inline]
        fn $le(a: $t, b: $t) -> bool {
            a <= b || b.is_nan()
        }
        #[inline]
        fn $gt(a: $t, b: $t) -> bool {
            $lt(b, a)
        }
        #[inline]
        fn $ge(a: $t, b: $t) -> bool {
            $le(b, a)
        }
        /// PostgreSQL's order of floats.
        pub(crate) fn $ord(a: $t, b: $t) -> Ordering {
            a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        }
    };
}
float_order!(f32, eq_f32, ne_f32, lt_f32, le_f32, gt_f32, ge_f32, order_f32);
float_order!(f64, eq_f64, ne_f64, lt_f64, le_f64, gt_f64, ge_f64, order_f64);

/// A timestamp on a line wide enough for dates that timestamps cannot hold.
fn wide(t: Ts) -> i128 {
    match t.0 {
        i64::MIN => i128::MIN,
        i64::MAX => i128::MAX,
        t => i128::from(t),
    }
}

fn loose(d: Date) -> i128 {
    match d.0 {
        i32::MIN => i128::MIN,
        i32::MAX => i128::MAX,
        d => i128::from(d) * i128::from(heddle_types::datetime::DAY_US),
    }
}

fn loose_tz(d: Date, cx: &EvalContext) -> i128 {
    match dt::date_to_ts(d) {
        Ok(t) => wide_tz(t, cx),
        Err(_) => loose(d),
    }
}

fn wide_tz(t: Ts, cx: &EvalContext) -> i128 {
    dt::to_utc(t, &cx.text.datetime.zone).map_or_else(|_| wide(t), wide)
}

/// PostgreSQL's order of two values of one type, neither NULL.
pub(crate) fn datum_order(a: &Datum, b: &Datum, ty: PgType) -> Ordering {
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => order_f32(*a, *b),
        (Datum::Float8(a), Datum::Float8(b)) => order_f64(*a, *b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) if ty.oid == oid::JSONB => super::jsonval::order_text(a, b),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Time(a), Datum::Time(b)) | (Datum::Timestamp(a), Datum::Timestamp(b)) => a.cmp(b),
        (Datum::Interval(a), Datum::Interval(b)) => a.total_us().cmp(&b.total_us()),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => array_order(a, b, ty.element().unwrap_or(PgType::new(a.elem))),
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        _ => Ordering::Equal,
    }
}

/// Elements first (NULL is greatest and equals NULL), then length, dimensions and bounds: btarraycmp.
pub(crate) fn array_order(a: &PgArray, b: &PgArray, elem: PgType) -> Ordering {
    let by_elements = a.elements.iter().zip(&b.elements).map(|(x, y)| datum_order(x, y, elem));
    by_elements
        .into_iter()
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
        .then_with(|| a.elements.len().cmp(&b.elements.len()))
        .then_with(|| a.dims.len().cmp(&b.dims.len()))
        .then_with(|| a.dims.iter().map(|d| d.0).cmp(b.dims.iter().map(|d| d.0)))
        .then_with(|| a.dims.iter().map(|d| d.1).cmp(b.dims.iter().map(|d| d.1)))
}

pub(super) fn register(r: &mut Registry) {
    r.compare("booleq(bool,bool)", Eq, arrow_cmp!(eq));
    r.compare("boolne(bool,bool)", Ne, arrow_cmp!(neq));
    r.compare("boollt(bool,bool)", Lt, arrow_cmp!(lt));
    r.compare("boolle(bool,bool)", Le, arrow_cmp!(lt_eq));
    r.compare("boolgt(bool,bool)", Gt, arrow_cmp!(gt));
    r.compare("boolge(bool,bool)", Ge, arrow_cmp!(gt_eq));
    r.compare("chareq(char,char)", Eq, arrow_cmp!(eq));
    r.compare("charne(char,char)", Ne, arrow_cmp!(neq));
    r.compare("charlt(char,char)", Lt, arrow_cmp!(lt));
    r.compare("charle(char,char)", Le, arrow_cmp!(lt_eq));
    r.compare("chargt(char,char)", Gt, arrow_cmp!(gt));
    r.compare("charge(char,char)", Ge, arrow_cmp!(gt_eq));
    r.compare("nameeq(name,name)", Eq, arrow_cmp!(eq));
    r.compare("namene(name,name)", Ne, arrow_cmp!(neq));
    r.compare("namelt(name,name)", Lt, arrow_cmp!(lt));
    r.compare("namele(name,name)", Le, arrow_cmp!(lt_eq));
    r.compare("namegt(name,name)", Gt, arrow_cmp!(gt));
    r.compare("namege(name,name)", Ge, arrow_cmp!(gt_eq));
    r.compare("int2eq(int2,int2)", Eq, arrow_cmp!(eq));
    r.compare("int2ne(int2,int2)", Ne, arrow_cmp!(neq));
    r.compare("int2lt(int2,int2)", Lt, arrow_cmp!(lt));
    r.compare("int2le(int2,int2)", Le, arrow_cmp!(lt_eq));
    r.compare("int2gt(int2,int2)", Gt, arrow_cmp!(gt));
    r.compare("int2ge(int2,int2)", Ge, arrow_cmp!(gt_eq));
    r.compare("int4eq(int4,int4)", Eq, arrow_cmp!(eq));
    r.compare("int4ne(int4,int4)", Ne, arrow_cmp!(neq));
    r.compare("int4lt(int4,int4)", Lt, arrow_cmp!(lt));
    r.compare("int4le(int4,int4)", Le, arrow_cmp!(lt_eq));
    r.compare("int4gt(int4,int4)", Gt, arrow_cmp!(gt));
    r.compare("int4ge(int4,int4)", Ge, arrow_cmp!(gt_eq));
    r.compare("int8eq(int8,int8)", Eq, arrow_cmp!(eq));
    r.compare("int8ne(int8,int8)", Ne, arrow_cmp!(neq));
    r.compare("int8lt(int8,int8)", Lt, arrow_cmp!(lt));
    r.compare("int8le(int8,int8)", Le, arrow_cmp!(lt_eq));
    r.compare("int8gt(int8,int8)", Gt, arrow_cmp!(gt));
    r.compare("int8ge(int8,int8)", Ge, arrow_cmp!(gt_eq));
    r.compare("oideq(oid,oid)", Eq, arrow_cmp!(eq));
    r.compare("oidne(oid,oid)", Ne, arrow_cmp!(neq));
    r.compare("oidlt(oid,oid)", Lt, arrow_cmp!(lt));
    r.compare("oidle(oid,oid)", Le, arrow_cmp!(lt_eq));
    r.compare("oidgt(oid,oid)", Gt, arrow_cmp!(gt));
    r.compare("oidge(oid,oid)", Ge, arrow_cmp!(gt_eq));
    r.compare("texteq(text,text)", Eq, arrow_cmp!(eq));
    r.compare("textne(text,text)", Ne, arrow_cmp!(neq));
    r.compare("text_lt(text,text)", Lt, arrow_cmp!(lt));
    r.compare("text_le(text,text)", Le, arrow_cmp!(lt_eq));
    r.compare("text_gt(text,text)", Gt, arrow_cmp!(gt));
    r.compare("text_ge(text,text)", Ge, arrow_cmp!(gt_eq));
    r.compare("bpchareq(bpchar,bpchar)", Eq, arrow_cmp!(eq));
    r.compare("bpcharne(bpchar,bpchar)", Ne, arrow_cmp!(neq));
    r.compare("bpcharlt(bpchar,bpchar)", Lt, arrow_cmp!(lt));
    r.compare("bpcharle(bpchar,bpchar)", Le, arrow_cmp!(lt_eq));
    r.compare("bpchargt(bpchar,bpchar)", Gt, arrow_cmp!(gt));
    r.compare("bpcharge(bpchar,bpchar)", Ge, arrow_cmp!(gt_eq));
    r.compare("byteaeq(bytea,bytea)", Eq, arrow_cmp!(eq));
    r.compare("byteane(bytea,bytea)", Ne, arrow_cmp!(neq));
    r.compare("bytealt(bytea,bytea)", Lt, arrow_cmp!(lt));
    r.compare("byteale(bytea,bytea)", Le, arrow_cmp!(lt_eq));
    r.compare("byteagt(bytea,bytea)", Gt, arrow_cmp!(gt));
    r.compare("byteage(bytea,bytea)", Ge, arrow_cmp!(gt_eq));
    r.compare("uuid_eq(uuid,uuid)", Eq, arrow_cmp!(eq));
    r.compare("uuid_ne(uuid,uuid)", Ne, arrow_cmp!(neq));
    r.compare("uuid_lt(uuid,uuid)", Lt, arrow_cmp!(lt));
    r.compare("uuid_le(uuid,uuid)", Le, arrow_cmp!(lt_eq));
    r.compare("uuid_gt(uuid,uuid)", Gt, arrow_cmp!(gt));
    r.compare("uuid_ge(uuid,uuid)", Ge, arrow_cmp!(gt_eq));
    r.compare("date_eq(date,date)", Eq, arrow_cmp!(eq));
    r.compare("date_ne(date,date)", Ne, arrow_cmp!(neq));
    r.compare("date_lt(date,date)", Lt, arrow_cmp!(lt));
    r.compare("date_le(date,date)", Le, arrow_cmp!(lt_eq));
    r.compare("date_gt(date,date)", Gt, arrow_cmp!(gt));
    r.compare("date_ge(date,date)", Ge, arrow_cmp!(gt_eq));
    r.compare("time_eq(time,time)", Eq, arrow_cmp!(eq));
    r.compare("time_ne(time,time)", Ne, arrow_cmp!(neq));
    r.compare("time_lt(time,time)", Lt, arrow_cmp!(lt));
    r.compare("time_le(time,time)", Le, arrow_cmp!(lt_eq));
    r.compare("time_gt(time,time)", Gt, arrow_cmp!(gt));
    r.compare("time_ge(time,time)", Ge, arrow_cmp!(gt_eq));
    r.compare("timestamp_eq(timestamp,timestamp)", Eq, arrow_cmp!(eq));
    r.compare("timestamp_ne(timestamp,timestamp)", Ne, arrow_cmp!(neq));
    r.compare("timestamp_lt(timestamp,timestamp)", Lt, arrow_cmp!(lt));
    r.compare("timestamp_le(timestamp,timestamp)", Le, arrow_cmp!(lt_eq));
    r.compare("timestamp_gt(timestamp,timestamp)", Gt, arrow_cmp!(gt));
    r.compare("timestamp_ge(timestamp,timestamp)", Ge, arrow_cmp!(gt_eq));
    r.compare("timestamptz_eq(timestamptz,timestamptz)", Eq, arrow_cmp!(eq));
    r.compare("timestamptz_ne(timestamptz,timestamptz)", Ne, arrow_cmp!(neq));
    r.compare("timestamptz_lt(timestamptz,timestamptz)", Lt, arrow_cmp!(lt));
    r.compare("timestamptz_le(timestamptz,timestamptz)", Le, arrow_cmp!(lt_eq));
    r.compare("timestamptz_gt(timestamptz,timestamptz)", Gt, arrow_cmp!(gt));
    r.compare("timestamptz_ge(timestamptz,timestamptz)", Ge, arrow_cmp!(gt_eq));
    r.compare("float4eq(float4,float4)", Eq, float_cmp!(Float32Type, eq_f32));
    r.compare("float4ne(float4,float4)", Ne, float_cmp!(Float32Type, ne_f32));
    r.compare("float4lt(float4,float4)", Lt, float_cmp!(Float32Type, lt_f32));
    r.compare("float4le(float4,float4)", Le, float_cmp!(Float32Type, le_f32));
    r.compare("float4gt(float4,float4)", Gt, float_cmp!(Float32Type, gt_f32));
    r.compare("float4ge(float4,float4)", Ge, float_cmp!(Float32Type, ge_f32));
    r.compare("float8eq(float8,float8)", Eq, float_cmp!(Float64Type, eq_f64));
    r.compare("float8ne(float8,float8)", Ne, float_cmp!(Float64Type, ne_f64));
    r.compare("float8lt(float8,float8)", Lt, float_cmp!(Float64Type, lt_f64));
    r.compare("float8le(float8,float8)", Le, float_cmp!(Float64Type, le_f64));
    r.compare("float8gt(float8,float8)", Gt, float_cmp!(Float64Type, gt_f64));
    r.compare("float8ge(float8,float8)", Ge, float_cmp!(Float64Type, ge_f64));
    r.compare("numeric_eq(numeric,numeric)", Eq, k!(|a: Numeric, b: Numeric| -> bool = a.cmp(&b).is_eq()));
    r.compare("numeric_ne(numeric,numeric)", Ne, k!(|a: Numeric, b: Numeric| -> bool = a.cmp(&b).is_ne()));
    r.compare("numeric_lt(numeric,numeric)", Lt, k!(|a: Numeric, b: Numeric| -> bool = a.cmp(&b).is_lt()));
    r.compare("numeric_le(numeric,numeric)", Le, k!(|a: Numeric, b: Numeric| -> bool = a.cmp(&b).is_le()));
    r.compare("numeric_gt(numeric,numeric)", Gt, k!(|a: Numeric, b: Numeric| -> bool = a.cmp(&b).is_gt()));
    r.compare("numeric_ge(numeric,numeric)", Ge, k!(|a: Numeric, b: Numeric| -> bool = a.cmp(&b).is_ge()));
    r.compare(
        "interval_eq(interval,interval)",
        Eq,
        k!(|a: Interval, b: Interval| -> bool = a.total_us().cmp(&b.total_us()).is_eq()),
    );
    r.compare(
        "interval_ne(interval,interval)",
        Ne,
        k!(|a: Interval, b: Interval| -> bool = a.total_us().cmp(&b.total_us()).is_ne()),
    );
    r.compare(
        "interval_lt(interval,interval)",
        Lt,
        k!(|a: Interval, b: Interval| -> bool = a.total_us().cmp(&b.total_us()).is_lt()),
    );
    r.compare(
        "interval_le(interval,interval)",
        Le,
        k!(|a: Interval, b: Interval| -> bool = a.total_us().cmp(&b.total_us()).is_le()),
    );
    r.compare(
        "interval_gt(interval,interval)",
        Gt,
        k!(|a: Interval, b: Interval| -> bool = a.total_us().cmp(&b.total_us()).is_gt()),
    );
    r.compare(
        "interval_ge(interval,interval)",
        Ge,
        k!(|a: Interval, b: Interval| -> bool = a.total_us().cmp(&b.total_us()).is_ge()),
    );
    r.compare("array_eq(anyarray,anyarray)", Eq, array_cmp!(is_eq));
    r.compare("array_ne(anyarray,anyarray)", Ne, array_cmp!(is_ne));
    r.compare("array_lt(anyarray,anyarray)", Lt, array_cmp!(is_lt));
    r.compare("array_le(anyarray,anyarray)", Le, array_cmp!(is_le));
    r.compare("array_gt(anyarray,anyarray)", Gt, array_cmp!(is_gt));
    r.compare("array_ge(anyarray,anyarray)", Ge, array_cmp!(is_ge));
    r.scalars(&["nameeqtext(name,text)", "texteqname(text,name)"], arrow_cmp!(eq));
    r.scalars(&["namenetext(name,text)", "textnename(text,name)"], arrow_cmp!(neq));
    r.scalars(&["namelttext(name,text)", "textltname(text,name)"], arrow_cmp!(lt));
    r.scalars(&["nameletext(name,text)", "textlename(text,name)"], arrow_cmp!(lt_eq));
    r.scalars(&["namegttext(name,text)", "textgtname(text,name)"], arrow_cmp!(gt));
    r.scalars(&["namegetext(name,text)", "textgename(text,name)"], arrow_cmp!(gt_eq));
    r.scalar(
        "date_eq_timestamp(date,timestamp)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose(a).cmp(&wide(b)).is_eq()) }),
    );
    r.scalar(
        "date_ne_timestamp(date,timestamp)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose(a).cmp(&wide(b)).is_ne()) }),
    );
    r.scalar(
        "date_lt_timestamp(date,timestamp)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose(a).cmp(&wide(b)).is_lt()) }),
    );
    r.scalar(
        "date_le_timestamp(date,timestamp)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose(a).cmp(&wide(b)).is_le()) }),
    );
    r.scalar(
        "date_gt_timestamp(date,timestamp)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose(a).cmp(&wide(b)).is_gt()) }),
    );
    r.scalar(
        "date_ge_timestamp(date,timestamp)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose(a).cmp(&wide(b)).is_ge()) }),
    );
    r.scalar(
        "timestamp_eq_date(timestamp,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose(b)).is_eq()) }),
    );
    r.scalar(
        "timestamp_ne_date(timestamp,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose(b)).is_ne()) }),
    );
    r.scalar(
        "timestamp_lt_date(timestamp,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose(b)).is_lt()) }),
    );
    r.scalar(
        "timestamp_le_date(timestamp,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose(b)).is_le()) }),
    );
    r.scalar(
        "timestamp_gt_date(timestamp,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose(b)).is_gt()) }),
    );
    r.scalar(
        "timestamp_ge_date(timestamp,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose(b)).is_ge()) }),
    );
    r.scalar(
        "date_eq_timestamptz(date,timestamptz)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose_tz(a, cx).cmp(&wide(b)).is_eq()) }),
    );
    r.scalar(
        "date_ne_timestamptz(date,timestamptz)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose_tz(a, cx).cmp(&wide(b)).is_ne()) }),
    );
    r.scalar(
        "date_lt_timestamptz(date,timestamptz)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose_tz(a, cx).cmp(&wide(b)).is_lt()) }),
    );
    r.scalar(
        "date_le_timestamptz(date,timestamptz)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose_tz(a, cx).cmp(&wide(b)).is_le()) }),
    );
    r.scalar(
        "date_gt_timestamptz(date,timestamptz)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose_tz(a, cx).cmp(&wide(b)).is_gt()) }),
    );
    r.scalar(
        "date_ge_timestamptz(date,timestamptz)",
        k!(cx, _ty; |a: Date, b: Ts| -> bool { Ok(loose_tz(a, cx).cmp(&wide(b)).is_ge()) }),
    );
    r.scalar(
        "timestamptz_eq_date(timestamptz,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose_tz(b, cx)).is_eq()) }),
    );
    r.scalar(
        "timestamptz_ne_date(timestamptz,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose_tz(b, cx)).is_ne()) }),
    );
    r.scalar(
        "timestamptz_lt_date(timestamptz,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose_tz(b, cx)).is_lt()) }),
    );
    r.scalar(
        "timestamptz_le_date(timestamptz,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose_tz(b, cx)).is_le()) }),
    );
    r.scalar(
        "timestamptz_gt_date(timestamptz,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose_tz(b, cx)).is_gt()) }),
    );
    r.scalar(
        "timestamptz_ge_date(timestamptz,date)",
        k!(cx, _ty; |a: Ts, b: Date| -> bool { Ok(wide(a).cmp(&loose_tz(b, cx)).is_ge()) }),
    );
    r.scalar(
        "timestamp_eq_timestamptz(timestamp,timestamptz)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide_tz(a, cx).cmp(&wide(b)).is_eq()) }),
    );
    r.scalar(
        "timestamp_ne_timestamptz(timestamp,timestamptz)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide_tz(a, cx).cmp(&wide(b)).is_ne()) }),
    );
    r.scalar(
        "timestamp_lt_timestamptz(timestamp,timestamptz)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide_tz(a, cx).cmp(&wide(b)).is_lt()) }),
    );
    r.scalar(
        "timestamp_le_timestamptz(timestamp,timestamptz)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide_tz(a, cx).cmp(&wide(b)).is_le()) }),
    );
    r.scalar(
        "timestamp_gt_timestamptz(timestamp,timestamptz)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide_tz(a, cx).cmp(&wide(b)).is_gt()) }),
    );
    r.scalar(
        "timestamp_ge_timestamptz(timestamp,timestamptz)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide_tz(a, cx).cmp(&wide(b)).is_ge()) }),
    );
    r.scalar(
        "timestamptz_eq_timestamp(timestamptz,timestamp)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide(a).cmp(&wide_tz(b, cx)).is_eq()) }),
    );
    r.scalar(
        "timestamptz_ne_timestamp(timestamptz,timestamp)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide(a).cmp(&wide_tz(b, cx)).is_ne()) }),
    );
    r.scalar(
        "timestamptz_lt_timestamp(timestamptz,timestamp)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide(a).cmp(&wide_tz(b, cx)).is_lt()) }),
    );
    r.scalar(
        "timestamptz_le_timestamp(timestamptz,timestamp)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide(a).cmp(&wide_tz(b, cx)).is_le()) }),
    );
    r.scalar(
        "timestamptz_gt_timestamp(timestamptz,timestamp)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide(a).cmp(&wide_tz(b, cx)).is_gt()) }),
    );
    r.scalar(
        "timestamptz_ge_timestamp(timestamptz,timestamp)",
        k!(cx, _ty; |a: Ts, b: Ts| -> bool { Ok(wide(a).cmp(&wide_tz(b, cx)).is_ge()) }),
    );
}
