//! Text to tokens: lexical errors in PostgreSQL's words, limits before anything recursive, and the cut into statements.
//!
//! Called by [`super::parse`]. What must hold: no tree built from tokens that passed [`check_limits`] is deeper than
//! [`TREE_DEPTH_MAX`] in operators or [`NESTING_MAX`] in brackets; AND/OR chains may be longer, since they bind flat.

use heddle_types::{Error, Result, SqlState};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

/// Most tokens of one query string. A row of 65,535 parameters has twice as many.
const TOKENS_MAX: usize = 4_000_000;
/// Most brackets or CASEs inside one another.
const NESTING_MAX: usize = 500;
/// Most operators on a path from the root to a leaf, without AND and OR.
const TREE_DEPTH_MAX: usize = 1_000;
/// Most ANDs and ORs on such a path (the AST nests them, the bound tree does not).
const LOGIC_DEPTH_MAX: usize = 20_000;
/// Most joins or set operations at one level.
const RELATIONS_MAX: usize = 500;

/// The query string and where its lines begin.
pub(super) struct Source<'a> {
    /// As it came
    pub text: &'a str,
    /// Byte offset of every character, unless all are one byte long.
    bytes: Option<Vec<u32>>,
    /// Character index at which each line begins.
    lines: Vec<usize>,
}

/// A token with its place: `start..end` are character indexes into the source.
#[derive(Clone, Debug)]
pub(super) struct Tok {
    pub token: Token,
    pub start: usize,
    pub end: usize,
}

/// One statement's tokens and the `;` after them, if any.
#[derive(Clone, Copy)]
pub(super) struct Piece<'t> {
    pub tokens: &'t [Tok],
    pub terminator: Option<usize>,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Self {
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at as u32).collect());
        let mut lines = vec![0];
        lines.extend(text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(i, _)| i + 1));
        Self { text, bytes, lines }
    }

    fn char_index(&self, at: Location) -> usize {
        let line = (at.line.max(1) as usize - 1).min(self.lines.len() - 1);
        self.lines[line] + (at.column.max(1) as usize - 1)
    }

    fn byte(&self, index: usize) -> usize {
        let byte = match &self.bytes {
            Some(bytes) => bytes.get(index).map_or(self.text.len(), |b| *b as usize),
            None => index,
        };
        byte.min(self.text.len())
    }

    /// The text of a range of characters.
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        &self.text[self.byte(start)..self.byte(end).max(self.byte(start))]
    }

    /// Number of characters.
    pub fn len(&self) -> usize {
        self.bytes.as_ref().map_or(self.text.len(), Vec::len)
    }

    /// `syntax error at or near "token"`, or at the end of input.
    pub fn syntax_error(&self, tok: Option<&Tok>) -> Error {
        match tok {
            Some(t) => syntax_error_near(self.slice(t.start, t.end)).at(position(t.start)),
            None => Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(position(self.len())),
        }
    }
}

/// A 0-based character index as the client counts.
pub(super) fn position(index: usize) -> Option<u32> {
    u32::try_from(index + 1).ok()
}

fn syntax_error_near(text: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""))
}

/// The tokens of the whole string, without blanks and comments.
pub(super) fn tokenize(source: &Source<'_>) -> Result<Vec<Tok>> {
    if let Some(nul) = source.text.find('\0') {
        let _ = nul;
        return Err(Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    let dialect = PostgreSqlDialect {};
    let tokens =
        Tokenizer::new(&dialect, source.text).tokenize_with_location().map_err(|e| lexical_error(source, &e))?;
    if tokens.len() > TOKENS_MAX {
        return Err(too_complex("statement is too complex"));
    }
    let visible = tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF));
    let mut tokens: Vec<Tok> = Vec::new();
    for t in visible {
        let tok = Tok { start: source.char_index(t.span.start), end: source.char_index(t.span.end), token: t.token };
        if matches!(tok.token, Token::HexStringLiteral(_)) && source.slice(tok.start, tok.end).starts_with('0') {
            let text = source.slice(tok.start, tok.end);
            let message = format!("trailing junk after numeric literal at or near \"{text}\"");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position(tok.start)));
        }
        if !continues(source, tokens.last_mut(), &tok)? {
            tokens.push(tok);
        }
    }
    Ok(tokens)
}

/// `'a'` and `'b'` on the next line are one string; on the same line the second is an error.
fn continues(source: &Source<'_>, last: Option<&mut Tok>, tok: &Tok) -> Result<bool> {
    let Token::SingleQuotedString(more) = &tok.token else { return Ok(false) };
    let Some(last) = last else { return Ok(false) };
    let newline = source.slice(last.end, tok.start).contains(['\n', '\r']);
    match &mut last.token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::NationalStringLiteral(text) => {
            if !newline {
                return Err(source.syntax_error(Some(tok)));
            }
            text.push_str(more);
            last.end = tok.end;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn lexical_error(source: &Source<'_>, e: &sqlparser::tokenizer::TokenizerError) -> Error {
    let at = source.char_index(e.location);
    let rest = |start: usize| source.slice(start, source.len());
    let found = |what: &str, start: usize| {
        Error::new(SqlState::SYNTAX_ERROR, format!("unterminated {what} at or near \"{}\"", rest(start)))
            .at(position(start))
    };
    let message = e.message.as_str();
    if message.contains("dollar-quoted") {
        return found("dollar-quoted string", opening(source, "$").unwrap_or(at));
    }
    if message.contains("multi-line comment") {
        return found("/* comment", opening(source, "/*").unwrap_or(at));
    }
    if message.contains("close delimiter") {
        return found("quoted identifier", at);
    }
    if message.contains("nterminated") {
        return found("quoted string", at);
    }
    let one = source.slice(at, (at + 1).min(source.len()));
    if one.is_empty() { source.syntax_error(None) } else { syntax_error_near(one).at(position(at)) }
}

/// Where the unclosed thing that starts with `mark` begins: everything before it tokenizes.
fn opening(source: &Source<'_>, mark: &str) -> Option<usize> {
    let dialect = PostgreSqlDialect {};
    let starts: Vec<usize> = source.text.match_indices(mark).map(|(at, _)| at).take(64).collect();
    let clean = |at: &&usize| Tokenizer::new(&dialect, &source.text[..**at]).tokenize().is_ok();
    starts
        .iter()
        .filter(clean)
        .map(|at| source.text[..*at].chars().count())
        .next_back()
        .map(|last| if mark == "$" { first_of_pair(source, &starts, last) } else { last })
}

/// `$$` and `$tag$` contain two marks; the first of them opens the string.
fn first_of_pair(source: &Source<'_>, starts: &[usize], last: usize) -> usize {
    let chars: Vec<usize> = starts.iter().map(|at| source.text[..*at].chars().count()).collect();
    let place = chars.iter().position(|c| *c == last).unwrap_or(0);
    let opens = |from: usize, to: usize| source.slice(from + 1, to).chars().all(|c| c.is_alphanumeric() || c == '_');
    match place.checked_sub(1).map(|p| chars[p]) {
        Some(before) if opens(before, last) => before,
        _ => last,
    }
}

fn too_complex(message: &str) -> Error {
    Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).hint("Split the statement, or use fewer nested expressions.")
}

/// How deep the tree of what lies between two brackets becomes.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Operators since the last comma or clause, and the deepest operand among them.
    operators: usize,
    logic: usize,
    inner_operators: usize,
    inner_logic: usize,
    /// Deepest finished part.
    deepest_operators: usize,
    deepest_logic: usize,
    relations: usize,
}

impl Level {
    /// An operand ended: what it holds adds to the chain around it.
    fn finish_term(&mut self) {
        self.deepest_operators = self.deepest_operators.max(self.operators + self.inner_operators);
        (self.operators, self.inner_operators) = (0, 0);
    }

    fn finish_part(&mut self) {
        self.finish_term();
        self.deepest_logic = self.deepest_logic.max(self.logic + self.inner_logic);
        (self.logic, self.inner_logic) = (0, 0);
    }
}

/// Refuses what would nest too deep.
///
/// # Errors
/// `54001`
pub(super) fn check_limits(tokens: &[Tok], _source: &Source<'_>) -> Result<()> {
    let mut levels = vec![Level::default()];
    for (i, t) in tokens.iter().enumerate() {
        if opens(tokens, i) {
            if levels.len() > NESTING_MAX {
                return Err(too_complex("stack depth limit exceeded"));
            }
            levels.push(Level::default());
            continue;
        }
        if closes(tokens, i) && levels.len() > 1 {
            let mut closed = levels.pop().expect("more than one level");
            closed.finish_part();
            let top = levels.last_mut().expect("the outermost level stays");
            top.inner_operators = top.inner_operators.max(closed.deepest_operators + 1);
            top.inner_logic = top.inner_logic.max(closed.deepest_logic + 1);
            continue;
        }
        let level = levels.last_mut().expect("the outermost level stays");
        count(level, &t.token);
        let operators = level.deepest_operators.max(level.operators + level.inner_operators);
        let logic = level.deepest_logic.max(level.logic + level.inner_logic);
        if operators > TREE_DEPTH_MAX || logic > LOGIC_DEPTH_MAX || level.relations > RELATIONS_MAX {
            return Err(too_complex("statement is too complex"));
        }
    }
    Ok(())
}

fn is_word(t: Option<&Tok>, word: &str) -> bool {
    matches!(t.map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

fn opens(tokens: &[Tok], i: usize) -> bool {
    matches!(tokens[i].token, Token::LParen | Token::LBracket | Token::LBrace) || is_word(tokens.get(i), "case")
}

fn closes(tokens: &[Tok], i: usize) -> bool {
    // END is a statement of its own at the start; there nothing is open.
    matches!(tokens[i].token, Token::RParen | Token::RBracket | Token::RBrace) || is_word(tokens.get(i), "end")
}

fn count(level: &mut Level, token: &Token) {
    match token {
        Token::SemiColon => {
            level.finish_part();
            *level = Level::default();
        }
        Token::Comma => level.finish_part(),
        Token::Word(w) if w.quote_style.is_none() => count_word(level, &w.value.to_ascii_lowercase()),
        Token::Word(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Period
        | Token::LParen
        | Token::RParen => {}
        _ => level.operators += 1,
    }
}

fn count_word(level: &mut Level, word: &str) {
    match word {
        "and" | "or" => {
            level.finish_term();
            level.logic += 1;
        }
        "not" | "is" | "in" | "like" | "ilike" | "similar" | "between" | "at" | "collate" | "isnull" | "notnull"
        | "operator" | "interval" | "any" | "all" | "exists" => level.operators += 1,
        "union" | "intersect" | "except" | "join" => {
            level.finish_part();
            level.relations += 1;
        }
        "select" | "from" | "where" | "having" | "when" | "then" | "else" | "on" | "set" | "group" | "order"
        | "limit" | "values" | "returning" => level.finish_part(),
        _ => {}
    }
}

/// Statements between semicolons; empty ones vanish.
pub(super) fn split(tokens: &[Tok]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (i, t) in tokens.iter().enumerate() {
        if t.token == Token::SemiColon {
            if i > start {
                pieces.push(Piece { tokens: &tokens[start..i], terminator: Some(i) });
            }
            start = i + 1;
        }
    }
    if start < tokens.len() {
        pieces.push(Piece { tokens: &tokens[start..], terminator: None });
    }
    pieces
}

/// Tokens for sqlparser with positions counted from character `base`: see [`super::Ast`] for what the ends mean.
pub(super) fn positioned(tokens: &[Tok], base: usize) -> Vec<TokenWithSpan> {
    let at = |index: usize| Location { line: 1, column: (index - base + 1) as u64 };
    (0..tokens.len())
        .map(|i| {
            let end = following(tokens, i).map_or(tokens[i].end, |n| n.start).max(tokens[i].start);
            TokenWithSpan { token: tokens[i].token.clone(), span: Span::new(at(tokens[i].start), at(end)) }
        })
        .collect()
}

/// The token after this one and after the brackets it closes (`f(` `)` counts as closed).
fn following(tokens: &[Tok], i: usize) -> Option<&Tok> {
    let mut next = i + 1;
    if matches!(tokens.get(next).map(|t| &t.token), Some(Token::LParen))
        && matches!(tokens.get(next + 1).map(|t| &t.token), Some(Token::RParen))
    {
        next += 2;
    }
    while matches!(tokens.get(next).map(|t| &t.token), Some(Token::RParen | Token::RBracket)) {
        next += 1;
    }
    tokens.get(next)
}
