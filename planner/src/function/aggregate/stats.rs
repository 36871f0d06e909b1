//! variance and standard deviation: exact sums for integers and numerics, Youngs-Cramer for floats, as in PostgreSQL.

use super::super::Registry;
use super::super::kernel::FromCol;
use super::{Agg, Types, agg, first};
use arrow::array::ArrayRef;
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, Numeric, PgType, Result, oid};
use std::marker::PhantomData;

/// Sum, sum of squares and count.
#[derive(Debug)]
struct Exact<V, const SAMPLE: bool, const ROOT: bool> {
    n: i64,
    sum: Numeric,
    squares: Numeric,
    value: PhantomData<fn() -> V>,
}

impl<V, const S: bool, const R: bool> Default for Exact<V, S, R> {
    fn default() -> Self {
        Self { n: 0, sum: Numeric::ZERO, squares: Numeric::ZERO, value: PhantomData }
    }
}

trait ToNumeric: for<'a> super::sum::FromColAny<'a> + std::fmt::Debug + 'static {
    fn numeric(self) -> Numeric;
}
macro_rules! to_numeric {
    ($($t:ty),*) => { $(impl ToNumeric for $t { fn numeric(self) -> Numeric { Numeric::from_i64(i64::from(self)) } })* };
}
to_numeric!(i16, i32, i64);
impl ToNumeric for Numeric {
    fn numeric(self) -> Numeric {
        self
    }
}

impl<V: ToNumeric, const S: bool, const R: bool> Agg for Exact<V, S, R> {
    type Args<'a> = <V as FromCol<'a>>::Col;
    fn open<'a>(_: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        <V as FromCol<'a>>::open(first(args)?)
    }
    fn update(&mut self, args: &Self::Args<'_>, i: usize) -> Result<()> {
        let v = <V as FromCol<'_>>::get(args, i)?.numeric();
        self.n += 1;
        self.sum = self.sum.add(&v)?;
        self.squares = self.squares.add(&v.mul(&v)?)?;
        Ok(())
    }
    fn state_types(_: &Types) -> Vec<PgType> {
        vec![PgType::new(oid::INT8), PgType::new(oid::NUMERIC), PgType::new(oid::NUMERIC)]
    }
    fn state(&self, _: &Types) -> Result<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.n), Datum::Numeric(self.sum.clone()), Datum::Numeric(self.squares.clone())])
    }
    fn merge(&mut self, t: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        let types = Self::state_types(t);
        if let (Datum::Int8(n), Datum::Numeric(s), Datum::Numeric(q)) =
            (datum_at(&states[0], types[0], i), datum_at(&states[1], types[1], i), datum_at(&states[2], types[2], i))
        {
            self.n += n;
            self.sum = self.sum.add(&s)?;
            self.squares = self.squares.add(&q)?;
        }
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        if self.n == 0 || (S && self.n == 1) {
            return Ok(Datum::Null);
        }
        if !self.sum.is_finite() {
            return Ok(Datum::Numeric(Numeric::NAN));
        }
        let n = Numeric::from_i64(self.n);
        let spread = n.mul(&self.squares)?.sub(&self.sum.mul(&self.sum)?)?;
        if spread <= Numeric::ZERO {
            return Ok(Datum::Numeric(Numeric::ZERO));
        }
        let by = n.mul(&Numeric::from_i64(if S { self.n - 1 } else { self.n }))?;
        let variance = spread.div(&by)?;
        Ok(Datum::Numeric(if R { variance.sqrt()?.round(i32::from(variance.dscale())) } else { variance }))
    }
}

/// Count, sum and sum of squared deviations.
#[derive(Debug)]
struct Float<V, const SAMPLE: bool, const ROOT: bool> {
    n: f64,
    sum: f64,
    deviation: f64,
    value: PhantomData<fn() -> V>,
}

impl<V, const S: bool, const R: bool> Default for Float<V, S, R> {
    fn default() -> Self {
        Self { n: 0.0, sum: 0.0, deviation: 0.0, value: PhantomData }
    }
}

impl<V: for<'a> super::sum::FromColAny<'a> + Into<f64> + std::fmt::Debug + 'static, const S: bool, const R: bool> Agg
    for Float<V, S, R>
{
    type Args<'a> = <V as FromCol<'a>>::Col;
    fn open<'a>(_: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        <V as FromCol<'a>>::open(first(args)?)
    }
    fn update(&mut self, args: &Self::Args<'_>, i: usize) -> Result<()> {
        let v: f64 = <V as FromCol<'_>>::get(args, i)?.into();
        let old = self.n;
        self.n += 1.0;
        self.sum += v;
        if old > 0.0 {
            let tmp = v * self.n - self.sum;
            self.deviation += tmp * tmp / (self.n * old);
        } else if !v.is_finite() {
            self.deviation = f64::NAN;
        }
        if !self.sum.is_finite() {
            self.deviation = f64::NAN;
        }
        Ok(())
    }
    fn state_types(_: &Types) -> Vec<PgType> {
        vec![PgType::new(oid::FLOAT8); 3]
    }
    fn state(&self, _: &Types) -> Result<Vec<Datum>> {
        Ok(vec![Datum::Float8(self.n), Datum::Float8(self.sum), Datum::Float8(self.deviation)])
    }
    fn merge(&mut self, _: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        let get = |c: usize| match datum_at(&states[c], PgType::new(oid::FLOAT8), i) {
            Datum::Float8(f) => f,
            _ => 0.0,
        };
        let (n, sum, deviation) = (get(0), get(1), get(2));
        if n == 0.0 {
            return Ok(());
        }
        if self.n == 0.0 {
            (self.n, self.sum, self.deviation) = (n, sum, deviation);
            return Ok(());
        }
        let total = self.n + n;
        let tmp = self.sum / self.n - sum / n;
        self.deviation += deviation + self.n * n * tmp * tmp / total;
        self.n = total;
        self.sum += sum;
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        if self.n == 0.0 || (S && self.n <= 1.0) {
            return Ok(Datum::Null);
        }
        let v = self.deviation / if S { self.n - 1.0 } else { self.n };
        Ok(Datum::Float8(if R { v.sqrt() } else { v }))
    }
}

pub(super) fn register(r: &mut Registry) {
    macro_rules! family {
        ($state:ident, $ty:ty, [$($pop:literal)+], [$($samp:literal)+], [$($spop:literal)+], [$($ssamp:literal)+]) => {
            agg!(r, "var_pop", $state<$ty, false, false>, $($pop),+);
            agg!(r, "var_samp", $state<$ty, true, false>, $($samp),+);
            agg!(r, "stddev_pop", $state<$ty, false, true>, $($spop),+);
            agg!(r, "stddev_samp", $state<$ty, true, true>, $($ssamp),+);
        };
    }
    family!(Exact, i16, ["var_pop(int2)"], ["var_samp(int2)" "variance(int2)"], ["stddev_pop(int2)"], ["stddev_samp(int2)" "stddev(int2)"]);
    family!(Exact, i32, ["var_pop(int4)"], ["var_samp(int4)" "variance(int4)"], ["stddev_pop(int4)"], ["stddev_samp(int4)" "stddev(int4)"]);
    family!(Exact, i64, ["var_pop(int8)"], ["var_samp(int8)" "variance(int8)"], ["stddev_pop(int8)"], ["stddev_samp(int8)" "stddev(int8)"]);
    family!(Exact, Numeric, ["var_pop(numeric)"], ["var_samp(numeric)" "variance(numeric)"], ["stddev_pop(numeric)"], ["stddev_samp(numeric)" "stddev(numeric)"]);
    family!(Float, f32, ["var_pop(float4)"], ["var_samp(float4)" "variance(float4)"], ["stddev_pop(float4)"], ["stddev_samp(float4)" "stddev(float4)"]);
    family!(Float, f64, ["var_pop(float8)"], ["var_samp(float8)" "variance(float8)"], ["stddev_pop(float8)"], ["stddev_samp(float8)" "stddev(float8)"]);
}
