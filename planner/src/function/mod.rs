//! Functions, operators, casts and aggregates: tables with PostgreSQL's OIDs that the binder resolves over (and pg_proc, pg_operator,
//! pg_cast show), and the Arrow kernels behind them.

mod advisory;
mod aggregate;
mod arith;
mod array;
mod array_ops;
mod backend;
mod bucket;
mod bytes;
mod cast;
mod compare;
mod datefn;
mod definition;
mod dt;
pub mod error;
mod framed;
mod json;
mod json_build;
mod json_make;
mod json_raw;
mod json_record;
mod json_rows;
mod json_set;
mod jsonval;
mod kernel;
mod like;
mod math;
mod overlaps;
mod own;
mod percentile;
mod pick;
mod privilege;
pub(crate) mod quick;
mod record;
mod reference;
mod reg;
mod regex;
mod registry;
mod sample;
mod sequence;
mod set;
mod size;
mod strings;
mod system;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod textformat;
mod visible;
mod wait;
mod window;

pub(crate) use bucket::FixedBuckets;
pub use error::{from_df, to_df};
pub(crate) use framed::{Framed, FramedBound, FramedCall};
pub(crate) use own::{SEQUENCE_CALLED, SEQUENCE_LAST};
pub(crate) use record::{ROW_PRETTY, ROW_WHOLE};
pub use reference::reference;
pub(crate) use sample::{SAMPLED, fraction as sample_fraction};
pub use sequence::SessionSequences;
pub(crate) use sequence::position as sequence_position;

use crate::context::EvalContext;
use arrow::array::ArrayRef;
use heddle_types::{Oid, PgType, Result};
use registry::{Registry, TABLES};
use serde::{Deserialize, Serialize};

/// Fills the registry: one line per subject.
fn register_all(r: &mut Registry) {
    compare::register(r);
    arith::register(r);
    cast::register(r);
    aggregate::register(r);
    like::register(r);
    regex::register(r);
    strings::register(r);
    system::register(r);
    datefn::register(r);
    bucket::register(r);
    math::register(r);
    set::register(r);
    window::register(r);
    advisory::register(r);
    backend::register(r);
    overlaps::register(r);
    pick::register(r);
    percentile::register(r);
    record::register(r);
    template::register(r);
    bytes::register(r);
    textformat::register(r);
    array::register(r);
    array_ops::register(r);
    json::register(r);
    json_record::register(r);
    json_rows::register(r);
    json_set::register(r);
    json_make::register(r);
    sequence::register(r);
    definition::register(r);
    visible::register(r);
    sample::register(r);
    size::register(r);
    privilege::register(r);
}

/// nextval(regclass)
pub(crate) const NEXTVAL: FuncId = FuncId(1574);

/// OID in pg_proc (or one above 9000 of ours where PostgreSQL has no row).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FuncId(pub u32);

/// A row of the function table.
pub struct Function {
    /// OID
    pub id: FuncId,
    /// proname
    pub name: &'static str,
    /// Argument types; pseudo-types (anyelement, anyarray, any …) are resolved by the binder.
    pub args: &'static [Oid],
    /// Element type of the VARIADIC tail (the last of `args` is its array), 0 if none. `"any"` for concat, format …
    pub variadic: Oid,
    /// How many trailing arguments have defaults (their values are in `defaults`, as literals in text form).
    pub defaults: &'static [&'static str],
    /// Argument names for `f(a => 1)`; empty if none.
    pub arg_names: &'static [&'static str],
    /// Result type (may be a pseudo-type).
    pub ret: Oid,
    /// NULL argument -> NULL result without a call.
    pub strict: bool,
    /// provolatile
    pub volatility: Volatility,
    /// It may wait, so that it never runs on a thread that owns connections: what it waits for may be a session of that thread.
    pub waits: bool,
    /// What it is and how it runs.
    pub kind: Kind,
}

/// provolatile
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// i
    Immutable,
    /// s
    Stable,
    /// v: evaluated per row, never folded or shared
    Volatile,
}

/// The types a call was resolved to.
pub struct CallTypes<'a> {
    /// Actual argument types
    pub args: &'a [PgType],
    /// Actual result type
    pub ret: PgType,
}

/// A scalar kernel: `rows` long columns in, one `rows` long column out. For strict functions the result must be NULL wherever an argument is NULL (errors must not
/// be raised for such rows). Domain errors are per PostgreSQL (22003, 22012 …).
pub type ScalarKernel = fn(&EvalContext, &CallTypes<'_>, &[ArrayRef], usize) -> Result<ArrayRef>;

/// A set-returning kernel: one row of arguments in (columns of length 1), the result columns out (in chunks through `emit`, so that
/// generate_series(1, 1e9) streams; `emit` returns false to stop).
pub type SetKernel =
    fn(&EvalContext, &CallTypes<'_>, &[ArrayRef], &mut dyn FnMut(Vec<ArrayRef>) -> Result<bool>) -> Result<()>;

/// Makes the DataFusion aggregate for resolved types.
pub type AggregateFactory = fn(&CallTypes<'_>) -> Result<std::sync::Arc<datafusion::logical_expr::AggregateUDF>>;

/// Makes the DataFusion window function for resolved types.
pub type WindowFactory = fn(&CallTypes<'_>) -> Result<std::sync::Arc<datafusion::logical_expr::WindowUDF>>;

/// What a function is.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Scalar
    Scalar(ScalarKernel),
    /// A comparison of two values of one type; scalar too, but plans can use it for keys, joins and order.
    Compare(Comparison, ScalarKernel),
    /// Set-returning; the names of its OUT columns (empty: one column named like the function)
    Set(SetKernel, &'static [(&'static str, Oid)]),
    /// Aggregate
    Aggregate(AggregateFactory),
    /// Window function
    Window(WindowFactory),
}

/// Comparison operators that follow the type's default order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// What `b op a` is, written `a op b`.
    pub fn swapped(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}

/// A row of the operator table.
pub struct Operator {
    /// oprname
    pub name: &'static str,
    /// Left type; 0 for prefix operators
    pub left: Oid,
    /// Right type
    pub right: Oid,
    /// The function behind it
    pub func: FuncId,
}

/// When a cast applies by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Only written out
    Explicit,
    /// In INSERT and UPDATE too
    Assignment,
    /// Everywhere
    Implicit,
}

/// A row of the cast table.
pub struct Cast {
    /// From
    pub source: Oid,
    /// To
    pub target: Oid,
    /// When
    pub context: CastContext,
    /// The function (one argument); None = binary coercible (same physical form).
    pub func: Option<FuncId>,
}

/// Functions named `name` (any kind), in OID order.
pub fn by_name(name: &str) -> &'static [&'static Function] {
    TABLES.by_name.get(name).map_or(&[], Vec::as_slice)
}

/// The function with this id.
pub fn by_id(id: FuncId) -> Option<&'static Function> {
    TABLES.by_id.get(&id.0).copied()
}

/// Every function, by OID.
pub fn all() -> &'static [&'static Function] {
    &TABLES.functions
}

/// Operators named `name`.
pub fn operators(name: &str) -> &'static [&'static Operator] {
    TABLES.operators_by_name.get(name).map_or(&[], Vec::as_slice)
}

/// Every operator.
pub fn all_operators() -> &'static [&'static Operator] {
    &TABLES.operators
}

/// The cast from one type to another, if pg_cast has a row. Casts from and to text of any type by its text form (I/O
/// conversion) are not rows: see [`io_cast`].
pub fn cast(source: Oid, target: Oid) -> Option<&'static Cast> {
    TABLES.casts_by_pair.get(&(source, target)).map(|&i| &TABLES.casts[i])
}

/// Every cast row.
pub fn all_casts() -> &'static [Cast] {
    &TABLES.casts
}

/// The function that converts through text: type -> text (assignment context) when `target` is a string type, string
/// type -> type (explicit) otherwise; also unknown literals at run time. Works for any pair; arrays element-wise casts
/// included (`int4[]` -> `text[]` via elements when a cast for elements exists).
pub fn io_cast() -> FuncId {
    FuncId(registry::IO_CAST)
}

/// The function (value, typmod int4, explicit bool) -> value that applies a type modifier; the result type carries it.
pub fn length_cast() -> FuncId {
    FuncId(registry::LENGTH_CAST)
}

/// The equality function of a type's default btree order (`=`), and the others; None for json, unknown …
pub fn comparison(ty: Oid, cmp: Comparison) -> Option<FuncId> {
    TABLES.comparisons.get(&(ty, cmp)).copied()
}

/// An identifier as SQL text: quoted when it has to be.
pub(crate) fn quote_ident(name: &str) -> String {
    reg::quote_ident(name)
}

/// A relation's name, qualified when the search path does not find it.
pub(crate) fn class_name(oid: Oid, cx: &EvalContext) -> Option<String> {
    reg::class_name(oid.0, cx)
}

/// The name a reg* value stands for, as its text form shows it (`-` for 0, the number when nothing has it).
pub fn reg_name(value: u32, ty: PgType, cx: &EvalContext) -> Result<String> {
    reg::name_of(value, ty, cx)
}
