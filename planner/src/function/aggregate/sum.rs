//! sum and avg. Integers add in i128, numerics exactly, floats in their own width.

use super::super::Registry;
use super::super::dt;
use super::super::error::{float_overflow, out_of_range};
use super::super::kernel::{FromCol, cast_array};
use super::{Agg, Types, agg, first};
use arrow::array::{ArrayRef, BinaryArray};
use heddle_types::arrow::datum_at;
use heddle_types::numeric::small_parts;
use heddle_types::{Datum, Interval, Numeric, PgType, Result, oid};
use std::marker::PhantomData;

/// What an average or sum adds up: a value type with exact or checked addition.
pub(super) trait Total: Default + Send + Sync + std::fmt::Debug + 'static {
    /// Type of the partial state.
    const OID: heddle_types::Oid;
    fn add_total(&mut self, v: Datum) -> Result<()>;
    fn datum(&self) -> Datum;
}

/// Adds a value of the argument type.
pub(super) trait AddTo<T: Total>: for<'a> FromColAny<'a> {
    fn add_to(self, total: &mut T) -> Result<()>;
}

/// [`FromCol`] with a name that can be used in bounds.
pub(super) trait FromColAny<'a>: FromCol<'a> {}
impl<'a, T: FromCol<'a>> FromColAny<'a> for T {}

impl Total for i128 {
    const OID: heddle_types::Oid = oid::NUMERIC;
    fn add_total(&mut self, v: Datum) -> Result<()> {
        if let Datum::Numeric(n) = v {
            *self = n.to_i128().and_then(|v| self.checked_add(v)).ok_or_else(|| out_of_range("numeric"))?;
        }
        Ok(())
    }
    fn datum(&self) -> Datum {
        Datum::Numeric(Numeric::from_parts(*self, 0))
    }
}

macro_rules! int_total {
    ($($t:ty),*) => { $(impl AddTo<i128> for $t {
        #[inline]
        fn add_to(self, total: &mut i128) -> Result<()> {
            // 2^63 rows of 2^64 fit into an i128.
            *total += i128::from(self);
            Ok(())
        }
    })* };
}
int_total!(i16, i32, i64);

macro_rules! float_total {
    ($t:ty, $oid:expr, $variant:ident) => {
        impl Total for $t {
            const OID: heddle_types::Oid = $oid;
            fn add_total(&mut self, v: Datum) -> Result<()> {
                match v {
                    Datum::$variant(v) => v.add_to(self),
                    _ => Ok(()),
                }
            }
            fn datum(&self) -> Datum {
                Datum::$variant(*self)
            }
        }
        impl AddTo<$t> for $t {
            #[inline]
            fn add_to(self, total: &mut $t) -> Result<()> {
                let sum = *total + self;
                if sum.is_infinite() && total.is_finite() && self.is_finite() {
                    return Err(float_overflow());
                }
                *total = sum;
                Ok(())
            }
        }
    };
}
float_total!(f32, oid::FLOAT4, Float4);
float_total!(f64, oid::FLOAT8, Float8);
impl AddTo<f64> for f32 {
    fn add_to(self, total: &mut f64) -> Result<()> {
        f64::from(self).add_to(total)
    }
}

/// An exact sum: i128 while scales agree and it fits.
#[derive(Debug, Default)]
pub(super) struct NumericTotal {
    mantissa: i128,
    scale: u16,
    /// What did not fit the fast path.
    slow: Option<Box<Numeric>>,
}

impl NumericTotal {
    fn total(&self) -> Result<Numeric> {
        let fast = Numeric::from_parts(self.mantissa, self.scale);
        match &self.slow {
            Some(s) => s.add(&fast),
            None => Ok(fast),
        }
    }
}

impl Total for NumericTotal {
    const OID: heddle_types::Oid = oid::NUMERIC;
    fn add_total(&mut self, v: Datum) -> Result<()> {
        match v {
            Datum::Numeric(n) => n.add_to(self),
            _ => Ok(()),
        }
    }
    fn datum(&self) -> Datum {
        self.total().map_or(Datum::Null, Datum::Numeric)
    }
}

impl AddTo<NumericTotal> for Numeric {
    #[inline]
    fn add_to(self, t: &mut NumericTotal) -> Result<()> {
        if let Some((m, s)) = self.to_parts() {
            if s == t.scale
                && let Some(sum) = t.mantissa.checked_add(m)
            {
                t.mantissa = sum;
                return Ok(());
            }
            if let Some((m, s)) = Numeric::from_parts(t.mantissa, t.scale).add(&self)?.to_parts() {
                (t.mantissa, t.scale) = (m, s);
                return Ok(());
            }
        }
        let slow = match t.slow.take() {
            Some(s) => s.add(&self)?,
            None => self,
        };
        t.slow = Some(Box::new(slow));
        Ok(())
    }
}

/// A numeric as it is added up: its integer and scale when they are short.
#[derive(Debug)]
pub(super) enum Addend {
    Small(i64, u16),
    Other(Numeric),
}

impl<'a> FromCol<'a> for Addend {
    type Col = &'a BinaryArray;
    fn open(a: &'a ArrayRef) -> Result<Self::Col> {
        cast_array(a)
    }
    #[inline]
    fn get(c: &Self::Col, i: usize) -> Result<Self> {
        let bytes = c.value(i);
        match small_parts(bytes) {
            Some((unscaled, scale)) => Ok(Self::Small(unscaled, scale)),
            None => Numeric::from_bytes(bytes).map(Self::Other),
        }
    }
}

impl AddTo<NumericTotal> for Addend {
    #[inline]
    fn add_to(self, t: &mut NumericTotal) -> Result<()> {
        match self {
            Self::Small(unscaled, scale) => {
                if scale == t.scale
                    && let Some(sum) = t.mantissa.checked_add(unscaled.into())
                {
                    t.mantissa = sum;
                    return Ok(());
                }
                Numeric::from_parts(unscaled.into(), scale).add_to(t)
            }
            Self::Other(v) => v.add_to(t),
        }
    }
}

impl Total for Interval {
    const OID: heddle_types::Oid = oid::INTERVAL;
    fn add_total(&mut self, v: Datum) -> Result<()> {
        match v {
            Datum::Interval(v) => v.add_to(self),
            _ => Ok(()),
        }
    }
    fn datum(&self) -> Datum {
        Datum::Interval(*self)
    }
}
impl AddTo<Interval> for Interval {
    fn add_to(self, total: &mut Interval) -> Result<()> {
        *total = dt::interval_add(*total, self)?;
        Ok(())
    }
}

/// Sum and count of non-NULL values: the state of both sum and avg.
#[derive(Debug)]
struct SumCount<V, T, const AVG: bool> {
    total: T,
    count: i64,
    value: PhantomData<fn() -> V>,
}

impl<V, T: Total, const AVG: bool> Default for SumCount<V, T, AVG> {
    fn default() -> Self {
        Self { total: T::default(), count: 0, value: PhantomData }
    }
}

impl<V: AddTo<T> + 'static + std::fmt::Debug, T: Total, const AVG: bool> Agg for SumCount<V, T, AVG> {
    type Args<'a> = <V as FromCol<'a>>::Col;
    fn open<'a>(_: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        <V as FromCol<'a>>::open(first(args)?)
    }
    #[inline]
    fn update(&mut self, args: &Self::Args<'_>, i: usize) -> Result<()> {
        self.count += 1;
        <V as FromCol<'_>>::get(args, i)?.add_to(&mut self.total)
    }
    fn state_types(_: &Types) -> Vec<PgType> {
        vec![PgType::new(T::OID), PgType::new(oid::INT8)]
    }
    fn state(&self, _: &Types) -> Result<Vec<Datum>> {
        Ok(vec![self.total.datum(), Datum::Int8(self.count)])
    }
    fn merge(&mut self, _: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        let count = datum_at(&states[1], PgType::new(oid::INT8), i).as_i64().unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        self.count += count;
        self.total.add_total(datum_at(&states[0], PgType::new(T::OID), i))
    }
    fn result(&self, t: &Types) -> Result<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        let total = self.total.datum();
        if AVG { average(total, self.count) } else { sum_as(total, t.ret) }
    }
}

fn average(total: Datum, count: i64) -> Result<Datum> {
    Ok(match total {
        Datum::Numeric(n) => Datum::Numeric(n.div(&Numeric::from_i64(count))?),
        Datum::Float8(f) => Datum::Float8(f / count as f64),
        Datum::Interval(iv) => Datum::Interval(dt::interval_scale(iv, |v| v / count as f64)?),
        other => other,
    })
}

/// sum(int2) and sum(int4) are bigint.
fn sum_as(total: Datum, ret: PgType) -> Result<Datum> {
    match total {
        Datum::Numeric(n) if ret.oid == oid::INT8 => n.to_i64().map(Datum::Int8).ok_or_else(|| out_of_range("bigint")),
        other => Ok(other),
    }
}

pub(super) fn register(r: &mut Registry) {
    agg!(r, "sum", SumCount<i16, i128, false>, "sum(int2)");
    agg!(r, "sum", SumCount<i32, i128, false>, "sum(int4)");
    agg!(r, "sum", SumCount<i64, i128, false>, "sum(int8)");
    agg!(r, "sum", SumCount<f32, f32, false>, "sum(float4)");
    agg!(r, "sum", SumCount<f64, f64, false>, "sum(float8)");
    agg!(r, "sum", SumCount<Addend, NumericTotal, false>, "sum(numeric)");
    agg!(r, "sum", SumCount<Interval, Interval, false>, "sum(interval)");
    agg!(r, "avg", SumCount<i16, i128, true>, "avg(int2)");
    agg!(r, "avg", SumCount<i32, i128, true>, "avg(int4)");
    agg!(r, "avg", SumCount<i64, i128, true>, "avg(int8)");
    agg!(r, "avg", SumCount<f32, f64, true>, "avg(float4)");
    agg!(r, "avg", SumCount<f64, f64, true>, "avg(float8)");
    agg!(r, "avg", SumCount<Addend, NumericTotal, true>, "avg(numeric)");
    agg!(r, "avg", SumCount<Interval, Interval, true>, "avg(interval)");
}
