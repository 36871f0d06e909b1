//! One statement: which form it is, by its first words; forms that sqlparser lacks or reads differently are parsed here.

use super::cursor::Cursor;
use super::scan::{Piece, Source};
use super::{
    Ast, Deep, FetchDirection, Kind, Parsed, Places, TransactionMode, alter, comment, copy, create, insert,
    maintenance, merge, relation, rewrite, sequence, series,
};
use heddle_txn::{Isolation, RelationLock};
use heddle_types::{Result, SqlState};
use sqlparser::tokenizer::Token;

/// Commands PostgreSQL knows and we do not; anything else that is no command is a syntax error.
const KNOWN: &[&str] = &[
    "alter", "call", "cluster", "do", "grant", "import", "listen", "load", "notify", "reassign", "refresh", "revoke",
    "security", "unlisten", "create", "drop", "explain",
];
/// Second words that belong to a command's name.
const OBJECTS: &[&str] = &[
    "access",
    "aggregate",
    "cast",
    "collation",
    "conversion",
    "database",
    "default",
    "domain",
    "event",
    "extension",
    "foreign",
    "function",
    "group",
    "index",
    "language",
    "materialized",
    "operator",
    "policy",
    "procedure",
    "publication",
    "role",
    "routine",
    "rule",
    "schema",
    "sequence",
    "server",
    "statistics",
    "subscription",
    "system",
    "table",
    "tablespace",
    "text",
    "transform",
    "trigger",
    "type",
    "user",
    "view",
    "label",
    "owned",
];

/// Parses one statement.
pub(super) fn statement(source: &Source<'_>, piece: Piece<'_>) -> Result<Parsed> {
    let mut c = Cursor::new(source, piece);
    let kind = kind(&mut c)?;
    let (start, end) = (c.base(), piece.tokens.last().map_or(0, |t| t.end));
    Ok(Parsed {
        kind,
        sql: source.slice(start, end).to_owned(),
        offset: u32::try_from(start).unwrap_or(u32::MAX),
        notices: Vec::new(),
    })
}

fn kind(c: &mut Cursor<'_>) -> Result<Kind> {
    let first = match c.peek().map(|t| &t.token) {
        Some(Token::Word(w)) if w.quote_style.is_none() => w.value.to_ascii_lowercase(),
        Some(Token::LParen) => return plan(c),
        _ => return Err(c.unexpected()),
    };
    match first.as_str() {
        "insert" if !c.is_nth(1, "into") => after_first(c),
        "delete" if !c.is_nth(1, "from") => after_first(c),
        "select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "truncate" | "merge" => plan(c),
        "explain" if explains_execute(c) => Ok(Kind::Unsupported("EXPLAIN EXECUTE".into())),
        "explain" => explain(c),
        "create" | "drop" => create_or_drop(c),
        "alter" => match series::alter_table(c)? {
            Some(kind) => Ok(kind),
            None => alter::alter(c),
        },
        "comment" => comment::comment(c),
        "begin" | "start" => begin(c),
        "commit" | "end" => finish(c, true),
        "rollback" | "abort" => finish(c, false),
        "savepoint" | "release" => savepoint(c),
        "set" => set(c),
        "reset" => reset(c),
        "show" => show(c),
        "discard" => discard(c),
        "prepare" => prepare(c),
        "execute" => execute(c),
        "deallocate" => deallocate(c),
        "copy" => copy::copy(c),
        "declare" => declare(c),
        "fetch" | "move" => fetch(c),
        "close" => close(c),
        "checkpoint" => {
            c.at += 1;
            c.end()?;
            Ok(Kind::Checkpoint)
        }
        "lock" => lock(c),
        "reindex" => relation::reindex(c),
        "vacuum" | "analyze" | "analyse" => maintenance::maintenance(c),
        word if KNOWN.contains(&word) => Ok(Kind::Unsupported(command_name(c))),
        _ => Err(c.unexpected()),
    }
}

/// `ALTER TABLE`, `COMMENT`, `CREATE INDEX`: for `… is not supported`.
pub(super) fn command_name(c: &Cursor<'_>) -> String {
    let word = |n: usize| match c.peek_nth(n).map(|t| &t.token) {
        Some(Token::Word(w)) => w.value.to_ascii_uppercase(),
        _ => String::new(),
    };
    let skipped = [
        "OR",
        "REPLACE",
        "TEMP",
        "TEMPORARY",
        "UNIQUE",
        "UNLOGGED",
        "GLOBAL",
        "LOCAL",
        "RECURSIVE",
        "TRUSTED",
        "CONSTRAINT",
    ];
    let mut n = 1;
    while skipped.contains(&word(n).as_str()) {
        n += 1;
    }
    let second = word(n);
    if OBJECTS.contains(&second.to_ascii_lowercase().as_str()) { format!("{} {second}", word(0)) } else { word(0) }
}

fn explains_execute(c: &Cursor<'_>) -> bool {
    c.piece.tokens.iter().take(40).enumerate().skip(1).any(|(i, _)| c.is_nth(i, "execute") && !c.is_nth(0, "select"))
        && !c.piece.tokens.iter().enumerate().any(|(i, _)| c.is_nth(i, "select"))
}

/// Hands the statement to sqlparser.
pub(super) fn plan(c: &mut Cursor<'_>) -> Result<Kind> {
    let tokens = merge::merge(c, rewrite::rewrite(c.piece.tokens))?;
    let (tokens, overriding) = insert::without_overriding(tokens);
    let mut statement = c.run(&tokens, |p| p.parse_statement())?;
    insert::set_overriding(&mut statement, overriding);
    let places = Places::of(&tokens, c.base());
    Ok(Kind::Plan(Box::new(Ast::Statement(Deep::new(statement, places)))))
}

/// The word after the first one is not what the grammar has there.
fn after_first(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    Err(c.unexpected())
}

/// EXPLAIN takes statements only; sqlparser would describe a table.
fn explain(c: &mut Cursor<'_>) -> Result<Kind> {
    let mut inner = c.clone();
    inner.at += 1;
    if inner.peek().is_some_and(|t| t.token == Token::LParen) && !inner.is_nth(1, "select") {
        let before = inner.clone();
        inner.at += 1;
        inner.bracketed()?;
        if inner.peek().is_none() {
            inner = before;
        }
    } else {
        while inner.take("analyze") || inner.take("analyse") || inner.take("verbose") {}
    }
    let known = [
        "select", "with", "values", "table", "insert", "update", "delete", "create", "declare", "execute", "refresh",
        "merge",
    ];
    let opens = inner.peek().is_some_and(|t| t.token == Token::LParen);
    if !opens && !known.iter().any(|w| inner.is(w)) {
        return Err(inner.unexpected());
    }
    if (inner.is("insert") && !inner.is_nth(1, "into")) || (inner.is("delete") && !inner.is_nth(1, "from")) {
        inner.at += 1;
        return Err(inner.unexpected());
    }
    plan(c)
}

fn create_or_drop(c: &mut Cursor<'_>) -> Result<Kind> {
    if c.take_all(&["create", "ts", "database"]) {
        return series::create_database(c);
    }
    let name = command_name(c);
    match name.as_str() {
        "CREATE TABLE" => create::create_table(c),
        "CREATE SCHEMA" | "DROP TABLE" | "DROP SCHEMA" => plan(c),
        "CREATE INDEX" | "DROP VIEW" => plan(c),
        "DROP INDEX" => relation::drop_index(c),
        "CREATE VIEW" => relation::create_view(c),
        "CREATE TRIGGER" => relation::create_trigger(c),
        "DROP TRIGGER" => relation::drop_trigger(c),
        "CREATE SEQUENCE" => sequence::create(c),
        "DROP SEQUENCE" => sequence::drop(c),
        "CREATE DATABASE" => create::create_database(c),
        "DROP DATABASE" => create::drop_database(c),
        "CREATE" | "DROP" => {
            c.at += 1;
            Err(c.unexpected())
        }
        _ => Ok(Kind::Unsupported(name)),
    }
}

fn begin(c: &mut Cursor<'_>) -> Result<Kind> {
    let tag = if c.take("start") {
        c.expect("transaction")?;
        "START TRANSACTION"
    } else {
        c.at += 1;
        let _ = c.take("work") || c.take("transaction");
        "BEGIN"
    };
    let mode = transaction_mode(c)?;
    c.end()?;
    Ok(Kind::Begin { tag, mode })
}

fn transaction_mode(c: &mut Cursor<'_>) -> Result<TransactionMode> {
    let mut mode = TransactionMode::default();
    let mut any = false;
    loop {
        let comma = any && c.take_token(&Token::Comma);
        if c.take_all(&["isolation", "level"]) {
            isolation(c, &mut mode)?;
        } else if c.take_all(&["read", "only"]) {
            mode.read_only = Some(true);
        } else if c.take_all(&["read", "write"]) {
            mode.read_only = Some(false);
        } else if c.take("deferrable") || c.take_all(&["not", "deferrable"]) {
            // Only SERIALIZABLE READ ONLY transactions are affected by it.
        } else if comma {
            return Err(c.unexpected());
        } else {
            return Ok(mode);
        }
        any = true;
    }
}

fn isolation(c: &mut Cursor<'_>, mode: &mut TransactionMode) -> Result<()> {
    mode.serializable = false;
    if c.take_all(&["read", "committed"]) || c.take_all(&["read", "uncommitted"]) {
        mode.isolation = Some(Isolation::ReadCommitted);
    } else if c.take_all(&["repeatable", "read"]) {
        mode.isolation = Some(Isolation::RepeatableRead);
    } else if c.take("serializable") {
        mode.isolation = None;
        mode.serializable = true;
    } else {
        return Err(c.unexpected());
    }
    Ok(())
}

fn finish(c: &mut Cursor<'_>, commit: bool) -> Result<Kind> {
    let prepared = c.is_nth(1, "prepared");
    c.at += 1;
    if prepared {
        return Ok(Kind::Unsupported(if commit { "COMMIT PREPARED" } else { "ROLLBACK PREPARED" }.into()));
    }
    let _ = c.take("work") || c.take("transaction");
    if !commit && c.take("to") {
        c.take("savepoint");
        let name = c.identifier()?;
        c.end()?;
        return Ok(Kind::RollbackTo(name));
    }
    let mut chain = false;
    if c.take("and") {
        chain = !c.take("no");
        c.expect("chain")?;
    }
    c.end()?;
    Ok(if commit { Kind::Commit { chain } } else { Kind::Rollback { chain } })
}

fn savepoint(c: &mut Cursor<'_>) -> Result<Kind> {
    let release = c.is("release");
    c.at += 1;
    if release && c.is("savepoint") && c.peek_nth(1).is_some() {
        c.at += 1;
    }
    let name = c.identifier()?;
    c.end()?;
    Ok(if release { Kind::Release(name) } else { Kind::Savepoint(name) })
}

fn set(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    let local = c.take("local");
    let session = !local && c.is("session") && !followed_by_value(c);
    if session {
        c.at += 1;
    }
    if session && c.take_all(&["characteristics", "as", "transaction"]) {
        let mode = transaction_mode(c)?;
        c.end()?;
        return Ok(Kind::SetTransaction { session: true, mode });
    }
    if !session && c.take("transaction") {
        if c.is("snapshot") {
            return Ok(Kind::Unsupported("SET TRANSACTION SNAPSHOT".into()));
        }
        let mode = transaction_mode(c)?;
        c.end()?;
        return Ok(Kind::SetTransaction { session: false, mode });
    }
    if c.is("constraints") && !followed_by_value(c) {
        return set_constraints(c);
    }
    let name = set_name(c)?;
    let special = matches!(name.as_str(), "timezone" | "client_encoding" | "role" | "session_authorization")
        && !c.is("to")
        && c.peek().is_none_or(|t| t.token != Token::Eq);
    if !special && !c.take("to") {
        c.expect_token(&Token::Eq)?;
    }
    let value = if c.take("default") || (special && c.take("local")) { None } else { set_value(c, &name)? };
    c.end()?;
    Ok(Kind::Set { local, name, value })
}

/// `SET CONSTRAINTS { ALL | name, … } { DEFERRED | IMMEDIATE }`
fn set_constraints(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    let mut names = Vec::new();
    if !c.take("all") {
        names.push(c.name()?);
        while c.take_token(&Token::Comma) {
            names.push(c.name()?);
        }
    }
    let deferred = c.take("deferred");
    if !deferred {
        c.expect("immediate")?;
    }
    c.end()?;
    Ok(Kind::SetConstraints { names, deferred })
}

/// Is the word here a setting's name (`SET session = …`)?
fn followed_by_value(c: &Cursor<'_>) -> bool {
    c.is_nth(1, "to") || c.peek_nth(1).is_some_and(|t| t.token == Token::Eq)
}

fn set_name(c: &mut Cursor<'_>) -> Result<String> {
    if c.take_all(&["time", "zone"]) {
        return Ok("timezone".into());
    }
    if c.is("names") && !followed_by_value(c) {
        c.at += 1;
        return Ok("client_encoding".into());
    }
    if c.is("authorization") && !followed_by_value(c) {
        c.at += 1;
        return Ok("session_authorization".into());
    }
    Ok(c.name()?.join("."))
}

fn set_value(c: &mut Cursor<'_>, name: &str) -> Result<Option<Vec<String>>> {
    if name == "client_encoding" && c.peek().is_none() {
        return Ok(None);
    }
    let mut values = vec![set_item(c)?];
    while c.take_token(&Token::Comma) {
        values.push(set_item(c)?);
    }
    Ok(Some(values))
}

fn set_item(c: &mut Cursor<'_>) -> Result<String> {
    if c.is("interval") && matches!(c.peek_nth(1).map(|t| &t.token), Some(Token::SingleQuotedString(_))) {
        c.at += 1;
        let text = c.string().ok_or_else(|| c.unexpected())?;
        if c.take("hour") {
            let _ = c.take_all(&["to", "minute"]) || c.take_all(&["to", "second"]);
        }
        return Ok(text);
    }
    match c.string().or_else(|| c.number()) {
        Some(v) => Ok(v),
        None => c.identifier(),
    }
}

fn setting_name(c: &mut Cursor<'_>) -> Result<Option<String>> {
    let name = if c.take("all") {
        None
    } else if c.take_all(&["time", "zone"]) {
        Some("timezone".into())
    } else if c.take_all(&["transaction", "isolation", "level"]) {
        Some("transaction_isolation".into())
    } else if c.take_all(&["session", "authorization"]) {
        Some("session_authorization".into())
    } else {
        Some(c.name()?.join("."))
    };
    c.end()?;
    Ok(name)
}

fn reset(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    Ok(Kind::Reset { name: setting_name(c)? })
}

fn show(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    Ok(Kind::Show { name: setting_name(c)? })
}

fn discard(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    let words =
        [("all", "ALL"), ("plans", "PLANS"), ("sequences", "SEQUENCES"), ("temp", "TEMP"), ("temporary", "TEMP")];
    for (word, what) in words {
        if c.take(word) {
            c.end()?;
            return Ok(Kind::Discard(what));
        }
    }
    Err(c.unexpected())
}

fn prepare(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    if c.is("transaction") && !c.is_nth(1, "as") && c.peek_nth(1).is_none_or(|t| t.token != Token::LParen) {
        return Ok(Kind::Unsupported("PREPARE TRANSACTION".into()));
    }
    let name = c.identifier()?;
    let mut types = Vec::new();
    if c.take_token(&Token::LParen) {
        for part in commas(c.bracketed()?) {
            types.push(c.data_type(part)?);
        }
    }
    c.expect("as")?;
    let inner = preparable(c)?;
    Ok(Kind::Prepare { name, types, statement: Box::new(inner), source: c.source.text.into() })
}

/// The statement after AS or FOR: a query or DML.
fn preparable(c: &Cursor<'_>) -> Result<Parsed> {
    if c.peek().is_none() {
        return Err(c.unexpected());
    }
    let inner = statement(c.source, c.rest())?;
    if matches!(inner.kind, Kind::Plan(_)) { Ok(inner) } else { Err(c.unexpected()) }
}

/// Splits at commas outside brackets; nothing for an empty list.
pub(super) fn commas(tokens: &[super::scan::Tok]) -> Vec<&[super::scan::Tok]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (i, t) in tokens.iter().enumerate() {
        match t.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => {
                parts.push(&tokens[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    if !tokens.is_empty() {
        parts.push(&tokens[start..]);
    }
    parts
}

fn execute(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    let name = c.identifier()?;
    let mut args = Vec::new();
    if c.take_token(&Token::LParen) {
        for part in commas(c.bracketed()?) {
            args.push(c.expression(part)?);
        }
    }
    c.end()?;
    Ok(Kind::Execute { name, args })
}

fn deallocate(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    if c.is("prepare") && c.peek_nth(1).is_some() {
        c.at += 1;
    }
    let name = if c.take("all") { None } else { Some(c.identifier()?) };
    c.end()?;
    Ok(Kind::Deallocate { name })
}

fn declare(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    let name = c.identifier()?;
    let (mut binary, mut scroll, mut hold) = (false, None, false);
    while !c.take("cursor") {
        if c.take("binary") {
            binary = true;
        } else if c.take_all(&["no", "scroll"]) {
            scroll = Some(false);
        } else if c.take("scroll") {
            scroll = Some(true);
        } else if !(c.take("insensitive") || c.take("asensitive")) {
            return Err(c.unexpected());
        }
    }
    if c.take_all(&["with", "hold"]) {
        hold = true;
    } else {
        c.take_all(&["without", "hold"]);
    }
    c.expect("for")?;
    let mut inner = c.clone();
    inner.piece.tokens = without_read_only(c.piece.tokens);
    let query = preparable(&inner)?;
    Ok(Kind::Declare { name, hold, binary, scroll, query: Box::new(query), source: c.source.text.into() })
}

/// `FOR READ ONLY` at the end says what is true anyway.
fn without_read_only(tokens: &[super::scan::Tok]) -> &[super::scan::Tok] {
    let word = |i: usize, w: &str| matches!(&tokens[i].token, Token::Word(x) if x.value.eq_ignore_ascii_case(w));
    let n = tokens.len();
    if n > 3 && word(n - 3, "for") && word(n - 2, "read") && word(n - 1, "only") { &tokens[..n - 3] } else { tokens }
}

fn fetch(c: &mut Cursor<'_>) -> Result<Kind> {
    let is_move = c.is("move");
    c.at += 1;
    let direction = direction(c)?;
    let _ = c.take("from") || c.take("in");
    let name = c.identifier()?;
    c.end()?;
    Ok(Kind::Fetch { name, direction, is_move })
}

fn direction(c: &mut Cursor<'_>) -> Result<FetchDirection> {
    // A cursor may be called like a direction: then nothing follows it.
    if c.peek_nth(1).is_none() {
        return Ok(FetchDirection::Forward(Some(1)));
    }
    Ok(if c.take("next") {
        FetchDirection::Forward(Some(1))
    } else if c.take("prior") {
        FetchDirection::Backward(Some(1))
    } else if c.take("first") {
        FetchDirection::Absolute(1)
    } else if c.take("last") {
        FetchDirection::Absolute(-1)
    } else if c.take("absolute") {
        FetchDirection::Absolute(integer(c)?)
    } else if c.take("relative") {
        FetchDirection::Relative(integer(c)?)
    } else if c.take("forward") {
        counted(c, true)?
    } else if c.take("backward") {
        counted(c, false)?
    } else if c.is("all") || c.is_number() {
        counted(c, true)?
    } else {
        FetchDirection::Forward(Some(1))
    })
}

fn integer(c: &mut Cursor<'_>) -> Result<i64> {
    let before = c.clone();
    c.number().and_then(|n| n.parse().ok()).ok_or_else(|| before.unexpected())
}

fn counted(c: &mut Cursor<'_>, forward: bool) -> Result<FetchDirection> {
    let n = if c.take("all") {
        None
    } else if c.is_number() {
        Some(integer(c)?)
    } else {
        Some(1)
    };
    let forward = forward == n.is_none_or(|n| n >= 0);
    let n = n.map(i64::unsigned_abs);
    Ok(if forward { FetchDirection::Forward(n) } else { FetchDirection::Backward(n) })
}

fn close(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    let name = if c.take("all") { None } else { Some(c.identifier()?) };
    c.end()?;
    Ok(Kind::CloseCursor { name })
}

fn lock(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    c.take("table");
    let mut tables = Vec::new();
    loop {
        c.take("only");
        tables.push(c.name()?);
        c.take_token(&Token::Mul);
        if !c.take_token(&Token::Comma) {
            break;
        }
    }
    let mode = if c.take("in") { lock_mode(c)? } else { RelationLock::AccessExclusive };
    let nowait = c.take("nowait");
    c.end()?;
    Ok(Kind::LockTable { tables, mode, nowait })
}

fn lock_mode(c: &mut Cursor<'_>) -> Result<RelationLock> {
    use RelationLock as L;
    let modes: [(&[&str], RelationLock); 8] = [
        (&["access", "share", "mode"], L::AccessShare),
        (&["row", "share", "mode"], L::RowShare),
        (&["row", "exclusive", "mode"], L::RowExclusive),
        (&["share", "update", "exclusive", "mode"], L::ShareUpdateExclusive),
        (&["share", "mode"], L::Share),
        (&["share", "row", "exclusive", "mode"], L::ShareRowExclusive),
        (&["exclusive", "mode"], L::Exclusive),
        (&["access", "exclusive", "mode"], L::AccessExclusive),
    ];
    match modes.iter().find(|(words, _)| c.take_all(words)) {
        Some((_, mode)) => Ok(*mode),
        None => Err(c.unexpected()),
    }
}

/// A `0A000` for grammar we know.
pub(super) fn unsupported(what: &str) -> heddle_types::Error {
    heddle_types::Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
}
