//! pg_advisory_lock and its relatives. Waiting polls, as pg_sleep does, so that a cancelled statement stops.

use super::Registry;
use super::kernel::k;
use crate::advisory::AdvisoryKey;
use crate::context::EvalContext;
use heddle_types::{Error, Result, Severity, SqlState};
use std::time::Duration;

/// How often a waiting session asks again.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

fn try_lock(cx: &EvalContext, key: AdvisoryKey, shared: bool, transaction: bool) -> bool {
    let s = &cx.session;
    s.advisory.try_lock(s.database_oid, key, s.pid, shared, transaction)
}

fn lock(cx: &EvalContext, key: AdvisoryKey, shared: bool, transaction: bool) -> Result<String> {
    if !try_lock(cx, key, shared, transaction) {
        blocking(|| wait(cx, key, shared, transaction))?;
    }
    Ok(String::new())
}

/// Tells the runtime that its thread is taken: the session that will unlock may need one.
pub(super) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn wait(cx: &EvalContext, key: AdvisoryKey, shared: bool, transaction: bool) -> Result<()> {
    while !try_lock(cx, key, shared, transaction) {
        if let Some(e) = cx.interrupted() {
            return Err(e);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn unlock(cx: &EvalContext, key: AdvisoryKey, shared: bool) -> bool {
    let s = &cx.session;
    let held = s.advisory.unlock(s.database_oid, key, s.pid, shared);
    if !held {
        let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
        let text = format!("you don't own a lock of type {mode}");
        (s.notice)(Error::notice(Severity::Warning, SqlState("01000"), text));
    }
    held
}

macro_rules! both {
    ($r:ident, $name:literal, $ret:ty, |$cx:ident, $key:ident| $body:expr) => {
        $r.scalar(
            concat!($name, "(int8)"),
            k!($cx, _ty; |a: i64| -> $ret {
                let $key = AdvisoryKey::One(a);
                $body
            }),
        );
        $r.scalar(
            concat!($name, "(int4,int4)"),
            k!($cx, _ty; |a: i32, b: i32| -> $ret {
                let $key = AdvisoryKey::Two(a, b);
                $body
            }),
        );
    };
}

pub(super) fn register(r: &mut Registry) {
    both!(r, "pg_advisory_lock", String, |cx, key| lock(cx, key, false, false));
    both!(r, "pg_advisory_lock_shared", String, |cx, key| lock(cx, key, true, false));
    both!(r, "pg_advisory_xact_lock", String, |cx, key| lock(cx, key, false, true));
    both!(r, "pg_advisory_xact_lock_shared", String, |cx, key| lock(cx, key, true, true));
    both!(r, "pg_try_advisory_lock", bool, |cx, key| Ok(try_lock(cx, key, false, false)));
    both!(r, "pg_try_advisory_lock_shared", bool, |cx, key| Ok(try_lock(cx, key, true, false)));
    both!(r, "pg_try_advisory_xact_lock", bool, |cx, key| Ok(try_lock(cx, key, false, true)));
    both!(r, "pg_try_advisory_xact_lock_shared", bool, |cx, key| Ok(try_lock(cx, key, true, true)));
    both!(r, "pg_advisory_unlock", bool, |cx, key| Ok(unlock(cx, key, false)));
    both!(r, "pg_advisory_unlock_shared", bool, |cx, key| Ok(unlock(cx, key, true)));
    r.scalar(
        "pg_advisory_unlock_all()",
        k!(cx, _ty; || -> String {
            cx.session.advisory.unlock_all(cx.session.pid);
            Ok(String::new())
        }),
    );
}
