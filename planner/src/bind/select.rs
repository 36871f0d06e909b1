//! SELECT: clauses in PostgreSQL's order of binding, then the operators from FROM up to the projection.
//!
//!   FROM -> Filter -> Aggregate -> Filter (HAVING) -> Window -> ProjectSet -> Project -> Distinct -> Sort
//!
//! With row locks: FROM -> Filter -> Sort -> Lock -> Project, so that rows are locked in order and as they are asked for.

use super::expr::unnested;
use super::from::From;
use super::grouping::Groups;
use super::names::{fold, output_name, start};
use super::scope::{Clause, Level, Namespace};
use super::walk;
use super::window::sort_key;
use super::{Binder, Typed};
use crate::bound::{ColId, Expr, LockTarget, OutputColumn, Query, Rel, SortKey, TableScan};
use heddle_txn::{RowLock, Wait};
use heddle_types::{Error, PgType, Result, SqlState};
use sqlparser::ast::{self, Distinct, SelectItem, SelectItemQualifiedWildcardKind, Spanned};

/// A select list entry.
#[derive(Clone)]
pub(super) struct Output {
    pub name: String,
    pub value: Typed,
}

/// What surrounds a SELECT in its query.
#[derive(Clone, Copy, Default)]
pub(super) struct Around<'q> {
    pub order_by: &'q [ast::OrderByExpr],
    pub locks: &'q [ast::LockClause],
    /// Leave unknown literals to the caller (UNION branches, INSERT … SELECT).
    pub keep_unknown: bool,
}

/// DISTINCT, bound.
enum Unique {
    No,
    All,
    /// DISTINCT ON and where each expression stands.
    On(Vec<Expr>, Vec<Option<u32>>),
}

impl Binder<'_> {
    /// Binds a SELECT with the ORDER BY of its query.
    pub(super) fn select(&mut self, s: &ast::Select, around: Around<'_>) -> Result<Query> {
        refuse_foreign(s)?;
        let mut level = Level::new(Clause::From);
        level.locked = locked_names(around.locks);
        self.levels.push(level);
        let result = self.select_inside(s, around);
        self.shown = self.levels.pop().map(|level| level.names).unwrap_or_default();
        result
    }

    fn select_inside(&mut self, s: &ast::Select, around: Around<'_>) -> Result<Query> {
        let from = self.from(&s.from, From { rel: Rel::Unit, names: Namespace::default() })?;
        self.level().names = from.names;
        let mut rel = from.rel;
        let condition = match &s.selection {
            Some(e) => Some(self.within(Clause::Where, |b| b.condition(e, "WHERE"))?),
            None => None,
        };
        self.named_windows(s)?;
        let mut outputs = self.within(Clause::Select, |b| b.select_list(&s.projection))?;
        if !around.keep_unknown || s.distinct.is_some() {
            for o in &mut outputs {
                o.value = self.resolve_unknown(o.value.clone())?;
            }
        }
        let mut groups = self.group_by(&s.group_by, &outputs)?;
        if s.having.is_some() && groups.is_none() {
            groups = Some(Groups::default());
        }
        let mut having = match &s.having {
            Some(e) => Some(self.within(Clause::Having, |b| b.condition(e, "HAVING"))?),
            None => None,
        };
        let mut keys = self.order_keys(around.order_by, &outputs, matches!(s.distinct, Some(Distinct::Distinct)))?;
        let mut unique = self.unique(s.distinct.as_ref(), &outputs)?;
        if !around.locks.is_empty() {
            return self.locking(
                rel,
                condition,
                outputs,
                keys,
                around.locks,
                (s, groups.is_some() || having.is_some()),
            );
        }
        if let Some(predicate) = condition {
            rel = Rel::Filter { input: Box::new(rel), predicate };
        }
        {
            let mut rest: Vec<&mut Expr> = outputs.iter_mut().map(|o| &mut o.value.expr).collect();
            rest.extend(keys.iter_mut().map(|k| &mut k.expr));
            rest.extend(having.iter_mut());
            if let Unique::On(exprs, _) = &mut unique {
                rest.extend(exprs);
            }
            rel = self.aggregated(rel, groups, rest)?;
        }
        if let Some(predicate) = having {
            rel = Rel::Filter { input: Box::new(rel), predicate };
        }
        let level = self.level();
        let windows = std::mem::take(&mut level.windows);
        let calls = std::mem::take(&mut level.set_calls);
        if !windows.is_empty() {
            rel = Rel::Window { input: Box::new(rel), calls: windows };
        }
        if !calls.is_empty() {
            rel = Rel::ProjectSet { input: Box::new(rel), calls, ordinality: None, outer: false };
        }
        self.projected(rel, outputs, keys, unique)
    }

    fn named_windows(&mut self, s: &ast::Select) -> Result<()> {
        for ast::NamedWindowDefinition(name, spec) in &s.named_window {
            let (name, pos) = (fold(name), start(name.span));
            if self.level().named_windows.iter().any(|(n, _)| *n == name) {
                let message = format!("window \"{name}\" is already defined");
                return Err(Error::new(SqlState::WINDOWING_ERROR, message).at(pos));
            }
            let spec = match spec {
                ast::NamedWindowExpr::WindowSpec(spec) => self.complete_window(spec)?,
                ast::NamedWindowExpr::NamedWindow(other) => {
                    let spec = ast::WindowSpec {
                        window_name: Some(other.clone()),
                        partition_by: Vec::new(),
                        order_by: Vec::new(),
                        window_frame: None,
                    };
                    self.complete_window(&spec)?
                }
            };
            self.level().named_windows.push((name, spec));
        }
        Ok(())
    }

    /// Binds a select list (or RETURNING); `*` is expanded.
    pub(super) fn select_list(&mut self, items: &[SelectItem]) -> Result<Vec<Output>> {
        let mut outputs = Vec::new();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(ast::Expr::Identifier(i)) if i.value == crate::parse::NOTHING => {}
                SelectItem::ExprWithAlias { expr, alias } if alias.quote_style == Some('\'') => {
                    let message = format!("syntax error at or near \"{alias}\"");
                    let after = self.after(expr);
                    let written = self.places.word_after(after, "as") == after;
                    let pos = if written { self.places.next(after) } else { after };
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
                }
                SelectItem::UnnamedExpr(e) if super::record::shows_all_fields(e) => self.fields(e, &mut outputs)?,
                SelectItem::UnnamedExpr(e) => outputs.push(Output { name: output_name(e), value: self.expr(e)? }),
                SelectItem::ExprWithAlias { expr, alias } => {
                    outputs.push(Output { name: fold(alias), value: self.expr(expr)? });
                }
                SelectItem::Wildcard(w) => {
                    let pos = start(w.wildcard_token.0.span);
                    self.star(None, pos, &mut outputs)?;
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let mut all = super::names::parts(name)?;
                    let table = all.pop().unwrap_or_default();
                    self.star(Some((all.pop(), table)), start(name.span()), &mut outputs)?;
                }
                other => return Err(Error::unsupported(format!("in a select list: {other}"))),
            }
        }
        if outputs.len() > 1664 {
            return Err(Error::new(SqlState::TOO_MANY_COLUMNS, "target lists can have at most 1664 entries"));
        }
        Ok(outputs)
    }

    /// `(row).*`
    fn fields(&mut self, e: &ast::Expr, outputs: &mut Vec<Output>) -> Result<()> {
        let row = self.expr(e)?;
        let Some(parts) = super::record::Row::of(&row.expr) else {
            return Err(Error::unsupported("the fields of a value that is not a row of this query").at(row.pos));
        };
        for (name, field) in parts.names().zip(parts.fields) {
            outputs.push(Output { name: name.to_owned(), value: Typed::new(field.clone(), row.pos) });
        }
        Ok(())
    }

    fn star(
        &mut self,
        of: Option<(Option<String>, String)>,
        pos: Option<u32>,
        outputs: &mut Vec<Output>,
    ) -> Result<()> {
        let (columns, depth) = match &of {
            None => {
                if self.level().names.items.is_empty() {
                    return Err(
                        Error::new(SqlState::SYNTAX_ERROR, "SELECT * with no tables specified is not valid").at(pos)
                    );
                }
                (self.level().names.columns.clone(), 0)
            }
            Some((schema, table)) => match self.item(schema.as_deref(), table) {
                Some((item, depth)) => (item.columns, depth),
                None => return Err(self.missing_from(table, pos)),
            },
        };
        let named = |c: &super::scope::ScopeColumn| (c.table.clone(), c.name.clone());
        if let Some(pos) = pos {
            self.stars.push(crate::parse::Star { pos, columns: columns.iter().map(named).collect() });
        }
        for c in columns {
            let value = self.reference(&c, depth, pos);
            outputs.push(Output { name: c.name, value });
        }
        Ok(())
    }

    /// ORDER BY of a SELECT: an ordinal, an output name, or an expression over the input.
    fn order_keys(&mut self, order: &[ast::OrderByExpr], outputs: &[Output], distinct: bool) -> Result<Vec<SortKey>> {
        let mut keys: Vec<SortKey> = Vec::new();
        for o in order {
            let value = self.output_or_input(&o.expr, outputs, Clause::OrderBy)?;
            self.ordering(&value)?;
            if distinct && !outputs.iter().any(|o| walk::same(&o.value.expr, &value.expr)) {
                let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(value.pos));
            }
            if !keys.iter().any(|k| walk::same(&k.expr, &value.expr)) {
                keys.push(sort_key(value.expr, &o.options));
            }
        }
        Ok(keys)
    }

    /// An entry of ORDER BY or DISTINCT ON.
    fn output_or_input(&mut self, e: &ast::Expr, outputs: &[Output], clause: Clause) -> Result<Typed> {
        if let Some(found) = ordinal(e, outputs, clause.phrase())? {
            return Ok(found);
        }
        if let ast::Expr::Identifier(i) = e {
            let name = fold(i);
            let mut named = outputs.iter().filter(|o| o.name == name);
            if let Some(first) = named.next() {
                if named.any(|o| !walk::same(&o.value.expr, &first.value.expr)) {
                    let message = format!("{} \"{name}\" is ambiguous", clause.phrase());
                    return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message).at(start(i.span)));
                }
                return Ok(first.value.clone());
            }
        }
        let value = self.within(clause, |b| b.expr(e))?;
        self.resolve_unknown(value)
    }

    fn unique(&mut self, distinct: Option<&Distinct>, outputs: &[Output]) -> Result<Unique> {
        match distinct {
            None | Some(Distinct::All) => Ok(Unique::No),
            Some(Distinct::Distinct) => {
                for o in outputs {
                    self.equality(&o.value)?;
                }
                Ok(Unique::All)
            }
            Some(Distinct::On(exprs)) => {
                let (mut on, mut places) = (Vec::new(), Vec::new());
                for e in exprs {
                    let value = self.output_or_input(e, outputs, Clause::OrderBy)?;
                    self.equality(&value)?;
                    on.push(value.expr);
                    places.push(start(e.span()));
                }
                Ok(Unique::On(on, places))
            }
        }
    }

    /// Projection, DISTINCT and ORDER BY.
    fn projected(&mut self, input: Rel, outputs: Vec<Output>, keys: Vec<SortKey>, unique: Unique) -> Result<Query> {
        let (mut exprs, columns) = self.projection(outputs);
        let mut sort = Vec::new();
        for key in keys {
            let at = self.projected_column(&mut exprs, key.expr);
            sort.push(SortKey { expr: at, ..key });
        }
        let all = matches!(unique, Unique::All);
        let mut places = Vec::new();
        let on: Option<Vec<Expr>> = match unique {
            Unique::On(on, at) => {
                places = at;
                Some(on.into_iter().map(|e| self.projected_column(&mut exprs, e)).collect())
            }
            _ => None,
        };
        let mut rel = Rel::Project { input: Box::new(input), exprs };
        if all {
            rel = Rel::Distinct { input: Box::new(rel), on: None };
        }
        if let Some(on) = &on {
            check_distinct_on(on, &sort, &places)?;
        }
        if !sort.is_empty() {
            rel = Rel::Sort { input: Box::new(rel), keys: sort };
        }
        if on.is_some() {
            rel = Rel::Distinct { input: Box::new(rel), on };
        }
        Ok(Query { rel, columns })
    }

    /// Gives every output an id; equal columns share one.
    pub(super) fn projection(&mut self, outputs: Vec<Output>) -> (Vec<(ColId, Expr)>, Vec<OutputColumn>) {
        let (mut exprs, mut columns): (Vec<(ColId, Expr)>, Vec<OutputColumn>) = (Vec::new(), Vec::new());
        for o in outputs {
            let ty = o.value.ty();
            let origin = match &o.value.expr {
                Expr::Column { id, ty } => self.origin(*id, *ty),
                _ => None,
            };
            let id = match &o.value.expr {
                // A relabelled column is another column: its type differs.
                Expr::Column { id, .. } if !exprs.iter().any(|(known, e)| known == id && e.ty() != ty) => *id,
                _ => self.new_column(),
            };
            if !exprs.iter().any(|(known, _)| *known == id) {
                exprs.push((id, o.value.expr));
            }
            columns.push(OutputColumn { id, name: o.name, ty, origin });
        }
        (exprs, columns)
    }

    fn origin(&self, id: ColId, ty: PgType) -> Option<(heddle_types::Oid, i16)> {
        let names = &self.levels.last()?.names;
        let all = names.items.iter().flat_map(|i| &i.columns).chain(&names.columns);
        all.filter(|c| c.id == id && c.ty == ty).find_map(|c| c.origin)
    }

    /// The projection's column with this value, added if missing.
    fn projected_column(&mut self, exprs: &mut Vec<(ColId, Expr)>, e: Expr) -> Expr {
        let ty = e.ty();
        let id = match exprs.iter().find(|(_, known)| walk::same(known, &e)) {
            Some((id, _)) => *id,
            None => {
                let id = match &e {
                    Expr::Column { id, .. } if !exprs.iter().any(|(known, _)| known == id) => *id,
                    _ => self.new_column(),
                };
                exprs.push((id, e));
                id
            }
        };
        Expr::Column { id, ty }
    }

    /// SELECT … FOR UPDATE.
    fn locking(
        &mut self,
        mut rel: Rel,
        condition: Option<Expr>,
        outputs: Vec<Output>,
        keys: Vec<SortKey>,
        locks: &[ast::LockClause],
        (s, grouped): (&ast::Select, bool),
    ) -> Result<Query> {
        let clause = lock_phrase(&locks[0]);
        let level = self.level();
        let wrong = if s.distinct.is_some() {
            Some("DISTINCT clause")
        } else if grouped && s.having.is_none() {
            Some("GROUP BY clause")
        } else if s.having.is_some() {
            Some("HAVING clause")
        } else if !level.aggregates.is_empty() {
            Some("aggregate functions")
        } else if !level.windows.is_empty() {
            Some("window functions")
        } else if !level.set_calls.is_empty() {
            Some("set-returning functions in the target list")
        } else {
            None
        };
        if let Some(what) = wrong {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{clause} is not allowed with {what}")));
        }
        let mut parts = Vec::new();
        if let Some(predicate) = condition {
            walk::conjuncts(predicate.clone(), &mut parts);
            rel = Rel::Filter { input: Box::new(rel), predicate };
        }
        let targets = self.lock_targets(&rel, &parts, locks)?;
        if !keys.is_empty() {
            rel = Rel::Sort { input: Box::new(rel), keys };
        }
        rel = Rel::Lock { input: Box::new(rel), targets };
        let (exprs, columns) = self.projection(outputs);
        Ok(Query { rel: Rel::Project { input: Box::new(rel), exprs }, columns })
    }

    fn lock_targets(&mut self, rel: &Rel, conditions: &[Expr], locks: &[ast::LockClause]) -> Result<Vec<LockTarget>> {
        let mut targets: Vec<LockTarget> = Vec::new();
        let items = self.level().names.items.clone();
        for clause in locks {
            let (mode, of) = lock_parts(clause);
            if let Some(name) = &of
                && !items.iter().any(|i| i.alias == *name)
            {
                let message = format!("relation \"{name}\" in {} clause not found in FROM clause", lock_phrase(clause));
                let pos = clause.of.as_ref().and_then(|n| start(n.span()));
                return Err(Error::new(SqlState::UNDEFINED_TABLE, message).at(pos));
            }
            for item in items.iter().filter(|i| of.as_ref().is_none_or(|n| i.alias == *n)) {
                let Some(first) = item.columns.first() else { continue };
                let scan = find_scan(rel, first.id);
                let Some(scan) = scan else {
                    if item.table.is_some() || of.is_some() || contains_scan(rel, first.id) {
                        return Err(Error::unsupported(format!("{} on a sub-query", lock_phrase(clause))));
                    }
                    continue;
                };
                let wait = match clause.nonblock {
                    None => Wait::Block,
                    Some(ast::NonBlock::Nowait) => Wait::NoWait,
                    Some(ast::NonBlock::SkipLocked) => Wait::Skip,
                };
                match targets.iter_mut().find(|t| t.scan.columns == scan.columns) {
                    Some(t) => t.mode = t.mode.max(mode),
                    None => targets.push(LockTarget { recheck: own_conditions(&scan, conditions), scan, mode, wait }),
                }
            }
        }
        Ok(targets)
    }
}

/// The conditions that look at nothing but this scan.
fn own_conditions(scan: &TableScan, conditions: &[Expr]) -> Option<Expr> {
    let own = |e: &&Expr| {
        let ids = walk::columns(e);
        !ids.is_empty() && ids.iter().all(|id| scan.columns.iter().any(|(c, _)| c == id)) && !walk::has_subquery(e)
    };
    walk::all_of(conditions.iter().filter(own).cloned().collect())
}

/// The locked scan that produces a column, looking through joins and filters.
fn find_scan(rel: &Rel, id: ColId) -> Option<TableScan> {
    match rel {
        Rel::Table(t) if t.identity.is_some() && t.columns.iter().any(|(c, _)| *c == id) => Some(t.clone()),
        Rel::Filter { input, .. } | Rel::ProjectSet { input, .. } => find_scan(input, id),
        Rel::Project { input, exprs } => {
            // Only projections that FROM itself made pass everything through.
            let passes = exprs.iter().any(|(c, e)| *c == id && matches!(e, Expr::Column { id: i, .. } if *i == id));
            let found = if passes { find_scan(input, id) } else { None };
            found.filter(|scan| scan.identity.is_some_and(|(key, _)| exprs.iter().any(|(c, _)| *c == key)))
        }
        Rel::Join { left, right, .. } => find_scan(left, id).or_else(|| find_scan(right, id)),
        _ => None,
    }
}

/// Does a sub-query in FROM that shows this column read tables?
fn contains_scan(rel: &Rel, id: ColId) -> bool {
    match rel {
        Rel::Filter { input, .. } | Rel::ProjectSet { input, .. } => contains_scan(input, id),
        Rel::Join { left, right, .. } => contains_scan(left, id) || contains_scan(right, id),
        Rel::Values { .. } | Rel::Rows { .. } | Rel::System { .. } | Rel::Unit | Rel::CteScan { .. } => false,
        other => super::from::output(other).iter().any(|c| c.id == id) && reads_tables(other),
    }
}

fn reads_tables(rel: &Rel) -> bool {
    match rel {
        Rel::Table(_) => true,
        Rel::Filter { input, .. }
        | Rel::Project { input, .. }
        | Rel::ProjectSet { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Window { input, .. } => reads_tables(input),
        Rel::Join { left, right, .. } => reads_tables(left) || reads_tables(right),
        _ => false,
    }
}

pub(super) fn lock_phrase(clause: &ast::LockClause) -> &'static str {
    match lock_parts(clause).0 {
        RowLock::KeyShare => "FOR KEY SHARE",
        RowLock::Share => "FOR SHARE",
        RowLock::NoKeyUpdate => "FOR NO KEY UPDATE",
        RowLock::Update => "FOR UPDATE",
    }
}

/// A lock clause's strength and the name in its OF.
fn lock_parts(clause: &ast::LockClause) -> (RowLock, Option<String>) {
    let mut parts = clause.of.as_ref().and_then(|n| super::names::parts(n).ok()).unwrap_or_default();
    let key = parts.first().is_some_and(|p| p == crate::parse::KEY_MARK);
    if key {
        parts.remove(0);
    }
    let mode = match (&clause.lock_type, key) {
        (ast::LockType::Share, true) => RowLock::KeyShare,
        (ast::LockType::Share, false) => RowLock::Share,
        (ast::LockType::Update, true) => RowLock::NoKeyUpdate,
        (ast::LockType::Update, false) => RowLock::Update,
    };
    (mode, parts.pop())
}

fn locked_names(locks: &[ast::LockClause]) -> Option<Vec<String>> {
    if locks.is_empty() {
        return None;
    }
    let mut names = Vec::new();
    for clause in locks {
        match lock_parts(clause).1 {
            None => return Some(Vec::new()),
            Some(name) => names.push(name),
        }
    }
    Some(names)
}

/// `ORDER BY 2`
pub(super) fn ordinal(e: &ast::Expr, outputs: &[Output], phrase: &str) -> Result<Option<Typed>> {
    let ast::Expr::Value(v) = unnested(e) else { return Ok(None) };
    let pos = start(v.span);
    match &v.value {
        ast::Value::Number(n, _) => match n.parse::<i64>() {
            Ok(k) => match usize::try_from(k - 1).ok().and_then(|i| outputs.get(i)) {
                Some(o) => Ok(Some(o.value.clone())),
                None => {
                    let message = format!("{phrase} position {k} is not in select list");
                    Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(pos))
                }
            },
            Err(_) => Err(Error::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {phrase}")).at(pos)),
        },
        ast::Value::SingleQuotedString(_) | ast::Value::Boolean(_) => {
            Err(Error::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {phrase}")).at(pos))
        }
        _ => Ok(None),
    }
}

fn check_distinct_on(on: &[Expr], sort: &[SortKey], places: &[Option<u32>]) -> Result<()> {
    let listed = |e: &Expr| on.iter().position(|o| walk::same(o, e));
    let prefix = sort.iter().take_while(|k| listed(&k.expr).is_some()).count();
    let used = |o: &Expr| sort[..prefix].iter().any(|k| walk::same(&k.expr, o));
    let missing = on.iter().position(|o| !used(o));
    if let (true, Some(missing)) = (prefix < sort.len(), missing) {
        let late = sort[prefix..].iter().find_map(|k| listed(&k.expr));
        let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
        let pos = places.get(late.unwrap_or(missing)).copied().flatten();
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(pos));
    }
    Ok(())
}

/// Clauses of other dialects that sqlparser accepts.
fn refuse_foreign(s: &ast::Select) -> Result<()> {
    let foreign = s.top.is_some()
        || s.exclude.is_some()
        || !s.lateral_views.is_empty()
        || s.prewhere.is_some()
        || !s.connect_by.is_empty()
        || !s.cluster_by.is_empty()
        || !s.distribute_by.is_empty()
        || !s.sort_by.is_empty()
        || s.qualify.is_some()
        || s.value_table_mode.is_some();
    if foreign {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in SELECT").at(start(s.select_token.0.span)));
    }
    Ok(())
}

impl Binder<'_> {
    /// GROUP BY; `None` when there is none.
    fn group_by(&mut self, group_by: &ast::GroupByExpr, outputs: &[Output]) -> Result<Option<Groups>> {
        let ast::GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"all\""));
        };
        if !modifiers.is_empty() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"with\""));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        let mut groups = Groups::default();
        let distinct = matches!(&exprs[0], ast::Expr::Identifier(i) if i.value == crate::parse::DISTINCT_SETS);
        for e in &exprs[usize::from(distinct)..] {
            let sets = self.group_element(e, outputs, &mut groups)?;
            groups.cross(sets)?;
        }
        if distinct {
            groups.deduplicate();
        }
        Ok(Some(groups))
    }

    /// The grouping sets one element of GROUP BY stands for.
    fn group_element(&mut self, e: &ast::Expr, outputs: &[Output], groups: &mut Groups) -> Result<Vec<Vec<usize>>> {
        match e {
            ast::Expr::Tuple(list) => {
                let mut set = Vec::new();
                for e in list {
                    set.push(self.group_expr(e, outputs, groups)?);
                }
                groups.plain &= !list.is_empty();
                Ok(vec![set])
            }
            ast::Expr::GroupingSets(lists) => {
                groups.plain = false;
                let mut sets = Vec::new();
                for list in lists {
                    match list.as_slice() {
                        [
                            e @ (ast::Expr::Rollup(_)
                            | ast::Expr::Cube(_)
                            | ast::Expr::GroupingSets(_)
                            | ast::Expr::Tuple(_)),
                        ] => {
                            sets.extend(self.group_element(e, outputs, groups)?);
                        }
                        list => match list.first().and_then(super::grouping::nested) {
                            Some(e) => sets.extend(self.group_element(&e, outputs, groups)?),
                            None => sets.push(self.group_list(list, outputs, groups)?),
                        },
                    }
                }
                Ok(sets)
            }
            ast::Expr::Rollup(lists) => {
                groups.plain = false;
                let parts = lists.iter().map(|l| self.group_list(l, outputs, groups)).collect::<Result<Vec<_>>>()?;
                Ok((0..=parts.len()).rev().map(|n| parts[..n].concat()).collect())
            }
            ast::Expr::Cube(lists) => {
                groups.plain = false;
                let parts = lists.iter().map(|l| self.group_list(l, outputs, groups)).collect::<Result<Vec<_>>>()?;
                if parts.len() > 12 {
                    return Err(Error::new(SqlState::TOO_MANY_COLUMNS, "CUBE is limited to 12 elements"));
                }
                let all = 1usize << parts.len();
                let pick = |mask: usize| {
                    parts
                        .iter()
                        .enumerate()
                        .filter(|(i, _)| mask & (1 << i) != 0)
                        .flat_map(|(_, p)| p.clone())
                        .collect()
                };
                Ok((0..all).rev().map(pick).collect())
            }
            e => Ok(vec![vec![self.group_expr(e, outputs, groups)?]]),
        }
    }

    fn group_list(&mut self, list: &[ast::Expr], outputs: &[Output], groups: &mut Groups) -> Result<Vec<usize>> {
        list.iter().map(|e| self.group_expr(e, outputs, groups)).collect()
    }

    /// GROUP BY prefers an input column to an output name.
    fn group_expr(&mut self, e: &ast::Expr, outputs: &[Output], groups: &mut Groups) -> Result<usize> {
        let value = match ordinal(e, outputs, "GROUP BY")? {
            Some(v) => v,
            None => self.group_value(e, outputs)?,
        };
        let value = self.resolve_unknown(value)?;
        self.equality(&value)?;
        let level = self.level();
        let made = |id: &ColId| level.aggregates.iter().any(|(a, _)| a == id);
        if walk::columns(&value.expr).iter().any(made) {
            let message = "aggregate functions are not allowed in GROUP BY";
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(value.pos));
        }
        Ok(groups.index(value.expr))
    }

    fn group_value(&mut self, e: &ast::Expr, outputs: &[Output]) -> Result<Typed> {
        if let ast::Expr::Identifier(i) = e {
            let name = fold(i);
            let input = self.level().names.columns.iter().any(|c| c.name == name);
            let mut named = outputs.iter().filter(|o| o.name == name);
            if let (false, Some(first)) = (input, named.next()) {
                if named.any(|o| !walk::same(&o.value.expr, &first.value.expr)) {
                    let message = format!("GROUP BY \"{name}\" is ambiguous");
                    return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message).at(start(i.span)));
                }
                return Ok(first.value.clone());
            }
        }
        self.within(Clause::GroupBy, |b| b.expr(e))
    }
}
