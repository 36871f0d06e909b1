//! What a run was made on: for the reader of its figures. Called in the repository, where `cargo xtask` starts everything.

use std::process::Command;

/// Sentences about machine, load, versions and commit.
pub fn look() -> Vec<String> {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = field("/proc/meminfo", "MemTotal").and_then(|m| m.split_whitespace().next()?.parse::<u64>().ok());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    let memory = memory.map_or("unknown".to_owned(), |kib| format!("{} GiB", (kib + (1 << 19)) >> 20));
    vec![
        format!("machine: {cpu}, {cores} cores, {memory} memory, Linux {}", kernel.trim()),
        format!("load average before the run: {load} (a quiet machine shows below 0.5)"),
        format!("commit {}, {}", git(&["rev-parse", "--short", "HEAD"]), date()),
    ]
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|l| l.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn git(args: &[&str]) -> String {
    // Changed files make the commit a half-truth.
    let changed = output("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
    let commit = output("git", args).unwrap_or_else(|| "unknown".to_owned());
    if changed { format!("{commit} with changes") } else { commit }
}

fn date() -> String {
    output("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default()
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
