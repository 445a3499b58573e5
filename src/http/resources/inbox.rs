//! `/v1/webhook-inbox`: every delivery with its one outcome.

use std::collections::BTreeMap;

use aggregates::ids::{StreamId, StripeEventId};
use aggregates::operation::OperationEvent;
use aggregates::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::webhook;
use crate::http::account::{streams_of, unanswered};
use crate::http::extract::{Ids, Params};
use crate::http::guard::Caller;
use crate::http::idempotency::Command;
use crate::http::operations;
use crate::http::page::{self, COUNTED_MAX, Page, PageInfo, Paging};
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::http::text::{AccountName, PlainText};
use crate::inbox::{BodyKept, Custody, Receipt, ReceiptCursor, ReceiptFilter, ReceiptKey, State as ReceiptState};

/// Which receipts.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InboxFilter {
    /// Where they stand
    state: Option<ReceiptState>,
    /// The event's type, for instance `invoice.paid`
    #[serde(rename = "type")]
    event_type: Option<PlainText>,
    /// Receipts whose facts belong to the account of this tenant
    tenant: Option<AccountName>,
    /// The Stripe account, or `default`
    source: Option<PlainText>,
    /// Received at or after
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Received before
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Entries of the page
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(min_length = 23, max_length = 512, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Count the entries over all pages, up to 10,000
    count: Option<bool>,
}

/// One delivery.
#[derive(Serialize, ToSchema)]
pub struct ReceiptAnswer {
    /// The Stripe account, or `default`.
    source: String,
    /// Stripe's event id, or `body:<sha256>`.
    event_id: String,
    /// The event's type, where the body had one.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Live or test mode, where the body said.
    livemode: Option<bool>,
    /// Where it stands.
    state: ReceiptState,
    /// What it waits for, or why it is held.
    reason: Option<String>,
    /// Tries so far that failed.
    attempts: u32,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// When it is tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// When it got its outcome.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
    /// The stream its facts belong to.
    stream: Option<String>,
    /// The tenant of that stream's account; null where there is none, or its view does not know yet.
    tenant: Option<String>,
    /// Positions of its facts, `<part>.<position>`, first and last.
    positions: Option<[String; 2]>,
}

/// One delivery with what proves it.
#[derive(Serialize, ToSchema)]
pub struct CustodyAnswer {
    /// As lists show it.
    #[serde(flatten)]
    receipt: ReceiptAnswer,
    /// The signature header as it came.
    signature: String,
    /// Name of the secret that matched.
    secret_name: String,
    /// Path it came to.
    endpoint: String,
    /// SHA-256 of the body as it came, hex.
    body_digest: String,
    /// Whether the stored body is still what was signed.
    body_kept: BodyKept,
    /// The body with the values of personal fields left out; null when it is no JSON or was erased.
    body: Option<serde_json::Value>,
}

impl ReceiptAnswer {
    fn of(receipt: Receipt, tenants: &Tenants) -> Self {
        let placed = receipt.placed.as_ref();
        let tenant = placed.and_then(|placed| tenants.get(&placed.stream)?.clone());
        let positions = receipt.placed.as_ref().and_then(|placed| {
            let (first, last) = placed.positions?;
            Some([format!("{}.{first}", placed.part), format!("{}.{last}", placed.part)])
        });
        Self {
            source: receipt.key.source.to_string(),
            event_id: receipt.key.event.to_string(),
            event_type: receipt.event_type,
            livemode: receipt.livemode,
            state: receipt.state,
            reason: receipt.reason,
            attempts: receipt.attempts,
            received_at: receipt.received_at,
            next_at: receipt.next_at,
            settled_at: receipt.settled_at,
            stream: receipt.placed.map(|placed| placed.stream.to_string()),
            tenant,
            positions,
        }
    }
}

/// Tenants by stream.
type Tenants = BTreeMap<StreamId, Option<String>>;

/// The tenants of the accounts that receipts concern.
async fn tenants_of(service: &Service, receipts: &[Receipt]) -> Answer<Tenants> {
    let mut tenants = Tenants::new();
    for placed in receipts.iter().filter_map(|receipt| receipt.placed.as_ref()) {
        if tenants.contains_key(&placed.stream) {
            continue;
        }
        let found = service.cache.status(placed.part, placed.stream.as_str()).await;
        let row = found.map_err(unanswered)?.value;
        let tenant = row.and_then(|row| row.book.account.tenant.as_ref().map(ToString::to_string));
        tenants.insert(placed.stream.clone(), tenant);
    }
    Ok(tenants)
}

/// Deliveries, newest first
#[utoipa::path(get, path = "/v1/webhook-inbox", params(InboxFilter),
    responses((status = 200, body = Page<ReceiptAnswer>, description = "A page")))]
pub async fn list(State(service): State<Service>, Params(params): Params<InboxFilter>, uri: Uri) -> Answer<Response> {
    let paging = Paging {
        limit: params.limit,
        cursor: params.cursor,
        count: params.count,
    };
    let size = paging.size()?;
    page::within_span(params.from, params.to)?;
    let mut filter = ReceiptFilter {
        state: params.state,
        event_type: params.event_type.map(|it| it.0),
        streams: None,
        source: params.source.map(|it| it.0),
        from: params.from,
        to: params.to,
    };
    // By the account's name: its streams may change between two pages.
    let name = format!("webhook-inbox {filter:?} {:?}", params.tenant);
    filter.streams = streams(&service, params.tenant.as_ref()).await?;
    let after: Option<ReceiptCursor> = service.cursors.read(&name, paging.cursor.as_deref())?;
    let mut found = service
        .receipts
        .list(&filter, after.as_ref(), size + 1)
        .await
        .map_err(Problem::store)?;
    let has_more = found.len() > size as usize;
    found.truncate(size as usize);
    let place = found.last().filter(|_| has_more).map(|last| ReceiptCursor {
        received_at: last.received_at,
        source: (&*last.key.source).into(),
        event: last.key.event.as_str().into(),
    });
    let next_cursor = place.map(|place| service.cursors.write(&name, &place)).transpose()?;
    let counted = async {
        let counted = service.receipts.count(&filter, COUNTED_MAX).await;
        counted.map_err(Problem::store)
    };
    let count = paging.total(counted).await?;
    let tenants = tenants_of(&service, &found).await?;
    let of = |receipt| ReceiptAnswer::of(receipt, &tenants);
    let data = found.into_iter().map(of).collect();
    Ok(page::respond(
        Page {
            data,
            page: PageInfo {
                next_cursor,
                has_more,
                count,
            },
        },
        &uri,
    ))
}

/// The streams of the account that a filter names.
pub(super) async fn streams(service: &Service, name: Option<&AccountName>) -> Answer<Option<Vec<String>>> {
    let Some(AccountName(account)) = name else {
        return Ok(None);
    };
    let streams = streams_of(service, account).await?;
    Ok(Some(streams.iter().map(ToString::to_string).collect()))
}

fn key((source, event): (String, String)) -> Answer<ReceiptKey> {
    let event = StripeEventId::parse(&event).map_err(|_| Problem::not_found())?;
    Ok(ReceiptKey::new(&source, event))
}

/// One delivery with what proves it
#[utoipa::path(get, path = "/v1/webhook-inbox/{source}/{event_id}",
    params(("source" = String, Path, description = "The Stripe account, or `default`"), ("event_id" = String, Path, description = "Stripe's event id")),
    responses((status = 200, body = CustodyAnswer, description = "The delivery")))]
pub async fn show(State(service): State<Service>, Ids(ids): Ids<(String, String)>) -> Answer<Json<CustodyAnswer>> {
    let custody = service.receipts.get(&key(ids)?).await.map_err(webhook::problem)?;
    let body_kept = custody.body_kept();
    let tenants = tenants_of(&service, std::slice::from_ref(&custody.receipt)).await?;
    let Custody {
        receipt,
        signature,
        secret_name,
        endpoint,
        digest,
        body,
    } = custody;
    Ok(Json(CustodyAnswer {
        receipt: ReceiptAnswer::of(receipt, &tenants),
        signature,
        secret_name,
        endpoint,
        body_digest: hex::encode(digest),
        body_kept,
        body: body.as_deref().and_then(redacted),
    }))
}

/// The body as it is stored; who read it is recorded
#[utoipa::path(get, path = "/v1/webhook-inbox/{source}/{event_id}/raw",
    params(("source" = String, Path, description = "The Stripe account, or `default`"), ("event_id" = String, Path, description = "Stripe's event id")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "The bytes")))]
pub async fn raw(
    State(service): State<Service>,
    caller: Caller,
    Ids(ids): Ids<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer<Response> {
    let key = key(ids)?;
    let custody = service.receipts.get(&key).await.map_err(webhook::problem)?;
    let body = custody.body.ok_or_else(Problem::not_found)?;
    let command = Command::of(&caller.0, &Method::GET, &uri, &headers, b"")?;
    let event = OperationEvent::RawReceiptRead {
        source: (&*key.source).into(),
        event: key.event.as_str().into(),
    };
    let stream = crate::inbox::admin::stream_of(&key);
    operations::record(&service, &command, &caller.0, &stream, &event).await?;
    let kind = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Ok(([kind], body).into_response())
}

/// Fields whose values are about people; what was left out is said.
const PERSONAL: &[&str] = &[
    "name",
    "email",
    "phone",
    "address",
    "shipping",
    "billing_details",
    "receipt_email",
    "customer_email",
    "customer_name",
    "customer_phone",
    "customer_address",
    "customer_shipping",
    "customer_details",
    "individual_name",
    "business_name",
    "ip_address",
    "ip",
    "user_agent",
    "value",
    "line1",
    "line2",
    "postal_code",
    "city",
];

fn redacted(body: &[u8]) -> Option<serde_json::Value> {
    let mut value = serde_json::from_slice(body).ok()?;
    redact(&mut value);
    Some(value)
}

/// The reader of JSON text stops at depth 128, so this does too.
fn redact(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, inner) in fields {
                if PERSONAL.contains(&name.as_str()) && !inner.is_null() {
                    *inner = "(left out)".into();
                } else {
                    redact(inner);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(redact),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}
