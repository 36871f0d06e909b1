//! What EXPLAIN calls columns and conditions: DataFusion's plan knows columns by number only, the bound tree knows what they are.

use crate::bound::{ColId, Expr, Query, Rel, SortKey};
use crate::eval::visit;
use crate::function;
use crate::syscat::deparse;
use std::collections::{BTreeMap, HashMap};

/// The names of a statement's columns, and its conditions.
#[derive(Default)]
pub(crate) struct Names {
    columns: HashMap<ColId, String>,
    conditions: Vec<(Vec<ColId>, String)>,
    /// More than one table: columns are shown with theirs.
    qualified: bool,
}

impl Names {
    pub fn of(rel: &Rel) -> Self {
        let mut names = Self { qualified: tables(rel) > 1, ..Self::default() };
        names.rel(rel);
        names
    }

    /// Knows `id` as `text` from now on.
    pub fn add(&mut self, id: ColId, text: String) {
        self.columns.entry(id).or_insert(text);
    }

    fn rel(&mut self, rel: &Rel) {
        let mut inputs = vec![];
        visit::rel_inputs(rel, &mut |r| inputs.push(r));
        inputs.into_iter().for_each(|r| self.rel(r));
        self.outputs(rel);
        let mut queries = vec![];
        visit::rel_exprs(rel, &mut |e| sub_queries(e, &mut queries));
        queries.into_iter().for_each(|q| self.rel(&q.rel));
        match rel {
            Rel::Filter { predicate, .. } => self.condition(predicate),
            Rel::Join { on: Some(on), .. } => self.condition(on),
            _ => {}
        }
    }

    fn outputs(&mut self, rel: &Rel) {
        match rel {
            Rel::Table(scan) => {
                for (id, i) in &scan.columns {
                    self.named(*id, &scan.table.name, &scan.table.columns[*i].name);
                }
            }
            Rel::System { table, columns } => {
                for (id, i) in columns {
                    self.named(*id, table.name, table.columns[*i].0);
                }
            }
            Rel::Project { exprs, .. } => {
                for (id, e) in exprs {
                    let text = self.text(e);
                    self.add(*id, text);
                }
            }
            Rel::Aggregate { groups, aggregates, .. } => {
                for (id, e) in groups {
                    let text = self.text(e);
                    self.add(*id, text);
                }
                for (id, a) in aggregates {
                    let text = self.call(a.func, &a.args, a.distinct);
                    self.add(*id, text);
                }
            }
            Rel::Window { calls, .. } => {
                for (id, w) in calls {
                    let text = format!("{} OVER (?)", self.call(w.call.func, &w.call.args, false));
                    self.add(*id, text);
                }
            }
            Rel::Values { columns, .. } => {
                for (i, c) in columns.iter().enumerate() {
                    self.add(c.id, format!("column{}", i + 1));
                }
            }
            _ => {}
        }
    }

    /// A key of ORDER BY, without what is the default.
    pub fn sort_key(&self, k: &SortKey) -> String {
        let order = match (k.desc, k.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        format!("{}{order}", self.text(&k.expr))
    }

    fn named(&mut self, id: ColId, table: &str, column: &str) {
        let column = function::quote_ident(column);
        let text = if self.qualified { format!("{}.{column}", function::quote_ident(table)) } else { column };
        self.add(id, text);
    }

    fn call(&self, func: function::FuncId, args: &[Expr], distinct: bool) -> String {
        let name = function::by_id(func).map_or("?", |f| f.name);
        let args = match args {
            [] if name == "count" => "*".to_owned(),
            args => args.iter().map(|e| self.text(e)).collect::<Vec<_>>().join(", "),
        };
        format!("{name}({}{args})", if distinct { "DISTINCT " } else { "" })
    }

    fn condition(&mut self, e: &Expr) {
        if let Expr::And(parts) = e {
            return parts.iter().for_each(|p| self.condition(p));
        }
        let mut used = BTreeMap::new();
        visit::columns(e, &mut used);
        let text = self.text(e);
        self.conditions.push((used.into_keys().collect(), text));
    }

    /// An expression as SQL.
    pub fn text(&self, e: &Expr) -> String {
        deparse::expression(e, false, &|id| self.columns.get(&id).cloned().unwrap_or_else(|| "?".to_owned()))
    }

    /// The statement's conditions over exactly these columns or some of them.
    pub fn conditions_over(&self, ids: &[ColId]) -> Option<String> {
        let fits = |used: &[ColId]| !used.is_empty() && used.iter().all(|c| ids.contains(c));
        let found: Vec<&str> =
            self.conditions.iter().filter(|(used, _)| fits(used)).map(|(_, text)| text.as_str()).collect();
        match found.as_slice() {
            [] => None,
            [one] => Some((*one).to_owned()),
            many => Some(format!("({})", many.join(" AND "))),
        }
    }

    /// DataFusion's text with our names in it: `c12@0` is a column; None where it names one that only lowering knows.
    pub fn translate(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        for token in tokens(text) {
            match column(token) {
                Some(id) => out.push_str(self.columns.get(&id)?),
                None => out.push_str(token),
            }
        }
        Some(out)
    }
}

fn sub_queries<'e>(e: &'e Expr, out: &mut Vec<&'e Query>) {
    out.extend(visit::sub_query(e));
    visit::children(e, &mut |c| sub_queries(c, out));
}

fn tables(rel: &Rel) -> usize {
    let mut n = usize::from(matches!(rel, Rel::Table(_) | Rel::System { .. }));
    visit::rel_inputs(rel, &mut |r| n += tables(r));
    n
}

/// Words (letters, digits, `_`, `@`) and what is between them.
fn tokens(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '@';
    let mut out = vec![];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = word(first);
        let end = rest.find(|c| word(c) != is_word).unwrap_or(rest.len());
        out.push(&rest[..end]);
        rest = &rest[end..];
    }
    out
}

/// `c12@0` or `c12`
pub(super) fn column(token: &str) -> Option<ColId> {
    let digits = token.split('@').next()?.strip_prefix('c')?;
    digits.parse().ok().map(ColId)
}

/// Every column a DataFusion text names.
pub(super) fn columns(text: &str) -> Vec<ColId> {
    tokens(text).into_iter().filter_map(column).collect()
}
