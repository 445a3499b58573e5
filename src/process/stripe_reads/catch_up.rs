//! Events that no webhook brought: Stripe's list of events is read from where it was read last, with an hour's overlap,
//! and what has no receipt goes the way of a webhook, under the same key.
//!
//! A walk goes from the newest event to its lower edge. It is kept page by page and goes on after a crash; only when it has
//! reached its end does the edge of the next walk move. Stripe keeps events for thirty days: older holes are named.

use std::sync::atomic::Ordering;

use aggregates::ids::StripeEventId;
use aggregates::time::Timestamp;
use bytes::Bytes;
use projections::db::DbError;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Reads;
use super::fetch::Unanswered;
use super::told::{VIA_CATCH_UP, delivery};
use crate::inbox::{ReceiptKey, Received};
use crate::stripe::gateway::pages::Walk;
use crate::stripe::gateway::{Answer, Listing, OnAccount};
use crate::stripe_cursor::{self, Cursor, List, OWN, Walking};

/// How far behind the last walk the next one begins, in seconds.
const OVERLAP_SECONDS: i64 = 3_600;
/// How long Stripe lists events, in seconds.
const KEPT_SECONDS: i64 = 30 * 86_400;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    id: Box<str>,
}

impl Reads {
    /// One walk over the events of the account that owns the key. Says how many were missing.
    pub(super) async fn catch_up(&self) -> Result<u64, Unanswered> {
        let source = OWN;
        let mut cursor = self.cursor(source).await?;
        let mut walking = match cursor.walk.take() {
            Some(walking) => walking,
            None => self.begin(&cursor),
        };
        let list = Listing::Events {
            types: Vec::new(),
            since: Some(walking.since),
        };
        let mut walk = Walk::older(list, walking.after.as_deref());
        let mut missing = 0;
        while let Some(page) = walk.read(&*self.gateway, &OnAccount::own()).await? {
            missing += self.record(source, &page).await?;
            walk.recorded();
            walking.after = walk.cursor().map(str::to_owned);
            cursor.walk = Some(walking.clone());
            stripe_cursor::save(&self.db, source, List::Events, &cursor).await?;
        }
        let done = Cursor {
            read_until: walking.began,
            walk: None,
        };
        stripe_cursor::save(&self.db, source, List::Events, &done).await?;
        self.counters
            .read_until
            .store(walking.began.seconds(), Ordering::Relaxed);
        Ok(missing)
    }

    /// A ledger that never looked has missed nothing before it was made.
    async fn cursor(&self, source: &str) -> Result<Cursor, Unanswered> {
        let known = stripe_cursor::load(&self.db, source, List::Events).await?;
        Ok(known.unwrap_or(Cursor {
            read_until: self.db.meta().created_at,
            walk: None,
        }))
    }

    fn begin(&self, cursor: &Cursor) -> Walking {
        let began = self.clock.now();
        let (wanted, kept) = (
            cursor.read_until.plus_seconds(-OVERLAP_SECONDS),
            began.plus_seconds(-KEPT_SECONDS),
        );
        if wanted < kept {
            tracing::warn!(from = %cursor.read_until, to = %kept,
                "Stripe lists events of the last thirty days only; what no webhook brought between these times must be \
                 fetched object by object");
        }
        Walking {
            since: wanted.max(kept),
            began,
            after: None,
        }
    }

    /// Stores the events of a page that have no receipt. Their bytes are kept as Stripe wrote them.
    async fn record(&self, source: &str, answer: &Answer) -> Result<u64, Unanswered> {
        let page: Page<'_> = serde_json::from_slice(&answer.body)
            .map_err(|error| DbError::bug(format!("a page of events cannot be cut into events: {error}")))?;
        let mut missing = 0;
        for event in page.data {
            let named = serde_json::from_str::<Named>(event.get()).ok();
            let id = named.and_then(|named| StripeEventId::parse(&named.id).ok());
            self.counters.events_seen.fetch_add(1, Ordering::Relaxed);
            // One without an id of its own is stored under the digest of its bytes, as a webhook without one is.
            let key = id.map(|id| ReceiptKey::new(source, id));
            if let Some(key) = &key
                && self.receipts.find(key).await?.is_some()
            {
                continue;
            }
            let body = Bytes::copy_from_slice(event.get().as_bytes());
            let received = self
                .receiver
                .receive(delivery(body, VIA_CATCH_UP, self.clock.now()))
                .await?;
            if received == Received::Stored {
                missing += 1;
                self.counters.events_missing.fetch_add(1, Ordering::Relaxed);
                let key = key.map(|key| key.to_string());
                tracing::info!(
                    receipt.key = key,
                    "an event no webhook brought was found in Stripe's list"
                );
            }
        }
        Ok(missing)
    }

    /// Until when Stripe's list is read, as the store knows it.
    pub(super) async fn known_read_until(&self) -> Option<Timestamp> {
        let known = stripe_cursor::load(&self.db, OWN, List::Events).await;
        known.ok().flatten().map(|cursor| cursor.read_until)
    }
}
