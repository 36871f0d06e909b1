//! Threads whose wake-up somebody waits for: the log's, and those that own connections.
//!
//! A woken thread gets a core at once only if its deadline is earlier than that of who runs there, and the deadline is as far
//! off as its time slice is long (EEVDF, Linux 6.12 and later). These threads run for microseconds and need no slice of 3 ms.
//! Measured on two busy cores, TPC-B-like with one client: 781 transactions a second without, 1252 with short slices.

/// What `sched_setattr` calls `runtime`; 0.1 ms is the shortest it takes.
const SLICE_NS: u64 = 100_000;

/// Gives the calling thread short time slices. Older kernels keep theirs: it is a wish, so nobody is told.
pub fn short_slices() {
    #[cfg(target_os = "linux")]
    linux::set_slice(SLICE_NS);
}

#[cfg(target_os = "linux")]
mod linux {
    /// The kernel's `struct sched_attr`, first version.
    #[repr(C)]
    #[derive(Default)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }

    const SIZE: usize = size_of::<SchedAttr>();
    const _: () = assert!(SIZE == 48, "SCHED_ATTR_SIZE_VER0");

    /// Keeps policy and niceness.
    #[expect(unsafe_code, reason = "neither std nor rustix has these two system calls")]
    pub(super) fn set_slice(ns: u64) {
        let mut attr = SchedAttr::default();
        let place = &raw mut attr;
        // SAFETY: `place` is a live struct of the size that is passed, laid out as the kernel's; thread 0 is the calling one.
        let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, place, SIZE, 0) };
        if got != 0 || attr.policy != libc::SCHED_OTHER as u32 {
            return;
        }
        attr.runtime = ns;
        let place = &raw const attr;
        // SAFETY: as above; the kernel only reads it.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, place, 0) };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn short_slices_can_be_asked_for() {
        std::thread::spawn(super::short_slices).join().unwrap();
    }
}
