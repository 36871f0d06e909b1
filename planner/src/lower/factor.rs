//! What every branch of an OR says is said once, beside it: `(a AND x) OR (a AND y)` is `a AND (x OR y)`, also where parts are NULL.
//! So `a` can be the key of a join or narrow a scan.

use crate::bound::Expr;
use crate::eval::visit;

/// The condition with common parts taken out of its ORs. Only parts that cannot fail: they are computed for rows that a part before
/// them would have kept away.
pub(super) fn factored(e: Expr) -> Expr {
    match e {
        Expr::And(list) => Expr::And(list.into_iter().map(factored).collect()),
        Expr::Or(list) => without_common(list),
        e => e,
    }
}

fn without_common(list: Vec<Expr>) -> Expr {
    let mut branches: Vec<Vec<(String, &Expr)>> = vec![];
    let mut common: Vec<String> = vec![];
    for (n, branch) in list.iter().enumerate() {
        let parts: Vec<(String, &Expr)> = visit::conjuncts(branch).into_iter().map(|e| (format!("{e:?}"), e)).collect();
        let safe = parts.iter().filter(|(_, e)| visit::is_safe(e)).map(|(text, _)| text);
        match n {
            0 => common = safe.cloned().collect(),
            _ => common.retain(|text| parts.iter().any(|(other, _)| other == text)),
        }
        if common.is_empty() {
            return Expr::Or(list);
        }
        branches.push(parts);
    }
    let mut all: Vec<Expr> = vec![];
    for text in &common {
        all.extend(branches[0].iter().find(|(t, _)| t == text).map(|(_, e)| (*e).clone()));
    }
    let rest = branches.into_iter().map(|parts| {
        let rest = parts.into_iter().filter(|(text, _)| !common.contains(text)).map(|(_, e)| e.clone());
        visit::conjunction(rest.collect())
    });
    // A branch that says nothing more makes the rest superfluous.
    all.extend(rest.collect::<Option<Vec<_>>>().map(Expr::Or));
    Expr::And(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::ColId;
    use heddle_types::{PgType, oid};

    fn column(n: u32) -> Expr {
        Expr::Column { id: ColId(n), ty: PgType::new(oid::BOOL) }
    }

    fn texts(e: &Expr) -> Vec<String> {
        visit::conjuncts(e).into_iter().map(|e| format!("{e:?}")).collect()
    }

    #[test]
    fn common_parts_leave_an_or() {
        let and = |ns: &[u32]| Expr::And(ns.iter().map(|n| column(*n)).collect());
        let e = factored(Expr::Or(vec![and(&[1, 2, 3]), and(&[3, 1, 4]), and(&[1, 3, 5])]));
        let rest = Expr::Or(vec![column(2), column(4), column(5)]);
        assert_eq!(texts(&e), texts(&Expr::And(vec![column(1), column(3), rest])));
        let e = factored(Expr::Or(vec![and(&[1, 2]), column(1)]));
        assert_eq!(texts(&e), texts(&column(1)));
        let e = factored(Expr::Or(vec![and(&[1, 2]), column(3)]));
        assert!(matches!(e, Expr::Or(list) if list.len() == 2));
    }
}
