//! What a process keeps in its data directory: the pepper of a ledger that was given none, and the address that
//! commands on the same machine call.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::AppError;

/// Name of the file that tells commands where the server is.
pub const SERVE_FILE: &str = "serve.json";
/// Name of the file that holds the pepper, when configuration gives none.
pub const PEPPER_FILE: &str = "key_pepper";

/// A running server, as commands on the same machine find it.
#[derive(Serialize, Deserialize)]
pub struct Running {
    /// Base of its API, without a slash at the end.
    pub url: String,
    /// Bearer token with every scope; good until the server stops.
    pub token: String,
    /// Its process.
    pub pid: u32,
}

impl Running {
    /// The server of this data directory, if one says it runs. Whether it still does shows only by calling it.
    #[must_use]
    pub fn find(data_dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(data_dir.join(SERVE_FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Leaves the file, readable by its owner alone; it goes when the answer is dropped.
    pub(super) fn announce(&self, data_dir: &Path) -> Result<Announcement, AppError> {
        let path = data_dir.join(SERVE_FILE);
        let text = serde_json::to_string(self).map_err(|e| AppError::file(&path, &e))?;
        // A file left by a killed server is replaced, never appended to.
        let _ = std::fs::remove_file(&path);
        write_private(&path, &text)?;
        Ok(Announcement(path))
    }
}

/// Takes the file away again.
pub(super) struct Announcement(PathBuf);

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes a new file with mode 0600; fails when it is there already.
pub fn write_private(path: &Path, text: &str) -> Result<(), AppError> {
    let failed = |error: std::io::Error| AppError::file(path, &error);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// The configured pepper, else the one in the data directory, which the first start makes.
pub fn pepper(configured: Option<&SecretString>, data_dir: &Path) -> Result<SecretString, AppError> {
    if let Some(pepper) = configured {
        return Ok(SecretString::from(pepper.expose_secret()));
    }
    let path = data_dir.join(PEPPER_FILE);
    match std::fs::read_to_string(&path) {
        // A process that ended while it made the file leaves it empty; no key was made with it.
        Ok(text) if text.is_empty() => std::fs::remove_file(&path).map_err(|e| AppError::file(&path, &e))?,
        Ok(text) => return Ok(SecretString::from(text.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(AppError::file(&path, &error)),
    }
    let text = random_text()?;
    write_private(&path, &text)?;
    Ok(SecretString::from(text))
}

/// 64 hexadecimal characters from the system's random source.
pub fn random_text() -> Result<String, AppError> {
    let mut bytes = [0_u8; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AppError::Random)?;
    Ok(hex::encode(bytes))
}
