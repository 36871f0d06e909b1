//! Memory of 500 connections that do nothing.

use super::pgbench::prepare;
use crate::pgbench::{self, Run};
use crate::report::Report;
use crate::wire::{Client, Memory, Transport, Wire};
use crate::{Options, Result, proc};
use std::time::Duration;

/// Memory before and with the connections, each of which has run one query.
pub fn run(options: &Options) -> Result<Report> {
    let count = if options.quick { 50 } else { 500 };
    let mut report = Report::default();
    for _ in 0..options.rounds {
        for server in Wire::both(Memory::Default)? {
            std::thread::sleep(Duration::from_secs(1));
            let before = proc::memory_mib(server.pid());
            let clients = connect(&server, count);
            std::thread::sleep(Duration::from_secs(1));
            let with = proc::memory_mib(server.pid());
            let peer = server.peer();
            report.add("no connection", "MiB", peer, Ok(before));
            report.add(
                &format!("{count} idle connections"),
                "MiB",
                peer,
                clients.as_ref().map(|_| with).map_err(Clone::clone),
            );
            let each = clients.as_ref().map_err(Clone::clone).map(|_| (with - before) * 1024.0 / count as f64);
            report.add("one more connection", "KiB", peer, each);
            report.add(&format!("{count} idle and 16 busy connections"), "MiB", peer, busy(&server, options));
            drop(clients);
        }
    }
    report.note(Memory::Default.note());
    report.note("the busy ones run pgbench's select-only, scale 10, whose pages count, too");
    report.note(
        "memory is PSS over all processes of a server (shared pages count once); each connection has run `SELECT 1`",
    );
    Ok(report)
}

/// Memory while 16 connections more select from pgbench's tables.
fn busy(server: &Wire, options: &Options) -> Result<f64> {
    prepare(server, if options.quick { 1 } else { 10 })?;
    let (protocol, transport, seconds) = ("prepared", Transport::Tcp, options.seconds);
    let run = Run { script: &["-S"], protocol, clients: 16, transport, seconds, scale: None };
    std::thread::scope(|scope| {
        let selects = scope.spawn(|| pgbench::run(server, &run));
        std::thread::sleep(Duration::from_secs_f64(f64::from(seconds) / 2.0));
        let memory = proc::memory_mib(server.pid());
        selects.join().map_err(|_| "the thread of pgbench panicked".to_owned())?.map(|_| memory)
    })
}

fn connect(server: &Wire, count: usize) -> Result<Vec<Client>> {
    let mut clients = vec![];
    for _ in 0..count {
        let mut client = server.client()?;
        client.run("SELECT 1")?;
        clients.push(client);
    }
    Ok(clients)
}
