//! Are two answers the same? Rows as text from different systems: order does not count, and numbers are numbers.

use crate::Result;
use std::cmp::Ordering;

/// Largest relative difference of two numbers that are the same: systems sum floats in different orders.
const TOLERANCE: f64 = 1e-9;

/// One value, in a form that does not depend on who printed it.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Number(f64),
    Text(String),
}

impl Cell {
    fn parse(text: &str) -> Self {
        // Hex, infinity and the like are no numbers here: they only come as text.
        let numeric = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
        match text.parse::<f64>() {
            Ok(number) if numeric => Self::Number(number),
            // A timestamp at UTC, with or without its zone; a date with or without midnight.
            _ => {
                let text = text
                    .trim_end()
                    .strip_suffix("+00")
                    .or(text.trim_end().strip_suffix("+00:00"))
                    .unwrap_or(text.trim_end());
                Self::Text(text.strip_suffix(" 00:00:00").unwrap_or(text).to_owned())
            }
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0),
            _ => self == other,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// Rows in an order of their own. Texts decide first: numbers may differ in their last digits.
fn sorted(rows: &[Vec<String>]) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(|v| Cell::parse(v)).collect()).collect();
    let texts = |row: &[Cell]| row.iter().filter(|c| matches!(c, Cell::Text(_))).cloned().collect::<Vec<_>>();
    let order = |a: &[Cell], b: &[Cell]| {
        let pairs = a.iter().zip(b).map(|(a, b)| a.order(b));
        pairs.fold(Ordering::Equal, Ordering::then)
    };
    rows.sort_by(|a, b| order(&texts(a), &texts(b)).then_with(|| order(a, b)));
    rows
}

/// Compares an answer with the one that counts.
///
/// # Errors
/// Says where they differ.
pub fn compare(ours: &[Vec<String>], expected: &[Vec<String>]) -> Result<()> {
    if ours.len() != expected.len() {
        return Err(format!("wrong answer: {} rows where {} are right", ours.len(), expected.len()));
    }
    let same = |a: &Vec<Cell>, b: &Vec<Cell>| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b));
    let (ours, expected) = (sorted(ours), sorted(expected));
    match ours.iter().zip(&expected).find(|(a, b)| !same(a, b)) {
        Some((a, b)) => Err(format!("wrong answer: {a:?} where {b:?} is right")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[&str]) -> Vec<Vec<String>> {
        text.iter().map(|row| row.split('|').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn forms_do_not_count_and_values_do() {
        let ours = rows(&["2016-01-01 00:00:00+00|1.50000|a", "2016-01-01 01:00:00+00|2|b "]);
        let theirs = rows(&["2016-01-01 01:00:00|2.0|b", "2016-01-01 00:00:00|1.5000000000001|a"]);
        compare(&ours, &theirs).unwrap();
        assert!(compare(&ours, &theirs[..1]).unwrap_err().contains("2 rows"));
        let wrong = rows(&["2016-01-01 00:00:00|1.5001|a", "2016-01-01 01:00:00|2|b"]);
        assert!(compare(&ours, &wrong).unwrap_err().contains("1.5001"));
    }
}
