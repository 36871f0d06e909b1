//! [`Tombstones`]: which points of older segments are gone.

use bytes::Bytes;
use heddle_types::{Error, Result};
use std::ops::Range;

/// A sorted set of (series key, time).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    /// Each series with its place in `times`; ascending.
    series: Vec<(Bytes, Range<usize>)>,
    /// Ascending within a series.
    times: Vec<i64>,
}

impl Tombstones {
    /// Adds one, which must be above all others.
    ///
    /// # Errors
    /// `XX000` when it is not.
    pub fn push(&mut self, series: &Bytes, time_us: i64) -> Result<()> {
        let end = self.times.len();
        match self.series.last_mut() {
            Some((last, _)) if *last > *series => return Err(Error::internal("tombstones are not in order")),
            Some((last, range)) if *last == *series => {
                if self.times.last() >= Some(&time_us) {
                    return Err(Error::internal("tombstones are not in order"));
                }
                range.end = end + 1;
            }
            _ => self.series.push((series.clone(), end..end + 1)),
        }
        self.times.push(time_us);
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Is the point of `series` at `time_us` deleted?
    pub fn contains(&self, series: &[u8], time_us: i64) -> bool {
        self.times_of(series).binary_search(&time_us).is_ok()
    }

    /// Deleted times of one series, ascending.
    pub fn times_of(&self, series: &[u8]) -> &[i64] {
        match self.series.binary_search_by(|(key, _)| key[..].cmp(series)) {
            Ok(at) => &self.times[self.series[at].1.clone()],
            Err(_) => &[],
        }
    }

    /// Series in key order with their deleted times.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &[i64])> {
        self.series.iter().map(|(key, range)| (key, &self.times[range.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_are_a_sorted_set() {
        let mut set = Tombstones::default();
        let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        for (key, time) in [(&a, -5), (&a, 7), (&b, -9)] {
            set.push(key, time).expect("in order");
        }
        assert!(set.push(&b, -9).is_err() && set.push(&a, 8).is_err());
        assert!(set.contains(b"a", 7) && set.contains(b"b", -9) && !set.contains(b"b", 7) && !set.contains(b"c", 7));
        assert_eq!((set.len(), set.times_of(b"a")), (3, &[-5, 7][..]));
        assert_eq!(set.iter().map(|(key, times)| (key.clone(), times.len())).collect::<Vec<_>>(), [(a, 2), (b, 1)]);
    }
}
