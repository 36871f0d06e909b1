//! PostgreSQL's interval.

/// Months, days and microseconds, kept apart as PostgreSQL does. Compare with [`Interval::total_us`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Months
    pub months: i32,
    /// Days
    pub days: i32,
    /// Microseconds
    pub us: i64,
}

impl Interval {
    /// The length for comparison: a month is 30 days, a day 24 hours.
    pub fn total_us(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * 86_400_000_000 + i128::from(self.us)
    }
    /// Sixteen bytes: months, days (i32 LE), us (i64 LE). The Arrow form (FixedSizeBinary(16)) and the row form.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut b = [0; 16];
        b[..4].copy_from_slice(&self.months.to_le_bytes());
        b[4..8].copy_from_slice(&self.days.to_le_bytes());
        b[8..].copy_from_slice(&self.us.to_le_bytes());
        b
    }
    /// Reads [`Self::to_bytes`].
    pub fn from_bytes(b: [u8; 16]) -> Self {
        let le = |r: std::ops::Range<usize>| i32::from_le_bytes(b[r].try_into().expect("four bytes"));
        Self { months: le(0..4), days: le(4..8), us: i64::from_le_bytes(b[8..].try_into().expect("eight bytes")) }
    }
}
