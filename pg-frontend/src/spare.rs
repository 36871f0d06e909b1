//! Buffers that a thread's busy connections hand on to each other, so that idle ones have none.

use bytes::BytesMut;
use std::cell::RefCell;

/// Room that a buffer has at least.
const BYTES_MIN: usize = 8 << 10;
/// Larger ones are freed.
const BYTES_MAX: usize = 64 << 10;
/// Buffers kept by a thread.
const SPARES_MAX: usize = 16;

thread_local! {
    static SPARES: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub(crate) fn take() -> BytesMut {
    SPARES.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(BYTES_MIN))
}

/// Hands on an empty buffer. Some of its memory may still be in use: then it is of no use.
pub(crate) fn give(mut buffer: BytesMut) {
    debug_assert!(buffer.is_empty(), "bytes that nobody has read");
    if buffer.try_reclaim(BYTES_MIN) && buffer.capacity() <= BYTES_MAX {
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < SPARES_MAX {
                spares.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_handed_on_unless_it_is_in_use_or_large() {
        let mut first = take();
        let place = first.as_ptr();
        first.extend_from_slice(b"message");
        let frame = first.split().freeze();
        give(first);
        assert_ne!(take().as_ptr(), place, "the frame is still there");
        drop(frame);

        let mut second = take();
        let place = second.as_ptr();
        second.extend_from_slice(b"message");
        drop(second.split());
        give(second);
        assert_eq!(take().as_ptr(), place);

        let large = BytesMut::with_capacity(BYTES_MAX + 1);
        let place = large.as_ptr();
        give(large);
        assert_ne!(take().as_ptr(), place);
    }
}
