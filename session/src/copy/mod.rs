//! COPY FROM STDIN and TO STDOUT.
//!
//! | module | subject |
//! |---|---|
//! | `options` | what may be written behind WITH |
//! | `buffer`, `lines`, `fields` | text and csv input: bytes, lines, fields |
//! | `binary` | the binary format's frame |
//! | `rows` | fields to typed columns, and where an error stands |
//! | `input` | COPY FROM: chunks in, batches out |
//! | `output`, `writer` | COPY TO: batches in, rows out |

mod binary;
mod buffer;
mod fields;
mod input;
mod lines;
mod options;
mod output;
mod rows;
mod writer;

use crate::client::Client;
use crate::inventory::Running;
use crate::session::Session;
use heddle_catalog::TableDef;
use heddle_planner::parse::Copy;
use heddle_types::{Error, Result, SqlState};
use options::Forced;

impl Session {
    /// Runs COPY and answers its tag.
    pub(crate) async fn copy<C: Client>(
        &mut self,
        copy: &Copy,
        running: Running<'_>,
        client: &mut C,
    ) -> Result<String> {
        if copy.file.is_some() {
            let what = if copy.from { "from" } else { "to" };
            let text = format!("permission denied to COPY {what} a file");
            let hint = "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, text).hint(hint));
        }
        let rows = match copy.from {
            true => self.copy_from(copy, client).await?,
            false => self.copy_to(copy, running, client).await?,
        };
        Ok(format!("COPY {rows}"))
    }
}

/// The columns that COPY FROM names (all live ones when it names none), as indexes into `table.columns`.
fn copy_columns(table: &TableDef, names: &[String]) -> Result<Vec<usize>> {
    let live: Vec<usize> = (0..table.columns.len()).filter(|i| !table.columns[*i].dropped).collect();
    let all: Vec<String> = live.iter().map(|i| table.columns[*i].name.clone()).collect();
    Ok(listed(&table.name, &all, names)?.into_iter().map(|i| live[i]).collect())
}

/// Places of the named columns among `all` the relation has; without names all of them.
///
/// # Errors
/// `42703`, `42701`.
fn listed(relation: &str, all: &[String], names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..all.len()).collect());
    }
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let at = all.iter().position(|c| c == name).ok_or_else(|| {
            let text = format!("column \"{name}\" of relation \"{relation}\" does not exist");
            Error::new(SqlState::UNDEFINED_COLUMN, text)
        })?;
        if places.contains(&at) {
            let text = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, text));
        }
        places.push(at);
    }
    Ok(places)
}

/// A relation's name and columns.
type Relation<'a> = (&'a str, &'a [String]);

/// Which of the copied columns, named `names`, a FORCE_* option means. `relation` is None for a query.
///
/// # Errors
/// `42703` for names that do not exist, `42P10` for columns that are not copied.
fn forced_columns(forced: &Forced, option: &str, relation: Option<Relation<'_>>, names: &[&str]) -> Result<Vec<bool>> {
    let wanted = match forced {
        Forced::None => return Ok(vec![false; names.len()]),
        Forced::All => return Ok(vec![true; names.len()]),
        Forced::Named(wanted) => wanted,
    };
    let absent = wanted.iter().find(|w| !names.contains(&w.as_str()));
    match (relation, absent) {
        (Some((name, all)), _) => drop(listed(name, all, wanted)?),
        (None, Some(unknown)) => {
            let text = format!("column \"{unknown}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, text));
        }
        (None, None) => {}
    }
    if let Some(absent) = absent {
        let text = format!("{option} column \"{absent}\" not referenced by COPY");
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, text));
    }
    Ok(names.iter().map(|n| wanted.iter().any(|w| w == n)).collect())
}
