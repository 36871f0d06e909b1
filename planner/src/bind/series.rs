//! Time-series DDL: clauses and columns to [`CreateSeries`], with every rule about what a time-series table may have.

use super::Binder;
use super::ddl::{check_columns, refuse_options};
use super::names::{fold_identifier, qualified, start};
use super::scope::{Found, creation_schema, find_relation, unknown_relation};
use crate::bound::{CreateSeries, CreateTable, Ddl, NewKey};
use crate::parse::{Clause, SeriesStatement, Written};
use heddle_catalog::{ColumnDef, Retention, SeriesDefaults, TableDef};
use heddle_engines::point::PartitionInterval;
use heddle_txn::RelationLock;
use heddle_types::datetime::DAY_US;
use heddle_types::{Class, Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, ColumnOption, Spanned};
use std::sync::Arc;

/// Most primary tags of a table.
const PRIMARY_TAGS_MAX: usize = 4;
/// Longest retention and partition.
const YEARS_MAX: i64 = 1000;

impl Binder<'_> {
    pub(super) fn series_statement(&mut self, s: &SeriesStatement) -> Result<Ddl> {
        match s {
            SeriesStatement::Table { table, tag_columns, clauses } => self.series_table(table, *tag_columns, clauses),
            SeriesStatement::Database { name, if_not_exists, clauses } => {
                let read = Clauses::read(clauses)?;
                let series = Some(SeriesDefaults { retention: read.retention.flatten(), partition: read.partition });
                Ok(Ddl::CreateDatabase { name: name.clone(), if_not_exists: *if_not_exists, series })
            }
            SeriesStatement::Retention { table, position, clause } => {
                let table = self.named_series(table, *position)?;
                let retention = Clauses::read(std::slice::from_ref(clause))?.retention.flatten();
                Ok(Ddl::SetRetention { table, retention })
            }
        }
    }

    /// In a database of time-series tables there are no others.
    pub(super) fn refuse_relational(&self) -> Result<()> {
        if self.defaults_of_database().is_none() {
            return Ok(());
        }
        let text = format!("database \"{}\" takes time-series tables only", self.ctx.session.database);
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text)
            .hint("Give the table TAGS and PRIMARY TAGS, or create it in another database."))
    }

    fn defaults_of_database(&self) -> Option<SeriesDefaults> {
        self.catalog().database_by_oid(self.ctx.session.database_oid)?.series
    }

    fn series_table(&mut self, t: &ast::CreateTable, tag_columns: usize, clauses: &[Clause]) -> Result<Ddl> {
        refuse_options(t)?;
        if t.temporary || t.on_commit.is_some() {
            return Err(Error::unsupported("a temporary time-series table").at(start(t.name.span())));
        }
        let read = Clauses::read(clauses)?;
        if read.primary_tags.is_empty() {
            return Err(missing_option(clauses));
        }
        if let Some(constraint) = t.constraints.first() {
            return Err(no_constraints(start(constraint.span())));
        }
        let (schema_name, name) = qualified(&t.name, &self.ctx.session.database)?;
        let (schema, schema_name) =
            creation_schema(self.ctx, schema_name.as_deref()).map_err(|e| e.at(start(t.name.span())))?;
        let mut create = CreateTable::new(schema, schema_name, name);
        create.if_not_exists = t.if_not_exists;
        for column in &t.columns {
            refuse_column_options(column)?;
            self.column_def(&mut create, column)?;
        }
        check_columns(&create)?;
        let defaults = self.defaults_of_database().unwrap_or_default();
        let series = arrange(&mut create, t, tag_columns, &read, defaults)?;
        let columns = series.primary_tags.iter().copied().chain([series.time]).collect();
        create.keys = vec![NewKey { name: None, columns, primary: true, deferrable: None }];
        create.series = Some(series);
        Ok(Ddl::CreateTable(Box::new(create)))
    }

    fn named_series(&mut self, name: &[String], position: Option<u32>) -> Result<Arc<TableDef>> {
        let (schema, bare) = match name {
            [bare] => (None, bare),
            [schema, bare] => (Some(schema.as_str()), bare),
            _ => return Err(Error::unsupported("a table of another database").at(position)),
        };
        match find_relation(self.ctx, schema, bare) {
            Some(Found::Table(t)) if t.series.is_some() => {
                self.lock(&t, RelationLock::AccessExclusive);
                Ok(t)
            }
            Some(_) => Err(not_series(bare, "RETENTIONS")),
            None => Err(unknown_relation(schema, bare).at(position)),
        }
    }
}

fn not_series(table: &str, what: &str) -> Error {
    let text = format!("{what} cannot be used with \"{table}\" because it is not a time-series table");
    Error::new(SqlState::WRONG_OBJECT_TYPE, text)
}

/// What is wrong with a table without primary tags.
fn missing_option(clauses: &[Clause]) -> Error {
    let first = clauses.iter().find(|c| c.name != "time");
    let position = first.and_then(|c| c.position);
    match first {
        Some(c) => {
            let text = format!("\"{}\" is an option of time-series tables", c.name);
            Error::new(SqlState::WRONG_OBJECT_TYPE, text)
                .hint(
                    "A time-series table has TAGS and PRIMARY TAGS, or USING timeseries with the option primary_tags.",
                )
                .at(position)
        }
        None => Error::new(SqlState::INVALID_PARAMETER_VALUE, "a time-series table needs the option \"primary_tags\""),
    }
}

fn no_constraints(position: Option<u32>) -> Error {
    Error::unsupported("a constraint other than NOT NULL on a time-series table")
        .detail("The primary tags and the time are its primary key.")
        .at(position)
}

/// Only NULL, NOT NULL, DEFAULT and COLLATE go with a time-series table.
fn refuse_column_options(c: &ast::ColumnDef) -> Result<()> {
    let place = start(c.name.span);
    if c.data_type.to_string().to_ascii_lowercase().contains("serial") {
        return Err(Error::unsupported("a serial column of a time-series table").at(place));
    }
    for option in &c.options {
        match &option.option {
            ColumnOption::Null | ColumnOption::NotNull | ColumnOption::Default(_) | ColumnOption::Collation(_) => {}
            ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
                return Err(Error::unsupported("a generated column of a time-series table").at(place));
            }
            _ => return Err(no_constraints(place)),
        }
    }
    Ok(())
}

/// Gives every column its part.
fn arrange(
    create: &mut CreateTable,
    t: &ast::CreateTable,
    tag_columns: usize,
    read: &Clauses,
    defaults: SeriesDefaults,
) -> Result<CreateSeries> {
    let first_tag = create.columns.len() - tag_columns.min(create.columns.len());
    let Some((time, place)) = &read.time else {
        let text = "a time-series table needs the option \"time\"";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text));
    };
    let time = named(&create.columns, time, "time", *place)?;
    let mut primary_tags = vec![];
    for (name, place) in &read.primary_tags {
        let at = named(&create.columns, name, "primary tags", *place)?;
        if tag_columns > 0 && at < first_tag {
            let text = format!("tag \"{name}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, text).at(*place));
        }
        distinct(&primary_tags, at, name, "primary tags", *place)?;
        primary_tags.push(at);
    }
    if primary_tags.len() > PRIMARY_TAGS_MAX {
        let text = format!("a time-series table can have at most {PRIMARY_TAGS_MAX} primary tags");
        return Err(Error::new(SqlState::TOO_MANY_COLUMNS, text));
    }
    let mut tags: Vec<usize> = (first_tag..create.columns.len()).filter(|i| !primary_tags.contains(i)).collect();
    for (name, place) in &read.tags {
        let at = named(&create.columns, name, "tags", *place)?;
        distinct(&tags, at, name, "tags", *place)?;
        if !primary_tags.contains(&at) {
            tags.push(at);
        }
    }
    if primary_tags.contains(&time) || tags.contains(&time) {
        let text = format!("column \"{}\" cannot be the time and a tag", create.columns[time].name);
        return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, text));
    }
    check_time(&mut create.columns[time], &t.columns[time], read.precision)?;
    for at in &primary_tags {
        check_primary_tag(&create.columns[*at], &t.columns[*at])?;
        create.columns[*at].not_null = true;
    }
    for at in primary_tags.iter().chain([&time]) {
        refuse_null(&create.name, &t.columns[*at], &create.columns[*at].name)?;
    }
    let retention = read.retention.unwrap_or(defaults.retention);
    let partition = read.partition.or(defaults.partition).unwrap_or(PartitionInterval::DEFAULT);
    Ok(CreateSeries { time, primary_tags, tags, retention, partition, ignored: read.ignored.clone() })
}

fn named(columns: &[ColumnDef], name: &str, list: &str, place: Option<u32>) -> Result<usize> {
    columns.iter().position(|c| c.name == name).ok_or_else(|| {
        let text = format!("column \"{name}\" named in {list} does not exist");
        Error::new(SqlState::UNDEFINED_COLUMN, text).at(place)
    })
}

fn distinct(list: &[usize], at: usize, name: &str, what: &str, place: Option<u32>) -> Result<()> {
    if !list.contains(&at) {
        return Ok(());
    }
    let text = format!("column \"{name}\" appears twice in {what}");
    Err(Error::new(SqlState::DUPLICATE_COLUMN, text).at(place))
}

/// The time is a timestamp of at most six digits, never NULL.
fn check_time(column: &mut ColumnDef, written: &ast::ColumnDef, precision: Option<i64>) -> Result<()> {
    let place = start(written.name.span);
    if !matches!(column.ty.oid, oid::TIMESTAMP | oid::TIMESTAMPTZ) {
        let text = format!("the time column \"{}\" must be of type timestamptz or timestamp", column.name);
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, text).at(place));
    }
    let digits = match &written.data_type {
        ast::DataType::Timestamp(digits, _) => digits.map(|d| i64::try_from(d).unwrap_or(i64::MAX)),
        _ => (column.ty.typmod >= 0).then(|| column.ty.typmod.into()),
    };
    if let (Some(a), Some(b)) = (digits, precision)
        && a != b
    {
        let text = format!("precision {b} contradicts the type of the time column \"{}\"", column.name);
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text));
    }
    match digits.or(precision) {
        None => {}
        Some(d @ 0..=6) => column.ty = PgType::with_typmod(column.ty.oid, d as i32),
        Some(9) => {
            return Err(Error::unsupported("nanosecond precision of the time")
                .hint("Times have at most six digits after the second.")
                .at(place));
        }
        Some(d) => {
            let text = format!("precision {d} of the time must be between 0 and 6");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text).at(place));
        }
    }
    column.not_null = true;
    Ok(())
}

/// Only values that their key gives back exactly identify a series.
fn check_primary_tag(column: &ColumnDef, written: &ast::ColumnDef) -> Result<()> {
    let inexact =
        matches!(column.ty.class(), Class::Float4 | Class::Float8 | Class::Numeric | Class::Interval | Class::Array);
    if inexact || matches!(column.ty.oid, oid::JSON | oid::JSONB) {
        let text = format!("type {} for the primary tag \"{}\"", column.ty.sql_name(), column.name);
        return Err(Error::unsupported(text).at(start(written.name.span)));
    }
    Ok(())
}

fn refuse_null(table: &str, written: &ast::ColumnDef, name: &str) -> Result<()> {
    if written.options.iter().any(|o| matches!(o.option, ColumnOption::Null)) {
        let text = format!("conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{table}\"");
        return Err(Error::new(SqlState::SYNTAX_ERROR, text).at(start(written.name.span)));
    }
    Ok(())
}

type Place = Option<u32>;

/// The clauses' meaning.
#[derive(Default)]
struct Clauses {
    time: Option<(String, Place)>,
    primary_tags: Vec<(String, Place)>,
    tags: Vec<(String, Place)>,
    /// Some(None): kept for ever, said so.
    retention: Option<Option<Retention>>,
    partition: Option<PartitionInterval>,
    precision: Option<i64>,
    ignored: Vec<String>,
}

impl Clauses {
    fn read(clauses: &[Clause]) -> Result<Self> {
        let mut out = Self::default();
        let mut seen: Vec<&str> = vec![];
        for c in clauses {
            if seen.contains(&c.name.as_str()) {
                let text = format!("option \"{}\" specified more than once", c.name);
                return Err(Error::new(SqlState::SYNTAX_ERROR, text).at(c.position));
            }
            seen.push(&c.name);
            out.take(c).map_err(|e| if e.fields().position.is_some() { e } else { e.at(c.position) })?;
        }
        Ok(out)
    }

    fn take(&mut self, c: &Clause) -> Result<()> {
        match (c.name.as_str(), &c.value) {
            ("time", value) => {
                let mut all = names(value, c.position)?;
                self.time = all.pop();
                if !all.is_empty() {
                    return Err(bad("option \"time\" takes one column".into()));
                }
            }
            ("primary_tags", value) => self.primary_tags = names(value, c.position)?,
            ("tags", value) => self.tags = names(value, c.position)?,
            ("retention", Written::Text(text)) => self.retention = Some(retention(text)?),
            ("partition_interval", Written::Text(text)) => self.partition = Some(partition(text)?),
            ("precision", Written::Text(text)) => {
                let digits = text.trim().parse().ok();
                self.precision = Some(digits.ok_or_else(|| bad(format!("invalid precision: \"{text}\"")))?);
            }
            ("comment", _) => return Err(Error::unsupported("COMMENT as a part of CREATE")),
            ("activetime", Written::Text(text)) => {
                duration(text)?;
                self.ignored.push("ACTIVETIME".into());
            }
            ("dict encoding", _) => self.ignored.push("DICT ENCODING".into()),
            ("hash", _) => self.ignored.push("WITH HASH".into()),
            (name, _) => return Err(bad(format!("unrecognized option \"{name}\" of a time-series table"))),
        }
        Ok(())
    }
}

fn bad(text: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

/// Names, given as such or as text: `host, "Region"`.
fn names(value: &Written, place: Place) -> Result<Vec<(String, Place)>> {
    let text = match value {
        Written::Names(names) => return Ok(names.clone()),
        Written::Text(text) => text,
    };
    let mut out = vec![];
    for part in text.split(',').map(str::trim) {
        let name = match part.strip_prefix('"').and_then(|p| p.strip_suffix('"')) {
            Some(quoted) => fold_identifier(&quoted.replace("\"\"", "\""), true),
            None => fold_identifier(part, false),
        };
        if name.is_empty() {
            return Err(bad(format!("invalid list of columns: \"{text}\"")));
        }
        out.push((name, place));
    }
    Ok(out)
}

/// A duration in one unit.
enum Duration {
    Micros(i64),
    Days(i64),
    Months(i64),
}

/// `30d`, `1 month`: one number, one unit.
fn duration(text: &str) -> Result<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let invalid =
        || bad(format!("invalid duration: \"{text}\"")).hint("A duration is a number with a unit, such as 30d.");
    let n: i64 = text[..digits].parse().map_err(|_| invalid())?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let unit = if unit.len() > 1 { unit.strip_suffix('s').unwrap_or(&unit) } else { &unit };
    let (days, months, us) = (Duration::Days, Duration::Months, Duration::Micros);
    let (make, factor): (fn(i64) -> Duration, i64) = match unit {
        "s" | "second" | "sec" => (us, 1_000_000),
        "m" | "minute" | "min" => (us, 60_000_000),
        "h" | "hour" => (us, 3_600_000_000),
        "d" | "day" => (days, 1),
        "w" | "week" => (days, 7),
        "mon" | "month" => (months, 1),
        "y" | "year" => (months, 12),
        _ => return Err(invalid()),
    };
    let too_long = || bad(format!("duration \"{text}\" is longer than {YEARS_MAX} years"));
    let made = make(n.checked_mul(factor).ok_or_else(too_long)?);
    let fits = match made {
        Duration::Micros(n) => n / DAY_US <= YEARS_MAX * 366,
        Duration::Days(n) => n <= YEARS_MAX * 366,
        Duration::Months(n) => n <= YEARS_MAX * 12,
    };
    if fits { Ok(made) } else { Err(too_long()) }
}

/// A retention; zero keeps everything.
fn retention(text: &str) -> Result<Option<Retention>> {
    let small = |n: i64| i32::try_from(n).map_err(|_| Error::internal("a duration was checked"));
    Ok(match duration(text)? {
        Duration::Micros(0) | Duration::Days(0) | Duration::Months(0) => None,
        Duration::Micros(us) => Some(Retention { months: 0, days: 0, us }),
        Duration::Days(days) => Some(Retention { months: 0, days: small(days)?, us: 0 }),
        Duration::Months(months) => Some(Retention { months: small(months)?, days: 0, us: 0 }),
    })
}

fn partition(text: &str) -> Result<PartitionInterval> {
    let unit = || bad("a partition interval is given in days, weeks, months or years".into());
    match duration(text)? {
        Duration::Micros(_) => Err(unit()),
        Duration::Days(0) | Duration::Months(0) => Err(bad("a partition interval must be longer than zero".into())),
        Duration::Days(days) => Ok(PartitionInterval::Micros(days * DAY_US)),
        Duration::Months(months) => u32::try_from(months).map(PartitionInterval::Months).map_err(|_| unit()),
    }
}
