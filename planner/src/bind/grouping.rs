//! GROUP BY: the aggregate operator, and the check that nothing else looks below it.

use super::walk;
use super::{Binder, Typed};
use crate::bound::{ColId, Expr, Rel};
use heddle_types::{Error, Result, SqlState};
use sqlparser::ast;

/// Most grouping sets, as in PostgreSQL.
const SETS_MAX: usize = 4096;

/// CUBE and ROLLUP inside GROUPING SETS, which the parser takes for functions.
pub(super) fn nested(e: &ast::Expr) -> Option<ast::Expr> {
    let ast::Expr::Function(f) = e else { return None };
    let [ast::ObjectNamePart::Identifier(name)] = f.name.0.as_slice() else { return None };
    let ast::FunctionArguments::List(list) = &f.args else { return None };
    let is = |word: &str| name.quote_style.is_none() && name.value.eq_ignore_ascii_case(word);
    let lists = list.args.iter().map(|a| match a {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Tuple(list))) => Some(list.clone()),
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(vec![e.clone()]),
        _ => None,
    });
    if is("cube") {
        Some(ast::Expr::Cube(lists.collect::<Option<_>>()?))
    } else if is("rollup") {
        Some(ast::Expr::Rollup(lists.collect::<Option<_>>()?))
    } else {
        None
    }
}

/// A bound GROUP BY.
pub(super) struct Groups {
    pub exprs: Vec<Expr>,
    /// Indexes into `exprs` per grouping set.
    pub sets: Vec<Vec<usize>>,
    /// No GROUPING SETS, ROLLUP, CUBE or `()`.
    pub plain: bool,
}

impl Default for Groups {
    fn default() -> Self {
        Self { exprs: Vec::new(), sets: vec![Vec::new()], plain: true }
    }
}

impl Groups {
    /// The index of an expression, added if new.
    pub fn index(&mut self, e: Expr) -> usize {
        match self.exprs.iter().position(|g| walk::same(g, &e)) {
            Some(i) => i,
            None => {
                self.exprs.push(e);
                self.exprs.len() - 1
            }
        }
    }

    /// GROUP BY DISTINCT: sets of the same expressions are one.
    pub fn deduplicate(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        self.sets.retain(|set| seen.insert(set.iter().copied().collect::<std::collections::BTreeSet<usize>>()));
    }

    /// Each set so far with each of the new ones.
    ///
    /// # Errors
    /// `54001` past PostgreSQL's limit.
    pub fn cross(&mut self, sets: Vec<Vec<usize>>) -> Result<()> {
        if self.sets.len() * sets.len() > SETS_MAX {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "too many grouping sets present (maximum 4096)"));
        }
        let mut all = Vec::new();
        for a in &self.sets {
            for b in &sets {
                let mut set = a.clone();
                set.extend(b.iter().filter(|i| !a.contains(i)));
                set.dedup();
                all.push(set);
            }
        }
        self.sets = all;
        Ok(())
    }
}

impl Binder<'_> {
    /// Puts the aggregate operator over `input` if the level has groups or aggregates, and points `rest` (select list,
    /// HAVING, ORDER BY) at its columns.
    pub(super) fn aggregated(&mut self, input: Rel, groups: Option<Groups>, mut rest: Vec<&mut Expr>) -> Result<Rel> {
        let level = self.level();
        let grouping_calls = std::mem::take(&mut level.grouping_calls);
        if groups.is_none() && level.aggregates.is_empty() && grouping_calls.is_empty() {
            return Ok(input);
        }
        let Groups { exprs, sets, plain } = groups.unwrap_or_default();
        let mut named: Vec<(ColId, Expr)> = Vec::new();
        for e in exprs {
            let id = match &e {
                Expr::Column { id, .. } => *id,
                _ => self.new_column(),
            };
            named.push((id, e));
        }
        let grouping = grouping_indexes(grouping_calls, &named)?;
        let mut windows = std::mem::take(&mut self.level().windows);
        let mut calls = std::mem::take(&mut self.level().set_calls);
        let mut used: Vec<ColId> = Vec::new();
        let inside = windows.iter_mut().flat_map(|(_, w)| {
            let call = &mut w.call;
            let args = call.args.iter_mut().chain(call.filter.iter_mut()).chain(w.partition.iter_mut());
            args.chain(w.order.iter_mut().map(|k| &mut k.expr))
        });
        let inside = inside.chain(calls.iter_mut().flat_map(|c| c.call.args.iter_mut()));
        for e in inside.chain(rest.iter_mut().map(|e| &mut **e)) {
            to_groups(e, &named);
            used.extend(walk::columns(e));
        }
        let mut allowed: Vec<ColId> = named.iter().map(|(id, _)| *id).collect();
        let level = self.level();
        allowed.extend(level.aggregates.iter().map(|(id, _)| *id));
        allowed.extend(grouping.iter().map(|(id, _)| *id));
        let window_ids: Vec<ColId> = windows.iter().map(|(id, _)| *id).collect();
        let set_ids: Vec<ColId> = calls.iter().flat_map(|c| c.columns.iter().map(|c| c.id)).collect();
        let mut sets = sets;
        for id in used {
            if allowed.contains(&id)
                || window_ids.contains(&id)
                || set_ids.contains(&id)
                || named.iter().any(|(n, _)| *n == id)
            {
                continue;
            }
            self.dependent(id, &mut named, &mut sets, plain, false)?;
        }
        let outer: Vec<ColId> = self.level().uses.iter().filter(|u| u.3).map(|u| u.0).collect();
        for id in outer {
            if !named.iter().any(|(n, _)| *n == id) {
                self.dependent(id, &mut named, &mut sets, plain, true)?;
            }
        }
        let level = self.level();
        level.windows = windows;
        level.set_calls = calls;
        let aggregates = std::mem::take(&mut level.aggregates);
        Ok(Rel::Aggregate { input: Box::new(input), groups: named, sets, aggregates, grouping })
    }

    /// Adds a column that the grouped primary key of its table determines.
    ///
    /// # Errors
    /// `42803` when nothing determines it.
    fn dependent(
        &mut self,
        id: ColId,
        named: &mut Vec<(ColId, Expr)>,
        sets: &mut [Vec<usize>],
        plain: bool,
        subquery: bool,
    ) -> Result<()> {
        let level = self.levels.last().expect("inside a level");
        let owner = level.names.items.iter().find(|i| i.columns.iter().any(|c| c.id == id));
        if let (Some(item), true) = (owner, plain) {
            let column = item.columns.iter().find(|c| c.id == id).expect("found by it");
            let key = item.table.as_ref().and_then(|t| t.primary_key()).filter(|k| k.immediate());
            let grouped = |attnum: i16| {
                let of = item.columns.iter().find(|c| c.origin.is_some_and(|(_, a)| a == attnum));
                of.is_some_and(|c| named.iter().any(|(n, e)| *n == c.id && matches!(e, Expr::Column { .. })))
            };
            if key.is_some_and(|k| k.columns.iter().all(|c| grouped(c.attnum))) {
                let e = Expr::Column { id, ty: column.ty };
                named.push((id, e));
                let at = named.len() - 1;
                sets.iter_mut().for_each(|s| s.push(at));
                return Ok(());
            }
        }
        let seen = level.uses.iter().find(|u| u.0 == id);
        let shown = seen.map_or_else(|| "?".to_owned(), |u| u.1.clone());
        let message = if subquery {
            format!("subquery uses ungrouped column \"{shown}\" from outer query")
        } else {
            format!("column \"{shown}\" must appear in the GROUP BY clause or be used in an aggregate function")
        };
        Err(Error::new(SqlState::GROUPING_ERROR, message).at(seen.and_then(|u| u.2)))
    }
}

/// Replaces what a group computes by the group's column.
fn to_groups(e: &mut Expr, named: &[(ColId, Expr)]) {
    walk::rewrite(e, &mut |e| {
        let (id, g) = named.iter().find(|(_, g)| walk::same(g, e))?;
        Some(Expr::Column {
            id: *id,
            ty: match e {
                Expr::Column { ty, .. } => *ty,
                _ => g.ty(),
            },
        })
    });
}

fn grouping_indexes(calls: Vec<(ColId, Vec<Typed>)>, named: &[(ColId, Expr)]) -> Result<Vec<(ColId, Vec<usize>)>> {
    calls
        .into_iter()
        .map(|(id, args)| {
            let index = |a: &Typed| {
                named.iter().position(|(_, g)| walk::same(g, &a.expr)).ok_or_else(|| {
                    let message = "arguments to GROUPING must be grouping expressions of the associated query level";
                    Error::new(SqlState::GROUPING_ERROR, message).at(a.pos)
                })
            };
            Ok((id, args.iter().map(index).collect::<Result<Vec<_>>>()?))
        })
        .collect()
}
