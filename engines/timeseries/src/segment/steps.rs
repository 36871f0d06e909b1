//! Integers that walk in small steps, coded for quick decoding: two steps at a time have one prefix code, and the reader's table
//! gives up to four values for each look.
//!
//! pco comes within a hundredth of the same size, for far more kinds of columns, but needs some ten instructions for each value;
//! [`pack`] says no where its own form would be larger. Byte table in docs/formats/segment.md; [`super::step_reader`] reads,
//! [`super::step_code`] is the code.

use super::columns::PAGE_ROWS;
use super::decimals::Decimal;
use super::numbers::{self, Packed};
use super::step_code::{CODE_BITS, ESCAPE, STEPS_MAX, StepCode, WIDTH_MAX, Widths};
use super::varint::{put, put_signed};
use pco::data_types::Number;
use std::ops::Range;

/// Values that begin with one of their own: what a reader of a few decodes at most.
pub const STRETCH: usize = 1024;
/// Pages have at most so many stretches.
pub const STRETCHES_MAX: usize = PAGE_ROWS.div_ceil(STRETCH);

/// Fewer values are not worth a table.
pub const VALUES_MIN: usize = PAGE_ROWS;
/// pco is tried on so many values in so many places.
const SAMPLE_VALUES: usize = 1024;
const SAMPLES: usize = 8;
/// Steps may take a part more than pco, for they are read several times as quickly.
const DEARER: usize = 32;
/// Steps from -NEAR up to below NEAR can be among those of a code.
const NEAR: i64 = 256;
/// Of so many steps all but one must be among the frequent ones.
const FAR_MIN: usize = 8;

/// Numbers of fields.
pub trait Stepped: Number + Default + Decimal {
    /// Does it count in steps?
    const STEPS: bool;
    /// As an integer; no matter which where there are no steps.
    fn wide(self) -> i64;
    /// Back.
    fn narrow(wide: i64) -> Self;
    /// `self` and some small steps, wrapping.
    fn step(self, steps: i32) -> Self;
}

macro_rules! integers {
    ($($t:ty),*) => { $(impl Stepped for $t {
        const STEPS: bool = true;
        fn wide(self) -> i64 {
            self as i64
        }
        fn narrow(wide: i64) -> Self {
            wide as Self
        }
        #[inline]
        fn step(self, steps: i32) -> Self {
            self.wrapping_add(steps as Self)
        }
    })* };
}
integers!(i16, i32, i64, u32);

macro_rules! floats {
    ($($t:ty),*) => { $(impl Stepped for $t {
        const STEPS: bool = false;
        fn wide(self) -> i64 {
            0
        }
        fn narrow(_: i64) -> Self {
            0.0
        }
        fn step(self, _: i32) -> Self {
            self
        }
    })* };
}
floats!(f32, f64);

/// Codes `values`, of which page `n` holds `rows[n]`; `None` when pco does better.
pub fn pack<T: Stepped>(values: &[T], rows: &[usize]) -> Option<Packed> {
    if !T::STEPS || values.len() < VALUES_MIN {
        return None;
    }
    let stretches: Vec<Range<usize>> = stretches(rows).flatten().collect();
    let pairs = Pairs::count(values, &stretches)?;
    let code = StepCode::new(pairs.steps, &pairs.counts, pairs.widths);
    let bits = code.bits(&pairs.counts, pairs.far);
    let (sample, sample_bits) = try_pco(values);
    if bits as u128 * sample as u128 * DEARER as u128 > (DEARER as u128 + 1) * sample_bits * values.len() as u128 {
        return None;
    }
    let mut packed = Packed::default();
    code.encode(&mut packed.head);
    let mut coder = Coder { code: &code, codes: code.codes(), places: code.places(NEAR), out: Bits::default() };
    packed.pages = self::stretches(rows).map(|page| coder.page(values, page)).collect();
    Some(packed)
}

/// The stretches of each page.
fn stretches(rows: &[usize]) -> impl Iterator<Item = impl Iterator<Item = Range<usize>>> {
    let mut end = 0;
    rows.iter().map(move |rows| {
        let page = end..end + rows;
        end = page.end;
        page.clone().step_by(STRETCH).map(move |start| start..page.end.min(start + STRETCH))
    })
}

/// How many of `values` pco was tried on, and how many bits it needs for them.
pub fn try_pco<T: Number>(values: &[T]) -> (usize, u128) {
    let apart = values.len() / SAMPLES;
    let taken = SAMPLE_VALUES.min(apart);
    let sample: Vec<T> = (0..SAMPLES).flat_map(|n| values[n * apart..n * apart + taken].iter().copied()).collect();
    let packed = numbers::pack(&sample, &[sample.len()]);
    (sample.len(), 8 * packed.pages[0].len() as u128)
}

/// The steps of a stretch, two at a time; the last one may lack its second, which is 0 then.
fn pairs<T: Stepped>(values: &[T]) -> impl Iterator<Item = (i64, i64)> {
    let step = |at: usize| match values.get(at) {
        Some(value) => value.wide().wrapping_sub(values[at - 1].wide()),
        None => 0,
    };
    (1..values.len()).step_by(2).map(move |at| (step(at), step(at + 1)))
}

/// How often which steps follow each other.
struct Pairs {
    /// Frequent ones, ascending.
    steps: Vec<i16>,
    /// As [`StepCode`] has its symbols.
    counts: Vec<u32>,
    widths: Widths,
    /// Pairs without a symbol that are not of near steps.
    far: u32,
}

impl Pairs {
    /// `None` when too many steps are not among the most frequent ones, or some are too long.
    fn count<T: Stepped>(values: &[T], stretches: &[Range<usize>]) -> Option<Self> {
        let all = || stretches.iter().flat_map(|stretch| pairs(&values[stretch.clone()]));
        let mut near = vec![0u32; 2 * NEAR as usize];
        let (mut longest, mut total) = (0, 0);
        for step in all().flat_map(|(a, b)| [a, b]) {
            total += 1;
            longest |= zigzag(step);
            if let Some(place) = near_place(step) {
                near[place] += 1;
            }
        }
        let steps = frequent(&near, total)?;
        let widest = steps.iter().map(|step| width(zigzag((*step).into()))).max().unwrap_or(0);
        // Where some steps are frequent, others twice as long are not rare.
        let far = width(longest);
        let widths = Widths { near: far.min(widest + 1), far };
        if far > WIDTH_MAX {
            return None;
        }
        let places = places(&steps, NEAR);
        let mut counts = vec![0; 1 + steps.len() * steps.len()];
        let mut far = 0;
        for pair in all() {
            let symbol = symbol(&places, steps.len(), pair);
            counts[symbol] += 1;
            far += u32::from(symbol == ESCAPE && !is_near(pair, widths));
        }
        Some(Self { steps, counts, widths, far })
    }
}

/// The most frequent steps of `total`, ascending, of those that occur so often by their place among near ones; `None` when they are
/// not nearly all.
fn frequent(near: &[u32], total: usize) -> Option<Vec<i16>> {
    // Pairs of others would be too rare for a code.
    let is_frequent = |place: &usize| (near[*place] as usize) << CODE_BITS >= total && near[*place] > 0;
    let mut steps: Vec<usize> = (0..near.len()).filter(is_frequent).collect();
    steps.sort_unstable_by_key(|place| std::cmp::Reverse(near[*place]));
    steps.truncate(STEPS_MAX);
    let covered: usize = steps.iter().map(|place| near[*place] as usize).sum();
    steps.sort_unstable();
    let steps = steps.into_iter().map(|place| (place as i64 - NEAR) as i16).collect();
    ((total - covered) * FAR_MIN <= total).then_some(steps)
}

/// Bits that a number needs.
fn width(zigzag: u64) -> u32 {
    u64::BITS - zigzag.leading_zeros()
}

fn is_near((first, second): (i64, i64), widths: Widths) -> bool {
    width(zigzag(first) | zigzag(second)) <= widths.near
}

fn near_place(step: i64) -> Option<usize> {
    usize::try_from(step.wrapping_add(NEAR)).ok().filter(|place| *place < 2 * NEAR as usize)
}

/// For each near step its place in `steps`, if it has one.
pub(super) fn places(steps: &[i16], near: i64) -> Vec<Option<u8>> {
    let mut places = vec![None; 2 * near as usize];
    for (place, step) in steps.iter().enumerate() {
        places[(i64::from(*step) + near) as usize] = Some(place as u8);
    }
    places
}

/// The symbol of a pair.
fn symbol(places: &[Option<u8>], steps: usize, (first, second): (i64, i64)) -> usize {
    let place = |step| near_place(step).and_then(|near| places[near]).map(usize::from);
    match (place(first), place(second)) {
        (Some(first), Some(second)) => 1 + first * steps + second,
        _ => ESCAPE,
    }
}

fn zigzag(step: i64) -> u64 {
    ((step << 1) ^ (step >> 63)) as u64
}

/// Writes pages.
struct Coder<'a> {
    code: &'a StepCode,
    /// By symbol.
    codes: Vec<u16>,
    places: Vec<Option<u8>>,
    out: Bits,
}

impl Coder<'_> {
    fn page<T: Stepped>(&mut self, values: &[T], stretches: impl Iterator<Item = Range<usize>>) -> Vec<u8> {
        let (mut page, mut before) = (Vec::new(), 0);
        let mut streams: Vec<Vec<u8>> = Vec::new();
        for stretch in stretches {
            let values = &values[stretch];
            let first = values[0].wide();
            put_signed(&mut page, first.wrapping_sub(before).into());
            before = first;
            pairs(values).for_each(|pair| self.pair(pair));
            streams.push(self.out.finish());
        }
        // The last one ends with the page.
        let lengths = streams.iter().rev().skip(1).rev().map(Vec::len);
        if let Some(shortest) = lengths.clone().min() {
            put(&mut page, shortest as u128);
            lengths.for_each(|length| put(&mut page, (length - shortest) as u128));
        }
        streams.iter().for_each(|stream| page.extend_from_slice(stream));
        page
    }

    fn pair(&mut self, pair: (i64, i64)) {
        let symbol = symbol(&self.places, self.code.steps().len(), pair);
        let symbol = if self.code.length(symbol) > 0 { symbol } else { ESCAPE };
        self.out.put(self.codes[symbol].into(), self.code.length(symbol).into());
        if symbol == ESCAPE {
            let widths = self.code.widths();
            let (mark, width) = if is_near(pair, widths) { (0, widths.near) } else { (1, widths.far) };
            self.out.put(mark, 1);
            self.out.put(zigzag(pair.0), width);
            self.out.put(zigzag(pair.1), width);
        }
    }
}

/// Bits on their way into bytes, the highest of a byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// The lowest `n` bits wait.
    waiting: u64,
    n: u32,
}

impl Bits {
    /// Appends the lowest `n` bits of `bits`, which has no others; at most 57.
    fn put(&mut self, bits: u64, n: u32) {
        // Fewer than 8 wait, so all fit but for a first one that was written already.
        self.waiting = (self.waiting << n) | bits;
        self.n += n;
        while self.n >= 8 {
            self.n -= 8;
            self.bytes.push((self.waiting >> self.n) as u8);
        }
    }

    /// All bytes, the last one filled up with zeros; empty again after that.
    fn finish(&mut self) -> Vec<u8> {
        let odd = self.n % 8;
        if odd > 0 {
            self.put(0, 8 - odd);
        }
        self.waiting = 0;
        std::mem::take(&mut self.bytes)
    }
}
