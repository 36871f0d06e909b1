//! The `heddledb` binary: command line, log output, signals. Everything else is the library.
//!
//! Exit codes: 0 after a clean stop, 1 when it could not start or work, 2 for a wrong command line.

mod allocator;

use allocator::Allocator;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use heddle_server::demo::{self, Demo};
use heddle_server::settings::{Domain, SETTINGS, Setting};
use heddle_server::sources::{self, Layer};
use heddle_server::{Config, Node, manual};
use heddle_types::{Error, Result, SqlState};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    allocator::set_up();
    // Data and log files are nobody else's business.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // The allocator asks for huge pages, which stay when most of what was in them is freed: 15 MB at rest, a sixth of a full cache.
    // No benchmark is slower without. A wish: where the kernel refuses, only memory is lost.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    match run(&command().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            report(&e);
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> Result<()> {
    match matches.subcommand() {
        Some(("start", flags)) => start(flags),
        Some(("demo", flags)) => demo(flags),
        Some(("functions", _)) => print(&heddle_planner::function::reference()),
        _ => print(&manual::settings_page()),
    }
}

fn command() -> Command {
    let start = Command::new("start")
        .about("Serves a data folder until SIGTERM or SIGINT")
        .long_about("Serves a data folder until SIGTERM or SIGINT.\n\nSettings come from the file, then from the environment (HEDDLEDB_ and the setting's name in capitals), then from these flags.")
        .arg(Arg::new("config").long("config").value_name("FILE").value_parser(value_parser!(PathBuf)).env("HEDDLEDB_CONFIG").help("TOML file with settings"))
        .args(SETTINGS.iter().map(flag));
    let demo = Command::new("demo")
        .about("Starts a server on a small fleet with a million readings and shows how to talk to it")
        .arg(
            Arg::new("data-dir")
                .long("data-dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Folder that stays [default: a temporary one]"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("N")
                .value_parser(value_parser!(u16))
                .help("Port for the PostgreSQL protocol [default: 5432 or the next free one]"),
        )
        .arg(Arg::new("exit-after-load").long("exit-after-load").action(ArgAction::SetTrue).hide(true));
    Command::new("heddledb")
        .version(env!("CARGO_PKG_VERSION"))
        .about("HeddleDB: a PostgreSQL-compatible database")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            start,
            demo,
            Command::new("settings").about("Prints the reference of all settings (Markdown)"),
            Command::new("functions").about("Prints the list of all functions (Markdown)"),
        ])
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name).long(setting.flag);
    let range = setting.domain.range();
    match setting.domain {
        Domain::Switch => arg.action(ArgAction::SetTrue).help(setting.about),
        Domain::Path => arg.value_name("DIR").help(setting.about),
        Domain::PathOrNone => arg.value_name("DIR").help(with_default(setting)),
        Domain::Address => arg.value_name("ADDRESS:PORT").help(with_default(setting)),
        Domain::LogFilter => arg.value_name("FILTER").help(with_default(setting)),
        Domain::Count { .. } => arg.value_name("N").help(format!("{} [range: {range}]", with_default(setting))),
        Domain::Bytes { .. } => arg.value_name("SIZE").help(format!("{} [range: {range}]", with_default(setting))),
    }
}

fn with_default(setting: &Setting) -> String {
    format!("{} [default: {}]", setting.about, setting.default)
}

fn start(flags: &ArgMatches) -> Result<()> {
    let (config, unknown) = configuration(flags)?;
    start_logging(&config.log_level);
    for name in unknown {
        tracing::warn!(name, "environment variable is no setting");
    }
    let runtime = runtime()?;
    // Before the node is: a signal from now on ends it the ordinary way.
    let mut stop = runtime.block_on(async { Stop::new() })?;
    let node = Node::start(config)?;
    // In one write: who waits for the first line may close the pipe behind it.
    let socket = node.socket_path().map(|path| format!("listening on Unix socket {}\n", path.display()));
    print(&format!("listening on {} (PostgreSQL protocol)\n{}", node.addr(), socket.unwrap_or_default()))?;
    let name = runtime.block_on(async {
        let stop = stop.wait();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                name = &mut stop => return name,
                () = tokio::time::sleep(Duration::from_secs(1)) => allocator::give_back(),
            }
        }
    });
    tracing::info!(signal = name, sessions = node.server().session_count(), "stopping");
    node.shutdown();
    Ok(())
}

/// The configuration, and variables of the environment that are no setting.
fn configuration(flags: &ArgMatches) -> Result<(Config, Vec<String>)> {
    let mut layers = vec![];
    if let Some(path) = flags.get_one::<PathBuf>("config") {
        layers.push(Layer::file(path)?);
    }
    let (environment, mut unknown) = Layer::environment(std::env::vars_os())?;
    unknown.retain(|name| name != "HEDDLEDB_CONFIG");
    layers.push(environment);
    layers.push(Layer::flags(given(flags)));
    Ok((sources::load(&layers)?, unknown))
}

fn given(flags: &ArgMatches) -> BTreeMap<String, String> {
    let on_command_line = |s: &&Setting| flags.value_source(s.name) == Some(ValueSource::CommandLine);
    let text = |s: &Setting| match s.domain {
        Domain::Switch => "on".to_owned(),
        _ => flags.get_one::<String>(s.name).cloned().unwrap_or_default(),
    };
    SETTINGS.iter().filter(on_command_line).map(|s| (s.name.to_owned(), text(s))).collect()
}

fn demo(flags: &ArgMatches) -> Result<()> {
    start_logging("warn");
    let options = demo::Options {
        data_dir: flags.get_one::<PathBuf>("data-dir").cloned(),
        port: flags.get_one::<u16>("port").copied(),
    };
    let runtime = runtime()?;
    let mut stop = runtime.block_on(async { Stop::new() })?;
    let demo = Demo::start(&options)?;
    print(&format!("listening on {} (PostgreSQL protocol)\n", demo.addr()))?;
    runtime.block_on(async {
        tokio::select! {
            shown = show_fleet(&demo) => shown?,
            _ = stop.wait() => return Ok(()),
        }
        if !flags.get_flag("exit-after-load") {
            stop.wait().await;
        }
        Ok::<(), Error>(())
    })?;
    demo.shutdown();
    Ok(())
}

/// On standard error, when that is a terminal.
fn progress_bar() -> Result<indicatif::ProgressBar> {
    let style = indicatif::ProgressStyle::with_template("loading {bar:40} {human_pos} / {human_len} points");
    let style = style.map_err(|e| Error::internal(format!("the bar's template: {e}")))?;
    Ok(indicatif::ProgressBar::new(heddle_fleet::sites::READINGS).with_style(style))
}

async fn show_fleet(demo: &Demo) -> Result<()> {
    let bar = progress_bar()?;
    let loaded = demo.load(|points| bar.set_position(points)).await;
    bar.finish_and_clear();
    let loaded = match loaded? {
        Some(rows) => format!("loaded {rows} rows: relational tables sites and devices, time series readings"),
        None => "the folder has the fleet already".to_owned(),
    };
    let result = demo.query(demo::QUERY).await?;
    let (query, address) = (demo::QUERY, demo.addr());
    let suggestions = demo::SUGGESTIONS.join("\n  ");
    let connect = format!("psql -h {} -p {} -U postgres postgres", address.ip(), address.port());
    print(&format!(
        "{loaded}\n\n{query};\n\n{result}\nConnect with\n  {connect}\nand try\n  {suggestions}\n\nCtrl-C stops the server.\n"
    ))
}

/// Listens for the signals that end the process.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Called inside the runtime.
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|e| io_error(format!("could not listen for signals: {e}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The signal's name.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| io_error(format!("could not start the signal runtime: {e}")))
}

/// Log lines and panics go to standard error; standard output is for what was asked for.
fn start_logging(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).expect("the setting was checked");
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), %backtrace, "{panic}");
    }));
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| io_error(format!("could not write to standard output: {e}")))
}

fn io_error(text: String) -> Error {
    Error::new(SqlState::IO_ERROR, text)
}

fn report(e: &Error) {
    eprintln!("heddledb: error: {}", e.message());
    let fields = e.fields();
    for (name, text) in [("detail", &fields.detail), ("hint", &fields.hint)] {
        if let Some(text) = text {
            eprintln!("heddledb: {name}: {text}");
        }
    }
}
