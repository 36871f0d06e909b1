//! Developer verbs: `cargo xtask VERB`. The same verbs run in CI.
//!
//! | module | subject |
//! |---|---|
//! | [`process`] | running other programs, the target folder |
//! | [`tidy`] | rules about the source that no compiler checks |
//! | [`tools`] | what tests need from the machine, installed when it is missing |
//!
//! A verb either succeeds, or says what failed and exits with 1. Nothing here is needed to build or use the server.

mod process;
mod tidy;
mod tools;

use process::{Step, cargo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A verb's result; the text is for people.
type Outcome = Result<(), String>;

const USAGE: &str = "\
usage: cargo xtask VERB

  check         reads: tidy, formatting, lints
  fix           writes: formatting, what the lints can repair, the settings page
  test [ARGS]   installs what is missing, then check, then all tests (ARGS go to the test runner)
  slt [FILTER]  SQL logic tests of sql-tests/slt and the conformance corpus
  fuzz [SEED] [N]  random queries, compared with PostgreSQL 15
  clients       tests with PostgreSQL's client programs and libraries
  bench NAME    measures beside PostgreSQL, DuckDB and chdb; writes docs/performance.md (without NAME: lists them)
  docs          writes docs/guide/settings.md and the list of functions in docs/guide/sql.md from the tables in the code;
                with --check only compares
  tidy          the rules about layering and source alone
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((verb, rest)) = args.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match verb.as_str() {
        "check" => check(),
        "fix" => fix(),
        "test" => test(rest),
        "slt" => sql_program("slt", rest),
        "fuzz" => sql_program("fuzz", rest),
        "clients" => clients(),
        "docs" => docs(rest.iter().any(|a| a == "--check")),
        "tidy" => tidy::run(&root()),
        "bench" => bench(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("unknown verb \"{verb}\"\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {verb}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The repository.
fn root() -> PathBuf {
    // As `cargo run` says it, not as it was at compile time: clones that share a target folder share this binary's file.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().expect("xtask is in the root").to_owned()
}

/// Tests that execute queries run with this profile: our crates build quickly, dependencies are optimised.
const PROFILE: &str = "ci";

fn check() -> Outcome {
    tidy::run(&root())?;
    cargo(&["fmt", "--all", "--check"]).run()?;
    // Lints only look at types, so this shares build scripts and procedural macros with the tests, not their code.
    cargo(&["clippy", "--workspace", "--all-targets", "--profile", PROFILE, "--", "-D", "warnings"]).run()
}

fn fix() -> Outcome {
    let repair =
        ["clippy", "--fix", "--workspace", "--all-targets", "--profile", PROFILE, "--allow-dirty", "--allow-staged"];
    cargo(&repair).run()?;
    cargo(&["fmt", "--all"]).run()?;
    docs(false)?;
    tidy::run(&root())
}

fn test(args: &[String]) -> Outcome {
    let prepared = tools::prepare(tools::Wanted { judge: true, python: true });
    check()?;
    let nextest = tools::has_nextest();
    // All of it, so that the server's binary is there and current whatever the arguments select.
    runner(nextest, &["--workspace", "--no-run"]).run()?;
    let mut step = with_tools(runner(nextest, &["--workspace", "--no-fail-fast"]), &prepared);
    for arg in args {
        step.arg(arg);
    }
    step.run()
}

/// nextest where it is installed, else cargo's own runner.
fn runner(nextest: bool, args: &[&str]) -> Step {
    let verb: &[&str] = if nextest { &["nextest", "run", "--cargo-profile"] } else { &["test", "--profile"] };
    cargo(verb).args(&[PROFILE]).args(args)
}

/// Runs a program of `sql-tests` against the server of this clone.
fn sql_program(name: &str, args: &[String]) -> Outcome {
    let judge = name == "fuzz" || args.iter().any(|a| a == "--postgres");
    let prepared = tools::prepare(tools::Wanted { judge, python: false });
    build_server()?;
    let mut step = cargo(&["run", "--quiet", "--profile", PROFILE, "-p", "heddle-sql-tests", "--bin", name, "--"]);
    for arg in args {
        step.arg(arg);
    }
    with_tools(step, &prepared).run()
}

fn clients() -> Outcome {
    let prepared = tools::prepare(tools::Wanted { judge: true, python: true });
    build_server()?;
    let nextest = tools::has_nextest();
    let filter: &[&str] = if nextest { &["-E", "binary(/client/) | test(/client/)"] } else { &["client"] };
    let step = runner(nextest, &["-p", "heddle-sql-tests", "--no-fail-fast"]).args(filter);
    with_tools(step, &prepared).run()
}

/// What users run is what is measured: the release build.
fn bench(args: &[String]) -> Outcome {
    let release = process::target_dir().join("release");
    let bench = release.join("bench");
    if args.is_empty() {
        cargo(&["build", "--quiet", "--release", "--workspace", "--bin", "bench"]).run()?;
        // It says which ones there are.
        return Step::new(&bench).run();
    }
    let prepared = tools::prepare(tools::Wanted { judge: true, python: false });
    tools::prepare_tracers();
    let python = tools::python(&tools::PEERS);
    // The whole workspace's features, as for the tests: a package by itself has other ones and would build everything again.
    cargo(&["build", "--release", "--workspace", "--bin", "heddledb", "--bin", "bench"]).run()?;
    let json = process::target_dir().join("bench");
    let server = release.join("heddledb");
    let mut step = Step::new(&bench).env("HEDDLEDB_BIN", server.as_os_str()).env("PATH", &prepared.path).args(&[
        "--page",
        "docs/performance.md",
        "--json",
        &json.to_string_lossy(),
    ]);
    if let Some(python) = &python {
        step = step.args(&["--python", &python.to_string_lossy()]);
    }
    args.iter().for_each(|arg| step.arg(arg));
    step.run()
}

fn docs(only_check: bool) -> Outcome {
    build_server()?;
    let settings = Step::new(server_binary()).args(&["settings"]).output()?;
    let page = root().join("docs/guide/settings.md");
    made(&page, &settings, only_check)?;
    let functions = Step::new(server_binary()).args(&["functions"]).output()?;
    let page = root().join("docs/guide/sql.md");
    let present = std::fs::read_to_string(&page).map_err(|e| format!("could not read {}: {e}", page.display()))?;
    made(&page, &between(&present, &functions)?, only_check)
}

/// What is generated of a page that is otherwise written by hand.
const GENERATED: (&str, &str) = ("<!-- generated: functions -->", "<!-- end of generated -->");

fn between(page: &str, text: &str) -> Result<String, String> {
    let (before, rest) = page.split_once(GENERATED.0).ok_or("docs/guide/sql.md has no place for the functions")?;
    let (_, after) = rest.split_once(GENERATED.1).ok_or("docs/guide/sql.md does not end the functions")?;
    Ok(format!("{before}{}\n\n{}\n{}{after}", GENERATED.0, text.trim_end(), GENERATED.1))
}

/// Writes a page that is generated, or compares it.
fn made(path: &Path, made: &str, only_check: bool) -> Outcome {
    if std::fs::read_to_string(path).unwrap_or_default() == made {
        println!("{} is current", path.display());
        return Ok(());
    }
    if only_check {
        return Err(format!("{} is not current: run `cargo xtask docs`", path.display()));
    }
    std::fs::write(path, made).map_err(|e| format!("could not write {}: {e}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

fn build_server() -> Outcome {
    cargo(&["build", "--profile", PROFILE, "--workspace", "--bin", "heddledb"]).run()
}

fn server_binary() -> PathBuf {
    process::target_dir().join(PROFILE).join("heddledb")
}

/// Tests find the server and the tools through these variables.
fn with_tools(step: Step, prepared: &tools::Prepared) -> Step {
    let mut step = step.env("HEDDLEDB_BIN", server_binary().as_os_str()).env("PATH", &prepared.path);
    if let Some(python) = &prepared.python {
        step = step.env("HEDDLEDB_PYTHON", python.as_os_str());
    }
    step
}
