//! jsonb: what changes values. `||`, `-`, `#-`, jsonb_set, jsonb_insert, strip_nulls, pretty.

use super::Registry;
use super::array_ops::{dims_error, not_null_error};
use super::error::invalid;
use super::json::strings;
use super::json_raw;
use super::jsonval::Json;
use super::kernel::k;
use heddle_types::{Error, PgArray, Result, SqlState};

/// What to do at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    /// jsonb_set; with or without creating what is missing
    Replace { create: bool },
    /// jsonb_insert
    Insert { after: bool },
    /// `#-`
    Delete,
}

impl Act {
    fn adds(self) -> bool {
        matches!(self, Act::Replace { create: true } | Act::Insert { .. })
    }
}

/// A path being followed.
struct Walk<'a> {
    path: &'a [Option<String>],
    act: Act,
    value: &'a Json,
}

impl Walk<'_> {
    fn apply(&self, at: &mut Json, level: usize) -> Result<()> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.apply_inner(at, level))
    }

    fn apply_inner(&self, at: &mut Json, level: usize) -> Result<()> {
        let Some(step) = &self.path[level] else {
            return Err(not_null_error(&format!("path element at position {} is null", level + 1)));
        };
        match at {
            Json::Object(members) => self.in_object(members, step, level),
            Json::Array(items) => self.in_array(items, step, level),
            _ => Ok(()),
        }
    }

    fn in_object(&self, members: &mut Vec<(String, Json)>, step: &str, level: usize) -> Result<()> {
        let last = level + 1 == self.path.len();
        match members.iter().position(|m| m.0 == *step) {
            Some(i) if !last => self.apply(&mut members[i].1, level + 1),
            Some(i) => {
                match self.act {
                    Act::Insert { .. } => {
                        return Err(invalid("cannot replace existing key")
                            .hint("Try using the function jsonb_set to replace key value."));
                    }
                    Act::Delete => drop(members.remove(i)),
                    Act::Replace { .. } => members[i].1 = self.value.clone(),
                }
                Ok(())
            }
            None => {
                if last && self.act.adds() {
                    members.push((step.to_owned(), self.value.clone()));
                    Json::sort_members(members);
                }
                Ok(())
            }
        }
    }

    fn in_array(&self, items: &mut Vec<Json>, step: &str, level: usize) -> Result<()> {
        let index = json_raw::index(step).ok_or_else(|| {
            let message = format!("path element at position {} is not an integer: \"{step}\"", level + 1);
            Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        })?;
        let last = level + 1 == self.path.len();
        let n = items.len() as i64;
        let index = i64::from(index);
        let found = if index < 0 { index + n } else { index };
        let found = usize::try_from(found).ok().filter(|i| *i < items.len());
        match found {
            Some(i) if !last => self.apply(&mut items[i], level + 1),
            Some(i) => {
                match self.act {
                    Act::Replace { .. } => items[i] = self.value.clone(),
                    Act::Insert { after } => items.insert(i + usize::from(after), self.value.clone()),
                    Act::Delete => drop(items.remove(i)),
                }
                Ok(())
            }
            None => {
                if last && self.act.adds() {
                    // Beyond either end.
                    let at = if index < 0 { 0 } else { items.len() };
                    items.insert(at, self.value.clone());
                }
                Ok(())
            }
        }
    }
}

fn one_dimension(a: &PgArray) -> Result<()> {
    if a.dims.len() > 1 { Err(dims_error("wrong number of array subscripts")) } else { Ok(()) }
}

fn is_scalar(j: &Json) -> bool {
    !matches!(j, Json::Array(_) | Json::Object(_))
}

fn set_path(json: &str, path: &PgArray, value: &Json, act: Act) -> Result<String> {
    one_dimension(path)?;
    let mut tree = Json::parse(json)?;
    if is_scalar(&tree) {
        let what = if act == Act::Delete { "delete path in" } else { "set path in" };
        return Err(invalid(format!("cannot {what} scalar")));
    }
    let empty = match &tree {
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        _ => false,
    };
    let path = strings(path);
    if path.is_empty() || (empty && !act.adds()) {
        return Ok(json.to_owned());
    }
    Walk { path: &path, act, value }.apply(&mut tree, 0)?;
    Ok(tree.to_jsonb())
}

/// Objects merge, everything else is joined as arrays.
fn concat(a: Json, b: Json) -> Json {
    match (a, b) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            Json::sort_members(&mut a);
            Json::Object(a)
        }
        (a, b) => {
            let mut items = into_items(a);
            items.extend(into_items(b));
            Json::Array(items)
        }
    }
}

fn into_items(j: Json) -> Vec<Json> {
    match j {
        Json::Array(items) => items,
        other => vec![other],
    }
}

/// Keys of an object or strings of an array go.
fn delete_keys(json: &str, gone: impl Fn(&str) -> bool) -> Result<String> {
    let mut tree = Json::parse(json)?;
    match &mut tree {
        Json::Object(members) => members.retain(|m| !gone(&m.0)),
        Json::Array(items) => items.retain(|i| !matches!(i, Json::String(s) if gone(s))),
        _ => return Err(invalid("cannot delete from scalar")),
    }
    Ok(tree.to_jsonb())
}

fn delete_index(json: &str, index: i32) -> Result<String> {
    let mut tree = Json::parse(json)?;
    match &mut tree {
        Json::Object(_) => return Err(invalid("cannot delete from object using integer index")),
        Json::Array(items) => {
            let i = if index < 0 { i64::from(index) + items.len() as i64 } else { i64::from(index) };
            if let Some(i) = usize::try_from(i).ok().filter(|i| *i < items.len()) {
                items.remove(i);
            }
        }
        _ => return Err(invalid("cannot delete from scalar")),
    }
    Ok(tree.to_jsonb())
}

fn delete_all(json: &str, keys: &PgArray) -> Result<String> {
    one_dimension(keys)?;
    let keys = strings(keys);
    delete_keys(json, |k| keys.iter().flatten().any(|g| g == k))
}

fn strip_nulls(j: &mut Json) {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match j {
        Json::Object(members) => {
            members.retain(|m| m.1 != Json::Null);
            members.iter_mut().for_each(|m| strip_nulls(&mut m.1));
        }
        Json::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    });
}

fn stripped(s: &str) -> Result<Json> {
    let mut tree = Json::parse(s)?;
    strip_nulls(&mut tree);
    Ok(tree)
}

fn pretty(s: &str) -> Result<String> {
    let mut out = String::new();
    Json::parse(s)?.pretty(&mut out, 0);
    Ok(out)
}

pub(super) fn register(r: &mut Registry) {
    r.scalar(
        "jsonb_concat(jsonb,jsonb)",
        k!(|a: &str, b: &str| -> String = concat(Json::parse(a)?, Json::parse(b)?).to_jsonb()),
    );
    r.scalar("jsonb_delete(jsonb,text)", k!(|s: &str, key: &str| -> String { delete_keys(s, |k| k == key) }));
    r.scalar("jsonb_delete(jsonb,int4)", k!(|s: &str, i: i32| -> String { delete_index(s, i) }));
    r.scalar("jsonb_delete(jsonb,_text)", k!(|s: &str, keys: PgArray| -> String { delete_all(s, &keys) }));
    r.scalar(
        "jsonb_delete_path(jsonb,_text)",
        k!(|s: &str, path: PgArray| -> String { set_path(s, &path, &Json::Null, Act::Delete) }),
    );
    r.scalar(
        "jsonb_set(jsonb,_text,jsonb,bool)",
        k!(|s: &str, path: PgArray, v: &str, create: bool| -> String {
            set_path(s, &path, &Json::parse(v)?, Act::Replace { create })
        }),
    );
    r.scalar(
        "jsonb_insert(jsonb,_text,jsonb,bool)",
        k!(|s: &str, path: PgArray, v: &str, after: bool| -> String {
            set_path(s, &path, &Json::parse(v)?, Act::Insert { after })
        }),
    );
    r.scalar("json_strip_nulls(json)", k!(|s: &str| -> String = stripped(s)?.to_compact()));
    r.scalar("jsonb_strip_nulls(jsonb)", k!(|s: &str| -> String = stripped(s)?.to_jsonb()));
    r.scalar("jsonb_pretty(jsonb)", k!(|s: &str| -> String { pretty(s) }));
}
