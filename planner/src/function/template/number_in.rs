//! to_number: the template says which characters of the text belong to the number.

use super::Node;
use super::number::{Key, Shape, SignAt, read};
use super::number_out::power_of_ten;
use heddle_types::{Error, Numeric, Result};

/// to_number(text, template); NULL for an empty template.
pub(super) fn number(text: &str, template: &str) -> Result<Option<Numeric>> {
    if template.is_empty() {
        return Ok(None);
    }
    let (nodes, shape) = read(template)?;
    if shape.exponent {
        return Err(Error::new(heddle_types::SqlState::FEATURE_NOT_SUPPORTED, "\"EEEE\" not supported for input"));
    }
    if shape.roman {
        return Err(Error::new(heddle_types::SqlState::FEATURE_NOT_SUPPORTED, "\"RN\" not supported for input"));
    }
    let (pre, multi) = (shape.pre, shape.multi);
    let mut r = Reader { text, at: 0, shape, sign: ' ', digits: String::new(), pre: 0, post: 0, point: false };
    for node in &nodes {
        if r.done() {
            break;
        }
        match node {
            Node::Action(key, _) => r.action(*key),
            Node::Separator(_) | Node::Space(_) | Node::Char(_) => r.skip(),
        }
    }
    let scale = r.post;
    let value = Numeric::parse(&format!("{}{}", r.sign, r.digits.strip_suffix('.').unwrap_or(&r.digits)))?;
    let precision = (pre + multi + scale).max(1) as i32;
    let value = value.apply_typmod(((precision << 16) | scale as i32) + 4)?;
    match multi {
        0 => Ok(Some(value)),
        n => value.mul(&power_of_ten(n)?.power(&Numeric::from_i64(-1))?).map(Some),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    shape: Shape,
    sign: char,
    digits: String,
    pre: usize,
    post: usize,
    point: bool,
}

impl Reader<'_> {
    fn done(&self) -> bool {
        self.at >= self.text.len()
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// Skips what cannot belong to a number.
    fn eat(&mut self, n: usize) {
        for _ in 0..n {
            if self.peek().is_none_or(|c| "0123456789.,+-".contains(c)) {
                break;
            }
            self.skip();
        }
    }

    fn action(&mut self, key: Key) {
        match key {
            Key::Nine | Key::Zero | Key::Point => {
                self.column(key);
                self.skip();
            }
            // Outside of a number FM lets the column be missing; reading never gets inside.
            Key::Comma | Key::Group => {
                if !self.shape.fill && self.peek() == Some(',') {
                    self.skip();
                }
            }
            Key::Currency => self.eat(1),
            Key::Ordinal(_) => {
                if !(self.sign == '-' || self.shape.decimal) {
                    self.eat(2);
                }
            }
            Key::Minus => self.sign_column("-"),
            Key::Plus => self.sign_column("+"),
            Key::AnySign => self.sign_column("+-"),
            _ => {}
        }
    }

    fn sign_column(&mut self, signs: &str) {
        match self.peek() {
            Some(c) if signs.contains(c) => {
                self.sign = c;
                self.skip();
            }
            _ => self.eat(1),
        }
    }

    fn column(&mut self, key: Key) {
        if self.peek() == Some(' ') {
            self.at += 1;
        }
        if self.sign == ' ' && key != Key::Point && self.pre + self.post == 0 {
            let simple = !(self.shape.lsign && self.shape.sign_at == SignAt::Before);
            match self.peek() {
                Some('<') if simple && self.shape.bracket => {
                    self.sign = '-';
                    self.at += 1;
                }
                Some(c @ ('-' | '+')) => {
                    self.sign = c;
                    self.at += 1;
                }
                _ => {}
            }
        }
        let mut read = false;
        match self.peek() {
            None => return,
            Some(c) if c.is_ascii_digit() => {
                if self.point && self.post == self.shape.post {
                    return;
                }
                self.digits.push(c);
                *(if self.point { &mut self.post } else { &mut self.pre }) += 1;
                read = true;
            }
            Some('.') if self.shape.decimal && !self.point => {
                self.digits.push('.');
                self.point = true;
                read = true;
            }
            _ => {}
        }
        if self.sign == ' ' && self.pre + self.post > 0 {
            self.trailing_sign(read);
        }
    }

    fn trailing_sign(&mut self, read: bool) {
        let next = self.text.as_bytes().get(self.at + 1).copied();
        if self.shape.lsign && read {
            if let Some(c @ (b'-' | b'+')) = next {
                self.at += 1;
                self.sign = char::from(c);
            }
        } else if !read
            && !self.shape.lsign
            && let Some(c @ ('-' | '+')) = self.peek()
        {
            self.sign = c;
        }
    }
}
