//! bool_and, bool_or, every, bit_and, bit_or, bit_xor: one fold over values of one type.

use super::super::Registry;
use super::super::kernel::FromCol;
use super::{Agg, Types, agg, first};
use arrow::array::ArrayRef;
use heddle_types::{Datum, PgType, Result};

const AND: u8 = 0;
const OR: u8 = 1;
const XOR: u8 = 2;

trait Bits: for<'a> super::sum::FromColAny<'a> + Copy + Send + Sync + std::fmt::Debug + 'static {
    fn fold(self, o: Self, op: u8) -> Self;
    fn datum(self) -> Datum;
}

macro_rules! bits {
    ($($t:ty, $variant:ident;)*) => { $(impl Bits for $t {
        fn fold(self, o: Self, op: u8) -> Self {
            match op { AND => self & o, OR => self | o, _ => self ^ o }
        }
        fn datum(self) -> Datum { Datum::$variant(self) }
    })* };
}
bits! { bool, Bool; i16, Int2; i32, Int4; i64, Int8; }

#[derive(Debug)]
struct Fold<V, const OP: u8>(Option<V>);

impl<V, const OP: u8> Default for Fold<V, OP> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Bits, const OP: u8> Agg for Fold<V, OP> {
    type Args<'a> = <V as FromCol<'a>>::Col;
    fn open<'a>(_: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        <V as FromCol<'a>>::open(first(args)?)
    }
    fn update(&mut self, args: &Self::Args<'_>, i: usize) -> Result<()> {
        let v = <V as FromCol<'_>>::get(args, i)?;
        self.0 = Some(self.0.map_or(v, |old| old.fold(v, OP)));
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
            let v = <V as FromCol<'_>>::get(&col, i)?;
            self.0 = Some(self.0.map_or(v, |old| old.fold(v, OP)));
        }
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        Ok(self.0.map_or(Datum::Null, Bits::datum))
    }
}

pub(super) fn register(r: &mut Registry) {
    agg!(r, "bool_and", Fold<bool, AND>, "bool_and(bool)");
    agg!(r, "every", Fold<bool, AND>, "every(bool)");
    agg!(r, "bool_or", Fold<bool, OR>, "bool_or(bool)");
    agg!(r, "bit_and", Fold<i16, AND>, "bit_and(int2)");
    agg!(r, "bit_and", Fold<i32, AND>, "bit_and(int4)");
    agg!(r, "bit_and", Fold<i64, AND>, "bit_and(int8)");
    agg!(r, "bit_or", Fold<i16, OR>, "bit_or(int2)");
    agg!(r, "bit_or", Fold<i32, OR>, "bit_or(int4)");
    agg!(r, "bit_or", Fold<i64, OR>, "bit_or(int8)");
    agg!(r, "bit_xor", Fold<i16, XOR>, "bit_xor(int2)");
    agg!(r, "bit_xor", Fold<i32, XOR>, "bit_xor(int4)");
    agg!(r, "bit_xor", Fold<i64, XOR>, "bit_xor(int8)");
}
