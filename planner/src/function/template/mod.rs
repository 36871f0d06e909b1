//! to_char, to_date, to_timestamp and to_number: PostgreSQL's templates.
//!
//! [`parse`] cuts a template into nodes for dates ([`date`]) or numbers ([`number`]); [`date_out`], [`date_in`], [`number_out`] and
//! [`number_in`] walk them as PostgreSQL's formatting.c does, oddities included.

mod calendar;
mod date;
mod date_in;
mod date_out;
mod number;
mod number_in;
mod number_out;

use super::kernel::{Date, Ts, k};
use super::{Registry, dt};
use heddle_types::{Error, Interval, Numeric, SqlState};

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<K> {
    /// A pattern with its modifiers.
    Action(K, Modifiers),
    /// A character that is neither letter, digit nor blank, outside of quotes.
    Separator(char),
    /// A blank outside of quotes.
    Space(char),
    /// Any other character.
    Char(char),
}

/// FM before, TH or th after a date pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Modifiers {
    /// FM
    pub(super) fill: bool,
    /// TH or th
    pub(super) ordinal: Option<Ordinal>,
}

/// The case of the ordinal suffix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ordinal {
    Upper,
    Lower,
}

fn prefix(rest: &str) -> Option<(bool, usize)> {
    [("FM", true), ("fm", true), ("TM", false), ("tm", false)]
        .into_iter()
        .find(|(p, _)| rest.starts_with(p))
        .map(|(p, fill)| (fill, p.len()))
}

fn suffix(rest: &str) -> Option<(Option<Ordinal>, usize)> {
    [("TH", Some(Ordinal::Upper)), ("th", Some(Ordinal::Lower)), ("SP", None)]
        .into_iter()
        .find(|(p, _)| rest.starts_with(p))
        .map(|(p, o)| (o, p.len()))
}

/// Cuts a template. `find` is the longest pattern at the start of a text and its length; only dates have modifiers.
pub(super) fn parse<K>(template: &str, dates: bool, find: impl Fn(&str) -> Option<(K, usize)>) -> Vec<Node<K>> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let mut m = Modifiers::default();
        if dates && let Some((fill, n)) = prefix(rest) {
            m.fill = fill;
            rest = &rest[n..];
        }
        if let Some((key, n)) = find(rest) {
            rest = &rest[n..];
            if dates && let Some((ordinal, n)) = suffix(rest) {
                m.ordinal = ordinal;
                rest = &rest[n..];
            }
            nodes.push(Node::Action(key, m));
        } else if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted_text(quoted, &mut nodes);
        } else if !rest.is_empty() {
            if rest.starts_with("\\\"") {
                rest = &rest[1..];
            }
            let Some(c) = rest.chars().next() else { break };
            rest = &rest[c.len_utf8()..];
            nodes.push(match c {
                c if dates && is_separator(c) => Node::Separator(c),
                c if is_space(c) => Node::Space(c),
                c => Node::Char(c),
            });
        }
    }
    nodes
}

/// Text in quotes; a backslash takes the next character as it is. Returns what follows the closing quote.
fn quoted_text<'a, K>(text: &'a str, nodes: &mut Vec<Node<K>>) -> &'a str {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => nodes.push(Node::Char(chars.next().unwrap_or('\\'))),
            c => nodes.push(Node::Char(c)),
        }
    }
    chars.as_str()
}

pub(super) fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

/// isspace() of the C locale.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// st, nd, rd, th for a printed number.
pub(super) fn ordinal_suffix(number: &str, case: Ordinal) -> &'static str {
    let b = number.as_bytes();
    let teen = b.len() > 1 && b[b.len() - 2] == b'1';
    let (upper, lower) = match b.last() {
        Some(b'1') if !teen => ("ST", "st"),
        Some(b'2') if !teen => ("ND", "nd"),
        Some(b'3') if !teen => ("RD", "rd"),
        _ => ("TH", "th"),
    };
    if case == Ordinal::Upper { upper } else { lower }
}

/// `22007` with a message.
pub(super) fn bad_format(message: impl Into<String>) -> Error {
    Error::new(SqlState("22007"), message)
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("to_char(timestamp,text)", k!(|a: Ts, f: &str| -> Option<String> { date_out::timestamp(a.0, None, f) }));
    r.scalar(
        "to_char(timestamptz,text)",
        k!(cx, _ty; |a: Ts, f: &str| -> Option<String> { date_out::timestamp(a.0, Some(&cx.text.datetime.zone), f) }),
    );
    r.scalar("to_char(interval,text)", k!(|a: Interval, f: &str| -> Option<String> { date_out::interval(a, f) }));
    r.scalar("to_date(text,text)", k!(|a: &str, f: &str| -> Date { date_in::date(a, f).map(Date) }));
    r.scalar(
        "to_timestamp(text,text)",
        k!(cx, _ty; |a: &str, f: &str| -> Ts {
            let (local, offset) = date_in::timestamp(a, f)?;
            match offset {
                Some(o) => dt::check_ts(i128::from(local) - i128::from(o) * 1_000_000).map(Ts),
                None => dt::to_utc(Ts(local), &cx.text.datetime.zone),
            }
        }),
    );
    r.scalar("to_char(numeric,text)", k!(|a: Numeric, f: &str| -> String { number_out::numeric(&a, f) }));
    r.scalar("to_char(int4,text)", k!(|a: i32, f: &str| -> String { number_out::int4(a, f) }));
    r.scalar("to_char(int8,text)", k!(|a: i64, f: &str| -> String { number_out::int8(a, f) }));
    r.scalar("to_char(float8,text)", k!(|a: f64, f: &str| -> String { number_out::float(a, f, 15) }));
    r.scalar("to_char(float4,text)", k!(|a: f32, f: &str| -> String { number_out::float(f64::from(a), f, 6) }));
    r.scalar("to_number(text,text)", k!(|a: &str, f: &str| -> Option<Numeric> { number_in::number(a, f) }));
}

#[cfg(test)]
mod tests;
