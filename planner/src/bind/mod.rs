//! The binder: AST + catalog -> bound tree, by PostgreSQL's rules.
//!
//! Called by `session` at Parse and by `exec` for defaults. Resolves every name, type, operator and cast; what comes out
//! needs no more decisions. Never evaluates anything that could change: only literals are read and casts of literals folded.
//!
//! | module | subject |
//! |---|---|
//! | `scope` | names: FROM items, columns, outer levels |
//! | `types`, `coerce`, `candidates` | type names; casts; PostgreSQL's choice among overloaded functions |
//! | `call`, `expr`, `special`, `subquery`, `window` | expressions |
//! | `from`, `from_function`, `sample`, `select`, `grouping`, `setop` | queries |
//! | `dml`, `merge`, `updatable`, `ddl`, `index`, `view`, `copy` | statements |
//! | `alter`, `change`, `rename`, `constraint`, `reference`, `sequence`, `serial`, `storage` | the rest of DDL |
//! | `stored` | bound expressions as catalog text |

mod alter;
mod call;
mod candidates;
mod change;
mod coerce;
mod constant;
mod constraint;
mod copy;
mod ddl;
mod dml;
mod expr;
mod frame;
mod from;
mod from_function;
mod grouping;
mod index;
mod json_rows;
mod key;
mod like;
mod meaning;
mod merge;
mod names;
mod ordered_set;
mod record;
mod reference;
mod rename;
mod sample;
mod scope;
mod select;
mod sequence;
mod serial;
mod series;
mod series_alter;
mod setop;
mod special;
mod statement;
mod storage;
mod stored;
mod subquery;
mod types;
mod updatable;
mod view;
mod walk;
mod window;
mod with;

pub(crate) use constraint::columns_of;
pub use copy::{CopySource, copy_filter, copy_source, copy_target};
pub(crate) use meaning::view_meaning;
pub(crate) use names::fold_identifier;
pub(crate) use sequence::inside;
pub(crate) use types::resolve_type;
pub(crate) use walk::rewrite;

use crate::bound::{Bound, ColId, CteId, Expr, Statement};
use crate::context::EvalContext;
use crate::function::CastContext;
use crate::parse::{Ast, Places, on_large_stack};
use heddle_catalog::{CatalogSnapshot, StoredExpr, TableDef, ViewDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, Oid, PgType, Result, SqlState, oid};
use scope::{CteEntry, Level};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Binds a statement. `declared` are the client's parameter types (OID 0 or 705 = infer); the result's `params` has every type.
///
/// # Errors
/// PostgreSQL's codes and wording with the position inside the statement's own text (1-based characters; the session adds the offset).
pub fn bind(ast: &Ast, declared: &[PgType], ctx: &EvalContext) -> Result<Bound> {
    on_large_stack(|| {
        let mut binder = Binder::new(declared, ctx);
        let (statement, columns) = match ast {
            Ast::Statement(statement) => {
                binder.places = statement.places();
                binder.whole_statement(statement)?
            }
            Ast::Own(own) => {
                binder.places = own.places();
                (Statement::Ddl(binder.own(own)?), None)
            }
            Ast::Series(statement) => {
                binder.places = statement.places();
                (Statement::Ddl(binder.series_statement(statement)?), None)
            }
            Ast::Expr(_) => return Err(Error::internal("an expression is not a statement")),
        };
        let params = binder.finish_params()?;
        Ok(Bound {
            statement,
            params,
            columns,
            locks: binder.locks,
            catalog: ctx.catalog.from_index(),
            tables: binder.tables,
            views: binder.views,
            shows_inventory: binder.shows_inventory,
        })
    })
}

/// Binds EXECUTE's argument to the type of a parameter (assignment rules).
///
/// # Errors
/// `42804` when the types do not fit.
pub fn bind_argument(ast: &Ast, ty: PgType, ctx: &EvalContext) -> Result<Expr> {
    let Ast::Expr(expr) = ast else {
        return Err(Error::internal("a statement is not an expression"));
    };
    on_large_stack(|| {
        let mut binder = Binder::new(&[], ctx);
        binder.places = expr.places();
        binder.levels.push(Level::new(scope::Clause::ExecuteParameter));
        let value = binder.expr(expr)?;
        let (from, pos) = (value.ty(), value.pos);
        match binder.coerce(value, ty, CastContext::Assignment)? {
            Some(v) => Ok(v.expr),
            None => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "parameter of type {} cannot be coerced to the expected type {}",
                    from.sql_name(),
                    ty.sql_name()
                ),
            )
            .hint("You will need to rewrite or cast the expression.")
            .at(pos)),
        }
    })
}

/// Resolves a table name (search_path when unqualified): `42P01` as in queries.
///
/// # Errors
/// `42P01`; `42809` for a relation that is no table.
pub fn resolve_table(schema: Option<&str>, name: &str, ctx: &EvalContext) -> Result<Arc<TableDef>> {
    match scope::find_relation(ctx, schema, name) {
        Some(scope::Found::Table(t)) => Ok(t),
        Some(scope::Found::System(_)) => Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{name}\" is a system catalog"),
        )),
        Some(scope::Found::Index(index)) => {
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot open relation \"{index}\""))
                .detail("This operation is not supported for indexes."))
        }
        Some(scope::Found::View(v)) => Err(view::not_a_table(&v)),
        Some(scope::Found::Sequence(s)) => Err(sequence::not_a(&s, "table")),
        None => Err(scope::unknown_relation(schema, name)),
    }
}

/// A stored expression, ready to evaluate.
///
/// # Errors
/// `XX001` when the catalog holds something else.
pub fn stored_expr(stored: &StoredExpr) -> Result<Expr> {
    stored::read(stored)
}

/// The catalog form of an expression without parameters and sub-queries; columns in it are attribute numbers.
///
/// # Errors
/// `0A000` for anything else.
pub fn store_expr(expr: &Expr) -> Result<StoredExpr> {
    stored::write(expr)
}

/// An expression while it is bound: with the place that an error about it names.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub expr: Expr,
    /// 1-based character position.
    pub pos: Option<u32>,
}

impl Typed {
    pub fn new(expr: Expr, pos: Option<u32>) -> Self {
        Self { expr, pos }
    }

    pub fn ty(&self) -> PgType {
        self.expr.ty()
    }

    pub fn oid(&self) -> Oid {
        self.ty().oid
    }

    pub fn is_unknown(&self) -> bool {
        self.oid() == oid::UNKNOWN
    }
}

/// The state of binding one statement.
pub(crate) struct Binder<'a> {
    pub ctx: &'a EvalContext,
    /// Type of each parameter seen or declared.
    params: Vec<Option<PgType>>,
    /// Parameters used where any type is accepted, and where.
    untyped_uses: Vec<(usize, Option<u32>)>,
    next_column: u32,
    next_cte: u32,
    levels: Vec<Level>,
    /// Every outer reference made, to find out which FROM items are lateral.
    outer_used: Vec<ColId>,
    ctes: Vec<CteEntry>,
    locks: Vec<(Oid, RelationLock)>,
    tables: Vec<Arc<TableDef>>,
    /// Where the statement's tokens stand, for positions that the tree lacks.
    places: Arc<Places>,
    /// What the SELECT bound last shows, for LIMIT's message about columns.
    shown: scope::Namespace,
    views: Vec<Arc<ViewDef>>,
    /// A system table that shows what the session has under names is read.
    shows_inventory: bool,
    /// Relations the text itself names; those inside views are not among them.
    direct: Vec<Oid>,
    /// Columns of relations that the text uses, stars included.
    used: BTreeSet<(Oid, i16)>,
    /// Stars of select lists
    stars: Vec<crate::parse::Star>,
    /// OVERRIDING of the INSERT at hand
    overriding: Option<dml::Overriding>,
    /// WITH queries of the statement that change data.
    changes: Vec<crate::bound::Change>,
    /// How many WITH queries this one is inside of.
    cte_depth: u32,
    /// How many views this one is inside of.
    view_depth: u32,
}

impl<'a> Binder<'a> {
    fn new(declared: &[PgType], ctx: &'a EvalContext) -> Self {
        let known = |t: &PgType| (t.oid.0 != 0 && t.oid != oid::UNKNOWN).then_some(*t);
        Self {
            ctx,
            params: declared.iter().map(known).collect(),
            untyped_uses: Vec::new(),
            next_column: 0,
            next_cte: 0,
            levels: Vec::new(),
            outer_used: Vec::new(),
            ctes: Vec::new(),
            locks: Vec::new(),
            tables: Vec::new(),
            places: Arc::default(),
            shown: scope::Namespace::default(),
            views: Vec::new(),
            shows_inventory: false,
            direct: Vec::new(),
            used: BTreeSet::new(),
            stars: Vec::new(),
            overriding: None,
            changes: Vec::new(),
            cte_depth: 0,
            view_depth: 0,
        }
    }

    fn catalog(&self) -> &'a CatalogSnapshot {
        &self.ctx.catalog
    }

    fn new_column(&mut self) -> ColId {
        self.next_column += 1;
        ColId(self.next_column)
    }

    fn new_cte(&mut self) -> CteId {
        self.next_cte += 1;
        CteId(self.next_cte)
    }

    /// Remembers the lock on a table; the stronger mode wins.
    fn lock(&mut self, table: &Arc<TableDef>, mode: RelationLock) {
        self.direct.push(table.oid);
        match self.locks.iter_mut().find(|(t, _)| *t == table.oid) {
            Some((_, held)) => *held = (*held).max(mode),
            None => self.locks.push((table.oid, mode)),
        }
        if !self.tables.iter().any(|t| t.oid == table.oid) {
            self.tables.push(table.clone());
        }
    }

    /// Marks a parameter as used; its type if known by now.
    fn param(&mut self, index: usize) -> Option<PgType> {
        if self.params.len() <= index {
            self.params.resize(index + 1, None);
        }
        self.params[index]
    }

    /// The first context that wants a type of a parameter decides.
    fn fix_param(&mut self, index: usize, ty: PgType, pos: Option<u32>) -> Result<PgType> {
        let ty = PgType::new(ty.oid);
        match self.param(index) {
            Some(known) if known.oid != ty.oid => Err(Error::new(
                SqlState::AMBIGUOUS_PARAMETER,
                format!("inconsistent types deduced for parameter ${}", index + 1),
            )
            .detail(format!("{} versus {}", known.sql_name(), ty.sql_name()))
            .at(pos)),
            Some(known) => Ok(known),
            None => {
                self.params[index] = Some(ty);
                Ok(ty)
            }
        }
    }

    fn finish_params(&self) -> Result<Vec<PgType>> {
        if let Some((index, pos)) = self.untyped_uses.first() {
            return Err(match self.params.get(*index) {
                Some(Some(_)) => undetermined(*index, SqlState::AMBIGUOUS_PARAMETER).at(*pos),
                _ => undetermined(*index, SqlState::INDETERMINATE_DATATYPE),
            });
        }
        let typed =
            |(i, t): (usize, &Option<PgType>)| t.ok_or_else(|| undetermined(i, SqlState::INDETERMINATE_DATATYPE));
        self.params.iter().enumerate().map(typed).collect()
    }
}

fn undetermined(index: usize, code: SqlState) -> Error {
    Error::new(code, format!("could not determine data type of parameter ${}", index + 1))
}
