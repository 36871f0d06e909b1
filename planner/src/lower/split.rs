//! Where a scan of a large table is divided, so that each core reads a range of keys of its own.

use heddle_engines::{KeyRange, RowReader};
use heddle_txn::ReadView;
use heddle_types::{Result, StorageId};
use std::ops::Bound;

/// A table with fewer rows is read by one task.
const ROWS_MIN: usize = 4_096;
/// Bytes of the keys, behind what all of them begin with, that say where a key lies between the first and the last.
const DIGITS: usize = 8;

/// All of `storage` in up to `parts` ranges, ascending: of equal size where the keys lie evenly. One range when it has few rows.
pub(super) fn split(view: &ReadView, storage: StorageId, parts: usize) -> Result<Vec<KeyRange>> {
    let ends = if parts > 1 { ends(view, storage)? } else { None };
    Ok(ends.map_or_else(|| vec![KeyRange::all()], |(first, last)| between(&first, &last, parts)))
}

/// Up to `parts` places all over `storage` from where to read a few rows; None when it has few.
pub(super) fn places(view: &ReadView, storage: StorageId, parts: usize) -> Result<Option<Vec<KeyRange>>> {
    Ok(ends(view, storage)?.map(|(first, last)| between(&first, &last, parts)))
}

/// The first and the last key, when there are many.
fn ends(view: &ReadView, storage: StorageId) -> Result<Option<(bytes::Bytes, bytes::Bytes)>> {
    let mut rows = Vec::with_capacity(ROWS_MIN);
    let more = view.scan(storage, KeyRange::all(), false)?.next_batch(ROWS_MIN, &mut rows)?;
    if !more || rows.len() < ROWS_MIN {
        return Ok(None);
    }
    let first = rows.swap_remove(0).key;
    rows.clear();
    view.scan(storage, KeyRange::all(), true)?.next_batch(1, &mut rows)?;
    Ok(rows.pop().map(|row| (first, row.key)))
}

/// Everything in `parts` ranges, cut at equal distances between two keys.
fn between(first: &[u8], last: &[u8], parts: usize) -> Vec<KeyRange> {
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let (from, to) = (digits(&first[shared..]), digits(&last[shared..]));
    let step = to.saturating_sub(from) / parts as u64;
    let cuts = (1..parts as u64).map(|n| from + n * step).filter(|_| step > 0);
    let key = |cut: u64| bytes::Bytes::from([&first[..shared], &cut.to_be_bytes()].concat());
    let mut lower = Bound::Unbounded;
    let mut ranges: Vec<KeyRange> = vec![];
    for cut in cuts.map(key) {
        ranges.push(KeyRange {
            lower: std::mem::replace(&mut lower, Bound::Included(cut.clone())),
            upper: Bound::Excluded(cut),
        });
    }
    ranges.push(KeyRange { lower, upper: Bound::Unbounded });
    ranges
}

fn digits(rest: &[u8]) -> u64 {
    let mut out = [0; DIGITS];
    let n = rest.len().min(DIGITS);
    out[..n].copy_from_slice(&rest[..n]);
    u64::from_be_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_lies_in_one_range_and_even_keys_in_equal_ones() {
        let keys: Vec<Vec<u8>> = (0..1000_u32).map(|n| [b"\x01\x80", &(n * 7).to_be_bytes()[..]].concat()).collect();
        let ranges = between(&keys[0], &keys[999], 4);
        let counts: Vec<usize> = ranges.iter().map(|r| keys.iter().filter(|k| r.contains(k)).count()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 1000);
        assert!(counts.iter().all(|n| (240..=260).contains(n)), "{counts:?}");
    }

    #[test]
    fn keys_of_one_kind_are_one_range() {
        assert_eq!(between(b"a", b"a", 4).len(), 1);
        assert_eq!(between(b"ab", b"ab\x00\x00\x00\x00\x00\x00\x00\x01", 4).len(), 1);
        // The end of one is the beginning of the other.
        let ranges = between(b"", b"\xff\xff\xff", 3);
        assert!(ranges.len() == 3 && ranges.iter().filter(|r| r.contains(b"zz")).count() == 1);
    }
}
