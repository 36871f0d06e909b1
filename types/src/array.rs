//! PostgreSQL arrays: any number of dimensions, lower bounds, NULL elements.

use crate::{Datum, Oid, Result};

/// An array value. `elements` is row-major and holds the product of the lengths; an empty array has no dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct PgArray {
    /// Element type.
    pub elem: Oid,
    /// (length, lower bound) per dimension, at most 6.
    pub dims: Vec<(i32, i32)>,
    /// Elements in row-major order.
    pub elements: Vec<Datum>,
}

impl PgArray {
    /// A one-dimensional array with lower bound 1 (no dimensions when empty).
    pub fn from_vec(elem: Oid, elements: Vec<Datum>) -> Self {
        let dims = if elements.is_empty() { vec![] } else { vec![(elements.len() as i32, 1)] };
        Self { elem, dims, elements }
    }
    /// Compact bytes for rows and Arrow (Binary).
    pub fn to_bytes(&self) -> Vec<u8> { todo!() }
    /// Reads [`Self::to_bytes`]; `XX001` on malformed bytes.
    pub fn from_bytes(_b: &[u8]) -> Result<Self> { todo!() }
}
