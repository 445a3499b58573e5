//! `GET /v1/tenants/{tenant}/invoices`: an account's invoices, one of them with all that belongs to it, and what only
//! Stripe has: its PDF, and the invoice that comes next.

use aggregates::ids::{CustomerId, SubscriptionId};
use aggregates::subscription::asked::Proration;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use projections::invoices::InvoiceRow;
use projections::invoices::list as found;
use projections::money::MoneyKind;
use projections::money::list::{Relation, related};
use projections::query::Answer as Found;
use projections::views::View;

use super::dated::{DatedPage, DatedQuery};
use super::invoice_answer::{InvoiceAnswer, InvoiceDetail, UpcomingAnswer, UpcomingInvoice};
use super::standing::Stand;
use crate::auth::Principal;
use crate::http::account::{Account, asked, unanswered};
use crate::http::extract::{Ids, Params};
use crate::http::guard::{AccountRef, Caller};
use crate::http::page::{COUNTED_MAX, Page};
use crate::http::position;
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::state::Service;
use crate::http::stripe::{Question, ask};
use crate::stripe::gateway::call::ItemsChange;
use crate::stripe::gateway::{Call, ObjectKind, Read, Refusal};
use crate::stripe::translate::preview;

/// Rows that are no invoices: previews have their notice in the history, and a deleted draft never was one. Drafts can
/// still change, so the account's own people are not shown them.
const fn left_out(caller: &Principal) -> &'static [&'static str] {
    if caller.role().is_some() {
        &["upcoming", "deleted", "draft"]
    } else {
        &["upcoming"]
    }
}

/// Invoices of a tenant, newest first
#[utoipa::path(get, path = "/v1/tenants/{tenant}/invoices",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), DatedQuery),
    responses((status = 200, body = Page<InvoiceAnswer>, description = "A page"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn list(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Params(query): Params<DatedQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    let filter = query.invoices(left_out(&caller.0));
    let page = DatedPage::asked(&service, &account, &query, &format!("invoices {filter:?}"))?;
    position::wait(&service, View::Invoices, Some(account.part), &headers).await?;
    let place = (account.part, account.stream.as_str());
    let (db, progress) = (&service.db, &service.progress);
    let rows = found::list(db, progress, place, &filter, page.after(), page.limit()).await;
    let Found { mut value, freshness } = rows.map_err(unanswered)?;
    let next = page.cut(&mut value, |row| row.book.invoice.terms().map(|it| it.created_at));
    let answers = value.into_iter().map(|(id, row)| InvoiceAnswer::of(id, &row));
    let data = answers.collect::<Answer<Vec<_>>>()?;
    let counted = async {
        let counted = found::count(db, progress, place, &filter, COUNTED_MAX).await;
        counted.map_err(unanswered)
    };
    page.respond(&service, (data, next), counted, &freshness, &uri).await
}

/// The row of an invoice its caller may see; a foreign one answers like none.
pub(super) async fn row_of(
    service: &Service,
    account: &Account,
    caller: &Principal,
    invoice: &str,
) -> Answer<Found<InvoiceRow>> {
    let place = (account.part, account.stream.as_str());
    let found = found::get(&service.db, &service.progress, place, invoice).await;
    let Found { value, freshness } = found.map_err(unanswered)?;
    let is_shown = |row: &InvoiceRow| {
        let terms = row.book.invoice.terms();
        terms.is_some_and(|it| !left_out(caller).contains(&it.status.as_str()))
    };
    let value = value.filter(is_shown).ok_or_else(Problem::not_found)?;
    Ok(Found { value, freshness })
}

/// One invoice with its lines, payments and credit notes
#[utoipa::path(get, path = "/v1/tenants/{tenant}/invoices/{id}",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"),
        ("id" = String, Path, description = "The invoice's id at Stripe")),
    responses((status = 200, body = InvoiceDetail, description = "The invoice"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn show(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Ids((_, id)): Ids<(String, String)>,
    headers: HeaderMap,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    position::wait(&service, View::Invoices, Some(account.part), &headers).await?;
    position::wait(&service, View::Money, Some(account.part), &headers).await?;
    let found = row_of(&service, &account, &caller.0, &id).await?;
    let place = (account.part, account.stream.as_str());
    let of_invoice = (MoneyKind::CreditNote, Relation::Invoice);
    let notes = related(&service.db, &service.progress, place, of_invoice, vec![id.clone()]).await;
    let notes = notes.map_err(unanswered)?.into_iter().map(|(note, _)| note);
    let detail = InvoiceDetail::of(id, &found.value, notes.collect())?;
    let mut response = Json(detail).into_response();
    position::announce_view(&found.freshness, response.headers_mut());
    Ok(response)
}

/// Stripe's code for an account that will not be billed again.
const NOTHING_UPCOMING: &str = "invoice_upcoming_none";

/// Whose link it is: Stripe's own, or that of a stand-in on this machine.
fn is_trusted(link: &str) -> bool {
    let loopback = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    link.starts_with("https://") || loopback.iter().any(|begin| link.starts_with(begin))
}

/// Sends to the PDF of an invoice: a fresh link of Stripe's, which ends after a while and is never kept
#[utoipa::path(get, path = "/v1/tenants/{tenant}/invoices/{id}/pdf",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"),
        ("id" = String, Path, description = "The invoice's id at Stripe")),
    responses((status = 303, description = "Location is the PDF"),
        (status = 404, description = "There is no such invoice, or it has no PDF before it is finalized (`not-found`)"),
        (status = 502, description = "Stripe cannot be asked (`stripe-unavailable`)"),
        (status = 503, description = "Stripe takes no more questions (`stripe-busy`), or no key for it is set (`not-configured`)"),
        (status = 504, description = "Stripe did not answer in time (`stripe-timeout`)")))]
pub async fn pdf(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Ids((_, id)): Ids<(String, String)>,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    // Whose it is says the ledger: Stripe would give the link of any invoice.
    row_of(&service, &account, &caller.0, &id).await?;
    let read = Read::object(ObjectKind::Invoice, &id);
    let answer = match ask(&service, Question::Read(&read)).await? {
        Ok(answer) => answer,
        Err(refusal) if refusal.is_missing() => return Err(Problem::not_found()),
        Err(refusal) => return Err(unexplained(&refusal)),
    };
    let Some(link) = answer.text("invoice_pdf") else {
        let detail = "the invoice has no PDF before it is finalized";
        return Err(Problem::new(ProblemKind::NotFound, detail));
    };
    let location = HeaderValue::from_str(link).ok().filter(|_| is_trusted(link));
    let location = location.ok_or_else(|| unreadable("the link of an invoice is no web address"))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn unexplained(refusal: &Refusal) -> Problem {
    tracing::warn!(error = %refusal, "Stripe refused a question of a reader");
    Problem::new(ProblemKind::StripeUnavailable, "Stripe refused the question")
}

fn unreadable(cause: impl std::fmt::Display) -> Problem {
    tracing::warn!(error = %cause, "an answer of Stripe cannot be used");
    Problem::new(
        ProblemKind::StripeUnavailable,
        "Stripe gave an answer that cannot be read",
    )
}

/// What a tenant will be billed next, by Stripe's own reckoning now
#[utoipa::path(get, path = "/v1/tenants/{tenant}/upcoming-invoice",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer")),
    responses((status = 200, body = UpcomingAnswer, description = "The invoice as it would be; null when nothing will be billed"),
        (status = 502, description = "Stripe cannot be asked (`stripe-unavailable`)"),
        (status = 503, description = "Stripe takes no more questions (`stripe-busy`), or no key for it is set (`not-configured`)"),
        (status = 504, description = "Stripe did not answer in time (`stripe-timeout`)")))]
pub async fn upcoming(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    headers: HeaderMap,
) -> Answer<Json<UpcomingAnswer>> {
    let account = asked(&service, &name, &caller).await?;
    position::wait(&service, View::Status, Some(account.part), &headers).await?;
    let Some((customer, subscription)) = billed(&service, &account).await? else {
        return Ok(Json(UpcomingAnswer { invoice: None }));
    };
    let change = ItemsChange {
        subscription,
        items: Vec::new(),
        proration: Proration::default(),
        prorate_at: None,
        keeps_subscription: false,
    };
    let call = Call::Preview { customer, change };
    let answer = match ask(&service, Question::Preview(&call)).await? {
        Ok(answer) => answer,
        Err(refusal) if refusal.code.as_deref() == Some(NOTHING_UPCOMING) => {
            return Ok(Json(UpcomingAnswer { invoice: None }));
        }
        Err(refusal) => return Err(unexplained(&refusal)),
    };
    let snapshot = preview(&answer.object, service.clock.now()).map_err(unreadable)?;
    Ok(Json(UpcomingAnswer {
        invoice: Some(UpcomingInvoice::of(&snapshot)),
    }))
}

/// Customer and running subscription of an account; none: nothing will be billed.
async fn billed(service: &Service, account: &Account) -> Answer<Option<(CustomerId, SubscriptionId)>> {
    let found = service.cache.status(account.part, account.stream.as_str()).await;
    let Some(row) = found.map_err(unanswered)?.value else {
        return Ok(None);
    };
    let stand = Stand::of(service, &row.book, None).await?;
    let subscription = stand.standing.subscription;
    let running = subscription.filter(|subscription| stand.standing.live.contains(subscription));
    Ok(row.book.account.customer.clone().zip(running))
}
