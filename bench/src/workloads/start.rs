//! How long a start takes, what a server at rest takes, how large the binary is.

use crate::report::{Peer, Report};
use crate::wire::{BOTH, Memory, Wire};
use crate::{Options, Result, proc};
use heddle_sql_tests::server::binary;
use std::process::Command;
use std::time::{Duration, Instant};

/// Starts of an empty folder, and after a crash with much log.
pub fn run(options: &Options) -> Result<Report> {
    let mut report = Report::default();
    for _ in 0..options.rounds {
        let begin = Instant::now();
        let mut server = Wire::start(Peer::Heddle, Memory::Default)?;
        report.add("start, empty folder", "s", Peer::Heddle, Ok(begin.elapsed().as_secs_f64()));
        std::thread::sleep(Duration::from_secs(2));
        report.add("memory at rest", "MiB", Peer::Heddle, Ok(proc::memory_mib(server.pid())));
        let again = server.kill_and_restart();
        report.add("start, folder without tables", "s", Peer::Heddle, Ok(again.as_secs_f64()));
    }
    report.add("binary, stripped", "MB", Peer::Heddle, stripped());
    for _ in 0..options.rounds {
        for peer in BOTH {
            if let Err(why) = recovery(&mut report, options, peer) {
                report.add("recovery", "s", peer, Err(why));
            }
        }
    }
    report.note("start: from the launch of the process to its line \"listening on\"");
    let rows = size(options).0 * size(options).1;
    report.note(format!("recovery: {rows} rows of about 100 bytes by COPY, nothing of them merged or checkpointed; then a kill, and the time to the first connection"));
    report.note(super::DURABILITY);
    Ok(report)
}

/// Rows of one COPY, and how many of them.
fn size(options: &Options) -> (u32, u32) {
    if options.quick { (10_000, 2) } else { (100_000, 85) }
}

fn stripped() -> Result<f64> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let copy = folder.path().join("heddledb");
    let done = Command::new("strip").arg("-o").arg(&copy).arg(binary()).status();
    if !done.is_ok_and(|s| s.success()) {
        return Err("strip failed".to_owned());
    }
    std::fs::metadata(&copy).map(|m| m.len() as f64 / 1e6).map_err(|e| e.to_string())
}

/// Fills the log while nothing is merged, kills, starts.
fn recovery(report: &mut Report, options: &Options, peer: Peer) -> Result<()> {
    let mut server = Wire::start_without_checkpoints(peer)?;
    let (rows, times) = size(options);
    let mut client = server.client()?;
    client.run("CREATE TABLE filled (id int8 PRIMARY KEY, text text NOT NULL)")?;
    for time in 0..times {
        let ids = time * rows..(time + 1) * rows;
        let line =
            |id| format!("{id}\trow number {id} of a log that is to be replayed, about a hundred bytes long in all\n");
        client.copy_in("COPY filled FROM STDIN", [ids.map(line).collect::<String>()])?;
    }
    drop(client);
    let took = server.kill_and_restart();
    let found = server.client()?.value("SELECT count(*) FROM filled")?;
    if found != (rows * times).to_string() {
        return Err(format!("{found} rows of {} are there after recovery", rows * times));
    }
    report.add("recovery", "s", peer, Ok(took.as_secs_f64()));
    Ok(())
}
