//! first, last and their kin: the value at the earliest or latest time.
//!
//!   first(v, t), last(v, t)           of the rows whose value is not NULL
//!   first_row(v, t), last_row(v, t)   of all rows
//!   firstts, lastts, first_row_ts, last_row_ts   the time of that row instead of its value
//!
//! Rows without a time take no part. Of rows with the same time any one may be taken.

use super::super::Registry;
use super::super::kernel::{FromCol, Ts};
use super::{Agg, Types, agg};
use arrow::array::{Array, ArrayRef};
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, Error, PgType, Result};

/// The row so far: its time and value.
#[derive(Debug, Default)]
struct Edge<const LAST: bool, const NULLS: bool, const TIME: bool>(Option<(i64, Datum)>);

impl<const L: bool, const N: bool, const T: bool> Edge<L, N, T> {
    fn wants(&self, time: i64) -> bool {
        self.0.as_ref().is_none_or(|(best, _)| if L { time > *best } else { time < *best })
    }
}

/// The two argument columns.
struct Columns<'a> {
    value: &'a ArrayRef,
    ty: PgType,
    time: (&'a ArrayRef, <Ts as FromCol<'a>>::Col),
}

impl<const L: bool, const N: bool, const T: bool> Agg for Edge<L, N, T> {
    type Args<'a> = Columns<'a>;
    const STRICT: bool = !N;
    fn open<'a>(t: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        let ([value, time], [ty, _]) = (args, &t.args[..]) else {
            return Err(Error::internal("an aggregate over time has two arguments"));
        };
        Ok(Columns { value, ty: *ty, time: (time, <Ts as FromCol>::open(time)?) })
    }
    fn update(&mut self, args: &Self::Args<'_>, i: usize) -> Result<()> {
        if args.time.0.is_null(i) {
            return Ok(());
        }
        let Ts(time) = <Ts as FromCol>::get(&args.time.1, i)?;
        if self.wants(time) {
            self.0 = Some((time, datum_at(args.value, args.ty, i)));
        }
        Ok(())
    }
    fn state_types(t: &Types) -> Vec<PgType> {
        vec![t.args[1], t.args[0]]
    }
    fn state(&self, _: &Types) -> Result<Vec<Datum>> {
        Ok(match &self.0 {
            Some((time, value)) => vec![Datum::Timestamp(*time), value.clone()],
            None => vec![Datum::Null, Datum::Null],
        })
    }
    fn merge(&mut self, t: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        if let Datum::Timestamp(time) = datum_at(&states[0], t.args[1], i)
            && self.wants(time)
        {
            self.0 = Some((time, datum_at(&states[1], t.args[0], i)));
        }
        Ok(())
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        Ok(match &self.0 {
            Some((time, _)) if T => Datum::Timestamp(*time),
            Some((_, value)) => value.clone(),
            None => Datum::Null,
        })
    }
    fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, value)| value.memory_bytes() - size_of::<Datum>())
    }
}

pub(super) fn register(r: &mut Registry) {
    macro_rules! edge {
        ($name:literal, $last:literal, $nulls:literal, $time:literal, $tz:literal, $plain:literal) => {
            agg!(r, $name, Edge<$last, $nulls, $time>, $tz, $plain);
        };
    }
    edge!("first", false, false, false, "first(anyelement,timestamptz)", "first(anyelement,timestamp)");
    edge!("last", true, false, false, "last(anyelement,timestamptz)", "last(anyelement,timestamp)");
    edge!("first_row", false, true, false, "first_row(anyelement,timestamptz)", "first_row(anyelement,timestamp)");
    edge!("last_row", true, true, false, "last_row(anyelement,timestamptz)", "last_row(anyelement,timestamp)");
    edge!("firstts", false, false, true, "firstts(anyelement,timestamptz)", "firstts(anyelement,timestamp)");
    edge!("lastts", true, false, true, "lastts(anyelement,timestamptz)", "lastts(anyelement,timestamp)");
    edge!(
        "first_row_ts",
        false,
        true,
        true,
        "first_row_ts(anyelement,timestamptz)",
        "first_row_ts(anyelement,timestamp)"
    );
    edge!("last_row_ts", true, true, true, "last_row_ts(anyelement,timestamptz)", "last_row_ts(anyelement,timestamp)");
}
