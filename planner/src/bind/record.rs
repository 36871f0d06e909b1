//! Row values: `ROW(a, b)`, `(a, b)`, whole rows of FROM items.
//!
//! A row is a call of `heddle_row(names, mode, fields…)`, whose value is the text form of a record. While it is still such a call the binder
//! knows its fields: field access, comparison, IS NULL and conversion to json work on those. A row that came out of a sub-query is only text.

use super::call::type_name;
use super::coerce::literal;
use super::scope::Item;
use super::{Binder, Typed};
use crate::bound::{Call, Expr};
use crate::function::{self, ROW_PRETTY, ROW_WHOLE};
use crate::parse::ALL_FIELDS;
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState, oid};
use sqlparser::ast;
use std::sync::Arc;

const ROW: &str = "heddle_row";
const ROW_JSON: &str = "heddle_row_json";

/// The parts of a row that is still a call.
pub(super) struct Row<'e> {
    names: &'e [Datum],
    mode: i32,
    pub fields: &'e [Expr],
}

impl<'e> Row<'e> {
    /// The row behind an expression, if it can be seen.
    pub fn of(e: &'e Expr) -> Option<Self> {
        let Expr::Call(c) = e else { return None };
        if function::by_id(c.func)?.name != ROW {
            return None;
        }
        match c.args.as_slice() {
            [
                Expr::Literal { value: Datum::Array(names), .. },
                Expr::Literal { value: Datum::Int4(mode), .. },
                fields @ ..,
            ] => Some(Self { names: &names.elements, mode: *mode, fields }),
            _ => None,
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(Datum::as_text)
    }

    fn field(&self, name: &str) -> Option<&'e Expr> {
        self.names.iter().position(|n| n.as_text() == Some(name)).map(|at| &self.fields[at])
    }
}

/// Is it `(row).*`?
pub(super) fn shows_all_fields(e: &ast::Expr) -> bool {
    let ast::Expr::CompoundFieldAccess { access_chain, .. } = e else { return false };
    matches!(access_chain.last(), Some(ast::AccessExpr::Dot(ast::Expr::Identifier(i))) if i.value == ALL_FIELDS)
}

impl Binder<'_> {
    /// `ROW(…)` and `(a, b)`
    pub(super) fn row_value(&mut self, elements: Vec<&ast::Expr>, pos: Option<u32>) -> Result<Typed> {
        let mut fields = Vec::with_capacity(elements.len());
        for e in elements {
            let value = self.expr(e)?;
            fields.push(self.resolve_unknown(value)?.expr);
        }
        let names = (1..=fields.len()).map(|i| format!("f{i}")).collect();
        Ok(made(ROW, names, 0, fields, pos))
    }

    /// The whole row of a FROM item; NULL where an outer join found none.
    pub(super) fn whole_row(&mut self, item: &Item, depth: usize, pos: Option<u32>) -> Typed {
        let fields = item.columns.iter().map(|c| self.reference(c, depth, pos).expr).collect();
        made(ROW, item.columns.iter().map(|c| c.name.clone()).collect(), ROW_WHOLE, fields, pos)
    }

    /// A row made of columns that a set-returning function gives.
    pub(super) fn row_of(&self, names: Vec<String>, fields: Vec<Expr>, pos: Option<u32>) -> Typed {
        made(ROW, names, 0, fields, pos)
    }

    /// `(row).name`
    pub(super) fn row_field(&mut self, row: &Typed, name: &str, pos: Option<u32>) -> Result<Typed> {
        if name == ALL_FIELDS {
            return Ok(row.clone());
        }
        let Some(parts) = Row::of(&row.expr) else {
            let message = format!(
                "column notation .{name} applied to type {}, which is not a composite type",
                type_name(row.oid())
            );
            return Err(if row.oid() == oid::RECORD {
                Error::unsupported("a field of a row value that a sub-query made").at(pos)
            } else {
                Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(pos)
            });
        };
        match parts.field(name) {
            Some(e) => Ok(Typed::new(e.clone(), pos)),
            None => {
                let message = format!("could not identify column \"{name}\" in record data type");
                Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(pos))
            }
        }
    }

    /// Calls that look inside rows: those to json. The name and the arguments to go on with.
    pub(super) fn see_rows(&mut self, name: &str, args: Vec<Typed>) -> Result<(String, Vec<Typed>)> {
        let takes = matches!(
            name,
            "row_to_json"
                | "to_json"
                | "to_jsonb"
                | "json_agg"
                | "jsonb_agg"
                | "json_build_object"
                | "json_build_array"
                | "jsonb_build_object"
                | "jsonb_build_array"
                | "json_object_agg"
                | "jsonb_object_agg"
        );
        if !takes || !args.iter().any(|a| a.oid() == oid::RECORD || a.oid() == oid::RECORD_ARRAY) {
            return Ok((name.to_owned(), args));
        }
        let pretty = match args.get(1).map(|a| &a.expr) {
            Some(Expr::Literal { value: Datum::Bool(true), .. }) if name == "row_to_json" => ROW_PRETTY,
            _ => 0,
        };
        let mut out = Vec::with_capacity(args.len());
        for arg in args {
            out.push(if arg.oid() == oid::RECORD || arg.oid() == oid::RECORD_ARRAY {
                json_of(&arg, pretty)?
            } else {
                arg
            });
        }
        Ok(match name {
            "row_to_json" => ("to_json".to_owned(), out.into_iter().take(1).collect()),
            "json_agg" => ("heddle_json_agg_rows".to_owned(), out),
            _ => (name.to_owned(), out),
        })
    }
}

/// The row as json, nested rows too.
fn json_of(row: &Typed, pretty: i32) -> Result<Typed> {
    let Some(parts) = Row::of(&row.expr) else {
        return Err(Error::unsupported("json of a row value that a sub-query made").at(row.pos));
    };
    let mut fields = Vec::with_capacity(parts.fields.len());
    for e in parts.fields {
        let nested = Typed::new(e.clone(), row.pos);
        fields.push(if nested.oid() == oid::RECORD { json_of(&nested, 0)?.expr } else { nested.expr });
    }
    Ok(made(ROW_JSON, parts.names().map(str::to_owned).collect(), parts.mode | pretty, fields, row.pos))
}

fn made(function: &str, names: Vec<String>, mode: i32, fields: Vec<Expr>, pos: Option<u32>) -> Typed {
    let names = names.into_iter().map(Datum::text).collect();
    let names = Datum::Array(Arc::new(PgArray::from_vec(oid::TEXT, names)));
    let mut args = vec![literal(names, oid::TEXT_ARRAY), literal(Datum::Int4(mode), oid::INT4)];
    args.extend(fields);
    let f = function::by_name(function).first().expect("a function of ours");
    Typed::new(Expr::Call(Call { func: f.id, args, ty: PgType::new(f.ret) }), pos)
}
