//! Differential fuzzer: random tables and SELECTs, the same on our server and on PostgreSQL 15.
//!
//! | module | subject |
//! |---|---|
//! | [`random`] | the generator of numbers: a seed gives the same run everywhere |
//! | [`schema`] | tables and their rows |
//! | [`expr`] | typed expressions |
//! | [`query`] | SELECTs, and smaller ones of the same kind |
//!
//! Rows are compared as a set, and in order where ORDER BY settles it. What cannot be the same in both is not generated: sums of floats
//! (rounding follows the order of rows), division and overflow in parts that only one of them evaluates, letters beyond ASCII (the judge
//! runs in the C locale).

pub mod expr;
pub mod query;
pub mod random;
pub mod schema;

use crate::outcome::{Outcome, row_text};
use crate::wire::Conn;
use query::Query;
use random::Random;
use schema::Schema;
use std::fmt::Write;

/// Queries per random schema.
const QUERIES_PER_SCHEMA: usize = 50;

/// A query that the servers answer differently.
#[derive(Debug)]
pub struct Difference {
    /// Statements that make the tables.
    pub setup: String,
    /// The smallest form of the query that was found.
    pub query: String,
    /// Our answer.
    pub ours: String,
    /// PostgreSQL's.
    pub theirs: String,
}

impl Difference {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ =
            writeln!(out, "{}\n{};\n  ours       {}\n  PostgreSQL {}", self.setup, self.query, self.ours, self.theirs);
        out
    }
}

/// Runs `queries` random queries from `seed` in both sessions; stops after `most` differences.
///
/// # Panics
/// When a schema cannot be made on either server.
pub fn run(ours: &mut Conn, theirs: &mut Conn, seed: u64, queries: usize, most: usize) -> Vec<Difference> {
    let mut random = Random::new(seed);
    let mut found = vec![];
    let mut done = 0;
    while done < queries && found.len() < most {
        let schema = Schema::random(&mut random);
        let setup = schema.sql();
        for session in [&mut *ours, &mut *theirs] {
            session.query("DROP SCHEMA IF EXISTS fuzz CASCADE");
            session.run("CREATE SCHEMA fuzz; SET search_path = fuzz");
            session.run(&setup);
        }
        for _ in 0..QUERIES_PER_SCHEMA.min(queries - done) {
            done += 1;
            let query = Query::random(&mut random, &schema);
            if differs(ours, theirs, &query) {
                found.push(reduced(ours, theirs, query, &setup));
                if found.len() >= most {
                    break;
                }
            }
        }
    }
    found
}

fn differs(ours: &mut Conn, theirs: &mut Conn, query: &Query) -> bool {
    let sql = query.sql();
    let (a, b) = (ours.query(&sql), theirs.query(&sql));
    assert!(a.lost.is_none(), "the connection was lost by {sql}: {:?}", a.lost);
    form(&a, query.ordered()) != form(&b, query.ordered())
}

/// What must be equal: the SQLSTATE, or columns and rows.
fn form(outcome: &Outcome, ordered: bool) -> String {
    if outcome.error.is_some() {
        return format!("ERROR {}", outcome.code());
    }
    let columns = outcome.results.iter().filter_map(|r| r.columns.as_ref()).flatten();
    let columns: Vec<String> = columns.map(crate::outcome::Column::short).collect();
    let mut rows: Vec<String> = outcome.rows().map(|r| row_text(r)).collect();
    if !ordered {
        rows.sort_unstable();
    }
    format!("[{}] {}", columns.join(", "), rows.join(" "))
}

/// Leaves out parts as long as the answers still differ.
fn reduced(ours: &mut Conn, theirs: &mut Conn, mut query: Query, setup: &str) -> Difference {
    loop {
        let smaller = query.smaller().into_iter().find(|q| differs(ours, theirs, q));
        match smaller {
            Some(q) => query = q,
            None => break,
        }
    }
    let sql = query.sql();
    let answer = |outcome: Outcome| match outcome.error {
        Some(_) => outcome.short(),
        None => form(&outcome, query.ordered()),
    };
    Difference {
        setup: setup.to_owned(),
        ours: answer(ours.query(&sql)),
        theirs: answer(theirs.query(&sql)),
        query: sql,
    }
}
