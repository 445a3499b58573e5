//! Payments of an account and what became of them, and what it pays by.

use std::collections::HashMap;

use aggregates::facts::{ChargeSnapshot, CreditNoteSnapshot, RefundSnapshot};
use aggregates::time::Timestamp;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use projections::book::StandingBook;
use projections::money::list::{self as found, Relation};
use projections::money::{MoneyBook, MoneyKind, MoneyRow};
use projections::query::Answer as Found;
use projections::views::View;
use serde::Serialize;
use utoipa::ToSchema;

use super::dated::{DatedPage, DatedQuery};
use super::invoice_answer::money;
use super::plans::MoneyAnswer;
use super::standing::{self, Stand};
use super::subscription_answer::MethodAnswer;
use crate::http::account::{Account, asked, unanswered};
use crate::http::extract::Params;
use crate::http::guard::{AccountRef, Caller};
use crate::http::page::{COUNTED_MAX, Page};
use crate::http::position;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;

/// What was charged: never more of a card than this.
#[derive(Serialize, ToSchema)]
pub struct ChargedMethod {
    /// `card`, `sepa_debit`...
    kind: Option<Box<str>>,
    /// Brand of the card.
    brand: Option<Box<str>>,
    /// Its last four digits.
    last4: Option<Box<str>>,
}

/// An attempt to take money.
#[derive(Serialize, ToSchema)]
pub struct PaymentAnswer {
    /// Its id at Stripe: a charge.
    id: String,
    /// `pending`, `succeeded` or `failed`.
    status: String,
    /// How much.
    amount: MoneyAnswer,
    /// What of it was given back.
    refunded: MoneyAnswer,
    /// Its cardholder disputes it.
    disputed: bool,
    /// What was charged.
    payment_method: ChargedMethod,
    /// Why it failed: Stripe's code, and the reason of the card's bank where it gives one.
    failure_code: Option<Box<str>>,
    /// The reason of the card's bank.
    decline_reason: Option<Box<str>>,
    /// The invoice it pays; null where none is known.
    invoice: Option<String>,
    /// Its payment intent at Stripe.
    payment_intent: Option<String>,
    /// Its movement of the balance at Stripe.
    balance_transaction: Option<String>,
    /// When it was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When the ledger learnt the last of it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Place in the account's stream of the last event it rests on.
    version: u64,
}

/// Money given back.
#[derive(Serialize, ToSchema)]
pub struct RefundAnswer {
    /// Its id at Stripe.
    id: String,
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    status: String,
    /// How much.
    amount: MoneyAnswer,
    /// Why: Stripe's word.
    reason: Option<Box<str>>,
    /// Why it failed.
    failure_reason: Option<Box<str>>,
    /// The payment it gives back: its charge at Stripe.
    payment: Option<String>,
    /// Its payment intent at Stripe.
    payment_intent: Option<String>,
    /// Its movement of the balance at Stripe.
    balance_transaction: Option<String>,
    /// When it was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When the ledger learnt the last of it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Place in the account's stream of the last event it rests on.
    version: u64,
}

/// A correction of an invoice.
#[derive(Serialize, ToSchema)]
pub struct CreditNoteAnswer {
    /// Its id at Stripe.
    id: String,
    /// Its number.
    number: Option<Box<str>>,
    /// `issued` or `void`.
    status: Box<str>,
    /// How much, tax included.
    amount: MoneyAnswer,
    /// Tax in it.
    tax: MoneyAnswer,
    /// `pre_payment`, `post_payment` or `mixed`.
    kind: Option<Box<str>>,
    /// Why: Stripe's word.
    reason: Option<Box<str>>,
    /// The invoice it corrects.
    invoice: String,
    /// Refunds that give it back.
    refunds: Vec<String>,
    /// When it was withdrawn.
    #[schema(value_type = Option<String>, format = DateTime)]
    voided_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When the ledger learnt the last of it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Place in the account's stream of the last event it rests on.
    version: u64,
}

/// What is charged by default.
#[derive(Serialize, ToSchema)]
pub struct PaymentMethodAnswer {
    /// Brand, last four digits and expiry, nothing more; null: there is none.
    payment_method: Option<MethodAnswer>,
    /// When the ledger last learnt something new of the account.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
    /// Sequence of the account's last event.
    version: u64,
}

impl PaymentAnswer {
    fn of(id: String, row: &MoneyRow, it: &ChargeSnapshot, invoice: Option<String>) -> Self {
        Self {
            id,
            status: it.status.as_str().to_owned(),
            amount: money(it.amount_minor, it.currency),
            refunded: money(it.amount_refunded_minor, it.currency),
            disputed: it.disputed,
            payment_method: ChargedMethod {
                kind: it.method_type.clone(),
                brand: it.card_brand.clone(),
                last4: it.card_last4.clone(),
            },
            failure_code: it.failure_code.clone(),
            decline_reason: it.decline_reason.clone(),
            invoice: it.invoice.as_ref().map(ToString::to_string).or(invoice),
            payment_intent: it.payment_intent.as_ref().map(ToString::to_string),
            balance_transaction: it.balance_transaction.as_ref().map(ToString::to_string),
            created_at: row.book.created_at(),
            recorded_at: row.recorded_at,
            version: row.sequence,
        }
    }
}

impl RefundAnswer {
    fn of(id: String, row: &MoneyRow, it: &RefundSnapshot) -> Self {
        Self {
            id,
            status: it.status.as_str().to_owned(),
            amount: money(it.amount_minor, it.currency),
            reason: it.reason.clone(),
            failure_reason: it.failure_reason.clone(),
            payment: it.charge.as_ref().map(ToString::to_string),
            payment_intent: it.payment_intent.as_ref().map(ToString::to_string),
            balance_transaction: it.balance_transaction.as_ref().map(ToString::to_string),
            created_at: row.book.created_at(),
            recorded_at: row.recorded_at,
            version: row.sequence,
        }
    }
}

impl CreditNoteAnswer {
    fn of(id: String, row: &MoneyRow, it: &CreditNoteSnapshot) -> Self {
        Self {
            id,
            number: it.number.clone(),
            status: it.status.clone(),
            amount: money(it.amount_minor, it.currency),
            tax: money(it.tax_minor, it.currency),
            kind: it.kind.clone(),
            reason: it.reason.clone(),
            invoice: it.invoice.to_string(),
            refunds: it.refunds.iter().map(ToString::to_string).collect(),
            voided_at: it.voided_at,
            created_at: row.book.created_at(),
            recorded_at: row.recorded_at,
            version: row.sequence,
        }
    }
}

/// What a list of money was asked with.
pub struct Asked {
    service: Service,
    account: Account,
    query: DatedQuery,
    headers: HeaderMap,
    uri: Uri,
}

impl FromRequestParts<Service> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Answer<Self> {
        let name = AccountRef::from_request_parts(parts, service).await?;
        let caller = Caller::from_request_parts(parts, service).await?;
        let Params(query) = Params::from_request_parts(parts, service).await?;
        Ok(Self {
            account: asked(service, &name, &caller).await?,
            service: service.clone(),
            query,
            headers: parts.headers.clone(),
            uri: parts.uri.clone(),
        })
    }
}

impl Asked {
    fn place(&self) -> (u32, &str) {
        (self.account.part, self.account.stream.as_str())
    }

    /// A page of one kind; `answer` turns its rows into what is sent.
    async fn list<T: Serialize>(
        &self,
        kind: MoneyKind,
        answer: impl AsyncFnOnce(Vec<(String, MoneyRow)>) -> Answer<Vec<T>>,
    ) -> Answer<Response> {
        let filter = self.query.money();
        let binding = format!("{} {filter:?}", kind.as_str());
        let page = DatedPage::asked(&self.service, &self.account, &self.query, &binding)?;
        position::wait(&self.service, View::Money, Some(self.account.part), &self.headers).await?;
        let (db, progress) = (&self.service.db, &self.service.progress);
        let rows = found::list(db, progress, self.place(), (kind, &filter), page.after(), page.limit()).await;
        let Found { mut value, freshness } = rows.map_err(unanswered)?;
        let next = page.cut(&mut value, |row| row.book.created_at());
        let data = answer(value).await?;
        let counted = async {
            let counted = found::count(db, progress, self.place(), (kind, &filter), COUNTED_MAX).await;
            counted.map_err(unanswered)
        };
        page.respond(&self.service, (data, next), counted, &freshness, &self.uri)
            .await
    }

    /// The invoice of each payment that does not name it itself.
    async fn invoices(&self, rows: &[(String, MoneyRow)]) -> Answer<HashMap<String, String>> {
        let mut names = Vec::new();
        for (id, row) in rows {
            let MoneyBook::Charge(book) = &row.book else { continue };
            let Some(it) = book.terms().filter(|it| it.invoice.is_none()) else {
                continue;
            };
            names.push(id.clone());
            names.extend(it.payment_intent.as_ref().map(ToString::to_string));
        }
        let by_payment = (MoneyKind::InvoicePayment, Relation::Payment);
        let links = found::related(
            &self.service.db,
            &self.service.progress,
            self.place(),
            by_payment,
            names,
        )
        .await;
        let mut invoices = HashMap::new();
        for (_, link) in links.map_err(unanswered)? {
            let MoneyBook::InvoicePayment(book) = &link.book else {
                continue;
            };
            let Some(it) = book.terms() else { continue };
            let payments = [
                it.payment_intent.as_ref().map(ToString::to_string),
                it.charge.as_ref().map(ToString::to_string),
            ];
            for payment in payments.into_iter().flatten() {
                invoices.insert(payment, it.invoice.to_string());
            }
        }
        Ok(invoices)
    }
}

fn without_terms() -> Problem {
    Problem::internal("a row of another kind or without terms was listed")
}

/// Payments of a tenant, newest first: what was taken, and what could not be
#[utoipa::path(get, path = "/v1/tenants/{tenant}/payments",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), DatedQuery),
    responses((status = 200, body = Page<PaymentAnswer>, description = "A page"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn list(asked: Asked) -> Answer<Response> {
    let answer = async |rows: Vec<(String, MoneyRow)>| {
        let invoices = asked.invoices(&rows).await?;
        let answer = |(id, row): (String, MoneyRow)| {
            let MoneyBook::Charge(book) = &row.book else {
                return Err(without_terms());
            };
            let it = book.terms().ok_or_else(without_terms)?;
            let of_intent = it
                .payment_intent
                .as_ref()
                .and_then(|intent| invoices.get(intent.as_str()));
            let invoice = invoices.get(&id).or(of_intent).cloned();
            Ok(PaymentAnswer::of(id, &row, &it, invoice))
        };
        rows.into_iter().map(answer).collect()
    };
    asked.list(MoneyKind::Charge, answer).await
}

/// Refunds of a tenant, newest first
#[utoipa::path(get, path = "/v1/tenants/{tenant}/refunds",
    params(("tenant" = String, Path, description = "Tenant or a Stripe customer"), DatedQuery),
    responses((status = 200, body = Page<RefundAnswer>, description = "A page"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn refunds(asked: Asked) -> Answer<Response> {
    let answer = async |rows: Vec<(String, MoneyRow)>| {
        let answer = |(id, row): (String, MoneyRow)| {
            let MoneyBook::Refund(book) = &row.book else {
                return Err(without_terms());
            };
            let it = book.terms().ok_or_else(without_terms)?;
            Ok(RefundAnswer::of(id, &row, &it))
        };
        rows.into_iter().map(answer).collect()
    };
    asked.list(MoneyKind::Refund, answer).await
}

/// Credit notes of a tenant, newest first
#[utoipa::path(get, path = "/v1/tenants/{tenant}/credit-notes",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), DatedQuery),
    responses((status = 200, body = Page<CreditNoteAnswer>, description = "A page"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn credit_notes(asked: Asked) -> Answer<Response> {
    let answer = async |rows: Vec<(String, MoneyRow)>| {
        let answer = |(id, row): (String, MoneyRow)| {
            let MoneyBook::CreditNote(book) = &row.book else {
                return Err(without_terms());
            };
            let it = book.terms().ok_or_else(without_terms)?;
            Ok(CreditNoteAnswer::of(id, &row, &it))
        };
        rows.into_iter().map(answer).collect()
    };
    asked.list(MoneyKind::CreditNote, answer).await
}

/// What a tenant pays by: kind, brand, last four digits and expiry
#[utoipa::path(get, path = "/v1/tenants/{tenant}/payment-method",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
    responses((status = 200, body = PaymentMethodAnswer, description = "What is charged by default"),
        (status = 304, description = "Unchanged since the given ETag"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn method(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    headers: HeaderMap,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    position::wait(&service, View::Status, Some(account.part), &headers).await?;
    let found = service
        .cache
        .status(account.part, account.stream.as_str())
        .await
        .map_err(unanswered)?;
    let row = found.value.as_ref();
    let nothing = StandingBook::default();
    let stand = Stand::of(&service, row.map_or(&nothing, |row| &row.book), Some(&name)).await?;
    let version = row.map_or(0, |row| row.sequence);
    let body = standing::written(&PaymentMethodAnswer {
        payment_method: stand.standing.payment_method.as_ref().map(MethodAnswer::of),
        updated_at: row.map(|row| row.changed_at),
        version,
    })?;
    let etag = Stand::etag(version, &stand.catalogue);
    Ok(standing::current(&etag, &found.freshness, &headers, body))
}
