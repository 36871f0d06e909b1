//! What tables take on the disk after many updates.

use super::ingest::settled;
use super::pgbench::prepare;
use crate::pgbench::{self, Run};
use crate::report::{Peer, Report};
use crate::wire::{Memory, Transport, Wire};
use crate::{Options, Result, proc};

/// The same number of updates for everyone.
const TRANSACTIONS_PER_CLIENT: u32 = 25_000;

/// Fills pgbench's tables, updates many rows of them, and lets all background work end.
pub fn run(options: &Options) -> Result<Report> {
    let scale = if options.quick { 1 } else { 100 };
    let mut report = Report::default();
    for server in Wire::both(Memory::Large)? {
        prepare(&server, scale)?;
        let size = |report: &mut Report, what: &str| {
            report.add(what, "MB", server.peer(), tables(&server).map(|bytes| bytes / 1e6));
        };
        size(&mut report, "filled");
        let (protocol, transport, seconds) = ("prepared", Transport::Tcp, options.seconds);
        let run = Run { script: &["-N"], protocol, clients: 16, transport, seconds, scale: None };
        let each = if options.quick { 50 } else { TRANSACTIONS_PER_CLIENT };
        pgbench::run_count(&server, &run, each)?;
        size(&mut report, "after churn");
    }
    report.note(format!(
        "pgbench scale {scale}; churn: {} simple-update transactions of 16 clients; then VACUUM (PostgreSQL), CHECKPOINT (both)",
        16 * TRANSACTIONS_PER_CLIENT
    ));
    report.note(
        "size: what the files of the data folder take on the disk, without log or WAL, when it no longer changes",
    );
    report.note(Memory::Large.note());
    Ok(report)
}

/// Bytes of everything but the log.
fn tables(server: &Wire) -> Result<f64> {
    let mut client = server.client()?;
    if server.peer() == Peer::Postgres {
        client.run("VACUUM")?;
    }
    client.run("CHECKPOINT")?;
    settled(|| proc::disk_bytes(server.folder()).saturating_sub(proc::disk_bytes(&server.log_folder())))
}
