//! float4 and float8: PostgreSQL's float8in and its shortest output, which is Ryu with open bounds.
//!
//! PostgreSQL's Ryu never accepts a decimal that lies exactly half-way to the neighbour (a reader that does not round
//! to even would get the neighbour), where the ryu crate does for even mantissas. So those are found and printed longer.

use super::integer::{invalid_syntax, is_space, push_int};
use crate::{Error, Result, SqlState};

/// float8 input.
///
/// # Errors
/// `22P02`; `22003` on overflow and on underflow to zero.
pub fn parse_f64(s: &str) -> Result<f64> {
    let (number, literal) = split(s, "double precision")?;
    let v = match literal {
        Some(v) => return Ok(v),
        None => number.parse::<f64>().map_err(|_| invalid_syntax("double precision", s))?,
    };
    if v.is_infinite() || (v == 0.0 && has_digit(number)) {
        return Err(out_of_range(number, "double precision"));
    }
    Ok(v)
}

/// float4 input.
///
/// # Errors
/// `22P02`; `22003` on overflow and on underflow to zero.
pub fn parse_f32(s: &str) -> Result<f32> {
    let (number, literal) = split(s, "real")?;
    let v = match literal {
        Some(v) => return Ok(v as f32),
        None => number.parse::<f32>().map_err(|_| invalid_syntax("real", s))?,
    };
    if v.is_infinite() || (v == 0.0 && has_digit(number)) {
        return Err(out_of_range(number, "real"));
    }
    Ok(v)
}

fn out_of_range(number: &str, type_name: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("\"{number}\" is out of range for type {type_name}"))
}

/// Is the mantissa other than zero?
fn has_digit(number: &str) -> bool {
    number.bytes().take_while(|b| !matches!(b, b'e' | b'E')).any(|b| matches!(b, b'1'..=b'9'))
}

/// The number without blanks, or the special value it names.
fn split<'a>(s: &'a str, type_name: &str) -> Result<(&'a str, Option<f64>)> {
    let is_number = |t: &str| t.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if is_number(s) {
        return Ok((s, None));
    }
    let t = s.trim_matches(|c: char| c.is_ascii() && is_space(c as u8));
    let lower = |w: &str| t.eq_ignore_ascii_case(w);
    let special = if lower("nan") {
        Some(f64::NAN)
    } else if lower("infinity") || lower("inf") || lower("+infinity") || lower("+inf") {
        Some(f64::INFINITY)
    } else if lower("-infinity") || lower("-inf") {
        Some(f64::NEG_INFINITY)
    } else {
        None
    };
    if special.is_none() && !is_number(t) {
        return Err(invalid_syntax(type_name, s));
    }
    Ok((t, special))
}

/// Appends float8 as PostgreSQL prints it.
pub fn format_f64(out: &mut Vec<u8>, v: f64, extra_float_digits: i32) {
    if !push_special(out, v) {
        if extra_float_digits > 0 {
            let mut buf = ryu::Buffer::new();
            let mut d = Decimal::read(buf.format_finite(v));
            if d.is_midpoint(v.to_bits()) {
                d = inside(|p| format!("{v:.p$e}"), |s| s.parse() == Ok(v), |d| d.is_midpoint(v.to_bits()));
            }
            d.print(out, v.is_sign_negative(), 15);
        } else {
            let digits = (15 + extra_float_digits).max(1) as usize;
            general(out, &format!("{v:.*e}", digits - 1), v.is_sign_negative(), digits as i32);
        }
    }
}

/// Appends float4 as PostgreSQL prints it.
pub fn format_f32(out: &mut Vec<u8>, v: f32, extra_float_digits: i32) {
    if !push_special(out, v.into()) {
        if extra_float_digits > 0 {
            let mut buf = ryu::Buffer::new();
            let mut d = Decimal::read(buf.format_finite(v));
            if d.is_midpoint32(v.to_bits()) {
                d = inside(|p| format!("{v:.p$e}"), |s| s.parse() == Ok(v), |d| d.is_midpoint32(v.to_bits()));
            }
            d.print(out, v.is_sign_negative(), 6);
        } else {
            let digits = (6 + extra_float_digits).max(1) as usize;
            general(out, &format!("{v:.*e}", digits - 1), v.is_sign_negative(), digits as i32);
        }
    }
}

/// The shortest correctly rounded form that reads back and is not half-way to a neighbour.
fn inside(print: impl Fn(usize) -> String, reads: impl Fn(&str) -> bool, tie: impl Fn(&Decimal) -> bool) -> Decimal {
    (0..17)
        .map(print)
        .filter(|s| reads(s))
        .map(|s| Decimal::read(&s))
        .find(|d| !tie(d))
        .expect("seventeen digits read back and lie inside")
}

fn push_special(out: &mut Vec<u8>, v: f64) -> bool {
    let s: &[u8] = if v.is_nan() {
        b"NaN"
    } else if v == f64::INFINITY {
        b"Infinity"
    } else if v == f64::NEG_INFINITY {
        b"-Infinity"
    } else if v == 0.0 {
        if v.is_sign_negative() { b"-0" } else { b"0" }
    } else {
        return false;
    };
    out.extend_from_slice(s);
    true
}

/// C's `%.*g`: trailing zeros removed, exponent form below 1e-4 and from 10^digits on.
fn general(out: &mut Vec<u8>, e_form: &str, negative: bool, digits: i32) {
    Decimal::read(e_form).print(out, negative, digits);
}

/// Significant digits without trailing zeros, and the power of ten of the first.
#[derive(Debug)]
struct Decimal {
    digits: [u8; 20],
    len: usize,
    exp: i32,
}

impl Decimal {
    /// Reads what ryu or `{:e}` print: sign, digits, maybe a point, maybe an exponent.
    fn read(s: &str) -> Self {
        let mut d = Decimal { digits: [b'0'; 20], len: 0, exp: 0 };
        let (mantissa, exp) = s.split_once('e').map_or((s, 0), |(m, e)| (m, e.parse().expect("a printed exponent")));
        let mut seen_point = false;
        let mut before = 0;
        for b in mantissa.bytes() {
            match b {
                b'.' => seen_point = true,
                b'0' if d.len == 0 => before -= i32::from(seen_point),
                b'0'..=b'9' => {
                    // Beyond 20 digits only zeros come: ryu prints integers below 1e16 in full.
                    if d.len < 20 {
                        d.digits[d.len] = b;
                    }
                    d.len += 1;
                    before += i32::from(!seen_point);
                }
                _ => {}
            }
        }
        d.len = d.len.min(20);
        while d.len > 1 && d.digits[d.len - 1] == b'0' {
            d.len -= 1;
        }
        d.exp = before - 1 + exp;
        d
    }

    fn print(&self, out: &mut Vec<u8>, negative: bool, fixed_below: i32) {
        if negative {
            out.push(b'-');
        }
        let digits = &self.digits[..self.len.max(1)];
        if self.exp < -4 || self.exp >= fixed_below {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if self.exp < 0 { b"e-" } else { b"e+" });
            if self.exp.abs() < 10 {
                out.push(b'0');
            }
            push_int(out, self.exp.abs().into());
        } else if self.exp < 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-self.exp - 1) as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            let int = self.exp as usize + 1;
            if digits.len() <= int {
                out.extend_from_slice(digits);
                out.resize(out.len() + int - digits.len(), b'0');
            } else {
                out.extend_from_slice(&digits[..int]);
                out.push(b'.');
                out.extend_from_slice(&digits[int..]);
            }
        }
    }

    fn is_midpoint(&self, bits: u64) -> bool {
        let fraction = bits & ((1 << 52) - 1);
        self.halves((1 << 52) | fraction, ((bits >> 52) & 0x7ff) as i32 - 1075, fraction == 0)
    }

    fn is_midpoint32(&self, bits: u32) -> bool {
        let fraction = bits & ((1 << 23) - 1);
        self.halves(u64::from((1 << 23) | fraction), ((bits >> 23) & 0xff) as i32 - 150, fraction == 0)
    }

    /// Is this decimal exactly `(2m±1) * 2^(e-1)` (or `(4m-1) * 2^(e-2)` below a power of two)?
    ///
    /// Only possible when 5^q divides a number below 2^56, so q <= 24, and 17 digits * 5^24 fits u128.
    fn halves(&self, m: u64, e: i32, power_of_two: bool) -> bool {
        let q = self.exp - (self.len as i32 - 1);
        if !m.is_multiple_of(2) || self.len > 17 || !(-60..=24).contains(&q) {
            return false;
        }
        let mut value: u128 = 0;
        for d in &self.digits[..self.len] {
            value = value * 10 + u128::from(d - b'0');
        }
        let mut two = q;
        if q >= 0 {
            value *= 5u128.pow(q as u32);
        } else {
            for _ in 0..-q {
                if !value.is_multiple_of(5) {
                    return false;
                }
                value /= 5;
            }
        }
        let zeros = value.trailing_zeros() as i32;
        value >>= zeros;
        two += zeros;
        let above = value == u128::from(2 * m + 1) && two == e - 1;
        let below = if power_of_two {
            value == u128::from(4 * m - 1) && two == e - 2
        } else {
            value == u128::from(2 * m - 1) && two == e - 1
        };
        above || below
    }
}
