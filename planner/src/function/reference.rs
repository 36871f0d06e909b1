//! The list of functions for the manual, out of the tables that the binder resolves over.

use super::{Function, Kind, all, all_casts, all_operators};
use heddle_types::{Oid, PgType};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

/// Behind an operator, and functions of their own right all the same.
const BOTH: &[&str] =
    &["starts_with", "array_append", "array_prepend", "array_cat", "jsonb_concat", "overlaps", "timezone"];

/// Markdown: a table of names with their signatures for each kind of function.
pub fn reference() -> String {
    let hidden: HashSet<u32> = all_operators()
        .iter()
        .map(|o| o.func.0)
        .chain(all_casts().iter().filter_map(|c| c.func.map(|f| f.0)))
        .collect();
    let shown =
        |f: &&&Function| !f.name.starts_with("heddle_") && (BOTH.contains(&f.name) || !hidden.contains(&f.id.0));
    let mut out = String::new();
    for (title, kind) in [("Functions", 0), ("Set-returning functions", 1), ("Aggregates", 2), ("Window functions", 3)]
    {
        let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for f in all().iter().filter(shown).filter(|f| place(f.kind) == kind) {
            names.entry(f.name).or_default().push(signature(f));
        }
        if kind == 2 {
            for name in ["mode", "percentile_cont", "percentile_disc"] {
                names.entry(name).or_default().push(format!("{name}(…) within group (order by …)"));
            }
        }
        let _ = writeln!(out, "### {title}\n");
        for (_, signatures) in names {
            let _ = writeln!(out, "- `{}`", signatures.join("`, `"));
        }
        out.push('\n');
    }
    out
}

fn place(kind: Kind) -> u8 {
    match kind {
        Kind::Scalar(_) | Kind::Compare(..) => 0,
        Kind::Set(..) => 1,
        Kind::Aggregate(_) => 2,
        Kind::Window(_) => 3,
    }
}

fn signature(f: &Function) -> String {
    let ty = |o: &Oid| PgType::new(*o).sql_name();
    let required = f.args.len() - f.defaults.len();
    let arg = |(i, o): (usize, &Oid)| {
        let variadic = if f.variadic.0 != 0 && i + 1 == f.args.len() { "variadic " } else { "" };
        let default = if i >= required { " = default" } else { "" };
        format!("{variadic}{}{default}", ty(o))
    };
    let args: Vec<String> = f.args.iter().enumerate().map(arg).collect();
    let result = match f.kind {
        Kind::Set(_, columns @ [_, _, ..]) => {
            let column = |(name, o): &(&str, Oid)| format!("{name} {}", ty(o));
            format!("({})", columns.iter().map(column).collect::<Vec<_>>().join(", "))
        }
        _ => ty(&f.ret),
    };
    format!("{}({}) → {result}", f.name, args.join(", "))
}
