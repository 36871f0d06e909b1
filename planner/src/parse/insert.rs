//! `INSERT … OVERRIDING { SYSTEM | USER } VALUE`, which sqlparser does not know: it travels as the priority of MySQL's INSERT,
//! high for SYSTEM and low for USER.

use super::scan::Tok;
use sqlparser::ast::{MysqlInsertPriority, SetExpr, Statement};
use sqlparser::tokenizer::Token;

/// The tokens without the clause, and what it said.
pub(super) fn without_overriding(mut tokens: Vec<Tok>) -> (Vec<Tok>, Option<MysqlInsertPriority>) {
    let found = (0..tokens.len()).find(|i| {
        is(&tokens, *i, "overriding")
            && (is(&tokens, i + 1, "system") || is(&tokens, i + 1, "user"))
            && is(&tokens, i + 2, "value")
    });
    let inserts = is(&tokens, 0, "insert") || is(&tokens, 0, "with") || is(&tokens, 0, "explain");
    let Some(at) = found.filter(|_| inserts) else { return (tokens, None) };
    let system = is(&tokens, at + 1, "system");
    tokens.drain(at..at + 3);
    (tokens, Some(if system { MysqlInsertPriority::HighPriority } else { MysqlInsertPriority::LowPriority }))
}

/// Marks the INSERT.
pub(super) fn set_overriding(statement: &mut Statement, overriding: Option<MysqlInsertPriority>) {
    match statement {
        Statement::Insert(insert) => insert.priority = overriding,
        Statement::Explain { statement, .. } => set_overriding(statement, overriding),
        Statement::Query(q) => {
            if let SetExpr::Insert(inner) = q.body.as_mut() {
                set_overriding(inner, overriding);
            }
        }
        _ => {}
    }
}

fn is(tokens: &[Tok], i: usize, word: &str) -> bool {
    matches!(tokens.get(i).map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}
