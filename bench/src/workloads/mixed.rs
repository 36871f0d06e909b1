//! Commits beside an analytic query: how much longer the slowest take than alone.

use super::pgbench::prepare;
use crate::pgbench::{self, Run};
use crate::report::Report;
use crate::wire::{Client, Memory, Transport, Wire};
use crate::{Options, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Reads every account, groups them, and answers few rows.
const ANALYTIC: &str = "SELECT bid, count(*), sum(abalance), avg(abalance), max(length(filler)) FROM pgbench_accounts \
                        GROUP BY bid ORDER BY sum(abalance) DESC LIMIT 10";

/// Latencies of simple-update alone and while another session runs the query over and over.
pub fn run(options: &Options) -> Result<Report> {
    let (scale, folder) = (if options.quick { 1 } else { 50 }, tempfile::tempdir().map_err(|e| e.to_string())?);
    let servers = Wire::both(Memory::Large)?;
    let mut report = Report::default();
    for server in &servers {
        prepare(server, scale)?;
    }
    for clients in [1, 4] {
        let (protocol, transport) = ("prepared", Transport::Tcp);
        let run = Run { script: &["-N"], protocol, clients, transport, seconds: options.seconds, scale: None };
        let name = format!("simple-update, {clients} client{}", if clients == 1 { "" } else { "s" });
        for _ in 0..options.rounds {
            for server in &servers {
                let alone = pgbench::latencies(server, &run, folder.path());
                let (beside, queries) = beside(server, || pgbench::latencies(server, &run, folder.path()))?;
                let add = |report: &mut Report, what: &str, unit, value| {
                    report.add(&format!("{name}, {what}"), unit, server.peer(), value);
                };
                add(&mut report, "p99 alone", "ms", alone.clone().map(|t| p99(&t)));
                add(&mut report, "p99 beside the query", "ms", beside.clone().map(|t| p99(&t)));
                let times = alone.and_then(|a| Ok(p99(&beside?) / p99(&a)));
                add(&mut report, "p99 beside the query / alone", "x", times);
                add(&mut report, "the query meanwhile", "runs/s", Ok(queries as f64 / f64::from(options.seconds)));
            }
        }
    }
    report.note(format!("pgbench scale {scale}, {} s a run; the query: `{ANALYTIC}`", options.seconds));
    report.note(super::DURABILITY);
    report.note(Memory::Large.note());
    Ok(report)
}

fn p99(sorted_micros: &[f64]) -> f64 {
    sorted_micros[((sorted_micros.len() - 1) as f64 * 0.99) as usize] / 1000.0
}

/// Does `work` while another session repeats the query; how often that came to its end.
fn beside<T>(server: &Wire, work: impl FnOnce() -> T) -> Result<(T, u64)> {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = server.client()?;
    std::thread::scope(|scope| {
        let query = scope.spawn(|| repeat(client, &stop, &count));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        query.join().map_err(|_| "the session of the query panicked".to_owned())??;
        Ok((done, count.load(Ordering::Relaxed)))
    })
}

fn repeat(mut client: Client, stop: &AtomicBool, count: &AtomicU64) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        client.run(ANALYTIC)?;
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
