//! PostgreSQL's binary wire forms, both ways.

use crate::{Datum, PgType, Result};

/// Appends the binary form (network order, without the length word). `value` is not NULL.
pub fn encode(_out: &mut Vec<u8>, _value: &Datum, _ty: PgType) { todo!() }

/// Appends the binary form of row `i` of an Arrow column. The value is not NULL.
pub fn encode_at(_out: &mut Vec<u8>, _array: &arrow::array::ArrayRef, _i: usize, _ty: PgType) { todo!() }

/// Reads a binary parameter. `22P03` (`incorrect binary data format`), `22021` for bad UTF-8 or NUL, `22P02` for bad json.
pub fn decode(_bytes: &[u8], _ty: PgType) -> Result<Datum> { todo!() }
