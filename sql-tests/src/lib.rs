//! Test harness: the real server as a process, PostgreSQL 15 as the judge, a raw wire client, a sqllogictest runner.
//!
//! Used by `tests/*.rs` and by the `slt` program. What must hold: every server has its own temporary folder and a free
//! port, is killed when its owner is dropped, and gets nothing from the environment of the test run. A judge, Python or
//! data folder that is absent makes a test print `SKIPPED: …` and pass; an absent server binary fails it.

pub mod fuzz;
pub mod judge;
pub mod outcome;
pub mod process;
pub mod psql;
pub mod script;
pub mod server;
pub mod slt;
pub mod table;
pub mod transcript;
pub mod wire;

pub use judge::Judge;
pub use outcome::{Fields, Outcome};
pub use server::Server;
pub use wire::Conn;

use std::path::{Path, PathBuf};

/// The folder `../shared` with data and conformance files, if it is there.
pub fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let shared = root.parent()?.join("shared");
    shared.is_dir().then_some(shared)
}

/// Says on standard error why a test does nothing.
pub fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// Compares two texts line by line and panics with the differing lines.
///
/// # Panics
/// When they differ.
pub fn assert_same(subject: &str, ours: &str, judge: &str) {
    if ours == judge {
        return;
    }
    let (a, b): (Vec<_>, Vec<_>) = (ours.lines().collect(), judge.lines().collect());
    let mut report = String::new();
    for i in 0..a.len().max(b.len()) {
        let (x, y) = (a.get(i).copied().unwrap_or("<nothing>"), b.get(i).copied().unwrap_or("<nothing>"));
        if x == y {
            report.push_str(&format!("   {x}\n"));
        } else {
            report.push_str(&format!("-- {y}\n++ {x}\n"));
        }
    }
    panic!("{subject}: (--) is PostgreSQL's, (++) is ours\n{report}");
}

/// Collects differences over a table of cases, so that one run shows all of them.
#[derive(Default)]
pub struct Report {
    cases: usize,
    failures: Vec<String>,
}

impl Report {
    /// Notes one case.
    pub fn check(&mut self, subject: &str, ours: &str, expected: &str) {
        self.cases += 1;
        if ours != expected {
            self.failures.push(format!("{subject}\n    expected {expected}\n    got      {ours}"));
        }
    }

    /// Ends the table.
    ///
    /// # Panics
    /// When a case differed; all of them are in the message.
    pub fn finish(self) {
        let failed = self.failures.len();
        assert!(failed == 0, "{failed} of {} cases differ:\n{}", self.cases, self.failures.join("\n"));
        assert!(self.cases > 0, "no case ran");
    }
}
