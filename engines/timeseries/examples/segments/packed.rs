//! What pco makes of number columns: levels, delta encodings, rows of a page, rows of a chunk.
//!
//! Ours are level 8, auto, pages of 4,096 rows, chunks of 131,072.

use crate::cpu_ms;
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use pco::data_types::Number;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DecompressorScratch, DeltaSpec, PagingSpec};

/// A way to compress.
struct Setting {
    level: usize,
    delta: DeltaSpec,
    page_rows: usize,
    chunk_rows: usize,
}

pub fn try_all(name: &str, column: &ArrayRef) {
    let chunk_rows = 128 << 10;
    for level in [4, 6, 8] {
        for (what, delta) in
            [("auto", DeltaSpec::Auto), ("delta", DeltaSpec::TryConsecutive(1)), ("none", DeltaSpec::NoOp)]
        {
            try_one(name, what, column, &Setting { level, delta, page_rows: 4096, chunk_rows });
        }
    }
    for page_rows in [1024, 2048, 8192] {
        try_one(name, "auto", column, &Setting { level: 8, delta: DeltaSpec::Auto, page_rows, chunk_rows });
    }
    for chunk_rows in [32 << 10, 64 << 10, 256 << 10] {
        try_one(name, "auto", column, &Setting { level: 8, delta: DeltaSpec::Auto, page_rows: 4096, chunk_rows });
    }
}

fn try_one(name: &str, what: &str, column: &ArrayRef, setting: &Setting) {
    match column.data_type() {
        DataType::Int64 => measure(name, what, column.as_primitive::<Int64Type>().values(), setting),
        _ => measure(name, what, column.as_primitive::<Float64Type>().values(), setting),
    }
}

fn measure<T: Number + Default + PartialEq>(name: &str, what: &str, values: &[T], setting: &Setting) {
    let start = cpu_ms();
    let (bytes, chunks) = encode(values, setting);
    let encode_ns = (cpu_ms() - start) * 1e6 / values.len() as f64;
    let mut best = f64::INFINITY;
    let mut metas = 0.0;
    for _ in 0..5 {
        let start = cpu_ms();
        let mut meta_ms = 0.0;
        for chunk in &chunks {
            let before = cpu_ms();
            let (file, _) = FileDecompressor::new(&bytes[..]).expect("ours");
            let (decoder, _) = file.chunk_decompressor::<T, _>(&bytes[chunk.meta.clone()]).expect("ours");
            meta_ms += cpu_ms() - before;
            let mut scratch = DecompressorScratch::default();
            for (page, rows) in &chunk.pages {
                let mut out = vec![T::default(); *rows];
                let mut page =
                    decoder.page_decompressor_with_scratch(&bytes[page.clone()], *rows, &mut scratch).expect("ours");
                page.read(&mut out).expect("ours");
                std::hint::black_box(&out);
            }
        }
        best = best.min(cpu_ms() - start);
        metas = meta_ms * 1e3 / chunks.len() as f64;
    }
    let meta: usize = chunks.iter().map(|chunk| chunk.meta.len()).sum::<usize>() / chunks.len();
    println!(
        "{name}: level {} {what} page {} chunk {}: {:.4} B, decode {:.2} ns, encode {encode_ns:.1} ns, meta {meta} B {metas:.1} us",
        setting.level,
        setting.page_rows,
        setting.chunk_rows >> 10,
        bytes.len() as f64 / values.len() as f64,
        best * 1e6 / values.len() as f64,
    );
}

struct Chunk {
    meta: std::ops::Range<usize>,
    pages: Vec<(std::ops::Range<usize>, usize)>,
}

fn encode<T: Number>(values: &[T], setting: &Setting) -> (Vec<u8>, Vec<Chunk>) {
    let file = FileCompressor::default();
    let mut out = file.write_header(Vec::new()).expect("memory");
    let mut chunks = Vec::new();
    for chunk in values.chunks(setting.chunk_rows) {
        let mut pages = vec![setting.page_rows; chunk.len() / setting.page_rows];
        let rest = chunk.len() % setting.page_rows;
        pages.extend((rest > 0).then_some(rest));
        let config = ChunkConfig::default()
            .with_compression_level(setting.level)
            .with_delta_spec(setting.delta.clone())
            .with_paging_spec(PagingSpec::Exact(pages.clone()));
        let mut compressor = file.chunk_compressor(chunk, &config).expect("valid");
        let start = out.len();
        out = compressor.write_meta(out).expect("memory");
        let meta = start..out.len();
        let mut places = Vec::new();
        for (page, rows) in pages.into_iter().enumerate() {
            let start = out.len();
            out = compressor.write_page(page, out).expect("memory");
            places.push((start..out.len(), rows));
        }
        chunks.push(Chunk { meta, pages: places });
    }
    (out, chunks)
}
