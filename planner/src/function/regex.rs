//! POSIX regular expressions (PostgreSQL's AREs) over fancy-regex: a translation of syntax and flags, a cache of compiled
//! expressions, and the operators and functions.
//!
//! Known difference: alternation is leftmost-first, not POSIX leftmost-longest (`'ab' ~ 'a|ab'` agrees; the text that
//! `substring('ab' from 'a|ab')` returns does not). Collating elements `[[.x.]]` are 2201B.

use super::error::invalid;
use super::kernel::{cast_array, k, union_nulls};
use super::{CallTypes, Registry, ScalarKernel, SetKernel};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, BooleanBuilder, StringArray};
use fancy_regex::Regex;
use heddle_types::arrow::column;
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState, oid};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Compiled expressions kept per thread.
const CACHE_MAX: usize = 64;

thread_local! {
    static CACHE: RefCell<HashMap<(String, Flags), Arc<Regex>>> = RefCell::new(HashMap::new());
}

/// What flag letters and embedded options say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Flags {
    fold: bool,
    /// `.` and `[^…]` stop at newlines
    dot_stops: bool,
    /// `^` and `$` match at lines
    lines: bool,
    expanded: bool,
    literal: bool,
    global: bool,
}

impl Flags {
    fn parse(s: &str) -> Result<Flags> {
        let mut f = Flags::default();
        for c in s.chars() {
            f.set(c).ok_or_else(|| invalid(format!("invalid regular expression option: \"{c}\"")))?;
        }
        Ok(f)
    }

    fn set(&mut self, c: char) -> Option<()> {
        match c {
            'g' => self.global = true,
            'i' => self.fold = true,
            'c' => self.fold = false,
            'n' | 'm' => (self.dot_stops, self.lines) = (true, true),
            's' => (self.dot_stops, self.lines) = (false, false),
            'p' => (self.dot_stops, self.lines) = (true, false),
            'w' => (self.dot_stops, self.lines) = (false, true),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'e' | 'b' => {}
            _ => return None,
        }
        Some(())
    }
}

fn bad(detail: impl std::fmt::Display) -> Error {
    Error::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {detail}"))
}

fn compile(pattern: &str, flags: Flags) -> Result<Arc<Regex>> {
    let key = (pattern.to_owned(), Flags { global: false, ..flags });
    if let Some(r) = CACHE.with_borrow(|c| c.get(&key).cloned()) {
        return Ok(r);
    }
    let translated = translate(pattern, flags)?;
    let regex = Arc::new(Regex::new(&translated).map_err(|e| bad(reason(&e.to_string())))?);
    CACHE.with_borrow_mut(|c| {
        if c.len() >= CACHE_MAX {
            c.clear();
        }
        c.insert(key, regex.clone());
    });
    Ok(regex)
}

/// PostgreSQL's words for the usual mistakes.
fn reason(e: &str) -> String {
    let lower = e.to_lowercase();
    let known = [
        ("paren", "parentheses () not balanced"),
        ("class", "brackets [] not balanced"),
        ("repeat", "quantifier operand invalid"),
        ("repetition", "quantifier operand invalid"),
        ("target of repeat", "quantifier operand invalid"),
        ("back", "invalid backreference number"),
        ("escape", "invalid escape \\ sequence"),
    ];
    known.iter().find(|(k, _)| lower.contains(k)).map_or_else(|| e.to_owned(), |(_, v)| (*v).to_owned())
}

fn translate(pattern: &str, mut flags: Flags) -> Result<String> {
    let mut p = pattern;
    if let Some(rest) = p.strip_prefix("***=") {
        flags.literal = true;
        p = rest;
    } else if let Some(rest) = p.strip_prefix("***:") {
        p = rest;
    }
    if !flags.literal
        && let Some(rest) = p.strip_prefix("(?")
        && let Some(end) = rest.find(')')
        && end > 0
        && rest[..end].bytes().all(|b| b.is_ascii_lowercase())
    {
        for c in rest[..end].chars() {
            flags.set(c).ok_or_else(|| bad("invalid embedded option"))?;
        }
        p = &rest[end + 1..];
    }
    let mut out = String::with_capacity(p.len() + 16);
    out.push_str("(?");
    if flags.fold {
        out.push('i');
    }
    if !flags.dot_stops {
        out.push('s');
    }
    if flags.lines {
        out.push('m');
    }
    out.push_str(if out.len() == 2 { ":)" } else { ")" });
    if flags.literal {
        out.push_str(&fancy_regex::escape(p));
    } else {
        body(p, flags, &mut out)?;
    }
    Ok(out)
}

fn body(p: &str, flags: Flags, out: &mut String) -> Result<()> {
    let c: Vec<char> = p.chars().collect();
    let mut i = 0;
    while i < c.len() {
        match c[i] {
            '\\' => i = escape(&c, i, out)?,
            '[' => i = bracket(&c, i, flags, out)?,
            '{' if !c.get(i + 1).is_some_and(char::is_ascii_digit) => {
                out.push_str("\\{");
                i += 1;
            }
            '}' => {
                let open = out.rfind('{').is_some_and(|at| {
                    !out[..at].ends_with('\\') && out[at + 1..].bytes().all(|b| b.is_ascii_digit() || b == b',')
                });
                out.push_str(if open { "}" } else { "\\}" });
                i += 1;
            }
            '$' if !flags.lines => {
                out.push_str("\\z");
                i += 1;
            }
            '#' if flags.expanded => {
                while i < c.len() && c[i] != '\n' {
                    i += 1;
                }
            }
            ch if flags.expanded && ch.is_whitespace() => i += 1,
            '(' if c.get(i + 1) == Some(&'?') && c.get(i + 2) == Some(&'#') => {
                while i < c.len() && c[i] != ')' {
                    i += 1;
                }
                i += 1;
            }
            ch => {
                out.push(ch);
                i += 1;
            }
        }
    }
    Ok(())
}

fn escape(c: &[char], i: usize, out: &mut String) -> Result<usize> {
    let Some(e) = c.get(i + 1) else { return Err(bad("invalid escape \\ sequence")) };
    let plain = |out: &mut String, s: &str| {
        out.push_str(s);
        i + 2
    };
    Ok(match e {
        'm' => plain(out, "\\b(?=\\w)"),
        'M' => plain(out, "\\b(?<=\\w)"),
        'y' => plain(out, "\\b"),
        'Y' => plain(out, "\\B"),
        'A' => plain(out, "\\A"),
        'Z' => plain(out, "\\z"),
        'a' => plain(out, "\\x07"),
        'b' => plain(out, "\\x08"),
        'B' => plain(out, "\\\\"),
        'e' => plain(out, "\\x1b"),
        '0' => plain(out, "\\x00"),
        'd' | 'w' | 's' | 'D' | 'W' | 'S' | 'n' | 'r' | 't' | 'v' | 'f' => plain(out, &format!("\\{e}")),
        'u' | 'x' | 'U' => hex(c, i, out)?,
        '1'..='9' => {
            // `(?:)` keeps a following digit out of the reference.
            out.push('\\');
            out.push(*e);
            out.push_str("(?:)");
            i + 2
        }
        e if e.is_alphanumeric() => return Err(bad("invalid escape \\ sequence")),
        e => plain(out, &fancy_regex::escape(&e.to_string())),
    })
}

fn hex(c: &[char], i: usize, out: &mut String) -> Result<usize> {
    let max = match c[i + 1] {
        'u' => 4,
        'U' => 8,
        _ => 255,
    };
    let digits: String = c[i + 2..].iter().take(max).take_while(|d| d.is_ascii_hexdigit()).collect();
    let code = u32::from_str_radix(&digits[digits.len().saturating_sub(8)..], 16).ok().and_then(char::from_u32);
    let ch = code.ok_or_else(|| bad("invalid escape \\ sequence"))?;
    out.push_str(&fancy_regex::escape(&ch.to_string()));
    Ok(i + 2 + digits.len())
}

/// A bracket expression: `[` inside is literal unless it opens a class, and set operators of the target are escaped.
fn bracket(c: &[char], start: usize, flags: Flags, out: &mut String) -> Result<usize> {
    let rest: String = c[start..].iter().take(7).collect();
    if rest.starts_with("[[:<:]]") || rest.starts_with("[[:>:]]") {
        out.push_str(if rest.contains('<') { "\\b(?=\\w)" } else { "\\b(?<=\\w)" });
        return Ok(start + 7);
    }
    let mut i = start + 1;
    out.push('[');
    if c.get(i) == Some(&'^') {
        out.push('^');
        if flags.dot_stops {
            out.push_str("\\n");
        }
        i += 1;
    }
    let first = i;
    loop {
        match c.get(i) {
            None => return Err(bad("brackets [] not balanced")),
            Some(']') if i > first => break,
            Some('[') if c.get(i + 1) == Some(&':') => {
                let end = (i + 2..c.len()).find(|j| c[*j] == ']').ok_or_else(|| bad("brackets [] not balanced"))?;
                out.extend(&c[i..=end]);
                i = end + 1;
            }
            Some('[') if matches!(c.get(i + 1), Some('.' | '=')) => return Err(bad("invalid collating element")),
            Some('\\') => {
                let Some(e) = c.get(i + 1) else { return Err(bad("invalid escape \\ sequence")) };
                if matches!(e, 'd' | 'w' | 's' | 'n' | 'r' | 't' | 'v' | 'f') {
                    out.push('\\');
                    out.push(*e);
                    i += 2;
                } else {
                    i = escape(c, i, out)?;
                }
            }
            Some(ch) => {
                if matches!(ch, '[' | ']' | '&' | '~' | '^') || (*ch == '-' && c.get(i + 1) == Some(&'-')) {
                    out.push('\\');
                }
                out.push(*ch);
                i += 1;
            }
        }
    }
    out.push(']');
    Ok(i + 1)
}

fn run_error(e: fancy_regex::Error) -> Error {
    Error::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("regular expression failed: {e}"))
}

fn is_match(r: &Regex, s: &str) -> Result<bool> {
    r.is_match(s).map_err(run_error)
}

fn match_kernel(args: &[ArrayRef], n: usize, fold: bool, negate: bool) -> Result<ArrayRef> {
    let (values, patterns) = (cast_array::<StringArray>(&args[0])?, cast_array::<StringArray>(&args[1])?);
    let nulls = union_nulls(args);
    let mut out = BooleanBuilder::with_capacity(n);
    let mut last: Option<(&str, Arc<Regex>)> = None;
    for i in 0..n {
        if nulls.as_ref().is_some_and(|b| b.is_null(i)) {
            out.append_null();
            continue;
        }
        let p = patterns.value(i);
        let regex = match &last {
            Some((q, r)) if *q == p => r.clone(),
            _ => compile(p, Flags { fold, ..Flags::default() })?,
        };
        out.append_value(is_match(&regex, values.value(i))? != negate);
        last = Some((p, regex));
    }
    Ok(Arc::new(out.finish()))
}

macro_rules! matcher {
    ($fold:literal, $negate:literal) => {{
        fn kernel(_: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
            match_kernel(args, n, $fold, $negate)
        }
        kernel as ScalarKernel
    }};
}

/// Byte range of a match and of its groups.
type Groups = Vec<Option<(usize, usize)>>;

/// Matches from byte `from` on, at most `max`; an empty match moves on by a character.
fn all_matches(r: &Regex, s: &str, from: usize, max: usize) -> Result<Vec<Groups>> {
    let mut out = Vec::new();
    let mut at = from;
    while out.len() < max && at <= s.len() {
        let Some(caps) = r.captures_from_pos(s, at).map_err(run_error)? else { break };
        let groups: Groups = (0..caps.len()).map(|i| caps.get(i).map(|m| (m.start(), m.end()))).collect();
        let Some(Some((start, end))) = groups.first().copied() else { break };
        out.push(groups);
        at = if end > start { end } else { end + s[end..].chars().next().map_or(1, char::len_utf8) };
    }
    Ok(out)
}

/// The groups of a match (the whole match when there are none) as text.
fn group_texts(s: &str, g: &Groups) -> Vec<Datum> {
    let text = |r: &Option<(usize, usize)>| r.map_or(Datum::Null, |(a, b)| Datum::text(&s[a..b]));
    if g.len() == 1 { vec![text(&g[0])] } else { g[1..].iter().map(text).collect() }
}

fn text_array(v: Vec<Datum>) -> PgArray {
    PgArray::from_vec(oid::TEXT, v)
}

fn no_global(flags: &str, function: &str) -> Result<Flags> {
    let f = Flags::parse(flags)?;
    if f.global {
        let hint = format!(
            "Use the {} function instead.",
            if function == "regexp_match()" { "regexp_matches" } else { "other" }
        );
        let e = invalid(format!("{function} does not support the \"global\" option"));
        return Err(if function == "regexp_match()" { e.hint(hint) } else { e });
    }
    Ok(f)
}

/// Byte offset of the 1-based character `start`.
fn start_offset(s: &str, start: i32) -> Result<usize> {
    if start < 1 {
        return Err(invalid(format!("invalid value for parameter \"start\": {start}")));
    }
    Ok(s.char_indices()
        .nth(start as usize - 1)
        .map_or(s.len() + usize::from(start as usize > s.chars().count() + 1), |(i, _)| i))
}

fn replace(s: &str, pattern: &str, with: &str, flags: Flags, start: i32, nth: i32) -> Result<String> {
    if nth < 0 {
        return Err(invalid(format!("invalid value for parameter \"n\": {nth}")));
    }
    let regex = compile(pattern, flags)?;
    let max = if nth > 0 { nth as usize } else { usize::MAX };
    let mut out = String::with_capacity(s.len());
    let mut copied = 0;
    for (i, g) in all_matches(&regex, s, start_offset(s, start)?, max)?.iter().enumerate() {
        let Some(Some((a, b))) = g.first().copied() else { continue };
        if nth > 0 && i + 1 != nth as usize {
            continue;
        }
        out.push_str(&s[copied..a]);
        expand(with, s, g, &mut out);
        copied = b;
    }
    out.push_str(&s[copied..]);
    Ok(out)
}

/// `\1` … `\9`, `\&`, `\\`.
fn expand(with: &str, s: &str, g: &Groups, out: &mut String) {
    let mut chars = with.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.peek().copied() {
            Some(d @ '1'..='9') => {
                if let Some(Some((a, b))) = g.get(d as usize - '0' as usize) {
                    out.push_str(&s[*a..*b]);
                }
                chars.next();
            }
            Some('&') => {
                if let Some(Some((a, b))) = g.first() {
                    out.push_str(&s[*a..*b]);
                }
                chars.next();
            }
            Some('\\') => {
                out.push('\\');
                chars.next();
            }
            _ => out.push('\\'),
        }
    }
}

/// The pieces between matches; an empty match at the very start or end, or right after the previous one, splits nothing.
fn split(s: &str, pattern: &str, flags: &str) -> Result<Vec<String>> {
    let f = Flags::parse(flags)?;
    if f.global {
        return Err(invalid("regexp_split_to_table() does not support the \"global\" option"));
    }
    let regex = compile(pattern, f)?;
    let mut out = Vec::new();
    let mut from = 0;
    for g in all_matches(&regex, s, 0, usize::MAX)? {
        let Some(Some((a, b))) = g.first().copied() else { continue };
        if a == b && (a == from || a >= s.len()) {
            continue;
        }
        out.push(s[from..a].to_owned());
        from = b;
    }
    out.push(s[from..].to_owned());
    Ok(out)
}

fn substring(s: &str, pattern: &str) -> Result<Option<String>> {
    let regex = compile(pattern, Flags::default())?;
    let Some(g) = all_matches(&regex, s, 0, 1)?.pop() else { return Ok(None) };
    let range = if g.len() > 1 { g[1] } else { g[0] };
    Ok(range.map(|(a, b)| s[a..b].to_owned()))
}

/// SIMILAR TO's pattern as an ARE; `escape"` pairs mark the part substring() returns.
fn similar(p: &str, escape: Option<&str>) -> Result<String> {
    let esc = match escape {
        None => Some('\\'),
        Some(e) => {
            let mut chars = e.chars();
            let first = chars.next();
            if chars.next().is_some() {
                return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                    .hint("Escape string must be empty or one character."));
            }
            first
        }
    };
    let mut out = String::from("^(?:");
    let mut quotes = 0;
    let mut in_class = false;
    let mut chars = p.chars();
    while let Some(c) = chars.next() {
        if Some(c) == esc {
            match chars.next() {
                Some('"') if quotes == 0 => {
                    out.push_str(")(");
                    quotes = 1;
                }
                Some('"') if quotes == 1 => {
                    out.push_str(")(?:");
                    quotes = 2;
                }
                Some('"') => {
                    return Err(Error::new(
                        SqlState("2200C"),
                        "SQL regular expression may not contain more than two escape-double-quote separators",
                    ));
                }
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => out.push('\\'),
            }
            continue;
        }
        match c {
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            _ if in_class => {
                if c == '\\' {
                    out.push('\\');
                }
                out.push(c);
            }
            '[' => {
                in_class = true;
                out.push(c);
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '\\' | '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

fn count(s: &str, p: &str, start: i32, flags: &str) -> Result<i32> {
    let f = no_global(flags, "regexp_count()")?;
    let regex = compile(p, f)?;
    Ok(all_matches(&regex, s, start_offset(s, start)?, usize::MAX)?.len() as i32)
}

fn nth_group(
    s: &str,
    p: &str,
    start: i32,
    nth: i32,
    flags: &str,
    group: i32,
    name: &str,
) -> Result<Option<(usize, usize)>> {
    if nth <= 0 {
        return Err(invalid(format!("invalid value for parameter \"n\": {nth}")));
    }
    if group < 0 {
        return Err(invalid(format!("invalid value for parameter \"subexpr\": {group}")));
    }
    let regex = compile(p, no_global(flags, name)?)?;
    let found = all_matches(&regex, s, start_offset(s, start)?, nth as usize)?;
    Ok(found.get(nth as usize - 1).and_then(|g| g.get(group as usize).copied().flatten()))
}

fn instr(s: &str, p: &str, start: i32, nth: i32, end: i32, flags: &str, group: i32) -> Result<i32> {
    if !(0..=1).contains(&end) {
        return Err(invalid(format!("invalid value for parameter \"endoption\": {end}")));
    }
    let found = nth_group(s, p, start, nth, flags, group, "regexp_instr()")?;
    Ok(found.map_or(0, |(a, b)| s[..if end == 1 { b } else { a }].chars().count() as i32 + 1))
}

fn substr(s: &str, p: &str, start: i32, nth: i32, flags: &str, group: i32) -> Result<Option<String>> {
    Ok(nth_group(s, p, start, nth, flags, group, "regexp_substr()")?.map(|(a, b)| s[a..b].to_owned()))
}

fn strings(args: &[ArrayRef]) -> Result<Option<Vec<&str>>> {
    let mut out = Vec::with_capacity(args.len());
    for a in args {
        if a.is_null(0) {
            return Ok(None);
        }
        out.push(cast_array::<StringArray>(a)?.value(0));
    }
    Ok(Some(out))
}

const MATCHES: SetKernel = |_, _, args, emit| {
    let Some(a) = strings(args)? else { return Ok(()) };
    let flags = Flags::parse(a.get(2).copied().unwrap_or(""))?;
    let regex = compile(a[1], flags)?;
    let found = all_matches(&regex, a[0], 0, if flags.global { usize::MAX } else { 1 })?;
    let rows: Vec<Datum> = found.iter().map(|g| Datum::Array(Arc::new(text_array(group_texts(a[0], g))))).collect();
    if !rows.is_empty() {
        emit(vec![column(&rows, PgType::new(oid::TEXT_ARRAY))?])?;
    }
    Ok(())
};

const SPLIT_TABLE: SetKernel = |_, _, args, emit| {
    let Some(a) = strings(args)? else { return Ok(()) };
    let rows: Vec<Datum> = split(a[0], a[1], a.get(2).copied().unwrap_or(""))?.into_iter().map(Datum::text).collect();
    emit(vec![column(&rows, PgType::new(oid::TEXT))?])?;
    Ok(())
};

pub(super) fn register(r: &mut Registry) {
    r.scalars(
        &["textregexeq(text,text)", "bpcharregexeq(bpchar,text)", "nameregexeq(name,text)"],
        matcher!(false, false),
    );
    r.scalars(
        &["textregexne(text,text)", "bpcharregexne(bpchar,text)", "nameregexne(name,text)"],
        matcher!(false, true),
    );
    r.scalars(
        &["texticregexeq(text,text)", "bpcharicregexeq(bpchar,text)", "nameicregexeq(name,text)"],
        matcher!(true, false),
    );
    r.scalars(
        &["texticregexne(text,text)", "bpcharicregexne(bpchar,text)", "nameicregexne(name,text)"],
        matcher!(true, true),
    );
    r.scalar("substring(text,text)", k!(|s: &str, p: &str| -> Option<String> { substring(s, p) }));
    r.scalar(
        "substring(text,text,text)",
        k!(|s: &str, p: &str, e: &str| -> Option<String> { substring(s, &similar(p, Some(e))?) }),
    );
    r.scalar("similar_to_escape(text)", k!(|p: &str| -> String { similar(p, None) }));
    r.scalar("similar_to_escape(text,text)", k!(|p: &str, e: &str| -> String { similar(p, Some(e)) }));
    r.scalar(
        "regexp_replace(text,text,text)",
        k!(|s: &str, p: &str, w: &str| -> String { replace(s, p, w, Flags::default(), 1, 1) }),
    );
    r.scalar(
        "regexp_replace(text,text,text,text)",
        k!(|s: &str, p: &str, w: &str, f: &str| -> String {
            let flags = Flags::parse(f)?;
            replace(s, p, w, flags, 1, i32::from(!flags.global))
        }),
    );
    r.scalar(
        "regexp_replace(text,text,text,int4)",
        k!(|s: &str, p: &str, w: &str, st: i32| -> String { replace(s, p, w, Flags::default(), st, 1) }),
    );
    r.scalar(
        "regexp_replace(text,text,text,int4,int4)",
        k!(|s: &str, p: &str, w: &str, st: i32, n: i32| -> String { replace(s, p, w, Flags::default(), st, n) }),
    );
    r.scalar(
        "regexp_replace(text,text,text,int4,int4,text)",
        k!(|s: &str, p: &str, w: &str, st: i32, n: i32, f: &str| -> String {
            replace(s, p, w, Flags::parse(f)?, st, n)
        }),
    );
    r.scalar("regexp_match(text,text)", k!(|s: &str, p: &str| -> Option<PgArray> { first_match(s, p, "") }));
    r.scalar(
        "regexp_match(text,text,text)",
        k!(|s: &str, p: &str, f: &str| -> Option<PgArray> { first_match(s, p, f) }),
    );
    r.scalar("regexp_split_to_array(text,text)", k!(|s: &str, p: &str| -> PgArray { split_array(s, p, "") }));
    r.scalar(
        "regexp_split_to_array(text,text,text)",
        k!(|s: &str, p: &str, f: &str| -> PgArray { split_array(s, p, f) }),
    );
    r.scalar("regexp_like(text,text)", k!(|s: &str, p: &str| -> bool { is_match(&*compile(p, Flags::default())?, s) }));
    r.scalar(
        "regexp_like(text,text,text)",
        k!(|s: &str, p: &str, f: &str| -> bool { is_match(&*compile(p, no_global(f, "regexp_like()")?)?, s) }),
    );
    r.scalar("regexp_count(text,text)", k!(|s: &str, p: &str| -> i32 { count(s, p, 1, "") }));
    r.scalar("regexp_count(text,text,int4)", k!(|s: &str, p: &str, st: i32| -> i32 { count(s, p, st, "") }));
    r.scalar(
        "regexp_count(text,text,int4,text)",
        k!(|s: &str, p: &str, st: i32, f: &str| -> i32 { count(s, p, st, f) }),
    );
    r.scalar("regexp_instr(text,text)", k!(|s: &str, p: &str| -> i32 { instr(s, p, 1, 1, 0, "", 0) }));
    r.scalar("regexp_instr(text,text,int4)", k!(|s: &str, p: &str, st: i32| -> i32 { instr(s, p, st, 1, 0, "", 0) }));
    r.scalar(
        "regexp_instr(text,text,int4,int4)",
        k!(|s: &str, p: &str, st: i32, n: i32| -> i32 { instr(s, p, st, n, 0, "", 0) }),
    );
    r.scalar(
        "regexp_instr(text,text,int4,int4,int4)",
        k!(|s: &str, p: &str, st: i32, n: i32, e: i32| -> i32 { instr(s, p, st, n, e, "", 0) }),
    );
    r.scalar(
        "regexp_instr(text,text,int4,int4,int4,text)",
        k!(|s: &str, p: &str, st: i32, n: i32, e: i32, f: &str| -> i32 { instr(s, p, st, n, e, f, 0) }),
    );
    r.scalar(
        "regexp_instr(text,text,int4,int4,int4,text,int4)",
        k!(|s: &str, p: &str, st: i32, n: i32, e: i32, f: &str, g: i32| -> i32 { instr(s, p, st, n, e, f, g) }),
    );
    r.scalar("regexp_substr(text,text)", k!(|s: &str, p: &str| -> Option<String> { substr(s, p, 1, 1, "", 0) }));
    r.scalar(
        "regexp_substr(text,text,int4)",
        k!(|s: &str, p: &str, st: i32| -> Option<String> { substr(s, p, st, 1, "", 0) }),
    );
    r.scalar(
        "regexp_substr(text,text,int4,int4)",
        k!(|s: &str, p: &str, st: i32, n: i32| -> Option<String> { substr(s, p, st, n, "", 0) }),
    );
    r.scalar(
        "regexp_substr(text,text,int4,int4,text)",
        k!(|s: &str, p: &str, st: i32, n: i32, f: &str| -> Option<String> { substr(s, p, st, n, f, 0) }),
    );
    r.scalar(
        "regexp_substr(text,text,int4,int4,text,int4)",
        k!(|s: &str, p: &str, st: i32, n: i32, f: &str, g: i32| -> Option<String> { substr(s, p, st, n, f, g) }),
    );
    r.set("regexp_matches(text,text)", MATCHES, &[]);
    r.set("regexp_matches(text,text,text)", MATCHES, &[]);
    r.set("regexp_split_to_table(text,text)", SPLIT_TABLE, &[]);
    r.set("regexp_split_to_table(text,text,text)", SPLIT_TABLE, &[]);
}

fn first_match(s: &str, p: &str, f: &str) -> Result<Option<PgArray>> {
    let regex = compile(p, no_global(f, "regexp_match()")?)?;
    Ok(all_matches(&regex, s, 0, 1)?.first().map(|g| text_array(group_texts(s, g))))
}

fn split_array(s: &str, p: &str, f: &str) -> Result<PgArray> {
    Ok(text_array(split(s, p, f)?.into_iter().map(Datum::text).collect()))
}
