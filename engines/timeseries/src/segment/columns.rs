//! The columns of a segment's Parquet file: primary tags, time, fields; their names, types and how they are written.

use super::SegmentMeta;
use super::encodings::{Choice, compressed};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use heddle_engines::point::{NamedType, SeriesLayout};
use heddle_types::arrow::data_type;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows of a data page: what the reader of a few rows decodes at least.
pub const PAGE_ROWS: usize = 8192;
/// Rows of a row group: what a scan holds in memory, compressed.
pub const GROUP_ROWS: usize = 128 * PAGE_ROWS;
/// A row group ends early above this many bytes.
const GROUP_BYTES_MAX: usize = 128 << 20;
/// The format's version, in the file's metadata.
const VERSION: &str = "1";

/// Place of the time column.
pub fn time_column(layout: &SeriesLayout) -> usize {
    layout.tags.len()
}

/// Place of a field's column.
pub fn field_column(layout: &SeriesLayout, field: usize) -> usize {
    layout.tags.len() + 1 + field
}

/// The file's schema.
pub fn schema(layout: &SeriesLayout) -> SchemaRef {
    let names = unique_names(columns(layout).map(|column| &column.name[..]));
    let time = time_column(layout);
    let fields = columns(layout).zip(names).enumerate();
    let fields = fields.map(|(place, (column, name))| Field::new(name, data_type(column.ty), place != time));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn columns(layout: &SeriesLayout) -> impl Iterator<Item = &NamedType> {
    layout.tags.iter().chain([&layout.time]).chain(&layout.fields)
}

/// A name that is taken (by a dropped column, say) gets a number: other tools find columns by name.
fn unique_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let unique = |name: &str| {
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        let free = [name.to_owned()].into_iter().chain(numbered).find(|name| !taken.contains(name));
        let free = free.expect("numbers do not end");
        taken.insert(free.clone());
        free
    };
    names.map(unique).collect()
}

/// How the file is written, which begins with `sample`.
pub fn properties(
    layout: &SeriesLayout,
    schema: &Schema,
    meta: &SegmentMeta,
    sample: Option<&RecordBatch>,
) -> WriterProperties {
    let sorting = |place| SortingColumn { column_idx: place as i32, descending: false, nulls_first: false };
    let builder = compressed(WriterProperties::builder())
        .set_created_by(format!("heddledb {}", env!("CARGO_PKG_VERSION")))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES_MAX))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some((0..=time_column(layout)).map(sorting).collect()))
        .set_key_value_metadata(Some(key_values(meta)));
    let columns = columns(layout).zip(schema.fields()).enumerate();
    let with_encoding = |builder, (place, (column, field)): (usize, (&NamedType, &Arc<Field>))| {
        let choice = match place < layout.tags.len() {
            true => Choice::TAG,
            false => Choice::of(column.ty, sample.map(|sample| sample.column(place))),
        };
        choice.set(builder, ColumnPath::new(vec![field.name().clone()]))
    };
    columns.fold(builder, with_encoding).build()
}

fn key_values(meta: &SegmentMeta) -> Vec<KeyValue> {
    let pairs = [
        ("heddledb.segment.version", VERSION.to_owned()),
        ("heddledb.storage", meta.storage.to_string()),
        ("heddledb.partition", meta.partition.to_string()),
        ("heddledb.sequence", meta.sequence.to_string()),
    ];
    pairs.map(|(key, value)| KeyValue::new(key.to_owned(), value)).into()
}

/// Are the file's columns those of `layout`, as far as the segment has them? Names may have changed since, types have not.
pub fn fits(file: &Schema, layout: &SeriesLayout, fields: usize) -> bool {
    let types: Vec<DataType> = columns(layout).map(|column| data_type(column.ty)).collect();
    let columns = field_column(layout, fields);
    types.len() >= columns && file.fields().iter().map(|field| field.data_type()).eq(&types[..columns])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique() {
        let names = unique_names(["a", "b", "a", "a_2", "a"].into_iter());
        assert_eq!(names, ["a", "b", "a_2", "a_2_2", "a_3"]);
    }
}
