//! How functions wait: for a lock, for a session's end, for time to pass. They poll, so that a cancelled statement stops.
//! They are registered with [`super::Registry::waiting`].

use crate::context::EvalContext;
use heddle_types::Result;
use std::time::Duration;

/// How often it is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// The limit of what waits without one.
pub(super) const FOREVER: Duration = Duration::MAX;

/// Waits until `done`, for at most `limit`; false when it did not come within that. The thread is lost to others meanwhile, and the
/// runtime is told so.
///
/// # Errors
/// Whatever ends the statement meanwhile.
pub(super) fn wait_until(cx: &EvalContext, limit: Duration, mut done: impl FnMut() -> bool) -> Result<bool> {
    if done() {
        return Ok(true);
    }
    blocking(|| poll(cx, limit, done))
}

fn poll(cx: &EvalContext, limit: Duration, mut done: impl FnMut() -> bool) -> Result<bool> {
    let begin = cx.env.clock.monotonic();
    while !done() {
        if let Some(e) = cx.interrupted() {
            return Err(e);
        }
        let waited = cx.env.clock.monotonic().saturating_sub(begin);
        let left = limit.saturating_sub(waited);
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(left.min(PAUSE));
    }
    Ok(true)
}

/// Tells the runtime that its thread is taken: the session that is waited for may need one.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
