//! Kernels that lack a call, and containers that do not let a program make it: jobs run all the same.

use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::{ENOSYS, EPERM, SYS_clone3, SYS_close_range, SYS_pidfd_open, c_long, sock_filter};

use crate::harness::Bench;

/// Has the kernel answer each of these calls with that error, in the program and all that it starts.
fn without(command: &mut Command, calls: &[(c_long, i32)]) {
    let step = |code: u32, k: u32, jf: u8| sock_filter { code: code as u16, jt: 0, jf, k };
    // The number of the call comes first in what a filter sees.
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    for (call, errno) in calls {
        filter.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *call as u32, 1));
        filter.push(step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | *errno as u32, 0));
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0));
    let install = move || {
        let program =
            libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: the kernel copies the filter, which is as long as it says.
        let installed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        if installed { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: it only makes system calls.
    unsafe { command.pre_exec(install) };
}

#[test]
fn jobs_run_without_what_makes_starts_faster() {
    let bench = Bench::new(
        "[jobs.plain]\ncommand = ['ls', '/proc/self/fd']\ndate = 'now'\n\
         [jobs.forked]\ncommand = ['ls', '/proc/self/fd']\ndate = 'now'\numask = 0\n",
    );
    for calls in [
        &[(SYS_close_range, ENOSYS)][..],
        &[(SYS_close_range, EPERM)],
        &[(SYS_clone3, ENOSYS)],
        &[(SYS_pidfd_open, EPERM)],
        &[(SYS_clone3, ENOSYS), (SYS_close_range, ENOSYS), (SYS_pidfd_open, ENOSYS)],
    ] {
        for job in ["plain", "forked"] {
            let mut command = bench.command(&["run", "--once", job]);
            without(&mut command, calls);
            let done = command.output().unwrap();
            assert!(done.status.success(), "{job} without {calls:?}: {done:?}");
            // Its streams, and the directory that it lists.
            assert_eq!(String::from_utf8(done.stdout).unwrap(), "0\n1\n2\n3\n", "{job}, {calls:?}");
        }
    }
}
