//! Checks API keys, most of the time without the store.
//!
//! A row is kept for [`KEPT`]. A change made through this process is seen at once ([`KeyRing::forget`]), one made
//! through another process after that time at the latest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aggregates::time::Timestamp;

use super::api_key::{Pepper, PresentedKey};
use super::key_store::{KeyChange, KeyRow, KeyStore};
use super::{AuthError, Kind, Mode, Principal};

/// Longest time for which another process's change to a key may go unseen.
pub const KEPT: Duration = Duration::from_secs(2);
/// Most rows kept, unknown ids among them, so that guessing ids costs neither memory nor reads without end.
const ROWS_MAX: usize = 10_000;
/// The last use is written at most so often.
const USED_EVERY_SECONDS: i64 = 60;

struct Kept {
    loaded: Instant,
    found: Option<(Arc<KeyRow>, Arc<Principal>)>,
}

/// The keys of this process.
pub struct KeyRing {
    store: KeyStore,
    pepper: Pepper,
    mode: Mode,
    kept: RwLock<HashMap<Box<str>, Kept>>,
}

impl KeyRing {
    /// Over the stored keys of one ledger.
    #[must_use]
    pub fn new(store: KeyStore, pepper: Pepper, mode: Mode) -> Self {
        Self {
            store,
            pepper,
            mode,
            kept: RwLock::default(),
        }
    }

    /// The stored keys.
    #[must_use]
    pub const fn store(&self) -> &KeyStore {
        &self.store
    }

    /// What secrets are stored under.
    #[must_use]
    pub const fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// The caller behind a key shown from `address`.
    pub async fn verify(
        &self,
        text: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<Principal>, AuthError> {
        let shown = PresentedKey::find(text).ok_or(AuthError::Refused("key_malformed"))?;
        if shown.mode != self.mode {
            return Err(AuthError::Refused("key_of_other_mode"));
        }
        let (row, principal) = self.row(shown.id).await?.ok_or(AuthError::Refused("key_unknown"))?;
        if !shown.opens(&row.sealed, &self.pepper) {
            return Err(AuthError::Refused("key_secret_wrong"));
        }
        if !row.is_valid(now) {
            return Err(AuthError::Refused("key_ended"));
        }
        let allowed = |address: IpAddr| row.cidrs.iter().any(|network| network.contains(&address));
        if !row.cidrs.is_empty() && !address.is_some_and(allowed) {
            return Err(AuthError::Refused("key_address"));
        }
        self.note_use(&row, now);
        Ok(principal)
    }

    /// Forgets what is kept of a key, so that a change counts from the next request on.
    pub fn forget(&self, id: &str) {
        self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn row(&self, id: &str) -> Result<Option<(Arc<KeyRow>, Arc<Principal>)>, AuthError> {
        if let Some(kept) = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(id)
            && kept.loaded.elapsed() < KEPT
        {
            return Ok(kept.found.clone());
        }
        let loaded = Instant::now();
        let row = self.store.find(id).await.map_err(|error| {
            tracing::warn!(%error, "an API key could not be looked up");
            AuthError::Unavailable
        })?;
        let found = row.map(|row| {
            let principal = Arc::new(principal(&row));
            (Arc::new(row), principal)
        });
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= ROWS_MAX {
            kept.clear();
        }
        kept.insert(
            id.into(),
            Kept {
                loaded,
                found: found.clone(),
            },
        );
        Ok(found)
    }

    /// Writes the last use in the background, once a minute; the request does not wait for it.
    fn note_use(&self, row: &KeyRow, now: Timestamp) {
        let noted = |at: Timestamp| now.seconds().saturating_sub(at.seconds()) < USED_EVERY_SECONDS;
        if row.last_used_at.is_some_and(noted) {
            return;
        }
        // Kept rows are at most two seconds old, so a busy key causes one write a minute and a few repeats of it.
        let mut used = row.clone();
        used.last_used_at = Some(now);
        let principal = Arc::new(principal(&used));
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.get_mut(&*row.id) {
            entry.found = Some((Arc::new(used), principal));
        }
        drop(kept);
        let (store, id) = (self.store.clone(), row.id.clone());
        tokio::spawn(async move {
            if let Err(error) = store.change(&id, KeyChange::Used, now).await {
                tracing::debug!(%error, "the last use of an API key was not noted");
            }
        });
    }
}

fn principal(row: &KeyRow) -> Principal {
    Principal {
        kind: Kind::Key {
            id: row.id.as_str().into(),
        },
        tenant: row.tenant.clone(),
        scopes: row.scopes,
        expires_at: row.ends_at(),
    }
}
