//! What makes a table a time-series table, as pg_class.reloptions: the options of `USING timeseries WITH (…)`.

use heddle_catalog::{Retention, SeriesDef, TableDef};
use heddle_engines::point::PartitionInterval;
use heddle_types::datetime::DAY_US;
use heddle_types::{Datum, PgArray, oid};
use std::sync::Arc;

/// Options in the form that CREATE TABLE takes.
pub(super) fn options(table: &TableDef, series: &SeriesDef) -> Datum {
    let name = |attnum: &i16| quoted(&table.columns[*attnum as usize - 1].name);
    let names = |list: &[i16]| list.iter().map(name).collect::<Vec<_>>().join(",");
    let mut out = vec![format!("time={}", name(&series.time)), format!("primary_tags={}", names(&series.primary_tags))];
    let tags: Vec<i16> = series.tags.iter().copied().filter(|a| !table.columns[*a as usize - 1].dropped).collect();
    if !tags.is_empty() {
        out.push(format!("tags={}", names(&tags)));
    }
    out.extend(series.retention.map(|r| format!("retention={}", retention(r))));
    out.push(format!("partition_interval={}", partition(series.partition)));
    let elements = out.into_iter().map(Datum::text).collect();
    Datum::Array(Arc::new(PgArray::from_vec(oid::TEXT, elements)))
}

fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn retention(r: Retention) -> String {
    match r {
        Retention { months: 0, days: 0, us } => format!("{}s", us / 1_000_000),
        Retention { months: 0, days, .. } => format!("{days}d"),
        Retention { months, .. } => format!("{months}mon"),
    }
}

fn partition(p: PartitionInterval) -> String {
    match p {
        PartitionInterval::Micros(us) => format!("{}d", us / DAY_US),
        PartitionInterval::Months(n) => format!("{n}mon"),
    }
}
