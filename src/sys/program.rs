//! Gives back the pages of the program that are not needed while nothing happens.
//!
//! Reading a jobfile touches most of the program, and a run much of it, and what they touch counts as its memory
//! from then on. These are pages of files, which the system could take back when it is short of memory; but who
//! looks at many schedulers on a machine, or at the limit of a container, sees them. What is needed after all
//! comes back from the page cache, 64 KiB at a time.

use std::os::raw::{c_int, c_void};
use std::time::Duration;

use crate::core::instant::Mono;

/// After a start it is still so soon: the store has been told of a thousand jobs, and threads have begun.
const STILL: Duration = Duration::from_millis(500);
/// And so long after something has happened: as threads that start processes leave.
const IDLE: Duration = Duration::from_secs(300);

/// When what is not needed while nothing happens is given back: once after the start, and after each time that
/// something has happened and then nothing for long.
#[derive(Debug)]
pub(crate) struct Idle {
    at: Option<Mono>,
    /// When something has happened last; `None`: not since the start.
    busy: Option<Mono>,
    /// How long to wait for those at work: longer each time, as a store that fails keeps its work.
    patience: Duration,
    embedded: bool,
}

impl Idle {
    /// In somebody else's process (`embedded`) nothing is given back: they know best.
    pub(crate) fn new(now: Mono, embedded: bool) -> Idle {
        let at = (!embedded).then(|| now.plus(STILL));
        Idle { at, busy: None, patience: STILL, embedded }
    }

    /// Something happens.
    pub(crate) fn is_busy(&mut self, now: Mono) {
        if !self.embedded {
            self.busy = Some(now);
            self.at.get_or_insert(now.plus(IDLE));
        }
    }

    /// When it is time to look.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.at
    }

    /// Whether [`give_back`] is to be called now; `is_still`: nobody is at work, as the store's thread is
    /// while there is something to be written.
    pub(crate) fn is_time(&mut self, now: Mono, is_still: impl FnOnce() -> bool) -> bool {
        if self.at.is_none_or(|at| at > now) {
            return false;
        }
        // The start is over, or it was long ago that something has happened.
        let next = self.busy.map(|busy| busy.plus(IDLE)).filter(|next| *next > now);
        if is_still() {
            (self.at, self.patience) = (next, STILL);
        } else {
            self.at = Some(now.plus(self.patience));
            self.patience = (self.patience * 2).min(IDLE);
        }
        self.at.is_none()
    }
}

/// Lets go of what the program and its libraries consist of and nothing has written to. It comes back where it
/// is used. A page is never missing: only how it is mapped is forgotten.
pub(crate) fn give_back() {
    // SAFETY: the callback keeps nothing of what it is given.
    unsafe {
        libc::dl_iterate_phdr(Some(let_go), std::ptr::null_mut());
    }
}

/// # Safety
///
/// `info` describes an object that is loaded.
unsafe extern "C" fn let_go(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: as the C library has it; the headers are there as long as the object is.
    let (base, headers) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        (
            info.dlpi_addr as usize,
            std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)),
        )
    };
    // SAFETY: it only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).unwrap_or(4096).max(4096);
    for header in headers {
        // What may be written to holds what was written, also where it is protected since.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let first = base + header.p_vaddr as usize;
        let start = first.next_multiple_of(page);
        let end = (first + header.p_memsz as usize) / page * page;
        if start < end {
            // SAFETY: it is mapped from a file and private, and nothing was written to it: what is read there
            // next is the same.
            unsafe {
                libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED);
            }
        }
    }
    0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]
mod tests {
    use super::*;

    /// What of files is mapped, in KiB.
    fn mapped() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn the_program_goes_on_without_what_its_start_has_needed() {
        let before = mapped();
        give_back();
        let after = mapped();
        // Other tests go on meanwhile, and bring back what they need.
        assert!(after < before, "{before} KiB before, {after} KiB after");
        assert_eq!(format!("{:>5}", [1.5].iter().sum::<f64>()), "  1.5");
    }

    #[test]
    fn it_is_given_back_after_the_start_and_when_nothing_has_happened_for_long() {
        let at = |secs: f64| Mono::from_micros((secs * 1e6) as u64 + 1_000_000);
        let mut idle = Idle::new(at(0.0), false);
        for (now, is_busy, is_still, expected, next) in [
            (0.4, false, true, false, Some(0.5)),
            (0.6, false, false, false, Some(1.1)),
            (1.1, false, false, false, Some(2.1)),
            (2.1, false, true, true, None),
            (3.0, false, true, false, None),
            (100.0, true, true, false, Some(400.0)),
            (300.0, true, true, false, Some(400.0)),
            (400.0, false, true, false, Some(600.0)),
            (600.0, false, false, false, Some(600.5)),
            (600.5, false, true, true, None),
        ] {
            if is_busy {
                idle.is_busy(at(now));
            }
            assert_eq!(idle.is_time(at(now), || is_still), expected, "{now}");
            assert_eq!(idle.deadline(), next.map(at), "{now}");
        }
        let mut embedded = Idle::new(at(0.0), true);
        embedded.is_busy(at(1.0));
        assert!(!embedded.is_time(at(1000.0), || true) && embedded.deadline().is_none());
    }
}
