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
    /// How many there were.
    pub transactions: f64,
}

/// Makes and fills pgbench's tables with `pgbench -i`.
///
/// # Errors
/// What pgbench said.
pub fn initialise(wire: &Wire, scale: u32) -> Result<()> {
    pgbench(wire, Transport::Tcp, &["-i", "-q", "-s", &scale.to_string()]).map(drop)
}

/// Runs it for its time.
///
/// # Errors
/// What pgbench said; a transaction that failed is an error, too.
pub fn run(wire: &Wire, run: &Run) -> Result<Outcome> {
    run_until(wire, run, ["-T", &run.seconds.to_string()])
}

/// Runs it until each client has done so many transactions.
///
/// # Errors
/// As [`run`].
pub fn run_count(wire: &Wire, run: &Run, each: u32) -> Result<Outcome> {
    run_until(wire, run, ["-t", &each.to_string()])
}

fn run_until(wire: &Wire, run: &Run, end: [&str; 2]) -> Result<Outcome> {
    let clients = run.clients.to_string();
    // More threads than cores only take turns.
    let threads = run.clients.min(2).to_string();
    let mut args = vec!["-n", "-M", run.protocol, "-c", &clients, "-j", &threads];
    args.extend(end);
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
    let transactions = count.max(1.0);
    Ok(Outcome { tps, cpu_micros: used as f64 / transactions, transactions })
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
