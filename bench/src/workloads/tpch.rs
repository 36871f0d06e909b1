//! TPC-H: 22 analytic queries over relational tables. Every answer is compared with DuckDB's before a time counts.

use crate::answers::compare;
use crate::embedded::Embedded;
use crate::report::{Peer, Report};
use crate::wire::{BOTH, Memory, Wire};
use crate::{Options, Result};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tpchgen::csv;
use tpchgen::generators as make;

const SCHEMA: &str = include_str!("../../sql/tpch-schema.sql");
const QUERIES: &str = include_str!("../../sql/tpch.sql");
const TABLES: [&str; 8] = ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"];
/// Without it PostgreSQL does not finish Q17 and Q20 in a night.
const INDEX: &str = "CREATE INDEX lineitem_part_supp ON lineitem (l_partkey, l_suppkey)";
/// A query that takes longer has failed.
const LIMIT: &str = "SET statement_timeout = '120s'";

/// Loads all systems, then lets them take turns at each query.
pub fn run(options: &Options) -> Result<Report> {
    let scale = if options.quick { 0.01 } else { 1.0 };
    let folder = tempfile::Builder::new().prefix("heddledb-bench").tempdir().map_err(|e| e.to_string())?;
    for table in TABLES {
        write_table(table, scale, &path(folder.path(), table)).map_err(|e| format!("could not write {table}: {e}"))?;
    }
    let mut report = Report::default();
    let mut duck = Embedded::start(Peer::Duck, options)?;
    load_duck(&mut report, &mut duck, folder.path())?;
    let mut servers = vec![];
    for peer in BOTH {
        servers.push(load_server(&mut report, peer, folder.path())?);
    }
    for (name, sql) in queries() {
        let right = duck.rows(sql).map_err(|e| format!("{name} in DuckDB: {e}"))?;
        for round in 0..options.rounds {
            for server in &servers {
                // A failure will not go away, and a time-out would be waited for again.
                if round > 0 && has_failed(&report, &name, server.peer()) {
                    continue;
                }
                report.add(&name, "ms", server.peer(), server_time(server, sql, &right));
            }
            let time = duck.times(sql, 0.0).map(|t| t[0]);
            report.add(&name, "ms", Peer::Duck, time);
        }
    }
    report.note(format!("scale factor {scale}, made by the crate tpchgen; primary keys, and an index on lineitem (l_partkey, l_suppkey); loaded by COPY, then CHECKPOINT (and VACUUM ANALYZE)"));
    report.note(format!(
        "time from request to last row, over TCP; DuckDB {} runs inside its client, with as many threads as cores",
        duck.version()
    ));
    report.note("every answer equals DuckDB's, otherwise the line says failed; so does a query of more than 120 s");
    report.note(Memory::Large.note());
    Ok(report)
}

fn path(folder: &Path, table: &str) -> PathBuf {
    folder.join(format!("{table}.csv"))
}

fn write_table(table: &str, scale: f64, path: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    macro_rules! rows {
        ($generator:ident, $csv:ident) => {
            for row in make::$generator::new(scale, 1, 1).iter() {
                writeln!(out, "{}", csv::$csv::new(row))?;
            }
        };
    }
    match table {
        "region" => rows!(RegionGenerator, RegionCsv),
        "nation" => rows!(NationGenerator, NationCsv),
        "part" => rows!(PartGenerator, PartCsv),
        "supplier" => rows!(SupplierGenerator, SupplierCsv),
        "partsupp" => rows!(PartSuppGenerator, PartSuppCsv),
        "customer" => rows!(CustomerGenerator, CustomerCsv),
        "orders" => rows!(OrderGenerator, OrderCsv),
        _ => rows!(LineItemGenerator, LineItemCsv),
    }
    out.flush()
}

fn load_duck(report: &mut Report, duck: &mut Embedded, folder: &Path) -> Result<()> {
    SCHEMA.split_inclusive(';').filter(|s| !s.trim().is_empty()).try_for_each(|sql| duck.run(sql))?;
    let begin = Instant::now();
    for table in TABLES {
        duck.run(&format!("COPY {table} FROM '{}' (FORMAT csv, HEADER false)", path(folder, table).display()))?;
    }
    report.add("load", "s", Peer::Duck, Ok(begin.elapsed().as_secs_f64()));
    Ok(())
}

fn load_server(report: &mut Report, peer: Peer, folder: &Path) -> Result<Wire> {
    let named = |e: String| format!("{}: {e}", peer.name());
    let server = Wire::start(peer, Memory::Large)?;
    let mut client = server.client()?;
    client.run(SCHEMA).map_err(named)?;
    let begin = Instant::now();
    for table in TABLES {
        let pieces = Pieces(File::open(path(folder, table)).map_err(|e| e.to_string())?);
        client.copy_in(&format!("COPY {table} FROM STDIN (FORMAT csv)"), pieces).map_err(named)?;
    }
    report.add("load", "s", peer, Ok(begin.elapsed().as_secs_f64()));
    let begin = Instant::now();
    client.run(INDEX).map_err(named)?;
    report.add("index", "s", peer, Ok(begin.elapsed().as_secs_f64()));
    if peer == Peer::Postgres {
        client.run("VACUUM ANALYZE").map_err(named)?;
    }
    client.run("CHECKPOINT").map_err(named)?;
    Ok(server)
}

/// A file in pieces; ends at its end or at an error, which the row counts of the answers would show.
struct Pieces(File);

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut piece = vec![0; 64 << 10];
        let n = self.0.read(&mut piece).ok().filter(|n| *n > 0)?;
        piece.truncate(n);
        Some(piece)
    }
}

/// `Q1` and its text, and so on.
fn queries() -> impl Iterator<Item = (String, &'static str)> {
    QUERIES.split("-- Q").skip(1).filter_map(|part| {
        let (number, sql) = part.split_once('\n')?;
        number.parse::<u32>().ok().map(|n| (format!("Q{n}"), sql.trim().trim_end_matches(';')))
    })
}

fn has_failed(report: &Report, name: &str, peer: Peer) -> bool {
    let figure = report.figures.iter().find(|f| f.what == name);
    figure.and_then(|f| f.median(peer)).is_some_and(|m| m.is_err())
}

fn server_time(server: &Wire, sql: &str, right: &[Vec<String>]) -> Result<f64> {
    let mut client = server.client()?;
    client.run(LIMIT)?;
    compare(&client.rows(sql)?, right)?;
    client.prepare(sql)?;
    let begin = Instant::now();
    client.execute()?;
    Ok(begin.elapsed().as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_queries_are_found() {
        let all: Vec<_> = queries().collect();
        assert_eq!(all.len(), 22);
        assert!(all.iter().all(|(_, sql)| !sql.contains("--") && !sql.ends_with(';')));
        assert_eq!(SCHEMA.matches("CREATE TABLE").count(), TABLES.len());
    }
}
