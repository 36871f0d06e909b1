//! `heddledb demo`: an embedded server on a small fleet, loaded the way any client would load it, through its own port.
//!
//! Sites and devices are relational tables, their readings a time series of a million points (`heddle_fleet::sites`); one
//! transaction loads all three.

use crate::Node;
use crate::settings::Config;
use crate::table::Table;
use bytes::Bytes;
use futures::SinkExt;
use heddle_fleet::sites;
use heddle_types::{Error, Result, SqlState, known_state};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// Where the demo keeps its data and listens.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A folder that stays; a temporary one otherwise.
    pub data_dir: Option<PathBuf>,
    /// The port; otherwise 5432 or the next free one.
    pub port: Option<u16>,
}

/// A running demo.
pub struct Demo {
    node: Node,
    // After the node: its files go when it has stopped.
    _folder: Option<tempfile::TempDir>,
}

/// The query the demo runs itself: a time series joined with two relational tables.
pub const QUERY: &str = "\
SELECT s.name AS site, s.country, count(*) AS readings,
       round(avg(r.temperature)::numeric, 2) AS mean, max(r.temperature) AS highest
FROM readings r
JOIN devices d ON d.device_id = r.device_id
JOIN sites s ON s.site_id = d.site_id
WHERE d.kind = 'thermometer' AND r.read_at >= '2026-06-02' AND r.read_at < '2026-06-03'
GROUP BY s.name, s.country
ORDER BY mean DESC, site";

/// What the demo proposes to type.
pub const SUGGESTIONS: [&str; 3] = [
    "SELECT time_bucket('6 hours', read_at) AS since, avg(temperature) FROM readings WHERE device_id = 7 GROUP BY since ORDER BY since;",
    "SELECT DISTINCT ON (device_id) device_id, read_at, temperature, battery FROM readings ORDER BY device_id, read_at DESC LIMIT 5;",
    "BEGIN; UPDATE devices SET kind = 'spare' WHERE device_id = 7; DELETE FROM readings WHERE device_id = 7; SELECT d.kind, count(r.read_at) FROM devices d LEFT JOIN readings r USING (device_id) WHERE device_id = 7 GROUP BY d.kind; ROLLBACK;",
];

const SCHEMA: &str = "\
CREATE TABLE sites (site_id int PRIMARY KEY, name text NOT NULL, country varchar(2) NOT NULL);
CREATE TABLE devices (device_id int PRIMARY KEY, site_id int NOT NULL, kind text NOT NULL, installed date NOT NULL);
CREATE TABLE readings (read_at timestamptz NOT NULL, temperature float8, battery int NOT NULL)
    TAGS (device_id int NOT NULL) PRIMARY TAGS (device_id);";

/// Minutes of readings that are sent at a time: 20,000 points.
const MINUTES_AT_ONCE: usize = 100;

/// The first port that is tried, and how many.
const PORTS: std::ops::Range<u16> = 5432..5532;

impl Demo {
    /// Starts the server.
    ///
    /// # Errors
    /// Those of [`Node::start`]; `58030` without a free port or a temporary folder.
    pub fn start(options: &Options) -> Result<Self> {
        let (path, folder) = match &options.data_dir {
            Some(path) => (path.clone(), None),
            None => {
                let made = tempfile::Builder::new().prefix("heddledb-demo-").tempdir();
                let folder = made.map_err(|e| io_error(format!("could not create a temporary folder: {e}")))?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let port = options.port.map_or_else(free_port, Ok)?;
        let config = Config { pg_listen: local(port), ..Config::local(path) };
        Ok(Self { node: Node::start(config)?, _folder: folder })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.node.addr()
    }

    /// Loads the fleet unless the folder has it already; how many rows came in. `progress` hears how many points were sent.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn load(&self, progress: impl FnMut(u64)) -> Result<Option<u64>> {
        let mut client = self.connect().await?;
        match client.batch_execute("SELECT 1 FROM readings LIMIT 1").await {
            Ok(()) => return Ok(None),
            Err(e) if e.code().is_some_and(|c| c.code() == SqlState::UNDEFINED_TABLE.0) => {}
            Err(e) => return Err(server_error(&e)),
        }
        load_fleet(&mut client, progress).await.map(Some).map_err(|e| server_error(&e))
    }

    /// Runs a query and renders its result.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn query(&self, sql: &str) -> Result<String> {
        let client = self.connect().await?;
        let messages = client.simple_query(sql).await.map_err(|e| server_error(&e))?;
        let mut table = Table::default();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    table.columns = columns.iter().map(|c| c.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    table.rows.push((0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect());
                }
                _ => {}
            }
        }
        Ok(table.render())
    }

    /// Stops the server and removes the temporary folder.
    pub fn shutdown(self) {
        self.node.shutdown();
    }

    async fn connect(&self) -> Result<Client> {
        let address = self.addr();
        let parameters = format!("host={} port={} user=postgres dbname=postgres", address.ip(), address.port());
        let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await.map_err(|e| server_error(&e))?;
        // Ends when the client is dropped; its errors also reach the client's calls.
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn load_fleet(
    client: &mut Client,
    mut progress: impl FnMut(u64),
) -> std::result::Result<u64, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SCHEMA).await?;
    let mut rows = 0;
    for (table, text) in [("sites", sites::sites()), ("devices", sites::devices())] {
        let copy = transaction.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN")).await?;
        let mut copy = Box::pin(copy);
        copy.send(Bytes::from(text)).await?;
        rows += copy.as_mut().finish().await?;
    }
    let copy = transaction.copy_in::<_, Bytes>("COPY readings FROM STDIN").await?;
    let mut copy = Box::pin(copy);
    for begin in (0..sites::MINUTES).step_by(MINUTES_AT_ONCE) {
        let minutes = begin..sites::MINUTES.min(begin + MINUTES_AT_ONCE as u32);
        progress(u64::from(begin) * u64::from(sites::DEVICES));
        copy.send(Bytes::from(sites::readings(minutes))).await?;
    }
    rows += copy.as_mut().finish().await?;
    transaction.commit().await?;
    progress(sites::READINGS);
    Ok(rows)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Somebody may take the port before the server does; then its start says so.
fn free_port() -> Result<u16> {
    for port in PORTS {
        match TcpListener::bind(local(port)) {
            Ok(_) => return Ok(port),
            Err(e) if e.kind() == ErrorKind::AddrInUse => {}
            Err(e) => return Err(io_error(format!("could not listen on {}: {e}", local(port)))),
        }
    }
    Err(io_error(format!("no free port from {} to {}", PORTS.start, PORTS.end - 1)))
}

fn io_error(text: String) -> Error {
    Error::new(SqlState::IO_ERROR, text)
}

fn server_error(e: &tokio_postgres::Error) -> Error {
    match e.as_db_error() {
        Some(db) => {
            let code = known_state(db.code().code()).unwrap_or(SqlState::INTERNAL_ERROR);
            let error = Error::new(code, db.message());
            match db.detail() {
                Some(detail) => error.detail(detail),
                None => error,
            }
        }
        None => io_error(format!("could not talk to the server: {e}")),
    }
}
