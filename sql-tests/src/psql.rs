//! The real `psql`, unaligned and without its start file.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What psql printed.
#[derive(Debug)]
pub struct Psql {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Is psql installed? Prints why the test is skipped otherwise.
pub fn available() -> bool {
    let found = Command::new("psql").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        crate::skip("psql is not installed");
    }
    found
}

/// Runs a script (`\copy` and other backslash commands too) with ON_ERROR_STOP, rows as `a|b`.
///
/// # Panics
/// When psql cannot be started.
pub fn run(address: SocketAddr, database: &str, script: &str, folder: &Path) -> Psql {
    let mut child = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"])
        .args(["-p", &address.port().to_string(), "-d", database, "-f", "-"])
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let script = script.to_owned();
    // On a thread: psql may print more than a pipe holds before it has read the whole script.
    let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("psql ends");
    let _ = writer.join();
    Psql {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a script that must succeed; returns its output.
///
/// # Panics
/// When psql fails or a statement does.
pub fn ok(address: SocketAddr, script: &str, folder: &Path) -> String {
    let done = run(address, "postgres", script, folder);
    assert_eq!(done.code, Some(0), "psql: {}{}\nscript: {script}", done.out, done.err);
    done.out
}
