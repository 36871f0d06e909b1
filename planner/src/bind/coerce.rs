//! Casts: which exist, what they become, and the common type of several expressions (select_common_type).

use super::{Binder, Typed};
use crate::bound::{Call, Expr};
use crate::function::{self, CastContext, FuncId};
use heddle_types::{Datum, Error, Numeric, Oid, PgType, Result, SqlState, TypeInfo, oid};

/// How a value of one type becomes one of another.
enum Path {
    /// Same bytes, other name
    Relabel,
    /// By a cast function
    Function(FuncId),
    /// Through text, or element by element
    Io,
}

pub(super) fn is_string(ty: Oid) -> bool {
    category(ty) == 'S'
}

pub(super) fn category(ty: Oid) -> char {
    PgType::new(ty).info().category
}

pub(super) fn is_preferred(ty: Oid) -> bool {
    PgType::new(ty).info().preferred
}

pub(super) fn is_polymorphic(ty: Oid) -> bool {
    matches!(ty, oid::ANYELEMENT | oid::ANYARRAY | oid::ANYNONARRAY | oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLEARRAY)
}

/// The element type of an array, int2vector included.
pub(super) fn element_of(ty: Oid) -> Option<Oid> {
    if ty == oid::INT2VECTOR {
        return Some(oid::INT2);
    }
    PgType::new(ty).element().map(|t| t.oid)
}

fn path(source: Oid, target: Oid, context: CastContext) -> Option<Path> {
    if source == target {
        return Some(Path::Relabel);
    }
    if let Some(cast) = function::cast(source, target) {
        return (cast.context >= context).then_some(cast.func.map_or(Path::Relabel, Path::Function));
    }
    if let (Some(s), Some(t)) = (element_of(source), element_of(target))
        && source != oid::INT2VECTOR
        && target != oid::INT2VECTOR
    {
        return path(s, t, context).map(|p| match p {
            Path::Relabel if binary(s, t) => Path::Relabel,
            _ => Path::Io,
        });
    }
    let pseudo = |t: Oid| matches!(category(t), 'P' | 'X') && t != oid::RECORD;
    if pseudo(source) || pseudo(target) {
        return None;
    }
    if target == oid::RECORD {
        return None;
    }
    let through_text = if is_string(target) {
        CastContext::Assignment >= context
    } else {
        is_string(source) && context == CastContext::Explicit
    };
    through_text.then_some(Path::Io)
}

/// Arrays of these element types have one form too.
fn binary(source: Oid, target: Oid) -> bool {
    is_string(source) && is_string(target) && source != oid::BPCHAR && target != oid::BPCHAR
}

/// PostgreSQL's can_coerce_type for one argument; pseudo-types are checked by `candidates`.
pub(super) fn can_coerce(source: Oid, target: Oid, context: CastContext) -> bool {
    if source == target || source == oid::UNKNOWN || target == oid::ANY {
        return true;
    }
    match target {
        oid::ANYELEMENT | oid::ANYCOMPATIBLE => true,
        oid::ANYNONARRAY => element_of(source).is_none(),
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => element_of(source).is_some(),
        _ => path(source, target, context).is_some(),
    }
}

/// The same value under another type name of the same physical form.
pub(super) fn relabel(expr: Expr, ty: PgType) -> Expr {
    match expr {
        Expr::Column { id, .. } => Expr::Column { id, ty },
        Expr::Outer { id, .. } => Expr::Outer { id, ty },
        Expr::Param { index, .. } => Expr::Param { index, ty },
        Expr::Literal { value, .. } => Expr::Literal { value, ty },
        // What a conversion through text reads depends on its type: it keeps it, under the new name.
        Expr::Call(c) if c.func == function::io_cast() => Expr::Coalesce { args: vec![Expr::Call(c)], ty },
        Expr::Call(c) => Expr::Call(Call { ty, ..c }),
        Expr::Case { branches, otherwise, .. } => Expr::Case { branches, otherwise, ty },
        Expr::Coalesce { args, .. } => Expr::Coalesce { args, ty },
        Expr::Array { elements, .. } => Expr::Array { elements, ty },
        Expr::Scalar { query, .. } => Expr::Scalar { query, ty },
        Expr::ArrayQuery { query, .. } => Expr::ArrayQuery { query, ty },
        other => other,
    }
}

pub(super) fn literal(value: Datum, ty: Oid) -> Expr {
    Expr::Literal { value, ty: PgType::new(ty) }
}

impl Binder<'_> {
    /// Converts to `target` (with its modifier) if a cast of this context exists.
    ///
    /// # Errors
    /// Bad literals, and parameters that another context has fixed.
    pub(super) fn coerce(&mut self, value: Typed, target: PgType, context: CastContext) -> Result<Option<Typed>> {
        let pos = value.pos;
        let explicit = context == CastContext::Explicit;
        let source = value.ty();
        if source.oid == oid::UNKNOWN {
            let value = self.coerce_unknown(value, target)?;
            return Ok(Some(self.apply_modifier(value, target, explicit)));
        }
        if source == target {
            return Ok(Some(value));
        }
        if let (oid::REGCLASS, true, Some(text)) = (target.oid, is_string(source.oid), text_literal(&value.expr)) {
            let found = self.reg_literal(&text, target)?;
            return Ok(Some(Typed::new(found, pos)));
        }
        let base = PgType::new(target.oid);
        let expr = match path(source.oid, target.oid, context) {
            None => return Ok(None),
            Some(Path::Relabel) if source.oid == target.oid => value.expr,
            Some(Path::Relabel) => relabel(value.expr, base),
            Some(Path::Function(func)) => self.fold_cast(func, value.expr, base),
            Some(Path::Io) => self.fold_cast(function::io_cast(), value.expr, base),
        };
        Ok(Some(self.apply_modifier(Typed::new(expr, pos), target, explicit)))
    }

    /// Converts where the choice of types has already shown that it works.
    pub(super) fn coerce_implicit(&mut self, value: Typed, target: PgType) -> Result<Typed> {
        let (source, pos) = (value.ty(), value.pos);
        match self.coerce(value, target, CastContext::Implicit)? {
            Some(v) => Ok(v),
            None => Err(cannot_cast(source, target).at(pos)),
        }
    }

    fn coerce_unknown(&mut self, value: Typed, target: PgType) -> Result<Typed> {
        let pos = value.pos;
        let base = PgType::new(target.oid);
        let expr = match value.expr {
            Expr::Literal { value: Datum::Null, .. } => Expr::Literal { value: Datum::Null, ty: base },
            Expr::Literal { value: Datum::Text(text), .. } => {
                let input = if target.oid == oid::INTERVAL { target } else { base };
                self.read_literal(&text, input).map_err(|e| e.at(pos))?
            }
            Expr::Param { index, .. } => {
                let ty = self.fix_param(index, base, pos)?;
                Expr::Param { index, ty }
            }
            other => self.fold_cast(function::io_cast(), other, base),
        };
        Ok(Typed::new(expr, pos))
    }

    fn read_literal(&mut self, text: &str, ty: PgType) -> Result<Expr> {
        if matches!(ty.oid, oid::REGCLASS | oid::REGTYPE | oid::REGNAMESPACE | oid::REGPROC | oid::REGROLE) {
            return self.reg_literal(text, ty);
        }
        let value = heddle_types::text::parse(text, ty, &self.ctx.text)?;
        Ok(Expr::Literal { value, ty })
    }

    /// `'name'::regclass` and friends; what cannot be decided now is left to run time.
    fn reg_literal(&mut self, text: &str, ty: PgType) -> Result<Expr> {
        if text == "-" || text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            let value = Datum::Oid(if text == "-" { 0 } else { heddle_types::text::parse_oid(text)? });
            return Ok(Expr::Literal { value, ty });
        }
        if ty.oid == oid::REGCLASS {
            let parts = split_name(text)?;
            let (schema, name) = match parts.as_slice() {
                [name] => (None, name),
                [schema, name] => (Some(schema.as_str()), name),
                _ => return Err(Error::new(SqlState::INVALID_NAME, "invalid name syntax")),
            };
            let found = self.relation_oid(schema, name);
            let oid = found.ok_or_else(|| super::scope::unknown_relation(schema, name))?;
            return Ok(Expr::Literal { value: Datum::Oid(oid.0), ty });
        }
        let unknown = literal(Datum::text(text), oid::TEXT);
        Ok(self.fold_cast(function::io_cast(), unknown, ty))
    }

    fn relation_oid(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        use super::scope::{Found, find_relation};
        Some(match find_relation(self.ctx, schema, name)? {
            Found::Table(t) => t.oid,
            Found::System(t) => t.oid,
            Found::View(v) => v.oid,
            Found::Sequence(s) => s.oid,
            Found::Index(index) => {
                let tables = self.catalog().tables(self.ctx.session.database_oid);
                tables.iter().flat_map(|t| &t.indexes).find(|i| i.name == index)?.oid
            }
        })
    }

    /// A cast call; over a literal its value, when the cast cannot change its answer and does not fail.
    fn fold_cast(&mut self, func: FuncId, arg: Expr, ty: PgType) -> Expr {
        if let Expr::Literal { value, .. } = &arg {
            if value.is_null() {
                return Expr::Literal { value: Datum::Null, ty };
            }
            if let Some(value) = cast_number(value, ty.oid) {
                return Expr::Literal { value, ty };
            }
        }
        let foldable = matches!(arg, Expr::Literal { .. }) && is_immutable(func);
        let call = Expr::Call(Call { func, args: vec![arg], ty });
        if foldable && let Ok(value) = crate::eval::eval_constant(&call, self.ctx) {
            return Expr::Literal { value, ty };
        }
        call
    }

    /// Length coercion; done at once for literals, unless it fails (then it fails when executed, as in PostgreSQL).
    fn apply_modifier(&mut self, value: Typed, target: PgType, explicit: bool) -> Typed {
        let has_modifier = matches!(
            element_of(target.oid).unwrap_or(target.oid),
            oid::BPCHAR | oid::VARCHAR | oid::NUMERIC | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL
        );
        if target.typmod < 0 || !has_modifier || value.ty().typmod == target.typmod {
            return value;
        }
        let pos = value.pos;
        if let Expr::Literal { value: datum, .. } = &value.expr {
            if datum.is_null() {
                return Typed::new(Expr::Literal { value: Datum::Null, ty: target }, pos);
            }
            if let Ok(datum) = heddle_types::coerce::apply_typmod(datum.clone(), target, explicit) {
                return Typed::new(Expr::Literal { value: datum, ty: target }, pos);
            }
        }
        let modifier = literal(Datum::Int4(target.typmod), oid::INT4);
        let explicit = literal(Datum::Bool(explicit), oid::BOOL);
        let args = vec![value.expr, modifier, explicit];
        Typed::new(Expr::Call(Call { func: function::length_cast(), args, ty: target }), pos)
    }

    /// A cast the user wrote.
    ///
    /// # Errors
    /// `42846`
    pub(super) fn cast(&mut self, value: Typed, target: PgType, pos: Option<u32>) -> Result<Typed> {
        let source = value.ty();
        let at = pos.or(value.pos);
        match self.coerce(value, target, CastContext::Explicit)? {
            Some(v) => Ok(v),
            None => Err(cannot_cast(source, target).at(at)),
        }
    }

    /// Unknown literals and parameters without a context are text.
    pub(super) fn resolve_unknown(&mut self, value: Typed) -> Result<Typed> {
        if value.is_unknown() { self.coerce_unknown(value, PgType::new(oid::TEXT)) } else { Ok(value) }
    }

    /// A condition.
    ///
    /// # Errors
    /// `42804`
    pub(super) fn boolean(&mut self, value: Typed, construct: &str) -> Result<Typed> {
        let (source, pos) = (value.ty(), value.pos);
        match self.coerce(value, PgType::new(oid::BOOL), CastContext::Implicit)? {
            Some(v) => Ok(v),
            None => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("argument of {construct} must be type boolean, not type {}", source.sql_name()),
            )
            .at(pos)),
        }
    }

    /// An argument of LIMIT, a subscript and the like.
    pub(super) fn must_be(&mut self, value: Typed, target: Oid, construct: &str) -> Result<Typed> {
        let (source, pos) = (value.ty(), value.pos);
        let target = PgType::new(target);
        match self.coerce(value, target, CastContext::Assignment)? {
            Some(v) if source.oid == oid::UNKNOWN || !is_string(source.oid) => Ok(v),
            _ => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("argument of {construct} must be type {}, not type {}", target.sql_name(), source.sql_name()),
            )
            .at(pos)),
        }
    }

    /// The type several expressions are converted to; `construct` names it in errors (`UNION`, `CASE`).
    ///
    /// # Errors
    /// `42804`
    pub(super) fn unify(&mut self, values: Vec<Typed>, construct: &str) -> Result<(Vec<Typed>, PgType)> {
        let inputs: Vec<(PgType, Option<u32>)> = values.iter().map(|v| (v.ty(), v.pos)).collect();
        let common = common_type(&inputs).map_err(|(a, b, pos)| {
            let message = format!("{construct} types {} and {} cannot be matched", a.sql_name(), b.sql_name());
            Error::new(SqlState::DATATYPE_MISMATCH, message).at(pos)
        })?;
        let values = values
            .into_iter()
            .map(|v| {
                let (source, pos) = (v.ty(), v.pos);
                self.coerce(v, common, CastContext::Implicit)?.ok_or_else(|| {
                    let (s, t) = (source.sql_name(), common.sql_name());
                    Error::new(SqlState::CANNOT_COERCE, format!("{construct} could not convert type {s} to {t}"))
                        .at(pos)
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok((values, common))
    }
}

/// select_common_type and select_common_typmod. On failure: the two types and the place of the second.
pub(super) fn common_type(
    inputs: &[(PgType, Option<u32>)],
) -> std::result::Result<PgType, (PgType, PgType, Option<u32>)> {
    let Some((first, _)) = inputs.first() else { return Ok(PgType::new(oid::TEXT)) };
    if first.oid != oid::UNKNOWN && inputs.iter().all(|(t, _)| t.oid == first.oid) {
        let same = inputs.iter().all(|(t, _)| t.typmod == first.typmod);
        return Ok(if same { *first } else { PgType::new(first.oid) });
    }
    let mut chosen = first.oid;
    for (ty, pos) in &inputs[1..] {
        if ty.oid == oid::UNKNOWN || ty.oid == chosen {
            continue;
        }
        if chosen == oid::UNKNOWN {
            chosen = ty.oid;
        } else if category(chosen) != category(ty.oid) {
            return Err((PgType::new(chosen), PgType::new(ty.oid), *pos));
        } else if !is_preferred(chosen)
            && can_coerce(chosen, ty.oid, CastContext::Implicit)
            && !can_coerce(ty.oid, chosen, CastContext::Implicit)
        {
            chosen = ty.oid;
        }
    }
    Ok(PgType::new(if chosen == oid::UNKNOWN { oid::TEXT } else { chosen }))
}

pub(super) fn cannot_cast(source: PgType, target: PgType) -> Error {
    let (s, t) = (PgType::new(source.oid).sql_name(), PgType::new(target.oid).sql_name());
    Error::new(SqlState::CANNOT_COERCE, format!("cannot cast type {s} to {t}"))
}

pub(super) fn is_immutable(func: FuncId) -> bool {
    function::by_id(func).is_some_and(|f| f.volatility == function::Volatility::Immutable)
}

fn text_literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal { value: Datum::Text(s), .. } => Some(s.to_string()),
        _ => None,
    }
}

/// Widening casts of integer literals, by far the most common ones.
fn cast_number(value: &Datum, target: Oid) -> Option<Datum> {
    let v = match value {
        Datum::Int2(v) => i64::from(*v),
        Datum::Int4(v) => i64::from(*v),
        Datum::Int8(v) => *v,
        _ => return None,
    };
    Some(match target {
        oid::INT2 => Datum::Int2(i16::try_from(v).ok()?),
        oid::INT4 => Datum::Int4(i32::try_from(v).ok()?),
        oid::INT8 => Datum::Int8(v),
        oid::NUMERIC => Datum::Numeric(Numeric::from_i64(v)),
        oid::FLOAT8 => Datum::Float8(v as f64),
        oid::FLOAT4 => Datum::Float4(v as f32),
        oid::OID => Datum::Oid(u32::try_from(v).ok()?),
        _ => return None,
    })
}

/// Splits `"Schema".name` as PostgreSQL's stringToQualifiedNameList does.
fn split_name(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_part(quoted).ok_or_else(invalid)?
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (super::fold_identifier(rest[..end].trim(), false), &rest[end..])
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                part.push('"');
                rest = next;
            }
            None => return Some((super::fold_identifier(&part, true), rest)),
        }
    }
}

/// The type with this name, for `int4('5')`.
pub(super) fn type_by_name(name: &str) -> Option<PgType> {
    TypeInfo::by_name(name).filter(|t| t.category != 'P').map(|t| PgType::new(t.oid))
}
