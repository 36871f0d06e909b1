//! SQL text to statements. Guards: tokens, nesting depth and expression width are limited before anything recursive runs (`54001`).

mod alter;
mod comment;
mod copy;
mod create;
mod cursor;
mod insert;
mod lift;
mod like;
mod maintenance;
mod merge;
pub(crate) mod own;
mod places;
mod relation;
mod rewrite;
mod scan;
mod sequence;
mod series;
mod table;
mod text;
mod utility;

pub use copy::{Copy, CopyOption, CopyValue};
use heddle_txn::Isolation;
pub use lift::Lifted;
pub(crate) use like::{LIKE_MARK, LIKE_OPTIONS};
pub(crate) use merge::{MERGE_DEFAULTS, MERGE_NOTHING, MERGE_SYSTEM, MERGE_USER};
pub(crate) use places::Places;
pub(crate) use rewrite::{
    ALL_FIELDS, DISTINCT_SETS, EXCLUDE_GROUP, EXCLUDE_ROW, EXCLUDE_TIES, JOIN_ALIAS, KEY_MARK, NOTHING, ROWS_FROM,
};
pub use series::{Clause, SeriesStatement, Written};
pub(crate) use text::{Star, expand_stars, rename};

use heddle_types::{Error, Notice, Result, Severity, SqlState};
use std::sync::Arc;

/// One statement of a query string.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it is
    pub kind: Kind,
    /// Its text
    pub sql: String,
    /// Characters before it in the query string, to turn positions into the client's
    pub offset: u32,
    /// What to tell the client before it runs (identifiers that were cut).
    pub notices: Vec<Notice>,
}

impl Parsed {
    /// The first parameter and where it stands in the query string: the simple protocol has none to give.
    pub fn first_parameter(&self) -> Option<(String, Option<u32>)> {
        if !self.sql.contains('$') {
            return None;
        }
        let source = scan::Source::new(&self.sql);
        let tokens = scan::tokenize(&source).ok()?;
        tokens.into_iter().find_map(|t| match t.token {
            sqlparser::tokenizer::Token::Placeholder(name) => {
                Some((name, scan::position(t.start).map(|p| p + self.offset)))
            }
            _ => None,
        })
    }
}

/// Statements as the session sees them. Whatever needs binding stays opaque in [`Ast`].
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum Kind {
    /// SELECT, INSERT, UPDATE, DELETE, VALUES, EXPLAIN, DDL: bind it
    Plan(Box<Ast>),
    Begin {
        tag: &'static str,
        mode: TransactionMode,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// SET TRANSACTION / SET SESSION CHARACTERISTICS AS TRANSACTION
    SetTransaction {
        session: bool,
        mode: TransactionMode,
    },
    /// SET [LOCAL] name = values; None = DEFAULT. Values are the list items as text (idents folded unless quoted).
    /// SET CONSTRAINTS; no names: ALL
    SetConstraints {
        names: Vec<Vec<String>>,
        deferred: bool,
    },
    Set {
        local: bool,
        name: String,
        value: Option<Vec<String>>,
    },
    Reset {
        name: Option<String>,
    },
    Show {
        name: Option<String>,
    },
    /// ALL, PLANS, SEQUENCES, TEMP
    Discard(&'static str),
    /// `source` is the whole query string, as pg_prepared_statements shows it
    Prepare {
        name: String,
        types: Vec<heddle_types::PgType>,
        statement: Box<Parsed>,
        source: Arc<str>,
    },
    Execute {
        name: String,
        args: Vec<Ast>,
    },
    Deallocate {
        name: Option<String>,
    },
    Copy(Box<Copy>),
    /// `source` is the whole query string, as pg_cursors shows it
    Declare {
        name: String,
        hold: bool,
        binary: bool,
        scroll: Option<bool>,
        query: Box<Parsed>,
        source: Arc<str>,
    },
    /// FETCH / MOVE
    Fetch {
        name: String,
        direction: FetchDirection,
        is_move: bool,
    },
    CloseCursor {
        name: Option<String>,
    },
    Checkpoint,
    /// LOCK TABLE
    LockTable {
        tables: Vec<Vec<String>>,
        mode: heddle_txn::RelationLock,
        nowait: bool,
    },
    /// VACUUM, ANALYZE, REINDEX: names are checked, the rest happens by itself
    Maintenance(Maintenance),
    /// LISTEN, NOTIFY and others known but not supported yet: the name for the 0A000 message
    Unsupported(String),
}

/// Anything the binder takes: a statement, or one expression (an argument of EXECUTE). Every span is (1, 1-based character
/// position in the statement's text); a token's end is the start of the token after it, so that operators can be found.
#[derive(Clone, Debug)]
pub enum Ast {
    /// A statement
    Statement(Deep<sqlparser::ast::Statement>),
    /// A statement about time-series tables
    Series(Deep<SeriesStatement>),
    /// An expression
    Expr(Deep<sqlparser::ast::Expr>),
    /// A statement that sqlparser's tree has no place for
    Own(Deep<own::Own>),
}

/// An AST node that is shared by its clones and freed on a stack large enough for long operator chains.
#[derive(Clone, Debug)]
pub struct Deep<T: Send + 'static> {
    tree: Option<Arc<T>>,
    places: Arc<Places>,
}

impl<T: Send + 'static> Deep<T> {
    pub(crate) fn new(tree: T, places: Places) -> Self {
        Self { tree: Some(Arc::new(tree)), places: Arc::new(places) }
    }

    /// Where its tokens stand.
    pub(crate) fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }
}

impl<T: Send + 'static> std::ops::Deref for Deep<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.tree.as_ref().expect("taken only by drop")
    }
}

impl<T: Send + 'static> Drop for Deep<T> {
    fn drop(&mut self) {
        let tree = self.tree.take();
        on_large_stack(move || drop(tree));
    }
}

/// Runs `work` with room for the deepest tree the limits in `scan` admit.
pub(crate) fn on_large_stack<R>(work: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(32 << 20, 64 << 20, work)
}

/// BEGIN's and SET TRANSACTION's options; None = not mentioned.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransactionMode {
    /// ISOLATION LEVEL (READ UNCOMMITTED is READ COMMITTED)
    pub isolation: Option<Isolation>,
    /// READ ONLY / READ WRITE
    pub read_only: Option<bool>,
    /// SERIALIZABLE was asked for (answered 0A000 by the session)
    pub serializable: bool,
}

/// FETCH directions.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum FetchDirection {
    Forward(Option<u64>),
    Backward(Option<u64>),
    Absolute(i64),
    Relative(i64),
}

/// VACUUM, ANALYZE or REINDEX.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// The command tag
    pub tag: &'static str,
    /// Tables as written, each with its columns
    pub tables: Vec<(Vec<String>, Vec<String>)>,
}

/// Parses a whole query string; a syntax error anywhere fails it all. Empty strings, `;` and comments give an empty list.
///
/// # Errors
/// `42601` with PostgreSQL's wording and position (1-based, characters); `54001` when too deep or too wide; `0A000` for what the grammar knows but we do not.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    let source = scan::Source::new(sql);
    let tokens = scan::tokenize(&source)?;
    scan::check_limits(&tokens, &source)?;
    on_large_stack(|| {
        let mut statements = Vec::new();
        for piece in scan::split(&tokens) {
            let mut parsed = utility::statement(&source, piece)?;
            parsed.notices = truncated(piece.tokens);
            statements.push(parsed);
        }
        Ok(statements)
    })
}

/// A notice for every identifier that is longer than names can be.
fn truncated(tokens: &[scan::Tok]) -> Vec<Notice> {
    let mut notices = Vec::new();
    for tok in tokens {
        let sqlparser::tokenizer::Token::Word(w) = &tok.token else { continue };
        let kept = crate::bind::fold_identifier(&w.value, w.quote_style.is_some());
        if kept.len() < w.value.len() {
            let full = if w.quote_style.is_some() { w.value.clone() } else { w.value.to_ascii_lowercase() };
            let message = format!("identifier \"{full}\" will be truncated to \"{kept}\"");
            notices.push(Error::notice(Severity::Notice, SqlState::NAME_TOO_LONG, message));
        }
    }
    notices
}
