//! `/v1/projections`: how far the views are, and what an operator may do to them. Every act is recorded first.

use ::projections::checkpoint::{self, Checkpoint};
use ::projections::rebuild::{self, State as RebuildState, swap};
use ::projections::table::Slot;
use ::projections::views::View;
use aggregates::operation::OperationEvent;
use aggregates::partition::PARTS_MAX;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::extract::{Body, Ids};
use crate::http::guard::Caller;
use crate::http::idempotency::{Command, Done};
use crate::http::json as read;
use crate::http::operations;
use crate::http::position::LedgerPosition;
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::state::Service;
use crate::http::text::Reason;

/// Largest position a request names: the largest whole number that every reader of JSON takes exactly.
const POSITION_MAX: u64 = 9_007_199_254_740_991;

/// All views.
#[derive(Serialize, ToSchema)]
pub struct ProjectionList {
    /// One entry a view.
    data: Vec<ProjectionAnswer>,
}

/// One view.
#[derive(Serialize, ToSchema)]
pub struct ProjectionAnswer {
    /// Its name.
    name: &'static str,
    /// Version of its fold in this program.
    version: u32,
    /// The slot readers use, 0 or 1.
    active_slot: u32,
    /// Events of all parts that wait for it.
    lag: u64,
    /// Seconds the oldest of them has waited; 0 when there is none.
    age_s: u64,
    /// Whether it stands still in some part.
    stopped: bool,
    /// By part.
    parts: Vec<PartAnswer>,
    /// The slot nobody reads.
    other_slot: OtherSlot,
    /// `waiting`, `running`, `filled` or `failed`: the last rebuild since this process began.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<RebuildAnswer>,
}

/// A view in one part.
#[derive(Serialize, ToSchema)]
pub struct PartAnswer {
    /// The part.
    part: u32,
    /// Everything up to here is in the view.
    position: u64,
    /// Last position of the part.
    head: u64,
    /// Events between them.
    lag: u64,
    /// Why it stands still before the event after `position`.
    stopped_reason: Option<String>,
}

/// The slot nobody reads.
#[derive(Serialize, ToSchema)]
pub struct OtherSlot {
    /// 0 or 1.
    slot: u32,
    /// Parts that are filled.
    parts_filled: usize,
    /// Version of the fold that filled it; null while it is empty.
    version: Option<u32>,
    /// Events it lacks in its filled parts.
    behind: u64,
}

/// The last rebuild.
#[derive(Serialize, ToSchema)]
pub struct RebuildAnswer {
    /// `waiting`, `running`, `filled` or `failed`.
    state: &'static str,
    /// Events folded so far.
    done: Option<u64>,
    /// Events to fold.
    total: Option<u64>,
    /// Why it failed.
    reason: Option<String>,
}

impl RebuildAnswer {
    fn of(state: RebuildState) -> Self {
        let word = |state, done, total, reason| Self {
            state,
            done,
            total,
            reason,
        };
        match state {
            RebuildState::Waiting => word("waiting", None, None, None),
            RebuildState::Running { done, total } => word("running", Some(done), Some(total), None),
            RebuildState::Filled => word("filled", None, None, None),
            RebuildState::Failed(reason) => word("failed", None, None, Some(reason)),
        }
    }
}

/// Why an operator acts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// For whoever reads the log later.
    reason: Reason,
}

/// Why readers move, and whether the slots are compared first.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwapRequest {
    /// For whoever reads the log later.
    reason: Reason,
    /// Compare the rows of both slots first, when the same version filled them.
    #[serde(default = "yes")]
    #[schema(default = true)]
    compare: bool,
}

const fn yes() -> bool {
    true
}

/// Which event a view goes past.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipRequest {
    /// The part in which it stands still.
    #[serde(deserialize_with = "read::whole")]
    #[schema(maximum = 4095)]
    part: u32,
    /// The event it cannot fold: the position after the view's own.
    #[serde(deserialize_with = "read::whole")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    position: u64,
    /// For whoever reads the log later.
    reason: Reason,
}

/// Position, lag and slots of every view
#[utoipa::path(get, path = "/v1/projections", responses((status = 200, body = ProjectionList, description = "Views")))]
pub async fn list(State(service): State<Service>) -> Answer<Json<ProjectionList>> {
    service.progress.see_known_heads(&service.db);
    let checkpoints = checkpoint::read_all(&service.db).await.map_err(Problem::store)?;
    let active = checkpoint::read_active(&service.db).await.map_err(Problem::store)?;
    let slot_of = |view| {
        active
            .iter()
            .find(|active| active.view == view)
            .map_or(0, |active| active.slot)
    };
    let data = View::ALL
        .into_iter()
        .map(|view| of_view(&service, view, slot_of(view), &checkpoints))
        .collect();
    Ok(Json(ProjectionList { data }))
}

fn of_view(service: &Service, view: View, active: Slot, checkpoints: &[Checkpoint]) -> ProjectionAnswer {
    let behind = |found: &Checkpoint| service.progress.head(found.part).saturating_sub(found.position);
    let (mut mine, other): (Vec<&Checkpoint>, Vec<&Checkpoint>) = checkpoints
        .iter()
        .filter(|found| found.view == view)
        .partition(|found| found.slot == active);
    mine.sort_by_key(|found| found.part);
    let part = |found: &&Checkpoint| PartAnswer {
        part: found.part,
        position: found.position,
        head: service.progress.head(found.part),
        lag: behind(found),
        stopped_reason: found.stopped_reason.clone(),
    };
    ProjectionAnswer {
        name: view.name(),
        version: view.version(),
        active_slot: u32::from(active != 0),
        lag: service.progress.lag(view),
        age_s: service.progress.oldest_wait_micros(view).div_ceil(1_000_000),
        stopped: mine.iter().any(|found| found.stopped_reason.is_some()),
        parts: mine.iter().map(part).collect(),
        other_slot: OtherSlot {
            slot: u32::from(active == 0),
            parts_filled: other.len(),
            version: other.first().map(|found| found.version),
            behind: other.iter().map(|found| behind(found)).sum(),
        },
        rebuild: service.rebuilds.state(view).map(RebuildAnswer::of),
    }
}

/// What the acts on a view share.
struct Act {
    service: Service,
    caller: Caller,
    command: Command,
    view: View,
}

impl Act {
    fn of(
        service: Service,
        caller: Caller,
        name: &str,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Answer<Self> {
        let view = View::find(name).ok_or_else(Problem::not_found)?;
        let command = Command::of(&caller.0, method, uri, headers, body)?;
        Ok(Self {
            service,
            caller,
            command,
            view,
        })
    }

    async fn record(&self, event: &OperationEvent) -> Answer<LedgerPosition> {
        let stream = rebuild::stream_of(self.view).map_err(Problem::internal)?;
        operations::record(&self.service, &self.command, &self.caller.0, &stream, event).await
    }

    async fn once<F: Future<Output = Answer<Done>>>(&self, run: F) -> Answer<Response> {
        let stream = rebuild::stream_of(self.view).map_err(Problem::internal)?;
        let part = operations::part_of_stream(&self.service, &stream);
        self.command.once(&self.service, part, run).await
    }

    fn done(&self, status: StatusCode, word: &str, position: LedgerPosition) -> Done {
        Done::new(
            status,
            json!({ "projection": self.view.name(), "status": word }),
            Some(position),
        )
    }
}

/// An act was taken.
#[derive(Serialize, ToSchema)]
pub struct ActAnswer {
    /// The view.
    projection: String,
    /// What happens to it.
    status: String,
}

/// Fill the other slot from zero; readers stay where they are until the swap
#[utoipa::path(post, path = "/v1/projections/{name}/rebuild", params(("name" = String, Path, description = "Name of the view")),
    request_body = ReasonRequest, responses((status = 202, body = ActAnswer, description = "It waits or runs"),
    (status = 409, description = "A rebuild of this view waits or runs already (`invalid-transition`)")))]
pub async fn rebuild(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Ids(name): Ids<String>,
    body: Body<ReasonRequest>,
) -> Answer<Response> {
    let act = Act::of(service, caller, &name, &method, &uri, &headers, &body.bytes)?;
    let Reason(reason) = body.value.reason;
    act.once(async {
        let slot = u8::from(act.service.progress.slot(act.view) == 0);
        if act
            .service
            .rebuilds
            .state(act.view)
            .is_some_and(|state| state.is_open())
        {
            return Err(Problem::new(
                ProblemKind::InvalidTransition,
                "a rebuild of this view waits or runs already",
            ));
        }
        let event = OperationEvent::ProjectionRebuilt {
            projection: act.view.name().into(),
            slot,
            version: act.view.version(),
            reason,
        };
        let position = act.record(&event).await?;
        // Lost a race against the same request: the other one's rebuild is as good.
        let _ = act.service.rebuilds.request(act.view);
        Ok(act.done(StatusCode::ACCEPTED, "rebuilding", position))
    })
    .await
}

/// Move readers to the other slot
#[utoipa::path(post, path = "/v1/projections/{name}/swap", params(("name" = String, Path, description = "Name of the view")),
    request_body = SwapRequest, responses((status = 200, body = ActAnswer, description = "Readers have moved"),
    (status = 409, description = "The other slot is not filled, behind, stopped or different (`invalid-transition`)")))]
pub async fn swap_slots(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Ids(name): Ids<String>,
    body: Body<SwapRequest>,
) -> Answer<Response> {
    let act = Act::of(service, caller, &name, &method, &uri, &headers, &body.bytes)?;
    let SwapRequest {
        reason: Reason(reason),
        compare,
    } = body.value;
    act.once(move_readers(&act, reason, compare, "swapped")).await
}

/// Move readers back to the slot they came from
#[utoipa::path(post, path = "/v1/projections/{name}/roll-back", params(("name" = String, Path, description = "Name of the view")),
    request_body = ReasonRequest, responses((status = 200, body = ActAnswer, description = "Readers have moved back"),
    (status = 409, description = "The slot left behind is no longer kept (`invalid-transition`)")))]
pub async fn roll_back(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Ids(name): Ids<String>,
    body: Body<ReasonRequest>,
) -> Answer<Response> {
    let act = Act::of(service, caller, &name, &method, &uri, &headers, &body.bytes)?;
    let Reason(reason) = body.value.reason;
    // Who rolls back does not trust the present rows, so they are not compared.
    act.once(move_readers(&act, reason, false, "rolled back")).await
}

async fn move_readers(act: &Act, reason: Box<str>, compare: bool, word: &str) -> Answer<Done> {
    let moved = swap::swap(&act.service.db, &act.service.progress, act.view, compare)
        .await
        .map_err(refused)?;
    let event = OperationEvent::ProjectionSwapped {
        projection: act.view.name().into(),
        slot: u8::from(moved.slot != 0),
        version: moved.version,
        reason,
    };
    let position = act.record(&event).await?;
    Ok(act.done(StatusCode::OK, word, position))
}

fn refused(error: swap::SwapError) -> Problem {
    match error {
        swap::SwapError::Store(error) => Problem::store(error),
        swap::SwapError::Query(error) => Problem::internal(error),
        refusal @ (swap::SwapError::NotFilled { .. }
        | swap::SwapError::OtherVersion { .. }
        | swap::SwapError::Stopped { .. }
        | swap::SwapError::Behind { .. }
        | swap::SwapError::Differs { .. }
        | swap::SwapError::Raced { .. }) => Problem::new(ProblemKind::InvalidTransition, refusal.to_string()),
    }
}

/// Let a stopped view go past the event it cannot fold
#[utoipa::path(post, path = "/v1/projections/{name}/skip", params(("name" = String, Path, description = "Name of the view")),
    request_body = SkipRequest, responses((status = 200, body = ActAnswer, description = "It runs on"),
    (status = 409, description = "The view does not stand still before that position (`invalid-transition`)")))]
pub async fn skip(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Ids(name): Ids<String>,
    body: Body<SkipRequest>,
) -> Answer<Response> {
    let act = Act::of(service, caller, &name, &method, &uri, &headers, &body.bytes)?;
    let SkipRequest {
        part,
        position,
        reason: Reason(reason),
    } = body.value;
    if part >= PARTS_MAX {
        return Err(Problem::invalid("/part", format!("0 to {}", PARTS_MAX - 1)));
    }
    if !(1..=POSITION_MAX).contains(&position) {
        return Err(Problem::invalid("/position", format!("1 to {POSITION_MAX}")));
    }
    act.once(async {
        let known = checkpoint::read_all(&act.service.db).await.map_err(Problem::store)?;
        let stands = |found: &Checkpoint| {
            found.view == act.view
                && found.part == part
                && found.stopped_reason.is_some()
                && found.position.checked_add(1) == Some(position)
        };
        if !known.iter().any(stands) {
            let detail = format!("{} does not stand still before {part}.{position}", act.view.name());
            return Err(Problem::new(ProblemKind::InvalidTransition, detail));
        }
        let event = OperationEvent::ProjectionSkipped {
            projection: act.view.name().into(),
            part,
            position,
            reason,
        };
        let at = act.record(&event).await?;
        checkpoint::skip(&act.service.db, act.view, part, position)
            .await
            .map_err(Problem::store)?;
        Ok(act.done(StatusCode::OK, "skipped", at))
    })
    .await
}
