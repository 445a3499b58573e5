//! `/v1/api-keys`: made once, shown once, rotated with an overlap, revoked at once.

use aggregates::ids::TenantId;
use aggregates::operation::OperationEvent;
use aggregates::time::Timestamp;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

use crate::auth::api_key::NewKey;
use crate::auth::key_store::{KeyChange, KeyRow};
use crate::auth::{Principal, Scope, ScopeSet};
use crate::http::extract::{Body, Ids, Params};
use crate::http::guard::Caller;
use crate::http::idempotency::{Command, Done};
use crate::http::json as read;
use crate::http::operations;
use crate::http::page::{self, COUNTED_MAX, Page, PageInfo, Paging};
use crate::http::problem::{Answer, Problem, ProblemKind};
use crate::http::state::Service;
use crate::http::text::{Network, PlainText, TenantName};

/// Most scopes of a request: more than there are.
const SCOPES_MAX: usize = 64;
/// Most networks of a key.
const CIDRS_MAX: usize = 50;
/// Longest overlap after a rotation: a month is enough for the slowest roll-out.
const OVERLAP_HOURS_MAX: u32 = 31 * 24;
/// Overlap when nothing is said: a working day to roll out the new key.
const OVERLAP_HOURS_DEFAULT: u32 = 24;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeyRequest {
    /// What it is for.
    name: PlainText,
    /// What it may do, for instance `entitlements:read`.
    #[schema(schema_with = scopes_schema)]
    scopes: Vec<String>,
    /// The only tenant it may touch; null = all.
    tenant: Option<TenantName>,
    /// When it ends, which must be later than now; null = when it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Networks it may come from; empty = all.
    #[serde(default)]
    #[schema(max_items = 50)]
    cidrs: Vec<Network>,
}

fn scopes_schema() -> Schema {
    let words = Scope::ALL.iter().map(|scope| scope.as_str());
    let scope = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    ArrayBuilder::new()
        .items(scope)
        .min_items(Some(1))
        .max_items(Some(SCOPES_MAX))
        .into()
}

/// How long the old key goes on working.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// Hours; 0 ends it at once.
    #[serde(default, deserialize_with = "read::whole_or_none")]
    #[schema(minimum = 0, maximum = 744, default = 24)]
    overlap_h: Option<u32>,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub struct KeyAnswer {
    /// Its public id.
    id: String,
    /// What it is for.
    name: String,
    /// What it may do; a write scope includes the read scope.
    scopes: Vec<&'static str>,
    /// The only tenant it may touch.
    tenant: Option<String>,
    /// Networks it may come from.
    cidrs: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// After a rotation: until when it still works.
    #[schema(value_type = Option<String>, format = DateTime)]
    overlap_until: Option<Timestamp>,
    /// The key it replaced.
    rotated_from: Option<String>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

/// A key just made.
#[derive(Serialize, ToSchema)]
pub struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    key: KeyAnswer,
    /// The text to send as Bearer, shown this once; null when the answer is repeated.
    secret: Option<String>,
}

impl KeyAnswer {
    fn of(row: KeyRow) -> Self {
        Self {
            scopes: row.scopes.iter().map(Scope::as_str).collect(),
            tenant: row.tenant.as_ref().map(TenantId::to_string),
            cidrs: row.cidrs.iter().map(IpNet::to_string).collect(),
            id: row.id,
            name: row.name,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            overlap_until: row.overlap_until,
            rotated_from: row.rotated_from,
            last_used_at: row.last_used_at,
        }
    }
}

/// All keys, revoked ones too
#[utoipa::path(get, path = "/v1/api-keys", params(Paging), responses((status = 200, body = Page<KeyAnswer>, description = "A page")))]
pub async fn list(State(service): State<Service>, Params(paging): Params<Paging>, uri: Uri) -> Answer<Response> {
    let size = paging.size()?;
    let after: String = service
        .cursors
        .read("api-keys", paging.cursor.as_deref())?
        .unwrap_or_default();
    let mut rows = service
        .keys
        .store()
        .list(&after, size + 1)
        .await
        .map_err(Problem::store)?;
    let has_more = rows.len() > size as usize;
    rows.truncate(size as usize);
    let last = rows.last().filter(|_| has_more).map(|row| row.id.clone());
    let next_cursor = last.map(|id| service.cursors.write("api-keys", &id)).transpose()?;
    let counted = async { service.keys.store().count(COUNTED_MAX).await.map_err(Problem::store) };
    let count = paging.total(counted).await?;
    let data = rows.into_iter().map(KeyAnswer::of).collect();
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

/// Make a key; its secret is in this answer and never again
#[utoipa::path(post, path = "/v1/api-keys", request_body = NewKeyRequest, responses((status = 201, body = CreatedKey, description = "Made"),
    (status = 409, description = "The first request with this Idempotency-Key is still running, or others kept writing")))]
pub async fn create(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body<NewKeyRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &method, &uri, &headers, &body.bytes)?;
    let now = service.clock.now();
    let wanted = check(body.value, &caller.0, now)?;
    let key = make(&service, &command)?;
    let stream = operations::stream(&format!("key:{}", key.id))?;
    let part = operations::part_of_stream(&service, &stream);
    let run = async {
        let row = KeyRow {
            id: key.id.clone(),
            sealed: key.sealed,
            created_at: now,
            ..wanted
        };
        let event = OperationEvent::KeyCreated {
            key: row.id.as_str().into(),
            name: row.name.as_str().into(),
            scopes: row.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            tenant: row.tenant.clone(),
            expires_at: row.expires_at,
        };
        let position = operations::record(&service, &command, &caller.0, &stream, &event).await?;
        keep(&service, row, &key).await.map(|done| Done {
            position: Some(position),
            ..done
        })
    };
    command.once(&service, part, run).await
}

/// Replace a key; the old one works until the overlap ends
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", params(("id" = String, Path, description = "Id of the key")),
    request_body = RotateRequest, responses((status = 201, body = CreatedKey, description = "The new key"),
    (status = 409, description = "The key no longer works (`invalid-transition`), or the same request is still running")))]
pub async fn rotate(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Ids(id): Ids<String>,
    body: Body<RotateRequest>,
) -> Answer<Response> {
    let command = Command::of(&caller.0, &method, &uri, &headers, &body.bytes)?;
    let now = service.clock.now();
    let overlap = body.value.overlap_h.unwrap_or(OVERLAP_HOURS_DEFAULT);
    if overlap > OVERLAP_HOURS_MAX {
        return Err(Problem::invalid(
            "/overlap_h",
            format!("0 to {OVERLAP_HOURS_MAX} hours"),
        ));
    }
    let old = find(&service, &id).await?;
    may_grant(&caller.0, old.scopes, old.tenant.as_ref())?;
    let key = make(&service, &command)?;
    let stream = operations::stream(&format!("key:{id}"))?;
    let part = operations::part_of_stream(&service, &stream);
    let ends = now.plus_seconds(i64::from(overlap) * 3_600);
    let run = async {
        let is_repeat = service
            .keys
            .store()
            .find(&key.id)
            .await
            .map_err(Problem::store)?
            .is_some();
        if !is_repeat && (!old.is_valid(now) || old.overlap_until.is_some()) {
            let detail = "the key has ended or was rotated already; make a new one";
            return Err(Problem::new(ProblemKind::InvalidTransition, detail));
        }
        let successor = key.id.as_str().into();
        let event = OperationEvent::KeyRotated {
            key: id.as_str().into(),
            successor,
            old_valid_until: ends,
        };
        let position = operations::record(&service, &command, &caller.0, &stream, &event).await?;
        let row = KeyRow {
            id: key.id.clone(),
            sealed: key.sealed,
            created_at: now,
            rotated_from: Some(id.clone()),
            last_used_at: None,
            revoked_at: None,
            overlap_until: None,
            ..old
        };
        let done = keep(&service, row, &key).await?;
        service
            .keys
            .store()
            .change(&id, KeyChange::EndAt(ends), now)
            .await
            .map_err(Problem::store)?;
        service.keys.forget(&id);
        Ok(Done {
            position: Some(position),
            ..done
        })
    };
    command.once(&service, part, run).await
}

/// Revoke a key; it works no longer from now on
#[utoipa::path(delete, path = "/v1/api-keys/{id}", params(("id" = String, Path, description = "Id of the key")),
    responses((status = 204, description = "Revoked, now or before")))]
pub async fn revoke(
    State(service): State<Service>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Ids(id): Ids<String>,
) -> Answer<Response> {
    let row = find(&service, &id).await?;
    let mut command = Command::of(&caller.0, &method, &uri, &headers, b"")?;
    // One key is revoked once, whoever asks and however often.
    command.key_is(&format!("revoke:{id}"), "operation");
    let mut position = None;
    if row.revoked_at.is_none() {
        let stream = operations::stream(&format!("key:{id}"))?;
        let event = OperationEvent::KeyRevoked {
            key: id.as_str().into(),
        };
        position = Some(operations::record(&service, &command, &caller.0, &stream, &event).await?);
        service
            .keys
            .store()
            .change(&id, KeyChange::Revoke, service.clock.now())
            .await
            .map_err(Problem::store)?;
    }
    service.keys.forget(&id);
    Ok(Done::new(StatusCode::NO_CONTENT, serde_json::Value::Null, position).respond())
}

async fn find(service: &Service, id: &str) -> Answer<KeyRow> {
    let plain = id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let found = if plain {
        service.keys.store().find(id).await.map_err(Problem::store)?
    } else {
        None
    };
    found.ok_or_else(Problem::not_found)
}

fn make(service: &Service, command: &Command) -> Answer<NewKey> {
    NewKey::try_new(service.settings.mode, service.keys.pepper(), &command.seed()).map_err(Problem::internal)
}

/// Stores the key unless a first attempt did, whose secret only its answer knew.
async fn keep(service: &Service, row: KeyRow, key: &NewKey) -> Answer<Done> {
    let (id, sealed) = (row.id.clone(), row.sealed);
    service.keys.store().insert(row).await.map_err(Problem::store)?;
    service.keys.forget(&id);
    let kept = service
        .keys
        .store()
        .find(&id)
        .await
        .map_err(Problem::store)?
        .ok_or_else(Problem::not_found)?;
    let secret = (kept.sealed == sealed).then(|| key.text.clone());
    let shown = json!(CreatedKey {
        key: KeyAnswer::of(kept),
        secret
    });
    let mut stored = shown.clone();
    stored["secret"] = serde_json::Value::Null;
    Ok(Done {
        body: shown,
        stored: Some(stored),
        ..Done::new(StatusCode::CREATED, serde_json::Value::Null, None)
    })
}

fn check(wanted: NewKeyRequest, caller: &Principal, now: Timestamp) -> Answer<KeyRow> {
    let scopes = ScopeSet::parse(wanted.scopes.iter().map(String::as_str));
    let scopes = scopes.map_err(|error| Problem::invalid("/scopes", error.to_string()))?;
    if !(1..=SCOPES_MAX).contains(&wanted.scopes.len()) {
        return Err(Problem::invalid("/scopes", format!("1 to {SCOPES_MAX} scopes")));
    }
    let tenant = wanted.tenant.map(|tenant| tenant.0);
    may_grant(caller, scopes, tenant.as_ref())?;
    if wanted.expires_at.is_some_and(|at| at <= now) {
        return Err(Problem::invalid("/expires_at", "a time in the future"));
    }
    if wanted.cidrs.len() > CIDRS_MAX {
        return Err(Problem::invalid("/cidrs", format!("at most {CIDRS_MAX} networks")));
    }
    Ok(KeyRow {
        id: String::new(),
        name: wanted.name.0.trim().to_owned(),
        sealed: [0; 32],
        scopes,
        tenant,
        cidrs: wanted.cidrs.into_iter().map(|network| network.0).collect(),
        created_at: now,
        expires_at: wanted.expires_at,
        revoked_at: None,
        overlap_until: None,
        rotated_from: None,
        last_used_at: None,
    })
}

/// Nobody gives away more than it has.
fn may_grant(caller: &Principal, scopes: ScopeSet, tenant: Option<&TenantId>) -> Answer<()> {
    let reaches = caller.tenant.is_none() || caller.tenant.as_ref() == tenant;
    if caller.scopes.covers(scopes) && reaches {
        return Ok(());
    }
    let lacking: Vec<&str> = scopes
        .iter()
        .filter(|scope| !caller.has(*scope))
        .map(Scope::as_str)
        .collect();
    let detail = format!("a key cannot be given rights its maker lacks: {}", lacking.join(", "));
    Err(Problem::new(ProblemKind::Forbidden, detail).with("needed", lacking.join(", ")))
}
