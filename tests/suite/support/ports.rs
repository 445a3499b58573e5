//! Ports for servers that tests start.
//!
//! A port found by binding to port 0 is in the range the system also gives to outgoing connections, of which tests make
//! thousands: by the time the server binds it, it may be taken. These are below that range, and no two test processes
//! draw from one block.

use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

/// Below the ephemeral range of Linux (32768 and up) and above what services commonly listen on.
const PORTS: Range<u16> = 12_000..31_000;
const BLOCK: u16 = 20;

/// What this process has claimed: the locks of its blocks, held until it ends, and the ports it has not used yet.
static CLAIMED: Mutex<(Vec<File>, Vec<u16>)> = Mutex::new((Vec::new(), Vec::new()));

/// A port nobody listens on and no other test will be given.
pub(crate) fn free_port() -> u16 {
    let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    let (locks, ports) = &mut *claimed;
    loop {
        while let Some(port) = ports.pop() {
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
        let (lock, block) = claim();
        locks.push(lock);
        ports.extend(block);
    }
}

/// A block no process holds. The search begins at a place of the process' own, so that it is short.
fn claim() -> (File, Range<u16>) {
    // One directory a user: what one made, another may not write.
    let user = std::fs::metadata("/proc/self").expect("this process").uid();
    let dir = std::env::temp_dir().join(format!("subledger-test-ports-{user}"));
    std::fs::create_dir_all(&dir).expect("a directory for the locks of ports");
    let blocks = (PORTS.end - PORTS.start) / BLOCK;
    let first = u16::try_from(std::process::id() % u32::from(blocks)).expect("a block");
    for at in 0..blocks {
        let begin = PORTS.start + (first + at) % blocks * BLOCK;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(begin.to_string()))
            .expect("the lock of a block of ports");
        if lock.try_lock().is_ok() {
            return (lock, begin..begin + BLOCK);
        }
    }
    panic!("all {blocks} blocks of ports are held by running tests");
}
