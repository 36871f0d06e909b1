//! pg_sequence, pg_sequences, information_schema.sequences.

use super::information::{database, schema};
use super::{row, text};
use crate::context::EvalContext;
use crate::function::sequence_position;
use heddle_catalog::SequenceDef;
use heddle_types::{Datum, PgType, Result, oid};
use std::sync::Arc;

fn all(cx: &EvalContext) -> Vec<Arc<SequenceDef>> {
    cx.catalog.sequences(cx.session.database_oid)
}

/// The columns of a sequence's relation.
pub(super) const COLUMNS: [(&str, PgType); 3] = [
    ("last_value", PgType::new(oid::INT8)),
    ("log_cnt", PgType::new(oid::INT8)),
    ("is_called", PgType::new(oid::BOOL)),
];

pub(super) fn pg_sequence(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |s: Arc<SequenceDef>| {
        row(
            "pg_sequence",
            &[
                ("seqrelid", Datum::Oid(s.oid.0)),
                ("seqtypid", Datum::Oid(s.ty.0)),
                ("seqstart", Datum::Int8(s.start)),
                ("seqincrement", Datum::Int8(s.increment)),
                ("seqmax", Datum::Int8(s.max)),
                ("seqmin", Datum::Int8(s.min)),
                ("seqcache", Datum::Int8(s.cache)),
                ("seqcycle", Datum::Bool(s.cycle)),
            ],
        )
    };
    Ok(all(cx).into_iter().map(one).collect())
}

pub(super) fn pg_sequences(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |s: Arc<SequenceDef>| {
        let at = sequence_position(&s, cx)?;
        let last = if at.called { Datum::Int8(at.last) } else { Datum::Null };
        Ok(row(
            "pg_sequences",
            &[
                ("schemaname", schema(cx, s.schema)),
                ("sequencename", text(&s.name)),
                ("sequenceowner", text(&cx.session.user)),
                ("data_type", Datum::Oid(s.ty.0)),
                ("start_value", Datum::Int8(s.start)),
                ("min_value", Datum::Int8(s.min)),
                ("max_value", Datum::Int8(s.max)),
                ("increment_by", Datum::Int8(s.increment)),
                ("cycle", Datum::Bool(s.cycle)),
                ("cache_size", Datum::Int8(s.cache)),
                ("last_value", last),
            ],
        ))
    };
    all(cx).into_iter().map(one).collect()
}

pub(super) fn sequences(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let bits = |s: &SequenceDef| match s.ty {
        oid::INT2 => 16,
        oid::INT4 => 32,
        _ => 64,
    };
    // Those of identity columns are not shown.
    let shown = all(cx).into_iter().filter(|s| !s.owner.is_some_and(|o| o.identity));
    let one = |s: Arc<SequenceDef>| {
        row(
            "sequences",
            &[
                ("sequence_catalog", database(cx)),
                ("sequence_schema", schema(cx, s.schema)),
                ("sequence_name", text(&s.name)),
                ("data_type", text(PgType::new(s.ty).sql_name())),
                ("numeric_precision", Datum::Int4(bits(&s))),
                ("numeric_precision_radix", Datum::Int4(2)),
                ("numeric_scale", Datum::Int4(0)),
                ("start_value", text(s.start.to_string())),
                ("minimum_value", text(s.min.to_string())),
                ("maximum_value", text(s.max.to_string())),
                ("increment", text(s.increment.to_string())),
                ("cycle_option", text(if s.cycle { "YES" } else { "NO" })),
            ],
        )
    };
    Ok(shown.map(one).collect())
}
