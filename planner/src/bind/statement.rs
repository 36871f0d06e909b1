//! Statements by kind.

use super::Binder;
use crate::bound::{Ddl, ExplainOptions, Expr, Insert, OutputColumn, Statement};
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast;

type Bound = (Statement, Option<Vec<OutputColumn>>);

impl Binder<'_> {
    /// Binds any statement.
    pub(super) fn statement(&mut self, s: &ast::Statement) -> Result<Bound> {
        match s {
            ast::Statement::Query(q) => self.query_statement(q),
            ast::Statement::Insert(i) => self.insert(i),
            ast::Statement::Update(u) => self.update(u),
            ast::Statement::Delete(d) => self.delete(d),
            ast::Statement::Merge(m) => Ok((self.merge_statement(m)?, None)),
            ast::Statement::Explain { .. } => self.explain(s),
            other => Ok((Statement::Ddl(self.ddl(other)?), None)),
        }
    }

    pub(super) fn query_statement(&mut self, q: &ast::Query) -> Result<Bound> {
        let modifying = match q.body.as_ref() {
            ast::SetExpr::Insert(s) | ast::SetExpr::Update(s) | ast::SetExpr::Delete(s) | ast::SetExpr::Merge(s) => {
                Some(s)
            }
            _ => None,
        };
        if let Some(inner) = modifying {
            return self.with_dml(q, inner);
        }
        if let Some((into, plain)) = select_into(q) {
            return Ok((Statement::Ddl(self.select_into(&into, &plain)?), None));
        }
        let query = self.query(q)?;
        let columns = query.columns.clone();
        Ok((Statement::Query(query), Some(columns)))
    }

    /// `WITH … INSERT/UPDATE/DELETE …`: the WITH goes around the rows the statement works on.
    fn with_dml(&mut self, q: &ast::Query, inner: &ast::Statement) -> Result<Bound> {
        let before = self.ctes.len();
        let ctes = match &q.with {
            Some(with) => self.ctes(with)?,
            None => Vec::new(),
        };
        let bound = self.statement(inner);
        self.ctes.truncate(before);
        let (mut statement, columns) = bound?;
        self.put_under(&mut statement, ctes)?;
        Ok((statement, columns))
    }

    /// Puts WITH queries around the rows a statement works on.
    pub(super) fn put_under(&mut self, statement: &mut Statement, ctes: Vec<crate::bound::Cte>) -> Result<()> {
        if ctes.is_empty() {
            return Ok(());
        }
        match statement {
            Statement::Update(u) => self.compute_inside(u.set.iter_mut().map(|(_, e)| e), &mut u.input),
            Statement::Merge(m) => {
                let conditions = m.whens.iter_mut().flat_map(|w| w.condition.iter_mut().chain(w.action.values_mut()));
                self.compute_inside(conditions.chain([&mut m.on]), &mut m.input);
            }
            _ => {}
        }
        let slot = match statement {
            Statement::Insert(Insert { source, .. }) => &mut source.rel,
            Statement::Update(u) => &mut u.input,
            Statement::Delete(d) => &mut d.input,
            Statement::Merge(m) => &mut m.input,
            _ => return Err(Error::internal("WITH around another statement")),
        };
        let body = Box::new(std::mem::replace(slot, crate::bound::Rel::Unit));
        *slot = crate::bound::Rel::With { ctes, body };
        Ok(())
    }

    /// Computes the sub-queries of what is evaluated later with the rows, inside the WITH that goes around them.
    fn compute_inside<'e>(&mut self, exprs: impl Iterator<Item = &'e mut Expr>, input: &mut crate::bound::Rel) {
        let mut computed = Vec::new();
        for value in exprs {
            super::walk::rewrite(value, &mut |e| match e {
                Expr::Scalar { .. } | Expr::Exists { .. } | Expr::ArrayQuery { .. } | Expr::Quantified { .. } => {
                    let id = self.new_column();
                    computed.push((id, e.clone()));
                    Some(Expr::Column { id, ty: e.ty() })
                }
                _ => None,
            });
        }
        if !computed.is_empty() {
            let inner = std::mem::replace(input, crate::bound::Rel::Unit);
            *input = super::from::extended(inner, computed);
        }
    }

    fn explain(&mut self, s: &ast::Statement) -> Result<Bound> {
        let ast::Statement::Explain {
            analyze,
            verbose,
            statement,
            options,
            format,
            describe_alias,
            query_plan,
            estimate,
            ..
        } = s
        else {
            return Err(Error::internal("not EXPLAIN"));
        };
        if *describe_alias != ast::DescribeAlias::Explain || *query_plan || *estimate {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"describe\""));
        }
        let mut shown =
            ExplainOptions { analyze: *analyze, verbose: *verbose, timing: true, summary: None, json: false };
        if let Some(format) = format {
            shown.json = explain_format(&format.to_string())?;
        }
        let mut timing = None;
        for option in options.iter().flatten() {
            let name = option.name.value.to_ascii_lowercase();
            let arg = option.arg.as_ref().map(|a| a.to_string().trim_matches('\'').to_ascii_lowercase());
            let on = || explain_switch(&name, arg.as_deref());
            match name.as_str() {
                "analyze" => shown.analyze = on()?,
                "verbose" => shown.verbose = on()?,
                "timing" => timing = Some(on()?),
                "summary" => shown.summary = Some(on()?),
                "format" => shown.json = explain_format(arg.as_deref().unwrap_or(""))?,
                // There are no costs, no buffers shared by queries and no settings that change plans: nothing would be shown.
                "costs" | "buffers" | "settings" => {
                    on()?;
                }
                "wal" if on()? => {
                    return Err(Error::unsupported("EXPLAIN option WAL"));
                }
                "wal" => {}
                _ => {
                    let message = format!("unrecognized EXPLAIN option \"{name}\"");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
            }
        }
        if timing == Some(true) && !shown.analyze {
            let message = "EXPLAIN option TIMING requires ANALYZE";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        shown.timing = timing.unwrap_or(true);
        let (inner, _) = self.whole_statement(statement)?;
        if let Statement::Explain { .. } = inner {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"explain\""));
        }
        if let Statement::Ddl(ddl) = &inner
            && !matches!(ddl, Ddl::CreateTable(t) if t.query.is_some())
        {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "EXPLAIN takes a query or a data-modifying statement"));
        }
        let ty = PgType::new(if shown.json { oid::JSON } else { oid::TEXT });
        let column = OutputColumn { id: self.new_column(), name: "QUERY PLAN".into(), ty, origin: None };
        Ok((Statement::Explain { inner: Box::new(inner), options: shown }, Some(vec![column])))
    }
}

/// A switch of EXPLAIN: on when nothing is said.
fn explain_switch(name: &str, arg: Option<&str>) -> Result<bool> {
    match arg {
        None | Some("true" | "on" | "1") => Ok(true),
        Some("false" | "off" | "0") => Ok(false),
        Some(_) => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value"))),
    }
}

fn explain_format(name: &str) -> Result<bool> {
    match name.to_ascii_lowercase().as_str() {
        "text" => Ok(false),
        "json" => Ok(true),
        "xml" | "yaml" => Err(Error::unsupported(format!("EXPLAIN format {name}"))),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized value for EXPLAIN option \"format\": \"{name}\""),
        )),
    }
}

/// SELECT … INTO: the target and the query without it.
fn select_into(q: &ast::Query) -> Option<(ast::SelectInto, ast::Query)> {
    let ast::SetExpr::Select(s) = q.body.as_ref() else { return None };
    let into = s.into.clone()?;
    let mut plain = q.clone();
    if let ast::SetExpr::Select(s) = plain.body.as_mut() {
        s.into = None;
    }
    Some((into, plain))
}
