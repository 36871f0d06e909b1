//! Which encoding each column of a segment gets. Measured in docs/decisions/2026-11-28-segment-codecs.md.
//!
//! Numbers have no single best one: a dictionary suits repeated decimals and codes, differences suit counters and slow
//! gauges, split bytes suit full mantissas. So number columns are tried on the file's first rows.

use arrow::array::{ArrayRef, RecordBatch};
use heddle_types::{Class, PgType};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

/// Rows that the encodings are tried on.
pub const SAMPLE_ROWS: usize = 32 << 10;
/// A full sample's dictionary serves further rows: this part of its bytes is the sample's.
const SAMPLE_SHARE: usize = 4;
/// Dictionaries larger than this give way to the other encoding; every reader of a page reads the dictionary too.
const DICTIONARY_BYTES_MAX: usize = 256 << 10;
const ZSTD_LEVEL: i32 = 3;

/// How a column is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// With a dictionary, while it is small enough.
    dictionary: bool,
    /// Without one.
    encoding: Encoding,
}

const fn dictionary_or(encoding: Encoding) -> Choice {
    Choice { dictionary: true, encoding }
}

const fn always(encoding: Encoding) -> Choice {
    Choice { dictionary: false, encoding }
}

impl Choice {
    /// For a tag: it repeats from row to row, whatever its type.
    pub const TAG: Self = dictionary_or(Encoding::PLAIN);

    /// The best one for a column of `ty` that begins with `sample`.
    pub fn of(ty: PgType, sample: Option<&ArrayRef>) -> Self {
        let candidates = candidates(ty.class());
        match sample {
            Some(sample) if candidates.len() > 1 => {
                // What cannot be tried is not chosen: the first one suits every column of its type.
                let bytes = |choice: &&Choice| choice.bytes(sample).unwrap_or(usize::MAX);
                *candidates.iter().min_by_key(bytes).expect("at least one")
            }
            _ => candidates[0],
        }
    }

    /// How large `sample` becomes.
    fn bytes(self, sample: &ArrayRef) -> Result<usize, ParquetError> {
        let batch = RecordBatch::try_from_iter([("sample", sample.clone())])?;
        let full = sample.len() == SAMPLE_ROWS;
        // What fills half a dictionary in so few rows would overflow it in many.
        let dictionary_bytes_max = if full { DICTIONARY_BYTES_MAX / 2 } else { DICTIONARY_BYTES_MAX };
        let builder = compressed(WriterProperties::builder());
        let properties = self.set_with(builder, ColumnPath::from("sample"), dictionary_bytes_max).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.flush()?;
        let column = writer.flushed_row_groups()[0].column(0);
        let dictionary = column.dictionary_page_offset().map_or(0, |start| column.data_page_offset() - start) as usize;
        let share = if full { dictionary / SAMPLE_SHARE } else { dictionary };
        Ok(column.compressed_size() as usize - dictionary + share)
    }

    /// Sets it for a column.
    pub fn set(self, builder: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
        self.set_with(builder, column, DICTIONARY_BYTES_MAX)
    }

    fn set_with(
        self,
        builder: WriterPropertiesBuilder,
        column: ColumnPath,
        dictionary_bytes_max: usize,
    ) -> WriterPropertiesBuilder {
        builder
            .set_column_dictionary_enabled(column.clone(), self.dictionary)
            .set_column_dictionary_page_size_limit(column.clone(), dictionary_bytes_max)
            .set_column_encoding(column, self.encoding)
    }
}

/// Compression of every column.
pub fn compressed(builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    builder.set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has")))
}

/// Encodings that are tried; of equal ones the first is taken.
fn candidates(class: Class) -> &'static [Choice] {
    const DELTA: Encoding = Encoding::DELTA_BINARY_PACKED;
    match class {
        Class::Int2 | Class::Int4 | Class::Int8 => const { &[always(DELTA), dictionary_or(DELTA)] },
        Class::Float4 | Class::Float8 => {
            const { &[dictionary_or(Encoding::PLAIN), always(Encoding::BYTE_STREAM_SPLIT), always(Encoding::PLAIN)] }
        }
        Class::Date | Class::Time | Class::Timestamp | Class::Oid => const { &[always(DELTA)] },
        Class::Bool => const { &[always(Encoding::PLAIN)] },
        Class::Numeric | Class::Text | Class::Bytea | Class::Array => {
            const { &[dictionary_or(Encoding::DELTA_LENGTH_BYTE_ARRAY)] }
        }
        Class::Interval | Class::Uuid => const { &[dictionary_or(Encoding::PLAIN)] },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array};
    use heddle_types::oid;
    use std::sync::Arc;

    #[test]
    fn numbers_get_what_suits_them() {
        let rows = SAMPLE_ROWS as u64;
        let mixed = |n: u64| {
            let n = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
        };
        let ints =
            |f: &dyn Fn(u64) -> u64| Arc::new(Int64Array::from_iter_values((0..rows).map(|n| f(n) as i64))) as ArrayRef;
        let floats = |f: &dyn Fn(u64) -> f64| Arc::new(Float64Array::from_iter_values((0..rows).map(f))) as ArrayRef;
        let (int, float) = (PgType::new(oid::INT8), PgType::new(oid::FLOAT8));
        let choice = |ty, column| Choice::of(ty, Some(&column));
        assert_eq!(choice(int, ints(&|n| n * 1000 + mixed(n) % 50)), always(Encoding::DELTA_BINARY_PACKED));
        let code = ints(&|n| [200, 404, 70_500][mixed(n) as usize % 3]);
        assert_eq!(choice(int, code), dictionary_or(Encoding::DELTA_BINARY_PACKED));
        let decimal = |values: u64| floats(&move |n| (mixed(n) % values) as f64 / 100.0);
        assert_eq!(choice(float, decimal(10_000)), dictionary_or(Encoding::PLAIN));
        let full = floats(&|n| 20.0 + mixed(n) as f64 / f64::from(u32::MAX));
        assert_eq!(choice(float, full), always(Encoding::BYTE_STREAM_SPLIT));
        assert_eq!(Choice::of(float, None), dictionary_or(Encoding::PLAIN));
    }
}
