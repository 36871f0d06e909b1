//! The peers that are libraries: DuckDB and chdb, each in a Python process that takes requests as lines of JSON.

use crate::report::Peer;
use crate::{Options, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// The program of each; written into the Python process, so that no file has to be found at run time.
const DUCK: &str = include_str!("../python/duck.py");
const CHDB: &str = include_str!("../python/ch.py");
const LOOP: &str = include_str!("../python/serve.py");

/// A running library.
pub struct Embedded {
    peer: Peer,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: TempDir,
    version: String,
}

impl Embedded {
    /// Starts it on an empty folder, with as many threads as the machine has cores.
    ///
    /// # Errors
    /// When Python or the package is not there.
    pub fn start(peer: Peer, options: &Options) -> Result<Self> {
        let python = options.python.as_ref().ok_or("there is no Python with duckdb and chdb")?;
        let folder = tempfile::Builder::new().prefix("heddledb-bench").tempdir().map_err(|e| e.to_string())?;
        let program = format!("{}\n{LOOP}", if peer == Peer::Duck { DUCK } else { CHDB });
        let mut child = Command::new(python)
            .args(["-c", &program])
            .arg(folder.path())
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("could not run {}: {e}", python.display()))?;
        let requests = child.stdin.take().expect("stdin is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut started = Self { peer, child, requests, answers, _folder: folder, version: String::new() };
        started.version = started.ask(json!({"op": "version"}))?.as_str().unwrap_or_default().to_owned();
        Ok(started)
    }

    /// Who it is.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The library's.
    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.ask(json!({"op": "run", "sql": sql})).map(drop)
    }

    /// Runs a query; its rows as text.
    ///
    /// # Errors
    /// The library's.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        let rows = self.ask(json!({"op": "rows", "sql": sql}))?;
        serde_json::from_value(rows).map_err(|e| format!("rows are not rows: {e}"))
    }

    /// Runs a query and materialises its result, at least once, for so many seconds; the time of each run, in milliseconds.
    ///
    /// # Errors
    /// The library's.
    pub fn times(&mut self, sql: &str, seconds: f64) -> Result<Vec<f64>> {
        let times = self.ask(json!({"op": "time", "sql": sql, "seconds": seconds}))?;
        serde_json::from_value(times).map_err(|e| format!("times are not numbers: {e}"))
    }

    fn ask(&mut self, request: Value) -> Result<Value> {
        let lost = |what: &str| format!("the Python process of {} ended {what}", self.peer.name());
        writeln!(self.requests, "{request}")
            .and_then(|()| self.requests.flush())
            .map_err(|_| lost("before a request"))?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        if line.is_empty() {
            return Err(lost("without an answer"));
        }
        let mut answer: Value = serde_json::from_str(&line).map_err(|e| format!("no answer but {line:?}: {e}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
