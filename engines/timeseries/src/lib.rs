//! Time series: columnar memtables over Parquet segments.
