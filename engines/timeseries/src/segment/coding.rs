//! How the numbers of a field are coded: by [`super::steps`] where that is as small, else by pco; floats as the integers behind them
//! ([`super::decimals`]) where that is smaller. The head's first byte says which.

use super::decimals::{self, DIGITS_MAX};
use super::error::Malformed;
use super::numbers::{self, Packed, Unpacker};
use super::step_reader::StepReader;
use super::steps::{self, Stepped, VALUES_MIN, try_pco};
use std::ops::Range;

/// The head goes on as pco's.
const PCO: u8 = 0;
/// The head goes on as that of steps.
const STEPS: u8 = 1;
/// The head goes on with a number of digits and the head of integers.
const DECIMALS: u8 = 2;

/// Codes `values`, of which page `n` holds `rows[n]`. Pages without values are empty, and so is the head without any.
pub fn pack<T: Stepped>(values: &[T], rows: &[usize]) -> Packed {
    if let Some((digits, unscaled)) = decimals::unscaled(values).filter(|(_, unscaled)| is_smaller(unscaled, values)) {
        let mut packed = pack(&unscaled, rows);
        packed.head.splice(0..0, [DECIMALS, digits]);
        return packed;
    }
    let (coding, mut packed) = match steps::pack(values, rows) {
        Some(packed) => (STEPS, packed),
        None => (PCO, numbers::pack(values, rows)),
    };
    if !packed.head.is_empty() {
        packed.head.insert(0, coding);
    }
    packed
}

/// Does pco need less for `unscaled` than for `values`? Few values are not worth the question.
fn is_smaller<T: Stepped>(unscaled: &[i64], values: &[T]) -> bool {
    values.len() >= VALUES_MIN && try_pco(unscaled).1 <= try_pco(values).1
}

/// Reads the pages of one [`Packed`].
pub enum Reader<T: Stepped> {
    /// Nothing in it, too.
    Pco(Box<Unpacker<T>>),
    Steps(StepReader<T>),
    Decimals(Box<Decimals>),
}

/// The integers behind floats.
pub struct Decimals {
    digits: u8,
    reader: Reader<i64>,
    unscaled: Vec<i64>,
}

impl<T: Stepped> Reader<T> {
    /// From the head.
    pub fn new(head: &[u8]) -> Result<Self, Malformed> {
        match head.split_first() {
            None => Self::pco(head),
            Some((&PCO, head)) => Self::pco(head),
            Some((&STEPS, head)) => StepReader::new(head).map(Self::Steps),
            Some((&DECIMALS, [digits, head @ ..])) if *digits <= DIGITS_MAX => {
                let decimals = Decimals { digits: *digits, reader: Reader::new(head)?, unscaled: Vec::new() };
                Ok(Self::Decimals(Box::new(decimals)))
            }
            Some((other, _)) => Err(Malformed::new(format!("there is no coding {other}"))),
        }
    }

    /// From a head that is pco's alone, as it was in version 2.
    pub fn pco(head: &[u8]) -> Result<Self, Malformed> {
        Ok(Self::Pco(Box::new(Unpacker::new(head)?)))
    }

    /// Appends to `out` the `wanted` ones (ascending) of the `rows` numbers of `page`.
    pub fn read(
        &mut self,
        page: &[u8],
        rows: usize,
        wanted: &[Range<usize>],
        out: &mut Vec<T>,
    ) -> Result<(), Malformed> {
        match self {
            Self::Steps(reader) => reader.read(page, rows, wanted, out),
            Self::Pco(unpacker) => unpacker.read(page, rows, wanted, out),
            Self::Decimals(decimals) => {
                decimals.unscaled.clear();
                decimals.reader.read(page, rows, wanted, &mut decimals.unscaled)?;
                out.extend(decimals.unscaled.iter().map(|unscaled| T::scaled(*unscaled, decimals.digits)));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    /// Packs and reads; which coding it was.
    fn round_trip<T: Stepped + PartialEq + std::fmt::Debug>(values: &[T], rows: &[usize]) -> Option<u8> {
        let packed = pack(values, rows);
        let mut reader = Reader::<T>::new(&packed.head).expect("ours");
        let mut at = 0;
        for (page, &rows) in packed.pages.iter().zip(rows) {
            for wanted in [0..rows, rows / 3..rows / 2, rows..rows] {
                let mut out = Vec::new();
                reader.read(page, rows, slice::from_ref(&wanted), &mut out).expect("ours");
                assert!(out == values[at..at + rows][wanted.clone()], "{wanted:?} of {rows}");
            }
            at += rows;
        }
        packed.head.first().copied()
    }

    #[test]
    fn each_column_has_its_coding() {
        let rows = [4096, 1000, 4096];
        let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let step = |at: &mut i64, n: u64| {
            *at += i64::from(mixed(n).count_ones() % 4) - 1;
            Some(*at)
        };
        let walk: Vec<i64> = (0..9192).scan(0, step).collect();
        assert_eq!(round_trip::<i64>(&[], &[0]), None);
        assert_eq!(round_trip(&walk, &rows), Some(STEPS));
        assert_eq!(round_trip(&walk.iter().map(|n| n * 1000).collect::<Vec<_>>(), &rows), Some(PCO));
        assert_eq!(round_trip(&walk.iter().map(|n| *n as f64 / 10.0).collect::<Vec<_>>(), &rows), Some(DECIMALS));
        assert_eq!(round_trip(&walk.iter().map(|n| *n as f32 / 100.0).collect::<Vec<_>>(), &rows), Some(DECIMALS));
        assert_eq!(round_trip(&walk.iter().map(|n| (n.abs() as f64).sqrt()).collect::<Vec<_>>(), &rows), Some(PCO));
        assert_eq!(round_trip(&[1.5, 2.5], &[1, 1]), Some(PCO), "few");
    }

    #[test]
    fn heads_may_be_wrong() {
        for head in
            [&[3u8, 0, 0][..], &[DECIMALS], &[DECIMALS, DIGITS_MAX + 1, PCO], &[STEPS], &[PCO], &[DECIMALS, 1, 9]]
        {
            assert!(Reader::<f64>::new(head).is_err() || head == [PCO], "{head:?}");
        }
    }
}
