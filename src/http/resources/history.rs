//! `GET /v1/tenants/{tenant}/subscription/history`: what happened to an account, in words its own people may read.
//!
//! Newest first. Sequences of a stream are dense, so a page goes down from a sequence in steps and leaves out what is
//! not for the portal: snapshots that changed nothing, findings, and who did what. What wants attention carries an alert
//! ([`super::alert`]).

use std::sync::LazyLock;

use aggregates::recorded::LedgerEvent;
use aggregates::subscription::seen::SubscriptionSeen;
use aggregates::subscription::{AGGREGATE_TYPE, Carried, SubscriptionEvent};
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use projections::log::{StoredEvent, count_stream, read_stream};
use projections::projection::LogEvent;
use projections::views::View;
use serde::Serialize;
use utoipa::ToSchema;

use super::alert::AlertEntry;
use super::invoice_answer::money;
use super::plans::MoneyAnswer;
use crate::http::account::{Account, asked, unanswered};
use crate::http::extract::Params;
use crate::http::guard::{AccountRef, Caller};
use crate::http::page::{self, COUNTED_MAX, Page, PageInfo, Paging};
use crate::http::position::{self, LedgerPosition};
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;

/// Events read in one step down the stream.
const STEP_EVENTS: u32 = 200;
/// Steps of one page: a stream of confirmations alone ends a page early instead of holding the request.
const STEPS_MAX: u32 = 25;

/// One thing that happened.
#[derive(Serialize, ToSchema)]
pub struct HistoryEntry {
    /// Place on the log.
    position: String,
    /// Place in the account's stream.
    version: u64,
    /// What happened, for instance `plan_changed`.
    event: &'static str,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// When the ledger learnt it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Terms of the subscription after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<TermsEntry>,
    /// The invoice it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<InvoiceEntry>,
    /// The payment, refund, credit or dispute it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<MoneyAnswer>,
    /// The payment method it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method: Option<MethodEntry>,
    /// What its people should know or do.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertEntry>,
}

/// Terms of a subscription.
#[derive(Serialize, ToSchema)]
pub struct TermsEntry {
    /// Its status.
    status: String,
    /// Code of its plan; null when its price is not in the catalogue.
    plan: Option<String>,
    /// Units.
    quantity: Option<u64>,
    /// End of the billing period.
    #[schema(value_type = Option<String>, format = DateTime)]
    period_end: Option<Timestamp>,
    /// Ends with the period.
    cancel_at_period_end: bool,
}

/// An invoice.
#[derive(Serialize, ToSchema)]
pub struct InvoiceEntry {
    /// Its number, once it has one.
    number: Option<Box<str>>,
    /// Its status.
    status: String,
    /// What it comes to.
    total: MoneyAnswer,
    /// Paid so far.
    paid: MoneyAnswer,
}

/// A payment method.
#[derive(Serialize, ToSchema)]
pub struct MethodEntry {
    /// `card`, `sepa_debit`...
    kind: Box<str>,
    /// Brand of the card.
    brand: Option<Box<str>>,
    /// Last four digits.
    last4: Option<Box<str>>,
}

macro_rules! told {
    (told: [$($told:ident)*], kept: [$($kept:ident)*]) => {
        /// Whether people of the portal are told.
        const fn is_told(event: &SubscriptionEvent) -> bool {
            match event {
                $(SubscriptionEvent::$told(_))|* => true,
                $(SubscriptionEvent::$kept(_))|* => false,
            }
        }

        /// Stored names of what they are told.
        static TOLD: LazyLock<Vec<String>> = LazyLock::new(|| vec![$(stored_name(stringify!($told))),*]);
    };
}

told! {
    told: [
        AccountOpened PaymentMethodChanged BillingContactChanged CheckoutCompleted CheckoutExpired
        CheckoutPaymentSettled SubscriptionStarted TrialEnding TrialExtended TrialEnded SubscriptionActivated
        PlanChanged PlanChangeScheduled PlanChangeWithdrawn QuantityChanged ItemAdded ItemRemoved DiscountApplied
        DiscountRemoved PeriodAdvanced CancellationScheduled CancellationWithdrawn SubscriptionPaused
        SubscriptionResumed CollectionPaused CollectionResumed PaymentOverdue SubscriptionUnpaid PaymentRecovered
        SubscriptionEnded InvoiceFinalized InvoiceUpcomingNoticed InvoicePaid InvoicePaymentFailed
        InvoiceActionRequired InvoiceOverdue InvoiceVoided InvoiceUncollectible ChargeSucceeded ChargeFailed
        RefundIssued RefundSettled RefundFailed DisputeOpened DisputeClosed CreditNoteIssued CreditNoteVoided
    ],
    kept: [
        CustomerLinked TenantAssigned CustomerDeleted CustomerRevised SubscriptionRevised StatusUnrecognised
        ConcurrentSubscriptionsFound SnapshotConfirmed LateSnapshotRecorded InvoiceDrafted InvoiceRevised
        InvoicePaymentLinked ChargeRevised RefundRevised DisputeFundsWithdrawn DisputeFundsReinstated
        DisputeRevised CreditNoteRevised CustomerBalanceChanged CheckoutRequested CheckoutStarted
        PortalSessionOpened SubscriptionRequested PlanChangeRequested PlanChangeWithdrawalRequested
        QuantityChangeRequested CancellationRequested ResumptionRequested PauseRequested UnpauseRequested
        CouponRequested TrialExtensionRequested InvoicePaymentRequested RefundRequested CustomerUpdateRequested
        StripeCallSettled IntentObserved
    ]
}

/// `PlanChanged` is stored as `subscription.plan_changed`.
fn stored_name(variant: &str) -> String {
    let mut name = String::from(AGGREGATE_TYPE);
    for (at, letter) in variant.char_indices() {
        if letter.is_ascii_uppercase() {
            name.push(if at == 0 { '.' } else { '_' });
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn terms(it: &SubscriptionSeen) -> TermsEntry {
    let items = it.snapshot.items.as_deref().unwrap_or_default();
    let planned = items.iter().find_map(|item| Some((item, it.plans.get(&item.price)?)));
    let item = planned.map(|(item, _)| item).or(items.first());
    TermsEntry {
        status: it.snapshot.status.as_str().to_owned(),
        plan: planned.map(|(_, plan)| plan.code.to_string()),
        quantity: item.and_then(|item| item.quantity),
        period_end: it.snapshot.period.map(|period| period.end),
        cancel_at_period_end: it.snapshot.cancel_at_period_end,
    }
}

impl HistoryEntry {
    /// What happened, for instance `plan_changed`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.event
    }

    /// Of an event of an account; none: it is not for its people.
    pub fn of(stored: StoredEvent) -> Answer<Option<Self>> {
        let logged = LogEvent::from(stored);
        let LedgerEvent::Subscription(event) = logged.typed().map_err(Problem::internal)? else {
            return Ok(None);
        };
        if !is_told(event) {
            return Ok(None);
        }
        let place = LedgerPosition {
            part: logged.part,
            position: logged.position,
        };
        let mut entry = Self {
            position: place.to_string(),
            version: logged.sequence,
            event: event.name(),
            occurred_at: logged.occurred_at,
            recorded_at: logged.recorded_at,
            subscription: None,
            invoice: None,
            amount: None,
            payment_method: None,
            alert: AlertEntry::of(event),
        };
        entry.tell(event);
        Ok(Some(entry))
    }

    fn tell(&mut self, event: &SubscriptionEvent) {
        match event.carried() {
            Some(Carried::Subscription(it)) => self.subscription = Some(terms(it)),
            Some(Carried::Invoice(it)) => {
                let snapshot = &it.snapshot;
                self.invoice = Some(InvoiceEntry {
                    number: snapshot.number.clone(),
                    status: snapshot.status.as_str().to_owned(),
                    total: money(snapshot.total_minor, snapshot.currency),
                    paid: money(snapshot.amount_paid_minor, snapshot.currency),
                });
            }
            Some(Carried::Charge(it)) => self.amount = Some(money(it.snapshot.amount_minor, it.snapshot.currency)),
            Some(Carried::Refund(it)) => self.amount = Some(money(it.snapshot.amount_minor, it.snapshot.currency)),
            Some(Carried::Dispute(it)) => self.amount = Some(money(it.snapshot.amount_minor, it.snapshot.currency)),
            Some(Carried::CreditNote(it)) => self.amount = Some(money(it.snapshot.amount_minor, it.snapshot.currency)),
            Some(Carried::PaymentMethod(it)) => {
                self.payment_method = Some(MethodEntry {
                    kind: it.snapshot.kind.clone(),
                    brand: it.snapshot.brand.clone(),
                    last4: it.snapshot.last4.clone(),
                });
            }
            Some(
                Carried::Customer(_)
                | Carried::Schedule(_)
                | Carried::Checkout(_)
                | Carried::Discount(_)
                | Carried::InvoicePayment(_),
            )
            | None => {}
        }
    }
}

/// What happened to a tenant's account, newest first
#[utoipa::path(get, path = "/v1/tenants/{tenant}/subscription/history",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), Paging),
    responses((status = 200, body = Page<HistoryEntry>, description = "A page; it may hold fewer entries than asked for although there are more"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn list(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Params(paging): Params<Paging>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer<Response> {
    let size = paging.size()?;
    let account = asked(&service, &name, &caller).await?;
    position::wait(&service, View::Status, Some(account.part), &headers).await?;
    let list_name = format!("history {}", account.stream);
    let after: Option<u64> = service.cursors.read(&list_name, paging.cursor.as_deref())?;
    let found = service
        .cache
        .status(account.part, account.stream.as_str())
        .await
        .map_err(unanswered)?;
    let newest = found.value.map_or(0, |row| row.sequence);
    let below = after.unwrap_or(newest + 1);
    let (data, next) = walk(&service, &account, below, size).await?;
    let next_cursor = next
        .map(|below| service.cursors.write(&list_name, &below))
        .transpose()?;
    let info = PageInfo {
        has_more: next_cursor.is_some(),
        next_cursor,
        count: paging.total(count(&service, &account, newest)).await?,
    };
    let mut response = page::respond(Page { data, page: info }, &uri);
    position::announce_view(&found.freshness, response.headers_mut());
    Ok(response)
}

/// Entries of all pages.
async fn count(service: &Service, account: &Account, newest: u64) -> Answer<u64> {
    let stream = account.stream.as_str();
    let counted = count_stream(
        &service.db,
        account.part,
        AGGREGATE_TYPE,
        stream,
        (newest, &TOLD),
        COUNTED_MAX,
    );
    counted.await.map_err(Problem::store)
}

/// Entries below a sequence, and the sequence below which the next page begins; none at the stream's beginning.
async fn walk(
    service: &Service,
    account: &Account,
    mut below: u64,
    size: u32,
) -> Answer<(Vec<HistoryEntry>, Option<u64>)> {
    let mut entries = Vec::new();
    for _ in 0..STEPS_MAX {
        if below <= 1 {
            return Ok((entries, None));
        }
        let after = below.saturating_sub(u64::from(STEP_EVENTS) + 1);
        let count = u32::try_from(below - 1 - after).unwrap_or(STEP_EVENTS);
        let stream = account.stream.as_str();
        let page = read_stream(&service.db, account.part, AGGREGATE_TYPE, stream, after, count).await;
        for stored in page.map_err(Problem::store)?.into_iter().rev() {
            below = stored.sequence;
            entries.extend(HistoryEntry::of(stored)?);
            if entries.len() >= size as usize {
                return Ok((entries, (below > 1).then_some(below)));
            }
        }
        // A step that found nothing must go down all the same.
        below = below.min(after + 1);
    }
    Ok((entries, (below > 1).then_some(below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_counted_under_its_stored_name() {
        let catalogue = aggregates::catalogue::entries();
        for name in TOLD.iter() {
            assert!(catalogue.iter().any(|entry| entry.event_type == *name), "{name}");
        }
        assert!(TOLD.contains(&"subscription.plan_changed".to_owned()));
        assert!(!TOLD.contains(&"subscription.dispute_funds_withdrawn".to_owned()));
    }
}
