//! CPU time and memory of a server's processes, size of a folder: from `/proc` and the file system.

use std::collections::BTreeMap;
use std::path::Path;

/// A tick of `/proc/PID/stat`: Linux shows 100 a second on every machine.
const TICK_MICROS: u64 = 10_000;

/// A process and all that it started, as they are now.
fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(parent) = stat(pid).and_then(|s| s.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found
}

/// The fields of `/proc/PID/stat` behind the program's name: state is the first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &text[text.rfind(')')? + 2..];
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// CPU time in microseconds that a server has used: its processes, and those of them that have ended.
pub fn cpu_micros(root: u32) -> u64 {
    let ticks = |pid: u32, from: usize| {
        let stat = stat(pid).unwrap_or_default();
        stat.iter().skip(from).take(2).filter_map(|f| f.parse::<u64>().ok()).sum::<u64>()
    };
    // utime and stime of each; cutime and cstime of the root have its ended children.
    let living: u64 = tree(root).into_iter().map(|pid| ticks(pid, 11)).sum();
    (living + ticks(root, 13)) * TICK_MICROS
}

/// Resident memory of a server in MiB. Pages that its processes share count once (PSS).
pub fn memory_mib(root: u32) -> f64 {
    tree(root).into_iter().map(|pid| kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum::<f64>() / 1024.0
}

/// The most resident memory that one process ever had, in MiB (VmHWM).
pub fn peak_mib(pid: u32) -> f64 {
    kib(&format!("/proc/{pid}/status"), "VmHWM:") / 1024.0
}

fn kib(path: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

/// Bytes that the files below a folder take on the disk (allocated, not length).
pub fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(m) if m.is_dir() => disk_bytes(&entry.path()),
        Ok(m) => m.blocks() * 512,
        // Gone since the folder was read.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_uses_memory_and_time() {
        let own = std::process::id();
        assert!(memory_mib(own) > 0.5 && peak_mib(own) > 0.5);
        let begin = cpu_micros(own);
        let mut x = 1_u64;
        while cpu_micros(own) < begin + 2 * TICK_MICROS {
            (0..1_000_000).for_each(|i| x = std::hint::black_box(x.wrapping_mul(i | 1)));
        }
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        assert!(tree(own).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
