//! Parsed json: what the json operators and functions walk over. Input text is valid already (json) or normalised (jsonb).

use heddle_types::json::push_string;
use heddle_types::{Numeric, Result, json};
use std::cmp::Ordering;

/// A json value. Numbers and scalars of json keep their text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// The number as written.
    Number(String),
    /// Decoded.
    String(String),
    Array(Vec<Json>),
    /// In order of appearance; keys decoded. For jsonb sorted and unique.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses valid json; invalid text gives PostgreSQL's error.
    pub(crate) fn parse(s: &str) -> Result<Json> {
        json::validate(s)?;
        let mut at = 0;
        Ok(value(s, &mut at))
    }

    /// As jsonb prints it.
    pub(crate) fn to_jsonb(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, ", ", ": ");
        out
    }

    /// Without blanks, as json functions print what they rebuild.
    pub(crate) fn to_compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, ",", ":");
        out
    }

    fn write(&self, out: &mut String, comma: &str, colon: &str) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Json::Number(n) => out.push_str(n),
            Json::String(s) => push_string(out, s),
            Json::Array(items) => {
                out.push('[');
                for (i, v) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(comma);
                    }
                    v.write(out, comma, colon);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (i, (k, v)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push_str(comma);
                    }
                    push_string(out, k);
                    out.push_str(colon);
                    v.write(out, comma, colon);
                }
                out.push('}');
            }
        }
    }

    /// With line breaks and four blanks per level, as jsonb_pretty.
    pub(crate) fn pretty(&self, out: &mut String, level: usize) {
        let pad = |out: &mut String, n: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', n * 4));
        };
        match self {
            Json::Array(items) => {
                out.push('[');
                for (i, v) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    pad(out, level + 1);
                    v.pretty(out, level + 1);
                }
                pad(out, level);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (i, (k, v)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    pad(out, level + 1);
                    push_string(out, k);
                    out.push_str(": ");
                    v.pretty(out, level + 1);
                }
                pad(out, level);
                out.push('}');
            }
            other => other.write(out, ", ", ": "),
        }
    }

    /// json_typeof
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// The member of an object (last of equals).
    pub(crate) fn member(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(m) => m.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// jsonb's order of members: by length, then bytes.
    pub(crate) fn sort_members(members: &mut Vec<(String, Json)>) {
        let mut out: Vec<(String, Json)> = Vec::with_capacity(members.len());
        members.sort_by(|a, b| key_order(&a.0, &b.0));
        for m in members.drain(..) {
            match out.last_mut() {
                Some(last) if last.0 == m.0 => *last = m,
                _ => out.push(m),
            }
        }
        *members = out;
    }

    fn rank(&self) -> u8 {
        match self {
            Json::Null => 0,
            Json::String(_) => 1,
            Json::Number(_) => 2,
            Json::Bool(_) => 3,
            Json::Array(_) => 4,
            Json::Object(_) => 5,
        }
    }
}

fn key_order(a: &str, b: &str) -> Ordering {
    (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes()))
}

/// jsonb's btree order: Object > Array > Boolean > Number > String > Null; more members before content. A top-level empty
/// array sorts below everything, for historical reasons.
pub(crate) fn order(a: &Json, b: &Json) -> Ordering {
    match (a, b) {
        (Json::Bool(x), Json::Bool(y)) => x.cmp(y),
        (Json::Number(x), Json::Number(y)) => number(x).cmp(&number(y)),
        (Json::String(x), Json::String(y)) => x.as_bytes().cmp(y.as_bytes()),
        (Json::Array(x), Json::Array(y)) => x
            .len()
            .cmp(&y.len())
            .then_with(|| x.iter().zip(y).map(|(x, y)| order(x, y)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)),
        (Json::Object(x), Json::Object(y)) => x.len().cmp(&y.len()).then_with(|| {
            x.iter()
                .zip(y)
                .map(|(x, y)| x.0.as_bytes().cmp(y.0.as_bytes()).then_with(|| order(&x.1, &y.1)))
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        }),
        _ => a.rank().cmp(&b.rank()),
    }
}

fn number(s: &str) -> Numeric {
    Numeric::parse(s).unwrap_or(Numeric::ZERO)
}

/// Orders two jsonb texts.
pub(crate) fn order_text(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (Json::parse(a), Json::parse(b)) {
        (Ok(a), Ok(b)) => {
            let empty = |j: &Json| matches!(j, Json::Array(v) if v.is_empty());
            match (empty(&a), empty(&b)) {
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                _ => order(&a, &b),
            }
        }
        _ => a.cmp(b),
    }
}

pub(super) fn skip(s: &str, at: &mut usize) {
    while matches!(s.as_bytes().get(*at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        *at += 1;
    }
}

/// Reads a value of text that is known to be valid. Depth is bounded by the validator; the stack grows as needed.
fn value(s: &str, at: &mut usize) -> Json {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || value_inner(s, at))
}

fn value_inner(s: &str, at: &mut usize) -> Json {
    skip(s, at);
    let b = s.as_bytes();
    match b.get(*at) {
        Some(b'{') => {
            *at += 1;
            let mut members = Vec::new();
            loop {
                skip(s, at);
                match b.get(*at) {
                    Some(b'"') => {}
                    Some(b',') => {
                        *at += 1;
                        continue;
                    }
                    _ => break,
                }
                let key = string(s, at);
                skip(s, at);
                *at += 1;
                members.push((key, value(s, at)));
            }
            *at += 1;
            Json::Object(members)
        }
        Some(b'[') => {
            *at += 1;
            let mut items = Vec::new();
            loop {
                skip(s, at);
                match b.get(*at) {
                    Some(b',') => *at += 1,
                    Some(b']') | None => break,
                    _ => items.push(value(s, at)),
                }
            }
            *at += 1;
            Json::Array(items)
        }
        Some(b'"') => Json::String(string(s, at)),
        Some(b't') => {
            *at += 4;
            Json::Bool(true)
        }
        Some(b'f') => {
            *at += 5;
            Json::Bool(false)
        }
        Some(b'n') => {
            *at += 4;
            Json::Null
        }
        _ => {
            let start = *at;
            while matches!(b.get(*at), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
                *at += 1;
            }
            Json::Number(s[start..*at].to_owned())
        }
    }
}

/// Decodes the string that begins at `at`.
pub(super) fn string(s: &str, at: &mut usize) -> String {
    let b = s.as_bytes();
    let mut out = String::new();
    *at += 1;
    loop {
        let start = *at;
        while b.get(*at).is_some_and(|c| !matches!(c, b'"' | b'\\')) {
            *at += 1;
        }
        out.push_str(&s[start..*at]);
        match b.get(*at) {
            Some(b'\\') => escape(s, at, &mut out),
            _ => break,
        }
    }
    *at += 1;
    out
}

fn escape(s: &str, at: &mut usize, out: &mut String) {
    let b = s.as_bytes();
    let c = b.get(*at + 1).copied().unwrap_or(b'"');
    *at += 2;
    match c {
        b'b' => out.push('\u{8}'),
        b'f' => out.push('\u{c}'),
        b'n' => out.push('\n'),
        b'r' => out.push('\r'),
        b't' => out.push('\t'),
        b'u' => {
            let unit = |at: usize| s.get(at..at + 4).and_then(|h| u32::from_str_radix(h, 16).ok()).unwrap_or(0xfffd);
            let mut code = unit(*at);
            *at += 4;
            if (0xd800..0xdc00).contains(&code) && s.get(*at..*at + 2) == Some("\\u") {
                code = 0x10000 + ((code & 0x3ff) << 10) + (unit(*at + 2) & 0x3ff);
                *at += 6;
            }
            out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
        }
        other => out.push(char::from(other)),
    }
}
