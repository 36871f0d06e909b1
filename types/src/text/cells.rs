//! [`Cells`]: a column of result rows, written cell by cell. What its rows share is found once: the Arrow type behind it, and the
//! text of a minute, in which most timestamps of a series differ by their seconds alone.

use super::integer::digits;
use super::{TextSettings, format_at};
use crate::datetime::{DateFormat, DateTimeSettings, format_timestamp, format_timestamptz};
use crate::{PgType, binary, numeric, oid};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes as dt;

const MINUTE_US: i64 = 60_000_000;
/// Years 1973 to 9998: four digits, and no zone changes its offset within a minute.
const PLAIN_TIMES: std::ops::Range<i64> = 94_694_400_000_000..253_339_228_800_000_000;
/// Where a time's cell has its seconds.
const SECONDS: std::ops::Range<usize> = 4 + 17..4 + 19;
/// Room for a length word and the digits of an integer.
const INT_BYTES: usize = 24;

/// Integers from 0 to below this have their cells ready.
const READY: usize = 1000;
/// Of each the length word, the digits, whatever fills it up, and how many bytes the first two are.
static READY_CELLS: [[u8; 8]; READY] = ready_cells();

const fn ready_cells() -> [[u8; 8]; READY] {
    let mut out = [[0; 8]; READY];
    let mut value = 0;
    while value < READY {
        let digits = if value < 10 {
            1
        } else if value < 100 {
            2
        } else {
            3
        };
        let (mut place, mut rest) = (4 + digits, value);
        out[value][3] = digits as u8;
        out[value][7] = place as u8;
        while place > 4 {
            place -= 1;
            out[value][place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        value += 1;
    }
    out
}

/// See the module.
pub struct Cells<'a> {
    array: &'a ArrayRef,
    ty: PgType,
    binary: bool,
    nulls: Option<&'a NullBuffer>,
    kind: Kind<'a>,
}

/// The forms that have a way of their own.
enum Kind<'a> {
    Int2(&'a [i16]),
    Int4(&'a [i32]),
    Int8(&'a [i64]),
    Text(&'a StringArray),
    Numeric(&'a BinaryArray),
    Time(&'a [i64], Minute),
    Other,
}

/// The cells of a minute's times.
struct Minute {
    /// Its first microsecond.
    from_us: i64,
    /// The length word and the text of a time in it, whose seconds are filled in for each.
    cell: Vec<u8>,
}

impl<'a> Cells<'a> {
    /// For a column of type `ty`, in the binary or the text form.
    pub fn new(array: &'a ArrayRef, ty: PgType, binary: bool, settings: &TextSettings) -> Self {
        let kind = Kind::of(array, ty, binary, settings).unwrap_or(Kind::Other);
        Self { array, ty, binary, nulls: array.nulls(), kind }
    }

    /// Appends row `i` as DataRow has it: the length and the value, or -1 for NULL.
    #[inline]
    pub fn append(&mut self, out: &mut Vec<u8>, i: usize, settings: &TextSettings) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(i)) {
            return out.extend_from_slice(&(-1i32).to_be_bytes());
        }
        if let Kind::Time(values, minute) = &mut self.kind
            && minute.append(out, values[i], self.ty, &settings.datetime)
        {
            return;
        }
        match &self.kind {
            Kind::Int2(values) if self.binary => fixed(out, &values[i].to_be_bytes()),
            Kind::Int4(values) if self.binary => fixed(out, &values[i].to_be_bytes()),
            Kind::Int8(values) if self.binary => fixed(out, &values[i].to_be_bytes()),
            Kind::Int2(values) => int(out, values[i].into()),
            Kind::Int4(values) => int(out, values[i].into()),
            Kind::Int8(values) => int(out, values[i]),
            Kind::Text(values) => fixed(out, values.value(i).as_bytes()),
            Kind::Numeric(values) if short_numeric(out, values.value(i)) => {}
            Kind::Numeric(_) | Kind::Time(..) | Kind::Other => self.other(out, i, settings),
        }
    }

    fn other(&self, out: &mut Vec<u8>, i: usize, settings: &TextSettings) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        match self.binary {
            true => binary::encode_at(out, self.array, i, self.ty),
            false => format_at(out, self.array, i, self.ty, settings),
        }
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    }
}

impl<'a> Kind<'a> {
    fn of(array: &'a ArrayRef, ty: PgType, binary: bool, settings: &TextSettings) -> Option<Self> {
        Some(match ty.oid {
            oid::INT2 => Self::Int2(array.as_primitive_opt::<dt::Int16Type>()?.values()),
            oid::INT4 => Self::Int4(array.as_primitive_opt::<dt::Int32Type>()?.values()),
            oid::INT8 => Self::Int8(array.as_primitive_opt::<dt::Int64Type>()?.values()),
            oid::TEXT | oid::VARCHAR => Self::Text(array.as_string_opt::<i32>()?),
            oid::NUMERIC if !binary => Self::Numeric(array.as_binary_opt::<i32>()?),
            oid::TIMESTAMP | oid::TIMESTAMPTZ if !binary && settings.datetime.format == DateFormat::Iso => {
                let minute = Minute { from_us: i64::MIN, cell: Vec::new() };
                Self::Time(array.as_primitive_opt::<dt::TimestampMicrosecondType>()?.values(), minute)
            }
            _ => return None,
        })
    }
}

impl Minute {
    /// Appends a time with whole seconds; false when it is not so simple.
    fn append(&mut self, out: &mut Vec<u8>, us: i64, ty: PgType, settings: &DateTimeSettings) -> bool {
        let within = us.rem_euclid(MINUTE_US);
        if !PLAIN_TIMES.contains(&us) || within % 1_000_000 != 0 {
            return false;
        }
        if self.from_us != us - within && !self.begin(us - within, ty, settings) {
            return false;
        }
        let seconds = (within / 1_000_000) as u8;
        self.cell[SECONDS].copy_from_slice(&[b'0' + seconds / 10, b'0' + seconds % 10]);
        out.extend_from_slice(&self.cell);
        true
    }

    fn begin(&mut self, from_us: i64, ty: PgType, settings: &DateTimeSettings) -> bool {
        let mut cell = vec![0; 4];
        match ty.oid {
            oid::TIMESTAMPTZ => format_timestamptz(&mut cell, from_us, settings),
            _ => format_timestamp(&mut cell, from_us, settings),
        }
        // With an offset that has seconds, the minute begins elsewhere.
        if cell.get(SECONDS) != Some(b"00") || cell[SECONDS.start - 1] != b':' {
            return false;
        }
        let len = (cell.len() - 4) as u32;
        cell[..4].copy_from_slice(&len.to_be_bytes());
        *self = Self { from_us, cell };
        true
    }
}

fn fixed(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

/// Appends a numeric of not too many digits, from its bytes in Arrow columns; false when it is another.
fn short_numeric(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some((unscaled, scale)) = numeric::short(bytes) else { return false };
    // Zeros wait before the digits, for values below 1.
    let mut buf = [b'0'; INT_BYTES];
    let mut at = digits(unscaled, &mut buf);
    let sign: &[u8] = if unscaled < 0 { b"-" } else { b"" };
    if unscaled < 0 {
        buf[at] = b'0';
        at += 1;
    }
    let point = INT_BYTES - scale;
    let whole = &buf[at.min(point - 1)..point];
    let mark: &[u8] = if scale > 0 { b"." } else { b"" };
    let len = (sign.len() + whole.len() + mark.len() + scale) as u32;
    out.extend_from_slice(&len.to_be_bytes());
    [sign, whole, mark, &buf[point..]].into_iter().for_each(|part| out.extend_from_slice(part));
    true
}

#[inline]
fn int(out: &mut Vec<u8>, value: i64) {
    match usize::try_from(value).ok().and_then(|value| READY_CELLS.get(value)) {
        Some(ready) => {
            // All eight bytes at once, then without what fills them up: no call to copy a few.
            let end = out.len() + usize::from(ready[7]);
            out.extend_from_slice(ready);
            out.truncate(end);
        }
        None => long_int(out, value),
    }
}

fn long_int(out: &mut Vec<u8>, value: i64) {
    let mut buf = [0u8; INT_BYTES];
    let at = digits(value, &mut buf);
    let len = (INT_BYTES - at) as u32;
    buf[at - 4..at].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&buf[at - 4..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrow::column;
    use crate::{Datum, Numeric};

    /// Every cell is what the value's own form says.
    fn check(values: &[Datum], ty: crate::Oid, settings: &TextSettings) {
        let ty = PgType::new(ty);
        let array = column(values, ty).expect("of the type");
        for binary in [false, true] {
            let mut cells = Cells::new(&array, ty, binary, settings);
            for (i, value) in values.iter().enumerate() {
                let (mut got, mut want) = (Vec::new(), Vec::new());
                cells.append(&mut got, i, settings);
                match (value, binary) {
                    (Datum::Null, _) => {}
                    (value, true) => binary::encode(&mut want, value, ty),
                    (value, false) => crate::text::format(&mut want, value, ty, settings),
                }
                let len = if value.is_null() { -1 } else { want.len() as i32 };
                assert_eq!(got, [&len.to_be_bytes()[..], &want].concat(), "{value:?} binary {binary}");
            }
        }
    }

    #[test]
    fn cells_are_what_single_values_are() {
        let settings = TextSettings::default();
        let ints = [0, 7, -7, 10, 99, 100, 12_345, i64::MAX, i64::MIN];
        check(&ints.map(Datum::Int8), oid::INT8, &settings);
        let ints = [0, -1, 42, i32::MAX, i32::MIN];
        check(&ints.map(Datum::Int4), oid::INT4, &settings);
        check(&(-3..1010).map(Datum::Int4).collect::<Vec<_>>(), oid::INT4, &settings);
        check(&[Datum::Int2(i16::MIN), Datum::Null, Datum::Int2(5)], oid::INT2, &settings);
        check(&[Datum::text("a"), Datum::Null, Datum::text(""), Datum::text("\u{e4}")], oid::TEXT, &settings);
        let units = [0, 1, -1, 5, -50, 123_456, -9_999_999, i64::MAX.into(), i64::MIN.into(), i128::MAX];
        let scales = [0u16, 1, 2, 5, 16, 18, 19, 40];
        let numerics = units.iter().flat_map(|n| scales.map(|scale| Datum::Numeric(Numeric::from_parts(*n, scale))));
        let special = [Datum::Numeric(Numeric::NAN), Datum::Null, Datum::Numeric(Numeric::INFINITY)];
        check(&numerics.chain(special).collect::<Vec<_>>(), oid::NUMERIC, &settings);
        check(&[Datum::Float8(1.5), Datum::Null, Datum::Float8(f64::NAN)], oid::FLOAT8, &settings);
    }

    #[test]
    fn times_share_the_text_of_their_minute() {
        let near = 1_767_225_600_000_000;
        let mut times: Vec<i64> = (-5..5).flat_map(|n| [near + n * 10_000_000, near + n * 10_000_000 + 1]).collect();
        times.extend([i64::MIN, i64::MAX, 0, -1, 94_694_400_000_000, 94_694_399_000_000, near * 100]);
        let values: Vec<Datum> = times.into_iter().map(Datum::Timestamp).chain([Datum::Null]).collect();
        for zone in ["UTC", "Asia/Kolkata", "America/New_York", "Africa/Monrovia"] {
            let mut settings = TextSettings::default();
            settings.datetime.zone = crate::datetime::Zone::parse(zone).expect("known");
            check(&values, oid::TIMESTAMPTZ, &settings);
            check(&values, oid::TIMESTAMP, &settings);
        }
    }
}
