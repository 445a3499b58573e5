//! `/v1/unassigned-accounts`: Stripe customers that no tenant owns yet, and giving them to one.

use aggregates::ids::CustomerId;
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use projections::status::list::{self, Involved};
use projections::views::View;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plans::MoneyAnswer;
use super::tenants::{StripeIds, TenantAnswer, Words, asker, changed, refused};
use crate::http::account::unanswered;
use crate::http::extract::{Body, Ids, Params};
use crate::http::guard::{AccountRef, Caller};
use crate::http::idempotency::Command;
use crate::http::page::{self, COUNTED_MAX, Page, PageInfo, Paging};
use crate::http::position;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::http::text::{Reason, TenantName};

/// Name of the list in cursors.
const LIST: &str = "unassigned-accounts";

/// An account that no tenant owns.
#[derive(Serialize, ToSchema)]
pub struct UnassignedAnswer {
    /// The customer at Stripe; it also addresses the account, as `/v1/tenants/{customer}`.
    stripe: StripeIds,
    /// Its stream.
    stream: String,
    /// When the ledger first heard of it.
    #[schema(value_type = String, format = DateTime)]
    first_seen_at: Timestamp,
    /// `none`, one of Stripe's statuses, or `unrecognised`.
    status: Box<str>,
    /// Code of the subscription's plan.
    plan: Option<String>,
    /// Money on its invoices, by currency.
    money: Vec<InvolvedAnswer>,
}

/// Money of one currency.
#[derive(Serialize, ToSchema)]
pub struct InvolvedAnswer {
    /// Number of invoices.
    invoices: u64,
    /// Asked for in all.
    due: MoneyAnswer,
    /// Paid so far.
    paid: MoneyAnswer,
}

impl InvolvedAnswer {
    fn of(involved: Involved) -> Self {
        let currency = involved.currency;
        let money = |amount_minor: i64| MoneyAnswer {
            amount_minor,
            currency: currency.clone(),
        };
        Self {
            invoices: involved.invoices,
            due: money(involved.due_minor),
            paid: money(involved.paid_minor),
        }
    }
}

/// Who is to own an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignRequest {
    /// The tenant.
    tenant: TenantName,
    /// Why; recorded on the event.
    reason: Reason,
}

/// Accounts without a tenant, oldest first
#[utoipa::path(get, path = "/v1/unassigned-accounts", params(Paging),
    responses((status = 200, body = Page<UnassignedAnswer>, description = "A page"),
        (status = 503, description = "The view has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn list(
    State(service): State<Service>,
    Params(paging): Params<Paging>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer<Response> {
    let size = paging.size()?;
    position::wait(&service, View::Status, None, &headers).await?;
    let after: Option<(Timestamp, String)> = service.cursors.read(LIST, paging.cursor.as_deref())?;
    let place = after
        .as_ref()
        .map(|(first_seen_at, stream)| (*first_seen_at, &**stream));
    let found = list::unassigned(&service.db, &service.progress, place, size + 1).await;
    let mut found = found.map_err(unanswered)?;
    let has_more = found.len() > size as usize;
    found.truncate(size as usize);
    let last = found.last().filter(|_| has_more);
    let last = last.map(|it| (it.account.row.first_seen_at, it.account.stream.clone()));
    let next_cursor = last.map(|place| service.cursors.write(LIST, &place)).transpose()?;
    let counted = async {
        let counted = list::count_unassigned(&service.db, &service.progress, COUNTED_MAX).await;
        counted.map_err(unanswered)
    };
    let count = paging.total(counted).await?;
    let data = found.into_iter().map(|it| {
        let row = &it.account.row;
        let words = Words::of(&service, Some(row));
        UnassignedAnswer {
            stripe: StripeIds::of(Some(row)),
            first_seen_at: row.first_seen_at,
            status: words.status,
            plan: words.plan,
            money: it.money.into_iter().map(InvolvedAnswer::of).collect(),
            stream: it.account.stream,
        }
    });
    let info = PageInfo {
        next_cursor,
        has_more,
        count,
    };
    let page = Page {
        data: data.collect(),
        page: info,
    };
    let mut response = page::respond(page, &uri);
    position::announce_list(&service, View::Status, response.headers_mut());
    Ok(response)
}

/// Give an account to a tenant; its history stays where it is
#[utoipa::path(post, path = "/v1/unassigned-accounts/{customer}/assign", params(("customer" = String, Path, description = "The Stripe customer")),
    request_body = AssignRequest, responses((status = 200, body = TenantAnswer, description = "The tenant"),
    (status = 409, description = "The tenant or the account belongs elsewhere (`tenant-already-linked`), others kept writing (`write-conflict`), or the same request is still running")))]
#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing a handler is given by the router"
)]
pub async fn assign(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    Ids(customer): Ids<String>,
    body: Body<AssignRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &method, &uri, &headers, &body.bytes)?;
    let customer = CustomerId::parse(&customer).map_err(|_| Problem::not_found())?;
    let AssignRequest {
        tenant: TenantName(tenant),
        reason: Reason(reason),
    } = body.value;
    let found = service.finder().find(&AccountRef::Customer(customer.clone())).await;
    let account = found.map_err(Problem::store)?.ok_or_else(Problem::not_found)?;
    let run = async {
        let asker = asker(&service, &command, &caller, &extensions);
        let given = service.accounts().assign(&asker, &customer, &tenant, &reason).await;
        let standing = given.map_err(refused)?;
        changed(&service, &AccountRef::Tenant(tenant.clone()), &standing, StatusCode::OK).await
    };
    command.once(&service, account.part, run).await
}
