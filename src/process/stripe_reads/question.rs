//! What the outbox asks of Stripe, read back from its rows, and which rows one answer serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::ids::{PayoutId, StripeEventId};
use serde::Deserialize;

use crate::inbox::ReceiptKey;
use crate::outbox::Effect;
use crate::stripe::gateway::ObjectKind;

/// A row as `apply_webhooks` leaves it.
#[derive(Deserialize)]
struct Row {
    what: Box<str>,
    object: Box<str>,
    id: Box<str>,
    source: Arc<str>,
    receipt: Box<str>,
    #[serde(default)]
    thin: bool,
}

/// What Stripe is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// An object, with all rows of its list.
    Object { kind: ObjectKind, id: Box<str> },
    /// The movements a payout consists of.
    PayoutTransactions(PayoutId),
    /// The movements since the last look.
    NewTransactions,
    /// Nothing Stripe has an address for; the word.
    Nowhere(Box<str>),
}

impl Wanted {
    fn of(row: &Row) -> Self {
        let nowhere = || Self::Nowhere(row.object.clone());
        match (&*row.what, &*row.object) {
            ("balance_transactions", "payout") => {
                PayoutId::parse(&row.id).map_or_else(|_| nowhere(), Self::PayoutTransactions)
            }
            ("balance_transactions", _) | ("object", "balance") => Self::NewTransactions,
            // A tie, an incomplete list and a thin event are all settled by the object as it is now, with its rows.
            (_, object) => ObjectKind::from_word(object).map_or_else(nowhere, |kind| Self::Object {
                kind,
                id: row.id.clone(),
            }),
        }
    }
}

/// Rows that one answer serves.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) source: Arc<str>,
    pub(super) wanted: Wanted,
    /// The rows, each with the fence it was claimed under.
    pub(super) rows: Vec<(Effect, u64)>,
    /// Receipts that say nothing themselves and end with the answer.
    pub(super) thin: Vec<ReceiptKey>,
}

/// Questions by what they ask, however many rows ask it; and the rows that cannot be read.
pub(super) fn questions(claimed: Vec<(Effect, u64)>) -> (Vec<Question>, Vec<(Effect, u64)>) {
    let mut asked: BTreeMap<(Arc<str>, Wanted), Question> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (effect, fence) in claimed {
        let Ok(row) = serde_json::from_str::<Row>(&effect.body) else {
            unreadable.push((effect, fence));
            continue;
        };
        let wanted = Wanted::of(&row);
        let question = asked
            .entry((Arc::clone(&row.source), wanted.clone()))
            .or_insert_with(|| Question {
                source: Arc::clone(&row.source),
                wanted,
                rows: Vec::new(),
                thin: Vec::new(),
            });
        question.rows.push((effect, fence));
        question.thin.extend(row.thin.then(|| key_of(&row.receipt)).flatten());
    }
    (asked.into_values().collect(), unreadable)
}

/// `source/event`, as receipts are named everywhere.
fn key_of(text: &str) -> Option<ReceiptKey> {
    let (source, event) = text.split_once('/')?;
    Some(ReceiptKey::new(source, StripeEventId::parse(event).ok()?))
}
