//! Casts: pg_cast's functions, conversion through text ([`io_cast`](super::io_cast)) and length coercion.

use super::error::{float_overflow, float_underflow, invalid, out_of_range};
use super::kernel::{Date, Time, Ts, cast_array, k};
use super::{CallTypes, Kind, Registry, dt, reg};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use heddle_types::arrow::{ColumnBuilder, data_type, datum_at, repeat};
use heddle_types::datetime::DAY_US;
use heddle_types::{Datum, Error, Interval, Numeric, PgArray, PgType, Result, SqlState, coerce, oid, text};
use std::sync::Arc;

/// A type whose values are strings in every respect (not json).
pub(super) fn is_string(ty: PgType) -> bool {
    matches!(ty.oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN | oid::CHAR)
}

/// The text form of a value, names of reg* types included.
pub(super) fn to_text(v: &Datum, ty: PgType, cx: &EvalContext) -> Result<String> {
    match v {
        Datum::Oid(o) if ty.is_reg() => reg::name_of(*o, ty, cx),
        Datum::Bool(b) => Ok(if *b { "true" } else { "false" }.to_owned()),
        _ => Ok(text::to_string(v, ty, &cx.text)),
    }
}

/// Parses the text form of any type.
pub(super) fn from_text(s: &str, ty: PgType, cx: &EvalContext) -> Result<Datum> {
    if ty.is_reg() { reg::parse(s, ty, cx) } else { text::parse(s, ty, &cx.text) }
}

fn io_cast(cx: &EvalContext, types: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let from = types.args[0];
    let to = PgType::new(types.ret.oid);
    let col = &args[0];
    if from.oid == to.oid || (is_string(from) && matches!(to.oid, oid::TEXT | oid::VARCHAR | oid::UNKNOWN)) {
        return Ok(col.clone());
    }
    if let (Some(a), Some(b)) = (from.element(), to.element()) {
        return array_cast(cx, col, from, (a, b), to, n);
    }
    if matches!(to.oid, oid::TEXT | oid::VARCHAR) {
        return column_to_text(cx, col, from, n);
    }
    if is_string(from) {
        return column_from_text(cx, col, to, n);
    }
    let mut out = ColumnBuilder::new(to, n);
    for i in 0..n {
        match datum_at(col, from, i) {
            Datum::Null => out.append_null(),
            v => out.append(&from_text(&to_text(&v, from, cx)?, to, cx)?)?,
        }
    }
    Ok(out.finish())
}

fn column_to_text(cx: &EvalContext, col: &ArrayRef, from: PgType, n: usize) -> Result<ArrayRef> {
    let mut out = StringBuilder::with_capacity(n, n * 8);
    let mut buf = Vec::new();
    for i in 0..n {
        if col.is_null(i) {
            out.append_null();
        } else if from.is_reg() || from.oid == oid::BOOL {
            out.append_value(to_text(&datum_at(col, from, i), from, cx)?);
        } else {
            buf.clear();
            text::format_at(&mut buf, col, i, from, &cx.text);
            out.append_value(std::str::from_utf8(&buf).map_err(|_| Error::internal("text form is not UTF-8"))?);
        }
    }
    Ok(Arc::new(out.finish()))
}

fn column_from_text(cx: &EvalContext, col: &ArrayRef, to: PgType, n: usize) -> Result<ArrayRef> {
    let strings = cast_array::<StringArray>(col)?;
    let mut out = ColumnBuilder::new(to, n);
    for i in 0..n {
        if strings.is_null(i) {
            out.append_null();
        } else {
            out.append(&from_text(strings.value(i), to, cx)?)?;
        }
    }
    Ok(out.finish())
}

/// Converts every element, by the elements' cast function if there is one.
fn array_cast(
    cx: &EvalContext,
    col: &ArrayRef,
    from: PgType,
    (a, b): (PgType, PgType),
    to: PgType,
    n: usize,
) -> Result<ArrayRef> {
    let mut out = ColumnBuilder::new(to, n);
    for i in 0..n {
        match datum_at(col, from, i) {
            Datum::Array(arr) => {
                let elements = cast_values(cx, &arr.elements, a, b)?;
                out.append(&Datum::Array(Arc::new(PgArray { elem: b.oid, dims: arr.dims.clone(), elements })))?;
            }
            _ => out.append_null(),
        }
    }
    Ok(out.finish())
}

/// Casts values of one type to another by the cast tables or through text.
pub(super) fn cast_values(cx: &EvalContext, values: &[Datum], from: PgType, to: PgType) -> Result<Vec<Datum>> {
    let func = match super::cast(from.oid, to.oid) {
        Some(c) => c.func,
        None if from.oid == to.oid => None,
        None => Some(super::io_cast()),
    };
    let Some(func) = func else { return Ok(values.to_vec()) };
    let Some(Kind::Scalar(kernel)) = super::by_id(func).map(|f| f.kind) else {
        return Err(Error::internal("cast function is missing"));
    };
    let col = heddle_types::arrow::column(values, from)?;
    let out = kernel(cx, &CallTypes { args: &[from], ret: to }, &[col], values.len())?;
    Ok((0..values.len()).map(|i| datum_at(&out, to, i)).collect())
}

fn length_cast(_: &EvalContext, types: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let ty = types.ret;
    if ty.typmod < 0 {
        return Ok(args[0].clone());
    }
    let explicit = cast_array::<arrow::array::BooleanArray>(&args[2])?;
    let mut out = ColumnBuilder::new(ty, n);
    for i in 0..n {
        let v = match datum_at(&args[0], types.args[0], i) {
            Datum::Array(a) => {
                let elem = ty.element().unwrap_or(PgType::new(a.elem));
                let apply = |v: &Datum| coerce::apply_typmod(v.clone(), elem, explicit.value(i));
                let elements = a.elements.iter().map(apply).collect::<Result<Vec<_>>>()?;
                Datum::Array(Arc::new(PgArray { elem: a.elem, dims: a.dims.clone(), elements }))
            }
            v => coerce::apply_typmod(v, ty, explicit.value(i))?,
        };
        out.append(&v)?;
    }
    Ok(out.finish())
}

/// The column as it is: both types have one physical form.
fn same(_: &EvalContext, types: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    if args[0].data_type() == &data_type(types.ret) { Ok(args[0].clone()) } else { repeat(&Datum::Null, types.ret, n) }
}

/// numeric -> integer: half away from zero.
pub(super) fn numeric_to_int(v: &Numeric, name: &str) -> Result<i64> {
    if v.is_nan() {
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot convert NaN to {name}")));
    }
    if v.is_infinite() {
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot convert infinity to {name}")));
    }
    v.round(0).to_i64().ok_or_else(|| out_of_range(name))
}

/// float -> integer: half to even.
pub(super) fn float_to_int(v: f64, name: &str) -> Result<i64> {
    let r = v.round_ties_even();
    if r.is_nan() || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&r) {
        return Err(out_of_range(name));
    }
    Ok(r as i64)
}

fn numeric_to_float(v: &Numeric) -> Result<f64> {
    let f = v.to_f64();
    if f.is_infinite() && v.is_finite() {
        return Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{}\" is out of range for type double precision", v.format()),
        ));
    }
    Ok(f)
}

fn narrow(v: f64) -> Result<f32> {
    let f = v as f32;
    if f.is_infinite() && v.is_finite() {
        return Err(float_overflow());
    }
    if f == 0.0 && v != 0.0 {
        return Err(float_underflow());
    }
    Ok(f)
}

fn to_i16(v: i64) -> Result<i16> {
    i16::try_from(v).map_err(|_| out_of_range("smallint"))
}

fn to_i32(v: i64) -> Result<i32> {
    i32::try_from(v).map_err(|_| out_of_range("integer"))
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("heddle_io_cast(any)", io_cast);
    r.scalar("heddle_length_cast(any,int4,bool)", length_cast);
    numbers(r);
    oids(r);
    strings(r);
    times(r);
    from_jsonb(r);
}

fn numbers(r: &mut Registry) {
    r.scalar("int4(bool)", k!(|a: bool| -> i32 = i32::from(a)));
    r.scalar("bool(int4)", k!(|a: i32| -> bool = a != 0));
    r.scalar("int2(int4)", k!(|a: i32| -> i16 { to_i16(i64::from(a)) }));
    r.scalar("int2(int8)", k!(|a: i64| -> i16 { to_i16(a) }));
    r.scalar("int4(int2)", k!(|a: i16| -> i32 = i32::from(a)));
    r.scalar("int4(int8)", k!(|a: i64| -> i32 { to_i32(a) }));
    r.scalar("int8(int2)", k!(|a: i16| -> i64 = i64::from(a)));
    r.scalar("int8(int4)", k!(|a: i32| -> i64 = i64::from(a)));
    r.scalar("int2(float4)", k!(|a: f32| -> i16 { to_i16(float_to_int(f64::from(a), "smallint")?) }));
    r.scalar("int2(float8)", k!(|a: f64| -> i16 { to_i16(float_to_int(a, "smallint")?) }));
    r.scalar("int4(float4)", k!(|a: f32| -> i32 { to_i32(float_to_int(f64::from(a), "integer")?) }));
    r.scalar("int4(float8)", k!(|a: f64| -> i32 { to_i32(float_to_int(a, "integer")?) }));
    r.scalar("int8(float4)", k!(|a: f32| -> i64 { float_to_int(f64::from(a), "bigint") }));
    r.scalar("int8(float8)", k!(|a: f64| -> i64 { float_to_int(a, "bigint") }));
    r.scalar("int2(numeric)", k!(|a: Numeric| -> i16 { to_i16(numeric_to_int(&a, "smallint")?) }));
    r.scalar("int4(numeric)", k!(|a: Numeric| -> i32 { to_i32(numeric_to_int(&a, "integer")?) }));
    r.scalar("int8(numeric)", k!(|a: Numeric| -> i64 { numeric_to_int(&a, "bigint") }));
    r.scalar("float4(int2)", k!(|a: i16| -> f32 = f32::from(a)));
    r.scalar("float4(int4)", k!(|a: i32| -> f32 = a as f32));
    r.scalar("float4(int8)", k!(|a: i64| -> f32 = a as f32));
    r.scalar("float4(float8)", k!(|a: f64| -> f32 { narrow(a) }));
    r.scalar(
        "float4(numeric)",
        k!(|a: Numeric| -> f32 {
            let f = a.to_f32();
            if f.is_infinite() && a.is_finite() {
                return Err(Error::new(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("\"{}\" is out of range for type real", a.format()),
                ));
            }
            Ok(f)
        }),
    );
    r.scalar("float8(int2)", k!(|a: i16| -> f64 = f64::from(a)));
    r.scalar("float8(int4)", k!(|a: i32| -> f64 = f64::from(a)));
    r.scalar("float8(int8)", k!(|a: i64| -> f64 = a as f64));
    r.scalar("float8(float4)", k!(|a: f32| -> f64 = f64::from(a)));
    r.scalar("float8(numeric)", k!(|a: Numeric| -> f64 { numeric_to_float(&a) }));
    r.scalar("numeric(int2)", k!(|a: i16| -> Numeric = Numeric::from_i64(i64::from(a))));
    r.scalar("numeric(int4)", k!(|a: i32| -> Numeric = Numeric::from_i64(i64::from(a))));
    r.scalar("numeric(int8)", k!(|a: i64| -> Numeric = Numeric::from_i64(a)));
    r.scalar("numeric(float4)", k!(|a: f32| -> Numeric = Numeric::from_f32(a)));
    r.scalar("numeric(float8)", k!(|a: f64| -> Numeric = Numeric::from_f64(a)));
}

fn oids(r: &mut Registry) {
    r.scalar("heddle_int4_to_oid(int4)", k!(|a: i32| -> u32 = a as u32));
    r.scalar("heddle_oid_to_int4(oid)", k!(|a: u32| -> i32 = a as i32));
    r.scalar("heddle_int2_to_oid(int2)", k!(|a: i16| -> u32 = i32::from(a) as u32));
    r.scalar("int8(oid)", k!(|a: u32| -> i64 = i64::from(a)));
    r.scalar("oid(int8)", k!(|a: i64| -> u32 { u32::try_from(a).map_err(|_| out_of_range("OID")) }));
    r.scalar("regclass(text)", k!(cx, ty; |a: &str| -> u32 { reg_oid(a, ty.ret, cx) }));
}

fn reg_oid(s: &str, ty: PgType, cx: &EvalContext) -> Result<u32> {
    match reg::parse(s, ty, cx)? {
        Datum::Oid(o) => Ok(o),
        _ => Err(Error::internal("reg* input is not an OID")),
    }
}

/// The first character of a string, as "char" keeps one.
fn first_char(s: &str) -> String {
    s.chars().next().map(String::from).unwrap_or_default()
}

fn strings(r: &mut Registry) {
    r.scalar("text(bool)", k!(|a: bool| -> String = if a { "true" } else { "false" }.to_owned()));
    r.scalars(&["text(bpchar)", "text(char)", "text(name)", "varchar(name)", "bpchar(name)", "bpchar(char)"], same);
    r.scalar("heddle_text_to_bpchar(text)", k!(|a: &str| -> String = a.trim_end_matches(' ').to_owned()));
    r.scalars(&["name(text)", "name(varchar)", "name(bpchar)"], k!(|a: &str| -> String = name(a).to_owned()));
    r.scalar("char(text)", k!(|a: &str| -> String = first_char(a)));
    r.scalar("int4(char)", k!(|a: &str| -> i32 = a.as_bytes().first().map_or(0, |b| i32::from(*b as i8))));
    r.scalar(
        "char(int4)",
        k!(|a: i32| -> String {
            if !(-128..=127).contains(&a) {
                return Err(out_of_range("\"char\""));
            }
            match a {
                0 => Ok(String::new()),
                1..=127 => Ok(char::from(a as u8).to_string()),
                _ => Err(Error::unsupported("\"char\" above 127")),
            }
        }),
    );
}

/// Cut to 63 bytes at a character boundary.
pub(super) fn name(s: &str) -> &str {
    let mut end = s.len().min(63);
    while !s.is_char_boundary(end) {
        end -= 1;
    }
    &s[..end]
}

fn times(r: &mut Registry) {
    r.scalar("date(timestamp)", k!(|a: Ts| -> Date = dt::ts_to_date(a)));
    r.scalar(
        "date(timestamptz)",
        k!(cx, _ty; |a: Ts| -> Date { Ok(dt::ts_to_date(dt::to_local(a, &cx.text.datetime.zone)?)) }),
    );
    r.scalar("timestamp(date)", k!(|a: Date| -> Ts { dt::date_to_ts(a) }));
    r.scalar("timestamp(timestamptz)", k!(cx, _ty; |a: Ts| -> Ts { dt::to_local(a, &cx.text.datetime.zone) }));
    r.scalar(
        "timestamptz(date)",
        k!(cx, _ty; |a: Date| -> Ts { dt::to_utc(dt::date_to_ts(a)?, &cx.text.datetime.zone) }),
    );
    r.scalar("timestamptz(timestamp)", k!(cx, _ty; |a: Ts| -> Ts { dt::to_utc(a, &cx.text.datetime.zone) }));
    r.scalar("time(timestamp)", k!(|a: Ts| -> Option<Time> = (!dt::is_inf_ts(a.0)).then(|| Time(dt::split(a.0).1))));
    r.scalar(
        "time(timestamptz)",
        k!(cx, _ty; |a: Ts| -> Option<Time> {
            let local = dt::to_local(a, &cx.text.datetime.zone)?;
            Ok((!dt::is_inf_ts(a.0)).then(|| Time(dt::split(local.0).1)))
        }),
    );
    r.scalar("time(interval)", k!(|a: Interval| -> Time = Time(a.us.rem_euclid(DAY_US))));
    r.scalar("interval(time)", k!(|a: Time| -> Interval = Interval { months: 0, days: 0, us: a.0 }));
}

/// A jsonb number or boolean; other kinds cannot be cast (`22023`).
fn jsonb_scalar(s: &str, want_bool: bool, target: &str) -> Result<Datum> {
    let t = s.trim();
    let kind = match t.as_bytes().first() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "numeric",
    };
    match (kind, want_bool) {
        ("boolean", true) => Ok(Datum::Bool(t == "true")),
        ("numeric", false) => Numeric::parse(t).map(Datum::Numeric),
        _ => Err(invalid(format!("cannot cast jsonb {kind} to type {target}"))),
    }
}

fn jsonb_number(s: &str, target: &str) -> Result<Numeric> {
    match jsonb_scalar(s, false, target)? {
        Datum::Numeric(n) => Ok(n),
        _ => Err(Error::internal("jsonb number expected")),
    }
}

fn from_jsonb(r: &mut Registry) {
    r.scalar("bool(jsonb)", k!(|a: &str| -> bool { Ok(jsonb_scalar(a, true, "boolean")? == Datum::Bool(true)) }));
    r.scalar("numeric(jsonb)", k!(|a: &str| -> Numeric { jsonb_number(a, "numeric") }));
    r.scalar(
        "int2(jsonb)",
        k!(|a: &str| -> i16 { to_i16(numeric_to_int(&jsonb_number(a, "smallint")?, "smallint")?) }),
    );
    r.scalar("int4(jsonb)", k!(|a: &str| -> i32 { to_i32(numeric_to_int(&jsonb_number(a, "integer")?, "integer")?) }));
    r.scalar("int8(jsonb)", k!(|a: &str| -> i64 { numeric_to_int(&jsonb_number(a, "bigint")?, "bigint") }));
    r.scalar("float4(jsonb)", k!(|a: &str| -> f32 { narrow(numeric_to_float(&jsonb_number(a, "real")?)?) }));
    r.scalar("float8(jsonb)", k!(|a: &str| -> f64 { numeric_to_float(&jsonb_number(a, "double precision")?) }));
}
