//! Runs PostgreSQL's pgbench against a server and reads what it prints.

use crate::Result;
use crate::wire::{Transport, Wire};
use std::path::Path;
use std::process::Command;

/// One run.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// What is executed: `-S`, `-N`, `-b tpcb-like`, or `-f FILE`.
    pub script: &'a [&'a str],
    /// `simple`, `extended` or `prepared`.
    pub protocol: &'a str,
    pub clients: u32,
    pub transport: Transport,
    pub seconds: u32,
    /// For scripts of our own, which cannot ask the tables.
    pub scale: Option<u32>,
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Transactions per second, without the time to connect.
    pub tps: f64,
    /// CPU time of the server for each transaction, in microseconds.
    pub cpu_micros: f64,
}

/// pgbench's tables as `pgbench -i` makes them, but for storage options.
const TABLES: &str = "\
DROP TABLE IF EXISTS pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers;
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));";

/// Makes and fills pgbench's tables with `pgbench -i`. Where that fails, with statements and COPY of our own; then the result says
/// why.
///
/// # Errors
/// What the server said to those.
pub fn initialise(wire: &Wire, scale: u32) -> Result<Option<String>> {
    let Err(why) = pgbench(wire, Transport::Tcp, &["-i", "-q", "-s", &scale.to_string()]) else { return Ok(None) };
    let mut client = wire.client()?;
    client.run(TABLES)?;
    let rows = |count: u32, per_branch: u32| {
        let row = move |id: u32| format!("{id}\t{}\t0\t\n", (id - 1) / per_branch + 1);
        (0..count).step_by(10_000).map(move |from| (from + 1..=count.min(from + 10_000)).map(row).collect::<String>())
    };
    client.copy_in("COPY pgbench_branches (bid, bbalance) FROM STDIN", (1..=scale).map(|bid| format!("{bid}\t0\n")))?;
    client.copy_in("COPY pgbench_tellers FROM STDIN", rows(scale * 10, 10))?;
    client.copy_in("COPY pgbench_accounts FROM STDIN", rows(scale * 100_000, 100_000))?;
    Ok(Some(format!("{}: tables made by plain statements, since {why}", wire.peer().name())))
}

/// Runs it.
///
/// # Errors
/// What pgbench said; a transaction that failed is an error, too.
pub fn run(wire: &Wire, run: &Run) -> Result<Outcome> {
    let (clients, seconds) = (run.clients.to_string(), run.seconds.to_string());
    // More threads than cores only take turns.
    let threads = run.clients.min(2).to_string();
    let mut args = vec!["-n", "-M", run.protocol, "-c", &clients, "-j", &threads, "-T", &seconds];
    args.extend(run.script);
    let scale = run.scale.map(|s| format!("scale={s}"));
    args.extend(scale.iter().flat_map(|s| ["-D", s.as_str()]));
    let begin = wire.cpu_micros();
    let text = pgbench(wire, run.transport, &args)?;
    let used = wire.cpu_micros() - begin;
    let failed = number(&text, "number of failed transactions: ").unwrap_or(0.0);
    if failed > 0.0 {
        return Err(format!("{failed} transactions failed"));
    }
    let tps = number(&text, "tps = ").ok_or("pgbench printed no tps")?;
    let count = number(&text, "number of transactions actually processed: ").ok_or("pgbench printed no count")?;
    Ok(Outcome { tps, cpu_micros: used as f64 / count.max(1.0) })
}

/// Latencies of single transactions in microseconds, sorted.
///
/// # Errors
/// What pgbench said.
pub fn latencies(wire: &Wire, run: &Run, folder: &Path) -> Result<Vec<f64>> {
    let (clients, seconds) = (run.clients.to_string(), run.seconds.to_string());
    let prefix = folder.join("latency").display().to_string();
    let mut args = vec!["-n", "-M", run.protocol, "-c", &clients, "-T", &seconds, "-l", "--log-prefix", &prefix];
    args.extend(run.script);
    pgbench(wire, run.transport, &args)?;
    let mut values = vec![];
    for entry in std::fs::read_dir(folder).map_err(|e| e.to_string())?.flatten() {
        let path = entry.path();
        if path.display().to_string().starts_with(&prefix) {
            let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
            values.extend(text.lines().filter_map(|l| l.split(' ').nth(2)?.parse::<f64>().ok()));
            std::fs::remove_file(&path).map_err(|e| e.to_string())?;
        }
    }
    values.sort_by(f64::total_cmp);
    if values.is_empty() { Err("pgbench logged nothing".to_owned()) } else { Ok(values) }
}

fn pgbench(wire: &Wire, transport: Transport, args: &[&str]) -> Result<String> {
    let (host, port) = wire.host_and_port(transport);
    let done = Command::new("pgbench")
        .args(["-h", &host, "-p", &port, "-U", "postgres"])
        .args(args)
        .arg("postgres")
        .env("LC_ALL", "C")
        .output()
        .map_err(|e| format!("could not run pgbench: {e}"))?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.success() {
        return Ok(out.into_owned());
    }
    let said = err.lines().find(|l| l.contains("error") || l.contains("ERROR") || l.contains("FATAL"));
    Err(format!("pgbench {}: {}", args.join(" "), said.or(err.lines().last()).unwrap_or("failed").trim()))
}

/// The number behind `name`.
fn number(text: &str, name: &str) -> Option<f64> {
    let rest = &text[text.find(name)? + name.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        let text = "number of transactions actually processed: 12345\nnumber of failed transactions: 2 (0.016%)\n\
                    latency average = 0.010 ms\ntps = 98765.4321 (without initial connection time)\n";
        assert_eq!(number(text, "tps = "), Some(98765.4321));
        assert_eq!(number(text, "number of failed transactions: "), Some(2.0));
        assert_eq!(number(text, "nothing"), None);
    }
}
