//! A block of points as columns: what bulk writes put into the log, and a piece of a memtable afterwards.
//!
//! The values travel as an Arrow IPC stream (one batch), so that taking a block in needs no look at its rows. Rows lie in the
//! order they were written; a point that comes twice is decided by the later row. Byte table: docs/formats/change.md.

use crate::change::{put_bytes, put_varint, take_bytes, take_varint};
use crate::point::{SeriesLayout, point_key};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{Field, Int64Type, Schema, UInt32Type};
use arrow::record_batch::RecordBatch;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use heddle_types::arrow::datum_at;
use heddle_types::row::RowLayout;
use heddle_types::{Datum, Error, Result, SqlState};
use std::sync::Arc;

/// Points of one storage.
#[derive(Clone, Debug, PartialEq)]
pub struct PointBlock {
    /// Series keys, each once.
    pub series: Vec<Bytes>,
    /// Per row its place in `series`.
    pub codes: ScalarBuffer<u32>,
    /// Per row its time in microseconds.
    pub time: ScalarBuffer<i64>,
    /// The fields of the layout as it was when the block was made, in the Arrow forms of [`heddle_types::arrow`].
    pub fields: Vec<ArrayRef>,
}

impl PointBlock {
    /// How many points.
    pub fn rows(&self) -> usize {
        self.time.len()
    }

    /// The key of row `i`.
    pub fn key(&self, i: usize) -> Bytes {
        point_key(&self.series[self.codes[i] as usize], self.time[i])
    }

    /// The tuple of row `i`; `tuple` is the layout's [`SeriesLayout::row_layout`].
    pub fn row(&self, i: usize, layout: &SeriesLayout, tuple: &RowLayout) -> Bytes {
        let mut values: Vec<Datum> =
            self.fields.iter().zip(&layout.fields).map(|(array, field)| datum_at(array, field.ty, i)).collect();
        values.resize(layout.fields.len(), Datum::Null);
        tuple.encode(&values).into()
    }

    /// Bytes in memory, about.
    pub fn memory_bytes(&self) -> usize {
        let keys: usize = self.series.iter().map(|key| key.len() + size_of::<Bytes>()).sum();
        let fields: usize = self.fields.iter().map(|array| array.get_array_memory_size()).sum();
        keys + self.codes.len() * 4 + self.time.len() * 8 + fields
    }

    /// As it lies in the log.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.memory_bytes() + 1024);
        put_varint(&mut out, self.series.len() as u64);
        self.series.iter().for_each(|key| put_bytes(&mut out, key));
        let codes: ArrayRef = Arc::new(UInt32Array::new(self.codes.clone(), None));
        let time: ArrayRef = Arc::new(Int64Array::new(self.time.clone(), None));
        let columns: Vec<ArrayRef> = [codes, time].into_iter().chain(self.fields.iter().cloned()).collect();
        let named = columns.iter().enumerate();
        let fields: Vec<Field> =
            named.map(|(i, c)| Field::new(format!("{i}"), c.data_type().clone(), c.is_nullable())).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("all columns have one row per point");
        let mut writer = StreamWriter::try_new(&mut out, &schema).expect("a Vec takes every byte");
        writer.write(&batch).and_then(|()| writer.finish()).expect("a Vec takes every byte");
        out.into()
    }

    /// Reads [`Self::encode`]; shares the memory of `bytes` where it is aligned.
    ///
    /// # Errors
    /// `XX001` on malformed bytes.
    pub fn decode(bytes: &Bytes) -> Result<Self> {
        let mut at = 0;
        let count = take_varint(bytes, &mut at)?;
        let series = (0..count).map(|_| take_bytes(bytes, &mut at)).collect::<Result<Vec<_>>>()?;
        let mut stream = Buffer::from(bytes.slice(at..));
        let batch = StreamDecoder::new().decode(&mut stream).map_err(|e| malformed(&e.to_string()))?;
        let batch = batch.ok_or_else(|| malformed("it has no batch"))?;
        let [codes, time, fields @ ..] = batch.columns() else { return Err(malformed("columns are missing")) };
        let codes = codes.as_primitive_opt::<UInt32Type>().ok_or_else(|| malformed("its codes have another type"))?;
        let time = time.as_primitive_opt::<Int64Type>().ok_or_else(|| malformed("its times have another type"))?;
        if codes.values().iter().any(|code| u64::from(*code) >= count) || codes.null_count() + time.null_count() > 0 {
            return Err(malformed("a row has no series or no time"));
        }
        Ok(Self { series, codes: codes.values().clone(), time: time.values().clone(), fields: fields.to_vec() })
    }
}

fn malformed(what: &str) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, "malformed block of points in the log").detail(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray};

    fn block() -> PointBlock {
        PointBlock {
            series: vec!["a".into(), "b".into()],
            codes: vec![0, 1, 0].into(),
            time: vec![5, -6, i64::MAX].into(),
            fields: vec![
                Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-0.0)])),
                Arc::new(StringArray::from(vec!["x", "", "zzz"])),
            ],
        }
    }

    #[test]
    fn block_round_trips_and_refuses_damage() {
        let bytes = block().encode();
        assert_eq!(PointBlock::decode(&bytes).expect("well formed"), block());
        for cut in 0..bytes.len() - 16 {
            let answer = PointBlock::decode(&bytes.slice(..cut));
            assert!(answer.is_err_and(|e| e.code() == SqlState::DATA_CORRUPTED), "cut at {cut}");
        }
        assert_eq!(block().key(1), point_key(b"b", -6));
    }
}
