//! pg_*_is_visible: would the object be found by its name alone? NULL for an OID that no object has.

use super::kernel::{cast_array, k};
use super::{CallTypes, Registry, reg};
use crate::context::EvalContext;
use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use heddle_types::{Datum, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// A relation is visible when its bare name finds it and nothing before it in the path.
fn relation(cx: &EvalContext, o: u32) -> Result<Option<bool>> {
    match reg::class_parts(o, cx) {
        Some((_, name)) => Ok(Some(reg::find_relation(&reg::quote_ident(&name), cx)? == Some(o))),
        None => Ok(None),
    }
}

/// Objects of the other kinds all live in pg_catalog, which is always in the path: those that exist are visible.
fn listed(table: &str, cx: &EvalContext, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let asked = cast_array::<UInt32Array>(&args[0])?;
    let table = crate::syscat::lookup("pg_catalog", table).expect("a table of ours");
    let known: HashSet<u32> = (table.rows)(cx)?
        .iter()
        .filter_map(|row| match row.first() {
            Some(Datum::Oid(o)) => Some(*o),
            _ => None,
        })
        .collect();
    let one = |o: Option<u32>| o.and_then(|o| known.contains(&o).then_some(true));
    Ok(Arc::new(asked.iter().take(n).map(one).collect::<BooleanArray>()))
}

macro_rules! listed {
    ($r:ident, $($sig:literal $table:literal),* $(,)?) => {
        $( $r.scalar($sig, |cx: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], n: usize| {
            listed($table, cx, args, n)
        }); )*
    };
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("pg_table_is_visible(oid)", k!(cx, _ty; |o: u32| -> Option<bool> { relation(cx, o) }));
    listed! { r,
        "pg_type_is_visible(oid)" "pg_type",
        "pg_function_is_visible(oid)" "pg_proc",
        "pg_operator_is_visible(oid)" "pg_operator",
        "pg_opclass_is_visible(oid)" "pg_opclass",
        "pg_opfamily_is_visible(oid)" "pg_opfamily",
        "pg_collation_is_visible(oid)" "pg_collation",
        "pg_conversion_is_visible(oid)" "pg_conversion",
        "pg_statistics_obj_is_visible(oid)" "pg_statistic_ext",
        "pg_ts_parser_is_visible(oid)" "pg_ts_parser",
        "pg_ts_dict_is_visible(oid)" "pg_ts_dict",
        "pg_ts_template_is_visible(oid)" "pg_ts_template",
        "pg_ts_config_is_visible(oid)" "pg_ts_config",
    }
}
