//! The heap of a process that serves.
//!
//! glibc gives threads that get in each other's way heaps of their own, and what one thread frees in another's heap
//! stays with the process: under full ingest a third of all its memory (113 MB with the default, 81 MB with two heaps,
//! as fast). The limit is read when a process starts and at no other time, so a serving process starts itself over
//! with it, under the same process id.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// What glibc reads. Whoever sets it is left alone.
const LIMIT: &str = "MALLOC_ARENA_MAX";
/// Heaps: one for requests, one for loops.
const HEAPS: &str = "2";

/// Does not return where it changed anything.
pub(super) fn limit() {
    if !cfg!(target_env = "gnu") || std::env::var_os(LIMIT).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Some(name), Ok(program)) = (arguments.next(), std::env::current_exe()) else {
        return;
    };
    // It returns if the program cannot be started, for instance because its file was replaced: the process is larger
    // then, nothing else.
    let _ = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(LIMIT, HEAPS)
        .exec();
}
