//! What a view's text means, as something that can be compared: its bound query with tables by OID, columns by attribute
//! number, and everything else numbered by appearance. Names and columns that nobody uses are not part of it.

use super::Binder;
use crate::context::EvalContext;
use heddle_catalog::ViewDef;
use heddle_types::Result;
use std::collections::HashMap;
use std::fmt::Write;

/// How a [`crate::bound::TableScan`] begins in its debug form; its columns follow as `ColId(n):attnum`.
const SCAN: &str = "scan ";
const COLUMN: &str = "ColId(";
const NAME: &str = "name: \"";

/// The meaning of a view under a context's catalog.
///
/// # Errors
/// Whatever binding its text raises.
pub(crate) fn view_meaning(view: &ViewDef, ctx: &EvalContext) -> Result<String> {
    let mut binder = Binder::new(&[], ctx);
    let query = binder.expand(view)?;
    let shown: Vec<_> = query.columns.iter().map(|c| (c.id, c.ty)).collect();
    Ok(normal(&format!("{:?} {shown:?}", query.rel)))
}

/// Replaces numbers that depend on how the text was bound.
fn normal(text: &str) -> String {
    let columns = scanned(text);
    let mut others: HashMap<&str, usize> = HashMap::new();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, what)) = next(rest) {
        out.push_str(&rest[..at]);
        rest = &rest[at + what.len()..];
        match what {
            // Unused columns of a scan are no part of the meaning; the list goes as a whole.
            SCAN => {
                let (head, tail) = rest.split_once('[').unwrap_or((rest, ""));
                let (_, tail) = tail.split_once(']').unwrap_or(("", tail));
                let _ = write!(out, "{SCAN}{head}");
                rest = tail;
            }
            COLUMN => {
                let (id, tail) = rest.split_once(')').unwrap_or((rest, ""));
                rest = tail;
                match columns.get(id) {
                    Some(place) => out.push_str(place),
                    None => {
                        let n = others.len();
                        let n = *others.entry(id).or_insert(n);
                        let _ = write!(out, "#{n}");
                    }
                }
            }
            _ => rest = skip_string(rest),
        }
    }
    out.push_str(rest);
    out
}

/// The next mark and where it is.
fn next(text: &str) -> Option<(usize, &'static str)> {
    let marks = [SCAN, COLUMN, NAME];
    marks.into_iter().filter_map(|m| text.find(m).map(|at| (at, m))).min_by_key(|(at, _)| *at)
}

/// Columns that come from scans: id to `scan number.attribute number`.
fn scanned(text: &str) -> HashMap<&str, String> {
    let mut columns = HashMap::new();
    for (n, part) in text.split(SCAN).skip(1).enumerate() {
        let list = part.split_once('[').and_then(|(_, tail)| tail.split_once(']')).map_or("", |(list, _)| list);
        for column in list.split(COLUMN).skip(1) {
            if let Some((id, attnum)) = column.split_once("):") {
                columns.insert(id, format!("{n}.{}", attnum.trim()));
            }
        }
    }
    columns
}

/// What follows a string whose opening quote was taken.
fn skip_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return &text[at + 1..],
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbering_and_unused_columns_do_not_matter() {
        let a = "P { scan 7 [ColId(1):1 ColId(2):2 ], e: ColId(2), name: \"x\\\"\", f: ColId(9) ColId(8) }";
        let b = "P { scan 7 [ColId(4):1 ColId(5):2 ColId(6):3 ], e: ColId(5), name: \"y\", f: ColId(3) ColId(2) }";
        assert_eq!(normal(a), normal(b));
        let c = b.replace("e: ColId(5)", "e: ColId(4)");
        assert_ne!(normal(a), normal(&c));
    }
}
