//! The sandbox in a file: its whole state as JSON, written beside the file and then put in its place.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::state::State;

/// Reads a state; nothing when there is no such file yet.
///
/// # Errors
/// The file cannot be read, or was not written by a sandbox of this version.
pub fn load(path: &Path) -> io::Result<Option<State>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut state: State = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    // What a stop interrupted: attempts are made again, calls are running no more.
    state.queue.requeue();
    state.keys.forget_running();
    Ok(Some(state))
}

/// A state as the file holds it.
///
/// # Errors
/// It cannot be said in JSON.
pub fn bytes(state: &State) -> io::Result<Vec<u8>> {
    serde_json::to_vec(state).map_err(io::Error::other)
}

/// Writes a state. A reader finds the old one or the new one, never half of one.
///
/// # Errors
/// The file cannot be written.
pub fn write(bytes: &[u8], path: &Path) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
