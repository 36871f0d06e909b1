//! Session settings (PostgreSQL's GUCs): one table, and the values of one session with PostgreSQL's transaction rules.
//!
//! `SET`, `SHOW`, `pg_settings`, `current_setting()`, startup parameters and ParameterStatus all go through here. A SET is undone by
//! the ROLLBACK of the transaction (or savepoint) it ran in; SET LOCAL also by COMMIT.

use heddle_types::datetime::{DateFormat, DateOrder, DateTimeSettings, IntervalStyle, Zone};
use heddle_types::text::TextSettings;
use heddle_types::{Error, Result, SqlState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Domain {
    /// on/off
    Bool,
    /// An integer in a base unit (`""`, `ms`, `s`, `kB`, `8kB`, `B`) within a range.
    Int {
        /// Base unit as pg_settings shows it
        unit: &'static str,
        /// Smallest
        min: i64,
        /// Largest
        max: i64,
    },
    /// A float within a range.
    Real {
        /// Smallest
        min: f64,
        /// Largest
        max: f64,
    },
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Any text.
    Text,
    /// TimeZone
    TimeZone,
    /// DateStyle
    DateStyle,
    /// client_encoding
    Encoding,
    /// A list of identifiers (search_path)
    NameList,
}

/// Who may change a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Anybody, any time.
    User,
    /// Nobody: `55P02`.
    Internal,
    /// Only at server start.
    Postmaster,
}

/// One setting.
#[derive(Clone, Debug)]
pub struct SettingDef {
    /// Canonical spelling
    pub name: &'static str,
    /// Canonical default
    pub default: &'static str,
    /// Values
    pub domain: Domain,
    /// Who
    pub scope: Scope,
    /// Sent as ParameterStatus
    pub report: bool,
    /// One sentence
    pub description: &'static str,
}

macro_rules! settings {
    ($($name:literal = $default:literal, $domain:expr, $scope:ident, $report:literal, $desc:literal;)*) => {
        /// Every session setting, ordered by lower-case name.
        pub static SETTINGS: &[SettingDef] = &[
            $(SettingDef { name: $name, default: $default, domain: $domain, scope: Scope::$scope, report: $report, description: $desc },)*
        ];
    };
}

const MS: Domain = Domain::Int { unit: "ms", min: 0, max: i32::MAX as i64 };
const fn count(min: i64, max: i64) -> Domain {
    Domain::Int { unit: "", min, max }
}

settings! {
    "application_name" = "", Domain::Text, User, true, "Name of the client program, as it calls itself.";
    "bytea_output" = "hex", Domain::Enum(&["escape", "hex"]), User, false, "Text form of bytea.";
    "block_size" = "8192", count(8192, 8192), Internal, false, "Size of a disk block, for tools that ask.";
    "check_function_bodies" = "on", Domain::Bool, User, false, "Accepted for dump scripts; there are no function bodies to check.";
    "client_encoding" = "UTF8", Domain::Encoding, User, true, "Character set of the client; only UTF8.";
    "client_min_messages" = "notice", Domain::Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]), User, false, "Least severe message that is sent to the client.";
    "DateStyle" = "ISO, MDY", Domain::DateStyle, User, true, "Output format of dates and field order of ambiguous input.";
    "default_transaction_isolation" = "read committed", Domain::Enum(&["read uncommitted", "read committed", "repeatable read", "serializable"]), User, false, "Isolation level of new transactions.";
    "default_transaction_read_only" = "off", Domain::Bool, User, true, "Whether new transactions are read-only.";
    "extra_float_digits" = "1", count(-15, 3), User, false, "Digits shown of floats; above 0 the shortest form that reads back the same.";
    "idle_in_transaction_session_timeout" = "0", MS, User, false, "A session that idles this long inside a transaction is ended; 0 never.";
    "idle_session_timeout" = "0", MS, User, false, "A session that idles this long outside a transaction is ended; 0 never.";
    "in_hot_standby" = "off", Domain::Bool, Internal, true, "Whether the server is a read-only replica.";
    "integer_datetimes" = "on", Domain::Bool, Internal, true, "Timestamps are integers on the wire.";
    "IntervalStyle" = "postgres", Domain::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]), User, true, "Text form of intervals.";
    "is_superuser" = "on", Domain::Bool, Internal, true, "Whether the current user is a superuser.";
    "lc_collate" = "C.UTF-8", Domain::Text, Internal, false, "Collation: by bytes.";
    "lc_ctype" = "C.UTF-8", Domain::Text, Internal, false, "Character classes: Unicode.";
    "lock_timeout" = "0", MS, User, false, "A statement that waits this long for a lock fails with 55P03; 0 never.";
    "max_identifier_length" = "63", count(63, 63), Internal, false, "Longest identifier in bytes.";
    "max_index_keys" = "32", count(32, 32), Internal, false, "Most columns of an index.";
    "search_path" = "\"$user\", public", Domain::NameList, User, true, "Schemas in which unqualified names are looked up.";
    "server_encoding" = "UTF8", Domain::Text, Internal, true, "Character set of the database.";
    "server_version" = "15.18 (HeddleDB 0.1.0)", Domain::Text, Internal, true, "The PostgreSQL version whose behaviour clients may expect.";
    "server_version_num" = "150018", count(150018, 150018), Internal, false, "The same as a number.";
    "session_authorization" = "", Domain::Text, Internal, true, "The session's user.";
    "standard_conforming_strings" = "on", Domain::Bool, User, true, "Backslashes in plain literals are ordinary; only on.";
    "statement_timeout" = "0", MS, User, false, "A statement that runs this long fails with 57014; 0 never.";
    "TimeZone" = "UTC", Domain::TimeZone, User, true, "Zone in which timestamptz is read and shown.";
    "transaction_isolation" = "read committed", Domain::Enum(&["read uncommitted", "read committed", "repeatable read", "serializable"]), User, false, "Isolation level of the current transaction.";
    "transaction_read_only" = "off", Domain::Bool, User, false, "Whether the current transaction is read-only.";
    "heddledb.block_statistics" = "on", Domain::Bool, User, false, "Aggregates over time-series tables take what is known of whole blocks of points instead of reading them.";
    "heddledb.series_plans" = "on", Domain::Bool, User, false, "Aggregates over time-series tables run along their series; off leaves them to general plans.";
    "heddledb.version" = "0.1.0", Domain::Text, Internal, false, "The version of HeddleDB itself.";
}

/// Settings that PostgreSQL's clients set out of habit and that change nothing here: kept and shown, with their defaults.
/// `docs/guide/settings.md` lists them as having no effect.
pub static INERT: &[(&str, &str)] = &[
    ("array_nulls", "on"),
    ("backslash_quote", "safe_encoding"),
    ("constraint_exclusion", "partition"),
    ("default_statistics_target", "100"),
    ("default_table_access_method", "heap"),
    ("default_tablespace", ""),
    ("default_text_search_config", "pg_catalog.simple"),
    ("default_toast_compression", "pglz"),
    ("default_transaction_deferrable", "off"),
    ("enable_bitmapscan", "on"),
    ("enable_hashagg", "on"),
    ("enable_hashjoin", "on"),
    ("enable_indexonlyscan", "on"),
    ("enable_indexscan", "on"),
    ("enable_material", "on"),
    ("enable_mergejoin", "on"),
    ("enable_nestloop", "on"),
    ("enable_seqscan", "on"),
    ("enable_sort", "on"),
    ("escape_string_warning", "on"),
    ("jit", "off"),
    ("lc_messages", "C.UTF-8"),
    ("lc_monetary", "C.UTF-8"),
    ("lc_numeric", "C.UTF-8"),
    ("lc_time", "C.UTF-8"),
    ("log_min_duration_statement", "-1"),
    ("log_statement", "none"),
    ("maintenance_work_mem", "64MB"),
    ("max_parallel_workers_per_gather", "2"),
    ("plan_cache_mode", "auto"),
    ("quote_all_identifiers", "off"),
    ("role", "none"),
    ("row_security", "on"),
    ("session_replication_role", "origin"),
    ("synchronize_seqscans", "on"),
    ("temp_tablespaces", ""),
    ("timezone_abbreviations", "Default"),
    ("transaction_deferrable", "off"),
    ("transform_null_equals", "off"),
    ("vacuum_freeze_min_age", "50000000"),
    ("work_mem", "4MB"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
];

/// A setting the server was started with: shown, never changed by SQL.
#[derive(Clone, Debug)]
pub struct ServerSetting {
    /// Name
    pub name: String,
    /// Value as SHOW prints it
    pub value: String,
    /// One sentence
    pub description: String,
}

type Values = BTreeMap<String, String>;

/// The settings of one session.
#[derive(Debug)]
pub struct Settings {
    server: Arc<[ServerSetting]>,
    /// What RESET goes back to: defaults of the server and startup parameters of the connection.
    reset: Values,
    session: Values,
    local: Values,
    /// `session` at BEGIN and `(session, local)` at each savepoint.
    begin: Option<Values>,
    savepoints: Vec<(u32, Values, Values)>,
    /// (isolation level, read only) of the running transaction.
    transaction: Option<(&'static str, bool)>,
    generation: Arc<AtomicU64>,
}

/// Finds a setting by any spelling.
pub fn find(name: &str) -> Option<&'static SettingDef> {
    SETTINGS.iter().find(|d| d.name.eq_ignore_ascii_case(name))
}

fn unknown(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

impl Settings {
    /// A session's settings before its startup parameters.
    pub fn new(server: Arc<[ServerSetting]>, user: &str) -> Self {
        let reset = BTreeMap::from([("session_authorization".to_owned(), user.to_owned())]);
        Self {
            server,
            reset,
            session: Values::new(),
            local: Values::new(),
            begin: None,
            savepoints: vec![],
            transaction: None,
            generation: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Grows with every change, made here alone; caches compare it.
    pub fn generation(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.generation)
    }

    fn note_change(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Applies a startup parameter: what RESET returns to. `42704` for unknown names.
    pub fn startup(&mut self, name: &str, value: &str) -> Result<()> {
        let (key, value) = self.checked(name, value)?;
        self.reset.insert(key, value);
        self.note_change();
        Ok(())
    }

    /// SET name TO value. `local` lasts until the end of the transaction.
    pub fn set(&mut self, name: &str, value: &str, local: bool) -> Result<()> {
        let (key, value) = self.checked(name, value)?;
        self.store(key, value, local);
        Ok(())
    }

    /// SET name TO DEFAULT and RESET name.
    pub fn reset(&mut self, name: &str, local: bool) -> Result<()> {
        let key = self.writable(name)?;
        let value = self.reset_value(&key).ok_or_else(|| unknown(name))?;
        self.store(key, value, local);
        Ok(())
    }

    /// RESET ALL.
    pub fn reset_all(&mut self) {
        self.session.clear();
        self.local.clear();
        self.note_change();
    }

    fn store(&mut self, key: String, value: String, local: bool) {
        if local {
            self.local.insert(key, value);
        } else {
            self.local.remove(&key);
            self.session.insert(key, value);
        }
        self.note_change();
    }

    fn writable(&self, name: &str) -> Result<String> {
        if let Some(def) = find(name) {
            if def.scope == Scope::User {
                return Ok(def.name.to_owned());
            }
            return Err(Error::new(
                SqlState::CANT_CHANGE_RUNTIME_PARAM,
                format!("parameter \"{}\" cannot be changed", def.name),
            ));
        }
        if let Some((inert, _)) = INERT.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            return Ok((*inert).to_owned());
        }
        if self.server.iter().any(|s| s.name.eq_ignore_ascii_case(name)) {
            return Err(Error::new(
                SqlState::CANT_CHANGE_RUNTIME_PARAM,
                format!("parameter \"{name}\" cannot be changed without restarting the server"),
            ));
        }
        if name.contains('.') { Ok(name.to_ascii_lowercase()) } else { Err(unknown(name)) }
    }

    fn checked(&self, name: &str, value: &str) -> Result<(String, String)> {
        let key = self.writable(name)?;
        let value = match find(&key) {
            Some(def) => canonical(def, value)?,
            None => value.to_owned(),
        };
        Ok((key, value))
    }

    fn reset_value(&self, key: &str) -> Option<String> {
        self.reset.get(key).cloned().or_else(|| default_of(key)).or_else(|| key.contains('.').then(String::new))
    }

    /// Tells what `transaction_isolation` and `transaction_read_only` show while a transaction runs.
    pub fn transaction_mode(&mut self, mode: Option<(&'static str, bool)>) {
        self.transaction = mode;
    }

    /// What [`Self::transaction_mode`] was told last.
    pub fn running_mode(&self) -> Option<(&'static str, bool)> {
        self.transaction
    }

    /// The raw value (base unit), if the name is known.
    pub fn get(&self, name: &str) -> Option<String> {
        if let Some((level, read_only)) = self.transaction {
            if name.eq_ignore_ascii_case("transaction_isolation") {
                return Some(level.to_owned());
            }
            if name.eq_ignore_ascii_case("transaction_read_only") {
                return Some(if read_only { "on" } else { "off" }.to_owned());
            }
        } else if name.eq_ignore_ascii_case("transaction_isolation")
            || name.eq_ignore_ascii_case("transaction_read_only")
        {
            // What the next transaction will have.
            return self.get(&format!("default_{}", name.to_ascii_lowercase()));
        }
        let key = match find(name) {
            Some(def) => def.name.to_owned(),
            None => match INERT.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
                Some((n, _)) => (*n).to_owned(),
                None => name.to_ascii_lowercase(),
            },
        };
        if let Some(v) = self.local.get(&key).or_else(|| self.session.get(&key)).or_else(|| self.reset.get(&key)) {
            return Some(v.clone());
        }
        if let Some(v) = default_of(&key) {
            return Some(v);
        }
        self.server.iter().find(|s| s.name.eq_ignore_ascii_case(&key)).map(|s| s.value.clone())
    }

    /// The value as SHOW prints it, and the canonical name. `42704` for unknown names.
    pub fn show(&self, name: &str) -> Result<(String, String)> {
        let raw = self.get(name).ok_or_else(|| unknown(name))?;
        Ok(match find(name) {
            Some(def) => (def.name.to_owned(), humanized(def, &raw)),
            None => (name.to_ascii_lowercase(), raw),
        })
    }

    /// Every setting by lower-case name: (name, value as SHOW prints it, description).
    pub fn all(&self) -> Vec<(String, String, String)> {
        let mut rows: Vec<_> = SETTINGS
            .iter()
            .map(|d| (d.name.to_owned(), humanized(d, &self.get(d.name).unwrap_or_default()), d.description.to_owned()))
            .chain(INERT.iter().map(|(n, _)| {
                let what = "Kept for PostgreSQL's clients; has no effect.";
                ((*n).to_owned(), self.get(n).unwrap_or_default(), what.to_owned())
            }))
            .chain(self.server.iter().map(|s| (s.name.clone(), s.value.clone(), s.description.clone())))
            .collect();
        rows.sort_by_key(|(n, _, _)| n.to_ascii_lowercase());
        rows
    }

    /// Names and values to report as ParameterStatus.
    pub fn reported(&self) -> Vec<(&'static str, String)> {
        SETTINGS.iter().filter(|d| d.report).map(|d| (d.name, self.get(d.name).unwrap_or_default())).collect()
    }

    /// A transaction begins.
    pub fn begin(&mut self) {
        self.begin = Some(self.session.clone());
        self.savepoints.clear();
    }

    /// A savepoint is set.
    pub fn savepoint(&mut self, mark: u32) {
        self.savepoints.push((mark, self.session.clone(), self.local.clone()));
    }

    /// A savepoint and those after it are released: what was set since stays.
    pub fn release(&mut self, mark: u32) {
        self.savepoints.retain(|(m, _, _)| *m < mark);
    }

    /// Back to a savepoint, which stays.
    pub fn rollback_to(&mut self, mark: u32) {
        while self.savepoints.last().is_some_and(|(m, _, _)| *m > mark) {
            self.savepoints.pop();
        }
        if let Some((_, session, local)) = self.savepoints.last().filter(|(m, _, _)| *m == mark) {
            self.session = session.clone();
            self.local = local.clone();
            self.note_change();
        }
    }

    /// The transaction ends.
    pub fn end(&mut self, committed: bool) {
        let begin = self.begin.take();
        self.transaction = None;
        self.savepoints.clear();
        let changed = !self.local.is_empty() || (!committed && begin.as_ref().is_some_and(|b| *b != self.session));
        if !changed {
            return;
        }
        self.local.clear();
        if let (false, Some(session)) = (committed, begin) {
            self.session = session;
        }
        self.note_change();
    }

    /// The value of an integer setting, in its base unit.
    pub fn int(&self, name: &str) -> i64 {
        self.get(name).and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Is a boolean setting on?
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).as_deref() == Some("on")
    }

    /// What text forms depend on; `now` is filled per transaction.
    pub fn text(&self, now: i64) -> TextSettings {
        let (format, order) = parse_date_style(&self.get("DateStyle").unwrap_or_default()).unwrap_or_default();
        let interval = match self.get("IntervalStyle").as_deref() {
            Some("postgres_verbose") => IntervalStyle::PostgresVerbose,
            Some("sql_standard") => IntervalStyle::SqlStandard,
            Some("iso_8601") => IntervalStyle::Iso8601,
            _ => IntervalStyle::Postgres,
        };
        let zone = self.get("TimeZone").and_then(|z| Zone::parse(&z).ok()).unwrap_or_else(Zone::utc);
        TextSettings {
            datetime: DateTimeSettings { format, order, interval, zone, now },
            bytea_escape: self.get("bytea_output").as_deref() == Some("escape"),
            extra_float_digits: i32::try_from(self.int("extra_float_digits")).unwrap_or(1),
            reg_names: None,
        }
    }

    /// search_path as a list.
    pub fn search_path(&self) -> Vec<String> {
        split_names(&self.get("search_path").unwrap_or_default())
    }
}

fn default_of(key: &str) -> Option<String> {
    SETTINGS
        .iter()
        .find(|d| d.name == key)
        .map(|d| d.default)
        .or_else(|| INERT.iter().find(|(n, _)| *n == key).map(|(_, v)| *v))
        .map(str::to_owned)
}

fn invalid(def: &SettingDef, value: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid value for parameter \"{}\": \"{value}\"", def.name))
}

/// Checks a value and brings it into its canonical form.
fn canonical(def: &SettingDef, value: &str) -> Result<String> {
    let v = value.trim();
    match def.domain {
        Domain::Bool => {
            let on = parse_bool(v).ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("parameter \"{}\" requires a Boolean value", def.name),
                )
            })?;
            if def.name == "standard_conforming_strings" && !on {
                return Err(Error::unsupported("standard_conforming_strings = off"));
            }
            Ok(if on { "on" } else { "off" }.to_owned())
        }
        Domain::Int { unit, min, max } => {
            let n = parse_int(v, unit).ok_or_else(|| invalid(def, value))?;
            if n < min || n > max {
                let u = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("{n}{u} is outside the valid range for parameter \"{}\" ({min} .. {max})", def.name),
                ));
            }
            Ok(n.to_string())
        }
        Domain::Real { min, max } => match v.parse::<f64>() {
            Ok(x) if x >= min && x <= max => Ok(x.to_string()),
            _ => Err(invalid(def, value)),
        },
        // A default that no transaction could begin with would leave the session unable to do anything, even to set it back.
        Domain::Enum(_) if def.name == "default_transaction_isolation" && v.eq_ignore_ascii_case("serializable") => {
            Err(Error::unsupported("transaction isolation level SERIALIZABLE")
                .hint("Use REPEATABLE READ and explicit locks."))
        }
        Domain::Enum(words) => match words.iter().find(|w| w.eq_ignore_ascii_case(v)) {
            Some(w) => Ok((*w).to_owned()),
            None => Err(invalid(def, value).hint(format!("Available values: {}.", words.join(", ")))),
        },
        Domain::Text | Domain::NameList => Ok(value.to_owned()),
        Domain::TimeZone => zone(v).map(|z| z.name().to_owned()).ok_or_else(|| invalid(def, value)),
        Domain::DateStyle => canonical_date_style(v).ok_or_else(|| invalid(def, value)),
        Domain::Encoding => {
            let word: String = v.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
            match word.as_str() {
                "utf8" | "unicode" | "sqlascii" => Ok("UTF8".to_owned()),
                _ => Err(invalid(def, value).detail("Only the encoding UTF8 is supported.")),
            }
        }
    }
}

/// A bare number is hours east of Greenwich in SET, unlike in a POSIX zone string.
fn zone(v: &str) -> Option<Zone> {
    match v.parse::<f64>() {
        Ok(hours) if hours.abs() <= 167.0 => Some(Zone::fixed((hours * 3600.0).round() as i32)),
        Ok(_) => None,
        Err(_) => Zone::parse(v).ok(),
    }
}

fn parse_bool(v: &str) -> Option<bool> {
    let v = v.to_ascii_lowercase();
    match v.as_str() {
        "1" | "on" => Some(true),
        "0" => Some(false),
        _ if v.is_empty() => None,
        _ if "true".starts_with(&v) || "yes".starts_with(&v) => Some(true),
        _ if "false".starts_with(&v) || "no".starts_with(&v) || (v.len() >= 2 && "off".starts_with(&v)) => Some(false),
        _ => None,
    }
}

fn parse_int(v: &str, unit: &str) -> Option<i64> {
    let end = v.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))).unwrap_or(v.len());
    let number: f64 = v[..end].parse().ok()?;
    let suffix = v[end..].trim();
    let factor = if suffix.is_empty() { 1.0 } else { factor(suffix)? / factor(unit)? };
    let n = (number * factor).round();
    (n.abs() < 9e18).then_some(n as i64)
}

/// Milliseconds of a time unit, bytes of a memory unit (the two families never mix: a base unit belongs to one).
fn factor(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        "B" => 1.0,
        "kB" => 1024.0,
        "MB" => 1_048_576.0,
        "GB" => 1_073_741_824.0,
        "TB" => 1_099_511_627_776.0,
        _ => return None,
    })
}

/// `SHOW`'s form: the largest unit that divides the value.
fn humanized(def: &SettingDef, raw: &str) -> String {
    let Domain::Int { unit, .. } = def.domain else { return raw.to_owned() };
    let (Ok(n), false) = (raw.parse::<i64>(), unit.is_empty()) else { return raw.to_owned() };
    if n <= 0 {
        return raw.to_owned();
    }
    let units: &[(&str, i64)] = match unit {
        "ms" => &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)],
        "s" => &[("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)],
        "kB" => &[("GB", 1_048_576), ("MB", 1024), ("kB", 1)],
        _ => &[("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1024), ("B", 1)],
    };
    let (name, size) = units.iter().find(|(_, size)| n % size == 0).expect("the last unit is 1");
    format!("{}{name}", n / size)
}

fn parse_date_style(v: &str) -> Option<(DateFormat, DateOrder)> {
    let (mut format, mut order) = (DateFormat::Iso, DateOrder::Mdy);
    for word in v.split(',').map(|w| w.trim().to_ascii_lowercase()).filter(|w| !w.is_empty()) {
        match word.as_str() {
            "iso" => format = DateFormat::Iso,
            "sql" => format = DateFormat::Sql,
            "german" => format = DateFormat::German,
            w if w.starts_with("postgres") => format = DateFormat::Postgres,
            "mdy" | "us" | "noneuropean" | "noneuro" => order = DateOrder::Mdy,
            "dmy" | "euro" | "european" => order = DateOrder::Dmy,
            "ymd" => order = DateOrder::Ymd,
            "default" => (format, order) = (DateFormat::Iso, DateOrder::Mdy),
            _ => return None,
        }
    }
    Some((format, order))
}

fn canonical_date_style(v: &str) -> Option<String> {
    let (format, order) = parse_date_style(v)?;
    let format = match format {
        DateFormat::Iso => "ISO",
        DateFormat::Sql => "SQL",
        DateFormat::Postgres => "Postgres",
        DateFormat::German => "German",
    };
    let order = match order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    };
    Some(format!("{format}, {order}"))
}

/// Splits `a, "B c"` into names, folding unquoted ones.
pub fn split_names(list: &str) -> Vec<String> {
    let mut names = vec![];
    let mut chars = list.chars().peekable();
    let mut current = String::new();
    let mut quoted = false;
    let mut any = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                current.push('"');
            }
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ',' if !quoted => {
                if any {
                    names.push(std::mem::take(&mut current));
                }
                any = false;
            }
            c if c.is_whitespace() && !quoted => {}
            c => {
                any = true;
                if quoted { current.push(c) } else { current.extend(c.to_lowercase()) }
            }
        }
    }
    if any {
        names.push(current);
    }
    names
}

/// Joins list items of a SET as PostgreSQL stores them: quoted where needed.
pub fn join_names(items: &[String]) -> String {
    let plain = |s: &str| {
        let mut b = s.bytes();
        b.next().is_some_and(|c| c.is_ascii_lowercase() || c == b'_')
            && b.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'$'))
    };
    items
        .iter()
        .map(|s| if plain(s) { s.clone() } else { format!("\"{}\"", s.replace('"', "\"\"")) })
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(Arc::from([]), "alice")
    }

    #[test]
    fn set_rollback_restores() {
        let mut s = settings();
        s.begin();
        s.set("statement_timeout", "30s", false).unwrap();
        assert_eq!(s.show("statement_timeout").unwrap().1, "30s");
        s.end(false);
        assert_eq!(s.show("STATEMENT_TIMEOUT").unwrap(), ("statement_timeout".into(), "0".into()));
    }

    #[test]
    fn set_local_ends_with_commit() {
        let mut s = settings();
        s.begin();
        s.set("application_name", "x", true).unwrap();
        assert_eq!(s.get("application_name").unwrap(), "x");
        s.end(true);
        assert_eq!(s.get("application_name").unwrap(), "");
    }

    #[test]
    fn savepoint_restores() {
        let mut s = settings();
        s.begin();
        s.set("application_name", "a", false).unwrap();
        s.savepoint(1);
        s.set("application_name", "b", false).unwrap();
        s.rollback_to(1);
        assert_eq!(s.get("application_name").unwrap(), "a");
        s.end(true);
        assert_eq!(s.get("application_name").unwrap(), "a");
    }

    #[test]
    fn released_savepoints_take_no_memory_and_keep_what_was_set() {
        let mut s = settings();
        s.begin();
        s.savepoint(1);
        for mark in 2..100 {
            s.savepoint(mark);
            s.set("application_name", &mark.to_string(), false).unwrap();
            s.release(mark);
        }
        assert_eq!(s.savepoints.len(), 1);
        assert_eq!(s.get("application_name").unwrap(), "99");
        s.rollback_to(1);
        assert_eq!(s.get("application_name").unwrap(), "");
    }

    #[test]
    fn serializable_is_refused_as_a_default() {
        let mut s = settings();
        let e = s.set("default_transaction_isolation", "Serializable", false).unwrap_err();
        assert_eq!(e.code(), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(s.get("default_transaction_isolation").unwrap(), "read committed");
    }

    #[test]
    fn unknown_is_42704_and_dotted_is_custom() {
        let mut s = settings();
        assert_eq!(s.set("nope", "1", false).unwrap_err().code(), SqlState::UNDEFINED_OBJECT);
        s.set("myapp.user", "7", false).unwrap();
        assert_eq!(s.show("myapp.user").unwrap().1, "7");
        assert_eq!(s.set("server_version", "9", false).unwrap_err().code(), SqlState::CANT_CHANGE_RUNTIME_PARAM);
    }

    #[test]
    fn date_style_is_canonical() {
        let mut s = settings();
        s.set("datestyle", "iso", false).unwrap();
        assert_eq!(s.get("DateStyle").unwrap(), "ISO, MDY");
        s.set("datestyle", "SQL, DMY", false).unwrap();
        assert_eq!(s.get("DateStyle").unwrap(), "SQL, DMY");
        assert!(s.set("datestyle", "foo", false).is_err());
    }

    #[test]
    fn names_split_and_join() {
        assert_eq!(split_names("\"$user\", Public, \"A b\""), ["$user", "public", "A b"]);
        assert_eq!(join_names(&["$user".into(), "public".into()]), "\"$user\", public");
        assert!(split_names("").is_empty());
    }
}
