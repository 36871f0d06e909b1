//! Answers of PostgreSQL 15, asked through psql.

use super::*;
use heddle_types::datetime::Zone;

fn show<T>(r: heddle_types::Result<T>, f: impl Fn(T) -> String) -> String {
    match r {
        Ok(v) => f(v),
        Err(e) => format!("ERR {}", e.message()),
    }
}

/// Compares all, then reports all that differ.
fn compare(cases: &[(&str, &str, &str)], got: impl Fn(&str, &str) -> String) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(a, f, want)| got(a, f) != *want)
        .map(|(a, f, want)| format!("{a:?} {f:?}: got {:?}, PostgreSQL {want:?}", got(a, f)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[rustfmt::skip]
const TIMES: &[(&str, &str, &str)] = &[
    (r#""#, r#"YYYY-MM-DD HH24:MI:SS.US"#, r#"2024-02-05 03:04:05.678901"#),
    (r#""#, r#"FMDay, FMDD FMMonth YYYY"#, r#"Monday, 5 February 2024"#),
    (r#""#, r#"Day|DY|Dy|MONTH|Mon"#, r#"Monday   |MON|Mon|FEBRUARY |Feb"#),
    (r#""#, r#"DDD IDDD D ID WW IW W Q CC J"#, r#"036 036 2 1 06 06 1 1 21 2460346"#),
    (r#""#, r#"Y,YYY YYY YY Y IYYY IYY IY I"#, r#"2,024 024 24 4 2024 024 24 4"#),
    (r#""#, r#"HH12:MI:SS am P.M. AD b.c."#, r#"03:04:05 am A.M. AD a.d."#),
    (r#""#, r#"RM rm FMRM"#, r#"II   ii   II"#),
    (r#""#, r#"DDth FMDDTH HH24th SSSSS MS FF1 FF3 FF6"#, r#"05th 5TH 03rd 11045 678 6 678 678901"#),
    (r#""#, r#""quoted \" text" YYYY\"x""#, r#"quoted " text 2024"x"#),
    (r#""#, r#"TZ OF TZH:TZM"#, r#"UTC +00 +00:00"#),
    (r#""#, r#"FMHH24:FMMI"#, r#"3:4"#),
];

#[rustfmt::skip]
const SPANS: &[(&str, &str, &str)] = &[
    (r#"0"#, r#"HH24:MI:SS"#, r#"28:05:06"#),
    (r#"0"#, r#"YYYY-MM-DD"#, r#"0001-02-03"#),
    (r#"0"#, r#"DDD RM CC"#, r#"423 II   00"#),
    (r#"0"#, r#"FMHH24 th SSSS"#, r#"28 th 101106"#),
    (r#"0"#, r#"Month"#, r#"ERR invalid format specification for an interval value"#),
    (r#"0"#, r#"MS US Y,YYY"#, r#"789 789000 0,001"#),
    (r#"1"#, r#"HH24:MI:SS"#, r#"-04:-05:-06"#),
    (r#"1"#, r#"YYYY-MM-DD"#, r#"-0001-00--3"#),
    (r#"1"#, r#"DDD RM CC"#, r#"-363 I    00"#),
    (r#"1"#, r#"FMHH24 th SSSS"#, r#"-4 th -14706"#),
    (r#"1"#, r#"Month"#, r#"ERR invalid format specification for an interval value"#),
    (r#"1"#, r#"MS US Y,YYY"#, r#"-500 -500000 0,-01"#),
];

#[rustfmt::skip]
const NUMERICS: &[(&str, &str, &str)] = &[
    (r#"12.345"#, r#"999.99"#, r#"  12.35"#),
    (r#"-12.345"#, r#"999.99"#, r#" -12.35"#),
    (r#"12.345"#, r#"FM999.990"#, r#"12.345"#),
    (r#"0.1"#, r#"9.9"#, r#"  .1"#),
    (r#"0"#, r#"FM9.9"#, r#"0."#),
    (r#"0.5"#, r#"0.99"#, r#" 0.50"#),
    (r#"1234567.891"#, r#"9,999,999.99"#, r#" 1,234,567.89"#),
    (r#"1234567"#, r#"9G999G999"#, r#" 1,234,567"#),
    (r#"485"#, r#"999th"#, r#" 485th"#),
    (r#"485"#, r#"RN"#, r#"        CDLXXXV"#),
    (r#"485"#, r#"FMRN"#, r#"CDLXXXV"#),
    (r#"-485"#, r#"999S"#, r#"485-"#),
    (r#"-485"#, r#"S999"#, r#"-485"#),
    (r#"485"#, r#"S999"#, r#"+485"#),
    (r#"-485"#, r#"999PR"#, r#"<485>"#),
    (r#"485"#, r#"999PR"#, r#" 485 "#),
    (r#"-485"#, r#"999MI"#, r#"485-"#),
    (r#"485"#, r#"FM999MI"#, r#"485"#),
    (r#"485"#, r#"SG999"#, r#"+485"#),
    (r#"-485"#, r#"9SG99"#, r#"4-85"#),
    (r#"485"#, r#"PL999"#, r#"+ 485"#),
    (r#"12345"#, r#"999"#, r#" ###"#),
    (r#"148.5"#, r#"FM999.009"#, r#"148.50"#),
    (r#"12"#, r#"99V999"#, r#" 12000"#),
    (r#"12.45"#, r#"99V9"#, r#" 125"#),
    (r#"0.00485"#, r#"9.99EEEE"#, r#" 4.85e-03"#),
    (r#"-12345"#, r#"9.99EEEE"#, r#"-1.23e+04"#),
    (r#"99999"#, r#"9.99EEEE"#, r#" 10.00e+04"#),
    (r#"0"#, r#"9.9EEEE"#, r#" 0.0e+00"#),
    (r#"485.8"#, r#""Pre:"999" Post:" .999"#, r#"Pre: 485 Post: .800"#),
    (r#"12"#, r#"0999"#, r#" 0012"#),
    (r#"12"#, r#"B9999"#, r#"   12"#),
    (r#"0"#, r#"99.99"#, r#"   .00"#),
    (r#"-0.5"#, r#"99.99"#, r#"  -.50"#),
    (r#"-0.5"#, r#"FM99.99"#, r#"-.5"#),
    (r#"-1.5"#, r#"FM9,999.99"#, r#"-1.5"#),
    (r#"1485"#, r#"9,999"#, r#" 1,485"#),
    (r#"148"#, r#"9,999"#, r#"   148"#),
    (r#"-148"#, r#"FM9,999"#, r#"-148"#),
    (r#"3.1"#, r#"L99.9"#, r#"   3.1"#),
    (r#"12345.6"#, r#"999D9"#, r#" ###.#"#),
    (r#"100"#, r#"FM999.9"#, r#"100."#),
    (r#"100"#, r#"FM999.0"#, r#"100.0"#),
    (r#"5000"#, r#"RN"#, r#"###############"#),
];

#[rustfmt::skip]
const FLOATS: &[(&str, &str, &str)] = &[
    (r#"12.345"#, r#"999.99"#, r#"  12.35"#),
    (r#"-12.345"#, r#"999.99"#, r#" -12.35"#),
    (r#"12.345"#, r#"FM999.990"#, r#"12.345"#),
    (r#"0.1"#, r#"9.9"#, r#"  .1"#),
    (r#"0"#, r#"FM9.9"#, r#"0."#),
    (r#"0.5"#, r#"0.99"#, r#" 0.50"#),
    (r#"1234567.891"#, r#"9,999,999.99"#, r#" 1,234,567.89"#),
    (r#"1234567"#, r#"9G999G999"#, r#" 1,234,567"#),
    (r#"485"#, r#"999th"#, r#" 485th"#),
    (r#"485"#, r#"RN"#, r#"        CDLXXXV"#),
    (r#"485"#, r#"FMRN"#, r#"CDLXXXV"#),
    (r#"-485"#, r#"999S"#, r#"485-"#),
    (r#"-485"#, r#"S999"#, r#"-485"#),
    (r#"485"#, r#"S999"#, r#"+485"#),
    (r#"-485"#, r#"999PR"#, r#"<485>"#),
    (r#"485"#, r#"999PR"#, r#" 485 "#),
    (r#"-485"#, r#"999MI"#, r#"485-"#),
    (r#"485"#, r#"FM999MI"#, r#"485"#),
    (r#"485"#, r#"SG999"#, r#"+485"#),
    (r#"-485"#, r#"9SG99"#, r#"4-85"#),
    (r#"485"#, r#"PL999"#, r#"+ 485"#),
    (r#"12345"#, r#"999"#, r#" ###"#),
    (r#"148.5"#, r#"FM999.009"#, r#"148.50"#),
    (r#"12"#, r#"99V999"#, r#" 12000"#),
    (r#"12.45"#, r#"99V9"#, r#" 124"#),
    (r#"0.00485"#, r#"9.99EEEE"#, r#" 4.85e-03"#),
    (r#"-12345"#, r#"9.99EEEE"#, r#"-1.23e+04"#),
    (r#"99999"#, r#"9.99EEEE"#, r#" 1.00e+05"#),
    (r#"0"#, r#"9.9EEEE"#, r#" 0.0e+00"#),
    (r#"485.8"#, r#""Pre:"999" Post:" .999"#, r#"Pre: 485 Post: .800"#),
    (r#"12"#, r#"0999"#, r#" 0012"#),
    (r#"12"#, r#"B9999"#, r#"   12"#),
    (r#"0"#, r#"99.99"#, r#"   .00"#),
    (r#"-0.5"#, r#"99.99"#, r#"  -.50"#),
    (r#"-0.5"#, r#"FM99.99"#, r#"-.5"#),
    (r#"-1.5"#, r#"FM9,999.99"#, r#"-1.5"#),
    (r#"1485"#, r#"9,999"#, r#" 1,485"#),
    (r#"148"#, r#"9,999"#, r#"   148"#),
    (r#"-148"#, r#"FM9,999"#, r#"-148"#),
    (r#"3.1"#, r#"L99.9"#, r#"   3.1"#),
    (r#"12345.6"#, r#"999D9"#, r#" ###.#"#),
    (r#"100"#, r#"FM999.9"#, r#"100."#),
    (r#"100"#, r#"FM999.0"#, r#"100.0"#),
    (r#"5000"#, r#"RN"#, r#"###############"#),
];

#[rustfmt::skip]
const INTS: &[(&str, &str, &str)] = &[
    (r#"0"#, r#"FM9.9"#, r#"0."#),
    (r#"1234567"#, r#"9G999G999"#, r#" 1,234,567"#),
    (r#"485"#, r#"999th"#, r#" 485th"#),
    (r#"485"#, r#"RN"#, r#"        CDLXXXV"#),
    (r#"485"#, r#"FMRN"#, r#"CDLXXXV"#),
    (r#"-485"#, r#"999S"#, r#"485-"#),
    (r#"-485"#, r#"S999"#, r#"-485"#),
    (r#"485"#, r#"S999"#, r#"+485"#),
    (r#"-485"#, r#"999PR"#, r#"<485>"#),
    (r#"485"#, r#"999PR"#, r#" 485 "#),
    (r#"-485"#, r#"999MI"#, r#"485-"#),
    (r#"485"#, r#"FM999MI"#, r#"485"#),
    (r#"485"#, r#"SG999"#, r#"+485"#),
    (r#"-485"#, r#"9SG99"#, r#"4-85"#),
    (r#"485"#, r#"PL999"#, r#"+ 485"#),
    (r#"12345"#, r#"999"#, r#" ###"#),
    (r#"12"#, r#"99V999"#, r#" 12000"#),
    (r#"-12345"#, r#"9.99EEEE"#, r#"-1.23e+04"#),
    (r#"99999"#, r#"9.99EEEE"#, r#" 1.00e+05"#),
    (r#"0"#, r#"9.9EEEE"#, r#" 0.0e+00"#),
    (r#"12"#, r#"0999"#, r#" 0012"#),
    (r#"12"#, r#"B9999"#, r#"   12"#),
    (r#"0"#, r#"99.99"#, r#"   .00"#),
    (r#"1485"#, r#"9,999"#, r#" 1,485"#),
    (r#"148"#, r#"9,999"#, r#"   148"#),
    (r#"-148"#, r#"FM9,999"#, r#"-148"#),
    (r#"100"#, r#"FM999.9"#, r#"100."#),
    (r#"100"#, r#"FM999.0"#, r#"100.0"#),
    (r#"5000"#, r#"RN"#, r#"###############"#),
];

#[rustfmt::skip]
const TO_NUMBER: &[(&str, &str, &str)] = &[
    (r#"12,454.8-"#, r#"99G999D9S"#, r#"-12454.8"#),
    (r#"-12,345.67"#, r#"99,999.99"#, r#"-12345.67"#),
    (r#"12.3"#, r#"99.9"#, r#"12.3"#),
    (r#"$12.50"#, r#"L99.99"#, r#"12.50"#),
    (r#"<12>"#, r#"99PR"#, r#"-12"#),
    (r#"  42"#, r#"9999"#, r#"42"#),
    (r#"0.00001"#, r#"9.999999"#, r#"0.00001"#),
    (r#"12th"#, r#"99th"#, r#"12"#),
    (r#"1 2"#, r#"99"#, r#"12"#),
    (r#"-34,338,492"#, r#"99G999G999"#, r#"-34338492"#),
    (r#".-01"#, r#"99.99S"#, r#"-0.01"#),
    (r#"5.01-"#, r#"FM9.999999MI"#, r#"-5.01"#),
    (r#"100"#, r#"9"#, r#"1"#),
];

#[rustfmt::skip]
const TO_DATE: &[(&str, &str, &str)] = &[
    (r#"2024-02-05"#, r#"YYYY-MM-DD"#, r#"19758"#),
    (r#"20240205"#, r#"YYYYMMDD"#, r#"19758"#),
    (r#"05 Feb 2024"#, r#"DD Mon YYYY"#, r#"19758"#),
    (r#"February 5, 2024"#, r#"Month DD, YYYY"#, r#"19758"#),
    (r#"24-2-5"#, r#"YY-MM-DD"#, r#"19758"#),
    (r#"99/1/2"#, r#"YY/MM/DD"#, r#"10593"#),
    (r#"2024 036"#, r#"YYYY DDD"#, r#"19758"#),
    (r#"2024-06-1"#, r#"IYYY-IW-ID"#, r#"19758"#),
    (r#"2460346"#, r#"J"#, r#"19758"#),
    (r#"44-02-01 BC"#, r#"YYYY-MM-DD BC"#, r#"-735202"#),
    (r#"2024-02-30"#, r#"YYYY-MM-DD"#, r#"ERR date/time field value out of range: "2024-02-30""#),
    (r#"2024-13-01"#, r#"YYYY-MM-DD"#, r#"ERR date/time field value out of range: "2024-13-01""#),
    (r#"2 of 2024"#, r#"DD "of" YYYY"#, r#"19724"#),
    (r#"2024xx02"#, r#"YYYY"xx"MM"#, r#"19754"#),
    (r#"Monday 5th Feb 2024"#, r#"Day DDth Mon YYYY"#, r#"19758"#),
    (r#"IV 2000"#, r#"RM YYYY"#, r#"11048"#),
    (r#"20 12"#, r#"CC YY"#, r#"-21185"#),
    (r#"1,234"#, r#"Y,YYY"#, r#"-268818"#),
    (r#"2024  02   05"#, r#"YYYY MM DD"#, r#"19758"#),
    (r#"20240205"#, r#"FXYYYYMMDD"#, r#"19758"#),
    (r#"hello"#, r#"YYYY"#, r#"ERR invalid value "hell" for "YYYY""#),
    (r#"202"#, r#"YYYYMM"#, r#"ERR source string too short for "YYYY" formatting field"#),
    (r#""#, r#"YYYY"#, r#"-719528"#),
    (r#"2024-02-05"#, r#"YYYY-IW"#, r#"ERR invalid combination of date conventions"#),
];

#[rustfmt::skip]
const TO_TIMESTAMP: &[(&str, &str, &str)] = &[
    (r#"2024-02-05 13:14:15"#, r#"YYYY-MM-DD HH24:MI:SS"#, r#"1707138855000000"#),
    (r#"2024-02-05 1:14 PM"#, r#"YYYY-MM-DD HH:MI PM"#, r#"1707138840000000"#),
    (r#"2024-02-05 13:14 PM"#, r#"YYYY-MM-DD HH:MI PM"#, r#"ERR hour "13" is invalid for the 12-hour clock"#),
    (r#"12:30:45.25"#, r#"HH24:MI:SS.MS"#, r#"-62167174154750000"#),
    (r#"2024-02-05 11:12:13.123456"#, r#"YYYY-MM-DD HH24:MI:SS.US"#, r#"1707131533123456"#),
    (r#"2024-02-05 11:00 -05:30"#, r#"YYYY-MM-DD HH24:MI TZH:TZM"#, r#"1707150600000000"#),
    (r#"2024 3661"#, r#"YYYY SSSS"#, r#"1704070861000000"#),
    (r#"2024-02-05 25:00"#, r#"YYYY-MM-DD HH24:MI"#, r#"ERR date/time field value out of range: "2024-02-05 25:00""#),
    (r#"2024 UTC"#, r#"YYYY TZ"#, r#"ERR formatting field "TZ" is only supported in to_char"#),
];

#[test]
fn timestamps_out() {
    // 2024-02-05 03:04:05.678901
    compare(TIMES, |_, f| {
        show(date_out::timestamp(1_707_102_245_678_901, Some(&Zone::utc()), f), Option::unwrap_or_default)
    });
}

#[test]
fn intervals_out() {
    let spans = [Interval::new(14, 3, 101_106_789_000), Interval::new(-12, -3, -14_706_500_000)];
    compare(SPANS, |i, f| show(date_out::interval(spans[i.parse::<usize>().unwrap()], f), Option::unwrap_or_default));
}

#[test]
fn numbers_out() {
    compare(NUMERICS, |a, f| show(number_out::numeric(&Numeric::parse(a).unwrap(), f), |s| s));
    compare(FLOATS, |a, f| show(number_out::float(a.parse().unwrap(), f, 15), |s| s));
    compare(INTS, |a, f| show(number_out::int4(a.parse().unwrap(), f), |s| s));
}

#[test]
fn numbers_in() {
    compare(TO_NUMBER, |a, f| show(number_in::number(a, f), |n| n.map(|n| n.format()).unwrap_or_default()));
}

#[test]
fn dates_in() {
    compare(TO_DATE, |a, f| show(date_in::date(a, f), |d| d.to_string()));
    compare(TO_TIMESTAMP, |a, f| {
        show(date_in::timestamp(a, f), |(t, o)| (t - i64::from(o.unwrap_or(0)) * 1_000_000).to_string())
    });
}
