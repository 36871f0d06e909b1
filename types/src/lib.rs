//! The vocabulary every other crate speaks: identifiers, PostgreSQL types, values, keys, rows, text and binary
//! forms, and the shared [`Error`] with its SQLSTATE.
//!
//! Nothing here opens a file, reads a clock or knows a protocol.
//!
//! Where to read next: [`Datum`] (a value), [`PgType`] (what it means), [`text`] and [`binary`] (its two wire forms),
//! [`key`] (its place in an ordered store), [`row`] (how a tuple lies on disk), [`arrow`] (how a column lies in memory).

pub mod array;
pub mod arrow;
pub mod binary;
pub mod coerce;
pub mod datetime;
mod datum;
mod error;
mod ids;
pub mod interval;
pub mod json;
pub mod key;
pub mod numeric;
mod pgtype;
pub mod row;
mod stored;
pub mod text;

pub use array::PgArray;
pub use datum::Datum;
pub use error::{Error, Fields, Notice, Result, Severity, SqlState, known_state};
pub use ids::{LogIndex, Oid, StorageId, Term, TxnId};
pub use interval::Interval;
pub use numeric::Numeric;
pub use pgtype::{Class, PgType, TypeInfo, oid};
