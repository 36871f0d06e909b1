//! Memory of 500 connections that do nothing.

use crate::report::Report;
use crate::wire::{Client, Wire};
use crate::{Options, Result, proc};
use std::time::Duration;

/// Memory before and with the connections, each of which has run one query.
pub fn run(options: &Options) -> Result<Report> {
    let count = if options.quick { 50 } else { 500 };
    let mut report = Report::default();
    for _ in 0..options.rounds {
        for server in Wire::both()? {
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
            let each = clients.map(|_| (with - before) * 1024.0 / count as f64);
            report.add("one more connection", "KiB", peer, each);
        }
    }
    report.note(
        "memory is PSS over all processes of a server (shared pages count once); each connection has run `SELECT 1`",
    );
    Ok(report)
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
