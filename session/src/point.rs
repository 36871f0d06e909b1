//! The short way for a read of one row by key outside of a transaction: nothing is begun, locked or ended for it.
//!
//! What the long way ([`crate::run`]) would do besides is not seen by anybody: its relation lock would be gone before
//! this thread does anything else, and its transaction has no effect. Measured with pgbench -S -M prepared: docs/internals/speed.md.

use crate::client::Client;
use crate::portal::Completion;
use crate::prepared::Prepared;
use crate::session::{Block, Session};
use heddle_types::{Datum, Result};

impl Session {
    /// Runs a statement to its end if it is such a read and nothing stands in its way; None: it has to go the long way.
    pub(crate) fn read_point<C: Client>(
        &mut self,
        prepared: &Prepared,
        params: &[Datum],
        formats: &[i16],
        client: &mut C,
    ) -> Result<Option<Completion>> {
        // Inside a transaction its own writes, its snapshot and its locks count. At REPEATABLE READ a pipeline has one snapshot.
        let outside = self.block == Block::None && self.txn.is_none();
        if !outside || !matches!(self.cached().isolation.as_str(), "read committed" | "read uncommitted") {
            return Ok(None);
        }
        let Some(planned) = prepared.current(self) else { return Ok(None) };
        let (Some(read), Some(columns)) = (planned.plan.point_read(), &prepared.columns) else { return Ok(None) };
        if let Some(e) = self.interrupt().due() {
            return Err(e);
        }
        let mut scratch = std::mem::take(&mut self.point);
        let found =
            self.server.txns.glance(read.table(), &planned.catalog, |view| read.run(params, view, &mut scratch));
        if let Some(Ok(true)) = found {
            client.row(columns, formats, scratch.values(), self.text());
        }
        scratch.clear();
        self.point = scratch;
        let Some(found) = found.transpose()? else { return Ok(None) };
        Ok(Some(Completion::Complete(if found { "SELECT 1" } else { "SELECT 0" }.into())))
    }
}
