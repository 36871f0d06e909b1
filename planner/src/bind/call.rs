//! Functions and operators: from a name and arguments to a resolved call.

use super::candidates::{Choice, Generic, choose};
use super::coerce::{literal, type_by_name};
use super::{Binder, Typed};
use crate::bound::{Call, Expr};
use crate::function::{self, FuncId, Function};
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};

const FUNCTION_HINT: &str =
    "No function matches the given name and argument types. You might need to add explicit type casts.";
const OPERATOR_HINT: &str =
    "No operator matches the given name and argument types. You might need to add explicit type casts.";

/// A function chosen for a call, its arguments converted.
pub(super) struct Resolved {
    pub function: &'static Function,
    pub args: Vec<Expr>,
    pub ty: PgType,
}

/// A way to call a function: the type for each argument given, in order.
struct Candidate {
    function: &'static Function,
    types: Vec<Oid>,
    /// For each parameter the argument that fills it; `None` = its default. Empty when positional.
    order: Vec<Option<usize>>,
    variadic: bool,
}

/// The operator chosen for two operands.
pub(super) struct ResolvedOperator {
    pub func: FuncId,
    pub left: PgType,
    pub right: PgType,
    pub ty: PgType,
}

impl Binder<'_> {
    /// Resolves `name(args)`. `names[i]` is set for `arg => value`.
    ///
    /// # Errors
    /// `42883`, `42725`
    pub(super) fn resolve_function(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        names: &[Option<String>],
        pos: Option<u32>,
    ) -> Result<Resolved> {
        let types: Vec<Oid> = args.iter().map(Typed::oid).collect();
        let candidates: Vec<Candidate> =
            function::by_name(name).iter().filter_map(|f| candidate(f, args.len(), names)).collect();
        let shapes: Vec<Vec<Oid>> = candidates.iter().map(|c| c.types.clone()).collect();
        match choose(&types, &shapes) {
            Choice::One(i) => self.finish_call(&candidates[i], args, pos),
            Choice::Ambiguous => Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function {} is not unique", signature(name, &types, names)),
            )
            .hint("Could not choose a best candidate function. You might need to add explicit type casts.")
            .at(pos)),
            Choice::None => Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {} does not exist", signature(name, &types, names)),
            )
            .hint(FUNCTION_HINT)
            .at(pos)),
        }
    }

    /// `int4('5')`, `date(ts)`: a type's name used as a function of one argument.
    pub(super) fn is_cast_call(&self, name: &str, args: &[Typed]) -> Option<PgType> {
        let [arg] = args else { return None };
        let ty = type_by_name(name)?;
        let exact = |f: &&&Function| f.args.len() == 1 && f.args[0] == arg.oid();
        if function::by_name(name).iter().find(exact).is_some() {
            return None;
        }
        let trivial = arg.is_unknown()
            || function::cast(arg.oid(), ty.oid).is_some_and(|c| c.func.is_none())
            || (super::coerce::is_string(ty.oid) && function::by_name(name).is_empty());
        trivial.then_some(ty)
    }

    fn finish_call(&mut self, chosen: &Candidate, args: Vec<Typed>, pos: Option<u32>) -> Result<Resolved> {
        let function = chosen.function;
        let types: Vec<Oid> = args.iter().map(Typed::oid).collect();
        let generic = Generic::of(&types, &chosen.types).ok_or_else(|| Error::internal("candidate does not fit"))?;
        let mut values = Vec::with_capacity(args.len());
        for (arg, declared) in args.into_iter().zip(&chosen.types) {
            let target = generic.actual(*declared).ok_or_else(|| polymorphic(arg.pos.or(pos)))?;
            values.push(self.argument(arg, target, chosen.variadic)?.expr);
        }
        let ret = generic.actual(function.ret).ok_or_else(|| polymorphic(pos))?;
        let args = self.order_arguments(chosen, values)?;
        Ok(Resolved { function, args, ty: PgType::new(ret) })
    }

    fn argument(&mut self, arg: Typed, target: Oid, variadic: bool) -> Result<Typed> {
        if target != oid::ANY {
            return self.coerce_implicit_or_relabel(arg, target);
        }
        if let (Expr::Param { index, .. }, true) = (&arg.expr, arg.is_unknown()) {
            self.untyped_uses.push((*index, arg.pos));
            return Ok(arg);
        }
        let _ = variadic;
        self.resolve_unknown(arg)
    }

    /// Arguments keep their own type name when the form is the same (varchar for text), so that columns stay visible.
    fn coerce_implicit_or_relabel(&mut self, arg: Typed, target: Oid) -> Result<Typed> {
        let same_form = arg.oid() == target || function::cast(arg.oid(), target).is_some_and(|c| c.func.is_none());
        if same_form && !arg.is_unknown() { Ok(arg) } else { self.coerce_implicit(arg, PgType::new(target)) }
    }

    /// Puts named arguments in place and fills in defaults.
    fn order_arguments(&mut self, chosen: &Candidate, values: Vec<Expr>) -> Result<Vec<Expr>> {
        let f = chosen.function;
        if chosen.variadic || (chosen.order.is_empty() && values.len() == f.args.len()) {
            return Ok(values);
        }
        let order = if chosen.order.is_empty() {
            (0..f.args.len()).map(|i| (i < values.len()).then_some(i)).collect()
        } else {
            chosen.order.clone()
        };
        let mut values: Vec<Option<Expr>> = values.into_iter().map(Some).collect();
        let required = f.args.len() - f.defaults.len();
        let mut out = Vec::with_capacity(order.len());
        for (i, from) in order.into_iter().enumerate() {
            let value = from.and_then(|k| values[k].take());
            out.push(match value {
                Some(v) => v,
                None => {
                    let ty = PgType::new(f.args[i]);
                    let text = f.defaults[i - required];
                    let null = text.eq_ignore_ascii_case("null");
                    let value = if null { Datum::Null } else { heddle_types::text::parse(text, ty, &self.ctx.text)? };
                    Expr::Literal { value, ty }
                }
            });
        }
        Ok(out)
    }

    /// A scalar call by name, for special syntax: `extract(…)`, `a AT TIME ZONE b`.
    pub(super) fn scalar_call(&mut self, name: &str, args: Vec<Typed>, pos: Option<u32>) -> Result<Typed> {
        let r = self.resolve_function(name, args, &[], pos)?;
        match r.function.kind {
            function::Kind::Scalar(_) | function::Kind::Compare(..) => {
                Ok(Typed::new(Expr::Call(Call { func: r.function.id, args: r.args, ty: r.ty }), pos))
            }
            _ => Err(Error::unsupported(format!("function {name} here")).at(pos)),
        }
    }

    /// Chooses an operator for operand types; unknown operands take what the operator says.
    ///
    /// # Errors
    /// `42883`, `42725`
    pub(super) fn resolve_operator(
        &self,
        name: &str,
        left: Oid,
        right: Oid,
        pos: Option<u32>,
    ) -> Result<ResolvedOperator> {
        let all: Vec<_> = function::operators(name).iter().filter(|o| o.left.0 != 0).collect();
        let shapes: Vec<Vec<Oid>> = all.iter().map(|o| vec![o.left, o.right]).collect();
        // An unknown operand is first tried as the type of the other one.
        let guess = match (left, right) {
            (oid::UNKNOWN, r) if r != oid::UNKNOWN => vec![r, r],
            (l, oid::UNKNOWN) if l != oid::UNKNOWN => vec![l, l],
            (l, r) => vec![l, r],
        };
        // PostgreSQL has operators between float4 and float8, and those win over float4's own when one side is another number.
        let number = |t: Oid| super::coerce::category(t) == 'N';
        let widened = left != right && number(left) && number(right) && (left == oid::FLOAT4 || right == oid::FLOAT4);
        let wide = [oid::FLOAT8, oid::FLOAT8];
        let choice = match shapes.iter().position(|s| *s == guess) {
            Some(i) => Choice::One(i),
            None => match shapes.iter().position(|s| widened && *s == wide) {
                Some(i) => Choice::One(i),
                None => choose(&[left, right], &shapes),
            },
        };
        match choice {
            Choice::One(i) => resolved_operator(all[i], left, right, pos),
            Choice::Ambiguous => Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("operator is not unique: {} {name} {}", type_name(left), type_name(right)),
            )
            .hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
            .at(pos)),
            Choice::None => Err(no_operator(format!("{} {name} {}", type_name(left), type_name(right)), pos)),
        }
    }

    /// `left op right`
    pub(super) fn operator(&mut self, name: &str, left: Typed, right: Typed, pos: Option<u32>) -> Result<Typed> {
        let op = self.resolve_operator(name, left.oid(), right.oid(), pos)?;
        let at = left.pos.or(pos);
        let left = self.coerce_implicit_or_relabel(left, op.left.oid)?;
        let right = self.coerce_implicit_or_relabel(right, op.right.oid)?;
        let call = Call { func: op.func, args: vec![left.expr, right.expr], ty: op.ty };
        Ok(Typed::new(Expr::Call(call), at))
    }

    /// `op operand`
    pub(super) fn prefix_operator(&mut self, name: &str, operand: Typed, pos: Option<u32>) -> Result<Typed> {
        let all: Vec<_> = function::operators(name).iter().filter(|o| o.left.0 == 0).collect();
        let shapes: Vec<Vec<Oid>> = all.iter().map(|o| vec![o.right]).collect();
        let chosen = match choose(&[operand.oid()], &shapes) {
            Choice::One(i) => all[i],
            Choice::Ambiguous => {
                let message = format!("operator is not unique: {name} {}", type_name(operand.oid()));
                return Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, message)
                    .hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
                    .at(pos));
            }
            Choice::None => return Err(no_operator(format!("{name} {}", type_name(operand.oid())), pos)),
        };
        let operand = self.coerce_implicit_or_relabel(operand, chosen.right)?;
        let ret = function::by_id(chosen.func).map_or(chosen.right, |f| f.ret);
        let call = Call { func: chosen.func, args: vec![operand.expr], ty: PgType::new(ret) };
        Ok(Typed::new(Expr::Call(call), pos))
    }

    /// Converts the operands of a comparison that is not a plain call (IN, ANY, sub-queries).
    pub(super) fn operand(&mut self, value: Typed, ty: PgType) -> Result<Expr> {
        Ok(self.coerce_implicit_or_relabel(value, ty.oid)?.expr)
    }
}

fn resolved_operator(o: &function::Operator, left: Oid, right: Oid, pos: Option<u32>) -> Result<ResolvedOperator> {
    let both = match (left, right) {
        (oid::UNKNOWN, r) if o.left == o.right => [r, r],
        (l, oid::UNKNOWN) if o.left == o.right => [l, l],
        (l, r) => [l, r],
    };
    let generic = Generic::of(&both, &[o.left, o.right]).ok_or_else(|| Error::internal("operator does not fit"))?;
    let actual = |declared: Oid| generic.actual(declared).map(PgType::new).ok_or_else(|| polymorphic(pos));
    let ret = function::by_id(o.func).map_or(oid::BOOL, |f| f.ret);
    Ok(ResolvedOperator { func: o.func, left: actual(o.left)?, right: actual(o.right)?, ty: actual(ret)? })
}

fn polymorphic(pos: Option<u32>) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, "could not determine polymorphic type because input has type unknown")
        .at(pos)
}

fn no_operator(what: String, pos: Option<u32>) -> Error {
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {what}")).hint(OPERATOR_HINT).at(pos)
}

pub(super) fn type_name(ty: Oid) -> String {
    PgType::new(ty).sql_name()
}

fn signature(name: &str, types: &[Oid], names: &[Option<String>]) -> String {
    let arg = |(i, t): (usize, &Oid)| match names.get(i) {
        Some(Some(n)) => format!("{n} => {}", type_name(*t)),
        _ => type_name(*t),
    };
    let args: Vec<String> = types.iter().enumerate().map(arg).collect();
    format!("{name}({})", args.join(", "))
}

/// How `f` could take `n` arguments, if at all.
fn candidate(f: &'static Function, n: usize, names: &[Option<String>]) -> Option<Candidate> {
    if names.iter().any(Option::is_some) {
        return named_candidate(f, n, names);
    }
    let params = f.args.len();
    if n == params && f.variadic.0 == 0 {
        return Some(Candidate { function: f, types: f.args.to_vec(), order: Vec::new(), variadic: false });
    }
    if f.variadic.0 != 0 && params > 0 && n >= params {
        let mut types = f.args[..params - 1].to_vec();
        types.resize(n, f.variadic);
        return Some(Candidate { function: f, types, order: Vec::new(), variadic: true });
    }
    if n < params && params - n <= f.defaults.len() {
        return Some(Candidate { function: f, types: f.args[..n].to_vec(), order: Vec::new(), variadic: false });
    }
    None
}

fn named_candidate(f: &'static Function, n: usize, names: &[Option<String>]) -> Option<Candidate> {
    let params = f.args.len();
    if n > params || f.variadic.0 != 0 {
        return None;
    }
    let mut order = vec![None; params];
    let mut types = Vec::with_capacity(n);
    for (i, name) in names.iter().enumerate() {
        let at = match name {
            None => i,
            Some(name) => f.arg_names.iter().position(|a| a == name)?,
        };
        if order.get(at)?.is_some() {
            return None;
        }
        order[at] = Some(i);
        types.push(f.args[at]);
    }
    let required = params - f.defaults.len();
    order[..required].iter().all(Option::is_some).then_some(Candidate { function: f, types, order, variadic: false })
}

/// `NULL::ty`
pub(super) fn null(ty: PgType) -> Expr {
    Expr::Literal { value: Datum::Null, ty }
}

pub(super) fn int4(v: i32) -> Typed {
    Typed::new(literal(Datum::Int4(v), oid::INT4), None)
}
