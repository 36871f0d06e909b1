//! [`DataRows`]: result rows as PostgreSQL's messages of that name, of which Arrow columns are the cells.

use super::TextSettings;
use super::cells::{Cells, LANES, LINE, Lanes};
use std::ops::Range;

/// Longer rows are written one by one: side by side they would leave the cache.
const LANE_BYTES_MAX: usize = 1024;
/// The kind, the length, the number of cells.
const HEAD_BYTES: usize = 7;

/// See the module.
pub struct DataRows<'a> {
    cells: Vec<Cells<'a>>,
    head: [u8; HEAD_BYTES],
    lanes: Lanes,
}

impl<'a> DataRows<'a> {
    /// Rows with these columns.
    pub fn new(cells: Vec<Cells<'a>>) -> Self {
        let [high, low] = (cells.len() as u16).to_be_bytes();
        Self { cells, head: [b'D', 0, 0, 0, 0, high, low], lanes: Lanes::new() }
    }

    /// Appends the messages of `rows` until there are `bytes_max`; the first row that is still to come.
    pub fn append(
        &mut self,
        out: &mut Vec<u8>,
        rows: Range<usize>,
        settings: &TextSettings,
        bytes_max: usize,
    ) -> usize {
        let mut from = rows.start;
        while from < rows.end && out.len() < bytes_max {
            let some = from..rows.end.min(from + LANES);
            match self.row_bytes_max(some.clone()) {
                Some(bytes) => self.append_lanes(out, some.clone(), bytes, settings),
                None => some.clone().for_each(|row| self.append_one(out, row, settings)),
            }
            from = some.end;
        }
        from
    }

    /// Most bytes that one of these rows may take, if it is worth to write them side by side.
    fn row_bytes_max(&self, rows: Range<usize>) -> Option<usize> {
        if rows.len() < 4 {
            return None;
        }
        let mut bytes = HEAD_BYTES;
        for cells in &self.cells {
            bytes += cells.bytes_max(rows.clone())?;
            if bytes > LANE_BYTES_MAX {
                return None;
            }
        }
        Some(bytes)
    }

    fn append_lanes(&mut self, out: &mut Vec<u8>, rows: Range<usize>, bytes_max: usize, settings: &TextSettings) {
        self.lanes.begin(&self.head, bytes_max);
        for cells in &mut self.cells {
            cells.put(&mut self.lanes, rows.clone(), settings);
        }
        for (lane, bytes) in self.lanes.rows(rows.len()) {
            lane[1..5].copy_from_slice(&row_length(bytes));
            // Whole cache lines: copies whose length is known take no call.
            let end = out.len() + bytes;
            lane[..bytes.next_multiple_of(LINE)]
                .as_chunks::<LINE>()
                .0
                .iter()
                .for_each(|line| out.extend_from_slice(line));
            out.truncate(end);
        }
    }

    fn append_one(&mut self, out: &mut Vec<u8>, row: usize, settings: &TextSettings) {
        let start = out.len();
        out.extend_from_slice(&self.head);
        self.cells.iter_mut().for_each(|cells| cells.append(out, row, settings));
        let length = row_length(out.len() - start);
        out[start + 1..start + 5].copy_from_slice(&length);
    }
}

/// The length word of a message with so many bytes: all but the kind.
fn row_length(bytes: usize) -> [u8; 4] {
    (bytes as u32 - 1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrow::column;
    use crate::{Datum, Oid, PgType, oid};
    use arrow::array::ArrayRef;

    /// Rows that are made together are those made one by one, whatever the cells are.
    #[test]
    fn rows_side_by_side_are_the_same_rows() {
        let n = 200i64;
        let time = |i: i64| Datum::Timestamp(1_767_225_600_000_000 + i * 37_000_000);
        let columns: Vec<(Vec<Datum>, Oid)> = vec![
            ((0..n).map(time).collect(), oid::TIMESTAMPTZ),
            ((0..n).map(|i| Datum::Timestamp(i * 1_234_567)).collect(), oid::TIMESTAMP),
            (
                (0..n).map(|i| if i % 7 == 0 { Datum::Null } else { Datum::Int4(i as i32 * 37 - 900) }).collect(),
                oid::INT4,
            ),
            ((0..n).map(|i| Datum::Int8(i64::MIN + i)).collect(), oid::INT8),
            ((0..n).map(|i| Datum::text("x".repeat(i as usize % 30))).collect(), oid::TEXT),
            ((0..n).map(|i| Datum::Float8(i as f64 / 7.0)).collect(), oid::FLOAT8),
            ((0..n).map(|i| Datum::Bool(i % 2 == 0)).collect(), oid::BOOL),
        ];
        let settings = TextSettings::default();
        let arrays: Vec<(ArrayRef, PgType)> =
            columns.iter().map(|(values, ty)| (column(values, PgType::new(*ty)).unwrap(), PgType::new(*ty))).collect();
        for binary in [false, true] {
            let cells = || arrays.iter().map(|(array, ty)| Cells::new(array, *ty, binary, &settings)).collect();
            let (mut together, mut apart) = (DataRows::new(cells()), DataRows::new(cells()));
            assert!(together.row_bytes_max(0..LANES).is_some(), "they are worth it");
            let (mut got, mut want) = (Vec::new(), Vec::new());
            assert_eq!(together.append(&mut got, 3..n as usize, &settings, usize::MAX), n as usize);
            (3..n as usize).for_each(|row| apart.append_one(&mut want, row, &settings));
            assert_eq!(got, want, "binary {binary}");
            let (mut part, mut first) = (Vec::new(), 3);
            while first < n as usize {
                let more = part.len() + 1;
                first = together.append(&mut part, first..n as usize, &settings, more);
            }
            assert_eq!(part, want, "in pieces");
        }
    }

    #[test]
    fn long_cells_are_written_one_by_one() {
        let values: Vec<Datum> = (0..100).map(|i| Datum::text("y".repeat(i * 50))).collect();
        let ty = PgType::new(oid::TEXT);
        let array = column(&values, ty).unwrap();
        let settings = TextSettings::default();
        let mut rows = DataRows::new(vec![Cells::new(&array, ty, false, &settings)]);
        assert_eq!(rows.row_bytes_max(36..100), None);
        let mut out = Vec::new();
        rows.append(&mut out, 0..100, &settings, usize::MAX);
        assert_eq!(out.len(), (0..100).map(|i| HEAD_BYTES + 4 + i * 50).sum::<usize>());
    }
}
