//! Bytes that arrived and are still needed: what is not a whole row yet, and the rows of the batch in the making, whose text
//! errors may have to show.

use heddle_types::{Error, Result, SqlState};

/// Longest row, as in PostgreSQL.
const ROW_BYTES_MAX: usize = 1 << 30;

/// Input of COPY FROM. Positions stay valid until the next [`Buffer::push`], and relative to [`Buffer::kept`] longer.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Begin of what must be kept.
    kept: usize,
    /// Begin of what is not read yet.
    next: usize,
}

impl Buffer {
    /// Adds a chunk.
    ///
    /// # Errors
    /// `54000` when a row grows too long.
    pub fn push(&mut self, chunk: &[u8]) -> Result<()> {
        // Moving what is kept costs its length: only when that is less than what it frees.
        if self.kept > self.bytes.len() / 2 {
            self.bytes.drain(..self.kept);
            self.next -= self.kept;
            self.kept = 0;
        }
        if self.unread().len() + chunk.len() > ROW_BYTES_MAX {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
                .detail(format!("A row of COPY is longer than {ROW_BYTES_MAX} bytes.")));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// What is not read yet.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.next..]
    }

    /// Marks `n` bytes as read and says where they begin, counted from what is kept.
    pub fn take(&mut self, n: usize) -> usize {
        let begin = self.next - self.kept;
        self.next += n;
        begin
    }

    /// Bytes from a place that [`Buffer::take`] gave.
    pub fn kept(&self, begin: usize, len: usize) -> &[u8] {
        &self.bytes[self.kept + begin..][..len]
    }

    /// Lets go of everything read.
    pub fn release(&mut self) {
        self.kept = self.next;
    }

    /// Bytes read and kept.
    pub fn held(&self) -> usize {
        self.next - self.kept
    }

    /// Forgets all, what is unread too.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outlive_chunks() {
        let mut b = Buffer::default();
        b.push(b"one,").unwrap();
        let one = b.take(4);
        b.push(b"two,three").unwrap();
        let two = b.take(4);
        assert_eq!((b.kept(one, 3), b.kept(two, 3)), (&b"one"[..], &b"two"[..]));
        b.release();
        b.push(b",four").unwrap();
        assert_eq!(b.unread(), b"three,four");
        let three = b.take(5);
        assert_eq!(b.kept(three, 5), b"three");
        assert_eq!(b.held(), 5);
    }
}
