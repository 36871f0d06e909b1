//! A few columns of numbers of equal length, in the sidecar: what is known about blocks, column by column.

use super::error::Malformed;
use super::numbers::{Unpacker, pack};
use super::varint::{Input, put};
use pco::data_types::Number;
use std::ops::Range;
use std::slice;

/// Numbers of a page: what a reader of a few decodes at least.
pub const PAGE: usize = 1024;

/// Appends columns of equal length.
pub fn put_columns<T: Number>(out: &mut Vec<u8>, columns: &[Vec<T>]) {
    for column in columns {
        let packed = pack(column, &pages(column.len()));
        put(out, packed.head.len() as u128);
        packed.pages.iter().for_each(|page| put(out, page.len() as u128));
        out.extend_from_slice(&packed.head);
        packed.pages.iter().for_each(|page| out.extend_from_slice(page));
    }
}

/// Numbers of each page.
fn pages(len: usize) -> Vec<usize> {
    (0..len).step_by(PAGE).map(|start| PAGE.min(len - start)).collect()
}

/// Columns as they were written, of which any part can be read.
pub struct PackedColumns<T: Number, const N: usize> {
    len: usize,
    columns: [PackedColumn<T>; N],
}

struct PackedColumn<T: Number> {
    head: Unpacker<T>,
    bytes: Vec<u8>,
    /// Where each page begins in `bytes`, and where the last one ends.
    starts: Vec<usize>,
}

/// Takes `N` columns of `len` numbers each.
pub fn take_columns<T: Number, const N: usize>(
    input: &mut Input<'_>,
    len: usize,
) -> Result<PackedColumns<T, N>, Malformed> {
    let mut columns = Vec::with_capacity(N);
    for _ in 0..N {
        columns.push(take_column(input, len)?);
    }
    let columns = columns.try_into().map_err(|_| Malformed::new("columns are missing"))?;
    Ok(PackedColumns { len, columns })
}

fn take_column<T: Number>(input: &mut Input<'_>, len: usize) -> Result<PackedColumn<T>, Malformed> {
    let cut = || Malformed::new("numbers of blocks are cut short");
    let head = input.count().ok_or_else(cut)?;
    let mut starts = vec![0usize];
    for _ in pages(len) {
        let n = input.count().ok_or_else(cut)?;
        starts.push(starts[starts.len() - 1].checked_add(n).ok_or_else(cut)?);
    }
    let head = Unpacker::new(input.take(head).ok_or_else(cut)?)?;
    let bytes = input.take(starts[starts.len() - 1]).ok_or_else(cut)?.to_vec();
    Ok(PackedColumn { head, bytes, starts })
}

impl<T: Number, const N: usize> PackedColumns<T, N> {
    /// All numbers.
    pub fn read_all(&self) -> Result<[Vec<T>; N], Malformed> {
        self.read(0..self.len)
    }

    /// The numbers at these places, which are there.
    pub fn read(&self, places: Range<usize>) -> Result<[Vec<T>; N], Malformed> {
        let mut out = [const { Vec::new() }; N];
        for (column, out) in self.columns.iter().zip(&mut out) {
            column.read(self.len, &places, out)?;
        }
        Ok(out)
    }
}

impl<T: Number> PackedColumn<T> {
    fn read(&self, len: usize, places: &Range<usize>, out: &mut Vec<T>) -> Result<(), Malformed> {
        if places.is_empty() {
            return Ok(());
        }
        for page in places.start / PAGE..places.end.div_ceil(PAGE) {
            let start = page * PAGE;
            let wanted = places.start.max(start) - start..places.end.min(start + PAGE) - start;
            let rows = PAGE.min(len - start);
            self.head.read(
                &self.bytes[self.starts[page]..self.starts[page + 1]],
                rows,
                slice::from_ref(&wanted),
                out,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let columns = [(0..5000).map(|n| n * 7 % 1000).collect::<Vec<i64>>(), (0..5000).rev().collect()];
        let mut bytes = Vec::new();
        put_columns(&mut bytes, &columns);
        let mut input = Input(&bytes);
        let packed = take_columns::<i64, 2>(&mut input, 5000).expect("ours");
        assert!(input.0.is_empty());
        for places in [0..5000, 0..1, 1023..1025, 2000..4096, 4999..5000, 77..77] {
            let expected = columns.clone().map(|column| column[places.clone()].to_vec());
            assert_eq!(packed.read(places).expect("there"), expected);
        }
        (0..bytes.len())
            .step_by(7)
            .for_each(|end| assert!(take_columns::<i64, 2>(&mut Input(&bytes[..end]), 5000).is_err()));
        assert!(take_columns::<i64, 1>(&mut Input(&[]), 10).is_err());
    }
}
