//! Text input and output against PostgreSQL 15's answers, captured once from a running server into `captured.rs`.
//!
//! Each case is (type, input, output or (SQLSTATE, message, detail, hint)).

mod captured;

use heddle_types::datetime::{DateFormat, DateOrder, IntervalStyle, Zone};
use heddle_types::text::{self, TextSettings};
use heddle_types::{PgType, coerce, oid};

type Fault = (&'static str, &'static str, &'static str, &'static str);
type Case = (&'static str, &'static str, Result<&'static str, Fault>);

fn pg_type(name: &str) -> PgType {
    if let Some(elem) = name.strip_suffix("[]") {
        return pg_type(elem).array().expect("has an array type");
    }
    let bits = |fields: i32, precision: i32| PgType::with_typmod(oid::INTERVAL, fields << 16 | precision);
    match name {
        "numeric(5,2)" => PgType::with_typmod(oid::NUMERIC, (5 << 16 | 2) + 4),
        "character varying(3)" => PgType::with_typmod(oid::VARCHAR, 7),
        "character varying(2)" => PgType::with_typmod(oid::VARCHAR, 6),
        "character(3)" => PgType::with_typmod(oid::BPCHAR, 7),
        "time(2) without time zone" => PgType::with_typmod(oid::TIME, 2),
        "timestamp(3) without time zone" => PgType::with_typmod(oid::TIMESTAMP, 3),
        "timestamp(0) with time zone" => PgType::with_typmod(oid::TIMESTAMPTZ, 0),
        "interval year" => bits(1 << 2, 0xffff),
        "interval month" => bits(1 << 1, 0xffff),
        "interval day" => bits(1 << 3, 0xffff),
        "interval minute to second" => bits(1 << 11 | 1 << 12, 0xffff),
        "interval hour to minute" => bits(1 << 10 | 1 << 11, 0xffff),
        "interval(2)" => bits(0x7fff, 2),
        _ => {
            let info = heddle_types::TypeInfo::all().find(|t| t.sql_name == name);
            PgType::new(info.unwrap_or_else(|| panic!("no type {name}")).oid)
        }
    }
}

/// What `'input'::type` prints: a cast, so that text types cut silently.
fn ask(input: &str, ty: PgType, settings: &TextSettings) -> heddle_types::Result<String> {
    let base = ty.element().unwrap_or(ty);
    if base.oid == oid::VARCHAR || base.oid == oid::BPCHAR {
        let value = text::parse(input, PgType::new(ty.oid), settings)?;
        return Ok(text::to_string(&coerce::apply_typmod(value, ty, true)?, ty, settings));
    }
    text::parse(input, ty, settings).map(|v| text::to_string(&v, ty, settings))
}

fn check(cases: &[Case], settings: &TextSettings) {
    let mut wrong = Vec::new();
    for (name, input, want) in cases {
        let ty = pg_type(name);
        let got = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ask(input, ty, settings)));
        let Ok(got) = got else {
            wrong.push(format!("{name} {input:?}: panic"));
            continue;
        };
        let same = match (&got, want) {
            // char(n)::text, which was asked, drops the padding.
            (Ok(a), Ok(b)) if ty.oid == oid::BPCHAR => a.trim_end() == *b,
            // So do bool's words, which the cast to text writes out.
            (Ok(a), Ok(b)) if ty.oid == oid::BOOL => *a == b[..1],
            (Ok(a), Ok(b)) => a == b,
            (Err(e), Err((state, message, detail, hint))) => {
                let f = e.fields();
                e.code().0 == *state
                    && e.message() == *message
                    && f.detail.as_deref().unwrap_or("") == *detail
                    && f.hint.as_deref().unwrap_or("") == *hint
            }
            _ => false,
        };
        if !same {
            let got = got.map_err(|e| format!("{:?}", (e.code(), e.message(), &e.fields().detail, &e.fields().hint)));
            wrong.push(format!("{name} {input:?}\n   want {want:?}\n   got  {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ from PostgreSQL\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn with(zone: &str, format: DateFormat, order: DateOrder, interval: IntervalStyle) -> TextSettings {
    let mut s = TextSettings::default();
    s.datetime.zone = Zone::parse(zone).expect("a known zone");
    (s.datetime.format, s.datetime.order, s.datetime.interval) = (format, order, interval);
    s
}

#[test]
fn text_forms_default() {
    check(captured::DEFAULT, &TextSettings::default());
}

#[test]
fn text_forms_new_york() {
    check(captured::NEW_YORK, &with("America/New_York", DateFormat::Iso, DateOrder::Mdy, IntervalStyle::Postgres));
}

#[test]
fn text_forms_german() {
    check(captured::DMY_GERMAN, &with("Europe/Berlin", DateFormat::German, DateOrder::Dmy, IntervalStyle::Postgres));
}

#[test]
fn text_forms_sql() {
    check(captured::YMD_SQL, &with("Asia/Kolkata", DateFormat::Sql, DateOrder::Ymd, IntervalStyle::Postgres));
}

#[test]
fn text_forms_postgres() {
    check(
        captured::MDY_POSTGRES,
        &with("America/Los_Angeles", DateFormat::Postgres, DateOrder::Mdy, IntervalStyle::Postgres),
    );
}

#[test]
fn interval_styles() {
    let style = |i| with("UTC", DateFormat::Iso, DateOrder::Mdy, i);
    check(captured::INTERVAL_VERBOSE, &style(IntervalStyle::PostgresVerbose));
    check(captured::INTERVAL_STANDARD, &style(IntervalStyle::SqlStandard));
    check(captured::INTERVAL_ISO, &style(IntervalStyle::Iso8601));
}

#[test]
fn float_and_bytea_settings() {
    check(captured::FLOAT_DIGITS_0, &TextSettings { extra_float_digits: 0, ..TextSettings::default() });
    check(captured::BYTEA_ESCAPE, &TextSettings { bytea_escape: true, ..TextSettings::default() });
}
