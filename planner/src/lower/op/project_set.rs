//! ProjectSet: set-returning functions per input row. A single function streams, from a thread that may block; several in
//! lock-step are computed whole per input row and padded with NULLs.

use super::super::scan::to_batch;
use super::{Batches, Op, SetCall, place};
use crate::context::EvalContext;
use crate::function::{self, CallTypes, Kind, to_df};
use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use heddle_types::{Error, PgType, Result};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Chunks that may wait for the reader.
const CHUNKS: usize = 2;

pub(super) fn stream(op: Arc<Op>, input: SendableRecordBatchStream, schema: SchemaRef) -> Batches {
    input
        .map(move |batch| match batch {
            Ok(batch) => one_batch(Arc::clone(&op), batch, Arc::clone(&schema)),
            Err(e) => futures::stream::once(async move { Err(e) }).boxed(),
        })
        .flatten()
        .boxed()
}

/// The results of one input batch, made on a blocking thread.
fn one_batch(op: Arc<Op>, batch: RecordBatch, schema: SchemaRef) -> Batches {
    let (send, receive) = mpsc::channel(CHUNKS);
    let work = move || {
        let mut out = Output { schema, send };
        if let Err(e) = run(&op, &batch, &mut out) {
            // The reader may be gone already.
            let _ = out.send.blocking_send(Err(to_df(e)));
        }
    };
    let task = tokio::task::spawn_blocking(work);
    futures::stream::unfold(Some((receive, task)), |state| async move {
        let (mut receive, task) = state?;
        match receive.recv().await {
            Some(item) => Some((item, Some((receive, task)))),
            None => match task.await {
                Ok(()) => None,
                Err(e) => {
                    Some((Err(DataFusionError::Internal(format!("a set-returning function stopped: {e}"))), None))
                }
            },
        }
    })
    .boxed()
}

struct Output {
    schema: SchemaRef,
    send: mpsc::Sender<DfResult<RecordBatch>>,
}

impl Output {
    /// False when nobody reads any more.
    fn emit(
        &mut self,
        kept: &[ArrayRef],
        row: usize,
        columns: Vec<ArrayRef>,
        first: Option<i64>,
        n: usize,
    ) -> Result<bool> {
        let rows = UInt32Array::from(vec![row as u32; n]);
        let mut arrays = vec![];
        for a in kept {
            arrays.push(take(a, &rows, None).map_err(function::error::arrow_error)?);
        }
        arrays.extend(columns);
        if let Some(first) = first {
            arrays.push(Arc::new(Int64Array::from_iter_values(first..first + n as i64)));
        }
        let batch = to_batch(&self.schema, arrays, n)?;
        Ok(self.send.blocking_send(Ok(batch)).is_ok())
    }
}

fn run(op: &Op, batch: &RecordBatch, out: &mut Output) -> Result<()> {
    let Op::ProjectSet { calls, kept, ordinality, outer, ctx } = op else {
        return Err(Error::internal("not a ProjectSet"));
    };
    let input = batch.schema();
    let column = |id| place(&input, id).map(|i| Arc::clone(batch.column(i))).map_err(function::from_df);
    let kept = kept.iter().map(|id| column(*id)).collect::<Result<Vec<_>>>()?;
    let mut args = vec![];
    for call in calls {
        args.push(call.args.iter().map(|(id, _)| column(*id)).collect::<Result<Vec<_>>>()?);
    }
    for row in 0..batch.num_rows() {
        let go_on = match &calls[..] {
            [call] => single(call, &args[0], row, &kept, *ordinality, *outer, ctx, out)?,
            _ => lock_step(calls, &args, row, &kept, *ordinality, *outer, ctx, out)?,
        };
        if !go_on {
            return Ok(());
        }
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the state of one row's expansion, used here alone")]
fn single(
    call: &SetCall,
    args: &[ArrayRef],
    row: usize,
    kept: &[ArrayRef],
    ordinality: bool,
    outer: bool,
    ctx: &EvalContext,
    out: &mut Output,
) -> Result<bool> {
    let (mut given, mut alive) = (0i64, true);
    invoke(call, args, row, ctx, &mut |columns| {
        let n = columns.first().map_or(0, |c| c.len());
        if n > 0 {
            alive = out.emit(kept, row, columns, ordinality.then_some(given + 1), n)?;
            given += n as i64;
        }
        Ok(alive)
    })?;
    if given == 0 && outer && alive {
        let nulls = null_row(call);
        let first = ordinality.then_some(1);
        return out.emit(kept, row, nulls, first, 1);
    }
    Ok(alive)
}

fn null_row(call: &SetCall) -> Vec<ArrayRef> {
    call.columns.iter().map(|(_, ty)| new_null_array(&heddle_types::arrow::data_type(*ty), 1)).collect()
}

#[expect(clippy::too_many_arguments, reason = "the state of one row's expansion, used here alone")]
fn lock_step(
    calls: &[SetCall],
    args: &[Vec<ArrayRef>],
    row: usize,
    kept: &[ArrayRef],
    ordinality: bool,
    outer: bool,
    ctx: &EvalContext,
    out: &mut Output,
) -> Result<bool> {
    let mut results = vec![];
    for (call, args) in calls.iter().zip(args) {
        let mut chunks: Vec<Vec<ArrayRef>> = vec![];
        invoke(call, args, row, ctx, &mut |columns| {
            chunks.push(columns);
            Ok(true)
        })?;
        results.push(whole(call, &chunks)?);
    }
    let n = results.iter().filter_map(|r| r.first()).map(|c| c.len()).max().unwrap_or(0);
    let n = if n == 0 && outer { 1 } else { n };
    if n == 0 {
        return Ok(true);
    }
    let mut columns = vec![];
    for c in results.into_iter().flatten() {
        let missing = new_null_array(c.data_type(), n - c.len());
        columns.push(concat(&[c.as_ref(), missing.as_ref()]).map_err(function::error::arrow_error)?);
    }
    out.emit(kept, row, columns, ordinality.then_some(1), n)
}

fn whole(call: &SetCall, chunks: &[Vec<ArrayRef>]) -> Result<Vec<ArrayRef>> {
    (0..call.columns.len())
        .map(|c| {
            let parts: Vec<&dyn Array> = chunks.iter().map(|chunk| chunk[c].as_ref()).collect();
            if parts.is_empty() {
                return Ok(arrow::array::new_empty_array(&heddle_types::arrow::data_type(call.columns[c].1)));
            }
            concat(&parts).map_err(function::error::arrow_error)
        })
        .collect()
}

/// Calls the function for one row; a scalar function gives one row.
fn invoke(
    call: &SetCall,
    args: &[ArrayRef],
    row: usize,
    ctx: &EvalContext,
    emit: &mut dyn FnMut(Vec<ArrayRef>) -> Result<bool>,
) -> Result<()> {
    let f = function::by_id(call.func)
        .ok_or_else(|| Error::internal(format!("function with OID {} does not exist", call.func.0)))?;
    let one: Vec<ArrayRef> = args.iter().map(|a| a.slice(row, 1)).collect();
    let types: Vec<PgType> = call.args.iter().map(|(_, ty)| *ty).collect();
    let types = CallTypes { args: &types, ret: call.ret };
    match f.kind {
        Kind::Set(..) if f.strict && one.iter().any(|a| a.is_null(0)) => Ok(()),
        Kind::Set(kernel, _) => kernel(ctx, &types, &one, emit),
        Kind::Scalar(kernel) | Kind::Compare(_, kernel) => emit(vec![kernel(ctx, &types, &one, 1)?]).map(|_| ()),
        _ => Err(Error::internal(format!("function {} does not return a set", f.name))),
    }
}
