//! Server settings, each declared once: name, flag, domain, default, sentence, reload rule.
//!
//! [`Config`]'s fields, the command line's help, SHOW and `docs/guide/settings.md` all come from this table. Where values come
//! from is in [`crate::sources`]; settings of a session are in `heddle_session::settings`.

use heddle_session::settings::ServerSetting;
use heddle_types::{Error, Result, SqlState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Domain {
    /// A path.
    Path,
    /// A path, or `none`.
    PathOrNone,
    /// An IP address and a port.
    Address,
    /// on/off
    Switch,
    /// A number without unit.
    Count {
        /// Smallest
        min: usize,
        /// Largest
        max: usize,
    },
    /// An amount of bytes, written with B, kB, MB, GB or TB (a bare number is bytes).
    Bytes {
        /// Smallest
        min: usize,
        /// Largest
        max: usize,
        /// The value must be a multiple of it.
        step: usize,
    },
    /// Filter directives of the `tracing` libraries: `info`, `warn,heddle_txn=debug`.
    LogFilter,
}

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// At the next start.
    Restart,
}

/// One server setting.
#[derive(Debug)]
pub struct Setting {
    /// In the file and in SHOW; in the environment in capitals behind `HEDDLEDB_`.
    pub name: &'static str,
    /// On the command line behind `--`.
    pub flag: &'static str,
    /// Values.
    pub domain: Domain,
    /// Default as one would write it; empty when a value must be given.
    pub default: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// When a change takes effect.
    pub reload: Reload,
}

macro_rules! settings {
    ($($name:ident: $type:ty, $flag:literal, $default:literal, $domain:expr, $reload:ident, $about:literal;)*) => {
        /// Every server setting.
        pub static SETTINGS: &[Setting] = &[
            $(Setting { name: stringify!($name), flag: $flag, domain: $domain, default: $default, about: $about, reload: Reload::$reload },)*
        ];

        /// The values a node runs with.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(#[doc = $about] pub $name: $type,)*
        }

        impl Config {
            /// Takes each setting's text from `text`.
            ///
            /// # Errors
            /// `22023` when a value is outside of its domain, or `text`'s own.
            pub fn read(mut text: impl FnMut(&'static Setting) -> Result<String>) -> Result<Self> {
                let mut settings = SETTINGS.iter();
                let mut next = || settings.next().expect("one entry per field");
                Ok(Self {
                    $($name: {
                        let setting = next();
                        let text = text(setting)?;
                        <$type>::parse(setting, &text).map_err(|why| invalid(setting, &text, &why))?
                    },)*
                })
            }

            /// Each setting as SHOW prints it.
            pub fn shown(&self) -> Arc<[ServerSetting]> {
                let mut settings = SETTINGS.iter();
                let mut row = |show: &dyn Fn(&Setting) -> String| {
                    let s = settings.next().expect("one entry per field");
                    ServerSetting { name: s.name.to_owned(), value: show(s), description: s.about.to_owned() }
                };
                [$(row(&|s| self.$name.show(s)),)*].into()
            }
        }
    };
}

const KB: usize = 1 << 10;
const MB: usize = 1 << 20;
const GB: usize = 1 << 30;
const TB: usize = 1 << 40;

const fn bytes(min: usize, max: usize) -> Domain {
    Domain::Bytes { min, max, step: 1 }
}

settings! {
    data_directory: PathBuf, "data-dir", "", Domain::Path, Restart,
        "Folder of the database; created when absent, used by one server at a time.";
    pg_listen: SocketAddr, "pg-listen", "127.0.0.1:5432", Domain::Address, Restart,
        "IP address and port for the PostgreSQL protocol; port 0 takes a free one.";
    pg_socket_dir: Option<PathBuf>, "pg-socket-dir", "none", Domain::PathOrNone, Restart,
        "Folder in which a Unix socket for the PostgreSQL protocol is made, named .s.PGSQL. and the port; only the server's own user may use it.";
    insecure: bool, "insecure", "off", Domain::Switch, Restart,
        "Trusts every connection and makes every user a superuser; required until roles exist, and then only loopback addresses are accepted.";
    max_connections: usize, "max-connections", "500", Domain::Count { min: 1, max: 100_000 }, Restart,
        "Most sessions at once; one more is refused with 53300.";
    worker_threads: usize, "worker-threads", "0", Domain::Count { min: 0, max: 1024 }, Restart,
        "Threads that own connections and answer small requests; 0 takes one per core.";
    query_threads: usize, "query-threads", "0", Domain::Count { min: 0, max: 1024 }, Restart,
        "Partitions into which one large query is split, each run by a thread; 0 takes one per core.";
    query_memory: usize, "query-memory", "4GB", bytes(16 * MB, 64 * TB), Restart,
        "Memory for sorts, joins and groupings of all queries together; beyond it they spill to disk or fail with 53200.";
    disable_point_plans: bool, "disable-point-plans", "off", Domain::Switch, Restart,
        "Sends statements about one row by its key through the same plans as all others: slower, for comparing answers.";
    batch_rows: usize, "batch-rows", "8192", Domain::Count { min: 16, max: 1 << 16 }, Restart,
        "Rows that queries handle at a time.";
    cache_size: usize, "cache-size", "128MB", bytes(MB, 64 * TB), Restart,
        "Cache of rows (a sixth) and disk pages of relational tables; it grows to this size as they are used.";
    memtable_size: usize, "memtable-size", "64MB", bytes(64 * KB, 64 * GB), Restart,
        "Changes held in one in-memory table, one for rows and one for points, before it is sealed and written into the tables on disk.";
    unmerged_memory_max: usize, "unmerged-memory-max", "512MB", bytes(MB, TB), Restart,
        "Changes that may wait in memory for their merge; writers wait beyond it.";
    log_segment_size: usize, "log-segment-size", "64MB", Domain::Bytes { min: 2 * MB, max: 2 * GB, step: 4 * KB }, Restart,
        "Size of a segment file of the log, a multiple of 4kB; existing segments keep theirs.";
    log_batch_size: usize, "log-batch-size", "4MB", bytes(64 * KB, GB), Restart,
        "Most bytes that are written to the log before one fsync.";
    log_queue_size: usize, "log-queue-size", "32MB", bytes(MB, 16 * GB), Restart,
        "Most bytes that may be queued for the log; writers wait beyond it.";
    write_set_stream_size: usize, "write-set-stream-size", "8MB", bytes(64 * KB, GB), Restart,
        "A transaction whose changes pass this size sends them to the log while it runs.";
    write_set_memory_max: usize, "write-set-memory-max", "4GB", bytes(MB, TB), Restart,
        "Largest transaction; changes beyond it fail with 54000.";
    log_level: String, "log-level", "info", Domain::LogFilter, Restart,
        "What the server reports on standard error: error, warn, info, debug, trace, also by module as in warn,heddle_txn=debug.";
}

impl Config {
    /// Defaults, on a folder and with a free port on loopback: what tests and the demo start from.
    ///
    /// # Panics
    /// Never: the defaults are tested to be inside their domains.
    pub fn local(data_directory: impl Into<PathBuf>) -> Self {
        let folder = data_directory.into();
        let text = |setting: &'static Setting| match setting.name {
            "data_directory" => Ok(".".to_owned()),
            "pg_listen" => Ok("127.0.0.1:0".to_owned()),
            "insecure" => Ok("on".to_owned()),
            _ => Ok(setting.default.to_owned()),
        };
        let config = Self::read(text).expect("defaults are inside their domains");
        Self { data_directory: folder, ..config }
    }

    /// What must hold between settings.
    ///
    /// # Errors
    /// `42501` without `insecure`, `22023` for an address other hosts can reach.
    pub fn check(&self) -> Result<()> {
        if !self.insecure {
            let text = "roles and passwords do not exist yet, the server starts only with --insecure";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, text)
                .detail("With --insecure every local connection is trusted and is a superuser."));
        }
        if !self.pg_listen.ip().is_loopback() {
            let text = format!("pg_listen {} is not a loopback address", self.pg_listen);
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text)
                .detail("With --insecure only loopback addresses are accepted, since every connection is trusted.")
                .hint("Use 127.0.0.1 or [::1]."));
        }
        Ok(())
    }
}

fn invalid(setting: &Setting, text: &str, why: &str) -> Error {
    let (name, about) = (setting.name, setting.about);
    let error = if text.is_empty() {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("setting \"{name}\" has no value"))
    } else {
        let message = format!("invalid value for setting \"{name}\": \"{text}\"");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    };
    error.detail(format!("{why}. {about}"))
}

/// A type that a setting's field may have.
trait Value: Sized {
    fn parse(setting: &Setting, text: &str) -> std::result::Result<Self, String>;
    fn show(&self, setting: &Setting) -> String;
}

impl Value for PathBuf {
    fn parse(_: &Setting, text: &str) -> std::result::Result<Self, String> {
        if text.is_empty() { Err("A path is needed".to_owned()) } else { Ok(Self::from(text)) }
    }

    fn show(&self, _: &Setting) -> String {
        self.display().to_string()
    }
}

impl Value for Option<PathBuf> {
    fn parse(setting: &Setting, text: &str) -> std::result::Result<Self, String> {
        if text == "none" { Ok(None) } else { PathBuf::parse(setting, text).map(Some) }
    }

    fn show(&self, setting: &Setting) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), |path| path.show(setting))
    }
}

impl Value for SocketAddr {
    fn parse(_: &Setting, text: &str) -> std::result::Result<Self, String> {
        text.parse().map_err(|_| "An IP address and a port are needed, like 127.0.0.1:5432".to_owned())
    }

    fn show(&self, _: &Setting) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn parse(_: &Setting, text: &str) -> std::result::Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Ok(true),
            "off" | "false" | "no" | "0" => Ok(false),
            _ => Err("On or off is needed".to_owned()),
        }
    }

    fn show(&self, _: &Setting) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

/// A count or a size: the table's domain says which.
impl Value for usize {
    fn parse(setting: &Setting, text: &str) -> std::result::Result<Self, String> {
        let (value, min, max, step) = match setting.domain {
            Domain::Bytes { min, max, step } => (parse_size(text), min, max, step),
            Domain::Count { min, max } => (text.parse().ok(), min, max, 1),
            _ => return Err("The setting is not a number".to_owned()),
        };
        match value {
            Some(v) if (min..=max).contains(&v) && v % step == 0 => Ok(v),
            _ => Err(format!("The value must be {}", setting.domain.range())),
        }
    }

    fn show(&self, setting: &Setting) -> String {
        if matches!(setting.domain, Domain::Bytes { .. }) { show_size(*self) } else { self.to_string() }
    }
}

impl Value for String {
    fn parse(_: &Setting, text: &str) -> std::result::Result<Self, String> {
        match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(e) => Err(format!("The filter is not understood ({e})")),
        }
    }

    fn show(&self, _: &Setting) -> String {
        self.clone()
    }
}

const UNITS: [(&str, usize); 5] = [("TB", TB), ("GB", GB), ("MB", MB), ("kB", KB), ("B", 1)];

fn parse_size(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = text[end..].trim();
    let factor = match unit {
        "" => 1,
        _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    text[..end].parse::<usize>().ok()?.checked_mul(factor)
}

fn show_size(bytes: usize) -> String {
    let fits = UNITS.iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    fits.map_or_else(|| bytes.to_string(), |(name, size)| format!("{}{name}", bytes / size))
}

impl Domain {
    /// The range in words: `1MB .. 1TB`.
    pub fn range(&self) -> String {
        match *self {
            Self::Path => "a path".to_owned(),
            Self::PathOrNone => "a path, none".to_owned(),
            Self::Address => "IP address:port".to_owned(),
            Self::Switch => "on, off".to_owned(),
            Self::Count { min, max } => format!("{min} .. {max}"),
            Self::Bytes { min, max, step: 1 } => format!("{} .. {}", show_size(min), show_size(max)),
            Self::Bytes { min, max, step } => {
                format!("{} .. {}, a multiple of {}", show_size(min), show_size(max), show_size(step))
            }
            Self::LogFilter => "filter directives".to_owned(),
        }
    }

    /// The unit of a bare number.
    pub fn unit(&self) -> &'static str {
        if matches!(self, Self::Bytes { .. }) { "B" } else { "" }
    }
}

impl Reload {
    /// In words.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Restart => "restart",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Config> {
        Config::read(|s| {
            let value = if s.name == name { value } else { s.default };
            Ok(if value.is_empty() && s.name != name { "x" } else { value }.to_owned())
        })
    }

    #[test]
    fn defaults_are_inside_their_domains() {
        Config::local("x").check().unwrap();
        assert_eq!(with("", "").unwrap().log_segment_size, 64 << 20);
    }

    #[test]
    fn sizes_take_units_and_ranges() {
        assert_eq!(with("cache_size", "1GB").unwrap().cache_size, 1 << 30);
        assert_eq!(with("cache_size", "2097152").unwrap().cache_size, 2 << 20);
        assert_eq!(with("cache_size", "2 mb").unwrap().cache_size, 2 << 20);
        for bad in ["1kB", "-1", "1XB", "", "99999999999TB", "99999999999999999999"] {
            assert_eq!(with("cache_size", bad).unwrap_err().code(), SqlState::INVALID_PARAMETER_VALUE, "{bad}");
        }
        let error = with("log_segment_size", "4194305").unwrap_err();
        assert!(error.fields().detail.as_ref().unwrap().starts_with("The value must be 2MB .. 2GB, a multiple of 4kB"));
    }

    #[test]
    fn other_domains_are_checked() {
        for (name, bad) in
            [("pg_listen", "localhost"), ("insecure", "maybe"), ("max_connections", "0"), ("log_level", "a=b=c")]
        {
            let error = with(name, bad).unwrap_err();
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn only_loopback_and_only_insecure() {
        let local = Config::local("x");
        assert!(Config { insecure: false, ..local.clone() }.check().is_err());
        let everywhere = Config { pg_listen: "0.0.0.0:5432".parse().unwrap(), ..local.clone() };
        assert_eq!(everywhere.check().unwrap_err().code(), SqlState::INVALID_PARAMETER_VALUE);
        Config { pg_listen: "[::1]:5432".parse().unwrap(), ..local }.check().unwrap();
    }

    #[test]
    fn shown_as_show_prints_it() {
        let shown = Config::local("x").shown();
        let value = |name: &str| shown.iter().find(|s| s.name == name).unwrap().value.clone();
        assert_eq!(value("log_segment_size"), "64MB");
        assert_eq!(value("max_connections"), "500");
        assert_eq!(value("insecure"), "on");
    }
}
