//! One change with its full effect, and how changes lie in a Part payload.

use bytes::Bytes;
use heddle_types::{Result, StorageId};

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
}

/// Appends the encoding of `change`. Layout in docs/formats/row.md.
pub fn encode(_out: &mut Vec<u8>, _change: &RowChange) { todo!() }

/// Decodes a whole payload. Keys and rows share its memory. `XX001` on malformed bytes.
pub fn decode_all(_payload: &Bytes) -> Result<Vec<RowChange>> { todo!() }
