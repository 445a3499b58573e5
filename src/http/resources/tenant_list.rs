//! `GET /v1/tenants`: all tenants, by id.

use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use projections::status::list::{self, Listed, TenantFilter};
use projections::views::View;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::tenants::{Words, customer_of};
use crate::http::account::unanswered;
use crate::http::extract::Params;
use crate::http::page::{self, COUNT_MAX, Page, PageInfo, Paging, shown_count};
use crate::http::position;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;

/// Longest text to search for.
const SEARCH_CHARACTERS_MAX: usize = 128;

/// One line of the list.
#[derive(Serialize, ToSchema)]
pub struct TenantLine {
    /// Its id.
    tenant: String,
    /// Display name.
    name: Option<String>,
    /// Contact address.
    email: Option<String>,
    /// The currency it is billed in.
    currency: Option<String>,
    /// Its customer at Stripe.
    stripe_customer: Option<String>,
    /// `none`, one of Stripe's statuses, or `unrecognised`.
    status: Box<str>,
    /// `full`, `grace`, `restricted` or `blocked`.
    access: &'static str,
    /// Code of the subscription's plan, held or not.
    plan: Option<String>,
    /// When the ledger first heard of it.
    #[schema(value_type = String, format = DateTime)]
    first_seen_at: Timestamp,
    /// When its account last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Sequence of the account's last event.
    version: u64,
}

/// Which tenants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TenantQuery {
    /// Found in the id, the Stripe customer, the name or the address
    #[param(max_length = 128)]
    q: Option<String>,
    /// Word of the status, for instance `past_due`
    status: Option<String>,
    /// Code of the subscription's plan
    plan: Option<String>,
    /// Count the tenants over all pages, up to 10,000
    count: Option<bool>,
    /// Entries of the page
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(max_length = 512)]
    cursor: Option<String>,
}

/// All tenants, by id
#[utoipa::path(get, path = "/v1/tenants", params(TenantQuery),
    responses((status = 200, body = Page<TenantLine>, description = "A page"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn list(
    State(service): State<Service>,
    Params(query): Params<TenantQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer<Response> {
    let size = Paging {
        limit: query.limit,
        cursor: None,
    }
    .size()?;
    if query
        .q
        .as_deref()
        .is_some_and(|q| q.chars().count() > SEARCH_CHARACTERS_MAX || q.contains('\0'))
    {
        let rule = format!("at most {SEARCH_CHARACTERS_MAX} characters");
        return Err(Problem::malformed("q cannot be searched for").at("?q", rule));
    }
    let filter = TenantFilter {
        q: query.q.filter(|q| !q.is_empty()),
        status: query.status,
        plan: query.plan,
    };
    position::wait(&service, View::Status, None, &headers).await?;
    let list_name = format!("tenants {filter:?}");
    let after: Option<(String, String)> = service.cursors.read(&list_name, query.cursor.as_deref())?;
    let place = after.as_ref().map(|(tenant, stream)| (&**tenant, &**stream));
    let found = list::tenants(&service.db, &service.progress, &filter, place, size + 1).await;
    let mut found = found.map_err(unanswered)?;
    let has_more = found.len() > size as usize;
    found.truncate(size as usize);
    let last = found
        .last()
        .filter(|_| has_more)
        .map(|it| (id_of(it), it.stream.clone()));
    let next_cursor = last
        .map(|place| service.cursors.write(&list_name, &place))
        .transpose()?;
    let count = match query.count {
        Some(true) => Some(count(&service, &filter).await?),
        Some(false) | None => None,
    };
    let data = lines(&service, found, after.map(|(tenant, _)| tenant));
    let info = PageInfo {
        next_cursor,
        has_more,
        count,
    };
    let mut response = page::respond(Page { data, page: info }, &uri);
    position::announce_list(&service, View::Status, response.headers_mut());
    Ok(response)
}

async fn count(service: &Service, filter: &TenantFilter) -> Answer<String> {
    let most = u32::try_from(COUNT_MAX + 1).unwrap_or(u32::MAX);
    let counted = list::count_tenants(&service.db, &service.progress, filter, most).await;
    Ok(shown_count(counted.map_err(unanswered)?))
}

fn id_of(listed: &Listed) -> String {
    listed
        .row
        .book
        .account
        .tenant
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// One line a tenant. A tenant whose own stream yielded to that of its customer has two rows, the customer's first.
fn lines(service: &Service, found: Vec<Listed>, mut before: Option<String>) -> Vec<TenantLine> {
    let mut lines = Vec::with_capacity(found.len());
    for listed in found {
        let tenant = id_of(&listed);
        if before.as_ref() == Some(&tenant) {
            continue;
        }
        let words = Words::of(service, Some(&listed.row));
        lines.push(TenantLine {
            tenant: tenant.clone(),
            name: listed.name,
            email: listed.email,
            currency: words.currency,
            stripe_customer: customer_of(&listed.row),
            status: words.status,
            access: words.access,
            plan: words.plan,
            first_seen_at: listed.row.first_seen_at,
            updated_at: listed.row.changed_at,
            version: listed.row.sequence,
        });
        before = Some(tenant);
    }
    lines
}
