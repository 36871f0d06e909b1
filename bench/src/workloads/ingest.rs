//! Time series in: 4.32 M rows by COPY, csv and binary, in order and with late rows; and what they take on the disk.

use super::cpu;
use crate::embedded::Embedded;
use crate::report::{Peer, Report};
use crate::wire::{BOTH, Client, Memory, Wire};
use crate::{Options, Result, proc};
use heddle_fleet::cpu::METRICS;
use std::time::{Duration, Instant};

/// ClickHouse's codecs for integer metrics; the best one counts.
const CODECS: [&str; 5] = ["LZ4", "ZSTD(3)", "Delta, ZSTD(3)", "DoubleDelta, ZSTD(3)", "T64, ZSTD(3)"];
/// Longest wait for background work to end.
const SETTLE: Duration = Duration::from_secs(120);

/// Loads into fresh servers, each form in turn.
pub fn run(options: &Options) -> Result<Report> {
    let set = cpu::set(options);
    let mut report = Report::default();
    let csv = cpu::csv(&set);
    let forms = [
        ("COPY csv", "COPY cpu FROM STDIN (FORMAT csv)", csv.clone()),
        ("COPY binary", "COPY cpu FROM STDIN (FORMAT binary)", cpu::binary(&set)),
        ("COPY csv, 10 % late, 1 % very late", "COPY cpu FROM STDIN (FORMAT csv)", cpu::csv(&cpu::late(&set))),
    ];
    for (name, copy, bytes) in &forms {
        for _ in 0..options.rounds {
            for peer in BOTH {
                let sizes = load(&mut report, options, peer, (name, copy, bytes), set.count());
                if let Err(why) = sizes {
                    report.add(name, "M rows/s", peer, Err(why));
                }
            }
        }
    }
    if let Err(why) = chdb_bytes(&mut report, options, &csv, set.count()) {
        report.add("bytes per data point", "B", Peer::Chdb, Err(why));
    }
    notes(&mut report, options, set.count());
    Ok(report)
}

fn notes(report: &mut Report, options: &Options, rows: u64) {
    report.note(format!(
        "{rows} rows: time, ten int4 random walks, host; one COPY from a client that sends prepared bytes"
    ));
    report.note(cpu::conditions(options));
    report.note("bytes per data point: everything below the data folder but the log, after CHECKPOINT and when the size no longer changes, over rows x 10; PostgreSQL: pg_total_relation_size after VACUUM; chdb: bytes_on_disk of its best codec, sorted, OPTIMIZE FINAL, with the types of our table (int4) and with the narrowest that hold the values (int1)");
    report.note("peak memory is VmHWM of the server's process (PostgreSQL is many processes, and has no such number)");
    report.note(super::DURABILITY);
    report.note(Memory::Large.note());
}

fn load(report: &mut Report, options: &Options, peer: Peer, form: (&str, &str, &Vec<u8>), rows: u64) -> Result<()> {
    let (name, copy, bytes) = form;
    let server = Wire::start(peer, Memory::Large)?;
    let mut client = server.client()?;
    for statement in cpu::schema(peer, options) {
        client.run(&statement)?;
    }
    let begin = server.cpu_micros();
    let took = client.copy_in(copy, [bytes.as_slice()])?;
    let used = (server.cpu_micros() - begin) as f64;
    let found = client.value("SELECT count(*) FROM cpu")?;
    if found != rows.to_string() {
        return Err(format!("{found} rows of {rows} arrived"));
    }
    report.add(name, "M rows/s", peer, Ok(rows as f64 / took.as_secs_f64() / 1e6));
    report.add(name, "CPU µs/row", peer, Ok(used / rows as f64));
    if peer == Peer::Heddle {
        report.add(name, "peak MiB", peer, Ok(proc::peak_mib(server.pid())));
    }
    let begin = Instant::now();
    let size = table_bytes(&server, &mut client)?;
    if peer == Peer::Heddle {
        report.add(&format!("{name}: CHECKPOINT and compaction"), "s", peer, Ok(begin.elapsed().as_secs_f64()));
    }
    let points = (rows * METRICS.len() as u64) as f64;
    report.add(&format!("{name}: bytes per data point"), "B", peer, Ok(size / points));
    Ok(())
}

/// Bytes of the table when all work on it has ended.
fn table_bytes(server: &Wire, client: &mut Client) -> Result<f64> {
    client.run("CHECKPOINT")?;
    if server.peer() == Peer::Postgres {
        client.run("VACUUM cpu")?;
        let size = client.value("SELECT pg_total_relation_size('cpu')")?;
        return size.parse().map_err(|_| format!("\"{size}\" is no size"));
    }
    settled(|| proc::disk_bytes(server.folder()).saturating_sub(proc::disk_bytes(&server.log_folder())))
}

/// A size, once it no longer changes.
///
/// # Errors
/// When it still does after long.
pub fn settled(bytes: impl Fn() -> u64) -> Result<f64> {
    let begin = Instant::now();
    let mut size = bytes();
    while begin.elapsed() < SETTLE {
        std::thread::sleep(Duration::from_secs(3));
        let now = bytes();
        if now == size {
            return Ok(size as f64);
        }
        size = now;
    }
    Err("the size of the data folder does not settle".to_owned())
}

/// The best of ClickHouse's codecs.
fn chdb_bytes(report: &mut Report, options: &Options, csv: &[u8], rows: u64) -> Result<()> {
    let mut chdb = Embedded::start(Peer::Chdb, options)?;
    let file = cpu::file(csv)?;
    for (ty, line) in [("Int32", ""), ("Int8", ", chdb with narrow types")] {
        let mut sizes = vec![];
        for codec in CODECS {
            chdb.run("DROP TABLE IF EXISTS cpu")?;
            chdb.run(&cpu::chdb_table(ty, codec))?;
            cpu::load(Peer::Chdb, file.path()).iter().try_for_each(|sql| chdb.run(sql))?;
            sizes.push((chdb_size(&mut chdb, rows)? / (rows * METRICS.len() as u64) as f64, codec));
        }
        sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let list: Vec<String> = sizes.iter().map(|(size, codec)| format!("{codec} {size:.3} B")).collect();
        report.note(format!("chdb {}, {ty}: {}", chdb.version(), list.join("; ")));
        report.add(&format!("COPY csv: bytes per data point{line}"), "B", Peer::Chdb, Ok(sizes[0].0));
        if !line.is_empty() {
            let ours = report.median("COPY csv: bytes per data point", Peer::Heddle);
            report.add(&format!("COPY csv: bytes per data point{line}"), "B", Peer::Heddle, ours);
        }
    }
    Ok(())
}

/// Bytes of its table, which has all rows.
fn chdb_size(chdb: &mut Embedded, rows: u64) -> Result<f64> {
    let query = "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND table = 'cpu'";
    let row = chdb.rows(query)?.pop().ok_or("system.parts is empty")?;
    match row[1] == rows.to_string() {
        true => row[0].parse().map_err(|_| format!("\"{}\" is no size", row[0])),
        false => Err(format!("{} rows of {rows} arrived", row[1])),
    }
}
