//! Any SQL value as json: to_json and what builds on it.

use crate::context::EvalContext;
use heddle_types::datetime::{DateFormat, DateOrder, DateTimeSettings, IntervalStyle, Zone};
use heddle_types::text::TextSettings;
use heddle_types::{Datum, PgType, Result, json, oid, text};

/// Settings for text forms where no session is at hand (aggregates): ISO, UTC.
fn plain_settings() -> TextSettings {
    TextSettings {
        datetime: DateTimeSettings {
            format: DateFormat::Iso,
            order: DateOrder::Mdy,
            interval: IntervalStyle::Postgres,
            zone: Zone::utc(),
            now: 0,
        },
        bytea_escape: false,
        extra_float_digits: 1,
        reg_names: None,
    }
}

/// The text form of a key of json_build_object.
pub(super) fn key_text(v: &Datum, ty: PgType, cx: Option<&EvalContext>) -> Result<String> {
    match (cx, v) {
        (Some(cx), _) => super::cast::to_text(v, ty, cx),
        (None, Datum::Bool(b)) => Ok(b.to_string()),
        (None, _) => Ok(text::to_string(v, ty, &plain_settings())),
    }
}

/// The json text of a value: json and jsonb as they are, numbers and booleans plain, arrays as arrays, dates ISO 8601, the
/// rest as strings.
pub(super) fn to_json(v: &Datum, ty: PgType, cx: Option<&EvalContext>) -> Result<String> {
    let quoted = |s: &str| {
        let mut out = String::new();
        json::push_string(&mut out, s);
        out
    };
    Ok(match v {
        Datum::Null => "null".to_owned(),
        Datum::Bool(b) => b.to_string(),
        Datum::Text(s) if matches!(ty.oid, oid::JSON | oid::JSONB) => s.to_string(),
        Datum::Text(s) => quoted(s),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Float4(_) | Datum::Float8(_) | Datum::Numeric(_) => {
            let s = key_text(v, ty, cx)?;
            // NaN and infinities are not json numbers.
            if s.starts_with(['N', 'I']) || s.starts_with("-I") { quoted(&s) } else { s }
        }
        Datum::Date(_) | Datum::Timestamp(_) => quoted(&iso(v, ty, cx)),
        Datum::Array(a) => {
            let elem = ty.element().unwrap_or(PgType::new(a.elem));
            let mut at = 0;
            array(a, elem, 0, &mut at, cx)?
        }
        _ => quoted(&key_text(v, ty, cx)?),
    })
}

fn iso(v: &Datum, ty: PgType, cx: Option<&EvalContext>) -> String {
    let mut settings = cx.map_or_else(plain_settings, |c| c.text.clone());
    settings.datetime.format = DateFormat::Iso;
    let s = text::to_string(v, ty, &settings);
    let Datum::Timestamp(t) = v else { return s };
    if super::dt::is_inf_ts(*t) {
        return s;
    }
    let mut s = s.replacen(' ', "T", 1);
    // xsd wants minutes in the offset: +02 -> +02:00.
    if ty.oid == oid::TIMESTAMPTZ {
        let bc = s.ends_with(" BC");
        let end = if bc { s.len() - 3 } else { s.len() };
        let offset_digits = s[..end].bytes().rev().take_while(u8::is_ascii_digit).count();
        let sign_at = end - offset_digits - 1;
        if offset_digits == 2 && matches!(s.as_bytes()[sign_at], b'+' | b'-') {
            s.insert_str(end, ":00");
        }
    }
    s
}

fn array(
    a: &heddle_types::PgArray,
    elem: PgType,
    dim: usize,
    at: &mut usize,
    cx: Option<&EvalContext>,
) -> Result<String> {
    let Some((len, _)) = a.dims.get(dim) else { return Ok("[]".to_owned()) };
    let mut out = String::from("[");
    for i in 0..*len {
        if i > 0 {
            out.push(',');
        }
        if dim + 1 < a.dims.len() {
            out.push_str(&array(a, elem, dim + 1, at, cx)?);
        } else {
            out.push_str(&to_json(&a.elements[*at], elem, cx)?);
            *at += 1;
        }
    }
    out.push(']');
    Ok(out)
}
