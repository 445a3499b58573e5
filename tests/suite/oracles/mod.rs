//! Independent judges: the official SDKs, run as programs, answer the same questions as our own code.

mod schemathesis;
mod signature;

use std::path::PathBuf;

/// Where `tests/run` installs what the oracles need.
fn tools_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("SUBLEDGER_TOOLS_DIR") {
        return dir.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    target.join("tools")
}
