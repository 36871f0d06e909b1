//! [`Groups`]: numbers for the groups that are met: (values of the grouped tags, start of the piece of time).
//!
//! A run of points belongs to one series, so its tags are looked up once; within it pieces of time come in order, so the next one
//! is mostly found beside the last.

use bytes::Bytes;
use heddle_types::{Datum, Result, key};
use std::collections::HashMap;

/// What takes a group beside its cells: its place, its number, its share of maps and spare room.
const GROUP_BYTES: usize = 48;
/// What takes a series or a set of tags beside its bytes.
const ENTRY_BYTES: usize = 128;

/// See the module.
#[derive(Default)]
pub(super) struct Groups {
    /// Series key to number of tag set.
    series: HashMap<Bytes, u32>,
    /// Tags, as key bytes, to number of tag set.
    by_tags: HashMap<Vec<u8>, u32>,
    tag_sets: Vec<TagSet>,
    /// Group to (tag set, start of its piece of time).
    places: Vec<(u32, i64)>,
    bytes: usize,
}

/// The groups with one set of tags.
struct TagSet {
    tags: Vec<Datum>,
    /// (start, group), ascending.
    pieces: Vec<(i64, usize)>,
    /// Place of the one found last.
    last: usize,
}

impl Groups {
    /// How many.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The tag set of group `i` and the start of its piece of time.
    pub fn place(&self, i: usize) -> (u32, i64) {
        self.places[i]
    }

    /// The tags of each tag set.
    pub fn tag_sets(&self) -> impl ExactSizeIterator<Item = &[Datum]> {
        self.tag_sets.iter().map(|set| &set.tags[..])
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.places.len() * GROUP_BYTES
    }

    /// Number of the tag set of a series; `tags` finds its tags when it is new.
    pub fn tag_set_of(&mut self, series: &Bytes, tags: impl FnOnce() -> Result<Vec<Datum>>) -> Result<u32> {
        if let Some(known) = self.series.get(series) {
            return Ok(*known);
        }
        let set = self.tag_set(tags()?);
        self.bytes += ENTRY_BYTES + series.len();
        self.series.insert(series.clone(), set);
        Ok(set)
    }

    /// Number of a tag set.
    pub fn tag_set(&mut self, tags: Vec<Datum>) -> u32 {
        let key = key::encode_row(tags.iter());
        if let Some(known) = self.by_tags.get(&key) {
            return *known;
        }
        let set = self.tag_sets.len() as u32; // at most one per series
        self.bytes += ENTRY_BYTES + key.len() + tags.iter().map(Datum::memory_bytes).sum::<usize>();
        self.by_tags.insert(key, set);
        self.tag_sets.push(TagSet { tags, pieces: Vec::new(), last: 0 });
        set
    }

    /// Number of the group of a tag set whose piece of time starts at `start`.
    pub fn group(&mut self, tag_set: u32, start: i64) -> usize {
        let set = &mut self.tag_sets[tag_set as usize];
        for near in [set.last, set.last + 1] {
            if let Some((at, group)) = set.pieces.get(near)
                && *at == start
            {
                set.last = near;
                return *group;
            }
        }
        let at = set.pieces.partition_point(|(at, _)| *at < start);
        set.last = at;
        if let Some((_, group)) = set.pieces.get(at).filter(|(at, _)| *at == start) {
            return *group;
        }
        let group = self.places.len();
        set.pieces.insert(at, (start, group));
        self.places.push((tag_set, start));
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_groups_have_one_number() {
        let mut groups = Groups::default();
        let text = |s: &str| vec![Datum::Text(s.into()), Datum::Null];
        let a = groups.tag_set_of(&Bytes::from_static(b"1"), || Ok(text("a"))).expect("known");
        let b = groups.tag_set_of(&Bytes::from_static(b"2"), || Ok(text("b"))).expect("known");
        assert_eq!(groups.tag_set_of(&Bytes::from_static(b"3"), || Ok(text("a"))).expect("known"), a);
        assert_eq!(groups.tag_set_of(&Bytes::from_static(b"2"), || unreachable!("it is known")).expect("known"), b);
        let starts = [5, 7, 9, 5, 1, 9, 7, 8];
        let numbers: Vec<usize> = starts.iter().map(|start| groups.group(a, *start)).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 3, 2, 1, 4]);
        assert_eq!(groups.group(b, 5), 5);
        assert_eq!((groups.len(), groups.place(4), groups.place(5)), (6, (a, 8), (b, 5)));
    }
}
