//! Counts what a server does for each transaction of a pgbench run: system calls with strace, allocations with perf, as probes on
//! the entries of the allocator in the binary that runs anyway. Both slow it down, so nothing else is measured meanwhile.

use crate::Result;
use crate::pgbench::{self, Run};
use crate::wire::Wire;
use heddle_sql_tests::server::binary;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a tracer gets to attach to every thread.
const ATTACH: Duration = Duration::from_secs(1);
/// Where mimalloc is entered by Rust's allocator interface.
const ALLOCATE: [&str; 3] = ["mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"];
const PROBES: &str = "heddle_bench";

/// System calls of all processes of a server for each transaction.
///
/// # Errors
/// strace's own, or pgbench's.
pub fn system_calls(server: &Wire, run: &Run) -> Result<f64> {
    let pid = server.pid().to_string();
    let mut strace = Command::new("strace");
    strace.args(["-c", "-f", "-U", "calls,name", "-p", &pid]);
    let (report, transactions) = while_traced(strace, server, run)?;
    let total = report.lines().find_map(|l| l.trim().strip_suffix("total")?.trim().parse::<f64>().ok());
    Ok(total.ok_or("strace printed no total")? / transactions)
}

/// Allocations of HeddleDB for each transaction.
///
/// # Errors
/// perf's own (probes need root and a binary with symbols), or pgbench's.
pub fn allocations(server: &Wire, run: &Run) -> Result<f64> {
    // perf finds the kernel's probes in a file system that is mounted for it alone.
    let script = "mount -t tracefs nodev /sys/kernel/tracing && exec \"$@\"";
    let perf = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh", "perf"]).args(args);
        command
    };
    let (program, all) = (binary().display().to_string(), format!("{PROBES}:*"));
    let probes: Vec<String> = ALLOCATE.iter().map(|name| format!("{PROBES}:{name}={name}")).collect();
    let mut add = vec!["probe", "-q", "-x", &program];
    probes.iter().for_each(|probe| add.extend(["--add", probe.as_str()]));
    let finished = |mut command: Command| {
        let done = command.output().map_err(|e| format!("could not run perf: {e}"))?;
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        if done.status.success() { Ok(()) } else { Err(format!("perf probe: {said}")) }
    };
    finished(perf(&add))?;
    let pid = server.pid().to_string();
    let counted = while_traced(perf(&["stat", "-x,", "-e", &all, "-p", &pid]), server, run);
    let removed = finished(perf(&["probe", "-q", "--del", &all]));
    let (report, transactions) = counted?;
    removed?;
    let counts: Vec<f64> = report.lines().filter_map(|l| l.split_once(',')?.0.parse().ok()).collect();
    if counts.is_empty() { Err(format!("perf stat: {report}")) } else { Ok(counts.iter().sum::<f64>() / transactions) }
}

/// What a tracer prints about a run, and the run's transactions.
fn while_traced(mut command: Command, server: &Wire, run: &Run) -> Result<(String, f64)> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut tracer = command.spawn().map_err(|e| format!("could not run {name}: {e}"))?;
    std::thread::sleep(ATTACH);
    let gone = tracer.try_wait().map_err(|e| e.to_string())?.is_some();
    let outcome = if gone { Err(String::new()) } else { pgbench::run(server, run) };
    let report = interrupt(tracer)?;
    match outcome {
        Ok(outcome) => Ok((report, outcome.transactions)),
        Err(_) if gone => Err(format!("{name}: {}", report.trim())),
        Err(why) => Err(why),
    }
}

/// Ends a tracer by Ctrl-C; what it printed.
fn interrupt(tracer: Child) -> Result<String> {
    let _ = Command::new("kill").args(["-INT", &tracer.id().to_string()]).status();
    let done = tracer.wait_with_output().map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&done.stderr).into_owned())
}
