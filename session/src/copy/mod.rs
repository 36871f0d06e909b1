//! COPY FROM STDIN and TO STDOUT: options, the two directions, text and csv.

mod input;
mod options;
mod output;
mod reader;

use crate::client::Client;
use crate::session::Session;
use heddle_catalog::TableDef;
use heddle_planner::parse::Copy;
use heddle_types::{Error, Result, SqlState};
use options::Options;

impl Session {
    /// Runs COPY and answers its tag.
    pub(crate) async fn copy<C: Client>(&mut self, copy: &Copy, client: &mut C) -> Result<String> {
        if copy.file.is_some() {
            let what = if copy.from { "from" } else { "to" };
            let text = format!("permission denied to COPY {what} a file");
            let hint = "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, text).hint(hint));
        }
        let options = Options::parse(copy)?;
        let rows = match copy.from {
            true => self.copy_from(copy, &options, client).await?,
            false => self.copy_to(copy, &options, client).await?,
        };
        Ok(format!("COPY {rows}"))
    }
}

/// The columns a COPY names (all live ones when it names none), as indexes into `table.columns`.
fn copy_columns(table: &TableDef, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..table.columns.len()).filter(|i| !table.columns[*i].dropped).collect());
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let at = table.column(name).ok_or_else(|| {
            let text = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            Error::new(SqlState::UNDEFINED_COLUMN, text)
        })?;
        if columns.contains(&at) {
            let text = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, text));
        }
        columns.push(at);
    }
    Ok(columns)
}
