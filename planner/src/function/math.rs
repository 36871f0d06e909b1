//! Mathematical functions of float8 and numeric.

use super::Registry;
use super::error::{float_overflow, float_underflow, out_of_range};
use super::kernel::k;
use heddle_types::{Error, Numeric, Result, SqlState};

/// A result of a float function: infinity out of finite input is overflow.
fn fit(v: f64, finite_input: bool) -> Result<f64> {
    if v.is_infinite() && finite_input { Err(float_overflow()) } else { Ok(v) }
}

fn domain() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn log_domain(v: f64) -> Result<()> {
    let e = |m: &str| Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, m));
    if v == 0.0 {
        return e("cannot take logarithm of zero");
    }
    if v < 0.0 { e("cannot take logarithm of a negative number") } else { Ok(()) }
}

fn power(a: f64, b: f64) -> Result<f64> {
    let e = |m: &str| Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, m));
    if a == 0.0 && b < 0.0 {
        return e("zero raised to a negative power is undefined");
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
        return e("a negative number raised to a non-integer power yields a complex result");
    }
    let v = a.powf(b);
    if v == 0.0 && a != 0.0 && a.is_finite() && b.is_finite() {
        return Err(float_underflow());
    }
    fit(v, a.is_finite() && b.is_finite())
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: i128, b: i128) -> i128 {
    if a == 0 || b == 0 { 0 } else { (a / gcd(a, b) * b).abs() }
}

fn sqrt(v: f64) -> Result<f64> {
    if v < 0.0 {
        return Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            "cannot take square root of a negative number",
        ));
    }
    Ok(v.sqrt())
}

fn bounded(v: f64, f: fn(f64) -> f64) -> Result<f64> {
    if v.is_nan() || (-1.0..=1.0).contains(&v) { Ok(f(v)) } else { Err(domain()) }
}

fn circular(v: f64, f: fn(f64) -> f64) -> Result<f64> {
    if v.is_infinite() { Err(domain()) } else { Ok(f(v)) }
}

/// n!; PostgreSQL's limit is what numeric can hold.
fn factorial(n: i64) -> Result<Numeric> {
    let refuse = |message: &str| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message);
    if n < 0 {
        return Err(refuse("factorial of a negative number is undefined"));
    }
    if n > 32_177 {
        return Err(refuse("value overflows numeric format"));
    }
    (2..=n).try_fold(Numeric::ONE, |acc, i| acc.mul(&Numeric::from(i)))
}

pub(super) fn register(r: &mut Registry) {
    rounding(r);
    powers(r);
    trigonometry(r);
    degrees(r);
    integers(r);
}

fn rounding(r: &mut Registry) {
    r.scalars(&["ceil(float8)", "ceiling(float8)"], k!(|a: f64| -> f64 = a.ceil()));
    r.scalar("floor(float8)", k!(|a: f64| -> f64 = a.floor()));
    r.scalars(&["round(float8)"], k!(|a: f64| -> f64 = a.round_ties_even()));
    r.scalar("trunc(float8)", k!(|a: f64| -> f64 = a.trunc()));
    r.scalar("sign(float8)", k!(|a: f64| -> f64 = if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { 0.0 }));
    r.scalars(&["ceil(numeric)", "ceiling(numeric)"], k!(|a: Numeric| -> Numeric = a.ceil()));
    r.scalar("floor(numeric)", k!(|a: Numeric| -> Numeric = a.floor()));
    r.scalar("round(numeric)", k!(|a: Numeric| -> Numeric = a.round(0)));
    r.scalar("round(numeric,int4)", k!(|a: Numeric, n: i32| -> Numeric = a.round(n)));
    r.scalar("trunc(numeric)", k!(|a: Numeric| -> Numeric = a.trunc(0)));
    r.scalar("trunc(numeric,int4)", k!(|a: Numeric, n: i32| -> Numeric = a.trunc(n)));
    r.scalar("sign(numeric)", k!(|a: Numeric| -> Numeric = a.sign()));
    r.scalar("scale(numeric)", k!(|a: Numeric| -> Option<i32> = a.is_finite().then(|| i32::from(a.dscale()))));
    r.scalar("min_scale(numeric)", k!(|a: Numeric| -> Option<i32> = a.is_finite().then(|| i32::from(a.min_scale()))));
    r.scalar("trim_scale(numeric)", k!(|a: Numeric| -> Numeric = a.trim_scale()));
}

fn powers(r: &mut Registry) {
    r.scalars(&["sqrt(float8)", "dsqrt(float8)"], k!(|a: f64| -> f64 { sqrt(a) }));
    r.scalars(&["cbrt(float8)", "dcbrt(float8)"], k!(|a: f64| -> f64 = a.cbrt()));
    r.scalars(
        &["power(float8,float8)", "pow(float8,float8)", "dpow(float8,float8)"],
        k!(|a: f64, b: f64| -> f64 { power(a, b) }),
    );
    r.scalars(
        &["exp(float8)"],
        k!(|a: f64| -> f64 {
            let v = a.exp();
            if v == 0.0 && a.is_finite() {
                return Err(float_underflow());
            }
            fit(v, a.is_finite())
        }),
    );
    r.scalar(
        "ln(float8)",
        k!(|a: f64| -> f64 {
            log_domain(a)?;
            Ok(a.ln())
        }),
    );
    r.scalars(
        &["log(float8)", "log10(float8)"],
        k!(|a: f64| -> f64 {
            log_domain(a)?;
            Ok(a.log10())
        }),
    );
    r.scalar("sqrt(numeric)", k!(|a: Numeric| -> Numeric { a.sqrt() }));
    r.scalars(
        &["power(numeric,numeric)", "pow(numeric,numeric)", "numeric_power(numeric,numeric)"],
        k!(|a: Numeric, b: Numeric| -> Numeric { a.power(&b) }),
    );
    r.scalar("exp(numeric)", k!(|a: Numeric| -> Numeric { a.exp() }));
    r.scalar("ln(numeric)", k!(|a: Numeric| -> Numeric { a.ln() }));
    r.scalars(&["log(numeric)", "log10(numeric)"], k!(|a: Numeric| -> Numeric { a.log10() }));
    r.scalar("log(numeric,numeric)", k!(|b: Numeric, a: Numeric| -> Numeric { a.log(&b) }));
    r.scalar("div(numeric,numeric)", k!(|a: Numeric, b: Numeric| -> Numeric { a.div_trunc(&b) }));
    r.scalar("pi()", k!(|| -> f64 = std::f64::consts::PI));
    // PostgreSQL multiplies and divides by one constant; to_degrees rounds differently.
    r.scalar("degrees(float8)", k!(|a: f64| -> f64 { fit(a / 0.017_453_292_519_943_295, a.is_finite()) }));
    r.scalar("radians(float8)", k!(|a: f64| -> f64 = a * 0.017_453_292_519_943_295));
}

fn trigonometry(r: &mut Registry) {
    r.scalar("asinh(float8)", k!(|a: f64| -> f64 = a.asinh()));
    r.scalar("acosh(float8)", k!(|a: f64| -> f64 { if a < 1.0 { Err(domain()) } else { Ok(a.acosh()) } }));
    r.scalar("atanh(float8)", k!(|a: f64| -> f64 { bounded(a, f64::atanh) }));
    r.scalar("sin(float8)", k!(|a: f64| -> f64 { circular(a, f64::sin) }));
    r.scalar("cos(float8)", k!(|a: f64| -> f64 { circular(a, f64::cos) }));
    r.scalar("tan(float8)", k!(|a: f64| -> f64 { circular(a, f64::tan) }));
    r.scalar("cot(float8)", k!(|a: f64| -> f64 { circular(a, |v| 1.0 / v.tan()) }));
    r.scalar("asin(float8)", k!(|a: f64| -> f64 { bounded(a, f64::asin) }));
    r.scalar("acos(float8)", k!(|a: f64| -> f64 { bounded(a, f64::acos) }));
    r.scalar("atan(float8)", k!(|a: f64| -> f64 = a.atan()));
    r.scalar("atan2(float8,float8)", k!(|a: f64, b: f64| -> f64 = a.atan2(b)));
    r.scalar("sinh(float8)", k!(|a: f64| -> f64 = a.sinh()));
    r.scalar("cosh(float8)", k!(|a: f64| -> f64 = a.cosh()));
    r.scalar("tanh(float8)", k!(|a: f64| -> f64 = a.tanh()));
}

/// The trigonometric functions in degrees, exact where PostgreSQL makes them exact: at multiples of 30 and 45 degrees.
fn degrees(r: &mut Registry) {
    r.scalar("sind(float8)", k!(|a: f64| -> f64 { circular(a, sind) }));
    r.scalar("cosd(float8)", k!(|a: f64| -> f64 { circular(a, |v| sind(90.0 - v.abs())) }));
    r.scalar("tand(float8)", k!(|a: f64| -> f64 { circular(a, |v| sind(v) / sind(90.0 - v.abs())) }));
    r.scalar("cotd(float8)", k!(|a: f64| -> f64 { circular(a, |v| sind(90.0 - v.abs()) / sind(v)) }));
    r.scalar("asind(float8)", k!(|a: f64| -> f64 { bounded(a, |v| snapped(v.asin().to_degrees())) }));
    r.scalar("acosd(float8)", k!(|a: f64| -> f64 { bounded(a, |v| snapped(v.acos().to_degrees())) }));
    r.scalar("atand(float8)", k!(|a: f64| -> f64 = snapped(a.atan().to_degrees())));
    r.scalar("atan2d(float8,float8)", k!(|a: f64, b: f64| -> f64 = snapped(a.atan2(b).to_degrees())));
}

fn sind(degrees: f64) -> f64 {
    let v = degrees % 360.0;
    let (v, sign) = if v < 0.0 { (-v, -1.0) } else { (v, 1.0) };
    let (v, sign) = if v > 180.0 { (360.0 - v, -sign) } else { (v, sign) };
    let v = if v > 90.0 { 180.0 - v } else { v };
    let exact = match v {
        0.0 => 0.0,
        30.0 => 0.5,
        90.0 => 1.0,
        v => v.to_radians().sin(),
    };
    sign * exact
}

/// A whole number of degrees where the result is one up to rounding.
fn snapped(v: f64) -> f64 {
    if (v - v.round()).abs() < 1e-13 * v.abs().max(1.0) { v.round() } else { v }
}

fn integers(r: &mut Registry) {
    r.scalar("factorial(int8)", k!(|n: i64| -> Numeric { factorial(n) }));
    r.scalar(
        "gcd(int4,int4)",
        k!(|a: i32, b: i32| -> i32 { i32::try_from(gcd(a.into(), b.into())).map_err(|_| out_of_range("integer")) }),
    );
    r.scalar(
        "gcd(int8,int8)",
        k!(|a: i64, b: i64| -> i64 { i64::try_from(gcd(a.into(), b.into())).map_err(|_| out_of_range("bigint")) }),
    );
    r.scalar(
        "lcm(int4,int4)",
        k!(|a: i32, b: i32| -> i32 { i32::try_from(lcm(a.into(), b.into())).map_err(|_| out_of_range("integer")) }),
    );
    r.scalar(
        "lcm(int8,int8)",
        k!(|a: i64, b: i64| -> i64 { i64::try_from(lcm(a.into(), b.into())).map_err(|_| out_of_range("bigint")) }),
    );
    r.scalar(
        "width_bucket(float8,float8,float8,int4)",
        k!(|v: f64, lo: f64, hi: f64, n: i32| -> i32 { width_bucket(v, lo, hi, n) }),
    );
}

fn width_bucket(v: f64, lo: f64, hi: f64, n: i32) -> Result<i32> {
    let e = |m: &str| Err(Error::new(SqlState("2201G"), m));
    if n <= 0 {
        return e("count must be greater than zero");
    }
    if v.is_nan() || lo.is_nan() || hi.is_nan() {
        return e("operand, lower bound, and upper bound cannot be NaN");
    }
    if !lo.is_finite() || !hi.is_finite() {
        return e("lower and upper bounds must be finite");
    }
    if lo == hi {
        return e("lower bound cannot equal upper bound");
    }
    let (v, lo, hi) = if lo < hi { (v, lo, hi) } else { (-v, -lo, -hi) };
    if v < lo {
        return Ok(0);
    }
    if v >= hi {
        return n.checked_add(1).ok_or_else(|| out_of_range("integer"));
    }
    Ok(((f64::from(n) * ((v - lo) / (hi - lo))) as i32).min(n - 1) + 1)
}
