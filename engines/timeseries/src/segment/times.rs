//! Times of a page as runs of equal steps: what regular points need, whatever their number.

use super::error::Malformed;
use super::varint::{Input, put, put_signed};

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

/// Appends to `out` the first `wanted` of the times in `page`.
pub fn decode_runs(page: &[u8], wanted: usize, out: &mut Vec<i64>) -> Result<(), Malformed> {
    let cut = || Malformed::new("times are cut short");
    let end = out.len() + wanted;
    let (mut input, mut before) = (Input(page), 0i64);
    while out.len() < end {
        let start = before.wrapping_add(input.i64().ok_or_else(cut)?);
        let step = input.i64().ok_or_else(cut)?;
        let same = input.u64().ok_or_else(cut)?;
        let n = same.saturating_add(1).min((end - out.len()) as u64) as i64;
        out.extend((0..n).map(|i| start.wrapping_add(step.wrapping_mul(i))));
        before = start.wrapping_add(step.wrapping_mul(same as i64));
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
            for wanted in [times.len(), times.len() / 3, 0] {
                let mut out = vec![5];
                decode_runs(&page, wanted, &mut out).expect("ours");
                assert_eq!(out[1..], times[..wanted]);
            }
            assert!(decode_runs(&page, times.len() + 1, &mut Vec::new()).is_err());
        }
        assert!(encode_runs(&(0..1000).map(|n| n * n).collect::<Vec<_>>()).is_none());
    }
}
