//! Values that are bytes (text, numerics, arrays, uuids ...) in a page: one after the other, or each different one once and codes.
//!
//! A page says all: no dictionary lies elsewhere.

use super::blob::{put_blob, take_blob};
use super::error::Malformed;
use super::numbers::{Unpacker, pack};
use super::varint::{Input, put};
use pco::data_types::Number;
use std::collections::HashMap;

/// All values, in row order.
const PLAIN: u8 = 0;
/// The different ones, then which of them each row has.
const DICTIONARY: u8 = 1;
/// A dictionary has at most one entry for so many rows.
const ROWS_PER_ENTRY_MIN: usize = 2;

/// Appends `items`. All have `width` bytes, if it is given.
pub fn put_items(out: &mut Vec<u8>, items: &[&[u8]], width: Option<usize>) {
    match dictionary(items) {
        Some((entries, codes)) => {
            out.push(DICTIONARY);
            put(out, entries.len() as u128);
            put_plain(out, &entries, width);
            put_numbers(out, &codes);
        }
        None => {
            out.push(PLAIN);
            put_plain(out, items, width);
        }
    }
}

/// The different items and the place of each item among them, when they repeat enough.
fn dictionary<'a>(items: &[&'a [u8]]) -> Option<(Vec<&'a [u8]>, Vec<u32>)> {
    let (mut entries, mut places) = (Vec::new(), HashMap::new());
    let mut codes = Vec::with_capacity(items.len());
    for item in items {
        let code = *places.entry(*item).or_insert_with(|| {
            entries.push(*item);
            entries.len() as u32 - 1
        });
        codes.push(code);
        if entries.len() * ROWS_PER_ENTRY_MIN > items.len() {
            return None;
        }
    }
    Some((entries, codes))
}

fn put_plain(out: &mut Vec<u8>, items: &[&[u8]], width: Option<usize>) {
    if width.is_none() {
        let lengths: Vec<u32> = items.iter().map(|item| item.len() as u32).collect();
        put_numbers(out, &lengths);
    }
    put_blob(out, &items.concat());
}

fn put_numbers<T: Number>(out: &mut Vec<u8>, numbers: &[T]) {
    let packed = pack(numbers, &[numbers.len()]);
    for part in [&packed.head, &packed.pages[0]] {
        put(out, part.len() as u128);
        out.extend_from_slice(part);
    }
}

/// Values that were read: `bytes` cut at `ends`.
#[derive(Debug, Default)]
pub struct Items {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Where each item ends.
    pub ends: Vec<usize>,
}

impl Items {
    fn get(&self, n: usize) -> Option<&[u8]> {
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        self.bytes.get(start..*self.ends.get(n)?)
    }

    /// Items from `first` on.
    pub fn from(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        (first..self.ends.len()).filter_map(|n| self.get(n))
    }
}

/// Reads `n` items that [`put_items`] wrote.
pub fn take_items(input: &mut Input<'_>, n: usize, width: Option<usize>) -> Result<Items, Malformed> {
    match input.take(1) {
        Some(&[PLAIN]) => take_plain(input, n, width),
        Some(&[DICTIONARY]) => {
            let entries = input.u64().filter(|entries| *entries <= n as u64).ok_or_else(cut)?;
            let entries = take_plain(input, entries as usize, width)?;
            let mut items = Items::default();
            for code in take_numbers::<u32>(input, n)? {
                let entry = entries.get(code as usize).ok_or_else(|| Malformed::new("a code has no entry"))?;
                items.bytes.extend_from_slice(entry);
                items.ends.push(items.bytes.len());
            }
            Ok(items)
        }
        _ => Err(Malformed::new("a page of values is of an unknown form")),
    }
}

fn take_plain(input: &mut Input<'_>, n: usize, width: Option<usize>) -> Result<Items, Malformed> {
    let lengths = match width {
        Some(width) => vec![width as u32; n],
        None => take_numbers(input, n)?,
    };
    let mut end = 0;
    let ends: Vec<usize> = lengths
        .into_iter()
        .map(|length| {
            end += length as usize;
            end
        })
        .collect();
    let bytes = take_blob(input)?;
    if bytes.len() == end {
        Ok(Items { bytes, ends })
    } else {
        Err(Malformed::new("values are not as long as they say"))
    }
}

fn take_numbers<T: Number>(input: &mut Input<'_>, n: usize) -> Result<Vec<T>, Malformed> {
    let mut part = || {
        let len = input.count()?;
        input.take(len)
    };
    let (head, page) = (part().ok_or_else(cut)?, part().ok_or_else(cut)?);
    let mut out = Vec::new();
    Unpacker::new(head)?.read(page, n, std::slice::from_ref(&(0..n)), &mut out)?;
    Ok(out)
}

fn cut() -> Malformed {
    Malformed::new("a page of values is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back() {
        let numbers: Vec<String> = (0..3000).map(|n| format!("item {n}")).collect();
        let states: Vec<String> = (0..3000).map(|n| "x".repeat(n % 5)).collect();
        for texts in [numbers, states, vec![String::new()], vec![]] {
            let items: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            let mut out = Vec::new();
            put_items(&mut out, &items, None);
            let mut input = Input(&out);
            let found = take_items(&mut input, items.len(), None).expect("ours");
            assert!(input.0.is_empty() && found.from(0).eq(items));
            for end in (0..out.len()).step_by(11) {
                assert!(take_items(&mut Input(&out[..end]), texts.len(), None).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn items_of_one_width_come_back() {
        for modulus in [3, 100_000] {
            let numbers: Vec<[u8; 16]> = (0..500u128).map(|n| (n % modulus * 977).to_le_bytes()).collect();
            let items: Vec<&[u8]> = numbers.iter().map(|bytes| &bytes[..]).collect();
            let mut out = Vec::new();
            put_items(&mut out, &items, Some(16));
            assert!(take_items(&mut Input(&out), 500, Some(16)).expect("ours").from(0).eq(items));
        }
    }
}
