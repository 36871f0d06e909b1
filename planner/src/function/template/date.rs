//! The patterns of date templates.

/// Words of the calendar, January and Sunday first.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// December first, as in the search order of the input.
pub(super) const ROMAN: [&str; 12] = ["XII", "XI", "X", "IX", "VIII", "VII", "VI", "V", "IV", "III", "II", "I"];

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Case {
    Upper,
    Lower,
    /// First letter upper
    Title,
}

impl Case {
    pub(super) fn of(self, word: &str) -> String {
        match self {
            Self::Upper => word.to_ascii_uppercase(),
            Self::Lower => word.to_ascii_lowercase(),
            Self::Title => word.to_owned(),
        }
    }
}

/// A pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key {
    /// AM, PM; with dots?
    Meridian(Case, bool),
    /// AD, BC; with dots?
    Era(Case, bool),
    Century,
    Month(Case),
    Mon(Case),
    MonthNumber,
    MonthRoman(Case),
    Day(Case),
    Dy(Case),
    DayOfYear,
    IsoDayOfYear,
    DayOfMonth,
    Weekday,
    IsoWeekday,
    Week,
    IsoWeek,
    WeekOfMonth,
    Quarter,
    Julian,
    Hour24,
    Hour12,
    Minute,
    Second,
    SecondOfDay,
    Millis,
    Micros,
    /// FF1 to FF6
    Fraction(u32),
    ZoneName(Case),
    ZoneHour,
    ZoneMinute,
    Offset,
    /// Y,YYY
    YearComma,
    /// YYYY to Y
    Year(u8),
    /// IYYY to I
    IsoYear(u8),
    /// FX
    Exact,
}

/// Gregorian and ISO week fields do not mix on input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Convention {
    Gregorian,
    Iso,
}

/// A key and the text it was written as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) key: Key,
    pub(super) name: &'static str,
}

impl Field {
    /// Does its text start with a digit?
    pub(super) fn is_digit(self) -> bool {
        !matches!(
            self.key,
            Key::Meridian(..)
                | Key::Era(..)
                | Key::Month(_)
                | Key::Mon(_)
                | Key::MonthRoman(_)
                | Key::Day(_)
                | Key::Dy(_)
                | Key::ZoneName(_)
                | Key::ZoneHour
                | Key::Offset
                | Key::Exact
        )
    }

    pub(super) fn convention(self) -> Option<Convention> {
        match self.key {
            Key::IsoDayOfYear | Key::IsoWeekday | Key::IsoWeek | Key::IsoYear(_) => Some(Convention::Iso),
            Key::DayOfYear
            | Key::DayOfMonth
            | Key::Weekday
            | Key::Week
            | Key::WeekOfMonth
            | Key::Month(_)
            | Key::Mon(_)
            | Key::MonthNumber
            | Key::MonthRoman(_)
            | Key::Year(_)
            | Key::YearComma => Some(Convention::Gregorian),
            _ => None,
        }
    }
}

/// Longer patterns stand before those they start with.
const KEYS: &[(&str, Key)] = &[
    ("A.D.", Key::Era(Case::Upper, true)),
    ("A.M.", Key::Meridian(Case::Upper, true)),
    ("AD", Key::Era(Case::Upper, false)),
    ("AM", Key::Meridian(Case::Upper, false)),
    ("B.C.", Key::Era(Case::Upper, true)),
    ("BC", Key::Era(Case::Upper, false)),
    ("CC", Key::Century),
    ("DAY", Key::Day(Case::Upper)),
    ("DDD", Key::DayOfYear),
    ("DD", Key::DayOfMonth),
    ("DY", Key::Dy(Case::Upper)),
    ("Day", Key::Day(Case::Title)),
    ("Dy", Key::Dy(Case::Title)),
    ("D", Key::Weekday),
    ("FF1", Key::Fraction(1)),
    ("FF2", Key::Fraction(2)),
    ("FF3", Key::Fraction(3)),
    ("FF4", Key::Fraction(4)),
    ("FF5", Key::Fraction(5)),
    ("FF6", Key::Fraction(6)),
    ("FX", Key::Exact),
    ("HH24", Key::Hour24),
    ("HH12", Key::Hour12),
    ("HH", Key::Hour12),
    ("IDDD", Key::IsoDayOfYear),
    ("ID", Key::IsoWeekday),
    ("IW", Key::IsoWeek),
    ("IYYY", Key::IsoYear(4)),
    ("IYY", Key::IsoYear(3)),
    ("IY", Key::IsoYear(2)),
    ("I", Key::IsoYear(1)),
    ("J", Key::Julian),
    ("MI", Key::Minute),
    ("MM", Key::MonthNumber),
    ("MONTH", Key::Month(Case::Upper)),
    ("MON", Key::Mon(Case::Upper)),
    ("MS", Key::Millis),
    ("Month", Key::Month(Case::Title)),
    ("Mon", Key::Mon(Case::Title)),
    ("OF", Key::Offset),
    ("P.M.", Key::Meridian(Case::Upper, true)),
    ("PM", Key::Meridian(Case::Upper, false)),
    ("Q", Key::Quarter),
    ("RM", Key::MonthRoman(Case::Upper)),
    ("SSSSS", Key::SecondOfDay),
    ("SSSS", Key::SecondOfDay),
    ("SS", Key::Second),
    ("TZH", Key::ZoneHour),
    ("TZM", Key::ZoneMinute),
    ("TZ", Key::ZoneName(Case::Upper)),
    ("US", Key::Micros),
    ("WW", Key::Week),
    ("W", Key::WeekOfMonth),
    ("Y,YYY", Key::YearComma),
    ("YYYY", Key::Year(4)),
    ("YYY", Key::Year(3)),
    ("YY", Key::Year(2)),
    ("Y", Key::Year(1)),
    ("a.d.", Key::Era(Case::Lower, true)),
    ("a.m.", Key::Meridian(Case::Lower, true)),
    ("ad", Key::Era(Case::Lower, false)),
    ("am", Key::Meridian(Case::Lower, false)),
    ("b.c.", Key::Era(Case::Lower, true)),
    ("bc", Key::Era(Case::Lower, false)),
    ("cc", Key::Century),
    ("day", Key::Day(Case::Lower)),
    ("ddd", Key::DayOfYear),
    ("dd", Key::DayOfMonth),
    ("dy", Key::Dy(Case::Lower)),
    ("d", Key::Weekday),
    ("ff1", Key::Fraction(1)),
    ("ff2", Key::Fraction(2)),
    ("ff3", Key::Fraction(3)),
    ("ff4", Key::Fraction(4)),
    ("ff5", Key::Fraction(5)),
    ("ff6", Key::Fraction(6)),
    ("fx", Key::Exact),
    ("hh24", Key::Hour24),
    ("hh12", Key::Hour12),
    ("hh", Key::Hour12),
    ("iddd", Key::IsoDayOfYear),
    ("id", Key::IsoWeekday),
    ("iw", Key::IsoWeek),
    ("iyyy", Key::IsoYear(4)),
    ("iyy", Key::IsoYear(3)),
    ("iy", Key::IsoYear(2)),
    ("i", Key::IsoYear(1)),
    ("j", Key::Julian),
    ("mi", Key::Minute),
    ("mm", Key::MonthNumber),
    ("month", Key::Month(Case::Lower)),
    ("mon", Key::Mon(Case::Lower)),
    ("ms", Key::Millis),
    ("of", Key::Offset),
    ("p.m.", Key::Meridian(Case::Lower, true)),
    ("pm", Key::Meridian(Case::Lower, false)),
    ("q", Key::Quarter),
    ("rm", Key::MonthRoman(Case::Lower)),
    ("sssss", Key::SecondOfDay),
    ("ssss", Key::SecondOfDay),
    ("ss", Key::Second),
    ("tzh", Key::ZoneHour),
    ("tzm", Key::ZoneMinute),
    ("tz", Key::ZoneName(Case::Lower)),
    ("us", Key::Micros),
    ("ww", Key::Week),
    ("w", Key::WeekOfMonth),
    ("y,yyy", Key::YearComma),
    ("yyyy", Key::Year(4)),
    ("yyy", Key::Year(3)),
    ("yy", Key::Year(2)),
    ("y", Key::Year(1)),
];

/// The pattern at the start of a text.
pub(super) fn find(rest: &str) -> Option<(Field, usize)> {
    KEYS.iter().find(|(name, _)| rest.starts_with(name)).map(|&(name, key)| (Field { key, name }, name.len()))
}
