//! The condition that TABLESAMPLE puts over a scan: a row is in the sample by the hash of its storage key, so that a sample with
//! REPEATABLE stays the same while the table does.

use super::kernel::kn;
use super::{FuncId, Registry};
use crate::context::EvalContext;
use heddle_types::{Error, Result, SqlState};

/// (storage key, percentage, seed, salt): is the row in the sample? With salt 0 the seed is REPEATABLE's, otherwise every statement
/// has another.
pub(crate) const SAMPLED: FuncId = FuncId(9032);

/// A percentage as the part of all hashes.
///
/// # Errors
/// `2202H`
pub(crate) fn fraction(percent: Option<f32>) -> Result<f64> {
    let refuse = |text: &str| Err(Error::new(SqlState::INVALID_TABLESAMPLE_ARGUMENT, text));
    match percent {
        None => refuse("TABLESAMPLE parameter cannot be null"),
        Some(p) if (0.0..=100.0).contains(&p) => Ok(f64::from(p) / 100.0),
        Some(_) => refuse("sample percentage must be between 0 and 100"),
    }
}

fn seed(repeatable: Option<f64>, salt: i32, cx: &EvalContext) -> Result<u64> {
    if salt != 0 {
        return Ok(mixed(cx.statement_us as u64 ^ ((salt as u64) << 48)));
    }
    let null = "TABLESAMPLE REPEATABLE parameter cannot be null";
    let seed = repeatable.ok_or_else(|| Error::new(SqlState::INVALID_TABLESAMPLE_REPEAT, null))?;
    Ok(mixed(seed.to_bits()))
}

/// Spreads every bit over all (the finalizer of splitmix64).
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// FNV-1a from a seed, spread.
fn hash(key: &[u8], seed: u64) -> u64 {
    mixed(key.iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)))
}

pub(super) fn register(r: &mut Registry) {
    r.scalar(
        "heddle_sample(bytea,float4,float8,int4)",
        kn!(cx, _ty; |key: Option<&[u8]>, percent: Option<f32>, repeatable: Option<f64>, salt: Option<i32>| -> Option<bool> {
            let part = fraction(percent)?;
            let place = hash(key.unwrap_or_default(), seed(repeatable, salt.unwrap_or_default(), cx)?);
            // 53 bits: what a double holds.
            Ok(Some(((place >> 11) as f64) < part * (1u64 << 53) as f64))
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_takes_its_part() {
        let seed = mixed(7);
        let taken =
            (0..100_000u32).filter(|i| ((hash(&i.to_be_bytes(), seed) >> 11) as f64) < 0.1 * (1u64 << 53) as f64);
        let taken = taken.count();
        assert!((9_500..10_500).contains(&taken), "{taken}");
    }

    #[test]
    fn fraction_has_bounds() {
        assert!(fraction(None).is_err() && fraction(Some(100.5)).is_err() && fraction(Some(f32::NAN)).is_err());
        assert_eq!(fraction(Some(50.0)).unwrap(), 0.5);
    }
}
