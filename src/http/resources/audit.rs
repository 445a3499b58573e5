//! `/v1/audit`: every event there is, what one of them changed, and the state of an account at any time.

use aggregates::ids::StreamId;
use aggregates::partition::part_of;
use aggregates::recorded::Metadata;
use aggregates::subscription::history::{AsOf, Basis};
use aggregates::subscription::standing::AccessPolicy;
use aggregates::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use projections::audit::AuditRow;
use projections::audit::list::{self, AuditFilter, AuditPlace};
use projections::log::{StoredEvent, read_event, read_stream};
use projections::projection::LogEvent;
use projections::views::View;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::standing;
use crate::http::account::{self, unanswered};
use crate::http::extract::{Ids, Params};
use crate::http::guard::AccountRef;
use crate::http::page::{self, COUNTED_MAX, CURSOR_BYTES_MAX, Page, PageInfo, Paging};
use crate::http::past::{self, AsOfAnswer, BasisWord, PointInTime};
use crate::http::position::{self, LedgerPosition};
use crate::http::problem::{Answer, Problem};
use crate::http::rebuilt::{self, FieldChange, Fold};
use crate::http::state::Service;
use crate::http::text::{AccountName, PlainText};

/// Events of a stream read by one statement.
const PAGE_EVENTS: u32 = 1_000;

/// Which events; everything given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Of the account of this tenant
    tenant: Option<AccountName>,
    /// Of this stream, for instance `key:ab12cd34`
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
    /// Entries of the page
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(min_length = 23, max_length = 512, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Count the entries over all pages, up to 10,000
    count: Option<bool>,
}

/// One line of the audit index.
#[derive(Serialize, ToSchema)]
pub struct AuditLine {
    /// Its address: `<part>.<position>`.
    position: String,
    /// Its stream.
    stream: String,
    /// Place in its stream.
    sequence: u64,
    /// Tenant of the stream when it was recorded.
    tenant: Option<String>,
    /// Family.
    family: String,
    /// Stored name.
    #[serde(rename = "type")]
    event_type: String,
    /// Who caused it.
    actor: String,
    /// The receipt behind it, `<source>/<event id>`.
    receipt: Option<String>,
    /// Its id.
    event_id: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// When the ledger learnt it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

impl AuditLine {
    /// Of a row of the index.
    #[must_use]
    pub fn of(part: u32, row: AuditRow) -> Self {
        let place = LedgerPosition {
            part,
            position: row.position,
        };
        Self {
            position: place.to_string(),
            stream: row.stream.into(),
            sequence: row.sequence,
            tenant: row.tenant.map(Into::into),
            family: row.family.into_owned(),
            event_type: row.event_type.into(),
            actor: row.actor.into(),
            receipt: row.receipt.map(Into::into),
            event_id: row.event_id.to_string(),
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
        }
    }
}

/// One event with its cause, its hash and what it changed.
#[derive(Serialize, ToSchema)]
pub struct EventAnswer {
    /// Its address: `<part>.<position>`.
    position: String,
    /// Aggregate type of its stream.
    aggregate_type: String,
    /// Its stream.
    stream: String,
    /// Place in its stream.
    sequence: u64,
    /// Tenant of the stream when it was recorded.
    tenant: Option<String>,
    /// Stored name.
    #[serde(rename = "type")]
    event_type: String,
    /// Version of its payload.
    event_version: u32,
    /// Family.
    family: &'static str,
    /// Its id.
    event_id: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// When the ledger learnt it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// What it says. Events hold ids and terms; names and addresses are never in them.
    payload: Value,
    /// What made it happen.
    cause: CauseAnswer,
    /// What proves it.
    hashes: HashesAnswer,
    /// Fields of its stream's state that it changed, at most 500.
    changes: Vec<FieldChange>,
}

/// What made an event happen.
#[derive(Serialize, ToSchema)]
pub struct CauseAnswer {
    /// Who, for instance `stripe:evt_1`.
    actor: String,
    /// The receipt behind it, `<source>/<event id>`.
    receipt: Option<Box<str>>,
    /// API version of the Stripe object behind it.
    api_version: Option<Box<str>>,
    /// Idempotency key of the Stripe request that caused it.
    request_key: Option<Box<str>>,
    /// The command or delivery that caused it.
    causation_id: String,
    /// What it belongs to.
    correlation_id: String,
}

/// Hashes of an event.
#[derive(Serialize, ToSchema)]
pub struct HashesAnswer {
    /// SHA-256 over all of its stored content, in hex.
    content: String,
}

/// The state of an account.
#[derive(Serialize, ToSchema)]
pub struct StateAnswer {
    /// The account's stream.
    stream: String,
    /// Rebuilt from its events: account, standing, and every object with the terms that count.
    state: Value,
    /// Sequence of the last event it rests on; 0 = none.
    version: u64,
    /// When the last of them was recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    recorded_at: Option<Timestamp>,
    /// The point in time asked for; null = now.
    as_of: Option<AsOfAnswer>,
}

/// Whose state, and when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// Whose
    tenant: AccountName,
    /// How it stood at this instant, RFC 3339; without it: how it stands now
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Timestamp>,
    /// `recorded`: what the ledger knew then (default); `occurred`: what was true then
    basis: Option<BasisWord>,
    /// With `basis=occurred`: by what was recorded until then
    #[param(value_type = Option<String>, format = DateTime)]
    known_at: Option<Timestamp>,
}

/// Which events a list or a stream is asked for; everything given must hold.
pub struct AuditWanted {
    /// Of the account of this tenant.
    pub tenant: Option<AccountName>,
    /// Of this stream.
    pub stream: Option<PlainText>,
    /// Stored name.
    pub event_type: Option<PlainText>,
    /// Family.
    pub family: Option<PlainText>,
    /// Who caused it.
    pub actor: Option<PlainText>,
    /// Source of the receipt behind it.
    pub source: Option<PlainText>,
    /// Recorded at or after.
    pub from: Option<Timestamp>,
    /// Recorded before.
    pub to: Option<Timestamp>,
    /// The event's own id, or the id of the Stripe event behind it.
    pub event_id: Option<PlainText>,
}

/// What is looked for, and where.
pub async fn filter(service: &Service, query: &AuditWanted) -> Answer<AuditFilter> {
    let text = |text: &Option<PlainText>| text.as_ref().map(|text| text.0.clone());
    let mut filter = AuditFilter {
        stream: text(&query.stream),
        event_type: text(&query.event_type),
        family: text(&query.family),
        actor: text(&query.actor),
        source: text(&query.source),
        from: query.from,
        to: query.to,
        ..AuditFilter::default()
    };
    if let Some(PlainText(id)) = &query.event_id {
        match Uuid::parse_str(id) {
            Ok(id) => filter.event_id = Some(id),
            Err(_) => filter.stripe_event = Some(id.clone()),
        }
    }
    if let Some(AccountName(account)) = &query.tenant {
        of_account(service, account, &mut filter).await?;
    }
    if let Some(PlainText(stream)) = &query.stream {
        // What cannot be a stream lies in no part.
        let parsed = StreamId::parse(stream).ok();
        filter.parts = Some(parsed.iter().map(|it| part_of(it, service.db.parts())).collect());
    }
    Ok(filter)
}

/// All that bears the tenant's name, and all of its account's stream, from the time before it had one too.
async fn of_account(service: &Service, name: &AccountRef, filter: &mut AuditFilter) -> Answer<()> {
    let streams = account::streams_of(service, name).await?;
    let parts = service.db.parts();
    let mut looked_into: Vec<u32> = streams.iter().map(|stream| part_of(stream, parts)).collect();
    filter.streams = streams.iter().map(ToString::to_string).collect();
    if let AccountRef::Tenant(tenant) = name {
        filter.tenant = Some(tenant.to_string());
    }
    looked_into.sort_unstable();
    looked_into.dedup();
    filter.parts = Some(looked_into);
    Ok(())
}

/// Events, newest first; a page goes on from one position in each part
#[utoipa::path(get, path = "/v1/audit/events", params(AuditQuery),
    responses((status = 200, body = Page<AuditLine>, description = "A page; without `next_cursor` although there is more, narrow it by tenant, stream or time"),
        (status = 503, description = "The index has not reached Ledger-Min-Position (`projection-behind`), or the store is away (`store-unavailable`)")))]
pub async fn events(
    State(service): State<Service>,
    Params(query): Params<AuditQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer<Response> {
    let paging = Paging {
        limit: query.limit,
        cursor: query.cursor.clone(),
        count: query.count,
    };
    let size = paging.size()?;
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
    let filter = filter(&service, &wanted).await?;
    position::wait(&service, View::Audit, None, &headers).await?;
    let list_name = format!("audit-events {filter:?}");
    let place: Option<String> = service.cursors.read(&list_name, paging.cursor.as_deref())?;
    let place = place.and_then(|text| AuditPlace::decode(&URL_SAFE_NO_PAD.decode(text).ok()?));
    let found = list::list(&service.db, &service.progress, &filter, place.as_ref(), size).await;
    let found = found.map_err(unanswered)?;
    let has_more = found.next.is_some();
    let next = found.next.map(|next| URL_SAFE_NO_PAD.encode(next.encode()));
    let next_cursor = next.map(|next| service.cursors.write(&list_name, &next)).transpose()?;
    let counted = async {
        let counted = list::count(&service.db, &service.progress, &filter, COUNTED_MAX).await;
        counted.map_err(unanswered)
    };
    let info = PageInfo {
        has_more,
        // A cursor over very many parts does not fit; the filter must say where to look.
        next_cursor: next_cursor.filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX),
        count: paging.total(counted).await?,
    };
    let data = found
        .rows
        .into_iter()
        .map(|(part, row)| AuditLine::of(part, row))
        .collect();
    let mut response = page::respond(Page { data, page: info }, &uri);
    position::announce_list(&service, View::Audit, response.headers_mut());
    Ok(response)
}

/// One event: what it says, why it happened, what it changed
#[utoipa::path(get, path = "/v1/audit/events/{address}", params(("address" = String, Path, description = "`<part>.<position>`")),
    responses((status = 200, body = EventAnswer, description = "The event")))]
pub async fn event(State(service): State<Service>, Ids(address): Ids<String>) -> Answer<Json<EventAnswer>> {
    let place = LedgerPosition::find(&address).filter(|place| place.part < service.db.parts());
    let place = place.ok_or_else(Problem::not_found)?;
    let stored = read_event(&service.db, place.part, place.position)
        .await
        .map_err(Problem::store)?;
    let stored = stored.ok_or_else(Problem::not_found)?;
    let metadata: Metadata = serde_json::from_str(&stored.metadata).map_err(Problem::internal)?;
    let payload: Value = serde_json::from_str(&stored.payload).map_err(Problem::internal)?;
    let (changes, family) = changed(&service, &stored).await?;
    Ok(Json(EventAnswer {
        position: place.to_string(),
        aggregate_type: stored.aggregate_type,
        stream: stored.stream,
        sequence: stored.sequence,
        tenant: stored.tenant,
        event_type: stored.event_type,
        event_version: stored.event_version,
        family,
        event_id: stored.event_id.to_string(),
        occurred_at: stored.occurred_at,
        recorded_at: stored.recorded_at,
        payload,
        cause: CauseAnswer {
            actor: metadata.actor.label(),
            receipt: metadata.receipt,
            api_version: metadata.api_version,
            request_key: metadata.request_key,
            causation_id: stored.causation_id,
            correlation_id: stored.correlation_id,
        },
        hashes: HashesAnswer {
            content: hex::encode(stored.content_hash),
        },
        changes,
    }))
}

/// The state of the event's stream before and after it, compared; and its family.
async fn changed(service: &Service, event: &StoredEvent) -> Answer<(Vec<FieldChange>, &'static str)> {
    let policy = AccessPolicy::of(&service.plans.current());
    let mut fold = Fold::default();
    let mut after = 0;
    while after + 1 < event.sequence {
        let left = u32::try_from(event.sequence - 1 - after).unwrap_or(PAGE_EVENTS);
        let kind = &event.aggregate_type;
        let page = read_stream(
            &service.db,
            event.part,
            kind,
            &event.stream,
            after,
            left.min(PAGE_EVENTS),
        )
        .await;
        let page = page.map_err(Problem::store)?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        for earlier in page {
            fold.take(LogEvent::from(earlier).typed().map_err(Problem::internal)?);
        }
    }
    let before = fold.state(&event.aggregate_type, &policy);
    let logged = LogEvent::from(event.clone());
    let typed = logged.typed().map_err(Problem::internal)?;
    fold.take(typed);
    let now = fold.state(&event.aggregate_type, &policy);
    Ok((rebuilt::changes(&before, &now), typed.family()))
}

/// The state of an account, rebuilt from its events, now or at any time before
#[utoipa::path(get, path = "/v1/audit/state", params(StateQuery),
    responses((status = 200, body = StateAnswer, description = "The state"), (status = 404, description = "No such account (`not-found`)")))]
pub async fn state(State(service): State<Service>, Params(query): Params<StateQuery>) -> Answer<Response> {
    let point = PointInTime {
        as_of: query.as_of,
        basis: query.basis,
        known_at: query.known_at,
    };
    let point = point.point()?;
    let account = service.finder().find(&query.tenant.0).await.map_err(Problem::store)?;
    let account = account.ok_or_else(Problem::not_found)?;
    let now = AsOf {
        basis: Basis::Recorded,
        at: Timestamp::MAX,
        known_at: None,
    };
    let past = past::fold(&service, &account, point.as_ref().unwrap_or(&now)).await?;
    let policy = AccessPolicy::of(&service.plans.current());
    let answer = StateAnswer {
        stream: account.stream.to_string(),
        state: rebuilt::account(&past.state, &policy),
        version: past.sequence,
        recorded_at: past.recorded_at,
        as_of: point.as_ref().map(AsOfAnswer::of),
    };
    Ok(standing::of_the_past(&past.freshness, standing::written(&answer)?))
}
