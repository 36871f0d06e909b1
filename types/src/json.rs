//! json and jsonb: validation (json keeps its text) and normalisation (jsonb as PostgreSQL prints it).
//!
//! One parser without recursion serves both, so that depth costs memory and not stack. Messages are PostgreSQL's:
//! `invalid input syntax for type json` with a DETAIL that names the token and a CONTEXT that shows the text before it.

use crate::{Error, Numeric, Result, SqlState};

/// Deeper values are refused (`54001`): PostgreSQL's own limit depends on its stack and is near this one.
const DEPTH_MAX: usize = 6000;

/// Checks json input; `22P02` with PostgreSQL's DETAIL.
pub fn validate(s: &str) -> Result<()> {
    Parser { s, at: 0, out: None }.run()
}

/// Normalises as jsonb does: keys by length then bytes, last duplicate wins, numbers exact, `", "` and `": "` separators.
pub fn normalize(s: &str) -> Result<String> {
    let mut p = Parser { s, at: 0, out: Some(String::with_capacity(s.len() + s.len() / 8)) };
    p.run()?;
    Ok(p.out.expect("run keeps the output"))
}

/// An open object or array.
enum Level {
    Array,
    /// Where the members begin in the output, and (decoded key, start, end) of each.
    Object {
        start: usize,
        members: Vec<(String, usize, usize)>,
        sorted: bool,
    },
}

struct Parser<'a> {
    s: &'a str,
    at: usize,
    out: Option<String>,
}

impl Parser<'_> {
    fn run(&mut self) -> Result<()> {
        let mut levels: Vec<Level> = Vec::new();
        loop {
            // A value begins here, unless an empty container ends.
            self.skip_blanks();
            let opened = match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    self.push_str("{");
                    let start = self.out.as_ref().map_or(0, String::len);
                    self.open(&mut levels, Level::Object { start, members: vec![], sorted: true })?;
                    self.skip_blanks();
                    match self.peek() {
                        Some(b'}') => false,
                        _ => {
                            self.key(&mut levels, "string or \"}\"")?;
                            true
                        }
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.push_str("[");
                    self.open(&mut levels, Level::Array)?;
                    self.skip_blanks();
                    self.peek() != Some(b']')
                }
                _ => {
                    self.scalar()?;
                    false
                }
            };
            if opened {
                continue;
            }
            if !self.after_value(&mut levels)? {
                return Ok(());
            }
        }
    }

    /// Closes what ends here; true when another value follows.
    fn after_value(&mut self, levels: &mut Vec<Level>) -> Result<bool> {
        loop {
            self.skip_blanks();
            let Some(level) = levels.last() else {
                if self.at < self.s.len() {
                    return Err(self.unexpected("end of input"));
                }
                return Ok(false);
            };
            let object = matches!(level, Level::Object { .. });
            match (self.peek(), object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.end_member(levels);
                    self.push_str(", ");
                    self.key(levels, "string")?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    self.push_str(", ");
                    return Ok(true);
                }
                (Some(b'}'), true) => {
                    self.at += 1;
                    self.end_member(levels);
                    self.close_object(levels.pop());
                    self.push_str("}");
                }
                (Some(b']'), false) => {
                    self.at += 1;
                    levels.pop();
                    self.push_str("]");
                }
                _ => return Err(self.unexpected(if object { "\",\" or \"}\"" } else { "\",\" or \"]\"" })),
            }
        }
    }

    fn open(&self, levels: &mut Vec<Level>, level: Level) -> Result<()> {
        if levels.len() >= DEPTH_MAX {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        levels.push(level);
        Ok(())
    }

    /// Reads `"key":` and begins a member.
    fn key(&mut self, levels: &mut [Level], want: &str) -> Result<()> {
        self.skip_blanks();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(want));
        }
        let from = self.out.as_ref().map_or(0, String::len);
        let key = self.string()?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("\":\""));
        }
        self.at += 1;
        if let (Some(key), Some(Level::Object { members, sorted, .. })) = (key, levels.last_mut()) {
            if key.len() > 0x0fff_ffff {
                return Err(Error::new(
                    SqlState::STRING_DATA_RIGHT_TRUNCATION,
                    "string too long to represent as jsonb string",
                ));
            }
            if let Some(out) = &mut self.out {
                push_string(out, &key);
                out.push_str(": ");
            }
            if let Some((last, _, _)) = members.last() {
                *sorted &= (last.len(), last.as_str()) < (key.len(), key.as_str());
            }
            members.push((key, from, 0));
        }
        Ok(())
    }

    fn end_member(&self, levels: &mut [Level]) {
        if let (Some(out), Some(Level::Object { members, .. })) = (&self.out, levels.last_mut())
            && let Some(last) = members.last_mut()
        {
            last.2 = out.len();
        }
    }

    /// Puts members into jsonb's order and drops all but the last of equal keys.
    fn close_object(&mut self, level: Option<Level>) {
        let (Some(out), Some(Level::Object { start, mut members, sorted: false })) = (&mut self.out, level) else {
            return;
        };
        // Stable, so that the last of equals stays last.
        members.sort_by(|a, b| (a.0.len(), a.0.as_str()).cmp(&(b.0.len(), b.0.as_str())));
        let mut text = String::with_capacity(out.len() - start);
        for (i, (key, from, to)) in members.iter().enumerate() {
            if members.get(i + 1).is_some_and(|next| next.0 == *key) {
                continue;
            }
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&out[*from..*to]);
        }
        out.truncate(start);
        out.push_str(&text);
    }

    fn push_str(&mut self, s: &str) {
        if let Some(out) = &mut self.out {
            out.push_str(s);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.s.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn scalar(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'"') => {
                let value = self.string()?;
                if let (Some(out), Some(v)) = (&mut self.out, value) {
                    push_string(out, &v);
                }
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let word = self.word_at(self.at);
                if !matches!(word, "true" | "false" | "null") {
                    return Err(self.unexpected("JSON value"));
                }
                let len = word.len();
                if let Some(out) = &mut self.out {
                    out.push_str(word_text(len, self.s.as_bytes()[self.at]));
                }
                self.at += len;
                Ok(())
            }
        }
    }

    /// Letters, digits, `_` and bytes above ASCII from `at`: what PostgreSQL's lexer takes as one token.
    fn word_at(&self, at: usize) -> &str {
        let more = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
        let len = self.s.as_bytes()[at..].iter().take_while(|b| more(b)).count();
        &self.s[at..at + len]
    }

    fn number(&mut self) -> Result<()> {
        let b = self.s.as_bytes();
        let start = self.at;
        let digits = |mut i: usize| {
            while b.get(i).is_some_and(u8::is_ascii_digit) {
                i += 1;
            }
            i
        };
        let mut i = start + usize::from(b[start] == b'-');
        let mut ok = true;
        match b.get(i) {
            Some(b'0') => i += 1,
            Some(b'1'..=b'9') => i = digits(i),
            _ => ok = false,
        }
        if b.get(i) == Some(&b'.') {
            let end = digits(i + 1);
            ok &= end > i + 1;
            i = end;
        }
        if matches!(b.get(i), Some(b'e' | b'E')) {
            let from = i + 1 + usize::from(matches!(b.get(i + 1), Some(b'+' | b'-')));
            let end = digits(from);
            ok &= end > from;
            i = end;
        }
        // Garbage that touches the number belongs to the token.
        let tail = self.word_at(i).len();
        if !ok || tail > 0 {
            return Err(self.invalid_token(start, i + tail));
        }
        if let Some(out) = &mut self.out {
            out.push_str(&Numeric::parse(&self.s[start..i])?.format());
        }
        self.at = i;
        Ok(())
    }

    /// Reads a string. Its decoded content only when output is wanted.
    fn string(&mut self) -> Result<Option<String>> {
        let b = self.s.as_bytes();
        let start = self.at;
        let mut value = self.out.is_some().then(String::new);
        // The first half of a surrogate pair.
        let mut high: Option<u32> = None;
        let mut i = start + 1;
        loop {
            let plain = i;
            while b.get(i).is_some_and(|c| !matches!(c, b'"' | b'\\' | 0..=0x1f)) {
                i += 1;
            }
            if i > plain {
                if high.is_some() {
                    return Err(self.detail("Unicode low surrogate must follow a high surrogate.", i));
                }
                if let Some(v) = &mut value {
                    v.push_str(&self.s[plain..i]);
                }
            }
            match b.get(i) {
                None => return Err(self.invalid_token(start, i)),
                Some(b'"') => break,
                Some(b'\\') => i = self.escape(start, i, &mut value, &mut high)?,
                Some(c) => {
                    let detail = format!("Character with value 0x{c:02x} must be escaped.");
                    return Err(self.detail(detail, i));
                }
            }
        }
        if high.is_some() {
            return Err(self.detail("Unicode low surrogate must follow a high surrogate.", i + 1));
        }
        self.at = i + 1;
        Ok(value)
    }

    /// One escape at `i`; returns where it ends.
    fn escape(&self, start: usize, i: usize, value: &mut Option<String>, high: &mut Option<u32>) -> Result<usize> {
        let b = self.s.as_bytes();
        let lone = "Unicode low surrogate must follow a high surrogate.";
        let Some(c) = b.get(i + 1) else { return Err(self.invalid_token(start, self.s.len())) };
        let plain = match c {
            b'"' | b'\\' | b'/' => *c as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut code = 0;
                for k in 0..4 {
                    match b.get(i + 2 + k).and_then(|d| (*d as char).to_digit(16)) {
                        Some(d) => code = code << 4 | d,
                        None if i + 2 + k >= b.len() => return Err(self.invalid_token(start, self.s.len())),
                        None => {
                            let end = self.char_end(i + 2 + k);
                            return Err(self.detail("\"\\u\" must be followed by four hexadecimal digits.", end));
                        }
                    }
                }
                self.code_unit(code, i + 6, value, high)?;
                return Ok(i + 6);
            }
            _ => {
                let end = self.char_end(i + 1);
                let c = &self.s[i + 1..end];
                return Err(self.detail(format!("Escape sequence \"\\{c}\" is invalid."), end));
            }
        };
        if high.is_some() {
            return Err(self.detail(lone, i + 2));
        }
        if let Some(v) = value {
            v.push(plain);
        }
        Ok(i + 2)
    }

    fn code_unit(&self, code: u32, end: usize, value: &mut Option<String>, high: &mut Option<u32>) -> Result<()> {
        let Some(v) = value else { return Ok(()) };
        let char = match (code, high.take()) {
            (0xd800..=0xdbff, Some(_)) => {
                return Err(self.detail("Unicode high surrogate must not follow a high surrogate.", end));
            }
            (0xd800..=0xdbff, None) => {
                *high = Some(code);
                return Ok(());
            }
            (0xdc00..=0xdfff, Some(h)) => char::from_u32(0x10000 + ((h & 0x3ff) << 10) + (code & 0x3ff)),
            (0xdc00..=0xdfff, None) | (_, Some(_)) => {
                return Err(self.detail("Unicode low surrogate must follow a high surrogate.", end));
            }
            (0, None) => {
                return Err(Error::new(SqlState("22P05"), "unsupported Unicode escape sequence")
                    .detail("\\u0000 cannot be converted to text.")
                    .context(self.context(end)));
            }
            (code, None) => char::from_u32(code),
        };
        v.push(char.expect("surrogates are paired above"));
        Ok(())
    }

    fn char_end(&self, at: usize) -> usize {
        self.s.ceil_char_boundary(at + 1)
    }

    fn detail(&self, detail: impl Into<String>, end: usize) -> Error {
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
            .detail(detail)
            .context(self.context(end))
    }

    fn invalid_token(&self, start: usize, end: usize) -> Error {
        self.detail(format!("Token \"{}\" is invalid.", &self.s[start..end]), end)
    }

    /// The error for the token at the current place, where `want` was expected.
    fn unexpected(&mut self, want: &str) -> Error {
        let Some(c) = self.peek() else {
            return self.detail("The input string ended unexpectedly.", self.s.len());
        };
        let start = self.at;
        let end = match c {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => start + 1,
            b'"' => match self.string() {
                Ok(_) => self.at,
                Err(e) => return e,
            },
            b'-' | b'0'..=b'9' => {
                let out = self.out.take();
                let read = self.number();
                self.out = out;
                match read {
                    Ok(()) => self.at,
                    Err(e) => return e,
                }
            }
            _ => {
                let word = self.word_at(start);
                let end = if word.is_empty() { self.char_end(start) } else { start + word.len() };
                if !matches!(word, "true" | "false" | "null") {
                    return self.invalid_token(start, end);
                }
                end
            }
        };
        let found = &self.s[start..end];
        match want {
            "end of input" => self.detail(format!("Expected end of input, but found \"{found}\"."), end),
            _ => self.detail(format!("Expected {want}, but found \"{found}\"."), end),
        }
    }

    /// PostgreSQL's `JSON data, line n: …text up to the error`.
    fn context(&self, end: usize) -> String {
        let end = self.s.floor_char_boundary(end);
        let line = 1 + self.s[..end].matches('\n').count();
        let line_start = self.s[..end].rfind('\n').map_or(0, |i| i + 1);
        let mut from = line_start;
        // At most about fifty bytes before the error are shown.
        while end - from >= 50 {
            from = self.char_end(from);
        }
        if from - line_start <= 3 {
            from = line_start;
        }
        let prefix = if from > line_start { "..." } else { "" };
        let rest = &self.s[end..];
        let suffix = if rest.is_empty() || rest.starts_with(['\n', '\r']) { "" } else { "..." };
        format!("JSON data, line {line}: {prefix}{}{suffix}", &self.s[from..end])
    }
}

fn word_text(len: usize, first: u8) -> &'static str {
    match (len, first) {
        (5, _) => "false",
        (_, b't') => "true",
        _ => "null",
    }
}

/// A JSON string as PostgreSQL's escape_json writes it.
pub fn push_string(out: &mut String, s: &str) {
    use std::fmt::Write;
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                write!(out, "\\u{:04x}", c as u32).expect("a String takes all");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_and_uses_no_stack() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(validate(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(validate(&deep(DEPTH_MAX + 1)).expect_err("too deep").code(), SqlState::STATEMENT_TOO_COMPLEX);
        assert_eq!(normalize(&deep(3)).expect("json"), "[[[]]]");
    }

    #[test]
    fn errors_show_where() {
        let e = validate("{\"a\":\n1,\n\"b\" x}").expect_err("not json");
        assert_eq!(e.fields().context.as_deref(), Some("JSON data, line 3: \"b\" x..."));
        let long = format!("[{} x]", "1,".repeat(60));
        let e = validate(&long).expect_err("not json");
        assert!(e.fields().context.as_deref().is_some_and(|c| c.starts_with("JSON data, line 1: ...")), "{e:?}");
    }
}
