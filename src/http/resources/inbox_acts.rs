//! What an operator does to receipts: replay, discard, replay many. Each act has a reason and stands on the log.

use aggregates::ids::StripeEventId;
use aggregates::partition::part_of_key;
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::inbox::streams;
use super::webhook;
use crate::http::extract::{Body, Ids};
use crate::http::guard::Caller;
use crate::http::idempotency::{Command, Done};
use crate::http::json as read;
use crate::http::operations;
use crate::http::page;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::http::text::{AccountName, PlainText, Reason};
use crate::inbox::admin::{Act, InboxAdmin, ReplayReport, stream_of};
use crate::inbox::{ReceiptFilter, ReceiptKey, State as ReceiptState};

/// Why an operator acts on a receipt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptActRequest {
    /// For whoever reads the log later.
    reason: Reason,
}

/// An act on a receipt was taken.
#[derive(Serialize, ToSchema)]
pub struct ReceiptActAnswer {
    /// The Stripe account, or `default`.
    source: String,
    /// Stripe's event id.
    event_id: String,
    /// Where it stands now.
    state: ReceiptState,
}

/// Which receipts; everything given must hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayFilter {
    /// Where they stand.
    state: Option<ReceiptState>,
    /// The event's type, for instance `invoice.paid`.
    #[serde(rename = "type")]
    event_type: Option<PlainText>,
    /// Their facts belong to the account of this tenant.
    tenant: Option<AccountName>,
    /// The Stripe account, or `default`.
    source: Option<PlainText>,
    /// Received at or after.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Received before.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

impl ReplayFilter {
    async fn receipts(self, service: &Service) -> Answer<ReceiptFilter> {
        if !page::fits_span(self.from, self.to) {
            return Err(Problem::invalid("/filter/to", page::SPAN_RULE));
        }
        Ok(ReceiptFilter {
            state: self.state,
            event_type: self.event_type.map(|it| it.0),
            streams: streams(service, self.tenant.as_ref()).await?,
            source: self.source.map(|it| it.0),
            from: self.from,
            to: self.to,
        })
    }
}

/// Which receipts to send through again, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkReplayRequest {
    /// Everything absent matches all.
    #[serde(deserialize_with = "read::object")]
    filter: ReplayFilter,
    /// For whoever reads the log later.
    reason: Reason,
    /// Only count.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
}

/// Send a held receipt through again; it is picked up within a second
#[utoipa::path(post, path = "/v1/webhook-inbox/{source}/{event_id}/replay",
    params(("source" = String, Path, description = "The Stripe account, or `default`"), ("event_id" = String, Path, description = "Stripe's event id")),
    request_body = ReceiptActRequest, responses((status = 202, body = ReceiptActAnswer, description = "It waits for a worker"),
    (status = 409, description = "The receipt is not held (`invalid-transition`)")))]
pub async fn replay(
    State(service): State<Service>,
    caller: Caller,
    Ids(ids): Ids<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body<ReceiptActRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &Method::POST, &uri, &headers, &body.bytes)?;
    let (key, act) = (key(ids)?, act(&service, &caller, &command, &body.value.reason));
    let run = async {
        let admin = InboxAdmin::new(service.db.clone(), service.clock.clone());
        admin.replay(&act, &key).await.map_err(webhook::problem)?;
        Ok(acted(StatusCode::ACCEPTED, &key, ReceiptState::New))
    };
    command
        .once(&service, operations::part_of_stream(&service, &stream_of(&key)), run)
        .await
}

/// Give a receipt up
#[utoipa::path(post, path = "/v1/webhook-inbox/{source}/{event_id}/discard",
    params(("source" = String, Path, description = "The Stripe account, or `default`"), ("event_id" = String, Path, description = "Stripe's event id")),
    request_body = ReceiptActRequest, responses((status = 200, body = ReceiptActAnswer, description = "Given up"),
    (status = 409, description = "The receipt has an outcome (`invalid-transition`)")))]
pub async fn discard(
    State(service): State<Service>,
    caller: Caller,
    Ids(ids): Ids<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body<ReceiptActRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &Method::POST, &uri, &headers, &body.bytes)?;
    let (key, act) = (key(ids)?, act(&service, &caller, &command, &body.value.reason));
    let run = async {
        let admin = InboxAdmin::new(service.db.clone(), service.clock.clone());
        admin.discard(&act, &key).await.map_err(webhook::problem)?;
        Ok(acted(StatusCode::OK, &key, ReceiptState::Discarded))
    };
    command
        .once(&service, operations::part_of_stream(&service, &stream_of(&key)), run)
        .await
}

/// Send all held receipts of a filter through again, or count them
#[utoipa::path(post, path = "/v1/webhook-inbox-replays", request_body = BulkReplayRequest,
    responses((status = 200, body = ReplayReport, description = "How many match, and how many were replayed"),
    (status = 409, description = "The first request with this Idempotency-Key is still running, or others kept writing")))]
pub async fn replay_many(
    State(service): State<Service>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body<BulkReplayRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &Method::POST, &uri, &headers, &body.bytes)?;
    let BulkReplayRequest {
        filter,
        reason,
        dry_run,
    } = body.value;
    // Each receipt has an act of its own; the answer is claimed beside them, where the caller's answers lie.
    let act = Act {
        api: None,
        ..act(&service, &caller, &command, &reason)
    };
    let filter = filter.receipts(&service).await?;
    let part = part_of_key(&caller.0.scope_name(), service.db.parts());
    let run = async {
        let is_late = command.claim_answer(&service, part).await?;
        let admin = InboxAdmin::new(service.db.clone(), service.clock.clone());
        // What was done once is not done again after its answer was forgotten.
        let report = admin.replay_all(&act, &filter, dry_run || is_late).await;
        let report = ReplayReport {
            dry_run,
            ..report.map_err(webhook::problem)?
        };
        Ok(Done::new(StatusCode::OK, json!(report), None))
    };
    command.once(&service, part, run).await
}

fn key((source, event): (String, String)) -> Answer<ReceiptKey> {
    let event = StripeEventId::parse(&event).map_err(|_| Problem::not_found())?;
    Ok(ReceiptKey::new(&source, event))
}

fn act(service: &Service, caller: &Caller, command: &Command, reason: &Reason) -> Act {
    Act {
        actor: caller.0.actor(),
        mark: command.mark(),
        api: command.claim(service.clock.now()),
        correlation_id: format!("command:{}", command.id),
        reason: reason.0.to_string(),
    }
}

fn acted(status: StatusCode, key: &ReceiptKey, state: ReceiptState) -> Done {
    let body: Value = json!(ReceiptActAnswer {
        source: key.source.to_string(),
        event_id: key.event.to_string(),
        state,
    });
    Done::new(status, body, None)
}
