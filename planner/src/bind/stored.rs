//! Bound expressions as catalog text (JSON), for column defaults and CHECK constraints. The form below is persistent: variants and fields may
//! be added, never renamed; `v` is raised when old readers would misread it.

use crate::bound::{Call, ColId, Expr};
use crate::function::FuncId;
use heddle_catalog::StoredExpr;
use heddle_types::text::{self, TextSettings};
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState};
use serde::{Deserialize, Serialize};

/// Raised when the meaning of a stored form changes.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope {
    v: u32,
    e: Stored,
}

/// Types are (OID, modifier). Literals are text forms under default settings (ISO dates, UTC).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Literal {
        ty: (u32, i32),
        text: Option<String>,
    },
    Call {
        func: FuncId,
        ty: (u32, i32),
        args: Vec<Stored>,
    },
    And(Vec<Stored>),
    Or(Vec<Stored>),
    Not(Box<Stored>),
    IsNull(Box<Stored>),
    NotDistinct(Box<Stored>, Box<Stored>),
    Case {
        ty: (u32, i32),
        branches: Vec<(Stored, Stored)>,
        otherwise: Box<Stored>,
    },
    Coalesce {
        ty: (u32, i32),
        args: Vec<Stored>,
    },
    InList {
        equals: FuncId,
        expr: Box<Stored>,
        list: Vec<Stored>,
    },
    AnyArray {
        op: FuncId,
        all: bool,
        expr: Box<Stored>,
        array: Box<Stored>,
    },
    Array {
        ty: (u32, i32),
        elements: Vec<Stored>,
    },
    /// A column of the row, in CHECK constraints
    Column {
        attnum: u32,
        ty: (u32, i32),
    },
}

pub(super) fn write(e: &Expr) -> Result<StoredExpr> {
    let envelope = Envelope { v: VERSION, e: to_stored(e)? };
    let text = serde_json::to_string(&envelope).map_err(|e| Error::internal(format!("stored expression: {e}")))?;
    // serde_json reads at most 128 levels: what could not be read again is refused now.
    match serde_json::from_str::<Envelope>(&text) {
        Ok(_) => Ok(StoredExpr(text)),
        Err(_) => Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "expression is nested too deeply to be stored")),
    }
}

pub(super) fn read(stored: &StoredExpr) -> Result<Expr> {
    let corrupt = |what: String| Error::new(SqlState::DATA_CORRUPTED, format!("stored expression: {what}"));
    let envelope: Envelope = serde_json::from_str(&stored.0).map_err(|e| corrupt(e.to_string()))?;
    if envelope.v != VERSION {
        return Err(corrupt(format!("version {} is not known", envelope.v)));
    }
    from_stored(envelope.e)
}

fn pair(ty: PgType) -> (u32, i32) {
    (ty.oid.0, ty.typmod)
}

fn unpair((oid, typmod): (u32, i32)) -> PgType {
    PgType::with_typmod(Oid(oid), typmod)
}

fn all_to(v: &[Expr]) -> Result<Vec<Stored>> {
    v.iter().map(to_stored).collect()
}

fn boxed(e: &Expr) -> Result<Box<Stored>> {
    to_stored(e).map(Box::new)
}

fn to_stored(e: &Expr) -> Result<Stored> {
    Ok(match e {
        Expr::Literal { value, ty } => {
            let text = (!value.is_null()).then(|| text::to_string(value, *ty, &TextSettings::default()));
            Stored::Literal { ty: pair(*ty), text }
        }
        Expr::Call(c) => Stored::Call { func: c.func, ty: pair(c.ty), args: all_to(&c.args)? },
        Expr::And(v) => Stored::And(all_to(v)?),
        Expr::Or(v) => Stored::Or(all_to(v)?),
        Expr::Not(e) => Stored::Not(boxed(e)?),
        Expr::IsNull(e) => Stored::IsNull(boxed(e)?),
        Expr::NotDistinct(a, b) => Stored::NotDistinct(boxed(a)?, boxed(b)?),
        Expr::Case { branches, otherwise, ty } => Stored::Case {
            ty: pair(*ty),
            branches: branches.iter().map(|(c, r)| Ok((to_stored(c)?, to_stored(r)?))).collect::<Result<_>>()?,
            otherwise: boxed(otherwise)?,
        },
        Expr::Coalesce { args, ty } => Stored::Coalesce { ty: pair(*ty), args: all_to(args)? },
        Expr::InList { expr, list, equals } => {
            Stored::InList { equals: *equals, expr: boxed(expr)?, list: all_to(list)? }
        }
        Expr::AnyArray { expr, array, op, all } => {
            Stored::AnyArray { op: *op, all: *all, expr: boxed(expr)?, array: boxed(array)? }
        }
        Expr::Array { elements, ty } => Stored::Array { ty: pair(*ty), elements: all_to(elements)? },
        Expr::Column { id, ty } => Stored::Column { attnum: id.0, ty: pair(*ty) },
        Expr::Outer { .. } => return Err(Error::unsupported("an outer column in a stored expression")),
        Expr::Param { .. } => return Err(Error::unsupported("a parameter in a stored expression")),
        Expr::Scalar { .. } | Expr::Exists { .. } | Expr::Quantified { .. } | Expr::ArrayQuery { .. } => {
            return Err(Error::unsupported("a sub-query in a stored expression"));
        }
    })
}

fn all_from(v: Vec<Stored>) -> Result<Vec<Expr>> {
    v.into_iter().map(from_stored).collect()
}

fn unboxed(e: Stored) -> Result<Box<Expr>> {
    from_stored(e).map(Box::new)
}

fn from_stored(s: Stored) -> Result<Expr> {
    Ok(match s {
        Stored::Literal { ty, text } => {
            let ty = unpair(ty);
            let value = match text {
                None => Datum::Null,
                Some(t) => text::parse(&t, ty, &TextSettings::default())?,
            };
            Expr::Literal { value, ty }
        }
        Stored::Call { func, ty, args } => Expr::Call(Call { func, args: all_from(args)?, ty: unpair(ty) }),
        Stored::And(v) => Expr::And(all_from(v)?),
        Stored::Or(v) => Expr::Or(all_from(v)?),
        Stored::Not(e) => Expr::Not(unboxed(*e)?),
        Stored::IsNull(e) => Expr::IsNull(unboxed(*e)?),
        Stored::NotDistinct(a, b) => Expr::NotDistinct(unboxed(*a)?, unboxed(*b)?),
        Stored::Case { ty, branches, otherwise } => Expr::Case {
            branches: branches
                .into_iter()
                .map(|(c, r)| Ok((from_stored(c)?, from_stored(r)?)))
                .collect::<Result<_>>()?,
            otherwise: unboxed(*otherwise)?,
            ty: unpair(ty),
        },
        Stored::Coalesce { ty, args } => Expr::Coalesce { args: all_from(args)?, ty: unpair(ty) },
        Stored::InList { equals, expr, list } => Expr::InList { expr: unboxed(*expr)?, list: all_from(list)?, equals },
        Stored::AnyArray { op, all, expr, array } => {
            Expr::AnyArray { expr: unboxed(*expr)?, array: unboxed(*array)?, op, all }
        }
        Stored::Column { attnum, ty } => Expr::Column { id: ColId(attnum), ty: unpair(ty) },
        Stored::Array { ty, elements } => Expr::Array { elements: all_from(elements)?, ty: unpair(ty) },
    })
}
