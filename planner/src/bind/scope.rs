//! Names: which relations and columns an expression can see.
//!
//! A level is one SELECT (or DML statement). Names are looked up from the innermost level outwards; what is found further
//! out becomes an `Outer` reference. While FROM is bound the level shows what LATERAL items may see, and nothing else.

use super::names::{fold, start};
use super::{Binder, Typed};
use crate::bound::{AggregateCall, ColId, CteId, Expr, SetCall, WindowCall};
use crate::context::EvalContext;
use crate::ddl::temporary::TO_BE_MADE;
use crate::syscat::{self, SystemTable};
use heddle_catalog::{INFORMATION_SCHEMA, PG_CATALOG, Relation, SequenceDef, TableDef, ViewDef};
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};
use sqlparser::ast::{Ident, ObjectName, Spanned};
use std::sync::Arc;

/// Which part of a statement is being bound: for `aggregate functions are not allowed in WHERE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    Select,
    From,
    JoinOn,
    Where,
    GroupBy,
    Having,
    OrderBy,
    Limit,
    Values,
    Update,
    Returning,
    Default,
    ExecuteParameter,
    Check,
    Using,
    CopyWhere,
    MergeWhen,
}

impl Clause {
    /// "aggregate functions are not allowed in …"
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::From => "functions in FROM",
            Self::JoinOn => "JOIN conditions",
            Self::Where => "WHERE",
            Self::GroupBy => "GROUP BY",
            Self::Having => "HAVING",
            Self::OrderBy => "ORDER BY",
            Self::Limit => "LIMIT",
            Self::Values => "VALUES",
            Self::Update => "UPDATE",
            Self::Returning => "RETURNING",
            Self::Default => "DEFAULT expressions",
            Self::ExecuteParameter => "EXECUTE parameters",
            Self::Check => "check constraints",
            Self::Using => "transform expressions",
            Self::CopyWhere => "COPY FROM WHERE conditions",
            Self::MergeWhen => "MERGE WHEN conditions",
        }
    }

    pub fn allows_aggregates(self) -> bool {
        matches!(self, Self::Select | Self::Having | Self::OrderBy)
    }
}

/// A column one can name.
#[derive(Clone, Debug)]
pub(crate) struct ScopeColumn {
    pub name: String,
    pub id: ColId,
    pub ty: PgType,
    pub origin: Option<(Oid, i16)>,
    /// The FROM item it is shown under in messages.
    pub table: String,
}

/// A FROM item one can name.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub alias: String,
    /// Set when it is a table without alias: `schema.table.column` works.
    pub schema: Option<String>,
    pub table: Option<Arc<TableDef>>,
    pub table_oid: Option<Oid>,
    /// The table's own name when an alias hides it.
    pub hidden_name: Option<String>,
    pub columns: Vec<ScopeColumn>,
}

/// What FROM makes visible: items for `t.c`, columns in order for `c` and `*` (USING columns merged).
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespace {
    pub items: Vec<Item>,
    pub columns: Vec<ScopeColumn>,
}

impl Namespace {
    pub fn of(item: Item) -> Self {
        Self { columns: item.columns.clone(), items: vec![item] }
    }

    pub fn ids(&self) -> Vec<ColId> {
        self.items.iter().flat_map(|i| &i.columns).chain(&self.columns).map(|c| c.id).collect()
    }

    /// Two sides of a join together.
    ///
    /// # Errors
    /// `42712` when an alias comes twice.
    pub fn join(mut self, other: Self, pos: Option<u32>) -> Result<Self> {
        for item in other.items {
            if self.items.iter().any(|i| i.alias == item.alias && i.schema == item.schema && !i.alias.is_empty()) {
                let message = format!("table name \"{}\" specified more than once", item.alias);
                return Err(Error::new(SqlState::DUPLICATE_ALIAS, message).at(pos));
            }
            self.items.push(item);
        }
        self.columns.extend(other.columns);
        Ok(self)
    }
}

/// A WINDOW clause entry.
pub(crate) type NamedWindow = (String, sqlparser::ast::WindowSpec);

/// One SELECT while it is bound.
pub(crate) struct Level {
    pub clause: Clause,
    pub names: Namespace,
    pub in_aggregate: bool,
    pub in_window: bool,
    pub aggregates: Vec<(ColId, AggregateCall)>,
    pub windows: Vec<(ColId, WindowCall)>,
    pub set_calls: Vec<SetCall>,
    pub grouping_calls: Vec<(ColId, Vec<Typed>)>,
    pub named_windows: Vec<NamedWindow>,
    /// Columns of this level used outside aggregates: (id, `t.c`, position, from a sub-query).
    pub uses: Vec<(ColId, String, Option<u32>, bool)>,
    /// Tables whose rows will be locked: None = none, empty = all.
    pub locked: Option<Vec<String>>,
    /// Items that this part of the statement cannot name, for messages.
    pub barred: Vec<Item>,
}

impl Level {
    pub fn new(clause: Clause) -> Self {
        Self {
            clause,
            names: Namespace::default(),
            in_aggregate: false,
            in_window: false,
            aggregates: Vec::new(),
            windows: Vec::new(),
            set_calls: Vec::new(),
            grouping_calls: Vec::new(),
            named_windows: Vec::new(),
            uses: Vec::new(),
            locked: None,
            barred: Vec::new(),
        }
    }
}

/// A CTE in sight.
#[derive(Clone)]
pub(crate) struct CteEntry {
    pub name: String,
    pub id: CteId,
    pub columns: Vec<(String, PgType)>,
    /// It gives rows: a data-modifying WITH query without RETURNING does not.
    pub readable: bool,
    /// Number of references so far.
    pub used: usize,
}

/// What a relation name stands for.
pub(super) enum Found {
    Table(Arc<TableDef>),
    System(&'static SystemTable),
    Index(String),
    View(Arc<ViewDef>),
    Sequence(Arc<SequenceDef>),
}

/// Looks a relation up, along the search path when it is not qualified.
pub(super) fn find_relation(ctx: &EvalContext, schema: Option<&str>, name: &str) -> Option<Found> {
    match schema {
        Some(schema) => find_in(ctx, schema, name),
        None => search_path(ctx).iter().find_map(|schema| find_in(ctx, schema, name)),
    }
}

fn find_in(ctx: &EvalContext, schema: &str, name: &str) -> Option<Found> {
    let schema = ctx.session.schema_named(schema);
    if let Some(table) = syscat::lookup(&schema, name) {
        return Some(Found::System(table));
    }
    let schema = ctx.catalog.schema(ctx.session.database_oid, &schema)?;
    match ctx.catalog.relation(schema.oid, name)? {
        Relation::Table(t) => Some(Found::Table(t)),
        Relation::Index(t, i) => Some(Found::Index(t.indexes[i].name.clone())),
        Relation::View(v) => Some(Found::View(v)),
        Relation::Sequence(s) => Some(Found::Sequence(s)),
    }
}

/// Schemas in search order.
pub(super) fn search_path(ctx: &EvalContext) -> Vec<String> {
    ctx.session.path().into_iter().map(|s| s.schema).collect()
}

/// The schema new objects go to.
///
/// # Errors
/// `3F000`; `42P16` for the temporary schema of another session.
pub(super) fn creation_schema(ctx: &EvalContext, schema: Option<&str>) -> Result<(Oid, String)> {
    let Some(name) = schema else {
        let named = ctx.session.path().into_iter().filter(|s| !s.implicit);
        let found = named.map(|s| schema_to_fill(ctx, &s.schema)).find_map(|s| s.ok());
        let none = || Error::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in");
        return found.ok_or_else(none);
    };
    schema_to_fill(ctx, &ctx.session.schema_named(name))
}

fn schema_to_fill(ctx: &EvalContext, name: &str) -> Result<(Oid, String)> {
    match ctx.catalog.schema(ctx.session.database_oid, name) {
        Some(s) if s.oid == PG_CATALOG || s.oid == INFORMATION_SCHEMA => Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to create in schema \"{name}\""),
        )
        .detail("System catalog modifications are currently disallowed.")),
        Some(s) if s.is_temporary() && s.name != ctx.session.temporary_schema() => Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            "cannot create relations in temporary schemas of other sessions",
        )),
        Some(s) => Ok((s.oid, s.name.clone())),
        None if name == ctx.session.temporary_schema() => Ok((TO_BE_MADE, name.to_owned())),
        None => Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))),
    }
}

/// The schema new temporary objects go to.
///
/// # Errors
/// `42P16` when another is named.
pub(super) fn temporary_schema(ctx: &EvalContext, schema: Option<&str>) -> Result<(Oid, String)> {
    let (oid, name) = creation_schema(ctx, Some(schema.unwrap_or("pg_temp")))?;
    if name == ctx.session.temporary_schema() {
        return Ok((oid, name));
    }
    let message = "cannot create temporary relation in non-temporary schema";
    Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message))
}

pub(super) fn unknown_relation(schema: Option<&str>, name: &str) -> Error {
    let full = schema.map_or_else(|| name.to_owned(), |s| format!("{s}.{name}"));
    Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{full}\" does not exist"))
}

impl Binder<'_> {
    /// Are these the objects of one session only?
    pub(super) fn is_temporary(&self, schema: Oid) -> bool {
        schema == TO_BE_MADE || self.catalog().is_temporary(schema)
    }

    /// `0A000` for the rows of another session's temporary table.
    pub(super) fn refuse_foreign(&self, table: &TableDef) -> Result<()> {
        let foreign =
            |s: Arc<heddle_catalog::SchemaDef>| s.is_temporary() && s.name != self.ctx.session.temporary_schema();
        if self.catalog().schema_by_oid(table.schema).is_some_and(foreign) {
            let message = "cannot access temporary tables of other sessions";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        Ok(())
    }

    pub(super) fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("expressions are bound inside a level")
    }

    /// Binds a part of a statement under another clause's rules.
    pub(super) fn within<T>(&mut self, clause: Clause, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.level().clause, clause);
        let result = work(self);
        self.level().clause = before;
        result
    }

    /// A column by its bare name.
    pub(super) fn column(&mut self, ident: &Ident) -> Result<Typed> {
        let (name, pos) = (fold(ident), start(ident.span));
        for depth in 0..self.levels.len() {
            let at = self.levels.len() - 1 - depth;
            let mut found = self.levels[at].names.columns.iter().filter(|c| c.name == name);
            if let Some(column) = found.next() {
                if found.next().is_some() {
                    let message = format!("column reference \"{name}\" is ambiguous");
                    return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message).at(pos));
                }
                let column = column.clone();
                return Ok(self.reference(&column, depth, pos));
            }
        }
        if let Some((item, depth)) = self.item(None, &name) {
            return Ok(self.whole_row(&item, depth, pos));
        }
        if self.levels.last().is_some_and(|l| l.names.items.iter().any(|i| i.table_oid.is_some()))
            && let Some(value) = self.system_column(&name, None, pos)?
        {
            return Ok(value);
        }
        Err(self.unknown_column(&name, pos))
    }

    fn unknown_column(&self, name: &str, pos: Option<u32>) -> Error {
        let e = Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist")).at(pos);
        let mut barred = self.levels.iter().rev().flat_map(|l| &l.barred);
        if let Some(item) = barred.find(|i| i.columns.iter().any(|c| c.name == name)) {
            return e.hint(format!(
                "There is a column named \"{name}\" in table \"{}\", but it cannot be referenced from this part of the query.",
                item.alias
            ));
        }
        let items = self.levels.last().map(|l| l.names.items.as_slice()).unwrap_or_default();
        match closest(
            name,
            items.iter().flat_map(|i| i.columns.iter().map(move |c| (i.alias.as_str(), c.name.as_str()))),
        ) {
            Some((t, c)) => e.hint(format!("Perhaps you meant to reference the column \"{t}.{c}\".")),
            None => e,
        }
    }

    /// `t.c`, `s.t.c`, `db.s.t.c`
    pub(super) fn compound(&mut self, idents: &[Ident]) -> Result<Typed> {
        let pos = idents.first().and_then(|i| start(i.span));
        let mut parts: Vec<String> = idents.iter().map(fold).collect();
        let column = parts.pop().expect("a compound name has parts");
        let table = parts.pop().expect("a compound name has two parts");
        let schema = parts.pop();
        if let Some(db) = parts.pop()
            && db != self.ctx.session.database
        {
            let message = format!(
                "cross-database references are not implemented: {db}.{}.{table}.{column}",
                schema.unwrap_or_default()
            );
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos));
        }
        let Some((item, depth)) = self.item(schema.as_deref(), &table) else {
            return Err(self.missing_from(&table, pos));
        };
        let mut found = item.columns.iter().filter(|c| c.name == column);
        if let Some(c) = found.next() {
            if found.next().is_some() {
                let message = format!("column reference \"{column}\" is ambiguous");
                return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message).at(pos));
            }
            return Ok(self.reference(&c.clone(), depth, pos));
        }
        if item.table_oid.is_some()
            && let Some(value) = self.system_column(&column, item.table_oid, pos)?
        {
            return Ok(value);
        }
        let e = Error::new(SqlState::UNDEFINED_COLUMN, format!("column {table}.{column} does not exist")).at(pos);
        Err(match closest(&column, item.columns.iter().map(|c| (item.alias.as_str(), c.name.as_str()))) {
            Some((t, c)) => e.hint(format!("Perhaps you meant to reference the column \"{t}.{c}\".")),
            None => e,
        })
    }

    /// `t.*` as a value.
    pub(super) fn qualified_row(&mut self, name: &ObjectName) -> Result<Typed> {
        let pos = start(name.span());
        let mut all = super::names::parts(name)?;
        let table = all.pop().unwrap_or_default();
        match self.item(all.pop().as_deref(), &table) {
            Some((item, depth)) => Ok(self.whole_row(&item, depth, pos)),
            None => Err(self.missing_from(&table, pos)),
        }
    }

    /// The FROM item with this name and how many levels out it is.
    pub(super) fn item(&self, schema: Option<&str>, table: &str) -> Option<(Item, usize)> {
        for depth in 0..self.levels.len() {
            let level = &self.levels[self.levels.len() - 1 - depth];
            let matches = |i: &&Item| i.alias == table && schema.is_none_or(|s| i.schema.as_deref() == Some(s));
            if let Some(item) = level.names.items.iter().find(matches) {
                return Some((item.clone(), depth));
            }
        }
        None
    }

    pub(super) fn missing_from(&self, table: &str, pos: Option<u32>) -> Error {
        let hidden =
            self.levels.iter().rev().flat_map(|l| &l.names.items).find(|i| i.hidden_name.as_deref() == Some(table));
        let invalid = || {
            let message = format!("invalid reference to FROM-clause entry for table \"{table}\"");
            Error::new(SqlState::UNDEFINED_TABLE, message).at(pos)
        };
        match hidden {
            Some(item) => invalid().hint(format!("Perhaps you meant to reference the table alias \"{}\".", item.alias)),
            None if self.levels.iter().flat_map(|l| &l.barred).any(|i| i.alias == table) => invalid().hint(format!(
                "There is an entry for table \"{table}\", but it cannot be referenced from this part of the query."
            )),
            None => Error::new(SqlState::UNDEFINED_TABLE, format!("missing FROM-clause entry for table \"{table}\""))
                .at(pos),
        }
    }

    fn system_column(&mut self, name: &str, table: Option<Oid>, pos: Option<u32>) -> Result<Option<Typed>> {
        match name {
            "tableoid" => {
                let first = || self.levels.last()?.names.items.iter().find_map(|i| i.table_oid);
                let Some(table) = table.or_else(first) else { return Ok(None) };
                let value = Expr::Literal { value: Datum::Oid(table.0), ty: PgType::new(oid::OID) };
                Ok(Some(Typed::new(value, pos)))
            }
            "ctid" | "xmin" | "xmax" | "cmin" | "cmax" => {
                Err(Error::unsupported(format!("system column \"{name}\"")).at(pos))
            }
            _ => Ok(None),
        }
    }

    /// A reference to a column `depth` levels out.
    pub(super) fn reference(&mut self, column: &ScopeColumn, depth: usize, pos: Option<u32>) -> Typed {
        let at = self.levels.len() - 1 - depth;
        let level = &mut self.levels[at];
        if level.clause.allows_aggregates() && !level.in_aggregate {
            let shown =
                if column.table.is_empty() { column.name.clone() } else { format!("{}.{}", column.table, column.name) };
            level.uses.push((column.id, shown, pos, depth > 0));
        }
        let (id, ty) = (column.id, column.ty);
        self.used.extend(column.origin);
        if depth > 0 {
            self.outer_used.push(id);
        }
        Typed::new(if depth == 0 { Expr::Column { id, ty } } else { Expr::Outer { id, ty } }, pos)
    }
}

/// The most similar name, if it is similar enough to suggest (at most half of it changed, as in PostgreSQL).
fn closest<'n>(wanted: &str, names: impl Iterator<Item = (&'n str, &'n str)>) -> Option<(&'n str, &'n str)> {
    let mut best: Option<(usize, (&str, &str))> = None;
    let mut ties = 0;
    for (table, name) in names {
        let distance = edit_distance(wanted, name);
        if distance > 3 || distance > wanted.chars().count() / 2 {
            continue;
        }
        match &best {
            Some((d, _)) if *d < distance => {}
            Some((d, _)) if *d == distance => ties += 1,
            _ => (best, ties) = (Some((distance, (table, name))), 0),
        }
    }
    best.filter(|_| ties == 0).map(|(_, found)| found)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = if x == *y { diagonal } else { diagonal + 1 };
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
