//! What an operator does to receipts: replay, discard, replay many. Each act has a reason and stands on the log.

use aggregates::ids::StripeEventId;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::projections::reason;
use super::webhook;
use crate::http::extract::{Body, Ids};
use crate::http::guard::Caller;
use crate::http::idempotency::{Command, Done};
use crate::http::json as read;
use crate::http::operations;
use crate::http::problem::{Answer, Problem};
use crate::http::state::Service;
use crate::inbox::admin::{Act, InboxAdmin, ReplayReport, stream_of};
use crate::inbox::{ReceiptFilter, ReceiptKey, State as ReceiptState};

/// Why an operator acts on a receipt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptActRequest {
    /// For whoever reads the log later.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    reason: String,
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

/// Which receipts to send through again, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkReplayRequest {
    /// Everything absent matches all.
    #[serde(deserialize_with = "read::object")]
    filter: ReceiptFilter,
    /// For whoever reads the log later.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    reason: String,
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
    let (key, act) = (key(ids)?, act(&service, &caller, &command, &body.value.reason)?);
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
    let (key, act) = (key(ids)?, act(&service, &caller, &command, &body.value.reason)?);
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
    responses((status = 200, body = ReplayReport, description = "How many match, and how many were replayed")))]
pub async fn replay_many(
    State(service): State<Service>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body<BulkReplayRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &Method::POST, &uri, &headers, &body.bytes)?;
    let mut act = act(&service, &caller, &command, &body.value.reason)?;
    // Each receipt has an act of its own, so there is no one append that could claim the whole answer: sent again,
    // the command replays what is still held.
    act.api = None;
    let admin = InboxAdmin::new(service.db.clone(), service.clock.clone());
    let report = admin
        .replay_all(&act, &body.value.filter, body.value.dry_run)
        .await
        .map_err(webhook::problem)?;
    Ok(Done::new(StatusCode::OK, json!(report), None).respond())
}

fn key((source, event): (String, String)) -> Answer<ReceiptKey> {
    let event = StripeEventId::parse(&event).map_err(|_| Problem::not_found())?;
    Ok(ReceiptKey::new(&source, event))
}

fn act(service: &Service, caller: &Caller, command: &Command, text: &str) -> Answer<Act> {
    Ok(Act {
        actor: caller.0.actor(),
        mark: command.mark(),
        api: command.claim(service.clock.now()),
        correlation_id: format!("command:{}", command.id),
        reason: reason(text)?.into(),
    })
}

fn acted(status: StatusCode, key: &ReceiptKey, state: ReceiptState) -> Done {
    let body: Value = json!(ReceiptActAnswer {
        source: key.source.to_string(),
        event_id: key.event.to_string(),
        state,
    });
    Done::new(status, body, None)
}
