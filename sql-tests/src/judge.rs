//! PostgreSQL 15 as the judge: a fresh cluster in a temporary folder, UTC, C locale, on a free port.
//!
//! As root it runs as user `postgres` (PostgreSQL refuses root). Absent programs or user make [`Judge::start`] say why and
//! return None: the caller skips.

use crate::process::{DEADLINE, Process, free_port};
use crate::wire::{Conn, ServerError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Judge {
    process: Process,
    program: PathBuf,
    settings: Vec<String>,
    address: SocketAddr,
    folder: TempDir,
}

impl Judge {
    /// Starts one, or prints why the test is skipped.
    ///
    /// # Panics
    /// When PostgreSQL is there but does not start.
    pub fn start() -> Option<Self> {
        Self::start_with(&["fsync=off", "shared_buffers=32MB", "max_connections=40", "deadlock_timeout=200ms"])
    }

    /// The same with these settings over PostgreSQL's defaults.
    ///
    /// # Panics
    /// When PostgreSQL is there but does not start.
    pub fn start_with(settings: &[&str]) -> Option<Self> {
        let bin = match programs() {
            Ok(bin) => bin,
            Err(reason) => {
                crate::skip(&reason);
                return None;
            }
        };
        let folder = tempfile::Builder::new().prefix("heddledb-judge").tempdir().expect("a temporary folder");
        if root() {
            let done = Command::new("chown").arg("postgres").arg(folder.path()).status().expect("chown runs");
            assert!(done.success(), "chown failed");
        }
        let data = folder.path().join("pg");
        let output = command(&bin.join("initdb"), folder.path())
            .args(["-N", "-E", "UTF8", "--locale=C", "-A", "trust", "-U", "postgres", "--no-instructions", "-D"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = free_port();
        let place = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={}", folder.path().display()),
            "timezone=UTC".to_owned(),
            "lc_messages=C".to_owned(),
        ];
        let settings: Vec<String> = place.into_iter().chain(settings.iter().map(|s| (*s).to_owned())).collect();
        let program = bin.join("postgres");
        let process = spawn(&program, folder.path(), &settings);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let judge = Self { process, program, settings, address, folder };
        judge.wait_until_ready();
        Some(judge)
    }

    /// Ends it as a crash does: nothing is written any more.
    ///
    /// # Panics
    /// When it does not end.
    pub fn crash(&mut self) {
        self.process.signal(rustix::process::Signal::QUIT);
        self.process.wait();
    }

    /// Starts it again after a crash; returns when it has recovered.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.process = spawn(&self.program, self.folder.path(), &self.settings);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let begin = Instant::now();
        while let Err(e) = self.try_connect("postgres") {
            assert!(begin.elapsed() < DEADLINE, "PostgreSQL did not start: {e:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of its Unix socket; its data are in `pg` below.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Opens a session in database `postgres`.
    ///
    /// # Panics
    /// When it is refused.
    pub fn connect(&self) -> Conn {
        self.try_connect("postgres").unwrap_or_else(|e| panic!("connect to the judge: {e:?}"))
    }

    /// Opens a session in `database`.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn try_connect(&self, database: &str) -> Result<Conn, ServerError> {
        Conn::open(self.address, &[("user", "postgres"), ("database", database)])
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // SIGQUIT: the postmaster takes its children with it, which SIGKILL would leave to find out by themselves.
        self.process.signal(rustix::process::Signal::QUIT);
        let begin = Instant::now();
        while !self.process.ended() && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn spawn(program: &Path, folder: &Path, settings: &[String]) -> Process {
    let mut server = command(program, folder);
    server.arg("-D").arg(folder.join("pg")).args(settings.iter().flat_map(|s| ["-c", s]));
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::spawn(&mut server).expect("postgres starts")
}

fn root() -> bool {
    rustix::process::getuid().is_root()
}

/// A command that runs as `postgres` when we are root.
fn command(program: &Path, dir: &Path) -> Command {
    let mut command = if root() {
        let mut c = Command::new("setpriv");
        c.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        c
    } else {
        Command::new(program)
    };
    command.current_dir(dir).env("LC_ALL", "C");
    command
}

/// The folder with PostgreSQL 15's `initdb` and `postgres`.
fn programs() -> Result<PathBuf, String> {
    let mut folders: Vec<PathBuf> = vec![];
    folders.extend(std::env::var_os("HEDDLEDB_JUDGE_BIN").map(PathBuf::from));
    folders.push(PathBuf::from("/usr/lib/postgresql/15/bin"));
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let bin = folders.into_iter().find(|f| f.join("initdb").is_file() && f.join("postgres").is_file());
    let bin = bin.ok_or("PostgreSQL 15 (initdb, postgres) is not installed, so there is no judge")?;
    let version = Command::new(bin.join("postgres")).arg("--version").output().map_err(|e| e.to_string())?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.contains(" 15.") {
        return Err(format!("the judge must be PostgreSQL 15, found {}", version.trim()));
    }
    if root() {
        let able =
            Command::new("setpriv").args(["--reuid=postgres", "true"]).output().is_ok_and(|o| o.status.success());
        if !able {
            return Err("running as root, and there is no setpriv or no user postgres for the judge".to_owned());
        }
    }
    Ok(bin)
}
