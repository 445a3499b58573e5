//! Answers that were written before: as long as the row and the catalogue are the same, so are the bytes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;

/// Answers kept, at about 2 kB each; all are dropped when there are more, which costs writing each again once.
const BODIES_MAX: usize = 20_000;

struct Kept<R> {
    row: Arc<R>,
    catalogue: u32,
    body: Bytes,
}

/// Bodies by stream. A body holds for the very row it was written from, in memory, so it can never be older.
pub struct Bodies<R>(RwLock<HashMap<Box<str>, Kept<R>>>);

impl<R> Default for Bodies<R> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<R> Bodies<R> {
    /// The body written from this row under this catalogue version.
    #[must_use]
    pub fn find(&self, stream: &str, row: &Arc<R>, catalogue: u32) -> Option<Bytes> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(stream)?;
        (found.catalogue == catalogue && Arc::ptr_eq(&found.row, row)).then(|| found.body.clone())
    }

    /// Keeps a body.
    pub fn keep(&self, stream: &str, row: Arc<R>, catalogue: u32, body: Bytes) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= BODIES_MAX && !kept.contains_key(stream) {
            kept.clear();
        }
        kept.insert(stream.into(), Kept { row, catalogue, body });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_for_its_own_row_and_catalogue() {
        let bodies = Bodies::default();
        let (row, same) = (Arc::new(1), Arc::new(1));
        bodies.keep("tenant:a", Arc::clone(&row), 3, Bytes::from_static(b"{}"));
        assert!(bodies.find("tenant:a", &row, 3).is_some());
        assert!(bodies.find("tenant:a", &row, 4).is_none());
        assert!(
            bodies.find("tenant:a", &same, 3).is_none(),
            "another row with the same content may be a later one"
        );
        assert!(bodies.find("tenant:b", &row, 3).is_none());
    }

    #[test]
    fn no_more_bodies_are_kept_than_the_bound() {
        let bodies = Bodies::default();
        let row = Arc::new(1);
        for account in 0..=BODIES_MAX {
            bodies.keep(&account.to_string(), Arc::clone(&row), 1, Bytes::new());
        }
        assert!(bodies.find("0", &row, 1).is_none());
        assert!(bodies.find(&BODIES_MAX.to_string(), &row, 1).is_some());
    }
}
