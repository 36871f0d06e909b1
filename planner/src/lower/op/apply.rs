//! Apply: the inner plan once per distinct outer row, remembered within bounds.

use super::super::scan::to_batch;
use super::{Batches, Op, place};
use crate::function::to_df;
use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, interleave, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{collect, reset_plan_states};
use futures::StreamExt;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Remembered inner results are forgotten above this many bytes.
const MEMO_BYTES_MAX: usize = 32 << 20;
const MEMO_ENTRIES_MAX: usize = 100_000;

struct State {
    op: Arc<Op>,
    input: SendableRecordBatchStream,
    inner: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    memo: HashMap<Vec<ScalarValue>, RecordBatch>,
    memo_bytes: usize,
    /// The outer batch in work and its next row.
    left: Option<(RecordBatch, usize)>,
    ready: VecDeque<RecordBatch>,
}

pub(super) fn stream(
    op: Arc<Op>,
    input: SendableRecordBatchStream,
    inner: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
) -> Batches {
    let state = State {
        op,
        input,
        inner,
        schema,
        context,
        memo: HashMap::new(),
        memo_bytes: 0,
        left: None,
        ready: VecDeque::new(),
    };
    futures::stream::try_unfold(state, |mut s| async move {
        loop {
            if let Some(batch) = s.ready.pop_front() {
                return Ok(Some((batch, s)));
            }
            if s.left.is_none() {
                match s.input.next().await {
                    Some(batch) => s.left = Some((batch?, 0)),
                    None => return Ok(None),
                }
            }
            s.advance().await?;
        }
    })
    .boxed()
}

impl State {
    /// Works on outer rows until a batch is full or the outer batch is used up.
    async fn advance(&mut self) -> DfResult<()> {
        let Some((left, mut row)) = self.left.take() else { return Ok(()) };
        let full = self.context.session_config().batch_size();
        let (mut outer_rows, mut parts, mut picks) = (vec![], vec![], vec![]);
        while row < left.num_rows() && picks.len() < full {
            let inner = self.inner_rows(&left, row).await?;
            picks.extend((0..inner.num_rows()).map(|i| (parts.len(), i)));
            outer_rows.extend(std::iter::repeat_n(row as u32, inner.num_rows()));
            parts.push(inner);
            row += 1;
        }
        if !picks.is_empty() {
            self.ready.push_back(self.joined(&left, outer_rows, &parts, &picks)?);
        }
        if row < left.num_rows() {
            self.left = Some((left, row));
        }
        Ok(())
    }

    fn joined(
        &self,
        left: &RecordBatch,
        rows: Vec<u32>,
        parts: &[RecordBatch],
        picks: &[(usize, usize)],
    ) -> DfResult<RecordBatch> {
        let n = rows.len();
        let rows = UInt32Array::from(rows);
        let mut arrays: Vec<ArrayRef> = vec![];
        for column in left.columns() {
            arrays.push(take(column, &rows, None)?);
        }
        for c in 0..self.schema.fields().len() - left.num_columns() {
            let columns: Vec<&dyn Array> = parts.iter().map(|p| p.column(c).as_ref()).collect();
            arrays.push(interleave(&columns, picks)?);
        }
        to_batch(&self.schema, arrays, n).map_err(to_df)
    }

    /// The inner plan's rows for one outer row.
    async fn inner_rows(&mut self, left: &RecordBatch, row: usize) -> DfResult<RecordBatch> {
        let Op::Apply { cells, outer, .. } = &*Arc::clone(&self.op) else {
            return Err(DataFusionError::Internal("not an Apply".to_owned()));
        };
        let mut key = Vec::with_capacity(cells.len());
        for cell in cells {
            let at = place(&left.schema(), cell.id)?;
            key.push(ScalarValue::try_from_array(left.column(at), row)?);
        }
        if let Some(known) = self.memo.get(&key) {
            return Ok(known.clone());
        }
        for (cell, value) in cells.iter().zip(&key) {
            cell.set(value.clone());
        }
        let plan = reset_plan_states(Arc::clone(&self.inner))?;
        let batches = collect(plan, Arc::clone(&self.context)).await?;
        let mut rows = concat_batches(&self.inner.schema(), &batches)?;
        if rows.num_rows() == 0 && *outer {
            let schema = self.inner.schema();
            let nulls = schema.fields().iter().map(|f| new_null_array(f.data_type(), 1)).collect();
            let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
            rows = to_batch(&Arc::new(arrow::datatypes::Schema::new(fields)), nulls, 1).map_err(to_df)?;
        }
        self.remember(key, &rows);
        Ok(rows)
    }

    fn remember(&mut self, key: Vec<ScalarValue>, rows: &RecordBatch) {
        let bytes = rows.get_array_memory_size() + key.iter().map(ScalarValue::size).sum::<usize>();
        if self.memo.len() >= MEMO_ENTRIES_MAX || self.memo_bytes + bytes > MEMO_BYTES_MAX {
            self.memo.clear();
            self.memo_bytes = 0;
        }
        // Volatile inner plans are rare and PostgreSQL promises nothing about how often they run.
        if bytes <= MEMO_BYTES_MAX {
            self.memo_bytes += bytes;
            self.memo.insert(key, rows.clone());
        }
    }
}
