//! What threads mean to each other: the log's, whose wake-up everybody waits for, those that own connections, and those that compute
//! for long (queries).
//!
//! A woken thread gets a core at once only if its slice is shorter than that of who runs there and its deadline earlier, which is
//! as far off as the slice is long and the weight small (EEVDF, Linux 6.12 and later). Otherwise it waits for the end of the
//! other's slice, which the next tick notices. The log's thread runs for microseconds and gets the shortest slices, those
//! that compute get long ones: then everybody goes before them, clients on the same machine too. A smaller weight alone does not do.
//! Whoever has just slept may still have to wait for the tick, up to 4 ms; so threads that compute [give way](give_way), too.
//! Measured: docs/internals/speed.md.

/// What `sched_setattr` calls `runtime`: the shortest it takes, and several times the usual. (With the longest, 0.1 s, one commit of a
/// thousand waited as long.)
const SHORT_SLICE_NS: u64 = 100_000;
const LONG_SLICE_NS: u64 = 20_000_000;
/// A tenth of the weight of an ordinary thread: its share of a core that all want. On an idle one it has it all.
const BACKGROUND_NICE: i32 = 10;

/// Gives the calling thread short time slices. Older kernels keep theirs: it is a wish, so nobody is told.
pub fn short_slices() {
    #[cfg(target_os = "linux")]
    linux::adjust(|attr| attr.runtime = SHORT_SLICE_NS);
}

/// Lets the calling thread, which computes for long, stand back behind others. It must not hold for long what others wait for.
/// A wish as well.
pub fn background() {
    #[cfg(target_os = "linux")]
    linux::adjust(|attr| {
        attr.runtime = LONG_SLICE_NS;
        attr.nice = attr.nice.max(BACKGROUND_NICE);
    });
}

/// Lets threads that wait for this core go first, when there are any. Threads that compute for long call it about every tenth of a
/// millisecond; alone on a core that costs less than a microsecond.
pub fn give_way() {
    std::thread::yield_now();
}

#[cfg(target_os = "linux")]
mod linux {
    /// The kernel's `struct sched_attr`, first version.
    #[repr(C)]
    #[derive(Default)]
    pub(super) struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        pub nice: i32,
        priority: u32,
        pub runtime: u64,
        deadline: u64,
        period: u64,
    }

    const SIZE: usize = size_of::<SchedAttr>();
    const _: () = assert!(SIZE == 48, "SCHED_ATTR_SIZE_VER0");

    /// Keeps the policy; threads of another one than the usual are left alone.
    #[expect(unsafe_code, reason = "neither std nor rustix has these two system calls")]
    pub(super) fn adjust(change: impl FnOnce(&mut SchedAttr)) {
        let mut attr = SchedAttr::default();
        let place = &raw mut attr;
        // SAFETY: `place` is a live struct of the size that is passed, laid out as the kernel's; thread 0 is the calling one.
        let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, place, SIZE, 0) };
        if got != 0 || attr.policy != libc::SCHED_OTHER as u32 {
            return;
        }
        change(&mut attr);
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_background_thread_weighs_less_and_others_do_not() {
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let behind_name = &stat[stat.rfind(')').unwrap() + 2..];
            behind_name.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = nice();
        let inside = std::thread::spawn(move || {
            super::background();
            nice()
        });
        assert_eq!(inside.join().unwrap(), before.max(super::BACKGROUND_NICE));
        assert_eq!(nice(), before);
    }
}
