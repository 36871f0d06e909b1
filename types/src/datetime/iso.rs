//! Dates and timestamps as nearly all data has them: `2024-01-31`, `2024-01-31 12:34:56.789+00`. COPY reads millions of them.
//!
//! What is read here means the same whatever DateStyle says. Anything else, right or wrong, answers None and is for the general
//! decoder, whose answers these must equal: `general_decoder_agrees` checks it.

use super::civil::{DAY_US, days_from_civil, days_in_month};

/// A timestamp as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Microseconds since 1970-01-01 of the clock that was read.
    pub local: i64,
    /// Seconds east of UTC, if the text says.
    pub east: Option<i64>,
}

/// `YYYY-MM-DD`: days since 1970-01-01.
pub(super) fn date(s: &str) -> Option<i32> {
    match s.as_bytes().split_first_chunk::<10>()? {
        (head, []) => i32::try_from(days(head)?).ok(),
        _ => None,
    }
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff][zone]`, with a blank or T between; zone is Z, ±HH, ±HHMM or ±HH:MM.
pub(super) fn stamp(s: &str) -> Option<Stamp> {
    let (head, rest) = s.as_bytes().split_first_chunk::<10>()?;
    let (clock, rest) = rest.split_first_chunk::<9>()?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2] = *clock else { return None };
    let (hour, minute, second) = (two([h1, h2])?, two([m1, m2])?, two([s1, s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (us, rest) = fraction(rest)?;
    let east = zone(rest)?;
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(Stamp { local: days(head)? * DAY_US + i64::from(seconds) * 1_000_000 + us, east })
}

fn two(digits: [u8; 2]) -> Option<u32> {
    let [a, b] = digits.map(|d| d.wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| u32::from(a) * 10 + u32::from(b))
}

fn days(text: &[u8; 10]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = i64::from(two([y1, y2])? * 100 + two([y3, y4])?);
    let (month, day) = (two([m1, m2])?, two([d1, d2])?);
    let valid = year > 0 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    valid.then(|| days_from_civil(year, month, day))
}

/// Up to six digits after a point, in microseconds, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else { return Some((0, text)) };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=6).contains(&digits) {
        return None;
    }
    let value = rest[..digits].iter().fold(0, |v, b| v * 10 + i64::from(b - b'0'));
    Some((value * 10i64.pow(6 - digits as u32), &rest[digits..]))
}

/// Some(None) when there is no zone.
fn zone(text: &[u8]) -> Option<Option<i64>> {
    let (sign, hours, minutes) = match *text {
        [] => return Some(None),
        [b'Z'] => return Some(Some(0)),
        [sign, h1, h2] => (sign, [h1, h2], [b'0'; 2]),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, [h1, h2], [m1, m2]),
        _ => return None,
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours * 60 + minutes) * 60;
    match sign {
        b'+' => Some(Some(seconds)),
        b'-' => Some(Some(-seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_left() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("2023-02-29"), None);
        assert_eq!(date("0000-01-01"), None);
        assert_eq!(date("2024-1-01"), None);
        assert_eq!(stamp("1970-01-01 00:00:01.5"), Some(Stamp { local: 1_500_000, east: None }));
        assert_eq!(stamp("1970-01-01T00:00:00-03:30"), Some(Stamp { local: 0, east: Some(-12_600) }));
        for other in
            ["1970-01-01 24:00:00", "1970-01-01 00:00", "1970-01-01 00:00:00.1234567", "1970-01-01 00:00:00 UTC"]
        {
            assert_eq!(stamp(other), None, "{other}");
        }
    }
}
