//! pg_advisory_lock and its relatives.

use super::Registry;
use super::kernel::k;
use super::wait::{FOREVER, wait_until};
use crate::advisory::{AdvisoryKey, AdvisoryWait};
use crate::context::EvalContext;
use heddle_types::Result;

fn try_lock(cx: &EvalContext, key: AdvisoryKey, shared: bool, transaction: bool) -> bool {
    let s = &cx.session;
    s.advisory.try_lock(s.database_oid, key, s.pid, shared, transaction)
}

fn lock(cx: &EvalContext, key: AdvisoryKey, shared: bool, transaction: bool) -> Result<String> {
    let take = || try_lock(cx, key, shared, transaction);
    if !take() {
        let (s, since_us) = (&cx.session, cx.env.clock.now_us());
        let _noted = s.advisory.note(AdvisoryWait { database: s.database_oid, key, pid: s.pid, shared, since_us });
        wait_until(cx, FOREVER, take)?;
    }
    Ok(String::new())
}

fn unlock(cx: &EvalContext, key: AdvisoryKey, shared: bool) -> bool {
    let s = &cx.session;
    let held = s.advisory.unlock(s.database_oid, key, s.pid, shared);
    if !held {
        let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
        cx.warn(format!("you don't own a lock of type {mode}"));
    }
    held
}

macro_rules! both {
    ($r:ident . $add:ident, $name:literal, $ret:ty, |$cx:ident, $key:ident| $body:expr) => {
        $r.$add(
            concat!($name, "(int8)"),
            k!($cx, _ty; |a: i64| -> $ret {
                let $key = AdvisoryKey::One(a);
                $body
            }),
        );
        $r.$add(
            concat!($name, "(int4,int4)"),
            k!($cx, _ty; |a: i32, b: i32| -> $ret {
                let $key = AdvisoryKey::Two(a, b);
                $body
            }),
        );
    };
}

pub(super) fn register(r: &mut Registry) {
    both!(r.waiting, "pg_advisory_lock", String, |cx, key| lock(cx, key, false, false));
    both!(r.waiting, "pg_advisory_lock_shared", String, |cx, key| lock(cx, key, true, false));
    both!(r.waiting, "pg_advisory_xact_lock", String, |cx, key| lock(cx, key, false, true));
    both!(r.waiting, "pg_advisory_xact_lock_shared", String, |cx, key| lock(cx, key, true, true));
    both!(r.scalar, "pg_try_advisory_lock", bool, |cx, key| Ok(try_lock(cx, key, false, false)));
    both!(r.scalar, "pg_try_advisory_lock_shared", bool, |cx, key| Ok(try_lock(cx, key, true, false)));
    both!(r.scalar, "pg_try_advisory_xact_lock", bool, |cx, key| Ok(try_lock(cx, key, false, true)));
    both!(r.scalar, "pg_try_advisory_xact_lock_shared", bool, |cx, key| Ok(try_lock(cx, key, true, true)));
    both!(r.scalar, "pg_advisory_unlock", bool, |cx, key| Ok(unlock(cx, key, false)));
    both!(r.scalar, "pg_advisory_unlock_shared", bool, |cx, key| Ok(unlock(cx, key, true)));
    r.scalar(
        "pg_advisory_unlock_all()",
        k!(cx, _ty; || -> String {
            cx.session.advisory.unlock_all(cx.session.pid);
            Ok(String::new())
        }),
    );
}
