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

/// Appends to `out` the `wanted` ones of the times in `page`.
pub fn decode_runs(page: &[u8], wanted: Range<usize>, out: &mut Vec<i64>) -> Result<(), Malformed> {
    let cut = || Malformed::new("times are cut short");
    let (mut input, mut before, mut at) = (Input(page), 0i64, 0);
    while at < wanted.end as u64 {
        let start = before.wrapping_add(input.i64().ok_or_else(cut)?);
        let step = input.i64().ok_or_else(cut)?;
        let same = input.u64().ok_or_else(cut)?;
        let end = at.saturating_add(same).saturating_add(1);
        let from = (wanted.start as u64).clamp(at, end) - at;
        let to = (wanted.end as u64).min(end) - at;
        out.extend((from as i64..to as i64).map(|i| start.wrapping_add(step.wrapping_mul(i))));
        before = start.wrapping_add(step.wrapping_mul(same as i64));
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
                decode_runs(&page, wanted.clone(), &mut out).expect("ours");
                assert_eq!(out[1..], times[wanted]);
            }
            assert!(decode_runs(&page, 0..n + 1, &mut Vec::new()).is_err());
        }
        assert!(encode_runs(&(0..1000).map(|n| n * n).collect::<Vec<_>>()).is_none());
    }
}
