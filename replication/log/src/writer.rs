//! (being written)
#![allow(dead_code, unused, missing_docs)]
use crate::{Sink, queue::Shared};
use heddle_types::{LogIndex, Result};
use std::sync::mpsc::SyncSender;
pub(crate) fn thread_main(_s: &Shared, _from: LogIndex, _sink: Sink, _opened: &SyncSender<Result<()>>) { todo!() }
