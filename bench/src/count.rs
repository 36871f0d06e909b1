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
/// The probes' group.
const PROBES: &str = "heddle_bench";
/// The kernel's probes are files in a file system that is mounted for each command alone.
const MOUNT: &str = "{ test -e /sys/kernel/tracing/uprobe_events || mount -t tracefs nodev /sys/kernel/tracing; } && ";

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
/// When there can be no probes (they need root, and a binary with symbols), or pgbench's.
pub fn allocations(server: &Wire, run: &Run) -> Result<f64> {
    change_probes(&probes(server.pid())?)?;
    let mut perf = with_probes("exec perf stat -x, -e \"$1:*\" -p \"$2\"");
    perf.args([PROBES, &server.pid().to_string()]);
    let counted = while_traced(perf, server, run);
    let names = ALLOCATE.map(|name| format!("-:{PROBES}/{name}"));
    change_probes(&names)?;
    let (report, transactions) = counted?;
    let counts: Vec<f64> = report.lines().filter_map(|l| l.split_once(',')?.0.parse().ok()).collect();
    if counts.is_empty() {
        Err(format!("perf: {}", report.trim()))
    } else {
        Ok(counts.iter().sum::<f64>() / transactions)
    }
}

/// A shell command that sees the kernel's probes.
fn with_probes(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{MOUNT}{script}"), "sh"]);
    command
}

/// Adds or removes probes, in the kernel's notation.
fn change_probes(lines: &[String]) -> Result<()> {
    let mut command = with_probes("for probe; do echo \"$probe\" >> /sys/kernel/tracing/uprobe_events || exit; done");
    let done = command.args(lines).output().map_err(|e| format!("could not run unshare: {e}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("no probes: {}", said.trim())) }
}

/// Probes on the allocator, by the places of its functions in the binary.
fn probes(pid: u32) -> Result<Vec<String>> {
    let program = binary().display().to_string();
    let nm = Command::new("nm").arg(&program).output().map_err(|e| format!("could not run nm: {e}"))?;
    let (symbols, maps) = (String::from_utf8_lossy(&nm.stdout).into_owned(), format!("/proc/{pid}/maps"));
    let maps = std::fs::read_to_string(&maps).map_err(|e| format!("could not read {maps}: {e}"))?;
    let probe = |name: &&str| {
        let offset = file_offset(&symbols, &maps, &program, name).ok_or(format!("the server has no symbol {name}"))?;
        Ok(format!("p:{PROBES}/{name} {program}:{offset:#x}"))
    };
    ALLOCATE.iter().map(probe).collect()
}

/// Where in the file a function begins: its address in memory is the symbol's behind the first mapping.
fn file_offset(symbols: &str, maps: &str, program: &str, name: &str) -> Option<u64> {
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let line = symbols.lines().find(|l| l.split_whitespace().nth(2) == Some(name))?;
    let symbol = hex(line.split_whitespace().next()?)?;
    let begin = |line: &str| hex(line.split('-').next()?);
    let mut mapped = maps.lines().filter(|l| l.ends_with(program));
    let base = begin(mapped.clone().next()?)?;
    let code = mapped.find(|l| l.contains(" r-xp "))?;
    let offset = hex(code.split_whitespace().nth(2)?)?;
    Some(base + symbol - begin(code)? + offset)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_in_the_file() {
        let symbols = "0000000001244400 T mi_malloc_aligned\n                 U malloc\n";
        let maps = "555500000000-555501202000 r--p 00000000 fd:00 7 /bin/server\n\
                    555501203000-555504903000 r-xp 01202000 fd:00 7 /bin/server\n\
                    7f0000000000-7f0000001000 r-xp 00000000 fd:00 8 /lib/libc.so\n";
        let found = |name| file_offset(symbols, maps, "/bin/server", name);
        assert_eq!((found("mi_malloc_aligned"), found("mi_free")), (Some(0x1243400), None));
    }
}
