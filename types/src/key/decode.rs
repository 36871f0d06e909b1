//! The way back from ascending key columns to values, for the classes whose key bytes hold the whole value, and for floats.

use super::{NULL_FIRST, NULL_LAST, VALUE};
use crate::stored::{Reader, corrupted};
use crate::{Class, Datum, Error, Numeric, Result};

/// Takes one ascending key column of `class` off the front of `key`. Of floats that are equal (-0 and 0, every NaN) one comes back.
///
/// # Errors
/// `XX001` on malformed bytes; `XX000` for numeric, interval and array classes, whose keys do not hold values apart that are
/// shown differently (1.0 and 1.00).
pub fn decode(key: &mut &[u8], class: Class) -> Result<Datum> {
    let mut reader = Reader(key);
    let [marker] = reader.fixed::<1>()?;
    let value = match marker {
        NULL_FIRST | NULL_LAST => Datum::Null,
        VALUE => value(&mut reader, class)?,
        _ => return Err(corrupted("key has an unknown marker")),
    };
    *key = reader.0;
    Ok(value)
}

fn value(reader: &mut Reader<'_>, class: Class) -> Result<Datum> {
    Ok(match class {
        Class::Bool => Datum::Bool(reader.fixed::<1>()? != [0]),
        Class::Int2 => Datum::Int2((u16::from_be_bytes(reader.fixed()?) ^ (1 << 15)) as i16),
        Class::Int4 => Datum::Int4(four(reader)?),
        Class::Date => Datum::Date(four(reader)?),
        Class::Int8 => Datum::Int8(eight(reader)?),
        Class::Time => Datum::Time(eight(reader)?),
        Class::Timestamp => Datum::Timestamp(eight(reader)?),
        Class::Uuid => Datum::Uuid(reader.fixed()?),
        Class::Oid => Datum::Oid(u32::from_be_bytes(reader.fixed()?)),
        Class::Bytea => Datum::bytea(escaped(reader)?),
        Class::Text => {
            let text = String::from_utf8(escaped(reader)?).map_err(|_| corrupted("key is not UTF-8"))?;
            Datum::text(text)
        }
        Class::Float4 => Datum::Float4(f32::from_bits(match u32::from_be_bytes(reader.fixed()?) {
            bits if bits >> 31 == 1 => bits & !(1 << 31),
            bits => !bits,
        })),
        Class::Float8 => Datum::Float8(f64::from_bits(match u64::from_be_bytes(reader.fixed()?) {
            bits if bits >> 63 == 1 => bits & !(1 << 63),
            bits => !bits,
        })),
        Class::Numeric | Class::Interval | Class::Array => {
            return Err(Error::internal("keys of this type are not decoded"));
        }
    })
}

/// A numeric that equals the one whose ascending key bytes (without marker) these are.
///
/// # Errors
/// `XX001` on malformed bytes.
pub fn numeric_value(key: &[u8]) -> Result<Numeric> {
    let mut reader = Reader(key);
    let [class] = reader.fixed::<1>()?;
    let sign = match class {
        0x10 => return Ok(Numeric::NEG_INFINITY),
        0x20 => "-",
        0x30 => return Ok(Numeric::ZERO),
        0x40 => "",
        0x50 => return Ok(Numeric::INFINITY),
        0x60 => return Ok(Numeric::NAN),
        _ => return Err(corrupted("key has an unknown class of numeric")),
    };
    let mut rest = reader.0.to_vec();
    if class == 0x20 {
        rest.iter_mut().for_each(|b| *b = !*b);
    }
    let mut reader = Reader(&rest);
    let exponent = four(&mut reader)?;
    let mut digits = String::new();
    for byte in reader.0.iter().take_while(|b| **b != 0) {
        let pair =
            byte.checked_sub(1).filter(|pair| *pair < 100).ok_or_else(|| corrupted("key has a malformed numeric"))?;
        digits.push_str(&format!("{pair:02}"));
    }
    let digits = digits.strip_suffix('0').unwrap_or(&digits);
    Numeric::parse(&format!("{sign}0.{digits}e{exponent}")).map_err(|_| corrupted("key has a malformed numeric"))
}

fn four(reader: &mut Reader<'_>) -> Result<i32> {
    Ok((u32::from_be_bytes(reader.fixed()?) ^ (1 << 31)) as i32)
}

fn eight(reader: &mut Reader<'_>) -> Result<i64> {
    Ok((u64::from_be_bytes(reader.fixed()?) ^ (1 << 63)) as i64)
}

/// Bytes with 00 as 00 ff, up to 00 00.
fn escaped(reader: &mut Reader<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let zero = reader.0.iter().position(|b| *b == 0).ok_or_else(|| corrupted("key ends inside a string"))?;
        out.extend_from_slice(reader.take(zero + 1)?);
        match reader.fixed::<1>()? {
            [0xff] => {}
            [0] => {
                out.pop();
                return Ok(out);
            }
            _ => return Err(corrupted("key has a malformed string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::encode_row;

    #[test]
    fn numerics_come_back_as_equals() {
        let texts = [
            "0",
            "0.00",
            "1",
            "10",
            "100",
            "-1.5",
            "12.50",
            "0.05",
            "0.07",
            "-0.001",
            "123456789012345678",
            "999999999999999999",
            "1000000000000000000",
            "-123456789012345678901234567890.123",
            "1e100",
            "1e-100",
            "NaN",
            "Infinity",
            "-Infinity",
        ];
        for text in texts {
            let value = Numeric::parse(text).expect("a numeric");
            let mut key = vec![];
            crate::key::numeric(&mut key, &value);
            assert_eq!(numeric_value(&key).expect("well formed"), value, "{text}");
        }
    }

    #[test]
    fn keys_of_short_numerics_are_those_of_long_ones() {
        let key = |text: &str| {
            let mut key = vec![];
            crate::key::numeric(&mut key, &Numeric::parse(text).expect("a numeric"));
            key
        };
        // The same value with more digits than the short way takes.
        for text in ["1", "-1", "12", "120", "1.5", "0.05", "-0.070", "99.99", "100", "123456789.123456789"] {
            let point = if text.contains('.') { "" } else { "." };
            assert_eq!(key(text), key(&format!("{text}{point}{}", "0".repeat(30))), "{text}");
        }
    }

    #[test]
    fn columns_come_back() {
        let row = [
            Datum::text("a\u{0}b"),
            Datum::Int4(-5),
            Datum::Null,
            Datum::Int8(i64::MAX),
            Datum::Int2(-1),
            Datum::Bool(true),
            Datum::text(""),
            Datum::Uuid([7; 16]),
            Datum::Date(-3),
            Datum::bytea(vec![0, 0, 0xff, 0]),
            Datum::Float8(-1.5e-300),
            Datum::Float4(2.25),
            Datum::Float8(f64::NEG_INFINITY),
        ];
        let classes = [
            Class::Text,
            Class::Int4,
            Class::Int4,
            Class::Int8,
            Class::Int2,
            Class::Bool,
            Class::Text,
            Class::Uuid,
            Class::Date,
            Class::Bytea,
            Class::Float8,
            Class::Float4,
            Class::Float8,
        ];
        let key = encode_row(&row);
        let mut rest = &key[..];
        for (value, class) in row.iter().zip(classes) {
            assert_eq!(decode(&mut rest, class).expect("well formed"), *value);
        }
        assert!(rest.is_empty());
        for cut in 0..key.len() {
            let mut rest = &key[..cut];
            let all = classes.iter().try_for_each(|c| decode(&mut rest, *c).map(drop));
            assert!(all.is_err(), "cut at {cut}");
        }
    }
}
