//! One question to Stripe, from the rows that ask it to the receipts that hold the answer.

use aggregates::ids::{InvoiceId, SubscriptionId};
use aggregates::time::Timestamp;
use bytes::Bytes;
use projections::db::DbError;
use serde_json::{Value, json};

use super::Reads;
use super::question::{Question, Wanted};
use super::told::{Told, VIA_FETCH, as_of, delivery};
use crate::inbox::InboxError;
use crate::stripe::gateway::pages::Walk;
use crate::stripe::gateway::{Answer, Delay, GatewayError, Listing, ObjectKind, OnAccount, Read, Refusal};
use crate::stripe_cursor::{self, Cursor, List};

/// Pages of one list: a payout of a busy account, with room to spare.
const PAGES_MAX: usize = 1_000;
/// How far behind the last look the next one begins, in seconds: lists lag, and clocks differ.
const OVERLAP_SECONDS: i64 = 3_600;
/// How far the first look at the balance goes back, in seconds: money becomes available a week after it moved.
const FIRST_LOOK_SECONDS: i64 = 7 * 86_400;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error(transparent)]
    Stripe(#[from] GatewayError),
    #[error(transparent)]
    Inbox(#[from] InboxError),
    #[error(transparent)]
    Store(#[from] DbError),
}

impl Reads {
    /// Asks, and stores what Stripe says; gives the name of the receipt that holds it.
    pub(super) async fn answer(&self, question: &Question) -> Result<String, Unanswered> {
        // The first row names the answer: asked again after a crash, it is the same receipt.
        let row = question
            .rows
            .first()
            .map(|(effect, _)| effect.outbox_id)
            .unwrap_or_default();
        let name = format!("fetch_{}", row.hyphenated());
        let account = OnAccount::of_source(&question.source);
        match &question.wanted {
            Wanted::Object { kind, id } => self.object(&account, question, *kind, id, &name).await?,
            Wanted::PayoutTransactions(payout) => {
                let list = Listing::PayoutTransactions(payout.clone());
                self.transactions(&account, question, list, Some(payout.as_str()), &name)
                    .await?;
            }
            Wanted::NewTransactions => self.new_transactions(&account, question, &name).await?,
            Wanted::Nowhere(word) => {
                let message = format!("Stripe has no address for a {word}; it comes with the objects that carry it");
                return Err(GatewayError::Permanent(Refusal::unsent("no_address", message)).into());
            }
        }
        Ok(format!("{}/{name}", question.source))
    }

    async fn object(
        &self,
        account: &OnAccount,
        question: &Question,
        kind: ObjectKind,
        id: &str,
        name: &str,
    ) -> Result<(), Unanswered> {
        // Since basil the payments of an invoice are only told when they are asked for.
        let expand: &[&str] = if kind == ObjectKind::Invoice {
            &["payments"]
        } else {
            &[]
        };
        let read = Read::Object {
            kind,
            id: id.into(),
            expand,
        };
        let began = self.clock.now();
        let answer = self.gateway.read(account, &read).await?;
        let mut as_of = as_of(answer.stripe_time, began, self.clock.now());
        let mut object = answer.object.clone();
        self.complete(account, kind, id, &mut object).await?;
        if let Some(simulated) = self.simulated_time(account, &object).await? {
            as_of = simulated;
        }
        let told = Told {
            id: name,
            word: kind.as_str(),
            source: &question.source,
            as_of,
            answer: &answer,
            object: &object,
        };
        self.store(told.body()).await
    }

    /// The rest of a list that Stripe cut off.
    async fn complete(
        &self,
        account: &OnAccount,
        kind: ObjectKind,
        id: &str,
        object: &mut Value,
    ) -> Result<(), Unanswered> {
        let (field, list) = if kind == ObjectKind::Subscription {
            ("items", SubscriptionId::parse(id).ok().map(Listing::Items))
        } else if kind == ObjectKind::Invoice {
            ("lines", InvoiceId::parse(id).ok().map(Listing::InvoiceLines))
        } else {
            return Ok(());
        };
        let is_cut = object.get(field).and_then(|list| list.get("has_more")) == Some(&Value::Bool(true));
        let (true, Some(list)) = (is_cut, list) else {
            return Ok(());
        };
        let mut rows: Vec<Value> = Vec::new();
        let mut walk = Walk::older(list, None);
        for _ in 0..PAGES_MAX {
            let Some(page) = walk.read(&*self.gateway, account).await? else {
                break;
            };
            rows.extend(page.rows().iter().cloned());
            walk.recorded();
        }
        object[field] = json!({"object": "list", "data": rows, "has_more": !walk.is_finished()});
        Ok(())
    }

    /// The second before the frozen time of the test clock an object lives on: its events carry that time, not ours.
    async fn simulated_time(&self, account: &OnAccount, object: &Value) -> Result<Option<Timestamp>, Unanswered> {
        let Some(clock) = object.get("test_clock").and_then(Value::as_str) else {
            return Ok(None);
        };
        let answer = self
            .gateway
            .read(account, &Read::object(ObjectKind::TestClock, clock))
            .await?;
        if answer.object.get("status").and_then(Value::as_str) == Some("advancing") {
            return Err(GatewayError::Transient(Delay {
                reason: format!("the test clock {clock} is advancing"),
                status: None,
                retry_after: None,
            })
            .into());
        }
        let frozen = answer.object.get("frozen_time").and_then(Value::as_i64);
        Ok(frozen.and_then(|seconds| Timestamp::from_seconds(seconds - 1).ok()))
    }

    async fn new_transactions(&self, account: &OnAccount, question: &Question, name: &str) -> Result<(), Unanswered> {
        let source = &question.source;
        let began = self.clock.now();
        let known = stripe_cursor::load(&self.db, source, List::BalanceTransactions).await?;
        let since = match &known {
            Some(cursor) => cursor.read_until.plus_seconds(-OVERLAP_SECONDS),
            None => began.plus_seconds(-FIRST_LOOK_SECONDS),
        };
        self.transactions(account, question, Listing::TransactionsSince(since), None, name)
            .await?;
        let cursor = Cursor {
            read_until: began,
            walk: None,
        };
        stripe_cursor::save(&self.db, source, List::BalanceTransactions, &cursor).await?;
        Ok(())
    }

    /// Every page is a receipt of its own.
    async fn transactions(
        &self,
        account: &OnAccount,
        question: &Question,
        list: Listing,
        payout: Option<&str>,
        name: &str,
    ) -> Result<(), Unanswered> {
        let mut walk = Walk::older(list, None);
        for nth in 0..PAGES_MAX {
            let began = self.clock.now();
            let Some(page) = walk.read(&*self.gateway, account).await? else {
                break;
            };
            // The first page bears the name, even when it is empty, so that the rows that asked can point at it.
            if nth == 0 || !page.rows().is_empty() {
                let id = if nth == 0 {
                    name.to_owned()
                } else {
                    format!("{name}_{nth}")
                };
                let as_of = as_of(page.stripe_time, began, self.clock.now());
                self.store(transactions_told(&id, &question.source, as_of, &page, payout))
                    .await?;
            }
            walk.recorded();
        }
        if walk.is_finished() {
            return Ok(());
        }
        // Its rest is not recorded, so the question is not answered. What is, is found to be a duplicate next time.
        Err(GatewayError::Transient(Delay {
            reason: format!("a list of more than {PAGES_MAX} pages; please report it"),
            status: None,
            retry_after: None,
        })
        .into())
    }

    async fn store(&self, body: Bytes) -> Result<(), Unanswered> {
        self.receiver
            .receive(delivery(body, VIA_FETCH, self.clock.now()))
            .await?;
        Ok(())
    }
}

fn transactions_told(id: &str, source: &str, as_of: Timestamp, page: &Answer, payout: Option<&str>) -> Bytes {
    let object = json!({"object": "list", "data": page.rows(), "payout": payout});
    let told = Told {
        id,
        word: "balance_transactions",
        source,
        as_of,
        answer: page,
        object: &object,
    };
    told.body()
}
