//! Reads the log back at open: replays whole batches, tells a torn tail from damage, cuts the tail.
//!
//! Called once, by the log thread, with the folder locked. The crash argument is in docs/formats/log.md.
//!
//! 1. Walk from the segment that holds `from`: each record must have the next index, the chain, the expected batch number.
//! 2. Where that ends, look behind: a valid record (or segment header) of a later batch proves that the batch which ends here
//!    had been synced, so something is damaged: refuse. Otherwise the batch never was acknowledged: cut at its beginning.
//! 3. Make sure that what stays is on disk and what was cut is not: remove later segments, write the last batch again (the page
//!    cache may hold bytes whose fsync failed), zero the rest, fsync.
//!
//! Invariants
//! 1. A record is given out only after the fsync of its segment here, the last batch only after step 3.
//! 2. Batches are given out whole or not at all.

use crate::Sink;
use crate::error::{DiskError, OnFile, damaged, too_new};
use crate::frame::{self, ALIGN, END_OF_BATCH, FRAME_MIN, Frame};
use crate::record::{Kind, Record};
use crate::segment::{Folder, HEADER_BYTES, Header};
use bytes::Bytes;
use heddle_env::{File, OpenMode};
use heddle_types::{Error, LogIndex, Result, SqlState, Term};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the writer goes on.
pub(crate) struct Tail {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    pub(crate) offset: u64,
    pub(crate) next_index: u64,
    pub(crate) batch: u64,
    pub(crate) chain: u32,
}

/// Replays from `from` on into `sink` and leaves the log ready to be written.
pub(crate) fn recover(folder: &mut Folder, from: LogIndex, sink: &mut Sink) -> Result<Tail> {
    folder.load()?;
    if folder.segments.is_empty() {
        create(folder, from.0.max(1))?;
    }
    let from = if from.0 == 0 { folder.first_index() } else { from.0 };
    if from < folder.first_index() {
        let message = format!("the log begins at {}, but recovery starts at {from}", folder.first_index());
        return Err(Error::new(SqlState::DATA_CORRUPTED, message));
    }
    let mut start = folder.segments.partition_point(|s| s.header.first_index <= from) - 1;
    loop {
        let mut walk = Walk::new(folder, from, start);
        walk.run(sink)?;
        // A torn batch that began before `start`: only a caller asking from the middle of a batch meets this.
        let Some(cut) = walk.committed else {
            start -= 1;
            continue;
        };
        return walk.finish(cut, sink);
    }
}

fn create(folder: &mut Folder, from: u64) -> Result<()> {
    if from > 1 {
        return Err(log_too_short(1, from));
    }
    if folder.spares() == 0 {
        folder.reserve_spare()?;
    }
    folder.start_segment(1, 1, 0)?;
    Ok(())
}

fn log_too_short(next: u64, from: u64) -> Error {
    let message = format!("the log ends before {next}, but recovery starts at {from}");
    Error::new(SqlState::DATA_CORRUPTED, message).detail("Acknowledged changes are missing from the log.")
}

/// What the next record must say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cursor {
    index: u64,
    batch: u64,
    chain: u32,
}

/// The end of a whole batch (or the beginning of the log): a place where the log may be cut.
#[derive(Clone, Copy)]
struct CutPoint {
    cursor: Cursor,
    segment: usize,
    offset: usize,
}

/// A stretch of a segment.
#[derive(Clone, Copy)]
struct Stretch {
    segment: usize,
    from: usize,
    to: usize,
}

struct Walk<'a> {
    folder: &'a mut Folder,
    from: u64,
    cursor: Cursor,
    segment: usize,
    offset: usize,
    /// The current segment.
    bytes: SegmentBytes,
    committed: Option<CutPoint>,
    /// Records of the batch that has not ended yet, and where it lies.
    open: Vec<Record>,
    open_at: Vec<Stretch>,
    /// The last whole batch, held back until it is surely on disk.
    held: Vec<Record>,
    held_at: Vec<Stretch>,
    /// Signs that a write was torn, as against a clean end.
    torn: bool,
}

fn cursor_of(h: &Header) -> Cursor {
    Cursor { index: h.first_index, batch: h.first_batch, chain: h.chain }
}

impl<'a> Walk<'a> {
    fn new(folder: &'a mut Folder, from: u64, start: usize) -> Self {
        let cursor = cursor_of(&folder.segments[start].header);
        let offset = HEADER_BYTES as usize;
        Self {
            folder,
            from,
            cursor,
            segment: start,
            offset,
            bytes: SegmentBytes::default(),
            committed: (start == 0).then_some(CutPoint { cursor, segment: 0, offset }),
            open: Vec::new(),
            open_at: Vec::new(),
            held: Vec::new(),
            held_at: Vec::new(),
            torn: false,
        }
    }

    /// Steps 1 and 2.
    fn run(&mut self, sink: &mut Sink) -> Result<()> {
        loop {
            self.load_segment()?;
            self.open_at.push(Stretch { segment: self.segment, from: self.offset, to: self.offset });
            self.read_records(sink)?;
            if !self.enter_next_segment() {
                return self.refuse_damage();
            }
        }
    }

    fn load_segment(&mut self) -> Result<(), DiskError> {
        let s = &self.folder.segments[self.segment];
        let file = self.folder.open(self.segment, OpenMode::Write)?;
        file.sync_data().on("fsync", &s.path)?;
        self.bytes = read_segment(self.folder, self.segment, &*file)?;
        Ok(())
    }

    fn read_records(&mut self, sink: &mut Sink) -> Result<()> {
        let seed = self.folder.segments[self.segment].header.seed();
        let bytes = std::mem::take(&mut self.bytes);
        while let Some(frame) = frame::decode(&bytes.all[self.offset..], seed).filter(|f| follows(&self.cursor, f)) {
            self.accept(&frame, sink)?;
        }
        self.bytes = bytes;
        Ok(())
    }

    fn accept(&mut self, frame: &Frame<'_>, sink: &mut Sink) -> Result<()> {
        let record = self.to_record(frame)?;
        self.offset += frame.size;
        self.cursor.index += 1;
        self.cursor.chain = frame.checksum;
        if let Some(stretch) = self.open_at.last_mut() {
            stretch.to = self.offset;
        }
        if record.index.0 >= self.from {
            self.open.push(record);
        }
        if frame.head.flags & END_OF_BATCH != 0 {
            self.end_batch(sink);
        }
        Ok(())
    }

    fn to_record(&self, frame: &Frame<'_>) -> Result<Record> {
        let path = &self.folder.segments[self.segment].path;
        let h = &frame.head;
        if h.flags & !END_OF_BATCH != 0 || h.reserved != 0 {
            return Err(too_new(path, self.offset as u64, &format!("record with flags {:#x}", h.flags)));
        }
        let Some(kind) = Kind::from_byte(h.kind) else {
            return Err(too_new(path, self.offset as u64, &format!("record kind {}", h.kind)));
        };
        // A copy: a record that lives on must not hold the whole segment in memory.
        let payload = Bytes::copy_from_slice(frame.payload);
        Ok(Record { index: LogIndex(h.index), term: Term(h.term), group: h.group, kind, payload })
    }

    fn end_batch(&mut self, sink: &mut Sink) {
        emit(sink, std::mem::replace(&mut self.held, std::mem::take(&mut self.open)));
        let here = Stretch { segment: self.segment, from: self.offset, to: self.offset };
        self.held_at = std::mem::replace(&mut self.open_at, vec![here]);
        self.cursor.batch += 1;
        self.committed = Some(CutPoint { cursor: self.cursor, segment: self.segment, offset: self.offset });
    }

    /// Goes on in the next segment if that begins exactly where this one ends.
    fn enter_next_segment(&mut self) -> bool {
        let continues = self.folder.segments.get(self.segment + 1).is_some_and(|s| cursor_of(&s.header) == self.cursor);
        if continues {
            let at_batch_end = self.committed.is_some_and(|c| c.cursor == self.cursor);
            self.segment += 1;
            self.offset = HEADER_BYTES as usize;
            if at_batch_end {
                self.committed = Some(CutPoint { cursor: self.cursor, segment: self.segment, offset: self.offset });
            }
        }
        continues
    }

    /// Step 2: `XX001` if anything of a later batch lies behind the place where the walk ended.
    fn refuse_damage(&mut self) -> Result<()> {
        let at = &self.folder.segments[self.segment];
        let refuse = |path: &PathBuf, offset: usize| {
            let detail = format!("A valid record of a later batch follows in \"{}\" at {offset}.", path.display());
            Err(damaged(&at.path, self.offset as u64, detail))
        };
        let head = frame::peek(&self.bytes.all[self.offset..]);
        let mut torn = self.cursor_mid_batch() || head.is_some_and(|h| self.is_expected(&h));
        match scan(&self.bytes, self.offset, at.header.seed(), &self.cursor, self.cursor.index) {
            Behind::LaterBatch(offset) => return refuse(&at.path, offset),
            Behind::SameBatch => torn = true,
            Behind::Nothing => {}
        }
        for later in self.segment + 1..self.folder.segments.len() {
            let s = &self.folder.segments[later];
            torn = true;
            if s.header.first_batch > self.cursor.batch {
                return refuse(&s.path, 0);
            }
            let bytes = read_segment(self.folder, later, &*self.folder.open(later, OpenMode::Read)?)?;
            let (from, first) = (HEADER_BYTES as usize, s.header.first_index);
            if let Behind::LaterBatch(offset) = scan(&bytes, from, s.header.seed(), &self.cursor, first) {
                return refuse(&s.path, offset);
            }
        }
        self.torn = torn;
        Ok(())
    }

    fn cursor_mid_batch(&self) -> bool {
        self.committed.is_none_or(|c| c.cursor != self.cursor)
    }

    /// Is this the beginning of the record that should be here?
    fn is_expected(&self, h: &frame::Head) -> bool {
        (h.index, h.batch, h.chain) == (self.cursor.index, self.cursor.batch, self.cursor.chain)
    }

    /// Step 3.
    fn finish(self, cut: CutPoint, sink: &mut Sink) -> Result<Tail> {
        let next_index = cut.cursor.index;
        if self.from > next_index {
            return Err(log_too_short(next_index, self.from));
        }
        if self.torn {
            let file = self.folder.segments[cut.segment].path.display().to_string();
            let (offset, next) = (cut.offset, next_index);
            tracing::warn!(file, offset, next_index = next, "cut the torn end of the log: it was never acknowledged");
        }
        self.folder.drop_segments_after(cut.segment)?;
        for stretch in &self.held_at {
            write_again(self.folder, *stretch)?;
        }
        let file = self.folder.open(cut.segment, OpenMode::Write)?;
        let s = &self.folder.segments[cut.segment];
        file.allocate(s.header.segment_bytes).on("extend", &s.path)?;
        // Of the segment that was read last it is known where nothing but zeroes begins.
        let end = if cut.segment == self.segment { self.bytes.zero_from } else { s.header.segment_bytes as usize };
        zero_between(&*file, cut.offset as u64, end as u64).on("write to", &s.path)?;
        file.sync_all().on("fsync", &s.path)?;
        emit(sink, self.held);
        Ok(Tail {
            file,
            path: s.path.clone(),
            header: s.header,
            offset: cut.offset as u64,
            next_index,
            batch: cut.cursor.batch,
            chain: cut.cursor.chain,
        })
    }
}

fn emit(sink: &mut Sink, records: Vec<Record>) {
    if !records.is_empty() {
        sink(records);
    }
}

fn follows(cursor: &Cursor, f: &Frame<'_>) -> bool {
    f.head.index == cursor.index && f.head.batch == cursor.batch && f.head.chain == cursor.chain
}

/// What lies behind the place where the log ends.
#[derive(Debug, PartialEq)]
enum Behind {
    LaterBatch(usize),
    SameBatch,
    Nothing,
}

/// Looks for valid records at every place behind `from`, where that of `first` was to begin.
///
/// A record behind the end has a higher index, but not higher than the bytes in between can hold; that spares the checksum of
/// nearly all rubbish, and makes an accidental match as unlikely as it can be. Rubbish is mostly what the file held before it was
/// recycled: megabytes of rows, each of which would else be taken for the beginning of a record, and summed up to its end.
fn scan(bytes: &SegmentBytes, from: usize, seed: u32, cursor: &Cursor, first: u64) -> Behind {
    let (bytes, zero_from) = (&bytes.all, bytes.zero_from);
    let mut found = Behind::Nothing;
    // A record does not begin with zeroes.
    for at in (from..zero_from.min(bytes.len().saturating_sub(FRAME_MIN - 1))).step_by(ALIGN) {
        let Some(h) = frame::peek(&bytes[at..]) else { break };
        let highest = first.max(cursor.index).saturating_add(((at - from) / FRAME_MIN) as u64);
        let indexes = cursor.index..=highest;
        // A batch has a record at least.
        let batches = cursor.batch..=cursor.batch.saturating_add(highest - cursor.index + 1);
        if h.kind == 0 || !indexes.contains(&h.index) || !batches.contains(&h.batch) {
            continue;
        }
        if frame::decode(&bytes[at..], seed).is_some() {
            if h.batch > cursor.batch {
                return Behind::LaterBatch(at);
            }
            found = Behind::SameBatch;
        }
    }
    found
}

/// A segment in memory.
#[derive(Default)]
struct SegmentBytes {
    /// As long as the segment; what the file lacks of that, and what was reserved only, is zeroes.
    all: Vec<u8>,
    /// From here on there is nothing else.
    zero_from: usize,
}

/// A whole segment. Pages that hold zeroes only are never touched, so that they take no memory: most of a young segment.
fn read_segment(folder: &Folder, segment: usize, file: &dyn File) -> Result<SegmentBytes, DiskError> {
    let s = &folder.segments[segment];
    let mut bytes = SegmentBytes { all: vec![0; s.header.segment_bytes as usize], zero_from: 0 };
    let (length, mut chunk, mut at) = (bytes.all.len(), vec![0; READ_CHUNK], 0);
    while let Some(next) = file.next_data(at).on("read", &s.path)?.filter(|next| *next < length as u64) {
        let wanted = (length - next as usize).min(READ_CHUNK);
        let n = file.read_at(&mut chunk[..wanted], next).on("read", &s.path)?;
        if n == 0 {
            break;
        }
        if chunk[..n].iter().any(|b| *b != 0) {
            bytes.all[next as usize..][..n].copy_from_slice(&chunk[..n]);
            bytes.zero_from = next as usize + n;
        }
        at = next + n as u64;
    }
    Ok(bytes)
}

/// Writes the same bytes again, so that pages which the cache takes for clean, after an fsync that failed, reach the disk.
fn write_again(folder: &Folder, stretch: Stretch) -> Result<(), DiskError> {
    if stretch.from == stretch.to {
        return Ok(());
    }
    let file = folder.open(stretch.segment, OpenMode::Write)?;
    let path = &folder.segments[stretch.segment].path;
    let mut bytes = vec![0; stretch.to - stretch.from];
    file.read_exact_at(&mut bytes, stretch.from as u64).on("read", path)?;
    file.write_all_at(&bytes, stretch.from as u64).on("write to", path)?;
    file.sync_data().on("fsync", path)
}

const READ_CHUNK: usize = 256 << 10;
const ZERO_CHUNK: usize = 64 << 10;

/// Zeroes what is not zero yet in `[from, to)`.
fn zero_between(file: &dyn File, from: u64, to: u64) -> std::io::Result<()> {
    let (mut bytes, zeroes) = (vec![0; ZERO_CHUNK], vec![0; ZERO_CHUNK]);
    let mut at = from;
    while at < to {
        let n = (to - at).min(ZERO_CHUNK as u64) as usize;
        file.read_exact_at(&mut bytes[..n], at)?;
        if bytes[..n] != zeroes[..n] {
            file.write_all_at(&zeroes[..n], at)?;
        }
        at += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Place, encode};
    use crate::record::{GROUP, TERM};

    const SEED: u32 = 7;

    /// Every eight bytes claim to begin a record of 2 MiB: summing up each of them would take hours.
    fn rubbish(bytes: usize) -> Vec<u8> {
        (1_u64 << 32 | 2 << 20).to_le_bytes().repeat(bytes / ALIGN)
    }

    fn later_record(at: &mut [u8], cursor: &Cursor, batches: u64) {
        let payload = Bytes::from_static(b"row");
        let index = LogIndex(cursor.index + batches);
        let record = Record { index, term: TERM, group: GROUP, kind: Kind::Part, payload };
        let mut frame = Vec::new();
        encode(&mut frame, &record, Place { batch: cursor.batch + batches, chain: 1, end_of_batch: true }, SEED);
        at[..frame.len()].copy_from_slice(&frame);
    }

    #[test]
    fn rows_of_an_earlier_life_cost_no_checksums_and_hide_no_record() {
        let cursor = Cursor { index: 100, batch: 40, chain: 1 };
        let mut bytes = SegmentBytes { all: rubbish(16 << 20), zero_from: 16 << 20 };
        assert_eq!(scan(&bytes, 0, SEED, &cursor, 100), Behind::Nothing);
        let at = 15 << 20;
        later_record(&mut bytes.all[at..], &cursor, 0);
        assert_eq!(scan(&bytes, 0, SEED, &cursor, 100), Behind::SameBatch);
        // As many records as the bytes in between can hold, each a batch.
        let between = (at / FRAME_MIN) as u64;
        later_record(&mut bytes.all[at..], &cursor, between);
        assert_eq!(scan(&bytes, 0, SEED, &cursor, 100), Behind::LaterBatch(at));
        later_record(&mut bytes.all[at..], &cursor, between + 1);
        assert_eq!(scan(&bytes, 0, SEED, &cursor, 100), Behind::Nothing, "there is no room for so many");
    }
}
