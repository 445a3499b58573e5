//! Every version of the catalogue that was ever loaded: stored once, kept in memory, answered by number.
//!
//! At start the loaded catalogue is compared with the newest stored version by content hash; only a new content makes
//! a new version. Two processes that start at once with the same new file agree on one number: the insert of the
//! second does nothing, and it reads again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aggregates::plan::{Catalogue, Terms};
use aggregates::time::Timestamp;
use projections::db::{Conn, Db, DbError, Pool};

use super::Loaded;

/// Attempts to agree on a version with other processes that start at the same time.
const ATTEMPTS_MAX: u32 = 8;

const LIST: &str = "select version, content_hash, body from catalogue_version where version > $1 order by version";
const INSERT: &str = "insert into catalogue_version (version, content_hash, body, loaded_at) values ($1, $2, $3, $4)
     on conflict do nothing";

/// Why the registry cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A stored version cannot be read.
    #[error(
        "version {version} of the plan catalogue cannot be read back ({source}); it was written by a newer version of subledger, or damaged"
    )]
    Unreadable {
        /// Its number.
        version: i32,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Other processes kept taking the number.
    #[error("no version number for the plan catalogue could be agreed on in {ATTEMPTS_MAX} attempts; start again")]
    Contended,
}

/// All versions of one ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<RwLock<Versions>>,
}

#[derive(Debug)]
struct Versions {
    all: BTreeMap<u32, Arc<Catalogue>>,
    current: Arc<Catalogue>,
}

struct Row {
    version: i32,
    hash: Vec<u8>,
    catalogue: Arc<Catalogue>,
}

impl Registry {
    /// Reads all versions and adds the loaded one if its content is new; it becomes the current one either way.
    pub async fn open(db: &Db, loaded: &Loaded, now: Timestamp) -> Result<Self, RegistryError> {
        for _ in 0..ATTEMPTS_MAX {
            let rows = list(db, 0).await?;
            let known = rows
                .iter()
                .find(|row| row.hash == loaded.content_hash)
                .map(|row| Arc::clone(&row.catalogue));
            let last = rows.last().map_or(0, |row| row.version);
            let all: BTreeMap<u32, Arc<Catalogue>> = rows
                .into_iter()
                .map(|row| (row.catalogue.version(), row.catalogue))
                .collect();
            if let Some(current) = known {
                return Ok(Self {
                    inner: Arc::new(RwLock::new(Versions { all, current })),
                });
            }
            insert(db, last.saturating_add(1), loaded, now).await?;
        }
        Err(RegistryError::Contended)
    }

    /// A registry that holds one catalogue and no store: for tests and for commands that only read a file.
    #[must_use]
    pub fn of_one(catalogue: Catalogue) -> Self {
        let current = Arc::new(catalogue);
        let all = BTreeMap::from([(current.version(), Arc::clone(&current))]);
        Self {
            inner: Arc::new(RwLock::new(Versions { all, current })),
        }
    }

    /// What is sold now.
    #[must_use]
    pub fn current(&self) -> Arc<Catalogue> {
        Arc::clone(&self.inner.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    /// A version that this process has seen.
    #[must_use]
    pub fn version(&self, version: u32) -> Option<Arc<Catalogue>> {
        self.inner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .get(&version)
            .map(Arc::clone)
    }

    /// Reads versions that other processes added since.
    pub async fn refresh(&self, db: &Db) -> Result<(), RegistryError> {
        let last = self.last();
        let rows = list(db, i32::try_from(last).unwrap_or(i32::MAX)).await?;
        let mut versions = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        versions
            .all
            .extend(rows.into_iter().map(|row| (row.catalogue.version(), row.catalogue)));
        Ok(())
    }

    fn last(&self) -> u32 {
        let versions = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        versions.all.last_key_value().map_or(0, |(version, _)| *version)
    }
}

async fn list(db: &Db, after: i32) -> Result<Vec<Row>, RegistryError> {
    let rows: Vec<(i32, Vec<u8>, String)> = match db.pool_for(0) {
        Pool::Sqlite(pool) => sqlx::query_as(LIST)
            .bind(after)
            .fetch_all(pool)
            .await
            .map_err(DbError::from)?,
        Pool::Postgres(pool) => sqlx::query_as(LIST)
            .bind(after)
            .fetch_all(pool)
            .await
            .map_err(DbError::from)?,
    };
    let read = |(version, hash, body): (i32, Vec<u8>, String)| {
        let terms: Terms =
            serde_json::from_str(&body).map_err(|source| RegistryError::Unreadable { version, source })?;
        let catalogue = Arc::new(Catalogue::new(u32::try_from(version).unwrap_or(0), terms));
        Ok(Row {
            version,
            hash,
            catalogue,
        })
    };
    rows.into_iter().map(read).collect()
}

async fn insert(db: &Db, version: i32, loaded: &Loaded, now: Timestamp) -> Result<(), DbError> {
    let (hash, body) = (loaded.content_hash.to_vec(), loaded.body.clone());
    db.write(0, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(conn) => {
                    let insert = sqlx::query(INSERT)
                        .bind(version)
                        .bind(hash)
                        .bind(body)
                        .bind(now.micros());
                    insert.execute(conn).await?;
                }
                Conn::Postgres(conn) => {
                    let insert = sqlx::query(INSERT)
                        .bind(version)
                        .bind(hash)
                        .bind(body)
                        .bind(now.to_chrono());
                    insert.execute(conn).await?;
                }
            }
            Ok(())
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use projections::db::DbConfig;

    use super::*;
    use crate::plans::{BUNDLED, read};

    async fn db(directory: &tempfile::TempDir) -> Db {
        let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
        Db::open(&DbConfig::new(&url, Timestamp::EPOCH)).await.unwrap()
    }

    #[tokio::test]
    async fn new_content_is_a_new_version_and_known_content_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let db = db(&directory).await;
        let first = read(BUNDLED, "x", &|_| None).unwrap();
        let second = read(&BUNDLED.replace("9_900", "10_900"), "x", &|_| None).unwrap();
        let versions = [&first, &first, &second, &first];
        for (loaded, version) in versions.into_iter().zip([1, 1, 2, 1]) {
            let registry = Registry::open(&db, loaded, Timestamp::EPOCH).await.unwrap();
            assert_eq!(registry.current().version(), version);
            assert_eq!(registry.current().terms(), &loaded.terms);
        }
        let registry = Registry::open(&db, &first, Timestamp::EPOCH).await.unwrap();
        assert_eq!(registry.version(2).unwrap().terms(), &second.terms);
        assert!(registry.version(3).is_none());
        let third = read(&BUNDLED.replace("9_900", "11_900"), "x", &|_| None).unwrap();
        Registry::open(&db, &third, Timestamp::EPOCH).await.unwrap();
        registry.refresh(&db).await.unwrap();
        assert_eq!(registry.version(3).unwrap().terms(), &third.terms);
        assert_eq!(
            registry.current().version(),
            1,
            "a refresh does not change what is sold"
        );
    }
}
