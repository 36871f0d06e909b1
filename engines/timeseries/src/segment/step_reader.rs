//! Reads what [`super::steps`] wrote: a look at the next [`CODE_BITS`] bits finds up to four steps in a table, added up already.

use super::columns::PAGE_ROWS;
use super::error::Malformed;
use super::step_code::{CODE_BITS, ESCAPE, StepCode, Widths};
use super::steps::{STRETCH, STRETCHES_MAX, Stepped};
use super::varint::Input;
use std::cell::RefCell;
use std::ops::Range;

const ENTRIES: usize = 1 << CODE_BITS;
/// Values of an entry at most.
const LANES: usize = 4;
/// So many looks fit into the 57 bits that are in hand wherever they begin in a byte.
const LOOKS: usize = 57 / CODE_BITS as usize;
/// Room for a stretch and what may be written beyond its end; a power of two, and as many values more as are written at once.
const ROOM: usize = 2 * STRETCH;
/// Bytes that may be read beyond the end.
const PADDING: usize = 8;

// What is written last begins below the end of a stretch, after the other looks.
const _: () = assert!(STRETCH + LOOKS * LANES <= ROOM);

/// What begins with some bits.
struct Table {
    /// Bits that are used up, and values that they are: none for an escape, and then no bits where no code begins so.
    takes: [Take; ENTRIES],
    /// The first step, the first two together, and so on; the last one repeated. Wide already, so that they are added side by side.
    sums: [[i32; LANES]; ENTRIES],
}

#[derive(Clone, Copy, Default)]
struct Take {
    bits: u8,
    values: u8,
}

/// Reads the pages of one column of a group.
pub struct StepReader<T> {
    /// None when it is dropped.
    table: Option<Box<Table>>,
    widths: Widths,
    /// A page, with room behind it.
    page: Vec<u8>,
    /// Of each stretch of a page.
    buffers: Box<[Values<T>; STRETCHES_MAX]>,
}

/// Where a stretch begins.
#[derive(Clone, Copy, Default)]
struct Stretch {
    first: i64,
    /// Place of its bits.
    start: usize,
}

/// The first values of a stretch.
type Values<T> = [T; ROOM + LANES];

impl<T: Stepped> StepReader<T> {
    /// From the head.
    pub fn new(head: &[u8]) -> Result<Self, Malformed> {
        let code = StepCode::decode(head)?;
        let buffers = Box::new([[T::default(); ROOM + LANES]; STRETCHES_MAX]);
        Ok(Self { table: Some(Table::new(&code)), widths: code.widths(), page: Vec::new(), buffers })
    }

    /// Appends to `out` the `wanted` ones (ascending) of the `values` values of `page`.
    pub fn read(
        &mut self,
        page: &[u8],
        values: usize,
        wanted: &[Range<usize>],
        out: &mut Vec<T>,
    ) -> Result<(), Malformed> {
        if values > PAGE_ROWS {
            return Err(Malformed::new("a page has too many values"));
        }
        let (stretches, bits) = take_stretches(page, values).ok_or_else(cut)?;
        self.page.clear();
        self.page.extend_from_slice(bits);
        self.page.extend_from_slice(&[0; PADDING]);
        let Self { table, widths, page, buffers } = self;
        let table: &Table = table.as_ref().expect("there until it is dropped");
        let parts = || Parts { stretches: &stretches, wanted, next: 0 };
        // Two at a time: neither waits for what the other one looks up.
        let mut running: Option<Stream<'_, T>> = None;
        for (part, values) in parts().zip(buffers.iter_mut()) {
            let mut next = stream(page, &part, values)?;
            running = Some(match running {
                Some(mut other) => {
                    read_both(&mut other, &mut next, table, *widths)?;
                    if other.is_done() { next } else { other }
                }
                None => next,
            });
        }
        if let Some(mut last) = running {
            last.read(table, *widths)?;
        }
        for (part, values) in parts().zip(&**buffers) {
            part.pieces().for_each(|piece| out.extend_from_slice(&values[piece]));
        }
        Ok(())
    }
}

fn stream<'a, T: Stepped>(
    page: &'a [u8],
    part: &Part<'_>,
    values: &'a mut Values<T>,
) -> Result<Stream<'a, T>, Malformed> {
    let bits = page.get(part.stretch.start..).ok_or_else(cut)?;
    Ok(Stream::new(bits, T::narrow(part.stretch.first), part.end, values))
}

/// What is wanted of a stretch.
struct Part<'a> {
    stretch: Stretch,
    /// Place of its first value in the page.
    start: usize,
    /// Where what is wanted ends, counted from there.
    end: usize,
    /// What is wanted of the page, as far as it has to do with this stretch.
    wanted: &'a [Range<usize>],
}

impl Part<'_> {
    /// What is wanted, counted from the stretch's first value.
    fn pieces(&self) -> impl Iterator<Item = Range<usize>> {
        let place = |at: usize| at.clamp(self.start, self.start + self.end) - self.start;
        self.wanted.iter().map(move |piece| place(piece.start)..place(piece.end))
    }
}

/// The stretches of which something is wanted.
struct Parts<'a> {
    stretches: &'a [Stretch; STRETCHES_MAX],
    /// Not given out yet, but perhaps for a beginning.
    wanted: &'a [Range<usize>],
    /// Stretches before this one are done.
    next: usize,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let first = self.wanted.iter().position(|piece| !piece.is_empty())?;
        self.wanted = &self.wanted[first..];
        let number = (self.wanted[0].start / STRETCH).max(self.next);
        let (start, end) = (number * STRETCH, (number + 1) * STRETCH);
        let wanted = &self.wanted[..self.wanted.partition_point(|piece| piece.start < end)];
        let last = wanted.last()?.end;
        // The last piece may go on in the next stretch.
        self.wanted = &self.wanted[wanted.len() - usize::from(last > end)..];
        self.next = number + 1;
        Some(Part { stretch: self.stretches[number], start, end: last.min(end) - start, wanted })
    }
}

#[cold]
fn cut() -> Malformed {
    Malformed::new("steps are cut short")
}

/// The stretches of a page of `values` values, and the bytes of their bits.
fn take_stretches(page: &[u8], values: usize) -> Option<([Stretch; STRETCHES_MAX], &[u8])> {
    let mut stretches = [Stretch::default(); STRETCHES_MAX];
    let (mut input, mut before) = (Input(page), 0i64);
    let n = values.div_ceil(STRETCH);
    for stretch in &mut stretches[..n] {
        before = before.wrapping_add(input.i64()?);
        stretch.first = before;
    }
    if n > 1 {
        let shortest = input.u64()?;
        for place in 1..n {
            let length = usize::try_from(shortest.checked_add(input.u64()?)?).ok()?;
            stretches[place].start = stretches[place - 1].start.checked_add(length)?;
        }
    }
    Some((stretches, input.0))
}

thread_local! {
    /// Tables of readers that were dropped: a scan makes one for each column of each group, and clearing it costs as much as filling it.
    static SPARES: RefCell<Vec<Box<Table>>> = const { RefCell::new(Vec::new()) };
}

/// Tables that a thread keeps, 36 KiB each.
const SPARES_MAX: usize = 12;

impl<T> Drop for StepReader<T> {
    fn drop(&mut self) {
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < SPARES_MAX {
                spares.extend(self.table.take());
            }
        });
    }
}

impl Table {
    fn new(code: &StepCode) -> Box<Self> {
        let new = || Box::new(Self { takes: [Take::default(); ENTRIES], sums: [[0; LANES]; ENTRIES] });
        let mut table = SPARES.with_borrow_mut(Vec::pop).unwrap_or_else(new);
        let symbols = symbols(code);
        // Codes are handed out in this order, so entries are filled in from the first to the last.
        let mut at = 0;
        for first in &symbols {
            let end = at + (ENTRIES >> first.bits);
            let Some([a, b]) = first.steps else {
                at = table.fill(at..end, first.bits, 0, [0; LANES]);
                continue;
            };
            let sum = a + b;
            let alone = [a, sum, sum, sum];
            // Where another code fits behind it, the entries are for both.
            for second in symbols.iter().take_while(|second| first.bits + second.bits <= CODE_BITS) {
                let bits = first.bits + second.bits;
                let both = at..at + (ENTRIES >> bits);
                at = match second.steps {
                    Some([c, d]) => table.fill(both, bits, 4, [a, sum, sum + c, sum + c + d]),
                    None => table.fill(both, first.bits, 2, alone),
                };
            }
            at = table.fill(at..end, first.bits, 2, alone);
        }
        // No code begins so.
        table.fill(at..ENTRIES, 0, 0, [0; LANES]);
        table
    }

    /// Fills in entries, mostly few; their end.
    #[inline]
    fn fill(&mut self, entries: Range<usize>, bits: u32, values: u8, sums: [i32; LANES]) -> usize {
        let take = Take { bits: bits as u8, values };
        let both = self.takes[entries.clone()].iter_mut().zip(&mut self.sums[entries.clone()]);
        both.for_each(|entry| (*entry.0, *entry.1) = (take, sums));
        entries.end
    }
}

/// Reads two stretches until one of them is done.
fn read_both<T: Stepped>(
    a: &mut Stream<'_, T>,
    b: &mut Stream<'_, T>,
    table: &Table,
    widths: Widths,
) -> Result<(), Malformed> {
    while !a.is_done() && !b.is_done() {
        a.fill()?;
        b.fill()?;
        let (mut more_a, mut more_b) = (true, true);
        for _ in 0..LOOKS {
            more_a = a.look(table);
            more_b = b.look(table);
            if !(more_a && more_b) {
                break;
            }
        }
        if !more_a {
            a.escape(table, widths)?;
        }
        if !more_b {
            b.escape(table, widths)?;
        }
    }
    Ok(())
}

/// A stretch that is being read.
struct Stream<'a, T: Stepped> {
    bits: &'a [u8],
    /// How many of them are used up.
    bit: usize,
    /// Those that come next, highest first.
    word: u64,
    last: T,
    /// How many values there are so far, and how many are wanted.
    at: usize,
    n: usize,
    values: &'a mut Values<T>,
}

impl<'a, T: Stepped> Stream<'a, T> {
    fn new(bits: &'a [u8], first: T, n: usize, values: &'a mut Values<T>) -> Self {
        values[0] = first;
        Self { bits, bit: 0, word: 0, last: first, at: 1, n, values }
    }

    fn is_done(&self) -> bool {
        self.at >= self.n
    }

    /// Makes sure that there are bits for [`LOOKS`] looks.
    #[inline(always)]
    fn fill(&mut self) -> Result<(), Malformed> {
        self.word = word(self.bits, self.bit)?;
        Ok(())
    }

    /// Takes what the next bits stand for; false where they begin no code but an escape, or none at all.
    #[inline(always)]
    fn look(&mut self, table: &Table) -> bool {
        let entry = (self.word >> (u64::BITS - CODE_BITS)) as usize;
        let take = table.takes[entry];
        if take.values == 0 {
            return false;
        }
        let sums = &table.sums[entry];
        // Never more than that: no check is needed.
        let place = self.at % ROOM;
        for (lane, sum) in sums.iter().enumerate() {
            self.values[place + lane] = self.last.step(*sum);
        }
        self.last = self.last.step(sums[LANES - 1]);
        self.at += usize::from(take.values);
        self.bit += usize::from(take.bits);
        self.word <<= take.bits;
        true
    }

    /// Takes the escape that the next bits begin with, unless there are enough values: what comes behind them means nothing.
    fn escape(&mut self, table: &Table, widths: Widths) -> Result<(), Malformed> {
        if self.is_done() {
            return Ok(());
        }
        self.bit += match table.takes[(self.word >> (u64::BITS - CODE_BITS)) as usize] {
            Take { bits, values: 0 } if bits > 0 => usize::from(bits),
            _ => return Err(Malformed::new("no code of steps begins so")),
        };
        let is_far = word(self.bits, self.bit)? >> (u64::BITS - 1) == 1;
        let width = if is_far { widths.far } else { widths.near };
        self.bit += 1;
        for _ in 0..2 {
            let step = plain(word(self.bits, self.bit)?, width);
            self.last = T::narrow(self.last.wide().wrapping_add(step));
            self.values[self.at % ROOM] = self.last;
            (self.at, self.bit) = (self.at + 1, self.bit + width as usize);
        }
        Ok(())
    }

    /// Takes all that is wanted.
    fn read(&mut self, table: &Table, widths: Widths) -> Result<(), Malformed> {
        while !self.is_done() {
            self.fill()?;
            if !(0..LOOKS).all(|_| self.look(table)) {
                self.escape(table, widths)?;
            }
        }
        Ok(())
    }
}

/// A symbol that has a code.
struct Symbol {
    bits: u32,
    /// None = escape.
    steps: Option<[i32; 2]>,
}

/// In the order of their codes.
fn symbols(code: &StepCode) -> Vec<Symbol> {
    let steps = code.steps();
    let pair = |pair: usize| [steps[pair / steps.len()].into(), steps[pair % steps.len()].into()];
    let symbol = |(symbol, bits): (usize, u32)| Symbol { bits, steps: (symbol != ESCAPE).then(|| pair(symbol - 1)) };
    code.in_order().into_iter().map(symbol).collect()
}

/// The bits from `bit` on, highest first; at least 57 of them are there.
#[inline]
fn word(bits: &[u8], bit: usize) -> Result<u64, Malformed> {
    let bytes = bits.get(bit / 8..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
    Ok(u64::from_be_bytes(*bytes) << (bit % 8))
}

/// The step that `word` begins with, as it is.
fn plain(word: u64, width: u32) -> i64 {
    let zigzag = if width == 0 { 0 } else { word >> (u64::BITS - width) };
    (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::super::steps::pack;
    use super::*;
    use std::slice;

    /// Values whose steps come from `step`, which is told how many there were.
    fn walk(n: usize, step: impl Fn(i64) -> i64) -> Vec<i64> {
        (0..n as i64)
            .scan(-7, |at, i| {
                *at += step(i);
                Some(*at)
            })
            .collect()
    }

    /// Plausible steps: mostly small, a jump now and then.
    fn steps(i: i64) -> i64 {
        let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) as u64 >> 33;
        match mixed % 1000 {
            0 => 100_000 - 7 * (mixed % 31) as i64,
            1 => -4000,
            _ => i64::from(((mixed >> 10) & 7).count_ones()) - 1,
        }
    }

    fn check<T: Stepped + PartialEq + std::fmt::Debug>(values: &[T], rows: &[usize]) {
        let packed = pack(values, rows).expect("steps suit it");
        let mut reader = StepReader::new(&packed.head).expect("ours");
        let mut end = 0;
        for (page, &rows) in packed.pages.iter().zip(rows) {
            let all = &values[end..end + rows];
            end += rows;
            for wanted in [0..rows, 0..rows / 2, rows / 3..rows, rows / 2..(rows / 2 + 1).min(rows), rows..rows] {
                let mut out = vec![T::narrow(5)];
                reader.read(page, rows, slice::from_ref(&wanted), &mut out).expect("ours");
                assert!(out[1..] == all[wanted.clone()], "{wanted:?} of {rows}");
            }
            for (first, length, step) in [(0, 1, 2), (5, 3, 700), (1000, 50, 1024), (1023, 2, 1024), (7, 1500, 1600)] {
                let pieces = (first..rows).step_by(step).map(|at| at..rows.min(at + length));
                let (mut out, pieces) = (Vec::new(), pieces.collect::<Vec<_>>());
                reader.read(page, rows, &pieces, &mut out).expect("ours");
                let expected: Vec<T> = pieces.iter().flat_map(|piece| &all[piece.clone()]).copied().collect();
                assert!(out == expected, "{pieces:?} of {rows}");
            }
        }
    }

    #[test]
    fn values_come_back() {
        let rows = [4096, 0, 4096, 1, 1025, 1000];
        let wide = walk(rows.iter().sum(), steps);
        check(&wide, &rows);
        check(&wide.iter().map(|v| *v as i32).collect::<Vec<_>>(), &rows);
        check(&wide.iter().map(|v| *v as u32).collect::<Vec<_>>(), &rows);
        check(&wide.iter().map(|v| *v as i16).collect::<Vec<_>>(), &rows);
        let extreme: Vec<i64> = wide.iter().map(|v| v.wrapping_add(i64::MAX - 3)).collect();
        check(&extreme, &rows);
    }

    #[test]
    fn other_columns_are_left_to_pco() {
        let rows = [4096, 4096];
        assert!(pack(&walk(8192, |_| 0), &rows).is_none(), "constant");
        assert!(pack(&walk(8192, |_| 1000), &rows).is_none(), "regular");
        assert!(pack(&walk(8192, |i| steps(i) * 1000), &rows).is_none(), "long steps");
        assert!(pack(&walk(8192, |i| steps(i) + (i % 100) * i64::from(i % 3 == 0)), &rows).is_none(), "many steps");
        assert!(pack(&walk(100, steps), &[100]).is_none(), "few");
        assert!(pack(&vec![1.5f64; 8192], &rows).is_none(), "floats");
    }

    #[test]
    fn any_byte_may_be_wrong() {
        let values = walk(4096, steps);
        let packed = pack(&values, &[4096]).expect("steps suit it");
        let read = |head: &[u8], page: &[u8]| -> Result<Vec<i32>, Malformed> {
            let mut out = Vec::new();
            StepReader::new(head)?.read(page, 4096, slice::from_ref(&(0..4096)), &mut out)?;
            Ok(out)
        };
        for at in 0..packed.head.len() {
            let mut head = packed.head.clone();
            head[at] ^= 1 << (at % 8);
            // Garbage or an error: anything but a panic.
            let _ = read(&head, &packed.pages[0]);
            assert!(read(&packed.head[..at], &packed.pages[0]).is_err());
        }
        let page = &packed.pages[0];
        for at in 0..page.len() {
            let mut page = page.clone();
            page[at] ^= 1 << (at % 8);
            let _ = read(&packed.head, &page);
        }
        assert!((0..page.len() / 2).all(|end| read(&packed.head, &page[..end]).is_err()));
    }
}
