//! Random tables with a few rows: few distinct values, so that joins and groups meet, and many NULLs.

use super::random::Random;
use std::fmt::Write;

/// Column types, and what expressions they take part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are PostgreSQL's types")]
pub enum Type {
    Bool,
    Int2,
    Int4,
    Int8,
    Float8,
    Numeric,
    Text,
    Varchar,
    Date,
    Timestamp,
    Interval,
    Uuid,
    Bytea,
    Jsonb,
    IntArray,
}

impl Type {
    /// Every one.
    pub const ALL: [Self; 15] = [
        Self::Bool,
        Self::Int2,
        Self::Int4,
        Self::Int8,
        Self::Float8,
        Self::Numeric,
        Self::Text,
        Self::Varchar,
        Self::Date,
        Self::Timestamp,
        Self::Interval,
        Self::Uuid,
        Self::Bytea,
        Self::Jsonb,
        Self::IntArray,
    ];

    /// As SQL writes it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Float8 => "float8",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Varchar => "varchar(8)",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Bytea => "bytea",
            Self::Jsonb => "jsonb",
            Self::IntArray => "int4[]",
        }
    }

    /// No two that are equal and print differently: which one GROUP BY, min or a sort shows first is up to the plan.
    fn values(self) -> &'static [&'static str] {
        match self {
            Self::Bool => &["t", "f"],
            Self::Int2 | Self::Int4 => &["0", "1", "-1", "2", "7", "42", "100", "-5"],
            Self::Int8 => &["0", "1", "-1", "2", "10000000000", "42", "-7"],
            Self::Float8 => &["0", "1.5", "-2.25", "0.1", "1e10", "NaN", "-7", "3", "Infinity"],
            Self::Numeric => &["0", "1", "2.5", "4.75", "-2.5", "0.001", "12345678901234567890.5", "3.14", "NaN"],
            Self::Text => &["", "a", "b", "ab", "abc", "B", "a b", "x%y", "zz"],
            Self::Varchar => &["", "a", "b", "ab", "long one", "B"],
            Self::Date => &["2024-01-01", "2024-02-29", "1999-12-31", "2024-12-31", "0044-03-15 BC", "infinity"],
            Self::Timestamp => &["2024-01-01 00:00", "2024-02-29 12:34:56.789", "1999-12-31 23:59:59", "epoch"],
            Self::Interval => &["0", "1 day", "25 hours", "1 mon", "40 days", "-1 hour", "1 year 2 days 03:04:05.6"],
            Self::Uuid => &["00000000-0000-0000-0000-000000000001", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
            Self::Bytea => &["\\x", "\\x00", "\\x0102", "\\xff"],
            Self::Jsonb => &["null", "1", "2.5", "\"a\"", "[1, 2]", "{\"a\": 1}", "{\"b\": null, \"a\": [true]}", "{}"],
            Self::IntArray => &["{}", "{1}", "{1,2}", "{NULL}", "{2,1,1}", "{3,4}"],
        }
    }

    /// A literal with its cast.
    pub fn literal(self, random: &mut Random) -> String {
        if random.one_in(12) {
            return format!("NULL::{}", self.sql());
        }
        format!("'{}'::{}", random.pick(self.values()), self.sql())
    }

    /// A value for a row.
    fn value(self, random: &mut Random) -> String {
        if random.one_in(5) { "NULL".to_owned() } else { format!("'{}'", random.pick(self.values())) }
    }
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name
    pub name: String,
    /// Type
    pub ty: Type,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Name
    pub name: String,
    /// Columns; the first is `id`.
    pub columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    keyed: bool,
    indexed: Vec<usize>,
}

/// Some tables.
#[derive(Clone, Debug)]
pub struct Schema {
    /// At least two.
    pub tables: Vec<Table>,
}

impl Schema {
    /// Two or three tables.
    pub fn random(random: &mut Random) -> Self {
        let n = 2 + random.below(2);
        Self { tables: (0..n).map(|i| Table::random(random, i)).collect() }
    }

    /// The statements that make them.
    pub fn sql(&self) -> String {
        self.tables.iter().map(Table::sql).collect()
    }
}

impl Table {
    fn random(random: &mut Random, number: usize) -> Self {
        let mut columns = vec![Column { name: "id".to_owned(), ty: Type::Int4 }];
        for i in 0..2 + random.below(5) {
            columns.push(Column { name: format!("c{i}"), ty: *random.pick(&Type::ALL) });
        }
        let rows = (0..random.below(14)).map(|id| {
            let mut row = vec![id.to_string()];
            row.extend(columns[1..].iter().map(|c| c.ty.value(random)));
            row
        });
        let rows = rows.collect();
        // jsonb keys compare by text here (docs/guide/compatibility.md), so they are not indexed.
        let plain = |c: &Column| !matches!(c.ty, Type::Jsonb);
        let indexed = (1..columns.len()).filter(|i| plain(&columns[*i])).filter(|_| random.one_in(3)).collect();
        Self { name: format!("t{number}"), columns, rows, keyed: !random.one_in(4), indexed }
    }

    fn sql(&self) -> String {
        let column = |c: &Column| {
            let key = if c.name == "id" && self.keyed { " PRIMARY KEY" } else { "" };
            format!("{} {}{key}", c.name, c.ty.sql())
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        let mut out = format!("CREATE TABLE {} ({});\n", self.name, columns.join(", "));
        if !self.rows.is_empty() {
            let rows: Vec<String> = self.rows.iter().map(|r| format!("({})", r.join(", "))).collect();
            let _ = writeln!(out, "INSERT INTO {} VALUES {};", self.name, rows.join(", "));
        }
        for i in &self.indexed {
            let _ = writeln!(out, "CREATE INDEX ON {} ({});", self.name, self.columns[*i].name);
        }
        out
    }
}
