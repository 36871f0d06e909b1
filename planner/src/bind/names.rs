//! Identifiers as PostgreSQL folds them, and the names of output columns.

use heddle_types::{Error, Result, SqlState};
use sqlparser::ast::{self, Expr, ObjectName, ObjectNamePart, Spanned};
use sqlparser::tokenizer::Span;

/// NAMEDATALEN - 1
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Lower case unless quoted, and cut to 63 bytes.
pub(crate) fn fold_identifier(value: &str, quoted: bool) -> String {
    let mut name = if quoted { value.to_owned() } else { value.to_ascii_lowercase() };
    let mut end = name.len().min(IDENTIFIER_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

pub(super) fn fold(ident: &ast::Ident) -> String {
    fold_identifier(&ident.value, ident.quote_style.is_some())
}

/// The parts of a dotted name, folded.
pub(super) fn parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|p| match p {
            ObjectNamePart::Identifier(i) => Ok(fold(i)),
            ObjectNamePart::Function(_) => Err(Error::unsupported("a function as a name").at(start(p.span()))),
        })
        .collect()
}

/// (schema, name) of a name of at most three parts.
pub(super) fn qualified(name: &ObjectName, database: &str) -> Result<(Option<String>, String)> {
    let mut parts = parts(name)?;
    let last = parts.pop().ok_or_else(|| Error::internal("an empty name"))?;
    match parts.len() {
        0 => Ok((None, last)),
        1 => Ok((parts.pop(), last)),
        2 if parts[0] == database => Ok((parts.pop(), last)),
        2 => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: \"{}.{}.{last}\"", parts[0], parts[1]),
        )
        .at(start(name.span()))),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("improper relation name (too many dotted names): {}.{last}", parts.join(".")),
        )
        .at(start(name.span()))),
    }
}

/// The position at which a span begins.
pub(super) fn start(span: Span) -> Option<u32> {
    (span.start.line > 0).then(|| u32::try_from(span.start.column).ok()).flatten()
}

/// The position of what follows a span: the operator after its left operand.
pub(super) fn after(span: Span) -> Option<u32> {
    (span.end.line > 0).then(|| u32::try_from(span.end.column).ok()).flatten()
}

/// Where the columns of a query stand: nothing where `*` hides it.
pub(super) fn output_positions(body: &ast::SetExpr) -> Vec<Option<u32>> {
    match body {
        ast::SetExpr::Select(s) => {
            let mut all = Vec::new();
            for item in &s.projection {
                match item {
                    ast::SelectItem::UnnamedExpr(e) | ast::SelectItem::ExprWithAlias { expr: e, .. } => {
                        all.push(start(e.span()));
                    }
                    _ => return Vec::new(),
                }
            }
            all
        }
        ast::SetExpr::Query(q) => output_positions(&q.body),
        ast::SetExpr::Values(v) => {
            v.rows.first().map(|r| r.content.iter().map(|e| start(e.span())).collect()).unwrap_or_default()
        }
        ast::SetExpr::SetOperation { left, .. } => output_positions(left),
        _ => Vec::new(),
    }
}

/// How good a name is: a cast takes its operand's name when that is a real one.
#[derive(PartialEq, PartialOrd)]
enum Strength {
    None,
    Weak,
    Strong,
}

/// PostgreSQL's FigureColname.
pub(super) fn output_name(e: &Expr) -> String {
    match figure(e) {
        (Strength::None, _) => "?column?".into(),
        (_, name) => fold_identifier(&name, true),
    }
}

fn strong(name: impl Into<String>) -> (Strength, String) {
    (Strength::Strong, name.into())
}

fn figure(e: &Expr) -> (Strength, String) {
    match e {
        Expr::Identifier(i) => strong(fold(i)),
        Expr::CompoundIdentifier(parts) => parts.last().map_or((Strength::None, String::new()), |i| strong(fold(i))),
        Expr::CompoundFieldAccess { root, access_chain } => figure_access(root, access_chain),
        Expr::Nested(e) | Expr::Collate { expr: e, .. } => figure(e),
        Expr::Function(f) => match f.name.0.last() {
            Some(ObjectNamePart::Identifier(i)) => strong(function_column(&fold(i))),
            _ => (Strength::None, String::new()),
        },
        Expr::Cast { expr, data_type, .. } => match figure(expr) {
            (Strength::Strong, name) => strong(name),
            _ => (Strength::Weak, type_column(data_type)),
        },
        Expr::TypedString(t) => (Strength::Weak, type_column(&t.data_type)),
        Expr::Interval(_) => (Strength::Weak, "interval".into()),
        Expr::Case { else_result, .. } => match else_result.as_ref().map(|e| figure(e)) {
            Some((Strength::Strong, name)) => strong(name),
            _ => (Strength::Weak, "case".into()),
        },
        Expr::BinaryOp { op: ast::BinaryOperator::Overlaps, .. } => strong("overlaps"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Substring { shorthand, .. } => strong(if *shorthand { "substr" } else { "substring" }),
        Expr::Position { .. } => strong("position"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Array(_) => strong("array"),
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Tuple(_) => strong("row"),
        Expr::Subquery(q) => figure_query(q),
        _ => (Strength::None, String::new()),
    }
}

fn figure_access(root: &Expr, chain: &[ast::AccessExpr]) -> (Strength, String) {
    for access in chain.iter().rev() {
        if let ast::AccessExpr::Dot(Expr::Identifier(i)) = access {
            return strong(fold(i));
        }
    }
    figure(root)
}

/// A scalar sub-query has the name of its column, which always has one.
fn figure_query(q: &ast::Query) -> (Strength, String) {
    let mut body = q.body.as_ref();
    loop {
        match body {
            ast::SetExpr::SetOperation { left, .. } => body = left,
            ast::SetExpr::Query(q) => body = q.body.as_ref(),
            ast::SetExpr::Values(_) => return strong("column1"),
            ast::SetExpr::Select(s) => {
                return match s.projection.first() {
                    Some(ast::SelectItem::ExprWithAlias { alias, .. }) => strong(fold(alias)),
                    Some(ast::SelectItem::UnnamedExpr(e)) => strong(output_name(e)),
                    _ => (Strength::None, String::new()),
                };
            }
            _ => return (Strength::None, String::new()),
        }
    }
}

/// The name PostgreSQL shows for a function written in one of its special forms.
fn function_column(name: &str) -> String {
    match name {
        "cast" => "cast".into(),
        other => other.to_owned(),
    }
}

fn type_column(data_type: &ast::DataType) -> String {
    match super::types::resolve_type(data_type) {
        Ok(ty) => match ty.element() {
            Some(elem) => elem.info().name.to_owned(),
            None => ty.info().name.to_owned(),
        },
        Err(_) => "?column?".into(),
    }
}

impl super::Binder<'_> {
    /// The position of what follows an expression: the operator after its left operand.
    pub(super) fn after(&self, e: &Expr) -> Option<u32> {
        match e {
            Expr::Cast { kind: ast::CastKind::DoubleColon, expr, .. } => self.places.after_cast(self.after(expr)),
            Expr::Nested(e) => self.after(e),
            Expr::BinaryOp { right, .. } => self.after(right),
            e => after(e.span()),
        }
    }
}
