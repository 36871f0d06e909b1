//! The byte layout of a record (docs/formats/log.md has the table). Written by `writer`, read by `recover`.
//!
//! A frame is header, payload, zeroes up to the alignment, checksum. The checksum starts from the segment's seed (its number
//! and salt), so bytes of another segment, or of this file's earlier life, never verify.

use crate::record::Record;

/// Every frame starts at a multiple of this.
pub(crate) const ALIGN: usize = 8;
const HEADER: usize = 40;
const CHECKSUM: usize = 4;
/// The smallest frame, one without payload.
pub(crate) const FRAME_MIN: usize = (HEADER + CHECKSUM).next_multiple_of(ALIGN);
/// Flag: the last record of its batch.
pub(crate) const END_OF_BATCH: u8 = 1;

/// Bytes a record with `payload` bytes takes in a segment.
pub(crate) fn frame_bytes(payload: usize) -> u64 {
    (payload as u64 + (HEADER + CHECKSUM) as u64).next_multiple_of(ALIGN as u64)
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) reserved: u16,
    pub(crate) group: u32,
    pub(crate) chain: u32,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) batch: u64,
}

/// A frame whose checksum is right.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) head: Head,
    pub(crate) payload: &'a [u8],
    pub(crate) checksum: u32,
    pub(crate) size: usize,
}

/// Where a record stands among its neighbours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) batch: u64,
    pub(crate) chain: u32,
    pub(crate) end_of_batch: bool,
}

/// Appends the frame of `record` to `out`, returns its checksum (the next record's chain).
pub(crate) fn encode(out: &mut Vec<u8>, record: &Record, place: Place, seed: u32) -> u32 {
    let start = out.len();
    let len = u32::try_from(record.payload.len()).expect("append refused what does not fit in a segment below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[record.kind as u8, u8::from(place.end_of_batch) * END_OF_BATCH, 0, 0]);
    out.extend_from_slice(&record.group.to_le_bytes());
    out.extend_from_slice(&place.chain.to_le_bytes());
    out.extend_from_slice(&record.term.0.to_le_bytes());
    out.extend_from_slice(&record.index.0.to_le_bytes());
    out.extend_from_slice(&place.batch.to_le_bytes());
    debug_assert_eq!(out.len() - start, HEADER);
    out.extend_from_slice(&record.payload);
    let size = frame_bytes(record.payload.len()) as usize;
    out.resize(start + size - CHECKSUM, 0);
    let checksum = crc32c::crc32c_append(seed, &out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Reads the fixed part, whatever it says. `None` when not even that is there.
pub(crate) fn peek(bytes: &[u8]) -> Option<Head> {
    let b = bytes.get(..HEADER)?;
    Some(Head {
        len: u32_at(b, 0),
        kind: b[4],
        flags: b[5],
        reserved: u16::from_le_bytes([b[6], b[7]]),
        group: u32_at(b, 8),
        chain: u32_at(b, 12),
        term: u64_at(b, 16),
        index: u64_at(b, 24),
        batch: u64_at(b, 32),
    })
}

/// Reads the frame at the start of `bytes` (the rest of the segment); `None` unless the checksum is right.
pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<Frame<'_>> {
    let head = peek(bytes)?;
    let size = usize::try_from(frame_bytes(head.len as usize)).ok()?;
    let body = bytes.get(..size)?.get(..size - CHECKSUM)?;
    let checksum = u32_at(bytes, size - CHECKSUM);
    if crc32c::crc32c_append(seed, body) != checksum {
        return None;
    }
    Some(Frame { head, payload: &body[HEADER..HEADER + head.len as usize], checksum, size })
}

/// The four bytes at `at`, little endian; the caller has checked the length.
pub(crate) fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// The eight bytes at `at`, little endian; the caller has checked the length.
pub(crate) fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{GROUP, Kind, TERM};
    use bytes::Bytes;
    use heddle_types::LogIndex;

    fn sample(payload: &'static [u8]) -> Vec<u8> {
        let r = Record {
            index: LogIndex(7),
            term: TERM,
            group: GROUP,
            kind: Kind::Commit,
            payload: Bytes::from_static(payload),
        };
        let mut out = Vec::new();
        encode(&mut out, &r, Place { batch: 3, chain: 0xAABB_CCDD, end_of_batch: true }, 99);
        out
    }

    #[test]
    fn frame_round_trips() {
        for payload in [&b""[..], b"a", b"1234", b"12345", b"123456789"] {
            let bytes = sample(payload);
            assert_eq!(bytes.len() % ALIGN, 0);
            let f = decode(&bytes, 99).expect("valid");
            assert_eq!((f.payload, f.size), (payload, bytes.len()));
            assert_eq!((f.head.index, f.head.batch, f.head.chain), (7, 3, 0xAABB_CCDD));
            assert_eq!((f.head.kind, f.head.flags, f.head.term, f.head.group), (2, END_OF_BATCH, 1, 0));
        }
    }

    #[test]
    fn frame_bytes_are_as_documented() {
        let hex: String = sample(b"abc").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            &hex[..96],
            "0300000002010000\
             00000000ddccbbaa\
             0100000000000000\
             0700000000000000\
             0300000000000000\
             6162630000000000"
                .replace(' ', "")
                .get(..86)
                .map(|s| format!("{s}{}", &hex[86..96]))
                .expect("length")
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = sample(b"payload");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, 99).is_none(), "bit {bit}");
        }
        assert!(decode(&good, 98).is_none(), "another segment's seed");
        for cut in 0..good.len() {
            assert!(decode(&good[..cut], 99).is_none(), "cut at {cut}");
        }
    }
}
