//! The peers that are servers: HeddleDB and PostgreSQL 15, each on a temporary folder of its own, spoken to over the wire.

use crate::report::Peer;
use crate::{Result, proc};
use heddle_sql_tests::wire::build;
use heddle_sql_tests::{Conn, Judge, Outcome, Server};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(900);
/// COPY is sent in messages of this size.
const COPY_BYTES: usize = 64 << 10;

/// What PostgreSQL runs with, beyond its defaults.
const POSTGRES_SETTINGS: [&str; 4] = ["shared_buffers=2GB", "fsync=on", "max_connections=600", "jit=off"];

/// What the servers may keep in memory of their tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// What each takes by itself.
    Default,
    /// The same for both, and enough for everything.
    Large,
}

impl Memory {
    const HEDDLE_LARGE: [&str; 2] = ["--cache-size", "2GB"];
    const POSTGRES_DEFAULT: [&str; 3] = ["fsync=on", "max_connections=600", "jit=off"];

    fn heddle(self) -> &'static [&'static str] {
        match self {
            Self::Default => &[],
            Self::Large => &Self::HEDDLE_LARGE,
        }
    }

    fn postgres(self) -> &'static [&'static str] {
        match self {
            Self::Default => &Self::POSTGRES_DEFAULT,
            Self::Large => &POSTGRES_SETTINGS,
        }
    }

    /// For the reader.
    pub fn note(self) -> String {
        let cache = match self {
            Self::Default => "cache_size=128MB, its default; PostgreSQL with shared_buffers=128MB, its default, ",
            Self::Large => "cache_size=2GB; PostgreSQL with ",
        };
        format!("HeddleDB with {cache}{}", self.postgres().join(", "))
    }
}

/// A running server.
pub struct Wire {
    peer: Peer,
    running: Running,
}

enum Running {
    Heddle { server: Server, sockets: TempDir },
    Postgres(Judge),
}

/// How a client reaches a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Unix,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix socket",
        }
    }
}

/// Both servers, in the order of their turns.
pub const BOTH: [Peer; 2] = [Peer::Heddle, Peer::Postgres];

impl Wire {
    /// Starts a peer that is a server on an empty folder.
    ///
    /// # Errors
    /// When it is not installed, or is no server.
    pub fn start(peer: Peer, memory: Memory) -> Result<Self> {
        let running = match peer {
            Peer::Heddle => Self::heddle(memory.heddle())?,
            Peer::Postgres => Running::Postgres(postgres(memory.postgres())?),
            Peer::Duck | Peer::Chdb => return Err(format!("{} is no server", peer.name())),
        };
        Ok(Self { peer, running })
    }

    /// A server that writes nothing but its log for long: what a crash at the worst time leaves.
    ///
    /// # Errors
    /// As [`Wire::start`].
    pub fn start_without_checkpoints(peer: Peer) -> Result<Self> {
        let running = match peer {
            Peer::Heddle => Self::heddle(&["--memtable-size", "8GB", "--unmerged-memory-max", "16GB"])?,
            _ => {
                let more = ["max_wal_size=32GB", "checkpoint_timeout=1d"];
                Running::Postgres(postgres(&[&POSTGRES_SETTINGS[..], &more].concat())?)
            }
        };
        Ok(Self { peer, running })
    }

    fn heddle(flags: &[&str]) -> Result<Running> {
        let sockets = tempfile::Builder::new().prefix("heddledb-bench").tempdir().map_err(|e| e.to_string())?;
        let dir = sockets.path().display().to_string();
        let mut all = vec!["--pg-socket-dir", &dir, "--max-connections", "600"];
        all.extend(flags);
        Ok(Running::Heddle { server: Server::start_with(&all), sockets })
    }

    /// Both servers, started.
    ///
    /// # Errors
    /// Those of [`Wire::start`].
    pub fn both(memory: Memory) -> Result<[Self; 2]> {
        Ok([Self::start(Peer::Heddle, memory)?, Self::start(Peer::Postgres, memory)?])
    }

    /// Who it is.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    fn address(&self) -> SocketAddr {
        match &self.running {
            Running::Heddle { server, .. } => server.address(),
            Running::Postgres(judge) => judge.address(),
        }
    }

    /// Host (or socket folder) and port, as libpq takes them.
    pub fn host_and_port(&self, transport: Transport) -> (String, String) {
        let host = match (transport, &self.running) {
            (Transport::Tcp, _) => self.address().ip().to_string(),
            (Transport::Unix, Running::Heddle { sockets, .. }) => sockets.path().display().to_string(),
            (Transport::Unix, Running::Postgres(judge)) => judge.folder().display().to_string(),
        };
        (host, self.address().port().to_string())
    }

    /// Id of the (first) process.
    pub fn pid(&self) -> u32 {
        match &self.running {
            Running::Heddle { server, .. } => server.process().id(),
            Running::Postgres(judge) => judge.process().id(),
        }
    }

    /// The server's data.
    pub fn folder(&self) -> &Path {
        match &self.running {
            Running::Heddle { server, .. } => server.folder(),
            Running::Postgres(judge) => judge.folder(),
        }
    }

    /// Its log or WAL, a folder in [`Wire::folder`].
    pub fn log_folder(&self) -> PathBuf {
        self.folder().join(if self.peer == Peer::Postgres { "pg_wal" } else { "log" })
    }

    /// CPU time used so far, in microseconds.
    pub fn cpu_micros(&self) -> u64 {
        proc::cpu_micros(self.pid())
    }

    /// Opens a session.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn client(&self) -> Result<Client> {
        let conn = Conn::open(self.address(), &[("user", "postgres"), ("database", "postgres")]);
        let conn = conn.map_err(|e| format!("could not connect: {e:?}"))?;
        conn.wait_at_most(PATIENCE).map_err(|e| e.to_string())?;
        Ok(Client { conn })
    }

    /// Kills the server and starts it on the same folder; how long it took to be ready again.
    pub fn kill_and_restart(&mut self) -> Duration {
        match &mut self.running {
            Running::Heddle { server, .. } => server.kill(),
            Running::Postgres(judge) => judge.crash(),
        }
        let begin = Instant::now();
        match &mut self.running {
            Running::Heddle { server, .. } => server.restart(),
            Running::Postgres(judge) => judge.restart(),
        }
        begin.elapsed()
    }
}

fn postgres(settings: &[&str]) -> Result<Judge> {
    Judge::start_with(settings).ok_or("PostgreSQL 15 cannot be started".to_owned())
}

/// A session.
pub struct Client {
    conn: Conn,
}

fn checked(outcome: Outcome) -> Result<Outcome> {
    match (&outcome.lost, &outcome.error) {
        (Some(lost), _) => Err(format!("connection lost: {lost}")),
        (_, Some(error)) => Err(error.short()),
        _ => Ok(outcome),
    }
}

impl Client {
    /// Runs statements.
    ///
    /// # Errors
    /// SQLSTATE and message, or the socket's error.
    pub fn run(&mut self, sql: &str) -> Result<Outcome> {
        checked(self.conn.query(sql))
    }

    /// The rows of a query, NULL as `NULL`.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
        let outcome = self.run(sql)?;
        Ok(outcome.rows().map(|row| row.iter().map(text).collect()).collect())
    }

    /// The single value of a query.
    ///
    /// # Errors
    /// As [`Client::run`], or when there is no row.
    pub fn value(&mut self, sql: &str) -> Result<String> {
        let row = self.rows(sql)?.into_iter().next();
        row.and_then(|r| r.into_iter().next()).ok_or(format!("no row: {sql}"))
    }

    /// `COPY … FROM STDIN` of everything that `pieces` gives; how long it took.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn copy_in<B: AsRef<[u8]>>(&mut self, sql: &str, pieces: impl IntoIterator<Item = B>) -> Result<Duration> {
        let begin = Instant::now();
        checked(self.conn.query(sql))?;
        for piece in pieces {
            for message in piece.as_ref().chunks(COPY_BYTES) {
                if self.conn.send(&build::message(b'd', message)).is_err() {
                    // The server says why.
                    return Err(self.conn.outcome().short());
                }
            }
        }
        self.conn.send(&build::message(b'c', &[])).map_err(|e| e.to_string())?;
        checked(self.conn.outcome())?;
        Ok(begin.elapsed())
    }

    /// Prepares a statement without parameters for [`Client::execute`].
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn prepare(&mut self, sql: &str) -> Result<()> {
        self.exchange(&[build::close(b'S', "q"), build::parse("q", sql, &[])]).map(drop)
    }

    /// Executes it and reads all rows without decoding them; how many there were.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn execute(&mut self) -> Result<u64> {
        self.exchange(&[build::bind("", "q", &[], &[], &[]), build::execute("", 0)])
    }

    fn exchange(&mut self, messages: &[Vec<u8>]) -> Result<u64> {
        let bytes = [&messages.concat()[..], &build::sync()].concat();
        self.conn.send(&bytes).map_err(|e| e.to_string())?;
        match self.conn.drain().map_err(|e| format!("connection lost: {e}"))? {
            (_, Some(error)) => Err(error.short()),
            (rows, None) => Ok(rows),
        }
    }
}
