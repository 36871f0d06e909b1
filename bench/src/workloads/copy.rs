//! COPY of 5 M rows into a relational table with a primary key.

use crate::report::{Peer, Report};
use crate::wire::{BOTH, Memory, Wire};
use crate::{Options, Result, proc};
use heddle_fleet::Random;
use std::fmt::Write;

const TABLE: &str =
    "CREATE TABLE items (id int PRIMARY KEY, owner int NOT NULL, amount numeric(12,2) NOT NULL, label text NOT NULL)";

/// Rows with ascending keys, and the same rows shuffled, in text format.
pub fn run(options: &Options) -> Result<Report> {
    let count: u32 = if options.quick { 50_000 } else { 5_000_000 };
    let mut report = Report::default();
    for (order, text) in [("ascending keys", rows(count, false)), ("random keys", rows(count, true))] {
        for _ in 0..options.rounds {
            // Fresh servers for each turn: a second load would meet the first one's leftovers.
            for peer in BOTH {
                let server = Wire::start(peer, Memory::Large)?;
                let mut client = server.client()?;
                client.run(TABLE)?;
                let begin = server.cpu_micros();
                let took = client.copy_in("COPY items FROM STDIN", [text.as_bytes()]);
                let used = (server.cpu_micros() - begin) as f64;
                let name = format!("COPY text, {order}");
                report.add(&name, "M rows/s", peer, took.clone().map(|t| f64::from(count) / t.as_secs_f64() / 1e6));
                report.add(&name, "CPU µs/row", peer, took.clone().map(|_| used / f64::from(count)));
                if peer == Peer::Heddle {
                    report.add(&name, "peak MiB", peer, took.map(|_| proc::peak_mib(server.pid())));
                }
                check(&mut client, count)?;
            }
        }
    }
    report.note(format!("{count} rows of {} bytes on average (int key, int, numeric, text), one COPY from a client that sends prepared bytes", rows(1000, false).len() / 1000));
    report.note("peak memory is VmHWM of the server's process (PostgreSQL is many processes, and has no such number)");
    report.note(super::DURABILITY);
    report.note(Memory::Large.note());
    Ok(report)
}

/// Is everything there?
fn check(client: &mut crate::wire::Client, count: u32) -> Result<()> {
    let found = client.value("SELECT count(*) FROM items")?;
    if found == count.to_string() { Ok(()) } else { Err(format!("{found} rows of {count} arrived")) }
}

fn rows(count: u32, shuffled: bool) -> String {
    let mut random = Random::new(5);
    let mut ids: Vec<u32> = (1..=count).collect();
    if shuffled {
        for i in (1..ids.len()).rev() {
            ids.swap(i, random.below(i as u64 + 1) as usize);
        }
    }
    let mut text = String::new();
    for id in ids {
        let (owner, cents, label) = (random.below(100_000), random.below(10_000_000), random.bits());
        let row = writeln!(text, "{id}\t{owner}\t{}.{:02}\titem {label:016x}", cents / 100, cents % 100);
        row.expect("a String takes everything");
    }
    text
}
