//! The allocator: mimalloc, but for pages of redb's cache.
//!
//! redb keeps a page of 4 KiB as `Arc<[u8]>`, 4,112 bytes with its counts, for which mimalloc's size is 5,120: a cache took a quarter
//! more memory than it was given (46 MB of pages 58 MB). The C library's allocator rounds up to 16 bytes. It is slower, which does not
//! matter next to the read that fills a page.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout, System};

/// A page of redb in an `Arc`.
const PAGE_BYTES: usize = 4096 + 2 * size_of::<usize>();

/// See the module.
pub struct Allocator;

/// A block is freed with the layout it was allocated with, so that its layout says whose it is.
fn is_page(layout: Layout) -> bool {
    layout.size() == PAGE_BYTES
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: every call goes with its arguments to one of two allocators, that of a block always to the same one.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { if is_page(layout) { System.alloc(layout) } else { MiMalloc.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { if is_page(layout) { System.alloc_zeroed(layout) } else { MiMalloc.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { if is_page(layout) { System.dealloc(block, layout) } else { MiMalloc.dealloc(block, layout) } }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !is_page(layout) && size != PAGE_BYTES {
            // SAFETY: the caller's.
            return unsafe { MiMalloc.realloc(block, layout, size) };
        }
        // SAFETY: the caller's; the new size fits the alignment, and both blocks have as many bytes as are copied.
        unsafe {
            let grown = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !grown.is_null() {
                grown.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            grown
        }
    }
}

/// `mi_option_purge_delay` of mimalloc.h, which the crate does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
const PURGE_DELAY_MS: std::ffi::c_long = 100;

/// Memory that nobody uses goes back to the system soon: after a load of 1 M rows, 15 MB. The environment's `MIMALLOC_PURGE_DELAY` comes first.
pub fn set_up() {
    #[expect(unsafe_code, reason = "a call into C")]
    // SAFETY: it sets a number.
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS);
    }
}

/// Gives back memory that was freed. mimalloc does so when somebody allocates much, which after a load may be never.
pub fn give_back() {
    #[expect(unsafe_code, reason = "a call into C")]
    // SAFETY: it may be called at any time, from any thread.
    unsafe {
        libmimalloc_sys::mi_collect(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "a call into C")]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: it reads a number.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, 1000, "mimalloc's default");
    }

    /// Through the allocator itself, whatever the test binary uses.
    #[test]
    #[expect(unsafe_code, reason = "an allocator is called")]
    fn blocks_keep_their_bytes_whoever_has_them() {
        let sizes = [1, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1, 100, PAGE_BYTES, 1 << 20, PAGE_BYTES];
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: layouts are those of the blocks, and nothing is used after it is freed.
        unsafe {
            let mut block = Allocator.alloc_zeroed(layout(sizes[0]));
            assert_eq!(*block, 0);
            *block = 7;
            for pair in sizes.windows(2) {
                block = Allocator.realloc(block, layout(pair[0]), pair[1]);
                assert_eq!(*block, 7, "{pair:?}");
                *block.add(pair[1] - 1) = 7;
            }
            Allocator.dealloc(block, layout(PAGE_BYTES));
        }
    }
}
