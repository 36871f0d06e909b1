//! Which encoding suits which column: bytes and nanoseconds to decode, per value, always with zstd 3.

use crate::cpu_ms;
use crate::data::{Walk, decimals, ints, normal, uniform};
use arrow::array::{ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use heddle_env::Random;
use heddle_env::random::SeededRandom;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

/// Series of a column, one after the other.
const SERIES: u64 = 40;
const ROWS: usize = 8640;
const PAGE_ROWS: usize = 8192;

/// An encoding to try; a dictionary has a limit in bytes.
struct Codec {
    name: &'static str,
    dictionary: Option<usize>,
    encoding: Encoding,
}

const fn codec(name: &'static str, dictionary: Option<usize>, encoding: Encoding) -> Codec {
    Codec { name, dictionary, encoding }
}

const NUMBERS: [Codec; 6] = [
    codec("plain", None, Encoding::PLAIN),
    codec("split", None, Encoding::BYTE_STREAM_SPLIT),
    codec("delta", None, Encoding::DELTA_BINARY_PACKED),
    codec("dict 64k|plain", Some(64 << 10), Encoding::PLAIN),
    codec("dict 256k|plain", Some(256 << 10), Encoding::PLAIN),
    codec("dict 1M|plain", Some(1 << 20), Encoding::PLAIN),
];
const TEXTS: [Codec; 4] = [
    codec("plain", None, Encoding::PLAIN),
    codec("delta length", None, Encoding::DELTA_LENGTH_BYTE_ARRAY),
    codec("delta", None, Encoding::DELTA_BYTE_ARRAY),
    codec("dict 64k|delta length", Some(64 << 10), Encoding::DELTA_LENGTH_BYTE_ARRAY),
];
const BOOLS: [Codec; 2] = [codec("plain", None, Encoding::PLAIN), codec("rle", None, Encoding::RLE)];
const FIXED: [Codec; 3] = [
    codec("plain", None, Encoding::PLAIN),
    codec("split", None, Encoding::BYTE_STREAM_SPLIT),
    codec("dict 64k|plain", Some(64 << 10), Encoding::PLAIN),
];

pub fn print() {
    for (name, column) in ints_to_try().iter().chain(&floats_to_try()) {
        crate::packed::try_all(name, column);
    }
    for (name, column) in ints_to_try() {
        try_all(name, &column, NUMBERS.iter());
    }
    for (name, column) in floats_to_try() {
        try_all(name, &column, NUMBERS.iter().filter(|codec| codec.name != "delta"));
    }
    for (name, column) in texts_to_try() {
        try_all(name, &column, TEXTS.iter());
    }
    let random = SeededRandom::new(5);
    let flags: BooleanArray = (0..SERIES as usize * ROWS).map(|n| Some(n / 500 % 3 == 0)).collect();
    try_all("bool, changes seldom", &(Arc::new(flags) as _), BOOLS.iter());
    let flags: BooleanArray = (0..SERIES as usize * ROWS).map(|_| Some(random.below(10) == 0)).collect();
    try_all("bool, one in ten", &(Arc::new(flags) as _), BOOLS.iter());
    let uuids = (0..SERIES as usize * ROWS).map(|_| [random.u64().to_le_bytes(), random.u64().to_le_bytes()].concat());
    let uuids = FixedSizeBinaryArray::try_from_iter(uuids).expect("sixteen bytes each");
    try_all("uuid, random", &(Arc::new(uuids) as _), FIXED.iter());
}

fn each_series<T>(values: impl FnMut(u64) -> Vec<T>) -> Vec<T> {
    (0..SERIES).flat_map(values).collect()
}

fn ints_to_try() -> Vec<(&'static str, ArrayRef)> {
    let walk = each_series(|seed| ints(Walk::new(seed), ROWS).values().to_vec());
    let counter = each_series(|seed| {
        let random = SeededRandom::new(seed);
        (0..ROWS as i64)
            .scan(0, |at, _| {
                *at += random.below(1500) as i64;
                Some(*at)
            })
            .collect()
    });
    let status = each_series(|seed| {
        let random = SeededRandom::new(seed);
        (0..ROWS).map(|_| [200, 200, 200, 200, 200, 200, 304, 404, 500][random.below(9) as usize]).collect()
    });
    let constant = each_series(|seed| vec![seed as i64 * 1000; ROWS]);
    let all = [
        ("int8, walk 0..100", walk),
        ("int8, counter", counter),
        ("int8, status code", status),
        ("int8, constant", constant),
    ];
    all.into_iter().map(|(name, values)| (name, Arc::new(Int64Array::from(values)) as _)).collect()
}

fn floats_to_try() -> Vec<(&'static str, ArrayRef)> {
    let rounded = |values: &mut dyn Iterator<Item = f64>, digits| decimals(values, digits, ROWS).values().to_vec();
    let walk = |digits: i32, scale: f64| each_series(|seed| rounded(&mut Walk::new(seed).map(|v| v * scale), digits));
    let noise = each_series(|seed| {
        let random = SeededRandom::new(seed);
        rounded(&mut std::iter::repeat_with(|| 20.0 + normal(&random)), 1)
    });
    let location = each_series(|seed| {
        let random = SeededRandom::new(seed);
        let mut at = 52.0 + uniform(&random);
        let step = || {
            at += normal(&random) * 1e-5;
            at
        };
        rounded(&mut std::iter::repeat_with(step), 6)
    });
    let all = [
        ("float8, walk, 1 digit", walk(1, 1.0)),
        ("float8, slow walk, 1 digit", walk(1, 0.1)),
        ("float8, walk, 2 digits", walk(2, 1.0)),
        ("float8, walk, 3 digits", walk(3, 10.0)),
        ("float8, walk, all digits", walk(15, 1.0)),
        ("float8, whole numbers", walk(0, 1.0)),
        ("float8, noise, 1 digit", noise),
        ("float8, location, 6 digits", location),
    ];
    all.into_iter().map(|(name, values)| (name, Arc::new(Float64Array::from(values)) as _)).collect()
}

fn texts_to_try() -> Vec<(&'static str, ArrayRef)> {
    let random = SeededRandom::new(1);
    let states = ["running", "idle", "stopped", "failed: no heartbeat"];
    let total = SERIES as usize * ROWS;
    let state: StringArray = (0..total).map(|_| Some(states[random.below(4) as usize])).collect();
    let line = |n| format!("GET /api/v1/items/{} took {} ms", random.below(100_000), n % 977);
    let lines: StringArray = (0..total).map(|n| Some(line(n))).collect();
    let id: StringArray = (0..total).map(|_| Some(format!("{:016x}", random.u64()))).collect();
    let all = [("text, four states", state), ("text, log lines", lines), ("text, random ids", id)];
    all.into_iter().map(|(name, values)| (name, Arc::new(values) as _)).collect()
}

fn try_all<'a>(name: &str, column: &ArrayRef, codecs: impl Iterator<Item = &'a Codec>) {
    let mut cells = Vec::new();
    for codec in codecs {
        let file = encode(column, codec);
        let ns = (0..5).map(|_| decode(&file)).fold(f64::INFINITY, f64::min) * 1e6 / column.len() as f64;
        cells.push(format!("{} {:.3} B {ns:.1} ns", codec.name, file.len() as f64 / column.len() as f64));
    }
    println!("{name}: {}", cells.join(" | "));
}

fn encode(column: &ArrayRef, codec: &Codec) -> Bytes {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("a level")))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_encoding(codec.encoding)
        .set_dictionary_enabled(codec.dictionary.is_some())
        .set_dictionary_page_size_limit(codec.dictionary.unwrap_or(1));
    let batch = RecordBatch::try_from_iter([("v", column.clone())]).expect("one column");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).expect("supported");
    writer.write(&batch).expect("memory");
    writer.into_inner().expect("memory").into()
}

/// Milliseconds.
fn decode(file: &Bytes) -> f64 {
    let start = cpu_ms();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("a Parquet file");
    for batch in reader.with_batch_size(PAGE_ROWS).build().expect("readable") {
        batch.expect("readable");
    }
    cpu_ms() - start
}
