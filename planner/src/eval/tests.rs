//! Laziness and three-valued logic.

use super::*;
use crate::context::SessionInfo;
use heddle_catalog::CatalogSnapshot;
use heddle_types::{Oid, PgArray, oid};

fn ctx(params: Vec<Datum>) -> EvalContext {
    let session = SessionInfo {
        database: "postgres".into(),
        database_oid: Oid(5),
        user: "postgres".into(),
        session_user: "postgres".into(),
        pid: 1,
        search_path: vec![],
        setting: Box::new(|_| None),
        set_setting: Box::new(|_, v, _| Ok(v.to_owned())),
        settings: Box::new(Vec::new),
        notice: Box::new(|_| {}),
        deferred: Default::default(),
        sequences: Default::default(),
        interrupts: Default::default(),
        backends: Arc::new(crate::context::Nobody),
        advisory: Default::default(),
        temporary: Default::default(),
    };
    EvalContext {
        text: Default::default(),
        statement_us: 0,
        params: params.into(),
        session: Arc::new(session),
        env: heddle_env::Env::real(),
        txn: None,
        catalog: Arc::new(CatalogSnapshot::default()),
        stopped: Default::default(),
        inventory: None,
    }
}

fn int4() -> PgType {
    PgType::new(oid::INT4)
}

fn int(v: i32) -> Expr {
    Expr::Literal { value: Datum::Int4(v), ty: int4() }
}

fn null() -> Expr {
    Expr::Literal { value: Datum::Null, ty: int4() }
}

fn col(id: u32) -> Expr {
    Expr::Column { id: ColId(id), ty: int4() }
}

/// The int4 operator of that name.
fn op(name: &str, a: Expr, b: Expr) -> Expr {
    let op = function::operators(name).iter().find(|o| o.left == oid::INT4 && o.right == oid::INT4).unwrap();
    let ty = if matches!(name, "/" | "+") { int4() } else { PgType::new(oid::BOOL) };
    Expr::Call(Call { func: op.func, args: vec![a, b], ty })
}

/// Evaluates over column 1.
fn over(expr: &Expr, values: &[Option<i32>]) -> Result<Vec<Datum>> {
    let values: Vec<Datum> = values.iter().map(|v| v.map_or(Datum::Null, Datum::Int4)).collect();
    let column = heddle_types::arrow::column(&values, int4())?;
    let columns = Columns { rows: values.len(), get: &|id| (id == ColId(1)).then(|| Arc::clone(&column)) };
    let out = eval(expr, &columns, &ctx(vec![]))?;
    Ok((0..values.len()).map(|i| heddle_types::arrow::datum_at(&out, expr.ty(), i)).collect())
}

fn bools(v: &[Option<bool>]) -> Vec<Datum> {
    v.iter().map(|b| b.map_or(Datum::Null, Datum::Bool)).collect()
}

#[test]
fn and_does_not_reach_the_division() {
    let e = Expr::And(vec![op("<>", col(1), int(0)), op(">", op("/", int(10), col(1)), int(3))]);
    let got = over(&e, &[Some(0), Some(2), Some(5), None]).unwrap();
    assert_eq!(got, bools(&[Some(false), Some(true), Some(false), None]));
}

#[test]
fn or_does_not_reach_the_division() {
    let e = Expr::Or(vec![op("=", col(1), int(0)), op(">", op("/", int(10), col(1)), int(3))]);
    assert_eq!(over(&e, &[Some(0), Some(5), None]).unwrap(), bools(&[Some(true), Some(false), None]));
}

#[test]
fn division_by_zero_surfaces_when_reached() {
    let e = over(&op("/", int(1), col(1)), &[Some(1), Some(0)]).unwrap_err();
    assert_eq!(e.code(), heddle_types::SqlState::DIVISION_BY_ZERO);
}

#[test]
fn case_and_coalesce_are_lazy() {
    let case = Expr::Case {
        branches: vec![(op("=", col(1), int(0)), int(-1)), (Expr::IsNull(Box::new(col(1))), int(-2))],
        otherwise: Box::new(op("/", int(10), col(1))),
        ty: int4(),
    };
    let ints = |v: &[i32]| v.iter().map(|i| Datum::Int4(*i)).collect::<Vec<_>>();
    assert_eq!(over(&case, &[Some(0), Some(5), None]).unwrap(), ints(&[-1, 2, -2]));
    let coalesce = Expr::Coalesce { args: vec![col(1), op("/", int(1), int(0))], ty: int4() };
    assert_eq!(over(&coalesce, &[Some(3)]).unwrap(), ints(&[3]));
    assert!(over(&coalesce, &[None]).is_err());
}

#[test]
fn in_lists_know_null() {
    let equals = function::comparison(oid::INT4, function::Comparison::Eq).unwrap();
    let list = |items: Vec<Expr>| Expr::InList { expr: Box::new(col(1)), list: items, equals };
    let short = list(vec![int(1), null()]);
    assert_eq!(over(&short, &[Some(1), Some(2), None]).unwrap(), bools(&[Some(true), None, None]));
    let long = list((0..20).map(int).collect());
    assert_eq!(over(&long, &[Some(1), Some(99), None]).unwrap(), bools(&[Some(true), Some(false), None]));
}

#[test]
fn any_and_all_over_arrays() {
    let array = |v: &[Option<i32>]| {
        let elements = v.iter().map(|v| v.map_or(Datum::Null, Datum::Int4)).collect();
        let value = Datum::Array(Arc::new(PgArray::from_vec(oid::INT4, elements)));
        Expr::Literal { value, ty: PgType::new(oid::INT4_ARRAY) }
    };
    let eq = function::comparison(oid::INT4, function::Comparison::Eq).unwrap();
    let gt = function::comparison(oid::INT4, function::Comparison::Gt).unwrap();
    let any = |op, a, all| Expr::AnyArray { expr: Box::new(col(1)), array: Box::new(a), op, all };
    let got = over(&any(eq, array(&[Some(1), None]), false), &[Some(1), Some(2), None]).unwrap();
    assert_eq!(got, bools(&[Some(true), None, None]));
    let got = over(&any(gt, array(&[Some(1), Some(2)]), true), &[Some(3), Some(2)]).unwrap();
    assert_eq!(got, bools(&[Some(true), Some(false)]));
    assert_eq!(over(&any(gt, array(&[]), true), &[None]).unwrap(), bools(&[Some(true)]));
    assert_eq!(over(&any(gt, array(&[]), false), &[None]).unwrap(), bools(&[Some(false)]));
}

#[test]
fn not_distinct_compares_nulls() {
    let e = Expr::NotDistinct(Box::new(col(1)), Box::new(null()));
    assert_eq!(over(&e, &[Some(1), None]).unwrap(), bools(&[Some(false), Some(true)]));
}

#[test]
fn array_constructors_nest() {
    let row = |a, b| Expr::Array { elements: vec![int(a), int(b)], ty: PgType::new(oid::INT4_ARRAY) };
    let e = Expr::Array { elements: vec![row(1, 2), row(3, 4)], ty: PgType::new(oid::INT4_ARRAY) };
    let Datum::Array(a) = eval_constant(&e, &ctx(vec![])).unwrap() else { panic!("an array") };
    assert_eq!(a.dims, [(2, 1), (2, 1)]);
}

#[test]
fn parameters_and_a_missing_one() {
    let p = |index| Expr::Param { index, ty: int4() };
    assert_eq!(eval_constant(&p(0), &ctx(vec![Datum::Int4(7)])).unwrap(), Datum::Int4(7));
    assert!(eval_constant(&p(1), &ctx(vec![])).is_err());
}
