//! Points as rows of COPY. Columns: `ts`, the ten metrics, then the tags that [`Columns`] names.

use crate::cpu::{Cpu, Point};
use crate::tags::{TAGS, Tags};
use std::io::Write;

/// How many tags a row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// `hostname` alone: what identifies the host.
    Host,
    /// All ten.
    AllTags,
}

/// Writes the points of one set.
#[derive(Debug)]
pub struct Rows {
    /// The tags of each host as one csv fragment with its leading comma.
    csv: Vec<Vec<u8>>,
    /// The same as fields of a binary row.
    binary: Vec<Vec<u8>>,
    fields: i16,
}

/// 2000-01-01, where PostgreSQL's binary timestamps begin, in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

impl Rows {
    /// For the points of `set`.
    pub fn new(set: &Cpu, columns: Columns) -> Self {
        let tags: Vec<Vec<String>> = (0..set.hosts).map(|host| chosen(host, set.seed, columns)).collect();
        let count = if columns == Columns::Host { 1 } else { TAGS.len() };
        let text = |tags: &Vec<String>| tags.iter().flat_map(|t| [",", t]).collect::<String>().into_bytes();
        Self {
            csv: tags.iter().map(text).collect(),
            binary: tags.iter().map(|tags| binary_texts(tags)).collect(),
            fields: 11 + count as i16,
        }
    }

    /// Appends `2016-01-01 00:00:10+00,58,2,…,host_0` and a line end.
    pub fn csv(&self, point: &Point, out: &mut Vec<u8>) {
        timestamp(point.micros, out);
        for value in point.usage {
            write!(out, ",{value}").expect("a Vec takes everything");
        }
        out.extend_from_slice(&self.csv[point.host as usize]);
        out.push(b'\n');
    }

    /// Appends a row of COPY's binary format: timestamptz, ten int4, texts.
    pub fn binary(&self, point: &Point, out: &mut Vec<u8>) {
        out.extend(self.fields.to_be_bytes());
        out.extend(8_i32.to_be_bytes());
        out.extend((point.micros - EPOCH_MICROS).to_be_bytes());
        for value in point.usage {
            out.extend(4_i32.to_be_bytes());
            out.extend(value.to_be_bytes());
        }
        out.extend_from_slice(&self.binary[point.host as usize]);
    }
}

/// What a binary COPY begins with.
pub const BINARY_BEGIN: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub const BINARY_END: &[u8] = &(-1_i16).to_be_bytes();

fn chosen(host: u32, seed: u64, columns: Columns) -> Vec<String> {
    let mut tags = Tags::of(host, seed).values.to_vec();
    if columns == Columns::Host {
        tags.truncate(1);
    }
    tags
}

fn binary_texts(texts: &[String]) -> Vec<u8> {
    let field = |text: &String| [&(text.len() as i32).to_be_bytes(), text.as_bytes()].concat();
    texts.iter().flat_map(field).collect()
}

/// `2016-01-01 00:00:10+00`, with microseconds when there are any.
pub fn timestamp(micros: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(micros.div_euclid(DAY_MICROS));
    let of_day = micros.rem_euclid(DAY_MICROS);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let date = write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    date.expect("a Vec takes everything");
    if fraction != 0 {
        write!(out, ".{fraction:06}").expect("a Vec takes everything");
    }
    out.extend_from_slice(b"+00");
}

/// Year, month and day of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::BEGIN_MICROS;

    fn point() -> Point {
        Point { host: 1, micros: BEGIN_MICROS + 10_000_000, usage: [1, 2, 3, 4, 5, 6, 7, 8, 9, 100] }
    }

    #[test]
    fn csv_is_one_line() {
        let mut out = vec![];
        Rows::new(&Cpu::new(2, 1), Columns::Host).csv(&point(), &mut out);
        assert_eq!(out, b"2016-01-01 00:00:10+00,1,2,3,4,5,6,7,8,9,100,host_1\n");
        Rows::new(&Cpu::new(2, 1), Columns::AllTags).csv(&point(), &mut out);
        assert_eq!(out.iter().filter(|b| **b == b',').count(), 11 + 20);
    }

    #[test]
    fn binary_has_its_lengths() {
        let mut out = vec![];
        Rows::new(&Cpu::new(2, 1), Columns::Host).binary(&point(), &mut out);
        assert_eq!(out.len(), 2 + 12 + 10 * 8 + 4 + 6);
        assert_eq!(out[..2], [0, 12]);
        assert_eq!(&out[out.len() - 6..], b"host_1");
    }

    #[test]
    fn dates_are_civil() {
        for (days, expected) in
            [(0, (1970, 1, 1)), (-1, (1969, 12, 31)), (16_801, (2016, 1, 1)), (18_321, (2020, 2, 29))]
        {
            assert_eq!(civil(days), expected);
        }
        let mut out = vec![];
        timestamp(1_500_001, &mut out);
        assert_eq!(out, b"1970-01-01 00:00:01.500001+00");
    }
}
