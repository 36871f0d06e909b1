//! Bound scalar expressions.

use super::{ColId, Query};
use crate::function::FuncId;
use heddle_types::{Datum, PgType};

/// A typed expression. Three-valued logic throughout.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the sentence of each variant names its fields")]
pub enum Expr {
    /// A column produced by the input of the operator this expression sits in.
    Column { id: ColId, ty: PgType },
    /// A column of an enclosing query (any number of levels up).
    Outer { id: ColId, ty: PgType },
    /// `$n`, 0-based.
    Param { index: usize, ty: PgType },
    /// A constant.
    Literal { value: Datum, ty: PgType },
    /// A function, operator or cast (all are rows of the function table).
    Call(Call),
    /// n-ary AND (at least two).
    And(Vec<Expr>),
    /// n-ary OR (at least two).
    Or(Vec<Expr>),
    /// NOT
    Not(Box<Expr>),
    /// IS NULL
    IsNull(Box<Expr>),
    /// IS NOT DISTINCT FROM; operands have one type.
    NotDistinct(Box<Expr>, Box<Expr>),
    /// CASE WHEN c THEN r … ELSE e END. The simple form is bound to `operand = value` conditions. Lazy: branches not taken are not evaluated for the row.
    Case { branches: Vec<(Expr, Expr)>, otherwise: Box<Expr>, ty: PgType },
    /// COALESCE (lazy like CASE).
    Coalesce { args: Vec<Expr>, ty: PgType },
    /// `expr = ANY (list of constants or expressions)` from IN (…): `equals` is the equality function of the operand type.
    InList { expr: Box<Expr>, list: Vec<Expr>, equals: FuncId },
    /// `expr op ANY/ALL (array expression)`: `op` takes (operand, element) and returns bool.
    AnyArray { expr: Box<Expr>, array: Box<Expr>, op: FuncId, all: bool },
    /// ARRAY[…]; elements have the element type; a multi-dimensional constructor nests.
    Array { elements: Vec<Expr>, ty: PgType },
    /// (SELECT one column): more than one row is `21000`, none is NULL.
    Scalar { query: Box<Query>, ty: PgType },
    /// EXISTS (…)
    Exists { query: Box<Query> },
    /// `(exprs) = ANY (SELECT …)`, i.e. IN with a sub-query; `negated` is NOT IN. `op` takes (expr, column) per pair.
    /// `op ANY/ALL (SELECT …)` with another operator has one pair; `all` marks ALL.
    Quantified { exprs: Vec<Expr>, query: Box<Query>, ops: Vec<FuncId>, all: bool, negated: bool },
    /// ARRAY(SELECT one column)
    ArrayQuery { query: Box<Query>, ty: PgType },
}

/// A call with its resolved types (needed by polymorphic kernels).
#[derive(Clone, Debug)]
pub struct Call {
    /// Which function.
    pub func: FuncId,
    /// Arguments after implicit casts, defaults filled in; a variadic tail is expanded.
    pub args: Vec<Expr>,
    /// Result type with modifier.
    pub ty: PgType,
}

impl Expr {
    /// The type of the value.
    pub fn ty(&self) -> PgType {
        match self {
            Self::Column { ty, .. } | Self::Outer { ty, .. } | Self::Param { ty, .. } | Self::Literal { ty, .. } => *ty,
            Self::Case { ty, .. } | Self::Coalesce { ty, .. } | Self::Array { ty, .. } => *ty,
            Self::Scalar { ty, .. } | Self::ArrayQuery { ty, .. } => *ty,
            Self::Call(c) => c.ty,
            _ => PgType::new(heddle_types::oid::BOOL),
        }
    }
}
