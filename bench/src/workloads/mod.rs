//! What is measured. A workload is a function from options to a report; a line here makes it known.

mod churn;
mod copy;
mod cpu;
mod idle;
mod ingest;
mod mixed;
mod pgbench;
mod start;
mod tpch;
mod tsbs;

use crate::report::Report;
use crate::{Options, Result};

/// One workload.
pub struct Workload {
    /// On the command line, of the JSON file, and in the page's markers.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&Options) -> Result<Report>,
}

/// All of them, in the order in which `all` runs them.
pub static WORKLOADS: &[Workload] = &[
    Workload { name: "start", about: "start times, memory at rest, size of the binary", run: start::run },
    Workload { name: "idle", about: "memory of 500 idle connections", run: idle::run },
    Workload { name: "select", about: "pgbench select-only", run: pgbench::select_only },
    Workload { name: "update", about: "pgbench simple-update and TPC-B-like", run: pgbench::updates },
    Workload { name: "mixed", about: "commit latency beside an analytic query", run: mixed::run },
    Workload { name: "churn", about: "disk size after many updates", run: churn::run },
    Workload { name: "copy", about: "COPY into a relational table with a primary key", run: copy::run },
    Workload { name: "ingest", about: "COPY of time series; bytes per data point", run: ingest::run },
    Workload { name: "tsbs", about: "queries of the Time Series Benchmark Suite", run: tsbs::run },
    Workload { name: "tpch", about: "TPC-H at scale factor 1", run: tpch::run },
];

/// The durability of each peer, for the reader.
const DURABILITY: &str =
    "durability: HeddleDB and PostgreSQL (fsync=on, synchronous_commit=on) acknowledge a commit after fsync";
