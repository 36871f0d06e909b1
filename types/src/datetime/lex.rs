//! Splits date, time and interval text into fields: PostgreSQL's ParseDateTime, and the words it knows.

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Str,
    Date,
    Time,
    /// Sign and digits: a zone, or a signed number in an interval.
    Tz,
    /// Sign and letters (`-infinity`).
    Special,
}

/// Bad text (22007); the caller has the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 22007
    Format,
    /// 22008
    Overflow,
    /// 22008 with the DateStyle hint
    MonthDay,
    /// 22009
    Displacement,
}

/// PostgreSQL's MAXDATEFIELDS.
const FIELDS_MAX: usize = 25;
/// PostgreSQL's MAXDATELEN.
const BYTES_MAX: usize = 128;

/// Cuts `s` into at most 25 lower-case fields.
pub(crate) fn split(s: &str) -> Result<Vec<(Kind, String)>, Fault> {
    let b = s.as_bytes();
    let mut fields: Vec<(Kind, String)> = Vec::new();
    let mut i = 0;
    let mut bytes = 0;
    while i < b.len() {
        let start = i;
        let kind = match b[i] {
            c if super::is_space(c) => {
                i += 1;
                continue;
            }
            b'0'..=b'9' => digits_field(b, &mut i),
            b'.' => {
                i += 1;
                skip(b, &mut i, |c| c.is_ascii_digit());
                Kind::Number
            }
            c if c.is_ascii_alphabetic() => word_field(s, &mut i),
            c @ (b'+' | b'-') => {
                i += 1;
                skip(b, &mut i, super::is_space);
                let first = i;
                let kind = match b.get(i) {
                    Some(d) if d.is_ascii_digit() || (*d == b'.' && b.get(i + 1).is_some_and(u8::is_ascii_digit)) => {
                        skip(b, &mut i, |c| c.is_ascii_digit() || matches!(c, b':' | b'.' | b'-'));
                        Kind::Tz
                    }
                    Some(d) if d.is_ascii_alphabetic() => {
                        skip(b, &mut i, |c| c.is_ascii_alphabetic());
                        Kind::Special
                    }
                    _ => return Err(Fault::Format),
                };
                bytes += i - first + 2;
                let text = format!("{}{}", c as char, s[first..i].to_ascii_lowercase());
                push(&mut fields, kind, text, bytes)?;
                continue;
            }
            c if c.is_ascii_punctuation() => {
                i += 1;
                continue;
            }
            _ => return Err(Fault::Format),
        };
        bytes += i - start + 1;
        push(&mut fields, kind, s[start..i].to_ascii_lowercase(), bytes)?;
    }
    Ok(fields)
}

fn push(fields: &mut Vec<(Kind, String)>, kind: Kind, text: String, bytes: usize) -> Result<(), Fault> {
    if fields.len() >= FIELDS_MAX || bytes > BYTES_MAX + FIELDS_MAX {
        return Err(Fault::Format);
    }
    fields.push((kind, text));
    Ok(())
}

fn skip(b: &[u8], i: &mut usize, more: impl Fn(u8) -> bool) {
    while *i < b.len() && more(b[*i]) {
        *i += 1;
    }
}

/// A field that starts with a digit.
fn digits_field(b: &[u8], i: &mut usize) -> Kind {
    skip(b, i, |c| c.is_ascii_digit());
    match b.get(*i) {
        Some(b':') => {
            *i += 1;
            skip(b, i, |c| c.is_ascii_digit() || c == b':' || c == b'.');
            Kind::Time
        }
        Some(delim @ (b'-' | b'/' | b'.')) => {
            let delim = *delim;
            *i += 1;
            if !b.get(*i).is_some_and(u8::is_ascii_digit) {
                skip(b, i, |c| c.is_ascii_alphanumeric() || c == delim);
                return Kind::Date;
            }
            skip(b, i, |c| c.is_ascii_digit());
            if b.get(*i) == Some(&delim) {
                skip(b, i, |c| c.is_ascii_digit() || c == delim);
                return Kind::Date;
            }
            if delim == b'.' { Kind::Number } else { Kind::Date }
        }
        _ => Kind::Number,
    }
}

/// A field that starts with a letter: a word, or a date or zone name with punctuation inside.
fn word_field(s: &str, i: &mut usize) -> Kind {
    let b = s.as_bytes();
    let start = *i;
    skip(b, i, |c| c.is_ascii_alphabetic());
    let compound = match b.get(*i) {
        Some(b'-' | b'/' | b'.') => true,
        Some(c) if *c == b'+' || c.is_ascii_digit() => word(&s[start..*i].to_ascii_lowercase()).is_none(),
        _ => false,
    };
    if !compound {
        return Kind::Str;
    }
    skip(b, i, |c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'/' | b'_' | b'.' | b':'));
    Kind::Date
}

/// Fields that a prefix letter or word can announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    Time,
    Dow,
    Doy,
    IsoDow,
    IsoYear,
    Zone,
}

/// A word of date and time input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Now,
    Today,
    Tomorrow,
    Yesterday,
    Allballs,
    Epoch,
    Late,
    Early,
    Month(u32),
    Dow,
    Pm(bool),
    Bc(bool),
    Dst,
    Ignore,
    Unit(Unit),
    IsoTime,
}

/// TOKMAXLEN: longer words compare by their first ten bytes.
fn token(w: &str) -> &str {
    &w[..w.floor_char_boundary(10)]
}

/// PostgreSQL's datetktbl.
pub(crate) fn word(w: &str) -> Option<Word> {
    Some(match token(w) {
        "-infinity" => Word::Early,
        "infinity" => Word::Late,
        "now" => Word::Now,
        "today" => Word::Today,
        "tomorrow" => Word::Tomorrow,
        "yesterday" => Word::Yesterday,
        "allballs" => Word::Allballs,
        "epoch" => Word::Epoch,
        "jan" | "january" => Word::Month(1),
        "feb" | "february" => Word::Month(2),
        "mar" | "march" => Word::Month(3),
        "apr" | "april" => Word::Month(4),
        "may" => Word::Month(5),
        "jun" | "june" => Word::Month(6),
        "jul" | "july" => Word::Month(7),
        "aug" | "august" => Word::Month(8),
        "sep" | "sept" | "september" => Word::Month(9),
        "oct" | "october" => Word::Month(10),
        "nov" | "november" => Word::Month(11),
        "dec" | "december" => Word::Month(12),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds" | "wednesday" | "thu"
        | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat" | "saturday" => Word::Dow,
        "am" => Word::Pm(false),
        "pm" => Word::Pm(true),
        "ad" => Word::Bc(false),
        "bc" => Word::Bc(true),
        "dst" => Word::Dst,
        "at" | "on" => Word::Ignore,
        "t" => Word::IsoTime,
        "y" => Word::Unit(Unit::Year),
        "m" => Word::Unit(Unit::Month),
        "d" => Word::Unit(Unit::Day),
        "h" => Word::Unit(Unit::Hour),
        "mm" => Word::Unit(Unit::Minute),
        "s" => Word::Unit(Unit::Second),
        "j" | "jd" | "julian" => Word::Unit(Unit::Julian),
        "dow" => Word::Unit(Unit::Dow),
        "doy" => Word::Unit(Unit::Doy),
        "isodow" => Word::Unit(Unit::IsoDow),
        "isoyear" => Word::Unit(Unit::IsoYear),
        _ => return None,
    })
}

/// A word of interval input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delta {
    Unit(Unit),
    Ago,
    Ignore,
}

/// PostgreSQL's deltatktbl.
pub(crate) fn delta(w: &str) -> Option<Delta> {
    let unit = match token(w) {
        "@" => return Some(Delta::Ignore),
        "ago" => return Some(Delta::Ago),
        "c" | "cent" | "centuries" | "century" => Unit::Century,
        "d" | "day" | "days" => Unit::Day,
        "dec" | "decade" | "decades" | "decs" => Unit::Decade,
        "h" | "hour" | "hours" | "hr" | "hrs" => Unit::Hour,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "microsecon" | "us" | "usec" | "usecond" | "useconds" | "usecs" => Unit::Microsecond,
        "mil" | "millennia" | "millennium" | "mils" => Unit::Millennium,
        "millisecon" | "ms" | "msec" | "msecond" | "mseconds" | "msecs" => Unit::Millisecond,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "qtr" | "quarter" => Unit::Quarter,
        "s" | "sec" | "second" | "seconds" | "secs" => Unit::Second,
        "timezone" | "timezone_h" | "timezone_m" => Unit::Zone,
        "w" | "week" | "weeks" => Unit::Week,
        "y" | "year" | "years" | "yr" | "yrs" => Unit::Year,
        _ => return None,
    };
    Some(Delta::Unit(unit))
}
