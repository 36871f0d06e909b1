//! How a segment's data file begins; after that there are only pages, and the directory knows where.

/// What it begins with.
pub const MAGIC: &[u8; 8] = b"HEDLSEGD";
/// The version of both files.
pub const VERSION: u32 = 3;
/// The version in which pco coded all numbers. It is read, too.
pub const PCO_ALONE: u32 = 2;
/// Magic and version.
pub const HEADER_BYTES: u64 = 8 + 4;

/// The file's first bytes.
pub fn header() -> [u8; HEADER_BYTES as usize] {
    let mut out = [0; HEADER_BYTES as usize];
    out[..8].copy_from_slice(MAGIC);
    out[8..].copy_from_slice(&VERSION.to_le_bytes());
    out
}
