//! count(*) and count(x).

use super::super::Registry;
use super::{Agg, Types, agg};
use arrow::array::ArrayRef;
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, PgType, Result, oid};

/// Counts rows; strict over its argument. `count(*)` gets a constant argument from the lowering (or none).
#[derive(Debug, Default)]
struct Count<const STRICT: bool>(i64);

impl<const S: bool> Agg for Count<S> {
    type Args<'a> = ();
    const STRICT: bool = S;
    fn open<'a>(_: &'a Types, _: &'a [ArrayRef]) -> Result<()> {
        Ok(())
    }
    fn update(&mut self, (): &(), _: usize) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
    fn state_types(_: &Types) -> Vec<PgType> {
        vec![PgType::new(oid::INT8)]
    }
    fn state(&self, _: &Types) -> Result<Vec<Datum>> {
        Ok(vec![Datum::Int8(self.0)])
    }
    fn merge(&mut self, _: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        self.0 += datum_at(&states[0], PgType::new(oid::INT8), i).as_i64().unwrap_or(0);
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        Ok(Datum::Int8(self.0))
    }
}

pub(super) fn register(r: &mut Registry) {
    agg!(r, "count", Count<false>, "count()");
    agg!(r, "count", Count<true>, "count(any)");
}
