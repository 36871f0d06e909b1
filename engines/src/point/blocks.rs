//! Blocks: stretches of one series of which an engine knows rows, counts, sums and extremes without reading them.
//!
//! A scan may ask for them ([`super::PointScan::blocks`]). Then whole blocks come as such and their points do not.

use bytes::Bytes;

/// Pieces of time that a block must not lie across: of one width, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Microseconds, at least one.
    pub width_us: i64,
    /// A start of one of them; not negative, below the width.
    pub origin_us: i64,
}

impl Pieces {
    /// Do both times lie in one piece?
    pub fn hold(self, first_us: i64, last_us: i64) -> bool {
        let number = |us: i64| (i128::from(us) - i128::from(self.origin_us)).div_euclid(self.width_us.into());
        number(first_us) == number(last_us)
    }
}

/// What a scan that wants blocks says about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockScan {
    /// None = a block may reach over any time.
    pub pieces: Option<Pieces>,
}

/// Blocks of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesBlocks {
    /// Its key.
    pub series: Bytes,
    /// Ascending.
    pub blocks: Vec<Block>,
    /// For each field asked for what is known of it, block by block.
    pub fields: Vec<Vec<FieldSummary>>,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first time.
    pub first_us: i64,
    /// Its last time.
    pub last_us: i64,
    /// Points.
    pub rows: u64,
}

/// What is known about a field in a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldSummary {
    /// Values that are not NULL.
    pub count: u64,
    /// About those; None when there are none.
    pub values: Option<Summary>,
}

/// The values that are not NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Summary {
    /// int2, int4, int8
    Int {
        /// Minimum.
        min: i64,
        /// Maximum.
        max: i64,
        /// Exact.
        sum: i128,
    },
    /// float4, float8; order as in PostgreSQL (NaN is greatest)
    Float {
        /// Minimum.
        min: f64,
        /// Maximum.
        max: f64,
        /// In row order; infinite also when it overflowed.
        sum: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_begin_at_their_origin() {
        let pieces = Pieces { width_us: 10, origin_us: 3 };
        for (first, last, one) in [(3, 12, true), (2, 3, false), (-7, 2, true), (-8, -7, false), (12, 13, false)] {
            assert_eq!(pieces.hold(first, last), one, "{first} {last}");
        }
        assert!(!pieces.hold(i64::MIN, i64::MAX));
    }
}
