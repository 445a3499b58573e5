//! `GET /v1/tenants`: all tenants, by id.

use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use projections::status::list::{self, Listed, TenantFilter};
use projections::views::View;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::tenants::{StripeIds, Words};
use crate::http::account::unanswered;
use crate::http::extract::Params;
use crate::http::page::{self, COUNTED_MAX, Page, PageInfo, Paging};
use crate::http::position;
use crate::http::problem::Answer;
use crate::http::state::Service;
use crate::http::text::{PlainText, SearchText};

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
    /// Where to look at Stripe.
    stripe: StripeIds,
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
    q: Option<SearchText>,
    /// Word of the status, for instance `past_due`
    status: Option<PlainText>,
    /// Code of the subscription's plan
    plan: Option<PlainText>,
    /// Entries of the page
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(min_length = 23, max_length = 512, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Count the entries over all pages, up to 10,000
    count: Option<bool>,
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
    let paging = Paging {
        limit: query.limit,
        cursor: query.cursor,
        count: query.count,
    };
    let size = paging.size()?;
    let filter = TenantFilter {
        q: query.q.map(|q| q.0).filter(|q| !q.is_empty()),
        status: query.status.map(|it| it.0),
        plan: query.plan.map(|it| it.0),
    };
    position::wait(&service, View::Status, None, &headers).await?;
    let list_name = format!("tenants {filter:?}");
    let after: Option<(String, String)> = service.cursors.read(&list_name, paging.cursor.as_deref())?;
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
    let counted = async {
        let counted = list::count_tenants(&service.db, &service.progress, &filter, COUNTED_MAX).await;
        counted.map_err(unanswered)
    };
    let count = paging.total(counted).await?;
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
            stripe: StripeIds::of(Some(&listed.row)),
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
