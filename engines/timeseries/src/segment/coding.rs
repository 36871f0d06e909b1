//! How the numbers of a field are coded: by [`super::steps`] where that is as small, else by pco. The head's first byte says which.

use super::error::Malformed;
use super::numbers::{self, Packed, Unpacker};
use super::step_reader::StepReader;
use super::steps::{self, Stepped};
use std::ops::Range;

/// The head goes on as pco's.
const PCO: u8 = 0;
/// The head goes on as that of steps.
const STEPS: u8 = 1;

/// Codes `values`, of which page `n` holds `rows[n]`. Pages without values are empty, and so is the head without any.
pub fn pack<T: Stepped>(values: &[T], rows: &[usize]) -> Packed {
    let (coding, mut packed) = match steps::pack(values, rows) {
        Some(packed) => (STEPS, packed),
        None => (PCO, numbers::pack(values, rows)),
    };
    if !packed.head.is_empty() {
        packed.head.insert(0, coding);
    }
    packed
}

/// Reads the pages of one [`Packed`].
pub enum Reader<T: Stepped> {
    /// Nothing in it, too.
    Pco(Unpacker<T>),
    Steps(StepReader),
}

impl<T: Stepped> Reader<T> {
    /// From the head.
    pub fn new(head: &[u8]) -> Result<Self, Malformed> {
        match head.split_first() {
            None => Self::pco(head),
            Some((&PCO, head)) => Self::pco(head),
            Some((&STEPS, head)) => StepReader::new(head).map(Self::Steps),
            Some((other, _)) => Err(Malformed::new(format!("there is no coding {other}"))),
        }
    }

    /// From a head that is pco's alone, as it was in version 2.
    pub fn pco(head: &[u8]) -> Result<Self, Malformed> {
        Unpacker::new(head).map(Self::Pco)
    }

    /// Appends to `out` the `wanted` ones of the `rows` numbers of `page`.
    pub fn read(&mut self, page: &[u8], rows: usize, wanted: Range<usize>, out: &mut Vec<T>) -> Result<(), Malformed> {
        match self {
            Self::Steps(reader) => reader.read(page, rows, wanted, out),
            Self::Pco(unpacker) => unpacker.read(page, rows, wanted, out),
        }
    }
}
