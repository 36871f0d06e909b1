//! Numbers, compressed by pco: differences or multiples are put into bins, bins are coded by how often they occur (tANS).
//!
//! A [`Packed`] is one run of numbers in pages that are decoded alone; what they share (bins and their frequencies, some
//! hundred bytes) is the head. docs/decisions/2026-11-28-segment-pco.md has the measurements.

use super::error::Malformed;
use pco::data_types::Number;
use pco::wrapped::{ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DecompressorScratch, PagingSpec};
use std::cell::RefCell;
use std::ops::Range;

/// pco's effort, and its default: 4 costs up to a fifth in size.
const LEVEL: usize = 8;
/// Most numbers that pco takes at once.
const VALUES_MAX: usize = 1 << 24;

thread_local! {
    static SCRATCH: RefCell<DecompressorScratch> = RefCell::default();
}

/// Encoded pages, and what is read before any of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// May be empty.
    pub head: Vec<u8>,
    /// In order.
    pub pages: Vec<Vec<u8>>,
}

/// Compresses `values`; page `n` holds `rows[n]` of them. Pages without values are empty, and so is the head without any.
pub fn pack<T: Number>(values: &[T], rows: &[usize]) -> Packed {
    assert!(values.len() <= VALUES_MAX, "row groups are smaller");
    let mut packed = Packed { head: Vec::new(), pages: vec![Vec::new(); rows.len()] };
    if values.is_empty() {
        return packed;
    }
    let paging = PagingSpec::Exact(rows.iter().copied().filter(|rows| *rows > 0).collect());
    let config = ChunkConfig::default().with_compression_level(LEVEL).with_paging_spec(paging);
    let file = FileCompressor::default();
    let mut chunk =
        file.chunk_compressor(values, &config).expect("valid settings, and all pages together are the values");
    file.write_header(&mut packed.head).and_then(|head| chunk.write_meta(head)).expect("memory takes everything");
    let filled = packed.pages.iter_mut().zip(rows).filter(|(_, rows)| **rows > 0);
    for (number, (page, _)) in filled.enumerate() {
        chunk.write_page(number, page).expect("memory takes everything");
    }
    packed
}

/// Reads the pages of one [`Packed`].
pub struct Unpacker<T: Number>(Option<ChunkDecompressor<T>>);

impl<T: Number> Unpacker<T> {
    /// From the head.
    pub fn new(head: &[u8]) -> Result<Self, Malformed> {
        if head.is_empty() {
            return Ok(Self(None));
        }
        let (file, rest) = FileDecompressor::new(head)?;
        let (chunk, rest) = file.chunk_decompressor(rest)?;
        if rest.is_empty() { Ok(Self(Some(chunk))) } else { Err(Malformed::new("a head is too long")) }
    }

    /// Appends to `out` the `wanted` ones (ascending) of the `rows` numbers of `page`; those before them are decoded, too.
    pub fn read(&self, page: &[u8], rows: usize, wanted: &[Range<usize>], out: &mut Vec<T>) -> Result<(), Malformed> {
        let end = wanted.last().map_or(0, |last| last.end);
        if end == 0 {
            return Ok(());
        }
        let chunk = self.0.as_ref().ok_or_else(|| Malformed::new("numbers have no head"))?;
        let start = out.len();
        // Whole batches only, unless it is the rest.
        out.resize(start + end.next_multiple_of(pco::FULL_BATCH_N).min(rows), T::default());
        let n = SCRATCH.with_borrow_mut(|scratch| {
            chunk.page_decompressor_with_scratch(page, rows, scratch)?.read(&mut out[start..])
        })?;
        if n.n_processed < end {
            return Err(Malformed::new("a page has too few numbers"));
        }
        keep(out, start, wanted);
        Ok(())
    }
}

/// Of the values from `start` on keeps those at `wanted`.
fn keep<T: Copy>(values: &mut Vec<T>, start: usize, wanted: &[Range<usize>]) {
    let mut end = start;
    for piece in wanted {
        values.copy_within(start + piece.start..start + piece.end, end);
        end += piece.len();
    }
    values.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    fn round_trip<T: Number + PartialEq + std::fmt::Debug>(values: &[T], rows: &[usize]) {
        let packed = pack(values, rows);
        let unpacker = Unpacker::<T>::new(&packed.head).expect("ours");
        let mut at = 0;
        for (page, &rows) in packed.pages.iter().zip(rows) {
            for wanted in [0..rows, 0..rows / 2, rows / 3..rows, 0..0] {
                let mut out = vec![T::default()];
                unpacker.read(page, rows, slice::from_ref(&wanted), &mut out).expect("ours");
                assert_eq!(out[1..], values[at..at + rows][wanted]);
            }
            let pieces: Vec<_> = (0..rows).step_by(90).map(|at| at..rows.min(at + 7)).collect();
            let mut out = Vec::new();
            unpacker.read(page, rows, &pieces, &mut out).expect("ours");
            assert_eq!(out, pieces.iter().flat_map(|piece| &values[at..][piece.clone()]).copied().collect::<Vec<_>>());
            at += rows;
        }
    }

    #[test]
    fn numbers_come_back() {
        round_trip::<i64>(&[], &[0, 0]);
        round_trip(&[i64::MIN, i64::MAX, 0, -1], &[1, 0, 3]);
        round_trip(&(0..10_000).map(|n| n * n % 977).collect::<Vec<i32>>(), &[4096, 4096, 1808]);
        round_trip(&(0..1000).map(|n| f64::from(n) / 10.0).collect::<Vec<f64>>(), &[600, 400]);
        round_trip(&[f32::INFINITY, 0.1, f32::NEG_INFINITY, -0.0], &[4]);
        round_trip(&(0..300).map(|n| n % 7 * 1000).collect::<Vec<i16>>(), &[300]);
    }

    #[test]
    fn floats_keep_their_bits() {
        let nan = |payload: u64| f64::from_bits(0x7ff8_0000_0000_0000 | payload);
        let values = [nan(0), nan(5), -nan(3), -0.0, 0.0, f64::MIN_POSITIVE / 2.0, f64::INFINITY];
        let packed = pack(&values, &[7]);
        let mut out = Vec::new();
        Unpacker::<f64>::new(&packed.head)
            .expect("ours")
            .read(&packed.pages[0], 7, slice::from_ref(&(0..7)), &mut out)
            .expect("ours");
        assert!(out.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
    }

    #[test]
    fn any_byte_may_be_wrong() {
        let values: Vec<i64> = (0..3000).map(|n| n * n % 1013).collect();
        let packed = pack(&values, &[3000]);
        let read = |head: &[u8], page: &[u8]| {
            let mut out = Vec::new();
            // Garbage or an error: anything but a panic.
            let _ = Unpacker::<i64>::new(head)
                .and_then(|unpacker| unpacker.read(page, 3000, slice::from_ref(&(0..3000)), &mut out));
        };
        for at in 0..packed.head.len() {
            let mut head = packed.head.clone();
            head[at] ^= 1 << (at % 8);
            read(&head, &packed.pages[0]);
            read(&packed.head[..at], &packed.pages[0]);
        }
        for at in 0..packed.pages[0].len() {
            read(&packed.head, &packed.pages[0][..at]);
        }
    }
}
