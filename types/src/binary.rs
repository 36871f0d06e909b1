//! PostgreSQL's binary wire forms, both ways.
//!
//! Called by the frontends for parameters and results in format 1, and by COPY BINARY. Dates and times are relative to
//! 2000-01-01 on the wire, to 1970-01-01 inside; the infinities are the extremes in both.

mod decode;
mod encode;

pub use decode::{decode, decode_into};
pub use encode::{encode, encode_at};

/// 2000-01-01 in days since 1970.
pub(crate) const EPOCH_2000_DAYS: i32 = 10_957;
/// 2000-01-01 in microseconds since 1970.
pub(crate) const EPOCH_2000_US: i64 = EPOCH_2000_DAYS as i64 * 86_400_000_000;
