//! PostgreSQL arrays: any number of dimensions, lower bounds, NULL elements.
//!
//! Bytes: elem oid u32 LE, ndim u8, per dimension {length i32 LE, lower bound i32 LE}, null bitmap (bit i of byte i/8 set =
//! element i is NULL), then the elements that are not NULL as in rows ([`crate::row`]).

use crate::stored::{Reader, corrupted, write_value};
use crate::{Class, Datum, Oid, PgType, Result};

/// Most dimensions an array can have.
pub const DIMENSIONS_MAX: usize = 6;

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
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.elements.len() * 9);
        out.extend_from_slice(&self.elem.0.to_le_bytes());
        out.push(self.dims.len() as u8);
        for (length, lower) in &self.dims {
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&lower.to_le_bytes());
        }
        write_null_bitmap(&mut out, &self.elements);
        self.elements.iter().for_each(|e| write_value(&mut out, e));
        out
    }

    /// Reads [`Self::to_bytes`]; `XX001` on malformed bytes.
    pub fn from_bytes(b: &[u8]) -> Result<Self> {
        let mut r = Reader(b);
        let elem = Oid(u32::from_le_bytes(r.fixed()?));
        let class = PgType::new(elem).class();
        let [ndim] = r.fixed::<1>()?;
        if usize::from(ndim) > DIMENSIONS_MAX || class == Class::Array {
            return Err(malformed());
        }
        let mut dims = Vec::with_capacity(ndim.into());
        let mut count = usize::from(ndim > 0);
        for _ in 0..ndim {
            let (length, lower) = (i32::from_le_bytes(r.fixed()?), i32::from_le_bytes(r.fixed()?));
            let n = usize::try_from(length).ok().filter(|n| *n > 0).ok_or_else(malformed)?;
            count = count.checked_mul(n).ok_or_else(malformed)?;
            dims.push((length, lower));
        }
        // The bitmap must be there before anything is allocated for `count` elements.
        let nulls = r.take(count.div_ceil(8))?;
        let mut elements = Vec::with_capacity(count);
        for i in 0..count {
            elements.push(if is_null(nulls, i) { Datum::Null } else { r.value(class)? });
        }
        if r.0.is_empty() { Ok(Self { elem, dims, elements }) } else { Err(malformed()) }
    }
}

/// Appends one bit per value, set where it is NULL.
pub(crate) fn write_null_bitmap(out: &mut Vec<u8>, values: &[Datum]) {
    let start = out.len();
    out.resize(start + values.len().div_ceil(8), 0);
    for (i, value) in values.iter().enumerate() {
        if value.is_null() {
            out[start + i / 8] |= 1 << (i % 8);
        }
    }
}

/// Bit `i` of [`write_null_bitmap`]'s bytes.
pub(crate) fn is_null(bitmap: &[u8], i: usize) -> bool {
    bitmap[i / 8] & (1 << (i % 8)) != 0
}

fn malformed() -> crate::Error {
    corrupted("malformed array value")
}
