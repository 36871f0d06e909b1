//! What depends on what, as in pg_depend: computed from the catalog, never stored, so that it cannot disagree with it.
//!
//! Invariant: a transaction that makes something holds at least ACCESS SHARE on what it uses, and one that drops something
//! holds ACCESS EXCLUSIVE on it before it looks for dependents: neither can overlook the other.

use super::{notice, transaction};
use crate::bind;
use crate::bound::Expr;
use crate::context::EvalContext;
use crate::eval::visit;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, Object, Relation, Rule, StoredExpr, TableDef};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Datum, Error, Oid, Result, Severity, SqlState, oid};
use std::collections::{BTreeMap, BTreeSet};

/// DETAIL lists at most this many dependent objects, as PostgreSQL's does for the client.
const DETAIL_OBJECTS_MAX: usize = 100;

/// Something that depends or is depended on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    /// A table, view, sequence or index
    Relation(Oid),
    /// A column of a table
    Column(Oid, i16),
    /// The default of a column
    Default(Oid, i16),
    /// A constraint of a table
    Constraint(Oid, Oid),
}

/// deptype
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Normal,
    Auto,
    Internal,
}

/// `who` cannot be without `on`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub who: Thing,
    pub on: Thing,
    pub link: Link,
}

/// Every dependency between objects of a database that PostgreSQL would record, but for a table's own parts.
pub(crate) fn edges(catalog: &CatalogSnapshot, database: Oid) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut add = |who, on, link| edges.push(Edge { who, on, link });
    for view in catalog.views(database) {
        let who = Thing::Relation(view.oid);
        for on in &view.depends {
            let columns: Vec<i16> = view.uses.iter().filter(|(o, _)| o == on).map(|(_, n)| *n).collect();
            if columns.is_empty() {
                add(who, Thing::Relation(*on), Link::Normal);
            }
            columns.iter().for_each(|n| add(who, Thing::Column(*on, *n), Link::Normal));
        }
    }
    for sequence in catalog.sequences(database) {
        if let Some(owner) = sequence.owner {
            let link = if owner.identity { Link::Internal } else { Link::Auto };
            add(Thing::Relation(sequence.oid), Thing::Column(owner.table, owner.attnum), link);
        }
    }
    for table in catalog.tables(database) {
        for column in table.columns.iter().filter(|c| c.identity.is_none()) {
            for sequence in column.default.iter().flat_map(relations_of) {
                add(Thing::Default(table.oid, column.attnum), Thing::Relation(sequence), Link::Normal);
            }
        }
        for constraint in &table.constraints {
            let Rule::References(f) = &constraint.rule else { continue };
            let who = Thing::Constraint(table.oid, constraint.oid);
            f.referenced.iter().for_each(|n| add(who, Thing::Column(f.table, *n), Link::Normal));
            add(who, index_thing(catalog, f.table, f.index), Link::Normal);
        }
    }
    edges
}

/// A unique index as what a foreign key depends on: its constraint, if it has one.
fn index_thing(catalog: &CatalogSnapshot, table: Oid, index: Oid) -> Thing {
    let constraint = catalog.table(table).and_then(|t| t.indexes.iter().find(|i| i.oid == index)?.constraint);
    constraint.map_or(Thing::Relation(index), |c| Thing::Constraint(table, c))
}

/// The relations that a stored expression names (`nextval('s')`).
fn relations_of(stored: &StoredExpr) -> Vec<Oid> {
    fn walk(e: &Expr, out: &mut Vec<Oid>) {
        if let Expr::Literal { value: Datum::Oid(o), ty } = e
            && ty.oid == oid::REGCLASS
        {
            out.push(Oid(*o));
        }
        visit::children(e, &mut |c| walk(c, out));
    }
    let mut out = Vec::new();
    if let Ok(expr) = bind::stored_expr(stored) {
        walk(&expr, &mut out);
    }
    out
}

impl Thing {
    /// The relation that is locked for it.
    fn relation(self) -> Oid {
        match self {
            Self::Relation(oid) | Self::Column(oid, _) | Self::Default(oid, _) | Self::Constraint(oid, _) => oid,
        }
    }

    /// Its own number, by which the older one of two is told.
    fn oid(self) -> Oid {
        match self {
            Self::Relation(oid) | Self::Column(oid, _) | Self::Default(oid, _) | Self::Constraint(_, oid) => oid,
        }
    }

    /// Does `self` go when `whole` goes?
    fn within(self, whole: Thing) -> bool {
        self == whole || whole == Thing::Relation(self.relation())
    }
}

type Found = (Thing, Thing, Link);

/// What depends on `roots`, directly or not, each with what it was found by and how, in the order in which PostgreSQL
/// reports it; what belongs to a root is not among it.
fn closure(roots: &[Thing], catalog: &CatalogSnapshot, database: Oid) -> Vec<Found> {
    let edges = edges(catalog, database);
    let gone = |seen: &BTreeSet<Thing>, t: Thing| seen.contains(&t) || seen.contains(&Thing::Relation(t.relation()));
    // Oldest first: the newest is taken from the end.
    let users = |of: Thing| {
        let mut users: Vec<Found> = edges.iter().filter(|e| e.on.within(of)).map(|e| (e.who, of, e.link)).collect();
        users.sort_by_key(|(who, _, _)| (who.oid(), *who));
        users.dedup_by_key(|(who, _, _)| *who);
        users
    };
    let mut seen: BTreeSet<Thing> = roots.iter().copied().collect();
    // Who is dropped first comes first: depth first without recursion, since chains of views can be long.
    let mut dropped: Vec<Found> = Vec::new();
    for root in roots {
        let mut stack: Vec<(Option<Found>, Vec<Found>)> = vec![(None, users(*root))];
        while let Some((_, ahead)) = stack.last_mut() {
            match ahead.pop() {
                Some(next) if gone(&seen, next.0) => {}
                Some(next) => {
                    seen.insert(next.0);
                    stack.push((Some(next), users(next.0)));
                }
                None => dropped.extend(stack.pop().and_then(|(done, _)| done)),
            }
        }
    }
    dropped.reverse();
    dropped
}

/// Drops what depends on `roots` (which the caller holds and drops next), and tells the client.
///
/// # Errors
/// `2BP01` when something does and CASCADE was not said.
pub(super) async fn drop_dependents(roots: &[Thing], cascade: bool, ctx: &EvalContext) -> Result<()> {
    let found = lock_dependents(roots, ctx).await?;
    let catalog = transaction(ctx)?.catalog();
    let name = |t: Thing| described(t, &catalog, ctx);
    let told: Vec<_> = found.iter().filter(|(_, _, link)| *link == Link::Normal).collect();
    if !told.is_empty() && !cascade {
        let text = match roots {
            [one] => format!("cannot drop {} because other objects depend on it", name(*one)),
            _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
        };
        return Err(refusal(
            text,
            told.iter().map(|(who, on, _)| format!("{} depends on {}", name(*who), on_described(*on, &catalog, ctx))),
        ));
    }
    tell_cascade(told.iter().map(|(who, _, _)| name(*who)).collect(), ctx);
    remove(found.iter().map(|(who, _, _)| *who), ctx)
}

/// `2BP01` with its list.
pub(super) fn refusal(text: String, all: impl Iterator<Item = String>) -> Error {
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text)
        .detail(lines(all))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

/// What depends on `roots`, held exclusively (looking again until nothing new appeared).
pub(super) async fn lock_dependents(roots: &[Thing], ctx: &EvalContext) -> Result<Vec<(Thing, Thing, Link)>> {
    let txn = transaction(ctx)?;
    let mut held = BTreeSet::new();
    loop {
        let found = closure(roots, &txn.catalog(), ctx.session.database_oid);
        let fresh: Vec<Oid> = found.iter().map(|(who, _, _)| who.relation()).filter(|o| !held.contains(o)).collect();
        if fresh.is_empty() {
            return Ok(found);
        }
        for oid in fresh {
            txn.lock_relation(oid, RelationLock::AccessExclusive, Wait::Block).await?;
            held.insert(oid);
        }
    }
}

/// Removes dependents that are locked.
pub(super) fn remove(things: impl Iterator<Item = Thing>, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let catalog = txn.catalog();
    let mut tables: BTreeMap<Oid, TableDef> = BTreeMap::new();
    let mut edits = Vec::new();
    for thing in things {
        match thing {
            Thing::Relation(oid) => edits.push(CatalogEdit::Delete(oid)),
            Thing::Default(oid, _) | Thing::Constraint(oid, _) | Thing::Column(oid, _) => {
                let Some(now) = catalog.table(oid) else { continue };
                let table = tables.entry(oid).or_insert_with(|| (*now).clone());
                remove_part(table, thing);
            }
        }
    }
    edits.extend(tables.into_values().map(|t| CatalogEdit::Put(Object::Table(t))));
    txn.edit_catalog(edits)
}

fn remove_part(table: &mut TableDef, part: Thing) {
    match part {
        Thing::Default(_, attnum) => {
            if let Some(column) = table.columns.iter_mut().find(|c| c.attnum == attnum) {
                column.default = None;
            }
        }
        Thing::Constraint(_, oid) => {
            table.constraints.retain(|c| c.oid != oid);
            table.comments.retain(|c| c.on != oid);
        }
        Thing::Relation(_) | Thing::Column(..) => {}
    }
}

/// `NOTICE: drop cascades to …`
pub(super) fn tell_cascade(names: Vec<String>, ctx: &EvalContext) {
    let line = |n: &String| format!("drop cascades to {n}");
    match names.as_slice() {
        [] => {}
        [one] => notice(ctx, SqlState::SUCCESSFUL_COMPLETION, line(one)),
        many => {
            let text = format!("drop cascades to {} other objects", many.len());
            let note = Error::notice(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text);
            (ctx.session.notice)(note.detail(lines(many.iter().map(line))));
        }
    }
}

/// Lines of a DETAIL; what is too much for the client is counted.
pub(super) fn lines(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    if all.len() > DETAIL_OBJECTS_MAX {
        let rest = all.len() - DETAIL_OBJECTS_MAX;
        all.truncate(DETAIL_OBJECTS_MAX);
        all.push(format!("and {rest} other objects (see server log for list)"));
    }
    all.join("\n")
}

/// A thing as dependency messages name it: `view v`, qualified unless the search path finds it.
pub(super) fn described(thing: Thing, catalog: &CatalogSnapshot, ctx: &EvalContext) -> String {
    let relation = |oid: Oid| relation_described(oid, catalog, ctx);
    let table = catalog.table(thing.relation());
    match (thing, &table) {
        (Thing::Relation(oid), _) => relation(oid),
        (Thing::Column(oid, n), Some(t)) => format!("column {} of {}", t.columns[n as usize - 1].name, relation(oid)),
        (Thing::Default(oid, n), Some(t)) => {
            format!("default value for column {} of {}", t.columns[n as usize - 1].name, relation(oid))
        }
        (Thing::Constraint(oid, c), Some(t)) => {
            let index = t.indexes.iter().find(|i| i.constraint == Some(c)).map(|i| &i.name);
            let name = index.or_else(|| t.constraints.iter().find(|o| o.oid == c).map(|o| &o.name));
            format!("constraint {} on {}", name.map_or("?", String::as_str), relation(oid))
        }
        (_, None) => relation(thing.relation()),
    }
}

/// What is depended on: a key's constraint shows as its index.
fn on_described(thing: Thing, catalog: &CatalogSnapshot, ctx: &EvalContext) -> String {
    let index = match thing {
        Thing::Constraint(table, c) => {
            catalog.table(table).and_then(|t| t.indexes.iter().find(|i| i.constraint == Some(c)).map(|i| i.oid))
        }
        _ => None,
    };
    index.map_or_else(|| described(thing, catalog, ctx), |oid| relation_described(oid, catalog, ctx))
}

fn relation_described(oid: Oid, catalog: &CatalogSnapshot, ctx: &EvalContext) -> String {
    let Some(relation) = catalog.relation_by_oid(oid) else { return format!("relation {}", oid.0) };
    let kind = match &relation {
        Relation::Table(_) => "table",
        Relation::Index(..) => "index",
        Relation::View(_) => "view",
        Relation::Sequence(_) => "sequence",
    };
    match catalog.schema_by_oid(relation.schema()) {
        Some(s) if !ctx.session.search_path.contains(&s.name) => format!("{kind} {}.{}", s.name, relation.name()),
        _ => format!("{kind} {}", relation.name()),
    }
}
