//! Looks into json text without building a tree: members, elements and paths as slices of the text.
//!
//! The text is valid (json) or normalised (jsonb), so a value's end is found by counting brackets outside strings. Slices of json
//! keep their blanks, as PostgreSQL's `->` does; slices of jsonb are jsonb.

use super::jsonval::{skip, string};

/// The kind of a value by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// json_typeof
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "boolean",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Array => "array",
            Kind::Object => "object",
        }
    }

    /// Neither array nor object?
    pub(super) fn is_scalar(self) -> bool {
        !matches!(self, Kind::Array | Kind::Object)
    }
}

pub(super) fn kind(s: &str) -> Kind {
    let mut at = 0;
    skip(s, &mut at);
    match s.as_bytes().get(at) {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

/// Moves behind the string that begins at `at`.
fn skip_string(b: &[u8], at: &mut usize) {
    *at += 1;
    while let Some(c) = b.get(*at) {
        *at += match c {
            b'"' => {
                *at += 1;
                return;
            }
            b'\\' => 2,
            _ => 1,
        };
    }
}

/// Moves behind the value that begins at `at`.
fn skip_value(b: &[u8], at: &mut usize) {
    let mut depth = 0usize;
    while let Some(c) = b.get(*at) {
        match c {
            b'"' => {
                skip_string(b, at);
                if depth == 0 {
                    return;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    *at += 1;
                    return;
                }
            }
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return,
            _ => {}
        }
        *at += 1;
    }
}

/// The elements of an array (nothing for other kinds).
pub(super) struct Elements<'a> {
    s: &'a str,
    at: usize,
}

pub(super) fn elements(s: &str) -> Elements<'_> {
    let mut at = 0;
    skip(s, &mut at);
    at = if s.as_bytes().get(at) == Some(&b'[') { at + 1 } else { s.len() };
    Elements { s, at }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        skip(self.s, &mut self.at);
        let b = self.s.as_bytes();
        if b.get(self.at) == Some(&b',') {
            self.at += 1;
            skip(self.s, &mut self.at);
        }
        if matches!(b.get(self.at), None | Some(b']')) {
            return None;
        }
        let from = self.at;
        skip_value(b, &mut self.at);
        Some(&self.s[from..self.at])
    }
}

/// The members of an object (nothing for other kinds): decoded key, value.
pub(super) struct Members<'a> {
    s: &'a str,
    at: usize,
}

pub(super) fn members(s: &str) -> Members<'_> {
    let mut at = 0;
    skip(s, &mut at);
    at = if s.as_bytes().get(at) == Some(&b'{') { at + 1 } else { s.len() };
    Members { s, at }
}

impl<'a> Iterator for Members<'a> {
    type Item = (String, &'a str);
    fn next(&mut self) -> Option<(String, &'a str)> {
        skip(self.s, &mut self.at);
        let b = self.s.as_bytes();
        if b.get(self.at) == Some(&b',') {
            self.at += 1;
            skip(self.s, &mut self.at);
        }
        if b.get(self.at) != Some(&b'"') {
            return None;
        }
        let key = string(self.s, &mut self.at);
        skip(self.s, &mut self.at);
        // The colon.
        self.at += 1;
        skip(self.s, &mut self.at);
        let from = self.at;
        skip_value(b, &mut self.at);
        Some((key, &self.s[from..self.at]))
    }
}

/// The member of an object, the last of equals.
pub(super) fn member<'a>(s: &'a str, key: &str) -> Option<&'a str> {
    members(s).filter(|(k, _)| k == key).last().map(|m| m.1)
}

/// The element of an array; negative counts from the end.
pub(super) fn element(s: &str, i: i64) -> Option<&str> {
    let i = if i < 0 { elements(s).count() as i64 + i } else { i };
    usize::try_from(i).ok().and_then(|i| elements(s).nth(i))
}

/// What `->>` gives of a value: strings decoded, NULL for null.
pub(super) fn text(s: &str) -> Option<String> {
    let mut at = 0;
    skip(s, &mut at);
    match kind(s) {
        Kind::Null => None,
        Kind::String => Some(string(s, &mut at)),
        _ => Some(s.to_owned()),
    }
}

/// An array index in a path; PostgreSQL reads it with strtol.
pub(super) fn index(step: &str) -> Option<i32> {
    let step = step.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    step.strip_prefix('+').filter(|s| !s.starts_with(['+', '-'])).unwrap_or(step).parse().ok()
}

/// Walks down a path; `None` where it leads nowhere.
pub(super) fn walk<'a>(s: &'a str, path: &[String]) -> Option<&'a str> {
    path.iter().try_fold(s, |s, step| match kind(s) {
        Kind::Object => member(s, step),
        Kind::Array => element(s, i64::from(index(step)?)),
        _ => None,
    })
}
