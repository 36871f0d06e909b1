//! Functions in FROM: one, several arrays of UNNEST, ROWS FROM.

use super::from::{Bound, Source, aliased, plain_item, scope_column};
use super::names::{fold, start};
use super::scope::{Namespace, ScopeColumn};
use super::{Binder, Typed};
use crate::bound::{Call, Col, ColId, Expr, SetCall};
use crate::function::Kind;
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, FunctionArg, ObjectName, Spanned, TableAlias};

impl Binder<'_> {
    pub(super) fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        ordinality: bool,
        alias: Option<&TableAlias>,
        visible: &Namespace,
    ) -> Result<Bound> {
        let pos = start(name.span());
        let bare = self.function_name(name)?;
        if let ("json_to_record" | "json_to_recordset" | "jsonb_to_record" | "jsonb_to_recordset", Some(alias)) =
            (bare.as_str(), alias)
        {
            return self.json_rows(&bare, args, alias, visible, pos);
        }
        if bare == "unnest" && args.len() > 1 {
            let exprs = args
                .iter()
                .map(|a| match a {
                    FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Ok(e.clone()),
                    other => Err(Error::unsupported(format!("the argument {other}")).at(pos)),
                })
                .collect::<Result<Vec<_>>>()?;
            return self.unnest(&exprs, ordinality, alias, visible);
        }
        let written = self.with_names(visible, |b| b.argument_list(args))?;
        let resolved = self.resolve_function(&bare, written.args, &written.names, pos)?;
        let call = Call { func: resolved.function.id, args: resolved.args, ty: resolved.ty };
        let shown = alias.map_or_else(|| bare.clone(), |a| fold(&a.name));
        match resolved.function.kind {
            Kind::Set(_, outputs) => {
                let columns = self.set_columns(outputs, call.ty, &shown)?;
                let call = SetCall { call, columns: columns.iter().map(|c| Col { id: c.id, ty: c.ty }).collect() };
                self.set_source(vec![call], columns, ordinality, shown, alias)
            }
            Kind::Scalar(_) | Kind::Compare(..) if !ordinality => {
                let id = self.new_column();
                let item = aliased(plain_item(shown.clone(), vec![scope_column(&shown, id, call.ty)]), alias)?;
                Ok(Bound { source: Source::Value(id, Expr::Call(call)), names: Namespace::of(item), lateral: false })
            }
            Kind::Aggregate(_) => {
                let message = "aggregate functions are not allowed in functions in FROM";
                Err(Error::new(SqlState::GROUPING_ERROR, message).at(pos))
            }
            _ => Err(Error::unsupported(format!("function {bare} in FROM")).at(pos)),
        }
    }

    fn set_columns(
        &mut self,
        outputs: &[(&str, heddle_types::Oid)],
        ty: PgType,
        shown: &str,
    ) -> Result<Vec<ScopeColumn>> {
        if outputs.is_empty() {
            return Ok(vec![scope_column(shown, self.new_column(), ty)]);
        }
        Ok(outputs
            .iter()
            .map(|(name, oid)| {
                let ty = if super::coerce::is_polymorphic(*oid) { ty } else { PgType::new(*oid) };
                scope_column(name, self.new_column(), ty)
            })
            .collect())
    }

    fn set_source(
        &mut self,
        calls: Vec<SetCall>,
        mut columns: Vec<ScopeColumn>,
        ordinality: bool,
        shown: String,
        alias: Option<&TableAlias>,
    ) -> Result<Bound> {
        let ordinality = ordinality.then(|| self.new_column());
        if let Some(id) = ordinality {
            columns.push(scope_column("ordinality", id, PgType::new(oid::INT8)));
        }
        let item = aliased(plain_item(shown, columns), alias)?;
        Ok(Bound { source: Source::Set { calls, ordinality }, names: Namespace::of(item), lateral: false })
    }

    /// ROWS FROM: functions side by side, the shorter ones filled up with NULLs.
    fn rows_from(
        &mut self,
        functions: &[ast::Expr],
        ordinality: bool,
        alias: Option<&TableAlias>,
        visible: &Namespace,
    ) -> Result<Bound> {
        let (mut calls, mut columns) = (Vec::new(), Vec::new());
        let mut first = None;
        for e in functions {
            let ast::Expr::Function(f) = e else {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "ROWS FROM takes functions").at(start(e.span())));
            };
            let ast::FunctionArguments::List(list) = &f.args else {
                return Err(Error::unsupported(format!("in ROWS FROM: {f}")).at(start(e.span())));
            };
            let bound = self.table_function(&f.name, &list.args, false, None, visible)?;
            first = first.or_else(|| bound.names.items.first().map(|i| i.alias.clone()));
            match bound.source {
                Source::Set { calls: more, .. } => calls.extend(more),
                Source::Value(id, value) => calls.push(self.one_row(id, value)?),
                Source::Rel(_) => return Err(Error::unsupported(format!("in ROWS FROM: {f}")).at(start(e.span()))),
            }
            columns.extend(bound.names.columns);
        }
        let only = if functions.len() == 1 { first } else { None };
        let shown = alias.map_or_else(|| only.unwrap_or_default(), |a| fold(&a.name));
        if let (Some(alias), [column], 1) = (alias, &mut columns[..], functions.len()) {
            // One function of one column: the alias names both, as without ROWS FROM.
            column.name = fold(&alias.name);
        }
        self.set_source(calls, columns, ordinality, shown, alias)
    }

    /// A value as a set of one row.
    fn one_row(&mut self, id: ColId, value: Expr) -> Result<SetCall> {
        let element = value.ty();
        let array = PgType::new(element.info().array);
        if array.oid.0 == 0 {
            return Err(Error::unsupported(format!("a function that returns {} in ROWS FROM", element.sql_name())));
        }
        let elements = Typed::new(Expr::Array { elements: vec![value], ty: array }, None);
        let resolved = self.resolve_function("unnest", vec![elements], &[], None)?;
        let call = Call { func: resolved.function.id, args: resolved.args, ty: element };
        Ok(SetCall { call, columns: vec![Col { id, ty: element }] })
    }

    pub(super) fn unnest(
        &mut self,
        arrays: &[ast::Expr],
        ordinality: bool,
        alias: Option<&TableAlias>,
        visible: &Namespace,
    ) -> Result<Bound> {
        if let [ast::Expr::Identifier(i), functions @ ..] = arrays
            && i.value == crate::parse::ROWS_FROM
        {
            return self.rows_from(functions, ordinality, alias, visible);
        }
        let shown = alias.map_or_else(|| "unnest".to_owned(), |a| fold(&a.name));
        let (mut calls, mut columns) = (Vec::new(), Vec::new());
        for e in arrays {
            let arg = self.with_names(visible, |b| b.expr(e))?;
            let pos = arg.pos;
            let resolved = self.resolve_function("unnest", vec![arg], &[], pos)?;
            // Several arrays: each column is called unnest, unless there is but one.
            let name = if arrays.len() == 1 { shown.as_str() } else { "unnest" };
            let column = scope_column(name, self.new_column(), resolved.ty);
            let call = Call { func: resolved.function.id, args: resolved.args, ty: resolved.ty };
            calls.push(SetCall { call, columns: vec![Col { id: column.id, ty: column.ty }] });
            columns.push(column);
        }
        self.set_source(calls, columns, ordinality, shown, alias)
    }
}
