//! pg_cancel_backend and pg_terminate_backend.

use super::Registry;
use super::advisory::{PAUSE, blocking};
use super::kernel::k;
use crate::context::{EvalContext, Signal};
use heddle_types::{Error, Result, Severity, SqlState};
use std::time::Duration;

fn signal(cx: &EvalContext, pid: i32, signal: Signal) -> bool {
    let found = cx.session.backends.signal(pid, signal);
    if !found {
        warn(cx, format!("PID {pid} is not a PostgreSQL backend process"));
    }
    found
}

fn warn(cx: &EvalContext, text: String) {
    (cx.session.notice)(Error::notice(Severity::Warning, SqlState("01000"), text));
}

/// Ends a session; with a timeout (ms) it says whether it ended within that.
fn terminate(cx: &EvalContext, pid: i32, timeout_ms: i64) -> Result<bool> {
    let timeout = u64::try_from(timeout_ms)
        .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"timeout\" must not be negative"))?;
    let found = signal(cx, pid, Signal::Terminate);
    if !found || timeout == 0 {
        return Ok(found);
    }
    blocking(|| wait(cx, pid, Duration::from_millis(timeout)))
}

fn wait(cx: &EvalContext, pid: i32, timeout: Duration) -> Result<bool> {
    let begin = cx.env.clock.monotonic();
    while cx.session.backends.has(pid) {
        if let Some(e) = cx.interrupted() {
            return Err(e);
        }
        if cx.env.clock.monotonic().saturating_sub(begin) >= timeout {
            let millis = timeout.as_millis();
            warn(cx, format!("backend with PID {pid} did not terminate within {millis} milliseconds"));
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(true)
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("pg_cancel_backend(int4)", k!(cx, _ty; |pid: i32| -> bool { Ok(signal(cx, pid, Signal::Cancel)) }));
    r.scalar(
        "pg_terminate_backend(int4,int8)",
        k!(cx, _ty; |pid: i32, timeout: i64| -> bool { terminate(cx, pid, timeout) }),
    );
}
