//! Time series: columnar memtables over Parquet segments.

pub mod points;
pub mod segment;
