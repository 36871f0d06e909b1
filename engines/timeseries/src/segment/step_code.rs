//! [`StepCode`]: which steps come in pairs, and the prefix code of the pairs (Huffman's, canonical, of few bits).

use super::error::Malformed;
use super::varint::{Input, put_signed};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest code.
pub const CODE_BITS: u32 = 11;
/// So many steps at most make pairs.
pub const STEPS_MAX: usize = 16;
/// The symbol of a pair that has no code of its own: a bit follows, and two steps as they are, near ones (0) or far ones (1).
pub const ESCAPE: usize = 0;
/// Most bits of a step as it is: a reader has as many in hand wherever it stands in a byte.
pub const WIDTH_MAX: u32 = 57;
/// Four steps together fit into 16 bits.
const STEP_MAX: i64 = i16::MAX as i64 / 4;

/// Bits of steps as they are, in zigzag form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Widths {
    pub near: u32,
    /// Of all steps.
    pub far: u32,
}

/// See the module. Its symbols are [`ESCAPE`], then pairs: 1 + place of the first step * number of steps + place of the second.
#[derive(Debug, PartialEq, Eq)]
pub struct StepCode {
    /// Ascending.
    steps: Vec<i16>,
    widths: Widths,
    /// Bits of the code of each symbol; 0 = it has none.
    lengths: Vec<u8>,
}

impl StepCode {
    /// The code for symbols that occur so often.
    pub fn new(steps: Vec<i16>, counts: &[u32], widths: Widths) -> Self {
        let total: u64 = counts.iter().map(|n| u64::from(*n)).sum();
        // What is so rare that its code would be too long is escaped, and something must be there to escape to.
        let is_rare = |n: u32| u64::from(n) << (CODE_BITS + 1) < total;
        let mut used: Vec<u64> = counts.iter().map(|n| if is_rare(*n) { 0 } else { u64::from(*n) }).collect();
        used[ESCAPE] = (total - used[ESCAPE + 1..].iter().sum::<u64>()).max(1);
        Self { steps, widths, lengths: code_lengths(used) }
    }

    /// The steps that make pairs, ascending.
    pub fn steps(&self) -> &[i16] {
        &self.steps
    }

    /// Bits of steps as they are.
    pub fn widths(&self) -> Widths {
        self.widths
    }

    /// Bits of a symbol's code; 0 = it has none.
    pub fn length(&self, symbol: usize) -> u8 {
        self.lengths[symbol]
    }

    /// How many symbols, with and without a code.
    pub fn symbols(&self) -> usize {
        self.lengths.len()
    }

    /// For each step within `near` of 0 its place, if it makes pairs.
    pub fn places(&self, near: i64) -> Vec<Option<u8>> {
        super::steps::places(&self.steps, near)
    }

    /// Bits of symbols that occur so often, where `far` escaped pairs are not of near steps.
    pub fn bits(&self, counts: &[u32], far: u32) -> u64 {
        let near = u64::from(self.lengths[ESCAPE]) + 1 + 2 * u64::from(self.widths.near);
        let bits = |(symbol, n): (usize, &u32)| match self.lengths[symbol] {
            length if length > 0 && symbol != ESCAPE => u64::from(*n) * u64::from(length),
            _ => u64::from(*n) * near,
        };
        let wider = 2 * u64::from(self.widths.far.saturating_sub(self.widths.near));
        counts.iter().enumerate().map(bits).sum::<u64>() + u64::from(far) * wider
    }

    /// The symbols that have a code, and its bits, in the order of the codes: shorter ones first, of equal ones that of the lower
    /// symbol.
    pub fn in_order(&self) -> Vec<(usize, u32)> {
        let all = self.lengths.iter().enumerate().filter(|(_, length)| **length > 0);
        let mut all: Vec<(usize, u32)> = all.map(|(symbol, length)| (symbol, u32::from(*length))).collect();
        all.sort_by_key(|(_, bits)| *bits);
        all
    }

    /// The code of each symbol: each is the next one, with as many more bits as it is longer.
    pub fn codes(&self) -> Vec<u16> {
        let mut codes = vec![0; self.symbols()];
        let (mut next, mut before) = (0u16, 0);
        for (symbol, bits) in self.in_order() {
            next <<= bits - before;
            codes[symbol] = next;
            (next, before) = (next + 1, bits);
        }
        codes
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.widths.near as u8, self.widths.far as u8, self.steps.len() as u8]);
        self.steps.iter().for_each(|step| put_signed(out, (*step).into()));
        out.extend(self.lengths.chunks(2).map(|two| two[0] | two.get(1).map_or(0, |second| second << 4)));
    }

    /// Reads all of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let wrong = || Malformed::new("a code of steps is none");
        let mut input = Input(bytes);
        let Some(&[near, far, n]) = input.take(3) else { return Err(wrong()) };
        let (widths, n) = (Widths { near: near.into(), far: far.into() }, usize::from(n));
        if widths.near.max(widths.far) > WIDTH_MAX || n > STEPS_MAX {
            return Err(wrong());
        }
        let step = |_| {
            let step = input.i64().filter(|step| step.abs() <= STEP_MAX)?;
            Some(step as i16)
        };
        let steps: Vec<i16> = (0..n).map(step).collect::<Option<_>>().ok_or_else(wrong)?;
        let symbols = 1 + n * n;
        let halves = input.take(symbols.div_ceil(2)).ok_or_else(wrong)?;
        let mut lengths: Vec<u8> = halves.iter().flat_map(|two| [two & 15, two >> 4]).collect();
        lengths.truncate(symbols);
        let room = |length: &u8| 1u32 << (CODE_BITS - u32::from(*length));
        let is_short = lengths.iter().all(|length| u32::from(*length) <= CODE_BITS);
        let fits = is_short && lengths.iter().filter(|l| **l > 0).map(room).sum::<u32>() <= 1 << CODE_BITS;
        if !fits || lengths[ESCAPE] == 0 || !input.0.is_empty() {
            return Err(wrong());
        }
        Ok(Self { steps, widths, lengths })
    }
}

/// Lengths of a prefix code for symbols that occur so often, none above [`CODE_BITS`]; 0 for those that do not occur.
fn code_lengths(mut counts: Vec<u64>) -> Vec<u8> {
    loop {
        let lengths = huffman(&counts);
        if lengths.iter().all(|length| u32::from(*length) <= CODE_BITS) {
            return lengths;
        }
        // Flatter counts give shorter codes; in the end all are equal, and of 257 symbols none needs more than 9 bits.
        counts.iter_mut().filter(|n| **n > 0).for_each(|n| *n = *n / 2 + 1);
    }
}

/// Lengths of Huffman's code.
fn huffman(counts: &[u64]) -> Vec<u8> {
    // Leaves, then what they are joined to; each knows what it was joined to itself.
    let mut parents: Vec<usize> = vec![0; counts.len()];
    let leaves = counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(symbol, n)| Reverse((*n, symbol)));
    let mut heap: BinaryHeap<_> = leaves.collect();
    if let [Reverse((_, only))] = *heap.as_slice() {
        let mut lengths = vec![0; counts.len()];
        lengths[only] = 1;
        return lengths;
    }
    while let (Some(Reverse((a, left))), Some(Reverse((b, right)))) = (heap.pop(), heap.pop()) {
        let joined = parents.len();
        (parents[left], parents[right]) = (joined, joined);
        parents.push(joined);
        if heap.is_empty() {
            break;
        }
        heap.push(Reverse((a + b, joined)));
    }
    let mut depths = vec![0u8; parents.len()];
    for node in (0..parents.len() - 1).rev().filter(|node| counts.get(*node).is_none_or(|n| *n > 0)) {
        depths[node] = depths[parents[node]].saturating_add(1);
    }
    depths.truncate(counts.len());
    depths
}
