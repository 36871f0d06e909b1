//! Queries of the Time Series Benchmark Suite. Every answer is compared with DuckDB's before a time counts.

use super::cpu;
use super::ingest::settled;
use crate::answers::compare;
use crate::embedded::Embedded;
use crate::report::{Peer, Report};
use crate::wire::{BOTH, Memory, Wire};
use crate::{Options, Result, proc};
use heddle_fleet::cpu::{BEGIN_MICROS, METRICS};
use heddle_fleet::rows::timestamp;
use std::time::Instant;

/// Aggregates are computed from the points alone.
const STATISTICS_OFF: &str = "SET heddledb.block_statistics = off";

/// How one system writes what the others write differently.
struct Dialect {
    minute: &'static str,
    hour: &'static str,
    /// A time literal around its text.
    time: (&'static str, &'static str),
}

fn dialect(peer: Peer) -> Dialect {
    match peer {
        Peer::Heddle => Dialect {
            minute: "time_bucket('1 minute', ts)",
            hour: "time_bucket('1 hour', ts)",
            time: ("timestamptz '", "+00'"),
        },
        Peer::Postgres => Dialect {
            minute: "date_trunc('minute', ts)",
            hour: "date_trunc('hour', ts)",
            time: ("timestamptz '", "+00'"),
        },
        Peer::Duck => {
            Dialect { minute: "date_trunc('minute', ts)", hour: "date_trunc('hour', ts)", time: ("timestamp '", "'") }
        }
        Peer::Chdb => {
            Dialect { minute: "toStartOfMinute(ts)", hour: "toStartOfHour(ts)", time: ("toDateTime('", "', 'UTC')") }
        }
    }
}

impl Dialect {
    /// `hour` hours after the set begins.
    fn time(&self, hour: i64) -> String {
        let mut text = vec![];
        timestamp(BEGIN_MICROS + hour * 3_600_000_000, &mut text);
        let text = String::from_utf8_lossy(&text).replace("+00", "");
        format!("{}{text}{}", self.time.0, self.time.1)
    }

    fn between(&self, from: i64, to: i64) -> String {
        format!("ts >= {} AND ts < {}", self.time(from), self.time(to))
    }
}

/// `agg(a) AS x_a, …` over the first `n` metrics.
fn aggregates(function: &str, n: usize) -> String {
    METRICS[..n].iter().map(|m| format!("{function}({m}) AS {function}_{m}")).collect::<Vec<_>>().join(", ")
}

fn hosts(n: u32) -> String {
    let names = (0..n).map(|i| format!("'host_{}'", i * 5 + 3));
    format!("hostname IN ({})", names.collect::<Vec<_>>().join(", "))
}

/// Names and texts of the queries in the language of `peer`. Windows end at hour 13, so that short sets have them, too.
fn queries(peer: Peer) -> Vec<(&'static str, String)> {
    let d = dialect(peer);
    let (minute, hour) = (d.minute, d.hour);
    let one = d.between(8, 9);
    let half = d.between(1, 13);
    let eight = d.between(4, 12);
    let metrics = cpu::metrics();
    let last = match peer {
        Peer::Chdb => format!("SELECT hostname, ts, {metrics} FROM cpu ORDER BY hostname, ts DESC LIMIT 1 BY hostname"),
        _ => format!("SELECT DISTINCT ON (hostname) hostname, ts, {metrics} FROM cpu ORDER BY hostname, ts DESC"),
    };
    vec![
        (
            "single-groupby-1-1-1",
            format!(
                "SELECT {minute} AS t, {} FROM cpu WHERE {} AND {one} GROUP BY t ORDER BY t",
                aggregates("max", 1),
                hosts(1)
            ),
        ),
        (
            "single-groupby-5-8-1",
            format!(
                "SELECT {minute} AS t, {} FROM cpu WHERE {} AND {one} GROUP BY t ORDER BY t",
                aggregates("max", 5),
                hosts(8)
            ),
        ),
        (
            "cpu-max-all-8",
            format!(
                "SELECT {hour} AS t, {} FROM cpu WHERE {} AND {eight} GROUP BY t ORDER BY t",
                aggregates("max", 10),
                hosts(8)
            ),
        ),
        (
            "double-groupby-1",
            format!(
                "SELECT {hour} AS t, hostname, {} FROM cpu WHERE {half} GROUP BY t, hostname ORDER BY t, hostname",
                aggregates("avg", 1)
            ),
        ),
        (
            "double-groupby-all",
            format!(
                "SELECT {hour} AS t, hostname, {} FROM cpu WHERE {half} GROUP BY t, hostname ORDER BY t, hostname",
                aggregates("avg", 10)
            ),
        ),
        ("high-cpu-all", format!("SELECT ts, hostname, {metrics} FROM cpu WHERE usage_user > 90 AND {half}")),
        (
            "groupby-orderby-limit",
            format!(
                "SELECT {minute} AS t, max(usage_user) AS m FROM cpu WHERE ts < {} GROUP BY t ORDER BY t DESC LIMIT 5",
                d.time(13)
            ),
        ),
        ("lastpoint", last),
    ]
}

/// Loads all systems, then lets them take turns at each query.
pub fn run(options: &Options) -> Result<Report> {
    let set = cpu::set(options);
    let csv = cpu::csv(&set);
    let file = cpu::file(&csv)?;
    let mut report = Report::default();
    let servers: Vec<Wire> = BOTH.into_iter().map(|peer| written_out(peer, options, &csv)).collect::<Result<_>>()?;
    let memtables = Wire::start_without_checkpoints(Peer::Heddle)?;
    load_server(&memtables, options, &csv)?;
    let mut libraries: Vec<Embedded> = [Peer::Duck, Peer::Chdb]
        .into_iter()
        .map(|peer| load_library(peer, options, file.path()))
        .collect::<Result<_>>()?;
    for (i, (name, judge)) in queries(Peer::Duck).iter().enumerate() {
        let right = libraries[0].rows(judge)?;
        for _ in 0..options.rounds {
            for server in &servers {
                let (time, cpu) = split(server_time(server, "", &queries(server.peer())[i].1, &right, options));
                report.add(name, "ms", server.peer(), time);
                report.add(name, "CPU ms", server.peer(), cpu);
            }
            let without = format!("{name}, statistics off");
            if name.starts_with("double") {
                let time = server_time(&servers[0], STATISTICS_OFF, &queries(Peer::Heddle)[i].1, &right, options);
                report.add(&without, "ms", Peer::Heddle, time.map(|(time, _)| time));
            }
            for library in &mut libraries {
                let time = library_time(library, &queries(library.peer())[i].1, &right, options);
                if name.starts_with("double") {
                    report.add(&without, "ms", library.peer(), time.clone());
                }
                report.add(name, "ms", library.peer(), time);
            }
        }
        for _ in 0..options.rounds {
            let (time, _) = split(server_time(&memtables, "", &queries(Peer::Heddle)[i].1, &right, options));
            report.add(&format!("{name}, in memtables"), "ms", Peer::Heddle, time);
        }
    }
    report.note(format!("{} rows: time, ten int4 random walks, host; loaded by COPY in time order, then CHECKPOINT: HeddleDB's data are flushed and compacted, unless \"in memtables\" says that nothing was flushed; caches are warm", set.count()));
    report.note(cpu::conditions(options));
    report.note("time from request to last row in the client, statement prepared, over TCP, rows not decoded; the libraries run inside their client and give an Arrow table");
    report.note(format!(
        "DuckDB {}, chdb {} (sorted by (hostname, ts), narrow types, OPTIMIZE FINAL), as many threads as cores",
        libraries[0].version(),
        libraries[1].version()
    ));
    report.note("statistics off: as the libraries do it, from every value");
    report.note("every answer equals DuckDB's, otherwise the line says failed");
    report.note(Memory::Large.note());
    Ok(report)
}

fn written_out(peer: Peer, options: &Options, csv: &[u8]) -> Result<Wire> {
    let server = Wire::start(peer, Memory::Large)?;
    load_server(&server, options, csv)?;
    let mut client = server.client()?;
    if peer == Peer::Postgres {
        client.run("VACUUM ANALYZE cpu")?;
    }
    client.run("CHECKPOINT")?;
    settled(|| proc::disk_bytes(server.folder()).saturating_sub(proc::disk_bytes(&server.log_folder())))?;
    Ok(server)
}

fn load_server(server: &Wire, options: &Options, csv: &[u8]) -> Result<()> {
    let peer = server.peer();
    let mut client = server.client()?;
    let named = |e: String| format!("{}: {e}", peer.name());
    for statement in cpu::schema(peer, options) {
        client.run(&statement).map_err(named)?;
    }
    client.copy_in("COPY cpu FROM STDIN (FORMAT csv)", [csv]).map_err(named).map(drop)
}

fn load_library(peer: Peer, options: &Options, path: &std::path::Path) -> Result<Embedded> {
    let mut library = Embedded::start(peer, options)?;
    let statements = cpu::schema(peer, options).into_iter().chain(cpu::load(peer, path));
    for statement in statements {
        library.run(&statement).map_err(|e| format!("{}: {e}", peer.name()))?;
    }
    Ok(library)
}

/// One turn repeats a query, after one execution that warms up, for so many seconds and at least three times: short queries often
/// enough for the clock of CPU time, which ticks a hundred times a second.
fn turn_seconds(options: &Options) -> f64 {
    if options.quick { 0.1 } else { 1.0 }
}

/// Median time and mean CPU time in milliseconds, in a session that begins with `setting`.
fn server_time(
    server: &Wire,
    setting: &str,
    sql: &str,
    right: &[Vec<String>],
    options: &Options,
) -> Result<(f64, f64)> {
    let mut client = server.client()?;
    client.run(setting)?;
    compare(&client.rows(sql)?, right)?;
    client.prepare(sql)?;
    client.execute()?;
    let (used, begin) = (server.cpu_micros(), Instant::now());
    let mut times = vec![];
    while times.len() < 3 || begin.elapsed().as_secs_f64() < turn_seconds(options) {
        let begin = Instant::now();
        client.execute()?;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    let cpu = (server.cpu_micros() - used) as f64 / 1000.0 / times.len() as f64;
    Ok((middle(times), cpu))
}

fn library_time(library: &mut Embedded, sql: &str, right: &[Vec<String>], options: &Options) -> Result<f64> {
    compare(&library.rows(sql)?, right)?;
    library.times(sql, turn_seconds(options)).map(middle)
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn split(both: Result<(f64, f64)>) -> (Result<f64>, Result<f64>) {
    match both {
        Ok((a, b)) => (Ok(a), Ok(b)),
        Err(why) => (Err(why.clone()), Err(why)),
    }
}
