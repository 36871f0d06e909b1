//! Token rewrites for PostgreSQL forms that sqlparser's grammar lacks. Each keeps the places of the tokens it replaces.
//!
//! - `TABLE t` becomes `SELECT * FROM t`
//! - `FOR NO KEY UPDATE` and `FOR KEY SHARE` become `FOR UPDATE` and `FOR SHARE` with [`KEY_MARK`] before their OF names
//! - `TRIM(LEADING FROM x)` loses its FROM
//! - `SELECT` without a list, where no FROM follows, gets the column [`NOTHING`]
//! - `SELECT 1 FOR UPDATE` (no clause between list and FOR) gets `LIMIT ALL`, or FOR would be taken for an alias
//! - `FOR UPDATE OF a, b` becomes `FOR UPDATE OF a FOR UPDATE OF b`
//! - `x ISNULL` becomes `x IS NULL`
//! - `FROM ONLY t` loses its ONLY: nothing inherits
//! - `ORDER BY x USING >` becomes `ORDER BY x DESC`
//! - `EXCLUDE …` at the end of a window becomes one of the `EXCLUDE_` names before its PARTITION BY expressions
//! - `(row).*` becomes a field called [`ALL_FIELDS`]
//! - `GROUP BY DISTINCT` gets [`DISTINCT_SETS`] as first expression, `GROUP BY ALL` loses its ALL
//! - `JOIN … USING (a) AS j` gets [`JOIN_ALIAS`] and the name as one more column
//! - `ROWS FROM (f(…), g(…))` becomes `UNNEST` of [`ROWS_FROM`] and the calls
//! - `BETWEEN SYMMETRIC` is marked with the prefix operator `@-@`, which no type we have uses

use super::scan::Tok;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

/// Stands before the name (or alone) in the OF of a lock clause with KEY. No identifier can be like this: NUL is refused.
pub(crate) const KEY_MARK: &str = "\0key";
/// The column of an empty select list; the binder drops it.
pub(crate) const NOTHING: &str = "\0nothing";

/// The field that stands for all of a row.
pub(crate) const ALL_FIELDS: &str = "\0all";

/// The first expression of GROUP BY DISTINCT.
pub(crate) const DISTINCT_SETS: &str = "\0distinct";
/// How a name in USING begins that is the alias of its columns.
pub(crate) const JOIN_ALIAS: &str = "\0as ";
/// The first argument of an UNNEST that is a ROWS FROM.
pub(crate) const ROWS_FROM: &str = "\0rows";

/// EXCLUDE CURRENT ROW, GROUP and TIES, as first expression of PARTITION BY.
pub(crate) const EXCLUDE_ROW: &str = "\0exclude current row";
pub(crate) const EXCLUDE_GROUP: &str = "\0exclude group";
pub(crate) const EXCLUDE_TIES: &str = "\0exclude ties";

/// Applies all rewrites.
pub(super) fn rewrite(tokens: &[Tok]) -> Vec<Tok> {
    let mut out: Vec<Tok> = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        if is(tokens, i, "table") && begins_query(&out) {
            out.extend(words("SELECT * FROM", &tokens[i]));
            i += 1;
        } else if is(tokens, i, "for") {
            i += lock_clause(tokens, i, &mut out);
        } else if is(tokens, i, "symmetric") && i > 0 && is(tokens, i - 1, "between") {
            out.push(Tok { token: Token::AtDashAt, ..tokens[i].clone() });
            i += 1;
        } else if is(tokens, i, "asymmetric") && i > 0 && is(tokens, i - 1, "between") {
            i += 1;
        } else if is(tokens, i, "select") && empty_list(tokens, i + 1) {
            out.push(tokens[i].clone());
            out.push(quoted(NOTHING, &tokens[i]));
            i += 1;
        } else if is(tokens, i, "isnull") && ends_operand(&out) {
            out.extend(words("IS NULL", &tokens[i]));
            i += 1;
        } else if is(tokens, i, "only") && opens_relation(tokens, i) {
            i += 1;
        } else if all_fields(tokens, i) {
            out.push(tokens[i].clone());
            out.push(quoted(ALL_FIELDS, &tokens[i + 1]));
            i += 2;
        } else if let Some((name, used)) = exclusion(tokens, i) {
            if let Some(name) = name {
                mark_window(&mut out, name);
            }
            i += used;
        } else if let Some(order) = sort_operator(tokens, i) {
            out.extend(words(order, &tokens[i]));
            i += 2;
        } else if i > 1 && is(tokens, i - 1, "by") && is(tokens, i - 2, "group") && is(tokens, i, "distinct") {
            out.push(quoted(DISTINCT_SETS, &tokens[i]));
            out.push(Tok { token: Token::Comma, ..tokens[i].clone() });
            i += 1;
        } else if i > 1 && is(tokens, i - 1, "by") && is(tokens, i - 2, "group") && is(tokens, i, "all") {
            i += 1;
        } else if let Some(end) = aliased_using(tokens, i) {
            out.extend_from_slice(&tokens[i..end]);
            out.push(Tok { token: Token::Comma, ..tokens[end].clone() });
            if let Token::Word(w) = &tokens[end + 2].token {
                let alias = crate::bind::fold_identifier(&w.value, w.quote_style.is_some());
                out.push(quoted(&format!("{JOIN_ALIAS}{alias}"), &tokens[end + 2]));
            }
            out.push(tokens[end].clone());
            i = end + 3;
        } else if is(tokens, i, "rows") && is(tokens, i + 1, "from") && opens(tokens, i + 2) {
            out.extend(words("UNNEST (", &tokens[i]));
            out.push(quoted(ROWS_FROM, &tokens[i]));
            out.push(Tok { token: Token::Comma, ..tokens[i + 2].clone() });
            i += 3;
        } else if is(tokens, i, "from") && opens_trim(tokens, i) {
            i += 1;
        } else {
            out.push(tokens[i].clone());
            i += 1;
        }
    }
    out
}

pub(super) fn quoted(name: &str, place: &Tok) -> Tok {
    let word = Word { value: name.to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
    Tok { token: Token::Word(word), ..place.clone() }
}

/// Does nothing that could be a column stand at `i`, nor the FROM that sqlparser expects after an empty list?
fn empty_list(tokens: &[Tok], i: usize) -> bool {
    let after = [
        "where",
        "group",
        "having",
        "window",
        "union",
        "intersect",
        "except",
        "order",
        "limit",
        "offset",
        "fetch",
        "for",
        "into",
    ];
    match tokens.get(i).map(|t| &t.token) {
        None | Some(Token::RParen) => true,
        Some(Token::Word(_)) => after.iter().any(|w| is(tokens, i, w)),
        _ => false,
    }
}

fn opens(tokens: &[Tok], i: usize) -> bool {
    tokens.get(i).is_some_and(|t| t.token == Token::LParen)
}

/// `USING (a, b) AS j` at `i`: where its bracket closes. Nothing else has names alone between brackets there.
fn aliased_using(tokens: &[Tok], i: usize) -> Option<usize> {
    if !is(tokens, i, "using") || !opens(tokens, i + 1) {
        return None;
    }
    let is_name = |t: &&Tok| matches!(t.token, Token::Word(_) | Token::Comma);
    let close = i + 2 + tokens[i + 2..].iter().take_while(is_name).count();
    let closes = close > i + 2 && tokens.get(close).is_some_and(|t| t.token == Token::RParen);
    let named = matches!(tokens.get(close + 2).map(|t| &t.token), Some(Token::Word(_)));
    (closes && named && is(tokens, close + 1, "as") && !is(tokens, i + 2, "table")).then_some(close)
}

/// Does something that can be tested stand at the end of `out`?
fn ends_operand(out: &[Tok]) -> bool {
    match out.last().map(|t| &t.token) {
        Some(Token::Word(_)) => !["select", "distinct", "where", "and", "or", "not", "on", "having"]
            .iter()
            .any(|w| is(out, out.len() - 1, w)),
        Some(
            Token::Number(..) | Token::RParen | Token::RBracket | Token::SingleQuotedString(_) | Token::Placeholder(_),
        ) => true,
        _ => false,
    }
}

/// Does the ONLY at `i` stand before a relation?
fn opens_relation(tokens: &[Tok], i: usize) -> bool {
    let named = matches!(tokens.get(i + 1).map(|t| &t.token), Some(Token::Word(_)));
    named && i > 0 && ["from", "join", "update", "using", "truncate", "table"].iter().any(|w| is(tokens, i - 1, w))
}

/// EXCLUDE at the end of a window: the name it becomes (none for NO OTHERS) and how many tokens it has.
fn exclusion(tokens: &[Tok], i: usize) -> Option<(Option<&'static str>, usize)> {
    let ends = |n: usize| tokens.get(i + n).is_some_and(|t| t.token == Token::RParen);
    if !is(tokens, i, "exclude") {
        return None;
    }
    if is(tokens, i + 1, "current") && is(tokens, i + 2, "row") && ends(3) {
        Some((Some(EXCLUDE_ROW), 3))
    } else if is(tokens, i + 1, "no") && is(tokens, i + 2, "others") && ends(3) {
        Some((None, 3))
    } else if is(tokens, i + 1, "group") && ends(2) {
        Some((Some(EXCLUDE_GROUP), 2))
    } else if is(tokens, i + 1, "ties") && ends(2) {
        Some((Some(EXCLUDE_TIES), 2))
    } else {
        None
    }
}

/// Puts `name` first into the PARTITION BY of the window whose bracket is still open at the end of `out`.
fn mark_window(out: &mut Vec<Tok>, name: &str) {
    let mut depth = 0usize;
    let Some(open) = out.iter().rposition(|t| match t.token {
        Token::RParen => {
            depth += 1;
            false
        }
        Token::LParen if depth > 0 => {
            depth -= 1;
            false
        }
        Token::LParen => true,
        _ => false,
    }) else {
        return;
    };
    let place = out[open].clone();
    let comma = Tok { token: Token::Comma, ..place.clone() };
    if let Some(at) = (open + 1..out.len().min(open + 4)).find(|i| is(out, *i, "partition") && is(out, *i + 1, "by")) {
        out.splice(at + 2..at + 2, [quoted(name, &place), comma]);
        return;
    }
    // After the name of a window that this one builds on.
    let clause = ["order", "rows", "range", "groups"].iter().any(|w| is(out, open + 1, w));
    let at = if clause { open + 1 } else { open + 2 };
    let mut clause = words("PARTITION BY", &place);
    clause.push(quoted(name, &place));
    out.splice(at..at, clause);
}

/// The `.*` after a bracket.
fn all_fields(tokens: &[Tok], i: usize) -> bool {
    let is = |i: usize, token: Token| tokens.get(i).is_some_and(|t| t.token == token);
    i > 0 && is(i - 1, Token::RParen) && is(i, Token::Period) && is(i + 1, Token::Mul)
}

/// `USING >` of ORDER BY.
fn sort_operator(tokens: &[Tok], i: usize) -> Option<&'static str> {
    if !is(tokens, i, "using") {
        return None;
    }
    match tokens.get(i + 1).map(|t| &t.token) {
        Some(Token::Gt) => Some("DESC"),
        Some(Token::Lt) => Some("ASC"),
        _ => None,
    }
}

/// Is the FROM at `i` the first word in TRIM's brackets, or right after LEADING, TRAILING or BOTH?
fn opens_trim(tokens: &[Tok], i: usize) -> bool {
    let open = |i: usize| i >= 2 && tokens[i - 1].token == Token::LParen && is(tokens, i - 2, "trim");
    open(i) || (i >= 1 && ["leading", "trailing", "both"].iter().any(|w| is(tokens, i - 1, w)) && open(i - 1))
}

/// Does nothing but a select list lie between the last SELECT and the end of `out`?
fn ends_in_list(out: &[Tok]) -> bool {
    let mut depth = 0usize;
    for i in (0..out.len()).rev() {
        match out[i].token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return false,
            Token::LParen => depth -= 1,
            _ if depth > 0 => {}
            _ if is(out, i, "select") => return true,
            _ if [
                "from", "where", "group", "having", "window", "order", "limit", "offset", "fetch", "values", "update",
                "share",
            ]
            .iter()
            .any(|w| is(out, i, w)) =>
            {
                return false;
            }
            _ => {}
        }
    }
    false
}

pub(super) fn is(tokens: &[Tok], i: usize, word: &str) -> bool {
    matches!(tokens.get(i).map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// New words at the place of an old token.
pub(super) fn words(text: &str, place: &Tok) -> Vec<Tok> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize().expect("constant text tokenizes");
    tokens
        .into_iter()
        .filter(|t| !matches!(t, Token::Whitespace(_)))
        .map(|token| Tok { token, ..place.clone() })
        .collect()
}

fn begins_query(before: &[Tok]) -> bool {
    let last = before.len().wrapping_sub(1);
    match before.last().map(|t| &t.token) {
        None | Some(Token::LParen) => true,
        Some(Token::Word(_)) => {
            let verbs = ["union", "all", "except", "intersect", "explain", "analyze", "verbose"];
            verbs.iter().any(|w| is(before, last, w))
        }
        _ => false,
    }
}

/// Rewrites `FOR …` at `i`; answers how many tokens it used.
fn lock_clause(tokens: &[Tok], i: usize, out: &mut Vec<Tok>) -> usize {
    let (strength, skip) = if is(tokens, i + 1, "no") && is(tokens, i + 2, "key") && is(tokens, i + 3, "update") {
        (i + 3, 4)
    } else if is(tokens, i + 1, "key") && is(tokens, i + 2, "share") {
        (i + 2, 3)
    } else if is(tokens, i + 1, "update") || is(tokens, i + 1, "share") {
        (i + 1, 2)
    } else {
        out.push(tokens[i].clone());
        return 1;
    };
    let head = [tokens[i].clone(), tokens[strength].clone()];
    let key = skip > 2;
    if ends_in_list(out) {
        out.extend(words("LIMIT ALL", &tokens[i]));
    }
    out.extend(head.clone());
    let mut at = i + skip;
    if !is(tokens, at, "of") {
        if key {
            out.extend(words("OF", &tokens[i]));
            out.push(quoted(KEY_MARK, &tokens[i]));
        }
        return skip;
    }
    let of = tokens[at].clone();
    let begin = |out: &mut Vec<Tok>, place: Option<&Tok>| {
        out.push(of.clone());
        if let (true, Some(place)) = (key, place) {
            out.push(quoted(KEY_MARK, place));
            out.push(Tok { token: Token::Period, ..place.clone() });
        }
    };
    at += 1;
    begin(out, tokens.get(at));
    while matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(_))) {
        out.push(tokens[at].clone());
        at += 1;
        if tokens.get(at).is_none_or(|t| t.token != Token::Comma) {
            break;
        }
        at += 1;
        wait_clause(tokens, at, out);
        out.extend(head.clone());
        begin(out, tokens.get(at));
    }
    at - i
}

/// Copies NOWAIT or SKIP LOCKED that ends the list starting at `at`, so that every clause has it.
fn wait_clause(tokens: &[Tok], at: usize, out: &mut Vec<Tok>) {
    let mut end = at;
    while matches!(tokens.get(end).map(|t| &t.token), Some(Token::Word(_)))
        && tokens.get(end + 1).is_some_and(|t| t.token == Token::Comma)
    {
        end += 2;
    }
    if is(tokens, end + 1, "nowait") {
        out.push(tokens[end + 1].clone());
    } else if is(tokens, end + 1, "skip") && is(tokens, end + 2, "locked") {
        out.extend(tokens[end + 1..end + 3].iter().cloned());
    }
}
