//! Memcomparable keys: byte order equals SQL order. Used for storage keys, and as the canonical sort key on which
//! grouping, joins and ordering of types run whose PostgreSQL equality is not Arrow's (numeric, interval, -0.0, arrays).

use crate::Datum;

/// Index keys above this many bytes are refused with `54000`, as in PostgreSQL.
pub const KEY_BYTES_MAX: usize = 2704;

/// How one key column is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyOrder {
    /// Descending.
    pub desc: bool,
    /// NULLs before values.
    pub nulls_first: bool,
}

/// Appends one value: self-delimiting, so that columns concatenate.
pub fn encode(_out: &mut Vec<u8>, _value: &Datum, _order: KeyOrder) { todo!() }

/// A whole ascending key.
pub fn encode_row<'a>(values: impl IntoIterator<Item = &'a Datum>) -> Vec<u8> {
    let mut out = Vec::new();
    for v in values {
        encode(&mut out, v, KeyOrder::default());
    }
    out
}

/// The smallest key above every key that starts with `prefix`; `None` when there is none (all 0xff).
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}
