//! HeddleDB as a child process: start, kill, stop, restart.
//!
//! The binary is `$HEDDLEDB_BIN`, or `ci/heddledb` in the target folder. Build it with
//! `cargo build --profile ci -p heddle-server --bin heddledb`.

use crate::process::Process;
use crate::wire::{Conn, ServerError};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
    flags: Vec<String>,
    // Removed with the server, last: fields are dropped in this order.
    _owned: Option<TempDir>,
}

/// The binary under test.
///
/// # Panics
/// When there is none: these tests have nothing to test then.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HEDDLEDB_BIN") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "HEDDLEDB_BIN is {}, which is no file", path.display());
        return path;
    }
    let mut folders = vec![];
    folders.extend(std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from));
    folders.extend(std::env::var_os("HOME").map(|h| Path::new(&h).join(".cache/heddledb/target")));
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let found = folders.iter().map(|f| f.join("ci/heddledb")).find(|p| p.is_file());
    found.unwrap_or_else(|| {
        panic!("no server binary: cargo build --profile ci -p heddle-server --bin heddledb, or set HEDDLEDB_BIN")
    })
}

impl Server {
    /// Starts on a temporary folder of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further flags of `heddledb start`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(flags: &[&str]) -> Self {
        let owned = tempfile::Builder::new().prefix("heddledb-test").tempdir().expect("a temporary folder");
        let folder = owned.path().join("data");
        let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        let (process, address) = spawn(&folder, &flags);
        Self { process, address, folder, flags, _owned: Some(owned) }
    }

    /// Starts on a folder that stays.
    ///
    /// # Panics
    /// When it does not start.
    pub fn open(folder: &Path) -> Self {
        let (process, address) = spawn(folder, &[]);
        Self { process, address, folder: folder.to_owned(), flags: vec![], _owned: None }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it wrote to standard error, over all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.folder)).unwrap_or_default()
    }

    /// Opens a session in database `postgres`.
    ///
    /// # Panics
    /// When it is refused.
    pub fn connect(&self) -> Conn {
        self.try_connect("postgres").unwrap_or_else(|e| panic!("connect: {e:?}"))
    }

    /// Opens a session in `database`.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn try_connect(&self, database: &str) -> Result<Conn, ServerError> {
        Conn::open(self.address, &[("user", "postgres"), ("database", database)])
    }

    /// SIGKILL; the folder stays as it is.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; returns the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.process.signal(rustix::process::Signal::TERM);
        self.process.wait()
    }

    /// Starts again on the same folder (killed first when it still runs), on another port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.process.kill();
        (self.process, self.address) = spawn(&self.folder, &self.flags);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            eprintln!("--- last lines of the server's log\n{}\n---", tail.join("\n"));
        }
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.with_extension("stderr.log")
}

fn spawn(folder: &Path, flags: &[String]) -> (Process, SocketAddr) {
    let stderr = File::options().create(true).append(true).open(log_path(folder)).expect("the log file opens");
    let mut command = Command::new(binary());
    command.args(["start", "--insecure", "--pg-listen", "127.0.0.1:0", "--data-dir"]).arg(folder).args(flags);
    // Settings of whoever started the test run must not reach the server under test.
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("HEDDLEDB_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let mut process = Process::spawn(&mut command).expect("the server binary starts");
    let stdout = process.child().stdout.take().expect("stdout is a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("the server prints where it listens");
    let address = line.strip_prefix("listening on ").and_then(|l| l.split_whitespace().next());
    match address.and_then(|a| a.parse().ok()) {
        Some(address) => (process, address),
        None => {
            let log = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
            panic!("the server did not start: {line:?}, exit {:?}\n{log}", process.wait());
        }
    }
}
