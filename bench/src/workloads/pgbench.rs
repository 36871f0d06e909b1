//! pgbench's built-in scripts, and its select-only pipelined by 20.

use crate::pgbench::{self, Run};
use crate::report::{Peer, Report};
use crate::wire::{Memory, Transport, Wire};
use crate::{Options, Result, count};

const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Unix];
const PIPELINE: usize = 20;

/// Single selects by key.
pub fn select_only(options: &Options) -> Result<Report> {
    let (servers, mut report) = filled(options)?;
    for protocol in ["prepared", "simple"] {
        for clients in [1, 16] {
            for transport in TRANSPORTS {
                let what = format!("select-only, {protocol}, {}, {}", plural(clients), transport.name());
                let run = Run { script: &["-S"], protocol, clients, transport, seconds: options.seconds, scale: None };
                turns(&mut report, &servers, options, &what, &run, 1.0);
            }
        }
    }
    pipelined(&mut report, &servers, options)?;
    counted(&mut report, &servers, options);
    single_client(&mut report, &servers, options)?;
    Ok(report)
}

/// Transactions that write.
pub fn updates(options: &Options) -> Result<Report> {
    let (servers, mut report) = filled(options)?;
    for (name, script) in [("simple-update", ["-b", "simple-update"]), ("TPC-B-like", ["-b", "tpcb-like"])] {
        for protocol in ["prepared", "simple"] {
            for clients in [1, 16] {
                for transport in TRANSPORTS {
                    let what = format!("{name}, {protocol}, {}, {}", plural(clients), transport.name());
                    let run =
                        Run { script: &script, protocol, clients, transport, seconds: options.seconds, scale: None };
                    turns(&mut report, &servers, options, &what, &run, 1.0);
                }
            }
        }
    }
    Ok(report)
}

fn plural(clients: u32) -> String {
    if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") }
}

/// Both servers with pgbench's tables.
fn filled(options: &Options) -> Result<([Wire; 2], Report)> {
    let scale = if options.quick { 1 } else { 50 };
    let servers = Wire::both(Memory::Large)?;
    let mut report = Report::default();
    for server in &servers {
        prepare(server, scale)?;
        warm(server, options)?;
    }
    report.note(format!(
        "pgbench of PostgreSQL 15, scale {scale}, {} s a run, on the same cores as the servers",
        options.seconds
    ));
    report.note(format!("before the first run, selects by 16 clients for {} s warm both servers", 3 * options.seconds));
    report.note("CPU is the server's, user and system, all its processes, for each transaction");
    report.note(super::DURABILITY);
    report.note(Memory::Large.note());
    Ok((servers, report))
}

/// Runs that nobody counts: what was just loaded is in PostgreSQL's memory, and should be in everybody's.
fn warm(server: &Wire, options: &Options) -> Result<()> {
    let (protocol, transport, seconds) = ("prepared", Transport::Unix, 3 * options.seconds);
    let run = Run { script: &["-S"], protocol, clients: 16, transport, seconds, scale: None };
    pgbench::run(server, &run).map(drop)
}

/// Fills pgbench's tables, and writes everything out.
pub fn prepare(server: &Wire, scale: u32) -> Result<()> {
    pgbench::initialise(server, scale).map_err(|e| format!("{}: {e}", server.peer().name()))?;
    server.client()?.run("CHECKPOINT").map(drop)
}

/// Lets the servers take turns at one run; `statements` of each transaction count.
fn turns(report: &mut Report, servers: &[Wire; 2], options: &Options, what: &str, run: &Run, statements: f64) {
    for _ in 0..options.rounds {
        for server in servers {
            let outcome = pgbench::run(server, run);
            let cpu = outcome.clone().map(|o| o.cpu_micros / statements);
            report.add(what, "TPS", server.peer(), outcome.map(|o| o.tps * statements));
            report.add(what, "CPU µs", server.peer(), cpu);
        }
    }
}

fn pipelined(report: &mut Report, servers: &[Wire; 2], options: &Options) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("pipelined.sql");
    let select = "\\set aid random(1, 100000 * :scale)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n";
    let script = format!("\\startpipeline\n{}\\endpipeline\n", select.repeat(PIPELINE));
    std::fs::write(&path, script).map_err(|e| e.to_string())?;
    let file = path.display().to_string();
    let scale = Some(if options.quick { 1 } else { 50 });
    let (protocol, clients, transport) = ("prepared", 16, Transport::Tcp);
    let run = Run { script: &["-f", &file], protocol, clients, transport, seconds: options.seconds, scale };
    let what = format!("select-only, pipelined by {PIPELINE}, 16 clients, TCP");
    turns(report, servers, options, &what, &run, PIPELINE as f64);
    Ok(())
}

/// What is done for a request, beside the time it takes.
fn counted(report: &mut Report, servers: &[Wire; 2], options: &Options) {
    for clients in [1, 16] {
        let (protocol, transport, seconds) = ("prepared", Transport::Tcp, options.seconds);
        let run = Run { script: &["-S"], protocol, clients, transport, seconds, scale: None };
        let what = format!("select-only, prepared, {}, TCP", plural(clients));
        for server in servers {
            report.add(&what, "system calls", server.peer(), count::system_calls(server, &run));
        }
        let [ours, _] = servers;
        report.add(&what, "allocations", ours.peer(), count::allocations(ours, &run));
    }
    report.note("system calls are strace's count, allocations that of probes on the allocator; of all threads, for each transaction");
}

/// Latencies seen by one client.
fn single_client(report: &mut Report, servers: &[Wire; 2], options: &Options) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (protocol, clients, transport) = ("prepared", 1, Transport::Tcp);
    let run = Run { script: &["-S"], protocol, clients, transport, seconds: options.seconds, scale: None };
    for _ in 0..options.rounds {
        for server in servers {
            let times = pgbench::latencies(server, &run, folder.path());
            for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
                let sample = times.clone().map(|t| t[((t.len() - 1) as f64 * share) as usize]);
                add_latency(report, name, server.peer(), sample);
            }
        }
    }
    Ok(())
}

fn add_latency(report: &mut Report, name: &str, peer: Peer, sample: Result<f64>) {
    report.add(&format!("select-only, prepared, 1 client, TCP, latency {name}"), "µs", peer, sample);
}
