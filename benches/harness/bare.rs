//! Bare system calls, which the scheduler is compared with: a timer, a start, and the smallest
//! programs that can be started.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Mutex;

use super::{SECOND, Stamps, this};

/// A program that does nothing but end. What dynamic linking costs /bin/true is several times what
/// a start costs, and would be all that is measured.
pub(crate) fn smallest(dir: &Path) -> PathBuf {
    // mov eax, 60 (exit); xor edi, edi; syscall
    let code = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];
    program(dir, "smallest", &code).unwrap_or_else(|| PathBuf::from("/bin/true"))
}

/// The same that first appends the time to the file of its second argument, as this program does.
pub(crate) fn smallest_stamp(dir: &Path) -> PathBuf {
    #[rustfmt::skip]
    let code = [
        0x48, 0x83, 0xec, 0x10,                   // sub rsp, 16
        0xb8, 228, 0, 0, 0,                       // mov eax, 228 (clock_gettime)
        0x31, 0xff,                               // xor edi, edi (CLOCK_REALTIME)
        0x48, 0x89, 0xe6,                         // mov rsi, rsp
        0x0f, 0x05,                               // syscall
        0x48, 0x8b, 0x04, 0x24,                   // mov rax, [rsp]
        0x48, 0x69, 0xc0, 0x00, 0xca, 0x9a, 0x3b, // imul rax, rax, 1000000000
        0x48, 0x03, 0x44, 0x24, 0x08,             // add rax, [rsp + 8]
        0x48, 0x89, 0x04, 0x24,                   // mov [rsp], rax
        0x48, 0x8b, 0x7c, 0x24, 0x28,             // mov rdi, [rsp + 16 + 24] (argv[2])
        0xbe, 0x01, 0x04, 0, 0,                   // mov esi, O_WRONLY | O_APPEND
        0xb8, 2, 0, 0, 0,                         // mov eax, 2 (open)
        0x0f, 0x05,                               // syscall
        0x89, 0xc7,                               // mov edi, eax
        0x48, 0x89, 0xe6,                         // mov rsi, rsp
        0xba, 8, 0, 0, 0,                         // mov edx, 8
        0xb8, 1, 0, 0, 0,                         // mov eax, 1 (write)
        0x0f, 0x05,                               // syscall
        0xb8, 60, 0, 0, 0,                        // mov eax, 60 (exit)
        0x31, 0xff,                               // xor edi, edi
        0x0f, 0x05,                               // syscall
    ];
    program(dir, "smallest-stamp", &code).unwrap_or_else(this)
}

/// Writes a program of this code, for x86-64.
fn program(dir: &Path, name: &str, code: &[u8]) -> Option<PathBuf> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable, for x86-64, version 1.
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for field in [BASE + HEADERS, 64, 0] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // One segment to load, to be read and executed.
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for field in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend(code);
    let path = dir.join(name);
    fs::write(&path, elf).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Some(path)
}

/// A bare start: posix_spawn with its streams on /dev/null.
pub(crate) struct Spawn {
    argv: Vec<CString>,
    actions: Mutex<libc::posix_spawn_file_actions_t>,
}

impl Spawn {
    pub(crate) fn of(stamps: &Stamps) -> Spawn {
        let path = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
        Spawn::new(&[&path(&stamps.1), c"stamp", &path(&stamps.0)])
    }

    pub(crate) fn new(argv: &[&CStr]) -> Spawn {
        // SAFETY: the first call initialises what the others change; the name is a string.
        let actions = unsafe {
            let mut actions = std::mem::zeroed();
            libc::posix_spawn_file_actions_init(&mut actions);
            for target in 0..3 {
                let name = c"/dev/null".as_ptr();
                libc::posix_spawn_file_actions_addopen(&mut actions, target, name, libc::O_RDWR, 0);
            }
            actions
        };
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        Spawn { argv, actions: Mutex::new(actions) }
    }

    pub(crate) fn start(&self) -> c_int {
        unsafe extern "C" {
            static environ: *const *mut c_char;
        }
        let argv = self.argv.iter().map(|word| word.as_ptr().cast_mut());
        let argv: Vec<*mut c_char> = argv.chain([ptr::null_mut()]).collect();
        let actions = self.actions.lock().unwrap();
        let mut pid = 0;
        // SAFETY: every pointer is to a live object, the arrays end with null.
        let error = unsafe {
            libc::posix_spawn(&mut pid, argv[0], &*actions, ptr::null(), argv.as_ptr(), environ)
        };
        assert_eq!(error, 0);
        pid
    }
}

pub(crate) fn reap(pid: c_int) {
    // SAFETY: nothing is written.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
}

/// A timerfd on the wall clock.
pub(crate) struct Timer(c_int);

impl Timer {
    pub(crate) fn new() -> Timer {
        // SAFETY: a plain system call.
        Timer(unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, libc::TFD_CLOEXEC) })
    }

    pub(crate) fn wait_until(&self, at: u64) {
        let it_value = libc::timespec {
            tv_sec: (at / SECOND) as libc::time_t,
            tv_nsec: (at % SECOND) as libc::c_long,
        };
        let it_interval = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = libc::itimerspec { it_interval, it_value };
        let mut count = 0u64;
        // SAFETY: plain system calls on memory that lives long enough.
        unsafe {
            libc::timerfd_settime(self.0, libc::TFD_TIMER_ABSTIME, &spec, ptr::null_mut());
            libc::read(self.0, ptr::from_mut(&mut count).cast(), 8);
        }
    }
}
