//! Bytes, compressed by zstd when that makes them smaller. Contexts are kept, one per thread: for small pages they would cost
//! more than the work itself.

use super::error::Malformed;
use super::varint::{Input, put};
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

const LEVEL: i32 = 3;
/// Below this zstd gains nothing.
const BYTES_MIN: usize = 32;
/// zstd makes at most 128 KiB of four bytes. What claims more is not decompressed.
const RATIO_MAX: usize = 32 << 10;

thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::new(Compressor::new(LEVEL).expect("a level that zstd has"));
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

/// Appends `bytes`: their length, the length of what follows (the same when it is not compressed), and that.
pub fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    let compressed = match bytes.len() {
        BYTES_MIN.. => COMPRESSOR.with_borrow_mut(|zstd| zstd.compress(bytes)).ok(),
        _ => None,
    };
    let stored = compressed.as_deref().filter(|compressed| compressed.len() < bytes.len()).unwrap_or(bytes);
    put(out, bytes.len() as u128);
    put(out, stored.len() as u128);
    out.extend_from_slice(stored);
}

/// Reads what [`put_blob`] wrote.
pub fn take_blob(input: &mut Input<'_>) -> Result<Vec<u8>, Malformed> {
    let cut = || Malformed::new("bytes are cut short");
    let len = input.u64().and_then(|len| usize::try_from(len).ok()).ok_or_else(cut)?;
    let n = input.count().ok_or_else(cut)?;
    let stored = input.take(n).ok_or_else(cut)?;
    if stored.len() == len {
        return Ok(stored.to_vec());
    }
    if len / RATIO_MAX > stored.len() {
        return Err(Malformed::new("bytes claim to be too many"));
    }
    let bytes = DECOMPRESSOR.with_borrow_mut(|zstd| zstd.decompress(stored, len));
    let bytes = bytes.map_err(|e| Malformed::new(e.to_string()))?;
    if bytes.len() == len { Ok(bytes) } else { Err(Malformed::new("bytes are fewer than they claim")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for bytes in [vec![], vec![7], vec![0; 1 << 20], (0..9000u32).flat_map(|n| (n * n).to_le_bytes()).collect()] {
            let mut out = Vec::new();
            put_blob(&mut out, &bytes);
            assert!(out.len() <= bytes.len() + 6);
            let mut input = Input(&out);
            assert_eq!(take_blob(&mut input).expect("ours"), bytes);
            assert!(input.0.is_empty());
            (0..out.len().min(100)).for_each(|end| assert!(take_blob(&mut Input(&out[..end])).is_err()));
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut out = Vec::new();
        put(&mut out, 1 << 60);
        put(&mut out, 3);
        out.extend_from_slice(b"abc");
        assert!(take_blob(&mut Input(&out)).is_err());
    }
}
