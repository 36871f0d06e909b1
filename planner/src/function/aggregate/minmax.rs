//! min and max of every ordered type.

use super::super::Registry;
use super::super::compare::{datum_order, order_f32, order_f64};
use super::super::kernel::{Date, FromCol, Time, Ts};
use super::{Agg, Types, agg, first};
use arrow::array::ArrayRef;
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, Numeric, PgType, Result};
use std::cmp::Ordering;

/// A value with PostgreSQL's order that a state can hold without its type.
trait Ordered: for<'a> super::sum::FromColAny<'a> + Send + Sync + std::fmt::Debug + 'static {
    fn order(&self, o: &Self) -> Ordering;
    fn datum(&self) -> Datum;
}

macro_rules! ordered {
    ($($t:ty, |$a:ident, $b:ident| $cmp:expr, |$v:ident| $datum:expr;)*) => { $(
        impl Ordered for $t {
            #[inline]
            fn order(&self, o: &Self) -> Ordering { let ($a, $b) = (self, o); $cmp }
            fn datum(&self) -> Datum { let $v = self; $datum }
        }
    )* };
}
ordered! {
    i16, |a, b| a.cmp(b), |v| Datum::Int2(*v);
    i32, |a, b| a.cmp(b), |v| Datum::Int4(*v);
    i64, |a, b| a.cmp(b), |v| Datum::Int8(*v);
    u32, |a, b| a.cmp(b), |v| Datum::Oid(*v);
    f32, |a, b| order_f32(*a, *b), |v| Datum::Float4(*v);
    f64, |a, b| order_f64(*a, *b), |v| Datum::Float8(*v);
    Numeric, |a, b| a.cmp(b), |v| Datum::Numeric(v.clone());
    Date, |a, b| a.cmp(b), |v| Datum::Date(v.0);
    Time, |a, b| a.cmp(b), |v| Datum::Time(v.0);
    Ts, |a, b| a.cmp(b), |v| Datum::Timestamp(v.0);
}

/// The extreme so far.
#[derive(Debug)]
struct Extreme<V, const MAX: bool>(Option<V>);

impl<V, const M: bool> Default for Extreme<V, M> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Ordered, const M: bool> Extreme<V, M> {
    #[inline]
    fn offer(&mut self, v: V) {
        let better = match &self.0 {
            None => true,
            Some(best) => v.order(best) == if M { Ordering::Greater } else { Ordering::Less },
        };
        if better {
            self.0 = Some(v);
        }
    }
}

impl<V: Ordered, const M: bool> Agg for Extreme<V, M> {
    type Args<'a> = <V as FromCol<'a>>::Col;
    fn open<'a>(_: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        <V as FromCol<'a>>::open(first(args)?)
    }
    #[inline]
    fn update(&mut self, args: &Self::Args<'_>, i: usize) -> Result<()> {
        self.offer(<V as FromCol<'_>>::get(args, i)?);
        Ok(())
    }
    fn state_types(t: &Types) -> Vec<PgType> {
        vec![t.ret]
    }
    fn state(&self, t: &Types) -> Result<Vec<Datum>> {
        Ok(vec![self.result(t)?])
    }
    fn merge(&mut self, _: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        if states[0].is_valid(i) {
            let col = <V as FromCol<'_>>::open(&states[0])?;
            self.offer(<V as FromCol<'_>>::get(&col, i)?);
        }
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        Ok(self.0.as_ref().map_or(Datum::Null, Ordered::datum))
    }
}

/// The extreme of any type, by [`datum_order`].
#[derive(Debug, Default)]
struct AnyExtreme<const MAX: bool>(Option<Datum>);

impl<const M: bool> AnyExtreme<M> {
    fn offer(&mut self, v: Datum, ty: PgType) {
        let better = match &self.0 {
            None => true,
            Some(best) => datum_order(&v, best, ty) == if M { Ordering::Greater } else { Ordering::Less },
        };
        if better && !v.is_null() {
            self.0 = Some(v);
        }
    }
}

impl<const M: bool> Agg for AnyExtreme<M> {
    type Args<'a> = (&'a ArrayRef, PgType);
    fn open<'a>(t: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        Ok((first(args)?, t.ret))
    }
    fn update(&mut self, (col, ty): &Self::Args<'_>, i: usize) -> Result<()> {
        self.offer(datum_at(col, *ty, i), *ty);
        Ok(())
    }
    fn state_types(t: &Types) -> Vec<PgType> {
        vec![t.ret]
    }
    fn state(&self, t: &Types) -> Result<Vec<Datum>> {
        Ok(vec![self.result(t)?])
    }
    fn merge(&mut self, t: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        self.offer(datum_at(&states[0], t.ret, i), t.ret);
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        Ok(self.0.clone().unwrap_or(Datum::Null))
    }
    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Some(Datum::Text(s)) => s.len(),
            _ => 0,
        }
    }
}

pub(super) fn register(r: &mut Registry) {
    macro_rules! both {
        ($ty:ty, $min:literal, $max:literal) => {
            agg!(r, "min", Extreme<$ty, false>, $min);
            agg!(r, "max", Extreme<$ty, true>, $max);
        };
    }
    both!(i16, "min(int2)", "max(int2)");
    both!(i32, "min(int4)", "max(int4)");
    both!(i64, "min(int8)", "max(int8)");
    both!(u32, "min(oid)", "max(oid)");
    both!(f32, "min(float4)", "max(float4)");
    both!(f64, "min(float8)", "max(float8)");
    both!(Numeric, "min(numeric)", "max(numeric)");
    both!(Date, "min(date)", "max(date)");
    both!(Time, "min(time)", "max(time)");
    both!(Ts, "min(timestamp)", "max(timestamp)");
    agg!(r, "min", Extreme<Ts, false>, "min(timestamptz)");
    agg!(r, "max", Extreme<Ts, true>, "max(timestamptz)");
    agg!(r, "min", AnyExtreme<false>, "min(text)", "min(bpchar)", "min(interval)", "min(anyarray)");
    agg!(r, "max", AnyExtreme<true>, "max(text)", "max(bpchar)", "max(interval)", "max(anyarray)");
}
