//! `GET /v1/tenants/{tenant}/invoices`: an account's invoices, and one of them with all that belongs to it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use projections::invoices::InvoiceRow;
use projections::invoices::list as found;
use projections::money::MoneyKind;
use projections::money::list::{Relation, related};
use projections::query::Answer as Found;
use projections::views::View;

use super::dated::{DatedPage, DatedQuery};
use super::invoice_answer::{InvoiceAnswer, InvoiceDetail};
use crate::auth::Principal;
use crate::http::account::{Account, asked, unanswered};
use crate::http::extract::{Ids, Params};
use crate::http::guard::{AccountRef, Caller};
use crate::http::page::{COUNTED_MAX, Page};
use crate::http::position;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;

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
