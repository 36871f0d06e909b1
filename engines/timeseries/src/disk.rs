//! What a failed write means: a full disk makes the writer wait, anything else ends the process, because what a failed fsync
//! left behind is unknown.

use heddle_env::{fail_stop, is_disk_full};
use heddle_types::{Result, SqlState};
use std::io;
use std::time::Duration;

/// How long to wait before a write to a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(100);

/// Runs `write` until the disk has room for it.
pub fn persist<T>(what: &str, mut write: impl FnMut() -> io::Result<T>) -> T {
    wait_for_room(what, || match write() {
        Ok(value) => Some(value),
        Err(e) if is_disk_full(&e) => None,
        Err(e) => fail_stop(&format!("{what}: {e}")),
    })
}

/// [`persist`] for writes that tell by SQLSTATE.
pub fn persist_segment<T>(what: &str, mut write: impl FnMut() -> Result<T>) -> T {
    wait_for_room(what, || match write() {
        Ok(value) => Some(value),
        Err(e) if e.code() == SqlState::DISK_FULL => None,
        Err(e) => fail_stop(&format!("{what}: {e}")),
    })
}

fn wait_for_room<T>(what: &str, mut write: impl FnMut() -> Option<T>) -> T {
    let mut warned = false;
    loop {
        if let Some(value) = write() {
            return value;
        }
        if !warned {
            tracing::warn!(what, "the disk is full; it is tried again until there is room");
            warned = true;
        }
        std::thread::sleep(FULL_DISK_RETRY);
    }
}
