//! Random expressions of a wanted type over the columns in sight.

use super::random::Random;
use super::schema::Type;

/// What an expression may refer to: (`t0.c1`, type).
pub type Scope = Vec<(String, Type)>;

/// Deepest nesting.
const DEPTH: usize = 3;

/// An expression of type `ty`.
pub fn expression(random: &mut Random, scope: &Scope, ty: Type) -> String {
    of_type(random, scope, ty, DEPTH)
}

/// A condition.
pub fn condition(random: &mut Random, scope: &Scope) -> String {
    boolean(random, scope, DEPTH)
}

fn of_type(random: &mut Random, scope: &Scope, ty: Type, depth: usize) -> String {
    if depth == 0 || random.one_in(3) {
        return leaf(random, scope, ty);
    }
    if random.one_in(4) {
        return any_type(random, scope, ty, depth - 1);
    }
    let d = depth - 1;
    match ty {
        Type::Bool => boolean(random, scope, depth),
        Type::Int4 => integer(random, scope, d),
        Type::Text => text(random, scope, d),
        Type::Numeric => {
            let a = of_type(random, scope, Type::Numeric, d);
            match random.below(5) {
                0 => format!("round({a}, 1)"),
                1 => format!("({a} + {})", of_type(random, scope, Type::Numeric, d)),
                2 => format!("({a} - {})", of_type(random, scope, Type::Int4, d)),
                3 => format!("({a} * 2)"),
                _ => format!("abs({a})"),
            }
        }
        Type::Date => match random.below(3) {
            0 => format!("greatest({}, {})", leaf(random, scope, ty), leaf(random, scope, ty)),
            1 => format!("({}::date)", leaf(random, scope, Type::Timestamp)),
            _ => format!("({} + 3)", leaf(random, scope, ty)),
        },
        Type::Timestamp => match random.below(3) {
            0 => {
                let field = random.pick(&["day", "month", "hour", "year"]);
                format!("date_trunc('{field}', {})", leaf(random, scope, ty))
            }
            1 => format!("({} + interval '1 day 2 hours')", leaf(random, scope, ty)),
            _ => format!("({}::timestamp)", leaf(random, scope, Type::Date)),
        },
        Type::Interval => format!("({} + {})", leaf(random, scope, ty), leaf(random, scope, ty)),
        Type::IntArray => match random.below(3) {
            0 => format!("array_append({}, {})", leaf(random, scope, Type::IntArray), integer(random, scope, 0)),
            1 => format!("ARRAY[{}, {}]", integer(random, scope, 0), integer(random, scope, 0)),
            _ => format!("array_remove({}, 1)", leaf(random, scope, Type::IntArray)),
        },
        _ => leaf(random, scope, ty),
    }
}

fn leaf(random: &mut Random, scope: &Scope, ty: Type) -> String {
    let columns: Vec<&String> = scope.iter().filter(|(_, t)| *t == ty).map(|(name, _)| name).collect();
    if columns.is_empty() || random.one_in(4) { ty.literal(random) } else { (*random.pick(&columns)).clone() }
}

/// Forms that give back what they are given.
fn any_type(random: &mut Random, scope: &Scope, ty: Type, depth: usize) -> String {
    let a = of_type(random, scope, ty, depth);
    let b = of_type(random, scope, ty, depth);
    match random.below(3) {
        0 => format!("coalesce({a}, {b})"),
        1 => format!("CASE WHEN {} THEN {a} ELSE {b} END", boolean(random, scope, depth)),
        _ => format!("nullif({a}, {b})"),
    }
}

fn integer(random: &mut Random, scope: &Scope, depth: usize) -> String {
    let of = |random: &mut Random, ty| of_type(random, scope, ty, depth);
    match random.below(9) {
        0 => format!("({} + 1)", leaf(random, scope, Type::Int4)),
        1 => format!("(abs({}) % 7)", leaf(random, scope, Type::Int4)),
        2 => format!("length({})", of(random, Type::Text)),
        3 => format!("cardinality({})", leaf(random, scope, Type::IntArray)),
        4 => format!("{}::int4", leaf(random, scope, Type::Int2)),
        5 => format!("(- {})", leaf(random, scope, Type::Int4)),
        6 => format!("position('b' in {})", of(random, Type::Text)),
        7 => format!("({} * 3)", leaf(random, scope, Type::Int4)),
        _ => leaf(random, scope, Type::Int4),
    }
}

fn text(random: &mut Random, scope: &Scope, depth: usize) -> String {
    let a = of_type(random, scope, Type::Text, depth);
    match random.below(9) {
        0 => format!("upper({a})"),
        1 => format!("({a} || {})", of_type(random, scope, Type::Text, depth)),
        2 => format!("substr({a}, 2)"),
        3 => format!("left({a}, 2)"),
        4 => format!("replace({a}, 'a', 'xy')"),
        5 => {
            let ty = *random.pick(&[
                Type::Int4,
                Type::Int8,
                Type::Numeric,
                Type::Date,
                Type::Bool,
                Type::IntArray,
                Type::Uuid,
            ]);
            format!("({})::text", leaf(random, scope, ty))
        }
        6 => format!("lpad({a}, 4, '*')"),
        7 => format!("{}::text", leaf(random, scope, Type::Varchar)),
        _ => format!("trim({a})"),
    }
}

fn boolean(random: &mut Random, scope: &Scope, depth: usize) -> String {
    if depth == 0 {
        return comparison(random, scope, 0);
    }
    let d = depth - 1;
    match random.below(10) {
        0 => format!("({} AND {})", boolean(random, scope, d), boolean(random, scope, d)),
        1 => format!("({} OR {})", boolean(random, scope, d), boolean(random, scope, d)),
        2 => format!("(NOT {})", boolean(random, scope, d)),
        3 => {
            let ty = *random.pick(&Type::ALL);
            let not = if random.one_in(2) { "NOT " } else { "" };
            format!("({} IS {not}NULL)", of_type(random, scope, ty, d))
        }
        4 => {
            let ty = *random.pick(&[Type::Int4, Type::Text, Type::Date, Type::Numeric]);
            let list: Vec<String> = (0..1 + random.below(3)).map(|_| ty.literal(random)).collect();
            let not = if random.one_in(3) { "NOT " } else { "" };
            format!("({} {not}IN ({}))", of_type(random, scope, ty, d), list.join(", "))
        }
        5 => {
            let ty = *random.pick(&[Type::Int4, Type::Text, Type::Date, Type::Interval]);
            let (a, b) = (ty.literal(random), ty.literal(random));
            format!("({} BETWEEN {a} AND {b})", of_type(random, scope, ty, d))
        }
        6 => {
            let pattern = random.pick(&["a%", "%b%", "_", "", "%", "A_c"]);
            let op = random.pick(&["LIKE", "NOT LIKE", "ILIKE"]);
            format!("({} {op} '{pattern}')", of_type(random, scope, Type::Text, d))
        }
        7 => format!("({} = ANY ({}))", leaf(random, scope, Type::Int4), leaf(random, scope, Type::IntArray)),
        8 => {
            let ty = *random.pick(&Type::ALL);
            format!("({} IS DISTINCT FROM {})", of_type(random, scope, ty, d), of_type(random, scope, ty, d))
        }
        _ => comparison(random, scope, d),
    }
}

fn comparison(random: &mut Random, scope: &Scope, depth: usize) -> String {
    let ty = *random.pick(&Type::ALL);
    let op = random.pick(&["=", "<>", "<", "<=", ">", ">="]);
    format!("({} {op} {})", of_type(random, scope, ty, depth), of_type(random, scope, ty, depth))
}
