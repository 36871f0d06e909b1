//! Measures segment files: `cargo run --release -p heddle-timeseries --example segments [scan | gauges | codecs] [HOSTS] [ROWS]`.
//!
//! `gauges` does the same with floats of two decimal digits. `scan` writes the TSBS-like set (HOSTS hosts, 10 s apart, ROWS each: 8,640 are a day) and prints sizes, then times of a full
//! scan, of one series' hour, of single points and of block statistics. `codecs` prints bytes and decoding time per value
//! of plausible columns in every encoding.

mod codecs;
mod data;
mod packed;

use bytes::Bytes;
use data::Walk;
use heddle_engines::point::{NamedType, PartitionInterval, SeriesLayout};
use heddle_env::Env;
use heddle_timeseries::points::Points;
use heddle_timeseries::segment::{Segment, SegmentId, SegmentMeta, SegmentWriter};
use heddle_types::{Datum, LogIndex, Oid, PgType, Result, StorageId, key, oid};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const METRICS: usize = 10;
const STEP_US: i64 = 10_000_000;
const START_US: i64 = 1_704_067_200_000_000;
const BATCH_ROWS: usize = 8192;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "scan".to_owned());
    let mut number = |default| args.next().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (hosts, rows) = (number(500), number(8640));
    let field = match &what[..] {
        "codecs" => {
            codecs::print();
            return Ok(());
        }
        "gauges" => oid::FLOAT8,
        _ => oid::INT8,
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let layout = Arc::new(layout(field));
    let meta = write(dir.path(), &layout, hosts, rows)?;
    print_sizes(&meta);
    let open = || Segment::open(&Env::real(), dir.path(), meta.clone(), layout.clone());
    println!("open: {:.2} ms", average(|| open().map(drop))?);
    let segment = open()?;
    measure(&segment)
}

fn layout(field: Oid) -> SeriesLayout {
    let named = |name: &str, oid| NamedType { name: name.to_owned(), ty: PgType::new(oid) };
    let metrics = (0..METRICS).map(|n| named(&format!("usage_{n}"), field));
    SeriesLayout {
        tags: vec![named("host", oid::TEXT)],
        time: named("ts", oid::TIMESTAMPTZ),
        fields: metrics.collect(),
        partition: PartitionInterval::DEFAULT,
    }
}

fn series(host: usize) -> Bytes {
    key::encode_row(&[Datum::text(format!("host_{host:06}"))]).into()
}

fn points(host: usize, layout: &SeriesLayout, rows: usize) -> Points {
    let time = (0..rows as i64).map(|n| START_US + n * STEP_US).collect();
    let metric = |(n, field): (usize, &NamedType)| {
        let walk = Walk::new((host * METRICS + n) as u64);
        match field.ty.oid {
            oid::FLOAT8 => Arc::new(data::decimals(walk, 2, rows)) as _,
            _ => Arc::new(data::ints(walk, rows)) as _,
        }
    };
    let fields = layout.fields.iter().enumerate().map(metric).collect();
    Points { series: vec![(series(host), rows)], time, fields }
}

fn write(dir: &Path, layout: &SeriesLayout, hosts: usize, rows: usize) -> Result<SegmentMeta> {
    let (env, storage) = (Env::real(), StorageId::series(StorageId(1)));
    let mut writer = SegmentWriter::create(&env, dir, SegmentId(1), storage, 0, LogIndex(1), layout)?;
    let mut spent = 0.0;
    for host in 0..hosts {
        let points = points(host, layout, rows);
        let push = cpu_ms();
        writer.push(&points)?;
        spent += ms(push);
    }
    let finish = cpu_ms();
    let meta = writer.finish()?;
    spent += ms(finish);
    println!("write: {:.0} ms, {:.2} M rows/s", spent, meta.rows as f64 / spent / 1e3);
    Ok(meta)
}

fn print_sizes(meta: &SegmentMeta) {
    let bytes = (meta.file_bytes + meta.sidecar_bytes) as f64;
    println!("rows {}, file {} bytes, sidecar {} bytes", meta.rows, meta.file_bytes, meta.sidecar_bytes);
    println!(
        "{:.3} bytes a row, {:.3} a data point",
        bytes / meta.rows as f64,
        bytes / (meta.rows as f64 * METRICS as f64)
    );
}

fn measure(segment: &Arc<Segment>) -> Result<()> {
    let all: Vec<usize> = (0..METRICS).collect();
    let rows = 0..segment.meta().rows;
    for fields in [&all[..], &all[..1], &[]] {
        let ms = average(|| scan(segment, fields, vec![rows.clone()]))?;
        println!("scan of {} fields: {ms:.1} ms, {:.1} M rows/s", fields.len(), rows.end as f64 / ms / 1e3);
    }
    let hour = |entry: usize| {
        let hours = (segment.series()[entry].rows as i64 / 360).max(1);
        let from = START_US + (entry as i64 % hours) * 3_600_000_000;
        segment.rows_between(entry, from, from + 3_600_000_000 - 1)
    };
    let n = segment.series().len();
    let one = average(|| (0..n.min(100)).try_for_each(|entry| scan(segment, &all, vec![hour(entry)])))?;
    println!("one series' hour, all fields: {:.0} us", one * 1e3 / n.min(100) as f64);
    let one = average(|| (0..n.min(100)).try_for_each(|entry| scan(segment, &all[..1], vec![hour(entry)])))?;
    println!("one series' hour, one field: {:.0} us", one * 1e3 / n.min(100) as f64);
    let hours: Vec<Range<u64>> = (0..n).map(hour).collect();
    println!("an hour of every series, one field: {:.1} ms", average(|| scan(segment, &all[..1], hours.clone()))?);
    let get = |host: usize| {
        let per_series = segment.series()[host].rows as i64;
        segment.get(&series(host), START_US + (host as i64 * 17 % per_series) * STEP_US)
    };
    let points = average(|| (0..n.min(200)).try_for_each(|host| get(host).map(|row| assert!(row.is_some()))))?;
    println!("one point: {:.0} us", points * 1e3 / n.min(200) as f64);
    let blocks = segment.blocks().len();
    let statistics = average(|| segment.statistics(0, 0..blocks).map(drop))?;
    println!("statistics of one field, {blocks} blocks: {statistics:.2} ms");
    let of = |entry: usize| segment.statistics(0, segment.series()[entry].blocks.clone());
    let one = average(|| (0..n.min(200)).try_for_each(|entry| of(entry).map(drop)))?;
    println!("statistics of one field, one series: {:.1} us", one * 1e3 / n.min(200) as f64);
    println!("verify: {:.1} ms", average(|| segment.verify())?);
    Ok(())
}

fn scan(segment: &Arc<Segment>, fields: &[usize], ranges: Vec<Range<u64>>) -> Result<()> {
    let expected: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let mut cursor = segment.scan(fields, ranges, BATCH_ROWS)?;
    let mut rows = 0;
    while let Some(batch) = cursor.next_batch()? {
        rows += batch.rows as u64;
    }
    assert_eq!(rows, expected);
    Ok(())
}

/// CPU time of this thread, in milliseconds: what else the machine does matters little.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds on the processor") / 1e6
}

fn ms(since: f64) -> f64 {
    cpu_ms() - since
}

/// Milliseconds of a run, over many.
fn average(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let (start, mut runs) = (cpu_ms(), 0);
    while runs < 3 || ms(start) < 300.0 {
        run()?;
        runs += 1;
    }
    Ok(ms(start) / f64::from(runs))
}
