//! Byte transcripts: a scripted sequence of client messages and the server's answer, message by message, as text.
//!
//! ParameterStatus is left out (its set differs between versions), and so are the OIDs of tables.

use crate::outcome::{Column, Fields};
use crate::wire::{Conn, Message, build, decode_row};
use crate::{Judge, Server};
use std::time::Duration;

/// One step of a client.
#[derive(Clone, Debug)]
pub enum Step {
    /// Bytes to send.
    Send(Vec<u8>),
    /// Read what arrives until it is quiet; shows what a Flush pushed.
    Quiet,
}

/// A name and what is done under it.
pub type Script = (&'static str, Vec<Step>);

/// Steps under short names: a script is read by its order.
pub mod steps {
    use super::Step;
    use crate::wire::build;

    /// Query
    pub fn q(sql: &str) -> Step {
        Step::Send(build::query(sql))
    }
    /// Parse
    pub fn p(name: &str, sql: &str) -> Step {
        Step::Send(build::parse(name, sql, &[]))
    }
    /// Bind without parameters
    pub fn b(portal: &str, statement: &str) -> Step {
        Step::Send(build::bind(portal, statement, &[], &[], &[]))
    }
    /// Bind with text parameters
    pub fn bt(portal: &str, statement: &str, values: &[&str]) -> Step {
        let values: Vec<_> = values.iter().map(|v| Some(v.as_bytes())).collect();
        Step::Send(build::bind(portal, statement, &[], &values, &[]))
    }
    /// Describe a statement
    pub fn ds(name: &str) -> Step {
        Step::Send(build::describe(b'S', name))
    }
    /// Describe a portal
    pub fn dp(name: &str) -> Step {
        Step::Send(build::describe(b'P', name))
    }
    /// Execute
    pub fn e(portal: &str, rows: u32) -> Step {
        Step::Send(build::execute(portal, rows))
    }
    /// Close a statement
    pub fn cs(name: &str) -> Step {
        Step::Send(build::close(b'S', name))
    }
    /// Close a portal
    pub fn cp(name: &str) -> Step {
        Step::Send(build::close(b'P', name))
    }
    /// Sync
    pub fn s() -> Step {
        Step::Send(build::sync())
    }
    /// Flush
    pub fn flush() -> Step {
        Step::Send(build::message(b'H', &[]))
    }
    /// CopyData
    pub fn data(bytes: &str) -> Step {
        Step::Send(build::message(b'd', bytes.as_bytes()))
    }
    /// CopyDone
    pub fn done() -> Step {
        Step::Send(build::message(b'c', &[]))
    }
    /// CopyFail
    pub fn fail(reason: &str) -> Step {
        Step::Send(build::copy_fail(reason))
    }
}

/// How long nothing must arrive to count as quiet.
const QUIET: Duration = Duration::from_millis(250);

/// Ends every script; works in any transaction state, and its row marks the end of the transcript.
const END: &str = "ROLLBACK; SELECT 'end of script'";

/// Plays every script on our server and on the judge, each in a session of its own, and shows all differences at once.
///
/// # Panics
/// When transcripts differ, or when `setup` fails.
pub fn compare(setup: &str, scripts: &[Script]) {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    if !setup.is_empty() {
        server.connect().run(setup);
        judge.connect().run(setup);
    }
    let mut wrong = vec![];
    for (name, steps) in scripts {
        let play = |mut conn: Conn| play(&mut conn, steps);
        let (ours, theirs) = (play(server.connect()), play(judge.connect()));
        if ours != theirs {
            let indent = |t: &str| t.replace('\n', "\n      ");
            wrong.push(format!("{name}\n   PostgreSQL:\n      {}\n   ours:\n      {}", indent(&theirs), indent(&ours)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} scripts differ\n{}", wrong.len(), scripts.len(), wrong.join("\n"));
}

/// Plays `steps`, then Sync and a query that closes what is open; returns one line per message.
pub fn play(conn: &mut Conn, steps: &[Step]) -> String {
    let mut out = vec![];
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if conn.send(bytes).is_err() {
                    break;
                }
            }
            Step::Quiet => {
                while conn.answers_within(QUIET) {
                    match conn.receive() {
                        Ok(m) => out.extend(describe(&m)),
                        Err(_) => break,
                    }
                }
                out.push("-- quiet".to_owned());
            }
        }
    }
    let _ = conn.send(&build::sync());
    let _ = conn.send(&build::query(END));
    let mut ending = false;
    loop {
        let Ok(m) = conn.receive() else {
            out.push("-- closed".to_owned());
            break;
        };
        ending |= m.kind == b'D' && decode_row(&m.body) == [Some("end of script".to_owned())];
        out.extend(describe(&m));
        if ending && m.kind == b'Z' {
            break;
        }
    }
    out.join("\n")
}

/// One message as text; None for those that are not compared.
pub fn describe(m: &Message) -> Option<String> {
    let text = |body: &[u8]| String::from_utf8_lossy(body.strip_suffix(&[0]).unwrap_or(body)).into_owned();
    let name = char::from(m.kind);
    Some(match m.kind {
        b'S' => return None,
        b'T' => {
            let columns: Vec<_> = Column::decode_all(&m.body).iter().map(Column::full).collect();
            format!("T {}", columns.join(" "))
        }
        b'D' => format!("D {}", crate::outcome::row_text(&decode_row(&m.body))),
        b't' => {
            let types: Vec<_> =
                m.body[2..].chunks(4).map(|c| c.iter().fold(0, |n, b| n << 8 | u32::from(*b))).collect();
            format!("t {types:?}")
        }
        b'C' => format!("C {}", text(&m.body)),
        b'Z' => format!("Z {}", text(&m.body)),
        b'd' => format!("d {}", text(&m.body).escape_debug()),
        b'G' | b'H' => format!("{name} {:?}", m.body),
        b'E' | b'N' => {
            let fields = Fields { context: None, ..Fields::decode(&m.body) };
            format!("{name} {} {}", fields.severity, fields.full())
        }
        _ => name.to_string(),
    })
}
