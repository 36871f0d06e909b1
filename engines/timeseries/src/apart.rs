//! [`Apart`]: chunks that have nothing to be merged with, given out as they lie.
//!
//! Points mostly come in order of time. Then a memtable is hundreds of chunks, each with a few rows of every series, and to put
//! them in order costs more than what is done with them. Who does not mind the order ([`crate::view::Wanted::any_order`]) gets
//! the rows of a chunk at once, if nothing else has a row of the same series at times between its own.

use crate::columns::{Gather, Gathered};
use crate::merge::MergeOptions;
use crate::source::{Source, SourceRun};
use heddle_types::Result;
use std::cmp::Ordering;
use std::vec::IntoIter;

/// Chunks with fewer rows than this part of a batch are merged: a batch for each would cost as much.
const SMALL: usize = 8;
/// Sources whose times meet are compared series by series, but no more pairs than so many for each source.
const PAIRS_MAX: usize = 4;

/// See the module.
pub struct Apart {
    sources: IntoIter<Source>,
    current: Option<(Source, Option<SourceRun>)>,
    gather: Gather,
}

impl Apart {
    /// Takes out of `sources` those that stand apart from all others.
    pub fn take(sources: &mut Vec<Source>, options: &MergeOptions) -> Self {
        let apart = stand_apart(sources, options.batch_rows / SMALL);
        let mut apart = apart.into_iter();
        let (out, left): (Vec<Source>, Vec<Source>) =
            std::mem::take(sources).into_iter().partition(|_| apart.next().unwrap_or(false));
        *sources = left;
        Self { sources: out.into_iter(), current: None, gather: Gather::new(1, options) }
    }

    /// The next batch, of one source; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<Gathered>> {
        loop {
            let (mut source, begun) = match self.current.take() {
                Some(current) => current,
                None => match self.sources.next() {
                    Some(source) => (source, None),
                    None => return Ok(None),
                },
            };
            let rest = self.fill(&mut source, begun)?;
            if rest.is_some() {
                self.current = Some((source, rest));
            }
            if let Some(batch) = self.gather.finish()? {
                return Ok(Some(batch));
            }
        }
    }

    /// Appends runs of `source`, from what is left of one on, until the batch is full; what is left of the last one then.
    fn fill(&mut self, source: &mut Source, begun: Option<SourceRun>) -> Result<Option<SourceRun>> {
        let mut next = begun.or_else(|| source.take_run());
        while let Some(mut run) = next {
            let room = self.gather.room() as u64;
            if room == 0 {
                return Ok(Some(run));
            }
            let end = run.rows.end.min(run.rows.start + room);
            let (columns, start) = source.at(run.rows.start)?;
            let rows = start..start + (end - run.rows.start) as usize;
            // A source has each series once, so that it is another one than the last.
            if end == run.rows.end {
                self.gather.push_next(0, columns, run.series, rows);
                next = source.take_run();
            } else {
                self.gather.push_next(0, columns, run.series.clone(), rows);
                run.rows.start = end;
                next = Some(run);
            }
        }
        Ok(None)
    }
}

/// Which of the sources do, and have at least `rows_min` rows.
fn stand_apart(sources: &[Source], rows_min: usize) -> Vec<bool> {
    let mut apart: Vec<bool> = sources.iter().map(|source| source.rows_in_memory() >= rows_min.max(1)).collect();
    let mut spans: Vec<_> = sources.iter().enumerate().map(|(place, source)| (source.span(), place)).collect();
    spans.sort_unstable();
    let mut pairs = 0;
    for (at, &((_, last), a)) in spans.iter().enumerate() {
        for &(_, b) in spans[at + 1..].iter().take_while(|((first, _), _)| *first <= last) {
            pairs += 1;
            if pairs > PAIRS_MAX * sources.len() {
                return vec![false; sources.len()];
            }
            if (apart[a] || apart[b]) && meet(&sources[a], &sources[b]) {
                (apart[a], apart[b]) = (false, false);
            }
        }
    }
    apart
}

/// Has each a row of one series, one of them between the first and the last of the other or at the same time?
fn meet(a: &Source, b: &Source) -> bool {
    let (mut runs_a, mut runs_b) = (a.runs().iter().peekable(), b.runs().iter().peekable());
    while let (Some(run_a), Some(run_b)) = (runs_a.peek(), runs_b.peek()) {
        match run_a.series.cmp(&run_b.series) {
            Ordering::Less => drop(runs_a.next()),
            Ordering::Greater => drop(runs_b.next()),
            Ordering::Equal => {
                let ((first_a, last_a), (first_b, last_b)) = (a.times(run_a), b.times(run_b));
                if first_a <= last_b && first_b <= last_a {
                    return true;
                }
                runs_a.next();
                runs_b.next();
            }
        }
    }
    false
}
