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
    kept: RwLock<Rows>,
}

/// What is kept, by the public id.
#[derive(Default)]
struct Rows {
    by_id: HashMap<Box<str>, Kept>,
    /// Counts what was forgotten: a row read before that may be older than the change, and is not kept.
    forgotten: u64,
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
        admit(&row, address, now)?;
        self.note_use(&row, now);
        Ok(principal)
    }

    /// The caller behind a key that was shown before: whether it still works, and from there.
    pub async fn principal(
        &self,
        id: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<Principal>, AuthError> {
        let (row, principal) = self.row(id).await?.ok_or(AuthError::Refused("key_unknown"))?;
        admit(&row, address, now)?;
        Ok(principal)
    }

    /// Forgets what is kept of a key, so that a change counts from the next request on.
    pub fn forget(&self, id: &str) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.by_id.remove(id);
        kept.forgotten += 1;
    }

    async fn row(&self, id: &str) -> Result<Option<(Arc<KeyRow>, Arc<Principal>)>, AuthError> {
        let forgotten = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(row) = kept.by_id.get(id).filter(|row| row.loaded.elapsed() < KEPT) {
                return Ok(row.found.clone());
            }
            kept.forgotten
        };
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
        if kept.forgotten != forgotten {
            return Ok(found);
        }
        if kept.by_id.len() >= ROWS_MAX {
            kept.by_id.clear();
        }
        kept.by_id.insert(
            id.into(),
            Kept {
                loaded,
                found: found.clone(),
            },
        );
        Ok(found)
    }

    /// Writes the last use in the background, once a minute; the request does not wait for it.
    fn note_use(&self, row: &Arc<KeyRow>, now: Timestamp) {
        let noted = |at: Timestamp| now.seconds().saturating_sub(at.seconds()) < USED_EVERY_SECONDS;
        if row.last_used_at.is_some_and(noted) {
            return;
        }
        // Kept rows are at most two seconds old, so a busy key causes one write a minute and a few repeats of it.
        let mut used = KeyRow::clone(row);
        used.last_used_at = Some(now);
        let principal = Arc::new(principal(&used));
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        // Only over the row that was used: another one in its place is newer, and may be revoked.
        let entry = kept.by_id.get_mut(&*row.id);
        if let Some(entry) = entry.filter(|it| it.found.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, row))) {
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

/// Whether a key works now, and from this address.
fn admit(row: &KeyRow, address: Option<IpAddr>, now: Timestamp) -> Result<(), AuthError> {
    if !row.is_valid(now) {
        return Err(AuthError::Refused("key_ended"));
    }
    let allowed = |address: IpAddr| row.cidrs.iter().any(|network| network.contains(&address));
    if !row.cidrs.is_empty() && !address.is_some_and(allowed) {
        return Err(AuthError::Refused("key_address"));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use projections::db::{Db, DbConfig};

    use super::*;
    use crate::auth::api_key::NewKey;
    use crate::auth::scope::ScopeSet;

    /// 1. A request finds its key good, and is about to note the use.
    /// 2. The key is revoked, and another request has read so.
    /// 3. The first request notes its use: what is kept of the key must stay revoked.
    #[tokio::test]
    async fn noting_a_use_never_brings_a_revoked_key_back() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let now = Timestamp::EPOCH;
        let db = Db::open(&DbConfig::new(&url, now)).await.unwrap();
        let pepper = Pepper::parse("0123456789abcdef0123456789abcdef").unwrap();
        let key = NewKey::try_new(Mode::Test, &pepper, &[7; 32]).unwrap();
        let ring = KeyRing::new(KeyStore::new(db.clone()), pepper, Mode::Test);
        let row = KeyRow {
            id: key.id.clone(),
            name: "a test".to_owned(),
            sealed: key.sealed,
            scopes: ScopeSet::all(),
            tenant: None,
            cidrs: Vec::new(),
            created_at: now,
            expires_at: None,
            revoked_at: None,
            overlap_until: None,
            rotated_from: None,
            last_used_at: None,
        };
        ring.store().insert(row).await.unwrap();
        let (used, _) = ring.row(&key.id).await.unwrap().unwrap();
        ring.store().change(&key.id, KeyChange::Revoke, now).await.unwrap();
        ring.forget(&key.id);
        let ended = Err(AuthError::Refused("key_ended"));
        assert_eq!(ring.verify(&key.text, None, now).await.map(|_| ()), ended);
        ring.note_use(&used, now);
        assert_eq!(ring.verify(&key.text, None, now).await.map(|_| ()), ended);
        db.close().await;
    }
}
