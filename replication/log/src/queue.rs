//! (being written)
#![allow(dead_code, unused, missing_docs)]
use crate::segment::Folder;
use crate::{FailStop, Kind, LogConfig};
use bytes::Bytes;
use heddle_env::Env;
use heddle_types::{LogIndex, Result};
use parking_lot::{Condvar, Mutex};
#[derive(PartialEq)]
pub(crate) enum Status { Running, Stopped }
pub(crate) struct State { pub durable: u64, pub next_index: u64, pub status: Status }
pub(crate) struct Shared { pub state: Mutex<State>, pub progress: Condvar, pub folder: Mutex<Folder> }
impl Shared {
    pub(crate) fn new(_e: &Env, _c: &LogConfig, _f: FailStop) -> Self { todo!() }
    pub(crate) fn enqueue(&self, _s: impl Iterator<Item = usize>, _r: impl Iterator<Item = (Kind, Bytes)>) -> Result<LogIndex> { todo!() }
    pub(crate) fn purge_below(&self, _i: LogIndex) -> Result<()> { todo!() }
    pub(crate) fn close(&self) { todo!() }
}
