//! Made-up machines and what they report: the one source of time-series data for the demo, tests and benchmarks.
//!
//! | module | subject |
//! |---|---|
//! | [`cpu`] | hosts with ten usage metrics, as the "cpu-only" set of the Time Series Benchmark Suite (TSBS) has them |
//! | [`tags`] | what is known about a host |
//! | [`rows`] | points as rows of COPY: csv, and PostgreSQL's binary form |
//! | [`sites`] | a small fleet of thermometers: the demo's tables |
//! | [`random`] | the random numbers under all of it |
//!
//! Everything follows from a seed: the same seed gives the same bytes. Nothing here knows a table, a server or a client.

pub mod cpu;
pub mod random;
pub mod rows;
pub mod sites;
pub mod tags;

pub use cpu::{Cpu, Late, Point};
pub use random::Random;
