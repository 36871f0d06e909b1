//! to_char of numbers: first the number's digits as far as the template has room, then column by column.

use super::number::{Key, Shape, SignAt, read};
use super::{Node, ordinal_suffix};
use crate::function::error::out_of_range;
use heddle_types::{Numeric, Result};

/// A number ready for the columns.
struct Digits {
    negative: bool,
    text: String,
    /// Columns before the point that stay empty
    spaces: usize,
}

impl Digits {
    /// Fits printed digits into the template, `#` where they do not fit.
    fn fit(printed: &str, shape: &Shape) -> Self {
        let negative = printed.starts_with('-');
        let text = printed.trim_start_matches('-').to_owned();
        let whole = text.find('.').unwrap_or(text.len());
        if whole > shape.pre {
            let text = format!("{}.{}", "#".repeat(shape.pre), "#".repeat(shape.post));
            return Self { negative, text, spaces: 0 };
        }
        Self { negative, text, spaces: shape.pre - whole }
    }
}

/// to_char(numeric, template)
pub(super) fn numeric(v: &Numeric, template: &str) -> Result<String> {
    let (nodes, mut shape) = read(template)?;
    if shape.roman {
        let n = v.round(0).to_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(|| out_of_range("integer"))?;
        return Ok(columns(&nodes, shape, roman(i64::from(n))));
    }
    if shape.exponent {
        return Ok(scientific(v, &shape));
    }
    let mut v = v.clone();
    if shape.shift {
        v = v.mul(&power_of_ten(shape.multi)?)?;
        shape.pre += shape.multi;
    }
    let digits = Digits::fit(&v.round(shape.post as i32).format(), &shape);
    Ok(columns(&nodes, shape, digits))
}

pub(super) fn power_of_ten(n: usize) -> Result<Numeric> {
    Numeric::parse(&format!("1{}", "0".repeat(n)))
}

/// to_char(int4, template)
pub(super) fn int4(v: i32, template: &str) -> Result<String> {
    let shape = read(template)?.1;
    if shape.exponent && !shape.roman {
        return Ok(scientific_float(f64::from(v), shape.post));
    }
    integer(i64::from(v), template, |v| i32::try_from(v).map(i64::from).map_err(|_| out_of_range("integer")))
}

/// to_char(int8, template)
pub(super) fn int8(v: i64, template: &str) -> Result<String> {
    integer(v, template, Ok)
}

fn integer(v: i64, template: &str, check: fn(i64) -> Result<i64>) -> Result<String> {
    let (nodes, mut shape) = read(template)?;
    if shape.roman {
        return Ok(columns(&nodes, shape, roman(v)));
    }
    if shape.exponent {
        return Ok(scientific(&Numeric::from_i64(v), &shape));
    }
    let mut v = v;
    if shape.shift {
        let by = 10i64.checked_pow(shape.multi as u32);
        v = by.and_then(|b| v.checked_mul(b)).ok_or_else(|| out_of_range("bigint")).and_then(check)?;
        shape.pre += shape.multi;
    }
    let mut printed = v.to_string();
    if shape.post > 0 {
        printed.push('.');
        printed.push_str(&"0".repeat(shape.post));
    }
    let digits = Digits::fit(&printed, &shape);
    Ok(columns(&nodes, shape, digits))
}

/// to_char(float, template); `precision` is the count of decimal digits the type surely has.
pub(super) fn float(v: f64, template: &str, precision: usize) -> Result<String> {
    let (nodes, mut shape) = read(template)?;
    if shape.roman {
        let n = v.round_ties_even();
        return Ok(columns(&nodes, shape, roman(if n.abs() < 1e9 { n as i64 } else { 0 })));
    }
    if shape.exponent {
        return Ok(if v.is_finite() { scientific_float(v, shape.post) } else { no_exponent(&shape) });
    }
    let mut v = v;
    if shape.shift {
        v *= 10f64.powi(shape.multi as i32);
        shape.pre += shape.multi;
    }
    let print = |v: f64, post: usize| match v {
        v if v.is_nan() => "NaN".to_owned(),
        v if v.is_infinite() => if v > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        v => format!("{v:.post$}"),
    };
    let whole = print(v.abs(), 0).len();
    shape.post = if whole >= precision { 0 } else { shape.post.min(precision - whole) };
    let digits = Digits::fit(&print(v, shape.post), &shape);
    Ok(columns(&nodes, shape, digits))
}

/// `%+.*e` with a blank for plus.
fn scientific_float(v: f64, post: usize) -> String {
    let text = format!("{v:.post$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let blank = if v.is_sign_negative() { "" } else { " " };
    format!("{blank}{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn no_exponent(shape: &Shape) -> String {
    format!(" {}.{}", "#".repeat(shape.pre), "#".repeat(shape.post + 4))
}

/// A numeric in scientific notation, rounded exactly.
fn scientific(v: &Numeric, shape: &Shape) -> String {
    if !v.is_finite() {
        return no_exponent(shape);
    }
    let printed = v.abs().format();
    let (whole, fraction) = printed.split_once('.').unwrap_or((&printed, ""));
    let all = format!("{whole}{fraction}");
    let Some(first) = all.find(|c| c != '0') else {
        return format!(" {}e+00", zero(shape.post));
    };
    let exponent = whole.len() as i32 - 1 - first as i32;
    let mut digits: Vec<u8> = all.as_bytes()[first..].to_vec();
    let keep = shape.post + 1;
    let up = digits.get(keep).is_some_and(|d| *d >= b'5');
    digits.resize(keep, b'0');
    if up {
        let nines = digits.iter().rev().take_while(|d| **d == b'9').count();
        digits[keep - nines..].fill(b'0');
        match keep - nines {
            0 => {
                // PostgreSQL rounds the mantissa after choosing the exponent: 99999 is 10.00e+04.
                digits.insert(0, b'1');
                digits[1..].fill(b'0');
            }
            at => digits[at - 1] += 1,
        }
    }
    let text: String = digits.into_iter().map(char::from).collect();
    let lead = text.len() - shape.post;
    let point = if shape.post > 0 { "." } else { "" };
    let sign = if v < &Numeric::ZERO { '-' } else { ' ' };
    format!(
        "{sign}{}{point}{}e{}{:02}",
        &text[..lead],
        &text[lead..],
        if exponent < 0 { '-' } else { '+' },
        exponent.abs()
    )
}

fn zero(post: usize) -> String {
    if post > 0 { format!("0.{}", "0".repeat(post)) } else { "0".to_owned() }
}

/// Roman numerals from 1 to 3999; `#` otherwise.
fn roman(n: i64) -> Digits {
    const STEPS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut text = String::new();
    let mut left = n;
    if (1..=3999).contains(&n) {
        for (value, sign) in STEPS {
            while left >= value {
                text.push_str(sign);
                left -= value;
            }
        }
    } else {
        text = "#".repeat(15);
    }
    Digits { negative: false, text, spaces: 0 }
}

/// The walk over the columns. Names follow PostgreSQL's NUMProc.
struct Walk {
    shape: Shape,
    negative: bool,
    number: Vec<u8>,
    /// Next byte of `number`
    at: usize,
    spaces: usize,
    sign_written: bool,
    inside: bool,
    count: usize,
    current: usize,
    /// Last byte of the number that FM does not strip
    last: Option<usize>,
    zero_start: usize,
    out: String,
    /// The number ran out of digits (a float of limited precision): PostgreSQL's result ends there.
    ended: bool,
}

fn columns(nodes: &[Node<Key>], mut shape: Shape, digits: Digits) -> String {
    if shape.roman {
        shape = Shape { fill: shape.fill, roman: true, ..Shape::default() };
    }
    let mut sign_written = shape.minus;
    if !(shape.plus || shape.minus) {
        if !digits.negative && shape.fill {
            shape.bracket = false;
        }
        sign_written = !digits.negative && shape.fill && !shape.lsign;
        if shape.sign_at == SignAt::Before && shape.pre == shape.pre_sign {
            shape.sign_at = SignAt::After;
        }
    }
    let number = digits.text.into_bytes();
    let mut count = (shape.post + shape.pre).saturating_sub(1);
    let last = last_relevant(&number, &shape, digits.spaces);
    if !sign_written && digits.spaces == 0 {
        count += 1;
    }
    let mut w = Walk {
        zero_start: shape.zero_start.saturating_sub(1),
        shape,
        negative: digits.negative,
        number,
        at: 0,
        spaces: digits.spaces,
        sign_written,
        inside: false,
        count,
        current: 0,
        last,
        out: String::new(),
        ended: false,
    };
    for node in nodes {
        match node {
            Node::Action(key, _) => w.action(*key),
            Node::Separator(c) | Node::Space(c) | Node::Char(c) => w.out.push(*c),
        }
        if w.ended {
            break;
        }
    }
    w.out
}

/// With FM the zeros at the end go, but not those that a 0 of the template stands for.
fn last_relevant(number: &[u8], shape: &Shape, spaces: usize) -> Option<usize> {
    if !(shape.fill && shape.decimal) {
        return None;
    }
    let point = number.iter().position(|b| *b == b'.')?;
    let mut last = (point + 1..number.len()).rev().find(|i| number[*i] != b'0').unwrap_or(point);
    if shape.zero_end > spaces {
        last = last.max((number.len() - 1).min(shape.zero_end - spaces));
    }
    Some(last)
}

impl Walk {
    fn action(&mut self, key: Key) {
        match key {
            Key::Nine | Key::Zero | Key::Point => self.column(key),
            Key::Comma | Key::Group => match self.inside {
                true => self.out.push(','),
                false if self.shape.fill => {}
                false => self.out.push(' '),
            },
            // The C locale has no currency sign.
            Key::Currency => self.out.push(' '),
            Key::Roman(upper) => {
                let text = String::from_utf8_lossy(&self.number).into_owned();
                let text = if upper { text } else { text.to_lowercase() };
                self.out.push_str(&if self.shape.fill { text } else { format!("{text:>15}") });
            }
            Key::Ordinal(case) => {
                let hidden =
                    self.shape.roman || self.number.first() == Some(&b'#') || self.negative || self.shape.decimal;
                if !hidden {
                    let text = String::from_utf8_lossy(&self.number).into_owned();
                    self.out.push_str(ordinal_suffix(&text, case));
                }
            }
            Key::Minus => self.sign_column(self.negative, '-'),
            Key::Plus => self.sign_column(!self.negative, '+'),
            Key::AnySign => self.out.push(if self.negative { '-' } else { '+' }),
            Key::Blank | Key::Exponent | Key::Fill | Key::Bracket | Key::Sign | Key::Shift => {}
        }
    }

    fn sign_column(&mut self, applies: bool, sign: char) {
        if applies {
            self.out.push(sign);
        } else if !self.shape.fill {
            self.out.push(' ');
        }
    }

    /// A zero before the point that the template has no 0 for is not printed.
    fn skips_leading_zero(&self) -> bool {
        !self.shape.zero && self.at == 0 && self.number.first() == Some(&b'0') && self.shape.post != 0
    }

    fn last_is_point(&self) -> bool {
        self.last.is_some_and(|l| self.number.get(l) == Some(&b'.'))
    }

    fn column(&mut self, key: Key) {
        if self.shape.roman {
            return;
        }
        self.inside = false;
        let number_starts = self.current >= self.spaces || (self.shape.zero && self.zero_start == self.current);
        if !self.sign_written && number_starts && (!self.skips_leading_zero() || self.last_is_point()) {
            self.leading_sign();
        }
        if self.current < self.spaces && (self.zero_start > self.current || !self.shape.zero) {
            if !self.shape.fill {
                self.out.push(' ');
            }
        } else if self.shape.zero && self.current < self.spaces && self.zero_start <= self.current {
            self.out.push('0');
            self.inside = true;
        } else {
            self.digit(key);
        }
        let mut end = self.count + usize::from(self.spaces > 0) + usize::from(self.shape.decimal);
        if self.last == Some(self.at) {
            end = self.current;
        }
        if self.current + 1 == end {
            if self.sign_written && self.shape.bracket {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.shape.lsign && self.shape.sign_at == SignAt::After {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.current += 1;
    }

    fn leading_sign(&mut self) {
        if self.shape.lsign {
            if self.shape.sign_at == SignAt::Before {
                self.out.push(if self.negative { '-' } else { '+' });
                self.sign_written = true;
            }
            return;
        }
        if self.shape.bracket {
            self.out.push(if self.negative { '<' } else { ' ' });
        } else if self.negative {
            self.out.push('-');
        } else if !self.shape.fill {
            self.out.push(' ');
        }
        self.sign_written = true;
    }

    fn digit(&mut self, key: Key) {
        match self.number.get(self.at).copied() {
            Some(b'.') => {
                if !self.last_is_point() || self.shape.fill {
                    self.out.push('.');
                }
            }
            _ if self.last.is_some_and(|l| self.at > l) && key != Key::Zero => {}
            _ if self.skips_leading_zero() => {
                if !self.shape.fill {
                    self.out.push(' ');
                } else if self.last_is_point() {
                    self.out.push('0');
                }
            }
            Some(b) => {
                self.out.push(char::from(b));
                self.inside = true;
            }
            None => self.ended = true,
        }
        if self.at < self.number.len() {
            self.at += 1;
        }
    }
}
