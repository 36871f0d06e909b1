//! Date arithmetic, extract and date_trunc against PostgreSQL 15's answers, captured once into `captured.rs`.

mod captured;

use heddle_types::datetime::{Zone, arith, fields};
use heddle_types::text::{self, TextSettings};
use heddle_types::{Datum, Error, Interval, Numeric, Oid, PgType, Result, oid};

type Case =
    (&'static str, &'static str, &'static str, std::result::Result<Option<&'static str>, (&'static str, &'static str)>);

struct Asker {
    settings: TextSettings,
}

impl Asker {
    fn parse(&self, s: &str, oid: Oid) -> Result<Datum> {
        text::parse(s, PgType::new(oid), &self.settings)
    }

    fn stamp(&self, s: &str, oid: Oid) -> Result<i64> {
        match self.parse(s, oid)? {
            Datum::Timestamp(t) | Datum::Time(t) => Ok(t),
            other => Err(Error::internal(format!("{other:?}"))),
        }
    }

    fn interval(&self, s: &str) -> Result<Interval> {
        match self.parse(s, oid::INTERVAL)? {
            Datum::Interval(i) => Ok(i),
            other => Err(Error::internal(format!("{other:?}"))),
        }
    }

    fn print(&self, v: Datum, oid: Oid) -> Result<Option<String>> {
        Ok(Some(text::to_string(&v, PgType::new(oid), &self.settings)))
    }

    fn ask(&self, function: &str, a: &str, b: &str) -> Result<Option<String>> {
        let zone = &self.settings.datetime.zone;
        let number = |n: Numeric| Ok(Some(n.format()));
        let maybe = |n: Option<Numeric>| Ok(n.map(|n| n.format()));
        match function {
            "extract_timestamp" => maybe(fields::extract_timestamp(a, self.stamp(b, oid::TIMESTAMP)?)?),
            "extract_timestamptz" => maybe(fields::extract_timestamptz(a, self.stamp(b, oid::TIMESTAMPTZ)?, zone)?),
            "extract_date" => maybe(fields::extract_date(a, arith::timestamp_to_date(self.stamp(b, oid::TIMESTAMP)?))?),
            "extract_time" => number(fields::extract_time(a, self.stamp(b, oid::TIME)?)?),
            "extract_interval" => number(fields::extract_interval(a, self.interval(b)?)?),
            "trunc_timestamp" => {
                let t = fields::trunc_timestamp(a, self.stamp(b, oid::TIMESTAMP)?)?;
                self.print(Datum::Timestamp(t), oid::TIMESTAMP)
            }
            "trunc_timestamptz" => {
                let t = fields::trunc_timestamptz(a, self.stamp(b, oid::TIMESTAMPTZ)?, zone)?;
                self.print(Datum::Timestamp(t), oid::TIMESTAMPTZ)
            }
            "trunc_interval" => {
                self.print(Datum::Interval(fields::trunc_interval(a, self.interval(b)?)?), oid::INTERVAL)
            }
            "add_timestamp" => {
                let t = arith::add_timestamp(self.stamp(b, oid::TIMESTAMP)?, self.interval(a)?)?;
                self.print(Datum::Timestamp(t), oid::TIMESTAMP)
            }
            "add_timestamptz" => {
                let t = arith::add_timestamptz(self.stamp(b, oid::TIMESTAMPTZ)?, self.interval(a)?, zone)?;
                self.print(Datum::Timestamp(t), oid::TIMESTAMPTZ)
            }
            "difference" => {
                let (a, b) = (self.stamp(a, oid::TIMESTAMP)?, self.stamp(b, oid::TIMESTAMP)?);
                self.print(Datum::Interval(arith::timestamp_difference(a, b)?), oid::INTERVAL)
            }
            "age" => {
                let (a, b) = (self.stamp(a, oid::TIMESTAMP)?, self.stamp(b, oid::TIMESTAMP)?);
                self.print(Datum::Interval(arith::age(a, b)?), oid::INTERVAL)
            }
            other => Err(Error::internal(other)),
        }
    }
}

#[test]
fn functions_equal_postgresql() {
    let mut settings = TextSettings::default();
    settings.datetime.zone = Zone::parse("America/New_York").expect("a known zone");
    let asker = Asker { settings };
    let mut wrong = Vec::new();
    for (function, a, b, want) in captured::CASES {
        let got = asker.ask(function, a, b);
        let same = match (&got, want) {
            (Ok(got), Ok(want)) => got.as_deref() == *want,
            (Err(e), Err((state, message))) => e.code().0 == *state && e.message() == *message,
            _ => false,
        };
        if !same {
            wrong.push(format!("{function} {a:?} {b:?}\n   want {want:?}\n   got  {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), captured::CASES.len(), wrong.join("\n"));
}
