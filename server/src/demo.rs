//! `heddledb demo`: an embedded server on a small sample, loaded the way any client would load it, through its own port.
//!
//! The sample is the same at every run: sites, their devices, five days of hourly readings, made by arithmetic.

use crate::Node;
use crate::settings::Config;
use crate::table::Table;
use bytes::Bytes;
use futures::SinkExt;
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

/// The query the demo runs itself.
pub const QUERY: &str = "\
SELECT s.name AS site, s.country, count(*) AS readings,
       round(avg(r.temperature), 2) AS mean, max(r.temperature) AS highest
FROM readings r
JOIN devices d ON d.device_id = r.device_id
JOIN sites s ON s.site_id = d.site_id
WHERE d.kind = 'thermometer'
GROUP BY s.name, s.country
ORDER BY mean DESC, site";

/// What the demo proposes to type.
pub const SUGGESTIONS: [&str; 3] = [
    "SELECT kind, count(*) FROM devices GROUP BY kind ORDER BY kind;",
    "SELECT * FROM readings WHERE device_id = 7 ORDER BY read_at DESC LIMIT 5;",
    "BEGIN; UPDATE devices SET kind = 'spare' WHERE site_id = 3; SELECT * FROM devices WHERE site_id = 3; ROLLBACK;",
];

const SCHEMA: &str = "\
CREATE TABLE sites (site_id int PRIMARY KEY, name text NOT NULL, country varchar(2) NOT NULL);
CREATE TABLE devices (device_id int PRIMARY KEY, site_id int NOT NULL, kind text NOT NULL, installed date NOT NULL);
CREATE TABLE readings (device_id int, read_at timestamptz, temperature numeric(5,2), battery int NOT NULL,
    PRIMARY KEY (device_id, read_at));";

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

    /// Loads the sample unless the folder has it already; how many rows came in.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn load(&self) -> Result<Option<u64>> {
        let mut client = self.connect().await?;
        match client.batch_execute("SELECT 1 FROM readings LIMIT 1").await {
            Ok(()) => return Ok(None),
            Err(e) if e.code().is_some_and(|c| c.code() == SqlState::UNDEFINED_TABLE.0) => {}
            Err(e) => return Err(server_error(&e)),
        }
        load_sample(&mut client).await.map(Some).map_err(|e| server_error(&e))
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

async fn load_sample(client: &mut Client) -> std::result::Result<u64, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SCHEMA).await?;
    let mut rows = 0;
    for (table, text) in [("sites", sample::sites()), ("devices", sample::devices()), ("readings", sample::readings())]
    {
        let copy = transaction.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN")).await?;
        let mut copy = Box::pin(copy);
        copy.send(Bytes::from(text)).await?;
        rows += copy.as_mut().finish().await?;
    }
    transaction.commit().await?;
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

mod sample {
    //! The rows, in COPY's text format.

    use std::fmt::Write;

    const SITES: [(&str, &str, i64); 8] = [
        ("Aarhus", "DK", 780),
        ("Brno", "CZ", 940),
        ("Como", "IT", 1340),
        ("Delft", "NL", 1050),
        ("Evora", "PT", 1690),
        ("Falun", "SE", 420),
        ("Gent", "BE", 1080),
        ("Hamina", "FI", 310),
    ];
    const DEVICES_PER_SITE: i64 = 5;
    const DAYS: i64 = 5;
    const KINDS: [&str; 3] = ["thermometer", "weather station", "logger"];

    /// `site_id, name, country`
    pub fn sites() -> String {
        let rows = (1..).zip(SITES).map(|(id, (name, country, _))| format!("{id}\t{name}\t{country}\n"));
        rows.collect()
    }

    /// `device_id, site_id, kind, installed`
    pub fn devices() -> String {
        let row = |id: i64| {
            let kind = KINDS[usize::try_from(noise(id) % 5 / 2).expect("0 to 2")];
            format!("{id}\t{}\t{kind}\t2025-{:02}-{:02}\n", site(id) + 1, 1 + id % 12, 1 + id * 7 % 28)
        };
        ids().map(row).collect()
    }

    /// `device_id, read_at, temperature, battery`
    pub fn readings() -> String {
        let mut text = String::new();
        for (id, hour) in ids().flat_map(|id| (0..DAYS * 24).map(move |hour| (id, hour))) {
            let (day, of_day) = (1 + hour / 24, hour % 24);
            let battery = 100 - hour / 8 - id % 7;
            let celsius = celsius(id, hour);
            writeln!(text, "{id}\t2026-06-{day:02} {of_day:02}:00:00+00\t{celsius}\t{battery}")
                .expect("a String takes everything");
        }
        text
    }

    fn ids() -> std::ops::RangeInclusive<i64> {
        1..=DEVICES_PER_SITE * i64::try_from(SITES.len()).expect("a few")
    }

    /// 0-based.
    fn site(device: i64) -> i64 {
        (device - 1) / DEVICES_PER_SITE
    }

    /// The site's mean, a daily wave with its top at 15 h, some noise; now and then a reading is missing.
    fn celsius(device: i64, hour: i64) -> String {
        let noise = noise(device * 1000 + hour);
        if noise % 97 == 0 {
            return "\\N".to_owned();
        }
        let mean = SITES[usize::try_from(site(device)).expect("from 0")].2;
        let from_top = (hour % 24 - 15 + 36) % 24 - 12;
        let hundredths = mean + 600 - from_top.abs() * 100 + noise % 200 - 100;
        let sign = if hundredths < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100)
    }

    /// splitmix64: the same numbers everywhere.
    fn noise(seed: i64) -> i64 {
        let mut z = seed.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 1).cast_signed()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn sample_is_always_the_same() {
            assert_eq!(sites().lines().count(), 8);
            assert_eq!(devices().lines().count(), 40);
            let text = readings();
            assert_eq!(text.lines().count(), 4800);
            assert_eq!(text, readings());
            assert!(text.contains("\\N"));
            for kind in KINDS {
                assert!(devices().contains(kind), "{kind}");
            }
        }
    }
}
