//! COPY TO STDOUT: a query whose rows become messages, one each.

use super::options::{Format, Options};
use super::writer::Writer;
use super::{forced_columns, listed};
use crate::client::{Client, CopyFormatCodes};
use crate::inventory::Running;
use crate::portal::{Rows, Tag};
use crate::session::Session;
use heddle_planner::Outcome;
use heddle_planner::bind::{self, CopySource};
use heddle_planner::parse::{self, Copy, Kind, Parsed};
use heddle_types::{Error, Result, SqlState};
use std::sync::Arc;

/// Rows pulled at a time.
const BATCH_ROWS: u64 = 8192;

/// A relation and its columns.
type Named = (String, Vec<String>);

impl Session {
    pub(super) async fn copy_to<C: Client>(
        &mut self,
        copy: &Copy,
        running: Running<'_>,
        client: &mut C,
    ) -> Result<u64> {
        let (parsed, relation) = self.copy_query(copy)?;
        let options = Options::parse(copy)?;
        let prepared = self.prepare(Some(parsed), vec![], None)?;
        let Some(columns) = prepared.columns.clone() else {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY query must have a RETURNING clause"));
        };
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let relation = relation.as_ref().map(|(name, all)| (name.as_str(), all.as_slice()));
        let force_quote = forced_columns(&options.force_quote, "FORCE_QUOTE", relation, &names)?;
        let (outcome, _) = self.execute_plan(&prepared, Arc::from([]), running, client).await?;
        let stream = match outcome {
            Outcome::Rows(stream) => stream,
            Outcome::Changed { returning: Some(batches), .. } => {
                futures::StreamExt::boxed(futures::stream::iter(batches.into_iter().map(Ok)))
            }
            _ => return Err(Error::internal("a statement with columns gave no rows")),
        };
        let mut rows = Rows::new(Arc::clone(&columns), stream, Tag::Counted("COPY"));
        let settings = self.text_for(&columns)?;
        let overall = u8::from(options.format == Format::Binary);
        client.copy_out(CopyFormatCodes { overall, columns: columns.len() });
        let mut writer = Writer::new(&columns, &options, &settings, force_quote);
        if let Some(header) = writer.header() {
            client.copy_row(header).await?;
            writer.sent();
        }
        let mut count = 0;
        loop {
            let batches = self.take_rows(&mut rows, BATCH_ROWS, client).await?;
            if batches.is_empty() {
                break;
            }
            for batch in &batches {
                for row in 0..batch.num_rows() {
                    client.copy_row(writer.row(batch, row)).await?;
                    writer.sent();
                }
                count += batch.num_rows() as u64;
            }
        }
        if let Some(trailer) = writer.trailer() {
            client.copy_row(trailer).await?;
        }
        client.copy_done();
        Ok(count)
    }

    /// The query behind COPY: the one given, or SELECT of the named columns; and the relation with its columns, if one is named.
    fn copy_query(&mut self, copy: &Copy) -> Result<(Parsed, Option<Named>)> {
        if let Some(query) = &copy.query {
            let kind = Kind::Plan(query.clone());
            return Ok((Parsed { kind, sql: String::new(), offset: 0, notices: Vec::new() }, None));
        }
        let name = copy.table.as_ref().ok_or_else(|| Error::internal("COPY TO without a table"))?;
        let ctx = self.context(Arc::from([]))?;
        let CopySource { name: (schema, name), columns: all, is_view } = bind::copy_source(name, &ctx)?;
        let list: Vec<String> = listed(&name, &all, &copy.columns)?.into_iter().map(|i| quoted(&all[i])).collect();
        if is_view {
            let text = format!("cannot copy from view \"{name}\"");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text).hint("Try the COPY (SELECT ...) TO variant."));
        }
        let schema = schema.as_ref().map_or(String::new(), |s| format!("{}.", quoted(s)));
        let sql = format!("SELECT {} FROM {schema}{}", list.join(", "), quoted(&name));
        let parsed = parse::parse(&sql)?.pop().ok_or_else(|| Error::internal("COPY TO made no query"))?;
        Ok((parsed, Some((name, all))))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
