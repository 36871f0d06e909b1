//! One change with its full effect, and how changes lie in a Part payload.
//!
//! `txn` encodes a write set into Part payloads; the apply loop decodes them and hands the changes to an engine. The log
//! checksums payloads, so nothing here does. Byte table: docs/formats/change.md.

use crate::rows::RowBlock;
use bytes::Bytes;
use heddle_types::{Error, Result, SqlState, StorageId};

/// One row-engine change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// Inserts or replaces.
    Put {
        /// Where
        storage: StorageId,
        /// Memcomparable key
        key: Bytes,
        /// Encoded tuple
        row: Bytes,
    },
    /// Removes (a missing key is no error).
    Delete {
        /// Where
        storage: StorageId,
        /// Memcomparable key
        key: Bytes,
    },
    /// Frees a whole storage. Readers older than this entry still see it.
    DropStorage {
        /// Which
        storage: StorageId,
    },
    /// Inserts or replaces many rows.
    Rows {
        /// Where
        storage: StorageId,
        /// Keys and tuples
        block: RowBlock,
    },
    /// Says what the points of a time-series storage look like; comes before the first of them.
    DefineSeries {
        /// Which
        storage: StorageId,
        /// [`crate::point::SeriesLayout::encode`]
        layout: Bytes,
    },
    /// Writes many points of a time-series storage, as columns.
    Points {
        /// Where
        storage: StorageId,
        /// [`crate::block::PointBlock::encode`]
        block: Bytes,
    },
    /// Points of a time-series storage before a time are gone for good (retention). Nobody asks for them any more.
    Expire {
        /// Which
        storage: StorageId,
        /// First time that stays, in microseconds.
        before_us: i64,
    },
}

impl RowChange {
    /// The storage it changes.
    pub fn storage(&self) -> StorageId {
        match self {
            Self::Put { storage, .. }
            | Self::Delete { storage, .. }
            | Self::DropStorage { storage }
            | Self::Rows { storage, .. }
            | Self::DefineSeries { storage, .. }
            | Self::Points { storage, .. }
            | Self::Expire { storage, .. } => *storage,
        }
    }
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DROP_STORAGE: u8 = 3;
const DEFINE_SERIES: u8 = 4;
const EXPIRE: u8 = 5;
const POINTS: u8 = 6;
const ROWS: u8 = 7;

/// Appends the encoding of `change`. Layout in docs/formats/change.md.
pub fn encode(out: &mut Vec<u8>, change: &RowChange) {
    match change {
        RowChange::Put { storage, key, row } => {
            out.push(PUT);
            put_varint(out, storage.0);
            put_bytes(out, key);
            put_bytes(out, row);
        }
        RowChange::Delete { storage, key } => {
            out.push(DELETE);
            put_varint(out, storage.0);
            put_bytes(out, key);
        }
        RowChange::DropStorage { storage } => {
            out.push(DROP_STORAGE);
            put_varint(out, storage.0);
        }
        RowChange::DefineSeries { storage, layout } => {
            out.push(DEFINE_SERIES);
            put_varint(out, storage.0);
            put_bytes(out, layout);
        }
        RowChange::Points { storage, block } => {
            out.push(POINTS);
            put_varint(out, storage.0);
            put_bytes(out, block);
        }
        RowChange::Rows { storage, block } => {
            out.push(ROWS);
            put_varint(out, storage.0);
            put_bytes(out, block.bytes());
        }
        RowChange::Expire { storage, before_us } => {
            out.push(EXPIRE);
            put_varint(out, storage.0);
            out.extend_from_slice(&before_us.to_le_bytes());
        }
    }
}

/// Decodes a whole payload. Keys and rows share its memory.
///
/// # Errors
/// `XX001` on malformed bytes.
pub fn decode_all(payload: &Bytes) -> Result<Vec<RowChange>> {
    let mut changes = Vec::new();
    let mut at = 0;
    while let Some(&kind) = payload.get(at) {
        at += 1;
        let storage = StorageId(take_varint(payload, &mut at)?);
        changes.push(match kind {
            PUT => {
                let key = take_bytes(payload, &mut at)?;
                RowChange::Put { storage, key, row: take_bytes(payload, &mut at)? }
            }
            DELETE => RowChange::Delete { storage, key: take_bytes(payload, &mut at)? },
            DROP_STORAGE => RowChange::DropStorage { storage },
            DEFINE_SERIES => RowChange::DefineSeries { storage, layout: take_bytes(payload, &mut at)? },
            POINTS => RowChange::Points { storage, block: take_bytes(payload, &mut at)? },
            ROWS => RowChange::Rows { storage, block: RowBlock::decode(take_bytes(payload, &mut at)?)? },
            EXPIRE => RowChange::Expire { storage, before_us: take_i64(payload, &mut at)? },
            other => return Err(malformed(format!("unknown kind {other}"), at - 1)),
        });
    }
    Ok(changes)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn take_varint(payload: &[u8], at: &mut usize) -> Result<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let &byte = payload.get(*at).ok_or_else(|| malformed("it ends inside a number", *at))?;
        *at += 1;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        n |= bits << shift;
        if byte < 0x80 {
            return Ok(n);
        }
    }
    Err(malformed("a number is too large", *at))
}

pub(crate) fn take_bytes(payload: &Bytes, at: &mut usize) -> Result<Bytes> {
    let len = take_varint(payload, at)?;
    if len > (payload.len() - *at) as u64 {
        return Err(malformed("it ends inside a key or row", *at));
    }
    let start = *at;
    *at += len as usize; // fits: just compared with a usize
    Ok(payload.slice(start..*at))
}

fn take_i64(payload: &[u8], at: &mut usize) -> Result<i64> {
    let bytes = payload.get(*at..).and_then(|rest| rest.first_chunk::<8>());
    let bytes = bytes.ok_or_else(|| malformed("it ends inside a number", *at))?;
    *at += 8;
    Ok(i64::from_le_bytes(*bytes))
}

pub(crate) fn malformed(what: impl std::fmt::Display, at: usize) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, "malformed row changes in the log").detail(format!("At byte {at}: {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::RowBlockBuilder;
    use proptest::prelude::*;

    fn change() -> impl Strategy<Value = RowChange> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        prop_oneof![
            (any::<u64>(), bytes(), bytes()).prop_map(|(s, key, row)| RowChange::Put {
                storage: StorageId(s),
                key,
                row
            }),
            (any::<u64>(), bytes()).prop_map(|(s, key)| RowChange::Delete { storage: StorageId(s), key }),
            any::<u64>().prop_map(|s| RowChange::DropStorage { storage: StorageId(s) }),
            (any::<u64>(), bytes()).prop_map(|(s, layout)| RowChange::DefineSeries { storage: StorageId(s), layout }),
            (any::<u64>(), bytes()).prop_map(|(s, block)| RowChange::Points { storage: StorageId(s), block }),
            (any::<u64>(), proptest::collection::btree_map(any::<u16>(), bytes(), 0..5)).prop_map(|(s, rows)| {
                let mut block = RowBlockBuilder::default();
                rows.iter().for_each(|(key, row)| assert!(block.push(&key.to_be_bytes(), row)));
                RowChange::Rows { storage: StorageId(s), block: block.finish() }
            }),
            (any::<u64>(), any::<i64>())
                .prop_map(|(s, before_us)| RowChange::Expire { storage: StorageId(s), before_us }),
        ]
    }

    proptest! {
        #[test]
        fn changes_round_trip(changes in proptest::collection::vec(change(), 0..20)) {
            let mut out = Vec::new();
            changes.iter().for_each(|c| encode(&mut out, c));
            prop_assert_eq!(decode_all(&out.into()).unwrap(), changes);
        }

        #[test]
        fn bytes_arbitrary_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_all(&bytes.into());
        }
    }

    #[test]
    fn payload_cut_is_refused() {
        let mut out = Vec::new();
        encode(&mut out, &RowChange::Put { storage: StorageId(300), key: "key".into(), row: "row".into() });
        assert_eq!(out, [1, 0xac, 2, 3, b'k', b'e', b'y', 3, b'r', b'o', b'w']);
        for cut in 1..out.len() {
            let e = decode_all(&Bytes::copy_from_slice(&out[..cut])).unwrap_err();
            assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "cut at {cut}");
        }
    }
}
