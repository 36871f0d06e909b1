//! What tests need from the machine: PostgreSQL 15 (the judge of right answers, and psql), a Python with PostgreSQL drivers.
//!
//! As root on a Debian system what is missing is installed; otherwise a line says what is lacking, and the tests that need it say
//! that they are skipped.

use crate::Outcome;
use crate::process::{Step, cache_dir, cargo};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a verb needs.
pub struct Wanted {
    /// PostgreSQL's server and psql.
    pub judge: bool,
    /// A Python with psycopg and asyncpg.
    pub python: bool,
}

/// What there is.
pub struct Prepared {
    /// PATH with PostgreSQL's programs.
    pub path: OsString,
    /// A Python interpreter with the drivers.
    pub python: Option<PathBuf>,
}

/// Debian keeps initdb and postgres out of PATH.
const POSTGRES_BIN: &str = "/usr/lib/postgresql/15/bin";

/// A virtual environment in the cache folder.
pub struct Venv {
    folder: &'static str,
    what: &'static str,
    used_by: &'static str,
    imports: &'static str,
    packages: &'static [&'static str],
}

/// What tests with Python clients need.
const DRIVERS: Venv = Venv {
    folder: "venv",
    what: "a Python with psycopg and asyncpg",
    used_by: "tests with Python clients",
    imports: "import psycopg, asyncpg",
    packages: &["psycopg[binary]>=3.2,<4", "asyncpg>=0.29,<1"],
};

/// The peers of benchmarks that are libraries.
pub const PEERS: Venv = Venv {
    folder: "bench-venv",
    what: "a Python with duckdb and chdb",
    used_by: "benchmarks beside them",
    imports: "import duckdb, chdb, pyarrow",
    packages: &["duckdb==2.0.1", "chdb==4.4.0", "pyarrow"],
};

/// Looks, installs what it can, says what it cannot.
pub fn prepare(wanted: Wanted) -> Prepared {
    if wanted.judge && !(in_path("psql") && in_path("initdb")) {
        lacking("PostgreSQL 15 (psql, initdb)", "tests that compare with it", install_postgres());
    }
    let present = || Some(DRIVERS.interpreter()).filter(|p| DRIVERS.imports(p));
    let python = if wanted.python { python(&DRIVERS) } else { present() };
    Prepared { path: search_path(), python }
}

/// What counts system calls and allocations for benchmarks.
pub fn prepare_tracers() {
    if !["strace", "perf", "nm"].into_iter().all(in_path) {
        let packages = ["strace", "linux-perf", "binutils"];
        lacking("strace, perf or nm", "counts of system calls and allocations", apt(&packages));
    }
}

/// Is the faster test runner there?
pub fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).succeeds()
}

fn lacking(what: &str, used_by: &str, installed: Outcome) {
    if let Err(why) = installed {
        eprintln!("xtask: {what} is missing ({why}): {used_by} are skipped");
    }
}

fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if Path::new(POSTGRES_BIN).is_dir() {
        path.push(":");
        path.push(POSTGRES_BIN);
    }
    path
}

fn in_path(program: &str) -> bool {
    std::env::split_paths(&search_path()).any(|dir| dir.join(program).is_file())
}

fn install_postgres() -> Outcome {
    // Debian would start a server of its own on 5432.
    let common = Path::new("/etc/postgresql-common");
    if is_root() && !common.exists() {
        let written = std::fs::create_dir_all(common)
            .and_then(|()| std::fs::write(common.join("createcluster.conf"), "create_main_cluster = false\n"));
        written.map_err(|e| format!("could not write to {}: {e}", common.display()))?;
    }
    apt(&["postgresql-15", "postgresql-client-15"])
}

fn apt(packages: &[&str]) -> Outcome {
    if !is_root() {
        return Err(format!("not root, so not installed; try: apt-get install {}", packages.join(" ")));
    }
    if !Step::new("apt-get").args(&["--version"]).succeeds() {
        return Err("there is no apt-get on this system".to_owned());
    }
    Step::new("apt-get").args(&["update", "-q"]).run()?;
    let install = ["install", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"];
    Step::new("apt-get").args(&install).args(packages).env("DEBIAN_FRONTEND", "noninteractive".as_ref()).run()
}

fn is_root() -> bool {
    Step::new("id").args(&["-u"]).output().is_ok_and(|id| id.trim() == "0")
}

impl Venv {
    fn interpreter(&self) -> PathBuf {
        cache_dir().join(self.folder).join("bin/python")
    }

    fn imports(&self, python: &Path) -> bool {
        Step::new(python).args(&["-c", self.imports]).succeeds()
    }

    fn install(&self, python: &Path) -> Outcome {
        let venv = cache_dir().join(self.folder);
        let make = || Step::new("python3").args(&["-m", "venv", "--clear", &venv.to_string_lossy()]);
        if !make().succeeds() {
            apt(&["python3", "python3-venv"])?;
            make().run()?;
        }
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        Step::new(python).args(&install).args(self.packages).run()
    }
}

/// The interpreter of a virtual environment, which is made when it is not there.
pub fn python(venv: &Venv) -> Option<PathBuf> {
    let python = venv.interpreter();
    if venv.imports(&python) {
        return Some(python);
    }
    match venv.install(&python) {
        Ok(()) => Some(python),
        Err(why) => {
            lacking(venv.what, venv.used_by, Err(why));
            None
        }
    }
}
