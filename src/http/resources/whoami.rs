//! `GET /v1/whoami`: what a credential is and may do.

use aggregates::ids::TenantId;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Kind, Scope};
use crate::http::guard::Caller;
use crate::http::state::Service;

/// The caller.
#[derive(Serialize, ToSchema)]
pub struct Whoami {
    /// What kind of credential it is.
    #[schema(examples("portal", "key", "operator"))]
    kind: &'static str,
    /// Key id, or the token's subject.
    principal: String,
    /// The only tenant it may touch; null = all.
    tenant: Option<String>,
    /// Role of a portal token.
    role: Option<&'static str>,
    /// Scopes of a key.
    scopes: Vec<&'static str>,
    /// `test` or `live`.
    mode: &'static str,
    /// When it ends; null = when it is revoked.
    expires_at: Option<String>,
}

/// Who the credential belongs to, and what it may do
#[utoipa::path(get, path = "/v1/whoami", responses((status = 200, body = Whoami, description = "The caller")))]
pub async fn show(State(service): State<Service>, caller: Caller) -> Json<Whoami> {
    let principal = &caller.0;
    let (kind, name) = match &principal.kind {
        Kind::Portal { subject, .. } => ("portal", subject.to_string()),
        Kind::Key { id } => ("key", id.to_string()),
        Kind::Operator => ("operator", "operator".to_owned()),
    };
    Json(Whoami {
        kind,
        principal: name,
        tenant: principal.tenant.as_ref().map(TenantId::to_string),
        role: principal.role().map(crate::auth::Role::as_str),
        scopes: principal.scopes.iter().map(Scope::as_str).collect(),
        mode: service.settings.mode.as_str(),
        expires_at: principal.expires_at.map(|at| at.to_string()),
    })
}
