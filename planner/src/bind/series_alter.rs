//! ALTER TABLE of time-series tables: which of its actions there are. Fields come and go; what a series or a point is stays.

use super::change::action_name;
use crate::parse::own::Action;
use heddle_catalog::{SeriesColumn, TableDef};
use heddle_types::{Error, Result};
use sqlparser::ast::{self, ColumnOption};

/// `0A000` for an action that time-series tables do not have.
pub(super) fn refuse(table: &TableDef, action: &Action) -> Result<()> {
    match action {
        Action::AddColumn { column, .. } => refuse_options(column),
        Action::DropColumn { name, .. } => match table.column(&name.text).and_then(|at| table.series_column(at)) {
            Some(SeriesColumn::Time | SeriesColumn::PrimaryTag(_)) => {
                Err(Error::unsupported("dropping the time or a primary tag of a time-series table"))
            }
            _ => Ok(()),
        },
        Action::Default { .. }
        | Action::NotNull { .. }
        | Action::Tuning { .. }
        | Action::Options { .. }
        | Action::Owner(_) => Ok(()),
        other => Err(Error::unsupported(format!("ALTER TABLE … {} of a time-series table", action_name(other)))),
    }
}

/// A new column is a field: it has a type, and may be NOT NULL while there are no points.
fn refuse_options(column: &ast::ColumnDef) -> Result<()> {
    if super::serial::serial_type(&column.data_type).is_some() {
        return Err(Error::unsupported("a serial column of a time-series table"));
    }
    for option in &column.options {
        match &option.option {
            ColumnOption::Null | ColumnOption::NotNull | ColumnOption::Collation(_) => {}
            ColumnOption::Default(_) => {
                return Err(Error::unsupported("a new column of a time-series table with a default")
                    .hint("Add the column, then set its default: the points that are there keep NULL."));
            }
            other => return Err(Error::unsupported(format!("{other} in a time-series table"))),
        }
    }
    Ok(())
}
