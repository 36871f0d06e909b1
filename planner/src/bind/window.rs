//! Function calls as written: scalar, aggregate, window and set-returning functions, and words that look like calls.

use super::names::{fold, parts, start};
use super::scope::Clause;
use super::{Binder, Typed};
use crate::bound::{
    AggregateCall, Call, Col, Exclude, Expr, Frame, FrameBound, FrameUnits, SetCall, SortKey, WindowCall,
};
use crate::function::Kind;
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};
use sqlparser::ast::{
    self, DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    ObjectName, Spanned, WindowSpec, WindowType,
};

/// The arguments of a call as written.
#[derive(Default)]
pub(super) struct Written {
    pub args: Vec<Typed>,
    pub names: Vec<Option<String>>,
    star: bool,
    distinct: bool,
    order: Vec<ast::OrderByExpr>,
}

impl Binder<'_> {
    pub(super) fn function(&mut self, f: &Function) -> Result<Typed> {
        let pos = start(f.name.span());
        let name = self.function_name(&f.name)?;
        if let FunctionArguments::Subquery(q) = &f.args {
            return match name.as_str() {
                "array" => self.array_subquery(q, pos),
                _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"select\"").at(start(q.span()))),
            };
        }
        if f.parameters != FunctionArguments::None || f.null_treatment.is_some() {
            return Err(Error::unsupported(format!("this form of {name}")).at(pos));
        }
        if !f.within_group.is_empty() {
            return self.ordered_set(f, &name);
        }
        if let Some(value) = self.word(&name, f, pos)? {
            return Ok(value);
        }
        let aggregate = is_aggregate(&name);
        let written =
            if aggregate && f.over.is_none() { self.aggregate_arguments(f, pos)? } else { self.arguments(f)? };
        self.call(f, &name, written, pos)
    }

    /// The function's bare name; a schema must be pg_catalog or exist.
    pub(super) fn function_name(&self, name: &ObjectName) -> Result<String> {
        let mut all = parts(name)?;
        let last = all.pop().ok_or_else(|| Error::internal("an empty name"))?;
        let pos = start(name.span());
        match all.as_slice() {
            [] => Ok(last),
            [schema] if schema == "pg_catalog" => Ok(last),
            [schema] => {
                let database = self.ctx.session.database_oid;
                let code = if self.catalog().schema(database, schema).is_some() {
                    (SqlState::UNDEFINED_FUNCTION, format!("function {schema}.{last} does not exist"))
                } else {
                    (SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
                };
                Err(Error::new(code.0, code.1).at(pos))
            }
            _ => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("improper qualified name (too many dotted names): {name}"),
            )
            .at(pos)),
        }
    }

    /// Constructs of the grammar that sqlparser reads as functions.
    fn word(&mut self, name: &str, f: &Function, pos: Option<u32>) -> Result<Option<Typed>> {
        match name {
            "coalesce" => {
                let written = self.arguments(f)?;
                let (args, ty) = self.unify(written.args, "COALESCE")?;
                let mut args: Vec<Expr> = args.into_iter().map(|a| a.expr).collect();
                let value = if args.len() == 1 { args.remove(0) } else { Expr::Coalesce { args, ty } };
                Ok(Some(Typed::new(value, pos)))
            }
            "greatest" | "least" => {
                let written = self.arguments(f)?;
                let (args, _) = self.unify(written.args, if name == "greatest" { "GREATEST" } else { "LEAST" })?;
                self.scalar_call(name, args, pos).map(Some)
            }
            "nullif" => self.nullif(f, pos).map(Some),
            "grouping" => self.grouping_call(f, pos).map(Some),
            "row" => match super::expr::row_elements(&ast::Expr::Function(f.clone())) {
                Some(elements) => self.row_value(elements, pos).map(Some),
                None => Err(Error::unsupported("this form of a row value").at(pos)),
            },
            "current_schema" | "current_user" | "session_user" | "current_catalog" | "current_date" | "user"
            | "current_role" | "current_time" | "localtime" | "current_timestamp" | "localtimestamp"
                if f.args == FunctionArguments::None =>
            {
                if name == "current_time" {
                    return Err(Error::unsupported("type time with time zone").at(pos));
                }
                let name = match name {
                    "current_catalog" => "current_database",
                    "current_role" | "user" => "current_user",
                    name => name,
                };
                self.scalar_call(name, Vec::new(), pos).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn nullif(&mut self, f: &Function, pos: Option<u32>) -> Result<Typed> {
        let written = self.arguments(f)?;
        let Ok([a, b]) = <[Typed; 2]>::try_from(written.args) else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "nullif takes two arguments").at(pos));
        };
        let test = self.operator("=", a.clone(), b, pos)?;
        let first = match &test.expr {
            // The converted operand: NULLIF has the type of the comparison's left side.
            Expr::Call(c) if a.is_unknown() || nullif_promotes(a.oid(), c.args[0].ty().oid) => c.args[0].clone(),
            _ => a.expr,
        };
        // `=` takes varchar as text, and so does NULLIF.
        let first =
            if first.ty().oid == oid::VARCHAR { super::coerce::relabel(first, PgType::new(oid::TEXT)) } else { first };
        let ty = first.ty();
        let branches = vec![(test.expr, super::call::null(ty))];
        Ok(Typed::new(Expr::Case { branches, otherwise: Box::new(first), ty }, pos))
    }

    fn grouping_call(&mut self, f: &Function, pos: Option<u32>) -> Result<Typed> {
        if !self.level().clause.allows_aggregates() {
            let phrase = self.level().clause.phrase();
            let message = format!("grouping operations are not allowed in {phrase}");
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(pos));
        }
        let written = self.in_aggregate(|b| b.arguments(f))?;
        let id = self.new_column();
        self.level().grouping_calls.push((id, written.args));
        Ok(Typed::new(Expr::Column { id, ty: PgType::new(oid::INT4) }, pos))
    }

    pub(super) fn in_aggregate<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.level().in_aggregate, true);
        let result = work(self);
        self.level().in_aggregate = before;
        result
    }

    fn aggregate_arguments(&mut self, f: &Function, pos: Option<u32>) -> Result<Written> {
        self.aggregate_place(pos)?;
        self.in_aggregate(|b| b.arguments(f))
    }

    /// May an aggregate stand here?
    pub(super) fn aggregate_place(&mut self, pos: Option<u32>) -> Result<()> {
        let level = self.level();
        if level.in_aggregate {
            let message = "aggregate function calls cannot be nested";
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(pos));
        }
        if !level.clause.allows_aggregates() {
            let phrase = level.clause.phrase();
            let message = format!("aggregate functions are not allowed in {phrase}");
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(pos));
        }
        Ok(())
    }

    /// Binds the arguments of a call.
    pub(super) fn arguments(&mut self, f: &Function) -> Result<Written> {
        let FunctionArguments::List(list) = &f.args else { return Ok(Written::default()) };
        let mut written = self.argument_list(&list.args)?;
        written.distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        if written.star && list.duplicate_treatment.is_some() {
            let pos = self.places.star(start(f.name.span()));
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"*\"").at(pos));
        }
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(order) => written.order = order.clone(),
                other => return Err(Error::unsupported(format!("{other} in a function call")).at(start(f.name.span()))),
            }
        }
        Ok(written)
    }

    pub(super) fn argument_list(&mut self, args: &[FunctionArg]) -> Result<Written> {
        let mut written = Written::default();
        for arg in args {
            let (name, arg) = match arg {
                FunctionArg::Unnamed(arg) => (None, arg),
                FunctionArg::Named { name, arg, .. } => (Some(fold(name)), arg),
                FunctionArg::ExprNamed { name, arg, .. } => match name {
                    ast::Expr::Identifier(i) => (Some(fold(i)), arg),
                    other => return Err(Error::unsupported(format!("the argument name {other}"))),
                },
            };
            match arg {
                FunctionArgExpr::Expr(e) => {
                    written.args.push(self.expr(e)?);
                    written.names.push(name);
                }
                FunctionArgExpr::Wildcard => written.star = true,
                FunctionArgExpr::QualifiedWildcard(of) => {
                    written.args.push(self.qualified_row(of)?);
                    written.names.push(name);
                }
                other => return Err(Error::unsupported(format!("the argument {other}"))),
            }
        }
        Ok(written)
    }

    fn call(&mut self, f: &Function, name: &str, written: Written, pos: Option<u32>) -> Result<Typed> {
        if let Some(ty) = self.is_cast_call(name, &written.args) {
            let mut args = written.args;
            return self.cast(args.pop().expect("one argument"), ty, pos);
        }
        if !written.star && written.args.is_empty() && name == "count" {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "count(*) must be used to call a parameterless aggregate function",
            )
            .at(pos));
        }
        let Written { args, names, star, distinct, order } = written;
        let (name, args) = self.see_rows(name, args)?;
        let name = name.as_str();
        if let ("pg_typeof", [Typed { expr: Expr::Literal { .. }, .. }]) = (name, args.as_slice())
            && args[0].is_unknown()
        {
            let ty = PgType::new(oid::REGTYPE);
            return Ok(Typed::new(Expr::Literal { value: Datum::Oid(oid::UNKNOWN.0), ty }, pos));
        }
        let resolved = self.resolve_function(name, args, &names, pos)?;
        let plain = Call { func: resolved.function.id, args: resolved.args, ty: resolved.ty };
        match resolved.function.kind {
            Kind::Aggregate(_) => {
                let ordered = if f.over.is_none() {
                    self.in_aggregate(|b| b.aggregate_order(&order, &plain, distinct, pos))?
                } else {
                    self.aggregate_order(&order, &plain, distinct, pos)?
                };
                let filter = match &f.filter {
                    Some(e) if f.over.is_none() => Some(self.in_aggregate(|b| b.condition(e, "FILTER"))?),
                    Some(e) => Some(self.condition(e, "FILTER")?),
                    None => None,
                };
                let call = AggregateCall {
                    func: plain.func,
                    args: plain.args,
                    ty: plain.ty,
                    distinct,
                    order: ordered,
                    filter,
                };
                match &f.over {
                    Some(over) => self.window(call, over, pos),
                    None => self.aggregate(call, pos),
                }
            }
            Kind::Window(_) => {
                let Some(over) = &f.over else {
                    let message = format!("window function {name} requires an OVER clause");
                    return Err(Error::new(SqlState::WINDOWING_ERROR, message).at(pos));
                };
                let call = AggregateCall {
                    func: plain.func,
                    args: plain.args,
                    ty: plain.ty,
                    distinct: false,
                    order: Vec::new(),
                    filter: None,
                };
                self.window(call, over, pos)
            }
            kind => {
                self.only_aggregates_take(name, star, distinct, !order.is_empty(), f, pos)?;
                match kind {
                    Kind::Set(_, outputs) => self.set_call(plain, outputs, pos),
                    _ => Ok(Typed::new(Expr::Call(plain), pos)),
                }
            }
        }
    }

    fn only_aggregates_take(
        &self,
        name: &str,
        star: bool,
        distinct: bool,
        ordered: bool,
        f: &Function,
        pos: Option<u32>,
    ) -> Result<()> {
        let what = if f.over.is_some() {
            let message = format!("OVER specified, but {name} is not a window function nor an aggregate function");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(pos));
        } else if star {
            format!("{name}(*)")
        } else if distinct {
            "DISTINCT".to_owned()
        } else if ordered {
            "ORDER BY".to_owned()
        } else if f.filter.is_some() {
            "FILTER".to_owned()
        } else {
            return Ok(());
        };
        let message = format!("{what} specified, but {name} is not an aggregate function");
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(pos))
    }

    fn aggregate_order(
        &mut self,
        order: &[ast::OrderByExpr],
        call: &Call,
        distinct: bool,
        pos: Option<u32>,
    ) -> Result<Vec<SortKey>> {
        let keys = self.sort_keys(order)?;
        if distinct && keys.iter().any(|k| !call.args.iter().any(|a| super::walk::same(a, &k.expr))) {
            let message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(pos));
        }
        Ok(keys)
    }

    /// ORDER BY inside a call or a window: expressions over the input, never ordinals.
    fn sort_keys(&mut self, order: &[ast::OrderByExpr]) -> Result<Vec<SortKey>> {
        let mut keys = Vec::new();
        for o in order {
            let value = self.expr(&o.expr)?;
            let value = self.resolve_unknown(value)?;
            self.ordering(&value)?;
            keys.push(sort_key(value.expr, &o.options));
        }
        Ok(keys)
    }

    /// An aggregate of this level: equal calls are made once.
    pub(super) fn aggregate(&mut self, call: AggregateCall, pos: Option<u32>) -> Result<Typed> {
        let ty = call.ty;
        let outer_only = |e: &Expr| {
            super::walk::any(e, &mut |e| matches!(e, Expr::Outer { .. })) && super::walk::columns(e).is_empty()
        };
        if !call.args.is_empty() && call.args.iter().all(outer_only) {
            return Err(Error::unsupported("an aggregate over columns of an outer query").at(pos));
        }
        if let Some(inner) = call.args.iter().find(|a| self.uses_windows(a)) {
            let _ = inner;
            let message = "aggregate function calls cannot contain window function calls";
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(pos));
        }
        let level = self.level();
        let known = level.aggregates.iter().find(|(_, a)| same_aggregate(a, &call)).map(|(id, _)| *id);
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.new_column();
                self.level().aggregates.push((id, call));
                id
            }
        };
        Ok(Typed::new(Expr::Column { id, ty }, pos))
    }

    fn uses_windows(&self, e: &Expr) -> bool {
        let windows = &self.levels.last().expect("inside a level").windows;
        super::walk::any(e, &mut |e| matches!(e, Expr::Column { id, .. } if windows.iter().any(|(w, _)| w == id)))
    }

    fn set_call(&mut self, call: Call, outputs: &[(&str, Oid)], pos: Option<u32>) -> Result<Typed> {
        let clause = self.level().clause;
        let allowed =
            matches!(clause, Clause::Select | Clause::OrderBy) && !self.level().in_aggregate && !self.level().in_window;
        if !allowed {
            let message = format!("set-returning functions are not allowed in {}", clause.phrase());
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos));
        }
        let sets = &self.level().set_calls;
        let made: Vec<_> = sets.iter().flat_map(|s| s.columns.iter().map(|c| c.id)).collect();
        let nested = |e: &Expr| super::walk::columns(e).iter().any(|id| made.contains(id));
        if call.args.iter().any(nested) {
            return Err(Error::unsupported("a set-returning function inside another").at(pos));
        }
        if outputs.len() > 1 {
            let typed = |ty: Oid| if super::coerce::is_polymorphic(ty) { call.ty } else { PgType::new(ty) };
            let columns: Vec<Col> =
                outputs.iter().map(|(_, ty)| Col { id: self.new_column(), ty: typed(*ty) }).collect();
            let fields = columns.iter().map(|c| Expr::Column { id: c.id, ty: c.ty }).collect();
            self.level().set_calls.push(SetCall { call, columns });
            return Ok(self.row_of(outputs.iter().map(|(n, _)| (*n).to_owned()).collect(), fields, pos));
        }
        let (id, ty) = (self.new_column(), call.ty);
        self.level().set_calls.push(SetCall { call, columns: vec![Col { id, ty }] });
        Ok(Typed::new(Expr::Column { id, ty }, pos))
    }

    fn window(&mut self, call: AggregateCall, over: &WindowType, pos: Option<u32>) -> Result<Typed> {
        let level = self.level();
        if level.in_window {
            return Err(Error::new(SqlState::WINDOWING_ERROR, "window function calls cannot be nested").at(pos));
        }
        if level.in_aggregate {
            let message = "aggregate function calls cannot contain window function calls";
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(pos));
        }
        if !matches!(level.clause, Clause::Select | Clause::OrderBy) {
            let message = format!("window functions are not allowed in {}", level.clause.phrase());
            return Err(Error::new(SqlState::WINDOWING_ERROR, message).at(pos));
        }
        if call.distinct {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "DISTINCT is not implemented for window functions",
            )
            .at(pos));
        }
        if !call.order.is_empty() {
            let message = "aggregate ORDER BY is not implemented for window functions";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos));
        }
        if call.args.iter().any(|a| self.uses_windows(a)) {
            return Err(Error::new(SqlState::WINDOWING_ERROR, "window function calls cannot be nested").at(pos));
        }
        let spec = match over {
            WindowType::NamedWindow(name) => self.named_window(&fold(name), start(name.span))?,
            WindowType::WindowSpec(spec) => self.complete_window(spec)?,
        };
        self.level().in_window = true;
        let bound = self.window_parts(&spec);
        self.level().in_window = false;
        let (partition, order, frame) = bound?;
        let (id, ty) = (self.new_column(), call.ty);
        self.level().windows.push((id, WindowCall { call, partition, order, frame }));
        Ok(Typed::new(Expr::Column { id, ty }, pos))
    }

    fn named_window(&mut self, name: &str, pos: Option<u32>) -> Result<WindowSpec> {
        match self.level().named_windows.iter().find(|(n, _)| n == name) {
            Some((_, spec)) => Ok(spec.clone()),
            None => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist")).at(pos)),
        }
    }

    /// `(base PARTITION … ORDER … frame)` with what it takes over from the base.
    pub(super) fn complete_window(&mut self, spec: &WindowSpec) -> Result<WindowSpec> {
        let Some(name) = &spec.window_name else { return Ok(spec.clone()) };
        let pos = start(name.span);
        let base = self.named_window(&fold(name), pos)?;
        let wrong = |what: String| Err(Error::new(SqlState::WINDOWING_ERROR, what).at(pos));
        let (exclude, partition) = super::frame::exclusion(&spec.partition_by);
        if !partition.is_empty() {
            return wrong(format!("cannot override PARTITION BY clause of window \"{name}\""));
        }
        if !spec.order_by.is_empty() && !base.order_by.is_empty() {
            return wrong(format!("cannot override ORDER BY clause of window \"{name}\""));
        }
        if base.window_frame.is_some() {
            return wrong(format!("cannot copy window \"{name}\" because it has a frame clause"));
        }
        let order_by = if spec.order_by.is_empty() { base.order_by } else { spec.order_by.clone() };
        Ok(WindowSpec {
            window_name: None,
            partition_by: marked(exclude, &spec.partition_by, base.partition_by),
            order_by,
            window_frame: spec.window_frame.clone(),
        })
    }

    fn window_parts(&mut self, spec: &WindowSpec) -> Result<(Vec<Expr>, Vec<SortKey>, Frame)> {
        let mut partition = Vec::new();
        let (exclude, keys) = super::frame::exclusion(&spec.partition_by);
        for e in keys {
            let value = self.expr(e)?;
            let value = self.resolve_unknown(value)?;
            self.equality(&value)?;
            partition.push(value.expr);
        }
        let order = self.sort_keys(&spec.order_by)?;
        let frame = match &spec.window_frame {
            None => {
                let (start, end) = (FrameBound::UnboundedPreceding, FrameBound::CurrentRow);
                Frame { units: FrameUnits::Range, start, end, exclude, keyed: None }
            }
            Some(f) => Frame { exclude, ..self.frame(f, &order)? },
        };
        Ok((partition, order, frame))
    }

    /// Can values of this type be grouped?
    pub(super) fn equality(&self, value: &Typed) -> Result<()> {
        self.comparable(value, "could not identify an equality operator for type", None)
    }

    /// Can values of this type be sorted?
    pub(super) fn ordering(&self, value: &Typed) -> Result<()> {
        if value.oid() == oid::RECORD {
            return Err(Error::unsupported("an order of row values").at(value.pos));
        }
        let hint = "Use an explicit ordering operator or modify the query.";
        self.comparable(value, "could not identify an ordering operator for type", Some(hint))
    }

    fn comparable(&self, value: &Typed, message: &str, hint: Option<&str>) -> Result<()> {
        let ty = value.oid();
        let ok = |t| crate::function::comparison(t, crate::function::Comparison::Eq).is_some();
        let element = super::coerce::element_of(ty);
        let string = super::coerce::is_string(ty);
        if string
            || ok(ty)
            || element.is_some_and(|e| ok(e) || super::coerce::is_string(e))
            || matches!(value.expr, Expr::Literal { value: Datum::Null, .. })
        {
            return Ok(());
        }
        let e = Error::new(SqlState::UNDEFINED_FUNCTION, format!("{message} {}", value.ty().sql_name())).at(value.pos);
        Err(match hint {
            Some(h) => e.hint(h),
            None => e,
        })
    }
}

/// The base's PARTITION BY behind the EXCLUDE of the window that builds on it.
fn marked(exclude: Exclude, own: &[ast::Expr], base: Vec<ast::Expr>) -> Vec<ast::Expr> {
    let mark = own.first().filter(|_| exclude != Exclude::NoOthers).cloned();
    mark.into_iter().chain(base).collect()
}

/// ASC puts NULLs last, DESC first, unless said otherwise.
pub(super) fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> SortKey {
    let desc = options.asc == Some(false);
    SortKey { expr, desc, nulls_first: options.nulls_first.unwrap_or(desc) }
}

fn is_aggregate(name: &str) -> bool {
    crate::function::by_name(name).iter().any(|f| matches!(f.kind, Kind::Aggregate(_)))
}

fn same_aggregate(a: &AggregateCall, b: &AggregateCall) -> bool {
    let all = |x: &[Expr], y: &[Expr]| x.len() == y.len() && x.iter().zip(y).all(|(p, q)| super::walk::same(p, q));
    let filter = match (&a.filter, &b.filter) {
        (None, None) => true,
        (Some(x), Some(y)) => super::walk::same(x, y),
        _ => false,
    };
    a.func == b.func
        && a.distinct == b.distinct
        && filter
        && all(&a.args, &b.args)
        && a.order.is_empty()
        && b.order.is_empty()
}

/// Does PostgreSQL's `=` convert the left operand? There are operators across integers, across floats and from name to text, so
/// those stay as they are whatever ours do.
fn nullif_promotes(from: Oid, to: Oid) -> bool {
    from != to
        && from != oid::NAME
        && (matches!(to, oid::NUMERIC | oid::TEXT) || (to == oid::FLOAT8 && from != oid::FLOAT4))
}
