//! Our evaluator as DataFusion functions.

use crate::bound::{ColId, Expr};
use crate::context::EvalContext;
use crate::eval::{self, Columns};
use crate::function::to_df;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr as Df, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use heddle_types::{Error, PgType, SqlState};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a function computes from its arguments.
pub(super) enum Body {
    /// A bound expression; argument `i` is the column or outer reference `ids[i]`.
    Bound { expr: Expr, ids: Vec<ColId>, ctx: Arc<EvalContext> },
    /// The sort key of a value of this type.
    SortKey(PgType),
    /// (count, value): the value, unless there were several.
    SingleRow,
}

/// A function around a [`Body`].
pub(super) struct Function {
    body: Body,
    /// Identity: two functions are equal when their text is, or never when volatile.
    text: String,
    ret: DataType,
    signature: Signature,
}

impl Function {
    /// A call of the function.
    pub fn call(body: Body, args: Vec<Df>) -> Df {
        let (text, ret, volatility) = match &body {
            Body::Bound { expr, .. } => {
                let volatile = eval::visit::is_volatile(expr);
                let volatility = if volatile { Volatility::Volatile } else { Volatility::Immutable };
                (format!("{expr:?}"), heddle_types::arrow::data_type(expr.ty()), volatility)
            }
            Body::SortKey(ty) => (format!("sort_key {}", ty.oid), DataType::Binary, Volatility::Immutable),
            Body::SingleRow => ("single_row".to_owned(), DataType::Null, Volatility::Immutable),
        };
        let signature = match args.len() {
            0 => Signature::nullary(volatility),
            n => Signature::any(n, volatility),
        };
        let udf = ScalarUDF::new_from_impl(Self { body, text, ret, signature });
        Df::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), args))
    }

    fn volatile(&self) -> bool {
        self.signature.volatility == Volatility::Volatile
    }
}

/// The sort key of an expression.
pub(super) fn sort_key(e: Df, ty: PgType) -> Df {
    Function::call(Body::SortKey(ty), vec![e])
}

/// Is this a sort key? Of what?
pub(super) fn as_sort_key(e: &Df) -> Option<&Df> {
    match e {
        Df::ScalarFunction(f) => {
            let f_impl = f.func.inner().as_ref() as &dyn std::any::Any;
            match f_impl.downcast_ref::<Function>()?.body {
                Body::SortKey(_) => f.args.first(),
                _ => None,
            }
        }
        _ => None,
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        !self.volatile() && self.text == other.text
    }
}
impl Eq for Function {}
impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        match &self.body {
            Body::Bound { expr: Expr::Call(c), .. } => crate::function::by_id(c.func).map_or("expression", |f| f.name),
            Body::Bound { expr: Expr::Case { .. }, .. } => "case",
            Body::Bound { expr: Expr::Coalesce { .. }, .. } => "coalesce",
            Body::Bound { .. } => "expression",
            Body::SortKey(_) => "sort_key",
            Body::SingleRow => "single_row",
        }
    }
    /// Distinct names for distinct expressions: plans know columns by name.
    fn schema_name(&self, args: &[Df]) -> DfResult<String> {
        let args: Vec<String> = args.iter().map(|a| a.schema_name().to_string()).collect();
        Ok(format!("{}({})", self.text, args.join(",")))
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        match self.body {
            Body::SingleRow => Ok(args.get(1).cloned().unwrap_or(DataType::Null)),
            _ => Ok(self.ret.clone()),
        }
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        match &self.body {
            Body::Bound { expr, ids, ctx } => bound(expr, ids, ctx, &args.args, rows),
            Body::SortKey(ty) => match &args.args[0] {
                ColumnarValue::Array(a) => {
                    Ok(ColumnarValue::Array(heddle_types::arrow::sort_key(a, *ty).map_err(to_df)?))
                }
                ColumnarValue::Scalar(s) => {
                    let key = heddle_types::arrow::sort_key(&s.to_array()?, *ty).map_err(to_df)?;
                    Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&key, 0)?))
                }
            },
            Body::SingleRow => single_row(&args.args, rows),
        }
    }
}

fn bound(
    expr: &Expr,
    ids: &[ColId],
    ctx: &EvalContext,
    args: &[ColumnarValue],
    rows: usize,
) -> DfResult<ColumnarValue> {
    let constant = !args.is_empty() && args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let n = if constant && !eval::visit::is_volatile(expr) { 1 } else { rows };
    let arrays: Vec<ArrayRef> = args.iter().map(|a| a.to_array(n)).collect::<DfResult<_>>()?;
    let get = |id: ColId| ids.iter().position(|i| *i == id).map(|i| Arc::clone(&arrays[i]));
    let out = eval::eval(expr, &Columns { rows: n, get: &get }, ctx).map_err(to_df)?;
    if n != rows {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&out, 0)?));
    }
    Ok(ColumnarValue::Array(out))
}

fn single_row(args: &[ColumnarValue], rows: usize) -> DfResult<ColumnarValue> {
    let counts = args[0].to_array(rows)?;
    let counts = datafusion::common::cast::as_int64_array(&counts)?;
    if (0..counts.len()).any(|i| counts.is_valid(i) && counts.value(i) > 1) {
        let text = "more than one row returned by a subquery used as an expression";
        return Err(to_df(Error::new(SqlState::CARDINALITY_VIOLATION, text)));
    }
    Ok(args[1].clone())
}
