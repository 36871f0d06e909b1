//! DISTINCT, ORDER BY inside the call, and moving window frames: keeps the rows and replays them into a fresh state.
//!
//! The partial state is one list column per argument and order column, so partial results merge in any order.

use super::{Maker, Types};
use crate::function::error::to_df;
use arrow::array::{Array, ArrayRef, ListArray, UInt32Array, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortColumn, SortOptions, concat, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;
use heddle_types::arrow::{datum_at, sort_key};
use heddle_types::key;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows waiting for the end.
#[derive(Debug)]
pub(super) struct Collected {
    t: Types,
    maker: Arc<dyn Maker>,
    /// Arrow types of arguments, then order columns.
    columns: Vec<DataType>,
    distinct: bool,
    order: Vec<SortOptions>,
    batches: VecDeque<Vec<ArrayRef>>,
}

/// Fields of the partial state.
pub(super) fn state_fields(name: &str, columns: &[DataType]) -> Vec<FieldRef> {
    let list = |t: &DataType| DataType::List(Arc::new(Field::new_list_field(t.clone(), true)));
    columns.iter().enumerate().map(|(i, t)| Arc::new(Field::new(format!("{name}[{i}]"), list(t), true))).collect()
}

impl Collected {
    pub(super) fn new(
        t: Types,
        maker: Arc<dyn Maker>,
        columns: Vec<DataType>,
        distinct: bool,
        order: Vec<SortOptions>,
    ) -> Self {
        Self { t, maker, columns, distinct, order, batches: VecDeque::new() }
    }

    fn rows(&self) -> DfResult<Vec<ArrayRef>> {
        let column = |c: usize| {
            let parts: Vec<&dyn Array> = self.batches.iter().map(|b| b[c].as_ref()).collect();
            if parts.is_empty() { Ok(new_empty_array(&self.columns[c])) } else { Ok(concat(&parts)?) }
        };
        (0..self.columns.len()).map(column).collect()
    }

    /// The arguments in the order they count, duplicates removed.
    fn prepared(&self) -> DfResult<Vec<ArrayRef>> {
        let rows = self.rows()?;
        let nargs = self.columns.len() - self.order.len();
        let n = rows.first().map_or(0, |c| c.len());
        let mut indices: Option<UInt32Array> = None;
        if !self.order.is_empty() {
            // The position last: equal rows stay in the order they came in.
            let positions: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..n as u32));
            let columns: Vec<SortColumn> = rows[nargs..]
                .iter()
                .zip(&self.order)
                .map(|(c, o)| SortColumn { values: c.clone(), options: Some(*o) })
                .chain([SortColumn { values: positions, options: None }])
                .collect();
            indices = Some(lexsort_to_indices(&columns, None)?);
        } else if self.distinct {
            let columns = rows[..nargs]
                .iter()
                .zip(&self.t.args)
                .map(|(c, t)| {
                    Ok(SortColumn { values: sort_key(c, *t)?, options: Some(SortOptions::new(false, false)) })
                })
                .collect::<heddle_types::Result<Vec<_>>>()
                .map_err(to_df)?;
            indices = Some(lexsort_to_indices(&columns, None)?);
        }
        if self.distinct {
            let all: Vec<u32> = match &indices {
                Some(i) => i.values().to_vec(),
                None => (0..n as u32).collect(),
            };
            let mut seen = HashSet::new();
            let keep: Vec<u32> =
                all.into_iter().filter(|i| seen.insert(self.key(&rows[..nargs], *i as usize))).collect();
            indices = Some(keep.into());
        }
        match indices {
            Some(i) => rows[..nargs].iter().map(|c| Ok(take(c, &i, None)?)).collect(),
            None => Ok(rows[..nargs].to_vec()),
        }
    }

    fn key(&self, args: &[ArrayRef], i: usize) -> Vec<u8> {
        let values: Vec<_> = args.iter().zip(&self.t.args).map(|(c, t)| datum_at(c, *t, i)).collect();
        key::encode_row(&values)
    }

    /// Keeps only one of equal rows, so that DISTINCT holds no more than the distinct values.
    fn shrink(&mut self) -> DfResult<()> {
        if !self.distinct || !self.order.is_empty() || self.batches.len() < 16 {
            return Ok(());
        }
        let rows = self.prepared()?;
        self.batches.clear();
        self.batches.push_back(rows);
        Ok(())
    }
}

impl Accumulator for Collected {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let width = self.columns.len();
        if values.len() < width {
            return Err(to_df(heddle_types::Error::internal("aggregate got too few columns")));
        }
        if !values[0].is_empty() {
            self.batches.push_back(values[..width].to_vec());
        }
        Ok(())
    }
    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let mut inner = self.maker.single(self.t.clone());
        inner.update_batch(&self.prepared()?)?;
        inner.evaluate()
    }
    fn size(&self) -> usize {
        // The batches of many groups are slices of the same arrays: each counts what it shows of them.
        let shown = |a: &ArrayRef| a.to_data().get_slice_memory_size().unwrap_or_else(|_| a.get_array_memory_size());
        size_of_val(self) + self.batches.iter().flatten().map(shown).sum::<usize>()
    }
    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        self.batches = VecDeque::from(match self.distinct && self.order.is_empty() {
            true => vec![self.prepared()?],
            false => vec![self.rows()?],
        });
        let list = |c: &ArrayRef| {
            let field = Arc::new(Field::new_list_field(c.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths([c.len()]);
            Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, c.clone(), None)?)))
        };
        self.batches[0].iter().map(list).collect()
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let lists: Vec<&ListArray> = states.iter().filter_map(|s| s.as_any().downcast_ref()).collect();
        for i in 0..states.first().map_or(0, |s| s.len()) {
            let row: Vec<ArrayRef> = lists.iter().map(|l| l.value(i)).collect();
            if row.len() == self.columns.len() && row.first().is_some_and(|c| !c.is_empty()) {
                self.batches.push_back(row);
            }
        }
        self.shrink()
    }
    /// Frames move forward: what leaves is what came first.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let mut n = values.first().map_or(0, |c| c.len());
        while n > 0 {
            let Some(front) = self.batches.front_mut() else { break };
            let len = front[0].len();
            if len <= n {
                n -= len;
                self.batches.pop_front();
            } else {
                for c in front.iter_mut() {
                    *c = c.slice(n, len - n);
                }
                n = 0;
            }
        }
        Ok(())
    }
    fn supports_retract_batch(&self) -> bool {
        true
    }
}
