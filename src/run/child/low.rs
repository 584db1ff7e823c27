//! Low numbers for the streams of a process to be.
//!
//! A child is made with the descriptors of this process, and the kernel copies its table of them up to the
//! highest that the child keeps (`vfork`). While a thousand runs go on there are thousands, and copying
//! them, and closing the copies, would take longer than all the rest of a start. So each thread that
//! starts processes has kept three low numbers, from when there were few, and puts streams there while it
//! makes a child that would have high ones.

use std::cell::RefCell;
use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::{DupFlags, Errno, dup3, retry_on_intr};

/// Copying so many takes less than putting three elsewhere.
const FEW: c_int = 256;

thread_local! {
    static PLACES: RefCell<Option<Places>> = RefCell::new(Places::new().ok());
}

/// Numbers that lead to `/dev/null` while no child is being made.
struct Places {
    null: OwnedFd,
    at: [OwnedFd; 3],
}

impl Places {
    fn new() -> io::Result<Places> {
        let open = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
        Ok(Places { null: open()?, at: [open()?, open()?, open()?] })
    }

    fn take(&mut self, streams: [BorrowedFd<'_>; 3]) -> Result<(), Errno> {
        self.at.iter_mut().zip(streams).try_for_each(|(place, stream)| put(stream, place))
    }

    /// Whoever reads what a child prints is to see the end of it.
    fn let_go(&mut self) {
        for place in &mut self.at {
            // What is open can be put where something is open.
            let _ = put(self.null.as_fd(), place);
        }
    }
}

fn put(stream: BorrowedFd<'_>, place: &mut OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| dup3(stream, place, DupFlags::CLOEXEC))
}

/// Does something with the numbers of these streams, or with low ones that stand for them meanwhile.
pub(super) fn with_low<T>(streams: [BorrowedFd<'_>; 3], work: impl FnOnce([c_int; 3]) -> T) -> T {
    let own = streams.map(|stream| stream.as_raw_fd());
    PLACES.with_borrow_mut(|places| {
        // They are kept also if they are of no use yet.
        let Some(places) = places.as_mut().filter(|_| own.iter().any(|number| *number >= FEW))
        else {
            return work(own);
        };
        if places.at.iter().any(|place| place.as_raw_fd() >= FEW) {
            return work(own);
        }
        let numbers = places.at.each_ref().map(AsRawFd::as_raw_fd);
        let taken = places.take(streams);
        let done = work(if taken.is_ok() { numbers } else { own });
        places.let_go();
        done
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd};
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn low_numbers_stand_for_high_ones_and_nothing_stays_open() {
        let null = OwnedFd::from(File::open("/dev/null").unwrap());
        let few = with_low([null.as_fd(); 3], |numbers| numbers);
        assert_eq!(few, [null.as_raw_fd(); 3]);
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let high = fcntl_dupfd_cloexec(&write, FEW).unwrap();
        drop(write);
        with_low([null.as_fd(), high.as_fd(), high.as_fd()], |numbers| {
            assert!(numbers.iter().all(|number| *number < FEW), "{numbers:?}");
            for number in numbers {
                // SAFETY: it is open as long as this is called.
                let stream = unsafe { BorrowedFd::borrow_raw(number) };
                assert_eq!(fcntl_getfd(stream).unwrap(), FdFlags::CLOEXEC);
            }
            // SAFETY: the same.
            let out = unsafe { BorrowedFd::borrow_raw(numbers[1]) };
            rustix::io::write(out, b"said").unwrap();
        });
        drop(high);
        let mut said = String::new();
        File::from(read).read_to_string(&mut said).unwrap();
        assert_eq!(said, "said");
    }
}
