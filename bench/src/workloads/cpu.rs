//! The `cpu` table of the time-series workloads in each system: time, ten metrics, host.

use crate::report::Peer;
use crate::{Options, Result};
use heddle_fleet::cpu::METRICS;
use heddle_fleet::rows::{self, Columns, Rows};
use heddle_fleet::{Cpu, Late};

/// The set: 500 hosts, every ten seconds, one day.
pub fn set(options: &Options) -> Cpu {
    if options.quick { Cpu::new(50, 13) } else { Cpu::new(500, 24) }
}

/// `usage_user, …`
pub fn metrics() -> String {
    METRICS.join(", ")
}

fn declared(ty: &str) -> String {
    METRICS.map(|m| format!("{m} {ty}")).join(", ")
}

/// Statements that make the table.
pub fn schema(peer: Peer, options: &Options) -> Vec<String> {
    let ints = declared("int4 NOT NULL");
    let plain = |time: &str| format!("CREATE TABLE cpu (ts {time} NOT NULL, {ints}, hostname text NOT NULL)");
    match peer {
        Peer::Heddle if !options.relational => vec![format!(
            "CREATE TABLE cpu (ts timestamptz NOT NULL, {ints}) TAGS (hostname text NOT NULL) PRIMARY TAGS (hostname)"
        )],
        Peer::Heddle | Peer::Postgres => {
            vec![plain("timestamptz"), "CREATE INDEX cpu_host_ts ON cpu (hostname, ts)".to_owned()]
        }
        Peer::Duck => vec![plain("timestamp")],
        Peer::Chdb => vec![chdb_table("Int8", "ZSTD(3)")],
    }
}

/// The sorted form for ClickHouse, its metrics of one type and under one codec.
pub fn chdb_table(ty: &str, codec: &str) -> String {
    let metrics = declared(&format!("{ty} CODEC({codec})"));
    format!(
        "CREATE TABLE cpu (ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(3)), {metrics}, hostname LowCardinality(String)) \
         ENGINE = MergeTree ORDER BY (hostname, ts)"
    )
}

/// How each server's table is described in a report.
pub fn conditions(options: &Options) -> String {
    let ours = if options.relational {
        "a relational table with an index on (hostname, ts)"
    } else {
        "a time-series table, hostname is its primary tag"
    };
    format!("HeddleDB: {ours}; PostgreSQL: a table with an index on (hostname, ts)")
}

/// All rows as csv.
pub fn csv(set: &Cpu) -> Vec<u8> {
    let (writer, mut out) = (Rows::new(set, Columns::Host), vec![]);
    set.points().for_each(|point| writer.csv(&point, &mut out));
    out
}

/// All rows as a binary COPY.
pub fn binary(set: &Cpu) -> Vec<u8> {
    let (writer, mut out) = (Rows::new(set, Columns::Host), rows::BINARY_BEGIN.to_vec());
    set.points().for_each(|point| writer.binary(&point, &mut out));
    out.extend_from_slice(rows::BINARY_END);
    out
}

/// The same set with late rows.
pub fn late(set: &Cpu) -> Cpu {
    Cpu { late: Late::SOME, ..*set }
}

/// A file that the embedded peers load from.
pub fn file(csv: &[u8]) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new().prefix("heddledb-bench").suffix(".csv").tempfile();
    let file = file.map_err(|e| format!("could not make a file: {e}"))?;
    std::fs::write(file.path(), csv).map_err(|e| format!("could not write {}: {e}", file.path().display()))?;
    Ok(file)
}

/// Statements by which an embedded peer loads such a file.
pub fn load(peer: Peer, path: &std::path::Path) -> Vec<String> {
    let path = path.display();
    match peer {
        Peer::Duck => vec![format!("COPY cpu FROM '{path}' (FORMAT csv, HEADER false)"), "CHECKPOINT".to_owned()],
        _ => vec![
            format!(
                "INSERT INTO cpu SELECT * FROM file('{path}', 'CSV') SETTINGS date_time_input_format = 'best_effort'"
            ),
            "OPTIMIZE TABLE cpu FINAL".to_owned(),
        ],
    }
}
