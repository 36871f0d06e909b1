//! Reads what was selected: cursors, tasks, and windows of time from the newest backwards when few groups are enough.

use super::SeriesAggregate;
use super::partial::Partial;
use crate::exec::runtime::Engine;
use crate::function::{FixedBuckets, from_df};
use crate::lower::series_access::{Selection, ranges};
use datafusion::execution::memory_pool::MemoryReservation;
use heddle_engines::KeyRange;
use heddle_engines::point::blocks::BlockScan;
use heddle_engines::point::{PointCursor, PointScan, Points};
use heddle_txn::ReadView;
use heddle_types::{Error, Result};
use std::sync::Arc;
use tokio::task::JoinSet;

/// So few series are read by one task.
const ONE_TASK_SERIES_MAX: usize = 16;
/// So many points are read on the caller's task before the query threads take over.
const HERE_ROWS_MAX: usize = 32 * 1024;
/// Points of a batch: a few columns of them fit into the second-level cache.
const BATCH_ROWS: usize = 8192;

/// Each window is so many times as long as the one before it.
const WINDOW_GROWTH: i64 = 4;

/// One run of a plan.
pub(super) struct Run<'a> {
    plan: &'a Arc<SeriesAggregate>,
    engine: &'a Arc<Engine>,
    view: &'a Arc<ReadView>,
    selection: Selection,
    bucket: Option<FixedBuckets>,
    blocks: Option<BlockScan>,
    /// What was found so far.
    all: Option<Task>,
}

impl<'a> Run<'a> {
    pub fn new(
        plan: &'a Arc<SeriesAggregate>,
        engine: &'a Arc<Engine>,
        view: &'a Arc<ReadView>,
        selection: Selection,
        bucket: Option<FixedBuckets>,
        blocks: Option<BlockScan>,
    ) -> Self {
        Self { plan, engine, view, selection, bucket, blocks, all: None }
    }

    /// All groups, or at least `wanted` with the newest pieces of time.
    pub async fn groups(mut self, wanted: Option<usize>) -> Result<Partial> {
        let (from, to) = (self.selection.from_us, self.selection.to_us);
        let range = match wanted {
            Some(_) => self.view.time_range(self.plan.access.scan.table.storage)?,
            None => None,
        };
        match (wanted, self.bucket, range) {
            (Some(wanted), Some(bucket), Some((first, last))) => {
                self.newest(wanted, bucket, from.max(first), to.min(last)).await?;
            }
            _ => self.window(from, to).await?,
        }
        Ok(self.all.map_or_else(|| Partial::new(self.plan, self.bucket), |all| all.partial))
    }

    /// Reads backwards in time, whole pieces at once, until there are `wanted` groups.
    async fn newest(&mut self, wanted: usize, bucket: FixedBuckets, from: i64, mut to: i64) -> Result<()> {
        let mut pieces = i64::try_from(wanted).unwrap_or(i64::MAX).max(1);
        while from <= to {
            let start = bucket.back(bucket.start(to)?, pieces - 1).max(from);
            self.window(start, to).await?;
            if self.all.as_ref().is_some_and(|all| all.partial.groups.len() >= wanted) {
                break;
            }
            to = start - 1;
            pieces = pieces.saturating_mul(WINDOW_GROWTH);
        }
        Ok(())
    }

    /// Reads the points between two times, both included.
    async fn window(&mut self, from_us: i64, to_us: i64) -> Result<()> {
        let cursors = self.open(from_us, to_us)?;
        let mut tasks: Vec<Task> = cursors.into_iter().map(|cursor| self.task(cursor)).collect();
        if let [only] = &mut tasks[..]
            && only.advance(HERE_ROWS_MAX)?
        {
            return self.take_over(tasks.remove(0));
        }
        let mut running = JoinSet::new();
        for task in tasks {
            running.spawn_on(task.run(), self.engine.handle());
        }
        while let Some(done) = running.join_next().await {
            let done = done.map_err(|e| Error::internal(format!("a task of an aggregation failed: {e}")))?;
            self.take_over(done?)?;
        }
        Ok(())
    }

    fn take_over(&mut self, done: Task) -> Result<()> {
        match &mut self.all {
            None => self.all = Some(done),
            Some(all) => {
                all.partial.merge(&done.partial)?;
                all.account()?;
            }
        }
        Ok(())
    }

    fn task(&self, cursor: Box<dyn PointCursor>) -> Task {
        Task {
            plan: Arc::clone(self.plan),
            view: Arc::clone(self.view),
            cursor,
            partial: Partial::new(self.plan, self.bucket),
            memory: self.engine.reservation("series aggregate"),
        }
    }

    fn open(&self, from_us: i64, to_us: i64) -> Result<Vec<Box<dyn PointCursor>>> {
        let few = self.selection.series.as_ref().is_some_and(|series| series.len() <= ONE_TASK_SERIES_MAX);
        let scan = PointScan {
            storage: self.plan.access.scan.table.storage,
            layout: Arc::clone(&self.plan.access.codec.layout),
            series: match &self.selection.series {
                Some(series) => ranges(&self.selection, series),
                None => vec![KeyRange::all()],
            },
            from_us,
            to_us,
            fields: self.plan.fields.iter().map(|f| f.place).collect(),
            conditions: vec![],
            versions: false,
            batch_rows: BATCH_ROWS,
            any_order: true,
            blocks: self.blocks,
            cursors: if few { 1 } else { self.engine.partitions() },
        };
        self.view.scan_points(&scan)
    }
}

/// One cursor's share of the work.
struct Task {
    plan: Arc<SeriesAggregate>,
    view: Arc<ReadView>,
    cursor: Box<dyn PointCursor>,
    partial: Partial,
    memory: MemoryReservation,
}

impl Task {
    /// Reads to the end.
    async fn run(mut self) -> Result<Self> {
        while !self.advance(1)? {
            // The runtime must get its turn although reading never waits: that is also where a cancel is noticed.
            heddle_env::give_way();
            tokio::task::yield_now().await;
        }
        Ok(self)
    }

    /// Reads `rows` points or a batch more; true at the end.
    fn advance(&mut self, rows: usize) -> Result<bool> {
        let mut read = 0;
        while read < rows {
            match self.cursor.next_points()? {
                None => return Ok(true),
                Some(Points::Rows(points)) => {
                    read += points.rows();
                    self.partial.add(&self.plan, &points, &self.view)?;
                }
                Some(Points::Blocks(known)) => {
                    read += known.blocks.len();
                    self.partial.add_blocks(&self.plan, &known, &self.view)?;
                }
            }
            self.account()?;
        }
        Ok(false)
    }

    fn account(&mut self) -> Result<()> {
        self.memory.try_resize(self.partial.bytes()).map_err(from_df)
    }
}
