//! Server-sent events of an account and of the whole log, and the tickets by which a browser opens them.

use aggregates::time::Timestamp;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::audit::{AuditWanted, filter};
use crate::auth::ticket::SpeaksFor;
use crate::http::TABLE;
use crate::http::account::asked;
use crate::http::extract::{Body, Params};
use crate::http::guard::{self, AccountRef, Caller, ClientAddress};
use crate::http::idempotency::{Command, Done};
use crate::http::page;
use crate::http::problem::{Answer, Problem};
use crate::http::router::Row;
use crate::http::state::Service;
use crate::http::streams::connection::{self, Listener};
use crate::http::streams::wanted::Wanted;
use crate::http::text::{AccountName, PlainText, StreamPath};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Path of the stream of an account, before and after its name.
const OF_ACCOUNT: (&str, &str) = ("/v1/tenants/", "/subscription/stream");
/// Path of the stream of the whole log.
const OF_AUDIT: &str = "/v1/audit/stream";
/// The part tickets lie in.
const TICKET_PART: u32 = 0;

/// How a stream is opened.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// A ticket in place of a bearer credential
    #[param(min_length = 1, max_length = 128)]
    #[expect(dead_code, reason = "the guard has used it")]
    ticket: Option<String>,
    /// Id of the last event seen, for those who cannot send the header
    #[param(min_length = 1, max_length = 512)]
    last_event_id: Option<String>,
}

/// Which events are told, and how the stream is opened.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditStreamQuery {
    /// Of the account of this tenant
    tenant: Option<AccountName>,
    /// Of this stream of the log, for instance `key:ab12cd34`
    stream: Option<PlainText>,
    /// Stored name, for instance `subscription.plan_changed`
    #[serde(rename = "type")]
    event_type: Option<PlainText>,
    /// Family, for instance `invoices`
    family: Option<PlainText>,
    /// Who caused it, for instance `stripe:evt_1`, `key:ab12cd34` or `operator`
    actor: Option<PlainText>,
    /// Source of the receipt behind it: a Stripe account or `default`
    source: Option<PlainText>,
    /// Recorded at or after
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Recorded before
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The event's own id, or the id of the Stripe event behind it
    event_id: Option<PlainText>,
    /// A ticket in place of a bearer credential
    #[param(min_length = 1, max_length = 128)]
    #[expect(dead_code, reason = "the guard has used it")]
    ticket: Option<String>,
    /// Id of the last event seen, for those who cannot send the header
    #[param(min_length = 1, max_length = 512)]
    last_event_id: Option<String>,
}

/// Which stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    /// Its path.
    stream: StreamPath,
}

/// A ticket.
#[derive(Serialize, ToSchema)]
pub struct TicketAnswer {
    /// Opens the stream once, as `?ticket=`; null when the request was sent again: a ticket is not kept.
    ticket: Option<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// The header wins: a browser that comes back by itself sends it with the address it was first given.
fn last_seen(headers: &HeaderMap, query: Option<String>) -> Option<String> {
    let header = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    header.filter(|id| !id.is_empty()).map(str::to_owned).or(query)
}

/// What happens to a tenant's account, as it is recorded
#[utoipa::path(get, path = "/v1/tenants/{tenant}/subscription/stream",
    params(("tenant" = String, Path, description = "Tenant, `me`, or a Stripe customer"), StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen; the stream goes on after it")),
    responses((status = 200, content_type = "text/event-stream", body = String,
            description = "Server-sent events named like entries of the history, whose JSON they carry; `reset`: events were left out, read anew; `expired`: open it again"),
        (status = 429, description = "The tenant has 20 streams open (`rate-limited`)")))]
pub async fn subscription(
    State(service): State<Service>,
    name: AccountRef,
    caller: Caller,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    Params(query): Params<StreamQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let account = asked(&service, &name, &caller).await?;
    let seat = service.streams().seat(account.stream.to_string())?;
    let listener = Listener {
        caller,
        address,
        wanted: Wanted::Account {
            part: account.part,
            stream: account.stream.to_string(),
        },
        name: Some(name),
        last_seen: last_seen(&headers, query.last_event_id),
        seat,
    };
    connection::open(&service, listener).await
}

/// Every event of the log that the filter admits, as it is recorded
#[utoipa::path(get, path = "/v1/audit/stream", params(AuditStreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen; the stream goes on after it")),
    responses((status = 200, content_type = "text/event-stream", body = String,
            description = "Server-sent events named by their stored names, whose lines of the index they carry; `reset`: events were left out, read anew; `expired`: open it again"),
        (status = 429, description = "The caller has 20 streams open (`rate-limited`)")))]
pub async fn audit(
    State(service): State<Service>,
    caller: Caller,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    Params(query): Params<AuditStreamQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    page::within_span(query.from, query.to)?;
    let wanted = AuditWanted {
        tenant: query.tenant,
        stream: query.stream,
        event_type: query.event_type,
        family: query.family,
        actor: query.actor,
        source: query.source,
        from: query.from,
        to: query.to,
        event_id: query.event_id,
    };
    let wanted = Wanted::Audit(Box::new(filter(&service, &wanted).await?));
    let seat = service.streams().seat(format!("caller {}", caller.0.scope_name()))?;
    let listener = Listener {
        caller,
        address,
        wanted,
        name: None,
        last_seen: last_seen(&headers, query.last_event_id),
        seat,
    };
    connection::open(&service, listener).await
}

/// A ticket that opens one stream once within 30 s, for browsers: `EventSource` sends no headers
#[utoipa::path(post, path = "/v1/stream-tickets", request_body = TicketRequest,
    responses((status = 201, body = TicketAnswer, description = "The ticket"),
        (status = 404, description = "There is no such account (`not-found`)")))]
pub async fn ticket(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body<TicketRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &method, &uri, &headers, &body.bytes)?;
    let stream = opens(&service, &caller, &body.value.stream.0).await?;
    let issue = async {
        command.claim_answer(&service, TICKET_PART).await?;
        let speaks_for = SpeaksFor::of(&caller.0);
        let speaks_for = speaks_for.ok_or_else(|| Problem::internal("a portal token without a tenant was accepted"))?;
        let now = service.clock.now();
        let issued = service.tickets().issue(stream, &speaks_for, now).await;
        let (ticket, expires_at) = issued.map_err(Problem::store)?;
        let shown = |ticket: Value| json!({ "ticket": ticket, "expires_at": expires_at });
        let mut done = Done::new(StatusCode::CREATED, shown(ticket.into()), None);
        done.stored = Some(shown(Value::Null));
        Ok(done)
    };
    command.once(&service, TICKET_PART, issue).await
}

fn row_of(path: &str) -> Answer<&'static Row> {
    let row = TABLE.iter().find(|row| row.method == "GET" && row.path == path);
    row.ok_or_else(|| Problem::internal(format!("no route {path}")))
}

/// The stream a caller may open, by the name a ticket is bound to: what its guard will ask is asked now.
async fn opens(service: &Service, caller: &Caller, path: &str) -> Answer<String> {
    let segment = path
        .strip_prefix(OF_ACCOUNT.0)
        .and_then(|rest| rest.strip_suffix(OF_ACCOUNT.1));
    let Some(segment) = segment else {
        let row = row_of(OF_AUDIT)?;
        guard::may_call(row, &caller.0)?;
        guard::may_span(row, &caller.0)?;
        return Ok(guard::bound_name(row, None));
    };
    let row = row_of("/v1/tenants/{tenant}/subscription/stream")?;
    guard::may_call(row, &caller.0)?;
    let name = guard::named(segment, &caller.0)?;
    asked(service, &name, caller).await?;
    Ok(guard::bound_name(row, Some(&name)))
}

/// Whether a text is the path of a stream: its account by name, `me`, or a Stripe customer.
pub fn stream_path(text: &str) -> Result<String, String> {
    let segment = text
        .strip_prefix(OF_ACCOUNT.0)
        .and_then(|rest| rest.strip_suffix(OF_ACCOUNT.1));
    let is_name = |segment: &str| segment == "me" || AccountRef::parse(segment).is_ok();
    if text == OF_AUDIT || segment.is_some_and(is_name) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{OF_AUDIT} or {}<tenant>{} is a stream; another path is none",
        OF_ACCOUNT.0, OF_ACCOUNT.1
    ))
}
