//! Numeric against PostgreSQL 15: numeric_pg.txt holds operator|a|b|answer lines captured from a running server, where an
//! answer of five characters after an error is its SQLSTATE.

use heddle_types::{Numeric, Result};

fn apply(op: &str, a: &str, b: &str) -> Result<String> {
    let n = Numeric::parse;
    let digits = |s: &str| s.parse::<i32>().expect("an integer argument");
    let result = match op {
        "add" => n(a)?.add(&n(b)?)?,
        "sub" => n(a)?.sub(&n(b)?)?,
        "mul" => n(a)?.mul(&n(b)?)?,
        "div" => n(a)?.div(&n(b)?)?,
        "rem" => n(a)?.rem(&n(b)?)?,
        "divt" => n(a)?.div_trunc(&n(b)?)?,
        "sqrt" => n(a)?.sqrt()?,
        "exp" => n(a)?.exp()?,
        "ln" => n(a)?.ln()?,
        "log" => n(a)?.log10()?,
        "logb" => n(b)?.log(&n(a)?)?,
        "pow" => n(a)?.power(&n(b)?)?,
        "ceil" => n(a)?.ceil(),
        "floor" => n(a)?.floor(),
        "sign" => n(a)?.sign(),
        "abs" => n(a)?.abs(),
        "trim_scale" => n(a)?.trim_scale(),
        "round" => n(a)?.round(digits(b)),
        "trunc" => n(a)?.trunc(digits(b)),
        "typmod" => {
            let (p, s) = b.split_once(',').expect("precision, scale");
            n(a)?.apply_typmod(((digits(p) << 16) | (digits(s) & 0x7ff)) + 4)?
        }
        "f8" => Numeric::from_f64(a.parse().expect("a float")),
        "f4" => Numeric::from_f32(a.parse().expect("a float")),
        "parse" => n(a)?,
        "wire" => return wire(a),
        _ => panic!("unknown operation {op}"),
    };
    Ok(result.format())
}

fn wire(a: &str) -> Result<String> {
    let mut out = Vec::new();
    let value = Numeric::parse(a)?;
    value.to_wire(&mut out);
    let back = Numeric::from_wire(&out)?;
    assert_eq!((back.format(), back.dscale()), (value.format(), value.dscale()));
    Ok(out.iter().map(|b| format!("{b:02x}")).collect())
}

#[test]
fn numeric_operations_as_postgresql() {
    let mut wrong = Vec::new();
    let lines: Vec<_> = include_str!("numeric_pg.txt").lines().collect();
    for line in &lines {
        let [op, a, b, want] = line.split('|').collect::<Vec<_>>()[..] else { panic!("bad line {line}") };
        let got = apply(op, a, b).unwrap_or_else(|e| e.code().to_string());
        if got != want {
            wrong.push(format!("{op}|{a}|{b}\n  want {want}\n  got  {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}
