//! Bound expressions as SQL text, laid out as PostgreSQL's ruleutils lays them out: what pg_get_expr, pg_get_constraintdef, pg_get_indexdef
//! and EXPLAIN's conditions show.
//!
//! Every operator stands in brackets; with `pretty` only where precedence needs them. Casts that the binder added are shown as `(x)::type`
//! inside operators and calls, as PostgreSQL does, but not around the whole.

use crate::bound::{Call, ColId, Expr};
use crate::function::{self, FuncId, Operator};
use heddle_catalog::TableDef;
use heddle_types::text::{self, TextSettings};
use heddle_types::{Datum, PgType, oid};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The SQL text of `e`; `column` names its columns.
pub(crate) fn expression(e: &Expr, pretty: bool, column: &dyn Fn(ColId) -> String) -> String {
    Deparser { pretty, column }.expr(implicit(e))
}

/// The same for an expression stored with a table, whose columns are attribute numbers.
pub(crate) fn over_table(e: &Expr, table: Option<&TableDef>, pretty: bool) -> String {
    let name = |id: ColId| {
        let column = table.and_then(|t| t.columns.get((id.0 as usize).checked_sub(1)?));
        column.map_or_else(|| format!("column{}", id.0), |c| function::quote_ident(&c.name))
    };
    expression(e, pretty, &name)
}

/// Without the conversion to the target's type that assignment added.
fn implicit(e: &Expr) -> &Expr {
    match e {
        Expr::Call(c) if c.func == function::length_cast() => c.args.first().map_or(e, implicit),
        Expr::Call(c) if is_cast(c) && matches!(c.args.first(), Some(Expr::Literal { .. })) => &c.args[0],
        Expr::Call(c) if is_cast(c) && matches!(c.args.first(), Some(Expr::Call(n)) if n.func == function::NEXTVAL) => {
            &c.args[0]
        }
        e => e,
    }
}

static OPERATOR_OF: LazyLock<HashMap<FuncId, &'static Operator>> = LazyLock::new(|| {
    let mut map = HashMap::new();
    for o in function::all_operators() {
        map.entry(o.func).or_insert(*o);
    }
    map
});

fn is_cast(c: &Call) -> bool {
    c.func == function::io_cast()
        || c.func == function::length_cast()
        || matches!(c.args.as_slice(), [a] if function::cast(a.ty().oid, c.ty.oid).is_some_and(|k| k.func == Some(c.func)))
}

fn operator(c: &Call) -> Option<&'static Operator> {
    OPERATOR_OF.get(&c.func).copied().filter(|o| c.args.len() == if o.left.0 == 0 { 1 } else { 2 })
}

/// `current_date` and its like have no brackets.
fn value_word(name: &str) -> Option<&'static str> {
    Some(match name {
        "current_date" => "CURRENT_DATE",
        "current_timestamp" => "CURRENT_TIMESTAMP",
        "localtime" => "LOCALTIME",
        "localtimestamp" => "LOCALTIMESTAMP",
        "current_user" => "CURRENT_USER",
        "session_user" => "SESSION_USER",
        "current_role" => "CURRENT_ROLE",
        "current_catalog" => "CURRENT_CATALOG",
        "current_schema" => "CURRENT_SCHEMA",
        _ => return None,
    })
}

struct Deparser<'a> {
    pretty: bool,
    column: &'a dyn Fn(ColId) -> String,
}

impl Deparser<'_> {
    fn expr(&self, e: &Expr) -> String {
        match e {
            Expr::Column { id, .. } | Expr::Outer { id, .. } => (self.column)(*id),
            Expr::Param { index, .. } => format!("${}", index + 1),
            Expr::Literal { value, ty } => constant(value, *ty),
            Expr::Call(c) => self.call(c),
            Expr::And(v) => self.chain(v, " AND ", e),
            Expr::Or(v) => self.chain(v, " OR ", e),
            Expr::Not(inner) => match inner.as_ref() {
                Expr::IsNull(x) => self.wrapped(format!("{} IS NOT NULL", self.inside(x, e))),
                Expr::NotDistinct(a, b) => match truth(b) {
                    Some(word) => self.wrapped(format!("{} IS NOT {word}", self.inside(a, e))),
                    None => self.wrapped(format!("{} IS DISTINCT FROM {}", self.inside(a, e), self.inside(b, e))),
                },
                x => self.wrapped(format!("NOT {}", self.inside(x, e))),
            },
            Expr::IsNull(x) => self.wrapped(format!("{} IS NULL", self.inside(x, e))),
            Expr::NotDistinct(a, b) => match truth(b) {
                Some(word) => self.wrapped(format!("{} IS {word}", self.inside(a, e))),
                None => self.wrapped(format!("NOT {} IS DISTINCT FROM {}", self.inside(a, e), self.inside(b, e))),
            },
            Expr::Case { branches, otherwise, .. } => self.case(branches, otherwise),
            Expr::Coalesce { args, .. } if args.len() == 1 => self.expr(&args[0]),
            Expr::Coalesce { args, .. } => format!("COALESCE({})", self.list(args)),
            Expr::InList { expr, list, .. } => {
                self.wrapped(format!("{} = ANY (ARRAY[{}])", self.inside(expr, e), self.list(list)))
            }
            Expr::AnyArray { expr, array, op, all } => {
                let name = OPERATOR_OF.get(op).map_or("=", |o| o.name);
                let word = if *all { "ALL" } else { "ANY" };
                self.wrapped(format!("{} {name} {word} ({})", self.inside(expr, e), self.expr(array)))
            }
            Expr::Array { elements, ty } => match elements.as_slice() {
                [] => format!("ARRAY[]::{}", ty.sql_name()),
                elements => format!("ARRAY[{}]", self.list(elements)),
            },
            Expr::Scalar { .. } => "(SubPlan)".to_owned(),
            Expr::Exists { .. } => "EXISTS(SubPlan)".to_owned(),
            Expr::Quantified { exprs, all, negated, .. } => {
                let word = if *all { "ALL" } else { "ANY" };
                let test = format!("({} {word} (SubPlan))", self.list(exprs));
                if *negated { format!("(NOT {test})") } else { test }
            }
            Expr::ArrayQuery { .. } => "ARRAY(SubPlan)".to_owned(),
        }
    }

    fn list(&self, items: &[Expr]) -> String {
        items.iter().map(|e| self.expr(e)).collect::<Vec<_>>().join(", ")
    }

    fn wrapped(&self, text: String) -> String {
        if self.pretty { text } else { format!("({text})") }
    }

    /// A part of an operator: in brackets where it could be read otherwise.
    fn inside(&self, e: &Expr, parent: &Expr) -> String {
        let text = self.expr(e);
        if self.pretty && !simple(e, parent, false) { format!("({text})") } else { text }
    }

    /// The left operand: `a - b - c` needs no brackets.
    fn first(&self, e: &Expr, parent: &Expr) -> String {
        let text = self.expr(e);
        if self.pretty && !simple(e, parent, true) { format!("({text})") } else { text }
    }

    fn chain(&self, parts: &[Expr], word: &str, parent: &Expr) -> String {
        let parts: Vec<String> = parts.iter().map(|e| self.inside(e, parent)).collect();
        self.wrapped(parts.join(word))
    }

    fn case(&self, branches: &[(Expr, Expr)], otherwise: &Expr) -> String {
        let mut out = "\nCASE".to_owned();
        for (condition, result) in branches {
            out.push_str(&format!("\n    WHEN {} THEN {}", self.expr(condition), self.expr(result)));
        }
        out.push_str(&format!("\n    ELSE {}\nEND", self.expr(otherwise)));
        out
    }

    fn call(&self, c: &Call) -> String {
        if let ([arg, ..], true) = (c.args.as_slice(), is_cast(c)) {
            let text = self.expr(arg);
            // A constant under a length coercion already says its type.
            let text = match arg {
                Expr::Literal { value, ty } if ty.oid == c.ty.oid => return labelled(value, c.ty),
                _ if self.pretty && simple(arg, &Expr::Call(c.clone()), false) => text,
                _ => format!("({text})"),
            };
            return format!("{text}::{}", c.ty.sql_name());
        }
        let as_expr = || Expr::Call(c.clone());
        match (operator(c), c.args.as_slice()) {
            (Some(o), [x]) => return self.wrapped(format!("{} {}", o.name, self.inside(x, &as_expr()))),
            (Some(o), [a, b]) => {
                let parent = as_expr();
                return self.wrapped(format!("{} {} {}", self.first(a, &parent), o.name, self.inside(b, &parent)));
            }
            _ => {}
        }
        let Some(f) = function::by_id(c.func) else { return format!("f{}({})", c.func.0, self.list(&c.args)) };
        match (f.name, c.args.as_slice()) {
            (name, []) => value_word(name).map_or_else(|| format!("{name}()"), str::to_owned),
            ("timezone", [zone, value]) => {
                self.wrapped(format!("{} AT TIME ZONE {}", self.expr(value), self.expr(zone)))
            }
            ("extract", [Expr::Literal { value: Datum::Text(field), .. }, value]) => {
                format!("EXTRACT({field} FROM {})", self.expr(value))
            }
            ("heddle_array_get", [array, subscripts @ ..]) => {
                let subscripts: String = subscripts.iter().map(|s| format!("[{}]", self.expr(s))).collect();
                format!("{}{subscripts}", self.expr(array))
            }
            ("greatest" | "least", args) => format!("{}({})", f.name.to_uppercase(), self.list(args)),
            (name, args) => format!("{}({})", function::quote_ident(name), self.list(args)),
        }
    }
}

fn truth(e: &Expr) -> Option<&'static str> {
    match e {
        Expr::Literal { value: Datum::Bool(b), .. } => Some(if *b { "TRUE" } else { "FALSE" }),
        _ => None,
    }
}

/// Can `e` stand unbracketed inside `parent` (isSimpleNode of ruleutils)?
fn simple(e: &Expr, parent: &Expr, first: bool) -> bool {
    match e {
        Expr::Call(c) if is_cast(c) => true,
        Expr::Call(c) => match operator(c) {
            Some(o) => binds_tighter(o.name, c, parent, first),
            None => function::by_id(c.func).is_none_or(|f| f.name != "timezone"),
        },
        Expr::And(_) => matches!(parent, Expr::And(_) | Expr::Or(_)),
        Expr::Or(_) => matches!(parent, Expr::Or(_)),
        Expr::Not(_) => matches!(parent, Expr::And(_) | Expr::Or(_)),
        Expr::IsNull(_) | Expr::NotDistinct(..) | Expr::InList { .. } | Expr::AnyArray { .. } => {
            matches!(parent, Expr::And(_) | Expr::Or(_))
        }
        _ => true,
    }
}

fn binds_tighter(name: &str, c: &Call, parent: &Expr, first: bool) -> bool {
    let Expr::Call(outer) = parent else { return matches!(parent, Expr::And(_) | Expr::Or(_) | Expr::Not(_)) };
    let low = |n: &str| matches!(n, "+" | "-");
    let high = |n: &str| matches!(n, "*" | "/" | "%");
    let Some(over) = operator(outer).filter(|_| !is_cast(outer) && c.args.len() == 2) else { return false };
    match (low(name) || high(name), low(over.name) || high(over.name)) {
        (true, true) if high(name) && low(over.name) => true,
        (true, true) if low(name) && high(over.name) => false,
        (true, true) => first,
        _ => false,
    }
}

/// A constant as PostgreSQL prints it: plain where reading it back gives the same type, with a cast elsewhere.
fn constant(value: &Datum, ty: PgType) -> String {
    let printed = |v: &Datum| text::to_string(v, ty, &TextSettings::default());
    match value {
        Datum::Bool(b) => b.to_string(),
        Datum::Int4(v) if *v >= 0 && ty.oid == oid::INT4 => v.to_string(),
        Datum::Numeric(_) if ty.typmod < 0 => {
            let s = printed(value);
            let plain = s.starts_with(|c: char| c.is_ascii_digit()) && s.contains(['.', 'e', 'E']);
            if plain { s } else { labelled(value, ty) }
        }
        _ => labelled(value, ty),
    }
}

fn labelled(value: &Datum, ty: PgType) -> String {
    let label = if ty.oid == oid::UNKNOWN { String::new() } else { format!("::{}", ty.sql_name()) };
    if value.is_null() {
        return format!("NULL{label}");
    }
    match value {
        // A relation by its name.
        Datum::Text(name) if ty.is_reg() => format!("{}{label}", quoted(name)),
        _ => format!("{}{label}", quoted(&text::to_string(value, ty, &TextSettings::default()))),
    }
}

/// `'it''s'`, `E'a\\b'`
pub(crate) fn quoted(s: &str) -> String {
    let body = s.replace('\'', "''");
    if body.contains('\\') { format!("E'{}'", body.replace('\\', "\\\\")) } else { format!("'{body}'") }
}
