//! Segment files: what is written comes back; what is damaged is noticed.

mod damage;
mod reading;
mod version_2;

use arrow::array::ArrayRef;
use bytes::Bytes;
use heddle_engines::point::{NamedType, PartitionInterval, SeriesLayout};
use heddle_env::Env;
use heddle_timeseries::points::Points;
use heddle_timeseries::segment::{Segment, SegmentId, SegmentMeta, SegmentWriter};
use heddle_types::arrow::{ColumnBuilder, datum_at};
use heddle_types::{Class, Datum, Interval, LogIndex, Numeric, PgArray, PgType, Result, StorageId, key, oid};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// One type of every class that a field may have.
const TYPES: [PgType; 18] = [
    PgType::new(oid::BOOL),
    PgType::new(oid::INT2),
    PgType::new(oid::INT4),
    PgType::new(oid::INT8),
    PgType::new(oid::FLOAT4),
    PgType::new(oid::FLOAT8),
    PgType::new(oid::NUMERIC),
    PgType::new(oid::TEXT),
    PgType::new(oid::JSONB),
    PgType::new(oid::BYTEA),
    PgType::new(oid::DATE),
    PgType::new(oid::TIME),
    PgType::new(oid::TIMESTAMP),
    PgType::new(oid::TIMESTAMPTZ),
    PgType::new(oid::INTERVAL),
    PgType::new(oid::UUID),
    PgType::new(oid::OID),
    PgType::new(oid::INT4_ARRAY),
];

/// Points by (series key, time): what a segment should hold.
type Model = BTreeMap<(Bytes, i64), Vec<Datum>>;

fn named(name: &str, ty: PgType) -> NamedType {
    NamedType { name: name.to_owned(), ty }
}

/// Two tags, timestamptz, these fields.
fn layout(fields: &[PgType]) -> SeriesLayout {
    let names = (0..).map(|n| format!("f{n}"));
    SeriesLayout {
        tags: vec![named("host", PgType::new(oid::TEXT)), named("rack", PgType::new(oid::INT4))],
        time: named("ts", PgType::new(oid::TIMESTAMPTZ)),
        fields: names.zip(fields).map(|(name, ty)| named(&name, *ty)).collect(),
        partition: PartitionInterval::DEFAULT,
    }
}

/// Number `n` of the series.
fn series(n: u64) -> Bytes {
    key::encode_row(&[Datum::text(format!("host_{n:06}")), Datum::Int4(n as i32 % 7 - 3)]).into()
}

/// Some value of `ty`, the same for the same `n`; every seventh is NULL.
fn value(ty: PgType, n: u64) -> Datum {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n >> 7);
    if mixed.is_multiple_of(7) {
        return Datum::Null;
    }
    let v = mixed as i64;
    match ty.class() {
        Class::Bool => Datum::Bool(v & 8 == 0),
        Class::Int2 => Datum::Int2(v as i16),
        Class::Int4 => Datum::Int4(v as i32),
        Class::Int8 => Datum::Int8(v),
        Class::Float4 => Datum::Float4((v % 1000) as f32 / 8.0),
        Class::Float8 => Datum::Float8(if v % 31 == 0 { f64::INFINITY } else { (v % 10_000) as f64 / 10.0 }),
        Class::Numeric => Datum::Numeric(Numeric::from_parts(v.into(), (n % 9) as u16)),
        Class::Text if ty.oid == oid::JSONB => Datum::text(format!("{{\"n\": {v}}}")),
        Class::Text => Datum::text("ü".repeat(v as usize % 5)),
        Class::Bytea => Datum::bytea(v.to_le_bytes()[..v as usize % 9].to_vec()),
        Class::Date => Datum::Date(v as i32),
        Class::Time => Datum::Time(v.rem_euclid(86_400_000_001)),
        Class::Timestamp => Datum::Timestamp(v),
        Class::Interval => Datum::Interval(Interval::new(v as i32, (v >> 32) as i32, v)),
        Class::Uuid => Datum::Uuid((u128::from(mixed) << 64 | u128::from(n)).to_le_bytes()),
        Class::Oid => Datum::Oid(v as u32),
        Class::Array => {
            let elements: Vec<Datum> = (0..n % 4).map(|i| value(PgType::new(oid::INT4), n + i)).collect();
            let dims = if elements.is_empty() { vec![] } else { vec![(elements.len() as i32, 1)] };
            Datum::Array(Arc::new(PgArray { elem: oid::INT4, dims, elements }))
        }
    }
}

/// `rows` points of each of these series, `step` apart, with values of all fields.
fn model(layout: &SeriesLayout, numbers: impl IntoIterator<Item = u64>, rows: u64, step: i64) -> Model {
    let mut out = Model::new();
    for s in numbers {
        for row in 0..rows {
            let fields = layout.fields.iter().zip(0..);
            let values = fields.map(|(field, i): (_, u64)| value(field.ty, s * 1_000_003 + row * 101 + i)).collect();
            out.insert((series(s), 1_000_000 + row as i64 * step), values);
        }
    }
    out
}

/// The columnar form of some points.
fn points<'a>(layout: &SeriesLayout, rows: impl IntoIterator<Item = (&'a (Bytes, i64), &'a Vec<Datum>)>) -> Points {
    let mut builders: Vec<_> = layout.fields.iter().map(|field| ColumnBuilder::new(field.ty, 0)).collect();
    let mut out = Points::default();
    for ((key, time), values) in rows {
        match out.series.last_mut() {
            Some((last, n)) if last == key => *n += 1,
            _ => out.series.push((key.clone(), 1)),
        }
        out.time.push(*time);
        builders.iter_mut().zip(values).for_each(|(builder, value)| builder.append(value).expect("of its type"));
    }
    out.fields = builders.iter_mut().map(ColumnBuilder::finish).collect();
    out
}

fn dir() -> &'static Path {
    Path::new("/ts")
}

/// A disk in memory with the folder.
fn env() -> Env {
    let env = Env::in_memory(1);
    env.disk.create_dir_all(dir()).expect("a healthy disk");
    env
}

fn writer(env: &Env, layout: &SeriesLayout) -> Result<SegmentWriter> {
    SegmentWriter::create(env, dir(), SegmentId(7), StorageId::series(StorageId(20)), -3, LogIndex(99), layout)
}

/// Writes a segment, `push` points at a time.
fn write(env: &Env, layout: &SeriesLayout, model: &Model, push: usize) -> Result<SegmentMeta> {
    let mut writer = writer(env, layout)?;
    let rows: Vec<_> = model.iter().collect();
    for some in rows.chunks(push) {
        writer.push(&points(layout, some.iter().copied()))?;
    }
    writer.finish()
}

fn open(env: &Env, layout: &SeriesLayout, meta: &SegmentMeta) -> Result<Arc<Segment>> {
    Segment::open(env, dir(), meta.clone(), Arc::new(layout.clone()))
}

/// All points of a segment.
fn read(segment: &Arc<Segment>, layout: &SeriesLayout) -> Result<Model> {
    let fields: Vec<usize> = (0..layout.fields.len()).collect();
    let all = 0..segment.meta().rows;
    let mut cursor = segment.scan(&fields, vec![all], 1000)?;
    let keys: Vec<_> = segment.series().iter().flat_map(|s| std::iter::repeat_n(&s.key, s.rows as usize)).collect();
    let mut out = Model::new();
    while let Some(batch) = cursor.next_batch()? {
        for i in 0..batch.rows {
            let key = keys[batch.first_row as usize + i].clone();
            out.insert((key, batch.time.value(i)), row(&batch.fields, layout, i));
        }
    }
    Ok(out)
}

/// Row `i` of all fields.
fn row(columns: &[ArrayRef], layout: &SeriesLayout, i: usize) -> Vec<Datum> {
    columns.iter().zip(&layout.fields).map(|(column, field)| datum_at(column, field.ty, i)).collect()
}
