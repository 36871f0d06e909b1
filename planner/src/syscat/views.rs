//! pg_views and information_schema.views.

use super::information::{database, schema};
use super::{row, text};
use crate::context::EvalContext;
use heddle_types::{Datum, Result};

pub(super) fn pg_views(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |v: &heddle_catalog::ViewDef| {
        row(
            "pg_views",
            &[
                ("schemaname", schema(cx, v.schema)),
                ("viewname", text(&v.name)),
                ("viewowner", text(&cx.session.user)),
                ("definition", text(definition(v))),
            ],
        )
    };
    Ok(cx.catalog.views(cx.session.database_oid).iter().map(|v| one(v)).collect())
}

pub(super) fn views(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |v: &heddle_catalog::ViewDef| {
        row(
            "views",
            &[
                ("table_catalog", database(cx)),
                ("table_schema", schema(cx, v.schema)),
                ("table_name", text(&v.name)),
                ("view_definition", text(definition(v))),
                ("check_option", text("NONE")),
                ("is_updatable", text("NO")),
                ("is_insertable_into", text("NO")),
                ("is_trigger_updatable", text("NO")),
                ("is_trigger_deletable", text("NO")),
                ("is_trigger_insertable_into", text("NO")),
            ],
        )
    };
    Ok(cx.catalog.views(cx.session.database_oid).iter().map(|v| one(v)).collect())
}

/// The text as it was written; PostgreSQL prints it anew from the tree.
pub(crate) fn definition(view: &heddle_catalog::ViewDef) -> String {
    format!(" {};", view.query)
}
