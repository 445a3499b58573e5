//! Tickets: half a minute in which a browser may open one stream once, because `EventSource` sends no headers.
//!
//! A ticket is random and stored only as its hash, with whom it speaks for and for which stream. Using it deletes its
//! row, so of two uses one finds nothing, in whichever process. What it speaks for is judged again when it is used: a
//! key that was revoked meanwhile opens nothing.

use aggregates::ids::TenantId;
use aggregates::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use projections::db::{Conn, Db, DbError};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::api_key::{RandomError, random};
use super::{Kind, Principal, Role, ScopeSet};

/// First part of every ticket.
pub const PREFIX: &str = "subt_";
/// Seconds in which it must be used: a page asks for it right before it opens its stream.
pub const GOOD_SECONDS: i64 = 30;

const INSERT: &str = "insert into stream_ticket (part, ticket_hash, stream, speaks_for, expires_at) \
     values (0, $1, $2, $3, $4)";
const FORGET: &str = "delete from stream_ticket where part = 0 and expires_at <= $1";
const USE_SQLITE: &str = "delete from stream_ticket where part = 0 and ticket_hash = $1 \
     returning stream, speaks_for, expires_at";
const USE_POSTGRES: &str = "delete from stream_ticket where part = 0 and ticket_hash = $1 \
     returning stream, speaks_for, (extract(epoch from expires_at) * 1000000)::bigint";

/// Whom a ticket speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SpeaksFor {
    /// A person of the portal.
    Portal {
        /// Subject of the token.
        subject: Box<str>,
        /// Role after the role map.
        role: Box<str>,
        /// Its tenant.
        tenant: TenantId,
        /// When the token ends.
        expires_at: Option<Timestamp>,
    },
    /// An API key, by its public id.
    Key {
        /// The id.
        id: Box<str>,
    },
    /// The operator at the machine.
    Operator,
}

impl SpeaksFor {
    /// Of a caller; none for a portal token without a tenant, which is never accepted.
    #[must_use]
    pub fn of(principal: &Principal) -> Option<Self> {
        Some(match (&principal.kind, &principal.tenant) {
            (Kind::Portal { subject, role }, Some(tenant)) => Self::Portal {
                subject: subject.clone(),
                role: role.as_str().into(),
                tenant: tenant.clone(),
                expires_at: principal.expires_at,
            },
            (Kind::Portal { .. }, None) => return None,
            (Kind::Key { id }, _) => Self::Key { id: id.clone() },
            (Kind::Operator, _) => Self::Operator,
        })
    }

    /// The portal's caller again, while the token behind it holds; none for the others.
    #[must_use]
    pub fn portal(&self, now: Timestamp) -> Option<Principal> {
        let Self::Portal {
            subject,
            role,
            tenant,
            expires_at,
        } = self
        else {
            return None;
        };
        if expires_at.is_some_and(|end| now >= end) {
            return None;
        }
        Some(Principal {
            kind: Kind::Portal {
                subject: subject.clone(),
                role: Role::find(role)?,
            },
            tenant: Some(tenant.clone()),
            scopes: ScopeSet::EMPTY,
            expires_at: *expires_at,
        })
    }
}

/// A ticket that was used: it cannot be again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedTicket {
    /// The stream it opens.
    pub stream: String,
    /// For whom.
    pub speaks_for: SpeaksFor,
}

/// Why there is no ticket.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// The system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DbError),
    /// What was stored does not read.
    #[error("a stored ticket does not read: {0}")]
    Unreadable(String),
}

/// Stored tickets. They are few and short-lived, so all lie in part 0, like keys. Cheap to clone.
#[derive(Clone)]
pub struct Tickets {
    db: Db,
}

fn hash(ticket: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, ticket.as_bytes()).as_ref().to_vec()
}

impl Tickets {
    /// Of this ledger.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// A new ticket and when it ends; drops those nobody used.
    pub async fn issue(
        &self,
        stream: String,
        speaks_for: &SpeaksFor,
        now: Timestamp,
    ) -> Result<(String, Timestamp), TicketError> {
        let ticket = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
        let expires_at = now.plus_seconds(GOOD_SECONDS);
        let speaks_for =
            serde_json::to_string(speaks_for).map_err(|error| TicketError::Unreadable(error.to_string()))?;
        let hash = hash(&ticket);
        let job = self.db.write(0, move |conn| {
            Box::pin(async move {
                match conn {
                    Conn::Sqlite(c) => {
                        sqlx::query(FORGET).bind(now.micros()).execute(&mut *c).await?;
                        let insert = sqlx::query(INSERT).bind(hash).bind(stream);
                        insert.bind(speaks_for).bind(expires_at.micros()).execute(c).await?;
                    }
                    Conn::Postgres(c) => {
                        sqlx::query(FORGET).bind(now.to_chrono()).execute(&mut *c).await?;
                        let insert = sqlx::query(INSERT).bind(hash).bind(stream);
                        insert.bind(speaks_for).bind(expires_at.to_chrono()).execute(c).await?;
                    }
                }
                Ok::<_, DbError>(())
            })
        });
        job.await?;
        Ok((ticket, expires_at))
    }

    /// Uses a ticket; none: it is unknown, was used, or ended.
    pub async fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Option<UsedTicket>, TicketError> {
        if !ticket.starts_with(PREFIX) {
            return Ok(None);
        }
        let hash = hash(ticket);
        let job = self.db.write(0, move |conn| {
            Box::pin(async move {
                let row: Option<(String, String, i64)> = match conn {
                    Conn::Sqlite(c) => sqlx::query_as(USE_SQLITE).bind(hash).fetch_optional(c).await?,
                    Conn::Postgres(c) => sqlx::query_as(USE_POSTGRES).bind(hash).fetch_optional(c).await?,
                };
                Ok::<_, DbError>(row)
            })
        });
        let Some((stream, speaks_for, expires_at)) = job.await? else {
            return Ok(None);
        };
        if expires_at <= now.micros() {
            return Ok(None);
        }
        let speaks_for =
            serde_json::from_str(&speaks_for).map_err(|error| TicketError::Unreadable(error.to_string()))?;
        Ok(Some(UsedTicket { stream, speaks_for }))
    }
}
