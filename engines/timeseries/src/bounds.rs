//! [`Bounds`]: which series and times a read is about, and where they lie in sorted lists of series.

use bytes::Bytes;
use heddle_engines::KeyRange;
use heddle_engines::point::{TIME_KEY_BYTES, point_key};
use std::ops::{Bound, Range};

/// Series and times, all ends included as the ranges say.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Ascending and disjoint.
    pub series: Vec<KeyRange>,
    /// First time.
    pub from_us: i64,
    /// Last time.
    pub to_us: i64,
}

impl Bounds {
    /// Everything.
    pub fn all() -> Self {
        Self { series: vec![KeyRange::all()], from_us: i64::MIN, to_us: i64::MAX }
    }

    /// One series at these times.
    pub fn one(series: &Bytes, from_us: i64, to_us: i64) -> Self {
        let range = KeyRange { lower: Bound::Included(series.clone()), upper: Bound::Included(series.clone()) };
        Self { series: vec![range], from_us, to_us }
    }

    /// The same series at the times that lie in `[from_us, to_us]` too.
    pub fn within(&self, from_us: i64, to_us: i64) -> Self {
        Self { series: self.series.clone(), from_us: self.from_us.max(from_us), to_us: self.to_us.min(to_us) }
    }

    /// Is `time_us` wanted?
    pub fn has_time(&self, time_us: i64) -> bool {
        (self.from_us..=self.to_us).contains(&time_us)
    }

    /// May points between these times be wanted?
    pub fn meets(&self, min_us: i64, max_us: i64) -> bool {
        min_us <= self.to_us && max_us >= self.from_us
    }

    /// Is `series` wanted?
    pub fn has_series(&self, series: &[u8]) -> bool {
        let at = self.series.partition_point(|range| starts_at_or_below(range, series));
        at > 0 && ends_at_or_above(&self.series[at - 1], series)
    }

    /// Places of the wanted series in `entries`, which is sorted by `key`.
    pub fn places<T>(&self, entries: &[T], key: impl Fn(&T) -> &[u8]) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        let mut add = |range: Range<usize>| match out.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => out.push(range),
        };
        if entries.len() < self.series.len() {
            (0..entries.len()).filter(|i| self.has_series(key(&entries[*i]))).for_each(|i| add(i..i + 1));
            return out;
        }
        let mut done = 0;
        for range in &self.series {
            let start = done + entries[done..].partition_point(|e| !starts_at_or_below(range, key(e)));
            done = start + entries[start..].partition_point(|e| ends_at_or_above(range, key(e)));
            add(start..done);
        }
        out
    }

    /// The part of the bounds with series in `[lower, upper)`.
    pub fn between(&self, lower: Option<&Bytes>, upper: Option<&Bytes>) -> Self {
        let cut = |range: &KeyRange| {
            let mut range = range.clone();
            if let Some(lower) = lower.filter(|lower| starts_at_or_below(&range, lower)) {
                range.lower = Bound::Included(lower.clone());
            }
            if let Some(upper) = upper.filter(|upper| ends_at_or_above(&range, upper)) {
                range.upper = Bound::Excluded(upper.clone());
            }
            let passed = upper.is_some_and(|upper| !starts_at_or_below(&range, upper))
                || lower.is_some_and(|lower| !ends_at_or_above(&range, lower));
            (!passed && !range.is_empty()).then_some(range)
        };
        Self { series: self.series.iter().filter_map(cut).collect(), ..*self }
    }
}

/// Does the range begin at or below `key`?
fn starts_at_or_below(range: &KeyRange, key: &[u8]) -> bool {
    match &range.lower {
        Bound::Included(lower) => lower[..] <= *key,
        Bound::Excluded(lower) => lower[..] < *key,
        Bound::Unbounded => true,
    }
}

/// Does the range end at or above `key`?
fn ends_at_or_above(range: &KeyRange, key: &[u8]) -> bool {
    match &range.upper {
        Bound::Included(upper) => upper[..] >= *key,
        Bound::Excluded(upper) => upper[..] > *key,
        Bound::Unbounded => true,
    }
}

/// Series that may have points with keys in `range`: those within it, and those whose key is the beginning of its lower end.
pub fn series_of_keys(range: &KeyRange) -> Vec<KeyRange> {
    let upper = match &range.upper {
        Bound::Included(upper) | Bound::Excluded(upper) => Bound::Included(upper.clone()),
        Bound::Unbounded => Bound::Unbounded,
    };
    let (Bound::Included(lower) | Bound::Excluded(lower)) = &range.lower else {
        return vec![KeyRange { lower: Bound::Unbounded, upper }];
    };
    let marker = point_key(b"", 0)[0];
    let beginnings = (0..lower.len()).filter(|&at| lower[at] <= marker).map(|at| lower.slice(..at));
    let mut series: Vec<KeyRange> =
        beginnings.map(|s| KeyRange { lower: Bound::Included(s.clone()), upper: Bound::Included(s) }).collect();
    series.push(KeyRange { lower: Bound::Included(lower.clone()), upper });
    series.retain(|range| !range.is_empty());
    series
}

/// First and last time at which a point of `series` has its key in `range`; `None` when there is none.
pub fn times_of_keys(range: &KeyRange, series: &[u8]) -> Option<(i64, i64)> {
    let from = match &range.lower {
        Bound::Unbounded => Some(i64::MIN),
        Bound::Included(key) => first_time(series, key, false),
        Bound::Excluded(key) => first_time(series, key, true),
    }?;
    let to = match &range.upper {
        Bound::Unbounded => Some(i64::MAX),
        // Up to the time before the first one that lies above.
        Bound::Included(key) => first_time(series, key, true).map_or(Some(i64::MAX), |time| time.checked_sub(1)),
        Bound::Excluded(key) => first_time(series, key, false).map_or(Some(i64::MAX), |time| time.checked_sub(1)),
    }?;
    (from <= to).then_some((from, to))
}

/// The first time at which a point of `series` has a key at or above (or `above` only) `key`.
fn first_time(series: &[u8], key: &[u8], above: bool) -> Option<i64> {
    let lowest = point_key(series, i64::MIN);
    if *key < lowest[..] {
        return Some(i64::MIN);
    }
    if *key > point_key(series, i64::MAX)[..] {
        return None;
    }
    // Between two keys that begin with the series and the marker, so it begins with them too.
    let digits = &key[lowest.len() - TIME_KEY_BYTES + 1..];
    let mut bytes = [0; TIME_KEY_BYTES - 1];
    let known = digits.len().min(bytes.len());
    bytes[..known].copy_from_slice(&digits[..known]);
    let time = (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64;
    let is_below = digits.len() > bytes.len() || (above && digits.len() == bytes.len());
    if is_below { time.checked_add(1) } else { Some(time) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bound() -> impl Strategy<Value = Bound<Bytes>> {
        let key = prop_oneof![
            proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(128), Just(255)], 0..12)
                .prop_map(Bytes::from),
            (series(), time()).prop_map(|(s, t)| point_key(&s, t)),
        ];
        (0..3u8, key).prop_map(|(kind, key)| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        })
    }

    fn series() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(0..3u8, 0..3).prop_map(Bytes::from)
    }

    fn time() -> impl Strategy<Value = i64> {
        prop_oneof![Just(i64::MIN), Just(i64::MAX), -2..3i64, Just(1 << 56)]
    }

    fn holds(range: &KeyRange, key: &[u8]) -> bool {
        starts_at_or_below(range, key) && ends_at_or_above(range, key)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn ranges_of_keys_become_series_and_times(lower in bound(), upper in bound(), series in series(), time in time()) {
            let range = KeyRange { lower, upper };
            let inside = holds(&range, &point_key(&series, time)) && !range.is_empty();
            let times = times_of_keys(&range, &series);
            if !range.is_empty() {
                prop_assert_eq!(times.is_some_and(|(from, to)| (from..=to).contains(&time)), inside, "{:?}", times);
            }
            if inside {
                let bounds = Bounds { series: series_of_keys(&range), ..Bounds::all() };
                prop_assert!(bounds.has_series(&series), "{:?}", bounds);
            }
        }

        #[test]
        fn places_are_where_the_series_are(keys in proptest::collection::btree_set(0..40u8, 0..30), ends in proptest::collection::btree_set(0..40u8, 0..12), many in any::<bool>(), cut in proptest::option::of(0..40u8)) {
            let keys: Vec<Bytes> = keys.into_iter().map(|k| Bytes::from(vec![k])).collect();
            let ends: Vec<Bytes> = ends.into_iter().map(|k| Bytes::from(vec![k])).collect();
            let series = if many {
                ends.iter().map(|k| KeyRange { lower: Bound::Included(k.clone()), upper: Bound::Included(k.clone()) }).collect()
            } else {
                ends.chunks_exact(2).map(|e| KeyRange { lower: Bound::Excluded(e[0].clone()), upper: Bound::Included(e[1].clone()) }).collect()
            };
            let all = Bounds { series, ..Bounds::all() };
            let cut = cut.map(|k| Bytes::from(vec![k]));
            for (bounds, lower, upper) in [(all.clone(), None, None), (all.between(None, cut.as_ref()), None, cut.as_ref()), (all.between(cut.as_ref(), None), cut.as_ref(), None)] {
                let want: Vec<usize> = (0..keys.len())
                    .filter(|i| all.series.iter().any(|range| holds(range, &keys[*i])))
                    .filter(|i| lower.is_none_or(|l| keys[*i] >= *l) && upper.is_none_or(|u| keys[*i] < *u))
                    .collect();
                let got: Vec<usize> = bounds.places(&keys, |k| k).into_iter().flatten().collect();
                prop_assert_eq!(got, want);
            }
        }
    }
}
