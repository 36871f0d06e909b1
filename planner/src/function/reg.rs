//! reg* types: names to OIDs and back, through the catalog and the static tables.

use crate::context::EvalContext;
use heddle_catalog::Relation;
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, TypeInfo, oid};

/// OID of pg_catalog.
pub(super) const PG_CATALOG: u32 = 11;
/// OID of information_schema, as a PostgreSQL 15 cluster usually has it.
const INFORMATION_SCHEMA: u32 = 13_000;

/// Splits `schema.name` with quotes and folding; `42602` when it is not a name.
pub(super) fn split_name(s: &str) -> Result<Vec<String>> {
    let bad = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = s.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut tail = quoted;
            loop {
                let end = tail.find('"').ok_or_else(bad)?;
                name.push_str(&tail[..end]);
                tail = &tail[end + 1..];
                let Some(more) = tail.strip_prefix('"') else { break };
                name.push('"');
                tail = more;
            }
            parts.push(name);
            rest = tail.trim_start();
        } else {
            let end = rest.find(['.', '"']).unwrap_or(rest.len());
            let name = rest[..end].trim();
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(bad());
            }
            parts.push(name.to_lowercase());
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Ok(parts),
            None => return Err(bad()),
        }
    }
}

/// Parses the text form of a reg* type.
pub(super) fn parse(s: &str, ty: PgType, cx: &EvalContext) -> Result<Datum> {
    let t = s.trim();
    if t == "-" {
        return Ok(Datum::Oid(0));
    }
    if !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()) {
        let n = t.parse::<u32>().map_err(|_| {
            Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value \"{t}\" is out of range for type oid"))
        })?;
        return Ok(Datum::Oid(n));
    }
    let found = match ty.oid {
        oid::REGCLASS => Some(relation(t, cx)?),
        oid::REGTYPE => Some(
            type_oid(t)
                .ok_or_else(|| Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{t}\" does not exist")))?,
        ),
        oid::REGNAMESPACE => Some(
            schema(&last(split_name(t)?), cx)
                .ok_or_else(|| Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{t}\" does not exist")))?,
        ),
        oid::REGROLE => Some(
            role(t, cx)
                .ok_or_else(|| Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{t}\" does not exist")))?,
        ),
        oid::REGPROC => Some(proc(t)?),
        _ => None,
    };
    found.map(Datum::Oid).ok_or_else(|| Error::internal("not a reg* type"))
}

fn last(mut parts: Vec<String>) -> String {
    parts.pop().unwrap_or_default()
}

/// The role OID: there is one superuser (10); every session user answers as it.
fn role(name: &str, cx: &EvalContext) -> Option<u32> {
    let name = last(split_name(name).ok()?);
    (name == cx.session.user || name == cx.session.session_user || name == "postgres").then_some(10)
}

fn proc(name: &str) -> Result<u32> {
    let bare = last(split_name(name)?);
    match super::by_name(&bare) {
        [] => Err(Error::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{name}\" does not exist"))),
        [one] => Ok(one.id.0),
        _ => Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, format!("more than one function named \"{name}\""))),
    }
}

/// The OID of a schema by name.
pub(super) fn schema(name: &str, cx: &EvalContext) -> Option<u32> {
    match name {
        "pg_catalog" => Some(PG_CATALOG),
        _ => cx
            .catalog
            .schema(cx.session.database_oid, name)
            .map(|s| s.oid.0)
            .or((name == "information_schema").then_some(INFORMATION_SCHEMA)),
    }
}

/// A type by any name PostgreSQL accepts without modifier; `[]` for arrays.
pub(super) fn type_oid(name: &str) -> Option<u32> {
    let name = name.trim();
    if let Some(elem) = name.strip_suffix("[]") {
        let elem = TypeInfo::by_oid(Oid(type_oid(elem)?))?;
        return (elem.array.0 != 0).then_some(elem.array.0);
    }
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let lower = match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some("char") => return Some(oid::CHAR.0),
        Some(quoted) => quoted.to_owned(),
        None => name.to_lowercase(),
    };
    let alias = match lower.as_str() {
        "int" => "int4",
        "decimal" | "dec" => "numeric",
        "float" => "float8",
        "char" | "character" => "bpchar",
        "timestamp without time zone" => "timestamp",
        "time without time zone" => "time",
        other => other,
    };
    TypeInfo::by_name(alias).or_else(|| TypeInfo::all().find(|t| t.sql_name == alias)).map(|t| t.oid.0)
}

/// Existing schemas of the search path, as current_schemas shows them.
pub(super) fn schemas(cx: &EvalContext, implicit: bool) -> Vec<String> {
    let shown = cx.session.path().into_iter().filter(|s| (implicit || !s.implicit) && schema(&s.schema, cx).is_some());
    shown.map(|s| s.schema).collect()
}

fn in_schema(schema_name: &str, name: &str, cx: &EvalContext) -> Option<u32> {
    let schema_name = cx.session.schema_named(schema_name);
    if let Some(t) = crate::syscat::lookup(&schema_name, name) {
        return Some(t.oid.0);
    }
    let s = cx.catalog.schema(cx.session.database_oid, &schema_name)?;
    cx.catalog.relation(s.oid, name).map(|r| relation_oid(&r))
}

fn relation_oid(r: &Relation) -> u32 {
    r.oid().0
}

/// to_regclass: None when there is no such relation.
pub(super) fn find_relation(name: &str, cx: &EvalContext) -> Result<Option<u32>> {
    let parts = split_name(name)?;
    Ok(match parts.as_slice() {
        [name] => cx.session.path().iter().find_map(|s| in_schema(&s.schema, name, cx)),
        [schema, name] => in_schema(schema, name, cx),
        [_, schema, name] => in_schema(schema, name, cx),
        _ => {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("improper relation name (too many dotted names): {name}"),
            ));
        }
    })
}

fn relation(name: &str, cx: &EvalContext) -> Result<u32> {
    let parts = split_name(name)?;
    find_relation(name, cx)?.ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", parts.join(".")))
    })
}

/// Quotes an identifier when it needs to be.
pub(crate) fn quote_ident(s: &str) -> String {
    let plain = s.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !reserved(s);
    if plain { s.to_owned() } else { format!("\"{}\"", s.replace('"', "\"\"")) }
}

/// PostgreSQL's keywords that are not "unreserved".
fn reserved(s: &str) -> bool {
    const WORDS: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char character check coalesce collate collation column concurrently constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real references returning right row select session_user setof similar smallint some substring symmetric table tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable ";
    WORDS.contains(&format!(" {s} "))
}

/// The text form of a reg* value.
pub(super) fn name_of(value: u32, ty: PgType, cx: &EvalContext) -> Result<String> {
    if value == 0 {
        return Ok("-".to_owned());
    }
    let name = match ty.oid {
        oid::REGCLASS => class_name(value, cx),
        oid::REGTYPE => TypeInfo::by_oid(Oid(value)).map(|t| t.sql_name.to_owned()),
        oid::REGNAMESPACE if value == PG_CATALOG => Some("pg_catalog".to_owned()),
        oid::REGNAMESPACE => cx.catalog.schema_by_oid(Oid(value)).map(|s| quote_ident(&s.name)),
        oid::REGROLE => (value == 10).then(|| quote_ident(&cx.session.user)),
        oid::REGPROC => super::by_id(super::FuncId(value)).map(|f| quote_ident(f.name)),
        _ => None,
    };
    Ok(name.unwrap_or_else(|| value.to_string()))
}

/// The name of a relation: qualified when the search path does not find it.
pub(crate) fn class_name(value: u32, cx: &EvalContext) -> Option<String> {
    let (schema, name) = class_parts(value, cx)?;
    let visible = find_relation(&quote_ident(&name), cx).ok().flatten() == Some(value);
    Some(if visible { quote_ident(&name) } else { format!("{}.{}", quote_ident(&schema), quote_ident(&name)) })
}

/// Schema and name of a relation.
pub(super) fn class_parts(value: u32, cx: &EvalContext) -> Option<(String, String)> {
    if let Some(t) = crate::syscat::by_oid(Oid(value)) {
        return Some((t.schema.to_owned(), t.name.to_owned()));
    }
    let relation = cx.catalog.relation_by_oid(Oid(value))?;
    let schema = cx.catalog.schema_by_oid(relation.schema())?;
    Some((schema.name.clone(), relation.name().to_owned()))
}
