//! Running other programs: each step is printed, runs in the repository, and inherits one target folder.

use crate::{Outcome, root};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One program to run.
pub struct Step {
    command: Command,
    line: String,
}

impl Step {
    /// A program found in PATH, or by its path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
        Self { command, line: program.as_ref().to_string_lossy().into_owned() }
    }

    /// Adds one argument.
    pub fn arg(&mut self, arg: &str) {
        self.command.arg(arg);
        self.line += " ";
        self.line += arg;
    }

    /// Adds arguments.
    pub fn args(mut self, args: &[&str]) -> Self {
        args.iter().for_each(|a| self.arg(a));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &OsStr) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with our own input and output.
    pub fn run(mut self) -> Outcome {
        eprintln!("> {}", self.line);
        match self.command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{}` failed ({status})", self.line)),
            Err(e) => Err(format!("could not run `{}`: {e}", self.line)),
        }
    }

    /// Runs it and returns its standard output.
    pub fn output(mut self) -> Result<String, String> {
        let done = self.command.stderr(Stdio::inherit()).output();
        let done = done.map_err(|e| format!("could not run `{}`: {e}", self.line))?;
        if !done.status.success() {
            return Err(format!("`{}` failed ({})", self.line, done.status));
        }
        String::from_utf8(done.stdout).map_err(|_| format!("`{}` did not print UTF-8", self.line))
    }

    /// Runs it silently: did it succeed?
    pub fn succeeds(mut self) -> bool {
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.command.status().is_ok_and(|status| status.success())
    }
}

/// Cargo, the one we were started by.
pub fn cargo(args: &[&str]) -> Step {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut step = Step::new(program).args(args);
    step.line = format!("cargo {}", args.join(" "));
    step
}

/// Where cargo builds: CARGO_TARGET_DIR, else the user's cache folder, so that checkouts share dependencies.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => root().join(dir),
        _ => cache_dir().join("target"),
    }
}

/// The user's cache folder for this project.
pub fn cache_dir() -> PathBuf {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".cache");
    given.unwrap_or_else(home).join("heddledb")
}
