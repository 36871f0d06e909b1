//! pg_cancel_backend, pg_terminate_backend and pg_blocking_pids.

use super::Registry;
use super::kernel::k;
use super::wait::wait_until;
use crate::context::{EvalContext, Signal};
use heddle_types::{Datum, Error, PgArray, Result, SqlState, oid};
use std::time::Duration;

fn signal(cx: &EvalContext, pid: i32, signal: Signal) -> bool {
    let found = cx.session.backends.signal(pid, signal);
    if !found {
        cx.warn(format!("PID {pid} is not a PostgreSQL backend process"));
    }
    found
}

/// Ends a session; with a timeout (ms) it says whether it ended within that.
fn terminate(cx: &EvalContext, pid: i32, timeout_ms: i64) -> Result<bool> {
    let timeout = u64::try_from(timeout_ms)
        .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"timeout\" must not be negative"))?;
    let found = signal(cx, pid, Signal::Terminate);
    if !found || timeout == 0 {
        return Ok(found);
    }
    let gone = || !cx.session.backends.has(pid);
    let ended = wait_until(cx, Duration::from_millis(timeout), gone)?;
    if !ended {
        cx.warn(format!("backend with PID {pid} did not terminate within {timeout} milliseconds"));
    }
    Ok(ended)
}

fn blocking_pids(cx: &EvalContext, pid: i32) -> PgArray {
    let pids = cx.session.backends.blocking(pid);
    PgArray::from_vec(oid::INT4, pids.into_iter().map(Datum::Int4).collect())
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("pg_blocking_pids(int4)", k!(cx, _ty; |pid: i32| -> PgArray { Ok(blocking_pids(cx, pid)) }));
    r.scalar("pg_cancel_backend(int4)", k!(cx, _ty; |pid: i32| -> bool { Ok(signal(cx, pid, Signal::Cancel)) }));
    r.waiting(
        "pg_terminate_backend(int4,int8)",
        k!(cx, _ty; |pid: i32, timeout: i64| -> bool { terminate(cx, pid, timeout) }),
    );
}
