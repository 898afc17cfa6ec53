//! What is asked of the system: above all, to survive an input that is cut short under its map.
//!
//! The system answers a read beyond the new end with SIGBUS. The handler puts a page of zeros there
//! and raises a flag; the run stops, finds that the input changed, and fails in the ordinary way,
//! with the file's name and nothing published.

#![allow(unsafe_code)] // signal handlers are made of it

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

static STRUCK: AtomicBool = AtomicBool::new(false);

/// Has a map been cut short in this process? Lowers the flag.
pub fn was_struck() -> bool {
    STRUCK.swap(false, SeqCst)
}

/// Install the handler for this process.
pub fn install() -> io::Result<()> {
    // SAFETY: an all-zero `sigaction` is valid, and the handler below does only what a signal
    // handler may.
    let failed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) != 0
    };
    if failed {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system hands a valid `info`. The faulting page belongs to a file map beyond the
    // file's end: nothing else raises BUS_ADRERR, so replacing the page takes nothing from anybody.
    // `mmap` is a bare system call. If it fails, the default action is restored, and the fault
    // repeats and ends the process.
    unsafe {
        let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
        let at = (*info).si_addr() as usize & !(page - 1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let zeros = if (*info).si_code == libc::BUS_ADRERR {
            libc::mmap(at as *mut libc::c_void, page, libc::PROT_READ, flags, -1, 0)
        } else {
            libc::MAP_FAILED
        };
        if zeros == libc::MAP_FAILED {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        }
    }
    STRUCK.store(true, SeqCst);
}

/// Ask the system to kill this process when its parent ends, where the system can do that.
pub fn end_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: a call with plain numbers, which only concerns this process.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Blocks from this size on are given back as soon as they are free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

/// Have large blocks of memory given back as soon as they are free. The GNU C library learns to
/// keep them, up to 32 MiB each, in a heap of which the freed rest is then spread.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes plain numbers, and only concerns blocks that are asked for later.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
