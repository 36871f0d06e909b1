//! The real binary: start, readiness, the lock, signals, command line errors, the demo.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_heddledb");
const DEADLINE: Duration = Duration::from_secs(60);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args);
    // What the test run was started with must not reach the server under test.
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("HEDDLEDB_")) {
        command.env_remove(name);
    }
    command
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    output(&mut command(args))
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A started server; killed when the test fails.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    fn start(dir: &Path) -> Self {
        let dir = dir.to_str().unwrap();
        let mut child = command(&["start", "--data-dir", dir, "--pg-listen", "127.0.0.1:0", "--insecure"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").and_then(|l| l.strip_suffix(" (PostgreSQL protocol)\n"));
        let port = address.unwrap_or_else(|| panic!("{line:?}")).parse::<std::net::SocketAddr>().unwrap().port();
        Self { child, port }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begin.elapsed() < DEADLINE, "the server did not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(port: u16) -> tokio_postgres::Client {
    let parameters = format!("host=127.0.0.1 port={port} user=anybody dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&parameters, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[test]
fn second_start_refused_and_sigterm_exits_0() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Running::start(dir.path());
    let path = dir.path().to_str().unwrap();
    let (code, out, err) = run(&["start", "--data-dir", path, "--pg-listen", "127.0.0.1:0", "--insecure"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("is in use by another HeddleDB server"), "{err}");
    assert!(err.contains(&format!("The process id of that server is {}.", first.child.id())), "{err}");
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.exit_code(), Some(0));
    let mut again = Running::start(dir.path());
    again.signal(rustix::process::Signal::INT);
    assert_eq!(again.exit_code(), Some(0));
}

#[tokio::test]
async fn sigterm_ends_sessions_and_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Running::start(dir.path());
    let client = connect(server.port).await;
    client.batch_execute("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2)").await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO t VALUES (3)").await.unwrap();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    assert!(client.batch_execute("COMMIT").await.is_err());

    let mut server = Running::start(dir.path());
    let client = connect(server.port).await;
    let row = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    drop(client);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[tokio::test]
async fn settings_reach_show() {
    let dir = tempfile::tempdir().unwrap();
    let config = heddle_server::Config { batch_rows: 100, ..heddle_server::Config::local(dir.path()) };
    let node = heddle_server::Node::start(config).unwrap();
    let client = connect(node.addr().port()).await;
    for (name, value) in [("batch_rows", "100"), ("log_segment_size", "64MB"), ("max_connections", "500")] {
        let rows = client.simple_query(&format!("SHOW {name}")).await.unwrap();
        let shown = rows.iter().find_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        assert_eq!(shown, Some(value), "{name}");
    }
    node.shutdown();
}

#[tokio::test]
async fn unix_socket_serves_replaces_a_stale_file_and_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = dir.path().join(format!(".s.PGSQL.{port}"));
    // What a killed server leaves: nobody listens any more.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = heddle_server::Config {
        pg_listen: std::net::SocketAddr::from(([127, 0, 0, 1], port)),
        pg_socket_dir: Some(dir.path().to_owned()),
        ..heddle_server::Config::local(dir.path().join("data"))
    };
    let node = heddle_server::Node::start(config).unwrap();
    assert_eq!(node.socket_path(), Some(path.as_path()));
    let parameters = format!("host={} port={port} user=anybody dbname=postgres", dir.path().display());
    let (client, connection) = tokio_postgres::connect(&parameters, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one("SELECT 1 + $1::int", &[&2]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 3);

    // The same name for another port, on which somebody answers.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let taken = std::os::unix::net::UnixListener::bind(dir.path().join(format!(".s.PGSQL.{other}"))).unwrap();
    let config = heddle_server::Config {
        pg_listen: std::net::SocketAddr::from(([127, 0, 0, 1], other)),
        pg_socket_dir: Some(dir.path().to_owned()),
        ..heddle_server::Config::local(dir.path().join("other"))
    };
    let refused = heddle_server::Node::start(config).err().unwrap();
    assert!(refused.message().contains("could not listen on"), "{refused}");
    drop(taken);

    node.shutdown();
    assert!(!path.exists());
}

#[test]
fn version_and_help() {
    assert_eq!(run(&["--version"]), (Some(0), format!("heddledb {}\n", env!("CARGO_PKG_VERSION")), String::new()));
    let (code, out, _) = run(&["start", "--help"]);
    assert_eq!(code, Some(0));
    for setting in heddle_server::settings::SETTINGS {
        assert!(out.contains(&format!("--{}", setting.flag)), "{}", setting.flag);
    }
    assert_eq!(run(&["demo", "--help"]).0, Some(0));
}

#[test]
fn wrong_command_lines_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let path = path.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["start", "--data-dir", path], 1, "the server starts only with --insecure"),
        (&["start", "--data-dir", path, "--insecure", "--pg-listen", "0.0.0.0:0"], 1, "is not a loopback address"),
        (&["start", "--insecure"], 1, "setting \"data_directory\" has no value"),
        (
            &["start", "--data-dir", path, "--insecure", "--cache-size", "1kB"],
            1,
            "invalid value for setting \"cache_size\"",
        ),
        (
            &["start", "--data-dir", path, "--insecure", "--config", "/nonexistent"],
            1,
            "could not read configuration file",
        ),
        (&["start", "--nope"], 2, "--nope"),
    ];
    for (args, expected, text) in cases {
        let (code, _, err) = run(args);
        assert_eq!(code, Some(expected), "{args:?}: {err}");
        assert!(err.contains(text), "{args:?}: {err}");
    }
    assert!(!Path::new(path).exists());
}

#[test]
fn file_environment_flags_in_that_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heddledb.toml");
    std::fs::write(&file, "data_directory = \"/nonexistent/from-file\"\npg_listen = \"10.0.0.1:1\"\ninsecure = true\n")
        .unwrap();
    let args = ["start", "--config", file.to_str().unwrap()];
    assert!(run(&args).2.contains("10.0.0.1:1"));
    let (_, _, err) = output(command(&args).env("HEDDLEDB_PG_LISTEN", "10.0.0.2:1").env("HEDDLEDB_NOPE", "1"));
    assert!(err.contains("10.0.0.2:1") && err.contains("HEDDLEDB_NOPE"), "{err}");
    let mut with_flag = command(&args);
    let (_, _, err) = output(with_flag.args(["--pg-listen", "10.0.0.3:1"]).env("HEDDLEDB_PG_LISTEN", "10.0.0.2:1"));
    assert!(err.contains("10.0.0.3:1"), "{err}");
    std::fs::write(&file, "no_such_setting = 1\n").unwrap();
    assert!(run(&args).2.contains("unknown setting \"no_such_setting\""));
}

#[test]
fn demo_loads_queries_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let args = ["demo", "--data-dir", path, "--port", "0", "--exit-after-load"];
    let (code, out, err) = run(&args);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("loaded 1000208 rows"), "{out}");
    assert!(out.contains("Evora") && out.contains("psql -h 127.0.0.1 -p "), "{out}");
    assert!(run(&args).1.contains("the folder has the fleet already"));
}
