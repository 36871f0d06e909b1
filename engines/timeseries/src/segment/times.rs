//! Times of a page as runs of equal steps: what regular points need, whatever their number.

use super::error::Malformed;
use super::varint::{Input, put, put_signed};
use std::ops::Range;

/// Pages with more runs than one in so many rows are numbers like any other.
const ROWS_PER_RUN_MIN: usize = 32;

/// `times` as runs; `None` when that would be too many.
pub fn encode_runs(times: &[i64]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut at, mut before, mut runs) = (0, 0i64, 0);
    while at < times.len() {
        let step = times.get(at + 1).map_or(0, |next| next.wrapping_sub(times[at]));
        let same = times[at..].windows(2).take_while(|pair| pair[1].wrapping_sub(pair[0]) == step).count();
        put_signed(&mut out, times[at].wrapping_sub(before).into());
        put_signed(&mut out, step.into());
        put(&mut out, same as u128);
        (at, before, runs) = (at + same + 1, times[at + same], runs + 1);
        if runs > 1 + times.len() / ROWS_PER_RUN_MIN {
            return None;
        }
    }
    Some(out)
}

/// Appends to `out` the `wanted` ones (ascending) of the times in `page`.
pub fn decode_runs(page: &[u8], wanted: &[Range<usize>], out: &mut Vec<i64>) -> Result<(), Malformed> {
    let mut runs = Runs { input: Input(page), run: Run::default() };
    for piece in wanted {
        let mut at = piece.start as u64;
        while at < piece.end as u64 {
            let run = runs.with(at).ok_or_else(|| Malformed::new("times are cut short"))?;
            let end = run.end.min(piece.end as u64);
            out.extend((at..end).map(|row| run.time(row)));
            at = end;
        }
    }
    Ok(())
}

/// Times with one step between them.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Rows of the page.
    start: u64,
    end: u64,
    first_us: i64,
    step_us: i64,
}

impl Run {
    fn time(&self, row: u64) -> i64 {
        self.first_us.wrapping_add(self.step_us.wrapping_mul(row.wrapping_sub(self.start) as i64))
    }
}

struct Runs<'a> {
    input: Input<'a>,
    /// The one read last.
    run: Run,
}

impl Runs<'_> {
    /// The run with `row`, which is none before the one read last; `None` when there is none.
    fn with(&mut self, row: u64) -> Option<Run> {
        while row >= self.run.end {
            let before_us = if self.run.end == 0 { 0 } else { self.run.time(self.run.end - 1) };
            let first_us = before_us.wrapping_add(self.input.i64()?);
            let step_us = self.input.i64()?;
            let (start, same) = (self.run.end, self.input.u64()?);
            self.run = Run { start, end: start.saturating_add(same).saturating_add(1), first_us, step_us };
        }
        Some(self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    #[test]
    fn times_come_back() {
        let regular = (0..4096).map(|n| n * 10);
        for times in [
            regular.clone().collect::<Vec<i64>>(),
            regular.clone().chain(regular.clone()).collect(),
            regular.map(|n| if n > 5000 { n + 3 } else { n }).collect(),
            vec![i64::MIN, i64::MAX],
            vec![7],
            vec![],
        ] {
            let page = encode_runs(&times).expect("few runs");
            let n = times.len();
            for wanted in [0..n, 0..n / 3, n / 3..n, n / 2..n / 2, n - n.min(1)..n] {
                let mut out = vec![5];
                decode_runs(&page, slice::from_ref(&wanted), &mut out).expect("ours");
                assert_eq!(out[1..], times[wanted]);
            }
            let pieces: Vec<_> = (0..n).step_by(70).map(|at| at..n.min(at + 3)).collect();
            let mut out = Vec::new();
            decode_runs(&page, &pieces, &mut out).expect("ours");
            assert_eq!(out, pieces.iter().flat_map(|piece| &times[piece.clone()]).copied().collect::<Vec<_>>());
            assert!(decode_runs(&page, slice::from_ref(&(0..n + 1)), &mut Vec::new()).is_err());
        }
        assert!(encode_runs(&(0..1000).map(|n| n * n).collect::<Vec<_>>()).is_none());
    }
}
