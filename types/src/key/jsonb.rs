//! jsonb's order as key bytes: PostgreSQL compares by kind, then size, then contents.
//!
//! Object > array > boolean > number > string > null; longer containers above shorter ones; objects compare key, value,
//! key, value in storage order (keys by length, then bytes). An empty top-level array sorts below everything, a wart that
//! PostgreSQL keeps for stored indexes.

use super::{escaped, numeric};
use crate::{Error, Numeric, Result, SqlState};
use serde_json::Value;

const EMPTY_ROOT_ARRAY: u8 = 0;
const NULL: u8 = 1;
const STRING: u8 = 2;
const NUMBER: u8 = 3;
const FALSE: u8 = 4;
const TRUE: u8 = 5;
const ARRAY: u8 = 6;
const OBJECT: u8 = 7;

/// Appends the key bytes of a jsonb value given as text.
///
/// # Errors
/// `XX001` if it is not JSON, `54001` if it is nested more than 127 deep.
pub(crate) fn jsonb(out: &mut Vec<u8>, text: &str) -> Result<()> {
    let value: Value = serde_json::from_str(text).map_err(|e| refuse(&e))?;
    match &value {
        Value::Array(items) if items.is_empty() => out.push(EMPTY_ROOT_ARRAY),
        value => encode(out, value)?,
    }
    Ok(())
}

fn refuse(e: &serde_json::Error) -> Error {
    if e.to_string().starts_with("recursion limit") {
        return Error::new(SqlState::STATEMENT_TOO_COMPLEX, "jsonb value is nested too deeply to be ordered");
    }
    crate::stored::corrupted("malformed jsonb value")
}

fn encode(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    match value {
        Value::Null => out.push(NULL),
        Value::String(s) => {
            out.push(STRING);
            escaped(out, s.as_bytes());
        }
        Value::Number(n) => {
            out.push(NUMBER);
            numeric(out, &Numeric::parse(&n.to_string())?);
        }
        Value::Bool(v) => out.push(if *v { TRUE } else { FALSE }),
        Value::Array(items) => {
            out.push(ARRAY);
            out.extend_from_slice(&(items.len() as u32).to_be_bytes());
            items.iter().try_for_each(|item| encode(out, item))?;
        }
        Value::Object(pairs) => {
            out.push(OBJECT);
            out.extend_from_slice(&(pairs.len() as u32).to_be_bytes());
            let mut pairs: Vec<_> = pairs.iter().collect();
            pairs.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            for (name, value) in pairs {
                escaped(out, name.as_bytes());
                encode(out, value)?;
            }
        }
    }
    Ok(())
}
