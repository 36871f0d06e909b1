//! How a write set lies in Part, Commit, Abort and Checkpoint payloads. Byte tables and the crash argument:
//! docs/formats/write-set.md.
//!
//! The write set encodes ([`PartBuilder`], [`Commit::encode`]); apply decodes. All integers are little endian. The log
//! checksums records, so here only the set's own chain is checked: that the Commit saw exactly the Parts it was made for.

use bytes::{Buf, BufMut, Bytes};
use heddle_engines::{RowChange, change};
use heddle_log::{Kind, Proposer};
use heddle_types::{Error, LogIndex, Result, SqlState};
use std::ops::Range;

/// Most bytes of a Part's body.
pub(crate) const PART_BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of a Part before its body.
pub(crate) const PART_HEADER_BYTES: usize = 1 + 1 + 8 + 4 + 8;
/// Version of all payloads here.
const VERSION: u8 = 1;
/// Most dead ranges a Commit can name: it stays below the 1 MiB that the log promises to take.
pub(crate) const DEAD_RANGES_MAX: usize = 50_000;
const _: () = assert!(DEAD_RANGES_MAX * 16 + 64 < PART_BODY_BYTES_MAX, "a Commit fits where a Part fits");

/// `set` counts back from the record's own index instead of naming the set's first index.
const RELATIVE: u8 = 1;
/// The body is a piece of one change's encoding.
const FRAGMENT: u8 = 2;
/// The body is the last such piece.
const FRAGMENT_LAST: u8 = 4;

/// Names the write set a record belongs to: the index of the set's first Part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetRef {
    /// It begins this many records before this one (records of one run, whose index is not known yet).
    Back(u64),
    /// It begins there.
    At(LogIndex),
}

impl SetRef {
    fn flags(self) -> u8 {
        if matches!(self, Self::Back(_)) { RELATIVE } else { 0 }
    }

    fn value(self) -> u64 {
        match self {
            Self::Back(n) => n,
            Self::At(index) => index.0,
        }
    }

    fn decode(flags: u8, value: u64, own: LogIndex) -> Result<LogIndex> {
        let set = if flags & RELATIVE != 0 { own.0.checked_sub(value) } else { (value <= own.0).then_some(value) };
        set.filter(|&s| s > 0).map(LogIndex).ok_or_else(|| damaged("a record names a write set that begins after it"))
    }
}

/// A piece of the write set, complete but for its set reference and ordinal.
pub(crate) struct PartBody {
    /// Number of its first change.
    pub first_change: u64,
    fragment: u8,
    /// Encoded changes, after room for the header.
    buffer: Vec<u8>,
}

impl PartBody {
    /// The payload. Also moves the set's chain on over the body.
    pub(crate) fn finish(mut self, set: SetRef, ordinal: u32, chain: &mut u32) -> Bytes {
        *chain = crc32c::crc32c_append(*chain, &self.buffer[PART_HEADER_BYTES..]);
        let mut header = &mut self.buffer[..PART_HEADER_BYTES];
        header.put_u8(VERSION);
        header.put_u8(set.flags() | self.fragment);
        header.put_u64_le(set.value());
        header.put_u32_le(ordinal);
        header.put_u64_le(self.first_change);
        self.buffer.into()
    }
}

/// Cuts a sequence of changes into Part bodies of at most [`PART_BODY_BYTES_MAX`].
pub(crate) struct PartBuilder {
    first_change: u64,
    next_change: u64,
    buffer: Vec<u8>,
    done: Vec<PartBody>,
}

impl PartBuilder {
    /// Begins at change number `first_change`.
    pub(crate) fn new(first_change: u64) -> Self {
        Self { first_change, next_change: first_change, buffer: vec![0; PART_HEADER_BYTES], done: Vec::new() }
    }

    /// Appends the next change.
    pub(crate) fn push(&mut self, change: &RowChange) {
        let before = self.buffer.len();
        change::encode(&mut self.buffer, change);
        if self.buffer.len() - PART_HEADER_BYTES > PART_BODY_BYTES_MAX {
            let last = self.buffer.split_off(before);
            self.cut(0);
            if last.len() > PART_BODY_BYTES_MAX {
                self.push_fragments(&last);
            } else {
                self.buffer.extend_from_slice(&last);
            }
        }
        self.next_change += 1;
    }

    /// The bodies, in order.
    pub(crate) fn finish(mut self) -> Vec<PartBody> {
        self.cut(0);
        self.done
    }

    /// A change above the limit travels in pieces; no other change shares a Part with one.
    fn push_fragments(&mut self, encoded: &[u8]) {
        let mut pieces = encoded.chunks(PART_BODY_BYTES_MAX).peekable();
        while let Some(piece) = pieces.next() {
            self.buffer.extend_from_slice(piece);
            let more = pieces.peek().is_some();
            self.cut(if more { FRAGMENT } else { FRAGMENT | FRAGMENT_LAST });
        }
        self.first_change = self.next_change + 1;
    }

    fn cut(&mut self, fragment: u8) {
        if self.buffer.len() > PART_HEADER_BYTES {
            let buffer = std::mem::replace(&mut self.buffer, vec![0; PART_HEADER_BYTES]);
            self.done.push(PartBody { first_change: self.first_change, fragment, buffer });
        }
        self.first_change = self.next_change;
    }
}

/// A decoded Part.
#[derive(Debug)]
pub(crate) struct Part {
    pub set: LogIndex,
    pub ordinal: u32,
    pub first_change: u64,
    /// A piece of one change.
    pub fragment: bool,
    /// The last piece.
    pub fragment_last: bool,
    pub body: Bytes,
}

impl Part {
    /// Reads the payload of the record at `own`.
    pub(crate) fn decode(mut payload: Bytes, own: LogIndex) -> Result<Self> {
        if payload.len() < PART_HEADER_BYTES {
            return Err(damaged("a Part record is too short"));
        }
        let flags = take_head(&mut payload, "Part")?;
        let set = SetRef::decode(flags, payload.get_u64_le(), own)?;
        let ordinal = payload.get_u32_le();
        let first_change = payload.get_u64_le();
        let (fragment, fragment_last) = (flags & FRAGMENT != 0, flags & FRAGMENT_LAST != 0);
        if (set == own) != (ordinal == 0) || (fragment_last && !fragment) {
            return Err(damaged("a Part record contradicts itself"));
        }
        Ok(Self { set, ordinal, first_change, fragment, fragment_last, body: payload })
    }
}

/// What makes a write set take effect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Commit {
    /// How many Parts it has.
    pub parts: u32,
    /// CRC32C over all bodies in order.
    pub chain: u32,
    /// Numbers of changes that were rolled back; ascending, apart from each other.
    pub dead: Vec<Range<u64>>,
}

impl Commit {
    /// The payload.
    pub(crate) fn encode(&self, set: SetRef) -> Bytes {
        let mut out = Vec::with_capacity(22 + 16 * self.dead.len());
        out.put_u8(VERSION);
        out.put_u8(set.flags());
        out.put_u64_le(set.value());
        out.put_u32_le(self.parts);
        out.put_u32_le(self.chain);
        out.put_u32_le(u32::try_from(self.dead.len()).expect("bounded by DEAD_RANGES_MAX"));
        for range in &self.dead {
            out.put_u64_le(range.start);
            out.put_u64_le(range.end);
        }
        out.into()
    }

    /// Reads the payload of the record at `own`: the set's first index and the rest.
    pub(crate) fn decode(mut payload: Bytes, own: LogIndex) -> Result<(LogIndex, Self)> {
        if payload.len() < 22 {
            return Err(damaged("a Commit record is too short"));
        }
        let flags = take_head(&mut payload, "Commit")?;
        let set = SetRef::decode(flags, payload.get_u64_le(), own)?;
        let (parts, chain, ranges) = (payload.get_u32_le(), payload.get_u32_le(), payload.get_u32_le() as usize);
        if payload.len() != ranges * 16 {
            return Err(damaged("a Commit record has the wrong length"));
        }
        let mut dead: Vec<Range<u64>> = Vec::with_capacity(ranges);
        for _ in 0..ranges {
            let range = payload.get_u64_le()..payload.get_u64_le();
            if range.is_empty() || dead.last().is_some_and(|last| last.end > range.start) {
                return Err(damaged("the dead ranges of a Commit record are not in order"));
            }
            dead.push(range);
        }
        Ok((set, Self { parts, chain, dead }))
    }
}

/// The payload of an Abort record for the set that begins at `set`.
pub(crate) fn encode_abort(set: LogIndex) -> Bytes {
    let mut out = vec![VERSION, 0];
    out.put_u64_le(set.0);
    out.into()
}

/// The set an Abort record at `own` gives up.
pub(crate) fn decode_abort(mut payload: Bytes, own: LogIndex) -> Result<LogIndex> {
    if payload.len() != 10 {
        return Err(damaged("an Abort record has the wrong length"));
    }
    let flags = take_head(&mut payload, "Abort")?;
    SetRef::decode(flags, payload.get_u64_le(), own)
}

/// The payload of a Checkpoint record: everything at or below `flushed` is in the engines' bases. Informative.
pub(crate) fn encode_checkpoint(flushed: LogIndex) -> Bytes {
    let mut out = vec![VERSION, 0];
    out.put_u64_le(flushed.0);
    out.into()
}

fn take_head(payload: &mut Bytes, what: &str) -> Result<u8> {
    match payload.get_u8() {
        VERSION => Ok(payload.get_u8()),
        version => Err(damaged(&format!("a {what} record has the unknown version {version}"))),
    }
}

pub(crate) fn damaged(message: &str) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, message)
}

/// Proposes a whole write set as one run of records; the index of its Commit.
pub(crate) fn propose_run(log: &dyn Proposer, bodies: Vec<PartBody>, dead: Vec<Range<u64>>) -> Result<LogIndex> {
    let mut chain = 0;
    let mut records: Vec<(Kind, Bytes)> = (0u32..)
        .zip(bodies)
        .map(|(n, body)| (Kind::Part, body.finish(SetRef::Back(n.into()), n, &mut chain)))
        .collect();
    let parts = records.len();
    let commit = Commit { parts: u32::try_from(parts).expect("parts are in memory"), chain, dead };
    records.push((Kind::Commit, commit.encode(SetRef::Back(parts as u64))));
    let first = log.append_all(records)?;
    Ok(LogIndex(first.0 + parts as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_types::StorageId;

    fn put(n: u64, bytes: usize) -> RowChange {
        RowChange::Put {
            storage: StorageId(7),
            key: Bytes::copy_from_slice(&n.to_be_bytes()),
            row: vec![n as u8; bytes].into(),
        }
    }

    /// Cuts changes of these sizes, decodes them again, and returns (first change, fragment, body length) per Part.
    fn cut(sizes: &[usize]) -> Vec<(u64, bool, usize)> {
        let changes: Vec<_> = (0..).zip(sizes).map(|(n, &bytes)| put(n, bytes)).collect();
        let mut builder = PartBuilder::new(0);
        changes.iter().for_each(|c| builder.push(c));
        let (mut chain, mut fragments, mut seen, mut shape) = (0, Vec::new(), Vec::new(), Vec::new());
        for (n, body) in builder.finish().into_iter().enumerate() {
            let n = n as u32;
            let payload = body.finish(SetRef::Back(n.into()), n, &mut chain);
            let part = Part::decode(payload, LogIndex(100 + u64::from(n))).unwrap();
            assert_eq!((part.set, part.ordinal), (LogIndex(100), n));
            assert_eq!(part.first_change, seen.len() as u64);
            shape.push((part.first_change, part.fragment, part.body.len()));
            assert!(part.body.len() <= PART_BODY_BYTES_MAX);
            fragments.extend_from_slice(&part.body);
            if !part.fragment || part.fragment_last {
                seen.extend(change::decode_all(&std::mem::take(&mut fragments).into()).unwrap());
            }
        }
        assert_eq!(seen, changes);
        shape
    }

    #[test]
    fn parts_hold_every_change_once() {
        assert_eq!(cut(&[]).len(), 0);
        assert_eq!(cut(&[10, 20, 30]).len(), 1);
        assert_eq!(cut(&[600_000, 600_000, 1]).iter().map(|p| p.0).collect::<Vec<_>>(), [0, 1]);
        let big = cut(&[5, 3 << 20, 7, 1 << 20, 9]);
        assert_eq!(big.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>()[..2], [(0, false), (1, true)]);
        assert!(big.iter().any(|p| p.0 == 3 && p.1));
    }

    #[test]
    fn commit_round_trips_and_refuses_damage() {
        let commit = Commit { parts: 3, chain: 77, dead: vec![2..5, 9..10] };
        let bytes = commit.encode(SetRef::At(LogIndex(4)));
        assert_eq!(Commit::decode(bytes.clone(), LogIndex(9)).unwrap(), (LogIndex(4), commit));
        for cut in 0..bytes.len() {
            assert!(Commit::decode(bytes.slice(..cut), LogIndex(9)).is_err());
        }
        assert!(Commit::decode(bytes, LogIndex(3)).is_err(), "a set cannot begin after its Commit");
        assert_eq!(decode_abort(encode_abort(LogIndex(4)), LogIndex(5)).unwrap(), LogIndex(4));
    }
}
