//! PostgreSQL's choice among overloaded functions and operators (func_match_argtypes, func_select_candidate) and its
//! polymorphic pseudo-types (enforce_generic_type_consistency).

use super::coerce::{can_coerce, category, common_type, element_of, is_polymorphic, is_preferred};
use crate::function::CastContext;
use heddle_types::{Oid, PgType, oid};

/// What a choice ends with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Index of the candidate
    One(usize),
    /// None fits
    None,
    /// Several fit equally well
    Ambiguous,
}

/// Chooses among candidates that all take `args.len()` arguments.
pub(super) fn choose(args: &[Oid], candidates: &[Vec<Oid>]) -> Choice {
    if let Some(exact) = candidates.iter().position(|c| c == args) {
        return Choice::One(exact);
    }
    let mut left: Vec<usize> = (0..candidates.len()).filter(|i| fits(args, &candidates[*i])).collect();
    match left.as_slice() {
        [] => return Choice::None,
        [one] => return Choice::One(*one),
        _ => {}
    }
    let exact = |i: usize, k: usize| args[k] != oid::UNKNOWN && candidates[i][k] == args[k];
    keep_best(&mut left, |i| (0..args.len()).filter(|k| exact(i, *k)).count());
    if let [one] = left.as_slice() {
        return Choice::One(*one);
    }
    let close = |i: usize, k: usize| {
        let ty = candidates[i][k];
        args[k] != oid::UNKNOWN && (ty == args[k] || (category(ty) == category(args[k]) && is_preferred(ty)))
    };
    keep_best(&mut left, |i| (0..args.len()).filter(|k| close(i, *k)).count());
    if let [one] = left.as_slice() {
        return Choice::One(*one);
    }
    by_unknowns(args, candidates, left)
}

fn fits(args: &[Oid], candidate: &[Oid]) -> bool {
    args.iter().zip(candidate).all(|(a, c)| can_coerce(*a, *c, CastContext::Implicit)) && consistent(args, candidate)
}

fn keep_best(left: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = left.iter().map(|i| score(*i)).max().unwrap_or(0);
    left.retain(|i| score(*i) == best);
}

/// The rules for unknown arguments: category first, then "like the known ones".
fn by_unknowns(args: &[Oid], candidates: &[Vec<Oid>], mut left: Vec<usize>) -> Choice {
    let unknown: Vec<usize> = (0..args.len()).filter(|k| args[*k] == oid::UNKNOWN).collect();
    if unknown.is_empty() {
        return Choice::Ambiguous;
    }
    let slots: Option<Vec<(char, bool)>> = unknown.iter().map(|k| slot(candidates, &left, *k)).collect();
    if let Some(slots) = slots {
        let keep = |i: &usize| {
            unknown.iter().zip(&slots).all(|(k, (cat, has_preferred))| {
                let ty = candidates[*i][*k];
                category(ty) == *cat && (!has_preferred || is_preferred(ty))
            })
        };
        let kept: Vec<usize> = left.iter().copied().filter(|i| keep(i)).collect();
        if !kept.is_empty() {
            left = kept;
        }
        if let [one] = left.as_slice() {
            return Choice::One(*one);
        }
    }
    let mut known = args.iter().filter(|t| **t != oid::UNKNOWN);
    let Some(first) = known.next() else { return Choice::Ambiguous };
    if known.any(|t| t != first) {
        return Choice::Ambiguous;
    }
    let same = vec![*first; args.len()];
    let kept: Vec<usize> = left.into_iter().filter(|i| fits(&same, &candidates[*i])).collect();
    match kept.as_slice() {
        [one] => Choice::One(*one),
        _ => Choice::Ambiguous,
    }
}

/// The category an unknown argument is taken for: the only one, or string; and whether a preferred type is among them.
fn slot(candidates: &[Vec<Oid>], left: &[usize], k: usize) -> Option<(char, bool)> {
    let mut found: Option<(char, bool)> = None;
    let mut conflict = false;
    for i in left {
        let (cat, preferred) = (category(candidates[*i][k]), is_preferred(candidates[*i][k]));
        match &mut found {
            None => found = Some((cat, preferred)),
            Some((c, p)) if *c == cat => *p |= preferred,
            Some(slot) if cat == 'S' => *slot = (cat, preferred),
            Some(_) => conflict = true,
        }
    }
    found.filter(|(cat, _)| !conflict || *cat == 'S')
}

/// Actual types for the pseudo-types of a call.
pub(super) struct Generic {
    element: Option<Oid>,
    array: Option<Oid>,
    compatible: Option<Oid>,
}

impl Generic {
    /// `None` when the arguments contradict each other.
    pub fn of(args: &[Oid], declared: &[Oid]) -> Option<Self> {
        let mut g = Self { element: None, array: None, compatible: None };
        let mut compatible = Vec::new();
        for (a, d) in args.iter().zip(declared) {
            if *a == oid::UNKNOWN {
                continue;
            }
            match *d {
                oid::ANYELEMENT | oid::ANYNONARRAY => {
                    if g.element.is_some_and(|e| e != *a) || (*d == oid::ANYNONARRAY && element_of(*a).is_some()) {
                        return None;
                    }
                    g.element = Some(*a);
                }
                oid::ANYARRAY => {
                    if g.array.is_some_and(|t| t != *a) {
                        return None;
                    }
                    g.array = Some(*a);
                }
                oid::ANYCOMPATIBLE => compatible.push((PgType::new(*a), None)),
                oid::ANYCOMPATIBLEARRAY => compatible.push((PgType::new(element_of(*a)?), None)),
                _ => {}
            }
        }
        if let Some(array) = g.array {
            let elem = element_of(array)?;
            if g.element.is_some_and(|e| e != elem) {
                return None;
            }
            g.element = Some(elem);
        }
        if !compatible.is_empty() {
            g.compatible = Some(common_type(&compatible).ok()?.oid);
        } else if declared.iter().any(|d| matches!(*d, oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLEARRAY)) {
            g.compatible = Some(oid::TEXT);
        }
        Some(g)
    }

    /// The actual type for a declared one; `None` when no argument tells.
    pub fn actual(&self, declared: Oid) -> Option<Oid> {
        match declared {
            oid::ANYELEMENT | oid::ANYNONARRAY => self.element,
            oid::ANYARRAY => self.array.or_else(|| array_of(self.element?)),
            oid::ANYCOMPATIBLE => self.compatible,
            oid::ANYCOMPATIBLEARRAY => array_of(self.compatible?),
            other => Some(other),
        }
    }
}

fn array_of(elem: Oid) -> Option<Oid> {
    PgType::new(elem).array().map(|t| t.oid)
}

fn consistent(args: &[Oid], declared: &[Oid]) -> bool {
    !declared.iter().any(|d| is_polymorphic(*d)) || Generic::of(args, declared).is_some()
}
