//! Outer references: an enclosing row's values, set by Apply for each run of its inner plan.
//!
//! While DataFusion optimises, an outer reference is a placeholder (`$o3_12`): a constant that cannot be folded. Afterwards it
//! becomes a call of [`OuterValue`], which reads the cell.

use crate::bound::ColId;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{
    ColumnarValue, Expr as Df, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use heddle_types::PgType;
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The present value of an outer column.
#[derive(Debug)]
pub(super) struct Cell {
    pub id: ColId,
    pub ty: PgType,
    value: RwLock<Option<ScalarValue>>,
}

impl Cell {
    pub fn new(id: ColId, ty: PgType) -> Arc<Self> {
        Arc::new(Self { id, ty, value: RwLock::new(None) })
    }
    pub fn set(&self, value: ScalarValue) {
        *self.value.write() = Some(value);
    }
    fn get(&self) -> DfResult<ScalarValue> {
        let value = self.value.read().clone();
        value.ok_or_else(|| DataFusionError::Internal("an outer reference was read outside of its Apply".to_owned()))
    }
}

/// The columns of one enclosing row.
pub(super) struct Scope {
    pub number: u32,
    pub columns: BTreeSet<ColId>,
    /// Those in use so far.
    pub used: BTreeMap<ColId, Arc<Cell>>,
}

impl Scope {
    /// The placeholder of a column and its cell.
    pub fn refer(&mut self, id: ColId, ty: PgType) -> (Df, String, Arc<Cell>) {
        let cell = Arc::clone(self.used.entry(id).or_insert_with(|| Cell::new(id, ty)));
        let key = format!("$o{}_{}", self.number, id.0);
        let field = arrow::datatypes::Field::new(&key, heddle_types::arrow::data_type(ty), true);
        let df = Df::Placeholder(Placeholder::new_with_field(key.clone(), Some(Arc::new(field))));
        (df, key, cell)
    }
}

/// Replaces placeholders by reads of their cells.
pub(super) fn bind(plan: LogicalPlan, cells: &HashMap<String, Arc<Cell>>) -> DfResult<LogicalPlan> {
    if cells.is_empty() {
        return Ok(plan);
    }
    let replace = |e: Df| match &e {
        Df::Placeholder(p) => match cells.get(&p.id) {
            Some(cell) => {
                let udf = ScalarUDF::new_from_impl(OuterValue { cell: Arc::clone(cell), signature: signature() });
                Ok(Transformed::yes(Df::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(
                    Arc::new(udf),
                    vec![],
                ))))
            }
            None => Err(DataFusionError::Internal(format!("placeholder {} has no cell", p.id))),
        },
        _ => Ok(Transformed::no(e)),
    };
    plan.transform_up(|node| {
        let names = datafusion::logical_expr::expr_rewriter::NamePreserver::new(&node);
        node.map_expressions(|e| {
            let saved = names.save(&e);
            e.transform_up(replace).map(|t| t.update_data(|e| saved.restore(e)))
        })
    })
    .map(|t| t.data)
}

/// Has it one value while a scan runs? An outer value is volatile for DataFusion only so that nobody folds it.
pub(super) fn is_steady(e: &Df) -> bool {
    let changes = |e: &Df| match e {
        Df::ScalarFunction(call) => {
            let call: &dyn std::any::Any = call.func.inner().as_ref();
            let outer = call.downcast_ref::<OuterValue>().is_some();
            Ok(!outer && e.is_volatile_node())
        }
        other => Ok(other.is_volatile_node()),
    };
    !e.exists(changes).unwrap_or(true)
}

fn signature() -> Signature {
    Signature::nullary(Volatility::Volatile)
}

/// Reads a cell.
#[derive(Debug)]
struct OuterValue {
    cell: Arc<Cell>,
    signature: Signature,
}

impl PartialEq for OuterValue {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }
}
impl Eq for OuterValue {}
impl Hash for OuterValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.cell).hash(state);
    }
}

impl ScalarUDFImpl for OuterValue {
    fn name(&self) -> &str {
        "outer"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[arrow::datatypes::DataType]) -> DfResult<arrow::datatypes::DataType> {
        Ok(heddle_types::arrow::data_type(self.cell.ty))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.cell.get()?))
    }
}
