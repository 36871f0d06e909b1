//! The log thread: recovers, then writes batch after batch.
//!
//! Started by [`crate::Log::open`]. It alone writes segments; `queue` decides what goes where.
//!
//!   queue -> encode -> write -> fdatasync -> durable moves -> sink          batch n+1 begins only then
//!
//! Failure: everything but a full disk in [`Writer::reserve`] ends the process, because a record that has an index and perhaps a
//! waiting client is neither surely there nor surely gone. So does a panic, in the sink too.

use crate::error::{DiskError, OnFile, poisoned};
use crate::frame::{self, Place};
use crate::queue::{Entry, Shared, Work};
use crate::recover::{self, Tail};
use crate::segment::Header;
use crate::{Record, Sink};
use heddle_env::File;
use heddle_types::{LogIndex, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// A buffer larger than this is given back after its batch.
const BUFFER_KEPT_MAX: usize = 1 << 20;

/// The thread's whole life.
pub(crate) fn thread_main(shared: &Shared, from: LogIndex, mut sink: Sink, opened: &SyncSender<Result<()>>) {
    heddle_env::short_slices();
    let run = AssertUnwindSafe(|| {
        let tail = match open(shared, from, &mut sink) {
            Ok(tail) => tail,
            Err(e) => return opened.send(Err(e)).map_err(|_| poisoned().to_string()),
        };
        opened.send(Ok(())).map_err(|_| poisoned().to_string())?;
        Writer::new(shared, tail).run(&mut sink).map_err(|e| e.to_string())
    });
    match catch_unwind(run) {
        Ok(Ok(())) => {}
        Ok(Err(what)) => shared.fatal(&format!("writing the log: {what}")),
        Err(_) => shared.fatal("the log thread panicked"),
    }
    shared.stopped();
}

fn open(shared: &Shared, from: LogIndex, sink: &mut Sink) -> Result<Tail> {
    let tail = recover::recover(&mut shared.folder.lock(), from, sink)?;
    let room = tail.header.segment_bytes.saturating_sub(tail.offset);
    shared.begin(tail.next_index, room, shared.folder.lock().spares());
    Ok(tail)
}

struct Writer<'a> {
    shared: &'a Shared,
    file: Arc<dyn File>,
    path: PathBuf,
    header: Header,
    /// Where `buffer` goes.
    offset: u64,
    buffer: Vec<u8>,
    batch: u64,
    chain: u32,
}

impl<'a> Writer<'a> {
    fn new(shared: &'a Shared, tail: Tail) -> Self {
        let Tail { file, path, header, offset, batch, chain, .. } = tail;
        Self { shared, file, path, header, offset, buffer: Vec::new(), batch, chain }
    }

    fn run(&mut self, sink: &mut Sink) -> Result<(), DiskError> {
        let (mut entries, mut after_batch) = (Vec::new(), false);
        loop {
            match self.shared.next_work(&mut entries, after_batch) {
                Work::Batch => sink(self.write_batch(&mut entries)?),
                Work::Reserve => self.reserve()?,
                Work::Done => return Ok(()),
            }
            after_batch = !after_batch;
        }
    }

    /// Makes a batch durable and returns its records.
    fn write_batch(&mut self, entries: &mut Vec<Entry>) -> Result<Vec<Record>, DiskError> {
        let last = entries.len() - 1;
        for (i, entry) in entries.iter().enumerate() {
            if entry.rolls {
                self.roll(entry.record.index)?;
            }
            let place = Place { batch: self.batch, chain: self.chain, end_of_batch: i == last };
            self.chain = frame::encode(&mut self.buffer, &entry.record, place, self.header.seed());
        }
        self.flush()?;
        self.batch += 1;
        self.shared.made_durable(entries[last].record.index);
        Ok(entries.drain(..).map(|e| e.record).collect())
    }

    /// Goes on in the next segment, whose spare is there: its room was claimed when the index was given.
    fn roll(&mut self, index: LogIndex) -> Result<(), DiskError> {
        self.flush()?;
        let begun = self.shared.folder.lock().start_segment(index.0, self.batch, self.chain)?;
        (self.file, self.path, self.header) = (begun.file, begun.path, begun.header);
        self.offset = crate::segment::HEADER_BYTES;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if !self.buffer.is_empty() {
            let end = self.offset + self.buffer.len() as u64;
            assert!(end <= self.header.segment_bytes, "the queue placed no record across the end of a segment");
            self.file.write_all_at(&self.buffer, self.offset).on("write to", &self.path)?;
            self.offset = end;
            self.buffer.clear();
            self.buffer.shrink_to(BUFFER_KEPT_MAX);
            self.file.sync_data().on("fsync", &self.path)?;
        }
        Ok(())
    }

    fn reserve(&self) -> Result<(), DiskError> {
        let reserved = self.shared.folder.lock().reserve_spare();
        match reserved {
            Ok(()) => self.shared.reserved(),
            Err(e) if e.is_full() => {
                tracing::warn!(error = %e, "no room for the next log segment; writes that need it fail");
                self.shared.refuse(&e);
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}
