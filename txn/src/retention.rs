//! Drops expired partitions of time-series tables: the cut-off is a log entry, so that every replica drops the same.
//!
//! Statements hide expired points by themselves, to the microsecond; this only frees the disk, a whole partition at a time.
//! Called by the maintenance thread, now and then and at every checkpoint.

use crate::apply::Applied;
use crate::payload::{PartBuilder, propose_run};
use crate::snapshot;
use heddle_catalog::{CatalogSnapshot, TableDef};
use heddle_engines::RowChange;
use heddle_env::Clock;
use heddle_log::Log;
use heddle_types::{Result, StorageId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often cut-offs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Which cut-offs were proposed since the start. After a restart they are proposed once more, which changes nothing.
pub(crate) struct Retention {
    clock: Arc<dyn Clock>,
    next_look: Duration,
    proposed: BTreeMap<StorageId, i64>,
}

impl Retention {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let next_look = clock.monotonic() + LOOK_EVERY;
        Self { clock, next_look, proposed: BTreeMap::new() }
    }

    /// Is it time to look?
    pub fn is_due(&self) -> bool {
        self.clock.monotonic() >= self.next_look
    }

    /// Proposes the cut-offs that have passed the beginning of another partition.
    pub fn run(&mut self, applied: &Applied, log: &Log) -> Result<()> {
        self.next_look = self.clock.monotonic() + LOOK_EVERY;
        let catalog = snapshot::catalog(&applied.catalogs, &applied.visible);
        let due = self.due(&catalog);
        if due.is_empty() {
            return Ok(());
        }
        let mut builder = PartBuilder::new(0);
        due.iter().for_each(|(&storage, &before_us)| builder.push(&RowChange::Expire { storage, before_us }));
        let index = propose_run(log, builder.finish(), Vec::new())?;
        self.proposed.extend(due);
        applied.visible.wait_blocking(index);
        Ok(())
    }

    fn due(&self, catalog: &CatalogSnapshot) -> BTreeMap<StorageId, i64> {
        let now_us = self.clock.now_us();
        let tables = catalog.databases().into_iter().flat_map(|d| catalog.tables(d.oid));
        let cutoffs = tables.filter_map(|table| Some((table.storage, partition_start(&table, now_us)?)));
        cutoffs.filter(|(storage, cutoff)| self.proposed.get(storage).is_none_or(|last| last < cutoff)).collect()
    }
}

/// The start of the partition that the table's cut-off lies in.
fn partition_start(table: &TableDef, now_us: i64) -> Option<i64> {
    let series = table.series.as_ref()?;
    let cutoff = series.retention?.cutoff_us(now_us)?;
    Some(series.partition.start(series.partition.number(cutoff)))
}
