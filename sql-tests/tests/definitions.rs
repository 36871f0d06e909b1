//! Sequences, ALTER TABLE, constraints, dependencies and comments: answer by answer as PostgreSQL gives them, with notices,
//! details, hints and positions. The statements are in `definitions/*.sql`, one per line.

use heddle_sql_tests::{Outcome, table};

fn form(outcome: &Outcome) -> String {
    let notices: String = outcome.notices.iter().map(|n| format!(" {{{} {}}}", n.severity, n.short())).collect();
    match &outcome.error {
        Some(e) => format!("ERROR {} [{}]{notices}", e.full(), char::from(outcome.status)),
        None => format!("{} [{}]{notices}", outcome.short(), char::from(outcome.status)),
    }
}

#[test]
fn sequences() {
    table::compare("", include_str!("definitions/sequences.sql"), form);
}

#[test]
fn alter_table() {
    table::compare("", include_str!("definitions/alter_table.sql"), form);
}

#[test]
fn constraints() {
    table::compare("", include_str!("definitions/constraints.sql"), form);
}

#[test]
fn dependencies() {
    table::compare("", include_str!("definitions/dependencies.sql"), form);
}
