//! From per-row Rust expressions to Arrow kernels: typed readers, typed builders and the [`k!`] and [`kn!`] macros.
//!
//! `k!(|a: i32, b: &str| -> String { Ok(..) })` is a strict kernel: a NULL argument gives NULL and the body never runs.
//! `kn!(|a: Option<i32>| -> Option<i32> { .. })` sees NULLs. `k!(|a: i32| -> i32 = a)` is for bodies that cannot fail.
//! `k!(cx, ty; |..| ..)` names the evaluation context and the resolved types.

use arrow::array::builder::NullBufferBuilder;
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use heddle_types::numeric::write_parts;
use heddle_types::{Error, Interval, Numeric, PgArray, PgType, Result, SqlState};
use std::sync::Arc;

/// A date (days since 1970, with infinities).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date(pub i32);
/// A time of day (microseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub i64);
/// A timestamp or timestamptz (microseconds since 1970, with infinities).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ts(pub i64);
/// A uuid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Uuid(pub [u8; 16]);

/// Reads values of one Rust type out of a column.
pub(crate) trait FromCol<'a>: Sized {
    /// The downcast column.
    type Col;
    /// Downcasts; `XX000` when the column has another class.
    fn open(a: &'a ArrayRef) -> Result<Self::Col>;
    /// Row `i`, which is not NULL (unless `Self` is an Option).
    fn get(c: &Self::Col, i: usize) -> Result<Self>;
}

/// Downcasts a column; a mismatch is a bug in the binder or the tables.
pub(crate) fn cast_array<T: 'static>(a: &ArrayRef) -> Result<&T> {
    a.as_any().downcast_ref::<T>().ok_or_else(|| {
        Error::internal(format!("column of class {} where {} was expected", a.data_type(), std::any::type_name::<T>()))
    })
}

macro_rules! from_col {
    ($($t:ty, $arr:ty, |$c:ident, $i:ident| $get:expr;)*) => { $(
        impl<'a> FromCol<'a> for $t {
            type Col = &'a $arr;
            fn open(a: &'a ArrayRef) -> Result<Self::Col> { cast_array::<$arr>(a) }
            #[inline]
            fn get($c: &Self::Col, $i: usize) -> Result<Self> { Ok($get) }
        }
    )* };
}

from_col! {
    bool, BooleanArray, |c, i| c.value(i);
    i16, Int16Array, |c, i| c.value(i);
    i32, Int32Array, |c, i| c.value(i);
    i64, Int64Array, |c, i| c.value(i);
    u32, UInt32Array, |c, i| c.value(i);
    f32, Float32Array, |c, i| c.value(i);
    f64, Float64Array, |c, i| c.value(i);
    &'a str, StringArray, |c, i| c.value(i);
    &'a [u8], BinaryArray, |c, i| c.value(i);
    Date, Date32Array, |c, i| Date(c.value(i));
    Time, Time64MicrosecondArray, |c, i| Time(c.value(i));
    Ts, TimestampMicrosecondArray, |c, i| Ts(c.value(i));
    Numeric, BinaryArray, |c, i| Numeric::from_bytes(c.value(i))?;
    PgArray, BinaryArray, |c, i| PgArray::from_bytes(c.value(i))?;
    Interval, FixedSizeBinaryArray, |c, i| Interval::from_bytes(sixteen(c.value(i))?);
    Uuid, FixedSizeBinaryArray, |c, i| Uuid(sixteen(c.value(i))?);
}

fn sixteen(b: &[u8]) -> Result<[u8; 16]> {
    b.try_into().map_err(|_| Error::internal("interval or uuid column is not 16 bytes wide"))
}

impl<'a, T: FromCol<'a>> FromCol<'a> for Option<T> {
    type Col = (&'a ArrayRef, T::Col);
    fn open(a: &'a ArrayRef) -> Result<Self::Col> {
        Ok((a, T::open(a)?))
    }
    fn get(c: &Self::Col, i: usize) -> Result<Self> {
        if c.0.is_null(i) { Ok(None) } else { T::get(&c.1, i).map(Some) }
    }
}

/// Builds a column out of values of one Rust type.
pub(crate) trait ToCol: Sized {
    /// The builder.
    type B;
    /// For `n` rows of `ret`.
    fn builder(n: usize, ret: PgType) -> Self::B;
    /// Appends a value.
    fn push(b: &mut Self::B, v: Self) -> Result<()>;
    /// Appends NULL.
    fn null(b: &mut Self::B);
    /// The column.
    fn finish(b: Self::B) -> ArrayRef;
}

macro_rules! to_col {
    ($($t:ty, $b:ty, |$n:ident, $ret:ident| $new:expr, |$v:ident| $conv:expr;)*) => { $(
        impl ToCol for $t {
            type B = $b;
            fn builder($n: usize, $ret: PgType) -> $b { let _ = $ret; $new }
            #[inline]
            fn push(b: &mut $b, $v: Self) -> Result<()> { b.append_value($conv); Ok(()) }
            fn null(b: &mut $b) { b.append_null(); }
            fn finish(mut b: $b) -> ArrayRef { Arc::new(b.finish()) }
        }
    )* };
}

to_col! {
    bool, BooleanBuilder, |n, r| BooleanBuilder::with_capacity(n), |v| v;
    i16, Int16Builder, |n, r| Int16Builder::with_capacity(n), |v| v;
    i32, Int32Builder, |n, r| Int32Builder::with_capacity(n), |v| v;
    i64, Int64Builder, |n, r| Int64Builder::with_capacity(n), |v| v;
    u32, UInt32Builder, |n, r| UInt32Builder::with_capacity(n), |v| v;
    f32, Float32Builder, |n, r| Float32Builder::with_capacity(n), |v| v;
    f64, Float64Builder, |n, r| Float64Builder::with_capacity(n), |v| v;
    String, StringBuilder, |n, r| StringBuilder::with_capacity(n, n * 8), |v| v;
    Vec<u8>, BinaryBuilder, |n, r| BinaryBuilder::with_capacity(n, n * 8), |v| v;
    Date, Date32Builder, |n, r| Date32Builder::with_capacity(n), |v| v.0;
    Time, Time64MicrosecondBuilder, |n, r| Time64MicrosecondBuilder::with_capacity(n), |v| v.0;
    PgArray, BinaryBuilder, |n, r| BinaryBuilder::with_capacity(n, n * 32), |v| v.to_bytes();
    Ts, TimestampMicrosecondBuilder, |n, ret| ts_builder(n, ret), |v| v.0;
}

/// Builds a column of numerics.
pub(crate) struct NumericBuilder {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl NumericBuilder {
    /// For `n` rows.
    pub fn new(n: usize) -> Self {
        let mut ends = Vec::with_capacity(n + 1);
        ends.push(0);
        // One more than most need: `write_parts` writes past the end of a value first.
        Self { bytes: Vec::with_capacity(n * 9 + 19), ends, nulls: NullBufferBuilder::new(n) }
    }

    /// Appends an unscaled integer and its scale.
    #[inline]
    pub fn push_parts(&mut self, unscaled: i128, scale: u16) -> Result<()> {
        write_parts(&mut self.bytes, unscaled, scale);
        self.end_value()
    }

    /// Appends a value.
    pub fn push(&mut self, v: &Numeric) -> Result<()> {
        v.write_bytes(&mut self.bytes);
        self.end_value()
    }

    #[inline]
    fn end_value(&mut self) -> Result<()> {
        let end = i32::try_from(self.bytes.len()).map_err(|_| {
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "batch of rows exceeds two gigabytes in one column")
        })?;
        self.ends.push(end);
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.ends.push(*self.ends.last().expect("it begins with 0"));
        self.nulls.append_null();
    }

    /// The column.
    pub fn finish(mut self) -> ArrayRef {
        let ends = OffsetBuffer::new(self.ends.into());
        Arc::new(BinaryArray::new(ends, self.bytes.into(), self.nulls.finish()))
    }
}

impl ToCol for Numeric {
    type B = NumericBuilder;
    fn builder(n: usize, _ret: PgType) -> NumericBuilder {
        NumericBuilder::new(n)
    }
    #[inline]
    fn push(b: &mut NumericBuilder, v: Self) -> Result<()> {
        b.push(&v)
    }
    fn null(b: &mut NumericBuilder) {
        b.push_null();
    }
    fn finish(b: NumericBuilder) -> ArrayRef {
        b.finish()
    }
}

fn ts_builder(n: usize, ret: PgType) -> TimestampMicrosecondBuilder {
    let b = TimestampMicrosecondBuilder::with_capacity(n);
    if ret.oid == heddle_types::oid::TIMESTAMPTZ { b.with_timezone("UTC") } else { b }
}

macro_rules! to_col_fixed {
    ($($t:ty, |$v:ident| $conv:expr;)*) => { $(
        impl ToCol for $t {
            type B = FixedSizeBinaryBuilder;
            fn builder(n: usize, _ret: PgType) -> Self::B { FixedSizeBinaryBuilder::with_capacity(n, 16) }
            fn push(b: &mut Self::B, $v: Self) -> Result<()> {
                b.append_value($conv).map_err(super::error::arrow_error)
            }
            fn null(b: &mut Self::B) { b.append_null(); }
            fn finish(mut b: Self::B) -> ArrayRef { Arc::new(b.finish()) }
        }
    )* };
}

to_col_fixed! {
    Interval, |v| v.to_bytes();
    Uuid, |v| v.0;
}

impl<T: ToCol> ToCol for Option<T> {
    type B = T::B;
    fn builder(n: usize, ret: PgType) -> T::B {
        T::builder(n, ret)
    }
    fn push(b: &mut T::B, v: Self) -> Result<()> {
        match v {
            Some(v) => T::push(b, v),
            None => {
                T::null(b);
                Ok(())
            }
        }
    }
    fn null(b: &mut T::B) {
        T::null(b);
    }
    fn finish(b: T::B) -> ArrayRef {
        T::finish(b)
    }
}

/// NULL where any argument is.
pub(crate) fn union_nulls(args: &[ArrayRef]) -> Option<NullBuffer> {
    args.iter().fold(None, |acc, a| NullBuffer::union(acc.as_ref(), a.logical_nulls().as_ref()))
}

/// The next argument; a call with too few is the binder's mistake.
pub(crate) fn next_arg<'a>(it: &mut std::slice::Iter<'a, ArrayRef>) -> Result<&'a ArrayRef> {
    it.next().ok_or_else(|| Error::internal("function called with too few arguments"))
}

/// `n` NULLs of a type.
pub(crate) fn nulls(ty: PgType, n: usize) -> ArrayRef {
    new_null_array(&heddle_types::arrow::data_type(ty), n)
}

/// A strict kernel from a per-row body. See the module's text.
macro_rules! k {
    // `||` is one token: without arguments it needs arms of its own.
    (|| -> $r:ty = $e:expr) => { k!(_cx, _ty; | | -> $r { Ok($e) }) };
    ($cx:ident, $ty:ident; || -> $r:ty $body:block) => { k!($cx, $ty; | | -> $r $body) };
    (|$($a:ident : $t:ty),*| -> $r:ty $body:block) => { k!(_cx, _ty; |$($a : $t),*| -> $r $body) };
    (|$($a:ident : $t:ty),*| -> $r:ty = $e:expr) => { k!(_cx, _ty; |$($a : $t),*| -> $r { Ok($e) }) };
    ($cx:ident, $ty:ident; |$($a:ident : $t:ty),*| -> $r:ty = $e:expr) => {
        k!($cx, $ty; |$($a : $t),*| -> $r { Ok($e) })
    };
    ($cx:ident, $ty:ident; |$($a:ident : $t:ty),*| -> $r:ty $body:block) => {{
        fn kernel(
            $cx: &$crate::context::EvalContext,
            $ty: &$crate::function::CallTypes<'_>,
            args: &[arrow::array::ArrayRef],
            n: usize,
        ) -> heddle_types::Result<arrow::array::ArrayRef> {
            #[allow(unused_imports, reason = "a kernel without arguments reads no columns")]
            use $crate::function::kernel::{FromCol, ToCol};
            // Most bodies need neither.
            let _ = ($cx, $ty);
            #[allow(unused_mut, unused_variables, reason = "a kernel without arguments takes none")]
            let mut it = args.iter();
            $( let $a = <$t as FromCol>::open($crate::function::kernel::next_arg(&mut it)?)?; )*
            let nulls = $crate::function::kernel::union_nulls(args);
            let mut out = <$r as ToCol>::builder(n, $ty.ret);
            #[allow(unused_variables, clippy::redundant_closure_call, reason = "the closure gives the body its own `?`")]
            for i in 0..n {
                if nulls.as_ref().is_some_and(|b| b.is_null(i)) {
                    <$r as ToCol>::null(&mut out);
                    continue;
                }
                $( let $a = <$t as FromCol>::get(&$a, i)?; )*
                let v: $r = (|| -> heddle_types::Result<$r> { $body })()?;
                <$r as ToCol>::push(&mut out, v)?;
            }
            Ok(<$r as ToCol>::finish(out))
        }
        kernel as $crate::function::ScalarKernel
    }};
}

/// A kernel that sees NULLs. See the module's text.
macro_rules! kn {
    (|$($a:ident : $t:ty),*| -> $r:ty $body:block) => { kn!(_cx, _ty; |$($a : $t),*| -> $r $body) };
    ($cx:ident, $ty:ident; |$($a:ident : $t:ty),*| -> $r:ty $body:block) => {{
        fn kernel(
            $cx: &$crate::context::EvalContext,
            $ty: &$crate::function::CallTypes<'_>,
            args: &[arrow::array::ArrayRef],
            n: usize,
        ) -> heddle_types::Result<arrow::array::ArrayRef> {
            #[allow(unused_imports, reason = "a kernel without arguments reads no columns")]
            use $crate::function::kernel::{FromCol, ToCol};
            // Most bodies need neither.
            let _ = ($cx, $ty);
            #[allow(unused_mut, unused_variables, reason = "a kernel without arguments takes none")]
            let mut it = args.iter();
            $( let $a = <$t as FromCol>::open($crate::function::kernel::next_arg(&mut it)?)?; )*
            let mut out = <$r as ToCol>::builder(n, $ty.ret);
            #[allow(unused_variables, clippy::redundant_closure_call, reason = "the closure gives the body its own `?`")]
            for i in 0..n {
                $( let $a = <$t as FromCol>::get(&$a, i)?; )*
                let v: $r = (|| -> heddle_types::Result<$r> { $body })()?;
                <$r as ToCol>::push(&mut out, v)?;
            }
            Ok(<$r as ToCol>::finish(out))
        }
        kernel as $crate::function::ScalarKernel
    }};
}

pub(crate) use {k, kn};
