//! Two or three sessions that take turns; its transcript says what each step answered and whether it waited.
//!
//! A script is one step per line, `NAME: SQL`. A step that has not answered within [`GRACE`] is printed as waiting, the next
//! step goes on, and its answer is printed as soon as it comes. `# …` is a comment. A session that is waiting cannot be
//! given another step: the script then waits for it.

use crate::outcome::Outcome;
use crate::wire::{Conn, build};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a step may take before it counts as waiting. Long enough for a busy machine with two cores.
pub const GRACE: Duration = Duration::from_millis(400);

struct Session {
    conn: Conn,
    waiting: Option<String>,
}

/// Runs `script` with sessions from `connect`; returns the transcript.
///
/// # Panics
/// When a line has no session name.
pub fn run(mut connect: impl FnMut() -> Conn, script: &str) -> String {
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    let mut out = vec![];
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (name, sql) = line.split_once(": ").unwrap_or_else(|| panic!("no session name: {line}"));
        let session = sessions.entry(name.to_owned()).or_insert_with(|| Session { conn: connect(), waiting: None });
        if let Some(earlier) = session.waiting.take() {
            out.push(format!("{name}: {earlier}\n  resumed: {}", describe(&session.conn.outcome())));
        }
        session.conn.send(&build::query(sql)).unwrap_or_else(|e| panic!("{line}: {e}"));
        if session.conn.answers_within(GRACE) {
            out.push(format!("{name}: {sql}\n  {}", describe(&session.conn.outcome())));
        } else {
            out.push(format!("{name}: {sql}\n  waits"));
            session.waiting = Some(sql.to_owned());
        }
        collect(&mut sessions, &mut out);
    }
    for (name, session) in &mut sessions {
        if let Some(earlier) = session.waiting.take() {
            out.push(format!("{name}: {earlier}\n  resumed: {}", describe(&session.conn.outcome())));
        }
    }
    out.join("\n")
}

/// Prints the answers that waiting steps have got meanwhile.
fn collect(sessions: &mut BTreeMap<String, Session>, out: &mut Vec<String>) {
    for (name, session) in sessions {
        if session.waiting.is_some() && session.conn.answers_within(GRACE) {
            let sql = session.waiting.take().unwrap_or_default();
            out.push(format!("{name}: {sql}\n  resumed: {}", describe(&session.conn.outcome())));
        }
    }
}

/// Rows, tags and codes; of errors also the message.
fn describe(outcome: &Outcome) -> String {
    outcome.short()
}
