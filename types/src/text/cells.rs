//! [`Cells`]: a column of result rows, written cell by cell. What its rows share is found once: the Arrow type behind it, and the
//! text of an hour, in which most timestamps of a series differ by minutes and seconds alone.

use super::integer::digits;
use super::{TextSettings, format_at};
use crate::datetime::{DateFormat, DateTimeSettings, format_timestamp, format_timestamptz};
use crate::{PgType, binary, numeric, oid};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes as dt;
use std::ops::Range;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
/// Years 1973 to 9998: four digits, and no zone changes its offset within a minute.
const PLAIN_TIMES: Range<i64> = 94_694_400_000_000..253_339_228_800_000_000;
/// Where a time's cell has its minutes and seconds.
const MINUTES: Range<usize> = 4 + 14..4 + 16;
const SECONDS: Range<usize> = 4 + 17..4 + 19;
/// A cell of bounded length that is not of text: the longest is a time before Christ.
const SHORT_BYTES: usize = 64;
/// Room for a length word and the digits of an integer.
const INT_BYTES: usize = 24;
/// Nearly all times' cells, and nearly all short texts, have no more bytes.
const TIME_BYTES: usize = 32;
const TEXT_BYTES: usize = 16;
/// A cache line. Lanes begin with one.
pub(super) const LINE: usize = 64;

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
    Time(&'a [i64], Hour),
    Other,
}

/// The cells of an hour's times.
struct Hour {
    /// Its microseconds: a whole hour of the zone, or a minute where the zone's offset changes.
    range: Range<i64>,
    /// The minute it begins with.
    minute: usize,
    /// The length word and the text of a time in it, in which minutes and seconds are filled in for each; then zeros.
    cell: Vec<u8>,
    /// Bytes of the cell.
    len: usize,
}

/// Rows side by side, written a column at a time: a cell does not wait for the one before it to say where it ends.
pub(super) struct Lanes {
    bytes: Vec<u8>,
    /// Bytes from one to the next.
    stride: usize,
    /// Where each ends.
    ends: [usize; LANES],
    /// A cell on its way.
    cell: Vec<u8>,
}

/// Rows written side by side.
pub(super) const LANES: usize = 64;

impl Lanes {
    pub fn new() -> Self {
        Self { bytes: Vec::new(), stride: 0, ends: [0; LANES], cell: Vec::new() }
    }

    /// Begins rows of at most `bytes_max` bytes with `head`.
    pub fn begin<const N: usize>(&mut self, head: &[u8; N], bytes_max: usize) {
        // An odd number of cache lines, so that lanes do not meet in the same sets of the cache.
        self.stride = bytes_max.next_multiple_of(LINE) | LINE;
        self.bytes.resize((self.stride * LANES).max(self.bytes.len()), 0);
        self.bytes.chunks_exact_mut(self.stride).take(LANES).for_each(|lane| lane[..N].copy_from_slice(head));
        self.ends = [N; LANES];
    }

    /// The lanes of the first `n` rows, and where the rows in them end.
    pub fn rows(&mut self, n: usize) -> impl Iterator<Item = (&mut [u8], usize)> {
        self.bytes.chunks_exact_mut(self.stride).zip(self.ends).take(n)
    }

    /// Adds a cell to each row: what `put` writes to where it is told, and says how long it is.
    #[inline(always)]
    fn put(&mut self, nulls: Option<&NullBuffer>, rows: Range<usize>, mut put: impl FnMut(usize, &mut [u8]) -> usize) {
        for ((lane, end), row) in self.bytes.chunks_exact_mut(self.stride).zip(&mut self.ends).zip(rows) {
            let place = &mut lane[*end..];
            *end += match nulls {
                Some(nulls) if nulls.is_null(row) => put_bytes(place, &NULL_CELL),
                _ => put(row, place),
            };
        }
    }
}

const NULL_CELL: [u8; 4] = (-1i32).to_be_bytes();

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
            return out.extend_from_slice(&NULL_CELL);
        }
        if let Kind::Time(values, hour) = &mut self.kind {
            let mut cell = [0; SHORT_BYTES];
            if let Some(len) = hour.put(&mut cell, values[i], self.ty, &settings.datetime) {
                return out.extend_from_slice(&cell[..len]);
            }
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

    /// Most bytes of a cell of `rows`, if that is known.
    pub(super) fn bytes_max(&self, rows: Range<usize>) -> Option<usize> {
        match &self.kind {
            Kind::Int2(_) | Kind::Int4(_) | Kind::Int8(_) => Some(INT_BYTES),
            Kind::Text(values) => {
                let ends = &values.value_offsets()[rows.start..=rows.end];
                Some(4 + ends.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0))
            }
            Kind::Time(..) => Some(SHORT_BYTES),
            Kind::Other => match self.ty.oid {
                oid::FLOAT4 | oid::FLOAT8 | oid::BOOL | oid::DATE => Some(SHORT_BYTES),
                oid::TIMESTAMP | oid::TIMESTAMPTZ if self.binary => Some(SHORT_BYTES),
                _ => None,
            },
            Kind::Numeric(_) => None,
        }
    }

    /// Adds the cells of `rows`, whose [`Self::bytes_max`] is known, to one lane each.
    pub(super) fn put(&mut self, lanes: &mut Lanes, rows: Range<usize>, settings: &TextSettings) {
        let (nulls, binary, ty) = (self.nulls, self.binary, self.ty);
        match &mut self.kind {
            Kind::Int2(values) if binary => lanes.put(nulls, rows, |i, to| put_fixed(to, values[i].to_be_bytes())),
            Kind::Int4(values) if binary => lanes.put(nulls, rows, |i, to| put_fixed(to, values[i].to_be_bytes())),
            Kind::Int8(values) if binary => lanes.put(nulls, rows, |i, to| put_fixed(to, values[i].to_be_bytes())),
            Kind::Int2(values) => lanes.put(nulls, rows, |i, to| put_int(to, values[i].into())),
            Kind::Int4(values) => lanes.put(nulls, rows, |i, to| put_int(to, values[i].into())),
            Kind::Int8(values) => lanes.put(nulls, rows, |i, to| put_int(to, values[i])),
            Kind::Text(values) => {
                let (ends, bytes) = (values.value_offsets(), values.value_data());
                lanes.put(nulls, rows, |i, to| {
                    put_text(to, &bytes[ends[i] as usize..], (ends[i + 1] - ends[i]) as usize)
                });
            }
            Kind::Time(values, hour) => {
                let array = self.array;
                let mut cell = std::mem::take(&mut lanes.cell);
                lanes.put(nulls, rows, |i, to| {
                    let put = hour.put(to, values[i], ty, &settings.datetime);
                    put.unwrap_or_else(|| put_other(to, &mut cell, (array, i, ty), binary, settings))
                });
                lanes.cell = cell;
            }
            Kind::Numeric(_) | Kind::Other => {
                let array = self.array;
                let mut cell = std::mem::take(&mut lanes.cell);
                lanes.put(nulls, rows, |i, to| put_other(to, &mut cell, (array, i, ty), binary, settings));
                lanes.cell = cell;
            }
        }
    }

    fn other(&self, out: &mut Vec<u8>, i: usize, settings: &TextSettings) {
        other(out, (self.array, i, self.ty), self.binary, settings);
    }
}

/// Appends the cell of a value that has no way of its own.
fn other(out: &mut Vec<u8>, (array, i, ty): (&ArrayRef, usize, PgType), binary: bool, settings: &TextSettings) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match binary {
        true => binary::encode_at(out, array, i, ty),
        false => format_at(out, array, i, ty, settings),
    }
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
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
                let hour = Hour { range: 0..0, minute: 0, cell: Vec::new(), len: 0 };
                Self::Time(array.as_primitive_opt::<dt::TimestampMicrosecondType>()?.values(), hour)
            }
            _ => return None,
        })
    }
}

impl Hour {
    /// Writes the cell of a time with whole seconds and says how long it is; None when it is not so simple.
    #[inline]
    fn put(&mut self, to: &mut [u8], us: i64, ty: PgType, settings: &DateTimeSettings) -> Option<usize> {
        if us % SECOND_US != 0 {
            return None;
        }
        if !self.range.contains(&us) && !self.begin(us, ty, settings) {
            return None;
        }
        let seconds = ((us - self.range.start) / SECOND_US) as usize;
        let len = put_wide::<TIME_BYTES>(to, &self.cell, self.len);
        to[MINUTES].copy_from_slice(&TWO_DIGITS[self.minute + seconds / 60]);
        to[SECONDS].copy_from_slice(&TWO_DIGITS[seconds % 60]);
        Some(len)
    }

    fn begin(&mut self, us: i64, ty: PgType, settings: &DateTimeSettings) -> bool {
        if !PLAIN_TIMES.contains(&us) {
            return false;
        }
        let from_us = us - us.rem_euclid(MINUTE_US);
        let mut cell = time_cell(from_us, ty, settings);
        // With an offset that has seconds, the minute begins elsewhere.
        if cell.get(SECONDS) != Some(b"00") || cell[SECONDS.start - 1] != b':' {
            return false;
        }
        let minute = usize::from(cell[MINUTES.start] - b'0') * 10 + usize::from(cell[MINUTES.start + 1] - b'0');
        let hour_us = from_us - minute as i64 * MINUTE_US;
        // Its first and its last minute say whether the hour is one.
        let is_like = |minute: usize| {
            let mut expected = cell.clone();
            expected[MINUTES].copy_from_slice(&TWO_DIGITS[minute]);
            time_cell(hour_us + minute as i64 * MINUTE_US, ty, settings) == expected
        };
        let (range, minute) = match is_like(0) && is_like(59) {
            true => (hour_us..hour_us + HOUR_US, 0),
            false => (from_us..from_us + MINUTE_US, minute),
        };
        let len = cell.len();
        cell.resize(len.max(TIME_BYTES), 0);
        *self = Self { range, minute, cell, len };
        true
    }
}

fn time_cell(us: i64, ty: PgType, settings: &DateTimeSettings) -> Vec<u8> {
    let mut cell = vec![0; 4];
    match ty.oid {
        oid::TIMESTAMPTZ => format_timestamptz(&mut cell, us, settings),
        _ => format_timestamp(&mut cell, us, settings),
    }
    let len = (cell.len() - 4) as u32;
    cell[..4].copy_from_slice(&len.to_be_bytes());
    cell
}

/// Minutes and seconds.
static TWO_DIGITS: [[u8; 2]; 60] = two_digits();

const fn two_digits() -> [[u8; 2]; 60] {
    let mut out = [[0; 2]; 60];
    let mut n = 0;
    while n < out.len() {
        out[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    out
}

/// Writes bytes; how many.
#[inline]
fn put_bytes(to: &mut [u8], bytes: &[u8]) -> usize {
    to[..bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

/// Writes the first `n` of `bytes`. Where there is room, what follows them is written with them: a copy whose length is known
/// takes no call.
#[inline(always)]
fn put_wide<const N: usize>(to: &mut [u8], bytes: &[u8], n: usize) -> usize {
    match (to.first_chunk_mut::<N>(), bytes.first_chunk::<N>()) {
        (Some(to), Some(bytes)) if n <= N => *to = *bytes,
        _ => to[..n].copy_from_slice(&bytes[..n]),
    }
    n
}

#[inline(always)]
fn put_fixed<const N: usize>(to: &mut [u8], value: [u8; N]) -> usize {
    let (length, rest) = to.split_at_mut(4);
    length.copy_from_slice(&(N as u32).to_be_bytes());
    put_bytes(rest, &value);
    4 + N
}

/// Writes the first `n` of `bytes` with their length.
#[inline(always)]
fn put_text(to: &mut [u8], bytes: &[u8], n: usize) -> usize {
    let (length, rest) = to.split_at_mut(4);
    length.copy_from_slice(&(n as u32).to_be_bytes());
    4 + put_wide::<TEXT_BYTES>(rest, bytes, n)
}

#[inline(always)]
fn put_int(to: &mut [u8], value: i64) -> usize {
    match usize::try_from(value).ok().and_then(|value| READY_CELLS.get(value)) {
        Some(ready) => put_wide::<8>(to, ready, ready[7].into()),
        None => put_long_int(to, value),
    }
}

#[inline(never)]
fn put_long_int(to: &mut [u8], value: i64) -> usize {
    let (buf, at) = int_cell(value);
    put_bytes(to, &buf[at..])
}

fn put_other(
    to: &mut [u8],
    cell: &mut Vec<u8>,
    value: (&ArrayRef, usize, PgType),
    binary: bool,
    settings: &TextSettings,
) -> usize {
    cell.clear();
    other(cell, value, binary, settings);
    put_bytes(to, cell)
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
    let (buf, at) = int_cell(value);
    out.extend_from_slice(&buf[at..]);
}

/// A cell at the end of a buffer, and where it begins.
fn int_cell(value: i64) -> ([u8; INT_BYTES], usize) {
    let mut buf = [0u8; INT_BYTES];
    let at = digits(value, &mut buf);
    let len = (INT_BYTES - at) as u32;
    buf[at - 4..at].copy_from_slice(&len.to_be_bytes());
    (buf, at - 4)
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
